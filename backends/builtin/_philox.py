"""The generator of the `shared` realisation, compiled: Philox 4x64 with 10 rounds.

Salmon JK et al. (2011), Parallel random numbers: as easy as 1, 2, 3. doi:10.1145/2063384.2063405.
The draws are those of `portable_cortex.pynn.draws.Stream`, bit by bit. Products of 64 bits are put
together from those of 32, for which there are vector instructions; two counters are encrypted side
by side, so that one does not wait for its own products only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._llvm import from_bits, wide

U64 = np.uint64
M0, M1 = (U64(0xD2E7470E), U64(0xE14C6C93)), (U64(0xCA5A8263), U64(0x95121157))
W0, W1 = U64(0x9E3779B97F4A7C15), U64(0xBB67AE8584CAA73B)
LOWER, HALF = U64(0xFFFFFFFF), U64(32)
ONE = U64(0x3FF0000000000000)  # 1.0 in memory
UNIT = 16  # blocks of four draws; whole vectors of any width for both counters

# quantities that are drawn here, after those of `portable_cortex.pynn.draws`
TRANSMISSION, POISSON, NEURON = 13, 14, 15


@njit(forceinline=True)
def _product(a: Any, m: Any) -> Any:
    """Upper and lower 64 bits of a product; `m` is given in halves."""
    upper, lower = a >> HALF, a & LOWER
    low = lower * m[1]
    one = upper * m[1] + (low >> HALF)
    other = lower * m[0] + (one & LOWER)
    return upper * m[0] + (one >> HALF) + (other >> HALF), (other << HALF) | (low & LOWER)


@njit(forceinline=True)
def _round(x0: Any, x1: Any, x2: Any, x3: Any, key0: Any, key1: Any) -> Any:
    high0, low0 = _product(x0, M0)
    high1, low1 = _product(x2, M1)
    return high1 ^ x1 ^ key0, low1, high0 ^ x3 ^ key1, low0


@njit(forceinline=True)
def _two_rounds(
    a0: Any, a1: Any, a2: Any, a3: Any, b0: Any, b1: Any, b2: Any, b3: Any,
    key0: Any, key_a: Any, key_b: Any,
) -> Any:  # fmt: skip
    """Of both counters."""
    a0, a1, a2, a3 = _round(a0, a1, a2, a3, key0, key_a)
    b0, b1, b2, b3 = _round(b0, b1, b2, b3, key0, key_b)
    a0, a1, a2, a3 = _round(a0, a1, a2, a3, key0 + W0, key_a + W1)
    b0, b1, b2, b3 = _round(b0, b1, b2, b3, key0 + W0, key_b + W1)
    return a0, a1, a2, a3, b0, b1, b2, b3, key0 + W0 + W0, key_a + W1 + W1, key_b + W1 + W1


@njit(forceinline=True)
def _unit(word: Any) -> Any:
    """A uint64 as a number in the open interval (0, 1): its upper 52 bits, and a half."""
    return from_bits((word >> U64(12)) | ONE) - (1.0 - 2.0**-53)


@njit(cache=True, nogil=True)
def two_uniforms(
    key0: Any, key_a: Any, block_a: int, a: Any, key_b: Any, block_b: int, b: Any
) -> None:
    """Fill two arrays of equal size with draws of two keys.

    Parameters
    ----------
    key0, key_a, key_b : uint64
        `key0` is common to both.
    block_a, block_b : int
        A quarter of the number of the first draw.
    a, b : arrays of float64
        Of ``4 * UNIT // 2`` numbers, or a multiple of that.
    """
    wide()
    # numpy's generator counts before it draws: block 0 has counter 1
    first_a, first_b = U64(block_a + 1), U64(block_b + 1)
    for block in range(a.size >> 2):
        x = first_a + U64(block), U64(0), U64(0), U64(0)
        y = first_b + U64(block), U64(0), U64(0), U64(0)
        z = _two_rounds(x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3], key0, key_a, key_b)
        z = _two_rounds(z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10])
        z = _two_rounds(z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10])
        z = _two_rounds(z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10])
        z = _two_rounds(z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], z[8], z[9], z[10])
        i = U64(block << 2)
        a[i], a[i + U64(1)], a[i + U64(2)], a[i + U64(3)] = (
            _unit(z[0]), _unit(z[1]), _unit(z[2]), _unit(z[3]),
        )  # fmt: skip
        b[i], b[i + U64(1)], b[i + U64(2)], b[i + U64(3)] = (
            _unit(z[4]), _unit(z[5]), _unit(z[6]), _unit(z[7]),
        )  # fmt: skip


@njit(cache=True, nogil=True)
def uniform(key0: Any, key1: Any, block: int, out: Any) -> None:
    """Fill an array with draws of one key; its size is a multiple of ``4 * UNIT``."""
    half = out.size >> 1
    two_uniforms(key0, key1, block, out[:half], key1, block + (half >> 2), out[half:])

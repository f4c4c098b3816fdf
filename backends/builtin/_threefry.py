"""The generator of Poisson input: Threefry 4x64 with 20 rounds.

Salmon JK et al. (2011), Parallel random numbers: as easy as 1, 2, 3. doi:10.1145/2063384.2063405.
Its additions, rotations and exclusive ors become vector instructions on lanes of 64 bits; Philox's
wide products do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from . import _cache  # noqa: F401  # before the first function is compiled

U64 = np.uint64
PARITY = U64(0x1BD11BDAA9FC1A22)


@njit(forceinline=True)
def _mix(a: Any, b: Any, bits: Any) -> Any:
    a += b
    return a, ((b << bits) | (b >> (U64(64) - bits))) ^ a


@njit(inline="always")
def _even_rounds(x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
    """Rounds 0 to 3 of eight."""
    x0, x1 = _mix(x0, x1, U64(14))
    x2, x3 = _mix(x2, x3, U64(16))
    x0, x3 = _mix(x0, x3, U64(52))
    x2, x1 = _mix(x2, x1, U64(57))
    x0, x1 = _mix(x0, x1, U64(23))
    x2, x3 = _mix(x2, x3, U64(40))
    x0, x3 = _mix(x0, x3, U64(5))
    x2, x1 = _mix(x2, x1, U64(37))
    return x0, x1, x2, x3


@njit(inline="always")
def _odd_rounds(x0: Any, x1: Any, x2: Any, x3: Any) -> Any:
    """Rounds 4 to 7 of eight."""
    x0, x1 = _mix(x0, x1, U64(25))
    x2, x3 = _mix(x2, x3, U64(33))
    x0, x3 = _mix(x0, x3, U64(46))
    x2, x1 = _mix(x2, x1, U64(12))
    x0, x1 = _mix(x0, x1, U64(58))
    x2, x3 = _mix(x2, x3, U64(22))
    x0, x3 = _mix(x0, x3, U64(32))
    x2, x1 = _mix(x2, x1, U64(32))
    return x0, x1, x2, x3


@njit(inline="always")
def threefry(c0: Any, c1: Any, c2: Any, k0: Any, k1: Any) -> Any:
    """Four uint64 of counter (c0, c1, c2, 0) and key (k0, k1, 0, 0)."""
    k4 = PARITY ^ k0 ^ k1  # and k2 = k3 = 0
    x0, x1, x2, x3 = _even_rounds(c0 + k0, c1 + k1, c2, U64(0))
    x0, x1, x2, x3 = _odd_rounds(x0 + k1, x1, x2, x3 + k4 + U64(1))
    x0, x1, x2, x3 = _even_rounds(x0, x1, x2 + k4, x3 + k0 + U64(2))
    x0, x1, x2, x3 = _odd_rounds(x0, x1 + k4, x2 + k0, x3 + k1 + U64(3))
    x0, x1, x2, x3 = _even_rounds(x0 + k4, x1 + k0, x2 + k1, x3 + U64(4))
    return x0 + k0, x1 + k1, x2, x3 + U64(5)

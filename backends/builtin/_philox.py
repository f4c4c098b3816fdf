"""The generator of the `shared` realisation, compiled: Philox 4x64 with 10 rounds.

Salmon JK et al. (2011), Parallel random numbers: as easy as 1, 2, 3. doi:10.1145/2063384.2063405.
The draws are those of `portable_cortex.pynn.draws.Stream`, bit by bit; ``tests/test_builtin.py``
compares them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ._llvm import mul_high

M0, M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
W0, W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
TWELVE = np.uint64(12)
SIZE = 256  # numbers that become normal ones together

# Quantities that are drawn here, after those of `portable_cortex.pynn.draws`.
POISSON, NOISE = 14, 15
POISSON_REFINE = 1 << 32  # added to a key: a further draw


@njit(cache=True)
def philox(c0: Any, c1: Any, key0: Any, key1: Any) -> Any:
    """Four uint64 of one counter value (its two upper words are zero)."""
    c2 = np.uint64(0)
    c3 = np.uint64(0)
    for _ in range(10):
        high0, low0 = mul_high(M0, c0), M0 * c0
        high1, low1 = mul_high(M1, c2), M1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0 += W0
        key1 += W1
    return c0, c1, c2, c3


@njit(cache=True)
def unit(raw: Any) -> float:
    """A uint64 as a number in the open interval (0, 1)."""
    return np.float64(raw >> TWELVE) * 2.0**-52 + 2.0**-53


@njit(cache=True, nogil=True)
def uniform(key0: Any, key1: Any, start: int, out: Any) -> None:
    """Fill `out` with draws number `start` and following of a key."""
    n = out.size
    i = 0
    block = start >> 2
    skip = start & 3
    while i < n:
        # numpy's generator counts before it draws: block 0 has counter 1
        words = philox(np.uint64(block + 1), np.uint64(0), key0, key1)
        if skip == 0 and i + 4 <= n:
            out[i] = unit(words[0])
            out[i + 1] = unit(words[1])
            out[i + 2] = unit(words[2])
            out[i + 3] = unit(words[3])
            i += 4
        else:
            for lane in range(skip, 4):
                if i < n:
                    out[i] = unit(words[lane])
                    i += 1
            skip = 0
        block += 1


# Coefficients of the Cephes library's rational approximations of the normal distribution's
# inverse (Moshier 1989, Methods and programs for mathematical functions), which scipy uses too.
_P0 = (-5.99633501014107895267e1, 9.80010754185999661536e1, -5.66762857469070293439e1,
       1.39312609387279679503e1, -1.23916583867381258016e0)  # fmt: skip
_Q0 = (1.95448858338141759834e0, 4.67627912898881538453e0, 8.63602421390890590575e1,
       -2.25462687854119370527e2, 2.00260212380060660359e2, -8.20372256168333339912e1,
       1.59056225126211695515e1, -1.18331621121330003142e0)  # fmt: skip
_P1 = (4.05544892305962419923e0, 3.15251094599893866154e1, 5.71628192246421288162e1,
       4.40805073893200834700e1, 1.46849561928858024014e1, 2.18663306850790267539e0,
       -1.40256079171354495875e-1, -3.50424626827848203418e-2,
       -8.57456785154685413611e-4)  # fmt: skip
_Q1 = (1.57799883256466749731e1, 4.53907635128879210584e1, 4.13172038254672030440e1,
       1.50425385692907503408e1, 2.50464946208309415979e0, -1.42182922854787788574e-1,
       -3.80806407691578277194e-2, -9.33259480895457427372e-4)  # fmt: skip
_P2 = (3.23774891776946035970e0, 6.91522889068984211695e0, 3.93881025292474443415e0,
       1.33303460815807542389e0, 2.01485389549179081538e-1, 1.23716634817820021358e-2,
       3.01581553508235416007e-4, 2.65806974686737550832e-6,
       6.23974539184983293730e-9)  # fmt: skip
_Q2 = (6.02427039364742014255e0, 3.67983563856160859403e0, 1.37702099489081330271e0,
       2.16236993594496635890e-1, 1.34204006088543189037e-2, 3.28014464682127739104e-4,
       2.89247864745380683936e-6, 6.79019408009981274425e-9)  # fmt: skip
_SQRT_2PI = 2.50662827463100050242e0
_TAIL = 0.13533528323661269189  # exp(-2)


# Polynomials are written out: a loop over coefficients hinders vectors.


@njit(cache=True)
def _degree_8(x: float, c: Any) -> float:
    y = (((c[0] * x + c[1]) * x + c[2]) * x + c[3]) * x + c[4]
    return np.float64((((y * x + c[5]) * x + c[6]) * x + c[7]) * x + c[8])


@njit(cache=True)
def _monic_degree_8(x: float, c: Any) -> float:
    """The first coefficient is 1 and not listed."""
    y = (((x + c[0]) * x + c[1]) * x + c[2]) * x + c[3]
    return np.float64((((y * x + c[4]) * x + c[5]) * x + c[6]) * x + c[7])


@njit(cache=True)
def _in_the_tail(u: float) -> float:
    """The argument at which the standard normal distribution function is `u`, far from 1/2."""
    y = min(u, 1.0 - u)
    x = math.sqrt(-2.0 * math.log(y))
    x0 = x - math.log(x) / x
    z = 1.0 / x
    if x < 8.0:
        x1 = z * _degree_8(z, _P1) / _monic_degree_8(z, _Q1)
    else:
        x1 = z * _degree_8(z, _P2) / _monic_degree_8(z, _Q2)
    x = x0 - x1
    return -x if u < 0.5 else x


@njit(cache=True, nogil=True, error_model="numpy")
def inverse_normals(u: Any) -> None:
    """Each number becomes the argument at which the standard normal distribution function is it."""
    near, tail = np.empty(SIZE), np.empty(SIZE, np.int64)
    for begin in range(0, u.size, SIZE):
        own = u[begin : min(begin + SIZE, u.size)]
        for i in range(own.size):  # as vector instructions, right near 1/2
            y = own[i] - 0.5
            x = y * y
            p = (((_P0[0] * x + _P0[1]) * x + _P0[2]) * x + _P0[3]) * x + _P0[4]
            near[i] = (y + y * (x * p / _monic_degree_8(x, _Q0))) * _SQRT_2PI
        n: Any = 0
        for i in range(own.size):  # without a branch that nobody could foresee
            tail[n] = i
            n += np.int64(not _TAIL < own[i] <= 1.0 - _TAIL)
        for k in range(n):
            near[tail[k]] = _in_the_tail(own[tail[k]])
        own[:] = near[: own.size]

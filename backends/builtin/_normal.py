"""Normally distributed weights, rounded to float32, from uniform numbers.

A weight is the float32 that is nearest to ``mean + sd * x``, where x is the argument at which the
normal distribution function is u. An estimate of x, known to be near enough, mostly decides which
float32 that is: both ends of the interval that x may lie in give the same one. Only where they do
not, once in some hundred times, x itself is worked out, with logarithms and roots.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._llvm import from_bits, signs

U64 = np.uint64
SIZE = 256  # numbers that become weights together

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


@njit(cache=True)
def _polynomial(x: float, c: Any) -> Any:
    y = c[0]
    for coefficient in c[1:]:
        y = y * x + coefficient
    return y


@njit(cache=True)
def _monic_polynomial(x: float, c: Any) -> Any:
    """The first coefficient is 1 and not listed."""
    y = x + c[0]
    for coefficient in c[1:]:
        y = y * x + coefficient
    return y


@njit(cache=True, error_model="numpy")
def inverse_normal(u: float) -> Any:
    """The argument at which the standard normal distribution function is `u`."""
    if _TAIL < u <= 1.0 - _TAIL:
        y = u - 0.5
        x = y * y
        return (y + y * (x * _polynomial(x, _P0) / _monic_polynomial(x, _Q0))) * _SQRT_2PI
    y = min(u, 1.0 - u)
    x = math.sqrt(-2.0 * math.log(y))
    x0 = x - math.log(x) / x
    z = 1.0 / x
    if x < 8.0:
        x1 = z * _polynomial(z, _P1) / _monic_polynomial(z, _Q1)
    else:
        x1 = z * _polynomial(z, _P2) / _monic_polynomial(z, _Q2)
    x = x0 - x1
    return -x if u < 0.5 else x


# --- estimates ------------------------------------------------------------------------------------

# (0, 1/2) is cut in octaves, (1/4, 1/2) and so on, and each of these in segments of equal length;
# in a segment the estimate is a polynomial of degree 3.
OCTAVES = 12
SHIFT = 46  # bits below those that number the segment: 2^(52 - SHIFT) segments in an octave
N_SEGMENTS = OCTAVES << (52 - SHIFT)
FIRST = U64((1022 - OCTAVES) << (52 - SHIFT))  # upper bits of 2^-(OCTAVES + 1)
ERROR = 2e-10  # an estimate is nearer than this


@functools.cache
def segments() -> NDArray[np.float64]:
    """Coefficients of each segment, the constant first; not-a-number for what is outside."""
    from scipy.special import ndtri  # slow to import

    begins = (np.arange(N_SEGMENTS, dtype=np.uint64) + FIRST) << U64(SHIFT)
    begin, end = begins.view(np.float64), (begins + (U64(1) << U64(SHIFT))).view(np.float64)
    # through the values at Chebyshev's nodes
    nodes = (1.0 - np.cos((np.arange(4) + 0.5) * np.pi / 4)) / 2
    length = (end - begin)[:, np.newaxis]
    values = ndtri(begin[:, np.newaxis] + nodes * length)
    coefficients = values @ np.linalg.inv(np.vander(nodes, increasing=True)).T
    outside = np.full(4, np.nan)
    return np.append(coefficients / length ** np.arange(4), outside)


@njit(cache=True, nogil=True)
def _locate(u: Any, below: float, between: float, segment: Any, distance: Any) -> None:
    """Put `u` between the bounds; the segment of each, and its distance from where that begins."""
    for number in range(u.size):
        i = U64(number)
        u[i] = below + u[i] * between
        y = min(u[i], 1.0 - u[i])
        upper = U64(signs(y)) >> U64(SHIFT)
        segment[i] = min(upper - FIRST, U64(N_SEGMENTS))  # what is smaller wraps around
        distance[i] = y - from_bits(upper << U64(SHIFT))


@njit(cache=True, nogil=True)
def _estimate(segment: Any, x: Any, table: Any) -> None:
    """Distances become estimates, in place, not-a-number outside of all segments."""
    for number in range(x.size):
        i = U64(number)
        k, d = segment[i] << U64(2), x[i]
        x[i] = table[k] + d * (table[k + U64(1)] + d * (table[k + U64(2)] + d * table[k + U64(3)]))


@njit(cache=True, nogil=True)
def _weigh(u: Any, x: Any, mean: float, sd: float, low: float, high: float) -> Any:
    """Estimates become weights, in place; not-a-number where they do not decide.

    Returns
    -------
    int
        How often that is.
    """
    n = 0
    for number in range(u.size):
        i = U64(number)
        estimate = -x[i] if u[i] > 0.5 else x[i]
        one, other = mean + sd * (estimate - ERROR), mean + sd * (estimate + ERROR)
        weight = np.float64(np.float32(min(max(one, low), high)))
        decides = np.float32(one) == np.float32(other)
        x[i] = weight if decides else np.nan
        n += not decides
    return n


@njit(cache=True, nogil=True)
def normal_weights(u: Any, weight: Any, table: Any, out: Any) -> None:
    """Uniform numbers become weights.

    Parameters
    ----------
    u : array of float64
        It is overwritten.
    weight : tuple of float
        See `_edges.Drawn`.
    table : array of float64
        From `segments`.
    out : array of float64
    """
    mean, sd, below, between, low, high = weight
    segment = np.empty(SIZE, np.uint64)
    for begin in range(0, u.size, SIZE):
        p, x = u[begin : begin + SIZE], out[begin : begin + SIZE]
        _locate(p, below, between, segment, x)
        _estimate(segment, x, table)
        if _weigh(p, x, mean, sd, low, high):
            for i in range(p.size):
                if np.isnan(x[U64(i)]):
                    exact = mean + sd * inverse_normal(p[i])
                    x[i] = np.float64(np.float32(min(max(exact, low), high)))

"""Functions that become vector instructions: the system's are called for one number at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import extending, njit, types

from ._llvm import bits_of, bits_of_double, float_of, from_bits
from ._threefry import threefry

# shifts that bring the integer part of a number into its last bits
MAGIC, MAGIC_SINGLE = 1.5 * 2.0**52, np.float32(1.5 * 2.0**23)
LOG2E = 1.0 / math.log(2.0)
LN2_HIGH, LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
SERIES = tuple(1.0 / math.factorial(k) for k in range(14))
SINGLE = tuple(np.float32(x) for x in SERIES[:8])
LOG2E_SINGLE = np.float32(LOG2E)
LN2_HIGH_SINGLE, LN2_LOW_SINGLE = np.float32(0.693359375), np.float32(-2.12194440e-4)
INLINED: Any = {"forceinline": True, "error_model": "numpy"}  # by LLVM, as `_llvm.inlined` says
U32, U64, F32 = np.uint32, np.uint64, np.float32


def exp(x: Any) -> Any:
    """The exponential function, exact to a unit or two in the last place.

    Arguments beyond +-708 (+-87 in single precision) are taken as that.
    """
    raise NotImplementedError("it is for compiled code")


@extending.overload(exp, jit_options=INLINED)
def _exp(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            x = min(max(x, F32(-87.0)), F32(88.0))
            shifted = x * LOG2E_SINGLE + MAGIC_SINGLE
            k = shifted - MAGIC_SINGLE
            r = x - k * LN2_HIGH_SINGLE - k * LN2_LOW_SINGLE
            r2 = r * r
            p0 = (SINGLE[0] + SINGLE[1] * r) + (SINGLE[2] + SINGLE[3] * r) * r2
            p1 = (SINGLE[4] + SINGLE[5] * r) + (SINGLE[6] + SINGLE[7] * r) * r2
            p = p0 + p1 * (r2 * r2)
            return float_of(U32(bits_of(p) + U32(bits_of(shifted) << U32(23))))

        return single

    def double(x: Any) -> Any:
        x = min(max(x, -708.0), 709.0)
        shifted = x * LOG2E + MAGIC
        k = shifted - MAGIC
        r = x - k * LN2_HIGH - k * LN2_LOW
        r2 = r * r
        r4 = r2 * r2
        # sums that do not wait for each other
        p0 = (SERIES[0] + SERIES[1] * r) + (SERIES[2] + SERIES[3] * r) * r2
        p1 = (SERIES[4] + SERIES[5] * r) + (SERIES[6] + SERIES[7] * r) * r2
        p2 = (SERIES[8] + SERIES[9] * r) + (SERIES[10] + SERIES[11] * r) * r2
        p3 = SERIES[12] + SERIES[13] * r
        p = (p0 + p1 * r4) + (p2 + p3 * r4) * (r4 * r4)
        return from_bits(bits_of_double(p) + (bits_of_double(shifted) << U64(52)))

    return double


# 2**x = 1 + x (c1 + x (c2 + ...)) from -1/2 to 1/2, with the least largest relative error
POWERS = (
    0.6931471807045317, 0.24022651066561332, 0.055504103659913845, 0.009618038132034174,
    0.0013333935055614941, 0.0001546675632485301, 1.5196156538103099e-05,
)  # fmt: skip
POWERS_SINGLE = tuple(
    np.float32(x)
    for x in (0.693146977598857, 0.24022242085173207, 0.055507337436911525, 0.009671512648910807,
              0.0013264727065276337)
)  # fmt: skip


def near_exp2(x: Any) -> Any:
    """2 to the power of x, for solvers, whose own errors are larger.

    The relative error is less than 5e-11 (2e-7 in single precision). Arguments beyond +-1020 (+-125
    in single precision) are taken as that.
    """
    raise NotImplementedError("it is for compiled code")


@extending.overload(near_exp2, jit_options=INLINED)
def _near_exp2(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            x = min(max(x, F32(-125.0)), F32(125.0))
            shifted = x + MAGIC_SINGLE
            r = x - (shifted - MAGIC_SINGLE)
            r2 = r * r
            p = (F32(1.0) + POWERS_SINGLE[0] * r) + (POWERS_SINGLE[1] + POWERS_SINGLE[2] * r) * r2
            p = p + (POWERS_SINGLE[3] + POWERS_SINGLE[4] * r) * (r2 * r2)
            return float_of(U32(bits_of(p) + U32(bits_of(shifted) << U32(23))))

        return single

    def double(x: Any) -> Any:
        x = min(max(x, -1020.0), 1020.0)
        shifted = x + MAGIC
        r = x - (shifted - MAGIC)
        r2 = r * r
        p0 = (1.0 + POWERS[0] * r) + (POWERS[1] + POWERS[2] * r) * r2
        p1 = (POWERS[3] + POWERS[4] * r) + (POWERS[5] + POWERS[6] * r) * r2
        p = p0 + p1 * (r2 * r2)
        return from_bits(bits_of_double(p) + (bits_of_double(shifted) << U64(52)))

    return double


@njit(inline="always")
def uniform(neuron: Any, step: Any, number: Any, key0: Any, key1: Any) -> Any:
    """A number from 0 to 1: a neuron's draw of some number in a step."""
    bits = threefry(U64(neuron), U64(step), U64(number), U64(key0), U64(key1))[0]
    return np.float64(bits >> U64(12)) * 2.0**-52 + 2.0**-53


@njit(inline="always")
def normal(neuron: Any, step: Any, number: Any, key0: Any, key1: Any) -> Any:
    """A number of the standard normal distribution, by Box and Muller's method."""
    x0, x1, _, _ = threefry(U64(neuron), U64(step), U64(number), U64(key0), U64(key1))
    radius = np.sqrt(-2.0 * np.log(np.float64(x0 >> U64(12)) * 2.0**-52 + 2.0**-53))
    return radius * np.cos(2.0 * np.pi * np.float64(x1 >> U64(12)) * 2.0**-52)


def nearest(x: Any) -> Any:
    """The nearest whole number; halves go away from 0."""
    raise NotImplementedError("it is for compiled code")


@extending.overload(nearest, jit_options=INLINED)
def _nearest(x: Any) -> Any:
    def whole(x: Any) -> Any:
        return np.trunc(x + math.copysign(0.5, x))

    return whole

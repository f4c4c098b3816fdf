"""Positions of values on an axis, and round numbers to write at it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Tick:
    """A tick: where it is, and what stands there."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """Values to positions."""

    low: float
    high: float
    length: float

    def __call__(self, values: FloatArray) -> FloatArray:
        """Positions of values; those beyond the ends lie at the ends."""
        inside = np.clip(values, self.low, self.high)
        positions: FloatArray = (inside - self.low) / (self.high - self.low) * self.length
        return positions

    def at(self, value: float) -> float:
        """The position of one value."""
        return round(float(self(np.array([value]))[0]), 2)

    def ticks(self) -> tuple[Tick, ...]:
        """Three or so round numbers."""
        return tuple(Tick(self.at(x), f"{x:g}") for x in round_numbers(self.low, self.high, 3))


def round_numbers(low: float, high: float, number: int) -> list[float]:
    """So many or so multiples of 1, 2 or 5 times a power of ten between two numbers.

    Examples
    --------
    >>> round_numbers(0.3, 6.1, 3)
    [2.0, 4.0, 6.0]
    """
    rough = (high - low) / number
    if not (math.isfinite(rough) and rough > 0):
        return []
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.6g}") for i in range(first, last + 1)]

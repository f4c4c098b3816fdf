"""Pictures with a line for each of several things that are compared: paths of the page's SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..drawing import Axis, Tick
from .panels import HEIGHT, WIDTH

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """One picture with a line for each of what is compared.

    Attributes
    ----------
    population : str
    ticks : tuple of Tick
    lines : tuple of (int, str)
        Number of what is compared, and its path.
    theory : str
        Path of what theory says of the first.
    highest : str
        What the upper end of the picture stands for.
    """

    population: str
    ticks: tuple[Tick, ...]
    lines: tuple[tuple[int, str], ...]
    theory: str = ""
    highest: str = ""


def distribution_curves(population: str, samples: Sequence[FloatArray]) -> Curves:
    """Distribution functions.

    Parameters
    ----------
    population : str
    samples : sequence of array
        Order statistics of each; empty for those of which there are none.

    Examples
    --------
    >>> curves = distribution_curves("L4E", [np.arange(3.0), np.empty(0)])
    >>> [number for number, path in curves.lines]
    [0]
    """
    known = [sample for sample in samples if sample.size]
    if not known:
        return Curves(population, (), ())
    low = min(float(np.percentile(sample, 1)) for sample in known)
    high = max(float(np.percentile(sample, 99)) for sample in known)
    margin = 0.04 * (high - low) or 0.5
    axis = Axis(low - margin, high + margin, WIDTH)
    lines = tuple(
        (k, line(axis(sample), HEIGHT * (1 - (np.arange(sample.size) + 0.5) / sample.size)))
        for k, sample in enumerate(samples)
        if sample.size
    )
    return Curves(population, axis.ticks(), lines)


def line(x: FloatArray, y: FloatArray) -> str:
    """The path through some points.

    Examples
    --------
    >>> line(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    'M0.0 2.0L1.0 3.0'
    """
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))

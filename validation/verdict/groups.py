"""Two groups of seeds, one number a seed: whether they agree in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..activity import LINEAR, Scale
from .comparison import MIN_SEEDS
from .significance import Student, student

FloatArray = NDArray[np.float64]


def between_groups(
    values: FloatArray,
    others: FloatArray,
    *,
    scale: Scale = LINEAR,
    grain: float = 0.0,
    tail: float = np.inf,
) -> Student | None:
    """Student's test of the means of two groups; None with fewer than `MIN_SEEDS` in either.

    Parameters
    ----------
    values, others : array
        One number a seed.
    scale : Scale
        On which the numbers vary normally.
    grain : float
        How exactly the numbers are known: groups that agree exactly are taken to vary as much.
    tail : float
        Degrees of freedom of the numbers themselves, see `significance.degrees_of_freedom`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> low, high = rng.normal(1.0, 0.1, 6), rng.normal(2.0, 0.1, 6)
    >>> between_groups(low, high).two_sided < 1e-6, between_groups(low[:4], high) is None
    (True, True)
    """
    if min(values.size, others.size) < MIN_SEEDS:
        return None
    x, y = scale.forward(values), scale.forward(others)
    # of equal bins; and of numbers that do not vary at all
    floor = max(grain / 12**0.5, 1e-9 * (1 + abs(float(y.mean()))))
    return student(x, float(y.mean()), 1 / y.size, y, y.size - 1, tail=tail, floor=floor)

r"""Student's and Hotelling's tests of seeds against seeds, and the adjustment for their number.

Seeds are the units: one value (or one vector of values) a seed. Everything here is pure arithmetic.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

FloatArray = NDArray[np.float64]

ALPHA = 0.01
POWER = 0.8
SPARE_DEGREES = 5  # that Hotelling's test must have left over: with fewer it sees nothing
_TINY = 1e-300  # in place of a standard deviation of zero


class Student(NamedTuple):
    """Student's test of a difference.

    Attributes
    ----------
    t : float
    degrees : int
        Of freedom.
    spread : float
        Standard deviation over seeds.
    error : float
        Standard error of the difference.
    """

    t: float
    degrees: int
    spread: float
    error: float

    @property
    def two_sided(self) -> float:
        """Probability of a |t| as large as this."""
        return 2 * float(stats.t.sf(abs(self.t), self.degrees))

    @property
    def one_sided(self) -> float:
        """Probability of a t as large as this."""
        return float(stats.t.sf(self.t, self.degrees))


def student(
    values: FloatArray, expected: float, weight: float, seeds: FloatArray, degrees: int
) -> Student:
    r"""Test whether the values of some seeds are like those of others.

    :math:`t = (\bar x - e) / (s \sqrt{1/m + w})` for the mean of the m values, what is expected of
    it, and the standard deviation s, pooled over `values` and `seeds`.

    Parameters
    ----------
    values : array, shape (m,)
        One a seed.
    expected : float
    weight : float
        Variance of `expected` in units of the variance between seeds: 1/n if it is a mean of n.
    seeds : array
        Values of seeds that are known to be honest.
    degrees : int
        Degrees of freedom of the variance of `seeds`.

    Examples
    --------
    >>> found = student(np.array([3.0]), 1.0, 1 / 3, np.array([0.0, 1.0, 2.0]), 2)
    >>> round(found.t, 3), found.degrees
    (1.732, 2)
    """
    squares = float(seeds.var(ddof=1)) * degrees + float(values.var()) * values.size
    total = degrees + values.size - 1
    spread = float(np.sqrt(squares / total))
    error = max(spread * float(np.sqrt(1 / values.size + weight)), _TINY)
    return Student((float(values.mean()) - expected) / error, total, spread, error)


def hotelling(
    values: FloatArray, expected: FloatArray, weight: float, seeds: FloatArray
) -> tuple[float, float] | None:
    r"""The same for a vector a seed: Hotelling's T², which knows how its components vary together.

    :math:`T^2 = (\bar x - e)^T S^{-1} (\bar x - e) / (1/m + w)` with the covariance S pooled over
    `values` and `seeds`; :math:`T^2 (f - p + 1)/(f p)` has an F distribution with p and f - p + 1
    degrees of freedom, f = m + n - 2 (Hotelling 1931, doi:10.1214/aoms/1177732979).

    Parameters
    ----------
    values : array, shape (m, p)
    expected : array, shape (p,)
    weight : float
        As in `student`.
    seeds : array, shape (n, p)

    Returns
    -------
    tuple of float, or None
        T² and its probability; None with too few seeds for so many components.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> seeds = rng.normal(size=(30, 4))
    >>> squared, p = hotelling(np.full((1, 4), 9.0), seeds.mean(axis=0), 1 / 30, seeds)
    >>> squared > 100, p < 1e-6
    (True, True)
    """
    varies = seeds.std(axis=0) > 0
    if not varies.any():
        return None
    values, expected, seeds = values[:, varies], expected[varies], seeds[:, varies]
    (m, p), n = values.shape, len(seeds)
    degrees = m + n - 2
    if degrees - p + 1 < SPARE_DEGREES:
        return None
    centred = np.vstack([values - values.mean(axis=0), seeds - seeds.mean(axis=0)])
    # standardised, so that a population that hardly varies does not spoil the arithmetic
    scale = seeds.std(axis=0)
    centred, difference = centred / scale, (values.mean(axis=0) - expected) / scale
    covariance = centred.T @ centred / degrees
    squared = float(difference @ np.linalg.lstsq(covariance, difference, rcond=None)[0])
    squared /= 1 / m + weight
    f = squared * (degrees - p + 1) / (degrees * p)
    return squared, float(stats.f.sf(f, p, degrees - p + 1))


def holm(p: FloatArray) -> FloatArray:
    """Holm's adjusted probabilities: family-wise, whatever the dependence between tests.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p)
    scaled = p[order] * (p.size - np.arange(p.size))
    result = np.empty(p.size)
    result[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return result


def detectable_change(error: float, degrees: int, n_tests: int) -> float:
    """Smallest difference that Student's test finds with a probability of `POWER`.

    At the level that Holm's method demands of the smallest of `n_tests` probabilities; from the
    noncentral t distribution.

    Parameters
    ----------
    error : float
        Standard error of the difference.
    degrees : int
        Degrees of freedom of that error.
    n_tests : int

    Examples
    --------
    In standard deviations between seeds: one run, and five, against thirty seeds.

    >>> round(detectable_change((1 + 1 / 30) ** 0.5, degrees=29, n_tests=94), 1)
    5.5
    >>> round(detectable_change((1 / 5 + 1 / 30) ** 0.5, degrees=33, n_tests=94), 1)
    2.6
    """
    return error * _noncentrality(degrees, n_tests)


@cache
def _noncentrality(degrees: int, n_tests: int) -> float:
    critical = stats.t.isf(ALPHA / n_tests / 2, degrees)
    found = brentq(
        lambda shift: stats.nct.sf(critical, degrees, shift) - POWER, 0.0, 10.0 * critical
    )
    return float(found)

r"""Student's and Hotelling's tests of seeds against seeds, and the adjustment for their number.

Seeds are the units: one value (or one vector of values) a seed. Everything here is pure arithmetic.

Three things stand between these tests and false alarms, each measured on honest runs by
``benchmarks/false_alarms.py``:

* Short recordings have heavy tails over seeds: `TAIL` gives the degrees of freedom that they cost.
* A reference is one draw. An unlucky one has too small a spread, and calls honest runs different
  again and again. Holding the mean over references to a fifth of `ALPHA` (`RESERVE`) keeps 95 of
  100 references below `ALPHA`.
* Tests are many: Holm's method.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import brentq

FloatArray = NDArray[np.float64]

ALPHA = 0.01  # of the runs that are honest, called different
CONFIDENCE = 0.95  # that a reference keeps to ALPHA
RESERVE = 5.0  # ALPHA over the mean rate of false alarms, over references, that gives CONFIDENCE
TAIL = 15.0  # degrees of freedom of one second of one run
POWER = 0.8
SPARE_DEGREES = 5  # that Hotelling's test must have left over: with fewer it sees nothing
_TINY = 1e-300  # in place of a standard deviation of zero


class Student(NamedTuple):
    """Student's test of a difference.

    Attributes
    ----------
    t : float
    degrees : float
        Of freedom.
    spread : float
        Standard deviation over seeds.
    error : float
        Standard error of the difference.
    """

    t: float
    degrees: float
    spread: float
    error: float

    @property
    def two_sided(self) -> float:
        """Probability of a |t| as large as this."""
        return 2 * float(special.stdtr(self.degrees, -abs(self.t)))

    @property
    def one_sided(self) -> float:
        """Probability of a t as large as this."""
        return float(special.stdtr(self.degrees, -self.t))


def student(
    values: FloatArray,
    expected: float,
    weight: float,
    seeds: FloatArray,
    degrees: int,
    *,
    tail: float = np.inf,
    floor: float = 0.0,
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
    tail : float
        Degrees of freedom of the values themselves; see `degrees_of_freedom`.
    floor : float
        The standard deviation is at least this.

    Examples
    --------
    >>> test = student(np.array([3.0]), 1.0, 1 / 3, np.array([0.0, 1.0, 2.0]), 2)
    >>> round(test.t, 3), test.degrees
    (1.732, 2.0)
    """
    squares = float(seeds.var(ddof=1)) * degrees + float(values.var()) * values.size
    total = degrees + values.size - 1
    spread = max(float(np.sqrt(squares / total)), floor)
    error = max(spread * float(np.sqrt(1 / values.size + weight)), _TINY)
    t = (float(values.mean()) - expected) / error
    return Student(t, degrees_of_freedom(total, tail), spread, error)


def degrees_of_freedom(degrees: float, tail: float) -> float:
    """Degrees of freedom of Student's t for values that are themselves not normal.

    A value with a heavy tail is a normal one times a random factor, as t is: the factor of a t
    distribution with `tail` degrees of freedom. The (relative) variances of the two factors, 2 over
    the degrees of freedom each, add.

    Examples
    --------
    >>> degrees_of_freedom(29, np.inf), round(degrees_of_freedom(29, 30), 1)
    (29.0, 14.7)
    """
    return 1 / (1 / degrees + 1 / tail)


def hotelling(
    values: FloatArray,
    expected: FloatArray,
    weight: float,
    seeds: FloatArray,
    *,
    tail: float = np.inf,
) -> tuple[float, float] | None:
    r"""The same for a vector a seed: Hotelling's T², which knows how its components vary together.

    :math:`T^2 = (\bar x - e)^T S^{-1} (\bar x - e) / (1/m + w)` with the covariance S pooled over
    `values` and `seeds`; :math:`T^2 (f - p + 1)/(f p)` has an F distribution with p and f - p + 1
    degrees of freedom, f = m + n - 2 (Hotelling 1931, doi:10.1214/aoms/1177732979), the second
    number diminished by `tail` as in `student`.

    Parameters
    ----------
    values : array, shape (m, p)
    expected : array, shape (p,)
    weight, tail : float
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
    spare = degrees - p + 1
    if spare < SPARE_DEGREES:
        return None
    centred = np.vstack([values - values.mean(axis=0), seeds - seeds.mean(axis=0)])
    # standardised, so that a population that hardly varies does not spoil the arithmetic
    scale = seeds.std(axis=0)
    centred, difference = centred / scale, (values.mean(axis=0) - expected) / scale
    covariance = centred.T @ centred / degrees
    squared = float(difference @ np.linalg.lstsq(covariance, difference, rcond=None)[0])
    squared /= 1 / m + weight
    f = squared * spare / (degrees * p)
    return squared, float(special.fdtrc(p, degrees_of_freedom(spare, tail), f))


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


def adjusted(p: FloatArray) -> FloatArray:
    """Probabilities that may be compared with `ALPHA`: Holm's, times `RESERVE`.

    Examples
    --------
    >>> adjusted(np.array([0.001, 0.04]))
    array([0.01, 0.2 ])
    """
    return np.minimum(RESERVE * holm(p), 1.0)


def detectable_change(error: float, degrees: float, n_tests: int) -> float:
    """Smallest difference that Student's test finds with a probability of `POWER`.

    At the level that is demanded of the smallest of `n_tests` probabilities; from the noncentral
    t distribution.

    Parameters
    ----------
    error : float
        Standard error of the difference.
    degrees : float
        Degrees of freedom of that error.
    n_tests : int

    Examples
    --------
    In standard deviations between seeds: one run, and five, against thirty seeds.

    >>> round(detectable_change((1 + 1 / 30) ** 0.5, degrees=29, n_tests=94), 1)
    6.1
    >>> round(detectable_change((1 / 5 + 1 / 30) ** 0.5, degrees=33, n_tests=94), 1)
    2.8
    """
    return error * _noncentrality(degrees, n_tests)


@cache
def _noncentrality(degrees: float, n_tests: int) -> float:
    critical = -special.stdtrit(degrees, ALPHA / RESERVE / n_tests / 2)
    return float(
        brentq(lambda shift: stats.nct.sf(critical, degrees, shift) - POWER, 0.0, 10.0 * critical)
    )

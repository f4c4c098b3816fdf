"""How many synapses a neuron gets, and with which weights and delays, in expected numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyNN.random import RandomDistribution

from .draws import quantile_function
from .values import computed

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Values:
    """A discrete distribution in the place of any: values and their probabilities.

    Projections that draw from one distribution share it.

    Attributes
    ----------
    values, probabilities : array
    """

    values: F64
    probabilities: F64

    def __iter__(self) -> Iterator[F64]:
        yield from (self.values, self.probabilities)

    @cached_property
    def mean(self) -> float:
        """Of the values."""
        return float(self.probabilities @ self.values)

    @cached_property
    def moments(self) -> F64:
        """Means of the first to fourth powers."""
        return self.values ** np.arange(1, 5)[:, np.newaxis] @ self.probabilities

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value; zeros where there is none."""
        if not self.values.size:
            return 0.0, 0.0
        return float(self.values.min()), float(self.values.max())


class Degree(NamedTuple):
    """Synapses of one target neuron: their expected number, and its variance over neurons."""

    mean: float
    variance: float


@dataclass(frozen=True, eq=False)
class Arriving:
    """What the neurons of a population get, for each spike/s of those that send to them.

    Attributes
    ----------
    mean, square, cube : float
        Of the sum of a neuron's weights, of that of their squares, which makes its input fluctuate,
        and of that of their cubes, which makes it lopsided: means over neurons.
    cumulants : array, shape (3,)
        The second, third and fourth over neurons, of the sum of weights: how neurons differ where
        all that send to them fire alike.
    of_rates : float
        What the variance of the rates of those that send adds to the second.
    sums : array, shape (size,), optional
        The sum of each neuron's weights, where synapses had to be drawn.
    """

    mean: float
    square: float
    cube: float
    cumulants: F64
    of_rates: float = 0.0
    sums: F64 | None = None

    def scaled(self, factor: float) -> Arriving:
        """With weights so many times as large."""
        return Arriving(
            factor * self.mean,
            factor**2 * self.square,
            factor**3 * self.cube,
            factor**ORDERS * self.cumulants,
            factor**2 * self.of_rates,
            None if self.sums is None else factor * self.sums,
        )


ORDERS = np.arange(2, 5)  # of cumulants
ROUNDING = 1e-12  # of a square


@lru_cache(4096)
def of_numbers(
    degree: Degree, weights: Values, *, arrives: float, rates: Values | None, choices: int | None
) -> Arriving:
    """From numbers of synapses, and weights and rates that do not depend on each other.

    Parameters
    ----------
    degree : Degree
    weights : Values
    arrives : float
        The share of spikes that do.
    rates : Values or None
        Of spike sources, spikes/s: what arrives has them in it. None if those that send are
        neurons.
    choices : int or None
        The number of those that send, of which no neuron gets two synapses of one: the more of
        them it gets, the less neurons differ. None where it may.
    """
    if not degree.mean:
        return Arriving(0.0, 0.0, 0.0, np.zeros(3))
    strength = weights.moments * arrives ** np.arange(1, 5)
    square, cube = degree.mean * arrives * weights.moments[1:3]
    cumulants = _of_sum(degree, strength)
    pairs = degree.variance + degree.mean**2 - degree.mean  # of synapses of one neuron
    together = pairs / (choices - 1) if choices and choices > 1 else 0.0
    of_rates = degree.mean * strength[1] - together * strength[0] ** 2
    mean = degree.mean * strength[0]
    of_rates = of_rates if of_rates > ROUNDING * mean**2 else 0.0
    if rates is None:
        return Arriving(mean, square, cube, cumulants, of_rates)
    first, second = rates.moments[:2]
    chance = _of_sum(degree, strength * rates.moments) - cumulants * first**ORDERS
    chance *= (1 - together / degree.mean) ** ORDERS
    chance[0] = of_rates * (second - first**2)
    cumulants = _clean(mean * first, cumulants * first**ORDERS + chance)
    return Arriving(mean * first, square * first, cube * first, cumulants)


def _of_sum(degree: Degree, moments: F64) -> F64:
    """Cumulants of a sum of so many terms with these moments.

    Their number is taken as if each of K/p were there with probability p.
    """
    p = 1 - degree.variance / degree.mean
    first, second, third, fourth = moments
    of_each = [
        second - p * first**2,
        third - 3 * p * first * second + 2 * p**2 * first**3,
        fourth
        - p * (4 * first * third + 3 * second**2)
        + 12 * p**2 * first**2 * second
        - 6 * p**3 * first**4,
    ]
    return _clean(degree.mean * first, degree.mean * np.array(of_each))


def cumulants_of(values: F64) -> F64:
    """The second to fourth."""
    mean = values.mean()
    second, third, fourth = (((values - mean) ** k).mean() for k in ORDERS)
    return _clean(mean, np.array([second, third, fourth - 3 * second**2]))


def _clean(mean: float, cumulants: F64) -> F64:
    """Zeros for what is there by rounding."""
    return cumulants if cumulants[0] > ROUNDING * mean**2 else np.zeros(3)


def of_synapses(
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    weights: F64,
    size: int,
    *,
    arrives: float,
    rates: F64 | None,
) -> Arriving:
    """From synapses, one by one.

    Parameters
    ----------
    sources, targets : array, shape (n,)
    weights : array, shape (n,)
    size : int
        Of the population that gets them.
    arrives : float
    rates : array or None
        Of spike sources, by their index; see `of_numbers`.
    """
    each = arrives * weights
    if rates is not None:
        each = each * rates[sources]
    sums = np.asarray(np.bincount(targets, each, size), float)
    of_rates = 0.0
    if rates is None:
        shared = np.bincount(sources, each) / size
        of_rates = max(float((each**2).sum() / size - (shared**2).sum()), 0.0)
    return Arriving(
        float(sums.mean()),
        float(each @ weights / size),
        float(each @ weights**2 / size),
        cumulants_of(sums),
        of_rates,
        sums,
    )


@cache  # not at each start: with threads that have no core it takes a second
def _gauss() -> tuple[F64, F64]:
    """Quantiles that stand for a distribution, from 0 to 1, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return (nodes + 1) / 2, weights / 2


@lru_cache(4096)
def constant(value: float) -> Values:
    """One number for all."""
    return Values(np.array([value]), np.ones(1))


def quantiles(value: Any) -> Values:
    """Gauss's nodes of the quantile function: a distribution's moments are theirs."""
    drawn = value.base_value
    nodes, weights = _gauss()
    try:
        found = _quantiles_of(drawn.name, tuple(drawn.parameters.items()))
    except TypeError:  # parameters that are arrays
        found = Values(quantile_function(drawn)(nodes), weights)
    if not value.operations:
        return found
    return Values(computed(value, found.values), weights)


@lru_cache(4096)
def _quantiles_of(name: str, parameters: tuple[tuple[str, float], ...]) -> Values:
    """Of a distribution that many projections draw from."""
    nodes, weights = _gauss()
    drawn = quantile_function(RandomDistribution(name, **dict(parameters)))(nodes)
    return Values(np.asarray(drawn, float), weights)


def _binomial(trials: float, probability: float) -> Degree:
    return Degree(trials * probability, trials * probability * (1 - probability))


def _total(connector: Any, n_pre: int, n_post: int) -> Degree | None:
    if not isinstance(connector.n, int | np.integer):
        return None
    found = _binomial(int(connector.n), 1 / n_post)
    pairs = n_pre * n_post
    if connector.with_replacement or pairs < 2:
        return found
    return Degree(found.mean, found.variance * (pairs - connector.n) / (pairs - 1))


def _post(connector: Any, n_pre: int, n_post: int) -> Degree | None:
    if not isinstance(connector.n, int | np.integer):
        return None
    n = int(connector.n)
    if connector.with_replacement:
        return _binomial(n_pre * n, 1 / n_post)
    return _binomial(n_pre, n / n_post)


DEGREES: Mapping[str, Callable[[Any, int, int], Degree | None]] = {
    "AllToAllConnector": lambda c, n_pre, n_post: Degree(n_pre, 0.0),
    "OneToOneConnector": lambda c, n_pre, n_post: Degree(1.0, 0.0) if n_pre == n_post else None,
    "FixedProbabilityConnector": lambda c, n_pre, n_post: _binomial(n_pre, c.p_connect),
    "FixedNumberPreConnector": lambda c, n_pre, n_post: (
        Degree(float(c.n), 0.0) if isinstance(c.n, int | np.integer) else None
    ),
    "FixedNumberPostConnector": _post,
    "FixedTotalNumberConnector": _total,
}
"""In-degree by connector, from the numbers of sources and targets; None where it is drawn."""


def in_common(sums: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Covariances over neurons of what they get from several sources, 0 on the diagonal.

    Parameters
    ----------
    sums : sequence of array, shape (n_neurons,)
        Of each source: the sum of each neuron's weights.
    """
    covariances = np.asarray(np.cov(np.stack(sums), bias=True), float)
    np.fill_diagonal(covariances, 0.0)
    return covariances


def standard(cumulants: F64) -> tuple[F64, F64]:
    """Third and fourth cumulant of what is scaled to a variance of 1.

    Parameters
    ----------
    cumulants : array, shape (3, ...)
        Second to fourth.
    """
    second, third, fourth = cumulants
    variance = np.where(second > 0, second, 1.0)
    skewness = np.where(second > 0, third / variance / np.sqrt(variance), 0.0)
    return skewness, np.where(second > 0, fourth / variance / variance, 0.0)


RARE = 1e-6  # the weight of a place that does not matter


def typical(skewness: F64, excess: F64, n: int) -> tuple[F64, F64]:
    r"""Places that stand for distributions with mean 0 and variance 1, and their weights.

    Gauss's rule of a distribution of Meixner's class with these moments: exact for polynomials to
    the fourth degree, and of the normal, gamma, Poisson and binomial distribution to degree 2n-1
    ([1]_). Two values need two places.

    Parameters
    ----------
    skewness, excess : array, shape (m,)
        Third and fourth cumulant.
    n : int
        Places at most.

    Returns
    -------
    tuple of array, shape (m, n)

    References
    ----------
    .. [1] Golub GH, Welsch JH (1969). Math Comp 23:221-230. doi:10.2307/2004418

    Examples
    --------
    >>> places, weights = typical(np.array([0.0]), np.array([-2.0]), 3)
    >>> places[weights > 0].round(3).tolist(), weights[weights > 0].round(3).tolist()
    ([-1.0, 1.0], [0.5, 0.5])
    """
    k = np.arange(n)
    bend = np.maximum((excess - skewness**2) / 2, -1.0)
    squares = k[1:] * np.maximum(1 + np.multiply.outer(bend, k[1:] - 1), 0.0)
    squares *= np.cumprod(squares > 1e-9, axis=-1)  # beyond, there is no further place
    matrix = np.zeros((*np.shape(skewness), n, n))
    matrix[..., k, k] = np.multiply.outer(skewness, k)
    matrix[..., k[1:], k[:-1]] = matrix[..., k[:-1], k[1:]] = np.sqrt(squares)
    places, vectors = np.linalg.eigh(matrix)
    weights = vectors[..., 0, :] ** 2
    return np.where(weights > RARE, places, 0.0), weights

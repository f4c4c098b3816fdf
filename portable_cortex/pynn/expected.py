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
    def mean_square(self) -> float:
        """Of the values."""
        return float(self.probabilities @ self.values**2)

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


@cache  # not at each start: with threads that have no core it takes a second
def _gauss() -> tuple[F64, F64]:
    """Quantiles that stand for a distribution, from 0 to 1, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return (nodes + 1) / 2, weights / 2


@lru_cache(4096)
def constant(value: float) -> Values:
    """One number for all."""
    return Values(np.array([value]), np.ones(1))


@lru_cache(4096)
def thinned(values: Values, probability: float) -> Values:
    """With zeros for what does not arrive."""
    return Values(
        np.append(values.values, 0.0),
        np.append(probability * values.probabilities, 1 - probability),
    )


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
        Of each source: in-degrees times a mean weight.
    """
    covariances = np.asarray(np.cov(np.stack(sums), bias=True), float)
    np.fill_diagonal(covariances, 0.0)
    return covariances

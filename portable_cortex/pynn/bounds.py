"""Whether a simulator may draw values that nobody will look at: how probable a wrong one is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

TOLERATED = 1e-6  # expected number of wrong values that need not be looked for
HOPELESS = 50.0  # expected number of wrong values from which on none need be drawn


def expected_outside(distribution: Any, n: float, low: float, high: float) -> float:
    """How many of `n` values of a distribution are below `low` or above `high`, on average.

    Infinitely many of a distribution that is not known here.

    Parameters
    ----------
    distribution : pyNN.random.RandomDistribution

    Examples
    --------
    >>> from pyNN.random import RandomDistribution
    >>> expected_outside(RandomDistribution("uniform", low=-1.0, high=3.0), 100, 0.0, np.inf)
    25.0
    """
    p = distribution.parameters
    return n * _probability(distribution.name, p, low, high) if n else 0.0


def _probability(name: str, p: Any, low: float, high: float) -> float:
    """How probable it is that a value of a distribution is below `low` or above `high`."""

    def ndtr(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    def normal(mean: float, sd: float, below: float, above: float) -> float:
        if sd == 0:
            return float(mean < below or mean > above)
        return ndtr((below - mean) / sd) + ndtr((mean - above) / sd)

    def clipped(mu: float, sigma: float, least: float, most: float) -> float:
        if least >= low and most <= high:
            return 0.0
        return normal(mu, sigma, low, high) / max(1.0 - normal(mu, sigma, least, most), 1e-12)

    def to_boundary(mu: float, sigma: float, least: float, most: float) -> float:
        return 0.0 if least >= low and most <= high else normal(mu, sigma, low, high)

    def between(least: float, most: float) -> float:
        inside = min(high, most) - max(low, least)
        return 1.0 - max(0.0, inside) / (most - least) if most > least else float(inside < 0)

    def logarithm(bound: float) -> float:
        return float(np.log(bound)) if bound > 0 else -np.inf

    def of_exponential(beta: float) -> float:
        below = 1.0 - float(np.exp(-max(low, 0.0) / beta))
        return below + (float(np.exp(-high / beta)) if high > 0 else 1.0)

    probabilities: dict[str, Any] = {
        "normal": lambda: normal(p["mu"], p["sigma"], low, high),
        "normal_clipped": lambda: clipped(p["mu"], p["sigma"], p["low"], p["high"]),
        "normal_clipped_to_boundary": lambda: to_boundary(p["mu"], p["sigma"], p["low"], p["high"]),
        "uniform": lambda: between(p["low"], p["high"]),
        "uniform_int": lambda: between(p["low"], p["high"]),
        "lognormal": lambda: normal(p["mu"], p["sigma"], logarithm(low), logarithm(high)),
        "exponential": lambda: of_exponential(p["beta"]),
    }
    return float(probabilities[name]()) if name in probabilities else math.inf

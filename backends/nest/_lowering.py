"""PyNN's connectors and random distributions in NEST's own terms."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from pyNN import connectors
from pyNN.common import Population
from pyNN.random import RandomDistribution

from ._pynn import nest

# PyNN's name of a distribution -> what draws it in NEST, given PyNN's parameters
DISTRIBUTIONS: dict[str, Any] = {
    "normal": lambda mu, sigma: _normal(mu, sigma),
    "normal_clipped": lambda mu, sigma, low, high: (
        nest.math.redraw(_normal(mu, sigma), min=low, max=high) if sigma > 0 else mu
    ),
    "normal_clipped_to_boundary": lambda mu, sigma, low, high: (
        _bounded(_normal(mu, sigma), low, high) if sigma > 0 else min(max(mu, low), high)
    ),
    "lognormal": lambda mu, sigma: nest.random.lognormal(mean=mu, std=sigma),
    "uniform": lambda low, high: nest.random.uniform(min=low, max=high),
    "uniform_int": lambda low, high: nest.random.uniform_int(int(high - low)) + int(low),
    "exponential": lambda beta: nest.random.exponential(beta=beta),
}


def _normal(mu: float, sigma: float) -> Any:
    return nest.random.normal(mean=mu, std=sigma) if sigma > 0 else mu


def _bounded(value: Any, low: float, high: float) -> Any:
    if np.isfinite(high):
        value = nest.math.min(value, float(high))
    return nest.math.max(value, float(low)) if np.isfinite(low) else value


def connection_rule(connector: Any, pre: Any, post: Any) -> dict[str, Any] | None:
    """NEST's connection rule for a PyNN connector, or None where NEST has none.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
    pre, post : PyNN Population, PopulationView or Assembly
    """
    loops = getattr(connector, "allow_self_connections", True)
    if loops == "NoMutual" or connector.location_selector is not None:
        return None
    if not loops and max(pre.size, post.size) < 2:
        return None  # there may be no pair, and no value that is wrong
    common = {"allow_autapses": bool(loops)}
    if isinstance(connector, connectors.AllToAllConnector):
        return {"rule": "all_to_all", **common}
    if isinstance(connector, connectors.OneToOneConnector):
        # NEST sorts the nodes of views and assemblies
        in_order = all(
            isinstance(cells, Population) or np.all(np.diff(numbers(cells)) > 0)
            for cells in (pre, post)
        )
        return {"rule": "one_to_one"} if pre.size == post.size and in_order else None
    if isinstance(connector, connectors.FixedProbabilityConnector):
        return {"rule": "pairwise_bernoulli", "p": connector.p_connect, **common}
    if not isinstance(
        connector, connectors.FixedNumberConnector | connectors.FixedTotalNumberConnector
    ):
        return None
    if isinstance(connector.n, RandomDistribution):
        return None
    if not loops and min(pre.size, post.size) < 2:
        return None  # NEST would look for another cell for ever
    n, replacement = int(connector.n), bool(connector.with_replacement)
    if isinstance(connector, connectors.FixedTotalNumberConnector):
        # NEST's rule always draws with replacement
        return {"rule": "fixed_total_number", "N": n, **common} if replacement else None
    common["allow_multapses"] = replacement
    if isinstance(connector, connectors.FixedNumberPreConnector):
        enough = replacement or n <= pre.size - (not loops)
        return {"rule": "fixed_indegree", "indegree": n, **common} if enough else None
    enough = replacement or n <= post.size - (not loops)
    return {"rule": "fixed_outdegree", "outdegree": n, **common} if enough else None


def numbers(cells: Any) -> np.ndarray[Any, Any]:
    """Node numbers of a population, view or assembly."""
    return np.array(cells.all_cells, dtype=np.int64)


def expected_synapses(rule: dict[str, Any], n_pre: int, n_post: int) -> float:
    """About how many connections a rule makes."""
    numbers = {
        "all_to_all": n_pre * n_post,
        "one_to_one": n_post,
        "pairwise_bernoulli": rule.get("p", 0.0) * n_pre * n_post,
        "fixed_total_number": rule.get("N", 0),
        "fixed_indegree": rule.get("indegree", 0) * n_post,
        "fixed_outdegree": rule.get("outdegree", 0) * n_pre,
    }
    return float(numbers[rule["rule"]])


def native_value(value: Any) -> Any:
    """A PyNN parameter as a number or a NEST parameter; None where NEST cannot draw it.

    Parameters
    ----------
    value : pyNN.parameters.LazyArray
    """
    if isinstance(value.base_value, RandomDistribution):
        draw = DISTRIBUTIONS.get(value.base_value.name)
        if draw is None or value.operations:
            return None
        return draw(**value.base_value.parameters)
    if value.is_homogeneous:
        shaped = copy(value)
        shaped.shape = value.shape or (1, 1)
        return float(shaped.evaluate(simplify=True))
    return None

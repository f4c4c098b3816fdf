"""Weights and delays of synapses as PyNN means them: signs, the time grid, limits."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.connectors import FromListConnector
from pyNN.errors import ConnectionError as PyNNConnectionError
from pyNN.standardmodels.base import excitatory_receptor_types, inhibitory_receptor_types

from portable_cortex.synapses import listed_columns

from ._connectors import CSAConnector
from ._simulator import state

TOLERATED = 1e-6  # expected number of wrong values that need not be looked for
HOPELESS = 50.0  # expected number of wrong values from which on none need be drawn


def needed_sign(projection: Any) -> int:
    """1 or -1 where weights must not be below, or above, zero; 0 where both are right."""
    if projection.post.conductance_based or projection.receptor_type in excitatory_receptor_types:
        return 1
    return -1 if projection.receptor_type in inhibitory_receptor_types else 0


def default_receptor(projection: Any) -> str:
    """The receptor for the weights of a projection that names none.

    Raises
    ------
    pyNN.errors.ConnectionError
        For weights of both signs.
    """
    receptors = projection.post.receptor_types
    weights = _known_weights(projection)
    negative = weights[np.isfinite(weights)] < 0
    if len(receptors) < 2 or not negative.any():
        return str(receptors[0])
    if not negative.all() and np.any(weights > 0):
        raise PyNNConnectionError(
            f"projection {projection.label}: weights of both signs without a receptor_type, from "
            f"{np.nanmin(weights):g} to {np.nanmax(weights):g}. Make a projection of those from 0 "
            "and one of those below, or name a receptor_type"
        )
    return str(receptors[1])


def _known_weights(projection: Any) -> NDArray[np.float64]:
    """Weights, or a typical one where they are drawn."""
    connector = projection._connector
    if isinstance(connector, FromListConnector):
        _, _, columns = listed_columns(connector, projection)
        if "weight" in columns:
            return columns["weight"]
    if isinstance(connector, CSAConnector) and connector.has_values:
        return connector.synapses(projection.shape)[2]
    space = {"weight": copy(projection.synapse_type.parameter_space["weight"])}
    value = projection._handle_distance_expressions(space)["weight"]
    if hasattr(value.base_value, "rng"):
        p = value.base_value.parameters
        typical = p["mu"] if "mu" in p else p["low"] + p["high"] if "low" in p else 1.0
        if value.base_value.name == "lognormal":
            typical = 1.0
        for function, argument in value.operations:
            typical = function(typical) if argument is None else function(typical, argument)
        return np.atleast_1d(np.asarray(typical, dtype=float))
    value.shape = (1, 1) if value.is_homogeneous else projection.shape
    return np.atleast_1d(np.asarray(value.evaluate(simplify=True), dtype=float))


def check_weights(weights: Any, projection: Any) -> None:
    """Refuse weights whose sign does not fit the receptor, and what is no number.

    Raises
    ------
    pyNN.errors.ConnectionError
    """
    values = np.asarray(weights, dtype=float)
    sign = needed_sign(projection)
    wrong = values[~np.isfinite(values) | (values * sign < 0)]
    if wrong.size:
        kind = "conductance" if projection.post.conductance_based else "current"
        needed = {1: "0 or more", -1: "0 or less", 0: "finite"}[sign]
        raise PyNNConnectionError(
            f"projection {projection.label}: weights of {kind}-based, {projection.receptor_type} "
            f"synapses must be {needed}, not {wrong[0]:g}. Change the weights, or name another "
            "receptor_type"
        )


def on_grid(delays: Any, projection: Any) -> NDArray[np.float64]:
    """Delays on the time grid, a half rounded up.

    Raises
    ------
    pyNN.errors.ConnectionError
        For those of less than half a step, or outside the limits of ``setup()``.
    """
    values = np.asarray(delays, dtype=float)
    steps = np.floor(np.round(values / state.timestep, 6) + 0.5)
    low, high = delay_limits()
    rounded = np.round(steps * state.timestep, 9)
    wrong = values[~((steps >= 1) & (rounded >= low - 1e-9) & (rounded <= high + 1e-9))]
    if wrong.size:
        limit = f"from {low:g} ms" + (f" to {high:g} ms" if np.isfinite(high) else "")
        raise PyNNConnectionError(
            f"projection {projection.label}: delays must be {limit} (setup's timestep, min_delay "
            f"and max_delay), not {wrong.ravel()[0]:g} ms"
        )
    return rounded


def delay_limits() -> tuple[float, float]:
    """The smallest and the largest delay, ms."""
    return state.least_delay, state.greatest_delay


def is_drawable(name: str, value: Any, n: float, projection: Any) -> bool:
    """Whether about `n` values of a distribution may be taken without a look at each.

    Raises
    ------
    pyNN.errors.ConnectionError
        If it is certain, or nearly, that some of them would be wrong.
    """
    distribution = value.base_value
    if name == "weight":
        sign = needed_sign(projection)
        if not sign:
            return True
        low, high = (0.0, np.inf) if sign > 0 else (-np.inf, 0.0)
    else:
        low, high = delay_limits()
        low -= 0.5 * state.timestep
        high += 0.5 * state.timestep if np.isfinite(high) else 0.0
    if value.operations:
        return False
    expected = n * _probability_outside(distribution.name, distribution.parameters, low, high)
    if expected > HOPELESS:
        raise PyNNConnectionError(
            f"projection {projection.label}: {name}s must be from {low:g} to {high:g}, and some of "
            f"{distribution} are not. Bound the distribution, e.g. normal_clipped"
        )
    return bool(expected < TOLERATED)


def _probability_outside(name: str, p: Any, low: float, high: float) -> float:
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
    return float(probabilities[name]()) if name in probabilities else 0.0

"""sPyNNaker's connectors and synapses, with the attributes that PyNN's have.

sPyNNaker keeps what it was given to itself; the core reads it to draw the `shared` realisation and
to count synapses.
"""

from __future__ import annotations

from copy import copy
from numbers import Real
from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import connectors
from pyNN.parameters import ParameterSpace

from portable_cortex.errors import InvalidValueError
from portable_cortex.pynn.checks import check_values
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.grid import nearest_steps

from ._state import state

SHIFTED = {
    "uniform": ("low", "high"),
    "normal": ("mu",),
    "normal_clipped": ("mu", "low", "high"),
    "normal_clipped_to_boundary": ("mu", "low", "high"),
}
"""Distributions that the board draws, and which of their parameters say where they are."""


class AllToAllConnector(spynnaker.AllToAllConnector):  # type: ignore[misc]  # untyped
    __doc__ = spynnaker.AllToAllConnector.__doc__

    def __init__(self, allow_self_connections: bool = True, **options: Any) -> None:
        super().__init__(allow_self_connections=allow_self_connections, **options)
        self.allow_self_connections = allow_self_connections


class FixedProbabilityConnector(spynnaker.FixedProbabilityConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedProbabilityConnector.__doc__

    def __init__(
        self, p_connect: float, allow_self_connections: bool = True, rng: Any = None, **options: Any
    ) -> None:
        if not 0 <= p_connect <= 1:
            raise InvalidValueError(
                f"p_connect of FixedProbabilityConnector must be from 0 to 1, not {p_connect:g}"
            )
        super().__init__(p_connect, allow_self_connections=allow_self_connections, **options)
        self.p_connect, self.rng = p_connect, rng
        self.allow_self_connections = allow_self_connections


class _FixedNumber:
    """Keeps the arguments; the board's generators are seeded by populations, not by `rng`."""

    def __init__(
        self,
        n: int,
        allow_self_connections: bool = True,
        with_replacement: bool = False,
        rng: Any = None,
        **options: Any,
    ) -> None:
        self.n, self.rng = n, rng
        self.allow_self_connections = allow_self_connections
        self.with_replacement = with_replacement
        super().__init__(  # type: ignore[call-arg]  # the connector that this is mixed into
            n,
            allow_self_connections=allow_self_connections,
            with_replacement=with_replacement,
            **options,
        )


class FixedNumberPreConnector(_FixedNumber, spynnaker.FixedNumberPreConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedNumberPreConnector.__doc__


class FixedNumberPostConnector(_FixedNumber, spynnaker.FixedNumberPostConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedNumberPostConnector.__doc__


class FixedTotalNumberConnector(_FixedNumber, spynnaker.FixedTotalNumberConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedTotalNumberConnector.__doc__

    def __init__(
        self,
        n: int,
        allow_self_connections: bool = True,
        with_replacement: bool = True,
        rng: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(n, allow_self_connections, with_replacement, rng, **options)


# PyNN's own: the core draws what they make, and gives the board a list
ArrayConnector = connectors.ArrayConnector
CSAConnector = connectors.CSAConnector
DistanceDependentProbabilityConnector = connectors.DistanceDependentProbabilityConnector
FromFileConnector = connectors.FromFileConnector
FromListConnector = connectors.FromListConnector
IndexBasedProbabilityConnector = connectors.IndexBasedProbabilityConnector
SmallWorldConnector = connectors.SmallWorldConnector


def table_of(edges: Edges, later: float, sources: Any, targets: Any) -> Any:
    """SPyNNaker's list of synapses.

    Parameters
    ----------
    edges : Edges
    later : float
        What is added to all delays, ms.
    sources, targets : arrays of int
        Places, in their populations, of the neurons that the synapses' indices mean.
    """
    if not edges.sources.size:
        return spynnaker.FromListConnector(np.zeros((0, 2)), ())
    places = sources[edges.sources], targets[edges.targets]
    rows = np.column_stack([*places, edges.weights, edges.delays + later])
    # sPyNNaker finds the longest row of a source only where its synapses stand together
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return spynnaker.FromListConnector(rows, ("weight", "delay"))


def _native(value: Any, otherwise: float) -> Any:
    """A weight or delay that sPyNNaker takes; what it does not the core draws."""
    if isinstance(value, Real):
        return float(value)
    return unseeded(value) if getattr(value, "name", None) in SHIFTED else otherwise


class StaticSynapse(spynnaker.StaticSynapse):  # type: ignore[misc]  # untyped
    __doc__ = spynnaker.StaticSynapse.__doc__

    def __init__(self, weight: Any = 0.0, delay: Any = None, **options: Any) -> None:
        delay = state.least_delay if delay is None else delay
        self.parameter_space = _space("StaticSynapse", weight, delay)
        delay = _native(delay, state.least_delay)
        if isinstance(delay, float):  # sPyNNaker rounds a half to even
            delay = float(nearest_steps(delay, state.dt)) * state.dt
        self._delay = delay
        super().__init__(weight=_native(weight, 0.0), delay=state.dt, **options)

    def get_parameter_names(self) -> tuple[str, ...]:
        """Names of the synapse's parameters."""
        return ("weight", "delay")

    @property
    def delay(self) -> Any:
        """The delay as the machine is given it."""
        return self._delay

    def delayed(self, by: float) -> StaticSynapse:
        """The same with delays that are longer by a number of ms."""
        other = copy(self)
        other._delay = shifted(self._delay, by)
        return other


class STDPMechanism(spynnaker.STDPMechanism):  # type: ignore[misc]
    __doc__ = spynnaker.STDPMechanism.__doc__

    def __init__(self, *arguments: Any, **options: Any) -> None:
        weight = options.get("weight", 0.0)
        delay = state.least_delay if options.get("delay") is None else options["delay"]
        self.parameter_space = _space("STDPMechanism", weight, delay)
        given = {"weight": _native(weight, 0.0), "delay": _native(delay, state.least_delay)}
        super().__init__(*arguments, **{**options, **given})
        rule, pairs = self.weight_dependence, self.timing_dependence
        if isinstance(rule, spynnaker.AdditiveWeightDependence) and hasattr(pairs, "A_plus"):
            # which are fractions of it, where sPyNNaker takes nA or uS
            rule.set_a_plus_a_minus(pairs.A_plus * rule.w_max, pairs.A_minus * rule.w_max)

    def get_delay_maximum(self, connector: Any, synapse_info: Any) -> float:
        """The longest delay, ms, and a step.

        A core has so many slots for delays as are a power of 2, keeps the last of them as 0, and
        leaves a plastic synapse out whose delay is 0.
        """
        longest: float = super().get_delay_maximum(connector, synapse_info)
        return longest + state.dt

    @property
    def bounds(self) -> dict[str, float]:
        """Those of the weights, as far as the rule has them."""
        rule = self.weight_dependence
        names = [name for name in ("w_min", "w_max") if hasattr(rule, name)]
        return {name: float(getattr(rule, name)) for name in names}


def _space(kind: str, weight: Any, delay: Any) -> Any:
    values = {"weight": weight, "delay": delay}
    check_values(kind, values)
    return ParameterSpace(values, schema={"weight": float, "delay": float})


def unseeded(value: Any) -> Any:
    """A random distribution without a generator, which has no use: the board has its own."""
    if getattr(value, "rng", None) is None:
        return value
    bare = copy(value)
    bare.rng = None
    return bare


def shifted(value: Any, by: float) -> Any:
    """A number, or a random distribution of `SHIFTED`, moved."""
    if not hasattr(value, "parameters"):
        return value + by
    moved = copy(value)
    names = SHIFTED[value.name]
    moved.parameters = {n: v + by if n in names else v for n, v in value.parameters.items()}
    return moved


def n_synapses(connector: Any, pre: Any, post: Any) -> int | None:
    """Number of synapses that a connector makes, where that is no matter of chance.

    Parameters
    ----------
    connector : PyNN connector
    pre, post : PyNN Population or PopulationView
    """
    itself = not getattr(connector, "allow_self_connections", True) and pre is post
    kind = type(connector).__name__
    if kind == "FixedTotalNumberConnector":
        return int(connector.n)
    if kind == "OneToOneConnector":
        return min(int(pre.size), int(post.size))
    if kind == "AllToAllConnector":
        return int(pre.size * (post.size - itself))
    if kind == "FixedNumberPreConnector":
        return int(connector.n * post.size)
    if kind == "FixedNumberPostConnector":
        return int(connector.n * pre.size)
    if hasattr(connector, "conn_list"):
        return len(connector.conn_list)
    return None

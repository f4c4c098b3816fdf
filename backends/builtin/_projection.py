"""Projections: a recipe or arrays of synapses, never an object for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.connectors import AllToAllConnector, FromListConnector, OneToOneConnector
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.realisation import Edges, draw_edges, is_random
from portable_cortex.synapses import (
    CollectingProjection,
    Connection,
    as_matrix,
    listed_columns,
)

from . import _simulator
from ._cells import SpikeSourcePoisson
from ._edges import Drawn, Listed, drawn
from ._population import Assembly, Population
from ._synapse_types import StaticSynapse


class Projection(CollectingProjection, common.Projection):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = common.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    def __init__(
        self,
        presynaptic_neurons: Any,
        postsynaptic_neurons: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        super().__init__(
            presynaptic_neurons,
            postsynaptic_neurons,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        if not isinstance(self.synapse_type, StaticSynapse):
            raise UnsupportedError(
                f"the builtin simulator has static synapses only, not "
                f"{type(self.synapse_type).__name__}: use StaticSynapse, or another backend"
            )
        self.receptor = tuple(self.post.receptor_types).index(self.receptor_type)
        state = _simulator.state
        self._number = len(state.projections)
        self.edges: Drawn | Listed = self._make()
        self._check_delays(self.edges)
        for part in _parts(self.pre):
            part.n_projections += 1
        state.add_projection(self)

    def _make(self) -> Drawn | Listed:
        """The synapses: by compiled code, by the core, or by PyNN's connector."""
        state, parameters = _simulator.state, self.synapse_type.parameter_space
        key: dict[str, Any] = {
            "seed": state.seed if state.shared_seed is None else state.shared_seed,
            "item": 2 * self._number + 1,
            "timestep": state.dt,
        }
        self._check_weights(parameters["weight"])
        delay = parameters["delay"]
        if delay.is_homogeneous and not is_random(delay):
            _check_delay(_number(delay))
        connector = self._connector
        recipe = drawn(connector, parameters, self.pre, self.post, workers=state.threads, **key)
        if recipe is not None:
            return recipe
        if isinstance(connector, FromListConnector):
            return self._list(connector)
        if _drawable(connector, parameters):
            try:
                found = draw_edges(connector, self.synapse_type, self.pre, self.post, **key)
            except UnsupportedError:
                pass  # PyNN's own connector can
            else:
                weights = found.weights
                rounded = state.shared_seed is not None and hasattr(connector, "rng")
                if not rounded and not is_random(parameters["weight"]):
                    weights = np.full(weights.size, _number(parameters["weight"]))
                return self._listed(found.sources, found.targets, weights, found.delays)
        return self._listed(*self.collect(connector))

    def _listed(self, sources: Any, targets: Any, weights: Any, delays: Any) -> Listed:
        if np.size(delays):
            _check_delay(float(np.min(delays)))
        dt = _simulator.state.dt
        return Listed.of(self.pre.size, sources, targets, weights, delays, dt)

    def _list(self, connector: Any) -> Listed:
        sources, targets, columns = listed_columns(connector, self)
        for name in {"weight", "delay"} - set(columns):
            value = copy(self.synapse_type.parameter_space[name])
            value._shape = None
            value.shape = (sources.size,)
            columns[name] = np.broadcast_to(value.evaluate(simplify=False), sources.size)
        self.synapse_type.parameter_checks["weight"](columns["weight"], self)
        return self._listed(sources, targets, columns["weight"], columns["delay"])

    # --- checks -----------------------------------------------------------------------------------

    def _check_weights(self, value: Any) -> None:
        """PyNN's check, as far as it is possible before drawing."""
        check = self.synapse_type.parameter_checks["weight"]
        if is_random(value):
            for bound in ("low", "high"):
                limit = value.base_value.parameters.get(bound)
                if limit is not None and np.isfinite(limit) and not value.operations:
                    check(np.array([limit]), self)
        elif value.is_homogeneous:
            check(_number(value), self)

    def _check_delays(self, edges: Drawn | Listed) -> None:
        state = _simulator.state
        if isinstance(edges, Listed) and edges.size:
            shortest, longest = int(edges.steps.min()), int(edges.steps.max())
            if (
                shortest < round(state.least_delay / state.dt)
                or longest * state.dt > state.max_delay
            ):
                raise errors.ConnectionError(
                    f"delays must be from {state.least_delay:g} to {state.max_delay:g} ms, as "
                    f"setup() was told, not from {shortest * state.dt:g} to "
                    f"{longest * state.dt:g} ms"
                )

    # --- background input -------------------------------------------------------------------------

    @property
    def is_background(self) -> bool:
        """Whether this is all that a population of equal Poisson sources does."""
        pre, post, parameters = self.pre, self.post, self.synapse_type.parameter_space
        return (
            isinstance(self._connector, OneToOneConnector)
            and isinstance(pre, Population)
            and isinstance(post, Population)
            and isinstance(pre.celltype, SpikeSourcePoisson)
            and pre.size == post.size == self.edges.size
            and pre.n_projections == 1
            and not pre.recorder.records_spikes
            and all(p.is_homogeneous and not is_random(p) for _, p in parameters.items())
            and all(np.ptp(pre.parameter(n)) == 0 for n in ("rate", "start", "duration"))
            and isinstance(self.edges, Listed)
            and np.ptp(self.edges.weights) == 0
            and np.ptp(self.edges.steps) == 0
        )

    def constant_values(self) -> tuple[float, int]:
        """Weight, and delay in steps, of a background projection."""
        assert isinstance(self.edges, Listed)
        return float(self.edges.weights[0]), int(self.edges.steps[0])

    # --- reading and changing ---------------------------------------------------------------------

    def __len__(self) -> int:
        return self.edges.size

    def __getitem__(self, i: int) -> Connection:
        return Connection(self, i)

    @property
    def connections(self) -> Iterator[Connection]:
        """The synapses, one after the other."""
        return iter(self)

    def _all(self) -> Edges:
        return self.edges.edges(_simulator.state.dt)

    def _values(self, names: list[str]) -> list[NDArray[Any]]:
        found = self._all()
        columns = {
            "presynaptic_index": found.sources,
            "postsynaptic_index": found.targets,
            "weight": found.weights,
            "delay": found.delays,
        }
        return [columns[name if name in columns else name.removesuffix("s")] for name in names]

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        return list(zip(*(column.tolist() for column in self._values(names)), strict=True))

    def _get_attributes_as_arrays(
        self, names: list[str], multiple_synapses: str = "sum"
    ) -> list[NDArray[np.float64]]:
        i, j, *columns = self._values(["presynaptic_index", "postsynaptic_index", *names])
        return [as_matrix(i, j, values, self.shape, multiple_synapses) for values in columns]

    def _set_attributes(self, parameter_space: Any) -> None:
        sources, targets, weights, delays = self._all()
        columns = {"weight": weights, "delay": delays}
        for name, value in parameter_space.items():
            if is_random(value):
                shaped = copy(value)
                shaped._shape = None
                shaped.shape = (sources.size,)
                new = np.broadcast_to(shaped.evaluate(simplify=False), sources.size)
            else:
                value.shape = self.shape
                dense = np.broadcast_to(value.evaluate(simplify=False), self.shape)
                new = dense[sources, targets]
            if name == "weight":
                self.synapse_type.parameter_checks[name](new, self)
            columns[name] = np.array(new, float)
        self._replace(sources, targets, columns)

    def column(self, name: str) -> NDArray[Any]:
        """Values of all synapses."""
        return self._values([name])[0]

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays."""
        sources, targets, weights, delays = self._all()
        self._replace(sources, targets, {"weight": weights, "delay": delays, name: values})

    def _replace(self, sources: Any, targets: Any, columns: dict[str, Any]) -> None:
        edges = self._listed(sources, targets, columns["weight"], columns["delay"])
        self._check_delays(edges)
        _simulator.state.touch(structure=True)
        self.edges = edges

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        raise errors.NonExistentParameterError(variable, "StaticSynapse", [])


def _parts(cells: Any) -> list[Any]:
    """The populations of a population, view or assembly."""
    parts = cells.populations if isinstance(cells, Assembly) else [cells]
    return [getattr(part, "grandparent", part) for part in parts]


def _check_delay(delay: float) -> None:
    dt = _simulator.state.dt
    if not delay >= 0.5 * dt:
        raise errors.ConnectionError(
            f"a delay must be one time step ({dt:g} ms) or more, not {delay:g} ms"
        )


def _drawable(connector: Any, parameters: Any) -> bool:
    """Whether the core may draw what PyNN's connector would, in a loop over neurons."""
    simple = all(is_random(p) or p.is_homogeneous for _, p in parameters.items())
    return simple and (
        hasattr(connector, "rng") or isinstance(connector, AllToAllConnector | OneToOneConnector)
    )


def _number(value: Any) -> float:
    shaped = copy(value)
    shaped._shape = None
    shaped.shape = (1,)
    return float(shaped.evaluate(simplify=True))

"""Projections: the synapses are drawn at once, as arrays, and kept until the network is lowered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.connectors import FromListConnector
from pyNN.parameters import LazyArray
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn.draws import draw_edges, is_random
from portable_cortex.pynn.projection import Collecting
from portable_cortex.pynn.synapses import Connection, as_matrix, listed_columns

from . import _simulator
from ._cells import StaticSynapse
from ._simulator import state


class Projection(Collecting, common.Projection):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = common.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        synapse_type = synapse_type or StaticSynapse()
        if not isinstance(synapse_type, StaticSynapse):
            raise UnsupportedError(
                "the brian2 backend has StaticSynapse only, not "
                f"{type(synapse_type).__name__}: use a backend with plasticity"
            )
        if not postsynaptic_population.injectable:
            raise errors.ConnectionError("a spike source cannot be the target of a projection")
        common.Projection.__init__(
            self,
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        state.change("a projection")
        if isinstance(connector, FromListConnector):
            listed_columns(connector, self)  # checked
        sources, targets, weights, delays = self._draw(connector)
        synapse_type.parameter_checks["weight"](weights, self)
        self.sources = sources.astype(np.int32)
        self.targets = targets.astype(np.int32)
        self.weights = weights.astype(np.float32)
        self.delay_steps = self._steps(delays)
        state.projections.append(self)

    def _draw(self, connector: Any) -> Any:
        try:
            return draw_edges(
                connector,
                self.synapse_type,
                self.pre,
                self.post,
                seed=state.seed,
                item=len(state.projections),
                timestep=state.dt,
            )
        except UnsupportedError:  # what the core cannot draw, PyNN can, one target after another
            return self.collect(connector)

    @staticmethod
    def _steps(delays: Any) -> np.ndarray[Any, Any]:
        steps: np.ndarray[Any, Any] = np.maximum(np.round(delays / state.dt), 1).astype(np.int32)
        return steps

    def __len__(self) -> int:
        return int(self.sources.size)

    @property
    def connections(self) -> Iterator[Connection]:
        """The synapses, one after the other."""
        return (Connection(self, number) for number in range(len(self)))

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """Values of all synapses."""
        return self._columns([name])[0]

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays."""
        state.change("synapses")
        if name == "weight":
            self.synapse_type.parameter_checks["weight"](values, self)
            self.weights = np.asarray(values, np.float32)
        else:
            self.delay_steps = self._steps(values)

    def _columns(self, names: list[str]) -> list[np.ndarray[Any, Any]]:
        columns: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
            "presynaptic_index": lambda: self.sources,
            "postsynaptic_index": lambda: self.targets,
            "weight": lambda: self.weights.astype(float),
            "delay": lambda: np.round(self.delay_steps * state.dt, 9),
        }
        return [columns[name]() for name in names]

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        columns = self._columns(list(names))
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _get_attributes_as_arrays(
        self, names: list[str], multiple_synapses: str = "sum"
    ) -> list[Any]:
        return [
            as_matrix(self.sources, self.targets, values, self.shape, multiple_synapses)
            for values in self._columns([name.removesuffix("s") for name in names])
        ]

    def _set_attributes(self, parameter_space: Any) -> None:
        for name, value in parameter_space.items():
            self.replace(name, self._values(value))

    def _values(self, value: LazyArray) -> np.ndarray[Any, Any]:
        """A value for each synapse: drawn for each, or looked up in a matrix."""
        if is_random(value):
            value.shape = (len(self),)
            return np.atleast_1d(np.asarray(value.evaluate(), dtype=float))
        value.shape = self.shape
        matrix = np.broadcast_to(value.evaluate(), self.shape)
        return np.asarray(matrix[self.sources, self.targets], dtype=float)

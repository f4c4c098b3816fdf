"""Projections in NEURON: drawn as arrays, built by one interpreted loop without Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.connectors import OneToOneConnector
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.pynn.draws import DELAY, WEIGHT, Stream, draw_edges, evaluate
from portable_cortex.pynn.projection import Collecting
from portable_cortex.pynn.synapses import Connection, as_matrix

from ._population import Population
from ._pynn import h, pynn_neuron, simulator
from ._state import network

CHUNK = 1 << 20
"""Synapses that are passed to NEURON at a time, to bound the memory that this takes."""

WEIGHT_BITS = 40
"""Weights are rounded to so many bits, and their sums are exact in whichever order they are made.

A sum of thousands of weights that differ by no more than a factor of a thousand has 53 bits.
"""

# NEURON has no call that makes many connections; its interpreter makes them without a Python
# object each.
# The margin keeps events in their step in spite of rounding errors; and among processes NEURON
# wants delays that are longer than a step.
h("""
portable_margin = 1e-6  // ms
objref portable_context
portable_context = new ParallelContext()
proc portable_connect() { local i  localobj connection
    // sources, targets (indices into), cells, weights, delays, list that keeps the connections
    for i = 0, $o1.size - 1 {
        connection = portable_context.gid_connect($o1.x[i], $o3.o($o2.x[i]))
        connection.weight = $o4.x[i]
        connection.delay = $o5.x[i] + portable_margin
        $o6.append(connection)
    }
}
proc portable_set() { local i
    // list of connections, weights, delays
    for i = 0, $o1.count - 1 {
        $o1.o(i).weight = $o2.x[i]
        $o1.o(i).delay = $o3.x[i] + portable_margin
    }
}
""")


class Projection(Collecting, pynn_neuron.Projection):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_neuron.Projection.__doc__

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
        arguments = (
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        self._static = (
            synapse_type is None or type(synapse_type) is pynn_neuron.StaticSynapse
        ) and getattr(connector, "location_selector", None) is None
        network.add_projection(self)
        self._list: Any = None  # of NEURON's connections, once there are any
        if not self._static:
            _refuse(synapse_type, postsynaptic_population)
            for part in _parts(presynaptic_population):
                part.build_sources()
            super().__init__(*arguments)  # plasticity, locations on a cell: PyNN's own way
            return
        common.Projection.__init__(self, *arguments)
        self._key = network.next_key()
        self._draw(connector)
        if self._can_drive(connector):
            for index, cell, _ in self.drive_targets():
                cell.drive_weight = _rounded(self._weights[index == self._targets][0])
            self.post.driven = True
            self.pre.drive(self)
        else:
            for part in _parts(self.pre):
                part.build_sources()
            self.build_synapses()

    # --- connecting ---------------------------------------------------------------------------

    def _draw(self, connector: Any) -> None:
        """Sources, targets, weights and delays of this process; `_n_all` are those of all."""
        try:
            edges = draw_edges(
                connector,
                self.synapse_type,
                self.pre,
                self.post,
                seed=network.seed,
                item=self._key,
                timestep=simulator.state.dt,
            )
            sources, targets, weights, delays = edges
            given = self.synapse_type.parameter_space["weight"]
            if given.is_homogeneous and not hasattr(connector, "conn_list"):
                # without the core's rounding to 24 bits
                weights = evaluate(given, sources, targets, self, Stream(0, 0, WEIGHT))
        except UnsupportedError:  # what the core cannot draw, PyNN can, one target after another
            sources, targets, weights, delays = self.collect(connector)
        for index, cells, what in ((sources, self.pre, "source"), (targets, self.post, "target")):
            if index.size and (index.min() < 0 or index.max() >= cells.size):
                raise errors.ConnectionError(f"{what} index out of range")
        for name, values in (("weight", weights), ("delay", delays)):
            self._check(name, values)
        self._n_all = sources.size
        kept: Any = slice(None)
        if simulator.state.num_processes > 1:
            kept = np.flatnonzero(self.post._mask_local[targets])
        self._numbers = kept
        self._sources = sources[kept].astype(np.int32)
        self._targets = targets[kept].astype(np.int32)
        self._weights = np.array(weights[kept], dtype=float)
        self._delays = self._on_grid(delays[kept])

    def _convergent_connect(self, *arguments: Any, **parameters: Any) -> None:
        # plastic synapses and locations on a cell go PyNN's own way
        base = Collecting if self._static else pynn_neuron.Projection
        base._convergent_connect(self, *arguments, **parameters)

    def _check(self, name: str, values: Any) -> None:
        check = getattr(self.synapse_type, "parameter_checks", {}).get(name)
        if check is not None and len(values):
            check(np.asarray(values), self)

    def _on_grid(self, delays: Any) -> Any:
        step = simulator.state.dt
        return np.round(np.maximum(np.round(np.asarray(delays, float) / step), 1.0) * step, 9)

    def _can_drive(self, connector: Any) -> bool:
        """Whether the sources can be the targets' own drive: no cells, no events in between."""
        pre, post = self.pre, self.post
        return (
            isinstance(connector, OneToOneConnector)
            and isinstance(pre, Population)
            and isinstance(post, Population)
            and pre.size == post.size
            and pre.is_unbuilt
            and pre._drives is None
            and post.is_on_grid
            and not post.driven
            and not simulator.state.running
        )

    def drive_targets(self) -> Iterator[tuple[int, Any, float]]:
        """Index, mechanism and delay (ms) of each target that is driven directly."""
        for target, delay in zip(self._targets.tolist(), self._delays.tolist(), strict=True):
            yield target, self.post.all_cells[target]._cell.source, delay

    def build_synapses(self) -> None:
        """Make NEURON's connections from the arrays."""
        if self.post_is_driven_by_this:
            for _, cell, _ in self.drive_targets():
                cell.drive_weight = cell.drive_interval = 0.0
            self.post.driven = False
        self._list = h.List()
        cells, position = h.List(), np.zeros(self.post.size, dtype=np.int64)
        for n, target in enumerate(np.unique(self._targets).tolist()):
            cells.append(self._receptor(target))
            position[target] = n
        numbers = np.array(self.pre.all_cells, dtype=np.int64)
        for start in range(0, self._sources.size, CHUNK):
            part = slice(start, start + CHUNK)
            h.portable_connect(
                _vector(numbers[self._sources[part]]),
                _vector(position[self._targets[part]]),
                cells,
                _vector(_rounded(self._weights[part])),
                _vector(self._delays[part]),
                self._list,
            )

    @property
    def post_is_driven_by_this(self) -> bool:
        return isinstance(self.pre, Population) and self.pre._drives is self

    def _receptor(self, target: int) -> Any:
        cell = self.post.all_cells[target]._cell
        for name in self.receptor_type.split("."):  # e.g. dendrite.AMPA
            cell = getattr(cell, name)
        return cell

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        return int(self._sources.size) if self._static else int(super().__len__())

    @property
    def connections(self) -> Iterator[Any]:
        """Synapses of this process, one by one."""
        if not self._static:
            return iter(super().connections)
        return (Connection(self, number) for number in range(len(self)))

    def column(self, name: str) -> Any:
        """Values of the synapses of this process."""
        return self._columns[name]

    def replace(self, name: str, values: Any) -> None:
        """Change the weights or delays of this process."""
        self._replace({name: values})

    @property
    def _columns(self) -> dict[str, Any]:
        return {
            "presynaptic_index": self._sources,
            "postsynaptic_index": self._targets,
            "weight": self._weights,
            "delay": self._delays,
        }

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        if not self._static:
            return list(super()._get_attributes_as_list(names))
        columns = self._columns
        return list(zip(*(columns[name].tolist() for name in names), strict=True))

    def _get_attributes_as_arrays(
        self, names: list[str], multiple_synapses: str = "sum"
    ) -> list[Any]:
        if not self._static:
            return list(super()._get_attributes_as_arrays(names, multiple_synapses))
        i, j, columns = self._sources, self._targets, self._columns
        values = (columns[name.removesuffix("s")] for name in names)
        return [as_matrix(i, j, column, self.shape, multiple_synapses) for column in values]

    def _set_attributes(self, parameter_space: Any) -> None:
        if not self._static:
            super()._set_attributes(parameter_space)
            return
        quantities, changed = {"weight": WEIGHT, "delay": DELAY}, {}
        for name in parameter_space.keys():  # noqa: SIM118 (no dict)
            value = parameter_space[name]
            if value.is_homogeneous or hasattr(value.base_value, "rng"):
                stream = Stream(network.seed, network.next_key(), quantities[name])
                everyone = np.zeros(self._n_all, np.int64)
                values = evaluate(value, everyone, everyone, self, stream)[self._numbers]
            else:
                dense = np.broadcast_to(value.evaluate(), self.shape)
                values = np.asarray(dense[self._sources, self._targets], dtype=float)
            changed[name] = values
        self._replace(changed)

    def _replace(self, changed: dict[str, Any]) -> None:
        """Take weights and delays of all synapses, and pass them on to NEURON."""
        for name, values in changed.items():
            self._check(name, values)
        self._weights = np.asarray(changed.get("weight", self._weights), dtype=float)
        self._delays = self._on_grid(changed.get("delay", self._delays))
        weights = _rounded(self._weights)
        if self._list is not None:
            h.portable_set(self._list, _vector(weights), _vector(self._delays))
        else:
            for (_, cell, _), weight in zip(self.drive_targets(), weights, strict=True):
                cell.drive_weight = weight
            self.pre._push_drive()

    def size(self, gather: bool = True) -> int:
        """See PyNN: the number of synapses, of all processes or of this one."""
        n = len(self)
        return parallel.total(n) if gather else n

    def release(self) -> None:
        """Free the connections in NEURON."""
        self._list = None
        if not self._static:
            self._connections: dict[Any, Any] = {}


def _refuse(synapse_type: Any, post: Any) -> None:
    """Say which plastic synapses the neurons on the grid do not take."""
    if synapse_type.model == "TsodyksMarkramWA" and any(p.is_on_grid for p in _parts(post)):
        raise UnsupportedError(
            "NEURON's TsodyksMarkramSynapse needs a synapse of its own on its target, which "
            "IF_curr_exp does not have here: use pyNN.neuron's own cell (import pyNN.neuron; "
            "pyNN.neuron.IF_curr_exp), or the nest backend"
        )


def _parts(cells: Any) -> list[Any]:
    """Whole populations behind a population, view or assembly."""
    parts = [getattr(part, "grandparent", part) for part in getattr(cells, "populations", [cells])]
    return [part for part in parts if isinstance(part, Population)]


def _vector(values: Any) -> Any:
    return h.Vector(np.asarray(values, dtype=float))


def _rounded(weights: Any) -> Any:
    fraction, exponent = np.frexp(np.asarray(weights, dtype=float))
    return np.ldexp(np.round(np.ldexp(fraction, WEIGHT_BITS)), exponent - WEIGHT_BITS)

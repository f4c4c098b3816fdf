"""Projections in NEURON: drawn as arrays, built by one interpreted loop without Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pyNN import common
from pyNN.connectors import OneToOneConnector
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.pynn import projection
from portable_cortex.pynn.draws import Edges, Stream, evaluate
from portable_cortex.pynn.grid import delay_steps
from portable_cortex.pynn.projection import Columns
from portable_cortex.pynn.synapses import Connection, check_signs

from . import _state
from ._population import Population
from ._pynn import h, pynn_neuron, simulator
from ._state import state

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
func portable_replace() { local i, longest  localobj old, connection
    // list of connections, weights, delays, list of those that remain, list of those replaced;
    // gives the longest delay there was
    longest = 0
    for i = 0, $o1.count - 1 {
        old = $o1.o(i)
        if (old.delay > longest) longest = old.delay
        connection = old
        if (old.weight != $o2.x[i]) {
            connection = portable_context.gid_connect(old.srcgid, old.syn)
            connection.weight = $o2.x[i]
            old.active(0)
            $o5.append(old)
        }
        connection.delay = $o3.x[i] + portable_margin
        $o4.append(connection)
    }
    return longest
}
""")


class Projection(projection.Projection):
    __doc__ = pynn_neuron.Projection.__doc__
    _simulator = _state
    _static_synapse_class = pynn_neuron.StaticSynapse

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
        arguments = (
            presynaptic_neurons,
            postsynaptic_neurons,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        self._is_static = (
            synapse_type is None or type(synapse_type) is pynn_neuron.StaticSynapse
        ) and getattr(connector, "location_selector", None) is None
        self._list: Any = None  # of NEURON's connections, once there are any
        self._replaced = h.List()  # connections that only have spikes on their way
        self._replaced_until = 0.0  # step in which the last of them has arrived
        if self._is_static:
            super().__init__(*arguments)
        else:
            self._connect_plastic(*arguments)

    # --- making -------------------------------------------------------------------------------

    def make(self, connector: Any) -> None:
        """Draw the synapses, and have them made; or let the sources be the targets' drive."""
        self.store(self.checked(self.draw(connector)))
        if self._can_drive(connector):
            edges = self._edges
            for index, cell, _ in self.drive_targets():
                cell.drive_weight = _rounded(edges.weights[index == edges.targets][0])
            self.post.driven = True
            self.pre.drive(self)
        else:
            for part in _parts(self.pre):
                part.build_sources()
            self.build_synapses()

    def store(self, edges: Edges) -> None:
        """Keep the synapses of this process, and change those that NEURON has."""
        if simulator.state.num_processes > 1:
            self._numbers = np.flatnonzero(self.post._mask_local[edges.targets])
            local = self._numbers
            edges = Edges(
                edges.sources[local],
                edges.targets[local],
                edges.weights[local],
                edges.delays[local],
            )
        self._edges = Edges(
            edges.sources.astype(np.int32), edges.targets.astype(np.int32), *edges[2:]
        )
        self._pass_on()

    def _pass_on(self) -> None:
        weights = _rounded(self._edges.weights)
        if self._list is not None:
            values = _vector(weights), _vector(self._edges.delays)
            if simulator.state.running:
                self._replace_connections(*values)
            else:
                h.portable_set(self._list, *values)
        elif self.post_is_driven_by_this:
            for (_, cell, _), weight in zip(self.drive_targets(), weights, strict=True):
                cell.drive_weight = weight
            self.pre._push_drive()

    def _replace_connections(self, weights: Any, delays: Any) -> None:
        """Give other weights to spikes from the present on.

        NEURON looks at a weight when a spike arrives: those on their way keep their connections.
        """
        if state.step > self._replaced_until:
            self._replaced.remove_all()
        connections, self._list = self._list, h.List()
        longest = h.portable_replace(connections, weights, delays, self._list, self._replaced)
        self._replaced_until = state.step + longest / state.dt + 1

    def stored(self) -> Edges:
        """All synapses, of all processes."""
        if simulator.state.num_processes == 1:
            return self._edges
        order = np.argsort(parallel.joined(self._numbers))
        return Edges(*(parallel.joined(np.asarray(c))[order] for c in self._edges))

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
        for target, delay in zip(
            self._edges.targets.tolist(), self._edges.delays.tolist(), strict=True
        ):
            yield target, self.post.all_cells[target]._cell.source, delay

    def build_synapses(self) -> None:
        """Make NEURON's connections from the arrays."""
        if self.post_is_driven_by_this:
            for _, cell, _ in self.drive_targets():
                cell.drive_weight = cell.drive_interval = 0.0
            self.post.driven = False
        self._list = h.List()
        cells, position = h.List(), np.zeros(self.post.size, dtype=np.int64)
        for n, target in enumerate(np.unique(self._edges.targets).tolist()):
            cells.append(self._receptor(target))
            position[target] = n
        numbers = np.array(self.pre.all_cells, dtype=np.int64)
        for start in range(0, self._edges.sources.size, CHUNK):
            part = slice(start, start + CHUNK)
            h.portable_connect(
                _vector(numbers[self._edges.sources[part]]),
                _vector(position[self._edges.targets[part]]),
                cells,
                _vector(_rounded(self._edges.weights[part])),
                _vector(self._edges.delays[part]),
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
        return int(self._edges.sources.size) if self._is_static else len(list(self.connections))

    def size(self, gather: bool = True) -> int:
        """See PyNN: the number of synapses, of all processes or of this one."""
        n = len(self)
        return parallel.total(n) if gather else n

    def smallest_delay(self) -> float | None:
        """Of the synapses of this process, ms; None if there are none."""
        delays = self.columns(["delay"])["delay"] if "delay" in self._names else np.empty(0)
        return float(delays.min()) if delays.size else None

    @property
    def _names(self) -> list[str]:
        return list(self.synapse_type.get_parameter_names())

    def columns(self, names: list[str]) -> Columns:
        """See `Readable`; of this process."""
        if not self._is_static:
            return self._plastic_columns(names)
        edges = dict(
            zip(
                ("presynaptic_index", "postsynaptic_index", "weight", "delay"),
                self._edges,
                strict=True,
            )
        )
        return {name: edges[name] for name in names}

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays of this process."""
        edges = self._edges._replace(**{f"{name}s": np.array(values, float)})
        if name == "delay":
            edges = edges._replace(delays=_on_grid(edges.delays))
        self._edges = self.checked(edges)
        self._pass_on()

    def release(self) -> None:
        """Free the connections in NEURON."""
        self._list = None
        self._replaced = h.List()
        if not self._is_static:
            self._connections: dict[Any, Any] = {}

    # --- plastic synapses, and those at locations on a cell: PyNN's own way -------------------

    def _connect_plastic(self, pre: Any, post: Any, connector: Any, *others: Any) -> None:
        _refuse(others[0], post)
        for part in _parts(pre):
            part.build_sources()
        self._number, self._changes = len(state.projections), 0
        state.check_alive(pre, post)
        state.touch("a projection", structure=True)
        pynn_neuron.Projection.__init__(self, pre, post, connector, *others)
        state.projections.append(self)

    def _convergent_connect(self, *arguments: Any, **parameters: Any) -> None:
        if self._is_static:
            super()._convergent_connect(*arguments, **parameters)
            return
        check_signs(parameters["weight"], self)
        if "delay" in parameters:
            parameters["delay"] = self._checked_delays(parameters["delay"])
        pynn_neuron.Projection._convergent_connect(self, *arguments, **parameters)

    def _checked_delays(self, delays: Any) -> Any:
        rounded = _on_grid(delays)
        if np.size(rounded):
            state.check_delays(np.min(rounded), np.max(rounded))
        return rounded if np.ndim(rounded) else float(rounded)

    def _configure_presynaptic_components(self) -> None:
        pynn_neuron.Projection._configure_presynaptic_components(self)

    @property
    def connections(self) -> Iterator[Any]:
        """Synapses of this process, one by one."""
        if self._is_static:
            return (Connection(self, number) for number in range(len(self)))
        return iter(pynn_neuron.Projection.connections.fget(self))

    def _plastic_columns(self, names: list[str]) -> Columns:
        synapses, parameters = list(self.connections), self._names
        native = [self.synapse_type.get_native_names(n)[0] if n in parameters else n for n in names]
        return {
            name: np.array([getattr(synapse, attribute) for synapse in synapses])
            for name, attribute in zip(names, native, strict=True)
        }

    def set(self, **attributes: Any) -> None:
        """Change the parameters of all synapses; see PyNN."""
        if self._is_static:
            super().set(**attributes)
            return
        attributes = self._value_list_to_array(attributes)
        space = common.projections.ParameterSpace(
            attributes, self.synapse_type.get_schema(), self.shape
        )
        pairs = self.columns(["presynaptic_index", "postsynaptic_index"])
        sources, targets = pairs["presynaptic_index"], pairs["postsynaptic_index"]
        for name in ("weight", "delay"):
            if name in attributes:
                values = evaluate(space[name], sources, targets, self, Stream(0, 0, 0))
                if name == "weight":
                    check_signs(values, self)
                else:
                    self._checked_delays(values)
        common.Projection.set(self, **attributes)
        if "delay" in attributes:
            for synapse in self.connections:
                synapse.delay = float(_on_grid(synapse.delay))

    def _set_attributes(self, parameter_space: Any) -> None:
        pynn_neuron.Projection._set_attributes(self, parameter_space)


def _on_grid(delays: Any) -> Any:
    return np.round(delay_steps(delays, state.dt) * state.dt, 9)


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

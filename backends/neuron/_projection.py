"""Projections in NEURON: drawn as arrays, built by one interpreted loop without Python objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from portable_cortex.host import parallel
from portable_cortex.pynn import projection
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.drive import is_one_to_one, is_whole
from portable_cortex.pynn.projection import ADDRESS, Columns
from portable_cortex.pynn.values import members
from portable_cortex.support import refusal

from . import _state
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
    _list: Any = None  # of NEURON's connections, once there are any
    _replaced: Any = None  # connections that only have spikes on their way
    _replaced_until = 0.0  # step in which the last of them has arrived
    _connections: dict[int, Any]  # PyNN's, of plastic synapses

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
            for part, _ in members(self.pre):
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
            is_one_to_one(connector, pre, post)
            and is_whole(post)
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
        self._list, self._replaced = h.List(), h.List()
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
        return getattr(self.pre, "_drives", None) is self

    def _receptor(self, target: int) -> Any:
        cell = self.post.all_cells[target]._cell
        for name in self.receptor_type.split("."):  # e.g. dendrite.AMPA
            cell = getattr(cell, name)
        return cell

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        return int(self._edges.sources.size) if self.is_static else len(list(self.connections))

    def size(self, gather: bool = True) -> int:
        """See PyNN: the number of synapses, of all processes or of this one."""
        n = len(self)
        return parallel.total(n) if gather else n

    def smallest_delay(self) -> float | None:
        """Of the synapses of this process, ms; None if there are none."""
        delays = self.columns(["delay"])["delay"]
        return float(delays.min()) if delays.size else None

    def columns(self, names: list[str]) -> Columns:
        """See the floor; of this process."""
        if not self.is_static:
            return super().columns(names)
        columns = dict(zip((*ADDRESS, "weight", "delay"), self._edges, strict=True))
        return {name: columns[name] for name in names}

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays of this process."""
        changed = self.checked_values({name: np.array(values, float)})
        self._edges = self._edges._replace(**{f"{name}s": changed[name]})
        self._pass_on()

    def release(self) -> None:
        """Free the connections in NEURON."""
        self._list = self._replaced = None
        self._connections = {}

    # --- plastic synapses, and those at locations on a cell: PyNN's own way -------------------

    def can_have(self, synapse_type: Any) -> bool:
        """PyNN's for NEURON, but for gap junctions."""
        return getattr(synapse_type, "presynaptic_type", self) is None

    def is_drawn(self, connector: Any) -> bool:
        """Static synapses onto point neurons."""
        return getattr(connector, "location_selector", None) is None and super().is_drawn(connector)

    def make_plastic(self, connector: Any) -> None:
        """See the floor."""
        _refuse(self.synapse_type, self.post)
        for part, _ in members(self.pre):
            part.build_sources()
        self._changes = parallel.rank() << 16  # processes draw new values for their own synapses
        local = np.flatnonzero(self.post._mask_local).tolist()
        self._connections = {target: defaultdict(list) for target in local}
        super().make_plastic(connector)

    def connect_plastic(
        self, sources: Any, target: int, location_selector: Any, parameters: dict[str, Any]
    ) -> None:
        """See the floor."""
        base = pynn_neuron.Projection._convergent_connect
        base(self, sources, target, location_selector, **parameters)

    @property
    def connections(self) -> Iterator[Any]:
        """Synapses of this process, one by one."""
        if self.is_static:
            return super().connections
        return iter(pynn_neuron.Projection.connections.fget(self))

    def plastic_columns(self, names: list[str]) -> Columns:
        """See the floor."""
        synapses, parameters = list(self.connections), self.synapse_type.get_parameter_names()
        native = [self.synapse_type.get_native_names(n)[0] if n in parameters else n for n in names]
        return {
            name: np.array([getattr(synapse, attribute) for synapse in synapses])
            for name, attribute in zip(names, native, strict=True)
        }

    def write_plastic(self, changed: Columns) -> None:
        """See the floor."""
        for name, values in changed.items():
            for synapse, value in zip(self.connections, values.tolist(), strict=True):
                setattr(synapse, name, value)


def _refuse(synapse_type: Any, post: Any) -> None:
    """Say which plastic synapses the neurons on the grid do not take."""
    if synapse_type.model == "TsodyksMarkramWA" and any(p.is_on_grid for p, _ in members(post)):
        raise refusal(
            "neuron",
            "TsodyksMarkramSynapse: onto IF_curr_exp",
            "have a TsodyksMarkramSynapse onto IF_curr_exp",
            "Use pyNN.neuron's own cell (import pyNN.neuron; pyNN.neuron.IF_curr_exp), or nest",
        )


def _vector(values: Any) -> Any:
    return h.Vector(np.asarray(values, dtype=float))


def _rounded(weights: Any) -> Any:
    fraction, exponent = np.frexp(np.asarray(weights, dtype=float))
    return np.ldexp(np.round(np.ldexp(fraction, WEIGHT_BITS)), exponent - WEIGHT_BITS)

"""Projections in NEURON: drawn as arrays, built by one interpreted loop without Python objects."""

from __future__ import annotations

import gc
import math
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
from pyNN.standardmodels.synapses import (
    SimpleStochasticSynapse,
    STDPMechanism,
    TsodyksMarkramSynapse,
)

from portable_cortex.host import parallel
from portable_cortex.pynn import projection
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.drive import is_one_to_one, is_whole
from portable_cortex.pynn.plasticity import (
    check_bounds,
    check_fraction,
    check_parameters,
    different,
)
from portable_cortex.pynn.projection import ADDRESS, Columns
from portable_cortex.pynn.values import members
from portable_cortex.support import refusal

from . import _plasticity, _state
from ._cells import GridCell
from ._generated import GeneratedCell
from ._pynn import h, pynn_neuron, simulator
from ._state import state

SHORT_TERM = "TsodyksMarkramWA"
TIME_CONSTANTS = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}

DRAWN = STDPMechanism, TsodyksMarkramSynapse, SimpleStochasticSynapse
"""Types of plastic synapses that the core draws."""

MARGIN = 1e-6
"""What keeps events in their step in spite of rounding errors, ms."""

CHUNK = 1 << 20
"""Synapses that are passed to NEURON at a time, to bound the memory that this takes."""

SYNAPSE = 16
"""What the first synapse's random stream is for; smaller numbers are of cells."""

WEIGHT_BITS = 40
"""Weights are rounded to so many bits, and their sums are exact in whichever order they are made.

A sum of thousands of weights that differ by no more than a factor of a thousand has 53 bits.
"""

# NEURON has no call that makes many connections; its interpreter makes them without a Python
# object each.
# With the margin delays are longer than a step, which NEURON wants among processes. A target that
# has several ports gets the number of one with the weight.
h(f"portable_margin = {MARGIN}")
h("""
objref portable_context
portable_context = new ParallelContext()
proc portable_connect() { local i  localobj connection
    // sources, targets (indices into), cells, weights, delays, list that keeps the connections,
    // ports of the cells
    for i = 0, $o1.size - 1 {
        connection = portable_context.gid_connect($o1.x[i], $o3.o($o2.x[i]))
        connection.weight = $o4.x[i]
        if ($o7.x[$o2.x[i]] > 0) connection.weight[1] = $o7.x[$o2.x[i]]
        connection.delay = $o5.x[i] + portable_margin
        $o6.append(connection)
    }
}
proc portable_set_delays() { local i
    // list of connections, delays
    for i = 0, $o1.count - 1 $o1.o(i).delay = $o2.x[i] + portable_margin
}
proc portable_set_weights() { local i
    // list of connections, indices of those that change, weights
    for i = 0, $o2.size - 1 $o1.o($o2.x[i]).weight = $o3.x[i]
}
proc portable_set() { local i
    // list of connections, weights, delays
    for i = 0, $o1.count - 1 {
        $o1.o(i).weight = $o2.x[i]
        $o1.o(i).delay = $o3.x[i] + portable_margin
    }
}
""")


class Projection(projection.Projection):
    __doc__ = pynn_neuron.Projection.__doc__
    _simulator = _state
    _static_synapse_class = pynn_neuron.StaticSynapse
    _list: Any = None  # of NEURON's connections, once there are any
    _connections: dict[int, Any]  # PyNN's, of plastic synapses
    _last: Columns | None = None  # what plastic synapses were when the network ended

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
        self._change(
            Edges(edges.sources.astype(np.int32), edges.targets.astype(np.int32), *edges[2:])
        )

    def _change(self, edges: Edges) -> None:
        """Keep other weights and delays."""
        before = self._edges if self._list is not None and simulator.state.running else None
        if before is not None:
            self._check_delays(before, edges)
        self._edges = edges
        if before is None:
            self._pass_on()
            return
        h.portable_set_delays(self._list, _vector(self._delays_of(edges)))
        self._change_weights(before)

    def _change_weights(self, before: Edges) -> None:
        """Let weights that differ hold for spikes to come, not for those that are on their way.

        NEURON looks at a weight when a spike arrives.
        """
        weights = _rounded(self._edges.weights)
        differs = weights != _rounded(before.weights)
        steps = np.rint(self._delays_of(before) / state.dt).astype(np.int64)
        for ahead in np.unique(steps[differs]).tolist():
            index = np.flatnonzero(differs & (steps == ahead))
            state.change_later(ahead, partial(self._set_weights, index, weights[index]))

    def _set_weights(self, index: Any, weights: Any) -> None:
        if self._list is not None:
            h.portable_set_weights(self._list, _vector(index), _vector(weights))

    def _check_delays(self, before: Edges, edges: Edges) -> None:
        """Refuse delays that would change those of spikes on their way, too.

        NEURON sends what has one delay to all targets as one event.
        """
        shorter = np.any(edges.delays < before.delays)
        mixed = shorter and (state.is_changing or np.any(edges.weights != before.weights))
        other = before.delays != edges.delays
        if other.any() and not mixed:
            together, _ = _sources_with_one_delay()
            mixed = np.any(np.isin(_numbers(self)[before.sources[other]], together))
        if parallel.total(int(mixed)):
            raise refusal(
                "neuron",
                "delays-between-runs: of spikes on their way",
                f"set these delays of projection {self.label} at {state.t:g} ms",
                "Set them before the first run, or after reset(); and weights in a call of their "
                "own, before delays",
            )

    def tell_delays(self, *, as_stated: bool) -> None:
        """Tell NEURON the delays as they are stated, or those by which spikes are in time."""
        if not self.is_static:
            for synapse in self.connections:
                synapse.tell_delay(as_stated=as_stated)
        elif self._is_early.any() and self._list is not None:
            delays = self._edges.delays if as_stated else self._delays_of(self._edges)
            h.portable_set_delays(self._list, _vector(delays))

    def _check_new(self) -> None:
        """Refuse synapses that spikes which NEURON has sent to all targets would take.

        Static synapses have no weight yet when these spikes arrive, but cannot be faster than them.
        """
        together, sent = _sources_with_one_delay()
        if self.is_static:
            sources, delays = _numbers(self)[self._edges.sources], self._delays_of(self._edges)
            fastest = np.full(int(max(sources.max(initial=0), together.max(initial=0))) + 1, np.inf)
            np.minimum.at(fastest, sources, delays)
            at_risk = together[fastest[together] < sent - 0.25 * state.dt]
        else:
            at_risk = np.intersect1d(together, _numbers(self))
        late = at_risk.size > 0 and not _on_their_way().isdisjoint(at_risk.tolist())
        if parallel.total(int(late)):
            raise refusal(
                "neuron",
                "delays-between-runs: of spikes on their way",
                f"make projection {self.label} at {state.t:g} ms, whose synapses are plastic or "
                "have shorter delays than others of its sources",
                "Make it before the first run, or run until all spikes have arrived",
            )

    def connected_here(self) -> Iterator[tuple[Any, Any]]:
        """Sources of the connections that NEURON has here, and the delays that it was told."""
        if self._list is not None:
            yield _numbers(self)[self._edges.sources], self._delays_of(self._edges) + MARGIN
        elif not self.is_static:
            ends = [end for synapse in self.connections for end in synapse.connected()]
            yield np.array([n for n, _ in ends], np.int64), np.array([d for _, d in ends])

    def _pass_on(self) -> None:
        weights = _rounded(self._edges.weights)
        if self._list is not None:
            h.portable_set(self._list, _vector(weights), _vector(self._delays_of(self._edges)))
        elif self.post_is_driven_by_this:
            for (_, cell, _), weight in zip(self.drive_targets(), weights, strict=True):
                cell.drive_weight = weight
            self.pre._push_drive()

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
            and post.has_drive
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
        weights = self._edges.weights
        if simulator.state.running:  # no spike that is on its way is for these synapses
            self._check_new()
            weights = np.zeros_like(weights)
        self._list = h.List()
        cells, position = h.List(), np.zeros(self.post.size, dtype=np.int64)
        ports = h.Vector()
        for n, target in enumerate(np.unique(self._edges.targets).tolist()):
            cell, port = self._receptor(target)
            cells.append(cell)
            ports.append(port)
            position[target] = n
        delays = self._delays_of(self._edges)
        numbers = np.array(self.pre.all_cells, dtype=np.int64)
        for start in range(0, self._edges.sources.size, CHUNK):
            part = slice(start, start + CHUNK)
            h.portable_connect(
                _vector(numbers[self._edges.sources[part]]),
                _vector(position[self._edges.targets[part]]),
                cells,
                _vector(_rounded(weights[part])),
                _vector(delays[part]),
                self._list,
                ports,
            )
        self._change_weights(self._edges._replace(weights=weights))

    @property
    def post_is_driven_by_this(self) -> bool:
        return getattr(self.pre, "_drives", None) is self

    def _receptor(self, target: int) -> tuple[Any, int]:
        """What takes the spikes of a target, and the number of its port."""
        cell = self.post.all_cells[target]._cell
        if isinstance(cell, GeneratedCell):
            return cell.source, cell.ports.index(self.receptor_type)
        for name in self.receptor_type.split("."):  # e.g. dendrite.AMPA
            cell = getattr(cell, name)
        return cell, 0

    @cached_property
    def _is_early(self) -> Any:
        """Which targets take what arrives at the end of a step, others in the next one.

        NEURON delivers it as a step begins.
        """
        parts = members(self.post)
        return np.concatenate([np.full(index.size, part.is_generated) for part, index in parts])

    def _delays_of(self, edges: Edges) -> Any:
        """The delays that NEURON is told, ms."""
        return edges.delays - self._is_early[edges.targets] * state.dt

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        if self.is_static:
            return int(self._edges.sources.size)
        return len(list(self.connections)) if self._last is None else self._last[ADDRESS[0]].size

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
        state.check_alive(self.pre, self.post)
        if not self.is_static:
            return super().columns(names)
        columns = dict(zip((*ADDRESS, "weight", "delay"), self._edges, strict=True))
        return {name: columns[name] for name in names}

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays of this process."""
        changed = self.checked_values({name: np.array(values, float)})
        self._change(self._edges._replace(**{f"{name}s": changed[name]}))

    def release(self) -> None:
        """Free the connections in NEURON; what they were can still be read."""
        if not self.is_static:
            names = self.synapse_type.get_parameter_names()
            self._last = self.plastic_columns([*ADDRESS, *names])
        self._list, self._connections = None, {}

    # --- plastic synapses, and those at locations on a cell: PyNN's own way -------------------

    def can_have(self, synapse_type: Any) -> bool:
        """PyNN's for NEURON, but for gap junctions."""
        return getattr(synapse_type, "presynaptic_type", self) is None

    def is_drawn(self, connector: Any) -> bool:
        """Static synapses onto point neurons."""
        return getattr(connector, "location_selector", None) is None and super().is_drawn(connector)

    def make_plastic(self, connector: Any) -> None:
        """See the floor."""
        self._check_plastic()
        self.synapse_type.connection_type = PlasticSynapse
        for part, _ in members(self.pre):
            part.build_sources()
        if simulator.state.running:
            self._check_new()
        self._changes = parallel.rank() << 16  # processes draw new values for their own synapses
        local = np.flatnonzero(self.post._mask_local).tolist()
        self._connections = {target: defaultdict(list) for target in local}
        self.made_onto: defaultdict[int, int] = defaultdict(int)
        collects = gc.isenabled()
        gc.disable()  # it would look at all synapses so far, again and again
        try:
            if self.draws_plastic:
                self._connect_plastic(*self.draw_plastic(connector))
            else:
                super().make_plastic(connector)
        finally:
            if collects:
                gc.enable()

    @property
    def draws_plastic(self) -> bool:
        """PyNN's own types, onto point neurons."""
        is_located = getattr(self._connector, "location_selector", None) is not None
        return not self.is_static and not is_located and isinstance(self.synapse_type, DRAWN)

    def _connect_plastic(self, edges: Edges, parameters: dict[str, Any]) -> None:
        """Make the synapses of each target that is here."""
        check_parameters(type(self.synapse_type).__name__, self.label, parameters)
        check_bounds(self.label, edges.weights, parameters)
        edges = self.checked(edges)
        values = {"weight": edges.weights, "delay": edges.delays, **parameters}
        n = edges.sources.size
        space = self.native_space(values, n)
        native = self.synapse_type.translate(space)
        native.evaluate(simplify=False)
        columns = {name: np.broadcast_to(v, n) for name, v in native.items()}
        extra = dict(self.synapse_type.extra_parameters)
        for part in ("timing_dependence", "weight_dependence"):
            extra |= getattr(getattr(self.synapse_type, part, None), "extra_parameters", {})
        order = np.argsort(edges.targets, kind="stable")
        targets, first = np.unique(edges.targets[order], return_index=True)
        ends = np.append(first[1:], n)
        for target, begin, end in zip(targets.tolist(), first, ends, strict=False):
            if target in self._connections:
                own = order[begin:end]
                each = {name: v[own].tolist() for name, v in columns.items()}
                self.connect_plastic(edges.sources[own], target, None, {**each, **extra})

    def connect_plastic(
        self, sources: Any, target: int, location_selector: Any, parameters: dict[str, Any]
    ) -> None:
        """See the floor."""
        if self.synapse_type.model == SHORT_TERM:
            cell = self.post[target]
            if isinstance(cell._cell, GridCell):  # PyNN takes it from the target's mechanism
                cell._cell.source.tau = getattr(cell, TIME_CONSTANTS[self.receptor_type])
        base = pynn_neuron.Projection._convergent_connect
        base(self, sources, target, location_selector, **parameters)

    def lead(self, target: int) -> float:
        """By how much the spikes of a target have to come sooner, ms."""
        return float(self._is_early[target] * state.dt)

    def _check_plastic(self) -> None:
        """Say which plastic synapses the neurons on the grid do not take."""
        kinds = {type(part.celltype) for part, _ in members(self.post) if part.is_on_grid}
        needed = TIME_CONSTANTS.get(self.receptor_type)
        lacking = [k.__name__ for k in kinds if needed not in k.default_parameters]
        if self.synapse_type.model == SHORT_TERM and lacking:
            raise refusal(
                "neuron",
                "TsodyksMarkramSynapse: onto cells without tau_syn_E and tau_syn_I",
                f"have a TsodyksMarkramSynapse onto {lacking[0]}",
                "Use a StaticSynapse, or nest",
            )

    @property
    def connections(self) -> Iterator[Any]:
        """Synapses of this process, one by one."""
        if self.is_static:
            return super().connections
        return iter(pynn_neuron.Projection.connections.fget(self))

    def plastic_columns(self, names: list[str]) -> Columns:
        """See the floor."""
        if self._last is not None:
            return {name: self._last[name] for name in names}
        synapses, parameters = list(self.connections), self.synapse_type.get_parameter_names()
        native = [self.synapse_type.get_native_names(n)[0] if n in parameters else n for n in names]
        return {
            name: np.array([getattr(synapse, attribute) for synapse in synapses])
            for name, attribute in zip(names, native, strict=True)
        }

    def write_plastic(self, changed: Columns) -> None:
        """See the floor."""
        for synapse, delay in zip(self.connections, changed.get("delay", ()), strict=False):
            synapse.check(delay)
        for name, values in changed.items():
            for synapse, value in zip(self.connections, values.tolist(), strict=True):
                setattr(synapse, name, value)


class PlasticSynapse(simulator.Connection):  # type: ignore[misc]  # PyNN is untyped
    """A plastic synapse, whose spikes come sooner where the target takes them as a step ends.

    What changes the weight hears of spikes when PyNN says so, but never after the weight is used.
    """

    _stream: Any = None  # of random numbers, where it has any

    def __init__(self, projection: Projection, pre: int, post: int, *args: Any, **values: Any):
        # processes count alike: each has all synapses of its cells
        self._what = SYNAPSE + (projection._number << 20) + projection.made_onto[post]
        projection.made_onto[post] += 1
        super().__init__(projection, pre, post, *args, **values)
        self._lead = projection.lead(post)
        self._stated = float(self.nc.weight[0])
        self.delay = self.nc.delay

    def _setup_plasticity(self, synapse_type: Any, parameters: dict[str, Any]) -> None:
        """See PyNN, whose own tells NEURON's interpreter in a text: most of the time it took."""
        has_pairs = synapse_type.postsynaptic_variable == "spikes"
        adjuster = self.weight_adjuster = getattr(h, synapse_type.model)(0.5)
        if hasattr(adjuster, "setRNG"):  # else it draws from what all of them have in common
            self._stream = h.Random()
            self.reseed()
            adjuster.setRNG(self._stream)
        self.ddf = parameters.pop("dendritic_delay_fraction") if has_pairs else 0
        self.pre2wa = _connected(self.presynaptic_cell, adjuster)
        self.pre2wa.threshold = self.nc.threshold
        self.pre2wa.delay = self.nc.delay * (1 - self.ddf)
        self.pre2wa.weight[0] = 1.0 if has_pairs else self.nc.weight[0]
        if has_pairs:
            target = self.postsynaptic_cell._cell
            self.post2wa = h.NetCon(target.source, adjuster, sec=target.source_section)
            self.post2wa.threshold = 1
            self.post2wa.delay = self.nc.delay * self.ddf
            self.post2wa.weight[0] = -1
            adjuster.allow_update_on_post = 0
        for name, value in parameters.items():
            if name not in ("x", "y"):  # where short-term plasticity begins
                setattr(adjuster, name, value)
        if synapse_type.model == SHORT_TERM:
            adjuster.tau_syn = different(self.nc.syn().tau, adjuster.tau_rec)
        h.setpointer(self.nc._ref_weight[0], "wsyn", adjuster)

    @property
    def weight(self) -> float:
        """What was stated, of short-term plasticity; what it has become, of pair rules."""
        return float(self._scaled.weight[0])

    @weight.setter
    def weight(self, value: float) -> None:
        self._stated = self._scaled.weight[0] = float(value)

    @property
    def dendritic_delay_fraction(self) -> float:
        """The part of the delay that is in the dendrite."""
        return float(self.ddf)

    @dendritic_delay_fraction.setter
    def dendritic_delay_fraction(self, value: float) -> None:
        check_fraction(float(value))
        self.ddf = float(value)
        self.check(self._delay)
        self.tell_delay(as_stated=False)

    @property
    def _scaled(self) -> Any:
        """The connection whose weight it is: mechanisms multiply that of the one to them."""
        return self.nc if hasattr(self, "post2wa") else self.pre2wa

    def restore(self) -> None:
        """Give the synapse the weight back that was stated."""
        self.nc.weight[0] = self._stated

    def reseed(self) -> None:
        """Let random numbers be those of the trial, and of this synapse alone."""
        if self._stream is not None:
            self._stream.Random123(state.drive_seed, int(self.postsynaptic_cell), self._what)
            self._stream.seq(0)
            self._stream.uniform(0, 1)

    @property
    def delay(self) -> float:
        """As it was stated, ms."""
        return self._delay

    @delay.setter
    def delay(self, value: float) -> None:
        self.check(value)
        self._delay = float(value)
        self.tell_delay(as_stated=False)

    def check(self, delay: float) -> None:
        """Refuse a delay of which dendrite or axon have less than is needed."""
        axonal = delay * (1 - self.ddf) if hasattr(self, "pre2wa") else math.inf
        if simulator.state.num_processes > 1 and axonal < 2 * state.dt - MARGIN:
            raise refusal(
                "neuron",
                "mpirun: plastic synapses with less than two steps in the axon",
                f"have {axonal:g} ms of a synapse's delay in the axon",
                "Use a longer delay, a smaller dendritic_delay_fraction, or one process",
            )
        later = (1 - 2 * getattr(self, "ddf", 0.5)) * delay / state.dt
        if self._has_pairs and abs(later - round(later)) > 1e-6:
            raise refusal(
                "neuron",
                "STDPMechanism: parts of the delay between steps",
                f"have {self.ddf:g} of a delay of {delay:g} ms in the dendrite",
                "Let what axon and dendrite differ by be a multiple of the time step",
            )
        if self._lead and hasattr(self, "post2wa") and delay * self.ddf < 2 * self._lead - 1e-9:
            raise refusal(
                "neuron",
                "STDPMechanism: dendritic delays below two steps",
                f"have a dendritic delay of {delay * self.ddf:g} ms",
                "Use a larger dendritic_delay_fraction, IF_curr_exp, or builtin",
            )

    def tell_delay(self, *, as_stated: bool) -> None:
        """Tell NEURON the delay as it is stated, or that by which a spike is in time."""
        self._set_delay(self._delay)
        if self._has_pairs:
            self.post2wa.delay, self.pre2wa.delay = self._parts()
        if self._lead and not as_stated:
            self.nc.delay = self._delay - self._lead + MARGIN
        if not hasattr(self, "pre2wa"):
            return
        if as_stated:  # processes exchange spikes in whole steps
            steps = math.floor(self.pre2wa.delay / state.dt + 1e-6)
            self.pre2wa.delay = max(1, steps) * state.dt
        else:  # a little sooner, as PyNN makes it
            self.pre2wa.delay = max(0.0, min(self.pre2wa.delay, self.nc.delay) - 1e-9)
        if self._has_pairs:
            wait = self.nc.delay - self.pre2wa.delay - 0.25 * state.dt
            self.weight_adjuster.wait = wait if wait > 0.5 * state.dt else 0.0

    def connected(self) -> Iterator[tuple[int, float]]:
        """Cells whose spikes NEURON takes here, and the delays that it was told."""
        yield int(self.presynaptic_cell), self.nc.delay
        if hasattr(self, "pre2wa"):
            yield int(self.presynaptic_cell), self.pre2wa.delay
        if hasattr(self, "post2wa"):
            yield int(self.postsynaptic_cell), self.post2wa.delay

    @property
    def _has_pairs(self) -> bool:
        """Whether the weight is changed by our mechanism."""
        return hasattr(self, "post2wa") and hasattr(self.weight_adjuster, "mu_plus")

    def _parts(self) -> tuple[float, float]:
        """Delays after which spikes of target and source are seen, ms, both on the grid.

        It is their difference that counts.
        """
        later = (1.0 - 2.0 * self.ddf) * self._delay
        dendrite = math.floor(self._delay * self.ddf / state.dt + 1e-6) * state.dt
        return dendrite, dendrite + later


def _connected(source: Any, target: Any) -> Any:
    return simulator.state.parallel_context.gid_connect(int(source), target)


def _of_mechanism(name: str) -> property:
    """A parameter that the mechanism has which changes the weight."""
    return property(
        lambda self: getattr(self.weight_adjuster, name),
        lambda self, value: setattr(self.weight_adjuster, name, value),
    )


for _name in (*_plasticity.NATIVE, "p", "n", "tau_fac"):  # what PyNN lets nobody read
    setattr(PlasticSynapse, _name, _of_mechanism(_name))


def _numbers(projection: Projection) -> Any:
    return np.array(projection.pre.all_cells, dtype=np.int64)


def _sources_with_one_delay() -> tuple[Any, Any]:
    """Numbers of the cells whose connections, more than two, all have one delay; and it, ms."""
    ends = [ends for projection in state.projections for ends in projection.connected_here()]
    numbers, delays = [source for source, _ in ends], [delay for _, delay in ends]
    if not numbers:
        return np.zeros(0, np.int64), np.zeros(0)
    joined, delay = np.concatenate(numbers), np.concatenate(delays)
    order = np.lexsort((delay, joined))
    sources, first, count = np.unique(joined[order], return_index=True, return_counts=True)
    ordered = delay[order]
    alike = (count > 2) & (ordered[first] == ordered[first + count - 1])
    return sources[alike], ordered[first][alike]


def _on_their_way() -> set[int]:
    """Numbers of the cells whose spikes have not arrived everywhere."""
    connections = h.List()
    simulator.state.cvode.event_queue_info(2, h.Vector(), connections)
    return {int(connection.srcgid()) for connection in connections}


def _vector(values: Any) -> Any:
    return h.Vector(np.asarray(values, dtype=float))


def _rounded(weights: Any) -> Any:
    fraction, exponent = np.frexp(np.asarray(weights, dtype=float))
    return np.ldexp(np.round(np.ldexp(fraction, WEIGHT_BITS)), exponent - WEIGHT_BITS)

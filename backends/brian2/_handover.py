"""What a network leaves to the one that takes its place, when something changes between runs.

Brian2's objects are made for one set of parameters, synapses and recordings. So what changes is
described anew, a new network is made at the present, and takes over: the variables of each cell,
the rest of its refractory time, and what is on its way to the receptors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.neurons.form import STEP
from portable_cortex.neurons.numbers import in_form
from portable_cortex.neurons.reference import evaluate, resolved
from portable_cortex.pynn.grid import whole_steps
from portable_cortex.pynn.values import members

from ._cells import SpikeSourceArray
from ._groups import MS, Array, Cells, Lowered, Pathway

if TYPE_CHECKING:
    from ._simulator import State


@dataclass(frozen=True)
class Arrivals:
    """What will be added to a variable of a population's cells.

    Attributes
    ----------
    population : int
        ``id()``.
    variable : str
    steps, index : arrays of int64
        In which step, to which cell.
    amounts : array
        In SI.
    """

    population: int
    variable: str
    steps: Array
    index: Array
    amounts: Array


@dataclass(frozen=True)
class Handover:
    """What goes on.

    Attributes
    ----------
    step : int
        The present.
    variables : dict of int to dict of str to array
        Values (SI, or those of `neurons.form`) by population's ``id()`` and name.
    refractory : dict of int to array
        Steps that each cell will still be silent, where Brian2 counts them.
    arrivals : list of Arrivals
    """

    step: int
    variables: dict[int, dict[str, Array]] = field(default_factory=dict)
    refractory: dict[int, Array] = field(default_factory=dict)
    arrivals: list[Arrivals] = field(default_factory=list)


def hand_over(state: State, lowered: Lowered) -> Handover:
    """What a network leaves."""
    left = Handover(state.step)
    for cells in lowered.cells:
        if cells.populations[0].injectable:
            _take_cells(left, cells, state)
    if state.handover is not None:
        left.arrivals.extend(_still_to_come(state.handover.arrivals, state.step))
    for pathway in lowered.pathways:
        ahead, synapses = _queued(pathway.synapses)
        left.arrivals.extend(_arrivals(pathway, synapses, state.step + ahead))
        if state.step > lowered.step:
            left.arrivals.extend(_of_the_present(pathway, state))
    for drive in lowered.drives:
        left.arrivals.extend(_drawn(drive, lowered.step, state))
    return left


def _take_cells(left: Handover, cells: Cells, state: State) -> None:
    group, celltype = cells.group, cells.populations[0].celltype
    is_written = isinstance(celltype, NeuronType)
    names = [q.name for q in celltype.neuron.state] if is_written else group.equations.diff_eq_names
    variables = {n: group.variables[cells.called(n)].get_value() for n in names}
    for population in cells.populations:
        own = slice(cells.offsets[id(population)], cells.offsets[id(population)] + population.size)
        left.variables[id(population)] = {n: v[own].copy() for n, v in variables.items()}
        if is_written:
            continue
        fired = np.round(group.variables["lastspike"].get_value() / (state.dt * MS))
        passed = state.step - fired[own]
        silent = np.maximum(refractory_steps(population, state.dt) - passed, 0)
        left.refractory[id(population)] = silent


def _still_to_come(arrivals: list[Arrivals], step: int) -> Iterator[Arrivals]:
    for a in arrivals:
        later = a.steps >= step
        if later.any():
            yield Arrivals(
                a.population, a.variable, a.steps[later], a.index[later], a.amounts[later]
            )


def _queued(synapses: Any) -> tuple[Array, Array]:
    """Steps until it arrives, and synapse, of each spike on its way."""
    kept = synapses._pathways[0].queue._full_state()
    if len(kept) == 3:  # of the queue in Python: time step, spikes, shape; else of that in C++
        return kept[1][:, 0], kept[1][:, 1]
    offset, rows = kept
    sizes = [len(row) for row in rows]
    ahead = (np.repeat(np.arange(len(rows)), sizes) - offset) % max(len(rows), 1)
    queued = [np.empty(0, np.int64), *(np.asarray(row, np.int64) for row in rows)]
    return ahead, np.concatenate(queued)


def _arrivals(pathway: Pathway, synapses: Array, steps: Array) -> Iterator[Arrivals]:
    """What arrives through some synapses, by population."""
    variables = pathway.synapses.variables
    targets = variables["_synaptic_post"].get_value()[synapses]
    weights = np.broadcast_to(variables["w"].get_value(), len(pathway.synapses))[synapses]
    for population in pathway.post.populations:
        index = targets - pathway.post.offsets[id(population)]
        own = (index >= 0) & (index < population.size)
        if own.any():
            amounts = weights[own].astype(float) * pathway.scale
            yield Arrivals(id(population), pathway.variable, steps[own], index[own], amounts)


def _of_the_present(pathway: Pathway, state: State) -> Iterator[Arrivals]:
    """Spikes of the present that Brian2 would send in the step that begins."""
    if not pathway.pre.is_sent_then:
        return
    fired = []
    for population in pathway.pre.populations:
        if type(population.celltype) is SpikeSourceArray:
            steps, index = population.scheduled()
            fired.append(index[steps == state.step] + pathway.pre.offsets[id(population)])
    if pathway.pre.stamp:
        spikes = pathway.pre.group.variables["_spikespace"].get_value()
        fired.append(spikes[: spikes[-1]])
    sources = pathway.synapses.variables["_synaptic_pre"].get_value()
    synapses = np.flatnonzero(np.isin(sources, np.concatenate([*fired, []])))
    delays = pathway.synapses._pathways[0].variables["delay"].get_value() / (state.dt * MS)
    delays = np.broadcast_to(np.round(delays).astype(np.int64), len(pathway.synapses))
    yield from _arrivals(pathway, synapses, state.step + delays[synapses])


def _drawn(drive: Any, since: int, state: State) -> Iterator[Arrivals]:
    """Spikes on their way from Poisson sources that a network draws where they arrive."""
    rates, start, duration = (drive.pre.parameters[n] for n in ("rate", "start", "duration"))
    mean = (rates * state.dt * MS)[drive.sources]
    begin, end = start[drive.sources], (start + duration)[drive.sources]
    variable = drive.post.celltype.receptors[drive.receptor_type]
    first = 0
    found = []
    for sent in range(max(since, state.step - int(drive.delay_steps.max())), state.step):
        time = (sent + 0.5) * state.dt
        on = (sent + drive.delay_steps >= state.step) & (time > begin) & (time < end)
        # the generator that Brian2 seeds
        counts = np.random.poisson(np.where(on, mean, 0.0))  # noqa: NPY002
        some = np.flatnonzero(counts)
        found.append((sent + drive.delay_steps[some], drive.targets[some], some, counts[some]))
    if not found:
        return
    steps, targets, synapses, counts = (np.concatenate(c) for c in zip(*found, strict=True))
    for population, index in members(drive.post):
        own = (targets >= first) & (targets < first + index.size)
        amounts = counts[own] * drive.weights[synapses[own]] * population.celltype.weight_scale
        yield Arrivals(id(population), variable, steps[own], index[targets[own] - first], amounts)
        first += index.size


# --- what takes over ------------------------------------------------------------------------------


def initial_values(population: Any, state: State) -> dict[str, Array]:
    """Variables of a population's cells when its network begins: SI, or as `neurons.form` says."""
    celltype, handover = population.celltype, state.handover
    scales = celltype.scales
    if handover is not None and id(population) in handover.variables:
        given = handover.variables[id(population)]
    else:
        given = {name: values * scales[name] for name, values in population.initial.items()}
    if not isinstance(celltype, NeuronType):
        return given
    neuron = celltype.neuron
    now = np.array([state.t])
    known = {STEP: np.array([state.dt]), "t": now, **in_form(neuron, population.parameters)}
    known |= {q.name: np.zeros(1) for q in neuron.currents}
    known |= resolved(neuron, state.dt, {**known, **given})
    for quantity in neuron.inlines:
        assert quantity.value is not None
        known[quantity.name] = evaluate(quantity.value, known)
    wanted = [q.name for q in (*neuron.state, *neuron.inlines)]
    return {n: np.broadcast_to(np.asarray(known[n], float), population.size) for n in wanted}


def last_spikes(population: Any, handover: Handover | None, dt: float) -> Array:
    """When each cell last fired (s), so that it is silent for the rest of its refractory time."""
    long_ago = np.full(population.size, -1e4)
    if handover is None or id(population) not in handover.refractory:
        return long_ago
    silent = handover.refractory[id(population)]
    fired = handover.step - refractory_steps(population, dt) + silent
    return np.where(silent > 0, fired * dt * MS, long_ago)


def refractory_steps(population: Any, dt: float) -> Array:
    """Refractory time in steps, one more than Brian2 is to count; see `_lowering`."""
    return whole_steps(population.parameters["tau_refrac"], dt) + 1


class Delivery:
    """Adds what was on its way, step by step."""

    def __init__(self, arrivals: list[Arrivals], lowered: Lowered) -> None:
        self._due: dict[int, list[tuple[Array, Array, Array]]] = {}
        for a in arrivals:
            cells = next(c for c in lowered.cells if a.population in c.offsets)
            values = cells.group.variables[a.variable].get_value()
            index = a.index + cells.offsets[a.population]
            for step in np.unique(a.steps).tolist():
                now = a.steps == step
                self._due.setdefault(step, []).append((values, index[now], a.amounts[now]))

    def deliver(self, step: int) -> None:
        """Add what arrives in a step."""
        for values, index, amounts in self._due.pop(step, ()):
            np.add.at(values, index, amounts)

"""From the description to Brian2: as few groups and synapse objects as hold the network.

Populations of one cell type and equal time constants share a ``NeuronGroup``; projections between
two groups onto one receptor share a ``Synapses``, filled by one ``connect`` with arrays. Values
that all cells have in common are single numbers, so that Brian2 computes with them once a step.

Times follow NEST's grid: what Brian2 does in the step that begins at t happens, for neurons, at
its end. Their spikes are stamped ``t + dt`` therefore, and the refractory time is a step longer
than Brian2 counts it. Spike sources fire at t; their delays are a step shorter in return.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import brian2
import numpy as np

from portable_cortex.errors import UnsupportedError

from ._cells import CAPACITANCE, UNITS, SpikeSourceArray, SpikeSourcePoisson
from ._integration import code, propagators
from ._simulator import State

Array = np.ndarray[Any, Any]
MS = 1e-3
MOST_POISSON = 0.1  # spikes a step of a source that can fire once a step


@dataclass
class Cells:
    """Populations that are one Brian2 group.

    Attributes
    ----------
    offsets : dict of int to int
        First cell of each population, by the population's ``id()``.
    stamp : int
        Steps from the time that Brian2 writes to that of the spike.
    group : brian2.Group
    spikes : brian2.SpikeMonitor or None
    signals : dict of (str, int) to (brian2.StateMonitor, array)
        By variable and sampling interval (steps); with the recorded cells.
    """

    populations: list[Any]
    stamp: int
    offsets: dict[int, int] = field(init=False)
    size: int = field(init=False)
    group: Any = None
    spikes: Any = None
    signals: dict[tuple[str, int], tuple[Any, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = [population.size for population in self.populations]
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self.size = starts.pop()
        self.offsets = {id(p): start for p, start in zip(self.populations, starts, strict=True)}

    def values(self, name: str, default: float = 0.0) -> Array:
        """A parameter of all cells, in PyNN's units."""
        return np.concatenate([p.parameters[name] for p in self.populations])


@dataclass
class Lowered:
    """A network in Brian2's objects."""

    network: Any
    cells: list[Cells]

    def home(self, population: Any) -> Cells | None:
        """Where a population is; None for Poisson sources that are part of their targets."""
        return next((c for c in self.cells if id(population) in c.offsets), None)


def lower(state: State, network_class: Any = brian2.Network) -> Lowered:
    """Make the Brian2 objects of a described network.

    Raises
    ------
    UnsupportedError
        For Poisson sources that would have to fire more than once a step.
    """
    clock = brian2.Clock(dt=state.dt * brian2.ms, name="step")
    drives = _drives(state)
    driven = {id(drive.pre) for drive in drives}
    families: dict[Any, list[Any]] = {}
    for population in state.populations:
        if id(population) not in driven:
            families.setdefault(_family(population), []).append(population)
    cells = [Cells(members, int(members[0].injectable)) for members in families.values()]
    lowered = Lowered(network_class(name="network"), cells)
    objects: list[Any] = []
    for number, found in enumerate(cells):
        kind = type(found.populations[0].celltype)
        if kind is SpikeSourceArray:
            found.group = _arrays(found, state.dt, f"times_{number}", clock)
        elif kind is SpikeSourcePoisson:
            found.group = _poisson(found, state.dt, f"poisson_{number}", clock)
        else:
            own = [d for d in drives if any(p in found.offsets for p in _parents(d.post))]
            objects += _neurons(found, own, state, f"neurons_{number}", clock)
        objects += [found.group, *_monitors(found, state.dt, clock)]
    objects += _synapses(lowered, [p for p in state.projections if id(p.pre) not in driven], clock)
    lowered.network.add(objects)
    return lowered


def _family(population: Any) -> Any:
    """Populations for which this is equal share a group."""
    if not population.injectable:
        return type(population.celltype)
    taus = sorted(name for name in population.parameters if name.startswith("tau"))
    return type(population.celltype), *(_common(population.parameters[name]) for name in taus)


def _common(values: Array) -> float | None:
    """The value that all have, or None."""
    return float(values[0]) if values.size and np.all(values == values[0]) else None


# --- where cells are ------------------------------------------------------------------------------


def _parts(cells: Any) -> list[tuple[Any, Array]]:
    """A population, view or assembly as populations, each with the indices in it."""
    members = getattr(cells, "populations", [cells])
    return [
        (getattr(m, "grandparent", m), _index_in_population(m, np.arange(m.size))) for m in members
    ]


def _index_in_population(member: Any, index: Array) -> Array:
    if hasattr(member, "index_in_grandparent"):
        return np.asarray(member.index_in_grandparent(index))
    return index


def _parents(cells: Any) -> list[int]:
    return [id(population) for population, _ in _parts(cells)]


def _located(lowered: Lowered, cells: Any, index: Array) -> list[tuple[Cells, Array, Array]]:
    """Which of the indices are in which group, and where in it."""
    parts = _parts(cells)
    located = []
    start = 0
    for population, members in parts:
        home = lowered.home(population)
        assert home is not None
        own = slice(None) if len(parts) == 1 else (index >= start) & (index < start + members.size)
        position = members[index[own] - start].astype(np.int32) + home.offsets[id(population)]
        located.append((home, own, position))
        start += members.size
    return located


# --- neurons --------------------------------------------------------------------------------------


def _neurons(cells: Cells, drives: list[Any], state: State, name: str, clock: Any) -> list[Any]:
    """A ``NeuronGroup``, and what is done to it every step."""
    celltype = cells.populations[0].celltype
    model = _Model(cells.size)
    currents = ["i_syn", "i_offset"]
    actions = []
    for parameter, (unit, scale) in UNITS.items():
        if parameter in celltype.default_parameters:
            values = cells.values(parameter)
            if parameter == "tau_refrac":
                values = values + state.dt
            model.add(CAPACITANCE if parameter == "cm" else parameter, unit, values * scale)
    pulses = [_pulse(current, cells) for current in state.currents]
    pulses = [pulse for pulse in pulses if pulse is not None]
    if pulses:
        model.text += "i_injected : amp\n"
        currents.append("i_injected")
        total = " + ".join(
            model.window(f"pulse_{k}", "amp", *pulse) for k, pulse in enumerate(pulses)
        )
        actions.append((f"i_injected = {total}", "start"))
    for k, (variable, rate, weight, on, off) in enumerate(_slots(cells, drives, celltype)):
        model.add(f"rate_{k}", "Hz", rate)
        unit = "amp" if not celltype.conductance_based else "siemens"
        size = model.window(f"drive_{k}", unit, weight, on, off)
        actions.append((f"{variable} += {size}*poisson(rate_{k}*dt)", "synapses"))
    method: Any = "rk4"
    if not celltype.conductance_based:
        alpha = "rise_exc" in celltype.synapses
        taus = {name: cells.values(name) for name in ("tau_m", "tau_syn_E", "tau_syn_I", "cm")}
        for parameter, (unit, values) in propagators(taus, state.dt, alpha=alpha).items():
            model.add(parameter, unit, values)
        method = code(alpha=alpha, injected=bool(pulses))
    membrane = (
        f"dv/dt = (v_rest - v)/tau_m + ({' + '.join(currents)})/{CAPACITANCE} : "
        "volt (unless refractory)"
    )
    group = brian2.NeuronGroup(
        cells.size,
        membrane + celltype.synapses + model.text,
        threshold="v >= v_thresh",
        reset="v = v_reset",
        refractory="tau_refrac",
        method=method,
        clock=clock,
        name=name,
        namespace={},
    )
    for variable, scale in celltype.scales.items():
        values = np.concatenate(
            [p.initial.get(variable, np.zeros(p.size)) for p in cells.populations]
        )
        if np.any(values):
            setattr(group, f"{variable}_", values * scale)
    for parameter, value in model.values.items():
        setattr(group, f"{parameter}_", value)
    cells.group = group
    return [
        group.run_regularly(action, when=when, clock=clock, name=f"{name}_action_{number}")
        for number, (action, when) in enumerate(actions)
    ]


class _Model:
    """Parameters of a group: one number where all cells have the same."""

    def __init__(self, size: int) -> None:
        self.size, self.text, self.values = size, "", {}  # type: int, str, dict[str, Any]

    def add(self, name: str, unit: str, values: Array) -> None:
        """Declare a parameter and keep its values (SI)."""
        common = _common(values)
        self.text += f"{name} : {unit} ({'constant' if common is None else 'shared, constant'})\n"
        self.values[name] = values if common is None else common

    def window(self, name: str, unit: str, size: Array, on: Array, off: Array) -> str:
        """An expression that is `size` from `on` until `off` (s), zero at other times."""
        self.add(name, unit, size)
        self.add(f"{name}_on", "second", on)
        self.add(f"{name}_off", "second", off)
        return f"{name}*int(t > {name}_on - 0.5*dt)*int(t < {name}_off - 0.5*dt)"


def _pulse(current: Any, cells: Cells) -> tuple[Array, Array, Array] | None:
    """Amplitude, start and end of an injected current, in SI."""
    values = current.get_parameters()
    values.evaluate(simplify=True)
    amplitude = np.zeros(cells.size)
    for cell in current.cells:
        if id(cell.parent) in cells.offsets:
            index = cells.offsets[id(cell.parent)] + cell.parent.id_to_index(cell)
            amplitude[index] += float(values["amplitude"]) * 1e-9
    if not amplitude.any():
        return None
    ones = np.ones(cells.size)
    return amplitude, ones * float(values["start"]) * MS, ones * float(values["stop"]) * MS


# --- Poisson input --------------------------------------------------------------------------------


def _drives(state: State) -> list[Any]:
    """Projections of Poisson sources that nobody else needs: each source has one target.

    The sources' spikes are then drawn where they arrive, any number of them a step.
    """
    found = []
    for population in state.populations:
        if type(population.celltype) is not SpikeSourcePoisson:
            continue
        projections = [p for p in state.projections if id(population) in _parents(p.pre)]
        if (
            len(projections) == 1
            and projections[0].pre is population
            and not population.recorder.indices("spikes").size
            and len(projections[0])
            and np.bincount(projections[0].sources).max() == 1
        ):
            found.append(projections[0])
    return found


def _slots(
    cells: Cells, drives: list[Any], celltype: Any
) -> list[tuple[str, Array, Array, Array, Array]]:
    """Drives of a group: receptor variable, rate, weight, on and off of every cell, in SI.

    Drives of different cells share a slot, so that the whole group is driven by one statement.
    """
    slots: list[tuple[str, Array, Array, Array, Array]] = []
    taken: list[Array] = []
    for drive in drives:
        variable = celltype.receptors[drive.receptor_type]
        values = drive.pre.parameters
        start = 0
        for population, members in _parts(drive.post):
            own = (drive.targets >= start) & (drive.targets < start + members.size)
            sources, targets = drive.sources[own], drive.targets[own] - start
            start += members.size
            if id(population) not in cells.offsets or not sources.size:
                continue
            positions = members[targets] + cells.offsets[id(population)]
            delay = drive.delay_steps[own] * drive._simulator.state.dt
            onset = values["start"][sources] + delay
            row = (
                values["rate"][sources],
                drive.weights[own].astype(float) * celltype.weight_scale,
                onset * MS,
                (onset + values["duration"][sources]) * MS,
            )
            # sources that share a target need a slot each
            rank = _occurrence(positions)
            for copy in range(int(rank.max()) + 1):
                one = rank == copy
                where = positions[one]
                for slot, used in zip(slots, taken, strict=True):
                    if slot[0] == variable and not used[where].any():
                        break
                else:
                    # what a cell without drive holds does not matter: its rate is zero
                    slot = (
                        variable,
                        np.zeros(cells.size),
                        *(np.full(cells.size, r[one][0]) for r in row[1:]),
                    )
                    used = np.zeros(cells.size, dtype=bool)
                    slots.append(slot)
                    taken.append(used)
                used[where] = True
                for array, new in zip(slot[1:], row, strict=True):
                    array[where] = new[one]
    return slots


def _occurrence(values: Array) -> Array:
    """How many equal values come before each."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered)
    rank = np.empty(values.size, dtype=np.int64)
    rank[order] = np.arange(values.size) - first
    return rank


def _poisson(cells: Cells, dt: float, name: str, clock: Any) -> Any:
    """Poisson sources that fire at most once a step."""
    rates = cells.values("rate")
    if rates.size and rates.max() * dt * MS > MOST_POISSON:
        raise UnsupportedError(
            "a SpikeSourcePoisson of the brian2 backend that is recorded, or has several targets, "
            f"fires at most once a step: its rate can be up to {MOST_POISSON / dt / MS:g} "
            f"spikes/s, not {rates.max():g}; connect it one to one and do not record it, or use a "
            "shorter time step"
        )
    model = _Model(cells.size)
    model.add("rate", "Hz", rates)
    start = cells.values("start")
    model.add("on", "second", start * MS)
    model.add("off", "second", (start + cells.values("duration")) * MS)
    group = brian2.NeuronGroup(
        cells.size,
        model.text,
        threshold="rand() < rate*dt and t > on + 0.5*dt and t < off + 0.5*dt",
        clock=clock,
        name=name,
        namespace={},
    )
    for parameter, value in model.values.items():
        setattr(group, f"{parameter}_", value)
    return group


def _arrays(cells: Cells, dt: float, name: str, clock: Any) -> Any:
    """Sources that fire at given times, rounded to the grid."""
    trains = [np.asarray(train.value, dtype=float) for train in cells.values("spike_times")]
    neurons = np.repeat(np.arange(cells.size), [train.size for train in trains])
    steps = np.round(np.concatenate([*trains, []]) / dt).astype(np.int64)
    if np.unique(np.column_stack([neurons, steps]), axis=0).shape[0] < steps.size:
        raise UnsupportedError(
            "a SpikeSourceArray of the brian2 backend fires at most once a step "
            f"({dt:g} ms): two of its spike times are closer"
        )
    return brian2.SpikeGeneratorGroup(
        cells.size, neurons, steps * dt * brian2.ms, clock=clock, name=name
    )


# --- recording and synapses -----------------------------------------------------------------------


def _monitors(cells: Cells, dt: float, clock: Any) -> list[Any]:
    name = cells.group.name
    recorders = [(p.recorder, cells.offsets[id(p)]) for p in cells.populations]
    monitors = []
    if any(recorder.indices("spikes").size for recorder, _ in recorders):
        cells.spikes = brian2.SpikeMonitor(cells.group, name=f"{name}_spikes")
        monitors.append(cells.spikes)
    wanted: dict[tuple[str, int], list[Array]] = {}
    for recorder, offset in recorders:
        interval = max(1, round(recorder.sampling_interval / dt))
        for variable in {key.name for key in recorder.recorded} - {"spikes"}:
            index = recorder.indices(variable) + offset
            wanted.setdefault((variable, interval), []).append(index)
    for (variable, interval), indices in sorted(wanted.items()):
        index = np.concatenate(indices)
        when = {"clock": clock} if interval == 1 else {"dt": interval * dt * brian2.ms}
        monitor = brian2.StateMonitor(
            cells.group, variable, record=index, name=f"{name}_{variable}_{interval}", **when
        )
        cells.signals[variable, interval] = monitor, index
        monitors.append(monitor)
    return monitors


def _synapses(lowered: Lowered, projections: list[Any], clock: Any) -> list[Any]:
    """One ``Synapses`` for each pair of groups and receptor, and one ``connect`` for each."""
    pieces: dict[Any, list[tuple[Array, ...]]] = {}
    homes = {id(cells): number for number, cells in enumerate(lowered.cells)}
    for projection in projections:
        for post, own_post, targets in _located(lowered, projection.post, projection.targets):
            sources = projection.sources[own_post]
            weights, steps = projection.weights[own_post], projection.delay_steps[own_post]
            for pre, own_pre, positions in _located(lowered, projection.pre, sources):
                if positions.size:
                    key = homes[id(pre)], homes[id(post)], projection.receptor_type
                    shift = 1 - pre.stamp  # see the module's docstring
                    pieces.setdefault(key, []).append(
                        (positions, targets[own_pre], weights[own_pre], steps[own_pre] - shift)
                    )
    made = []
    for (pre_number, post_number, receptor), rows in sorted(pieces.items()):
        pre, post = lowered.cells[pre_number], lowered.cells[post_number]
        celltype = post.populations[0].celltype
        sources, targets, weights, steps = (np.concatenate(c) for c in zip(*rows, strict=True))
        rows.clear()
        step = float(clock.dt_)
        weight, delay = _common(weights), _common(steps)
        unit = "siemens" if celltype.conductance_based else "amp"
        synapses = brian2.Synapses(
            pre.group,
            post.group,
            "w : 1 (shared, constant)" if weight is not None else "w : 1 (constant)",
            on_pre=f"{celltype.receptors[receptor]}_post += w*{celltype.weight_scale!r}*{unit}",
            delay=None if delay is None else delay * step * brian2.second,
            dtype={"w": np.float32} if weight is None else None,
            clock=clock,
            name=f"{receptor}_{pre_number}_{post_number}",
            namespace={},
        )
        synapses.connect(i=sources, j=targets)
        synapses.w = weights if weight is None else weight
        if delay is None:
            synapses.delay = steps * step * brian2.second
        made.append(synapses)
    return made

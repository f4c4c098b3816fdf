"""Neuron groups: their equations, and the Poisson input and currents that they receive."""

from __future__ import annotations

from typing import Any

import brian2
import numpy as np

from portable_cortex.pynn.grid import whole_steps

from ._cells import CAPACITANCE, UNITS, SpikeSourcePoisson
from ._groups import Array, Cells, common, parents, parts
from ._integration import code, propagators
from ._poisson import events
from ._simulator import State

MS = 1e-3


def neurons(cells: Cells, drives: list[Any], state: State, name: str, clock: Any) -> list[Any]:
    """A ``NeuronGroup``, and what is done to it every step."""
    celltype = cells.populations[0].celltype
    model = Model(cells.size)
    currents = ["i_syn", "i_offset"]
    actions = []
    for parameter, (unit, scale) in UNITS.items():
        if parameter in celltype.default_parameters:
            values = cells.values(parameter)
            if parameter == "tau_refrac":
                values = (whole_steps(values, state.dt) + 1) * state.dt
            model.add(CAPACITANCE if parameter == "cm" else parameter, unit, values * scale)
    found = [_pulse(current, cells) for current in state.currents]
    pulses = [pulse for pulse in found if pulse is not None]
    if pulses:
        model.text += "i_injected : amp\n"
        currents.append("i_injected")
        total = " + ".join(
            model.window(f"pulse_{k}", "amp", *pulse) for k, pulse in enumerate(pulses)
        )
        actions.append((f"i_injected = {total}", "start"))
    for k, (variable, rate, weight, on, off) in enumerate(_slots(cells, drives, celltype)):
        mean = rate * state.dt * MS
        model.add(f"events_{k}", "1", mean)
        model.add(f"none_{k}", "1", np.exp(-mean))
        unit = "amp" if not celltype.conductance_based else "siemens"
        size = model.window(f"drive_{k}", unit, weight, on, off)
        actions.append((f"{variable} += {size}*events(events_{k}, none_{k})", "synapses"))
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
        namespace={"events": events},
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


class Model:
    """Parameters of a group: one number where all cells have the same."""

    def __init__(self, size: int) -> None:
        self.size, self.text, self.values = size, "", {}  # type: int, str, dict[str, Any]

    def add(self, name: str, unit: str, values: Array) -> None:
        """Declare a parameter and keep its values (SI)."""
        shared = common(values)
        self.text += f"{name} : {unit} ({'constant' if shared is None else 'shared, constant'})\n"
        self.values[name] = values if shared is None else shared

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


# --- Poisson input ------------------------------------------------------------------------------


def drives_of(state: State) -> list[Any]:
    """Projections of Poisson sources that nobody else needs: each source has one target.

    The sources' spikes are then drawn where they arrive, any number of them a step.
    """
    found = []
    for population in state.populations:
        if type(population.celltype) is not SpikeSourcePoisson:
            continue
        projections = [p for p in state.projections if id(population) in parents(p.pre)]
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
        for population, members in parts(drive.post):
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

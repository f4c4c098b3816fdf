"""Neuron groups: their equations, and the Poisson input and currents that they receive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import brian2
import numpy as np

from portable_cortex.pynn.drive import is_sole
from portable_cortex.pynn.values import members

from ._cells import CAPACITANCE, UNITS
from ._groups import MS, Array, Cells, common
from ._handover import initial_values, last_spikes, refractory_steps
from ._integration import code, propagators, runge_kutta
from ._poisson import events

if TYPE_CHECKING:
    from ._simulator import State


def neurons(
    cells: Cells, drives: list[Any], injected: bool, state: State, name: str, clock: Any
) -> list[Any]:
    """A ``NeuronGroup``, and what is done to it every step."""
    celltype = cells.populations[0].celltype
    model = Model(cells.size)
    currents = ["i_syn", "i_offset"]
    for parameter, (unit, scale) in UNITS.items():
        if parameter in celltype.default_parameters:
            values = cells.values(parameter)
            if parameter == "tau_refrac":
                steps = [refractory_steps(p, state.dt) for p in cells.populations]
                values = np.concatenate(steps) * state.dt
            model.add(CAPACITANCE if parameter == "cm" else parameter, unit, values * scale)
    if injected:
        model.text += "i_injected : amp\n"
        currents.append("i_injected")
    actions = driven(model, cells, drives, state)
    membrane = (
        f"dv/dt = (v_rest - v)/tau_m + ({' + '.join(currents)})/{CAPACITANCE} : "
        "volt (unless refractory)"
    )
    method = runge_kutta(membrane + celltype.synapses)
    if not celltype.conductance_based:
        alpha = "rise_exc" in celltype.synapses
        taus = {name: cells.values(name) for name in ("tau_m", "tau_syn_E", "tau_syn_I", "cm")}
        for parameter, (unit, values) in propagators(taus, state.dt, alpha=alpha).items():
            model.add(parameter, unit, values)
        method = code(alpha=alpha, injected=injected)
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
    handover = state.handover
    starts = [initial_values(p, state) for p in cells.populations]
    for variable in group.equations.diff_eq_names:
        pairs = zip(starts, cells.populations, strict=True)
        values = np.concatenate([s.get(variable, np.zeros(p.size)) for s, p in pairs])
        if np.any(values):
            setattr(group, f"{variable}_", values)
    if handover is not None:
        spikes = [last_spikes(p, handover, state.dt) for p in cells.populations]
        group.lastspike_ = np.concatenate(spikes)
    for parameter, value in model.values.items():
        setattr(group, f"{parameter}_", value)
    cells.group = group
    return [
        group.run_regularly(action, when="synapses", clock=clock, name=f"{name}_action_{number}")
        for number, action in enumerate(actions)
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


# --- Poisson input ------------------------------------------------------------------------------


def drives_of(state: State) -> list[Any]:
    """Projections of Poisson sources that nobody else needs: each source has one target.

    The sources' spikes are then drawn where they arrive, any number of them a step.
    """
    return [
        projection
        for projection in state.projections
        if projection.is_static
        and is_sole(projection, state.projections)
        and len(projection)
        and np.bincount(projection.sources).max() == 1
    ]


def driven(model: Model, cells: Cells, drives: list[Any], state: State) -> list[str]:
    """Code that adds the Poisson input to a group's receptors, whose parameters go into a model."""
    actions = []
    unit = cells.populations[0].celltype.weight_unit
    for k, (variable, rate, weight, on, off) in enumerate(_slots(cells, drives, state)):
        mean = rate * state.dt * MS
        model.add(f"events_{k}", "1", mean)
        model.add(f"none_{k}", "1", np.exp(-mean))
        size = model.window(f"drive_{k}", unit, weight, on, off)
        actions.append(f"{variable} += {size}*events(events_{k}, none_{k})")
    return actions


def _slots(
    cells: Cells, drives: list[Any], state: State
) -> list[tuple[str, Array, Array, Array, Array]]:
    """Drives of a group: receptor variable, rate, weight, on and off of every cell, in SI.

    Drives of different cells share a slot, so that the whole group is driven by one statement.
    """
    celltype = cells.populations[0].celltype
    slots: list[tuple[str, Array, Array, Array, Array]] = []
    taken: list[Array] = []
    for drive in drives:
        variable = celltype.receptors[drive.receptor_type]
        values = drive.pre.parameters
        start = 0
        for population, within in members(drive.post):
            own = (drive.targets >= start) & (drive.targets < start + within.size)
            sources, targets = drive.sources[own], drive.targets[own] - start
            start += within.size
            if id(population) not in cells.offsets or not sources.size:
                continue
            positions = within[targets] + cells.offsets[id(population)]
            delay = drive.delay_steps[own] * state.dt
            # what was sent before the present is handed over
            onset = np.maximum(values["start"][sources], state.t) + delay
            end = (values["start"] + values["duration"])[sources] + delay
            row = (
                values["rate"][sources],
                drive.weights[own].astype(float) * celltype.weight_scale,
                onset * MS,
                end * MS,
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

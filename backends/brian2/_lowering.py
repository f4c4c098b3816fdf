"""From the description to Brian2: as few groups and synapse objects as hold the network.

Populations of one cell type and equal time constants share a ``NeuronGroup``; projections between
two groups onto one receptor share a ``Synapses``, filled by one ``connect`` with arrays. Values
that all cells have in common are single numbers, so that Brian2 computes with them once a step.

Times follow NEST's grid: what Brian2 does in the step that begins at t happens, for neurons, at
its end. Their spikes are stamped ``t + dt`` therefore, and the refractory time is a step longer
than Brian2 counts it. Spike sources fire at t; their delays are a step shorter in return.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import brian2
import numpy as np

from portable_cortex.errors import UnsupportedError
from portable_cortex.grid import whole_steps

from ._cells import SpikeSourceArray, SpikeSourcePoisson
from ._groups import Array, Cells, Lowered, common, located, parents, parts
from ._injection import Injection
from ._neurons import MS, Model, drives_of, neurons
from ._simulator import State

MOST_POISSON = 0.1  # spikes a step of a source that can fire once a step


def lower(state: State, network_class: Any = brian2.Network) -> Lowered:
    """Make the Brian2 objects of a described network.

    Raises
    ------
    UnsupportedError
        For Poisson sources that would have to fire more than once a step.
    """
    clock = brian2.Clock(dt=state.dt * brian2.ms, name="step")
    drives = drives_of(state)
    driven = {id(drive.pre) for drive in drives}
    families: dict[Any, list[Any]] = {}
    for population in state.populations:
        if id(population) not in driven:
            families.setdefault(_family(population), []).append(population)
    cells = [Cells(members, int(members[0].injectable)) for members in families.values()]
    injection = Injection(state.currents, cells, state.dt)
    lowered = Lowered(network_class(name="network"), cells, clock, injection)
    objects: list[Any] = []
    for number, found in enumerate(cells):
        kind = type(found.populations[0].celltype)
        if kind is SpikeSourceArray:
            found.group = _arrays(found, state.dt, f"times_{number}", clock)
        elif kind is SpikeSourcePoisson:
            found.group = _poisson(found, state.dt, f"poisson_{number}", clock)
        else:
            own = [d for d in drives if any(p in found.offsets for p in parents(d.post))]
            injected = injection.into(found)
            objects += neurons(found, own, injected, state, f"neurons_{number}", clock)
        objects += [found.group, *_monitors(found, state.dt, clock)]
    objects += _synapses(lowered, [p for p in state.projections if id(p.pre) not in driven], clock)
    lowered.network.add(objects)
    return lowered


def _family(population: Any) -> Any:
    """Populations for which this is equal share a group."""
    if not population.injectable:
        return type(population.celltype)
    taus = sorted(name for name in population.parameters if name.startswith("tau"))
    return type(population.celltype), *(common(population.parameters[name]) for name in taus)


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
    model = Model(cells.size)
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
    index = np.repeat(np.arange(cells.size), [train.size for train in trains])
    steps = whole_steps(np.concatenate([*trains, []]), dt).astype(np.int64)
    if np.unique(np.column_stack([index, steps]), axis=0).shape[0] < steps.size:
        raise UnsupportedError(
            "a SpikeSourceArray of the brian2 backend fires at most once a step "
            f"({dt:g} ms): two of its spike times are closer"
        )
    return brian2.SpikeGeneratorGroup(
        cells.size, index, steps * dt * brian2.ms, clock=clock, name=name
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
    numbers = {id(cells): number for number, cells in enumerate(lowered.cells)}
    members: dict[tuple[int, int, str], list[Any]] = {}
    for projection in projections:
        pre, post = (
            {numbers[id(lowered.home(population))] for population, _ in parts(cells)}
            for cells in (projection.pre, projection.post)
        )
        for pair in product(pre, post):
            members.setdefault((*pair, projection.receptor_type), []).append(projection)
    made = (_connect(lowered, key, members[key], clock) for key in sorted(members))
    return [synapses for synapses in made if synapses is not None]


def _connect(
    lowered: Lowered, key: tuple[int, int, str], projections: list[Any], clock: Any
) -> Any | None:
    """The ``Synapses`` from one group to a receptor of another; None if there are no synapses."""
    pre_number, post_number, receptor = key
    pre, post = lowered.cells[pre_number], lowered.cells[post_number]
    rows = [row for p in projections for row in _rows(lowered, p, pre, post)]
    sources, targets, weights, steps = (np.concatenate(c) for c in zip(*rows, strict=True))
    del rows  # of many synapses, one copy at a time
    if not sources.size:
        return None
    celltype = post.populations[0].celltype
    step = float(clock.dt_)
    weight, delay = common(weights), common(steps)
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
    del sources, targets
    synapses.w = weights if weight is None else weight
    if delay is None:
        synapses.delay = steps * step * brian2.second
    return synapses


def _rows(
    lowered: Lowered, projection: Any, pre: Cells, post: Cells
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Sources and targets in their groups, weights, steps of delay."""
    shift = 1 - pre.stamp  # see the module's docstring
    for home, own_post, targets in located(lowered, projection.post, projection.targets):
        if home is not post:
            continue
        sources = projection.sources[own_post]
        weights, steps = projection.weights[own_post], projection.delay_steps[own_post]
        for source_home, own_pre, positions in located(lowered, projection.pre, sources):
            if source_home is pre:
                yield positions, targets[own_pre], weights[own_pre], steps[own_pre] - shift

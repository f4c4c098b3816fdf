"""From the description to Brian2: as few groups and synapse objects as hold the network.

Populations of one cell type share a ``NeuronGroup``; projections between two groups onto one
receptor share a ``Synapses``, filled by one ``connect`` with arrays. So there is little to compile,
however many populations there are. Values that all cells have in common are single numbers, so that
Brian2 computes with them once a step.

Times follow NEST's grid: what Brian2 does in the step that begins at t happens, for neurons, at
its end. Their spikes, and those of Poisson sources, are stamped ``t + dt`` therefore, and the
refractory time is a step longer than Brian2 counts it. Array sources fire at t, and neurons that
were written in NESTML after spikes have been sent; the delays of both are a step shorter in return.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import brian2
import numpy as np

from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.pynn.values import members
from portable_cortex.support import refusal

from . import _generated, _neurons, _plastic
from ._cells import SpikeSourceArray, SpikeSourcePoisson
from ._groups import MS, Array, Cells, Lowered, Pathway, Route, along, common, parents
from ._injection import Injection
from ._neurons import Model, drives_of
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
            families.setdefault(type(population.celltype), []).append(population)
    cells = [_cells(family) for family in families.values()]
    injection = Injection(state.current_sources, cells)
    network = network_class(name="network")
    lowered = Lowered(network, cells, clock, injection, state.step, drives)
    objects: list[Any] = []
    for number, found in enumerate(cells):
        kind = type(found.populations[0].celltype)
        if kind is SpikeSourceArray:
            found.group = _arrays(found, state, f"times_{number}", clock)
        elif kind is SpikeSourcePoisson:
            found.group = _poisson(found, state.dt, f"poisson_{number}", clock)
        else:
            own = [d for d in drives if any(p in found.offsets for p in parents(d.post))]
            injected = injection.into(found)
            make = _generated.neurons if issubclass(kind, NeuronType) else _neurons.neurons
            objects += make(found, own, injected, state, f"neurons_{number}", clock)
        objects += [found.group, *_monitors(found, state.dt, clock)]
    _connect_all(lowered, [p for p in state.projections if id(p.pre) not in driven])
    lowered.network.add(objects, [pathway.synapses for pathway in lowered.pathways])
    lowered.network.add([plastic.synapses for plastic in lowered.plastic])
    return lowered


def _cells(family: list[Any]) -> Cells:
    celltype = family[0].celltype
    is_array = isinstance(celltype, SpikeSourceArray)
    return Cells(family, int(not is_array), is_array or isinstance(celltype, NeuronType))


def _poisson(cells: Cells, dt: float, name: str, clock: Any) -> Any:
    """Poisson sources that fire at most once a step."""
    rates = cells.values("rate")
    if rates.size and rates.max() * dt * MS > MOST_POISSON:
        raise refusal(
            "brian2",
            "spikes-in-one-step",
            f"have a SpikeSourcePoisson with a rate of {rates.max():g} spikes/s that is recorded, "
            f"or has several targets, only one up to {MOST_POISSON / dt / MS:g} spikes/s",
            "Connect it one to one and do not record it, or use a shorter time step",
        )
    model = Model(cells.size)
    model.add("rate", "Hz", rates)
    start = cells.values("start")
    model.add("on", "second", start * MS)
    model.add("off", "second", (start + cells.values("duration")) * MS)
    group = brian2.NeuronGroup(
        cells.size,
        model.text,
        threshold="rand() < rate*dt and t > on - 0.5*dt and t < off - 0.5*dt",
        clock=clock,
        name=name,
        namespace={},
    )
    for parameter, value in model.values.items():
        setattr(group, f"{parameter}_", value)
    return group


def _arrays(cells: Cells, state: State, name: str, clock: Any) -> Any:
    """Sources that fire at given times, of which those up to the present are past."""
    rows = []
    for population in cells.populations:
        steps, index = population.scheduled()
        rows.append((steps, index + cells.offsets[id(population)]))
    steps, index = (np.concatenate(column) for column in zip(*rows, strict=True))
    to_come = steps > state.step if state.step else steps >= 0
    times = steps[to_come] * state.dt * brian2.ms
    return brian2.SpikeGeneratorGroup(cells.size, index[to_come], times, clock=clock, name=name)


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
        interval = recorder.common_interval
        for variable in set(recorder.variables()) - {"spikes"}:
            index = recorder.indices(variable) + offset
            wanted.setdefault((variable, interval), []).append(index)
    for (variable, interval), indices in sorted(wanted.items()):
        index = np.concatenate(indices)
        when = {"clock": clock} if interval == 1 else {"dt": interval * dt * brian2.ms}
        called = cells.called(variable)
        monitor = brian2.StateMonitor(
            cells.group, called, record=index, name=f"{name}_{called}_{interval}", **when
        )
        cells.signals[variable, interval] = monitor, index
        monitors.append(monitor)
    return monitors


def _connect_all(lowered: Lowered, projections: list[Any]) -> None:
    """One ``Synapses`` for each route, and one ``connect`` for each."""
    numbers = {id(cells): number for number, cells in enumerate(lowered.cells)}
    groups: dict[tuple[int, int, str, str], list[Any]] = {}
    for projection in projections:
        pre, post = (
            {numbers[id(lowered.home(population))] for population, _ in members(cells)}
            for cells in (projection.pre, projection.post)
        )
        kind = "" if projection.is_static else _plastic.kind_of(projection)
        for pair in product(pre, post):
            groups.setdefault((*pair, projection.receptor_type, kind), []).append(projection)
    for key in sorted(groups):
        source, target, receptor, kind = key
        name = f"{receptor}_{source}_{target}" + (f"_{kind}" if kind else "")
        route = Route(lowered.cells[source], lowered.cells[target], receptor, kind, name)
        if kind:
            lowered.plastic += _plastic.connect(route, groups[key], lowered)
        else:
            lowered.pathways += _connect(route, groups[key], lowered)


def _connect(route: Route, projections: list[Any], lowered: Lowered) -> list[Pathway]:
    """The static synapses of a route, if there are any."""
    rows = [row for projection in projections for row in _rows(route, projection, lowered)]
    sources, targets, weights, steps = (np.concatenate(c) for c in zip(*rows, strict=True))
    del rows  # of many synapses, one copy at a time
    if not sources.size:
        return []
    celltype = route.post.populations[0].celltype
    clock = lowered.clock
    step = float(clock.dt_)
    weight, delay = common(weights), common(steps)
    synapses = brian2.Synapses(
        route.pre.group,
        route.post.group,
        # the scale as a variable: NumPy would round its product with a float32 once more
        f"scale : {celltype.weight_unit} (shared, constant)\n"
        f"w : 1 ({'' if weight is None else 'shared, '}constant)",
        on_pre=f"{route.variable}_post += w*scale",
        delay=None if delay is None else delay * step * brian2.second,
        dtype={"w": weights.dtype} if weight is None else None,
        clock=clock,
        name=route.name,
        namespace={},
    )
    synapses.connect(i=sources, j=targets)
    del sources, targets
    synapses.scale_ = celltype.weight_scale
    synapses.w = weights if weight is None else weight
    if delay is None:
        synapses.delay = steps * step * brian2.second
    return [Pathway(synapses, route.pre, route.post, route.variable, celltype.weight_scale)]


def _rows(
    route: Route, projection: Any, lowered: Lowered
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Sources and targets in their groups, weights, steps of delay."""
    shift = int(route.pre.is_sent_then)  # see the module's docstring
    for sources, targets, taken in along(route, projection, lowered):
        yield sources, targets, taken(projection.weights), taken(projection.delay_steps) - shift

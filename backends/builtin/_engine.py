"""A network in the form that a compiled time loop reads, and its run.

Populations are cut into parts, one for each thread (`_threads`) or multiprocessor (`_gpu`).

An engine is made for one state of the network. When parameters or synapses change it gives the
neurons' state back to the populations and is thrown away; the table of synapses stays unless the
network itself changed.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.pynn.state import check_finite
from portable_cortex.pynn.values import members

from . import _checkpoint, _kernel, _plastic, _synapses
from ._cells import SpikeSourceArray, SpikeSourcePoisson
from ._layout import Layout
from ._philox import POISSON, TRANSMISSION
from ._poisson import PIECE, tables
from ._writing import SPACE

if TYPE_CHECKING:
    from ._gpu_table import Table

SAMPLES_CAPACITY = 1 << 22
SLICE = 0.2  # s of wall clock between two looks of Python's, at most
CELL_BITS, GROUP_SHIFT = 32, 46  # of a key by which recorded spikes are ordered; steps between


class Engine(ABC):
    """Runs the network that `state` describes.

    Parameters
    ----------
    state : State
    progress : Progress
        Told how much of the table of synapses is made, from 0 to 1.

    Raises
    ------
    SimulationError
        If the network does not fit into the memory that is free.
    """

    _slice_steps: int  # steps between two looks of Python's, at most

    def __init__(self, state: Any, n_parts: int, block: int, progress: Progress) -> None:
        self._state = state
        self._populations = list(state.populations)
        self._neurons = [p for p in self._populations if not p.is_source]
        self._n_parts = n_parts
        receptors = [len(p.celltype.receptor_types) for p in self._neurons]
        self._n_receptors = max(2, *receptors, 0)
        self._layout = Layout.of(
            [p.size for p in self._populations],
            [not p.is_source for p in self._populations],
            self._n_parts,
            block,
        )
        self._first = np.array([int(p.first_id) for p in self._populations], np.int64)
        background = [p for p in state.projections if p.is_background]
        self._direct = {id(p.pre) for p in background}  # send nothing
        self._tables = _RateTables(state.dt)
        if state.synapses is None:
            state.synapses = self._table(progress)
        if state.plastic is None and state.plastic_projections:
            state.plastic = self._plastic_table()
        self._recorded = np.zeros(max(state.n_cells, 1), bool)
        numbers = np.arange(len(self._populations), dtype=np.int64) << GROUP_SHIFT
        self._group_keys = np.repeat(numbers, [p.size for p in self._populations])
        for population in self._populations:
            first = int(population.first_id)
            population.recorder.mark_spikes(self._recorded[first : first + population.size])
        self._probes = [probe for p in self._populations for probe in p.recorder.probes()]
        most = [self._most_of(p) for p in self._populations]
        self._most = [  # spikes that the parts can send in a step
            sum(
                int(c[part + 1] - c[part]) * n for c, n in zip(self._layout.cuts, most, strict=True)
            )
            for part in range(n_parts)
        ]
        longest = max((int(p.refractory_steps(state.dt)) for p in self._neurons), default=0)
        self._counter = np.uint8 if longest < 256 else np.int32
        self._values = [(self._constants(p), p.engine_state()) for p in self._neurons]
        self._parts = [self._assemble(part, background) for part in range(n_parts)]
        self._share()
        self._remember(state.history)
        for probe in self._probes:
            probe.begin(state.step, probe.population.engine_state())
        self._run_slice(0)  # compiled now, not in the first step

    # --- what the kinds of engine do --------------------------------------------------------------

    @abstractmethod
    def _table(self, progress: Progress) -> _synapses.Synapses | Table:
        """Make the table of synapses."""

    @abstractmethod
    def _loop(self, model: Any) -> int:
        """What stands for the compiled step of a model."""

    @abstractmethod
    def _space(self, n_values: int) -> dict[str, NDArray[Any]]:
        """A page of so many values, and the arrays of a part for spikes that are on their way."""

    @abstractmethod
    def _share(self) -> None:
        """Make what all parts have in common."""

    @abstractmethod
    def _remember(self, history: Any) -> None:
        """Take in spikes that are on their way, by the step in which they were sent."""

    @abstractmethod
    def _run_slice(self, n_steps: int) -> None:
        """Advance, and record."""

    @abstractmethod
    def on_their_way(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Spikes that have not arrived yet, by the step in which they were sent."""

    def _fetch(self) -> None:  # noqa: B027  # where it is elsewhere
        """Bring the parts' state here."""

    def _end(self) -> None:  # noqa: B027  # where there is something
        """Give back what the engine has beside its memory."""

    # --- making it --------------------------------------------------------------------------------

    def _bundle(self, projection: Any) -> _synapses.Bundle:
        sources = [self._first[p.number] + index for p, index in members(projection.pre)]
        placed = [self._layout.place(p.number, index) for p, index in members(projection.post)]
        owner, place = (np.concatenate(column) for column in zip(*placed, strict=True))
        receptor = projection.receptor
        return _synapses.Bundle(projection.edges, np.concatenate(sources), owner, place, receptor)

    def _plastic_table(self) -> _plastic.Table:
        """That of plastic synapses."""
        bundles, state = [], self._state
        most = [self._most_of(p) for p in self._populations]
        for projection in state.plastic_projections:
            bundle = self._bundle(projection)
            edges = projection.stored()
            time_constants = np.empty(0)
            if projection.is_short_term:
                time_constants = projection.time_constants(edges.targets)
            bundles.append(
                _plastic.Bundle(
                    projection.rule_kind,
                    (state.drive_seed, projection.key["item"] * 16 + TRANSMISSION),
                    bundle.sources[edges.sources],
                    bundle.owner[edges.targets],
                    bundle.place[edges.targets],
                    edges.weights,
                    projection.edges.steps.astype(np.int64),
                    projection.receptor,
                    projection.parameters,
                    time_constants,
                )
            )
        cells = self._layout.cells(self._first)
        return _plastic.build(bundles, state.n_cells, cells, state.dt, max(1, *most))

    def _places(self, numbers: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Thread of each of some cells, and its place there."""
        owner, place = np.empty(numbers.size, np.uint8), np.empty(numbers.size, np.uint32)
        population = np.searchsorted(self._first, numbers, side="right") - 1
        for p in np.unique(population):
            own = population == p
            owner[own], place[own] = self._layout.place(p, numbers[own] - self._first[p])
        return owner, place

    def _assemble(self, thread: int, background: list[Any]) -> _kernel.Mine:
        """Everything that belongs to one thread."""
        state, layout = self._state, self._layout
        groups, constants, values = [], [np.empty(0)], [np.empty(0)]
        loops: list[int] = []
        inputs: list[Any] = []
        n_local = int(layout.n_local[thread])
        n_constants, n_values = 0, self._n_receptors * n_local
        refractory = np.zeros(n_local, self._counter)
        kind = state.kind
        arrivals = np.zeros((self._n_receptors, n_local))
        for population, (known, engine_state) in zip(self._neurons, self._values, strict=True):
            number = population.number
            begin, end = layout.cuts[number][thread : thread + 2]
            if begin == end:
                continue
            model, first = population.celltype.model, int(population.first_id)
            neuron = layout.places[number, thread]
            own = known if known.shape[1] == 1 else known[:, begin:end]
            refractory[neuron : neuron + end - begin] = population.refractory[begin:end]
            n_own = 0
            for (is_input, k), row in zip(model.places(), engine_state[:, begin:end], strict=True):
                if is_input:
                    arrivals[k, neuron : neuron + end - begin] = row
                else:
                    values.append(row)
                    n_own += 1
            loops.append(self._loop(model))
            rows = self._background(population, background)
            where: tuple[Any, ...] = (
                model.code,
                end - begin,
                first + begin,
                neuron,
                begin,
                not model.inputs,
            )
            ends = len(inputs), len(inputs) + len(rows)
            where += (n_own, n_values, *own.shape, n_constants, *ends)
            groups.append((*where, *self._key(population)))
            inputs += rows
            constants.append(own.ravel())
            n_constants += own.size
            n_values += n_own * int(end - begin)
        scheduled, coming = self._scheduled(thread), self._coming(thread)
        waves = self._waves(thread)
        table = np.array(groups, _kernel.GROUP)
        probes, probe_groups = self._probe_table(thread, table)
        sources, source_tables, source_windows = self._sources(thread)
        space = self._space(n_values)
        page = space["page"]
        page[: arrivals.size] = arrivals.ravel()
        page[arrivals.size :] = np.concatenate(values)
        return _kernel.Mine(
            groups=table,
            arrivals=page[: arrivals.size].reshape(arrivals.shape),
            refractory=refractory,
            drive=np.zeros(n_local, kind),
            constants=np.concatenate(constants).astype(kind),
            held=(np.empty(PIECE, np.int32), np.empty((SPACE, PIECE), kind)),
            loops=np.array(loops, np.int64),
            background=np.array(inputs, _kernel.BACKGROUND),
            sources=sources,
            source_tables=source_tables,
            source_windows=source_windows,
            scheduled_steps=scheduled[0],
            scheduled_cells=scheduled[1],
            cursors=np.zeros(2, np.int64),
            coming_steps=coming[0],
            coming_receptors=coming[1],
            coming_places=coming[2],
            coming_weights=coming[3],
            waves=np.empty((len(waves[0]) - 1, 0)),
            wave_begins=waves[0],
            wave_targets=waves[1],
            probes=probes,
            probe_groups=probe_groups,
            samples=np.empty(0),
            plastic=None,
            **space,
        )

    def _constants(self, population: Any) -> NDArray[np.float64]:
        first = int(population.first_id)
        injected = {int(cell) for source in self._state.current_sources for cell in source.cells}
        each = any(first <= cell < first + population.size for cell in injected)
        constants: NDArray[np.float64] = population.constants(self._state.dt, each)
        return constants

    def _most_of(self, population: Any) -> int:
        """How many spikes a cell of a population can send in a step."""
        if isinstance(population.celltype, SpikeSourcePoisson):
            return 0 if id(population) in self._direct else self._tables.most(population)
        if isinstance(population.celltype, SpikeSourceArray):
            return int(population.most_simultaneous())
        return 1

    def _windows(self, population: Any) -> NDArray[np.int64]:
        """First step (exclusive) and last step of each Poisson source."""
        start, duration = (population.parameters[name] for name in ("start", "duration"))
        steps = np.stack([start, start + duration], axis=1) / self._state.dt
        return np.asarray(np.rint(np.minimum(steps, 2.0**60)), np.int64)

    def _key(self, population: Any) -> tuple[int, int]:
        """Of what Poisson sources draw, or neurons."""
        return self._state.drive_seed, 2 * population.number * 16 + POISSON

    def _background(self, population: Any, projections: list[Any]) -> list[Any]:
        """The Poisson input of a population, as rows of `BACKGROUND`."""
        rows = []
        for projection in projections:
            if projection.post is population:
                weight, delay = projection.constant_values()
                source = projection.pre
                how = (delay, projection.receptor, self._tables.of(source)[0])
                rows.append((*self._key(source), *how, *self._windows(source)[0], weight))
        return rows

    def _offsets(self, group: Any, thread: int, model: Any) -> list[int]:
        """Where each variable of a group begins in the page."""
        n_local = int(self._layout.n_local[thread])
        state, neuron, size = (int(group[name]) for name in ("state", "neuron", "size"))
        return [
            k * n_local + neuron if is_input else state + k * size for is_input, k in model.places()
        ]

    def _sources(self, thread: int) -> tuple[Any, Any, Any]:
        rows, all_tables = [], [np.empty(0, np.int32)]
        all_windows = [np.empty((0, 2), np.int64)]
        n_tables = 0
        for number, population in enumerate(self._populations):
            begin, end = self._layout.cuts[number][thread : thread + 2]
            if not isinstance(population.celltype, SpikeSourcePoisson) or begin == end:
                continue
            if id(population) in self._direct:
                continue
            cell = int(population.first_id) + begin
            rows.append((n_tables, end - begin, begin, *self._key(population), cell))
            all_windows.append(self._windows(population)[begin:end])
            all_tables.append(self._tables.of(population)[begin:end])
            n_tables += end - begin
        table = np.array(rows, _kernel.SOURCE)
        return table, np.concatenate(all_tables), np.concatenate(all_windows)

    def _scheduled(self, thread: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Spikes of the thread's array sources, by step, then cell."""
        steps, cells = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number, population in enumerate(self._populations):
            if isinstance(population.celltype, SpikeSourceArray):
                begin, end = self._layout.cuts[number][thread : thread + 2]
                own_steps, own_cells = population.scheduled()
                own = (own_cells >= begin) & (own_cells < end)
                steps.append(own_steps[own])
                cells.append(own_cells[own] + int(population.first_id))
        all_steps, all_cells = np.concatenate(steps), np.concatenate(cells)
        order = np.lexsort((all_cells, all_steps))
        return all_steps[order], all_cells[order].astype(np.int32)

    def _coming(self, thread: int) -> tuple[Any, ...]:
        """Inputs of the thread's neurons through synapses that have changed since."""
        arrivals = self._state.arrivals
        if arrivals is None:
            return (np.empty(0, np.int64),) * 3 + (np.empty(0),)
        owner, place = self._places(arrivals.cells)
        own = (owner == thread) & (arrivals.steps > self._state.step)
        return (
            arrivals.steps[own],
            arrivals.receptors[own],
            place[own].astype(np.int64),
            arrivals.weights[own],
        )

    def _waves(self, thread: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        begins, targets = [0], []
        for source in self._state.current_sources:
            if source.cells:
                owner, place = self._places(np.array(source.cells, np.int64))
                targets.extend(place[owner == thread].tolist())
            begins.append(len(targets))
        return np.array(begins, np.int64), np.array(targets, np.int32)

    def _probe_table(self, thread: int, groups: _kernel.Records) -> tuple[Any, Any]:
        by_first = {int(group["cell"]): group for group in groups}
        table: list[int] = []
        ranges = []
        for probe in self._probes:
            number = probe.population.number
            begin, end = self._layout.cuts[number][thread : thread + 2]
            own = probe.indices[(probe.indices >= begin) & (probe.indices < end)]
            at = len(table)
            if own.size:
                group = by_first[int(probe.population.first_id) + int(begin)]
                offsets = self._offsets(group, thread, probe.population.celltype.model)
                for number in probe.sources:
                    table.extend((offsets[number] + own - begin).tolist())
            ranges.append((at, len(table), probe.interval, probe.phase, 0))
        return np.array(table, np.int64), np.array(ranges, _kernel.PROBE)

    # --- running it -------------------------------------------------------------------------------

    def run(self, n_steps: int) -> None:
        """Advance by so many steps, in slices; an interruption leaves what was run."""
        if n_steps > 0 and self._state.step == 0:
            self._begin()
        slice_ = min(self._slice_steps, 100)
        while n_steps > 0:
            now = min(slice_, n_steps, self._fitting_samples())
            began = time.perf_counter()
            self._run_slice(now)
            n_steps -= now
            wall = max(time.perf_counter() - began, 1e-6)
            slice_ = int(min(self._slice_steps, max(1.0, now * min(8.0, SLICE / wall))))

    def _begin(self) -> None:
        """Send and record the spikes of array sources at 0, which no step ends with."""
        first = []
        for population in self._populations:
            if isinstance(population.celltype, SpikeSourceArray):
                steps, cells = population.scheduled()
                cells = np.sort(cells[steps == 0])
                first.append(cells + int(population.first_id))
                if population.recorder.records_spikes:
                    recorded = cells[self._recorded[first[-1]]]
                    population.recorder.add_spikes(np.zeros(recorded.size, np.int32), recorded)
        if first:
            cells = np.sort(np.concatenate(first))
            self._remember([(0, cells)])
            if self.plastic is not None:
                self.plastic.send(0, cells)

    def _fitting_samples(self) -> int:
        widest = sum(probe.indices.size / probe.interval for probe in self._probes)
        return max(1, int(SAMPLES_CAPACITY / widest)) if widest else self._slice_steps

    def _check_state(self, t: float) -> None:
        """Raise an error for neurons whose equations have run away by a time (ms)."""
        for population, cells, variables, _ in self.blocks():
            for name, values in zip(population.state, variables, strict=True):
                check_finite(population, name, values, t, cells.start)

    def _take_spikes(self, start: int, steps: Any, cells: Any) -> None:
        """Record spikes by their steps after `start`, from 0, and cells."""
        keys = (self._group_keys[cells] + (steps << CELL_BITS) + cells)[self._recorded[cells]]
        ordered = np.sort(keys)  # by population, step and cell
        cuts = np.searchsorted(ordered, np.arange(len(self._populations) + 1) << GROUP_SHIFT)
        for number, population in enumerate(self._populations):
            if population.recorder.records_spikes:
                own = ordered[cuts[number] : cuts[number + 1]] & ((1 << GROUP_SHIFT) - 1)
                fired = (own & ((1 << CELL_BITS) - 1)) - self._first[number]
                population.recorder.add_spikes(
                    ((own >> CELL_BITS) + start + 1).astype(np.int32), fired.astype(np.int32)
                )

    def _with_samples(self, start: int, stop: int) -> list[_kernel.Mine]:
        """The parts, with places for what is sampled from one step to another."""
        ready = []
        for mine in self._parts:
            groups = mine.probe_groups.copy()
            sizes = _n_samples(groups, start, stop) * (groups["end"] - groups["begin"])
            groups["sample"] = np.cumsum(sizes) - sizes
            ready.append(mine._replace(probe_groups=groups, samples=np.empty(int(sizes.sum()))))
        return ready

    def _take_samples(self, start: int, stop: int, ready: list[_kernel.Mine]) -> None:
        for number, probe in enumerate(self._probes):
            parts, n_sources = [], len(probe.sources)
            for mine in ready:
                group = mine.probe_groups[number]
                n, width = _n_samples(group, start, stop), group["end"] - group["begin"]
                samples = mine.samples[group["sample"] :][: n * width]
                parts.append(samples.reshape(n, n_sources, width // n_sources))
            probe.add(np.concatenate(parts, axis=2))

    def release(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Give the state back to the populations, and the spikes that are on their way."""
        self._end()
        for population, cells, variables, refractory in self.blocks():
            population.take_state(cells, np.array(variables), refractory)
        return self.on_their_way()

    # --- its state --------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The present."""
        return int(self._state.step)

    @property
    def plastic(self) -> Any:
        """The table of plastic synapses, if there are any."""
        return self._state.plastic

    @cached_property
    def digest(self) -> str:
        """By what its network is known again."""
        state = self._state
        fixed = [] if state.plastic is None else state.plastic.fixed()
        return _checkpoint.network(self._parts, state.synapses, state.current_sources, fixed)

    def blocks(self) -> Iterator[tuple[Any, slice, list[NDArray[Any]], NDArray[Any]]]:
        """Where the state is: populations, which of their cells, variables, refractory counters."""
        self._fetch()
        for thread, mine in enumerate(self._parts):
            for group in mine.groups:
                number = int(np.searchsorted(self._first, group["cell"], side="right")) - 1
                population, begin = self._populations[number], self._layout.cuts[number][thread]
                n = group["size"]
                offsets = self._offsets(group, thread, population.celltype.model)
                refractory = mine.refractory[group["neuron"] :][:n]
                variables = [mine.page[at : at + n] for at in offsets]
                yield population, slice(begin, begin + n), variables, refractory

    def jump(self, step: int, sent: list[tuple[int, NDArray[np.int64]]]) -> None:
        """Go to another step, with these spikes on their way; nothing is recorded before."""
        self._state.step, self._state.running = step, True
        self._remember(sent)
        for probe in self._probes:
            probe.drop(step)


class _RateTables:
    """One table for each rate of Poisson sources that occurs."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._means: list[float] = []

    def of(self, population: Any) -> NDArray[np.int32]:
        """Number of each source's table."""
        means, inverse = np.unique(
            population.parameters["rate"] * self._step * 1e-3, return_inverse=True
        )
        numbers = []
        for mean in means.tolist():
            if mean not in self._means:
                self._means.append(mean)
            numbers.append(self._means.index(mean))
        return np.array(numbers, np.int32)[inverse]

    def most(self, population: Any) -> int:
        """The largest number of spikes of a source in a step."""
        largest = float(np.max(population.parameters["rate"])) * self._step * 1e-3
        return int(tables(np.array([largest]))[1].shape[1])

    def arrays(self) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
        """All tables."""
        return tables(np.array(self._means, float))


def _n_samples(probe: Any, start: int, stop: int) -> Any:
    """How many samples a probe, or each of several, takes after step `start` until `stop`."""
    phase, interval = probe["phase"], probe["interval"]
    return (stop - phase) // interval - (start - phase) // interval

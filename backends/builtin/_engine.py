"""A network in the form that the compiled time loop reads, and its run.

An engine is made for one state of the network. When parameters or synapses change it gives the
neurons' state back to the populations and is thrown away; the table of synapses stays unless the
network itself changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.host.interruption import shielded
from portable_cortex.pynn.state import check_finite
from portable_cortex.pynn.values import members

from . import _checkpoint, _kernel, _memory, _synapses, _turns
from ._cells import SpikeSourceArray, SpikeSourcePoisson
from ._layout import Layout
from ._llvm import PLACE
from ._philox import POISSON
from ._poisson import PIECE, tables
from ._writing import SPACE

LOG_CAPACITY = 1 << 25  # spikes of a thread between two looks of Python's; memory as they come
SAMPLES_CAPACITY = 1 << 22
SLICE = 0.2  # s of wall clock between two looks of Python's, at most
CELL_BITS, GROUP_SHIFT = 32, 46  # of a key by which recorded spikes are ordered; steps between


class Engine:
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

    def __init__(self, state: Any, progress: Progress) -> None:
        self._state = state
        self._populations = list(state.populations)
        self._neurons = [p for p in self._populations if not p.is_source]
        self._n_threads = state.threads
        receptors = [len(p.celltype.receptor_types) for p in self._neurons]
        self._n_receptors = max(2, *receptors, 0)
        self._layout = Layout.of(
            [p.size for p in self._populations],
            [not p.is_source for p in self._populations],
            self._n_threads,
        )
        self._first = np.array([int(p.first_id) for p in self._populations], np.int64)
        background = [p for p in state.projections if p.is_background]
        if state.synapses is None:
            state.synapses = self._table(progress)
        self._tables = _RateTables(state.dt)
        self._recorded = np.zeros(max(state.n_cells, 1), bool)
        numbers = np.arange(len(self._populations), dtype=np.int64) << GROUP_SHIFT
        self._group_keys = np.repeat(numbers, [p.size for p in self._populations])
        for population in self._populations:
            first = int(population.first_id)
            population.recorder.mark_spikes(self._recorded[first : first + population.size])
        self._probes = [probe for p in self._populations for probe in p.recorder.probes()]
        # a source may fire several times in a step
        direct = {id(p.pre) for p in background}
        self._threads = [self._assemble(t, background, direct) for t in range(self._n_threads)]
        most = max(sum(self._most_spikes(t, direct)) for t in range(self._n_threads))
        self._slice_steps = max(1, min(10_000, LOG_CAPACITY // max(most, 1)))
        self._share(most)
        self._remember(state.history)
        for probe in self._probes:
            probe.begin(state.step, probe.population.engine_state())
        self._pool = ThreadPoolExecutor(max(1, self._n_threads - 1))
        self._run_slice(0)  # compiled now, not in the first step

    # --- making it --------------------------------------------------------------------------------

    def _table(self, progress: Progress) -> _synapses.Synapses:
        bundles = [self._bundle(p) for p in self._state.projections if not p.is_background]
        plan = _synapses.plan(
            bundles,
            self._state.n_cells,
            self._n_threads,
            int(self._layout.n_local.max(initial=0)),
            self._n_receptors,
            self._state.weight_format,
        )
        _memory.check(plan.nbytes, plan.n_synapses)
        cells = self._layout.cells(self._first)
        return _synapses.build(plan, bundles, cells, self._n_threads, progress)

    def _bundle(self, projection: Any) -> _synapses.Bundle:
        sources = [self._first[p.number] + index for p, index in members(projection.pre)]
        placed = [self._layout.place(p.number, index) for p, index in members(projection.post)]
        owner, place = (np.concatenate(column) for column in zip(*placed, strict=True))
        receptor = projection.receptor
        return _synapses.Bundle(projection.edges, np.concatenate(sources), owner, place, receptor)

    def _places(self, numbers: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Thread of each of some cells, and its place there."""
        owner, place = np.empty(numbers.size, np.uint8), np.empty(numbers.size, np.uint32)
        population = np.searchsorted(self._first, numbers, side="right") - 1
        for p in np.unique(population):
            own = population == p
            owner[own], place[own] = self._layout.place(p, numbers[own] - self._first[p])
        return owner, place

    def _assemble(self, thread: int, background: list[Any], direct: set[int]) -> _kernel.Mine:
        """Everything that belongs to one thread."""
        state, layout = self._state, self._layout
        groups, constants, values = [], [np.empty(0)], [np.empty(0)]
        loops: list[int] = []
        inputs: list[Any] = []
        n_local = int(layout.n_local[thread])
        n_constants, n_values = 0, self._n_receptors * n_local
        longest = max((int(p.refractory_steps(state.dt)) for p in self._neurons), default=0)
        refractory = np.zeros(n_local, np.uint8 if longest < 256 else np.int32)
        injected = {int(cell) for source in state.current_sources for cell in source.cells}
        kind = state.kind
        arrivals = np.zeros((self._n_receptors, n_local))
        for population in self._neurons:
            number = population.number
            begin, end = layout.cuts[number][thread : thread + 2]
            if begin == end:
                continue
            model, first = population.celltype.model, int(population.first_id)
            neuron = layout.places[number, thread]
            each = any(first <= cell < first + population.size for cell in injected)
            own = population.constants(state.dt, each)
            own = own if own.shape[1] == 1 else own[:, begin:end]
            refractory[neuron : neuron + end - begin] = population.refractory[begin:end]
            n_own = 0
            for (is_input, k), row in zip(
                model.places(), population.engine_state()[:, begin:end], strict=True
            ):
                if is_input:
                    arrivals[k, neuron : neuron + end - begin] = row
                else:
                    values.append(row)
                    n_own += 1
            loops.append(model.address(kind, refractory.dtype))
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
        n_slots = int(state.synapses.steps.max(initial=1)) + 2
        sources, source_tables, source_windows = self._sources(thread, direct)
        everywhere = (self._most_spikes(t, direct) for t in range(self._n_threads))
        n_rows = max(1, sum(sum(most) for most in everywhere))
        lists = self._n_receptors, n_slots, max(1, _kernel.LISTED // n_slots)
        page = _memory.one_page(n_values, kind)
        page[: arrivals.size] = arrivals.ravel()
        page[arrivals.size :] = np.concatenate(values)
        return _kernel.Mine(
            groups=table,
            page=page,
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
            history=_memory.sparse((self._n_receptors, n_slots, n_rows), np.int32),
            history_sizes=np.zeros((self._n_receptors, n_slots), np.int64),
            listed=np.full((self._n_receptors, n_slots), -1),
            begins=np.empty(lists, state.synapses.offsets.dtype),
            ends=np.empty(lists, state.synapses.offsets.dtype),
            scratch=np.empty(n_rows, np.int32),
        )

    def _most_spikes(self, thread: int, direct: set[int]) -> list[int]:
        """How many spikes the parts of the populations can send in a step."""
        most = []
        for number, population in enumerate(self._populations):
            begin, end = self._layout.cuts[number][thread : thread + 2]
            n = 1
            if isinstance(population.celltype, SpikeSourcePoisson):
                n = 0 if id(population) in direct else self._tables.most(population)
            elif isinstance(population.celltype, SpikeSourceArray):
                n = population.most_simultaneous()
            most.append(int(end - begin) * n)
        return most

    def _windows(self, population: Any) -> NDArray[np.int64]:
        """First step (exclusive) and last step of each Poisson source."""
        start, duration = (population.parameters[name] for name in ("start", "duration"))
        steps = np.stack([start, start + duration], axis=1) / self._state.dt
        return np.asarray(np.rint(np.minimum(steps, 2.0**60)), np.int64)

    def _key(self, population: Any) -> tuple[int, int]:
        """Of what Poisson sources draw, or neurons."""
        return self._state.seed, 2 * population.number * 16 + POISSON

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

    def _sources(self, thread: int, direct: set[int]) -> tuple[Any, Any, Any]:
        rows, all_tables = [], [np.empty(0, np.int32)]
        all_windows = [np.empty((0, 2), np.int64)]
        n_tables = 0
        for number, population in enumerate(self._populations):
            begin, end = self._layout.cuts[number][thread : thread + 2]
            if not isinstance(population.celltype, SpikeSourcePoisson) or begin == end:
                continue
            if id(population) in direct:
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

    def _share(self, most: int) -> None:
        synapses = self._state.synapses
        self._shared = _kernel.Shared(
            rows=synapses.rows,
            steps=synapses.steps,
            used=synapses.used,
            offsets=synapses.offsets,
            targets=synapses.targets,
            weights=synapses.weights,
            rates=self._tables.arrays(),
            log=np.empty((self._n_threads, max(1, most) * self._slice_steps), np.int32),
            log_ends=np.zeros((self._n_threads, self._slice_steps + 1), np.int64),
            turns=_turns.turns(self._n_threads),
            places=np.empty(self._n_threads * PLACE, np.uint8),
        )

    def _remember(self, history: Any) -> None:
        """Put spikes that are on their way into the threads' histories."""
        if history is None:
            return
        rows = self._shared.rows
        n_slots = self._threads[0].history.shape[1]
        for step, cells in history:
            if step <= self._state.step - n_slots:
                continue
            for receptor in range(rows.shape[0]):
                own = rows[receptor, cells]
                own = own[own >= 0]
                for mine in self._threads:
                    mine.history[receptor, step % n_slots, : own.size] = own
                    mine.history_sizes[receptor, step % n_slots] = own.size

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
            self._remember([(0, np.sort(np.concatenate(first)))])

    def _fitting_samples(self) -> int:
        widest = sum(probe.indices.size / probe.interval for probe in self._probes)
        return max(1, int(SAMPLES_CAPACITY / widest)) if widest else self._slice_steps

    def _run_slice(self, n_steps: int) -> None:
        start = int(self._state.step)
        stop = start + n_steps
        waves = [source.waveform(start, stop) for source in self._state.current_sources]
        ready = []
        for mine in self._threads:
            groups = mine.probe_groups.copy()
            sizes = _n_samples(groups, start, stop) * (groups["end"] - groups["begin"])
            groups["sample"] = np.cumsum(sizes) - sizes
            ready.append(
                mine._replace(
                    waves=np.array(waves, float).reshape(len(waves), n_steps),
                    probe_groups=groups,
                    samples=np.empty(int(sizes.sum())),
                )
            )
        shared = self._shared._replace(turns=_turns.turns(self._n_threads))
        others: list[Future[None]] = []
        try:
            with shielded():  # from Ctrl-C: each thread waits until the others have come
                for thread in range(1, self._n_threads):
                    work = (thread, start, n_steps, ready[thread], shared)
                    others.append(self._pool.submit(_kernel.run, *work))
                _kernel.run(0, start, n_steps, ready[0], shared)
            for other in others:
                other.result()
            self._check_state(stop * self._state.dt)
        finally:
            for other in others:  # the threads end their slice together
                other.result()
            if n_steps and _turns.n_done(shared.turns) > n_steps:
                self._collect(start, n_steps, ready)
                for source, wave in zip(self._state.current_sources, waves, strict=True):
                    source.take(wave)

    def _check_state(self, t: float) -> None:
        """Raise an error for neurons whose equations have run away by a time (ms)."""
        if all(np.isfinite(mine.page.sum()) for mine in self._threads):
            return
        for population, cells, variables, _ in self.blocks():
            for name, values in zip(population.state, variables, strict=True):
                check_finite(population, name, values, t, cells.start)

    def _collect(self, start: int, n_steps: int, ready: list[_kernel.Mine]) -> None:
        """Take over what a slice recorded."""
        state, shared = self._state, self._shared
        state.step = start + n_steps
        if self._recorded.any():
            keys = []
            for thread in range(self._n_threads):
                ends = shared.log_ends[thread, : n_steps + 1]
                fired = shared.log[thread, : ends[-1]]
                steps = np.repeat(np.arange(n_steps) << CELL_BITS, np.diff(ends))
                keys.append((self._group_keys[fired] + steps + fired)[self._recorded[fired]])
            ordered = np.sort(np.concatenate(keys))  # by population, step and cell
            cuts = np.searchsorted(ordered, np.arange(len(self._populations) + 1) << GROUP_SHIFT)
            for number, population in enumerate(self._populations):
                if population.recorder.records_spikes:
                    own = ordered[cuts[number] : cuts[number + 1]] & ((1 << GROUP_SHIFT) - 1)
                    fired = (own & ((1 << CELL_BITS) - 1)) - self._first[number]
                    population.recorder.add_spikes(
                        ((own >> CELL_BITS) + start + 1).astype(np.int32), fired.astype(np.int32)
                    )
        for number, probe in enumerate(self._probes):
            parts, n_sources = [], len(probe.sources)
            for mine in ready:
                group = mine.probe_groups[number]
                n, width = _n_samples(group, start, state.step), group["end"] - group["begin"]
                samples = mine.samples[group["sample"] :][: n * width]
                parts.append(samples.reshape(n, n_sources, width // n_sources))
            probe.add(np.concatenate(parts, axis=2))

    def release(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Give the state back to the populations, and the spikes that are on their way."""
        self._pool.shutdown()
        for population, cells, variables, refractory in self.blocks():
            population.take_state(cells, np.array(variables), refractory)
        return self.on_their_way()

    # --- its state --------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The present."""
        return int(self._state.step)

    @cached_property
    def digest(self) -> str:
        """By what its network is known again."""
        state = self._state
        return _checkpoint.network(self._threads, state.synapses, state.current_sources)

    def blocks(self) -> Iterator[tuple[Any, slice, list[NDArray[Any]], NDArray[Any]]]:
        """Where the state is: populations, which of their cells, variables, refractory counters."""
        for thread, mine in enumerate(self._threads):
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

    def on_their_way(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Spikes that have not arrived yet, by the step in which they were sent."""
        rows, mine, now = self._shared.rows, self._threads[0], self._state.step
        n_slots = mine.history.shape[1]
        # the cell of each row; a cell with rows for several receptors is found by its first
        cell_of = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
        earlier = np.zeros(rows.shape[1], bool)
        for own in rows:
            first = (own >= 0) & ~earlier
            cell_of[own[first]] = np.flatnonzero(first)
            earlier |= first
        on_way = []
        for step in range(max(0, now - n_slots + 2), now + 1):
            slot = step % n_slots
            sent = [
                h[slot, : n[slot]] for h, n in zip(mine.history, mine.history_sizes, strict=True)
            ]
            cells = cell_of[np.concatenate(sent)]
            on_way.append((step, np.sort(cells[cells >= 0])))
        return on_way


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

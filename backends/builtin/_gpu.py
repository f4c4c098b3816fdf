"""The engine on a GPU: a part of the network for each multiprocessor; see `_gpu_kernel`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.errors import SimulationError, UnsupportedError
from portable_cortex.host.interruption import shielded

from . import _gpu_kernel, _gpu_table, _kernel, _one
from ._engine import Engine
from ._gpu_kernel import cuda
from ._poisson import GROUP
from ._poisson import space as poisson_space
from ._synapses import Arrivals

STATIC = 4096  # bytes of shared memory that the kernel has beside what is given to it
LOGGED = 1 << 22  # spikes of a slice that there is room for, at least
SOURCES_LOGGED = 1 << 24  # and of sources
SLICE = 1 if _gpu_kernel.SIMULATED else 5000  # steps
MOST_PARTS = 255
TIMED = False  # whether `cycles` of an engine are counted


def n_multiprocessors() -> int:
    """How many the GPU has.

    Raises
    ------
    UnsupportedError
        If there is none that can be used.
    """
    if _gpu_kernel.SIMULATED:
        return 3
    if not cuda.is_available():
        raise UnsupportedError(
            "device=cuda needs an NVIDIA GPU and its driver, and none was found here: use "
            "device=cpu, or a machine where `nvidia-smi` shows one"
        )
    return min(int(cuda.get_current_device().MULTIPROCESSOR_COUNT), MOST_PARTS)


def description() -> dict[str, Any]:
    """What the GPU is, and what compiles for it."""
    simulated = _gpu_kernel.SIMULATED
    return {
        "name": "simulated by numba" if simulated else str(cuda.get_current_device().name),
        "multiprocessors": n_multiprocessors(),
        "numba_cuda": version("numba-cuda"),
    }


class OnGpu(Engine):
    """Runs the network that `state` describes on the first GPU; see `Engine`."""

    def __init__(self, state: Any, progress: Progress) -> None:
        self._texts: dict[str, str] = {}  # of the kernel's steps, by those of the loops
        self._kernel: Any = None  # compiled with the first slice
        self._sent: list[tuple[int, NDArray[np.int64]]] = []  # spikes that are on their way
        self._is_newer_here = True  # the state, than on the device
        self._is_newer_there = False
        super().__init__(state, n_multiprocessors(), 1, progress)

    # --- making it --------------------------------------------------------------------------------

    def _table(self, progress: Progress) -> _gpu_table.Table:
        state, sizes = self._state, [p.size for p in self._populations]
        return _gpu_table.build(
            [self._bundle(p) for p in state.projections if not p.is_background],
            self._layout.cells(self._first),
            state.n_cells,
            self._n_receptors,
            state.kind,
            np.repeat([self._most_of(p) for p in self._populations], sizes),
            state.arrivals,
            state.threads,
            progress,
        )

    def _loop(self, model: Any) -> int:
        if model.text not in self._texts:
            self._texts[model.text] = _one.written(model.plan)
        return list(self._texts).index(model.text)

    def _space(self, n_values: int) -> dict[str, NDArray[Any]]:
        names = ("history", "history_sizes", "listed", "begins", "ends", "scratch")
        return {
            "page": np.zeros(n_values, self._state.kind),
            **dict.fromkeys(names, np.empty(0, np.int64)),
        }

    def _share(self) -> None:
        table = self._state.synapses
        slots = self._n_slots()
        ends = np.cumsum(slots * table.stride)
        self._ring_table = np.stack([ends - slots * table.stride, ends, table.first_rows], axis=1)
        self._ring = np.zeros((self._n_parts, int(ends[-1])), table.weights.dtype)
        self._sources_most = sum(
            population.size * self._most_of(population)
            for population in self._populations
            if population.is_source
        )
        told = int(self._layout.n_local.max(initial=0)) - (-self._sources_most // self._n_parts)
        self._n_messages = 1 + self._n_receptors * told
        if self._n_messages > _gpu_kernel.MOST_MESSAGES:
            raise UnsupportedError(
                f"device=cuda takes up to {_gpu_kernel.MOST_MESSAGES:,} messages of a "
                f"multiprocessor in a step, and this network can have {self._n_messages:,}: use "
                "device=cpu"
            )
        self._slice_steps = max(1, min(SLICE, SOURCES_LOGGED // max(self._sources_most, 1)))
        self._stream, self._copies = cuda.stream(), cuda.stream()
        self._turn = 0
        self._fixed, self._last = self._given()
        self.cycles = cuda.to_device(np.zeros((self._n_parts, len(_gpu_kernel.PHASES)), np.int64))
        room = max(LOGGED // self._n_parts, 4 * int(self._layout.n_local.max(initial=0)))
        self._logs = [_Log(self._n_parts, room) for _ in range(2)]
        self._add(self._state.arrivals)

    def _n_slots(self) -> NDArray[np.int64]:
        """Of each receptor's ring: as many as steps until the last arrival."""
        slots: NDArray[np.int64] = np.maximum(self._state.synapses.longest, 1)
        coming = self._state.arrivals
        if coming is not None and coming.steps.size:
            np.maximum.at(slots, coming.receptors, coming.steps - self._state.step)
        return slots

    def _given(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Arguments of the kernel that are the same in all slices, before the slice's and after."""
        state, table, parts, to = self._state, self._state.synapses, self._parts, cuda.to_device
        groups, group_keys, group_of, weights = self._groups()
        inputs, times, keys, tasks, n_tasks, n_draws = self._draws()
        self._form = self._fitted(max(mine.page.size for mine in parts), n_draws)
        begins = np.zeros((self._n_parts + 1, 5), np.int64)
        self._cuts = np.cumsum([mine.page.size for mine in parts])
        begins[1:, _gpu_kernel.PAGE] = self._cuts
        begins[1:, _gpu_kernel.NEURONS] = np.cumsum(self._layout.n_local)
        begins[:-1, _gpu_kernel.N_NEURONS] = self._layout.n_local
        begins[1:, _gpu_kernel.CONSTANTS] = np.cumsum([mine.constants.size for mine in parts])
        begins[1:, _gpu_kernel.TASKS] = np.cumsum(n_tasks)
        probes, places = self._probe_arrays()
        wave_begins, wave_sources = self._wave_arrays(begins[:, _gpu_kernel.NEURONS])
        self._rates = self._tables.arrays()
        tables = self._rates[0].astype(np.int32) + 1
        limits = tables.reshape(tables.shape[0], tables.shape[1] * tables.shape[2])
        self._inputs, self._times = inputs, times
        n_neurons = int(begins[-1, _gpu_kernel.NEURONS])
        self._check_memory(self._ring.nbytes + table.offsets.nbytes + table.targets.nbytes
                           + table.weights.nbytes)  # fmt: skip
        words = _gpu_kernel.SLOTS * self._n_parts * self._n_messages
        self._there = {
            "page": cuda.device_array(int(self._cuts[-1]), state.kind),
            "left": cuda.device_array(n_neurons, parts[0].refractory.dtype),
            "ring": cuda.device_array(self._ring.size, self._ring.dtype),
            "messages": cuda.device_array(words, np.uint64),
            "done": cuda.device_array(3, np.int64),
            "inputs": to(inputs.reshape(-1)),
        }
        there = self._there
        before = (
            there["done"], to(begins), to(groups.reshape(-1)), to(group_keys), to(group_of),
            there["inputs"], to(times.reshape(-1)), to(keys.reshape(-1)),
            to(weights.astype(state.kind)), to(limits.reshape(-1)), limits.shape[1],
            to(self._rates[1]), to(tasks), there["page"], there["left"],
            to(np.zeros(n_neurons, state.kind)),
            to(np.concatenate([mine.constants for mine in parts])),
            to(table.rows.reshape(-1)), to(table.offsets.reshape(-1)), to(table.targets),
            to(table.weights), to(self._ring_table), self._ring.shape[1], table.stride,
            to(table.units.astype(state.kind)), there["ring"], n_draws,
            cuda.device_array(self._n_parts * n_draws, np.uint64), self._n_messages,
            there["messages"],
        )  # fmt: skip
        self._sampled = probes, to(places)
        return before, (to(wave_begins), to(wave_sources))

    def _groups(self) -> tuple[NDArray[Any], ...]:
        """All groups, their keys, the group of each neuron, and the weights of Poisson input."""
        rows: list[list[int]] = []
        keys: list[list[int]] = []
        group_of, n_inputs = [], 0
        fields = ("size", "cell", "neuron", "index", "late", "state", "constants", "columns")
        for mine in self._parts:
            own = np.full(mine.refractory.size, -1, np.int32)
            for group, loop in zip(mine.groups, mine.loops, strict=True):
                own[group["neuron"] :][: group["size"]] = len(rows)
                ends = n_inputs + group["input"], n_inputs + group["input_end"]
                rows.append([loop, *(group[name] for name in fields), *ends])
                keys.append([int(group["key0"]), int(group["key1"])])
            group_of.append(own)
            n_inputs += mine.background.size
        return (
            np.array(rows, np.int32).reshape(-1, 11),
            np.array(keys, np.uint64).reshape(-1, 2),
            np.concatenate(group_of),
            np.concatenate([mine.background["weight"] for mine in self._parts]),
        )

    def _draws(self) -> tuple[Any, ...]:
        """Poisson input, and what is to be drawn for it in a step.

        Returns
        -------
        inputs, times, keys, tasks : arrays
            See `_gpu_kernel`.
        n_tasks : list of int
            Of each part.
        n_words : int
            Room for what a part draws for two steps.
        """
        inputs: list[list[int]] = []
        tasks: list[tuple[int, int, int]] = []
        background = np.concatenate([mine.background for mine in self._parts])
        n_tasks, most = [], 1
        for mine in self._parts:
            at, before = 0, len(tasks)
            for group in mine.groups:
                first = int(group["index"]) // GROUP
                blocks = 8 * (-(-int(group["index"] + group["size"]) // GROUP) - first)
                for own in mine.background[group["input"] : group["input_end"]]:
                    for k in range(blocks):
                        tasks.append((len(inputs), 8 * first + k, at + 32 * (k // 8) + k % 8))
                    inputs.append([int(own["receptor"]), int(own["table"]), at, 0, 0])
                    at += 4 * blocks
            n_tasks.append(len(tasks) - before)
            most = max(most, at)
        return (
            np.array(inputs, np.int32).reshape(-1, 5),
            np.stack([background[name] for name in ("delay", "start", "stop")], axis=1),
            np.stack([background[name].astype(np.uint64) for name in ("key0", "key1")], axis=1),
            np.array(tasks, np.int32).reshape(-1, 3),
            n_tasks,
            2 * most,
        )

    def _fitted(self, n_page: int, n_draws: int) -> _gpu_kernel.Form:
        """A form of the kernel, with as much in shared memory as fits."""
        width = np.dtype(self._state.kind).itemsize
        room = _shared_memory() - STATIC
        taken, places = 0, []
        for n_bytes in (8 * n_draws, width * self._ring.shape[1], width * n_page):
            fits = taken + n_bytes <= room
            places.append(taken if fits else None)
            taken += -(-n_bytes // 8) * 8 if fits else 0
        self._n_shared = taken
        return _gpu_kernel.Form(
            texts=tuple(self._texts.values()),
            real=np.dtype(self._state.kind).name,
            receptors=self._n_receptors,
            at_draws=places[0],
            at_ring=places[1],
            at_page=places[2],
            late=any(bool(mine.groups["late"].any()) for mine in self._parts),
            waves=bool(self._state.current_sources),
            due=self._sources_most > 0,
            probes=bool(self._probes),
            wide=self._state.synapses.offsets.dtype == np.uint64,
            equal=all(bool((mine.groups["columns"] == 1).all()) for mine in self._parts),
            timed=TIMED,
        )

    def _probe_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What is sampled, by part, and where that is in the part's page."""
        probes = np.zeros((self._n_parts, len(self._probes), 5), np.int64)
        first = 0
        for part, mine in enumerate(self._parts):
            for number, name in enumerate(("begin", "end", "interval", "phase")):
                probes[part, :, number] = mine.probe_groups[name]
            probes[part, :, :2] += first
            first += mine.probes.size
        return probes, np.concatenate([mine.probes for mine in self._parts])

    def _wave_arrays(self, first: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """For each neuron the currents that are injected into it: where they begin, and which."""
        neurons, sources = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for part, mine in enumerate(self._parts):
            neurons.append(first[part] + mine.wave_targets.astype(np.int64))
            sources.append(np.repeat(np.arange(mine.waves.shape[0]), np.diff(mine.wave_begins)))
        targets = np.concatenate(neurons)
        order = np.argsort(targets, kind="stable")
        begins = np.searchsorted(targets[order], np.arange(first[-1] + 1))
        return begins.astype(np.int64), np.concatenate(sources)[order].astype(np.int32)

    def _check_memory(self, needed: int) -> None:
        free = cuda.current_context().get_memory_info()[0]
        if needed > free and not _gpu_kernel.SIMULATED:
            raise SimulationError(
                f"the table of synapses needs {needed / 1e9:.1f} GB on the GPU, "
                f"{free / 1e9:.1f} GB free: use a smaller scale, or device=cpu"
            )

    # --- spikes that are on their way -------------------------------------------------------------

    def _remember(self, history: Any) -> None:
        if history is None:
            return
        self._sent += history
        self._add(self._state.synapses.arrivals(history, self._state.step))

    def _add(self, arrivals: Arrivals | None) -> None:
        """Put inputs that are to come into the ring."""
        self._is_newer_here = True
        if arrivals is None:
            return
        later = arrivals.steps > self._state.step
        steps, receptors, cells, weights = (column[later] for column in arrivals)
        if not steps.size:
            return
        owner, place = self._places(cells)
        table = self._state.synapses
        begins, ends = self._ring_table[receptors, 0], self._ring_table[receptors, 1]
        at = begins + steps % ((ends - begins) // table.stride) * table.stride + place
        fixed = np.rint(weights / table.units[receptors]).astype(self._ring.dtype)
        np.add.at(self._ring, (owner, at), fixed)

    def on_their_way(self) -> list[tuple[int, NDArray[np.int64]]]:
        now, longest = self._state.step, int(self._state.synapses.longest.max(initial=0))
        rows = self._state.synapses.rows
        return [
            (step, np.sort(cells[(rows[:, cells] >= 0).any(axis=0)]))
            for step, cells in self._sent
            if step > now - longest
        ]

    def _put(self) -> None:
        """Give the device the state."""
        now = self._state.step
        words = np.zeros((_gpu_kernel.SLOTS, self._n_parts, self._n_messages), np.uint64)
        for step in range(now - _gpu_kernel.SLOTS + 1, now + 1):  # no spikes: they are in the ring
            words[step % _gpu_kernel.SLOTS, :, 0] = np.uint64((step & 0xFFFF) << 48)
        self._there["page"].copy_to_device(np.concatenate([mine.page for mine in self._parts]))
        left = np.concatenate([mine.refractory for mine in self._parts])
        self._there["left"].copy_to_device(left)
        self._there["ring"].copy_to_device(self._ring.reshape(-1))
        self._there["messages"].copy_to_device(words.reshape(-1))
        self._there["done"].copy_to_device(np.array([now, now, 0], np.int64))
        self._is_newer_here, self._is_newer_there = False, True

    def _fetch(self) -> None:
        if not self._is_newer_there:
            return
        pages = np.split(self._there["page"].copy_to_host(), self._cuts[:-1])
        left = np.split(self._there["left"].copy_to_host(), np.cumsum(self._layout.n_local)[:-1])
        for mine, page, refractory in zip(self._parts, pages, left, strict=True):
            mine.page[:], mine.refractory[:] = page, refractory
        self._is_newer_there = False

    # --- running it -------------------------------------------------------------------------------

    def run(self, n_steps: int) -> None:
        """Advance by so many steps; what a slice recorded is taken over while the next one runs."""
        if n_steps > 0 and self._state.step == 0:
            self._begin()
        planned, end = self._state.step, self._state.step + n_steps
        running: _Slice | None = None
        try:
            while self._state.step < end:
                with shielded():  # from Ctrl-C
                    ended, running = running, None
                    if planned < end:
                        running = self._launched(planned, min(planned + self._most_steps(), end))
                        planned = running.stop
                    if ended is not None and not self._collected(ended):
                        running, planned = None, self._state.step  # which did nothing
        finally:
            if running is not None:
                with shielded():
                    self._collected(running)

    def _most_steps(self) -> int:
        return int(min(self._slice_steps, self._fitting_samples()))

    def _run_slice(self, n_steps: int) -> None:
        step = self._state.step
        self._collected(self._launched(step, step + n_steps))

    def _launched(self, start: int, stop: int) -> _Slice:
        """Begin with a slice."""
        if self._is_newer_here:
            self._put()
        n_steps = stop - start
        waves = [source.waveform(start, stop) for source in self._state.current_sources]
        due_ends, due_cells = self._due(start, n_steps)
        ready = self._with_samples(start, stop) if self._probes else []
        n_samples = np.array([mine.samples.size for mine in ready], np.int64)
        probes = self._sampled[0].copy()
        for part, mine in enumerate(ready):
            probes[part, :, _gpu_kernel.P_SAMPLE] = mine.probe_groups["sample"]
            probes[part, :, _gpu_kernel.P_SAMPLE] += n_samples[:part].sum()
        samples = cuda.device_array(max(1, int(n_samples.sum())), self._state.kind)
        self._time_inputs(start)
        log, to = self._logs[self._turn], cuda.to_device
        log.n_spikes.copy_to_device(np.zeros(1, np.int64), self._stream)
        arguments = (
            start, n_steps, self._turn, *self._fixed, log.logged, log.n_spikes, log.spikes,
            to(np.array(waves, float).reshape(len(waves), n_steps)), *self._last, to(due_ends),
            to(due_cells), to(probes), self._sampled[1], samples, self.cycles,
        )  # fmt: skip
        if self._kernel is None:
            self._kernel = _gpu_kernel.kernel(self._form)
            if not _gpu_kernel.SIMULATED:
                self._kernel = self._kernel.specialize(*arguments)
                _gpu_kernel.allow_shared(self._kernel, self._n_shared)
        blocks = self._n_parts, _gpu_kernel.N_THREADS, self._stream, self._n_shared
        self._kernel[blocks](*arguments)
        event = cuda.event()
        event.record(self._stream)
        self._turn = 1 - self._turn
        return _Slice(
            start, stop, self._turn, log, event, waves, due_ends, due_cells, ready, samples,
            arguments,
        )  # fmt: skip

    def _time_inputs(self, start: int) -> None:
        """Say between which steps of a slice Poisson input arrives, where that has changed."""
        sent = np.clip(self._times[:, 1:] + self._times[:, :1] - start, 0, 1 << 30)
        if np.any(self._inputs[:, _gpu_kernel.I_START :] != sent):
            self._inputs[:, _gpu_kernel.I_START :] = sent
            self._there["inputs"].copy_to_device(self._inputs.reshape(-1), self._stream)

    def _due(self, start: int, n_steps: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Spikes that sources send in some steps, by step: where each one's begin, and cells."""
        if not self._sources_most:
            return np.zeros(1, np.int64), np.zeros(0, np.int32)
        mine = self._parts[0]  # has all sources
        log, ends = np.empty(self._sources_most * n_steps, np.int32), np.zeros(n_steps + 1, int)
        _kernel.emitted(
            start, n_steps, mine.sources, mine.source_tables, mine.source_windows,
            self._rates, poisson_space(), log, ends,
        )  # fmt: skip
        first, last = np.searchsorted(mine.scheduled_steps, [start + 1, start + n_steps + 1])
        steps = np.concatenate(
            [
                np.repeat(np.arange(n_steps), np.diff(ends)),
                mine.scheduled_steps[first:last] - start - 1,
            ]
        )
        cells = np.concatenate([log[: ends[-1]], mine.scheduled_cells[first:last]])
        order = np.argsort(steps, kind="stable")
        return np.searchsorted(steps[order], np.arange(n_steps + 1)), cells[order]

    def _collected(self, ended: _Slice) -> bool:
        """Take over what a slice recorded; whether it came to its end."""
        ended.event.wait(self._copies)
        done = self._there["done"].copy_to_host(stream=self._copies)
        n_spikes = ended.log.n_spikes.copy_to_host(stream=self._copies)
        self._copies.synchronize()
        step, n = int(done[ended.turn]), int(n_spikes[0])
        fired = np.empty(0, np.uint64)
        if n:
            fired = ended.log.spikes[:n].copy_to_host(stream=self._copies)
            self._copies.synchronize()
        n_steps = step - ended.start
        steps, cells = (fired >> np.uint64(32)).astype(np.int64), fired.astype(np.uint32)
        if ended.due_cells.size:
            due = ended.due_ends[: n_steps + 1]
            steps = np.concatenate([steps, np.repeat(np.arange(n_steps), np.diff(due))])
            cells = np.concatenate([cells, ended.due_cells[: due[-1]].astype(np.uint32)])
        self._state.step = step
        self._note(ended.start, steps, cells)
        self._take_spikes(ended.start, steps, cells.astype(np.int64))
        if ended.ready:
            flat = ended.samples.copy_to_host(stream=self._copies)
            self._copies.synchronize()
            at = 0
            for mine in ended.ready:
                mine.samples[:] = flat[at : at + mine.samples.size]
                at += mine.samples.size
            self._take_samples(ended.start, step, ended.ready)
        for source, wave in zip(self._state.current_sources, ended.waves, strict=True):
            source.take(wave[:n_steps])
        if done[2]:
            self._is_newer_there = True
            self._check_state(step * self._state.dt)
        return step == ended.stop

    def _note(self, start: int, steps: NDArray[np.int64], cells: NDArray[np.uint32]) -> None:
        """Keep the spikes that may still be on their way."""
        longest = int(self._state.synapses.longest.max(initial=0))
        oldest = self._state.step - longest
        self._sent = [(step, sent) for step, sent in self._sent if step > oldest]
        own = steps + start + 1 > oldest
        order = np.argsort(steps[own], kind="stable")
        steps, cells = steps[own][order] + start + 1, cells[own][order]
        numbers, begins = np.unique(steps, return_index=True)
        for step, sent in zip(numbers.tolist(), np.split(cells, begins[1:]), strict=False):
            self._sent.append((step, sent.astype(np.int64)))


class _Log:
    """Room for the spikes of a slice on the device: of each part, and all together."""

    def __init__(self, n_parts: int, room: int) -> None:
        self.logged = cuda.device_array((n_parts, room), np.uint64)
        self.n_spikes = cuda.device_array(1, np.int64)
        self.spikes = cuda.device_array(n_parts * room, np.uint64)


@dataclass(frozen=True)
class _Slice:
    """Steps that the device is advancing by, and what belongs to them."""

    start: int
    stop: int
    turn: int
    log: _Log
    event: Any
    waves: list[NDArray[np.float64]]
    due_ends: NDArray[np.int64]
    due_cells: NDArray[np.int32]
    ready: list[_kernel.Mine]
    samples: Any
    held: tuple[Any, ...]  # arrays on the device, until the kernel has read them


def _shared_memory() -> int:
    """Bytes that a block of threads can have."""
    if _gpu_kernel.SIMULATED:
        return 1 << 16
    return int(cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)

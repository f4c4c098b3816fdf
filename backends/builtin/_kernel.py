"""The time loop of one thread, compiled. Threads meet once in every step.

A step that ends at time n (in steps) does, for the neurons of the thread:

1. add the weights of the synapses whose delay ends at n, and of the Poisson input, to the inputs;
2. advance the neurons, which take these inputs at the end of the step (NEST's order);
3. write down the spikes of n, sample what is recorded, and wait for the other threads.

Sums have one order, by delay, then source, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ._integrate import advance
from ._llvm import meet, prefetch
from ._philox import POISSON_REFINE, philox, unit

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Records = NDArray[np.void]


def _record(*integers: str, numbers: tuple[str, ...] = ()) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in integers] + [(name, float) for name in numbers])


GROUP = _record(
    "model",
    "size",
    "cell",  # number of the first among all cells
    "neuron",  # the first within the thread
    "variables",  # how many, and where they begin in the state
    "state",
    "rows",  # of constants, their columns (1, or one for each neuron), and where they begin
    "columns",
    "constants",
)
"""The neurons of a thread that belong to one population."""

BACKGROUND = _record(
    "neuron",
    "size",
    "index",  # of the first neuron in its population
    "key0",
    "key1",
    "delay",
    "receptor",
    "table",
    "start",  # a step; the first events are those of the next
    "stop",
    numbers=("weight",),
)
"""Poisson input, each neuron its own."""

SOURCE = _record(
    "row",  # the first in `source_tables` and `source_windows`
    "size",
    "index",
    "key0",
    "key1",
    "cell",
)
"""Poisson sources of a population that send spikes."""

PROBE = _record(
    "begin",  # of its variables in `probes`, and their end
    "end",
    "interval",
    "phase",
    "sample",  # where the samples of a slice begin
)
"""A variable that is recorded."""


class Mine(NamedTuple):
    """What belongs to one thread. Neurons are counted from 0 within the thread.

    ``groups``, ``background``, ``sources`` and ``probe_groups`` are arrays of `GROUP`,
    `BACKGROUND`, `SOURCE` and `PROBE`.
    """

    groups: Records
    state: F64
    refractory: NDArray[np.int32]
    drive: F64
    constants: F64
    arrived: F64
    background: Records
    sources: Records
    source_tables: NDArray[np.int32]
    source_windows: I64
    scheduled_steps: I64
    scheduled_cells: NDArray[np.int32]
    waves: F64
    wave_begins: I64
    wave_targets: NDArray[np.int32]
    probes: I64
    probe_groups: Records
    samples: F64
    history: NDArray[np.int32]
    history_sizes: I64
    scratch: NDArray[np.int32]


class Shared(NamedTuple):
    """What all threads read."""

    rows: NDArray[np.int32]
    steps: I64
    used: I64
    offsets: Any
    targets: Any
    weights: Any
    limits: F64
    guides: NDArray[np.uint8]
    log: NDArray[np.int32]
    log_ends: I64
    counters: I64
    clock: I64
    step_ms: F64


SEGMENTS = 512  # of the table of synapses that are looked up together
AHEAD = 8  # segments that are on their way to the cache
GUIDE = 4096  # parts of (0, 1) that a guide to a Poisson distribution has
UNSURE = 255  # a part in which more than one number of events is possible


@njit(cache=True)
def _refined(prefix: Any, index: Any, step: Any, key0: Any, key1: Any, limits: Any) -> Any:
    """Number of events where the first twelve bits of the draw do not decide."""
    words = philox(np.uint64(index), np.uint64(step), key0, key1 + np.uint64(POISSON_REFINE))
    u = (np.float64(prefix) + unit(words[0])) / GUIDE
    k = 0
    while u >= limits[k]:
        k += 1
    return k


@njit(cache=True, nogil=True)
def _background(
    inputs: Any, n: int, first: int, step: int, key0: Any, key1: Any, weight: float,
    limits: Any, guide: Any,
) -> None:  # fmt: skip
    """Add Poisson input to neurons: sixteen draws from one counter value."""
    counts = np.empty(16, np.uint8)
    for begin in range(0, n, 16):
        words = philox(np.uint64((first + begin) >> 4), np.uint64(step), key0, key1)
        any_unsure = np.uint8(0)
        for w in range(4):
            word = words[w]
            for lane in range(4):
                count = guide[(word >> np.uint64(52 - 16 * lane)) & np.uint64(GUIDE - 1)]
                counts[4 * w + lane] = count
                any_unsure |= count
        if any_unsure & np.uint8(128):
            for i in range(16):
                if counts[i] == UNSURE:
                    prefix = (words[i >> 2] >> np.uint64(52 - 16 * (i & 3))) & np.uint64(GUIDE - 1)
                    counts[i] = _refined(prefix, first + begin + i, step, key0, key1, limits)
        if begin + 16 <= n:
            for i in range(16):
                inputs[begin + i] += weight * counts[i]
        else:
            for i in range(n - begin):
                inputs[begin + i] += weight * counts[i]


@njit(cache=True, nogil=True)
def _emit(
    cells: Any, k: int, n: int, cell: int, first: int, step: int, key0: Any, key1: Any,
    tables: Any, windows: Any, limits: Any, guides: Any,
) -> int:  # fmt: skip
    """Write down the spikes of Poisson sources: the same draws as of `_background`."""
    for begin in range(0, n, 16):
        words = philox(np.uint64((first + begin) >> 4), np.uint64(step), key0, key1)
        for w in range(4):
            word = words[w]
            for lane in range(4):
                i = begin + 4 * w + lane
                prefix = (word >> np.uint64(52 - 16 * lane)) & np.uint64(GUIDE - 1)
                if i < n and windows[i, 0] < step <= windows[i, 1]:
                    table = tables[i]
                    count = np.int64(guides[table, prefix])
                    if count == UNSURE:
                        count = _refined(prefix, first + i, step, key0, key1, limits[table])
                    for _ in range(count):
                        cells[k] = cell + i
                        k += 1
    return k


@njit(cache=True, nogil=True)
def _remember(step: int, relative: int, mine: Any, shared: Any) -> None:
    """Take the spikes of all threads of one step into this thread's history, in order."""
    cells = mine.scratch
    n = 0
    n_threads = shared.log.shape[0]
    for other in range(n_threads):
        for i in range(shared.log_ends[other, relative], shared.log_ends[other, relative + 1]):
            cell = shared.log[other, i]
            if n_threads == 1 or n > 64:
                cells[n] = cell
            else:
                at = n
                while at > 0 and cells[at - 1] > cell:
                    cells[at] = cells[at - 1]
                    at -= 1
                cells[at] = cell
            n += 1
    if n > 64 or n_threads == 1:
        cells[:n].sort()
    slot = step % mine.history.shape[1]
    for receptor in range(shared.rows.shape[0]):
        k = 0
        for i in range(n):
            row = shared.rows[receptor, cells[i]]
            if row >= 0:
                mine.history[receptor, slot, k] = row
                k += 1
        mine.history_sizes[receptor, slot] = k


@njit(cache=True, nogil=True)
def _deliver(arrived: Any, begins: Any, ends: Any, n: int, targets: Any, weights: Any) -> None:
    """Add segments of the table, which are far apart in memory: ask for them in time."""
    for j in range(n + AHEAD):
        if j < n:
            begin = np.int64(begins[j])
            for line in range(2):
                prefetch(targets, begin + 32 * line)
            for line in range(4):
                prefetch(weights, begin + 16 * line)
        if j >= AHEAD:
            for i in range(begins[j - AHEAD], ends[j - AHEAD]):
                at = np.uint64(i)
                arrived[np.uint64(targets[at])] += weights[at]


@njit(cache=True, nogil=True)
def _receive(
    arrived: Any, receptor: int, step: int, begins: Any, ends: Any, offsets: Any, mine: Any,
    shared: Any,
) -> None:  # fmt: skip
    """Add the synapses whose delay ends now, of all spikes that are as old as that."""
    n_slots = mine.history.shape[1]
    n = 0
    for column in range(min(shared.steps.size, shared.used[receptor])):
        sent = step - shared.steps[column]
        if sent < 0:  # sources may fire at 0
            continue
        slot = sent % n_slots
        for j in range(mine.history_sizes[receptor, slot]):
            row = np.uint64(mine.history[receptor, slot, j])
            begin, end = offsets[row, column], offsets[row, column + 1]
            if begin < end:
                begins[n] = begin
                ends[n] = end
                n += 1
            if n == begins.size:
                _deliver(arrived, begins, ends, n, shared.targets, shared.weights)
                n = 0
    _deliver(arrived, begins, ends, n, shared.targets, shared.weights)


@njit(cache=True, nogil=True)
def run(thread: int, n_steps: int, mine: Any, shared: Any) -> None:
    """Advance by `n_steps`; ``shared.clock[0]`` tells from where, and in the end how far."""
    start = shared.clock[0]
    n_threads = shared.log.shape[0]
    offsets = shared.offsets[thread]
    begins, ends = np.empty(SEGMENTS, np.int64), np.empty(SEGMENTS, np.int64)
    log, log_ends = shared.log[thread], shared.log_ends[thread]
    due = np.searchsorted(mine.scheduled_steps, start + 1)
    total = 0
    meet(shared.counters, thread, n_threads)  # all have read the clock
    for relative in range(n_steps):
        step = start + relative + 1
        if relative:
            _remember(step - 1, relative - 1, mine, shared)

        # 1. what arrives
        for receptor in range(shared.rows.shape[0]):
            _receive(mine.arrived[receptor], receptor, step, begins, ends, offsets, mine, shared)
        for b in range(mine.background.shape[0]):
            source = mine.background[b]
            sent = step - source.delay
            if source.start < sent <= source.stop:
                _background(
                    mine.arrived[source.receptor, source.neuron : source.neuron + source.size],
                    source.size, source.index, sent, np.uint64(source.key0),
                    np.uint64(source.key1), source.weight, shared.limits[source.table],
                    shared.guides[source.table],
                )  # fmt: skip

        # 2. currents and neurons
        if mine.waves.shape[0]:
            _inject(mine.drive, mine.waves, relative, mine.wave_begins, mine.wave_targets)
        for g in range(mine.groups.shape[0]):
            total = advance(mine, g, shared.step_ms[0], log, total)

        # 3. spikes of sources
        for p in range(mine.sources.shape[0]):
            senders = mine.sources[p]
            rows = slice(senders.row, senders.row + senders.size)
            total = _emit(
                log, total, senders.size, senders.cell, senders.index, step,
                np.uint64(senders.key0), np.uint64(senders.key1), mine.source_tables[rows],
                mine.source_windows[rows], shared.limits, shared.guides,
            )  # fmt: skip
        while due < mine.scheduled_steps.size and mine.scheduled_steps[due] == step:
            log[total] = mine.scheduled_cells[due]
            total += 1
            due += 1
        log_ends[relative + 1] = total
        _sample(step, start, mine)
        meet(shared.counters, thread, n_threads)
    if n_steps:
        _remember(start + n_steps, n_steps - 1, mine, shared)
    meet(shared.counters, thread, n_threads)  # nobody reads the clock or the log any more
    if thread == 0:
        shared.clock[0] = start + n_steps


@njit(cache=True, nogil=True)
def _inject(drive: Any, waves: Any, relative: int, begins: Any, targets: Any) -> None:
    """Set the injected currents of this step, where they change."""
    changed = relative == 0
    for w in range(waves.shape[0]):
        changed = changed or waves[w, relative] != waves[w, relative - 1]
    if not changed:
        return
    for w in range(waves.shape[0]):
        for i in range(begins[w], begins[w + 1]):
            drive[targets[i]] = 0.0
    for w in range(waves.shape[0]):
        for i in range(begins[w], begins[w + 1]):
            drive[targets[i]] += waves[w, relative]


@njit(cache=True, nogil=True)
def _sample(step: int, start: int, mine: Any) -> None:
    """Copy the variables that are recorded in this step."""
    for p in range(mine.probe_groups.shape[0]):
        probe = mine.probe_groups[p]
        since = step - probe.phase
        if since % probe.interval == 0:
            number = since // probe.interval - (start - probe.phase) // probe.interval - 1
            at = probe.sample + number * (probe.end - probe.begin)
            for i in range(probe.begin, probe.end):
                mine.samples[at + i - probe.begin] = mine.state[mine.probes[i]]

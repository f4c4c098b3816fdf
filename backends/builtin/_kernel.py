"""The time loop of one thread, compiled. Threads meet once in every step.

A step that ends at time n (in steps) does, for the neurons of the thread:

1. advance the neurons, write down the spikes of n, and say so to the other threads;
2. add the weights of the synapses whose delay ends at n, and of the Poisson input, to the
   synaptic variables: the next step is the first that they have an effect in (NEST's order);
3. sample what is recorded, and wait for the other threads.

Neurons whose threshold looks at what arrives (`Izhikevich`) are advanced after 2. Sums have one
order: Poisson input, then by the time of the spike, then by source, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._integrate import add, advance
from ._llvm import (
    borrowed,
    compiled,
    counted,
    denormals_to_zero,
    float_of,
    lend,
    prefetch,
    set_float_control,
)
from ._plastic_kernel import fire, receive, send
from ._poisson import PIECE, events, events_of_one
from ._poisson import space as poisson_space
from ._turns import CACHE_LINE, DONE, TAKEN, WRITTEN, next_part, tell

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
    "index",  # of the first in its population
    "late",  # whether arrivals come before the threshold
    "variables",  # how many beside `arrivals`, and where they begin in the page
    "state",
    "rows",  # of constants, their columns (1, or one for each neuron), and where they begin
    "columns",
    "constants",
    "input",  # the first in `background`, and the end
    "input_end",
    "key0",  # of what the neurons draw themselves
    "key1",
)
"""The neurons of a thread that belong to one population."""

BACKGROUND = _record(
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

    ``page`` is all that changes in every step, in one piece of memory: ``arrivals``, shape
    (receptors, neurons), which are the synaptic variables of most cell types, and other variables.
    ``groups``, ``background``, ``sources`` and ``probe_groups`` are arrays of `GROUP`,
    `BACKGROUND`, `SOURCE` and `PROBE`.
    """

    groups: Records
    page: Any
    arrivals: Any
    refractory: Any
    drive: Any
    constants: Any
    held: tuple[NDArray[np.int32], Any]  # space: numbers of refractory neurons, and variables
    loops: I64  # for each group the address of its loop (see `_integrate`)
    background: Records
    sources: Records
    source_tables: NDArray[np.int32]
    source_windows: I64
    scheduled_steps: I64
    scheduled_cells: NDArray[np.int32]
    cursors: I64  # in `scheduled_steps` and `coming_steps`
    coming_steps: I64  # inputs through synapses that have changed since their spikes
    coming_receptors: I64
    coming_places: I64
    coming_weights: F64
    waves: F64
    wave_begins: I64
    wave_targets: NDArray[np.int32]
    probes: I64  # places in `page`
    probe_groups: Records
    samples: F64
    history: NDArray[np.int32]
    history_sizes: I64
    listed: I64  # segments that arrive in each slot, -1 where they are to be looked up
    begins: Any
    ends: Any
    scratch: NDArray[np.int32]
    plastic: Any  # a `_plastic.Part`, or None


class Shared(NamedTuple):
    """What all threads read."""

    rows: NDArray[np.int32]
    steps: I64
    used: I64
    offsets: Any
    targets: Any
    weights: Any  # None where `targets` are words that hold them, too
    rates: tuple[NDArray[np.uint16], F64]
    log: NDArray[np.int32]
    log_ends: I64
    turns: I64  # see `_turns`
    places: NDArray[np.uint8]  # where threads lend their parts
    plastic: Any  # a `_plastic.Shared`, or None


ZERO: Any = np.int64(0)  # numba would compile a function once more for a literal
ONE: Any = np.int64(1)
SEGMENTS = 512  # of the table of synapses that are looked up together
LISTED = 1 << 17  # that are listed beforehand for one receptor
AHEAD = 32  # segments that are on their way to the cache
TARGET_LINES, WEIGHT_LINES = 3, 5  # of them, as far as the cache is asked for them
WORD_LINES = 5


@compiled
def _piece_end(group: Any, begin: int) -> Any:
    """Where the piece of its population ends that neuron `begin` of a group is in."""
    return min(group.size, (group.index + begin) // PIECE * PIECE + PIECE - group.index)


@compiled
def _background(
    sources: Any, b: int, group: Any, begin: int, end: int, step: int, rates: Any, space: Any
) -> Any:
    """Poisson input `b` to neurons of one piece: codes (see `events`), receptor, weight."""
    if b < group.input_end:
        source = sources[b]
        sent = step - source.delay
        if source.start < sent <= source.stop:
            first, size = group.index + begin, end - begin
            key0, key1 = np.uint64(source.key0), np.uint64(source.key1)
            events(first, size, sent, key0, key1, rates, source.table, space)
            return space[2][first % PIECE : first % PIECE + size], source.receptor, source.weight
    return space[2][:0], ZERO, 0.0


@compiled
def _neurons(
    late: Any, neurons: Any, sources: Any, step: int, rates: Any, space: Any, log: Any,
    total: int,
) -> int:  # fmt: skip
    """Advance some of the groups, and add their Poisson input, a piece at a time."""
    groups, arrivals, loops = neurons[0], neurons[1], neurons[7]
    for g in range(groups.size):
        group = groups[g]
        if group.late != late:
            continue
        begin = ZERO
        while begin < group.size:
            end = _piece_end(group, begin)
            b = group.input
            if not late:  # the first is added in the same pass through the neurons
                poisson = _background(sources, b, group, begin, end, step, rates, space)
                total = advance(group, loops[g], neurons, begin, end, step, poisson, log, total)
                b += 1
            while b < group.input_end:
                codes, receptor, weight = _background(
                    sources, b, group, begin, end, step, rates, space
                )
                add(arrivals[receptor], group.neuron + begin, codes, weight)
                b += 1
            if late:
                nothing = space[2][:0], ZERO, 0.0
                total = advance(group, loops[g], neurons, begin, end, step, nothing, log, total)
            begin = end
    return total


@compiled
def _emit(senders: Any, step: int, tables: Any, windows: Any, rates: Any, space: Any,
          log: Any, total: int) -> int:  # fmt: skip
    """Write down the spikes of Poisson sources: the same draws as of `_background`."""
    key0, key1 = np.uint64(senders.key0), np.uint64(senders.key1)
    _, draws, codes = space
    begin = ZERO
    while begin < senders.size:
        end = _piece_end(senders, begin)
        first = senders.index + begin
        common: Any = np.int64(tables[begin])
        events(first, end - begin, step, key0, key1, rates, common, space)
        for i in range(begin, end):
            if windows[i, 0] < step <= windows[i, 1]:
                place = (senders.index + i) % PIECE
                n: Any = np.int64(codes[place] >> np.uint16(1))
                if tables[i] != common:
                    draw = draws[place]
                    own: Any = np.int64(tables[i])
                    n = events_of_one(senders.index + i, step, draw, key0, key1, rates, own)
                for _ in range(n):
                    log[total] = senders.cell + i
                    total += 1
        begin = end
    return total


@compiled
def _emit_all(sources: Any, step: int, tables: Any, windows: Any, rates: Any, space: Any,
              log: Any, total: int) -> int:  # fmt: skip
    """Those of all populations of sources."""
    for p in range(sources.shape[0]):
        senders = sources[p]
        rows = slice(senders.row, senders.row + senders.size)
        total = _emit(senders, step, tables[rows], windows[rows], rates, space, log, total)
    return total


@compiled
def emitted(
    start: int, n_steps: int, sources: Any, tables: Any, windows: Any, rates: Any, space: Any,
    log: Any, ends: Any,
) -> None:  # fmt: skip
    """Write down the spikes of all Poisson sources in some steps; where each step's begin."""
    total = 0
    ends[0] = 0
    for relative in range(n_steps):
        step = start + relative + 1
        total = _emit_all(sources, step, tables, windows, rates, space, log, total)
        ends[relative + 1] = total


@counted  # numba's sort makes a list
def _order(cells: Any) -> None:
    cells.sort()


@compiled
def _remember(step: int, relative: int, offsets: Any, mine: Any, shared: Any) -> None:
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
        _order(cells[:n])
    send(cells[:n], step, mine.plastic, shared.plastic)
    slot = step % mine.history.shape[1]
    for receptor in range(shared.rows.shape[0]):
        k = 0
        for i in range(n):
            row = shared.rows[receptor, cells[i]]
            if row >= 0:
                mine.history[receptor, slot, k] = row
                k += 1
        mine.history_sizes[receptor, slot] = k
        lists = mine.listed[receptor], mine.begins[receptor], mine.ends[receptor]
        used = min(shared.steps.size, shared.used[receptor])
        _list(mine.history[receptor, slot, :k], slot, offsets, shared.steps[:used], lists)


@compiled
def _list(rows: Any, slot: int, offsets: Any, steps: Any, lists: Any) -> None:
    """List the segments of spikes of one step where they arrive, as far as there is room."""
    listed, begins, ends = lists
    n_slots, room = begins.shape
    for j in range(rows.size):
        row = np.uint64(rows[j])
        end = offsets[row, 0]
        for column in range(steps.size):
            begin, end = end, offsets[row, column + 1]
            arrival = slot + steps[column]
            if arrival >= n_slots:
                arrival -= n_slots
            n = listed[arrival]
            if begin == end or n < 0:
                continue
            if n == room:
                listed[arrival] = -1
                continue
            begins[arrival, n] = begin
            ends[arrival, n] = end
            listed[arrival] = n + 1


@compiled
def _deliver(into: Any, begins: Any, ends: Any, n: int, targets: Any, weights: Any) -> None:
    """Add segments of the table, which are far apart in memory: ask for them in time."""
    for j in range(n + AHEAD):
        if j < n:
            begin = np.int64(begins[j])
            if weights is None:
                for line in range(WORD_LINES):
                    prefetch(targets, begin + 64 // targets.itemsize * line)
            else:
                for line in range(TARGET_LINES):
                    prefetch(targets, begin + 64 // targets.itemsize * line)
                for line in range(WEIGHT_LINES):
                    prefetch(weights, begin + 64 // weights.itemsize * line)
        if j >= AHEAD:
            for i in range(begins[j - AHEAD], ends[j - AHEAD]):
                at = np.uint64(i)
                if weights is None:
                    word = targets[at]
                    weight = float_of(word & np.uint32(0xFFFF0000))
                    into[np.uint64(word & np.uint32(0xFFFF))] += weight
                else:
                    into[np.uint64(targets[at])] += weights[at]


@compiled
def _receive(
    into: Any, receptor: int, step: int, space: Any, offsets: Any, mine: Any, shared: Any,
) -> None:  # fmt: skip
    """Add the synapses whose delay ends now, of all spikes that are as old as that."""
    slot = step % mine.history.shape[1]
    n = mine.listed[receptor, slot]
    mine.listed[receptor, slot] = 0
    begins, ends = mine.begins[receptor, slot], mine.ends[receptor, slot]
    if n < 0:
        n = 0
        begins, ends = space
        for column in range(min(shared.steps.size, shared.used[receptor]) - 1, -1, -1):
            sent = step - shared.steps[column]
            if sent < 0:  # sources may fire at 0
                continue
            slot = sent % mine.history.shape[1]
            for j in range(mine.history_sizes[receptor, slot]):
                row = np.uint64(mine.history[receptor, slot, j])
                begin, end = offsets[row, column], offsets[row, column + 1]
                if begin < end:
                    begins[n] = begin
                    ends[n] = end
                    n += 1
                if n == begins.size:
                    _deliver(into, begins, ends, n, shared.targets, shared.weights)
                    n = 0
    _deliver(into, begins, ends, n, shared.targets, shared.weights)


def run(thread: int, start: int, n_steps: int, mine: Mine, shared: Shared) -> None:
    """Advance by `n_steps` from step `start`, together with the other threads.

    The last task of a part takes notice of the spikes of the last step.
    """
    found = np.empty((2, SEGMENTS), mine.begins.dtype)
    _run(thread, start, n_steps, mine, shared, poisson_space(), (found[0], found[1]))


@compiled
def _run(
    thread: int, start: int, n_steps: int, mine: Any, shared: Any, space: Any, found: Any
) -> None:
    float_control = denormals_to_zero()
    lend(shared.places, thread, mine)
    tell(shared.turns, thread, TAKEN, 0)
    part = next_part(shared.turns, thread, n_steps + 1)
    while part >= 0:
        if part == thread:
            _task(part, start, n_steps, mine, shared, space, found)
        else:
            other = borrowed(shared.places, part, mine)
            _task(part, start, n_steps, other, shared, space, found)
        part = next_part(shared.turns, thread, n_steps + 1)
    set_float_control(float_control)


@compiled
def _task(
    part: int, start: int, n_steps: int, mine: Any, shared: Any, space: Any, found: Any
) -> None:
    """Advance a part by its next step."""
    relative = shared.turns[part * CACHE_LINE + DONE]
    step, offsets = start + relative + 1, shared.offsets[part]
    if relative:
        _remember(step - 1, relative - 1, offsets, mine, shared)
    if relative == n_steps:
        tell(shared.turns, part, DONE, relative + 1)
        return
    if relative == 0:
        mine.cursors[0] = np.searchsorted(mine.scheduled_steps, step)
        mine.cursors[1] = np.searchsorted(mine.coming_steps, step)
    due, coming = mine.cursors
    log, log_ends = shared.log[part], shared.log_ends[part]
    total = log_ends[relative]
    # few arguments for calls that are frequent: numba passes each array of a tuple by value
    neurons = (
        mine.groups, mine.arrivals, mine.page, mine.refractory, mine.drive, mine.constants,
        mine.held, mine.loops,
    )  # fmt: skip
    rates = shared.rates
    any_late = False
    for g in range(mine.groups.shape[0]):
        any_late |= mine.groups[g].late != 0

    # 1. neurons, and the spikes of sources
    if mine.waves.shape[0]:
        _inject(mine.drive, mine.waves, relative, mine.wave_begins, mine.wave_targets)
    total = _neurons(ZERO, neurons, mine.background, step, rates, space, log, total)
    total = _emit_all(
        mine.sources, step, mine.source_tables, mine.source_windows, rates, space, log, total
    )
    while due < mine.scheduled_steps.size and mine.scheduled_steps[due] == step:
        log[total] = mine.scheduled_cells[due]
        total += 1
        due += 1
    log_ends[relative + 1] = total
    if not any_late:
        tell(shared.turns, part, WRITTEN, relative + 1)

    # 2. what arrives
    while coming < mine.coming_steps.size and mine.coming_steps[coming] == step:
        receptor, place = mine.coming_receptors[coming], mine.coming_places[coming]
        mine.arrivals[receptor, place] += mine.arrivals.dtype.type(mine.coming_weights[coming])
        coming += 1
    fire(log[log_ends[relative] : total], step, mine.plastic, shared.plastic)
    for receptor in range(shared.rows.shape[0]):
        _receive(mine.arrivals[receptor], receptor, step, found, offsets, mine, shared)
    receive(mine.arrivals, step, mine.plastic, shared.plastic)
    if any_late:
        before = total
        total = _neurons(ONE, neurons, mine.background, step, rates, space, log, total)
        log_ends[relative + 1] = total
        fire(log[before:total], step, mine.plastic, shared.plastic)
        tell(shared.turns, part, WRITTEN, relative + 1)

    _sample(step, start, mine)
    mine.cursors[0], mine.cursors[1] = due, coming
    tell(shared.turns, part, DONE, relative + 1)


@compiled
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


@compiled
def _sample(step: int, start: int, mine: Any) -> None:
    """Copy the variables that are recorded in this step."""
    for p in range(mine.probe_groups.shape[0]):
        probe = mine.probe_groups[p]
        since = step - probe.phase
        if since % probe.interval == 0:
            number = since // probe.interval - (start - probe.phase) // probe.interval - 1
            at = probe.sample + number * (probe.end - probe.begin)
            for i in range(probe.begin, probe.end):
                mine.samples[at + i - probe.begin] = mine.page[mine.probes[i]]

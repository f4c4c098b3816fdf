"""The time loop on a GPU: one kernel that stays there while many steps pass.

Each block of threads, one on a multiprocessor, has a part of every population, and all that arrives
at it: inputs that are on their way are in a ring of sums, in shared memory where they fit, by the
step in which they arrive. Only spikes cross between multiprocessors. A step that ends at time n:

1. advance the part's neurons, add Poisson input, and write down who fired;
2. tell all parts, as messages in memory: a number of spikes, and the row of synapses of each.
   Every message bears its step, so that who reads it knows whether it is there: nothing else
   keeps the parts together;
3. take the messages of step n - 1, and add these spikes' synapses to the ring. Delays have a step
   at least, so that a message has a whole step to cross;
4. add what arrives at n to the synaptic variables, and sample what is recorded.

Where a neuron's threshold looks at what arrives, 3 comes first. Weights are whole multiples of a
power of two (`_gpu_table`), so that sums do not depend on their order, and results neither on the
number of multiprocessors nor on their luck.

Nothing is used that numba's simulator of a GPU has not: it runs the kernel step by step, a block
after the other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numba import cuda as numba_cuda
from numba import types
from numba.core import config

from . import _poisson
from ._poisson import GROUP
from ._threefry import threefry

cuda: Any = numba_cuda  # which has few types
settings: Any = config
SIMULATED = bool(settings.ENABLE_CUDASIM)
U32, U64, I32, I64 = np.uint32, np.uint64, np.int32, np.int64
N_THREADS = 32 if SIMULATED else 1024  # of a block
SLOTS = 4  # of messages, a power of two: all parts have taken those of four steps ago
TAKEN_TOGETHER = 128  # spikes whose synapses are added between two barriers, at most
STOP = 0x8000  # in a number of messages: there is no room to write down more spikes
MOST_MESSAGES = 0x7FFF  # of a part in a step

# shared counters
N_COUNTS = 6
N_TOLD, N_TAKEN, FIRST_ROW, N_LOGGED, STOPPED, FIRST_SPIKE = range(6)
# columns of tables: parts, where each one's begin
PAGE, NEURONS, N_NEURONS, CONSTANTS, TASKS = range(5)
# groups of neurons, as in `_kernel.GROUP`
(
    MODEL, SIZE, CELL, NEURON, INDEX, LATE, STATE, CONSTANT, COLUMNS, INPUT, INPUT_END
) = range(11)  # fmt: skip
N_GROUP = 11
# Poisson input: where its draws are, and the steps of a slice in which its events arrive
I_RECEPTOR, I_TABLE, I_DRAWS, I_START, I_STOP = range(5)
N_INPUT = 5
# the ring, in what is for each receptor: its part, and the receptor's first row
R_BEGIN, R_END, R_ROW = range(3)
# what is sampled
P_BEGIN, P_END, P_INTERVAL, P_PHASE, P_SAMPLE = range(5)
TOGETHER = 4  # limits of a distribution that are compared at a time
PHASES = ("neurons", "first barrier", "synapses", "second barrier", "arrivals")
"""What a multiprocessor does in a step, one after the other, where its cycles are counted."""

N_PHASES = len(PHASES)
N_CYCLES = N_PHASES + 1  # and when the last one was counted

decided: Any = _poisson._decided
if SIMULATED:
    decided = decided.py_func
Function = TypeVar("Function", bound=Callable[..., Any])


def device(code: Function) -> Function:
    """A function for the kernel."""
    made: Function = cuda.jit(code, device=True)
    return made


@dataclass(frozen=True)
class Form:
    """What a kernel is made for.

    Attributes
    ----------
    texts : tuple of str
        Modules of the neuron models, from `_one`.
    real : {"float32", "float64"}
        Of the neurons' state; weights and the ring are of as many bits.
    receptors : int
    at_ring, at_page, at_draws : int or None
        Bytes where they begin in shared memory, or None where they are not there.
    late : bool
        Whether what arrives in a step comes before its thresholds.
    waves, due, probes : bool
        Whether currents are injected, sources' spikes are due, something is sampled.
    equal : bool
        Whether the neurons of each population have the same constants.
    wide : bool
        Whether there are more synapses than a number of 32 bits counts.
    timed : bool
        Whether clock cycles of what a step consists of are counted; see `PHASES`.
    """

    texts: tuple[str, ...]
    real: str
    receptors: int
    at_ring: int | None
    at_page: int | None
    at_draws: int | None
    late: bool
    waves: bool
    due: bool
    probes: bool
    equal: bool
    wide: bool
    timed: bool


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Of an element of an array."""
    from llvmlite import ir

    array, index = arguments
    if index.type.width < 64:
        index = builder.zext(index, ir.IntType(64))
    return builder.gep(context.make_array(signature.args[0])(context, builder, array).data, [index])


def _look() -> Any:
    """A function that reads what another multiprocessor wrote."""
    if SIMULATED:
        return lambda array, index: array[index]
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    @intrinsic
    def look(typingctx: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer, word = _pointer(context, builder, signature, arguments), ir.IntType(64)
            load = ir.InlineAsm(
                ir.FunctionType(word, [pointer.type]),
                "ld.volatile.global.u64 $0, [$1];",
                "=l,l,~{memory}",
                side_effect=True,
            )
            return builder.call(load, [pointer])

        return types.uint64(array, types.int64), code

    return look


def _streamed() -> Any:
    """A function that reads what is not worth a place in the nearest cache."""
    if SIMULATED:
        return lambda array, index: array[index]
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    @intrinsic
    def streamed(typingctx: Any, array: Any, index: Any) -> Any:
        bits = array.dtype.bitwidth

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(context, builder, signature, arguments)
            kind = context.get_value_type(array.dtype)
            register = {16: "h", 32: "r", 64: "l"}[bits]
            load = ir.InlineAsm(
                ir.FunctionType(kind, [pointer.type]),
                f"ld.global.cg.b{bits} $0, [$1];",
                f"={register},l",
            )
            return builder.call(load, [pointer])

        return array.dtype(array, index), code

    return streamed


def _ahead() -> Any:
    """A function that asks for an element of an array to be near when it will be wanted."""
    if SIMULATED:
        return lambda array, index: None
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    @intrinsic
    def ahead(typingctx: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(context, builder, signature, arguments)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type])
            ask = ir.InlineAsm(kind, "prefetch.global.L2 [$0];", "l", side_effect=True)
            builder.call(ask, [pointer])
            return context.get_dummy_value()

        return types.void(array, types.int64), code

    return ahead


def _clock() -> Any:
    """A function that says how many cycles a multiprocessor has counted."""
    if SIMULATED:
        return lambda: 0
    from llvmlite import ir
    from numba.cuda.extending import intrinsic

    @intrinsic
    def clock(typingctx: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(ir.IntType(64), [])
            read = ir.InlineAsm(kind, "mov.u64 $0, %clock64;", "=l,~{memory}", side_effect=True)
            return builder.call(read, [])

        return types.int64(), code

    return clock


def _advance(texts: tuple[str, ...]) -> Any:
    """A function that calls a model's step by the model's number."""
    known: dict[str, Any] = {}
    for number, text in enumerate(texts):
        module: dict[str, Any] = {}
        exec(compile(text, f"<neuron {number}>", "exec"), module)
        known[f"step{number}"] = module["step"]
    given = (
        "page, arrivals, n_local, state, size, left, drive, own, c, first, columns, i, index, now, "
        "key0, key1"
    )
    lines = [f"def advance(model, {given}):"]
    for number in range(len(texts) - 1):
        lines += [f"    if model == {number}:", f"        return step{number}({given})"]
    lines.append(f"    return step{len(texts) - 1}({given})" if texts else "    return False")
    exec("\n".join(lines), known)
    return device(known["advance"])


@device
def events(
    neuron: Any, step: Any, draw: Any, keys: Any, b: Any, limits: Any, per_table: Any, exact: Any,
    table: Any,
) -> Any:  # fmt: skip
    """What `_poisson.events_of_one` says, without a loop in which each turn waits for the last."""
    at, n, above = U64(I32(table * per_table)), I32(0), I32(TOGETHER)
    while above == TOGETHER and n < per_table:
        above = I32(0)
        for k in range(TOGETHER):
            above = I32(above + (I32(1) if draw > limits[at + U64(k)] else I32(0)))
        n = I32(n + above)
        at += U64(TOGETHER)
    if draw == 0 or (n < per_table and draw == limits[U64(I32(table * per_table + n))]):
        key0, key1 = keys[U64(2 * b)], keys[U64(2 * b + 1)]
        n = I32(decided(neuron, step, draw, key0, key1, exact, table))
    return n


@functools.cache
def kernel(form: Form) -> Any:
    """The kernel; `_gpu` says what it is given."""
    advance, look, streamed, ahead = _advance(form.texts), _look(), _streamed(), _ahead()
    clock, timed = _clock(), form.timed
    real = np.dtype(form.real).type
    real_type: Any = getattr(types, form.real)
    sum_type: Any = types.int32 if form.real == "float32" else types.int64
    receptors, late = form.receptors, form.late
    places = form.at_ring, form.at_page, form.at_draws
    shared_ring, shared_page, shared_draws = (place is not None for place in places)
    at_ring, at_page, at_draws = (place or 0 for place in places)
    at_ring, at_page = (place // np.dtype(real).itemsize for place in (at_ring, at_page))
    at_draws //= 8
    equal = form.equal
    has_waves, has_due, has_probes = form.waves, form.due, form.probes
    drawn_after = 0 if late else 1  # for this step or the next
    index_of: Any = U64 if form.wide else U32  # of a synapse
    index_type: Any = types.uint64 if form.wide else types.uint32

    @device
    def mark(cycles: Any, number: Any) -> None:
        """Count the cycles since the last mark."""
        if timed:
            now = clock()
            cycles[number] += now - cycles[N_PHASES]
            cycles[N_PHASES] = now

    @device
    def draw(
        step: Any, helpers: Any, first: Any, last: Any, tasks: Any, times: Any, keys: Any,
        half: Any, draws: Any,
    ) -> None:  # fmt: skip
        """Draw what Poisson input of a step is made from, beside what is drawn for the last one."""
        task = first + cuda.blockDim.x - 1 - cuda.threadIdx.x - helpers
        if task < first:
            task += cuda.blockDim.x
        while task < last:
            b = tasks[task, 0]
            block, sent = U64(tasks[task, 1]), U64(step - times[U64(3 * b)])
            key0, key1 = keys[U64(2 * b)], keys[U64(2 * b + 1)]
            x0, x1, x2, x3 = threefry(block, sent, U64(0), key0, key1)
            at = (step & 1) * half + tasks[task, 2]
            draws[U32(at)] = x0
            draws[U32(at + 8)] = x1
            draws[U32(at + 16)] = x2
            draws[U32(at + 24)] = x3
            task += cuda.blockDim.x

    @device
    def add_poisson(
        g: Any, i: Any, own: Any, n_local: Any, step: Any, relative: Any, groups: Any, inputs: Any,
        times: Any, keys: Any, weights: Any, half: Any, draws: Any, limits: Any, per_table: Any,
        exact: Any, page: Any,
    ) -> None:  # fmt: skip
        at = U64(N_GROUP) * U64(g)
        b, end = groups[at + U64(INPUT)], groups[at + U64(INPUT_END)]
        while b < end:
            own_input = U64(N_INPUT) * U64(b)
            begins, ends = inputs[own_input + U64(I_START)], inputs[own_input + U64(I_STOP)]
            if begins <= relative and relative < ends:
                index = groups[at + U64(INDEX)]
                place = I32((index & (GROUP - 1)) + i)
                first = I32((step & 1) * half + inputs[own_input + U64(I_DRAWS)])
                word = draws[U32(first + (place >> 2))]
                bits = I32((word >> U64(16 * (place & 3))) & U64(0xFFFF))
                n = events(
                    index + i, step - times[U64(3 * b)], bits, keys, b, limits, per_table, exact,
                    inputs[own_input + U64(I_TABLE)],
                )  # fmt: skip
                into = U32(inputs[own_input + U64(I_RECEPTOR)] * n_local + own)
                page[into] += weights[U64(b)] * real(n)
            b = I32(b + 1)

    @device
    def add_arrivals(own: Any, n_local: Any, now: Any, ring: Any, units: Any, page: Any) -> None:
        for receptor in range(receptors):
            at = U32(now[receptor] + own)
            sum_ = ring[at]
            if sum_ != 0:
                ring[at] = 0
                page[U32(receptor * n_local + own)] += real(sum_) * units[receptor]

    @device
    def tell(
        cell: Any, n_cells: Any, rows: Any, slot: Any, step: Any, counts: Any, messages: Any
    ) -> None:
        """A spike becomes a message for each of its rows; the first one waits in `counts`."""
        for receptor in range(receptors):
            row = rows[U64(receptor * n_cells + cell)]
            if row >= 0:
                at = cuda.atomic.add(counts, N_TOLD, 1)
                if at == 0:
                    counts[FIRST_ROW] = row
                else:
                    messages[U64(slot + at)] = (U64(step) << U64(32)) | U64(row)

    @device
    def list_rows(
        word: Any, k: Any, n: Any, told: Any, sent: Any, part: Any, n_parts: Any, messages: Any,
        counts: Any, offsets: Any, targets: Any, table_weights: Any, first_rows: Any, before: Any,
        ring_begins: Any, ring_ends: Any, begins: Any, ends: Any, shifts: Any, stops: Any,
        sizes: Any,
    ) -> Any:  # fmt: skip
        """List where rows of synapses begin and end, as far as there is room; how many of `n`."""
        while k < n:
            place = cuda.atomic.add(counts, N_TAKEN, 1)
            if place >= TAKEN_TOGETHER:
                break
            if k > 0:
                word = look(messages, told + k)
                while word >> U64(32) != U64(sent):
                    word = look(messages, told + k)
            row = I64(word & U64(0xFFFFFFFF))
            at = U64(row * (n_parts + 1) + part)
            begin, end = offsets[at], offsets[at + U64(1)]
            if begin < end:
                ahead(targets, I64(begin))
                ahead(targets, I64(end) - 1)
                ahead(table_weights, I64(begin))
                ahead(table_weights, I64(end) - 1)
            shift, stop, size = before[0], ring_ends[0], ring_ends[0] - ring_begins[0]
            for receptor in range(1, receptors):
                if row >= first_rows[receptor]:
                    shift, stop = before[receptor], ring_ends[receptor]
                    size = ring_ends[receptor] - ring_begins[receptor]
            begins[place], ends[place] = begin, end
            shifts[place], stops[place], sizes[place] = shift, stop, size
            k += 1
        return k

    @device
    def add_rows(
        counts: Any, targets: Any, table_weights: Any, ring: Any, begins: Any, ends: Any,
        shifts: Any, stops: Any, sizes: Any,
    ) -> None:  # fmt: skip
        """Add the listed synapses to the ring: a row for each warp, two of a lane at a time."""
        j, n = cuda.threadIdx.x >> 5, min(counts[N_TAKEN], TAKEN_TOGETHER)
        while j < n:
            shift, stop, size = shifts[j], stops[j], sizes[j]
            s, end = index_of(begins[j] + index_of(cuda.threadIdx.x & 31)), ends[j]
            while s < end:
                into = I32(I32(streamed(targets, s)) + shift)
                weight, after = streamed(table_weights, s), index_of(s + index_of(32))
                if after < end:
                    other = I32(I32(streamed(targets, after)) + shift)
                    other_weight = streamed(table_weights, after)
                    other = I32(other - (size if other >= stop else I32(0)))
                    cuda.atomic.add(ring, U32(other), other_weight)
                into = I32(into - (size if into >= stop else I32(0)))
                cuda.atomic.add(ring, U32(into), weight)
                s = index_of(s + index_of(64))
            j += cuda.blockDim.x >> 5

    @device
    def publish(
        step: Any, n_local: Any, capacity: Any, slot: Any, counts: Any, messages: Any
    ) -> None:
        """Tell how many messages there are, and the first."""
        number = U64(counts[N_TOLD])
        if counts[N_LOGGED] + 2 * n_local > capacity:
            number |= U64(STOP)
        word = (U64(step & 0xFFFF) << U64(48)) | (number << U64(32))
        messages[slot] = word | U64(counts[FIRST_ROW])
        counts[N_TOLD] = 0

    @device
    def neurons(
        relative: Any, step: Any, part: Any, n_local: Any, first: Any, first_constant: Any,
        slot: Any, n_cells: Any, groups: Any, group_keys: Any, group_of: Any, inputs: Any,
        times: Any, keys: Any, weights: Any, limits: Any, per_table: Any, exact: Any, half: Any,
        draws: Any, page: Any, left: Any, drive: Any, constants: Any, rows: Any, now: Any,
        ring: Any, units: Any, counts: Any, messages: Any, log: Any, waves: Any, wave_begins: Any,
        wave_sources: Any,
    ) -> None:  # fmt: skip
        """Advance the part's neurons, and say which fired."""
        own = I32(cuda.threadIdx.x)
        while own < n_local:
            g = group_of[U32(first + own)]
            if g >= 0:
                at = U64(N_GROUP) * U64(g)
                i = I32(own - groups[at + U64(NEURON)])
                comes_first = late and groups[at + U64(LATE)] != 0
                if comes_first:
                    add_poisson(
                        g, i, own, n_local, step, relative, groups, inputs, times, keys, weights,
                        half, draws, limits, per_table, exact, page,
                    )  # fmt: skip
                    add_arrivals(own, n_local, now, ring, units, page)
                if has_waves:
                    current = real(0)
                    for k in range(wave_begins[first + own], wave_begins[first + own + 1]):
                        current += real(waves[wave_sources[k], relative])
                    drive[first + own] = current
                constant, columns = I32(first_constant + groups[at + U64(CONSTANT)]), 1
                if not equal and groups[at + U64(COLUMNS)] > 1:
                    constant, columns = I32(constant + i), groups[at + U64(COLUMNS)]
                fired = advance(
                    groups[at + U64(MODEL)], page, groups[at + U64(NEURON)], n_local,
                    groups[at + U64(STATE)], groups[at + U64(SIZE)], left, drive, first + own,
                    constants, U64(constant), U64(columns), i, groups[at + U64(INDEX)], step,
                    group_keys[g, 0], group_keys[g, 1],
                )  # fmt: skip
                if not comes_first:
                    add_poisson(
                        g, i, own, n_local, step, relative, groups, inputs, times, keys, weights,
                        half, draws, limits, per_table, exact, page,
                    )  # fmt: skip
                    if late:
                        add_arrivals(own, n_local, now, ring, units, page)
                if fired:
                    cell = groups[at + U64(CELL)] + i
                    place = cuda.atomic.add(counts, N_LOGGED, 1)
                    log[part, place] = (U64(relative) << U64(32)) | U64(cell)
                    tell(cell, n_cells, rows, slot, step, counts, messages)
            own = I32(own + cuda.blockDim.x)

    def run(
        start: Any, n_steps: Any, turn: Any, done: Any, parts: Any, groups: Any, group_keys: Any,
        group_of: Any, inputs: Any, times: Any, keys: Any, weights: Any, limits: Any,
        per_table: Any, exact: Any, tasks: Any, all_page: Any, left: Any, drive: Any,
        constants: Any, rows: Any, offsets: Any, targets: Any, table_weights: Any,
        ring_table: Any, n_ring: Any, stride: Any, units: Any,
        all_ring: Any, n_draws: Any, all_draws: Any, n_messages: Any, messages: Any, log: Any,
        n_spikes: Any, spikes: Any, waves: Any, wave_begins: Any, wave_sources: Any, due_ends: Any,
        due_cells: Any, probes: Any, probe_places: Any, samples: Any, all_cycles: Any,
    ) -> None:  # fmt: skip
        part, thread, n_threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
        n_parts, n_cells = parts.shape[0] - 1, rows.size // receptors
        counts = cuda.shared.array(N_COUNTS, np.int32)
        begins = cuda.shared.array(TAKEN_TOGETHER, index_type)
        ends = cuda.shared.array(TAKEN_TOGETHER, index_type)
        shifts = cuda.shared.array(TAKEN_TOGETHER, np.int32)
        stops = cuda.shared.array(TAKEN_TOGETHER, np.int32)
        sizes = cuda.shared.array(TAKEN_TOGETHER, np.int32)
        shared_sums = cuda.shared.array(0, sum_type)
        shared_reals = cuda.shared.array(0, real_type)
        shared_words = cuda.shared.array(0, types.uint64)
        if done[turn] != start:  # the slice before has stopped early
            if part == 0 and thread == 0:
                done[1 - turn] = done[turn]
            return
        n_local, first = I32(parts[part, N_NEURONS]), I32(parts[part, NEURONS])
        page_begin, n_page = parts[part, PAGE], parts[part + 1, PAGE] - parts[part, PAGE]
        first_constant, half = I32(parts[part, CONSTANTS]), I32(n_draws >> 1)
        first_task, last_task = parts[part, TASKS], parts[part + 1, TASKS]
        ring = all_ring[part * n_ring : (part + 1) * n_ring]
        if shared_ring:
            ring = shared_sums[at_ring : at_ring + n_ring]
            for i in range(thread, n_ring, n_threads):
                ring[i] = all_ring[part * n_ring + i]
        page = all_page[page_begin : page_begin + n_page]
        if shared_page:
            page = shared_reals[at_page : at_page + n_page]
            for i in range(thread, n_page, n_threads):
                page[i] = all_page[page_begin + i]
        draws = all_draws[part * n_draws : (part + 1) * n_draws]
        if shared_draws:
            draws = shared_words[at_draws : at_draws + n_draws]
        if thread < N_COUNTS:
            counts[thread] = 0
        now, before = cuda.local.array(receptors, np.int32), cuda.local.array(receptors, np.int32)
        ring_begins = cuda.local.array(receptors, np.int32)
        ring_ends = cuda.local.array(receptors, np.int32)
        first_rows = cuda.local.array(receptors, np.int64)
        for receptor in range(receptors):
            begin, end = ring_table[receptor, R_BEGIN], ring_table[receptor, R_END]
            now[receptor] = begin + start % ((end - begin) // stride) * stride
            ring_begins[receptor], ring_ends[receptor] = begin, end
            first_rows[receptor] = ring_table[receptor, R_ROW]
        helpers = (n_parts + 31) // 32 * 32  # threads that take messages, and draw last
        if not late:
            draw(start + 1, helpers, first_task, last_task, tasks, times, keys, half, draws)
        cycles = cuda.local.array(N_CYCLES, np.int64)
        for i in range(N_PHASES):
            cycles[i] = 0
        cuda.syncthreads()
        if timed:
            cycles[N_PHASES] = clock()

        relative, stopped, capacity = 0, False, log.shape[1]
        told_by = n_threads - 1 - thread  # part whose messages this thread takes
        while relative < n_steps and not stopped:
            step, sent = start + relative + 1, start + relative
            for receptor in range(receptors):
                before[receptor] = now[receptor]
                after = I32(now[receptor] + stride)
                now[receptor] = after if after < ring_ends[receptor] else ring_begins[receptor]
            slot = ((step & (SLOTS - 1)) * n_parts + part) * n_messages
            if not late:
                neurons(
                    I32(relative), step, part, n_local, first, first_constant, slot, n_cells,
                    groups, group_keys, group_of, inputs, times, keys, weights, limits, per_table,
                    exact, half, draws, page, left, drive, constants, rows, now, ring, units,
                    counts, messages, log, waves, wave_begins, wave_sources,
                )  # fmt: skip
            if has_due:
                due = due_ends[relative] + part + n_parts * thread
                while due < due_ends[relative + 1]:
                    tell(I64(due_cells[due]), n_cells, rows, slot, step, counts, messages)
                    due += n_parts * n_threads
            word: Any = U64(0)
            n: Any = 0
            k: Any = 0
            told = ((sent & (SLOTS - 1)) * n_parts + told_by) * n_messages
            if told_by < n_parts:
                stamp = U64(sent & 0xFFFF)
                word = look(messages, told)
                while word >> U64(48) != stamp:
                    word = look(messages, told)
                n = I64((word >> U64(32)) & U64(MOST_MESSAGES))
                if (word >> U64(32)) & U64(STOP) and relative > 0:
                    counts[STOPPED] = 1
                k = list_rows(
                    word, k, n, told, sent, part, n_parts, messages, counts, offsets, targets,
                    table_weights, first_rows, before, ring_begins, ring_ends, begins, ends,
                    shifts, stops, sizes,
                )  # fmt: skip
            draw(
                step + drawn_after, helpers, first_task, last_task, tasks, times, keys, half, draws
            )
            mark(cycles, 0)
            more = cuda.syncthreads_or(1 if k < n else 0) != 0
            mark(cycles, 1)
            if not late and thread == 0:
                publish(step, n_local, capacity, slot, counts, messages)
            add_rows(counts, targets, table_weights, ring, begins, ends, shifts, stops, sizes)
            while more:
                cuda.syncthreads()
                if thread == 0:
                    counts[N_TAKEN] = 0
                cuda.syncthreads()
                if told_by < n_parts:
                    k = list_rows(
                        word, k, n, told, sent, part, n_parts, messages, counts, offsets, targets,
                        table_weights, first_rows, before, ring_begins, ring_ends, begins, ends,
                        shifts, stops, sizes,
                    )  # fmt: skip
                more = cuda.syncthreads_or(1 if k < n else 0) != 0
                add_rows(
                    counts, targets, table_weights, ring, begins, ends, shifts, stops, sizes
                )  # fmt: skip
            mark(cycles, 2)
            cuda.syncthreads()
            mark(cycles, 3)
            if thread == 0:
                counts[N_TAKEN] = 0
            if late:
                neurons(
                    I32(relative), step, part, n_local, first, first_constant, slot, n_cells,
                    groups, group_keys, group_of, inputs, times, keys, weights, limits, per_table,
                    exact, half, draws, page, left, drive, constants, rows, now, ring, units,
                    counts, messages, log, waves, wave_begins, wave_sources,
                )  # fmt: skip
                cuda.syncthreads()
                if thread == 0:
                    publish(step, n_local, capacity, slot, counts, messages)
            else:
                own = I32(thread)
                while own < n_local:
                    add_arrivals(own, n_local, now, ring, units, page)
                    own = I32(own + n_threads)
            mark(cycles, 4)
            if has_probes:
                cuda.syncthreads()
                for p in range(probes.shape[1]):
                    interval, phase = probes[part, p, P_INTERVAL], probes[part, p, P_PHASE]
                    if (step - phase) % interval == 0:
                        begin, end = probes[part, p, P_BEGIN], probes[part, p, P_END]
                        number = (step - phase) // interval - (start - phase) // interval - 1
                        at = probes[part, p, P_SAMPLE] + number * (end - begin)
                        for i in range(begin + thread, end, n_threads):
                            samples[at + i - begin] = page[probe_places[i]]
                cuda.syncthreads()
            stopped = counts[STOPPED] != 0
            relative += 1

        cuda.syncthreads()
        if shared_ring:
            for i in range(thread, n_ring, n_threads):
                all_ring[part * n_ring + i] = ring[i]
        for i in range(thread, n_page, n_threads):
            value = page[i]
            if shared_page:
                all_page[page_begin + i] = value
            if not math.isfinite(value):
                done[2] = 1
        if thread == 0:
            if timed:
                for i in range(N_PHASES):
                    all_cycles[part, i] += cycles[i]
            counts[FIRST_SPIKE] = cuda.atomic.add(n_spikes, 0, counts[N_LOGGED])
            if part == 0:
                done[1 - turn] = start + relative
        cuda.syncthreads()
        for i in range(thread, counts[N_LOGGED], n_threads):
            spikes[counts[FIRST_SPIKE] + i] = log[part, i]

    return cuda.jit(run) if SIMULATED else cuda.jit(run, launch_bounds=N_THREADS)


def allow_shared(compiled: Any, n_bytes: int) -> None:
    """Let a kernel that was made for its arguments have more shared memory than 48 kB."""
    from cuda.bindings.driver import CUfunction_attribute
    from numba.cuda.cudadrv.driver import driver

    (overload,) = compiled.overloads.values()
    function = overload._codelibrary.get_cufunc()
    attribute = CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.cuKernelSetAttribute(attribute, n_bytes, function.handle, function.device.id)

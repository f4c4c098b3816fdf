"""How the threads of an engine share its work: who is free takes a part that waits.

The neurons are in as many parts as there are threads, and a task is a step of one part. It may
begin when all parts have written down their spikes of the step before. A thread takes the tasks of
its own part, whose data its cache holds, and another's where that one's thread does not come: its
core is busy with another program. Who finds nothing to do looks for a while, then sleeps until
something changes: so a core that is not needed is left to a thread that was pushed off its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from ._llvm import ARM, X86, allocated, compiled, declared, element, intrinsic

CACHE_LINE = 8  # int64 numbers; what different threads write is as far apart
TAKEN, WRITTEN, DONE = range(3)  # tasks of a part that were begun, have written their spikes, ended
PATIENCE = 3  # how often a thread looks before it sleeps: the less, the less it has helped
LEAST, MOST = 16, 4096  # some 0.5 us and 0.1 ms
SHARED, SINCE, SEEN = 4, 5, 6  # ns: until when cores count as shared; on its core since; last look
FOREIGN = 128  # looks before it takes another's part
SLEEPERS = 1  # in the last line: how many sleep; its first number changes when they are woken
NOTHING, NEVER = -1, -2  # to do now; to do any more
ABSENT = -1  # in `TAKEN`: the part's own thread has not come yet

FUTEX = (202 if X86 else 98) if sys.platform == "linux" and (X86 or ARM) else 0
WAIT, WAKE = 128, 129  # of this process's threads only
TURN, PAUSE = 3_500_000, 1_000_000  # ns: less than a scheduler's tick of 4 ms; and than its slice
WARY = 100_000_000  # ns that cores count as shared after a sleep
WORD = ir.IntType(64)


@intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    """What another thread wrote, and all that it wrote before."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, types.intp), code


@intrinsic
def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write for the other threads, before this one reads anything else."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        builder.atomic_rmw("xchg", pointer, arguments[2], "seq_cst")
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


@intrinsic
def _pause(typingctx: Any) -> Any:
    """Tell the core that nothing is done here but looking."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(declared(builder.module, kind, "llvm.x86.sse2.pause"), [])
        elif ARM:
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            function = declared(builder.module, kind, "llvm.aarch64.hint")
            builder.call(function, [ir.Constant(ir.IntType(32), 1)])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def _futex(typingctx: Any, array: Any, index: Any, operation: Any, value: Any) -> Any:
    """Linux's call to sleep while a number is `value`, or to wake who does; else, give way."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if FUTEX:
            pointer = element(context, builder, signature, arguments)
            kind = ir.FunctionType(WORD, [WORD], var_arg=True)
            call = [ir.Constant(WORD, FUTEX), builder.ptrtoint(pointer, WORD), *arguments[2:]]
            builder.call(
                declared(builder.module, kind, "syscall"), call + 3 * [ir.Constant(WORD, 0)]
            )
        else:
            _yield(builder)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64, types.int64), code


@intrinsic
def _now(typingctx: Any) -> Any:
    """Time in ns, of the clock that does not jump."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = allocated(builder, ir.ArrayType(WORD, 2))
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), place.type])
        clock = ir.Constant(ir.IntType(32), time.CLOCK_MONOTONIC)
        builder.call(declared(builder.module, kind, "clock_gettime"), [clock, place])
        seconds, ns = (builder.extract_value(builder.load(place), k) for k in (0, 1))
        return builder.add(builder.mul(seconds, ir.Constant(WORD, 10**9)), ns)

    return types.int64(), code


@intrinsic
def _give_way(typingctx: Any) -> Any:
    """Let another program have the core, if one waits for it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _yield(builder)
        return context.get_dummy_value()

    return types.void(), code


def _yield(builder: Any) -> None:
    kind = ir.FunctionType(ir.IntType(32), [])
    builder.call(declared(builder.module, kind, "sched_yield"), [])


@intrinsic
def _exchange(typingctx: Any, array: Any, index: Any, seen: Any, value: Any) -> Any:
    """Write `value` where `seen` stands; whether it stood there."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        both = builder.cmpxchg(pointer, arguments[2], arguments[3], "seq_cst", "seq_cst")
        return builder.extract_value(both, 1)

    return types.boolean(array, types.intp, types.int64, types.int64), code


@intrinsic
def _add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


def turns(n_parts: int) -> NDArray[np.int64]:
    """How far the parts are, before the first task; a line each, and one of the sleepers."""
    lines = np.zeros((n_parts + 1, CACHE_LINE), np.int64)
    lines[:, PATIENCE] = MOST
    lines[:n_parts, TAKEN] = ABSENT
    return lines.ravel()


def n_done(lines: NDArray[np.int64]) -> int:
    """Tasks that all parts have ended."""
    return int(lines.reshape(-1, CACHE_LINE)[:-1, DONE].min())


@compiled
def tell(lines: Any, part: int, what: int, n_tasks: int) -> None:
    """Say that a part has come so far, and wake who sleeps."""
    _store(lines, part * CACHE_LINE + what, n_tasks)
    bell = lines.size - CACHE_LINE
    if _load(lines, bell + SLEEPERS):
        _add(lines, bell, 1)
        _futex(lines, bell, WAKE, 1 << 30)


@compiled
def _look(lines: Any, thread: int, n_tasks: int, foreign: bool) -> int:
    """Take a part whose next task may begin, the thread's own if possible.

    A thread stays until its own part is at the end: another may be using what it lent.
    """
    n_parts = lines.size // CACHE_LINE - 1
    written = n_tasks
    for part in range(n_parts):
        written = min(written, _load(lines, part * CACHE_LINE + WRITTEN))
    waits = _load(lines, thread * CACHE_LINE + DONE) < n_tasks
    for k in range(n_parts):
        part = (thread + k) % n_parts
        at = part * CACHE_LINE
        taken = _load(lines, at + TAKEN)
        waits = waits or taken < n_tasks
        ready = 0 <= taken < n_tasks and taken <= written and taken == _load(lines, at + DONE)
        if ready and (k == 0 or foreign) and _exchange(lines, at + TAKEN, taken, taken + 1):
            return int(part)
    return NOTHING if waits else NEVER


@compiled
def _share(lines: Any, thread: int) -> None:
    """Give way between two tasks, before the thread is pushed off its core in the midst of one."""
    at = thread * CACHE_LINE
    now = _now()
    if now - lines[at + SEEN] > PAUSE:  # it was off its core
        lines[at + SINCE] = now
    if now - lines[at + SINCE] > TURN:
        _give_way()
        now = _now()
        lines[at + SINCE] = now
    lines[at + SEEN] = now
    if now > lines[at + SHARED]:
        lines[at + SHARED] = 0


@compiled
def next_part(lines: Any, thread: int, n_tasks: int) -> int:
    """Wait for a task, and take it; a negative number after the last one.

    Parameters
    ----------
    lines : array of int64
        From `turns`.
    thread : int
        Which is also the number of its own part.
    n_tasks : int
        Of each part.
    """
    own, bell = thread * CACHE_LINE + PATIENCE, lines.size - CACHE_LINE
    alone = lines[thread * CACHE_LINE + SHARED] == 0
    if not alone:
        _share(lines, thread)
    patience, looks = lines[own], 0
    part = _look(lines, thread, n_tasks, not alone)
    while part == NOTHING and looks < patience:
        looks += 1
        _pause()
        part = _look(lines, thread, n_tasks, not alone or looks > FOREIGN)
    if part != NOTHING:
        lines[own] = min(2 * patience + LEAST, MOST)
        return part
    lines[own] = patience // 4
    _add(lines, bell + SLEEPERS, 1)
    while part == NOTHING:
        seen = _load(lines, bell)
        part = _look(lines, thread, n_tasks, True)
        if part == NOTHING:
            _futex(lines, bell, WAIT, seen & 0xFFFFFFFF)
    _add(lines, bell + SLEEPERS, -1)
    until = _now() + WARY
    for other in range(lines.size // CACHE_LINE - 1):
        lines[other * CACHE_LINE + SHARED] = until
    return part

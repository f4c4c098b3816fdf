"""How the threads of an engine wait for each other, once in every step.

Each thread counts its own arrivals, a cache line apart: no two write the same one. Who waits looks
for a while, which costs nothing where all cores are free, then sleeps until it is woken: so a core
that is not needed is left to a thread that was pushed off its own.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba import njit, types

from ._llvm import ARM, X86, declared, element, intrinsic

CACHE_LINE = 8  # int64 numbers
SLEEPERS = 1  # place in a thread's line: whether others sleep until it arrives
PATIENCE = 4000  # looks before sleeping: some 0.1 ms, the cost of two sleeps

FUTEX = (202 if X86 else 98) if sys.platform == "linux" and (X86 or ARM) else 0
WAIT, WAKE = 128, 129  # of this process's threads only
WORD, BYTE = ir.IntType(64), ir.IntType(8)


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
            zero = ir.Constant(WORD, 0)
            builder.call(
                declared(builder.module, kind, "syscall"),
                [
                    ir.Constant(WORD, FUTEX),
                    builder.ptrtoint(pointer, WORD),
                    *arguments[2:],
                    *(zero, zero, zero),
                ],
            )
        else:
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(declared(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64, types.int64), code


@njit(cache=True, nogil=True)
def arrive(counters: Any, thread: int) -> None:
    """Tell the other threads that this one has come so far."""
    at = thread * CACHE_LINE
    _store(counters, at, counters[at] + 1)
    if _load(counters, at + SLEEPERS):
        _store(counters, at + SLEEPERS, 0)
        _futex(counters, at, WAKE, 1 << 30)


@njit(cache=True, nogil=True)
def await_others(counters: Any, thread: int, n_threads: int) -> None:
    """Wait until all threads have come as far as this one."""
    aim = counters[thread * CACHE_LINE]
    for other in range(n_threads):
        at = other * CACHE_LINE
        looks = 0
        while _load(counters, at) < aim:
            looks += 1
            _pause()
            if looks > PATIENCE:
                _store(counters, at + SLEEPERS, 1)
                seen = _load(counters, at)
                if seen < aim:
                    _futex(counters, at, WAIT, seen & 0xFFFFFFFF)


@njit(cache=True, nogil=True)
def meet(counters: Any, thread: int, n_threads: int) -> None:
    """Wait until all threads have come here."""
    arrive(counters, thread)
    await_others(counters, thread, n_threads)

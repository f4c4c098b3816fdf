"""What numba has no name for: wide multiplication, prefetch, memory order between threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils

from . import _cache  # noqa: F401  # before the first function is compiled

_get_or_insert: Any = cgutils.get_or_insert_function  # numba leaves it untyped


def intrinsic(code: Callable[..., Any]) -> Any:
    """Numba's `intrinsic`; what it makes is called without the typing context, so it is Any."""
    return extending.intrinsic(code)


@intrinsic
def mul_high(typingctx: Any, a: Any, b: Any) -> Any:
    """Upper 64 bits of the product of two uint64."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        x, y = (builder.zext(argument, wide) for argument in arguments)
        product = builder.lshr(builder.mul(x, y), ir.Constant(wide, 64))
        return builder.trunc(product, ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), code


def _element(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Pointer to an element of a one-dimensional array."""
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature, arguments)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = _get_or_insert(builder.module, kind, "llvm.prefetch.p0")
        # read, keep in all levels, data
        hints = [ir.Constant(number, value) for value in (0, 3, 1)]
        builder.call(function, [builder.bitcast(pointer, byte), *hints])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@intrinsic
def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


@intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(array, types.intp), code


@intrinsic
def _give_way(typingctx: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        function = _get_or_insert(builder.module, kind, "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def bits_of(typingctx: Any, number: Any) -> Any:
    """The 32 bits of a float32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), code


@intrinsic
def float_of(typingctx: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), code


CACHE_LINE = 8  # int64 numbers
PATIENCE = 2000  # looks at another thread's counter before giving way to whoever wants the core


@njit(cache=True, nogil=True)
def arrive(counters: Any, thread: int) -> None:
    """Tell the other threads that this one has come so far.

    Each thread counts its own arrivals, a cache line apart: no two write the same one.
    """
    _store(counters, thread * CACHE_LINE, counters[thread * CACHE_LINE] + 1)


@njit(cache=True, nogil=True)
def await_others(counters: Any, thread: int, n_threads: int) -> None:
    """Wait until all threads have come as far as this one."""
    mine = counters[thread * CACHE_LINE]
    for other in range(n_threads):
        looks = 0
        while _load(counters, other * CACHE_LINE) < mine:
            looks += 1
            if looks > PATIENCE:
                _give_way()


@njit(cache=True, nogil=True)
def meet(counters: Any, thread: int, n_threads: int) -> None:
    """Wait until all threads have come here."""
    arrive(counters, thread)
    await_others(counters, thread, n_threads)

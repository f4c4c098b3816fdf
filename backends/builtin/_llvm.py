"""What numba has no name for: prefetch, numbers as bits, and denormal numbers."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils

from . import _cache  # noqa: F401  # before the first function is compiled

declared: Any = cgutils.get_or_insert_function  # numba leaves both untyped
allocated: Any = cgutils.alloca_once


_njit: Any = njit  # whose types do not know `_nrt`
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(code: Function) -> Function:
    """Numba's `njit` for the time loop: nothing counts how many use an array.

    Numba counts by atomic operations, for each slice and each array of a tuple, which took half of
    a step of a small network. So who calls holds all arrays; a function makes none, and returns
    none to Python.
    """
    made: Function = _njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(code)
    return made


def inlined(code: Function) -> Function:
    """The same for what LLVM puts in place of its calls, so that a loop stays one of vectors.

    Numba's own inlining would type and lower each copy anew, which took half of the time.
    """
    made: Function = _njit(nogil=True, error_model="numpy", _nrt=False, forceinline=True)(code)
    return made


def counted(code: Function) -> Function:
    """The same for what makes arrays or lists of its own."""
    made: Function = _njit(cache=True, nogil=True, error_model="numpy", _nrt=True)(code)
    return made


def intrinsic(code: Callable[..., Any]) -> Any:
    """Numba's `intrinsic`; what it makes is called without the typing context, so it is Any."""
    return extending.intrinsic(code)


@intrinsic
def wide(typingctx: Any) -> Any:
    """Let the function that says this use all bits of a vector; it is not put in place of calls.

    LLVM takes 256 of 512 bits on Intel's processors, since the clock of the first ones with AVX-512
    slowed down for more.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if X86:
            attributes = builder.function.attributes
            set.add(attributes, '"prefer-vector-width"="512"')  # its own `add` knows no values
            attributes.add("noinline")  # else the width would be the caller's
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def from_bits(typingctx: Any, x: Any) -> Any:
    """The float64 that a uint64 is in memory."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), code


def element(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Pointer to an element of a one-dimensional array."""
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = declared(builder.module, kind, "llvm.prefetch.p0")
        # read, keep in all levels, data
        hints = [ir.Constant(number, value) for value in (0, 3, 1)]
        builder.call(function, [builder.bitcast(pointer, byte), *hints])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@intrinsic
def word(typingctx: Any, array: Any, index: Any) -> Any:
    """The 64 bits from ``array[index]`` on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature, arguments)
        wide = ir.IntType(64)
        return builder.load(builder.bitcast(pointer, wide.as_pointer()), align=1)

    return types.uint64(array, types.intp), code


@intrinsic
def signs(typingctx: Any, number: Any) -> Any:
    """The bits of a float32 or float64 as an integer as wide, negative where the number is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(number.bitwidth))

    return (types.int32 if number.bitwidth == 32 else types.int64)(number), code


@intrinsic
def common(typingctx: Any, a: Any, b: Any) -> Any:
    """The bits that are set in two integers; Python's operator makes 64 of 32 bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(*arguments)

    return a(a, b), code


@intrinsic
def call(typingctx: Any, address: Any, arguments: Any) -> Any:
    """Call a C function that returns an int64.

    `arguments` are a tuple: an array stands for the address of its first number.
    """

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        passed = []
        for number, kind in enumerate(arguments):
            value = builder.extract_value(values[1], number)
            if isinstance(kind, types.Array):
                value = context.make_array(kind)(context, builder, value).data
            elif isinstance(kind, types.Integer):
                value = context.cast(builder, value, kind, types.int64)
            passed.append(value)
        function = ir.FunctionType(ir.IntType(64), [value.type for value in passed])
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), passed)

    return types.int64(types.int64, arguments), code


PLACE = 8192  # bytes, more than the arrays of a tuple take (not their elements)


@intrinsic
def lend(typingctx: Any, places: Any, number: Any, value: Any) -> Any:
    """Let other threads use a tuple of arrays, while the lender's caller holds them."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(value)
        assert context.get_abi_sizeof(kind) <= PLACE
        pointer = _place(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(pointer, kind.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(places, types.intp, value), code


@intrinsic
def borrowed(typingctx: Any, places: Any, number: Any, like: Any) -> Any:
    """What another thread lent, a tuple of the same type as `like`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _place(context, builder, signature, arguments)
        kind = context.get_value_type(like)
        return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1)

    return like(places, types.intp, like), code


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    number = builder.mul(arguments[1], ir.Constant(arguments[1].type, PLACE))
    return element(context, builder, signature, [arguments[0], number])


X86, ARM = platform.machine() in ("x86_64", "AMD64"), platform.machine() in ("aarch64", "arm64")
TO_ZERO = 0x8040 if X86 else 1 << 24  # results and operands that are denormal


@intrinsic
def _float_control(typingctx: Any) -> Any:
    """The register that says how floating-point numbers are treated."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(64)
        if X86:
            place = allocated(builder, ir.IntType(32))
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [pointer.type])
            function = declared(builder.module, kind, "llvm.x86.sse.stmxcsr")
            builder.call(function, [pointer])
            return builder.zext(builder.load(place), wide)
        if ARM:
            kind = ir.FunctionType(wide, [])
            return builder.call(declared(builder.module, kind, "llvm.aarch64.get.fpcr"), [])
        return ir.Constant(wide, 0)

    return types.int64(), code


@intrinsic
def set_float_control(typingctx: Any, value: Any) -> Any:
    """Give the thread the treatment back that `denormals_to_zero` returned."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if X86:
            place = allocated(builder, ir.IntType(32))
            builder.store(builder.trunc(arguments[0], ir.IntType(32)), place)
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [pointer.type])
            function = declared(builder.module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(function, [pointer])
        elif ARM:
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
            function = declared(builder.module, kind, "llvm.aarch64.set.fpcr")
            builder.call(function, [arguments[0]])
        return context.get_dummy_value()

    return types.void(types.int64), code


@intrinsic
def bits_of(typingctx: Any, number: Any) -> Any:
    """The 32 bits of a float32."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), code


@intrinsic
def bits_of_double(typingctx: Any, number: Any) -> Any:
    """The 64 bits of a float64."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), code


@intrinsic
def float_of(typingctx: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), code


@compiled
def denormals_to_zero() -> int:
    """Let this thread take denormal numbers, which are slow, as zero; what it did before."""
    before = _float_control()
    set_float_control(before | TO_ZERO)
    return int(before)

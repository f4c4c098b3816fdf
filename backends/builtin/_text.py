"""Expressions as they are written in the Python that numba compiles.

Names of a model have a letter and a line before them: ``m_v`` is the variable v, ``r_v`` its row of
memory; ``t1`` and ``c1`` are temporaries and constants.
"""

from __future__ import annotations

from collections.abc import Iterable

from portable_cortex.neurons.expressions import (
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
)
from portable_cortex.neurons.lowering import CONSTANT, N_DONE, TEMPORARY

RUNNING = Name("__running")  # whether the refractory time is


def code(expression: Expression) -> str:
    """An expression in the Python that numba takes; both sides of conditions are computed."""
    match expression:
        case Number(value):
            return repr(float(value))
        case Name(name) if name == N_DONE:
            return "now"
        case Name(name):
            return local(name)
        case Call("random_uniform" | "random_normal" as function, (first, second, Number(number))):
            draw = f"{function[7:]}(index + i, now, {int(number)}, key0, key1)"
            return f"({code(first)} + {code(second)} * {draw})"
        case Call("max" | "min" | "abs" | "exp" | "near_exp2" as function, arguments):
            return f"{function}({', '.join(map(code, arguments))})"
        case Call("floor" | "ceil" | "trunc" as function, (argument,)):
            return f"np.{function}({code(argument)})"  # math's make integers, which overflow
        case Call("round", (argument,)):
            return f"nearest({code(argument)})"
        case Call(function, arguments):
            return f"math.{function}({', '.join(map(code, arguments))})"
        case Unary("-", operand):
            return f"(-{code(operand)})"
        case Unary(_, operand):
            return f"(not {code(operand)})"
        case Binary("and" | "or" as operator, left, right):
            return f"({truth(left)} {'&' if operator == 'and' else '|'} {truth(right)})"
        case Binary("**", left, Number(value)) if float(value).is_integer() and 1 < value < 5:
            return "(" + " * ".join([code(left)] * int(value)) + ")"
        case Binary("%", left, right):
            return f"np.fmod({code(left)}, {code(right)})"
        case Binary(operator, left, right):
            return f"({code(left)} {operator} {code(right)})"
        case Choice(condition, yes, no):
            return f"({code(yes)} if {code(condition)} else {code(no)})"


def truth(expression: Expression) -> str:
    """A condition as a truth value: variables of that type are numbers in memory."""
    match expression:
        case Name(name) if name != RUNNING.name:
            return f"({code(expression)} != 0)"
        case Number() | Choice():
            return f"({code(expression)} != 0)"
    return code(expression)


def local(name: str) -> str:
    """A name of a model as it is written."""
    if name.startswith((TEMPORARY, CONSTANT)) or name == RUNNING.name:
        return name[2:]
    return f"m_{name}"


def block(lines: Iterable[str], depth: int) -> str:
    """Lines, so many levels deep."""
    return "\n".join("    " * depth + line for line in lines)


def rows(constants: Iterable[str]) -> list[str]:
    """Constants of neurons that differ."""
    return [f"a_{name} = c[{name[1:]}]" for name in constants]


def firsts(constants: Iterable[str]) -> list[str]:
    """Constants of equal neurons."""
    return [f"{name} = c[{name[1:]}, 0]" for name in constants]


def numbered(found: Iterable[str]) -> list[str]:
    """Constants in the order of their numbers, as they are written."""
    return [f"c{k}" for k in sorted({int(n[len(CONSTANT) :]) for n in found})]


def sign(condition: Expression, one: str) -> str:
    """A number that is negative where a condition does not hold."""
    match condition:
        case Binary(">=" | ">", left, right):
            return f"{code(left)} - {code(right)}"
        case Binary("<=" | "<", left, right):
            return f"{code(right)} - {code(left)}"
    return f"{one} if {code(condition)} else -{one}"

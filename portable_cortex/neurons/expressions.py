"""Expressions of a neuron model: small trees, equal where they are written alike.

Numbers are exact: ``0.1`` of a model file is a tenth, and factors of units are powers of ten, so
that products of them fold without rounding. Backends write an expression in their own language by a
walk over the tree; `text` writes Python.
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Number:
    """An exact number, or infinity."""

    value: Fraction | float

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Name:
    """A parameter, a variable, an input."""

    name: str

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Call:
    """A function of numbers: see `FUNCTIONS`. `round` takes halves away from 0."""

    function: str
    arguments: tuple[Expression, ...]

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Unary:
    """``-`` or ``not``."""

    operator: str
    operand: Expression

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Binary:
    """Of `PRECEDENCE`'s operators one with two sides; the rest, ``%``, has the sign of the left."""

    operator: str
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True)
class Choice:
    """One of two values."""

    condition: Expression
    yes: Expression
    no: Expression

    def __str__(self) -> str:
        return text(self)


Expression: TypeAlias = Number | Name | Call | Unary | Binary | Choice

ZERO, ONE = Number(Fraction(0)), Number(Fraction(1))
FUNCTIONS = (
    "exp", "expm1", "log", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc",
    "abs", "ceil", "floor", "round", "trunc", "min", "max", "sqrt",
    "random_uniform", "random_normal",
)  # fmt: skip
RANDOM = ("random_uniform", "random_normal")
PRECEDENCE = {
    "or": 1, "and": 2, "not": 3,
    "<": 4, "<=": 4, "==": 4, "!=": 4, ">=": 4, ">": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6, "negative": 7, "**": 8,
}  # fmt: skip
ATOM, CHOICE = 9, 0


def text(expression: Expression) -> str:
    """An expression in Python, with as few brackets as it needs.

    Python's own words have two underscores behind them where they are names.

    Examples
    --------
    >>> text(parsed("-(a + b) * exp(-t/tau)**2 if a > 0.5 else b"))
    '-(a + b) * exp(-t / tau) ** 2 if a > 0.5 else b'
    """
    return _written(expression)[0]


def _written(expression: Expression) -> tuple[str, int]:
    """Text, and how strongly it holds together."""
    match expression:
        case Number(value):
            return _number(value)
        case Name(name):
            return f"{name}__" if keyword.iskeyword(name) else name, ATOM
        case Call(function, arguments):
            return f"{function}({', '.join(map(text, arguments))})", ATOM
        case Unary(operator, operand):
            level = PRECEDENCE["negative" if operator == "-" else "not"]
            sign = "-" if operator == "-" else "not "
            return sign + _within(operand, level), level
        case Binary(operator, left, right):
            level = PRECEDENCE[operator]
            right_first = operator == "**"  # and comparisons are not chained
            compares = level == PRECEDENCE["<"]
            return (
                f"{_within(left, level + (right_first or compares))} {operator} "
                f"{_within(right, level + (not right_first))}",
                level,
            )
        case Choice(condition, yes, no):
            said = f"{_within(yes, 1)} if {_within(condition, 1)} else {_within(no, CHOICE)}"
            return said, CHOICE


def _number(value: Fraction | float) -> tuple[str, int]:
    number = float(value)
    said = str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return said, PRECEDENCE["negative"] if number < 0 else ATOM


def _within(expression: Expression, level: int) -> str:
    said, own = _written(expression)
    return said if own >= level else f"({said})"


def parsed(said: str) -> Expression:
    """An expression from Python's syntax, as sympy writes it.

    Raises
    ------
    ValueError
        For what is no expression of numbers.
    """
    return _from_python(ast.parse(said, mode="eval").body)


_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.Pow: "**",
    ast.FloorDiv: "//", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
    ast.NotEq: "!=", ast.And: "and", ast.Or: "or", ast.USub: "-", ast.Not: "not",
}  # fmt: skip


def _from_python(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return Number(Fraction(repr(value)) if isinstance(value, float) else Fraction(value))
        case ast.Name(id="inf"):
            return Number(math.inf)
        case ast.Name(id=name):
            word = name.removesuffix("__")
            return Name(word if keyword.iskeyword(word) else name)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _from_python(operand)
        case ast.UnaryOp(op=operator, operand=operand):
            return Unary(_SYMBOLS[type(operator)], _from_python(operand))
        case ast.BinOp(left=left, op=operator, right=right):
            return Binary(_SYMBOLS[type(operator)], _from_python(left), _from_python(right))
        case ast.BoolOp(op=operator, values=values):
            first, *others = map(_from_python, values)
            for other in others:
                first = Binary(_SYMBOLS[type(operator)], first, other)
            return first
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            return Binary(_SYMBOLS[type(operator)], _from_python(left), _from_python(right))
        case ast.IfExp(test=test, body=yes, orelse=no):
            return Choice(_from_python(test), _from_python(yes), _from_python(no))
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]):
            return Call(function, tuple(map(_from_python, arguments)))
    raise ValueError(f"not an expression of numbers: {ast.unparse(node)}")


def parts(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is directly made of."""
    return tuple(part for part, _ in _parts(expression))


def _parts(expression: Any) -> Iterator[tuple[Expression, str]]:
    for field in fields(expression):
        value = getattr(expression, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Number | Name | Call | Unary | Binary | Choice):
                yield part, field.name


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all that it is made of."""
    yield expression
    for part in parts(expression):
        yield from walk(part)


def names(expression: Expression) -> frozenset[str]:
    """Names that occur in an expression.

    Examples
    --------
    >>> sorted(names(parsed("a * exp(-t / tau)")))
    ['a', 't', 'tau']
    """
    return frozenset(part.name for part in walk(expression) if isinstance(part, Name))


def calls(expression: Expression) -> frozenset[str]:
    """Functions that occur in an expression."""
    return frozenset(part.function for part in walk(expression) if isinstance(part, Call))


def mapped(expression: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """An expression of changed parts: the innermost are changed first."""
    match expression:
        case Call(function, arguments):
            expression = Call(function, tuple(mapped(a, change) for a in arguments))
        case Unary(operator, operand):
            expression = Unary(operator, mapped(operand, change))
        case Binary(operator, left, right):
            expression = Binary(operator, mapped(left, change), mapped(right, change))
        case Choice(condition, yes, no):
            expression = Choice(mapped(condition, change), mapped(yes, change), mapped(no, change))
        case _:
            pass
    return change(expression)


def replaced(expression: Expression, by: Mapping[str, Expression]) -> Expression:
    """An expression with other expressions for some names.

    Examples
    --------
    >>> text(replaced(parsed("a * b"), {"b": parsed("x + y")}))
    'a * (x + y)'
    """
    return mapped(expression, lambda e: by.get(e.name, e) if isinstance(e, Name) else e)


def folded(expression: Expression) -> Expression:
    """The same with the numbers of each product and sum put together, without rounding.

    Examples
    --------
    >>> text(folded(parsed("unit * (0.001 * w) * 1000")))
    'unit * w'
    """
    return mapped(expression, _folded)


def _folded(expression: Expression) -> Expression:
    match expression:
        case Unary("-", Number(value)):
            return Number(-value)
        case Binary("+" | "-" as operator, Number(a), Number(b)):
            return Number(a + b if operator == "+" else a - b)
        case Binary("**", Number(Fraction() as a), Number(Fraction() as b)) if b.denominator == 1:
            return Number(a**b.numerator) if a or b > 0 else expression
        case Binary("*" | "/"):
            return _product(expression)
    return expression


def _product(expression: Expression) -> Expression:
    """Numbers of a product become one factor, at the front; other factors keep their order."""
    number = Fraction(1)
    above: list[Expression] = []
    below: list[Expression] = []
    n_numbers = 0

    def take(part: Expression, inverse: bool) -> None:
        nonlocal number, n_numbers
        match part:
            case Binary("*", left, right):
                take(left, inverse)
                take(right, inverse)
            case Binary("/", left, right):
                take(left, inverse)
                take(right, not inverse)
            case Number(Fraction() as value) if value or not inverse:
                number = number / value if inverse else number * value
                n_numbers += 1
            case _:
                (below if inverse else above).append(part)

    take(expression, False)
    if n_numbers == 0 or (n_numbers == 1 and number != 1):
        return expression
    if number != 1 or not above:
        above.insert(0, Number(number))
    product = _multiplied(above)
    return Binary("/", product, _multiplied(below)) if below else product


def _multiplied(factors: list[Expression]) -> Expression:
    product, *others = factors
    for factor in others:
        product = Binary("*", product, factor)
    return product


def vanishes(value: Expression, still: Set[str] = frozenset()) -> bool:
    """Whether a sum of what moves is zero where all that is."""
    match value:
        case Number(number):
            return number == 0
        case Name(name):
            return name in still
        case Unary("-", operand):
            return vanishes(operand, still)
        case Binary("+" | "-", left, right):
            return vanishes(left, still) and vanishes(right, still)
        case Binary("*", left, right):
            return vanishes(left, still) or vanishes(right, still)
        case Binary("/", left, _):
            return vanishes(left, still)
    return False

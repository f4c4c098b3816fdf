"""Sums as lists of their terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from fractions import Fraction

from ..expressions import ONE, ZERO, Binary, Expression, Number, Unary, folded, names

Term = tuple[str, Expression, Expression]  # sign, constant factor, the rest of it


def terms(value: Expression, constant: Set[str]) -> list[Term]:
    """Terms of a sum; constant factors of sums are multiplied into them."""

    def look(value: Expression, sign: str, factor: Expression) -> Iterator[Term]:
        other = "-" if sign == "+" else "+"
        match value:
            case Unary("-", operand):
                yield from look(operand, other, factor)
            case Binary("+" | "-" as operator, left, right):
                yield from look(left, sign, factor)
                yield from look(right, sign if operator == "+" else other, factor)
            case Binary("*", left, right) if names(left) <= constant:
                yield from look(right, sign, Binary("*", factor, left))
            case Binary("*" | "/" as operator, left, right) if names(right) <= constant:
                yield from look(left, sign, Binary(operator, factor, right))
            case _:
                yield sign, factor, value

    return list(look(value, "+", ONE))


def summed(terms: Sequence[Term]) -> Expression:
    """The sum of terms."""
    value: Expression = ZERO
    for sign, factor, rest in terms:
        term = folded(Binary("*", factor, rest))
        if value == ZERO:
            value = term if sign == "+" else Unary("-", term)
        else:
            value = Binary(sign, value, term)
    return value


def scaled(value: Expression, by: Fraction, constant: Set[str]) -> Expression:
    """A sum times a number: factors and terms that are constant are put together."""
    still: Expression = ZERO
    moving: list[Expression] = []
    for sign, factor, rest in terms(value, constant):
        factor = Binary("*", factor if sign == "+" else Unary("-", factor), Number(by))
        if names(rest) <= constant:
            still = Binary("+", still, Binary("*", factor, rest))
        else:
            moving.append(Binary("*", rest, factor))
    if not moving:
        return still
    total, *others = moving
    for one in others:
        total = Binary("+", total, one)
    return total if still == ZERO else Binary("+", total, still)

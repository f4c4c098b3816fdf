"""Timers for which a number of steps can stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..expressions import (
    ONE,
    ZERO,
    Binary,
    Expression,
    Name,
    Number,
    Unary,
    mapped,
    names,
    vanishes,
)
from ..form import Assign, Branch, Integrate, Neuron, Statement
from .statements import assigned, values_of


@dataclass(frozen=True)
class Refractoriness:
    """A timer that statements only set, and compare with 0: a number of steps can stand for it.

    Attributes
    ----------
    timer : str
    running, over : tuple of Statement
        What ``update`` does while it is above 0, and when it is not; without the timer.
    """

    timer: str
    running: tuple[Statement, ...]
    over: tuple[Statement, ...]


def refractoriness(neuron: Neuron) -> Refractoriness | None:
    """The refractory timer of a model, if it has one that a number of steps can stand for."""
    for timer in sorted(neuron.timers):
        running, over = (_decided(neuron.update, timer, above) for above in (True, False))
        if not _counts(running, timer) or timer in assigned(over):
            continue
        rest = tuple(_without(running, timer))
        others = [e.derivative for e in neuron.equations if e.variable != timer]
        others += [q.value for q in neuron.inlines if q.value is not None]
        others += [compared(value, timer, True) for value in values_of((*rest, *over))]
        for condition, statements in neuron.conditions:
            others.append(compared(condition, timer, True))
            others += [compared(value, timer, True) for value in values_of(statements)]
        for _, statements in neuron.receive:
            others += values_of(statements)
            others += [Name(name) for name in assigned(statements)]
        if not any(timer in names(value) for value in others):
            return Refractoriness(timer, rest, over)
    return None


def _counts(statements: Sequence[Statement], timer: str) -> bool:
    """Whether a timer is integrated once, whatever happens."""
    n = sum(isinstance(s, Integrate) and timer in s.variables for s in statements)
    branches = [s for s in statements if isinstance(s, Branch)]
    hidden = any(timer in assigned(branch.yes + branch.no) for branch in branches)
    plain = any(isinstance(s, Assign) and s.name == timer for s in statements)
    return n == 1 and not hidden and not plain


def _without(statements: Sequence[Statement], timer: str) -> list[Statement]:
    """Statements that do not integrate a timer."""
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Integrate):
            statement = Integrate(tuple(v for v in statement.variables if v != timer))
            if not statement.variables:
                continue
        kept.append(statement)
    return kept


def _decided(statements: Sequence[Statement], timer: str, above: bool) -> tuple[Statement, ...]:
    """Statements, knowing whether a timer is above 0."""
    kept: list[Statement] = []
    for statement in statements:
        match statement:
            case Branch(condition, yes, no):
                known = compared(condition, timer, above)
                yes, no = _decided(yes, timer, above), _decided(no, timer, above)
                if known == ONE:
                    kept += yes
                elif known == ZERO:
                    kept += no
                else:
                    kept.append(Branch(known, yes, no))
            case Assign(name, value):
                kept.append(Assign(name, compared(value, timer, above)))
            case _:
                kept.append(statement)
    return tuple(kept)


def compared(expression: Expression, timer: str, above: bool | Expression) -> Expression:
    """An expression, knowing whether a timer is above 0, or at it.

    Parameters
    ----------
    expression : Expression
    timer : str
    above : bool or Expression
        An expression that says it, where it is not known.
    """
    yes: Expression
    no: Expression
    if isinstance(above, bool):
        yes, no = (ONE, ZERO) if above else (ZERO, ONE)
    else:
        yes, no = above, Unary("not", above)

    def decided(part: Expression) -> Expression:
        match part:
            case Binary(">" | "!=", Name(name), right) if name == timer and vanishes(right):
                return yes
            case Binary("<=" | "==", Name(name), right) if name == timer and vanishes(right):
                return no
            case Binary("and", left, right) if ONE in (left, right):
                return right if left == ONE else left
            case Binary("and", left, right) if ZERO in (left, right):
                return ZERO
            case Binary("or", left, right) if ZERO in (left, right):
                return right if left == ZERO else left
            case Binary("or", left, right) if ONE in (left, right):
                return ONE
            case Unary("not", Number(value)):
                return ZERO if value else ONE
        return part

    return mapped(expression, decided)

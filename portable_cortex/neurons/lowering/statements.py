"""What statements contain."""

from __future__ import annotations

from collections.abc import Sequence

from ..expressions import Expression
from ..form import Assign, Branch, Integrate, Statement


def values_of(statements: Sequence[Statement]) -> list[Expression]:
    """All expressions in statements."""
    values: list[Expression] = []
    for statement in statements:
        match statement:
            case Assign(_, value):
                values.append(value)
            case Branch(condition, yes, no):
                values += [condition, *values_of(yes), *values_of(no)]
    return values


def assigned_values(statements: Sequence[Statement], variable: str | None) -> list[Expression]:
    """What statements give a variable."""
    values: list[Expression] = []
    for statement in statements:
        match statement:
            case Assign(name, value) if name == variable:
                values.append(value)
            case Branch(_, yes, no):
                values += assigned_values((*yes, *no), variable)
    return values


def assigned(statements: Sequence[Statement]) -> frozenset[str]:
    """Variables that statements change."""
    changed: set[str] = set()
    for statement in statements:
        match statement:
            case Assign(name, _):
                changed.add(name)
            case Integrate(variables):
                changed |= set(variables)
            case Branch(_, yes, no):
                changed |= assigned(yes) | assigned(no)
    return frozenset(changed)

"""What statements contain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..expressions import ZERO, Binary, Expression, Name
from ..form import Assign, Branch, Integrate, Neuron, Spike, Statement

FIRED = "__fired"  # a variable that a spike makes 1


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


def statements_values(neuron: Neuron) -> list[Expression]:
    """All expressions in the statements of a step, and its conditions."""
    values = values_of(neuron.update)
    for _, statements in neuron.receive:
        values += values_of(statements)
    for condition, statements in neuron.conditions:
        values += [condition, *values_of(statements)]
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


def noted(neuron: Neuron) -> Neuron:
    """The same model, whose spikes are all sent by conditions: those of a step are noted there.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> neuron = load("lif_curr_exp")
    >>> noted(neuron) is neuron
    True
    """
    received = tuple(statement for _, part in neuron.receive for statement in part)
    if not _sends((*neuron.update, *received)):
        return neuron
    return replace(
        neuron,
        update=(Assign(FIRED, ZERO), *neuron.update),
        conditions=(*neuron.conditions, (Binary(">", Name(FIRED), ZERO), (Spike(),))),
    )


def _sends(statements: Sequence[Statement]) -> bool:
    """Whether a spike is sent somewhere in statements."""
    return any(
        _sends((*s.yes, *s.no)) if isinstance(s, Branch) else isinstance(s, Spike)
        for s in statements
    )

"""Where spikes arrive."""

from __future__ import annotations

from collections.abc import Set

from ..expressions import ONE, ZERO, Binary, Expression, Name, folded, names, replaced, vanishes
from ..form import Assign, Neuron
from ..splitting import degree
from .constants import constant_names
from .statements import assigned, values_of


def landings(neuron: Neuron) -> dict[str, tuple[str, Expression]] | None:
    """For each port the one variable that its spikes move, and how far a weight of 1 does.

    None where something else happens: the spikes of a port move several variables, or one together
    with another port, or not in proportion, or a condition looks at what they move: then they have
    to be there before the conditions are looked at.
    """
    constant, watched = constant_names(neuron), _watched(neuron)
    moved: dict[str, list[tuple[str, Expression]]] = {port.name: [] for port in neuron.ports}
    for convolution in neuron.convolutions:
        moved[convolution.port] += convolution.jumps
    for equation in neuron.equations:
        if equation.jumps:
            return None
    for port, statements in neuron.receive:
        for statement in statements:
            if not isinstance(statement, Assign):
                return None
            jump = _proportional(statement, port, constant)
            if jump is None:
                return None
            moved[port].append((statement.name, jump))
    ports = {port.name for port in neuron.ports}
    if any(names(value) & ports for value in values_of(neuron.update)):
        return None
    variables = [name for jumps in moved.values() for name, _ in jumps]
    if len(set(variables)) < len(variables) or set(variables) & watched:
        return None
    if any(len(jumps) != 1 for jumps in moved.values()):
        return None
    return {port: jumps[0] for port, jumps in moved.items()}


def _proportional(statement: Assign, port: str, constant: Set[str]) -> Expression | None:
    """How far a weight of 1 moves a variable by ``x = x + factor * weight``."""
    name, value = statement.name, statement.value
    if names(value) - constant != {name, port} or degree(value, {name, port}) != 1:
        return None
    without = folded(replaced(value, {port: ZERO}))
    alone = folded(replaced(value, {name: ZERO}))
    one = folded(replaced(alone, {port: ONE}))
    if not _is(without, Name(name)):
        return None
    return one


def _is(value: Expression, wanted: Expression) -> bool:
    """Whether an expression is a name, but for zeros that are added."""
    match value:
        case Binary("+" | "-", left, right) if vanishes(right):
            return _is(left, wanted)
        case Binary("+", left, right) if vanishes(left):
            return _is(right, wanted)
    return value == wanted


def _watched(neuron: Neuron) -> frozenset[str]:
    """Variables that conditions and what follows from them use."""
    used = [condition for condition, _ in neuron.conditions]
    written: set[str] = set()
    for _, statements in neuron.conditions:
        used += values_of(statements)
        written |= assigned(statements)
    return frozenset(n for value in used for n in names(value)) | written

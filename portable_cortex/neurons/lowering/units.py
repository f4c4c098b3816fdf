"""Models whose variables have other units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..expressions import Binary, Expression, Name, mapped, replaced
from ..form import Assign, Branch, Neuron, Statement


def rescaled(neuron: Neuron, factors: Mapping[str, Expression]) -> Neuron:
    """The same neuron with some variables in other units: a variable is the new one times a factor.

    Factors are of constants.
    """
    by: dict[str, Expression] = {
        name: Binary("*", Name(name), factor) for name, factor in factors.items()
    }

    def new(value: Expression) -> Expression:
        return replaced(value, by)

    def of(name: str, value: Expression) -> Expression:
        return Binary("/", value, factors[name]) if name in factors else value

    return changed(neuron, new, of)


def centred(neuron: Neuron, centres: Mapping[str, Expression]) -> Neuron:
    """The same neuron with some variables relative to others' values: one is the new plus a centre.

    Centres are of constants. Where a variable is compared, they stand on the other side.
    """
    by: dict[str, Expression] = {
        name: Binary("+", Name(name), centre) for name, centre in centres.items()
    }
    sums = {value: name for name, value in by.items()}

    def new(value: Expression) -> Expression:
        return mapped(replaced(value, by), compared_alone)

    def compared_alone(part: Expression) -> Expression:
        match part:
            case Binary("<" | "<=" | ">" | ">=" as operator, left, right) if left in sums:
                name = sums[left]
                return Binary(operator, Name(name), Binary("-", right, centres[name]))
        return part

    def given(name: str, value: Expression) -> Expression:
        return Binary("-", value, centres[name]) if name in centres else value

    return changed(neuron, new, given=given)


def changed(
    neuron: Neuron,
    new: Callable[[Expression], Expression],
    of: Callable[[str, Expression], Expression] = lambda name, value: value,
    given: Callable[[str, Expression], Expression] | None = None,
) -> Neuron:
    """A neuron with other expressions.

    Parameters
    ----------
    neuron : Neuron
    new : callable
        From an expression to what stands for it.
    of : callable, optional
        From a variable and what it is given, or moved by, to what stands for the latter.
    given : callable, optional
        The same for what it is given, where that differs.
    """
    given = given or of

    def block(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(map(statement, statements))

    def statement(one: Statement) -> Statement:
        match one:
            case Assign(name, value):
                return Assign(name, given(name, new(value)))
            case Branch(condition, yes, no):
                return Branch(new(condition), block(yes), block(no))
        return one

    return replace(
        neuron,
        inlines=tuple(
            replace(q, value=None if q.value is None else new(q.value)) for q in neuron.inlines
        ),
        convolutions=tuple(
            replace(c, jumps=tuple((name, of(name, jump)) for name, jump in c.jumps))
            for c in neuron.convolutions
        ),
        equations=tuple(
            replace(
                e,
                derivative=of(e.variable, new(e.derivative)),
                jumps=tuple((port, of(e.variable, new(jump))) for port, jump in e.jumps),
            )
            for e in neuron.equations
        ),
        update=block(neuron.update),
        receive=tuple((port, block(statements)) for port, statements in neuron.receive),
        conditions=tuple((new(c), block(statements)) for c, statements in neuron.conditions),
    )

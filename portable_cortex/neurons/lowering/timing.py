"""The time, for backends that count steps, and timers that end in time."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from fractions import Fraction

from ..expressions import ZERO, Binary, Call, Choice, Expression, Name, Number, names, replaced
from ..form import ALMOST, STEP, Assign, Branch, Integrate, Neuron, Statement
from .statements import statements_values
from .units import changed

N_DONE = "__n_done"  # steps since the begin of the simulation, when this one has been done


def counted(neuron: Neuron) -> Neuron:
    """The same neuron, of which the time is a number of steps times their length."""
    time = Binary("*", Name(N_DONE), Name(STEP))
    return changed(neuron, lambda value: replaced(value, {"t": time}))


def is_timed(neuron: Neuron) -> bool:
    """Whether a step needs the time."""
    return any(N_DONE in names(value) for value in statements_values(neuron))


def ended(neuron: Neuron, timers: Set[str]) -> Neuron:
    """The same neuron, of which some timers are advanced by statements: almost 0 is 0.

    They stay in `Integrate` where others that are integrated depend on them.
    """
    if not timers:
        return neuron

    def block(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(one for statement in statements for one in of(statement))

    def of(statement: Statement) -> Sequence[Statement]:
        match statement:
            case Branch(condition, yes, no):
                return (Branch(condition, block(yes), block(no)),)
            case Integrate(variables):
                used = {n for v in variables for n in names(neuron.equation(v).derivative)}
                kept = tuple(v for v in variables if v not in timers or v in used)
                others = [v for v in variables if v in timers]
                integrated = (Integrate(kept),) if kept or not others else ()
                return (*integrated, *(_ended(v, v in kept) for v in others))
        return (statement,)

    return replace(
        neuron,
        update=block(neuron.update),
        receive=tuple((port, block(statements)) for port, statements in neuron.receive),
        conditions=tuple((c, block(statements)) for c, statements in neuron.conditions),
    )


def _ended(timer: str, is_advanced: bool) -> Statement:
    later: Expression = Name(timer) if is_advanced else Binary("-", Name(timer), Name(STEP))
    almost = Binary("*", Number(Fraction(ALMOST)), Name(STEP))
    return Assign(timer, Choice(Binary("<", Call("abs", (later,)), almost), ZERO, later))

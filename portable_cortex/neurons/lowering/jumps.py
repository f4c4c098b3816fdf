"""Jumps of variables that need a solver, as statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..expressions import Binary, Name, names
from ..form import Assign, Branch, Integrate, Neuron, Statement
from .constants import constant_names

JUMP = "__jump_"  # what names of jumps begin with that depend on variables


def kicked(neuron: Neuron) -> Neuron:
    """The same neuron, whose variables jump by statements behind `Integrate`.

    How far they do is computed from what variables are before it.
    """
    jumping = {e.variable: e.jumps for e in neuron.equations if e.jumps}
    if not jumping:
        return neuron
    constant = constant_names(neuron)

    def block(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(one for statement in statements for one in changed(statement))

    def changed(statement: Statement) -> tuple[Statement, ...]:
        match statement:
            case Branch(condition, yes, no):
                return (Branch(condition, block(yes), block(no)),)
            case Integrate(variables):
                before: list[Statement] = []
                after: list[Statement] = []
                for variable in variables:
                    for port, factor in jumping.get(variable, ()):
                        jump = Binary("*", factor, Name(port))
                        moved = Binary("+", Name(variable), jump)
                        if not names(factor) <= constant:
                            own = f"{JUMP}{port}_{variable}"
                            before.append(Assign(own, jump))
                            moved = Binary("+", Name(variable), Name(own))
                        after.append(Assign(variable, moved))
                return (*before, statement, *after)
        return (statement,)

    return replace(
        neuron,
        equations=tuple(replace(e, jumps=()) for e in neuron.equations),
        update=block(neuron.update),
        receive=tuple((port, block(statements)) for port, statements in neuron.receive),
        conditions=tuple((c, block(statements)) for c, statements in neuron.conditions),
    )

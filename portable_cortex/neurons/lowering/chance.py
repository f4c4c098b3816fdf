"""Random numbers of a step, told apart by numbers."""

from __future__ import annotations

from fractions import Fraction

from ..expressions import RANDOM, Call, Expression, Number, calls, mapped
from ..form import Neuron
from .statements import statements_values
from .units import changed


def numbered(neuron: Neuron) -> Neuron:
    """The same neuron with a number as last argument of each function that draws.

    What is written alike is computed once; draws are not, and a condition that is looked at twice
    must find the same ones.
    """
    n = 0

    def new(value: Expression) -> Expression:
        return mapped(value, drawn)

    def drawn(part: Expression) -> Expression:
        nonlocal n
        if isinstance(part, Call) and part.function in RANDOM:
            n += 1
            return Call(part.function, (*part.arguments, Number(Fraction(n))))
        return part

    return changed(neuron, new)


def is_random(neuron: Neuron) -> bool:
    """Whether a step draws random numbers."""
    values = [e.derivative for e in neuron.equations] + statements_values(neuron)
    return any(calls(value) & set(RANDOM) for value in values)

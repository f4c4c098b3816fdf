"""Equations that are integrated together: parted in what is linear and what needs a solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction

from ..expressions import (
    ZERO,
    Binary,
    Call,
    Expression,
    Name,
    calls,
    mapped,
    names,
)
from ..form import Branch, Equation, Integrate, Neuron, Quantity, Statement
from ..splitting import degree
from .sums import Term, summed, terms

PARTS = 8  # of a step, in which equations without an exact solution are advanced
SLOPE = "__slope_"  # of a variable: what is not linear in its derivative
RISE, BEND = "__rise_", "__bend_"  # the first and second derivative of that


def half(parts: int = PARTS) -> str:
    """What names of factors for half of one of so many parts of a step begin with."""
    return f"__half{parts}_"


@dataclass(frozen=True)
class Parted:
    """Equations that are integrated together, parted in what is linear and slopes for the rest.

    Attributes
    ----------
    linear : Neuron
        Has the equations, each with an exact solution where slopes are parabolas in time.
    slopes : dict of str to Expression
        Of variables, without limits that are constant.
    limits : tuple of (Expression, Expression)
        Those: the first has to be at most the second, lest slopes be wrong.
    """

    linear: Neuron
    slopes: Mapping[str, Expression]
    limits: tuple[tuple[Expression, Expression], ...]


def parted(neuron: Neuron, variables: Sequence[str]) -> Parted:
    """Part the equations of variables that are integrated together."""
    constant = frozenset(q.name for q in (*neuron.parameters, *neuron.internals))
    moving = {*group(neuron, variables), *neuron.convolved}
    known = constant | moving | {q.name for q in (*neuron.currents, *neuron.state)}
    limits: dict[tuple[Expression, Expression], None] = {}
    slopes: dict[str, Expression] = {}
    equations = []
    for equation in neuron.equations:
        name, value = equation.variable, equation.derivative
        if name not in moving:
            continue
        if not equation.is_linear:
            every = terms(_unlimited(value, constant, limits), constant)
            exact = [t for t in every if _is_damped(t, name, constant, known)]
            rest = [t for t in every if t not in exact]
            value = summed(exact)
            if rest:
                slopes[name] = summed(rest)
                value = Binary("+", value, Name(SLOPE + name))
        equations.append(replace(equation, derivative=value, is_linear=True, jumps=()))
    for name in slopes:
        equations.append(Equation(SLOPE + name, Name(RISE + name), True))
        equations.append(Equation(RISE + name, Name(BEND + name), True))
    new = [Quantity(k + n, "", Fraction(1), ZERO) for n in slopes for k in (SLOPE, RISE, BEND)]
    system = replace(neuron, equations=tuple(equations), state=(*neuron.state, *new))
    return Parted(system, slopes, tuple(limits))


def group(neuron: Neuron, variables: Sequence[str]) -> tuple[str, ...]:
    """Variables that are integrated together, without timers that no other depends on."""
    used = {n for name in variables for n in names(neuron.equation(name).derivative)}
    return tuple(v for v in variables if v not in neuron.timers or v in used)


def solved(neuron: Neuron) -> tuple[tuple[str, ...], ...]:
    """Variables that are integrated together with a solver, each time that this is done."""
    found: dict[tuple[str, ...], None] = {}

    def look(statements: Sequence[Statement]) -> None:
        for statement in statements:
            match statement:
                case Branch(_, yes, no):
                    look(yes)
                    look(no)
                case Integrate(variables):
                    if not all(neuron.equation(name).is_linear for name in variables):
                        found[group(neuron, variables)] = None

    for block in (neuron.update, *(block for _, block in (*neuron.receive, *neuron.conditions))):
        look(block)
    return tuple(found)


def prefix(neuron: Neuron, variables: Sequence[str], parts: int) -> str:
    """What names of factors of `Parted.linear` begin with, for one of so many parts of a step."""
    return f"__part{parts}_{solved(neuron).index(group(neuron, variables))}_"


def _is_damped(term: Term, variable: str, constant: Set[str], known: Set[str]) -> bool:
    """Whether a term is linear, and does not drive its own variable away from where it is.

    What does that is often held by what is not linear, and both have to be seen together.
    """
    sign, _, rest = term
    used = names(rest)
    is_linear = used <= known and not calls(rest) and degree(rest, known - constant) < 2
    return is_linear and (sign == "-" or variable not in used)


def _unlimited(
    value: Expression, constant: Set[str], limits: dict[tuple[Expression, Expression], None]
) -> Expression:
    """An expression without constant limits of what moves; `limits` gets them."""

    def free(part: Expression) -> Expression:
        match part:
            case Call("min", (one, other)) if names(other) <= constant and names(one) - constant:
                limits[one, other] = None
                return one
        return part

    return mapped(value, free)

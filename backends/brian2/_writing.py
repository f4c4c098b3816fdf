"""Writes a step of a neuron model in Brian2's language: assignments, one after the other.

Brian2 does for all neurons alike what it does, so both sides of a branch are computed, and one is
chosen. Names of a model have ``m_`` before them in what is written, lest they be Brian2's (``t``,
``cm``, ``N``); ``t1`` and ``c1`` are temporaries and constants.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from portable_cortex.errors import UnsupportedError
from portable_cortex.neurons import lowering
from portable_cortex.neurons.expressions import (
    RANDOM,
    ZERO,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
    calls,
    mapped,
    names,
    replaced,
)
from portable_cortex.neurons.form import Assign, Branch, Integrate, Neuron, Statement
from portable_cortex.neurons.lowering import CONSTANT, FIRED, N_DONE, PARTS, TEMPORARY

NAMES = {
    "min": "least",
    "max": "greatest",
    "floor": "below",
    "ceil": "above",
    "round": "nearest",
    "trunc": "whole",
}
"""What functions of `portable_cortex.neurons.expressions` are called here (see `_functions`)."""
PREFIX = "m_"
INJECTED, SPIKES = "i_injected", "fired"  # variables of every group
_OWN = "__n"  # what names of values begin with that are computed on the way
_COMPARISONS = ("<", "<=", "==", "!=", ">=", ">")


@dataclass(frozen=True)
class Step:
    """What a step does.

    Attributes
    ----------
    code : str
        In Brian2's language.
    constants : tuple of (name, Expression)
        Of parameters, internals and factors.
    """

    code: str
    constants: tuple[tuple[str, Expression], ...]


@functools.cache
def written(neuron: Neuron, is_injected: bool, inlines: tuple[str, ...]) -> Step:
    """Write a step.

    Parameters
    ----------
    neuron : Neuron
    is_injected : bool
        Whether currents are injected.
    inlines : tuple of str
        Those that are computed after each step, to be recorded.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> print(written(load("izhikevich_2003"), False, ()).code.splitlines()[0])
    t0 = (m_exc_spikes - m_inh_spikes)
    """
    run = lowering.straightened(neuron, statements(neuron, inlines), advances=False)
    kept = {q.name for q in neuron.state} | {p.name for p in neuron.ports} | {*inlines, FIRED}
    run = run.of(kept & set(run.results))
    constants = _Constants(lowering.constant_names(neuron))
    absent = frozenset() if is_injected else frozenset(q.name for q in neuron.currents)
    writer = _Writer({q.name for q in neuron.currents})
    for name, value in run.temporaries:
        writer.assign(name, constants.taken(_without(value, absent)))
    # a new value that is the old one of another variable must outlive it
    results = {n: v for n, v in run.results.items() if v != Name(n)}
    for n, value in results.items():
        if isinstance(value, Name) and value.name in results:
            results[n] = Name(f"{TEMPORARY}_{value.name}")
            writer.assign(f"{TEMPORARY}_{value.name}", value)
    fired = results.pop(FIRED, ZERO)
    for name, value in results.items():
        writer.lines.append(f"{PREFIX}{name} = {writer.number(constants.taken(value))}")
    writer.lines.append(f"{SPIKES} = {writer.number(fired)}")
    named = ((_own(name), value) for value, name in constants.values.items())
    return Step("\n".join(writer.lines), tuple(named))


class _Constants(lowering.Constants):
    """Constants, of which numbers stay: the compiler is to know them."""

    def taken(self, expression: Expression) -> Expression:
        """The expression with its constant parts as names."""
        return expression if isinstance(expression, Number) else super().taken(expression)


# --- what a step does -----------------------------------------------------------------------------


def statements(neuron: Neuron, inlines: Sequence[str] = ()) -> tuple[Statement, ...]:
    """A step as `portable_cortex.neurons.form` has it, without equations that need a solver.

    Raises
    ------
    UnsupportedError
        For chance in an equation, or in what is computed once.
    """
    _check(neuron)
    neuron = lowering.ended(lowering.counted(neuron), neuron.timers)
    convolved = sorted(neuron.convolved)
    is_certain = lowering.landings(neuron) is not None  # nothing happens where nothing arrives
    jumps: dict[str, Expression] = {name: Name(f"{_OWN}_{name}") for name in convolved}
    for convolution in neuron.convolutions:
        for name, jump in convolution.jumps:
            jumps[name] = Binary("+", jumps[name], Binary("*", jump, Name(convolution.port)))
    values = {q.name: q.value for q in neuron.inlines}
    solver = _Solver(neuron)
    return (
        *(Assign(f"{_OWN}_{name}", lowering.total(neuron, name, {})) for name in convolved),
        *solver.block(neuron.update),
        *(
            statement
            for port, block in neuron.receive
            for statement in (
                solver.block(block)
                if is_certain
                else (Branch(_some(port), tuple(solver.block(block)), ()),)
            )
        ),
        *(Assign(name, value) for name, value in jumps.items()),
        *(Branch(c, tuple(solver.block(block)), ()) for c, block in neuron.conditions),
        *(Assign(name, value) for name in inlines if (value := values[name]) is not None),
        *(Assign(port.name, ZERO) for port in neuron.ports),
    )


def _some(port: str) -> Expression:
    return Binary("!=", Name(port), ZERO)


def _check(neuron: Neuron) -> None:
    for equation in neuron.equations:
        if calls(equation.derivative) & set(RANDOM):
            raise UnsupportedError(
                f"the equation of {equation.variable} in {neuron.name} has a random function, "
                "which a solver would draw at each of its points: draw in the update block"
            )
    for quantity in (*neuron.parameters, *neuron.internals, *neuron.state):
        if quantity.value is not None and calls(quantity.value) & set(RANDOM):
            raise UnsupportedError(
                f"{quantity.name} of {neuron.name} is drawn at random once, which brian2 cannot: "
                "make it a parameter, and give it a RandomDistribution"
            )


class _Solver:
    """Writes out the parts of a step that equations without an exact solution are advanced in."""

    def __init__(self, neuron: Neuron) -> None:
        self._neuron, self._number = neuron, 0

    def block(self, block: Sequence[Statement]) -> Iterator[Statement]:
        """Statements of which none needs a solver."""
        for statement in block:
            match statement:
                case Branch(condition, yes, no):
                    yield Branch(condition, tuple(self.block(yes)), tuple(self.block(no)))
                case Integrate(variables):
                    if all(self._neuron.equation(name).is_linear for name in variables):
                        yield statement
                    else:
                        yield from self._parts(variables)
                case _:
                    yield statement

    def _parts(self, variables: tuple[str, ...]) -> Iterator[Statement]:
        neuron = self._neuron
        run = lowering.part(neuron, variables)
        now: dict[str, Expression] = {}
        for _ in range(PARTS):
            self._number += 1
            own: dict[str, Expression] = {
                name: Name(f"{_OWN}{self._number}{name}") for name, _ in run.temporaries
            }
            for name, value in run.temporaries:
                yield Assign(f"{_OWN}{self._number}{name}", replaced(value, {**now, **own}))
            later = {name: f"{_OWN}{self._number}_{name}" for name in run.results}
            for name, value in run.results.items():
                yield Assign(later[name], replaced(value, {**now, **own}))
            now = {name: Name(new) for name, new in later.items()}
        new: dict[str, str] = {}
        for name in variables:
            equation = neuron.equation(name)
            value = lowering.total(neuron, name, {}) if equation.is_linear else now[name]
            for port, jump in equation.jumps:
                value = Binary("+", value, Binary("*", jump, Name(port)))
            new[name] = f"{_OWN}{self._number}_new_{name}"
            yield Assign(new[name], value)
        for name, local in new.items():
            yield Assign(name, Name(local))


def _without(value: Expression, absent: Set[str]) -> Expression:
    """An expression where some names are 0."""

    def simpler(part: Expression) -> Expression:
        match part:
            case Name(name) if name in absent:
                return ZERO
            case Binary("*", left, right) if ZERO in (left, right):
                return ZERO
            case Binary("/", left, _) if left == ZERO:
                return ZERO
            case Binary("+", left, right) if ZERO in (left, right):
                return right if left == ZERO else left
            case Binary("-", left, right) if right == ZERO:
                return left
        return part

    return mapped(value, simpler) if names(value) & absent else value


# --- Brian2's language ----------------------------------------------------------------------------


def _own(name: str) -> str:
    """What a temporary is called."""
    return name.removeprefix("__")


class _Writer:
    """Writes assignments.

    Truth values have no temporaries, of which Brian2 would make branches that do not vectorise:
    comparisons stand where they are needed.
    """

    def __init__(self, currents: Set[str]) -> None:
        self.lines: list[str] = []
        self._currents = currents
        self._truths: dict[str, str] = {}  # temporaries that are comparisons, and what they say

    def assign(self, name: str, value: Expression) -> None:
        """Give a temporary its value."""
        said, is_true = self._said(value)
        if is_true and not calls(value):
            self._truths[name] = said
        else:
            self.lines.append(f"{_own(name)} = {self.number(value)}")

    def number(self, value: Expression) -> str:
        """An expression as a number."""
        said, is_true = self._said(value)
        return f"choice({said}, 1.0, 0.0)" if is_true else said

    def truth(self, value: Expression) -> str:
        """An expression as a truth value."""
        said, is_true = self._said(value)
        return said if is_true else f"({said} != 0.0)"

    def _said(self, value: Expression) -> tuple[str, bool]:
        """An expression, and whether it is a truth value."""
        match value:
            case Number(number):
                said = repr(float(number))
                return (f"({said})" if said.startswith("-") else said), False
            case Name(name):
                return self._name(name)
            case Call("random_uniform" | "random_normal" as function, (first, second)):
                draw = "rand()" if function == "random_uniform" else "randn()"
                return f"({self.number(first)} + {self.number(second)} * {draw})", False
            case Call(function, arguments):
                said = ", ".join(map(self.number, arguments))
                return f"{NAMES.get(function, function)}({said})", False
            case Unary("-", operand):
                return f"(-{self.number(operand)})", False
            case Unary(_, operand):
                return f"(not {self.truth(operand)})", True
            case Binary("and" | "or" as operator, left, right):
                return f"({self.truth(left)} {operator} {self.truth(right)})", True
            case Binary("**", left, Number(number)) if number in (2, 3, 4):
                return "(" + " * ".join([self.number(left)] * int(number)) + ")", False
            case Binary("%", left, right):
                return f"rest({self.number(left)}, {self.number(right)})", False
            case Binary(operator, left, right):
                said = f"({self.number(left)} {operator} {self.number(right)})"
                return said, operator in _COMPARISONS
            case Choice(condition, yes, no):
                said = f"{self.truth(condition)}, {self.number(yes)}, {self.number(no)}"
                return f"choice({said})", False

    def _name(self, name: str) -> tuple[str, bool]:
        if name in self._truths:
            return self._truths[name], True
        if name.startswith((TEMPORARY, CONSTANT)):
            return _own(name), False
        if name == N_DONE:
            return "nearest(t/dt + 1.0)", False
        if name in self._currents:
            return f"({INJECTED}/pamp)", False
        return PREFIX + name, False

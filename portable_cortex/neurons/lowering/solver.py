"""Steps of a solver, as runs of expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction

from ..expressions import (
    ONE,
    ZERO,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    mapped,
    names,
    replaced,
)
from ..form import STEP, Neuron
from ..propagation import factor_name, rows
from .constants import constant_names
from .straight import Run, Straight, total
from .sums import summed, terms
from .systems import BEND, PARTS, RISE, SLOPE, group, half, parted, prefix

ERROR = "__error"  # how far a whole step can be wrong, about: see `part`


def part(
    neuron: Neuron, variables: Sequence[str], parts: int = PARTS, tells_error: bool = False
) -> Straight:
    """A part of a step of some variables, by the classical Runge-Kutta method.

    Linear variables among them, and convolutions, take their exact course, so that the others see
    it at the begin, the middle and the end.

    Parameters
    ----------
    neuron : Neuron
    variables : sequence of str
        What is integrated.
    parts : int, optional
        In which a step is cut.
    tells_error : bool, optional
        Whether `ERROR` is a result, too: how far the two slopes in the middle move a variable
        apart, the largest of all. What the method is wrong by is far less, while this is small.
    """
    run, prefix = Run(), half(parts)
    moving = [*variables, *(n for n in sorted(neuron.convolved) if n not in variables)]
    exact = [n for n in moving if neuron.equation(n).is_linear]
    others = [n for n in moving if n not in exact]
    middle: dict[str, Expression] = {n: run.named(total(neuron, n, {}, prefix)) for n in exact}
    end: dict[str, Expression] = {n: run.named(total(neuron, n, middle, prefix)) for n in exact}
    length = Binary("/", Name(STEP), Number(Fraction(parts)))

    def slopes(at: Mapping[str, Expression]) -> dict[str, Expression]:
        return {n: run.named(replaced(neuron.equation(n).derivative, at)) for n in others}

    def moved(by: Mapping[str, Expression], share: Fraction) -> dict[str, Expression]:
        factor = Binary("*", length, Number(share))
        return {n: run.named(Binary("+", Name(n), Binary("*", by[n], factor))) for n in others}

    k1 = slopes({})
    k2 = slopes({**middle, **moved(k1, Fraction(1, 2))})
    k3 = slopes({**middle, **moved(k2, Fraction(1, 2))})
    k4 = slopes({**end, **moved(k3, Fraction(1))})
    inner = {n: Binary("*", Number(Fraction(2)), Binary("+", k2[n], k3[n])) for n in others}
    mean = {n: Binary("+", Binary("+", k1[n], inner[n]), k4[n]) for n in others}
    results = {**end, **moved(mean, Fraction(1, 6))}
    if tells_error:
        largest = _largest([_distance(k2[n], k3[n]) for n in others])
        results[ERROR] = run.named(Binary("*", largest, length))
    return Straight(tuple(run.temporaries), results)


def _largest(values: Sequence[Expression]) -> Expression:
    largest, *others = values
    for value in others:
        if value != largest:
            largest = Call("max", (largest, value))
    return largest


def _distance(one: Expression, other: Expression) -> Expression:
    return Call("abs", (Binary("-", other, one),))


def whole(neuron: Neuron, variables: Sequence[str]) -> Straight:
    """A step of some variables, by an exponential Runge-Kutta method of fourth order; and `ERROR`.

    What is linear takes its exact course; the rest is taken at the four points of the classical
    method, which it is where nothing is linear (Cox & Matthews 2002, J Comput Phys 176:430).

    `ERROR` is how far the slopes at the two points in the middle move a variable apart, the largest
    of all; infinite where a limit is exceeded.
    """
    system = parted(neuron, variables)
    run, known = Run(), {row.variable: row for row in rows(system.linear)}
    middle, end = (prefix(neuron, variables, parts) for parts in (2, 1))
    moving = [*group(neuron, variables)]
    moving += [n for n in sorted(neuron.convolved) if n not in moving]
    own = (SLOPE, RISE, BEND)

    def course(name: str, prefix: str) -> Expression:
        """A variable without slopes."""
        row = known[name]
        sources = [s for s in (*row.sources, *row.inputs) if s != name and not s.startswith(own)]
        value: Expression = Binary("*", Name(name), Name(prefix + factor_name(name, name)))
        for source in sources:
            factor = Name(prefix + factor_name(name, source))
            value = Binary("+", value, Binary("*", Name(source), factor))
        if row.is_shifted:
            value = Binary("+", value, Name(prefix + factor_name(name)))
        return value

    half, full = ({n: run.named(course(n, prefix)) for n in moving} for prefix in (middle, end))
    two, length = Number(Fraction(2)), Name(STEP)

    def moved(
        course: Mapping[str, Expression],
        *slopes: tuple[Callable[[str, str], Expression], Mapping[str, Expression]],
    ) -> dict[str, Expression]:
        """Variables with slopes, each times a factor of variable and slope."""
        new = {}
        for name, value in course.items():
            for factor, by in slopes:
                for one, slope in by.items():
                    if SLOPE + one in known[name].sources:
                        value = Binary("+", value, Binary("*", slope, factor(name, one)))
            new[name] = run.named(value)
        return new

    nearby = _Nearby(constant_names(neuron), run)

    def slopes(at: Mapping[str, Expression]) -> dict[str, Expression]:
        return {n: run.named(nearby.value(value, at)) for n, value in system.slopes.items()}

    def first(name: str, slope: str) -> Expression:
        return Name(middle + factor_name(name, SLOPE + slope))

    def twice(name: str, slope: str) -> Expression:
        return Binary("*", two, first(name, slope))

    def back(name: str, slope: str) -> Expression:
        return Binary("-", Name(end + factor_name(name, SLOPE + slope)), twice(name, slope))

    def weight(of_slope: int, of_rise: int, of_bend: int) -> Callable[[str, str], Expression]:
        def factor(name: str, slope: str) -> Expression:
            kinds = ((SLOPE, of_slope, 0), (RISE, of_rise, 1), (BEND, of_bend, 2))
            value: Expression = ZERO
            for kind, number, power in kinds:
                term: Expression = Name(end + factor_name(name, kind + slope))
                term = Binary("*", Number(Fraction(number)), term)
                for _ in range(power):
                    term = Binary("/", term, length)
                value = Binary("+", value, term)
            return value

        return factor

    k1 = slopes({})
    at2 = moved(half, (first, k1))
    k2 = slopes(at2)
    at3 = moved(half, (first, k2))
    k3 = slopes(at3)
    at4 = moved(full, (back, k1), (twice, k3))
    k4 = slopes(at4)
    inner = {n: run.named(Binary("+", k2[n], k3[n])) for n in k2}
    results = moved(full, (weight(1, -3, 4), k1), (weight(0, 2, -4), inner), (weight(0, -1, 4), k4))
    error: Expression = (
        ZERO if not k2 else Binary("*", _largest([_distance(k2[n], k3[n]) for n in k2]), length)
    )
    for value, limit in system.limits:
        top = _largest([value, *(replaced(value, at) for at in (at2, at3, at4))])
        error = Choice(Binary("<=", top, limit), error, Number(math.inf))
    if nearby.squares:
        near = Binary("<=", _largest(nearby.squares), Number(NEAR * NEAR))
        error = Choice(near, error, Number(math.inf))
    results[ERROR] = run.named(error)
    return Straight(tuple(run.temporaries), results)


NEAR = Fraction(1, 2)


@dataclass
class _Nearby:
    """Exponential functions at points of a step, from those at its begin, by Taylor's series.

    Attributes
    ----------
    constant : set of str
    run : Run
    squares : list of Expression
        Of distances from the begin; beyond `NEAR` the relative error is above 2e-5.
    """

    constant: Set[str]
    run: Run
    squares: list[Expression] = field(default_factory=list)

    def value(self, value: Expression, at: Mapping[str, Expression]) -> Expression:
        """What an expression has where variables have some values."""

        def there(part: Expression) -> Expression:
            match part:
                case Call("exp", (argument,)):
                    return self._moved(part, argument, at)
            return part

        match value:
            case Binary("*", factor, Call("exp", (argument,))) if names(factor) <= self.constant:
                return self._moved(value, argument, at)
        # arguments are still those at the begin, wherever an exponential function is met
        return replaced(mapped(value, there), at)

    def _moved(
        self, function: Expression, argument: Expression, at: Mapping[str, Expression]
    ) -> Expression:
        """A function that is in proportion to the exponential one of an argument."""
        begin = self.run.named(function)
        ways = [
            (sign, Binary("-", replaced(rest, at), rest), factor)
            for sign, factor, rest in terms(argument, self.constant)
            if not names(rest) <= self.constant
        ]
        if not at:
            return begin
        x = self.run.named(summed(ways))
        x2 = self.run.named(Binary("*", x, x))
        if x2 not in self.squares:
            self.squares.append(x2)
        c = [Number(Fraction(1, math.factorial(k))) for k in range(6)]
        low, middle, high = (
            Binary("+", c[k], Binary("*", x, c[k + 1])) if k else Binary("+", ONE, x)
            for k in (0, 2, 4)
        )
        tail = Binary("*", x2, Binary("+", middle, Binary("*", x2, high)))
        return Binary("*", begin, Binary("+", low, tail))

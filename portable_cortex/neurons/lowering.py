"""The statements of a step in forms that compiled loops can take.

Backends that advance many neurons at once choose between two values where a model branches: vector
instructions cannot do one thing for some neurons and another for others. So statements become one
run of expressions (`straightened`). Refractoriness is an exception: few neurons are refractory, so
it is cheaper to advance all as if none were, and some once more (`Refractoriness`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction

from .expressions import (
    ONE,
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
    folded,
    mapped,
    names,
    replaced,
    walk,
)
from .form import STEP, Assign, Branch, Equation, Integrate, Neuron, Quantity, Spike, Statement
from .propagation import factor_name, rows
from .splitting import degree

FIRED = "__fired"  # a variable that a spike makes 1
TEMPORARY, CONSTANT = "__t", "__c"  # what names of temporaries and constants begin with


# --- statements without branches ------------------------------------------------------------------


@dataclass(frozen=True)
class Straight:
    """A run of expressions.

    Attributes
    ----------
    temporaries : tuple of (name, Expression)
        In order; each is of names that stand before it, of variables as they were, and constants.
    results : dict
        Variables that change: their new values, names or numbers.
    """

    temporaries: tuple[tuple[str, Expression], ...]
    results: Mapping[str, Expression]

    def of(self, variables: Set[str]) -> Straight:
        """What some of the variables need."""
        results = {name: value for name, value in self.results.items() if name in variables}
        needed = {n for value in results.values() for n in names(value)}
        kept = []
        for name, value in reversed(self.temporaries):
            if name in needed:
                kept.append((name, value))
                needed |= names(value)
        return Straight(tuple(reversed(kept)), results)

    @property
    def read(self) -> frozenset[str]:
        """Names that are not temporaries of it."""
        own = {name for name, _ in self.temporaries}
        values = [value for _, value in self.temporaries] + list(self.results.values())
        return frozenset(n for value in values for n in names(value)) - own


@dataclass
class _Run:
    """Gathers temporaries; what is written alike is computed once."""

    temporaries: list[tuple[str, Expression]] = field(default_factory=list)
    known: dict[Expression, Name] = field(default_factory=dict)

    def named(self, value: Expression) -> Expression:
        """A name or number for a value."""
        if isinstance(value, Name | Number):
            return value
        if value in self.known and not calls(value) & set(RANDOM):  # what is drawn is drawn anew
            return self.known[value]
        name = Name(f"{TEMPORARY}{len(self.temporaries)}")
        self.temporaries.append((name.name, value))
        self.known[value] = name
        return name


def straightened(neuron: Neuron, statements: Sequence[Statement], advances: bool) -> Straight:
    """Statements as a run of expressions.

    Parameters
    ----------
    neuron : Neuron
    statements : sequence of Statement
    advances : bool
        Whether convolutions advance, too.
    """
    run = _Run()
    after = _carried_out(statements, {}, neuron, run)
    if advances:
        for name in sorted(neuron.convolved):
            after[name] = run.named(total(neuron, name, {}))
    return Straight(tuple(run.temporaries), after)


def _carried_out(
    statements: Sequence[Statement], before: Mapping[str, Expression], neuron: Neuron, run: _Run
) -> dict[str, Expression]:
    """New values of variables, given those that have some."""
    now = dict(before)
    for statement in statements:
        match statement:
            case Assign(name, value):
                now[name] = run.named(replaced(value, now))
            case Integrate(variables):
                new = {}
                for name in variables:
                    value = total(neuron, name, now)
                    for port, factor in neuron.equation(name).jumps:
                        value = Binary("+", value, Binary("*", replaced(factor, now), Name(port)))
                    new[name] = run.named(value)
                now |= new
            case Spike():
                now[FIRED] = ONE
            case Branch(condition, yes, no):
                holds = run.named(replaced(condition, now))
                one, other = (_carried_out(branch, now, neuron, run) for branch in (yes, no))
                for name in [*one, *(n for n in other if n not in one)]:
                    absent = ZERO if name == FIRED else Name(name)
                    first, second = one.get(name, absent), other.get(name, absent)
                    same = first == second
                    now[name] = first if same else run.named(Choice(holds, first, second))
    return now


def total(neuron: Neuron, name: str, now: Mapping[str, Expression], prefix: str = "") -> Expression:
    """A variable a step later: the sum that is its exact solution.

    Parameters
    ----------
    neuron : Neuron
    name : str
        Its equation is linear.
    now : dict
        Variables that have other values than their names say.
    prefix : str, optional
        Of the names of factors: see `half`.
    """
    (row,) = (row for row in rows(neuron) if row.variable == name)
    terms: list[Expression] = [
        Binary("*", now.get(source, Name(source)), Name(prefix + factor_name(name, source)))
        for source in (name, *(s for s in row.sources if s != name), *row.inputs)
    ]
    if row.is_shifted:
        terms.append(Name(prefix + factor_name(name)))
    value, *others = terms
    for term in others:
        value = Binary("+", value, term)
    return value


PARTS = 8  # of a step, in which equations without an exact solution are advanced
ERROR = "__error"  # how far a whole step can be wrong, about: see `part`


def half(parts: int = PARTS) -> str:
    """What names of factors for half of one of so many parts of a step begin with."""
    return f"__half{parts}_"


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
    run, prefix = _Run(), half(parts)
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


# --- a whole step ---------------------------------------------------------------------------------

SLOPE = "__slope_"  # of a variable: what is not linear in its derivative
RISE, BEND = "__rise_", "__bend_"  # the first and second derivative of that


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
    moving = {*_group(neuron, variables), *neuron.convolved}
    known = constant | moving | {q.name for q in (*neuron.currents, *neuron.state)}
    limits: dict[tuple[Expression, Expression], None] = {}
    slopes: dict[str, Expression] = {}
    equations = []
    for equation in neuron.equations:
        name, value = equation.variable, equation.derivative
        if name not in moving:
            continue
        if not equation.is_linear:
            terms = _terms(_unlimited(value, constant, limits), constant)
            exact = [t for t in terms if _is_damped(t, name, constant, known)]
            rest = [t for t in terms if t not in exact]
            value = _sum(exact)
            if rest:
                slopes[name] = _sum(rest)
                value = Binary("+", value, Name(SLOPE + name))
        equations.append(replace(equation, derivative=value, is_linear=True, jumps=()))
    for name in slopes:
        equations.append(Equation(SLOPE + name, Name(RISE + name), True))
        equations.append(Equation(RISE + name, Name(BEND + name), True))
    new = [Quantity(k + n, "", Fraction(1), ZERO) for n in slopes for k in (SLOPE, RISE, BEND)]
    system = replace(neuron, equations=tuple(equations), state=(*neuron.state, *new))
    return Parted(system, slopes, tuple(limits))


def _group(neuron: Neuron, variables: Sequence[str]) -> tuple[str, ...]:
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
                        found[_group(neuron, variables)] = None

    for block in (neuron.update, *(block for _, block in (*neuron.receive, *neuron.conditions))):
        look(block)
    return tuple(found)


def prefix(neuron: Neuron, variables: Sequence[str], parts: int) -> str:
    """What names of factors of `Parted.linear` begin with, for one of so many parts of a step."""
    return f"__part{parts}_{solved(neuron).index(_group(neuron, variables))}_"


Term = tuple[str, Expression, Expression]  # sign, constant factor, the rest of it


def _terms(value: Expression, constant: Set[str]) -> list[Term]:
    """Terms of a sum; constant factors of sums are multiplied into them."""

    def look(value: Expression, sign: str, factor: Expression) -> Iterator[Term]:
        other = "-" if sign == "+" else "+"
        match value:
            case Unary("-", operand):
                yield from look(operand, other, factor)
            case Binary("+" | "-" as operator, left, right):
                yield from look(left, sign, factor)
                yield from look(right, sign if operator == "+" else other, factor)
            case Binary("*", left, right) if names(left) <= constant:
                yield from look(right, sign, Binary("*", factor, left))
            case Binary("*" | "/" as operator, left, right) if names(right) <= constant:
                yield from look(left, sign, Binary(operator, factor, right))
            case _:
                yield sign, factor, value

    return list(look(value, "+", ONE))


def _sum(terms: Sequence[Term]) -> Expression:
    value: Expression = ZERO
    for sign, factor, rest in terms:
        term = folded(Binary("*", factor, rest))
        if value == ZERO:
            value = term if sign == "+" else Unary("-", term)
        else:
            value = Binary(sign, value, term)
    return value


def scaled(value: Expression, by: Fraction, constant: Set[str]) -> Expression:
    """A sum times a number: factors and terms that are constant are put together."""
    still: Expression = ZERO
    moving: list[Expression] = []
    for sign, factor, rest in _terms(value, constant):
        factor = Binary("*", factor if sign == "+" else Unary("-", factor), Number(by))
        if names(rest) <= constant:
            still = Binary("+", still, Binary("*", factor, rest))
        else:
            moving.append(Binary("*", rest, factor))
    if not moving:
        return still
    total, *others = moving
    for one in others:
        total = Binary("+", total, one)
    return total if still == ZERO else Binary("+", total, still)


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


def whole(neuron: Neuron, variables: Sequence[str]) -> Straight:
    """A step of some variables, by an exponential Runge-Kutta method of fourth order; and `ERROR`.

    What is linear takes its exact course; the rest is taken at the four points of the classical
    method, which it is where nothing is linear (Cox & Matthews 2002, J Comput Phys 176:430).

    `ERROR` is how far the slopes at the two points in the middle move a variable apart, the largest
    of all; infinite where a limit is exceeded.
    """
    system = parted(neuron, variables)
    run, known = _Run(), {row.variable: row for row in rows(system.linear)}
    middle, end = (prefix(neuron, variables, parts) for parts in (2, 1))
    moving = [*_group(neuron, variables)]
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
    run : _Run
    squares : list of Expression
        Of distances from the begin; beyond `NEAR` the relative error is above 2e-5.
    """

    constant: Set[str]
    run: _Run
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
            for sign, factor, rest in _terms(argument, self.constant)
            if not names(rest) <= self.constant
        ]
        if not at:
            return begin
        x = self.run.named(_sum(ways))
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


# --- constants ------------------------------------------------------------------------------------


@dataclass
class Constants:
    """Parts of expressions that do not change, which are computed before the first step.

    Attributes
    ----------
    known : set of str
        Names that stand for such.
    values : dict of Expression to str
        Each of them and what it is called.
    """

    known: Set[str]
    values: dict[Expression, str] = field(default_factory=dict)

    def taken(self, expression: Expression) -> Expression:
        """The expression with its constant parts as names."""
        if self._is_constant(expression):
            name = self.values.setdefault(expression, f"{CONSTANT}{len(self.values)}")
            return Name(name)
        match expression:
            case Call(function, (*arguments, number)) if function in RANDOM:
                return Call(function, (*map(self.taken, arguments), number))
            case Call(function, arguments):
                return Call(function, tuple(map(self.taken, arguments)))
            case Unary(operator, operand):
                return Unary(operator, self.taken(operand))
            case Binary("**", left, Number() as power):
                return Binary("**", self.taken(left), power)
            case Binary("/", left, right) if self._is_constant(right):
                return Binary("*", self.taken(left), self.taken(Binary("/", ONE, right)))
            case Binary(operator, left, right):
                return Binary(operator, self.taken(left), self.taken(right))
            case Choice(condition, yes, no):
                return Choice(self.taken(condition), self.taken(yes), self.taken(no))
        return expression

    def _is_constant(self, expression: Expression) -> bool:
        return all(
            part.name in self.known
            if isinstance(part, Name)
            else not (isinstance(part, Call) and part.function in RANDOM)
            for part in walk(expression)
        )


def constant_names(neuron: Neuron) -> frozenset[str]:
    """Names of what does not change in a step: parameters, internals, factors, the step."""
    own = [q.name for q in (*neuron.parameters, *neuron.internals)]
    factors = [
        start + factor_name(row.variable, source)
        for row in rows(neuron)
        for source in ("", *row.sources, *row.inputs)
        for start in ("", half(1), half(PARTS))
    ]
    for variables in solved(neuron):
        linear = rows(parted(neuron, variables).linear)
        for start in (prefix(neuron, variables, parts) for parts in (1, 2)):
            factors += [
                start + factor_name(row.variable, source)
                for row in linear
                for source in ("", *row.sources, *row.inputs)
            ]
    return frozenset((STEP, *own, *factors))


# --- where spikes arrive --------------------------------------------------------------------------


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
        case Binary("+" | "-", left, right) if _vanishes(right):
            return _is(left, wanted)
        case Binary("+", left, right) if _vanishes(left):
            return _is(right, wanted)
    return value == wanted


def _vanishes(value: Expression) -> bool:
    match value:
        case Number(number):
            return number == 0
        case Unary("-", operand):
            return _vanishes(operand)
        case Binary("*", left, right):
            return _vanishes(left) or _vanishes(right)
        case Binary("/", left, _):
            return _vanishes(left)
        case Binary("+" | "-", left, right):
            return _vanishes(left) and _vanishes(right)
    return False


def _watched(neuron: Neuron) -> frozenset[str]:
    """Variables that conditions and what follows from them use."""
    used = [condition for condition, _ in neuron.conditions]
    written: set[str] = set()
    for _, statements in neuron.conditions:
        used += values_of(statements)
        written |= assigned(statements)
    return frozenset(n for value in used for n in names(value)) | written


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


# --- refractoriness -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refractoriness:
    """A timer that statements only set, and compare with 0: a number of steps can stand for it.

    Attributes
    ----------
    timer : str
    running, over : tuple of Statement
        What ``update`` does while it is above 0, and when it is not; without the timer.
    """

    timer: str
    running: tuple[Statement, ...]
    over: tuple[Statement, ...]


def refractoriness(neuron: Neuron) -> Refractoriness | None:
    """The refractory timer of a model, if it has one that a number of steps can stand for."""
    for timer in sorted(neuron.timers):
        running, over = (_decided(neuron.update, timer, above) for above in (True, False))
        if not _counts(running, timer) or timer in assigned(over):
            continue
        rest = tuple(_without(running, timer))
        others = [e.derivative for e in neuron.equations if e.variable != timer]
        others += [q.value for q in neuron.inlines if q.value is not None]
        others += [compared(value, timer, True) for value in values_of((*rest, *over))]
        for condition, statements in neuron.conditions:
            others.append(compared(condition, timer, True))
            others += [compared(value, timer, True) for value in values_of(statements)]
        for _, statements in neuron.receive:
            others += values_of(statements)
            others += [Name(name) for name in assigned(statements)]
        if not any(timer in names(value) for value in others):
            return Refractoriness(timer, rest, over)
    return None


def _counts(statements: Sequence[Statement], timer: str) -> bool:
    """Whether a timer is integrated once, whatever happens."""
    n = sum(isinstance(s, Integrate) and timer in s.variables for s in statements)
    branches = [s for s in statements if isinstance(s, Branch)]
    hidden = any(timer in assigned(branch.yes + branch.no) for branch in branches)
    plain = any(isinstance(s, Assign) and s.name == timer for s in statements)
    return n == 1 and not hidden and not plain


def _without(statements: Sequence[Statement], timer: str) -> list[Statement]:
    """Statements that do not integrate a timer."""
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Integrate):
            statement = Integrate(tuple(v for v in statement.variables if v != timer))
            if not statement.variables:
                continue
        kept.append(statement)
    return kept


def _decided(statements: Sequence[Statement], timer: str, above: bool) -> tuple[Statement, ...]:
    """Statements, knowing whether a timer is above 0."""
    kept: list[Statement] = []
    for statement in statements:
        match statement:
            case Branch(condition, yes, no):
                known = compared(condition, timer, above)
                yes, no = _decided(yes, timer, above), _decided(no, timer, above)
                if known == ONE:
                    kept += yes
                elif known == ZERO:
                    kept += no
                else:
                    kept.append(Branch(known, yes, no))
            case Assign(name, value):
                kept.append(Assign(name, compared(value, timer, above)))
            case _:
                kept.append(statement)
    return tuple(kept)


def compared(expression: Expression, timer: str, above: bool | Expression) -> Expression:
    """An expression, knowing whether a timer is above 0, or at it.

    Parameters
    ----------
    expression : Expression
    timer : str
    above : bool or Expression
        An expression that says it, where it is not known.
    """
    yes: Expression
    no: Expression
    if isinstance(above, bool):
        yes, no = (ONE, ZERO) if above else (ZERO, ONE)
    else:
        yes, no = above, Unary("not", above)

    def decided(part: Expression) -> Expression:
        match part:
            case Binary(">" | "!=", Name(name), right) if name == timer and _vanishes(right):
                return yes
            case Binary("<=" | "==", Name(name), right) if name == timer and _vanishes(right):
                return no
            case Binary("and", left, right) if ONE in (left, right):
                return right if left == ONE else left
            case Binary("and", left, right) if ZERO in (left, right):
                return ZERO
            case Binary("or", left, right) if ZERO in (left, right):
                return right if left == ZERO else left
            case Binary("or", left, right) if ONE in (left, right):
                return ONE
            case Unary("not", Number(value)):
                return ZERO if value else ONE
        return part

    return mapped(expression, decided)


# --- chance ---------------------------------------------------------------------------------------


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
    values = [e.derivative for e in neuron.equations] + values_of(neuron.update)
    for condition, statements in neuron.conditions:
        values += [condition, *values_of(statements)]
    values += [value for _, statements in neuron.receive for value in values_of(statements)]
    return any(calls(value) & set(RANDOM) for value in values)


# --- other units ----------------------------------------------------------------------------------


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

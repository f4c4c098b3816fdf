"""Which equations of a model have an exact solution, and what convolutions come to.

A group of equations that are linear, with constant coefficients, and depend on no other equation is
advanced exactly (Rotter & Diesmann 1999, Biol Cybern 81:381; `propagation`); the rest needs a
solver. ODE-toolbox makes equations of kernels that are functions of time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

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
    names,
    parsed,
    parts,
    replaced,
    text,
)
from .form import PRIME, Convolution, Equation, Quantity

NOT_LINEAR = 2
Refusal = Callable[[str, str], Exception]  # of what is wrong, and a remedy


@dataclass(frozen=True)
class Given:
    """A derivative as the model has it: of some order, without inlines."""

    variable: str
    order: int
    value: Expression
    refuse: Refusal = field(compare=False)  # makes an error that says where it is


@dataclass(frozen=True)
class Kernel:
    """A function of the time since a spike (order 0), or equations of one."""

    given: tuple[Given, ...]

    @property
    def is_pulse(self) -> bool:
        """Whether it is a delta function."""
        return any("delta" in calls(given.value) for given in self.given)


@dataclass(frozen=True)
class Split:
    """What the equations of a model come to."""

    state: tuple[Quantity, ...]
    convolutions: tuple[Convolution, ...]
    equations: tuple[Equation, ...]
    pulses: Mapping[str, Any]  # convolutions with a delta function, and where they are

    @property
    def integrated(self) -> tuple[str, ...]:
        """Variables that `Integrate` advances."""
        convolved = {name for c in self.convolutions for name in c.variables}
        return tuple(e.variable for e in self.equations if e.variable not in convolved)


def split_equations(
    state: Sequence[Quantity],
    given: Sequence[Given],
    convolutions: Mapping[tuple[str, str], Any],
    kernels: Mapping[str, Kernel],
    ports: Sequence[str],
) -> Split:
    """Split the equations.

    Parameters
    ----------
    state : sequence of Quantity
        As declared.
    given : sequence of Given
    convolutions : dict
        By (kernel, port) where they are.
    kernels : dict
        By each of their variables.
    ports : sequence of str
        Of spikes.
    """
    initial = {q.name: q.value or ZERO for q in state}
    pulses = {convolved(k, port): port for k, port in convolutions if kernels[k].is_pulse}
    lasting = {(kernels[k], port): None for k, port in convolutions if not kernels[k].is_pulse}
    moving: dict[str, Expression] = {}
    jumps: dict[str, tuple[tuple[str, Expression], ...]] = {}
    for e in given:
        for n in range(e.order - 1):
            moving[e.variable + PRIME * n] = Name(e.variable + PRIME * (n + 1))
        last = e.variable + PRIME * (e.order - 1)
        moving[last], jumps[last] = _without_pulses(e, pulses, ports)
    solved = [_solved(kernel, port, initial) for kernel, port in lasting]
    moving |= {name: value for one in solved for name, value in one.moving.items()}
    begin = {name: value for one in solved for name, value in one.begin.items()}
    linear = _linear(moving, {q.name for q in state} - set(moving))
    return Split(
        state=_state(state, {g.variable for k, _ in lasting for g in k.given}, begin),
        convolutions=tuple(
            Convolution(
                port,
                tuple(one.begin),
                tuple((name, value) for name, value in one.begin.items() if value != ZERO),
            )
            for (_, port), one in zip(lasting, solved, strict=True)
        ),
        equations=tuple(
            Equation(name, value, name in linear, jumps.get(name, ()))
            for name, value in moving.items()
        ),
        pulses={convolved(*pair): where for pair, where in convolutions.items()
                if kernels[pair[0]].is_pulse},
    )  # fmt: skip


def convolved(kernel: str, port: str) -> str:
    """What the convolution of a kernel with the spikes of a port is called."""
    return f"{kernel}__X__{port}"


def bare(name: str) -> str:
    """The variable that a name is a derivative of."""
    while name.endswith(PRIME):
        name = name.removesuffix(PRIME)
    return name


def _without_pulses(
    given: Given, pulses: Mapping[str, str], ports: Sequence[str]
) -> tuple[Expression, tuple[tuple[str, Expression], ...]]:
    """A derivative without the spikes in it, and how far these make the variable jump."""
    if calls(given.value) & {*RANDOM}:
        raise given.refuse(
            "a random function in an equation, which a solver would draw at each of its points",
            "draw in the update block",
        )
    pulsed = {*pulses, *ports}
    if not names(given.value) & pulsed:
        return given.value, ()
    jumps = []
    for name, port in [*pulses.items(), *((p, p) for p in ports)]:
        factor = _factor(given, given.value, name, pulsed)
        if factor != ZERO:
            # spikes of a port are pulses in 1/s, whose integral over ms is 1000 times as large
            scale = Number(Fraction(1000 if name in ports else 1))
            jumps.append((port, folded(Binary("*", factor, scale))))
    return replaced(given.value, dict.fromkeys(pulsed, ZERO)), tuple(jumps)


def _factor(given: Given, value: Expression, name: str, pulsed: Set[str]) -> Expression:
    """What a pulse is multiplied with, in a sum of such products."""

    def of(part: Expression) -> Expression:
        return _factor(given, part, name, pulsed)

    if name not in names(value):
        return ZERO
    match value:
        case Name():
            return ONE
        case Unary("-", operand):
            return _product("*", Number(Fraction(-1)), of(operand))
        case Binary("+" | "-" as operator, left, right):
            one, other = of(left), of(right)
            if ZERO not in (one, other):
                return Binary(operator, one, other)
            return (
                one
                if other == ZERO or (operator == "+" and one != ZERO)
                else (other if operator == "+" else Unary("-", other))
            )
        case Binary("*", left, right) if not names(left) & pulsed:
            return _product("*", left, of(right))
        case Binary("*" | "/" as operator, left, right) if not names(right) & pulsed:
            return _product(operator, of(left), right)
        case Choice(condition, yes, no) if not names(condition) & pulsed:
            return Choice(condition, of(yes), of(no))
    raise given.refuse(
        "spikes are pulses, whose height is no number, and this is not in proportion to them",
        "multiply them with numbers, and add",
    )


def _product(operator: str, left: Expression, right: Expression) -> Expression:
    if ZERO in (left, right):
        return ZERO
    if operator == "*" and ONE in (left, right):
        return right if left == ONE else left
    return folded(Binary(operator, left, right))


# --- kernels --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Solved:
    """The equations of a convolution, and what a spike adds to its variables."""

    moving: Mapping[str, Expression]
    begin: Mapping[str, Expression]


def _solved(kernel: Kernel, port: str, initial: Mapping[str, Expression]) -> _Solved:
    """A kernel with the spikes of a port, by ODE-toolbox.

    It gets other names, lest the model's be words of SymPy or Python.
    """
    own = [g.variable for g in kernel.given]
    used = {n for g in kernel.given for n in names(g.value)}
    used |= {n for name, value in initial.items() if bare(name) in own for n in names(value)}
    short = {name: f"k{k}" for k, name in enumerate(own)}
    others = sorted(n for n in used if bare(n) not in own and n != "t")
    short |= {name: f"p{k}" for k, name in enumerate(others)}
    entries = list(_entries(kernel, initial, short))
    try:
        found = _analysed({"dynamics": entries})
        moving = {n: folded(parsed(value)) for n, value in found["update_expressions"].items()}
        begin = {n: parsed(str(value)) for n, value in found["initial_values"].items()}
    except Exception as error:  # whatever ODE-toolbox or SymPy did not think of
        said = " ".join(str(error).split())
        raise kernel.given[0].refuse(
            f"ODE-toolbox finds no linear equation that the kernel {own[0]} solves "
            f"({type(error).__name__}: {said[:200]})",
            "write it as a sum of exponential functions times powers of t, or as equations",
        ) from error
    long = {n: _lengthened(n, short, port) for n in {*moving, *begin, *short.values()}}
    by: dict[str, Expression] = {n: Name(name) for n, name in long.items()}
    by["e"] = Call("exp", (ONE,))
    return _Solved(
        {long[n]: replaced(value, by) for n, value in moving.items()},
        {long[n]: folded(replaced(value, by)) for n, value in begin.items()},
    )


def _lengthened(name: str, short: Mapping[str, str], port: str) -> str:
    """The name that a short one stands for."""
    variable = bare(name)
    (long,) = (own for own, new in short.items() if new == variable)
    primes = name.removeprefix(variable)
    return convolved(long, port) + primes if variable.startswith("k") else long + primes


def _entries(
    kernel: Kernel, initial: Mapping[str, Expression], short: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    def said(value: Expression) -> str:
        by = {n: Name(short[bare(n)] + PRIME * _order(n)) for n in names(value) if bare(n) in short}
        written = text(replaced(value, by))
        for variable in sorted(short.values(), key=len, reverse=True):
            for n in range(most, 0, -1):
                written = written.replace(variable + PRIME * n, variable + "'" * n)
        return written

    most = max(g.order for g in kernel.given)
    for given in kernel.given:
        variable, order = short[given.variable], given.order
        entry: dict[str, Any] = {"expression": f"{variable}{chr(39) * order} = {said(given.value)}"}
        if order:
            entry["initial_values"] = {
                variable + "'" * n: said(initial.get(given.variable + PRIME * n, ZERO))
                for n in range(order)
            }
        yield entry


def _order(name: str) -> int:
    return (len(name) - len(bare(name))) // len(PRIME)


def _analysed(dynamics: dict[str, Any]) -> dict[str, Any]:
    import odetoolbox

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        (solver,) = odetoolbox.analysis(
            dynamics,
            disable_stiffness_check=True,
            disable_analytic_solver=True,
            log_level=logging.ERROR,
        )
    finally:  # it makes the log of the whole program its own
        root.handlers[:] = handlers
        root.setLevel(level)
    return dict(solver)


def _state(
    declared: Sequence[Quantity], kernels: Set[str], convolved: Mapping[str, Expression]
) -> tuple[Quantity, ...]:
    """What is declared, less the variables of kernels, and the variables of convolutions."""
    own = [q for q in declared if bare(q.name) not in kernels]
    return (*own, *(Quantity(name, "", Fraction(1), ZERO) for name in convolved))


# --- linear equations -----------------------------------------------------------------------------


def _linear(moving: Mapping[str, Expression], others: Set[str]) -> set[str]:
    """Variables whose equations are linear and depend on no equation that is not.

    Coefficients are constant: they have no time in them, and none of the `others`, which are
    variables that statements change.
    """
    found = set(moving)
    while True:
        keep = {name for name in found if _is_linear(moving[name], found, set(moving), others)}
        if keep == found:
            return found
        found = keep


def _is_linear(value: Expression, linear: Set[str], moving: Set[str], others: Set[str]) -> bool:
    used = names(value)
    return "t" not in used and not used & (moving - linear) and degree(value, linear | others) < 2


def degree(value: Expression, moving: Set[str]) -> int:
    """0 for what does not move, 1 for what is linear in what moves, else 2.

    Examples
    --------
    >>> degree(parsed("-(v - E_L) / tau + exp(a)"), {"v"}), degree(parsed("v**2"), {"v"})
    (1, 2)
    """
    match value:
        case Name(name):
            return int(name in moving)
        case Unary("-", operand):
            return degree(operand, moving)
        case Binary("+" | "-", left, right):
            return max(degree(left, moving), degree(right, moving))
        case Binary("*", left, right):
            return min(degree(left, moving) + degree(right, moving), NOT_LINEAR)
        case Binary("/", left, right) if degree(right, moving) == 0:
            return degree(left, moving)
        case Call(function) if function in RANDOM:
            return NOT_LINEAR
        case Choice():
            return NOT_LINEAR
    return NOT_LINEAR * any(degree(part, moving) for part in parts(value))

"""Which equations of a model have an exact solution, and what convolutions come to.

A group of equations that are linear, with constant coefficients, and depend on no other equation is
advanced exactly (Rotter & Diesmann 1999, Biol Cybern 81:381; `propagation`); the rest needs a
solver. ODE-toolbox makes equations of kernels that are functions of time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Given:
    """A derivative as the model has it: of some order, without inlines."""

    variable: str
    order: int
    value: Expression


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

    @property
    def integrated(self) -> tuple[str, ...]:
        """Variables that `Integrate` advances."""
        convolved = {name for c in self.convolutions for name in c.variables}
        return tuple(e.variable for e in self.equations if e.variable not in convolved)


def split_equations(
    state: Sequence[Quantity],
    given: Sequence[Given],
    convolutions: Sequence[tuple[str, str]],
    kernels: Mapping[str, Kernel],
    ports: Sequence[str],
) -> Split:
    """Split the equations.

    Parameters
    ----------
    state : sequence of Quantity
        As declared.
    given : sequence of Given
    convolutions : sequence of (kernel, port)
    kernels : dict
        By each of their variables.
    ports : sequence of str
        Of spikes.
    """
    initial = {q.name: q.value or ZERO for q in state}
    pulses = {convolved(k, port): port for k, port in convolutions if kernels[k].is_pulse}
    lasting = {(kernels[k], port): k for k, port in convolutions if not kernels[k].is_pulse}
    moving: dict[str, Expression] = {}
    jumps: dict[str, tuple[tuple[str, Expression], ...]] = {}
    for e in given:
        for n in range(e.order - 1):
            moving[e.variable + PRIME * n] = Name(e.variable + PRIME * (n + 1))
        last = e.variable + PRIME * (e.order - 1)
        moving[last], jumps[last] = _without_pulses(e.value, pulses, ports)
    solved = _solved([entry for k, port in lasting for entry in _entries(k, port, initial)])
    moving |= {
        n: folded(parsed(value)) for n, value in solved.get("update_expressions", {}).items()
    }
    others = {q.name for q in state} - set(moving)
    linear = _linear(moving, others)
    begin = {n: parsed(str(value)) for n, value in solved.get("initial_values", {}).items()}
    begin = {n: folded(replaced(value, {"e": Call("exp", (ONE,))})) for n, value in begin.items()}
    return Split(
        state=_state(state, {g.variable for k, _ in lasting for g in k.given}, begin),
        convolutions=tuple(_convolution(k, port, begin) for k, port in lasting),
        equations=tuple(
            Equation(name, value, name in linear, jumps.get(name, ()))
            for name, value in moving.items()
        ),
    )


def _convolution(kernel: Kernel, port: str, begin: Mapping[str, Expression]) -> Convolution:
    own = {convolved(given.variable, port) for given in kernel.given}
    variables = tuple(name for name in begin if bare(name) in own)
    return Convolution(
        port, variables, tuple((name, begin[name]) for name in variables if begin[name] != ZERO)
    )


def convolved(kernel: str, port: str) -> str:
    """What the convolution of a kernel with the spikes of a port is called."""
    return f"{kernel}__X__{port}"


def bare(name: str) -> str:
    """The variable that a name is a derivative of."""
    return name.replace(PRIME, "")


def _without_pulses(
    value: Expression, pulses: Mapping[str, str], ports: Sequence[str]
) -> tuple[Expression, tuple[tuple[str, Expression], ...]]:
    """A derivative without the spikes in it, and how far these make the variable jump."""
    if not names(value) & {*pulses, *ports}:
        return value, ()
    import sympy

    symbols = {name: sympy.Symbol(name) for name in names(value)}
    whole = sympy.parse_expr(text(value), local_dict=symbols)
    jumps = []
    for name, port in [*pulses.items(), *((p, p) for p in ports)]:
        factor = sympy.nsimplify(sympy.diff(whole, symbols.get(name, sympy.Symbol(name))))
        if factor != 0:
            # spikes of a port are pulses in 1/s, whose integral over ms is 1000 times as large
            jumps.append((port, parsed(str(factor * (1000 if name in ports else 1)))))
    without = replaced(value, dict.fromkeys((*pulses, *ports), ZERO))
    return without, tuple(jumps)


# --- kernels --------------------------------------------------------------------------------------


def _entries(
    kernel: Kernel, port: str, initial: Mapping[str, Expression]
) -> Iterator[dict[str, Any]]:
    """A kernel with the spikes of a port, for ODE-toolbox."""
    primed = {
        g.variable + PRIME * n: (convolved(g.variable, port), n)
        for g in kernel.given
        for n in range(max(g.order, 1))
    }
    for given in kernel.given:
        variable, order = convolved(given.variable, port), given.order
        new = {old: Name(name + PRIME * n) for old, (name, n) in primed.items()}
        said = text(replaced(given.value, new))
        if order == 0:
            yield {"expression": f"{variable} = {said}"}
            continue
        for name, n in sorted(primed.values(), key=lambda pair: -pair[1]):
            said = said.replace(name + PRIME * n, name + "'" * n)
        yield {
            "expression": f"{variable}{chr(39) * order} = {said}",
            "initial_values": {
                variable + "'" * n: text(initial.get(given.variable + PRIME * n, ZERO))
                for n in range(order)
            },
        }


def _solved(dynamics: list[dict[str, Any]]) -> dict[str, Any]:
    if not dynamics:
        return {}
    import odetoolbox

    (solver,) = odetoolbox.analysis(
        {"dynamics": dynamics},
        disable_stiffness_check=True,
        disable_analytic_solver=True,
        log_level=logging.ERROR,
    )
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

"""What a neuron model does, carried out plainly: what all backends are compared with.

Slow and simple: each statement is carried out as `form` says, for some neurons at a time. Equations
without an exact solution are solved by the classical Runge-Kutta method in many parts of a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, UnsupportedError
from .expressions import (
    RANDOM,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
    calls,
    names,
)
from .form import ALMOST, STEP, Assign, Branch, Integrate, Neuron, Quantity, Spike, Statement
from .propagation import factor_name, factors, rows

Values = NDArray[np.float64]
PART = 0.1 / 32  # ms


def _erf(x: Any) -> Any:
    from scipy import special  # which a job at the portal need not have

    return special.erf(x)


def _erfc(x: Any) -> Any:
    from scipy import special

    return special.erfc(x)


def _round(x: Any) -> Any:
    """The nearest whole number; halves go away from 0."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log10": np.log10, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "erf": _erf, "erfc": _erfc, "abs": np.abs, "ceil": np.ceil, "floor": np.floor,
    "round": _round, "trunc": np.trunc, "min": np.minimum, "max": np.maximum, "sqrt": np.sqrt,
}  # fmt: skip
DIVISIONS = {"/": "divide", "//": "floor_divide", "%": "mod", "**": "power"}
FUNCTIONS |= {
    "where": np.where, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_not": np.logical_not, "divide": np.divide, "floor_divide": np.floor_divide,
    "mod": np.fmod, "power": np.power, "len_of": lambda values: next(iter(values.values())).shape,
}  # fmt: skip


def evaluate(
    expression: Expression, values: Mapping[str, Any], rng: np.random.Generator | None = None
) -> Any:
    """The value of an expression.

    Examples
    --------
    >>> from portable_cortex.neurons.expressions import parsed
    >>> float(evaluate(parsed("a + 2 * exp(0) if a < 3 else a"), {"a": 1.0}))
    3.0
    """
    return function(expression)(values, rng)[0]


def resolved(
    neuron: Neuron, step: float, given: Mapping[str, Any], rng: np.random.Generator | None = None
) -> dict[str, Any]:
    """Values of parameters and internals, and initial ones of variables, in the units of `form`.

    Parameters
    ----------
    neuron : Neuron
    step : float
        ms.
    given : dict
        Parameters that do not have their defaults.

    Raises
    ------
    InvalidValueError
        For values that are computed from each other in a circle, or from what is not known.
    """
    values: dict[str, Any] = {STEP: step, **given}
    quantities = {
        q.name: q for q in (*neuron.inlines, *neuron.parameters, *neuron.internals, *neuron.state)
    }

    def resolve(name: str, asking: tuple[str, ...]) -> None:
        if name in values:
            return
        if name in asking or name not in quantities:
            raise InvalidValueError(
                f"{neuron.name}: {asking[-1]} is computed from {name}, which has no value before it"
            )
        value = quantities[name].value
        if rng is None and value is not None and calls(value) & set(RANDOM):
            raise UnsupportedError(
                f"{neuron.name}: {name} begins with a random number; draw it in PyNN, with a "
                "RandomDistribution for the parameter or in initialize()"
            )
        for other in sorted(names(value)) if value is not None else ():
            resolve(other, (*asking, name))
        values[name] = 0.0 if value is None else evaluate(value, values, rng)

    wanted = (*neuron.parameters, *neuron.internals, *neuron.state)
    for quantity in wanted:
        resolve(quantity.name, (quantity.name + " ",))
    for quantity in wanted:
        if quantity.guard is not None:
            _check_guard(neuron, quantity, values)
    return {STEP: step} | {q.name: values[q.name] for q in wanted}


def _check_guard(neuron: Neuron, quantity: Quantity, values: Mapping[str, Any]) -> None:
    assert quantity.guard is not None
    value, holds = np.broadcast_arrays(values[quantity.name], evaluate(quantity.guard, values))
    wrong = value[~holds.astype(bool)]
    if wrong.size:
        raise InvalidValueError(
            f"{neuron.name}: {quantity.name} has to be such that {quantity.guard}, and is "
            f"{wrong.flat[0] / float(quantity.factor):g} {quantity.unit}".rstrip()
        )


def function(*expressions: Expression) -> Callable[..., tuple[Any, ...]]:
    """Several expressions as a Python function of a dictionary of values and a generator."""
    said = ", ".join(map(_said, expressions))
    made: Callable[..., tuple[Any, ...]] = eval(f"lambda v, rng: ({said},)", dict(FUNCTIONS))
    return made


def _said(expression: Expression) -> str:
    """An expression in terms of NumPy's functions."""
    match expression:
        case Number(value):
            return f"float('{float(value)}')" if math.isinf(value) else repr(float(value))
        case Name(name):
            return f"v[{name!r}]"
        case Unary("-", operand):
            return f"(-{_said(operand)})"
        case Unary(_, operand):
            return f"logical_not({_said(operand)})"
        case Binary("and" | "or" as operator, left, right):
            return f"logical_{operator}({_said(left)}, {_said(right)})"
        case Binary("//" | "%" | "/" | "**" as operator, left, right):  # as NumPy does by zero
            return f"{DIVISIONS[operator]}({_said(left)}, {_said(right)})"
        case Binary(operator, left, right):
            return f"({_said(left)} {operator} {_said(right)})"
        case Choice(condition, yes, no):
            return f"where({_said(condition)}, {_said(yes)}, {_said(no)})"
        case Call("random_uniform" | "random_normal" as name, (first, second)):
            draw = "random" if name == "random_uniform" else "standard_normal"
            return f"({_said(first)} + {_said(second)} * rng.{draw}(len_of(v)))"
        case Call(name, arguments):
            return f"{name}({', '.join(map(_said, arguments))})"


@dataclass(frozen=True)
class Course:
    """What some neurons did.

    Attributes
    ----------
    variables : dict
        Of the variables asked for the values after each step, shape (steps, neurons).
    spikes : array of bool, shape (steps, neurons)
    """

    variables: dict[str, Values]
    spikes: NDArray[np.bool_]


class Reference:
    """Some neurons of a model.

    Parameters
    ----------
    neuron : Neuron
    step : float
        ms.
    n : int
        Neurons.
    parameters : dict, optional
        Values in the units of `form`, a number or one for each neuron.
    seed : int, optional
    part : float, optional
        The longest time that the solver advances by at once, ms.
    """

    def __init__(
        self,
        neuron: Neuron,
        step: float,
        n: int = 1,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 0,
        part: float = PART,
    ) -> None:
        self._neuron, self._n = neuron, n
        self._parts = math.ceil(step / part - ALMOST)
        self._rng = np.random.default_rng(seed)
        self.values: dict[str, Values] = {STEP: self._each(step)}
        values = resolved(neuron, step, parameters or {}, self._rng)
        constants = {q.name: values[q.name] for q in (*neuron.parameters, *neuron.internals)}
        self.values |= {name: self._each(value) for name, value in values.items()}
        for port in neuron.ports:
            self.values[port.name] = self._each(0.0)
        for current in neuron.currents:
            self.values[current.name] = self._each(0.0)
        self._factors = factors(neuron, step, constants)
        self._rows = {row.variable: row for row in rows(neuron)}
        self._n_done = 0
        self._functions: dict[tuple[int, ...], Callable[..., tuple[Any, ...]]] = {}
        self._solvers: dict[tuple[str, ...], tuple[Callable[..., None], list[str]]] = {}
        self._convolved, self._timers = neuron.convolved, neuron.timers

    def _value(self, *expressions: Expression) -> Any:
        """Values of expressions of the model, which are made functions once."""
        key = tuple(map(id, expressions))
        if key not in self._functions:
            self._functions[key] = function(*expressions)
        values = self._functions[key](self.values, self._rng)
        return values if len(values) > 1 else values[0]

    def _each(self, value: Any) -> Values:
        values = np.empty(self._n)
        values[:] = value
        return values

    def run(
        self,
        n_steps: int,
        arrivals: Mapping[str, Any] | None = None,
        currents: Mapping[str, Any] | None = None,
        record: Sequence[str] = (),
    ) -> Course:
        """Advance.

        Parameters
        ----------
        n_steps : int
        arrivals : dict, optional
            Summed weights of the spikes that arrive at a port in each step, shape (steps,) or
            (steps, neurons), in the units of `form`.
        currents : dict, optional
            Continuous inputs in each step, in the same way.
        record : sequence of str
            Variables and inlines.
        """
        courses: dict[str, Values] = {name: np.empty((n_steps, self._n)) for name in record}
        spikes = np.zeros((n_steps, self._n), bool)
        inlines = {q.name: q.value for q in self._neuron.inlines}
        for k in range(n_steps):
            for name, values in (currents or {}).items():
                self.values[name] = self._each(np.asarray(values)[k])
            for name, values in (arrivals or {}).items():
                self.values[name] = self._each(np.asarray(values)[k])
            spikes[k] = self._advance()
            for name in record:
                own = inlines.get(name)
                courses[name][k] = self.values[name] if own is None else self._value(own)
        return Course(courses, spikes)

    def _advance(self) -> NDArray[np.bool_]:
        neuron, everyone = self._neuron, np.ones(self._n, bool)
        fired = np.zeros(self._n, bool)
        self._n_done += 1
        self.values["t"] = self._each(self._n_done * float(self.values[STEP][0]))
        convolved = {name: self._stepped(name) for name in self._convolved}
        self._carry_out(neuron.update, everyone, fired)
        for port, statements in neuron.receive:
            self._carry_out(statements, self.values[port] != 0.0, fired)
        self.values |= convolved
        for convolution in neuron.convolutions:
            for name, jump in convolution.jumps:
                self.values[name] = self.values[name] + (
                    self._value(jump) * self.values[convolution.port]
                )
        for condition, statements in neuron.conditions:
            holds = np.broadcast_to(self._value(condition), (self._n,))
            self._carry_out(statements, holds, fired)
        return fired

    def _carry_out(
        self, statements: Sequence[Statement], mask: NDArray[np.bool_], fired: NDArray[np.bool_]
    ) -> None:
        if not mask.any():
            return
        for statement in statements:
            match statement:
                case Assign(name, value):
                    new = self._each(self._value(value))
                    old = self.values.get(name, new)
                    self.values[name] = np.where(mask, new, old)
                case Branch(condition, yes, no):
                    holds = np.asarray(self._value(condition), bool)
                    self._carry_out(yes, mask & holds, fired)
                    self._carry_out(no, mask & ~holds, fired)
                case Integrate(variables):
                    self._integrate(variables, mask)
                case Spike():
                    fired |= mask

    def _stepped(self, name: str) -> Values:
        row = self._rows[name]
        value = self._factors[factor_name(name)]
        for source in (*row.sources, *row.inputs):
            value = value + self._factors[factor_name(name, source)] * self.values[source]
        if name in self._timers:
            value = np.where(np.abs(value) < ALMOST * self.values[STEP], 0.0, value)
        return self._each(value)

    def _integrate(self, variables: Sequence[str], mask: NDArray[np.bool_]) -> None:
        neuron = self._neuron
        equations = [neuron.equation(name) for name in variables]
        new = {e.variable: self._stepped(e.variable) for e in equations if e.is_linear}
        if len(new) < len(equations):
            solved = self._solved([e.variable for e in equations])
            new = solved | new
        for equation in equations:
            for port, factor in equation.jumps:
                jump = self._value(factor) * self.values[port]
                new[equation.variable] = new[equation.variable] + jump
        for name, value in new.items():
            self.values[name] = np.where(mask, value, self.values[name])

    def _solved(self, variables: Sequence[str]) -> dict[str, Values]:
        """By Runge and Kutta's method; convolutions move, too."""
        moving = (*variables, *sorted(self._convolved))
        if moving not in self._solvers:
            formulas = [self._neuron.equation(name).derivative for name in moving]
            others = sorted({n for formula in formulas for n in names(formula)} - {*moving})
            self._solvers[moving] = _solver(moving, others, formulas), others
        y = np.array([self.values[name] for name in moving])
        solve, others = self._solvers[moving]
        known = np.array([self.values[name] for name in others]).reshape(-1, self._n)
        solve(y, known, float(self.values[STEP][0]) / self._parts, self._parts)
        return dict(zip(variables, y, strict=False))


def _solver(
    variables: Sequence[str], others: Sequence[str], derivatives: Sequence[Expression]
) -> Callable[..., None]:
    """The classical Runge-Kutta method, compiled: it takes far more time than all else here.

    What is returned takes values of variables, which it changes, and of other names, shape (names,
    neurons), the length of a part, and the number of parts.
    """
    import numba  # which a job at the portal need not have

    made: dict[str, Any] = {**FUNCTIONS, "erf": math.erf, "erfc": math.erfc}
    made["where"] = numba.njit(lambda holds, yes, no: float(yes) if holds else float(no))
    made |= {"inf": math.inf, "round": numba.njit(_round)}
    called = {name: f"x{k}" for k, name in enumerate((*variables, *others))}
    if any(calls(derivative) & set(RANDOM) for derivative in derivatives):
        raise UnsupportedError(
            f"the equations of {', '.join(variables)} have a random function, which a solver would "
            "draw at each of its points: draw in the update block"
        )
    said = [_said(derivative).replace("float('inf')", "inf") for derivative in derivatives]
    said = [text.replace("float('-inf')", "(-inf)") for text in said]
    for name, short in called.items():
        said = [text.replace(f"v[{name!r}]", short) for text in said]
    given = ", ".join(called.values())
    exec(f"def slope({given}): return ({', '.join(said)},)", made)
    made["slope"] = numba.njit(made["slope"], error_model="numpy")
    n = range(len(variables))
    rest = "".join(f", {called[name]}" for name in others)

    def slopes(result: str, before: str, part: str) -> str:
        at = [f"x{k} + {part} * {before}{k}" if before else f"x{k}" for k in n]
        return f"{', '.join(f'{result}{k}' for k in n)}, = slope({', '.join(at)}{rest})"

    lines = [
        "def solve(x, known, h, parts):",
        " for j in range(x.shape[1]):",
        *(f"  x{k} = x[{k}, j]" for k in n),
        *(f"  {called[name]} = known[{k}, j]" for k, name in enumerate(others)),
        "  for _ in range(parts):",
        f"   {slopes('a', '', '')}",
        f"   {slopes('b', 'a', 'h / 2')}",
        f"   {slopes('c', 'b', 'h / 2')}",
        f"   {slopes('d', 'c', 'h')}",
        *(f"   x{k} += h / 6 * (a{k} + 2 * (b{k} + c{k}) + d{k})" for k in n),
        *(f"  x[{k}, j] = x{k}" for k in n),
    ]
    exec("\n".join(lines), made)
    solve: Callable[..., None] = numba.njit(made["solve"], error_model="numpy")
    return solve

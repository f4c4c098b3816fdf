"""What a neuron model does, carried out plainly: what all backends are compared with.

Slow and simple: each statement is carried out as `form` says, for some neurons at a time. Equations
without an exact solution are solved by the classical Runge-Kutta method in many parts of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .expressions import Binary, Call, Choice, Expression, Name, Number, Unary
from .form import STEP, Assign, Branch, Integrate, Neuron, Spike, Statement
from .propagation import factor_name, factors, rows

Values = NDArray[np.float64]
PARTS = 64  # of a step, in the solver
ALMOST = 1e-6  # of a step: where a timer has ended

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log10": np.log10, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "erf": special.erf, "erfc": special.erfc, "abs": np.abs, "ceil": np.ceil, "floor": np.floor,
    "round": np.round, "min": np.minimum, "max": np.maximum, "sqrt": np.sqrt,
}  # fmt: skip
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "//": np.floor_divide,
    "%": np.mod, "**": np.power, "<": np.less, "<=": np.less_equal, "==": np.equal,
    "!=": np.not_equal, ">=": np.greater_equal, ">": np.greater, "and": np.logical_and,
    "or": np.logical_or,
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
    match expression:
        case Number(value):
            return float(value)
        case Name(name):
            return values[name]
        case Unary(operator, operand):
            value = evaluate(operand, values, rng)
            return -value if operator == "-" else np.logical_not(value)
        case Binary(operator, left, right):
            sides = evaluate(left, values, rng), evaluate(right, values, rng)
            return OPERATORS[operator](*sides)
        case Choice(condition, yes, no):
            return np.where(
                evaluate(condition, values, rng),
                evaluate(yes, values, rng),
                evaluate(no, values, rng),
            )
        case Call("random_uniform" | "random_normal" as function, arguments):
            assert rng is not None
            first, second = (evaluate(a, values, rng) for a in arguments)
            n = next(iter(values.values())).shape
            if function == "random_normal":
                return first + second * rng.standard_normal(n)
            return first + second * rng.random(n)
        case Call(function, arguments):
            return FUNCTIONS[function](*(evaluate(a, values, rng) for a in arguments))


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
    """

    def __init__(
        self,
        neuron: Neuron,
        step: float,
        n: int = 1,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._neuron, self._n = neuron, n
        self._rng = np.random.default_rng(seed)
        self.values: dict[str, Values] = {STEP: self._each(step)}
        for quantity in neuron.parameters:
            given = (parameters or {}).get(quantity.name)
            self._define(quantity.name, quantity.value, given)
        for quantity in neuron.internals:
            self._define(quantity.name, quantity.value, None)
        constants = dict(self.values)
        for quantity in neuron.state:
            self._define(quantity.name, quantity.value, None)
        for port in neuron.ports:
            self.values[port.name] = self._each(0.0)
        for current in neuron.currents:
            self.values[current.name] = self._each(0.0)
        self._factors = factors(neuron, step, constants)
        self._rows = {row.variable: row for row in rows(neuron)}
        self._t = 0.0

    def _define(self, name: str, value: Expression | None, given: Any) -> None:
        if given is None:
            given = 0.0 if value is None else evaluate(value, self.values, self._rng)
        self.values[name] = self._each(given)

    def _each(self, value: Any) -> Values:
        return np.array(np.broadcast_to(np.asarray(value, float), (self._n,)))

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
                courses[name][k] = self.values[name] if own is None else evaluate(own, self.values)
        return Course(courses, spikes)

    def _advance(self) -> NDArray[np.bool_]:
        neuron, everyone = self._neuron, np.ones(self._n, bool)
        fired = np.zeros(self._n, bool)
        self._t += float(self.values[STEP][0])
        self.values["t"] = self._each(self._t)
        convolved = {name: self._stepped(name) for name in neuron.convolved}
        self._carry_out(neuron.update, everyone, fired)
        for port, statements in neuron.receive:
            self._carry_out(statements, self.values[port] != 0.0, fired)
        self.values |= convolved
        for convolution in neuron.convolutions:
            for name, jump in convolution.jumps:
                self.values[name] = self.values[name] + (
                    evaluate(jump, self.values) * self.values[convolution.port]
                )
        for condition, statements in neuron.conditions:
            holds = np.broadcast_to(evaluate(condition, self.values, self._rng), (self._n,))
            self._carry_out(statements, holds, fired)
        return fired

    def _carry_out(
        self, statements: Sequence[Statement], mask: NDArray[np.bool_], fired: NDArray[np.bool_]
    ) -> None:
        for statement in statements:
            match statement:
                case Assign(name, value):
                    new = self._each(evaluate(value, self.values, self._rng))
                    old = self.values.get(name, new)
                    self.values[name] = np.where(mask, new, old)
                case Branch(condition, yes, no):
                    holds = np.asarray(evaluate(condition, self.values, self._rng), bool)
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
        if name in self._neuron.timers:
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
                jump = evaluate(factor, self.values) * self.values[port]
                new[equation.variable] = new[equation.variable] + jump
        for name, value in new.items():
            self.values[name] = np.where(mask, value, self.values[name])

    def _solved(self, variables: Sequence[str]) -> dict[str, Values]:
        """By Runge and Kutta's method; convolutions move, too."""
        neuron = self._neuron
        moving = [*variables, *sorted(neuron.convolved)]
        h = float(self.values[STEP][0]) / PARTS
        y = {name: self.values[name] for name in moving}

        def slope(at: dict[str, Values]) -> dict[str, Values]:
            values = self.values | at
            return {
                name: self._each(evaluate(neuron.equation(name).derivative, values))
                for name in moving
            }

        def moved(k: dict[str, Values], by: float) -> dict[str, Values]:
            return {name: y[name] + by * k[name] for name in moving}

        for _ in range(PARTS):
            k1 = slope(y)
            k2 = slope(moved(k1, h / 2))
            k3 = slope(moved(k2, h / 2))
            k4 = slope(moved(k3, h))
            y = {n: y[n] + h / 6 * (k1[n] + 2 * k2[n] + 2 * k3[n] + k4[n]) for n in moving}
        return {name: y[name] for name in variables}

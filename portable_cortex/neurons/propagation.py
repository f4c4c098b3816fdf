"""Exact solutions of linear equations: which values a step mixes, and with which factors.

The variables x of a model's linear equations obey dx/dt = A x + B u + c, where u are inputs that
stay as they are within a step. A step later they are P x + Q u + r, of which all factors stand in
the exponential of a matrix that has A, B and c in its rows (Rotter & Diesmann 1999, Biol Cybern
81:381). It is computed of numbers, not of formulas, so that equal time constants are no exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .expressions import names, vanishes
from .form import Neuron


@dataclass(frozen=True)
class Row:
    """What a variable is made of in a step.

    Attributes
    ----------
    variable : str
    sources : tuple of str
        Variables that it is a weighted sum of.
    inputs : tuple of str
        Continuous inputs, and variables that only statements change, in that sum.
    is_shifted : bool
        Whether a constant is added.
    """

    variable: str
    sources: tuple[str, ...]
    inputs: tuple[str, ...]
    is_shifted: bool


def factor_name(variable: str, source: str = "") -> str:
    """What the factor of a source in a variable's sum is called; without source, the constant."""
    return f"P__{variable}__{source}" if source else f"P__{variable}"


def rows(neuron: Neuron) -> tuple[Row, ...]:
    """The sums of all linear equations of a model."""
    linear = {e.variable: e.derivative for e in neuron.equations if e.is_linear}
    inputs = _inputs(neuron)
    reached: dict[str, frozenset[str]] = {
        name: names(derivative) | {name} for name, derivative in linear.items()
    }
    while True:
        more = {
            name: found.union(*(reached[other] for other in found & set(linear)))
            for name, found in reached.items()
        }
        if more == reached:
            break
        reached = more
    return tuple(
        Row(
            name,
            tuple(other for other in linear if other in found),
            tuple(one for one in inputs if one in found),
            not all(vanishes(linear[other], {*linear, *inputs}) for other in found & set(linear)),
        )
        for name, found in reached.items()
    )


def _inputs(neuron: Neuron) -> list[str]:
    moving = {e.variable for e in neuron.equations}
    return [
        *(q.name for q in neuron.currents),
        *(q.name for q in neuron.state if q.name not in moving),
    ]


def factors(
    neuron: Neuron, step: float, values: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """All factors, by name, as `factor_name` has them.

    Parameters
    ----------
    neuron : Neuron
    step : float
        ms.
    values : dict
        Parameters and internals, one value for each neuron, or one for all.
    """
    from scipy.linalg import expm  # which a job at the portal need not have

    from .reference import evaluate

    linear = [e for e in neuron.equations if e.is_linear]
    variables, inputs = [e.variable for e in linear], _inputs(neuron)
    columns = [*variables, *inputs]
    n = max((np.size(v) for v in values.values()), default=1)
    matrix = np.zeros((n, len(columns) + 1, len(columns) + 1))
    nothing = dict.fromkeys(columns, np.zeros(1))
    for i, equation in enumerate(linear):
        constant = evaluate(equation.derivative, {**values, **nothing})
        matrix[:, i, -1] = constant
        for j, column in enumerate(columns):
            if column in names(equation.derivative):
                moved = evaluate(equation.derivative, {**values, **nothing, column: np.ones(1)})
                matrix[:, i, j] = moved - constant
    # neurons that differ in what is not linear have the same matrix
    kinds, kind = np.unique(matrix.reshape(n, -1), axis=0, return_inverse=True)
    later = expm(kinds.reshape(-1, *matrix.shape[1:]) * step)[np.ravel(kind)]
    found = {}
    for i, variable in enumerate(variables):
        found[factor_name(variable)] = later[:, i, -1]
        for j, column in enumerate(columns):
            found[factor_name(variable, column)] = later[:, i, j]
    return found

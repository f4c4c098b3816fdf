"""The numbers of a model: parameters, internals and exact factors of some neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from .form import Neuron
from .lowering import PARTS, half, parted, prefix, solved
from .propagation import factors
from .reference import resolved

F64 = NDArray[np.float64]


def numbers(neuron: Neuron, parameters: Mapping[str, F64], step: float) -> dict[str, F64]:
    """Parameters, internals, initial values and factors, in the units of `form`.

    Parameters
    ----------
    neuron : Neuron
    parameters : dict
        In the units of the model, one for each neuron, or one for all.
    step : float
        ms.

    Returns
    -------
    dict of str to array
        One for all, or one for each neuron. Factors have the names of `propagation`, those of parts
        of a step with `lowering.half` before them.

    Raises
    ------
    InvalidValueError
        For parameters with which the equations have no solution.
    """
    given = [np.atleast_1d(_given(q.name, parameters)) for q in neuron.parameters]
    table = np.array(np.broadcast_arrays(*given)) if given else np.empty((0, 1))
    if np.all(table == table[:, :1]):  # mostly, and found much faster than kinds are
        kinds, kind = table[:, :1], np.zeros(1, np.int64)
    else:
        kinds, kind = np.unique(table, axis=1, return_inverse=True)
    own = dict(zip((q.name for q in neuron.parameters), kinds, strict=True))
    with np.errstate(all="ignore"):
        values = resolved(neuron, step, in_form(neuron, own))
        known = {name: np.atleast_1d(np.asarray(v, float)) for name, v in values.items()}
        systems = [("", neuron, step)]
        if not neuron.is_exact:
            systems += [(half(parts), neuron, 0.5 * step / parts) for parts in (1, PARTS)]
        for variables in solved(neuron):
            linear = parted(neuron, variables).linear
            systems += [(prefix(neuron, variables, n), linear, step / n) for n in (1, 2)]
        found = {
            start + name: value
            for start, system, length in systems
            for name, value in factors(system, length, known).items()
        }
    if not all(np.isfinite(value).all() for value in found.values()):
        raise InvalidValueError(
            f"with these parameters {neuron.name} has no solution: is a time constant, or what it "
            "divides by, 0?"
        )
    if kinds.shape[1] > 1:
        each: Any = np.ravel(kind)
        return {n: v if v.size == 1 else v[each] for n, v in (known | found).items()}
    return known | found


def in_form(neuron: Neuron, parameters: Mapping[str, F64]) -> dict[str, Any]:
    """Parameters in the units of `form`, from those of the model."""
    return {q.name: _given(q.name, parameters) * float(q.factor) for q in neuron.parameters}


def _given(name: str, parameters: Mapping[str, Any]) -> F64:
    """A parameter, which may be an element of PyNN's array parameter: the first is ``name_1``."""
    if name in parameters:
        return np.asarray(parameters[name], float)
    array, _, number = name.rpartition("_")
    return np.array([each.value[int(number) - 1] for each in np.ravel(parameters[array])], float)

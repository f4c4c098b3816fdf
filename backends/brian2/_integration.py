"""Exact integration of the current-based neurons, as NEST does it.

Between spikes the equations are linear, so a step is a product with numbers that depend on the
time constants only [1]_. They are computed here, once, and not by Brian2's symbolic ``exact``
method: that takes seconds for every network, computes exponentials for every cell whose time
constants differ from its neighbours', and fails where two time constants are equal.

.. [1] Rotter & Diesmann (1999), Biological Cybernetics 81, doi:10.1007/s004220050570
"""

from __future__ import annotations

from collections.abc import Mapping
from math import factorial
from typing import Any

import brian2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_DERIVED: dict[str, str] = {}  # code by equations


def propagators(
    parameters: Mapping[str, FloatArray], step: float, *, alpha: bool
) -> dict[str, tuple[str, FloatArray]]:
    """Brian2's unit and the values (SI) of the numbers that `code` multiplies with.

    Parameters
    ----------
    parameters : mapping of str to array
        ``tau_m``, ``tau_syn_E``, ``tau_syn_I`` (ms), ``cm`` (nF) of each cell.
    step : float
        Time step, ms.
    alpha : bool
        Whether synaptic currents rise before they decay.

    Examples
    --------
    >>> tau = {"tau_m": np.array([10.0]), "cm": np.array([0.25])}
    >>> tau |= {"tau_syn_E": np.array([10.0]), "tau_syn_I": np.array([0.5])}
    >>> propagators(tau, 0.1, alpha=False)["from_exc"][1]  # equal time constants are no problem
    array([396019.9...])
    """
    tau_m, cm = parameters["tau_m"], parameters["cm"]
    decay = np.exp(-step / tau_m)
    found = {
        "keep_v": ("1", decay),
        "from_current": ("ohm", -np.expm1(-step / tau_m) * tau_m / cm * 1e6),
    }
    for receptor, name in (("exc", "tau_syn_E"), ("inh", "tau_syn_I")):
        tau = parameters[name]
        difference = step / tau - step / tau_m
        found[f"keep_{receptor}"] = ("1", np.exp(-step / tau))
        found[f"from_{receptor}"] = ("ohm", decay * _moment(difference, 0) * step / cm * 1e6)
        if alpha:
            rise = decay * _moment(difference, 1) * step * step / (cm * tau) * 1e6
            found[f"from_rise_{receptor}"] = ("ohm", rise)
            found[f"grow_{receptor}"] = ("1", step / tau)
    return found


def _moment(x: FloatArray, order: int) -> FloatArray:
    """Integral of s^order exp(-x s) for s from 0 to 1."""
    if order == 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(x == 0, 1.0, -np.expm1(-x) / x)
    small = np.clip(x, -1.0, 1.0)  # where the closed form would lose digits
    series = sum((-small) ** k / (factorial(k) * (k + 2)) for k in range(20))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(x) < 1, series, (1 - np.exp(-x) * (1 + x)) / x**2)


def code(*, alpha: bool, injected: bool) -> Any:
    """One step in Brian2's language, in the place of an integration method's name.

    Brian2 itself leaves ``v`` alone while a neuron is refractory.
    """
    current = "(i_offset + i_injected)" if injected else "i_offset"
    terms = ["v_rest", "(v - v_rest)*keep_v", f"{current}*from_current"]
    updates = []
    for receptor in ("exc", "inh"):
        terms.append(f"isyn_{receptor}*from_{receptor}")
        if alpha:
            terms.append(f"rise_{receptor}*from_rise_{receptor}")
            grown = f"(isyn_{receptor} + rise_{receptor}*grow_{receptor})*keep_{receptor}"
            updates.append(f"isyn_{receptor} = {grown}")
            updates.append(f"rise_{receptor} = rise_{receptor}*keep_{receptor}")
        else:
            updates.append(f"isyn_{receptor} = isyn_{receptor}*keep_{receptor}")
    lines = "\n".join([f"v = {' + '.join(terms)}", *updates])
    return lambda equations, variables, method_options=None: lines


def runge_kutta(model: str) -> Any:
    """Brian2's rk4 for differential equations, derived once, since that takes seconds."""

    def method(equations: Any, variables: Any, method_options: Any = None) -> str:
        if model not in _DERIVED:
            _DERIVED[model] = brian2.rk4(equations, variables, method_options)
        return _DERIVED[model]

    return method

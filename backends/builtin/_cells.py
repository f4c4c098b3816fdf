"""PyNN's cell types and sources in the engine's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import build_translations, cells

from . import _integrate

F64 = NDArray[np.float64]
Parameters = Mapping[str, F64]


@dataclass(frozen=True)
class Model:
    """How the engine advances a cell type.

    Attributes
    ----------
    code : int
        Which function of `_integrate`.
    variables : dict of str to str
        State variables in the engine's order, and their units.
    constants : callable
        From parameters (PyNN's units) and time step (ms) to the rows of constants.
    relative_to_rest : bool
        Whether the engine's ``v`` is relative to ``v_rest``.
    """

    code: int
    variables: Mapping[str, str]
    constants: Callable[[Parameters, float], list[F64]]
    relative_to_rest: bool = False


def _same_names(celltype: type) -> Any:
    """The engine takes PyNN's parameters as they are."""
    return build_translations(*((name, name) for name in celltype.default_parameters))  # type: ignore[attr-defined]


def _propagator(tau_syn: F64, tau_m: F64, cm: F64, step: float) -> F64:
    """What a synaptic current adds to v within a step, mV/nA (Rotter & Diesmann 1999, eq. 10)."""
    tau_syn, tau_m, cm = np.broadcast_arrays(tau_syn, tau_m, cm)
    rate = (tau_m - tau_syn) / (tau_m * tau_syn)
    equal = np.abs(rate) < 1e-9  # the limit of equal time constants
    safe = np.where(equal, 1.0, rate)
    factor = np.where(equal, step, np.expm1(step * safe) / safe)
    return np.asarray(np.exp(-step / tau_syn) * factor / cm)


def _refractory_steps(p: Parameters, step: float) -> F64:
    return np.asarray(np.rint(p["tau_refrac"] / step))


def _if_curr_exp(p: Parameters, step: float) -> list[F64]:
    by_current = -p["tau_m"] / p["cm"] * np.expm1(-step / p["tau_m"])
    return [
        np.exp(-step / p["tau_m"]),
        _propagator(p["tau_syn_E"], p["tau_m"], p["cm"], step),
        _propagator(p["tau_syn_I"], p["tau_m"], p["cm"], step),
        np.exp(-step / p["tau_syn_E"]),
        np.exp(-step / p["tau_syn_I"]),
        by_current * p["i_offset"],
        by_current,
        p["v_thresh"] - p["v_rest"],
        p["v_reset"] - p["v_rest"],
        _refractory_steps(p, step),
    ]


class IF_curr_exp(cells.IF_curr_exp):  # type: ignore[misc]  # noqa: N801  # PyNN's name
    __doc__ = cells.IF_curr_exp.__doc__
    translations = _same_names(cells.IF_curr_exp)
    model = Model(
        _integrate.IF_CURR_EXP,
        {"v": "mV", "isyn_exc": "nA", "isyn_inh": "nA"},
        _if_curr_exp,
        relative_to_rest=True,
    )
    recordable = ("spikes", "v", "isyn_exc", "isyn_inh")
    units = {**cells.IF_curr_exp.units, "isyn_exc": "nA", "isyn_inh": "nA"}  # noqa: RUF012


class SpikeSourcePoisson(cells.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = _same_names(cells.SpikeSourcePoisson)


class SpikeSourceArray(cells.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = _same_names(cells.SpikeSourceArray)


CELL_TYPES = {
    celltype.__name__: celltype for celltype in (IF_curr_exp, SpikeSourcePoisson, SpikeSourceArray)
}

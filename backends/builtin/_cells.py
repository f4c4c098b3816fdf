"""PyNN's cell types and sources in the engine's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import cells

from portable_cortex.neurons.celltype import cell_type
from portable_cortex.neurons.library import load
from portable_cortex.pynn.grid import whole_steps
from portable_cortex.pynn.population import same_names

from . import _generated, _integrate, _models

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
    inputs : tuple of str
        Variables that an excitatory and an inhibitory input is added to, after each step. Without
        them, inputs change v before the threshold is looked at.
    relative_to_rest : bool
        Whether the engine's ``v`` is relative to ``v_rest``.
    """

    code: int
    variables: Mapping[str, str]
    constants: Callable[[Parameters, float], list[F64]]
    inputs: tuple[str, ...] = ()
    relative_to_rest: bool = False

    def address(self, real: Any, counter: Any) -> int:
        """None: the function is in `_integrate`."""
        return 0

    def places(self) -> list[tuple[bool, int]]:
        """For each variable, whether it is an input, and its number among those that are or not."""
        others = [name for name in self.variables if name not in self.inputs]
        return [
            (name in self.inputs, (self.inputs if name in self.inputs else others).index(name))
            for name in self.variables
        ]


def _propagator(tau_syn: F64, tau_m: F64, cm: F64, step: float) -> F64:
    """What a synaptic current adds to v within a step, mV/nA (Rotter & Diesmann 1999, eq. 10)."""
    tau_syn, tau_m, cm = np.broadcast_arrays(tau_syn, tau_m, cm)
    rate = (tau_m - tau_syn) / (tau_m * tau_syn)
    equal = np.abs(rate) < 1e-9  # the limit of equal time constants
    safe = np.where(equal, 1.0, rate)
    factor = np.where(equal, step, np.expm1(step * safe) / safe)
    return np.asarray(np.exp(-step / tau_syn) * factor / cm)


def _refractory_steps(p: Parameters, step: float) -> F64:
    return whole_steps(p["tau_refrac"], step)


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


def _if_curr_alpha(p: Parameters, step: float) -> list[F64]:
    by_current = -p["tau_m"] / p["cm"] * np.expm1(-step / p["tau_m"])
    slopes, currents = [], []
    for tau in (p["tau_syn_E"], p["tau_syn_I"]):
        keep, rise = np.exp(-step / tau), np.e / tau  # a spike of weight w has a peak of w
        slopes.append(rise * _slope_propagator(tau, p["tau_m"], p["cm"], step))
        currents += [keep, rise * step * keep]
    return [
        np.exp(-step / p["tau_m"]),
        _propagator(p["tau_syn_E"], p["tau_m"], p["cm"], step),
        slopes[0],
        _propagator(p["tau_syn_I"], p["tau_m"], p["cm"], step),
        slopes[1],
        by_current * p["i_offset"],
        by_current,
        p["v_thresh"] - p["v_rest"],
        p["v_reset"] - p["v_rest"],
        _refractory_steps(p, step),
        *currents,
    ]


def _slope_propagator(tau_syn: F64, tau_m: F64, cm: F64, step: float) -> F64:
    """What the slope of an alpha-shaped current adds to v within a step, mV ms/nA."""
    tau_syn, tau_m, cm = np.broadcast_arrays(tau_syn, tau_m, cm)
    rate = (tau_m - tau_syn) / (tau_m * tau_syn)
    equal = np.abs(rate) < 1e-6
    safe = np.where(equal, 1.0, rate)
    factor = np.where(equal, 0.5 * step**2, (np.expm1(step * safe) / safe - step) / safe)
    return np.asarray(np.exp(-step / tau_syn) * factor / cm)


def _if_cond(p: Parameters, step: float) -> list[F64]:
    return [
        p["cm"], p["cm"] / p["tau_m"], p["v_rest"], p["e_rev_E"], p["e_rev_I"], p["i_offset"],
        p["v_thresh"], p["v_reset"], _refractory_steps(p, step),
        np.exp(-0.5 * step / p["tau_syn_E"]), np.exp(-0.5 * step / p["tau_syn_I"]),
        np.e / p["tau_syn_E"], np.e / p["tau_syn_I"],
    ]  # fmt: skip


def _eif_cond_exp(p: Parameters, step: float) -> list[F64]:
    part = 0.5 * step / _models.PARTS
    is_sharp = p["delta_T"] == 0  # no upstroke (in float32, too): it fires at v_thresh, as in NEST
    return [
        p["cm"], p["cm"] / p["tau_m"], p["v_rest"], p["e_rev_E"], p["e_rev_I"], p["i_offset"],
        np.where(is_sharp, p["v_thresh"], p["v_spike"]), p["v_reset"], _refractory_steps(p, step),
        np.exp(-part / p["tau_syn_E"]), np.exp(-part / p["tau_syn_I"]),
        np.where(is_sharp, 1e-30, p["delta_T"]), p["v_thresh"],
        1e-3 * p["a"], p["tau_w"], p["b"],  # a: from nS to uS
    ]  # fmt: skip


def _izhikevich(p: Parameters, step: float) -> list[F64]:
    return [p["a"], p["b"], p["c"], p["d"], 1e3 * p["i_offset"]]  # the model's current is in pA


CURRENTS = {"isyn_exc": "nA", "isyn_inh": "nA"}
CURRENT_RISES = {"isyn_exc_rise": "nA", "isyn_inh_rise": "nA"}  # alpha-shaped: see `_models`
CONDUCTANCES = {"gsyn_exc": "uS", "gsyn_inh": "uS"}
CONDUCTANCE_RISES = {"gsyn_exc_rise": "uS", "gsyn_inh_rise": "uS"}


class IF_curr_exp(cells.IF_curr_exp):  # type: ignore[misc]  # noqa: N801  # PyNN's name
    __doc__ = cells.IF_curr_exp.__doc__
    translations = same_names(cells.IF_curr_exp)
    model = Model(
        _integrate.IF_CURR_EXP,
        {"v": "mV", **CURRENTS},
        _if_curr_exp,
        tuple(CURRENTS),
        relative_to_rest=True,
    )
    recordable = ("spikes", "v", "isyn_exc", "isyn_inh")
    units = {**cells.IF_curr_exp.units, **CURRENTS}  # noqa: RUF012


class IF_curr_alpha(cells.IF_curr_alpha):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_curr_alpha.__doc__
    translations = same_names(cells.IF_curr_alpha)
    model = Model(
        _integrate.IF_CURR_ALPHA,
        {"v": "mV", **CURRENTS, **CURRENT_RISES},
        _if_curr_alpha,
        tuple(CURRENT_RISES),
        relative_to_rest=True,
    )
    recordable = ("spikes", "v", "isyn_exc", "isyn_inh")
    units = {**cells.IF_curr_alpha.units, **CURRENTS}  # noqa: RUF012


class IF_cond_exp(cells.IF_cond_exp):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_cond_exp.__doc__
    translations = same_names(cells.IF_cond_exp)
    model = Model(
        _integrate.IF_COND_EXP, {"v": "mV", **CONDUCTANCES}, _if_cond, tuple(CONDUCTANCES)
    )


class IF_cond_alpha(cells.IF_cond_alpha):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_cond_alpha.__doc__
    translations = same_names(cells.IF_cond_alpha)
    model = Model(
        _integrate.IF_COND_ALPHA,
        {"v": "mV", **CONDUCTANCES, **CONDUCTANCE_RISES},
        _if_cond,
        tuple(CONDUCTANCE_RISES),
    )


class EIF_cond_exp_isfa_ista(cells.EIF_cond_exp_isfa_ista):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.EIF_cond_exp_isfa_ista.__doc__
    translations = same_names(cells.EIF_cond_exp_isfa_ista)
    model = Model(
        _integrate.EIF_COND_EXP,
        {"v": "mV", **CONDUCTANCES, "w": "nA"},
        _eif_cond_exp,
        tuple(CONDUCTANCES),
    )


class Izhikevich(cells.Izhikevich):  # type: ignore[misc]
    __doc__ = cells.Izhikevich.__doc__
    translations = same_names(cells.Izhikevich)
    model = Model(_integrate.IZHIKEVICH, {"v": "mV", "u": "mV/ms"}, _izhikevich)


class SpikeSourcePoisson(cells.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = same_names(cells.SpikeSourcePoisson)


class SpikeSourceArray(cells.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = same_names(cells.SpikeSourceArray)


CELL_TYPES = {
    celltype.__name__: celltype
    for celltype in (
        IF_curr_exp,
        IF_curr_alpha,
        IF_cond_exp,
        IF_cond_alpha,
        EIF_cond_exp_isfa_ista,
        Izhikevich,
        SpikeSourcePoisson,
        SpikeSourceArray,
    )
}


def nestml_cell_type(name: str, nestml_description: Any) -> Any:
    """A cell type for a neuron model in NESTML.

    Parameters
    ----------
    name : str
        Of the class.
    nestml_description : str or Path
        A file, a text in NESTML, or a name of the catalogue.

    Raises
    ------
    InvalidValueError, UnsupportedError
        For a mistake in the model: its line and column; for what the engine has no loop for.

    Examples
    --------
    >>> import portable_cortex
    >>> sim = portable_cortex.simulator("builtin")
    >>> sim.nestml_cell_type("MAT2", "mat2_curr_exp").default_parameters["omega"]
    -51.0
    """
    made = cell_type(name, load(nestml_description))
    made.model = _generated.model(made.neuron)
    return made

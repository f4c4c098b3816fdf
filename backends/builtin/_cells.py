"""PyNN's cell types and sources in the engine's terms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import cells

from portable_cortex.neurons.celltype import cell_type
from portable_cortex.neurons.library import load
from portable_cortex.neurons.standard import STANDARD, standard_type
from portable_cortex.pynn.grid import whole_steps
from portable_cortex.pynn.population import same_names

from . import _generated, _integrate

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


CURRENTS = {"isyn_exc": "nA", "isyn_inh": "nA"}


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


class Written:
    """The loop of a cell type, which is written when it is wanted."""

    def __get__(self, instance: Any, celltype: Any) -> _generated.Model:
        return _model(celltype)


@functools.cache
def _model(celltype: Any) -> _generated.Model:
    return _generated.model(celltype.neuron)


class SpikeSourcePoisson(cells.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = same_names(cells.SpikeSourcePoisson)


class SpikeSourceArray(cells.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = same_names(cells.SpikeSourceArray)


CELL_TYPES = {
    **{n: standard_type(getattr(cells, n), model=Written()) for n in STANDARD},
    **{kind.__name__: kind for kind in (IF_curr_exp, SpikeSourcePoisson, SpikeSourceArray)},
}


import os  # HACK
if os.environ.get("PC_GEN"):
    CELL_TYPES["IF_curr_exp"] = standard_type(cells.IF_curr_exp, model=Written())


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

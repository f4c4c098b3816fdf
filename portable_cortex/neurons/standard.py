"""PyNN's standard cell types as models of the catalogue.

The files have PyNN's names and units, so most of the mapping is a name. A parameter of a file that
PyNN's type does not have is computed from those that it has, or has the value that the file says.
Of an array parameter, such as ``tau_eta``, the file has the elements: ``tau_eta_1`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from pyNN.parameters import ArrayParameter
from pyNN.standardmodels import build_translations

from .celltype import NeuronType, receptors, with_magnitudes
from .expressions import parsed
from .form import Neuron, Quantity
from .library import load


@dataclass(frozen=True)
class Standard:
    """What a standard cell type is in the catalogue.

    Attributes
    ----------
    model : str
    computed : dict of str to str
        Parameters of the model from those that PyNN has, in the units of `form`.
    """

    model: str
    computed: Mapping[str, str] = field(default_factory=dict)


STANDARD = {
    "IF_curr_exp": Standard("lif_curr_exp"),
    "IF_curr_alpha": Standard("lif_curr_alpha"),
    "IF_curr_delta": Standard("lif_curr_delta"),
    "IF_cond_exp": Standard("lif_cond_exp"),
    "IF_cond_alpha": Standard("lif_cond_alpha"),
    "IF_cond_exp_gsfa_grr": Standard("lif_cond_exp_sfa_rr"),
    # PyNN's documentation gives the values that the hardware's neuron has
    "IF_facets_hardware1": Standard(
        "lif_cond_exp",
        {"cm": "200", "tau_m": "cm / g_leak", "tau_refrac": "1", "e_rev_E": "0"},
    ),
    "EIF_cond_exp_isfa_ista": Standard("adex_cond_exp"),
    "EIF_cond_alpha_isfa_ista": Standard("adex_cond_alpha"),
    "HH_cond_exp": Standard("hh_traub_cond_exp"),
    "Izhikevich": Standard("izhikevich_2003"),
    "GIF_cond_exp": Standard("gif_cond_exp"),
}

FACTORS = {"mV": 1, "ms": 1, "nS": 1, "nA": 1000, "nF": 1000, "uS": 1000}  # to those of `form`


def neuron(standard: Any) -> Neuron:
    """The model of a standard cell type, with PyNN's parameters.

    Parameters
    ----------
    standard : class
        Of `pyNN.standardmodels.cells`.

    Examples
    --------
    >>> from pyNN.standardmodels import cells
    >>> [q.name for q in neuron(cells.IF_facets_hardware1).internals]
    ['cm', 'tau_m', 'tau_refrac', 'e_rev_E', 'i_offset']
    """
    entry = STANDARD[standard.__name__]
    model = load(entry.model)
    defaults = _defaults(standard)
    have = {q.name: q for q in model.parameters}
    more = [
        Quantity(name, standard.units[name], Fraction(FACTORS[standard.units[name]]), None)
        for name in defaults
        if name not in have
    ]
    kept = [q for q in (*model.parameters, *more) if q.name in defaults]
    computed = [
        replace(q, value=parsed(entry.computed[q.name]) if q.name in entry.computed else q.value)
        for q in model.parameters
        if q.name not in defaults
    ]
    return replace(
        model,
        parameters=tuple(
            replace(q, value=parsed(repr(defaults[q.name] * float(q.factor)))) for q in kept
        ),
        internals=(*computed, *model.internals),
    )


def _defaults(standard: Any) -> dict[str, float]:
    """Of all parameters; those of arrays are numbered."""
    found: dict[str, float] = {}
    for name, value in standard.default_parameters.items():
        if isinstance(value, ArrayParameter):
            found |= {f"{name}_{k}": float(v) for k, v in enumerate(np.ravel(value.value), 1)}
        else:
            found[name] = float(value)
    return found


class StandardType(NeuronType):
    """A standard cell type that is advanced as a model of the catalogue."""

    is_standard = True


def standard_type(standard: Any, **attributes: Any) -> Any:
    """A cell type with PyNN's parameters, initial values and receptors.

    Variables that PyNN gives a unit can be recorded.

    Parameters
    ----------
    standard : class
        Of `pyNN.standardmodels.cells`.
    **attributes
        What a backend wants it to have.

    Examples
    --------
    >>> from pyNN.standardmodels import cells
    >>> standard_type(cells.HH_cond_exp).recordable
    ['spikes', 'v', 'gsyn_exc', 'gsyn_inh', 'm', 'h', 'n']
    """
    model = neuron(standard)
    if not standard.conductance_based:
        model = with_magnitudes(model)
    state = {q.name for q in model.state}
    initial = {n: v for n, v in standard.default_initial_values.items() if n in state}
    visible = [q.name for q in (*model.state, *model.inlines) if q.name in standard.units]
    recordable = [*standard.recordable, *(n for n in visible if n not in standard.recordable)]
    own = {
        "__doc__": standard.__doc__,
        "neuron": model,
        "translations": build_translations(*((n, n) for n in standard.default_parameters)),
        "default_initial_values": initial,
        "recordable": recordable,
        "units": {name: unit or "dimensionless" for name, unit in standard.units.items()},
        "receptor_types": receptors(model),
        **attributes,
    }
    return type(standard.__name__, (StandardType, standard), own)

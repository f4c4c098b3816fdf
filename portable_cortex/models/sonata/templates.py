"""Models of NEST and cell types of PyNN, as one another: parameters, units, defaults, weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError

F64 = NDArray[np.float64]
PICO = 1e3  # from PyNN's nA, nF and uS to NEST's pA, pF and nS


@dataclass(frozen=True)
class Template:
    """A model of NEST that is a cell type of PyNN, and nothing else.

    Attributes
    ----------
    model, cell : str
        NEST's name, and PyNN's; empty for a model in NESTML.
    names : dict of str to str
        NEST's parameters by PyNN's.
    defaults : dict of str to float
        What NEST takes for parameters that are left out, in its units; the initial potential
        ``V_m`` too.
    ignored : dict of str to float
        Parameters of NEST's that PyNN lacks, with the values at which they do nothing.
    magnitudes : bool
        Whether PyNN gives inhibitory weights as magnitudes: they are conductances.
    weight_scale : float
        NEST's weight that is 1 in PyNN's unit.
    """

    model: str
    cell: str
    names: Mapping[str, str]
    defaults: Mapping[str, float]
    ignored: Mapping[str, float] = field(default_factory=dict)
    magnitudes: bool = False
    weight_scale: float = PICO

    def to_nest(self, values: Mapping[str, F64]) -> dict[str, F64]:
        """NEST's parameters from PyNN's.

        Examples
        --------
        >>> TEMPLATES["iaf_psc_exp"].to_nest({"cm": np.array([0.25])})
        {'C_m': array([250.])}
        """
        native = {self.names[n]: v * _SCALES.get(n, 1.0) for n, v in values.items() if n != "tau_m"}
        if "tau_m" in values:
            native["tau_m"] = values["tau_m"]
            if "g_L" in self.names.values():
                native["g_L"] = values["cm"] / native.pop("tau_m") * PICO
        return native

    def to_pynn(self, native: Mapping[str, Any], size: int, file: object) -> dict[str, F64]:
        """PyNN's parameters from NEST's, and ``v``, the initial potential; one for each neuron.

        Parameters
        ----------
        native : mapping of str to float or array, shape (size,)
        size : int
        file : object
            Where they are from, for the message.

        Raises
        ------
        ModelError
            For a parameter that PyNN's cell type does not have.
        """
        for name, value in native.items():
            if name in self.ignored and np.all(np.asarray(value) == self.ignored[name]):
                continue
            if name not in self.defaults:
                raise ModelError(
                    f"{file}: {name} of nest:{self.model} has no meaning on all backends "
                    f"({self.cell} lacks it): valid are {', '.join(self.defaults)}"
                )
        filled = {
            name: np.broadcast_to(np.asarray(native.get(name, default), float), size)
            for name, default in self.defaults.items()
        }
        found = {}
        for name, nest_name in self.names.items():
            if nest_name != "g_L":
                found[name] = recovered(filled[nest_name], _SCALES.get(name, 1.0))
        if "g_L" in filled:
            c_m, g_l = found["cm"], filled["g_L"]
            found["tau_m"] = _matching(c_m / g_l * PICO, lambda tau: c_m / tau * PICO, g_l)
        return {**found, "v": np.array(filled["V_m"])}


def recovered(values: F64, scale: float) -> F64:
    """What gives exactly these values when it is multiplied by `scale`.

    Several numbers may: a single-precision one goes first (weights that the core drew are), then
    one of 12 decimals (which somebody typed).

    Examples
    --------
    >>> recovered(np.array([87.8]), 1e3).tolist(), (87.8 / 1e3) * 1e3 == 87.8
    ([0.0878], True)
    """
    if scale == 1.0:
        return np.array(values, float)
    return _matching(values / scale, lambda candidate: candidate * scale, values)


def _matching(near: F64, forward: Callable[[F64], F64], values: F64) -> F64:
    """Of the numbers around `near`, those that `forward` takes to `values`; else `near` itself."""
    found, left = np.array(near, float), np.ones(np.shape(near), bool)
    for candidate in (
        near.astype(np.float32).astype(float),
        np.round(near, 12),
        near,
        np.nextafter(near, np.inf),
        np.nextafter(near, -np.inf),
    ):
        hit = left & (forward(candidate) == values)
        found[hit] = candidate[hit]
        left &= ~hit
        if not left.any():
            break
    return found


_SCALES = {"cm": PICO, "i_offset": PICO, "b": PICO}  # others have one unit in both
_LIF = {
    "v_rest": "E_L", "v_reset": "V_reset", "v_thresh": "V_th", "cm": "C_m", "tau_m": "tau_m",
    "tau_refrac": "t_ref", "i_offset": "I_e",
}  # fmt: skip
_TAUS = {"tau_syn_E": "tau_syn_ex", "tau_syn_I": "tau_syn_in"}
_COND = {**_LIF, **_TAUS, "tau_m": "g_L", "e_rev_E": "E_ex", "e_rev_I": "E_in"}
_EIF = {**_COND, "v_spike": "V_peak", "a": "a", "b": "b", "delta_T": "Delta_T", "tau_w": "tau_w"}

_LIF_DEFAULTS = {
    "E_L": -70.0, "V_reset": -70.0, "V_th": -55.0, "C_m": 250.0, "tau_m": 10.0, "t_ref": 2.0,
    "I_e": 0.0, "V_m": -70.0,
}  # fmt: skip
_CURR_DEFAULTS = {**_LIF_DEFAULTS, "tau_syn_ex": 2.0, "tau_syn_in": 2.0}
_COND_DEFAULTS = {
    "E_L": -70.0, "V_reset": -60.0, "V_th": -55.0, "C_m": 250.0, "g_L": 16.6667, "t_ref": 2.0,
    "I_e": 0.0, "tau_syn_ex": 0.2, "tau_syn_in": 2.0, "E_ex": 0.0, "E_in": -85.0, "V_m": -70.0,
}  # fmt: skip
_EIF_DEFAULTS = {
    "E_L": -70.6, "V_reset": -60.0, "V_th": -50.4, "C_m": 281.0, "g_L": 30.0, "t_ref": 0.0,
    "I_e": 0.0, "tau_syn_ex": 0.2, "tau_syn_in": 2.0, "E_ex": 0.0, "E_in": -85.0, "V_m": -70.6,
    "V_peak": 0.0, "a": 4.0, "b": 80.5, "Delta_T": 2.0, "tau_w": 144.0,
}  # fmt: skip
_AT_REST = {"g_ex": 0.0, "g_in": 0.0}

TEMPLATES: Mapping[str, Template] = {
    template.model: template
    for template in (
        Template("iaf_psc_exp", "IF_curr_exp", {**_LIF, **_TAUS}, _CURR_DEFAULTS, {"delta": 0.0}),
        Template("iaf_psc_alpha", "IF_curr_alpha", {**_LIF, **_TAUS}, _CURR_DEFAULTS),
        Template(
            "iaf_psc_delta",
            "IF_curr_delta",
            _LIF,
            _LIF_DEFAULTS,
            {"refractory_input": 0.0},
            weight_scale=1.0,
        ),
        Template("iaf_cond_exp", "IF_cond_exp", _COND, _COND_DEFAULTS, _AT_REST, True),
        Template("iaf_cond_alpha", "IF_cond_alpha", _COND, _COND_DEFAULTS, _AT_REST, True),
        Template(
            "aeif_cond_exp",
            "EIF_cond_exp_isfa_ista",
            _EIF,
            _EIF_DEFAULTS,
            {**_AT_REST, "w": 0.0},
            True,
        ),
        Template(
            "aeif_cond_alpha",
            "EIF_cond_alpha_isfa_ista",
            _EIF,
            _EIF_DEFAULTS,
            {**_AT_REST, "w": 0.0},
            True,
        ),
    )
}
"""By NEST's name; defaults are those of NEST 3."""

CELLS: Mapping[str, Template] = {template.cell: template for template in TEMPLATES.values()}
"""By PyNN's name."""


def modelled(name: str) -> Template:
    """For a model in NESTML, whose names, units and weights are those of its file."""
    return Template(name, "", {}, {}, weight_scale=1.0)


GENERATOR = "poisson_generator"
SYNAPSE = "static_synapse"
LABEL = "pynn_label"
"""A column of our own in the table of node types: PyNN's label, percent-encoded."""

SYNAPSE_DELAY = 1.0  # ms: NEST's, where none is stated

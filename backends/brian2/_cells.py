"""Cell types and current sources: PyNN's names and units, with Brian2's equations.

Parameters stay in PyNN's units until the network is lowered; then `UNITS` converts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pyNN.standardmodels import build_translations, cells
from pyNN.standardmodels import synapses as synapse_types

from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.standard import STANDARD, standard_type
from portable_cortex.pynn.population import Trains
from portable_cortex.support import refusal

from ._simulator import state
from ._writing import PREFIX

# parameter -> (Brian2's unit, value of PyNN's unit in SI)
UNITS = {
    "v_rest": ("volt", 1e-3),
    "v_reset": ("volt", 1e-3),
    "v_thresh": ("volt", 1e-3),
    "e_rev_E": ("volt", 1e-3),
    "e_rev_I": ("volt", 1e-3),
    "cm": ("farad", 1e-9),
    "tau_m": ("second", 1e-3),
    "tau_refrac": ("second", 1e-3),
    "tau_syn_E": ("second", 1e-3),
    "tau_syn_I": ("second", 1e-3),
    "i_offset": ("amp", 1e-9),
}

CAPACITANCE = "c_m"  # "cm" is a centimetre to Brian2

# The synaptic current of each cell type. A spike adds its weight to the receptor's variable.
CURRENT_EXP = """
i_syn = isyn_exc + isyn_inh : amp
disyn_exc/dt = -isyn_exc/tau_syn_E : amp
disyn_inh/dt = -isyn_inh/tau_syn_I : amp
"""
CURRENT_ALPHA = """
i_syn = isyn_exc + isyn_inh : amp
disyn_exc/dt = (rise_exc - isyn_exc)/tau_syn_E : amp
disyn_inh/dt = (rise_inh - isyn_inh)/tau_syn_I : amp
drise_exc/dt = -rise_exc/tau_syn_E : amp
drise_inh/dt = -rise_inh/tau_syn_I : amp
"""
CONDUCTANCE_EXP = """
i_syn = gsyn_exc*(e_rev_E - v) + gsyn_inh*(e_rev_I - v) : amp
dgsyn_exc/dt = -gsyn_exc/tau_syn_E : siemens
dgsyn_inh/dt = -gsyn_inh/tau_syn_I : siemens
"""
CONDUCTANCE_ALPHA = """
i_syn = gsyn_exc*(e_rev_E - v) + gsyn_inh*(e_rev_I - v) : amp
dgsyn_exc/dt = (rise_exc - gsyn_exc)/tau_syn_E : siemens
dgsyn_inh/dt = (rise_inh - gsyn_inh)/tau_syn_I : siemens
drise_exc/dt = -rise_exc/tau_syn_E : siemens
drise_inh/dt = -rise_inh/tau_syn_I : siemens
"""
E = 2.718281828459045  # an alpha function of weight 1 peaks at 1


def _unchanged(names: Any) -> Any:
    return build_translations(*((name, name) for name in names))


class _Neuron:
    """What Brian2 must know of a neuron model besides its parameters."""

    synapses: ClassVar[str]
    receptors: ClassVar[dict[str, str]]
    weight_unit: ClassVar[str] = "amp"
    weight_scale: ClassVar[float] = 1e-9  # nA or uS in SI, times what makes the peak 1
    scales: ClassVar[dict[str, float]]  # recorded variables: PyNN's unit in SI
    prefix: ClassVar[str] = ""  # of variables' names in Brian2
    starts_at_zero: ClassVar[tuple[str, ...]] = ()


class IF_curr_exp(cells.IF_curr_exp, _Neuron):  # type: ignore[misc]  # noqa: N801  # PyNN's names
    __doc__ = cells.IF_curr_exp.__doc__
    translations = _unchanged(cells.IF_curr_exp.default_parameters)
    synapses = CURRENT_EXP
    receptors: ClassVar = {"excitatory": "isyn_exc", "inhibitory": "isyn_inh"}
    scales: ClassVar = {"v": 1e-3, "isyn_exc": 1e-9, "isyn_inh": 1e-9}
    recordable: ClassVar = ["spikes", *scales]


class IF_curr_alpha(cells.IF_curr_alpha, _Neuron):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_curr_alpha.__doc__
    translations = _unchanged(cells.IF_curr_alpha.default_parameters)
    synapses = CURRENT_ALPHA
    receptors: ClassVar = {"excitatory": "rise_exc", "inhibitory": "rise_inh"}
    weight_scale = 1e-9 * E
    scales: ClassVar = {"v": 1e-3, "isyn_exc": 1e-9, "isyn_inh": 1e-9}
    recordable: ClassVar = ["spikes", *scales]


class IF_cond_exp(cells.IF_cond_exp, _Neuron):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_cond_exp.__doc__
    translations = _unchanged(cells.IF_cond_exp.default_parameters)
    synapses = CONDUCTANCE_EXP
    weight_unit = "siemens"
    receptors: ClassVar = {"excitatory": "gsyn_exc", "inhibitory": "gsyn_inh"}
    weight_scale = 1e-6
    scales: ClassVar = {"v": 1e-3, "gsyn_exc": 1e-6, "gsyn_inh": 1e-6}


class IF_cond_alpha(cells.IF_cond_alpha, _Neuron):  # type: ignore[misc]  # noqa: N801
    __doc__ = cells.IF_cond_alpha.__doc__
    translations = _unchanged(cells.IF_cond_alpha.default_parameters)
    synapses = CONDUCTANCE_ALPHA
    weight_unit = "siemens"
    receptors: ClassVar = {"excitatory": "rise_exc", "inhibitory": "rise_inh"}
    weight_scale = 1e-6 * E
    scales: ClassVar = {"v": 1e-3, "gsyn_exc": 1e-6, "gsyn_inh": 1e-6}


class SpikeSourcePoisson(cells.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = _unchanged(cells.SpikeSourcePoisson.default_parameters)


class SpikeSourceArray(Trains, cells.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = _unchanged(cells.SpikeSourceArray.default_parameters)


def of_model(neuron: Neuron, receptors: Sequence[str]) -> dict[str, Any]:
    """What Brian2 must know of a cell type whose step is written (`_writing`)."""
    ports = (PREFIX + port.name for port in neuron.ports)
    return {
        "prefix": PREFIX,
        "receptors": dict(zip(receptors, ports, strict=True)),
        "weight_unit": "1",
        "weight_scale": 1.0,
        "scales": {q.name: float(q.factor) for q in (*neuron.state, *neuron.inlines)},
    }


def check_mode(what: str) -> None:
    """Raise an error where no written step can be."""
    if state.options.mode == "cuda_standalone":
        raise refusal(
            "brian2",
            "nestml: in mode cuda_standalone",
            f"have {what} in mode cuda_standalone",
            "Take mode cpp_standalone",
        )


def _of_catalogue(name: str) -> Any:
    kind = standard_type(getattr(cells, name))
    for attribute, value in of_model(kind.neuron, kind.receptor_types).items():
        setattr(kind, attribute, value)
    return kind


_BY_HAND = (
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_exp,
    SpikeSourceArray,
    SpikeSourcePoisson,
)
CELL_TYPES = {name: _of_catalogue(name) for name in STANDARD} | {
    kind.__name__: kind for kind in _BY_HAND
}


class StaticSynapse(synapse_types.StaticSynapse):  # type: ignore[misc]
    __doc__ = synapse_types.StaticSynapse.__doc__
    translations = _unchanged(synapse_types.StaticSynapse.default_parameters)

    def _get_minimum_delay(self) -> float:
        return state.least_delay

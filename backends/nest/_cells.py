"""Cell types for neuron models in NESTML."""

from __future__ import annotations

import hashlib
from typing import Any

from pyNN.standardmodels import build_translations

from portable_cortex.neurons import celltype
from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.neurons.form import Neuron

from . import _modules, _writing
from ._pynn import nest

UNSCALED = 1e-3  # such a type takes weights as they are, others a thousand times as much (`PICO`)


class ModelledType(NeuronType):
    """A cell type whose node of NEST was written for it: each port is one of NEST's receptors."""

    standard_receptor_type = False
    receptor_scale = UNSCALED

    def get_receptor_type(self, name: str) -> int:
        """NEST's number of a port."""
        return int(self.receptor_types.index(name)) + 1

    @classmethod
    def ran_away(cls) -> bool:
        """Whether equations of some neuron of the model have run away in the last run."""
        return bool(nest.GetDefaults(cls.nest_name["on_grid"], "ran_away"))


@celltype.from_nestml
def nestml_cell_type(name: str, neuron: Neuron) -> Any:
    made = celltype.cell_type(name, neuron)
    neuron = made.neuron
    recorded = _writing.recordable(made)
    text = _writing.written(neuron, neuron.name, recorded)
    model = f"{neuron.name}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    _modules.install(model, _writing.written(neuron, model, recorded))
    own = {
        "nest_name": dict.fromkeys(("on_grid", "off_grid"), model),
        "translations": build_translations(
            *((q.name, _writing.native(q.name), float(q.factor)) for q in neuron.parameters)
        ),
        "recordable": ["spikes", *(q.name for q in recorded)],
        "variable_map": {q.name: _writing.native(q.name) for q in recorded},
        "scale_factors": {q.name: 1.0 / float(q.factor) for q in recorded},
    }
    return type(name, (ModelledType, made), {**own, "__doc__": made.__doc__})

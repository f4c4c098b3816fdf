"""Neuron groups of models in NESTML: a step is code that was written, which Brian2 carries out.

The spikes that arrive in a step are summed in a variable for each port; the step itself is done
after that, and the threshold looked at after the step, since conditions may depend on what arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import brian2
import numpy as np

from portable_cortex.neurons import celltype
from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.numbers import numbers
from portable_cortex.neurons.reference import evaluate

from ._cells import check_mode, of_model
from ._functions import FUNCTIONS
from ._groups import Cells
from ._handover import initial_values
from ._neurons import Model, driven
from ._poisson import events
from ._writing import INJECTED, PREFIX, SPIKES, statements, written

if TYPE_CHECKING:
    from ._simulator import State


@celltype.from_nestml
def nestml_cell_type(name: str, neuron: Neuron) -> Any:
    check_mode("neurons in NESTML")
    statements(neuron)  # refuses what there is no code for
    return celltype.cell_type(name, neuron, **of_model(neuron, celltype.receptors(neuron)))


def neurons(
    cells: Cells, drives: list[Any], injected: bool, state: State, name: str, clock: Any
) -> list[Any]:
    """A ``NeuronGroup``, and what is done to it every step."""
    neuron: Neuron = cells.populations[0].celltype.neuron
    recorded = {v for p in cells.populations for v in p.recorder.variables()}
    inlines = tuple(q.name for q in neuron.inlines if q.name in recorded)
    step = written(neuron, injected, inlines)
    model = Model(cells.size)
    known = numbers(neuron, {n: cells.values(n) for n in _parameters(cells)}, state.dt)
    for constant, value in step.constants:
        model.add(constant, "1", np.atleast_1d(np.asarray(evaluate(value, known), float)))
    actions = driven(model, cells, drives, state)
    variables = (*(q.name for q in neuron.state), *inlines)
    text = [f"{PREFIX}{n} : 1" for n in (*variables, *(p.name for p in neuron.ports))]
    text += [f"{SPIKES} : 1", *([f"{INJECTED} : amp"] if injected else [])]
    group = brian2.NeuronGroup(
        cells.size,
        model.text + "\n".join(text),
        threshold=f"{SPIKES} > 0",
        clock=clock,
        name=name,
        namespace={"events": events, **FUNCTIONS},
    )
    group.thresholder["spike"].when = "after_resets"
    starts = [initial_values(p, state) for p in cells.populations]
    for variable in variables:
        values = np.concatenate([start[variable] for start in starts])
        if np.any(values):
            setattr(group, f"{PREFIX}{variable}_", values)
    for parameter, value in model.values.items():
        setattr(group, f"{parameter}_", value)
    cells.group = group
    return [
        *(
            group.run_regularly(action, when="synapses", clock=clock, name=f"{name}_action_{k}")
            for k, action in enumerate(actions)
        ),
        group.run_regularly(step.code, when="resets", clock=clock, name=f"{name}_step"),
    ]


def _parameters(cells: Cells) -> list[str]:
    return list(cells.populations[0].celltype.default_parameters)

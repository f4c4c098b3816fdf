"""A neuron model in NESTML does on every backend what the reference says."""

from __future__ import annotations

import numpy as np
import pytest
from neuron_runs import INPUTS, in_reference, on_backend

import portable_cortex

BACKENDS = ("builtin", "nest")
DURATION, STEP = 200.0, 0.1
# mV; beside the exact solution what solvers differ by
TOLERANCE = {"lif_cond_exp": 1e-6, "adex_curr_exp": 1e-2}


@pytest.mark.parametrize("model", INPUTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_does_what_the_reference_says(backend, model):
    sim = portable_cortex.simulator(backend)
    sim.setup(timestep=STEP)
    cells = sim.nestml_cell_type("Cells", model)
    spikes, signals = on_backend(sim, cells, INPUTS[model], DURATION, STEP, ["v"])
    expected, variables = in_reference(model, INPUTS[model], DURATION, STEP, ["v"])
    sim.end()
    assert sum(map(len, expected)) > 10
    for own, reference in zip(spikes, expected, strict=True):
        assert own.tolist() == pytest.approx(reference.tolist(), abs=1e-9)
    difference = np.abs(signals["v"][1:] - variables["v"])
    assert difference.max() < TOLERANCE.get(model, 1e-9)

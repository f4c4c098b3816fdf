"""The loop that takes SpiNNaker's arithmetic apart has the spikes of NEST, or of a board."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import portable_cortex
from portable_cortex.registry import load_backend

SHARED = {"drive": "dc", "n_scale": 0.02, "k_scale": 0.2, "seed": 3, "realisation": "shared"}
pytestmark = pytest.mark.filterwarnings("ignore:with constant")  # populations may fall silent


@pytest.fixture(scope="module")
def update(checkout):
    path = checkout / "benchmarks" / "spinnaker_update.py"
    spec = importlib.util.spec_from_file_location("spinnaker_update", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network(update):
    return update.draw(3, 0.1, 0.02, 0.2)


def run(backend, **how):
    return portable_cortex.run(backend=backend, warmup=0.0, duration=200.0, **SHARED, **how)


def test_without_parts_it_has_the_spikes_of_the_other_simulators(update, network):
    found = update.simulate(network, 200.0, 0.1, (), np.ones((8, 2)))
    assert found[0].size > 500
    assert update.first_difference(found, update.recorded(run("builtin"))) is None


@pytest.mark.slow
@pytest.mark.board
@pytest.mark.skipif(
    not load_backend("spinnaker").availability().available,
    reason="sPyNNaker is not installed: pip install 'portable-cortex[spinnaker]'",
)
def test_with_all_parts_it_has_the_spikes_of_a_board(update, network):
    options = {"target": "emulated", "neurons_per_core": "32", "time_scale_factor": "5"}
    recording = run("spinnaker", machine="spinnaker-van-albada-2018", options=options)
    steps = recording.metadata["machine_report"]["weight_steps"]
    resolution = np.array([steps[p] for p in recording.populations])
    found = update.simulate(network, 200.0, 0.1, update.PARTS, resolution)
    assert found[0].size > 500
    assert update.first_difference(found, update.recorded(recording)) is None
    without = update.simulate(network, 200.0, 0.1, (), resolution)
    assert update.first_difference(found, without) is not None

"""PyNN's standard cell types on all backends: NEST's own, and elsewhere models of the catalogue."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from pyNN.standardmodels import cells

import portable_cortex
from portable_cortex.neurons import library, standard
from portable_cortex.neurons.storage import restored, stored

STEP, DURATION = 0.1, 150.0
OPTIONS = {
    "builtin": {"threads": "1"},
    "nest": {"threads": "1"},
    "brian2": {"mode": "runtime", "target": "numpy"},  # compiling takes longer than running
    "neuron": {},
}
# parameters, weights; builtin beside NEST: mV that potentials differ by until the first spike, ms
# that spikes do
CELLS = {
    "IF_curr_exp": ({"i_offset": 0.3, "tau_syn_I": 3.0}, (4.0, -2.0), 1e-9, 1e-6),
    "IF_curr_alpha": ({"i_offset": 0.5, "tau_syn_I": 3.0}, (9.0, -1.0), 1e-9, 1e-6),
    "IF_curr_delta": ({"i_offset": 0.3, "tau_refrac": 2.0}, (6.0, -3.0), 1e-9, 1e-6),
    "IF_cond_exp": ({"i_offset": 0.3}, (0.06, 0.03), 1e-5, 1e-6),
    "IF_cond_alpha": ({"i_offset": 0.3}, (0.2, 0.1), 1e-3, 1e-6),
    "IF_cond_exp_gsfa_grr": ({"i_offset": 0.6}, (0.06, 0.03), 1e-4, 1e-6),
    "IF_facets_hardware1": ({}, (0.01, 0.005), 1e-4, 1e-6),
    # NEST resets within a step, where its solver finds the spike; here it is at the end of the step
    "EIF_cond_exp_isfa_ista": ({"i_offset": 0.6}, (0.02, 0.01), 0.2, 0.25),
    "EIF_cond_alpha_isfa_ista": ({"i_offset": 0.6}, (0.02, 0.01), 0.2, 0.25),
    "HH_cond_exp": ({"i_offset": 0.1}, (0.1, 0.05), 1.0, 1e-6),
    "Izhikevich": ({"i_offset": 0.004}, (8.0, -4.0), 1e-9, 1e-6),
}


def run(backend, name):
    """Potentials and spike times of five cells with frozen input and a current step."""
    parameters, weights, _, _ = CELLS[name]
    sim = portable_cortex.simulator(backend, options=OPTIONS[backend])
    sim.setup(timestep=STEP, rng_seed=1)
    population = sim.Population(5, getattr(sim, name)(**parameters))
    population.record(["spikes", "v"])
    rng = np.random.default_rng(3)
    for receptor, weight in zip(("excitatory", "inhibitory"), weights, strict=True):
        arrives = rng.random(round(DURATION / STEP) - 20) < 0.2 * STEP
        source = sim.SpikeSourceArray(spike_times=(np.flatnonzero(arrives) + 1) * STEP)
        synapses = [(0, k, weight * (0.5 + k / 8), 1.3) for k in range(5)]
        sim.Projection(
            sim.Population(1, source), population, sim.FromListConnector(synapses),
            sim.StaticSynapse(), receptor_type=receptor,
        )  # fmt: skip
    population.inject(sim.DCSource(amplitude=0.1, start=40.0, stop=120.0))
    sim.run(DURATION)
    segment = population.get_data().segments[0]
    sim.end()
    return segment.analogsignals[0].magnitude, [np.asarray(t) for t in segment.spiketrains]


# brian2 takes long to write their steps, or has them by hand
LONG = {"HH_cond_exp", "IF_facets_hardware1", "EIF_cond_exp_isfa_ista"}
LONG |= {"IF_curr_exp", "IF_curr_alpha", "IF_cond_exp", "IF_cond_alpha"}
PAIRS = [
    *(("builtin", "nest", name) for name in CELLS),
    *(pytest.param("neuron", "builtin", name, marks=pytest.mark.compiler) for name in CELLS),
    *(
        pytest.param("brian2", "builtin", name, marks=pytest.mark.slow if name in LONG else [])
        for name in CELLS
    ),
]
# the same two beside builtin, where they are not 1e-5 and 1e-6
APART = {
    # solvers differ in the upstroke of a spike, and where conductances begin
    **{(backend, "HH_cond_exp"): (0.1, 1e-6) for backend in ("brian2", "neuron")},
    ("neuron", "IF_cond_alpha"): (1e-4, 1e-6),
    # equations of its own, conductances among them, by one step of Runge and Kutta's method
    ("brian2", "IF_cond_alpha"): (1e-2, 0.11),
}


@pytest.mark.parametrize(("backend", "other", "name"), PAIRS)
def test_standard_cells_fire_at_the_same_times(backend, other, name):
    for needed in {backend, other} - {"builtin"}:
        pytest.importorskip(needed)
    (v, trains), (own_v, own_trains) = run(other, name), run(backend, name)
    apart = APART.get((backend, name), (1e-5, 1e-6))
    tolerance, late = CELLS[name][2:] if other == "nest" else apart
    assert sum(map(len, trains)) > 5
    for cell, (train, own) in enumerate(zip(trains, own_trains, strict=True)):
        assert len(train) == len(own)
        np.testing.assert_allclose(own, train, atol=late)
        first = round(min(train, default=DURATION) / STEP) - 2
        np.testing.assert_allclose(own_v[:first, cell], v[:first, cell], atol=tolerance)


@pytest.mark.parametrize(
    "backend", ["builtin", "brian2", pytest.param("neuron", marks=pytest.mark.compiler)]
)
def test_a_generalised_neuron_fires_with_the_rate_of_its_formula(backend):
    if backend != "builtin":
        pytest.importorskip(backend)
    sim = portable_cortex.simulator(backend, options=OPTIONS[backend])
    sim.setup(timestep=STEP, rng_seed=1)
    still = {"v_reset": -55.0, "v_rest": -65.0, "i_offset": 0.5, "v_t_star": -55.0}
    none = [0.0, 0.0, 0.0]
    population = sim.Population(
        400, sim.GIF_cond_exp(lambda0=50.0, a_eta=none, a_gamma=none, **still)
    )
    population.initialize(v=-55.0)
    jumping = sim.Population(
        1, sim.GIF_cond_exp(lambda0=1e12, delta_v=5.0, a_gamma=[3.0, 2.0, 1.0])
    )
    population.record("spikes")
    jumping.record("v_t")
    sim.run(200.0)
    expected = 400 * 0.2 * 50.0 / (1 + 50.0 * 0.004)  # refractory for 4 ms
    assert sum(population.get_spike_counts().values()) == pytest.approx(
        expected, abs=4 * expected**0.5
    )
    threshold = jumping.get_data().segments[0].analogsignals[0].magnitude[:, 0]
    sim.end()
    assert threshold[:2].tolist() == pytest.approx([-48.0, -42.0])
    decay = sum(a * np.exp(-2.0 / tau) for a, tau in zip((3, 2, 1), (1, 10, 100), strict=True))
    assert threshold[21] == pytest.approx(-48.0 + decay)


# --- the mapping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", standard.STANDARD)
def test_parameters_have_the_units_of_pynn(name):
    units = {"/ms": "1/ms", "Hz": "1/s"}
    kind = getattr(cells, name)
    for quantity in standard.neuron(kind).parameters:
        said = kind.units.get(quantity.name) or kind.units[quantity.name.rpartition("_")[0]]
        assert quantity.unit == units.get(said, said)


def test_the_table_has_every_neuron_that_is_one_model():
    others = {"PointNeuron", "MultiCompartmentNeuron"}
    sources = {name for name in dir(cells) if name.startswith("SpikeSource")}
    assert set(portable_cortex.support.CELL_TYPES) - others - sources == set(standard.STANDARD)


# --- forms in the package -------------------------------------------------------------------------

needs_nestml = pytest.mark.skipif(
    importlib.util.find_spec("pynestml") is None, reason="pip install portable-cortex[nestml]"
)


@needs_nestml
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "lif_curr_exp" else pytest.mark.slow)
        for name in library.catalogue()
    ],
)
def test_a_form_is_that_of_its_file(name):
    """Made anew by ``python -m portable_cortex.neurons.library``."""
    kept = json.loads(library._forms().read_text("utf-8"))[name]
    assert library.entry(name) == kept
    assert stored(restored(kept["form"])) == kept["form"]


def test_all_files_have_their_forms():
    kept = json.loads(library._forms().read_text("utf-8"))
    texts = {name: library._digest(library._text(name)) for name in library.catalogue()}
    assert {name: entry["text"] for name, entry in kept.items()} == texts


WITHOUT = """
import sys
from importlib import metadata

for name in ("pynestml", "odetoolbox", "sympy", "astropy"):
    sys.modules[name] = None
installed = metadata.version
metadata.version = lambda name: installed("no-" * (name in ("nestml", "odetoolbox")) + name)
import portable_cortex
from portable_cortex.errors import UnsupportedError

sim = portable_cortex.simulator("builtin")
print(sim.nestml_cell_type("MAT", "mat2_curr_exp").default_parameters["omega"])
try:
    sim.nestml_cell_type("Mine", "model mine_neuron:\\n    output:\\n        spike\\n")
except UnsupportedError as error:
    print(error)
"""


def test_the_catalogue_needs_no_nestml(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTABLE_CORTEX_CACHE", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    said = done.stdout.splitlines()
    assert said[0] == "-51.0"
    assert "pip install 'portable-cortex[nestml]'" in said[1]

"""Neuron models in NESTML on NEST: more than that they do what the reference says."""

from __future__ import annotations

import numpy as np
import pytest
from pyNN.errors import InvalidParameterValueError

import portable_cortex
from portable_cortex.errors import BackendUnavailableError, ModelError, UnsupportedError
from portable_cortex.neurons import celltype, library
from portable_cortex.neurons.reference import Reference

pytestmark = pytest.mark.compiler
pytest.importorskip("nest", reason="NEST is not installed: pip install portable-cortex[nest]")

MODEL = """
model three_ports_neuron:
    state:
        v mV = v_rest
        i_fast nA = 0 nA
        i_slow pA = 0 pA
        refractory ms = 0 ms

    equations:
        inline i_total nA = i_fast + i_slow
        i_fast' = -i_fast / tau_fast
        i_slow' = -i_slow / tau_slow
        v' = (v_rest - v) / tau_m + i_total / cm
        refractory' = -1

    parameters:
        v_rest mV = -65 mV
        cm nF = 0.25 nF
        tau_m ms = 10 ms
        tau_fast ms = 2 ms
        tau_slow ms = 20 ms
        tau_refrac ms = 1 ms
        v_thresh mV = -50 mV
        noise mV = 0 mV

    input:
        fast <- spike
        slow <- spike
        kick <- spike

    output:
        spike

    update:
        if refractory > 0 ms:
            integrate_odes(i_fast, i_slow, refractory)
        else:
            integrate_odes(i_fast, i_slow, v)
        v += noise * random_normal(0, 1)

    onReceive(fast):
        i_fast += fast * 1 nA * 1 s

    onReceive(slow):
        i_slow += slow * 1 pA * 1 s

    onReceive(kick):
        v += kick * 1 mV * 1 s

    onCondition(refractory <= 0 ms and v >= v_thresh):
        v = v_rest
        refractory = tau_refrac
        emit_spike()
"""
WEIGHTS = {"fast": 0.9, "slow": 50.0, "kick": -1.0}
TIMES = np.arange(1.0, 100.0, 3.0)
TAU_M = np.array([5.0, 10.0, 15.0, 20.0])
STEP, N_STEPS = 0.1, 1000


@pytest.fixture
def sim():
    namespace = portable_cortex.simulator("nest", options={"threads": "2"})
    namespace.setup(timestep=STEP, rng_seed=5)
    yield namespace
    namespace.end()


def neurons(sim, **parameters):
    cells = sim.Population(4, sim.nestml_cell_type("Three", MODEL)(tau_m=TAU_M, **parameters))
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=TIMES))
    for port, weight in WEIGHTS.items():
        synapse = sim.StaticSynapse(weight=weight, delay=1.0)
        sim.Projection(source, cells, sim.AllToAllConnector(), synapse, receptor_type=port)
    cells.record(["spikes", "v", "i_total"])
    return cells


def signals(cells):
    segment = cells.get_data().segments[-1]
    return {signal.name: np.asarray(signal) for signal in segment.analogsignals}


def expected(**parameters):
    kind = celltype.cell_type("Three", library.load(MODEL))
    values = {**kind.default_parameters, "tau_m": TAU_M, **parameters}
    reference = Reference(kind.neuron, STEP, 4, celltype.in_form(kind.neuron, values))
    arriving = np.rint((TIMES + 1.0) / STEP).astype(int) - 1
    arrivals = {port: np.zeros(N_STEPS) for port in WEIGHTS}
    for port, weight in WEIGHTS.items():
        arrivals[port][arriving[arriving < N_STEPS]] = weight
    return reference, arrivals


def test_ports_units_and_inlines(sim):
    cells = neurons(sim, v_rest=[-65.0, -66.0, -67.0, -68.0])
    assert cells.celltype.receptor_types == ("fast", "slow", "kick")
    assert cells.get("cm") == 0.25
    sim.run(100.0)
    found = signals(cells)
    reference, arrivals = expected(v_rest=np.array([-65.0, -66.0, -67.0, -68.0]))
    course = reference.run(N_STEPS, arrivals, record=["v", "i_total"])
    assert course.spikes.sum() > 10
    assert list(cells.get_spike_counts().values()) == course.spikes.sum(0).tolist()
    assert found["v"][0].tolist() == [-65.0, -66.0, -67.0, -68.0]
    assert np.abs(found["v"][1:] - course.variables["v"]).max() < 1e-9
    assert np.abs(found["i_total"][1:] - course.variables["i_total"] * 1e-3).max() < 1e-9


def test_what_is_set_between_runs_holds_and_a_reset_takes_all_back(sim):
    cells = neurons(sim)
    sim.run(50.0)
    cells[1:3].set(tau_slow=5.0)
    cells.set(v_thresh=-55.0)
    cells[0:1].initialize(v=-60.0)
    sim.run(50.0)
    found = signals(cells)
    sim.reset()
    cells[0:1].initialize(v=-65.0)
    cells.set(v_thresh=-50.0, tau_slow=20.0)
    sim.run(100.0)
    after = signals(cells)

    reference, arrivals = expected()
    halves = [{p: a[half] for p, a in arrivals.items()} for half in (slice(500), slice(500, None))]
    first = reference.run(500, halves[0], record=["v"]).variables["v"]
    kind = celltype.cell_type("Three", library.load(MODEL))
    changed = {**kind.default_parameters, "tau_m": TAU_M, "v_thresh": -55.0}
    changed["tau_slow"] = np.array([20.0, 5.0, 5.0, 20.0])
    other = Reference(kind.neuron, STEP, 4, celltype.in_form(kind.neuron, changed))
    for name in ("v", "i_fast", "i_slow", "refractory"):
        other.values[name] = reference.values[name].copy()
    other.values["v"][0] = -60.0
    second = other.run(500, halves[1], record=["v"]).variables["v"]
    assert np.abs(found["v"][1:501] - first)[:-1].max() < 1e-9
    assert np.abs(found["v"][501:] - second).max() < 1e-9

    reference, arrivals = expected()
    again = reference.run(N_STEPS, arrivals, record=["v"]).variables["v"]
    assert np.abs(after["v"][1:] - again).max() < 1e-9


def test_random_numbers_are_nests(sim):
    def course(seed):
        sim.setup(timestep=STEP, rng_seed=seed)
        cells = neurons(sim, noise=0.5, v_thresh=1e6, tau_refrac=2.0)
        sim.run(100.0)
        return signals(cells)["v"]

    first, second, same = course(1), course(2), course(1)
    assert np.array_equal(first, same)
    assert not np.any(first[1:] == second[1:])
    reference, arrivals = expected(v_thresh=1e6)
    still = reference.run(N_STEPS, arrivals, record=["v"]).variables["v"]
    decay = np.exp(-STEP / TAU_M)
    noise = (first[1:] - still)[1:] - decay * (first[1:] - still)[:-1]
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert abs(noise.mean()) < 0.05


def test_poisson_sources_reach_ports(sim):
    cells = sim.Population(20, sim.nestml_cell_type("Three", MODEL)(v_thresh=0.0))
    sources = sim.Population(20, sim.SpikeSourcePoisson(rate=2000.0))
    synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
    sim.Projection(sources, cells, sim.OneToOneConnector(), synapse, receptor_type="kick")
    cells.record("v")
    sim.run(200.0)
    means = signals(cells)["v"][500:].mean(0)
    assert means.mean() == pytest.approx(-65.0 + 0.1 * 2.0 * 10.0, rel=0.01)
    assert np.unique(means).size == 20


def test_mistakes_are_said(sim):
    kind = sim.nestml_cell_type("Three", MODEL)
    with pytest.raises(InvalidParameterValueError, match="tau_m must be a number above 0"):
        sim.Population(2, kind(tau_m=0.0))
    cells = sim.Population(2, kind())
    with pytest.raises(
        UnsupportedError, match="three_ports_neuron cannot take an injected current"
    ):
        cells.inject(sim.DCSource(amplitude=1.0))
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0]))
    plastic = sim.TsodyksMarkramSynapse(weight=1.0, delay=1.0)
    with pytest.raises(UnsupportedError, match="cannot make TsodyksMarkramSynapse onto a neuron"):
        sim.Projection(source, cells, sim.AllToAllConnector(), plastic, receptor_type="fast")


def test_no_compiler_is_said(sim, monkeypatch, tmp_path):
    monkeypatch.setenv("PORTABLE_CORTEX_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BackendUnavailableError, match=r"C\+\+ compiler.*apt install g\+\+"):
        sim.nestml_cell_type("Three", MODEL)


def test_a_model_that_comes_after_cells_is_a_sentence(monkeypatch):
    from portable_cortex.backends.nest import _modules

    sim = portable_cortex.simulator("nest")
    monkeypatch.setattr(_modules, "_installed", {})
    sim.setup(timestep=0.1)
    sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(ModelError, match="above the first Population"):
        sim.nestml_cell_type("Three", MODEL)

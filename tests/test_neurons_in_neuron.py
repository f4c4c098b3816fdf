"""Models in NESTML on the `neuron` backend: networks, changes between runs, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pyNN.errors import InvalidParameterValueError
from pyNN.random import RandomDistribution

import portable_cortex
from portable_cortex.errors import UnsupportedError
from portable_cortex.neurons.celltype import in_form
from portable_cortex.neurons.reference import Reference

pytest.importorskip("neuron", reason="NEURON is not installed: pip install neuron")
pytest.importorskip("pynestml", reason="NESTML is not installed: pip install nestml")
pytestmark = pytest.mark.compiler

STEP = 0.1
LIF = {
    "tau_m": 10.0, "cm": 0.25, "tau_syn_E": 0.5, "tau_syn_I": 0.7, "v_rest": -65.0,
    "v_reset": -65.0, "v_thresh": -60.0, "tau_refrac": 2.0, "i_offset": 0.1,
}  # fmt: skip
PORTS = """
model three_ports_neuron:
    state:
        dt mV = 0 mV  # names that NEURON has, too
    equations:
        dt' = -dt / celsius
    parameters:
        celsius ms = 10 ms
        bound mV = inf * 1 mV
    input:
        v <- spike
        w <- spike
        flag <- spike
    output:
        spike
    update:
        integrate_odes()
    onReceive(v):
        dt += 1 mV * v * 1 s
    onReceive(w):
        dt += 10 mV * w * 1 s
    onReceive(flag):
        dt += 100 mV * flag * 1 s
    onCondition(dt >= 105 mV and dt < bound):
        dt = 0 mV
        emit_spike()
"""


@pytest.fixture
def sim():
    namespace = portable_cortex.simulator("neuron")
    namespace.setup(timestep=STEP, rng_seed=5)
    yield namespace
    namespace.end()


def signals(population):
    """Of the last segment, by name."""
    found = population.get_data().segments[-1].analogsignals
    return {signal.name: np.asarray(signal.magnitude) for signal in found}


def trains(population):
    """Steps of the spikes of the last segment."""
    found = population.get_data().segments[-1].spiketrains
    return [np.rint(train.magnitude / STEP).astype(int).tolist() for train in found]


def network(sim, cells, shortest):
    """A network with changes between runs, and its second beginning; spikes and potentials."""
    sim.setup(timestep=STEP, rng_seed=5)
    neurons = sim.Population(20, cells(**LIF))
    neurons.record(["spikes", "v"])
    sources = sim.Population(20, sim.SpikeSourcePoisson(rate=800.0))
    drive = sim.Projection(
        sources, neurons, sim.OneToOneConnector(),
        sim.StaticSynapse(weight=0.5, delay=shortest), receptor_type="excitatory",
    )  # fmt: skip
    sim.Projection(
        sources, neurons, sim.FixedProbabilityConnector(0.2),
        sim.StaticSynapse(weight=0.3, delay=1.5), receptor_type="excitatory",
    )  # fmt: skip
    delays = RandomDistribution("uniform", (shortest, 2.0))
    inhibition = sim.Projection(
        neurons, neurons, sim.FixedProbabilityConnector(0.3),
        sim.StaticSynapse(weight=-0.3, delay=delays), receptor_type="inhibitory",
    )  # fmt: skip
    sim.run(30.0)
    drive.set(weight=1.0)
    sim.run(0.1)
    inhibition.set(weight=-1.0)
    sim.run(20.0)
    inhibition.set(delay=2.5)
    sim.run(20.0)
    neurons.set(tau_m=15.0)
    neurons[3:5].set(v_thresh=-62.0)
    neurons[5:6].initialize(v=-61.0)
    sim.run(0.1)
    sim.DCSource(amplitude=0.3, start=75.0, stop=80.0).inject_into(neurons[4:9])
    sim.run(20.0)
    first = trains(neurons), signals(neurons)["v"]
    sim.reset()
    sim.run(40.0)
    return first, (trains(neurons), signals(neurons)["v"])


@pytest.mark.parametrize("shortest", [STEP, 1.0])
def test_a_model_does_in_a_network_what_the_standard_cell_does(sim, shortest):
    standard = network(sim, sim.IF_curr_exp, shortest)
    model = network(sim, sim.nestml_cell_type("LIF", "lif_curr_exp"), shortest)
    for (spikes, v), (own_spikes, own_v) in zip(standard, model, strict=True):
        assert own_spikes == spikes
        assert sum(map(len, spikes)) > 50
        np.testing.assert_allclose(own_v, v, atol=1e-9)


def plastic_network(sim, cells, synapse, delay):
    """Spikes, potentials and weights; no source fires again while a spike is on its way."""
    sim.setup(timestep=STEP, rng_seed=5, min_delay=STEP, max_delay=5.0)
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.integers(21, 60, (6, 25)), axis=1) * STEP
    sources = sim.Population(6, sim.SpikeSourceArray(spike_times=list(times)))
    drive = sim.Population(4, sim.SpikeSourceArray(spike_times=list(times[:4] + 0.7)))
    neurons = sim.Population(4, cells(**LIF))
    neurons.record(["spikes", "v"])
    sim.Projection(
        drive, neurons, sim.OneToOneConnector(), sim.StaticSynapse(weight=2.0, delay=1.0)
    )
    plastic = sim.Projection(sources, neurons, sim.AllToAllConnector(), synapse)
    sim.run(70.0)
    plastic.set(delay=delay + 0.4)
    sim.run(80.0)
    table = np.array(plastic.get(["weight", "delay"], "list"))
    return trains(neurons), signals(neurons)["v"], table


@pytest.mark.parametrize("delay", [STEP, 2 * STEP, 4 * STEP, 1.0])
@pytest.mark.parametrize("kind", ["STDP", "STDP, half in the dendrite", "Tsodyks and Markram"])
def test_plastic_synapses_onto_a_model_are_those_onto_the_standard_cell(sim, kind, delay):
    if "STDP" in kind and delay < (4 if "half" in kind else 2) * STEP:
        pytest.skip("less than two steps of delay in the dendrite")

    def synapse():
        if "STDP" not in kind:
            return sim.TsodyksMarkramSynapse(
                weight=1.5, delay=delay, U=0.4, tau_rec=50.0, tau_facil=20.0
            )
        return sim.STDPMechanism(
            timing_dependence=sim.SpikePairRule(A_plus=0.004, A_minus=0.005, tau_minus=15.0),
            weight_dependence=sim.AdditiveWeightDependence(w_min=0.0, w_max=3.0),
            dendritic_delay_fraction=0.5 if "half" in kind else 1.0,
            weight=1.0,
            delay=delay,
        )

    standard = plastic_network(sim, sim.IF_curr_exp, synapse(), delay)
    model = plastic_network(sim, sim.nestml_cell_type("LIF", "lif_curr_exp"), synapse(), delay)
    assert model[0] == standard[0]
    assert sum(map(len, model[0])) > 30
    np.testing.assert_allclose(model[1], standard[1], atol=1e-9)
    np.testing.assert_allclose(model[2], standard[2], atol=1e-12)
    if "STDP" in kind:
        assert np.ptp(model[2][:, 2]) > 0.01


def test_each_neuron_has_parameters_of_its_own(sim):
    cells = sim.nestml_cell_type("AdEx", "adex_curr_exp")
    given = {"v_rest": np.linspace(-75, -60, 4), "tau_m": [5.0, 9.0, 9.0, 12.0], "i_offset": 0.9}
    population = sim.Population(4, cells(**given))
    population.record(["spikes", "v", "w", "upstroke"])
    assert population.get("v_rest").tolist() == given["v_rest"].tolist()
    sim.run(100.0)
    neuron = cells.neuron
    parameters = {**cells.default_parameters, **given}
    course = Reference(neuron, STEP, 4, in_form(neuron, parameters)).run(
        1000, record=["v", "w", "upstroke"]
    )
    assert trains(population) == [(np.flatnonzero(s) + 1).tolist() for s in course.spikes.T]
    found = signals(population)
    assert found["v"][0].tolist() == given["v_rest"].tolist()
    np.testing.assert_allclose(found["v"][1:], course.variables["v"], atol=1e-2)
    np.testing.assert_allclose(found["w"][1:], course.variables["w"] * 1e-3, atol=1e-5)
    np.testing.assert_allclose(found["upstroke"][1:], course.variables["upstroke"], rtol=1e-2)


def test_ports_and_names_that_neuron_has_too(sim):
    cells = sim.nestml_cell_type("Ports", PORTS)
    population = sim.Population(2, cells())
    population.record(["spikes", "dt"])
    for number, port in enumerate(cells.receptor_types):
        source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0 + number]))
        sim.Projection(
            source, population, sim.AllToAllConnector(),
            sim.StaticSynapse(weight=1.0, delay=STEP), receptor_type=port,
        )  # fmt: skip
    sim.run(5.0)
    decay = np.exp(-0.1)
    values = signals(population)["dt"]
    assert values[[11, 21], 0] == pytest.approx([1.0, 10.0 + decay])
    assert trains(population) == [[31], [31]]
    with pytest.raises(UnsupportedError, match="Ports: the model has no continuous input"):
        population.inject(sim.DCSource(amplitude=1.0))


def test_chance_is_that_of_the_seed(sim):
    cells = sim.nestml_cell_type("Escape", "lif_escape_curr_exp")

    def spikes(seed):
        sim.setup(timestep=STEP, rng_seed=seed)
        population = sim.Population(50, cells(i_offset=0.5, v_thresh=-60.0))
        population.record("spikes")
        sim.run(150.0)
        return trains(population)

    first = spikes(1)
    assert spikes(1) == first
    assert spikes(2) != first
    assert first[0] != first[1]
    neuron = cells.neuron
    parameters = {**cells.default_parameters, "i_offset": 0.5, "v_thresh": -60.0}
    expected = Reference(neuron, STEP, 50, in_form(neuron, parameters)).run(1500).spikes.sum()
    assert sum(map(len, first)) == pytest.approx(expected, abs=5 * np.sqrt(2 * expected))


def test_neurons_and_records_can_begin_later(sim):
    cells = sim.nestml_cell_type("AdEx", "adex_curr_exp")
    early = sim.Population(1, cells(i_offset=0.9))
    early.record(["v", "upstroke"])
    sim.run(10.0)
    late = sim.Population(1, cells(i_offset=0.9))
    late.record(["v", "upstroke"])
    sim.run(10.0)
    first, second = signals(early), signals(late)
    for name in first:
        np.testing.assert_allclose(second[name], first[name][: len(second[name])], rtol=1e-12)


def test_networks_of_models_that_have_ended_leave_nothing(sim):
    from neuron import h

    cells = sim.nestml_cell_type("LIF", "lif_curr_exp")
    for _ in range(2):
        sim.setup(timestep=STEP)
        population = sim.Population(3, cells())
        population.record("v")
        sim.run(1.0)
        sim.end()
        assert signals(population)["v"].shape == (11, 3)
        assert len(h.List(cells.model.mechanism.name)) == 0


def test_what_cannot_be_is_said(sim):
    cells = sim.nestml_cell_type("MAT", "mat2_curr_exp")
    with pytest.raises(InvalidParameterValueError, match="mat2_curr_exp_neuron has no solution"):
        sim.Population(2, cells(tau_1=[1.0, 0.0]))

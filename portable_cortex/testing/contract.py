"""What every backend must do: one suite, run on each of them through the `sim` fixture.

A backend that cannot pass a test carries the reason in its `cannot`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import count, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import portable_cortex
from portable_cortex.errors import UnsupportedError
from portable_cortex.experiment import execute_trials
from portable_cortex.machine import load_machine
from portable_cortex.models import pd14 as model
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import scale
from portable_cortex.pynn.draws import draw_edges
from portable_cortex.support import CELL_TYPES, CURRENT_SOURCES, SYNAPSE_TYPES, Namespace
from portable_cortex.sweep import run_trials
from portable_cortex.sweep.trials import OfTrials

STEP = 0.1


def edges(projection):
    """Columns (source, target, weight, delay) of a projection, in a reproducible order."""
    table = np.array(projection.get(["weight", "delay"], format="list"), dtype=float)
    table = table.reshape(-1, 4)
    return table[np.lexsort(table.T[::-1])]


def populations(sim, n_pre=30, n_post=20):
    pre = sim.Population(n_pre, sim.IF_curr_exp(), label="pre")
    return pre, sim.Population(n_post, sim.IF_curr_exp(), label="post")


# --- namespace and populations ----------------------------------------------------------------


def test_is_listed_with_what_a_user_needs_to_know(backend):
    assert backend.name in portable_cortex.backend_names()
    assert backend.summary
    assert backend.availability().install.startswith("pip install ")
    assert backend.capabilities.timesteps[0] <= STEP <= backend.capabilities.timesteps[1]
    assert set(backend.capabilities.realisations) >= {"native"}


def test_namespace_is_pynn(sim):
    names = (
        "setup end run run_until reset Population PopulationView Assembly Projection "
        "IF_curr_exp SpikeSourcePoisson SpikeSourceArray StaticSynapse RandomDistribution NumpyRNG "
        "AllToAllConnector OneToOneConnector FixedProbabilityConnector FixedNumberPreConnector "
        "FixedNumberPostConnector FixedTotalNumberConnector FromListConnector DCSource"
    ).split()
    assert [name for name in names if not hasattr(sim, name)] == []
    assert sim.get_time_step() == pytest.approx(STEP)
    assert sim.get_current_time() == 0


def test_parameters_keep_pynn_units(sim):
    cells = sim.IF_curr_exp(**PD14.neuron.as_pynn(), i_offset=0.3)
    population = sim.Population(10, cells, label="cells")
    assert population.size == 10
    assert population.label == "cells"
    for name, value in {**PD14.neuron.as_pynn(), "i_offset": 0.3}.items():
        assert population.get(name) == pytest.approx(value), name


def test_parameters_may_differ_between_neurons(sim):
    population = sim.Population(4, sim.IF_curr_exp(i_offset=[0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(population.get("i_offset"), [0.1, 0.2, 0.3, 0.4])
    population.set(v_thresh=-45.0)
    assert population.get("v_thresh") == pytest.approx(-45.0)


@pytest.mark.needs("last_sample")
def test_initial_potential_is_the_first_sample(sim):
    population = sim.Population(3, sim.IF_curr_exp())
    population.initialize(v=np.array([-70.0, -65.0, -60.0]))
    population.record("v")
    sim.run(1.0)
    signal = population.get_data("v").segments[0].analogsignals[0]
    np.testing.assert_allclose(signal.magnitude[0], [-70.0, -65.0, -60.0])
    assert signal.shape == (11, 3)


# --- what is claimed --------------------------------------------------------------------------


CURRENTS = {
    "DCSource": {"amplitude": 0.5},
    "StepCurrentSource": {"times": [1.0], "amplitudes": [0.5]},
    "ACSource": {"amplitude": 0.5, "frequency": 100.0, "start": 0.0, "stop": 5.0},
    "NoisyCurrentSource": {"mean": 0.5, "stdev": 0.1, "dt": 0.1, "start": 0.0, "stop": 5.0},
}


def cell_type(sim, name):
    if name == "PointNeuron":
        receptor = sim.CondAlphaPostSynapticResponse
        return sim.PointNeuron(sim.AdExp(), excitatory=receptor(), inhibitory=receptor())
    arguments = {"SpikeSourceArray": {"spike_times": [2.0]}}.get(name, {})
    return getattr(sim, name)(**arguments)


def synapse_type(sim, name):
    if name != "STDPMechanism":
        return getattr(sim, name)(weight=0.05, delay=1.0)
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=20.0, tau_minus=20.0, A_plus=0.01, A_minus=0.01
        ),
        weight_dependence=sim.AdditiveWeightDependence(w_min=0.0, w_max=0.1),
        weight=0.05,
        delay=1.0,
    )


@pytest.mark.needs("spikes")
@pytest.mark.filterwarnings("default::portable_cortex.errors.ModelWarning")
def test_what_is_claimed_works(backend, sim):
    """All types of the capabilities, in one network that runs."""
    can, v_rest = backend.capabilities, -65.0
    created = [sim.Population(2, cell_type(sim, name), label=name) for name in can.cell_types]
    moved = []
    for name in can.current_sources:
        moved.append(sim.Population(2, sim.IF_curr_exp(), label=name))
        for k in range(2):
            moved[-1][k : k + 1].inject(getattr(sim, name)(**CURRENTS[name]))
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=np.arange(1.0, 4.0, 0.2)))
    for name in can.synapse_types:
        target = "IF_cond_exp" if "IF_cond_exp" in can.cell_types else "IF_curr_exp"
        moved.append(sim.Population(2, getattr(sim, target)(), label=name))
        connector, synapse = sim.OneToOneConnector(), synapse_type(sim, name)
        sim.Projection(source, moved[-1], connector, synapse, receptor_type="excitatory")
    for population in (*created, *moved):
        population.record("spikes")
    for population in moved:
        population.initialize(v=v_rest)
        population.record("v")
    sim.run(5.0)
    for population in created:
        assert len(population.get_data("spikes").segments[0].spiketrains) == 2, population.label
    for population in moved:
        v = population.get_data("v").segments[0].analogsignals[0].magnitude
        assert v.shape[1] == 2
        if can.dynamics:
            assert np.all(v.max(axis=0) > v_rest + 0.1), population.label


def test_what_is_not_claimed_is_refused(backend):
    """With the backends that have it, before the simulator is asked."""
    can, namespace = backend.capabilities, Namespace(None, backend)
    for standard, claimed in (
        (CELL_TYPES, can.cell_types),
        (CURRENT_SOURCES, can.current_sources),
        (SYNAPSE_TYPES, can.synapse_types),
    ):
        assert set(claimed) <= set(standard)
        for name in set(standard) - set(claimed):
            assert not hasattr(namespace, name)
            with pytest.raises(UnsupportedError, match=f"{name}.*(it is on|no backend has it)"):
                getattr(namespace, name)


# --- connectors -------------------------------------------------------------------------------


def test_all_to_all(sim):
    pre, post = populations(sim)
    projection = sim.Projection(
        pre, post, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.125, delay=1.0)
    )
    found = edges(projection)
    assert len(projection) == len(found) == 600
    assert len({(i, j) for i, j, _, _ in found}) == 600
    np.testing.assert_allclose(found[:, 2], 0.125)  # held exactly by all formats
    np.testing.assert_allclose(found[:, 3], 1.0)


def test_all_to_all_without_self_connections(sim):
    pre, _ = populations(sim)
    projection = sim.Projection(
        pre,
        pre,
        sim.AllToAllConnector(allow_self_connections=False),
        sim.StaticSynapse(weight=0.1, delay=1.0),
    )
    found = edges(projection)
    assert len(found) == 30 * 29
    assert np.all(found[:, 0] != found[:, 1])


def test_one_to_one(sim):
    pre, post = populations(sim, 20, 20)
    projection = sim.Projection(
        pre, post, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=1.0)
    )
    found = edges(projection)
    np.testing.assert_array_equal(found[:, 0], np.arange(20))
    np.testing.assert_array_equal(found[:, 1], np.arange(20))


def test_fixed_probability(sim):
    pre, post = populations(sim, 200, 200)
    projection = sim.Projection(
        pre, post, sim.FixedProbabilityConnector(0.2), sim.StaticSynapse(weight=0.1, delay=1.0)
    )
    found = edges(projection)
    # 5 standard deviations of a binomial number
    assert abs(len(found) - 8000) < 5 * np.sqrt(40_000 * 0.2 * 0.8)
    assert len({(i, j) for i, j, _, _ in found}) == len(found)


@pytest.mark.parametrize("with_replacement", [True, False])
def test_fixed_number_pre_is_an_in_degree(sim, with_replacement):
    pre, post = populations(sim)
    connector = sim.FixedNumberPreConnector(12, with_replacement=with_replacement)
    found = edges(sim.Projection(pre, post, connector, sim.StaticSynapse(weight=0.1, delay=1.0)))
    np.testing.assert_array_equal(np.bincount(found[:, 1].astype(int), minlength=20), 12)
    multapses = len(found) - len({(i, j) for i, j, _, _ in found})
    assert (multapses > 0) == with_replacement


@pytest.mark.parametrize("with_replacement", [True, False])
def test_fixed_number_post_is_an_out_degree(sim, with_replacement):
    pre, post = populations(sim)
    connector = sim.FixedNumberPostConnector(12, with_replacement=with_replacement)
    found = edges(sim.Projection(pre, post, connector, sim.StaticSynapse(weight=0.1, delay=1.0)))
    np.testing.assert_array_equal(np.bincount(found[:, 0].astype(int), minlength=30), 12)
    multapses = len(found) - len({(i, j) for i, j, _, _ in found})
    assert (multapses > 0) == with_replacement


def test_fixed_total_number_has_multapses(sim):
    pre, post = populations(sim, 10, 10)
    projection = sim.Projection(
        pre, post, sim.FixedTotalNumberConnector(400), sim.StaticSynapse(weight=0.1, delay=1.0)
    )
    found = edges(projection)
    assert len(projection) == len(found) == 400
    # of 100 pairs, 100 (1 - 0.99^400) = 98.2 +- 1.3 have at least one synapse
    assert 92 <= len({(i, j) for i, j, _, _ in found}) <= 100
    in_degrees = np.bincount(found[:, 1].astype(int), minlength=10)
    assert in_degrees.std() > 1  # binomial with SD 6, not equal shares


def test_fixed_total_number_without_self_connections(sim):
    pre, _ = populations(sim, 5, 5)
    connector = sim.FixedTotalNumberConnector(300, allow_self_connections=False)
    found = edges(sim.Projection(pre, pre, connector, sim.StaticSynapse(weight=0.1, delay=1.0)))
    assert len(found) == 300
    assert np.all(found[:, 0] != found[:, 1])


def test_list_is_kept_as_it_is(sim):
    pre, post = populations(sim)
    given = np.array(
        [
            [3, 5, 0.25, 1.5],
            [3, 5, 0.125, 0.3],  # a multapse: both stay, each with its own values
            [0, 19, 0.5, 2.0],
            [29, 0, 0.0625, 0.1],
        ]
    )
    projection = sim.Projection(
        pre,
        post,
        sim.FromListConnector(given, column_names=("weight", "delay")),
        sim.StaticSynapse(),
        receptor_type="excitatory",
    )
    found = edges(projection)
    np.testing.assert_allclose(found, given[np.lexsort(given.T[::-1])], rtol=1e-6)


def test_list_without_parameters_takes_those_of_the_synapse(sim):
    pre, post = populations(sim)
    projection = sim.Projection(
        pre,
        post,
        sim.FromListConnector([(0, 1), (2, 3)]),
        sim.StaticSynapse(weight=0.5, delay=0.7),
    )
    np.testing.assert_allclose(edges(projection), [[0, 1, 0.5, 0.7], [2, 3, 0.5, 0.7]])


@pytest.mark.needs("long_rows")
def test_random_weights_and_delays(sim):
    pre, post = populations(sim, 100, 100)
    rng = sim.NumpyRNG(seed=3)
    synapse = sim.StaticSynapse(
        weight=sim.RandomDistribution(
            "normal_clipped", mu=0.1, sigma=0.05, low=0.0, high=np.inf, rng=rng
        ),
        delay=sim.RandomDistribution(
            "normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=np.inf, rng=rng
        ),
    )
    projection = sim.Projection(
        pre,
        post,
        sim.FixedTotalNumberConnector(50_000, rng=rng),
        synapse,
        receptor_type="excitatory",
    )
    _, _, weights, delays = edges(projection).T
    # a normal distribution cut at -2 SD: mean 0.1 + 0.05 * 0.0552, SD 0.05 * 0.9415
    assert weights.min() >= 0
    assert weights.mean() == pytest.approx(0.10276, abs=5 * 0.0471 / np.sqrt(50_000))
    assert weights.std() == pytest.approx(0.0471, rel=0.02)
    # cut at -1.9333 SD: mean 1.5 + 0.75 * 0.0633
    assert delays.min() == pytest.approx(STEP)
    assert delays.mean() == pytest.approx(1.5475, abs=5 * 0.70 / np.sqrt(50_000))
    np.testing.assert_allclose(delays / STEP, np.round(delays / STEP), atol=1e-6)
    assert np.corrcoef(weights, delays)[0, 1] == pytest.approx(0, abs=0.03)


def test_inhibitory_weights_keep_their_sign(sim):
    pre, post = populations(sim)
    synapse = sim.StaticSynapse(
        weight=sim.RandomDistribution(
            "normal_clipped", mu=-0.4, sigma=0.04, low=-np.inf, high=0.0, rng=sim.NumpyRNG(seed=3)
        ),
        delay=0.8,
    )
    projection = sim.Projection(
        pre, post, sim.FixedTotalNumberConnector(2000), synapse, receptor_type="inhibitory"
    )
    weights = edges(projection)[:, 2]
    assert weights.max() <= 0
    assert weights.mean() == pytest.approx(-0.4, abs=5 * 0.04 / np.sqrt(2000))


def test_two_projections_between_the_same_neurons_stay_apart(sim):
    pre, post = populations(sim)
    first = sim.Projection(
        pre, post, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.125, delay=1.0)
    )
    second = sim.Projection(
        pre, post, sim.FixedTotalNumberConnector(50), sim.StaticSynapse(weight=0.25, delay=2.0)
    )
    assert (len(first), len(second)) == (600, 50)
    np.testing.assert_allclose(edges(first)[:, 2:], [[0.125, 1.0]] * 600)
    np.testing.assert_allclose(edges(second)[:, 2:], [[0.25, 2.0]] * 50)


def test_views_can_be_connected(sim):
    pre, post = populations(sim)
    view = sim.Projection(
        pre[10:15],
        post[:4],
        sim.AllToAllConnector(),
        sim.StaticSynapse(weight=0.1, delay=1.0),
    )
    drawn = sim.Projection(
        pre[20:28],
        post[4:12],
        sim.FixedTotalNumberConnector(200),
        sim.StaticSynapse(weight=0.1, delay=1.0),
    )
    found = edges(view)
    assert len(found) == 20
    assert set(found[:, 0]) == set(range(5))  # indices within the view
    found = edges(drawn)
    assert len(found) == 200
    # of 8 none is left out by 200 draws but once in 10^11
    assert set(found[:, 0]) == set(found[:, 1]) == set(range(8))


def test_views_can_be_connected_by_a_list(sim):
    pre, post = populations(sim)
    rows = np.array([[0, 1, 0.25, 1.0], [4, 3, 0.5, 2.0]])  # indices within the views
    projection = sim.Projection(
        pre[10:15], post[2:6], sim.FromListConnector(rows), sim.StaticSynapse()
    )
    np.testing.assert_allclose(edges(projection), rows)


@pytest.mark.needs("assemblies")
def test_assemblies_can_be_connected(sim):
    pre, post = populations(sim)
    assembly = sim.Projection(
        pre + post,
        post,
        sim.FixedNumberPreConnector(7),
        sim.StaticSynapse(weight=0.1, delay=1.0),
    )
    found = edges(assembly)
    assert len(found) == 140
    assert found[:, 0].max() < 50


@pytest.mark.needs("set_synapses")
def test_synapses_can_be_changed(sim):
    pre, post = populations(sim)
    projection = sim.Projection(
        pre, post, sim.FixedTotalNumberConnector(100), sim.StaticSynapse(weight=0.1, delay=1.0)
    )
    projection.set(weight=0.3)
    np.testing.assert_allclose(edges(projection)[:, 2], 0.3)
    matrix = np.arange(600.0).reshape(30, 20)
    projection.set(weight=matrix)
    found = edges(projection)
    expected = matrix[found[:, 0].astype(int), found[:, 1].astype(int)]
    np.testing.assert_allclose(found[:, 2], expected, rtol=1e-9)


@pytest.mark.needs("set_synapses")
def test_each_connection_can_be_read_and_changed(sim):
    pre, post = populations(sim, 4, 3)
    synapse = sim.StaticSynapse(weight=0.25, delay=0.5)
    projection = sim.Projection(pre, post, sim.AllToAllConnector(), synapse)
    connections = list(projection.connections)
    assert len(connections) == 12
    connections[2].weight, connections[2].delay = 0.125, 1.0
    assert (connections[2].weight, connections[2].delay) == pytest.approx((0.125, 1.0))
    found = sorted(map(tuple, edges(projection)[:, 2:]))
    np.testing.assert_allclose(found, [(0.125, 1.0)] + [(0.25, 0.5)] * 11)


@pytest.mark.needs("distances", "float64")
def test_connections_by_distance(sim):
    """What no simulator draws by itself: each neuron reaches those at less than 3.5 um."""
    cells = sim.Population(10, sim.IF_curr_exp(), structure=sim.space.Line(dx=1.0))
    connector = sim.DistanceDependentProbabilityConnector("d < 3.5")
    synapse = sim.StaticSynapse(weight="0.1 * (1 + d)", delay=1.0)
    found = edges(sim.Projection(cells, cells, connector, synapse))
    near = {(i, j) for i in range(10) for j in range(10) if abs(i - j) < 3.5}
    assert {(i, j) for i, j, _, _ in found} == near
    np.testing.assert_allclose(
        found[:, 2], 0.1 * (1 + np.abs(found[:, 0] - found[:, 1])), rtol=1e-6
    )


# --- dynamics ---------------------------------------------------------------------------------


@pytest.mark.needs("dynamics", "float64")
def test_membrane_potential_follows_the_equation(sim):
    """One synaptic current on a resting membrane, against its closed form."""
    neuron = PD14.neuron
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0]))
    target = sim.Population(1, sim.IF_curr_exp(**neuron.as_pynn()))
    target.initialize(v=neuron.v_rest)
    weight, delay = 0.0878, 1.5
    sim.Projection(
        source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight, delay=delay)
    )
    target.record("v")
    sim.run(20.0)
    signal = target.get_data("v").segments[0].analogsignals[0]
    times = signal.times.rescale("ms").magnitude
    v = signal.magnitude[:, 0] - neuron.v_rest

    # the current starts when the spike arrives; find that moment, then compare every sample
    onset = times[np.flatnonzero(np.abs(v) > 1e-12)[0] - 1]
    assert onset == pytest.approx(5.0 + delay, abs=STEP + 1e-9)
    t = np.maximum(times - onset, 0)
    tau_m, tau_s = neuron.tau_m, neuron.tau_syn
    expected = weight / neuron.cm * tau_m * tau_s / (tau_m - tau_s)
    expected *= np.exp(-t / tau_m) - np.exp(-t / tau_s)
    np.testing.assert_allclose(v, expected, atol=1e-9)
    assert v.max() == pytest.approx(PD14.psp, rel=1e-3)


@pytest.mark.needs("dynamics")
def test_spikes_are_stamped_at_the_end_of_their_step(sim):
    """A constant current: threshold is crossed at a known time, refractoriness lasts 2 ms."""
    neuron, current = PD14.neuron, 0.8
    cell = sim.Population(1, sim.IF_curr_exp(**neuron.as_pynn(), i_offset=current))
    cell.initialize(v=neuron.v_rest)
    cell.record("spikes")
    sim.run(100.0)
    (train,) = cell.get_data("spikes").segments[0].spiketrains
    times = train.rescale("ms").magnitude
    infinity = current * neuron.tau_m / neuron.cm
    rise = neuron.tau_m * np.log(infinity / (infinity - (neuron.v_thresh - neuron.v_rest)))
    steps = np.ceil(rise / STEP)
    period = steps * STEP + neuron.tau_refrac
    np.testing.assert_allclose(times[0], steps * STEP, atol=1e-6)
    np.testing.assert_allclose(np.diff(times), period, atol=1e-6)
    assert len(times) == np.floor((100.0 - steps * STEP) / period) + 1


@pytest.mark.needs("dynamics")
@pytest.mark.parametrize("first", [0.0, STEP, 2 * STEP])
def test_a_source_fires_from_the_beginning_or_is_refused(sim, backend, first):
    """Neither a spike at 0 nor one in the first step is left out without a word."""
    times = [first, 5.0]
    strong = sim.StaticSynapse(weight=200.0, delay=1.0)
    cell_type = sim.SpikeSourceArray(spike_times=times)
    if first == 0 and "spike-at-zero" in backend.cannot:
        with pytest.raises(UnsupportedError, match=re.escape(backend.cannot["spike-at-zero"])):
            sim.Population(2, cell_type)
        return
    source = sim.Population(2, cell_type)
    target = sim.Population(2, sim.IF_curr_exp(**PD14.neuron.as_pynn()))
    target.initialize(v=PD14.neuron.v_rest)
    sim.Projection(source, target, sim.OneToOneConnector(), strong)
    for population in (source, target):
        population.record("spikes")
    sim.run(3.0)
    sim.run(5.0)
    for train in source.get_data("spikes").segments[0].spiketrains:
        assert np.asarray(train) == pytest.approx(times)
    for train in target.get_data("spikes").segments[0].spiketrains:
        assert float(train[0].rescale("ms")) == pytest.approx(first + 1.0 + STEP)


@pytest.mark.needs("dynamics")
def test_transmission_takes_the_delay(sim):
    """A strong synapse: the target fires in the step after the spike arrives."""
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0]))
    relay, target = (sim.Population(1, sim.IF_curr_exp(**PD14.neuron.as_pynn())) for _ in "ab")
    strong = 200.0
    sim.Projection(
        source, relay, sim.OneToOneConnector(), sim.StaticSynapse(weight=strong, delay=1.0)
    )
    sim.Projection(
        relay, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=strong, delay=2.3)
    )
    for population in (relay, target):
        population.initialize(v=PD14.neuron.v_rest)
        population.record("spikes")
    sim.run(30.0)
    first = [
        float(p.get_data("spikes").segments[0].spiketrains[0][0].rescale("ms"))
        for p in (relay, target)
    ]
    # the current that arrives at t moves the potential within the step that ends at t + 0.1
    assert first[1] - first[0] == pytest.approx(2.3 + STEP, abs=1e-6)


@pytest.mark.needs("dynamics")
def test_poisson_background_is_independent_for_each_neuron(sim):
    """Every input makes its target fire: count them, and look for spikes in common."""
    n, rate, duration = 400, 20.0, 500.0
    cells = sim.IF_curr_exp(**{**PD14.neuron.as_pynn(), "tau_refrac": 0.1, "tau_m": 1.0})
    target = sim.Population(n, cells)
    target.initialize(v=PD14.neuron.v_rest)
    source = sim.Population(n, sim.SpikeSourcePoisson(rate=rate))
    sim.Projection(
        source,
        target,
        sim.OneToOneConnector(),
        sim.StaticSynapse(weight=40.0, delay=1.0),
        receptor_type="excitatory",
    )
    target.record("spikes")
    sim.run(duration)
    trains = target.get_data("spikes").segments[0].spiketrains
    first = [np.round(t.rescale("ms").magnitude / STEP).astype(int) for t in trains]
    # one input makes a burst of spikes: keep the first of each
    onsets = [steps[np.diff(steps, prepend=-1000) > 100] for steps in first]
    counts = np.array([len(o) for o in onsets])
    # a dead time of 10 ms after each
    expected = rate * duration * 1e-3 / (1 + rate * 10e-3)
    assert counts.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / n))
    assert counts.std() > 0.3 * np.sqrt(expected)
    common = sum(len(np.intersect1d(a, b)) for a, b in pairwise(onsets[:20]))
    assert common <= 5  # 0.4 expected; 160 if all had the same input


@pytest.mark.needs("dynamics")
def test_poisson_source_that_is_recorded_drives_its_targets(sim):
    """A recorded source must be the one that its targets hear."""
    source = sim.Population(5, sim.SpikeSourcePoisson(rate=50.0))
    target = sim.Population(5, sim.IF_curr_exp(**PD14.neuron.as_pynn()))
    target.initialize(v=PD14.neuron.v_rest)
    sim.Projection(
        source,
        target,
        sim.OneToOneConnector(),
        sim.StaticSynapse(weight=200.0, delay=1.0),
        receptor_type="excitatory",
    )
    source.record("spikes")
    target.record("spikes")
    sim.run(500.0)
    heard = target.get_data("spikes").segments[0].spiketrains
    sent = source.get_data("spikes").segments[0].spiketrains
    for input_, output in zip(sent, heard, strict=True):
        assert len(input_) > 5
        assert len(output) > 0
        gap = output[0].rescale("ms").magnitude - input_[0].rescale("ms").magnitude
        assert gap == pytest.approx(1.0 + STEP, abs=1e-6)


@pytest.mark.needs("dynamics")
def test_current_injection(sim):
    cell = sim.Population(2, sim.IF_curr_exp(**PD14.neuron.as_pynn()))
    cell.initialize(v=PD14.neuron.v_rest)
    cell[:1].inject(sim.DCSource(amplitude=1.0, start=20.0, stop=40.0))
    cell.record("spikes")
    sim.run(60.0)
    driven, other = cell.get_data("spikes").segments[0].spiketrains
    assert len(other) == 0
    times = driven.rescale("ms").magnitude
    assert len(times) >= 2
    assert times.min() > 20.0
    assert times.max() <= 41.0


# --- whole runs -------------------------------------------------------------------------------


def run(backend, **changes):
    settings = {"scale": 0.02, "duration": 200.0, "warmup": 50.0, "seed": 3} | changes
    return portable_cortex.run(backend=backend.name, machine="single-thread", **settings)


@pytest.mark.needs("spikes")
def test_microcircuit_runs(backend):
    recording = run(backend)
    expected = scale(PD14, 0.02, 0.02)
    assert recording.populations == PD14.populations
    assert tuple(recording.n_neurons.values()) == expected.sizes
    assert recording.metadata["n_synapses"] == expected.synapses.sum()
    assert recording.metadata["n_spikes"] > 100
    for label in recording.populations:
        times, neurons = recording.spikes(label)
        assert np.all(np.diff(times) >= 0)
        assert np.all((times > 50.0) & (times <= 250.0 + 1e-6))
        assert np.all((neurons >= 0) & (neurons < recording.n_neurons[label]))
        np.testing.assert_allclose(times / STEP, np.round(times / STEP), atol=1e-6)


@pytest.mark.needs("spikes")
def test_same_seed_same_run_other_seed_other_run(backend):
    short = {"duration": 100.0, "warmup": 0.0}
    first, again, other = (run(backend, seed=seed, **short) for seed in (3, 3, 4))
    for label in first.populations:
        np.testing.assert_array_equal(first.spikes(label).times, again.spikes(label).times)
        np.testing.assert_array_equal(first.spikes(label).neurons, again.spikes(label).neurons)
    assert not np.array_equal(first.spikes("L4E").times, other.spikes("L4E").times)


@pytest.mark.needs("spikes")
def test_the_same_run_on_a_slow_computer(backend, monkeypatch):
    """A run is made in pieces, to say how far it is: as long as they take, by the clock."""
    found = []
    for seconds in (1e-9, 10.0):
        clock = SimpleNamespace(perf_counter=partial(next, count(0.0, seconds)))
        monkeypatch.setattr("portable_cortex.backend.time", clock)
        found.append(
            portable_cortex.run(
                backend=backend.name,
                machine="single-thread",
                model="brunel2000",
                scale=0.04,
                duration=50.0,
                warmup=0.0,
            )
        )
    fast, slow = found
    assert fast.metadata["n_spikes"] > 0
    for label in fast.populations:
        np.testing.assert_array_equal(fast.spikes(label).times, slow.spikes(label).times)
        np.testing.assert_array_equal(fast.spikes(label).neurons, slow.spikes(label).neurons)


@pytest.mark.needs("spikes", "trials")
def test_trials_are_one_network_with_other_spikes_from_outside(backend):
    """A number decides what drives it, whatever was run before it in the same network."""
    if not backend.repeats:
        pytest.skip(f"{backend.name} has no trials: Backend.repeats")
    short = {"scale": 0.01, "duration": 60.0, "warmup": 20.0, "seed": 3}
    experiment = portable_cortex.Experiment(
        backend=backend.name,
        machine="single-thread",
        parameters={"scale": short.pop("scale")},
        record=[portable_cortex.RecordRequest("v", "L4E", 2)]
        if backend.capabilities.dynamics
        else (),
        **short,
    )
    batch = [*run_trials(experiment, 3)]
    alone = [replace(experiment, trial=number).run() for number in (1, 3)]
    for one, other in ((batch[0], alone[0]), (batch[2], alone[1])):
        assert one.metadata["n_synapses"] == other.metadata["n_synapses"]
        for label in one.populations:
            np.testing.assert_array_equal(one.spikes(label).times, other.spikes(label).times)
            np.testing.assert_array_equal(one.spikes(label).neurons, other.spikes(label).neurons)
        for key, signal in one.signals.items():
            np.testing.assert_array_equal(signal.values, other.signals[key].values)
    trains = [tuple(trial.spikes("L4E").times) for trial in batch]
    assert len(set(trains)) == 3
    repeated = execute_trials(experiment.resolved(), [1, 2, 1], OfTrials(None, 3))
    assert [tuple(trial.spikes("L4E").times) for trial in repeated] == [*trains[:2], trains[0]]


@pytest.mark.needs("last_sample")
def test_signals_are_recorded(backend):
    recording = run(backend, duration=50.0, record=["v:L4E:5"])
    signal = recording.signal("L4E", "v")
    assert signal.values.shape == (501, 5)
    assert signal.units == "mV"
    assert signal.interval == pytest.approx(STEP)
    assert signal.t_start == pytest.approx(50.0)
    assert np.all((signal.values > -120.0) & (signal.values < 0.0))


@pytest.mark.needs("float64")
def test_shared_realisation_is_the_same_everywhere(backend, sim):
    """What the backend holds is what the core drew, synapse by synapse."""
    from portable_cortex.host.clock import Clock
    from portable_cortex.models.loader import Model
    from portable_cortex.pynn.watching import build_network

    if "shared" not in backend.capabilities.realisations:
        pytest.skip("its capabilities do not list the shared realisation")
    network = build_network(
        Model("pd14", model.build),
        {"scale": 0.02, "drive": "poisson"},
        sim,
        backend_name=backend.name,
        clock=Clock(),
        shared_seed=11,
        on_progress=lambda label: None,
    )
    number = [p.label for p in network.projections].index("L5I→L5E")
    projection = network.projections[number]
    mean = scale(PD14, 0.02, 0.02).weights[4, 5]
    drawn = draw_edges(
        sim.FixedTotalNumberConnector(int(scale(PD14, 0.02, 0.02).synapses[4, 5])),
        sim.StaticSynapse(
            weight=sim.RandomDistribution(
                "normal_clipped", mu=mean, sigma=-mean * 0.1, low=-np.inf, high=0.0
            ),
            delay=sim.RandomDistribution(
                "normal_clipped", mu=0.75, sigma=0.375, low=0.05, high=np.inf
            ),
        ),
        projection.pre,
        projection.post,
        seed=11,
        item=2 * number + 1,
        timestep=STEP,
    )
    expected = np.column_stack(drawn)
    expected = expected[np.lexsort(expected.T[::-1])]
    found = edges(projection)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-12)
    np.testing.assert_allclose(found[:, 3], expected[:, 3], rtol=1e-12)


@pytest.mark.needs("float64")
def test_rounded_weights_are_the_same_everywhere(backend):
    """In the shared realisation, whether the backend rounds them or the core."""
    from portable_cortex.host.clock import Clock
    from portable_cortex.models.loader import Model
    from portable_cortex.pynn.watching import build_network

    if "shared" not in backend.capabilities.realisations:
        pytest.skip("its capabilities do not list the shared realisation")

    def build(sim):
        cells = sim.Population(20, sim.IF_curr_exp(), label="cells")
        source = sim.Population(20, sim.SpikeSourcePoisson(rate=8.0))
        drawn = sim.RandomDistribution("normal_clipped", mu=0.1, sigma=0.02, low=0.0, high=np.inf)
        for pre, connector, weight in (
            (cells, sim.FixedTotalNumberConnector(300), drawn),
            (cells, sim.FixedProbabilityConnector(0.3), drawn),
            (cells, sim.AllToAllConnector(), 0.0878),
            (source, sim.OneToOneConnector(), 0.0878),
            (cells, sim.FromListConnector([(3, 4, 0.3, 1.0), (9, 2, 0.7, 1.5)]), 0.0),
        ):
            synapse = sim.StaticSynapse(weight=weight, delay=1.5)
            sim.Projection(pre, cells, connector, synapse, receptor_type="excitatory")
        return {"cells": cells}

    options = load_machine("single-thread").options_for(backend, {"weights": "bfloat16"})
    sim = backend.simulator(options)
    backend.setup(sim, timestep=STEP, seed=7)
    own = options.weights in backend.capabilities.weight_formats
    network = build_network(
        Model("small", build),
        {},
        sim,
        backend_name=backend.name,
        clock=Clock(),
        shared_seed=11,
        on_progress=lambda label: None,
        weight_format="full" if own else options.weights,
    )
    tables = [edges(projection) for projection in network.projections]
    backend.end(sim)
    assert len(tables[0]) == 300
    assert [len(table) for table in tables[2:]] == [400, 20, 2]
    for table in tables[:2]:
        upper = table[:, 2].astype(np.float32).view(np.uint32)
        assert np.array_equal(upper & 0xFFFF, np.zeros(len(table)))
        assert np.unique(upper).size > 50
    assert {*tables[2][:, 2], *tables[3][:, 2]} == {0.087890625}
    assert tables[4][:, 2].tolist() == [0.30078125, 0.69921875]
    assert tables[0][:, 2].sum() == 29.882080078125


@pytest.mark.needs("spikes")
def test_other_models_run(backend):
    recording = portable_cortex.run(
        backend=backend.name,
        machine="single-thread",
        model="brunel2000",
        scale=0.04,
        duration=100.0,
        warmup=0.0,
    )
    assert recording.n_neurons == {"E": 400, "I": 100}
    assert recording.metadata["n_synapses"] == 500 * (40 + 10)
    assert recording.metadata["n_spikes"] > 0
    assert recording.metadata["synaptic_events"] > 0


def test_what_is_missing_is_said_before_the_run(backend):
    with pytest.raises(UnsupportedError, match="time step"):
        run(backend, timestep=1e-6, duration=1.0, warmup=0.0)


@pytest.mark.needs("dynamics")
@pytest.mark.parametrize(
    ("tau_refrac", "steps"), [(0.05, 1), (0.1, 1), (0.14, 2), (0.25, 3), (0.3, 3), (1.01, 11)]
)
def test_a_refractory_time_takes_the_steps_that_it_begins(sim, tau_refrac, steps):
    cells = sim.IF_curr_exp(tau_refrac=tau_refrac, i_offset=200.0, cm=0.25)
    population = sim.Population(1, cells)
    population.initialize(v=-65.0)
    population.record("spikes")
    sim.run(10.0)
    (train,) = population.get_data("spikes").segments[-1].spiketrains
    # it fires in the first step in which it may
    intervals = np.diff(np.asarray(train.magnitude, dtype=float))
    assert intervals == pytest.approx((steps + 1) * STEP, abs=1e-3)


@pytest.mark.parametrize(
    ("n", "allow_self"), [(0, True), (25, True), (10, False), (30, False), (20, False)]
)
def test_a_total_number_without_replacement_is_of_different_pairs(sim, n, allow_self):
    cells = sim.Population(6 if n == 30 else 5, sim.IF_curr_exp())
    connector = sim.FixedTotalNumberConnector(
        n, allow_self_connections=allow_self, with_replacement=False
    )
    synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
    found = edges(sim.Projection(cells, cells, connector, synapse))
    assert len(found) == n
    assert len({tuple(pair) for pair in found[:, :2]}) == n
    assert allow_self or np.all(found[:, 0] != found[:, 1])


def test_more_different_pairs_than_there_are(sim):
    cells = sim.Population(5, sim.IF_curr_exp())
    connector = sim.FixedTotalNumberConnector(26, with_replacement=False)
    with pytest.raises(Exception, match=r"25 different pairs|will not work when"):
        edges(sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=0.1, delay=1.0)))


# --- models with a mistake ----------------------------------------------------------------------


MISTAKES = [
    ("cells.size + aa", "NameError: name 'aa' is not defined"),
    ("raise SystemExit(0)", "the model ended the program"),
    ("sim.run(10.0)", "must not call sim.run()"),
    ("sim.setup(timestep=1.0)", "must not call sim.setup()"),
    ("sim.end()", "must not call sim.end()"),
    ("sim.Population(0, sim.IF_curr_exp())", "one neuron or more, not 0"),
    ("sim.Population(2, sim.IF_curr_exp(i_offset=inf))", "must be finite"),
    ("sim.Population(2, sim.IF_curr_exp(tau_mm=1.0))", "tau_mm"),
    ("sim.Population(2, sim.SpikeSourcePoisson(rate=-inf))", "must be finite"),
    ("cells.initialize(v=inf - inf)", "v of the initial state must be finite, not nan"),
    ("connect(sim.AllToAllConnector(), weight=inf)", "weight of StaticSynapse must be finite"),
    ("connect(sim.AllToAllConnector(), delay=inf - inf)", "delay of StaticSynapse must be finite"),
    ("connect(sim.FixedProbabilityConnector(1.5))", "must be from 0 to 1, not 1.5"),
    ("connect(sim.FixedProbabilityConnector(-0.5))", ""),
    ("connect(sim.FromListConnector([(0, 1, inf, 1.0)]))", "must be finite, not inf"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_a_mistake_in_a_model_is_told_by_its_line(backend, sim, tmp_path, line, said):
    from portable_cortex.errors import PortableCortexError
    from portable_cortex.host.clock import Clock
    from portable_cortex.models.loader import load_model
    from portable_cortex.pynn.watching import build_network

    path = tmp_path / "mine.py"
    path.write_text(
        "inf = float('inf')\n\n"
        "def build(sim):\n"
        "    cells = sim.Population(3, sim.IF_curr_exp(), label='A')\n"
        "    def connect(connector, weight=0.1, delay=1.0):\n"
        "        sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=weight, "
        "delay=delay))\n"
        f"    {line}\n"
        "    return {'A': cells}\n"
    )
    with pytest.raises(PortableCortexError) as raised:
        build_network(
            load_model(path),
            {},
            sim,
            backend_name=backend.name,
            clock=Clock(),
            shared_seed=None,
            on_progress=lambda label: None,
        )
    message = str(raised.value)
    assert "mine.py, line " in message
    assert said in message
    assert "failed" not in message

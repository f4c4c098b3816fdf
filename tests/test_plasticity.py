"""Plastic synapses mean the same on every backend that has them: what the formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import missing

import portable_cortex
from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.machine import load_machine
from portable_cortex.pynn import plasticity

STEP = 0.1
NAMES = "builtin", "nest", "brian2", "neuron"  # SpiNNaker's plasticity is its own, in fixed point
POWERS = {**plasticity.EXPONENTS, "GutigWeightDependence": (0.4, 0.3)}
TAUS = {"tau_plus": 17.0, "tau_minus": 34.0}
AMPLITUDES = {"A_plus": 0.05, "A_minus": 0.03}
CELL = {"tau_m": 10.0, "cm": 1.0, "tau_refrac": 1.0, "tau_syn_E": 0.7, "v_reset": -65.0}
MINE = {"v_rest": -65.0, "v_thresh": -50.0}


@pytest.fixture(params=NAMES)
def backend(request):
    if obstacle := missing(request.param):
        pytest.skip(obstacle)
    return portable_cortex.load_backend(request.param)


@pytest.fixture
def sim(backend):
    namespace = backend.simulator(load_machine("single-thread").options_for(backend))
    namespace.setup(timestep=STEP, rng_seed=1)
    yield namespace
    backend.end(namespace)


def rule_of(dependence, w_max, fraction, **taus):
    powers = dict(zip(("mu_plus", "mu_minus"), POWERS[dependence], strict=True))
    values = {**TAUS, **taus, **AMPLITUDES, "w_min": 0.0, "w_max": w_max, **powers}
    return {**values, "dendritic_delay_fraction": fraction}


def mechanism(sim, dependence, rule, **values):
    powers = {n: rule[n] for n in ("mu_plus", "mu_minus")} if "Gutig" in dependence else {}
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(**{n: rule[n] for n in (*TAUS, *AMPLITUDES)}),
        weight_dependence=getattr(sim, dependence)(w_min=0.0, w_max=rule["w_max"], **powers),
        dendritic_delay_fraction=rule["dendritic_delay_fraction"],
        **values,
    )


def driven(sim, n=1, seed=1, until=9000, number=60):
    """Neurons that fire where this says, nearly, whatever else arrives."""
    rng = np.random.default_rng(seed)
    times = [np.sort(rng.choice(np.arange(20, until, 30), number, replace=False)) for _ in range(n)]
    drive = sim.Population(n, sim.SpikeSourceArray(spike_times=[t * STEP for t in times]))
    cells = sim.Population(n, sim.IF_curr_exp(**CELL, **MINE), label="targets")
    cells.initialize(v=-65.0)
    synapse = sim.StaticSynapse(weight=200.0, delay=1.0)
    sim.Projection(drive, cells, sim.OneToOneConnector(), synapse, receptor_type="excitatory")
    cells.record("spikes")
    return cells


def fired(cells):
    trains = cells.get_data("spikes").segments[0].spiketrains
    return [np.array(train.magnitude) for train in trains]


def times_of_sources(n, seed=2, until=9000, number=60):
    """Close together, apart, and after a long silence."""
    rng = np.random.default_rng(seed)
    steps = [np.sort(rng.choice(np.arange(20, until), number, replace=False)) for _ in range(n)]
    return [np.append(s[: number - 8 * k], s[-1] + 40 * k + 1) * STEP for k, s in enumerate(steps)]


def fractions(backend):
    return (1.0,) if backend.name == "nest" else (1.0, 0.0, 0.5, 0.3)


@pytest.mark.parametrize("dependence", POWERS)
def test_weights_follow_the_rule(sim, backend, dependence):
    """For each part of the delay that may be in the dendrite, with spikes seen at the same time."""
    cells = driven(sim)
    (times,) = times_of_sources(1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    made = []
    for fraction in fractions(backend):
        for delay in (0.1, 1.5):
            if fraction == 0.3 and delay == 0.1:
                continue  # neuron refuses what is between steps
            rule = rule_of(dependence, 0.05, fraction)
            synapse = mechanism(sim, dependence, rule, weight=0.02, delay=delay)
            connector = sim.AllToAllConnector()
            projection = sim.Projection(
                source, cells, connector, synapse, receptor_type="excitatory"
            )
            made.append((rule, delay, projection))
    sim.run(times[-1] + 5.0)
    (spikes,) = fired(cells)
    together = 0
    for rule, delay, projection in made:
        expected = plasticity.paired(rule, 0.02, delay, times, spikes)
        assert np.ptp(expected) > 1e-3
        found = projection.get("weight", "list", with_address=False)[0]
        assert found == pytest.approx(expected[-1], abs=1e-9), (rule, delay)
        lag = (1.0 - 2.0 * rule["dendritic_delay_fraction"]) * delay
        together += np.isclose(times[:, None] + lag, spikes).sum()
    assert together > 0


def transmitted(sim, cells, source_times, make, weights):
    """Largest difference of potentials: of plastic synapses, and of a static one for each spike."""
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=source_times))
    each = sim.Population(
        source_times.size, sim.SpikeSourceArray(spike_times=[[t] for t in source_times])
    )
    make(source, cells[:1])
    listed = [(k, 0, w, 1.5) for k, w in enumerate(weights)]
    sim.Projection(
        each,
        cells[1:],
        sim.FromListConnector(listed, column_names=["weight", "delay"]),
        sim.StaticSynapse(),
        receptor_type="excitatory",
    )
    cells.record("v")
    sim.run(source_times[-1] + 20.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude
    return float(np.abs(v[:, 0] - v[:, 1]).max())


@pytest.mark.parametrize("tau_facil", [0.0, 50.0])
def test_short_term_plasticity_follows_its_equations(sim, tau_facil):
    (times,) = times_of_sources(1)
    cells = sim.Population(2, sim.IF_curr_exp(**CELL, v_rest=-65.0, v_thresh=0.0))
    cells.initialize(v=-65.0)
    values = {"U": 0.3, "tau_rec": 100.0, "tau_facil": tau_facil}
    made = []

    def make(source, target):
        synapse = sim.TsodyksMarkramSynapse(weight=0.5, delay=1.5, **values)
        connector = sim.AllToAllConnector()
        made.append(sim.Projection(source, target, connector, synapse, receptor_type="excitatory"))

    weights = plasticity.short_term(0.5, 0.3, 100.0, tau_facil, CELL["tau_syn_E"], times)
    assert np.ptp(weights) > 0.02
    assert transmitted(sim, cells, times, make, weights) < 1e-9
    assert made[0].get("weight", "list", with_address=False) == [pytest.approx(0.5)]


def test_time_constants_may_be_equal(sim):
    """Of recovery and of the synaptic current: the equations divide by their difference."""
    (times,) = times_of_sources(1)
    cells = sim.Population(2, sim.IF_curr_exp(**CELL, v_rest=-65.0, v_thresh=0.0))
    cells.initialize(v=-65.0)
    tau = CELL["tau_syn_E"]

    def make(source, target):
        synapse = sim.TsodyksMarkramSynapse(weight=0.5, delay=1.5, U=0.9, tau_rec=tau)
        sim.Projection(source, target, sim.AllToAllConnector(), synapse, receptor_type="excitatory")

    weights = plasticity.short_term(0.5, 0.9, tau, 0.0, tau, times)
    assert np.ptp(weights) > 0.01
    assert transmitted(sim, cells, times, make, weights) < 1e-6


def test_a_rule_may_only_depress(sim):
    cells = driven(sim)
    (times,) = times_of_sources(1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    rule = {**rule_of("AdditiveWeightDependence", 0.05, 1.0), "A_plus": 0.0, "A_minus": 0.002}
    synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.05, delay=1.5)
    connector = sim.AllToAllConnector()
    projection = sim.Projection(source, cells, connector, synapse, receptor_type="excitatory")
    sim.run(times[-1] + 5.0)
    expected = plasticity.paired(rule, 0.05, 1.5, times, fired(cells)[0])
    assert expected[-1] < 0.049
    found = projection.get(["weight", "A_plus"], "list", with_address=False)
    assert found == [pytest.approx((expected[-1], 0.0), abs=1e-9)]


def test_a_spike_keeps_the_weight_with_which_it_was_sent(sim):
    """Though the next one changes it before the first has arrived."""
    times = np.sort(np.concatenate([np.arange(10.0, 300.0, 11.0), np.arange(10.6, 300.0, 11.0)]))
    rule = rule_of("AdditiveWeightDependence", 0.5, 1.0)
    cells = sim.Population(2, sim.IF_curr_exp(**{**CELL, "tau_refrac": 7.0}, **MINE))
    cells.initialize(v=-65.0)
    drive = sim.Population(1, sim.SpikeSourceArray(spike_times=np.arange(13.0, 300.0, 9.0)))
    synapse = sim.StaticSynapse(weight=200.0, delay=1.0)
    sim.Projection(drive, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    spikes = np.arange(13.0, 300.0, 9.0) + 1.0 + STEP

    def make(source, target):
        synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.2, delay=1.5)
        sim.Projection(source, target, sim.AllToAllConnector(), synapse, receptor_type="excitatory")

    cells.record("spikes")
    weights = plasticity.paired(rule, 0.2, 1.5, times, spikes)
    difference = transmitted(sim, cells, times, make, weights)
    for found in fired(cells):
        np.testing.assert_allclose(found, spikes, atol=1e-6)
    assert np.abs(np.diff(weights)).max() > 1e-3
    assert difference < 1e-9


def test_every_synapse_has_its_own(sim, backend):
    """Delays, multapses, sources that are silent for long, targets that fire often."""
    rng = np.random.default_rng(5)
    n_pre, n_post, n = 6, 4, 60
    cells = driven(sim, n_post, number=200)
    times = times_of_sources(n_pre, number=60)
    source = sim.Population(n_pre, sim.SpikeSourceArray(spike_times=times))
    rows = np.column_stack(
        [
            rng.integers(n_pre, size=n),
            rng.integers(n_post, size=n),
            rng.uniform(0.0, 0.05, n),
            rng.integers(1, 30, n) * STEP,
        ]
    )
    fraction = 1.0 if backend.name == "nest" else 0.0
    rule = rule_of("GutigWeightDependence", 0.05, fraction, tau_plus=2.0, tau_minus=3.0)
    connector = sim.FromListConnector(rows.tolist(), column_names=["weight", "delay"])
    synapse = mechanism(sim, "GutigWeightDependence", rule)
    projection = sim.Projection(source, cells, connector, synapse, receptor_type="excitatory")
    for part in (300.0, 700.0):
        sim.run_until(part)
        projection.get("weight", "list")  # looking changes nothing
    sim.run_until(max(t[-1] for t in times) + 5.0)
    spikes = fired(cells)
    expected = sorted(
        (i, j, d, plasticity.paired(rule, w, d, times[int(i)], spikes[int(j)])[-1])
        for i, j, w, d in rows
    )
    found = sorted((i, j, d, w) for i, j, w, d in projection.get(["weight", "delay"], "list"))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_all_that_a_synapse_has_can_be_read(sim):
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=[5.0]))
    cells = sim.Population(2, sim.IF_curr_exp())
    rule = rule_of("GutigWeightDependence", 0.05, 1.0)
    synapse = mechanism(sim, "GutigWeightDependence", rule, weight=0.02, delay=1.5)
    projection = sim.Projection(
        source, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory"
    )
    stated = {**rule, "weight": 0.02, "delay": 1.5}
    sim.run(3.0)
    for name, value in stated.items():
        found = projection.get(name, "list", with_address=False)
        assert found == [pytest.approx(value)] * 4, name


@pytest.mark.parametrize("is_short_term", [False, True])
def test_all_can_be_read_after_the_end(sim, is_short_term):
    sources = sim.Population(3, sim.SpikeSourceArray(spike_times=[5.0, 15.0, 45.0]))
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=1.0))
    values = {"weight": 0.05, "delay": 1.0}
    rule = {**TAUS, **AMPLITUDES, "w_max": 0.1, "dendritic_delay_fraction": 1.0}
    synapses = sim.TsodyksMarkramSynapse(U=0.3, tau_rec=200.0, tau_facil=10.0, **values)
    if not is_short_term:
        synapses = mechanism(sim, "AdditiveWeightDependence", rule, **values)
    projection = sim.Projection(sources, cells, sim.AllToAllConnector(), synapses)
    sim.run(60.0)
    names = projection.synapse_type.get_parameter_names()
    before, n = projection.get(names, "list"), len(projection)
    sim.end()
    assert len(projection) == n == 6
    assert projection.get(names, "list") == before
    if not is_short_term:
        assert before[0][2 + names.index("weight")] != 0.05


def test_delays_are_those_that_are_stated(sim):
    """One for each, and none that is 0: PyNN takes that for none at all."""
    cells = sim.Population(2, sim.IF_curr_exp())
    rule = rule_of("AdditiveWeightDependence", 0.05, 1.0)
    made = [
        mechanism(sim, "AdditiveWeightDependence", rule, weight=0.02, delay=delay)
        for delay in (np.array([[1.0, 2.0], [3.0, 4.0]]), 0.0)
    ]
    arguments = cells, cells, sim.AllToAllConnector()
    projection = sim.Projection(*arguments, made[0], receptor_type="excitatory")
    found = projection.get("delay", "array")
    np.testing.assert_allclose(found, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(sim.errors.ConnectionError, match=r"one time step .*or more, not 0 ms"):
        sim.Projection(*arguments, made[1], receptor_type="excitatory")


WRONG = {
    "tau_plus": ({"tau_plus": -1.0}, r"tau_plus .*must be above 0 ms, not -1"),
    "w_max": ({"w_max": 0.0}, r"w_max .*must be other than 0"),
    "weight": ({"weight": 0.2}, r"must be from w_min to w_max \(0 to 0.05\), not 0.2"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_no_rule_can_have_is_refused(sim, wrong):
    values, said = WRONG[wrong]
    cells = sim.Population(2, sim.IF_curr_exp())
    rule = {**rule_of("AdditiveWeightDependence", 0.05, 1.0), **values}
    synapse = mechanism(
        sim, "AdditiveWeightDependence", rule, weight=values.get("weight", 0.02), delay=1.0
    )
    with pytest.raises((InvalidValueError, sim.errors.ConnectionError), match=said):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")


@pytest.mark.parametrize("values", [{"U": 1.5}, {"tau_rec": 0.0}, {"tau_facil": -1.0}])
def test_what_no_short_term_plasticity_can_have_is_refused(sim, values):
    cells = sim.Population(2, sim.IF_curr_exp())
    synapse = sim.TsodyksMarkramSynapse(weight=0.1, delay=1.0, **values)
    with pytest.raises(InvalidValueError, match=next(iter(values))):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(sim, p):
    cells = sim.Population(2, sim.IF_curr_exp())
    synapse = sim.SimpleStochasticSynapse(weight=0.1, delay=1.0, p=p)
    with pytest.raises(InvalidValueError, match=rf"p of .*must be from 0 to 1, not {p:g}"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")


def test_what_nest_has_not_is_said():
    sim = portable_cortex.simulator("nest")
    sim.setup(timestep=STEP)
    with pytest.raises(UnsupportedError, match=r"w_min=0\.01.*bounded by 0"):
        sim.AdditiveWeightDependence(w_min=0.01, w_max=0.1)
    with pytest.raises(UnsupportedError, match=r"dendritic_delay_fraction=0\.5.*in the dendrite"):
        mechanism(sim, "AdditiveWeightDependence", rule_of("AdditiveWeightDependence", 0.05, 0.5))
    cells = sim.Population(2, sim.IF_curr_exp())
    for tau_minus in (34.0, 20.0):
        rule = rule_of("AdditiveWeightDependence", 0.05, 1.0, tau_minus=tau_minus)
        synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.02, delay=1.0)
        arguments = cells, cells, sim.AllToAllConnector(), synapse
        if tau_minus == 34.0:
            sim.Projection(*arguments, receptor_type="excitatory")
        else:
            with pytest.raises(UnsupportedError, match=r"tau_minus=20 ms.*34 ms"):
                sim.Projection(*arguments, receptor_type="excitatory")
    sim.end()


@pytest.mark.parametrize("backend", ["builtin", "brian2", "neuron"], indirect=True)
def test_spikes_at_zero_count(sim):
    """Before any of the target, which has fewer than are kept together. NEST has none at 0."""
    cells = driven(sim, until=800, number=3)
    times = np.array([0.0, 40.0, 90.0])
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    rule = rule_of("AdditiveWeightDependence", 0.05, 1.0, tau_plus=100.0)
    synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.02, delay=1.0)
    short = sim.TsodyksMarkramSynapse(weight=0.02, delay=1.0, U=0.5, tau_rec=100.0)
    made = [
        sim.Projection(source, cells, sim.AllToAllConnector(), s, receptor_type="excitatory")
        for s in (synapse, short)
    ]
    sim.run(100.0)
    expected = plasticity.paired(rule, 0.02, 1.0, times, fired(cells)[0])
    found = made[0].get("weight", "list", with_address=False)
    assert found == [pytest.approx(expected[-1], abs=1e-9)]
    without = plasticity.paired(rule, 0.02, 1.0, times[1:], fired(cells)[0])
    assert abs(expected[-1] - without[-1]) > 1e-4


def test_short_term_plasticity_of_each_synapse_is_its_own(sim):
    """One projection with a value for each is as many with one value."""
    (times,) = times_of_sources(1)
    cells = sim.Population(4, sim.IF_curr_exp(**CELL, v_rest=-65.0, v_thresh=0.0))
    cells.initialize(v=-65.0)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    given = {"U": [0.2, 0.7], "tau_rec": [50.0, 200.0], "tau_facil": [0.0, 80.0]}
    rows = [(0, k, *(values[k] for values in given.values())) for k in range(2)]
    sim.Projection(
        source,
        cells[:2],
        sim.FromListConnector(rows, column_names=list(given)),
        sim.TsodyksMarkramSynapse(weight=0.5, delay=1.5),
        receptor_type="excitatory",
    )
    for k in range(2):
        own = {name: values[k] for name, values in given.items()}
        synapse = sim.TsodyksMarkramSynapse(weight=0.5, delay=1.5, **own)
        arguments = source, cells[2 + k : 3 + k], sim.AllToAllConnector(), synapse
        sim.Projection(*arguments, receptor_type="excitatory")
    cells.record("v")
    sim.run(400.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude
    np.testing.assert_allclose(v[:, :2], v[:, 2:], atol=1e-9)
    assert np.abs(v[:, 0] - v[:, 1]).max() > 0.01


def test_each_spike_is_transmitted_with_its_probability(sim):
    """Whatever other synapses do; each that is makes its target fire."""
    times, p = np.arange(5.0, 1500.0, 5.0), np.array([[0.0, 0.3, 0.3, 0.8, 1.0]])
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    cells = sim.Population(p.size, sim.IF_curr_exp(**{**CELL, "tau_refrac": 3.0}, **MINE))
    synapse = sim.SimpleStochasticSynapse(weight=200.0, delay=1.5, p=p)
    connector = sim.AllToAllConnector()
    projection = sim.Projection(source, cells, connector, synapse, receptor_type="excitatory")
    cells.record("spikes")
    sim.run(times[-1] + 3.0)
    found = fired(cells)
    np.testing.assert_allclose(found[-1], times + 1.5 + STEP, atol=1e-6)
    is_sent = np.array([np.isclose(times[:, None] + 1.5 + STEP, f).any(axis=1) for f in found])
    assert is_sent.sum() == sum(map(len, found))
    deviation = np.sqrt(p[0] * (1 - p[0]) * times.size)
    assert np.all(np.abs(is_sent.sum(axis=1) - p[0] * times.size) <= 4 * deviation)
    both = is_sent[1:4, :-1] & is_sent[1:4, 1:]  # one spike after the other
    np.testing.assert_allclose(both.mean(axis=1), p[0, 1:4] ** 2, atol=0.12)
    assert np.mean(is_sent[1] & is_sent[2]) == pytest.approx(0.09, abs=0.07)
    assert projection.get("p", "list", with_address=False) == pytest.approx(p[0])
    assert projection.get("weight", "list", with_address=False) == [pytest.approx(200.0)] * 5


LATE = {"builtin": "less than half a step of the delay", "brian2": "nothing of the delay"}


@pytest.mark.parametrize("backend", LATE, indirect=True)
def test_neurons_that_look_at_what_arrives(sim, backend):
    """Their spikes are known after it has arrived: so part of the delay is in the dendrite."""
    (times,) = times_of_sources(1)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=times))
    cells = sim.Population(1, sim.Izhikevich(i_offset=0.01))
    cells.record("spikes")
    made = []
    for fraction, delay in ((1.0, 0.1), (0.5, 1.5), (0.1, 0.5)):
        rule = rule_of("MultiplicativeWeightDependence", 0.5, fraction)
        synapse = mechanism(sim, "MultiplicativeWeightDependence", rule, weight=0.2, delay=delay)
        arguments = source, cells, sim.AllToAllConnector(), synapse
        made.append((rule, delay, sim.Projection(*arguments, receptor_type="excitatory")))
    rule = rule_of("MultiplicativeWeightDependence", 0.5, 0.0)
    synapse = mechanism(sim, "MultiplicativeWeightDependence", rule, weight=0.2, delay=1.0)
    arguments = source, cells, sim.AllToAllConnector(), synapse
    with pytest.raises(UnsupportedError, match=LATE[backend.name]):
        sim.Projection(*arguments, receptor_type="excitatory")
    sim.run(times[-1] + 5.0)
    (spikes,) = fired(cells)
    assert spikes.size > 10
    for rule, delay, projection in made:
        expected = plasticity.paired(rule, 0.2, delay, times, spikes)
        found = projection.get("weight", "list", with_address=False)
        assert found == [pytest.approx(expected[-1], abs=1e-9)]


# --- the built-in engine --------------------------------------------------------------------------


def network(sim, kind="STDPMechanism"):
    """Recurrent, of neurons that fire by themselves."""
    cells = sim.Population(
        40, sim.IF_curr_exp(i_offset=np.linspace(0.9, 1.3, 40), tau_syn_E=2.0, tau_refrac=2.0)
    )
    cells.initialize(v=np.linspace(-65.0, -51.0, 40))
    rng = sim.NumpyRNG(seed=3)
    delay = sim.RandomDistribution("uniform", low=0.2, high=4.0, rng=rng)
    if kind == "STDPMechanism":
        rule = rule_of("MultiplicativeWeightDependence", 0.1, 0.5)
        synapse = mechanism(sim, "MultiplicativeWeightDependence", rule, weight=0.05, delay=delay)
    elif kind == "SimpleStochasticSynapse":
        synapse = sim.SimpleStochasticSynapse(weight=0.2, delay=delay, p=0.6)
    else:
        use = sim.RandomDistribution("uniform", low=0.1, high=0.9, rng=rng)
        synapse = sim.TsodyksMarkramSynapse(
            weight=0.1, delay=delay, U=use, tau_rec=80.0, tau_facil=20.0
        )
    connector = sim.FixedNumberPreConnector(12, rng=rng)
    projection = sim.Projection(cells, cells, connector, synapse, receptor_type="excitatory")
    cells.record("spikes")
    return cells, projection


def test_time_constants_that_are_too_long_are_refused():
    sim = portable_cortex.simulator("builtin")
    sim.setup(timestep=STEP)
    cells = sim.Population(2, sim.IF_curr_exp())
    rule = rule_of("AdditiveWeightDependence", 0.05, 1.0, tau_plus=1e6)
    synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.02, delay=1.0)
    with pytest.raises(UnsupportedError, match=r"tau_plus=1e\+06 ms.*only up to 10485"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")
    sim.end()


@pytest.mark.parametrize(
    "kind", ["STDPMechanism", "TsodyksMarkramSynapse", "SimpleStochasticSynapse"]
)
def test_threads_and_pieces_change_nothing(kind):
    found = []
    for threads, pieces in (("1", (200.0,)), ("2", (200.0,)), ("3", (0.3, 77.0, 200.0))):
        sim = portable_cortex.simulator("builtin", options={"threads": threads})
        sim.setup(timestep=STEP, rng_seed=4)
        cells, projection = network(sim, kind)
        for end in pieces:
            sim.run_until(end)
            cells.set(tau_refrac=2.0)  # the engine is made anew
        found.append((np.concatenate(fired(cells)), projection.get("weight", "list")))
        sim.end()
    for spikes, weights in found[1:]:
        np.testing.assert_array_equal(spikes, found[0][0])
        assert weights == found[0][1]
    assert found[0][0].size > 100


def test_reset_gives_the_weights_back_that_were_stated(sim, backend):
    if backend.name == "nest":
        pytest.skip(backend.cannot["reset: plastic synapses"])
    cells, projection = network(sim)
    runs = []
    for _ in range(2):
        sim.run(100.0)
        spikes = cells.get_data("spikes").segments[-1].spiketrains
        runs.append((projection.get("weight", "list"), [s.magnitude.tolist() for s in spikes]))
        sim.reset()
        stated = [w for _, _, w in projection.get("weight", "list")]
        np.testing.assert_allclose(stated, 0.05)
    assert runs[0] == runs[1]
    assert np.ptp([w for _, _, w in runs[0][0]]) > 1e-3


def test_weights_that_are_set_hold_for_spikes_to_come():
    sim = portable_cortex.simulator("builtin")
    sim.setup(timestep=STEP)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, 30.0]))
    cells = sim.Population(1, sim.IF_curr_exp(**CELL, v_rest=-65.0, v_thresh=0.0))
    cells.initialize(v=-65.0)
    rule = rule_of("AdditiveWeightDependence", 5.0, 1.0)
    synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=1.0, delay=2.0)
    projection = sim.Projection(
        source, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory"
    )
    cells.record("v")
    sim.run(2.0)  # the first spike is on its way
    projection.set(weight=3.0)
    assert projection.get("weight", "list", with_address=False) == [3.0]
    with pytest.raises(UnsupportedError, match=r"set delay of projection.*at 2 ms"):
        projection.set(delay=1.0)
    with pytest.raises(UnsupportedError, match="make a population at 2 ms"):
        sim.Population(1, sim.IF_curr_exp())
    sim.run(38.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude[:, 0] + 65.0
    first, second = v[:300].max(), v[300:].max()
    assert second == pytest.approx(3.0 * first, rel=0.07)  # the first has not quite decayed
    sim.end()


def test_a_checkpoint_has_plastic_synapses():
    backend = portable_cortex.load_backend("builtin")
    found = []
    for pieces in ((200.0,), (120.3, 200.0)):
        state = None
        for end in pieces:
            sim = portable_cortex.simulator("builtin", options={"threads": "2"})
            sim.setup(timestep=STEP, rng_seed=4)
            cells, projection = network(sim)
            backend.prepare(sim, lambda *_: None)
            if state is not None:
                backend.restore(sim, state)
            sim.run_until(end)
            state = dict(backend.state(sim))
            weights = projection.get("weight", "list")
            spikes = np.concatenate(fired(cells))
            sim.end()
        found.append((weights, spikes[spikes > 125.0]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(np.sort(found[0][1]), np.sort(found[1][1]))
    assert found[0][1].size > 50


# --- Brian2 ---------------------------------------------------------------------------------------


def in_brian2(**options):
    if obstacle := missing("brian2"):
        pytest.skip(obstacle)
    namespace = portable_cortex.simulator("brian2", options=options)
    namespace.setup(timestep=STEP, rng_seed=4)
    return namespace


def learned(sim):
    """Spikes and weights of two networks, read at two times."""
    made = [network(sim, kind) for kind in ("STDPMechanism", "TsodyksMarkramSynapse")]
    weights = []
    for end in (61.0, 150.0):
        sim.run_until(end)
        weights.append(made[0][1].get("weight", "list"))
    spikes = [fired(cells) for cells, _ in made]
    sim.end()
    assert made[0][1].get("weight", "list") == weights[-1]  # they stay
    return weights, spikes


@pytest.mark.compiler
@pytest.mark.parametrize(
    "options", [{"mode": "cpp_standalone", "threads": "2"}, {"mode": "runtime", "target": "numpy"}]
)
def test_brian2_learns_as_the_built_in_engine_does(options):
    """In both modes, and in populations that share a group."""
    builtin = portable_cortex.simulator("builtin", options={"threads": "1"})
    builtin.setup(timestep=STEP, rng_seed=4)
    expected_weights, expected_spikes = learned(builtin)
    weights, spikes = learned(in_brian2(**options))
    for found, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    for found, expected in zip(spikes, expected_spikes, strict=True):
        for train, expected_train in zip(found, expected, strict=True):
            np.testing.assert_allclose(train, expected_train, atol=1e-6)
    assert sum(map(len, expected_spikes[1])) > 50


def test_what_brian2_has_to_hand_over_is_refused():
    sim = in_brian2(mode="runtime", target="numpy")
    cells, projection = network(sim)
    projection.set(weight=0.04)
    sim.run(50.0)
    before = projection.get("weight", "list")
    for change in (lambda: projection.set(weight=0.01), lambda: cells.set(tau_refrac=1.0)):
        with pytest.raises(UnsupportedError, match=r"at 50 ms, with plastic synapses.*reset\(\)"):
            change()
    assert projection.get("weight", "list") == before
    assert np.ptp([w for _, _, w in before]) > 1e-3
    sim.run(50.0)
    assert projection.get("weight", "list") != before
    sim.reset()
    projection.set(weight=0.01)
    assert projection.get("weight", "list", with_address=False) == [0.01] * len(projection)
    sim.end()


def test_poisson_sources_of_plastic_synapses_have_spikes_of_their_own():
    """Brian2 draws those of static ones where they arrive."""
    sim = in_brian2(mode="runtime", target="numpy")
    source = sim.Population(20, sim.SpikeSourcePoisson(rate=100.0))
    cells = sim.Population(20, sim.IF_curr_exp(i_offset=1.2))
    rule = rule_of("AdditiveWeightDependence", 0.05, 1.0)
    synapse = mechanism(sim, "AdditiveWeightDependence", rule, weight=0.02, delay=1.0)
    projection = sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
    sim.run(100.0)
    assert np.ptp(projection.get("weight", "list", with_address=False)) > 1e-3
    sim.end()

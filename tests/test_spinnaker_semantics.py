"""What PyNN programs mean on a board: beside the built-in engine, in fixed-point numbers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pyNN import errors as pynn_errors
from pyNN.space import Line

import portable_cortex
from portable_cortex import load_backend
from portable_cortex.errors import InvalidValueError, ModelError, ModelWarning, UnsupportedError

BACKEND = load_backend("spinnaker")
pytestmark = [
    pytest.mark.skipif(not BACKEND.availability().available, reason=BACKEND.availability().install),
    pytest.mark.board,
]


def simulator(name):
    return portable_cortex.simulator(name, options={"version": "3"} if name == "spinnaker" else {})


@pytest.fixture
def sim():
    """A network that runs nothing: what is refused is refused before."""
    namespace = simulator("spinnaker")
    namespace.setup(timestep=0.1)
    yield namespace
    namespace.end()


def trains(cells):
    spiketrains = cells.get_data("spikes").segments[-1].spiketrains
    return [np.asarray(t.rescale("ms").magnitude, float) for t in spiketrains]


def signal(cells, name):
    (found,) = cells.get_data(name).segments[-1].filter(name=name)
    return np.asarray(found.magnitude, float), found.units.dimensionality.string


# --- one program on both ------------------------------------------------------------------------


def currents(sim):
    """Cells by what is injected into them."""
    sources = {
        "constant, for ever": [sim.DCSource(amplitude=0.5)],
        "off the grid": [sim.DCSource(amplitude=0.5, start=10.06, stop=20.55)],
        "two": [
            sim.DCSource(amplitude=0.5, start=10.0, stop=20.0),
            sim.DCSource(amplitude=0.25, start=15.0, stop=30.0),
        ],
        "sine": [sim.ACSource(amplitude=0.3, offset=0.2, frequency=20.0, phase=90.0, start=5.0)],
        "steps": [sim.StepCurrentSource(times=[5.0, 10.0, 20.0], amplitudes=[0.5, -0.5, 0.2])],
        "steps at once": [
            sim.StepCurrentSource(times=[5.0, 5.01, 20.0], amplitudes=[0.5, -0.5, 0.2])
        ],
    }
    found = {}
    for label, several in sources.items():
        cells = sim.Population(3, sim.IF_curr_exp(v_thresh=1000.0), label=label)
        cells.initialize(v=-65.0)
        for source in several:
            cells[:2].inject(source)
        found[label] = cells
    changed = sim.DCSource(amplitude=0.5, start=10.0, stop=100.0)
    cells = sim.Population(1, sim.IF_curr_exp(v_thresh=1000.0), label="changed between runs")
    cells.initialize(v=-65.0)
    cells.inject(changed)
    found[cells.label] = cells
    for cells in found.values():
        cells.record("v")
    sim.run(25.0)
    changed.set_parameters(amplitude=0.1, stop=35.0)
    sim.run(15.0)
    return {label: signal(cells, "v")[0] for label, cells in found.items()}


@pytest.mark.filterwarnings("ignore:ACSource")
def test_currents_are_those_of_the_other_backends():
    found = {}
    for name in ("builtin", "spinnaker"):
        sim = simulator(name)
        sim.setup(timestep=0.1)
        found[name] = currents(sim)
        sim.end()
    for label, v in found["spinnaker"].items():
        # some mV in numbers of 3e-5, which decay by factors of 3e-5
        expected = found["builtin"][label][: len(v)]
        np.testing.assert_allclose(v, expected, atol=0.02, err_msg=label)


def cells_and_synapses(sim):
    """Cells by what they are and receive, and their synaptic variables."""
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=[5.0, 6.0, 7.0, 20.0]))
    spikes = {
        "currents": (sim.IF_curr_exp(), 1.0, -0.5),
        "conductances": (sim.IF_cond_exp(), 0.005, 0.01),
        "jumps": (sim.IF_curr_delta(), 1.0, -0.5),
    }
    found = {}
    for label, (cell, *weights) in spikes.items():
        found[label] = sim.Population(3, cell, label=label)
        for receptor, weight, delay in zip(
            ("excitatory", "inhibitory"), weights, (2.0, 3.0), strict=True
        ):
            # cells that do not stand together, and the receptor of the sign where there is one
            named = {} if weight < 0 else {"receptor_type": receptor}
            sim.Projection(
                source[1:], found[label][[0, 2]], sim.AllToAllConnector(),
                sim.StaticSynapse(weight=weight, delay=delay), **named,
            )  # fmt: skip
    initial = {
        "current": (sim.IF_curr_exp(), {"isyn_exc": 0.5, "isyn_inh": -0.2}),
        "conductance": (sim.IF_cond_exp(), {"gsyn_exc": 0.01, "gsyn_inh": 0.004}),
    }
    for label, (cell, values) in initial.items():
        found[label] = sim.Population(1, cell, label=label, initial_values=values)
    for cells in found.values():
        cells.record("v")
    kinds = {"isyn": found["currents"], "gsyn": found["conductances"]}
    for kind, cells in kinds.items():
        cells.record([f"{kind}_exc", f"{kind}_inh"])
    sim.run(15.0)
    found["current"].initialize(v=-60.0)  # holds at once
    sim.run(15.0)
    result = {label: signal(cells, "v")[0] for label, cells in found.items()}
    # the sample of that moment is one of before on some, and of the next step on a board
    result["current"] = np.delete(result["current"], 150, axis=0)
    for kind, cells in kinds.items():
        for name in (f"{kind}_exc", f"{kind}_inh"):
            result[name], unit = signal(cells, name)
            assert unit == {"isyn": "nA", "gsyn": "uS"}[kind]
    return result


def test_cells_and_their_synapses_are_those_of_the_other_backends():
    found = {}
    for name in ("builtin", "spinnaker"):
        sim = simulator(name)
        sim.setup(timestep=0.1)
        found[name] = cells_and_synapses(sim)
        sim.end()
    for label, values in found["spinnaker"].items():
        expected = found["builtin"][label][: len(values)]
        # a current or conductance is its mean through a step there
        size = np.ptp(expected)
        np.testing.assert_allclose(values, expected, atol=0.01 * size, err_msg=label)
        assert size > 0, label


def times(sim):
    sources = sim.Population(3, sim.SpikeSourceArray(spike_times=[1.0, 7.0]))
    late = sim.Population(2, sim.SpikeSourceArray())
    twice = sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0, 2.0, 2.04, 3.01]))
    for population in (sources, late, twice):
        population.record("spikes")
    sim.run(5.0)
    sources[:1].set(spike_times=[2.0, 5.0, 8.0])
    sources[1:2].set(spike_times=[1.0, 5.3, 7.0])
    late.set(spike_times=[6.0, 9.0])
    sim.run(5.0)
    pieces = [trains(p) for p in (sources, late, twice)]
    sim.reset()
    sim.run(10.0)
    return [*pieces, *(trains(p) for p in (sources, late))]


def test_spike_times_set_between_runs():
    found = []
    for name in ("builtin", "spinnaker"):
        sim = simulator(name)
        sim.setup(timestep=0.1)
        found.append(times(sim))
        sim.end()
    for expected, given in zip(*found, strict=True):
        for one, other in zip(expected, given, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-6)


def test_synapses_that_the_core_draws_are_those_of_the_other_backends():
    found = []
    for name in ("builtin", "spinnaker"):
        sim = simulator(name)
        sim.setup(timestep=0.1, min_delay=0.1, max_delay=5.0)
        line = sim.Population(8, sim.IF_curr_exp(), structure=Line(dx=0.5))
        assert line.positions.shape == (3, 8)
        tables = []
        matrix = np.linspace(0.1, 0.8, 64).reshape(8, 8)
        for connector, weight, delay in (
            (sim.AllToAllConnector(allow_self_connections=False), matrix, 1.04),
            (sim.AllToAllConnector(), 0.5, "0.5 + d"),
            (sim.SmallWorldConnector(degree=1.2, rewiring=0.0), 0.5, 1.0),
        ):
            synapse = sim.StaticSynapse(weight=weight, delay=delay)
            tables.append(sim.Projection(line, line, connector, synapse))
        found.append([np.array(p.get(["weight", "delay"], "list"), float) for p in tables])
        sim.end()
    for expected, given in zip(*found, strict=True):
        np.testing.assert_allclose(given[:, [0, 1, 3]], expected[:, [0, 1, 3]], atol=1e-6)
        np.testing.assert_allclose(given[:, 2], expected[:, 2], atol=2e-4)


def plastic(sim, delay):
    """Weights, in parts of w_max, after one pair of spikes, and when the potential moves."""
    pairs = sim.SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.2, A_minus=0.1)
    bounds = sim.AdditiveWeightDependence(w_min=0.0, w_max=0.05)
    stdp = sim.STDPMechanism(pairs, bounds, weight=0.025, delay=delay)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0, 60.0]))
    drive = sim.Population(1, sim.SpikeSourceArray(spike_times=[20.0]))
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=10.0, cm=0.02, tau_syn_E=0.5))
    cells.record("v")
    synapse = sim.StaticSynapse(weight=0.8, delay=1.0)
    sim.Projection(drive, cells, sim.AllToAllConnector(), synapse)
    projection = sim.Projection(
        source, cells, sim.AllToAllConnector(), stdp, receptor_type="excitatory"
    )
    return projection, cells


@pytest.mark.filterwarnings("ignore:STDPMechanism")
def test_plastic_synapses_with_any_delay():
    found = {}
    for name in ("builtin", "spinnaker"):
        sim = simulator(name)
        sim.setup(timestep=1.0)
        made = [plastic(sim, delay) for delay in (1.0, 2.0, 3.0, 4.0, 8.0)]
        sim.run(80.0)
        weights = [p.get("weight", "list", with_address=False)[0] / 0.05 for p, _ in made]
        moves = [np.flatnonzero(np.diff(signal(c, "v")[0][:, 0]) > 0.02)[0] for _, c in made]
        found[name] = np.ravel(weights), moves
        sim.end()
    assert found["spinnaker"][1] == found["builtin"][1]
    # the interval is a step shorter, of 12 and more
    np.testing.assert_allclose(found["spinnaker"][0], found["builtin"][0], atol=0.02)
    assert np.all(np.abs(found["builtin"][0] - 0.5) > 0.04)


def test_poisson_sources_have_values_of_their_own():
    sim = simulator("spinnaker")
    sim.setup(timestep=1.0)
    window = {"start": np.array([100.0, 300.0]), "duration": np.array([50.0, 60.0])}
    sources = sim.Population(2, sim.SpikeSourcePoisson(rate=400.0, **window))
    for_ever = sim.Population(20, sim.SpikeSourcePoisson(rate=50.0, duration=1e10))
    for population in (sources, for_ever):
        population.record("spikes")
    sim.run(400.0)
    first, second = trains(sources)
    assert 100.0 <= first.min() <= first.max() <= 150.0
    assert 300.0 <= second.min() <= second.max() <= 360.0
    # 400 +- 20 spikes
    assert abs(sum(train.size for train in trains(for_ever)) - 400) < 100
    sim.end()
    assert sim.SpikeSourcePoisson()._asked["rate"] == 1.0  # PyNN's default


# --- what is refused, or told -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "receptor"),
    [(-0.1, "excitatory"), (0.1, "inhibitory"), ("0.5 - d", "excitatory")],
)
def test_weights_of_the_wrong_sign(sim, weight, receptor):
    cells = sim.Population(4, sim.IF_curr_exp(), structure=Line())
    synapse = sim.StaticSynapse(weight=weight, delay=1.0)
    with pytest.raises(pynn_errors.ConnectionError, match="must be 0 or"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type=receptor)


def test_drawn_weights_of_the_wrong_sign(sim):
    cells = sim.Population(20, sim.IF_curr_exp())
    weight = sim.RandomDistribution("normal", mu=0.1, sigma=0.1)
    with pytest.raises(pynn_errors.ConnectionError, match="must be 0 or more"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight))


@pytest.mark.parametrize("delay", [0.0, 0.04, "1.0 - d"])
def test_delays_that_are_too_short(sim, delay):
    cells = sim.Population(4, sim.IF_curr_exp(), structure=Line())
    with pytest.raises(pynn_errors.ConnectionError, match="one time step"):
        sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=delay)
        )


def test_delays_outside_what_setup_was_told(sim):
    sim.setup(timestep=0.1, min_delay=0.5, max_delay=2.0)
    cells = sim.Population(2, sim.IF_curr_exp())
    for delay in (0.3, 3.0):
        with pytest.raises(pynn_errors.ConnectionError, match=r"from 0\.5 to 2 ms"):
            sim.Projection(
                cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=delay)
            )


def test_one_noise_for_several_cells(sim):
    cells = sim.Population(3, sim.IF_curr_exp())
    noise = {"mean": 0.1, "stdev": 0.1, "start": 0.0, "stop": 10.0}
    with pytest.raises(UnsupportedError, match="numbers of its own"):
        cells.inject(sim.NoisyCurrentSource(**noise, dt=0.1))
    with pytest.raises(UnsupportedError, match="anew in every step"):
        cells[:1].inject(sim.NoisyCurrentSource(**noise, dt=0.5))
    cells[:1].inject(sim.NoisyCurrentSource(**noise, dt=0.1))


def test_what_cannot_change_after_a_run(sim):
    cells = sim.Population(2, sim.IF_curr_exp())
    sim.run(1.0)
    for change in (
        lambda: sim.Population(2, sim.IF_curr_exp()),
        lambda: sim.Projection(cells, cells, sim.AllToAllConnector()),
        lambda: cells.record("v"),
        lambda: cells.inject(sim.DCSource()),
    ):
        with pytest.raises(UnsupportedError, match="spinnaker backend cannot"):
            change()
    with pytest.raises(InvalidValueError, match="in the past"):
        sim.run_until(0.5)
    assert sim.run(0.25) == pytest.approx(1.3)  # a half goes up
    sim.setup(timestep=0.1)
    with pytest.raises(ModelError, match="setup"):
        cells.set(i_offset=0.5)


@pytest.mark.parametrize("spike_times", [[3.0, 1.0], [-1.0], [1.0, np.nan], [[1.0], [2.0], [3.0]]])
def test_spike_times_that_cannot_be(sim, spike_times):
    with pytest.raises((pynn_errors.InvalidParameterValueError, InvalidValueError)):
        sim.Population(2, sim.SpikeSourceArray(spike_times=spike_times))


def test_a_reset_at_the_threshold_is_refused(sim):
    with pytest.raises(UnsupportedError, match="fire in every step"):
        sim.Population(1, sim.IF_curr_exp(v_reset=-50.0, v_thresh=-50.0))
    cells = sim.Population(1, sim.IF_curr_exp())
    with pytest.raises(UnsupportedError, match="fire in every step"):
        cells.set(v_reset=-40.0)


@pytest.mark.parametrize("name", ["tau_m", "tau_syn_E"])
def test_time_constants_that_fixed_point_spoils_are_told(sim, name):
    with pytest.warns(ModelWarning, match=f"{name} of 1000 ms.*off by up to 31%"):
        sim.Population(1, sim.IF_curr_exp(**{name: 1000.0}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sim.Population(1, sim.IF_curr_exp(**{name: 50.0}))


def test_a_refractory_time_that_fixed_point_makes_longer_is_told(sim):
    sim.setup(timestep=0.3)
    with pytest.warns(ModelWarning, match="3 ms is 11 steps on spinnaker, not 10"):
        sim.Population(1, sim.IF_curr_exp(tau_refrac=3.0))


def test_spikes_of_sources_come_a_step_later_to_potentials_that_jump(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0]))
    cells = sim.Population(1, sim.IF_curr_delta())
    with pytest.raises(UnsupportedError, match=r"Use delays of 0\.2 ms or more"):
        sim.Projection(
            source, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0, delay=0.1)
        )


def test_scripts_are_told_what_a_record_would_have():
    options = {"version": "3", "ring_buffer_sigma": "0", "spikes_per_second": "1"}
    sim = portable_cortex.simulator("spinnaker", options=options)
    sim.setup(timestep=0.1)
    source = sim.Population(200, sim.IF_curr_exp(i_offset=2.0))
    cells = sim.Population(2, sim.IF_curr_exp())
    rows = [(i, j, (0.01, 3.0)[j], 1.0) for i in range(200) for j in range(2)]
    sim.Projection(source, cells, sim.FromListConnector(rows), sim.StaticSynapse())
    with pytest.warns(ModelWarning, match="saturated"):
        sim.run(20.0)
    sim.end()


def test_cells_of_views_of_views_are_those_that_are_meant(sim):
    cells = sim.Population(10, sim.IF_curr_exp())
    cells[5:10][0].tau_m = 11.0
    cells[[2, 4]].set(v_thresh=-40.0)
    cells[-1].tau_m = 12.0
    np.testing.assert_allclose(cells.get("tau_m"), [20.0] * 5 + [11.0] + [20.0] * 3 + [12.0])
    assert cells.get("v_thresh")[[2, 4]].tolist() == [-40.0, -40.0]
    with pytest.raises(pynn_errors.NonExistentParameterError):
        cells.set(tau=1.0)
    with pytest.raises(pynn_errors.RecordingError):
        cells.record("gsyn_exc")

"""What only the NEST backend promises: native speed, and PyNN's results."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pyNN.errors import ConnectionError as PyNNConnectionError
from pyNN.errors import InvalidParameterValueError

import portable_cortex
from portable_cortex.errors import ModelError, UnsupportedError
from portable_cortex.models import pd14 as model

nest = pytest.importorskip(
    "nest", reason="NEST is not installed: pip install portable-cortex[nest]"
)


@pytest.fixture
def sim():
    namespace = portable_cortex.simulator("nest", options={"threads": "2"})
    namespace.setup(timestep=0.1, rng_seed=5)
    yield namespace
    namespace.end()


@pytest.fixture
def connect_calls(sim, monkeypatch):
    """The calls of nest.Connect that a test makes (NEST's own module cannot be patched)."""
    calls = []

    class Counting:
        def __getattr__(self, name):
            return getattr(nest, name)

        def Connect(self, *args, **kwargs):  # noqa: N802  # NEST's name
            calls.append(args)
            return nest.Connect(*args, **kwargs)

    monkeypatch.setattr("portable_cortex.backends.nest._projection.nest", Counting())
    return calls


def test_import_prints_nothing_and_compiles_nothing(tmp_path):
    script = (
        "import portable_cortex as pc; sim = pc.simulator('nest'); sim.setup(timestep=0.1);"
        "p = sim.Population(5, sim.IF_curr_exp()); p.record('spikes'); sim.run(1.0);"
        "p.get_data('spikes'); sim.end()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == ""
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_threads_are_set(sim):
    assert nest.GetKernelStatus("local_num_threads") == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda sim: sim.AllToAllConnector(),
        lambda sim: sim.OneToOneConnector(),
        lambda sim: sim.FixedProbabilityConnector(0.3),
        lambda sim: sim.FixedNumberPreConnector(5),
        lambda sim: sim.FixedNumberPostConnector(5),
        lambda sim: sim.FixedTotalNumberConnector(500),
        lambda sim: sim.FromListConnector([(i, (3 * i) % 40) for i in range(40)]),
        lambda sim: sim.DistanceDependentProbabilityConnector("d < 5"),
        lambda sim: sim.ArrayConnector(np.eye(40, dtype=bool)),
        lambda sim: sim.FixedNumberPreConnector(
            sim.RandomDistribution("uniform_int", low=1, high=5, rng=sim.NumpyRNG(seed=1))
        ),
    ],
)
def test_every_connector_is_one_call(sim, connect_calls, make):
    cells = sim.Population(40, sim.IF_curr_exp())
    before = nest.num_connections
    projection = sim.Projection(cells, cells, make(sim), sim.StaticSynapse(weight=0.1, delay=1.0))
    assert len(connect_calls) == 1
    assert len(projection) == nest.num_connections - before > 0


def test_distance_dependent_delays_are_kept(sim):
    cells = sim.Population(10, sim.IF_curr_exp())
    projection = sim.Projection(
        cells,
        cells,
        sim.AllToAllConnector(allow_self_connections=False),
        sim.StaticSynapse(weight=0.1, delay="0.1 + 0.5 * d"),
    )
    for i, j, delay in projection.get(["delay"], format="list"):
        assert delay == pytest.approx(0.1 + 0.5 * abs(i - j))


@pytest.mark.parametrize(
    ("distribution", "mean", "sd"),
    [
        ({"distribution": "normal", "mu": 3.0, "sigma": 0.5}, 3.0, 0.5),
        ({"distribution": "uniform", "low": 1.0, "high": 3.0}, 2.0, 2 / np.sqrt(12)),
        ({"distribution": "exponential", "beta": 2.0}, 2.0, 2.0),
        ({"distribution": "lognormal", "mu": 0.0, "sigma": 0.5}, np.exp(0.125), 0.6039),
        ({"distribution": "uniform_int", "low": 2, "high": 6}, 3.5, np.sqrt(15 / 12)),
        # NEST cannot draw a gamma distribution: PyNN's numbers are used
        ({"distribution": "gamma", "k": 4.0, "theta": 0.5}, 2.0, 1.0),
        (
            {"distribution": "normal_clipped", "mu": 1.0, "sigma": 1.0, "low": 0.0, "high": 2.0},
            1.0,
            0.5396,
        ),
        (
            {
                "distribution": "normal_clipped_to_boundary",
                "mu": 1.0,
                "sigma": 1.0,
                "low": 0.0,
                "high": 2.0,
            },
            1.0,
            0.7185,
        ),
        (
            {"distribution": "normal_clipped", "mu": 1.0, "sigma": 0.0, "low": 0.0, "high": 2.0},
            1,
            0,
        ),
    ],
)
def test_distributions(sim, distribution, mean, sd):
    cells = sim.Population(50, sim.IF_curr_exp())
    weight = sim.RandomDistribution(**distribution, rng=sim.NumpyRNG(seed=2))
    projection = sim.Projection(
        cells,
        cells,
        sim.FixedTotalNumberConnector(20_000),
        sim.StaticSynapse(weight=weight, delay=1.0),
        receptor_type="excitatory",
    )
    weights = np.array(projection.get("weight", format="list", with_address=False)).ravel()
    assert weights.size == 20_000
    assert weights.mean() == pytest.approx(mean, abs=5 * max(sd, 1e-12) / np.sqrt(20_000))
    assert weights.std() == pytest.approx(sd, rel=0.05, abs=1e-9)


def test_wrong_sign_is_refused(sim):
    cells = sim.Population(5, sim.IF_curr_exp())
    with pytest.raises(Exception, match=r"[Ww]eight"):
        sim.Projection(
            cells,
            cells,
            sim.AllToAllConnector(),
            sim.StaticSynapse(weight=0.1, delay=1.0),
            receptor_type="inhibitory",
        )


def test_delay_below_the_step_is_refused(sim):
    cells = sim.Population(5, sim.IF_curr_exp())
    with pytest.raises(Exception, match=r"[Dd]elay"):
        sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=0.01)
        )


def test_background_is_one_generator(sim):
    """No neuron a source: one generator gives each target a train of its own."""
    before = nest.network_size
    target = sim.Population(100, sim.IF_curr_exp())
    source = sim.Population(100, sim.SpikeSourcePoisson(rate=80.0))
    sim.Projection(
        source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=1.5)
    )
    sim.run(10.0)
    nodes = nest.GetNodes({"model": "poisson_generator"})
    assert len(nodes) == 1
    assert not nest.GetNodes({"model": "parrot_neuron"})
    assert nest.network_size - before == 100 + 1  # and no idle recording devices
    connections = nest.GetConnections(nodes)
    assert len(connections) == 100
    assert set(connections.delay) == {1.5}
    np.testing.assert_allclose(connections.weight, 100.0)


def test_background_that_is_looked_at_has_its_sources(sim):
    target = sim.Population(10, sim.IF_curr_exp())
    source = sim.Population(10, sim.SpikeSourcePoisson(rate=80.0))
    projection = sim.Projection(
        source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=1.5)
    )
    assert len(projection) == 10
    assert sorted(projection.get(["weight"], format="list")) == [
        (i, i, pytest.approx(0.1)) for i in range(10)
    ]


def test_sources_with_two_targets_send_both_the_same(sim):
    """A shared source is a shared source: both populations fire together."""
    targets = [sim.Population(20, sim.IF_curr_exp(tau_refrac=2.0)) for _ in "ab"]
    source = sim.Population(20, sim.SpikeSourcePoisson(rate=20.0))
    for target in targets:
        sim.Projection(
            source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=300.0, delay=1.0)
        )
        target.initialize(v=-65.0)
        target.record("spikes")
    sim.run(500.0)
    first, second = (t.get_data("spikes").segments[0].spiketrains for t in targets)
    assert sum(len(train) for train in first) > 100
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.magnitude, b.magnitude)


def test_poisson_rates_can_be_read_set_and_different(sim):
    same = sim.Population(10, sim.SpikeSourcePoisson(rate=80.0))
    assert same.get("rate") == 80.0
    same.set(rate=40.0)
    assert same.get("rate") == 40.0
    different = sim.Population(2, sim.SpikeSourcePoisson(rate=[1000.0, 10.0]))
    different.record("spikes")
    sim.run(500.0)
    many, few = (len(t) for t in different.get_data("spikes").segments[0].spiketrains)
    assert many == pytest.approx(500, abs=115)
    assert few < 25


def test_a_source_cannot_get_neurons_after_the_run(sim):
    target = sim.Population(10, sim.IF_curr_exp())
    source = sim.Population(10, sim.SpikeSourcePoisson(rate=80.0))
    sim.Projection(
        source, target, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=1.5)
    )
    sim.run(1.0)
    with pytest.raises(Exception, match="before the first run"):
        source.record("spikes")


def test_plasticity_is_pynns_own(sim):
    pre, post = (sim.Population(3, sim.IF_curr_exp()) for _ in "ab")
    stdp = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(A_plus=0.01, A_minus=0.012),
        weight_dependence=sim.AdditiveWeightDependence(w_min=0, w_max=0.04),
        weight=0.02,
        delay=1.0,
    )
    projection = sim.Projection(pre, post, sim.AllToAllConnector(), stdp)
    assert len(projection) == 9
    np.testing.assert_allclose(projection.get("weight", format="array"), 0.02)


def test_inhibitory_conductances_are_positive_in_pynn(sim):
    cells = sim.Population(4, sim.IF_cond_exp())
    projection = sim.Projection(
        cells,
        cells,
        sim.AllToAllConnector(),
        sim.StaticSynapse(weight=0.002, delay=1.0),
        receptor_type="inhibitory",
    )
    np.testing.assert_allclose(projection.get("weight", format="array"), 0.002)
    assert np.all(np.array(nest.GetConnections(cells.node_collection).weight) < 0)


def test_multapses_are_summed_as_pynn_does(sim):
    cells = sim.Population(3, sim.IF_curr_exp())
    table = [(0, 1, 0.1, 1.0), (0, 1, 0.2, 1.0), (2, 2, 0.5, 1.0)]
    projection = sim.Projection(
        cells, cells, sim.FromListConnector(table), sim.StaticSynapse(), receptor_type="excitatory"
    )
    summed = projection.get("weight", format="array")
    assert summed[0, 1] == pytest.approx(0.3)
    assert summed[2, 2] == pytest.approx(0.5)
    assert np.isnan(summed).sum() == 7
    largest = projection.get("weight", format="array", multiple_synapses="max")
    assert largest[0, 1] == pytest.approx(0.2)


def test_a_large_network_is_spread_over_synapse_models(monkeypatch):
    """NEST holds only so many connections of one model on a thread; here, few."""
    sim = portable_cortex.simulator("nest", options={"threads": "2"})
    models = sys.modules["portable_cortex.backends.nest._synapse_models"]
    monkeypatch.setattr(models, "SMALL_PER_THREAD", 10_000)
    monkeypatch.setattr(models, "MAX_PER_THREAD", 20_000)
    sim.setup(timestep=0.1, rng_seed=3)
    populations = model.build(sim, scale=0.02)
    sim.run(50.0)
    used = {
        name: nest.GetDefaults(name)["num_connections"]
        for name in nest.synapse_models
        if name.startswith("portable_")
    }
    assert len(used) >= 4
    assert sum(used.values()) == 119_548
    assert max(used.values()) <= 40_000
    assert any("hpc" in name for name in used)
    assert sum(p.size for p in populations.values()) == 1544
    sim.end()


def test_same_dynamics_as_plain_pynn():
    """The same list of synapses through pyNN.nest and through this backend: the same spikes."""
    rng = np.random.default_rng(8)
    n, n_synapses = 60, 1500
    table = np.column_stack(
        [
            rng.integers(0, n, n_synapses),
            rng.integers(0, n, n_synapses),
            rng.normal(0.02, 0.002, n_synapses),
            rng.integers(5, 30, n_synapses) / 10,
        ]
    )
    v0 = rng.uniform(-65, -50, n)
    ours = portable_cortex.simulator("nest", options={"threads": "1"})
    import pyNN.nest as plain

    results = []
    for sim in (ours, plain):
        sim.setup(timestep=0.1, min_delay=0.1, threads=1, spike_precision="on_grid", rng_seed=2)
        cells = sim.Population(n, sim.IF_curr_exp(tau_m=10.0, i_offset=1.6))
        cells.initialize(v=v0)
        cells.record("spikes")
        sim.Projection(
            cells,
            cells,
            sim.FromListConnector(table, column_names=("weight", "delay")),
            sim.StaticSynapse(),
            receptor_type="excitatory",
        )
        sim.run(200.0)
        trains = cells.get_data("spikes").segments[0].spiketrains
        results.append([t.magnitude.copy() for t in trains])
        sim.end()
    assert sum(map(len, results[0])) > 500
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


@pytest.mark.filterwarnings("ignore:with constant")  # some populations are silent, not all
def test_shared_realisation_does_not_depend_on_threads():
    """With constant current nothing is random but the network, which the core draws."""
    runs = [
        portable_cortex.run(
            backend="nest",
            n_scale=0.01,
            k_scale=0.3,
            drive="dc",
            realisation="shared",
            duration=300.0,
            warmup=0.0,
            options={"threads": threads},
        )
        for threads in ("1", "2")
    ]
    assert runs[0].metadata["n_spikes"] > 100
    for label in runs[0].populations:
        for a, b in zip(runs[0].spikes(label), runs[1].spikes(label), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("connector", ["OneToOneConnector", "AllToAllConnector"])
def test_poisson_sources_may_get_different_rates(when, connector):
    """They are one generator until then, whatever they are connected to."""
    sim = portable_cortex.simulator("nest", options={"threads": "1"})
    sim.setup(timestep=0.1, rng_seed=3)
    sources = sim.Population(20, sim.SpikeSourcePoisson(rate=10.0))
    targets = sim.Population(20, sim.IF_curr_exp(tau_refrac=0.1))
    if when == "before":
        sources[:10].set(rate=100.0)
    synapse = sim.StaticSynapse(weight=1e-6, delay=1.0)
    projection = sim.Projection(sources, targets, getattr(sim, connector)(), synapse)
    if when == "after":
        sources.set(rate=[100.0] * 10 + [10.0] * 10)
    sources.record("spikes")
    sim.run(2000.0)
    counts = [len(train) for train in sources.get_data("spikes").segments[0].spiketrains]
    # 10 sources in 2 s: 2000 and 200 spikes
    assert sum(counts[:10]) == pytest.approx(2000, abs=5 * np.sqrt(2000))
    assert sum(counts[10:]) == pytest.approx(200, abs=5 * np.sqrt(200))
    assert len(projection.get("weight", format="list")) == len(projection)
    np.testing.assert_allclose(sources.get("rate"), [100.0] * 10 + [10.0] * 10)


def test_nests_own_words_reach_the_user(tmp_path):
    """A mistake that only the simulator finds is told by its line, and in NEST's words."""
    script = tmp_path / "longdelay.py"
    script.write_text(
        "def build(sim):\n"
        "    cells = sim.Population(2, sim.IF_curr_exp(v_reset=-40.0))\n"
        "    return {'cells': cells}\n"
    )
    with pytest.raises(
        ModelError, match=r"line 2, in build\(\).*NEST refuses population.*Reset potential"
    ):
        portable_cortex.run(backend="nest", model=script, duration=10.0)


def test_what_pynn_nest_lacks_is_said(tmp_path):
    script = tmp_path / "exotic.py"
    script.write_text("def build(sim):\n    return {'a': sim.Population(1, sim.NoSuchCell())}\n")
    with pytest.raises(UnsupportedError, match="NoSuchCell"):
        portable_cortex.run(backend="nest", model=script, duration=10.0)


def test_spikes_of_sources_are_in_time_or_refused(sim):
    """NEST would drop what comes too late for it; the smallest delay does not matter."""
    sim.setup(timestep=0.1, min_delay=1.0, max_delay=2.0)
    with pytest.raises(UnsupportedError, match=r"fire at 0 ms, only after 0 ms"):
        sim.Population(1, sim.SpikeSourceArray(spike_times=[0.0, 5.0]))
    times = [0.1, 0.5, 1.1, 1.2, 1.3, 5.7]
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=times))
    source.record("spikes")
    sim.run(10.0)
    with pytest.raises(InvalidParameterValueError, match="ascending order"):
        source.set(spike_times=[15.0, 14.0])
    source[:1].set(spike_times=[5.7, 10.1, 12.3])
    np.testing.assert_allclose(source.get("spike_times")[0].value, [5.7, 10.1, 12.3])
    sim.run(10.0)
    first, second = (np.asarray(t) for t in source.get_data("spikes").segments[0].spiketrains)
    assert first == pytest.approx([*times, 10.1, 12.3])
    assert second == pytest.approx(times)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_what_is_read_and_set_fits_together(sim, threads):
    """With several threads NEST gives synapses in another order at each call."""
    sim.setup(timestep=0.1, threads=threads)
    cells = sim.Population(12, sim.IF_curr_exp())
    table = [(i, j, 0.01 * i + 0.001 * j, 1.0 + 0.1 * j) for i in range(12) for j in range(12)]
    table += [(3, 4, 9.0, 0.5), (3, 4, 0.001, 2.0)]
    table.reverse()
    projection = sim.Projection(cells, cells, sim.FromListConnector(table), sim.StaticSynapse())
    expected = sorted(table, key=lambda row: row[:2])
    for _ in range(10):
        np.testing.assert_allclose(projection.get(["weight", "delay"], format="list"), expected)
    matrix = np.arange(144.0).reshape(12, 12)
    for _ in range(10):
        matrix = matrix[::-1].copy()
        projection.set(weight=matrix)
        found = projection.get("weight", format="array", multiple_synapses="first")
        np.testing.assert_allclose(found, matrix)
    sim.run(1.0)
    delays = projection.get("delay", format="array", multiple_synapses="first")
    assert delays[3, 4] == pytest.approx(2.0)  # the one that was created first


@pytest.mark.parametrize(("mu", "sigma", "wrong"), [(1.0, 0.1, False), (1.0, 1.0, True)])
def test_weights_that_nobody_looks_at_are_of_the_right_sign(sim, mu, sigma, wrong):
    cells = sim.Population(40, sim.IF_curr_exp())
    weight = sim.RandomDistribution("normal", mu=mu, sigma=sigma, rng=sim.NumpyRNG(seed=2))
    before = nest.num_connections

    def connect():
        return sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight, delay=1.0)
        )

    if not wrong:
        assert connect().get("weight", format="array").min() > 0
        return
    with pytest.raises(PyNNConnectionError, match="must be"):
        connect()
    assert nest.num_connections == before  # nothing is left behind


@pytest.mark.parametrize("min_delay", [0.1, 0.5])
def test_nest_is_where_the_program_is(sim, min_delay):
    """What is set between runs holds at once, and samples are whole, whatever a slice is."""
    sim.setup(timestep=0.1, min_delay=min_delay, max_delay=2.0)
    cell = sim.Population(1, sim.IF_curr_exp(tau_m=10.0, cm=1.0, v_rest=0.0, v_thresh=1e6))
    cell.initialize(v=0.0)
    cell.record("v")
    current = sim.DCSource(amplitude=1.0, start=0.0)
    cell.inject(current)
    pieces, decay, v, expected = [], np.exp(-0.01), 0.0, [0.0]
    for steps, amplitude in ((3, 1.0), (4, 0.0), (11, 2.0)):
        current.amplitude = amplitude
        sim.run(0.1 * steps)
        assert nest.biological_time == pytest.approx(sim.get_current_time())
        pieces.append(cell.get_data(clear=True).segments[0].analogsignals[0].magnitude[:, 0])
        for _ in range(steps):
            v = v * decay + amplitude * 10.0 * (1 - decay)
            expected.append(v)
    whole = np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])
    np.testing.assert_allclose(whole, expected, atol=1e-9)


def test_a_reset_keeps_what_nest_has_drawn(sim):
    sources = sim.Population(30, sim.SpikeSourcePoisson(rate=100.0))
    background = sim.Population(20, sim.SpikeSourcePoisson(rate=500.0))
    cells = sim.Population(20, sim.IF_curr_exp())
    weight = sim.RandomDistribution("uniform", low=0.5, high=1.5, rng=sim.NumpyRNG(seed=2))
    synapse = sim.StaticSynapse(weight=weight, delay=1.0)
    projection = sim.Projection(sources, cells, sim.FixedProbabilityConnector(0.5), synapse)
    sim.Projection(background, cells, sim.OneToOneConnector(), synapse)
    sources.record("spikes")
    cells.record(["spikes", "v"])
    sim.run(50.0)
    drawn = projection.get(["weight", "delay"], format="list")
    inputs = np.sort(nest.GetConnections(nest.GetNodes({"model": "poisson_generator"})).weight)
    sim.reset()
    sim.run(50.0)
    np.testing.assert_allclose(projection.get(["weight", "delay"], format="list"), drawn)
    again = np.sort(nest.GetConnections(nest.GetNodes({"model": "poisson_generator"})).weight)
    np.testing.assert_allclose(again, inputs)
    first, second = cells.get_data().segments
    for segment in (first, second):
        assert sum(map(len, segment.spiketrains)) > 0
        assert segment.analogsignals[0].shape == (501, 20)
    trains = [np.concatenate(s.spiketrains) for s in sources.get_data().segments]
    assert trains[0].size != trains[1].size or not np.array_equal(*trains)


@pytest.mark.slow
def test_full_scale_on_two_threads():
    """77,169 neurons and 298,880,968 synapses: more than NEST takes in one synapse model."""
    recording = portable_cortex.run(
        backend="nest", scale=1.0, duration=100.0, warmup=0.0, options={"threads": "2"}
    )
    assert recording.metadata["n_synapses"] == 298_880_968
    assert recording.metadata["n_spikes"] > 10_000

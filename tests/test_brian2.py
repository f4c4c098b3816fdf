"""What only the Brian2 backend promises: native constructs, compiled programs, NEST's spikes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
import tracemalloc

import numpy as np
import pytest
from pyNN.random import RandomDistribution
from pyNN.standardmodels import synapses

import portable_cortex
from portable_cortex.errors import (
    BackendUnavailableError,
    InvalidValueError,
    SimulationError,
    UnsupportedError,
)
from portable_cortex.models.parameters import PD14

brian2 = pytest.importorskip(
    "brian2", reason="Brian2 is not installed: pip install portable-cortex[brian2]"
)
needs_nest = pytest.mark.skipif(
    not portable_cortex.load_backend("nest").availability().available,
    reason="NEST, to compare with, is not installed: pip install nest-simulator",
)
# some populations are below threshold: both simulators must agree on that too
quiet_dc = pytest.mark.filterwarnings("ignore:with constant .dc. drive")

NUMPY = {"mode": "runtime", "target": "numpy"}
COMPILED = {"mode": "cpp_standalone", "threads": "2"}


def namespace(options=NUMPY, seed=5):
    sim = portable_cortex.simulator("brian2", options=options)
    sim.setup(timestep=0.1, rng_seed=seed)
    return sim


@pytest.fixture
def sim():
    yield (made := namespace())
    made.end()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled code of this module's tests only."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTABLE_CORTEX_CACHE", str(folder))
        yield folder


def lowered(sim):
    """The Brian2 objects of the network."""
    sim.run(0)
    from portable_cortex.backends.brian2._simulator import state

    return state.program.lowered


def spikes(recording):
    """Spikes of all populations as (population, step, neuron)."""
    found = []
    for number, label in enumerate(recording.populations):
        times, neurons = recording.spikes(label)
        steps = np.round(times * 10).astype(int)
        found.append(np.column_stack([np.full(steps.size, number), steps, neurons]))
    rows = np.concatenate(found)
    return rows[np.lexsort(rows.T)]


# --- native constructs ------------------------------------------------------------------------


def test_microcircuit_is_three_objects(sim):
    """One group, one Synapses a receptor: not 8 and 64."""
    from portable_cortex.models import pd14 as model

    populations = model.build(sim, scale=0.01)
    found = lowered(sim)
    groups = [o for o in found.network.objects if isinstance(o, brian2.NeuronGroup)]
    pathways = [o for o in found.network.objects if isinstance(o, brian2.Synapses)]
    assert [len(group) for group in groups] == [sum(p.size for p in populations.values())]
    assert sorted(s.name for s in pathways) == ["excitatory_0_0", "inhibitory_0_0"]
    # parameters that all cells share are one number
    assert groups[0].variables["keep_v"].scalar
    assert not groups[0].variables["i_offset"].scalar


def test_multapses_keep_their_own_weight_and_delay(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0]))
    target = sim.Population(1, sim.IF_curr_exp(tau_syn_E=0.5))
    rows = [(0, 0, 0.25, 2.0), (0, 0, 0.5, 2.0), (0, 0, 1.0, 4.0)]
    sim.Projection(
        source,
        target,
        sim.FromListConnector(rows, column_names=("weight", "delay")),
        sim.StaticSynapse(),
        receptor_type="excitatory",
    )
    target.record("isyn_exc")
    sim.run(6.0)
    current = target.get_data().segments[0].analogsignals[0].magnitude[:, 0]
    assert np.all(current[:30] == 0)
    assert current[30] == pytest.approx(0.75)
    assert current[50] == pytest.approx(1.0 + 0.75 * np.exp(-2.0 / 0.5))


def test_poisson_drive_has_mean_and_variance_of_a_poisson_process(sim):
    """More spikes than one a step on average: counted, not thresholded."""
    n, rate = 400, 12_800.0
    source = sim.Population(n, sim.SpikeSourcePoisson(rate=rate, start=10.0, duration=40.0))
    target = sim.Population(n, sim.IF_curr_exp(tau_syn_E=0.05, v_thresh=1e6))
    sim.Projection(
        source,
        target,
        sim.OneToOneConnector(),
        sim.StaticSynapse(weight=1.0, delay=1.5),
        receptor_type="excitatory",
    )
    target.record("isyn_exc")
    sim.run(55.0)
    signal = target.get_data().segments[0].analogsignals[0].magnitude
    arrived = np.round(signal[1:] - signal[:-1] * np.exp(-0.1 / 0.05), 6)  # by step
    np.testing.assert_allclose(arrived, np.round(arrived), atol=1e-6)
    assert np.flatnonzero(arrived.any(axis=1))[[0, -1]].tolist() == [115 - 1 + 1, 515 - 1]
    counts = arrived.sum(axis=0)
    expected = rate * 0.04
    assert counts.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / n))
    assert counts.var() / expected == pytest.approx(1, abs=5 * np.sqrt(2 / n))


def test_several_drives_of_one_neuron_add_up(sim):
    target = sim.Population(3, sim.IF_curr_exp(v_thresh=1e6, tau_syn_E=5.0))
    for rate, cells in ((10_000.0, target), (30_000.0, target[1:]), (0.0, target[:1])):
        source = sim.Population(cells.size, sim.SpikeSourcePoisson(rate=rate))
        synapse = sim.StaticSynapse(weight=0.001, delay=1.0)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse, receptor_type="excitatory")
    target.record("isyn_exc")
    sim.run(150.0)
    mean = target.get_data().segments[0].analogsignals[0].magnitude[500:].mean(axis=0)
    np.testing.assert_allclose(mean, 0.001 * 5e-3 * np.array([10_000, 40_000, 40_000]), rtol=0.2)


def test_explicit_poisson_source_cannot_be_too_fast(sim):
    source = sim.Population(2, sim.SpikeSourcePoisson(rate=5000.0))
    source.record("spikes")
    with pytest.raises(UnsupportedError, match=r"5000 spikes/s.* only one up to 1000"):
        sim.run(1.0)


def test_initial_values_and_parameters_of_each_population_stay_its_own(sim):
    first = sim.Population(2, sim.IF_curr_exp(i_offset=0.1), initial_values={"v": -60.0})
    second = sim.Population(3, sim.IF_curr_exp(tau_refrac=3.0), initial_values={"v": -70.0})
    second[:1].set(v_rest=-64.0)
    for population in (first, second):
        population.record("v")
    sim.run(0.2)
    start = [p.get_data().segments[0].analogsignals[0].magnitude[0] for p in (first, second)]
    np.testing.assert_allclose(np.concatenate(start), [-60, -60, -70, -70, -70])
    np.testing.assert_allclose(second.get("v_rest"), [-64, -65, -65])
    assert second.get("tau_refrac") == 3.0


def test_sampling_interval(sim):
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=0.1))
    cells.record("v", sampling_interval=0.5)
    sim.run(2.0)
    signal = cells.get_data().segments[0].analogsignals[0]
    assert signal.shape == (5, 2)
    fine = namespace()
    cells = fine.Population(2, fine.IF_curr_exp(i_offset=0.1))
    cells.record("v")
    fine.run(2.0)
    expected = cells.get_data().segments[0].analogsignals[0].magnitude[::5]
    np.testing.assert_allclose(signal.magnitude, expected)


def test_clear_and_reset(sim):
    cells = sim.Population(1, sim.IF_curr_exp(i_offset=2.0))
    cells.record(["spikes", "v"])
    sim.run(50.0)
    first = cells.get_data(clear=True).segments[0]
    sim.run(50.0)
    second = cells.get_data().segments[0]
    assert second.analogsignals[0].shape == (501, 1)
    assert first.spiketrains[0].max() <= 50.0 < second.spiketrains[0].min()
    sim.reset()
    cells.set(i_offset=0.0)
    sim.run(20.0)
    third = cells.get_data().segments[-1]
    assert sim.get_current_time() == 20.0
    assert len(third.spiketrains[0]) == 0
    assert third.analogsignals[0].shape == (201, 1)


def changing_network(sim):
    """Data of a network in which everything changes between runs; no draws, so all are equal."""
    source = sim.Population(3, sim.SpikeSourceArray(spike_times=[[0.0, 5.0, 5.3], [2.0], [4.95]]))
    cells = sim.Population(4, sim.IF_curr_exp(i_offset=[0.0, 0.5, 1.0, 1.5], tau_refrac=2.3))
    strong = sim.StaticSynapse(weight=1.0, delay=1.7)
    driving = sim.Projection(source, cells, sim.AllToAllConnector(), strong)
    rows = [(3, 0, -1.0, 2.5), (2, 1, -2.0, 0.7), (3, 2, -1.0, 4.0)]
    listed = sim.FromListConnector(rows)
    among = sim.Projection(cells, cells, listed, receptor_type="inhibitory")
    cells.record("v")
    source.record("spikes")
    cells[1:3].record("spikes")
    sim.run(5.0)
    cells[1:3].set(tau_m=7.0, i_offset=1.4)
    cells[0:1].initialize(v=-58.0)
    sim.run(3.3)
    source.set(spike_times=[[5.0, 8.3, 8.4, 12.0], [11.0], [12.0]])  # of 8.3, which is now, no more
    driving.set(weight=2.0)
    sim.run(1.2)
    cells.set(tau_refrac=1.1)
    sim.run(3.0)
    others = sim.Population(2, sim.IF_curr_exp(i_offset=1.0))
    sim.Projection(cells, others, sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0, delay=1.0))
    others.record(["v", "spikes"])
    cells.record("spikes")
    among.set(delay=0.9)
    sim.run(10.0)
    current = sim.DCSource(amplitude=0.5, start=25.0, stop=40.0)
    cells[:2].inject(current)
    sim.run(10.0)
    current.amplitude = 1.0
    sim.run(7.3)
    yield from data(cells, others, source)
    cells.get_data(clear=True)
    sim.run(5.0)
    yield from data(cells, others, source)
    sim.reset()
    sim.run(5.0)
    yield from data(cells, others, source)


def data(*populations):
    """All that was recorded in the last segment, as arrays."""
    for population in populations:
        segment = population.get_data().segments[-1]
        yield from (signal.magnitude for signal in segment.analogsignals)
        yield from (np.asarray(train.magnitude) for train in segment.spiketrains)


def test_networks_change_between_runs(sim):
    """What is on its way arrives, who is refractory stays so, what was recorded is kept."""
    builtin = portable_cortex.simulator("builtin")
    builtin.setup(timestep=0.1)
    traces = zip(changing_network(sim), changing_network(builtin), strict=True)
    for number, (found, expected) in enumerate(traces):
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=str(number))
    assert number > 30


def injected(sim, i_offset=0.0):
    """Cells with currents of all kinds, several into one, over several runs."""
    cells = sim.Population(4, sim.IF_curr_exp(v_thresh=1e6, i_offset=i_offset))
    steps = {"times": [0.0, 1.03, 2.07, 9.0], "amplitudes": [0.1, 0.2, -0.3, 0.4]}
    wave = {"amplitude": 0.3, "offset": 0.1, "frequency": 120.0, "phase": 30.0}
    sources = [
        sim.DCSource(amplitude=0.5, start=2.04, stop=7.0),
        sim.StepCurrentSource(**steps),
        sim.ACSource(**wave, start=1.0, stop=8.0),
        sim.NoisyCurrentSource(mean=0.1, stdev=0.3, start=0.5, stop=11.0, dt=0.3),
    ]
    for source, chosen in zip(sources, (cells[:2], cells, cells[1:3], cells[2:]), strict=True):
        source.inject_into(chosen)
        source.record()
    cells.record("v")
    return cells, sources


def run_injected(sim):
    cells, sources = injected(sim)
    sim.run(3.0)
    sources[0].amplitude = -0.7  # from now on
    sim.run(8.0)
    return [*data(cells), *(source.get_data().magnitude for source in sources)]


def test_currents_are_those_of_the_builtin_engine(sim):
    builtin = portable_cortex.simulator("builtin")
    builtin.setup(timestep=0.1, rng_seed=5)
    traces = zip(run_injected(sim), run_injected(builtin), strict=True)
    for found, expected in traces:
        np.testing.assert_allclose(found, expected, atol=1e-11)


def test_drawn_background_keeps_its_rate_until_spikes_of_the_new_one_arrive(sim):
    source = sim.Population(200, sim.SpikeSourcePoisson(rate=9000.0))
    cells = sim.Population(200, sim.IF_curr_exp(v_thresh=1e6, tau_syn_E=0.05))
    synapse = sim.StaticSynapse(weight=1.0, delay=1.5)
    sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
    cells.record("isyn_exc")
    sim.run(3.0)
    source.set(rate=0.0)
    sim.run(1.0)
    source.set(rate=9000.0)
    sim.run(4.0)
    signal = next(data(cells))
    arrived = np.round(signal[1:] - signal[:-1] * np.exp(-0.1 / 0.05), 6).mean(axis=1)
    on = arrived > 0.5
    assert np.flatnonzero(np.diff(on.astype(int))).tolist() == [14, 44, 54]
    assert arrived[15:45].mean() == pytest.approx(0.9, abs=5 * np.sqrt(0.9 / 200 / 30))


def test_what_is_not_there_is_said(sim):
    cells = sim.Population(2, sim.IF_curr_exp())
    synapse = synapses.MultiQuantalSynapse.__new__(synapses.MultiQuantalSynapse)
    with pytest.raises(UnsupportedError, match="no synapse type 'MultiQuantalSynapse'"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse)
    with pytest.raises(UnsupportedError, match=r"fire twice at 1.1 ms.*once a step at most"):
        sim.Population(1, sim.SpikeSourceArray(spike_times=[1.01, 1.02]))
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, 1.01]))
    with pytest.raises(UnsupportedError, match="once a step at most"):
        source.set(spike_times=[[3.0, 3.0]])
    assert source.get("spike_times").value.tolist() == [1.0, 1.01]
    with pytest.raises(UnsupportedError, match="off_grid"):
        sim.setup(timestep=0.1, spike_precision="off_grid")


def test_unknown_mode_lists_the_valid_ones():
    with pytest.raises(InvalidValueError, match="one of runtime, cpp_standalone, cuda_standalone"):
        portable_cortex.simulator("brian2", options={"mode": "fast"})


def test_without_a_compiler_there_is_a_way(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    sim = namespace(COMPILED)
    sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(BackendUnavailableError, match=r"'no-such-compiler'.*mode=runtime"):
        sim.run(1.0)


def test_setup_takes_the_options_of_the_backend():
    sim = namespace(COMPILED)
    sim.setup(timestep=0.1, mode="runtime", target="numpy", weights="bfloat16")
    options = sim.state.options
    assert (options.mode, options.target, options.weights) == ("runtime", "numpy", "bfloat16")
    sim.setup(timestep=0.1)  # says nothing: as was asked for with the backend
    assert sim.state.options.mode == "cpp_standalone"
    with pytest.raises(InvalidValueError, match="one of runtime, cpp_standalone, cuda_standalone"):
        sim.setup(timestep=0.1, mode="fast")


# --- CUDA -------------------------------------------------------------------------------------


def no_cuda() -> str | None:
    """Why no program of Brian2CUDA can run, if none can."""
    if importlib.util.find_spec("brian2cuda") is None:
        return "needs brian2cuda"
    missing = [name for name in ("nvcc", "nvidia-smi") if shutil.which(name) is None]
    return f"needs {missing[0]}" if missing else None


@pytest.mark.skipif(no_cuda() != "needs brian2cuda", reason="brian2cuda is installed")
def test_cuda_without_brian2cuda_is_a_clear_error():
    sim = namespace({"mode": "cuda_standalone"})
    sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(BackendUnavailableError, match="pip install --pre brian2cuda"):
        sim.run(1.0)


@pytest.mark.skipif(no_cuda() is not None, reason=str(no_cuda()))
@pytest.mark.timeout(600)
def test_with_cuda_the_network_is_the_same():
    """Two runs on end, a source beside it, a recorded potential: spikes as those of `builtin`."""

    def recorded(backend, options):
        sim = portable_cortex.simulator(backend, options=options)
        sim.setup(timestep=0.1, rng_seed=1)
        sim.draw_shared(1)
        cells = sim.Population(40, sim.IF_curr_exp(i_offset=0.5, tau_refrac=2.0))
        cells.set(i_offset=np.linspace(0.4, 0.8, 40))
        stimulus = sim.Population(2, sim.SpikeSourceArray(spike_times=[[3.0, 25.0], [12.1]]))
        probability = sim.FixedProbabilityConnector(0.2)
        delays = RandomDistribution("uniform", (0.5, 3.0))
        sim.Projection(cells, cells, probability, sim.StaticSynapse(weight=0.2, delay=delays))
        everyone = sim.StaticSynapse(weight=1.0, delay=1.5)
        sim.Projection(stimulus, cells, sim.AllToAllConnector(), everyone)
        cells.record(["spikes", "v"])
        sim.run(20.0)
        sim.run(30.0)
        segment = cells.get_data().segments[0]
        trains = [[round(float(t), 3) for t in train] for train in segment.spiketrains]
        return trains, np.asarray(segment.analogsignals[0])

    (wanted, v), (trains, others) = (
        recorded("builtin", {}),
        recorded("brian2", {"mode": "cuda_standalone"}),
    )
    assert sum(map(len, wanted)) > 40
    assert trains == wanted
    np.testing.assert_allclose(others, v, atol=1e-6)


def test_what_brian2cuda_writes_is_put_right(tmp_path, monkeypatch):
    """Of an excerpt: two arrays of which one is wanted, a clock, the order's place, the dialect."""
    from portable_cortex.backends.brian2 import _cuda
    from portable_cortex.backends.brian2._cuda import complete

    array = """
    {0} = dev{0};
    ofstream outfile_{0};
    outfile_{0}.open(results_dir + "{0}_123", ios::binary | ios::out);
    if(outfile_{0}.is_open())
    {{
        outfile_{0}.close();
    }} else
    {{
        std::cout << "Error writing output file for {0}." << endl;
    }}
"""
    (tmp_path / "code_objects").mkdir()
    files = {
        "main.cu": "before();\nnetwork.run(0.0, NULL, 10.0);\nafter();\n",
        "objects.cu": "begin" + array.format("_w") + array.format("_spikes_i") + "end",
        "makefile": "NVCCFLAGS = -I. -std=c++11 -arch=sm_90 -Xcompiler '-std=c++11'",
        "code_objects/pre.cu": "static bool first_run = true; (defaultclock.timestep[0] >= delay)",
        "code_objects/v.cu": "addresses_monitor_v; static bool first_run = true;",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    complete(tmp_path, "orders();", {"_spikes_i_123"})
    assert (tmp_path / "main.cu").read_text() == "before();\norders();\nafter();\n"
    assert (tmp_path / "objects.cu").read_text() == "begin\n" + array.format("_spikes_i") + "end"
    assert "c++11" not in (tmp_path / "makefile").read_text()
    pre, monitor = ((tmp_path / "code_objects" / name).read_text() for name in ("pre.cu", "v.cu"))
    assert "(step.timestep" in pre
    assert "static bool first_run = true" in pre
    assert "static bool" not in monitor
    assert "first_run = prepared != num_iterations" in monitor
    monkeypatch.setattr(_cuda, "version", lambda name: "2.0")
    with pytest.raises(BackendUnavailableError, match=r"Brian2CUDA 2.0 writes other programs"):
        complete(tmp_path, "orders();", ())  # its place is taken


# --- integration ------------------------------------------------------------------------------


@needs_nest
@pytest.mark.parametrize(
    ("cell_type", "parameters", "weight", "tolerance"),
    [
        ("IF_curr_exp", {}, 1.0, 1e-11),
        ("IF_curr_exp", {"tau_syn_E": 20.0}, 1.0, 1e-9),  # equal to tau_m
        ("IF_curr_exp", {"tau_m": [5.0, 20.0], "tau_syn_E": [0.5, 3.0]}, 1.0, 1e-11),
        ("IF_curr_alpha", {"tau_syn_E": 2.0}, 1.0, 1e-11),
        ("IF_curr_alpha", {"tau_syn_E": 19.0}, 1.0, 1e-9),
        ("IF_cond_exp", {"tau_syn_E": 2.0}, 0.02, 2e-3),
        ("IF_cond_alpha", {"tau_syn_E": 2.0}, 0.02, 2e-3),
    ],
)
def test_potential_is_that_of_nest(sim, cell_type, parameters, weight, tolerance):
    """Two spikes and a constant current, up to and beyond the threshold."""
    nest = portable_cortex.simulator("nest", options={"threads": "1"})
    nest.setup(timestep=0.1)
    traces = []
    for each in (sim, nest):
        model = getattr(each, cell_type)(i_offset=0.3, tau_refrac=2.0, **parameters)
        cells = each.Population(2, model, initial_values={"v": -65.0})
        source = each.Population(1, each.SpikeSourceArray(spike_times=[0.5, 3.0, 12.0]))
        each.Projection(
            source,
            cells,
            each.AllToAllConnector(),
            each.StaticSynapse(weight=weight, delay=1.2),
            receptor_type="excitatory",
        )
        cells.record("v")
        each.run(60.0)
        traces.append(cells.get_data().segments[0].analogsignals[0].magnitude)
        each.end()
    assert traces[0].shape == traces[1].shape == (601, 2)
    np.testing.assert_allclose(traces[0], traces[1], rtol=0, atol=tolerance)


# --- neurons in NESTML ----------------------------------------------------------------------------

LIF = {"cm": 0.25, "tau_m": 10.0, "tau_refrac": 2.0, "tau_syn_E": 0.5, "tau_syn_I": 0.7}
PORTS = """
model leaky_neuron:
    state:
        x mV = 0 mV
        y mV = 0 mV
    equations:
        inline both mV = x + y
        x' = -x / tau
        y' = -y / tau
    parameters:
        tau ms = 10 ms
        high mV = 5 mV
    input:
        first <- spike
        second <- spike
        third <- spike
    output:
        spike
    update:
        integrate_odes(x, y)
        x += random_uniform(0, 1) * 1 uV
        y += random_uniform(0, 1) * 1 uV
    onReceive(first):
        x += 1 mV * first * 1 s
    onReceive(second):
        y += 1 mV * second * 1 s
    onReceive(third):
        x -= 1 mV * third * 1 s
    onCondition(x + y >= high):
        x = 0 mV
        y = 0 mV
        emit_spike()
"""


def small_network(kind):
    """Spikes and signals of neurons that excite each other within a step, changed between runs."""
    sim = namespace()
    cells = sim.nestml_cell_type("L", "lif_curr_exp") if kind == "nestml" else sim.IF_curr_exp
    neurons = sim.Population(4, cells(**LIF, i_offset=[0.5, 0.6, 0.45, 0.0]))
    neurons.initialize(v=[-60.0, -58.0, -65.0, -64.0])
    neurons.record(["spikes", "v", "isyn_exc"])
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0, 50.0, 60.0, 60.5]))
    excited = [(0, 3, 2.0, 0.1), (1, 2, 1.0, 0.3), (2, 3, 1.5, 1.5)]
    for pre, connector, receptor in (
        (neurons, sim.FromListConnector(excited), "excitatory"),
        (neurons, sim.FromListConnector([(3, 0, -0.5, 0.1)]), "inhibitory"),
        (source, sim.FromListConnector([(0, i, 1.0, 0.5) for i in range(4)]), "excitatory"),
    ):
        sim.Projection(pre, neurons, connector, sim.StaticSynapse(), receptor_type=receptor)
    sim.run(50.0)
    neurons.set(i_offset=0.7)
    neurons[0:2].set(tau_m=12.0)
    sim.run(23.4)
    neurons[1:2].initialize(v=-70.0)
    neurons.set(tau_syn_E=1.5)
    sim.run(30.0)
    sim.reset()
    sim.run(20.0)
    segments = neurons.get_data().segments
    sim.end()
    return segments


def test_a_neuron_in_nestml_goes_on_between_runs_as_a_cell_type_of_pynn():
    for own, other in zip(small_network("nestml"), small_network("pynn"), strict=True):
        assert [t.magnitude.tolist() for t in own.spiketrains] == [
            t.magnitude.tolist() for t in other.spiketrains
        ]
        assert sum(map(len, own.spiketrains)) > 5
        for name in ("v", "isyn_exc"):
            (mine,), (theirs,) = own.filter(name=name), other.filter(name=name)
            assert mine.magnitude == pytest.approx(theirs.magnitude, abs=1e-9)


def test_ports_inlines_and_chance_of_a_neuron_in_nestml(sim):
    cells = sim.nestml_cell_type("Leaky", PORTS)
    neurons = sim.Population(50, cells(high=100.0))
    neurons.record(["x", "y", "both"])
    for port, weight in (("first", 3.0), ("second", 2.0), ("third", 1.0)):
        source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0]))
        sim.Projection(
            source, neurons, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight, delay=1.0),
            receptor_type=port,
        )  # fmt: skip
    sim.run(6.0)
    signals = {s.name: s.magnitude for s in neurons.get_data().segments[0].analogsignals}
    assert signals["x"][-1] == pytest.approx(2.0, abs=0.1)
    assert signals["y"][-1] == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(signals["both"], signals["x"] + signals["y"])
    noise = signals["x"][1], signals["y"][1]
    assert abs(np.corrcoef(*noise)[0, 1]) < 0.6  # each is drawn for itself
    assert 0.0 < noise[0].min() < noise[0].max() < 1e-3


def test_what_a_neuron_in_nestml_cannot_is_said(sim):
    neurons = sim.Population(1, sim.nestml_cell_type("Leaky", PORTS)())
    with pytest.raises(UnsupportedError, match=r"leaky_neuron cannot take .* needs a continuous"):
        neurons.inject(sim.DCSource(amplitude=1.0))
    in_equation = PORTS.replace(
        "y' = -y / tau", "y' = -y / tau + random_normal(0, 1) * 1 mV / 1 ms"
    )
    with pytest.raises(UnsupportedError, match=r"a random function in an equation"):
        sim.nestml_cell_type("Leaky", in_equation)


# --- compiled programs ------------------------------------------------------------------------


def small(sim, i_offset):
    """A network that spikes, with everything that is written and read."""
    cells = sim.Population(20, sim.IF_curr_exp(i_offset=i_offset), label="cells")
    cells.initialize(v=np.linspace(-70.0, -51.0, 20))
    source = sim.Population(20, sim.SpikeSourcePoisson(rate=2000.0))
    synapse = sim.StaticSynapse(weight=0.5, delay=1.5)
    sim.Projection(source, cells, sim.OneToOneConnector(), synapse, receptor_type="excitatory")
    sim.Projection(
        cells,
        cells,
        sim.FixedTotalNumberConnector(200),
        sim.StaticSynapse(weight=0.1, delay=sim.RandomDistribution("uniform", low=0.1, high=3)),
    )
    cells.record("spikes")
    cells[3:5].record("v")
    return cells


def events(cells):
    return [
        np.round(train.magnitude, 6).tolist() for train in cells.get_data().segments[-1].spiketrains
    ]


@pytest.fixture(scope="module")
def compiled_run(cache):
    """One compiled network run in three pieces, read in between; with all that it gave."""
    sim = namespace(COMPILED)
    cells = small(sim, 0.8)
    currents = injected(sim, 0.8)
    sim.run(30.0)
    early = events(cells)
    for change in (
        lambda: cells.set(tau_m=5.0),
        lambda: cells.initialize(v=-60.0),
        lambda: cells.record("isyn_exc"),
        lambda: sim.Population(1, sim.IF_curr_exp()),
        lambda: sim.Projection(cells, cells, sim.AllToAllConnector()),
        lambda: cells.inject(sim.DCSource(amplitude=1.0)),
    ):
        with pytest.raises(UnsupportedError, match=r"at 30 ms in mode .* option mode=runtime"):
            change()
    sim.run(20.0)
    sim.run_until(60.0)
    late = events(cells)
    signal = cells.get_data().segments[0].analogsignals[0].magnitude
    seconds = sim.compile_seconds()
    sim.end()
    assert events(cells) == late  # data are there after the end
    traces = [*data(currents[0]), *(source.get_data().magnitude for source in currents[1])]
    return early, late, signal, seconds, traces


@pytest.mark.compiler
def test_compiled_program_runs_in_pieces(compiled_run):
    early, late, signal, _, _ = compiled_run
    assert sum(map(len, early)) > 20
    assert [[t for t in train if t <= 30.0] for train in late] == early
    assert max(map(max, filter(None, late))) > 50.0
    assert signal.shape == (601, 2)
    np.testing.assert_allclose(signal[0], [-67, -66], atol=1e-9)
    assert np.all(np.isfinite(signal))


@pytest.mark.compiler
def test_compiled_currents_are_those_of_the_builtin_engine(compiled_run):
    builtin = portable_cortex.simulator("builtin")
    builtin.setup(timestep=0.1, rng_seed=5)
    cells, sources = injected(builtin, 0.8)
    builtin.run(60.0)
    expected = [*data(cells), *(source.get_data().magnitude for source in sources)]
    for trace, other in zip(compiled_run[-1], expected, strict=True):
        np.testing.assert_allclose(trace, other, atol=1e-10)


@pytest.mark.compiler
def test_compiled_code_is_kept(compiled_run, cache):
    """Another seed compiles nothing; another parameter only what holds it."""
    objects = {file.name: file.stat().st_ino for file in cache.rglob("*.o")}
    assert len(objects) > 5
    assert not list(cache.rglob("*.new"))
    for seed, i_offset, new in ((6, 0.8, 0), (5, 0.7, 1)):
        sim = namespace(COMPILED, seed=seed)
        cells = small(sim, i_offset)
        injected(sim, i_offset)
        sim.run(60.0)
        assert events(cells) != compiled_run[1]
        sim.end()
        assert len(list(cache.rglob("*.o"))) == len(objects) + new
    assert all(file.stat().st_ino == objects.get(file.name, file.stat().st_ino)
               for file in cache.rglob("*.o"))  # fmt: skip


@pytest.mark.compiler
def test_compiled_program_repeats_itself_and_starts_again(compiled_run):
    sim = namespace(COMPILED)
    cells = small(sim, 0.8)
    injected(sim, 0.8)
    sim.run(60.0)
    assert events(cells) == compiled_run[1]
    sim.reset()
    sim.run(60.0)
    again = events(cells)
    assert again != compiled_run[1]  # other Poisson spikes
    assert sum(map(len, again)) == pytest.approx(sum(map(len, compiled_run[1])), rel=0.3)
    sim.end()


@pytest.mark.compiler
def test_synapses_are_not_held_in_several_copies(monkeypatch):
    """Sources, targets, weights and delays of a synapse are 20 bytes; Brian2 itself takes 76."""
    from portable_cortex.backends.brian2 import _standalone

    monkeypatch.setattr(_standalone, "compile_program", lambda *arguments: None)
    monkeypatch.setattr(_standalone.Standalone, "_start", lambda *arguments: None)
    sim = namespace(COMPILED)
    cells = sim.Population(1000, sim.IF_curr_exp())
    number, uniform = 300_000, sim.RandomDistribution("uniform", low=0.1, high=3.0)
    sim.Projection(
        cells,
        cells,
        sim.FixedTotalNumberConnector(number),
        sim.StaticSynapse(weight=uniform, delay=uniform),
    )
    tracemalloc.start()
    sim.run(0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sim.end()
    assert 10 < peak / number < 45


@pytest.mark.compiler
def test_program_that_dies_is_a_clear_error(compiled_run):
    from portable_cortex.backends.brian2._simulator import state

    sim = namespace(COMPILED)
    small(sim, 0.8)
    injected(sim, 0.8)  # as in `compiled_run`: compiled already
    sim.run(0)
    folder = state.program._folder.name
    state.program._process.kill()
    with pytest.raises(SimulationError, match=r"status -9 \(killed: was there enough memory\?\)"):
        sim.run(1.0)
    sim.end()
    assert not os.path.exists(folder)  # noqa: PTH110


@pytest.mark.compiler
def test_no_process_is_left(compiled_run):
    from portable_cortex.backends.brian2._simulator import state

    sim = namespace(COMPILED)
    small(sim, 0.8)
    injected(sim, 0.8)
    sim.run(1.0)
    process = state.program._process
    assert process.poll() is None
    sim.setup()
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is not None


@pytest.mark.compiler
@needs_nest
@quiet_dc
def test_same_spikes_as_nest(cache):
    """The shared realisation with constant current: every spike at the same step."""
    settings = {
        "n_scale": 0.03,
        "k_scale": 0.3,
        "drive": "dc",
        "realisation": "shared",
        "warmup": 0.0,
        "duration": 100.0,
        "seed": 5,
    }
    expected = spikes(portable_cortex.run(backend="nest", options={"threads": "2"}, **settings))
    recording = portable_cortex.run(backend="brian2", options=COMPILED, **settings)
    assert len(expected) > 500
    np.testing.assert_array_equal(spikes(recording), expected)
    phases = recording.metadata["phases_s"]
    assert phases["compile"] > 0
    assert phases["prepare"] > 0


@needs_nest
@quiet_dc
def test_same_spikes_as_nest_at_run_time():
    settings = {
        "scale": 0.02,
        "drive": "dc",
        "v0": "original",
        "realisation": "shared",
        "warmup": 0.0,
        "duration": 60.0,
    }
    expected = spikes(portable_cortex.run(backend="nest", options={"threads": "1"}, **settings))
    recording = portable_cortex.run(backend="brian2", options=NUMPY, **settings)
    assert len(expected) > 20
    np.testing.assert_array_equal(spikes(recording), expected)


@pytest.mark.slow
@pytest.mark.compiler
def test_cython(sim):
    other = namespace({"mode": "runtime", "target": "cython"})
    trains = []
    for each in (sim, other):
        cells = each.Population(5, each.IF_curr_exp(**PD14.neuron.as_pynn(), i_offset=0.5))
        cells.record("spikes")
        each.run(100.0)
        trains.append(events(cells))
        each.end()
    assert trains[0] == trains[1]
    assert sum(map(len, trains[0])) > 10

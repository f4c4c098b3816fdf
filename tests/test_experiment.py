"""A run from description to recording, on the mock backend."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyNN.connectors import AllToAllConnector
from pyNN.standardmodels.synapses import StaticSynapse

from portable_cortex import (
    Experiment,
    ModelWarning,
    RecordRequest,
    load_backend,
    run,
    simulator,
)
from portable_cortex.errors import (
    InvalidValueError,
    ModelError,
    SimulationError,
    UnknownNameError,
    UnsupportedError,
)
from portable_cortex.models import pd14
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import scale
from portable_cortex.support import check_projection

# A model of which every number of synapses is known
KNOWN = """
    def build(sim, *, n=20, listed=("A", "B"), seed=1):
        a = sim.Population(n, sim.IF_curr_exp(), label="A")
        b = sim.Population(30, sim.IF_curr_exp(), label="B")
        noise = sim.Population(n, sim.SpikeSourcePoisson(rate=10.0), label="noise")
        synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
        for pre, post, connector in (
            (a, b, sim.FixedNumberPostConnector(3, rng=sim.NumpyRNG(seed=seed))),
            (b, a, sim.AllToAllConnector()),
            (a[:5], b, sim.AllToAllConnector()),
            (noise, a, sim.OneToOneConnector()),
        ):
            sim.Projection(pre, post, connector, synapse, receptor_type="excitatory")
        found = {"A": a, "B": b}
        return {label: found[label] for label in listed}
"""


@pytest.fixture
def write(tmp_path):
    def write(code):
        (tmp_path / "mine.py").write_text(textwrap.dedent(code), encoding="utf-8")
        return tmp_path / "mine.py"

    return write


def brunel(**arguments):
    """The fastest model of the package: 125 neurons."""
    given = {"scale": 0.01, "warmup": 10.0, "duration": 40.0, **arguments}
    return run(model="brunel2000", backend="mock", **given)


def trains(recording):
    return {p: (s.times.tolist(), s.neurons.tolist()) for p, s in recording.spike_trains.items()}


# --- what is refused before anything is built ---


@pytest.mark.parametrize("seed", [0, -1, 2**32, 1.5, "1", None])
def test_seed(seed):
    with pytest.raises(InvalidValueError, match=r"seed must be a whole number from 1"):
        Experiment(seed=seed)


@pytest.mark.parametrize("seed", [1, 2**32 - 1])
def test_largest_and_smallest_seed_run(seed):
    assert brunel(seed=seed).metadata["seed"] == seed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"duration": 0.0}, "duration must be at least one time step"),
        ({"duration": -1.0}, "duration must be at least one time step"),
        ({"duration": math.nan}, "duration must be"),
        ({"duration": math.inf}, "duration must be"),
        ({"duration": 100.05}, r"duration must be a multiple of the time step \(0.1 ms\)"),
        ({"warmup": -1.0}, "warmup must be 0 ms or more"),
        ({"warmup": math.nan}, "warmup must be"),
        ({"warmup": 0.25}, "warmup must be a multiple"),
        ({"timestep": 0.0}, "timestep must be above 0"),
        ({"timestep": -0.1}, "timestep must be above 0"),
        ({"timestep": math.nan}, "timestep must be above 0"),
        ({"timestep": 0.3}, "warmup must be a multiple|duration must be a multiple"),
    ],
)
def test_times(arguments, said):
    with pytest.raises(InvalidValueError, match=said):
        Experiment(**arguments)


@pytest.mark.parametrize("duration", [0.1, 0.3, 0.7, 1234.5])
def test_multiples_of_the_time_step_are_accepted_despite_rounding(duration):
    assert Experiment(duration=duration, warmup=duration).duration == duration


def test_realisation():
    with pytest.raises(UnknownNameError, match=r"'shred'.*native, shared.*'shared'"):
        Experiment(realisation="shred")


@pytest.mark.parametrize("text", ["", "v", ":L4E", "v:", "v:L4E:0", "v:L4E:-1", "v:L4E:x", "v::3"])
def test_record_request_that_cannot_be_read(text):
    with pytest.raises(InvalidValueError, match="variable:population:count"):
        RecordRequest.parse(text)


def test_record_request():
    assert RecordRequest.parse("v:L4E:5") == RecordRequest("v", "L4E", 5)
    assert RecordRequest.parse("v:L4E") == RecordRequest("v", "L4E", 10)


@pytest.mark.parametrize(
    ("record", "error", "said"),
    [
        ("v:X:1", UnknownNameError, r"'X'.*E, I"),
        ("w:E:1", UnknownNameError, r"'w'.*valid are v"),
        ("spikes:E:1", UnknownNameError, r"'spikes'.*valid are v"),
        ("v:I:26", InvalidValueError, r"I has 25 neurons.*26"),
    ],
)
def test_record_request_that_the_network_cannot_meet(record, error, said):
    with pytest.raises(error, match=said):
        brunel(record=[record])


@pytest.mark.parametrize("timestep", [1e-4, 1e4])
def test_time_step_that_the_backend_does_not_have(timestep):
    with pytest.raises(UnsupportedError, match=r"'mock' needs a time step from 0\.001 to 1000"):
        brunel(timestep=timestep, warmup=0.0, duration=timestep)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sim.Population(3, sim.SpikeSourceGamma())",
         r"line 3.*'builtin' has no cell type 'SpikeSourceGamma' \(draw.*: it is on nest, neuron"),
        ("sim.MultiQuantalSynapse()", r"line 3.*no synapse type .*it is on nest, neuron"),
        ("sim.MultiCompartmentNeuron()", r"line 3.*no cell type .*no backend has it"),
        ("connect(sim.AllToAllConnector(), delay=2e4)", r"a delay of 10000 ms at most, not 20000"),
        ("connect(sim.FromListConnector([(0, 1, 0.1, 2e4)]))", r"a delay of 10000 ms at most"),
    ],
)  # fmt: skip
def test_what_the_backend_does_not_have_is_refused_by_its_line(write, line, said):
    path = write(
        f"""
        def build(sim):
            {line.replace("connect(", "connect(sim, ")}
            return {{"A": sim.Population(3, sim.IF_curr_exp())}}

        def connect(sim, connector, weight=0.1, delay=1.0):
            cells = sim.Population(3, sim.IF_curr_exp())
            sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=weight, delay=delay))
        """
    )
    with pytest.raises((ModelError, UnsupportedError), match=said):
        run(model=path, backend="builtin", warmup=0.0, duration=1.0)


def test_a_script_is_told_too():
    sim = simulator("builtin")
    assert not hasattr(sim, "PointNeuron")
    with pytest.raises(
        UnsupportedError, match=r"'PointNeuron' \(.*NESTML\): it is on nest, neuron"
    ):
        sim.PointNeuron()


def test_a_weight_that_the_number_format_cannot_hold():
    backend = load_backend("brian2")
    for weight in (1e39, -1e39, np.array([0.1, 1e39])):
        with pytest.raises(UnsupportedError, match=r"can hold a weight of 3\.40282e\+38"):
            check_projection(backend, AllToAllConnector(), StaticSynapse(weight=weight, delay=1.0))
    check_projection(backend, AllToAllConnector(), StaticSynapse(weight=1e38, delay=1.0))


# --- as JSON ---


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
TEXTS = st.text(max_size=10)
STEPS = st.integers(0, 10**6)
EXPERIMENTS = st.builds(
    Experiment,
    model=TEXTS,
    parameters=st.dictionaries(TEXTS, VALUES, max_size=3),
    backend=TEXTS,
    machine=TEXTS,
    options=st.dictionaries(TEXTS, TEXTS, max_size=3),
    seed=st.integers(1, 2**32 - 1),
    timestep=st.sampled_from([0.1, 0.125, 1]),
    warmup=STEPS.map(float),
    duration=STEPS.map(lambda n: n + 1.0),
    realisation=st.sampled_from(["native", "shared"]),
    record=st.lists(st.builds(RecordRequest, TEXTS, TEXTS, st.integers(1, 1000))).map(tuple),
    record_spikes=st.booleans(),
)


@given(EXPERIMENTS)
def test_an_experiment_comes_back_from_json(experiment):
    text = json.dumps(experiment.to_dict(), allow_nan=False)
    assert Experiment.from_dict(json.loads(text)) == experiment


def test_what_json_has_no_word_for_becomes_plain():
    path, scale = Path("models/mine.py"), np.float64(0.1)
    experiment = Experiment(model=path, parameters={"scale": scale, "g": (4, 5)}, seed=np.int64(3))
    again = Experiment.from_dict(experiment.to_dict())
    assert again.model == "models/mine.py"
    assert again.parameters == {"scale": 0.1, "g": [4, 5]}
    assert type(again.seed) is int
    assert again.to_dict() == experiment.to_dict()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1], "a mapping of its fields"),
        ({"sede": 1}, "'sede'.*did you mean 'seed'"),
        ({"model": 3}, "model of an experiment must be a str, not 3"),
        ({"parameters": [1]}, "parameters of an experiment must be a dict"),
        ({"options": None}, "options of an experiment must be a dict"),
        ({"record": "v:L4E:3"}, "record of an experiment must be a list"),
        ({"record": ["v:L4E:3"]}, "variable, population and count by name"),
        ({"record_spikes": 1}, "record_spikes of an experiment must be a bool"),
        ({"seed": "1"}, "seed must be a whole number"),
        ({"duration": -1.0}, "duration must be at least one time step"),
        ({"realisation": "shred"}, "'shred'"),
    ],
)
def test_what_is_no_experiment(values, said):
    with pytest.raises((InvalidValueError, UnknownNameError), match=said):
        Experiment.from_dict(values)


# --- activity ---


@pytest.mark.parametrize("realisation", ["native", "shared"])
def test_a_seed_decides_everything(realisation):
    one, same = (brunel(seed=5, realisation=realisation) for _ in range(2))
    assert trains(one) == trains(same)
    assert trains(one) != trains(brunel(seed=6, realisation=realisation))


def test_warm_up_is_discarded():
    whole = brunel(warmup=0.0, duration=100.0)
    late = brunel(warmup=60.0, duration=40.0)
    assert (late.t_start, late.t_stop) == (60.0, 100.0)
    for label, (times, neurons) in late.spike_trains.items():
        everything = whole.spikes(label)
        # 60.0 itself belongs to the warm-up, 100.0 to the recording
        kept = (everything.times > 60.0 + 1e-6) & (everything.times <= 100.0 + 1e-6)
        assert 0 < kept.sum() < kept.size
        assert np.array_equal(times, everything.times[kept])
        assert np.array_equal(neurons, everything.neurons[kept])


def test_spikes_at_both_ends_of_the_recording():
    # one step: all spikes that there are lie at its end; the delay of 1.5 ms is half of it
    whole = brunel(warmup=0.0, duration=6.0, timestep=3.0).spikes("E")
    last = brunel(warmup=3.0, duration=3.0, timestep=3.0).spikes("E")
    assert last.times.size == (whole.times == 6.0).sum() > 0
    assert set(last.times) == {6.0}


def test_signals_begin_where_the_warm_up_ends():
    recording = brunel(record=["v:E:3", "v:I"])
    signal = recording.signal("E")
    assert signal.neurons.tolist() == [0, 1, 2]
    assert signal.t_start == pytest.approx(10.0)
    assert signal.interval == pytest.approx(0.1)
    assert signal.values.shape == (401, 3)
    assert signal.units == "mV"
    assert recording.signal("I").values.shape[1] == 10


def test_without_recording():
    recording = brunel(record_spikes=False)
    assert recording.spike_trains == {}
    about = recording.metadata
    assert about["n_spikes"] is None
    assert about["synaptic_events"] is None
    assert about["rates"] == {}
    assert about["n_synapses"] == 125 * (10 + 2)  # in-degrees of 10 and 2.5


def test_shared_network_is_that_of_the_seed_alone(write, tmp_path):
    path = write(
        """
        import numpy as np

        def build(sim, *, seed=1, out=""):
            cells = sim.Population(40, sim.IF_curr_exp())
            weight = sim.RandomDistribution("normal", mu=1.0, sigma=0.1)
            projection = sim.Projection(
                cells, cells, sim.FixedProbabilityConnector(0.2),
                sim.StaticSynapse(weight=weight, delay=1.0),
            )
            np.save(out, np.array(projection.get(["weight", "delay"], format="list")))
            return {"cells": cells}
        """
    )

    def network(seed, name):
        out = str(tmp_path / name)
        run(model=path, backend="mock", realisation="shared", seed=seed, duration=1.0, out=out)
        return np.load(out + ".npy")

    first = network(3, "first")
    assert np.array_equal(first, network(3, "again"))
    assert not np.array_equal(first[:, 2], network(4, "other")[: len(first), 2])


# --- what is known about the run ---


def test_metadata_is_complete():
    about = brunel(scale=0.02, options={}, machine="single-thread").metadata
    assert about["backend"] == "mock"
    assert about["machine"] == "single-thread"
    assert about["model"] == "brunel2000"
    assert about["parameters"] == {
        "scale": 0.02, "g": 5.0, "eta": 2.0, "neuron": "IF_curr_exp", "neuron_parameters": None,
        "seed": 1,
    }  # fmt: skip
    assert about["realisation"] == "native"
    assert about["seed"] == 1
    assert (about["timestep_ms"], about["warmup_ms"], about["duration_ms"]) == (0.1, 10.0, 40.0)
    assert about["populations"] == {"E": 200, "I": 50}
    assert about["energy"] == []
    assert about["options"] == {"weights": "full"}
    assert about["published_rates"] == {}
    assert datetime.fromisoformat(about["started"]).tzinfo is not None
    assert {"python", "portable-cortex", "PyNN", "numpy"} <= set(about["versions"])
    assert about["computer"]["cores"] >= 1
    phases = about["phases_s"]
    assert {
        "import", "setup", "create", "connect", "prepare", "warmup", "simulate", "readout"
    } <= set(phases)  # fmt: skip
    assert all(seconds >= 0 for seconds in phases.values())
    assert set(about["cpu_s"]) == set(phases)
    assert all(seconds >= 0 for seconds in about["cpu_s"].values())
    assert about["cpu_s"]["import"] > 0
    assert about["real_time_factor"] == pytest.approx(phases["simulate"] / 0.04)
    begin, end = about["simulate_interval_unix"]
    assert end - begin == pytest.approx(phases["simulate"], abs=1.0)
    assert begin >= datetime.fromisoformat(about["started"]).timestamp()
    assert 1e7 < about["peak_memory_bytes"] < about["computer"]["memory_bytes"]


def test_counts(write):
    recording = run(model=write(KNOWN), backend="mock", warmup=100.0, duration=500.0)
    about = recording.metadata
    assert about["n_neurons"] == 50  # without the 20 spike sources
    assert about["n_synapses"] == 20 * 3 + 30 * 20 + 5 * 30
    counts = {
        p: np.bincount(s.neurons, minlength=recording.n_neurons[p])
        for p, s in recording.spike_trains.items()
    }
    assert about["n_spikes"] == counts["A"].sum() + counts["B"].sum() > 100
    assert about["rates"] == {p: pytest.approx(c.mean() / 0.5) for p, c in counts.items()}
    events = 3 * counts["A"].sum() + 20 * counts["B"].sum() + 30 * counts["A"][:5].sum()
    assert about["synaptic_events"] == events


def test_synaptic_events_are_unknown_where_a_population_was_not_returned(write):
    about = run(
        model=write(KNOWN), backend="mock", warmup=0.0, duration=50.0, listed=["A"]
    ).metadata
    assert about["synaptic_events"] is None
    assert about["n_neurons"] == 50
    assert list(about["rates"]) == ["A"]


# --- failures and progress ---


def test_an_exception_of_the_simulator_is_passed_on_with_its_context(monkeypatch):
    def fails(*_args):
        raise ZeroDivisionError("inside the simulator")

    monkeypatch.setattr("portable_cortex.backends.mock.MockBackend.prepare", fails)
    with pytest.raises(SimulationError, match=r"'mock'.*ZeroDivisionError: inside") as raised:
        brunel()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_run_after_a_failed_one(write):
    expected = trains(brunel())
    with pytest.raises(ModelError):
        run(model=write("def build(sim):\n    raise ValueError"), backend="mock")
    assert trains(brunel()) == expected


class Watcher:
    def __init__(self):
        self.calls = []

    def phase(self, name, detail="", fraction=None):
        self.calls.append((name, detail, fraction))


def test_progress_rises_to_one():
    watcher = Watcher()
    brunel(reporter=watcher)
    order = list(dict.fromkeys(name for name, *_ in watcher.calls))
    assert order == ["import", "setup", "build", "prepare", "warmup", "simulate", "readout"]
    for phase in ("warmup", "simulate"):
        fractions = [f for name, _, f in watcher.calls if name == phase]
        assert fractions[0] == 0.0
        assert fractions[-1] == 1.0
        assert fractions == sorted(fractions)
    built = [detail for name, detail, _ in watcher.calls if name == "build"]
    assert {"E", "I", "E→I"} <= set(built)


def test_without_warm_up_there_is_no_such_phase():
    watcher = Watcher()
    assert brunel(reporter=watcher, warmup=0.0).t_start == 0.0
    assert "warmup" not in {name for name, *_ in watcher.calls}


# --- the models of the package ---


def build_pd14(**parameters):
    """The microcircuit in the mock namespace, to look into its populations."""
    sim = simulator("mock")
    sim.setup(timestep=0.1)
    return pd14.build(sim, **parameters)


def test_pd14_has_the_numbers_of_its_scale():
    scaled = scale(PD14, 0.01, 0.02)
    about = run(backend="mock", n_scale=0.01, k_scale=0.02, warmup=0.0, duration=10.0).metadata
    assert about["populations"] == dict(zip(PD14.populations, scaled.sizes, strict=True))
    assert about["n_synapses"] == scaled.synapses.sum()
    assert about["n_neurons"] == sum(scaled.sizes)
    assert about["published_rates"]["L5I"] == 8.633


def test_pd14_synaptic_events():
    recording = run(backend="mock", scale=0.01, warmup=0.0, duration=50.0)
    scaled = scale(PD14, 0.01, 0.01)
    spikes = np.array([recording.spikes(p).times.size for p in PD14.populations])
    expected = (scaled.synapses.sum(axis=0) / np.array(scaled.sizes)) @ spikes
    assert recording.metadata["synaptic_events"] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("drive", ["poisson", "dc"])
@pytest.mark.filterwarnings("ignore::portable_cortex.ModelWarning")
def test_pd14_drives(drive):
    scaled = scale(PD14, 0.005, 0.005, drive)
    populations = build_pd14(scale=0.005, drive=drive)
    currents = [populations[p].get("i_offset") for p in PD14.populations]
    assert currents == pytest.approx(scaled.dc.tolist())


def test_pd14_warns_of_populations_that_constant_drive_may_silence():
    with pytest.warns(ModelWarning, match=r"L23E.*threshold.*drive='poisson'"):
        recording = run(backend="mock", scale=0.005, drive="dc", warmup=0.0, duration=1.0)
    assert any("threshold" in text for text in recording.metadata["notes"])


def test_pd14_initial_potentials():
    populations = build_pd14(scale=0.1, v0="optimized")
    for i, label in enumerate(PD14.populations):
        v = populations[label].initial_values["v"].evaluate()
        error = PD14.v0_optimized_sd[i] / math.sqrt(v.size)
        assert abs(v.mean() - PD14.v0_optimized_mean[i]) < 4 * error
    v = build_pd14(scale=0.01, v0="original")["L4E"].initial_values["v"].evaluate()
    assert abs(v.mean() + 58) < 4 * 10 / math.sqrt(v.size)
    assert v.std() == pytest.approx(10, rel=0.3)


def test_pd14_thalamic_pulses():
    populations = build_pd14(scale=0.005, thalamic_pulses=[50.0, 20.0])
    trains = [np.asarray(s.value) for s in populations["TC"].get("spike_times")]
    times = np.concatenate(trains)
    assert len(trains) == 902
    assert np.all(((times > 20) & (times < 30.01)) | ((times > 50) & (times < 60.01)))
    assert times / 0.1 == pytest.approx(np.round(times / 0.1), abs=1e-6)
    # 902 neurons at 120 spikes/s for twice 10 ms
    expected = 902 * 120 * 0.02
    assert abs(times.size - expected) < 4 * math.sqrt(expected)
    assert all(np.all(np.diff(train) > 0) for train in trains)


def test_pd14_thalamus_is_recorded_but_not_counted():
    recording = run(backend="mock", scale=0.005, warmup=0.0, duration=20.0, thalamic_pulses=[5.0])
    assert recording.n_neurons["TC"] == 902
    assert recording.metadata["n_neurons"] == sum(recording.n_neurons.values()) - 902
    assert recording.metadata["n_synapses"] == scale(PD14, 0.005, 0.005).synapses.sum()


def test_pd14_dc_transients():
    transients = [["L4E", 5.0, 10.0, 0.1], ("L6I", 1.0, 1.0, -0.2)]
    recording = run(
        backend="mock", scale=0.005, warmup=0.0, duration=20.0, dc_transients=transients
    )
    assert recording.metadata["parameters"]["dc_transients"] == [list(t) for t in transients]
    with pytest.raises(UnknownNameError, match=r"'L4X'.*L4E"):
        run(backend="mock", scale=0.005, dc_transients=[("L4X", 5.0, 10.0, 0.1)])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"v0": "random"}, r"optimized, original.*'random'"),
        ({"drive": "ac"}, r"poisson, dc.*'ac'"),
        ({"scale": 0.0}, "above 0"),
        ({"k_scale": -1.0}, "k_scale"),
        ({"scale": 1e-5}, r"L5I.*at least"),
    ],
)
def test_pd14_values_that_it_does_not_have(parameters, said):
    with pytest.raises(InvalidValueError, match=said):
        run(backend="mock", **parameters)


def test_brunel2000_has_the_numbers_of_the_paper():
    about = run(model="brunel2000", backend="mock", scale=0.1, warmup=0.0, duration=1.0).metadata
    # a tenth of 10,000 and 2,500 neurons, and of in-degrees 1000 and 250
    assert about["populations"] == {"E": 1000, "I": 250}
    assert about["n_synapses"] == 1250 * (100 + 25)


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "above 0"), (-1.0, "above 0"), (0.001, r"at least 0\.004")]
)
def test_brunel2000_scale(value, said):
    with pytest.raises(InvalidValueError, match=said):
        brunel(scale=value)


@pytest.mark.parametrize("value", [math.nan, math.inf, "large", None, True])
def test_numbers_are_numbers(value):
    with pytest.raises(InvalidValueError, match=r"'scale' must be a finite number, like 0\.1"):
        brunel(scale=value)


def test_processor_time_counts_programs_that_go_on():
    from portable_cortex.host.clock import Clock

    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    command = [sys.executable, "-c", spin]
    clock, pipe = Clock(), subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as program:
        with clock("simulate"):
            program.stdout.readline()
        with clock("readout"):
            program.communicate(b"\n")
    assert clock.cpu_seconds["simulate"] >= 0.25
    assert clock.cpu_seconds["readout"] < 0.25


def test_a_model_gets_its_parameters_as_a_sweep_or_a_job_gives_them(tmp_path):
    """An array is a list in JSON, and twice a list is not what twice an array is."""
    (tmp_path / "m.py").write_text(
        "def build(sim, x=None):\n"
        "    n = 1 if type(x) is list and type(x[0]) is int else 2\n"
        "    return {'cells': sim.Population(n, sim.IF_curr_exp(), label='cells')}\n"
    )
    for value in (np.arange(3), (1, 2), [np.int64(3)]):
        experiment = Experiment(tmp_path / "m.py", {"x": value}, backend="mock", duration=10.0)
        assert experiment.run().n_neurons == {"cells": 1}
    with pytest.raises(InvalidValueError, match="names in a parameter must be text, not 1"):
        Experiment(tmp_path / "m.py", {"x": [{1: 2}]}, backend="mock").run()

"""The `neuron` backend: what it compiles, and where its numbers can be known exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import portable_cortex
from portable_cortex import load_backend
from portable_cortex.errors import BackendUnavailableError, OutputError, UnsupportedError
from portable_cortex.models.parameters import PD14

pytest.importorskip("neuron", reason="NEURON is not installed: pip install neuron")
pytestmark = pytest.mark.compiler

STEP = 0.1
NEURON = PD14.neuron


@pytest.fixture
def sim():
    namespace = portable_cortex.simulator("neuron")
    namespace.setup(timestep=STEP, rng_seed=5)
    yield namespace
    namespace.end()


@pytest.fixture
def no_mechanisms(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("PORTABLE_CORTEX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- mechanisms -------------------------------------------------------------------------------


def test_mechanisms_are_compiled_once_and_nowhere_else():
    from portable_cortex.backends.neuron import _mechanisms

    folder = _mechanisms.compiled()
    before = [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))]
    assert [p.name for p, _ in before if p.is_file()] == ["libnrnmech.so"]
    assert folder.is_relative_to(_mechanisms.cache_folder("neuron"))
    assert _mechanisms.compiled() == folder
    assert before == [(p, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))]
    for source in _mechanisms.sources():
        assert not list(source.parent.glob("x86_64")), "compiled beside its source"


def test_what_is_compiled_is_said_once(no_mechanisms, caplog):
    from portable_cortex.backends.neuron import _mechanisms

    small = {"small.mod": b"NEURON { SUFFIX small }\n"}
    for _ in range(2):
        _mechanisms.compiled(small, "the mechanism small")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "the mechanism small for NEURON is being compiled: about ten seconds, once on this computer"
    ]


def test_nothing_is_written_into_the_working_folder(tmp_path):
    from portable_cortex.backends.neuron import _mechanisms

    _mechanisms.compiled()
    code = "import portable_cortex; portable_cortex.simulator('neuron').setup()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_other_sources_are_compiled_anew():
    from portable_cortex.backends.neuron import _mechanisms

    texts = {file.name: file.read_bytes() for file in _mechanisms.sources()}
    first = next(iter(texts))
    changed = {**texts, first: texts[first] + b"\n"}
    assert _mechanisms._key(texts) != _mechanisms._key(changed)


def test_no_compiler_is_said(no_mechanisms, monkeypatch):
    from portable_cortex.backends.neuron import _mechanisms

    monkeypatch.setenv("PATH", str(no_mechanisms))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BackendUnavailableError, match=r"g\+\+.*make.*apt install g\+\+ make"):
        _mechanisms.compiled()


WITHOUT_COMPILER = """
import portable_cortex

sim = portable_cortex.simulator("neuron")
sim.setup(timestep=0.1)
sim.Population(1, sim.IF_curr_exp())
try:
    sim.Population(1, sim.IF_cond_exp())
except portable_cortex.errors.BackendUnavailableError as error:
    print(error)
"""


def test_cells_that_cannot_be_compiled_are_said(no_mechanisms):
    """Whose mechanism is not the backend's own."""
    from portable_cortex.backends.neuron import _mechanisms

    with pytest.MonkeyPatch.context() as before:
        before.delenv("PORTABLE_CORTEX_CACHE")
        own = _mechanisms.compiled()
    (no_mechanisms / "neuron").mkdir(parents=True)
    (no_mechanisms / "neuron" / own.name).symlink_to(own)
    environment = {n: v for n, v in os.environ.items() if n != "CXX"} | {"PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "apt install g++ make" in done.stdout
    assert done.stderr == ""


def test_what_the_compiler_says_is_passed_on(no_mechanisms, monkeypatch, tmp_path):
    from portable_cortex.backends.neuron import _mechanisms

    broken = tmp_path / "broken.mod"
    broken.write_text("NEURON { SUFFIX broken }\nPARAMETER { step = 1 step = 2 }\n", "utf-8")
    monkeypatch.setattr(_mechanisms, "sources", lambda: [broken])
    with pytest.raises(BackendUnavailableError, match=r"could not be compiled.*rror"):
        _mechanisms.compiled()
    left = [p.name for p in (no_mechanisms / "neuron").iterdir()]
    assert left == [".lock"], "what is not complete is taken away"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_cache_that_cannot_be_written_is_said(no_mechanisms):
    from portable_cortex.backends.neuron import _mechanisms

    no_mechanisms.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="PORTABLE_CORTEX_CACHE"):
        _mechanisms.compiled()


def test_a_cache_that_is_no_folder_is_said(no_mechanisms):
    from portable_cortex.backends.neuron import _mechanisms

    no_mechanisms.write_text("")
    with pytest.raises(OutputError, match="PORTABLE_CORTEX_CACHE"):
        _mechanisms.compiled()


@pytest.mark.slow
def test_two_processes_compile_at_the_same_time(tmp_path):
    environment = {**os.environ, "PORTABLE_CORTEX_CACHE": str(tmp_path)}
    code = "from portable_cortex.backends.neuron._mechanisms import compiled; print(compiled())"
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    (first, second) = (process.communicate()[0] for process in both)
    assert first == second
    assert {p.name for p in (tmp_path / "neuron").iterdir()} == {
        ".lock",
        Path(first.decode()).name.strip(),
    }


# --- neurons ----------------------------------------------------------------------------------


def psp(sim, cells, duration=20.0):
    """Response of a membrane at rest to one spike that arrives at 1 ms."""
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[0.5]))
    target = sim.Population(1, cells)
    target.initialize(v=NEURON.v_rest)
    synapse = sim.StaticSynapse(weight=0.0878, delay=0.5)
    sim.Projection(source, target, sim.OneToOneConnector(), synapse)
    target.record("v")
    sim.run(duration)
    return target.get_data("v").segments[0].analogsignals[0].magnitude[:, 0] - NEURON.v_rest


def exact_psp(tau_syn=NEURON.tau_syn, step=STEP, duration=20.0):
    t = np.maximum(np.arange(round(duration / step) + 1) * step - 1.0, 0.0)
    factor = 0.0878 / NEURON.cm * NEURON.tau_m * tau_syn / (NEURON.tau_m - tau_syn)
    return factor * (np.exp(-t / NEURON.tau_m) - np.exp(-t / tau_syn))


def test_integration_is_exact(sim):
    found = psp(sim, sim.IF_curr_exp(**NEURON.as_pynn()))
    np.testing.assert_allclose(found, exact_psp(), atol=1e-11)


@pytest.mark.parametrize(
    ("step", "peak", "area"),
    [(0.1, 0.099, 0.103), (0.05, 0.049, 0.051), (0.025, 0.024, 0.025), (0.0125, 0.012, 0.013)],
)
def test_error_of_pynn_own_cells_is_what_the_documentation_says(sim, step, peak, area):
    """Implicit Euler: a tenth of the peak at a step of 0.1 ms, and in proportion to the step."""
    import pyNN.neuron

    sim.setup(timestep=step, rng_seed=5)
    found = psp(sim, pyNN.neuron.IF_curr_exp(**NEURON.as_pynn()), duration=120.0)
    exact = exact_psp(step=step).max(), 0.0878 * NEURON.tau_syn * NEURON.tau_m / NEURON.cm
    assert found.max() / exact[0] - 1.0 == pytest.approx(peak, abs=1e-3)
    assert found.sum() * step / exact[1] - 1.0 == pytest.approx(area, abs=1e-3)


def test_time_constants_may_be_equal():
    from portable_cortex.backends.neuron._cells import current_to_potential

    limit = current_to_potential(10.0, 10.0, 0.25, 0.1)
    assert limit == pytest.approx(0.1 / 0.25 * np.exp(-0.01), rel=1e-12)
    assert current_to_potential(10.0, 10.0 + 1e-7, 0.25, 0.1) == pytest.approx(limit, rel=1e-7)


@pytest.mark.filterwarnings("ignore::portable_cortex.models.loader.ModelWarning")
def test_same_spikes_as_nest_on_the_same_network():
    """The shared realisation with a constant drive: no random number is left to differ."""
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    settings = {
        "n_scale": 0.01, "k_scale": 0.1, "drive": "dc", "v0": "original", "realisation": "shared",
        "duration": 100.0, "warmup": 0.0, "machine": "single-thread",
    }  # fmt: skip
    neuron, nest = (portable_cortex.run(backend=b, **settings) for b in ("neuron", "nest"))
    n = 0
    for label in nest.populations:
        for mine, theirs in zip(neuron.spikes(label), nest.spikes(label), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
        n += nest.spikes(label).times.size
    assert n > 100


# --- drive ------------------------------------------------------------------------------------


def driven(sim, rate, n=20):
    source = sim.Population(n, sim.SpikeSourcePoisson(rate=rate))
    target = sim.Population(n, sim.IF_curr_exp(**NEURON.as_pynn()))
    synapse = sim.StaticSynapse(weight=200.0, delay=1.0)
    projection = sim.Projection(source, target, sim.OneToOneConnector(), synapse)
    target.record("spikes")
    return source, target, projection


def test_sources_of_one_target_each_are_no_cells(sim):
    source, target, projection = driven(sim, 50.0)
    sim.run(400.0)
    assert source.is_unbuilt
    assert len(projection) == 20
    assert target.mean_spike_count() > 10
    assert source.get("rate") == pytest.approx(50.0)
    with pytest.raises(Exception, match="before the first run"):
        source.record("spikes")


def test_rate_of_sources_can_change(sim):
    source, target, _ = driven(sim, 0.001)
    sim.run(100.0)
    assert target.mean_spike_count() < 1
    source.set(rate=200.0)
    sim.run(100.0)
    assert target.mean_spike_count() > 5


def test_rate_of_recorded_sources_can_change(sim):
    source, _, _ = driven(sim, 0.001)
    source.record("spikes")
    assert not source.is_unbuilt
    sim.run(100.0)
    source.set(rate=200.0)
    sim.run(1000.0)
    # 200 expected for each of 20 sources: five standard deviations
    assert source.mean_spike_count() == pytest.approx(200.0, abs=5 * np.sqrt(200 / 20))


def test_sources_may_differ_and_stop(sim):
    source = sim.Population(2, sim.SpikeSourcePoisson(rate=[1e-3, 500.0], duration=50.0))
    source.record("spikes")
    sim.run(500.0)
    quiet, busy = source.get_data("spikes").segments[0].spiketrains
    assert len(quiet) <= 1
    assert len(busy) > 5
    assert float(busy[-1]) <= 50.0 + STEP


# --- networks ---------------------------------------------------------------------------------


def test_a_network_is_gone_when_the_next_begins(sim):
    from portable_cortex.backends.neuron._pynn import h

    sim.Population(30, sim.IF_curr_exp())
    assert len(h.List("GridIFCurrExp")) == 30
    sim.setup(timestep=STEP)
    assert len(h.List("GridIFCurrExp")) == 0


def test_plastic_synapses_go_pynn_own_way(sim):
    pre, post = (sim.Population(3, sim.IF_curr_exp()) for _ in "ab")
    pre.set(i_offset=1.0)
    synapse = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(A_plus=0.1, A_minus=0.1),
        weight_dependence=sim.AdditiveWeightDependence(w_min=0.0, w_max=20.0),
        weight=10.0,
        delay=1.0,
    )
    projection = sim.Projection(pre, post, sim.AllToAllConnector(), synapse)
    sim.run(200.0)
    weights = np.array(projection.get("weight", format="list", with_address=False))
    assert weights.shape == (9,)
    assert np.all(weights != 10.0)


def test_plastic_synapses_that_it_lacks_are_said(sim):
    cells = sim.Population(3, sim.Izhikevich())
    synapse = sim.TsodyksMarkramSynapse(weight=0.1, delay=1.0)
    with pytest.raises(UnsupportedError, match="TsodyksMarkramSynapse onto Izhikevich"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse)

    def stdp(delay):
        return sim.STDPMechanism(
            timing_dependence=sim.SpikePairRule(),
            weight_dependence=sim.AdditiveWeightDependence(),
            dendritic_delay_fraction=0.05,
            weight=0.1,
            delay=delay,
        )

    with pytest.raises(UnsupportedError, match=r"dendritic delay of 0\.05 ms"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), stdp(1.0))
    made = sim.Projection(cells, cells, sim.AllToAllConnector(), stdp(4.0))
    with pytest.raises(UnsupportedError, match=r"dendritic delay of 0\.05 ms"):
        made.set(delay=1.0)
    assert made.get("delay", "list", with_address=False) == [4.0] * 9


def test_weight_of_the_wrong_sign_is_refused(sim):
    cells = sim.Population(3, sim.IF_curr_exp())
    with pytest.raises(Exception, match="must be"):
        sim.Projection(
            cells,
            cells,
            sim.AllToAllConnector(),
            sim.StaticSynapse(weight=0.1, delay=1.0),
            receptor_type="inhibitory",
        )


def test_currents_of_all_kinds_reach_the_cell(sim):
    cells = sim.Population(2, sim.IF_curr_exp(**{**NEURON.as_pynn(), "v_thresh": 1e3}))
    cells.initialize(v=NEURON.v_rest)
    for _ in range(2):  # they add up
        cells[:1].inject(sim.StepCurrentSource(times=[10.0, 300.0], amplitudes=[0.1, 0.0]))
    cells.record("v")
    sim.run(200.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude[-1]
    np.testing.assert_allclose(v - NEURON.v_rest, [0.2 * NEURON.tau_m / NEURON.cm, 0], atol=1e-6)


def test_what_it_needs_is_listed():
    found = load_backend("neuron").availability()
    assert found.install == "pip install 'portable-cortex[neuron]'"
    assert (
        "neuron"
        in portable_cortex.run(backend="neuron", scale=0.01, duration=10.0, warmup=0.0).metadata[
            "versions"
        ]
    )


# --- PyNN's face ------------------------------------------------------------------------------


def test_recordings_can_be_read_after_the_end(sim):
    cells = sim.Population(3, sim.IF_curr_exp(i_offset=1.0))
    cells.record(["v", "spikes"])
    sim.run(50.0)
    before = cells.get_data(clear=False).segments[0]
    sim.end()
    after = cells.get_data().segments[0]
    np.testing.assert_array_equal(
        after.analogsignals[0].magnitude, before.analogsignals[0].magnitude
    )
    assert after.analogsignals[0].shape == (501, 3)
    assert [len(train) for train in after.spiketrains] == [len(t) for t in before.spiketrains]


def test_injected_currents_can_be_recorded(sim):
    cell = sim.Population(1, sim.IF_curr_exp())
    source = sim.DCSource(amplitude=0.5, start=2.0, stop=4.0)
    cell.inject(source)
    source.record()
    sim.run(6.0)
    current = source.get_data().magnitude[:, 0]
    assert np.count_nonzero(current == 0.5) == 20
    assert np.count_nonzero(current) == 20


def test_weights_are_those_that_were_given(sim):
    cells = sim.Population(20, sim.IF_curr_exp())
    synapse = sim.StaticSynapse(weight=0.015, delay=1.0)
    for connector in (sim.AllToAllConnector(), sim.FixedProbabilityConnector(0.5)):
        weights = sim.Projection(cells, cells, connector, synapse).get("weight", format="array")
        assert set(weights[~np.isnan(weights)].tolist()) == {0.015}


# --- over several runs ------------------------------------------------------------------------


ROUNDS = """
import gc
import portable_cortex

sim = portable_cortex.simulator("neuron")
for seed in range(8):
    sim.setup(timestep=0.1, rng_seed=seed)
    sources = [
        sim.Population(30, sim.SpikeSourcePoisson(rate=50.0)),
        sim.Population(30, sim.SpikeSourceArray(spike_times=[1.0, 2.0, 30.0])),
        sim.Population(5, sim.SpikeSourceGamma()),
    ]
    cells = [sim.Population(10, sim.IF_curr_exp()), sim.Population(5, sim.IF_cond_exp())]
    for pre in sources:
        for post in cells:
            synapse = sim.StaticSynapse(weight=0.001, delay=1.0)
            sim.Projection(pre, post, sim.AllToAllConnector(), synapse)
    for population in sources + cells:
        population.record("spikes")
    for _ in range(4):
        sim.run(10.0)
        sources[0].get_data(clear=True)
        gc.collect()
    sim.end()
"""


def test_sources_of_a_network_before_do_no_harm():
    """They referred to themselves, and Python freed them in the middle of a later run."""
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def cells_of_all_kinds(sim):
    return [
        sim.Population(2, sim.IF_curr_exp(i_offset=[1.3, 1.7], tau_refrac=0.15)),
        sim.Population(2, sim.IF_cond_exp(i_offset=[1.3, 1.7], tau_refrac=0.15)),
        sim.Population(2, sim.EIF_cond_exp_isfa_ista(i_offset=[1.3, 1.7])),
    ]


def first_signal(population, **options):
    return population.get_data("v", **options).segments[0].analogsignals[0]


def trains(population, **options):
    found = population.get_data("spikes", **options).segments[0].spiketrains
    return [np.asarray(train).tolist() for train in found]


def test_cleared_pieces_are_the_whole(sim):
    populations = cells_of_all_kinds(sim)
    for population in populations:
        population.record(["spikes", "v"])
    sim.run(120.0)
    whole = [(trains(p), np.asarray(first_signal(p))) for p in populations]
    times = sorted({t for spikes, _ in whole for train in spikes for t in train})
    sim.setup(timestep=STEP, rng_seed=5)
    populations = cells_of_all_kinds(sim)
    for population in populations:
        population.record(["spikes", "v"])
    pieces = [[[], []] for _ in populations]
    ends = [*times[::7], 120.0]  # among others where a cell spikes
    for end in ends:
        sim.run_until(end)
        for kept, population in zip(pieces, populations, strict=True):
            segment = population.get_data(clear=True).segments[0]
            kept[0].append([np.asarray(train).tolist() for train in segment.spiketrains])
            kept[1].append(np.asarray(segment.analogsignals[0]))
    for (spikes, signal), kept in zip(whole, pieces, strict=True):
        assert [
            [time for part in parts for time in part] for parts in zip(*kept[0], strict=True)
        ] == spikes
        joined = [kept[1][0], *(piece[1:] for piece in kept[1][1:])]
        np.testing.assert_allclose(np.concatenate(joined), signal, rtol=0, atol=1e-9)


def test_recording_begins_at_the_present(sim):
    populations = cells_of_all_kinds(sim)
    sim.run(10.3)
    populations[0].inject(sim.DCSource(amplitude=0.1))  # NEURON's structure changes as well
    for population in populations:
        population.record("v", sampling_interval=0.5)
        assert first_signal(population).shape == (1, 2)
    sim.run(1.2)
    for population in populations:
        signal = first_signal(population)
        assert signal.shape == (3, 2)
        assert float(signal.t_start) == pytest.approx(10.3)
        assert np.all(np.diff(np.asarray(signal), axis=0) > 0)


def test_currents_in_pieces_are_those_of_one_run(sim):
    def trace(pieces):
        sim.setup(timestep=STEP, rng_seed=5)
        cells = [
            sim.Population(2, kind(v_thresh=1e3)) for kind in (sim.IF_curr_exp, sim.IF_cond_exp)
        ]
        sources = [
            sim.DCSource(amplitude=0.2, start=3.05, stop=20.0),
            sim.StepCurrentSource(times=[5.0, 25.0], amplitudes=[0.2, -0.1]),
            sim.ACSource(amplitude=0.1, frequency=50.0, start=2.0),
            sim.NoisyCurrentSource(mean=0.1, stdev=0.1, dt=0.5),
        ]
        for population in cells:
            for source in sources:
                population.inject(source)
            population.record("v")
        for piece in pieces:
            sim.run(piece)
        return [np.asarray(first_signal(population)) for population in cells]

    for whole, parts in zip(trace([40.0]), trace([0.1, 9.9, 15.0, 15.0]), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(whole[:, 0], whole[:, 1])
        assert np.ptp(whole) > 1.0


def test_sources_that_have_ended_can_begin_anew(sim):
    source = sim.Population(20, sim.SpikeSourcePoisson(rate=100.0, duration=10.0))
    source.record("spikes")
    sim.run(50.0)
    assert max(map(max, filter(None, trains(source)))) <= 10.0 + STEP
    source.set(rate=200.0, start=60.0, duration=1000.0)
    sim.run(50.0)
    times = np.concatenate([np.asarray(train) for train in trains(source)])
    assert times[times > 10.0 + STEP].min() > 60.0
    assert (times > 60.0).sum() == pytest.approx(160, abs=65)  # five standard deviations


def test_an_array_of_spikes_can_change_between_runs(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, 8.0]))
    source.record("spikes")
    sim.run(5.0)
    source.set(spike_times=[4.0, 5.0, 5.05, 5.05, 20.0])
    assert source.get("spike_times").value.tolist() == [4.0, 5.0, 5.05, 5.05, 20.0]
    sim.run(10.0)
    assert trains(source) == [[1.0, 5.1, 5.1]]


def test_a_spike_between_two_points_arrives_at_the_next_in_every_cell(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.05]))
    source.record("spikes")
    cells = cells_of_all_kinds(sim)[1:]
    for population in cells:
        population.set(i_offset=0.0, v_rest=-65.0)
        population.initialize(v=-65.0)
        synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
        sim.Projection(source, population, sim.AllToAllConnector(), synapse)
        population.record("gsyn_exc")
    sim.run(15.0)
    assert trains(source) == [[10.1]]
    for population in cells:
        conductance = population.get_data("gsyn_exc").segments[0].analogsignals[0].magnitude
        assert np.flatnonzero(conductance[:, 0])[0] == 111


def test_refractory_times_end_with_a_step_in_every_cell(sim):
    for kind in (sim.IF_curr_exp, sim.IF_cond_exp, sim.IF_curr_alpha):
        sim.setup(timestep=1.0)
        cells = sim.Population(3, kind(i_offset=1e4, tau_refrac=[0.1, 1.5, 2.4]))
        cells.record("spikes")
        sim.run(40.0)
        assert [np.diff(train)[-1] for train in trains(cells)] == [2.0, 3.0, 4.0]
        assert cells.get("tau_refrac").tolist() == [0.1, 1.5, 2.4]


def test_states_are_initialized_and_return(sim):
    cells = sim.Population(3, sim.EIF_cond_exp_isfa_ista())
    cells[1:].initialize(v=-60.0, w=0.1, gsyn_exc=0.01)
    cells.record(["v", "w", "gsyn_exc"])

    def values():
        signals = cells.get_data().segments[-1].analogsignals
        return {s.name: np.asarray(s)[-1].tolist() for s in signals}

    sim.run(0)
    first = {"v": [-70.6, -60.0, -60.0], "w": [0, 0.1, 0.1], "gsyn_exc": [0, 0.01, 0.01]}
    assert values() == first
    sim.run(5.0)
    cells[:1].initialize(v=-55.0)
    sim.run(0.1)
    assert values()["v"][0] == pytest.approx(-55.0, abs=0.5)
    sim.reset()
    sim.run(0)
    assert values() == {**first, "v": [-55.0, -60.0, -60.0]}


def test_connections_of_a_file_are_those_that_were_saved(sim, tmp_path):
    cells = sim.Population(3, sim.IF_curr_exp())
    weight = sim.RandomDistribution("uniform", low=0.1, high=0.9)
    synapse = sim.StaticSynapse(weight=weight, delay=2.0)
    saved = sim.Projection(cells, cells, sim.FixedProbabilityConnector(0.7), synapse)
    saved.save("all", str(tmp_path / "connections.txt"))
    connector = sim.FromFileConnector(str(tmp_path / "connections.txt"))
    read = sim.Projection(cells, cells, connector, sim.StaticSynapse())
    names = ["weight", "delay"]
    np.testing.assert_allclose(read.get(names, "list"), saved.get(names, "list"), rtol=1e-6)


def test_what_neuron_cannot_do_is_a_sentence(sim):
    from portable_cortex.errors import UnsupportedError

    with pytest.raises(UnsupportedError, match="use_cvode"):
        sim.setup(timestep=STEP, use_cvode=True)
    import pyNN.neuron

    with pytest.raises(UnsupportedError, match="Leave it at 0"):
        sim.Population(1, pyNN.neuron.IF_cond_alpha(), initial_values={"gsyn_exc": 0.1})
    receptor = sim.CondAlphaPostSynapticResponse
    with pytest.raises(UnsupportedError, match="must be above 0"):
        sim.Population(1, sim.PointNeuron(sim.AdExp(tau_refrac=0.0), excitatory=receptor()))
    sim.run(1.0)
    with pytest.raises(UnsupportedError, match="in the first run and no more"):
        sim.Population(1, sim.PointNeuron(sim.AdExp(), excitatory=receptor()))
    assert sim.Population(1, sim.IF_cond_exp()).get("tau_refrac") == pytest.approx(0.1)


@pytest.mark.parametrize("cell", ["IF_curr_exp", "IF_cond_exp"])
@pytest.mark.parametrize("n", [1, 4])
def test_spikes_on_their_way_keep_their_weight(sim, cell, n):
    """NEURON looks at it when they arrive, and sends what has one delay together."""
    traces = []
    for last in (20.0, 5.0):
        sim.setup(timestep=0.5)
        source = sim.Population(1, sim.SpikeSourceArray(spike_times=[4.0, 5.0]))
        cells = sim.Population(n, getattr(sim, cell)())
        cells.record("v")
        synapse = sim.StaticSynapse(weight=0.01, delay=2.5)
        projection = sim.Projection(source, cells, sim.AllToAllConnector(), synapse)
        sim.run(last)
        projection.set(weight=0.02)
        sim.run(20.0 - last)
        traces.append(cells.get_data().segments[0].filter(name="v")[0].magnitude)
        assert projection.get("weight", "list", with_address=False) == [0.02] * n
    np.testing.assert_array_equal(*traces)


def test_a_weight_set_between_runs_holds_for_the_next_spike(sim):
    sim.setup(timestep=0.5)
    sources = sim.Population(2, sim.SpikeSourceArray(spike_times=[5.5]))
    cells = sim.Population(2, sim.IF_curr_exp())
    cells.record("v")
    one = sim.Projection(
        sources[:1], cells[:1], sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0, delay=2.0)
    )
    sim.Projection(
        sources[1:], cells[1:], sim.AllToAllConnector(), sim.StaticSynapse(weight=2.0, delay=2.0)
    )
    sim.run(5.0)
    one.set(weight=2.0)
    sim.run(5.0)
    v = cells.get_data().segments[0].filter(name="v")[0].magnitude
    assert v[-1, 0] > -65.0
    np.testing.assert_array_equal(v[:, 0], v[:, 1])


def test_a_delay_that_would_change_for_spikes_on_their_way_is_refused(sim):
    sim.setup(timestep=0.5)
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[5.0]))
    cells = sim.Population(4, sim.IF_curr_exp())
    synapse = sim.StaticSynapse(weight=0.5, delay=3.0)
    projection = sim.Projection(source, cells, sim.AllToAllConnector(), synapse)
    sim.run(6.0)
    with pytest.raises(UnsupportedError, match="together"):
        projection.set(delay=1.0)
    assert projection.get("delay", "list", with_address=False) == [3.0] * 4
    sim.reset()
    projection.set(delay=1.0)
    sim.run(10.0)


def test_plastic_synapses_would_take_spikes_on_their_way_and_are_refused(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[18.0]))
    cells = sim.Population(3, sim.IF_curr_exp())
    every = sim.AllToAllConnector()
    sim.Projection(source, cells, every, sim.StaticSynapse(weight=0.5, delay=5.0))
    plastic = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(),
        weight_dependence=sim.AdditiveWeightDependence(),
        weight=0.5,
        delay=5.0,
    )
    sim.run(20.0)
    with pytest.raises(UnsupportedError, match="run until all spikes have arrived"):
        sim.Projection(source, cells, every, plastic)
    sim.run(10.0)
    assert len(sim.Projection(source, cells, every, plastic)) == 3


@pytest.mark.parametrize("delay", [1.0, 8.0])
def test_spikes_on_their_way_to_rules_of_plasticity_are_refused_too(sim, delay):
    """Those of a target go to what changes the weights of its synapses, with one delay for all."""
    source = sim.Population(3, sim.SpikeSourceArray(spike_times=[5.0]))
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=2.0))
    cells.record("spikes")
    pairs = sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(),
        weight_dependence=sim.AdditiveWeightDependence(),
        dendritic_delay_fraction=1.0,
        weight=0.1,
        delay=5.0,
    )
    sim.Projection(source, cells, sim.AllToAllConnector(), pairs, receptor_type="excitatory")
    while not cells.get_spike_counts()[cells[0]]:
        sim.run(1.0)
    fails = sim.SimpleStochasticSynapse(weight=0.1, delay=delay)
    with pytest.raises(UnsupportedError, match="one delay for all its targets"):
        sim.Projection(cells, cells, sim.AllToAllConnector(), fails, receptor_type="excitatory")


@pytest.mark.parametrize("time", [1.7, 1.9, 3.9, 5.1, 5.3])  # where floats make a step late
def test_rates_change_right_after_a_spike(sim, time):
    sim.setup(timestep=0.1, min_delay=0.2)
    source = sim.Population(1, sim.SpikeSourcePoisson(rate=1000.0))
    source.record("spikes")
    sim.run(time)
    source.set(rate=5000.0)
    sim.run(50.0)
    assert source.mean_spike_count() == pytest.approx(250, abs=80)


@pytest.mark.parametrize("cell", ["IF_curr_exp", "IF_cond_exp", "EIF_cond_exp_isfa_ista"])
def test_networks_that_have_ended_leave_nothing_in_neuron(sim, cell):
    from neuron import h

    counts = []
    for _ in range(3):
        sim.setup(timestep=STEP)
        cells = sim.Population(3, getattr(sim, cell)())
        cells.record("v")
        sim.run(1.0)
        sim.end()
        assert cells.get_data().segments[0].analogsignals[0].shape == (11, 3)
        counts.append(sum(1 for _ in h.allsec()))
    assert counts[1] == counts[2]

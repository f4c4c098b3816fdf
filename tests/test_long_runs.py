"""Long runs: written while they go on, read in pieces, and resumed after any end."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from recordings import as_simulated

from portable_cortex import Experiment, Recording, RecordRequest, Spikes
from portable_cortex.backends.builtin import BuiltinBackend
from portable_cortex.errors import OutputError, PortableCortexError
from portable_cortex.recording import by_time, sonata, stored
from portable_cortex.rerun import resume
from portable_cortex.running import writing
from portable_cortex.validation.activity import measure, statistics
from portable_cortex.validation.formats import load_sound
from portable_cortex.validation.verdict import examine
from portable_cortex.validation.verdict.pairwise import identical

MODEL = """
    def build(sim, seed=1):
        rng = sim.NumpyRNG(seed)
        cells = sim.Population(60, sim.IF_curr_exp(tau_refrac=2.0), label="cells")
        cells.initialize(v=sim.RandomDistribution("normal", [-60.0, 5.0], rng=rng))
        others = sim.Population(20, sim.IF_cond_alpha(i_offset=0.7), label="others")
        noise = sim.Population(40, sim.SpikeSourcePoisson(rate=80.0), label="noise")
        times = [0.0, 20.0, 20.0, 60.0, 150.0, 499.9, 700.0]
        clock = sim.Population(2, sim.SpikeSourceArray(spike_times=times), label="clock")
        delay = sim.RandomDistribution("uniform", [0.1, 9.0], rng=rng)
        for pre, post, weight in (
            (noise, cells, 0.6), (clock, cells, 0.9), (cells, cells, 0.1), (cells, others, 0.002),
        ):
            sim.Projection(
                pre, post, sim.FixedProbabilityConnector(0.3, rng=rng),
                sim.StaticSynapse(weight=weight, delay=delay),
            )
        cells[:30].inject(sim.NoisyCurrentSource(mean=0.1, stdev=0.3, dt=1.0, stop=600.0))
        others.inject(sim.StepCurrentSource(times=[50.0, 400.0], amplitudes=[0.3, 0.0]))
        return {"cells": cells, "others": others, "noise": noise, "clock": clock}
"""
RUN = (
    "import portable_cortex.running.writing as run; run.PART_MS, run.PART_S = 50.0, 0.0; "
    "from portable_cortex.cli.entry import main; "
)
# the disk is told to write three times a part: the signals, the spikes, the state
KILLED = (
    "import os, signal, itertools; n = itertools.count(1); before = os.fsync; "
    "os.fsync = lambda f: os.kill(os.getpid(), signal.SIGKILL) if next(n) == {} else before(f); "
)


@pytest.fixture
def parts(monkeypatch):
    """Parts of some ten milliseconds."""
    monkeypatch.setattr(writing, "PART_MS", 50.0)
    monkeypatch.setattr(writing, "PART_S", 0.0)


@pytest.fixture
def experiment(tmp_path, request):
    (tmp_path / "model.py").write_text(textwrap.dedent(MODEL))
    return Experiment(
        model=tmp_path / "model.py",
        backend="builtin",
        options={"threads": str(getattr(request, "param", 1))},
        warmup=30.0,
        duration=800.0,
        record=[RecordRequest("v", "cells", 3), RecordRequest("gsyn_exc", "others", 2)],
    )


class Silent:
    def phase(self, name, detail="", fraction=None):
        pass


def assert_same(one, other):
    assert list(one.spike_trains) == list(other.spike_trains)
    for label in one.spike_trains:
        assert one.spikes(label).times.size > 0
        for first, second in zip(one.spikes(label), other.spikes(label), strict=True):
            np.testing.assert_array_equal(first, second)
    assert list(one.signals) == list(other.signals)
    for key in one.signals:
        np.testing.assert_array_equal(one.signals[key].values, other.signals[key].values)
        assert one.signals[key][2:] == other.signals[key][2:]


def until(recording, t_stop):
    """The beginning of a recording."""

    def cut(spikes):
        kept = spikes.times <= t_stop + 1e-6
        return Spikes(spikes.times[kept], spikes.neurons[kept])

    n = round((t_stop - recording.t_start) / 0.1) + 1
    trains = {label: cut(spikes) for label, spikes in recording.spike_trains.items()}
    signals = {k: s._replace(values=s.values[:n]) for k, s in recording.signals.items()}
    return replace(recording, spike_trains=trains, signals=signals)


def killed(folder, number, *arguments):
    """The command, which dies while it writes the `number`-th file."""
    code = f"{KILLED.format(number)}{RUN}main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def interrupt(monkeypatch, after):
    """Let Ctrl-C come when so much of the simulation is done."""
    simulate = BuiltinBackend.simulate

    def interrupted(self, sim, duration, progress):
        simulate(self, sim, after if duration > after else duration, progress)
        if duration > after:
            raise KeyboardInterrupt

    monkeypatch.setattr(BuiltinBackend, "simulate", interrupted)


# --- written while it goes on ---


@pytest.mark.parametrize("experiment", [1, 2], indirect=True)
def test_what_was_written_in_parts_is_the_run(experiment, parts, tmp_path):
    written = experiment.run(output=tmp_path / "run")
    assert_same(written, experiment.run())
    assert written.metadata["n_spikes"] == sum(map(written.count, written.spike_trains))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"run.json", "spikes.h5", "signals.h5", "run_model.py", "activity.png"}


@pytest.mark.parametrize("experiment", [2], indirect=True)
def test_killed_and_resumed(experiment, parts, tmp_path):
    moments = (7, 5, 4)
    whole = experiment.run()
    for number, moment in enumerate(moments):
        threads = experiment.options["threads"]
        begun = (
            "--model", "model.py", "--option", f"threads={threads}", "--warmup", 30,
            "--duration", 800, "--record", "v:cells:3", "--record", "gsyn_exc:others:2",
            "--out", "run",
        )  # fmt: skip
        killed(tmp_path, moment, *(("--resume", "run") if number else begun))
        partial = load_sound(tmp_path / "run")
        assert 0 < partial.t_stop - partial.t_start < 800.0
        assert partial.metadata["planned_duration_ms"] == 800.0
        assert_same(partial, until(whole, partial.t_stop))
    (note,) = examine(tmp_path / "run").notes[:1]
    ran = partial.t_stop - partial.t_start
    assert f"run is incomplete: it ran for {ran:g} of 800 ms" in note
    resumed = resume(tmp_path / "run", Silent())
    assert_same(resumed, whole)
    assert_same(Recording.load(tmp_path / "run"), whole)
    about = resumed.metadata
    assert len(about["resumed"]) == len(moments)
    assert 0 < about["resumed"][-1]["at_ms"] < 800.0
    assert "planned_duration_ms" not in about
    assert about["command"].startswith("portable-cortex run --model model.py")
    assert {"n_synapses", "phases_s", "real_time_factor"} <= set(about)
    assert not (tmp_path / "run" / "unfinished").exists()


def test_ctrl_c_and_resumed(experiment, parts, tmp_path, monkeypatch):
    whole = experiment.run()
    with monkeypatch.context() as context:
        interrupt(context, 300.0)
        begun = experiment.run(output=tmp_path / "run")
        assert begun.t_stop == 330.0
        assert_same(begun, until(whole, 330.0))
    assert (tmp_path / "run" / "spikes.h5").exists()
    with monkeypatch.context() as context:  # and once more
        interrupt(context, 200.0)
        assert_same(resume(tmp_path / "run", Silent()), until(whole, 530.0))
    assert_same(resume(tmp_path / "run", Silent()), whole)
    assert not (tmp_path / "run" / "unfinished").exists()


def test_ctrl_c_before_the_first_part(experiment, tmp_path, monkeypatch):
    whole = experiment.run()
    with monkeypatch.context() as context:
        interrupt(context, 100.0)
        assert_same(experiment.run(output=tmp_path / "run"), until(whole, 130.0))
    assert_same(resume(tmp_path / "run", Silent()), whole)


# --- full disks ---


@pytest.fixture
def disk(tmp_path):
    """A file system of 200 kB, and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("only root may mount a file system")
    grow = ["mount", "-o", "remount,size=8m", str(folder)]
    yield folder, lambda: subprocess.run(grow, check=True, timeout=10)
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def test_a_disk_that_becomes_full(experiment, parts, disk):
    whole = experiment.run()
    folder, grow = disk
    with pytest.raises(OutputError, match="the disk is full") as refused:
        experiment.run(output=folder / "run")
    assert f"go on with portable-cortex run --resume {folder / 'run'}" in str(refused.value)
    partial = load_sound(folder / "run")
    assert_same(partial, until(whole, partial.t_stop))
    with pytest.raises(OutputError, match="the disk is full"):  # and still is
        resume(folder / "run", Silent())
    assert load_sound(folder / "run").t_stop >= partial.t_stop
    grow()
    assert_same(resume(folder / "run", Silent()), whole)


def test_a_disk_that_is_full_in_the_end(experiment, parts, disk, monkeypatch):
    folder, grow = disk
    grow()
    save, rest = Recording.save, folder / "others"

    def of_others(self, *arguments, **options):
        rest.write_bytes(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize))
        return save(self, *arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(Recording, "save", of_others)
        with pytest.raises(OutputError, match=r"the disk is full.*800 ms.*--resume"):
            experiment.run(output=folder / "run")
    assert load_sound(folder / "run").t_stop == 830.0
    rest.unlink()
    assert_same(resume(folder / "run", Silent()), experiment.run())


def test_a_disk_that_is_full_from_the_beginning(experiment, parts, disk):
    folder, _ = disk
    (folder / "others").write_bytes(bytes(190_000))
    with pytest.raises(OutputError, match=r"the disk is full\. Nothing of it was written"):
        experiment.run(output=folder / "run")
    assert [path.name for path in folder.iterdir()] == ["others"]


# --- what cannot go on ---


@pytest.fixture
def begun(experiment, parts, tmp_path, monkeypatch):
    """A run that Ctrl-C ended."""
    with monkeypatch.context() as context:
        interrupt(context, 300.0)
        experiment.run(output=tmp_path / "run")
    return tmp_path / "run"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without_copy(folder):
    (folder / "unfinished" / "run_model.py").unlink()
    (folder / "run_model.py").unlink()
    (folder.parent / "model.py").write_text(textwrap.dedent(MODEL).replace("0.7", "0.8"))


def other_state(folder, **changes):
    path = folder / "unfinished" / "state.npz"
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shutil.rmtree, "holds no run: there is nothing to go on with"),
        (lambda f: shutil.rmtree(f / "unfinished"), "has no state from which the run can go on"),
        (
            lambda f: edit(f / "unfinished" / "settings.json", versions={"numba": "0.1"}),
            "numba 0.1 then",
        ),
        (without_copy, "is the model that was run"),
        (lambda f: other_state(f, engine=np.array("x")), "another version of the built-in engine"),
        (lambda f: other_state(f, network=np.array("x")), "the network that was built is another"),
        (lambda f: (f / "unfinished" / "state.npz").write_bytes(b"PK half"), "is damaged"),
        (lambda f: (f / "unfinished" / "settings.json").write_text("{"), "is damaged"),
        (
            lambda f: edit(
                f / "unfinished" / "settings.json", experiment={"backend": "mock"}, options={}
            ),
            "backend 'mock' cannot go on with a run",
        ),
    ],
)
def test_what_cannot_go_on_is_a_sentence(begun, change, said):
    change(begun)
    with pytest.raises(PortableCortexError, match=said) as refused:
        resume(begun, Silent())
    assert "\n" not in str(refused.value)
    assert not begun.exists() or (begun / "spikes.h5").exists()  # all is as it was


def test_a_model_that_is_another_each_time(begun, tmp_path):
    """It draws numbers that do not depend on the seed."""
    text = textwrap.dedent(MODEL).replace("0.7", "__import__('random').random()")
    (tmp_path / "odd.py").write_text(text)
    experiment = Experiment(model=tmp_path / "odd.py", duration=200.0, warmup=0.0)
    with pytest.MonkeyPatch.context() as context:
        interrupt(context, 100.0)
        experiment.run(output=tmp_path / "odd")
    with pytest.raises(PortableCortexError, match="the network that was built is another"):
        resume(tmp_path / "odd", Silent())


def test_a_run_that_is_over(experiment, tmp_path):
    experiment.run(output=tmp_path / "run")
    with pytest.raises(OutputError, match="a run that is over"):
        resume(tmp_path / "run", Silent())


def test_a_part_that_is_missing(experiment, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(writing.Writer, "all", lambda *_: 1 / 0)
    with pytest.raises(PortableCortexError):
        experiment.run(output=tmp_path / "run")
    sorted((tmp_path / "run" / "unfinished").glob("spikes-*"))[1].unlink()
    for use in (Recording.load, lambda folder: resume(folder, Silent())):
        with pytest.raises(OutputError, match=r"the part from time step .* is missing"):
            use(tmp_path / "run")


def test_a_run_that_another_process_writes(begun, call):
    lock = os.open(begun / "unfinished", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(OutputError, match="another process writes its run into"):
        resume(begun, Silent())
    os.close(lock)
    assert Recording.load(begun).t_stop == 330.0


def test_resume_takes_no_other_options(call, begun):
    status, _, err = call("run", "--resume", begun, "--seed", "2", "--scale", "0.1")
    assert status == 2
    assert "takes all settings from" in err
    assert "--seed, --scale cannot change them" in err


def test_an_unfinished_run_is_not_overwritten_unasked(begun, experiment, call):
    for name in ("run.json", "spikes.h5"):
        (begun / name).unlink()
    with pytest.raises(OutputError, match="already holds an unfinished run, which was kept"):
        experiment.run(output=begun)
    short = replace(experiment, duration=100.0)
    assert short.run(output=begun, overwrite=True).t_stop == 130.0
    assert not (begun / "unfinished").exists()


# --- in pieces ---


@pytest.fixture
def small_pieces(monkeypatch):
    for module, name, size in ((sonata, "IN_MEMORY", 100), (sonata, "SAMPLES_IN_MEMORY", 100),
                               (sonata, "PIECE", 700), (stored, "PIECE", 700)):  # fmt: skip
        monkeypatch.setattr(module, name, size)


def test_a_recording_on_the_disk_is_the_same(tmp_path, small_pieces):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=500.0, record=["v:L4E:20"])
    loaded = load_sound(recording.save(tmp_path / "run", figure=True))
    assert isinstance(loaded.spike_trains, stored.StoredSpikes)
    assert isinstance(loaded.signals, stored.StoredSignals)
    assert_same(loaded, recording)
    assert loaded.rates() == recording.rates()
    assert_same(Recording.load(loaded.save(tmp_path / "again")), recording)
    assert identical(loaded, recording, 500.0)
    assert examine(tmp_path / "run", tmp_path / "again").comparison.verdict.name == "AGREES"


def test_statistics_do_not_depend_on_the_pieces(monkeypatch):
    whole = as_simulated(scale=0.02, warmup=0.0, duration=1000.0)
    expected = measure(whole, 700.0).samples
    monkeypatch.setattr(stored, "PIECE", 61)
    for key, sample in measure(whole, 700.0).samples.items():
        np.testing.assert_array_equal(sample, expected[key])


@pytest.mark.parametrize("size", [1, 7, 50])
def test_active_neurons_are_counted_once_a_bin(size):
    rng = np.random.default_rng(1)
    spikes = by_time(np.round(rng.integers(1, 400, 3000) * 0.1, 9), rng.integers(0, 9, 3000))
    pieces = [Spikes(*(c[k : k + size] for c in spikes)) for k in range(0, 3000, size)]
    expected = statistics.active_neurons(spikes, 0.0, 40.0)
    assert expected.max() == 9
    np.testing.assert_array_equal(statistics.active_neurons(pieces, 0.0, 40.0), expected)


def test_a_neuron_that_fires_twice_is_seen_across_pieces(tmp_path, small_pieces):
    times = np.round(np.arange(1, 2001) * 0.1, 9)
    neurons = np.arange(2000) % 7
    times[1400], neurons[1400] = times[1399], neurons[1399]  # where pieces meet
    about = {"warmup_ms": 0.0, "duration_ms": 200.0, "timestep_ms": 0.1, "populations": {"E": 7}}
    saved = Recording({"E": 7}, {"E": Spikes(times, neurons)}, about)
    with pytest.raises(OutputError, match=r"neuron 6 of E has two spikes at 140 ms"):
        load_sound(saved.save(tmp_path))


MEMORY = """
    import resource, sys
    from portable_cortex import run
    from portable_cortex.backends.builtin import BuiltinBackend
    from portable_cortex.recording import sonata, stored
    from portable_cortex.running import writing
    from portable_cortex.validation.activity import measurement
    from portable_cortex.validation.formats import load_sound

    simulate = BuiltinBackend.simulate

    def in_slices(self, sim, duration, progress):  # whatever the speed of this computer
        for _ in range(round(duration / 200)):
            simulate(self, sim, 200.0, progress)

    BuiltinBackend.simulate = in_slices
    writing.PART_BYTES = 2**21
    sonata.IN_MEMORY, sonata.PIECE, stored.PIECE = 2**18, 2**17, 2**17
    written = run(model="sources.py", duration=float(sys.argv[1]), warmup=0.0,
                  options={"threads": "1"}, output=sys.argv[1])
    read = load_sound(sys.argv[1])
    few = ("rate", "cv", "synchrony")
    measurement.STATISTICS = {name: measurement.STATISTICS[name] for name in few}
    measurement.measure(read)
    print(read.count("S"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_duration(tmp_path):
    (tmp_path / "sources.py").write_text(
        "def build(sim):\n"
        "    return {'S': sim.Population(500, sim.SpikeSourcePoisson(rate=1000.0))}\n"
    )
    code = textwrap.dedent(MEMORY)

    def used(duration):
        command = [sys.executable, "-c", code, str(duration)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return map(int, done.stdout.split())

    (few, small), (many, large) = used(3000), used(12000)
    assert many > 3 * few
    assert (large - small) * 1024 < 0.25 * 16 * (many - few)  # of what they take in memory

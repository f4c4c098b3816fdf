"""Whatever fails after a simulation: its spikes are on the disk, or it is said where they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from portable_cortex import Recording, run
from portable_cortex.backend import Energy
from portable_cortex.backends.mock import MockBackend
from portable_cortex.errors import OutputError, SimulationError
from portable_cortex.recording import FIGURE, RecordingWarning
from portable_cortex.running import RunWarning

SHORT = {"backend": "mock", "model": "brunel2000", "scale": 0.01, "warmup": 0.0, "duration": 40.0}
COMMAND = (
    "run", "--backend", "mock", "--model", "brunel2000", "--scale", "0.01", "--warmup", "0",
    "--duration", "40",
)  # fmt: skip


def fails(*_args, **_kwargs):
    raise RuntimeError("no such luck")


@pytest.fixture
def expected():
    return run(**SHORT).spikes("E")


@pytest.mark.parametrize(
    ("name", "replacement", "said"),
    [
        ("energy", fails, "the backend's own energy could not be read: RuntimeError: no such luck"),
        ("energy", lambda _: Energy(float("nan"), "measured", "x"), "the energy could not be read"),
        ("phases", fails, "the backend's phases could not be read"),
        ("phases", lambda _: {"x": float("nan")}, "the backend's phases could not be read"),
        ("details", fails, "the machine's report could not be read"),
        ("details", lambda _: {"x": {1, 2}}, "the machine's report could not be read"),
        ("doubts", fails, "what the machine reports of its faults could not be read"),
        ("end", fails, "the simulator did not end well: RuntimeError: no such luck"),
    ],
)
def test_what_a_backend_cannot_tell_costs_that_alone(
    monkeypatch, tmp_path, expected, name, replacement, said
):
    monkeypatch.setattr(MockBackend, name, replacement)
    with pytest.warns(RunWarning, match=said):
        recording = run(**SHORT)
    (note,) = recording.metadata["notes"]
    assert said in note
    if name == "doubts":  # nobody knows of any, which is not that there are none
        assert recording.metadata["warnings"] == [note]
    recording.save(tmp_path, figure=True)
    assert (Recording.load(tmp_path).spikes("E").times == expected.times).all()


@pytest.mark.filterwarnings("default::portable_cortex.running.RunWarning")
def test_a_signal_that_cannot_be_read(monkeypatch, call, tmp_path, expected):
    monkeypatch.setattr(MockBackend, "signal", fails)
    status, out, err = call(*COMMAND, "--record", "v:E:3", "--out", "here")
    assert status == 2
    assert "Error: v of E could not be read; all else is in here" in err
    assert "here/activity.png" in out
    recording = Recording.load(tmp_path / "here")
    assert (recording.spikes("E").times == expected.times).all()
    assert recording.signals == {}


def test_spikes_of_one_population_that_cannot_be_read(monkeypatch, expected):
    read = MockBackend.spikes

    def partly(self, population):
        return fails() if population.label == "I" else read(self, population)

    monkeypatch.setattr(MockBackend, "spikes", partly)
    with pytest.warns(RunWarning, match="spikes of I could not be read"):
        recording = run(**SHORT)
    assert list(recording.spike_trains) == ["E"]
    assert (recording.spikes("E").times == expected.times).all()


@pytest.mark.filterwarnings("ignore::portable_cortex.running.RunWarning")
def test_no_spikes_at_all_is_a_failure_of_the_backend(monkeypatch):
    monkeypatch.setattr(MockBackend, "spikes", fails)
    with pytest.raises(SimulationError, match=r"backend 'mock' failed: spikes of E .*no such luck"):
        run(**SHORT)


def test_an_error_is_not_hidden_by_that_of_the_end(monkeypatch):
    monkeypatch.setattr(MockBackend, "simulate", lambda *_: 1 / 0)
    monkeypatch.setattr(MockBackend, "end", fails)
    with pytest.warns(RunWarning), pytest.raises(SimulationError, match="ZeroDivisionError"):
        run(**SHORT)


def test_a_figure_that_fails(monkeypatch, call, tmp_path):
    monkeypatch.setattr("portable_cortex.recording.figure.draw_activity", fails)
    monkeypatch.setattr("warnings.filters", [("default", None, RecordingWarning, None, 0)])
    status, out, err = call(*COMMAND, "--out", "here")
    assert status == 0
    assert "Warning: there is no figure: RuntimeError: no such luck" in err
    assert "activity.png" not in out
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == ["run.json", "spikes.h5"]


def test_a_new_recording_has_no_old_figure(monkeypatch, tmp_path):
    recording = run(**SHORT)
    recording.save(tmp_path, figure=True)
    monkeypatch.setattr("portable_cortex.recording.figure.draw_activity", fails)
    with pytest.warns(RecordingWarning):
        recording.save(tmp_path, figure=True, overwrite=True)
    assert not (tmp_path / FIGURE).exists()


@pytest.mark.parametrize(
    "label", ["$x$", "$\\frac", "a_b^c", "%", "{}", "\\textbf{", "/", ".", "é µ"]
)
def test_a_figure_takes_any_label(tmp_path, label):
    path = tmp_path / "any.py"
    path.write_text(
        "def build(sim, *, label=''):\n    return {label: sim.Population(2, sim.IF_curr_exp())}\n"
    )
    recording = run(model=path, backend="mock", label=label, warmup=0.0, duration=100.0)
    assert (recording.save(tmp_path / "out", figure=True) / FIGURE).stat().st_size > 10_000


# --- the disk ---


def refuge_of(err: str) -> Path:
    (folder,) = re.findall(r"The recording was written to (\S+) instead", err)
    return Path(folder)


def test_a_folder_that_is_gone_when_the_run_is_over(monkeypatch, call, tmp_path, expected):
    """A file is in its place."""
    simulate = MockBackend.simulate

    def and_remove(self, *arguments):
        simulate(self, *arguments)
        (tmp_path / "here").write_text("a file")

    monkeypatch.setattr(MockBackend, "simulate", and_remove)
    status, _, err = call(*COMMAND, "--out", "here")
    assert status == 2
    assert err.splitlines()[-1].startswith("Error: ")
    folder = refuge_of(err)
    assert (Recording.load(folder).spikes("E").times == expected.times).all()
    shutil.rmtree(folder)


def test_a_run_that_another_one_wrote_meanwhile_is_kept(monkeypatch, call, tmp_path):
    simulate = MockBackend.simulate

    def and_write(self, *arguments):
        simulate(self, *arguments)
        (tmp_path / "here").mkdir(exist_ok=True)
        (tmp_path / "here" / "run.json").write_text("another's")

    monkeypatch.setattr(MockBackend, "simulate", and_write)
    status, _, err = call(*COMMAND, "--out", "here")
    assert status == 2
    assert "already holds a run" in err
    assert (tmp_path / "here" / "run.json").read_text() == "another's"
    shutil.rmtree(refuge_of(err))


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 16 kB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def test_a_full_disk(full_disk, call, tmp_path, expected):
    status, _, err = call(*COMMAND, "--duration", "4000", "--out", full_disk / "run")
    assert status == 2
    assert f"could not be written to {full_disk / 'run'}: the disk is full" in err
    assert not (full_disk / "run" / "run.json").exists()
    folder = refuge_of(err)
    assert Recording.load(folder).t_stop == 4000.0
    shutil.rmtree(folder)


def test_a_disk_that_is_full_for_the_figure_only(monkeypatch, tmp_path):
    def full(_recording, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("portable_cortex.recording.figure.draw_activity", full)
    with pytest.warns(RecordingWarning, match="there is no figure: OSError.*No space left"):
        run(**SHORT).save(tmp_path, figure=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", "spikes.h5"]


def test_no_disk_at_all(monkeypatch, call):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("portable_cortex.recording.sonata.write_spikes", full)
    status, _, err = call(*COMMAND, "--out", "here")
    assert status == 2
    assert "the disk is full. No other folder could be written: the recording is lost" in err


def test_memory_that_is_short_for_writing(monkeypatch, tmp_path):
    def short(*_args):
        raise MemoryError

    monkeypatch.setattr("portable_cortex.recording.sonata.write_spikes", short)
    with pytest.raises(OutputError, match=r"could not be written to .*: MemoryError"):
        run(**SHORT).save(tmp_path / "here")
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("name", ["a" * 300])
def test_a_folder_that_cannot_be(name):
    with pytest.raises(OutputError, match="cannot be used for the results"):
        run(**SHORT).save(name)


def test_a_parameter_that_cannot_be_saved_is_told_before(monkeypatch, tmp_path):
    path = tmp_path / "odd.py"
    path.write_text(
        "def build(sim, *, f=print):\n    return {'A': sim.Population(2, sim.IF_curr_exp())}\n"
    )
    monkeypatch.setattr(MockBackend, "simulate", fails)
    with pytest.raises(ValueError, match=r"a parameter cannot be written to run\.json"):
        run(model=path, backend="mock")


def test_half_a_character_is_no_reason_to_lose_a_run(tmp_path):
    recording = run(**SHORT)
    odd = Recording(
        recording.n_neurons, recording.spike_trains, {**recording.metadata, "model": "\udcff.py"}
    )
    assert Recording.load(odd.save(tmp_path / "out")).metadata["model"] == "\udcff.py"


# --- made-up spikes ---


def test_made_up_spikes_say_so(call, tmp_path):
    from portable_cortex.recording.figure import _title

    status, _, err = call(*COMMAND, "--out", "here")
    assert (status, err) == (0, "Warning: made-up spikes, no simulation\n")
    recording = Recording.load(tmp_path / "here")
    assert recording.metadata["warnings"] == ["made-up spikes, no simulation"]
    assert _title(recording).endswith("\nWarning: made-up spikes, no simulation")
    status, out, _ = call("validate", "here", "--against", "here")
    assert status == 2
    assert "made-up spikes, no simulation" in out

"""Looking again at a run: show, plot, notebooks, and what the first call says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import portable_cortex
from portable_cortex import Recording, Signal, Spikes
from portable_cortex.cli.progress import ConsoleReporter
from portable_cortex.cli.run_console import expected_of, show
from portable_cortex.recording.figure import activity_figure
from portable_cortex.validation.verdict import examine

SCRIPT = Path(sys.executable).parent / "portable-cortex"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of the microcircuit with made-up spikes, in a folder."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    portable_cortex.run(
        backend="mock", scale=0.1, warmup=0.0, duration=1500.0, record=["v:L4E:3"], output=folder
    )
    return folder


# --- show ---


def test_show_prints_settings_rates_and_cost(call, recorded):
    status, out, err = call("show", recorded)
    assert (status, err) == (0, "Warning: made-up spikes, no simulation\n")
    assert "pd14 (scale 0.1, drive poisson)" in out
    (row,) = (line for line in out.splitlines() if "│ L4E " in line)
    assert "2192" in row
    assert "4.414" in row  # published
    assert "3.99" in row  # NEST at this scale
    assert "expected: NEST with these settings" in out
    for part in ("mock", "seed", "1500 ms", "v of L4E (3)", "real-time factor", "peak memory"):
        assert part in out
    assert str(recorded / "activity.png") in out


def test_expected_rates_are_of_the_same_settings_only(recorded):
    recording = Recording.load(recorded)
    expected = expected_of(recording)
    assert 0.4 < expected.rates["L23E"][0] < 0.55  # 0.903 at full scale
    assert expected.shortest == 2000.0
    other = {**recording.metadata["parameters"], "scale": 0.2}
    assert (
        expected_of(replace(recording, metadata={**recording.metadata, "parameters": other}))
        is None
    )


def test_energy_is_shown_with_its_labels(recorded, capsys):
    recording = Recording.load(recorded)
    energy = {"joules": 12.5, "kind": "modelled", "scope": "boards", "source": "sPyNNaker"}
    mapping = {"boards": 6, "chips": 233, "cores": 3630, "sdram_bytes": 8312880894}
    metadata = {**recording.metadata, "energy": [energy], "machine_report": {"mapping": mapping}}
    show(replace(recording, metadata=metadata), recorded, Console(width=200))
    out = capsys.readouterr().out
    assert "12.5 J (modelled, boards, sPyNNaker)" in out
    assert "it fits: on 6 boards, 233 chips, 3,630 cores, 8.3 GB of memory" in out


@pytest.mark.parametrize(
    "keep", [("warmup_ms", "duration_ms"), ("warmup_ms", "duration_ms", "seed")]
)
def test_show_of_a_run_that_says_little(call, recorded, tmp_path, keep):
    Recording.load(recorded).save(tmp_path / "bare")
    metadata = json.loads((tmp_path / "bare" / "run.json").read_text())
    bare = {name: metadata[name] for name in ("warmup_ms", "duration_ms", "populations")}
    (tmp_path / "bare" / "run.json").write_text(json.dumps(bare))
    status, out, err = call("show", "bare")
    assert (status, err) == (0, "")
    assert "L4E" in out


@pytest.mark.parametrize("command", ["show", "plot"])
def test_what_is_no_run(call, tmp_path, recorded, command):
    (tmp_path / "many" / "one").mkdir(parents=True)
    (tmp_path / "many" / "one" / "run.json").write_bytes((recorded / "run.json").read_bytes())
    for name, said in (
        ("nowhere", "nowhere does not exist: name the folder of a run"),
        ("many", "one of its 1 runs, for example many/one"),
        (".", "holds no run"),
    ):
        status, out, err = call(command, name)
        assert (status, out) == (2, "")
        assert said in err
        assert len(err.splitlines()) == 1


# --- plot ---


def test_plot_draws_again(call, recorded, tmp_path):
    Recording.load(recorded).save(tmp_path / "run")
    assert call("plot", "run") == (0, "run/activity.png\n", "")
    assert (tmp_path / "run" / "activity.png").read_bytes().startswith(b"\x89PNG")
    assert call("plot", "run", "-o", "other/it.pdf")[0] == 0
    assert (tmp_path / "other" / "it.pdf").read_bytes().startswith(b"%PDF")
    status, _, err = call("plot", "run", "--out", "it.jpg")
    assert status == 2
    assert "called *.png, *.pdf or *.svg, not it.jpg" in err


def test_nothing_is_drawn_of_a_run_without_activity(call, tmp_path):
    call("run", "--backend", "mock", "-s", "0.01", "-d", "10", "--no-record", "-o", "here")
    assert not (tmp_path / "here" / "activity.png").exists()
    status, _, err = call("plot", "here")
    assert status == 2
    assert "here: there is nothing to draw" in err


def test_recorded_variables_are_drawn(recorded):
    recording = Recording.load(recorded)
    signal = recording.signal("L4E")
    figure = activity_figure(recording)
    (traces,) = (axes for axes in figure.axes if axes.get_ylabel() == "v (mV)")
    assert len(traces.lines) == 3
    times, values = traces.lines[-1].get_data()  # the first neuron is on top
    shown = signal.times >= 1000.0  # the last 500 ms
    assert np.allclose(times, signal.times[shown])
    assert np.array_equal(values, signal.values[shown, 0])


def test_spectra_are_those_of_validate(recorded):
    from portable_cortex.validation.activity import power_spectrum

    recording = Recording.load(recorded)
    figure = activity_figure(recording)
    (axes,) = (a for a in figure.axes if a.get_xlabel() == "frequency (Hz)")
    line = next(line for line in axes.lines if line.get_label() == "L4E")
    spectrum = power_spectrum(recording.spikes("L4E"), recording.n_neurons["L4E"], 0.0, 1500.0)
    shown = (spectrum.frequencies > 0) & (spectrum.frequencies <= 200)
    assert np.allclose(line.get_ydata(), spectrum.power[shown])


# --- in Python and notebooks ---


def test_a_signal_has_times():
    signal = Signal(np.zeros((4, 2)), np.arange(2), 100.0, 0.5, "mV")
    assert signal.times.tolist() == [100.0, 100.5, 101.0, 101.5]


def test_notebooks_show_a_recording(recorded):
    recording = Recording.load(recorded)
    html = recording._repr_html_()
    for part in ("pd14 on mock", "L4E", "4.414", "v of L4E", "made-up spikes"):
        assert part in html
    assert len(html) < 10_000
    assert "http" not in html
    hostile = replace(
        recording, metadata={**recording.metadata, "model": "<script>", "warnings": ["<b>"]}
    )
    assert "<script>" not in hostile._repr_html_()
    assert "<b>" not in hostile._repr_html_().replace("<b>&lt;script&gt;", "")
    assert recording.plot()._repr_png_().startswith(b"\x89PNG")


def test_what_notebooks_keep_beside_it_is_short(recorded, mock_run):
    """They save the text of all that they show: a page of arrays would be saved with it."""
    assert len(repr(Recording.load(recorded))) < 100
    assert len(repr(examine(mock_run))) < 1000  # the sentence that the command prints


def test_notebooks_show_a_verdict(mock_run, mock_reference, tmp_path):
    html = examine(mock_run, against=mock_reference)._repr_html_()
    for part in ("Agrees: none of", "L4E", "would have been found", "12 seeds"):
        assert part in html
    recording = Recording.load(mock_run)
    half = Spikes(*(column[::2] for column in recording.spikes("L4E")))
    changed = replace(recording, spike_trains={**recording.spike_trains, "L4E": half})
    other = examine(changed.save(tmp_path / "half"), against=mock_reference)._repr_html_()
    assert "Differs" in other
    assert "≠" in other
    for shown in (html, other):
        assert "http" not in shown
        assert len(shown) < 10_000
    assert "<i>" not in examine("<i>")._repr_html_()


# --- the first call ---


def test_the_command_alone_says_what_to_do(call):
    status, out, err = call()
    assert (status, err) == (0, "")
    assert out.count("\n  portable-cortex ") == 3
    assert len(out.splitlines()) < 12
    assert "--help" in out


def test_what_is_compiled_is_told_once(capsys):
    with ConsoleReporter(Console(stderr=True)) as reporter:
        for detail in ("", "compiling the engine", "compiling a loop", "compiling the engine"):
            reporter.phase("prepare", detail)
    said = "preparing the simulator ...\ncompiling the engine ...\ncompiling a loop ...\n"
    assert capsys.readouterr().err == said


def test_progress_is_not_on_stdout_and_can_be_silenced(tmp_path):
    command = [SCRIPT, "run", "-m", "brunel2000", "-b", "mock", "-s", "0.01", "-d", "10", "-o"]
    told, quiet = (
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=True)
        for more in (("a",), ("b", "--quiet"))
    )
    assert "simulating ..." in told.stderr
    assert "..." not in told.stdout + quiet.stdout
    assert quiet.stderr == "Warning: made-up spikes, no simulation\n"
    assert told.stdout.splitlines()[:6] == quiet.stdout.splitlines()[:6]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("portable-cortex run --backend n", {"nest", "neuron"}),
        ("portable-cortex run -m v1", {"v1_isolated", "v1_layer4c"}),
    ],
)
def test_shells_complete(words, completed):
    environment = {
        **os.environ, "_PORTABLE_CORTEX_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == completed


def test_a_mistake_in_a_script_is_no_bug_of_brian2(tmp_path):
    pytest.importorskip("brian2", reason="pip install portable-cortex[brian2]")
    script = (
        "import portable_cortex\n"
        "options = {'mode': 'runtime', 'target': 'numpy'}\n"
        "sim = portable_cortex.simulator('brian2', options=options)\n"
        "sim.setup()\n"
        "sim.Population(1, sim.IF_curr_exp()).nonsense()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "unexpected error" not in done.stderr

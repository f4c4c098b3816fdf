"""The command line, as its user sees it: output, files, exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portable_cortex import Recording, __version__, backend_names
from portable_cortex.machine import machine_names

SCRIPT = Path(sys.executable).parent / "portable-cortex"
MADE_UP = "Warning: made-up spikes, no simulation\n"
FAST = ("--model", "brunel2000", "--backend", "mock", "--scale", "0.01")
SHORT = ("--warmup", "0", "--duration", "20")


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_run_writes_its_files_and_prints_the_rates(tmp_path):
    # the real script, and not a terminal
    done = subprocess.run(
        [SCRIPT, "run", "--backend", "mock", "--scale", "0.01", *SHORT, "-q", "-o", "here"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, MADE_UP)
    assert files(tmp_path / "here") == ["activity.png", "run.json", "spikes.h5"]
    recording = Recording.load(tmp_path / "here")
    for label, rate in recording.rates().items():
        (row,) = (line for line in done.stdout.splitlines() if f" {label} " in line)
        assert f"{recording.n_neurons[label]}" in row
        assert f"{rate:.3f}" in row
        assert f"{recording.metadata['published_rates'][label]:.3f}" in row
    assert re.search(
        r"real-time factor \d+\.\d+ \(simulate phase; \d+\.\d+ core-seconds", done.stdout
    )
    assert "here/activity.png" in done.stdout
    assert "\x1b" not in done.stdout  # no colours in a file


def test_run_into_the_default_folder(call, tmp_path):
    status, out, err = call("run", *FAST, *SHORT)
    assert (status, err) == (0, MADE_UP)
    assert "results/brunel2000-mock" in out
    assert Recording.load(tmp_path / "results" / "brunel2000-mock").n_neurons == {"E": 100, "I": 25}


def test_every_option_arrives(call, tmp_path):
    status, _, err = call(
        "run", *FAST, "--duration", "20", "--warmup", "10", "--timestep", "0.5", "--seed", "7",
        "--param", "g=4.5", "--param", "eta=1", "--record", "v:E:3", "--record", "v:I:2",
        "--realisation", "shared", "--machine", "single-thread", "--out", "here",
    )  # fmt: skip
    assert (status, err) == (0, MADE_UP)
    recording = Recording.load(tmp_path / "here")
    about = recording.metadata
    assert about["parameters"] == {
        "scale": 0.01,
        "g": 4.5,
        "eta": 1,
        "neuron": "IF_curr_exp",
        "neuron_parameters": None,
        "seed": 7,
    }
    assert (about["timestep_ms"], about["warmup_ms"], about["duration_ms"]) == (0.5, 10.0, 20.0)
    assert (about["seed"], about["realisation"], about["machine"]) == (7, "shared", "single-thread")
    assert {key: s.neurons.size for key, s in recording.signals.items()} == {
        ("E", "v"): 3, ("I", "v"): 2
    }  # fmt: skip


def test_parameters_are_json_or_bare_words(call, tmp_path):
    status, _, err = call(
        "run", "--backend", "mock", "--scale", "0.005", *SHORT, "--out", "here",
        "--param", "v0=original", "--param", 'dc_transients=[["L4E", 5, 10, 0.1]]',
    )  # fmt: skip
    assert (status, err) == (0, MADE_UP)
    parameters = json.loads((tmp_path / "here" / "run.json").read_text())["parameters"]
    assert parameters["v0"] == "original"
    assert parameters["dc_transients"] == [["L4E", 5, 10, 0.1]]


def test_run_without_recording(call, tmp_path):
    status, out, err = call("run", *FAST, *SHORT, "--no-record", "--out", "here")
    assert (status, err) == (0, MADE_UP)
    assert "real-time factor" in out
    assert Recording.load(tmp_path / "here").spike_trains == {}


def test_overwrite(call, tmp_path):
    assert call("run", *FAST, *SHORT, "--out", "here")[0] == 0
    assert call("run", *FAST, *SHORT, "--out", "here", "--seed", "2", "--overwrite")[0] == 0
    assert Recording.load(tmp_path / "here").metadata["seed"] == 2


def test_an_existing_run_is_kept(call, tmp_path):
    assert call("run", *FAST, *SHORT, "--out", "here")[0] == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "here").iterdir()}
    status, out, err = call("run", *FAST, *SHORT, "--out", "here", "--seed", "2")
    assert status == 2
    assert "here already holds a run" in err
    assert "--overwrite" in err
    assert out == ""  # refused before anything ran
    assert {p.name: p.read_bytes() for p in (tmp_path / "here").iterdir()} == before


@pytest.mark.filterwarnings("always::portable_cortex.ModelWarning")
def test_a_warning_of_the_model_is_shown_in_one_line(call):
    status, _, err = call("run", "--backend", "mock", "--scale", "0.005", "--drive", "dc", *SHORT)
    assert status == 0
    assert err.startswith("Warning: with constant (dc) drive")
    assert err.splitlines()[1:] == [MADE_UP.strip()]


# --- lists ---


def test_backends(call):
    status, out, err = call("backends")
    assert (status, err) == (0, "")
    for name in backend_names():
        assert name in out
    assert len(out.splitlines()) < 40  # one screen
    status, out, err = call("backends", "builtin")
    assert (status, err) == (0, "")
    for part in ("threads", "IF_curr_exp", "STDPMechanism"):
        assert part in out
    facts = json.loads(call("backends", "--json")[1])
    assert set(facts) == set(backend_names())
    assert facts["nest"]["install"] == "pip install 'portable-cortex[nest]'"
    assert "did you mean 'nest'" in call("backends", "nets")[2]


def test_hardware(call):
    status, out, err = call("hardware")
    assert (status, err) == (0, "")
    for name in machine_names():
        assert name in out
    assert "threads=1" in out


def test_models(call):
    status, out, err = call("models")
    assert (status, err) == (0, "")
    for part in ("pd14", "Potjans", "thalamic_pulses", "brunel2000", "eta"):
        assert part in out


def test_version(call):
    assert call("--version") == (0, f"portable-cortex {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("run", "--help")])
def test_help(call, arguments):
    status, out, err = call(*arguments)
    assert (status, err) == (0, "")
    assert "Usage: " in out
    assert ("--duration" if "run" in arguments else "hardware") in out


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "mokc"), ["'mokc'", "builtin, nest", "did you mean 'mock'"]),
        (("--model", "brunel"), ["'brunel'", "pd14, brunel2000", ".py"]),
        (("--model", "nowhere.py"), ["no model file nowhere.py"]),
        (("--machine", "laptop"), ["'laptop'", "local, rapl, single-thread", ".toml"]),
        (("--machine", "nowhere.toml"), ["nowhere.toml"]),
        (("--record", "v:L9:1"), ["population 'L9'", "E, I"]),
        (("--record", "w:E:1"), ["'w'", "valid are v"]),
        (("--record", "v:E:101"), ["E has 100 neurons", "101"]),
        (("--record", "v"), ["variable:population:count", "'v'"]),
        (("--scale", "0"), ["scale", "0"]),
        (("--scale", "0.001"), ["scale", "at least 0.004"]),
        (("--model", "pd14", "--scale", "0.0001"), ["L5I", "use at least 0.00047"]),
        (("--model", "pd14", "--drive", "ac"), ["poisson, dc", "'ac'"]),
        (("--duration", "0.25"), ["duration", "multiple of the time step"]),
        (("--duration", "0"), ["duration", "at least one time step"]),
        (("--warmup", "-1"), ["warmup", "0 ms or more"]),
        (("--timestep", "0"), ["timestep", "above 0"]),
        (("--seed", "0"), ["seed", "from 1"]),
        (("--realisation", "mine"), ["'mine'", "native, shared"]),
        (("--param", "g"), ["--param takes NAME=VALUE", "'g'"]),
        (("--param", "=3"), ["--param takes NAME=VALUE"]),
        (("--param", "weight=3"), ["'weight'", "scale, g, eta, neuron"]),
        (("--n-scale", "0.5"), ["'n_scale'", "scale, g, eta, neuron"]),
        (("--option", "threads"), ["--option takes NAME=VALUE"]),
        (("--option", "threads=2"), ["'mock'", "'threads'"]),
        (("--out", "taken"), ["taken", "no folder"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_sentence_and_writes_nothing(call, tmp_path, arguments, said):
    (tmp_path / "taken").write_text("")
    status, out, err = call("run", *FAST, *SHORT, *arguments)
    assert status == 2
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in out + err
    for part in said:
        assert part in err
    assert files(tmp_path) == ["taken"]


@pytest.mark.parametrize("arguments", [("--seed", "x"), ("--bogus",), ("--duration",)])
def test_what_the_command_line_cannot_read(call, tmp_path, arguments):
    status, out, err = call("run", *FAST, *arguments)
    assert status == 2
    assert arguments[0] in err
    assert "Traceback" not in out + err
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["my[draft].py", "a[/b].py", "[red]c.py"])
def test_brackets_are_shown_as_they_were_typed(call, name):
    # the terminal library takes them for colours
    status, _, err = call("run", *FAST[2:], "--model", name)
    assert status == 2
    assert f"there is no model file {name}" in err


def test_brackets_of_a_machine_file_are_shown(call, tmp_path):
    (tmp_path / "mine.toml").write_text('description = "x"\n[options.nest]\nthreads = 0\n')
    status, _, err = call("run", *FAST, "--machine", "mine.toml")
    assert status == 2
    assert "mine.toml: [options.nest] " in err


def test_folder_with_brackets(call, tmp_path):
    status, out, err = call("run", *FAST, *SHORT, "--out", "runs[a]")
    assert (status, err) == (0, MADE_UP)
    assert (tmp_path / "runs[a]" / "run.json").exists()
    assert "runs[a]/activity.png" in out


def test_a_seed_is_not_silently_another_one(call, tmp_path):
    # the seed has an option of its own, but the models list it among their parameters
    status, _, err = call("run", *FAST, *SHORT, "--param", "seed=5", "--out", "here")
    if status == 0:
        assert Recording.load(tmp_path / "here").metadata["seed"] == 5
    else:
        assert "--seed" in err


def test_a_mistake_through_the_script(tmp_path):
    done = subprocess.run(
        [SCRIPT, "run", "--backend", "mokc"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: unknown backend 'mokc'")
    assert files(tmp_path) == []


def test_ctrl_c(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\ndef build(sim):\n    print('building', flush=True)\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [SCRIPT, "run", "-q", "--backend", "mock", "--model", "slow.py", "--out", "here"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            for line in process.stdout:
                if line.strip() == "building":
                    break
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err == "Interrupted: nothing was written.\n"
    assert files(tmp_path) == ["slow.py"]


# --- rerun ---


@pytest.fixture
def recorded(call, tmp_path):
    """A run of a user's own model in the folder ``here``; gives the model's file."""
    model = tmp_path / "mine.py"
    model.write_text(
        "def build(sim, *, n=20, seed=1):\n"
        "    return {'A': sim.Population(n, sim.IF_curr_exp(), label='A')}\n"
    )
    given = ("--model", model, "--backend", "mock", "--param", "n=30", "--seed", "3")
    status, _, err = call("run", *given, *SHORT, "--duration", "500", "--out", "here")
    assert (status, err) == (0, MADE_UP)
    return model


def test_a_run_is_repeated_from_its_folder(call, tmp_path, recorded):
    about = json.loads((tmp_path / "here" / "run.json").read_text())
    assert about["command"].startswith(f"portable-cortex run --model {recorded} --backend mock")
    assert (tmp_path / "here" / "run_model.py").read_bytes() == recorded.read_bytes()
    before = files(tmp_path)
    status, out, err = call("rerun", "here")
    assert (status, err) == (0, "")
    assert "the spikes are those of here" in out
    assert files(tmp_path) == before  # nothing is written


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("raise OSError")])
def test_a_model_that_is_another_now_is_repeated_from_its_copy(call, recorded, change):
    change(recorded)
    assert call("rerun", "here")[0] == 0


def test_other_spikes_and_versions_are_named(call, tmp_path, recorded):
    path = tmp_path / "here" / "run.json"
    about = json.loads(path.read_text())
    about["experiment"]["seed"] = 4
    about["versions"]["numpy"] = "0.1"
    path.write_text(json.dumps(about))
    status, _, err = call("rerun", "here")
    assert status == 1
    assert re.search(r"Other spikes: A: \d+ spikes then and \d+ now, others from [\d.]+ ms on", err)
    assert "Another version: numpy 0.1 then, " in err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about.pop("experiment"), "does not say what was run"),
        (lambda about: about["experiment"].update(sede=1), "'sede'"),
        (lambda about: about["experiment"].update(backend="nset"), "unknown backend 'nset'"),
        (lambda about: about.update(options={"threads": 2}), "unknown key 'threads'"),
        (lambda about: about.update(processes=2), "a run of 2 processes, and here are 1"),
        (lambda about: about.update(model_sha256="4b22"), "is the model that was run"),
        (lambda about: about["experiment"]["parameters"].update(m=1), "'m'"),
    ],
)
def test_a_run_that_cannot_be_repeated(call, tmp_path, recorded, change, said):
    path = tmp_path / "here" / "run.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    status, _, err = call("rerun", "here")
    assert status == 2
    assert said in err
    assert "Traceback" not in err


def test_what_holds_nothing_to_compare_is_not_repeated(call):
    assert call("rerun", "nowhere")[0] == 2
    assert call("run", *FAST, *SHORT, "--no-record", "--out", "here")[0] == 0
    status, _, err = call("rerun", "here")
    assert status == 2
    assert "holds no spikes" in err


def test_runs_of_one_model_file_are_of_one_model_wherever_it_lies(call, tmp_path, recorded):
    from portable_cortex.validation.verdict.reference import conditions

    (tmp_path / "elsewhere").mkdir()
    copy = recorded.rename(tmp_path / "elsewhere" / "other.py")
    given = ("--model", copy, "--backend", "mock", "--param", "n=30")
    assert call("run", *given, *SHORT, "--out", "there")[0] == 0
    copy.write_text(copy.read_text() + "\n")
    assert call("run", *given, *SHORT, "--out", "changed")[0] == 0
    folders = [tmp_path / name for name in ("here", "there", "changed")]
    here, there, changed = (conditions(Recording.load(folder).metadata) for folder in folders)
    assert here == there != changed


def test_an_experiment_as_json_is_run(call, tmp_path):
    experiment = {"model": "brunel2000", "backend": "mock", "parameters": {"scale": 0.01}}
    assert call("run-experiment", json.dumps(experiment), "--out", "here")[0] == 0
    assert Recording.load(tmp_path / "here").metadata["duration_ms"] == 2000.0
    for text in ("{", "[1]", '{"seed": 0}'):
        assert call("run-experiment", text, "--out", "there")[0] == 2

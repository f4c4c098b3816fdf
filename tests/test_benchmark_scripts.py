"""The scripts in benchmarks/: they start, and say what machine it was and whether it was theirs."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = [p for p in sorted(FOLDER.glob("*.py")) if "__main__" in p.read_text("utf-8")]
NETWORK = ["--scale", "0.01", "--slices", "1", "--ms", "10", f"one={sys.executable}"]
CHEAP = {
    "builtin_slices.py": NETWORK,
    "busy_machine.py": [*NETWORK, "--busy", "0", "1"],
    "recording.py": ["--seconds", "0.1", "--repeats", "1"],
}
SMALL = {
    "brian2_build_and_simulate.py": "--scale 0.01 --duration 20 --repeats 1",
    "builtin_engine.py": "--growth --scales 0.01 0.02 --duration 20 --repeats 1 --plot growth.png",
    "emulated_board.py": "--repeats 1 --duration 20",
    "emulator_callbacks.py": "--interrupts 1000 --repeats 1",
    "nest_build_and_simulate.py": "--scales --repeats 1",
    "neuron_natives.py": "lif_curr_exp",
    "neuron_sameness.py": "lif_curr_exp --steps 0.1 --backends builtin",
    "neuron_build_and_simulate.py": "--scale 0.01 --duration 20 --repeats 1",
    "spinnaker_mapping.py": "--scales 0.02 --repeats 1",
    "validation.py": "--repeats 1",
}


def run(script, *arguments, **settings):
    command = [sys.executable, FOLDER / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("clock")
    del sys.modules["clock"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_says_whether_the_machine_was_its_own(script):
    assert "clock.session()" in script.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_start(script, tmp_path):
    done = run(script, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def tells_about_the_machine(output):
    first, *_, last = output.strip().splitlines()
    assert re.search(r"\d+ cores, load \d", first)
    assert re.search(r"\d+ s by the clock, \d+ s of processor time; programs waited", last)


@pytest.mark.parametrize("script", CHEAP)
def test_cheap_scripts(script, tmp_path):
    done = run(script, *CHEAP[script], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tells_about_the_machine(done.stdout)
    assert "processor time" in next(line for line in done.stdout.splitlines() if "|" in line)


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_scripts_at_their_smallest_sizes(script, tmp_path):
    done = run(script, *SMALL[script].split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tells_about_the_machine(done.stdout)
    assert "processor time" in done.stdout


@pytest.mark.parametrize("script", ["builtin_slices.py", "busy_machine.py"])
def test_contestants_must_be_named(script):
    done = run(script, "python")
    assert done.returncode != 0
    assert "NAME=PYTHON" in done.stderr
    assert "Traceback" not in done.stderr
    assert "NAME=PYTHON" in run(script).stderr


def test_the_stopwatch_counts_programs_that_were_started(clock):
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    with clock.Stopwatch() as watch:
        subprocess.run([sys.executable, "-c", spin], check=True)
    assert watch.cpu >= 0.15
    assert watch.wall > 0
    assert watch.waits >= 0


def test_examples_of_the_clock(clock):
    assert doctest.testmod(clock).failed == 0


def test_a_program_that_fails_is_told_with_its_last_words(clock):
    with pytest.raises(SystemExit, match=r"the engine failed:\s+no luck"):
        clock.child("the engine", "-c", "raise SystemExit('no luck')")
    said = clock.child("it", "-c", f"print('hello'); print({json.dumps(json.dumps({'a': 1}))})")
    assert said["a"] == 1
    assert {"waits", "processor time"} <= set(said)


def test_the_cost_model_finds_the_costs_of_made_up_runs(clock, monkeypatch):
    import numpy as np

    engine = importlib.import_module("builtin_engine")
    work = [
        engine.Work(drive, 77_000 * scale, 25 * scale, 97_000 * scale**2)
        for scale in (0.01, 0.1, 1.0)
        for drive in ("poisson", "dc")
    ]
    amounts = np.array([w.of_thread(threads) for w in work for threads in (1, 2)])
    costs = np.array([3e-6, 1e-6, 3e-10, 4e-10, 2e-7, 1e-9])
    np.testing.assert_allclose(engine.fitted(amounts, amounts @ costs), costs, rtol=1e-6)
    # every thread looks up all spikes; neurons and events are shared
    alone, eight = (dict(zip(engine.PARTS, work[0].of_thread(n), strict=True)) for n in (1, 8))
    assert eight["spike"] == alone["spike"]
    assert eight["event"] == alone["event"] / 8
    for name in ("builtin_engine", "brian2_build_and_simulate"):
        monkeypatch.delitem(sys.modules, name)

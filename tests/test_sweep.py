"""Sweeps: what runs, what is left alone, and what happens when something goes wrong."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portable_cortex import Experiment, Recording, load_backend
from portable_cortex.errors import (
    InvalidValueError,
    OutputError,
    OutputExistsError,
    SimulationError,
    UnknownNameError,
)
from portable_cortex.models.loader import load_model
from portable_cortex.recording.figure import new_figure as new
from portable_cortex.sweep import FAILED, FINISHED, SweepRun, figure, grid, parse_seeds, sweep
from portable_cortex.sweep.pool import DaskPool, LocalPool
from portable_cortex.sweep.runs import as_found

SCRIPT = Path(sys.executable).parent / "portable-cortex"
FIXED = {"backend": "mock", "model": "brunel2000", "scale": 0.01, "warmup": 0.0, "duration": 20.0}
MADE_UP = "Warning: made-up spikes, no simulation\n"
FAST = ("--model", "brunel2000", "--backend", "mock", "--warmup", "0", "--duration", "20")

# Seeds decide what becomes of a run: 2 fails, 3 crashes as a simulator would, 4 takes for ever
FRAGILE = """
import os, signal, time

def build(sim, n=5, seed=1):
    if seed == 2:
        raise RuntimeError("seed 2 is unlucky")
    if seed == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if seed == 4:
        open("hanging", "a").write(f"{os.getpid()}\\n")
        time.sleep(600)
    return {"cells": sim.Population(n, sim.IF_curr_exp())}
"""


@pytest.fixture
def fragile(tmp_path):
    (tmp_path / "fragile.py").write_text(FRAGILE)
    return tmp_path / "fragile.py"


def alive(pid):
    """Whether a process computes on; one that ended but was not waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


# --- what is asked for ---


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [3]), ("1-4", [1, 2, 3, 4]), ("1, 5-6,2", [1, 5, 6, 2]), ("7-7", [7])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-2", "1..3", "1,,2", "1.5", "1-999999999"])
def test_what_are_no_seeds(text):
    with pytest.raises(InvalidValueError, match="seeds"):
        parse_seeds(text)


def test_grid_is_every_combination():
    over = {"backend": ["nest", "mock"], "scale": [0.1, 0.2], "seed": range(1, 4)}
    runs = grid(over, duration=50.0, record=["v:L4E:2"])
    assert len(runs) == 12
    assert len({(e.backend, e.parameters["scale"], e.seed) for e in runs}) == 12
    assert {e.duration for e in runs} == {50.0}
    assert str(runs[0].record[0]) == "v:L4E:2"


def test_grid_of_parameters_that_are_called_like_settings():
    runs = grid({"parameters": [{"duration": 1}, {"duration": 2}]}, duration=50.0)
    assert [(e.parameters["duration"], e.duration) for e in runs] == [(1, 50.0), (2, 50.0)]


# --- what a sweep leaves ---


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a sweep of two scales and two seeds, and what `sweep` returned."""
    folder = tmp_path_factory.mktemp("finished")
    fixed = {name: value for name, value in FIXED.items() if name != "scale"}
    return sweep(grid({"scale": [0.01, 0.02], "seed": [1, 2]}, **fixed), folder)


def test_every_run_is_the_recording_that_run_would_have_made(finished):
    assert [run.state for run in finished.runs] == [FINISHED] * 4
    for run in finished.runs:
        recording = Recording.load(run.folder)
        assert recording.metadata == run.metadata
        alone = run.experiment.run()
        assert recording.rates() == alone.rates()
        assert run.experiment.settings() == run.settings
        assert {key: alone.metadata[key] for key in run.settings} == run.settings
        log = (run.folder / "log.txt").read_text()
        words = shlex.split(log.partition("\n")[0])  # which can be typed again
        assert words[:3] == ["$", "portable-cortex", "run-experiment"]
        assert json.loads(words[3]) == run.experiment.to_dict() == recording.metadata["experiment"]
        assert "simulating ..." in log


def test_folders_are_called_by_the_settings(finished):
    assert [run.name for run in finished.runs] == [
        f"brunel2000-mock-scale={scale}-warmup=0-duration=20-seed={seed}"
        for scale in (0.01, 0.02)
        for seed in (1, 2)
    ]
    assert list(finished.groups()) == ["scale=0.01", "scale=0.02"]


def test_what_varies_is_in_the_names_also_where_it_is_the_default(tmp_path):
    fixed = {name: value for name, value in FIXED.items() if name != "scale"}
    found = sweep(grid({"scale": [0.05, 0.1]}, **fixed), tmp_path)  # 0.1 is brunel2000's own
    assert [run.name.partition("-warmup")[0] for run in found.runs] == [
        "brunel2000-mock-scale=0.05",
        "brunel2000-mock-scale=0.1",
    ]
    assert list(found.groups()) == ["scale=0.05", "scale=0.1"]
    assert found.shared == ("brunel2000", "mock", "warmup=0", "duration=20")
    again = sweep(
        grid({"seed": [1]}, **fixed), tmp_path
    )  # where nothing varies it has another name
    assert again.runs[0].folder == found.runs[1].folder
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_a_table_for_other_programs(finished):
    with (finished.folder / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["scale"], row["seed"]) for row in rows] == [
        ("0.01", "1"), ("0.01", "2"), ("0.02", "1"), ("0.02", "2")
    ]  # fmt: skip
    for row, run in zip(rows, finished.runs, strict=True):
        assert row["folder"] == run.name
        assert float(row["rate_E"]) == run.metadata["rates"]["E"]
        assert float(row["simulate_s"]) == run.metadata["phases_s"]["simulate"]


def test_the_picture_is_of_what_varies(finished, monkeypatch):
    figures = []
    monkeypatch.setattr(figure, "new_figure", lambda **k: figures.append(new(**k)) or figures[-1])
    finished.draw()
    (drawn,) = figures
    assert [axes.get_title() for axes in drawn.axes] == ["E", "I"]
    assert {axes.get_xlabel() for axes in drawn.axes} == {"scale"}
    xs, means = drawn.axes[0].lines[0].get_data()
    rates = [run.metadata["rates"]["E"] for run in finished.runs]
    assert list(xs) == [0.01, 0.02]
    assert list(means) == [(rates[0] + rates[1]) / 2, (rates[2] + rates[3]) / 2]
    assert "made-up spikes" in drawn.get_suptitle()
    assert (finished.folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_sweep_json_tells_all(finished):
    runs = json.loads((finished.folder / "sweep.json").read_text())["runs"]
    assert [(run["folder"], run["state"]) for run in runs] == [
        (run.name, FINISHED) for run in finished.runs
    ]
    assert [run["rates"] for run in runs] == [run.metadata["rates"] for run in finished.runs]
    assert [run["settings"]["seed"] for run in runs] == [1, 2, 1, 2]


def test_finished_runs_are_not_repeated(finished):
    before = {run.name: (run.folder / "run.json").stat() for run in finished.runs}
    fixed = {name: value for name, value in FIXED.items() if name != "scale"}
    told = []
    more = grid({"scale": [0.01], "seed": [1, 2, 3]}, **fixed)
    again = sweep(more, finished.folder, report=lambda now, run: told.append((now, run)))
    assert [run.state for run in again.runs] == [FINISHED] * 3
    assert len(told[0][0].of(FINISHED)) == 2
    assert [run.experiment.seed for _, run in told[1:]] == [3]
    for run in finished.runs:
        assert (run.folder / "run.json").stat() == before[run.name]


def test_names_stay_apart_where_files_cannot_be_called_so(tmp_path):
    code = "def build(sim, what='', seed=1): return {'a': sim.Population(2, sim.IF_curr_exp())}"
    (tmp_path / "own.py").write_text(code)
    texts = ["a/b", "a:b" + "x" * 300]
    fixed = {"backend": "mock", "model": tmp_path / "own.py", "duration": 1.0, "warmup": 0.0}
    found = sweep(grid({"what": texts}, **fixed), tmp_path / "out", pool=LocalPool(2))
    assert [run.state for run in found.runs] == [FINISHED] * 2
    assert len({run.name for run in found.runs}) == 2
    assert [run.metadata["parameters"]["what"] for run in found.runs] == texts


def test_names_say_no_more_than_tells_runs_apart(tmp_path):
    code = "def build(sim, times=(), what=None): return {'a': sim.Population(2, sim.IF_curr_exp())}"
    (tmp_path / "own.py").write_text(code)
    lists = [[], [1.0, 2.0, 3.0, 4.0], [1.0, 2.5, 3.0, 4.0]]
    fixed = {"backend": "mock", "model": tmp_path / "own.py", "duration": 1.0, "warmup": 0.0}
    runs = sweep(grid({"times": lists, "what": [None, "b"]}, **fixed), tmp_path / "out").runs
    names = {run.name.rpartition("-seed")[0] for run in runs}
    assert len(names) == 6
    plain = {re.sub("-warmup.*", "", name) for name in names}
    assert plain == {
        "own-mock",
        "own-mock-times=1..4",
        "own-mock-what=b",
        "own-mock-times=1..4-what=b",
    }


# --- what is not taken for finished ---


def test_a_parameter_that_the_model_got_later_changes_nothing_at_its_default(tmp_path):
    runs = grid({}, backend="mock", scale=0.02, warmup=0.0, duration=1.0)
    (run,) = sweep(runs, tmp_path / "out").runs
    kept = json.loads((run.folder / "run.json").read_text())
    for name in ("neuron", "conductance"):  # as if an earlier version had written it
        del kept["parameters"][name]
    (run.folder / "run.json").write_text(json.dumps(kept))
    seen = []
    sweep(runs, tmp_path / "out", report=lambda sweep, run: seen.append(run))
    assert seen == [None]
    del kept["parameters"]["scale"]
    kept["parameters"]["scale"] = 0.03
    (run.folder / "run.json").write_text(json.dumps(kept))
    with pytest.raises(OutputExistsError, match="other settings"):
        sweep(runs, tmp_path / "out")


def test_another_file_of_the_same_model_is_another_run(tmp_path):
    model = tmp_path / "own.py"
    code = "def build(sim, seed=1): return {'cells': sim.Population(%d, sim.IF_curr_exp())}"
    model.write_text(code % 3)
    runs = grid({}, backend="mock", model=model, warmup=0.0, duration=1.0)
    assert sweep(runs, tmp_path / "out").of(FINISHED)
    model.write_text(code % 4)
    with pytest.raises(OutputExistsError, match=r"other settings.*model_sha256.*--overwrite"):
        sweep(runs, tmp_path / "out")
    found = sweep(runs, tmp_path / "out", overwrite=True)
    assert found.runs[0].metadata["populations"] == {"cells": 4}


def test_a_damaged_run_is_said_to_be_one(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy")
    (tmp_path / "copy" / finished.runs[0].name / "run.json").write_text("{")
    with pytest.raises(OutputExistsError, match=r"run.json is damaged.*--overwrite"):
        sweep(grid({"seed": [1]}, **FIXED), tmp_path / "copy")


def test_mistakes_are_told_before_anything_runs(tmp_path):
    with pytest.raises(InvalidValueError, match="seed=2 is asked for twice"):
        sweep(grid({"seed": [2, 1, 2]}, **FIXED), tmp_path)
    with pytest.raises(UnknownNameError, match="parameter 'gg' of model 'brunel2000'"):
        sweep(grid({"gg": [1]}, **FIXED), tmp_path)
    with pytest.raises(InvalidValueError, match="at least one run"):
        sweep([], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no folder"):
        sweep(grid({}, **FIXED), tmp_path / "file")
    with pytest.raises(InvalidValueError, match="1 or more"):
        LocalPool(0)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_threads(tmp_path):
    if not load_backend("nest").availability().available:
        pytest.skip("nest is not installed here")
    (tmp_path / "mine.toml").write_text('description = "mine"\n[options.nest]\nthreads = 3\n')
    base = Experiment(backend="nest", parameters={"scale": 0.01})
    from portable_cortex.sweep.runs import _planned

    def threads(asked=None, **settings):
        experiment = Experiment(backend="nest", parameters={"scale": 0.01}, **settings)
        (run,) = _planned((experiment,), asked, tmp_path)
        return run.settings["options"]["threads"]

    assert base.backend == "nest"
    assert threads() == 1
    assert threads(machine=tmp_path / "mine.toml") == 3
    assert threads(2, machine=tmp_path / "mine.toml") == 2
    assert threads(2, options={"threads": "5"}) == 5


# --- what goes wrong ---


def check_fragile(found):
    """Seeds 1 and 5 are finished, 2 failed, 3 crashed; the logs tell."""
    by_seed = {run.experiment.seed: run for run in found.runs}
    assert {s for s, run in by_seed.items() if run.state == FINISHED} == {1, 5}
    assert {s for s, run in by_seed.items() if run.state == FAILED} == {2, 3}
    assert "seed 2 is unlucky" in by_seed[2].error
    assert "seed 2 is unlucky" in (by_seed[2].folder / "log.txt").read_text()
    assert "signal 11" in by_seed[3].error
    assert not (by_seed[3].folder / "run.json").exists()
    states = [run["state"] for run in json.loads((found.folder / "sweep.json").read_text())["runs"]]
    assert states == [run.state for run in found.runs]


def fragile_runs(fragile, seeds):
    return grid({"seed": seeds}, backend="mock", model=fragile, warmup=0.0, duration=1.0)


def test_failures_and_crashes_leave_the_others_alone(fragile, tmp_path):
    check_fragile(sweep(fragile_runs(fragile, [1, 2, 3, 5]), tmp_path / "out", pool=LocalPool(2)))


def test_command(call, fragile, tmp_path):
    status, out, err = call(
        "sweep", "--seeds", "1,2", "--model", "fragile.py", "--backend", "mock", "--param", "n=3",
        "--warmup", "0", "--duration", "1", "--jobs", "2", "--out", "here",
    )  # fmt: skip
    assert status == 1
    assert "cells (spikes/s)" in out
    assert "1 runs finished, 1 failed" in out
    assert err.count("RuntimeError: seed 2 is unlucky") == 1
    assert "here/fragile-mock-n=3-warmup=0-duration=1-seed=2/log.txt" in err
    assert "The same command tries again" in err


def test_command_with_nothing_left_to_do(finished, call):
    scales = ("--scale", "0.01", "--scale", "0.02")
    status, out, err = call("sweep", *FAST, *scales, "--seeds", "1-2", "--out", finished.folder)
    assert (status, err) == (0, MADE_UP)
    for part in ("scale=0.01", "scale=0.02", "E (spikes/s)", "real-time factor", "4 runs finished"):
        assert part in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "5-1"), ["1-10", "'5-1'"]),
        (("--backend", "nesst"), ["'nesst'", "did you mean 'nest'"]),
        (("--param", "g"), ["--param takes NAME=VALUE"]),
        (("--param", "gg=1"), ["'gg'", "scale"]),
        (("--option", "thread=1"), ["option of backend 'mock'", "'thread'"]),
        (("--scale", "0.1", "--scale", "0.1"), ["twice"]),
        (("--jobs", "0"), ["1 or more"]),
        (("--machine", "laptop"), ["'laptop'"]),
        (("--realisation", "own"), ["'own'", "shared"]),
        (("--record", "v"), ["v:L4E:10"]),
        (("--cluster", "pbs"), ["slurm", "tcp://", "'pbs'"]),
        (("--cluster", "tcp://127.0.0.1:9", "--cluster-option", "a=1"), ["a", "slurm"]),
        (("--cluster-option", "queue=short"), ["--cluster slurm"]),
        (("--out", "taken"), ["taken", "no folder"]),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(call, tmp_path, arguments, said):
    (tmp_path / "taken").write_text("")
    status, out, err = call("sweep", *FAST, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    for part in said:
        assert part in err
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


# --- stopped half-way ---


@pytest.fixture
def begun(fragile, tmp_path):
    """A sweep whose seed 1 is finished and whose seed 4 hangs; its process, and that of seed 4."""
    sweeping = subprocess.Popen(
        [SCRIPT, "sweep", "--seeds", "1,4", "--model", "fragile.py", "--backend", "mock",
         "--warmup", "0", "--duration", "1", "--jobs", "1", "--out", "here"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        until((tmp_path / "hanging").exists)
        until(lambda: (tmp_path / "hanging").read_text().endswith("\n"))
        yield sweeping, int((tmp_path / "hanging").read_text())
    finally:
        sweeping.kill()
        sweeping.communicate()


def go_on(fragile, tmp_path):
    """Do the same sweep again, with a seed 4 that ends; gives the numbers done and repeated."""
    before = {p: p.stat() for p in tmp_path.glob("here/*/run.json")}
    # the model must stay as it is: another one would be another sweep
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep = lambda seconds: None")
    done = subprocess.run(
        [SCRIPT, "sweep", "--seeds", "1,4", "--model", "fragile.py", "--backend", "mock",
         "--warmup", "0", "--duration", "1", "--jobs", "1", "--out", "here"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    told = done.stderr.splitlines(keepends=True)
    assert (done.returncode, told[0]) == (0, "2 runs, 1 of them finished already\n")
    assert told[-1] == MADE_UP
    assert all(p.stat() == stat for p, stat in before.items())
    assert len(list(tmp_path.glob("here/*/run.json"))) == 2


def test_ctrl_c_stops_its_runs_and_says_how_to_go_on(begun, fragile, tmp_path):
    sweeping, pid = begun
    assert alive(pid)
    with pytest.raises(OutputError, match="another command is at work"):
        sweep(fragile_runs(fragile, [1, 4]), tmp_path / "here")
    sweeping.send_signal(signal.SIGINT)
    _, err = sweeping.communicate(timeout=300)
    assert sweeping.returncode == 130
    assert err.splitlines()[-1].startswith(
        "Interrupted: 1 of 2 runs are finished; the same command goes on"
    )
    assert "Traceback" not in err
    assert not alive(pid)
    states = [r["state"] for r in json.loads((tmp_path / "here/sweep.json").read_text())["runs"]]
    assert states == ["finished", "waiting"]


def test_a_killed_sweep_takes_its_runs_along_and_goes_on(begun, fragile, tmp_path):
    sweeping, pid = begun
    (leftover,) = tmp_path.glob("here/*seed=4")
    (leftover / ".partial-x").mkdir()
    sweeping.kill()
    sweeping.wait(timeout=300)
    until(lambda: not alive(pid))
    go_on(fragile, tmp_path)
    assert not (leftover / ".partial-x").exists()


# --- on a cluster ---


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_dask(client, fragile, tmp_path):
    runs = fragile_runs(fragile, [1, 2, 3, 5])
    found = sweep(runs, tmp_path / "out", pool=DaskPool(client))
    check_fragile(found)
    # the workers of the cluster did it, and are there for the next sweep
    assert len(client.scheduler_info()["workers"]) == 2
    fewer = sweep(fragile_runs(fragile, [1, 5, 6]), tmp_path / "out", pool=DaskPool(client))
    assert len(fewer.of(FINISHED)) == 3


def test_command_on_a_dask_cluster(client, call, tmp_path):
    status, out, err = call(
        "sweep", *FAST, "--scale", "0.01", "--seeds", "1-2", "--out", "here",
        "--cluster", client.scheduler.address,
    )  # fmt: skip
    assert (status, err) == (0, MADE_UP)
    assert "2 runs finished, 0 failed" in out


def test_stopping_a_sweep_stops_its_runs_on_the_cluster(client, fragile, tmp_path):
    hanging = tmp_path / "hanging"
    client.run(os.chdir, tmp_path)  # where the model writes the number of its process

    def interrupt(now, run):
        if run is not None:  # seed 1
            until(lambda: hanging.exists() and hanging.read_text().endswith("\n"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(
            fragile_runs(fragile, [1, 4]), tmp_path / "out", pool=DaskPool(client), report=interrupt
        )
    until(lambda: not alive(int(hanging.read_text())))


# What SLURM's commands do, as far as Dask-Jobqueue can tell; the jobs are real
SBATCH = """#!/bin/bash
if [ "$1" = --test-only ]; then
    if grep -q -- '-p nowhere'; then echo 'sbatch: error: invalid partition' >&2; exit 1; fi
    exit 0
fi
cp "$1" "{folder}/script"
setsid bash "{folder}/script" > "{folder}/job.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill -- "-$1"
"""


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    folder = tmp_path_factory.mktemp("slurm")
    for name, text in (("sbatch", SBATCH.format(folder=folder)), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_slurm(slurm, call, tmp_path):
    status, out, err = call(
        "sweep", *FAST, "--scale", "0.01", "--seeds", "1-2", "--out", "here", "--cluster", "slurm",
        "--jobs", "1", "--threads", "3", "--cluster-option", "queue=short",
        "--cluster-option", "memory=2GB", "--cluster-option", "walltime=00:10:00",
    )  # fmt: skip
    assert (status, err) == (0, MADE_UP)
    assert "2 runs finished, 0 failed" in out
    script = (slurm / "script").read_text()
    for line in ("-p short", "--cpus-per-task=3", "--mem=2G", "-t 00:10:00"):
        assert f"#SBATCH {line}\n" in script


def test_ctrl_c_still_interrupts_with_slurm():
    """Importing dask_jobqueue lets it end the process; so in a process of its own."""
    pytest.importorskip("dask_jobqueue")
    code = (
        "import signal; from portable_cortex.sweep.pool import slurm_cluster;"
        "signal.signal(signal.SIGINT, signal.default_int_handler); slurm_cluster();"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["memory=2GB", "queue=nowhere"], ["SLURM takes no jobs", "invalid partition"]),
        (["memory=2GB", "queu=short"], ["'queu'", "dask_jobqueue.SLURMCluster"]),
        (["queue=short"], ["memory"]),
    ],
)
def test_slurm_that_takes_no_jobs(slurm, call, options, said):
    given = [part for option in options for part in ("--cluster-option", option)]
    status, _, err = call("sweep", *FAST, "--scale", "0.01", "--cluster", "slurm", *given)
    assert status == 2
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    for part in said:
        assert part in err


def test_no_slurm_here(call, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", "")
    given = ("--cluster", "slurm", "--cluster-option", "memory=2GB")
    status, _, err = call("sweep", *FAST, "--scale", "0.01", *given)
    assert (status, err) == (2, "Error: SLURM's command sbatch is not on this computer\n")


def test_no_scheduler_there():
    pytest.importorskip("distributed")
    pool = DaskPool("tcp://127.0.0.1:9")
    with pytest.raises(SimulationError, match="no Dask scheduler answers"):
        list(pool.run([None]))


def test_a_run_of_a_neuron_whose_file_has_changed_is_not_taken_for_done(tmp_path, checkout):
    catalogue = checkout / "portable_cortex" / "neurons" / "catalogue"
    neuron = tmp_path / "mine.nestml"
    neuron.write_text((catalogue / "lif_curr_exp.nestml").read_text())
    (experiment,) = grid({"seed": [1]}, neuron=str(neuron), scale=0.02, duration=10.0)
    folder, settings = tmp_path / "run", experiment.settings()
    folder.mkdir()
    said = load_model("pd14").said(settings["parameters"])
    (folder / "run.json").write_text(json.dumps({**settings, "statements": said}))
    run = SweepRun(folder, experiment, settings, ())
    assert as_found(run).state == FINISHED
    neuron.write_text((catalogue / "lif_curr_alpha.nestml").read_text())
    with pytest.raises(OutputExistsError, match="files that have been changed since"):
        as_found(run)

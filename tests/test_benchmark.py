"""Backends in turn: order, table, files, and what happens when one fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from portable_cortex import backend_names, load_backend, run
from portable_cortex.errors import (
    InvalidValueError,
    MachineFileError,
    OutputExistsError,
    PowerMeterError,
    UnknownNameError,
)
from portable_cortex.validation.cost import Entry, Plan, benchmark

FAST = {"parameters": {"scale": 0.01}, "warmup": 10.0, "duration": 20.0}
OPTIONS = ("--scale", "0.01", "--warmup", "10", "--duration", "20")


@pytest.fixture
def missing(monkeypatch):
    """A registered backend, `nest`, whose simulator is not installed."""
    monkeypatch.setattr(
        "portable_cortex.backends.nest.NestBackend.module", "no_such_simulator_at_all"
    )


class Told:
    def __init__(self):
        self.phases = []

    def phase(self, name, detail="", fraction=None):
        self.phases.append((name, detail))


# --- plans ---


def test_backends_take_turns():
    order = Plan(("nest", "mock"), repeats=2).order()
    assert [(entry.label, n) for entry, n in order] == [
        ("nest", 0), ("mock", 0), ("nest", 1), ("mock", 1)
    ]  # fmt: skip


def test_scaling_over_threads(call, tmp_path):
    status, out, err = call(
        "benchmark", "--backends", "builtin", "--threads", "1,2", "--model", "brunel2000",
        "--scale", "0.01", "--duration", "50", "--warmup", "0", "--repeats", "1", "-o", "here",
    )  # fmt: skip
    assert (status, err) == (0, "")
    for part in ("builtin, 1 thread", "builtin, 2 threads", "here/scaling.png"):
        assert part in out
    assert (tmp_path / "here" / "scaling.png").read_bytes().startswith(b"\x89PNG")
    runs = json.loads((tmp_path / "here" / "benchmark.json").read_text())["runs"]
    assert [run["threads"] for run in runs] == [1, 2]
    assert [run["run"]["options"]["threads"] for run in runs] == [1, 2]


def test_a_run_is_a_process_that_records_nothing_and_has_a_seed_of_its_own(tmp_path):
    plan = Plan(("mock",), seed=5, parameters={"scale": 0.5, "drive": "dc"})
    first, second = (plan.command(Entry("mock", None), repeat, tmp_path) for repeat in (0, 1))
    assert first[0] == sys.executable
    assert "--no-record" in first
    assert first[first.index("--seed") + 1] == "5"
    assert second[second.index("--seed") + 1] == "6"
    assert {"scale=0.5", 'drive="dc"'} <= set(first)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"threads": (1,)}, InvalidValueError, "'mock' has no option threads"),
        ({"threads": (1, 1)}, InvalidValueError, "different numbers"),
        ({"repeats": 0}, InvalidValueError, "repeats must be 1 or more"),
        ({"backends": ("mokc",)}, UnknownNameError, "'mokc'.*did you mean 'mock'"),
        ({"backends": ("mock", "mock")}, InvalidValueError, "different names"),
        ({"backends": ()}, InvalidValueError, "different names"),
        ({"machine": "laptop"}, UnknownNameError, "'laptop'"),
        ({"machine": "nowhere.toml"}, MachineFileError, r"nowhere\.toml"),
        ({"model": "brunel"}, UnknownNameError, "'brunel'"),
        ({"parameters": {"sclae": 1}}, UnknownNameError, "'sclae'"),
        ({"duration": -1.0}, InvalidValueError, "duration"),
        ({"seed": 0}, InvalidValueError, "seed"),
        ({"seed": 2**32 - 1, "repeats": 2}, InvalidValueError, "seed"),
    ],
)
def test_mistakes_in_a_plan(arguments, error, said):
    with pytest.raises(error, match=said):
        Plan(**{"backends": ("mock",), **arguments})


# --- runs ---


def test_benchmark(tmp_path):
    told = Told()
    found = benchmark(Plan(("mock",), repeats=2, **FAST), tmp_path / "out", reporter=told)
    assert found.failures == ()
    assert [(r.backend, r.repeat) for r in found.results] == [("mock", 0), ("mock", 1)]
    assert [r.metadata["seed"] for r in found.results] == [1, 2]
    assert {r.metadata["n_spikes"] for r in found.results} == {None}  # not recorded
    assert "run 2 of 2: mock" in [name for name, _ in told.phases]
    assert any("real-time factor" in detail for _, detail in told.phases)
    summary = found.summary()
    assert list(summary) == [
        "create (s)", "connect (s)", "prepare (s)", "simulate (s)", "real-time factor",
        "core-seconds per s of model time", "peak memory (GB)",
    ]  # fmt: skip
    factors = sorted(r.cost.real_time_factor for r in found.results)
    entry = summary["real-time factor"]["mock"]
    assert (entry.low, entry.high) == tuple(factors)
    assert entry.median == pytest.approx(sum(factors) / 2)
    assert (entry.ratio, entry.n) == (1.0, 2)
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert content["plan"]["parameters"] == {"scale": 0.01}
    assert len(content["runs"]) == 2
    assert content["runs"][0]["run"]["duration_ms"] == 20.0
    assert content["summary"]["real-time factor"]["mock"]["median"] == entry.median
    assert (tmp_path / "out" / "benchmark.png").stat().st_size > 10_000


def test_ratios_to_the_first_backend(tmp_path):
    if not load_backend("nest").availability().available:
        pytest.skip("NEST is not installed: pip install nest-simulator")
    found = benchmark(Plan(("mock", "nest"), repeats=1, **FAST), tmp_path)
    for by in found.summary().values():
        assert by["mock"].ratio in (1.0, None)
        assert by["nest"].ratio == pytest.approx(by["nest"].median / by["mock"].median)


def test_energy_and_events(tmp_path):
    machine = tmp_path / "metered.toml"
    machine.write_text(
        'description = "x"\n[power]\nmeter = "stated"\nwatts = 100\nscope = "package"\n'
    )
    recorded = run(backend="mock", scale=0.01, warmup=10.0, duration=20.0)
    plan = Plan(("mock",), repeats=1, machine=str(machine), **FAST)
    found = benchmark(plan, tmp_path / "out", events_from=recorded)
    summary = found.summary()
    label = "assumed, package, stated"
    joules = summary[f"energy (J; {label})"]["mock"].median
    per_event = summary[f"energy per synaptic event (µJ; {label})"]["mock"].median
    assert per_event == pytest.approx(1e6 * joules / recorded.metadata["synaptic_events"])
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert "another run" in content["runs"][0]["cost"]["events_from"]


def test_events_of_other_settings_are_refused_before_anything_runs(tmp_path):
    recorded = run(backend="mock", scale=0.01, warmup=10.0, duration=30.0)
    told = Told()
    with pytest.raises(InvalidValueError, match="duration_ms"):
        benchmark(Plan(("mock",), **FAST), tmp_path, events_from=recorded, reporter=told)
    assert told.phases == []


def test_a_meter_that_cannot_be_used_is_refused_before_anything_runs(tmp_path):
    machine = tmp_path / "m.toml"
    machine.write_text(f'description = "x"\n[power]\nmeter = "rapl"\nroot = "{tmp_path}/none"\n')
    told = Told()
    with pytest.raises(PowerMeterError, match="no energy counters"):
        benchmark(Plan(("mock",), machine=str(machine), **FAST), tmp_path, reporter=told)
    assert told.phases == []


def test_a_model_of_ones_own_has_no_place_among_the_published(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def build(sim):\n    return {'A': sim.Population(5, sim.IF_curr_exp())}\n"
    )
    plan = Plan(("mock",), repeats=1, model=str(tmp_path / "mine.py"), warmup=0.0, duration=10.0)
    benchmark(plan, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["benchmark.json"]


def test_modules_in_the_working_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    assert benchmark(Plan(("mock",), repeats=1, **FAST), tmp_path / "out").failures == ()


# --- failures ---


def test_a_missing_backend_is_reported_and_the_others_go_on(missing, tmp_path):
    found = benchmark(Plan(("nest", "mock"), repeats=2, **FAST), tmp_path)
    (failure,) = found.failures  # once, not for each repeat
    assert failure.backend == "nest"
    assert "pip install 'portable-cortex[nest]'" in failure.reason
    assert [r.backend for r in found.results] == ["mock", "mock"]
    assert found.summary()["simulate (s)"]["mock"].ratio is None
    assert json.loads((tmp_path / "benchmark.json").read_text())["failures"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('no luck')", "no luck"),
        ("import os; os.kill(os.getpid(), 9)", r"signal 9.*memory"),
        ("import os; os._exit(3)", "said nothing"),
    ],
)
def test_a_backend_that_fails_is_reported(tmp_path, body, said):
    (tmp_path / "mine.py").write_text(f"def build(sim):\n    {body}\n")
    plan = Plan(("mock",), repeats=2, model=str(tmp_path / "mine.py"), duration=10.0)
    found = benchmark(plan, tmp_path / "out")
    assert found.results == ()
    (failure,) = found.failures
    assert re.search(said, failure.reason)


# --- the command ---


def test_command(call, tmp_path):
    status, out, err = call(
        "benchmark", "--backends", "mock", *OPTIONS, "--repeats", "1", "--out", "here"
    )
    assert (status, err) == (0, "Warning: made-up spikes, no simulation\n")
    for part in ("real-time factor", "peak memory", "here"):
        assert part in out
    assert {p.name for p in (tmp_path / "here").iterdir()} == {"benchmark.json", "benchmark.png"}


def test_command_with_a_missing_backend(call, missing, tmp_path):
    status, out, err = call("benchmark", "--backends", "nest, mock", *OPTIONS, "--repeats", "1")
    assert status == 1
    assert "\nnest (run 1): " in err
    assert "pip install" in err
    assert "real-time factor" in out
    assert (tmp_path / "results" / "benchmark" / "benchmark.json").exists()


def test_an_existing_benchmark_is_kept(call, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "benchmark.json").write_text("{}")
    given = ("benchmark", "--backends", "mock", *OPTIONS, "--repeats", "1", "--out", "here")
    status, out, err = call(*given)
    assert (status, out) == (2, "")
    assert "here already holds a benchmark" in err
    assert "--overwrite" in err
    assert call(*given, "--overwrite")[0] == 0
    with pytest.raises(OutputExistsError):
        benchmark(Plan(("mock",), **FAST), tmp_path / "here")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backends", "mokc"), ["'mokc'", "did you mean 'mock'"]),
        (("--backends", ""), ["backend", "valid are builtin, nest"]),
        (("--backends", "mock,mock"), ["different names"]),
        (("--repeats", "0"), ["repeats"]),
        (("--duration", "0.25"), ["multiple of the time step"]),
        (("--machine", "laptop"), ["'laptop'"]),
        (("--model", "nowhere.py"), ["nowhere.py"]),
        (("--events-from", "nowhere"), ["nowhere holds no run"]),
        (("--out", "taken"), ["taken", "no folder"]),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(call, tmp_path, arguments, said):
    (tmp_path / "taken").write_text("")
    status, out, err = call("benchmark", "--backends", "mock", *OPTIONS, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    for part in said:
        assert part in err
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_python_m(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "portable_cortex", "backends"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for name in backend_names():
        assert name in done.stdout


def test_interruption_keeps_the_runs_that_are_finished(tmp_path, monkeypatch):
    from portable_cortex.validation.cost import benchmarking as module

    original = module._run

    def run(plan, backend, repeat):
        if repeat == 1:
            raise KeyboardInterrupt
        return original(plan, backend, repeat)

    monkeypatch.setattr(module, "_run", run)
    plan = module.Plan(("mock",), repeats=3, parameters={"scale": 0.01}, duration=10.0)
    with pytest.raises(KeyboardInterrupt):
        module.benchmark(plan, tmp_path)
    assert len(json.loads((tmp_path / "benchmark.json").read_text())["runs"]) == 1

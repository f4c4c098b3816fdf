"""Backends side by side: what runs, what is judged, and what becomes of those that cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from portable_cortex import Availability, Experiment, Recording, run
from portable_cortex.backends.nest import NestBackend
from portable_cortex.cli import commands as cli
from portable_cortex.errors import InvalidValueError, UnknownNameError, UnsupportedError
from portable_cortex.recording import by_time
from portable_cortex.validation.pages import scoreboard_page, scoreboard_words
from portable_cortex.validation.pages.deviations import ACROSS, deviations
from portable_cortex.validation.scoreboard import (
    Absent,
    Contestant,
    Scoreboard,
    contestants,
    gathered,
    judge,
    perform,
    plan,
    score,
)
from portable_cortex.validation.verdict import Verdict, examine, freeze

SCRIPT = Path(sys.executable).parent / "portable-cortex"

# A small balanced network; on the mock backend it fails, as a model does that a backend has not.
BALANCED = """
def build(sim, g=6.0, lucky=True):
    if not lucky and sim.__name__.endswith("mock._namespace"):
        raise RuntimeError("no luck on this backend")
    neuron = sim.IF_curr_exp(tau_m=20.0, tau_refrac=2.0, v_reset=-65.0, v_thresh=-50.0)
    e, i = sim.Population(160, neuron, label="E"), sim.Population(40, neuron, label="I")
    for target in (e, i):
        for source, weight, kind in ((e, 0.2, "excitatory"), (i, -0.2 * g, "inhibitory")):
            sim.Projection(source, target, sim.FixedNumberPreConnector(source.size // 10),
                           sim.StaticSynapse(weight=weight, delay=1.5), receptor_type=kind)
        drive = sim.Population(target.size, sim.SpikeSourcePoisson(rate=2200.0))
        sim.Projection(drive, target, sim.OneToOneConnector(),
                       sim.StaticSynapse(weight=0.1, delay=1.5), receptor_type="excitatory")
    return {"E": e, "I": i}
"""
SHORT = ("--duration", "1000", "--warmup", "100")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model of one's own, and a reference of it."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "balanced.py").write_text(BALANCED)
    for seed in range(11, 21):
        run(
            model=folder / "balanced.py",
            seed=seed,
            warmup=100.0,
            duration=1000.0,
            output=folder / "seeds" / str(seed),
        )
    freeze(folder / "seeds").save(folder / "balanced.h5")
    return folder


def command(*arguments, at):
    done = subprocess.run(
        [SCRIPT, "compare", *map(str, arguments)], cwd=at, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done


# --- what runs ---


def test_all_are_those_that_simulate_and_others_say_why_not(monkeypatch):
    missing = Availability(False, None, "pip install 'portable-cortex[nest]'")
    monkeypatch.setattr(NestBackend, "availability", lambda self: missing)
    made = plan(["all"], Experiment(), [1, 2])
    assert "builtin" in {e.backend for e in made.experiments}
    absent = {one.name: one for one in made.absent}
    assert absent["nest"] == Absent("nest", "not installed", missing.install, False)
    assert absent["mock"].state == absent["coarse"].state == absent["spinnaker"].state == "left out"
    assert "made up" in absent["mock"].reason
    assert "--backends spinnaker runs it" in absent["spinnaker"].reason
    named = plan(["builtin", "nest"], Experiment(), [1])
    assert [one.is_fault for one in named.absent] == [True]  # who names it wants its verdict


def test_runs_take_turns_and_the_shared_network_comes_last():
    made = plan(["builtin", "mock"], Experiment(), [3, 4])
    assert [(e.backend, e.seed, e.realisation) for e in made.experiments] == [
        ("builtin", 3, "native"),
        ("mock", 3, "native"),
        ("builtin", 4, "native"),
        ("mock", 4, "native"),
        ("builtin", 3, "shared"),
        ("mock", 3, "shared"),
    ]
    alone = plan(["mock"], Experiment(), [1, 2])
    assert {e.realisation for e in alone.experiments} == {"native"}
    assert len(plan(["builtin", "mock"], Experiment(), [1], shared=False).experiments) == 2
    rates = plan(["mock", "coarse"], Experiment(), [1, 2]).experiments
    assert [e.seed for e in rates if e.backend == "coarse"] == [1]  # the same for any seed


def test_a_machine_says_which_backends_all_are(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'description = "mine"\nbackends = ["builtin", "spinnaker"]\n'
        '[options.spinnaker]\ntarget = "virtual"\n'
    )
    made = plan(["all"], Experiment(machine=path), [1])
    assert {e.backend for e in made.experiments} == {"builtin"}
    reasons = {one.name: one.reason for one in made.absent}
    assert reasons["nest"] == "the machine mine runs builtin, spinnaker"
    assert reasons["spinnaker"].startswith("a virtual machine simulates nothing")
    path.write_text('description = "mine"\nbackends = ["mock"]\n')
    with pytest.raises(UnsupportedError, match="no backend runs here: builtin: left out, the mach"):
        plan(["all"], Experiment(machine=path), [1])


@pytest.mark.parametrize("names", [[], [""], ["nest", "nest"], ["all", "nest"]])
def test_what_are_no_backends(names):
    with pytest.raises(InvalidValueError, match="all, or different names"):
        plan(names, Experiment(), [1])


def test_mistakes_are_told_before_anything_runs(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'nest'"):
        plan(["nestt"], Experiment(), [1])
    with pytest.raises(UnknownNameError, match="unknown parameter"):
        plan(["builtin", "mock"], Experiment(parameters={"nonsense": 1}), [1])
    missing = Availability(False, None, "pip install it")
    monkeypatch.setattr(NestBackend, "availability", lambda self: missing)
    with pytest.raises(UnsupportedError, match="no backend runs here: nest: not installed"):
        plan(["nest"], Experiment(), [1])


def test_a_backend_that_refuses_the_settings_is_a_fault_and_others_go_on():
    made = plan(["builtin", "spinnaker"], Experiment(timestep=0.05), [1])
    assert {e.backend for e in made.experiments} == {"builtin"}
    (absent,) = made.absent
    assert absent.is_fault
    assert "time step" in absent.reason or absent.state == "not installed"


# --- what comes out ---


def test_two_simulators_of_a_model_of_ones_own(place, tmp_path, capfd):
    """The real thing, in small: both agree, and the same command does nothing anew."""
    arguments = (
        "--backends", "builtin,nest", "--model", place / "balanced.py", "--seeds", "1", *SHORT,
        "--against", place / "balanced.h5", "--report", "page.html", "--junit", "junit.xml",
        "--json", "numbers.json", "--summary", "summary.md",
    )  # fmt: skip
    done = command(*arguments, at=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("All 2 agree: builtin and nest agree with ")
    assert max(map(len, done.stdout.partition("\nrate:")[0].splitlines()[1:])) <= 80
    assert "4 runs" in done.stderr  # progress does not mix with the table
    page = (tmp_path / "page.html").read_text("utf-8")
    assert [page.index(f'id="{part}"') for part in ("verdict", "backends", "deviations")] == sorted(
        page.index(f'id="{part}"') for part in ("verdict", "backends", "deviations")
    )
    for part in ("rates", "distributions", "same-network", "cost", "provenance"):
        assert f'id="{part}"' in page
    assert page.count('class="line c1"') == page.count('class="line c2"') >= 2 * 3
    assert "http" not in page  # nothing is loaded
    assert not re.search(r"\bnan\b", page)
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [s.get("name") for s in suites] == ["builtin", "nest"]
    for suite in suites:
        assert int(suite.get("tests")) == len(suite) > 10
        assert suite.get("errors") == "0"
    numbers = json.loads((tmp_path / "numbers.json").read_text("utf-8"))
    assert numbers["exit_status"] == 0
    builtin, nest = numbers["backends"]
    assert builtin["same_network"] is None
    assert nest["same_network"]["beside"] == "builtin"
    correlations = [r["correlation"] for r in nest["same_network"]["pairing"]["rates"]]
    assert all(abs(c) <= 1 for c in correlations)
    assert builtin["cost"]["build_s"] > 0
    assert builtin["validation"]["detectable"]["relative_change"]["rate"] > 0
    summary = (tmp_path / "summary.md").read_text("utf-8")
    assert summary.startswith("### All 2 agree")
    assert len({line.count("|") for line in summary.splitlines() if line.startswith("|")}) == 1

    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("results/compare/*/run.json")}
    assert len(times) == 4
    again = command(*arguments, at=tmp_path)
    assert again.returncode == 0
    assert "4 runs, 4 of them finished already" in again.stderr
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    existing = str(tmp_path / "results" / "compare")
    assert cli.command(["compare", existing, "--against", str(place / "balanced.h5")]) == 0
    assert capfd.readouterr().out.splitlines()[:6] == again.stdout.splitlines()[:6]


def test_another_network_differs_and_says_in_what(place, tmp_path, capfd):
    arguments = ["compare", "--backends", "builtin", "--model", str(place / "balanced.py")]
    arguments += ["--param", "g=3", "--seeds", "1", *SHORT, "--out", str(tmp_path / "runs")]
    status = cli.command([*arguments, "--against", str(place / "balanced.h5")])
    shown = capfd.readouterr().out
    assert status == 1
    assert shown.startswith("1 of 1 differs: builtin differs from ")
    assert "≠ builtin: " in shown
    page = (tmp_path / "runs" / "compare.html").read_text("utf-8")
    assert 'id="differing"' in page
    assert "g is 3" in page  # in the notes


def test_identical_spikes_are_called_so(place):
    """Two names for the same runs."""
    folder = place / "identical"
    if not folder.exists():
        made = run(model=place / "balanced.py", realisation="shared", warmup=100.0, duration=1000.0)
        for name in ("builtin", "twin"):
            replace(made, metadata={**made.metadata, "backend": name}).save(folder / name)
    board = judge(gathered([folder]), (), str(place / "balanced.h5"))
    first, twin = board.rows
    assert first.agreement is None
    assert twin.agreement.beside == "builtin"
    assert twin.agreement.is_identical
    assert scoreboard_words.same_network(twin.agreement) == "identical"
    assert "identical over 1000 ms" in scoreboard_page.render(board)
    assert twin.version == ""  # nobody here knows that backend


@pytest.mark.filterwarnings("ignore:with constant")
def test_a_deterministic_network_is_compared_spike_for_spike(tmp_path):
    made = run(
        n_scale=0.02, k_scale=0.3, drive="dc", realisation="shared", warmup=0.0, duration=300.0
    )
    times, neurons = made.spikes("L4E")
    late = times + np.where(np.arange(times.size) == times.size // 2, 0.1, 0.0)
    moved = {**made.spike_trains, "L4E": by_time(late, neurons)}
    made.save(tmp_path / "builtin")
    other = replace(made, spike_trains=moved, metadata={**made.metadata, "backend": "nest"})
    other.save(tmp_path / "nest")
    board = judge(gathered([tmp_path]))
    agreement = board.rows[1].agreement
    assert agreement.pairing.deterministic
    assert not agreement.is_identical
    at = times[times.size // 2]
    assert scoreboard_words.same_network(agreement) == f"to {at:.6g} ms"
    assert f"equal until {at:g} ms" in scoreboard_page.render(board)
    assert board.verdict is Verdict.UNDECIDED  # there is no reference of this network


def test_a_failing_backend_is_a_row_and_the_others_go_on(place, tmp_path, capfd):
    arguments = ["compare", "--backends", "mock,builtin", "--model", str(place / "balanced.py")]
    arguments += [
        "--param",
        "lucky=false",
        "--seeds",
        "1",
        "--no-shared",
        *SHORT,
        "--out",
        str(tmp_path),
    ]
    arguments += ["--against", str(place / "balanced.h5"), "--junit", str(tmp_path / "j.xml")]
    status = cli.command(arguments)
    shown = capfd.readouterr().out
    assert status == 2
    assert "builtin agrees with" in shown
    assert "mock failed" in shown.splitlines()[0]
    (line,) = [line for line in shown.splitlines() if line.startswith("failed ")]
    assert "no luck on this backend" in line
    assert (tmp_path / re.search(r"is in (\S+)\)", line)[1]).exists()
    assert "no luck on this backend" in (tmp_path / "compare.html").read_text("utf-8")
    suites = {s.get("name"): s for s in ElementTree.parse(tmp_path / "j.xml").getroot()}
    assert "no luck" in suites["mock"].find("*/error").get("message")


def test_one_failed_run_of_several_leaves_a_verdict_and_a_status(place):
    runs = tuple(sorted((place / "seeds").iterdir()))[:2]
    one = Contestant("builtin", runs, (), ("native, seed 3: it ended with status 1",))
    board = judge([one], (), str(place / "balanced.h5"))
    assert board.rows[0].verdict is Verdict.AGREES
    assert board.verdict is Verdict.UNDECIDED
    assert "runs of builtin failed" in scoreboard_words.reason(board)
    assert "and 1 failed" in scoreboard_page.render(board)
    suite = ElementTree.fromstring(scoreboard_words.to_junit(board))[0]
    assert suite.get("errors") == "1"


def test_who_is_not_installed_is_named_with_what_installs_it(place, tmp_path):
    runs = tuple(sorted((place / "seeds").iterdir()))[:1]
    absent = Absent("nest", "not installed", "pip install 'portable-cortex[nest]'", False)
    board = judge([Contestant("builtin", runs)], [absent], str(place / "balanced.h5"))
    assert board.verdict is Verdict.AGREES  # nobody asked for nest by name
    assert "pip install &#39;portable-cortex[nest]&#39;" in scoreboard_page.render(board)
    assert "nest: not installed, pip install" in scoreboard_words.to_markdown(board)
    suite = ElementTree.fromstring(scoreboard_words.to_junit(board))[1]
    assert suite.find("*/skipped") is not None
    named = replace(board, absent=(replace(absent, is_fault=True),))
    assert named.verdict is Verdict.UNDECIDED
    assert "nest is not installed" in scoreboard_words.reason(named)


def test_a_population_that_is_all_but_silent_does_not_scale_the_picture(place):
    runs = tuple(sorted((place / "seeds").iterdir()))[:1]
    (row,) = judge([Contestant("builtin", runs)], (), str(place / "balanced.h5")).rows

    def ends(row):
        picture = deviations(Scoreboard((row,)), "rate")
        assert len(picture.points) == 2
        assert all(0 <= point.x <= ACROSS for point in picture.points)
        return max(float(tick.label) for tick in picture.ticks)

    comparison = row.validation.comparison
    tests = [replace(t, spread=1e-9) if t.population == "I" else t for t in comparison.tests]
    silent = replace(comparison, tests=tuple(tests))
    row_of_silence = replace(row, validation=replace(row.validation, comparison=silent))
    assert ends(row_of_silence) <= 10 * ends(row)


def test_made_up_spikes_prove_nothing(place, tmp_path):
    made = run(backend="mock", model=place / "balanced.py", warmup=100.0, duration=1000.0)
    made.save(tmp_path / "mock")
    (row,) = judge(gathered([tmp_path / "mock"]), (), str(place / "balanced.h5")).rows
    assert row.verdict is Verdict.UNDECIDED
    assert "made-up spikes" in row.validation.comparison.reason
    assert row.validation.comparison.different  # which is not held against it
    assert 'id="differing"' not in scoreboard_page.render(Scoreboard((row,)))


def test_a_run_of_another_version_is_noted(tmp_path):
    settings = Experiment(parameters={"scale": 0.02}, warmup=0.0, duration=200.0)
    made = plan(["mock"], settings, [1])
    (finished,) = perform(made, tmp_path).runs
    path = finished.folder / "run.json"
    text = path.read_text("utf-8")
    path.write_text(re.sub(r'("numpy": )"[^"]*"', r'\1"0.1"', text), "utf-8")
    ((one,), _) = contestants(perform(made, tmp_path))
    assert re.search(r"numpy 0.1, and \S+ is installed: --overwrite runs it again", one.remarks[0])


def test_existing_runs_keep_their_settings(place, capfd):
    folder = str(place / "seeds")
    with pytest.raises(InvalidValueError, match="--seeds, --scale cannot change them"):
        cli.command(["compare", folder, "--seeds", "2", "--scale", "1"])
    assert cli.command(["compare", "nowhere"]) == 2
    assert "nowhere holds no run" in capfd.readouterr().out


def test_a_reference_that_is_none_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown reference 'nowhere'"):
        cli.command(["compare", "--backends", "mock", "--against", "nowhere"])
    assert not list(tmp_path.iterdir())


def test_names_are_no_markup(place):
    name = "<b>|[red]"
    runs = tuple(sorted((place / "seeds").iterdir()))[:1]
    absent = Absent(name, "failed", name, True)
    board = judge([Contestant(name, runs)], [absent], str(place / "balanced.h5"))
    assert name not in scoreboard_page.render(board)
    assert name not in scoreboard_words.to_markdown(board)
    assert ElementTree.fromstring(scoreboard_words.to_junit(board))[0].get("name") == name


def test_energy_has_its_label_and_full_scale_a_place(place):
    path = sorted((place / "seeds").iterdir())[0]
    made = Recording.load(path)
    energy = [{"joules": 3.0, "kind": "modelled", "scope": "package", "source": "tdp", "note": ""}]
    about = {**made.metadata, "energy": energy, "synaptic_events": 1_000_000}
    row = score(Contestant("builtin", (path,)), [about], examine(path))
    assert scoreboard_words.energy(row) == "3.00 modelled"
    assert "3.00 µJ" in scoreboard_page.render(Scoreboard((row,)))
    assert "modelled, package, tdp" in scoreboard_page.render(Scoreboard((row,)))
    assert scoreboard_words.place(row) == ""  # of a model of one's own
    full = {**about, "model": "pd14", "parameters": {"scale": 1.0}, "real_time_factor": 1.0}
    full["phases_s"] = {**full["phases_s"], "simulate": 1e-3 * full["duration_ms"]}
    row = score(Contestant("builtin", (path,)), [full], examine(path))
    assert re.fullmatch(r"faster than \d+ of \d+ published runs", scoreboard_words.place(row))
    assert 'class="mark user hollow"' not in scoreboard_page.render(Scoreboard((row,)))


def test_times_on_a_busy_computer_are_doubted(place):
    path = sorted((place / "seeds").iterdir())[0]
    made = Recording.load(path).metadata
    seconds = made["phases_s"]["simulate"]
    about = {**made, "options": {"threads": 1}, "cpu_s": {**made["cpu_s"], "simulate": seconds / 2}}
    row = score(Contestant("builtin", (path,)), [about, about], examine(path))
    ((names, text),) = [n for n in scoreboard_words.notes(Scoreboard((row,))) if "busy" in n[1]]
    assert names == "builtin"
    assert text.endswith("wall-clock times say little, core-seconds hold")
    assert len(row.spending.doubts) == 2
    assert "on average 0.5 of 1 threads had a core" in row.spending.doubts[0]
    about["cpu_s"]["simulate"] = seconds
    row = score(Contestant("builtin", (path,)), [about], examine(path))
    assert row.spending.doubts == ()


# --- interrupted ---


def test_the_same_command_goes_on(place, tmp_path):
    (tmp_path / "slow.py").write_text(
        BALANCED.replace("    neuron =", "    import time; time.sleep(1.5)\n    neuron =", 1)
    )
    arguments = [
        SCRIPT, "compare", "--backends", "mock", "--model", "slow.py", "--seeds", "2", *SHORT,
    ]  # fmt: skip
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60.0
        while not list(tmp_path.glob("results/compare/*/run.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"[01] of 2 runs are finished; the same command goes on", said)
    assert not (tmp_path / "results/compare/compare.html").exists()
    again = command(*arguments[2:], at=tmp_path)
    assert again.returncode == 2  # made-up spikes, and no reference
    assert re.search(r"2 runs, 1 of them finished already", again.stderr)
    assert (tmp_path / "results/compare/compare.html").exists()
    shutil.rmtree(tmp_path / "results")

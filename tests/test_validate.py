"""``portable-cortex validate``: the three verdicts, what is printed, what is written."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from recordings import as_simulated

from portable_cortex import Experiment, Recording, Spikes
from portable_cortex.cli import commands as cli
from portable_cortex.errors import InvalidValueError, OutputError, UnknownNameError
from portable_cortex.validation.activity import STATISTICS, Activity, measure
from portable_cortex.validation.verdict import (
    Reference,
    Verdict,
    clean,
    examine,
    fitting_reference,
    freeze,
    freezing,
    load_reference,
    number,
    percent,
    power,
    reference_names,
    validate,
)
from portable_cortex.validation.verdict import examination as module
from portable_cortex.validation.verdict.pairwise import compare_recordings, first_difference, pair
from portable_cortex.validation.verdict.significance import RESERVE

AGREES, DIFFERS, UNDECIDED = Verdict.AGREES, Verdict.DIFFERS, Verdict.UNDECIDED


def thinned(recording, fraction, labels=None):
    """A recording without this fraction of its spikes."""
    rng = np.random.default_rng(1)
    trains = {}
    for label, (times, neurons) in recording.spike_trains.items():
        lost = fraction if labels is None or label in labels else 0.0
        keep = rng.random(times.size) >= lost
        trains[label] = Spikes(times[keep], neurons[keep])
    return dataclasses.replace(recording, spike_trains=trains)


@pytest.fixture
def reference(mock_reference):
    return Reference.load(mock_reference)


@pytest.fixture
def honest(mock_run):
    return Recording.load(mock_run)


@pytest.fixture
def different(honest, tmp_path):
    return thinned(honest, 0.2).save(tmp_path / "different")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run ``portable-cortex validate`` in an empty folder; gives status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.showwarning", lambda *args, **kwargs: None)

    def call(*arguments):
        command = ["portable-cortex", "validate", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


# --- verdicts ---------------------------------------------------------------------------------


def test_an_honest_run_agrees(mock_run, mock_reference):
    comparison = validate(mock_run, mock_reference)
    assert comparison.verdict is AGREES
    assert len(comparison.tests) > 60
    assert comparison.duration == 2000
    assert comparison.different == ()


def test_lost_spikes_differ_and_the_rate_says_so(different, mock_reference):
    comparison = validate(different, mock_reference)
    assert comparison.verdict is DIFFERS
    rates = [t for t in comparison.different if (t.statistic, t.kind) == ("rate", "mean")]
    assert len(rates) >= 3
    assert all(t.value / t.expected == pytest.approx(0.8, abs=0.06) for t in rates)


def test_one_population_that_differs_is_named(honest, tmp_path, mock_reference):
    folder = thinned(honest, 0.5, {"L4E"}).save(tmp_path / "one")
    comparison = validate(folder, mock_reference)
    assert {test.population for test in comparison.different} == {"L4E"}


def test_the_fitting_reference_is_found(mock_run, reference, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "fitting_reference", lambda m: asked.append(m) or reference)
    assert validate(mock_run).verdict is AGREES
    assert asked[0]["parameters"]["scale"] == 0.02


def test_no_reference_fits(mock_run, monkeypatch):
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: None)
    comparison = validate(mock_run)
    assert comparison.verdict is UNDECIDED
    for part in ("no reference fits pd14", "scale 0.02", "drive poisson", "--against"):
        assert part in comparison.reason


def test_too_short(honest, tmp_path, mock_reference):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=400.0)
    comparison = validate(recording.save(tmp_path / "short"), mock_reference)
    assert comparison.verdict is UNDECIDED
    assert "too short: 400 ms" in comparison.reason
    assert "1000 ms or more" in comparison.reason


@pytest.mark.parametrize("duration", [0.1, 1.0, 20.0, 99.0, 100.0])
def test_very_short(tmp_path, mock_reference, duration):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=duration)
    assert validate(recording.save(tmp_path / "short"), mock_reference).verdict is UNDECIDED


def test_the_longest_duration_that_is_covered(tmp_path, mock_reference):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=1500.0, seed=4)
    validation = examine(recording.save(tmp_path / "middle"), mock_reference)
    assert validation.comparison.verdict is AGREES
    assert validation.comparison.duration == 1000
    assert "the first 1000 ms" in " ".join(validation.notes)


def test_another_scale(tmp_path, mock_reference):
    recording = as_simulated(scale=0.01, warmup=0.0, duration=1000.0)
    comparison = validate(recording.save(tmp_path / "small"), mock_reference)
    assert comparison.verdict is UNDECIDED
    assert "numbers of neurons" in comparison.reason


def test_other_conditions_are_noted(honest, tmp_path, mock_reference):
    parameters = {**honest.metadata["parameters"], "drive": "dc"}
    metadata = {**honest.metadata, "parameters": parameters}
    folder = dataclasses.replace(honest, metadata=metadata).save(tmp_path / "dc")
    notes = examine(folder, mock_reference).notes
    assert notes == ("drive is dc, and poisson in the reference",)


def test_spikes_that_were_not_recorded(tmp_path, honest, mock_reference):
    none = as_simulated(scale=0.02, warmup=0.0, duration=1000.0, record_spikes=False)
    comparison = validate(none.save(tmp_path / "none"), mock_reference)
    assert comparison.verdict is UNDECIDED
    assert f"the spikes of {tmp_path / 'none'} were not recorded" in comparison.reason
    assert "without --no-record" in comparison.reason
    trains = {p: s for p, s in honest.spike_trains.items() if p != "L5I"}
    some = dataclasses.replace(honest, spike_trains=trains).save(tmp_path / "some")
    comparison = validate(some, mock_reference)
    assert comparison.verdict is UNDECIDED
    assert f"{some} has no spikes of L5I" in comparison.reason


def test_what_is_too_short_is_said(tmp_path, honest):
    """And not that the spikes of nobody were not recorded."""
    brief = Reference.of("brief", {}, {50.0: [measure(honest, 50.0)] * 5})
    brief.save(tmp_path / "brief.h5")
    comparison = validate(honest.save(tmp_path / "run"), tmp_path / "brief.h5")
    assert comparison.verdict is UNDECIDED
    assert comparison.reason == (
        "the reference brief has 50 ms for runs of 2000 ms, too short for any statistic: "
        "take one of 100 ms or more"
    )


def test_no_runs_at_all():
    with pytest.raises(InvalidValueError, match="one run or more"):
        validate([])


def test_silence_differs(honest, tmp_path, mock_reference):
    silent = thinned(honest, 1.0).save(tmp_path / "silent")
    assert validate(silent, mock_reference).verdict is DIFFERS


# --- what cannot be read ----------------------------------------------------------------------


def without_spikes_file(folder):
    (folder / "spikes.h5").unlink()


def cut_spikes_file(folder):
    path = folder / "spikes.h5"
    path.write_bytes(path.read_bytes()[:1000])


def no_json(folder):
    (folder / "run.json").write_text('{"backend": ')


def edited(**changes):
    def damage(folder):
        path = folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def spikes(name, change):
    def damage(folder):
        with h5py.File(folder / "spikes.h5", "a") as file:
            group = file["spikes/L4E"]
            values = change(group[name][:])
            del group[name]
            group[name] = values

    return damage


DAMAGES = {
    "no spikes file": without_spikes_file,
    "half a spikes file": cut_spikes_file,
    "half a run.json": no_json,
    "a list": lambda folder: (folder / "run.json").write_text("[1, 2]"),
    "endless": edited(duration_ms=math.inf),
    "no time": edited(duration_ms=0.0),
    "no number": edited(warmup_ms=math.nan),
    "no neurons": edited(populations={"L4E": 0}),
    "infinite neurons": edited(populations={"L4E": math.inf}),
    "too many neurons": edited(populations={"L4E": 10**15}),
    "fewer neurons": edited(populations={"L4E": 5}),
    "negative neurons": spikes("node_ids", lambda n: np.full(n.size, -1, dtype=np.int64)),
    "times of nothing": spikes("timestamps", lambda t: np.full(t.size, np.nan)),
    "times too late": spikes("timestamps", lambda t: t + 1000.0),
    "times too few": spikes("timestamps", lambda t: t[:-1]),
}


# --- several runs -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Five honest runs of the mock backend in one folder."""
    folder = tmp_path_factory.mktemp("several")
    for seed in range(31, 36):
        recording = as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=seed)
        recording.save(folder / f"seed{seed}")
    return folder


def test_several_honest_runs_agree_and_say_more(several, mock_run, mock_reference):
    together = examine(several, mock_reference)
    assert together.comparison.verdict is AGREES
    assert len(together.folders) == 5
    assert "5 runs" in together.name
    alone, five = (power(examine(f, mock_reference).comparison) for f in (mock_run, several))
    assert all(five[statistic] < 0.75 * alone[statistic] for statistic in alone)


def test_several_runs_show_what_one_does_not(several, mock_reference, tmp_path):
    """Each of the runs lost so few spikes that it agrees."""
    folders = [
        thinned(Recording.load(folder), 0.05).save(tmp_path / folder.name)
        for folder in sorted(several.iterdir())
    ]
    assert [validate(f, mock_reference).verdict for f in folders].count(AGREES) >= 4
    assert validate(folders, mock_reference).verdict is DIFFERS


def test_runs_that_do_not_belong_together(several, honest, mock_reference, tmp_path):
    first, second, *_ = sorted(several.iterdir())
    copy = Recording.load(first).save(tmp_path / "copy")
    same = validate([first, copy], mock_reference)
    assert (same.verdict, "same seed" in same.reason) == (UNDECIDED, True)
    other = dataclasses.replace(
        honest, metadata={**honest.metadata, "parameters": {"scale": 0.02, "drive": "dc"}}
    ).save(tmp_path / "other")
    mixed = validate([first, other], mock_reference)
    assert mixed.verdict is UNDECIDED
    assert "drive" in mixed.reason
    missing = validate([first, tmp_path / "nothing"], mock_reference)
    assert (missing.verdict, "nothing holds no run" in missing.reason) == (UNDECIDED, True)
    single = validate([first, second], tmp_path / "copy")
    assert (single.verdict, "is one run" in single.reason) == (UNDECIDED, True)


def test_a_folder_of_runs_is_a_reference(several, honest, mock_run, tmp_path):
    different = thinned(honest, 0.5).save(tmp_path / "different")  # five seeds see no fifth
    agrees, differs = (examine(f, several) for f in (mock_run, different))
    assert agrees.comparison.verdict is AGREES
    assert differs.comparison.verdict is DIFFERS
    assert agrees.reference.provenance["seeds"] == [31, 32, 33, 34, 35]
    (tmp_path / "few").mkdir()
    for seed in (31, 32):
        shutil.copytree(several / f"seed{seed}", tmp_path / "few" / f"seed{seed}")
    few = validate(mock_run, tmp_path / "few")
    assert (few.verdict, "2 seeds" in few.reason) == (UNDECIDED, True)
    (tmp_path / "empty").mkdir()
    empty = validate(mock_run, tmp_path / "empty")
    assert (empty.verdict, "empty holds no run" in empty.reason) == (UNDECIDED, True)


def test_runs_are_frozen_into_a_reference(several, mock_run, tmp_path):
    """A file without spikes says what the folder says; and what it cannot be made of."""
    from_cli = tmp_path / "made" / "for it" / "mine.h5"
    assert run_cli("reference", several, "--out", from_cli) == 0
    assert from_cli.stat().st_size < 150_000
    frozen = Reference.load(from_cli)
    assert frozen.durations == (2000.0,)
    assert frozen.provenance["seeds"] == [31, 32, 33, 34, 35]
    ours, folders = (examine(mock_run, against).comparison for against in (from_cli, several))
    assert ours.verdict is AGREES
    expected = {(t.population, t.statistic, t.kind): t.p for t in folders.tests}
    found = {(t.population, t.statistic, t.kind): t.p for t in ours.tests}
    assert found == pytest.approx(expected, rel=1e-3, nan_ok=True)  # float32 in the file
    shorter = freeze(several, [500.0, 1000.0])
    assert shorter.durations == (500.0, 1000.0)
    for given, said in (
        ((several, [3000.0]), "no reference over 3000 ms: its shortest run lasts 2000 ms"),
        ((sorted(several.iterdir())[:3], ()), "needs 5 runs or more, better 10"),
        (([*several.iterdir(), *several.iterdir()], ()), "same seed"),
        ((tmp_path / "nothing", ()), "holds no run"),
    ):
        with pytest.raises(OutputError, match=said):
            freeze(*given)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "mine.txt"], "a reference is an .h5 file"),
        (["--out", "there.h5"], "there.h5 exists already; --overwrite"),
        (["--out", "mine.h5", "--duration", "1e9"], "no reference over 1e+09 ms"),
        (["--out", "mine.h5", "--duration", "5"], "too short for any statistic"),
        (["--out", "mine.h5", "--duration", "nan"], "durations are numbers above 0 (ms), not nan"),
        (["--out", "there.h5/mine.h5"], "the reference could not be written to there.h5/mine.h5"),
    ],
)
def test_what_no_reference_can_be_made_of_is_said(several, tmp_path, monkeypatch, capsys,
                                                  arguments, said):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("there.h5").touch()
    assert run_cli("reference", several, *arguments) != 0
    shown = capsys.readouterr().err.replace("\n", " ")
    assert said in shown
    assert not Path("mine.h5").exists()


def run_cli(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["portable-cortex", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stopped:
            return stopped.code or 0
    return 0


def test_a_summary_in_markdown(call, honest, mock_reference, tmp_path):
    folder = thinned(honest, 0.5).save(tmp_path / "half_of|it")
    status, _, _ = call(folder, "--against", mock_reference, "--summary", "summary.md")
    assert status == 1
    lines = Path("summary.md").read_text("utf-8").splitlines()
    assert lines[0].endswith("half\\_of\\|it: differs")
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[0] == "| population | statistic | run | reference | change | p |"
    assert any("| mean rate |" in row and "-5" in row for row in rows)
    # a cell's own bars are masked, so that each row has six
    assert {row.replace("\\|", "").count("|") for row in rows} == {7}
    assert any("A change of the mean would have been found" in line for line in lines)


def test_few_seeds_are_said_to_be_few(call, several, mock_run, mock_reference):
    status, out, _ = call(mock_run, "--against", several, "--json", "a.json", "--report", "a.html")
    assert status == 0
    for text in (out, Path("a.html").read_text("utf-8")):
        assert "Of the 5 seeds of the reference, none would be called different" in text
        assert "Use 10 or more" in text
    found = json.loads(Path("a.json").read_text())
    assert found["self_check"] == {"seeds": 5, "different": 0}
    assert (found["family_wise_error"], found["confidence"]) == (0.01, 0.95)
    assert {test["kind"] for test in found["tests"]} == {"mean"}
    _, out, _ = call(mock_run, "--against", mock_reference)
    assert "Of the 12 seeds of the reference, none would be called different" in out
    assert "or more" not in out


def test_several_runs_on_the_command_line(call, several, mock_reference):
    status, out, _ = call(several, "--against", mock_reference, "--report", "page.html")
    assert status == 0
    assert "Agrees: none of" in out
    assert "5 runs" in Path("page.html").read_text("utf-8")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_run(mock_run, mock_reference, tmp_path, damage):
    folder = shutil.copytree(mock_run, tmp_path / "damaged")
    damage(folder)
    comparison = validate(folder, mock_reference)
    assert comparison.verdict is UNDECIDED
    assert str(folder) in comparison.reason


@pytest.mark.parametrize("value", [None, 3, "text", [1], {"scale": {"a": 1}}])
@pytest.mark.parametrize(
    "key",
    "model parameters phases_s cpu_s options processes energy versions computer published_rates "
    "peak_memory_bytes real_time_factor seed synaptic_events realisation timestep_ms".split(),
)
def test_odd_metadata_is_no_obstacle(mock_run, mock_reference, tmp_path, monkeypatch, key, value):
    from portable_cortex.validation.pages import export, report, terminal

    folder = shutil.copytree(mock_run, tmp_path / "odd")
    edited(**{key: value})(folder)
    fast = Activity({}, Recording.load(folder).n_neurons, 2000.0)
    monkeypatch.setattr(freezing, "measure", lambda *args: fast)
    monkeypatch.setattr(module, "compare", lambda *args: module._undecided("fast", ""))
    validation = examine(folder, mock_reference)
    report.render(validation)
    export.to_json(validation)
    terminal.show(validation, cli.out)
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: None)
    assert "no reference" in validate(folder).reason
    examine(folder, folder)


def test_a_missing_run(tmp_path, mock_reference):
    comparison = validate(tmp_path / "nowhere", mock_reference)
    assert comparison.verdict is UNDECIDED
    assert "holds no run" in comparison.reason


def test_what_against_cannot_be(mock_run, tmp_path):
    with pytest.raises(UnknownNameError, match="reference 'pd15'"):
        validate(mock_run, "pd15")
    (tmp_path / "broken.h5").write_text("no")
    with pytest.raises(OutputError, match=r"broken\.h5"):
        validate(mock_run, tmp_path / "broken.h5")


# --- two recordings ---------------------------------------------------------------------------


@pytest.fixture
def calibrated(reference, monkeypatch):
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: reference)


@pytest.fixture
def second(tmp_path):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=4)
    return recording.save(tmp_path / "second")


@pytest.mark.usefixtures("calibrated")
def test_two_honest_runs_agree(mock_run, second):
    validation = examine(mock_run, second)
    assert validation.comparison.verdict is AGREES
    assert validation.comparison.reference == str(second)
    assert len(validation.comparison.tests) > 60
    assert validation.pairing is None


@pytest.mark.usefixtures("calibrated")
def test_two_runs_differ(different, second):
    comparison = validate(different, second)
    assert comparison.verdict is DIFFERS
    rate = next(t for t in comparison.different if t.statistic == "rate" and t.kind == "mean")
    assert rate.value / rate.expected == pytest.approx(0.8, abs=0.06)
    assert rate.detectable > 0
    # the order of the two is that of the sentence
    other_way = validate(second, different)
    assert {(t.population, t.statistic, t.kind) for t in comparison.different} == {
        (t.population, t.statistic, t.kind) for t in other_way.different
    }


def made_up(rng, n=400):
    """Activity whose rates have a mean that varies between seeds."""
    mean = 5.0 + 0.2 * rng.standard_normal()
    samples = {("A", "rate"): mean + rng.standard_normal(n), ("A", "synchrony"): np.array([mean])}
    return Activity(samples, {"A": n}, 1000.0)


def test_false_alarms_of_two_runs_are_as_rare_as_promised():
    rng = np.random.default_rng(5)
    verdicts = []
    for _ in range(300):
        seeds = [made_up(rng) for _ in range(6)]
        reference = Reference.of("made-up", {}, {1000.0: seeds})
        verdicts.append(compare_recordings(made_up(rng), made_up(rng), reference).verdict)
    assert verdicts.count(DIFFERS) <= 4  # 0.6 are expected, at most
    assert UNDECIDED not in verdicts


def test_power_of_two_runs_is_as_stated():
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(200):
        seeds = [made_up(rng) for _ in range(10)]
        reference = Reference.of("made-up", {}, {1000.0: seeds})
        a, b = made_up(rng), made_up(rng)
        tests = compare_recordings(a, b, reference).tests
        (test, *_) = tests
        samples = {key: sample + test.detectable for key, sample in a.samples.items()}
        shifted = dataclasses.replace(a, samples=samples)
        (test, *_) = compare_recordings(shifted, b, reference).tests
        found += test.p < 0.01 / RESERVE / len(tests)
    # the spread is estimated from ten seeds each time, and scatters
    assert 0.6 < found / 200 < 0.95


def test_identical_spikes_are_said_to_be(mock_run, honest, tmp_path, monkeypatch, call):
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: None)
    copy = honest.save(tmp_path / "copy")
    status, out, _ = call(mock_run, "--against", copy)
    assert status == 0
    assert out.startswith("Agrees: the spikes are identical to those of")
    trains = dict(honest.spike_trains)
    times, neurons = trains["L6I"]
    trains["L6I"] = Spikes(times[:-1], neurons[:-1])
    other = dataclasses.replace(honest, spike_trains=trains).save(tmp_path / "other")
    assert validate(mock_run, other).verdict is UNDECIDED
    silent = dataclasses.replace(
        honest, spike_trains={p: Spikes(t[:0], n[:0]) for p, (t, n) in trains.items()}
    ).save(tmp_path / "silent")
    assert validate(silent, silent).verdict is UNDECIDED


def test_without_a_reference_there_are_distances_only(mock_run, second, monkeypatch, call):
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: None)
    comparison = validate(mock_run, second)
    assert comparison.verdict is UNDECIDED
    assert "distances only" in comparison.reason
    assert "portable-cortex sweep --seeds 1-10" in comparison.reason
    assert all(math.isnan(test.p) and not test.differs for test in comparison.tests)
    assert max(t.value for t in comparison.tests if t.kind == "distribution") > 0
    status, out, _ = call(mock_run, "--against", second, "--json", "a.json", "--junit", "a.xml")
    assert status == 2
    assert "KS distances between the two" in out
    assert json.loads(Path("a.json").read_text())["tests"][0]["p"] is None
    suite = ElementTree.parse("a.xml").getroot()
    assert int(suite.get("skipped")) == len(suite.findall(".//skipped")) == len(comparison.tests)


@pytest.mark.usefixtures("calibrated")
def test_two_runs_of_other_sizes_or_missing(mock_run, tmp_path):
    small = as_simulated(scale=0.01, warmup=0.0, duration=2000.0)
    comparison = validate(mock_run, small.save(tmp_path / "small"))
    assert comparison.verdict is UNDECIDED
    assert "1544 and" in comparison.reason
    (tmp_path / "empty").mkdir()
    comparison = validate(mock_run, tmp_path / "empty")
    assert comparison.verdict is UNDECIDED
    assert "holds no run" in comparison.reason


def shared(seed=3, **parameters):
    return as_simulated(
        model="brunel2000", scale=0.01, warmup=0.0, duration=500.0, seed=seed,
        realisation="shared", **parameters,
    )  # fmt: skip


def with_drive(recording, drive):
    parameters = {**recording.metadata["parameters"], "drive": drive}
    return dataclasses.replace(recording, metadata={**recording.metadata, "parameters": parameters})


def test_the_same_network_neuron_by_neuron():
    recording = shared()
    lost = thinned(recording, 0.2, {"E"})
    found = pair(lost, recording)
    excitatory, inhibitory = found.rates
    rate = recording.rates()["E"]
    assert excitatory.bias == pytest.approx(lost.rates()["E"] - rate)
    assert 0.7 < excitatory.correlation < 1
    assert (inhibitory.bias, inhibitory.correlation) == (0, pytest.approx(1))
    assert (found.deterministic, found.first_difference) == (False, None)


def test_other_networks_are_not_paired():
    assert pair(shared(), shared(seed=4)) is None
    assert pair(shared(), shared(g=4.0)) is None
    assert pair(shared(), shared(options={"weights": "bfloat16"})) is None
    native = dataclasses.replace(shared(), metadata={**shared().metadata, "realisation": "native"})
    assert pair(native, native) is None


def test_the_first_spike_that_differs():
    recording = with_drive(shared(), "dc")
    assert pair(recording, recording).first_difference is None
    assert pair(recording, recording).deterministic
    times, neurons = recording.spikes("I")
    at = times.size // 2
    later = Spikes(np.delete(times, at), np.delete(neurons, at))
    trains = {**recording.spike_trains, "I": later}
    other = dataclasses.replace(recording, spike_trains=trains)
    assert pair(recording, other).first_difference == pytest.approx(times[at])


def test_order_within_a_time_step_and_rounding_do_not_matter():
    a = Spikes(np.array([1.0, 1.0, 2.0]), np.array([3, 1, 2]))
    b = Spikes(np.array([1.0, 1.0 + 1e-9, 2.0]), np.array([1, 3, 2]))
    assert first_difference(a, b, 0.1) is None
    nothing = Spikes(np.empty(0), np.empty(0, dtype=np.int64))
    assert first_difference(a, nothing, 0.1) == 1.0
    assert first_difference(nothing, nothing, 0.1) is None


# --- on the command line ----------------------------------------------------------------------


def test_agreement_on_the_command_line(call, mock_run, mock_reference):
    status, out, err = call(mock_run, "--against", mock_reference)
    assert (status, err) == (0, "")
    assert out.startswith("Agrees: none of")
    assert "\x1b" not in out
    activity = measure(Recording.load(mock_run), 2000.0)
    for label in activity.n_neurons:
        row = next(line for line in out.splitlines() if f" {label} " in line)
        for statistic in STATISTICS:
            assert number(float(activity.samples[label, statistic].mean())) in row
    assert "would have been found" in out
    for part in power(validate(mock_run, mock_reference)).values():
        assert percent(part) in out


def test_difference_on_the_command_line(call, different, mock_reference):
    status, out, err = call(different, "--against", mock_reference)
    assert (status, err) == (1, "")
    comparison = validate(different, mock_reference)
    assert out.startswith(f"Differs: {comparison.reason}")
    lines = [line for line in out.splitlines() if line.startswith("≠")]
    assert len(lines) == len(comparison.different)
    assert "mean firing rate" in lines[0]


@pytest.mark.parametrize("name", ["nowhere", "no[bold]where"])
def test_no_verdict_on_the_command_line(call, name):
    status, out, err = call(name)
    assert (status, err) == (2, "")
    assert out == f"Could not tell: {name} holds no run: there is no run.json in it.\n"


def test_mistakes_on_the_command_line(call, mock_run):
    status, out, err = call(mock_run, "--against", "pd15")
    assert (status, out) == (2, "")
    assert err.startswith("Error: unknown reference 'pd15'")
    status, _, err = call(mock_run, "--against", mock_run, "--json", "/proc/none/a.json")
    assert status == 2
    assert "could not be written to /proc/none/a.json" in err


def test_json(call, different, mock_reference):
    status, _, _ = call(different, "--against", mock_reference, "--json", "new/a.json")
    found = json.loads(Path("new/a.json").read_text())
    comparison = validate(different, mock_reference)
    assert (found["verdict"], found["exit_status"], status) == ("differs", 1, 1)
    assert len(found["tests"]) == len(comparison.tests)
    assert sum(test["differs"] for test in found["tests"]) == len(comparison.different)
    assert found["detectable"]["relative_change"].keys() == {"rate", "cv", "cc"}
    assert found["run"]["backend"] == "mock"
    assert found["reference"]["made"] == "by the tests"
    assert found["means"]["L4E"]["rate"] == pytest.approx(4, abs=0.3)
    _, out, err = call(different, "--against", mock_reference, "--json", "-")
    assert json.loads(out) == found  # and nothing else
    assert "Differs" in err
    assert not Path("-").exists()


def test_junit(call, different, mock_run, mock_reference):
    call(different, "--against", mock_reference, "--junit", "a.xml")
    comparison = validate(different, mock_reference)
    suite = ElementTree.parse("a.xml").getroot()
    assert suite.tag == "testsuite"
    assert int(suite.get("tests")) == len(suite.findall("testcase")) == len(comparison.tests)
    failures = suite.findall("testcase/failure")
    assert int(suite.get("failures")) == len(failures) == len(comparison.different) > 0
    assert any("mean firing rate" in failure.get("message") for failure in failures)
    names = [(case.get("classname"), case.get("name")) for case in suite]
    assert len(set(names)) == len(names)
    assert ("validate.L4E", "rate mean") in names

    call(mock_run, "--against", mock_reference, "--junit", "b.xml")
    suite = ElementTree.parse("b.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")

    call("nowhere", "--junit", "c.xml")
    suite = ElementTree.parse("c.xml").getroot()
    assert (suite.get("errors"), suite.get("tests")) == ("1", "1")
    assert "holds no run" in suite.find("testcase/error").get("message")


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (9.996, "10.00"), (1e-7, "1.00e-07"), (-3.14159, "-3.14"), (math.inf, "–")],
)
def test_numbers(value, shown):
    assert number(value) == shown


def test_clean_keeps_what_can_be_read():
    assert clean("Größe ≠ 3 µJ\n") == "Größe ≠ 3 µJ\n"
    assert clean("\x00\x1b[2J\ud800") == r"\x00\x1b[2J\ud800"


@pytest.mark.parametrize("name", [n for n in reference_names() if n.startswith("pd14")])
def test_a_run_as_a_reference_was_made_finds_it(name):
    """However many parameters the model has got since."""
    wanted = dict(load_reference(name).provenance["conditions"])
    given = {k: wanted[k] for k in ("n_scale", "k_scale", "drive")}
    settings = Experiment(model="pd14", backend="mock", parameters=given).settings()
    found = fitting_reference(settings)
    assert found is not None
    own = found.provenance["conditions"]  # of this reference, or one with more seeds
    both = own.keys() & wanted.keys()
    assert both >= {"n_scale", "k_scale", "drive"}
    assert {k: own[k] for k in both} == {k: wanted[k] for k in both}
    for change in ({"neuron": "eif_curr_exp"}, {"drive": "sines"}, {"what_comes": 1}):
        other = {**settings, "parameters": {**settings["parameters"], **change}}
        assert fitting_reference(other) is None
    fewer = {k: v for k, v in settings["parameters"].items() if k != "drive"}
    assert fitting_reference({**settings, "parameters": fewer}) is None


@pytest.mark.parametrize(
    ("model", "change"),
    [("interneurons", {"synapses": "static"}), ("schwalger2017", {"scale": 0.2})],
)
def test_other_models_find_theirs(model, change):
    settings = Experiment(model=model).settings()
    found = fitting_reference(settings)
    assert found is not None
    assert found.name.startswith(model)
    assert len(found.provenance["seeds"]) == 30
    other = {**settings, "parameters": {**settings["parameters"], **change}}
    assert fitting_reference(other) is None

"""What a change of the model does: ensembles of runs, judged against the unchanged model."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from portable_cortex import Spikes, calibration, run
from portable_cortex.calibration import calibrate
from portable_cortex.errors import InvalidValueError, SimulationError
from portable_cortex.models.loader import load_model
from portable_cortex.models.pd14 import MEAN_POTENTIALS
from portable_cortex.pynn.description import describe
from portable_cortex.validation.impact import MEASURES, UNCHANGED, Plan, Variant, assess, measures
from portable_cortex.validation.pages.impact_page import render
from portable_cortex.validation.pages.impact_words import markdown, sentences, to_dict
from portable_cortex.validation.verdict import Verdict

MEASURED = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
MOCK = {"backend": "mock", "parameters": {"scale": 0.02}, "duration": 1000.0, "pulses": 2}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A change that the mock's random spikes know nothing of."""
    plan = Plan((Variant("<b>1</b>", {"v0": "original"}),), seeds=(1, 2, 3, 4, 5), **MOCK)
    folder = tmp_path_factory.mktemp("impact")
    return plan, folder, assess(plan, folder, jobs=2)


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A network that another inhibition changes."""
    plan = Plan(
        (Variant("g=6", {"g": 6.0}), Variant("silent", {"eta": 0.0})),
        model="brunel2000",
        parameters={"scale": 0.04},
        seeds=tuple(range(1, 6)),
        warmup=100.0,
        duration=1000.0,
    )
    return assess(plan, tmp_path_factory.mktemp("changed"), jobs=2)


def test_an_honest_change_agrees(honest):
    _, _, found = honest
    unchanged, other = found.outcomes
    assert unchanged.variant.name == UNCHANGED
    assert found.is_own
    assert not unchanged.comparison.tests
    assert unchanged.comparison.verdict is Verdict.UNDECIDED  # by itself it cannot be judged
    assert other.comparison.verdict is Verdict.AGREES
    assert len(other.comparison.tests) > 40
    assert len(other.differences) > 8 * 5
    assert not any(d.differs for d in other.differences)
    (said,) = [s for s in sentences(found, other) if s.startswith("Not told apart by")]
    assert "firing rate (a change of" in said


def test_what_is_finished_is_not_done_again(honest):
    plan, folder, found = honest
    seen = []
    again = assess(plan, folder, report=lambda sweep, run: seen.append(run))
    assert seen == [None]
    assert to_dict(again) == to_dict(found)


def test_the_page_shows_every_change_and_takes_no_name_for_markup(honest):
    _, _, found = honest
    page = render(found)
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page
    for section in ("verdicts", "matrix", "distributions", "spectra", "responses", "cost"):
        assert f'id="{section}"' in page
    assert page.count('class="line c1"') >= 8 * 7  # 5 distributions, spectrum, response
    assert not re.search(r"\bnan\b", page)


def test_numbers_are_json_and_tables_markdown(honest):
    _, _, found = honest
    numbers = json.loads(json.dumps(to_dict(found), allow_nan=False))
    assert [c["verdict"] for c in numbers["changes"]] == ["undecided", "agrees"]
    assert {"expected", "p", "differs"} <= set(numbers["changes"][1]["measures"][0])
    tables = markdown(found)
    widths = {line.count("|") for line in tables.splitlines() if line.startswith("| unchanged")}
    assert widths == {10, 6}


def test_another_inhibition_is_told_apart(changed):
    unchanged, inhibited, silent = changed.outcomes
    assert inhibited.comparison.verdict is Verdict.DIFFERS
    assert set(inhibited.differing("rate")) >= set(changed.populations)
    assert all(inhibited.effect(p, "rate") < -5 for p in changed.populations)
    rates = [np.mean(o.means["E", "rate"]) for o in changed.outcomes]
    assert rates[0] > rates[1] > rates[2] == 0
    text = " ".join(sentences(changed, inhibited))
    assert "Told apart by firing rate (all populations)" in text
    said = " ".join(sentences(changed, silent))
    assert "Not tested, for want of spikes or seeds: CV of ISI" in said
    assert "Not told apart" not in said
    assert render(changed)  # without responses: the model has no pulses
    assert unchanged.responses == {}


def test_too_few_seeds_judge_nothing(tmp_path):
    plan = Plan((Variant("v0", {"v0": "original"}),), seeds=(1, 2), **{**MOCK, "pulses": 0})
    found = assess(plan, tmp_path)
    comparison = found.outcomes[1].comparison
    assert comparison.verdict is Verdict.UNDECIDED
    assert "2 seeds: at least 5 are needed" in comparison.reason
    assert render(found)
    assert markdown(found)


def test_a_reference_that_fits_judges_the_unchanged_model_too(tmp_path):
    plan = Plan(
        (Variant("v0", {"v0": "original"}),),
        backend="mock",
        parameters={"scale": 0.1},
        seeds=(1, 2),
        duration=2000.0,
        pulses=0,
    )
    found = assess(plan, tmp_path, jobs=2)
    assert found.reference == "pd14-0.1-poisson"
    assert found.outcomes[0].comparison.verdict is Verdict.DIFFERS  # the mock's spikes are random


def test_a_run_that_fails_is_told(tmp_path):
    given = {"scale": 0.02, "neuron_parameters": {"tau_m": 10.0}}
    plan = Plan(
        (Variant("bad", {"neuron_parameters": {"cm": -1.0}}),),
        parameters=given,
        seeds=(1, 2),
        duration=100.0,
        pulses=0,
    )
    with pytest.raises(SimulationError, match=r"of 4 runs failed, the first is .*tries them again"):
        assess(plan, tmp_path)


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ((), "needs a change"),
        ((Variant("a", {"g": 4}), Variant("a", {"g": 5})), "asked for twice"),
        ((Variant(UNCHANGED, {"g": 4}),), "asked for twice"),
        ((Variant("a", {"g": 6}),), "changes nothing"),
        ((Variant("a"),), "changes nothing"),
    ],
)
def test_a_plan_that_cannot_be(variants, said):
    with pytest.raises(InvalidValueError, match=said):
        Plan(variants, model="brunel2000", parameters={"g": 6})


def test_responses_are_found_where_they_are():
    rng = np.random.default_rng(1)
    n, pulses = 1000, 20
    spikes = [rng.uniform(500, 500 + 100 * pulses, 5 * n * 2)]
    spikes += [520 + 100 * k + rng.uniform(4, 8, n // 2) for k in range(pulses)]
    times = np.round(np.sort(np.concatenate(spikes)), 1)
    rate = measures.around_pulses(times, n, 500.0, 500.0 + 100 * pulses)
    assert rate.size == 200
    assert rate[:40].mean() == pytest.approx(5.0, rel=0.1)
    found = measures.of_response(rate)
    assert found["onset"] == pytest.approx(4.0, abs=0.5)
    assert found["peak"] == pytest.approx(130.0, rel=0.15)  # half of them in 4 ms
    assert found["spikes"] == pytest.approx(0.5, rel=0.05)
    assert found["recovery"] == pytest.approx(8.0, abs=1.0)
    still = measures.of_response(np.full(200, 5.0))
    assert np.isnan(still["onset"])
    assert np.isnan(still["recovery"])


def test_independent_spikes_have_no_coincidences():
    rng = np.random.default_rng(2)
    times = np.sort(rng.uniform(0, 20_000, 40_000))
    alone = Spikes(times, rng.integers(0, 1000, times.size))
    assert measures.coincidence(alone, 0.0, 20_000.0, seed=1) < 0.02
    together = Spikes(np.sort(np.round(times / 20) * 20 + 1), alone.neurons)
    assert measures.coincidence(together, 0.0, 20_000.0, seed=1) > 0.5


def test_equal_times_differ_by_no_less_than_a_bin():
    assert all((m.grain > 0) == (m.units in ("ms", "Hz")) for m in MEASURES.values())


def test_conductances_become_currents():
    """Far reversal potentials, weights as small: the same synapses."""
    near = {"neuron": "lif_cond_exp", "conductance": 1e-4}
    common = {"scale": 0.02, "warmup": 0.0, "duration": 60.0, "realisation": "shared"}
    common["thalamic_pulses"] = [10.0]
    currents = run(**common)
    conductances = run(**common, **near)
    full = run(**common, neuron="lif_cond_exp")
    first = [
        {
            (label, round(float(t), 3), int(n))
            for label in MEASURED
            for t, n in zip(*r.spike_trains[label], strict=True)
            if t < 30
        }
        for r in (currents, conductances, full)
    ]
    assert len(first[0]) > 20
    assert len(first[0] & first[1]) > 0.8 * len(first[0])  # solved, not exact
    assert len(first[0] & first[2]) < 0.2 * len(first[0])


def test_each_population_has_its_reversal_potentials():
    model = load_model("pd14")
    found = describe(model, {"neuron": "lif_cond_exp", "conductance": 0.25})
    for label, mean in zip(found.labels, MEAN_POTENTIALS, strict=False):
        cells = found.populations[found.labels[label]]
        assert cells.parameters["e_rev_E"][0] == pytest.approx(mean + (0.0 - mean) / 0.25)
        assert cells.parameters["e_rev_I"][0] == pytest.approx(mean + (-80.0 - mean) / 0.25)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"conductance": 0.0}, "above 0"),
        ({"conductance": 1.5}, "at most 1"),
        ({"conductance": "much"}, "must be a finite number"),
        ({"conductance": True}, "must be a finite number"),
        ({"conductance": 0.5}, "IF_curr_exp has no parameter e_rev_E and e_rev_I"),
        ({"conductance": 0.5, "neuron": "eif_curr_exp"}, "eif_curr_exp has no parameter"),
        (
            {"conductance": 0.5, "neuron": "lif_cond_exp", "currents": "calibrated"},
            "currents were calibrated for",
        ),
    ],
)
def test_conductances_that_cannot_be(given, said):
    with pytest.raises(InvalidValueError, match=said):
        run(backend="mock", scale=0.02, duration=10.0, **given)


def test_the_network_s_own_neurons_have_no_conductance(monkeypatch):
    asked = []

    class StoppedError(Exception):
        pass

    def stop(self, parameters, *_):
        asked.append(parameters)
        raise StoppedError

    monkeypatch.setattr(calibration._Trial, "run", stop)
    with pytest.raises(StoppedError):
        calibrate("lif_cond_exp", conductance=0.5)
    assert asked == [{"scale": 1.0}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs a change of the model"),
        (("--vary", "g"), "--vary takes NAME=VALUE"),
        (("--neurons", "lif_cur_exp"), "lif_curr_exp"),
        (("--vary", "scales=2"), "did you mean 'scale'"),
        (("--vary", "drive=dc", "--seeds", "0-x"), "seeds are written like"),
        (("--vary", "drive=dc", "--seeds", "1"), "two seeds at least"),
        (("--vary", "drive=dc", "--pulses", "-1"), "pulses must be 0 or more"),
        (("--vary", "drive=poisson", "--drive", "poisson"), "changes nothing"),
        (("--vary", "k_scale=-1"), "k_scale must be above 0"),
        (("--vary", "drive=dc", "--matched", "--uncalibrated"), "take one of them"),
    ],
)
def test_mistakes_are_sentences(call, tmp_path, arguments, said):
    status, _, err = call("impact", *arguments, "--out", tmp_path / "out")
    assert status == 2
    assert said in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_page_numbers_and_tables(call, tmp_path):
    out = tmp_path / "out"
    status, printed, err = call(
        "impact", "--model", "brunel2000", "--backend", "mock", "--scale", "0.02", "--seeds", "2",
        "--duration", "500", "--vary", "g=4.5 eta=1.9", "--out", out,
    )  # fmt: skip
    assert status == 0, err
    assert {p.name for p in out.iterdir()} == {"impact.html", "impact.json", "impact.md", "runs"}
    assert len([p for p in (out / "runs").iterdir() if p.is_dir()]) == 4
    numbers = json.loads((out / "impact.json").read_text())
    assert numbers["changes"][1]["parameters"] == {"g": 4.5, "eta": 1.9}
    assert "g=4.5 eta=1.9" in printed


def test_what_was_not_run_as_described_is_said(honest):
    _, _, found = honest
    (unchanged, other) = (sentences(found, outcome) for outcome in found.outcomes)
    assert any("not run as described" in text for text in other)
    assert any("not run as described" in text for text in unchanged)


def test_seeds_without_a_response_are_counted(honest):
    """A time of a response that half of the runs do not have is compared in the others."""
    _, _, found = honest
    outcome = found.outcomes[1]
    first, *others = outcome.differences
    fewer = dataclasses.replace(first, n=2, n_expected=5)
    said = sentences(found, dataclasses.replace(outcome, differences=(fewer, *others)))
    assert any(f"in {first.population} (2 runs, 5 unchanged)" in text for text in said)


def test_tails_are_those_of_the_runs_that_a_number_is_of():
    assert {m.name for m in MEASURES.values() if m.is_of_response} == {
        "onset", "peak", "peak_time", "spikes", "recovery"
    }  # fmt: skip


def test_a_reference_of_another_warmup_does_not_judge(tmp_path):
    """Its numbers are of another part of time."""
    settings = {"backend": "mock", "parameters": {"scale": 0.1}, "duration": 2000.0, "pulses": 0}
    plan = Plan((Variant("old", {"v0": "original"}),), seeds=(1, 2), warmup=100.0, **settings)
    assert assess(plan, tmp_path, jobs=1).is_own

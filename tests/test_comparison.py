"""The verdict: false alarms as rare as promised, changes found as often as promised."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from portable_cortex import Recording
from portable_cortex.errors import OutputError, UnknownNameError
from portable_cortex.recording import by_time
from portable_cortex.validation.activity import Activity, distances, measure
from portable_cortex.validation.verdict import Reference, Verdict, compare, load_reference
from portable_cortex.validation.verdict.significance import ALPHA, POWER, detectable_change, holm

POPULATIONS = tuple("ABCDEFGH")
SIZES = dict.fromkeys(POPULATIONS, 150)


def activity(rng, *, change=0.0, spread=0.1, duration=1000.0):
    """Made-up activity: a mean that varies from seed to seed, and neurons around it."""
    samples = {}
    for population in POPULATIONS:
        for statistic in ("rate", "cv"):
            mean = 5.0 + spread * rng.standard_normal()
            if (population, statistic) == ("C", "rate"):
                mean += change
            samples[population, statistic] = mean + rng.standard_normal(150)
        samples[population, "synchrony"] = np.array([2.0 + 0.1 * rng.standard_normal()])
    return Activity(samples, SIZES, duration)


def reference(rng, seeds=10, **changes):
    runs = {1000.0: [activity(rng, **changes) for _ in range(seeds)]}
    return Reference.of("made-up", {"conditions": {}}, runs)


# --- distances --------------------------------------------------------------------------------


samples = arrays(float, st.integers(1, 60), elements=st.floats(-5, 5).map(lambda x: round(x, 1)))


@given(samples, samples)
def test_ks_is_scipys(a, b):
    assert distances.ks(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)


@given(samples)
def test_distance_to_itself_is_zero(a):
    assert distances.ks(a, a) == 0
    assert distances.wasserstein(a, a) == 0
    assert distances.kl(a, a) == pytest.approx(0, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 5000))
def test_sketch_keeps_the_distribution(seed, n):
    sample = np.random.default_rng(seed).gamma(2.0, size=n)
    small = distances.sketch(sample, 500)
    assert small.size == min(n, 500)
    assert distances.ks(sample, small) <= 1 / 500


def test_kl_is_that_of_two_normal_distributions():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.5, 1, 200_000), rng.normal(0, 1, 200_000)
    assert distances.kl(a, b) == pytest.approx(0.125, rel=0.05)


def test_effect_size_is_in_standard_deviations():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.3, 1, 50_000), rng.normal(0, 1, 50_000)
    assert distances.effect_size(a, b) == pytest.approx(0.3, abs=0.02)


# --- the verdict ------------------------------------------------------------------------------


def test_holm_is_a_step_down():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_honest_seeds_are_rarely_called_different():
    """Each trial has its own reference: what is promised is the rate over both."""
    rng = np.random.default_rng(12)
    trials = 60  # of the whole way; test_false_alarms.py counts many more
    alarms = sum(
        compare([activity(rng)], reference(rng)).verdict is Verdict.DIFFERS for _ in range(trials)
    )
    # not above ALPHA: 99.9 % limit of a binomial number
    assert alarms <= stats.binom.isf(1e-3, trials, ALPHA)


@pytest.mark.parametrize("runs", [1, 4])
def test_the_stated_change_is_found_as_often_as_stated(runs):
    rng = np.random.default_rng(13)
    first = compare([activity(rng) for _ in range(runs)], reference(rng))
    (test,) = (
        t for t in first.tests if (t.population, t.statistic, t.kind) == ("C", "rate", "mean")
    )
    # the true spread of the mean over seeds, and the change that would be stated for it
    spread = np.hypot(0.1, 1 / np.sqrt(150))
    change = detectable_change(spread * test.error / test.spread, test.degrees, len(first.tests))
    found = 0
    trials = 40
    for _ in range(trials):
        changed = [activity(rng, change=change) for _ in range(runs)]
        result = compare(changed, reference(rng))
        found += any(t.population == "C" and t.statistic == "rate" for t in result.different)
    # 99.9 % limits of a binomial number with a probability of 0.8; KS finds some more
    assert found >= stats.binom.ppf(1e-3, trials, POWER)
    stated = detectable_change(test.error, test.degrees, len(first.tests))
    assert test.detectable == pytest.approx(stated)


def test_several_runs_see_smaller_changes():
    rng = np.random.default_rng(23)
    made = reference(rng, seeds=20)
    one, five = (compare([activity(rng) for _ in range(n)], made).tests for n in (1, 5))
    for a, b in zip(one, five, strict=True):
        if a.kind == "mean":
            assert b.detectable < 0.7 * a.detectable


def test_honest_ensembles_are_rarely_called_different():
    rng = np.random.default_rng(24)
    trials = 40
    verdicts = [
        compare([activity(rng) for _ in range(5)], reference(rng, seeds=20)).verdict
        for _ in range(trials)
    ]
    assert verdicts.count(Verdict.DIFFERS) <= stats.binom.isf(1e-3, trials, ALPHA)


def test_a_change_against_the_common_variation_is_seen_jointly():
    """Each population is within its spread; together they move as seeds never do."""
    rng = np.random.default_rng(25)

    def seed(sign=0.0):
        common = 0.3 * rng.standard_normal()
        samples = {}
        for i, population in enumerate(POPULATIONS):
            mean = 5.0 + common + 0.02 * rng.standard_normal() + sign * 0.25 * (-1) ** i
            samples[population, "rate"] = np.full(150, mean)
        return Activity(samples, SIZES, 1000.0)

    made = Reference.of("made-up", {}, {1000.0: [seed() for _ in range(30)]})
    assert compare([seed()], made).verdict is Verdict.AGREES
    result = compare([seed(sign=1.0)], made)
    assert [(t.population, t.statistic, t.kind) for t in result.different] == [
        ("all", "rate", "joint")
    ]


def test_a_large_change_is_named():
    rng = np.random.default_rng(14)
    result = compare([activity(rng, change=3.0)], reference(rng))
    assert result.verdict is Verdict.DIFFERS
    assert {(t.population, t.statistic) for t in result.different if t.kind != "joint"} == {
        ("C", "rate")
    }
    first = result.different[0]
    assert first.value - first.expected == pytest.approx(3.0, abs=0.6)
    assert "differ" in result.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"duration": 700.0}, "700 ms"),
        ({"n_neurons": {**SIZES, "A": 10}}, "numbers of neurons"),
    ],
)
def test_what_cannot_be_compared_is_undecided(changes, reason):
    rng = np.random.default_rng(15)
    result = compare([dataclasses.replace(activity(rng), **changes)], reference(rng))
    assert result.verdict is Verdict.UNDECIDED
    assert reason in result.reason


def test_silence_is_a_difference():
    """A population that stops firing has no CV to test, but a rate that says it all."""
    rng = np.random.default_rng(16)
    silent = activity(rng)
    made = {**silent.samples, ("B", "rate"): np.zeros(150), ("B", "cv"): np.empty(0)}
    made["B", "synchrony"] = np.empty(0)
    result = compare([dataclasses.replace(silent, samples=made)], reference(rng))
    assert result.verdict is Verdict.DIFFERS
    assert {t.population for t in result.different if t.kind != "joint"} == {"B"}


# --- references -------------------------------------------------------------------------------


def test_reference_survives_its_file(tmp_path):
    rng = np.random.default_rng(17)
    made = reference(rng)
    made.save(tmp_path / "made-up.h5")
    again = load_reference(tmp_path / "made-up.h5")
    assert again.name == made.name
    assert again.durations == (1000.0,)
    assert again.n_neurons == SIZES
    one = activity(rng)
    before, after = compare([one], made), compare([one], again)
    for a, b in zip(
        sorted(before.tests, key=lambda t: (t.population, t.statistic, t.kind)),
        sorted(after.tests, key=lambda t: (t.population, t.statistic, t.kind)),
        strict=True,
    ):
        assert a.p == pytest.approx(b.p, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_damaged_reference(tmp_path, content):
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"damaged\.h5"):
        load_reference(path)


def test_unknown_reference():
    with pytest.raises(UnknownNameError, match="no-such-reference"):
        load_reference("no-such-reference")


def test_duration_that_a_recording_covers():
    rng = np.random.default_rng(18)
    made = reference(rng)
    assert made.duration_for(1000.0) == 1000.0
    assert made.duration_for(2500.0) == 1000.0
    assert made.duration_for(999.0) is None


def test_few_seeds_are_refused():
    rng = np.random.default_rng(19)
    result = compare([activity(rng)], reference(rng, seeds=4))
    assert result.verdict is Verdict.UNDECIDED
    assert "4 seeds" in result.reason


def test_equal_values_tie_after_a_reference_was_saved(tmp_path):
    """Rates are multiples of one over the duration: a rounding must not move them past another."""
    rng = np.random.default_rng(20)

    def run(seed):
        times = np.sort(rng.integers(1, 100_001, 4000)) * 0.1
        neurons = rng.integers(0, 500, 4000)
        return Recording(
            {"A": 500},
            {"A": by_time(times, neurons)},
            {"warmup_ms": 0.0, "duration_ms": 10_000.0},
        )

    made = Reference.of("made-up", {}, {10_000.0: [measure(run(s)) for s in range(6)]})
    made.save(tmp_path / "r.h5")
    one = measure(run(7)).samples["A", "rate"]
    before = made.ensembles[10_000.0, "A", "rate"].pool
    after = Reference.load(tmp_path / "r.h5").ensembles[10_000.0, "A", "rate"].pool
    assert distances.ks(one, after) == distances.ks(one, before) < 0.1

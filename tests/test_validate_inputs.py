"""Verdicts on small and nearly silent populations, and on runs that do not belong together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from portable_cortex import Recording
from portable_cortex.errors import OutputError
from portable_cortex.recording import by_time
from portable_cortex.validation.activity import measure
from portable_cortex.validation.verdict import (
    Reference,
    Verdict,
    compare,
    examine,
    freeze,
    load_reference,
)
from portable_cortex.validation.verdict.comparison import self_check

AGREES, DIFFERS, UNDECIDED = Verdict.AGREES, Verdict.DIFFERS, Verdict.UNDECIDED
SIZES, RATES = {"A": 60, "B": 40}, {"A": 5.0, "B": 10.0}


def recording(
    seed, *, sizes=SIZES, rates=RATES, warmup=500.0, duration=2000.0, step=0.1, only=SIZES, **stated
):
    """Poisson spikes, at rates that vary from seed to seed by a twentieth."""
    rng = np.random.default_rng(seed)
    trains = {}
    for label, n in sizes.items():
        rate = rates[label] * np.exp(0.05 * rng.standard_normal())
        steps = round(duration / step)
        cells = np.unique(rng.integers(n * steps, size=rng.poisson(rate * n * duration * 1e-3)))
        times = np.round(warmup + step * (1 + cells % steps), 9)
        trains[label] = by_time(times, cells // steps)
    metadata = {
        "model": "mine.py", "model_sha256": "ab", "parameters": {"seed": seed}, "seed": seed,
        "backend": "nest", "realisation": "native", "warmup_ms": warmup, "duration_ms": duration,
        "timestep_ms": step,
    }  # fmt: skip
    kept = {label: train for label, train in trains.items() if label in only}
    return Recording(sizes, kept, {**metadata, **stated})


def saved(folder, n, first=1, **changes):
    for seed in range(first, first + n):
        recording(seed, **changes).save(folder / f"seed{seed:03}")
    return folder


def ensemble(n, first=1, **changes):
    activities = [measure(recording(seed, **changes)) for seed in range(first, first + n)]
    return Reference.of("made-up", {}, {2000.0: activities})


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("seeds"), 10)


@pytest.mark.parametrize("size", [1, 10])
def test_rates_of_small_populations_are_tested(size):
    """Of fewer than twenty neurons there is no distribution, but there is a mean."""
    few = {"sizes": {"A": 60, "B": size}}
    reference = ensemble(10, **few)
    honest = compare([measure(recording(100, **few))], reference)
    faulty = compare([measure(recording(100, **few, rates={"A": 5.0, "B": 200.0}))], reference)
    assert honest.verdict is AGREES
    assert ("B", "rate") in {(t.population, t.statistic) for t in faulty.different}
    assert ("B", "distribution") not in {(t.population, t.kind) for t in honest.tests if
                                         t.statistic == "rate"}  # fmt: skip


@pytest.mark.parametrize("spikes", [0.2, 12, 30])
def test_one_coincidence_of_few_spikes_is_no_difference(spikes):
    """Independent neurons with so many spikes in all: up to one in ten was called different."""
    rates = {"A": spikes / (60 * 2.0)}
    changes = {"sizes": {"A": 60}, "rates": rates, "only": ("A",)}
    activities = [measure(recording(seed, **changes)) for seed in range(1, 61)]
    alarms = sum(
        compare([activities[k]], Reference.of("made-up", {}, {2000.0: activities[k - 10 : k]}))
        .verdict
        is DIFFERS
        for k in range(10, 60)
    )  # fmt: skip
    assert alarms <= 1
    reference = Reference.of("made-up", {}, {2000.0: activities[:10]})
    much = measure(recording(99, **{**changes, "rates": {"A": 10.0}}))
    assert compare([much], reference).verdict is DIFFERS


@pytest.mark.parametrize("duration", [2000.0, 5000.0, 10_000.0])
def test_nearly_silent_populations_of_a_reference_agree_with_themselves(duration):
    """All spikes of a few SOM neurons: three of thirty honest seeds were called different."""
    assert self_check(load_reference("interneurons-plastic"), duration).different == 0


def test_what_is_not_compared_is_said(seeds, tmp_path):
    silent = recording(100, rates={"A": 5.0, "B": 0.0}).save(tmp_path / "silent")
    (note,) = examine(silent, seeds).notes
    assert "not compared" in note
    assert "correlation, synchrony, spectral centroid of B" in note
    partly = saved(tmp_path / "partly", 5, only=("A",))
    loud = recording(100, rates={"A": 5.0, "B": 50.0}).save(tmp_path / "loud")
    assert any("anything of B" in note for note in examine(loud, partly).notes)
    whole = recording(100).save(tmp_path / "whole")
    assert examine(whole, seeds).notes == ()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"warmup": 0.0}, "other warm-ups (ms), 500.0 and 0.0"),
        ({"step": 0.5}, "other time steps (ms), 0.1 and 0.5"),
        ({"backend": "builtin"}, "other simulators, nest and builtin"),
        ({"options": {"weights": "bfloat16"}}, "other formats of weights, full and bfloat16"),
    ],
)
def test_runs_that_were_made_otherwise_are_not_taken_together(seeds, tmp_path, other, said):
    odd = recording(101, **other).save(tmp_path / "odd")
    usual = recording(100).save(tmp_path / "usual")
    found = examine([usual, odd], seeds).comparison
    assert (found.verdict, said in found.reason) == (UNDECIDED, True)
    with pytest.raises(OutputError, match=r"is no reference: .* may differ in their seeds only"):
        freeze([seeds, odd])


@pytest.mark.parametrize("stated", [{"realisation": "shared"}, {"seed": 101}, {"seed": None}])
def test_one_run_is_not_several(seeds, tmp_path, stated):
    first = recording(100)
    again = dataclasses.replace(first, metadata={**first.metadata, **stated})
    folders = [first.save(tmp_path / "a"), again.save(tmp_path / "b")]
    found = examine(folders, seeds).comparison
    assert (found.verdict, "are identical" in found.reason) == (UNDECIDED, True)


def test_a_run_of_the_reference_is_compared_with_the_others(tmp_path):
    """It was compared with itself, too: no fault was large enough to differ."""
    folder = saved(tmp_path / "seeds", 10)
    faulty = recording(50, rates={"A": 15.0, "B": 10.0}).save(folder / "faulty")
    frozen = tmp_path / "mine.h5"
    freeze(folder).save(frozen)
    for against in (folder, frozen):
        found = examine(faulty, against)
        assert found.comparison.verdict is DIFFERS
        assert "is one of the runs that" in found.notes[0]


def test_seconds_that_are_left_out_are_said(seeds, tmp_path):
    short = recording(100).save(tmp_path / "short")
    long = recording(101, duration=3000.0).save(tmp_path / "long")
    (note,) = examine([short, long], seeds).notes
    assert "long 3000 ms: the first 2000 ms of each were compared" in note
    with pytest.raises(OutputError, match="--duration 2000 takes what all of them have"):
        freeze([seeds, long])
    assert freeze([seeds, long], [2000.0]).durations == (2000.0,)


def test_runs_with_other_populations_are_no_reference(seeds, tmp_path):
    odd = recording(100, only=("A",)).save(tmp_path / "odd")
    with pytest.raises(OutputError, match=r"only one of .* has spikes of B"):
        freeze([seeds, odd])


def test_two_recordings_say_in_what_they_differ(tmp_path):
    first = recording(1)
    folder = first.save(tmp_path / "first")
    other = recording(2, warmup=0.0, step=0.5, model_sha256="cd")
    notes = " ".join(examine(folder, other.save(tmp_path / "other")).notes)
    for text in ("model is the file with SHA-256 ab", "time step is 0.1, and 0.5", "warm-up is"):
        assert text in notes

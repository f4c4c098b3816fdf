"""Honest runs are rarely called different: by 95 of 100 references at most once in a hundred.

On made-up ensembles that vary as the network's statistics do at two seconds (their tails are those
that `TAIL` stands for). ``benchmarks/false_alarms.py`` does the same with simulated runs; its
vectorised tests are used here, and are proved to be those of the package.
"""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from scipy import stats

from portable_cortex.validation.verdict import Ensemble, Reference
from portable_cortex.validation.verdict.comparison import (
    DISTRIBUTION_SEEDS,
    Limits,
    Values,
    Yardstick,
    contrasts,
    self_check,
)
from portable_cortex.validation.verdict.significance import ALPHA, CONFIDENCE, TAIL, adjusted

SECONDS = 2.0
POPULATIONS = tuple("ABCDEFGH")
KEYS = [
    (population, statistic)
    for population in POPULATIONS
    for statistic in ("rate", "cv", "lv", "cc", "synchrony", "complexity", "centroid")
]


@pytest.fixture(scope="module")
def benchmark(checkout):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(checkout / "benchmarks")
        yield importlib.import_module("false_alarms")
    for name in ("false_alarms", "clock"):
        del sys.modules[name]


def seeds(rng, n):
    """Means and KS distances of n honest seeds, shape (n, keys)."""
    draws = stats.t.rvs(TAIL * SECONDS, size=(n, len(KEYS)), random_state=rng)
    # synchrony and correlations are those of a lognormal variance, as in the network
    skew = {
        "synchrony": lambda z: np.exp(0.2 * z),
        "cc": lambda z: 0.002 * np.sinh(0.5 + 0.3 * z),
    }
    means = np.column_stack(
        [skew.get(key[1], lambda z: 5 + 0.1 * z)(z) for key, z in zip(KEYS, draws.T, strict=True)]
    )
    return means, 0.05 * np.exp(0.35 * rng.standard_normal(draws.shape))


def unlucky(benchmark, rule, n, references=150, honest=400):
    """Share of references that call more than ALPHA of honest runs different."""
    rng = np.random.default_rng(n)
    means, distances = seeds(rng, honest)
    nothing = np.empty(0, np.float32)
    runs = benchmark.Runs(KEYS, SECONDS, means, distances, nothing, nothing)
    rates = [
        benchmark.alarms(rule, runs, *seeds(rng, n), means, distances).mean()
        for _ in range(references)
    ]
    return np.mean(np.array(rates) > ALPHA)


@pytest.mark.parametrize("n", [5, 10, 20, 30])
def test_few_references_call_more_than_one_in_a_hundred_different(benchmark, n):
    limit = stats.binom.isf(1e-3, 150, 1 - CONFIDENCE) / 150
    assert unlucky(benchmark, benchmark.AFTER, n) <= limit
    # the same tests without what is done against it do not keep that
    assert unlucky(benchmark, benchmark.BEFORE, n) > limit


@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_benchmark_judges_as_the_package(benchmark, n):
    rng = np.random.default_rng(3)
    means, distances = seeds(rng, 12)
    means[:4] *= rng.choice([1.0, 1.1, 1.4], size=means[:4].shape)
    distances[4:8] *= rng.choice([1.0, 10.0], size=distances[4:8].shape)
    seed_means, to_pool = seeds(rng, n)
    nothing = np.empty(0, np.float32)
    runs = benchmark.Runs(KEYS, SECONDS, means, distances, nothing, nothing)
    yardsticks = {
        key: Yardstick.of(
            Ensemble(np.zeros(1), seed_means[:, j], to_pool[:, j], np.zeros(1)), Limits.of(key[1])
        )
        for j, key in enumerate(KEYS)
    }
    called = []
    for mean, distance in zip(means, distances, strict=True):
        values = {key: Values(mean[[j]], distance[[j]]) for j, key in enumerate(KEYS)}
        tests = contrasts(values, yardsticks, 1, SECONDS * 1e3)
        called.append(adjusted(np.array([test.p for test in tests])).min() < ALPHA)
        kinds = {test.kind for test in tests}
        assert ("distribution" in kinds) == (n >= DISTRIBUTION_SEEDS)
    vectorised = benchmark.alarms(benchmark.AFTER, runs, seed_means, to_pool, means, distances)
    np.testing.assert_array_equal(vectorised, called)
    assert any(called) or n == 5
    assert not all(called)


def made_up(means, to_pool):
    ensembles = {
        (1e3 * SECONDS, *key): Ensemble(np.zeros(1), means[:, j], to_pool[:, j], np.zeros(1))
        for j, key in enumerate(KEYS)
    }
    sizes = dict.fromkeys((population for population, _ in KEYS), 1000)
    return Reference("made-up", {}, sizes, (1e3 * SECONDS,), ensembles)


def test_a_reference_is_checked_against_itself():
    means, to_pool = seeds(np.random.default_rng(4), 12)
    check = self_check(made_up(means, to_pool), 1e3 * SECONDS)
    assert (check.seeds, check.different) == (12, 0)
    means[3, KEYS.index(("C", "rate"))] += 5.0  # fifty standard deviations
    check = self_check(made_up(means, to_pool), 1e3 * SECONDS)
    assert (check.seeds, check.different) == (12, 1)


def test_distances_that_hardly_vary_by_chance_alarm_nobody():
    """Ten seeds with distances of 0.051 ± 0.0026, as one such reference had."""
    rng = np.random.default_rng(5)
    usual = 0.051 + 0.0026 * rng.standard_normal(10)
    rates = Ensemble(np.zeros(1), 5 + rng.standard_normal(10), usual, usual)
    yardstick = Yardstick.of(rates, Limits())
    key = ("A", "rate")
    (_, test) = contrasts(
        {key: Values(np.array([5.0]), np.array([0.087]))}, {key: yardstick}, 1, 2000.0
    )
    assert test.kind == "distribution"
    assert test.p > 0.01

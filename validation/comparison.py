r"""Is this the same activity? Tests that are calibrated by how much seeds differ, and their power.

For each population and statistic there are two tests:

* ``mean``: the mean of the recording against the means of the reference's seeds. With n seeds of
  mean m and standard deviation s, :math:`t = (x - m) / (s \sqrt{1 + 1/n})` has a Student
  distribution with n - 1 degrees of freedom if the recording is one more seed.
* ``distribution``: the KS distance d of the recording from the pooled reference, against the
  distances of each seed from the pool of the others. The same t for log d, one-sided.

The family-wise error over all tests is kept below `ALPHA` by Holm's method, so that an honest
recording is called different at most once in a hundred times. What each test would have seen is
reported with it: the smallest change of the mean that it detects with a probability of 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from .activity import Activity
from .distances import effect_size, kl, ks, wasserstein
from .reference import Ensemble, Reference

FloatArray = NDArray[np.float64]

ALPHA = 0.01
POWER = 0.8
N_TESTS = 88  # of PD14: 8 populations, 5 distributions with two tests each, and synchrony
MIN_SEEDS = 5  # of a reference
MIN_VALUES = 20  # a distribution of fewer is not tested


class Verdict(Enum):
    """Outcome of a comparison; the value is the exit status of ``portable-cortex validate``."""

    AGREES = 0
    DIFFERS = 1
    UNDECIDED = 2


@dataclass(frozen=True)
class Test:
    """One test of one statistic of one population.

    Attributes
    ----------
    population, statistic : str
    kind : {"mean", "distribution"}
    value : float
        Mean of the recording, or KS distance from the pooled reference.
    expected, spread : float
        Mean and standard deviation over seeds.
    t, p, p_adjusted : float
        Student's t, its probability under the hypothesis of equality, and the same after Holm's
        adjustment for the number of tests.
    detectable : float or None
        Smallest change of the mean, in units of the statistic, that is found with a probability of
        0.8. None for distributions.
    wasserstein, kl, effect_size : float
        Distances of the recording's distribution from the pooled reference, for information.
    """

    population: str
    statistic: str
    kind: str
    value: float
    expected: float
    spread: float
    t: float
    p: float
    p_adjusted: float
    detectable: float | None
    wasserstein: float
    kl: float
    effect_size: float

    __test__ = False  # no test of pytest's

    @property
    def differs(self) -> bool:
        """Whether the test rejects equality at the family-wise level."""
        return self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Comparison:
    """All tests of one recording against one reference.

    Attributes
    ----------
    verdict : Verdict
    reason : str
        One sentence for the reader.
    tests : tuple of Test
    reference : str
        What it was compared with.
    duration : float
        Length of the activity compared, ms.
    """

    verdict: Verdict
    reason: str
    tests: tuple[Test, ...]
    reference: str
    duration: float

    @property
    def different(self) -> tuple[Test, ...]:
        """The tests that reject equality, smallest p first."""
        return tuple(sorted((t for t in self.tests if t.differs), key=lambda t: t.p))


def compare(activity: Activity, reference: Reference) -> Comparison:
    """Compare a recording's activity with a reference ensemble.

    Parameters
    ----------
    activity : Activity
        Measured over exactly one of the reference's durations.
    reference : Reference
    """
    if activity.duration not in reference.durations:
        known = ", ".join(f"{d:g}" for d in reference.durations)
        reason = f"{activity.duration:g} ms: the reference {reference.name} has {known} ms"
        return Comparison(Verdict.UNDECIDED, reason, (), reference.name, activity.duration)
    if dict(activity.n_neurons) != dict(reference.n_neurons):
        return Comparison(
            Verdict.UNDECIDED,
            f"other numbers of neurons than the reference {reference.name}: "
            f"{sum(activity.n_neurons.values())} instead of {sum(reference.n_neurons.values())}",
            (),
            reference.name,
            activity.duration,
        )
    seeds = min(ensemble.means.size for ensemble in reference.ensembles.values())
    if seeds < MIN_SEEDS:
        reason = (
            f"the reference {reference.name} has {seeds} seeds: at least {MIN_SEEDS} are needed"
        )
        return Comparison(Verdict.UNDECIDED, reason, (), reference.name, activity.duration)
    tests = []
    for (duration, population, statistic), ensemble in reference.ensembles.items():
        if duration == activity.duration:
            sample = activity.samples[population, statistic]
            tests.extend(_tests(population, statistic, sample, ensemble))
    return judge(tests, reference.name, activity.duration)


def judge(tests: list[Test], against: str, duration: float) -> Comparison:
    """Adjust the probabilities of all tests, and give the verdict."""
    if not tests:
        return Comparison(Verdict.UNDECIDED, "nothing could be tested", (), against, duration)
    adjusted = holm(np.array([test.p for test in tests]))
    final = tuple(replace(t, p_adjusted=float(p)) for t, p in zip(tests, adjusted, strict=True))
    different = sum(test.differs for test in final)
    if different:
        reason = f"{different} of {len(final)} tests differ from {against}"
        return Comparison(Verdict.DIFFERS, reason, final, against, duration)
    reason = f"none of {len(final)} tests differs from {against}"
    return Comparison(Verdict.AGREES, reason, final, against, duration)


def holm(p: FloatArray) -> FloatArray:
    """Holm's adjusted probabilities: family-wise, whatever the dependence between tests.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p)
    scaled = p[order] * (p.size - np.arange(p.size))
    result = np.empty(p.size)
    result[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return result


def _tests(population: str, statistic: str, sample: FloatArray, ensemble: Ensemble) -> list[Test]:
    scalar = ensemble.pool.size == ensemble.means.size  # one value a seed, e.g. synchrony
    if sample.size < (1 if scalar else MIN_VALUES):
        return []
    distances: Mapping[str, float] = {"wasserstein": np.nan, "kl": np.nan, "effect_size": np.nan}
    if not scalar:
        distances = {
            "wasserstein": wasserstein(sample, ensemble.pool),
            "kl": kl(sample, ensemble.pool),
            "effect_size": effect_size(sample, ensemble.pool),
        }
    tests = [_mean_test(population, statistic, float(sample.mean()), ensemble.means, distances)]
    if not scalar:
        d = ks(sample, ensemble.pool)
        tests.append(_distance_test(population, statistic, d, ensemble.to_pool, distances))
    return tests


def _mean_test(
    population: str,
    statistic: str,
    value: float,
    means: FloatArray,
    distances: Mapping[str, float],
) -> Test:
    t, degrees = _prediction(value, means)
    p = 2 * float(stats.t.sf(abs(t), degrees))
    detectable = detectable_change(float(means.std(ddof=1)), means.size)
    return _test(population, statistic, "mean", value, means, t, p, detectable, distances)


def _distance_test(
    population: str,
    statistic: str,
    value: float,
    seeds: FloatArray,
    distances: Mapping[str, float],
) -> Test:
    t, degrees = _prediction(float(_log(value)), _log(seeds))
    p = float(stats.t.sf(t, degrees))
    return _test(population, statistic, "distribution", value, seeds, t, p, None, distances)


def _log(distance: float | FloatArray) -> FloatArray:
    return np.log(np.maximum(distance, 1e-6))


def _prediction(value: float, seeds: FloatArray) -> tuple[float, int]:
    """Student's t of one more value, given those of the seeds, and its degrees of freedom."""
    width = max(float(seeds.std(ddof=1)) * np.sqrt(1 + 1 / seeds.size), 1e-300)
    return float((value - seeds.mean()) / width), seeds.size - 1


def _test(
    population: str,
    statistic: str,
    kind: str,
    value: float,
    seeds: FloatArray,
    t: float,
    p: float,
    detectable: float | None,
    distances: Mapping[str, float],
) -> Test:
    return Test(
        population=population,
        statistic=statistic,
        kind=kind,
        value=value,
        expected=float(seeds.mean()),
        spread=float(seeds.std(ddof=1)),
        t=t,
        p=p,
        p_adjusted=p,
        detectable=detectable,
        **distances,
    )


def detectable_change(spread: float, n_seeds: int, n_tests: int = N_TESTS) -> float:
    """Smallest change of a mean that is found with a probability of `POWER`.

    At the level that Holm's method demands of the smallest of `n_tests` probabilities; from the
    noncentral t distribution.

    Parameters
    ----------
    spread : float
        Standard deviation over seeds.
    n_seeds, n_tests : int

    Examples
    --------
    >>> round(detectable_change(1.0, n_seeds=10), 1)
    8.2
    >>> round(detectable_change(1.0, n_seeds=30), 1)
    5.5
    """
    return spread * float(np.sqrt(1 + 1 / n_seeds)) * _noncentrality(n_seeds - 1, n_tests)


@cache
def _noncentrality(degrees: int, n_tests: int) -> float:
    critical = stats.t.isf(ALPHA / n_tests / 2, degrees)
    found = brentq(
        lambda shift: stats.nct.sf(critical, degrees, shift) - POWER, 0.0, 10.0 * critical
    )
    return float(found)

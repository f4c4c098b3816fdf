r"""Is this the same activity? Tests that are calibrated by how much seeds differ, and their power.

The unit is a run: m runs are compared with the n seeds of a reference. For each population and
statistic there are up to two tests, and a third for all populations together:

* ``mean``: the means of the runs against those of the seeds, by Student's t with a pooled variance;
* ``distribution``: the KS distances of the runs from the pooled reference against the distances of
  each seed from the pool of the others: the same for their logarithms, one-sided;
* ``joint``: the means of all populations at once, by Hotelling's T², which also sees a change that
  is small in each population, or that goes against how they vary together.

The family-wise error over all tests is kept below `ALPHA` by Holm's method, so that honest runs are
called different at most once in a hundred times. What each test would have seen is reported with
it: the smallest change of the mean that it detects with a probability of 0.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .activity import STATISTICS, Activity
from .distances import effect_size, kl, ks, wasserstein
from .reference import Ensemble, Reference
from .significance import ALPHA, detectable_change, holm, hotelling, student

FloatArray = NDArray[np.float64]

MIN_SEEDS = 5  # of a reference
MIN_VALUES = 20  # a distribution of fewer is not tested
ALL = "all"  # populations, in a joint test
NAN = float("nan")


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
    kind : {"mean", "distribution", "joint"}
    value : float
        Mean over the runs, (mean) KS distance, or Hotelling's T².
    expected, spread : float
        Mean and standard deviation over seeds; not numbers in a joint test.
    t, p, p_adjusted : float
        Student's t, its probability under the hypothesis of equality, and the same after Holm's
        adjustment for the number of tests; not numbers where nothing says how much seeds differ.
    error, degrees : float, int
        Standard error of the difference, and its degrees of freedom.
    detectable : float or None
        Smallest change of the mean, in units of the statistic, that is found with a probability of
        0.8. None for what is no mean.
    wasserstein, kl, effect_size : float
        Distances of the runs' distribution from the one compared with, for information.
    """

    population: str
    statistic: str
    kind: str
    value: float
    expected: float = NAN
    spread: float = NAN
    t: float = NAN
    p: float = NAN
    p_adjusted: float = NAN
    error: float = NAN
    degrees: int = 0
    detectable: float | None = None
    wasserstein: float = NAN
    kl: float = NAN
    effect_size: float = NAN

    __test__ = False  # no test of pytest's

    @property
    def differs(self) -> bool:
        """Whether the test rejects equality at the family-wise level."""
        return self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Comparison:
    """All tests of one or more runs against one reference.

    Attributes
    ----------
    verdict : Verdict
    reason : str
        One sentence for the reader.
    tests : tuple of Test
    reference : str
        What they were compared with.
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


@dataclass(frozen=True)
class Yardstick:
    """What one statistic of one population is compared with, and how much seeds differ in it.

    Attributes
    ----------
    sample : array
        The distribution compared with.
    mean, mean_weight : float
        Its mean, and the variance of that in units of the variance between seeds.
    means : array, shape (n,)
        Means of honest seeds; empty if there are none.
    distances : array
        KS distances that honest seeds have.
    distance_weight : float
        Variance of their mean, in units of the variance between them.
    """

    sample: FloatArray
    mean: float
    mean_weight: float
    means: FloatArray
    distances: FloatArray
    distance_weight: float

    @classmethod
    def of(cls, ensemble: Ensemble) -> Yardstick:
        """The seeds of a reference themselves."""
        means, n = ensemble.means, ensemble.means.size
        return cls(ensemble.pool, float(means.mean()), 1 / n, means, ensemble.to_pool, 1 / n)


def compare(activities: Sequence[Activity], reference: Reference) -> Comparison:
    """Compare the activity of one or more runs with a reference ensemble.

    Parameters
    ----------
    activities : sequence of Activity
        One a seed, measured over exactly one of the reference's durations.
    reference : Reference
    """
    duration = activities[0].duration
    trouble = _trouble(activities, reference)
    if trouble:
        return Comparison(Verdict.UNDECIDED, trouble, (), reference.name, duration)
    yardsticks = {
        (population, statistic): Yardstick.of(ensemble)
        for (length, population, statistic), ensemble in reference.ensembles.items()
        if length == duration
    }
    return judge(all_tests(activities, yardsticks), reference.name, duration)


def _trouble(activities: Sequence[Activity], reference: Reference) -> str:
    """What keeps runs from being compared; empty if nothing does."""
    for activity in activities:
        if activity.duration not in reference.durations:
            known = ", ".join(f"{d:g}" for d in reference.durations)
            return f"{activity.duration:g} ms: the reference {reference.name} has {known} ms"
        if dict(activity.n_neurons) != dict(reference.n_neurons):
            found, wanted = sum(activity.n_neurons.values()), sum(reference.n_neurons.values())
            return (
                f"other numbers of neurons than the reference {reference.name}: "
                f"{found} instead of {wanted}"
            )
    seeds = min(ensemble.means.size for ensemble in reference.ensembles.values())
    if seeds < MIN_SEEDS:
        return f"the reference {reference.name} has {seeds} seeds: at least {MIN_SEEDS} are needed"
    return ""


def all_tests(
    activities: Sequence[Activity], yardsticks: dict[tuple[str, str], Yardstick]
) -> list[Test]:
    """Every test that the samples allow, not yet adjusted for their number."""
    tests: list[Test] = []
    means: dict[str, dict[str, FloatArray]] = {}
    for (population, statistic), yardstick in yardsticks.items():
        least = MIN_VALUES if "distribution" in STATISTICS[statistic].kinds else 1
        found = [activity.samples[population, statistic] for activity in activities]
        samples = [sample for sample in found if sample.size >= least]
        if not samples or yardstick.sample.size < least:
            continue
        tests += _tests(population, statistic, samples, yardstick)
        if len(samples) == len(activities):
            means.setdefault(statistic, {})[population] = np.array([s.mean() for s in samples])
    for statistic, by_population in means.items():
        if "mean" in STATISTICS[statistic].kinds and len(by_population) > 1:
            tests += _joint_test(
                statistic, by_population, {p: yardsticks[p, statistic] for p in by_population}
            )
    return tests


def judge(tests: list[Test], against: str, duration: float) -> Comparison:
    """Adjust the probabilities of all tests, state their power, and give the verdict."""
    if not tests:
        return Comparison(Verdict.UNDECIDED, "nothing could be tested", (), against, duration)
    n = len(tests)
    adjusted = holm(np.array([test.p for test in tests]))
    final = tuple(
        replace(
            test,
            p_adjusted=float(p),
            detectable=detectable_change(test.error, test.degrees, n)
            if test.kind == "mean"
            else None,
        )
        for test, p in zip(tests, adjusted, strict=True)
    )
    different = sum(test.differs for test in final)
    if different:
        verb = "differs" if different == 1 else "differ"
        reason = f"{different} of {n} tests {verb} from {against}"
        return Comparison(Verdict.DIFFERS, reason, final, against, duration)
    reason = f"none of {n} tests differs from {against}"
    return Comparison(Verdict.AGREES, reason, final, against, duration)


def _tests(
    population: str, statistic: str, samples: Sequence[FloatArray], yardstick: Yardstick
) -> list[Test]:
    """The tests of one statistic of one population; without seeds, their values only."""
    kinds = STATISTICS[statistic].kinds
    tests = []
    if "mean" in kinds:
        means = np.array([sample.mean() for sample in samples])
        test = Test(population, statistic, "mean", float(means.mean()), yardstick.mean)
        n = yardstick.means.size
        if n:
            found = student(
                means, yardstick.mean, yardstick.mean_weight, yardstick.means, degrees=n - 1
            )
            test = replace(
                test,
                spread=found.spread,
                t=found.t,
                p=found.two_sided,
                error=found.error,
                degrees=found.degrees,
            )
        tests.append(test)
    if "distribution" in kinds:
        distances = np.array([ks(sample, yardstick.sample) for sample in samples])
        test = Test(population, statistic, "distribution", float(distances.mean()))
        usual = yardstick.distances
        if usual.size:
            # as many degrees of freedom as seeds, however many distances they have
            logs = _log(usual)
            found = student(
                _log(distances),
                float(logs.mean()),
                yardstick.distance_weight,
                logs,
                degrees=yardstick.means.size - 1,
            )
            test = replace(
                test,
                expected=float(usual.mean()),
                spread=float(usual.std(ddof=1)),
                t=found.t,
                p=found.one_sided,
                error=found.error,
                degrees=found.degrees,
            )
        tests.append(test)
        pooled = np.concatenate(samples)
        tests = [
            replace(
                test,
                wasserstein=wasserstein(pooled, yardstick.sample),
                kl=kl(pooled, yardstick.sample),
                effect_size=effect_size(pooled, yardstick.sample),
            )
            for test in tests
        ]
    return tests


def _joint_test(
    statistic: str, means: dict[str, FloatArray], yardsticks: dict[str, Yardstick]
) -> list[Test]:
    """The test of all populations together; none without enough seeds."""
    seeds = {y.means.size for y in yardsticks.values()}
    if len(seeds) != 1 or seeds == {0}:
        return []
    weight = next(iter(yardsticks.values())).mean_weight
    found = hotelling(
        np.column_stack(list(means.values())),
        np.array([y.mean for y in yardsticks.values()]),
        weight,
        np.column_stack([y.means for y in yardsticks.values()]),
    )
    return [] if found is None else [Test(ALL, statistic, "joint", found[0], p=found[1])]


def _log(distances: FloatArray) -> FloatArray:
    logs: FloatArray = np.log(np.maximum(distances, 1e-6))
    return logs

r"""Is this the same activity? Tests that are calibrated by how much seeds differ, and their power.

The unit is a run: m runs are compared with the n seeds of a reference. For each population and
statistic there are up to two tests, and a third for all populations together:

* ``mean``: the means of the runs against those of the seeds, by Student's t with a pooled variance,
  each on the scale of its statistic;
* ``distribution``: the KS distances of the runs from the pooled reference against the distances of
  each seed from the pool of the others: the same for their logarithms, one-sided; for references of
  `DISTRIBUTION_SEEDS` or more;
* ``joint``: the means of all populations at once, by Hotelling's T², which also sees a change that
  is small in each population, or that goes against how they vary together.

The family-wise error over all tests is kept so low (`significance`) that 95 of 100 references call
honest runs different at most once in a hundred times. What each test would have seen is reported
with it: the smallest change of the mean that it detects with a probability of 0.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.host.untrusted import printable

from ..activity import (
    LINEAR,
    LOGARITHM,
    MIN_VALUES,
    STATISTICS,
    SYNCHRONY_BIN,
    Activity,
    Scale,
    effect_size,
    kl,
    ks,
    wasserstein,
)
from .reference import Ensemble, Reference
from .significance import ALPHA, TAIL, adjusted, detectable_change, hotelling, student

FloatArray = NDArray[np.float64]

MIN_SEEDS = 5  # of a reference
DISTRIBUTION_SEEDS = 10  # of a reference: with fewer, no distance is ever large enough
# Pairs of independent spikes in one bin of a run, of which correlations and synchrony are made:
# with fewer, one of them by chance is many standard deviations.
MIN_COINCIDENCES = 10.0
HALF_A_SPIKE = 0.5  # the least standard deviation over seeds of a number of spikes
# Standard deviation of log K for Kolmogorov's distribution: what distances between samples of one
# distribution have. Seeds that differ, too, can only vary more.
KOLMOGOROV = 0.29
ALL = "all"  # populations, in a joint test
RATE = "rate"
NAN = float("nan")


class Verdict(Enum):
    """Outcome of a comparison; the value is the exit status of ``portable-cortex validate``."""

    AGREES = 0
    DIFFERS = 1
    UNDECIDED = 2


@dataclass(frozen=True)
class Contrast:
    """One statistic of one population against what it is compared with, looked at alone.

    Attributes
    ----------
    population, statistic : str
    kind : {"mean", "distribution", "joint"}
    value : float
        Mean over the runs, (mean) KS distance, or Hotelling's T².
    expected, spread : float
        Mean and standard deviation over seeds; not numbers in a joint test.
    t, p : float
        Student's t, and its probability under the hypothesis of equality; not numbers where nothing
        says how much seeds differ.
    error, degrees : float
        Standard error of the difference, on the scale of the statistic (`Statistic.scale`;
        logarithmic for distances), and its degrees of freedom.
    deviations : float
        The difference of means in standard deviations between seeds, on that scale.
    """

    population: str
    statistic: str
    kind: str
    value: float
    expected: float = NAN
    spread: float = NAN
    t: float = NAN
    p: float = NAN
    error: float = NAN
    degrees: float = 0.0
    deviations: float = NAN


@dataclass(frozen=True)
class Test(Contrast):
    """One contrast as one of many that are tested together.

    Attributes
    ----------
    p_adjusted : float
        The probability after the adjustment for the number of tests and the luck of the reference;
        not a number where `p` is none.
    detectable : float or None
        Smallest change of the mean, in units of the statistic, that is found with a probability of
        0.8. None for what is no mean.
    wasserstein, kl, effect_size : float
        Distances of the runs' distribution from the one compared with, for information.
    """

    p_adjusted: float = NAN
    detectable: float | None = None
    wasserstein: float = NAN
    kl: float = NAN
    effect_size: float = NAN

    __test__ = False  # no test of pytest's

    @property
    def differs(self) -> bool:
        """Whether the test rejects equality: see `significance`."""
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
class Limits:
    """How a statistic of a population can be tested.

    Attributes
    ----------
    scale : Scale
        On which its means are compared.
    floor : float
        What they vary at least from seed to seed, on that scale.
    is_sparse : bool
        Whether there are too few spikes for anything but the mean rate of the population alone.
    """

    scale: Scale = LINEAR
    floor: float = 0.0
    is_sparse: bool = False

    @classmethod
    def of(cls, statistic: str) -> Limits:
        """Those of a statistic of many spikes."""
        return cls(STATISTICS[statistic].scale)

    @classmethod
    def of_rates(cls, rates: FloatArray, spikes: float, duration: float) -> Limits:
        """Those of the mean rates of a population.

        The number of spikes varies by half a spike at least: where no seed has one, or all have as
        many, it does not vary at all. That of few spikes, which may all be of one neuron, has a
        heavy tail, and is compared by its logarithm.

        Parameters
        ----------
        rates : array
            Spikes/s, one a seed.
        spikes : float
            What one spike/s is in spikes of the whole population.
        duration : float
            ms.
        """
        if not is_sparse(float(rates.min()) * spikes / duration, duration):
            return cls(LINEAR, HALF_A_SPIKE / spikes)
        scale = Scale(lambda x: np.log1p(spikes * x), lambda y: np.expm1(y) / spikes)
        return cls(scale, HALF_A_SPIKE / float(np.sqrt(1 + spikes * rates.mean())), True)

    def usable(self, distances: FloatArray) -> FloatArray:
        """The distances that can be compared."""
        return distances[:0] if self.is_sparse else distances


@dataclass(frozen=True)
class Yardstick:
    """What one statistic of one population is compared with, and how much seeds differ in it.

    Attributes
    ----------
    sample : array
        The distribution compared with.
    compared : array
        The means compared with: one a seed, or the one of a second recording.
    mean_weight : float
        Variance of their mean, in units of the variance between seeds.
    means : array, shape (n,)
        Means of honest seeds; empty if there are none.
    distances : array
        KS distances that honest seeds have.
    distance_weight : float
        Variance of their mean, in units of the variance between them.
    limits : Limits
    """

    sample: FloatArray
    compared: FloatArray
    mean_weight: float
    means: FloatArray
    distances: FloatArray
    distance_weight: float
    limits: Limits

    @classmethod
    def of(cls, ensemble: Ensemble, limits: Limits) -> Yardstick:
        """The seeds of a reference themselves."""
        means, n = ensemble.means, ensemble.means.size
        distances = limits.usable(ensemble.to_pool)
        return cls(ensemble.pool, means, 1 / n, means, distances, 1 / n, limits)

    @property
    def has_distances(self) -> bool:
        """Whether distances can be told: with a verdict, or, without any seeds, without one."""
        return (
            not self.means.size or min(self.distances.size, self.means.size) >= DISTRIBUTION_SEEDS
        )

    @property
    def mean(self) -> float:
        """What the runs are compared with."""
        return float(self.compared.mean())

    @property
    def expected(self) -> float:
        """The same on the scale of the comparison."""
        return float(self.limits.scale.forward(self.compared).mean())


@dataclass(frozen=True)
class Values:
    """What the tests know of one statistic of one population in the runs that are compared.

    Attributes
    ----------
    means, distances : array
        Mean, and KS distance from what is compared with; one a run. No distances where nothing is
        known but means.
    """

    means: FloatArray
    distances: FloatArray


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
        key: Yardstick.of(ensemble, limits)
        for key, (ensemble, limits) in testable(reference, duration).items()
    }
    return judge(all_tests(activities, yardsticks), reference.name, duration)


def testable(
    reference: Reference, duration: float
) -> dict[tuple[str, str], tuple[Ensemble, Limits]]:
    """What can be tested over a duration (ms), by population and statistic, and how far.

    Of a population of which some seed has next to no spikes, that is the mean rate alone.
    """
    ensembles = {
        (population, statistic): ensemble
        for (length, population, statistic), ensemble in reference.ensembles.items()
        if length == duration
    }
    found = {}
    for (population, statistic), ensemble in ensembles.items():
        rates = ensembles.get((population, RATE))
        if rates is None:
            found[population, statistic] = ensemble, Limits.of(statistic)
            continue
        spikes = reference.n_neurons[population] * duration * 1e-3
        limits = Limits.of_rates(rates.means, spikes, duration)
        if statistic == RATE:
            found[population, statistic] = ensemble, limits
        elif not limits.is_sparse:
            found[population, statistic] = ensemble, Limits.of(statistic)
    return found


def is_sparse(rate: float, duration: float) -> bool:
    """Whether a population with so many spikes/ms in all has too few for anything but their number.

    Examples
    --------
    >>> is_sparse(0.02, 2000.0), is_sparse(0.1, 2000.0)
    (True, False)
    """
    pairs_in_a_bin = rate**2 * SYNCHRONY_BIN * duration / 2
    return pairs_in_a_bin < MIN_COINCIDENCES


def _trouble(activities: Sequence[Activity], reference: Reference) -> str:
    """What keeps runs from being compared; empty if nothing does."""
    for activity in activities:
        if activity.duration not in reference.durations:
            known = ", ".join(f"{d:g}" for d in reference.durations)
            return f"{activity.duration:g} ms: the reference {reference.name} has {known} ms"
        if dict(activity.n_neurons) != dict(reference.n_neurons):
            sizes = sum(activity.n_neurons.values()), sum(reference.n_neurons.values())
            return (
                f"other numbers of neurons than the reference {reference.name}: "
                f"{sizes[0]} instead of {sizes[1]}"
            )
    seeds = min(ensemble.means.size for ensemble in reference.ensembles.values())
    if seeds < MIN_SEEDS:
        return f"the reference {reference.name} has {seeds} seeds: at least {MIN_SEEDS} are needed"
    return ""


def untested(comparison: Comparison, populations: Iterable[str]) -> tuple[str, ...]:
    """What was not compared, in a sentence: it is not said to agree.

    Parameters
    ----------
    comparison : Comparison
    populations : iterable of str
        All that could have been.
    """
    tested = {(test.population, test.statistic) for test in comparison.tests}
    of_some = {statistic for _, statistic in tested}
    alike: dict[str, list[str]] = {}
    for population in populations:
        titles = [
            statistic.title
            for name, statistic in STATISTICS.items()
            if (population, name) not in tested and ("mean" in statistic.kinds or name in of_some)
        ]
        is_tested = any(population == label for label, _ in tested)
        alike.setdefault(", ".join(titles) if is_tested else "anything", []).append(population)
    return tuple(
        f"not compared, for want of spikes or neurons: {titles} of {printable(', '.join(labels))}"
        for titles, labels in alike.items()
        if titles
    )


def all_tests(
    activities: Sequence[Activity], yardsticks: Mapping[tuple[str, str], Yardstick]
) -> tuple[Test, ...]:
    """Every test that the samples allow, adjusted for their number."""
    values, samples = {}, {}
    for key, yardstick in yardsticks.items():
        if activities[0].has_means_only:
            if key in activities[0].samples:
                means = np.array([float(activity.samples[key][0]) for activity in activities])
                values[key] = Values(means, np.empty(0))
            continue
        least = STATISTICS[key[1]].least
        every = [activity.samples[key] for activity in activities]
        usable = [sample for sample in every if sample.size >= least]
        if not usable or yardstick.sample.size < least:
            continue
        samples[key] = np.concatenate(usable)
        smallest = min(yardstick.sample.size, *(sample.size for sample in usable))
        values[key] = Values(
            np.array([sample.mean() for sample in usable]),
            np.array([ks(s, yardstick.sample) for s in usable if smallest >= MIN_VALUES]),
        )
    separate = contrasts(values, yardsticks, len(activities), activities[0].duration)
    together = adjusted(np.array([contrast.p for contrast in separate]))
    return tuple(
        Test(
            **vars(contrast),
            p_adjusted=float(p),
            detectable=_detectable(contrast, yardsticks, len(separate)),
            **_distances_of(contrast, samples, yardsticks),
        )
        for contrast, p in zip(separate, together, strict=True)
    )


def contrasts(
    values: Mapping[tuple[str, str], Values],
    yardsticks: Mapping[tuple[str, str], Yardstick],
    n_runs: int,
    duration: float,
) -> list[Contrast]:
    """What `n_runs` runs of `duration` ms, of which `values` are known, differ in."""
    tail = TAIL * n_runs * duration * 1e-3
    separate: list[Contrast] = []
    together: dict[str, list[str]] = {}
    for (population, statistic), of_runs in values.items():
        yardstick = yardsticks[population, statistic]
        kinds = STATISTICS[statistic].kinds
        if "mean" in kinds:
            separate.append(_mean(population, statistic, of_runs.means, yardstick, tail))
            if of_runs.means.size == n_runs and not yardstick.limits.is_sparse:
                together.setdefault(statistic, []).append(population)
        if "distribution" in kinds and of_runs.distances.size and yardstick.has_distances:
            separate.append(_distribution(population, statistic, of_runs.distances, yardstick))
    for statistic, populations in together.items():
        if len(populations) > 1:
            keys = [(population, statistic) for population in populations]
            separate += _joint(
                statistic, [values[key] for key in keys], [yardsticks[key] for key in keys], tail
            )
    return separate


@dataclass(frozen=True)
class SelfCheck:
    """A reference against itself: each of its seeds compared with the others.

    Attributes
    ----------
    seeds : int
    different : int
        How many of them would be called different.
    """

    seeds: int
    different: int


def self_check(reference: Reference, duration: float) -> SelfCheck:
    """Compare each seed of a reference with its others, over one of its durations (ms).

    The distance of a seed from the pool of the others is what an `Ensemble` keeps.
    """
    ensembles = testable(reference, duration)
    n = min(ensemble.means.size for ensemble, _ in ensembles.values())
    different = 0
    for i in range(n):
        values = {
            key: Values(ensemble.means[i : i + 1], ensemble.to_pool[i : i + 1])
            for key, (ensemble, _) in ensembles.items()
            if ensemble.pool.size >= STATISTICS[key[1]].least
        }
        others = {
            key: Yardstick.of(_without(ensemble, i), limits)
            for key, (ensemble, limits) in ensembles.items()
        }
        p = np.array([contrast.p for contrast in contrasts(values, others, 1, duration)])
        different += bool(adjusted(p).min() < ALPHA)
    return SelfCheck(n, different)


def _without(ensemble: Ensemble, seed: int) -> Ensemble:
    means, to_pool = np.delete(ensemble.means, seed), np.delete(ensemble.to_pool, seed)
    return replace(ensemble, means=means, to_pool=to_pool)


def judge(tests: tuple[Test, ...], against: str, duration: float) -> Comparison:
    """The verdict of all tests."""
    if not tests:
        return Comparison(Verdict.UNDECIDED, "nothing could be tested", (), against, duration)
    different = sum(test.differs for test in tests)
    if different:
        verb = "differs" if different == 1 else "differ"
        reason = f"{different} of {len(tests)} tests {verb} from {against}"
        return Comparison(Verdict.DIFFERS, reason, tests, against, duration)
    reason = f"none of {len(tests)} tests differs from {against}"
    return Comparison(Verdict.AGREES, reason, tests, against, duration)


def _detectable(
    contrast: Contrast, yardsticks: Mapping[tuple[str, str], Yardstick], n_tests: int
) -> float | None:
    if contrast.kind != "mean" or np.isnan(contrast.p):
        return None
    scale = yardsticks[contrast.population, contrast.statistic].limits.scale
    centre = float(scale.forward(np.array(contrast.expected)))
    return scale.around(centre, detectable_change(contrast.error, contrast.degrees, n_tests))


def _mean(
    population: str, statistic: str, means: FloatArray, yardstick: Yardstick, tail: float
) -> Contrast:
    """The means of the runs against those of the seeds; without seeds, their values only."""
    value, n = float(means.mean()), yardstick.means.size
    if not n:
        return Contrast(population, statistic, "mean", value, yardstick.mean)
    scale = yardstick.limits.scale
    result = student(
        scale.forward(means),
        yardstick.expected,
        yardstick.mean_weight,
        scale.forward(yardstick.means),
        degrees=n - 1,
        tail=tail,
        floor=yardstick.limits.floor,
    )
    return Contrast(
        population,
        statistic,
        "mean",
        value,
        yardstick.mean,
        spread=scale.around(yardstick.expected, result.spread),
        t=result.t,
        p=result.two_sided,
        error=result.error,
        degrees=result.degrees,
        deviations=result.t * result.error / result.spread if result.spread > 0 else NAN,
    )


def _distribution(
    population: str, statistic: str, distances: FloatArray, yardstick: Yardstick
) -> Contrast:
    """The distances of the runs against those of the seeds; without seeds, their values only."""
    value, n = float(distances.mean()), yardstick.means.size
    if not n:
        return Contrast(population, statistic, "distribution", value)
    # as many degrees of freedom as seeds, however many distances they have
    logarithms = LOGARITHM.forward(yardstick.distances)
    result = student(
        LOGARITHM.forward(distances),
        float(logarithms.mean()),
        yardstick.distance_weight,
        logarithms,
        degrees=n - 1,
        floor=KOLMOGOROV,
    )
    return Contrast(
        population,
        statistic,
        "distribution",
        value,
        expected=float(yardstick.distances.mean()),
        spread=float(yardstick.distances.std(ddof=1)),
        t=result.t,
        p=result.one_sided,
        error=result.error,
        degrees=result.degrees,
    )


def _joint(
    statistic: str, values: Sequence[Values], yardsticks: Sequence[Yardstick], tail: float
) -> list[Contrast]:
    """All populations together; none without enough seeds."""
    scale = STATISTICS[statistic].scale
    seeds = {yardstick.means.size for yardstick in yardsticks}
    if len(seeds) != 1 or seeds == {0}:
        return []
    result = hotelling(
        scale.forward(np.column_stack([of_runs.means for of_runs in values])),
        np.array([yardstick.expected for yardstick in yardsticks]),
        yardsticks[0].mean_weight,
        scale.forward(np.column_stack([yardstick.means for yardstick in yardsticks])),
        tail=tail,
    )
    return [] if result is None else [Contrast(ALL, statistic, "joint", result[0], p=result[1])]


def _distances_of(
    contrast: Contrast,
    samples: Mapping[tuple[str, str], FloatArray],
    yardsticks: Mapping[tuple[str, str], Yardstick],
) -> dict[str, Any]:
    """The distances that decide nothing, where there is a distribution."""
    key = contrast.population, contrast.statistic
    has_distribution = "distribution" in STATISTICS[contrast.statistic].kinds
    if contrast.kind == "joint" or not has_distribution or key not in samples:
        return {}
    pair = samples[key], yardsticks[key].sample
    return {"wasserstein": wasserstein(*pair), "kl": kl(*pair), "effect_size": effect_size(*pair)}

r"""How often honest runs are called different: against a reference, and for references of any size.

    python benchmarks/false_alarms.py --runs 60 --references 50

Honest runs of the built-in engine are made, with seeds that no reference has, and what the tests
need of each is kept in --work, so that an interrupted call goes on where it was. Each run is then
judged alone against the reference that comes with the package, and against references of 5, 10, 20
and 30 seeds that are drawn from the runs themselves: a user has one reference, so what counts is
how many references call more than one in a hundred honest runs different. "Before" are the tests
without what `portable_cortex.validation.verdict.significance` does against false alarms.

A run of ten seconds takes about eight on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import clock
import numpy as np
from numpy.typing import NDArray
from scipy import special

import portable_cortex
from portable_cortex.validation.activity import LINEAR, LOGARITHM, STATISTICS, ks, measure
from portable_cortex.validation.verdict.comparison import DISTRIBUTION_SEEDS, KOLMOGOROV
from portable_cortex.validation.verdict.reference import SKETCH, Reference, load_reference
from portable_cortex.validation.verdict.significance import (
    ALPHA,
    RESERVE,
    SPARE_DEGREES,
    TAIL,
    degrees_of_freedom,
)

FloatArray = NDArray[np.float64]

FIRST_SEED = 200_001
SIZES = (5, 10, 20, 30)


@dataclass(frozen=True)
class Rule:
    """What stands between the tests and false alarms.

    Attributes
    ----------
    scaled : bool
        Whether means are compared on the scale of their statistic.
    reserve, tail, floor, distribution_seeds : float
        As `RESERVE`, `TAIL`, `KOLMOGOROV` and `DISTRIBUTION_SEEDS` of the package.
    """

    scaled: bool
    reserve: float
    tail: float
    floor: float
    distribution_seeds: int


BEFORE = Rule(False, 1.0, np.inf, 0.0, 5)
AFTER = Rule(True, RESERVE, TAIL, KOLMOGOROV, DISTRIBUTION_SEEDS)


@dataclass(frozen=True)
class Runs:
    """What the tests need of many runs of one duration.

    Attributes
    ----------
    keys : list of (population, statistic)
    seconds : float
    means : array, shape (runs, keys)
    distances : array, shape (runs, keys)
        KS distance from the pool of the reference.
    cdf : array, shape (runs, keys, points)
        Distribution function at the order statistics of that pool, and just below each.
    sizes : array, shape (runs, keys)
        Of the samples.
    """

    keys: list[tuple[str, str]]
    seconds: float
    means: FloatArray
    distances: FloatArray
    cdf: NDArray[np.float32]
    sizes: FloatArray

    def columns(self, kind: str) -> NDArray[np.int64]:
        """Keys of which this is tested."""
        return np.array([i for i, (_, s) in enumerate(self.keys) if kind in STATISTICS[s].kinds])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reference", default="pd14-0.1-poisson")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--references", type=int, default=200, help="drawn, of each size")
    parser.add_argument("--skip", type=int, default=0, help="first runs that are left out")
    parser.add_argument("--work", type=Path, default=Path("results/false_alarms"))
    arguments = parser.parse_args()
    with clock.session():
        judge(arguments)


def judge(arguments: argparse.Namespace) -> None:
    """Make the runs that are missing, judge all, and print the tables."""
    reference = load_reference(arguments.reference)
    seeds = range(FIRST_SEED + arguments.skip, FIRST_SEED + arguments.runs)
    folder = arguments.work / arguments.reference
    paths = [digest(reference, seed, folder) for seed in seeds]
    every = [load(reference, paths, i) for i in range(len(reference.durations))]
    against_the_reference(reference, every)
    for runs in every:
        against_references_of_their_own(runs, arguments.references)


def digest(reference: Reference, seed: int, folder: Path) -> Path:
    """Measure an honest run, and keep what the tests need of it."""
    path = folder / f"{seed}.npz"
    if path.exists():
        return path
    print(f"{path} ...", flush=True)
    parameters = {k: v for k, v in reference.provenance["conditions"].items() if k != "model"}
    recording = portable_cortex.run(
        model=reference.provenance["conditions"]["model"],
        backend="builtin",
        warmup=reference.provenance["warmup_ms"],
        duration=reference.durations[-1],
        seed=seed,
        **parameters,
    )
    keys = keys_of(reference)
    shape = len(reference.durations), len(keys)
    means, distances, sizes = (np.full(shape, np.nan) for _ in range(3))
    cdf = np.zeros((*shape, 2, SKETCH), np.float32)
    for i, duration in enumerate(reference.durations):
        activity = measure(recording, duration)
        for j, key in enumerate(keys):
            sample = np.sort(activity.samples[key])
            pool = reference.ensembles[(duration, *key)].pool
            means[i, j], sizes[i, j] = sample.mean(), sample.size
            distances[i, j] = ks(sample, pool)
            points = np.resize(pool, SKETCH)
            cdf[i, j, 0] = np.searchsorted(sample, points, side="right") / sample.size
            cdf[i, j, 1] = np.searchsorted(sample, points, side="left") / sample.size
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, means=means, ks=distances, sizes=sizes, cdf=cdf)
    return path


def keys_of(reference: Reference) -> list[tuple[str, str]]:
    """Populations and statistics."""
    return sorted(key[1:] for key in reference.ensembles if key[0] == reference.durations[0])


def load(reference: Reference, paths: list[Path], i: int) -> Runs:
    """All runs over the i-th duration of the reference."""
    parts: dict[str, list[FloatArray]] = {name: [] for name in ("means", "ks", "cdf", "sizes")}
    for path in paths:
        with np.load(path) as file:
            for name, arrays in parts.items():
                arrays.append(file[name][i])
    means, distances, cdf, sizes = (np.stack(arrays) for arrays in parts.values())
    cdf = cdf[..., ::2].reshape(*means.shape, -1)
    return Runs(keys_of(reference), reference.durations[i] * 1e-3, means, distances, cdf, sizes)


def against_the_reference(reference: Reference, every: list[Runs]) -> None:
    """Print how many runs the reference that comes with the package calls different."""
    print(f"\n{len(every[0].means)} honest runs, each alone against {reference.name}:\n")
    print("| duration | before | after |\n|---|---|---|")
    for runs in every:
        ensembles = [reference.ensembles[(runs.seconds * 1e3, *key)] for key in runs.keys]
        means = np.column_stack([e.means for e in ensembles])
        to_pool = np.column_stack([e.to_pool for e in ensembles])
        counts = [
            int(alarms(rule, runs, means, to_pool, runs.means, runs.distances).sum())
            for rule in (BEFORE, AFTER)
        ]
        print(f"| {runs.seconds:g} s | {counts[0]} | {counts[1]} |", flush=True)


def against_references_of_their_own(runs: Runs, n_references: int) -> None:
    """Print how references of several sizes, drawn from the runs, judge the other runs."""
    rng = np.random.default_rng(1)
    print(f"\n{n_references} references drawn from {len(runs.means)} runs of {runs.seconds:g} s:\n")
    print("| seeds | mean rate before | after | references above 1 % before | after |")
    print("|---|---|---|---|---|")
    for n in (size for size in SIZES if size < len(runs.means) / 2):
        rates = np.array([resampled(runs, n, rng) for _ in range(n_references)])
        mean, above = 100 * rates.mean(axis=0), 100 * (rates > ALPHA).mean(axis=0)
        print(
            f"| {n} | {mean[0]:.2f} % | {mean[1]:.2f} % | {above[0]:.1f} % | {above[1]:.1f} % |",
            flush=True,
        )


def resampled(runs: Runs, n: int, rng: np.random.Generator) -> tuple[float, float]:
    """False-alarm rates, before and after, of one reference drawn from the runs."""
    order = rng.permutation(len(runs.means))
    seeds, others = order[:n], order[n:]
    weights = runs.sizes[seeds, :, np.newaxis]
    below = runs.cdf[seeds] * weights
    total, size = below.sum(axis=0), weights.sum(axis=0)
    columns = runs.columns("distribution")
    distances = np.full((len(others), len(runs.keys)), np.nan)
    pool = (total / size).astype(np.float32)
    for j in columns:
        distances[:, j] = np.abs(runs.cdf[others, j] - pool[j]).max(axis=-1)
    to_pool = np.abs(runs.cdf[seeds] - (total - below) / (size - weights)).max(axis=-1)
    means = runs.means
    before, after = (
        float(alarms(rule, runs, means[seeds], to_pool, means[others], distances).mean())
        for rule in (BEFORE, AFTER)
    )
    return before, after


def alarms(
    rule: Rule,
    runs: Runs,
    seed_means: FloatArray,
    seed_distances: FloatArray,
    run_means: FloatArray,
    run_distances: FloatArray,
) -> NDArray[np.bool_]:
    """Which runs, each judged alone, are called different: `compare` for many at once."""
    n = len(seed_means)
    tail = rule.tail * runs.seconds
    error = np.sqrt(1 + 1 / n)
    p = []
    joint: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for j in runs.columns("mean"):
        statistic = runs.keys[j][1]
        scale = STATISTICS[statistic].scale if rule.scaled else LINEAR
        seeds, values = scale.forward(seed_means[:, j]), scale.forward(run_means[:, j])
        deviations = (values - seeds.mean()) / seeds.std(ddof=1) / error
        p.append(2 * special.stdtr(degrees_of_freedom(n - 1, tail), -np.abs(deviations)))
        scaled = (seeds - seeds.mean()) / seeds.std(ddof=1)
        joint.setdefault(statistic, []).append((scaled, deviations))
    if n >= rule.distribution_seeds:
        columns = runs.columns("distribution")
        seeds, values = (LOGARITHM.forward(d[:, columns]) for d in (seed_distances, run_distances))
        spread = np.maximum(seeds.std(axis=0, ddof=1), rule.floor)
        p += list(special.stdtr(n - 1, -(values - seeds.mean(axis=0)) / spread / error).T)
    for pairs in joint.values():
        size = len(pairs)
        spare = n - size
        if spare >= SPARE_DEGREES:
            seeds, deviations = (np.column_stack(part) for part in zip(*pairs, strict=True))
            inverse = np.linalg.inv(seeds.T @ seeds / (n - 1))
            squared = np.einsum("ij,jk,ik->i", deviations, inverse, deviations)
            f = squared * spare / ((n - 1) * size)
            p.append(special.fdtrc(size, degrees_of_freedom(spare, tail), f))
    return np.asarray(np.min(p, axis=0) * len(p) * rule.reserve < ALPHA)


if __name__ == "__main__":
    main()

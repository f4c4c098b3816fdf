"""Do the runs of a plan, and judge each change against the model as it is.

Statistics of validation are judged by its tests, against the reference that fits, else against the
runs of the unchanged model. The numbers of `measures` are compared with those of the unchanged
model's runs, by Student's t, adjusted for their number.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording
from portable_cortex.errors import SimulationError, UnsupportedError
from portable_cortex.registry import load_backend
from portable_cortex.sweep import FAILED, LocalPool, Report, Sweep, SweepRun, building, sweep
from portable_cortex.sweep.table import warnings_of
from portable_cortex.theory import Prediction

from ..activity import Activity, Spectrum, measure, power_spectrum, sketch
from ..verdict import (
    ALPHA,
    TAIL,
    Comparison,
    Reference,
    Verdict,
    adjusted,
    between_groups,
    compare,
    conditions,
    fitting_reference,
    predicted,
    untested,
)
from .measures import EVERY, MEASURES, around_pulses, coincidence, of_response, of_spectrum, whole
from .plan import Plan, Variant

FloatArray = NDArray[np.float64]
Key = tuple[str, str]
"""Population, and statistic or measure."""

CURVE = 80  # points of a distribution that are kept
RUNS = "runs"


@dataclass(frozen=True)
class Cost:
    """Medians over the runs.

    Attributes
    ----------
    build, memory : float
        s; bytes.
    real_time_factor, core_seconds : float
        Time, and processor time, for one second of model time.
    """

    build: float
    memory: float
    real_time_factor: float
    core_seconds: float


@dataclass(frozen=True)
class Difference:
    """One measure of one population, beside the unchanged model's.

    Attributes
    ----------
    population, measure : str
    value, expected, spread : float
        Mean over the runs; mean and standard deviation over those of the unchanged model.
    effect : float
        The difference in standard deviations over seeds, on the measure's scale.
    p_adjusted : float
        Not a number where too few runs have the measure.
    n, n_expected : int
        Runs that have the measure, of the change and of the unchanged model: where nothing
        responds, there is no time of a response.
    """

    population: str
    measure: str
    value: float
    expected: float
    spread: float
    effect: float
    p_adjusted: float
    n: int
    n_expected: int

    @property
    def differs(self) -> bool:
        """Whether equality is rejected."""
        return self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Outcome:
    """What the runs of one change gave.

    Attributes
    ----------
    variant : Variant
    comparison : Comparison
        By the statistics of validation.
    differences : tuple of Difference
        Empty for the unchanged model.
    means : dict
        By population and statistic: the mean of each run.
    curves : dict
        By population and statistic: order statistics of all runs together.
    numbers : dict
        By population and measure: one number a run.
    spectra, responses : dict
        By population: the mean of all runs.
    example : Recording
        The first run.
    cost : Cost
    statements : tuple of str
        What the runs say of their network.
    notes : tuple of str
        What a reader has to know to read the verdict right.
    """

    variant: Variant
    comparison: Comparison
    differences: tuple[Difference, ...]
    means: Mapping[Key, FloatArray]
    curves: Mapping[Key, FloatArray]
    numbers: Mapping[Key, FloatArray]
    spectra: Mapping[str, Spectrum]
    responses: Mapping[str, FloatArray]
    example: Recording
    cost: Cost
    statements: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def effect(self, population: str, statistic: str) -> float:
        """The change of a mean in standard deviations between seeds; not a number without any."""
        for test in self.comparison.tests:
            if (test.population, test.statistic, test.kind) == (population, statistic, "mean"):
                return test.deviations
        return np.nan

    def differing(self, statistic: str) -> tuple[str, ...]:
        """Populations that differ in a statistic."""
        tests = [t for t in self.comparison.tests if t.statistic == statistic and t.differs]
        return tuple(dict.fromkeys(t.population for t in tests))

    def responding(self, measure: str) -> tuple[str, ...]:
        """Populations that differ in a measure."""
        return tuple(d.population for d in self.differences if d.measure == measure and d.differs)


@dataclass(frozen=True)
class Impact:
    """All changes of a plan.

    Attributes
    ----------
    plan : Plan
    outcomes : tuple of Outcome
        The unchanged model first.
    reference : str
        What they were judged against.
    is_own : bool
        Whether that is the runs of the unchanged model.
    populations : tuple of str
    theory : Prediction or None
        Of the unchanged model.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]
    reference: str
    is_own: bool
    populations: tuple[str, ...]
    theory: Prediction | None


@dataclass(frozen=True)
class _Taken:
    """What was taken of the runs of one change, before it is judged."""

    variant: Variant
    activities: tuple[Activity, ...]
    numbers: Mapping[Key, FloatArray]
    spectra: Mapping[str, Spectrum]
    responses: Mapping[str, FloatArray]
    example: Recording
    runs: tuple[SweepRun, ...]


def assess(
    plan: Plan,
    folder: str | Path,
    *,
    jobs: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Impact:
    """Do what is missing of a plan's runs, and judge all: `perform` and `judge`.

    Examples
    --------
    >>> import tempfile
    >>> plan = Plan((Variant("old", {"v0": "original"}),), backend="mock", seeds=(1, 2), pulses=0,
    ...             parameters={"scale": 0.02}, duration=200.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = assess(plan, folder)
    >>> [outcome.variant.name for outcome in found.outcomes]
    ['unchanged', 'old']
    """
    done = perform(plan, folder, jobs=jobs, threads=threads, overwrite=overwrite, report=report)
    return judge(plan, done)


def perform(
    plan: Plan,
    folder: str | Path,
    *,
    jobs: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Sweep:
    """Do what is missing of a plan's runs.

    Parameters
    ----------
    plan : Plan
    folder : str or Path
        Gets the runs, in a folder ``runs``; a call that was stopped goes on where it was.
    jobs, threads : int, optional
        Runs at once, and threads of each (see `sweep`).
    overwrite : bool
        Do finished runs again.
    report : callable, optional
        Told of each run.

    Returns
    -------
    Sweep
        In the order in which `judge` takes them.

    Raises
    ------
    SimulationError
        If a run failed.
    PortableCortexError
        For what keeps the runs from being done; see `portable_cortex.sweep.sweep`.
    """
    if not load_backend(plan.backend).spiking:
        raise UnsupportedError(
            f"impact looks at spikes, and backend {plan.backend!r} computes rates only: take a "
            "backend that simulates"
        )
    wanted = [e for v in plan.all for e in (*plan.stationary(v), *plan.transient(v))]
    pool = LocalPool(jobs) if jobs is not None else None
    place = Path(folder) / RUNS
    found = sweep(wanted, place, pool=pool, threads=threads, overwrite=overwrite, report=report)
    failed = found.of(FAILED)
    if failed:
        raise SimulationError(
            f"{len(failed)} of {len(found.runs)} runs failed, the first is {failed[0].name}: "
            f"{failed[0].error}; the same command tries them again"
        )
    return found


def judge(plan: Plan, done: Sweep, progress: Callable[[str], None] = lambda text: None) -> Impact:
    """Measure all runs of a plan, and judge each change.

    Parameters
    ----------
    plan : Plan
    done : Sweep
        From `perform`.
    progress : callable, optional
        Told what is looked at.
    """
    runs = iter(done.runs)
    taken = []
    for variant in plan.all:
        own = tuple(next(runs) for _ in plan.stationary(variant))
        pulsed = tuple(next(runs) for _ in plan.transient(variant))
        taken.append(_taken(plan, variant, own, pulsed, progress))
    return _judged(plan, taken, progress)


def _taken(
    plan: Plan,
    variant: Variant,
    runs: tuple[SweepRun, ...],
    pulsed: tuple[SweepRun, ...],
    progress: Callable[[str], None],
) -> _Taken:
    """Read runs one after the other: together they need not fit into memory."""
    activities = []
    numbers: dict[Key, list[float]] = {}
    spectra: dict[str, list[Spectrum]] = {}
    responses: dict[str, list[FloatArray]] = {}

    def add(population: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            numbers.setdefault((population, name), []).append(value)

    for run in runs:
        progress(f"measuring {variant.name}, seed {run.experiment.seed}")
        recording = Recording.load(run.folder)
        # the duration as it was asked for, whatever the rounding of start plus length
        activities.append(replace(measure(recording), duration=plan.duration))
        start, stop = recording.t_start, recording.t_stop
        for label in recording.spike_trains:
            spikes = whole(recording, label)
            spectrum = power_spectrum(spikes, recording.n_neurons[label], start, stop)
            spectra.setdefault(label, []).append(spectrum)
            add(label, of_spectrum(spectrum))
            if spikes.times.size:
                distance = coincidence(spikes, start, stop, run.experiment.seed)
                add(label, {"coincidence": distance})
    for run in pulsed:
        progress(f"responses of {variant.name}, seed {run.experiment.seed}")
        recording = Recording.load(run.folder)
        for label in activities[0].n_neurons:
            times = whole(recording, label).times
            n = recording.n_neurons[label]
            rate = around_pulses(times, n, recording.t_start, recording.t_stop)
            responses.setdefault(label, []).append(rate)
            add(label, of_response(rate))
    return _Taken(
        variant,
        tuple(activities),
        {key: np.array(values) for key, values in numbers.items()},
        {
            label: Spectrum(of[0].frequencies, np.mean([s.power for s in of], axis=0))
            for label, of in spectra.items()
        },
        {label: np.mean(of, axis=0) for label, of in responses.items()},
        Recording.load(runs[0].folder),
        runs,
    )


def _judged(plan: Plan, taken: Sequence[_Taken], progress: Callable[[str], None]) -> Impact:
    base = taken[0]
    about = base.example.metadata
    fitting = fitting_reference(about)
    is_own = fitting is None or not _is_measured_alike(plan, about, fitting)
    if fitting is None or is_own:
        progress("comparing the runs of the unchanged model with each other")
        name = f"the {len(base.activities)} runs of the unchanged model"
        provenance = {"conditions": conditions(about), "seeds": list(plan.seeds)}
        reference = Reference.of(name, provenance, {plan.duration: base.activities})
    else:
        reference = fitting
    outcomes = []
    for one in taken:
        progress(f"judging {one.variant.name}")
        if one is base and is_own:  # by itself it cannot be judged
            reason = "it is what the others are judged by"
            comparison = Comparison(Verdict.UNDECIDED, reason, (), reference.name, plan.duration)
        else:
            comparison = compare(one.activities, reference)
        outcomes.append(
            _outcome(one, comparison, () if one is base else _differences(plan, one, base))
        )
    return Impact(
        plan,
        tuple(outcomes),
        reference.name,
        is_own,
        tuple(base.activities[0].n_neurons),
        predicted(base.example),
    )


def _is_measured_alike(plan: Plan, about: Mapping[str, Any], reference: Reference) -> bool:
    """Whether a reference has the duration, the warm-up and the time step of the runs."""
    stated = reference.provenance
    return plan.duration in reference.durations and all(
        stated.get(name) is None or stated[name] == about.get(name)
        for name in ("warmup_ms", "timestep_ms")
    )


def _outcome(taken: _Taken, comparison: Comparison, differences: tuple[Difference, ...]) -> Outcome:
    keys = taken.activities[0].samples
    samples = {key: [a.samples[key] for a in taken.activities] for key in keys}
    about = [run.metadata for run in taken.runs]
    statements = [s for a in about[:1] for s in a.get("statements", ())]
    return Outcome(
        taken.variant,
        comparison,
        differences,
        {
            key: np.array([s.mean() if s.size else np.nan for s in of])
            for key, of in samples.items()
        },
        {key: sketch(np.concatenate(of), CURVE) for key, of in samples.items()},
        taken.numbers,
        taken.spectra,
        taken.responses,
        taken.example,
        Cost(
            _median(about, building),
            _median(about, lambda m: m["peak_memory_bytes"]),
            _median(about, lambda m: m["real_time_factor"]),
            _median(about, lambda m: m["cpu_s"]["simulate"] / (m["duration_ms"] * 1e-3)),
        ),
        tuple(statements),
        _notes(taken, comparison),
    )


def _notes(taken: _Taken, comparison: Comparison) -> tuple[str, ...]:
    """What was not compared, and what a machine did not do as described."""
    notes = untested(comparison, taken.activities[0].n_neurons) if comparison.tests else ()
    doubts = dict.fromkeys(text for run in taken.runs for text in warnings_of(run.metadata))
    return (*notes, *(f"the network was not run as described: {text}" for text in doubts))


def _median(
    about: Sequence[Mapping[str, Any]], cost: Callable[[Mapping[str, Any]], float]
) -> float:
    return float(statistics.median(map(cost, about)))


def _differences(plan: Plan, taken: _Taken, base: _Taken) -> tuple[Difference, ...]:
    """All measures that both have, adjusted for their number."""
    found = []
    for key in {**taken.numbers, **base.numbers}:
        population, name = key
        values, expected = (of.numbers.get(key, np.empty(0)) for of in (taken, base))
        ours, theirs = values[np.isfinite(values)], expected[np.isfinite(expected)]
        if not theirs.size and not ours.size:
            continue
        p, effect = np.nan, np.nan
        spread = float(theirs.std(ddof=1)) if theirs.size > 1 else np.nan
        scale, grain = MEASURES[name].scale, MEASURES[name].grain
        duration = plan.pulses * EVERY if MEASURES[name].is_of_response else plan.duration
        tail = TAIL * ours.size * duration * 1e-3
        test = between_groups(ours, theirs, scale=scale, grain=grain, tail=tail)
        if test is not None:
            effect, p = test.t * test.error / test.spread, test.two_sided
        found.append(
            Difference(
                population,
                name,
                float(ours.mean()) if ours.size else np.nan,
                float(theirs.mean()) if theirs.size else np.nan,
                spread,
                effect,
                p,
                ours.size,
                theirs.size,
            )
        )
    known = [k for k, d in enumerate(found) if np.isfinite(d.p_adjusted)]
    if known:
        for k, p in zip(
            known, adjusted(np.array([found[k].p_adjusted for k in known])), strict=True
        ):
            found[k] = replace(found[k], p_adjusted=float(p))
    return tuple(found)

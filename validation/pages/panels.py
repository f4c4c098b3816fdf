"""The pictures of a report as numbers: paths and positions that the page's SVG takes as they are.

All lengths are in the units of a panel, `WIDTH` by `HEIGHT`, with y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording
from portable_cortex.recording.figure import INHIBITORY, raster_rows, row_colour
from portable_cortex.theory import Prediction

from ..activity import LOWEST_FREQUENCY, STATISTICS, Activity, power_spectrum, sketch
from ..drawing import Axis, Tick, round_numbers
from ..verdict import Validation, describe

FloatArray = NDArray[np.float64]

WIDTH, HEIGHT = 200.0, 100.0
POINTS = 120  # of a distribution function
RASTER_WIDTH, RASTER_HEIGHT = 1000.0, 420.0
SPECTRUM_STEP = 0.03  # of the logarithm of frequency


@dataclass(frozen=True)
class Panel:
    """One picture; paths are SVG's, empty for what is not there.

    Attributes
    ----------
    population, title : str
    ticks, heights : tuple of Tick
        Below the picture, and as lines across it.
    run, other, band, theory : str
        Paths of this run, of what it is compared with, of the seeds' band, and of theory.
    seeds : tuple of float or None
        Left end and width of the band of the seeds' means.
    mean : float or None
        Where the mean of this run is.
    dots : tuple of float
        Where each seed is, for a statistic of one value a run.
    differs : bool
    text : tuple of str
        Its tests, or where it is highest, in words.
    """

    population: str
    title: str
    ticks: tuple[Tick, ...] = ()
    heights: tuple[Tick, ...] = ()
    run: str = ""
    other: str = ""
    band: str = ""
    theory: str = ""
    seeds: tuple[float, float] | None = None
    mean: float | None = None
    dots: tuple[float, ...] = ()
    differs: bool = False
    text: tuple[str, ...] = ()


def distributions(validation: Validation) -> list[list[Panel]]:
    """Distribution functions: a row a population, a column a statistic.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> distributions(examine("nowhere"))
    []
    """
    activity = validation.activity
    if activity is None:
        return []
    return [
        [_distribution(validation, activity, population, statistic) for statistic in STATISTICS]
        for population in activity.n_neurons
    ]


def _distribution(
    validation: Validation, activity: Activity, population: str, statistic: str
) -> Panel:
    key = population, statistic
    sample = activity.samples.get(key, np.empty(0))
    ensemble = None
    if validation.reference is not None:
        ensemble = validation.reference.ensembles.get((validation.comparison.duration, *key))
    tests = [t for t in validation.comparison.tests if (t.population, t.statistic) == key]
    panel = Panel(
        population,
        STATISTICS[statistic].title,
        differs=any(test.differs for test in tests),
        text=tuple(describe(test) for test in tests),
    )
    pooled: FloatArray | None = None
    means: FloatArray = np.empty(0)
    seed_distance = 0.0
    if validation.other_activity is not None:
        pooled = validation.other_activity.samples.get(key, np.empty(0))
        if ensemble is not None and pooled.size:
            seed_distance = float(ensemble.pairs.max(initial=0.0))
            means = pooled.mean() + np.sqrt(2) * (ensemble.means - ensemble.means.mean())
    elif ensemble is not None:
        pooled, means = ensemble.pool, ensemble.means
        seed_distance = float(ensemble.to_pool.max(initial=0.0))
    return _drawn(
        panel, sample, pooled, means, seed_distance, STATISTICS[statistic].kinds == ("mean",)
    )


def _drawn(
    panel: Panel,
    sample: FloatArray,
    pooled: FloatArray | None,
    means: FloatArray,
    seed_distance: float,
    scalar: bool,
) -> Panel:
    """A panel with its paths."""
    curves = [_ordered(values) for values in (sample, pooled) if values is not None and values.size]
    if not curves:
        return panel
    tail = 0 if scalar else 0.5
    ends = np.concatenate([np.percentile(curve, [tail, 100 - tail]) for curve in curves])
    low, high = float(ends.min()), float(ends.max())
    margin = (0.15 if scalar else 0.04) * (high - low) or 0.5 * abs(low) or 0.5
    axis = Axis(low - margin, high + margin, WIDTH)
    seeds = None
    if means.size:
        left, right = axis.at(float(means.min())), axis.at(float(means.max()))
        seeds = (left, max(right - left, 0.8))
    drawn: dict[str, object] = {
        "ticks": axis.ticks(),
        "seeds": seeds,
        "mean": axis.at(float(sample.mean())) if sample.size else None,
    }
    if scalar:
        others = pooled if pooled is not None else np.empty(0)
        drawn["dots"] = tuple(np.round(axis(others), 2).tolist())
    else:
        # of one value, where rates were computed, there is no distribution
        drawn["heights"] = (Tick(HEIGHT / 2, ""),)
        drawn["run"] = _steps(axis, _ordered(sample)) if sample.size > 1 else ""
        if pooled is not None and pooled.size:
            drawn["other"] = _steps(axis, _ordered(pooled))
            drawn["band"] = _band(axis, _ordered(pooled), seed_distance) if seed_distance else ""
    return Panel(**{**vars(panel), **drawn})


def _ordered(values: FloatArray) -> FloatArray:
    return sketch(values, POINTS)


def _steps(axis: Axis, ordered: FloatArray, shift: float = 0.0, first: str = "M") -> str:
    """An empirical distribution function, raised by `shift`."""
    heights = np.clip(np.arange(1, ordered.size + 1) / ordered.size + shift, 0, 1)
    ys = HEIGHT * (1 - heights)
    start = HEIGHT * (1 - min(max(shift, 0.0), 1.0))
    parts = [f"{first}0 {start:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in zip(axis(ordered), ys, strict=True)]
    return "".join(parts) + f"H{WIDTH:g}"


def _band(axis: Axis, ordered: FloatArray, distance: float) -> str:
    """Where the distribution functions of all seeds lie."""
    heights = np.clip(np.arange(1, ordered.size + 1) / ordered.size - distance, 0, 1)
    ys = HEIGHT * (1 - heights)
    back = [f"L{WIDTH:g} {ys[-1]:.1f}"]
    # from right to left: down at each step, then on to the one before it
    before = np.append(HEIGHT, ys[:-1])
    for x, y in zip(axis(ordered)[::-1], before[::-1], strict=True):
        back.append(f"H{x:.1f}V{y:.1f}")
    return _steps(axis, ordered, distance) + "".join(back) + "H0Z"


def spectra(validation: Validation) -> list[Panel]:
    """Power spectra of the populations' rates, on logarithmic axes.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> spectra(examine("nowhere"))
    []
    """
    recording, activity = validation.recording, validation.activity
    if recording is None or activity is None:
        return []
    return [
        _spectrum(
            label,
            [r for r in (recording, validation.other) if r],
            activity.duration,
            validation.theory,
        )
        for label in recording.spike_trains
    ]


def _spectrum(
    label: str, recordings: Sequence[Recording], duration: float, theory: Prediction | None
) -> Panel:
    curves = []
    for i, recording in enumerate(recordings):
        if label not in recording.spike_trains:
            continue
        t_start = recording.t_start
        n = recording.n_neurons[label]
        spectrum = power_spectrum(recording.pieces(label), n, t_start, t_start + duration)
        seen = (spectrum.frequencies >= LOWEST_FREQUENCY) & (spectrum.power > 0)
        curves.append((i, *_binned(np.log10(spectrum.frequencies[seen]), spectrum.power[seen])))
    curves = [curve for curve in curves if curve[1].size]
    if not curves:
        return Panel(label, "power spectrum")
    frequency = curves[0][1][np.argmax(curves[0][2])]
    powers = np.concatenate([power for _, _, power in curves])
    last = float(max(f.max() for _, f, _ in curves))
    across = Axis(math.log10(LOWEST_FREQUENCY), last, WIDTH)
    up = Axis(float(powers.min()) - 0.1, float(powers.max()) + 0.1, HEIGHT)
    paths = {i: _line(across(f), HEIGHT - up(power)) for i, f, power in curves}
    ticks = [Tick(across.at(math.log10(f)), f"{f}") for f in (2, 5, 10, 20, 50, 100, 200, 500)]
    dashed = ""
    if theory is not None and label in theory.populations:
        power = 2 * theory.spectra.power[:, theory.populations.index(label)]  # one-sided
        x, y = np.log10(theory.frequencies[power > 0]), np.log10(power[power > 0])
        inside = (x >= math.log10(LOWEST_FREQUENCY)) & (x <= last)
        if inside.any():
            dashed = _line(across(x[inside]), np.clip(HEIGHT - up(y[inside]), 0.0, HEIGHT))
    decades = range(math.ceil(up.low), math.floor(up.high) + 1)
    return Panel(
        label,
        "power spectrum",
        ticks=tuple(t for t in ticks if t.at < WIDTH),
        heights=tuple(Tick(HEIGHT - up.at(d), f"{10.0**d:g}") for d in decades),
        run=paths.get(0, ""),
        other=paths.get(1, ""),
        theory=dashed,
        text=(f"highest at {10**frequency:.0f} Hz",),
    )


def _binned(x: FloatArray, power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean power (logarithm) in bins of the logarithm of frequency: less noise at high ones."""
    bins = np.unique(np.floor(x / SPECTRUM_STEP), return_inverse=True)[1]
    n = np.bincount(bins)
    return np.bincount(bins, x) / n, np.log10(np.bincount(bins, power) / n)


def _line(x: FloatArray, y: FloatArray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


@dataclass(frozen=True)
class RasterRow:
    """Spikes of one population: a path of dots."""

    label: str
    top: float
    middle: float
    dots: str
    inhibitory: bool


@dataclass(frozen=True)
class Raster:
    """Spikes of the end of the recording.

    Attributes
    ----------
    n_shown, n_neurons : int
    dot : float
        Height of a dot.
    bar, n_bar : float, int
        Length of a bar, and the neurons that it is high.
    """

    rows: tuple[RasterRow, ...]
    ticks: tuple[Tick, ...]
    n_shown: int
    n_neurons: int
    dot: float
    bar: float
    n_bar: int


def raster(recording: Recording | None) -> Raster | None:
    """The same raster as in ``activity.png``.

    Examples
    --------
    >>> from portable_cortex import run
    >>> raster(run(backend="mock", scale=0.02, duration=100.0)).n_neurons
    1544
    """
    if recording is None or not recording.spike_trains:
        return None
    start, populations = raster_rows(recording)
    n_shown = sum(row.height for row in populations)
    axis = Axis(start, recording.t_stop, RASTER_WIDTH)
    unit = RASTER_HEIGHT / n_shown
    rows = []
    for row in populations:
        ys = RASTER_HEIGHT - (row.rows + 0.5) * unit
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(axis(row.times), ys, strict=True))
        bottom = RASTER_HEIGHT - row.base * unit
        middle = bottom - 0.5 * row.height * unit
        inhibitory = row_colour(row.label) == INHIBITORY
        top = round(bottom - row.height * unit, 2)
        rows.append(RasterRow(row.label, top, round(middle, 2), dots, inhibitory))
    ticks = round_numbers(start, recording.t_stop, 5)
    n_bar = int(max([1.0, *round_numbers(0, 0.3 * n_shown, 2)]))
    return Raster(
        tuple(rows),
        tuple(Tick(axis.at(t), f"{t:g}") for t in ticks),
        n_shown,
        sum(recording.n_neurons.values()),
        round(min(3.0, max(2.0, 1.2 * unit)), 2),
        round(n_bar * unit, 1),
        n_bar,
    )

"""The page on what changes of the model do: all of them in the same pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import __version__

from ..activity import LOWEST_FREQUENCY, STATISTICS
from ..drawing import Axis, Tick
from ..impact import BIN, FIRST, MEASURES, Impact, Outcome
from ..verdict import ALPHA, HEADLINES, change, describe, number, percent
from .curves import Curves, distribution_curves, line
from .filling import fill
from .impact_words import sentences, summary
from .panels import HEIGHT, RASTER_HEIGHT, RASTER_WIDTH, SPECTRUM_STEP, WIDTH, raster
from .report import STRONG, Cell

FloatArray = NDArray[np.float64]

FREQUENCIES = (2, 5, 10, 20, 50, 100, 200, 500)  # Hz, that are written at an axis
SHOWN_BEFORE, SHOWN_AFTER = 5.0, 50.0  # ms around a pulse


def render(impact: Impact) -> str:
    """The page as text."""
    plan = impact.plan
    outcomes = impact.outcomes
    return fill(
        "impact.html",
        {
            "title": f"What changes in {Path(plan.model).stem}",
            "subtitle": " · ".join(
                [
                    *(f"{k} {v}" for k, v in plan.parameters.items()),
                    plan.backend,
                    f"{len(plan.seeds)} seeds of {plan.duration * 1e-3:g} s",
                ]
            ),
            "reference": impact.reference,
            "alpha": f"{100 * ALPHA:g} %",
            "changes": [
                {
                    "name": outcome.variant.name,
                    "number": k,
                    "hue": _hue(k, len(outcomes)),
                    "verdict": outcome.comparison.verdict.name.lower(),
                    "headline": HEADLINES[outcome.comparison.verdict],
                    "judged": bool(outcome.comparison.tests),
                    "sentences": sentences(impact, outcome)[1:],
                    "reason": outcome.comparison.reason,
                    "summary": [summary(impact, outcome, s) for s in STATISTICS],
                    "overview": _overview(impact, outcome),
                    "fitted": outcome.variant.fitted,
                    "statements": outcome.statements,
                    "raster": raster(outcome.example),
                    "cost": (
                        f"{outcome.cost.build:.3g}",
                        f"{outcome.cost.real_time_factor:.3g}",
                        f"{outcome.cost.core_seconds:.3g}",
                        f"{outcome.cost.memory * 1e-9:.3g}",
                    ),
                }
                for k, outcome in enumerate(outcomes)
            ],
            "statistics": list(STATISTICS.values()),
            "populations": impact.populations,
            "distributions": _distributions(impact),
            "spectra": [_spectrum(impact, p) for p in impact.populations],
            "responses": [_response(impact, p) for p in impact.populations]
            if outcomes[0].responses
            else [],
            "measures": _measures(impact),
            "size": {
                "width": WIDTH,
                "height": HEIGHT,
                "across": RASTER_WIDTH,
                "down": RASTER_HEIGHT,
            },
            "version": __version__,
        },
    )


def _hue(number: int, of: int) -> int:
    """Degrees of the colour circle; the unchanged model is grey."""
    return round(210 + 360 * (number - 1) / max(1, of - 1)) % 360


def _overview(impact: Impact, outcome: Outcome) -> list[tuple[str, list[Cell]]]:
    """A row for each population: means, effects, and what differs."""
    rows = []
    for population in impact.populations:
        cells = []
        for statistic in STATISTICS:
            tests = [
                t
                for t in outcome.comparison.tests
                if (t.population, t.statistic) == (population, statistic)
            ]
            of_mean = next((t for t in tests if t.kind == "mean"), None)
            means = outcome.means.get((population, statistic), np.empty(0))
            known = means[np.isfinite(means)]
            t = of_mean.t if of_mean and math.isfinite(of_mean.t) else 0.0
            cells.append(
                Cell(
                    mean=number(float(known.mean())) if known.size else "–",
                    change=percent(change(of_mean), signed=True) if of_mean else "",
                    strength=round(100 * min(1.0, abs(t) / STRONG)),
                    high=t > 0,
                    differs=any(test.differs for test in tests),
                    text="\n".join(describe(test) for test in tests),
                )
            )
        rows.append((population, cells))
    return rows


def _distributions(impact: Impact) -> list[tuple[str, list[Curves]]]:
    shown = [s for s in STATISTICS.values() if "distribution" in s.kinds]
    return [
        (s.title + (f" ({s.units})" if s.units else ""),
         [_distribution(impact, p, s.name) for p in impact.populations])
        for s in shown
    ]  # fmt: skip


def _distribution(impact: Impact, population: str, statistic: str) -> Curves:
    none: FloatArray = np.empty(0)
    samples = [o.curves.get((population, statistic), none) for o in impact.outcomes]
    return distribution_curves(population, samples)


def _spectrum(impact: Impact, population: str) -> Curves:
    found = []
    for k, outcome in enumerate(impact.outcomes):
        spectrum = outcome.spectra.get(population)
        if spectrum is None:
            continue
        seen = (spectrum.frequencies >= LOWEST_FREQUENCY) & (spectrum.power > 0)
        if seen.any():
            x = np.log10(spectrum.frequencies[seen])
            found.append((k, x, np.log10(spectrum.power[seen])))
    if not found:
        return Curves(population, (), ())
    binned = [(k, *_binned(x, y)) for k, x, y in found]
    across = Axis(math.log10(LOWEST_FREQUENCY), max(float(x.max()) for _, x, _ in binned), WIDTH)
    low = min(float(y.min()) for _, _, y in binned) - 0.1
    high = max(float(y.max()) for _, _, y in binned) + 0.1
    up = Axis(low, high, HEIGHT)
    theory = ""
    if impact.theory is not None and population in impact.theory.populations:
        place = impact.theory.populations.index(population)
        power = 2 * impact.theory.spectra.power[:, place]  # one-sided
        at: FloatArray = np.asarray(impact.theory.frequencies, np.float64)
        some = (power > 0) & (at >= LOWEST_FREQUENCY)
        if some.any():
            log_power: FloatArray = np.log10(np.asarray(power[some], np.float64))
            theory = line(across(np.log10(at[some])), HEIGHT - up(log_power))
    ticks = tuple(Tick(across.at(math.log10(f)), f"{f}") for f in FREQUENCIES)
    return Curves(
        population,
        tuple(t for t in ticks if t.at < WIDTH),
        tuple((k, line(across(x), HEIGHT - up(y))) for k, x, y in binned),
        theory,
        f"{number(10**high, 2)} (spikes/s)²/Hz",
    )


def _binned(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    bins = np.unique(np.floor(x / SPECTRUM_STEP), return_inverse=True)[1]
    n = np.bincount(bins)
    return np.bincount(bins, x) / n, np.bincount(bins, y) / n


def _response(impact: Impact, population: str) -> Curves:
    begin = round((FIRST - SHOWN_BEFORE) / BIN)
    end = round((FIRST + SHOWN_AFTER) / BIN)
    rates = [(k, o.responses[population][begin:end]) for k, o in enumerate(impact.outcomes)]
    highest = max(float(rate.max()) for _, rate in rates) or 1.0
    across, up = Axis(-SHOWN_BEFORE, SHOWN_AFTER, WIDTH), Axis(0.0, highest, HEIGHT)
    times = -SHOWN_BEFORE + BIN * (np.arange(end - begin, dtype=np.float64) + 0.5)
    lines = tuple((k, line(across(times), HEIGHT - up(rate))) for k, rate in rates)
    return Curves(population, across.ticks(), lines, "", f"{number(highest, 2)} spikes/s")


def _measures(impact: Impact) -> list[dict[str, Any]]:
    """A table for each measure: a row a change, a cell a population."""
    tables = []
    for name, measure in MEASURES.items():
        rows = []
        for k, outcome in enumerate(impact.outcomes):
            differs = outcome.responding(name)
            cells = []
            for population in impact.populations:
                values = outcome.numbers.get((population, name), np.empty(0))
                known = values[np.isfinite(values)]
                text = number(float(known.mean())) if known.size else "–"
                if known.size > 1:
                    text += f" ± {number(float(known.std(ddof=1)), 2)}"
                cells.append((text, population in differs))
            rows.append((k, cells))
        if any(cell[0] != "–" for _, cells in rows for cell in cells):
            units = f" ({measure.units})" if measure.units else ""
            tables.append({"title": measure.title + units, "rows": rows})
    return tables

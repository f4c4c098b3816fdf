"""The page of a scoreboard: the verdicts first, then activity in the same pictures, then cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import __version__

from ..activity import STATISTICS, sketch
from ..cost import CHART_HEIGHT, CHART_WIDTH, FAMILIES, MARKERS, Chart, charts
from ..scoreboard import Row, Scoreboard
from ..verdict import (
    ALPHA,
    CONFIDENCE,
    HEADLINES,
    POWER,
    change,
    describe,
    number,
    percent,
    power,
    reference_sentence,
)
from .cost_section import is_full_scale, star
from .curves import Curves, distribution_curves
from .deviations import ACROSS, ROW, deviations, means_of, populations_of
from .filling import fill
from .panels import HEIGHT, WIDTH
from .scoreboard_words import (
    NONE,
    differences,
    energy,
    headline,
    notes,
    place,
    reason,
    same_network,
)

FloatArray = NDArray[np.float64]

SHOWN = ("rate", "cv", "cc")  # statistics with pictures; `validate --report` has all of them
POINTS = 60  # of a distribution function
COLOURS = 6  # that the template has; more backends begin again
SHAPES = (  # of the backends, around a point
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "M-4 -4h8v8h-8z",
    "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    "M0 -5.5l5.2 9.5h-10.4z",
    "M0 5.5l5.2 -9.5h-10.4z",
    "M-5 -1.7h3.3v-3.3h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3z",
)


def render(board: Scoreboard) -> str:
    """The page as text.

    Examples
    --------
    >>> "Could not tell" in render(Scoreboard(()))
    True
    """
    return fill("scoreboard.html", _content(board))


def _content(board: Scoreboard) -> dict[str, Any]:
    checks = [row.validation.self_check for row in board.rows]
    stars, full_scale = _charts(board)
    return {
        "title": _title(board),
        "subtitle": _subtitle(board),
        "verdict": board.verdict.name.lower(),
        "headline": headline(board),
        "reason": reason(board),
        "rows": [_row(k, row) for k, row in enumerate(board.rows, 1)],
        "absent": board.absent,
        "notes": notes(board),
        "seen": [STATISTICS[s].title for s in SHOWN],
        "likely": f"{100 * POWER:.0f} times in 100",
        "alpha": f"{100 * ALPHA:g} %",
        "alphas": f"{100 * ALPHA * len(board.rows):g} %",
        "confidence": f"{100 * CONFIDENCE:g} %",
        "reference_sentence": reference_sentence(next(filter(None, checks), None)),
        "deviations": [d for d in (deviations(board, s) for s in SHOWN) if d.points],
        "rates": _rates(board),
        "distributions": _distributions(board),
        "beside": next((r.agreement.beside for r in board.rows if r.agreement), ""),
        "same_network": _same_network(board),
        "spendings": _spendings(board),
        "charts": stars,
        "full_scale": full_scale,
        "places": [(row.name, place(row)) for row in board.rows if place(row)],
        "families": {name.lower(): name for name in FAMILIES},
        "markers": MARKERS,
        "shapes": SHAPES,
        "colours": range(1, COLOURS + 1),
        "provenance": _provenance(board),
        "size": {"width": WIDTH, "height": HEIGHT, "across": ACROSS, "row": ROW},
        "chart": {"width": CHART_WIDTH, "height": CHART_HEIGHT},
        "version": __version__,
    }


def _title(board: Scoreboard) -> str:
    model = Path(str(board.first.get("model", "No model"))).stem
    n = len(board.rows)
    return f"{model} on {n} backend{'' if n == 1 else 's'}"


def _subtitle(board: Scoreboard) -> str:
    parameters = board.first.get("parameters")
    given = parameters.items() if isinstance(parameters, Mapping) else ()
    parts = [f"{k} {v}" for k, v in given if k in ("scale", "drive")]
    runs = {len(row.validation.folders) for row in board.rows}
    if len(runs) == 1:
        parts.append(f"{next(iter(runs))} run{'s' * (runs != {1})} of each")
    durations = {row.validation.comparison.duration for row in board.rows} - {0.0}
    parts += [f"{duration * 1e-3:g} s" for duration in sorted(durations)]
    return " · ".join(parts)


def _row(number_: int, row: Row) -> dict[str, Any]:
    comparison = row.validation.comparison
    sees = power(comparison)
    return {
        "number": number_,
        "colour": (number_ - 1) % COLOURS + 1,
        "name": row.name,
        "version": row.version,
        "verdict": comparison.verdict.name.lower(),
        "headline": HEADLINES[comparison.verdict],
        "reason": comparison.reason,
        "seen": [percent(sees.get(statistic)) for statistic in SHOWN],
        "runs": len(row.validation.folders),
        "failures": len(row.failures),
        "same_network": same_network(row.agreement),
        "differences": differences(row),
    }


def _rates(board: Scoreboard) -> list[dict[str, Any]]:
    """Mean rates: a row a population, a cell a backend."""
    published = board.first.get("published_rates")
    table = []
    for population in populations_of(board):
        cells, expected = [], NONE
        for row in board.rows:
            activity = row.validation.activity
            sample = activity.samples.get((population, "rate")) if activity else None
            test = means_of(row, "rate").get(population)
            if test is not None and expected == NONE:
                expected = f"{number(test.expected)} ± {number(test.spread, 2)}"
            cells.append(
                {
                    "mean": number(float(sample.mean())) if sample is not None else NONE,
                    "change": percent(change(test), signed=True) if test else "",
                    "differs": bool(test and test.differs),
                    "text": describe(test) if test else "",
                }
            )
        known = published.get(population) if isinstance(published, Mapping) else None
        table.append(
            {
                "population": population,
                "published": number(known) if isinstance(known, float | int) else "",
                "expected": expected,
                "cells": cells,
            }
        )
    return table


def _distributions(board: Scoreboard) -> list[tuple[str, list[Curves]]]:
    """The reference first, then the backends in turn."""
    return [
        (
            STATISTICS[s].title + (f" ({STATISTICS[s].units})" if STATISTICS[s].units else ""),
            [distribution_curves(p, _samples(board, p, s)) for p in populations_of(board)],
        )
        for s in SHOWN
    ]


def _samples(board: Scoreboard, population: str, statistic: str) -> list[FloatArray]:
    none: FloatArray = np.empty(0)
    reference = none
    samples = []
    for row in board.rows:
        validation = row.validation
        if validation.reference is not None:
            key = validation.comparison.duration, population, statistic
            ensemble = validation.reference.ensembles.get(key)
            reference = ensemble.pool if ensemble is not None else reference
        elif validation.other_activity is not None:
            reference = validation.other_activity.samples.get((population, statistic), none)
        activity = validation.activity
        # of one value, where rates were computed, there is no distribution
        known = {} if activity is None or activity.has_means_only else activity.samples
        samples.append(known.get((population, statistic), none))
    return [sketch(sample, POINTS) for sample in (reference, *samples)]


def _same_network(board: Scoreboard) -> list[dict[str, Any]]:
    table = []
    for row in board.rows:
        agreement = row.agreement
        if agreement is None:
            continue
        pairing = agreement.pairing
        if agreement.is_identical:
            spikes = f"identical over {agreement.duration:g} ms"
        elif not pairing.deterministic:
            spikes = "not comparable: the input is random"
        elif pairing.first_difference is None:
            spikes = "none"
        else:
            spikes = f"equal until {pairing.first_difference:g} ms"
        table.append(
            {
                "name": row.name,
                "spikes": spikes,
                "rates": {
                    r.population: (
                        number(r.correlation, 4),
                        f"bias {number(r.bias)} ± {number(r.bias_error)} spikes/s",
                    )
                    for r in pairing.rates
                },
            }
        )
    return table


def _spendings(board: Scoreboard) -> list[dict[str, Any]]:
    """Cells of the table of costs: text, and the percent of the largest of the column."""
    columns: list[list[float | None]] = [
        [row.spending.compile for row in board.rows],
        [row.spending.build for row in board.rows],
        [row.spending.real_time_factor for row in board.rows],
        [row.spending.core_seconds for row in board.rows],
        [_scaled(row.spending.memory, 1e-9) for row in board.rows],
    ]
    shares = [_shares(column) for column in columns]
    return [
        {
            "name": row.name,
            "cells": [
                (_number(column[k]), share[k])
                for column, share in zip(columns, shares, strict=True)
            ],
            "energy": _energy(row),
            "trouble": row.spending.trouble,
        }
        for k, row in enumerate(board.rows)
    ]


def _number(value: float | None) -> str:
    return NONE if value is None else number(value)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _shares(values: Sequence[float | None]) -> list[float]:
    largest = max((v for v in values if v is not None), default=0.0)
    return [round(100 * v / largest, 1) if v and largest > 0 else 0.0 for v in values]


def _energy(row: Row) -> tuple[str, str]:
    """Energy, and what kind of number it is."""
    spent = row.spending.energy
    if spent is None:
        return "not known", "no meter"
    unit = "µJ" if row.spending.energy_per_event is not None else ""
    value = energy(row).replace(f" {spent.kind}", f" {unit}".rstrip())
    label = ", ".join(part for part in (spent.kind, spent.scope, spent.source) if part)
    return value, f"{label}: {spent.note}" if spent.note else label


def _charts(board: Scoreboard) -> tuple[tuple[Chart, ...], bool]:
    """The published machines with a star for each backend; and whether these can be compared."""
    stars = [(row, row.spending.star) for row in board.rows if row.spending.star is not None]
    of_model = [(row, *s) for row, s in stars if s is not None and s[0].get("model") == "pd14"]
    drawn = [star(row.name, metadata, cost) for row, metadata, cost in of_model]
    known = [one for one in drawn if one is not None]
    if not known:
        return (), False
    full_scale = all(is_full_scale(metadata.get("parameters")) for _, metadata, _ in of_model)
    return charts(known, full_scale), full_scale


def _provenance(board: Scoreboard) -> list[tuple[str, str]]:
    first = board.first
    computer = first.get("computer")
    facts = []
    if isinstance(computer, Mapping):
        memory = computer.get("memory_bytes")
        size = f", {memory * 1e-9:.0f} GB" if isinstance(memory, int | float) else ""
        facts.append(
            ("computer", f"{computer.get('processor')}, {computer.get('cores')} cores{size}")
        )
    for row in board.rows:
        recording = row.validation.recording
        metadata = recording.metadata if recording is not None else {}
        options = metadata.get("options")
        shown = options if isinstance(options, Mapping) else {}
        parts = [row.version, *(f"{k} {v}" for k, v in shown.items() if k == "threads")]
        names = [Path(folder).name for folder in row.validation.folders]
        facts.append((row.name, ", ".join([*filter(None, parts), *names])))
    references = (row.validation.reference for row in board.rows)
    for reference in {r.name: r for r in references if r is not None}.values():
        seeds = reference.provenance.get("seeds")
        n = f"{len(seeds)} seeds of " if isinstance(seeds, list) else ""
        facts.append(
            (reference.name, f"{n}{reference.provenance.get('backend', 'unknown origin')}")
        )
    return facts

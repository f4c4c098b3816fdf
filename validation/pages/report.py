"""A validation as one page: no scripts, nothing loaded from elsewhere, light and dark, printable.

What comes from ``run.json`` is text to this module and to the template, which escapes all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portable_cortex import __version__
from portable_cortex.recording.figure import shown_parameters

from ..activity import STATISTICS
from ..cost import CHART_HEIGHT, CHART_WIDTH, FAMILIES, MARKERS
from ..verdict import (
    ALPHA,
    CONFIDENCE,
    HEADLINES,
    Test,
    Validation,
    change,
    describe,
    detectable,
    number,
    percent,
    power,
    power_sentence,
    reference_sentence,
)
from .cost_section import account
from .filling import fill, write_text
from .panels import HEIGHT, RASTER_HEIGHT, RASTER_WIDTH, WIDTH, distributions, raster, spectra
from .theory_section import theory_rows

MOST_ROWS, MOST_TEXT = 200, 300  # of a provenance table, and characters of a value in it
STRONG = 10.0  # standard errors that are shown in the strongest colour


@dataclass(frozen=True)
class Cell:
    """One statistic of one population in the overview.

    Attributes
    ----------
    mean, change : str
    strength : int
        Percent of the colour.
    high, differs : bool
    text : str
        All its tests in words.
    """

    mean: str
    change: str
    strength: int
    high: bool
    differs: bool
    text: str


def write_report(validation: Validation, path: str | Path) -> Path:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> write_report(examine("nowhere"), "/proc/no/report.html")
    Traceback (most recent call last):
        ...
    portable_cortex.errors.OutputError: the report could not be written to /proc/no/report.html: ...
    """
    return write_text(Path(path), render(validation), "report")


def render(validation: Validation) -> str:
    """The page as text.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> "Could not tell" in render(examine("nowhere"))
    True
    """
    return fill("report.html", _content(validation))


def _content(validation: Validation) -> dict[str, Any]:
    """Everything that the template shows."""
    comparison, reference = validation.comparison, validation.reference
    metadata = validation.recording.metadata if validation.recording else {}
    return {
        "title": _title(metadata),
        "subtitle": _subtitle(validation, metadata),
        "verdict": comparison.verdict.name.lower(),
        "headline": HEADLINES[comparison.verdict],
        "comparison": comparison,
        "notes": validation.notes,
        "power": {STATISTICS[s].title: percent(x) for s, x in power(comparison).items()},
        "power_sentence": power_sentence(comparison),
        "reference_sentence": reference_sentence(validation.self_check),
        "alpha": f"{100 * ALPHA:g} %",
        "confidence": f"{100 * CONFIDENCE:g} %",
        "statistics": list(STATISTICS.values()),
        "overview": _overview(validation),
        "distributions": distributions(validation),
        "spectra": spectra(validation),
        "raster": raster(validation.recording),
        "beside": validation.beside,
        "theory": theory_rows(validation),
        "theory_notes": validation.theory.notes if validation.theory else (),
        "pairing": validation.pairing,
        "other": "the other recording" if validation.other else "reference",
        "has_other": validation.other is not None,
        "calibrated": bool(comparison.tests) and math.isfinite(comparison.tests[0].p),
        "account": account(validation.recording, validation.other),
        "families": {name.lower(): name for name in FAMILIES},
        "markers": MARKERS,
        "n_runs": len(validation.folders),
        "provenance": {
            "This run": _table({"folder": validation.folders[0], **_shown(metadata)})
            if metadata
            else [],
            "The other run": _table(_shown(validation.other.metadata)) if validation.other else [],
            "Reference": _table({"name": reference.name, **reference.provenance})
            if reference
            else [],
        },
        "tests": [_row(test) for test in comparison.tests],
        "size": {"width": WIDTH, "height": HEIGHT, "across": RASTER_WIDTH, "down": RASTER_HEIGHT},
        "chart": {"width": CHART_WIDTH, "height": CHART_HEIGHT},
        "version": __version__,
    }


def _title(metadata: Mapping[str, Any]) -> str:
    if not metadata:
        return "No recording"
    return f"{Path(str(metadata.get('model', 'recording'))).stem} on {metadata.get('backend', '?')}"


def _subtitle(validation: Validation, metadata: Mapping[str, Any]) -> str:
    shown = shown_parameters(metadata)
    if "seed" in metadata and len(validation.folders) == 1:
        shown.append(f"seed {metadata['seed']}")
    if validation.comparison.duration:
        shown.append(f"{validation.comparison.duration * 1e-3:g} s")
    return " · ".join([*shown, validation.name])


def _overview(validation: Validation) -> list[tuple[str, list[Cell]]]:
    activity = validation.activity
    if activity is None:
        return []
    tests: dict[tuple[str, str], list[Test]] = {}
    for test in validation.comparison.tests:
        tests.setdefault((test.population, test.statistic), []).append(test)
    return [
        (
            population,
            [
                _cell(
                    activity.samples.get((population, statistic)),
                    tests.get((population, statistic), []),
                )
                for statistic in STATISTICS
            ],
        )
        for population in activity.n_neurons
    ]


def _cell(sample: Any, tests: list[Test]) -> Cell:
    mean = number(float(sample.mean())) if sample is not None and sample.size else "–"
    of_mean = [test for test in tests if test.kind == "mean"]
    t = of_mean[0].t if of_mean and math.isfinite(of_mean[0].t) else 0.0
    return Cell(
        mean=mean,
        change=percent(change(of_mean[0]), signed=True) if of_mean else "",
        strength=round(100 * min(1.0, abs(t) / STRONG)),
        high=t > 0,
        differs=any(test.differs for test in tests),
        text="\n".join(describe(test) for test in tests),
    )


def _row(test: Test) -> dict[str, Any]:
    return {
        "differs": test.differs,
        "names": (test.population, test.statistic, test.kind),
        "numbers": (
            number(test.value),
            number(test.expected),
            number(test.spread),
            percent(change(test), signed=True),
            percent(detectable(test)),
            number(test.t),
            number(test.p, 2),
            number(test.p_adjusted, 2),
            number(test.wasserstein),
            number(test.kl),
            number(test.effect_size),
        ),
    }


def _shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is not in a section of its own."""
    elsewhere = (
        "populations",
        "rates",
        "published_rates",
        "phases_s",
        "real_time_factor",
        "energy",
    )
    return {key: value for key, value in metadata.items() if key not in elsewhere}


def _table(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in _flat(entries):
        if len(rows) == MOST_ROWS:
            return [*rows, ("…", "more than is shown here")]
        text = f"{value:,}" if isinstance(value, int) and value >= 100_000 else str(value)
        short = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"
        rows.append((str(key)[:MOST_TEXT], short))
    return rows


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested mappings, with its path."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value

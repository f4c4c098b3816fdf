"""What a change does to a network, in words, in Markdown and as JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..activity import STATISTICS
from ..impact import MEASURES, Difference, Impact, Outcome
from ..verdict import ALL, HEADLINES, Verdict, change, describe, detectable, number, percent, power

ABBREVIATIONS = {
    "rate": "rate", "cv": "CV", "lv": "LV", "cc": "CC", "synchrony": "synchrony",
    "complexity": "active neurons", "centroid": "centroid",
}  # fmt: skip


def sentences(impact: Impact, outcome: Outcome) -> tuple[str, ...]:
    """The verdict on one change: what tells it apart, and what cannot."""
    comparison = outcome.comparison
    notes = [f"Note: {note}." for note in outcome.notes]
    if outcome is impact.outcomes[0] and impact.is_own:
        return (f"{outcome.variant.name}: {comparison.reason}.", *notes)
    found = [
        f"{outcome.variant.name}: {HEADLINES[comparison.verdict].lower()}, {comparison.reason}."
    ]
    found += notes
    if comparison.verdict is Verdict.UNDECIDED:
        return tuple(found)
    tested = {t.statistic for t in comparison.tests}
    apart, same = [], []
    for name, statistic in STATISTICS.items():
        differing = [p for p in outcome.differing(name) if p != ALL]
        if differing:
            apart.append(f"{statistic.title} ({_named(impact, differing)})")
        elif outcome.differing(name):
            apart.append(f"{statistic.title} (all populations together)")
        elif name in tested:
            same.append(name)
    untested = [STATISTICS[name].title for name in STATISTICS if name not in tested]
    if apart:
        found.append(f"Told apart by {', '.join(apart)}.")
    if same:
        found.append(f"Not told apart by {', '.join(_with_power(outcome, name) for name in same)}.")
    if untested:
        found.append(f"Not tested, for want of spikes or seeds: {', '.join(untested)}.")
    beyond = [
        f"{MEASURES[name].title} ({_named(impact, outcome.responding(name))})"
        for name in MEASURES
        if outcome.responding(name)
    ]
    if beyond:
        found.append(f"Also other than in the unchanged model: {'; '.join(beyond)}.")
    missing = _missing(outcome)
    if missing:
        found.append(f"Not in all runs, and compared in those that have it: {missing}.")
    return tuple(found)


def _missing(outcome: Outcome) -> str:
    """Measures that more of the changed runs lack than of the unchanged, or fewer."""
    return "; ".join(
        f"{MEASURES[d.measure].title} in {d.population} ({d.n} runs, {d.n_expected} unchanged)"
        for d in outcome.differences
        if d.n != d.n_expected
    )


def _named(impact: Impact, populations: tuple[str, ...] | list[str]) -> str:
    every = len(populations) == len(impact.populations)
    return "all populations" if every else ", ".join(populations)


def _with_power(outcome: Outcome, statistic: str) -> str:
    """A statistic, and the change that would have been seen."""
    title = STATISTICS[statistic].title
    seen = [
        detectable(t)
        for t in outcome.comparison.tests
        if t.statistic == statistic and detectable(t)
    ]
    if not seen:
        return title
    median = float(np.median([s for s in seen if s is not None]))
    return f"{title} (a change of {percent(median)} would have been seen)"


def markdown(impact: Impact) -> str:
    """The tables of a page, for a document."""
    plan = impact.plan
    n = len(impact.populations)
    lines = [
        f"{len(plan.seeds)} seeds of {plan.duration * 1e-3:g} s each on {plan.backend}, judged "
        f"against {impact.reference}. In a column: populations (of {n}) that differ, and the "
        "largest change of a mean in standard deviations between seeds.",
        "",
        "| | tests that differ | " + " | ".join(ABBREVIATIONS.values()) + " |",
        "|---|---" + "|---" * len(ABBREVIATIONS) + "|",
    ]
    for outcome in impact.outcomes:
        tests = outcome.comparison.tests
        cells = [summary(impact, outcome, name) for name in ABBREVIATIONS]
        count = f"{len(outcome.comparison.different)} of {len(tests)}" if tests else "–"
        lines.append(f"| {outcome.variant.name} | {count} | " + " | ".join(cells) + " |")
    lines += ["", "Rates, spikes/s, mean over seeds:", ""]
    lines += ["| | " + " | ".join(impact.populations) + " |", "|---" + "|---" * n + "|"]
    for outcome in impact.outcomes:
        rates = [number(float(np.mean(outcome.means[p, "rate"]))) for p in impact.populations]
        lines.append(f"| {outcome.variant.name} | " + " | ".join(rates) + " |")
    lines += ["", "Oscillations, coincidences and responses to thalamic pulses, mean over seeds "
              "(**bold**: differs from the unchanged model):", ""]  # fmt: skip
    for name, measure in MEASURES.items():
        rows = [_measured(impact, outcome, name) for outcome in impact.outcomes]
        if not any(any(row) for row in rows):
            continue
        units = f" ({measure.units})" if measure.units else ""
        lines += [f"| {measure.title}{units} | " + " | ".join(impact.populations) + " |",
                  "|---" + "|---" * n + "|"]  # fmt: skip
        for outcome, row in zip(impact.outcomes, rows, strict=True):
            lines.append(f"| {outcome.variant.name} | " + " | ".join(row) + " |")
        lines.append("")
    lines += ["Cost, medians:", "", "| | build (s) | real-time factor | core-seconds per s | "
              "memory (GB) |", "|---|---|---|---|---|"]  # fmt: skip
    for outcome in impact.outcomes:
        cost = outcome.cost
        lines.append(
            f"| {outcome.variant.name} | {cost.build:.3g} | {cost.real_time_factor:.3g} | "
            f"{cost.core_seconds:.3g} | {cost.memory * 1e-9:.3g} |"
        )
    lines.append("")
    for outcome in impact.outcomes:
        lines += [" ".join(sentences(impact, outcome)), ""]
    return "\n".join(lines)


def summary(impact: Impact, outcome: Outcome, statistic: str) -> str:
    """How many populations differ, and the largest change of a mean in standard deviations."""
    if not outcome.comparison.tests:
        return "–"
    differing = [p for p in outcome.differing(statistic) if p != ALL]
    effects = [outcome.effect(p, statistic) for p in impact.populations]
    known = [e for e in effects if math.isfinite(e)]
    largest = max(known, key=abs, default=math.nan)
    size = f"{largest:+.0f}" if abs(largest) >= 10 else f"{largest:+.2g}"
    return f"{len(differing)}" + (f", {size}" if known else "")


def _measured(impact: Impact, outcome: Outcome, name: str) -> list[str]:
    bold = outcome.responding(name)
    row = []
    for population in impact.populations:
        values = outcome.numbers.get((population, name), np.empty(0))
        known = values[np.isfinite(values)]
        text = number(float(known.mean())) if known.size else ""
        row.append(f"**{text}**" if population in bold else text)
    return row


def to_dict(impact: Impact) -> dict[str, Any]:
    """All numbers, as JSON takes them."""
    return {
        "model": impact.plan.model,
        "parameters": dict(impact.plan.parameters),
        "backend": impact.plan.backend,
        "seeds": list(impact.plan.seeds),
        "duration_ms": impact.plan.duration,
        "reference": impact.reference,
        "changes": [_outcome(impact, outcome) for outcome in impact.outcomes],
    }


def _outcome(impact: Impact, outcome: Outcome) -> dict[str, Any]:
    tests = outcome.comparison.tests
    found = {(d.population, d.measure): d for d in outcome.differences}
    return {
        "name": outcome.variant.name,
        "parameters": dict(outcome.variant.parameters),
        "fitted": outcome.variant.fitted,
        "statements": list(outcome.statements),
        "verdict": outcome.comparison.verdict.name.lower(),
        "sentences": list(sentences(impact, outcome)),
        "notes": list(outcome.notes),
        "power": power(outcome.comparison),
        "tests": [
            {
                "population": t.population,
                "statistic": t.statistic,
                "kind": t.kind,
                "value": _finite(t.value),
                "expected": _finite(t.expected),
                "spread": _finite(t.spread),
                "change": change(t),
                "t": _finite(t.t),
                "p": _finite(t.p_adjusted),
                "differs": t.differs,
                "text": describe(t),
            }
            for t in tests
        ],
        "measures": [
            {
                "population": p,
                "measure": m,
                "values": [_finite(float(v)) for v in values],
                **_beside(found.get((p, m))),
            }
            for (p, m), values in outcome.numbers.items()
        ],
        "cost": vars(outcome.cost),
    }


def _beside(difference: Difference | None) -> dict[str, Any]:
    """A measure beside the unchanged model's; empty where there is nothing to compare."""
    if difference is None:
        return {}
    return {
        "expected": _finite(difference.expected),
        "spread": _finite(difference.spread),
        "effect": _finite(difference.effect),
        "p": _finite(difference.p_adjusted),
        "differs": difference.differs,
        "runs": difference.n,
        "runs_unchanged": difference.n_expected,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

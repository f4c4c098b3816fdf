"""A validation in a notebook: verdict, means beside the reference's, and what differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from ..activity import STATISTICS
from .comparison import Test, Verdict
from .words import SHORT, clean, describe, headline, number, power_sentence, reference_sentence

if TYPE_CHECKING:
    from .examination import Validation

COLOURS = {Verdict.AGREES: "#2e8b57", Verdict.DIFFERS: "#d1495b", Verdict.UNDECIDED: "#c98a00"}
SHOWN = ("rate", "cv", "cc")
MOST_ROWS, MOST_DIFFERENT = 30, 6
RIGHT = 'style="text-align:right;white-space:nowrap"'
LEFT = 'style="text-align:left;white-space:nowrap"'


def to_html(validation: Validation) -> str:
    """The verdict in a sentence, a table of means, and the power; colours of any theme.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> "Could not tell: nowhere holds no run" in to_html(examine("nowhere"))
    True
    """
    comparison = validation.comparison
    colour = COLOURS[comparison.verdict]
    parts = [
        f'<p style="border-left:0.5em solid {colour};padding-left:0.6em">'
        f"<b>{_text(headline(comparison))}</b></p>",
        *(f"<p>Note: {_text(note)}.</p>" for note in validation.notes),
        _means(validation),
    ]
    different = comparison.different
    if different:
        lines = [f"<li>{_text(describe(test))}</li>" for test in different[:MOST_DIFFERENT]]
        if len(different) > MOST_DIFFERENT:
            lines.append(f"<li>… and {len(different) - MOST_DIFFERENT} more</li>")
        parts.append(f"<ul>{''.join(lines)}</ul>")
    for sentence in (power_sentence(comparison), reference_sentence(validation.self_check)):
        parts += [f"<p>{_text(sentence)}</p>"] if sentence else []
    return f"<div>{''.join(parts)}</div>"


def _means(validation: Validation) -> str:
    """Mean of each population, and of the reference's seeds with their standard deviation."""
    tests: Mapping[tuple[str, str], Test] = {
        (test.population, test.statistic): test
        for test in validation.comparison.tests
        if test.kind == "mean" and math.isfinite(test.p)
    }
    statistics = [name for name in SHOWN if any(key[1] == name for key in tests)]
    populations = list(dict.fromkeys(key[0] for key in tests))
    if not statistics:
        return ""
    head = "".join(
        f"<th {RIGHT}>{SHORT.get(name, name)}</th><th {LEFT}>reference</th>" for name in statistics
    )
    rows = []
    for population in populations[:MOST_ROWS]:
        cells = [f"<td {RIGHT}>{_text(population)}</td>"]
        for name in statistics:
            test = tests.get((population, name))
            if test is None:
                cells.append("<td></td><td></td>")
                continue
            value = number(test.value)
            if test.differs:
                value = f'<b style="color:{COLOURS[Verdict.DIFFERS]}">≠ {value}</b>'
            spread = f"{number(test.expected)} ± {number(test.spread, 2)}"
            cells.append(f"<td {RIGHT}>{value}</td><td {LEFT}>{spread}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    units = ", ".join(
        f"{SHORT.get(n, n)}: {STATISTICS[n].title}"
        + (f" ({STATISTICS[n].units})" if STATISTICS[n].units else "")
        for n in statistics
    )
    return (
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>Means of {validation.comparison.duration:g} ms, beside mean and standard deviation of "
        f"the reference's seeds. {escape(units)}.</p>"
    )


def _text(value: object) -> str:
    return escape(clean(value))

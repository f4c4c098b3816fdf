"""A validation in a terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..activity import STATISTICS
from ..verdict import (
    HEADLINES,
    SHORT,
    Validation,
    Verdict,
    clean,
    describe,
    number,
    power_sentence,
    reference_sentence,
)
from .theory_section import theory_rows

COLOURS = {Verdict.AGREES: "green", Verdict.DIFFERS: "red", Verdict.UNDECIDED: "yellow"}
MARK = "≠"


def show(validation: Validation, console: Console) -> None:
    """Print verdict, means, the tests that differ, and the power.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> show(examine("nowhere"), Console())
    Could not tell: nowhere holds no run: there is no run.json in it.
    """
    comparison = validation.comparison
    headline = HEADLINES[comparison.verdict]
    _line(console, (headline, f"bold {COLOURS[comparison.verdict]}"), f": {comparison.reason}.")
    for note in validation.notes:
        _line(console, ("Note", "yellow"), f": {note}.")
    if validation.activity:
        console.print(means(validation))
    for test in comparison.different:
        _line(console, (MARK, "red"), f" {describe(test)}")
    if any(math.isnan(test.p) for test in comparison.tests):  # two runs without a reference
        console.print(_distances(validation))
    for sentence in (power_sentence(comparison), reference_sentence(validation.self_check)):
        if sentence:
            _line(console, sentence)
    if validation.beside:
        console.print(_beside(validation))
    if validation.theory is not None:
        console.print(_theory(validation))
    if validation.pairing:
        _show_pairing(validation, console)


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    """One line, whose text cannot be taken for markup."""
    text = [clean(p) if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts]
    console.print(Text.assemble(*text), soft_wrap=True, highlight=False)


def means(validation: Validation) -> Table:
    """Mean of each statistic of each population, marked where a test differs.

    Parameters
    ----------
    validation : Validation
        With an activity.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> means(examine("nowhere")).row_count
    0
    """
    activity = validation.activity
    differ = {(t.population, t.statistic) for t in validation.comparison.different}
    duration = activity.duration if activity else 0
    table = Table(title=f"means of {duration:g} ms", caption=f"{MARK} differs" if differ else None)
    table.add_column("")
    for entry in STATISTICS.values():
        units = f"\n{entry.units}" if entry.units else ""
        table.add_column(SHORT.get(entry.name, entry.name) + units, justify="right")
    for population in activity.n_neurons if activity else ():
        row = [Text(clean(population))]
        for statistic in STATISTICS:
            sample = activity.samples.get((population, statistic)) if activity else None
            shown = number(float(sample.mean())) if sample is not None and sample.size else "–"
            different = (population, statistic) in differ
            row.append(Text(f"{MARK} {shown}" if different else shown, "red" if different else ""))
        table.add_row(*row)
    return table


def _distances(validation: Validation) -> Table:
    """KS distances of two recordings."""
    tests = validation.comparison.tests
    distances = {(t.population, t.statistic): t.value for t in tests if t.kind == "distribution"}
    statistics = [name for name in STATISTICS if name in {key[1] for key in distances}]
    table = Table(title="KS distances between the two")
    table.add_column("population")
    for name in statistics:
        table.add_column(SHORT.get(name, name), justify="right")
    for population in dict.fromkeys(key[0] for key in distances):
        shown = (number(distances.get((population, name), math.nan), 2) for name in statistics)
        table.add_row(Text(clean(population)), *shown)
    return table


def _beside(validation: Validation) -> Table:
    """Statistics of the INM-6 package and ours."""
    table = Table(title="statistics of the INM-6 package beside ours")
    for column in ("", "ours", "theirs, over seeds", "KS distance", "KS between their seeds"):
        table.add_column(column, justify="right" if column else "left")
    for row in validation.beside:
        name = Text(clean(f"{row.population} {SHORT.get(row.statistic, row.statistic)}"))
        theirs = f"{number(row.theirs)} ± {number(row.spread)}"
        usual = f"{number(row.usual)} ± {number(row.usual_spread)}"
        table.add_row(name, number(row.ours), theirs, number(row.distance), usual)
    return table


def _theory(validation: Validation) -> Table:
    """Rates and irregularity beside those of mean-field theory."""
    table = Table(title="beside mean-field theory, which decides nothing")
    for column in ("", "rate", "in theory", "CV", "in theory"):
        table.add_column(column, justify="right" if column else "left")
    for row in theory_rows(validation):
        table.add_row(Text(clean(row.population)), *map(number, row[1:]))
    return table


def _show_pairing(validation: Validation, console: Console) -> None:
    pairing = validation.pairing
    if pairing is None:
        return
    table = Table(title="the same neurons in both recordings")
    for column in ("population", "correlation of rates", "bias (spikes/s)"):
        table.add_column(column, justify="left" if column == "population" else "right")
    for rates in pairing.rates:
        bias = f"{number(rates.bias)} ± {number(rates.bias_error)}"
        table.add_row(Text(clean(rates.population)), number(rates.correlation, 4), bias)
    console.print(table)
    if pairing.deterministic:
        first = pairing.first_difference
        _line(
            console,
            "All spikes are equal."
            if first is None
            else f"The first spike that only one of the two has is at {first:g} ms.",
        )

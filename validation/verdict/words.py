"""Verdicts and tests in plain words, for terminal, page and machine-readable output alike."""

from __future__ import annotations

import math

import numpy as np

from portable_cortex.host.untrusted import printable_lines

from ..activity import STATISTICS
from .comparison import DISTRIBUTION_SEEDS, Comparison, SelfCheck, Test, Verdict
from .significance import POWER

HEADLINES = {
    Verdict.AGREES: "Agrees",
    Verdict.DIFFERS: "Differs",
    Verdict.UNDECIDED: "Could not tell",
}
# headings of narrow columns
SHORT = {"cv": "CV", "lv": "LV", "cc": "CC", "synchrony": "synchr.", "complexity": "active"}
POWER_OF = ("rate", "cv", "cc")  # the statistics whose power is stated in the summary


def clean(text: object) -> str:
    r"""Text without what terminals, XML and UTF-8 cannot hold; line feeds are kept.

    Examples
    --------
    >>> clean("red \x1b[31m, half a pair \ud800")
    'red \\x1b[31m, half a pair \\ud800'
    """
    return printable_lines(text)


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits.

    Examples
    --------
    >>> number(4.41372), number(0.00123456), number(12345.6), number(float("nan"))
    ('4.41', '0.00123', '12346', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:.{digits - 1}e}"


def probability(p: float) -> str:
    """A probability, as sentences give it.

    Examples
    --------
    >>> probability(0.034), probability(1e-12)
    ('p = 0.034', 'p < 1e-6')
    """
    if not math.isfinite(p):
        return "not tested"
    return f"p = {number(p, 2)}" if p >= 1e-6 else "p < 1e-6"


def change(test: Test) -> float | None:
    """Relative change of a mean; None for distances and for changes of nothing.

    Parameters
    ----------
    test : Test

    Examples
    --------
    >>> change(Test("A", "rate", "mean", 5.0, 4.0))
    0.25
    """
    return _relative(test, test.value - test.expected)


def detectable(test: Test) -> float | None:
    """Smallest relative change of a mean that would have been found; None where there is none.

    Examples
    --------
    >>> detectable(Test("A", "rate", "mean", 5.0, 4.0, detectable=0.2))
    0.05
    """
    return None if test.detectable is None else _relative(test, test.detectable)


def _relative(test: Test, value: float) -> float | None:
    if test.kind != "mean" or test.expected == 0:
        return None
    relative = value / abs(test.expected)
    return relative if math.isfinite(relative) else None


def percent(value: float | None, *, signed: bool = False) -> str:
    """A fraction in percent.

    Examples
    --------
    >>> percent(0.0313), percent(0.25, signed=True), percent(-12.0), percent(None)
    ('3.1 %', '+25 %', '< -999 %', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 10:  # of next to nothing: the number would say little
        return "> 999 %" if value > 0 else "< -999 %"
    shown = number(100 * value, 2)
    return f"{'+' if signed and value > 0 else ''}{shown} %"


def power(comparison: Comparison) -> dict[str, float]:
    """The change that a comparison would have found, by statistic.

    Returns
    -------
    dict of str to float
        Rate, CV and CC: the smallest relative change of the mean that is found with a probability
        of `POWER`, median over populations. Empty if nothing was tested.

    Examples
    --------
    >>> test = Test("A", "rate", "mean", 5.0, 4.0, detectable=0.2)
    >>> power(Comparison(Verdict.AGREES, "", (test,), "a reference", 1000.0))
    {'rate': 0.05}
    """
    medians = {}
    for statistic in POWER_OF:
        changes = [detectable(test) for test in comparison.tests if test.statistic == statistic]
        known = [c for c in changes if c is not None]
        if known:
            medians[statistic] = float(np.median(known))
    return medians


def power_sentence(comparison: Comparison) -> str:
    """The power of a comparison in one sentence; empty if nothing was tested.

    Examples
    --------
    >>> power_sentence(Comparison(Verdict.UNDECIDED, "", (), "", 0.0))
    ''
    """
    changes = power(comparison)
    if not changes:
        return ""
    parts = ", ".join(f"{STATISTICS[s].title} {percent(value)}" for s, value in changes.items())
    return (
        f"A change of the mean would have been found, {100 * POWER:.0f} times in 100, from these "
        f"sizes on (median over populations): {parts}."
    )


def reference_sentence(check: SelfCheck | None) -> str:
    """How far a reference is to be trusted, in sentences; empty if it was not asked.

    Examples
    --------
    >>> print(reference_sentence(SelfCheck(30, 0)))
    Of the 30 seeds of the reference, none would be called different from the others.
    """
    if check is None:
        return ""
    text = (
        f"Of the {check.seeds} seeds of the reference, {check.different or 'none'} would be called "
        "different from the others."
    )
    if check.different:
        text += " Seeds vary more here than the tests allow for: do not rely on a difference alone."
    if check.seeds < DISTRIBUTION_SEEDS:
        text += (
            f" Use {DISTRIBUTION_SEEDS} or more: {check.seeds} show large changes of means only, "
            "distributions are not tested, and an unlucky reference calls honest runs different."
        )
    return text


def headline(comparison: Comparison) -> str:
    """The verdict and its reason in one sentence.

    Examples
    --------
    >>> headline(Comparison(Verdict.UNDECIDED, "too short", (), "", 0.0))
    'Could not tell: too short.'
    """
    return f"{HEADLINES[comparison.verdict]}: {comparison.reason}."


def describe(test: Test) -> str:
    """One test in one sentence.

    Examples
    --------
    >>> describe(Test("L4E", "cv", "mean", 0.8, 0.9, 0.1, p=0.001, p_adjusted=0.01))
    'L4E, mean CV of ISI: 0.800 instead of 0.900 ± 0.100, -11 % (p = 0.010)'
    """
    return DESCRIPTIONS[test.kind](test)


def _mean(test: Test) -> str:
    statistic = STATISTICS.get(test.statistic)
    units = f" {statistic.units}" if statistic and statistic.units else ""
    tested = math.isfinite(test.p)
    spread = f" ± {number(test.spread)}" if tested else ""
    text = f"{test.population}, mean {_title(test)}: {number(test.value)} "
    text += f"instead of {number(test.expected)}{spread}{units}"
    if change(test) is not None:
        text += f", {percent(change(test), signed=True)}"
    seen = f"{percent(detectable(test))} would have been found; " if detectable(test) else ""
    return text + (f" ({seen}{probability(test.p_adjusted)})" if tested else "")


def _distribution(test: Test) -> str:
    text = f"{test.population}, distribution of {_title(test)}: KS distance {number(test.value, 2)}"
    if not math.isfinite(test.p):
        return text
    usual = f"between seeds {number(test.expected, 2)} ± {number(test.spread, 2)}"
    return f"{text}; {usual} ({probability(test.p_adjusted)})"


def _joint(test: Test) -> str:
    return f"{_title(test)} of all populations together: {probability(test.p_adjusted)}"


def _title(test: Test) -> str:
    statistic = STATISTICS.get(test.statistic)
    return statistic.title if statistic else test.statistic


DESCRIPTIONS = {"mean": _mean, "distribution": _distribution, "joint": _joint}

"""What mean-field theory says, beside what was measured."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..verdict import Validation


class TheoryRow(NamedTuple):
    """One population, measured and in theory; not-a-number for what was not measured.

    Attributes
    ----------
    population : str
    rate, rate_in_theory : float
        spikes/s.
    cv, cv_in_theory : float
        Of the intervals between spikes.
    """

    population: str
    rate: float
    rate_in_theory: float
    cv: float
    cv_in_theory: float


def theory_rows(validation: Validation) -> list[TheoryRow]:
    """The populations that theory knows.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> theory_rows(examine("nowhere"))
    []
    """
    theory, activity = validation.theory, validation.activity
    if theory is None or activity is None:
        return []

    def mean(population: str, statistic: str) -> float:
        sample = activity.samples.get((population, statistic))
        return float(sample.mean()) if sample is not None and sample.size else math.nan

    return [
        TheoryRow(
            population,
            mean(population, "rate"),
            theory.rates[population],
            mean(population, "cv"),
            theory.cv[population],
        )
        for population in activity.n_neurons
        if population in theory.rates
    ]

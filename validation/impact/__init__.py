"""What a change of the model does to the network: ensembles of runs, one change each, judged.

`plan` says which runs, `measures` what else is taken of them than validation takes, `outcome` does
them and judges.
"""

from .measures import (
    BIN,
    EVERY,
    FIRST,
    MEASURES,
    Measure,
    around_pulses,
    of_response,
    whole,
)
from .outcome import Cost, Difference, Impact, Outcome, assess, judge, perform
from .plan import UNCHANGED, Plan, Variant

__all__ = [
    "BIN",
    "EVERY",
    "FIRST",
    "MEASURES",
    "UNCHANGED",
    "Cost",
    "Difference",
    "Impact",
    "Measure",
    "Outcome",
    "Plan",
    "Variant",
    "around_pulses",
    "assess",
    "judge",
    "of_response",
    "perform",
    "whole",
]

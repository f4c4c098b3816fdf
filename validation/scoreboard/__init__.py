"""Backends side by side on one network: does each agree, do they agree neuron by neuron, what cost.

`plan` says which runs, and which backends are left out; `outcome` does them and judges.
"""

from .outcome import (
    Agreement,
    Contestant,
    Row,
    Scoreboard,
    contestants,
    gathered,
    judge,
    perform,
    score,
)
from .plan import EVERY, Absent, Plan, plan
from .spending import Spending, spending

__all__ = [
    "EVERY",
    "Absent",
    "Agreement",
    "Contestant",
    "Plan",
    "Row",
    "Scoreboard",
    "Spending",
    "contestants",
    "gathered",
    "judge",
    "perform",
    "plan",
    "score",
    "spending",
]

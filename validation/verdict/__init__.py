"""Is this the same activity? References, the tests against them, and the verdict in words.

``references/`` holds the ensembles that come with the package, made by
``benchmarks/make_reference.py``.
"""

from .comparison import (
    ALL,
    MIN_SEEDS,
    Comparison,
    SelfCheck,
    Test,
    Verdict,
    compare,
    self_check,
    untested,
)
from .examination import Validation, examine, require_reference, validate
from .freezing import freeze
from .groups import between_groups
from .pairwise import PairedRates, Pairing, compare_recordings, identical, pair
from .prediction import predicted
from .reference import (
    Ensemble,
    Reference,
    conditions,
    fitting_reference,
    load_reference,
    reference_names,
)
from .significance import ALPHA, CONFIDENCE, POWER, TAIL, adjusted, detectable_change, student
from .words import (
    HEADLINES,
    SHORT,
    change,
    clean,
    describe,
    detectable,
    headline,
    number,
    percent,
    power,
    power_sentence,
    probability,
    reference_sentence,
)

__all__ = [
    "ALL",
    "ALPHA",
    "CONFIDENCE",
    "HEADLINES",
    "MIN_SEEDS",
    "POWER",
    "SHORT",
    "TAIL",
    "Comparison",
    "Ensemble",
    "PairedRates",
    "Pairing",
    "Reference",
    "SelfCheck",
    "Test",
    "Validation",
    "Verdict",
    "adjusted",
    "between_groups",
    "change",
    "clean",
    "compare",
    "compare_recordings",
    "conditions",
    "describe",
    "detectable",
    "detectable_change",
    "examine",
    "fitting_reference",
    "freeze",
    "headline",
    "identical",
    "load_reference",
    "number",
    "pair",
    "percent",
    "power",
    "power_sentence",
    "predicted",
    "probability",
    "reference_names",
    "reference_sentence",
    "require_reference",
    "self_check",
    "student",
    "untested",
    "validate",
]

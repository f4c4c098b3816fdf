"""The statements of a step in forms that compiled loops can take.

Backends that advance many neurons at once choose between two values where a model branches: vector
instructions cannot do one thing for some neurons and another for others. So statements become one
run of expressions (`straightened`). Refractoriness is an exception: few neurons are refractory, so
it is cheaper to advance all as if none were, and some once more (`Refractoriness`).
"""

from __future__ import annotations

from .chance import is_random, numbered
from .constants import CONSTANT, Constants, constant_names
from .jumps import kicked
from .landing import landings
from .refractory import Refractoriness, compared, refractoriness
from .solver import ERROR, part, whole
from .statements import FIRED, assigned, assigned_values, noted, statements_values, values_of
from .straight import TEMPORARY, Straight, straightened, total
from .sums import scaled
from .systems import PARTS, half, parted, prefix, solved
from .timing import N_DONE, counted, ended, is_timed
from .units import centred, changed, rescaled

__all__ = [
    "CONSTANT",
    "ERROR",
    "FIRED",
    "N_DONE",
    "PARTS",
    "TEMPORARY",
    "Constants",
    "Refractoriness",
    "Straight",
    "assigned",
    "assigned_values",
    "centred",
    "changed",
    "compared",
    "constant_names",
    "counted",
    "ended",
    "half",
    "is_random",
    "is_timed",
    "kicked",
    "landings",
    "noted",
    "numbered",
    "part",
    "parted",
    "prefix",
    "refractoriness",
    "rescaled",
    "scaled",
    "solved",
    "statements_values",
    "straightened",
    "total",
    "values_of",
    "whole",
]

"""What a network does with its input: responses, memory of patterns, growth of a difference.

Each task runs trials of one network (`portable_cortex.sweep.trials`) and reduces them to a few
numbers and curves.
"""

from .inputs import Streams
from .judging import Contrast, Judgement, Quantity, judge, quantities
from .pulses import Pulses, respond_to_pulses
from .separation import Separation, separate_inputs
from .templates import Templates, classify_templates
from .twins import Twins, compare_twins

__all__ = [
    "Contrast",
    "Judgement",
    "Pulses",
    "Quantity",
    "Separation",
    "Streams",
    "Templates",
    "Twins",
    "classify_templates",
    "compare_twins",
    "judge",
    "quantities",
    "respond_to_pulses",
    "separate_inputs",
]

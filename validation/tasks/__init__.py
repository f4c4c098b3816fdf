"""What a network does with its input: responses, memory of patterns, growth of a difference.

Each task runs trials of one network (`portable_cortex.sweep.trials`) and reduces them to a few
numbers and curves.
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .inputs import Streams
    from .pulses import Pulses, respond_to_pulses
    from .templates import Templates, classify_templates
    from .twins import Twins, compare_twins

__all__ = [
    "Pulses",
    "Streams",
    "Templates",
    "Twins",
    "classify_templates",
    "compare_twins",
    "respond_to_pulses",
]

if not TYPE_CHECKING:
    from portable_cortex._lazy import lazy

    __getattr__, __dir__ = lazy(
        __name__,
        {
            "inputs": "Streams",
            "pulses": "Pulses respond_to_pulses",
            "templates": "Templates classify_templates",
            "twins": "Twins compare_twins",
        },
    )

"""The time, for backends that count steps."""

from __future__ import annotations

from ..expressions import Binary, Name, names, replaced
from ..form import STEP, Neuron
from .statements import statements_values
from .units import changed

N_DONE = "__n_done"  # steps since the begin of the simulation, when this one has been done


def counted(neuron: Neuron) -> Neuron:
    """The same neuron, of which the time is a number of steps times their length."""
    time = Binary("*", Name(N_DONE), Name(STEP))
    return changed(neuron, lambda value: replaced(value, {"t": time}))


def is_timed(neuron: Neuron) -> bool:
    """Whether a step needs the time."""
    return any(N_DONE in names(value) for value in statements_values(neuron))

"""Synaptic variables: their names, signs and units on a board, and PyNN's.

A board holds the mean of a synaptic current (or conductance) over the step that begins, where
PyNN's is that of its beginning; inhibitory currents without their sign; conductances in 1024ths;
and records both kinds as ``gsyn_exc`` and ``gsyn_inh``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._state import state

TAU = {"exc": "tau_syn_E", "inh": "tau_syn_I"}
PER_UNIT = 1024.0  # of conductances, in what cores hold


def is_synaptic(vertex: Any) -> bool:
    """Whether the cells have synaptic currents or conductances with time constants."""
    return set(TAU.values()) <= set(vertex.get_parameters())


def native_record(vertex: Any) -> dict[str, str]:
    """SPyNNaker's names of what PyNN's cells can record, by PyNN's."""
    names = {name: name for name in vertex.get_recordable_variables()}
    own = [names.pop(name, None) for name in ("gsyn_exc", "gsyn_inh")]
    if own[0] is not None and is_synaptic(vertex):
        kind = "gsyn" if vertex.conductance_based else "isyn"
        names |= {f"{kind}_exc": "gsyn_exc", f"{kind}_inh": "gsyn_inh"}
    return names


def native_state(vertex: Any) -> dict[str, str]:
    """SPyNNaker's names of PyNN's state variables, by PyNN's."""
    names = {name: name for name in vertex.get_state_variables()}
    if {"isyn_exc", "isyn_inh"} <= set(names):
        del names["isyn_exc"], names["isyn_inh"]
        if is_synaptic(vertex):
            kind = "gsyn" if vertex.conductance_based else "isyn"
            names |= {f"{kind}_exc": "isyn_exc", f"{kind}_inh": "isyn_inh"}
    return names


def factor(vertex: Any, name: str, neurons: Any) -> NDArray[np.float64] | float:
    """What a value at the beginning of a step is multiplied by, for what is recorded of it.

    Parameters
    ----------
    vertex : PopulationVertex
    name : str
        PyNN's or sPyNNaker's, which end alike.
    neurons : sequence of int
    """
    kind = name.rpartition("_")[2]
    if not name.startswith(("isyn_", "gsyn_")) or not is_synaptic(vertex):
        return 1.0
    taus = vertex.get_parameter_values(TAU[kind], [int(n) for n in neurons])
    steps = np.asarray(list(taus), float) / state.dt
    mean: NDArray[np.float64] = steps * -np.expm1(-1.0 / steps)
    return -mean if kind == "inh" and not vertex.conductance_based else mean


def state_factor(vertex: Any, name: str, neurons: Any) -> NDArray[np.float64] | float:
    """The same, for what a core holds of it."""
    recorded = factor(vertex, name, neurons)
    is_scaled = name.startswith("gsyn_") and vertex.conductance_based
    return recorded * PER_UNIT if is_scaled else recorded


def unit(vertex: Any, name: str) -> str:
    """Unit of what is recorded, by PyNN's name."""
    return "nA" if name.startswith("isyn_") else str(vertex.get_units(native_record(vertex)[name]))

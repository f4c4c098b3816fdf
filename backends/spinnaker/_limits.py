"""What the machine can hold of a network, checked before anything is sent to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from spynnaker.pyNN.exceptions import InvalidParameterType
from spynnaker.pyNN.models.neuron import PopulationVertex

from portable_cortex.errors import UnsupportedError

COARSE = 0.01
"""A mean weight that is rounded by more than this fraction is worth a note."""


def check(projections: Any, *, delay_extensions: bool) -> list[str]:
    """Check delays, and weights at the scale of the ring buffers that sPyNNaker has chosen.

    Parameters
    ----------
    projections : iterable of Projection
        All of the network.
    delay_extensions : bool
        Whether cores are added that hold spikes for longer delays.

    Returns
    -------
    list of str
        What the machine will round noticeably.

    Raises
    ------
    UnsupportedError
        For delays that are longer than a core can hold, and weights that would become zero.
    """
    notes = []
    for projection in projections:
        info, vertex = projection._synapse_information, projection.post._vertex
        if not isinstance(vertex, PopulationVertex):
            continue
        if not delay_extensions:
            _check_delay(projection, info, vertex)
        note = _weight_note(projection, info, vertex)
        if note:
            notes.append(note)
    return notes


def weight_steps(projections: Any) -> dict[str, list[float]]:
    """Of what weights onto each population are multiples: a value a synapse type, nA or uS."""
    found = {}
    for projection in projections:
        vertex = projection.post._vertex
        if isinstance(vertex, PopulationVertex) and projection.post.label not in found:
            scales = vertex.get_weight_scales(vertex.get_ring_buffer_shifts())
            found[projection.post.label] = [1.0 / float(scale) for scale in scales]
    return found


def _check_delay(projection: Any, info: Any, vertex: Any) -> None:
    longest = float(info.synapse_dynamics.get_delay_maximum(info.connector, info))
    held = vertex.max_delay_steps * float(spynnaker.get_time_step())
    if longest > held + 1e-6:
        raise UnsupportedError(
            f"{projection.label}: delays reach {longest - projection._later:.4g} ms, and a core of "
            f"{vertex.get_max_atoms_per_core()} neurons holds "
            f"{held - projection._later:.4g} ms: use fewer neurons_per_core, a longer time step, "
            "or delay_extensions=true (more cores)"
        )


def _weight_note(projection: Any, info: Any, vertex: Any) -> str | None:
    weight = typical_weight(info.connector, info.weights)
    if weight == 0.0:
        return None
    scales = vertex.get_weight_scales(vertex.get_ring_buffer_shifts())
    units = weight * float(scales[info.synapse_type])
    if isinstance(info.synapse_dynamics, spynnaker.STDPMechanism):
        _check_changes(projection, info.synapse_dynamics, float(scales[info.synapse_type]))
    if units < 0.5:
        raise UnsupportedError(
            f"{projection.label}: weights of {weight:.4g} would become zero: beside the other "
            f"inputs of {projection.post.label} a weight is a multiple of "
            f"{weight / units:.4g}; use a smaller ring_buffer_sigma or spikes_per_second, larger "
            "weights, or fewer strong inputs to the same population"
        )
    if units < 0.5 / COARSE:
        return (
            f"{projection.label}: weights of about {weight:.4g} are rounded to multiples of "
            f"{weight / units:.3g} (by up to {50 / units:.2g} %)"
        )
    return None


def _check_changes(projection: Any, dynamics: Any, scale: float) -> None:
    """Refuse plastic synapses of which no pair of spikes can change the weight."""
    try:
        largest = max(abs(dynamics.get_value(name)) for name in ("A_plus", "A_minus"))
        largest *= dynamics.get_value("w_max")
    except InvalidParameterType:
        return  # another rule
    if largest * scale < 1.0:
        raise UnsupportedError(
            f"{projection.label}: a pair of spikes changes a weight by {largest:.3g} at most, and "
            f"beside the other inputs of {projection.post.label} a weight is a multiple of "
            f"{1.0 / scale:.3g}: nothing would be learned. Use larger A_plus or A_minus, or fewer "
            "strong inputs to the same population"
        )


def typical_weight(connector: Any, weights: Any) -> float:
    """Size of a weight that must not vanish: constant, mean, or the smallest of a list."""
    if isinstance(connector, spynnaker.FromListConnector) and "weight" in connector.column_names:
        weights = connector.conn_list[:, 2 + connector.column_names.index("weight")]
    if hasattr(weights, "parameters"):
        p = weights.parameters
        return abs(float(p["mu"])) if "mu" in p else abs(p.get("low", 0) + p.get("high", 0)) / 2
    if isinstance(weights, str):  # a function of distance
        return 0.0
    sizes = np.abs(np.atleast_1d(np.asarray(weights, dtype=float)))
    return float(sizes[sizes > 0].min(initial=np.inf)) if (sizes > 0).any() else 0.0

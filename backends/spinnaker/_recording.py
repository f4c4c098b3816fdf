"""Recordings, with spikes at the times of the other simulators.

sPyNNaker stamps a neuron's spike with the beginning of the step in which it crosses the threshold;
NEST's grid has the end. Spikes of sources carry their own times in both.
"""

from __future__ import annotations

from typing import Any

import neo
import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from spynnaker.pyNN.models.neuron import PopulationVertex
from spynnaker.pyNN.models.recorder import Recorder as _Recorder
from spynnaker.pyNN.utilities.neo_buffer_database import NeoBufferDatabase


def offset(vertex: Any) -> float:
    """What is missing from sPyNNaker's time of a spike, ms."""
    return float(spynnaker.get_time_step()) if isinstance(vertex, PopulationVertex) else 0.0


def recorded_spikes(population: Any) -> tuple[Any, Any]:
    """Neurons and times (ms) of all spikes of a population, without an object a neuron."""
    with NeoBufferDatabase() as db:
        table = db.spinnaker_get_data(population._recorder.recording_label, "spikes")
    neurons, times = np.asarray(table, dtype=float).reshape(-1, 2).T
    return neurons.astype(np.int64), np.round(times + offset(population._vertex), 9)


def recorded_signal(population: Any, variable: str) -> tuple[Any, Any, float, str]:
    """Samples (a row a moment), their neurons, the interval (ms) and the unit."""
    with NeoBufferDatabase() as db:
        table = db.spinnaker_get_data(population._recorder.recording_label, variable)
    table = np.asarray(table, dtype=float).reshape(-1, 3)  # neuron, time, value
    neurons, times = np.unique(table[:, 0]), np.unique(table[:, 1])
    values = table[np.lexsort((table[:, 0], table[:, 1])), 2].reshape(times.size, neurons.size)
    interval = float(times[1] - times[0]) if times.size > 1 else float(spynnaker.get_time_step())
    return values, neurons.astype(np.int64), round(interval, 9), population.find_units(variable)


class Recorder(_Recorder):  # type: ignore[misc]  # sPyNNaker's types are its own
    """Gives Neo blocks with corrected spike times."""

    def __init__(self, population: Any, vertex: Any) -> None:
        super().__init__(population=population, vertex=vertex)
        self._vertex = vertex

    def extract_neo_block(self, *args: Any, **kwargs: Any) -> neo.Block:
        """See sPyNNaker's."""
        block = super().extract_neo_block(*args, **kwargs)
        later = offset(self._vertex)
        for segment in block.segments if later else ():
            segment.spiketrains = [_moved(train, later) for train in segment.spiketrains]
        return block


def _moved(train: Any, later: float) -> Any:
    times = np.round(train.rescale("ms").magnitude + later, 9)
    return neo.SpikeTrain(
        times,
        units="ms",
        t_start=train.t_start,
        t_stop=max(float(train.t_stop.rescale("ms")), float(times.max(initial=0.0))),
        **train.annotations,
    )

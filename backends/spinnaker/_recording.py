"""Recordings, with spikes at the times of the other simulators.

sPyNNaker stamps a neuron's spike with the beginning of the step in which it crosses the threshold;
NEST's grid has the end. Spikes of sources carry their own times in both.
"""

from __future__ import annotations

from typing import Any

import neo
import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import errors
from spynnaker.pyNN.models.neuron import PopulationVertex
from spynnaker.pyNN.models.recorder import Recorder as _Recorder
from spynnaker.pyNN.utilities.neo_buffer_database import NeoBufferDatabase

from ._state import state
from ._variables import factor, native_record, unit


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
    vertex = population._vertex
    native = native_record(vertex)[variable]
    with NeoBufferDatabase() as db:
        table = db.spinnaker_get_data(population._recorder.recording_label, native)
    table = np.asarray(table, dtype=float).reshape(-1, 3)  # neuron, time, value
    neurons, times = np.unique(table[:, 0]), np.unique(table[:, 1])
    values = table[np.lexsort((table[:, 0], table[:, 1])), 2].reshape(times.size, neurons.size)
    interval = float(times[1] - times[0]) if times.size > 1 else float(spynnaker.get_time_step())
    values = values / factor(vertex, variable, neurons)
    return values, neurons.astype(np.int64), round(interval, 9), unit(vertex, variable)


class Recorder(_Recorder):  # type: ignore[misc]  # sPyNNaker's types are its own
    """Gives Neo blocks with PyNN's times, names and units."""

    def __init__(self, population: Any, vertex: Any) -> None:
        super().__init__(population=population, vertex=vertex)
        self._vertex = vertex

    def turn_on_record(self, variable: str, *args: Any, **kwargs: Any) -> None:
        """Record a variable, by PyNN's name.

        Raises
        ------
        pyNN.errors.RecordingError
            For one that the cells do not have.
        """
        super().turn_on_record(self._native(variable), *args, **kwargs)

    def _native(self, variable: str) -> str:
        names = native_record(self._vertex)
        if variable not in names:
            raise errors.RecordingError(
                variable, f"{self._vertex.label}: it has {', '.join(sorted(names))}"
            )
        return names[variable]

    def extract_neo_block(self, variables: Any, *args: Any, **kwargs: Any) -> neo.Block:
        """See sPyNNaker's."""
        if isinstance(variables, str):
            variables = variables if variables == "all" else self._native(variables)
        elif "all" not in variables:
            variables = [self._native(name) for name in variables]
        block = super().extract_neo_block(variables, *args, **kwargs)
        block.segments = block.segments[state.remapped :]
        later = offset(self._vertex)
        names = {native: name for name, native in native_record(self._vertex).items()}
        for segment in block.segments:
            if later:
                segment.spiketrains = [_moved(train, later) for train in segment.spiketrains]
            segment.analogsignals = [
                self._of_pynn(signal, names.get(signal.name, signal.name))
                for signal in segment.analogsignals
            ]
        return block

    def _of_pynn(self, signal: Any, name: str) -> Any:
        """A signal with PyNN's name, sign, unit and numbers of its cells."""
        neurons = np.asarray(signal.annotations["channel_names"], np.int64)
        values = np.asarray(signal.magnitude, float)
        units: Any = signal.units
        if name.startswith(("isyn_", "gsyn_")):
            values, units = values / factor(self._vertex, name, neurons), unit(self._vertex, name)
        return neo.AnalogSignal(
            values,
            units=units,
            t_start=signal.t_start,
            sampling_period=signal.sampling_period,
            name=name,
            array_annotations={"channel_index": neurons},
            **signal.annotations,
        )


def _moved(train: Any, later: float) -> Any:
    times = np.round(train.rescale("ms").magnitude + later, 9)
    return neo.SpikeTrain(
        times,
        units="ms",
        t_start=train.t_start,
        t_stop=max(float(train.t_stop.rescale("ms")), float(times.max(initial=0.0))),
        **train.annotations,
    )

"""What is recorded of a population: spikes as flat arrays, variables as samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import recording

from . import _simulator

F64 = NDArray[np.float64]


class Probe:
    """One variable of some neurons of a population, sampled in regular steps.

    Parameters
    ----------
    population : Population
    variable : int
        Its place among the state variables.
    indices : array of int64
        Neurons, in ascending order.
    interval : int
        Steps between samples.
    """

    def __init__(
        self, population: Any, variable: int, indices: NDArray[np.int64], interval: int
    ) -> None:
        self.population, self.variable = population, variable
        self.indices, self.interval = indices, interval
        self.chunks: list[F64] = []

    def start(self, values: F64) -> None:
        """Take the first sample, unless there are some."""
        if not self.chunks:
            self.add(values[np.newaxis])

    def add(self, values: F64) -> None:
        """Take samples in the engine's form, shape (samples, neurons)."""
        self.chunks.append(values + self.population.offset(self.variable)[self.indices])

    def samples(self) -> F64:
        """All samples, shape (samples, neurons)."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        return self.chunks[0] if self.chunks else np.empty((0, self.indices.size))


class Recorder(recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """PyNN's recorder of one population."""

    _simulator = _simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._interval = _simulator.state.dt
        self._probes: dict[str, list[Probe]] = {}
        self._spikes: list[tuple[Any, Any]] = []
        self.records_spikes = False

    # --- what PyNN's recorder calls ---------------------------------------------------------------

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        state = _simulator.state
        state.touch()
        if sampling_interval is not None:
            steps = sampling_interval / state.dt
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
                raise ValueError(
                    f"sampling_interval must be a multiple of the time step ({state.dt:g} ms), "
                    f"not {sampling_interval:g} ms"
                )
            self.sampling_interval = sampling_interval
        if variable.name == "spikes":
            self.records_spikes = True
            return
        number = list(self.population.state).index(variable.name)
        indices = np.array(sorted(self.population.id_to_index(int(i)) for i in new_ids), np.int64)
        if indices.size:
            interval = round(self.sampling_interval / state.dt)
            probe = Probe(self.population, number, indices, interval)
            self._probes.setdefault(variable.name, []).append(probe)

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        steps, neurons = self.spikes()
        cells = neurons + int(self.population.first_id)
        own = np.isin(cells, np.array(ids, dtype=np.int64))
        return cells[own], np.round(steps[own] * _simulator.state.dt, 9)

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        probes = self._probes[variable.name]
        longest = max(len(probe.samples()) for probe in probes)
        signals = np.full((longest, self.population.size), np.nan)
        for probe in probes:
            found = probe.samples()
            signals[longest - len(found) :, probe.indices] = found
        own = [self.population.id_to_index(int(cell)) for cell in ids]
        return signals[:, own], None

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        counts = np.bincount(self.spikes()[1], minlength=self.population.size)
        first = int(self.population.first_id)
        ids = self.filter_recorded(variable, filter_ids)
        return {int(cell): int(counts[int(cell) - first]) for cell in ids}

    def _clear_simulator(self) -> None:
        self.forget()

    def _reset(self) -> None:
        _simulator.state.touch()
        self.records_spikes = False
        self._probes = {}
        self.forget()

    # --- what the engine calls --------------------------------------------------------------------

    def mark_spikes(self, recorded: NDArray[np.bool_]) -> None:
        """Mark the neurons whose spikes are wanted."""
        for variable, ids in self.recorded.items():
            if variable.name == "spikes":
                first = int(self.population.first_id)
                recorded[np.array([int(i) - first for i in ids], np.int64)] = True

    def probes(self) -> list[Probe]:
        """All variables that are to be sampled."""
        return [probe for probes in self._probes.values() for probe in probes]

    def add_spikes(self, steps: Any, neurons: Any) -> None:
        """Take spikes, by step."""
        self._spikes.append((steps, neurons))

    def spikes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and indices of all spikes since the start or the last clearing, by step."""
        if len(self._spikes) != 1:
            empty = (np.empty(0, np.int64), np.empty(0, np.int64))
            columns = zip(empty, *self._spikes, strict=True)
            steps, neurons = (np.concatenate(c).astype(np.int64) for c in columns)
            self._spikes = [(steps, neurons)]
        return self._spikes[0]

    def forget(self) -> None:
        """Drop what was recorded; the present values will be the first samples."""
        _simulator.state.touch()
        self._spikes = []
        for probe in self.probes():
            probe.chunks = []
        self._recording_start_time = _simulator.state.t * pq.ms

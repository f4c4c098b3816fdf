"""PyNN's recorder of one population, over spikes and samples that a backend gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import recording

from .grid import nearest_steps

F64 = NDArray[np.float64]
SPIKES = "spikes"


def sampling_steps(interval: float, timestep: float) -> int:
    """Steps between samples.

    Raises
    ------
    ValueError
        For an interval that is no multiple of the time step.

    Examples
    --------
    >>> sampling_steps(0.5, 0.1)
    5
    """
    steps = interval / timestep
    if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            f"sampling_interval must be a multiple of the time step ({timestep:g} ms), not "
            f"{interval:g} ms"
        )
    return round(steps)


class Recorder(recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """What is recorded of a population.

    A backend subclasses it with ``_simulator`` and gives `spikes` and `samples`; it keeps what it
    needs to give them after `keep`, and may drop what is older than `start` (see `forget`).
    """

    _simulator: Any
    sampling_interval: float

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._indices: dict[str, NDArray[np.int64]] = {}
        self._start = self._spikes_start = self._sampling_start = self._present()
        self._first_samples: dict[str, int] = {}  # of the signals in the data

    # --- what a backend gives ---------------------------------------------------------------------

    def spikes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and indices of the recorded spikes, by step; those before `start` may be there."""
        raise NotImplementedError

    def samples(self, variable: str) -> tuple[int, F64]:
        """Step of the first sample, and the samples, shape (samples, recorded neurons).

        Those before `start` may be there; the present is the last one where it is to be sampled.
        Not-a-number before a neuron was recorded.
        """
        raise NotImplementedError

    def changed(self, variable: str, indices: NDArray[np.int64]) -> None:
        """More neurons are recorded, from the present on."""

    def forget(self) -> None:
        """What is before the present will not be asked for again."""

    def keep(self) -> None:
        """The simulator ends: keep what was recorded."""

    # --- what it asks for -------------------------------------------------------------------------

    @property
    def start(self) -> int:
        """The step in which the data begin."""
        return self._start

    @property
    def sampling_start(self) -> int:
        """The step from which samples in the data are counted."""
        return max(self._start, self._sampling_start)

    def _present(self) -> int:
        state = self._simulator.state
        return int(nearest_steps(state.t, state.dt))

    @property
    def interval(self) -> int:
        """Steps between samples."""
        return sampling_steps(self.sampling_interval, self._simulator.state.dt)

    def variables(self) -> list[str]:
        """What is recorded, in order of name."""
        return sorted({key.name for key, ids in self.recorded.items() if ids})

    def indices(self, variable: str) -> NDArray[np.int64]:
        """Neurons from which a variable is recorded, in order."""
        if variable not in self._indices:
            cells = [ids for key, ids in self.recorded.items() if key.name == variable]
            numbers = np.unique(np.array([int(i) for ids in cells for i in ids], np.int64))
            self._indices[variable] = numbers - int(self.population.first_id)
        return self._indices[variable]

    def recorded_spikes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and indices of the spikes in the data, by step."""
        steps, neurons = self.spikes()
        since = max(self._start, self._spikes_start)
        # a spike in the step where data begin was in those before, but for those at 0
        kept = (steps > since) | (since == 0)
        return steps[kept], neurons[kept]

    # --- what PyNN's recorder calls ---------------------------------------------------------------

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """See PyNN."""
        self._simulator.state.check_alive(self.population)
        self._indices.clear()
        super().record(variables, ids, *args, **kwargs)
        self._indices.clear()

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """See PyNN."""
        self._simulator.state.check_alive(self.population)
        return super().get(*args, **kwargs)

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if sampling_interval is not None:
            sampling_steps(sampling_interval, self._simulator.state.dt)
            self.sampling_interval = sampling_interval
        self._simulator.state.touch("a recording")
        indices = np.array(sorted(self.population.id_to_index(int(i)) for i in new_ids), np.int64)
        if indices.size:
            others = {key for key, cells in self.recorded.items() if cells} - {variable}
            if len(self.recorded[variable]) == indices.size:  # the first of them
                if variable.name == SPIKES:
                    self._spikes_start = self._present()
                elif not any(key.name != SPIKES for key in others):
                    self._sampling_start = self._present()
            self.changed(variable.name, indices)

    def _get_current_segment(self, *args: Any, **kwargs: Any) -> Any:
        """See PyNN, which would let everything begin with the population."""
        dt = self._simulator.state.dt
        began = max(self._start, self._spikes_start)
        self._recording_start_time = round(began * dt, 9) * pq.ms  # of the spike trains
        segment = super()._get_current_segment(*args, **kwargs)
        for signal in segment.analogsignals:
            first = self._first_samples.get(signal.name, self._start)
            signal.t_start = round(first * dt, 9) * pq.ms
        return segment

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        steps, neurons = self.recorded_spikes()
        cells = neurons + int(self.population.first_id)
        own = np.isin(cells, np.array(ids, dtype=np.int64))
        return cells[own], np.round(steps[own] * self._simulator.state.dt, 9)

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        first, values = self.samples(variable.name)
        skipped = max(0, -(-(self.sampling_start - first) // self.interval))
        self._first_samples[variable.name] = first + skipped * self.interval
        wanted = [self.population.id_to_index(int(cell)) for cell in ids]
        columns = np.searchsorted(self.indices(variable.name), wanted)
        return values[skipped:, columns], None

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        _, neurons = self.recorded_spikes()
        counts = np.bincount(neurons, minlength=self.population.size)
        first = int(self.population.first_id)
        ids = self.filter_recorded(variable, filter_ids)
        return {int(cell): int(counts[int(cell) - first]) for cell in ids}

    def _clear_simulator(self) -> None:
        self._start = self._present()
        self.clear_flag = False  # PyNN would drop what is recorded from now until a reset
        self.forget()

    def _reset(self) -> None:
        self._simulator.state.touch("a recording")
        self._indices.clear()

    def restart(self) -> None:
        """The network has gone back to its beginning."""
        self._recording_start_time = 0.0 * pq.ms
        self._start = self._spikes_start = self._sampling_start = 0
        self.forget()

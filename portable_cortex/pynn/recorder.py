"""PyNN's recorder of one population, over spikes and samples that a backend gives."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import recording

from ..errors import InvalidValueError, ModelError
from ..host import parallel
from ..recording import Signal, Spikes, by_time
from .grid import nearest_steps

F64 = NDArray[np.float64]
SPIKES = "spikes"


def sampling_steps(interval: float, timestep: float) -> int:
    """Steps between samples.

    Raises
    ------
    InvalidValueError
        For an interval that is no multiple of the time step.

    Examples
    --------
    >>> sampling_steps(0.5, 0.1)
    5
    """
    steps = interval / timestep
    if not (np.isfinite(steps) and round(steps) >= 1 and abs(steps - round(steps)) <= 1e-6):
        raise InvalidValueError(
            f"sampling_interval must be a multiple of the time step ({timestep:g} ms), not "
            f"{interval:g} ms"
        )
    return round(steps)


class Variables(list[Any]):
    """PyNN's variables, which it also looks for by their names, in vain, in earlier segments."""

    def __contains__(self, variable: object) -> bool:
        return super().__contains__(variable) or any(v.name == variable for v in self)


class Recorder(recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """What is recorded of a population.

    A backend subclasses it with ``_simulator`` and gives `spikes` and `samples`; it keeps what it
    needs to give them after `keep`, and may drop what is older than `start` (see `forget`).
    """

    _simulator: Any
    sampling_interval: float
    cache: Any

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._variables: set[str] = set()  # on all processes the same
        self._indices: dict[str, NDArray[np.int64]] = {}
        self._cleared: int | None = None  # when, step
        self._start = self._spikes_start = self._sampling_start = self._present()

    # --- what a backend gives ---------------------------------------------------------------------

    def spikes(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Steps and indices of the recorded spikes; those before `start` may be there.

        Steps are whole numbers, or floats where spikes are off the grid; those of a neuron ascend.
        """
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
        return sorted(self._variables)

    def indices(self, variable: str) -> NDArray[np.int64]:
        """Neurons from which a variable is recorded, in order."""
        if variable not in self._indices:
            cells = [ids for key, ids in self.recorded.items() if key.name == variable]
            numbers = np.unique(np.array([int(i) for ids in cells for i in ids], np.int64))
            self._indices[variable] = numbers - int(self.population.first_id)
        return self._indices[variable]

    def recorded_spikes(self) -> tuple[F64, NDArray[np.int64]]:
        """Times, ms, and indices of the spikes in the data."""
        steps, neurons = self.spikes()
        since = max(self._start, self._spikes_start)
        # a spike in the step where data begin was in those before, but for those at 0
        kept = (steps > since) | (since == 0)
        times = steps[kept] * self._simulator.state.dt
        return times if steps.dtype.kind == "f" else np.round(times, 9), neurons[kept]

    def signal(self, variable: str) -> Signal:
        """All samples of a variable in the data."""
        first, values = self._in_data(variable)
        t_start = round(first * self._simulator.state.dt, 9)
        units = self.population.find_units(recording.Variable(variable, None, None))
        neurons = self.indices(variable)
        return Signal(values, neurons, t_start, self.sampling_interval, str(units))

    # --- what PyNN's recorder calls ---------------------------------------------------------------

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """See PyNN."""
        state = self._simulator.state
        state.check_alive(self.population)
        self._indices.clear()
        if not self.variables():  # data, and the times of samples, begin with the first recording
            self._recording_start_time = state.t * pq.ms
        super().record(variables, ids, *args, **kwargs)
        self._indices.clear()

    def get(
        self,
        variables: Any,
        gather: bool = False,
        filter_ids: Any = None,
        clear: bool = False,
        **kwargs: Any,
    ) -> Any:
        """See PyNN, which gives out its own segments, with all cells: Neo empties them."""
        state = self._simulator.state
        state.check_alive(self.population)
        if not state.running and not list(self.cache):
            raise ModelError(
                f"there are no data of population {self.population.label!r} yet: call run() first"
            )
        kept, self.cache = self.cache, _copied(self.cache, filter_ids)
        try:
            data = super().get(variables, gather, filter_ids, clear, **kwargs)
        except BaseException:
            self.cache = kept
            raise
        if not clear:
            self.cache = kept
        return data

    def count(self, *args: Any, **kwargs: Any) -> Any:
        """See PyNN."""
        self._simulator.state.check_alive(self.population)
        return super().count(*args, **kwargs)

    def filter_recorded(self, variable: Any, filter_ids: Any) -> Any:
        """See PyNN, after which a variable that was asked for counts as recorded."""
        recorded = self.recorded.get(variable, set())
        return recorded if filter_ids is None else recorded.intersection(filter_ids)

    def _localize_variables(self, variables: Any, locations: Any) -> Variables:
        return Variables(super()._localize_variables(variables, locations))

    def clear(self) -> None:
        """See PyNN."""
        super().clear()
        self._cleared = self._present()

    def _check_sampling_interval(self, sampling_interval: float | None) -> None:
        if sampling_interval is None or not self._variables - {SPIKES}:
            return
        if abs(sampling_interval - self.sampling_interval) > 1e-9:
            raise InvalidValueError(
                "all neurons of a population are recorded with one sampling interval: "
                f"{self.sampling_interval:g} ms is in use, not {sampling_interval:g} ms"
            )

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if sampling_interval is not None:
            sampling_steps(sampling_interval, self._simulator.state.dt)
            self.sampling_interval = sampling_interval
        self._simulator.state.touch("a recording")
        self._begin(variable.name)
        if new_ids:
            cells = np.sort(np.fromiter(map(int, new_ids), np.int64))
            self.changed(variable.name, cells - int(self.population.first_id))

    def _begin(self, variable: str) -> None:
        """A variable is recorded, from the present on if it was not before."""
        if variable in self._variables:
            return
        if variable == SPIKES:
            self._spikes_start = self._present()
        elif self._variables <= {SPIKES}:
            self._sampling_start = self._present()
        self._variables.add(variable)

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        times, neurons = self.recorded_spikes()
        cells = neurons + int(self.population.first_id)
        own = np.isin(cells, np.array(ids, dtype=np.int64))
        self._give_from(max(self._start, self._spikes_start))
        return cells[own], times[own]

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        first, values = self._in_data(variable.name)
        self._give_from(first)
        wanted = [self.population.id_to_index(int(cell)) for cell in ids]
        return values[:, np.searchsorted(self.indices(variable.name), wanted)], None

    def _in_data(self, variable: str) -> tuple[int, F64]:
        """Step of the first sample in the data, and the samples from there."""
        first, values = self.samples(variable)
        skipped = max(0, -(-(self.sampling_start - first) // self.interval))
        return first + skipped * self.interval, values[skipped:]

    def _give_from(self, step: int) -> None:
        """Where the data begin that PyNN is given next."""
        self._recording_start_time = round(step * self._simulator.state.dt, 9) * pq.ms

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        _, neurons = self.recorded_spikes()
        counts = np.bincount(neurons, minlength=self.population.size)
        first = int(self.population.first_id)
        ids = self.filter_recorded(variable, filter_ids)
        return {int(cell): int(counts[int(cell) - first]) for cell in ids}

    def store_to_cache(self, annotations: Any = None) -> None:
        """See PyNN; there is no segment of the time from clearing to the same moment."""
        self.clear_flag = self._cleared == self._present()  # PyNN's word for it
        super().store_to_cache(annotations)
        self._cleared = None

    def _clear_simulator(self) -> None:
        self._start = self._present()
        self.forget()

    def _reset(self) -> None:
        self._simulator.state.touch("a recording")
        self._indices.clear()
        self._variables.clear()

    def restart(self) -> None:
        """The network has gone back to its beginning."""
        self._recording_start_time = 0.0 * pq.ms
        self._start = self._spikes_start = self._sampling_start = 0
        self.forget()


def _copied(cache: Any, ids: Any) -> Any:
    """Segments, with the data of these cells; of all for None."""
    copies = recording.DataCache()
    for segment in cache:
        copied = copy(segment)
        copied._spiketrains = copy(segment._spiketrains)
        copied._analogsignals = copy(segment._analogsignals)
        if ids is not None:
            numbers = np.array([int(cell) for cell in ids], np.int64)
            trains = (t for t in segment.spiketrains if t.annotations["channel_id"] in numbers)
            copied.spiketrains = list(trains)
            signals = (_of_cells(signal, numbers) for signal in segment.analogsignals)
            copied.analogsignals = [signal for signal in signals if signal.shape[1]]
        copies.store(copied)
    return copies


def _of_cells(signal: Any, numbers: NDArray[np.int64]) -> Any:
    """The part of a signal that these cells have."""
    channels = np.asarray(signal.annotations["channel_ids"])
    wanted = np.isin(channels, numbers)
    part = signal[:, wanted]
    part.annotations = {**signal.annotations, "channel_ids": channels[wanted]}
    return part


def recorded_beside_spikes(population: Any) -> list[str]:
    """Variables that a model itself records of some cells of a population."""
    recorded = getattr(getattr(population, "recorder", None), "recorded", {})
    return sorted({key.name for key, cells in recorded.items() if cells} - {SPIKES})


def spikes_of(population: Any) -> Spikes:
    """All spikes of a population in the data of all processes, by time."""
    return by_time(*map(parallel.joined, population.recorder.recorded_spikes()))


def signal_of(population: Any, variable: str) -> Signal:
    """All samples of a variable in the data of all processes."""
    signal: Signal = population.recorder.signal(variable)
    # the neurons of a process may be recorded from a later time on; all are up to the present
    missing = int(parallel.joined(np.array([len(signal.values)])).max()) - len(signal.values)
    before = np.full((missing, signal.neurons.size), np.nan)
    neurons = parallel.joined(signal.neurons)
    order = np.argsort(neurons)
    values = parallel.joined(np.concatenate([before, signal.values]), axis=1)[:, order]
    t_start = float(parallel.joined(np.array([signal.t_start])).min())
    return signal._replace(values=values, neurons=neurons[order], t_start=t_start)

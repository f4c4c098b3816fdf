"""What is recorded of a population in NEST: its devices, and what is read from the neurons."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import recording
from pyNN.standardmodels import StandardCellType

from portable_cortex.errors import InvalidValueError
from portable_cortex.pynn.recorder import Segments, sampling_steps

from . import _simulator
from ._pynn import nest, pynn_recording
from ._simulator import state

F64 = NDArray[np.float64]


class Sampler:
    """Some variables of some neurons, by a multimeter and by looking at the neurons.

    Parameters
    ----------
    population : Population
    variables : list of str
        PyNN's names.
    ids : set of ID
        The neurons of all processes.
    first : int
        Step of the first sample.
    interval : int
        Steps between samples.
    """

    def __init__(
        self, population: Any, variables: list[str], ids: Any, first: int, interval: int
    ) -> None:
        self.variables, self.first, self.interval = variables, first, interval
        self._population = population
        self._native = [native_variable(population.celltype, name) for name in variables]
        scale = getattr(population.celltype, "scale_factors", {})
        self._scale = np.array([scale.get(name, 1.0) for name in variables])
        known = nest.GetDefaults(population._model)
        self._is_readable = all(name in known for name in self._native)
        self._all_ids = sorted(int(cell) for cell in ids)
        self.ids = np.array(sorted(int(cell) for cell in ids if cell.local), np.int64)
        self._nodes = nest.NodeCollection(self.ids) if self.ids.size else None
        self._read: dict[int, F64] = {}  # step -> values, shape (variables, neurons)
        self._device = self._multimeter()

    def _multimeter(self) -> Any:
        step = state.dt
        parameters = {
            "record_from": self._native,
            "interval": round(self.interval * step, 9),
            "offset": round(self.first % self.interval * step, 9),
        }
        device = nest.Create("multimeter", params=parameters)
        nodes = nest.NodeCollection(self._all_ids)
        nest.Connect(device, nodes, "all_to_all", {"delay": nest.min_delay})
        return device

    def is_due(self, step: int) -> bool:
        """Whether there is to be a sample at this step."""
        return step >= self.first and (step - self.first) % self.interval == 0

    def points_to_read(self, after: int, until: int) -> set[int]:
        """Steps of the samples that must be read from the neurons."""
        if not self._is_readable:
            return set()
        return {step for step in range(after + 1, until + 1) if self.is_due(step)}

    def read_present(self) -> None:
        """Take the present sample, if there is to be one that can be read."""
        is_there = state.nest_step == state.step
        if not is_there or not self.is_due(state.step) or state.step in self._read:
            return
        rows: list[Any] = [()] * len(self.variables)
        if self._is_readable and self._nodes is not None:
            values = self._nodes.get(self._native)
            rows = [values[name] for name in self._native]
        elif not self._is_readable and state.step > 0:
            return
        elif self._nodes is not None:
            initial = self._population.initial_values
            cells = self.ids - int(self._population.first_id)
            rows = [
                [initial[name][int(cell)] / scale if name in initial else np.nan for cell in cells]
                for name, scale in zip(self.variables, self._scale, strict=True)
            ]
        table = np.array([np.atleast_1d(row) for row in rows], float)
        self._read[state.step] = table * self._scale[:, np.newaxis]

    def samples(self, variable: str) -> F64:
        """All samples up to the present, shape (samples, neurons)."""
        n = max(0, (state.step - self.first) // self.interval + 1)
        last = self.first + (n - 1) * self.interval
        if n and last not in self._read:
            state.look_ahead(last)
        number = self.variables.index(variable)
        table = np.full((n, self.ids.size), np.nan)
        events = self._device.events
        rows = (_steps(events["times"]) - self.first) // self.interval
        valid = (rows >= 0) & (rows < n)
        columns = np.searchsorted(self.ids, np.asarray(events["senders"])[valid])
        values = np.asarray(events.get(self._native[number], []), float)  # none before any sample
        table[rows[valid], columns] = values[valid] * self._scale[number]
        for step, values in self._read.items():
            if step <= state.step:
                table[(step - self.first) // self.interval] = values[number]
        return table

    def forget(self) -> None:
        """Begin again at the present, with the present sample."""
        step = state.step
        present = None
        if self.is_due(step):
            self._read.pop(step, None)  # the state may have been set since it was read
            self.read_present()
            if step not in self._read:
                self._read[step] = np.array([self.samples(name)[-1] for name in self.variables])
            present = self._read[step]
        later = self._handed_over_early()
        self._device.n_events = 0
        self._read = later if present is None else {step: present, **later}
        is_aligned = self.is_due(step) or step < self.first
        self.first = max(self.first, step)
        if not is_aligned:
            self.end()
            self._read = {}
            self._device = self._multimeter()
            self.read_present()

    def _handed_over_early(self) -> dict[int, F64]:
        """Samples of steps that the program has not come to."""
        events = self._device.events
        steps = _steps(events["times"])
        found = {}
        for step in np.unique(steps[steps > state.step]).tolist():
            own = steps == step
            order = np.argsort(np.asarray(events["senders"])[own])
            rows = [np.asarray(events[name])[own][order] for name in self._native]
            found[step] = np.array(rows) * self._scale[:, np.newaxis]
        return found

    def end(self) -> None:
        """Record no more."""
        self._device.stop = nest.biological_time


class Recorder(Segments, pynn_recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """PyNN's recorder of one population; devices are made when a run begins.

    Idle ones would cost time in every step.
    """

    _simulator = _simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        recording.Recorder.__init__(self, population, file)
        self.recorded_all: defaultdict[Any, set[Any]] = defaultdict(set)
        self._forget_everything()

    def _forget_everything(self) -> None:
        self._interval = 1  # steps
        self._start: int | None = None  # step of the first sample of all
        self._begins = state.step  # of the data
        self._samplers: list[Sampler] = []
        self._spike_recorder: Any = None
        self._early: tuple[Any, Any] = (np.empty(0, np.int64), np.empty(0))
        self._new_spikes: set[Any] = set()
        self._new_samples: dict[str, set[Any]] = {}

    @property
    def sampling_interval(self) -> float:
        """Time between samples, ms."""
        return float(round(self._interval * state.dt, 9))

    @sampling_interval.setter
    def sampling_interval(self, value: float) -> None:
        self._interval = sampling_steps(value, state.dt)

    # --- what PyNN's recorder calls ---------------------------------------------------------------

    def record(self, *args: Any, **kwargs: Any) -> None:
        """See PyNN."""
        state.check_alive(self.population)
        super().record(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """See PyNN."""
        state.check_alive(self.population)
        return super().get(*args, **kwargs)

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if variable.name == "spikes":
            if self._spike_recorder is None and not self._new_spikes:
                self._begins = state.step
                self._recording_start_time = state.t * pq.ms
            self._new_spikes |= new_ids
            return
        if sampling_interval is not None:
            self.sampling_interval = sampling_interval
        if new_ids:
            self._new_samples.setdefault(variable.name, set()).update(new_ids)

    def _check_sampling_interval(self, sampling_interval: float | None) -> None:
        analog = self._samplers or self._new_samples
        if sampling_interval is None or not analog:
            return
        if abs(sampling_interval - self.sampling_interval) > 1e-9:
            raise InvalidValueError(
                "all neurons of a population must be recorded with the same sampling interval: "
                f"{self.sampling_interval:g} ms is in use, {sampling_interval:g} ms was asked for"
            )

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        senders, times = self.spikes()
        self._give_from(self._begins)
        own = np.isin(senders, np.array([int(cell) for cell in ids], np.int64))
        return senders[own], times[own]

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        if not len(ids):
            self._samples(variable.name, np.empty(0, np.int64))  # as the other processes do
            return np.array([]), None
        values = self._samples(variable.name, np.array([int(cell) for cell in ids]))
        self._give_from(round(self.signal_start(variable.name) / state.dt))
        return values, None

    def _get_current_segment(
        self, filter_ids: Any = None, variables: Any = "all", clear: bool = False
    ) -> Any:
        self.begin()  # what is recorded since the last run has its first sample
        return super()._get_current_segment(filter_ids, variables, clear)

    def _local_count(self, variable: Any, filter_ids: Any) -> dict[int, int]:
        senders, counts = np.unique(self.spikes()[0], return_counts=True)
        known = dict(zip(senders.tolist(), counts.tolist(), strict=True))
        ids = self.filter_recorded(variable, filter_ids)
        return {int(cell): known.get(int(cell), 0) for cell in ids}

    def _clear_simulator(self) -> None:
        for sampler in self._samplers:
            sampler.forget()
        if self._spike_recorder is not None:
            events = self._spike_recorder.events
            later = np.asarray(events["times"]) > state.t + 1e-9
            self._early = events["senders"][later], events["times"][later]
            self._spike_recorder.n_events = 0
        self._begins = state.step
        self._start = None if self._start is None else max(self._start, state.step)

    def _reset(self) -> None:
        for sampler in self._samplers:
            sampler.end()
        if self._spike_recorder is not None:
            self._spike_recorder.stop = nest.biological_time
        self._forget_everything()
        self.recorded_all.clear()
        self._recording_start_time = state.t * pq.ms

    def store_to_cache(self, annotations: Any = None) -> None:
        # PyNN would drop what is recorded between clearing and a reset, too
        self.clear_flag = self.clear_flag and self._begins == state.step
        if self.population.has_cells:  # to be described
            super().store_to_cache(annotations)

    def restart(self) -> None:
        """The network was made again: so must be the devices."""
        interval = self._interval
        self._forget_everything()
        self._interval = interval
        for variable, ids in self.recorded_all.items():
            if variable.name == "spikes":
                self._new_spikes = set(ids)
            elif ids:
                self._new_samples[variable.name] = set(ids)

    # --- what a run calls -------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the devices for what is newly recorded."""
        if self._new_spikes:
            if self._spike_recorder is None:
                self._spike_recorder = nest.Create("spike_recorder")
            nodes = nest.NodeCollection(sorted(int(cell) for cell in self._new_spikes))
            spec = {"delay": nest.min_delay}
            nest.Connect(nodes, self._spike_recorder, "all_to_all", spec)
            self._new_spikes = set()
        if self._new_samples:
            if self._start is None:
                self._start = state.step
            ahead = -(state.step - self._start) % self._interval
            groups: dict[frozenset[Any], list[str]] = {}
            for name, cells in self._new_samples.items():
                groups.setdefault(frozenset(cells), []).append(name)
            for ids, names in groups.items():
                first = state.step + ahead
                sampler = Sampler(self.population, names, ids, first, self._interval)
                sampler.read_present()
                self._samplers.append(sampler)
            self._new_samples = {}

    def points_to_read(self, after: int, until: int) -> set[int]:
        """Steps of the samples that must be read from the neurons."""
        points: set[int] = set()
        return points.union(*(s.points_to_read(after, until) for s in self._samplers))

    def read_present(self) -> None:
        """Take the present sample, if there is to be one."""
        for sampler in self._samplers:
            sampler.read_present()

    # --- data -------------------------------------------------------------------------------------

    def spikes(self) -> tuple[NDArray[np.int64], F64]:
        """Node numbers and times (ms) of all spikes up to the present."""
        if self._spike_recorder is None:
            return np.empty(0, np.int64), np.empty(0)
        events = self._spike_recorder.events
        senders = np.concatenate([self._early[0], events["senders"]])
        times = np.concatenate([self._early[1], events["times"]])
        if state.spike_precision == "on_grid":
            times = np.round(times, 9)  # NEST's 1.9 is more than 1.9
        begin = self._begins * state.dt
        valid = (times > begin + 1e-9) & (times <= state.t + 1e-9)
        return senders[valid], times[valid]

    def signal_start(self, variable: str) -> float:
        """Time of the first sample, ms."""
        samplers = [s for s in self._samplers if variable in s.variables]
        return float(round(min((s.first for s in samplers), default=state.step) * state.dt, 9))

    def _samples(self, variable: str, ids: NDArray[np.int64]) -> F64:
        """Shape (samples, neurons); not-a-number before a neuron was recorded."""
        samplers = [s for s in self._samplers if variable in s.variables]
        tables = [sampler.samples(variable) for sampler in samplers]
        longest = max((len(table) for table in tables), default=0)
        result = np.full((longest, ids.size), np.nan)
        for sampler, table in zip(samplers, tables, strict=True):
            places = np.searchsorted(sampler.ids, ids)
            places[places == sampler.ids.size] = 0
            own = sampler.ids[places] == ids if sampler.ids.size else np.zeros(ids.size, bool)
            result[longest - len(table) :, own] = table[:, places[own]]
        return result


def native_variable(celltype: Any, variable: str) -> str:
    """NEST's name of a state variable."""
    if isinstance(celltype, StandardCellType):
        # pyNN.nest forgets that of IF_curr_delta
        return str(getattr(celltype, "variable_map", {"v": "V_m"}).get(variable, variable))
    return variable


def _steps(times: Any) -> NDArray[np.int64]:
    steps: NDArray[np.int64] = np.rint(np.asarray(times) / state.dt).astype(np.int64)
    return steps

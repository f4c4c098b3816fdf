"""What is recorded of a population in NEST: its devices, and what is read from the neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import StandardCellType

from portable_cortex.pynn import recorder as floor

from . import _simulator
from ._pynn import nest
from ._simulator import state

F64 = NDArray[np.float64]


class Sampler:
    """Some variables of some neurons, by a multimeter and by looking at the neurons.

    Parameters
    ----------
    population : Population
    variables : list of str
        PyNN's names.
    ids : set of int
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
        self._all_ids = np.array(sorted(ids), np.int64)
        first_id = int(population.first_id)
        self.ids = self._all_ids[population._mask_local[self._all_ids - first_id]]
        self.indices = self.ids - first_id
        self._nodes = nest.NodeCollection(self.ids) if self.ids.size else None
        self._read: dict[int, F64] = {}  # step -> values, shape (variables, neurons)
        self._device = self._multimeter()
        self.read_present()

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
            rows = [
                [
                    initial[name][i] / scale if name in initial else np.nan
                    for i in self.indices.tolist()
                ]
                for name, scale in zip(self.variables, self._scale.tolist(), strict=True)
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
        step, is_aligned = state.step, (state.step - self.first) % self.interval == 0
        read = self._handed_over_early() if is_aligned else {}
        if self.is_due(step) and not (self._is_readable and state.nest_step == step):
            read[step] = np.array([self.samples(name)[-1] for name in self.variables])
        self._device.n_events = 0
        self._read, self.first = read, step
        if not is_aligned:
            self.end()
            self._device = self._multimeter()
        self.read_present()

    def _handed_over_early(self) -> dict[int, F64]:
        """Samples of steps that the program has not come to."""
        events = self._device.events
        steps = _steps(events["times"])
        early = {}
        for step in np.unique(steps[steps > state.step]).tolist():
            own = steps == step
            order = np.argsort(np.asarray(events["senders"])[own])
            rows = [np.asarray(events[name])[own][order] for name in self._native]
            early[step] = np.array(rows) * self._scale[:, np.newaxis]
        return early

    def end(self) -> None:
        """Record no more."""
        self._device.stop = nest.biological_time


class Recorder(floor.Recorder):
    """Devices are made when a run begins: idle ones would cost time in every step.

    All processes make the same devices, for the neurons of all of them.
    """

    _simulator = _simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._ids: dict[str, set[int]] = {}  # of all processes, by variable
        self._drop()

    def _drop(self) -> None:
        """There are no devices."""
        self._samplers: list[Sampler] = []
        self._spike_recorder: Any = None
        self._early: tuple[Any, Any] = (np.empty(0, np.int64), np.empty(0))
        self._new: dict[str, set[int]] = {}

    # --- recording --------------------------------------------------------------------------------

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """See PyNN."""
        self._wanted = {int(cell) for cell in ids}
        super().record(variables, ids, *args, **kwargs)
        if state.running:  # the first sample is of the present
            self.begin()

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        super()._record(variable, new_ids, sampling_interval)
        known = self._ids.setdefault(variable.name, set())
        self._new.setdefault(variable.name, set()).update(self._wanted - known)
        known |= self._wanted

    def begin(self) -> None:
        """Make the devices for what is newly recorded."""
        new, self._new = self._new, {}
        if spiking := new.pop(floor.SPIKES, None):
            if self._spike_recorder is None:
                self._spike_recorder = nest.Create("spike_recorder")
            nodes = nest.NodeCollection(sorted(spiking))
            spec = {"delay": nest.min_delay}
            nest.Connect(nodes, self._spike_recorder, "all_to_all", spec)
        first = state.step + (self.sampling_start - state.step) % self.interval
        groups: dict[frozenset[int], list[str]] = {}
        for name, ids in new.items():
            groups.setdefault(frozenset(ids), []).append(name)
        groups.pop(frozenset(), None)
        for group, names in groups.items():
            self._samplers.append(Sampler(self.population, names, group, first, self.interval))

    def points_to_read(self, after: int, until: int) -> set[int]:
        """Steps of the samples that must be read from the neurons."""
        points: set[int] = set()
        return points.union(*(s.points_to_read(after, until) for s in self._samplers))

    def read_present(self) -> None:
        """Take the present sample, if there is to be one."""
        for sampler in self._samplers:
            sampler.read_present()

    # --- what the floor asks for ------------------------------------------------------------------

    def spikes(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Steps and indices of all spikes up to the present."""
        if self._spike_recorder is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        events = self._spike_recorder.events
        senders = np.concatenate([self._early[0], events["senders"]]).astype(np.int64)
        exact = np.concatenate([self._early[1], events["times"]]) / state.dt
        steps = np.rint(exact)
        if state.spike_precision == "on_grid":
            steps = steps.astype(np.int64)
        else:  # but for what floats make of a point of the grid
            steps = np.where(np.abs(exact - steps) < 1e-8, steps, exact)
        past = steps <= state.step
        return steps[past], senders[past] - int(self.population.first_id)

    def samples(self, variable: str) -> tuple[int, F64]:
        """Those of all samplers, aligned."""
        indices = self.indices(variable)
        samplers = [s for s in self._samplers if variable in s.variables]
        tables = [sampler.samples(variable) for sampler in samplers]
        longest = max(map(len, tables), default=0)
        values = np.full((longest, indices.size), np.nan)
        for sampler, table in zip(samplers, tables, strict=True):
            values[longest - len(table) :, np.searchsorted(indices, sampler.indices)] = table
        return min((s.first for s in samplers), default=state.step), values

    def forget(self) -> None:
        """Drop what is before the present."""
        for sampler in self._samplers:
            sampler.forget()
        if self._spike_recorder is not None:
            events = self._spike_recorder.events
            later = np.asarray(events["times"]) > state.t + 1e-9
            self._early = events["senders"][later], events["times"][later]
            self._spike_recorder.n_events = 0

    def restart(self) -> None:
        """The network was made again: so must be the devices."""
        self._drop()
        self._new = {variable: set(ids) for variable, ids in self._ids.items()}
        super().restart()

    def _reset(self) -> None:
        super()._reset()
        for sampler in self._samplers:
            sampler.end()
        if self._spike_recorder is not None:
            self._spike_recorder.stop = nest.biological_time
        self._ids = {}
        self._drop()

    def store_to_cache(self, annotations: Any = None) -> None:
        """See PyNN."""
        if self.population.has_cells:  # to be described
            super().store_to_cache(annotations)


def native_variable(celltype: Any, variable: str) -> str:
    """NEST's name of a state variable."""
    if isinstance(celltype, StandardCellType):
        # pyNN.nest forgets that of IF_curr_delta
        return str(getattr(celltype, "variable_map", {"v": "V_m"}).get(variable, variable))
    return variable


def _steps(times: Any) -> NDArray[np.int64]:
    steps: NDArray[np.int64] = np.rint(np.asarray(times) / state.dt).astype(np.int64)
    return steps

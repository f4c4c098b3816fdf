"""Populations in NEURON: cells on the time grid, spikes recorded into two vectors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyNN import errors, recording
from pyNN.parameters import ParameterSpace

from portable_cortex.recording import Signal

from ._cells import GridIFCurrExp, SpikeSourcePoisson
from ._pynn import h, pynn_neuron, pynn_recording, simulator
from ._state import network

if TYPE_CHECKING:
    from ._projection import Projection

DRIVE, SOURCE = 0, 1
"""What a neuron's own random stream is for."""


class _Recorder(pynn_recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """Lets NEURON write the spikes of all cells into two vectors, instead of one for each cell."""

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._spikes: list[tuple[Any, Any]] = []  # vectors of times and cells

    def record(self, variables: Any, *args: Any, **kwargs: Any) -> None:
        self.population.build_sources()
        super().record(variables, *args, **kwargs)

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if variable.name != "spikes":
            super()._record(variable, new_ids, sampling_interval)
        elif new_ids:
            vectors = h.Vector(), h.Vector()
            cells = h.Vector(sorted(int(cell) for cell in new_ids))
            simulator.state.parallel_context.spike_record(cells, *vectors)
            self._spikes.append(vectors)

    def _record_state_variable(self, cell: Any, variable: Any) -> None:
        if not isinstance(cell, GridIFCurrExp) or variable.name != "v":
            super()._record_state_variable(cell, variable)
            return
        vector = h.Vector()
        step = simulator.state.dt
        every = () if self.sampling_interval == step else (self.sampling_interval,)
        vector.record(cell.source._ref_vm, *every)
        cell.traces[variable].append(vector)

    def spikes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Cells of this process that fired, and when (ms, on the time grid)."""
        cells = [cells.as_numpy().astype(np.int64) for _, cells in self._spikes]
        times = [times.as_numpy() for times, _ in self._spikes]
        if not cells:
            return np.empty(0, np.int64), np.empty(0)
        step = simulator.state.dt
        # NEURON adds up time step by step, and its rounding errors with it
        return np.concatenate(cells), np.round(np.round(np.concatenate(times) / step) * step, 9)

    def samples(self, name: str) -> Signal:
        """All samples of a variable from the recorded cells of this process."""
        variable = recording.Variable(name=name, location=None, label=None)
        ids = sorted(self.recorded[variable])
        interval = self.sampling_interval
        values = np.empty((round(simulator.state.t / interval) + 1, 0))
        if ids:
            values, _ = self._get_all_signals(variable, ids)
        first = int(self.population.first_id)
        neurons = np.array(ids, dtype=np.int64) - first
        return Signal(values, neurons, 0.0, interval, str(self.population.find_units(variable)))

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        cells, times = self.spikes()
        kept = np.isin(cells, np.array(ids, dtype=np.int64))
        order = np.argsort(times[kept], kind="stable")
        # NEURON's clock has rounding errors, and Neo wants all times within the segment
        first, last = float(self._recording_start_time), simulator.state.t
        return cells[kept][order], np.clip(times[kept][order], first, max(first, last))

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        cells, _ = self.spikes()
        ids = self.filter_recorded(variable, filter_ids)
        return {int(cell): int(np.count_nonzero(cells == int(cell))) for cell in ids}

    def _clear_simulator(self) -> None:
        for vectors in self._spikes:
            for vector in vectors:
                vector.resize(0)
        for cell in {cell for cells in self.recorded.values() for cell in cells}:
            for traces in getattr(cell._cell, "traces", {}).values():
                for vector in traces:
                    vector.resize(0)

    def _reset(self) -> None:
        self._spikes = []
        for cell in {cell for cells in self.recorded.values() for cell in cells}:
            if hasattr(cell._cell, "traces"):
                cell._cell.traces.clear()
                cell._cell.recording_time = 0


class Population(pynn_neuron.Population):  # type: ignore[misc]
    __doc__ = pynn_neuron.Population.__doc__
    _recorder_class = _Recorder

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Of Poisson sources: they have cells of their own only once those are needed; until then
        # they may be the drive of the neurons that they are connected to, one to one.
        self._unbuilt: ParameterSpace | None = None
        self._drives: Projection | None = None
        self.driven = False  # by such sources
        super().__init__(*args, **kwargs)
        network.add_population(self)

    @property
    def is_unbuilt(self) -> bool:
        """Whether this is a population of Poisson sources without cells of their own."""
        return self._unbuilt is not None

    @property
    def is_on_grid(self) -> bool:
        """Whether its neurons are integrated on the time grid."""
        return getattr(self.celltype, "model", None) is GridIFCurrExp

    def _create_cells(self) -> None:
        if not isinstance(self.celltype, SpikeSourcePoisson):
            super()._create_cells()
            if self.is_on_grid:
                for cell in self:
                    _seed(cell._cell.source.drive, cell, DRIVE)
            return
        state = simulator.state
        self.first_id = state.gid_counter
        state.gid_counter += self.size
        self.last_id = state.gid_counter - 1
        self.all_cells = np.empty(self.size, dtype=object)
        for index in range(self.size):
            self.all_cells[index] = simulator.ID(self.first_id + index)
            self.all_cells[index].parent = self
        numbers = np.arange(self.first_id, self.last_id + 1)
        self._mask_local = numbers % state.num_processes == state.mpi_rank
        parameters = self.celltype.native_parameters
        parameters.shape = (self.size,)
        parameters.evaluate(simplify=False)
        self._unbuilt = parameters

    def build_sources(self) -> None:
        """Give each Poisson source a cell of its own, if they have none."""
        if self._unbuilt is None:
            return
        if simulator.state.running:
            raise errors.ConnectionError(
                f"population {self.label!r} has been run as the drive of its targets: record it, "
                "or connect it a second time, before the first run"
            )
        parameters, self._unbuilt = self._unbuilt, None
        for cell, is_local, values in zip(
            self.all_cells, self._mask_local, parameters, strict=True
        ):
            if is_local:
                cell._build_cell(self.celltype.model, values)
                _seed(cell._cell.stream, cell, SOURCE)
        if self._drives is not None:
            self._drives.build_synapses()
            self._drives = None

    def drive(self, projection: Projection) -> None:
        """Let the sources of `projection` drive their targets without cells in between."""
        self._drives = projection
        self._push_drive()

    def _push_drive(self) -> None:
        """Set the drive of the targets from the sources' parameters."""
        assert self._unbuilt is not None
        assert self._drives is not None
        columns = {name: self._column(name) for name in self._unbuilt.keys()}  # noqa: SIM118 (no dict)
        for index, cell, delay in self._drives.drive_targets():
            values = {name: float(column[index]) for name, column in columns.items()}
            cell.drive_interval = values["_interval"]
            cell.drive_start = values["start"] + delay
            cell.drive_stop = values["start"] + values["duration"] + delay
            if simulator.state.running:
                cell.start_drive(max(h.t, cell.drive_start))

    def _set_parameters(self, parameter_space: Any) -> None:
        if self._unbuilt is None:
            super()._set_parameters(parameter_space)
            return
        parameter_space.evaluate(simplify=False)
        self._unbuilt.update(**{k: parameter_space[k] for k in parameter_space.keys()})  # noqa: SIM118
        self._unbuilt.evaluate(simplify=False)
        if self._drives is not None:
            self._push_drive()

    def _get_native_parameters(self, *names: str, component_label: Any = None) -> Any:
        if self._unbuilt is None:
            return super()._get_native_parameters(*names, component_label=component_label)
        values = {name: self._column(name)[self._mask_local] for name in names}
        return ParameterSpace(values, shape=(self.local_size,))

    def _column(self, name: str) -> Any:
        """A parameter of the sources that have no cells of their own."""
        assert self._unbuilt is not None
        return np.broadcast_to(self._unbuilt[name], self.size)

    def release(self) -> None:
        """Free the cells in NEURON; what was recorded can still be read."""
        for cell in self.all_cells:
            model = cell.__dict__.pop("_cell", None)
            if getattr(model, "traces", None):
                cell._cell = SimpleNamespace(traces=model.traces, recording_time=1)


def _seed(stream: Any, cell: int, what: int) -> None:
    stream.set_ids(network.seed, int(cell), what)
    stream.set_seq(0)  # it would hold numbers of its former identity

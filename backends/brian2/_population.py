"""Populations: parameters and initial values are kept here until the network is lowered."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from pyNN import common, errors, recording
from pyNN.parameters import ParameterSpace, Sequence, simplify
from pyNN.standardmodels import StandardCellType

from portable_cortex.errors import UnsupportedError

from . import _simulator
from ._simulator import ID, state


class _Recorder(recording.Recorder):  # type: ignore[misc]  # PyNN is untyped
    """Says what is to be recorded; asks the running program for it."""

    _simulator = _simulator
    sampling_interval: Any

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        state.change("a recording")
        self.sampling_interval = sampling_interval or self.sampling_interval

    def indices(self, variable: str) -> np.ndarray[Any, Any]:
        """Cells of the population from which `variable` is recorded, in order."""
        ids = [id_ for key, ids in self.recorded.items() if key.name == variable for id_ in ids]
        return np.unique(np.array(ids, dtype=np.int64)) - int(self.population.first_id)

    @property
    def _start(self) -> float:
        """From when on data are asked for: those before have been cleared. ms."""
        return float(self._recording_start_time.rescale("ms").magnitude)

    def spikes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Indices of the neurons that fired since the last clearing, and when (ms)."""
        if state.program is None:
            return np.empty(0, np.int64), np.empty(0)
        neurons, steps = state.program.spikes(self.population)
        since = np.round(self._start / state.dt)
        kept = np.isin(neurons, self.indices("spikes")) & ((steps > since) | (since == 0))
        return neurons[kept], np.round(steps[kept] * state.dt, 9)

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        neurons, times = self.spikes()
        cells = neurons + int(self.population.first_id)
        asked = np.isin(cells, np.array(ids, dtype=np.int64))
        return cells[asked], times[asked]

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        if state.program is None:
            return np.empty((0, len(ids))), None
        steps, values = state.program.signal(self.population, variable.name)
        columns = np.searchsorted(
            self.indices(variable.name), [self.population.id_to_index(id_) for id_ in ids]
        )
        kept = steps >= np.round(self._start / state.dt)
        return values[np.ix_(kept, columns)], None

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        if variable.name != "spikes":
            raise errors.RecordingError(variable.name, self.population.celltype)
        neurons, _ = self.spikes()
        counts = np.bincount(neurons, minlength=self.population.size)
        return {
            int(id_): int(counts[self.population.id_to_index(id_)])
            for id_ in self.filter_recorded(variable, filter_ids)
        }

    def _reset(self) -> None:
        state.change("a recording")

    def _clear_simulator(self) -> None:
        """Nothing to do: what was before the clearing is left out when data are read."""


class _Described:
    """Parameters of a population or view, kept by the population in PyNN's units."""

    celltype: Any
    size: int

    def _home(self) -> tuple[Any, Any]:
        """The population, and which of its cells these are."""
        raise NotImplementedError

    def _get_parameters(self, *names: str) -> Any:
        population, index = self._home()
        values = {name: simplify(population.parameters[name][index]) for name in names}
        return ParameterSpace(values, self.celltype.get_schema(), shape=(self.size,))

    def _set_parameters(self, parameter_space: Any) -> None:
        state.change("parameters")
        population, index = self._home()
        parameter_space.evaluate(simplify=False)
        for name, value in parameter_space.items():
            changed = population.parameters[name].copy()
            changed[index] = value
            _check_order({name: changed})
            population.parameters[name] = changed

    def _set_initial_value_array(self, variable: str, value: Any) -> None:
        state.change("initial values")
        population, index = self._home()
        values = population.initial.setdefault(variable, np.zeros(population.size))
        values[index] = value.evaluate(simplify=False)


class Assembly(common.Assembly):  # type: ignore[misc]
    __doc__ = common.Assembly.__doc__
    _simulator = _simulator


class PopulationView(_Described, common.PopulationView):  # type: ignore[misc]
    __doc__ = common.PopulationView.__doc__
    _simulator = _simulator
    _assembly_class = Assembly

    def _home(self) -> tuple[Any, Any]:
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))

    def _get_view(self, selector: Any, label: str | None = None) -> Any:
        return PopulationView(self, selector, label)


class Population(_Described, common.Population):  # type: ignore[misc]
    __doc__ = common.Population.__doc__
    _simulator = _simulator
    _recorder_class = _Recorder
    _assembly_class = Assembly

    def _create_cells(self) -> None:
        if not isinstance(self.celltype, StandardCellType):
            raise UnsupportedError(
                f"the brian2 backend has PyNN's standard cell types, not {self.celltype!r}"
            )
        state.change("a population")
        first = state.id_counter
        state.id_counter += self.size
        self.all_cells = np.array([ID(n) for n in range(first, first + self.size)], dtype=object)
        for cell in self.all_cells:
            cell.parent = self
        self._mask_local = np.ones(self.size, dtype=bool)
        parameters = copy(self.celltype.native_parameters)
        parameters.shape = (self.size,)
        parameters.evaluate(simplify=False)
        self.parameters = {n: _each(v, self.size) for n, v in parameters.as_dict().items()}
        _check_order(self.parameters)
        self.initial: dict[str, np.ndarray[Any, Any]] = {}
        state.populations.append(self)

    def _home(self) -> tuple[Any, Any]:
        return self, slice(None)

    def _get_view(self, selector: Any, label: str | None = None) -> Any:
        return PopulationView(self, selector, label)

    def recorded_spikes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Indices of the neurons that fired, and when (ms)."""
        neurons, times = self.recorder.spikes()
        return neurons, times


def _each(value: Any, size: int) -> np.ndarray[Any, Any]:
    """A value for each cell: a number, or a whole sequence."""
    if isinstance(value, Sequence):
        values = np.empty(size, dtype=object)
        values.fill(value)
        return values
    return np.array(np.broadcast_to(value, size))


def _check_order(parameters: dict[str, np.ndarray[Any, Any]]) -> None:
    for times in parameters.get("spike_times", ()):
        if np.any(np.diff(np.asarray(getattr(times, "value", times), dtype=float)) < 0):
            raise errors.InvalidParameterValueError("spike times must be in ascending order")

"""Populations: parameters and state as arrays, which the engine borrows while it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import ParameterSpace, Sequence, simplify

from . import _cells, _simulator
from ._recorder import Recorder

F64 = NDArray[np.float64]
SOURCES = (_cells.SpikeSourcePoisson, _cells.SpikeSourceArray)


class _Parameters:
    """Parameters of a population or view."""

    celltype: Any
    size: int

    def _indices(self) -> tuple[Population, Any]:
        """The population that has the cells, and which of them they are."""
        raise NotImplementedError

    def _get_parameters(self, *names: str) -> Any:
        for name in names:
            if name not in self.celltype.default_parameters:
                raise errors.NonExistentParameterError(
                    name, self.celltype.__class__.__name__, self.celltype.get_parameter_names()
                )
        return self._get_native_parameters(*names)

    def _get_native_parameters(self, *names: str) -> Any:
        population, own = self._indices()
        values = {name: simplify(population.parameter(name)[own]) for name in names}
        return ParameterSpace(values, self.celltype.get_schema(), shape=(self.size,))

    def _set_parameters(self, parameter_space: Any) -> None:
        population, own = self._indices()
        _simulator.state.touch()
        parameter_space.evaluate(simplify=False)
        for name, value in parameter_space.items():
            changed = population.parameter(name).copy()
            changed[own] = value
            population.set_parameter(name, changed)

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        population, own = self._indices()
        if population.is_source:
            return
        if variable not in population.initial:
            raise errors.NonExistentParameterError(
                variable, self.celltype.__class__.__name__, sorted(population.initial)
            )
        _simulator.state.touch()
        values = initial_values.evaluate(simplify=False)
        population.initial[variable][own] = values
        population.state[variable][own] = values

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)


class Assembly(common.Assembly):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = common.Assembly.__doc__
    _simulator = _simulator


class PopulationView(_Parameters, common.PopulationView):  # type: ignore[misc]
    __doc__ = common.PopulationView.__doc__
    _simulator = _simulator
    _assembly_class = Assembly

    def _indices(self) -> tuple[Population, Any]:
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))

    @property
    def initial_values(self) -> Any:
        """Those of the population, for these cells."""
        population, own = self._indices()
        return {name: values[own] for name, values in population.initial.items()}


class Population(_Parameters, common.Population):  # type: ignore[misc]
    __doc__ = common.Population.__doc__
    _simulator = _simulator
    _recorder_class = Recorder
    _assembly_class = Assembly

    def _indices(self) -> tuple[Population, Any]:
        return self, slice(None)

    def _create_cells(self) -> None:
        if not (hasattr(self.celltype, "model") or isinstance(self.celltype, SOURCES)):
            raise errors.InvalidModelError(
                f"{type(self.celltype).__name__} is no cell type of the builtin simulator: valid "
                f"are {', '.join(_cells.CELL_TYPES)}"
            )
        state = _simulator.state
        self.is_source = isinstance(self.celltype, SOURCES)
        self.number = len(state.populations)
        self.n_projections = 0  # that start here
        first = state.add_population(self)
        self.all_cells = np.empty(self.size, dtype=object)
        for index in range(self.size):
            cell = _simulator.ID(first + index)
            cell.parent = self
            self.all_cells[index] = cell
        self._mask_local = np.ones(self.size, bool)
        self.first_id = self.all_cells[0]
        parameters = self.celltype.native_parameters
        parameters.shape = (self.size,)
        parameters.evaluate(simplify=False)
        self._values = {name: np.asarray(value) for name, value in parameters.items()}
        for name, value in self._values.items():
            self.set_parameter(name, value)
        variables = () if self.is_source else self.celltype.model.variables
        defaults = self.celltype.default_initial_values
        self.initial: dict[str, F64] = {
            name: np.full(self.size, float(defaults.get(name, 0.0))) for name in variables
        }
        self.state: dict[str, F64] = {n: v.copy() for n, v in self.initial.items()}
        self.refractory = np.zeros(self.size, np.int32)

    # --- what the engine asks for -----------------------------------------------------------------

    def parameter(self, name: str) -> Any:
        """Values of a parameter, one for each cell."""
        return self._values[name]

    def set_parameter(self, name: str, values: Any) -> None:
        """Take new values, after a look at them."""
        if name == "spike_times":
            values = np.broadcast_to(np.array(values, dtype=object), self.size)
            if any(np.any(np.diff(_times(own)) < 0) for own in values):
                raise errors.InvalidParameterValueError("spike times must be in ascending order")
        else:
            values = np.array(np.broadcast_to(values, self.size), float)
            wrong = ~np.isfinite(values) | (values <= 0 if name in POSITIVE else False)
            if name in NOT_NEGATIVE:
                wrong |= values < 0
            if wrong.any():
                what = "above 0" if name in POSITIVE else "0 or more"
                raise errors.InvalidParameterValueError(
                    f"{name} must be a number{' ' + what if name in CHECKED else ''}, "
                    f"not {values[wrong][0]:g}"
                )
        self._values[name] = values

    def constants(self, step: float, each: bool) -> F64:
        """Constants of the engine: one column if all cells have the same, unless `each`."""
        rows = self.celltype.model.constants(self._values, step)
        table = np.array([np.broadcast_to(row, self.size) for row in rows], float)
        if not each and np.all(table == table[:, :1]):
            table = table[:, :1]
        return np.ascontiguousarray(table)

    def _offset(self) -> Any:
        """What the engine subtracts from v."""
        return self._values["v_rest"] if self.celltype.model.relative_to_rest else 0.0

    def offset(self, variable: int) -> F64:
        """What is to be added to the engine's values of a variable."""
        return np.broadcast_to(np.asarray(self._offset() if variable == 0 else 0.0), self.size)

    def engine_state(self) -> F64:
        """State variables in the engine's form, shape (variables, size)."""
        block = np.array(list(self.state.values()), float)
        block[0] -= self._offset()
        return block

    def take_state(self, own: slice, block: F64, refractory: NDArray[np.int32]) -> None:
        """Take back what the engine changed."""
        for number, name in enumerate(self.state):
            self.state[name][own] = block[number] + self.offset(number)[own]
        self.refractory[own] = refractory

    def restore_initial_values(self) -> None:
        """As it was before the first step."""
        self.state = {name: values.copy() for name, values in self.initial.items()}
        self.refractory[:] = 0

    def scheduled(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and cells of an array source's spikes."""
        step = _simulator.state.dt
        times = [_times(own) for own in self._values["spike_times"]]
        cells = np.repeat(np.arange(self.size), [t.size for t in times])
        steps = np.rint(np.concatenate([*times, np.empty(0)]) / step).astype(np.int64)
        return steps, cells

    def most_simultaneous(self) -> int:
        """The largest number of spikes of an array source in one step."""
        steps, cells = self.scheduled()
        if not steps.size:
            return 1
        return int(np.unique(np.stack([steps, cells]), axis=1, return_counts=True)[1].max())


def _times(value: Any) -> F64:
    """Spike times of one cell, ms."""
    return np.asarray(value.value if isinstance(value, Sequence) else value, float).ravel()


POSITIVE = {"tau_m", "cm", "tau_syn_E", "tau_syn_I", "delta_T", "tau_w"}
NOT_NEGATIVE = {"tau_refrac", "rate", "start", "duration"}
CHECKED = POSITIVE | NOT_NEGATIVE

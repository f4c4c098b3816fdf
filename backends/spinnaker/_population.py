"""Populations and views: sPyNNaker's, with PyNN's answers.

sPyNNaker takes the number of a cell in a view of a view for one in the population, leaves initial
values that are set between runs for the next reset, and has neither receptors nor positions where
PyNN has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import errors
from pyNN.parameters import Sequence
from spynnaker.pyNN.models.neuron import PopulationVertex
from spynnaker.pyNN.models.populations import PopulationView as _View
from spynnaker.pyNN.models.populations.population_view import IDMixin
from spynnaker.pyNN.models.spike_source import SpikeSourceArrayVertex

from portable_cortex.pynn.checks import check_values
from portable_cortex.pynn.population import check_parameter
from portable_cortex.support import refusal

from . import _neurons
from ._connectors import unseeded
from ._recording import Recorder
from ._sources import send, trains_of
from ._state import state
from ._variables import native_record, native_state, state_factor

IZHIKEVICH = (
    "Izhikevich is another model on spinnaker: a spike makes a current, which decays with "
    "tau_syn_E or tau_syn_I (5 ms), where elsewhere it moves the potential at once"
)


def indices(cells: Any) -> Any:
    """Places of the cells of a population or view in their population."""
    return np.asarray(getattr(cells, "_indexes", None) or np.arange(cells.size), np.int64)


def set_initial(cells: Any, values: dict[str, Any]) -> None:
    """Set initial values of state variables, which hold at once: also between runs."""
    vertex = cells._vertex
    if not isinstance(vertex, PopulationVertex):
        raise errors.NonExistentParameterError(next(iter(values)), "a spike source", [])
    names, places = native_state(vertex), indices(cells).tolist()
    for name, value in values.items():
        if name not in names:
            raise errors.NonExistentParameterError(name, cells.label, sorted(names))
        value = _drawn_once(unseeded(value), cells)
        scale = state_factor(vertex, name, places)
        if np.any(scale != 1.0):
            drawn = value.next(cells.size) if hasattr(value, "next") else value
            value = (np.broadcast_to(np.asarray(drawn, float), cells.size) * scale).tolist()
        vertex.set_initial_state_values(names[name], value, places)
        if state.is_running:
            vertex.set_current_state_values(names[name], value, places)


def _drawn_once(value: Any, cells: Any) -> Any:
    """Values of a function, or between runs those of a distribution, one for each cell."""
    if callable(value) and not hasattr(value, "parameters"):
        return [float(value(i)) for i in range(cells.size)]
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return float(value)
    return value


def cellclass_of(population: Any) -> Any:
    """SPyNNaker's cell type of a population."""
    return population.celltype._model


class _CellType:
    """A cell type that says, like PyNN's, what can be recorded from it."""

    def __init__(self, model: Any, vertex: Any) -> None:
        self._model = model
        self.recordable = sorted(native_record(vertex))
        self.injectable = isinstance(vertex, PopulationVertex)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _Cells:
    """What populations and views share."""

    __slots__ = ()
    _vertex: Any
    size: int
    positions: Any

    @property
    def celltype(self) -> Any:
        """The cell type."""
        celltype = super().celltype  # type: ignore[misc]
        of_population = isinstance(celltype, _CellType)  # which a view has it from
        return celltype if of_population else _CellType(celltype, self._vertex)

    @property
    def initial_values(self) -> dict[str, Any]:
        """Initial values by state variable: of each cell."""
        vertex, places = self._vertex, indices(self).tolist()
        if not self.injectable:
            return {}
        return {
            name: np.asarray(list(vertex.get_initial_state_values(native, places)), float)
            / state_factor(vertex, name, places)
            for name, native in native_state(vertex).items()
        }

    def can_record(self, variable: str) -> bool:
        """Whether a variable can be recorded."""
        return variable in native_record(self._vertex)

    @property
    def injectable(self) -> bool:
        """Whether these are neurons, not spike sources."""
        return isinstance(self._vertex, PopulationVertex)

    @property
    def receptor_types(self) -> list[str]:
        """Names of the receptors."""
        if not self.injectable:
            return []
        return list(self._vertex.neuron_impl.get_synapse_targets())

    @property
    def position_generator(self) -> Any:
        """A function of an index, or of several: their positions, a row each."""
        return lambda index: self.positions.T[index]

    @property
    def network(self) -> int:
        """Which network it belongs to."""
        population: Any = getattr(self, "grandparent", self)
        return int(population._network)

    def record(self, variables: Any, to_file: Any = None, sampling_interval: Any = None) -> None:
        """Record variables; see PyNN's ``record``. Before the first run."""
        state.check_alive(self)
        state.changes("sample-times: recording after a run")
        super().record(variables, to_file, sampling_interval)  # type: ignore[misc]

    def get_data(self, *args: Any, **options: Any) -> Any:
        """Data as a Neo block; see PyNN's ``get_data``."""
        self._check_data()
        return super().get_data(*args, **options)  # type: ignore[misc]

    def get_spike_counts(self, *args: Any, **options: Any) -> Any:
        """Numbers of spikes by cell; see PyNN's ``get_spike_counts``."""
        self._check_data()
        return super().get_spike_counts(*args, **options)  # type: ignore[misc]

    def _check_data(self) -> None:
        state.check_alive(self)
        if spynnaker.SpynnakerDataView.is_shutdown():
            raise refusal(
                "spinnaker", "data-after-end", "read data after end()", "Read them before"
            )

    def inject(self, source: Any) -> None:
        """Inject a current into all cells."""
        source.inject_into(self)

    def initialize(self, **initial_values: Any) -> None:
        """Set initial values of state variables; see PyNN's ``initialize``."""
        state.check_alive(self)
        set_initial(self, initial_values)

    def get(self, parameter_names: Any, gather: bool = True, simplify: bool = True) -> Any:
        """Values of parameters; one value where all neurons have the same and `simplify` is set."""
        state.check_alive(self)
        names = [parameter_names] if isinstance(parameter_names, str) else list(parameter_names)
        found: list[Any] = []
        for name in names:
            if name == "spike_times":
                population: Any = getattr(self, "grandparent", self)
                trains = population.trains
                chosen = [Sequence(trains[place]) for place in indices(self)]
                same = simplify and all(train == chosen[0] for train in chosen)
                found.append(chosen[0] if same else np.array([*chosen, None], object)[:-1])
                continue
            held = self._vertex.get_parameter_values(name, indices(self).tolist())
            values = np.asarray(list(held), dtype=float)
            if values.ndim == 2 and values.shape[1] == 1:  # rates of Poisson sources
                values = values[:, 0]
            same = simplify and (values == values[0]).all()
            found.append(float(values[0]) if same else values)
        return found[0] if isinstance(parameter_names, str) else found

    def __getitem__(self, index: Any) -> Any:
        places, population = indices(self), getattr(self, "grandparent", self)
        if isinstance(index, Integral) and not isinstance(index, bool):
            return Cell(population, int(places[int(index)]))
        chosen = places[np.asarray(index) if not isinstance(index, slice) else index]
        return PopulationView(population, chosen)

    def __iter__(self) -> Iterator[Any]:
        population = getattr(self, "grandparent", self)
        return iter([Cell(population, int(place)) for place in indices(self)])

    all = __iter__

    @property
    def all_cells(self) -> Any:
        """The cells."""
        return list(self)

    local_cells = all_cells

    def __add__(self, other: Any) -> Any:
        raise refusal("spinnaker", "assemblies", "add populations to an assembly")


class PopulationView(_Cells, _View):  # type: ignore[misc]  # sPyNNaker's types are its own
    __doc__ = _View.__doc__
    __slots__ = ()

    @property
    def positions(self) -> Any:
        """Of the cells, a column each."""
        return self.grandparent.positions[:, indices(self)]

    def __getattr__(self, name: str) -> Any:
        if name not in self._vertex.get_parameters():  # sPyNNaker has a KeyError
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__realslots__:
            object.__setattr__(self, name, value)
        else:
            self.set(**{name: value})

    def set(self, **parameters: Any) -> None:
        """Set parameters of the cells."""
        state.check_alive(self)
        set_parameters(self, parameters)


class Cell(PopulationView, IDMixin):  # type: ignore[misc]
    """One neuron or spike source."""

    __slots__ = ()

    def set_parameters(self, **parameters: Any) -> None:
        """Set its parameters."""
        self.set(**parameters)

    def __int__(self) -> int:
        return int(self.grandparent.index_to_id(self._indexes[0]))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, int | np.integer | Cell) and int(self) == int(other)

    def __hash__(self) -> int:
        return hash(int(self))

    def set_initial_value(self, variable: str, value: Any) -> None:
        """Set the initial value of a state variable, which holds at once."""
        set_initial(self, {variable: value})


class Population(_Cells, spynnaker.Population):  # type: ignore[misc]
    __doc__ = spynnaker.Population.__doc__

    def __init__(
        self,
        size: int,
        cellclass: Any,
        cellparams: Any = None,
        structure: Any = None,
        initial_values: Any = None,
        label: str | None = None,
        **additional: Any,
    ) -> None:
        state.changes("parameters-between-runs: populations")
        state.created += 1
        if "seed" in getattr(cellclass, "default_population_parameters", {}):
            key = np.random.SeedSequence([state.seed, state.created])
            additional.setdefault("seed", int(key.generate_state(1)[0] >> 1))
        super().__init__(size, cellclass, cellparams, structure, None, label, **additional)
        self._network = state.network
        self._Population__recorder = Recorder(population=self, vertex=self._vertex)
        if isinstance(self._vertex, SpikeSourceArrayVertex):
            self.trains = trains_of(cellclass_of(self).spike_times, self.size)
            self.to_come = [list(train) for train in self.trains]
        else:
            self._check_parameters()
        state.populations.append(self)
        if initial_values:
            self.initialize(**initial_values)
        if isinstance(cellclass_of(self), spynnaker.Izhikevich):
            state.differs(f"population {self.label}: {IZHIKEVICH}")

    @property
    def positions(self) -> Any:
        """Of the cells, a column each, where sPyNNaker has a row."""
        return np.asarray(super().positions).T

    @positions.setter
    def positions(self, positions: Any) -> None:
        self._Population__positions = np.asarray(positions, float)

    def _check_parameters(self) -> None:
        for name in self._vertex.get_parameters():
            held = self._vertex.get_parameter_values(name, None)
            try:
                values = list(held)
            except ValueError:
                continue  # drawn on the board
            check_values(type(cellclass_of(self)).__name__, {name: values})
            check_parameter(name, np.asarray(values, float))
        if self.injectable:
            _neurons.check(self)

    def again(self) -> None:
        """Send all spike times again, at time 0."""
        if isinstance(self._vertex, SpikeSourceArrayVertex):
            self.to_come = [list(train) for train in self.trains]
            send(self._vertex, self.to_come)

    def set(self, **parameters: Any) -> None:
        """Set parameters of all cells."""
        state.check_alive(self)
        set_parameters(self, parameters)


def set_parameters(cells: Any, parameters: dict[str, Any]) -> None:
    """Set parameters of cells: numbers, a value for each, functions of the index.

    Raises
    ------
    pyNN.errors.NonExistentParameterError, pyNN.errors.InvalidParameterValueError
    """
    vertex, index = cells._vertex, indices(cells).tolist()
    for name in parameters:
        if name not in vertex.get_parameters():
            raise errors.NonExistentParameterError(
                name, cells.label, sorted(vertex.get_parameters())
            )
    for name, value in parameters.items():
        if name == "spike_times" and isinstance(vertex, SpikeSourceArrayVertex):
            population = getattr(cells, "grandparent", cells)
            for place, train in zip(index, trains_of(value, len(index)), strict=True):
                population.trains[place] = train
                # what is past is not sent again
                population.to_come[place] = [t for t in train if t > state.t or not state.step]
            send(vertex, population.to_come)
            continue
        value = _drawn_once(unseeded(value), cells)
        if not hasattr(value, "parameters"):
            check_parameter(name, value)
        vertex.set_parameter_values(name, value, index)
    if isinstance(vertex, PopulationVertex):
        _neurons.check(cells)

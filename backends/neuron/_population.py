"""Populations in NEURON: cells of PyNN, those on the grid, and Poisson sources without cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pyNN import common, errors
from pyNN.parameters import LazyArray, ParameterSpace, Sequence, simplify
from pyNN.standardmodels import StandardCellType

from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.pynn.population import (
    Indexed,
    Joined,
    Selected,
    Stateful,
    as_trains,
    check_initial,
    check_names,
    check_parameter,
    check_shapes,
    each_value,
    is_modelled,
)
from portable_cortex.pynn.values import lazy
from portable_cortex.support import refusal

from . import _state
from ._cells import MECHANISMS, GridCell, GridIFCurrExp, Source, SpikeSourcePoisson, on_grid
from ._generated import set_parameters
from ._pynn import h, pynn_neuron, simulator
from ._recorder import Recorder
from ._renewal import Renewal
from ._state import state
from ._writing import local

if TYPE_CHECKING:
    from ._projection import Projection

DRIVE, SOURCE, NOISE = 0, 1, 2
"""What a neuron's own random stream is for."""

SYNAPTIC = ("gsyn_exc", "gsyn_inh", "isyn_exc", "isyn_inh")


class ID(simulator.ID):  # type: ignore[misc]  # PyNN is untyped
    """One cell."""

    get_initial_value = common.IDMixin.get_initial_value
    set_initial_value = common.IDMixin.set_initial_value


class Assembly(Joined, pynn_neuron.Assembly):  # type: ignore[misc]
    __doc__ = pynn_neuron.Assembly.__doc__
    _simulator = _state


class _Cells:
    """What populations and views have in common."""

    celltype: Any  # PyNN's, as those that follow
    size: int
    all_cells: Any
    _mask_local: Any

    def _members(self) -> tuple[Any, Any]:
        """The population that has the cells, and which of them they are."""
        raise NotImplementedError

    def _get_view(self, selector: Any, label: str | None = None) -> Any:
        return PopulationView(self, selector, label)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """See PyNN."""
        state.check_alive(self)
        return super().get(*args, **kwargs)  # type: ignore[misc]

    def set(self, **parameters: Any) -> None:
        """See PyNN."""
        state.check_alive(self)
        super().set(**as_trains(parameters))  # type: ignore[misc]

    def inject(self, current_source: Any) -> None:
        """See PyNN."""
        current_source.inject_into(self)

    def _get_parameters(self, *names: str) -> Any:
        check_names(self.celltype, names)
        if isinstance(self.celltype, NeuronType):
            return self._get_native_parameters(*names)  # which are PyNN's, arrays among them
        if names != ("spike_times",):
            return super()._get_parameters(*names)  # type: ignore[misc]
        cells = self.all_cells[self._mask_local]
        trains = np.empty(len(cells), dtype=object)
        trains[:] = [Sequence(cell._cell.spike_times) for cell in cells]
        return ParameterSpace(
            {"spike_times": simplify(trains)}, self.celltype.get_schema(), shape=(len(cells),)
        )

    def _set_parameters(self, parameter_space: Any) -> None:
        parameter_space.evaluate(simplify=False)
        _check(self.celltype, parameter_space)
        self._set_cells(parameter_space)

    def _set_cells(self, parameter_space: Any) -> None:
        """Set checked parameters, which have a value for each cell."""
        population, indices = self._members()
        if population.is_unbuilt:
            population.set_unbuilt(parameter_space, indices)
            return
        if population.is_generated:
            population.set_generated(parameter_space, indices)
            return
        for cell, is_local, values in zip(
            self.all_cells, self._mask_local, parameter_space, strict=True
        ):
            if is_local:
                for name, value in values.items():
                    setattr(cell._cell, name, value)

    def _get_native_parameters(self, *names: str, component_label: Any = None) -> Any:
        population, indices = self._members()
        if not (population.is_unbuilt or population.is_generated):
            base: Any = super()
            return base._get_native_parameters(*names, component_label=component_label)
        local = indices[self._mask_local]
        return ParameterSpace(
            {name: simplify(population.column(name)[local]) for name in names},
            self.celltype.get_schema() if population.is_generated else None,
            shape=local.shape,
        )

    def initialize(self, **initial_values: Any) -> None:
        """Set state variables, which hold at once and after a reset; see PyNN.

        Raises
        ------
        pyNN.errors.NonExistentParameterError
            For a variable that the cells do not have.
        """
        population, indices = self._members()
        state.check_alive(population)
        for name, value in initial_values.items():
            if population.injectable and name not in population.initial_values:
                valid = self.celltype.default_initial_values
                if valid and name not in valid:
                    kind = type(self.celltype).__name__
                    raise errors.NonExistentParameterError(name, kind, sorted(valid))
            values = LazyArray(value, shape=(self.size,), dtype=float).evaluate(simplify=False)
            check_initial(name, values)
            population.take_initial(name, indices, values)


class PopulationView(_Cells, Selected, pynn_neuron.PopulationView):  # type: ignore[misc]
    __doc__ = pynn_neuron.PopulationView.__doc__
    _simulator = _state
    _assembly_class = Assembly

    def _members(self) -> tuple[Any, Any]:
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))

    @property
    def initial_values(self) -> dict[str, Any]:
        """Those of the population, for these cells."""
        population, indices = self._members()
        values = population.initial_values
        return {name: lazy(v.evaluate()[indices]) for name, v in values.items()}


class Population(_Cells, Indexed, Stateful, pynn_neuron.Population):  # type: ignore[misc]
    __doc__ = pynn_neuron.Population.__doc__
    _simulator = _state
    _recorder_class = Recorder
    _assembly_class = Assembly

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Of Poisson sources: they have cells of their own only once those are needed; until then
        # they may be the drive of the neurons that they are connected to, one to one.
        self._unbuilt: ParameterSpace | None = None
        self._drives: Projection | None = None
        self._parameters: dict[str, Any] = {}  # of neurons of a model
        self._streams: list[tuple[Any, int, int]] = []  # of random numbers, with their keys
        self.driven = False  # by such sources
        super().__init__(*args, **kwargs)

    @property
    def is_unbuilt(self) -> bool:
        """Whether this is a population of Poisson sources without cells of their own."""
        return self._unbuilt is not None

    @property
    def is_generated(self) -> bool:
        """Whether its neurons are those of a model."""
        return isinstance(self.celltype, NeuronType)

    @property
    def has_drive(self) -> bool:
        """Whether its neurons can have a Poisson drive of their own."""
        return getattr(self.celltype, "model", None) is GridIFCurrExp

    @property
    def is_on_grid(self) -> bool:
        """Whether its neurons are advanced on the time grid."""
        return self.is_generated or self.has_drive

    @property
    def has_sections(self) -> bool:
        """Whether its cells are sections of NEURON's."""
        return bool(self.celltype.injectable) and not self.is_on_grid

    @property
    def keeps_grid(self) -> bool:
        """Whether its cells themselves say when they spike, and do so on the time grid."""
        return not self.has_sections

    def _members(self) -> tuple[Any, Any]:
        return self, np.arange(self.size)

    def _create_cells(self) -> None:
        pynn, celltype = simulator.state, self.celltype
        check_shapes(self)
        self.network = state.network
        state.touch("a population", structure=True)
        if pynn.running and self.has_sections:
            raise refusal(
                "neuron",
                "parameters-between-runs: more cells of PointNeuron",
                f"make population {self.label!r} of {type(celltype).__name__} at {state.t:g} ms",
                "Make it before the first run (all other cells can be made later)",
            )
        self.first_id = pynn.gid_counter
        pynn.gid_counter += self.size
        self.last_id = pynn.gid_counter - 1
        numbers = np.arange(self.first_id, self.last_id + 1)
        self._mask_local = numbers % pynn.num_processes == pynn.mpi_rank
        self.all_cells = np.empty(self.size, dtype=object)
        for index, number in enumerate(numbers.tolist()):
            self.all_cells[index] = ID(number)
            self.all_cells[index].parent = self
        is_standard = isinstance(celltype, StandardCellType)
        parameters = celltype.native_parameters if is_standard else celltype.parameter_space
        parameters.shape = (self.size,)
        if isinstance(celltype, SpikeSourcePoisson):
            parameters.evaluate(simplify=False)
            _check(celltype, parameters)
            self._unbuilt = parameters
        else:
            parameters.evaluate(mask=None, simplify=True)
            _check(celltype, parameters)
            if self.is_generated:
                self._build_generated(parameters)
            else:
                self._build_cells(parameters)
        state.populations.append(self)

    def _seed(self, stream: Any, cell: int, what: int) -> None:
        self._streams.append((stream, int(cell), what))
        stream.set_ids(state.drive_seed, int(cell), what)
        stream.set_seq(0)  # it would hold numbers of its former identity

    def reseed(self) -> None:
        """Let random numbers be those of the trial."""
        for stream, cell, what in self._streams:
            stream.set_ids(state.drive_seed, cell, what)
            stream.set_seq(0)

    def _build_cells(self, parameters: Any) -> None:
        celltype, model = self.celltype, on_grid(self.celltype.model)
        receptors = getattr(celltype, "post_synaptic_receptors", None)
        receptors = receptors and {name: r.model for name, r in receptors.items()}
        more = getattr(celltype, "extra_parameters", {})
        for cell, is_local, values in zip(
            self.all_cells, self._mask_local, parameters, strict=True
        ):
            if is_local:
                cell._build_cell(model, {**values, **more}, receptors)
                if self.has_drive:
                    self._seed(cell._cell.source.drive, cell, DRIVE)
                elif isinstance(cell._cell, Renewal):
                    self._seed(cell._cell.source.stream, cell, SOURCE)
        self._begin_sources()

    def _begin_sources(self) -> None:
        """Let sources that are made between runs take part in the next."""
        if not simulator.state.running or self.celltype.injectable:
            return
        h.fcurrent()  # NEURON gives them their threads; nothing else changes
        for cell in self.all_cells[self._mask_local]:
            if isinstance(cell._cell, Source):
                cell._cell.begin()

    def _build_generated(self, parameters: Any) -> None:
        for cell in self.all_cells[self._mask_local]:
            cell._build_cell(self.celltype.model, {})
            self._seed(cell._cell.source.stream, cell, NOISE)
        columns = {name: each_value(value, self.size) for name, value in parameters.items()}
        self.set_generated(columns, np.arange(self.size))
        if is_modelled(self.celltype):  # PyNN's are those of default parameters
            self.celltype.default_initial_values = self.celltype.initial_values(columns, state.dt)
        if simulator.state.running:
            for cell in self.all_cells[self._mask_local]:
                cell._cell.source.begin()

    def set_generated(self, parameters: Any, indices: Any) -> None:
        """Set parameters of some of the neurons of a model."""
        changed = {name: values.copy() for name, values in self._parameters.items()}
        for name, values in parameters.items():
            changed.setdefault(name, np.empty(self.size, values.dtype))[indices] = values
        local = indices[self._mask_local[indices]]
        cells = [cell._cell for cell in self.all_cells[local]]
        set_parameters(cells, {name: values[local] for name, values in changed.items()})
        self._parameters = changed

    def generated_state(self) -> Iterator[tuple[str, Any]]:
        """Variables of a model, of the neurons of this process."""
        if self.is_generated:
            sources = [cell._cell.source for cell in self.all_cells[self._mask_local]]
            for variable in self.celltype.default_initial_values:
                yield variable, [getattr(source, local(variable)) for source in sources]

    def initialize_cells(self) -> None:
        """Set the initial values of cells that are not on the grid, whatever mechanisms set."""
        if self.has_sections:
            for cell in self:
                cell._cell.memb_init()

    def take_initial(self, name: str, indices: Any, values: Any) -> None:
        """Take initial values of some cells."""
        if not self.celltype.injectable:
            return  # sources have no state
        present = self.initial_values.get(name)
        whole = np.full(self.size, np.nan if present is None else present.evaluate())
        whole[indices] = values
        native = getattr(self.celltype, "variable_map", {}).get(name, name)
        mechanism, _, variable = native.rpartition(".")
        for index in np.asarray(indices)[self._mask_local[indices]].tolist():
            cell, value = self.all_cells[index]._cell, float(whole[index])
            if variable in SYNAPTIC and value and not isinstance(cell, GridCell):
                raise refusal(
                    "neuron",
                    "initialize-view: synapses of PyNN's own cells",
                    f"begin with {name} = {value:g} in cells of {type(self.celltype).__name__}",
                    "Leave it at 0",
                )
            stored = cell.initial_values[mechanism] if mechanism else cell.initial_values
            stored[variable] = value
            if simulator.state.running:
                _set_state(cell, variable, value)
        self.initial_values[name] = lazy(whole)

    def build_sources(self) -> None:
        """Give each Poisson source a cell of its own, if they have none."""
        if self._unbuilt is None:
            return
        if simulator.state.running and self._drives is not None:
            raise refusal(
                "neuron",
                "poisson-shared: other uses after a run",
                f"use population {self.label!r} in other ways at {state.t:g} ms",
                "To record it, or connect it a second time, do so before the first run",
            )
        parameters, self._unbuilt = self._unbuilt, None
        for cell, is_local, values in zip(
            self.all_cells, self._mask_local, parameters, strict=True
        ):
            if is_local:
                cell._build_cell(self.celltype.model, values)
                self._seed(cell._cell.source.stream, cell, SOURCE)
        self._begin_sources()
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
        columns = {name: self.column(name) for name in self._unbuilt.keys()}  # noqa: SIM118 (no dict)
        for index, cell, delay in self._drives.drive_targets():
            values = {name: float(column[index]) for name, column in columns.items()}
            cell.drive_interval = values["_interval"]
            cell.drive_start = values["start"] + delay
            cell.drive_stop = values["start"] + values["duration"] + delay
            if simulator.state.running:
                cell.start_drive(max(h.t, cell.drive_start))

    def set_unbuilt(self, parameter_space: Any, indices: Any) -> None:
        """Set parameters of some of the sources that have no cells of their own."""
        assert self._unbuilt is not None
        values = {name: self.column(name).copy() for name in self._unbuilt.keys()}  # noqa: SIM118
        for name, value in parameter_space.items():
            values[name][indices] = value
        self._unbuilt = ParameterSpace(values, shape=(self.size,))
        self._unbuilt.evaluate(simplify=False)
        if self._drives is not None:
            self._push_drive()

    def column(self, name: str) -> Any:
        """A parameter of what does not have it cell by cell."""
        if self.is_generated:
            return self._parameters[name]
        assert self._unbuilt is not None
        return np.broadcast_to(self._unbuilt[name], self.size)

    def release(self) -> None:
        """Free the cells in NEURON."""
        for cell in self.all_cells:
            model = cell.__dict__.pop("_cell", None)
            if hasattr(model, "__dict__"):
                # PyNN's cells refer to themselves, and would stay: those that are sections for
                # ever, advanced in each later run. What NEURON gives as their dict is a copy
                object.__getattribute__(model, "__dict__").clear()


def _check(celltype: Any, native_parameters: Any) -> None:
    """Raise PyNN's ``InvalidParameterValueError`` for parameters that no cell can have."""
    if not isinstance(celltype, StandardCellType):
        return
    try:
        space = celltype.reverse_translate(native_parameters)
    except NameError:  # some are made of several, and not all are here
        return
    space.evaluate(simplify=False)
    for name, values in space.items():
        array = np.atleast_1d(values)
        if isinstance(celltype, NeuronType) and is_modelled(celltype):
            array = array[~np.isinf(array)]  # such as a bound that is none
        if array.dtype != object or name == "spike_times" or isinstance(celltype, NeuronType):
            check_parameter(name, array)


def _set_state(cell: Any, variable: str, value: float) -> None:
    """Set a state variable of a cell, now."""
    if isinstance(cell, GridCell):
        cell.set_state(variable, value)
    elif variable == "v":
        for segment in cell:
            segment.v = value
    elif variable in MECHANISMS:
        setattr(getattr(cell, MECHANISMS[variable]), variable, value)

"""PyNN's populations, views and assemblies, over arrays of parameters and initial values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.parameters import ParameterSpace, Sequence, simplify
from pyNN.recording.files import StandardTextFile
from pyNN.standardmodels import build_translations

from ..errors import InvalidValueError, UnsupportedError
from ..host.garbage import without_collection
from ..registry import load_backend
from ..support import missing_type
from .checks import check_size
from .grid import whole_steps
from .state import ID
from .synapses import common_receptor_types
from .values import lazy

POSITIVE = {
    "tau_m", "cm", "tau_syn_E", "tau_syn_I", "tau_w", "tau_sfa", "tau_rr", "tau_eta", "tau_gamma",
    "delta_v", "g_leak",
}  # fmt: skip
NOT_NEGATIVE = {"tau_refrac", "delta_T", "lambda0", "rate", "start", "duration"}


def is_modelled(celltype: Any) -> bool:
    """Whether a cell type stands for a model of a user's (`portable_cortex.neurons.celltype`)."""
    return hasattr(celltype, "neuron") and not getattr(celltype, "is_standard", True)


def times_of(train: Any) -> NDArray[np.float64]:
    """Spike times of one cell, ms, from whatever PyNN holds them in."""
    return np.asarray(train.value if isinstance(train, Sequence) else train, float).ravel()


def check_parameter(name: str, values: Any) -> None:
    """Raise PyNN's ``InvalidParameterValueError`` for values that no cell can have.

    Parameters
    ----------
    name : str
    values : array
        One for each cell; of ``spike_times``, a sequence for each, and of others, PyNN's
        `ArrayParameter`.

    Examples
    --------
    >>> check_parameter("tau_m", np.array([10.0, 0.0]))
    Traceback (most recent call last):
        ...
    pyNN.errors.InvalidParameterValueError: tau_m must be a number above 0, not 0
    """
    if name == "spike_times":
        for train in values:
            times = times_of(train)
            if not np.all(np.isfinite(times)):
                problem = "finite"
            elif np.any(np.diff(times) < 0):
                problem = "in ascending order"
            elif np.any(times < 0):
                problem = f"0 or later, not {times[0]:g}"
            else:
                continue
            raise errors.InvalidParameterValueError(f"spike times must be {problem}")
        return
    array = np.ravel(values)
    if array.dtype == object:
        array = np.asarray([np.ravel(getattr(v, "value", v)) for v in array])
    numbers = np.asarray(array, float)
    wrong = ~np.isfinite(numbers) | (numbers <= 0 if name in POSITIVE else False)
    if name in NOT_NEGATIVE:
        wrong |= numbers < 0
    if wrong.any():
        bound = " above 0" if name in POSITIVE else " from 0" if name in NOT_NEGATIVE else ""
        raise errors.InvalidParameterValueError(
            f"{name} must be a number{bound}, not {numbers[wrong][0]:g}"
        )


def check_shapes(population: Any) -> None:
    """Raise an error for no cells, and for parameters of another number of cells.

    Raises
    ------
    InvalidValueError
    pyNN.errors.InvalidDimensionsError
    """
    space, size = population.celltype.parameter_space, population.size
    check_size(size)
    for name in space.keys():  # noqa: SIM118  # no dict
        value = getattr(space[name], "base_value", None)
        if isinstance(value, np.ndarray) and value.shape not in ((), (size,)):
            raise errors.InvalidDimensionsError(
                f"{name} of population {population.label!r} must be one value, or one for each of "
                f"its {size} cells, not an array of shape {value.shape}"
            )


def check_initial(variable: str, values: Any) -> None:
    """Raise PyNN's ``InvalidParameterValueError`` for initial values that are not finite."""
    numbers = np.asarray(values, float)
    wrong = numbers[~np.isfinite(numbers)]
    if wrong.size:
        raise errors.InvalidParameterValueError(
            f"an initial value of {variable} must be finite, not {wrong[0]:g}"
        )


def as_trains(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in which spike times are no matrix, of which PyNN's spaces make nothing.

    Examples
    --------
    >>> trains = as_trains({"spike_times": np.array([[1.0, 2.0], [3.0, 4.0]])})["spike_times"]
    >>> [times_of(train).tolist() for train in trains]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    times = parameters.get("spike_times")
    if not isinstance(times, np.ndarray) or times.ndim != 2:
        return dict(parameters)
    return {**parameters, "spike_times": [Sequence(train) for train in times]}


class Trains:
    """Mix it into ``SpikeSourceArray``: a matrix of spike times has a row for each cell."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**as_trains(parameters))


def check_names(celltype: Any, names: Iterable[str]) -> None:
    """Raise PyNN's ``NonExistentParameterError`` for parameters that cells do not have."""
    # those of a cell that is put together are in its space only
    valid = {*celltype.get_parameter_names(), *celltype.parameter_space.keys()}
    for name in names:
        if name.partition(".")[0] not in valid:
            raise errors.NonExistentParameterError(name, type(celltype).__name__, sorted(valid))


class Settable:
    """A population or view of which nobody sets a parameter in vain: mix it into PyNN's."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        known = "celltype" in own and not hasattr(type(self), name) and name not in own
        if known and name in own["celltype"].default_parameters:
            raise errors.InvalidModelError(
                f"{name} is a parameter of cells: call set({name}=...) of the population or view, "
                "or set it of single cells"
            )
        super().__setattr__(name, value)


class Stateful(Settable):
    """Initial values cell by cell: mix it into PyNN's ``Population``, which only notes them."""

    initial_values: Any  # PyNN's, as those that follow
    id_to_index: Any

    def _get_cell_initial_value(self, cell: Any, variable: str) -> float:
        if variable not in self.initial_values:
            raise errors.NonExistentParameterError(
                variable, type(cell.celltype).__name__, sorted(self.initial_values)
            )
        return float(self.initial_values[variable][self.id_to_index(cell)])

    def _set_cell_initial_value(self, cell: Any, variable: str, value: float) -> None:
        cell.as_view().initialize(**{variable: value})


class Cells:
    """Parameters and initial values of a population or view: the population has the arrays."""

    celltype: Any  # PyNN's, as those that follow
    size: int
    _simulator: Any

    def _indices(self) -> tuple[Any, Any]:
        """The population that has the cells, and which of them they are."""
        raise NotImplementedError

    def set(self, **parameters: Any) -> None:
        """See PyNN."""
        base: Any = super()
        base.set(**as_trains(parameters))

    def _get_parameters(self, *names: str) -> Any:
        population, own = self._indices()
        self._simulator.state.check_alive(population)
        check_names(self.celltype, names)
        values = {name: simplify(population.parameters[name][own]) for name in names}
        return ParameterSpace(values, self.celltype.get_schema(), shape=(self.size,))

    _get_native_parameters = _get_parameters

    def _set_parameters(self, parameter_space: Any) -> None:
        population, own = self._indices()
        state = self._simulator.state
        state.check_alive(population)
        parameter_space.evaluate(simplify=False)
        changed = {}
        for name, value in parameter_space.items():
            values = population.parameters[name].copy()
            values[own] = value
            changed[name] = values
        population.check(changed)
        if is_modelled(population.celltype):
            population.celltype.check({**population.parameters, **changed}, state.dt)
        state.touch("parameters")
        population.take_parameters(changed)

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        population, own = self._indices()
        state = self._simulator.state
        state.check_alive(population)
        if not population.injectable:
            return  # sources have no state
        if variable not in population.initial:
            raise errors.NonExistentParameterError(
                variable, type(self.celltype).__name__, sorted(population.initial)
            )
        values = initial_values.evaluate(simplify=False)
        check_initial(variable, values)
        state.touch("initial values")
        population.take_initial(variable, own, values)

    def initialize(self, **initial_values: Any) -> None:
        """Set state variables, which hold at once and after a reset; see PyNN."""
        base: Any = super()
        base.initialize(**initial_values)
        population, _ = self._indices()
        for name in initial_values.keys() & population.initial.keys():
            # PyNN would keep what is drawn or computed, and draw it again at each look
            population.initial_values[name] = lazy(population.initial[name])

    def _get_view(self, selector: Any, label: str | None = None) -> Any:
        return self._view_class(self, selector, label)

    _view_class: Any


def joined_blocks(assembly: Any, blocks: list[Any], annotations: Mapping[str, Any]) -> Any:
    """The data of an assembly, from those of its populations and views."""
    segments: dict[str, Any] = {}
    for block in blocks:
        for segment in block.segments:
            segments.setdefault(segment.name, []).append(segment)
    first = blocks[0]
    first.segments = []
    for _, (segment, *others) in sorted(segments.items()):
        trains = [train for part in (segment, *others) for train in part.spiketrains]
        signals: dict[Any, list[Any]] = {}
        for part in (segment, *others):
            for signal in part.analogsignals:
                key = signal.name, float(signal.t_start), float(signal.sampling_period), len(signal)
                signals.setdefault(key, []).append(signal)
        segment.spiketrains = trains
        segment.analogsignals = [_side_by_side(assembly, parts) for parts in signals.values()]
        for part in (*trains, *segment.analogsignals):
            part.segment = segment
        segment.block = first
        first.segments.append(segment)
    first.name, first.description = assembly.label, assembly.describe()
    first.annotate(**annotations)
    return first


def _side_by_side(assembly: Any, signals: list[Any]) -> Any:
    """One signal with the channels of several, numbered as the cells of an assembly."""
    import neo  # slow to import

    cells = np.concatenate([signal.annotations["channel_ids"] for signal in signals])
    labels = list(dict.fromkeys(signal.annotations["source_population"] for signal in signals))
    places = {int(cell): index for index, cell in enumerate(assembly.all_cells)}
    return neo.AnalogSignal(
        np.hstack([signal.magnitude for signal in signals]),
        units=signals[0].units,
        t_start=signals[0].t_start,
        sampling_period=signals[0].sampling_period,
        name=signals[0].name,
        channel_ids=cells,
        source_population=";".join(labels),
        array_annotations={"channel_index": np.array([places[int(cell)] for cell in cells])},
    )


class Joined:
    """What an assembly means: mix it into PyNN's ``Assembly``."""

    positions: Any  # PyNN's, as those that follow
    populations: Any
    size: int
    label: str
    get_spike_counts: Any
    _simulator: Any

    @property
    def receptor_types(self) -> list[str]:
        """Receptor types that all populations have, in the order of the first one."""
        return common_receptor_types(self)

    @property
    def position_generator(self) -> Callable[[Any], NDArray[np.float64]]:
        """Positions of cells by their indices; PyNN's has coordinates and cells interchanged."""
        positions = np.asarray(self.positions, float).T
        return lambda index: positions[index]

    def save_positions(self, file: Any) -> None:
        """Write index and position of each cell into a file; PyNN's fails."""
        if isinstance(file, str):
            file = StandardTextFile(file, mode="w")
        if self._simulator.state.mpi_rank == 0:
            rows = np.column_stack([np.arange(self.size), np.asarray(self.positions, float).T])
            file.write(rows, {"assembly": self.label})
            file.close()

    def mean_spike_count(self, gather: bool = True) -> float:
        """See PyNN, which divides by 0 where nothing is recorded."""
        counts = self.get_spike_counts(gather)
        return float(sum(counts.values())) / max(1, len(counts))

    def get_data(
        self,
        variables: Any = "all",
        gather: bool = True,
        clear: bool = False,
        annotations: Any = None,
    ) -> Any:
        """Data of all populations, one block; see PyNN.

        PyNN's clears a population before it has read a second view of it, counts the channels of a
        view as in its population, and fails for data that began at different times: those remain
        signals of their own here.
        """
        blocks = [part.get_data(variables, gather) for part in self.populations]
        if clear:
            for recorder in {
                id(part.recorder): part.recorder for part in self.populations
            }.values():
                recorder.clear()
        return joined_blocks(self, blocks, annotations or {})


class Assembly(Joined, common.Assembly):  # type: ignore[misc]  # PyNN is untyped
    """An assembly whose receptors are in one order."""


class Selected(Settable):
    """A view of some of the cells, at least one: mix it into PyNN's ``PopulationView``."""

    def __init__(self, parent: Any, selector: Any, label: str | None = None) -> None:
        size = len(parent)
        if isinstance(selector, list | tuple | np.ndarray):  # a copy: PyNN sorts it
            selector = np.array(selector, dtype=None if len(selector) else int)
        if isinstance(selector, np.ndarray) and selector.dtype == bool and selector.size != size:
            raise InvalidValueError(
                f"a mask has a value for each of the {size} cells of {parent.label!r}, not "
                f"{selector.size}"
            )
        chosen = np.arange(size)[selector]  # an index that is none is an IndexError
        if not np.size(chosen):
            raise InvalidValueError(f"a view has one cell of {parent.label!r} or more, not none")
        super().__init__(parent, selector, label)  # type: ignore[call-arg]


class PopulationView(Selected, Cells, common.PopulationView):  # type: ignore[misc]
    """A view: which cells of a population they are."""

    def _indices(self) -> tuple[Any, Any]:
        return self.grandparent, self.index_in_grandparent(np.arange(self.size))

    @property
    def initial_values(self) -> Any:
        """Those of the population, for these cells."""
        population, own = self._indices()
        return {name: lazy(values[own]) for name, values in population.initial.items()}


def views(simulator: Any) -> tuple[Any, Any]:
    """Classes ``Assembly`` and ``PopulationView`` of a backend.

    Parameters
    ----------
    simulator : module
        Has a `State` named ``state``.
    """
    own = {"_simulator": simulator}
    assembly = type("Assembly", (Assembly,), {**own, "__doc__": Assembly.__doc__})
    own["_assembly_class"] = assembly
    view = type("PopulationView", (PopulationView,), {**own, "__doc__": PopulationView.__doc__})
    view._view_class = view  # type: ignore[attr-defined]  # a view of a view
    return assembly, view


def same_names(celltype: Any) -> Any:
    """PyNN's ``translations`` of a cell type whose parameters are taken as they are."""
    return build_translations(*((name, name) for name in celltype.default_parameters))


def cell_type(standard: Any, **attributes: Any) -> Any:
    """A cell type of a backend whose parameters are PyNN's.

    Parameters
    ----------
    standard : pyNN.standardmodels.StandardCellType
    **attributes
        What it has of its own, e.g. ``recordable`` and ``units``.
    """
    own = {"__doc__": standard.__doc__, "translations": same_names(standard), **attributes}
    return type(standard.__name__, (standard,), own)


def keep_slopes(
    state: dict[str, Any], parameters: Mapping[str, Any], changed: Mapping[str, Any]
) -> None:
    """Let alpha-shaped synapses keep their slope when their time constants change, as in NEST.

    Parameters
    ----------
    state : dict
        Arrays by name; those named after a rise are what a synaptic variable rises by over tau_syn.
    parameters, changed : mapping
        Arrays by name: as they are, and as some of them will be.

    Examples
    --------
    >>> state = {"rise_exc": np.array([2.0])}
    >>> keep_slopes(state, {"tau_syn_E": np.array([0.5])}, {"tau_syn_E": np.array([1.0])})
    >>> state["rise_exc"].tolist()
    [4.0]
    """
    for name in state:
        tau = "tau_syn_E" if "exc" in name else "tau_syn_I"
        if "rise" in name and tau in changed:
            state[name] = state[name] * (changed[tau] / parameters[tau])


class Indexed:
    """Indices of cells, also of none, for which PyNN's population fails: mix it into that."""

    def id_to_index(self, cells: Any) -> Any:
        """See PyNN."""
        base: Any = super()
        none = np.iterable(cells) and not np.size(np.asarray(cells))
        return np.empty(0, int) if none else base.id_to_index(cells)


class Population(Cells, Indexed, Stateful, common.Population):  # type: ignore[misc]
    """A population whose parameters and initial values are arrays, in PyNN's units.

    A backend subclasses it with ``_simulator``, ``_recorder_class``, ``_assembly_class`` and
    ``_view_class``.

    Attributes
    ----------
    parameters : dict of str to array, shape (size,)
        ``spike_times`` is an array of sequences.
    initial : dict of str to array, shape (size,)
        Of the state variables, as they are at time 0.
    number : int
        Its place among the populations.
    network : int
        The network that it belongs to.
    """

    _simulator: Any

    def _indices(self) -> tuple[Any, Any]:
        return self, slice(None)

    def _create_cells(self) -> None:
        state = self._simulator.state
        if not self.can_have(self.celltype):
            kind = type(self.celltype).__name__
            raise UnsupportedError(missing_type(load_backend(state.backend), "cell type", kind))
        check_shapes(self)
        parameters = self.celltype.native_parameters
        parameters.shape = (self.size,)
        parameters.evaluate(simplify=False)
        self.parameters = {name: each_value(v, self.size) for name, v in parameters.items()}
        self.check(self.parameters)
        defaults = self.celltype.default_initial_values
        if is_modelled(self.celltype):  # PyNN, which initialises, knows those of default parameters
            defaults = self.celltype.initial_values(self.parameters, state.dt)
            self.celltype.default_initial_values = defaults
        self.number, self.network = len(state.populations), state.network
        first = state.add_population(self)
        # a type of their own has the population for all; an attribute of each takes 184 bytes
        cell = type("ID", (ID,), {"parent": self})
        self.all_cells = np.empty(self.size, dtype=object)
        with without_collection():
            self.all_cells[:] = [cell(first + index) for index in range(self.size)]
        self._mask_local = np.ones(self.size, bool)
        self.first_id = self.all_cells[0]
        self.initial: dict[str, NDArray[np.float64]] = {
            name: np.array(np.broadcast_to(np.asarray(defaults.get(name, 0.0), float), self.size))
            for name in self.state_variables()
        }
        self.made()

    # --- what a backend may do its own way --------------------------------------------------------

    def can_have(self, celltype: Any) -> bool:
        """Whether this is a cell type of the backend."""
        return True

    def check(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        """Raise an error for values that no cell of this backend can have."""
        for name, values in parameters.items():
            if is_modelled(self.celltype):
                values = values[~np.isinf(values)]  # such as a bound that is none
            check_parameter(name, values)

    def state_variables(self) -> tuple[str, ...]:
        """Names of what can be initialised."""
        return tuple(self.celltype.default_initial_values) if self.injectable else ()

    def made(self) -> None:
        """Called when parameters and initial values are there."""

    def take_parameters(self, changed: Mapping[str, Any]) -> None:
        """Take new values of parameters, one for each cell, which hold from now on."""
        self.parameters.update(changed)

    def take_initial(self, variable: str, own: Any, values: Any) -> None:
        """Take initial values of some cells; they hold at once, and after a reset."""
        self.initial[variable][own] = values

    # --- what a backend may want ------------------------------------------------------------------

    def scheduled(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and cells of an array source's spikes, cell by cell."""
        return scheduled(self.parameters["spike_times"], self._simulator.state.dt)


def scheduled(
    spike_times: NDArray[Any], step: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps and cells of an array source's spikes, from a train for each cell (ms).

    Examples
    --------
    >>> steps, cells = scheduled(np.array([Sequence([0.1]), Sequence([])]), 0.1)
    >>> steps.tolist(), cells.tolist()
    ([1], [0])
    """
    times = [times_of(train) for train in spike_times]
    cells = np.repeat(np.arange(len(times)), [t.size for t in times])
    return whole_steps(np.concatenate([*times, np.empty(0)]), step).astype(np.int64), cells


def each_value(value: Any, size: int) -> NDArray[Any]:
    """A value for each cell: a number, or a whole sequence."""
    if isinstance(value, Sequence):
        values = np.empty(size, dtype=object)
        values.fill(value)
        return values
    array = np.asarray(value)
    if array.dtype == object:
        return np.array(np.broadcast_to(array, size), dtype=object)
    return np.array(np.broadcast_to(array, size), float)

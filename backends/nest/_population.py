"""Populations in NEST, created in bulk.

A population of Poisson sources with one rate begins as one ``poisson_generator`` (*generator*): it
sends each target a train of its own, so that sources with one target each need no neurons.

===========  ====================================================================================
generator    No cells. The first projection, if it is one to one, is kept for later (`_direct`).
             A run connects the generator to its targets: *connected*.
repeated     Somebody needs each source by itself (it is recorded, connected again, looked at):
             `_make_sources` gives it a neuron that repeats one train of the generator.
             A run connects generator and repeaters: *connected*.
separate     The parameters differ: `_separate` gives each source a generator of its own, and
             connects it, and the direct projection, at once.
connected    Repeated sources can still become separate; of a generator without cells that is
             refused: the trains of the past could not be theirs.
===========  ====================================================================================

    generator -> repeated -> separate, generator -> separate; each -> connected, and back by a reset
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from pyNN import errors
from pyNN.parameters import LazyArray, ParameterSpace, Sequence, simplify
from pyNN.random import NativeRNG, RandomDistribution
from pyNN.standardmodels import StandardCellType

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
from portable_cortex.pynn.values import is_random, lazy, shaped
from portable_cortex.support import refusal

from . import _simulator
from ._cells import ModelledType
from ._pynn import nest, pynn_nest, pynn_populations
from ._recorder import Recorder, native_variable
from ._reset import Nodes
from ._simulator import ID, in_words, state
from ._sources import POISSON_LIKE, SpikeSourcePoisson, on_grid

build_params = pynn_populations._build_params

if TYPE_CHECKING:
    from ._projection import Projection


def _cells(population: Any, nodes: Any) -> dict[str, Any]:
    """The attributes of a population that describe its nodes."""
    # NEST numbers new nodes consecutively; its own lists of numbers are slow to make
    first, size = nodes[0].global_id, len(nodes)
    cells = np.empty(size, dtype=object)
    for index in range(size):
        cells[index] = ID(first + index)
        cells[index].parent = population
    if state.num_processes == 1:
        local = np.ones(size, dtype=bool)
    else:
        local = np.atleast_1d(np.array(nodes.local))
    return {"node_collection": nodes, "all_cells": cells, "_mask_local": local}


class Assembly(Joined, pynn_nest.Assembly):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_nest.Assembly.__doc__
    _simulator = _simulator

    @property
    def node_collection(self) -> Any:
        """The nodes; NEST cannot add those of all views."""
        if all(isinstance(part, Population) for part in self.populations):
            return super().node_collection
        return nest.NodeCollection(np.sort(self.all_cells.astype(np.int64)))


class _Settable:
    """Parameters that NEST has another form of: mix it into PyNN's populations."""

    def set(self, **parameters: Any) -> None:
        """See PyNN, which forgets that ``tau_m`` is to stay when ``cm`` is set.

        And which cannot draw for a single cell.
        """
        base: Any = super()
        cells: Any = self
        state.check_alive(cells)
        for name, value in parameters.items():
            if isinstance(value, RandomDistribution):
                parameters[name] = np.atleast_1d(value.next(cells.size))
        parameters = as_trains(parameters)
        if isinstance(cells.celltype, StandardCellType):
            new: dict[str, Any] = {}
            with suppress(TypeError, ValueError):  # of another shape or kind: PyNN says so
                new = {n: LazyArray(v, (cells.size,)) for n, v in parameters.items()}
            _check_values(cells.celltype, new, cells.size)
            for name in set(cells.celltype.computed_parameters()) - set(parameters):
                if getattr(cells, "_generator", None) is not None:
                    parameters[name] = cells.get(name)
                    continue
                values = np.full(cells.size, np.nan)
                values[cells._mask_local] = cells.get(name, simplify=False)
                parameters[name] = values
        base.set(**parameters)
        if isinstance(cells.celltype, ModelledType):
            names = list(cells.celltype.default_parameters)
            found = cells.get(names, simplify=False)
            cells.celltype.check(dict(zip(names, found, strict=True)), state.dt)


class PopulationView(_Settable, Selected, pynn_nest.PopulationView):  # type: ignore[misc]
    __doc__ = pynn_nest.PopulationView.__doc__
    _simulator = _simulator
    _assembly_class = Assembly

    @property
    def node_collection(self) -> Any:
        """The nodes; NEST slices no slices, and only up to the end."""
        return self._part(self.grandparent.node_collection)

    @property
    def node_collection_source(self) -> Any:
        """Those of the spike sources that the nodes repeat."""
        return self._part(self.grandparent.node_collection_source)

    def _part(self, nodes: Any) -> Any:
        index = self.index_in_grandparent(np.arange(self.size))
        first, last = int(index[0]), int(index[-1])
        whole = last - first + 1 == index.size
        return nodes[first : last + 1] if whole else nodes[index.tolist()]

    @property
    def initial_values(self) -> Any:
        """Those of the population, for these cells."""
        values = self.grandparent.initial_values
        cells = self.index_in_grandparent(np.arange(self.size))
        size = self.grandparent.size
        return {name: lazy(_all_values(value, size)[cells]) for name, value in values.items()}

    def _set_parameters(self, parameter_space: Any) -> None:
        state.check_alive(self)
        population = self.grandparent
        cells = self.index_in_grandparent(np.arange(self.size))
        parameter_space = population._take_trains(parameter_space, cells)
        with in_words(f"parameters of cells of population {population.label}"):
            super()._set_parameters(parameter_space)

    def _get_parameters(self, *names: str) -> Any:
        state.check_alive(self)
        check_names(self.celltype, names)
        if self.grandparent._generator is not None:
            space = self.grandparent._get_parameters(*names)
            space.shape = (self.size,)
            return space
        if "spike_times" not in names:
            return super()._get_parameters(*names)
        cells = self.index_in_grandparent(np.flatnonzero(self._mask_local))
        return self.grandparent._trains_of(cells)

    def _set_initial_value_array(self, variable: str, value: Any) -> None:
        population = self.grandparent
        if variable not in population.initial_values:
            population._set_initial_value_array(variable, value)  # refuses it
            return
        if hasattr(value.base_value, "rng"):
            value.base_value, value.operations = np.atleast_1d(value.evaluate()), []
        cells = self.index_in_grandparent(np.arange(self.size))
        population._set_state(variable, value, cells)
        values = _all_values(population.initial_values[variable], population.size)
        values[cells] = _all_values(value, self.size)
        population.initial_values[variable] = lazy(values)

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)


class Population(_Settable, Indexed, Stateful, pynn_nest.Population):  # type: ignore[misc]
    __doc__ = pynn_nest.Population.__doc__
    _recorder_class = Recorder
    _simulator = _simulator
    _assembly_class = Assembly

    # What exists only once a Poisson source has needed neurons of its own.
    _LATE = ("node_collection", "all_cells", "_mask_local", "first_id", "last_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._generator: Any = None  # of a population of Poisson sources
        self._direct: Projection | None = None  # its only projection, onto one target each
        self._connected = False
        self._trains: Any = None  # of array sources, as they were set
        self._is_new = True  # its initial values are those that it starts from
        self.network = state.network
        with in_words(f"population {kwargs.get('label') or ''}".strip()):
            super().__init__(*args, **kwargs)
        self._is_new = False
        self.celltype.always_local = False  # processes share what repeats the spikes of sources
        if self._generator is not None:
            for name in self._LATE:
                del self.__dict__[name]

    def _create_cells(self) -> None:
        celltype = self.celltype
        check_shapes(self)
        if isinstance(celltype, StandardCellType):
            _check_values(celltype, celltype.parameter_space, self.size)
        if isinstance(celltype, SpikeSourcePoisson):
            celltype.parameter_space.shape = (self.size,)
            if celltype.native_parameters.is_homogeneous:
                parameters = build_params(celltype.native_parameters, None, size=self.size)
                self._generator = nest.Create(self._model, params=parameters)
                self._deferred_parrot_connections = True
                unknown: Any = (None,)  # replaced when it is asked for
                self.node_collection = self.all_cells = self._mask_local = unknown
                return
        if getattr(celltype, "uses_parrot", False):
            super()._create_cells()
            self._connect_sources()
            return
        if not isinstance(celltype, StandardCellType):
            super()._create_cells()
            return
        celltype.parameter_space.shape = (self.size,)
        if isinstance(celltype, ModelledType):  # it begins with what follows from its parameters
            values = {
                name: v.evaluate(simplify=True) for name, v in celltype.parameter_space.items()
            }
            celltype.parameter_space = ParameterSpace(
                values, celltype.get_schema(), shape=(self.size,)
            )
            celltype.default_initial_values = celltype.initial_values(values, state.dt)
        parameters = build_params(
            self._take_trains(celltype.native_parameters, np.arange(self.size)),
            None,
            size=self.size,
            extra_parameters=celltype.extra_parameters,
        )
        nodes = nest.Create(self._model, self.size, params=parameters)
        self.__dict__.update(_cells(self, nodes))

    def _connect_sources(self) -> None:
        """Connect each spike source to the neuron that repeats its spikes."""
        delay = state.min_delay if state.nest_step else state.least_delay
        self._let_repeat(self.node_collection_source, "one_to_one", delay)
        self._deferred_parrot_connections = False

    def _let_repeat(self, sources: Any, rule: str, delay: float) -> None:
        """Connect sources to the neurons that repeat their spikes, in the time that was set."""
        if isinstance(self.celltype, POISSON_LIKE):
            _let_be_early(sources, delay)
        nest.Connect(sources, self.node_collection, rule, {"delay": delay})

    def _set_initial_value_array(self, variable: str, value: Any) -> None:
        if self._generator is not None or not self.celltype.recordable:
            return
        if variable not in self.celltype.default_initial_values:
            raise errors.NonExistentParameterError(
                variable,
                type(self.celltype).__name__,
                sorted(self.celltype.default_initial_values),
            )
        if hasattr(value.base_value, "rng"):  # or else they would be drawn anew at each look
            value.base_value, value.operations = np.atleast_1d(value.evaluate()), []
        self._set_state(variable, value, np.arange(self.size))

    def _set_state(self, variable: str, value: Any, cells: Any) -> None:
        """Set a state variable of these cells at once.

        Raises
        ------
        UnsupportedError
            Where NEST cannot set it, to anything but what it starts from.
        """
        state.check_alive(self)
        celltype = self.celltype
        native = native_variable(celltype, variable)
        scale = getattr(celltype, "scale_factors", {}).get(variable, 1.0)
        if value.is_homogeneous:
            values: Any = float(copy(value).evaluate(simplify=True)) / scale
        else:
            values = _all_values(value, len(cells)) / scale
        check_initial(variable, values)
        start = np.broadcast_to(celltype.default_initial_values[variable], self.size)[cells]
        is_start = (self._is_new or state.t == 0) and (
            not np.any(values) or np.all(values * scale == start)
        )
        if is_start and native not in nest.GetDefaults(self._model):
            return
        local = self._mask_local[cells]
        nodes = self.node_collection
        if len(cells) < self.size or not local.all():
            if not local.any():
                return
            nodes = nodes[[int(cell) for cell in cells[local]]]
        try:
            if np.ndim(values) == 0:
                nodes.set({native: values})
            else:
                nodes.set([{native: v} for v in values[local].tolist()])
        except nest.NESTError as error:
            if is_start:
                return  # nobody asked for it
            raise refusal(
                "nest",
                "initialize-view: some variables",
                f"set {variable} of {type(celltype).__name__}",
                f"Leave it out, or use another backend ({str(error).splitlines()[0]})",
            ) from error

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)

    @property
    def _model(self) -> str:
        return str(self.celltype.nest_name[state.spike_precision])

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_generator") is not None:
            if name == "node_collection_source":  # asked for by views, whose parameters may differ
                self._separate()
            elif name in self._LATE:
                self._make_sources()
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.__dict__[name]

    @property
    def has_cells(self) -> bool:
        """False for Poisson sources that are one generator."""
        return "all_cells" in self.__dict__

    @property
    def has_no_targets(self) -> bool:
        """Whether these are Poisson sources that are one generator and go nowhere yet."""
        is_generator = self._generator is not None and not self.has_cells
        return is_generator and self._direct is None and not self._connected

    def _check_unused(self, use: str) -> None:
        """Raise `UnsupportedError` for what Poisson sources cannot be used for any more."""
        if self._connected:
            raise refusal(
                "nest",
                "poisson-shared: other uses after a run",
                f"use population {self.label!r} in other ways at {state.t:g} ms",
                f"To {use} do so before the first run",
            )

    def _make_sources(self) -> None:
        """Give each Poisson source a neuron that repeats its spikes for all of its targets."""
        self._check_unused("record or connect it, or look at its cells,")
        off_grid = state.spike_precision == "off_grid"
        nodes = nest.Create("parrot_neuron_ps" if off_grid else "parrot_neuron", self.size)
        self.__dict__.update(_cells(self, nodes))
        self.first_id, self.last_id = self.all_cells[0], self.all_cells[-1]

    def _separate(self) -> None:
        """Give each Poisson source a generator of its own: their parameters are to differ."""
        ran = self._connected
        if "node_collection" not in self.__dict__:
            self._check_unused("give its sources different parameters")
            self._make_sources()
        generator, self._generator = self._generator, None
        names = self.celltype.native_parameters.keys()
        parameters = {name: generator.get(name) for name in names}
        self.node_collection_source = nest.Create(self._model, self.size, params=parameters)
        self._connect_sources()
        self._connected = True
        if ran:
            generator.set(rate=0.0)
        elif self._direct is not None:
            self._direct.connect_generator(generator)

    def _connect_parrot_neurons(self) -> None:
        """Called by PyNN before a run, and by a projection whose synapses are asked for."""
        if self._generator is None:
            super()._connect_parrot_neurons()
            return
        self._deferred_parrot_connections = False
        self._connected = True
        if "node_collection" in self.__dict__:
            self._let_repeat(self._generator, "all_to_all", state.min_delay)
        else:
            _let_be_early(self._generator, 0.0)
        if self._direct is not None:
            self._direct.connect_generator(self._generator)

    def _set_parameters(self, parameter_space: Any) -> None:
        state.check_alive(self)
        if self._generator is not None and not parameter_space.is_homogeneous:
            self._separate()
        with in_words(f"parameters of population {self.label}"):
            if self._generator is None:
                cells = np.arange(self.size)
                super()._set_parameters(self._take_trains(parameter_space, cells))
            else:
                self._generator.set(build_params(parameter_space, None, size=self.size))

    def _get_parameters(self, *names: str) -> Any:
        state.check_alive(self)
        check_names(self.celltype, names)
        if self._trains is None or "spike_times" not in names:
            return super()._get_parameters(*names)
        return self._trains_of(np.flatnonzero(self._mask_local))

    def _get_native_parameters(self, *names: str) -> Any:
        if self._generator is None:
            return super()._get_native_parameters(*names)
        values = {name: self._generator.get(name) for name in names}
        return ParameterSpace(values, shape=(self.size,))

    def _take_trains(self, space: Any, cells: Any) -> Any:
        """Keep spike times as they are set; gives the parameters as NEST takes them."""
        if "spike_times" not in space.keys():  # noqa: SIM118
            return space
        space.shape = (len(cells),)
        times = space["spike_times"].evaluate(simplify=True)
        native = LazyArray(on_grid(times), shape=space.shape, dtype=Sequence)
        if self._trains is None:
            self._trains = np.empty(self.size, object)
        self._trains[cells] = each_value(times, len(cells))
        return ParameterSpace({"spike_times": native}, shape=space.shape)

    def _trains_of(self, cells: Any) -> Any:
        """Spike times of these cells, as they were set."""
        trains = simplify(self._trains[cells])
        return ParameterSpace({"spike_times": trains}, self.celltype.get_schema(), cells.shape)

    def _reset(self) -> None:
        if self._generator is None:
            super()._reset()

    # --- being made again, for a reset ------------------------------------------------------------

    def nodes(self) -> list[Nodes]:
        """All nodes of this population, as they must be made again."""
        celltype = self.celltype
        space = getattr(celltype, "native_parameters", celltype.parameter_space)
        names = [name for name in space.keys() if name != "UNSUPPORTED"]  # noqa: SIM118
        names += list(getattr(celltype, "extra_parameters", {}))

        def take(attribute: str) -> Any:
            return lambda nodes: self.__dict__.__setitem__(attribute, nodes)

        sources = "_generator" if self._generator is not None else "node_collection_source"
        parts = []
        if self.__dict__.get(sources) is not None:
            parts.append(Nodes.of(self.__dict__[sources], names, take(sources)))
        if "node_collection" in self.__dict__:
            own = [] if parts else names
            parts.append(Nodes.of(self.node_collection, own, take("node_collection")))
        return parts

    def reconnect(self) -> None:
        """Connect the nodes that were made again, and give them their initial values."""
        if self._generator is not None:
            self._connected, self._deferred_parrot_connections = False, True
        elif "node_collection_source" in self.__dict__:
            self._connect_sources()
        for variable, value in self.initial_values.items():
            self._set_initial_value_array(variable, value)


def _check_values(celltype: Any, space: Any, size: int) -> None:
    """Raise PyNN's ``InvalidParameterValueError`` for values that NEST would take, or divide by."""
    for name in list(space.keys()):
        value = space[name]
        if name == "spike_times" or not isinstance(value, LazyArray):
            continue
        if is_random(value) and isinstance(value.base_value.rng, NativeRNG):
            continue
        values = np.atleast_1d(shaped(value, (size,)).evaluate(simplify=True))
        if values.dtype.kind in "fiu":
            # such as a bound that is none; and not-a-number for cells of other processes
            kept = ~np.isinf(values) if is_modelled(celltype) else np.ones(values.size, bool)
            check_parameter(name, values[kept])
        if is_random(value) or callable(value.base_value):  # drawn once; a text is a function
            space[name] = values if values.size == size else values[0]


def _let_be_early(devices: Any, delay: float) -> None:
    """Let devices, which begin and stop a step late, do so by a delay (ms) early."""
    # NEST adds half a microsecond and cuts, which is the wrong way below 0
    devices.set(origin=-delay - state.dt - 0.00075)


def _all_values(value: Any, size: int) -> np.ndarray[Any, Any]:
    """A lazy array as one of numbers, one for each cell."""
    shaped = copy(value)
    shaped.shape = (size,)
    return np.array(np.broadcast_to(shaped.evaluate(simplify=False), size), dtype=float)

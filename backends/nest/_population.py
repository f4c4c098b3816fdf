"""Populations in NEST: created in bulk, recorded by devices that are made when needed."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pyNN import errors, recording
from pyNN.parameters import ParameterSpace
from pyNN.standardmodels import StandardCellType

from ._pynn import nest, pynn_nest, pynn_populations, pynn_recording, simulator
from ._sources import delay_of_sources

build_params = pynn_populations._build_params

if TYPE_CHECKING:
    from ._projection import Projection


class _ID(simulator.ID):  # type: ignore[misc]  # PyNN is untyped
    """A cell that looks up its node only when it is asked for it."""

    @property
    def node_collection(self) -> Any:
        return nest.NodeCollection([int(self)])

    @property
    def local(self) -> bool:
        return bool(self.parent._mask_local[self.parent.id_to_index(self)])


def _cells(population: Any, nodes: Any) -> dict[str, Any]:
    """The attributes of a population that describe its nodes."""
    # NEST numbers new nodes consecutively; its own lists of numbers are slow to make
    first, size = nodes[0].global_id, len(nodes)
    cells = np.empty(size, dtype=object)
    for index in range(size):
        cells[index] = _ID(first + index)
        cells[index].parent = population
    if simulator.state.num_processes == 1:
        local = np.ones(size, dtype=bool)
    else:
        local = np.atleast_1d(np.array(nodes.local))
    return {"node_collection": nodes, "all_cells": cells, "_mask_local": local}


class _Recorder(pynn_recording.Recorder):  # type: ignore[misc]
    """Makes NEST's devices when something is recorded: idle ones cost time in every step."""

    _interval = 0.1

    def __init__(self, population: Any, file: Any = None) -> None:
        recording.Recorder.__init__(self, population, file)
        self.recorded_all: defaultdict[Any, set[Any]] = defaultdict(set)

    @property
    def sampling_interval(self) -> float:
        """Time between samples, ms."""
        return self._interval

    @sampling_interval.setter
    def sampling_interval(self, value: float | None) -> None:
        if value is not None:
            self._interval = value
        if "_multimeter" in self.__dict__:
            self._multimeter.device.interval = self._interval

    @cached_property
    def _multimeter(self) -> Any:
        multimeter = pynn_recording.Multimeter()
        multimeter.device.interval = self._interval
        return multimeter

    @cached_property
    def _spike_detector(self) -> Any:
        return pynn_recording.SpikeDetector()

    def _reset(self) -> None:
        for name in ("_multimeter", "_spike_detector"):
            device = self.__dict__.pop(name, None)
            if device is not None:
                simulator.state.recording_devices.remove(device)

    def store_to_cache(self, annotations: Any = None) -> None:
        recording.Recorder.store_to_cache(self, annotations)
        if "_multimeter" in self.__dict__:
            self._multimeter._initial_values = {}

    def _clear_simulator(self) -> None:
        for name in ("_multimeter", "_spike_detector"):
            device = self.__dict__.get(name)
            if device is not None:
                device.device.n_events = 0
                device._clean = False


class Population(pynn_nest.Population):  # type: ignore[misc]
    __doc__ = pynn_nest.Population.__doc__
    _recorder_class = _Recorder

    # What exists only once a Poisson source has needed neurons of its own.
    _LATE = ("node_collection", "all_cells", "_mask_local", "first_id", "last_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._generator: Any = None  # of a population of Poisson sources
        self._direct: Projection | None = None  # its only projection, onto one target each
        self._connected = False
        super().__init__(*args, **kwargs)
        self.celltype.always_local = False  # processes share what repeats the spikes of sources
        if self._generator is not None:
            for name in self._LATE:
                del self.__dict__[name]

    def _create_cells(self) -> None:
        celltype = self.celltype
        if isinstance(celltype, pynn_nest.SpikeSourcePoisson):
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
        parameters = build_params(
            celltype.native_parameters,
            None,
            size=self.size,
            extra_parameters=celltype.extra_parameters,
        )
        nodes = nest.Create(self._model, self.size, params=parameters)
        self.__dict__.update(_cells(self, nodes))

    def _connect_sources(self) -> None:
        """Connect spike sources to the neurons that repeat their spikes.

        Their times are set early by the smallest delay, which must not change any more: with
        PyNN's "auto" it would follow the delays of the model.
        """
        before, delay = simulator.state.min_delay, delay_of_sources()
        nest.Connect(
            self.node_collection_source, self.node_collection, "one_to_one", {"delay": delay}
        )
        self._deferred_parrot_connections = False
        if simulator.state.min_delay != before and isinstance(self.celltype, StandardCellType):
            self._set_parameters(self.celltype.native_parameters)

    def _set_initial_value_array(self, variable: str, value: Any) -> None:
        native = getattr(self.celltype, "variable_map", {}).get(variable, variable)
        # NEST starts some at zero and cannot do otherwise; PyNN warns where that was not asked for
        fixed = native not in nest.GetDefaults(self._model)
        if fixed and value.is_homogeneous and value.evaluate(simplify=True) == 0:
            return
        if hasattr(value.base_value, "rng"):  # or else recording would draw the first sample anew
            value.base_value, value.operations = np.atleast_1d(value.evaluate()), []
        super()._set_initial_value_array(variable, value)

    def _get_cell_initial_value(self, cell: Any, variable: str) -> Any:
        # PyNN counts among the neurons of this process, but the values are those of all
        return self.initial_values[variable][self.id_to_index(cell)]

    @property
    def _model(self) -> str:
        return str(self.celltype.nest_name[simulator.state.spike_precision])

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("_generator") is not None:
            if name == "node_collection_source":  # asked for by views, whose parameters may differ
                self._separate()
            elif name in self._LATE:
                self._make_sources()
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.__dict__[name]

    def _make_sources(self) -> None:
        """Give each Poisson source a neuron that repeats its spikes for all of its targets."""
        if self._connected:
            raise errors.ConnectionError(
                f"population {self.label!r} has been run as one generator: record it, or connect "
                "it a second time, before the first run"
            )
        off_grid = simulator.state.spike_precision == "off_grid"
        nodes = nest.Create("parrot_neuron_ps" if off_grid else "parrot_neuron", self.size)
        self.__dict__.update(_cells(self, nodes))
        self.first_id, self.last_id = self.all_cells[0], self.all_cells[-1]

    def _separate(self) -> None:
        """Give each Poisson source a generator of its own: their parameters are to differ."""
        if self._connected:
            raise errors.ConnectionError(
                f"population {self.label!r} has been run as one generator: give its sources "
                "different parameters before the first run"
            )
        if "node_collection" not in self.__dict__:
            self._make_sources()
        generator, self._generator = self._generator, None
        names = self.celltype.native_parameters.keys()
        parameters = {name: generator.get(name) for name in names}
        self.node_collection_source = nest.Create(self._model, self.size, params=parameters)
        self._connect_sources()
        self._connected = True
        if self._direct is not None:
            self._direct.connect_generator(generator)

    def _connect_parrot_neurons(self) -> None:
        """Called by PyNN before a run, and by a projection whose synapses are asked for."""
        if self._generator is None:
            super()._connect_parrot_neurons()
            return
        self._deferred_parrot_connections = False
        self._connected = True
        if "node_collection" in self.__dict__:
            delay = {"delay": simulator.state.min_delay}
            nest.Connect(self._generator, self.node_collection, "all_to_all", syn_spec=delay)
        if self._direct is not None:
            self._direct.connect_generator(self._generator)

    def _set_parameters(self, parameter_space: Any) -> None:
        if self._generator is not None and not parameter_space.is_homogeneous:
            self._separate()
        if self._generator is None:
            super()._set_parameters(parameter_space)
            return
        parameters = build_params(parameter_space, None, size=self.size)
        simulator.state.set_status(self._generator, parameters)

    def _get_native_parameters(self, *names: str) -> Any:
        if self._generator is None:
            return super()._get_native_parameters(*names)
        values = {name: self._generator.get(name) for name in names}
        return ParameterSpace(values, shape=(self.size,))

    def _reset(self) -> None:
        if self._generator is None:
            super()._reset()

    def id_to_index(self, cells: Any) -> Any:
        """See PyNN, which cannot do it for none: a process may have no recorded neuron."""
        none = isinstance(cells, np.ndarray) and not cells.size
        return np.empty(0, int) if none else super().id_to_index(cells)

    def recorded_spikes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Indices of the neurons that fired, and when (ms), as NEST recorded them."""
        senders, times = self.recorder._spike_detector._get_data_arrays("times", "times", 1)
        return np.asarray(senders) - int(self.first_id), times

    def recorded_samples(self, variable: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Indices of the recorded neurons of this process; samples of one, then of the next."""
        (key,) = self.recorder._localize_variables(variable, None)
        ids = sorted(self.recorder.filter_recorded(key, None))
        samples, _ = self.recorder._get_all_signals(key, ids)
        return np.array(ids, np.int64) - int(self.first_id), samples.T.ravel()

"""The PyNN namespace of the ``nest`` backend: pyNN.nest, with networks built in bulk.

Everything that is not defined here is pyNN.nest's own. `Population`, `Projection` and `setup`
are replaced; what they do differently:

* Connectors become NEST's connection rules, or one call with arrays, instead of Python loops.
  Random weights, delays and connections of such connectors are drawn by NEST's generator, which
  ``setup(rng_seed=...)`` seeds; the seed of a ``NumpyRNG`` given to them has no effect.
* A population of ``SpikeSourcePoisson`` that share their rate and are connected one to one is one
  ``poisson_generator``, which sends each target a train of its own.
* Spikes lie on the time grid unless ``setup(spike_precision="off_grid")`` asks for others.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from ._quiet import import_pynn_nest, quiet

pynn_nest = import_pynn_nest()

import nest  # noqa: E402  # quietly imported above
from pyNN import common, errors  # noqa: E402
from pyNN import recording as pynn_recording  # noqa: E402
from pyNN.connectors import FromListConnector  # noqa: E402
from pyNN.nest import simulator  # noqa: E402
from pyNN.nest.populations import _build_params  # noqa: E402
from pyNN.nest.recording import Multimeter, SpikeDetector  # noqa: E402
from pyNN.nest.recording import Recorder as NestRecorder  # noqa: E402
from pyNN.parameters import ParameterSpace  # noqa: E402
from pyNN.space import Space  # noqa: E402
from pyNN.standardmodels import StandardCellType  # noqa: E402

from portable_cortex.realisation import listed_synapses  # noqa: E402

from . import _lowering  # noqa: E402
from ._synapse_models import SynapseModels  # noqa: E402

# pyNN.nest still uses them; NEST would tell every user once.
warnings.filterwarnings("ignore", r"\s*(Get|Set)Status\(\) is deprecated", UserWarning)

PICO = 1e3  # from PyNN's nA and uS to NEST's pA and nS

default_threads = 1
_min_delay_is_auto = True
_models = SynapseModels(threads=1)


def __getattr__(name: str) -> Any:
    return getattr(pynn_nest, name)


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``threads``, ``rng_seed``, ``spike_precision``, ``max_delay`` and what else pyNN.nest takes.

    Returns
    -------
    int
        Rank of this process.
    """
    global _models, _min_delay_is_auto
    _min_delay_is_auto = min_delay == "auto"
    extra = {"threads": default_threads, "spike_precision": "on_grid", **extra}
    with quiet():
        rank: int = pynn_nest.setup(timestep, min_delay, **extra)
        nest.verbosity = nest.VerbosityLevel.ERROR
    _models = SynapseModels(nest.GetKernelStatus("total_num_virtual_procs"))
    return rank


def prepare() -> None:
    """Do now what would be part of the first step: attach devices, sort connections."""
    simulator.state.run(0.0)
    nest.Prepare()
    nest.Cleanup()


class _ID(simulator.ID):  # type: ignore[misc]  # PyNN is untyped
    """A cell that looks up its node only when it is asked for it."""

    @property
    def node_collection(self) -> Any:
        return nest.NodeCollection([int(self)])

    @property
    def local(self) -> bool:
        return simulator.state.num_processes == 1 or bool(self.node_collection.local)


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


class _Recorder(NestRecorder):  # type: ignore[misc]
    """Makes NEST's devices when something is recorded: idle ones cost time in every step."""

    _interval = 0.1

    def __init__(self, population: Any, file: Any = None) -> None:
        pynn_recording.Recorder.__init__(self, population, file)
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
        multimeter = Multimeter()
        multimeter.device.interval = self._interval
        return multimeter

    @cached_property
    def _spike_detector(self) -> Any:
        return SpikeDetector()

    def _reset(self) -> None:
        for name in ("_multimeter", "_spike_detector"):
            device = self.__dict__.pop(name, None)
            if device is not None:
                simulator.state.recording_devices.remove(device)

    def store_to_cache(self, annotations: Any = None) -> None:
        pynn_recording.Recorder.store_to_cache(self, annotations)
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
        if self._generator is not None:
            for name in self._LATE:
                del self.__dict__[name]

    def _create_cells(self) -> None:
        celltype = self.celltype
        if isinstance(celltype, pynn_nest.SpikeSourcePoisson):
            celltype.parameter_space.shape = (self.size,)
            if celltype.native_parameters.is_homogeneous:
                parameters = _build_params(celltype.native_parameters, None, size=self.size)
                self._generator = nest.Create("poisson_generator", params=parameters)
                self._deferred_parrot_connections = True
                self.node_collection = self.all_cells = self._mask_local = (None,)
                return
        if getattr(celltype, "uses_parrot", False):
            super()._create_cells()
            self._connect_sources()
            return
        if not isinstance(celltype, StandardCellType):
            super()._create_cells()
            return
        celltype.parameter_space.shape = (self.size,)
        parameters = _build_params(
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
        before = simulator.state.min_delay
        delay = simulator.state.dt if _min_delay_is_auto else before
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
        super()._set_initial_value_array(variable, value)

    @property
    def _model(self) -> str:
        return str(self.celltype.nest_name[simulator.state.spike_precision])

    def __getattr__(self, name: str) -> Any:
        if name not in self._LATE or self.__dict__.get("_generator") is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._make_sources()
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
        if self._generator is None:
            super()._set_parameters(parameter_space)
            return
        if not parameter_space.is_homogeneous:
            raise errors.InvalidParameterValueError(
                f"population {self.label!r} was created with one rate for all of its sources: "
                "create it with the different rates"
            )
        parameters = _build_params(parameter_space, None, size=self.size)
        simulator.state.set_status(self._generator, parameters)

    def _get_native_parameters(self, *names: str) -> Any:
        if self._generator is None:
            return super()._get_native_parameters(*names)
        values = {name: self._generator.get(name) for name in names}
        return ParameterSpace(values, shape=(self.size,))

    def _reset(self) -> None:
        if self._generator is None:
            super()._reset()

    def recorded_spikes(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Indices of the neurons that fired, and when (ms), as NEST recorded them."""
        senders, times = self.recorder._spike_detector._get_data_arrays("times", "times", 1)
        return np.asarray(senders) - int(self.first_id), times


class Projection(pynn_nest.Projection):  # type: ignore[misc]
    __doc__ = pynn_nest.Projection.__doc__

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        arguments = (
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        self._static = synapse_type is None or type(synapse_type) is pynn_nest.StaticSynapse
        if not self._static:
            super().__init__(*arguments)  # plasticity: PyNN's own way
            return
        common.Projection.__init__(self, *arguments)
        self._size = 0
        self._collected: list[tuple[Any, ...]] = []
        self._background: dict[str, Any] | None = None  # weight and delay, until a run
        self._port, self._sign = _receptor(self)
        # in PyNN's units: translating them would copy the state of every random generator
        parameters = self.synapse_type.parameter_space
        rule = _lowering.connection_rule(connector, self.pre, self.post)
        values = {name: _lowering.native_value(parameters[name]) for name in ("weight", "delay")}
        _check(self)
        try:
            if rule is not None and self._is_background(rule) and None not in values.values():
                self._background = values
                self.pre._direct = self
                self._size = self.post.size
            elif rule is not None and all(_drawable(parameters[name]) for name in values):
                self._connect_by_rule(rule, values)
            elif isinstance(connector, FromListConnector):
                self._connect_list(connector)
            else:
                connector.connect(self)  # calls _convergent_connect for each target
                self._connect_collected()
        except nest.NESTError as error:
            raise errors.ConnectionError(f"projection {self.label}: {error}") from error

    # --- connecting ---------------------------------------------------------------------------

    def _is_background(self, rule: dict[str, Any]) -> bool:
        """Whether this is the first projection of Poisson sources, onto a neuron each."""
        pre = self.pre
        return (
            rule["rule"] == "one_to_one"
            and isinstance(pre, Population)
            and pre._generator is not None
            and pre._direct is None
            and "node_collection" not in pre.__dict__
            and not pre._connected
        )

    def connect_generator(self, generator: Any) -> None:
        """Connect the Poisson sources: directly, unless they have neurons of their own."""
        assert self._background is not None
        if "node_collection" in self.pre.__dict__:
            self._connect_by_rule({"rule": "one_to_one"}, self._background)
        else:
            # connections from devices are kept apart from those between neurons
            self._model = "static_synapse"
            spec = {**self._syn_spec(self._background), "synapse_model": self._model}
            nest.Connect(generator, self._targets, "all_to_all", spec)

    @property
    def _targets(self) -> Any:
        return self.post.node_collection

    def _syn_spec(self, values: dict[str, Any]) -> dict[str, Any]:
        """Weight and delay for ``nest.Connect``; what NEST cannot draw is set afterwards."""
        spec = {name: value for name, value in values.items() if value is not None}
        if "weight" in spec:
            spec["weight"] = spec["weight"] * (self._sign * PICO)
        if self._port:
            spec["receptor_type"] = self._port
        return spec

    def _assign_model(self, n: float) -> None:
        self._model = _models.assign(
            n, _node_range(self.pre), _node_range(self.post), receptor_port=self._port
        )

    def _connect_by_rule(self, rule: dict[str, Any], values: dict[str, Any]) -> None:
        pre, post = self.pre.node_collection, self._targets
        expected = _lowering.expected_synapses(rule, len(pre), len(post))
        self._assign_model(expected)
        spec = {**self._syn_spec(values), "synapse_model": self._model}
        before = nest.num_connections
        nest.Connect(pre, post, rule, spec)
        self._size = nest.num_connections - before
        late = [name for name in ("weight", "delay") if values.get(name) is None]
        if late:
            self._set_attributes(self.synapse_type.native_parameters, late)

    def _connect_list(self, connector: Any) -> None:
        table, column_names = listed_synapses(connector)
        if table.size == 0:
            return
        unknown = set(column_names) - set(self.synapse_type.get_parameter_names())
        if unknown:
            raise ValueError(
                f"{', '.join(sorted(unknown))} is not a valid parameter for "
                f"{type(self.synapse_type).__name__}"
            )
        sources, targets = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
        for what, index, size in (
            ("source", sources, self.pre.size),
            ("target", targets, self.post.size),
        ):
            if index.min() < 0 or index.max() >= size:
                raise errors.ConnectionError(f"{what} index out of range")
        columns = {name: table[:, 2 + number] for number, name in enumerate(column_names)}
        for name in {"weight", "delay"} - set(columns):
            value = copy(self.synapse_type.parameter_space[name])
            value.shape = (len(table),)
            columns[name] = value.evaluate(simplify=False)
        self._connect_arrays(sources, targets, columns["weight"] * PICO, columns["delay"])

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: int,
        location_selector: Any = None,
        **parameters: Any,
    ) -> None:
        if not self._static:
            super()._convergent_connect(
                presynaptic_indices, postsynaptic_index, location_selector, **parameters
            )
            return
        if location_selector is not None:
            raise NotImplementedError("NEST has no multi-compartment models in PyNN")
        n = len(presynaptic_indices)
        self._collected.append(
            (
                presynaptic_indices,
                np.full(n, postsynaptic_index),
                np.broadcast_to(parameters["weight"], n),
                np.broadcast_to(parameters["delay"], n),
            )
        )

    def _connect_collected(self) -> None:
        if self._collected:
            columns = (np.concatenate(c) for c in zip(*self._collected, strict=True))
            self._connect_arrays(*columns)
            self._collected = []

    def _connect_arrays(self, sources: Any, targets: Any, weights: Any, delays: Any) -> None:
        """Make one synapse for each element, in a single call."""
        n = len(sources)
        self._assign_model(n)
        spec: dict[str, Any] = {
            "synapse_model": self._model,
            "weight": np.broadcast_to(weights, n) * float(self._sign),
            "delay": np.array(np.broadcast_to(delays, n), dtype=float),
        }
        if self._port:
            spec["receptor_type"] = np.full(n, self._port, dtype=int)
        nest.Connect(_numbers(self.pre)[sources], _numbers(self.post)[targets], "one_to_one", spec)
        self._size = n

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        return self._size if self._static else int(super().__len__())

    @property
    def nest_connections(self) -> Any:
        """The synapses, as NEST's collection."""
        if not self._static:
            return super().nest_connections
        if self._size == 0:
            return []
        if self._background is not None:
            pre = self.pre
            if not pre._connected and "node_collection" not in pre.__dict__:
                pre._make_sources()  # each source is needed by itself from now on
            if not pre._connected:
                pre._connect_parrot_neurons()
        sources = self.pre.node_collection
        return nest.GetConnections(sources, self._targets, synapse_model=self._model)

    def _columns(self, names: list[str]) -> dict[str, Any]:
        """Values of all synapses in PyNN's terms; indices instead of node numbers."""
        connections = self.nest_connections
        if not len(connections):
            return {name: np.empty(0) for name in names}
        native = {"presynaptic_index": "source", "postsynaptic_index": "target"}
        keys = [native.get(name, name) for name in names]
        found = connections.get(list(dict.fromkeys(keys)))
        columns = {}
        for name, key in zip(names, keys, strict=True):
            values = np.atleast_1d(np.asarray(found[key]))
            if name == "presynaptic_index":
                values = _positions(self.pre, values)
            elif name == "postsynaptic_index":
                values = _positions(self.post, values)
            elif name == "weight":
                values = values * self._sign / PICO
            columns[name] = values
        return columns

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        if not self._static:
            return list(super()._get_attributes_as_list(names))
        columns = self._columns(list(names))
        return list(zip(*(columns[name].tolist() for name in names), strict=True))

    def _get_attributes_as_arrays(
        self, names: list[str], multiple_synapses: str = "sum"
    ) -> list[Any]:
        if not self._static:
            return list(super()._get_attributes_as_arrays(names, multiple_synapses))
        combine = {"sum": np.add, "min": np.minimum, "max": np.maximum}
        names = [name.removesuffix("s") for name in names]  # PyNN also takes the plural
        columns = self._columns(["presynaptic_index", "postsynaptic_index", *names])
        i, j = columns["presynaptic_index"].astype(int), columns["postsynaptic_index"].astype(int)
        arrays = []
        for name in names:
            values = columns[name].astype(float)
            array = np.full((self.pre.size, self.post.size), np.nan)
            if multiple_synapses in combine:
                # pairs without a synapse stay not-a-number
                array[i, j] = {"sum": 0.0, "min": np.inf, "max": -np.inf}[multiple_synapses]
                combine[multiple_synapses].at(array, (i, j), values)
            elif multiple_synapses == "first":
                array[i[::-1], j[::-1]] = values[::-1]
            else:
                array[i, j] = values
            arrays.append(array)
        return arrays

    def _set_attributes(self, parameter_space: Any, names: list[str] | None = None) -> None:
        if not self._static:
            super()._set_attributes(parameter_space)
            return
        connections = self.nest_connections
        n = len(connections)
        for name in names or parameter_space.keys():
            value = parameter_space[name]
            if _lowering.native_value(value) is not None and value.is_homogeneous:
                values: Any = float(value.evaluate(simplify=True))
            elif hasattr(value.base_value, "rng"):
                value.shape = (n,)
                values = np.atleast_1d(value.evaluate())
            else:
                columns = self._columns(["presynaptic_index", "postsynaptic_index"])
                i, j = (column.astype(int) for column in columns.values())
                values = np.broadcast_to(value.evaluate(), self.shape)[i, j]
            if name == "weight":
                values = values * self._sign
            connections.set({name: values if np.isscalar(values) else values.tolist()})


def _receptor(projection: Any) -> tuple[int, float]:
    """NEST's receptor port, and the factor between PyNN's weights and NEST's."""
    post = getattr(projection.post, "populations", [projection.post])[0]
    celltype = post.celltype
    sign = 1.0
    if projection.receptor_type == "inhibitory" and post.conductance_based:
        sign = -1.0  # NEST tells inhibitory conductances by their sign
    sign *= getattr(celltype, "receptor_scale", 1.0)  # the Izhikevich model's unit of current
    if celltype.standard_receptor_type:
        return 0, sign
    return int(celltype.get_receptor_type(projection.receptor_type)), sign


def _drawable(value: Any) -> bool:
    """Whether a parameter is one number or one distribution for all synapses."""
    return value.is_homogeneous or hasattr(value.base_value, "rng")


def _check(projection: Any) -> None:
    """PyNN's checks of weights and delays, as far as they are known before drawing."""
    synapse = projection.synapse_type
    for name, check in getattr(synapse, "parameter_checks", {}).items():
        value = synapse.parameter_space[name]
        if value.is_homogeneous:
            check(_lowering.native_value(value), projection)
        elif hasattr(value.base_value, "rng") and not value.operations:
            for bound in ("low", "high"):
                limit = value.base_value.parameters.get(bound)
                if limit is not None and np.isfinite(limit):
                    check(np.array([limit]), projection)


def _numbers(cells: Any) -> np.ndarray[Any, Any]:
    """Node numbers of a population, view or assembly."""
    return np.array(cells.all_cells, dtype=np.int64)


def _node_range(cells: Any) -> tuple[int, int]:
    numbers = _numbers(cells)
    return int(numbers.min()), int(numbers.max())


def _positions(cells: Any, numbers: Any) -> np.ndarray[Any, Any]:
    """Indices, within a population, view or assembly, of nodes given by number."""
    own = _numbers(cells)
    order = np.argsort(own)
    found: np.ndarray[Any, Any] = order[np.searchsorted(own, numbers, sorter=order)]
    return found


create = common.build_create(Population)
connect = common.build_connect(
    Projection, pynn_nest.FixedProbabilityConnector, pynn_nest.StaticSynapse
)

"""Projections in NEST: built by its own connection rules, or in one call with arrays."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.connectors import FromListConnector
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.pynn.projection import Collecting
from portable_cortex.pynn.synapses import as_matrix, listed_columns

from . import _lowering
from ._population import Population
from ._pynn import nest, pynn_nest, simulator

PICO = 1e3  # from PyNN's nA and uS to NEST's pA and nS


class Projection(Collecting, pynn_nest.Projection):  # type: ignore[misc]
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
            if parallel.processes() > 1:
                raise UnsupportedError(
                    f"NEST makes {type(synapse_type).__name__} in one process only, and mpirun "
                    f"started {parallel.processes()}: start it without mpirun, on more threads"
                )
            super().__init__(*arguments)  # plasticity: PyNN's own way
            return
        common.Projection.__init__(self, *arguments)
        self._size = 0  # of this process
        self._model: str | None = None  # NEST's, once synapses were made
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
                self._size = self.post.local_size
            elif rule is not None and all(_drawable(parameters[name]) for name in values):
                self._connect_by_rule(rule, values)
            elif isinstance(connector, FromListConnector):
                self._connect_list(connector)
            else:
                self._connect_arrays(*map(parallel.joined, self.collect(connector)))
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
            self._connect(generator, self._targets, "all_to_all", spec)

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
        models = simulator.state.synapse_models
        if parallel.processes() > 1 and (models.looked_up or nest.biological_time > 0):
            raise UnsupportedError(
                "NEST delivers spikes to the wrong synapses when several processes make more of "
                "them after a run, or after some were looked up: make all projections before you "
                f"run, or get or set synapses (projection {self.label} came later)"
            )
        self._model = models.assign(
            n, _node_range(self.pre), _node_range(self.post), receptor_port=self._port
        )

    def _connect_by_rule(self, rule: dict[str, Any], values: dict[str, Any]) -> None:
        late = [name for name in ("weight", "delay") if values.get(name) is None]
        if late and parallel.processes() > 1:
            raise UnsupportedError(
                f"NEST cannot draw the {late[0]}s of projection {self.label} as it connects, and "
                "with several processes it delivers spikes to the wrong synapses when others are "
                "made after some were changed: use a normal, uniform, exponential or lognormal "
                "distribution, a list of synapses, or --realisation shared"
            )
        pre, post = self.pre.node_collection, self._targets
        expected = _lowering.expected_synapses(rule, len(pre), len(post))
        self._assign_model(expected)
        spec = {**self._syn_spec(values), "synapse_model": self._model}
        self._connect(pre, post, rule, spec)
        if late:
            self._set_attributes(self.synapse_type.native_parameters, late)

    def _connect_list(self, connector: Any) -> None:
        sources, targets, columns = listed_columns(connector, self)
        if sources.size == 0:
            return
        for name in {"weight", "delay"} - set(columns):
            value = copy(self.synapse_type.parameter_space[name])
            value.shape = (sources.size,)
            columns[name] = value.evaluate(simplify=False)
        self._connect_arrays(sources, targets, columns["weight"] * PICO, columns["delay"])

    def _convergent_connect(self, *arguments: Any, **parameters: Any) -> None:
        # plastic synapses go PyNN's own way
        base = Collecting if self._static else pynn_nest.Projection
        base._convergent_connect(self, *arguments, **parameters)

    def _connect_arrays(self, sources: Any, targets: Any, weights: Any, delays: Any) -> None:
        """Make one synapse for each element, in a single call."""
        n = len(sources)
        if not n:
            return
        self._assign_model(n)
        spec: dict[str, Any] = {
            "synapse_model": self._model,
            "weight": np.broadcast_to(weights, n) * float(self._sign),
            "delay": np.array(np.broadcast_to(delays, n), dtype=float),
        }
        if self._port:
            spec["receptor_type"] = np.full(n, self._port, dtype=int)
        pairs = _numbers(self.pre)[sources], _numbers(self.post)[targets]
        self._connect(*pairs, "one_to_one", spec)

    def _connect(self, *arguments: Any) -> None:
        """Connect, as all processes must together, and count the synapses of this one."""
        before = nest.num_connections
        nest.Connect(*arguments)
        self._size = nest.num_connections - before

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        return self._size if self._static else int(super().__len__())

    @property
    def nest_connections(self) -> Any:
        """The synapses, as NEST's collection."""
        if not self._static:
            return super().nest_connections
        if self._background is not None:
            pre = self.pre
            if not pre._connected and "node_collection" not in pre.__dict__:
                pre._make_sources()  # each source is needed by itself from now on
            if not pre._connected:
                pre._connect_parrot_neurons()
        if self._model is None:
            return []
        simulator.state.synapse_models.looked_up = True
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
        names = [name.removesuffix("s") for name in names]  # PyNN also takes the plural
        columns = self._columns(["presynaptic_index", "postsynaptic_index", *names])
        i, j = columns["presynaptic_index"].astype(int), columns["postsynaptic_index"].astype(int)
        return [as_matrix(i, j, columns[name], self.shape, multiple_synapses) for name in names]

    def _set_attributes(self, parameter_space: Any, names: list[str] | None = None) -> None:
        if not self._static:
            super()._set_attributes(parameter_space)
            return
        connections = self.nest_connections
        for name in names or parameter_space.keys():
            value = parameter_space[name]
            if _lowering.native_value(value) is not None and value.is_homogeneous:
                values: Any = float(value.evaluate(simplify=True))
            elif hasattr(value.base_value, "rng"):
                n, own = parallel.share(len(connections))
                value.shape = (n,)
                values = np.atleast_1d(value.evaluate())[own]
            else:
                columns = self._columns(["presynaptic_index", "postsynaptic_index"])
                i, j = (column.astype(int) for column in columns.values())
                values = np.broadcast_to(value.evaluate(), self.shape)[i, j]
            if name == "weight":
                values = values * self._sign
            if not len(connections):
                continue  # none in this process
            # a dictionary of lists is not allowed where there are several processes
            each = {name: values} if np.isscalar(values) else [{name: v} for v in values.tolist()]
            connections.set(each)


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

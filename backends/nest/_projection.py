"""Projections in NEST: built by its own connection rules, or in one call with arrays."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyNN import common, errors
from pyNN.connectors import FromListConnector
from pyNN.space import Space

from portable_cortex import parallel
from portable_cortex.errors import UnsupportedError
from portable_cortex.synapses import (
    CollectingProjection,
    Connection,
    as_matrix,
    listed_columns,
)

from . import _lowering, _simulator
from ._connectors import CSAConnector
from ._population import Population
from ._pynn import nest, pynn_nest
from ._simulator import state
from ._synapse_values import check_weights, default_receptor, is_drawable, on_grid

MOST_ORDERED = 1_000_000
"""Synapses of a list whose order of creation is kept where there are several between two cells."""

PICO = 1e3  # from PyNN's nA and uS to NEST's pA and nS


class Projection(CollectingProjection, pynn_nest.Projection):  # type: ignore[misc]
    __doc__ = pynn_nest.Projection.__doc__
    _simulator = _simulator

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
        self._created: _Multapses | None = None
        self._cached: dict[str, Any] | None = None  # what `column` has read
        self._port, self._sign = _receptor(self)
        # in PyNN's units: translating them would copy the state of every random generator
        parameters = self.synapse_type.parameter_space
        rule = _lowering.connection_rule(connector, self.pre, self.post)
        values = self._native_values(parameters, rule) if rule is not None else None
        try:
            if values is not None and rule is not None:
                if self._is_background(rule):
                    self._background = values
                    self.pre._direct = self
                    self._size = self.post.local_size
                else:
                    self._connect_by_rule(rule, values)
            elif isinstance(connector, FromListConnector):
                self._connect_list(connector)
            elif isinstance(connector, CSAConnector) and connector.has_values:
                self._connect_arrays(*connector.synapses(self.shape))
            else:
                self._connect_collected(*map(parallel.joined, self.collect(connector)))
        except nest.NESTError as error:
            raise errors.ConnectionError(f"projection {self.label}: {error}") from error

    def _native_values(self, parameters: Any, rule: dict[str, Any]) -> dict[str, Any] | None:
        """Weight and delay as NEST takes them, checked; None where NEST cannot draw them."""
        n = _lowering.expected_synapses(rule, self.pre.size, self.post.size)
        values = {}
        for name in ("weight", "delay"):
            value = parameters[name]
            native = _lowering.native_value(value)
            if native is None:
                return None
            if not value.is_homogeneous:
                if not is_drawable(name, value, n, self):
                    return None
            elif name == "weight":
                check_weights(native, self)
            else:
                native = float(on_grid(native, self))
            values[name] = native
        return values

    def _guess_receptor_type(self) -> None:
        self.receptor_type = default_receptor(self)

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
        """Weight and delay for ``nest.Connect``."""
        spec = {"weight": values["weight"] * (self._sign * PICO), "delay": values["delay"]}
        if self._port:
            spec["receptor_type"] = self._port
        return spec

    def _assign_model(self, n: float) -> None:
        models = state.synapse_models
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
        pre, post = self.pre.node_collection, self._targets
        self._assign_model(_lowering.expected_synapses(rule, len(pre), len(post)))
        spec = {**self._syn_spec(values), "synapse_model": self._model}
        self._connect(pre, post, rule, spec)

    def _connect_list(self, connector: Any) -> None:
        sources, targets, columns = listed_columns(connector, self)
        if sources.size == 0:
            return
        for name in {"weight", "delay"} - set(columns):
            value = copy(self.synapse_type.parameter_space[name])
            if callable(value.base_value) or isinstance(value.base_value, np.ndarray):
                value = self._handle_distance_expressions({name: value})[name]
                value.shape = self.shape
                columns[name] = np.broadcast_to(value.evaluate(), self.shape)[sources, targets]
            else:
                value.shape = (sources.size,)
                columns[name] = value.evaluate(simplify=False)
        self._connect_arrays(sources, targets, columns["weight"], columns["delay"])

    def _connect_collected(
        self, sources: Any, targets: Any, native_weights: Any, delays: Any
    ) -> None:
        """What PyNN's connectors make, in the units of NEST."""
        self._connect_arrays(sources, targets, native_weights / PICO, delays)

    def _convergent_connect(self, *arguments: Any, **parameters: Any) -> None:
        # plastic synapses go PyNN's own way
        base = CollectingProjection if self._static else pynn_nest.Projection
        base._convergent_connect(self, *arguments, **parameters)

    def _connect_arrays(self, sources: Any, targets: Any, weights: Any, delays: Any) -> None:
        """Make one synapse for each element, in a single call."""
        n = len(sources)
        if not n:
            return
        check_weights(weights, self)
        spec: dict[str, Any] = {
            "weight": np.broadcast_to(weights, n) * (self._sign * PICO),
            "delay": np.array(np.broadcast_to(on_grid(delays, self), n)),
        }
        self._created = _Multapses.of(sources, targets, **spec)
        self._assign_model(n)
        spec["synapse_model"] = self._model
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
        state.synapse_models.looked_up = True
        sources = self.pre.node_collection
        return nest.GetConnections(sources, self._targets, synapse_model=self._model)

    def _table(self) -> tuple[Any, dict[str, Any], Any]:
        """The synapses as NEST has them, their values in NEST's order, and the order of PyNN.

        With several threads NEST gives them in another order at each call: what must fit
        together is read in one.
        """
        connections = self.nest_connections
        if not len(connections):
            return connections, {}, np.empty(0, int)
        table = connections.get(["source", "target", "weight", "delay"])
        table = {name: np.atleast_1d(np.asarray(values)) for name, values in table.items()}
        sources = _positions(self.pre, table["source"])
        targets = _positions(self.post, table["target"])
        order = np.lexsort((table["delay"], table["weight"], targets, sources))
        if self._created is not None:
            order = self._created.in_order(order, sources, targets)
        table |= {"presynaptic_index": sources, "postsynaptic_index": targets}
        return connections, table, order

    def _columns(self, names: list[str]) -> dict[str, Any]:
        """Values of all synapses in PyNN's terms, by source, then target, then as created."""
        connections, table, order = self._table()
        columns = {}
        for name in names:
            if not order.size:
                columns[name] = np.empty(0)
                continue
            if name not in table:
                table[name] = np.atleast_1d(np.asarray(connections.get([name])[name]))
            values = table[name][order]
            columns[name] = values / (self._sign * PICO) if name == "weight" else values
        return columns

    def column(self, name: str) -> Any:
        """Values of all synapses, for `Connection`; kept until something is set."""
        if self._cached is None:
            self._cached = self._columns(
                ["presynaptic_index", "postsynaptic_index", "weight", "delay"]
            )
        return self._cached[name]

    def replace(self, name: str, values: Any) -> None:
        """Set a value for each synapse, in PyNN's order."""
        connections, _, order = self._table()
        self._set(connections, order, {name: self._checked(name, values)})

    def __getitem__(self, number: Any) -> Any:
        if not self._static:
            return super().__getitem__(number)
        if isinstance(number, slice):
            return [Connection(self, n) for n in range(*number.indices(len(self)))]
        return Connection(self, number)

    @property
    def connections(self) -> Any:
        """An iterator over the synapses of this process."""
        return (self[n] for n in range(len(self))) if self._static else super().connections

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

    def _set_attributes(self, parameter_space: Any) -> None:
        if not self._static:
            super()._set_attributes(parameter_space)
            return
        connections, table, order = self._table()
        changes = {}
        for name in parameter_space.keys():  # noqa: SIM118  # no dictionary
            value = parameter_space[name]
            if value.is_homogeneous:
                values: Any = np.float64(_lowering.native_value(value))
            elif hasattr(value.base_value, "rng"):
                n, own = parallel.share(len(connections))
                value.shape = (n,)
                values = np.atleast_1d(value.evaluate())[own]
            else:
                value.shape = self.shape
                matrix = np.broadcast_to(value.evaluate(), self.shape)
                pairs = (table[f"{end}synaptic_index"][order] for end in ("pre", "post"))
                values = matrix[tuple(pairs)] if order.size else np.empty(0)
            # the values are NEST's
            changes[name] = self._checked(name, values / PICO if name == "weight" else values)
        for name, values in changes.items():
            self._set(connections, order, {name: values})

    def _checked(self, name: str, values: Any) -> Any:
        """Values in NEST's units, in PyNN's order."""
        if name == "delay":
            return on_grid(values, self)
        if name == "weight":
            check_weights(values, self)
            return values * (self._sign * PICO)
        return values

    def _set(self, connections: Any, order: Any, change: dict[str, Any]) -> None:
        ((name, values),) = change.items()
        self._cached = None
        if not len(connections):
            return  # none in this process
        try:
            if np.ndim(values) == 0:
                connections.set({name: float(values)})
            else:  # a dictionary of lists is not allowed where there are several processes
                unordered = np.empty(len(order))
                unordered[order] = values
                connections.set([{name: value} for value in unordered.tolist()])
        except nest.NESTError as error:
            raise errors.ConnectionError(f"projection {self.label}: {error}") from error
        if self._created is not None:
            self._created = self._created.changed(name, values, order)


@dataclass(frozen=True)
class _Multapses:
    """The order in which the synapses of a list were created, where NEST does not tell it.

    Several synapses between two cells come back in any order. They are told by what they are
    worth: `places` has for each synapse, in the order of source, target, weight and delay, its
    place in the order of source, target and creation.
    """

    sources: Any  # in that second order
    targets: Any
    weight: Any
    delay: Any

    @classmethod
    def of(cls, sources: Any, targets: Any, weight: Any, delay: Any) -> _Multapses | None:
        """None where all synapses are between different cells, or are too many."""
        if len(sources) > MOST_ORDERED:
            return None
        order = np.lexsort((targets, sources))  # stable: then as created
        i, j = np.asarray(sources)[order], np.asarray(targets)[order]
        if not np.any((np.diff(i) == 0) & (np.diff(j) == 0)):
            return None
        return cls(i, j, weight[order], delay[order])

    def in_order(self, order: Any, sources: Any, targets: Any) -> Any:
        """NEST's synapses in the order of creation; `order` has them by source, target, value."""
        if len(order) != len(self.sources):
            return order  # one process of several has some of them
        by_value = np.lexsort((self.delay, self.weight, self.targets, self.sources))
        result = np.empty_like(order)
        result[by_value] = order
        return result

    def changed(self, name: str, values: Any, order: Any) -> _Multapses:
        """With other weights or delays, given in the order of creation."""
        if len(order) != len(self.sources):
            return self
        return replace(self, **{name: np.array(np.broadcast_to(values, len(order)), float)})


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

"""Projections in NEST: built by its own connection rules, or in one call with arrays."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.space import Space

from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.checks import check_edges
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.grid import delay_steps
from portable_cortex.pynn.synapses import check_signs, static_synapse
from portable_cortex.pynn.values import is_number

from . import _drawn, _lowering, _simulator
from ._population import Population
from ._pynn import nest, pynn_nest
from ._simulator import state

StaticSynapse = static_synapse(state)
MOST_ORDERED = 1_000_000
"""Synapses of a list whose order of creation is kept where there are several between two cells."""

PICO = 1e3  # from PyNN's nA and uS to NEST's pA and nS
ADDRESS = "presynaptic_index", "postsynaptic_index"


class Projection(floor.Projection, pynn_nest.Projection):  # type: ignore[misc]
    __doc__ = pynn_nest.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

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
        if not getattr(postsynaptic_population, "injectable", True):
            raise errors.ConnectionError("a spike source cannot be the target of a projection")
        state.check_alive(presynaptic_population, postsynaptic_population)
        self._number, self._changes = len(state.projections), parallel.rank() << 16
        self._static = synapse_type is None or isinstance(synapse_type, StaticSynapse)
        if not self._static:
            if parallel.processes() > 1:
                raise UnsupportedError(
                    f"NEST makes {type(synapse_type).__name__} in one process only, and mpirun "
                    f"started {parallel.processes()}: start it without mpirun, on more threads"
                )
            pynn_nest.Projection.__init__(self, *arguments)  # plasticity: PyNN's own way
            state.projections.append(self)
            return
        common.Projection.__init__(self, *arguments)
        self._size = 0  # of this process
        self._model: str | None = None  # NEST's, once synapses were made
        self._background: dict[str, Any] | None = None  # weight and delay, until a run
        self._again: Any = None  # the same, after a reset
        self._created: _Multapses | None = None
        self._table: _Table | None = None  # the last that was read
        self._port, self._sign = _receptor(self)
        try:
            self.make(connector)
        except nest.NESTError as error:
            raise self._refusal(error) from error
        state.projections.append(self)

    def _refusal(self, error: Exception) -> errors.ConnectionError:
        remedy = ""
        if "after Simulate" in str(error):
            remedy = " Give setup() a min_delay and a max_delay that hold for all projections"
        return errors.ConnectionError(f"NEST refuses projection {self.label}: {error}.{remedy}")

    def make(self, connector: Any) -> None:
        """By one of NEST's rules if there is one, from what the core draws otherwise."""
        rule = _lowering.connection_rule(connector, self.pre, self.post)
        values = self._native_values(rule) if rule is not None else None
        if rule is None or values is None:
            self.store(self.checked(self.draw(connector)))
        elif self._is_background(rule):
            self._background = values
            self.pre._direct = self
            self._size = self.post.local_size
        else:
            self._connect_by_rule(rule, values)

    def _native_values(self, rule: dict[str, Any]) -> dict[str, Any] | None:
        """Weight and delay as NEST takes them, checked; None where NEST cannot draw them."""
        # in PyNN's units: translating them would copy the state of every random generator
        parameters = self.synapse_type.parameter_space
        n = _lowering.expected_synapses(rule, self.pre.size, self.post.size)
        if not n:
            return None  # nothing that a value could be wrong for
        values = {}
        for name in ("weight", "delay"):
            value = parameters[name]
            native = _lowering.native_value(value)
            if native is None:
                return None
            if not is_number(value):
                if not _drawn.is_safe(name, value, n, self):
                    return None
            elif name == "weight":
                check_edges(weight=np.array([native]))
                check_signs(native, self)
            else:
                native = round(float(delay_steps(native, state.dt)) * state.dt, 9)
                state.check_delays(native, native)
            values[name] = native
        return values

    def collect(self, connector: Any) -> tuple[NDArray[Any], ...]:
        """See the floor; of all processes."""
        return tuple(map(parallel.joined, super().collect(connector)))

    # --- being made again, for a reset ----------------------------------------------------------

    @property
    def is_static(self) -> bool:
        """Whether its synapses do not change by themselves."""
        return self._static

    def synapses(self) -> Any:
        """What `make_again` needs; None if nothing was connected."""
        if self._background is None:
            return self.stored()
        if not self.pre._connected:
            return None
        if "node_collection" in self.pre.__dict__:
            return self.stored()
        found = nest.GetConnections(self.pre._generator, self._targets)
        return found.get(["target", "weight", "delay"])

    def make_again(self, synapses: Any) -> None:
        """Make the synapses again that `synapses` gave."""
        self._table = None
        self._model = self._model if self._background is not None else None
        if synapses is None:
            return
        if self._background is None:
            self.store(synapses)
        else:
            self._again = synapses  # when the generator is connected

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
        again, self._again = self._again, None
        if isinstance(again, Edges):
            self.store(again)
        elif again is not None:
            targets = np.atleast_1d(again["target"])
            values = {
                name: np.atleast_1d(again[name]).astype(float) for name in ("weight", "delay")
            }
            spec = {"synapse_model": self._model, **values}
            if self._port:
                spec["receptor_type"] = np.full(targets.size, self._port)
            sources = np.full(targets.size, generator.global_id)
            self._connect(sources, targets, "one_to_one", spec)
        elif "node_collection" in self.pre.__dict__:
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

    def _convergent_connect(self, *arguments: Any, **parameters: Any) -> None:
        # plastic synapses go PyNN's own way
        base = floor.Collecting if self._static else pynn_nest.Projection
        base._convergent_connect(self, *arguments, **parameters)

    def store(self, edges: Edges) -> None:
        """Make the synapses, in a single call."""
        n = edges.sources.size
        if not n:
            return
        sources, targets = edges.sources, edges.targets
        spec: dict[str, Any] = {
            "weight": edges.weights * (self._sign * PICO),
            "delay": edges.delays,
        }
        self._created = _Multapses.of(sources, targets, **spec)
        self._assign_model(n)
        spec["synapse_model"] = self._model
        if self._port:
            spec["receptor_type"] = np.full(n, self._port, dtype=int)
        pairs = _lowering.numbers(self.pre)[sources], _lowering.numbers(self.post)[targets]
        self._connect(*pairs, "one_to_one", spec)

    def _connect(self, *arguments: Any) -> None:
        """Connect, as all processes must together, and count the synapses of this one."""
        before = nest.num_connections
        nest.Connect(*arguments)
        self._size = nest.num_connections - before

    # --- reading and changing synapses --------------------------------------------------------

    def __len__(self) -> int:
        return self._size if self._static else int(pynn_nest.Projection.__len__(self))

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

    def stored(self) -> Edges:
        """Those of this process, by source, then target, then as created."""
        connections = self.nest_connections
        if not len(connections):
            self._table = _Table(connections, np.empty(0, np.int64))
            empty = np.empty(0)
            return Edges(empty.astype(np.int64), empty.astype(np.int64), empty, empty)
        # with several threads NEST gives them in another order at each call
        columns = connections.get(["source", "target", "weight", "delay"])
        columns = {name: np.atleast_1d(np.asarray(values)) for name, values in columns.items()}
        sources = _positions(self.pre, columns["source"])
        targets = _positions(self.post, columns["target"])
        order = np.lexsort((columns["delay"], columns["weight"], targets, sources))
        if self._created is not None:
            order = self._created.in_order(order)
        self._table = _Table(connections, order)
        weights = columns["weight"][order] / (self._sign * PICO)
        return Edges(sources[order], targets[order], weights, columns["delay"][order])

    def columns(self, names: list[str]) -> floor.Columns:
        """See the floor."""
        if self._static:
            return super().columns(names)
        direct = [name for name in names if name in (*ADDRESS, "weight", "delay")]
        rows = np.array(self._get_attributes_as_list(direct), float).reshape(-1, len(direct))
        columns = dict(zip(direct, rows.T, strict=True))
        others = {name: self._plastic(name) for name in names if name not in direct}
        return {**columns, **others}

    def _plastic(self, name: str) -> NDArray[Any]:
        """A parameter of plastic synapses, in PyNN's units."""
        connections, own = self.nest_connections, self.synapse_type.translations[name]
        if not len(connections):
            return np.empty(0)
        known = connections.get()
        natives = (t["translated_name"] for t in self.synapse_type.translations.values())
        values = {n: np.atleast_1d(known[n]) for n in natives if n in known}
        if own["translated_name"] not in values:  # it is the neurons' in NEST
            value = deepcopy(self.synapse_type.parameter_space[name])
            value.shape = (1,)
            return np.full(len(connections), value.evaluate())
        if own["type"] == "simple":
            return values[own["translated_name"]]
        rows = zip(*values.values(), strict=True)
        reverse = own["reverse_transform"]
        return np.array([reverse(**dict(zip(values, row, strict=True))) for row in rows])

    def column(self, name: str) -> NDArray[Any]:
        """See the floor; kept until something is set."""
        edges = self._table.edges if self._table is not None else None
        if edges is None:
            edges = self.stored()
            assert self._table is not None
            self._table = replace(self._table, edges=edges)
        return dict(zip((*ADDRESS, "weight", "delay"), edges, strict=True))[name]

    def __getitem__(self, i: Any) -> Any:
        if not self._static:
            return pynn_nest.Projection.__getitem__(self, i)
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return super().__getitem__(i)

    def set(self, **attributes: Any) -> None:
        """See the floor; what is one number for all needs no look at the synapses."""
        state.check_alive(self.pre, self.post)
        if not self._static:
            pynn_nest.Projection.set(self, **attributes)
        elif attributes and all(isinstance(v, int | float) for v in attributes.values()):
            changed = {name: np.array([float(v)]) for name, v in attributes.items()}
            for name in changed:
                self._attribute(name)
            if not parallel.total(len(self)):
                return
            self._table = _Table(self.nest_connections, np.empty(0, np.int64))
            self._write(self._checked_values(changed))
        else:
            super().set(**attributes)

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        base = floor.Projection if self._static else pynn_nest.Projection
        base._set_initial_value_array(self, variable, initial_values)

    def _replace(self, edges: Edges, changed: floor.Columns) -> None:
        self._write(self._checked_values(changed))

    def _checked_values(self, changed: floor.Columns) -> floor.Columns:
        """Values in NEST's units."""
        check_edges(**changed)
        native = dict(changed)
        if "weight" in changed:
            check_signs(changed["weight"], self)
            native["weight"] = changed["weight"] * (self._sign * PICO)
        if "delay" in changed:
            native["delay"] = np.round(delay_steps(changed["delay"], state.dt) * state.dt, 9)
            if native["delay"].size:
                state.check_delays(native["delay"].min(), native["delay"].max())
        return native

    def _write(self, native: floor.Columns) -> None:
        """Give the synapses that were read last these values, in the order in which they were."""
        assert self._table is not None
        connections, order = self._table.connections, self._table.order
        self._table = None
        if not len(connections):
            return  # none in this process
        try:
            for name, values in native.items():
                if np.all(values == values[0]):
                    connections.set({name: float(values[0])})
                    continue
                # a dictionary of lists is not allowed where there are several processes
                unordered = np.empty(order.size)
                unordered[order] = values
                connections.set([{name: value} for value in unordered.tolist()])
        except nest.NESTError as error:
            raise self._refusal(error) from error
        if self._created is not None:
            self._created = self._created.changed(native)


@dataclass(frozen=True)
class _Table:
    """Synapses as NEST has them, and the order in which PyNN lists them."""

    connections: Any
    order: NDArray[np.int64]
    edges: Edges | None = None


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

    def in_order(self, order: Any) -> Any:
        """NEST's synapses in the order of creation; `order` has them by source, target, value."""
        if len(order) != len(self.sources):
            return order  # one process of several has some of them
        by_value = np.lexsort((self.delay, self.weight, self.targets, self.sources))
        result = np.empty_like(order)
        result[by_value] = order
        return result

    def changed(self, values: floor.Columns) -> _Multapses:
        """With other weights or delays, given in the order of creation."""
        n = len(self.sources)
        if any(len(column) not in (1, n) for column in values.values()):
            return self  # one process of several
        return replace(self, **{k: np.array(np.broadcast_to(v, n)) for k, v in values.items()})


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


def _node_range(cells: Any) -> tuple[int, int]:
    numbers = _lowering.numbers(cells)
    return int(numbers.min()), int(numbers.max())


def _positions(cells: Any, numbers: Any) -> np.ndarray[Any, Any]:
    """Indices, within a population, view or assembly, of nodes given by number."""
    own = _lowering.numbers(cells)
    order = np.argsort(own)
    found: np.ndarray[Any, Any] = order[np.searchsorted(own, numbers, sorter=order)]
    return found

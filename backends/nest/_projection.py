"""Projections in NEST: built by its own connection rules, or in one call with arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import errors
from pyNN.connectors import Connector
from pyNN.standardmodels.synapses import (
    MultiQuantalSynapse,
    SimpleStochasticSynapse,
    STDPMechanism,
    StochasticTsodyksMarkramSynapse,
    TsodyksMarkramSynapse,
)

from portable_cortex.errors import InvalidValueError
from portable_cortex.host import parallel
from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.drive import is_one_to_one
from portable_cortex.pynn.plasticity import check_bounds, check_parameters, different
from portable_cortex.pynn.projection import ADDRESS
from portable_cortex.pynn.synapses import static_synapse
from portable_cortex.pynn.values import is_number, members, number
from portable_cortex.support import refusal

from . import _drawn, _lowering, _simulator
from ._cells import ModelledType
from ._pynn import nest, pynn_nest
from ._simulator import state

StaticSynapse = static_synapse(state)
MOST_ORDERED = 1_000_000
"""Synapses of a list whose order of creation is kept where there are several between two cells."""

CHUNK = 1 << 20
"""Plastic synapses that are passed to NEST at a time, to bound the memory that this takes."""

DRAWN = (
    STDPMechanism,
    TsodyksMarkramSynapse,
    SimpleStochasticSynapse,
    StochasticTsodyksMarkramSynapse,
    MultiQuantalSynapse,
)
"""Types of plastic synapses that have nothing but numbers."""

TIME_CONSTANTS = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}
NO_SYNAPSE_HAS = "tau_minus", "dendritic_delay_fraction", "w_min_always_zero_in_NEST"
"""What is the target's in NEST, or has one value."""

_SIGNED = {"weight", "Wmax"}

PICO = 1e3  # from PyNN's nA and uS to NEST's pA and nS


class Projection(floor.Projection, pynn_nest.Projection):  # type: ignore[misc]
    __doc__ = pynn_nest.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    _size = 0  # synapses of this process
    _model: str | None = None  # NEST's, once synapses were made
    _background: dict[str, Any] | None = None  # weight and delay, until a run
    _again: Any = None  # the same, after a reset
    _created: _Multapses | None = None
    _table: _Table | None = None  # the last that was read

    def make(self, connector: Any) -> None:
        """By one of NEST's rules if there is one, from what the core draws otherwise."""
        self._changes = parallel.rank() << 16
        self._port, self._sign = _receptor(self)
        rule = _lowering.connection_rule(connector, self.pre, self.post)
        with self._in_words():
            values = self._native_values(rule) if rule is not None else None
            if rule is None or values is None:
                self.store(self.checked(self.draw(connector)))
            elif is_one_to_one(connector, self.pre, self.post) and self.pre.has_no_targets:
                self._background = values
                self.pre._direct = self
                self._size = self.post.local_size
            else:
                self._connect_by_rule(rule, values)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Make NEST's refusal an error of PyNN.

        Raises
        ------
        pyNN.errors.ConnectionError
        """
        try:
            yield
        except nest.NESTError as error:
            remedy = ""
            if "after Simulate" in str(error):
                remedy = " Give setup() a min_delay and a max_delay that hold for all projections"
            raise errors.ConnectionError(
                f"NEST refuses projection {self.label}: {error}.{remedy}"
            ) from error

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
                if name == "weight" and state.weight_format != "full":
                    return None  # the core draws them, and rounds them
                if not _drawn.is_safe(name, value, n, self):
                    return None
            else:
                (native,) = self.checked_values({name: np.array([native])})[name].tolist()
            values[name] = native
        return values

    # --- being made again, for a reset ----------------------------------------------------------

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
            raise refusal(
                "nest",
                "mpirun: projections after a run, or after synapses were read",
                f"make projection {self.label} so late in {parallel.processes()} processes",
                "Make all projections before you run, or get or set synapses",
            )
        self._model = models.assign(
            n, _node_range(self.pre), _node_range(self.post), receptor_port=self._port
        )

    def _connect_by_rule(self, rule: dict[str, Any], values: dict[str, Any]) -> None:
        pre, post = self.pre.node_collection, self._targets
        self._assign_model(_lowering.expected_synapses(rule, len(pre), len(post)))
        spec = {**self._syn_spec(values), "synapse_model": self._model}
        self._connect(pre, post, rule, spec)

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
        return self._size if self.is_static else int(pynn_nest.Projection.__len__(self))

    @property
    def nest_connections(self) -> Any:
        """The synapses, as NEST's collection."""
        if not self.is_static:
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
        return Edges(sources[order], targets[order], weights, np.round(columns["delay"][order], 9))

    def column(self, name: str) -> NDArray[Any]:
        """See the floor; kept until something is set."""
        edges = self._table.edges if self._table is not None else None
        if edges is None:
            edges = self.stored()
            assert self._table is not None
            self._table = replace(self._table, edges=edges)
        return dict(zip((*ADDRESS, "weight", "delay"), edges, strict=True))[name]

    def __getitem__(self, i: Any) -> Any:
        if not self.is_static:
            return pynn_nest.Projection.__getitem__(self, i)
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return super().__getitem__(i)

    def set(self, **attributes: Any) -> None:
        """See the floor; what is one number for all needs no look at the synapses."""
        state.check_alive(self.pre, self.post)
        is_simple = attributes and all(isinstance(v, int | float) for v in attributes.values())
        if self.is_static and is_simple:
            changed = {self._attribute(n): np.array([float(v)]) for n, v in attributes.items()}
            if not parallel.total(len(self)):
                return
            self._table = _Table(self.nest_connections, np.empty(0, np.int64))
            self._write(self.checked_values(changed))
        else:
            super().set(**attributes)

    def write(self, edges: Edges, changed: floor.Columns) -> None:
        """See the floor."""
        self._write(changed)

    def _write(self, changed: floor.Columns) -> None:
        """Give the synapses that were read last these values, in the order in which they were."""
        assert self._table is not None
        connections, order = self._table.connections, self._table.order
        self._table = None
        if not len(connections):
            return  # none in this process
        native = dict(changed)
        if "weight" in native:
            native["weight"] = native["weight"] * (self._sign * PICO)
        with self._in_words():
            for name, values in native.items():
                unordered = values
                if values.size == order.size:
                    unordered = np.empty(order.size)
                    unordered[order] = values
                _set(connections, name, unordered)
        if self._created is not None:
            self._created = self._created.changed(native)

    # --- plastic synapses: PyNN's own way -------------------------------------------------------

    weight_scale = PICO

    def can_have(self, synapse_type: Any) -> bool:
        """PyNN's for NEST, and models of NEST's own."""
        return super().can_have(synapse_type) or hasattr(synapse_type, "_get_nest_synapse_model")

    def make_plastic(self, connector: Any) -> None:
        """See the floor; in one process, and onto cells whose model is NEST's own."""
        parts = getattr(self.post, "populations", [self.post])
        if any(isinstance(part.celltype, ModelledType) for part in parts):
            raise refusal(
                "nest",
                "nestml: plastic synapses",
                f"make {type(self.synapse_type).__name__} onto a neuron model in NESTML "
                f"(projection {self.label})",
                "Use StaticSynapse, or a standard cell type",
            )
        if parallel.processes() > 1:
            raise refusal(
                "nest",
                "mpirun: plastic synapses",
                f"make {type(self.synapse_type).__name__} in {parallel.processes()} processes",
                "Start it without mpirun, on more threads",
            )
        self._check_tau_minus()
        others = self.synapse_type, self.source, self.receptor_type, self.space, self.label
        begin = partial(pynn_nest.Projection.__init__, self, self.pre, self.post)
        with self._in_words():
            if not self.draws_plastic:
                begin(connector, *others)  # makes them, too
                return
            edges, parameters = self.draw_plastic(connector)
            check_parameters(type(self.synapse_type).__name__, self.label, parameters)
            check_bounds(self.label, edges.weights, parameters)
            edges = self.checked(edges)
            begin(_Nothing(), *others)
            self._connect_plastic(edges, parameters)

    def _check_tau_minus(self) -> None:
        """Refuse a second ``tau_minus`` of a target: it is the neuron's in NEST."""
        own = self._plastic_numbers().get("tau_minus")
        if own is None:
            return
        cells = set(map(int, self.post.all_cells))
        for other in state.projections:
            known = {} if other.is_static else other._plastic_numbers()
            if known.get("tau_minus", own) != own and cells & set(map(int, other.post.all_cells)):
                raise refusal(
                    "nest",
                    "STDPMechanism: several tau_minus of a target",
                    f"have tau_minus={own:g} ms in projection {self.label} and "
                    f"{known['tau_minus']:g} ms in {other.label}, onto the same neurons",
                    "Take one of them, or use builtin, brian2 or neuron",
                )

    @property
    def draws_plastic(self) -> bool:
        """PyNN's own types; what models of NEST's own have may be more than numbers."""
        return not self.is_static and isinstance(self.synapse_type, DRAWN)

    def _connect_plastic(self, edges: Edges, parameters: dict[str, Any]) -> None:
        """Make plastic synapses, in few calls."""
        sources, targets = _lowering.numbers(self.pre), _lowering.numbers(self.post)
        sources, targets = sources[edges.sources], targets[edges.targets]
        values = {"weight": edges.weights, "delay": edges.delays, **parameters}
        space = self.native_space(values, sources.size)
        native = self.synapse_type.translate(space)
        native.evaluate(simplify=True)
        of_targets = self._of_targets()
        columns = {n: v for n, v in native.items() if n not in NO_SYNAPSE_HAS}
        columns |= {n: v[edges.targets] for n, v in of_targets.items() if n != "sign"}
        for name in _SIGNED & set(columns):
            columns[name] = columns[name] * of_targets["sign"][edges.targets]
        if isinstance(self.synapse_type, MultiQuantalSynapse):  # all n sites are full
            columns |= {"weight": columns["weight"] / columns["n"], "a": columns["n"]}
            columns["u"] = columns["U"]
        if "tau_psc" in columns:
            columns["tau_psc"] = different(columns["tau_psc"], columns["tau_rec"])
        defaults = nest.GetDefaults(self.nest_synapse_model)
        given = {n: v for n, v in columns.items() if np.ndim(v) or v != defaults.get(n)}
        given["synapse_label"] = self.nest_synapse_label
        self._sources = set(np.unique(sources).tolist())
        for begin in range(0, sources.size, CHUNK):
            part = slice(begin, begin + CHUNK)
            spec = {name: np.broadcast_to(v, sources.size)[part] for name, v in given.items()}
            spec["synapse_model"] = self.nest_synapse_model
            nest.Connect(sources[part], targets[part], "one_to_one", spec)
        self._connections, state.stale_connection_cache = None, True

    def _of_targets(self) -> floor.Columns:
        """What synapses have of each target: sign and unit of weights, port, time constant."""
        columns: dict[str, list[Any]] = {"sign": [], "receptor_type": [], "tau_psc": []}
        for part, index in members(self.post):
            port, sign = _receptor_of(part, self.receptor_type)
            columns["sign"].append(np.full(index.size, sign))
            columns["receptor_type"].append(np.full(index.size, port))
            if isinstance(self.synapse_type, pynn_nest.TsodyksMarkramSynapse) and not port:
                name = part.celltype.translations[TIME_CONSTANTS[self.receptor_type]]
                values = np.atleast_1d(part.node_collection.get(name["translated_name"]))
                columns["tau_psc"].append(values[index])
        found = {name: np.concatenate(values) for name, values in columns.items() if values}
        if not np.any(found["receptor_type"]):
            del found["receptor_type"]
        return found

    def connect_plastic(
        self, sources: Any, target: int, location_selector: Any, parameters: dict[str, Any]
    ) -> None:
        """See the floor."""
        base = pynn_nest.Projection._convergent_connect
        base(self, sources, target, location_selector, **parameters)

    def plastic_columns(self, names: list[str]) -> floor.Columns:
        """See the floor."""
        connections = self.nest_connections
        if not len(connections):
            return {name: np.empty(0) for name in names}
        # what a computed one needs is not known: then all
        translations = getattr(self.synapse_type, "translations", {})
        asked = [translations.get(n, {"type": "computed"}) for n in names if n not in ADDRESS]
        has_quanta = isinstance(self.synapse_type, MultiQuantalSynapse)
        simple = not has_quanta and all(own["type"] != "computed" for own in asked)
        wanted = [own["translated_name"] for own in asked] if simple else []
        known_there = connections[0].get() if wanted else {}
        wanted = [name for name in wanted if name in known_there]
        found = connections.get(
            ["source", "target", "weight", "delay", *wanted] if simple else None
        )
        known = {name: np.atleast_1d(values) for name, values in found.items()}
        if has_quanta:
            known["weight"] = known["weight"] * known["n"]
        if "Wmax" in known:
            known["Wmax"] = known["Wmax"] / _receptor(self)[1]
        columns = {
            ADDRESS[0]: _positions(self.pre, known["source"]),
            ADDRESS[1]: _positions(self.post, known["target"]),
            "weight": known["weight"] / (_receptor(self)[1] * PICO),
            "delay": np.round(known["delay"], 9),
        }
        others = {name: self._parameter(name, known) for name in names if name not in columns}
        return {name: {**columns, **others}[name] for name in names}

    def _parameter(self, name: str, known: floor.Columns) -> NDArray[Any]:
        """A parameter of plastic synapses, in PyNN's units, from all that NEST has."""
        translations = getattr(self.synapse_type, "translations", None)
        if translations is None:  # a model of NEST's own
            return known[name]
        own, natives = translations[name], {t["translated_name"] for t in translations.values()}
        if own["translated_name"] == "tau_minus":  # it is the neurons' in NEST
            of_neurons = np.atleast_1d(self.post.node_collection.get("tau_minus"))
            return np.asarray(of_neurons[_positions(self.post, known["target"])])
        if own["translated_name"] not in known:
            n = known["source"].size
            return np.full(n, number(self.synapse_type.parameter_space[name]))
        if own["type"] == "simple":
            return known[own["translated_name"]]
        values = {native: known[native] for native in natives & set(known)}
        return np.asarray(own["reverse_transform"](**values))

    def write_plastic(self, changed: floor.Columns) -> None:
        """See the floor; some parameters are those of the whole model, or of the targets."""
        connections = self.nest_connections
        if not len(connections):
            return
        if self._common_synapse_property_names is None:
            self._identify_common_synapse_properties()
        if isinstance(self.synapse_type, MultiQuantalSynapse):
            changed = self._by_quanta(changed)
        with self._in_words():
            for name, values in changed.items():
                if name in _SIGNED:
                    _set(connections, name, values * _receptor(self)[1])
                elif name != "tau_minus" and name not in self._common_synapse_property_names:
                    _set(connections, name, values)
                elif np.any(values != values[0]):
                    raise InvalidValueError(
                        f"on nest all synapses of projection {self.label} have one {name}, not "
                        f"{values[0]:g} and {values[values != values[0]][0]:g}"
                    )
                elif name == "tau_minus":
                    self.post.local_node_collection.set({name: float(values[0])})
                else:
                    nest.SetDefaults(self.nest_synapse_model, {name: float(values[0])})
                    self._common_synapse_properties[name] = float(values[0])

    def _by_quanta(self, changed: floor.Columns) -> floor.Columns:
        """A weight is that of all release sites together; NEST's is that of one."""
        stated = self.plastic_columns(["weight", "n"])
        n = changed.get("n", stated["n"])
        weights = changed.get("weight", stated["weight"] * PICO) / n
        return {**changed, "weight": weights, **({"a": n} if "n" in changed else {})}


class _Nothing(Connector):  # type: ignore[misc]  # PyNN is untyped
    """A connector that makes no synapses."""

    def connect(self, projection: Any) -> None:
        pass


def _set(connections: Any, name: str, values: Any) -> None:
    """Set a parameter of synapses, from a value for each."""
    kind = type(connections[0].get(name))
    if np.all(values == values[0]):
        connections.set({name: kind(values[0])})
    else:  # a dictionary of lists is not allowed where there are several processes
        connections.set([{name: kind(value)} for value in values.tolist()])


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
    """NEST's receptor port, and the factor between PyNN's weights and NEST's.

    Raises
    ------
    pyNN.errors.ConnectionError
        If the populations of an assembly have others.
    """
    parts = getattr(projection.post, "populations", [projection.post])
    receptors = {_receptor_of(part, projection.receptor_type) for part in parts}
    if len(receptors) > 1:
        raise errors.ConnectionError(
            f"NEST has other receptor ports, or another unit of weights, in some cells of assembly "
            f"{projection.post.label!r} than in others: connect its populations one by one"
        )
    return receptors.pop()


def _receptor_of(population: Any, receptor_type: str) -> tuple[int, float]:
    celltype = population.celltype
    sign = 1.0
    is_told_by_sign = not isinstance(celltype, ModelledType)
    if receptor_type == "inhibitory" and population.conductance_based and is_told_by_sign:
        sign = -1.0  # NEST tells inhibitory conductances by their sign
    sign *= getattr(celltype, "receptor_scale", 1.0)  # the Izhikevich model's unit of current
    if celltype.standard_receptor_type:
        return 0, sign
    return int(celltype.get_receptor_type(receptor_type)), sign


def _node_range(cells: Any) -> tuple[int, int]:
    numbers = _lowering.numbers(cells)
    return int(numbers.min()), int(numbers.max())


def _positions(cells: Any, numbers: Any) -> np.ndarray[Any, Any]:
    """Indices, within a population, view or assembly, of nodes given by number."""
    own = _lowering.numbers(cells)
    order = np.argsort(own)
    found: np.ndarray[Any, Any] = order[np.searchsorted(own, numbers, sorter=order)]
    return found

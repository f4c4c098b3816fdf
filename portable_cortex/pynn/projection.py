"""PyNN's ``Projection``: what it means, over arrays of synapses that a backend keeps."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.connectors import FromListConnector, MapConnector
from pyNN.models import BaseSynapseType
from pyNN.parameters import ParameterSpace
from pyNN.recording.files import StandardTextFile
from pyNN.space import Space
from pyNN.standardmodels.synapses import (
    MultiQuantalSynapse,
    SimpleStochasticSynapse,
    STDPMechanism,
    StochasticTsodyksMarkramSynapse,
    TsodyksMarkramSynapse,
)

from ..errors import InvalidValueError, UnsupportedError
from ..host import parallel
from ..registry import load_backend
from ..support import missing_type
from . import lists
from .checks import check_edges
from .draws import (
    DELAY,
    SOURCE,
    WEIGHT,
    Edges,
    Stream,
    different_pairs,
    draw_edges,
    draw_pairs,
    evaluate,
    is_without_replacement,
    item_of_projection,
)
from .grid import delay_steps
from .lists import listed_synapses
from .plasticity import check_bounds, check_parameters
from .synapses import (
    Connection,
    as_matrix,
    check_columns,
    check_signs,
    default_receptor,
    listed_columns,
    reading_order,
)
from .values import is_number, number
from .weights import in_format

Columns = dict[str, NDArray[Any]]
FORMATS = "list", "array"
MULTIPLE = "sum", "min", "max", "first", "last"
ADDRESS = "presynaptic_index", "postsynaptic_index"
_QUANTITY = {"weight": WEIGHT, "delay": DELAY}
OTHERS = 1 + max(_QUANTITY.values())  # quantities that are drawn for other parameters, from here


class Readable:
    """A projection whose synapses are read in one order, in every format, on every backend.

    Mix it into PyNN's ``Projection``. It asks for `columns`.
    """

    shape: Any  # PyNN's, as all that follow
    synapse_type: Any
    receptor_type: Any
    pre: Any
    post: Any
    _simulator: Any

    def columns(self, names: list[str]) -> Columns:
        """Indices (``presynaptic_index``, ``postsynaptic_index``) and parameters, by name.

        Of the synapses of this process, in PyNN's units, in any order but the same for all names;
        several synapses of a pair as they were created.
        """
        raise NotImplementedError

    def _guess_receptor_type(self) -> None:
        self.receptor_type = default_receptor(self)

    def get(
        self,
        attribute_names: Any,
        format: str,  # noqa: A002  # PyNN's name
        gather: Any = True,
        with_address: bool = True,
        multiple_synapses: str = "sum",
    ) -> Any:
        """Values of the synapses, as a list (by source, then target) or as a matrix; see PyNN.

        Raises
        ------
        InvalidValueError
            For another format, or another name of what becomes of multiple synapses.
        pyNN.errors.NonExistentParameterError
            For an attribute that the synapses do not have.
        """
        single = isinstance(attribute_names, str)
        names = [self._attribute(n) for n in ([attribute_names] if single else attribute_names)]
        if format not in FORMATS:
            raise InvalidValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
        if multiple_synapses not in MULTIPLE:
            raise InvalidValueError(
                f"multiple_synapses must be one of {', '.join(MULTIPLE)}, not {multiple_synapses!r}"
            )
        found = self.columns([*ADDRESS, *(n for n in names if n not in ADDRESS)])
        if gather and parallel.processes() > 1:
            found = {name: parallel.joined(np.asarray(c)) for name, c in found.items()}
        sources, targets = (np.asarray(found[name], np.int64) for name in ADDRESS)
        order = reading_order(sources, targets)
        values = [np.asarray(found[name])[order] for name in names]
        if format == "array":
            pairs = sources[order], targets[order]
            matrices = [as_matrix(*pairs, v, self.shape, multiple_synapses) for v in values]
            return matrices[0] if single else matrices
        if with_address:
            values = [sources[order], targets[order], *values]
        elif single:
            return values[0].tolist()
        return list(zip(*(v.tolist() for v in values), strict=True))

    def save(
        self,
        attribute_names: Any,
        file: Any,
        format: str = "list",  # noqa: A002  # PyNN's name
        gather: bool = True,
        with_address: bool = True,
    ) -> None:
        """Write values of the synapses into a file that FromFileConnector reads; see PyNN.

        Raises
        ------
        InvalidValueError
            For several matrices in one file.
        """
        if attribute_names in ("all", "connections"):
            attribute_names = self.synapse_type.get_parameter_names()
        names = [attribute_names] if isinstance(attribute_names, str) else list(attribute_names)
        if isinstance(file, str):
            file = StandardTextFile(file, mode="w")
        values = self.get(names, format, gather, with_address)
        if self._simulator.state.mpi_rank == 0:
            is_matrix = format == "array"
            lists.save(file, values, names, matrix=is_matrix, with_address=with_address)

    def _attribute(self, name: str) -> str:
        """The name of an attribute, of which PyNN also takes the plural."""
        valid = [*self.synapse_type.get_parameter_names(), *ADDRESS]
        for candidate in (name, name.removesuffix("s")):
            if candidate in valid:
                return candidate
        raise errors.NonExistentParameterError(name, type(self.synapse_type).__name__, valid)


class Collecting:
    """A projection that PyNN's own connectors fill: they call it for each target.

    Mix it into PyNN's ``Projection``; `collect` then gives what they would have connected.
    """

    shape: Any  # PyNN's, as those that follow
    pre: Any
    post: Any

    def collect(self, connector: Any) -> tuple[NDArray[Any], ...]:
        """Sources, targets, weights and delays (PyNN's units), by source, as they were made.

        Of all processes: connectors make those onto the targets of their own.
        """
        if is_without_replacement(connector):
            uniform = connector.rng.next(1, "uniform", {"low": 0.0, "high": 1.0}, mask=None)
            seed = parallel.of_first(int(float(uniform[0]) * 2**31))
            pairs = different_pairs(Stream(seed, 0, SOURCE), connector, self.pre, self.post)
            connector = Pairs(*pairs, connector)
        self._collected: list[tuple[Any, ...]] = []
        connector.connect(self)
        columns = zip(*self._collected, strict=True) if self._collected else ([[]],) * 4
        sources, targets, weights, delays = (
            parallel.joined(np.concatenate(list(c), dtype=float)) for c in columns
        )
        self._collected = []
        check_edges(weight=weights, delay=delays)
        order = np.argsort(sources, kind="stable")
        sources, targets = sources[order].astype(np.int64), targets[order].astype(np.int64)
        return sources, targets, weights[order], delays[order]

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: int,
        location_selector: Any = None,
        **parameters: Any,
    ) -> None:
        if location_selector is not None:
            raise UnsupportedError("this simulator has no locations on a cell")
        n = len(presynaptic_indices)
        self._collected.append(
            (
                presynaptic_indices,
                np.full(n, postsynaptic_index),
                np.broadcast_to(parameters["weight"], n),
                np.broadcast_to(parameters["delay"], n),
            )
        )


class Pairs(MapConnector):  # type: ignore[misc]  # PyNN is untyped
    """A connector that makes the synapses that are given, as PyNN's own connectors do.

    Parameters
    ----------
    sources, targets : arrays of int64
    connector : pyNN.connectors.Connector
        In whose place it stands.
    """

    parameter_names = ()

    def __init__(self, sources: Any, targets: Any, connector: Any) -> None:
        super().__init__(connector.location_selector, connector.safe, connector.callback)
        self._sources, self._targets = sources, targets

    def connect(self, projection: Any) -> None:
        """See PyNN."""
        order = np.argsort(self._targets, kind="stable")
        ends = np.bincount(self._targets, minlength=projection.post.size).cumsum()[:-1]
        sources_of = np.split(self._sources[order], ends)

        def of_targets(mask: Any = None) -> list[Any]:
            wanted = range(len(sources_of)) if mask is None else np.flatnonzero(mask)
            return [sources_of[target] for target in wanted]

        self._standard_connect(projection, of_targets)


class Projection(Collecting, Readable, common.Projection):  # type: ignore[misc]  # PyNN is untyped
    """A projection whose static synapses are drawn by the core and kept as arrays.

    A backend subclasses it with ``_simulator`` (a module that has a `State` named ``state``) and
    ``_static_synapse_class``. It may keep the synapses in a form of its own (`store`, `stored`).
    Where it has other types of synapses, too, it says so (`can_have`), and how these are made
    (`make_plastic`, `connect_plastic`), read (`plastic_columns`) and changed (`write_plastic`).
    """

    _simulator: Any
    _static_synapse_class: Any
    weight_scale = 1.0  # native weight of plastic synapses that is 1 nA or uS
    keeps_plastic = False  # whether plastic synapses are arrays, too (`PlasticArrays`)

    @property
    def draws_plastic(self) -> bool:
        """Whether `make_plastic` draws the synapses as arrays, without the connector's help."""
        return self.keeps_plastic

    def __init__(
        self,
        presynaptic_neurons: Any,
        postsynaptic_neurons: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        synapse_type = synapse_type or self._static_synapse_class()
        state = self._simulator.state
        if isinstance(synapse_type, BaseSynapseType) and not self.can_have(synapse_type):
            kind = type(synapse_type).__name__
            raise UnsupportedError(missing_type(load_backend(state.backend), "synapse type", kind))
        if not getattr(postsynaptic_neurons, "injectable", True):
            raise errors.ConnectionError("a spike source cannot be the target of a projection")
        common.Projection.__init__(
            self,
            presynaptic_neurons,
            postsynaptic_neurons,
            connector,
            synapse_type,
            source,
            receptor_type,
            space or Space(),
            label,
        )
        state.check_alive(self.pre, self.post)
        state.touch("a projection", structure=True)
        self._number, self._changes = len(state.projections), 0
        self.is_static = self.is_drawn(connector)
        if self.is_static:
            self.make(connector)
            self._connector = _to_describe(connector)
        elif self.draws_plastic:
            self.make_plastic(connector)
            self._connector = _to_describe(connector)
        else:
            self._check_numbers()
            self.make_plastic(self._drawn(connector))
            self._connector = connector  # to be described
        state.projections.append(self)

    # --- what a backend may do its own way --------------------------------------------------------

    def can_have(self, synapse_type: Any) -> bool:
        """Whether this is a synapse type of the backend."""
        return isinstance(synapse_type, self._static_synapse_class)

    def is_drawn(self, connector: Any) -> bool:
        """Whether the synapses can be drawn as arrays: they are static."""
        return isinstance(self.synapse_type, self._static_synapse_class)

    def make(self, connector: Any) -> None:
        """Draw the synapses and store them."""
        self.store(self.checked(self.draw(connector)))

    def store(self, edges: Edges) -> None:
        """Keep the synapses."""
        self._edges = edges

    def stored(self) -> Edges:
        """All synapses, by source."""
        return self._edges

    def __len__(self) -> int:
        return int(self.stored().sources.size)

    def smallest_delay(self) -> float | None:
        """Of all synapses, ms; None if there are none."""
        delays = self.stored().delays
        return float(delays.min()) if delays.size else None

    def write(self, edges: Edges, changed: Columns) -> None:
        """Give synapses other weights or delays, in the order of `edges`, which `stored` gave."""
        weights, delays = changed.get("weight", edges.weights), changed.get("delay", edges.delays)
        self.store(Edges(edges.sources, edges.targets, weights, delays))

    # --- what a backend with plastic synapses does ------------------------------------------------

    def make_plastic(self, connector: Any) -> None:
        """Let a connector make the synapses: for each target, `connect_plastic` is called."""
        connector.connect(self)

    def connect_plastic(
        self, sources: Any, target: int, location_selector: Any, parameters: dict[str, Any]
    ) -> None:
        """Make the synapses of one target; native parameters have a value for each, or for all."""
        raise NotImplementedError

    def plastic_columns(self, names: list[str]) -> Columns:
        """See `columns`."""
        raise NotImplementedError

    def write_plastic(self, changed: Columns) -> None:
        """Give synapses other native values, in the order of `plastic_columns`."""
        raise NotImplementedError

    # --- making -----------------------------------------------------------------------------------

    @property
    def key(self) -> dict[str, int]:
        """Key of the random draws: those of the `shared` realisation."""
        state = self._simulator.state
        seed = state.seed if state.shared_seed is None else state.shared_seed
        return {"seed": seed, "item": item_of_projection(self._number)}

    def draw(self, connector: Any) -> Edges:
        """The synapses, by the core; by PyNN's connector where the core cannot."""
        state = self._simulator.state
        if isinstance(connector, FromListConnector):
            check_columns(listed_synapses(connector)[1], self.synapse_type)
        # the draws of `shared` are rounded as a whole, so that all machines can hold them
        shared = state.shared_seed is not None and hasattr(connector, "rng")
        try:
            return draw_edges(
                connector,
                self.synapse_type,
                self.pre,
                self.post,
                **self.key,
                timestep=state.dt,
                space=self.space,
                rounded=shared,
            )
        except UnsupportedError:
            sources, targets, weights, delays = self.collect(connector)
            if not self.is_static:
                weights = weights / self.weight_scale
            steps = delay_steps(delays, state.dt)
            return Edges(sources, targets, weights, np.round(steps * state.dt, 9))

    def draw_plastic(self, connector: Any) -> tuple[Edges, dict[str, Any]]:
        """Synapses and what they have beside weight and delay: a number for all, or of each."""
        listed: Columns = {}
        if isinstance(connector, FromListConnector):
            sources, _, listed = listed_columns(connector, self)
            order = np.argsort(sources, kind="stable")
            listed = {name: values[order] for name, values in listed.items()}
        edges = self.draw(connector)
        return edges, {
            name: listed[name] if name in listed else self._drawn_parameter(name, value, edges)
            for name, value in self.synapse_type.parameter_space.items()
            if name not in _QUANTITY
        }

    def _drawn_parameter(self, name: str, value: Any, edges: Edges) -> Any:
        if is_number(value):
            return number(value)
        stream = Stream(self.key["seed"], self.key["item"], self._quantity(name))
        return evaluate(value, edges.sources, edges.targets, self, stream)

    def _drawn(self, connector: Any) -> Any:
        """A connector for the pairs that the core draws; PyNN's own where the core cannot."""
        if isinstance(connector, FromListConnector):
            listed_columns(connector, self)  # it is right
        try:
            return Pairs(*draw_pairs(connector, self, **self.key), connector)
        except UnsupportedError:
            return connector

    def _check_numbers(self) -> None:
        """Look at a weight and a delay that all synapses have, and at what else they have."""
        for name, value in self.synapse_type.parameter_space.items():
            if name in _QUANTITY and is_number(value):
                self.checked_values({name: np.array([number(value)])})
        check_parameters(type(self.synapse_type).__name__, self.label, self._plastic_numbers())

    def _plastic_numbers(self) -> dict[str, float]:
        """What all synapses of a plastic type of PyNN's have, beside weight and delay."""
        known = (
            STDPMechanism,
            TsodyksMarkramSynapse,
            SimpleStochasticSynapse,
            StochasticTsodyksMarkramSynapse,
            MultiQuantalSynapse,
        )
        if not isinstance(self.synapse_type, known):
            return {}
        space = self.synapse_type.parameter_space
        values = {n: number(v) for n, v in space.items() if n not in _QUANTITY and is_number(v)}
        if {"w_min", "w_max"} <= set(values):
            return values
        return {name: v for name, v in values.items() if name not in ("w_min", "w_max")}

    def checked(self, edges: Edges) -> Edges:
        """The synapses with their weights in the network's format, after a look at them.

        Raises
        ------
        pyNN.errors.ConnectionError
            For a weight that does not fit the receptor, or a delay outside what ``setup()`` said.
        """
        check_signs(edges.weights, self)
        self.check_delays(edges.delays)
        return edges._replace(weights=self.in_format(edges.weights))

    def in_format(self, weights: Any) -> Any:
        """Weights, nA or uS, in the network's format."""
        return in_format(weights, self._simulator.state.weight_format)

    def check_delays(self, delays: Any) -> None:
        """Raise PyNN's ``ConnectionError`` for delays outside what ``setup()`` said."""
        if np.size(delays):
            self._simulator.state.check_delays(np.min(delays), np.max(delays))

    def on_grid(self, delays: Any) -> Any:
        """Delays, ms, of the grid that are the nearest, checked."""
        step = self._simulator.state.dt
        rounded = np.round(delay_steps(delays, step) * step, 9)
        self.check_delays(rounded)
        return rounded if np.ndim(rounded) else float(rounded)

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: int,
        location_selector: Any = None,
        **parameters: Any,
    ) -> None:
        arguments = presynaptic_indices, postsynaptic_index, location_selector
        if self.is_static or self.draws_plastic:
            super()._convergent_connect(*arguments, **parameters)
            return
        known = {name: parameters[name] for name in _QUANTITY if name in parameters}
        check_edges(**known)
        check_signs(known["weight"] / self.weight_scale, self)
        check_bounds(self.label, known["weight"] / self.weight_scale, self._plastic_numbers())
        if self._simulator.state.weight_format != "full":
            rounded = self.in_format(known["weight"] / self.weight_scale)
            parameters["weight"] = rounded * self.weight_scale
        if "delay" in known:
            parameters["delay"] = self.on_grid(known["delay"])
        self.connect_plastic(*arguments, parameters)

    # --- reading and changing ---------------------------------------------------------------------

    def columns(self, names: list[str]) -> Columns:
        """See `Readable`."""
        self._simulator.state.check_alive(self.pre, self.post)
        if not self.is_static:
            return self.plastic_columns(names)
        columns = dict(zip((*ADDRESS, "weight", "delay"), self.stored(), strict=True))
        return {name: columns[name] for name in names}

    def column(self, name: str) -> NDArray[Any]:
        """Values of all synapses."""
        return self.columns([name])[name]

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return Connection(self, i)

    @property
    def connections(self) -> Iterator[Connection]:
        """The synapses, one after the other."""
        return (self[i] for i in range(len(self)))

    def set(self, **attributes: Any) -> None:
        """Change weights, delays or other parameters of all synapses; see PyNN.

        A one-dimensional array or list has a value for each synapse, in the order of
        ``get(..., "list")``.
        """
        self._simulator.state.check_alive(self.pre, self.post)
        edges = self._present_edges()
        lists = {name: v for name, v in attributes.items() if _is_list(v)}
        parameters = ParameterSpace(
            {name: value for name, value in attributes.items() if name not in lists},
            self.synapse_type.get_schema(),
            self.shape,
        )
        changed = {name: self._in_order(name, v, edges) for name, v in lists.items()}
        self._changes += 1
        key = self.key
        for name, value in parameters.items():
            item = key["item"] + (self._changes << 32)  # another one for each change
            stream = Stream(key["seed"], item, self._quantity(name))
            changed[name] = evaluate(value, edges.sources, edges.targets, self, stream)
        self._replace(edges, changed)

    def _present_edges(self) -> Edges:
        if self.is_static or self.keeps_plastic:
            return self.stored()
        sources, targets = self.columns(list(ADDRESS)).values()
        nothing = np.empty(0)
        return Edges(np.asarray(sources, np.int64), np.asarray(targets, np.int64), nothing, nothing)

    def _quantity(self, name: str) -> int:
        """What is drawn, in the key of draws."""
        others = sorted(set(self.synapse_type.get_parameter_names()) - set(_QUANTITY))
        return _QUANTITY[name] if name in _QUANTITY else OTHERS + others.index(name)

    def _in_order(self, name: str, values: Any, edges: Edges) -> NDArray[np.float64]:
        if name not in self.synapse_type.get_parameter_names():
            self._attribute(name)  # raises what PyNN would
        array = np.asarray(values, dtype=float)
        if array.size != edges.sources.size:
            raise InvalidValueError(
                f"{name} of projection {self.label}: a list must have a value for each of the "
                f"{edges.sources.size} synapses, not {array.size} values"
            )
        ordered = np.empty(array.size)
        ordered[reading_order(edges.sources, edges.targets)] = array
        return ordered

    def replace(self, name: str, values: Any) -> None:
        """Change all weights or delays, in the order of `stored`."""
        self._replace(self.stored(), {name: np.asarray(values, float)})

    def _replace(self, edges: Edges, changed: Columns) -> None:
        changed = self.checked_values(changed)
        self._simulator.state.touch("synapses", structure=True)
        if self.is_static:
            self.write(edges, changed)
            return
        numbers = {**self._plastic_numbers(), **changed}
        check_parameters(type(self.synapse_type).__name__, self.label, numbers)
        if "weight" in changed:
            check_bounds(self.label, changed["weight"], numbers)
        space = self.native_space(changed, edges.sources.size)
        native = self.synapse_type.translate(space)
        native.evaluate(simplify=False)
        self.write_plastic(dict(native.items()))

    def native_space(self, values: dict[str, Any], size: int) -> Any:
        """Values of so many synapses as a space of PyNN's, which wants whole numbers as such."""
        schema = self.synapse_type.get_schema()
        typed = {n: np.asarray(v).astype(schema.get(n, float))[()] for n, v in values.items()}
        return ParameterSpace(typed, schema, (size,))

    def checked_values(self, changed: Columns) -> Columns:
        """New values of synapses, after a look at them; delays are those of the grid.

        Weights are in the network's format.
        """
        check_edges(**changed)
        if "weight" in changed:
            check_signs(changed["weight"], self)
            changed = {**changed, "weight": self.in_format(changed["weight"])}
        if "delay" in changed:
            return {**changed, "delay": self.on_grid(changed["delay"])}
        return changed

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        parameter = {"a": "n", "u": "U"}.get(variable, "")
        if isinstance(self.synapse_type, MultiQuantalSynapse) and parameter:
            both = self.synapse_type.parameter_space[parameter], initial_values
            if all(map(is_number, both)) and number(both[0]) == number(both[1]):
                return  # so they begin anyway
            raise InvalidValueError(
                f"synapses of a MultiQuantalSynapse begin with {variable} = {parameter}, and with "
                "nothing else"
            )
        raise errors.NonExistentParameterError(variable, type(self.synapse_type).__name__, [])


def _to_describe(connector: Any) -> Any:
    """A connector without the rows of a list, which the synapses have, and PyNN would keep."""
    if not isinstance(connector, FromListConnector):
        return connector
    described = copy(connector)
    described.conn_list = f"{len(listed_synapses(connector)[0]):,} synapses"
    return described


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)

"""Watch a model being built: what it creates, how long that takes, whose random numbers it uses.

The model sees an ordinary PyNN namespace. Its ``Population`` and ``Projection`` are subclasses of
the backend's that keep time and books and, for the `shared` realisation, put the core's draws in
the place of the backend's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelError, UnsupportedError
from ..host.clock import Clock
from ..models.loader import Model
from ..models.user_code import is_asked_to_end, located
from .checks import LookedAt, check_connector, check_edges, check_returned, check_size, check_values
from .draws import (
    STATE,
    Stream,
    draw_edges,
    item_of_population,
    item_of_projection,
    quantile_function,
)
from .values import is_random
from .weights import in_format


@dataclass
class Network:
    """What a model built.

    Attributes
    ----------
    populations : dict of str to Population
        Those that ``build`` returned.
    projections : list of Projection
        All of them.
    """

    populations: dict[str, Any] = field(default_factory=dict)
    created: list[Any] = field(default_factory=list)
    projections: list[Any] = field(default_factory=list)

    @property
    def recurrent(self) -> list[Any]:
        """Projections whose presynaptic cells are neurons, not spike sources."""
        return [p for p in self.projections if p.pre.injectable]

    @property
    def n_neurons(self) -> int:
        """Neurons, without spike sources."""
        return sum(p.size for p in self.created if p.injectable)

    @property
    def n_synapses(self) -> int:
        """Synapses between neurons, without those of spike sources."""
        return sum(int(p.size()) for p in self.recurrent)

    def synaptic_events(self, spike_counts: dict[str, np.ndarray[Any, Any]]) -> int | None:
        """Spikes times out-degree, over all recurrent projections.

        The mean out-degree of the projection is taken; None if a presynaptic population is not
        among those counted.
        """
        labels = {id(population): label for label, population in self.populations.items()}
        events = 0.0
        for projection in self.recurrent:
            spikes = 0
            for part in getattr(projection.pre, "populations", [projection.pre]):
                parent = getattr(part, "grandparent", part)
                if id(parent) not in labels:
                    return None
                counts = spike_counts[labels[id(parent)]]
                if parent is not part:
                    counts = counts[part.index_in_grandparent(np.arange(part.size))]
                spikes += int(counts.sum())
            events += spikes * projection.size() / projection.pre.size
        return round(events)


def build_network(
    model: Model,
    parameters: dict[str, Any],
    sim: Any,
    *,
    backend_name: str,
    clock: Clock,
    shared_seed: int | None,
    on_progress: Callable[[str], None],
    check_projection: Callable[[Any, Any], None] = lambda connector, synapse: None,
    weight_format: str = "full",
) -> Network:
    """Let `model` build its network in `sim`.

    Parameters
    ----------
    model : Model
    parameters : dict
        Keyword arguments of the model's ``build``.
    sim : PyNN namespace
        Set up already.
    backend_name : str
        For error messages.
    clock : Clock
        Gains the phases ``create`` and ``connect``.
    shared_seed : int or None
        Seed of the `shared` realisation; None for the backend's own random numbers.
    on_progress : callable
        Told the label of each population and projection before it is made.
    check_projection : callable
        Given the connector and the synapse type of each; may refuse them.
    weight_format : {"full", "bfloat16"}
        Of the weights that are handed to the backend; ``full`` where that rounds them by itself.
        Others ask for a `shared_seed`.

    Raises
    ------
    ModelError
        If ``build`` fails, runs the simulator, or does not return its populations by label.
    UnsupportedError
        If the model needs something that the namespace lacks.
    InvalidValueError
        If it asks for what no simulator has, such as an infinite weight.
    """
    network = Network()
    population = _watched_population(sim, network, clock, shared_seed, on_progress)
    projection = _watched_projection(
        sim, network, clock, shared_seed, weight_format, on_progress, check_projection
    )
    namespace = _Namespace(
        sim,
        backend_name,
        Population=population,
        Projection=projection,
        **_older_names(sim, population, projection),
        **{name: _refused(name) for name in THE_RUNS},
    )
    began = sim.get_current_time(), sim.get_time_step()
    try:
        returned = model.build(namespace, **parameters)
    except BaseException as error:
        if is_asked_to_end(error):
            raise
        told = located(error, backend_name, model.file)
        if told is None or told is error:
            raise
        raise told from error
    if (sim.get_current_time(), sim.get_time_step()) != began:
        raise ModelError(
            f"build() of model {model.name!r} set up or ran the simulator; it may only build: "
            f"time is the run's (duration, warmup, timestep)"
        )
    network.populations = check_returned(model.name, returned, network.created)
    return network


def _older_names(sim: Any, population: Any, projection: Any) -> dict[str, Any]:
    """``create`` and ``connect``, where there are any, of the classes that are watched."""
    from pyNN.common.procedural_api import build_connect, build_create  # slow to import

    if not hasattr(sim, "create"):
        return {}
    connector, synapse = sim.FixedProbabilityConnector, sim.StaticSynapse
    return {
        "create": build_create(population),
        "connect": build_connect(projection, connector, synapse),
    }


# What a run does with a network, and with which options: names that a model may not call.
THE_RUNS = {
    "setup": "--timestep and --seed set up the simulator",
    "run": "--warmup and --duration say how long it runs",
    "run_for": "--warmup and --duration say how long it runs",
    "run_until": "--warmup and --duration say how long it runs",
    "reset": "each run begins with a new network",
    "end": "the run ends when its results are read",
}


def _refused(name: str) -> Callable[..., Any]:
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise ModelError(
            f"build() must not call sim.{name}(), it only builds the network: {THE_RUNS[name]}; "
            "take the call out"
        )

    return refuse


class _Namespace:
    """A PyNN namespace in which some names are replaced and a missing one is a clear error."""

    def __init__(self, sim: Any, backend_name: str, **replaced: Any) -> None:
        self.__dict__.update(replaced)
        self._sim, self._backend_name = sim, backend_name

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._sim, name)
        except AttributeError as error:
            if name.startswith("__") or isinstance(error, UnsupportedError):
                raise
            raise UnsupportedError(
                f"backend {self._backend_name!r} has no {name!r}, which the model uses"
            ) from None


def _watched_population(
    sim: Any,
    network: Network,
    clock: Clock,
    shared_seed: int | None,
    on_progress: Callable[[str], None],
) -> Any:
    class Population(sim.Population):  # type: ignore[misc]  # the namespace is untyped
        __doc__ = sim.Population.__doc__

        def __init__(self, size: Any, cellclass: Any, *args: Any, **kwargs: Any) -> None:
            check_size(size)
            _check_cell(cellclass, *args, **kwargs)
            on_progress(kwargs.get("label") or "population")
            self._number = len(network.created)
            network.created.append(self)
            with clock("create"):
                super().__init__(size, cellclass, *args, **kwargs)
            if not hasattr(self.celltype, "parameter_space"):  # a cell type not of PyNN's making
                names = self.celltype.get_parameter_names()
                with warnings.catch_warnings():  # numpy's, of sPyNNaker's own ways
                    warnings.simplefilter("ignore")
                    values = {name: self.get(name) for name in names}
                check_values(str(self.label), values)

        def set(self, **parameters: Any) -> None:
            check_values(type(self.celltype).__name__, parameters)
            super().set(**parameters)

        def initialize(self, **initial_values: Any) -> None:
            check_values("the initial state", initial_values)
            if shared_seed is not None:
                for position, (name, value) in enumerate(sorted(initial_values.items())):
                    if is_random(_Lazy(value)):
                        stream = Stream(
                            shared_seed, item_of_population(self._number), STATE + position
                        )
                        initial_values[name] = stream.values(self.size, quantile_function(value))
            with clock("create"):
                super().initialize(**initial_values)

    return Population


def _check_cell(
    cell: Any, cellparams: Any = None, structure: Any = None, initial_values: Any = None, **_: Any
) -> None:
    kind = cell if isinstance(cell, type) else type(cell)
    for values in (getattr(cell, "parameter_space", None), cellparams):
        check_values(kind.__name__, dict(values.items()) if values else {})
    check_values("the initial state", initial_values or {})


@dataclass
class _Lazy:
    """A bare value in the shape that `is_random` asks for."""

    base_value: Any


def _watched_projection(
    sim: Any,
    network: Network,
    clock: Clock,
    shared_seed: int | None,
    weight_format: str,
    on_progress: Callable[[str], None],
    check_projection: Callable[[Any, Any], None],
) -> Any:
    rounds = weight_format != "full"
    if shared_seed is not None and not rounds and hasattr(sim, "draw_shared"):
        sim.draw_shared(shared_seed)  # the backend makes the core's draws itself
        shared_seed = None

    looked_at = LookedAt()

    class Projection(sim.Projection):  # type: ignore[misc]  # the namespace is untyped
        __doc__ = sim.Projection.__doc__

        def __init__(
            self,
            presynaptic_neurons: Any,
            postsynaptic_neurons: Any,
            connector: Any,
            synapse_type: Any = None,
            *args: Any,
            **kwargs: Any,
        ) -> None:
            on_progress(kwargs.get("label") or "projection")
            number = len(network.projections)
            network.projections.append(self)
            with clock("connect"):
                synapse_type = synapse_type or sim.StaticSynapse()
                both = connector, synapse_type
                if both not in looked_at:
                    _check_synapses(connector, synapse_type)
                    check_projection(connector, synapse_type)
                    looked_at.add(both)
                if shared_seed is not None and (_has_draws(connector, synapse_type) or rounds):
                    if rounds:
                        _check_columns(connector)
                    edges = draw_edges(
                        connector,
                        synapse_type,
                        presynaptic_neurons,
                        postsynaptic_neurons,
                        seed=shared_seed,
                        item=item_of_projection(number),
                        timestep=sim.get_time_step(),
                        space=kwargs.get("space"),
                    )
                    edges = edges._replace(weights=in_format(edges.weights, weight_format))
                    connector = sim.FromListConnector(
                        np.column_stack(edges), column_names=("weight", "delay"), safe=False
                    )
                super().__init__(
                    presynaptic_neurons,
                    postsynaptic_neurons,
                    connector,
                    synapse_type,
                    *args,
                    **kwargs,
                )

    return Projection


def _check_synapses(connector: Any, synapse: Any) -> None:
    check_connector(connector)
    # an array may be not-a-number where there is no synapse: `check_edges` sees what is used
    check_values(
        type(synapse).__name__,
        {
            name: value
            for name, value in synapse.parameter_space.items()
            if not isinstance(getattr(value, "base_value", value), np.ndarray)
        },
    )
    if hasattr(connector, "conn_list"):
        check_edges(list=np.asarray(connector.conn_list))


def _check_columns(connector: Any) -> None:
    """Raise an error for a list with values that a list of weights and delays would lose."""
    others = {*getattr(connector, "column_names", ())} - {"weight", "delay"}
    if others:
        raise UnsupportedError(
            f"the core rounds lists of weights and delays, not with {', '.join(sorted(others))}: "
            "leave option weights out"
        )


def _has_draws(connector: Any, synapse: Any) -> bool:
    """Whether anything about a projection is random."""
    if hasattr(connector, "rng") or any(
        is_random(synapse.parameter_space[name])
        for name in ("weight", "delay")
        if name in synapse.get_parameter_names()
    ):
        others = [
            name
            for name, value in synapse.parameter_space.items()
            if name not in ("weight", "delay") and is_random(value)
        ]
        if others:
            raise UnsupportedError(
                f"the shared realisation draws weights and delays, not {', '.join(others)}; "
                "use realisation 'native'"
            )
        return True
    return False

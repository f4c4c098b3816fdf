"""A network in expected numbers: populations, in-degrees, weights and delays, without a simulator.

A model builds in a namespace that draws no synapse where a formula says how many a neuron gets;
where none does, as for a list, they are drawn as the core draws them, counted, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyNN import errors
from pyNN.parameters import LazyArray
from pyNN.random import RandomDistribution
from pyNN.standardmodels import cells as standard
from pyNN.standardmodels.synapses import SimpleStochasticSynapse

from ..errors import ModelError, UnsupportedError
from ..host.clock import Clock
from ..models.loader import Model
from ..neurons.celltype import cell_type, from_nestml
from ..neurons.form import Neuron
from ..neurons.standard import STANDARD, standard_type
from . import currents, namespace, population, projection, recorder, state
from .checks import LookedAt
from .draws import Edges, itself, quantile_function
from .plasticity import plastic_types
from .population import same_names
from .synapses import check_signs, static_synapse
from .values import computed, is_number, is_plain, is_random, members, number
from .watching import build_network

F64 = NDArray[np.float64]
FOREVER = 1e6  # ms: a source that fires so long is stationary
SOURCES = (standard.SpikeSourcePoisson, standard.SpikeSourceArray)


@dataclass(frozen=True, eq=False)
class Values:
    """A discrete distribution in the place of any: values and their probabilities.

    Projections that draw from one distribution share it.

    Attributes
    ----------
    values, probabilities : array
    """

    values: F64
    probabilities: F64

    def __iter__(self) -> Iterator[F64]:
        yield from (self.values, self.probabilities)

    @cached_property
    def mean(self) -> float:
        """Of the values."""
        return float(self.probabilities @ self.values)

    @cached_property
    def mean_square(self) -> float:
        """Of the values."""
        return float(self.probabilities @ self.values**2)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value; zeros where there is none."""
        if not self.values.size:
            return 0.0, 0.0
        return float(self.values.min()), float(self.values.max())


class Degree(NamedTuple):
    """Synapses of one target neuron: their expected number, and its variance over neurons."""

    mean: float
    variance: float


class Recipe(NamedTuple):
    """How a projection draws its synapses, in numbers and names.

    Attributes
    ----------
    connector : str
        PyNN's class.
    arguments : dict
        Of it.
    weight, delay : float or dict
        A number, or the ``name`` and ``parameters`` of a distribution.
    """

    connector: str
    arguments: Mapping[str, Any]
    weight: Any
    delay: Any


@dataclass(frozen=True)
class Synapses:
    """What connects one population to another.

    Attributes
    ----------
    label : str
        Of the projection.
    source, target : int
        Populations, in order of creation.
    receptor : str
    in_degree : Degree
    weights, delays : Values
        nA, uS or mV; ms.
    to_all : bool
        Whether they go to the whole population, and not to a view of it.
    counts : array of int, optional
        Synapses of each target neuron, where they had to be drawn.
    """

    label: str
    source: int
    target: int
    receptor: str
    in_degree: Degree
    weights: Values
    delays: Values
    to_all: bool
    counts: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Cells:
    """A population.

    Attributes
    ----------
    label : str
    size : int
    celltype : pyNN cell type
    parameters : dict of str to array, shape (size,)
        Under PyNN's names, in its units.
    is_source : bool
        Whether they are spike sources.
    """

    label: str
    size: int
    celltype: Any
    parameters: Mapping[str, NDArray[Any]]
    is_source: bool


@dataclass(frozen=True)
class Description:
    """A network.

    Attributes
    ----------
    populations : tuple of Cells
    synapses : tuple of Synapses
    currents : tuple of pyNN current source
        Each with its ``cells``.
    labels : dict of str to int
        The populations that the model names, by their label.
    """

    populations: tuple[Cells, ...]
    synapses: tuple[Synapses, ...]
    currents: tuple[Any, ...]
    labels: Mapping[str, int]

    @property
    def neurons(self) -> dict[int, str]:
        """Populations of neurons, and what the model calls them, or they themselves."""
        names = {place: label for label, place in self.labels.items()}
        return {
            k: names.get(k, cells.label)
            for k, cells in enumerate(self.populations)
            if not cells.is_source
        }

    def check_stationary(self) -> None:
        """Raise an error unless input is stationary, and alike for all neurons of a population.

        Raises
        ------
        UnsupportedError
            For injected currents, sources that begin, end or have given spikes, and projections to
            a part of a population.
        """
        kinds = sorted({type(source).__name__ for source in self.currents if source.cells})
        if kinds:
            raise UnsupportedError(
                f"input has to be stationary here, and {', '.join(kinds)} is injected: give "
                "neurons a constant current by their i_offset"
            )
        for synapses in self.synapses:
            if not synapses.to_all:
                raise UnsupportedError(
                    f"projection {synapses.label} goes to a part of "
                    f"{self.populations[synapses.target].label}, whose neurons are taken as equal "
                    "here: make that part a population"
                )
            source = self.populations[synapses.source]
            if source.is_source:
                _check_source(source)


def _check_source(source: Cells) -> None:
    if "rate" not in source.parameters:
        raise UnsupportedError(
            f"input has to be stationary here, and {source.label} has spikes at given times: leave "
            "them out"
        )
    begins, lasts = (np.asarray(source.parameters[n], float) for n in ("start", "duration"))
    if np.any(begins > 0) or np.any(lasts < FOREVER):
        raise UnsupportedError(
            f"input has to be stationary here, and {source.label} fires from {begins.max():g} ms "
            f"for {lasts.min():g} ms: let it fire for {FOREVER:g} ms or more from 0, or leave it "
            "out"
        )


def describe(
    model: Model,
    parameters: Mapping[str, Any],
    *,
    timestep: float = 0.1,
    seed: int = 1,
    on_progress: Callable[[str], None] = lambda label: None,
) -> Description:
    """Let a model build its network in expected numbers.

    Parameters
    ----------
    model : Model
    parameters : mapping
        Keyword arguments of the model's ``build``.
    timestep : float
        ms.
    seed : int
        Of what is drawn after all.
    on_progress : callable
        Told the label of each population and projection before it is made.

    Raises
    ------
    ModelError
        If ``build`` fails.
    UnsupportedError
        For what has no expected numbers, such as plastic synapses.

    Examples
    --------
    >>> from portable_cortex.models.loader import load_model
    >>> found = describe(load_model("pd14"), {"scale": 1.0})
    >>> round(sum(s.in_degree.mean * found.populations[s.target].size for s in found.synapses
    ...           if not found.populations[s.source].is_source))
    298880968
    """
    sim = namespace_of(State(), timestep, seed)
    built = build_network(
        model,
        dict(parameters),
        sim,
        backend_name="description",
        clock=Clock(),
        shared_seed=None,
        on_progress=on_progress,
    )
    return taken(sim.state, built.populations)


def taken(state: State, labelled: Mapping[str, Any]) -> Description:
    """The network that was built on a state.

    Parameters
    ----------
    state : State
        Of `namespace_of`.
    labelled : mapping of str to Population
        The populations that the model names.
    """
    made = state.populations
    places = {id(cells): k for k, cells in enumerate(made)}
    return Description(
        tuple(
            Cells(str(p.label), int(p.size), p.celltype, p.parameters, not p.injectable)
            for p in made
        ),
        tuple(s for p in state.projections for s in _synapses(p, places)),
        tuple(state.current_sources),
        {label: places[id(p)] for label, p in labelled.items() if id(p) in places},
    )


def _synapses(made: Any, places: Mapping[int, int]) -> list[Synapses]:
    """Of a projection: for each pair of its populations."""
    found = []
    for pre, pre_index in members(made.pre):
        for post, post_index in members(made.post):
            degree, counts = made.degree(pre_index.size, post_index.size), None
            if degree is None:
                counts = made.counted(pre, post)
                degree = Degree(float(counts.mean()), float(counts.var()))
            found.append(
                Synapses(
                    str(made.label),
                    places[id(pre)],
                    places[id(post)],
                    str(made.receptor_type),
                    degree,
                    made.values("weight"),
                    made.values("delay"),
                    post_index.size == post.size,
                    counts,
                )
            )
    return [s for s in found if s.in_degree.mean > 0]


# --- the namespace --------------------------------------------------------------------------------


class State(state.State):
    """Of a network in expected numbers."""

    backend = "description"

    def begin(self, *arguments: Any, **named: Any) -> None:
        """Forget the network."""
        super().begin(*arguments, **named)
        self.looked_at: dict[tuple[Any, ...], LookedAt] = {}  # synapse types, by what they go onto

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Nothing runs."""

    def advance(self, steps: int) -> None:
        """Nothing does."""
        raise ModelError("a description of a network cannot be run")

    def release(self) -> None:
        """Nothing is held."""


def namespace_of(
    own_state: State, timestep: float, seed: int, *, recording: type = recorder.Recorder
) -> Any:
    """A namespace whose networks are known in expected numbers, and begin with a new one.

    Parameters
    ----------
    own_state : State
    timestep : float
        ms.
    seed : int
        Of what is drawn after all.
    recording : type, optional
        Of the populations' recorders.
    """
    simulator: Any = SimpleNamespace(state=own_state, name=own_state.backend)
    simulator.state.begin(timestep, seed=seed)
    assembly, view = population.views(simulator)
    own = {"_simulator": simulator}
    record = type("Recorder", (recording,), own)
    cells = {"_recorder_class": record, "_assembly_class": assembly, "_view_class": view}
    static = static_synapse(simulator.state)
    stochastic = plastic_types(simulator.state)["SimpleStochasticSynapse"]
    classes = {
        "Assembly": assembly,
        "PopulationView": view,
        "Population": type("Population", (_Population,), {**own, **cells}),
        "Projection": type("Projection", (_Projection,), {**own, "_static_synapse_class": static}),
        "StaticSynapse": static,
        "SimpleStochasticSynapse": stochastic,
        **{n: standard_type(getattr(standard, n)) for n in STANDARD},
        **{s.__name__: type(s.__name__, (s,), {"translations": same_names(s)}) for s in SOURCES},
        **currents.classes(simulator.state),
    }

    @from_nestml
    def nestml_cell_type(name: str, neuron: Neuron) -> Any:
        return cell_type(name, neuron)

    return _Names(**namespace.names(simulator, classes=classes), nestml_cell_type=nestml_cell_type)


class _Cells:
    """Cells of a population, made when somebody looks at one: there can be very many."""

    def __init__(self, cells: Any, first: int) -> None:
        self._population, self._first = cells, first

    def __len__(self) -> int:
        return int(self._population.size)

    def __iter__(self) -> Iterator[Any]:
        return map(self._cell, range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            return self._cell(range(len(self))[index])
        chosen = np.arange(len(self))[index]
        found = np.empty(chosen.shape, dtype=object)
        found[:] = [self._cell(int(k)) for k in chosen]
        return found

    def _cell(self, index: int) -> Any:
        cell = state.ID(self._first + index)
        cell.parent = self._population
        return cell


class _Population(population.Population):
    """A population that knows values, once where they are the same for all cells."""

    def _create_cells(self) -> None:
        own_state = self._simulator.state
        self.parameters = _parameters(self.celltype, self.size)
        self.check({n: v[:1] if v.strides == (0,) else v for n, v in self.parameters.items()})
        self.number, self.network = len(own_state.populations), own_state.network
        self.all_cells: Any = _Cells(self, own_state.add_population(self))
        self._mask_local = np.broadcast_to(np.True_, self.size)
        self.first_id = self.all_cells[0]
        nothing = np.broadcast_to(np.float64(0.0), self.size)
        self.initial = dict.fromkeys(self.state_variables(), nothing)

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        """Nothing runs from them: they are not drawn."""
        if self.injectable and variable not in self.initial:
            raise errors.NonExistentParameterError(
                variable, type(self.celltype).__name__, sorted(self.initial)
            )


def _parameters(celltype: Any, size: int) -> dict[str, NDArray[Any]]:
    """Of a population, by PyNN's names: here they are the native ones."""
    space = dict(celltype.parameter_space.items())
    if all(map(is_plain, space.values())):
        return {name: _each(number(value), size) for name, value in space.items()}
    parameters = celltype.native_parameters
    parameters.shape = (size,)
    parameters.evaluate(simplify=True)
    return {name: _each(value, size) for name, value in parameters.items()}


def _each(value: Any, size: int) -> NDArray[Any]:
    """A value for each cell, kept once where it is one for all."""
    if np.ndim(value) == 0 and isinstance(value, int | float | np.number):
        return np.broadcast_to(np.float64(value), size)
    return population.each_value(value, size)


class _Names(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"a network cannot be described by expected numbers with {name}: that is for static "
            "synapses, and for cells and sources that the built-in engine has"
        )


class _Projection(projection.Projection):
    """A projection that knows numbers, and draws only where it must."""

    _is_listed = False  # whether synapses are those that are stored, whatever made them

    def can_have(self, synapse_type: Any) -> bool:
        if isinstance(synapse_type, self._static_synapse_class | SimpleStochasticSynapse):
            return True
        raise UnsupportedError(
            f"a network cannot be described by expected numbers with "
            f"{type(synapse_type).__name__}: its weights depend on spikes"
        )

    def is_drawn(self, connector: Any) -> bool:
        """As static ones, also those whose spikes arrive by chance."""
        return True

    def make(self, connector: Any) -> None:
        """Look at weights and delays, as where synapses are made."""
        self._made_by = connector
        parts = [type(part.celltype) for part, _ in members(self.post)]
        kinds = self._simulator.state.looked_at.setdefault((self.receptor_type, *parts), LookedAt())
        if (self.synapse_type,) not in kinds:
            self._check_numbers()
            check_signs(self.values("weight").limits, self)
            kinds.add((self.synapse_type,))

    @cached_property
    def _synapses(self) -> Edges:
        return self.checked(self.draw(self._made_by))

    def stored(self) -> Edges:
        """All synapses, which are drawn now if they have not been."""
        return self._synapses

    def __len__(self) -> int:
        if "_synapses" in self.__dict__:
            return int(self._synapses.sources.size)
        degree = self.degree(self.pre.size, self.post.size)
        return (
            len(self._synapses.sources) if degree is None else round(degree.mean * self.post.size)
        )

    def store(self, edges: Edges) -> None:
        """Synapses that were changed: from now on they are these."""
        self._synapses, self._is_listed = edges, True

    def degree(self, n_pre: int, n_post: int) -> Degree | None:
        """In-degree from some of the sources of some of the targets; None if it must be drawn."""
        find = _DEGREES.get(type(self._made_by).__name__)
        if find is None or self._is_listed:
            return None
        excluded = itself(self._made_by, self.pre, self.post)
        if excluded is not None and not np.all(excluded >= 0):
            return None
        is_part = n_pre < self.pre.size or n_post < self.post.size
        if is_part and type(self._made_by).__name__ == "OneToOneConnector":
            return None
        all_of = find(self._made_by, self.pre.size - (excluded is not None), self.post.size)
        if all_of is None or n_pre == self.pre.size:
            return all_of
        share = n_pre / self.pre.size  # each synapse comes from these with this probability
        if type(self._made_by).__name__ == "AllToAllConnector":
            return Degree(share * all_of.mean, 0.0)
        return Degree(
            share * all_of.mean, share**2 * all_of.variance + share * (1 - share) * all_of.mean
        )

    def counted(self, pre: Any, post: Any) -> NDArray[np.int64]:
        """Synapses of each target neuron, which are drawn for that."""
        edges = self._synapses
        sources, targets = (
            _within(cells, whole) for cells, whole in ((self.pre, pre), (self.post, post))
        )
        kept = targets[edges.targets[np.isin(edges.sources, np.flatnonzero(sources >= 0))]]
        return np.bincount(kept[kept >= 0], minlength=post.size)

    def recipe(self) -> Recipe:
        """How the synapses are drawn.

        Raises
        ------
        UnsupportedError
            Where numbers do not say it: for lists, and for weights and delays that are computed.
        """
        kind = type(self._made_by).__name__
        if kind not in _ARGUMENTS or self._is_listed:
            raise UnsupportedError(
                f"projection {self.label} is made by {kind}"
                f"{' and was changed' if self._is_listed else ''}, which cannot be drawn again: "
                f"give it one of {', '.join(_ARGUMENTS)}"
            )
        arguments = {
            name: _plain(getattr(self._made_by, name), self.label) for name in _ARGUMENTS[kind]
        }
        space = self.synapse_type.parameter_space
        return Recipe(kind, arguments, *(_plain(space[n], self.label) for n in ("weight", "delay")))

    def values(self, name: str) -> Values:
        """Of the weights or delays; a weight is 0 for spikes that do not arrive."""
        found = self._values(name)
        if name != "weight" or not isinstance(self.synapse_type, SimpleStochasticSynapse):
            return found
        arrives = self.synapse_type.parameter_space["p"]
        if not is_number(arrives):
            raise UnsupportedError(
                f"a network cannot be described by expected numbers where p of projection "
                f"{self.label} is not one number"
            )
        p = number(arrives)
        return _thinned(found, p)

    def _values(self, name: str) -> Values:
        value = self.synapse_type.parameter_space[name]
        columns = getattr(self._made_by, "column_names", None) or ()
        listed = self._is_listed or name in columns
        if not listed and is_number(value):
            return _constant(number(value))
        if not listed and is_random(value):
            return _quantiles(value)
        edges = self._synapses
        found, counts = np.unique(
            edges.weights if name == "weight" else edges.delays, return_counts=True
        )
        return Values(found, counts / max(counts.sum(), 1))


def _plain(value: Any, label: str) -> Any:
    """A number or name as it is, and a distribution as its name and parameters."""
    if isinstance(value, bool | int | float | str | np.number):
        return value.item() if isinstance(value, np.number) else value
    if isinstance(value, LazyArray):
        if is_number(value):
            return number(value)
        if is_random(value) and not value.operations:
            value = value.base_value
    if isinstance(value, RandomDistribution) and all(map(np.isscalar, value.parameters.values())):
        parameters = {name: float(own) for name, own in value.parameters.items()}
        return {"name": value.name, "parameters": parameters}
    raise UnsupportedError(
        f"weights, delays and numbers of synapses of projection {label} must be numbers or "
        "distributions to be drawn again, and are computed"
    )


def _within(cells: Any, whole: Any) -> NDArray[np.int64]:
    """Index in a whole population of each cell of an assembly or view, -1 for other populations."""
    return np.concatenate(
        [index if part is whole else np.full(index.size, -1) for part, index in members(cells)]
    )


@cache  # not at each start: with threads that have no core it takes a second
def _gauss() -> tuple[F64, F64]:
    """Quantiles that stand for a distribution, from 0 to 1, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return (nodes + 1) / 2, weights / 2


@lru_cache(4096)
def _constant(value: float) -> Values:
    return Values(np.array([value]), np.ones(1))


@lru_cache(4096)
def _thinned(values: Values, probability: float) -> Values:
    """With zeros for what does not arrive."""
    return Values(
        np.append(values.values, 0.0),
        np.append(probability * values.probabilities, 1 - probability),
    )


def _quantiles(value: Any) -> Values:
    """Gauss's nodes of the quantile function: a distribution's moments are theirs."""
    drawn = value.base_value
    nodes, weights = _gauss()
    try:
        found = _quantiles_of(drawn.name, tuple(drawn.parameters.items()))
    except TypeError:  # parameters that are arrays
        found = Values(quantile_function(drawn)(nodes), weights)
    if not value.operations:
        return found
    return Values(computed(value, found.values), weights)


@lru_cache(4096)
def _quantiles_of(name: str, parameters: tuple[tuple[str, float], ...]) -> Values:
    """Of a distribution that many projections draw from."""
    nodes, weights = _gauss()
    drawn = quantile_function(RandomDistribution(name, **dict(parameters)))(nodes)
    return Values(np.asarray(drawn, float), weights)


def _binomial(trials: float, probability: float) -> Degree:
    return Degree(trials * probability, trials * probability * (1 - probability))


def _total(connector: Any, n_pre: int, n_post: int) -> Degree | None:
    if not isinstance(connector.n, int | np.integer):
        return None
    found = _binomial(int(connector.n), 1 / n_post)
    pairs = n_pre * n_post
    if connector.with_replacement or pairs < 2:
        return found
    return Degree(found.mean, found.variance * (pairs - connector.n) / (pairs - 1))


def _post(connector: Any, n_pre: int, n_post: int) -> Degree | None:
    if not isinstance(connector.n, int | np.integer):
        return None
    n = int(connector.n)
    if connector.with_replacement:
        return _binomial(n_pre * n, 1 / n_post)
    return _binomial(n_pre, n / n_post)


_DEGREES: Mapping[str, Callable[[Any, int, int], Degree | None]] = {
    "AllToAllConnector": lambda c, n_pre, n_post: Degree(n_pre, 0.0),
    "OneToOneConnector": lambda c, n_pre, n_post: Degree(1.0, 0.0) if n_pre == n_post else None,
    "FixedProbabilityConnector": lambda c, n_pre, n_post: _binomial(n_pre, c.p_connect),
    "FixedNumberPreConnector": lambda c, n_pre, n_post: (
        Degree(float(c.n), 0.0) if isinstance(c.n, int | np.integer) else None
    ),
    "FixedNumberPostConnector": _post,
    "FixedTotalNumberConnector": _total,
}
"""In-degree by connector, from the numbers of sources and targets; None where it is drawn."""

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "AllToAllConnector": ("allow_self_connections",),
    "OneToOneConnector": (),
    "FixedProbabilityConnector": ("p_connect", "allow_self_connections"),
    "FixedNumberPreConnector": ("n", "with_replacement", "allow_self_connections"),
    "FixedNumberPostConnector": ("n", "with_replacement", "allow_self_connections"),
    "FixedTotalNumberConnector": ("n", "with_replacement", "allow_self_connections"),
}
"""What makes a connector again."""

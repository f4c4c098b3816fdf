"""A PyNN namespace that draws no synapse where a formula says how many a neuron gets.

Where none does, as for a list, they are drawn as the core draws them, counted, and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
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
from ..neurons.celltype import cell_type, from_nestml
from ..neurons.form import Neuron
from ..neurons.standard import STANDARD, standard_type
from . import currents, namespace, population, projection, recorder, state
from .checks import LookedAt
from .draws import Edges, itself
from .expected import (
    DEGREES,
    Arriving,
    Degree,
    Values,
    constant,
    of_numbers,
    of_synapses,
    quantiles,
)
from .plasticity import plastic_types
from .population import same_names
from .synapses import check_signs
from .values import is_number, is_plain, is_random, members, number

SOURCES = (standard.SpikeSourcePoisson, standard.SpikeSourceArray)


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
    arrives : float
        The share of spikes that do.
    """

    connector: str
    arguments: Mapping[str, Any]
    weight: Any
    delay: Any
    arrives: float


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
    classes = {
        **namespace.bound(simulator, _Population, _Projection, recording),
        "SimpleStochasticSynapse": plastic_types(simulator.state)["SimpleStochasticSynapse"],
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
        find = DEGREES.get(type(self._made_by).__name__)
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

    def arriving(
        self, pre: Any, sources: NDArray[np.int64], post: Any, targets: NDArray[np.int64]
    ) -> tuple[Degree, Arriving]:
        """In-degree, and what arrives, from some cells of a population at some of another."""
        rates = None if pre.injectable else pre.parameters.get("rate")
        degree = self.degree(sources.size, targets.size)
        space = self.synapse_type.parameter_space["weight"]
        is_known = "_synapses" in self.__dict__  # somebody asked for them, as a CloneConnector does
        if degree is not None and not is_known and (is_number(space) or is_random(space)):
            known = None if rates is None else _values(rates, sources)
            excluded = itself(self._made_by, self.pre, self.post) is not None
            is_repeated = getattr(self._made_by, "with_replacement", False)
            choices = None if is_repeated else sources.size - excluded
            found = of_numbers(
                degree, self.values("weight"), arrives=self._arrives, rates=known, choices=choices
            )
            return degree, found
        edges = self._synapses
        first, last = (
            _within(cells, whole) for cells, whole in ((self.pre, pre), (self.post, post))
        )
        own = (first[edges.sources] >= 0) & (last[edges.targets] >= 0)
        first, last = first[edges.sources[own]], last[edges.targets[own]]
        counts = np.bincount(last, minlength=post.size)
        found = of_synapses(
            first, last, edges.weights[own], post.size, arrives=self._arrives, rates=rates
        )
        return Degree(float(counts.mean()), float(counts.var())), found

    @property
    def _arrives(self) -> float:
        """The share of spikes that do."""
        if not isinstance(self.synapse_type, SimpleStochasticSynapse):
            return 1.0
        share = self.synapse_type.parameter_space["p"]
        if not is_number(share):
            raise UnsupportedError(
                f"a network cannot be described by expected numbers where p of projection "
                f"{self.label} is not one number"
            )
        return number(share)

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
        weight, delay = (_plain(space[name], self.label) for name in ("weight", "delay"))
        return Recipe(kind, arguments, weight, delay, self._arrives)

    def values(self, name: str) -> Values:
        """Of the weights or delays."""
        value = self.synapse_type.parameter_space[name]
        columns = getattr(self._made_by, "column_names", None) or ()
        listed = self._is_listed or name in columns
        if not listed and is_number(value):
            return constant(number(value))
        if not listed and is_random(value):
            return quantiles(value)
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


def _values(rates: NDArray[Any], index: NDArray[np.int64]) -> Values:
    """Of some sources."""
    if rates.strides == (0,):  # kept once for all, who may be millions
        return constant(float(rates[0]))
    found, counts = np.unique(np.asarray(rates, float)[index], return_counts=True)
    return Values(found, counts / counts.sum())


def _within(cells: Any, whole: Any) -> NDArray[np.int64]:
    """Index in a whole population of each cell of an assembly or view, -1 for other populations."""
    return np.concatenate(
        [index if part is whole else np.full(index.size, -1) for part, index in members(cells)]
    )


_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "AllToAllConnector": ("allow_self_connections",),
    "OneToOneConnector": (),
    "FixedProbabilityConnector": ("p_connect", "allow_self_connections"),
    "FixedNumberPreConnector": ("n", "with_replacement", "allow_self_connections"),
    "FixedNumberPostConnector": ("n", "with_replacement", "allow_self_connections"),
    "FixedTotalNumberConnector": ("n", "with_replacement", "allow_self_connections"),
}
"""What makes a connector again."""

"""A network in expected numbers: populations, in-degrees, weights, delays, without a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from ..host.clock import Clock
from ..models.loader import Model
from .expected import Arriving, Degree, Values
from .undrawn import State, namespace_of
from .values import members
from .watching import build_network

FOREVER = 1e6  # ms: a source that fires so long is stationary
F64 = NDArray[np.float64]


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
    arriving : Arriving
        For each spike/s of the source; of a Poisson source, with its rates.
    """

    label: str
    source: int
    target: int
    receptor: str
    in_degree: Degree
    weights: Values
    delays: Values
    to_all: bool
    arriving: Arriving


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
            degree, arriving = made.arriving(pre, pre_index, post, post_index)
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
                    arriving,
                )
            )
    return [s for s in found if s.in_degree.mean > 0]

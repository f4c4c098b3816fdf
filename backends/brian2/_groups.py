"""Where the cells of a described network are in Brian2's groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from portable_cortex.pynn.values import members

if TYPE_CHECKING:
    from ._injection import Injection

Array = np.ndarray[Any, Any]

MS = 1e-3


@dataclass
class Cells:
    """Populations that are one Brian2 group.

    Attributes
    ----------
    offsets : dict of int to int
        First cell of each population, by the population's ``id()``.
    stamp : int
        Steps from the time that Brian2 writes to that of the spike.
    is_sent_then : bool
        Whether Brian2 sends spikes in the step that begins when they are fired, not in that which
        ends then.
    group : brian2.Group
    spikes : brian2.SpikeMonitor or None
    signals : dict of (str, int) to (brian2.StateMonitor, array)
        By variable and sampling interval (steps); with the recorded cells.
    """

    populations: list[Any]
    stamp: int
    is_sent_then: bool
    offsets: dict[int, int] = field(init=False)
    size: int = field(init=False)
    group: Any = None
    spikes: Any = None
    signals: dict[tuple[str, int], tuple[Any, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = [population.size for population in self.populations]
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self.size = starts.pop()
        self.offsets = {id(p): start for p, start in zip(self.populations, starts, strict=True)}

    def values(self, name: str) -> Array:
        """A parameter of all cells, in PyNN's units."""
        return np.concatenate([p.parameters[name] for p in self.populations])

    def called(self, variable: str) -> str:
        """The name of a variable in Brian2."""
        return f"{self.populations[0].celltype.prefix}{variable}"


class Route(NamedTuple):
    """What synapses have in common that are one Brian2 object: ends, receptor, kind, and its name.

    Static ones have no kind.
    """

    pre: Cells
    post: Cells
    receptor: str
    kind: str
    name: str

    @property
    def variable(self) -> str:
        """What a spike adds to."""
        return str(self.post.populations[0].celltype.receptors[self.receptor])


@dataclass(frozen=True)
class Pathway:
    """Synapses between two groups.

    Attributes
    ----------
    synapses : brian2.Synapses
    pre, post : Cells
    variable : str
        What a spike adds to.
    scale : float
        What a weight of 1 is in SI.
    """

    synapses: Any
    pre: Cells
    post: Cells
    variable: str
    scale: float


@dataclass(frozen=True)
class Plastic:
    """Plastic synapses between two groups.

    Attributes
    ----------
    synapses : brian2.Synapses
    parts : list of (Projection, array)
        Numbers of a projection's synapses, in the order of `synapses`.
    """

    synapses: Any
    parts: list[tuple[Any, Array]]


@dataclass
class Lowered:
    """A network in Brian2's objects.

    Attributes
    ----------
    step : int
        Where it begins.
    drives : list of Projection
        Those whose spikes are drawn where they arrive.
    """

    network: Any
    cells: list[Cells]
    clock: Any
    injection: Injection
    step: int
    drives: list[Any]
    pathways: list[Pathway] = field(default_factory=list)
    plastic: list[Plastic] = field(default_factory=list)

    def home(self, population: Any) -> Cells | None:
        """Where a population is; None for Poisson sources that are part of their targets."""
        return next((c for c in self.cells if id(population) in c.offsets), None)


def common(values: Array) -> float | None:
    """The value that all have, or None."""
    return float(values[0]) if values.size and np.all(values == values[0]) else None


def parents(cells: Any) -> list[int]:
    """Populations behind a population, view or assembly, by ``id()``."""
    return [id(population) for population, _ in members(cells)]


def located(lowered: Lowered, cells: Any, index: Array) -> list[tuple[Cells, Array, Array]]:
    """Which of the indices are in which group, and where in it."""
    parts = members(cells)
    found = []
    start = 0
    for population, within in parts:
        home = lowered.home(population)
        assert home is not None
        own: Any = (
            slice(None) if len(parts) == 1 else (index >= start) & (index < start + within.size)
        )
        position = within[index[own] - start].astype(np.int32) + home.offsets[id(population)]
        found.append((home, own, position))
        start += within.size
    return found


def along(
    route: Route, projection: Any, lowered: Lowered
) -> Iterator[tuple[Array, Array, Callable[[Array], Array]]]:
    """Synapses of a projection that take a route, some at a time.

    Where their sources and targets are in the groups, and a function that takes their values out of
    those of all synapses of the projection.
    """
    for home, own_post, targets in located(lowered, projection.post, projection.targets):
        if home is not route.post:
            continue
        sources = projection.sources[own_post]
        for source_home, own_pre, positions in located(lowered, projection.pre, sources):
            if source_home is route.pre:
                yield positions, targets[own_pre], _taken(own_post, own_pre)


def _taken(own_post: Any, own_pre: Any) -> Callable[[Array], Array]:
    return lambda values: np.asarray(values[own_post][own_pre])

"""Where the cells of a described network are in Brian2's groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._injection import Injection

Array = np.ndarray[Any, Any]


@dataclass
class Cells:
    """Populations that are one Brian2 group.

    Attributes
    ----------
    offsets : dict of int to int
        First cell of each population, by the population's ``id()``.
    stamp : int
        Steps from the time that Brian2 writes to that of the spike.
    group : brian2.Group
    spikes : brian2.SpikeMonitor or None
    signals : dict of (str, int) to (brian2.StateMonitor, array)
        By variable and sampling interval (steps); with the recorded cells.
    """

    populations: list[Any]
    stamp: int
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

    def values(self, name: str, default: float = 0.0) -> Array:
        """A parameter of all cells, in PyNN's units."""
        return np.concatenate([p.parameters[name] for p in self.populations])


@dataclass
class Lowered:
    """A network in Brian2's objects."""

    network: Any
    cells: list[Cells]
    clock: Any
    injection: Injection

    def home(self, population: Any) -> Cells | None:
        """Where a population is; None for Poisson sources that are part of their targets."""
        return next((c for c in self.cells if id(population) in c.offsets), None)


def common(values: Array) -> float | None:
    """The value that all have, or None."""
    return float(values[0]) if values.size and np.all(values == values[0]) else None


def parts(cells: Any) -> list[tuple[Any, Array]]:
    """A population, view or assembly as populations, each with the indices in it."""
    members = getattr(cells, "populations", [cells])
    return [
        (getattr(m, "grandparent", m), _index_in_population(m, np.arange(m.size))) for m in members
    ]


def _index_in_population(member: Any, index: Array) -> Array:
    if hasattr(member, "index_in_grandparent"):
        return np.asarray(member.index_in_grandparent(index))
    return index


def parents(cells: Any) -> list[int]:
    return [id(population) for population, _ in parts(cells)]


def located(lowered: Lowered, cells: Any, index: Array) -> list[tuple[Cells, Array, Array]]:
    """Which of the indices are in which group, and where in it."""
    members_of = parts(cells)
    found = []
    start = 0
    for population, members in members_of:
        home = lowered.home(population)
        assert home is not None
        own: Any = (
            slice(None)
            if len(members_of) == 1
            else (index >= start) & (index < start + members.size)
        )
        position = members[index[own] - start].astype(np.int32) + home.offsets[id(population)]
        found.append((home, own, position))
        start += members.size
    return found

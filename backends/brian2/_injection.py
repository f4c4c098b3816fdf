"""Injected currents: the core computes them for a piece of a run, the network reads the table.

Cells that receive the same currents share a column, so that the table has one number for each step
and kind of cell, and the sum over the currents is taken once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._groups import Array, Cells

LARGEST_TABLE = 1 << 20  # numbers
NA = 1e-9


@dataclass(frozen=True)
class Piece:
    """Currents of some steps.

    Attributes
    ----------
    first : int
        The first of the steps.
    table : array, shape (steps, columns)
        Sums, A.
    waves : array, shape (sources, steps)
        Each source's amplitude, nA.
    """

    first: int
    table: Array
    waves: Array

    @property
    def steps(self) -> int:
        """How many steps."""
        return int(self.table.shape[0])


class Injection:
    """All currents into a network's cells.

    Attributes
    ----------
    groups : list of (Cells, array, array)
        Groups that receive currents, with the cells and each cell's column of the table.
    """

    def __init__(self, sources: list[Any], cells: list[Cells]) -> None:
        self._sources = list(sources)
        columns: dict[tuple[int, ...], int] = {}
        self.groups: list[tuple[Cells, Array, Array]] = []
        for group in cells:
            received: dict[int, tuple[int, ...]] = {}
            for number, source in enumerate(self._sources):
                for index in _positions(source, group):
                    received[index] = (*received.get(index, ()), number)
            if received:
                column = [columns.setdefault(kind, len(columns)) for kind in received.values()]
                self.groups.append(
                    (group, np.array(list(received), np.int32), np.array(column, np.int32))
                )
        self._kinds = list(columns)

    @property
    def columns(self) -> int:
        """Of the table."""
        return len(self._kinds)

    def into(self, cells: Cells) -> bool:
        """Whether a group receives currents."""
        return any(group is cells for group, _, _ in self.groups)

    def pieces(self, first: int, steps: int) -> Iterator[Piece]:
        """The currents of a run, some steps at a time."""
        width = len(self._kinds) + len(self._sources)
        most = max(1, LARGEST_TABLE // width) if width else steps
        for start in range(first, first + steps, most):
            stop = min(start + most, first + steps)
            waves = np.array([source.waveform(start, stop) for source in self._sources])
            waves = waves.reshape(len(self._sources), stop - start)
            table = np.empty((stop - start, len(self._kinds)))
            for column, kind in enumerate(self._kinds):
                table[:, column] = waves[list(kind)].sum(axis=0) * NA
            yield Piece(start, table, waves)

    def keep(self, piece: Piece) -> None:
        """What is recorded of the sources is what was injected."""
        for source, wave in zip(self._sources, piece.waves, strict=True):
            source.take(wave)


def _positions(source: Any, group: Cells) -> list[int]:
    """Where in a group the cells of a current source are."""
    cells = np.array(source.cells, np.int64)
    positions: list[int] = []
    for population in group.populations:
        index = cells - int(population.first_id)
        own = index[(index >= 0) & (index < population.size)]
        positions += (own + group.offsets[id(population)]).tolist()
    return positions

"""Which chips a machine has, what their links lead to, and which board each belongs to.

Boards of 48 chips are hexagons of the triangular mesh; three of them tile 12 x 12 chips. As in
SpiNNMachine's version 5: one board (8 x 8), or multiples of three, closed to a torus (width and
height multiples of 12) or open (4 more).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from portable_cortex.errors import InvalidValueError

Place = tuple[int, int]

LINKS: tuple[Place, ...] = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
_ROWS_48 = ((0, 4), (0, 5), (0, 6), (0, 7), (1, 7), (2, 7), (3, 7), (4, 7))
_BOARDS_OF_TRIAD: tuple[Place, ...] = ((0, 0), (4, 8), (8, 4))

HERE, NOWHERE = 7, 6  # routes in a point-to-point table, beside the links


@dataclass(frozen=True)
class Geometry:
    """Chips of a machine.

    Attributes
    ----------
    width, height : int
        Chips in the bounding box.
    ethernet : dict
        For each chip, by (x, y), the Ethernet chip of its board.
    """

    width: int
    height: int
    ethernet: dict[Place, Place]
    torus: bool

    @cached_property
    def places(self) -> list[Place]:
        """All chips."""
        return sorted(self.ethernet)

    @cached_property
    def boards(self) -> list[Place]:
        """The Ethernet chip of each board; the first is (0, 0)."""
        return sorted(set(self.ethernet.values()))

    def neighbour(self, place: Place, link: int) -> Place | None:
        """The chip behind a link, if there is one."""
        x, y = place[0] + LINKS[link][0], place[1] + LINKS[link][1]
        if self.torus:
            x, y = x % self.width, y % self.height
        return (x, y) if (x, y) in self.ethernet else None

    @cached_property
    def neighbours(self) -> npt.NDArray[np.int32]:
        """Index in `places` of the chip behind each link, or -1; shape (chips, 6)."""
        index = {place: i for i, place in enumerate(self.places)}
        found = [[self.neighbour(place, link) for link in range(6)] for place in self.places]
        return np.array([[-1 if n is None else index[n] for n in row] for row in found], np.int32)

    @cached_property
    def next_hops(self) -> npt.NDArray[np.uint8]:
        """First link of a shortest way from each chip to each, by index; 7 on the diagonal."""
        n = len(self.places)
        hops = np.full((n, n), NOWHERE, np.uint8)
        for target in range(n):
            hops[target, target] = HERE
            waiting = deque([target])
            while waiting:
                at = waiting.popleft()
                for link in range(6):
                    behind = self.neighbours[at, link]
                    if behind >= 0 and hops[behind, target] == NOWHERE and behind != target:
                        hops[behind, target] = (link + 3) % 6
                        waiting.append(behind)
        return hops

    def p2p_table(self, place: int) -> npt.NDArray[np.uint32]:
        """The point-to-point routing table of a chip: 65536 routes of 3 bits, 8 to a word."""
        routes = np.full(65536, NOWHERE, np.uint32)
        for i, (x, y) in enumerate(self.places):
            routes[x << 8 | y] = self.next_hops[place, i]
        packed = routes.reshape(-1, 8) << np.arange(0, 24, 3, dtype=np.uint32)
        words: npt.NDArray[np.uint32] = packed.sum(axis=1).astype(np.uint32)
        return words


def geometry(version: int, width: int | None = None, height: int | None = None) -> Geometry:
    """Chips of a machine of boards of a version.

    Parameters
    ----------
    version : int
        3: a board of 4 chips; 5: boards of 48 chips.
    width, height : int, optional
        Chips in the bounding box: one board unless given. 1 and 1: a board with one working chip.

    Raises
    ------
    InvalidValueError
        If there is no such machine.

    Examples
    --------
    >>> len(geometry(5).places), len(geometry(5, 16, 16).boards)
    (48, 3)
    """
    if version not in (3, 5):
        raise InvalidValueError(
            f"version must be 3 (a board of 4 chips) or 5 (boards of 48), not {version!r}"
        )
    one = 2 if version == 3 else 8
    w, h = one if width is None else width, one if height is None else height
    if (w, h) == (1, 1):
        return Geometry(1, 1, {(0, 0): (0, 0)}, torus=False)
    if version == 3:
        if (w, h) != (2, 2):
            raise InvalidValueError(f"a version 3 board is 2 x 2 chips (or 1 x 1), not {w} x {h}")
        return Geometry(2, 2, {(x, y): (0, 0) for x in range(2) for y in range(2)}, torus=False)
    if (w, h) == (8, 8):
        return Geometry(8, 8, dict.fromkeys(_board(), (0, 0)), torus=False)
    torus = w % 12 == 0 and h % 12 == 0 and w > 0 and h > 0
    if not torus and not (w > 12 and h > 12 and w % 12 == 4 and h % 12 == 4):
        raise InvalidValueError(
            "version 5 machines are 8 x 8 chips (one board), multiples of 12 x 12 (closed), or "
            f"multiples of 12 and 4 more (16 x 16: three boards, open), not {w} x {h}"
        )
    ethernet = {}
    for x0 in range(0, w if torus else w - 4, 12):
        for y0 in range(0, h if torus else h - 4, 12):
            for dx, dy in _BOARDS_OF_TRIAD:
                root = (x0 + dx, y0 + dy)
                for x, y in _board():
                    place = (root[0] + x, root[1] + y)
                    if torus:
                        place = (place[0] % w, place[1] % h)
                    ethernet[place] = root
    return Geometry(w, h, ethernet, torus)


def _board() -> list[Place]:
    return [(x, y) for y, (low, high) in enumerate(_ROWS_48) for x in range(low, high + 1)]

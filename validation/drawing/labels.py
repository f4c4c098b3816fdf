"""Where to write the labels of a scatter plot, so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

FARTHEST, STEP = 80, 6  # how far from its point a label may be, and how finely it is moved


class Box(NamedTuple):
    """A rectangle."""

    x0: float
    y0: float
    x1: float
    y1: float

    def common_area(self, other: Box) -> float:
        """The area that two rectangles share.

        Examples
        --------
        >>> Box(0, 0, 2, 2).common_area(Box(1, 1, 3, 3))
        1
        """
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(0, width) * max(0, height)


class Position(NamedTuple):
    """Where a label stands.

    Attributes
    ----------
    dx, dy : float
        From its point to the middle of its height, at the end that `align` names.
    align : {"left", "center", "right"}
        Which end of the label that is.
    """

    dx: float
    dy: float
    align: str


SHIFT = {"left": 0.0, "center": 0.5, "right": 1.0}  # of the left end, in widths


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    taken: Iterable[Box],
    inside: Box,
) -> list[Position]:
    """Place labels one after the other, each where it covers least.

    Parameters
    ----------
    points : sequence of (x, y)
        What is labelled, most important first.
    sizes : sequence of (width, height)
        Of the labels.
    taken : iterable of Box
        What they should not cover.
    inside : Box
        What they should not leave.

    Examples
    --------
    >>> page = Box(0, 0, 100, 100)
    >>> place_labels([(50, 50), (50, 50)], [(30, 10), (30, 10)], [], page)
    [Position(dx=11, dy=0, align='left'), Position(dx=-11, dy=0, align='right')]
    """
    covered, positions = list(taken), []
    candidates = [
        Position(dx, dy, align)
        for distance in range(0, FARTHEST, STEP)
        for dx, dy, align in (
            (11, -distance, "left"), (11, distance, "left"),
            (-11, -distance, "right"), (-11, distance, "right"),
            (0, 14 + distance, "center"), (0, -14 - distance, "center"),
        )
    ]  # fmt: skip
    for point, size in zip(points, sizes, strict=True):
        costs = []
        for candidate in candidates:
            box = _box(point, size, candidate)
            outside = (box.x1 - box.x0) * (box.y1 - box.y0) - box.common_area(inside)
            costs.append(sum(box.common_area(other) for other in covered) + 3 * outside)
            if costs[-1] < 1e-9:
                break
        best = candidates[costs.index(min(costs))]
        covered.append(_box(point, size, best))
        positions.append(best)
    return positions


def _box(point: tuple[float, float], size: tuple[float, float], position: Position) -> Box:
    """What a label covers, and a margin of 1."""
    left = point[0] + position.dx - SHIFT[position.align] * size[0]
    middle = point[1] + position.dy
    return Box(left - 1, middle - size[1] / 2 - 1, left + size[0] + 1, middle + size[1] / 2 + 1)

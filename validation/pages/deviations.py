"""How far the means of several backends are from a reference's, as a picture."""

from __future__ import annotations

from dataclasses import dataclass

from ..activity import STATISTICS
from ..drawing import Axis, Tick, round_numbers
from ..scoreboard import Row, Scoreboard
from ..verdict import Test, describe

ROW, ACROSS = 22.0, 300.0  # height of a row of deviations, and width of all
FARTHEST = 3.0  # times the largest detectable change: what is farther stands at the edge


@dataclass(frozen=True)
class Point:
    """One backend's mean.

    Attributes
    ----------
    number : int
        Of the backend, from 1.
    x, y : float
    text : str
        The test in words.
    differs : bool
    """

    number: int
    x: float
    y: float
    text: str
    differs: bool


@dataclass(frozen=True)
class Deviations:
    """How far means are from the reference's, in standard deviations between its seeds.

    Attributes
    ----------
    title : str
    labels : tuple of (str, float)
        Populations, and the height at which each stands.
    bands : tuple of (float, float, float)
        Left end, width and height of what would not have been seen.
    points : tuple of Point
    ticks : tuple of Tick
    zero, height : float
        Where the reference's mean is; of the picture.
    """

    title: str
    labels: tuple[tuple[str, float], ...]
    bands: tuple[tuple[float, float, float], ...]
    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    zero: float
    height: float


def means_of(row: Row, statistic: str) -> dict[str, Test]:
    """The tests of a statistic's mean, by population, as far as seeds calibrate them."""
    return {
        test.population: test
        for test in row.validation.comparison.tests
        if (test.statistic, test.kind) == (statistic, "mean") and test.spread > 0
    }


def populations_of(board: Scoreboard) -> tuple[str, ...]:
    """Of all backends.

    Examples
    --------
    >>> populations_of(Scoreboard(()))
    ()
    """
    activities = (row.validation.activity for row in board.rows)
    return tuple(dict.fromkeys(p for a in activities if a is not None for p in a.n_neurons))


def deviations(board: Scoreboard, statistic: str) -> Deviations:
    """The means of all backends in one picture.

    Examples
    --------
    >>> deviations(Scoreboard(()), "rate").points
    ()
    """
    tests = [means_of(row, statistic) for row in board.rows]
    populations = [p for p in populations_of(board) if any(p in of for of in tests)]
    unseen = {
        p: max((of[p].detectable or 0.0) / of[p].spread for of in tests if p in of)
        for p in populations
    }
    distances = [abs(t.value - t.expected) / t.spread for of in tests for t in of.values()]
    seen = sorted(unseen.values()) or [1.0]
    # A population that hardly fires has a spread of next to nothing: it does not scale the others.
    widest = max(min(seen[-1], FARTHEST * seen[(len(seen) - 1) // 2]), 1.0)
    end = 1.1 * max(widest, min(max(distances, default=1.0), FARTHEST * widest))
    axis = Axis(-end, end, ACROSS)
    points = tuple(
        Point(
            k,
            axis.at((test.value - test.expected) / test.spread),
            round(ROW * (row + (k - 0.5) / max(1, len(tests)) * 0.8 + 0.1), 2),
            describe(test),
            test.differs,
        )
        for row, population in enumerate(populations)
        for k, of in enumerate(tests, 1)
        if (test := of.get(population)) is not None
    )
    title = STATISTICS[statistic].title
    return Deviations(
        title,
        tuple((p, ROW * (row + 0.5)) for row, p in enumerate(populations)),
        tuple(
            (axis.at(-x), round(axis.at(x) - axis.at(-x), 2), ROW * row)
            for row, x in enumerate(unseen.values())
        ),
        points,
        tuple(Tick(axis.at(x), f"{x:g}") for x in round_numbers(-end, end, 6)),
        axis.at(0.0),
        ROW * len(populations),
    )

"""The published times and energies, with one's own runs as stars, for the page's SVG.

All lengths are in the units of a chart, `WIDTH` by `HEIGHT`, with y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .labels import Box, place
from .literature import UserRun, published_runs
from .panels import Axis, Tick, round_numbers

WIDTH, HEIGHT = 560.0, 400.0
LETTER, LINE = 5.6, 12.0  # width of a letter and height of a label, at the page's font size
OWN = "own"  # the family of one's own runs
MARKERS = {  # paths around a point
    "cpu": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "gpu": "M-4.5 -4.5h9v9h-9z",
    "fpga": "M0 -6l6 6l-6 6l-6 -6z",
    "spinnaker": "M0 -6l5.7 10.4h-11.4z",
    OWN: "M0 -9l2.1 6.1h6.5l-5.2 3.9l1.9 6.3l-5.3 -3.8l-5.3 3.8l1.9 -6.3l-5.2 -3.9h6.5z",
}
ANCHORS = {"left": "start", "center": "middle", "right": "end"}  # SVG's words


@dataclass(frozen=True)
class Mark:
    """One measurement and its label.

    Attributes
    ----------
    x, y : float
    family : str
        One of `FAMILIES` in lower case, or `OWN`.
    comparable : bool
        False for one's own run of another network.
    label, text : str
        The label, and more about it.
    label_x, label_y : float
    anchor : {"start", "middle", "end"}
        Which part of the label is at `label_x`.
    """

    x: float
    y: float
    family: str
    comparable: bool
    label: str
    text: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class Chart:
    """Real-time factor against something.

    Attributes
    ----------
    title, x_label : str
    marks : tuple of Mark
    x_ticks, y_ticks : tuple of Tick
    real_time : float
        Where the real-time factor is 1.
    """

    title: str
    x_label: str
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    real_time: float


@dataclass(frozen=True)
class _Point:
    x: float | None
    rtf: float
    family: str
    label: str
    text: str
    comparable: bool = True


def charts(runs: Sequence[UserRun], comparable: bool) -> tuple[Chart, Chart]:
    """Real-time factor against energy per synaptic event, and against year.

    Parameters
    ----------
    runs : sequence of UserRun
        One's own; those without an energy are in the second chart only.
    comparable : bool
        Whether they are of the network that was published.

    Examples
    --------
    >>> by_energy, by_year = charts([UserRun("mine", 0.5, None, 2026)], True)
    >>> len(by_energy.marks), len(by_year.marks)
    (13, 15)
    """
    published = published_runs()
    by_energy, by_year = (
        [_own(run, x, comparable) for run, x in zip(runs, own, strict=True)]
        + [
            _Point(x, p.rtf, p.family.lower(), p.label, f"{p.system}; {p.drive}; {p.note}")
            for p, x in zip(published, others, strict=True)
        ]
        for own, others in (
            (
                [run.energy_per_synaptic_event_uj for run in runs],
                [run.energy_per_synaptic_event_uj for run in published],
            ),
            ([run.year for run in runs], [run.year for run in published]),
        )
    )
    return (
        _chart(
            "Time and energy: lower left is better", "energy per synaptic event (µJ)", by_energy
        ),
        _chart("Time by year", "year", by_year),
    )


def _own(run: UserRun, x: float | None, comparable: bool) -> _Point:
    return _Point(x, run.rtf, OWN, run.label, run.energy_label, comparable)


def _chart(title: str, x_label: str, points: Iterable[_Point], up: Axis) -> Chart:
    shown = [p for p in points if p.x is not None and p.x > 0 and p.rtf > 0]
    logarithmic = x_label != "year"
    xs = [math.log10(p.x or 1) if logarithmic else float(p.x or 0) for p in shown]
    ys = [math.log10(p.rtf) for p in shown]
    across = Axis(*_ends(xs, 0.14), WIDTH)
    at = [(across.at(x), HEIGHT - up.at(y)) for x, y in zip(xs, ys, strict=True)]
    real_time = HEIGHT - up.at(0.0)
    sizes = [(LETTER * len(p.label) * (1.15 if p.family == OWN else 1), LINE) for p in shown]
    taken = [Box(x - 8, y - 8, x + 8, y + 8) for x, y in at]
    taken += [Box(0, real_time - 1, WIDTH, real_time + 1), Box(0, real_time - LINE, 55, real_time)]
    places = place(at, sizes, taken, Box(0, 0, WIDTH, HEIGHT))
    marks = tuple(
        Mark(
            *position, p.family, p.comparable, p.label, p.text,
            round(position[0] + where.dx, 1), round(position[1] + where.dy, 1),
            ANCHORS[where.align],
        )
        for p, position, where in zip(shown, at, places, strict=True)
    )  # fmt: skip
    return Chart(
        title,
        x_label,
        marks,
        tuple(_powers(across))
        if logarithmic
        else tuple(Tick(across.at(x), f"{x:g}") for x in round_numbers(across.low, across.high, 6)),
        tuple(Tick(round(HEIGHT - tick.at, 2), tick.label) for tick in _powers(up)),
        real_time,
    )


def _ends(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low - margin * (high - low), high + margin * (high - low)


def _powers(axis: Axis) -> Iterable[Tick]:
    """Ticks at 1, 2 and 5 times powers of ten where there is room, else at the powers."""
    first, last = math.floor(axis.low), math.ceil(axis.high)
    factors = (1, 2, 5) if axis.high - axis.low < 3.5 else (1,)
    for power in range(first, last + 1):
        for factor in factors:
            value = power + math.log10(factor)
            if axis.low <= value <= axis.high:
                yield Tick(axis.at(value), f"{factor * 10.0**power:g}")

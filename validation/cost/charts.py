"""The published times and energies, with one's own runs as stars, for the page's SVG.

All lengths are in the units of a chart, `CHART_WIDTH` by `CHART_HEIGHT`, with y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..drawing import Axis, Box, Tick, place_labels, round_numbers
from .literature import PublishedRun, UserRun, published_runs

CHART_WIDTH, CHART_HEIGHT = 560.0, 400.0
LETTER, LINE = 5.6, 12.0  # width of a letter and height of a label, at the page's font size
USER = "user"  # the family of one's own runs
MARKERS = {  # paths around a point
    "cpu": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "gpu": "M-4.5 -4.5h9v9h-9z",
    "fpga": "M0 -6l6 6l-6 6l-6 -6z",
    "spinnaker": "M0 -6l5.7 10.4h-11.4z",
    USER: "M0 -9l2.1 6.1h6.5l-5.2 3.9l1.9 6.3l-5.3 -3.8l-5.3 3.8l1.9 -6.3l-5.2 -3.9h6.5z",
}
ANCHORS = {"left": "start", "center": "middle", "right": "end"}  # SVG's words


@dataclass(frozen=True)
class Mark:
    """One measurement and its label.

    Attributes
    ----------
    x, y : float
    family : str
        One of `FAMILIES` in lower case, or `USER`.
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
    energy: float | None
    year: float
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
    (14, 16)
    """
    points = [
        _Point(
            r.energy_per_synaptic_event_uj, r.year, r.rtf, USER, r.label, r.energy_label, comparable
        )
        for r in runs
    ] + [
        _Point(
            r.energy_per_synaptic_event_uj, r.year, r.rtf, r.family.lower(), r.label,
            "; ".join(part for part in (r.system, r.drive, _core_seconds(r), r.note) if part),
        )
        for r in published_runs()
    ]  # fmt: skip
    points = [point for point in points if point.rtf > 0]
    up = Axis(*_ends([0.0, *(math.log10(point.rtf) for point in points)], 0.08), CHART_HEIGHT)
    known = [(math.log10(p.energy), p) for p in points if p.energy is not None and p.energy > 0]
    return (
        _chart(
            "Time and energy: lower left is better", "energy per synaptic event (µJ)", up, known
        ),
        _chart("Time by year", "year", up, [(p.year, p) for p in points]),
    )


def _core_seconds(run: PublishedRun) -> str:
    return "" if run.core_seconds is None else f"{run.core_seconds:.0f} core-seconds per s"


def _chart(title: str, x_label: str, up: Axis, points: Sequence[tuple[float, _Point]]) -> Chart:
    logarithmic = x_label != "year"
    xs, shown = [x for x, _ in points], [point for _, point in points]
    across = Axis(*_ends(xs, 0.14), CHART_WIDTH)
    at = [(across.at(x), round(CHART_HEIGHT - up.at(math.log10(p.rtf)), 2)) for x, p in points]
    real_time = round(CHART_HEIGHT - up.at(0.0), 2)
    sizes = [(LETTER * len(p.label) * (1.15 if p.family == USER else 1), LINE) for p in shown]
    taken = [Box(x - 8, y - 8, x + 8, y + 8) for x, y in at]
    taken += [
        Box(0, real_time - 1, CHART_WIDTH, real_time + 1),
        Box(0, real_time - LINE, 55, real_time),
    ]
    positions = place_labels(at, sizes, taken, Box(0, 0, CHART_WIDTH, CHART_HEIGHT))
    marks = tuple(
        Mark(
            *point, p.family, p.comparable, p.label, p.text,
            round(point[0] + position.dx, 1), round(point[1] + position.dy, 1),
            ANCHORS[position.align],
        )
        for p, point, position in zip(shown, at, positions, strict=True)
    )  # fmt: skip
    return Chart(
        title,
        x_label,
        marks,
        tuple(_powers(across))
        if logarithmic
        else tuple(Tick(across.at(x), f"{x:g}") for x in round_numbers(across.low, across.high, 6)),
        tuple(Tick(round(CHART_HEIGHT - tick.at, 2), tick.label) for tick in _powers(up)),
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

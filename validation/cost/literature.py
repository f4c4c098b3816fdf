"""Published time and energy of the full-scale microcircuit, and the picture with one's own runs."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from ..drawing import Box, place
from .accounting import Cost, Run, cost_of, metadata_of

FAMILIES: Mapping[str, tuple[str, str]] = {  # marker and colour
    "CPU": ("o", "#1f4e9c"),
    "GPU": ("s", "#3a8f3a"),
    "FPGA": ("D", "#7b3fa0"),
    "SpiNNaker": ("^", "#d9820f"),
}
STAR = "#c0392b"
CAPTION = (
    "Published: full scale; what their energies cover differs, see the papers. "
    "Runs below full scale are not comparable with them."
)


@dataclass(frozen=True)
class PublishedRun:
    """One published measurement of the full-scale network.

    Attributes
    ----------
    key, authors : str
    year : int
    doi : str
    system, architecture : str
        Processor or board, and what ran on it, e.g. ``"NEST CPU"``.
    nodes, process_nm : int
    drive : str
        ``"DC"`` or ``"Poisson"``.
    rtf : float
        Real-time factor of the simulate phase.
    energy_per_synaptic_event_uj : float or None
        uJ.
    note : str
    label : str
        Authors, year and, where that is not unique, what tells it from the others.
    """

    key: str
    authors: str
    year: int
    doi: str
    system: str
    architecture: str
    nodes: int
    process_nm: int
    drive: str
    rtf: float
    energy_per_synaptic_event_uj: float | None
    note: str
    label: str

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        return self.architecture.split()[-1]


@dataclass(frozen=True)
class UserRun:
    """One's own run, as a star in the picture.

    Attributes
    ----------
    label : str
    rtf : float
        Real-time factor of the simulate phase.
    energy_per_synaptic_event_uj : float or None
        uJ; None leaves it out of the energy panel.
    year : int
    energy_label : str
        Kind and scope of the energy, e.g. ``"measured, outlet"``.
    """

    label: str
    rtf: float
    energy_per_synaptic_event_uj: float | None
    year: int
    energy_label: str = ""


def published_runs() -> tuple[PublishedRun, ...]:
    """All published measurements that the package knows, oldest first.

    Examples
    --------
    >>> min(published_runs(), key=lambda run: run.rtf).label
    'Kauth et al. 2023'
    """
    source = resources.files(__package__) / "data" / "published_performance.csv"
    with source.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    together = defaultdict(list)
    for row in rows:
        together[row["authors"], row["year"]].append(row)
    return tuple(
        PublishedRun(
            key=row["key"],
            authors=row["authors"],
            year=int(row["year"]),
            doi=row["doi"],
            system=row["system"],
            architecture=row["architecture"],
            nodes=int(row["nodes"]),
            process_nm=int(row["process_nm"]),
            drive=row["drive"],
            rtf=float(row["rtf"]),
            energy_per_synaptic_event_uj=_optional(row["energy_per_synaptic_event_uJ"]),
            note=row["note"],
            label=_label(row, together[row["authors"], row["year"]]),
        )
        for row in rows
    )


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _label(row: Mapping[str, str], like: Sequence[Mapping[str, str]]) -> str:
    """Authors and year, and the first column that tells it from others of the same."""
    name = f"{row['authors']} {row['year']}"
    if len(like) == 1:
        return name
    for column, text in (
        ("architecture", row["architecture"]),
        ("drive", row["drive"]),
        ("nodes", f"{row['nodes']} node" + "s" * (row["nodes"] != "1")),
    ):
        if len({other[column] for other in like}) == len(like):
            return f"{name}, {text}"
    return f"{name}, {row['key']}"


def user_run(run: Run, cost: Cost | None = None, label: str | None = None) -> UserRun:
    """The star of a run.

    Parameters
    ----------
    run : Recording or dict
        The run, or the contents of its ``run.json``.
    cost : Cost, optional
        Its cost, if more is known than `cost_of` finds in it. The last energy is drawn.
    label : str, optional
        In place of backend and scale.

    Examples
    --------
    >>> from portable_cortex import run
    >>> user_run(run(backend="mock", scale=0.02, duration=10.0)).label
    'mock, scale 0.02'
    """
    about = metadata_of(run)
    cost = cost or cost_of(about)
    energy = cost.energies[-1] if cost.energies else None
    return UserRun(
        label or f"{about['backend']}{_scale(about)}",
        cost.real_time_factor,
        cost.energy_per_event(energy) if energy else None,
        datetime.fromisoformat(about["started"]).year,
        f"{energy.kind}, {energy.scope}" if energy else "",
    )


def _scale(about: Mapping[str, Any]) -> str:
    parameters = about["parameters"]
    return "".join(
        f", {name.replace('_', ' ')} {parameters[name]:g}"
        for name in ("scale", "n_scale", "k_scale")
        if parameters.get(name) is not None
    )


def draw_literature(path: str | Path, runs: Sequence[UserRun] = ()) -> None:
    """Write real-time factor against energy per synaptic event, and against year, as a PNG.

    Parameters
    ----------
    path : str or Path
    runs : sequence of UserRun
        Drawn as stars.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "literature.png")
    ...     draw_literature(path, [UserRun("mine", 0.5, None, 2026)])
    ...     path.stat().st_size > 10_000
    True
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    published = published_runs()
    with matplotlib.rc_context(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(15, 7.5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, sharey=True)
        points = [
            (run.energy_per_synaptic_event_uj, run.year, run.rtf, run.label, *FAMILIES[run.family])
            for run in published
        ] + [(r.energy_per_synaptic_event_uj, r.year, r.rtf, r.label, "*", STAR) for r in runs]
        by_energy = [(x, y, *rest) for x, _, y, *rest in points if x is not None and x > 0]
        labels = {run.label: run.energy_label for run in runs if run.energy_label}
        by_energy = [
            (x, y, f"{label} ({labels[label]})" if label in labels else label, *rest)
            for x, y, label, *rest in by_energy
        ]
        by_year = [(x, y, *rest) for _, x, y, *rest in points]
        for axes, shown in ((left, by_energy), (right, by_year)):
            _scatter(axes, shown)
        left.set_xscale("log")
        left.set_yscale("log")
        left.margins(x=0.12, y=0.08)
        right.margins(x=0.12)
        left.set_xlabel("energy per synaptic event (µJ)")
        left.set_ylabel("real-time factor (wall-clock time / model time)")
        left.set_title("time and energy: lower left is better")
        right.set_xlabel("year")
        right.set_title("time by year")
        right.xaxis.get_major_locator().set_params(integer=True)
        for family, (marker, colour) in FAMILIES.items():
            right.plot([], [], marker, color=colour, label=family)
        if runs:
            right.plot([], [], "*", color=STAR, markersize=15, label="your runs")
        right.legend(loc="lower left", frameon=False)
        figure.supxlabel(CAPTION, fontsize=9, color="0.3")
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the labels are placed in the panels as they are now
        for axes, shown in ((left, by_energy), (right, by_year)):
            _annotate(axes, shown)
        figure.savefig(path, dpi=120, format="png")


def _scatter(axes: Any, points: Sequence[tuple[Any, ...]]) -> None:
    for x, y, _, marker, colour in points:
        size = 17 if marker == "*" else 8
        axes.plot([x], [y], marker, color=colour, markersize=size, markeredgecolor="white")
    axes.axhline(1.0, color="0.4", linewidth=1, linestyle="--", zorder=0)
    axes.annotate(
        "real time",
        (1, 1.0),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color="0.4",
    )


def _annotate(axes: Any, points: Sequence[tuple[Any, ...]]) -> None:
    """Write each label where it covers neither a point nor another label."""
    from matplotlib.text import Text

    renderer = axes.figure.canvas.get_renderer()

    def extent(artist: Any) -> Box:
        return Box(*artist.get_window_extent(renderer).extents)

    inside = extent(axes)
    level = axes.transData.transform((1, 1.0))[1]  # the line at real time
    taken = [*map(extent, axes.texts), Box(inside.x0, level - 1, inside.x1, level + 1)]
    if axes.get_legend() is not None:
        taken.append(extent(axes.get_legend()))
    points = sorted(points, key=lambda point: point[3] != "*")
    anchors = [tuple(axes.transData.transform(point[:2])) for point in points]
    for (x, y), (_, _, _, marker, _) in zip(anchors, points, strict=True):
        r = 14 if marker == "*" else 8
        taken.append(Box(x - r, y - r, x + r, y + r))
    texts = [
        axes.annotate(
            label,
            (x, y),
            xytext=(0, 0),
            textcoords="offset pixels",
            va="center",
            fontsize=10 if marker == "*" else 8.5,
            fontweight="bold" if marker == "*" else "normal",
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.7},
        )
        for x, y, label, marker, colour in points
    ]
    boxes = [Text.get_window_extent(text, renderer) for text in texts]  # without the lines
    sizes = [(box.width, box.height) for box in boxes]
    places = place(anchors, sizes, taken, inside, unit=axes.figure.dpi / 72)
    for text, found in zip(texts, places, strict=True):
        text.set_position((found.dx, found.dy))
        text.set_horizontalalignment(found.align)
        text.update_positions(renderer)

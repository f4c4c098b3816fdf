"""The charts of `charts`, which the page shows as SVG, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .charts import CHART_HEIGHT, CHART_WIDTH, USER, Chart, charts
from .literature import FAMILIES, UserRun

WIDTH, HEIGHT, DPI = 1800, 900, 120  # pixels, and those of an inch
UNIT = 1.4  # pixels of a unit of the charts
FONT = 9.0 * UNIT * 72 / DPI  # points: letters are as wide as the places of the labels allow for
STAR = "#c0392b"
STYLES = {
    **{name.lower(): (marker, colour, 8, "normal") for name, (marker, colour) in FAMILIES.items()},
    USER: ("*", STAR, 17, "bold"),
}
ALIGNMENTS = {"start": "left", "middle": "center", "end": "right"}
CAPTION = (
    "Published: full scale; what their energies cover differs, see the papers. "
    "Runs below full scale are not comparable with them."
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

    size = CHART_WIDTH * UNIT / WIDTH, CHART_HEIGHT * UNIT / HEIGHT
    by_energy, by_year = charts(runs, comparable=True)
    with matplotlib.rc_context(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        for left, chart in ((0.055, by_energy), (0.55, by_year)):
            _draw(figure.add_axes((left, 0.27, *size)), chart)
        figure.axes[0].set_ylabel("real-time factor (wall-clock time / model time)")
        styles = {**{name: STYLES[name.lower()] for name in FAMILIES}, "your runs": STYLES[USER]}
        if not runs:
            del styles["your runs"]
        lines = [
            figure.axes[1].plot([], [], marker, color=colour, markersize=size, label=name)[0]
            for name, (marker, colour, size, _) in styles.items()
        ]
        figure.legend(
            handles=lines, loc="center", bbox_to_anchor=(0.5, 0.14), ncols=len(lines), frameon=False
        )
        scopes: dict[str, list[str]] = {}
        for mark in by_energy.marks:
            if mark.family == USER and mark.text:
                scopes.setdefault(mark.text, []).append(mark.label)
        energies = (f"energy of {', '.join(labels)}: {text}" for text, labels in scopes.items())
        text = "\n".join((CAPTION, *energies))
        figure.text(0.5, 0.1, text, ha="center", va="top", fontsize=9, color="0.3", wrap=True)
        figure.savefig(path, dpi=DPI, format="png")


def _draw(axes: Any, chart: Chart) -> None:
    """A chart in its own units."""
    axes.set(xlim=(0, CHART_WIDTH), ylim=(CHART_HEIGHT, 0), title=chart.title, xlabel=chart.x_label)
    axes.set_xticks([tick.at for tick in chart.x_ticks], [tick.label for tick in chart.x_ticks])
    axes.set_yticks([tick.at for tick in chart.y_ticks], [tick.label for tick in chart.y_ticks])
    axes.axhline(chart.real_time, color="0.4", linewidth=1, linestyle="--", zorder=0)
    axes.text(4, chart.real_time - 3, "real time", color="0.4", fontsize=FONT)
    for mark in chart.marks:
        marker, colour, size, weight = STYLES[mark.family]
        leader = [mark.x, mark.label_x], [mark.y, mark.label_y]
        axes.plot(*leader, color=colour, alpha=0.4, linewidth=0.7, zorder=1)
        axes.plot(mark.x, mark.y, marker, color=colour, markersize=size, markeredgecolor="white")
        axes.text(
            mark.label_x,
            mark.label_y,
            mark.label,
            color=colour,
            fontsize=FONT,
            fontweight=weight,
            ha=ALIGNMENTS[mark.anchor],
            va="center",
        )

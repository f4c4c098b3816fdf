"""The picture of a run: spikes by population, rates of neurons, recorded variables, spectra."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..host.untrusted import printable
from . import panels
from .spikes import Spikes
from .stored import joined, neuron_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .recording import Recording

EXCITATORY, INHIBITORY, PUBLISHED = "#1f4e9c", "#c0392b", "#222222"
MAX_ROWS = 2000  # neurons in the raster
INHIBITORY_TYPES = ("I", "PV", "SOM", "VIP")  # ends of labels
MAX_DOTS = 60_000
MOST_LABELS = 60  # beside rows
MOST_PARAMETERS = 4  # in a title
RASTER_MS = 500.0  # the end of the recording
DPI = 120
PLAIN: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.usetex": False,  # whatever the user's configuration: labels are plain text
    "text.parse_math": False,
}


def is_drawable(recording: Recording) -> bool:
    """Whether a run left anything that could be drawn."""
    return bool(recording.spike_trains or recording.signals or recording.has_rates_only)


def draw_activity(recording: Recording, path: Path, file_format: str = "png") -> None:
    """Write the picture of a run to a file.

    Parameters
    ----------
    recording : Recording
    path : Path
    file_format : str
        ``png``, ``pdf`` or ``svg``.
    """
    activity_figure(recording).savefig(path, dpi=DPI, format=file_format)


def activity_figure(recording: Recording) -> Figure:
    """The picture of a run: the last 500 ms of spikes and recorded variables, rates, spectra.

    Of a run that computed rates and has no spikes, the rates with their errors.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    matplotlib.figure.Figure
        Which notebooks show.

    Raises
    ------
    OutputError
        If the run left nothing that could be drawn.

    Examples
    --------
    >>> from portable_cortex import run
    >>> figure = activity_figure(run(backend="mock", scale=0.02, duration=50.0, record=["v:L4E:2"]))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['time (ms)', 'firing rate (spikes/s)', 'time (ms)']
    """
    if not is_drawable(recording):
        raise OutputError(
            "there is nothing to draw: the run has no spikes and no recorded variables (it "
            "simulated nothing, or was made with --no-record)"
        )
    import matplotlib

    with matplotlib.rc_context(PLAIN):
        figure = new_figure(figsize=(12, 7.5))
        if recording.has_rates_only:
            _computed(figure.subplots(), recording)
        else:
            _fill(figure, recording)
        figure.suptitle(_title(recording))
    return figure


def new_figure(figsize: tuple[float, float]) -> Figure:
    """A figure without a window, whatever the user's configuration, that notebooks show."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def savefig(self, *args: Any, **options: Any) -> None:
            with matplotlib.rc_context(PLAIN):  # labels of ticks are made now
                super().savefig(*args, **options)

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, dpi=80, format="png")
            return buffer.getvalue()

    figure = ShownFigure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _fill(figure: Figure, recording: Recording) -> None:
    """Spikes above recorded variables; beside them rates above spectra."""
    colours = {label: row_colour(label) for label in recording.populations}
    signals = min(len(recording.signals), panels.MOST_TRACES)
    start = max(recording.t_start, recording.t_stop - RASTER_MS)
    if not recording.spike_trains:
        alone = figure.subplots(signals, 1, squeeze=False)[:, 0]
        panels.traces(list(alone), recording, start, colours)
        return
    spectra = panels.has_spectra(recording)
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 2), height_ratios=(3, 2))
    _raster(figure.add_subplot(grid[0, 0] if signals else grid[:, 0]), recording)
    _rates(figure.add_subplot(grid[0, 1] if spectra else grid[:, 1]), recording)
    if signals:
        rows = grid[1, 0].subgridspec(signals, 1)
        axes = [figure.add_subplot(rows[n]) for n in range(signals)]
        panels.traces(axes, recording, start, colours)
    if spectra:
        panels.spectra(figure.add_subplot(grid[1, 1]), recording, colours)


def _title(recording: Recording) -> str:
    about = recording.metadata
    name = printable(Path(str(about.get("model", "recording"))).stem)
    shown = shown_parameters(about)
    shown.append(f"seed {about.get('seed')}")
    title = f"{name} on {about.get('backend')}   ({', '.join(shown)})"
    doubts = about.get("warnings")
    if isinstance(doubts, list) and doubts:
        title += f"\nWarning: {printable(doubts[0], 120)}"
    return title


def shown_parameters(about: Mapping[str, Any]) -> list[str]:
    """What a title says of a run's parameters: scale, drive, and each that was asked for.

    Examples
    --------
    >>> parameters = {"scale": 0.1, "g": 5, "w": 1}
    >>> shown_parameters({"parameters": parameters, "experiment": {"parameters": {"g": 5}}})
    ['scale 0.1', 'g 5']
    """
    parameters = _mapping(about.get("parameters"))
    shown = []
    if isinstance(scale := parameters.get("scale"), int | float):
        shown.append(f"scale {scale:g}")
    if isinstance(drive := parameters.get("drive"), str):
        shown.append(f"{printable(drive)} drive")
    asked = _mapping(_mapping(about.get("experiment")).get("parameters"))
    others = [
        f"{printable(name)} {printable(value, 40)}"
        for name, value in asked.items()
        if name not in ("scale", "drive", "seed")
    ]
    return [*shown, *others[:MOST_PARAMETERS]]


def _mapping(value: Any) -> Mapping[str, Any]:
    """What a file has there, if it is one."""
    return value if isinstance(value, dict) else {}


def row_colour(label: str) -> str:
    """Colour of a population: inhibitory ones have a label that ends in I, before any @.

    Examples
    --------
    >>> row_colour("L4I") == row_colour("L4I@7") == INHIBITORY
    True
    """
    return INHIBITORY if label.partition("@")[0].endswith(INHIBITORY_TYPES) else EXCITATORY


class RasterRow(NamedTuple):
    """The part of a raster that belongs to one population.

    Attributes
    ----------
    label : str
    base, height : int
        First row from below, and number of rows: one a neuron.
    times, rows : array
        One dot a spike: ms, and row.
    """

    label: str
    base: int
    height: int
    times: NDArray[np.float64]
    rows: NDArray[np.int64]


def raster_rows(recording: Recording) -> tuple[float, list[RasterRow]]:
    """The dots of a raster: the last 500 ms, the same fraction of every population.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    start : float
        Time at which the raster begins, ms.
    rows : list of RasterRow
        From top to bottom, about `MAX_ROWS` neurons and at most `MAX_DOTS` dots in all.

    Examples
    --------
    >>> from portable_cortex import run
    >>> start, rows = raster_rows(run(backend="mock", scale=0.02, duration=600.0))
    >>> start, rows[0].label, rows[0].height
    (600.0, 'L23E', 414)
    """
    fraction = min(1.0, MAX_ROWS / sum(recording.n_neurons.values()))
    shown = {p: max(1, round(fraction * n)) for p, n in recording.n_neurons.items()}
    start = max(recording.t_start, recording.t_stop - RASTER_MS)
    top = sum(shown.values())
    room = MAX_DOTS
    found = []
    for label, height in shown.items():
        top -= height
        times, neurons = np.empty(0), np.empty(0, dtype=np.int64)
        if label in recording.spike_trains:
            pieces = recording.pieces(label, since=start)
            times, neurons = joined(_shown(piece, start, height) for piece in pieces)
            times, neurons = times[:room], neurons[:room]
            room -= times.size
        found.append(RasterRow(label, top, height, times, top + neurons))
    return start, found


def _shown(spikes: Spikes, start: float, height: int) -> Spikes:
    """Those in a raster."""
    keep = (spikes.times > start) & (spikes.neurons < height)
    return Spikes(spikes.times[keep], spikes.neurons[keep])


def _raster(axes: Any, recording: Recording) -> None:
    start, populations = raster_rows(recording)
    for row in populations:
        axes.plot(
            row.times,
            row.rows,
            linestyle="none",
            marker=".",
            markersize=2.2,
            markeredgewidth=0,
            color=row_colour(row.label),
            rasterized=True,
        )
        axes.axhline(row.base, color="0.85", linewidth=0.6, zorder=0)
    shown, total = sum(row.height for row in populations), sum(recording.n_neurons.values())
    middles = [row.base + row.height / 2 for row in populations]
    axes.set_yticks(_spread(middles, shown), [printable(row.label) for row in populations])
    for text, row in zip(axes.get_yticklabels(), populations, strict=True):
        text.set_color(row_colour(row.label))
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(start, recording.t_stop)
    axes.set_ylim(0, shown)
    axes.set_xlabel("time (ms)")
    of = f" of {shown} of {total} neurons" if shown < total else ""
    last = f", the last {RASTER_MS:g} ms" if start > recording.t_start else ""
    axes.set_title(f"spikes{of}{last}")


def _spread(middles: list[float], height: float) -> list[float]:
    """Heights of labels, from top to bottom, no two of them on each other where there is room.

    As near to the middles of their rows as they can be: those that crowd are moved together.
    """
    least = min(height / 22, height / max(1, len(middles)))
    crowds: list[tuple[float, int]] = []  # mean height, as if there were no distance, and number
    for number, middle in enumerate(middles):
        mean, n = middle + number * least, 1
        while crowds and crowds[-1][0] < mean:
            above, m = crowds.pop()
            mean, n = (above * m + mean * n) / (m + n), m + n
        crowds.append((mean, n))
    means = [mean for mean, n in crowds for _ in range(n)]
    placed = [mean - number * least for number, mean in enumerate(means)]
    for n in reversed(range(len(placed) - 1)):  # up again from the floor
        placed[-1] = max(placed[-1], least / 2)
        placed[n] = max(placed[n], placed[n + 1] + least)
    return placed


def _rates(axes: Any, recording: Recording) -> None:
    """Box plot of single-neuron rates, with the mean and the published mean."""
    seconds = (recording.t_stop - recording.t_start) * 1e-3
    labels = [p for p in recording.populations if p in recording.spike_trains]
    published = _mapping(recording.metadata.get("published_rates"))
    rows = np.arange(len(labels))[::-1]
    for row, label in zip(rows, labels, strict=True):
        single = neuron_counts(recording.pieces(label), recording.n_neurons[label]) / seconds
        axes.boxplot(
            single,
            positions=[row],
            orientation="horizontal",
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": row_colour(label), "alpha": 0.35, "linewidth": 0},
            medianprops={"color": row_colour(label), "linewidth": 1.5},
            whiskerprops={"color": row_colour(label)},
            capprops={"color": row_colour(label)},
        )
        axes.plot(single.mean(), row, marker="o", color=row_colour(label), markersize=6, zorder=3)
        if label in published:
            axes.plot(published[label], row, marker="x", color=PUBLISHED, markersize=8, zorder=4)
    axes.plot([], [], marker="o", linestyle="none", color="0.4", label="mean of this run")
    if published:
        axes.plot([], [], marker="x", linestyle="none", color=PUBLISHED, label="published mean")
    axes.set_yticks(rows, [printable(label) for label in labels])
    axes.set_xlim(left=0)
    axes.set_xlabel("firing rate (spikes/s)")
    axes.set_title("rates of single neurons (quartiles, 5–95 %)")
    axes.legend(loc="best", frameon=False)


def _computed(axes: Any, recording: Recording) -> None:
    """Rates that were computed, with two standard errors, and the published ones."""
    published = _mapping(recording.metadata.get("published_rates"))
    errors = recording.metadata["rate_errors"]
    labels = list(recording.populations)
    rows = np.arange(len(labels))[::-1]
    found = recording.rates()
    rates = np.array([found[label] for label in labels])
    both = 2 * np.array([errors[label] for label in labels])
    few = len(labels) <= MOST_LABELS
    colours = np.array([row_colour(label) for label in labels])
    for colour in np.unique(colours):
        own = colours == colour
        axes.errorbar(
            rates[own], rows[own], xerr=both[own], color=colour, linestyle="none",
            marker="o" if few else ".", capsize=3 if few else 0,
        )  # fmt: skip
    known = [(published[label], row) for label, row in zip(labels, rows, strict=True)
             if label in published]  # fmt: skip
    if known:
        axes.plot(*zip(*known, strict=True), "x", color=PUBLISHED, markersize=8, zorder=4)
    axes.plot([], [], marker="o", color="0.4", label="computed, with two standard errors")
    if published:
        axes.plot([], [], marker="x", linestyle="none", color=PUBLISHED, label="published mean")
    if few:
        axes.set_yticks(rows, [printable(label) for label in labels])
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(labels)} populations")
    axes.set_xlim(left=0)
    axes.set_xlabel("mean firing rate (spikes/s)")
    axes.legend(loc="best", frameon=False)

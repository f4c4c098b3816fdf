"""The picture of a run: spikes by population, and how their rates are distributed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .recording import Recording

EXCITATORY, INHIBITORY, PUBLISHED = "#1f4e9c", "#c0392b", "#222222"
MAX_ROWS = 2000  # neurons in the raster
MAX_DOTS = 60_000
RASTER_MS = 500.0  # the end of the recording


def draw_activity(recording: Recording, path: Path) -> None:
    """Write a raster of the last 500 ms and the rate distributions as a PNG.

    Parameters
    ----------
    recording : Recording
    path : Path
    """
    import matplotlib

    # No window, whatever the user's configuration: the figure goes to a file.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(12, 6.5), layout="constrained")
        FigureCanvasAgg(figure)
        raster, rates = figure.subplots(1, 2, width_ratios=(3, 2))
        if recording.spike_trains:
            _raster(raster, recording)
            _rates(rates, recording)
        else:
            raster.set_title("spikes were not recorded")
        figure.suptitle(_title(recording))
        figure.savefig(path, dpi=120, format="png")


def _title(recording: Recording) -> str:
    about = recording.metadata
    name = Path(str(about.get("model", "recording"))).stem
    parameters = about.get("parameters", {})
    shown = [f"{k} {parameters[k]:g}" for k in ("scale",) if parameters.get(k) is not None]
    if isinstance(parameters.get("drive"), str):
        shown.append(f"{parameters['drive']} drive")
    shown.append(f"seed {about.get('seed')}")
    return f"{name} on {about.get('backend')}   ({', '.join(shown)})"


def _colour(label: str) -> str:
    return INHIBITORY if label.endswith("I") else EXCITATORY


def _raster(axes: Any, recording: Recording) -> None:
    """One dot a spike; at most MAX_ROWS neurons, the same fraction of every population."""
    labels = recording.populations
    total = sum(recording.n_neurons.values())
    fraction = min(1.0, MAX_ROWS / total)
    shown = {p: max(1, round(fraction * recording.n_neurons[p])) for p in labels}
    start = max(recording.t_start, recording.t_stop - RASTER_MS)
    top = sum(shown.values())
    ticks = []
    n_dots = 0
    for label in labels:
        top -= shown[label]
        ticks.append(top + shown[label] / 2)
        if label not in recording.spike_trains:
            continue
        times, neurons = recording.spikes(label)
        keep = (times > start) & (neurons < shown[label])
        room = max(0, MAX_DOTS - n_dots)
        times, neurons = times[keep][:room], neurons[keep][:room]
        n_dots += times.size
        axes.plot(
            times,
            top + neurons,
            linestyle="none",
            marker=".",
            markersize=2.2,
            markeredgewidth=0,
            color=_colour(label),
            rasterized=True,
        )
        axes.axhline(top, color="0.85", linewidth=0.6, zorder=0)
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(start, recording.t_stop)
    axes.set_ylim(0, sum(shown.values()))
    axes.set_xlabel("time (ms)")
    axes.set_title(
        f"spikes of {sum(shown.values())} of {total} neurons" if fraction < 1 else "spikes"
    )


def _rates(axes: Any, recording: Recording) -> None:
    """Box plot of single-neuron rates, with the mean and the published mean."""
    seconds = (recording.t_stop - recording.t_start) * 1e-3
    labels = [p for p in recording.populations if p in recording.spike_trains]
    published = recording.metadata.get("published_rates", {})
    rows = np.arange(len(labels))[::-1]
    for row, label in zip(rows, labels, strict=True):
        counts = np.bincount(recording.spikes(label).neurons, minlength=recording.n_neurons[label])
        single = counts / seconds
        axes.boxplot(
            single,
            positions=[row],
            orientation="horizontal",
            widths=0.6,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": _colour(label), "alpha": 0.35, "linewidth": 0},
            medianprops={"color": _colour(label), "linewidth": 1.5},
            whiskerprops={"color": _colour(label)},
            capprops={"color": _colour(label)},
        )
        axes.plot(single.mean(), row, marker="o", color=_colour(label), markersize=6, zorder=3)
        if label in published:
            axes.plot(published[label], row, marker="x", color=PUBLISHED, markersize=8, zorder=4)
    axes.plot([], [], marker="o", linestyle="none", color="0.4", label="mean of this run")
    if published:
        axes.plot([], [], marker="x", linestyle="none", color=PUBLISHED, label="published mean")
    axes.set_yticks(rows, labels)
    axes.set_xlim(left=0)
    axes.set_xlabel("firing rate (spikes/s)")
    axes.set_title("rates of single neurons (quartiles, 5–95 %)")
    axes.legend(loc="best", frameon=False)

"""The picture of a sweep: rates by what varies, with their spread over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.untrusted import printable
from ..recording.figure import DPI, MOST_LABELS, PLAIN, new_figure
from .table import warnings_of

if TYPE_CHECKING:
    from .runs import Sweep, SweepRun

# Okabe and Ito's, which colour-blind people tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKERS = "osD^vP*X"
MOST_PANELS = 12
ACROSS = 4  # panels in a row


def draw_sweep(sweep: Sweep, path: Path) -> None:
    """Write a panel for each population: its rate by the number that varies.

    Bands are one standard deviation over seeds, lines the means. What varies besides has colours.
    Where no number varies, all populations are in one panel, side by side.

    Parameters
    ----------
    sweep : Sweep
        With one run at least that is finished and has rates.
    path : Path

    Examples
    --------
    >>> import tempfile
    >>> from portable_cortex.sweep import grid, sweep
    >>> runs = grid({"g": [4, 5]}, backend="mock", model="brunel2000", scale=0.01, duration=10.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_sweep(sweep(runs, folder), Path(folder, "mine.png"))
    """
    import matplotlib

    runs = [run for run in sweep.runs if run.metadata.get("rates")]
    labels = list(dict.fromkeys(label for run in runs for label in run.metadata["rates"]))
    number = _number(runs)
    with matplotlib.rc_context(PLAIN):
        if number is None:
            figure = new_figure(figsize=(max(7, min(16, 1.1 * len(labels))), 5))
            _side_by_side(figure.subplots(), _by_series(runs, ()), labels)
        else:
            shown = labels[:MOST_PANELS]
            across = min(ACROSS, len(shown))
            down = -(-len(shown) // across)
            figure = new_figure(figsize=(1 + 3.2 * across, 1 + 2.7 * down))
            axes = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
            series = _by_series(runs, (number,))
            for ax, label in zip(axes, shown, strict=False):
                _panel(ax, label, series, number)
            for ax in axes[len(shown) :]:
                ax.set_visible(False)
            for ax in axes[max(0, len(shown) - across) : len(shown)]:
                ax.set_xlabel(number)
                ax.tick_params(labelbottom=True)
        entries = figure.axes[0].get_legend_handles_labels()
        if len(entries[1]) > 1:
            figure.legend(*entries, loc="outside lower center", ncols=min(4, len(entries[1])),
                          frameon=False)  # fmt: skip
        seeds = len({run.experiment.seed for run in runs})
        of = "mean ± SD over seeds, and each seed" if seeds > 1 else "one seed"
        fixed = " ".join(sweep.shared or runs[0].words)
        doubts = dict.fromkeys(doubt for run in runs for doubt in warnings_of(run.metadata))
        lines = [
            fixed,
            f"rates (spikes/s), {of}",
            *(f"Warning: {printable(d, 120)}" for d in doubts),
        ]
        figure.suptitle("\n".join(printable(line, 120) for line in lines))
        figure.savefig(path, dpi=DPI, format="png")


def _number(runs: Sequence[SweepRun]) -> str | None:
    """What is on the axis: the number that has most values."""
    values: dict[str, set[float]] = {}
    for run in runs:
        for name, value in run.varied.items():
            number = _as_number(value)
            values.setdefault(name, set()).add(float("nan") if number is None else number)
    plain = {name: len(found) for name, found in values.items()
             if len(found) > 1 and all(number == number for number in found)}  # fmt: skip
    return max(plain, key=lambda name: plain[name], default=None)


def _as_number(value: Any) -> float | None:
    """Options are texts, also where they are numbers."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _by_series(runs: Sequence[SweepRun], without: Sequence[str]) -> dict[str, list[SweepRun]]:
    """Runs by what varies besides."""
    from .runs import describe_varied

    series: dict[str, list[SweepRun]] = {}
    for run in runs:
        rest = {name: value for name, value in run.varied.items() if name not in without}
        series.setdefault(describe_varied(rest), []).append(run)
    return series


def _panel(axes: Any, label: str, series: Mapping[str, Sequence[SweepRun]], number: str) -> None:
    for n, (name, runs) in enumerate(series.items()):
        colour, marker = COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]
        by: dict[float, list[float]] = {}
        for run in runs:
            at, rate = _as_number(run.varied.get(number)), run.metadata["rates"].get(label)
            if at is not None and rate is not None:
                by.setdefault(at, []).append(rate)
        xs = sorted(by)
        means = [statistics.mean(by[x]) for x in xs]
        spreads = [statistics.stdev(by[x]) if len(by[x]) > 1 else 0.0 for x in xs]
        axes.plot(xs, means, marker=marker, markersize=4, color=colour, label=printable(name))
        axes.fill_between(
            xs, [m - s for m, s in zip(means, spreads, strict=True)],
            [m + s for m, s in zip(means, spreads, strict=True)],
            color=colour, alpha=0.2, linewidth=0,
        )  # fmt: skip
        dots = [(x, rate) for x in xs for rate in by[x] if len(by[x]) > 1]
        if dots:
            axes.plot(*zip(*dots, strict=True), ".", color=colour, alpha=0.5, markersize=3)
    axes.set_title(printable(label))
    axes.set_ylim(bottom=0)


def _side_by_side(
    axes: Any, series: Mapping[str, Sequence[SweepRun]], labels: Sequence[str]
) -> None:
    step = 0.7 / len(series)
    for n, (name, runs) in enumerate(series.items()):
        colour, marker = COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]
        offset = (n - (len(series) - 1) / 2) * step
        for row, label in enumerate(labels):
            rates = [r.metadata["rates"][label] for r in runs if label in r.metadata["rates"]]
            if not rates:
                continue
            spread = statistics.stdev(rates) if len(rates) > 1 else 0.0
            axes.errorbar(
                row + offset, statistics.mean(rates), yerr=spread, color=colour, marker=marker,
                capsize=3, linestyle="none", label=printable(name) if row == 0 else None,
            )  # fmt: skip
            if len(rates) > 1:
                axes.plot([row + offset] * len(rates), rates, ".", color=colour, alpha=0.4)
    if len(labels) <= MOST_LABELS:
        names = [printable(label) for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=60 if len(labels) > MOST_PANELS else 0)
    else:
        axes.set_xlabel(f"{len(labels)} populations")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("mean firing rate (spikes/s)")

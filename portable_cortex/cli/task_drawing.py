"""The picture of a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..host.output import whole
from ..recording.figure import PLAIN, row_colour

BEFORE, BIN = 20.0, 0.5  # ms, of rates around a pulse
SHOWN_MS = 60.0  # after a pulse


def draw(name: str, results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the results of all seeds.

    Parameters
    ----------
    name : {"pulses", "templates", "separation", "twins"}
    results : sequence of dict
        One a seed, as the task's ``to_dict`` gives it.
    path : Path

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**PLAIN, "font.size": 9}):
        figure = Figure(figsize=(10, 5.5), layout="constrained")
        {
            "pulses": _pulses,
            "templates": _templates,
            "separation": _separation,
            "twins": _twins,
        }[name](figure, results)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as part:
                figure.savefig(part, dpi=120, format="png")
        except OSError as error:
            raise OutputError(f"the picture could not be written to {path}: {error}") from error


def _pulses(figure: Any, results: Sequence[dict[str, Any]]) -> None:
    labels = list(results[0]["rates"])
    columns = -(-len(labels) // 2) if len(labels) > 4 else len(labels)
    axes = np.ravel(
        figure.subplots(-(-len(labels) // columns), columns, sharex=True, squeeze=False)
    )
    for label, one in zip(labels, axes, strict=False):
        rates = np.array([result["rates"][label] for result in results])
        t = np.arange(rates.shape[1]) * BIN - BEFORE
        inside = t < SHOWN_MS
        one.fill_between(
            t[inside], rates.mean(axis=0)[inside], step="post", color=row_colour(label)
        )
        found = (result["responses"][label]["onset"] for result in results)
        onsets = [onset for onset in found if onset is not None]
        if onsets:
            one.axvline(np.mean(onsets), color="#222222", lw=0.8, ls=":")
        one.set_title(f"{label}: {np.mean(onsets):.1f} ms" if onsets else label, fontsize=9)
        one.set_ylim(bottom=0)
    for one in axes[len(labels) :]:
        one.set_visible(False)
    figure.supxlabel("time after the pulse (ms); dotted: onset of the response")
    figure.supylabel("rate (spikes/s)")


def _templates(figure: Any, results: Sequence[dict[str, Any]]) -> None:
    readouts = list(results[0]["kappa"])
    all_axes = np.ravel(figure.subplots(1, len(readouts), sharey=True, squeeze=False))
    for readout, one in zip(readouts, all_axes, strict=True):
        for stream, colour in ((1, "#1f4e9c"), (2, "#d1802d")):
            curves = np.array([_memory(r["kappa"][readout], stream) for r in results], dtype=float)
            back = np.arange(curves.shape[1])
            spread = curves.std(axis=0, ddof=1) if len(curves) > 1 else None
            one.errorbar(
                back, curves.mean(axis=0), spread, marker="o", color=colour,
                label=f"template of stream {stream}",
            )  # fmt: skip
        alike = np.array([r["kappa"][readout]["both alike"] for r in results], dtype=float)
        one.plot(0, alike.mean(), marker="s", color="#444444", ls="", label="both alike")
        one.axhline(0.0, color="#999999", lw=0.8)
        one.set_title(f"read from {readout}")
        one.set_xlabel("segments before the last")
        one.set_xticks(back)
    all_axes[0].set_ylabel("Cohen's kappa on trials that were not fitted")
    all_axes[0].legend(frameon=False)


def _memory(kappa: dict[str, float], stream: int) -> list[float]:
    """By number of segments back."""
    own = {q: v for q, v in kappa.items() if q.startswith(f"stream {stream}")}
    return [own[q] for q in sorted(own, key=lambda q: int(q.split()[2]) if "before" in q else 0)]


def _separation(figure: Any, results: Sequence[dict[str, Any]]) -> None:
    left, right = figure.subplots(1, 2)
    times = np.array(results[0]["times"])
    for axes, curves in (
        (left, (("between", "of different patterns"), ("within", "of the same pattern"))),
        (right, (("separability", "separability"), ("accuracy", "accuracy"))),
    ):
        for (name, label), colour in zip(curves, ("#1f4e9c", "#d1802d"), strict=True):
            values = np.array([result[name] for result in results], dtype=float)
            axes.plot(times, values.mean(axis=0), color=colour, label=label)
            if len(values) > 1:
                low, high = values.min(axis=0), values.max(axis=0)
                axes.fill_between(times, low, high, color=colour, alpha=0.2, lw=0)
        axes.set_xlabel("time since the input began (ms)")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    left.set_ylabel("distance of trials, in that under another background")
    right.axhline(0.5, color="#999999", lw=0.8, ls=":")


def _twins(figure: Any, results: Sequence[dict[str, Any]]) -> None:
    left, right = figure.subplots(1, 2)
    times = np.array(results[0]["times"])
    for axes, name in ((left, "distance"), (right, "deviating")):
        curves = np.array([result[name] for result in results], dtype=float)
        axes.plot(times, curves.T, color="#1f4e9c", lw=0.7, alpha=0.5 if len(curves) > 1 else 1)
        if len(curves) > 1:
            axes.plot(times, curves.mean(axis=0), color="#1f4e9c", lw=2)
        axes.set_xlabel("time after the extra spike (ms)")
        axes.set_ylim(bottom=0)
    left.axhline(1.0, color="#999999", lw=0.8)
    left.set_ylabel("distance of twins, in that of independent trials")
    right.set_ylabel("deviating spikes of a pair in 5 ms")

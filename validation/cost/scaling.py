"""Strong scaling: time against the number of threads, as a PNG."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portable_cortex.host.provenance import cores
from portable_cortex.recording.figure import DPI, PLAIN, new_figure
from portable_cortex.sweep import building
from portable_cortex.sweep.figure import COLOURS, MARKERS

if TYPE_CHECKING:
    from .benchmarking import Benchmark, Result

PANELS: tuple[tuple[str, Callable[[Result], float]], ...] = (
    ("real-time factor", lambda result: result.cost.real_time_factor),
    ("time to build (s)", lambda result: building(result.metadata)),
)


def draw_scaling(path: str | Path, outcome: Benchmark) -> None:
    """Write medians over repeats, from the lowest to the highest; dashes are perfect scaling.

    Parameters
    ----------
    path : str or Path
    outcome : Benchmark
        Of a plan with several numbers of threads.
    """
    import matplotlib

    plan = outcome.plan
    with matplotlib.rc_context(PLAIN):
        figure = new_figure(figsize=(9, 4.5))
        for axes, (title, measure) in zip(figure.subplots(1, 2), PANELS, strict=True):
            for n, backend in enumerate(plan.backends):
                _line(axes, outcome, backend, measure, n)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(plan.threads, [str(n) for n in plan.threads])
            axes.set_xticks([], minor=True)
            axes.yaxis.set_major_formatter("{x:g}")
            few = axes.get_ylim()[1] < 12 * axes.get_ylim()[0]  # less than a decade and a bit
            axes.yaxis.set_minor_formatter("{x:g}" if few else "")
            axes.set_xlabel("threads")
            axes.set_title(title)
            if min(plan.threads) <= cores() < max(plan.threads):
                axes.axvline(cores(), color="0.7", linewidth=1, zorder=0)
                axes.annotate(
                    f" {cores()} cores", (cores(), 1), xycoords=("data", "axes fraction"),
                    va="top", color="0.4", fontsize=8,
                )  # fmt: skip
        figure.axes[0].legend(frameon=False)
        repeats = f"median of {plan.repeats} runs, lowest to highest" if plan.repeats > 1 else ""
        lines = [", ".join(filter(None, (Path(plan.model).stem, *_settings(plan.parameters)))),
                 ", ".join(filter(None, (repeats, "dashes: perfect scaling")))]  # fmt: skip
        figure.suptitle("\n".join(lines))
        figure.savefig(path, dpi=DPI, format="png")


def _settings(parameters: Any) -> list[str]:
    return [f"{name} {value}" for name, value in (parameters or {}).items()]


def _line(
    axes: Any, outcome: Benchmark, backend: str, measure: Callable[[Result], float], number: int
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    threads, medians, lows, highs = [], [], [], []
    for n in sorted(outcome.plan.threads):
        values = [measure(r) for r in outcome.results if (r.backend, r.threads) == (backend, n)]
        if values:
            median = statistics.median(values)
            threads.append(n)
            medians.append(median)
            lows.append(median - min(values))
            highs.append(max(values) - median)
    if not threads:
        return
    axes.errorbar(
        threads, medians, yerr=[lows, highs], color=colour, marker=marker, capsize=3, label=backend
    )
    perfect = [medians[0] * threads[0] / n for n in threads]
    axes.plot(threads, perfect, color=colour, linestyle="--", linewidth=0.8, alpha=0.6)

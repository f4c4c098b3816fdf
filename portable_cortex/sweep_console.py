"""A sweep in the terminal: how far it is, what its runs gave, and what they cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .progress import TimeLeft
from .sweep import FAILED, FINISHED, WAITING, Sweep, SweepRun

_NO_BUILDING = ("import", "warmup", "simulate", "readout")


class SweepReporter:
    """One line for each run that has ended, and on a terminal a bar below them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("runs"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("")
        self._sweep: Sweep | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, sweep: Sweep, run: SweepRun | None) -> None:
        """See `portable_cortex.sweep.Report`."""
        self._sweep = sweep
        left, total = len(sweep.of(WAITING)), len(sweep.runs)
        if run is None:
            already = f", {total - left} of them finished already" if left < total else ""
            self._say(f"{total} {'run' if total == 1 else 'runs'}{already}")
            self._progress.update(self._task, total=left)
            return
        said = run.error or f"real-time factor {run.metadata['real_time_factor']:.3g}"
        self._say(f"{run.name}: {run.state}, {said}")
        self._progress.advance(self._task)

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    @property
    def state(self) -> str:
        """How far the sweep is, in words."""
        if self._sweep is None:
            return "nothing was begun"
        return f"{len(self._sweep.of(FINISHED))} of {len(self._sweep.runs)} runs are finished"


def show(found: Sweep, console: Console) -> None:
    """Print the tables, unless no run is finished."""
    if found.of(FINISHED):
        console.print(rates(found))
        console.print(costs(found))
    text = f"{len(found.of(FINISHED))} runs finished, {len(found.of(FAILED))} failed"
    console.print(
        f"{text}; written to {found.folder}", soft_wrap=True, markup=False, highlight=False
    )


def rates(found: Sweep) -> Table:
    """Mean firing rates, spikes/s: one row for the seeds of each combination, mean ± SD over them.

    Examples
    --------
    >>> from pathlib import Path
    >>> rates(Sweep(Path(), ())).row_count
    0
    """
    groups = {name: [run.metadata["rates"] for run in runs] for name, runs in _groups(found)}
    populations = list(dict.fromkeys(p for runs in groups.values() for run in runs for p in run))
    table = Table(title="mean firing rates (spikes/s), mean ± SD over seeds")
    table.add_column("", overflow="fold")
    table.add_column("runs", justify="right")
    for population in populations:
        table.add_column(escape(population), justify="right")
    for name, runs in groups.items():
        cells = [_spread([run[p] for run in runs if p in run]) for p in populations]
        table.add_row(escape(name), str(len(runs)), *cells)
    return table


def costs(found: Sweep) -> Table:
    """Median time and memory: one row for the seeds of each combination."""
    table = Table(title="time and memory, median over seeds")
    table.add_column("", overflow="fold")
    for column in ("runs", "build (s)", "simulate (s)", "real-time factor", "memory (GB)"):
        table.add_column(column, justify="right")
    for name, runs in _groups(found):
        about = [run.metadata for run in runs]
        values = (
            [_building(a) for a in about],
            [a["phases_s"]["simulate"] for a in about],
            [a["real_time_factor"] for a in about],
            [a["peak_memory_bytes"] * 1e-9 for a in about],
        )
        cells = [f"{statistics.median(numbers):.3g}" for numbers in values]
        table.add_row(escape(name), str(len(runs)), *cells)
    return table


def _groups(found: Sweep) -> list[tuple[str, list[SweepRun]]]:
    return list(found.groups().items())


def _building(metadata: Mapping[str, Any]) -> float:
    phases = metadata["phases_s"].items()
    return float(sum(seconds for phase, seconds in phases if phase not in _NO_BUILDING))


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean}\n± {statistics.stdev(values):.3f}" if len(values) > 1 else mean

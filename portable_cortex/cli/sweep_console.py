"""A sweep in the terminal: how far it is, what its runs gave, and what they cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..host.untrusted import printable
from ..sweep import FAILED, FINISHED, WAITING, Sweep, SweepRun, building
from ..sweep.runs import PICTURE, TABLE
from .progress import Bars, TimeLeft

_ABREAST = 3  # columns that a terminal has room for


class SweepReporter(Bars):
    """One line for each run that has ended, and on a terminal a bar below them."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            console,
            TextColumn("runs"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
        )
        self._task = self._progress.add_task("")
        self._sweep: Sweep | None = None

    def __call__(self, sweep: Sweep, run: SweepRun | None) -> None:
        """See `portable_cortex.sweep.Report`."""
        self._sweep = sweep
        left, total = len(sweep.of(WAITING)), len(sweep.runs)
        if run is None:
            already = f", {total - left} of them finished already" if left < total else ""
            self._say(f"{total} {'run' if total == 1 else 'runs'}{already}")
            self._progress.update(self._task, total=left)
            return
        said = run.error or _speed(run.metadata["real_time_factor"])
        self._say(f"{run.name}: {run.state}, {said}")
        self._progress.advance(self._task)

    def _say(self, text: str) -> None:
        self._console.print(printable(text), soft_wrap=True, markup=False, highlight=False)

    @property
    def state(self) -> str:
        """How far the sweep is, and what to do with it, in words."""
        if self._sweep is None:
            return "nothing was begun."
        finished = f"{len(self._sweep.of(FINISHED))} of {len(self._sweep.runs)} runs are finished"
        return f"{finished}; the same command goes on from there."


def show(found: Sweep, console: Console) -> None:
    """Print the tables, and how many runs there are in which state."""
    for table in tables(found):
        console.print(table)
    text = f"{len(found.of(FINISHED))} runs finished, {len(found.of(FAILED))} failed"
    files = [name for name in (TABLE, PICTURE) if (found.folder / name).exists()]
    for line in (f"{text}; written to {found.folder}", *(str(found.folder / n) for n in files)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def tables(found: Sweep) -> list[Table]:
    """Rates, times and memory; one column for the seeds of each combination.

    Examples
    --------
    >>> from pathlib import Path
    >>> tables(Sweep(Path(), ()))
    []
    """
    groups = list(found.groups().items())
    fixed = f"{printable(' '.join(found.shared))}\n" if found.shared else ""
    return [_table(dict(groups[n : n + _ABREAST]), fixed) for n in range(0, len(groups), _ABREAST)]


def _table(groups: Mapping[str, Sequence[SweepRun]], fixed: str) -> Table:
    about = {name: [run.metadata for run in runs] for name, runs in groups.items()}
    shown = Table(title=f"{escape(fixed)}rates: mean ± SD over seeds; the rest: median")
    shown.add_column("")
    for name in groups:
        shown.add_column(escape(printable(name)), justify="right", overflow="fold")
    shown.add_row("runs", *(str(len(runs)) for runs in groups.values()))
    for population in dict.fromkeys(p for runs in about.values() for m in runs for p in m["rates"]):
        rates = (
            [m["rates"][population] for m in runs if population in m["rates"]]
            for runs in about.values()
        )
        shown.add_row(f"{escape(printable(population))} (spikes/s)", *map(_spread, rates))
    shown.add_section()
    for what, cost in (
        ("build (s)", building),
        ("simulate (s)", lambda m: m["phases_s"]["simulate"]),
        ("real-time factor", lambda m: m["real_time_factor"]),
        ("peak memory (GB)", lambda m: m["peak_memory_bytes"] * 1e-9),
    ):
        shown.add_row(what, *(_median([*map(cost, runs)]) for runs in about.values()))
    return shown


def _speed(factor: float | None) -> str:
    return "stationary rates" if factor is None else f"real-time factor {factor:.3g}"


def _median(values: Sequence[float | None]) -> str:
    """Of runs of which some may not have it."""
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.3g}" if known else "none"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean

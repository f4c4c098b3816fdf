"""Show a run in the terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

DESCRIPTIONS = {
    "import": "importing the simulator",
    "setup": "setting up",
    "build": "building the network",
    "prepare": "preparing the simulator",
    "warmup": "warming up",
    "simulate": "simulating",
    "trials": "running trials",
    "readout": "reading out",
    "write": "writing",
}


class TimeLeft(ProgressColumn):
    """Estimated time to the end of a phase, where one can be estimated."""

    def render(self, task: Task) -> Text:
        """The column's text for `task`."""
        if task.finished or task.time_remaining is None:
            return Text()
        minutes, seconds = divmod(round(task.time_remaining), 60)
        return Text(f"{minutes}:{seconds:02d} left", style="cyan")


class Bars:
    """Lines that move on a terminal; elsewhere (a log file) there are none.

    Parameters
    ----------
    console : rich.console.Console
    *columns : rich.progress.ProgressColumn
    """

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._console = console
        self._progress = Progress(
            *columns,
            console=console,
            disable=not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # what goes to a file stays there
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._progress.disable:  # rich before 14.3 ends also those with an empty line
            self._progress.stop()


class ConsoleReporter(Bars):
    """One line a phase: a bar where it is known how much is left, a spinner elsewhere.

    Where no line moves, each phase is written once, when it begins.
    """

    def __init__(self, console: Console) -> None:
        # on the stream of now: simulators may put another in the place of sys.stdout
        console = Console(
            file=console.file, force_terminal=console.is_terminal, quiet=console.quiet
        )
        super().__init__(
            console,
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
        )
        self._phase: str | None = None
        self._task: TaskID | None = None
        self._told = {""}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        super().__exit__(kind, error, traceback)

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """See `portable_cortex.experiment.Reporter`."""
        if name != self._phase:
            self._finish()
            description = DESCRIPTIONS.get(name, name)
            self._phase = name
            self._task = self._progress.add_task(
                description, total=None if fraction is None else 1.0, detail=""
            )
            if not self._console.is_terminal:
                self._console.print(f"{description} ...")
        assert self._task is not None
        if name == "prepare" and detail not in self._told and not self._console.is_terminal:
            self._told.add(detail)  # compiling: that takes its time
            self._console.print(f"{detail} ...")
        self._progress.update(self._task, detail=detail)
        if fraction is not None:
            self._progress.update(self._task, completed=fraction, total=1.0)

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=1.0, completed=1.0, detail="")

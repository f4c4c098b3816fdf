"""``portable-cortex compare``: every backend on one network, judged and set beside one another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import InvalidValueError
from ..experiment import Experiment
from ..host import interruption
from ..host.untrusted import printable
from . import writing
from .options import (
    SEEDS_HELP,
    Drive,
    MachineName,
    ModelName,
    Param,
    Scale,
    Warmup,
    how_many_or_which,
    model_parameters,
)

if TYPE_CHECKING:
    from ..validation.scoreboard import Absent, Contestant, Plan

PAGE = "compare.html"
OF_RESULTS = ("folders", "against", "report", "junit", "json_file", "summary")
"""Parameters of the command that runs which exist already leave open."""


def compare(
    context: typer.Context,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DIR",
            help="Runs that exist, or folders of runs, of any backends: then nothing is run.",
        ),
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            help="Backends, separated by commas; the first is what others are compared with neuron "
            "by neuron. all: those that are installed and simulate."
        ),
    ] = "all",
    model: ModelName = "pd14",
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    machine: MachineName = "local",
    seeds: Annotated[str, typer.Option(help=SEEDS_HELP)] = "3",
    duration: Annotated[
        float, typer.Option("--duration", "-d", help="Model time of each run, ms.")
    ] = 2000.0,
    warmup: Warmup = 500.0,
    against: Annotated[
        str | None,
        typer.Option(
            help="A reference by name or .h5 file, or a folder of five runs or more; the reference "
            "that fits the runs unless given."
        ),
    ] = None,
    no_shared: Annotated[
        bool,
        typer.Option("--no-shared", help="Leave out the runs of one network for all backends."),
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(help="Runs at once. What runs beside a run changes what it costs."),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads of each run. Those of the machine file unless given, or else 1."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do finished runs again.")] = False,
    folder: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the runs, and for the page.")
    ] = Path("results/compare"),
    report: Annotated[
        Path | None,
        typer.Option(help=f"Write the page (HTML) here; {PAGE} beside the runs unless given."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON.")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Write Markdown, such as $GITHUB_STEP_SUMMARY.")
    ] = None,
) -> None:
    """Run a network on every backend, judge each, and set all of them beside one another.

    Exit status 0 all agree with the reference, 1 one differs, 2 one could not be judged, or failed.
    What was stopped goes on with the same command; finished runs are kept.
    """
    from ..validation.pages.scoreboard_page import render
    from ..validation.pages.scoreboard_words import show, to_json, to_junit, to_markdown
    from ..validation.scoreboard import gathered, judge, plan
    from ..validation.verdict import require_reference

    out, err = Console(), Console(stderr=True)
    if against is not None:
        require_reference(against)  # before hours are spent
    runs: tuple[Contestant, ...]
    absent: tuple[Absent, ...] = ()
    if folders:
        _refuse_settings(context, folders)
        runs = gathered(folders)
    else:
        settings = Experiment(
            model=model,
            parameters=model_parameters(param, scale=scale, drive=drive),
            machine=machine,
            warmup=warmup,
            duration=duration,
        )
        chosen = plan(backends.split(","), settings, how_many_or_which(seeds), shared=not no_shared)
        _warn(chosen, against, err)
        runs, absent = _perform(
            chosen, folder, err, jobs=jobs, threads=threads, overwrite=overwrite
        )
        report = report or folder / PAGE
    with err.status("reading") as status:
        board = judge(runs, absent, against, lambda text: status.update(escape(printable(text))))
    written = writing.write(
        (
            (report, lambda: render(board), "page"),
            (junit, lambda: to_junit(board), "JUnit file"),
            (json_file, lambda: to_json(board), "JSON file"),
            (summary, lambda: to_markdown(board), "summary"),
        )
    )
    show(board, out)
    writing.show(written, out)
    raise typer.Exit(board.verdict.value)


def _refuse_settings(context: typer.Context, folders: list[Path]) -> None:
    """Raise an error for settings of runs that exist already."""
    sources: Any = context.get_parameter_source
    flags = {p.name: p.opts[0] for p in context.command.params}
    given = [
        flags[name]
        for name in context.params
        if name not in OF_RESULTS and sources(name).name != "DEFAULT"
    ]
    if given:
        raise InvalidValueError(
            f"{folders[0]} holds runs that exist, and {', '.join(given)} cannot change them: leave "
            "one or the other out"
        )


def _warn(chosen: Plan, against: str | None, console: Console) -> None:
    """Say before the runs that they cannot be judged."""
    from ..validation.verdict import fitting_reference

    if against is None and fitting_reference(chosen.experiments[0].settings()) is None:
        console.print(
            "[yellow]Note:[/] no reference fits these settings: nothing will be judged. --against "
            "takes one (portable-cortex reference makes it of runs)",
            soft_wrap=True, highlight=False,
        )  # fmt: skip


def _perform(
    chosen: Plan, folder: Path, console: Console, **how: Any
) -> tuple[tuple[Contestant, ...], tuple[Absent, ...]]:
    """Do the runs that are missing; the backends that have some, and those that have none."""
    from ..validation.scoreboard import contestants, perform
    from .sweep_console import SweepReporter

    reporter = SweepReporter(console)
    interruption.tell(lambda: reporter.state)
    with reporter:
        done = perform(chosen, folder, report=reporter, **how)
    runs, failed = contestants(done)
    return runs, (*failed, *chosen.absent)

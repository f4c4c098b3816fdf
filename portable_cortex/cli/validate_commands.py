"""``portable-cortex validate`` and ``reference``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import InvalidValueError, OutputError
from ..host import interruption
from ..host.untrusted import printable
from . import writing
from .console import err, out


def validate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Folders of runs, or of folders of runs, of other programs too; or Neo files.",
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            help="A reference by name or .h5 file, a folder of five runs or more, or the folder of "
            "one other run; the reference that fits the runs unless given."
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page (HTML).")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write JSON; - is stdout.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Write Markdown, such as $GITHUB_STEP_SUMMARY.")
    ] = None,
) -> None:
    """Compare runs with a reference: exit status 0 agrees, 1 differs, 2 could not tell.

    Several runs of one network, each with another seed, are judged together, which sees smaller
    changes than one run does.
    """
    from ..validation.pages import render, show, to_json, to_junit, to_markdown
    from ..validation.verdict import examine

    with err.status("reading") as status:
        validation = examine(folders, against, lambda text: status.update(escape(printable(text))))
    piped = json_file == Path("-")
    written = writing.write(  # before printing: who reads it may stop reading
        (
            (report, lambda: render(validation), "report"),
            (junit, lambda: to_junit(validation), "JUnit file"),
            (None if piped else json_file, lambda: to_json(validation), "JSON file"),
            (summary, lambda: to_markdown(validation), "summary"),
        )
    )
    for_people = err if piped else out
    show(validation, for_people)
    writing.show(written, for_people)
    if piped:
        out.print(to_json(validation), soft_wrap=True, markup=False, highlight=False, end="")
    raise typer.Exit(validation.comparison.verdict.value)


def reference(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Folders of runs, or of folders of runs: five or more of one network, each with "
            "another seed.",
        ),
    ],
    file: Annotated[Path, typer.Option("--out", help="The .h5 file to write.")],
    duration: Annotated[
        list[float] | None,
        typer.Option(
            help="Over which statistics are taken, ms; repeatable. 2, 5, 10 and 100 s, as far as "
            "the runs last, and all of them, unless given."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file, if there is one.")
    ] = False,
) -> None:
    """Freeze runs into a reference: a small file without spikes, for validate --against."""
    from ..validation.verdict import freeze

    if file.suffix != ".h5":
        raise InvalidValueError(f"a reference is an .h5 file, and --out names {file}")
    if file.exists() and not overwrite:
        raise OutputError(f"{file} exists already; --overwrite replaces it")
    with err.status("reading") as status:
        found = freeze(folders, duration or (), lambda text: status.update(escape(printable(text))))
        with interruption.shielded():
            found.save(file)
    out.print(
        f"{len(found.provenance['seeds'])} runs of {', '.join(f'{d:g}' for d in found.durations)} "
        f"ms, {file.stat().st_size / 1e3:.0f} kB: {file}",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip

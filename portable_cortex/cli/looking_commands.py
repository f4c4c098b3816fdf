"""``portable-cortex show | plot``: look again at a run that is over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..errors import OutputError
from ..host.untrusted import printable_lines
from ..recording import FIGURE, RUN, Recording
from ..sweep import runs as sweeping
from ..sweep.table import warnings_of
from .run_console import expected_of, show_settings
from .run_console import show as show_run

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or the archive (.zip) of a job.")
]


def show(folder: Run) -> None:
    """Print what a run was, its rates beside what is expected, and what it cost.

    Expected are the rates of runs with the same settings on NEST, where a reference has them.
    """
    recording = _load(folder)
    console = Console()
    show_settings(recording, console)
    show_run(recording, folder, console, expected_of(recording))
    err = Console(stderr=True)
    for text in warnings_of(recording.metadata):
        err.print(Text.assemble(("Warning: ", "yellow"), printable_lines(text)), soft_wrap=True)


def plot(
    folder: Run,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o",
            help=f"File to write: .png, .pdf or .svg. {FIGURE} in the folder unless given.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Draw a run: spikes, rates, power spectra and what else was recorded."""
    recording = _load(folder)
    if file is None:
        if not folder.is_dir():
            raise OutputError(f"{folder} is no folder: --out says where the picture goes")
        file = folder / FIGURE
    try:
        recording.plot(file)
    except OutputError as error:
        raise OutputError(f"{folder}: {error}") from error
    Console().print(str(file), soft_wrap=True, markup=False, highlight=False)


def _load(folder: Path) -> Recording:
    """A run; of folders that hold runs, it is said how to name one.

    Raises
    ------
    OutputError
        If there is none.
    """
    if not folder.exists():
        raise OutputError(f"{folder} does not exist: name the folder of a run")
    if folder.is_dir() and not (folder / RUN).exists():
        runs = sorted(path.parent for path in folder.glob(f"*/{RUN}"))
        if runs:
            kind = "a sweep" if (folder / sweeping.RESULT).exists() else "folders of runs"
            raise OutputError(
                f"{folder} holds {kind}, not one run: name one of its {len(runs)} runs, for "
                f"example {runs[0]}"
            )
    return Recording.load(folder)

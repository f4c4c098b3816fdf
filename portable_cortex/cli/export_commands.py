"""``portable-cortex export``: a network as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..errors import UnknownNameError
from ..host.untrusted import printable
from ..networks import export as exported
from .options import (
    Drive,
    Duration,
    ModelName,
    Overwrite,
    Param,
    Scale,
    Seed,
    Timestep,
    model_parameters,
)
from .progress import ConsoleReporter

FORMATS = ("sonata",)

out = Console()
err = Console(stderr=True)


def export(
    model: ModelName = "pd14",
    format_name: Annotated[
        str, typer.Option("--format", help=f"Format of the files: {' or '.join(FORMATS)}.")
    ] = FORMATS[0],
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    seed: Seed = 1,
    timestep: Timestep = 0.1,
    duration: Duration = 1000.0,
    overwrite: Overwrite = False,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the network. results/MODEL-FORMAT unless given."),
    ] = None,
) -> None:
    """Write the network of a model, synapse by synapse, for NEST's own reader, BMTK and others.

    It is the network of `run --realisation shared` with the same seed. `run --model
    FOLDER/network.json` reads it, on any backend.
    """
    if format_name not in FORMATS:
        raise UnknownNameError("format", format_name, FORMATS)
    place = folder or Path("results") / f"{Path(model).stem}-{format_name}"
    with ConsoleReporter(err) as reporter:
        written = exported(
            model,
            place,
            parameters=model_parameters(param, scale=scale, drive=drive),
            seed=seed,
            timestep=timestep,
            duration=duration,
            overwrite=overwrite,
            progress=reporter.phase,
        )
    for note in written.notes:
        err.print(Text.assemble(("Note: ", "yellow"), printable(f"{note}.")), soft_wrap=True)
    sources = f", {written.n_sources:,} sources" if written.n_sources else ""
    out.print(
        f"{written.n_neurons:,} neurons{sources}, {written.n_synapses:,} synapses\n"
        f"written to {written.file}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )

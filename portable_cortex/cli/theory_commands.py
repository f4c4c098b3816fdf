"""``portable-cortex predict``: what theory says of a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import OutputError
from ..host.output import whole
from ..host.untrusted import printable
from ..models.loader import load_model
from ..theory import HIGHEST, METHODS, Peak, Prediction
from ..theory import predict as predicted
from .options import Drive, ModelName, Param, Scale, model_parameters

out = Console()
PEAKS = 4  # that are shown


def predict(
    model: ModelName = "pd14",
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    method: Annotated[
        str, typer.Option(help=f"How synaptic time constants enter: {' or '.join(METHODS)}.")
    ] = METHODS[0],
    equal: Annotated[
        bool, typer.Option("--equal", help="Take the neurons of a population as equal.")
    ] = False,
    highest: Annotated[float, typer.Option(help="Highest frequency of the spectra, Hz.")] = HIGHEST,
    to: Annotated[
        Path | None, typer.Option(help="The picture; MODEL-theory.png unless given.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON.")] = None,
) -> None:
    """Predict rates, irregularity and oscillations by mean-field theory, without a simulation.

    For networks of leaky integrate-and-fire neurons (IF_curr_exp, IF_curr_delta) with stationary
    input.
    """
    from .theory_drawing import draw

    given = model_parameters(param, scale=scale, drive=drive)
    load_model(model).check(given)  # before they could be taken for what follows
    found = predicted(
        model,
        method=method,
        equal=equal,
        highest=highest,
        **given,
    )
    show(found, out)
    path = to or Path(f"{Path(model).stem}-theory.png")
    draw(found, path)
    out.print(f"{'figure':17}{path}", soft_wrap=True, markup=False, highlight=False)
    if json_file is not None:
        try:
            with whole(json_file) as part:
                part.write_text(json.dumps(found.to_dict(), indent=1) + "\n")
        except OSError as error:
            raise OutputError(f"{json_file} could not be written: {error}") from error
        out.print(f"{'JSON file':17}{json_file}", soft_wrap=True, markup=False, highlight=False)


def show(found: Prediction, console: Console) -> None:
    """Print the table of populations, the peaks and the doubts."""
    published = found.published
    table = Table(title="mean-field theory", caption="rates in spikes/s; input in mV above rest")
    names = ["population", "rate", *(["published"] if published else []), "CV", "input"]
    for name in (*names, "SD", "spread", "gain"):
        table.add_column(name, justify="left" if name == "population" else "right")
    state = found.state
    gains = state.gains
    for i, (label, rate) in enumerate(found.rates.items()):
        shown = [published.get(label)] if published else []
        numbers = [
            rate,
            *shown,
            found.cv[label],
            state.input.mean[i],
            state.input.deviation[i] / 2**0.5,
            state.spread[i],
            gains[i],
        ]
        cells = ("" if value is None else f"{value:.3f}" for value in numbers)
        table.add_row(escape(printable(label)), *cells)
    console.print(table)
    console.print(
        "[dim]SD: of the free potential, mV; spread: standard deviation of the input over neurons, "
        "mV; gain: spikes/s per mV[/]",
        soft_wrap=True,
    )
    peaks = found.spectra.peaks()[:PEAKS]
    for peak in peaks:
        console.print(sentence(found, peak), soft_wrap=True, markup=False, highlight=False)
    if not peaks:
        console.print("no oscillation stands out", highlight=False)
    for note in found.notes:
        console.print(f"[yellow]Note[/]: {escape(printable(note))}.", soft_wrap=True)


def sentence(found: Prediction, peak: Peak) -> str:
    """What is to be said of a peak.

    Examples
    --------
    >>> found = predicted("pd14", scale=1.0)
    >>> sentence(found, found.spectra.peaks()[0]).split(",")[0]
    'peak at 322 Hz (eigenvalue 0.05 from 1)'
    """
    names = found.populations

    def listed(sign: int) -> str:
        pairs = [(i, j) for i, j in peak.strongest() if sign * peak.amplitude[i, j] > 0]
        return ", ".join(f"{names[j]}→{names[i]}" for i, j in pairs) or "none"

    return (
        f"peak at {peak.frequency:g} Hz (eigenvalue {peak.distance:.2f} from 1), made by "
        f"{listed(1)}; damped by {listed(-1)}"
    )

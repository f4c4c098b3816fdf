"""``portable-cortex neurons ...``: neuron models, and what backends make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..errors import PortableCortexError
from ..neurons import library
from ..neurons.celltype import cell_type
from ..neurons.form import Neuron
from ..registry import DEFAULT_BACKEND, backend_names, load_backend

out = Console()

neurons = typer.Typer(help="Neuron models, written once in NESTML.", no_args_is_help=True)

Description = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the catalogue, or a file in NESTML.")
]


@neurons.command(name="list")
def list_() -> None:
    """List the models of the catalogue, and what each backend does with them."""
    backends = [name for name in backend_names() if load_backend(name).takes_neurons]
    table = Table(Column("model", no_wrap=True), "what", *backends)
    for name in library.catalogue():
        neuron = library.load(name)
        table.add_row(name, escape(library.about(name)), *(_solution(neuron, b) for b in backends))
    out.print(table)
    out.print(
        "exact: advanced by its exact solution; solver: by Runge and Kutta's method, a step or, "
        "where that is rough, eight parts of it (brian2: always); as written: by its own update. "
        "A model of your own is a file in NESTML: sim.nestml_cell_type(NAME, FILE)"
    )


def _solution(neuron: Neuron, backend: str) -> str:
    try:
        load_backend(backend).neuron_code(cell_type("Neuron", neuron))
    except PortableCortexError as error:
        return f"[red]no[/]: {escape(str(error))}"
    return neuron.solution


@neurons.command()
def show(
    name: Description,
    backend: Annotated[
        str | None, typer.Option(help="Show what is written for this backend instead.")
    ] = None,
) -> None:
    """Show a model: parameters, equations and what a step does, or the code of a backend."""
    neuron = library.load(name)
    if backend is None:
        out.print(str(neuron), markup=False, highlight=False)
        return
    code = load_backend(backend).neuron_code(cell_type("Neuron", neuron))
    out.print(code, markup=False, highlight=False, soft_wrap=True)


@neurons.command()
def plot(
    name: Description,
    backend: Annotated[str, typer.Option(help="Which one simulates.")] = DEFAULT_BACKEND,
    to: Annotated[Path | None, typer.Option(help="The picture; NAME.png unless given.")] = None,
) -> None:
    """Draw a model's response to a current step, a single spike, and its f-I curve."""
    from .neuron_drawing import draw

    path = to or Path(f"{Path(name).stem}.png")
    draw(library.load(name), load_backend(backend), path)
    out.print(f"{path} shows {name} on {backend}", highlight=False, markup=False)

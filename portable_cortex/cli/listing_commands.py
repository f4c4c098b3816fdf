"""``portable-cortex backends | hardware | models``: what there is to choose from."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..backend import Backend
from ..errors import PortableCortexError
from ..host.untrusted import printable
from ..machine import load_machine, machine_names
from ..models.loader import MODELS, load_model
from ..options import describe_options
from ..registry import backend_names, load_backend
from ..support import summary
from .options import backend_completion


def backends(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="BACKEND", help="Show all of one.", autocompletion=backend_completion
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, of all or of one.")] = False,
) -> None:
    """List the backends: whether they are usable here; of one, all that it can do."""
    out = Console()
    if as_json:
        names = backend_names() if name is None else (name,)
        text = json.dumps({one: _facts(one) for one in names}, indent=2, ensure_ascii=False)
        out.print(text, soft_wrap=True, markup=False, highlight=False)
    elif name is None:
        _list(out)
    else:
        _detail(load_backend(name), out)


def _list(out: Console) -> None:
    """One screen."""
    table = Table("backend", "usable", "version", "what it is")
    installs, broken = [], []
    for name in backend_names():
        try:
            backend = load_backend(name)
        except PortableCortexError as error:
            broken.append(f"{name}: {error}")
            table.add_row(escape(name), "[red]no", "", "cannot be loaded")
            continue
        found = backend.availability()
        if not found.available:
            installs.append(f"{name:10} {found.install}")
        usable = "[green]yes" if found.available else "[red]no"
        table.add_row(escape(name), usable, escape(_version(backend)), escape(backend.summary))
    out.print(table)
    for text in (*broken, *(["to install:", *installs] if installs else [])):
        out.print(printable(text), soft_wrap=True, markup=False, highlight=False)
    out.print(
        "portable-cortex backends NAME shows cells, synapses, options and limits of one",
        soft_wrap=True,
        highlight=False,
    )


def _version(backend: Backend) -> str:
    """With the name of the package whose it is, where that is another one."""
    version = backend.availability().version
    if version is None:
        return ""
    package = backend.distributions[0]
    version = version.partition("!")[2] or version  # without an epoch
    return version if backend.name in package or package in backend.name else f"{package} {version}"


def _detail(backend: Backend, out: Console) -> None:
    found = backend.availability()
    usable = "usable here" if found.available else f"not installed: {found.install}"
    version = _version(backend)
    lines = [
        f"{backend.name}: {backend.summary}",
        f"{usable}{f'; version {version}' if version else ''}",
        *summary(backend).splitlines(),
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False)
    table = Table("option", "default", "what")
    for option, default, what in describe_options(backend.Options):
        table.add_row(option, escape(str(default)), escape(what))
    if table.row_count:
        out.print(table)
        out.print("--option NAME=VALUE gives one", highlight=False)


def _facts(name: str) -> dict[str, Any]:
    """Of a backend, for programs."""
    try:
        backend = load_backend(name)
    except PortableCortexError as error:
        if name not in backend_names():
            raise
        return {"available": False, "error": str(error)}
    return {
        **asdict(backend.availability()),
        "summary": backend.summary,
        "capabilities": asdict(backend.capabilities),
        "cannot": dict(backend.cannot),
        "options": {
            option: {"default": str(default), "what": what}
            for option, default, what in describe_options(backend.Options)
        },
    }


def hardware() -> None:
    """List the machines that the package knows."""
    out = Console()
    for name in machine_names():
        machine = load_machine(name)
        where = f" ({', '.join(machine.backends)} only)" if machine.backends else ""
        out.print(f"[bold]{escape(name)}[/]{escape(where)}", highlight=False, soft_wrap=True)
        out.print(f"    {machine.description}", markup=False, highlight=False, soft_wrap=True)
        for backend, values in machine.options.items():
            options = ", ".join(f"{k}={json.dumps(v)}" for k, v in values.items())
            out.print(f"    {backend}: {options}", markup=False, highlight=False, soft_wrap=True)
    out.print("A machine of your own is a .toml file of the same form: --machine path/to/mine.toml")


def models() -> None:
    """List the models, and the parameters that each takes."""
    out = Console()
    table = Table("model", "what", "parameters", show_lines=True)
    for name in MODELS:
        model = load_model(name)
        module = sys.modules[MODELS[name]]
        summary_line = (inspect.getdoc(module) or "").partition("\n")[0]
        parameters = "\n".join(f"{k} = {v!r}" for k, v in model.parameters.items())
        table.add_row(name, escape(summary_line), escape(parameters))
    out.print(table)
    out.print(
        "A model of your own is a Python file with build(sim, ...): --model path/to/mine.py\n"
        "A network in the SONATA format is its configuration: --model path/to/network.json"
    )

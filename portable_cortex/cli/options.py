"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..errors import InvalidValueError
from ..experiment import REALISATIONS
from ..models.loader import MODELS
from ..models.scaling import DRIVES

SCALE_HELP = "Fraction of the neurons and in-degrees. The model's own unless given."
DRIVE_HELP = f"Background input: {' or '.join(DRIVES)}."
PARAM_HELP = "Any other parameter of the model, NAME=VALUE (JSON)"
SEEDS_HELP = "How many, or which, e.g. 10 or 11-20."
OPTION_HELP = "Option of the backend, NAME=VALUE"

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help=f"{', '.join(MODELS)}, a Python file with build(sim, ...), or the .json file of a "
        "network in the SONATA format.",
    ),
]
MachineName = Annotated[
    str,
    typer.Option(
        "--machine", help="Machine by name (`portable-cortex hardware`), or a .toml file."
    ),
]
Scale = Annotated[float | None, typer.Option(help=SCALE_HELP)]
Drive = Annotated[str | None, typer.Option(help=DRIVE_HELP)]
Param = Annotated[list[str] | None, typer.Option(help=f"{PARAM_HELP}; repeatable.")]
Option = Annotated[list[str] | None, typer.Option(help=f"{OPTION_HELP}; repeatable.")]
Duration = Annotated[float, typer.Option(help="Model time to record, ms.")]
Warmup = Annotated[float, typer.Option(help="Model time to discard before it, ms.")]
Timestep = Annotated[float, typer.Option(help="Time step, ms.")]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers, 1 or more.")]
Realisation = Annotated[
    str,
    typer.Option(
        help=f"{' or '.join(REALISATIONS)}: the network drawn by the backend, or by the core, "
        "identically for every backend."
    ),
]
Record = Annotated[
    list[str] | None,
    typer.Option(help="Also record VARIABLE:POPULATION:COUNT, e.g. v:L4E:10; repeatable."),
]
NoRecord = Annotated[
    bool, typer.Option("--no-record", help="Record no spikes, to measure performance.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what the folder holds already.")
]


def how_many_or_which(text: str) -> list[int]:
    """Seeds as a number of them, or as a list.

    Raises
    ------
    InvalidValueError
        For anything else.

    Examples
    --------
    >>> how_many_or_which("3"), how_many_or_which("11-12"), how_many_or_which("1")
    ([1, 2, 3], [11, 12], [1])
    """
    from ..sweep import parse_seeds

    return parse_seeds(f"1-{text}" if text.isdecimal() and int(text) > 1 else text)


def pairs(texts: list[str] | None, flag: str) -> dict[str, str]:
    """Read repeated options of the form NAME=VALUE.

    Raises
    ------
    InvalidValueError
        For another form.

    Examples
    --------
    >>> pairs(["threads=2"], "--option")
    {'threads': '2'}
    """
    pairs = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidValueError(f"{flag} takes NAME=VALUE, not {text!r}")
        pairs[name] = value
    return pairs


def json_or_text(text: str) -> Any:
    """A value as JSON, or the bare word that it is.

    Examples
    --------
    >>> json_or_text("6"), json_or_text("dc")
    (6, 'dc')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # a bare word


def model_parameters(param: list[str] | None, **given: Any) -> dict[str, Any]:
    """Parameters of a model: those with an option of their own, where given, and all others.

    Examples
    --------
    >>> model_parameters(["g=6"], scale=None, drive="dc")
    {'drive': 'dc', 'g': 6}
    """
    own = {name: value for name, value in given.items() if value is not None}
    return own | {name: json_or_text(text) for name, text in pairs(param, "--param").items()}

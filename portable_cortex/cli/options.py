"""Options that several commands take, and how their values are read."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from ..errors import InvalidValueError
from ..experiment import REALISATIONS
from ..machine import machine_names
from ..models.loader import MODELS
from ..models.scaling import DRIVES
from ..registry import backend_names

SCALE_HELP = "Fraction of the neurons and in-degrees. The model's own unless given."
DRIVE_HELP = f"Background input: {' or '.join(DRIVES)}."
PARAM_HELP = "Any other parameter of the model, NAME=VALUE: a number, a word, true, or JSON"
SEEDS_HELP = "How many, or which, e.g. 10 or 11-20."
OPTION_HELP = "Option of the backend, NAME=VALUE"


def backend_completion(incomplete: str) -> list[str]:
    """Names of backends that a shell completes."""
    return _beginning(backend_names(), incomplete)


def model_completion(incomplete: str) -> list[str]:
    """Names of models that a shell completes; files are left to it."""
    return _beginning(MODELS, incomplete)


def machine_completion(incomplete: str) -> list[str]:
    """Names of machines that a shell completes; files are left to it."""
    return _beginning(machine_names(), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        autocompletion=model_completion,
        help=f"{', '.join(MODELS)}, a Python file with build(sim, ...), or the .json file of a "
        "network in the SONATA format.",
    ),
]
MachineName = Annotated[
    str,
    typer.Option(
        "--machine",
        autocompletion=machine_completion,
        help="Machine by name (`portable-cortex hardware`), or a .toml file.",
    ),
]
Scale = Annotated[float | None, typer.Option("--scale", "-s", help=SCALE_HELP)]
Drive = Annotated[str | None, typer.Option(help=DRIVE_HELP)]
Param = Annotated[
    list[str] | None, typer.Option("--param", "-p", help=f"{PARAM_HELP}; repeatable.")
]
Option = Annotated[list[str] | None, typer.Option(help=f"{OPTION_HELP}; repeatable.")]
Duration = Annotated[float, typer.Option("--duration", "-d", help="Model time to record, ms.")]
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
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Tell no progress; warnings and errors are told.")
]


def paragraphs(text: str) -> str:
    r"""Help with a line for each paragraph: a terminal breaks them, each by its width.

    Examples
    --------
    >>> paragraphs("First,\n    and more.\n\n    Last.")
    'First, and more.\n\nLast.'
    """
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def flow(app: typer.Typer) -> None:
    """Let the help of an application's commands flow, so that no line ends early."""
    for command in app.registered_commands:
        command.help = paragraphs(command.help or inspect.getdoc(command.callback) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            flow(group.typer_instance)


def examples(*lines: str) -> str:
    r"""What stands at the end of a command's help.

    Examples
    --------
    >>> examples("run", "run -d 100")
    'Examples:\n\nportable-cortex run\n\nportable-cortex run -d 100'
    """
    return "\n\n".join(["Examples:", *(f"portable-cortex {line}" for line in lines)])


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


def numbers(text: str | None, flag: str) -> tuple[int, ...]:
    """Whole numbers, separated by commas; none of no text.

    Raises
    ------
    InvalidValueError
        For anything else.

    Examples
    --------
    >>> numbers("1,2,4", "--threads"), numbers(None, "--threads")
    ((1, 2, 4), ())
    """
    try:
        return tuple(int(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise InvalidValueError(f"{flag} takes numbers such as 1,2,4, not {text!r}") from None


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

"""Machine files: how a backend is run on one machine, as TOML.

::

    description = "A workstation, four threads"
    backends = ["nest"]          # which it can run; all, if left out

    [options.nest]               # options of one backend (portable-cortex backends lists them)
    threads = 4

    [power]                      # what measures energy; nothing, if left out (see `power`)
    meter = "rapl"
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .backend import Backend
from .errors import InvalidValueError, MachineFileError, UnknownNameError, UnsupportedError
from .host.untrusted import parse_toml, printable
from .models.user_code import shown
from .options import BackendOptions
from .power import METERS, AnyPowerSettings
from .registry import DEFAULT_MACHINE, check_backend, load_backend


class Machine(BaseModel):
    """One machine, as its file describes it.

    Attributes
    ----------
    name : str
        Name of the file without its ending.
    description : str
        One line for `portable-cortex hardware`.
    backends : tuple of str or None
        Backends that the machine can run; None for all.
    options : dict of str to dict
        Options by backend.
    power : PowerSettings or None
        What measures the energy of a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    backends: tuple[str, ...] | None = None
    options: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    power: AnyPowerSettings | None = None

    def options_for(
        self, backend: Backend, given: Mapping[str, str] | None = None
    ) -> BackendOptions:
        """Options of a backend: its defaults, then the machine's, then those `given`.

        Raises
        ------
        UnsupportedError
            If the machine does not run the backend.
        InvalidValueError
            For an option that the backend does not have, or a value that it cannot take.
        """
        if self.backends is not None and backend.name not in self.backends:
            raise UnsupportedError(
                f"machine {self.name!r} runs {', '.join(self.backends)}, not {backend.name!r}"
            )
        values = {**self.options.get(backend.name, {}), **(given or {})}
        try:
            return backend.Options.parse(values)
        except (InvalidValueError, UnknownNameError) as error:
            raise InvalidValueError(f"option of backend {backend.name!r}: {error}") from None


def machine_names() -> tuple[str, ...]:
    """Names of the machines that the package knows.

    Examples
    --------
    >>> "local" in machine_names()
    True
    """
    folder = resources.files("portable_cortex.hardware_configs")
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_machine(name: str | Path = DEFAULT_MACHINE) -> Machine:
    """Read and check a machine file.

    Parameters
    ----------
    name : str or Path
        One of `machine_names`, or the path of a ``.toml`` file.

    Raises
    ------
    UnknownNameError
        For a name that is neither.
    MachineFileError
        For a file that is no TOML, or does not fit: the message names the file, the key and what
        would be valid.

    Examples
    --------
    >>> load_machine("local").backends is None
    True
    """
    text = str(name)
    if text in machine_names():
        file = f"{text}.toml"
        source = resources.files("portable_cortex.hardware_configs").joinpath(file)
        return _parse(text, file, source.read_text("utf-8"))
    path = Path(text)
    if path.suffix != ".toml":
        raise UnknownNameError(
            "machine", text, machine_names(), "A machine of your own is a .toml file"
        )
    try:
        content = path.read_text("utf-8-sig")  # with or without a byte order mark
    except (OSError, ValueError) as error:  # ValueError: it is no UTF-8
        raise MachineFileError(f"machine file {text} cannot be read: {error}") from error
    return _parse(path.stem, text, content)


def _parse(name: str, file: str, text: str) -> Machine:
    try:
        content = parse_toml(text)
    except ValueError as error:
        raise MachineFileError(f"{file} is no valid TOML: {printable(error)}") from None
    if "name" in content:
        raise MachineFileError(f"{file}: 'name' is the file's own name and cannot be set")
    if isinstance(content.get("backends"), list):
        content["backends"] = tuple(content["backends"])  # strict mode keeps lists and tuples apart
    if isinstance(content.get("power"), dict):
        content["power"] = _power(file, content["power"])
    try:
        machine = Machine.model_validate({"name": name, **content}, strict=True)
    except ValidationError as error:
        raise MachineFileError(f"{file}: {_explain(error, Machine)}") from None
    for backend in (*(machine.backends or ()), *machine.options):
        try:
            check_backend(backend)
        except UnknownNameError as error:
            raise MachineFileError(f"{file}: {error}") from None
    for backend, options in machine.options.items():
        try:
            load_backend(backend).Options.of(options)
        except (InvalidValueError, UnknownNameError) as error:
            raise MachineFileError(f"{file}: [options.{backend}] {error}") from None
    return machine


def _power(file: str, table: Mapping[str, Any]) -> Any:
    """The ``[power]`` table, checked against the keys of its own meter."""
    if "meter" not in table:
        raise MachineFileError(
            f"{file}: [power] key 'meter' is required: one of {', '.join(METERS)}"
        )
    meter = str(table["meter"])
    if meter not in METERS:
        raise MachineFileError(f"{file}: [power] {UnknownNameError('meter', meter, METERS)}")
    try:
        return METERS[meter].model_validate(table, strict=True)
    except ValidationError as error:
        raise MachineFileError(f"{file}: [power] {_explain(error, METERS[meter])}") from None


def _explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """All that is wrong, each with its key, what was received, and what is valid."""
    valid = [name for name in schema.model_fields if name != "name"]
    problems = []
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")  # pydantic's words before ours
        if not key:  # several keys do not go together
            problems.append(message)
        elif detail["type"] == "extra_forbidden":
            problems.append(str(UnknownNameError("key", key, valid)))
        elif detail["type"] == "missing":
            problems.append(f"key {key!r} is required")
        else:
            problems.append(f"key {key!r}: {message}, not {shown(detail['input'])}")
    return "; ".join(problems)

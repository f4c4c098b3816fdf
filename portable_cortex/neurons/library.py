"""Where models come from: the catalogue, a file, a text; read once, and kept.

pynestml takes seconds to start and to read a model. So the package has the forms of its catalogue,
and needs no pynestml for them; what it reads of others is kept in the user's cache, by the text and
by the versions of all that read it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from ..errors import InvalidValueError, UnknownNameError, UnsupportedError
from ..host.cache import writable_cache
from .form import Neuron
from .storage import restored, stored

SUFFIX = ".nestml"
DEPTH = 4  # of what has lines of its own: a model, its form, a kind of thing, a thing


def catalogue() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in _folder().iterdir()
                        if f.name.endswith(SUFFIX)))  # fmt: skip


def _folder() -> resources.abc.Traversable:
    return resources.files(__package__) / "catalogue"


def about(name: str) -> str:
    """What a model of the catalogue is: the first sentence of its file.

    Examples
    --------
    >>> about("lif_curr_exp")
    'Leaky integrate-and-fire neuron with exponential synaptic currents'
    """
    said = []
    for line in _text(name).splitlines():
        if not line.removeprefix("#").strip():
            break
        said.append(line.removeprefix("#").strip())
    return " ".join(said).partition(". ")[0].removesuffix(".")


def source(description: str | Path) -> str:
    """The text in NESTML of a name of the catalogue, a file, or a text itself.

    Raises
    ------
    UnknownNameError
        For what is no such thing.
    InvalidValueError
        For a file that is no text.

    Examples
    --------
    >>> source("lif_curr_exp").splitlines()[0]
    '# Leaky integrate-and-fire neuron with exponential synaptic currents.'
    """
    said = str(description)
    if said in catalogue():
        return _text(said)
    if "\n" in said:
        return said
    if not Path(said).is_file():
        raise UnknownNameError(
            "neuron model", said, catalogue(), "A model of your own is a file in NESTML"
        )
    try:
        return Path(said).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = Path(said).read_bytes()[: error.start].count(b"\n") + 1
        raise InvalidValueError(
            f"{said}, line {line}: a model in NESTML is text in UTF-8, and this is not; save it as "
            "UTF-8, or leave out letters beyond a to z"
        ) from error


def load(description: str | Path | Neuron, name: str | None = None) -> Neuron:
    """The model of a description.

    Parameters
    ----------
    description : str, Path or Neuron
        A name of the catalogue, a file, or a text in NESTML; a model is returned as it is.
    name : str, optional
        Of the model, where the description has several.

    Raises
    ------
    UnknownNameError
        For what is no such thing.
    InvalidValueError, UnsupportedError
        For mistakes in it (`nestml.read`).
    """
    if isinstance(description, Neuron):
        return description
    said = str(description)
    text = source(description)
    if said in catalogue():
        return _kept(said) or _read(text, said, None)
    models = [line for line in text.splitlines() if line.startswith("model ")]
    origin = "the description" if "\n" in said else said
    return _read(text, origin, name if len(models) > 1 else None)


@functools.cache
def _kept(name: str) -> Neuron | None:
    """A model of the catalogue, as `write` kept it; None if its file has changed since."""
    kept = json.loads(_forms().read_text("utf-8")).get(name)
    is_of_file = kept is not None and kept["text"] == _digest(_text(name))
    return restored(kept["form"]) if is_of_file else None


@functools.cache
def _read(text: str, origin: str, name: str | None) -> Neuron:
    place = writable_cache("neurons") / f"{_version(text, name)}.json"
    if not place.exists():
        if not _has_nestml():
            raise UnsupportedError(
                f"{origin} is in NESTML, which pynestml reads: "
                "pip install 'portable-cortex[nestml]'"
            )
        form = stored(_read_anew(text, origin, name))
        part = place.with_suffix(".part")
        part.write_text(json.dumps(form), "utf-8")
        part.replace(place)
    return restored(json.loads(place.read_text("utf-8")))


def _read_anew(text: str, origin: str, name: str | None = None) -> Neuron:
    from . import nestml

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIX}"
        path.write_text(text, "utf-8")
        return nestml.read(path, name, origin)


def entry(name: str) -> dict[str, Any]:
    """What `write` keeps of a model of the catalogue, which pynestml reads."""
    return {"text": _digest(_text(name)), "form": stored(_read_anew(_text(name), name))}


def write() -> None:
    """Keep the catalogue's forms anew; ``python -m portable_cortex.neurons.library`` does it."""
    entries = {name: entry(name) for name in catalogue()}
    Path(str(_forms())).write_text(_laid_out(entries) + "\n", "utf-8")


def _laid_out(value: Any, depth: int = 0) -> str:
    """JSON with a line for each thing that a model has."""
    if depth == DEPTH or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    pairs = value.items() if isinstance(value, dict) else ((None, part) for part in value)
    lines = (
        (f"{json.dumps(key)}: " if key else "") + _laid_out(part, depth + 1) for key, part in pairs
    )
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return (
        begin
        + ",".join("\n" + " " * (depth + 1) + line for line in lines)
        + "\n"
        + " " * depth
        + end
    )


def _forms() -> resources.abc.Traversable:
    return _folder() / "forms.json"


def _text(name: str) -> str:
    return (_folder() / f"{name}{SUFFIX}").read_text("utf-8")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _version(text: str, name: str | None) -> str:
    """Of a text and of all that reads it."""
    own = [file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))]
    versions = (
        [metadata.version(package) for package in ("nestml", "odetoolbox")] if _has_nestml() else []
    )
    return _digest(text, name or "", *versions, *own)


def _has_nestml() -> bool:
    try:
        metadata.version("nestml")
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    write()

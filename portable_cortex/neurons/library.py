"""Where models come from: the catalogue, a file, a text; read once, and kept in the cache.

pynestml takes seconds to start and to read a model, so what was read is kept by the text and by the
versions of all that read it.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import tempfile
from importlib import metadata, resources
from pathlib import Path

from ..errors import InvalidValueError, UnsupportedError
from ..host.cache import writable_cache
from .form import Neuron

SUFFIX = ".nestml"


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
    for line in (_folder() / f"{name}{SUFFIX}").read_text().splitlines():
        if not line.removeprefix("#").strip():
            break
        said.append(line.removeprefix("#").strip())
    return " ".join(said).partition(". ")[0].removesuffix(".")


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
    InvalidValueError, UnsupportedError
        For what is no such thing, and for mistakes in it (`nestml.read`).
    """
    if isinstance(description, Neuron):
        return description
    said = str(description)
    if said in catalogue():
        return _read((_folder() / f"{said}{SUFFIX}").read_text(), said, name)
    if "\n" in said:
        return _read(said, "the description", name)
    if not Path(said).is_file():
        raise InvalidValueError(
            f"{said} is neither a file nor a model of the catalogue: {', '.join(catalogue())}"
        )
    return _read(Path(said).read_text(), said, name)


@functools.cache
def _read(text: str, origin: str, name: str | None) -> Neuron:
    place = writable_cache("neurons") / f"{_version(text, name)}.pickle"
    if place.exists():
        kept = pickle.loads(place.read_bytes())
        assert isinstance(kept, Neuron)
        return kept
    if not _has_nestml():
        raise UnsupportedError(
            f"{origin} is in NESTML, which pynestml reads: pip install 'portable-cortex[nestml]'"
        )
    from . import nestml

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIX}"
        path.write_text(text)
        neuron = nestml.read(path, name, origin)
    part = place.with_suffix(".part")
    part.write_bytes(pickle.dumps(neuron))
    part.replace(place)
    return neuron


def _version(text: str, name: str | None) -> str:
    """Of a text and of all that reads it."""
    own = [file.read_text() for file in sorted(Path(__file__).parent.glob("*.py"))]
    versions = (
        [metadata.version(package) for package in ("nestml", "odetoolbox")] if _has_nestml() else []
    )
    return hashlib.sha256("\n".join([text, name or "", *versions, *own]).encode()).hexdigest()[:16]


def _has_nestml() -> bool:
    try:
        metadata.version("nestml")
    except metadata.PackageNotFoundError:
        return False
    return True

"""From the name of a backend to the backend, imported on first use.

Backends of other packages register themselves under the entry-point group
``portable_cortex.backends``; a built-in name cannot be taken over.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from .backend import Backend
from .errors import BackendUnavailableError, UnknownNameError

GROUP = "portable_cortex.backends"

BUILTIN = {
    "builtin": "portable_cortex.backends.builtin:BuiltinBackend",
    "nest": "portable_cortex.backends.nest:NestBackend",
    "brian2": "portable_cortex.backends.brian2:Brian2Backend",
    "neuron": "portable_cortex.backends.neuron:NeuronBackend",
    "spinnaker": "portable_cortex.backends.spinnaker:SpinnakerBackend",
    "coarse": "portable_cortex.backends.coarse:CoarseBackend",
    "mock": "portable_cortex.backends.mock:MockBackend",
}

DEFAULT_BACKEND = "builtin"
DEFAULT_MACHINE = "local"

# no backend, but what one runs on
EMULATED_BOARD = "portable_cortex.backends.spinnaker.board:EmulatedBoard"


def backend_names() -> tuple[str, ...]:
    """Names of all registered backends, built-in ones first.

    Examples
    --------
    >>> "nest" in backend_names()
    True
    """
    others = {point.name for point in importlib.metadata.entry_points(group=GROUP)}
    return (*BUILTIN, *sorted(others - set(BUILTIN)))


def check_backend(name: str) -> None:
    """Refuse a name that nothing registered.

    Raises
    ------
    UnknownNameError

    Examples
    --------
    >>> check_backend("nest")
    """
    # the names of others are read from all distributions, which takes a while
    if name not in BUILTIN and name not in (names := backend_names()):
        raise UnknownNameError("backend", name, names)


def load_backend(name: str) -> Backend:
    """Make a backend by name. Imports the backend's own module, not its simulator.

    Raises
    ------
    UnknownNameError
        For a name that nothing registered.
    BackendUnavailableError
        If the backend's own code cannot be imported.
    """
    check_backend(name)
    try:
        made: Any = _target(name)()
    except Exception as error:  # whatever another package's code raises
        raise BackendUnavailableError(
            f"backend {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, Backend):
        raise BackendUnavailableError(
            f"backend {name!r} is a {type(made).__name__}, not a portable_cortex.Backend"
        )
    return made


def _target(name: str) -> Any:
    if name in BUILTIN:
        return load_target(BUILTIN[name])
    (point, *_) = importlib.metadata.entry_points(group=GROUP, name=name)
    return point.load()


def load_target(import_string: str) -> Any:
    """What an import string such as ``"package.module:name"`` names.

    Examples
    --------
    >>> load_target("math:pi")
    3.141592653589793
    """
    module, _, attribute = import_string.partition(":")
    return getattr(importlib.import_module(module), attribute)

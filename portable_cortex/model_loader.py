"""Find a model by name or by file, and check parameters against what its ``build`` takes."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ModelError, UnknownNameError

MODELS = {
    "pd14": "portable_cortex.model",
    "brunel2000": "portable_cortex.brunel2000",
}


class ModelWarning(UserWarning):
    """What a model's author would want its user to know before believing the result."""


def warn_model(message: str) -> None:
    """Warn the user from within a model's ``build``."""
    warnings.warn(message, ModelWarning, stacklevel=3)


@dataclass(frozen=True)
class Model:
    """A network description: a ``build(sim, ...)`` and, if there are any, published rates.

    Attributes
    ----------
    name : str
        The model's name, or the stem of its file.
    build : callable
        ``build(sim, **parameters) -> dict of label to Population``.
    published_rates : callable or None
        ``published_rates(**parameters) -> dict of label to spikes/s``.
    """

    name: str
    build: Callable[..., Mapping[str, Any]]
    published_rates: Callable[..., Mapping[str, float]] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Names and default values of the parameters that ``build`` takes besides ``sim``."""
        signature = inspect.signature(self.build)
        return {p.name: p.default for p in list(signature.parameters.values())[1:]}

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise `UnknownNameError` for a parameter that ``build`` does not take."""
        valid = self.parameters
        for name in parameters:
            if name not in valid:
                raise UnknownNameError(f"parameter of model {self.name!r}", name, valid)


def load_model(name: str | Path) -> Model:
    """Find a model.

    Parameters
    ----------
    name : str or Path
        One of `MODELS`, or a Python file that defines ``build(sim, ...)``.

    Raises
    ------
    UnknownNameError
        For a name that is neither.
    ModelError
        For a file that cannot be imported or has no ``build``.

    Examples
    --------
    >>> sorted(load_model("brunel2000").parameters)
    ['eta', 'g', 'scale', 'seed']
    """
    text = str(name)
    if text in MODELS:
        return _model(text, importlib.import_module(MODELS[text]))
    path = Path(text)
    if path.suffix != ".py":
        raise UnknownNameError("model", text, MODELS, "A model of your own is a .py file")
    if not path.is_file():
        raise ModelError(f"there is no model file {text}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # true for every .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        raise ModelError(
            f"{text} could not be imported: {type(error).__name__}: {error}"
        ) from error
    return _model(path.stem, module)


def _model(name: str, module: ModuleType) -> Model:
    build = getattr(module, "build", None)
    if not callable(build) or not inspect.signature(build).parameters:
        raise ModelError(
            f"{module.__file__} has no function build(sim, ...) that returns its populations by "
            "label"
        )
    return Model(name, build, getattr(module, "published_rates", None))

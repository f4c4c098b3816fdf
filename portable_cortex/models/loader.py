"""Find a model by name or by file, and check parameters against what its ``build`` takes."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import (
    InvalidValueError,
    ModelError,
    ModelWarning,
    PortableCortexError,
    UnknownNameError,
)
from .user_code import describe, is_asked_to_end, located, place_of, shown

MODELS = {
    "pd14": "portable_cortex.models.pd14",
    "brunel2000": "portable_cortex.models.brunel2000",
    "cortical_sheet": "portable_cortex.models.cortical_sheet",
    "interneurons": "portable_cortex.models.interneurons",
    "schwalger2017": "portable_cortex.models.schwalger2017",
    "v1_isolated": "portable_cortex.models.v1_isolated",
    "v1_layer4c": "portable_cortex.models.v1_layer4c",
}


def warn_model(message: str) -> None:
    """Warn the user from within a model's ``build``."""
    warnings.warn(message, ModelWarning, stacklevel=3)


@dataclass(frozen=True)
class Model:
    """A network description: a ``build(sim, ...)``, and what is published and to be said of it.

    Attributes
    ----------
    name : str
        The model's name, or the stem of its file.
    build : callable
        ``build(sim, **parameters) -> dict of label to Population``.
    published_rates : callable or None
        ``published_rates(**parameters) -> dict of label to spikes/s``.
    statements : callable or None
        ``statements(**parameters) -> sequence of str``, sentences about the network.
    file : str or None
        A user's file.
    source : bytes or None
        Its content, which decides what is run as much as its name does.
    digest : callable or None
        SHA-256 of the files of a network in the SONATA format.
    different : callable
        Given warm-up and duration, ms: in what a run differs from the simulation that a file
        describes, in a sentence.
    """

    name: str
    build: Callable[..., Mapping[str, Any]]
    published_rates: Callable[..., Mapping[str, float]] | None = None
    statements: Callable[..., Sequence[str]] | None = None
    file: str | None = None
    source: bytes | None = None
    digest: Callable[[], str] | None = None
    different: Callable[[float, float], str | None] = lambda warmup, duration: None

    @property
    def sha256(self) -> str | None:
        """Of a user's file, or of all files of a network."""
        if self.digest is not None:
            return self.digest()
        return None if self.source is None else hashlib.sha256(self.source).hexdigest()

    @property
    def parameters(self) -> dict[str, Any]:
        """Names and default values of the parameters that ``build`` takes besides ``sim``.

        Those without a default have None.
        """
        return {
            p.name: None if p.default is p.empty else p.default
            for p in self._signature
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }

    @property
    def _signature(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.build).parameters.values())[1:]

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Check names of parameters against what ``build`` takes.

        Raises
        ------
        UnknownNameError
            For one that it does not take.
        InvalidValueError
            For one that it requires and did not get, for one that is no finite number where its
            default is a number, for a scale or a drive that no model of the package has, and for
            the seed, which is the run's.
        """
        valid = self.parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self._signature)
        for name in parameters:
            if name not in valid and not takes_any:
                raise UnknownNameError(f"parameter of model {self.name!r}", name, valid)
        if "seed" in parameters:
            raise InvalidValueError(
                "the model's seed is that of the run: set seed (--seed) instead of the parameter"
            )
        for p in self._signature:
            required = p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            if required and p.name not in parameters and p.name != "seed":
                raise InvalidValueError(f"model {self.name!r} requires the parameter {p.name!r}")
            given = parameters.get(p.name, p.default)
            what = ""
            if _is_number(p.default) and not _is_number(given):
                what = "a finite number"
            elif isinstance(p.default, str) and not isinstance(given, str):
                what = "a word"
            if what:
                raise InvalidValueError(
                    f"parameter {p.name!r} must be {what}, like {p.default!r}, not {shown(given)}"
                )
        if self.file is None:  # what such a parameter of a user's model may be, only that knows
            _check_shorthands({name: v for name, v in parameters.items() if name in valid})

    def expected_rates(self, parameters: Mapping[str, Any]) -> tuple[dict[str, float], str]:
        """The rates that the model publishes for these parameters.

        They are for comparison only, so that a mistake in them is no reason not to run.

        Returns
        -------
        dict of str to float
            spikes/s by label.
        str
            Why there are none although the model has a ``published_rates``; else empty.

        Raises
        ------
        ModelError
            If it ends the program.

        Examples
        --------
        >>> load_model("pd14").expected_rates({})[0]["L4E"]
        4.414
        """
        if self.published_rates is None:
            return {}, ""
        try:
            returned = self.published_rates(**parameters)
        except BaseException as error:
            if is_asked_to_end(error):
                raise
            told = located(error, file=self.file) or ModelError(describe(error))
            if not isinstance(error, Exception):
                raise told from error
            return {}, f"no published rates: {told}"
        if not isinstance(returned, Mapping) or not all(
            isinstance(label, str) and _is_number(rate) and rate >= 0
            for label, rate in returned.items()
        ):
            return {}, (
                f"no published rates: published_rates() of model {self.name!r} must return a dict "
                f"of label to spikes/s, not {shown(returned)}"
            )
        return {str(label): float(rate) for label, rate in returned.items()}, ""

    def said(self, parameters: Mapping[str, Any]) -> list[str]:
        """What the model says of the network with these parameters.

        Raises
        ------
        ModelError
            For a mistake in it.
        PortableCortexError
            For parameters that do not go together.

        Examples
        --------
        >>> load_model("pd14").said({})
        []
        """
        if self.statements is None:
            return []
        try:
            returned = self.statements(**parameters)
        except PortableCortexError:
            raise
        except BaseException as error:
            if is_asked_to_end(error):
                raise
            raise located(error, file=self.file) or ModelError(describe(error)) from error
        if not isinstance(returned, (list, tuple)) or not all(isinstance(s, str) for s in returned):
            raise ModelError(
                f"statements() of model {self.name!r} must return a list of sentences, not "
                f"{shown(returned)}"
            )
        return list(returned)


def _check_shorthands(parameters: Mapping[str, Any]) -> None:
    """Refuse a scale and a drive that no model of the package has, before a simulator is there."""
    from .scaling import DRIVES

    for name in ("scale", "n_scale", "k_scale"):
        value = parameters.get(name)
        if value is not None and not (_is_number(value) and value > 0):
            raise InvalidValueError(
                f"{name} must be above 0, a fraction of the published network, not {shown(value)}"
            )
    drive = parameters.get("drive", DRIVES[0])
    if drive not in DRIVES:
        raise InvalidValueError(f"drive must be one of {', '.join(DRIVES)}, not {shown(drive)}")


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def load_model(name: str | Path) -> Model:
    """Find a model.

    Parameters
    ----------
    name : str or Path
        One of `MODELS`, a Python file that defines ``build(sim, ...)``, or the configuration
        (``.json``) of a network in the SONATA format.

    Raises
    ------
    UnknownNameError
        For a name that is none of them.
    ModelError
        For a file that cannot be imported or has no ``build``, or that is no such configuration.

    Examples
    --------
    >>> sorted(load_model("brunel2000").parameters)
    ['eta', 'g', 'neuron', 'neuron_parameters', 'scale', 'seed']
    """
    text = str(name)
    if text in MODELS:
        return _model(text, importlib.import_module(MODELS[text]))
    path = Path(text)
    if path.suffix == ".json":
        from .sonata.building import builder  # which needs HDF5

        build, configuration = builder(path, warn_model)
        return Model(
            path.stem,
            build,
            file=text,
            digest=configuration.sha256,
            different=configuration.different,
        )
    if path.suffix != ".py":
        raise UnknownNameError(
            "model",
            text,
            MODELS,
            "A model of your own is a .py file, or the .json file of a network in SONATA",
        )
    if not path.is_file():
        raise ModelError(f"there is no model file {text}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model file {text} cannot be read: {error}") from error
    spec = importlib.util.spec_from_file_location(f"portable_cortex_model_{path.stem}", path)
    assert spec is not None  # true for every .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # whatever a user's file raises
        del sys.modules[module.__name__]
        if is_asked_to_end(error):
            raise
        place = place_of(error, path)
        what = describe(error)
        raise ModelError(
            place.tell(what) if place else f"{text} could not be imported: {what}"
        ) from error
    model = _model(path.stem, module, text, content)
    at_the_top = {v.__name__ for v in vars(module).values() if _is_simulator(v)}
    for name in sorted(at_the_top | _simulators_in_build(content)):
        warn_model(
            f"{text} imports {name}: what it makes there is in no run; what build() makes with its "
            "own argument, sim, is"
        )
    return model


def _is_simulator(value: Any) -> bool:
    """Whether a value is a module of PyNN that sets up and runs a simulator."""
    return (
        isinstance(value, ModuleType)
        and value.__name__.startswith("pyNN.")
        and hasattr(value, "Population")
        and hasattr(value, "setup")
    )


def _simulators_in_build(source: bytes) -> set[str]:
    """Which of PyNN's simulators ``build`` itself imports."""
    functions = (f for f in ast.parse(source).body if isinstance(f, ast.FunctionDef))
    lines = [line for f in functions if f.name == "build" for line in ast.walk(f)]
    names = {
        *(name.name for line in lines if isinstance(line, ast.Import) for name in line.names),
        *(
            text
            for line in lines
            if isinstance(line, ast.ImportFrom)
            for text in (line.module or "", *(f"{line.module}.{n.name}" for n in line.names))
        ),
    }
    return names & {f"pyNN.{simulator}" for simulator in ("brian2", "mock", "nest", "neuron")}


def _model(
    name: str, module: ModuleType, file: str | None = None, source: bytes | None = None
) -> Model:
    build, published = getattr(module, "build", None), getattr(module, "published_rates", None)
    statements = getattr(module, "statements", None)
    if build is None or not _takes_a_simulator(build):
        raise ModelError(
            f"{file or name} has no function build(sim, ...) that returns its populations by "
            "label: put what makes them there, without the import of a simulator, sim.setup() and "
            "sim.run(). A PyNN script runs as it is, with python, on the sim that "
            "portable_cortex.simulator(NAME) returns"
        )
    if published is not None and not callable(published):
        raise ModelError(
            f"{module.__file__}: published_rates must be a function that returns a dict of label "
            f"to spikes/s, not {shown(published)}"
        )
    if statements is not None and not callable(statements):
        raise ModelError(
            f"{module.__file__}: statements must be a function that returns a list of sentences, "
            f"not {shown(statements)}"
        )
    return Model(name, build, published, statements, file, source)


def _takes_a_simulator(build: Any) -> bool:
    if not callable(build) or inspect.iscoroutinefunction(build):
        return False
    try:
        parameters = list(inspect.signature(build).parameters.values())
    except (TypeError, ValueError):  # of some classes and built-in functions
        return False
    return bool(parameters) and parameters[0].kind not in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )

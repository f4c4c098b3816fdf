"""Loops that were written for neuron models: kept in the cache, compiled once, called by address."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from portable_cortex.host.cache import writable_cache
from portable_cortex.neurons.form import STEP, Neuron
from portable_cortex.neurons.lowering import HALF, PARTS
from portable_cortex.neurons.propagation import factors
from portable_cortex.neurons.reference import evaluate

from . import _functions, _llvm, _writing

F64 = NDArray[np.float64]
_INTEGER = types.int64


def _signature(real: Any, counter: Any) -> Any:
    numbers = types.CPointer(real)
    return _INTEGER(
        numbers, _INTEGER, numbers, _INTEGER, types.CPointer(counter), numbers, numbers, _INTEGER,
        _INTEGER, _INTEGER, _INTEGER, types.CPointer(types.uint16), _INTEGER, types.float64,
        types.CPointer(types.int32), numbers, types.CPointer(types.int32), _INTEGER,
    )  # fmt: skip


SIGNATURES = {
    (real, counter): _signature(getattr(types, real), getattr(types, counter))
    for real in ("float64", "float32")
    for counter in ("uint8", "int32")
}
"""Of a step, by the types of its numbers and of the steps of refractoriness left."""


@dataclass(frozen=True)
class Loop:
    """The compiled step of a model.

    Attributes
    ----------
    plan : Plan
    text : str
        Of the module.
    """

    plan: _writing.Plan
    text: str
    _constants: tuple[Any, ...]

    def address(self, kind: tuple[str, str]) -> int:
        """Where the step for some types of numbers is; see `SIGNATURES`."""
        return int(_compiled(self.text, self.plan.neuron.name, kind).address)

    def constants(self, values: Mapping[str, F64], step: float) -> F64:
        """All constants, from parameters in the units of `form`; shape (constants, neurons or 1)."""
        known = everything(self.plan.neuron, values, step)
        rows = [np.atleast_1d(evaluate(c, known)).astype(float) for c in self._constants]
        n = max((row.size for row in rows), default=1)
        return np.array([np.broadcast_to(row, n) for row in rows]).reshape(len(rows), n)


def everything(neuron: Neuron, values: Mapping[str, F64], step: float) -> dict[str, Any]:
    """Parameters, internals and factors of a model, by name."""
    known: dict[str, Any] = {STEP: np.array([step]), **values}
    for quantity in neuron.internals:
        known[quantity.name] = np.atleast_1d(evaluate(quantity.value, known))
    half = factors(neuron, 0.5 * step / PARTS, known)
    return {**known, **factors(neuron, step, known), **{HALF + n: v for n, v in half.items()}}


def loop(neuron: Neuron) -> Loop:
    """Write the loop of a model."""
    plan = _writing.plan(neuron)
    written = _writing.written(plan)
    return Loop(plan, written.text, written.constants)


@functools.cache
def _compiled(text: str, name: str, kind: tuple[str, str]) -> Any:
    return _module(text, name).compiled_step(kind)


@functools.cache
def _module(text: str, name: str) -> ModuleType:
    """The module of a text, in a file, so that numba can keep what it compiles."""
    used = [Path(module.__file__ or "").read_text() for module in (_llvm, _functions)]
    version = hashlib.sha256("".join([text, *used]).encode()).hexdigest()[:16]
    path = Path(writable_cache("neurons")) / f"{name}_{version}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)
    spec = importlib.util.spec_from_file_location(f"portable_cortex_neurons.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

"""Loops that were written for neuron models: compiled once, cached, called by address."""

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
from portable_cortex.neurons.expressions import names
from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.lowering import assigned_values
from portable_cortex.neurons.numbers import in_form, numbers
from portable_cortex.neurons.reference import evaluate, resolved

from . import _compiling, _functions, _llvm, _plan, _threefry, _writing

F64 = NDArray[np.float64]
_INTEGER = types.int64


def _signature(real: Any, counter: Any) -> Any:
    pointer: Any = types.CPointer
    reals, words, counts = pointer(real), pointer(types.int32), pointer(counter)
    return _INTEGER(
        reals, _INTEGER, reals, _INTEGER, counts, reals, reals, _INTEGER, _INTEGER, _INTEGER,
        _INTEGER, pointer(types.uint16), _INTEGER, types.float64, words, reals, words, _INTEGER,
        _INTEGER, _INTEGER, _INTEGER, _INTEGER,
    )  # fmt: skip


SIGNATURES = {
    (real, counter): _signature(getattr(types, real), getattr(types, counter))
    for real in ("float64", "float32")
    for counter in ("uint8", "int32")
}
"""Of a step, by the types of its numbers and of the steps of refractoriness left."""


@dataclass(frozen=True)
class Model:
    """How the engine advances a neuron model.

    Attributes
    ----------
    neuron : Neuron
        As its cell type has it.
    plan : Plan
    text : str
        Of the module that was written.
    """

    neuron: Neuron
    plan: _plan.Plan
    text: str
    _constants: tuple[Any, ...]

    @property
    def code(self) -> int:
        """A number for the text."""
        return int(hashlib.sha256(self.text.encode()).hexdigest()[:15], 16)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Variables that inputs are added to after each step."""
        return self.plan.inputs if self.plan.is_early else ()

    @property
    def variables(self) -> tuple[str, ...]:
        """State variables in the engine's order."""
        return (*self.inputs, *self.plan.others)

    def places(self) -> list[tuple[bool, int]]:
        """For each variable, whether it is an input, and its number among those that are or not."""
        n = len(self.inputs)
        return [(k < n, k if k < n else k - n) for k in range(len(self.variables))]

    def address(self, real: Any, counter: Any) -> int:
        """Where the compiled step is, for types of numbers and of steps of refractoriness."""
        kind = np.dtype(real).name, np.dtype(counter).name
        return int(_compiled(self.text, self.neuron.name, kind).address)

    def constants(self, parameters: Mapping[str, F64], step: float) -> list[F64]:
        """Rows of constants, from parameters in the model's units."""
        known = numbers(self.plan.neuron, parameters, step)
        return [np.atleast_1d(np.asarray(evaluate(c, known), float)) for c in self._constants]

    def scales(self, parameters: Mapping[str, F64], step: float) -> list[F64]:
        """A variable in the model's unit is that of the engine times this, plus `centres`."""
        known = in_form(self.neuron, parameters)
        if any(names(e) - set(known) for e in self.plan.factors.values()):
            known = resolved(self.neuron, step, known)
        units = {q.name: float(q.factor) for q in self.neuron.state}
        scales = {n: evaluate(e, known) for n, e in self.plan.factors.items()}
        return [np.asarray(scales.get(n, 1.0), float) / units.get(n, 1.0) for n in self.variables]

    def centres(self, parameters: Mapping[str, F64]) -> list[F64]:
        """What is added to each of the engine's variables, in the model's unit."""
        known = in_form(self.neuron, parameters)
        units = {q.name: float(q.factor) for q in self.neuron.state}
        centres = {n: evaluate(e, known) for n, e in self.plan.centres.items()}
        return [np.asarray(centres.get(n, 0.0), float) / units.get(n, 1.0) for n in self.variables]

    def longest(self, parameters: Mapping[str, F64], step: float) -> int:
        """The most steps that the refractory time has, as far as is known beforehand."""
        timer = self.plan.refractoriness.timer if self.plan.refractoriness else None
        known = resolved(self.plan.neuron, step, in_form(self.plan.neuron, parameters))
        most = 0
        for _, statements in self.plan.neuron.conditions:
            for value in assigned_values(statements, timer):
                if not names(value) <= set(known):
                    return 1 << 30
                most = max(most, int(np.max(np.ceil(evaluate(value, known) / step))))
        return most


def model(neuron: Neuron) -> Model:
    """Write the loop of a model.

    Raises
    ------
    UnsupportedError
        For what has no loop.
    """
    plan = _plan.plan(neuron)
    written = _writing.written(plan)
    return Model(neuron, plan, written.text, written.constants)


@functools.cache
def _compiled(text: str, name: str, kind: tuple[str, str]) -> Any:
    return _module(text, name).compiled_step(kind)


@functools.cache
def _module(text: str, name: str) -> ModuleType:
    """The module of a text, in a file, so that numba can keep what it compiles."""
    used = [Path(module.__file__ or "").read_text() for module in (_llvm, _threefry, _functions)]
    version = hashlib.sha256("".join([text, *used]).encode()).hexdigest()[:16]
    path = Path(writable_cache("neurons")) / f"{name}_{version}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)
    spec = importlib.util.spec_from_file_location(_compiling.WRITTEN + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

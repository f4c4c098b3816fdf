"""Functions of neuron models that Brian2 lacks, or that have another type there."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.core.functions import Function
from scipy import special

from portable_cortex.neurons.reference import FUNCTIONS as FUNCTIONS_OF_REFERENCE

# arguments, value in C++, value in Cython, NumPy's function; a condition is a truth value
_WRITTEN: dict[str, tuple[str, str, str, Any]] = {
    "choice": ("condition yes no", "condition ? yes : no", "yes if condition else no", np.where),
    "least": ("x y", "x < y ? x : y", "x if x < y else y", np.minimum),
    "greatest": ("x y", "x > y ? x : y", "x if x > y else y", np.maximum),
    "below": ("x", "std::floor(x)", "_below(x)", np.floor),
    "above": ("x", "std::ceil(x)", "_above(x)", np.ceil),
    "nearest": ("x", "std::round(x)", "_nearest(x)", FUNCTIONS_OF_REFERENCE["round"]),
    "whole": ("x", "std::trunc(x)", "_whole(x)", np.trunc),
    "rest": ("x y", "std::fmod(x, y)", "_rest(x, y)", np.fmod),
    "erf": ("x", "std::erf(x)", "_erf(x)", special.erf),
    "erfc": ("x", "std::erfc(x)", "_erfc(x)", special.erfc),
}
_IN_C = {
    "below": "floor",
    "above": "ceil",
    "nearest": "round",
    "whole": "trunc",
    "rest": "fmod",
    "erf": "erf",
    "erfc": "erfc",
}


def _function(name: str) -> Function:
    said, cpp, cython, numpy = _WRITTEN[name]
    arguments = said.split()
    truths = [argument == "condition" for argument in arguments]

    def plain(*values: Any) -> Any:  # Brian2 wants a function in Python
        return numpy(*values)

    made = Function(
        pyfunc=plain,
        arg_units=[1] * len(arguments),
        arg_types=["boolean" if truth else "float" for truth in truths],
        return_unit=1,
        return_type="float",
    )
    made.implementations.add_numpy_implementation(plain, discard_units=True)
    pairs = list(zip(truths, arguments, strict=True))
    typed = ", ".join(f"const {'bool' if truth else 'double'} {a}" for truth, a in pairs)
    made.implementations.add_implementation(
        "cpp", f"inline double {name}({typed}) {{ return {cpp}; }}", name=name
    )
    typed = ", ".join(f"{'bint' if truth else 'double'} {a}" for truth, a in pairs)
    imported = f"from libc.math cimport {_IN_C[name]} as _{name}\n" if name in _IN_C else ""
    made.implementations.add_implementation(
        "cython", f"{imported}cdef double {name}({typed}):\n    return {cython}\n", name=name
    )
    return made


FUNCTIONS = {name: _function(name) for name in _WRITTEN}

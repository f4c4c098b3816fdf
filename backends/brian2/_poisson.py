"""Numbers of Poisson events, one random number each.

Brian2's own ``poisson`` takes an exponential and, on average, more than one random number for each
cell and step; by inversion, with the probability of no event given, it is one and a comparison.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2.core.functions import DEFAULT_FUNCTIONS, Function

LARGEST_MEAN = 20.0  # above it, inversion takes longer than Brian2's ``poisson``

_CPP = """
inline double events(const double mean, const double none, const int index)
{
    if (mean > %(largest)r) return _poisson(mean, index);
    double left = _rand(index) - none, probability = none;
    double count = 0;
    while (left > 0 && count < 200)
    {
        count += 1;
        probability *= mean/count;
        left -= probability;
    }
    return count;
}
"""
_CYTHON = """
cdef double events(double mean, double none, int index):
    if mean > %(largest)r:
        return _poisson(mean, index)
    cdef double left = _rand(index) - none
    cdef double probability = none
    cdef double count = 0
    while left > 0 and count < 200:
        count += 1
        probability *= mean/count
        left -= probability
    return count
"""

# Brian2CUDA's, from a state of cuRAND's for each thread; it finds the call by the index's name
_CUDA = """
__host__ __device__ inline double events(
    const double mean, const double none, const int _vectorisation_idx)
{
    return _poisson(mean, _vectorisation_idx);
}
"""


def _numpy(mean: Any, none: Any, index: Any) -> Any:
    """One number for each cell."""
    means = np.broadcast_to(mean, np.shape(np.asarray(index)))
    return np.random.poisson(means).astype(float)  # noqa: NPY002  # the one that Brian2 seeds


events = Function(
    pyfunc=_numpy,
    arg_units=[1, 1],
    return_unit=1,
    stateless=False,
    auto_vectorise=True,
)
"""``events(mean, none)``: their number, where ``none`` is the probability of none, exp(-mean)."""

# without units: Brian2 would write what each call returns into the message of an error to come
events.implementations.add_numpy_implementation(_numpy, discard_units=True)
_drawn = {name: DEFAULT_FUNCTIONS[name.removeprefix("_")] for name in ("_rand", "_poisson")}
for _target, _code in (("cpp", _CPP), ("cython", _CYTHON)):
    events.implementations.add_implementation(
        _target, _code % {"largest": LARGEST_MEAN}, dependencies=_drawn, name="events"
    )
events.implementations.add_implementation(
    "cuda", _CUDA, dependencies={"_poisson": _drawn["_poisson"]}, name="events"
)

"""PyNN's lazy values as arrays, and the cells of populations, views and assemblies as indices."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError

ROWS_AT_A_TIME = 1 << 20  # elements of a matrix that is evaluated in pieces


def is_random(value: Any) -> bool:
    """Whether a PyNN parameter (a ``LazyArray``) is drawn from a ``RandomDistribution``."""
    return hasattr(value.base_value, "lazily_evaluate") and hasattr(value.base_value, "rng")


def is_number(value: Any) -> bool:
    """Whether a PyNN parameter is one number for all.

    Examples
    --------
    >>> from pyNN.parameters import LazyArray
    >>> is_number(LazyArray(2.0)), is_number(LazyArray([1.0, 2.0], shape=(2,)))
    (True, False)
    """
    return is_plain(value) or (bool(value.is_homogeneous) and not is_random(value))


def is_plain(value: Any) -> bool:
    """Whether it was given as a number: most are, and asking PyNN takes long."""
    return isinstance(value.base_value, int | float) and not value.operations


def shaped(value: Any, shape: tuple[int, ...]) -> Any:
    """A copy of a PyNN parameter with this shape: the user's own stays as it is."""
    changed = copy(value)
    changed._shape = None  # it may have got another one
    changed.shape = shape
    return changed


def computed(value: Any, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is computed from the draws of a random parameter, such as ``LazyArray(drawn) * 0.5``.

    Raises
    ------
    InvalidValueError
        Where that takes more than one draw for each element, or an array.

    Examples
    --------
    >>> from pyNN.parameters import LazyArray
    >>> from pyNN.random import RandomDistribution
    >>> value = abs(LazyArray(RandomDistribution("normal", mu=0.0, sigma=1.0)) * 0.5)
    >>> computed(value, np.array([-1.0, 3.0]))
    array([0.5, 1.5])
    """
    for function, argument in value.operations:
        if argument is not None and not np.isscalar(argument):
            raise InvalidValueError(
                f"{value.base_value} is combined with {type(argument).__name__}, and random values "
                "can be with numbers only: draw them yourself, and give an array"
            )
        drawn = function(drawn) if argument is None else function(drawn, argument)
    return np.asarray(drawn, float)


def number(value: Any) -> float:
    """The value of a parameter that is one number for all.

    Examples
    --------
    >>> from pyNN.parameters import LazyArray
    >>> number(LazyArray(2.0) * 3)
    6.0
    """
    if is_plain(value):
        return float(value.base_value)
    return float(shaped(value, (1,)).evaluate(simplify=True))


def lazy(values: NDArray[Any]) -> Any:
    """The form in which PyNN keeps an array of values, one for each cell.

    Examples
    --------
    >>> lazy(np.array([1.0, 1.0])).evaluate(simplify=True), lazy(np.array([1.0, 2.0]))[1]
    (np.float64(1.0), np.float64(2.0))
    """
    from pyNN.parameters import LazyArray, simplify  # slow to import

    return LazyArray(simplify(np.asarray(values)), shape=np.shape(values))


def at_pairs(
    value: Any, sources: NDArray[np.int64], targets: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Elements of a parameter that is a matrix, or a function of two indices or of distance.

    Parameters
    ----------
    value : pyNN.parameters.LazyArray
        Not a random one.
    sources, targets : arrays of int64
    shape : tuple of int
        Of the matrix. It is evaluated in pieces: functions can be far larger than their use.

    Raises
    ------
    InvalidValueError
        For an array of another shape.

    Examples
    --------
    >>> from pyNN.parameters import LazyArray
    >>> table = LazyArray(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> at_pairs(table, np.array([1, 0]), np.array([0, 1]), (2, 2)).tolist()
    [3.0, 2.0]
    """
    actual = np.shape(value.base_value)
    if actual not in ((), shape):
        raise InvalidValueError(
            f"an array of values of synapses must have the shape {shape} (sources, targets), not "
            f"{actual}: values of a list of synapses are given in the list"
        )
    matrix = shaped(value, shape)
    values = np.empty(sources.size)
    rows = max(1, ROWS_AT_A_TIME // max(shape[1], 1))
    for first in range(0, shape[0], rows):
        last = min(first + rows, shape[0])
        which = np.flatnonzero((sources >= first) & (sources < last))
        if which.size:
            block = np.broadcast_to(matrix[first:last, :], (last - first, shape[1]))
            values[which] = block[sources[which] - first, targets[which]]
    return values


def resolved(value: Any, projection: Any) -> Any:
    """A parameter in which strings and functions of distance or index know their projection.

    As PyNN does when it connects; the user's value stays as it is.
    """
    if not callable(value.base_value):
        return value
    if hasattr(value.base_value, "projection"):  # an expression of the two indices
        changed = copy(value)
        changed.base_value = copy(value.base_value)
        changed.base_value.projection = projection
        return changed
    return value(distances(projection))


def distances(projection: Any) -> Any:
    """Distances of all pairs of a projection's cells, a lazy matrix."""
    from pyNN.parameters import LazyArray  # slow to import

    positions = projection.pre.position_generator, projection.post.position_generator
    return LazyArray(projection.space.distance_generator(*positions), shape=projection.shape)


MOST_KEPT = 100_000  # indices of a population, which projections ask for again and again


@lru_cache(32)
def _kept(size: int) -> NDArray[np.int64]:
    index = np.arange(size)
    index.flags.writeable = False
    return index


def members(cells: Any) -> list[tuple[Any, NDArray[np.int64]]]:
    """Whole populations behind a population, view or assembly, each with the indices in it."""
    parts = []
    for part in getattr(cells, "populations", [cells]):
        index = _kept(part.size) if part.size <= MOST_KEPT else np.arange(part.size)
        if hasattr(part, "grandparent"):
            index = np.asarray(part.index_in_grandparent(index), np.int64)
        parts.append((getattr(part, "grandparent", part), index))
    return parts

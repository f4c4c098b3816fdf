"""Arrays of synapses, as the ``Projection`` of every backend needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import errors

from .realisation import listed_synapses

COMBINE = {"sum": (np.add, 0.0), "min": (np.minimum, np.inf), "max": (np.maximum, -np.inf)}


def as_matrix(
    sources: NDArray[Any],
    targets: NDArray[Any],
    values: NDArray[Any],
    shape: tuple[int, int],
    multiple_synapses: str = "sum",
) -> NDArray[np.float64]:
    """One value for each pair of neurons, not-a-number for pairs without a synapse.

    Parameters
    ----------
    sources, targets, values : array, shape (synapses,)
        Indices and a value of each synapse.
    shape : tuple of int
        Numbers of sources and targets.
    multiple_synapses : {"sum", "min", "max", "first", "last"}
        What becomes of several synapses between the same two neurons.

    Examples
    --------
    >>> as_matrix(np.array([0, 0]), np.array([1, 1]), np.array([2.0, 3.0]), (1, 2))
    array([[nan,  5.]])
    """
    matrix = np.full(shape, np.nan)
    if multiple_synapses in COMBINE:
        combine, neutral = COMBINE[multiple_synapses]
        matrix[sources, targets] = neutral
        combine.at(matrix, (sources, targets), values)
    else:
        order = slice(None, None, -1 if multiple_synapses == "first" else 1)
        matrix[sources[order], targets[order]] = values[order]
    return matrix


def listed_columns(
    connector: Any, projection: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Sources, targets and the columns that a FromList or FromFile connector gives, checked.

    Raises
    ------
    ValueError
        For a column that the synapses have no parameter for.
    pyNN.errors.ConnectionError
        For an index outside the projection's populations.
    """
    table, names = listed_synapses(connector)
    synapse_type = projection.synapse_type
    unknown = set(names) - set(synapse_type.get_parameter_names())
    if unknown:
        raise ValueError(
            f"{', '.join(sorted(unknown))} is not a valid parameter for "
            f"{type(synapse_type).__name__}: it has "
            f"{', '.join(sorted(synapse_type.get_parameter_names()))}"
        )
    sources, targets = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    for what, index, size in (
        ("source", sources, projection.pre.size),
        ("target", targets, projection.post.size),
    ):
        if index.size and (index.min() < 0 or index.max() >= size):
            raise errors.ConnectionError(
                f"{what} index out of range: {index.min()} to {index.max()} were given, "
                f"valid are 0 to {size - 1}"
            )
    return sources, targets, {name: table[:, 2 + k] for k, name in enumerate(names)}

"""Arrays of synapses: their receptor, the signs of their weights, their order, as a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.standardmodels import build_translations, synapses
from pyNN.standardmodels.base import excitatory_receptor_types, inhibitory_receptor_types

from .checks import check_edges, check_indices
from .lists import listed_synapses
from .values import is_number, is_random, number, resolved

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
        order = np.arange(len(values))
        if multiple_synapses == "first":
            order = order[::-1].copy()  # numpy goes through a reversed view in its own order
        matrix[sources[order], targets[order]] = values[order]
    return matrix


def reading_order(sources: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.int64]:
    """The order in which synapses are listed: by source, then target, then as they are.

    Examples
    --------
    >>> reading_order(np.array([1, 0, 0]), np.array([0, 2, 1])).tolist()
    [2, 1, 0]
    """
    order: NDArray[np.int64] = np.lexsort((targets, sources))
    return order


def listed_columns(
    connector: Any, projection: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Sources, targets and the columns that a FromList or FromFile connector gives, checked.

    Raises
    ------
    pyNN.errors.ConnectionError
        For a column that the synapses have no parameter for, or an index outside the projection's
        populations.
    InvalidValueError
        For a value that is not finite.
    """
    table, names = listed_synapses(connector)
    check_columns(names, projection.synapse_type)
    check_indices(table[:, 0], table[:, 1], projection.shape)
    columns = {name: table[:, 2 + k] for k, name in enumerate(names)}
    check_edges(**columns)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), columns


def check_columns(names: tuple[str, ...], synapse_type: Any) -> None:
    """Raise PyNN's ``ConnectionError`` for a column without a parameter of the synapses."""
    unknown = set(names) - set(synapse_type.get_parameter_names())
    if unknown:
        raise errors.ConnectionError(
            f"the list has a column {', '.join(sorted(unknown))}, which is no parameter of "
            f"{type(synapse_type).__name__}: it has "
            f"{', '.join(sorted(synapse_type.get_parameter_names()))}"
        )


# --- receptors and signs --------------------------------------------------------------------------


def common_receptor_types(assembly: Any) -> list[str]:
    """Receptor types that all populations of an assembly have, in the order of the first one."""
    first, *others = [part.celltype.receptor_types for part in assembly.populations]
    return [name for name in first if all(name in types for types in others)]


def default_receptor(projection: Any) -> str:
    """The receptor of a projection that names none: by the signs of the synapse type's weights.

    It is the first of the target's receptors (the excitatory one), or the second for weights that
    are all 0 or less and not all 0. As in PyNN, the weights of a list do not count.
    """
    types = list(projection.post.receptor_types)
    if len(types) < 2:
        return str(types[0])
    lowest, highest = _weight_range(projection)
    return str(types[1] if highest <= 0 and lowest < 0 else types[0])


def _weight_range(projection: Any) -> tuple[float, float]:
    """The smallest and the largest weight, as far as they can be told before drawing."""
    value = projection.synapse_type.parameter_space["weight"]
    if is_random(value) and not value.operations:
        p = value.base_value.parameters
        if value.base_value.name == "lognormal":
            return 0.0, np.inf  # its mu is that of the logarithm
        middle = float(p.get("mu", 0.0))
        return float(p.get("low", middle)), float(p.get("high", middle))
    if is_random(value):
        return 0.0, 0.0
    if is_number(value):
        return (number(value),) * 2
    if isinstance(value.base_value, np.ndarray) and not value.operations:
        values = value.base_value[np.isfinite(value.base_value)]
        return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    lazy = resolved(value, projection)
    lazy._shape = None
    lazy.shape = projection.shape
    rows = (lazy[source : source + 1, :] for source in range(projection.pre.size))
    limits = [(float(np.min(row)), float(np.max(row))) for row in rows]
    return min(low for low, _ in limits), max(high for _, high in limits)


def required_sign(projection: Any) -> int:
    """1 where weights must be 0 or more, -1 where 0 or less, 0 where there is no rule.

    Raises
    ------
    pyNN.errors.ConnectionError
        For inhibition of an assembly in which some cells need the one and some the other.
    """
    receptor = projection.receptor_type
    parts = getattr(projection.post, "populations", [projection.post])
    is_mixed = len({bool(part.conductance_based) for part in parts}) > 1
    if is_mixed and receptor in inhibitory_receptor_types:
        raise errors.ConnectionError(
            f"projection {projection.label} goes onto inhibitory receptors of conductance-based "
            "cells, which take weights of 0 or more, and of current-based ones, which take those "
            "of 0 or less: connect the populations of the assembly one by one"
        )
    if projection.post.conductance_based or receptor in excitatory_receptor_types:
        return 1
    return -1 if receptor in inhibitory_receptor_types else 0


def check_signs(weights: Any, projection: Any) -> None:
    """Raise PyNN's ``ConnectionError`` for a weight whose sign does not fit the receptor."""
    sign = required_sign(projection)
    values = np.asarray(weights, dtype=float)
    if not sign or not values.size:
        return
    worst = float(np.min(values) if sign > 0 else np.max(values))
    if worst * sign >= 0:
        return
    based = "conductance" if projection.post.conductance_based else "current"
    raise errors.ConnectionError(
        f"weights of projection {projection.label} onto {projection.receptor_type} receptors of "
        f"{based}-based cells must be 0 or {'more' if sign > 0 else 'less'}, not {worst:g}: name "
        "the receptor_type that is meant, and split weights of both signs into two projections"
    )


def static_synapse(state: Any) -> Any:
    """The class ``StaticSynapse`` of a backend.

    Parameters
    ----------
    state : State
        The backend's: it knows the smallest delay, which is that of synapses that name none.
    """
    own = {
        "__doc__": synapses.StaticSynapse.__doc__,
        "translations": build_translations(("weight", "weight"), ("delay", "delay")),
        "_get_minimum_delay": lambda self: state.least_delay,
    }
    return type("StaticSynapse", (synapses.StaticSynapse,), own)


class Connection(common.Connection):  # type: ignore[misc]  # PyNN is untyped
    """One synapse of a projection, in PyNN's units: it can be read and changed.

    Parameters
    ----------
    projection : Projection
        Has ``column(name)``, the values of all its synapses (indices, weight, delay), and
        ``replace(name, values)``, which changes weights or delays.
    number : int
        The synapse's place among them.

    Raises
    ------
    IndexError
        If there is no such synapse.
    """

    def __init__(self, projection: Any, number: int) -> None:
        if not -len(projection) <= number < len(projection):
            raise IndexError(f"{projection} has {len(projection)} synapses, no number {number}")
        self._projection, self._number = projection, number

    def _get(self, name: str) -> Any:
        return self._projection.column(name)[self._number]

    def _set(self, name: str, value: float) -> None:
        values = np.array(self._projection.column(name), dtype=float)
        values[self._number] = value
        self._projection.replace(name, values)

    presynaptic_index = property(lambda self: int(self._get("presynaptic_index")))
    postsynaptic_index = property(lambda self: int(self._get("postsynaptic_index")))
    weight = property(
        lambda self: float(self._get("weight")), lambda self, value: self._set("weight", value)
    )
    delay = property(
        lambda self: float(self._get("delay")), lambda self, value: self._set("delay", value)
    )

    def as_tuple(self, *names: str) -> tuple[Any, ...]:
        """Values by name."""
        return tuple(getattr(self, name) for name in names)

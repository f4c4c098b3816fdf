"""Arrays of synapses, as the ``Projection`` of every backend needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import common, errors
from pyNN.connectors import ArrayConnector

from .host import parallel
from .model_checks import check_edges
from .realisation import (
    SOURCE,
    Stream,
    different_pairs,
    is_without_replacement,
    listed_synapses,
)

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
    columns = {name: table[:, 2 + k] for k, name in enumerate(names)}
    check_edges(**columns)
    return sources, targets, columns


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


def _of_different_pairs(connector: Any, projection: Any) -> ArrayConnector:
    """The connections that PyNN's connector would make if it did not ignore its arguments."""
    uniform = connector.rng.next(1, "uniform", {"low": 0.0, "high": 1.0}, mask=None)
    seed = parallel.of_first(int(float(uniform[0]) * 2**31))
    mask = np.zeros(projection.shape, dtype=bool)
    stream = Stream(seed, 0, SOURCE)
    mask[different_pairs(stream, connector, projection.pre, projection.post)] = True
    return ArrayConnector(mask, safe=connector.safe, callback=connector.callback)


class CollectingProjection:
    """A projection that PyNN's own connectors fill: they call it for each target.

    Mix it into PyNN's ``Projection``; `collect` then gives what they would have connected.
    """

    shape: Any  # PyNN's

    def collect(self, connector: Any) -> tuple[NDArray[Any], ...]:
        """Sources, targets, weights and delays (PyNN's units), target by target."""
        if is_without_replacement(connector):
            connector = _of_different_pairs(connector, self)
        self._collected: list[tuple[Any, ...]] = []
        connector.connect(self)
        columns = zip(*self._collected, strict=True) if self._collected else ([[]],) * 4
        sources, targets, weights, delays = (np.concatenate(list(c)) for c in columns)
        self._collected = []
        check_edges(weight=weights, delay=delays)
        return sources.astype(np.int64), targets.astype(np.int64), weights, delays

    def get(
        self,
        attribute_names: Any,
        format: str,  # noqa: A002  # PyNN's name
        gather: Any = True,
        with_address: bool = True,
        multiple_synapses: str = "sum",
    ) -> Any:
        """See PyNN, whose matrix of several processes keeps one of multiple synapses."""
        base: Any = super()
        if format != "array" or not gather or parallel.processes() == 1:
            return base.get(attribute_names, format, gather, with_address, multiple_synapses)
        single = isinstance(attribute_names, str)
        names = [attribute_names] if single else list(attribute_names)
        rows = np.array(base.get(names, "list", gather), float).reshape(-1, 2 + len(names))
        i, j = rows[:, :2].T.astype(int)
        matrices = [as_matrix(i, j, c, self.shape, multiple_synapses) for c in rows[:, 2:].T]
        return matrices[0] if single else matrices

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: int,
        location_selector: Any = None,
        **parameters: Any,
    ) -> None:
        if location_selector is not None:
            raise NotImplementedError("this simulator has no locations on a cell")
        n = len(presynaptic_indices)
        self._collected.append(
            (
                presynaptic_indices,
                np.full(n, postsynaptic_index),
                np.broadcast_to(parameters["weight"], n),
                np.broadcast_to(parameters["delay"], n),
            )
        )

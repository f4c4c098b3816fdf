"""What a description must be on every backend: finite values, whole numbers, labels that are text.

Backends check what only they know; what holds everywhere is checked here, once, while a model is
built.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..errors import InvalidValueError, ModelError
from ..models.user_code import shown

LONGEST_LABEL = 100  # characters


def check_size(size: Any) -> None:
    """Raise `InvalidValueError` unless a population can have this size (a tuple is a grid).

    Examples
    --------
    >>> check_size(0)
    Traceback (most recent call last):
        ...
    portable_cortex.errors.InvalidValueError: a population has one neuron or more, not 0
    """
    for number in size if isinstance(size, tuple) and size else (size,):
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise InvalidValueError(
                f"the size of a population is a whole number, not {shown(number)}"
            )
        if number < 1:
            raise InvalidValueError(f"a population has one neuron or more, not {shown(number)}")


def check_values(what: str, values: Mapping[str, Any]) -> None:
    """Raise `InvalidValueError` for a parameter that is infinite or not a number.

    Parameters
    ----------
    what : str
        What has the parameters, for the message.
    values : mapping of str to value
        Numbers, arrays, PyNN's sequences, random distributions; whatever else is left to others.

    Examples
    --------
    >>> check_values("IF_curr_exp", {"tau_m": float("nan")})
    Traceback (most recent call last):
        ...
    portable_cortex.errors.InvalidValueError: tau_m of IF_curr_exp must be finite, not nan
    """
    for name, value in values.items():
        wrong = _not_finite(value)
        if wrong is not None:
            raise InvalidValueError(f"{name} of {what} must be finite, not {shown(wrong)}")


def _not_finite(value: Any) -> Any:
    """What of a value is not finite; None if nothing is, or nothing can be told."""
    value = getattr(value, "base_value", value)  # of PyNN's lazy arrays
    if hasattr(value, "rng") and isinstance(getattr(value, "parameters", None), Mapping):
        return _not_finite([*_moments(value).values()])
    if isinstance(value, Real):
        return value if not np.isfinite(float(value)) else None
    value = getattr(value, "value", value)  # of PyNN's sequences
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value, dtype=None if isinstance(value, np.ndarray) else object)
        if array.dtype == object:
            wrong = [_not_finite(part) for part in array.flat]
            return next((part for part in wrong if part is not None), None)
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            return float(array[~np.isfinite(array)].flat[0])
    return None


def _moments(distribution: Any) -> dict[str, Any]:
    """Parameters of a random distribution, without bounds that do not bound."""
    clipped = str(getattr(distribution, "name", "")).startswith("normal_clipped")
    return {
        name: value
        for name, value in distribution.parameters.items()
        if not (clipped and name in ("low", "high") and value in (-np.inf, np.inf))
    }


class LookedAt:
    """Objects that were found in order, as long as they live: projections may share them.

    Examples
    --------
    >>> class Synapse: pass
    >>> seen, one = LookedAt(), Synapse()
    >>> (one,) in seen, seen.add((one,)), (one,) in seen, (Synapse(),) in seen
    (False, None, True, False)
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], tuple[weakref.ref[Any], ...]] = {}

    def __contains__(self, objects: tuple[Any, ...]) -> bool:
        references = self._known.get(tuple(map(id, objects)), ())
        return bool(references) and all(
            reference() is own for reference, own in zip(references, objects, strict=True)
        )

    def add(self, objects: tuple[Any, ...]) -> None:
        """They were found in order, together."""
        with suppress(TypeError):  # sPyNNaker's have no place for a reference: looked at again
            self._known[tuple(map(id, objects))] = tuple(map(weakref.ref, objects))


def check_connector(connector: Any) -> None:
    """Raise `InvalidValueError` for a probability outside 0 to 1, or a number below 0.

    Examples
    --------
    >>> from pyNN.connectors import FixedProbabilityConnector
    >>> check_connector(FixedProbabilityConnector(1.5))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    portable_cortex.errors.InvalidValueError: p_connect of FixedProbabilityConnector ...
    """
    kind = type(connector).__name__
    for name in ("p_connect", "n"):
        value = getattr(connector, name, None)
        if not isinstance(value, Real) or isinstance(value, bool):
            continue
        value = float(value)
        if name == "p_connect" and not 0 <= value <= 1:
            raise InvalidValueError(f"p_connect of {kind} must be from 0 to 1, not {shown(value)}")
        if name == "n" and not 0 <= value < np.inf:
            raise InvalidValueError(f"n of {kind} must be 0 or more, not {shown(value)}")


def check_edges(**columns: Any) -> None:
    """Raise `InvalidValueError` for synapses of which a weight or delay is not finite.

    Examples
    --------
    >>> check_edges(weight=np.array([0.1, np.inf]))
    Traceback (most recent call last):
        ...
    portable_cortex.errors.InvalidValueError: weight of a synapse must be finite, not inf
    """
    check_values("a synapse", columns)


def check_indices(sources: Any, targets: Any, shape: tuple[int, int]) -> None:
    """Raise PyNN's ``ConnectionError`` for a synapse of a neuron that does not exist.

    Examples
    --------
    >>> check_indices(np.array([0.0]), np.array([3.0]), (1, 3))
    Traceback (most recent call last):
        ...
    pyNN.errors.ConnectionError: target index out of range: 3 was given, valid are 0 to 2
    """
    for what, index, size in (("source", sources, shape[0]), ("target", targets, shape[1])):
        wrong = index[~((index >= 0) & (index < size))]
        if wrong.size:
            problem = f"index out of range: {wrong[0]:g} was given, valid are 0 to {size - 1}"
        elif np.any(index != np.floor(index)):
            problem = f"indices are whole numbers, not {index[index != np.floor(index)][0]:g}"
        else:
            continue
        from pyNN.errors import ConnectionError as Refused  # slow to import

        raise Refused(f"{what} {problem}")


def check_labels(populations: Mapping[Any, Any]) -> None:
    """Raise `ModelError` unless a model's labels can be shown, written and told apart.

    Examples
    --------
    >>> check_labels({1: "population"})
    Traceback (most recent call last):
        ...
    portable_cortex.errors.ModelError: the label of a population is text, not 1
    """
    labels: dict[int, str] = {}
    for label, population in populations.items():
        if not isinstance(label, str):
            raise ModelError(f"the label of a population is text, not {shown(label)}")
        if not label.strip() or not label.isprintable() or len(label) > LONGEST_LABEL:
            raise ModelError(
                f"the label of a population is 1 to {LONGEST_LABEL} characters that can be shown, "
                f"not {shown(label)}"
            )
        if id(population) in labels:
            raise ModelError(
                f"a population has one label, not {shown(labels[id(population)])} and "
                f"{shown(label)}"
            )
        labels[id(population)] = label


def check_returned(model_name: str, returned: Any, created: Iterable[Any]) -> dict[str, Any]:
    """The populations that a model's ``build`` returned, by label.

    Raises
    ------
    ModelError
        For whatever is no dict of label to a population that it made.
    """
    ids = {id(population) for population in created}
    if (
        not isinstance(returned, Mapping)
        or not returned
        or not all(id(population) in ids for population in returned.values())
    ):
        raise ModelError(
            f"build() of model {model_name!r} must return a dict of label to Population, whole and "
            f"made by this call, not {shown(returned)}"
        )
    try:
        check_labels(returned)
    except ModelError as error:
        raise ModelError(f"build() of model {model_name!r}: {error}") from None
    return {str(label): population for label, population in returned.items()}

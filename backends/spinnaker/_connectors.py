"""sPyNNaker's connectors and synapses, with the attributes that PyNN's have.

sPyNNaker keeps what it was given to itself; the core reads it to draw the `shared` realisation and
to count synapses.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN.parameters import ParameterSpace

from portable_cortex.support import refusal


class AllToAllConnector(spynnaker.AllToAllConnector):  # type: ignore[misc]  # untyped
    __doc__ = spynnaker.AllToAllConnector.__doc__

    def __init__(self, allow_self_connections: bool = True, **options: Any) -> None:
        super().__init__(allow_self_connections=allow_self_connections, **options)
        self.allow_self_connections = allow_self_connections


class FixedProbabilityConnector(spynnaker.FixedProbabilityConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedProbabilityConnector.__doc__

    def __init__(
        self, p_connect: float, allow_self_connections: bool = True, rng: Any = None, **options: Any
    ) -> None:
        super().__init__(p_connect, allow_self_connections=allow_self_connections, **options)
        self.p_connect, self.rng = p_connect, rng
        self.allow_self_connections = allow_self_connections


class _FixedNumber:
    """Keeps the arguments; the board's generators are seeded by populations, not by `rng`."""

    def __init__(
        self,
        n: int,
        allow_self_connections: bool = True,
        with_replacement: bool = False,
        rng: Any = None,
        **options: Any,
    ) -> None:
        self.n, self.rng = n, rng
        self.allow_self_connections = allow_self_connections
        self.with_replacement = with_replacement
        super().__init__(  # type: ignore[call-arg]  # the connector that this is mixed into
            n,
            allow_self_connections=allow_self_connections,
            with_replacement=with_replacement,
            **options,
        )


class FixedNumberPreConnector(_FixedNumber, spynnaker.FixedNumberPreConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedNumberPreConnector.__doc__


class FixedNumberPostConnector(_FixedNumber, spynnaker.FixedNumberPostConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedNumberPostConnector.__doc__


class FixedTotalNumberConnector(_FixedNumber, spynnaker.FixedTotalNumberConnector):  # type: ignore[misc]
    __doc__ = spynnaker.FixedTotalNumberConnector.__doc__

    def __init__(
        self,
        n: int,
        allow_self_connections: bool = True,
        with_replacement: bool = True,
        rng: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(n, allow_self_connections, with_replacement, rng, **options)


class FromListConnector(spynnaker.FromListConnector):  # type: ignore[misc]
    """A list of synapses: rows of source, target, and the columns that `column_names` names."""

    def __init__(
        self, conn_list: Any, column_names: Any = None, *, safe: bool = True, callback: Any = None
    ) -> None:
        rows = np.asarray(conn_list, dtype=float)
        if not rows.size:
            rows, column_names = np.zeros((0, 2)), ()
        elif column_names is None:
            column_names = {2: (), 4: ("weight", "delay")}.get(rows.shape[1])
            if column_names is None:
                raise TypeError("the columns of the list need names: column_names")
        # sPyNNaker finds the longest row of a source only where its synapses stand together
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        super().__init__(rows, tuple(column_names), safe=safe)


def delayed_list(
    connector: Any, by: float, first_source: int = 0, first_target: int = 0
) -> FromListConnector:
    """A list of synapses with delays, if it has any, that are longer by a number of ms.

    Its indices count from the first source and target.
    """
    listed = FromListConnector(connector.conn_list, connector.column_names)
    rows = listed.conn_list.astype(float)  # of an empty list whole numbers
    rows[:, :2] += first_source, first_target
    if "delay" in listed.column_names:
        rows[:, 2 + listed.column_names.index("delay")] += by
    listed.conn_list = rows
    return listed


class StaticSynapse(spynnaker.StaticSynapse):  # type: ignore[misc]
    __doc__ = spynnaker.StaticSynapse.__doc__

    def __init__(self, weight: Any = 0.0, delay: Any = None, **options: Any) -> None:
        if delay is None:
            delay = float(spynnaker.get_time_step())
        given = {"weight": weight, "delay": delay}
        _refuse_arrays(**given)
        self.parameter_space = ParameterSpace(given, schema={"weight": float, "delay": float})
        self._delay: Any = None
        super().__init__(weight=unseeded(weight), delay=unseeded(delay), **options)

    def get_parameter_names(self) -> tuple[str, ...]:
        """Names of the synapse's parameters."""
        return ("weight", "delay")

    @property
    def delay(self) -> Any:
        """The delay as the machine is given it."""
        return super().delay if self._delay is None else self._delay

    def delayed(self, by: float) -> StaticSynapse:
        """The same with delays that are longer by a number of ms."""
        other = copy(self)
        other._delay = shifted(super().delay, by)
        return other


class STDPMechanism(spynnaker.STDPMechanism):  # type: ignore[misc]
    __doc__ = spynnaker.STDPMechanism.__doc__

    def __init__(self, *arguments: Any, **options: Any) -> None:
        _refuse_arrays(**{n: v for n, v in options.items() if n in ("weight", "delay")})
        super().__init__(*arguments, **options)


def _refuse_arrays(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
            raise refusal(
                "spinnaker",
                "matrices",
                f"take an array as the {name} of a synapse type",
                "Give a FromListConnector a column of them",
            )


def unseeded(value: Any) -> Any:
    """A random distribution without a generator, which has no use: the board has its own."""
    if getattr(value, "rng", None) is None:
        return value
    bare = copy(value)
    bare.rng = None
    return bare


def shifted(value: Any, by: float) -> Any:
    """A number, array or random distribution, moved.

    Raises
    ------
    KeyError
        For a distribution that is not known by its position.
    """
    if not hasattr(value, "parameters"):
        return value + by
    moved = copy(value)
    names = {
        "uniform": ("low", "high"),
        "normal": ("mu",),
        "normal_clipped": ("mu", "low", "high"),
        "normal_clipped_to_boundary": ("mu", "low", "high"),
    }[value.name]
    moved.parameters = {n: v + by if n in names else v for n, v in value.parameters.items()}
    return moved


def n_synapses(connector: Any, pre: Any, post: Any) -> int | None:
    """Number of synapses that a connector makes, where that is no matter of chance.

    Parameters
    ----------
    connector : PyNN connector
    pre, post : PyNN Population or PopulationView
    """
    itself = not getattr(connector, "allow_self_connections", True) and pre is post
    kind = type(connector).__name__
    if kind == "FixedTotalNumberConnector":
        return int(connector.n)
    if kind == "OneToOneConnector":
        return min(int(pre.size), int(post.size))
    if kind == "AllToAllConnector":
        return int(pre.size * (post.size - itself))
    if kind == "FixedNumberPreConnector":
        return int(connector.n * post.size)
    if kind == "FixedNumberPostConnector":
        return int(connector.n * pre.size)
    if hasattr(connector, "conn_list"):
        return len(connector.conn_list)
    return None

"""Spike sources whose times are those of the time grid, as elsewhere.

sPyNNaker sorts times, and takes those that are set in a part of a population for all of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN.parameters import ParameterSpace, Sequence

from portable_cortex.errors import InvalidValueError
from portable_cortex.pynn.checks import check_values
from portable_cortex.pynn.grid import nearest_steps, whole_steps
from portable_cortex.pynn.population import check_parameter, times_of

from ._state import state

LATEST = 2**31  # steps


def trains_of(value: Any, n: int) -> list[list[float]]:
    """Spike times of each of `n` sources, ms, on the grid.

    Parameters
    ----------
    value : list, array or Sequence of float, or one of these for each source

    Raises
    ------
    pyNN.errors.InvalidParameterValueError
        For times that are negative, not finite, or not in order.
    """
    if callable(value) and not isinstance(value, Sequence):
        value = [value(i) for i in range(n)]
    parts = value if isinstance(value, list | tuple | np.ndarray) else ()
    is_each = any(isinstance(part, Sequence | list | tuple | np.ndarray) for part in parts)
    if is_each and len(parts) != n:
        raise InvalidValueError(f"{len(parts)} lists of spike times were given for {n} sources")
    trains = [times_of(part) for part in (list(value) if is_each else [value] * n)]
    check_parameter("spike_times", trains)
    step = state.dt
    return [np.round(whole_steps(train, step) * step, 9).tolist() for train in trains]


class SpikeSourceArray(spynnaker.SpikeSourceArray):  # type: ignore[misc]  # untyped
    __doc__ = spynnaker.SpikeSourceArray.__doc__

    def __init__(self, spike_times: Any = ()) -> None:
        self.spike_times = spike_times
        super().__init__([])

    def create_vertex(self, n_neurons: int, label: str, **options: Any) -> Any:
        """A vertex with times for each source."""
        self._SpikeSourceArray__spike_times = [0.0]  # sPyNNaker counts lists of them
        vertex = super().create_vertex(n_neurons, label, **options)
        trains = trains_of(self.spike_times, n_neurons)
        # without any it would never send; with its room on the board, it gets what it has
        send(vertex, trains if any(trains) else [[0.0]] * n_neurons)
        return vertex


class SpikeSourcePoisson(spynnaker.SpikeSourcePoisson):  # type: ignore[misc]  # untyped
    """Poisson spikes; a value for each source of one parameter is one of all."""

    def __init__(
        self, rate: Any = 1.0, start: Any = 0.0, duration: Any = 1e10, **options: Any
    ) -> None:
        super().__init__(**options)
        self._asked = {"rate": rate, "start": start, "duration": duration}

    def create_vertex(self, n_neurons: int, label: str, **options: Any) -> Any:
        """A vertex with one value for all sources, or a list of each."""
        values = {name: self._evaluated(name, n_neurons) for name in self._asked}
        if all(np.all(column == column[0]) for column in values.values()):
            held = {name: float(column[0]) for name, column in values.items()}
        else:
            held = {name: column.tolist() for name, column in values.items()}
        for name, value in held.items():
            setattr(self, f"_SpikeSourcePoisson__{name}", value)
        return super().create_vertex(n_neurons, label, **options)

    def _evaluated(self, name: str, n: int) -> Any:
        space = ParameterSpace({name: self._asked[name]}, schema={name: float}, shape=(n,))
        space.evaluate(simplify=False)
        values = np.asarray(space[name], float)
        check_values(type(self).__name__, {name: values})
        check_parameter(name, values)
        # in steps, times are numbers of 32 bits
        return values if name == "rate" else np.minimum(values, LATEST * state.dt)


def send(vertex: Any, trains: list[list[float]]) -> None:
    """Give sources their times: in steps, as an array of arrays, which sPyNNaker can divide."""
    ticks = np.empty(len(trains), object)
    for place, train in enumerate(trains):
        ticks[place] = nearest_steps(train, state.dt).astype(np.int64)
    vertex.send_buffer_times = ticks

"""Array sources in NEST: a generator, and a neuron that repeats its spikes.

Between the two is the smallest delay, so that the generator's times are earlier by that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN.errors import InvalidParameterValueError
from pyNN.parameters import Sequence
from pyNN.standardmodels import build_translations

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn.grid import whole_steps

from ._pynn import nest, pynn_nest
from ._simulator import state


def _translated(spike_times: Any) -> Any:
    """The same for PyNN's lazy arrays, of which this one is a copy."""
    spike_times.apply(_to_generator)
    return spike_times


def _to_generator(times: Any) -> Any:
    """Spike times of the generator for those of the source: one train, or an array of trains."""
    if isinstance(times, np.ndarray) and times.dtype == object:
        trains = np.empty(times.shape, object)
        for index, train in np.ndenumerate(times):
            trains[index] = _to_generator(train)
        return trains
    values = np.asarray(times.value if isinstance(times, Sequence) else times, float)
    _check(values)
    if state.spike_precision == "on_grid":
        values = whole_steps(values, state.dt) * state.dt
    # NEST takes what lies above a point of the grid, by rounding alone too, for the next one
    return Sequence(np.round(values - state.least_delay, 9))


def _check(times: Any) -> None:
    """Refuse spikes that NEST would leave out without a word.

    A generator can send a spike in the step after the present one, not before.

    Raises
    ------
    UnsupportedError
        For a spike between the present and the first that can come out.
    InvalidParameterValueError
        As PyNN does when the source is made, for times that are not in order.
    """
    if np.any(np.diff(times) < 0):
        raise InvalidParameterValueError(
            "Spike times given to SpikeSourceArray must be in increasing order"
        )
    if not np.all(np.isfinite(times) & (times >= 0)):
        wrong = times[~(np.isfinite(times) & (times >= 0))][0]
        raise InvalidParameterValueError(
            f"Spike times given to SpikeSourceArray must be 0 or more, not {wrong:g} ms"
        )
    now, delay = state.t, state.least_delay
    first = nest.biological_time + delay
    ahead = (times > now + 1e-9) | (now == 0)  # what lies in the past is no order
    lost = times[ahead & (times <= first + 1e-9)]
    if lost.size:
        raise UnsupportedError(
            f"on nest a SpikeSourceArray cannot fire at {lost[0]:g} ms: with a smallest delay of "
            f"{delay:g} ms (setup's min_delay), spikes that are given at {now:g} ms must be later "
            f"than {first:g} ms. Shift the times, or use builtin, brian2 or neuron"
        )


class SpikeSourceArray(pynn_nest.SpikeSourceArray):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_nest.SpikeSourceArray.__doc__

    translations = build_translations(
        (
            "spike_times",
            "spike_times",
            _translated,
            lambda spike_times: spike_times + state.least_delay,
        ),
    )

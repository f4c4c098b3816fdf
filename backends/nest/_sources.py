"""Spike sources in NEST, with times on the grid."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import numpy as np
from pyNN.parameters import Sequence
from pyNN.standardmodels import build_translations

from portable_cortex.pynn.grid import nearest_steps, whole_steps
from portable_cortex.pynn.population import Trains, check_parameter, times_of
from portable_cortex.support import refusal

from ._pynn import pynn_nest
from ._simulator import state


def on_grid(times: Any) -> Any:
    """Spike times as NEST takes them: one train, or an array of trains."""
    if isinstance(times, np.ndarray) and times.dtype == object:
        trains = np.empty(times.shape, object)
        for index, train in np.ndenumerate(times):
            trains[index] = on_grid(train)
        return trains
    values = times_of(times)
    check_parameter("spike_times", [values])
    if state.spike_precision == "on_grid":
        values = np.round(whole_steps(values, state.dt) * state.dt, 9)
    _check(values)
    return Sequence(values)


def _check(times: Any) -> None:
    """Refuse spikes that NEST would leave out without a word: those of the step before the next.

    Raises
    ------
    UnsupportedError
    """
    now, done = state.t, state.nest_step * state.dt
    ahead = (times > now + 1e-9) | (now == 0)  # what lies in the past is no order
    lost = times[ahead & (times <= done + 1e-9)]
    if lost.size:
        raise refusal(
            "nest",
            "spike-at-zero",
            f"let a SpikeSourceArray that is told at {now:g} ms fire at {lost[0]:g} ms, only after "
            f"{done:g} ms",
            "Shift the times, or use builtin, brian2 or neuron",
        )


class SpikeSourceArray(Trains, pynn_nest.SpikeSourceArray):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_nest.SpikeSourceArray.__doc__

    nest_name: ClassVar[dict[str, str]] = dict.fromkeys(
        ("on_grid", "off_grid"), "spike_train_injector"
    )
    uses_parrot = False
    always_local = False
    translations = build_translations(("spike_times", "spike_times"))

    @property
    def extra_parameters(self) -> dict[str, Any]:
        """Of NEST's."""
        return {"precise_times": True} if state.spike_precision == "off_grid" else {}


def _at_nearest_point(times: Any) -> Any:
    """Times of a device, which NEST takes on the grid only."""
    rounded = copy(times)
    rounded.operations = list(times.operations)
    rounded.apply(lambda t: np.round(nearest_steps(t, state.dt) * state.dt, 9))
    return rounded


_TIMES = (
    ("start", "start", lambda **p: _at_nearest_point(p["start"]), lambda **p: p["start"]),
    (
        "duration",
        "stop",
        lambda **p: _at_nearest_point(p["start"] + p["duration"]),
        lambda **p: p["stop"] - p["start"],
    ),
)
"""When devices of NEST's begin and stop."""


class SpikeSourcePoisson(pynn_nest.SpikeSourcePoisson):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_nest.SpikeSourcePoisson.__doc__

    translations = build_translations(("rate", "rate"), *_TIMES)
    extra_parameters: ClassVar[dict[str, Any]] = {}  # PyNN's has everything a millisecond late


class SpikeSourcePoissonRefractory(pynn_nest.SpikeSourcePoissonRefractory):  # type: ignore[misc]
    __doc__ = pynn_nest.SpikeSourcePoissonRefractory.__doc__

    translations = build_translations(("rate", "rate"), ("tau_refrac", "dead_time"), *_TIMES)


class SpikeSourceGamma(pynn_nest.SpikeSourceGamma):  # type: ignore[misc]
    __doc__ = pynn_nest.SpikeSourceGamma.__doc__

    translations = build_translations(
        ("alpha", "gamma_shape"),
        (
            "beta",
            "rate",
            lambda **p: p["beta"] / p["alpha"],
            lambda **p: p["gamma_shape"] * p["rate"],
        ),
        *_TIMES,
    )


POISSON_LIKE = SpikeSourcePoisson, SpikeSourcePoissonRefractory, SpikeSourceGamma

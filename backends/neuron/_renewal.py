"""Spike sources with a memory of one interval, on the time grid; see ``mod/grid_renewal.mod``."""

from __future__ import annotations

from typing import Any, ClassVar

from pyNN import errors

from ._cells import Source
from ._pynn import h, pynn_neuron, simulator


class Renewal(Source):
    """A source that begins in equilibrium, whatever its parameters; those are PyNN's native ones.

    Subclasses say what the intervals are.
    """

    def __init__(self, **parameters: float) -> None:
        super().__init__(h.GridRenewal())
        self.source.grid = simulator.state.dt
        self.parameters = {name: float(value) for name, value in parameters.items()}
        self._apply()

    def intervals(self) -> dict[str, float]:
        """Dead time (ms), shape and scale (ms) of the intervals; None of them for no spikes."""
        raise NotImplementedError

    def _apply(self) -> None:
        p, intervals = self.parameters, self.intervals()
        for name, value in intervals.items():
            setattr(self.source, name, value)
        self.source.start = p["start"]
        self.source.stop = p["start"] + p["duration"] if intervals else -1.0
        self._announce()

    def _put(self, name: str, value: float) -> None:
        before = dict(self.parameters)
        self.parameters[name] = float(value)
        try:
            self._apply()
        except errors.InvalidParameterValueError:
            self.parameters = before
            raise


def _parameter(name: str) -> property:
    return property(lambda cell: cell.parameters[name], lambda cell, value: cell._put(name, value))


class GridRefractory(Renewal):
    """A Poisson process with dead time: the rate is that of its spikes."""

    rate, tau_refrac, start, duration = map(_parameter, ("rate", "tau_refrac", "start", "duration"))

    def intervals(self) -> dict[str, float]:
        """See the base class."""
        rate, dead = self.parameters["rate"], self.parameters["tau_refrac"]
        if not rate:
            return {}
        if not 1e3 / rate > dead:
            raise errors.InvalidParameterValueError(
                f"rate of a SpikeSourcePoissonRefractory must be below 1000/tau_refrac, which is "
                f"{1e3 / dead:g} spikes/s with a tau_refrac of {dead:g} ms, not {rate:g}"
            )
        return {"dead": dead, "shape": 1.0, "scale": 1e3 / rate - dead}


class GridGamma(Renewal):
    """A gamma process."""

    alpha, beta, start, duration = map(_parameter, ("alpha", "beta", "start", "duration"))

    def intervals(self) -> dict[str, float]:
        """See the base class."""
        shape, rate = self.parameters["alpha"], self.parameters["beta"]  # per ms
        if not shape > 0 or not rate >= 0:
            raise errors.InvalidParameterValueError(
                "alpha of a SpikeSourceGamma must be above 0, and beta 0 or more, not "
                f"{shape:g} and {1e3 * rate:g}"
            )
        return {"dead": 0.0, "shape": shape, "scale": 1.0 / rate} if rate else {}


class SpikeSourcePoissonRefractory(pynn_neuron.SpikeSourcePoissonRefractory):  # type: ignore[misc]
    __doc__ = pynn_neuron.SpikeSourcePoissonRefractory.__doc__
    model: ClassVar[Any] = GridRefractory


class SpikeSourceGamma(pynn_neuron.SpikeSourceGamma):  # type: ignore[misc]
    __doc__ = pynn_neuron.SpikeSourceGamma.__doc__
    model: ClassVar[Any] = GridGamma

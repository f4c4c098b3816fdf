"""What this backend adds to pyNN.neuron's cells: neurons and sources that live on the time grid."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np

from portable_cortex.pynn.grid import whole_steps
from portable_cortex.pynn.population import Trains, times_of
from portable_cortex.support import refusal

from ._pynn import h, pynn_neuron, simulator

PER_SECTION = 256
"""Neurons that are put into one section: it carries them, and has no part in their dynamics."""

MECHANISMS = {"w": "adexp"}
"""Which attribute of PyNN's cells has a state variable."""


def _parameter(name: str) -> property:
    def get(cell: Any) -> float:
        return float(cell.parameters[name])

    def put(cell: Any, value: float) -> None:
        cell.parameters[name] = float(value)
        cell.set_parameters()

    return property(get, put, doc=f"{name}, in PyNN's unit")


class GridCell:
    """A neuron that is advanced on the time grid; the interface is that of pyNN.neuron's cells.

    Its mechanism takes currents of electrodes in ``i_stim`` (nA).
    """

    initial_values: dict[str, float]

    def __init__(self, mechanism: Any) -> None:
        self.source_section = _section()
        self.source = mechanism(self.source_section(0.5))

    def memb_init(self) -> None:
        """Called by pyNN.neuron before the first step."""
        raise NotImplementedError

    def set_state(self, variable: str, value: float) -> None:
        """Set a state variable, now."""
        raise NotImplementedError

    def reference(self, variable: str) -> Any:
        """Where NEURON has a variable."""
        raise NotImplementedError


class GridIFCurrExp(GridCell):
    """``IF_curr_exp``, integrated exactly from one point of the time grid to the next.

    The equations are in ``mod/grid_if_curr_exp.mod``.
    """

    NAMES = "tau_m c_m v_rest v_thresh v_reset t_refrac i_offset tau_e tau_i".split()

    def __init__(self, **parameters: float) -> None:
        super().__init__(h.GridIFCurrExp)
        # inputs are told apart by the sign of their weights, which PyNN checks
        self.excitatory = self.inhibitory = self.source
        self.initial_values = {"v": parameters["v_rest"], "isyn_exc": 0.0, "isyn_inh": 0.0}
        self.parameters = {name: float(parameters[name]) for name in self.NAMES}
        self.set_parameters()

    def set_parameters(self) -> None:
        """Compute the constants of one step from the parameters (in PyNN's units)."""
        p, cell, step = self.parameters, self.source, simulator.state.dt
        if cell.v_rest != p["v_rest"]:
            cell.v_rest = p["v_rest"]
            cell.u = cell.vm - cell.v_rest  # the potential itself stays
        cell.theta = p["v_thresh"] - p["v_rest"]
        cell.reset = p["v_reset"] - p["v_rest"]
        cell.refractory_steps = int(whole_steps(p["t_refrac"], step))
        cell.i_offset = p["i_offset"]
        cell.p_vv = math.exp(-step / p["tau_m"])
        cell.p_vc = -p["tau_m"] / p["c_m"] * math.expm1(-step / p["tau_m"])
        cell.p_ee = math.exp(-step / p["tau_e"])
        cell.p_ii = math.exp(-step / p["tau_i"])
        cell.p_ve = current_to_potential(p["tau_m"], p["tau_e"], p["c_m"], step)
        cell.p_vi = current_to_potential(p["tau_m"], p["tau_i"], p["c_m"], step)

    def memb_init(self) -> None:
        """Called by pyNN.neuron before the first step."""
        cell = self.source
        cell.v_init = self.initial_values["v"]
        cell.i_e_init = self.initial_values["isyn_exc"]
        cell.i_i_init = self.initial_values["isyn_inh"]

    def set_state(self, variable: str, value: float) -> None:
        """Set a state variable, now."""
        cell = self.source
        if variable == "v":
            cell.vm, cell.u = value, value - cell.v_rest
        elif variable == "isyn_exc":
            cell.i_e = value
        elif variable == "isyn_inh":
            cell.i_i = value

    def reference(self, variable: str) -> Any:
        """Where NEURON has the potential, which is all that is recorded."""
        return self.source._ref_vm


for _name in GridIFCurrExp.NAMES:
    setattr(GridIFCurrExp, _name, _parameter(_name))


def current_to_potential(tau_m: float, tau_syn: float, c_m: float, step: float) -> float:
    """How far a synaptic current of 1 nA at the beginning of a step moves the potential (mV).

    Rotter & Diesmann 1999, eq. 18; in a form that stays accurate where the time constants meet.
    """
    rate = 1.0 / tau_syn - 1.0 / tau_m  # difference of the two decay rates
    factor = math.expm1(rate * step) / rate if abs(rate) * step > 1e-12 else step
    return math.exp(-step / tau_syn) * factor / c_m


_sections: list[Any] = []
_free = 0


def _section() -> Any:
    global _free
    if _free == 0:
        _sections.append(h.Section())
        _free = PER_SECTION
    _free -= 1
    return _sections[-1]


def forget_sections() -> None:
    """Let the sections end with the neurons that they carry."""
    global _free
    _sections.clear()
    _free = 0


class Source:
    """A source of spikes: it has no section, and hears between runs that its parameters changed.

    It holds NEURON's object rather than being one, as PyNN's sources are: an object that refers to
    itself stays in NEURON until Python's garbage collector comes, in the middle of a later run.
    """

    source_section = None

    def __init__(self, source: Any) -> None:
        self.source = source
        self._line: Any = None
        self._is_new = bool(simulator.state.running)  # NEURON has no thread for it yet

    def begin(self) -> None:
        """Take part in a run that has begun, once NEURON has seen the source."""
        self._is_new = False
        self._announce()

    def _announce(self) -> None:
        if simulator.state.running and not self._is_new:
            self._line = self._line or h.NetCon(None, self.source)
            # its last event may be later than the present, by what floats add
            self._line.event(h.t + 1e-9)


class GridPoisson(Source):
    """Independent Poisson source on the time grid; see ``mod/grid_poisson.mod``."""

    def __init__(self, start: float, _interval: float, duration: float) -> None:
        super().__init__(h.GridPoisson())
        self.source.grid = simulator.state.dt
        self._duration = duration
        self.start, self._interval = start, _interval

    @property
    def start(self) -> float:
        """When it becomes active, ms."""
        return float(self.source.start)

    @start.setter
    def start(self, value: float) -> None:
        self.source.start, self.source.stop = value, value + self._duration
        self._announce()

    @property
    def duration(self) -> float:
        """How long it is active, ms."""
        return self._duration

    @duration.setter
    def duration(self, value: float) -> None:
        self._duration = value
        self.start = self.start

    @property
    def _interval(self) -> float:
        return float(self.source.interval)

    @_interval.setter
    def _interval(self, value: float) -> None:
        self.source.interval = value
        self._announce()


class GridSpikes(Source):
    """Source of spikes at listed times, each at the next point of the time grid."""

    def __init__(self, spike_times: Any) -> None:
        super().__init__(h.GridSpikes())
        self.spike_times = spike_times

    @property
    def spike_times(self) -> Any:
        """As they were set, ms."""
        return self._times

    @spike_times.setter
    def spike_times(self, sequence: Any) -> None:
        self._times = times_of(sequence)
        step = simulator.state.dt
        events = h.Vector(np.round(whole_steps(self._times, step) * step, 9))
        self.source.play(events)
        self._events = events  # NEURON reads them there
        self._announce()


@functools.cache
def on_grid(model: Any) -> Any:
    """A cell model of PyNN's whose refractory time ends with a step, as on every backend."""
    if not hasattr(model, "t_refrac") or model is GridIFCurrExp:
        return model
    trefrac = model.t_refrac

    def get(cell: Any) -> float:
        return float(cell.stated_refractoriness)

    def put(cell: Any, value: float) -> None:
        step = simulator.state.dt
        steps = float(whole_steps(value, step))
        if not steps:
            raise refusal(
                "neuron",
                "refractory-rounding: 0 in a PointNeuron",
                "have this cell with tau_refrac = 0",
                f"It must be above 0, such as a step ({step:g} ms)",
            )
        cell.stated_refractoriness = value
        trefrac.fset(cell, steps * step)

    return type(model.__name__, (model,), {"t_refrac": property(get, put)})


class IF_curr_exp(pynn_neuron.IF_curr_exp):  # type: ignore[misc]  # noqa: N801 (PyNN's name)
    __doc__ = pynn_neuron.IF_curr_exp.__doc__
    model = GridIFCurrExp
    extra_parameters: ClassVar[dict[str, Any]] = {}


class SpikeSourcePoisson(pynn_neuron.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = pynn_neuron.SpikeSourcePoisson.__doc__
    model = GridPoisson


class SpikeSourceArray(Trains, pynn_neuron.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = pynn_neuron.SpikeSourceArray.__doc__
    model = GridSpikes

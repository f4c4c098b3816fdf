"""What this backend adds to pyNN.neuron's cells: neurons and sources that live on the time grid."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, ClassVar

from portable_cortex.pynn.grid import whole_steps

from ._pynn import h, pynn_cells, pynn_electrodes, pynn_neuron, simulator

PER_SECTION = 256
"""Neurons that are put into one section: it carries them, and has no part in their dynamics."""


def _parameter(name: str) -> property:
    def get(cell: Any) -> float:
        return float(cell.parameters[name])

    def put(cell: Any, value: float) -> None:
        cell.parameters[name] = float(value)
        cell.set_parameters()

    return property(get, put, doc=f"{name}, in PyNN's unit")


class GridIFCurrExp:
    """``IF_curr_exp``, integrated exactly from one point of the time grid to the next.

    The interface is that of pyNN.neuron's cells; the equations are in
    ``mod/grid_if_curr_exp.mod``.
    """

    NAMES = "tau_m c_m v_rest v_thresh v_reset t_refrac i_offset tau_e tau_i".split()

    def __init__(self, **parameters: float) -> None:
        self.source_section = _section()
        self.source = h.GridIFCurrExp(self.source_section(0.5))
        # inputs are told apart by the sign of their weights, which PyNN checks
        self.excitatory = self.inhibitory = self.source
        self.initial_values = {"v": parameters["v_rest"], "isyn_exc": 0.0, "isyn_inh": 0.0}
        self.traces: defaultdict[Any, list[Any]] = defaultdict(list)
        self.recording_time = 0
        self.parameters = {name: float(parameters[name]) for name in self.NAMES}
        self.set_parameters()

    def set_parameters(self) -> None:
        """Compute the constants of one step from the parameters (in PyNN's units)."""
        p, cell, step = self.parameters, self.source, simulator.state.dt
        cell.v_rest = p["v_rest"]
        cell.theta = p["v_thresh"] - p["v_rest"]
        cell.reset = p["v_reset"] - p["v_rest"]
        cell.refractory_steps = max(1, int(whole_steps(p["t_refrac"], step)))
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


class GridPoisson(pynn_cells.hclass(h.GridPoisson)):  # type: ignore[misc]
    """Independent Poisson source on the time grid; see ``mod/grid_poisson.mod``."""

    parameter_names = ("start", "_interval", "duration")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, start: float, _interval: float, duration: float) -> None:
        self.source, self.source_section = self, None
        self.switch = h.NetCon(None, self)
        self.start, self.duration = start, duration
        self.grid = simulator.state.dt
        self.interval = _interval

    @property
    def duration(self) -> float:
        """How long it is active, ms."""
        return float(self.stop - self.start)

    @duration.setter
    def duration(self, value: float) -> None:
        self.stop = self.start + value

    @property
    def _interval(self) -> float:
        return float(self.interval)

    @_interval.setter
    def _interval(self, value: float) -> None:
        self.interval = value
        if simulator.state.running:
            self.switch.event(h.t)


class IF_curr_exp(pynn_neuron.IF_curr_exp):  # type: ignore[misc]  # noqa: N801 (PyNN's name)
    __doc__ = pynn_neuron.IF_curr_exp.__doc__
    model = GridIFCurrExp
    extra_parameters: ClassVar[dict[str, Any]] = {}


class SpikeSourcePoisson(pynn_neuron.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = pynn_neuron.SpikeSourcePoisson.__doc__
    model = GridPoisson


class _IntoGridCells:
    """Injects into neurons on the grid as into pyNN.neuron's sections."""

    def inject_into(self: Any, cells: Any, location: Any = None) -> None:
        others = []
        for cell in cells:
            if not cell.local:
                continue
            if not isinstance(getattr(cell, "_cell", None), GridIFCurrExp):
                others.append(cell)
            elif cell not in self._h_iclamps:
                clamp = h.GridClamp(cell._cell.source_section(0.5))
                h.setpointer(cell._cell.source._ref_i_stim, "target", clamp)
                self.cell_list.append(cell)
                self._h_iclamps[cell].append(clamp)
                self._devices.append(clamp)
        super().inject_into(others, location)  # type: ignore[misc]


class DCSource(_IntoGridCells, pynn_electrodes.DCSource):  # type: ignore[misc]
    __doc__ = pynn_electrodes.DCSource.__doc__


class StepCurrentSource(_IntoGridCells, pynn_electrodes.StepCurrentSource):  # type: ignore[misc]
    __doc__ = pynn_electrodes.StepCurrentSource.__doc__


class ACSource(_IntoGridCells, pynn_electrodes.ACSource):  # type: ignore[misc]
    __doc__ = pynn_electrodes.ACSource.__doc__


class NoisyCurrentSource(_IntoGridCells, pynn_electrodes.NoisyCurrentSource):  # type: ignore[misc]
    __doc__ = pynn_electrodes.NoisyCurrentSource.__doc__

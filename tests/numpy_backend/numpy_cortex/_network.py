"""Populations, projections and what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN.standardmodels import cells

from portable_cortex.pynn import population, projection, recorder, synapses
from portable_cortex.pynn.grid import nearest_steps, whole_steps

from . import _simulator as simulator

state = simulator.state
Assembly, PopulationView = population.views(simulator)
StaticSynapse = synapses.static_synapse(state)
CURRENTS = {"isyn_exc": "nA", "isyn_inh": "nA"}
CELL_TYPES = [
    population.cell_type(
        cells.IF_curr_exp,
        recordable=["spikes", "v", *CURRENTS],
        units={**cells.IF_curr_exp.units, **CURRENTS},
    ),
    population.cell_type(cells.SpikeSourceArray),
    population.cell_type(cells.SpikeSourcePoisson),
]


class Recorder(recorder.Recorder):
    """Keeps every spike and sample."""

    _simulator = simulator

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.forget()

    def forget(self) -> None:
        """Begin anew at the present."""
        self._events: list[Any] = [np.empty((0, 2), int)]
        self._samples: dict[int, Any] = {}

    def add(self, step: int, counts: Any) -> None:
        """Take the numbers of spikes of all cells in a step."""
        wanted = self.indices(recorder.SPIKES)
        neurons = np.repeat(wanted, counts[wanted])
        if neurons.size:
            self._events.append(np.stack([np.full(neurons.size, step), neurons], axis=1))

    def sample(self) -> None:
        """Take the present state, where it is to be sampled."""
        if (state.step - self.start) % self.interval == 0 and state.step not in self._samples:
            row = {name: np.full(self.population.size, np.nan) for name in self.population.state}
            for name in row:  # of a cell that is recorded later there is nothing before
                wanted = self.indices(name)
                row[name][wanted] = self.population.state[name][wanted]
            self._samples[state.step] = row

    def spikes(self) -> Any:
        """Steps and neurons."""
        events = np.concatenate(self._events)
        return events[:, 0], events[:, 1]

    def samples(self, variable: str) -> Any:
        """Step of the first sample, and all."""
        self.sample()
        steps, wanted = sorted(self._samples), self.indices(variable)
        rows = [self._samples[step][variable][wanted] for step in steps]
        return min(steps, default=0), np.array(rows).reshape(len(steps), wanted.size)


class Population(population.Population):
    """Cells that are advanced at once."""

    _simulator, _recorder_class = simulator, Recorder
    _assembly_class, _view_class = Assembly, PopulationView

    def state_variables(self) -> tuple[str, ...]:
        """Potential and currents."""
        return ("v", "isyn_exc", "isyn_inh") if self.injectable else ()

    def made(self) -> None:
        """Begin with the initial values."""
        self.state = {name: values.copy() for name, values in self.initial.items()}
        self.refractory = np.zeros(self.size, int)

    def take_initial(self, variable: str, own: Any, values: Any) -> None:
        """They hold at once."""
        super().take_initial(variable, own, values)
        self.state[variable][own] = values

    def fired_at_zero(self) -> Any:
        """Numbers of spikes at 0, which only array sources have."""
        return self._scheduled(0) if "spike_times" in self.parameters else np.zeros(self.size, int)

    def _scheduled(self, step: int) -> Any:
        steps, neurons = self.scheduled()
        return np.bincount(neurons[steps == step], minlength=self.size)

    def advance(self, injected: Any, arrived: Any) -> Any:
        """Go one step; gives the number of spikes of each cell at its end."""
        p, own = self.parameters, slice(int(self.first_id), int(self.first_id) + self.size)
        if "spike_times" in p:
            return self._scheduled(state.step)
        if "rate" in p:
            start, end = (
                nearest_steps(t, state.dt) for t in (p["start"], p["start"] + p["duration"])
            )
            on = (state.step > start) & (state.step <= end)
            return state.random.poisson(p["rate"] * state.dt * 1e-3) * on
        v, h = self.state["v"], state.dt
        constant = p["i_offset"] + injected[own]
        keep = np.exp(-h / p["tau_m"])
        new = p["v_rest"] + (v - p["v_rest"]) * keep + p["tau_m"] / p["cm"] * (1 - keep) * constant
        for receptor, (name, tau) in enumerate(
            (("isyn_exc", p["tau_syn_E"]), ("isyn_inh", p["tau_syn_I"]))
        ):
            rate = 1 / tau - 1 / p["tau_m"]
            same = np.abs(rate) < 1e-9  # the limit of equal time constants
            factor = np.where(same, h, np.expm1(rate * h) / np.where(same, 1.0, rate))
            new += self.state[name] * np.exp(-h / tau) * factor / p["cm"]
            self.state[name][:] = self.state[name] * np.exp(-h / tau) + arrived[receptor, own]
        v[:] = np.where(self.refractory > 0, v, new)
        self.refractory = np.maximum(self.refractory - 1, 0)
        fired = v >= p["v_thresh"]
        v[fired] = p["v_reset"][fired]
        self.refractory[fired] = whole_steps(p["tau_refrac"], h)[fired]
        return fired.astype(int)


class Projection(projection.Projection):
    """Synapses as the floor keeps them."""

    _simulator, _static_synapse_class = simulator, StaticSynapse

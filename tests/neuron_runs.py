"""Frozen input to a neuron model: what a backend makes of it, and what the reference does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portable_cortex.neurons import celltype, library
from portable_cortex.neurons.reference import Reference

DELAY = 1.0  # ms


@dataclass(frozen=True)
class Input:
    """Spike trains, weights and a current step, the same for all neurons but for their weights.

    Attributes
    ----------
    excitation, inhibition : float
        Largest weight, as a synapse has it.
    rate : float
        Spikes in a second at each receptor.
    current : float
        nA, from 40 to 90 % of the time.
    parameters : dict
        Beside the defaults.
    """

    excitation: float
    inhibition: float
    rate: float = 400.0
    current: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)


INPUTS = {
    "lif_curr_exp": Input(3.0, -1.5, current=0.5),
    "lif_curr_alpha": Input(6.0, -3.0, current=0.5),
    "lif_curr_delta": Input(10.0, -5.0, current=0.5),
    "lif_cond_exp": Input(0.06, 0.03, current=0.3),
    "adex_curr_exp": Input(1.2, -0.6, current=0.2),
    "mat2_curr_exp": Input(1.5, -0.7, current=0.2),
    "izhikevich_2003": Input(12.0, -6.0, current=0.004),
}
N = 5  # neurons


def trains(rate: float, duration: float, step: float, seed: int) -> list[np.ndarray]:
    """Times of spikes on the grid, one train for each receptor, ms."""
    rng = np.random.default_rng(seed)
    n = round(duration / step)
    return [np.flatnonzero(rng.random(n) < rate * step * 1e-3) * step + step for _ in range(2)]


def weights(largest: float) -> np.ndarray:
    """Of the neurons, from a half to the whole."""
    return largest * np.linspace(0.5, 1.0, N)


def on_backend(
    sim: Any, cells: Any, given: Input, duration: float, step: float, record: list[str]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Spike times of each neuron, and variables at all steps, shape (steps + 1, neurons)."""
    population = sim.Population(N, cells(**given.parameters))
    population.record(["spikes", *record])
    for train, receptor, largest in zip(
        trains(given.rate, duration, step, seed=7),
        population.celltype.receptor_types,
        (given.excitation, given.inhibition),
        strict=False,
    ):
        source = sim.Population(N, sim.SpikeSourceArray(spike_times=train))
        synapses = [(i, i, w, DELAY) for i, w in enumerate(weights(largest))]
        sim.Projection(
            source, population, sim.FromListConnector(synapses), sim.StaticSynapse(),
            receptor_type=receptor,
        )  # fmt: skip
    if given.current:
        current = sim.DCSource(amplitude=given.current, start=0.4 * duration, stop=0.9 * duration)
        population.inject(current)
    sim.run(duration)
    segment = population.get_data().segments[0]
    signals = {signal.name: np.asarray(signal.magnitude) for signal in segment.analogsignals}
    return [np.asarray(train.magnitude) for train in segment.spiketrains], signals


def in_reference(
    model: str, given: Input, duration: float, step: float, record: list[str]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The same by the reference; variables after each step, shape (steps, neurons)."""
    kind = celltype.cell_type("Model", library.load(model))
    neuron, n = kind.neuron, round(duration / step)
    parameters = {**kind.default_parameters, **given.parameters}
    reference = Reference(neuron, step, N, celltype.in_form(neuron, parameters))
    arrivals = {}
    for train, port, largest in zip(
        trains(given.rate, duration, step, seed=7), neuron.ports,
        (given.excitation, given.inhibition), strict=False,
    ):  # fmt: skip
        steps = np.rint((train + DELAY) / step).astype(int) - 1
        weight = np.zeros((n, N))
        steps = steps[steps < n]
        weight[steps] = weights(largest)
        arrivals[port.name] = weight
    currents = {}
    for quantity in neuron.currents:
        wave = np.zeros(n)
        wave[round(0.4 * n) : round(0.9 * n)] = given.current * 1e3
        currents[quantity.name] = wave
    course = reference.run(n, arrivals, currents, record)
    units = {q.name: float(q.factor) for q in (*neuron.state, *neuron.inlines)}
    spikes = [(np.flatnonzero(column) + 1) * step for column in course.spikes.T]
    return spikes, {name: values / units[name] for name, values in course.variables.items()}

"""The update of a neuron in NEST and on SpiNNaker, with the parts of the difference apart.

A loop in double precision that draws the core's `shared` network with constant drive and can be
given each part of SpiNNaker's arithmetic alone. Fixed-point numbers are exact in it, so that with
all parts it makes every spike of a board, and with none every spike of NEST;
``spinnaker_arithmetic.py`` checks both before it says what a part does.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portable_cortex import Recording
from portable_cortex.models import pd14 as model
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import scale
from portable_cortex.pynn.draws import STATE, Stream, draw_edges, quantile_function

PARTS = {
    "weights": "weights of 16 bits",
    "saturation": "no more than 65,535 weight steps at once",
    "held": "input held over each step",
    "factors": "rounded factors of decay",
    "currents": "currents in steps of 2^-15 nA",
    "potentials": "potentials in steps of 2^-15 mV",
}

# What a board makes of the time constants: decay of the potential and of a synaptic current over
# a step, and the part of a weight that arrives, such that its charge is kept.
FACTORS = {
    0.1: (32442 / 2**15, 3516383005 / 2**32, 3892683849 / 2**32),
    1.0: (29650 / 2**15, 581260615 / 2**32, 1856853340 / 2**32),
}

Spikes = tuple[NDArray[np.int64], NDArray[np.int64]]


class Network(NamedTuple):
    """Neurons, and their synapses ordered by source. nA, mV, steps."""

    population: NDArray[np.int64]
    first: NDArray[np.int64]
    target: NDArray[np.int64]
    receptor: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.int64]
    potential: NDArray[np.float64]
    drive: NDArray[np.float64]


@functools.cache
def draw(seed: int, timestep: float, n_scale: float, k_scale: float) -> Network:
    """Draw the network that all backends are given."""
    import pyNN.mock as mock

    mock.setup(timestep=timestep)
    edges, potentials = [], []

    def population(size: int, cells: Any, label: str) -> Any:
        def initialize(v: Any) -> None:
            stream = Stream(seed, 2 * len(potentials), STATE)
            potentials.append(stream.values(size, quantile_function(v)))

        made = mock.Population(size, cells, label=label)
        made.initialize = initialize
        return made

    def projection(pre: Any, post: Any, connector: Any, synapse: Any, **_names: str) -> None:
        drawn = draw_edges(
            connector, synapse, pre, post, seed=seed, item=2 * len(edges) + 1, timestep=timestep
        )
        edges.append((PD14.index(pre.label), PD14.index(post.label), drawn))

    class Drawn(SimpleNamespace):
        Population, Projection = staticmethod(population), staticmethod(projection)

        def __getattr__(self, name: str) -> Any:
            return getattr(mock, name)

    model.build(Drawn(), n_scale=n_scale, k_scale=k_scale, drive="dc", seed=seed)
    scaled = scale(PD14, n_scale, k_scale, "dc")
    first = np.cumsum([0, *scaled.sizes])
    source = np.concatenate([e.sources + first[pre] for pre, _, e in edges])
    order = np.argsort(source, kind="stable")
    return Network(
        population=np.repeat(np.arange(len(scaled.sizes)), scaled.sizes),
        first=np.concatenate([[0], np.cumsum(np.bincount(source, minlength=first[-1]))]),
        target=np.concatenate([e.targets + first[post] for _, post, e in edges])[order],
        receptor=np.concatenate([np.full(e.targets.size, pre % 2) for pre, _, e in edges])[order],
        weight=np.abs(np.concatenate([e.weights for *_, e in edges]))[order],
        delay=np.rint(np.concatenate([e.delays for *_, e in edges])[order] / timestep).astype(int),
        potential=np.concatenate(potentials),
        drive=np.repeat(scaled.dc, scaled.sizes),
    )


def simulate(
    network: Network,
    duration: float,
    timestep: float,
    parts: Collection[str],
    weight_steps: NDArray[np.float64],
) -> Spikes:
    """Spikes (step, neuron) with those `PARTS` of SpiNNaker's arithmetic, the rest NEST's.

    Parameters
    ----------
    duration, timestep : float
        ms.
    weight_steps : array, shape (populations, receptors)
        Of what the weights onto each population are multiples, nA.
    """
    cell = PD14.neuron
    resistance = cell.tau_m / cell.cm
    leak, decay = np.exp(-timestep / cell.tau_m), np.exp(-timestep / cell.tau_syn)
    # what a current that decays within the step adds to the potential, beside one that does not
    decaying = resistance * cell.tau_syn / (cell.tau_m - cell.tau_syn) * (leak - decay)
    arrives, excess = 1.0, decaying - resistance * (1.0 - leak)
    if "held" in parts:
        arrives, excess = cell.tau_syn / timestep * (1.0 - decay), 0.0
    if "factors" in parts:
        leak, decay, kept = FACTORS[timestep]
        arrives = kept if "held" in parts else arrives
    steps = weight_steps[network.population]
    weight, drive, potential = network.weight, network.drive, network.potential
    if "weights" in parts:
        step = steps[network.target, network.receptor]
        weight = np.rint(weight / step) * step
    if "currents" in parts:
        drive = np.rint(drive * 2**15) / 2**15
    if "potentials" in parts:
        potential = np.rint(potential * 2**15) / 2**15
    return _advance(
        network._replace(weight=weight, drive=drive, potential=potential.copy()),
        round(duration / timestep),
        round(cell.tau_refrac / timestep),
        np.where("saturation" in parts, 65535 * steps, np.inf),
        (cell.v_rest, cell.v_reset, cell.v_thresh, resistance),
        (leak, decay, arrives, excess),
        ("currents" in parts, "potentials" in parts),
    )


@njit
def _down(value: float, fixed: bool) -> float:
    return np.floor(value * 32768.0) / 32768.0 if fixed else value


@njit
def _advance(network, n_steps, refractory, limits, cell, factors, fixed):
    v_rest, v_reset, v_thresh, resistance = cell
    leak, decay, arrives, excess = factors
    fixed_current, fixed_potential = fixed
    v, n = network.potential, network.potential.size
    n_slots = network.delay.max() + 2
    coming = np.zeros((n_slots, n, 2))
    current, waits = np.zeros((n, 2)), np.zeros(n, np.int64)
    steps, neurons = [0][:0], [0][:0]
    for step in range(n_steps):
        now, before = coming[step % n_slots], len(neurons)
        for i in range(n):
            for r in range(2):
                if now[i, r]:
                    current[i, r] += _down(min(now[i, r], limits[i, r]) * arrives, fixed_current)
                    now[i, r] = 0.0
            if waits[i]:
                waits[i] -= 1
            else:
                synaptic = current[i, 0] - current[i, 1]
                to = v_rest + _down((synaptic + network.drive[i]) * resistance, fixed_potential)
                v[i] = to - _down(leak * (to - v[i]), fixed_potential) + excess * synaptic
            if v[i] >= v_thresh:
                v[i], waits[i] = v_reset, refractory
                steps.append(step)
                neurons.append(i)
            for r in range(2):
                current[i, r] = _down(current[i, r] * decay, fixed_current)
        for source in neurons[before:]:
            for k in range(network.first[source], network.first[source + 1]):
                at = (step + 1 + network.delay[k]) % n_slots
                coming[at, network.target[k], network.receptor[k]] += network.weight[k]
    return np.array(steps), np.array(neurons)


def recorded(recording: Recording) -> Spikes:
    """Spikes of a recording from time 0, counted as `simulate` counts."""
    steps, neurons, first = [], [], 0
    for label in PD14.populations:
        spikes = recording.spikes(label)
        steps.append(np.rint(spikes.times / recording.metadata["timestep_ms"]).astype(int) - 1)
        neurons.append(spikes.neurons + first)
        first += recording.n_neurons[label]
    return np.concatenate(steps), np.concatenate(neurons)


def first_difference(a: Spikes, b: Spikes) -> int | None:
    """The step of the first spike that only one has."""
    one, other = (set(zip(*map(np.ndarray.tolist, spikes), strict=True)) for spikes in (a, b))
    return min((step for step, _ in one ^ other), default=None)


def mean_rate(network: Network, spikes: Spikes, duration: float) -> float:
    """Mean of the populations' rates, spikes/s."""
    counts = np.bincount(network.population[spikes[1]])
    return float((counts / np.bincount(network.population)).mean() / duration * 1e3)

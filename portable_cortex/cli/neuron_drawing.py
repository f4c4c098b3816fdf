"""A picture of what a neuron model does: a current step, a spike that arrives, the f-I curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from ..host.output import whole
from ..neurons.celltype import NeuronType, receptors
from ..neurons.form import Neuron

F64 = NDArray[np.floating[Any]]
STEP = 0.1  # ms
REST, LONG = 200.0, 1000.0  # ms, before an input, and with a current
STRONGEST: F64 = 2.0 ** np.arange(-12.0, 6.0)  # nA that are tried
WANTED = 60.0  # spikes in a second at the end of the f-I curve
DEFLECTION = 0.5  # mV, of a postsynaptic potential, about


@dataclass(frozen=True)
class Response:
    """What some neurons did.

    Attributes
    ----------
    times : array
        ms.
    potential : array, shape (times, neurons)
    trains : list of array
        Spike times, ms.
    """

    times: F64
    potential: F64
    trains: list[F64]

    @property
    def rates(self) -> F64:
        """Spikes in a second after `REST`."""
        seconds = float(self.times[-1] - REST) * 1e-3
        counts: F64 = np.array([np.sum(train > REST) for train in self.trains], float)
        return counts / seconds


def draw(neuron: Neuron, backend: Any, path: Path) -> None:
    """Draw the responses of a model.

    Parameters
    ----------
    neuron : Neuron
    backend : Backend
        Which simulates.
    path : Path
        ``.png``, ``.pdf`` or ``.svg``.

    Raises
    ------
    UnsupportedError
        For a backend that takes no models, or a model that takes no current.
    """
    from matplotlib.figure import Figure

    if not neuron.currents:
        raise UnsupportedError(
            f"{neuron.name} has no continuous input: a current step needs one "
            "(input: i_inject nA <- continuous)"
        )
    potential = _potential(neuron)
    rates = _currents(neuron, backend, STRONGEST, potential).rates
    enough = np.flatnonzero(rates >= WANTED)
    strongest = STRONGEST[enough[0]] if enough.size else STRONGEST[-1]
    amplitudes: F64 = np.linspace(0.0, strongest, 25)
    curve = _currents(neuron, backend, amplitudes, potential)
    shown = int(np.argmin(np.abs(curve.rates - WANTED / 3)))
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    step, spike, fi = figure.subplots(1, 3)
    figure.suptitle(f"{neuron.name} on {backend.name}")

    step.plot(curve.times, curve.potential[:, shown], lw=0.8)
    for time in curve.trains[shown]:
        step.axvline(time, ymin=0.93, color="black", lw=0.8)
    step.axvspan(REST, REST + LONG, color="0.93", zorder=0)
    step.set(title=f"{amplitudes[shown]:.3g} nA", xlabel="time (ms)", ylabel=f"{potential} (mV)")

    weights, response = _spikes(neuron, backend, potential)
    names = receptors(neuron)
    for number, name in enumerate(names):
        own = response.potential[:, number] - response.potential[0, number]
        spike.plot(response.times - REST, own, label=f"{name}, weight {weights[number]:.3g}")
    spike.set(title="a spike arrives", xlabel="time (ms)", ylabel="change (mV)", xlim=(-5, 60))
    spike.legend()

    fi.plot(amplitudes, curve.rates, ".-")
    fi.set(title="f-I curve", xlabel="current (nA)", ylabel="rate (1/s)")
    with whole(path) as part:
        figure.savefig(part, format=path.suffix[1:] or "png", dpi=150)


def _potential(neuron: Neuron) -> str:
    """The variable that is the membrane potential: the first in mV."""
    return next((q.name for q in neuron.state if q.unit == "mV"), neuron.state[0].name)


def _namespace(neuron: Neuron, backend: Any) -> tuple[Any, type[NeuronType]]:
    if not backend.takes_neurons:
        raise UnsupportedError(f"backend {backend.name!r} takes no neuron models in NESTML")
    sim = backend.simulator(backend.Options())
    backend.setup(sim, timestep=STEP, seed=1)
    return sim, sim.nestml_cell_type("Neuron", neuron)


def _response(sim: Any, population: Any, potential: str, duration: float) -> Response:
    population.record(["spikes", potential])
    sim.run(duration)
    segment = population.get_data().segments[0]
    (signal,) = segment.analogsignals
    trains = [np.asarray(train.magnitude, float) for train in segment.spiketrains]
    sim.end()
    values = np.asarray(signal.magnitude, float)
    times: F64 = np.arange(len(values)) * STEP
    return Response(times, values, trains)


def _currents(neuron: Neuron, backend: Any, amplitudes: F64, potential: str) -> Response:
    """A neuron for each current, which begins after `REST`."""
    sim, cells = _namespace(neuron, backend)
    population = sim.Population(amplitudes.size, cells())
    for amplitude, cell in zip(amplitudes, population, strict=True):
        source = sim.DCSource(amplitude=float(amplitude), start=REST, stop=REST + LONG)
        source.inject_into([cell])
    return _response(sim, population, potential, REST + LONG)


def _spikes(neuron: Neuron, backend: Any, potential: str) -> tuple[F64, Response]:
    """A neuron for each receptor, which gets one spike at `REST`, and the weights."""
    names = receptors(neuron)
    tried: F64 = 2.0 ** np.arange(-14.0, 8.0)
    chosen = []
    for number in range(len(names)):
        response = _arrival(neuron, backend, potential, [number] * tried.size, tried)
        change = np.abs(response.potential - response.potential[0]).max(axis=0)
        change[~np.isfinite(change)] = np.inf  # too much for the model
        chosen.append(tried[int(np.argmin(np.abs(np.log((change + 1e-12) / DEFLECTION))))])
    weights = np.array(chosen)
    response = _arrival(neuron, backend, potential, list(range(len(names))), weights)
    return weights, response


def _arrival(
    neuron: Neuron, backend: Any, potential: str, ports: list[int], weights: F64
) -> Response:
    sim, cells = _namespace(neuron, backend)
    population = sim.Population(weights.size, cells())
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[REST - 1.0]))
    names = population.celltype.receptor_types
    for index, (port, weight) in enumerate(zip(ports, weights, strict=True)):
        negative = names[port] == "inhibitory" and not population.celltype.conductance_based
        sim.Projection(
            source,
            population[index : index + 1],
            sim.AllToAllConnector(),
            sim.StaticSynapse(weight=-weight if negative else weight, delay=1.0),
            receptor_type=names[port],
        )
    return _response(sim, population, potential, REST + 100.0)

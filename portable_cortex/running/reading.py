"""What was recorded, as the backend has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..backend import Backend
from ..errors import SimulationError
from ..pynn.watching import Network
from ..recording import Signal, Spikes
from .notes import Notes

if TYPE_CHECKING:
    from ..experiment import Experiment


Recorded = tuple[Mapping[str, Spikes], Mapping[tuple[str, str], Signal]]


def read(
    done: Experiment, network: Network, backend: Backend, notes: Notes, since: float | None = None
) -> Recorded:
    """What was recorded after the warm-up, or after `since` ms."""
    recorded = done.record_spikes and backend.simulates and backend.spiking
    spikes = _read_spikes(done, network, backend, notes, since) if recorded else {}
    return spikes, _read_signals(done, network, backend, notes, since)


def _read_spikes(
    done: Experiment, network: Network, backend: Backend, notes: Notes, since: float | None
) -> dict[str, Spikes]:
    """Spikes in the interval (since, warmup + duration]; half a step allows for rounding."""
    half = 0.5 * done.timestep
    low = (done.warmup if since is None else since) + half
    high = done.warmup + done.duration + half
    trains = {}
    for label, population in network.populations.items():
        spikes = notes.tried(f"spikes of {label}", partial(backend.spikes, population), None)
        if spikes is not None:
            kept = slice(*np.searchsorted(spikes.times, (low, high)))
            trains[label] = Spikes(spikes.times[kept], spikes.neurons[kept])
    if not trains:
        raise SimulationError(f"backend {backend.name!r} failed: {'; '.join(notes)}")
    return trains


def _read_signals(
    done: Experiment, network: Network, backend: Backend, notes: Notes, since: float | None
) -> dict[tuple[str, str], Signal]:
    signals = {}
    for r in done.record:
        there = partial(backend.signal, network.populations[r.population], r.variable)
        signal = notes.tried(f"{r.variable} of {r.population}", there, None)
        if signal is not None:
            if since is None:
                first = math.ceil((done.warmup - signal.t_start) / signal.interval - 1e-6)
            else:
                first = math.floor((since - signal.t_start) / signal.interval + 1e-6) + 1
            first = max(0, first)
            signals[r.population, r.variable] = signal._replace(
                values=signal.values[first:], t_start=signal.t_start + first * signal.interval
            )
    return signals

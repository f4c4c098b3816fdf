"""Spikes and signals as plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Spikes(NamedTuple):
    """Spikes of one population, sorted by time.

    Attributes
    ----------
    times : array of float64, shape (n_spikes,)
        ms.
    neurons : array of int64, shape (n_spikes,)
        Index of the neuron within its population, from 0.
    """

    times: NDArray[np.float64]
    neurons: NDArray[np.int64]


class Signal(NamedTuple):
    """A recorded variable of some neurons of one population.

    Attributes
    ----------
    values : array of float64, shape (n_samples, n_neurons)
    neurons : array of int64, shape (n_neurons,)
        Index of each neuron within its population, from 0.
    t_start, interval : float
        Time of the first sample and time between samples, ms.
    units : str

    Examples
    --------
    >>> Signal(np.zeros((3, 1)), np.array([0]), 500.0, 0.1, "mV").times
    array([500. , 500.1, 500.2])
    """

    values: NDArray[np.float64]
    neurons: NDArray[np.int64]
    t_start: float
    interval: float
    units: str

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each sample, ms, shape (n_samples,)."""
        return self.t_start + self.interval * np.arange(len(self.values), dtype=np.float64)


def by_time(times: NDArray[np.float64], neurons: NDArray[np.int64]) -> Spikes:
    """Spikes in order of time, and of neuron where times are equal."""
    times, neurons = np.asarray(times, float), np.asarray(neurons, np.int64)
    order = np.lexsort((neurons, times))
    return Spikes(times[order], neurons[order])

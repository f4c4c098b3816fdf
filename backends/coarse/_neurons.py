r"""Rates of neurons that are simulated anew in each update: no table, and nothing to interpolate.

Each update is a step of Newton's method, with random numbers of its own: where it says that the
stationary state is, :math:`\nu + (1-J)^{-1}(F(\nu)-\nu)`, differs from the next by chance only.
After the first updates their mean is the answer, and how they scatter tells its error.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from portable_cortex.errors import SimulationError

from ._inputs import Inputs, Received
from ._library import Told, check_stationary, kind_of, typical_neurons
from ._simulated import Group, Kind, Trial
from ._solver import Solution
from ._workers import Workers

F64 = NDArray[np.float64]

NEURONS = 200  # of a population
FIRST, UPDATES = 6, 30  # that only lead there, and all
WIDTH = 0.05  # relative change of input to both sides by which gains are measured
LEAST = 1e-3  # spikes/s: of no input the fluctuation is not known
CLOSE = 0.1  # mean difference of the two sides, relative to 1 spike/s and the rate, at the end


@dataclass
class Simulated:
    """The right-hand side of the equation for rates, as simulated neurons give it.

    Attributes
    ----------
    inputs : Inputs
    timestep : float
        ms.
    duration : float
        Of each simulation, ms.
    workers : Workers
    counts : array, shape (n, 3)
        See `_simulated.Counts`: of the last simulation.
    """

    inputs: Inputs
    timestep: float
    duration: float
    workers: Workers
    counts: F64 = field(default_factory=lambda: np.zeros((0, 3)))

    def caused(self, state: F64, seed: int) -> F64:
        """Rates and their mean squares over neurons, of neurons that get what `state` causes.

        Parameters
        ----------
        state : array, shape (2 n,)
            Rates, spikes/s, and mean squares of rates.
        seed : int
        """
        return self._responded(self.inputs.received(*np.split(state, 2)), seed)

    def gains(self, state: F64, seed: int) -> F64:
        """How the rates that are caused change with those of the network, shape (n, n)."""
        received = self.inputs.received(*np.split(state, 2))
        n = len(self.inputs.populations)
        total = np.zeros((n, n))
        for k, means in enumerate(self.inputs.means):
            sides = []
            for factor in (1 - WIDTH, 1 + WIDTH):
                mean = received.mean.copy()
                mean[:, k] *= factor
                sides.append(self._responded(replace(received, mean=mean), seed)[:n])
            below, above = sides
            width = 2 * WIDTH * received.mean[:, k]
            slope = np.divide(above - below, width, out=np.zeros(n), where=width > 0)
            total += (sparse.diags_array(slope) @ means).toarray()
        return total

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The neurons of each population."""
        return tuple(kind_of(population, self.timestep) for population in self.inputs.populations)

    def _responded(self, received: Received, seed: int) -> F64:
        trials = []
        places, shares = typical_neurons(received)
        for i, kind in enumerate(self.kinds):
            rng = np.random.default_rng(seed + i)
            quantiles = (np.arange(NEURONS) + rng.uniform()) / NEURONS
            which = np.searchsorted(np.cumsum(shares[i] / shares[i].sum())[:-1], quantiles)
            drawn = places[i, which]
            means = np.maximum(received.mean[i] + received.spread[i] * drawn, 0.0)
            n = len(kind.receptors)
            group = Group.of_neurons(0, means[:, :n], received.weight[i, :n])
            trials.append(Trial([kind], [group], [], seed + i, self.duration))
        counts = np.zeros((len(trials), 3))
        for i, (own,) in self.workers.answers(trials):
            counts[i] = own
        self.counts = counts
        first, second, both = counts.T
        rates = (first + second) / (1e-3 * self.duration * NEURONS)
        return np.concatenate([rates, both / ((0.5e-3 * self.duration) ** 2 * NEURONS)])


def possible(state: F64, least: float) -> F64:
    """Rates that are not less than `least`, and mean squares no less than their squares."""
    rates, squares = np.split(state, 2)
    rates = np.maximum(rates, least)
    return np.concatenate([rates, np.maximum(squares, rates**2)])


@dataclass
class Neurons:
    """A network of populations, whose neurons are simulated anew in each update.

    Attributes
    ----------
    inputs : Inputs
    timestep : float
        ms.
    neuron_seconds : float
        Model time of all neurons of a population in an update, s.
    processes : int
    told : callable
    seconds : float
        That it took to simulate neurons.
    gains : array, shape (n, n), or None
        Where it was last settled.
    """

    inputs: Inputs
    timestep: float
    neuron_seconds: float
    processes: int
    told: Told
    seconds: float = 0.0
    gains: F64 | None = None

    def settled(self, start: F64, *, briefly: bool = False) -> Solution:
        """The stationary state near `start`.

        Parameters
        ----------
        start : array, shape (n,)
            spikes/s.
        briefly : bool
            With as many updates as lead there, and as many again.

        Raises
        ------
        SimulationError
            If neurons could not be simulated, or rates went on changing.
        """
        began = time.perf_counter()
        n, updates = start.size, 2 * FIRST if briefly else UPDATES
        state = possible(np.concatenate([start, start**2]), LEAST)
        measured = (0, FIRST) if self.gains is None else ()
        gains = np.zeros((n, n)) if self.gains is None else self.gains
        estimates: list[F64] = []
        squares: list[F64] = []
        changes: list[F64] = []
        history: list[float] = []
        with Workers(self.processes) as workers:
            duration = 1e3 * self.neuron_seconds / NEURONS
            simulated = Simulated(self.inputs, self.timestep, duration, workers)
            for number in range(updates):
                seed = 1 + n * number
                if number in measured:
                    self.told(None, "simulating neurons with a little more and less input")
                    gains = simulated.gains(state, seed)
                caused = simulated.caused(state, seed)
                change = caused[:n] - state[:n]
                size = float(np.max(np.abs(change) / (1.0 + state[:n])))
                history.append(size)
                self.told(None, f"update {number + 1} of {updates}: the sides differ by {size:.1g}")
                most = 0.5 * (1.0 + state[:n])  # far away, the slope there is not that here
                step = np.clip(np.linalg.solve(np.eye(n) - gains, change), -most, most)
                estimates.append(state[:n] + step)
                squares.append(caused[n:])
                changes.append(change)
                some = slice(min(FIRST, number), None)
                state = possible(
                    np.concatenate([np.mean(estimates[some], 0), np.mean(squares[some], 0)]), LEAST
                )
            for kind, own in zip(simulated.kinds, simulated.counts, strict=True):
                check_stationary(kind, duration, self.neuron_seconds, [own.astype(int).tolist()])
        self.gains = gains
        self.seconds += time.perf_counter() - began
        last = np.array(estimates[FIRST:])
        apart = np.abs(np.mean(changes[FIRST:], axis=0)) / (1.0 + state[:n])
        if not apart.max() < CLOSE:
            label = self.inputs.labels[int(np.argmax(apart))]
            raise SimulationError(
                f"no stationary state was found in {updates} updates: {label} fires at "
                f"{last.mean(axis=0)[np.argmax(apart)]:.3g} spikes/s, and what that causes differs "
                f"by {apart.max():.1g} of it"
            )
        errors = last.std(axis=0, ddof=1) / np.sqrt(len(last))
        return Solution(np.maximum(last.mean(axis=0), 0.0), errors, 1.0, tuple(history))

    def details(self) -> Mapping[str, Any]:
        """What there is to know about the responses, for ``run.json``."""
        return {"library": "neurons", "neuron_seconds": self.neuron_seconds}

r"""Oscillations of a network around its stationary state, to linear order.

The effective connectivity :math:`W_{ij}(\omega)` is the change of population i's rate for a change
of population j's, through all synapses between them. Where one of its eigenvalues comes near to 1,
activity that goes round the network keeps itself up, and spectra have a peak [1]_.

References
----------
.. [1] Bos H, Diesmann M, Helias M (2016). PLoS Comput Biol 12:e1005132.
   doi:10.1371/journal.pcbi.1005132
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from .neuron import C128, F64, transfer
from .stationary import WorkingPoint

NODES = 3  # of the average of transfer functions over the neurons of a population


@dataclass(frozen=True)
class Peak:
    """Where an eigenvalue of the effective connectivity passes 1.

    Attributes
    ----------
    frequency : float
        Hz.
    distance : float
        Of the eigenvalue from 1 there: the smaller, the sharper is the peak.
    amplitude, pace : array, shape (targets, sources)
        What a relative change of each connection does to the eigenvalue: brings it nearer to 1, or
        further beyond it (`amplitude`), or to a higher frequency (`pace`).
    """

    frequency: float
    distance: float
    amplitude: F64
    pace: F64

    def strongest(self, n: int = 5) -> list[tuple[int, int]]:
        """Target and source of the `n` connections that change the amplitude most."""
        order = np.argsort(-np.abs(self.amplitude), axis=None)[:n]
        return [divmod(int(k), self.amplitude.shape[1]) for k in order]


@dataclass(frozen=True)
class Spectra:
    """Linear response of a network at some frequencies.

    Attributes
    ----------
    state : WorkingPoint
    frequencies : array, shape (m,)
        Hz, above 0 and ascending.
    """

    state: WorkingPoint
    frequencies: F64

    @cached_property
    def transfer(self) -> C128:
        """Response of the populations' rates to their mean input, spikes/s per mV, shape (m, n)."""
        given, weights = self.state.over_neurons(NODES)
        each = transfer(self.state.network.cells, given, self.frequencies)
        return np.asarray(np.einsum("mkn,kn->mn", each, weights))

    @cached_property
    def connectivity(self) -> C128:
        """Effective connectivity, shape (m, targets, sources)."""
        network = self.state.network
        matrix = np.zeros((self.frequencies.size, network.n, network.n), complex)
        late: dict[int, C128] = {}  # of connections with one and the same distribution of delays
        for c in network.connections:
            if id(c.delay) not in late:
                late[id(c.delay)] = c.delay.transform(self.frequencies)
            tau_m = network.cells.tau_m[c.target] * 1e-3
            filtered = 1 / (1 + 2e-3j * np.pi * self.frequencies * c.tau_syn)
            change = tau_m * c.arriving.mean * filtered * late[id(c.delay)]
            matrix[:, c.target, c.source] += change
        return np.asarray(matrix * self.transfer[:, :, np.newaxis])

    @cached_property
    def power(self) -> F64:
        r"""Power spectral density of the populations' mean rates, (spikes/s)^2/Hz, shape (m, n).

        Two-sided: of :math:`(1-W)^{-1}\mathrm{diag}(\nu/N)(1-W)^{-\dagger}`, the diagonal. The
        source is the noise of each neuron's own spikes, as of a Poisson process.
        """
        network = self.state.network
        response = np.linalg.inv(np.eye(network.n) - self.connectivity)
        return np.asarray(np.abs(response) ** 2 @ (self.state.rates / network.sizes))

    @cached_property
    def eigenvalues(self) -> C128:
        """Of the effective connectivity, shape (m, n): each column follows one."""
        found = np.linalg.eigvals(self.connectivity)
        for before, now in pairwise(found):  # each goes on as the nearest, in place
            distances = np.abs(before[:, np.newaxis] - now)
            now[:] = now[linear_sum_assignment(distances)[1]]
        return np.asarray(found)

    @cached_property
    def growing(self) -> tuple[float, ...]:
        """Frequencies (Hz) of fluctuations that grow: the state is stable if there is none.

        Where an eigenvalue crosses the real axis beyond 1 (Nyquist's criterion).
        """
        now, later = self.eigenvalues[:-1], self.eigenvalues[1:]
        change = now.imag - later.imag
        share = np.divide(now.imag, change, out=np.zeros_like(change), where=change != 0)
        beyond = now.real + share * (later.real - now.real) > 1
        crosses = (now.imag > 0) != (later.imag > 0)
        found = self.frequencies[:-1][np.any(crosses & beyond, axis=1)]
        return tuple(found.tolist())

    def peaks(self, within: float = 0.5) -> list[Peak]:
        """Where eigenvalues come nearest to 1, the nearest first.

        Parameters
        ----------
        within : float
            The largest distance that is looked at.
        """
        distance = np.abs(1 - self.eigenvalues)
        inner = distance[1:-1]
        lowest = (inner < distance[:-2]) & (inner <= distance[2:]) & (inner < within)
        found = [self._peak(i + 1, j) for i, j in np.argwhere(lowest).tolist()]
        return sorted(found, key=lambda peak: peak.distance)

    def _peak(self, i: int, j: int) -> Peak:
        """Of eigenvalue j at frequency i; sensitivities as in [1]_, eqs. 17 and 18."""
        matrix, value = self.connectivity[i], self.eigenvalues[i, j]
        values, right = np.linalg.eig(matrix)
        left = np.linalg.inv(right)
        k = int(np.argmin(np.abs(values - value)))
        change = np.multiply.outer(left[k], right[:, k]) * matrix
        towards = (1 - value) / abs(1 - value) * (1 if value.real < 1 else -1)
        along = change * np.conj(towards)
        return Peak(float(self.frequencies[i]), float(abs(1 - value)), along.real, along.imag)

r"""Populations of leaky integrate-and-fire neurons and what connects them, as expected numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .neuron import C128, F64, Cells, Input


@dataclass(frozen=True)
class Distribution:
    """Values and their probabilities, a discrete one in the place of any other.

    Attributes
    ----------
    values, probabilities : array

    Examples
    --------
    >>> delay = Distribution(np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    >>> delay.mean, delay.variance
    (1.5, 0.25)
    """

    values: F64
    probabilities: F64

    @property
    def mean(self) -> float:
        """The expected value."""
        return float(self.probabilities @ self.values)

    @property
    def variance(self) -> float:
        """The expected square of the difference from the mean."""
        return float(self.probabilities @ (self.values - self.mean) ** 2)

    def transform(self, frequencies: F64) -> C128:
        r"""Expected :math:`e^{-i\\omega d}` of delays d (ms), for frequencies in Hz."""
        phases = np.multiply.outer(2e-3 * np.pi * np.asarray(frequencies), self.values)
        return np.asarray(np.exp(-1j * phases) @ self.probabilities)


@dataclass(frozen=True)
class Connection:
    """Synapses from one population to another.

    Attributes
    ----------
    source, target : int
        Populations.
    in_degree, in_degree_variance : float
        Synapses of a target neuron: expected number, and its variance over neurons.
    jump : Distribution
        What the potential rises by if the charge of a spike arrives at once, mV.
    delay : Distribution
        ms.
    tau_syn : float
        Time constant of the current, ms; 0 for one that arrives at once.
    """

    source: int
    target: int
    in_degree: float
    in_degree_variance: float
    jump: Distribution
    delay: Distribution
    tau_syn: float


@dataclass(frozen=True)
class Drive:
    """Poisson input of a population from outside.

    Attributes
    ----------
    target : int
    rate, rate_variance : float
        Of a source, spikes/s, and over sources.
    in_degree, in_degree_variance, jump, tau_syn
        See `Connection`.
    """

    target: int
    rate: float
    rate_variance: float
    in_degree: float
    in_degree_variance: float
    jump: Distribution
    tau_syn: float


@dataclass(frozen=True)
class Common:
    """How in-degrees from several sources go together: many from one may be few from another.

    Attributes
    ----------
    target : int
    inputs : tuple of Connection or Drive
        Those whose in-degrees are known, n of them.
    covariances : array, shape (n, n)
        Over the neurons of the target, of in-degree times mean jump, mV^2; 0 on the diagonal.
    """

    target: int
    inputs: tuple[Connection | Drive, ...]
    covariances: F64


@dataclass(frozen=True)
class Network:
    r"""What mean-field theory asks of a network.

    Attributes
    ----------
    populations : tuple of str
    sizes : array
    cells : Cells
    connections : tuple of Connection
    drives : tuple of Drive
    current, current_variance : array
        What constant currents shift the mean by, mV, and the variance of that over neurons.
    common : tuple of Common
        In-degrees that depend on each other; others are taken as independent.
    """

    populations: tuple[str, ...]
    sizes: F64
    cells: Cells
    connections: tuple[Connection, ...]
    drives: tuple[Drive, ...]
    current: F64
    current_variance: F64
    common: tuple[Common, ...] = ()

    @property
    def n(self) -> int:
        """Number of populations."""
        return len(self.populations)

    @property
    def inputs(self) -> tuple[Connection | Drive, ...]:
        """All that populations get spikes from."""
        return (*self.connections, *self.drives)

    def means(self) -> F64:
        r"""What a spike/s of a population (column) adds to the mean of another (row), mV s."""
        matrix = np.zeros((self.n, self.n))
        for c in self.connections:
            matrix[c.target, c.source] += self._tau(c) * c.in_degree * c.jump.mean
        return matrix

    def variances(self) -> F64:
        r"""What a spike/s of a population (column) adds to :math:`\sigma^2` (row), mV^2 s."""
        matrix = np.zeros((self.n, self.n))
        for c in self.connections:
            matrix[c.target, c.source] += self._tau(c) * c.in_degree * _square(c.jump)
        return matrix

    def _tau(self, c: Connection | Drive | Common) -> float:
        return float(self.cells.tau_m[c.target]) * 1e-3

    def input(self, rates: F64) -> Input:
        r"""Mean and fluctuation of a neuron with the mean in-degrees.

        :math:`\mu=\tau_m\sum KJ\nu`, :math:`\sigma^2=\tau_m\sum KJ^2\nu` and what comes from
        outside. Where synapses have several time constants, the root of the effective one is their
        mean, weighted by what they add to :math:`\sigma^2`.
        """
        mean, square, root = self.current.copy(), np.zeros(self.n), np.zeros(self.n)
        for c in self.inputs:
            nu = rates[c.source] if isinstance(c, Connection) else c.rate
            mean[c.target] += self._tau(c) * c.in_degree * c.jump.mean * nu
            added = self._tau(c) * c.in_degree * _square(c.jump) * nu
            square[c.target] += added
            root[c.target] += added * np.sqrt(c.tau_syn)
        root /= np.where(square > 0, square, 1.0)
        return Input(mean, np.sqrt(square), root**2)

    def spread(self, rates: F64, squares: F64) -> F64:
        r"""Standard deviation of the mean input over the neurons of a population, mV.

        A neuron has in-degrees, weights and presynaptic rates of its own. Of a sum of K terms
        :math:`J\nu`, the variance is :math:`K\,\mathrm{var}(J\nu)+\mathrm{var}(K)(J\nu)^2`, and
        what in-degrees have in common.

        Parameters
        ----------
        rates, squares : array
            Mean rate of each population, and mean square rate, over its neurons.
        """
        variance = self.current_variance.copy()
        for c in self.inputs:
            if isinstance(c, Connection):
                nu, square = rates[c.source], squares[c.source]
            else:
                nu, square = c.rate, c.rate**2 + c.rate_variance
            term = (c.jump.mean * nu) ** 2
            each = _square(c.jump) * square - term
            sums = c.in_degree * each + c.in_degree_variance * term
            variance[c.target] += self._tau(c) ** 2 * max(sums, 0.0)
        for one in self.common:
            own = [rates[c.source] if isinstance(c, Connection) else c.rate for c in one.inputs]
            nu = self._tau(one) * np.array(own)
            variance[one.target] += nu @ one.covariances @ nu
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _square(distribution: Distribution) -> float:
    return distribution.mean**2 + distribution.variance

r"""Populations of leaky integrate-and-fire neurons and what connects them, as expected numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pynn.expected import ORDERS, Arriving
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
    arriving : Arriving
        In mV that the potential rises by if the charge of a spike arrives at once.
    delay : Distribution
        ms.
    tau_syn : float
        Time constant of the current, ms; 0 for one that arrives at once.
    """

    source: int
    target: int
    arriving: Arriving
    delay: Distribution
    tau_syn: float


@dataclass(frozen=True)
class Drive:
    """Poisson input of a population from outside.

    Attributes
    ----------
    target : int
    arriving : Arriving
        In mV/s: with the rates of the sources.
    tau_syn : float
        See `Connection`.
    """

    target: int
    arriving: Arriving
    tau_syn: float


@dataclass(frozen=True)
class Common:
    """How in-degrees from several sources go together: many from one may be few from another.

    Attributes
    ----------
    target : int
    inputs : tuple of Connection or Drive
        Those whose synapses are known, n of them.
    covariances : array, shape (n, n)
        Over the neurons of the target, of the sums of jumps, mV^2; 0 on the diagonal.
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
    current : array
        What constant currents shift the mean by, mV.
    current_cumulants : array, shape (3, n)
        The second to fourth of that over neurons.
    common : tuple of Common
        In-degrees that depend on each other; others are taken as independent.
    """

    populations: tuple[str, ...]
    sizes: F64
    cells: Cells
    connections: tuple[Connection, ...]
    drives: tuple[Drive, ...]
    current: F64
    current_cumulants: F64
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
            matrix[c.target, c.source] += self._tau(c) * c.arriving.mean
        return matrix

    def variances(self) -> F64:
        r"""What a spike/s of a population (column) adds to :math:`\sigma^2` (row), mV^2 s."""
        matrix = np.zeros((self.n, self.n))
        for c in self.connections:
            matrix[c.target, c.source] += self._tau(c) * c.arriving.square
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
            nu = rates[c.source] if isinstance(c, Connection) else 1.0
            mean[c.target] += self._tau(c) * c.arriving.mean * nu
            added = self._tau(c) * c.arriving.square * nu
            square[c.target] += added
            root[c.target] += added * np.sqrt(c.tau_syn)
        root /= np.where(square > 0, square, 1.0)
        return Input(mean, np.sqrt(square), root**2)

    def jumps(self, rates: F64) -> F64:
        r"""How far a spike moves the potential, mV: the mean, weighted by :math:`J^2\nu`."""
        cube, square = np.zeros((2, self.n))
        for c in self.inputs:
            nu = rates[c.source] if isinstance(c, Connection) else 1.0
            cube[c.target] += abs(c.arriving.cube) * nu
            square[c.target] += c.arriving.square * nu
        return np.divide(cube, square, out=np.zeros(self.n), where=square > 0)

    def cumulants(self, rates: F64, squares: F64) -> F64:
        r"""Second to fourth cumulant of the mean input over neurons, mV^2 to mV^4, shape (3, n).

        A neuron has in-degrees, weights and presynaptic rates of its own. Of a sum of K terms
        :math:`J\nu`, the variance is :math:`K\,\mathrm{var}(J\nu)+\mathrm{var}(K)(J\nu)^2`, and
        what in-degrees have in common.

        Parameters
        ----------
        rates, squares : array
            Mean rate of each population, and mean square rate, over its neurons.
        """
        found = self.current_cumulants.copy()
        for c in self.inputs:
            nu = rates[c.source] if isinstance(c, Connection) else 1.0
            found[:, c.target] += (self._tau(c) * nu) ** ORDERS * c.arriving.cumulants
            if isinstance(c, Connection):
                differing = max(squares[c.source] - nu**2, 0.0)
                found[0, c.target] += self._tau(c) ** 2 * c.arriving.of_rates * differing
        for one in self.common:
            own = [rates[c.source] if isinstance(c, Connection) else 1.0 for c in one.inputs]
            nu = self._tau(one) * np.array(own)
            found[0, one.target] += nu @ one.covariances @ nu
        found[0] = np.maximum(found[0], 0.0)
        return found

    def spread(self, rates: F64, squares: F64) -> F64:
        """Standard deviation of the mean input over the neurons of a population, mV."""
        return np.asarray(np.sqrt(self.cumulants(rates, squares)[0]))

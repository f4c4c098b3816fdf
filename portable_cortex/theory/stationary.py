r"""The stationary state of a network: rates that are those that they cause."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import SimulationError
from ..pynn.expected import standard, typical
from .network import Network
from .neuron import F64, LEAST, Input, cv, gains, rate

NODES = 9  # of the average over the neurons of a population
TOLERANCE = 1e-9
STEPS = 500


@dataclass(frozen=True)
class WorkingPoint:
    """A stationary state; arrays have a value for each population.

    Attributes
    ----------
    network : Network
    rates : array
        Mean over neurons, spikes/s.
    input : Input
        Of a neuron with the mean in-degrees.
    cumulants : array, shape (3, n)
        Second to fourth of the mean input over neurons, mV^2 to mV^4; 0 where all neurons are taken
        as equal.
    method : str
        See `neuron.rate`.
    """

    network: Network
    rates: F64
    input: Input
    cumulants: F64
    method: str

    @property
    def spread(self) -> F64:
        """Standard deviation of the mean input over neurons, mV."""
        return np.asarray(np.sqrt(self.cumulants[0]))

    def over_neurons(self, n: int = NODES) -> tuple[Input, F64]:
        """Inputs of typical neurons, and their weights: shape (n, populations)."""
        if not self.cumulants.any():
            return replace(self.input, mean=self.input.mean[np.newaxis]), np.ones(
                (1, len(self.rates))
            )
        places, weights = typical(*standard(self.cumulants), n)
        return replace(self.input, mean=self.input.mean + places.T * self.spread), weights.T

    @property
    def gains(self) -> F64:
        """Change of the rate with the mean input, spikes/s per mV."""
        given, weights = self.over_neurons()
        return _mean(gains(self.network.cells, given, self.method)[0], weights)

    @property
    def cv(self) -> F64:
        """Coefficient of variation of the intervals, each neuron weighted by its rate."""
        given, weights = self.over_neurons()
        shares = weights * rate(self.network.cells, given)
        total = shares.sum(axis=0)
        shares = np.where(total > 0, shares / np.where(total > 0, total, 1.0), weights)
        return _mean(cv(self.network.cells, given), shares)


def _mean(values: F64, weights: F64) -> F64:
    """Over typical neurons."""
    return np.asarray((weights * values).sum(axis=0))


def working_point(
    network: Network, *, method: str = "shift", equal: bool = False, start: float = 0.0
) -> WorkingPoint:
    r"""Find the stationary state that the rates go to from equal ones.

    It follows :math:`d\nu/ds=F(\nu)-\nu` by implicit steps, which grow as the difference falls:
    far from the end they are those of the equation, near to it Newton's.

    Parameters
    ----------
    network : Network
    method : {"shift", "taylor"}
        See `neuron.rate`.
    equal : bool
        Take all neurons of a population as equal, with its mean in-degrees.
    start : float
        spikes/s.

    Raises
    ------
    SimulationError
        If no stationary state is found.
    """
    rates = np.full(network.n, float(start))
    squares = rates**2
    to_mean, to_square = network.means(), network.variances()
    step, before = 0.1, np.inf
    for _ in range(STEPS):
        given = network.input(rates)
        differing = np.zeros((3, network.n)) if equal else network.cumulants(rates, squares)
        state = WorkingPoint(network, rates, given, differing, method)
        inputs, weights = state.over_neurons()
        each = rate(network.cells, inputs, method)
        caused, squares = _mean(each, weights), _mean(each**2, weights)
        difference = caused - rates
        size = float(np.max(np.abs(difference) / (1e-3 + rates)))
        if size < TOLERANCE:
            return state
        of_mean, of_deviation = (_mean(g, weights) for g in gains(network.cells, inputs, method))
        half = of_deviation / (2 * np.maximum(given.deviation, LEAST))
        slope = of_mean[:, np.newaxis] * to_mean + half[:, np.newaxis] * to_square
        step *= min(max(before / size, 0.5), 3.0)
        growth = float(np.linalg.eigvals(slope).real.max()) - 1.0
        if growth > 0:  # away from here, as the equation does
            step = min(step, 0.5 / growth)
        system = np.eye(network.n) * (1 + 1 / step) - slope
        rates = np.maximum(rates + np.linalg.solve(system, difference), 0.0)
        before = size
    raise SimulationError(
        f"mean-field theory found no stationary state of this network in {STEPS} steps: its rates "
        f"came to {', '.join(f'{r:.3g}' for r in rates)} spikes/s"
    )

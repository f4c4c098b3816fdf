r"""The stationary state of a network: rates that are those that they cause."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import SimulationError
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
    spread : array
        Standard deviation of the mean input over neurons, mV; 0 where all neurons are taken as
        equal.
    method : str
        See `neuron.rate`.
    """

    network: Network
    rates: F64
    input: Input
    spread: F64
    method: str

    def over_neurons(self, n: int = NODES) -> tuple[Input, F64]:
        """Inputs of typical neurons, shape (n, populations), and their weights, shape (n,)."""
        if not self.spread.any():
            n = 1
        nodes, weights = np.polynomial.hermite_e.hermegauss(n)
        mean = self.input.mean + np.multiply.outer(nodes, self.spread)
        return replace(self.input, mean=mean), weights / weights.sum()

    @property
    def gains(self) -> F64:
        """Change of the rate with the mean input, spikes/s per mV."""
        given, weights = self.over_neurons()
        return np.asarray(weights @ gains(self.network.cells, given, self.method)[0])

    @property
    def cv(self) -> F64:
        """Coefficient of variation of the intervals, each neuron weighted by its rate."""
        given, weights = self.over_neurons()
        shares = weights[:, np.newaxis] * rate(self.network.cells, given)
        total = shares.sum(axis=0)
        shares = np.where(total > 0, shares / np.where(total > 0, total, 1.0), 1.0 / len(weights))
        return np.asarray((shares * cv(self.network.cells, given)).sum(axis=0))


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
        spread = np.zeros(network.n) if equal else network.spread(rates, squares)
        state = WorkingPoint(network, rates, given, spread, method)
        inputs, weights = state.over_neurons()
        each = rate(network.cells, inputs, method)
        caused, squares = weights @ each, weights @ each**2
        difference = caused - rates
        size = float(np.max(np.abs(difference) / (1e-3 + rates)))
        if size < TOLERANCE:
            return state
        of_mean, of_deviation = (weights @ g for g in gains(network.cells, inputs, method))
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

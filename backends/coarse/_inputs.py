"""What the populations of a network receive: linear in their rates, whatever neurons they have.

By receptor, a neuron gets the sum of many independent trains of spikes. Of that sum two moments
count: the mean, and the square that makes its fluctuation. One train of spikes with an effective
weight has the same two. A neuron's own in-degrees, weights and presynaptic rates move its mean
input: that spread over the neurons of a population is the third thing that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn.description import Cells, Description, Synapses
from portable_cortex.pynn.expected import in_common

F64 = NDArray[np.float64]
RECEPTORS = 2  # of a neuron that get spikes which depend on rates, at most: axes of a table


@dataclass(frozen=True)
class Train:
    """Spikes that all neurons of a population get, whatever the rates are.

    Attributes
    ----------
    receptor : str
    weight : float
        With its sign.
    rate : float
        spikes/s.
    """

    receptor: str
    weight: float
    rate: float


@dataclass(frozen=True)
class Received:
    """Inputs of populations, by population and receptor, shape (n, 2).

    Attributes
    ----------
    mean : array
        Sum of rate and weight, spikes/s times nA, uS or mV; 0 where a receptor gets nothing.
    weight : array
        The effective weight, of the same trains.
    spread : array
        Standard deviation of the mean over the neurons of a population.
    """

    mean: F64
    weight: F64
    spread: F64


@dataclass(frozen=True)
class Population:
    """Equal neurons.

    Attributes
    ----------
    place : int
        Among all populations of the description, sources too.
    label : str
    cells : Cells
        Of the description.
    receptors : tuple of str
        Those that get spikes, in order.
    signs : tuple of int
        Of their weights.
    weights : tuple of (float, float)
        The least and the largest magnitude that an effective weight can have, by receptor.
    trains : tuple of Train
        What other receptors get.
    """

    place: int
    label: str
    cells: Cells
    receptors: tuple[str, ...]
    signs: tuple[int, ...]
    weights: tuple[tuple[float, float], ...]
    trains: tuple[Train, ...] = ()


@dataclass(frozen=True)
class Shared:
    """How in-degrees from several populations go together: many from one may be few from another.

    Attributes
    ----------
    target, receptor : int
    sources : array, shape (m,)
    covariances : array, shape (m, m)
        Over the neurons of the target, of in-degree times mean weight; 0 on the diagonal.
    """

    target: int
    receptor: int
    sources: NDArray[np.int64]
    covariances: F64


@dataclass(frozen=True)
class Inputs:
    r"""The inputs of all populations as functions of their rates.

    With in-degrees K, weights J and presynaptic rates :math:`\nu`: the mean is
    :math:`\sum K\langle J\rangle\nu`, the square :math:`\sum K\langle J^2\rangle\nu`, and the
    variance over neurons :math:`\sum K(\langle J^2\rangle\langle\nu^2\rangle - \langle J\rangle^2
    \nu^2) + \mathrm{var}(K)\langle J\rangle^2\nu^2`, and what in-degrees have in common.

    Attributes
    ----------
    populations : tuple of Population
    means, squares, losses : tuple of sparse array, one for each receptor, shape (n, n)
        Coefficients of rates, of mean squares of rates, and of squares of mean rates.
    outside : array, shape (3, n, 2)
        Mean, square and variance of what comes from sources.
    shared : tuple of Shared
    """

    populations: tuple[Population, ...]
    means: tuple[sparse.csr_array, ...]
    squares: tuple[sparse.csr_array, ...]
    losses: tuple[sparse.csr_array, ...]
    outside: F64
    shared: tuple[Shared, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the populations."""
        return tuple(p.label for p in self.populations)

    @cached_property
    def places(self) -> Mapping[int, int]:
        """Of populations of the description here."""
        return {p.place: k for k, p in enumerate(self.populations)}

    def received(self, rates: F64, squares: F64) -> Received:
        """What populations get while they fire.

        Parameters
        ----------
        rates, squares : array, shape (n,)
            Mean over neurons of rates, spikes/s, and of their squares.
        """
        mean, square, variance = self.outside.copy()
        for k in range(RECEPTORS):
            mean[:, k] += self.means[k] @ rates
            square[:, k] += self.squares[k] @ rates
            variance[:, k] += self.squares[k] @ squares + self.losses[k] @ rates**2
        for one in self.shared:
            own = rates[one.sources]
            variance[one.target, one.receptor] += own @ one.covariances @ own
        weight = np.divide(square, mean, out=np.zeros_like(mean), where=mean > 0)
        return Received(mean, weight, np.sqrt(np.maximum(variance, 0.0)))

    def between(self, groups: NDArray[np.int64]) -> Inputs:
        """What comes from sources and from populations of other groups.

        Parameters
        ----------
        groups : array, shape (n,)
            The number of each population's group.
        """

        def far(matrix: sparse.csr_array) -> sparse.csr_array:
            found = matrix.tocoo()
            own = groups[found.row] != groups[found.col]
            where = found.row[own], found.col[own]
            return sparse.coo_array((found.data[own], where), shape=found.shape).tocsr()

        means, squares, losses = (
            tuple(map(far, m)) for m in (self.means, self.squares, self.losses)
        )
        shared = []
        for one in self.shared:
            own = groups[one.sources] != groups[one.target]
            kept = one.covariances[np.ix_(own, own)]
            shared.append(replace(one, sources=one.sources[own], covariances=kept))
        return Inputs(self.populations, means, squares, losses, self.outside, tuple(shared))


def inputs_of(description: Description) -> Inputs:
    """What the populations of neurons of a description receive.

    Raises
    ------
    UnsupportedError
        For input that is not stationary, neurons of a population that are not equal, weights of
        both signs at one receptor, and more than two receptors with spikes that depend on rates.
    """
    description.check_stationary()
    neurons = description.neurons
    if not neurons:
        raise UnsupportedError("there is no population of neurons, whose rates could be computed")
    place = {k: i for i, k in enumerate(neurons)}
    arriving: dict[int, list[Synapses]] = {k: [] for k in neurons}
    moving = [s for s in description.synapses if s.weights.limits != (0.0, 0.0)]
    for synapses in moving:
        arriving[synapses.target].append(synapses)
    populations = [_population(k, label, description, arriving[k]) for k, label in neurons.items()]
    n = len(neurons)
    entries: list[list[tuple[int, int, float, float, float]]] = [[] for _ in range(RECEPTORS)]
    outside = np.zeros((3, n, RECEPTORS))
    for s in moving:
        i = place[s.target]
        if s.receptor not in populations[i].receptors:
            continue  # a train
        receptor = populations[i].receptors.index(s.receptor)
        mean, square = _moments(s)
        degree, excess = s.in_degree.mean, s.in_degree.variance - s.in_degree.mean
        if s.source in place:
            entries[receptor].append(
                (i, place[s.source], degree * mean, degree * square, excess * mean**2)
            )
            continue
        rates = np.asarray(description.populations[s.source].parameters["rate"], float)
        rate, square_rate = float(rates.mean()), float(np.mean(rates**2))
        outside[0, i, receptor] += degree * mean * rate
        outside[1, i, receptor] += degree * square * rate
        outside[2, i, receptor] += degree * square * square_rate + excess * (mean * rate) ** 2
    means, squares, losses = (
        tuple(_matrix(rows, column, n) for rows in entries) for column in (2, 3, 4)
    )
    shared = []
    for k, label in enumerate(neurons):
        shared += _shared(k, arriving[label], populations[k].receptors, place)
    return Inputs(tuple(populations), means, squares, losses, outside, tuple(shared))


def _shared(
    target: int, synapses: Sequence[Synapses], receptors: Sequence[str], place: Mapping[int, int]
) -> list[Shared]:
    """Of in-degrees that were counted."""
    found = []
    for k, receptor in enumerate(receptors):
        own = [
            s
            for s in synapses
            if s.receptor == receptor and s.counts is not None and s.source in place
        ]
        if len(own) > 1:
            sums = [_moments(s)[0] * s.counts for s in own if s.counts is not None]
            sources = np.array([place[s.source] for s in own])
            found.append(Shared(target, k, sources, in_common(sums)))
    return found


def _matrix(
    rows: Sequence[tuple[int, int, float, float, float]], column: int, n: int
) -> sparse.csr_array:
    table = np.array(rows, float).reshape(-1, 5)
    where = table[:, 0].astype(int), table[:, 1].astype(int)
    return sparse.coo_array((table[:, column], where), shape=(n, n)).tocsr()


def _moments(synapses: Synapses) -> tuple[float, float]:
    """Mean magnitude and mean square of weights."""
    return abs(synapses.weights.mean), synapses.weights.mean_square


def _signs(synapses: Synapses) -> list[int]:
    """Of the weights that are not 0."""
    low, high = synapses.weights.limits
    return [sign for sign, any_is in ((1, high > 0), (-1, low < 0)) if any_is]


def _population(
    place: int, label: str, description: Description, synapses: Sequence[Synapses]
) -> Population:
    cells = description.populations[place]
    for name, values in cells.parameters.items():
        if np.any(values != values[0]):
            raise UnsupportedError(
                f"the neurons of a population are taken as equal, and {name} of {label} differs "
                "from neuron to neuron: make a population of each value"
            )
    by_receptor = {
        r: [s for s in synapses if s.receptor == r]
        for r in cells.celltype.receptor_types
        if any(s.receptor == r for s in synapses)
    }
    trains: list[Train] = []
    for receptor, arriving in list(by_receptor.items()):
        own = [_train(s, description.populations[s.source]) for s in arriving]
        known = [train for train in own if train is not None]
        if len(by_receptor) > RECEPTORS and len(known) == len(own):
            trains += known
            del by_receptor[receptor]
    if len(by_receptor) > RECEPTORS:
        raise UnsupportedError(
            f"{label} gets spikes at {', '.join(by_receptor)}: tables have {RECEPTORS} axes, so "
            f"that all but {RECEPTORS} receptors can get spikes of Poisson sources only, at the "
            "same rate and with the same weight for all neurons"
        )
    signs, ranges = [], []
    for receptor, arriving in by_receptor.items():
        all_signs = {sign for s in arriving for sign in _signs(s)}
        if len(all_signs) != 1:
            raise UnsupportedError(
                f"the weights at receptor {receptor} of {label} must all be of one sign, and are "
                "of both: give inhibition a receptor of its own"
            )
        ratios = [square / mean for mean, square in map(_moments, arriving) if mean > 0]
        signs.append(all_signs.pop())
        ranges.append((min(ratios), max(ratios)))
    used = tuple(by_receptor)
    return Population(place, label, cells, used, tuple(signs), tuple(ranges), tuple(trains))


def _train(synapses: Synapses, source: Cells) -> Train | None:
    """What arrives from a source, where all neurons get the same."""
    low, high = synapses.weights.limits
    if not source.is_source or low != high or synapses.in_degree.variance:
        return None
    rates = np.asarray(source.parameters["rate"], float)
    if np.any(rates != rates[0]):
        return None
    return Train(synapses.receptor, high, float(synapses.in_degree.mean * rates[0]))

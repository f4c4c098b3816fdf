"""What the populations of a network receive: linear in their rates, whatever neurons they have.

By receptor, a neuron gets the sum of many independent trains of spikes. Of that sum two moments
count: the mean, and the square that makes its fluctuation. One train of spikes with an effective
weight has the same two. A neuron's own in-degrees, weights and presynaptic rates move its mean
input: how that is distributed over the neurons of a population is the third thing that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn.description import Cells, Description, Synapses
from portable_cortex.pynn.expected import ORDERS, Arriving, in_common, standard

F64 = NDArray[np.float64]
TAU = 10.0  # ms: over which the fluctuation of input counts
FASTEST = 1e6  # spikes/s; what runs away has no powers
LOPSIDED = 0.1  # difference of skewness that changes rates by several percent
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
    spread, skewness, excess : array
        Of the mean over the neurons of a population: standard deviation, and third and fourth
        cumulant in units of that.
    correlation : array, shape (n,)
        Of the means at both receptors, over neurons.
    """

    mean: F64
    weight: F64
    spread: F64
    skewness: F64
    excess: F64
    correlation: F64


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
    """What a neuron gets from several populations where that goes together.

    Many synapses from one may be few from another.

    Attributes
    ----------
    target : int
    receptors, sources : array, shape (m,)
        Spikes that do not depend on rates are of source -1.
    covariances : array, shape (m, m)
        Over the neurons of the target, of sums of weights; 0 on the diagonal.
    """

    target: int
    receptors: NDArray[np.int64]
    sources: NDArray[np.int64]
    covariances: F64


@dataclass(frozen=True)
class Inputs:
    """The inputs of all populations as functions of their rates.

    Matrices have a sparse array for each receptor, shape (n, n): see
    `portable_cortex.pynn.expected.Arriving`.

    Attributes
    ----------
    populations : tuple of Population
    means, squares, cubes : tuple of sparse array
        Coefficients of rates.
    cumulants : tuple of tuple of sparse array
        Second to fourth: coefficients of these powers of mean rates.
    of_rates : tuple of sparse array
        Of variances of rates, which add to the second cumulant.
    outside : array, shape (6, n, 2)
        Mean, square, cube and cumulants of what comes from sources.
    shared : tuple of Shared
    """

    populations: tuple[Population, ...]
    means: tuple[sparse.csr_array, ...]
    squares: tuple[sparse.csr_array, ...]
    cubes: tuple[sparse.csr_array, ...]
    cumulants: tuple[tuple[sparse.csr_array, ...], ...]
    of_rates: tuple[sparse.csr_array, ...]
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
        mean, square, _, *cumulants = self.outside.copy()
        differing = np.maximum(squares - rates**2, 0.0)
        for k in range(RECEPTORS):
            mean[:, k] += self.means[k] @ rates
            square[:, k] += self.squares[k] @ rates
            cumulants[0][:, k] += self.of_rates[k] @ differing
            for order, found, matrices in zip(ORDERS, cumulants, self.cumulants, strict=True):
                found[:, k] += matrices[k] @ np.minimum(rates, FASTEST) ** order
        both = np.zeros(len(mean))
        for one in self.shared:
            own = np.append(rates, 1.0)[one.sources]
            together = own[:, np.newaxis] * one.covariances * own
            first, second = one.receptors == 0, one.receptors == 1
            cumulants[0][one.target] += [together[np.ix_(r, r)].sum() for r in (first, second)]
            both[one.target] += together[np.ix_(first, second)].sum()
        cumulants[0] = np.maximum(cumulants[0], 0.0)
        spread = np.sqrt(cumulants[0])
        weight = np.divide(square, mean, out=np.zeros_like(mean), where=mean > 0)
        most = spread.prod(axis=1)
        correlation = np.divide(both, most, out=np.zeros_like(both), where=most > 0)
        shape = standard(np.array(cumulants))
        return Received(mean, weight, spread, *shape, np.clip(correlation, -1.0, 1.0))

    def asymmetry(self, rates: F64) -> F64:
        """What an input is more lopsided by than that of one train with the effective weight.

        Difference of skewness, of the spikes of `TAU` together: shape (n, 2).
        """
        mean, square, cube = self.outside[:3].copy()
        for k in range(RECEPTORS):
            mean[:, k] += self.means[k] @ rates
            square[:, k] += self.squares[k] @ rates
            cube[:, k] += self.cubes[k] @ rates
        of_one = np.divide(square**2, mean, out=np.zeros_like(mean), where=mean > 0)
        scale = np.sqrt(TAU * 1e-3) * square**1.5
        more = np.divide(cube - of_one, scale, out=np.zeros_like(mean), where=scale > 0)
        return np.asarray(more)

    def check_moments(self, rates: F64) -> None:
        """Raise an error where two moments do not tell what an input does.

        Raises
        ------
        UnsupportedError
            Where few large weights are among many small ones.
        """
        for i, k in np.argwhere(self.asymmetry(rates) > LOPSIDED).tolist():
            one = self.populations[i]
            raise UnsupportedError(
                f"the weights at receptor {one.receptors[k]} of {one.label} differ so much that a "
                "few large ones matter by themselves, and coarse takes the spikes of a receptor as "
                "one train with the mean and the fluctuation of them all: simulate this network, "
                "or give large and small weights a receptor each"
            )

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

        means, squares, cubes, of_rates, *cumulants = (
            tuple(map(far, m))
            for m in (self.means, self.squares, self.cubes, self.of_rates, *self.cumulants)
        )
        shared = []
        for one in self.shared:
            own = (one.sources < 0) | (groups[one.sources] != groups[one.target])
            kept = one.covariances[np.ix_(own, own)]
            receptors, sources = one.receptors[own], one.sources[own]
            shared.append(Shared(one.target, receptors, sources, kept))
        matrices = means, squares, cubes, tuple(cumulants), of_rates
        return Inputs(self.populations, *matrices, self.outside, tuple(shared))


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
    moving = [s for s in description.synapses if s.arriving.square > 0]
    for synapses in moving:
        arriving[synapses.target].append(synapses)
    populations = [_population(k, label, description, arriving[k]) for k, label in neurons.items()]
    n = len(neurons)
    entries: list[list[tuple[int, int, Arriving]]] = [[] for _ in range(RECEPTORS)]
    outside = np.zeros((6, n, RECEPTORS))
    for s in moving:
        i = place[s.target]
        if s.receptor not in populations[i].receptors:
            continue  # a train
        receptor, one = populations[i].receptors.index(s.receptor), _magnitude(s)
        if s.source in place:
            entries[receptor].append((i, place[s.source], one))
        else:
            outside[:, i, receptor] += one.mean, one.square, one.cube, *one.cumulants
    means, squares, cubes, second, third, fourth, of_rates = (
        tuple(_matrix(rows, take, n) for rows in entries)
        for take in (
            lambda a: a.mean,
            lambda a: a.square,
            lambda a: a.cube,
            *(lambda a, k=k: a.cumulants[k] for k in range(3)),
            lambda a: a.of_rates,
        )
    )
    shared = [
        _shared(k, arriving[label], populations[k].receptors, place)
        for k, label in enumerate(neurons)
    ]
    return Inputs(
        tuple(populations),
        means,
        squares,
        cubes,
        (second, third, fourth),
        of_rates,
        outside,
        tuple(one for one in shared if one is not None),
    )


def _shared(
    target: int, synapses: Sequence[Synapses], receptors: Sequence[str], place: Mapping[int, int]
) -> Shared | None:
    """Of synapses that were drawn."""
    own = [s for s in synapses if s.arriving.sums is not None and s.receptor in receptors]
    if len(own) < 2:
        return None
    sums = [np.abs(s.arriving.sums) for s in own if s.arriving.sums is not None]
    at = np.array([receptors.index(s.receptor) for s in own])
    sources = np.array([place.get(s.source, -1) for s in own])
    return Shared(target, at, sources, in_common(sums))


def _matrix(
    rows: Sequence[tuple[int, int, Arriving]], take: Callable[[Arriving], float], n: int
) -> sparse.csr_array:
    where = [i for i, _, _ in rows], [j for _, j, _ in rows]
    return sparse.coo_array(([take(a) for _, _, a in rows], where), shape=(n, n)).tocsr()


def _magnitude(synapses: Synapses) -> Arriving:
    """What arrives, without its sign, which all weights at a receptor have."""
    arriving = synapses.arriving
    return arriving if arriving.mean >= 0 else arriving.scaled(-1.0)


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
        each = map(_magnitude, arriving)
        ratios = [one.square / one.mean for one in each if one.mean > 0]
        signs.append(all_signs.pop())
        ranges.append((min(ratios), max(ratios)))
    used = tuple(by_receptor)
    return Population(place, label, cells, used, tuple(signs), tuple(ranges), tuple(trains))


def _train(synapses: Synapses, source: Cells) -> Train | None:
    """What arrives from a source, where all neurons get the same."""
    low, high = synapses.weights.limits
    if not source.is_source or low != high or synapses.arriving.cumulants.any():
        return None
    return Train(synapses.receptor, high, synapses.arriving.mean / high)

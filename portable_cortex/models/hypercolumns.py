"""Sheets of hypercolumns: orientation domains, and partners of cells by their distance.

Domains are wedges around the centre of a hypercolumn, and neighbours are mirror images. Beyond its
border a sheet goes on as its own mirror image, so that one hypercolumn is like one of many. Lengths
are in hypercolumns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

DOMAINS = (0, 45, 90, 135)  # preferred orientations, degrees
AT_ONCE = 64  # cells


def lattice(side: int, hypercolumns: int) -> F64:
    """Places of cells, `side` of them along a hypercolumn: shape (n, 2), row by row."""
    along = (np.arange(side * hypercolumns) + 0.5) / side
    return np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)


def domains(places: F64) -> I64:
    """Preferred orientations, one of `DOMAINS`, of places: shape (n, 2).

    Examples
    --------
    >>> domains(np.array([[0.9, 0.5], [0.5, 0.9], [1.1, 0.5], [1.9, 0.5]])).tolist()
    [0, 45, 0, 90]
    """
    number, inside = np.divmod(places, 1.0)
    x, y = np.where(number % 2, 0.5 - inside, inside - 0.5).T
    wedge = np.floor(np.degrees(np.arctan2(y, x)) / 90 + 0.5).astype(int) % len(DOMAINS)
    return np.asarray(np.array(DOMAINS)[wedge])


def blurred(places: F64, sd: float) -> F64:
    """Shares of domains in what arrives at places through a Gaussian, cut off at two sd.

    Returns
    -------
    array, shape (n, domains)
    """
    along = np.linspace(-2.0, 2.0, 25) * sd
    around = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    weights = np.exp(-(around**2).sum(axis=1) / (2 * sd**2))
    found = np.stack([domains(place + around) for place in places])
    shares = [(found == angle) @ weights for angle in DOMAINS]
    return np.asarray(np.stack(shares, axis=1) / weights.sum())


def partners(
    rng: np.random.Generator,
    targets: F64,
    side: int,
    hypercolumns: int,
    n: int,
    *,
    sd: float,
    reach: float,
    alike: bool,
) -> Iterator[tuple[I64, I64]]:
    """Sources and targets of synapses, `n` of each target, drawn by a Gaussian of the distance.

    The partners of a target are drawn one after the other, without repetition. Mirror images
    beyond the border stand for their cells, so that a pair can have more than one synapse.

    Parameters
    ----------
    rng : numpy.random.Generator
    targets : array, shape (cells, 2)
    side : int
        Sources along a hypercolumn; they are a `lattice`.
    hypercolumns : int
        Along the sheet.
    n : int
    sd, reach : float
        Of the distance: standard deviation, and the largest.
    alike : bool
        Whether sources and targets are the same cells, of which none is its own partner.

    Yields
    ------
    tuple of array
        Indices of some sources and targets.
    """
    whole, most = side * hypercolumns, int(reach * side) + 1
    steps = np.arange(-most, most + 1)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    for first in range(0, len(targets), AT_ONCE):
        places = targets[first : first + AT_ONCE, np.newaxis]
        images = np.floor(places * side).astype(np.int64) + around
        squares = (((images + 0.5) / side - places) ** 2).sum(axis=-1)
        folded = images % (2 * whole)
        x, y = np.moveaxis(np.minimum(folded, 2 * whole - 1 - folded), -1, 0)
        sources = y * whole + x
        own = np.arange(first, first + len(places))
        # the n largest sums of logarithms of weights and Gumbel's variables are such draws
        order = rng.gumbel(size=squares.shape) - squares / (2 * sd**2)
        order[squares > reach**2] = -np.inf
        if alike:
            order[sources == own[:, np.newaxis]] = -np.inf
        chosen = np.argpartition(-order, n, axis=1)[:, :n]
        yield np.take_along_axis(sources, chosen, axis=1).ravel(), np.repeat(own, n)

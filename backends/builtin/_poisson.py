"""Numbers of Poisson events for many neurons at once, in a form that becomes vector instructions.

A draw is a function of key, neuron and step: the number of threads does not matter. Its first 16
bits decide nearly always: the number of events is the number of limits of the distribution
function that they exceed. Where they equal a limit's first 16 bits, a second draw gives the rest,
so the distribution is exact to float64's resolution (2^-53).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyNN import errors

from ._llvm import compiled, wide
from ._threefry import threefry

assert sys.byteorder == "little"  # which quarter of a word is which neuron's

U16, U64 = np.uint16, np.uint64
LARGEST_MEAN = 150.0  # events in a step; more take too long to count
PIECE = 1024  # neurons whose draws, codes and state are in the first-level cache together
GROUP = 128  # neurons that are drawn together: eight counter values, four words, four quarters
COMPARED = 12  # limits that are compared at a time


@compiled
def _draw(words: Any, first: int, last: int, piece: int, step: int, key0: Any, key1: Any) -> None:
    """Draws of the groups `first` to `last` (exclusive) of a piece."""
    wide()
    for group in range(first, last):
        at = U64(32 * group)
        block = U64(piece * (PIECE // 16) + 8 * group)
        for b in range(8):
            k = U64(b)
            x0, x1, x2, x3 = threefry(block + k, U64(step), U64(0), key0, key1)
            words[at + k] = x0
            words[at + k + U64(8)] = x1
            words[at + k + U64(16)] = x2
            words[at + k + U64(24)] = x3


@njit(inline="always")
def _twice(p: Any, limit: Any) -> Any:
    return min(U16(max(p, limit) - limit), U16(2))


@compiled
def _count(draws: Any, begin: int, end: int, limits: Any, row: int, codes: Any) -> None:
    """Twice the number of limits that a draw exceeds, added to ``codes``.

    A code is odd where a draw is 0 or equals a limit, or nearly: there the 16 bits do not decide.
    Each limit L, given as L - 1, adds min(max(draw - (L - 1), 0), 2): a saturating subtraction, a
    minimum and an addition for 32 draws at once. Everything is of 16 bits: one wider number in the
    loop, even a boolean that is counted, and LLVM takes vectors of that width for all of it.
    """
    wide()
    t0, t1, t2, t3 = limits[row, 0], limits[row, 1], limits[row, 2], limits[row, 3]
    t4, t5, t6, t7 = limits[row, 4], limits[row, 5], limits[row, 6], limits[row, 7]
    t8, t9, t10, t11 = limits[row, 8], limits[row, 9], limits[row, 10], limits[row, 11]
    for number in range(begin, end):
        i = U64(number)
        p = draws[i]
        a = U16(_twice(p, t0) + _twice(p, t1) + _twice(p, t2) + _twice(p, t3))
        b = U16(_twice(p, t4) + _twice(p, t5) + _twice(p, t6) + _twice(p, t7))
        c = U16(_twice(p, t8) + _twice(p, t9) + _twice(p, t10) + _twice(p, t11))
        codes[i] = U16(codes[i] + a + b + c)


@compiled
def _begin(draws: Any, begin: int, end: int, codes: Any) -> None:
    for number in range(begin, end):
        i = U64(number)
        codes[i] = U16(min(draws[i], U16(1)) ^ U16(1))


@compiled
def _any_odd(codes: Any, begin: int, end: int) -> Any:
    together = U16(0)
    for i in range(begin, end):
        together = U16(together | codes[U64(i)])
    return (together & U16(1)) != 0


@compiled
def _decided(
    neuron: int, step: int, bits: Any, key0: Any, key1: Any, exact: Any, table: int
) -> Any:
    """Number of events of one neuron, from its first 16 bits and 52 more."""
    more = threefry(U64(neuron), U64(step), U64(1), key0, key1)[0]
    rest = np.float64(more >> U64(12)) * 2.0**-52 + 2.0**-53
    u = (np.float64(bits) + rest) / 65536.0
    k = 0
    while u >= exact[table, k]:
        k += 1
    return k


@compiled
def events(
    first: int, size: int, step: int, key0: Any, key1: Any, tables: Any, table: int, space: Any,
) -> None:  # fmt: skip
    """Find twice the numbers of events of neurons of one piece, and put them into its codes.

    Parameters
    ----------
    first, size : int
        The neurons: their numbers in the population; all belong to one piece.
    step : int
        In which the events are sent.
    key0, key1 : uint64
        Of the population.
    tables : tuple of arrays
        From `tables`.
    table : int
        Which of them.
    space : tuple of arrays
        From `space`; its codes belong to the neurons of the piece.
    """
    limits, exact = tables
    words, draws, codes = space
    piece = first // PIECE
    begin = first - piece * PIECE
    end = begin + size
    first_group, last_group = begin // GROUP, (end + GROUP - 1) // GROUP
    _draw(words, first_group, last_group, piece, step, key0, key1)
    low, high = first_group * GROUP, last_group * GROUP
    _begin(draws, low, high, codes)
    for row in range(limits.shape[1]):
        _count(draws, low, high, limits[table], row, codes)
    for at in range(low, high, GROUP):
        if _any_odd(codes, at, at + GROUP):
            for i in range(at, at + GROUP):
                if codes[i] & U16(1):
                    neuron = piece * PIECE + i
                    codes[i] = U16(2 * _decided(neuron, step, draws[i], key0, key1, exact, table))


@compiled
def events_of_one(
    neuron: int, step: int, draw: Any, key0: Any, key1: Any, tables: Any, table: int
) -> int:
    """Number of events of a neuron: what `events` says, given the first 16 bits."""
    limits, exact = tables
    k = 0
    flat = limits[table].reshape(-1)
    while k < flat.size and draw > flat[k] + U16(1):
        k += 1
    if draw == 0 or (k < flat.size and draw == flat[k] + U16(1)):
        return int(_decided(neuron, step, draw, key0, key1, exact, table))
    return k


def space() -> tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint16]]:
    """Words of a piece, the same as draws, and their codes."""
    words = np.empty(PIECE // 4, np.uint64)
    return words, words.view(np.uint16), np.empty(PIECE, np.uint16)


def tables(means: NDArray[np.float64]) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """For each mean, what `events` compares, and the distribution function.

    Parameters
    ----------
    means : array of float64
        Events in a time step.

    Returns
    -------
    limits : array of uint16, shape (means, rows, COMPARED)
        First 16 bits of the probability of `k` events or fewer, less 1. Limits that have the same
        are set apart, by 1 each: the exact ones decide about all draws that might be concerned.
        65535 is never exceeded: it fills rows up.
    exact : array of float64, shape (means, counts)
        Probability of `k` events or fewer; infinite where that is beyond float64's resolution.

    Raises
    ------
    InvalidParameterValueError
        For a mean that is too large.
    """
    largest = float(means.max(initial=0.0))
    if largest > LARGEST_MEAN:
        raise errors.InvalidParameterValueError(
            f"a Poisson source may fire at most {LARGEST_MEAN:g} times in a time step on average, "
            f"not {largest:g} times: use several sources, or a smaller time step"
        )
    n = int(largest + 12 * np.sqrt(largest) + 30)
    from scipy.special import pdtr  # slow to import, and not for networks without such sources

    exact = pdtr(np.arange(n), means[:, np.newaxis])
    exact[exact >= 1.0 - 2.0**-53] = np.inf
    exact = exact[:, : np.isfinite(exact).any(axis=0).sum() + 1]
    exact[:, -1] = np.inf
    bits = [_first_bits(distribution) for distribution in exact]
    rows = -(-max((b.size for b in bits), default=1) // COMPARED)
    limits = np.full((means.size, rows * COMPARED), 65535, np.uint16)
    for table, own in enumerate(bits):
        limits[table, : own.size] = own
    # contiguous, as are those of no source: numba compiles the loop for each layout
    return limits.reshape(means.size, rows, COMPARED), np.ascontiguousarray(exact)


def _first_bits(distribution: NDArray[np.float64]) -> NDArray[np.float64]:
    bits = np.floor(np.minimum(distribution, 1.0) * 65536.0)
    bits = np.append(bits[bits < 65535.0], 65535.0)  # the last stands for the tail
    bits = np.maximum(bits - 1.0, 0.0)
    # at least 1 more than the one before
    steps = np.arange(bits.size)
    apart = np.maximum.accumulate(bits - steps) + steps
    return np.asarray(np.minimum(apart, 65535.0))

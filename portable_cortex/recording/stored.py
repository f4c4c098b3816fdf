"""Spikes and signals that stay on the disk, and are read when they are asked for.

Both are mappings like those of a recording in memory. Who looks at many spikes goes through the
pieces of a population instead, which need little memory however many there are: `pieces_of`, for
every kind of recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from .spikes import Signal, Spikes

F64 = NDArray[np.float64]

PIECE = 2**20  # spikes that are looked at together


@dataclass(frozen=True)
class Piece:
    """Some spikes of one population.

    Attributes
    ----------
    size : int
        How many there are.
    last : float
        Time of the last one, ms.
    read : callable
        Gives them.
    """

    size: int
    last: float
    read: Callable[[], Spikes]


@dataclass(frozen=True)
class Pieces:
    """Spikes of one population, some at a time, in order; they can be gone through again."""

    pieces: Sequence[Piece]

    def __iter__(self) -> Iterator[Spikes]:
        return (piece.read() for piece in self.pieces)


class StoredSpikes(Mapping[str, Spikes]):
    """Spikes by population, each read when it is asked for.

    Parameters
    ----------
    pieces : mapping of str to sequence of Piece
        In order of time, none of them empty.
    """

    def __init__(self, pieces: Mapping[str, Sequence[Piece]]) -> None:
        self._pieces = pieces

    def __getitem__(self, population: str) -> Spikes:
        return joined(self.pieces(population))

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def __contains__(self, population: object) -> bool:
        return population in self._pieces

    def count(self, population: str) -> int:
        """Number of spikes."""
        return sum(piece.size for piece in self._pieces[population])

    def pieces(self, population: str, since: float = -inf) -> Pieces:
        """Those in which there are spikes after `since` ms, and all that follow."""
        return Pieces([piece for piece in self._pieces[population] if piece.last > since])

    def of(self, populations: Iterable[str]) -> StoredSpikes:
        """Those of some populations, in this order."""
        return StoredSpikes({p: self._pieces[p] for p in populations if p in self._pieces})


def joined(pieces: Iterable[Spikes]) -> Spikes:
    """Spikes that follow each other.

    Examples
    --------
    >>> joined([]).times
    array([], dtype=float64)
    """
    columns = zip((np.empty(0), np.empty(0, np.int64)), *pieces, strict=True)
    return Spikes(*map(np.concatenate, columns))


def pieces_of(
    trains: Mapping[str, Spikes], population: str, since: float = -inf
) -> Iterable[Spikes]:
    """Spikes of a population, some at a time, in order.

    Parameters
    ----------
    trains : mapping of str to Spikes
        Of a recording.
    population : str
    since : float
        ms: spikes before may be left out.
    """
    if isinstance(trains, StoredSpikes):
        return trains.pieces(population, since)
    times, neurons = trains[population]
    begins = range(0, max(len(times), len(neurons)), PIECE)
    return [Spikes(times[b : b + PIECE], neurons[b : b + PIECE]) for b in begins]


def count_of(trains: Mapping[str, Spikes], population: str) -> int:
    """Number of spikes of a population."""
    if isinstance(trains, StoredSpikes):
        return trains.count(population)
    return trains[population].times.size


@dataclass(frozen=True)
class StoredSignal:
    """Samples of a variable that stay on the disk.

    Attributes
    ----------
    head : Signal
        All of it but the values, of which there are none.
    size : int
        Number of samples of each neuron.
    blocks : sequence of callables
        Each gives some samples; in order of time.
    """

    head: Signal
    size: int
    blocks: Sequence[Callable[[], F64]]

    def __iter__(self) -> Iterator[F64]:
        return (read() for read in self.blocks)


class StoredSignals(Mapping[tuple[str, str], Signal]):
    """Signals by population and variable, each read when it is asked for."""

    def __init__(self, signals: Mapping[tuple[str, str], StoredSignal]) -> None:
        self.signals = signals

    def __getitem__(self, key: tuple[str, str]) -> Signal:
        signal = self.signals[key]
        return signal.head._replace(values=np.concatenate([signal.head.values, *signal]))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.signals)

    def __len__(self) -> int:
        return len(self.signals)

    def __contains__(self, key: object) -> bool:
        return key in self.signals


def stored_signal(signals: Mapping[tuple[str, str], Signal], key: tuple[str, str]) -> StoredSignal:
    """A signal of a recording, without its values if they are on the disk."""
    if isinstance(signals, StoredSignals):
        return signals.signals[key]
    signal = signals[key]
    head = signal._replace(values=signal.values[:0])
    return StoredSignal(head, len(signal.values), [lambda: signal.values])


def in_order(trains: Mapping[str, Spikes], populations: Iterable[str]) -> Mapping[str, Spikes]:
    """Trains in the order of some populations, and of those only."""
    if isinstance(trains, StoredSpikes):
        return trains.of(populations)
    return {label: trains[label] for label in populations if label in trains}


def neuron_counts(pieces: Iterable[Spikes], n_neurons: int) -> NDArray[np.int64]:
    """Number of spikes of each neuron.

    Examples
    --------
    >>> neuron_counts([Spikes(np.array([0.1, 0.2]), np.array([2, 2]))], 3)
    array([0, 0, 2])
    """
    counts = np.zeros(n_neurons, np.int64)
    for piece in pieces:
        counts += np.bincount(piece.neurons, minlength=n_neurons)
    return counts


class LastValues:
    """The last value of each neuron, where values come in pieces.

    Examples
    --------
    >>> last = LastValues(2)
    >>> last.before(np.array([1.0, 2.0, 1.5]), np.array([0, 0, 1])).tolist()
    [nan, 1.0, nan]
    >>> last.before(np.array([3.0]), np.array([0])).tolist()
    [2.0]
    """

    def __init__(self, n_neurons: int) -> None:
        self._values = np.full(n_neurons, np.nan)

    def before(self, values: F64, neurons: NDArray[np.int64]) -> F64:
        """The value before each of some new ones, or not a number.

        Parameters
        ----------
        values, neurons : array
            By neuron; those of a neuron in order.
        """
        if not values.size:
            return values
        before = np.append(np.nan, values[:-1])
        first = np.append(True, neurons[1:] != neurons[:-1])
        before[first] = self._values[neurons[first]]
        last = np.append(first[1:], True)
        self._values[neurons[last]] = values[last]
        return before

"""All synapses of a network, as the engine reads them: by source, thread, delay.

A row holds the synapses of one source onto one receptor: a part for each thread, in columns, those
of one delay each. It is made once, in a place whose size is known from the source's out-degrees:
drawn into a buffer, counted, and sorted from there into the table. A thread reads, in each step,
the segments of the spikes that arrive in it, and adds their weights to the inputs of its own
neurons: nothing but these inputs is written, and they fit into the cache. A synapse takes 2 bytes
for its target among the thread's neurons (4 beyond 65,536 of them) and 4 for its weight (8 where
float32 does not hold all weights exactly). Where all weights are of ``bfloat16``, it is one word of
4 bytes: the upper half of the weight's float32, and a target of 2 bytes in the place of the lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portable_cortex.backend import Progress

from ._edges import Drawn, Listed
from ._llvm import bits_of
from ._workers import in_parallel

U64 = np.uint64
PIECE = 1 << 17  # synapses that are placed together
WORD = np.dtype(np.uint32)
UPPER, LOWER = 0xFFFF0000, 0xFFFF  # halves of a word: weight and target


@dataclass(frozen=True)
class Bundle:
    """One projection, in the engine's numbering.

    Attributes
    ----------
    edges : Drawn or Listed
    sources : array of int64, shape (n_pre,)
        Number of each source among all cells.
    owner : array of uint8, shape (n_post,)
        Thread of each target.
    place : array of uint32, shape (n_post,)
        Index of each target among its thread's neurons.
    receptor : int
    """

    edges: Drawn | Listed
    sources: NDArray[np.int64]
    owner: NDArray[np.uint8]
    place: NDArray[np.uint32]
    receptor: int


class Buffer(NamedTuple):
    """Synapses of some rows, row after row.

    Attributes
    ----------
    keys : array of int32
        Thread of the target, times the number of columns, plus the column.
    places : array
        Index of the target among its thread's neurons.
    weights : array
    """

    keys: NDArray[np.int32]
    places: NDArray[Any]
    weights: NDArray[Any]


class Arrivals(NamedTuple):
    """Inputs that are to come, whatever becomes of the synapses that they came through.

    Attributes
    ----------
    steps : array of int64
        When each arrives.
    receptors, cells : arrays of int64
        At which receptor of which cell, of the whole network.
    weights : array of float64
    """

    steps: NDArray[np.int64]
    receptors: NDArray[np.int64]
    cells: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Synapses:
    """The table.

    Attributes
    ----------
    cells : tuple of arrays of int64
        For each thread, the number of the cell at each place among its neurons.
    rows : array of int32, shape (receptors, n_cells)
        Row of each source, -1 where it has none.
    steps : array of int64, shape (columns,)
        Delay of each column, time steps.
    offsets : array, shape (threads, rows, columns + 1)
        Where each segment begins; the next one's begin is its end.
    targets : array
    weights : array or None
        None where `targets` are words that hold the weights, too.
    used : array of int64, shape (receptors,)
        Columns that a receptor's rows use.
    """

    cells: tuple[NDArray[np.int64], ...]
    rows: NDArray[np.int32]
    steps: NDArray[np.int64]
    offsets: NDArray[Any]
    targets: NDArray[Any]
    weights: NDArray[Any] | None
    used: NDArray[np.int64]

    def part(self, synapses: slice) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Targets and weights of some synapses."""
        targets = self.targets[synapses]
        if self.weights is not None:
            return targets, self.weights[synapses].astype(float)
        weights = (targets & np.uint32(UPPER)).view(np.float32)
        return targets & np.uint32(LOWER), weights.astype(float)

    def arrivals(self, history: Sequence[tuple[int, NDArray[np.int64]]], now: int) -> Arrivals:
        """What spikes that are on their way will bring after step `now`.

        Parameters
        ----------
        history : list of (step, cells)
            Spikes, by the step in which they were sent.
        """
        none = np.empty(0, np.int64)
        parts = [Arrivals(none, none, none, np.empty(0))]
        for sent, senders in history:
            first = int(np.searchsorted(self.steps, now - sent, side="right"))
            for receptor, rows in enumerate(self.rows[:, senders]):
                for row in rows[rows >= 0]:
                    for offsets, cells in zip(
                        self.offsets[:, row, first:], self.cells, strict=True
                    ):
                        targets, weights = self.part(slice(int(offsets[0]), int(offsets[-1])))
                        steps = np.repeat(
                            sent + self.steps[first:], np.diff(offsets.astype(np.int64))
                        )
                        receptors = np.full(steps.size, receptor)
                        parts.append(Arrivals(steps, receptors, cells[targets], weights))
        return joined(parts)


def joined(parts: Sequence[Arrivals]) -> Arrivals:
    """All of several, by step."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Arrivals(*(column[order] for column in columns))


@dataclass(frozen=True)
class Plan:
    """What a table will need, known before it is made.

    `stride` is what a step of delay adds to a target's number; 0 where each delay has a column.
    """

    rows: NDArray[np.int32]
    row_receptors: NDArray[np.int64]
    starts: NDArray[np.int64]
    steps: NDArray[np.int64]
    n_threads: int
    stride: int
    offsets_type: Any
    target_type: Any
    weight_type: Any
    packed: bool

    @property
    def n_synapses(self) -> int:
        """All of them."""
        return int(self.starts[-1])

    @property
    def offsets_shape(self) -> tuple[int, int, int]:
        """Threads, rows, columns and an end."""
        columns = 1 if self.stride else self.steps.size
        return self.n_threads, self.starts.size - 1, columns + 1

    @property
    def nbytes(self) -> int:
        """Memory of the table."""
        separate = np.dtype(self.target_type).itemsize + np.dtype(self.weight_type).itemsize
        per_synapse: int = WORD.itemsize if self.packed else separate
        offsets: int = int(np.prod(self.offsets_shape)) * np.dtype(self.offsets_type).itemsize
        return self.n_synapses * per_synapse + offsets


def plan(
    bundles: Sequence[Bundle],
    n_cells: int,
    n_threads: int,
    n_local: int,
    n_receptors: int,
    weight_format: str,
    *,
    is_by_delay: bool = True,
) -> Plan:
    """Size up the table for `bundles`.

    Parameters
    ----------
    n_cells : int
        Cells of the network, spike sources included.
    n_local : int
        Largest number of neurons of a thread.
    weight_format : {"full", "bfloat16"}
        Of all weights.
    is_by_delay : bool, optional
        Whether each delay has a column. Else there is one, and a target's number has its delay in
        it: steps times the neurons of a thread, and the neuron.
    """
    rows = np.full((n_receptors, n_cells), -1, np.int32)
    for bundle in bundles:
        rows[bundle.receptor, bundle.sources] = 0
    taken = rows == 0
    rows[taken] = np.arange(int(taken.sum()), dtype=np.int32)
    starts = np.zeros(int(taken.sum()) + 1, np.int64)
    for bundle in bundles:
        starts[rows[bundle.receptor, bundle.sources] + 1] += bundle.edges.out_degrees
    np.cumsum(starts, out=starts)
    steps = np.unique(np.concatenate([np.empty(0, np.int64), *(_steps(b) for b in bundles)]))
    is_short = (n_local if is_by_delay else n_local * (int(steps.max(initial=0)) + 1)) <= 2**16
    return Plan(
        rows,
        np.nonzero(taken)[0].astype(np.int64),
        starts,
        steps,
        n_threads,
        0 if is_by_delay else n_local,
        np.uint32 if starts[-1] < 2**32 else np.uint64,
        np.uint16 if is_short else np.uint32,
        np.float32 if all(bundle.edges.single for bundle in bundles) else np.float64,
        is_short and weight_format == "bfloat16",
    )


def _steps(bundle: Bundle) -> NDArray[np.int64]:
    return bundle.edges.possible_steps() if bundle.edges.size else np.empty(0, np.int64)


def build(
    plan: Plan,
    bundles: Sequence[Bundle],
    cells: tuple[NDArray[np.int64], ...],
    workers: int,
    progress: Progress,
) -> Synapses:
    """Make the table.

    Parameters
    ----------
    cells : tuple of arrays of int64
        See `Synapses`.
    workers : int
        Threads; the result does not depend on their number.
    progress : Progress
        Told how much is done, from 0 to 1.
    """
    offsets = np.empty(plan.offsets_shape, plan.offsets_type)
    targets = np.empty(plan.n_synapses, WORD if plan.packed else plan.target_type)
    weights = None if plan.packed else np.empty(plan.n_synapses, plan.weight_type)
    used = np.zeros((workers, plan.rows.shape[0]), np.int64)
    longest = int(plan.steps.max(initial=0))
    columns, shifts = np.zeros(longest + 1, np.int32), np.zeros(longest + 1, plan.target_type)
    if plan.stride:
        shifts[:] = np.arange(longest + 1) * plan.stride
    else:
        columns[plan.steps] = np.arange(plan.steps.size)
    pieces = _pieces(plan.starts)
    largest = int(np.diff(plan.starts[pieces]).max(initial=0))
    shares = [
        _Share(bundle, plan, (columns, shifts), pieces) for bundle in bundles if bundle.edges.size
    ]

    def work(worker: int) -> None:
        buffer = Buffer(
            np.empty(largest, np.int32),
            np.empty(largest, plan.target_type),
            np.empty(largest, plan.weight_type),
        )
        for number in range(worker, pieces.size - 1, workers):
            first, last = pieces[number : number + 2]
            ends = plan.starts[first:last] - plan.starts[first]
            for share in shares:
                share.append(number, first, ends, buffer)
            _sort(
                first, last, plan.starts, plan.row_receptors, offsets, *buffer, targets, weights,
                used[worker],
            )  # fmt: skip
            progress(number / pieces.size)

    in_parallel(workers, work)
    return Synapses(cells, plan.rows, plan.steps, offsets, targets, weights, used.max(axis=0))


class _Share:
    """What a bundle gives to each piece of the table."""

    def __init__(
        self, bundle: Bundle, plan: Plan, by_delay: tuple[Any, Any], pieces: NDArray[np.int64]
    ) -> None:
        rows = plan.rows[bundle.receptor, bundle.sources].astype(np.int64)
        self._edges = bundle.edges
        # in the order of their rows, which they mostly have
        in_order = bool(np.all(rows[:-1] <= rows[1:]))
        self._sources = np.arange(rows.size) if in_order else np.argsort(rows, kind="stable")
        self._rows = rows[self._sources]
        self._cuts = np.searchsorted(self._rows, pieces).tolist()
        place = bundle.place.astype(plan.target_type)
        self._where = bundle.owner, place, *by_delay, plan.offsets_shape[2] - 1

    def append(self, piece: int, first: int, ends: NDArray[np.int64], buffer: Buffer) -> None:
        """Write the synapses of one piece, the first row of which is `first`."""
        begin, end = self._cuts[piece : piece + 2]
        if begin < end:
            rows = self._rows[begin:end] - first
            self._edges.append(self._sources[begin:end], rows, ends, self._where, buffer)


def _pieces(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cuts between rows, so that what is between two fits into the cache."""
    cuts = np.searchsorted(starts, np.arange(0, int(starts[-1]), PIECE))
    return np.unique(np.append(cuts, [0, starts.size - 1])).astype(np.int64)


@njit(cache=True, nogil=True)
def _count(keys: Any, counts: Any) -> None:
    """Add how often each key occurs, one place further."""
    for i in range(keys.size):
        counts[U64(keys[U64(i)]) + U64(1)] += 1


@njit(cache=True, nogil=True)
def _scatter(
    keys: Any, places: Any, weights: Any, ends: Any, table_targets: Any, table_weights: Any
) -> None:
    """Append each synapse to those of its key."""
    for number in range(keys.size):
        i = U64(number)
        key = U64(keys[i])
        at = U64(ends[key])
        ends[key] = at + U64(1)
        if table_weights is None:
            table_targets[at] = bits_of(weights[i]) | np.uint32(places[i])
        else:
            table_targets[at] = places[i]
            table_weights[at] = weights[i]


@njit(cache=True, nogil=True)
def _sort(
    first: int, last: int, starts: Any, receptors: Any, offsets: Any, keys: Any, places: Any,
    weights: Any, table_targets: Any, table_weights: Any, used: Any,
) -> None:  # fmt: skip
    """Sort the buffered synapses of some rows by thread and column, as they were made."""
    n_threads, n_columns = offsets.shape[0], offsets.shape[2] - 1
    counts = np.empty(n_threads * n_columns + 1, np.int64)
    for row in range(first, last):
        own = slice(starts[row] - starts[first], starts[row + 1] - starts[first])
        counts[:] = 0
        _count(keys[own], counts)
        total = starts[row]
        for thread in range(n_threads):
            for column in range(n_columns):
                key = thread * n_columns + column
                offsets[thread, row, column] = total
                n = counts[key + 1]
                counts[key] = total
                total += n
                if n and column >= used[receptors[row]]:
                    used[receptors[row]] = column + 1
            offsets[thread, row, n_columns] = total
        _scatter(keys[own], places[own], weights[own], counts, table_targets, table_weights)

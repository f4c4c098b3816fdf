"""All synapses of a network, as the engine reads them: by thread, source, delay, target.

A row holds the synapses of one source onto one receptor, a column those of one delay. A thread
reads, in each step, the segments of the spikes that arrive in it, and adds their weights to the
inputs of its own neurons: nothing but these inputs is written, and they fit into the cache.
A synapse takes 2 bytes for its target among the thread's neurons (4 beyond 65,536 of them) and 4
for its weight (8 where float32 does not hold all weights exactly).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portable_cortex.backend import Progress

from ._edges import Drawn, Listed
from ._workers import in_parallel

PIECE = 1 << 16  # synapses that are placed together


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


@dataclass(frozen=True)
class Synapses:
    """The table.

    Attributes
    ----------
    rows : array of int32, shape (receptors, n_cells)
        Row of each source, -1 where it has none.
    steps : array of int64, shape (columns,)
        Delay of each column, time steps.
    offsets : array, shape (threads, rows, columns + 1)
        Where each segment begins; the next one's begin is its end.
    targets, weights : arrays
    used : array of int64, shape (receptors,)
        Columns that a receptor's rows use.
    """

    rows: NDArray[np.int32]
    steps: NDArray[np.int64]
    offsets: NDArray[Any]
    targets: NDArray[Any]
    weights: NDArray[Any]
    used: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Memory of the table."""
        return self.offsets.nbytes + self.targets.nbytes + self.weights.nbytes


@dataclass(frozen=True)
class Plan:
    """What a table will need, known before it is made."""

    rows: NDArray[np.int32]
    row_receptors: NDArray[np.int64]
    steps: NDArray[np.int64]
    offsets_shape: tuple[int, int, int]
    offsets_type: Any
    target_type: Any
    weight_type: Any
    n_synapses: int

    @property
    def nbytes(self) -> int:
        """Memory of the table."""
        per_synapse: int = np.dtype(self.target_type).itemsize + np.dtype(self.weight_type).itemsize
        offsets: int = int(np.prod(self.offsets_shape)) * np.dtype(self.offsets_type).itemsize
        return self.n_synapses * per_synapse + offsets


def plan(
    bundles: Sequence[Bundle], n_cells: int, n_threads: int, n_local: int, n_receptors: int
) -> Plan:
    """Size up the table for `bundles`.

    Parameters
    ----------
    n_cells : int
        Cells of the network, spike sources included.
    n_local : int
        Largest number of neurons of a thread.
    """
    rows = np.full((n_receptors, n_cells), -1, np.int32)
    for bundle in bundles:
        rows[bundle.receptor, bundle.sources] = 0
    taken = rows == 0
    rows[taken] = np.arange(int(taken.sum()), dtype=np.int32)
    receptors = np.nonzero(taken)[0].astype(np.int64)
    steps = np.unique(np.concatenate([np.empty(0, np.int64), *(_steps(b) for b in bundles)]))
    n = sum(bundle.edges.size for bundle in bundles)
    return Plan(
        rows,
        receptors,
        steps,
        (n_threads, int(taken.sum()), steps.size + 1),
        np.uint32 if n < 2**32 else np.uint64,
        np.uint16 if n_local <= 2**16 else np.uint32,
        np.float32 if all(bundle.edges.single for bundle in bundles) else np.float64,
        n,
    )


def _steps(bundle: Bundle) -> NDArray[np.int64]:
    return bundle.edges.possible_steps() if bundle.edges.size else np.empty(0, np.int64)


def build(plan: Plan, bundles: Sequence[Bundle], workers: int, progress: Progress) -> Synapses:
    """Make the table: count, then place.

    Parameters
    ----------
    workers : int
        Threads; the result does not depend on their number.
    progress : Progress
        Told how much is done, from 0 to 1.
    """
    offsets = np.zeros(plan.offsets_shape, plan.offsets_type)
    # column c is counted in, and filled from, offsets[..., c + 1]: what is left there after the
    # last synapse is the begin of the next segment
    columns = np.zeros(int(plan.steps.max(initial=0)) + 1, np.int64)
    columns[plan.steps] = np.arange(plan.steps.size) + 1
    where = [
        (
            plan.rows[b.receptor, b.sources],
            b.owner,
            b.place.astype(plan.target_type),
            columns,
            offsets,
        )
        for b in bundles
    ]
    pieces = _pieces(bundles)

    def for_all(action: Callable[[int, int, int], None], done: float) -> None:
        """``action(bundle, first source, last)`` for all bundles."""

        def work(worker: int) -> None:
            for number in range(worker, len(pieces), workers):
                numbers, first, last = pieces[number]
                for bundle in numbers:
                    action(bundle, first, last)
                progress(done + 0.5 * number / len(pieces))

        in_parallel(workers, work)

    for_all(lambda b, first, last: bundles[b].edges.count(first, last, where[b]), 0.0)
    used = np.zeros(plan.rows.shape[0], np.int64)
    _to_begins(offsets.reshape(-1, plan.steps.size + 1), plan.row_receptors, used)
    table = np.empty(plan.n_synapses, plan.target_type), np.empty(plan.n_synapses, plan.weight_type)
    for_all(lambda b, first, last: bundles[b].edges.fill(first, last, where[b], table), 0.5)
    targets, weights = table
    return Synapses(plan.rows, plan.steps, offsets, targets, weights, used)


def _pieces(bundles: Sequence[Bundle]) -> list[tuple[list[int], int, int]]:
    """Bundles with the same sources, and ranges of these: one range's rows fit into the cache."""
    groups: dict[bytes, list[int]] = {}
    for number, bundle in enumerate(bundles):
        groups.setdefault(bundle.sources.tobytes(), []).append(number)
    pieces = []
    for numbers in groups.values():
        n_pre = bundles[numbers[0]].sources.size
        n = sum(bundles[number].edges.size for number in numbers)
        length = max(1, PIECE * n_pre // max(n, 1))
        pieces += [(numbers, i, min(i + length, n_pre)) for i in range(0, n_pre, length)]
    return pieces


@njit(cache=True, nogil=True)
def _to_begins(offsets: Any, receptors: Any, used: Any) -> None:
    total = offsets[0, 0] if offsets.size else 0  # zero, of the right type
    for row in range(offsets.shape[0]):
        receptor = receptors[row % receptors.size]
        offsets[row, 0] = total
        for column in range(1, offsets.shape[1]):
            n = offsets[row, column]
            if n and column > used[receptor]:
                used[receptor] = column
            offsets[row, column] = total
            total += n

"""All synapses of a network, as multiprocessors of a GPU read them: by source, and by part.

A synapse is where in its part's ring of sums its weight is to be added, as seen from the step of
the spike (`steps of its delay * neurons of a part + neuron`), and its weight in units. A receptor's
unit is a power of two, so small that its weights are hardly rounded, and so large that the sum of
all weights at a neuron has a place in an integer: sums are exact, and have no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.errors import UnsupportedError

from . import _memory, _synapses
from ._synapses import Arrivals, joined
from ._workers import in_parallel

FINE = 2.0**-16  # of the mean weight: what a unit may be at most


@dataclass(frozen=True)
class Table:
    """The table.

    Attributes
    ----------
    cells : tuple of arrays of int64
        For each part, the number of the cell at each place among its neurons.
    rows : array of int32, shape (receptors, n_cells)
        Row of each source, -1 where it has none; rows of a receptor follow one another.
    first_rows : array of int64, shape (receptors,)
        The first row of each receptor.
    offsets : array, shape (rows, parts + 1)
        Where each part's synapses of a row begin.
    targets : array
    weights : array of int32 or int64
    units : array of float64, shape (receptors,)
        nA or uS.
    longest : array of int64, shape (receptors,)
        The longest delay, steps.
    stride : int
        Places of a part.
    """

    cells: tuple[NDArray[np.int64], ...]
    rows: NDArray[np.int32]
    first_rows: NDArray[np.int64]
    offsets: NDArray[Any]
    targets: NDArray[Any]
    weights: NDArray[Any]
    units: NDArray[np.float64]
    longest: NDArray[np.int64]
    stride: int

    def arrivals(self, history: Sequence[tuple[int, NDArray[np.int64]]], now: int) -> Arrivals:
        """What spikes that are on their way will bring after step `now`; see `Synapses`."""
        none = np.empty(0, np.int64)
        parts = [Arrivals(none, none, none, np.empty(0))]
        numbers = np.array([np.resize(c, self.stride) for c in self.cells]).reshape(-1)
        for sent, senders in history:
            for receptor, rows in enumerate(self.rows[:, senders]):
                for row in rows[rows >= 0]:
                    offsets = self.offsets[row].astype(np.int64)
                    own = slice(int(offsets[0]), int(offsets[-1]))
                    delays, places = np.divmod(self.targets[own].astype(np.int64), self.stride)
                    part = np.repeat(np.arange(len(self.cells)), np.diff(offsets))
                    steps, weights = sent + delays, self.weights[own] * self.units[receptor]
                    cells, later = numbers[part * self.stride + places], sent + delays > now
                    receptors = np.full(int(later.sum()), receptor)
                    parts.append(Arrivals(steps[later], receptors, cells[later], weights[later]))
        return joined(parts)


def build(
    bundles: Sequence[_synapses.Bundle],
    cells: tuple[NDArray[np.int64], ...],
    n_cells: int,
    n_receptors: int,
    real: Any,
    most: NDArray[np.int64],
    coming: Arrivals | None,
    workers: int,
    progress: Progress,
) -> Table:
    """Make the table.

    Parameters
    ----------
    cells : tuple of arrays of int64
        See `Table`.
    n_cells : int
        Cells of the network, spike sources included.
    real : dtype
        Of the neurons' state: weights have as many bits.
    most : array of int64, shape (n_cells,)
        The largest number of spikes of each cell in a step.
    coming : Arrivals, optional
        What has been sent through other synapses; it is added in the same units.
    workers : int
        Threads; the result does not depend on their number.
    progress : Progress
        Told how much is done, from 0 to 1.

    Raises
    ------
    SimulationError
        If the network does not fit into the memory that is free.
    UnsupportedError
        If weights are too different for integers of 32 bits.
    """
    stride = max((c.size for c in cells), default=0) or 1
    plan = _synapses.plan(
        bundles, n_cells, len(cells), stride, n_receptors, "full", is_by_delay=False
    )
    _memory.check(plan.nbytes, plan.n_synapses)
    made = _synapses.build(plan, bundles, cells, workers, progress)
    weights = made.weights
    assert weights is not None
    offsets = np.concatenate([made.offsets[:, :, 0].T, made.offsets[-1:, :, 1].T], axis=1)
    offsets = np.ascontiguousarray(offsets)
    often = np.ones(offsets.shape[0])
    for rows in made.rows:
        often[rows[rows >= 0]] = np.maximum(most[rows >= 0], 1)
    n_rows = np.array([(rows >= 0).sum() for rows in plan.rows], np.int64)
    first_rows = np.cumsum(n_rows) - n_rows
    longest, units = np.zeros(n_receptors, np.int64), np.ones(n_receptors)
    bits = 8 * np.dtype(real).itemsize
    kind = np.dtype(f"int{bits}")  # in the same place where it is as wide
    into = weights.view(kind) if weights.itemsize == kind.itemsize else np.empty(weights.size, kind)
    for receptor, (first, n) in enumerate(zip(first_rows.tolist(), n_rows.tolist(), strict=True)):
        cuts = np.linspace(first, first + n, workers + 1).astype(np.int64)

        def sums(worker: int, cuts: Any = cuts) -> Any:
            part = np.zeros(len(cells) * stride)
            own = cuts[worker], cuts[worker + 1], offsets, made.targets, weights
            return part, *_sum(*own, often, stride, part)

        found = in_parallel(workers, sums)
        largest = float(sum(part for part, _, _ in found).max(initial=0.0))
        total = float(sum(size for _, size, _ in found))
        longest[receptor] = max(index for _, _, index in found) // stride
        begin, end = int(offsets[first, 0]) if n else 0, int(offsets[first + n - 1, -1]) if n else 0
        sizes = _sums(coming, receptor)
        largest += float(sizes.max(initial=0.0))
        if largest > 0:
            units[receptor] = unit(largest, bits)
            means = [
                *([total / (end - begin)] if total else []),
                *([sizes.mean()] if sizes.size else []),
            ]
            if units[receptor] > FINE * min(means):
                raise UnsupportedError(
                    f"device=cuda adds weights as integers of {bits} bits, and {largest:g} at one "
                    f"neuron is too much beside a mean of {min(means):.3g} (of all synapses, or of "
                    "spikes that are on their way): take precision=double, or device=cpu"
                )
        steps = np.linspace(begin, end, workers + 1).astype(np.int64)

        def convert(worker: int, steps: Any = steps, scale: float = 1 / units[receptor]) -> None:
            own = slice(steps[worker], steps[worker + 1])
            _to_units(weights[own], scale, into[own])

        in_parallel(workers, convert)
    return Table(cells, made.rows, first_rows, offsets, made.targets, into, units, longest, stride)


def _sums(coming: Arrivals | None, receptor: int) -> NDArray[np.float64]:
    """Sizes of what is to come at a receptor, added where it comes together."""
    if coming is None:
        return np.empty(0)
    own = coming.receptors == receptor
    places = np.stack([coming.steps[own], coming.cells[own]])
    _, together = np.unique(places, axis=1, return_inverse=True)
    return np.bincount(together.reshape(-1), np.abs(coming.weights[own])).astype(float)


def unit(largest: float, bits: int) -> float:
    """A power of two of which an integer holds as many as `largest` has, with a bit to spare."""
    return float(2.0 ** np.ceil(np.log2(largest) - (bits - 2)))


@njit(cache=True, nogil=True)
def _sum(
    first: int, last: int, offsets: Any, targets: Any, weights: Any, often: Any, stride: int,
    sums: Any,
) -> Any:  # fmt: skip
    """Add what rows can bring in a step to the sums of their neurons.

    Returns
    -------
    total : float
        Of the sizes of the weights.
    largest : int
        Of the targets.
    """
    largest, total = np.int64(0), 0.0
    n_parts = offsets.shape[1] - 1
    wide = np.uint32(stride)
    for row in range(first, last):
        for part in range(n_parts):
            for i in range(offsets[row, part], offsets[row, part + 1]):
                at = np.uint64(i)
                target, size = np.uint32(targets[at]), abs(np.float64(weights[at]))
                largest = max(largest, np.int64(target))
                total += size
                sums[part * stride + np.int64(target % wide)] += size * often[row]
    return total, largest


@njit(cache=True, nogil=True)
def _to_units(weights: Any, scale: float, into: Any) -> None:
    for number in range(weights.size):
        i = np.uint64(number)
        into[i] = np.int64(np.rint(np.float64(weights[i]) * scale))

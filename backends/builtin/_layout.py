"""Which thread has which neurons.

Each thread has a part of every population, so that all have the same work in every step. Parts
begin at multiples of sixteen, in the population and among the thread's neurons, so that vectors of
neurons are aligned in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 16


@dataclass(frozen=True)
class Layout:
    """Parts of all populations.

    Attributes
    ----------
    cuts : list of array of int64, shape (threads + 1,)
        For each population, the first neuron of each part, and its size.
    neurons : list of bool
        For each population, whether these are neurons.
    places : array of int64, shape (populations, threads)
        Index of a part's first neuron among the thread's neurons.
    n_local : array of int64, shape (threads,)
        Neurons of each thread, with the gaps between parts.
    """

    cuts: list[NDArray[np.int64]]
    neurons: list[bool]
    places: NDArray[np.int64]
    n_local: NDArray[np.int64]

    @classmethod
    def of(cls, sizes: list[int], neurons: list[bool], n_threads: int, block: int) -> Layout:
        """Cut populations of these sizes at multiples of `block`.

        Spike sources take no place among the neurons; where `block` is 1, the first part has them.
        """
        cuts, places = [], np.zeros((len(sizes), n_threads), np.int64)
        n_local = np.zeros(n_threads, np.int64)
        for number, size in enumerate(sizes):
            cut = np.rint(np.arange(n_threads + 1) * size / n_threads / block).astype(np.int64)
            cut *= block
            cut[1 if block == 1 and not neurons[number] else -1 :] = size
            cut = np.minimum(cut, size)
            cuts.append(cut)
            places[number] = n_local
            if neurons[number]:
                n_local = n_local + -(-np.diff(cut) // block) * block
        return cls(cuts, neurons, places, n_local)

    def cells(self, first: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """For each thread, the number of the cell at each place; populations begin at `first`."""
        numbers = tuple(np.full(int(n), -1, np.int64) for n in self.n_local)
        for cut, places, cell, is_neuron in zip(
            self.cuts, self.places, first, self.neurons, strict=True
        ):
            for thread, number in enumerate(numbers):
                begin, end = cut[thread : thread + 2]
                if is_neuron:
                    number[places[thread] :][: end - begin] = cell + np.arange(begin, end)
        return numbers

    def place(
        self, population: int, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Thread of each neuron of a population, and its index there."""
        cut = self.cuts[population]
        owner = np.searchsorted(cut[1:], indices, side="right")
        place = self.places[population][owner] + indices - cut[owner]
        return owner.astype(np.uint8), place.astype(np.uint32)

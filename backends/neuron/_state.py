"""What belongs to the network that is being built: its seed, its objects, its spikes."""

from __future__ import annotations

from typing import Any

from ._cells import forget_sections
from ._pynn import h, pynn_projections, simulator


class _Network:
    """One at a time, as NEURON has one; `begin` clears what the last one left."""

    def __init__(self) -> None:
        self.seed = 1
        self._n_drawn = 0
        self._populations: list[Any] = []
        self._projections: list[Any] = []

    def next_key(self) -> int:
        """Key of the random numbers of the next projection."""
        self._n_drawn += 1
        return self._n_drawn

    def add_population(self, population: Any) -> None:
        self._populations.append(population)

    def add_projection(self, projection: Any) -> None:
        self._projections.append(projection)

    def begin(self, seed: int) -> None:
        """Free everything that NEURON holds: it would go on simulating it."""
        self.seed, self._n_drawn = seed, 0
        for projection in self._projections:
            projection.release()
        pynn_projections._projections.clear()
        simulator.state.parallel_context.gid_clear()  # before the cells: it looks at them
        simulator.initializer.clear()
        simulator.state.gid_sources = []
        for population in self._populations:
            population.release()
        self._projections, self._populations = [], []
        forget_sections()
        h.min_delay = -1  # PyNN keeps the last network's


network = _Network()

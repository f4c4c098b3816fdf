"""The network's clock: what happens in a step.

Times are NEST's: the potential of a neuron goes from one point of the grid to the next, then the
spikes that arrive there are added to its currents; a neuron that is above threshold at a point
fires at that point. Cells are counted through all populations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portable_cortex.pynn import state as floor

name = "numpy"


class State(floor.State):
    """One network; spikes on their way are sums of weights, by the step of their arrival."""

    backend = "numpy"

    def begin(self, *arguments: Any, **named: Any) -> None:
        """Forget the network."""
        super().begin(*arguments, **named)
        self.restore()

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Everything may change between two steps."""

    def release(self) -> None:
        """Nothing is held."""

    def restore(self) -> None:
        """The initial values, and nothing on its way."""
        self.random = np.random.default_rng(self.drive_seed)
        self.arriving: dict[int, Any] = {}
        for population in self.populations:
            population.made()

    def advance(self, steps: int) -> None:
        """Run for a number of steps."""
        synapses = [_Synapses(projection, self.dt) for projection in self.projections]
        waves = [s.waveform(self.step, self.step + steps) for s in self.current_sources]
        self._sample()
        if self.step == 0 and steps:
            self._end_step(synapses, [p.fired_at_zero() for p in self.populations])
        for k in range(steps):
            injected = np.zeros(self.n_cells)
            for source, wave in zip(self.current_sources, waves, strict=True):
                injected[source.cells] += wave[k]
            self.step += 1
            arrived = self.arriving.pop(self.step, np.zeros((2, self.n_cells)))
            self._end_step(synapses, [p.advance(injected, arrived) for p in self.populations])
        for source, wave in zip(self.current_sources, waves, strict=True):
            source.take(wave)

    def _end_step(self, synapses: list[_Synapses], fired: list[Any]) -> None:
        """Record and send the spikes of all populations (numbers of each cell)."""
        for population, counts in zip(self.populations, fired, strict=True):
            population.recorder.add(self.step, counts)
        self._sample()
        counts = np.concatenate([*fired, np.empty(0, int)])
        for projection in synapses:
            projection.send(counts, self)

    def _sample(self) -> None:
        for population in self.populations:
            population.recorder.sample()


class _Synapses:
    """Those of a projection, by source."""

    def __init__(self, projection: Any, step: float) -> None:
        edges = projection.stored()
        self.sources = np.array(projection.pre.all_cells, int)
        self.targets = np.array(projection.post.all_cells, int)[edges.targets]
        self.weights, self.delays = edges.weights, np.round(edges.delays / step).astype(int)
        self.receptor = ["excitatory", "inhibitory"].index(projection.receptor_type)
        self.starts = np.searchsorted(edges.sources, np.arange(self.sources.size + 1))

    def send(self, counts: Any, state: State) -> None:
        """Put the spikes of the sources on their way."""
        for source in np.flatnonzero(counts[self.sources]):
            own = slice(*self.starts[source : source + 2])
            weights = self.weights[own] * counts[self.sources[source]]
            for delay in np.unique(self.delays[own]):
                which, at = self.delays[own] == delay, state.step + int(delay)
                arriving = state.arriving.setdefault(at, np.zeros((2, state.n_cells)))
                np.add.at(arriving[self.receptor], self.targets[own][which], weights[which])


state = State()

"""The network's clock: what happens in a step.

Times are NEST's: the potential of a neuron goes from one point of the grid to the next, then the
spikes that arrive there are added to its currents; a neuron that is above threshold at a point
fires at that point.
"""

from __future__ import annotations

from collections import defaultdict
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
        self.random = np.random.default_rng(self.seed)
        self.arriving: dict[Any, Any] = {}
        for population in self.populations:
            population.made()

    def advance(self, steps: int) -> None:
        """Run for a number of steps."""
        outgoing = [_Outgoing(p, self.dt) for p in self.projections]
        waves = [s.waveform(self.step, self.step + steps) for s in self.current_sources]
        for population in self.populations:
            population.recorder.sample()
        if self.step == 0 and steps:
            self._send(outgoing, {p: p.fired_at_zero() for p in self.populations})
        for k in range(steps):
            injected: defaultdict[int, float] = defaultdict(float)
            for source, wave in zip(self.current_sources, waves, strict=True):
                for cell in source.cells:
                    injected[cell] += wave[k]
            self.step += 1
            fired = {p: p.advance(self, injected) for p in self.populations}
            self._send(outgoing, fired)
            for population in self.populations:
                population.recorder.sample()
        for source, wave in zip(self.current_sources, waves, strict=True):
            source.take(wave)

    def _send(self, outgoing: list[Any], fired: dict[Any, Any]) -> None:
        for population, counts in fired.items():
            population.recorder.add(self.step, counts)
        for synapses in outgoing:
            for source, (population, index) in enumerate(synapses.sources):
                if n := fired[population][index]:
                    synapses.send(source, n, self)


class _Outgoing:
    """Synapses of a projection, by source."""

    def __init__(self, projection: Any, step: float) -> None:
        edges = projection.stored()
        self.sources, self.targets, self.receptor = projection.endpoints()
        self.starts = np.searchsorted(edges.sources, np.arange(len(self.sources) + 1))
        self.columns = edges.targets, edges.weights, np.round(edges.delays / step).astype(int)

    def send(self, source: int, n: int, state: State) -> None:
        """Put a source's spikes on their way."""
        own = slice(*self.starts[source : source + 2])
        for target, weight, steps in zip(*(column[own] for column in self.columns), strict=True):
            population, cell = self.targets[target]
            key = population, state.step + steps
            if key not in state.arriving:
                state.arriving[key] = np.zeros((2, population.size))
            state.arriving[key][self.receptor, cell] += n * weight


state = State()

"""What is recorded of a population: spikes as flat arrays, variables as samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.pynn import recorder as floor

from . import _simulator

F64 = NDArray[np.float64]


class Probe:
    """A variable of some neurons of a population, sampled in regular steps.

    Parameters
    ----------
    population : Population
    variable : str
        A state variable, or what is computed from some (`sources`).
    indices : array of int64
        Neurons, in ascending order.
    """

    def __init__(self, population: Any, variable: str, indices: NDArray[np.int64]) -> None:
        self.population, self.variable = population, variable
        state = list(population.state)
        self.sources = tuple(state.index(name) for name in population.sources(variable))
        self.indices = indices
        self.forget()

    @property
    def interval(self) -> int:
        """Steps between samples."""
        return int(self.population.recorder.interval)

    @property
    def phase(self) -> int:
        """A step in which a sample is taken."""
        return int(self.population.recorder.sampling_start)

    def forget(self) -> None:
        """Drop the samples; the next one is the first."""
        self.chunks: list[F64] = []
        self.first: int | None = None

    def begin(self, step: int, values: F64) -> None:
        """Take the first sample, of the present or of the next step that is to be sampled.

        `values` are all of the population, in the engine's form.
        """
        if self.first is None:
            self.first = step + (self.phase - step) % self.interval
            if self.first == step:
                self.add(values[list(self.sources)][np.newaxis, :, self.indices])

    def add(self, values: F64) -> None:
        """Take samples in the engine's form, shape (samples, sources, neurons)."""
        names, state = list(self.population.state), {}
        for number, samples in zip(self.sources, values.transpose(1, 0, 2), strict=True):
            scale, centre = self.population.scale(number), self.population.centre(number)
            state[names[number]] = samples * scale[self.indices] + centre[self.indices]
        computed = self.population.computed(self.variable, self.indices, state)
        self.chunks.append(np.broadcast_to(computed, (values.shape[0], self.indices.size)))

    def drop(self, step: int) -> None:
        """Forget the samples until a step, which have been read."""
        self.chunks = []
        self.first = step + self.interval - (step - self.phase) % self.interval

    def samples(self) -> F64:
        """All samples, shape (samples, neurons)."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        return self.chunks[0] if self.chunks else np.empty((0, self.indices.size))


class Recorder(floor.Recorder):
    """Takes what the engine gives it."""

    _simulator = _simulator

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._probes: dict[str, list[Probe]] = {}
        self._spikes: list[tuple[Any, Any]] = []

    @property
    def records_spikes(self) -> bool:
        """Whether spikes of any neuron are wanted."""
        return self.indices(floor.SPIKES).size > 0

    def held(self) -> int:
        """Bytes of what was recorded."""
        chunks = (chunk for probe in self.probes() for chunk in probe.chunks)
        arrays = (*chunks, *(column for spikes in self._spikes for column in spikes))
        return sum(int(array.nbytes) for array in arrays)

    def drop(self) -> None:
        """Forget what was recorded until now, which has been read."""
        self._spikes = []
        for probe in self.probes():
            probe.drop(_simulator.state.step)

    # --- what the floor asks for ------------------------------------------------------------------

    def spikes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps and indices of all spikes since the start or the last clearing, by step."""
        if len(self._spikes) != 1:
            empty = (np.empty(0, np.int64), np.empty(0, np.int64))
            columns = zip(empty, *self._spikes, strict=True)
            steps, neurons = (np.concatenate(c, dtype=np.int64) for c in columns)
            self._spikes = [(steps, neurons)]
        return self._spikes[0]

    def samples(self, variable: str) -> tuple[int, F64]:
        """Those of all probes, aligned."""
        indices, probes = self.indices(variable), self._probes.get(variable, [])
        probes = [probe for probe in probes if probe.first is not None]
        first = min((probe.first for probe in probes if probe.first is not None), default=0)
        shifts = [(probe.first or 0) - first for probe in probes]
        n = [s // p.interval + len(p.samples()) for s, p in zip(shifts, probes, strict=True)]
        values = np.full((max(n, default=0), indices.size), np.nan)
        for shift, probe in zip(shifts, probes, strict=True):
            rows = slice(shift // probe.interval, shift // probe.interval + len(probe.samples()))
            values[rows, np.searchsorted(indices, probe.indices)] = probe.samples()
        return first, values

    def changed(self, variable: str, indices: NDArray[np.int64]) -> None:
        """A probe for the neurons that are new."""
        if variable != floor.SPIKES:
            probe = Probe(self.population, variable, indices)
            self._probes.setdefault(variable, []).append(probe)
            self._take_present([probe])

    def forget(self) -> None:
        """Drop what was recorded; the present values will be the first samples."""
        _simulator.state.touch("a recording")
        self._spikes = []
        for probe in self.probes():
            probe.forget()
        self._take_present(self.probes())

    def _take_present(self, probes: list[Probe]) -> None:
        """The first sample; before a run, the engine takes it, of what is initial then."""
        if _simulator.state.running:
            state = self.population.engine_state()
            for probe in probes:
                probe.begin(_simulator.state.step, state)

    def _reset(self) -> None:
        super()._reset()
        self._probes = {}
        self.forget()

    # --- what the engine calls --------------------------------------------------------------------

    def mark_spikes(self, recorded: NDArray[np.bool_]) -> None:
        """Mark the neurons whose spikes are wanted."""
        recorded[self.indices(floor.SPIKES)] = True

    def probes(self) -> list[Probe]:
        """All variables that are to be sampled."""
        return [probe for probes in self._probes.values() for probe in probes]

    def add_spikes(self, steps: Any, neurons: Any) -> None:
        """Take spikes, by step."""
        self._spikes.append((steps, neurons))

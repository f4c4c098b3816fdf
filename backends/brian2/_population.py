"""Populations: parameters and initial values are kept until the network is lowered."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

import numpy as np

from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.pynn import population as floor
from portable_cortex.pynn import recorder
from portable_cortex.support import refusal

from . import _simulator
from ._cells import CELL_TYPES, check_mode
from ._groups import Array
from ._handover import initial_values

state = _simulator.state


class Recorder(recorder.Recorder):
    """Asks the running program for what it recorded, and keeps that of those before it."""

    _simulator = _simulator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spikes: list[tuple[Array, Array]] = []
        self._samples: dict[str, list[tuple[Array, Array, Array]]] = {}

    @property
    def common_interval(self) -> int:
        """Steps between samples, or a part, so that they are at multiples of it from time 0."""
        return gcd(self.interval, self.sampling_start)

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """See PyNN; refused before PyNN takes note of it."""
        state.touch("a recording")
        super().record(variables, ids, *args, **kwargs)

    def get(
        self,
        variables: Any,
        gather: bool = False,
        filter_ids: Any = None,
        clear: bool = False,
        **kwargs: Any,
    ) -> Any:
        """See PyNN."""
        if clear and (state.step - self.sampling_start) % self.interval:
            state.touch("the times of samples by get_data(clear=True)")
        return super().get(variables, gather, filter_ids, clear, **kwargs)

    def spikes(self) -> tuple[Array, Array]:
        """Steps and indices, by step."""
        pieces = list(self._spikes)
        recorded = self.indices("spikes")
        if state.program is not None and recorded.size:
            steps, neurons = state.program.spikes(self.population)
            own = np.isin(neurons, recorded)
            pieces.append((steps[own], neurons[own]))
        empty = np.empty(0, np.int64)
        steps, neurons = (np.concatenate(c) for c in zip((empty, empty), *pieces, strict=True))
        return steps, neurons

    def _pieces(self, variable: str) -> list[tuple[Array, Array, Array]]:
        """Steps, cells and samples of each network that there was."""
        pieces = list(self._samples.get(variable, ()))
        if not self.indices(variable).size:
            return pieces
        if state.program is not None:
            pieces.append(state.program.signal(self.population, variable))
        elif state.step == (0 if state.handover is None else state.handover.step):
            pieces.append(self._at_rest(variable, self.indices(variable)))
        return pieces

    def _at_rest(self, variable: str, cells: Array) -> tuple[Array, Array, Array]:
        """The present sample, while there is no network."""
        population = self.population
        values = initial_values(population, state).get(variable)
        now = np.zeros(cells.size) if values is None else values[cells]
        return np.array([state.step]), cells, now[None] / population.celltype.scales[variable]

    def samples(self, variable: str) -> tuple[int, Array]:
        """First step, and samples of all recorded cells."""
        cells, interval, start = self.indices(variable), self.interval, self.sampling_start
        pieces = []
        for steps, index, values in self._pieces(variable):
            kept = (steps >= start) & ((steps - start) % interval == 0)
            pieces.append(((steps[kept] - start) // interval, index, values[kept]))
        rows = [row for row, _, _ in pieces if row.size]
        if not rows:
            return start, np.empty((0, cells.size))
        first, last = min(r[0] for r in rows), max(r[-1] for r in rows)
        samples = np.full((last - first + 1, cells.size), np.nan)
        # a sample that two networks took is that of the earlier
        for row, index, values in reversed(pieces):
            samples[np.ix_(row - first, np.searchsorted(cells, index))] = values
        return start + int(first) * interval, samples

    def changed(self, variable: str, indices: Array) -> None:
        """Take the present sample: between runs the state may be set after it."""
        if variable != recorder.SPIKES and state.running and state.program is None:
            self._samples.setdefault(variable, []).append(self._at_rest(variable, indices))

    def forget(self) -> None:
        """Drop what was kept."""
        self._spikes, self._samples = [], {}
        for variable in self.variables():
            self.changed(variable, self.indices(variable))

    def keep(self) -> None:
        """Take what the program recorded, since it ends."""
        if state.program is None or not self.recorded:
            return
        self._spikes = [self.spikes()]
        variables = set(self.variables()) - {"spikes"}
        self._samples = {name: self._pieces(name) for name in variables}


class Assembly(floor.Assembly):
    __doc__ = floor.Assembly.__doc__
    _simulator = _simulator


class PopulationView(floor.PopulationView):
    __doc__ = floor.PopulationView.__doc__
    _simulator = _simulator
    _assembly_class = Assembly


PopulationView._view_class = PopulationView


class Population(floor.Population):
    __doc__ = floor.Population.__doc__
    _simulator = _simulator
    _recorder_class = Recorder
    _assembly_class = Assembly
    _view_class = PopulationView

    def can_have(self, celltype: Any) -> bool:
        """Whether this is a cell type of this backend."""
        is_written = isinstance(celltype, NeuronType) and hasattr(celltype, "weight_unit")
        return is_written or isinstance(celltype, tuple(CELL_TYPES.values()))

    def check(self, parameters: Mapping[str, Array]) -> None:
        """Besides what holds everywhere: a source fires at most once a step."""
        super().check(parameters)
        if isinstance(self.celltype, NeuronType):
            check_mode(type(self.celltype).__name__)
        if "spike_times" in parameters:
            steps, cells = floor.scheduled(parameters["spike_times"], state.dt)
            twice = (np.diff(steps) == 0) & (np.diff(cells) == 0)
            if twice.any():
                raise refusal(
                    "brian2",
                    "spikes-in-one-step",
                    f"let a SpikeSourceArray fire twice at {steps[1:][twice][0] * state.dt:g} ms, "
                    f"within a step of {state.dt:g} ms",
                    "Use several sources, or a shorter time step",
                )

    def take_parameters(self, changed: Mapping[str, Any]) -> None:
        """Alpha-shaped synapses keep their slope."""
        kept = {} if state.handover is None else state.handover.variables.get(id(self), {})
        if not isinstance(self.celltype, NeuronType):
            floor.keep_slopes(kept, self.parameters, changed)
        super().take_parameters(changed)

    def take_initial(self, variable: str, own: Any, values: Any) -> None:
        """Values hold at once, too, when a network has been running."""
        super().take_initial(variable, own, values)
        if state.handover is not None and id(self) in state.handover.variables:
            scale = self.celltype.scales[variable]
            state.handover.variables[id(self)][variable][own] = values * scale

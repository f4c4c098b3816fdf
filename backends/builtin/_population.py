"""Populations: parameters and state as arrays, which the engine borrows while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.pynn import population as floor

from . import _cells, _simulator
from ._recorder import Recorder

F64 = NDArray[np.float64]
SOURCES = (_cells.SpikeSourcePoisson, _cells.SpikeSourceArray)


Assembly, PopulationView = floor.views(_simulator)


class Population(floor.Population):
    __doc__ = floor.Population.__doc__
    _simulator = _simulator
    _recorder_class = Recorder
    _assembly_class = Assembly
    _view_class = PopulationView

    _constants: tuple[tuple[float, bool], F64] | None = None  # they take time

    def can_have(self, celltype: Any) -> bool:
        """Whether the engine has a model of it."""
        return hasattr(celltype, "model") or isinstance(celltype, SOURCES)

    def state_variables(self) -> tuple[str, ...]:
        """Those of the model, in the engine's order."""
        return () if self.is_source else tuple(self.celltype.model.variables)

    @property
    def is_source(self) -> bool:
        """Whether these are spike sources."""
        return isinstance(self.celltype, SOURCES)

    def made(self) -> None:
        """The state begins with the initial values."""
        self.restore_initial_values()

    def take_initial(self, variable: str, own: Any, values: Any) -> None:
        """They hold at once."""
        super().take_initial(variable, own, values)
        self.state[variable][own] = values

    # --- what the engine asks for -----------------------------------------------------------------

    def take_parameters(self, changed: Mapping[str, Any]) -> None:
        """Constants are others now."""
        super().take_parameters(changed)
        self._constants = None

    def constants(self, step: float, each: bool) -> F64:
        """Constants of the engine: one column if all cells have the same, unless `each`."""
        if self._constants is None or self._constants[0] != (step, each):
            self._constants = (step, each), self._computed_constants(step, each)
        return self._constants[1]

    def _computed_constants(self, step: float, each: bool) -> F64:
        rows = self.celltype.model.constants(self.parameters, step)
        table = np.array([np.broadcast_to(row, self.size) for row in rows], float)
        if not each and np.all(table == table[:, :1]):
            table = table[:, :1]
        return np.ascontiguousarray(table)

    def refractory_steps(self, step: float) -> int:
        """The longest refractory time."""
        longest = int(self.celltype.model.longest(self.parameters, step))
        return max(longest, int(np.max(self.refractory, initial=0)))

    def sources(self, variable: str) -> tuple[str, ...]:
        """State variables that one which can be recorded is computed from."""
        # what comes from parameters alone is sampled with some variable, as often as all are
        return tuple(self.celltype.sources(variable)) or tuple(self.state)[:1]

    def computed(self, variable: str, own: Any, state: dict[str, F64]) -> F64:
        """Such a variable of some cells, from those."""
        parameters = {name: values[own] for name, values in self.parameters.items()}
        step = self._simulator.state.dt
        return np.asarray(self.celltype.computed(variable, parameters, step, state))

    def scale(self, variable: int) -> F64:
        """What the engine's values of a variable are to be multiplied with."""
        scale = self.celltype.model.scales(self.parameters, self._simulator.state.dt)[variable]
        return np.broadcast_to(scale, self.size)

    def centre(self, variable: int) -> F64:
        """What is to be added to them, after that."""
        centre = self.celltype.model.centres(self.parameters)[variable]
        return np.broadcast_to(centre, self.size)

    def engine_state(self) -> F64:
        """State variables in the engine's form, shape (variables, size)."""
        return np.array(
            [(v - self.centre(k)) / self.scale(k) for k, v in enumerate(self.state.values())]
        )

    def take_state(self, own: slice, block: F64, refractory: NDArray[np.int32]) -> None:
        """Take back what the engine changed."""
        for number, name in enumerate(self.state):
            scale, centre = self.scale(number)[own], self.centre(number)[own]
            self.state[name][own] = block[number] * scale + centre
        self.refractory[own] = refractory

    def restore_initial_values(self) -> None:
        """As it was before the first step."""
        self.state = {name: values.copy() for name, values in self.initial.items()}
        self.refractory = np.zeros(self.size, np.int32)

    def most_simultaneous(self) -> int:
        """The largest number of spikes of an array source in one step."""
        steps, cells = self.scheduled()
        if not steps.size:
            return 1
        return int(np.unique(np.stack([steps, cells]), axis=1, return_counts=True)[1].max())

"""PyNN's current sources: each says in which steps its current changes, and to what."""

from __future__ import annotations

from typing import Any

import numpy as np

from portable_cortex.pynn import currents
from portable_cortex.support import refusal

from ._cells import GridCell
from ._pynn import h, pynn_electrodes
from ._state import state


class _Clamps:
    """Passes a waveform on to the cells: all share two vectors of NEURON's.

    Mix it into a `CurrentSource`.
    """

    waveform: Any  # the floor's, as what follows
    take: Any

    def __init__(self, **parameters: Any) -> None:
        self._clamps: dict[Any, list[Any]] = {}
        self._levels = h.Vector(), h.Vector()
        super().__init__(**parameters)

    def inject_into(self, cells: Any, location: Any = None) -> None:
        """Inject into cells, once into each; see PyNN."""
        cells = currents.cells_of(cells)
        for kind in {type(cell.celltype) for cell in cells}:
            if not getattr(kind.model, "takes_current", True):
                raise refusal(
                    "neuron",
                    "nestml: currents",
                    f"inject a current into {kind.__name__}",
                    "Give the model an input of its own: i_inject nA <- continuous",
                )
        super().inject_into(cells)  # type: ignore[misc]
        for cell in cells:
            if cell.local and cell not in self._clamps:
                self._clamps[cell] = list(self._new_clamps(cell, location))

    def _new_clamps(self, cell: Any, location: Any) -> Any:
        model = cell._cell
        if isinstance(model, GridCell):
            yield self._clamp(model.source_section(0.5), model.source._ref_i_stim, kept=1)
            return
        injection = pynn_electrodes.NeuronCurrentSource.__new__(pynn_electrodes.DCSource)
        injection._h_iclamps = pynn_electrodes.defaultdict(list)
        injection.cell_list, injection._devices = [], []
        pynn_electrodes.NeuronCurrentSource.inject_into(injection, [cell], location)
        for device in injection._devices:
            device.delay, device.dur, device.amp = 0.0, 1e12, 0.0
            yield self._clamp(device.get_segment(), device._ref_amp, kept=0), device

    def _clamp(self, segment: Any, target: Any, kept: int) -> Any:
        clamp = h.GridClamp(segment)
        clamp.grid, clamp.kept = state.dt, kept
        h.setpointer(target, "target", clamp)
        clamp.play(*self._levels)
        return clamp

    def prepare(self, first: int, last: int) -> None:
        """Let the cells know the current in the steps from `first` to before `last`."""
        current = self.waveform(first, last)
        self.take(current)
        changes = np.flatnonzero(np.diff(current, prepend=np.nan))  # the first one is one
        levels = h.Vector((changes + first).astype(float)), h.Vector(current[changes])
        for clamps in self._clamps.values():
            for clamp in clamps:
                (clamp[0] if isinstance(clamp, tuple) else clamp).play(*levels)
        self._levels = levels

    def release(self) -> None:
        """Free what NEURON holds."""
        self._clamps.clear()


CURRENT_SOURCES = {
    name: type(name, (_Clamps, source), {"__doc__": source.__doc__})
    for name, source in currents.classes(state).items()
}

"""Current sources: NEST's step generators, told before each run what to send.

What a generator sends arrives after its delay, so that what it sent before a run (*on its way*)
cannot be changed any more, and nothing of it arrives in the first steps of a network. The
difference between that and what shall flow in these steps is added to the neurons' own constant
current, step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._pynn import nest

F64 = NDArray[np.float64]
PICO = 1e3  # from PyNN's nA to NEST's pA
LONGEST = 1 << 18  # steps that are planned at a time


class _Line:
    """A generator, and the neurons that it was connected to at one time.

    Parameters
    ----------
    source : CurrentSource
    cells : list of int
        Node numbers.
    delay : int
        Of the generator, in steps.
    timestep : float
        ms.
    """

    def __init__(self, source: Any, cells: list[int], delay: int, timestep: float) -> None:
        self.source, self.timestep, self.delay = source, timestep, delay
        self.cells = np.array(cells, np.int64)
        self.on_its_way = np.zeros(delay + 1)  # pA, in the next steps
        self._level = 0.0  # what the generator sends
        self._device = nest.Create("step_current_generator")
        spec = {"delay": round(delay * timestep, 9)}
        nest.Connect(self._device, nest.NodeCollection(cells), "all_to_all", spec)

    def plan(self, first: int, last: int) -> F64:
        """Tell the generator what is to flow in these steps; gives what is missing at first."""
        n, ahead = last - first, self.on_its_way.size
        wanted = np.asarray(self.source.waveform(first, last + ahead), float) * PICO
        missing = wanted[:ahead] - self.on_its_way
        values = wanted[ahead:]
        before = np.concatenate([[self._level], values[:-1]])
        changes = np.flatnonzero(values != before)
        # what is to flow from a step on is sent `delay` steps before
        times = np.round((first + ahead + changes - self.delay) * self.timestep, 9)
        self._device.set(amplitude_times=times.tolist(), amplitude_values=values[changes].tolist())
        if values.size:
            self._level = float(values[-1])
        self.on_its_way = np.concatenate([self.on_its_way, values])[n : n + ahead]
        return missing[:n]


class Currents:
    """All current sources of a network."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._corrected: Any = None  # neurons whose own current is changed, and what it is

    def connect(self, sources: list[Any], delay: int, timestep: float) -> None:
        """Connect what was injected since the last run."""
        for source in sources:
            known = [cell for line in self._lines if line.source is source for cell in line.cells]
            new = sorted(set(source.cells) - set(known))
            if new:
                self._lines.append(_Line(source, new, delay, timestep))

    def plan(self, first: int, last: int) -> dict[int, tuple[Any, F64]]:
        """Prepare the steps from `first` to ``last - 1``.

        Returns
        -------
        dict of int to (NodeCollection, array)
            Neurons and their own current (pA) from a step on.
        """
        missing = [(line, line.plan(first, last)) for line in self._lines]
        missing = [(line, values) for line, values in missing if np.any(values)]
        if not missing:
            return {}
        cells = np.unique(np.concatenate([line.cells for line, _ in missing]))
        nodes = nest.NodeCollection(cells)
        mask = np.atleast_1d(np.asarray(nodes.local))
        if not mask.any():
            return {}
        cells, nodes = cells[mask], nodes[mask] if mask.size > 1 else nodes
        own = np.atleast_1d(np.asarray(nodes.get("I_e"), float))
        extra = np.zeros((max(values.size for _, values in missing) + 1, cells.size))
        for line, values in missing:
            extra[: values.size, np.isin(cells, line.cells)] += values[:, np.newaxis]
        steps = [0, *(np.flatnonzero(np.any(np.diff(extra, axis=0) != 0, axis=1)) + 1).tolist()]
        return {first + step: (nodes, own + extra[step]) for step in steps}


def set_own_current(nodes: Any, values: F64) -> None:
    """Set the constant current of neurons, pA."""
    nodes.set([{"I_e": value} for value in values.tolist()])

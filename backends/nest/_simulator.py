"""The clock of a network in NEST.

pyNN.nest lets NEST run ahead of the program by the smallest delay, since NEST hands over the
samples of a stretch of that length (a *slice*) only as it begins the next one. What a program sets
between two runs would then hold later than it was set. Here NEST stops where the program does: the
samples of the last slice are read from the neurons themselves. Some variables cannot be read
there; where such data are asked for, NEST does go on by a slice (`State.look_ahead`).
"""

from __future__ import annotations

import math
from typing import Any

from ._pynn import nest, pynn_simulator

name = pynn_simulator.name


class ID(pynn_simulator.ID):  # type: ignore[misc]  # PyNN is untyped
    """A cell that looks up its node only when it is asked for it."""

    @property
    def node_collection(self) -> Any:
        return nest.NodeCollection([int(self)])

    @property
    def local(self) -> bool:
        return bool(self.parent._mask_local[self.parent.id_to_index(self)])


class State(type(pynn_simulator.state)):  # type: ignore[misc]  # PyNN is untyped
    """PyNN's state of NEST with another clock; the two share all attributes.

    Attributes
    ----------
    step : int
        Time, in time steps.
    least_delay, greatest_delay : float
        Limits that ``setup()`` sets, ms.
    """

    def __init__(self) -> None:
        self.__dict__ = pynn_simulator.state.__dict__
        self.begin(0.1, "auto", "auto")

    def begin(self, timestep: float, min_delay: Any, max_delay: Any) -> None:
        """Start at 0, with these arguments of ``setup()``."""
        self.step = 0
        self.timestep = float(timestep)
        self.least_delay = self.timestep if min_delay == "auto" else float(min_delay)
        self.greatest_delay = float("inf") if max_delay == "auto" else float(max_delay)
        if min_delay != "auto" and max_delay == "auto":
            self.greatest_delay = 10.0  # PyNN tells NEST so

    @property
    def t(self) -> float:
        """Time, ms."""
        return round(self.step * self.timestep, 9)

    @property
    def nest_step(self) -> int:
        """How far NEST is."""
        return round(nest.biological_time / self.timestep)

    def run(self, simtime: float) -> None:
        """Advance by `simtime` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to the point of the grid that is nearest to `tstop` ms, a half up."""
        target = max(self.step, math.floor(round(tstop / self.timestep, 6) + 0.5))
        for population in self.populations:
            if population._deferred_parrot_connections:
                population._connect_parrot_neurons()
        recorders = [recorder for recorder in self.recorders if hasattr(recorder, "begin")]
        for recorder in recorders:
            recorder.begin()
        self.running = True
        stops = {target}
        handed_over = max(self.step, self.handed_over(target))
        for recorder in recorders:
            stops |= recorder.points_to_read(handed_over, target)
        for stop in sorted(stops):
            if stop > self.nest_step:
                nest.Simulate(round((stop - self.nest_step) * self.timestep, 9))
            self.step = stop
            if self.nest_step == stop:
                for recorder in recorders:
                    recorder.read_present()

    def handed_over(self, step: int) -> int:
        """The last step whose samples NEST has handed over when it stops at `step`."""
        length = round(nest.min_delay / self.timestep)
        return max(0, step - 1 - (step - 1) % length)

    def look_ahead(self) -> None:
        """Let NEST hand over all samples up to the present.

        What is set from now on holds from where NEST is.
        """
        while self.handed_over(self.nest_step) < self.step:
            nest.Simulate(self.timestep)


state = State()

"""The state of the simulation: what was described, and the program that runs it once there is one.

A program is made from the description at the first run. What changes before it has advanced only
drops it. Between runs a network in this process (mode runtime) hands over what goes on to a new
one; a compiled program cannot, and refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.errors import SimulationError
from portable_cortex.pynn import state as floor
from portable_cortex.support import refusal

if TYPE_CHECKING:
    from . import Brian2Options
    from ._handover import Handover
    from ._program import Program

name = "Brian2"


def _silent(fraction: float | None, detail: str = "") -> None:
    """Nobody wants to know how far it is."""


class State(floor.State):
    """A network's description, its clock and its program."""

    backend = "brian2"
    options: Brian2Options
    program: Program | None = None
    handover: Handover | None = None

    def __init__(self) -> None:
        # weights of plastic projections after the end, by `id()`
        self._learned: dict[int, NDArray[np.float64]] = {}
        super().__init__()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Forget the network, and begin with a new one."""
        self.restore()
        self.compile_seconds = 0.0
        super().begin(*args, **kwargs)

    def restore(self) -> None:
        """Go back to the initial values: the network is lowered again at the next run."""
        self._drop()
        self.handover = None
        self._learned = {}

    def release(self) -> None:
        """End the program; weights stay, as all data do."""
        if self.program is not None and self.step:
            plastic = [p for p in self.projections if not p.is_static]
            self._learned = {id(p): p.present_weights() for p in plastic}
        self._drop()

    def learned(self, projection: Any, stated: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights of a plastic projection as they are now, which begin with those stated.

        Raises
        ------
        SimulationError
            If the run that changed them has failed.
        """
        if self.program is not None:
            return self.program.weights(projection, stated)
        if self.step and stated.size and id(projection) not in self._learned:
            raise SimulationError(
                f"weights of projection {projection.label} are lost with the run that failed: "
                "reset() and run again"
            )
        return self._learned.get(id(projection), stated)

    def _drop(self) -> None:
        if self.program is not None:
            self.program.close()
            self.program = None

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Called before anything changes.

        Raises
        ------
        UnsupportedError
            If a compiled program has begun to run.
        """
        if self.program is not None and self.step:
            self._check_plastic(what)
            self.handover = self.program.hand_over(self, what)
        self._drop()

    def learn(self, projection: Any, weights: NDArray[np.float64]) -> None:
        """Take other weights of a plastic projection than those that its network left."""
        if id(projection) in self._learned:
            self._learned[id(projection)] = weights

    def _check_plastic(self, what: str) -> None:
        """Raise an error where a network would have to take over plastic synapses."""
        for projection in self.projections:
            if not projection.is_static and len(projection):
                raise refusal(
                    "brian2",
                    "STDPMechanism: changes between runs",
                    f"add or change {what} at {self.t:g} ms, with plastic synapses in the network "
                    f"(projection {projection.label})",
                    "Do it before the first run, or after reset()",
                )

    def advance(self, steps: int, progress: Progress = _silent) -> None:
        """Run for a number of steps, first making the program if there is none."""
        if self.program is None:
            if self.step and self.handover is None:
                raise SimulationError("the network has come to its end(): begin with setup()")
            from ._program import start

            self.program = start(self)
            self.compile_seconds += self.program.compile_seconds
        if steps > 0:
            try:
                self.program.run(steps, progress)
            except SimulationError:  # it is no more, nor what it recorded
                self._drop()
                raise
            self.step += steps


state = State()

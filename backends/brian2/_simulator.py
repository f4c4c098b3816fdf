"""The state of the simulation, in the shape that PyNN's common code asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyNN import common

from portable_cortex.backend import Progress
from portable_cortex.errors import UnsupportedError

if TYPE_CHECKING:
    from . import Brian2Options
    from ._program import Program

name = "Brian2"


class ID(int, common.IDMixin):  # type: ignore[misc]  # PyNN is untyped
    """A cell."""


class State(common.control.BaseState):  # type: ignore[misc]
    """A network's description, and the program that runs it once there is one."""

    options: Brian2Options

    def __init__(self) -> None:
        super().__init__()
        self.mpi_rank, self.num_processes = 0, 1
        self.dt, self.seed = 0.1, 1
        self.least_delay: float | None = None  # None: that of the projections
        self.program: Program | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the network."""
        self.recorders: set[Any] = set()
        self.populations: list[Any] = []
        self.projections: list[Any] = []
        self.currents: list[Any] = []
        self.id_counter, self.segment_counter = 0, -1
        self.compile_seconds = 0.0
        self.reset()

    def reset(self) -> None:
        """Go back to time 0: the network is lowered again at the next run."""
        self._drop()
        self.running, self.steps, self.t_start = False, 0, 0
        self.segment_counter += 1

    def _drop(self) -> None:
        if self.program is not None:
            self.program.close()
            self.program = None

    def change(self, what: str) -> None:
        """Called before anything changes: between runs, Brian2's network is fixed."""
        if self.program is not None and self.steps:
            raise UnsupportedError(
                f"the brian2 backend cannot add or change {what} at {self.t:g} ms: its network is "
                "compiled at the first run; do it before, or after reset()"
            )
        self._drop()

    @property
    def min_delay(self) -> float:
        """The smallest delay that ``setup()`` was told, or that there is, ms."""
        if self.least_delay is not None:
            return self.least_delay
        steps = [int(p.delay_steps.min()) for p in self.projections if len(p)]
        return round(min(steps, default=1) * self.dt, 9)

    @property
    def t(self) -> float:
        """Time, ms."""
        return round(self.steps * self.dt, 9)

    def run(self, duration: float, progress: Progress | None = None) -> None:
        """Advance by `duration` ms; by 0, only prepare."""
        self.advance(round(duration / self.dt), progress)

    def run_until(self, time: float) -> None:
        """Advance to `time` ms."""
        self.advance(round(time / self.dt) - self.steps)

    def advance(self, steps: int, progress: Progress | None = None) -> None:
        """Advance by a number of time steps, first making the program if there is none."""
        if self.program is None:
            from ._program import start

            self.program = start(self)
            self.compile_seconds += self.program.compile_seconds
        self.running = True
        if steps > 0:
            self.program.run(steps, progress or (lambda fraction, detail="": None))
            self.steps += steps


state = State()

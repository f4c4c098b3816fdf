"""The state behind the namespace: what was built, and how far it has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyNN import common

from portable_cortex.backend import Progress

from ._compiling import compiling, say

if TYPE_CHECKING:
    from ._engine import Engine
    from ._synapses import Synapses

name = "builtin"


class ID(int, common.IDMixin):  # type: ignore[misc]  # PyNN is untyped
    """One cell: its number among all cells, in order of creation."""

    def __init__(self, n: int) -> None:
        common.IDMixin.__init__(self)


class State(common.control.BaseState):  # type: ignore[misc]
    """One network and its clock; times in ms."""

    mpi_rank = 0
    num_processes = 1

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(
        self,
        dt: float = 0.1,
        min_delay: Any = "auto",
        max_delay: Any = "auto",
        seed: int = 1,
        threads: int = 1,
    ) -> None:
        """Forget the network."""
        self.dt, self.seed, self.threads = float(dt), int(seed), int(threads)
        self.shared_seed: int | None = None
        self._min_delay = None if min_delay == "auto" else float(min_delay)
        self.max_delay = float("inf") if max_delay == "auto" else float(max_delay)
        self.recorders: set[Any] = set()
        self.write_on_end: list[Any] = []
        self.populations: list[Any] = []
        self.projections: list[Any] = []
        self.current_sources: list[Any] = []
        self.n_cells = 0
        self.step = 0
        self.running = False
        self.t_start = 0
        self.segment_counter = 0
        self.engine: Engine | None = None
        self.synapses: Synapses | None = None
        self.background: tuple[bool, ...] = ()  # projections that are not in the table
        self.history: Any = None  # spikes on their way, while there is no engine

    @property
    def least_delay(self) -> float:
        """The smallest delay that is allowed, ms."""
        return self.dt if self._min_delay is None else self._min_delay

    @property
    def min_delay(self) -> float:
        """The smallest delay that ``setup()`` was told, or that there is, ms."""
        steps = [int(p.edges.possible_steps().min()) for p in self.projections if p.edges.size]
        if self._min_delay is not None or not steps:
            return self.least_delay
        return round(min(steps) * self.dt, 9)

    @property
    def t(self) -> float:
        """Model time, ms."""
        return round(self.step * self.dt, 9)

    def add_population(self, population: Any) -> int:
        """Take in a population; gives the number of its first cell."""
        self.touch(structure=True)
        first = self.n_cells
        self.populations.append(population)
        self.n_cells += population.size
        return first

    def add_projection(self, projection: Any) -> None:
        """Take in a projection."""
        self.touch(structure=True)
        self.projections.append(projection)

    def add_current_source(self, source: Any) -> int:
        """Take in a current source; gives its number."""
        self.current_sources.append(source)
        return len(self.current_sources) - 1

    def touch(self, *, structure: bool = False) -> None:
        """Something is about to change: the populations take back what the engine holds."""
        if self.engine is not None:
            self.history = self.engine.release()
            self.engine = None
        if structure:
            self.synapses = None

    def prepare(self, progress: Progress) -> None:
        """Make the engine, unless it is there."""
        from ._engine import Engine

        if self.engine is None:
            background = tuple(projection.is_background for projection in self.projections)
            if background != self.background:
                self.background, self.synapses = background, None
            self.engine = Engine(self, progress)

    def run(self, simtime: float) -> None:
        """Advance by `simtime` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to `tstop` ms."""
        self.running = True
        if self.engine is None:
            with compiling(say):
                self.prepare(lambda fraction, detail="": None)
        assert self.engine is not None
        self.engine.run(round(tstop / self.dt) - self.step)

    def reset(self) -> None:
        """Back to time 0 and the initial values."""
        self.touch()
        self.history = None
        self.step = 0
        self.running = False
        self.segment_counter += 1
        for population in self.populations:
            population.restore_initial_values()
        for recorder in self.recorders:
            recorder.forget()


state = State()

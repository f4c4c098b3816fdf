"""The network that is being built, and its clock: what PyNN's functions ask a simulator for."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import common, errors

from ..errors import InvalidValueError, ModelError, SimulationError
from .grid import nearest_steps


class ID(int, common.IDMixin):  # type: ignore[misc]  # PyNN is untyped
    """One cell: its number among all cells, in order of creation."""

    def __init__(self, n: int) -> None:
        common.IDMixin.__init__(self)


def check_finite(population: Any, variable: str, values: Any, t: float, first: int = 0) -> None:
    """Raise `SimulationError` for cells whose equations have run away.

    Parameters
    ----------
    population : Population
    variable : str
    values : array
        Of cells of the population, one after the other.
    t : float
        Model time by which it had happened, ms.
    first : int, optional
        Which cell the first value is of.
    """
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise SimulationError(
            f"{variable} of cell {first + wrong[0]} of population {population.label} was "
            f"{np.asarray(values)[wrong[0]]} at {t:g} ms: its equations ran away; the input is too "
            "strong, or the time step too large"
        )


def check_seed(seed: Any) -> None:
    """Raise `InvalidValueError` for a seed that is no whole number from 0."""
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise InvalidValueError(f"rng_seed must be a whole number from 0, not {seed!r}")


class State(common.control.BaseState):  # type: ignore[misc]
    """One network and its clock; times in ms, and in steps of the grid.

    A backend subclasses it: `advance` runs the network, `touch` is told before anything changes,
    and `restore` puts it back to its beginning.

    Attributes
    ----------
    backend : str
        Its name, for messages.
    seed : int
        Of everything that is drawn.
    shared_seed : int or None
        Of the core's `shared` realisation, where connections are drawn from it.
    weight_format : str
        Of all weights, "full" or "bfloat16".
    trial : int
        Which realisation of the random drive this is.
    step : int
        The present.
    """

    backend: str
    mpi_rank = 0
    num_processes = 1

    def __init__(self) -> None:
        super().__init__()
        self.network = 0  # how many there have been
        self.begin()

    def begin(
        self,
        dt: float = 0.1,
        min_delay: Any = "auto",
        max_delay: Any = "auto",
        seed: int = 1,
        *,
        weights: str = "full",
    ) -> None:
        """Forget the network, and begin with a new one.

        Raises
        ------
        InvalidValueError
            For a seed that is no whole number from 0.
        """
        check_seed(seed)
        self.network += 1
        self.dt, self.seed = float(dt), seed
        self.trial = 1
        self.shared_seed: int | None = None
        self.weight_format = weights
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

    # --- what a backend does ----------------------------------------------------------------------

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Called before anything changes: `what` it is, and whether the network itself does."""
        raise NotImplementedError

    def advance(self, steps: int) -> None:
        """Run for a number of steps, from 0, and count them in `step`."""
        raise NotImplementedError

    def restore(self) -> None:
        """Go back to the initial values, with nothing on its way."""
        raise NotImplementedError

    # --- the clock --------------------------------------------------------------------------------

    @property
    def t(self) -> float:
        """Model time, ms."""
        return round(self.step * self.dt, 9)

    def run(self, simtime: float) -> None:
        """Advance by `simtime` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to the point of the grid that is nearest to `tstop` ms."""
        self.running = True
        self.advance(max(0, int(nearest_steps(tstop, self.dt)) - self.step))

    def reset(self) -> None:
        """Back to time 0 and the initial values, in a new segment."""
        self.restore()
        self.step = 0
        self.running = False
        self.segment_counter += 1
        for item in (*self.recorders, *self.current_sources):
            item.restart()

    def begin_trial(self, number: int) -> None:
        """Back to time 0 and the initial values, with another drive; no segment is kept."""
        self.trial = number
        self.reset()
        self.segment_counter = 0

    @property
    def drive_seed(self) -> int:
        """Of Poisson spikes and noise: the network's, but in trials after the first."""
        if self.trial == 1:
            return self.seed
        return int(np.random.SeedSequence([self.seed, self.trial]).generate_state(1)[0])

    # --- delays -----------------------------------------------------------------------------------

    @property
    def least_delay(self) -> float:
        """The smallest delay that is allowed, ms."""
        return self.dt if self._min_delay is None else self._min_delay

    @property
    def min_delay(self) -> float:
        """The smallest delay that ``setup()`` was told, or that there is, ms."""
        if self._min_delay is not None:
            return self._min_delay
        smallest = (p.smallest_delay() for p in self.projections)
        return min((delay for delay in smallest if delay is not None), default=self.dt)

    def check_delays(self, shortest: float, longest: float) -> None:
        """Raise PyNN's ``ConnectionError`` for delays (ms) outside what ``setup()`` was told."""
        half = 0.5 * self.dt
        if shortest < self.least_delay - half or longest > self.max_delay + half:
            raise errors.ConnectionError(
                f"delays must be from {self.least_delay:g} to {self.max_delay:g} ms, as setup() "
                f"was told, not from {shortest:g} to {longest:g} ms"
            )

    # --- the network ------------------------------------------------------------------------------

    def add_population(self, population: Any) -> int:
        """Take in a population; gives the number of its first cell."""
        self.touch("a population", structure=True)
        first = self.n_cells
        self.populations.append(population)
        self.n_cells += population.size
        return first

    def add_current_source(self, source: Any) -> int:
        """Take in a current source; gives its number."""
        self.current_sources.append(source)
        return len(self.current_sources) - 1

    def check_alive(self, *cells: Any) -> None:
        """Raise `ModelError` for populations of a network that ``setup()`` has ended."""
        for group in cells:
            for part in getattr(group, "populations", [group]):
                population = getattr(part, "grandparent", part)
                if population.network != self.network:
                    raise ModelError(
                        f"population {population.label!r} belongs to a network that setup() has "
                        "ended: make it anew, and read the data of a network before the next"
                    )

"""The clock of a network in NEST.

pyNN.nest lets NEST run ahead of the program by the smallest delay, since NEST hands over the
samples of a stretch of that length (a *slice*) only as it begins the next one. What a program sets
between two runs would then hold later than it was set. Here NEST stops where the program does: the
samples of the last slice are read from the neurons themselves. Some variables cannot be read
there; where such data are asked for, NEST does go on by a slice (`State.look_ahead`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyNN import errors

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn import state as floor
from portable_cortex.pynn.grid import nearest_steps

from . import NestBackend
from ._currents import LONGEST, Currents, set_own_current
from ._pynn import nest, pynn_simulator
from ._reset import check_reset, make_again
from ._synapse_models import SynapseModels

name = pynn_simulator.name


class ID(pynn_simulator.ID):  # type: ignore[misc]  # PyNN is untyped
    """A cell that looks up its node only when it is asked for it."""

    @property
    def node_collection(self) -> Any:
        return nest.NodeCollection([int(self)])

    @property
    def local(self) -> bool:
        return bool(self.parent._mask_local[self.parent.id_to_index(self)])


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Make NEST's refusal of what a user asked for an error of PyNN.

    Raises
    ------
    pyNN.errors.InvalidParameterValueError
    """
    try:
        yield
    except nest.NESTError as error:
        raise errors.InvalidParameterValueError(f"NEST refuses {what}: {error}") from error


class State(type(pynn_simulator.state)):  # type: ignore[misc]  # PyNN is untyped
    """PyNN's state of NEST with another clock; the two share all attributes.

    Attributes
    ----------
    step : int
        Time, in time steps.
    least_delay, max_delay : float
        Limits that ``setup()`` sets, ms.
    """

    def __init__(self) -> None:
        self.__dict__ = pynn_simulator.state.__dict__
        self.begin(0.1, "auto", "auto")

    def begin(self, timestep: float, min_delay: Any, max_delay: Any, clear: Any = None) -> None:
        """Start at 0, with these arguments of ``setup()``; `clear` empties NEST's kernel."""
        self.clear_kernel = clear
        self.step = 0
        self.n_resets = 0
        self.network = getattr(self, "network", 0) + 1
        self.shared_seed: int | None = None
        self.projections: list[Any] = []
        self.current_sources: list[Any] = []
        self.forget_connections()
        self.least_delay = float(timestep) if min_delay == "auto" else float(min_delay)
        self._longest = float("inf") if max_delay == "auto" else float(max_delay)
        self._is_auto = min_delay == "auto"
        self.seed = int(nest.rng_seed)  # of everything that is drawn

    def forget_connections(self) -> None:
        """There are none in the kernel."""
        self.synapse_models = SynapseModels(nest.total_num_virtual_procs)
        self.currents = Currents()

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Called before anything changes: NEST holds nothing back."""

    add_current_source = floor.State.add_current_source
    check_alive = floor.State.check_alive

    def check_delays(self, shortest: float, longest: float) -> None:
        """Raise an error for delays (ms) outside what ``setup()`` was told, or NEST holds to."""
        floor.State.check_delays(self, shortest, longest)
        least, most, half = float(nest.min_delay), float(nest.max_delay), 0.5 * self.dt
        if self.nest_step > 0 and (shortest < least - half or longest > most + half):
            raise UnsupportedError(
                f"on nest, delays that are set after a run must be from {least:g} to {most:g} ms, "
                f"as those before it were, not from {shortest:g} to {longest:g} ms "
                f"({NestBackend.cannot['delays-between-runs']}): give setup() the max_delay (and "
                "min_delay) that there will be"
            )

    @property
    def max_delay(self) -> float:
        """The largest delay that is allowed, ms."""
        return self._longest

    @property
    def min_delay(self) -> float:
        """The smallest delay that ``setup()`` was told, or that there is, ms."""
        return float(nest.min_delay) if self._is_auto else self.least_delay

    @property
    def t(self) -> float:
        """Time, ms."""
        return float(round(self.step * self.dt, 9))

    @property
    def nest_step(self) -> int:
        """How far NEST is."""
        return round(float(nest.biological_time) / float(self.dt))

    def run(self, simtime: float) -> None:
        """Advance by `simtime` ms."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Advance to the point of the grid that is nearest to `tstop` ms."""
        target = max(self.step, int(nearest_steps(tstop, self.dt)))
        for population in self.populations:
            if population._deferred_parrot_connections:
                population._connect_parrot_neurons()
        shortest = self.least_delay if self.nest_step == 0 else nest.min_delay
        self.currents.connect(self.current_sources, round(shortest / self.dt), self.dt)
        for recorder in self.recorders:
            recorder.begin()
        self.running = True
        while True:
            end = min(target, self.step + LONGEST) if self.current_sources else target
            self._advance(end)
            if end == target:
                break

    def _advance(self, target: int) -> None:
        start = self.nest_step
        corrections = self.currents.plan(start, target) if target > start else {}
        stops = {target, *corrections}
        handed_over = max(self.step, self.handed_over(target))
        for recorder in self.recorders:
            stops |= recorder.points_to_read(handed_over, target)
        for source in self.current_sources:
            source.take(source.waveform(self.step, target))
        for stop in sorted(stops):
            if stop > self.nest_step:
                nest.Simulate(round((stop - self.nest_step) * self.dt, 9))
            if stop in corrections:
                set_own_current(*corrections[stop])
            self.step = max(self.step, stop)
            if self.nest_step == self.step:
                for recorder in self.recorders:
                    recorder.read_present()

    def reset(self) -> None:
        """Back to time 0 and the initial values, in a new segment."""
        if self.nest_step > 0:
            check_reset(self.projections)
            self.step = 0
            make_again(self)
            self.n_resets += 1
            nest.rng_seed = (self.seed + self.n_resets - 1) % (
                2**32 - 1
            ) + 1  # other Poisson trains
        for recorder in self.recorders:
            recorder.restart()
        self.running = False
        self.segment_counter += 1

    def handed_over(self, step: int) -> int:
        """The last step whose samples NEST has handed over when it stops at `step`."""
        length = round(float(nest.min_delay) / float(self.dt))
        return max(0, step - 1 - (step - 1) % length)

    def look_ahead(self, step: int) -> None:
        """Let NEST hand over the samples of all steps up to this one.

        What is set from now on holds from where NEST is.
        """
        while self.handed_over(self.nest_step) < step:
            nest.Simulate(self.dt)


state = State()

"""The clock of a network in NEST.

pyNN.nest lets NEST run ahead of the program by the smallest delay, since NEST hands over the
samples of a stretch of that length (a *slice*) only as it begins the next one. What a program sets
between two runs would then hold later than it was set. Here NEST stops where the program does: the
samples of the last slice are read from the neurons themselves. Some variables cannot be read
there; where such data are asked for, NEST does go on by a slice (`State.look_ahead`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyNN import errors

from portable_cortex.pynn import state as floor
from portable_cortex.pynn.state import check_finite
from portable_cortex.support import refusal

from ._cells import ModelledType
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


_PyNNState: Any = type(pynn_simulator.state)


class State(floor.State, _PyNNState):  # type: ignore[misc]  # PyNN is untyped
    """The floor's clock; the rest is PyNN's state of NEST, which has the same attributes."""

    backend = "nest"
    dt = max_delay = 0.0  # in the place of the kernel's
    tempdirs: list[str]
    num_processes, mpi_rank = _PyNNState.num_processes, _PyNNState.mpi_rank

    def __init__(self) -> None:
        self.__dict__ = pynn_simulator.state.__dict__
        self.network = 0
        self.begin()

    def begin(self, *arguments: Any, clear: Any = None, **named: Any) -> None:
        """Begin with a new network; `clear` empties NEST's kernel."""
        super().begin(*arguments, **{"seed": int(nest.rng_seed), **named})
        self.clear_kernel = clear
        self.n_resets = 0
        self.forget_connections()

    def forget_connections(self) -> None:
        """There are none in the kernel."""
        self.synapse_models = SynapseModels(nest.total_num_virtual_procs)
        self.currents = Currents()

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Called before anything changes: NEST holds nothing back."""

    def release(self) -> None:
        """Remove what PyNN has in folders; what NEST holds can still be read."""
        for folder in self.tempdirs:
            shutil.rmtree(folder, ignore_errors=True)
        self.tempdirs = []

    def check_delays(self, shortest: float, longest: float) -> None:
        """Raise an error for delays (ms) outside what ``setup()`` was told, or NEST holds to."""
        super().check_delays(shortest, longest)
        least, most, half = float(nest.min_delay), float(nest.max_delay), 0.5 * self.dt
        if self.nest_step > 0 and (shortest < least - half or longest > most + half):
            raise refusal(
                "nest",
                "delays-between-runs",
                f"have delays from {shortest:g} to {longest:g} ms after a run with {least:g} to "
                f"{most:g} ms",
                "Give setup() the max_delay (and min_delay) that there will be",
            )

    @property
    def min_delay(self) -> float:
        """The smallest delay that ``setup()`` was told, or that there is, ms."""
        return float(nest.min_delay) if self._min_delay is None else self._min_delay

    @property
    def nest_step(self) -> int:
        """How far NEST is."""
        return round(float(nest.biological_time) / self.dt)

    def advance(self, steps: int) -> None:
        """Simulate for a number of steps."""
        target = self.step + steps
        for population in self.populations:
            if population._deferred_parrot_connections:
                population._connect_parrot_neurons()
        shortest = self.least_delay if self.nest_step == 0 else nest.min_delay
        self.currents.connect(self.current_sources, round(shortest / self.dt), self.dt)
        for population in self.populations:  # in the same order on all processes
            population.recorder.begin()
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
                self._simulate(stop - self.nest_step)
            if stop in corrections:
                set_own_current(*corrections[stop])
            self.step = max(self.step, stop)
            if self.nest_step == self.step:
                for recorder in self.recorders:
                    recorder.read_present()

    def _simulate(self, steps: int) -> None:
        """Let NEST simulate, and raise an error where equations ran away."""
        nest.Simulate(round(steps * self.dt, 9))
        for population in self.populations:
            celltype = population.celltype
            if isinstance(celltype, ModelledType) and celltype.ran_away():
                for variable in celltype.default_initial_values:
                    values = population.node_collection.get(celltype.variable_map[variable])
                    check_finite(population, variable, values, float(nest.biological_time))

    def restore(self) -> None:
        """Go back to the initial values, with nothing on its way."""
        if self.nest_step > 0:
            check_reset(self.projections)
            self.step = 0
            make_again(self)
            self.n_resets += 1  # with other Poisson trains
            nest.rng_seed = (self.seed + self.n_resets - 1) % (2**32 - 1) + 1

    def handed_over(self, step: int) -> int:
        """The last step whose samples NEST has handed over when it stops at `step`."""
        length = round(float(nest.min_delay) / self.dt)
        return max(0, step - 1 - (step - 1) % length)

    def look_ahead(self, step: int) -> None:
        """Let NEST hand over the samples of all steps up to this one.

        What is set from now on holds from where NEST is.
        """
        while self.handed_over(self.nest_step) < step:
            self._simulate(1)


state = State()

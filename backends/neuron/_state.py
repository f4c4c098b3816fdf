"""The network that is being built, and its clock: what lies between PyNN's functions and NEURON."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from portable_cortex.pynn.state import State, check_finite

from ._cells import forget_sections
from ._pynn import h, simulator

PIECE = 1000
"""Steps that are run at a time where samples are thinned out afterwards, to bound the memory."""


class _State(State):
    """One network at a time, as NEURON has one; `release` clears what the last one left."""

    backend = "neuron"
    num_processes = simulator.state.num_processes
    mpi_rank = simulator.state.mpi_rank

    def __init__(self) -> None:
        self.populations, self.projections, self.current_sources = [], [], []
        self._handlers = (
            h.FInitializeHandler(3, partial(self._tell_delays, as_stated=True)),
            h.FInitializeHandler(0, partial(self._tell_delays, as_stated=False)),
            h.FInitializeHandler(1, self._initialize),
        )
        super().__init__()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Free everything that NEURON holds: it would go on simulating it."""
        self.release()
        super().begin(*args, **kwargs)
        self._is_new = True

    def release(self) -> None:
        """Free what NEURON holds; what the recorders keep can still be read."""
        for projection in self.projections:
            projection.release()
        simulator.state.parallel_context.gid_clear()  # before the cells: it looks at them
        simulator.initializer.clear()
        simulator.state.gid_sources = []
        for item in (*self.current_sources, *self.populations):
            item.release()
        self.projections, self.populations, self.current_sources = [], [], []
        self._later: list[tuple[int, Callable[[], None]]] = []
        forget_sections()
        h.min_delay = -1  # PyNN keeps the last network's

    def touch(self, what: str, *, structure: bool = False) -> None:
        """NEURON takes every change at once, but for what the processes agree on."""
        self._is_new = self._is_new or structure

    # --- the clock ----------------------------------------------------------------------------

    def advance(self, steps: int) -> None:
        """Simulate for a number of steps."""
        if not simulator.state.running:
            self._start()
        elif self._is_new and self.num_processes > 1:
            self._tell_delays(as_stated=True)
            simulator.state.parallel_context.set_maxstep(simulator.state.default_maxstep)
            self._tell_delays(as_stated=False)
        self._is_new = False
        stop = self.step + steps
        for source in self.current_sources:
            source.prepare(self.step, stop)
        thinning = [recorder for recorder in self.recorders if recorder.is_thinned]
        while self.step < stop:
            last = min(stop, self.step + PIECE) if thinning else stop
            last = min([last, *(step for step, _ in self._later)])
            simulator.state.parallel_context.psolve((last + 0.25) * self.dt)
            self.step = last
            h.t = self.t  # NEURON adds up the steps, and their errors
            self._make_changes()
            for recorder in thinning:
                recorder.collect()
        simulator.state.tstop = self.t
        self.complete()
        for population in self.populations:
            for variable, values in population.generated_state():
                check_finite(population, variable, values, self.t)

    @property
    def is_changing(self) -> bool:
        """Whether something is still to be changed."""
        return bool(self._later)

    def change_later(self, steps: int, change: Callable[[], None]) -> None:
        """Let something be changed once that has arrived which takes so many steps.

        NEURON delivers what arrives at a point of the grid as it begins the step from there.
        """
        self._later.append((self.step + steps + 1, change))

    def _make_changes(self) -> None:
        due = [change for step, change in self._later if step <= self.step]
        self._later = [later for later in self._later if later[0] > self.step]
        for change in due:
            change()

    def _start(self) -> None:
        stated, h.min_delay = h.min_delay, -1  # PyNN would compare it with what NEURON is told
        simulator.state.cvode.queue_mode(not self._watches, 0)
        simulator.state._pre_run()
        h.min_delay = stated  # and take the smallest for the default of later synapses
        for recorder in self.recorders:
            recorder.begin()
        self.complete()

    def _tell_delays(self, *, as_stated: bool) -> None:
        """Let NEURON choose by the stated delays when processes exchange spikes.

        It does so as it begins. The delays that it has otherwise can be shorter than a step, which
        it does not allow there; but what is sent in a step is exchanged before the next.
        """
        if self.num_processes > 1:
            for projection in self.projections:
                projection.tell_delays(as_stated=as_stated)

    def complete(self) -> None:
        """Let happen what belongs to the present."""
        h.portable_complete(int(self._watches))

    @property
    def _watches(self) -> bool:
        """Whether there are cells whose spikes NEURON finds by watching their potential."""
        return not all(population.keeps_grid for population in self.populations)

    def restore(self) -> None:
        """Go back to the initial values, with nothing on its way."""
        for _, change in sorted(self._later, key=lambda later: later[0]):
            change()
        self._later = []
        for projection in self.projections:
            if not projection.is_static:
                for synapse in projection.connections:
                    synapse.restore()
        simulator.state.reset()

    def begin_trial(self, number: int) -> None:
        """See the floor; to go back takes random numbers, too."""
        super().begin_trial(number)
        for population in self.populations:
            population.reseed()
        for projection in self.projections:
            if not projection.is_static:
                for synapse in projection.connections:
                    synapse.reseed()

    def _initialize(self) -> None:
        # PyNN sets initial values before the mechanisms initialize themselves
        for population in self.populations:
            population.initialize_cells()


name = "NEURON"  # as PyNN's recorders say it
state = _State()

"""What runs a lowered network: Brian2 itself, or the program that it generates."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from typing import Any

import brian2
import numpy as np

from portable_cortex.backend import Progress
from portable_cortex.pynn.state import check_finite

from ._groups import MS, Array, Cells, Lowered
from ._handover import Delivery, Handover, hand_over
from ._injection import Piece
from ._lowering import lower
from ._plastic import TRANSMITTED
from ._simulator import State

brian2.BrianLogger.log_level_error()


class Program(ABC):
    """A network that can be run, and asked for what it recorded.

    Attributes
    ----------
    compile_seconds : float
        Wall-clock time of generating and compiling code.
    """

    lowered: Lowered
    compile_seconds = 0.0

    def __init__(self, state: State) -> None:
        self.dt = state.dt
        self.steps = self._end = state.step  # `_end`: of what is being run

    def run(self, steps: int, progress: Progress) -> None:
        """Advance by a number of steps."""
        injection, first = self.lowered.injection, self.steps
        for piece in injection.pieces(first, steps):
            begin, length = (piece.first - first) / steps, piece.steps / steps
            self._end = self.steps + piece.steps
            self._advance(piece, _part_of(progress, begin, length))
            self.steps = self._end
            injection.keep(piece)

    def modelled(self) -> list[tuple[Cells, str]]:
        """Variables of models in NESTML, by group."""
        return [
            (cells, variable)
            for cells in self.lowered.cells
            if hasattr(cells.populations[0].celltype, "neuron")
            for variable in cells.populations[0].celltype.default_initial_values
        ]

    def check_group(self, cells: Cells, variable: str, values: Array) -> None:
        """Raise an error where values of a variable ran away."""
        for population in cells.populations:
            first = cells.offsets[id(population)]
            own = values[first : first + population.size]
            check_finite(population, variable, own, self._end * self.dt)

    @abstractmethod
    def _advance(self, piece: Piece, progress: Progress) -> None:
        """Advance by the steps of a piece, with its currents."""

    @abstractmethod
    def values(self, owner: Any, variable: str) -> Array:
        """What a Brian2 object's variable is now."""

    @abstractmethod
    def hand_over(self, state: State, what: str) -> Handover:
        """Give back the cells and what is on its way, since something changes."""

    @abstractmethod
    def close(self) -> None:
        """Release what it holds."""

    def spikes(self, population: Any) -> tuple[Array, Array]:
        """Steps in which neurons of a population fired, and which."""
        cells = self._home(population)
        neurons = self.values(cells.spikes, "i") - cells.offsets[id(population)]
        own = (neurons >= 0) & (neurons < population.size)
        times = self.values(cells.spikes, "t")[own]
        steps = np.round(times / (self.dt * MS)).astype(np.int64) + cells.stamp
        neurons = neurons[own].astype(np.int64)
        if not cells.stamp and self.steps > self.lowered.step:  # what Brian2 will send next
            scheduled, index = population.scheduled()
            now = index[scheduled == self.steps]
            steps = np.append(steps, np.full(now.size, self.steps))
            neurons = np.append(neurons, now)
        return steps, neurons

    def signal(self, population: Any, variable: str) -> tuple[Array, Array, Array]:
        """Steps of samples, recorded cells, samples (PyNN's unit), the present included."""
        cells = self._home(population)
        interval = population.recorder.common_interval
        monitor, index = cells.signals[variable, interval]
        offset = cells.offsets[id(population)]
        own = (index >= offset) & (index < offset + population.size)
        called = cells.called(variable)
        times, samples = self.values(monitor, "t"), self.values(monitor, called)
        steps = np.round(times / (self.dt * MS)).astype(np.int64)
        samples = samples.reshape(steps.size, index.size)[:, own]
        if self.steps % interval == 0:
            now = self.values(cells.group, called)[index[own]]
            steps, samples = np.append(steps, self.steps), np.vstack([samples, now])
        return steps, index[own] - offset, samples / population.celltype.scales[variable]

    def weights(self, projection: Any, stated: Array) -> Array:
        """With which a projection's plastic synapses transmitted last; else those stated."""
        found = np.array(stated)
        for plastic in self.lowered.plastic:
            if any(of is projection for of, _ in plastic.parts):
                now = self.values(plastic.synapses, TRANSMITTED)
                ends = np.cumsum([numbers.size for _, numbers in plastic.parts])
                for (of, numbers), own in zip(plastic.parts, np.split(now, ends), strict=False):
                    if of is projection:
                        found[numbers] = own
        return found

    def _home(self, population: Any) -> Cells:
        cells = self.lowered.home(population)
        assert cells is not None  # what is recorded has a group
        return cells


def start(state: State) -> Program:
    """Lower a described network and make it ready for its first step."""
    if brian2.BrianObject.__instances__():
        gc.collect()  # Brian2 numbers its objects around those that are still there
    if state.options.mode == "runtime":
        return _Runtime(state)
    from ._standalone import Standalone

    return Standalone(state)


def _part_of(progress: Progress, begin: float, length: float) -> Progress:
    """Progress of a part of what is to be done."""
    return lambda fraction, detail="": progress(begin + (fraction or 0.0) * length, detail)


class _Network(brian2.Network):  # type: ignore[misc]  # Brian2 is untyped
    """A network whose code is generated once, not again for every call of ``run``."""

    _ready = False

    def before_run(self, run_namespace: Any) -> None:
        if not self._ready:
            super().before_run(run_namespace)
            self._ready = True


class _Runtime(Program):
    """Brian2 runs the network in this process."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        brian2.prefs.codegen.target = state.options.target
        if state.handover is None:
            brian2.seed(seed_of(state))
        self.lowered = lower(state, _Network)
        network = self.lowered.network
        if self.lowered.injection.groups:
            network.add(self._operation(self._inject, "start"))
        if state.handover is not None:
            network.t_ = state.step * self.dt * MS
            self._delivery = Delivery(state.handover.arrivals, self.lowered)
            network.add(self._operation(self._deliver, "synapses"))
        began = time.perf_counter()
        network.run(0 * brian2.ms, namespace={})
        self.compile_seconds = time.perf_counter() - began

    def _operation(self, function: Any, when: str) -> Any:
        return brian2.NetworkOperation(
            function, clock=self.lowered.clock, when=when, name=function.__name__.strip("_")
        )

    @property
    def _step(self) -> int:
        return int(self.values(self.lowered.clock, "timestep").item())

    def _deliver(self) -> None:
        self._delivery.deliver(self._step)

    def _inject(self) -> None:
        row = self._piece.table[self._step - self._piece.first]
        for cells, index, column in self.lowered.injection.groups:
            self.values(cells.group, "i_injected")[index] = row[column]

    def _advance(self, piece: Piece, progress: Progress) -> None:
        self._piece = piece
        self.lowered.network.run(
            piece.steps * self.dt * brian2.ms,
            report=lambda elapsed, completed, start, duration: progress(completed),
            report_period=0.5 * brian2.second,
            namespace={},
        )
        for cells, variable in self.modelled():
            self.check_group(cells, variable, self.values(cells.group, cells.called(variable)))

    def hand_over(self, state: State, what: str) -> Handover:
        for recorder in state.recorders:
            recorder.keep()
        return hand_over(state, self.lowered)

    def close(self) -> None:
        del self.lowered

    def values(self, owner: Any, variable: str) -> Array:
        return np.asarray(owner.variables[variable].get_value())


def seed_of(state: State) -> int:
    """Seed of a segment: another one after each reset."""
    return int(
        np.random.SeedSequence([state.drive_seed, state.segment_counter]).generate_state(1)[0]
    )

"""What runs a lowered network: Brian2 itself, or the program that it generates."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from typing import Any

import brian2
import numpy as np

from portable_cortex.backend import Progress

from ._groups import Array, Cells, Lowered
from ._injection import Piece
from ._lowering import lower
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
        self.steps = 0

    def run(self, steps: int, progress: Progress) -> None:
        """Advance by a number of steps."""
        injection, first = self.lowered.injection, self.steps
        for piece in injection.pieces(first, steps):
            done, part = (piece.first - first) / steps, piece.steps / steps
            self._advance(piece, lambda fraction, detail="": progress(done + fraction * part))
            self.steps += piece.steps
            injection.keep(piece)

    @abstractmethod
    def _advance(self, piece: Piece, progress: Progress) -> None:
        """Advance by the steps of a piece, with its currents."""

    @abstractmethod
    def values(self, owner: Any, variable: str) -> Array:
        """What a Brian2 object's variable is now."""

    @abstractmethod
    def close(self) -> None:
        """Release what it holds."""

    def spikes(self, population: Any) -> tuple[Array, Array]:
        """Neurons of a population that fired, and the time steps at whose end they did."""
        cells = self._home(population)
        neurons = self.values(cells.spikes, "i") - cells.offsets[id(population)]
        own = (neurons >= 0) & (neurons < population.size)
        times = self.values(cells.spikes, "t")[own]
        return neurons[own], np.round(times / (self.dt * 1e-3)).astype(np.int64) + cells.stamp

    def signal(self, population: Any, variable: str) -> tuple[Array, Array]:
        """Samples (steps; steps x cells, PyNN's unit), the present state included."""
        cells = self._home(population)
        interval = max(1, round(population.recorder.sampling_interval / self.dt))
        monitor, index = cells.signals[variable, interval]
        offset = cells.offsets[id(population)]
        own = (index >= offset) & (index < offset + population.size)
        times, samples = self.values(monitor, "t"), self.values(monitor, variable)
        steps = np.round(times / (self.dt * 1e-3)).astype(np.int64)
        samples = samples.reshape(steps.size, index.size)[:, own]
        if self.steps % interval == 0:
            now = self.values(cells.group, variable)[index[own]]
            steps, samples = np.append(steps, self.steps), np.vstack([samples, now])
        return steps, samples / population.celltype.scales[variable]

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
        brian2.seed(seed_of(state))
        self.lowered = lower(state, _Network)
        if self.lowered.injection.groups:
            inject = brian2.NetworkOperation(
                self._inject, clock=self.lowered.clock, when="start", name="injection"
            )
            self.lowered.network.add(inject)
        began = time.perf_counter()
        self.lowered.network.run(0 * brian2.ms, namespace={})
        self.compile_seconds = time.perf_counter() - began

    def _inject(self) -> None:
        step = self.values(self.lowered.clock, "timestep").item()
        row = self._piece.table[step - self._piece.first]
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

    def close(self) -> None:
        del self.lowered

    def values(self, owner: Any, variable: str) -> Array:
        return np.asarray(owner.variables[variable].get_value())


def seed_of(state: State) -> int:
    """Seed of a segment: another one after each reset."""
    return int(np.random.SeedSequence([state.seed, state.segment_counter]).generate_state(1)[0])

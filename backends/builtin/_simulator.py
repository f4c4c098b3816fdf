"""The state behind the namespace: what was built, and the engine that runs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from portable_cortex.backend import Progress
from portable_cortex.errors import UnsupportedError
from portable_cortex.host.compiling import say
from portable_cortex.pynn import state as floor

from ._compiling import compiling

if TYPE_CHECKING:
    from ._engine import Engine
    from ._gpu_table import Table
    from ._synapses import Arrivals, Synapses

name = "builtin"
DEVICES = ("cpu", "cuda")
PRECISIONS = {"double": np.float64, "single": np.float32}


class State(floor.State):
    """One network, and its engine while nothing changes."""

    backend = "builtin"

    def begin(
        self,
        *arguments: Any,
        threads: int = 1,
        precision: str = "double",
        device: str = "cpu",
        **named: Any,
    ) -> None:
        """Forget the network."""
        super().begin(*arguments, **named)
        self.threads = threads
        self.kind = PRECISIONS[precision]
        self.device = device
        self.engine: Engine | None = None
        self.synapses: Synapses | Table | None = None
        self.background: tuple[bool, ...] = ()  # projections that are not in the table
        self.history: Any = None  # spikes on their way, while there is no engine
        self.arrivals: Arrivals | None = None  # of those that were on their way before a change

    def touch(self, what: str, *, structure: bool = False) -> None:
        """The populations take back what the engine holds."""
        if self.engine is not None:
            self.history = self.engine.release()
            self.engine = None
        if structure and self.synapses is not None:
            if self.history:
                from ._synapses import joined

                # these spikes keep their weights and delays
                coming = self.synapses.arrivals(self.history, self.step)
                self.arrivals = joined([a for a in (self.arrivals, coming) if a is not None])
                self.history = None
            self.synapses = None

    def release(self) -> None:
        """Give the memory back; what was recorded stays."""
        self.touch("the network")
        self.synapses = None

    def prepare(self, progress: Progress) -> None:
        """Make the engine, unless it is there."""
        if self.engine is None:
            background = tuple(projection.is_background for projection in self.projections)
            if background != self.background:
                self.background, self.synapses = background, None
            self.engine = self._engine()(self, progress)

    def _engine(self) -> Callable[[State, Progress], Engine]:
        if self.device == "cuda":
            from ._gpu import OnGpu

            return OnGpu
        from ._threads import OnThreads

        return OnThreads

    def advance(self, steps: int) -> None:
        """Run for a number of steps."""
        if self.engine is None:
            with compiling(say):
                self.prepare(lambda fraction, detail="": None)
        assert self.engine is not None
        self.engine.run(steps)

    def restore(self) -> None:
        """Back to the initial values, with nothing on its way."""
        self.touch("the state")
        self.history = self.arrivals = None
        for population in self.populations:
            population.restore_initial_values()


def require_gpu() -> None:
    """Raise an error if there is no GPU, or what is needed to use it."""
    if importlib.util.find_spec("numba_cuda") is None:
        raise UnsupportedError("device=cuda needs numba-cuda: pip install portable-cortex[cuda]")
    from . import _gpu

    _gpu.n_multiprocessors()


state = State()

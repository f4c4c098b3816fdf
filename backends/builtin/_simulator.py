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
from portable_cortex.support import refusal

from ._compiling import compiling

if TYPE_CHECKING:
    from ._engine import Engine
    from ._gpu_table import Table
    from ._plastic import Table as PlasticTable
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
        self.plastic: PlasticTable | None = None  # the table of plastic synapses
        self.background: tuple[bool, ...] = ()  # projections that are not in the table
        self.history: Any = None  # spikes on their way, while there is no engine
        self.arrivals: Arrivals | None = None  # of those that were on their way before a change

    def touch(self, what: str, *, structure: bool = False) -> None:
        """The populations take back what the engine holds."""
        if self.plastic is not None and structure:
            if self.step == 0:
                self.plastic = None
            elif what == "a population":
                raise refusal(
                    "builtin",
                    "STDPMechanism: populations between runs",
                    f"make a population at {self.t:g} ms in a network with plastic synapses",
                    "Make it before the first run, or after reset()",
                )
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

    @property
    def static_projections(self) -> list[Any]:
        """Those with static synapses."""
        return [p for p in self.projections if p.is_static]

    @property
    def plastic_projections(self) -> list[Any]:
        """Those with plastic synapses."""
        return [p for p in self.projections if not p.is_static and len(p)]

    def take_off(self, what: str) -> None:
        """Let spikes that are on their way to plastic synapses arrive with their weights of now.

        Raises
        ------
        UnsupportedError
            Where these depend on spikes to come.
        """
        from ._synapses import joined

        if self.plastic is None:
            return
        if self.plastic.looks_ahead(self.step):
            raise refusal(
                "builtin",
                "STDPMechanism: weights of spikes on their way",
                f"set {what} at {self.t:g} ms, while spikes are in axons",
                "Run until they have arrived, or give the dendrite half of the delay or more",
            )
        n_receptors = max(2, *(len(p.celltype.receptor_types) for p in self.populations))
        coming = self.plastic.take_off(self.step, self.kind, n_receptors)
        self.arrivals = joined([a for a in (self.arrivals, coming) if a is not None])

    def release(self) -> None:
        """Give the memory back; what was recorded stays."""
        self.touch("the network")
        self.synapses = None

    def prepare(self, progress: Progress) -> None:
        """Make the engine, unless it is there."""
        if self.engine is None:
            self._check_time_constants()
            background = tuple(projection.is_background for projection in self.projections)
            if background != self.background:
                self.background, self.synapses = background, None
            self.engine = self._engine()(self, progress)

    def _check_time_constants(self) -> None:
        """Look whether those that plastic synapses have are still the targets'."""
        if self.plastic is None:
            return
        for projection, used in zip(
            self.plastic_projections, self.plastic.time_constants, strict=True
        ):
            if used.size and np.any(projection.time_constants(projection.stored().targets) != used):
                if self.step == 0:
                    self.plastic = None
                    return
                raise refusal(
                    "builtin",
                    "STDPMechanism: parameters between runs",
                    f"set a synaptic time constant of the targets of projection "
                    f"{projection.label} at {self.t:g} ms",
                    "Set it before the first run, or after reset()",
                )

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
        self.history = self.arrivals = self.plastic = None
        for population in self.populations:
            population.restore_initial_values()


def require_gpu() -> None:
    """Raise an error if there is no GPU, or what is needed to use it."""
    if importlib.util.find_spec("numba_cuda") is None:
        raise UnsupportedError("device=cuda needs numba-cuda: pip install portable-cortex[cuda]")
    from . import _gpu

    _gpu.n_multiprocessors()


state = State()

"""The contract between the core and a backend.

A backend gives a PyNN namespace in which networks are built at its simulator's native speed, and
says what it can do. Everything else has a default that works with any PyNN simulator; a backend
overrides what its simulator does better.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import BackendUnavailableError, UnsupportedError
from .host import parallel
from .options import BackendOptions
from .power.energy import Energy as Energy
from .recording import Signal, Spikes, by_time


class Progress(Protocol):
    """Told how far a phase is."""

    def __call__(self, fraction: float | None, detail: str = "", /) -> None:
        """Done is this much, from 0 to 1, or nobody knows how much; `detail` says what goes on."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do. The core refuses what is not here before it builds anything.

    Attributes
    ----------
    arithmetic : str
        Number format of the neurons' state, e.g. ``"float64"``.
    timesteps : tuple of float
        Smallest and largest time step, ms.
    delays : tuple of float
        Smallest delay as a multiple of the time step, and the largest in ms.
    weights : str
        Number format of a synaptic weight.
    cell_types : tuple of str
        PyNN's standard cell types, spike sources included.
    current_sources, synapse_types : tuple of str
        The same for what PyNN injects and connects with.
    largest_weight : float
        nA or uS; what is larger cannot be held.
    drives : tuple of str
        Background drives of PD14: ``"poisson"``, ``"dc"``.
    realisations : tuple of str
        ``"native"`` (its own random numbers) and ``"shared"`` (the core's).
    dynamics : bool
        False where spikes do not come from membrane equations.
    weight_formats : tuple of str
        Values of the option ``weights`` that its own projections follow. In the ``shared``
        realisation all are possible: the core hands over weights that are rounded already.
    """

    arithmetic: str
    timesteps: tuple[float, float]
    delays: tuple[int, float]
    weights: str
    cell_types: tuple[str, ...]
    current_sources: tuple[str, ...] = (
        "DCSource",
        "StepCurrentSource",
        "ACSource",
        "NoisyCurrentSource",
    )
    synapse_types: tuple[str, ...] = ("StaticSynapse",)
    largest_weight: float = sys.float_info.max
    drives: tuple[str, ...] = ("poisson", "dc")
    realisations: tuple[str, ...] = ("native", "shared")
    dynamics: bool = True
    weight_formats: tuple[str, ...] = ("full",)


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be used here; ``install`` is the command that would make it so."""

    available: bool
    version: str | None
    install: str


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that the module would be in
        return False


class Rate(NamedTuple):
    """Mean rate of a population, where there are no spikes to count.

    Attributes
    ----------
    value, error : float
        spikes/s: the rate, and its standard error.
    """

    value: float
    error: float


class Backend(ABC):
    """One simulator or machine behind the PyNN description.

    A subclass sets the class variables and implements `simulator`; ``docs/backends.md`` shows a
    complete one. An instance serves one run.

    Examples
    --------
    >>> from portable_cortex.registry import load_backend
    >>> load_backend("mock").availability().available
    True
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    #: what this backend cannot do, with the reason: by the name of a type of PyNN's or of a kind of
    #: them, a row of docs/semantics.md, or what contract tests need; after a colon, a part of that.
    #: `portable_cortex.support.refusal` makes the error of it
    cannot: ClassVar[Mapping[str, str]] = {}
    #: distributions whose versions belong into a run's record; the first is the simulator
    distributions: ClassVar[tuple[str, ...]] = ()
    #: module whose presence says that the simulator is installed
    module: ClassVar[str | None] = None
    #: what pip installs to make the backend available
    requirement: ClassVar[str] = "portable-cortex"
    Options: ClassVar[type[BackendOptions]] = BackendOptions
    #: whether Ctrl-C during `simulate` leaves a network whose recordings can be read
    interruptible: ClassVar[bool] = False
    #: whether a run can be written while it goes on, and be resumed: then `simulate` stands still
    #: while it reports progress, and there are `held`, `drop`, `state` and `restore`
    resumable: ClassVar[bool] = False
    #: whether a network can begin again, with another random drive: then there is `begin_trial`
    repeats: ClassVar[bool] = False
    #: False where there are rates and no spikes: then there is `rate`
    spiking: ClassVar[bool] = True

    def availability(self) -> Availability:
        """Say whether the simulator is installed, without importing it."""
        install = f"pip install '{self.requirement}'"
        if self.module is not None and not _is_installed(self.module):
            return Availability(False, None, install)
        version = None
        if self.distributions:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                version = importlib.metadata.version(self.distributions[0])
        return Availability(True, version, install)

    def require(self) -> None:
        """Raise `BackendUnavailableError` unless the simulator is installed."""
        found = self.availability()
        if not found.available:
            raise BackendUnavailableError(
                f"backend {self.name!r} needs {self.module}, which is not installed: run "
                f"{found.install}"
            )

    def largest_delay(self) -> float:
        """The longest delay of a synapse that is not refused before anything is built, ms."""
        return self.capabilities.delays[1]

    def check_options(self, options: Any) -> None:  # noqa: B027  # most backends can run anywhere
        """Raise an error for options with which nothing runs from here.

        A job is not asked: where it is, they may be right.

        Raises
        ------
        UnsupportedError
            With what to do.
        """

    def check_processes(self) -> None:
        """Raise an error unless the processes that mpirun started can share one network.

        Raises
        ------
        UnsupportedError
            If each of them would simulate a network of its own.
        """
        raise UnsupportedError(
            f"backend {self.name!r} runs in one process, and mpirun started "
            f"{parallel.processes()}, each of which would simulate the same network: start it "
            "without mpirun"
        )

    takes_neurons: ClassVar[bool] = False
    """Whether the namespace has ``nestml_cell_type``."""

    def neuron_code(self, celltype: Any) -> str:
        """What is written for a neuron model, given its type (`portable_cortex.neurons.celltype`).

        Raises
        ------
        UnsupportedError
            For a model that the backend cannot have.
        """
        raise UnsupportedError(f"backend {self.name!r} takes no neuron models in NESTML")

    @abstractmethod
    def simulator(self, options: Any) -> Any:
        """The PyNN namespace; its ``setup()`` starts from `options` (of type ``Options``)."""

    def setup(self, sim: Any, *, timestep: float, seed: int) -> None:
        """Make the simulator ready for one network."""
        sim.setup(timestep=timestep, rng_seed=seed)

    def prepare(self, sim: Any, progress: Progress) -> None:
        """Do what the simulator leaves to do between the network and its first step."""
        sim.run(0)

    def interval(self, sim: Any) -> int:
        """Time steps at whose multiples a run may be cut, and gives what it gives in one piece."""
        return 1

    def simulate(self, sim: Any, duration: float, progress: Progress) -> None:
        """Advance by `duration` ms, reporting progress about twice a second."""
        step, interval = sim.get_time_step(), self.interval(sim)
        start = sim.get_current_time()
        n_steps, done, slice_ = round(duration / step), 0, 10
        before = round(start / step)
        while done < n_steps:
            done += slice_
            done = min(done + -(before + done) % interval, n_steps)
            began = time.perf_counter()
            sim.run_until(round(start + done * step, 9))
            wall = max(time.perf_counter() - began, 1e-6)
            slice_ = max(1, int(slice_ * min(8.0, max(0.5, 0.5 / wall))))
            slice_ = parallel.of_first(slice_)  # clocks differ; all must take the same steps
            progress(done / n_steps)

    def spikes(self, population: Any) -> Spikes:
        """All spikes of a population since the start, neurons counted from 0."""
        segment = population.get_data("spikes").segments[-1]
        trains = segment.spiketrains
        sizes = [len(train) for train in trains]
        neurons = np.repeat([int(train.annotations["source_index"]) for train in trains], sizes)
        times = np.concatenate([train.rescale("ms").magnitude for train in trains] or [[]])
        return by_time(times, neurons)

    def signal(self, population: Any, variable: str) -> Signal:
        """Samples of a variable since the start, from the population's recorded neurons."""
        segment = population.get_data(variable).segments[-1]
        found = segment.filter(name=variable)[0]
        return Signal(
            np.asarray(found.magnitude, dtype=float),
            np.asarray(found.array_annotations["channel_index"], dtype=np.int64),
            float(found.t_start.rescale("ms").magnitude),
            float(found.sampling_period.rescale("ms").magnitude),
            found.units.dimensionality.string,
        )

    def rate(self, population: Any) -> Rate:
        """Mean rate of a population, where there are no spikes."""
        raise NotImplementedError

    def held(self, population: Any) -> int:
        """Bytes that are kept of what was recorded, about."""
        raise NotImplementedError

    def drop(self, population: Any) -> None:
        """Forget what was recorded until now: it has been read. Recording goes on."""
        raise NotImplementedError

    def state(self, sim: Any) -> Mapping[str, NDArray[Any]]:
        """All that the future depends on beside the network, and by what to know that again."""
        raise NotImplementedError

    def restore(self, sim: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a state, after `prepare`: nothing is recorded of the time before.

        Raises
        ------
        UnsupportedError
            If it is that of another network, or of another version of the simulator.
        """
        raise NotImplementedError

    def begin_trial(self, sim: Any, number: int) -> None:
        """Back to time 0 and the initial values; Poisson spikes and noise are those of a trial.

        They depend on the seed and the number of the trial alone; those of trial 1 are the ones
        that the network has without this. On the floor (`portable_cortex.pynn`) the state does it.
        """
        sim.state.begin_trial(number)

    def phases(self) -> Mapping[str, float]:
        """Wall-clock seconds of phases that only the backend can see, by name."""
        return {}

    def energy(self) -> Energy | None:
        """The machine's own figure for the simulate phase, where it has one."""
        return None

    @property
    def simulates(self) -> bool:
        """False where a network is built and nothing runs: then there is nothing to record."""
        return True

    def details(self) -> Mapping[str, Any]:
        """What the machine reports about the run besides, as JSON can hold it; for ``run.json``."""
        return {}

    def doubts(self) -> Sequence[str]:
        """What the machine did not do as described, so that the result is not to be trusted."""
        return ()

    def end(self, sim: Any) -> None:
        """Release what the simulator holds."""
        sim.end()

"""One run: a model, a backend, a machine, a seed, a warm-up and a duration -> a `Recording`."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from .backend import Backend, BackendOptions
from .errors import (
    InvalidValueError,
    OutputError,
    PortableCortexError,
    SimulationError,
    UnknownNameError,
    UnsupportedError,
)
from .host import interruption, parallel, provenance
from .host.cache import find_matplotlib_a_folder
from .host.clock import Clock
from .machine import DEFAULT_MACHINE, Machine, load_machine
from .models.loader import Model, load_model
from .models.user_code import describe, is_asked_to_end, located, shown
from .power import Metering, metered
from .pynn.watching import Network, build_network
from .recording import Recording, Signal, Spikes, to_json
from .registry import DEFAULT_BACKEND, load_backend

T = TypeVar("T")

REALISATIONS = ("native", "shared")

find_matplotlib_a_folder()  # before a simulator imports it


class Reporter(Protocol):
    """Told what a run is doing; `progress.ConsoleReporter` shows it in a terminal."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Phase `name` has come to `detail`, or to this fraction of its work."""


class _Silent:
    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        pass


@dataclass(frozen=True)
class RecordRequest:
    """Record `variable` from the first `count` neurons of `population`."""

    variable: str
    population: str
    count: int

    @classmethod
    def parse(cls, text: str) -> RecordRequest:
        """Read ``variable:population[:count]``; the count is 10 unless given.

        Raises
        ------
        InvalidValueError
            For anything else.

        Examples
        --------
        >>> RecordRequest.parse("v:L4E:5")
        RecordRequest(variable='v', population='L4E', count=5)
        """
        variable, _, rest = text.partition(":")
        population, _, count = rest.partition(":")
        if not variable or not population or not (count or "10").isdecimal() or count == "0":
            raise InvalidValueError(
                f"what to record is written variable:population:count, e.g. v:L4E:10, not {text!r}"
            )
        return cls(variable, population, int(count or 10))

    def __str__(self) -> str:
        return f"{self.variable}:{self.population}:{self.count}"


@dataclass(frozen=True)
class _Resolved:
    """What the names in an experiment stand for."""

    model: Model
    parameters: dict[str, Any]
    backend: Backend
    machine: Machine
    options: BackendOptions


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the outcome of a run.

    Attributes
    ----------
    model : str or Path
        Name of a model, or a Python file that defines ``build(sim, ...)``.
    parameters : dict
        Keyword arguments of the model's ``build``; `seed` is passed along by itself.
    backend, machine : str
        Names, or for the machine a ``.toml`` file.
    options : dict of str to str
        Options of the backend, in place of those of the machine file.
    seed : int
        1 to 2**32 - 1.
    timestep, warmup, duration : float
        ms of model time. Activity during the warm-up is discarded.
    realisation : {"native", "shared"}
        Whether the backend draws the random network, or the core does, identically for all.
    record : sequence of RecordRequest
        Variables to record besides spikes.
    record_spikes : bool
        False for measuring performance.
    """

    model: str | Path = "pd14"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str = DEFAULT_BACKEND
    machine: str | Path = DEFAULT_MACHINE
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    timestep: float = 0.1
    warmup: float = 500.0
    duration: float = 1000.0
    realisation: str = "native"
    record: Sequence[RecordRequest] = ()
    record_spikes: bool = True

    def __post_init__(self) -> None:
        for name, kinds in (
            ("seed", Integral),
            ("timestep", Real),
            ("warmup", Real),
            ("duration", Real),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                what = "a whole number from 1" if kinds is Integral else "a number of ms"
                raise InvalidValueError(f"{name} must be {what}, not {value!r}")
        if not 1 <= self.seed < 2**32:
            raise InvalidValueError(
                f"seed must be a whole number from 1 to {2**32 - 1}, not {self.seed!r}"
            )
        if not (math.isfinite(self.timestep) and self.timestep > 0):
            raise InvalidValueError(f"timestep must be above 0 ms, not {self.timestep!r}")
        for name, value, least in (("warmup", self.warmup, 0), ("duration", self.duration, 1)):
            try:
                steps = value / self.timestep
            except OverflowError:  # a whole number beyond all floats
                steps = math.inf
            if not (math.isfinite(steps) and round(steps) >= least):
                raise InvalidValueError(
                    f"{name} must be {'at least one time step' if least else '0 ms or more'}, "
                    f"not {value!r} ms"
                )
            if abs(steps - round(steps)) > 1e-6:
                raise InvalidValueError(
                    f"{name} must be a multiple of the time step ({self.timestep:g} ms), "
                    f"not {value!r} ms"
                )
        if self.realisation not in REALISATIONS:
            raise UnknownNameError("realisation", self.realisation, REALISATIONS)

    def settings(self) -> dict[str, Any]:
        """All that decides the outcome, as the run's ``run.json`` will hold it.

        Two runs with equal settings (and versions) are repetitions of each other.

        Raises
        ------
        PortableCortexError
            For what can be told to be impossible before anything is built.

        Examples
        --------
        >>> Experiment(backend="mock", seed=3).settings()["parameters"]["seed"]
        3
        """
        return self._settings(self._resolve())

    def _settings(self, resolved: _Resolved) -> dict[str, Any]:
        settings = {
            "backend": resolved.backend.name,
            "machine": str(self.machine),
            "options": resolved.options.model_dump(),
            "model": str(self.model),
            "model_sha256": resolved.model.sha256,
            "parameters": {**resolved.model.parameters, **resolved.parameters},
            "realisation": self.realisation,
            "seed": int(self.seed),
            "timestep_ms": self.timestep,
            "warmup_ms": self.warmup,
            "duration_ms": self.duration,
            "record": [str(request) for request in self.record],
            "record_spikes": self.record_spikes,
        }
        plain: dict[str, Any] = json.loads(to_json(settings))  # as it will be read again
        return plain

    def check(self) -> None:
        """Raise an error for what can be told to be impossible, with the simulator or without it.

        Raises
        ------
        PortableCortexError
            For unknown names, wrong parameters and options, and what the backend cannot do.

        Examples
        --------
        >>> Experiment(backend="mock", timestep=0.2).check()
        """
        self._resolve(installed=False)

    def _resolve(self, *, installed: bool = True) -> _Resolved:
        """What the names stand for, checked as far as it can be without building the network."""
        model = load_model(self.model)
        parameters = dict(self.parameters)
        model.check(parameters)
        if "seed" in model.parameters:
            parameters["seed"] = int(self.seed)
        backend = load_backend(self.backend)
        machine = load_machine(self.machine)
        options = machine.options_for(backend, self.options)
        self._check_capabilities(backend, parameters)
        resolved = _Resolved(model, parameters, backend, machine, options)
        try:
            self._settings(resolved)
        except OutputError as error:  # say now what could not be saved later
            raise InvalidValueError(str(error)) from None
        if installed:
            backend.require()
        return resolved

    def run(self, reporter: Reporter | None = None) -> Recording:
        """Run it; under mpirun every process does, and every one gets the whole recording.

        Raises
        ------
        PortableCortexError
            For whatever keeps it from running; see `portable_cortex.errors`.
        """
        reporter = reporter or _Silent()
        resolved = self._resolve()
        model, parameters, backend = resolved.model, resolved.parameters, resolved.backend
        if parallel.processes() > 1:
            backend.check_processes()
        first = parallel.rank() == 0
        power = resolved.machine.power
        meter = power.open() if power and first else None

        done = self  # unless it is interrupted
        clock, notes = Clock(), _Notes()
        started = provenance.now()
        published, reason = model.expected_rates(parameters)
        if reason:
            notes.add(reason)
        with _Running(resolved, clock, notes) as running:
            reporter.phase("import")
            with clock("import"):
                sim = running.sim = backend.simulator(resolved.options)
                interruption.renew()  # a simulator may have taken Ctrl-C for itself
            reporter.phase("setup")
            with clock("setup"):
                backend.setup(sim, timestep=self.timestep, seed=self.seed)
            network = build_network(
                model,
                parameters,
                sim,
                backend_name=backend.name,
                clock=clock,
                shared_seed=self.seed if self.realisation == "shared" else None,
                on_progress=lambda label: reporter.phase("build", label),
            )
            notes.add_unknown_rates(published, network.populations)
            recording = self.record_spikes and backend.simulates
            self._start_recording(network, backend)
            reporter.phase("prepare")
            with clock("prepare"):
                backend.prepare(sim, partial(_report, reporter, "prepare"))
            metering = Metering((time.time(), time.time()))
            for phase, duration in (("warmup", self.warmup), ("simulate", self.duration)):
                if duration and backend.simulates:
                    reporter.phase(phase, fraction=0.0)
                    with metered(meter if phase == "simulate" else None) as metering, clock(phase):
                        try:
                            backend.simulate(sim, duration, partial(_report, reporter, phase))
                        except KeyboardInterrupt:
                            if phase == "warmup" or not backend.interruptible:
                                raise
                            ran = round(sim.get_current_time() - self.warmup, 9)
                            if ran <= 0:
                                raise
                            done = replace(self, duration=ran)
            reporter.phase("readout")
            with clock("readout"):
                spikes = done._read_spikes(network, backend, notes) if recording else {}
                signals = self._read_signals(network, backend, notes)
            metadata = done._metadata(resolved, network, spikes, clock, metering, notes)
            metadata["started"], metadata["published_rates"] = started, published
            if done.duration < self.duration:
                metadata["planned_duration_ms"] = self.duration
        metadata["notes"] = [*notes]  # now that the simulator has ended
        sizes = {label: int(p.size) for label, p in network.populations.items()}
        # as it will be read again: lists, not tuples
        return Recording(sizes, spikes, json.loads(to_json(metadata)), signals)

    def lost(self, recording: Recording) -> list[str]:
        """What was to be recorded, and is not in the recording."""
        trains = recording.populations if recording.spike_trains else ()
        return [
            *(f"spikes of {p}" for p in trains if p not in recording.spike_trains),
            *(
                f"{r.variable} of {r.population}"
                for r in self.record
                if (r.population, r.variable) not in recording.signals
            ),
        ]

    def _check_capabilities(self, backend: Backend, parameters: Mapping[str, Any]) -> None:
        can = backend.capabilities
        if not can.timesteps[0] <= self.timestep <= can.timesteps[1]:
            raise UnsupportedError(
                f"backend {backend.name!r} needs a time step from {can.timesteps[0]:g} to "
                f"{can.timesteps[1]:g} ms, not {self.timestep:g} ms"
            )
        if self.realisation not in can.realisations:
            raise UnsupportedError(
                f"backend {backend.name!r} has no realisation {self.realisation!r}: "
                f"use {', '.join(can.realisations)}"
            )
        drive = parameters.get("drive")
        if drive in ("poisson", "dc") and drive not in can.drives:
            raise UnsupportedError(
                f"backend {backend.name!r} has no drive {drive!r}: use {', '.join(can.drives)}"
            )

    def _start_recording(self, network: Network, backend: Backend) -> None:
        if self.record and not backend.simulates:
            raise UnsupportedError(
                f"backend {backend.name!r} simulates nothing with these options: there is no "
                f"{self.record[0].variable} to record"
            )
        for request in self.record:
            if request.population not in network.populations:
                raise UnknownNameError("population", request.population, network.populations)
            population = network.populations[request.population]
            valid = [v for v in population.celltype.recordable if v != "spikes"]
            if request.variable not in valid:
                raise UnknownNameError(
                    f"recording variable of {request.population}", request.variable, valid
                )
            if request.count > population.size:
                raise InvalidValueError(
                    f"{request.population} has {population.size} neurons: cannot record "
                    f"{request.variable} from {request.count}"
                )
            population[: request.count].record(request.variable)
        if self.record_spikes:
            for population in network.populations.values():
                population.record("spikes")

    def _after_warmup(self, spikes: Spikes) -> Spikes:
        """Spikes in the interval (warmup, warmup + duration]; half a step allows for rounding."""
        low, high = self.warmup + 0.5 * self.timestep, self.warmup + self.duration
        keep = slice(*np.searchsorted(spikes.times, (low, high + 0.5 * self.timestep)))
        return Spikes(spikes.times[keep], spikes.neurons[keep])

    def _signal_after_warmup(self, signal: Signal) -> Signal:
        first = max(0, math.ceil((self.warmup - signal.t_start) / signal.interval - 1e-6))
        return signal._replace(
            values=signal.values[first:], t_start=signal.t_start + first * signal.interval
        )

    def _metadata(
        self,
        resolved: _Resolved,
        network: Network,
        spikes: Mapping[str, Spikes],
        clock: Clock,
        metering: Metering,
        notes: _Notes,
    ) -> dict[str, Any]:
        sizes = {label: int(p.size) for label, p in network.populations.items()}
        counts = {p: np.bincount(s.neurons, minlength=sizes[p]) for p, s in spikes.items()}
        seconds = self.duration * 1e-3
        backend, tried = resolved.backend, notes.tried
        nothing: dict[str, Any] = {}
        none: list[dict[str, Any]] = []
        energies = list(metering.energies)
        own = tried("the backend's own energy", backend.energy, None)
        if own is not None:
            energies.append(replace(own, source=own.source or backend.name))
        doubts = tried("what the machine reports of its faults", lambda: [*backend.doubts()], None)
        return {
            **self._settings(resolved),
            "populations": sizes,
            "n_neurons": network.n_neurons,
            "n_synapses": tried("the number of synapses", lambda: network.n_synapses, None),
            "n_spikes": sum(int(c.sum()) for c in counts.values()) if spikes else None,
            "synaptic_events": tried(
                "the number of synaptic events", lambda: network.synaptic_events(counts), None
            )
            if spikes
            else None,
            "rates": {p: float(c.sum()) / (c.size * seconds) for p, c in counts.items()},
            "phases_s": {
                **clock.seconds,
                **tried("the backend's phases", lambda: {**backend.phases()}, nothing),
            },
            "real_time_factor": clock.seconds["simulate"] / seconds if backend.simulates else None,
            "processes": parallel.processes(),
            "peak_memory_bytes": parallel.total(provenance.peak_memory_bytes()),
            "energy": tried("the energy", lambda: [asdict(energy) for energy in energies], none),
            "warnings": [notes[-1]] if doubts is None else doubts,
            "machine_report": tried("the machine's report", lambda: {**backend.details()}, nothing),
            "simulate_interval_unix": list(metering.interval_unix),
            "versions": provenance.versions(backend.distributions),
            "computer": tried("what computer this is", provenance.computer, nothing),
        }

    def _read_spikes(self, network: Network, backend: Backend, notes: _Notes) -> dict[str, Spikes]:
        trains = {}
        for label, population in network.populations.items():
            spikes = notes.tried(f"spikes of {label}", partial(backend.spikes, population), None)
            if spikes is not None:
                trains[label] = self._after_warmup(spikes)
        if not trains:
            raise SimulationError(f"backend {backend.name!r} failed: {'; '.join(notes)}")
        return trains

    def _read_signals(
        self, network: Network, backend: Backend, notes: _Notes
    ) -> dict[tuple[str, str], Signal]:
        signals = {}
        for r in self.record:
            read = partial(backend.signal, network.populations[r.population], r.variable)
            signal = notes.tried(f"{r.variable} of {r.population}", read, None)
            if signal is not None:
                signals[r.population, r.variable] = self._signal_after_warmup(signal)
        return signals


def _report(reporter: Reporter, phase: str, fraction: float | None, detail: str = "") -> None:
    reporter.phase(phase, detail, fraction)


class RunWarning(UserWarning):
    """Something about a run could not be told; all else of it is there."""


class _Notes(list[str]):
    """What could not be told about a run, a sentence each."""

    def add(self, note: str) -> None:
        """Keep a note for ``run.json``, and warn at once."""
        self.append(note)
        warnings.warn(note, RunWarning, stacklevel=3)

    def add_unknown_rates(self, published: dict[str, float], populations: Iterable[str]) -> None:
        """Say which published rates belong to no population, and forget them."""
        unknown = [label for label in published if label not in populations]
        if unknown:
            self.add(f"published rates of {', '.join(map(shown, unknown))}, which the model lacks")
        for label in unknown:
            del published[label]

    def tried(self, what: str, read: Callable[[], T], otherwise: T) -> T:
        """What `read` gives, or, if it fails or cannot be written to a file, a note."""
        if parallel.processes() > 1:  # they read together: who fails must fail for all
            return read()
        try:
            value = read()
            if isinstance(value, dict | list):
                to_json({what: value})
        except Exception as error:
            self.add(f"{what} could not be read: {describe(error)}")
            return otherwise
        return value


class _Running:
    """The time in which a simulator is in use: releases it, and gives its errors our type."""

    def __init__(self, resolved: _Resolved, clock: Clock, notes: _Notes) -> None:
        self._backend, self._model = resolved.backend, resolved.model
        self._clock, self._notes = clock, notes
        self.sim: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.sim is not None:
            try:
                self._backend.end(self.sim)
            except Exception as failure:  # what was read is there, and what failed before says why
                self._notes.add(f"the simulator did not end well: {describe(failure)}")
        if error is None or isinstance(error, PortableCortexError) or is_asked_to_end(error):
            return
        # in a function of the model that a simulator calls
        told = located(error, self._backend.name, self._model.file, beneath=True)
        if told is not None:
            raise told from error
        if isinstance(error, Exception):
            done = ", ".join(self._clock.seconds) or "nothing"
            raise SimulationError(
                f"backend {self._backend.name!r} failed (phases begun: {done}): {describe(error)}"
            ) from error


def run(
    *,
    model: str | Path = "pd14",
    backend: str = DEFAULT_BACKEND,
    machine: str | Path = DEFAULT_MACHINE,
    options: Mapping[str, str] | None = None,
    seed: int = 1,
    timestep: float = 0.1,
    warmup: float = 500.0,
    duration: float = 1000.0,
    realisation: str = "native",
    record: Sequence[str] = (),
    record_spikes: bool = True,
    reporter: Reporter | None = None,
    **parameters: Any,
) -> Recording:
    """Build and run a model on a backend.

    Parameters
    ----------
    record : sequence of str
        ``variable:population:count``, e.g. ``"v:L4E:10"``.
    **parameters
        Of the model, e.g. ``scale=0.1, drive="dc"`` (see `portable_cortex.models.pd14.build`).

    See `Experiment` for the others.

    Returns
    -------
    Recording

    Raises
    ------
    PortableCortexError
        For whatever keeps it from running; see `portable_cortex.errors`.

    Examples
    --------
    >>> recording = run(backend="mock", scale=0.02, duration=100.0)
    >>> recording.metadata["n_neurons"]
    1544
    """
    return Experiment(
        model=model,
        parameters=parameters,
        backend=backend,
        machine=machine,
        options=options or {},
        seed=seed,
        timestep=timestep,
        warmup=warmup,
        duration=duration,
        realisation=realisation,
        record=[RecordRequest.parse(text) for text in record],
        record_spikes=record_spikes,
    ).run(reporter)


def simulator(
    backend: str = DEFAULT_BACKEND,
    *,
    machine: str | Path = DEFAULT_MACHINE,
    options: Mapping[str, str] | None = None,
) -> Any:
    """The PyNN namespace of a backend, for a script of your own.

    Use it as any PyNN simulator: ``sim.setup()``, ``sim.Population(...)``, ``sim.run()``.

    Parameters
    ----------
    backend, machine : str
        Names, or for the machine a ``.toml`` file.
    options : dict of str to str
        Options of the backend, in place of those of the machine file.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        For a backend that does not exist, or whose simulator is not installed.
    UnsupportedError
        Under mpirun, for a backend of which every process would simulate a network of its own.

    Examples
    --------
    >>> sim = simulator("mock")
    >>> _ = sim.setup(timestep=0.1)
    >>> sim.Population(10, sim.IF_curr_exp()).size
    10
    """
    loaded = load_backend(backend)
    loaded.require()
    if parallel.processes() > 1:
        loaded.check_processes()
    return loaded.simulator(load_machine(machine).options_for(loaded, options))

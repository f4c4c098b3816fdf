"""What runs: import, set up, build, prepare, warm up, simulate, read out; then a `Recording`.

The same code runs here, in each process that mpirun starts, and in a submitted job. Beside the
standard library it needs PyNN, numpy and the simulator only, and scipy for the `shared`
realisation, whatever the rest of the package needs.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from .backend import Backend
from .errors import (
    InvalidValueError,
    ModelWarning,
    OutputError,
    PortableCortexError,
    SimulationError,
    UnknownNameError,
    UnsupportedError,
)
from .host import interruption, parallel, provenance
from .host.clock import Clock
from .models.loader import Model
from .models.user_code import describe, is_asked_to_end, located, shown
from .options import BackendOptions
from .power.metering import Metering, PowerMeter, metered
from .pynn.watching import Network, build_network
from .recording import Recording, Signal, Spikes, rescue, to_json
from .recording.stored import in_order, neuron_counts, pieces_of
from .support import Namespace, check_projection, check_trials

if TYPE_CHECKING:
    from typing import Self

    from .experiment import Experiment
    from .recording.unfinished import Checkpoint, Journal

T = TypeVar("T")
Recorded = tuple[Mapping[str, Spikes], Mapping[tuple[str, str], Signal]]

PART_MS = 5000.0  # of model time that are written together, at least,
PART_S = 1.0  # and so much of wall-clock time; or
PART_BYTES = 2**24  # so much that was recorded


class Reporter(Protocol):
    """Told what a run is doing; `progress.ConsoleReporter` shows it in a terminal."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Phase `name` has come to `detail`, or to this fraction of its work."""


class RunWarning(UserWarning):
    """Something about a run could not be told; all else of it is there."""


@dataclass(frozen=True)
class Resolved:
    """An experiment, and what the names in it stand for.

    Attributes
    ----------
    experiment : Experiment
    model : Model
    parameters : dict
        Keyword arguments of the model's ``build``, the seed among them where it takes one.
    backend : Backend
    options : BackendOptions
    open_meter : callable or None
        Opens the power meter of the machine.
    """

    experiment: Experiment
    model: Model
    parameters: Mapping[str, Any]
    backend: Backend
    options: BackendOptions
    open_meter: Callable[[], PowerMeter] | None = None

    def settings(self) -> dict[str, Any]:
        """All that decides the outcome, as ``run.json`` has it."""
        experiment = self.experiment
        settings = {
            "backend": self.backend.name,
            "machine": str(experiment.machine),
            "options": asdict(self.options),
            "model": str(experiment.model),
            "model_sha256": self.model.sha256,
            "parameters": {**self.model.parameters, **self.parameters},
            "realisation": experiment.realisation,
            "seed": int(experiment.seed),
            "timestep_ms": experiment.timestep,
            "warmup_ms": experiment.warmup,
            "duration_ms": experiment.duration,
            "record": [str(request) for request in experiment.record],
            "record_spikes": experiment.record_spikes,
            **({"trial": experiment.trial} if experiment.trial > 1 else {}),
        }
        plain: dict[str, Any] = json.loads(to_json(settings))  # as it will be read again
        return plain


def execute(resolved: Resolved, reporter: Reporter, journal: Journal | None = None) -> Recording:
    """Run an experiment; under mpirun every process does, and every one gets the whole recording.

    Parameters
    ----------
    resolved : Resolved
    reporter : Reporter
    journal : Journal, optional
        Where the run is written while it goes on, if the backend can, or from where it goes on.

    Raises
    ------
    PortableCortexError
        For whatever keeps it from running; see `portable_cortex.errors`.
    KeyboardInterrupt
        If it is interrupted and the backend has nothing that can be read.
    """
    experiment, backend = resolved.experiment, resolved.backend
    meter = _meter(resolved)
    done = experiment  # unless it is interrupted
    checkpoint = journal.checkpoint if journal else None
    clock = Clock(checkpoint.about["clock"] if checkpoint else None)
    notes = _Notes()
    about = _about(resolved, notes)
    with _Running(resolved, clock, notes) as running:
        network, sim = running.build(reporter), running.sim
        notes.add_unknown_rates(about["published_rates"], network.populations)
        reporter.phase("prepare")
        with clock("prepare"):
            if experiment.trial > 1:
                backend.begin_trial(sim, experiment.trial)
            backend.prepare(sim, partial(_report, reporter, "prepare"))
            if checkpoint is not None:
                backend.restore(sim, checkpoint.state)
        writer = None
        if journal is not None and backend.resumable:
            writer = _Writer(journal, resolved, network, sim, clock, notes)
            writer.begin(about)
        metering = Metering((time.time(), time.time()))
        for phase, duration in _left(experiment, checkpoint):
            if duration > 0 and backend.simulates and (backend.spiking or phase == "simulate"):
                reporter.phase(phase, fraction=0.0)
                progress = partial(_report, reporter, phase)
                if writer is not None and phase == "simulate":
                    progress = partial(
                        writer.progress, reporter, 1 - duration / experiment.duration
                    )
                with metered(meter if phase == "simulate" else None) as metering, clock(phase):
                    try:
                        backend.simulate(sim, duration, progress)
                    except KeyboardInterrupt:
                        if phase == "warmup" or not backend.interruptible:
                            raise
                        ran = round(sim.get_current_time() - experiment.warmup, 9)
                        if ran <= 0:
                            raise
                        done = replace(experiment, duration=ran)
        if checkpoint is not None and metering.energies:
            notes.add("the energy of the time before the run was resumed is unknown")
            metering.energies.clear()
        reporter.phase("readout")
        with clock("readout"):
            recorded = _read(done, network, backend, notes) if writer is None else writer.all(done)
        metadata = _metadata(
            replace(resolved, experiment=done), network, recorded[0], clock, metering, notes
        )
        metadata |= about
        if writer is not None and checkpoint is not None:
            metadata |= {"started": writer.started, "resumed": writer.resumed}
        if done.duration < experiment.duration:
            metadata["planned_duration_ms"] = experiment.duration
    return _recording(resolved, network, recorded, metadata, notes)  # the simulator has ended


Change = Callable[[int, Mapping[str, Any]], None]
"""Told the number of a trial and the populations, before it begins."""


def execute_trials(
    resolved: Resolved, numbers: Iterable[int], reporter: Reporter, change: Change | None = None
) -> Generator[Recording]:
    """Run trials of an experiment, all in one network that is built once.

    Each begins at time 0 with the initial values, and has a warm-up; its drive depends on the seed
    and its number alone.

    Parameters
    ----------
    resolved : Resolved
    numbers : iterable of int
    reporter : Reporter
    change : callable, optional
        Changes the network for a trial, such as the spike times of sources.

    Yields
    ------
    Recording
        The first one has the time that building took.

    Raises
    ------
    PortableCortexError
        For whatever keeps it from running; see `portable_cortex.errors`.
    """
    backend, experiment = resolved.backend, resolved.experiment
    check_trials(backend)
    meter, notes, clock = _meter(resolved), _Notes(), Clock()
    about = _about(resolved, notes)
    with _Running(resolved, clock, notes) as running:
        network, sim = running.build(reporter), running.sim
        notes.add_unknown_rates(about["published_rates"], network.populations)
        for number in numbers:
            this = replace(resolved, experiment=replace(experiment, trial=number))
            with clock("prepare"):
                if number > 1 or sim.get_current_time() > 0:
                    backend.begin_trial(sim, number)
                if change is not None:
                    change(number, network.populations)
                backend.prepare(sim, partial(_report, reporter, "prepare"))
            metering = Metering((time.time(), time.time()))
            for phase, duration in _left(experiment, None):
                if duration > 0 and backend.simulates:
                    with metered(meter if phase == "simulate" else None) as metering, clock(phase):
                        backend.simulate(sim, duration, partial(_report, reporter, phase))
            with clock("readout"):
                recorded = _read(experiment, network, backend, notes)
            metadata = _metadata(this, network, recorded[0], clock, metering, notes) | about
            yield _recording(this, network, recorded, metadata, notes)
            clock.clear()
            about = {**about, "started": provenance.now()}


def _meter(resolved: Resolved) -> PowerMeter | None:
    return resolved.open_meter() if resolved.open_meter and parallel.rank() == 0 else None


def _about(resolved: Resolved, notes: _Notes) -> dict[str, Any]:
    """When it began, and what the model says of the network."""
    started, parameters = provenance.now(), dict(resolved.parameters)
    published, reason = resolved.model.expected_rates(parameters)
    if reason:
        notes.add(reason)
    return {
        "started": started,
        "published_rates": published,
        "statements": resolved.model.said(parameters),
    }


def _recording(
    resolved: Resolved,
    network: Network,
    recorded: Recorded,
    metadata: Mapping[str, Any],
    notes: _Notes,
) -> Recording:
    sizes = {label: int(p.size) for label, p in network.populations.items()}
    # as it will be read again: lists, not tuples
    plain = json.loads(to_json({**metadata, "notes": [*notes]}))
    return Recording(sizes, recorded[0], plain, recorded[1], resolved.model.source)


def run_into(
    resolved: Resolved, reporter: Reporter, journal: Journal, overwrite: bool
) -> Recording:
    """Run an experiment, and write the results into the folder of a journal.

    Parameters
    ----------
    resolved : Resolved
    reporter : Reporter
    journal : Journal
        From where it goes on, if it has been begun before.
    overwrite : bool
        Whether to take the place of a run that the folder holds.

    Raises
    ------
    OutputError
        If they cannot be written; it says where what was simulated is.
    PortableCortexError
        For whatever keeps it from running.
    """
    folder = journal.folder
    try:
        recording = execute(resolved, reporter, journal if parallel.processes() == 1 else None)
        recording = replace(recording, metadata={**recording.metadata, **journal.about})
        reporter.phase("write", f"{folder}")
        if parallel.rank() > 0:
            return recording
        try:
            recording.save(folder, overwrite=overwrite or journal.opened, figure=True)
        except OutputError as error:
            if journal.opened:
                raise OutputError(f"{error}. {journal.kept()}") from error
            raise rescue(recording, error) from error
        if not journal.opened:
            return recording
        journal.close(over="planned_duration_ms" not in recording.metadata)
        return Recording.load(folder)
    finally:
        journal.release()


def _format_of_lists(resolved: Resolved) -> str:
    """Format of the weights that are handed over: any, where the backend itself rounds them."""
    weight_format = resolved.options.weights
    own = weight_format in resolved.backend.capabilities.weight_formats
    return "full" if own else weight_format


def _start_recording(experiment: Experiment, network: Network, backend: Backend) -> None:
    if experiment.record and not backend.simulates:
        raise UnsupportedError(
            f"backend {backend.name!r} simulates nothing with these options: there is no "
            f"{experiment.record[0].variable} to record"
        )
    if experiment.record and not backend.spiking:
        raise UnsupportedError(
            f"backend {backend.name!r} computes stationary rates, without time: there is no "
            f"{experiment.record[0].variable} to record"
        )
    for request in experiment.record:
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
    if experiment.record_spikes and backend.spiking:
        for population in network.populations.values():
            population.record("spikes")


def _left(experiment: Experiment, checkpoint: Checkpoint | None) -> list[tuple[str, float]]:
    """Phases, and how long each of them goes on, ms."""
    if checkpoint is None:
        return [("warmup", experiment.warmup), ("simulate", experiment.duration)]
    now = checkpoint.step * experiment.timestep
    return [("simulate", round(experiment.warmup + experiment.duration - now, 9))]


def _read(
    done: Experiment, network: Network, backend: Backend, notes: _Notes, since: float | None = None
) -> Recorded:
    """What was recorded after the warm-up, or after `since` ms."""
    recorded = done.record_spikes and backend.simulates and backend.spiking
    spikes = _read_spikes(done, network, backend, notes, since) if recorded else {}
    return spikes, _read_signals(done, network, backend, notes, since)


def _read_spikes(
    done: Experiment, network: Network, backend: Backend, notes: _Notes, since: float | None
) -> dict[str, Spikes]:
    """Spikes in the interval (since, warmup + duration]; half a step allows for rounding."""
    half = 0.5 * done.timestep
    low = (done.warmup if since is None else since) + half
    high = done.warmup + done.duration + half
    trains = {}
    for label, population in network.populations.items():
        spikes = notes.tried(f"spikes of {label}", partial(backend.spikes, population), None)
        if spikes is not None:
            kept = slice(*np.searchsorted(spikes.times, (low, high)))
            trains[label] = Spikes(spikes.times[kept], spikes.neurons[kept])
    if not trains:
        raise SimulationError(f"backend {backend.name!r} failed: {'; '.join(notes)}")
    return trains


def _read_signals(
    done: Experiment, network: Network, backend: Backend, notes: _Notes, since: float | None
) -> dict[tuple[str, str], Signal]:
    signals = {}
    for r in done.record:
        read = partial(backend.signal, network.populations[r.population], r.variable)
        signal = notes.tried(f"{r.variable} of {r.population}", read, None)
        if signal is not None:
            if since is None:
                first = math.ceil((done.warmup - signal.t_start) / signal.interval - 1e-6)
            else:
                first = math.floor((since - signal.t_start) / signal.interval + 1e-6) + 1
            first = max(0, first)
            signals[r.population, r.variable] = signal._replace(
                values=signal.values[first:], t_start=signal.t_start + first * signal.interval
            )
    return signals


class _Writer:
    """Writes what was recorded while a run goes on."""

    def __init__(
        self,
        journal: Journal,
        resolved: Resolved,
        network: Network,
        sim: Any,
        clock: Clock,
        notes: _Notes,
    ) -> None:
        self._journal, self._resolved, self._network = journal, resolved, network
        self._sim, self._clock, self._notes = sim, clock, notes
        self._populations = network.populations.values()
        now = sim.get_current_time()
        self._written_ms = max(now, resolved.experiment.warmup)
        self._written_s = time.monotonic()
        self.resumed: list[dict[str, Any]] = []

    def begin(self, about: Mapping[str, Any]) -> None:
        """Say what is run, or when it was resumed."""
        experiment, checkpoint = self._resolved.experiment, self._journal.checkpoint
        if checkpoint is not None:
            ms = round(checkpoint.step * experiment.timestep - experiment.warmup, 9)
            self.resumed = [*checkpoint.about["resumed"], {"at_ms": ms, "when": about["started"]}]
        nothing: dict[str, Any] = {}
        settings = {
            **self._resolved.settings(),
            "experiment": experiment.to_dict(),
            "populations": {label: int(p.size) for label, p in self._network.populations.items()},
            "n_neurons": self._network.n_neurons,
            "processes": parallel.processes(),
            "versions": provenance.versions(self._resolved.backend.distributions),
            "computer": self._notes.tried("what computer this is", provenance.computer, nothing),
            **about,
        }
        self._journal.begin(json.loads(to_json(settings)), self._resolved.model.source)

    @property
    def started(self) -> str:
        """When the run was."""
        return str(self._journal.settings["started"])

    def progress(
        self, reporter: Reporter, before: float, fraction: float | None, detail: str = ""
    ) -> None:
        """Tell how far it is, and write what is due."""
        whole = None if fraction is None else before + (1 - before) * fraction
        reporter.phase("simulate", detail, whole)
        waited = self._sim.get_current_time() - self._written_ms >= PART_MS
        if (waited and time.monotonic() - self._written_s >= PART_S) or (
            sum(map(self._resolved.backend.held, self._populations)) >= PART_BYTES
        ):
            self._write()

    def _write(self) -> None:
        """A part, with all that was recorded since the last one."""
        experiment, backend, end = self._resolved.experiment, self._resolved.backend, self._end()
        now = self._sim.get_current_time()
        if now <= (experiment.warmup if end is None else end) + 0.5 * experiment.timestep:
            return
        with interruption.shielded():
            spikes, signals = _read(experiment, self._network, backend, self._notes, end)
            about = {"clock": self._clock.until_now(), "resumed": self.resumed}
            step = round(now / experiment.timestep)
            self._journal.add(step, spikes, signals, backend.state(self._sim), about)
            for population in self._populations:
                backend.drop(population)
        self._written_ms, self._written_s = now, time.monotonic()

    def _end(self) -> float | None:
        """Until when there are parts, ms."""
        end = self._journal.end
        return None if end is None else end * self._resolved.experiment.timestep

    def all(self, done: Experiment) -> Recorded:
        """All that was recorded; what was interrupted can be resumed."""
        planned = self._resolved.experiment
        if self._journal.opened or done is not planned:
            try:
                self._write()
            except OutputError as error:
                if self._journal.opened:
                    raise
                self._notes.add(f"the run cannot be resumed: {error}")
        if not self._journal.opened:
            return _read(done, self._network, self._resolved.backend, self._notes)
        spikes, signals = self._journal.recorded()
        return in_order(spikes, self._network.populations), signals


def _metadata(
    resolved: Resolved,
    network: Network,
    spikes: Mapping[str, Spikes],
    clock: Clock,
    metering: Metering,
    notes: _Notes,
) -> dict[str, Any]:
    """The contents of ``run.json``."""
    sizes = {label: int(p.size) for label, p in network.populations.items()}
    counts = {label: neuron_counts(pieces_of(spikes, label), sizes[label]) for label in spikes}
    seconds = resolved.experiment.duration * 1e-3
    backend, tried = resolved.backend, notes.tried
    nothing: dict[str, Any] = {}
    none: list[dict[str, Any]] = []
    energies = list(metering.energies)
    of_machine = tried("the backend's own energy", backend.energy, None)
    if of_machine is not None:
        energies.append(replace(of_machine, source=of_machine.source or backend.name))
    doubts = tried("what the machine reports of its faults", lambda: [*backend.doubts()], None)
    rates = {p: float(c.sum()) / (c.size * seconds) for p, c in counts.items()}
    errors: dict[str, float] = {}
    if not backend.spiking:
        found = {label: backend.rate(p) for label, p in network.populations.items()}
        rates = {label: rate.value for label, rate in found.items()}
        errors = {label: rate.error for label, rate in found.items()}
    return {
        **resolved.settings(),
        "experiment": resolved.experiment.to_dict(),
        "populations": sizes,
        "n_neurons": network.n_neurons,
        "n_synapses": tried("the number of synapses", lambda: network.n_synapses, None),
        "n_spikes": sum(int(c.sum()) for c in counts.values()) if spikes else None,
        "synaptic_events": tried(
            "the number of synaptic events", lambda: network.synaptic_events(counts), None
        )
        if spikes
        else None,
        "rates": rates,
        **({"rate_errors": errors} if errors else {}),
        "phases_s": {
            **clock.seconds,
            **tried("the backend's phases", lambda: {**backend.phases()}, nothing),
        },
        "cpu_s": {phase: parallel.total(s) for phase, s in clock.cpu_seconds.items()},
        "real_time_factor": clock.seconds["simulate"] / seconds
        if backend.simulates and backend.spiking
        else None,
        "processes": parallel.processes(),
        "peak_memory_bytes": parallel.total(provenance.peak_memory_bytes()),
        "energy": tried("the energy", lambda: [asdict(energy) for energy in energies], none),
        "warnings": [notes[-1]] if doubts is None else doubts,
        "machine_report": tried("the machine's report", lambda: {**backend.details()}, nothing),
        "simulate_interval_unix": list(metering.interval_unix),
        "versions": provenance.versions(backend.distributions),
        "computer": tried("what computer this is", provenance.computer, nothing),
    }


def _report(reporter: Reporter, phase: str, fraction: float | None, detail: str = "") -> None:
    reporter.phase(phase, detail, fraction)


class _Notes(list[str]):
    """What could not be told about a run, a sentence each."""

    def add(self, note: str) -> None:
        """Keep a note for ``run.json``, and warn at once."""
        self.append(note)
        warnings.warn(note, RunWarning, stacklevel=3)

    @contextmanager
    def of_the_model(self) -> Iterator[None]:
        """Within it, keep what is warned of about a model."""
        with warnings.catch_warnings():
            show = warnings.showwarning

            def keep(message: Any, category: type[Warning], *about: Any, **more: Any) -> None:
                if issubclass(category, ModelWarning):
                    self.append(str(message))
                show(message, category, *about, **more)

            warnings.showwarning = keep
            yield

    def add_unknown_rates(self, published: dict[str, float], populations: Iterable[str]) -> None:
        """Say which published rates belong to no population, and forget them."""
        unknown = [label for label in published if label not in populations]
        if unknown:
            self.add(f"published rates of {', '.join(map(shown, unknown))}, which the model lacks")
        for label in unknown:
            del published[label]

    def add_not_kept(self, populations: Mapping[str, Any]) -> None:
        """Say what the model itself records besides spikes, which a run does not keep."""
        for label, population in populations.items():
            recorded = getattr(getattr(population, "recorder", None), "recorded", {})
            for variable in sorted({key.name for key, cells in recorded.items() if cells}):
                if variable != "spikes":
                    self.add(
                        f"the model records {variable} of {label}, which is not kept: ask for it "
                        f"with --record {variable}:{label}:10"
                    )

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

    def __init__(self, resolved: Resolved, clock: Clock, notes: _Notes) -> None:
        self._resolved = resolved
        self._backend, self._model = resolved.backend, resolved.model
        self._clock, self._notes = clock, notes
        self.sim: Any = None

    def __enter__(self) -> Self:
        return self

    def build(self, reporter: Reporter) -> Network:
        """Import the simulator, set it up, and build the network, with what is to be recorded."""
        resolved, backend, clock = self._resolved, self._backend, self._clock
        experiment = resolved.experiment
        reporter.phase("import")
        with clock("import"):
            sim = self.sim = backend.simulator(resolved.options)
            interruption.renew()  # a simulator may have taken Ctrl-C for itself
        reporter.phase("setup")
        with clock("setup"):
            backend.setup(sim, timestep=experiment.timestep, seed=experiment.seed)
        with self._notes.of_the_model():
            network = build_network(
                self._model,
                dict(resolved.parameters),
                Namespace(sim, backend),
                backend_name=backend.name,
                clock=clock,
                shared_seed=experiment.seed if experiment.realisation == "shared" else None,
                weight_format=_format_of_lists(resolved),
                on_progress=lambda label: reporter.phase("build", label),
                check_projection=partial(check_projection, backend),
            )
        self._notes.add_not_kept(network.populations)
        _start_recording(experiment, network, backend)
        return network

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

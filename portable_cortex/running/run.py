"""What runs: import, set up, build, prepare, warm up, simulate, read out; then a `Recording`.

The same code runs here, in each process that mpirun starts, and in a submitted job. Beside the
standard library it needs PyNN, numpy and the simulator only, and scipy for the `shared`
realisation, whatever the rest of the package needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..host import parallel, provenance
from ..host.clock import Clock
from ..power.metering import Metering, PowerMeter, metered
from ..pynn.watching import Network
from ..recording import Recording, rescue, to_json
from ..support import check_trials
from .metadata import describe_run
from .notes import Notes
from .reading import Recorded, read
from .resolved import Reporter, Resolved
from .simulator import Running
from .writing import Writer

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..recording.unfinished import Checkpoint, Journal


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
    notes = Notes()
    about = _about(resolved, notes)
    with Running(resolved, clock, notes) as running:
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
            writer = Writer(journal, resolved, network, sim, clock, notes)
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
            recorded = read(done, network, backend, notes) if writer is None else writer.all(done)
        metadata = describe_run(
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
    meter, notes, clock = _meter(resolved), Notes(), Clock()
    about = _about(resolved, notes)
    with Running(resolved, clock, notes) as running:
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
                recorded = read(experiment, network, backend, notes)
            metadata = describe_run(this, network, recorded[0], clock, metering, notes) | about
            yield _recording(this, network, recorded, metadata, notes)
            clock.clear()
            about = {**about, "started": provenance.now()}


def _meter(resolved: Resolved) -> PowerMeter | None:
    return resolved.open_meter() if resolved.open_meter and parallel.rank() == 0 else None


def _about(resolved: Resolved, notes: Notes) -> dict[str, Any]:
    """When it began, and what the model says of the network."""
    started, parameters = provenance.now(), dict(resolved.parameters)
    published, reason = resolved.model.expected_rates(parameters)
    if reason:
        notes.add(reason)
    experiment = resolved.experiment
    if different := resolved.model.different(experiment.warmup, experiment.duration):
        notes.add(different)
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
    notes: Notes,
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


def _left(experiment: Experiment, checkpoint: Checkpoint | None) -> list[tuple[str, float]]:
    """Phases, and how long each of them goes on, ms."""
    if checkpoint is None:
        return [("warmup", experiment.warmup), ("simulate", experiment.duration)]
    now = checkpoint.step * experiment.timestep
    return [("simulate", round(experiment.warmup + experiment.duration - now, 9))]


def _report(reporter: Reporter, phase: str, fraction: float | None, detail: str = "") -> None:
    reporter.phase(phase, detail, fraction)

"""``portable-cortex run`` and ``rerun``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidValueError, SimulationError
from ..experiment import DURATION, Experiment, RecordRequest
from ..host import interruption
from ..host.untrusted import parse_json
from ..recording import STATE, UNFINISHED, Recording
from ..registry import DEFAULT_BACKEND, DEFAULT_MACHINE
from ..sweep.table import warnings_of
from .console import complain, err, out, progress_on
from .options import (
    Drive,
    Duration,
    MachineName,
    ModelName,
    NoRecord,
    Option,
    Overwrite,
    Param,
    Quiet,
    Realisation,
    Record,
    Scale,
    Seed,
    Timestep,
    Warmup,
    backend_completion,
    model_parameters,
    pairs,
)
from .progress import ConsoleReporter
from .run_console import Expected, expected_of, next_step
from .run_console import show as show_run


def run(
    context: typer.Context,
    model: ModelName = "pd14",
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            "-b",
            autocompletion=backend_completion,
            help="Simulator or machine; `portable-cortex backends` lists them.",
        ),
    ] = DEFAULT_BACKEND,
    machine: MachineName = DEFAULT_MACHINE,
    scale: Scale = None,
    n_scale: Annotated[
        float | None, typer.Option(help="Fraction of the neurons, where it is not --scale.")
    ] = None,
    k_scale: Annotated[
        float | None, typer.Option(help="Fraction of the in-degrees, where it is not --scale.")
    ] = None,
    drive: Drive = None,
    param: Param = None,
    option: Option = None,
    target: Annotated[
        str | None,
        typer.Option(help="Where a backend with several targets runs: its option `target`."),
    ] = None,
    duration: Duration = DURATION,
    warmup: Warmup = 500.0,
    timestep: Timestep = 0.1,
    seed: Seed = 1,
    realisation: Realisation = "native",
    record: Record = None,
    no_record: NoRecord = False,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Number of runs of one network, which is built once; each has Poisson spikes and "
            "noise of its own."
        ),
    ] = None,
    overwrite: Overwrite = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the results. results/MODEL-BACKEND unless given."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Go on with the run in this folder, which was ended before it was over; it has "
            "all settings.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Build a network, run it, and write its activity, its cost and a figure."""
    if resume is not None:
        _resume(context, resume, quiet)
        return
    parameters = model_parameters(param, scale=scale, n_scale=n_scale, k_scale=k_scale, drive=drive)
    experiment = Experiment(
        model=model,
        parameters=parameters,
        backend=backend,
        machine=machine,
        options={**pairs(option, "--option"), **({"target": target} if target else {})},
        seed=seed,
        timestep=timestep,
        warmup=warmup,
        duration=duration,
        realisation=realisation,
        record=[RecordRequest.parse(text) for text in record or []],
        record_spikes=not no_record,
    )
    place = folder or Path("results") / f"{Path(model).stem}-{backend}"
    if trials is not None:
        _run_trials(experiment, trials, place, overwrite, quiet)
        return
    _run(context, experiment, place, overwrite, quiet)


def run_experiment(
    context: typer.Context,
    experiment: Annotated[str, typer.Argument(help="As `experiment` in run.json has it.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    overwrite: Overwrite = False,
) -> None:
    """Run an experiment that is given as JSON, as a sweep does."""
    try:
        values = parse_json(experiment)
    except ValueError as error:
        raise InvalidValueError(f"an experiment is a mapping in JSON: {error}") from None
    _run(context, Experiment.from_dict(values), folder, overwrite, compared=False)


def rerun(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    quiet: Quiet = False,
) -> None:
    """Repeat a run from its folder: exit status 0 the same spikes, 1 others, 2 could not repeat it.

    Nothing is written. Versions that are others than those of the run are named.
    """
    from ..rerun import rerun as repeat

    with ConsoleReporter(progress_on(quiet)) as reporter:
        repeated = repeat(folder, reporter)
    for version in repeated.versions:
        complain("yellow", "Another version", version)
    if not repeated.differences:
        out.print(f"the spikes are those of {folder}", soft_wrap=True, markup=False)
        return
    for difference in repeated.differences:
        complain("red", "Other spikes", difference)
    raise typer.Exit(1)


def _run(
    context: typer.Context,
    experiment: Experiment,
    folder: Path,
    overwrite: bool,
    quiet: bool = False,
    compared: bool = True,
) -> None:
    """Run, write, show; what was interrupted and can be kept is kept."""
    command = shlex.join(("portable-cortex", *context.obj))
    with ConsoleReporter(progress_on(quiet)) as reporter:
        recording = experiment.run(
            reporter, folder, overwrite=overwrite, about={"command": command}
        )
    expected = expected_of(recording) if compared and recording.spike_trains else None
    _end(recording, experiment, folder, expected)
    if compared and err.is_terminal and not quiet:
        err.print(next_step(recording, folder, expected), soft_wrap=True, highlight=False)


def _run_trials(experiment: Experiment, n: int, folder: Path, overwrite: bool, quiet: bool) -> None:
    """Run, write and show trials; those that are over are kept."""
    from ..sweep import run_trials
    from .trial_console import show

    ended: list[Mapping[str, Any]] = []
    interruption.tell(
        lambda: f"{len(ended)} of {n} trials are in {folder}; the same command goes on from there."
    )
    with ConsoleReporter(progress_on(quiet)) as reporter:
        for recording in run_trials(experiment, n, folder, reporter=reporter, overwrite=overwrite):
            ended.append({**recording.metadata, "rates": recording.rates()})
    show(ended, folder, out)


def _resume(context: typer.Context, folder: Path, quiet: bool) -> None:
    """Go on with a run."""
    from ..rerun import resume

    sources: Any = context.get_parameter_source
    given = [
        n for n in context.params if n not in ("resume", "quiet") and sources(n).name != "DEFAULT"
    ]
    if given:
        raise InvalidValueError(
            f"--resume takes all settings from {folder}, and {', '.join(map(_flag, given))} cannot "
            "change them: leave it out"
        )
    with ConsoleReporter(progress_on(quiet)) as reporter:
        recording = resume(folder, reporter)
    experiment = Experiment.from_dict(recording.metadata["experiment"])
    _end(recording, experiment, folder, expected_of(recording))


def _flag(name: str) -> str:
    """The option of a parameter of `run`."""
    return {"folder": "--out"}.get(name, f"--{name.replace('_', '-')}")


def _end(
    recording: Recording, experiment: Experiment, place: Path, expected: Expected | None
) -> None:
    """Show a run that has been written."""
    show_run(recording, place, out, expected)
    for text in warnings_of(recording.metadata):
        complain("yellow", "Warning", text)
    lost = experiment.lost(recording)
    if lost:
        raise SimulationError(f"{', '.join(lost)} could not be read; all else is in {place}")
    if "planned_duration_ms" in recording.metadata:
        ran = f"after {recording.metadata['duration_ms']:g} ms"
        resumable = (place / UNFINISHED / STATE).exists()
        more = f"; go on with portable-cortex run --resume {place}" if resumable else ""
        interruption.tell(f"{ran}: this much was written to {place}{more}.")
        raise KeyboardInterrupt

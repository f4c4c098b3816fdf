"""The command line: ``portable-cortex run | validate | benchmark | submit | jobs | ...``."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from .. import __version__
from .._run import RunWarning
from ..errors import (
    InvalidValueError,
    ModelWarning,
    OutputError,
    SimulationError,
    UnsupportedError,
)
from ..experiment import DURATION, REALISATIONS, Experiment, RecordRequest
from ..host import interruption, parallel
from ..host.untrusted import parse_json, printable, printable_lines
from ..recording import STATE, UNFINISHED, Recording, RecordingWarning
from ..registry import (
    DEFAULT_BACKEND,
    DEFAULT_MACHINE,
    EMULATED_BOARD,
    load_target,
)
from ..sweep.table import warnings_of
from . import writing
from .calibration_commands import calibrate
from .compare_commands import compare
from .entry import TRACEBACK, status_of
from .export_commands import export
from .impact_commands import impact
from .listing_commands import backends, hardware, models
from .looking_commands import plot, show
from .neuron_commands import neurons
from .options import (
    DRIVE_HELP,
    OPTION_HELP,
    PARAM_HELP,
    SCALE_HELP,
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
    examples,
    json_or_text,
    model_parameters,
    numbers,
    pairs,
)
from .portal_commands import jobs, submit
from .progress import ConsoleReporter
from .run_console import Expected, expected_of, next_step
from .run_console import show as show_run
from .task_commands import task
from .theory_commands import predict

COMPLETION = "_PORTABLE_CORTEX_COMPLETE"  # set by the script that --install-completion installs
# what several processes do together
SHARED = ("run", "rerun", "run-experiment")

app = typer.Typer(
    help="Write a spiking network once, in PyNN; run it on any simulator or neuromorphic machine.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# of several processes that mpirun started, the first speaks for all; Open MPI gives it a terminal
# of its own, whatever its own output goes to
out = Console(quiet=parallel.rank() > 0, force_terminal=False if parallel.processes() > 1 else None)
err = Console(
    stderr=True,
    quiet=parallel.rank() > 0,
    force_terminal=False if parallel.processes() > 1 else None,
)
_UsageError: Any = typer.BadParameter.__base__  # what cannot be read; typer has no name for it


def _version(asked: bool) -> None:
    if asked:
        out.print(f"portable-cortex {__version__}", highlight=False)
        raise typer.Exit


FIRST = """\
portable-cortex: a spiking network, written once in PyNN, on any simulator or neuromorphic machine

  portable-cortex run
      the cortical microcircuit at a tenth of its size, in seconds (compiled once: half a minute)
  portable-cortex validate results/pd14-builtin
      whether that is the activity that the network has on NEST
  portable-cortex run --model my_model.py --backend nest
      a network of your own, a Python file with build(sim, ...), on any simulator

portable-cortex --help lists all commands; portable-cortex COMMAND --help has examples of each"""


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    traceback: Annotated[  # taken from the arguments before they come here
        bool,
        typer.Option(
            TRACEBACK, help="Show all of an error, also after the command: run ... --traceback."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        out.print(FIRST, markup=False, highlight=False, soft_wrap=True)
        return
    if parallel.processes() > 1 and context.invoked_subcommand not in SHARED:
        raise UnsupportedError(
            f"portable-cortex {context.invoked_subcommand} runs in one process, and mpirun started "
            f"{parallel.processes()}: start it without mpirun (only `run` shares its work)"
        )


@app.command(
    epilog=examples(
        "run",
        "run -m brunel2000 -p g=6 -d 5000 -o results/brunel",
        "run --model my_model.py --backend nest --record v:E:3",
    )
)
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
        float | None, typer.Option(help="Fraction of the neurons, where it differs.")
    ] = None,
    k_scale: Annotated[
        float | None, typer.Option(help="Fraction of the in-degrees, where it differs.")
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
            help="So many runs of one network, which is built once, each with Poisson spikes and "
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


@app.command(hidden=True)
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


def _progress(quiet: bool) -> Console:
    """Where it is told how far a command is."""
    return Console(stderr=True, quiet=True) if quiet else err


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
    with ConsoleReporter(_progress(quiet)) as reporter:
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
    with ConsoleReporter(_progress(quiet)) as reporter:
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
    with ConsoleReporter(_progress(quiet)) as reporter:
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
        _complain("yellow", "Warning", text)
    lost = experiment.lost(recording)
    if lost:
        raise SimulationError(f"{', '.join(lost)} could not be read; all else is in {place}")
    if "planned_duration_ms" in recording.metadata:
        ran = f"after {recording.metadata['duration_ms']:g} ms"
        resumable = (place / UNFINISHED / STATE).exists()
        more = f"; go on with portable-cortex run --resume {place}" if resumable else ""
        interruption.tell(f"{ran}: this much was written to {place}{more}.")
        raise KeyboardInterrupt


@app.command()
def rerun(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    quiet: Quiet = False,
) -> None:
    """Repeat a run from its folder: exit status 0 the same spikes, 1 others, 2 could not repeat it.

    Nothing is written. Versions that are others than those of the run are named.
    """
    from ..rerun import rerun as repeat

    with ConsoleReporter(_progress(quiet)) as reporter:
        repeated = repeat(folder, reporter)
    for version in repeated.versions:
        _complain("yellow", "Another version", version)
    if not repeated.differences:
        out.print(f"the spikes are those of {folder}", soft_wrap=True, markup=False)
        return
    for difference in repeated.differences:
        _complain("red", "Other spikes", difference)
    raise typer.Exit(1)


@app.command(
    epilog=examples(
        "validate results/mine --report mine.html",
        "validate results/mine --against results/other",
        "validate results/sweep --against reference.h5 --junit junit.xml",
    )
)
def validate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders of runs, or of folders of runs, of other programs too; or Neo files.",
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            help="A reference by name or .h5 file, a folder of five runs or more, or the folder of "
            "one other run; the reference that fits the runs unless given."
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page (HTML).")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write JSON; - is stdout.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Write Markdown, such as $GITHUB_STEP_SUMMARY.")
    ] = None,
) -> None:
    """Compare runs with a reference: exit status 0 agrees, 1 differs, 2 could not tell.

    Several runs of one network, each with another seed, are judged together, which sees smaller
    changes than one run does.
    """
    from ..validation.pages import render, show, to_json, to_junit, to_markdown
    from ..validation.verdict import examine

    with err.status("reading") as status:
        validation = examine(folders, against, lambda text: status.update(escape(printable(text))))
    piped = json_file == Path("-")
    written = writing.write(  # before printing: who reads it may stop reading
        (
            (report, lambda: render(validation), "report"),
            (junit, lambda: to_junit(validation), "JUnit file"),
            (None if piped else json_file, lambda: to_json(validation), "JSON file"),
            (summary, lambda: to_markdown(validation), "summary"),
        )
    )
    for_people = err if piped else out
    show(validation, for_people)
    writing.show(written, for_people)
    if piped:
        out.print(to_json(validation), soft_wrap=True, markup=False, highlight=False, end="")
    raise typer.Exit(validation.comparison.verdict.value)


@app.command()
def reference(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders of runs, or of folders of runs: five or more of one network, each with "
            "another seed.",
        ),
    ],
    file: Annotated[Path, typer.Option("--out", help="The .h5 file to write.")],
    duration: Annotated[
        list[float] | None,
        typer.Option(
            help="Over which statistics are taken, ms; repeatable. 2, 5, 10 and 100 s, as far as "
            "the runs last, and all of them, unless given."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Freeze runs into a reference: a small file without spikes, for validate --against."""
    from ..validation.verdict import freeze

    if file.suffix != ".h5":
        raise InvalidValueError(f"a reference is an .h5 file, and --out names {file}")
    if file.exists() and not overwrite:
        raise OutputError(f"{file} exists already; --overwrite replaces it")
    with err.status("reading") as status:
        found = freeze(folders, duration or (), lambda text: status.update(escape(printable(text))))
        with interruption.shielded():
            found.save(file)
    out.print(
        f"{len(found.provenance['seeds'])} runs of {', '.join(f'{d:g}' for d in found.durations)} "
        f"ms, {file.stat().st_size / 1e3:.0f} kB: {file}",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip


@app.command(
    epilog=examples(
        "benchmark --backends builtin,nest --scale 0.1",
        "benchmark --backends builtin --threads 1,2,4",
    )
)
def benchmark(
    backends: Annotated[
        str, typer.Option(help="Backends, separated by commas; the first is the yardstick.")
    ],
    scale: Scale = None,
    repeats: Annotated[int, typer.Option(help="Runs of each backend.")] = 3,
    duration: Annotated[float, typer.Option(help="Model time to measure, ms.")] = 10_000.0,
    warmup: Annotated[float, typer.Option(help="Model time before it, ms.")] = 500.0,
    drive: Drive = None,
    machine: Annotated[
        str, typer.Option(help="Machine by name, or a .toml file; it says what measures energy.")
    ] = DEFAULT_MACHINE,
    model: ModelName = "pd14",
    seed: Annotated[
        int, typer.Option(help="Seed of the first run of each; repeats take the next ones.")
    ] = 1,
    events_from: Annotated[
        Path | None,
        typer.Option(help="Recorded run of the same settings, for the number of synaptic events."),
    ] = None,
    overwrite: Overwrite = False,
    param: Param = None,
    threads: Annotated[
        str | None,
        typer.Option(help="Numbers of threads, e.g. 1,2,4: each backend with each of them."),
    ] = None,
    quiet: Quiet = False,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "results/benchmark"
    ),
) -> None:
    """Run backends in turn, without recording, and compare their time, memory and energy."""
    from ..validation import cost as measuring

    plan = measuring.Plan(
        backends=tuple(name.strip() for name in backends.split(",")),
        repeats=repeats,
        model=model,
        machine=machine,
        parameters=model_parameters(param, scale=scale, drive=drive),
        warmup=warmup,
        duration=duration,
        seed=seed,
        threads=numbers(threads, "--threads"),
    )
    with ConsoleReporter(_progress(quiet)) as reporter:
        found = measuring.benchmark(
            plan,
            folder,
            reporter=reporter,
            events_from=Recording.load(events_from) if events_from else None,
            overwrite=overwrite,
        )
    if found.results:
        out.print(measuring.table(found))
    for message in dict.fromkeys(line for r in found.results for line in r.messages):
        err.print(Text(printable(message), "yellow"), soft_wrap=True)
    for failure in found.failures:
        _complain("red", f"{failure.label} (run {failure.repeat + 1})", failure.reason)
    files = [
        folder,
        *(path for name in (measuring.PLOT, measuring.SCALING) if (path := folder / name).exists()),
    ]
    for path in files:
        out.print(
            f"{'written to' if path is folder else '':11}{path}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
    if found.failures:
        raise typer.Exit(1)


app.command(epilog=examples("show results/mine"))(show)
app.command(epilog=examples("plot results/mine", "plot results/mine -o mine.pdf"))(plot)
app.command()(submit)
app.add_typer(jobs, name="jobs")
app.add_typer(neurons, name="neurons")
app.command()(predict)
app.command()(calibrate)
app.command()(impact)
app.command()(task)
app.command()(compare)
app.command()(export)


@app.command(
    epilog=examples(
        "sweep --seeds 1-10 --backend nest --out results/nest",
        "sweep -m brunel2000 -p g=4 -p g=5 -p g=6 --seeds 1-3",
    )
)
def sweep(
    seeds: Annotated[str, typer.Option(help="Seeds, e.g. 1-10 or 1,2,5-8.")] = "1",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "-b",
            autocompletion=backend_completion,
            help=f"Simulator or machine. {DEFAULT_BACKEND} unless given. *",
        ),
    ] = None,
    scale: Annotated[
        list[float] | None,
        typer.Option("--scale", "-s", help=f"{SCALE_HELP} *"),
    ] = None,
    drive: Annotated[list[str] | None, typer.Option(help=f"{DRIVE_HELP} *")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help=f"{PARAM_HELP}. *"),
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help=f"{OPTION_HELP}. *")] = None,
    machine: Annotated[
        list[str] | None,
        typer.Option(help=f"Machine by name, or a .toml file. {DEFAULT_MACHINE} unless given. *"),
    ] = None,
    realisation: Annotated[
        list[str] | None,
        typer.Option(help=f"{' or '.join(REALISATIONS)}. {REALISATIONS[0]} unless given. *"),
    ] = None,
    timestep: Annotated[
        list[float] | None, typer.Option(help="Time step, ms. 0.1 unless given. *")
    ] = None,
    model: ModelName = "pd14",
    duration: Duration = DURATION,
    warmup: Warmup = 500.0,
    record: Record = None,
    no_record: NoRecord = False,
    jobs: Annotated[
        int | None,
        typer.Option(help="Runs at once. As many as the cores allow unless given; on SLURM, 1."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads of each run, where its backend has any. Those of the machine file unless "
            "given, or else 1."
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Run on a cluster: slurm, or the address of a Dask scheduler (tcp://HOST:PORT)."
        ),
    ] = None,
    cluster_option: Annotated[
        list[str] | None,
        typer.Option(
            help="With slurm: NAME=VALUE for dask-jobqueue, e.g. queue=short, walltime=02:00:00, "
            "memory=16GB; repeatable."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do finished runs again.")] = False,
    quiet: Quiet = False,
    folder: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for the results: one folder in it for each run."),
    ] = Path("results/sweep"),
) -> None:
    """Do many runs, each in a process of its own; go on where an earlier call was stopped.

    What is marked * can be given several times: every combination of the values, and every seed,
    is a run. Exit status 0 if all runs are finished, 1 if some failed, 130 when interrupted.
    """
    from ..sweep import runs as sweeping
    from ..sweep.pool import DaskPool, LocalPool
    from .sweep_console import SweepReporter, show

    given = {"backend": backend, "machine": machine, "realisation": realisation}
    parameters = {"scale": scale, "drive": drive, **_values(param, "--param", json_or_text)}
    over: dict[str, list[Any]] = {
        **{name: values for name, values in given.items() if values},
        **({"timestep": timestep} if timestep else {}),
        "options": sweeping.combinations(_values(option, "--option", str)),
        "parameters": sweeping.combinations({k: v for k, v in parameters.items() if v}),
        "seed": sweeping.parse_seeds(seeds),
    }
    experiments = sweeping.grid(
        over,
        model=model,
        duration=duration,
        warmup=warmup,
        record=record or [],
        record_spikes=not no_record,
    )
    pool: LocalPool | DaskPool | None = LocalPool(jobs) if jobs is not None else None
    if cluster is not None:
        options = {k: json_or_text(v) for k, v in pairs(cluster_option, "--cluster-option").items()}
        pool = DaskPool(cluster, jobs or 1, threads or 1, options)
    elif cluster_option:
        raise InvalidValueError("--cluster-option needs --cluster slurm")
    reporter = SweepReporter(_progress(quiet))
    interruption.tell(lambda: reporter.state)
    with reporter:
        found = sweeping.sweep(
            experiments,
            folder,
            pool=pool,
            threads=threads,
            overwrite=overwrite,
            report=reporter,
        )
    show(found, out)
    doubts = (text for run in found.runs for text in warnings_of(run.metadata))
    for doubt in dict.fromkeys(doubts):
        _complain("yellow", "Warning", doubt)
    failed = found.of(sweeping.FAILED)
    for run in failed:
        log = folder / run.name / sweeping.LOG
        _complain("red", "Failed", f"{run.name}: {run.error} (all that it said is in {log})")
    if failed:
        err.print("The same command tries again what failed, and nothing else.", soft_wrap=True)
        raise typer.Exit(1)


app.command()(backends)
app.command()(hardware)
app.command()(models)


@app.command()
def emulate(
    version: Annotated[
        int, typer.Option(help="Version of the SpiNNaker boards: 3 (4 chips) or 5 (48 chips).")
    ] = 5,
    width: Annotated[
        int | None, typer.Option(help="Chips in a row; one board unless given, 12: three boards.")
    ] = None,
    height: Annotated[int | None, typer.Option(help="Chips in a column.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Loopback address; the first that is free unless given.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of this host; two, if it has as many, unless given.")
    ] = None,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Never faster than the clock, not only in a run.")
    ] = False,
) -> None:
    """Serve an emulated SpiNNaker board for unmodified sPyNNaker scripts, until Ctrl-C."""
    interruption.tell("the emulated board is switched off.")
    with load_target(EMULATED_BOARD)(
        version,
        width=width,
        height=height,
        address=address,
        threads=threads,
        real_time=real_time,
    ) as board:
        out.print(f"emulating {board.n_chips} chips; put this into spynnaker.cfg:\n", markup=False)
        out.print(board.configuration, soft_wrap=True, markup=False, highlight=False)
        out.print("Ctrl-C ends it.")
        try:
            board.wait()
        except KeyboardInterrupt:
            warning = board.report()["load"]["warning"]
            if warning:
                _complain("yellow", "Warning", warning)
            raise


def _values(texts: list[str] | None, flag: str, read: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Values by name, where a name can be given several times."""
    found: dict[str, list[Any]] = {}
    for text in texts or []:
        for name, value in pairs([text], flag).items():
            found.setdefault(name, []).append(read(value))
    return found


def _complain(colour: str, kind: str, text: str) -> None:
    err.print(Text.assemble((f"{kind}: ", colour), printable_lines(text)), soft_wrap=True)


def _show_warning(message: Warning | str, category: type[Warning], *_rest: Any, **_: Any) -> None:
    ours = issubclass(category, ModelWarning | RunWarning | RecordingWarning)
    kind = "Warning" if ours else category.__name__
    _complain("yellow", kind, str(message))


def command(arguments: Sequence[str]) -> int:
    """Do what the arguments say; exit status.

    Parameters
    ----------
    arguments : sequence of str
        Without the name of the program.

    Examples
    --------
    >>> command(["--version"])
    portable-cortex ...
    0
    """
    warnings.showwarning = _show_warning
    group = typer.main.get_command(app)
    arguments = list(arguments)
    try:
        if COMPLETION in os.environ:  # a shell asks what could come next
            group.main(arguments, "portable-cortex")
        # not its main(), which makes other exceptions and states of its own
        made = group.make_context("portable-cortex", arguments, obj=tuple(arguments))
    except typer.Exit as ended:
        return ended.exit_code
    except SystemExit as ended:  # of the options and scripts for completion
        return int(ended.code or 0)
    except _UsageError as error:
        error.show()
        return 2
    try:
        with made as context:
            group.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except _UsageError as error:
        error.show()
        return 2
    return 0


def main() -> None:
    """The command, in a process that is not its own: `entry.main` does the same and more."""
    interruption.run()
    sys.exit(status_of(command, sys.argv[1:]))

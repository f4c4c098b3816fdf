"""``portable-cortex sweep`` and ``benchmark``: many runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ..errors import InvalidValueError
from ..experiment import DURATION, REALISATIONS
from ..host import interruption
from ..host.untrusted import printable
from ..recording import Recording
from ..registry import DEFAULT_BACKEND, DEFAULT_MACHINE
from ..sweep.table import warnings_of
from .console import complain, err, out, progress_on
from .options import (
    DRIVE_HELP,
    OPTION_HELP,
    PARAM_HELP,
    SCALE_HELP,
    Drive,
    Duration,
    ModelName,
    NoRecord,
    Overwrite,
    Param,
    Quiet,
    Record,
    Scale,
    Warmup,
    backend_completion,
    json_or_text,
    model_parameters,
    numbers,
    pairs,
)
from .progress import ConsoleReporter


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
    reporter = SweepReporter(progress_on(quiet))
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
        complain("yellow", "Warning", doubt)
    failed = found.of(sweeping.FAILED)
    for run in failed:
        log = folder / run.name / sweeping.LOG
        complain("red", "Failed", f"{run.name}: {run.error} (all that it said is in {log})")
    if failed:
        err.print("The same command tries again what failed, and nothing else.", soft_wrap=True)
        raise typer.Exit(1)


def benchmark(
    backends: Annotated[
        str, typer.Option(help="Backends, separated by commas; the first is the yardstick.")
    ],
    scale: Scale = None,
    repeats: Annotated[int, typer.Option(help="Runs of each backend.")] = 3,
    duration: Annotated[
        float, typer.Option("--duration", "-d", help="Model time to measure, ms.")
    ] = 10_000.0,
    warmup: Annotated[float, typer.Option(help="Model time before it, ms.")] = 500.0,
    drive: Drive = None,
    machine: Annotated[
        str, typer.Option(help="Machine by name, or a .toml file; it says what measures energy.")
    ] = DEFAULT_MACHINE,
    model: ModelName = "pd14",
    option: Annotated[
        list[str] | None, typer.Option(help=f"{OPTION_HELP}; of each backend; repeatable.")
    ] = None,
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
    """Run backends in turn, without recording, and compare their time, memory and energy.

    A table, benchmark.json with all of it and, of the microcircuit, a picture beside published
    machines. `portable-cortex compare` makes a page of any model, with verdicts.
    """
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
        options=pairs(option, "--option"),
    )
    with ConsoleReporter(progress_on(quiet)) as reporter:
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
        complain("red", f"{failure.label} (run {failure.repeat + 1})", failure.reason)
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


def _values(texts: list[str] | None, flag: str, read: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Values by name, where a name can be given several times."""
    found: dict[str, list[Any]] = {}
    for text in texts or []:
        for name, value in pairs([text], flag).items():
            found.setdefault(name, []).append(read(value))
    return found

"""``portable-cortex submit`` and ``portable-cortex jobs ...``."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import InvalidValueError, OutputError
from ..experiment import DURATION, Experiment
from ..host import interruption
from ..host.output import whole
from ..host.untrusted import printable, printable_lines
from ..recording import Recording, check_output
from ..recording.archive import SUFFIX, load_archive
from .options import (
    Drive,
    Duration,
    MachineName,
    ModelName,
    Option,
    Overwrite,
    Param,
    Realisation,
    Scale,
    Seed,
    Timestep,
    Warmup,
    model_parameters,
    pairs,
)

if TYPE_CHECKING:
    from ..portal import Client, Job, Outage

out = Console()

jobs = typer.Typer(help="Jobs at the EBRAINS job portal.", no_args_is_help=True)

LARGEST_ID = 2**31 - 1

JobId = Annotated[
    int, typer.Argument(metavar="ID", help="Number of the job.", min=1, max=LARGEST_ID)
]
Command = Annotated[
    str | None,
    typer.Option(help="Command that prints the EBRAINS token; EBRAINS_TOKEN unless given."),
]
Url = Annotated[
    str | None,
    typer.Option(help="Address of the portal; EBRAINS_PORTAL_URL or EBRAINS' own unless given."),
]
Deadline = Annotated[
    float | None, typer.Option(help="Minutes to wait at most; for ever unless given.", min=0.0)
]


def _client(token_command: str | None, url: str | None) -> Client:
    from ..portal import DEFAULT_URL, Client, find_token

    address = url or os.environ.get("EBRAINS_PORTAL_URL") or DEFAULT_URL
    return Client(find_token(token_command), address)


def _wait(client: Client, job_id: int, minutes: float | None) -> Job:
    def show(job: Job) -> None:
        out.print(f"job {job.id} is {job.status}", highlight=False)

    interruption.tell(_come_back(job_id))
    return client.wait(
        job_id,
        deadline=None if minutes is None else 60 * minutes,
        on_status=show,
        on_outage=_outage_lines(job_id),
    )


def _come_back(job_id: int) -> str:
    return f"job {job_id} goes on. Come back with: portable-cortex jobs fetch {job_id}"


def _outage_lines(job_id: int) -> Callable[[Outage], None]:
    """A line when an outage begins, when its reason changes, every hour of it, and at its end."""
    import datetime

    shown = ("", datetime.datetime.min.replace(tzinfo=datetime.timezone.utc))  # noqa: UP017

    def tell(outage: Outage) -> None:
        nonlocal shown
        now = datetime.datetime.now().astimezone()
        since = f"{outage.since:%Y-%m-%d %H:%M:%S}"
        if outage.over:
            line = f"there are answers again (there were none since {since})"
            shown = ("", shown[1])
        elif outage.reason == shown[0] and now - shown[1] < datetime.timedelta(hours=1):
            return
        else:
            line = (
                f"no answer since {since}: {outage.reason}; job {job_id} goes on, and is asked for "
                "until there is an answer (Ctrl-C ends the waiting, not the job)"
            )
            shown = (outage.reason, now)
        out.print(Text(printable(line)), soft_wrap=True)

    return tell


def submit(
    collab: Annotated[str, typer.Option(help="EBRAINS collab whose quota is used.")],
    backend: Annotated[str, typer.Option(help="What runs it at the portal.")] = "spinnaker",
    platform: Annotated[str, typer.Option(help="Machine at the portal.")] = "SpiNNaker",
    machine: MachineName = "spinnaker-portal",
    model: ModelName = "pd14",
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    option: Option = None,
    duration: Duration = DURATION,
    warmup: Warmup = 500.0,
    timestep: Timestep = 0.1,
    seed: Seed = 1,
    realisation: Realisation = "native",
    hours: Annotated[
        int | None, typer.Option(help="Hours after which the machine ends the job.", min=1)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the job, and fetch its recording.")
    ] = False,
    deadline: Deadline = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="With --wait: folder for the results.")
    ] = None,
    overwrite: Overwrite = False,
    script: Annotated[
        Path | None, typer.Option(help="Write the job's script there, and submit nothing.")
    ] = None,
    token_command: Command = None,
    url: Url = None,
) -> None:
    """Submit a network to SpiNNaker through the EBRAINS job portal."""
    from ..portal import make_script
    from ..portal import submit as submit_job

    experiment = Experiment(
        model=model,
        parameters=model_parameters(param, scale=scale, drive=drive),
        backend=backend,
        machine=machine,
        options=pairs(option, "--option"),
        seed=seed,
        timestep=timestep,
        warmup=warmup,
        duration=duration,
        realisation=realisation,
    )
    if script is not None:
        code = make_script(experiment).code
        try:
            with whole(script) as part:
                part.write_text(code, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{script} cannot be written: {error.strerror}") from None
        word = shlex.quote(str(script))
        out.print(
            f"written to {script}: try it with `python {word} nest`; "
            f"`python {word} --help` says what it is and carries",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
        return
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    interruption.tell("nothing was submitted.")
    with _client(token_command, url) as client:
        job = submit_job(client, experiment, collab=collab, platform=platform, hours=hours)
        interruption.tell(_come_back(job.id))
        out.print(f"submitted as job {job.id}", highlight=False)
        if not wait:
            out.print(
                f"fetch its results with: portable-cortex jobs fetch {job.id}", soft_wrap=True
            )
            return
        _wait(client, job.id, deadline)
        _fetch(client, job.id, folder, overwrite, patient=True)


def _fetch(
    client: Client, job_id: int, folder: Path | None, overwrite: bool, *, patient: bool
) -> None:
    from ..portal import fetch as fetch_job

    interruption.tell(f"nothing was written. Come back with: portable-cortex jobs fetch {job_id}")
    target = folder or Path("results") / f"job-{job_id}"
    tell = _outage_lines(job_id) if patient else None
    _show(fetch_job(client, job_id, target, overwrite=overwrite, on_outage=tell), target)


def _unpack(archive: Path, folder: Path | None, overwrite: bool) -> None:
    """Write the archive that a job's script left on this computer as any other run."""
    target = check_output(folder or Path("results") / archive.stem, overwrite=overwrite)
    recording = load_archive(archive)
    recording.save(target, overwrite=overwrite, figure=True)
    _show(recording, target)


def _show(recording: Recording, folder: Path) -> None:
    for label, rate in recording.rates().items():
        out.print(Text(f"{printable(label):17}{rate:.3f} spikes/s"), highlight=False)
    out.print(f"{'written to':17}{folder}", soft_wrap=True, markup=False, highlight=False)
    for doubt in recording.metadata.get("warnings", ()):
        out.print(Text.assemble(("Warning: ", "yellow"), printable(doubt)), soft_wrap=True)


@jobs.command("list")
def list_jobs(
    size: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=500)] = 10,
    status: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    collab: Annotated[str | None, typer.Option(help="Only those of this collab.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    token_command: Command = None,
    url: Url = None,
) -> None:
    """List jobs, newest first; the portal leaves out those that were removed."""
    from ..portal.client import LISTED

    if status is not None and status not in LISTED:
        valid = ", ".join(LISTED)
        hint = ": the portal lists no job that was removed" if status == "removed" else ""
        raise InvalidValueError(f"the state must be one of {valid}, not {status!r}{hint}")
    with _client(token_command, url) as client:
        found = client.list_jobs(size=size, status=status, collab=collab, tag=tag)
    table = Table("job", "state", "platform", "collab", "submitted")
    for job in found:
        table.add_row(*(_cell(v) for v in (job.id, job.status, job.hardware_platform, job.collab,
                                           job.timestamp_submission)))  # fmt: skip
    out.print(table)


@jobs.command()
def show(job_id: JobId, token_command: Command = None, url: Url = None) -> None:
    """Show what the portal knows about a job."""
    with _client(token_command, url) as client:
        job = client.job(job_id)
    about = job.model_dump(exclude={"code", "log", "output_data"})
    if job.resource_usage is not None:
        about["resource_usage"] = f"{job.resource_usage.value:g} {job.resource_usage.units}"
    about["output"] = [file.url for file in job.output_data.files] if job.output_data else []
    for name, value in about.items():
        if value not in (None, "", [], ()):
            shown = value if isinstance(value, str | int) else json.dumps(value, default=str)
            out.print(_line(name, shown), soft_wrap=True, highlight=False)


@jobs.command()
def log(job_id: JobId, token_command: Command = None, url: Url = None) -> None:
    """Print the log of a job."""
    with _client(token_command, url) as client:
        text = client.log(job_id)
    out.print(Text(printable_lines(text)), soft_wrap=True)


@jobs.command()
def fetch(
    job: Annotated[
        str,
        typer.Argument(
            metavar="ID|FILE",
            help="Number of the job; or the archive (.zip) that a job's script left here.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the results; results/job-ID, or results/FILE, unless given."
        ),
    ] = None,
    overwrite: Overwrite = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has finished.")] = False,
    deadline: Deadline = None,
    token_command: Command = None,
    url: Url = None,
) -> None:
    """Download what a job recorded; then validate it as any other run."""
    if not (job.isascii() and job.isdigit()):
        if Path(job).suffix.lower() != SUFFIX and not Path(job).is_file():
            raise InvalidValueError(
                f"{job!r} is neither the number of a job nor an archive ({SUFFIX})"
            )
        _unpack(Path(job), folder, overwrite)
        return
    job_id = int(job[:12])
    if not 1 <= job_id <= LARGEST_ID:
        raise InvalidValueError(f"the number of a job is from 1 to {LARGEST_ID}, not {job[:50]}")
    with _client(token_command, url) as client:
        if wait:
            _wait(client, job_id, deadline)
        _fetch(client, job_id, folder, overwrite, patient=wait)


@jobs.command()
def cancel(
    job_id: JobId,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it without asking, even if it has finished.")
    ] = False,
    token_command: Command = None,
    url: Url = None,
) -> None:
    """Remove a job from the queue; one that has finished, from the lists."""
    with _client(token_command, url) as client:
        job = client.job(job_id)
        if job.status == "removed":
            out.print(f"job {job_id} is removed already", highlight=False)
            return
        if job.has_ended and not yes:
            _confirm(
                f"job {job_id} is {job.status}: removed, it is not listed any more, and its "
                "results may not be had again"
            )
        interruption.tell(
            f"job {job_id} may have been removed already: `portable-cortex jobs show {job_id}` says"
        )
        client.cancel(job_id)
        interruption.tell(f"job {job_id} is removed.")
    out.print(f"job {job_id} is removed", highlight=False)
    if job.status not in ("submitted", "finished", "error"):
        out.print(
            f"it was {job.status}, which removing does not stop: it goes on, uses its quota, and "
            "is listed again when it has finished",
            soft_wrap=True,
            highlight=False,
        )


def _confirm(consequence: str) -> None:
    """Ask; without a terminal, refuse."""
    if not sys.stdin.isatty():
        raise InvalidValueError(f"{consequence}; nothing was done: to remove it, add --yes")
    if not typer.confirm(f"{consequence}. Remove it?"):
        raise InvalidValueError("nothing was done")


def _line(name: str, value: Any) -> Text:
    return Text(f"{printable(name).replace('_', ' '):24}{printable(value)}")


def _cell(value: Any) -> Text:
    return Text(printable("" if value is None else value))

"""The EBRAINS job portal: submit a network to SpiNNaker, and fetch what it did.

>>> import portable_cortex
>>> from portable_cortex import portal
>>> experiment = portable_cortex.Experiment(backend="spinnaker", machine="spinnaker-portal")
>>> script = portal.make_script(experiment)

With a token, ``portal.submit(client, experiment, collab="my-collab")`` gives a job, and
``portal.fetch(client, job.id, "results/there")`` the recording.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import check_output
from portable_cortex.recording.archive import LARGEST, SUFFIX, read_archive, to_recording

from .answers import REMOVED, Job
from .client import DEFAULT_URL, Client
from .download import download, find_output, save
from .errors import DownloadError, JobNotFinishedError, PortalError
from .patience import Outage, Patience
from .script import Script, make_script
from .token import Token, find_token

__all__ = [
    "DEFAULT_URL",
    "Client",
    "Job",
    "Outage",
    "PortalError",
    "Script",
    "Token",
    "fetch",
    "find_token",
    "make_script",
    "submit",
]


def submit(
    client: Client,
    experiment: Experiment,
    *,
    collab: str,
    platform: str = "SpiNNaker",
    hours: int | None = None,
) -> Job:
    """Submit an experiment as a self-contained job.

    Parameters
    ----------
    client : Client
    experiment : Experiment
    collab : str
        Name of the EBRAINS collab whose quota is used.
    platform : str
        Name of the machine at the portal.
    hours : int, optional
        Time after which the machine ends the job.

    Raises
    ------
    PortableCortexError
        For an experiment that cannot be submitted, and for whatever the portal refuses.
    """
    if not collab.strip():
        raise InvalidValueError("a job needs the name of a collab, whose quota it uses (--collab)")
    if hours is not None and hours < 1:
        raise InvalidValueError(f"the time limit is a number of whole hours from 1, not {hours}")
    script = make_script(experiment)
    config: Mapping[str, Any] = {} if hours is None else {"timeout": hours}
    return client.submit(
        script.code, collab=collab, platform=platform, hardware_config=config, tag=script.archive
    )


def fetch(
    client: Client,
    job_id: int,
    folder: str | Path,
    *,
    overwrite: bool = False,
    largest: int = LARGEST,
    transport: httpx.BaseTransport | None = None,
    on_outage: Callable[[Outage], None] | None = None,
) -> Recording:
    """Download what a finished job recorded, and write it as a run of any other backend.

    Parameters
    ----------
    client : Client
    job_id : int
    folder : str or Path
        For ``spikes.h5``, ``run.json`` and ``activity.png``.
    overwrite : bool
        Replace a run that the folder holds.
    largest : int
        Bytes to download at most.
    transport : httpx.BaseTransport, optional
        For tests.
    on_outage : callable, optional
        Told whenever a server does not answer, which is asked again until it does; unless given,
        that is an error.

    Raises
    ------
    PortalError
        If there is no such job, it has not finished, it failed, its results are gone, or they are
        not what they should be: then nothing is written.
    OutputError
        If the folder holds a run, or cannot be written.
    """
    target = check_output(folder, overwrite=overwrite)

    def download_now() -> Recording:
        return _downloaded(client, job_id, largest, transport)

    if on_outage is None:
        recording = download_now()
    else:
        recording = Patience(on_outage=on_outage).ask(download_now)
    save(recording, target, overwrite=overwrite)
    return recording


def _downloaded(
    client: Client, job_id: int, largest: int, transport: httpx.BaseTransport | None
) -> Recording:
    """The recording of a job, with what the portal says about the job in its metadata."""
    job = client.job(job_id)
    # removing a finished job takes it from the lists, not its results from the server
    if job.status == "error" or (job.status == REMOVED and not job.output_data):
        raise client.failure(job)
    if job.status not in ("finished", REMOVED):
        raise JobNotFinishedError(
            f"job {job_id} is {job.status}: there are no results yet; "
            f"`portable-cortex jobs show {job_id}` says how it goes"
        )
    output = find_output(job)
    try:
        with tempfile.TemporaryDirectory(prefix="portable-cortex-") as folder:
            archive = download(output, Path(folder), largest=largest, transport=transport)
            recording = to_recording(read_archive(archive.path, largest=largest))
    except OutputError as error:
        raise DownloadError(str(error)) from None
    except OSError as error:
        raise OutputError(f"the download could not be kept: {error}") from None
    usage = job.resource_usage
    portal = {
        "url": client.url,
        "job": job.id,
        "collab": job.collab,
        "platform": job.hardware_platform,
        "submitted": job.timestamp_submission,
        "completed": job.timestamp_completion,
        "resource_usage": None if usage is None else usage.model_dump(),
        "archive": archive.name,
        "archive_bytes": archive.size,
        "archive_sha256": archive.sha256,
    }
    _check_identity(recording, portal)
    return replace(recording, metadata={**recording.metadata, "portal": portal})


def _check_identity(recording: Recording, portal: Mapping[str, Any]) -> None:
    """Raise `DownloadError` for the recording of another job."""
    says = recording.metadata.get("portal")
    job = says.get("job", portal["job"]) if isinstance(says, Mapping) else portal["job"]
    archive = recording.metadata.get("archive", portal["archive"].removesuffix(SUFFIX))
    if job != portal["job"] or f"{archive}{SUFFIX}" != portal["archive"]:
        raise DownloadError(
            f"{portal['archive']} of job {portal['job']} holds the recording of another job: "
            f"{printable(job if job != portal['job'] else archive, 100)}"
        )

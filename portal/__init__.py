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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.recording import check_output

from .client import DEFAULT_URL, Client, Job
from .download import LARGEST, download, find_output, read_archive, save, to_recording
from .errors import JobNotFinishedError, PortalError
from .script import Script, make_script
from .token import Token, find_token

__all__ = [
    "DEFAULT_URL",
    "Client",
    "Job",
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

    Raises
    ------
    PortalError
        If there is no such job, it has not finished, it failed, its results are gone, or they are
        not what they should be: then nothing is written.
    OutputError
        If the folder holds a run, or cannot be written.
    """
    target = check_output(folder, overwrite=overwrite)
    job = client.job(job_id)
    if job.status != "finished":
        if job.is_final:
            raise client.failure(job)
        raise JobNotFinishedError(
            f"job {job_id} is {job.status}: there are no results yet; "
            f"`portable-cortex jobs show {job_id}` says how it goes"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="portable-cortex-") as place:
            output = find_output(job)
            archive = download(output, Path(place), largest=largest, transport=transport)
            files = read_archive(archive.path, largest=largest)
    except OSError as error:
        raise OutputError(f"the download could not be kept: {error}") from None
    about = {
        "portal": {
            "url": client.url,
            "job": job.id,
            "collab": job.collab,
            "platform": job.hardware_platform,
            "submitted": job.timestamp_submission,
            "completed": job.timestamp_completion,
            "archive": archive.name,
            "archive_bytes": archive.size,
            "archive_sha256": archive.sha256,
        }
    }
    recording = to_recording(files, about)
    save(recording, target, overwrite=overwrite)
    return recording

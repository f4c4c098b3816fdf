"""Results from the portal. Whatever comes from there is taken to be hostile."""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpx

from portable_cortex import Recording
from portable_cortex.errors import OutputError
from portable_cortex.host.untrusted import printable
from portable_cortex.recording.archive import ERROR, LARGEST, SUFFIX, read_archive

from .address import parse_address
from .answers import Job, OutputFile
from .errors import DownloadError, FilesUnavailableError, PurgedError, UnreachableError

ARCHIVE = re.compile(r"portable-cortex-[0-9a-f]{32}\.zip")
MOST_REDIRECTS = 5
CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A downloaded archive.

    Attributes
    ----------
    path : Path
    name : str
    sha256 : str
    size : int
        Bytes.
    """

    path: Path
    name: str
    sha256: str
    size: int


def find_output(job: Job) -> OutputFile:
    """The archive among a job's files: the one that bears the job's tag, if the job has any.

    Raises
    ------
    DownloadError
        If there is none, with the names of what there is.
    """
    files = job.output_data.files if job.output_data else ()
    named = [(_name(file.url), file) for file in files]
    tagged = [
        name for name in (f"{tag}{SUFFIX}" for tag in job.tags or ()) if ARCHIVE.fullmatch(name)
    ]
    found = [
        file for name, file in named
        if ARCHIVE.fullmatch(name) and (not tagged or name in tagged)
    ]  # fmt: skip
    if not found:
        names = ", ".join(printable(name, 80) for name, _ in named[:10]) or "none"
        raise DownloadError(
            f"job {job.id} left no archive of portable-cortex{' of its own' if tagged else ''}; "
            f"its files: {names}"
        )
    # a job writes one; where it ran twice, the name is the same
    return found[-1]


def _name(url: str) -> str:
    """The last part of an address."""
    return unquote(url.partition("?")[0].partition("#")[0]).rpartition("/")[2]


def download(
    file: OutputFile,
    folder: Path,
    *,
    largest: int = LARGEST,
    timeout: float = 60.0,
    transport: httpx.BaseTransport | None = None,
) -> Archive:
    """Download an archive to ``archive.zip`` in `folder`, without the token.

    Parameters
    ----------
    file : OutputFile
    folder : Path
    largest : int
        Bytes; of more, nothing is kept.
    timeout : float
        Seconds without a byte.
    transport : httpx.BaseTransport, optional
        For tests.

    Raises
    ------
    PurgedError
        If the server has it no more (404, 410).
    DownloadError
        For everything else that is wrong with it.
    """
    name = _name(file.url)
    url = _address(file.url)
    digest, size = hashlib.sha256(), 0
    target = folder / "archive.zip"
    try:
        with (
            target.open("wb") as out,
            httpx.Client(
                timeout=timeout,
                transport=transport,
                follow_redirects=True,
                max_redirects=MOST_REDIRECTS,
                event_hooks={"response": [_look_at_redirection]},
            ) as http,
            http.stream("GET", url) as answer,
        ):
            if answer.status_code in (404, 410):
                raise PurgedError(
                    f"{name} is not on the server any more ({answer.status_code}): results are "
                    "deleted there after 100 days; submit the job again"
                )
            if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
                raise FilesUnavailableError(
                    f"{name}: the server answered {answer.status_code}; try again later"
                )
            if not answer.is_success:
                raise DownloadError(f"{name}: the server answered {answer.status_code}")
            for chunk in answer.iter_bytes(CHUNK):
                size += len(chunk)
                if size > largest:
                    raise DownloadError(f"{name} is larger than {largest:,} bytes: not kept")
                digest.update(chunk)
                out.write(chunk)
        _check(file, name, size, digest.hexdigest())
    except httpx.TooManyRedirects:
        target.unlink(missing_ok=True)
        raise DownloadError(f"the server of {name} sends on and on: not followed") from None
    except httpx.HTTPError as error:
        target.unlink(missing_ok=True)
        raise UnreachableError(
            f"{name} could not be downloaded: {type(error).__name__}: {printable(error, 200)}"
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Archive(target, name, digest.hexdigest(), size)


def _address(text: str) -> httpx.URL:
    try:
        return parse_address(text)
    except ValueError as error:
        raise DownloadError(
            f"'{printable(text, 200)}' is no address to download from: {error}"
        ) from None


def _look_at_redirection(answer: httpx.Response) -> None:
    """Raise `DownloadError` unless a redirection is to an address as sound as the first."""
    if not answer.has_redirect_location:
        return
    target = answer.headers["location"]
    try:
        further = _address(str(answer.url.join(target)))
    except (httpx.InvalidURL, ValueError) as error:
        raise DownloadError(
            f"the server sends on to '{printable(target, 200)}', which is no address: "
            f"{printable(error, 200)}"
        ) from None
    if answer.url.scheme == "https" and further.scheme != "https":
        raise DownloadError(
            f"the server sends on to {printable(further, 200)}, unencrypted: not followed"
        )


def _check(file: OutputFile, name: str, size: int, sha256: str) -> None:
    if file.size is not None and file.size != size:
        raise DownloadError(f"{name} has {size:,} bytes, and {file.size:,} were announced")
    kind, _, announced = (file.hash or "").rpartition(":")
    if kind in ("", "sha256") and len(announced) == 64 and announced.lower() != sha256:
        raise DownloadError(f"{name} is damaged: its SHA-256 is not the announced one")


def error_text(job: Job, *, transport: httpx.BaseTransport | None = None) -> str:
    """What the archive of a failed job says of its error.

    Raises
    ------
    PortalError, OutputError
        If it cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="portable-cortex-") as folder:
        archive = download(find_output(job), Path(folder), transport=transport)
        return read_archive(archive.path).get(ERROR, b"").decode("utf-8", "replace")


def save(recording: Recording, folder: Path, *, overwrite: bool) -> Path:
    """Write a fetched recording as any other, with its figure.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    is_new = not folder.exists()
    try:
        return recording.save(folder, overwrite=overwrite, figure=True)
    except (KeyError, TypeError, ValueError, MemoryError, AttributeError) as error:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        what = printable(error, 200) or type(error).__name__
        raise OutputError(f"the fetched run cannot be written: {what}") from None

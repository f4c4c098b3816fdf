"""Results from the portal. Whatever comes from there is taken to be hostile."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np

from portable_cortex import Recording
from portable_cortex.errors import OutputError
from portable_cortex.sonata import Spikes, by_time

from .client import Job, OutputFile, printable
from .errors import DownloadError, PurgedError, UnreachableError

ARCHIVE = re.compile(r"portable-cortex-[0-9a-f]{32}\.zip")
LARGEST = 4 * 1024**3  # bytes of an archive, and of what is in it
MOST_FILES = 100
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
    """The archive among a job's files.

    Raises
    ------
    DownloadError
        If there is none, with the names of what there is.
    """
    files = job.output_data.files if job.output_data else ()
    found = [file for file in files if ARCHIVE.fullmatch(_name(file.url))]
    if not found:
        names = ", ".join(_name(f.url)[:80] for f in files[:10]) or "none"
        raise DownloadError(
            f"job {job.id} left no archive of portable-cortex; its files: {printable(names)}"
        )
    # a job writes one; where it ran twice, the name is the same
    return found[-1]


def _name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


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
    if urlsplit(file.url).scheme not in ("http", "https"):
        raise DownloadError(f"{printable(file.url)[:200]!r} is no address to download from")
    digest, size = hashlib.sha256(), 0
    target = folder / "archive.zip"
    try:
        with (
            target.open("wb") as out,
            httpx.Client(
                timeout=timeout, transport=transport, follow_redirects=True, max_redirects=5
            ) as http,
            http.stream("GET", file.url) as answer,
        ):
            if answer.status_code in (404, 410):
                raise PurgedError(
                    f"{name} is not on the server any more ({answer.status_code}): results are "
                    "deleted there after 100 days; submit the job again"
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
    except httpx.HTTPError as error:
        target.unlink(missing_ok=True)
        raise UnreachableError(
            f"{name} could not be downloaded: {type(error).__name__}: {printable(str(error))[:200]}"
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Archive(target, name, digest.hexdigest(), size)


def _check(file: OutputFile, name: str, size: int, sha256: str) -> None:
    if file.size is not None and file.size != size:
        raise DownloadError(f"{name} has {size:,} bytes, and {file.size:,} were announced")
    kind, _, announced = (file.hash or "").rpartition(":")
    if kind in ("", "sha256") and len(announced) == 64 and announced.lower() != sha256:
        raise DownloadError(f"{name} is damaged: its SHA-256 is not the announced one")


def read_archive(source: Path | IO[bytes], *, largest: int = LARGEST) -> dict[str, bytes]:
    """All files of an archive, by name; nothing is written anywhere.

    Raises
    ------
    DownloadError
        For folders, ``..``, links, encryption, too much of anything, or damage.
    """
    files: dict[str, bytes] = {}
    left = largest
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > MOST_FILES:
                raise DownloadError(f"the archive holds {len(members)} files: too many")
            for member in members:
                name = member.filename
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise DownloadError(f"the archive holds {name!r}, which is no plain file")
                if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) or name in files:
                    raise DownloadError(f"the archive holds {name[:100]!r}: no name for a file")
                if member.flag_bits & 0x1:
                    raise DownloadError(f"the archive holds {name!r}, which is encrypted")
                with archive.open(member) as file:
                    content = file.read(left + 1)  # the size that it states may be a lie
                left -= len(content)
                if left < 0:
                    raise DownloadError(f"the archive holds more than {largest:,} bytes")
                files[name] = content
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise DownloadError(f"the archive is damaged: {printable(str(error))[:200]}") from None
    return files


def to_recording(files: Mapping[str, bytes], extra: Mapping[str, Any]) -> Recording:
    """The recording in an archive's files.

    Parameters
    ----------
    files : mapping of str to bytes
    extra : mapping
        What else goes into ``run.json``.

    Raises
    ------
    DownloadError
        For a failed job, and for files that are not what they should be.
    """
    if "run.json" not in files:
        text = printable(files.get("error.txt", b"").decode("utf-8", "replace")).strip()
        reason = text.splitlines()[-1][:500] if text else "it says nothing"
        raise DownloadError(f"the job failed and left no recording: {reason}")
    try:
        about = json.loads(files["run.json"].decode("utf-8"), parse_constant=_no_constant)
        sizes = {str(label): int(n) for label, n in about["populations"].items()}
        warmup, stop = float(about["warmup_ms"]), float(about["warmup_ms"] + about["duration_ms"])
        spikes = {}
        with np.load(io.BytesIO(files["spikes.npz"]), allow_pickle=False) as columns:
            if about["n_spikes"] is not None:
                for number, (label, size) in enumerate(sizes.items()):
                    neurons = columns[f"neurons_{number}"]
                    times = columns[f"times_{number}"]
                    spikes[label] = _spikes(label, size, neurons, times, warmup, stop)
    except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile, OSError,
            RecursionError, MemoryError, OverflowError) as error:  # fmt: skip
        what = f"{type(error).__name__}: {printable(str(error))[:200]}"
        raise DownloadError(f"the archive is not what a job writes: {what}") from None
    return Recording(sizes, spikes, {**about, **extra})


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _spikes(label: str, size: int, neurons: Any, times: Any, start: float, stop: float) -> Spikes:
    if neurons.ndim != 1 or neurons.shape != times.shape:
        raise ValueError(f"{label} has {times.shape} times of {neurons.shape} neurons")
    if neurons.dtype.kind not in "iu" or times.dtype.kind != "f":
        raise ValueError(f"{label} has spikes of another type")
    if times.size:
        if not np.isfinite(times).all() or times.min() <= start - 1e-6:
            raise ValueError(f"{label} has spikes outside of the recording")
        if times.max() > stop + 1e-6 or neurons.min() < 0 or int(neurons.max()) >= size:
            raise ValueError(f"{label} has spikes that it cannot have")
    return by_time(times.astype(float), neurons.astype(np.int64))


def save(recording: Recording, folder: Path, *, overwrite: bool) -> Path:
    """Write a fetched recording as any other, with its figure.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        return recording.save(folder, overwrite=overwrite, figure=True)
    except (KeyError, TypeError, ValueError) as error:  # metadata that no job writes
        raise OutputError(f"the fetched run cannot be written: {error!r}") from None

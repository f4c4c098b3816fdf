"""The archive that a job leaves, as a run: one zip with ``run.json`` and ``spikes.npz``.

Its content is untrusted: nothing is unpacked to disk, and every size that it states is compared
with what is there before memory is given to it.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import OutputError
from ..host.untrusted import parse_json, printable
from .job_error import last_words
from .recording import RUN, Recording
from .spikes import Spikes, by_time

SUFFIX = ".zip"
COLUMNS, ERROR = "spikes.npz", "error.txt"

LARGEST = 4 * 1024**3  # bytes of an archive, and of what is in it
LARGEST_TEXT = 16 * 1024**2  # bytes of run.json, and of error.txt
MOST_FILES = 100
MOST_NEURONS = 10**7  # of one run
MOST_POPULATIONS = 10_000
LONGEST = 1e9  # ms
# Deflate can make one byte of a thousand; what a job writes, it packs to a tenth
PACKING, SLACK = 100, 64 * 1024**2

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# What zipfile and zlib raise for a file that is not what it should be
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError,
           KeyError, IndexError, OverflowError, MemoryError)  # fmt: skip


class _Run(BaseModel):
    """What has to be right in ``run.json`` for the run to be used; all else is kept as it is."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    populations: dict[
        Annotated[str, Field(max_length=1000)], Annotated[int, Field(ge=1, le=MOST_NEURONS)]
    ] = Field(min_length=1, max_length=MOST_POPULATIONS)
    warmup_ms: float = Field(ge=0, le=LONGEST)
    duration_ms: float = Field(gt=0, le=LONGEST)
    n_spikes: int | None = Field(ge=0)
    timestep_ms: float | None = Field(default=None, gt=0, le=LONGEST)
    model: str = ""
    backend: str = ""
    parameters: dict[str, Any] = {}
    warnings: list[str] = []
    published_rates: dict[str, float] = {}


def is_archive(path: str | Path) -> bool:
    """Whether a path is that of a file that a job's archive may be.

    Examples
    --------
    >>> is_archive("nowhere.zip")
    False
    """
    path = Path(path)
    return path.suffix.lower() == SUFFIX and path.is_file()


def load_archive(path: str | Path) -> Recording:
    """Read what a job's script left where it ran.

    Raises
    ------
    OutputError
        If there is no such file, or if it is not what a job writes.

    Examples
    --------
    >>> load_archive("nowhere.zip")
    Traceback (most recent call last):
        ...
    portable_cortex.errors.OutputError: there is no file nowhere.zip
    """
    path = Path(path)
    if not path.is_file():
        raise OutputError(f"there is no file {printable(path)}")
    try:
        return to_recording(read_archive(path))
    except OutputError as error:
        raise OutputError(f"{printable(path)}: {error}") from None


def read_archive(source: Path | IO[bytes], *, largest: int = LARGEST) -> dict[str, bytes]:
    """The files of an archive that make a run, or say why there is none; by name.

    Parameters
    ----------
    source : Path or file
    largest : int
        Bytes to unpack at most.

    Raises
    ------
    OutputError
        For folders, ``..``, links, encryption, too much of anything, or damage.
    """
    limits = {RUN: LARGEST_TEXT, ERROR: LARGEST_TEXT, COLUMNS: largest}
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return _members(file, limits, MOST_FILES, largest)
        return _members(source, limits, MOST_FILES, largest)
    except OutputError:
        raise
    except (*_DAMAGE, OSError) as error:
        raise OutputError(f"the archive is damaged: {printable(error, 200)}") from None


def _members(file: IO[bytes], limits: Mapping[str, int], most: int, left: int) -> dict[str, bytes]:
    """The named members of a zip, none larger than its limit, all together than `left`."""
    size = file.seek(0, io.SEEK_END)
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > most:
            raise OutputError(f"the archive holds {len(members)} files: too many")
        names: set[str] = set()
        for member in members:
            name = member.filename
            shown = f"'{printable(name, 100)}'"
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise OutputError(f"the archive holds {shown}, which is no plain file")
            if not _NAME.fullmatch(name):
                raise OutputError(f"the archive holds {shown}: no name for a file")
            if name in names:
                raise OutputError(f"the archive holds {shown} twice")
            if member.flag_bits & 0x1:
                raise OutputError(f"the archive holds {shown}, which is encrypted")
            names.add(name)
            if name in limits:
                files[name] = _content(archive, member, min(limits[name], left), size)
                left -= len(files[name])
    return files


def _content(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int, archive_size: int
) -> bytes:
    """A member, if it is as large as it says, and that is not too large."""
    name, size = member.filename, member.file_size
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise OutputError(f"{name} in the archive is packed in a way that no job uses")
    if size > limit:
        raise OutputError(f"{name} in the archive holds more than {limit:,} bytes")
    if size > SLACK + PACKING * min(member.compress_size, archive_size):
        raise OutputError(f"{name} in the archive would unpack to {size:,} bytes: no job does that")
    with archive.open(member) as file:
        content = file.read(size + 1)
    if len(content) != size:
        raise OutputError(f"{name} in the archive has {len(content):,} bytes instead of {size:,}")
    return content


def to_recording(files: Mapping[str, bytes]) -> Recording:
    """The recording in an archive's files.

    Parameters
    ----------
    files : mapping of str to bytes

    Raises
    ------
    OutputError
        For a failed job, and for files that are not what they should be.
    """
    if RUN not in files:
        words = last_words(files.get(ERROR, b"").decode("utf-8", "replace"))
        reason = "".join(f"\n  | {line}" for line in words) or " it says nothing"
        raise OutputError(f"the job failed and left no recording:{reason}")
    try:
        metadata = parse_json(files[RUN])
        if not isinstance(metadata, dict):
            raise ValueError(f"{RUN} is no mapping")
        run = _Run.model_validate(metadata)
        if sum(run.populations.values()) > MOST_NEURONS:
            raise ValueError(f"it has more than {MOST_NEURONS:,} neurons")
        spikes = _spikes(run, files[COLUMNS]) if run.n_spikes is not None else {}
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = printable(".".join(map(str, first["loc"])) or "all", 200)
        message = printable(first["msg"], 200).replace("Input should", "it should")
        what = f"{field} in {RUN}: {message}"
        raise OutputError(f"the archive is not what a job writes: {what}") from None
    except KeyError as error:
        raise OutputError(
            f"the archive is not what a job writes: {printable(error.args[0])} is missing"
        ) from None
    except (*_DAMAGE, SyntaxError, TypeError, RecursionError, OSError) as error:
        what = printable(error, 200) or type(error).__name__
        raise OutputError(f"the archive is not what a job writes: {what}") from None
    return Recording(run.populations, spikes, metadata)


def _spikes(run: _Run, content: bytes) -> dict[str, Spikes]:
    """Spikes of each population, in the order of the populations."""
    names = [
        f"{kind}_{i}.npy" for i in range(len(run.populations)) for kind in ("neurons", "times")
    ]
    limits = dict.fromkeys(names, len(content))  # numpy packs nothing
    columns = _members(io.BytesIO(content), limits, len(names), len(content))
    stop = round(run.warmup_ms + run.duration_ms, 9)
    spikes = {}
    for i, (label, size) in enumerate(run.populations.items()):
        label.encode()  # a label that cannot be written is no label
        neurons = _column(columns[f"neurons_{i}.npy"], "iu")
        times = _column(columns[f"times_{i}.npy"], "f")
        spikes[label] = _checked(label, size, neurons, times, run.warmup_ms, stop)
    n_spikes = sum(train.times.size for train in spikes.values())
    if n_spikes != run.n_spikes:
        raise ValueError(
            f"{RUN} says that there are {run.n_spikes} spikes, and there are {n_spikes}"
        )
    return spikes


def _column(content: bytes, kinds: str) -> NDArray[Any]:
    """An array of numpy's format, if its header claims what is there."""
    file, numpy_format = io.BytesIO(content), cast(Any, np.lib.format)  # without types
    if numpy_format.read_magic(file) != (1, 0):
        raise ValueError("spikes are in another format")
    shape, _, dtype = numpy_format.read_array_header_1_0(file)
    if len(shape) != 1 or dtype.kind not in kinds:
        raise ValueError("spikes are of another type")
    if shape[0] * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"an array says that it has {shape[0]:,} values, and it has not")
    return np.frombuffer(content, dtype, offset=file.tell()) if shape[0] else np.empty(0, dtype)


def _checked(
    label: str, size: int, neurons: NDArray[Any], times: NDArray[Any], start: float, stop: float
) -> Spikes:
    name = printable(label, 100)
    if neurons.shape != times.shape:
        raise ValueError(f"{name} has {times.size} times of {neurons.size} neurons")
    if times.size:
        if not np.isfinite(times).all() or times.min() <= start - 1e-6 or times.max() > stop + 1e-6:
            raise ValueError(f"{name} has spikes outside of the recording")
        if int(neurons.min()) < 0 or int(neurons.max()) >= size:
            raise ValueError(f"{name} has spikes of neurons that it does not have")
    return by_time(times.astype(float), neurons.astype(np.int64))

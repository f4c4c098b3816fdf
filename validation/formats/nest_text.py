"""NEST's text files of spikes: ``<label>-<recorder>-<thread>.dat``, and ``.gdf`` before NEST 3.

A file of NEST 3 has two comments and the names of its columns, then one spike a line: ``sender``
and ``time_ms``, or ``time_step`` and ``time_offset`` (ms before the end of that step). A file of
NEST 2 has no header. Each thread writes the spikes of its own neurons.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Spikes
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import by_time
from portable_cortex.recording.sonata import EXACT

MILLISECONDS = ("sender", "time_ms")
STEPS = ("sender", "time_step", "time_offset")
TYPES = {"sender": "i8", "time_ms": "f8", "time_step": "i8", "time_offset": "f8"}
BACKEND = re.compile(r"RecordingBackendASCII version:\s*(.*)")
BACKEND_VERSION = "2"
THREAD = re.compile(r"-(\d+)\.[a-z]+")
SHOWN = 60  # characters of a line that is no spike
MISSED = 100  # spikes that a silent end of a file would have had: fewer may be chance
SILENT = 20  # neurons of each other thread that fire after the last spike of one


class Recorded(NamedTuple):
    """One population, and where its spikes are.

    Attributes
    ----------
    ids : array of int64
        NEST's number of each neuron.
    paths : tuple of Path
        Files that hold spikes of it.
    """

    ids: NDArray[np.int64]
    paths: tuple[Path, ...]


class _Rows(NamedTuple):
    """Spikes of one file: who, when (ms), and the number of the line before the first."""

    senders: NDArray[np.int64]
    times: NDArray[np.float64]
    offset: int


def read_spikes(
    populations: Mapping[str, Recorded],
    resolution: float | None,
    t_stop: float,
    columns: Sequence[str] | None = None,
) -> dict[str, Spikes]:
    """The spikes of some populations, in ms since the beginning of the simulation.

    Parameters
    ----------
    populations : dict of str to Recorded
    resolution : float or None
        Time step, ms, for times that are counted in steps.
    t_stop : float
        End of the simulation, ms.
    columns : sequence of str, optional
        Of files that have no header.

    Raises
    ------
    ValueError
        For a file that is cut, has a line that is no spike or a spike of another neuron, and for
        files that are missing or left over from another run.
    """
    _check_threads({label: recorded.paths for label, recorded in populations.items()})
    paths = dict.fromkeys(path for recorded in populations.values() for path in recorded.paths)
    parts: dict[str, list[tuple[NDArray[np.float64], NDArray[np.int64]]]] = {
        label: [] for label in populations
    }
    writers = {label: np.full(recorded.ids.size, -1) for label, recorded in populations.items()}
    names = [path.name for path in paths]
    for number, path in enumerate(paths):
        rows = _read(path, resolution, columns)
        _check_end(path, rows.times, t_stop)
        known = np.zeros(rows.senders.size, bool)
        for label, recorded in populations.items():
            if path not in recorded.paths:
                continue
            here, index = _find(rows.senders, recorded.ids)
            known |= here
            parts[label].append((rows.times[here], index))
            writer = writers[label]
            twice = index[(writer[index] >= 0) & (writer[index] != number)]
            if twice.size:
                raise ValueError(
                    f"neuron {recorded.ids[twice[0]]} has spikes in {names[writer[twice[0]]]} and "
                    f"in {path.name}: one of the two is left over from another run"
                )
            writer[index] = number
        if not known.all():
            first = int(np.flatnonzero(~known)[0])
            owners = ", ".join(p for p, r in populations.items() if path in r.paths)
            raise ValueError(
                f"{path.name}, line {rows.offset + first + 1}: neuron {rows.senders[first]} is of "
                f"another population than {owners}"
            )
    for label, threads in parts.items():
        _check_threads_end([path.name for path in populations[label].paths], threads)
    return {
        label: by_time(*(np.concatenate(column) for column in zip(*threads, strict=True)))
        for label, threads in parts.items()
    }


def _check_end(path: Path, times: NDArray[np.float64], t_stop: float) -> None:
    """Whether a file goes on until the end of the simulation."""
    if times.size < MISSED:
        return
    first, last = float(times.min()), float(times.max())
    silent = t_stop - last
    if silent * times.size > MISSED * (last - first) and silent > 0.1 * (last - first):
        raise ValueError(
            f"{path.name} ends with a spike at {last:g} ms, and the simulation at {t_stop:g} ms: "
            "it may have been cut"
        )


def _check_threads_end(
    names: Sequence[str], parts: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]]
) -> None:
    """Whether all threads of a recorder go on equally long: each has as many neurons."""
    ends = [float(times.max(initial=0.0)) for times, _ in parts]
    for number, end in enumerate(ends):
        others = [part for i, part in enumerate(parts) if i != number]
        active = sum(np.unique(neurons[times > end]).size for times, neurons in others)
        if others and active >= SILENT * len(others):
            raise ValueError(
                f"{names[number]} ends at {end:g} ms, and the other threads go on: it may have "
                "been cut"
            )


def _find(
    senders: NDArray[np.int64], ids: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which spikes are of these neurons, and the index of the neuron of each that is."""
    order = np.argsort(ids)
    position = order[np.minimum(np.searchsorted(ids, senders, sorter=order), ids.size - 1)]
    here = ids[position] == senders
    return here, position[here]


def _check_threads(paths: Mapping[str, Sequence[Path]]) -> None:
    """Whether each recorder has a file of each thread, and none has one of another run."""
    numbers: dict[str, list[str]] = {}
    for label, files in paths.items():
        if not files:
            raise ValueError(f"there are no files of {label}")
        matches = [THREAD.search(path.name) for path in files]
        if len(files) > 1 or len(paths) > 1:
            numbers[label] = sorted(match[1] for match in matches if match)
    first = next(iter(numbers), None)
    for label, threads in numbers.items():
        if not threads and not numbers[str(first)]:
            continue  # files that are named in another way
        whole = [int(thread) for thread in threads] == list(range(len(threads)))
        if not whole or len({len(thread) for thread in threads}) > 1:
            raise ValueError(
                f"{label} has files of the threads {', '.join(threads)}: expected all from 0 on, "
                "each once; one is missing, or left over from another run"
            )
        if threads != numbers[str(first)]:
            raise ValueError(
                f"{label} has files of the threads {', '.join(threads)}, and {first} of "
                f"{', '.join(numbers[str(first)])}: one is missing, or left over from another run"
            )


def _read(path: Path, resolution: float | None, columns: Sequence[str] | None) -> _Rows:
    """The spikes of one file."""
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path.name}, line {line}: expected ASCII text") from None
    names, start, offset = _header(path, text)
    if not names:
        if columns is None:
            raise ValueError(
                f"{path.name}, line {offset + 1}: expected a header that names the columns, "
                f"{' '.join(MILLISECONDS)} or {' '.join(STEPS)}"
            )
        names = tuple(columns)
    table = _table(path, text[start:], names, offset)
    if names[1] == "time_ms" or "time_ms" in names:
        return _Rows(table["sender"], table["time_ms"], offset)
    if resolution is None:
        raise ValueError(f"{path.name} counts time in steps: expected to know their length")
    times = np.round(table["time_step"] * resolution - table["time_offset"], EXACT)
    return _Rows(table["sender"], times, offset)


def _header(path: Path, text: str) -> tuple[tuple[str, ...], int, int]:
    """Names of the columns (none without a header), and where spikes begin: character and line."""
    start, line = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        content = text[start:end].strip()
        if not content.startswith("#"):
            if not content[:1].isalpha():
                return (), start, line
            names = tuple(content.split())
            if sorted(names) not in (sorted(MILLISECONDS), sorted(STEPS)):
                raise ValueError(
                    f"{path.name}, line {line + 1}: the columns are "
                    f"{printable(content, SHOWN)}: expected {' '.join(MILLISECONDS)} or "
                    f"{' '.join(STEPS)}"
                )
            return names, end + 1, line + 1
        version = BACKEND.search(content)
        if version and version[1] != BACKEND_VERSION:
            raise ValueError(
                f"{path.name}, line {line + 1}: the format has the version "
                f"{printable(version[1], SHOWN)}: expected {BACKEND_VERSION}"
            )
        start, line = end + 1, line + 1
    return (), start, line


def _table(path: Path, body: str, names: Sequence[str], offset: int) -> NDArray[Any]:
    """One row a line; whatever else a line is, is an error."""
    dtype = np.dtype([(name, TYPES[name]) for name in names])
    if not body:
        return np.empty(0, dtype)
    if not body.endswith("\n"):
        line = offset + body.count("\n") + 1
        raise ValueError(f"{path.name}, line {line}: the file ends in the middle of a line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a number with a point is no whole number
            table = np.loadtxt(io.StringIO(body), dtype, comments=None, ndmin=1)
    except (ValueError, Warning):
        _refuse(path, body, names, offset)
    times = [table[name] for name in names if TYPES[name] == "f8"]
    if table.size != body.count("\n") or not all(np.isfinite(column).all() for column in times):
        _refuse(path, body, names, offset)
    return table


def _refuse(path: Path, body: str, names: Sequence[str], offset: int) -> NoReturn:
    """Name the first line that is no spike."""
    for number, line in enumerate(body.split("\n")[:-1], offset + 1):
        fields = line.split()
        if len(fields) != len(names) or not all(
            _is_value(field, TYPES[name]) for field, name in zip(fields, names, strict=True)
        ):
            raise ValueError(
                f"{path.name}, line {number}: {printable(line, SHOWN)!r} is no spike: expected "
                f"{' '.join(names)}"
            )
    raise ValueError(f"{path.name} has lines that are no spikes: expected {' '.join(names)}")


def _is_value(field: str, kind: str) -> bool:
    if kind == "i8":
        return re.fullmatch(r"[+-]?\d{1,18}", field) is not None
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False

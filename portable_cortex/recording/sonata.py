"""Spikes and signals in the SONATA file format (HDF5).

Dai K et al. (2020). The SONATA data format for efficient description of large-scale network models.
PLoS Comput Biol 16:e1007696. doi:10.1371/journal.pcbi.1007696. One group a population; node ids
count from 0 within their population; times are in the units that the file states, ms unless it
states any.

Files are written and read in pieces: neither needs the memory for all that they hold.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..hdf5 import DAMAGE, dataset_of, group_of, numbers_of, text_of
from ..host.untrusted import printable
from .spikes import Signal, Spikes, by_time
from .stored import (
    PIECE,
    Piece,
    StoredSignal,
    StoredSignals,
    StoredSpikes,
    count_of,
    joined,
    pieces_of,
    stored_signal,
)

MAGIC = 0x0A7A
VERSION = (0, 1)
SORTING = {"none": 0, "by_id": 1, "by_time": 2}
MILLISECONDS = {  # in one unit of time
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
    **dict.fromkeys(("us", "usec", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s"), 1e-3),
    **dict.fromkeys(("microsecond", "microseconds"), 1e-3),
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds"), 1e-6),
}
LAYOUT = "/spikes/<population>/{timestamps,node_ids}"
COARSEST = 0.01  # ms: times that are stored less exactly cannot be put on a grid of 0.1 ms
EXACT = 9  # decimals of a time in ms that are kept where it was converted

IN_MEMORY = 2**21  # spikes of a recording that are kept in memory; more stay on the disk
SAMPLES_IN_MEMORY = 2**22  # the same for the values of its signals
CHUNK = 2**16  # values that HDF5 packs together


def write_spikes(path: Path, spikes: Mapping[str, Spikes]) -> None:
    """Write ``/spikes/<population>/{timestamps,node_ids}``."""
    with written(path) as (file, check):
        parent = file.create_group("spikes")
        for population in spikes:
            group = _population(parent, population)
            size = count_of(spikes, population)
            packing = packing_of(size)
            times = group.create_dataset("timestamps", (size,), np.float64, **packing)
            neurons = group.create_dataset("node_ids", (size,), np.uint64, **packing)
            times.attrs["units"] = "ms"
            begin = 0
            for piece in pieces_of(spikes, population):
                own = slice(begin, begin + piece.times.size)
                times[own], neurons[own] = piece
                begin = own.stop
                check()


def write_part(path: Path, spikes: Mapping[str, Spikes], timestep: float) -> None:
    """Write some spikes as `write_spikes` does, but quickly: in time steps, and not packed."""
    with written(path) as (file, _):
        parent = file.create_group("spikes")
        for population, (times, neurons) in spikes.items():
            group = _population(parent, population)
            steps, packing = np.rint(times / timestep), _checksum(times.size)
            if steps.size:
                packing["chunks"] = (min(steps.size, 4 * CHUNK),)
            values, units = times, "ms"
            if steps.max(initial=0) < 2**32 and np.array_equal(
                np.round(steps * timestep, EXACT), times
            ):
                values, units = steps.astype(np.uint32), f"{timestep!r} ms"
            data = group.create_dataset("timestamps", data=values, **packing)
            data.attrs["units"] = units
            group.create_dataset("node_ids", data=neurons.astype(np.uint32), **packing)


def _population(parent: h5py.Group, label: str) -> h5py.Group:
    group = parent.create_group(to_name(label))
    group.attrs.create("sorting", SORTING["by_time"], dtype=h5py.enum_dtype(SORTING))
    return group


def read_spikes(path: Path, timestep: float | None = None) -> Mapping[str, Spikes]:
    """Read what `write_spikes`, or another SONATA writer, wrote; sorted by time.

    Parameters
    ----------
    path : Path
    timestep : float, optional
        Of the simulation, ms: times that are whole numbers of something longer are refused.

    Returns
    -------
    mapping of str to Spikes
        All have been looked at; very many stay on the disk, and are read when they are asked for.

    Raises
    ------
    OutputError
        For a file that is missing, damaged, not of this format, or that holds what cannot be read
        as spikes of neurons: nothing is left out.
    """
    return read_parts([path], timestep)


def read_parts(
    paths: Sequence[Path], timestep: float | None = None, most: int | None = None
) -> Mapping[str, Spikes]:
    """Read files whose spikes follow each other; see `read_spikes`.

    Parameters
    ----------
    paths : sequence of Path
    timestep : float, optional
        ms.
    most : int, optional
        Spikes that are kept in memory; `IN_MEMORY` unless given.
    """
    most = IN_MEMORY if most is None else most
    pieces: dict[str, list[Piece]] = {}
    content: dict[str, list[Spikes]] = {}
    total = 0
    for path in paths:
        with _readable(path, "SONATA spike file") as file:
            for label, found in _populations(file).items():
                own, last = pieces.setdefault(label, []), _last(pieces[label])
                for piece, spikes in _pieces(found, path, timestep):
                    if spikes.times[0] < last:
                        raise ValueError(f"{found.name} begins before the file before it ends")
                    own.append(piece)
                    total += piece.size
                    if total <= most:
                        content.setdefault(label, []).append(spikes)
                    else:
                        content.clear()
    if total > most:
        return StoredSpikes(pieces)
    return {label: joined(content.get(label, [])) for label in pieces}


def _last(pieces: Sequence[Piece]) -> float:
    return pieces[-1].last if pieces else -np.inf


def _populations(file: h5py.File) -> dict[str, h5py.Group]:
    """The group of each population."""
    parent = group_of(file, "spikes")
    if "gids" in parent:
        raise ValueError(
            "it has /spikes/gids, the layout before SONATA 1.0, whose ids count over all "
            f"populations: expected {LAYOUT}, ids from 0 within each population"
        )
    groups: dict[str, h5py.Group] = {}
    for name in parent:
        if _to_label(name) in groups:
            raise ValueError(f"{parent.name} has the population {_to_label(name)} twice")
        groups[_to_label(name)] = group_of(parent, name)
    return groups


def _pieces(
    group: h5py.Group, path: Path, timestep: float | None
) -> Iterator[tuple[Piece, Spikes]]:
    """Spikes of a population by time, some at once, and how to read them again."""
    train, sorting = _train(group, timestep), _sorting(group)
    ends = [*range(0, train.size, PIECE), train.size] if train.size else []
    if sorting != "by_time":
        parts = (train.read(begin, end) for begin, end in pairwise(ends))
        by_time_too, by_id = _orders(parts)
        if sorting == "by_id" and not by_id:
            raise ValueError(f"{group.name} says that it is sorted by_id, and is not")
        if not by_time_too:
            spikes = by_time(*train.read(0, train.size))
            yield Piece(train.size, float(spikes.times[-1]), lambda: spikes), spikes
            return
    last = -np.inf
    for begin, end in pairwise(ends):
        spikes = train.read(begin, end)
        if spikes.times[0] < last or not _ascends(spikes.times):
            raise ValueError(f"{group.name} says that it is sorted by_time, and is not")
        last = float(spikes.times[-1])
        again = partial(_read_again, path, group.name, timestep, train.size, begin, end)
        yield Piece(end - begin, last, again), spikes


def _orders(pieces: Iterator[Spikes]) -> tuple[bool, bool]:
    """Whether spikes are in the order of time, and in that of neurons."""
    orders, last = [True, True], [-np.inf, -np.inf]
    for piece in pieces:
        for k, column in enumerate(piece):
            orders[k] &= bool(column[0] >= last[k]) and _ascends(column)
            last[k] = column[-1]
    return orders[0], orders[1]


def _ascends(values: NDArray[Any]) -> bool:
    return bool(np.all(values[1:] >= values[:-1]))


def _read_again(
    path: Path, name: str, timestep: float | None, size: int, begin: int, end: int
) -> Spikes:
    """Spikes of a file that has been looked at before."""
    with _readable(path, "SONATA spike file") as file:
        train = _train(group_of(file, name), timestep)
        if train.size != size:
            raise ValueError(f"{name} has changed since it was first read")
        return train.read(begin, end)


class _Train(NamedTuple):
    """The two columns of a population, and how stored times become ms."""

    times: h5py.Dataset
    neurons: h5py.Dataset
    unit: float
    decimals: int | None  # that are kept; None where times are as they are stored

    @property
    def size(self) -> int:
        """Number of spikes."""
        return int(self.times.size)

    def read(self, begin: int, end: int) -> Spikes:
        """Some of the spikes, in the order in which they are stored."""
        stored = self.times[begin:end]
        _check_finite(stored, self.times)
        times = stored.astype(np.float64)
        if self.decimals is not None:
            times = np.round(times * self.unit, self.decimals)
        return Spikes(times, _node_ids(self.neurons[begin:end], str(self.neurons.name)))


def _train(group: h5py.Group, timestep: float | None) -> _Train:
    """The columns of a population, after a look at what the file says of them."""
    unknown = sorted(set(group) - {"timestamps", "node_ids"})
    if unknown:
        raise ValueError(f"{group.name} also has {', '.join(unknown)}: expected {LAYOUT}")
    data, ids = dataset_of(group, "timestamps"), dataset_of(group, "node_ids")
    if data.size != ids.size:
        raise ValueError(f"{group.name} has {data.size} timestamps of {ids.size} node_ids")
    units = text_of(data, "units")
    unit = 1.0 if units is None else to_milliseconds(units)
    if unit is None:
        raise ValueError(
            f"{data.name} is in units of {units!r}: expected {', '.join(MILLISECONDS)}, or a "
            "multiple such as '0.1 ms'"
        )
    whole = data.dtype.kind in "iu"
    if whole and units is None:
        raise ValueError(
            f"{data.name} holds whole numbers and states no units: expected ms, or the attribute "
            "units, e.g. '0.1 ms' for steps"
        )
    if whole and timestep is not None and unit > timestep * (1 + 1e-9):
        raise ValueError(
            f"{data.name} holds whole numbers of {unit:g} ms, longer than the simulation's time "
            f"step of {timestep:g} ms: expected a number of time steps, or fractions"
        )
    decimals = None if unit == 1 else EXACT
    if data.dtype.kind == "f" and data.dtype.itemsize < 8 and data.size:
        decimals = _decimals(data, unit)
    return _Train(data, ids, unit, decimals)


def _decimals(data: h5py.Dataset, unit: float) -> int:
    """How many decimals of a time in ms single precision has."""
    largest = data.dtype.type(0)
    for begin in range(0, data.size, PIECE):
        stored = data[begin : begin + PIECE]
        _check_finite(stored, data)
        largest = max(largest, np.abs(stored).max())
    spacing = float(np.spacing(largest)) * unit
    if not spacing <= COARSEST:
        raise ValueError(
            f"{data.name} holds {data.dtype}, whose values lie {spacing:.2g} ms apart: "
            f"expected {COARSEST} ms or less, as of float64"
        )
    return min(EXACT, floor(-log10(spacing)))


def _check_finite(stored: NDArray[Any], data: h5py.Dataset) -> None:
    if not np.isfinite(stored).all():
        raise ValueError(f"{data.name} has times that are no finite numbers")


def to_milliseconds(units: str) -> float | None:
    """The length of a unit of time in ms; None if the text names none.

    Examples
    --------
    >>> to_milliseconds("s"), to_milliseconds("0.1 ms"), to_milliseconds("steps")
    (1000.0, 0.1, None)
    """
    match = re.fullmatch(r"\s*(?:([0-9][0-9.eE+-]*)\s*\*?\s*)?([^\W\d_]+)\s*", units)
    if match is None or match[2] not in MILLISECONDS:
        return None
    try:
        length = float(match[1] or 1.0) * MILLISECONDS[match[2]]
    except ValueError:
        return None
    return length if isfinite(length) and length > 0 else None


def _node_ids(stored: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Indices of neurons: whole numbers from 0."""
    if not stored.size:
        return np.empty(0, np.int64)
    largest = 2**53 if stored.dtype.kind == "f" else np.iinfo(np.int64).max
    # not a number is neither
    if not (stored.min() >= 0 and stored.max() <= largest) or (
        stored.dtype.kind == "f" and (stored % 1 != 0).any()
    ):
        raise ValueError(f"{name} has other values than whole numbers from 0")
    return stored.astype(np.int64)


def _sorting(group: h5py.Group) -> str:
    """What a population says of its order; empty if it says nothing."""
    value = group.attrs.get("sorting")
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    for name, number in SORTING.items():
        if np.ndim(value) == 0 and value in (name, number):
            return name
    raise ValueError(f"{group.name} is sorted {value!r}: expected {', '.join(SORTING)}")


def write_signals(
    path: Path, signals: Mapping[tuple[str, str], Signal], *, packed: bool = True
) -> None:
    """Write each variable as a SONATA report, ``/report/<population>/<variable>/...``.

    Parameters
    ----------
    path : Path
    signals : mapping
    packed : bool
        False for a file that is soon read again.
    """
    with written(path) as (file, check):
        parent = file.create_group("report")
        for population, variable in signals:
            group = parent.create_group(f"{to_name(population)}/{to_name(variable)}")
            stored = stored_signal(signals, (population, variable))
            neurons, t_start, interval, units = stored.head[1:]
            shape = stored.size, neurons.size
            size = stored.size * neurons.size
            packing = packing_of(size) if packed else _checksum(size)
            if "chunks" in packing:
                packing["chunks"] = (min(stored.size, max(1, CHUNK // neurons.size)), neurons.size)
            data = group.create_dataset("data", shape, np.float64, **packing)
            data.attrs["units"] = units
            begin = 0
            for values in stored:
                data[begin : begin + len(values)] = values
                begin += len(values)
                check()
            mapping = group.create_group("mapping")
            t_stop = t_start + stored.size * interval
            time = mapping.create_dataset("time", data=[t_start, t_stop, interval])
            time.attrs["units"] = "ms"
            mapping.create_dataset("node_ids", data=neurons.astype(np.uint64))
            n = neurons.size
            mapping.create_dataset("index_pointer", data=np.arange(n + 1, dtype=np.uint64))
            mapping.create_dataset("element_ids", data=np.zeros(n, dtype=np.uint32))
            mapping.create_dataset("element_pos", data=np.zeros(n, dtype=np.float32))


def read_signals(*paths: Path, most: int | None = None) -> Mapping[tuple[str, str], Signal]:
    """Read what `write_signals` wrote, in files whose samples follow each other.

    Parameters
    ----------
    *paths : Path
    most : int, optional
        Samples that are kept in memory; `SAMPLES_IN_MEMORY` unless given.

    Returns
    -------
    mapping of (population, variable) to Signal
        Very many samples stay on the disk, and are read when they are asked for.

    Raises
    ------
    OutputError
        For a file that is damaged or not of this format.
    """
    stored: dict[tuple[str, str], StoredSignal] = {}
    for path in paths:
        with _readable(path, "SONATA report") as file:
            parent = group_of(file, "report")
            for population in parent:
                variables = group_of(parent, population)
                for variable in variables:
                    key = _to_label(population), _to_label(variable)
                    signal = _signal(group_of(variables, variable), path)
                    stored[key] = _continued(stored[key], signal) if key in stored else signal
    signals = StoredSignals(stored)
    size = sum(signal.size * signal.head.neurons.size for signal in stored.values())
    return signals if size > (SAMPLES_IN_MEMORY if most is None else most) else dict(signals)


def _continued(first: StoredSignal, second: StoredSignal) -> StoredSignal:
    """A signal that goes on in another file."""
    end = first.head.t_start + first.size * first.head.interval
    if abs(second.head.t_start - end) > 0.5 * first.head.interval or not np.array_equal(
        first.head.neurons, second.head.neurons
    ):
        raise ValueError(
            f"it goes on at {second.head.t_start:g} ms: expected the same neurons from {end:g} ms"
        )
    return StoredSignal(first.head, first.size + second.size, [*first.blocks, *second.blocks])


def _signal(group: h5py.Group, path: Path) -> StoredSignal:
    data, mapping = dataset_of(group, "data", 2), group_of(group, "mapping")
    neurons = _node_ids(numbers_of(mapping, "node_ids"), f"{mapping.name}/node_ids")
    time = numbers_of(mapping, "time")
    units = text_of(mapping["time"], "units")
    unit = 1.0 if units is None else to_milliseconds(units)
    if unit is None or time.size != 3 or not np.isfinite(time).all():
        raise ValueError(f"{mapping.name}/time is not begin, end and step in a unit of time")
    t_start, t_stop, interval = (time.astype(float) * unit).tolist()
    n_samples, n_neurons = data.shape
    if not interval > 0 or abs((t_stop - t_start) / interval - n_samples) > 0.5:
        raise ValueError(
            f"{group.name}/data has {n_samples} samples: expected those from {t_start:g} to "
            f"{t_stop:g} ms, each {interval:g} ms"
        )
    if neurons.size != n_neurons or np.unique(neurons).size != n_neurons:
        raise ValueError(
            f"{group.name}/data has {n_neurons} columns of {np.unique(neurons).size} neurons: "
            "expected one a neuron"
        )
    label = text_of(data, "units")
    if label is None:
        raise ValueError(f"{group.name}/data states no units")
    head = Signal(np.empty((0, n_neurons)), neurons, t_start, interval, label)
    rows = max(1, PIECE // max(1, n_neurons))
    begins = range(0, n_samples, rows)
    blocks = [partial(_block, path, group.name, n_samples, begin, begin + rows) for begin in begins]
    return StoredSignal(head, n_samples, blocks)


def _block(path: Path, name: str, size: int, begin: int, end: int) -> NDArray[np.float64]:
    """Some samples of a signal."""
    with _readable(path, "SONATA report") as file:
        data = dataset_of(group_of(file, name), "data", 2)
        if len(data) != size:
            raise ValueError(f"{name} has changed since it was first read")
        values: NDArray[np.float64] = data[begin:end].astype(np.float64)
        return values


@contextmanager
def _readable(path: Path, what: str) -> Iterator[h5py.File]:
    """An open file; whatever is wrong with it is an `OutputError`."""
    if not path.exists():
        raise OutputError(f"there is no {path}, which a run has: a {what}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OutputError:
        raise
    except DAMAGE as error:
        why = "it is too large for the memory" if isinstance(error, MemoryError) else str(error)
        raise OutputError(f"{path} is no readable {what}: {printable(why)}") from error


@contextmanager
def written(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """A new file, and what raises the error of the disk, if there was one."""
    with _DiskFile(path) as disk:
        with h5py.File(disk, "w") as file:
            file.attrs["magic"] = np.uint32(MAGIC)
            file.attrs["version"] = np.array(VERSION, dtype=np.uint32)
            yield file, disk.check
        disk.check()
        os.fsync(disk.fileno())


class _DiskFile(io.FileIO):
    """A file for HDF5, which ends the process where a write fails: here none does.

    What the disk does not take is kept in memory, so that the file can be closed; `check` raises
    the error, and is to be called before there is much of it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raise what a write has raised."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """All of it, in any case."""
        view, begin = memoryview(data).cast("B"), self.tell()
        done = 0
        while done < len(view) and self._error is None:
            try:
                done += super().write(view[done:])
            except OSError as error:
                self._error = error
        if done < len(view):
            self._kept.append((begin, bytes(view)))
            super().seek(begin + len(view))
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """With what is kept."""
        view, begin = memoryview(buffer).cast("B"), self.tell()
        n = super().readinto(view) or 0
        view[n:] = bytes(len(view) - n)
        for at, kept in self._kept:
            first, last = max(at, begin), min(at + len(kept), begin + len(view))
            if first < last:
                view[first - begin : last - begin] = kept[first - at : last - at]
        super().seek(begin + len(view))
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The end is where it would be if the disk had taken all."""
        if whence == os.SEEK_END and self._kept:
            end = max(super().seek(0, os.SEEK_END), *(at + len(kept) for at, kept in self._kept))
            return super().seek(end + offset)
        return super().seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        """Also what cannot be."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0


def to_name(label: str) -> str:
    """A label as the name of an HDF5 group, in which "/" and "." have a meaning."""
    return quote(label, safe=" ").replace(".", "%2E") or "%"


def _to_label(name: str) -> str:
    return "" if name == "%" else unquote(name)


def _checksum(size: int) -> dict[str, Any]:
    """So that damage is seen."""
    return {"fletcher32": True} if size else {}


def packing_of(size: int) -> dict[str, Any]:
    """Compress what is worth it."""
    if size < 1000:
        return _checksum(size)
    packing = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    return {**_checksum(size), **packing, "chunks": (min(size, CHUNK),)}

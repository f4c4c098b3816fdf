"""Spikes and signals in the SONATA file format (HDF5).

Dai K et al. (2020). The SONATA data format for efficient description of large-scale network models.
PLoS Comput Biol 16:e1007696. doi:10.1371/journal.pcbi.1007696. One group a population; node ids
count from 0 within their population; times are in the units that the file states, ms unless it
states any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import floor, isfinite, log10
from pathlib import Path
from urllib.parse import quote, unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..host.untrusted import printable
from .hdf5 import DAMAGE, group_of, numbers_of, text_of
from .spikes import Signal, Spikes, by_time

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


def write_spikes(path: Path, spikes: Mapping[str, Spikes]) -> None:
    """Write ``/spikes/<population>/{timestamps,node_ids}``."""
    with _written(path) as file:
        parent = file.create_group("spikes")
        for population, (times, neurons) in spikes.items():
            group = parent.create_group(_to_name(population))
            group.attrs.create("sorting", SORTING["by_time"], dtype=h5py.enum_dtype(SORTING))
            data = group.create_dataset("timestamps", data=times, **_packing(times.size))
            data.attrs["units"] = "ms"
            group.create_dataset(
                "node_ids", data=neurons.astype(np.uint64), **_packing(neurons.size)
            )


def read_spikes(path: Path, timestep: float | None = None) -> dict[str, Spikes]:
    """Read what `write_spikes`, or another SONATA writer, wrote; sorted by time.

    Parameters
    ----------
    path : Path
    timestep : float, optional
        Of the simulation, ms: times that are whole numbers of something longer are refused.

    Raises
    ------
    OutputError
        For a file that is missing, damaged, not of this format, or that holds what cannot be read
        as spikes of neurons: nothing is left out.
    """
    with _readable(path, "SONATA spike file") as file:
        parent = group_of(file, "spikes")
        if "gids" in parent:
            raise ValueError(
                "it has /spikes/gids, the layout before SONATA 1.0, whose ids count over all "
                f"populations: expected {LAYOUT}, ids from 0 within each population"
            )
        return {_to_label(name): _spikes(group_of(parent, name), timestep) for name in parent}


def _spikes(group: h5py.Group, timestep: float | None) -> Spikes:
    unknown = sorted(set(group) - {"timestamps", "node_ids"})
    if unknown:
        raise ValueError(f"{group.name} also has {', '.join(unknown)}: expected {LAYOUT}")
    times, neurons = _times(group, timestep), _node_ids(group)
    if times.size != neurons.size:
        raise ValueError(f"{group.name} has {times.size} timestamps of {neurons.size} node_ids")
    ordered = bool(np.all(times[1:] >= times[:-1]))
    sorting = _sorting(group)
    by_id = bool(np.all(neurons[1:] >= neurons[:-1]))
    if (sorting == "by_time" and not ordered) or (sorting == "by_id" and not by_id):
        raise ValueError(f"{group.name} says that it is sorted {sorting}, and is not")
    return Spikes(times, neurons) if ordered else by_time(times, neurons)


def _times(group: h5py.Group, timestep: float | None) -> NDArray[np.float64]:
    """The times of spikes in ms."""
    stored = numbers_of(group, "timestamps")
    data = group["timestamps"]
    units = text_of(data, "units")
    unit = 1.0 if units is None else to_milliseconds(units)
    if unit is None:
        raise ValueError(
            f"{data.name} is in units of {units!r}: expected {', '.join(MILLISECONDS)}, or a "
            "multiple such as '0.1 ms'"
        )
    if not np.isfinite(stored).all():
        raise ValueError(f"{data.name} has times that are no finite numbers")
    whole = stored.dtype.kind in "iu"
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
    times: NDArray[np.float64] = stored.astype(np.float64) * unit
    decimals = EXACT
    if stored.dtype.kind == "f" and stored.dtype.itemsize < 8 and stored.size:
        spacing = float(np.spacing(np.abs(stored).max())) * unit
        if not spacing <= COARSEST:
            raise ValueError(
                f"{data.name} holds {stored.dtype}, whose values lie {spacing:.2g} ms apart: "
                f"expected {COARSEST} ms or less, as of float64"
            )
        decimals = min(EXACT, floor(-log10(spacing)))
    elif unit == 1:
        return times
    return np.round(times, decimals)


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


def _node_ids(group: h5py.Group) -> NDArray[np.int64]:
    """Indices of neurons: whole numbers from 0."""
    stored = numbers_of(group, "node_ids")
    if not stored.size:
        return np.empty(0, np.int64)
    largest = 2**53 if stored.dtype.kind == "f" else np.iinfo(np.int64).max
    # not a number is neither
    if not (stored.min() >= 0 and stored.max() <= largest) or (stored % 1 != 0).any():
        raise ValueError(f"{group.name}/node_ids has other values than whole numbers from 0")
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


def write_signals(path: Path, signals: Mapping[tuple[str, str], Signal]) -> None:
    """Write each variable as a SONATA report, ``/report/<population>/<variable>/...``."""
    with _written(path) as file:
        parent = file.create_group("report")
        for (population, variable), signal in signals.items():
            group = parent.create_group(f"{_to_name(population)}/{_to_name(variable)}")
            data = group.create_dataset("data", data=signal.values, **_packing(signal.values.size))
            data.attrs["units"] = signal.units
            n_samples, n_neurons = signal.values.shape
            mapping = group.create_group("mapping")
            t_stop = signal.t_start + n_samples * signal.interval
            time = mapping.create_dataset("time", data=[signal.t_start, t_stop, signal.interval])
            time.attrs["units"] = "ms"
            mapping.create_dataset("node_ids", data=signal.neurons.astype(np.uint64))
            mapping.create_dataset("index_pointer", data=np.arange(n_neurons + 1, dtype=np.uint64))
            mapping.create_dataset("element_ids", data=np.zeros(n_neurons, dtype=np.uint32))
            mapping.create_dataset("element_pos", data=np.zeros(n_neurons, dtype=np.float32))


def read_signals(path: Path) -> dict[tuple[str, str], Signal]:
    """Read what `write_signals` wrote.

    Raises
    ------
    OutputError
        For a file that is damaged or not of this format.
    """
    with _readable(path, "SONATA report") as file:
        parent = group_of(file, "report")
        signals = {}
        for population in parent:
            variables = group_of(parent, population)
            for variable in variables:
                key = _to_label(population), _to_label(variable)
                signals[key] = _signal(group_of(variables, variable))
        return signals


def _signal(group: h5py.Group) -> Signal:
    values = numbers_of(group, "data", 2)
    mapping = group_of(group, "mapping")
    neurons, time = _node_ids(mapping), numbers_of(mapping, "time")
    units = text_of(mapping["time"], "units")
    unit = 1.0 if units is None else to_milliseconds(units)
    if unit is None or time.size != 3 or not np.isfinite(time).all():
        raise ValueError(f"{mapping.name}/time is not begin, end and step in a unit of time")
    t_start, t_stop, interval = (time.astype(float) * unit).tolist()
    n_samples, n_neurons = values.shape
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
    label = text_of(group["data"], "units")
    if label is None:
        raise ValueError(f"{group.name}/data states no units")
    return Signal(values.astype(np.float64), neurons, t_start, interval, label)


@contextmanager
def _readable(path: Path, what: str) -> Iterator[h5py.File]:
    """An open file; whatever is wrong with it is an `OutputError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DAMAGE as error:
        why = "it is too large for the memory" if isinstance(error, MemoryError) else str(error)
        raise OutputError(f"{path} is no readable {what}: {printable(why)}") from error


@contextmanager
def _written(path: Path) -> Iterator[h5py.File]:
    """A file that is made in memory and written at once.

    HDF5 cannot be trusted with a full disk: it ends the process while it closes the file.
    """
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        file.attrs["magic"] = np.uint32(MAGIC)
        file.attrs["version"] = np.array(VERSION, dtype=np.uint32)
        yield file
        file.flush()
        path.write_bytes(file.id.get_file_image())


def _to_name(label: str) -> str:
    """A label as the name of an HDF5 group, in which "/" and "." have a meaning."""
    return quote(label, safe=" ").replace(".", "%2E") or "%"


def _to_label(name: str) -> str:
    return "" if name == "%" else unquote(name)


def _packing(size: int) -> dict[str, object]:
    """A checksum, so that damage is seen; compress what is worth it."""
    if size == 0:
        return {}
    if size < 1000:
        return {"fletcher32": True}
    return {"fletcher32": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}

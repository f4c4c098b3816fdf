"""Spikes and signals in the SONATA file format (HDF5).

Dai K et al. (2020). The SONATA data format for efficient description of large-scale network models.
PLoS Comput Biol 16:e1007696. doi:10.1371/journal.pcbi.1007696. One group a population; node ids
count from 0 within their population; times are in ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import OutputError

MAGIC = 0x0A7A
VERSION = (0, 1)
# What h5py and numpy raise for a file that is not what it should be
DAMAGE = (OSError, KeyError, AttributeError, ValueError, TypeError, RuntimeError, OverflowError)
SORTING = {"none": 0, "by_id": 1, "by_time": 2}


class Spikes(NamedTuple):
    """Spikes of one population, sorted by time.

    Attributes
    ----------
    times : array of float64, shape (n_spikes,)
        ms.
    neurons : array of int64, shape (n_spikes,)
        Index of the neuron within its population, from 0.
    """

    times: NDArray[np.float64]
    neurons: NDArray[np.int64]


class Signal(NamedTuple):
    """A recorded variable of some neurons of one population.

    Attributes
    ----------
    values : array of float64, shape (n_samples, n_neurons)
    neurons : array of int64, shape (n_neurons,)
        Index of each neuron within its population, from 0.
    t_start, interval : float
        Time of the first sample and time between samples, ms.
    units : str
    """

    values: NDArray[np.float64]
    neurons: NDArray[np.int64]
    t_start: float
    interval: float
    units: str


def by_time(times: NDArray[np.float64], neurons: NDArray[np.int64]) -> Spikes:
    """Spikes in order of time, and of neuron where times are equal."""
    times, neurons = np.asarray(times, float), np.asarray(neurons, np.int64)
    order = np.lexsort((neurons, times))
    return Spikes(times[order], neurons[order])


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


def read_spikes(path: Path) -> dict[str, Spikes]:
    """Read what `write_spikes`, or another SONATA writer, wrote; sorted by time.

    Raises
    ------
    OutputError
        For a file that is missing, damaged, or not of this format.
    """
    try:
        with h5py.File(path, "r") as file:
            found = {}
            for population, group in file["spikes"].items():
                times = group["timestamps"][:].astype(float)
                neurons = group["node_ids"][:].astype(np.int64)
                ordered = bool(np.all(times[1:] >= times[:-1]))
                label = _to_label(population)
                found[label] = Spikes(times, neurons) if ordered else by_time(times, neurons)
            return found
    except DAMAGE as error:
        raise OutputError(f"{path} is no readable SONATA spike file: {error}") from error


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
    try:
        with h5py.File(path, "r") as file:
            found = {}
            for population, variables in file["report"].items():
                for variable, group in variables.items():
                    t_start, _, interval = group["mapping/time"][:]
                    found[_to_label(population), _to_label(variable)] = Signal(
                        group["data"][:],
                        group["mapping/node_ids"][:].astype(np.int64),
                        float(t_start),
                        float(interval),
                        str(group["data"].attrs["units"]),
                    )
            return found
    except DAMAGE as error:
        raise OutputError(f"{path} is no readable SONATA report: {error}") from error


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
    """Compress what is worth it."""
    if size < 1000:
        return {}
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True}

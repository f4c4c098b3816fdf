"""Neo blocks as PyNN's ``write_data`` makes them: ``.pkl``, and NIX files (HDF5).

A file holds one population or several, a folder one file a population. Each spike train says its
``source_population`` and ``source_index``. How long the warm-up was, and which model it was of, no
block says: see `described`. Nothing that a file names is called, and NIX files are read as HDF5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording, Spikes
from portable_cortex.errors import OutputError
from portable_cortex.hdf5 import DAMAGE, group_of, numbers_of, text_of
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import by_time
from portable_cortex.recording.sonata import EXACT, to_milliseconds

from .inert_pickle import Inert, array_of, load_inert, milliseconds_of

PICKLES, NIX = (".pkl", ".pickle"), (".nix",)
UNKNOWN_WARMUP = (
    "a Neo block does not say how long its warm-up was: all of it was taken; a recording.toml in "
    "its folder can say (docs/validation.md)"
)


class Train(NamedTuple):
    """Spikes of one neuron, or of several of one population, ms."""

    population: str
    recorded: NDArray[Any]  # index of each neuron that was recorded
    times: NDArray[np.float64]
    neurons: NDArray[Any]  # index of the neuron of each spike
    interval: tuple[float, float]


class Block(NamedTuple):
    """What one block holds, and what its annotations say."""

    trains: list[Train]
    annotations: dict[str, Any]


def holds(path: Path) -> bool:
    """Whether a file, or a folder with files, is of Neo blocks."""
    return _is_block(path) or (path.is_dir() and any(map(_is_block, path.iterdir())))


def load(path: Path) -> Recording:
    """Read a file, or all files of a folder as the populations of one network.

    Raises
    ------
    OutputError
        If a file is damaged, or they are not of one recording.
    """
    paths = sorted(filter(_is_block, path.iterdir())) if path.is_dir() else [path]
    recording = load_files(paths)
    return replace(recording, metadata={**recording.metadata, "remarks": [UNKNOWN_WARMUP]})


def load_files(paths: Sequence[Path]) -> Recording:
    """The populations in some files as one recording, from its first moment on.

    Raises
    ------
    OutputError
        If a file is damaged, or they are not of one recording.
    """
    populations: dict[str, list[Train]] = {}
    files: dict[str, Path] = {}
    blocks = []
    for path in paths:
        try:
            content = _read_nix(path) if path.suffix.lower() in NIX else [_read_pickle(path)]
        except (*DAMAGE, IndexError) as error:
            why = str(error) or type(error).__name__
            raise OutputError(f"{path} is no readable Neo block: {printable(why)}") from error
        for block in content:
            parts = {train.population for train in block.trains}
            for label in sorted(parts & set(files)):
                raise OutputError(
                    f"{files[label]} and {path} both have {printable(label)}: expected each "
                    "population once; name each file, or give each run a folder of its own"
                )
            files |= dict.fromkeys(parts, path)
            for train in block.trains:
                populations.setdefault(train.population, []).append(train)
            blocks.append(block)
    try:
        return _recording(populations, blocks)
    except ValueError as error:
        raise OutputError(f"{', '.join(map(str, paths))}: {printable(error)}") from error


def _is_block(path: Path) -> bool:
    return path.suffix.lower() in (*PICKLES, *NIX) and path.is_file()


def _recording(populations: dict[str, list[Train]], blocks: Sequence[Block]) -> Recording:
    if not populations:
        raise ValueError("there are no spike trains: expected some, of all neurons")
    intervals = {train.interval for trains in populations.values() for train in trains}
    if len(intervals) > 1:
        raise ValueError(f"spike trains are of several intervals: {sorted(intervals)[:3]} ms")
    ((t_start, t_stop),) = intervals
    steps = {_scalar(block.annotations.get("dt")) for block in blocks}
    if len(steps) > 1:
        raise ValueError(f"the populations are of several time steps: {steps} ms")
    sizes = {}
    for label, trains in populations.items():
        index = np.concatenate([train.recorded for train in trains])
        n = sizes[label] = index.size
        if not np.array_equal(np.sort(index), np.arange(n)):
            raise ValueError(
                f"{label} has {n} spike trains, whose source_index is not 0 to {n - 1}: expected "
                "one of each neuron"
            )
    for block in blocks:
        owner, size = block.annotations.get("label"), _scalar(block.annotations.get("size"))
        if isinstance(owner, str) and size not in (None, sizes.get(owner, size)):
            raise ValueError(
                f"{owner} has {size:g} neurons, and {sizes[owner]} spike trains: expected one of "
                "each neuron"
            )
    spikes = {label: _spikes(trains) for label, trains in populations.items()}
    simulators = {str(block.annotations.get("simulator")) for block in blocks}
    metadata: dict[str, Any] = {
        "backend": simulators.pop() if len(simulators) == 1 else None,
        "model": None,
        "parameters": {},
        "seed": None,
        "timestep_ms": steps.pop(),
        "warmup_ms": t_start,
        "duration_ms": round(t_stop - t_start, EXACT),
        "source": "Neo blocks",
    }
    return Recording(sizes, spikes, metadata)


def _spikes(trains: Sequence[Train]) -> Spikes:
    times = np.concatenate([train.times for train in trains])
    return by_time(times, np.concatenate([train.neurons for train in trains]))


def _train(population: Any, index: Any, times: Any, neurons: Any, interval: Any) -> Train:
    """Spikes whose parts are of the right types, and fit each other."""
    if not isinstance(population, str):
        raise ValueError("a spike train has no annotation source_population: expected PyNN's")
    index, neurons = np.atleast_1d(index), np.atleast_1d(neurons)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise ValueError(f"the source_index of a neuron of {population} is no whole number")
    if times.ndim != 1 or times.shape != neurons.shape:
        raise ValueError(f"{population} has {times.size} times of {neurons.size} spikes")
    t_start, t_stop = (float(np.squeeze(end)) for end in interval)
    return Train(population, index, times, neurons, (t_start, t_stop))


def _scalar(value: Any) -> float | None:
    """An annotation as a number; None if it is none."""
    try:
        return float(np.squeeze(array_of(value)))
    except (ValueError, TypeError):
        return None


# --- pickles ------------------------------------------------------------------------------------


def _read_pickle(path: Path) -> Block:
    block = load_inert(path)
    if not (isinstance(block, Inert) and block.is_a("Block")):
        raise ValueError(f"it holds {type(block).__name__}: expected neo's Block")
    segments = _members(block.attribute("segments"))
    if len(segments) != 1:
        raise ValueError(f"it has {len(segments)} segments: expected one, of one run")
    annotations = block.attribute("annotations")
    trains = list(_pickled_trains(segments[0].attribute("spiketrains")))
    return Block(trains, annotations if isinstance(annotations, dict) else {})


def _members(value: Any) -> list[Any]:
    """Of a list, or of one of Neo's lists."""
    if isinstance(value, Inert):
        value = value.attribute("items") if value.state is not None else value.members
    if not isinstance(value, list | tuple):
        raise ValueError(f"it has {type(value).__name__} where a list was expected")
    return list(value)


def _pickled_trains(trains: Any) -> Iterator[Train]:
    if isinstance(trains, Inert) and trains.attribute("items") is None and not trains.members:
        if trains.attribute("spike_time_array") is not None:
            yield _multiplexed(trains)
        return
    for train in _members(trains):
        if not (isinstance(train, Inert) and train.is_a("_new_spiketrain")):
            raise ValueError("it has a spike train of another kind than neo's SpikeTrain")
        _, times, t_stop, units, _, _, _, t_start, *_, annotations, _, _ = train.args
        if not isinstance(annotations, dict):
            raise ValueError("a spike train has no annotations: expected PyNN's")
        index = array_of(annotations.get("source_index"))
        spikes = milliseconds_of(times, units)
        interval = milliseconds_of(t_start, units), milliseconds_of(t_stop, units)
        neurons = np.full(spikes.size, index)
        yield _train(annotations.get("source_population"), index, spikes, neurons, interval)


def _multiplexed(trains: Inert) -> Train:
    """Spikes of all neurons in two arrays: times, and the channel of each."""
    metadata = trains.attribute("spiketrain_metadata")
    annotations = trains.attribute("annotations")
    if not isinstance(metadata, dict) or not isinstance(annotations, dict):
        raise ValueError("its spike trains have no annotations: expected PyNN's")
    units = metadata.get("units")
    times = milliseconds_of(trains.attribute("spike_time_array"), units)
    channels, channel = (
        array_of(trains.attribute(name)) for name in ("all_channel_ids", "channel_id_array")
    )
    index = array_of(annotations.get("source_index"))
    order = np.argsort(channels)
    if channels.shape != index.shape or not np.isin(channel, channels).all():
        raise ValueError("its spikes are of other channels than its neurons")
    neurons = index[order[np.searchsorted(channels, channel, sorter=order)]]
    ends = (milliseconds_of(metadata.get(name), units) for name in ("t_start", "t_stop"))
    return _train(annotations.get("source_population"), index, times, neurons, tuple(ends))


# --- NIX ----------------------------------------------------------------------------------------


def _read_nix(path: Path) -> list[Block]:
    with h5py.File(path, "r") as file:
        data = group_of(file, "data")
        return [_nix_block(group_of(data, name)) for name in data]


def _nix_block(block: h5py.Group) -> Block:
    segments = group_of(block, "groups")
    names = [n for n in segments if text_of(group_of(segments, n), "type") == "neo.segment"]
    if len(names) != 1:
        raise ValueError(f"it has {len(names)} segments: expected one, of one run")
    sections = group_of(group_of(group_of(segments, names[0]), "metadata"), "sections")
    arrays = group_of(block, "data_arrays")
    described = {n for n in sections if n.startswith("neo.spiketrain.")}
    stored = {
        n.removesuffix(".times")
        for n in arrays
        if text_of(group_of(arrays, n), "type") == "neo.spiketrain.times"
    }
    if described != stored:
        raise ValueError(f"it has {len(stored)} spike trains, and {len(described)} descriptions")
    trains = [
        _nix_train(group_of(sections, name), group_of(arrays, f"{name}.times"))
        for name in sorted(described)
    ]
    annotations = {}
    if "metadata" in block:
        properties = group_of(group_of(block, "metadata"), "properties")
        known = [n for n in ("label", "size", "dt", "simulator") if n in properties]
        annotations = {name: _property(properties, name) for name in known}
    return Block(trains, annotations)


def _nix_train(section: h5py.Group, array: h5py.Group) -> Train:
    properties = group_of(section, "properties")
    if set(array.attrs) & {"polynom_coefficients", "expansion_origin"}:
        raise ValueError("a spike train's times are to be calculated: expected them as they are")
    times = _in_ms(numbers_of(array, "data"), array)
    interval = tuple(
        _in_ms(np.asarray(_property(properties, name)), properties[name])
        for name in ("t_start", "t_stop")
    )
    index = np.asarray(_property(properties, "source_index"))
    label = _property(properties, "source_population")
    return _train(label, index, times, np.full(times.size, index), interval)


def _in_ms(values: NDArray[Any], item: h5py.Group | h5py.Dataset) -> NDArray[np.float64]:
    unit = text_of(item, "unit")
    length = to_milliseconds(unit or "")
    if length is None:
        raise ValueError(f"{item.name} is in units of {unit!r}: expected ms, s, us ...")
    times: NDArray[np.float64] = values.astype(np.float64)
    return times if length == 1 else np.round(times * length, EXACT)


def _property(properties: h5py.Group, name: str) -> Any:
    """One value, a number or text."""
    if name not in properties:
        raise ValueError(f"{properties.name} does not have {name!r}")
    data = properties[name]
    if not isinstance(data, h5py.Dataset) or data.shape != (1,):
        raise ValueError(f"{properties.name}/{name} is no single value")
    if data.dtype.kind in "iuf":
        return numbers_of(properties, name)[0]
    value = data[0]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)

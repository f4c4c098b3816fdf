"""Files that a small table describes: ``recording.toml`` beside NEST's text files or Neo blocks.

The table says what the files do not: which neurons each population has, the warm-up, the duration,
and what was simulated (``docs/validation.md`` has examples).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording, Spikes
from portable_cortex.errors import OutputError, PortableCortexError
from portable_cortex.hdf5 import DAMAGE
from portable_cortex.host.untrusted import parse_toml, printable
from portable_cortex.models.loader import MODELS, load_model

from . import neo_block, nest_text
from .nest_text import Recorded, read_spikes

TABLE = "recording.toml"
REQUIRED = ("warmup_ms",)
OPTIONAL = (
    "duration_ms", "timestep_ms", "columns", "files", "model", "parameters", "seed", "backend",
    "populations",
)  # fmt: skip
POPULATION = ("first", "last", "files")
MOST_NEURONS = 10**8


def holds(path: Path) -> bool:
    """Whether a folder has such a table, or is one."""
    return _table(path).is_file()


def _table(path: Path) -> Path:
    return path if path.name == TABLE else path / TABLE


def load(path: Path) -> Recording:
    """Read the files that a table, or the table of a folder, describes.

    Raises
    ------
    OutputError
        If the table is not understood, or the files are not as it says.
    """
    path = _table(path)
    folder = path.parent
    try:
        table = parse_toml(path.read_text("utf-8"))
        _check_names(table, (*REQUIRED, *OPTIONAL), "it")
        missing = [name for name in REQUIRED if name not in table]
        if missing:
            raise ValueError(f"it does not state {', '.join(missing)}")
        times: dict[str, Any] = {
            name: _time(table, name)
            for name in ("warmup_ms", "duration_ms", "timestep_ms")
            if name in table
        }
        what = {
            "model": table.get("model"),
            "parameters": _parameters(table),
            "seed": table.get("seed"),
            "backend": table.get("backend"),
            "source": f"files that {TABLE} describes",
        }
        if "populations" in table:
            return _of_text(folder, table, {**times, **what})
        return _of_blocks(folder, table, {**times, **what})
    except OutputError:
        raise
    except (*DAMAGE, PortableCortexError) as error:
        raise OutputError(f"{path}: {printable(error)}") from error


def _of_text(folder: Path, table: Mapping[str, Any], metadata: dict[str, Any]) -> Recording:
    """NEST's text files, whose times count from the beginning of the simulation."""
    if "duration_ms" not in metadata:
        raise ValueError("it does not state duration_ms, which text files do not say")
    columns = table.get("columns")
    names = tuple(str(columns).split()) if columns is not None else None
    if names is not None and sorted(names) not in map(
        sorted, (nest_text.MILLISECONDS, nest_text.STEPS)
    ):
        raise ValueError(
            f"columns is {columns!r}: expected {' '.join(nest_text.MILLISECONDS)!r} or "
            f"{' '.join(nest_text.STEPS)!r}"
        )
    populations = table["populations"]
    if not isinstance(populations, dict) or not populations:
        raise ValueError("populations is no table: expected one a population")
    recorded = {
        label: _recorded(folder, label, entry, table.get("files"))
        for label, entry in populations.items()
    }
    owned = np.sort(np.concatenate([ids for ids, _ in recorded.values()]))
    if (owned[1:] == owned[:-1]).any():
        raise ValueError("populations share neurons: expected ranges of ids that do not overlap")
    t_stop = metadata["warmup_ms"] + metadata["duration_ms"]
    spikes = read_spikes(recorded, metadata.get("timestep_ms"), t_stop, names)
    sizes = {label: ids.size for label, (ids, _) in recorded.items()}
    return Recording(sizes, _after(spikes, metadata["warmup_ms"]), metadata)


def _id(entry: dict[str, Any], label: str, name: str) -> int:
    value = entry.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"populations.{label} has no first and last id, whole numbers")
    return value


def _recorded(folder: Path, label: str, entry: Any, files: Any) -> Recorded:
    if not isinstance(entry, dict):
        raise ValueError(f"populations.{label} is no table")
    _check_names(entry, POPULATION, f"populations.{label}")
    first, last = (_id(entry, label, name) for name in ("first", "last"))
    if not first <= last < first + MOST_NEURONS:
        raise ValueError(f"populations.{label} has the ids {first} to {last}")
    pattern = entry.get("files", files)
    return Recorded(np.arange(first, last + 1), _paths(folder, pattern, f"populations.{label}"))


def _of_blocks(folder: Path, table: Mapping[str, Any], metadata: dict[str, Any]) -> Recording:
    """Neo blocks, which know their populations and their end."""
    blocks = neo_block.load_files(_paths(folder, table.get("files"), "it"))
    warmup, begin, end = metadata["warmup_ms"], blocks.t_start, blocks.t_stop
    stop = warmup + metadata.get("duration_ms", end - warmup)
    if not begin <= warmup < end or abs(stop - end) > 1e-6:
        raise ValueError(
            f"it states {warmup:g} to {stop:g} ms after the warm-up, and the files hold "
            f"{begin:g} to {end:g} ms"
        )
    step = metadata.get("timestep_ms", blocks.metadata["timestep_ms"])
    stated = {**metadata, "duration_ms": round(end - warmup, 9), "timestep_ms": step}
    return replace(blocks, spike_trains=_after(blocks.spike_trains, warmup), metadata=stated)


def _after(spikes: Mapping[str, Spikes], warmup: float) -> dict[str, Spikes]:
    """Spikes after the warm-up; those before the simulation cannot be."""
    kept = {}
    for label, (times, neurons) in spikes.items():
        if times.size and times[0] < 0:
            raise ValueError(f"{label} has a spike at {times[0]:g} ms: expected times from 0")
        first = int(np.searchsorted(times, warmup + 1e-6, side="right"))
        kept[label] = Spikes(times[first:], neurons[first:])
    return kept


def _paths(folder: Path, pattern: Any, where: str) -> tuple[Path, ...]:
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"{where} names no files: expected a pattern such as 'spikes-7-*.dat'")
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise ValueError(f"{where} names {pattern!r}: expected files in the table's folder")
    paths = tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))
    if not paths:
        raise ValueError(f"{where} names {pattern!r}, and there are no such files in {folder}")
    return paths


def _parameters(table: Mapping[str, Any]) -> dict[str, Any]:
    """What was stated, and the defaults of a model of the package."""
    parameters = table.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError("parameters is no table")
    name = table.get("model")
    if name not in MODELS:
        return dict(parameters)
    model = load_model(name)
    model.check({k: v for k, v in parameters.items() if k != "seed"})
    defaults = {k: list(v) if isinstance(v, tuple) else v for k, v in model.parameters.items()}
    return {**defaults, **parameters}


def _time(table: Mapping[str, Any], name: str) -> float:
    value = table[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"{name} is {value!r}: expected a number")
    if value < 0 or (value == 0 and name != "warmup_ms"):
        raise ValueError(f"{name} is {value!r}: expected more than that")
    return float(value)


def _check_names(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [name for name in table if name not in known]
    if unknown:
        raise ValueError(f"{where} has {', '.join(unknown)}: expected {', '.join(known)}")

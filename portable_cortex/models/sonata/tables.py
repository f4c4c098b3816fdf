"""Tables of SONATA files: columns and spike trains in HDF5, types in CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...hdf5 import DAMAGE, dataset_of, group_of, numbers_of, text_of
from ...host.untrusted import printable
from .configuration import LARGEST

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Row = dict[str, str]

ALL = slice(None)
NOTHING = ("", "NULL", "None", "nan", "{}")  # what stands for no value
MILLISECONDS = (None, "ms", "milliseconds", "millisecond")


def read_trains(path: Path, population: str, size: int) -> list[F64]:
    """Spike times of each node of a population, ms.

    Raises
    ------
    ModelError
    """
    with opened(path) as file:
        group = group_of(file, "spikes")
        if population in group:
            group = group_of(group, population)
        elif "timestamps" not in group:
            raise ValueError(f"it has no spikes of {printable(population)}")
        times = numbers_of(group, "timestamps").astype(float)
        units = text_of(group["timestamps"], "units")
        if units not in MILLISECONDS:
            raise ValueError(f"{group.name}/timestamps is in {printable(units)}: expected ms")
        ids = whole(group, "node_ids" if "node_ids" in group else "gids")
    if times.size != ids.size or not np.isfinite(times).all() or np.any(times < 0):
        raise ModelError(f"{path}: spikes must be pairs of a node and a time from 0")
    if ids.size and not (ids.min() >= 0 and ids.max() < size):
        raise ModelError(
            f"{path}: spikes of nodes {ids.min()} to {ids.max()}, and {printable(population)} has "
            f"{size} nodes"
        )
    order = np.lexsort((times, ids))
    ends = np.bincount(ids, minlength=size).cumsum()[:-1]
    return np.split(times[order], ends)


def read_types(path: Path, key: str, population: str) -> dict[int, Row]:
    """The rows of a table of types that are of a population, by their id, without empty fields.

    Raises
    ------
    ModelError
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} is too large for a table of types")
        lines = path.read_text("utf-8").replace("\t", " ").splitlines()
        table = list(csv.reader(map(str.strip, lines), delimiter=" ", skipinitialspace=True))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise ModelError(f"{path} is no table of types: {printable(error)}") from error
    names, *rows = [row for row in table if row] or [[]]
    if key not in names:
        raise ModelError(f"{path} has no column {key}")
    found: dict[int, Row] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ModelError(
                f"{path}: row {number} has {len(row)} fields, and the table {len(names)} columns"
            )
        fields = {n: v for n, v in zip(names, row, strict=True) if v not in NOTHING}
        if fields.pop("population", population) != population:
            continue
        try:
            kind = int(fields.get(key, ""))
        except ValueError:
            raise ModelError(f"{path}: row {number}: {key} is no whole number") from None
        if kind in found:
            raise ModelError(f"{path}: {key} {kind} stands there twice")
        found[kind] = fields
    return found


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file that is read; whatever is wrong with it is a `ModelError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ModelError:
        raise
    except DAMAGE as error:
        why = "it is too large for the memory" if isinstance(error, MemoryError) else str(error)
        raise ModelError(f"{path} cannot be read: {printable(why)}") from error


def in_order(parent: h5py.Group, column: str) -> list[str]:
    """Populations in the order of their first types, which is that in which they were written."""

    def first(name: str) -> tuple[int, str]:
        types = dataset_of(group_of(parent, name), column)
        return (int(types[0]) if types.size else 0), name

    return sorted(parent, key=first)


def groups(
    group: h5py.Group, kind: str, size: int, part: slice = ALL
) -> Iterator[tuple[str, I64, I64, h5py.Group]]:
    """Groups of attributes: number, which nodes or edges are in it, and where each is there."""
    numbers = [name for name in group if name.isdecimal()]
    if not numbers:
        return
    which, index = (whole(group, f"{kind}_group_{name}", part) for name in ("id", "index"))
    if not which.size == index.size == size:
        raise ValueError(f"{group.name}/{kind}_group_id and _index must have {size} values")
    if index.size and index.min() < 0:
        raise ValueError(f"{group.name}/{kind}_group_index must be 0 or more")
    if lost := {*np.unique(which).tolist()} - {*map(int, numbers)}:
        raise ValueError(f"{group.name} has no group {min(lost)}, which some {kind}s are in")
    for number in numbers:
        members = np.flatnonzero(which == int(number))
        if members.size:
            yield number, members, index[members], group_of(group, number)


def whole(group: h5py.Group, name: str, part: slice = ALL) -> I64:
    """Whole numbers of a column."""
    data = dataset_of(group, name)
    if data.dtype.kind not in "iu":
        raise ValueError(f"{group.name}/{name} must hold whole numbers")
    values: I64 = data[part].astype(np.int64)
    return values


def number(text: str, where: str) -> float:
    """A field of a table as a number.

    Raises
    ------
    ModelError
        For what is none; it says where.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ModelError(f"{where} must be a number, not {printable(text)}")
    return value

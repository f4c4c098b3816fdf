"""Datasets of HDF5 files that others made: what a file claims is checked before it is read.

A dataset of a few bytes may claim to hold terabytes, lie in another file, or hold text; each is a
`ValueError` that names the dataset and says what was expected.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

# What h5py and numpy raise for a file that is not what it should be
DAMAGE = (
    OSError,
    KeyError,
    AttributeError,
    ValueError,
    TypeError,
    RuntimeError,  # RecursionError is one
    ArithmeticError,
    MemoryError,
)
LITTLE = 2**20  # bytes that may be allocated for nothing
SMALLEST = 1100  # bytes that one byte in a file may stand for: deflate's limit is 1032


def group_of(parent: h5py.Group, name: str) -> h5py.Group:
    """A group that lies in the file itself.

    Raises
    ------
    ValueError
        If there is none of that name, or it is something else.
    """
    member = _member(parent, name)
    if not isinstance(member, h5py.Group):
        raise ValueError(f"{_path(parent, name)} is no group")
    return member


def numbers_of(parent: h5py.Group, name: str, n_dims: int = 1) -> NDArray[Any]:
    """The values of a dataset of numbers, whole or not.

    Raises
    ------
    ValueError
        If there is none of that name, or its values cannot be what they should be.
    """
    data: h5py.Dataset = dataset_of(parent, name, n_dims)
    values: NDArray[Any] = data[...]
    return values


def dataset_of(parent: h5py.Group, name: str, n_dims: int = 1) -> h5py.Dataset:
    """A dataset of numbers that has what it claims; its values are not read.

    Raises
    ------
    ValueError
        As `numbers_of`.
    """
    data, path = _member(parent, name), _path(parent, name)
    if not isinstance(data, h5py.Dataset):
        raise ValueError(f"{path} is no dataset")
    if data.dtype.kind not in "iuf":
        raise ValueError(f"{path} holds {data.dtype}: expected numbers")
    if data.shape is None or data.ndim != n_dims:
        raise ValueError(f"{path} has the shape {data.shape}: expected {n_dims} dimension(s)")
    _check_stored(data, path)
    return data


def text_of(item: h5py.Group | h5py.Dataset, name: str) -> str | None:
    """An attribute as text; None if there is none.

    Raises
    ------
    ValueError
        If it is no text.
    """
    if name not in item.attrs:
        return None
    value = item.attrs[name]
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value
    raise ValueError(f"the attribute {name!r} of {item.name} is no text")


def _member(parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    path = _path(parent, name)
    link = parent.get(name, getlink=True)
    if link is None:
        raise ValueError(f"there is no {path}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{path} is a link to another place: expected the data themselves")
    return parent[name]


def _path(parent: h5py.Group, name: str) -> str:
    return f"{str(parent.name).rstrip('/')}/{name}"


def _check_stored(data: h5py.Dataset, path: str) -> None:
    """Whether the file has as much as a dataset claims; nothing is allocated."""
    if data.external or data.is_virtual:
        raise ValueError(f"the values of {path} lie in other files: expected them in this one")
    size = data.size * data.dtype.itemsize
    if size == 0:
        return
    stored = data.id.get_storage_size()
    if data.chunks is None:
        complete = stored >= size
    else:
        pairs = zip(data.shape, data.chunks, strict=True)
        whole = data.id.get_num_chunks() == prod(-(-n // chunk) for n, chunk in pairs)
        largest = max(size, prod(data.chunks) * data.dtype.itemsize)
        complete = whole and largest <= SMALLEST * stored
    if complete and stored > LITTLE:  # which may be a claim, too
        complete = stored <= Path(data.file.filename).stat().st_size
    if not complete:
        raise ValueError(
            f"{path} claims {data.size:,} values, and the file has {stored:,} bytes of them"
        )

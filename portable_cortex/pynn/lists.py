"""Lists of synapses that a connector is given, in memory or in a file, and how they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from ..host import parallel

Rows = NDArray[np.float64]
ADDRESS = "i", "j"
MATRIX = "matrix"  # what a file says of itself that has no list


def listed_synapses(connector: Any) -> tuple[Rows, tuple[str, ...]]:
    """Rows of a FromList or FromFile connector, and the names of their columns after two indices.

    Parameters
    ----------
    connector : pyNN.connectors.FromListConnector

    Returns
    -------
    array, shape (synapses, 2 + columns)
    tuple of str

    Raises
    ------
    InvalidValueError
        For rows that are no numbers, or have another number of columns than there are names.
    """
    if hasattr(connector, "file") and not hasattr(connector, "conn_list"):  # it is read once
        connector.conn_list, connector.column_names = _read(connector)
    columns, what = tuple(connector.column_names), type(connector).__name__
    try:
        rows = np.asarray(connector.conn_list, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"the list of a {what} must be of numbers: {error}") from None
    if not rows.size:
        return np.empty((0, 2 + len(columns))), columns
    return _of_width(np.atleast_2d(rows), 2 + len(columns), what), columns


def _of_width(rows: Rows, width: int, what: str) -> Rows:
    if rows.ndim != 2 or rows.shape[1] != width:
        raise InvalidValueError(
            f"the list of a {what} has {rows.shape[-1]} columns, and {width} have names: it takes "
            "two indices and weight and delay, two indices only, or a line "
            "# columns = ['i', 'j', ...] in a file, and column_names of a list, that name the rest"
        )
    return rows


def _read(connector: Any) -> tuple[Rows, tuple[str, ...]]:
    """The synapses in a connector's file: two indices, then what the columns are named."""
    from pyNN.recording.files import StandardTextFile  # slow to import

    file = connector.file
    if getattr(connector, "distributed", False):
        if parallel.processes() > 1:
            raise InvalidValueError(
                "FromFileConnector(distributed=True) reads a file for each process, and here each "
                "process reads all synapses: join the files into one"
            )
        file = type(file)(f"{file.name}.0", mode=file.mode)
    metadata = _comments(file) if isinstance(file, StandardTextFile) else file.get_metadata()
    if MATRIX in metadata:
        raise InvalidValueError(
            f"{file.name} has a matrix, and FromFileConnector takes a list: save it with "
            "format='list', or give the matrix to an ArrayConnector and a synapse type"
        )
    try:
        rows = np.asarray(file.read(), dtype=float)
    except ValueError as error:
        raise InvalidValueError(f"{file.name} is no list of synapses: {error}") from None
    names = [str(name) for name in metadata.get("columns", ())]
    if not rows.size:
        return rows, tuple(name for name in names if name not in ADDRESS)
    rows = np.atleast_2d(rows)
    if not names:
        names = [*ADDRESS, *(("weight", "delay") if rows.shape[1] != 2 else ())]
    if len(names) != rows.shape[1] and all(len(name) == 1 for name in names):
        names = [*ADDRESS, "".join(names[2:])]  # PyNN writes a single name letter by letter
    if not set(ADDRESS) & set(names):
        names = [*ADDRESS, *names]
    rows = _of_width(rows, len(names), f"FromFileConnector ({file.name})")
    if not set(ADDRESS) <= set(names):
        raise InvalidValueError(f"{file.name} must have columns i and j, not {', '.join(names)}")
    others = tuple(name for name in names if name not in ADDRESS)
    return rows[:, [names.index(name) for name in (*ADDRESS, *others)]], others


def _comments(file: Any) -> dict[str, Sequence[str]]:
    """What the first lines of a text file say: lists of names; PyNN would execute them."""
    file._check_open()
    said: dict[str, Sequence[str]] = {}
    for line in file.fileobj:
        text = line.decode() if isinstance(line, bytes) else line
        if not text.startswith("#"):
            break
        name, equals, value = text[1:].partition("=")
        if equals:
            said[name.strip()] = _names(value.strip())
    file.fileobj.seek(0)
    return said


def _names(text: str) -> Sequence[str]:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if isinstance(value, list | tuple):
        return [str(name) for name in value]
    return [name for name in re.split(r"[\s,]+", str(value)) if name]


def save(file: Any, values: Any, names: Sequence[str], *, matrix: bool, with_address: bool) -> None:
    """Write what a projection's ``get()`` gave into a file of PyNN's.

    Raises
    ------
    InvalidValueError
        For several matrices.
    """
    if matrix and len(names) != 1:
        raise InvalidValueError(
            f"a file has one matrix, not those of {', '.join(names)}: save them one by one, or "
            "with format='list'"
        )
    columns = [*ADDRESS, *names] if with_address else list(names)
    metadata = {MATRIX: list(names)} if matrix else {"columns": columns}
    file.write(np.nan_to_num(values[0]) if matrix else values, metadata)
    file.close()

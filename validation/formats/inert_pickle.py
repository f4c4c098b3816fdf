"""Pickles of Neo blocks, read without running anything that they name.

A pickle is a program: Python's own reader calls whatever it names. This one calls nothing. Names
of Neo, quantities, numpy and a few of Python become `Inert` objects, which keep what they were
given; every other name is refused. Arrays are then made from their bytes.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from portable_cortex.recording.sonata import to_milliseconds

PACKAGES = ("neo", "quantities", "numpy")
BUILTINS = {
    *(f"builtins.{name}" for name in ("dict", "list", "set", "tuple", "object", "bytearray")),
    "collections.OrderedDict",
    "copyreg._reconstructor",
    "datetime.datetime",
    "_codecs.encode",
}


class Inert:
    """What a pickle would have made: its class or function, and what that would have been given.

    Attributes
    ----------
    path : str
        Module and name, as the pickle names them.
    args : tuple
        Arguments.
    state : object
        What would have become its attributes; None if nothing.
    members : list
        What was appended.
    pairs : dict
        What was set by key.
    """

    path: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: Any
    members: list[Any]
    pairs: dict[Any, Any]

    def __new__(cls, *args: Any, **_: Any) -> Inert:
        """Keep the arguments; a pickle may make an object without calling ``__init__``."""
        inert = object.__new__(cls)
        inert.args, inert.state, inert.members, inert.pairs = args, None, [], {}
        return inert

    def __init__(self, *args: Any, **_: Any) -> None:
        """Everything is done."""

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, member: Any) -> None:
        """As a list's."""
        self.members.append(member)

    def extend(self, members: Any) -> None:
        """As a list's."""
        self.members.extend(members)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pairs[key] = value

    def is_a(self, name: str) -> bool:
        """Whether the pickle names this class or function, wherever it lies in its package."""
        return self.path.rpartition(".")[2] == name

    def attribute(self, name: str) -> Any:
        """An attribute of the object, by its name with or without an underscore; None without."""
        state = self.state if isinstance(self.state, dict) else {}
        return state.get(f"_{name}", state.get(name))


class _Reader(pickle._Unpickler):
    """Python's reader in Python: that in C allocates what a pickle claims."""

    def find_class(self, module: str, name: str) -> Any:
        path = f"{module}.{name}"
        if module.split(".")[0] not in PACKAGES and path not in BUILTINS:
            raise ValueError(
                f"it would call {path}: expected classes of {', '.join(PACKAGES)} only"
            )
        return type(name, (Inert,), {"path": path})


def load_inert(path: Path) -> Any:
    """The object in a pickle, of inert parts.

    Raises
    ------
    ValueError
        For a pickle that names anything else, or that is damaged.
    """
    try:
        return _Reader(BytesIO(path.read_bytes())).load()
    except (OSError, ValueError, MemoryError):
        raise
    except Exception as error:  # what damage makes of a program, nobody can list
        raise ValueError(f"it is no whole pickle ({type(error).__name__}: {error})") from error


def array_of(value: Any) -> NDArray[Any]:
    """The numbers of an array, a quantity, a numpy scalar, or of plain numbers.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if isinstance(value, Inert):
        if value.is_a("scalar"):
            dtype, raw = value.args
            return _array(raw, dtype, ())
        if value.is_a("_frombuffer"):
            raw, dtype, shape, _ = value.args
            return _array(raw, dtype, shape)
        if value.is_a("_reconstruct") or value.is_a("_reconstruct_quantity"):
            _, shape, dtype, _, raw = value.state[:5]
            return _array(raw, dtype, shape)
        if value.path.startswith("quantities.unitquantity."):
            return np.ones(())
    elif isinstance(value, bool | int | float | list | tuple):
        array = np.asarray(value)
        if array.dtype.kind in "iuf" or not array.size:
            return array
    raise ValueError(f"it has {_name(value)}: expected numbers")


def _array(raw: Any, dtype: Any, shape: Any) -> NDArray[Any]:
    if not (isinstance(dtype, Inert) and dtype.is_a("dtype") and dtype.args):
        raise ValueError(f"it has {_name(dtype)}: expected a type of numbers")
    order = dtype.state[1] if dtype.state else "="
    kind = np.dtype(f"{order if order in ('<', '>') else '='}{dtype.args[0]}")
    if kind.kind not in "iuf" or not isinstance(raw, bytes | bytearray):
        raise ValueError(f"it has an array of {kind}: expected numbers")
    if len(shape) > 1 or len(raw) != prod(shape) * kind.itemsize:
        raise ValueError(f"it has an array of {len(raw)} bytes and the shape {tuple(shape)}")
    return np.frombuffer(raw, kind).reshape(shape)


def milliseconds_of(value: Any, unit: Any = None) -> NDArray[np.float64]:
    """A quantity of time in ms; `unit` is that of plain numbers.

    Raises
    ------
    ValueError
        For another unit than one of time.
    """
    name = _unit(value) or _unit(unit)
    length = to_milliseconds(name) if name else None
    if length is None:
        raise ValueError(f"it has times in units of {name!r}: expected ms, s, us ...")
    times = array_of(value).astype(np.float64)
    return times if length == 1 else np.round(times * length, 9)


def _unit(value: Any) -> str:
    """The name of the unit of a quantity, or of a unit; empty if it is neither."""
    if not isinstance(value, Inert):
        return ""
    if value.path.startswith("quantities.unitquantity.") and value.args:
        return str(value.args[0])
    if not value.is_a("_reconstruct_quantity") or len(value.state) < 6:
        return ""
    units = value.state[5]
    pairs = units.pairs if isinstance(units, Inert) else {}
    if len(pairs) != 1 or next(iter(pairs.values())) != 1:
        return ""
    return _unit(next(iter(pairs)))


def _name(value: Any) -> str:
    return value.path if isinstance(value, Inert) else type(value).__name__

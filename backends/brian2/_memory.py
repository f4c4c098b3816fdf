"""Keeps Brian2's C++ device from holding the synapses several times.

By itself Brian2 holds, in Python, a copy of each array that it will write to a file and three of
the pairs of neurons that are connected, and in the program both the files' contents and what was
filled from them, to the end. At full scale that is more than the network itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brian2


def spare(device: Any, folder: Path) -> None:
    """Let a device, before anything is built for it, write arrays to their files at once."""
    files = folder / "static_arrays"
    files.mkdir()
    device.static_arrays = _Files(files)
    device.array_cache = _Known(device.array_cache)


def freeing(device: Any) -> Iterator[tuple[str, Any]]:
    """All that the program does, each array freed as soon as others were filled from it."""
    for command, arguments in device.main_queue:
        yield command, arguments
        used = []
        if command == "set_by_array":
            used = [arguments[1]]
        elif command == "run_code_object" and arguments[0].template_name == "synapses_create_array":
            variables = arguments[0].variables
            used = [device.get_array_name(variables[name]) for name in ("sources", "targets")]
        for array in used:
            yield "insert_code", f"delete[] {array}; {array} = 0;"


class _File:
    """An array that is in its file, for a device that wants to write it there."""

    def __init__(self, array: Any, path: Path) -> None:
        self.dtype, self.size = array.dtype, array.size
        array.tofile(path)

    def tofile(self, path: str) -> None:
        """Nothing: it is there."""


class _Files(dict[str, Any]):
    """Arrays by name, as the device keeps them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __setitem__(self, name: str, array: Any) -> None:
        super().__setitem__(name, _File(array, self._folder / name))


class _Known(dict[Any, Any]):
    """Values that the device knows before the program has run: all but those of synapses."""

    def __setitem__(self, variable: Any, value: Any) -> None:
        of_synapses = isinstance(variable.owner, brian2.Synapses)
        super().__setitem__(variable, None if of_synapses else value)

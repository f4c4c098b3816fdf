"""Programs in APLX format: what to copy and fill, and where to begin (SARK's loader)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from .native import DTCM_SIZE, ITCM_SIZE, Program

_COPY_ABSOLUTE, _COPY_RELATIVE, _FILL, _EXECUTE = 1, 2, 3, 4
_ENTRY = struct.Struct("<4I")
_MAX_ENTRIES = 64
_LARGEST = ITCM_SIZE + DTCM_SIZE


def read_program(read: Callable[[int, int], bytes | None], address: int) -> Program | None:
    """The program that stands at an address, or None if there is none.

    Parameters
    ----------
    read : callable
        Gives so many bytes at an address, or None where there is no memory.
    address : int
        Where the table begins.
    """
    pieces: list[tuple[int, bytes]] = []
    for at in range(address, address + _MAX_ENTRIES * _ENTRY.size, _ENTRY.size):
        entry = read(at, _ENTRY.size)
        if entry is None:
            return None
        kind, a, b, c = _ENTRY.unpack(entry)
        if kind == _EXECUTE:
            return Program(tuple(pieces), a)
        size = _round(b if kind == _FILL else c)
        if size > _LARGEST:
            return None
        if kind == _FILL:
            pieces.append((a, struct.pack("<I", c) * (size // 4)))
        elif kind in (_COPY_ABSOLUTE, _COPY_RELATIVE):
            data = read(b if kind == _COPY_ABSOLUTE else at + b, size)
            if data is None:
                return None
            pieces.append((a, data))
        else:
            return None
    return None


def _round(size: int) -> int:
    return (size + 31) & ~31

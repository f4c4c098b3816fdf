"""Whether a network fits into this computer, asked before it is built."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import SimulationError


def free_bytes() -> int:
    """Memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check(needed: int, n_synapses: int) -> None:
    """Refuse what does not fit.

    Parameters
    ----------
    needed : int
        Bytes.
    n_synapses : int
        For the message.

    Raises
    ------
    SimulationError
        If less is free.
    """
    free = free_bytes()
    if needed > free:
        raise SimulationError(
            f"{n_synapses:,} synapses need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB free: use a "
            "smaller scale, or end other programs"
        )


def sparse(shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """Zeros of which only those take memory that are written, and their neighbours.

    Numpy asks for huge pages, of which every one that is touched is taken as a whole.
    """
    n_bytes = int(np.prod(shape)) * np.dtype(kind).itemsize
    pages = mmap.mmap(-1, max(n_bytes, 1))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # Linux
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, kind, int(np.prod(shape))).reshape(shape)


HUGE_PAGE = 1 << 21


def one_page(n: int, kind: Any = np.float64) -> NDArray[Any]:
    """`n` zeros that begin on a huge page, which the processor finds without looking far."""
    # numpy asks for huge pages where an array has 4 MB or more
    n_bytes = n * np.dtype(kind).itemsize
    buffer = np.empty(n_bytes + 2 * HUGE_PAGE, np.uint8)
    begin = -buffer.ctypes.data % HUGE_PAGE
    found: NDArray[Any] = buffer[begin : begin + n_bytes].view(kind)
    found[:] = 0
    return found

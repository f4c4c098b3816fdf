"""Wall-clock and processor time, what machine it was, and whether it was the script's own.

With other programs on the same cores the wall clock says how busy the machine was, and the
processor time still says how much work there was: every script prints both, and marks what was
measured while programs waited for a core.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

SHARED = 0.05  # of the time; above it the wall clock says little
MARK = "*"


@dataclass
class Stopwatch:
    """Measures what is done within a ``with`` block.

    Attributes
    ----------
    wall : float
        s.
    cpu : float
        Processor time of all threads of this process, and of the programs that it started and
        that have ended within the block, s.
    waits : float
        Share of the time in which some program of this machine was ready and had no core.

    Examples
    --------
    >>> with Stopwatch() as watch:
    ...     _ = sum(range(1000))
    >>> watch.wall > 0
    True
    """

    wall: float = 0.0
    cpu: float = 0.0
    waits: float = 0.0
    _began: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0), repr=False)

    def __enter__(self) -> Stopwatch:
        self._began = _clocks()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ended = _clocks()
        self.wall, self.cpu, waits = (b - a for a, b in zip(self._began, ended, strict=True))
        self.waits = waits / self.wall


def _clocks() -> tuple[float, float, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() + children.ru_utime + children.ru_stime
    return time.perf_counter(), cpu, _waiting()


def _waiting() -> float:
    """Seconds for which programs have waited for a core; 0 where the system does not tell."""
    try:
        pressure = Path("/proc/pressure/cpu").read_text("ascii")
        stolen = int(Path("/proc/stat").read_text("ascii").split()[8])  # by other virtual machines
    except OSError:
        return 0.0
    waited = int(pressure.partition("total=")[2].split()[0]) * 1e-6
    return waited + stolen / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def machine() -> str:
    """The machine in one line: times differ by 2 with the processor.

    Examples
    --------
    >>> "cores" in machine()
    True
    """
    processor, flags = platform.processor() or platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                processor = value.strip()
            elif name.strip() == "flags":
                flags = value
    except OSError:
        pass
    vectors = next((name for flag, name in VECTORS.items() if f" {flag}" in flags), "")
    try:
        cache = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text("ascii").strip()
    except OSError:
        cache = ""
    parts = (
        processor,
        vectors,
        f"{cache}B L2" if cache else "",
        f"{cores()} cores",
        f"load {os.getloadavg()[0]:.1f}",
    )
    return ", ".join(part for part in parts if part)


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "sse4_2": "SSE4.2"}  # the widest first


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cell(values: Sequence[float], unit: str = "", digits: int = 2) -> str:
    """A median and its range for a table.

    Examples
    --------
    >>> cell([1.0, 2.0, 4.0], " s")
    '2.00 s [1.00, 4.00]'
    """
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f}{unit} [{low:.{digits}f}, {high:.{digits}f}]"


def mark(waits: Iterable[float]) -> str:
    """What stands at a number that was measured while programs waited for a core.

    Examples
    --------
    >>> mark([0.01, 0.2]), mark([0.01])
    ('*', '')
    """
    return MARK if any(share > SHARED for share in waits) else ""


def remark(waits: Iterable[float]) -> str:
    """The sentence below a table: whether the machine was the script's own.

    Examples
    --------
    >>> remark([0.01, 0.0]).partition(":")[0]
    'The machine was its own'
    """
    shares = list(waits)
    disturbed = sum(share > SHARED for share in shares)
    load = f"load {os.getloadavg()[0]:.1f}"
    if not disturbed:
        return f"The machine was its own: no program waited for a core ({load})."
    return (
        f"{MARK} The machine was not its own in {disturbed} of {len(shares)} measurements: "
        f"programs waited for a core in up to {100 * max(shares):.0f} % of the time ({load}). "
        "Wall-clock times say little there; processor times hold."
    )

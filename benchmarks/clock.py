"""Wall-clock and processor time, what machine it was, and whether it was the script's own.

With other programs on the same cores the wall clock says how busy the machine was, and the
processor time still says how much work there was. Every script prints both, and marks wall-clock
times that were measured while programs waited for a core. The standard library is enough for it:
other versions of the package are measured with it too.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

SHARED = 0.05  # of the time; above it the wall clock says little
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "sse4_2": "SSE4.2"}  # the widest first
PROCESSOR = "processor time"


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
        self.waits = min(1.0, waits / self.wall)

    def times(self, name: str) -> dict[str, float]:
        """Both times, with names for a table.

        Examples
        --------
        >>> Stopwatch(2.0, 3.0).times("connect")
        {'connect': 2.0, 'connect, processor time': 3.0}
        """
        return {name: self.wall, f"{name}, {PROCESSOR}": self.cpu}


def _clocks() -> tuple[float, float, float]:
    return time.perf_counter(), processor_time(), _waiting()


def processor_time() -> float:
    """Seconds of all threads of this process, and of programs that it started and that ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _waiting() -> float:
    """Seconds for which programs have waited for a core; 0 where the system does not tell."""
    try:
        pressure = Path("/proc/pressure/cpu").read_text("ascii")
        stolen = int(Path("/proc/stat").read_text("ascii").split()[8])  # by other virtual machines
    except OSError:
        return 0.0
    waited = int(pressure.partition("total=")[2].split()[0]) * 1e-6
    return waited + stolen / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def of_run(metadata: Mapping[str, Any], **phases: Sequence[str]) -> dict[str, float]:
    """Both times of a run of this package, from its ``run.json``.

    Examples
    --------
    >>> wall, cpu = {"create": 1.0, "connect": 2.0}, {"create": 1, "connect": 3}
    >>> metadata = {"phases_s": wall, "cpu_s": cpu}
    >>> of_run(metadata, build=("create", "connect"))
    {'build': 3.0, 'build, processor time': 4}
    """
    times = {}
    for name, parts in phases.items():
        wall, cpu = (sum(metadata[key][part] for part in parts) for key in ("phases_s", "cpu_s"))
        times.update(Stopwatch(wall, cpu).times(name))
    return times


def child(what: str, *command: str) -> dict[str, float]:
    """The numbers in the last line of a program of this folder, with those of the machine.

    Parameters
    ----------
    what : str
        Its name, where it fails.
    *command : str
        Script and arguments.

    Returns
    -------
    dict
        What it printed as JSON, "processor time" of all of it, and "waits", as of `Stopwatch`.
    """
    with Stopwatch() as watch:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"{what} failed:\n{done.stderr[-2000:]}")
    printed: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**printed, PROCESSOR: watch.cpu, "waits": watch.waits}


@contextmanager
def session() -> Iterator[None]:
    """Say what machine this is; at the end, how long it took and whether the machine was free."""
    print(f"{machine()}\n", flush=True)
    with Stopwatch() as watch:
        yield
    took = f"{watch.wall:.0f} s by the clock, {watch.cpu:.0f} s of processor time"
    print(
        f"\n{took}; programs waited for a core in {100 * watch.waits:.0f} % of the time, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def machine() -> str:
    """The machine in one line: times differ by 2 with the processor.

    Examples
    --------
    >>> "cores" in machine()
    True
    """
    processor, flags, cache = platform.processor() or platform.machine(), "", ""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                processor = value.strip()
            elif name.strip() == "flags":
                flags = value
        cache = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text("ascii").strip()
    except OSError:
        pass
    vectors = next((name for flag, name in VECTORS.items() if flag in flags.split()), "")
    level_2 = f"{cache}B of second-level cache" if cache else ""
    load = f"load {os.getloadavg()[0]:.1f}"
    return ", ".join(filter(None, (processor, vectors, level_2, f"{cores()} cores", load)))


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cell(
    values: Iterable[float], unit: str = "", waits: Iterable[float] = (), digits: int = 2
) -> str:
    """A median and its range for a table, with a mark where programs waited for a core.

    Examples
    --------
    >>> cell([1.0, 2.0, 4.0], " s")
    '2.00 s [1.00, 4.00]'
    >>> cell([1.0, 2.0, 4.0], " s", waits=[0.0, 0.01, 0.3])
    '2.00 s [1.00, 4.00] (cores shared 30 %)'
    """
    numbers = list(values)
    middle = f"{statistics.median(numbers):.{digits}f}{unit}"
    if len(numbers) == 1:
        return middle + mark(waits)
    return f"{middle} [{min(numbers):.{digits}f}, {max(numbers):.{digits}f}]{mark(waits)}"


def mark(waits: Iterable[float]) -> str:
    """What stands at a wall-clock time that was measured while programs waited for a core.

    Examples
    --------
    >>> mark([0.0, 0.3]), mark([0.01])
    (' (cores shared 30 %)', '')
    """
    share = max(waits, default=0.0)
    return f" (cores shared {100 * share:.0f} %)" if share > SHARED else ""

"""Wall-clock and processor time by phase."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Clock:
    """Adds up seconds under the name of a phase; a phase within itself counts once.

    Attributes
    ----------
    seconds, cpu_seconds : dict of str to float
        Wall-clock time, and `processor_time`.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("connect"):
    ...     pass
    >>> list(clock.seconds), list(clock.cpu_seconds)
    (['connect'], ['connect'])
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._running: set[str] = set()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time within a ``with`` block for `phase`."""
        if phase in self._running:
            yield
            return
        self._running.add(phase)
        start, cpu_start = time.perf_counter(), processor_time()
        try:
            yield
        finally:
            self._running.discard(phase)
            elapsed, used = time.perf_counter() - start, processor_time() - cpu_start
            self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed
            self.cpu_seconds[phase] = self.cpu_seconds.get(phase, 0.0) + max(0.0, used)


def processor_time() -> float:
    """Seconds of all threads of this process, and of the programs that it has started.

    Where the system does not tell the time of a running program, it counts when it has ended.

    Examples
    --------
    >>> processor_time() > 0
    True
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + _running_children("thread-self")


def _running_children(task: str) -> float:
    """Processor seconds of the programs that a thread has started and that go on."""
    try:
        children = Path("/proc", task, "children").read_text("ascii").split()
    except OSError:
        return 0.0
    return sum(_of_program(child) for child in children)


def _of_program(pid: str) -> float:
    try:
        fields = Path("/proc", pid, "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:  # it has ended since
        return 0.0
    own_and_ended = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own_and_ended + _running_children(f"{pid}/task/{pid}")

"""Wall-clock and processor time by phase."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Clock:
    """Adds up seconds under the name of a phase; a phase within itself counts once.

    Parameters
    ----------
    before : mapping of str to mapping, optional
        What an earlier process counted: see `until_now`.

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

    def __init__(self, before: Mapping[str, Mapping[str, float]] | None = None) -> None:
        before = before or {}
        self.seconds: dict[str, float] = dict(before.get("seconds", {}))
        self.cpu_seconds: dict[str, float] = dict(before.get("cpu_seconds", {}))
        self._running: dict[str, tuple[float, float]] = {}

    def until_now(self) -> dict[str, dict[str, float]]:
        """Both, with the time of phases that go on."""
        now = Clock({"seconds": self.seconds, "cpu_seconds": self.cpu_seconds})
        for phase, start in self._running.items():
            now._add(phase, start)
        return {"seconds": now.seconds, "cpu_seconds": now.cpu_seconds}

    def clear(self) -> None:
        """Count from nothing."""
        self.seconds.clear()
        self.cpu_seconds.clear()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time within a ``with`` block for `phase`."""
        if phase in self._running:
            yield
            return
        start = self._running[phase] = time.perf_counter(), processor_time()
        try:
            yield
        finally:
            del self._running[phase]
            self._add(phase, start)

    def _add(self, phase: str, start: tuple[float, float]) -> None:
        elapsed, used = time.perf_counter() - start[0], processor_time() - start[1]
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
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = usage.ru_utime + usage.ru_stime
    return time.process_time() + ended + _going_on(ended)


FRESH = 5e-3  # s: a phase may be short, and begin for each of very many projections
_read = -1.0, (0, 0.0), 0.0  # when running programs were read, for which thread, after which ended


def _going_on(ended: float) -> float:
    """Processor seconds of running programs, as they were within the last `FRESH` seconds.

    Those of one that has ended since count among the ended: then they are read again.
    """
    global _read
    now, of = time.perf_counter(), (threading.get_ident(), ended)
    if now - _read[0] > FRESH or of != _read[1]:
        _read = now, of, _running_children("thread-self")
    return _read[2]


def _running_children(task: str) -> float:
    """Processor seconds of the programs that a thread has started and that go on."""
    try:
        file = os.open(f"/proc/{task}/children", os.O_RDONLY)
    except OSError:
        return 0.0
    try:
        children = os.read(file, 1 << 16).decode("ascii").split()
    except OSError:
        return 0.0
    finally:
        os.close(file)
    return sum(_of_program(child) for child in children)


def _of_program(pid: str) -> float:
    try:
        fields = Path("/proc", pid, "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:  # it has ended since
        return 0.0
    own_and_ended = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own_and_ended + _running_children(f"{pid}/task/{pid}")

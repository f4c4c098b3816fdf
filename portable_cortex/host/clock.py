"""Wall-clock time by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Adds up wall-clock seconds under the name of a phase; a phase within itself counts once.

    Parameters
    ----------
    seconds : mapping of str to float
        What has been counted before.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("connect"):
    ...     pass
    >>> list(clock.seconds)
    ['connect']
    """

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(seconds or {})
        self._running: dict[str, float] = {}

    def until_now(self) -> dict[str, float]:
        """The seconds, with those of phases that go on."""
        now, seconds = time.perf_counter(), dict(self.seconds)
        for phase, start in self._running.items():
            seconds[phase] = seconds.get(phase, 0.0) + now - start
        return seconds

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time within a ``with`` block for `phase`."""
        if phase in self._running:
            yield
            return
        start = self._running[phase] = time.perf_counter()
        try:
            yield
        finally:
            del self._running[phase]
            elapsed = time.perf_counter() - start
            self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed

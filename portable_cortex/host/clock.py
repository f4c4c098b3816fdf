"""Wall-clock time by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up wall-clock seconds under the name of a phase; a phase within itself counts once.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("connect"):
    ...     pass
    >>> list(clock.seconds)
    ['connect']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._running: set[str] = set()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the time within a ``with`` block for `phase`."""
        if phase in self._running:
            yield
            return
        self._running.add(phase)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._running.discard(phase)
            elapsed = time.perf_counter() - start
            self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed

"""Says when functions are being compiled, and for how long."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from numba.core import event

KIND = "numba:compile"


class Compiling(event.Listener):
    """Counts the seconds in which at least one function was being compiled.

    Attributes
    ----------
    seconds : float
    """

    def __init__(self, begun: Callable[[], None]) -> None:
        self.seconds = 0.0
        self._begun = begun
        self._depth = 0

    def on_start(self, event: Any) -> None:
        """A function, perhaps one that another calls."""
        if self._depth == 0:
            self._since = time.perf_counter()
            self._begun()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Done with it."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._since


@contextlib.contextmanager
def compiling(begun: Callable[[], None]) -> Iterator[Compiling]:
    """Within it, call `begun` whenever something begins to be compiled.

    Yields
    ------
    Compiling
    """
    listener = Compiling(begun)
    with event.install_listener(KIND, listener):
        yield listener


@functools.cache  # once in a process
def say() -> None:
    """Tell the user of a script what takes so long."""
    logging.getLogger("portable_cortex").warning(
        "the builtin engine is being compiled: half a minute, once on this computer"
    )

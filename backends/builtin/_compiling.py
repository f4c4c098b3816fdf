"""Says when functions are being compiled, and for how long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from numba.core import event

KIND = "numba:compile"
WRITTEN = "portable_cortex_neurons."  # what modules of neuron models begin with


class Compiling(event.Listener):
    """Counts the seconds in which at least one function was being compiled.

    Attributes
    ----------
    seconds : float
    """

    def __init__(self, begun: Callable[[str, str], None]) -> None:
        self.seconds = 0.0
        self._begun = begun
        self._depth = 0

    def on_start(self, event: Any) -> None:
        """A function, perhaps one that another calls."""
        if self._depth == 0:
            self._since = time.perf_counter()
            self._begun(*_said(event.data["dispatcher"].py_func.__module__))
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Done with it."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._since


def _said(module: str) -> tuple[str, str]:
    """What is compiled with a module, and how long that takes."""
    if module.startswith(WRITTEN):
        name = module.removeprefix(WRITTEN).rpartition("_")[0].removesuffix("_neuron")
        return f"the loop of {name}", "five seconds to half a minute"
    return "the builtin engine", "half a minute"


@contextlib.contextmanager
def compiling(begun: Callable[[str, str], None]) -> Iterator[Compiling]:
    """Within it, call `begun` with what begins to be compiled, and how long that takes.

    Yields
    ------
    Compiling
    """
    listener = Compiling(begun)
    with event.install_listener(KIND, listener):
        yield listener

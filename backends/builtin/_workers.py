"""Compiled functions on several threads; they hold no lock of Python's while they run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_parallel(n: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Results of ``function(worker, *arguments)`` for `n` workers, on this thread and others."""
    if n == 1:
        return [function(0, *arguments)]
    with ThreadPoolExecutor(n - 1) as pool:
        others = [pool.submit(function, worker, *arguments) for worker in range(1, n)]
        return [function(0, *arguments), *(other.result() for other in others)]

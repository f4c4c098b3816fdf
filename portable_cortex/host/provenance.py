"""Where a result comes from: versions, computer, memory."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

CORE_DISTRIBUTIONS = ("portable-cortex", "PyNN", "neo", "numpy", "scipy", "h5py")


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python, of the core's packages and of `distributions`, as installed."""
    found = {"python": platform.python_version()}
    for name in (*CORE_DISTRIBUTIONS, *distributions):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def computer() -> dict[str, Any]:
    """Processor, cores that this process may use, memory and operating system."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_bytes() -> int:
    """Largest resident memory of this process since it started."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def now() -> str:
    """Current time, ISO 8601 with offset."""
    utc = datetime.timezone.utc  # noqa: UP017  # a submitted job may have Python 3.10
    return datetime.datetime.now(utc).astimezone().isoformat(timespec="seconds")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

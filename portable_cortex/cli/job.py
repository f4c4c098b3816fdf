"""One run of many: the command ``portable-cortex`` in a process that ends with its parent.

``python -m portable_cortex.cli.job run --backend nest ...``
"""

from __future__ import annotations

import ctypes
import signal
import sys

from .entry import main

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def _end_with_parent() -> None:
    """Do not compute on for a sweep that was killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    _end_with_parent()
    main(keep=False)  # a part of a run is no run of the sweep

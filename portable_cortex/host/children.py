"""Programs that are run for a while, and that an interruption ends too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from .interruption import shielded

_GRACE = 5.0  # seconds between asking a program to end and ending it


def run_program(
    command: Sequence[str], *, errors: int = subprocess.PIPE, **settings: Any
) -> subprocess.CompletedProcess[str]:
    r"""Run a program that asks nothing; with an exception it ends, and all that it has started.

    Parameters
    ----------
    command : sequence of str
    errors : int
        What becomes of its standard error: ``subprocess.PIPE`` or ``subprocess.STDOUT``.
    **settings
        What else `subprocess.Popen` takes.

    Examples
    --------
    >>> run_program(["echo", "hello"]).stdout
    'hello\n'
    """
    process = None
    try:
        with shielded():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                start_new_session=True,  # one group, which Ctrl-C reaches through this process
                **settings,
            )
        out, err = process.communicate()
    except BaseException:
        if process is not None:
            _end(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()

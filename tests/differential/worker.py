"""A process that runs programs on one backend; it is started again when it dies."""

from __future__ import annotations

import gc
import os
import pickle
import select
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from .program import Outcome, Program

OPTIONS: dict[str, dict[str, str]] = {"brian2": {"mode": "runtime", "target": "numpy"}}
PATIENCE = 300.0  # s for one program: the first one may compile


class Worker:
    """One backend in a process of its own."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.refusals = 0
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, program: Program) -> Outcome:
        """What a program gives on the backend."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, program)
            ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
            if not ready:
                raise TimeoutError
            outcome: Outcome = _receive(self._process.stdout)
        except (EOFError, BrokenPipeError):
            status = self._process.wait()
            self._process = None
            return Outcome(fault=(0, f"the process died with status {status}"))
        except TimeoutError:
            self.stop()
            return Outcome(fault=(0, f"not done after {PATIENCE:g} s"))
        self.refusals += outcome.refused is not None
        return outcome

    def _start(self) -> None:
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "differential.worker", self.backend],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _send(pipe: Any, item: Any) -> None:
    content = pickle.dumps(item)
    pipe.write(struct.pack("<Q", len(content)) + content)
    pipe.flush()


def _receive(pipe: Any) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return pickle.loads(content)


def main() -> None:
    """Read programs from stdin, write outcomes to what was stdout."""
    from portable_cortex import simulator

    from .execute import execute

    # what simulators print must not get between the outcomes
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    backend = sys.argv[1]
    sim = simulator(backend, options=OPTIONS.get(backend))
    gc.freeze()  # Brian2 collects garbage at every run: leave out what there is already
    while True:
        try:
            program = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(answers, execute(sim, program, backend))


if __name__ == "__main__":
    main()

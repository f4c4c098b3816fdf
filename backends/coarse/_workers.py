"""Processes that simulate small networks, one a core."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from portable_cortex.errors import SimulationError
from portable_cortex.host.interruption import shielded

from ._simulated import Counts, Trial

COMMAND = (sys.executable, "-P", "-m", "portable_cortex.backends.coarse._simulated")


class Workers:
    """Processes that wait for trials; they are started when there are some.

    Parameters
    ----------
    number : int
        Of processes at most.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def answers(self, trials: Sequence[Trial]) -> Iterator[tuple[int, list[Counts]]]:
        """Number of a trial, and the counts of its groups, as each ends.

        Raises
        ------
        SimulationError
            If one fails; after that there are no more answers.
        """
        waiting: SimpleQueue[int | None] = SimpleQueue()
        done: SimpleQueue[tuple[int, list[Counts] | str]] = SimpleQueue()
        n = min(self.number, len(trials))
        for number in [*range(len(trials)), *[None] * n]:
            waiting.put(number)
        with shielded():
            self._processes += [_started() for _ in range(n - len(self._processes))]
        for process in self._processes[:n]:
            threading.Thread(
                target=_serve, args=(process, trials, waiting.get, done.put), daemon=True
            ).start()
        for _ in trials:
            number, answer = done.get()
            if isinstance(answer, str):
                raise SimulationError(f"what a library needs could not be simulated: {answer}")
            yield number, answer


def answers(trials: Sequence[Trial], workers: int) -> Iterator[tuple[int, list[Counts]]]:
    """What so many `Workers` answer, who then go."""
    with Workers(workers) as own:
        yield from own.answers(trials)


def _started() -> subprocess.Popen[str]:
    # a group of its own: Ctrl-C reaches it through this process
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def _serve(
    process: subprocess.Popen[str],
    trials: Sequence[Trial],
    take: Callable[[], int | None],
    give: Callable[[tuple[int, list[Counts] | str]], None],
) -> None:
    """Let a process do trials until none is left."""
    assert process.stdin is not None
    assert process.stdout is not None
    while (number := take()) is not None:
        try:
            process.stdin.write(trials[number].to_json() + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            answer = json.loads(line) if line else {"error": "their process has ended"}
        except (OSError, ValueError) as error:  # it was killed, or wrote something else
            answer = {"error": str(error)}
        give((number, answer.get("counts", answer.get("error", "no answer"))))
        if "error" in answer:
            return

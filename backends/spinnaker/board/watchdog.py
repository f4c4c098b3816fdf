"""Programs that do not end, found in virtual time.

On hardware, SCAMP's watchdog switches off a core that answers no more, and sPyNNaker takes one
for hung that is still running 5 s after the end of the run. Here nobody can say how long
that is on the clock on the wall, but virtual time can.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from .chip import ENTERED, INITIALISING, RUNNING, SYNCHRONISING, SYNCHRONISING_1, Chip
from .messages import Request
from .native import CYCLES_PER_MS, N_CORES

_RUNNING_PORT, _NEW_RUN_TIME = 3, 7  # the message of the host that says how long to run
_LATE = 5_000 * CYCLES_PER_MS  # sPyNNaker's post_simulation_overrun_before_error
_SLOWER = 5  # so many times slower than the steps of its run may a program be
_LOADING = 60_000 * CYCLES_PER_MS  # for what a program does before it is ready to run
_INTERVAL = 500 * CYCLES_PER_MS  # between looks
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    steps: int
    started: int  # when the program was, cycles
    began: int | None = None  # when this run of it did


class Watchdog:
    """Switches off cores whose programs do not end.

    Parameters
    ----------
    chips : iterable of Chip
        All chips of the machine.
    """

    def __init__(self, chips: Iterable[Chip]) -> None:
        self._chips = list(chips)
        self._runs: dict[tuple[int, int], _Run] = {}  # by index of the chip, and core
        self._next = 0

    def told(self, chip: Chip, core: int, port: int, request: Request | None) -> None:
        """Take note of a message to a core: the host may say how long the core is to run."""
        if request is None or (port, request.command) != (_RUNNING_PORT, _NEW_RUN_TIME):
            return
        end, endless, start = request.arguments
        self._runs.pop((chip.index, core), None)
        if not endless:
            self._runs[chip.index, core] = _Run(max(end - start, 0), chip.started[core])

    def begin(self, chip: Chip, cores: Iterable[int], now: int) -> None:
        """Take note of the signal for which cores have waited."""
        for core in cores:
            run = self._runs.get((chip.index, core))
            if run is not None and run.began is None and run.started == chip.started[core]:
                run.began = now

    def look(self, now: int) -> None:
        """Switch off the cores that are lost."""
        if now < self._next:
            return
        self._next = now + _INTERVAL
        for (index, core), run in list(self._runs.items()):
            if run.began is None:
                continue
            chip = self._chips[index]
            if chip.state(core)[0] not in (RUNNING, SYNCHRONISING, SYNCHRONISING_1):
                del self._runs[index, core]
                continue
            needed = run.steps * chip.machine.report(index, core).period
            if now > run.began + _SLOWER * needed + _LATE:
                del self._runs[index, core]
                took, should = (t / (1000 * CYCLES_PER_MS) for t in (now - run.began, needed))
                _lose(chip, core, f"has run for {took:.4g} s in place of {should:.4g} s")
        for chip in self._chips:
            for core in range(1, N_CORES):
                if chip.state(core)[0] in (INITIALISING, ENTERED):
                    took = now - chip.started[core]
                    if took > _LOADING:
                        _lose(chip, core, f"was not ready to run after {took // CYCLES_PER_MS} ms")


def _lose(chip: Chip, core: int, why: str) -> None:
    _log.warning(
        "core %d of chip %s (%s) %s of virtual time: switched off, with state WATCHDOG",
        core, chip.place, chip.name(core), why,
    )  # fmt: skip
    chip.lose(core)

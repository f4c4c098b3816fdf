"""`EmulatedBoard`: emulated boards in a process of their own."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from types import TracebackType
from typing import Any

from portable_cortex.errors import InvalidValueError, SimulationError
from portable_cortex.host import provenance

from .geometry import geometry
from .native import library
from .server import check_address

_START_S, _STOP_S = 60.0, 5.0
_MOST_THREADS = 2  # unless asked for: with more nothing was measured


class EmulatedBoard:
    """Emulated SpiNNaker boards that the real host software talks to over UDP.

    They run in a process of their own, which ends with the ``with`` block, or with this process.

    Parameters
    ----------
    version : int
        3: a board of 4 chips; 5: boards of 48 chips.
    width, height : int, optional
        Chips in the bounding box: one board unless given. Version 5: 8 x 8 (one board), 12 x 12
        (three boards, closed to a torus), 16 x 16 (three boards, open) and so on; 1 x 1 for a
        board with a single working chip.
    address : str, optional
        Loopback address of the first board; the first that is free unless given.
    threads : int, optional
        Threads of the host that run the chips: two where the process may use two processors,
        unless given. The results do not depend on it.
    real_time : bool
        Let virtual time pass no faster than the clock on the wall from the first program on, and
        not only, as live input and output need it, while a simulation runs.

    Raises
    ------
    InvalidValueError
        If there is no such machine, or the address cannot be had.
    BackendUnavailableError
        If the compiled part of the package is missing.
    SimulationError
        If the process does not start.

    Examples
    --------
    >>> with EmulatedBoard(version=3) as board:
    ...     board.address.startswith("127.")
    True
    """

    def __init__(
        self,
        version: int = 5,
        *,
        width: int | None = None,
        height: int | None = None,
        address: str | None = None,
        threads: int | None = None,
        real_time: bool = False,
    ) -> None:
        self._geometry = geometry(version, width, height)
        if address is not None:
            check_address(address)
        library()
        self.version = version
        self._settings = {
            "version": version,
            "width": width,
            "height": height,
            "address": address,
            "threads": threads or min(_MOST_THREADS, provenance.cores()),
            "real_time": real_time,
        }
        self._process: subprocess.Popen[str] | None = None
        self._addresses: list[str] = []

    @property
    def address(self) -> str:
        """IP address of the (first) board: what goes to ``machine_name`` in a configuration."""
        if not self._addresses:
            raise SimulationError("the emulated board is not running: use it in a with statement")
        return self._addresses[0]

    @property
    def n_chips(self) -> int:
        """Chips of the machine."""
        return len(self._geometry.places)

    @property
    def pid(self) -> int | None:
        """Number of the process that runs the board, if it runs."""
        return None if self._process is None else self._process.pid

    @property
    def configuration(self) -> str:
        """What to put into ``spynnaker.cfg``.

        With time to finish: sPyNNaker takes a machine for hung that is 5 s late, which an emulated
        one under load can well be.
        """
        return (
            f"[Machine]\nmachine_name = {self.address}\nversion = {self.version}\n"
            "post_simulation_overrun_before_error = 3600\n"
        )

    def wait(self) -> None:
        """Wait until the process ends by itself.

        Raises
        ------
        SimulationError
            If it does: it should serve until this process closes it.
        """
        if self._process is not None:
            status = self._process.wait()
            raise SimulationError(f"the process of the emulated board ended ({status})")

    def __enter__(self) -> EmulatedBoard:
        self._process = subprocess.Popen(
            # -P: not what lies in this folder
            [sys.executable, "-P", "-m", __package__, json.dumps(self._settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        )
        try:
            answer = self._answer(_START_S)
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            self.close()
            raise InvalidValueError(answer["error"])
        self._addresses = answer["addresses"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process, self._addresses = self._process, None, []
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def report(self) -> dict[str, Any]:
        """What each core has done; docs/emulated_board.md says what it means for hardware."""
        if self._process is None or self._process.stdin is None:
            raise SimulationError("the emulated board is not running: use it in a with statement")
        with contextlib.suppress(OSError):  # it has ended, which is said below
            self._process.stdin.write("report\n")
            self._process.stdin.flush()
        return self._answer(_START_S)

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            status = None
            if ready:  # the end of what it says comes before its own
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = self._process.wait(_STOP_S)
            raise SimulationError(
                "the process of the emulated board "
                + (f"did not answer in {timeout:g} s" if status is None else f"ended ({status})")
            )
        found: dict[str, Any] = json.loads(line)
        return found

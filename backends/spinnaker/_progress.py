"""How far sPyNNaker is: its phase, and the progress bar that it writes meanwhile."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # a submitted job does not have it
    from portable_cortex.backend import Progress

WIDTH = 60  # signs of a full bar
SCALE = "|0%"


class Log(io.TextIOBase):
    """A run's log, which passes on the bars that are written to it.

    A bar is a line that says what is done, a line with a scale, and a row of equal signs.

    Parameters
    ----------
    file : file
        Everything is written there.
    progress : callable, optional
        Told of the phase, and of what is done in it.
    """

    def __init__(self, file: IO[str], progress: Progress | None = None) -> None:
        self._file, self._progress = file, progress
        self._phase = self._said = self._task = self._line = ""

    def write(self, text: str) -> int:
        """Write to the file; tell of the bar, if it is one."""
        self._file.write(text)
        *lines, self._line = (self._line + text).replace("\r", "\n").split("\n")
        for line in lines:
            self._task = self._said if line.startswith(SCALE) else ""
            self._said = line.strip()
        if self._task:
            self._tell(f"{self._task} {100 * self._line.count('=') // WIDTH} %")
        return len(text)

    def phase(self, name: str) -> None:
        """Another phase begins."""
        self._phase = name
        self._tell()

    def _tell(self, task: str = "") -> None:
        if self._progress is not None:
            self._progress(None, ": ".join(filter(None, (self._phase, task))))

    def flush(self) -> None:
        """Write what is held back."""
        self._file.flush()

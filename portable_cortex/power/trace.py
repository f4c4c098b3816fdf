"""Log of an external meter: power against time, aligned with the run by its timestamps."""

from __future__ import annotations

import csv
import math
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..errors import PowerMeterError
from .energy import Energy
from .meter import FilePath, PowerSettings

FloatArray = NDArray[np.float64]


class TraceSettings(PowerSettings):
    """Log of an external meter: a CSV file with the columns ``time`` and ``watts``."""

    meter: Literal["trace"]
    path: FilePath
    """The file; it may be written later."""
    idle_watts: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Power at rest, to subtract; nothing, if left out."""
    scope: str = "outlet"
    """What the meter covers."""

    def open(self) -> TraceMeter:
        """See `PowerSettings.open`."""
        if self.path.exists():
            read_trace(self.path)
        elif not self.path.parent.is_dir():
            raise PowerMeterError(
                f"power meter 'trace': there is no folder {self.path.parent} for {self.path.name}"
            )
        return TraceMeter(self)

    def energy(self, start: float, stop: float) -> Energy:
        r"""Energy between two moments, from the file as it is now.

        Parameters
        ----------
        start, stop : float
            Seconds since 1970; ``simulate_interval_unix`` in ``run.json``.

        Raises
        ------
        PowerMeterError
            For a file that cannot be read, or that does not cover all of the time.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "meter.csv")
        ...     _ = path.write_text("time,watts\n100,50\n110,70\n")
        ...     TraceSettings(meter="trace", path=path, idle_watts=40).energy(100, 110).joules
        200.0
        """
        times, watts = read_trace(self.path)
        if not (times.size and times[0] <= start and stop <= times[-1]):
            covered = f"{times[0]:.3f} to {times[-1]:.3f}" if times.size else "nothing"
            raise PowerMeterError(
                f"power meter 'trace': {self.path} covers {covered}, not the simulate phase from "
                f"{start:.3f} to {stop:.3f} (seconds since 1970); when the file is complete, "
                "compute the figure with TraceSettings.energy (docs/cost.md)"
            )
        joules = integrate(times, watts, start, stop) - self.idle_watts * (stop - start)
        first = np.searchsorted(times, start, side="right") - 1
        last = np.searchsorted(times, stop)
        gap = float(np.diff(times[first : last + 1]).max(initial=0.0))
        idle = (
            f"idle power of {self.idle_watts:g} W subtracted"
            if self.idle_watts
            else "idle power included"
        )
        note = f"{idle}; samples at most {gap:.3g} s apart"
        return Energy(joules, "measured", self.scope, "trace", note)


class TraceMeter:
    """Remembers when the phase began and ended, and looks that up in the trace."""

    def __init__(self, settings: TraceSettings) -> None:
        self._settings = settings
        self._start = math.nan

    def start(self) -> None:
        """See `PowerMeter.start`."""
        self._start = time.time()

    def stop(self) -> Energy:
        """See `PowerMeter.stop`."""
        return self._settings.energy(self._start, time.time())


def read_trace(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times (s since 1970) and power (W) from a CSV file.

    Times are seconds since 1970, or ISO 8601 with an offset from UTC; they ascend. Further columns
    are ignored.

    Raises
    ------
    PowerMeterError
        For a file that cannot be read; the message has the line.
    """
    times: list[float] = []
    watts: list[float] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            missing = {"time", "watts"} - set(rows.fieldnames or ())
            if missing:
                raise PowerMeterError(
                    f"power meter 'trace': {path} must have the columns time and watts in its "
                    f"first line, not {', '.join(rows.fieldnames or ()) or 'nothing'}"
                )
            for row in rows:
                try:
                    times.append(_seconds(row["time"]))
                    watts.append(_finite(row["watts"]))
                except (TypeError, ValueError) as error:
                    raise PowerMeterError(
                        f"power meter 'trace': line {rows.line_num} of {path}: {error}"
                    ) from None
                if len(times) > 1 and times[-1] <= times[-2]:
                    raise PowerMeterError(
                        f"power meter 'trace': line {rows.line_num} of {path}: times must ascend"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PowerMeterError(f"power meter 'trace': {path} cannot be read: {error}") from error
    return np.array(times, float), np.array(watts, float)


def _finite(text: str | None) -> float:
    value = float(text or "")
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value


def _seconds(text: str | None) -> float:
    try:
        return _finite(text)
    except ValueError:
        moment = datetime.fromisoformat((text or "").strip())
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} needs its offset from UTC, e.g. {moment.isoformat()}Z")
    return moment.timestamp()


def integrate(times: FloatArray, watts: FloatArray, start: float, stop: float) -> float:
    """Energy between two moments by the trapezium rule, joules.

    Power is interpolated linearly between samples.

    Parameters
    ----------
    times : array
        s, ascending, from `start` or before to `stop` or after.
    watts : array
        W, as many.
    start, stop : float
        s.

    Examples
    --------
    >>> integrate(np.array([0.0, 10.0]), np.array([0.0, 100.0]), 0.0, 5.0)
    125.0
    """
    inside = times[(times > start) & (times < stop)]
    t = np.concatenate(([start], inside, [stop]))
    w = np.interp(t, times, watts)
    return float(np.sum(np.diff(t) * (w[1:] + w[:-1])) / 2)

"""Energy of the simulate phase: power meters, chosen by the ``[power]`` table of a machine file.

::

    [power]
    meter = "rapl"

A meter is opened before anything is built, so that one that cannot be used fails early; it is
started and stopped around the simulate phase. Its figure says whether it was measured, modelled
or assumed, and what it covers.
"""

from __future__ import annotations

import csv
import math
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from . import provenance
from .backend import Energy
from .errors import PowerMeterError

FloatArray = NDArray[np.float64]

POWERCAP = Path("/sys/class/powercap")
MOST_WATTS = 2000.0  # more than one processor package takes
LONGEST_PERIOD = 10.0  # s between two looks at the counters
SHORTEST_PERIOD = 0.01

Watts = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _as_path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("must be a path, in quotes")
    return Path(value)


FilePath = Annotated[Path, BeforeValidator(_as_path)]


class PowerMeter(Protocol):
    """What measures the energy between two moments."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Energy:
        """End, and give the energy since `start`."""


class PowerSettings(BaseModel):
    """A ``[power]`` table; each meter has a subclass with its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @abstractmethod
    def open(self) -> PowerMeter:
        """The meter, ready to start.

        Raises
        ------
        PowerMeterError
            If it cannot be used here; the message says what to do.
        """


class PowerWarning(UserWarning):
    """The energy of a run that is complete otherwise could not be told."""


@dataclass
class Metering:
    """What was found about a ``with`` block of `metered`.

    Attributes
    ----------
    interval_unix : tuple of float
        Its begin and end, seconds since 1970.
    energies : list of Energy
        One figure, or none.
    """

    interval_unix: tuple[float, float] = (math.nan, math.nan)
    energies: list[Energy] = field(default_factory=list)


@contextmanager
def metered(meter: PowerMeter | None) -> Iterator[Metering]:
    """Measure the energy of a ``with`` block.

    A meter that fails at the end costs the figure, not the run: it gives a `PowerWarning`.

    Examples
    --------
    >>> with metered(StatedSettings(meter="stated", watts=90, scope="outlet").open()) as found:
    ...     pass
    >>> found.energies[0].kind
    'assumed'
    """
    found = Metering()
    if meter is not None:
        meter.start()
    begin = time.time()
    try:
        yield found
    finally:
        found.interval_unix = (begin, time.time())
        if meter is not None:
            try:
                found.energies.append(meter.stop())
            except PowerMeterError as error:
                warnings.warn(f"the energy of this run is unknown: {error}", PowerWarning, 2)


# --- rapl: counters of the processor ---


class RaplSettings(PowerSettings):
    """Energy counters of Intel and AMD processors, through Linux powercap."""

    meter: Literal["rapl"]
    root: FilePath = POWERCAP
    """Folder of the counters."""

    def open(self) -> RaplMeter:
        """See `PowerSettings.open`."""
        # AMD's counters are computed from activity, Intel's measured since Haswell:
        # Schoene et al. 2021, 10.1109/Cluster48925.2021.00087
        amd = "AMD" in provenance.computer()["processor"]
        return RaplMeter(self.root, kind="modelled" if amd else "measured")


@dataclass(frozen=True)
class Zone:
    """One RAPL counter.

    Attributes
    ----------
    folder : Path
    name : str
        ``"package-0"``, ``"dram"`` ...
    largest_uj : int
        Beyond this many microjoules the counter begins again at 0.
    """

    folder: Path
    name: str
    largest_uj: int

    def energy_uj(self) -> int:
        """The counter, microjoules."""
        return _whole_number(self.folder / "energy_uj")


def find_zones(root: Path = POWERCAP) -> tuple[Zone, ...]:
    """All counters of packages, and those of memory where there are any.

    Parts of a package (cores, graphics) and the platform are left out: they would count twice.

    Raises
    ------
    PowerMeterError
        If there is no counter of a package.
    """
    zones = []
    # not intel-rapl-mmio:*, which shows the same packages again
    for folder in sorted(root.glob("intel-rapl:*")):
        name = _read(folder / "name")
        if name.startswith("package") or name == "dram":
            zones.append(Zone(folder, name, _whole_number(folder / "max_energy_range_uj")))
    if not any(zone.name.startswith("package") for zone in zones):
        raise PowerMeterError(
            f"power meter 'rapl': there are no energy counters in {root}: they need Linux on an "
            "Intel or AMD processor (`sudo modprobe intel_rapl_msr`), and most virtual machines "
            "hide them; use another meter"
        )
    return tuple(zones)


def counter_increase(before: int, after: int, largest: int) -> int:
    """Increase of a counter that begins again at 0 after `largest`, at most once in between.

    Examples
    --------
    >>> counter_increase(90, 20, largest=99)
    30
    """
    return (after - before) % (largest + 1)


class RaplMeter:
    """Sum over all packages, and over memory where it has counters.

    A thread looks at the counters often enough to see each time that one begins again.

    Parameters
    ----------
    root : Path
    kind : {"measured", "modelled"}
    period : float, optional
        Seconds between two looks, in place of half the time in which 2 kW fill a counter.

    Raises
    ------
    PowerMeterError
        For counters that are absent or cannot be read.
    """

    def __init__(
        self, root: Path = POWERCAP, *, kind: str = "measured", period: float | None = None
    ) -> None:
        self.zones = find_zones(root)
        self._kind = kind
        shortest = min(zone.largest_uj for zone in self.zones) * 1e-6 / MOST_WATTS
        self.period = period or min(LONGEST_PERIOD, max(SHORTEST_PERIOD, shortest / 2))
        self._last = self._counters()
        self._microjoules = 0
        self._failure: PowerMeterError | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def _counters(self) -> list[int]:
        return [zone.energy_uj() for zone in self.zones]

    def start(self) -> None:
        """See `PowerMeter.start`."""
        self._last, self._microjoules, self._failure = self._counters(), 0, None
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="rapl", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(self.period):
            try:
                self._look()
            except PowerMeterError as error:
                self._failure = error
                return

    def _look(self) -> None:
        now = self._counters()
        self._microjoules += sum(
            counter_increase(before, after, zone.largest_uj)
            for before, after, zone in zip(self._last, now, self.zones, strict=True)
        )
        self._last = now

    def stop(self) -> Energy:
        """See `PowerMeter.stop`."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._look()
        names = [zone.name for zone in self.zones]
        n_packages = sum(name != "dram" for name in names)
        scope = "package" if n_packages == 1 else f"{n_packages} packages"
        return Energy(
            self._microjoules * 1e-6,
            self._kind,
            f"{scope} + memory" if "dram" in names else scope,
            "rapl",
            "all that ran on the processor; without fans, disks, network and power supply",
        )


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except PermissionError:
        every = path.parent.parent / "intel-rapl:*" / path.name
        raise PowerMeterError(
            f"power meter 'rapl': no permission to read {path}: let the administrator run "
            f"`sudo chmod a+r {every}` (it lasts until the next boot)"
        ) from None
    except (OSError, ValueError) as error:
        raise PowerMeterError(f"power meter 'rapl': {path} cannot be read: {error}") from error


def _whole_number(path: Path) -> int:
    text = _read(path)
    if not text.isdecimal():
        raise PowerMeterError(f"power meter 'rapl': {path} holds no whole number, but {text!r}")
    return int(text)


# --- nvml: counters of NVIDIA GPUs ---


class NvmlSettings(PowerSettings):
    """Energy counters of NVIDIA GPUs (Volta and newer)."""

    meter: Literal["nvml"]
    devices: list[Annotated[int, Field(ge=0)]] | None = None
    """Numbers of the GPUs to sum; all, if left out."""

    def open(self) -> NvmlMeter:
        """See `PowerSettings.open`."""
        return NvmlMeter(self.devices)


class NvmlMeter:
    """Sum over the boards of some GPUs.

    Parameters
    ----------
    devices : sequence of int, optional
        Numbers of the GPUs; all unless given.

    Raises
    ------
    PowerMeterError
        If the Python package, the driver, a GPU or its counter is missing.
    """

    def __init__(self, devices: Sequence[int] | None = None) -> None:
        try:
            import pynvml
        except ImportError:
            raise PowerMeterError(
                "power meter 'nvml' needs pynvml, which is not installed: run "
                "pip install 'portable-cortex[nvml]'"
            ) from None
        self._nvml: Any = pynvml
        try:
            self._nvml.nvmlInit()
            present = range(self._nvml.nvmlDeviceGetCount())
        except self._nvml.NVMLError as error:
            raise PowerMeterError(
                f"power meter 'nvml' needs an NVIDIA driver and a GPU: {error}"
            ) from error
        wanted = list(present if devices is None else devices)
        if not wanted or not set(wanted) <= set(present):
            raise PowerMeterError(
                f"power meter 'nvml': there are {len(present)} GPUs, numbered from 0; "
                f"asked for {wanted}"
            )
        self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(number) for number in wanted]
        self._before = self._millijoules()

    def _millijoules(self) -> int:
        """Since the driver was loaded."""
        try:
            return sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(h) for h in self._handles)
        except self._nvml.NVMLError as error:
            raise PowerMeterError(
                "power meter 'nvml': the GPU has no readable energy counter (Volta and newer "
                f"have one): {error}"
            ) from error

    def start(self) -> None:
        """See `PowerMeter.start`."""
        self._before = self._millijoules()

    def stop(self) -> Energy:
        """See `PowerMeter.stop`."""
        joules = (self._millijoules() - self._before) * 1e-3
        n = len(self._handles)
        return Energy(
            joules,
            "measured",
            "GPU board" if n == 1 else f"{n} GPU boards",
            "nvml",
            "all that ran on the GPU; without the computer that it is in",
        )


# --- trace: an external meter's log ---


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


# --- stated: power from a data sheet ---


class StatedSettings(PowerSettings):
    """A power that is stated, not measured: watts x utilisation x time."""

    meter: Literal["stated"]
    watts: Watts
    """Power of the whole at full load, e.g. from its data sheet."""
    scope: str
    """What the power covers, e.g. "package"."""
    utilisation: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of it that is taken."""

    def open(self) -> StatedMeter:
        """See `PowerSettings.open`."""
        return StatedMeter(self)


class StatedMeter:
    """A stop-watch, times watts."""

    def __init__(self, settings: StatedSettings) -> None:
        self._settings = settings
        self._start = math.nan

    def start(self) -> None:
        """See `PowerMeter.start`."""
        self._start = time.perf_counter()

    def stop(self) -> Energy:
        """See `PowerMeter.stop`."""
        seconds = time.perf_counter() - self._start
        given = self._settings
        return Energy(
            given.watts * given.utilisation * seconds,
            "assumed",
            given.scope,
            "stated",
            f"{given.watts:g} W at a utilisation of {given.utilisation:g}",
        )


METERS: Mapping[str, type[PowerSettings]] = {
    "rapl": RaplSettings,
    "nvml": NvmlSettings,
    "trace": TraceSettings,
    "stated": StatedSettings,
}

AnyPowerSettings = Annotated[
    RaplSettings | NvmlSettings | TraceSettings | StatedSettings, Field(discriminator="meter")
]

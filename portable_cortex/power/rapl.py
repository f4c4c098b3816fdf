"""Counters of the processor: Intel's and AMD's RAPL, through Linux powercap."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import PowerMeterError
from ..host import provenance
from .energy import Energy
from .meter import FilePath, PowerSettings

POWERCAP = Path("/sys/class/powercap")
MOST_WATTS = 2000.0  # more than one processor package takes
LONGEST_PERIOD = 10.0  # s between two looks at the counters
SHORTEST_PERIOD = 0.01


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

"""A power meter, started and stopped around a block; a failure at the end is a warning."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import PowerMeterError
from .energy import Energy


class PowerMeter(Protocol):
    """What measures the energy between two moments."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> Energy:
        """End, and give the energy since `start`."""


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
    >>> from portable_cortex.power import StatedSettings
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

"""What every power meter has in common: settings, a start and a stop, and a failure that warns."""

from __future__ import annotations

import math
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict

from ..errors import PowerMeterError
from .energy import Energy


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

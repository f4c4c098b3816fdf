"""A power from a data sheet, for machines that nothing measures."""

from __future__ import annotations

import math
import time
from typing import Annotated, Literal

from pydantic import Field

from .energy import Energy
from .meter import PowerSettings


class StatedSettings(PowerSettings):
    """A power that is stated, not measured: watts x utilisation x time."""

    meter: Literal["stated"]
    watts: Annotated[float, Field(gt=0, allow_inf_nan=False)]
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

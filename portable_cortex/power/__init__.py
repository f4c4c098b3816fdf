"""Energy of the simulate phase: power meters, chosen by the ``[power]`` table of a machine file.

::

    [power]
    meter = "rapl"

A meter is opened before anything is built, so that one that cannot be used fails early; it is
started and stopped around the simulate phase. Its figure says whether it was measured, modelled
or assumed, and what it covers. A meter is one module, and one entry of `METERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from .energy import ENERGY_KINDS, Energy
from .meter import PowerSettings
from .metering import Metering, PowerMeter, PowerWarning, metered
from .nvml import NvmlMeter, NvmlSettings
from .rapl import RaplMeter, RaplSettings
from .stated import StatedMeter, StatedSettings
from .trace import TraceMeter, TraceSettings

__all__ = [
    "ENERGY_KINDS",
    "METERS",
    "AnyPowerSettings",
    "Energy",
    "Metering",
    "NvmlMeter",
    "NvmlSettings",
    "PowerMeter",
    "PowerSettings",
    "PowerWarning",
    "RaplMeter",
    "RaplSettings",
    "StatedMeter",
    "StatedSettings",
    "TraceMeter",
    "TraceSettings",
    "metered",
]

METERS: Mapping[str, type[PowerSettings]] = {
    "rapl": RaplSettings,
    "nvml": NvmlSettings,
    "trace": TraceSettings,
    "stated": StatedSettings,
}

AnyPowerSettings = Annotated[
    RaplSettings | NvmlSettings | TraceSettings | StatedSettings, Field(discriminator="meter")
]

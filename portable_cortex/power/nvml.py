"""Counters of NVIDIA GPUs, through the driver's management library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ..errors import PowerMeterError
from .energy import Energy
from .meter import PowerSettings


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

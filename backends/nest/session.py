"""NEST for a job that was submitted to somewhere else, and is tried out here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Session:
    """One network on one thread; see `portable_cortex.portal._job.Session`."""

    name = "nest"
    distributions = ("nest-simulator",)

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        from . import _namespace

        self.sim: Any = _namespace

    def setup(self, timestep: float, seed: int) -> None:
        """Make the simulator ready."""
        self.sim.setup(timestep, rng_seed=seed)

    def prepare(self) -> None:
        """Do what is left before the first step."""
        self.sim.prepare()

    def spikes(self, population: Any) -> tuple[Any, Any]:
        """Neurons and times, ms."""
        neurons, times = population.recorded_spikes()
        return np.asarray(neurons, np.int64), np.asarray(times, float)

    def report(self, share: float) -> dict[str, Any]:
        """Nothing that ``run.json`` would not have without it."""
        return {"phases": {}, "energy": [], "warnings": [], "machine_report": {}}

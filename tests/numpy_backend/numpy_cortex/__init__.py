"""A backend on plain NumPy: what a newcomer has to write on the floor of portable-cortex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from portable_cortex.backend import Backend, Capabilities


class NumpyBackend(Backend):
    """All neurons of a population at once, one step after the other."""

    name = "numpy"
    summary = "NumPy, exact integration on a grid, one step after the other"
    module = "numpy"
    distributions = ("numpy",)
    requirement = "numpy-cortex"
    capabilities = Capabilities(
        arithmetic="float64",
        timesteps=(0.001, 10.0),
        delays=(1, 1e4),
        weights="float64",
        cell_types=("IF_curr_exp", "SpikeSourcePoisson", "SpikeSourceArray"),
    )
    repeats = True
    cannot: ClassVar[Mapping[str, str]] = {"off-grid": "spikes lie on the time grid"}

    def simulator(self, options: Any) -> Any:
        """The namespace."""
        from . import _namespace

        return _namespace

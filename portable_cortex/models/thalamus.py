"""Pulses of spikes from relay cells of the thalamus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .parameters import Thalamus


def pulses(sim: Any, cells: Thalamus, onsets: Sequence[float], seed: int) -> list[Any]:
    """Spike times of each cell, Poisson at a fixed rate within each pulse.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    cells : Thalamus
    onsets : sequence of float
        Of the pulses, ms.
    seed : int

    Returns
    -------
    list of pyNN.parameters.Sequence
        As ``SpikeSourceArray`` takes them.
    """
    step = sim.get_time_step()
    rng = np.random.default_rng([seed, 0x7C])
    steps = round(cells.pulse_duration / step)
    # at most one spike a step, as on every grid-based simulator
    fires = rng.random((cells.size, len(onsets), steps)) < cells.rate * step * 1e-3
    times = np.asarray(sorted(onsets), dtype=float)[:, np.newaxis] + step * np.arange(1, steps + 1)
    from pyNN.parameters import Sequence  # slow to import

    return [Sequence(np.unique(np.round(times[f], 9))) for f in fires]

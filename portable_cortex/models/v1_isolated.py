"""Primary visual cortex of the macaque, one square millimetre by itself, in PyNN.

Area V1 of the multi-area model of Schmidt et al. (2018, doi:10.1371/journal.pcbi.1006359) with its
local synapses and its background, without those from other areas: 197,936 neurons and 0.38 billion
synapses. Neurons and postsynaptic potentials are those of `pd14`; inhibition is stronger, and the
microcircuit's oscillation at 64 to 80 Hz is gone. Numbers are in `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from .parameters import V1
from .pd14 import MEAN_POTENTIALS, Draws, connect, drive_each
from .scaling import scale as scale_circuit
from .substitution import LIF, substitute


def build(sim: Any, *, scale: float = 0.1, drive: str = "poisson", seed: int = 1) -> dict[str, Any]:
    """Build the area in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    scale : float
        Fraction of the neurons and in-degrees; below 1, weights grow and constant currents replace
        the mean input that is lost, as in `pd14`.
    drive : {"poisson", "dc"}
        Background input: Poisson spikes, or the constant current of equal mean.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population

    Raises
    ------
    InvalidValueError
        For values that the model does not have.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", model="v1_isolated", scale=0.02, duration=10.0)
    >>> recording.n_neurons["L4E"]
    1408
    """
    if not scale > 0:
        raise InvalidValueError(f"scale must be above 0 (1 is the whole area), not {scale}")
    scaled = scale_circuit(V1, scale, scale, drive)
    cell = substitute(LIF, V1.neuron.as_pynn(), MEAN_POTENTIALS, None)
    rng = sim.NumpyRNG(seed=seed)
    draws = Draws(sim, rng, np.random.default_rng([seed, 0x1E]), None, False)
    populations = {}
    for i, label in enumerate(V1.populations):
        cells = cell.cells(sim, i, float(scaled.dc[i]))
        populations[label] = sim.Population(scaled.sizes[i], cells, label=label)
        mean, sd = V1.v0_optimized_mean[i], V1.v0_optimized_sd[i]
        populations[label].initialize(
            v=sim.RandomDistribution("normal", mu=mean, sigma=sd, rng=rng)
        )
    connect(draws, V1, scaled, cell, populations)
    drive_each(sim, V1, scaled, cell, populations)
    return populations


def published_rates(**_others: Any) -> Mapping[str, float]:
    """Rates at full scale on the built-in engine, spikes/s: others are not known."""
    return dict(zip(V1.populations, V1.full_rates, strict=True))


def statements(*, scale: float = 0.1, **_others: Any) -> Sequence[str]:
    """What is to be said of the area with these parameters."""
    if scale >= 1:
        return ()
    return (
        f"neurons at scale {scale:g} fire less than those of the whole area: mean and variance of "
        "their input are kept, and its correlations grow, here by strong inhibition (at a tenth "
        "rates are a sixth to a half, at four tenths nine tenths, of L23E a third)",
    )

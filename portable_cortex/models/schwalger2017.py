"""The cortical microcircuit with neurons that fire by chance and a constant drive, in PyNN.

Schwalger T, Deger M, Gerstner W (2017). Towards a theory of cortical columns: from spiking neurons
to interacting neural populations of finite size. PLoS Comput Biol 13:e1005507.
doi:10.1371/journal.pcbi.1005507

The network of its microscopic simulations (figure 8, without adaptation), by the authors' code
(schwalger/mesopopdyn_microcircuit): connection probabilities and mean weights of `pd14`, pairs
connected once at most, one delay, and noise in the neurons instead of the drive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidValueError
from .parameters import PD14
from .scaling import mean_weights
from .wiring import project

NEURON = "gif_curr_exp"
HAZARD = {"lambda0": 10.0, "delta_v": 5.0}  # spikes/s at the threshold; mV that add a factor of e
DRIVE = (19.149, 20.362, 30.805, 28.069, 29.437, 29.330, 34.932, 32.081)  # mV above rest
RATES = (0.974, 2.861, 4.673, 5.650, 8.141, 9.013, 0.988, 7.530)  # spikes/s, their mean field
DELAY = 1.5  # ms
V0_MEAN, V0_SD = -58.0, 5.0  # initial potential, mV


def build(sim: Any, *, scale: float = 0.1, seed: int = 1) -> dict[str, Any]:
    """Build the microcircuit in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    scale : float
        Fraction of the neurons; weights are divided by it, as the authors do: means of the input
        are kept, its fluctuations grow.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population

    Raises
    ------
    InvalidValueError
        For a scale that leaves no neuron.

    Examples
    --------
    >>> import portable_cortex
    >>> sim = portable_cortex.simulator("builtin")
    >>> _ = sim.setup(timestep=0.1, rng_seed=1)
    >>> build(sim, scale=0.02)["L4E"].size
    438
    """
    if not scale * min(PD14.sizes) >= 1:
        raise InvalidValueError(
            f"scale must be at least {1 / min(PD14.sizes):.2g} (1 is the whole network), so that "
            f"each population has a neuron, not {scale!r}"
        )
    rng = sim.NumpyRNG(seed=seed)
    lif = PD14.neuron
    populations = {}
    for label, size, drive in zip(PD14.populations, PD14.sizes, DRIVE, strict=True):
        cells = sim.nestml_cell_type("GIF", NEURON)(
            **{name: v for name, v in lif.as_pynn().items() if name != "v_thresh"},
            v_t_star=lif.v_thresh,
            i_offset=drive * lif.cm / lif.tau_m,
            **HAZARD,
        )
        populations[label] = sim.Population(round(scale * size), cells, label=label)
        start = sim.RandomDistribution("normal", mu=V0_MEAN, sigma=V0_SD, rng=rng)
        populations[label].initialize(v=start)
    weights = mean_weights(PD14) / scale
    for i, target in enumerate(PD14.populations):
        for j, source in enumerate(PD14.populations):
            if PD14.probabilities[i][j]:
                connector = sim.FixedProbabilityConnector(PD14.probabilities[i][j], rng=rng)
                synapse = sim.StaticSynapse(weight=float(weights[i, j]), delay=DELAY)
                receptor = "excitatory" if PD14.is_excitatory(j) else "inhibitory"
                project(sim, populations[source], populations[target], connector, synapse, receptor)
    return populations


def published_rates(**_others: Any) -> Mapping[str, float]:
    """Rates of the authors' mean field at full scale, spikes/s."""
    return dict(zip(PD14.populations, RATES, strict=True))


def statements(*, scale: float = 0.1, **_others: Any) -> Sequence[str]:
    """What is to be said of the network with these parameters."""
    if not 0 < scale < 1:  # others are refused
        return ()
    return (
        f"neurons at scale {scale:g} get input of the same mean, by weights that are {1 / scale:g} "
        "times as large, and fluctuations that are larger",
    )

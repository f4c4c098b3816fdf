"""What networks of the literature are made of: distributions of their synapses, and their drive."""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Any


def clipped(sim: Any, rng: Any, mean: float, sd: float, low: float = 0.0) -> Any:
    """Normally distributed values, redrawn while they are below `low`."""
    return sim.RandomDistribution("normal_clipped", mu=mean, sigma=sd, low=low, high=inf, rng=rng)


def lognormal(sim: Any, rng: Any, mean: float, relative_sd: float) -> Any:
    """Lognormally distributed values of one sign, by their mean and relative standard deviation."""
    from pyNN.parameters import LazyArray  # slow to import

    variance = log(1 + relative_sd**2)  # of the logarithm
    sizes = sim.RandomDistribution(
        "lognormal", mu=log(abs(mean)) - variance / 2, sigma=sqrt(variance), rng=rng
    )
    return sizes if mean > 0 else -1.0 * LazyArray(sizes)


def project(
    sim: Any, source: Any, target: Any, connector: Any, synapse: Any, receptor: str
) -> None:
    """Connect two populations, with a label that names them."""
    sim.Projection(
        source,
        target,
        connector,
        synapse,
        receptor_type=receptor,
        label=f"{source.label}→{target.label}",
    )


def background(sim: Any, target: Any, rate: float, weight: float, delay: float) -> None:
    """Give each neuron Poisson input of its own (spikes/s, nA, ms)."""
    source = sim.Population(
        target.size, sim.SpikeSourcePoisson(rate=rate), label=f"background {target.label}"
    )
    sim.Projection(
        source,
        target,
        sim.OneToOneConnector(),
        sim.StaticSynapse(weight=weight, delay=delay),
        receptor_type="excitatory",
        label=f"background→{target.label}",
    )

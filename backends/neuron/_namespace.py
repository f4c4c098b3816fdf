"""The PyNN namespace of the ``neuron`` backend: pyNN.neuron, with networks built in bulk.

Everything that is not defined here is pyNN.neuron's own. What is, and what it does differently:

* ``IF_curr_exp`` is integrated exactly on the time grid, by a mechanism of this backend; all other
  cells by NEURON's fixed step (implicit Euler).
* ``SpikeSourcePoisson`` fires on the time grid, each source from a random stream of its own;
  sources that are connected one to one to ``IF_curr_exp`` are part of the neurons they drive.
* Connections, weights and delays of static synapses are the core's draws, seeded by
  ``setup(rng_seed=...)``; the seed of a ``NumpyRNG`` given to them has no effect.
"""

from __future__ import annotations

from typing import Any

from pyNN import common

from ._cells import (
    ACSource,
    DCSource,
    GridIFCurrExp,
    IF_curr_exp,
    NoisyCurrentSource,
    SpikeSourcePoisson,
    StepCurrentSource,
)
from ._population import Population
from ._projection import Projection
from ._pynn import pynn_neuron, simulator
from ._state import network

__all__ = [
    "ACSource",
    "DCSource",
    "GridIFCurrExp",
    "IF_curr_exp",
    "NoisyCurrentSource",
    "Population",
    "Projection",
    "SpikeSourcePoisson",
    "StepCurrentSource",
    "connect",
    "create",
    "end",
    "setup",
]


def __getattr__(name: str) -> Any:
    return getattr(pynn_neuron, name)


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``rng_seed``, ``max_delay`` and what else pyNN.neuron takes.

    Returns
    -------
    int
        Rank of this process.
    """
    seed = extra.pop("rng_seed", 1)
    network.begin(seed)
    rank: int = pynn_neuron.setup(timestep, min_delay, native_rng_baseseed=seed, **extra)
    # events lie on the time grid: a bin for each step holds them, instead of a tree
    simulator.state.cvode.queue_mode(not extra.get("use_cvode", False), 0)
    return rank


def end(compatible_output: bool = True) -> None:
    """Write what is to be written, and free the network; see PyNN's ``end``."""
    pynn_neuron.end(compatible_output)
    network.begin(seed=1)


create = common.build_create(Population)
connect = common.build_connect(
    Projection, pynn_neuron.FixedProbabilityConnector, pynn_neuron.StaticSynapse
)

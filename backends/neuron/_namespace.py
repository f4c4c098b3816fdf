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

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn.namespace import check_setup, names

from . import _state
from ._cells import GridIFCurrExp, IF_curr_exp, SpikeSourceArray, SpikeSourcePoisson
from ._currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from ._population import Assembly, Population, PopulationView
from ._projection import Projection
from ._pynn import pynn_neuron
from ._state import state

__all__ = [
    "ACSource",
    "Assembly",
    "DCSource",
    "GridIFCurrExp",
    "IF_curr_exp",
    "NoisyCurrentSource",
    "Population",
    "PopulationView",
    "Projection",
    "Space",
    "SpikeSourceArray",
    "SpikeSourcePoisson",
    "StepCurrentSource",
    "connect",
    "create",
    "end",
    "get_current_time",
    "get_max_delay",
    "get_min_delay",
    "get_time_step",
    "num_processes",
    "rank",
    "reset",
    "run",
    "run_for",
    "run_until",
    "setup",
    "state",
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
    check_setup("neuron", timestep, min_delay, extra)
    if extra.get("use_cvode", False):
        raise UnsupportedError(
            "the neuron backend keeps spikes on the time grid, and steps of variable length "
            "(use_cvode) do not: leave it out, or import pyNN.neuron itself"
        )
    seed = extra.pop("rng_seed", 1)
    state.begin(timestep, min_delay, extra.get("max_delay", "auto"), seed)
    return int(pynn_neuron.setup(timestep, min_delay, native_rng_baseseed=seed, **extra))


_names = names(
    _state,
    classes={
        "Population": Population,
        "Projection": Projection,
        "StaticSynapse": pynn_neuron.StaticSynapse,
    },
)
Space = _names["Space"]  # pyNN.neuron has forgotten it
connect, create, end, reset = (_names[name] for name in ("connect", "create", "end", "reset"))
run, run_for, run_until = (_names[name] for name in ("run", "run_for", "run_until"))
get_current_time, get_time_step = _names["get_current_time"], _names["get_time_step"]
get_min_delay, get_max_delay = _names["get_min_delay"], _names["get_max_delay"]
num_processes, rank = _names["num_processes"], _names["rank"]

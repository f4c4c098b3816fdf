"""The PyNN namespace of the ``nest`` backend: pyNN.nest, with networks built in bulk.

Everything that is not defined here is pyNN.nest's own. `Population`, `Projection` and `setup`
are replaced; what they do differently:

* Connectors become NEST's connection rules, or one call with arrays, instead of Python loops.
  Random weights, delays and connections of such connectors are drawn by NEST's generator, which
  ``setup(rng_seed=...)`` seeds; the seed of a ``NumpyRNG`` given to them has no effect.
* A population of ``SpikeSourcePoisson`` that share their rate and are connected one to one is one
  ``poisson_generator``, which sends each target a train of its own.
* Spikes lie on the time grid unless ``setup(spike_precision="off_grid")`` asks for others.
"""

from __future__ import annotations

from typing import Any

from pyNN import common, connectors

from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.host.quiet import quiet
from portable_cortex.pynn import currents

from . import _simulator as simulator
from ._population import Assembly as Assembly
from ._population import Population
from ._population import PopulationView as PopulationView
from ._projection import Projection
from ._pynn import nest, pynn_nest
from ._sources import SpikeSourceArray as SpikeSourceArray
from ._synapse_models import SynapseModels

default_threads = 1

# what a network needs, until the next setup()
simulator.state.synapse_models = SynapseModels(threads=1)


def __getattr__(name: str) -> Any:
    return getattr(pynn_nest, name)


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``threads``, ``rng_seed``, ``spike_precision``, ``max_delay`` and what else pyNN.nest takes.

    Returns
    -------
    int
        Rank of this process.
    """
    if parallel.processes() > 1 and nest.GetKernelStatus("network_size"):
        raise UnsupportedError(
            "under mpirun there can be one network: NEST 3.10 was seen to crash in the second one "
            "of the same processes. Start mpirun once for each"
        )
    extra = {"threads": default_threads, "spike_precision": "on_grid", **extra}
    with quiet():
        rank: int = pynn_nest.setup(timestep, min_delay, **extra)
        nest.verbosity = nest.VerbosityLevel.ERROR
    simulator.state.begin(timestep, min_delay, extra.get("max_delay", "auto"))
    simulator.state.synapse_models = SynapseModels(nest.GetKernelStatus("total_num_virtual_procs"))
    return rank


def prepare() -> None:
    """Do now what would be part of the first step: attach devices, sort connections."""
    simulator.state.run(0.0)
    nest.Prepare()
    nest.Cleanup()


run, run_until = common.build_run(simulator)
run_for = run
reset = common.build_reset(simulator)
(
    get_current_time,
    get_time_step,
    get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(simulator)
CSAConnector = connectors.CSAConnector
globals().update(currents.classes(simulator.state))
create = common.build_create(Population)
connect = common.build_connect(
    Projection, pynn_nest.FixedProbabilityConnector, pynn_nest.StaticSynapse
)

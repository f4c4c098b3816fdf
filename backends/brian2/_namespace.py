"""The PyNN namespace of the ``brian2`` backend.

Populations and projections only describe; at the first run `_lowering` makes the fewest Brian2
objects that hold them, and `_program` runs these. So neither connections nor parameters can change
between runs (they can after ``reset()``), and nothing is done once a synapse in Python.
"""

from __future__ import annotations

from typing import Any

from pyNN import common, connectors, errors, random, space
from pyNN.common.control import DEFAULT_MAX_DELAY, DEFAULT_MIN_DELAY, DEFAULT_TIMESTEP
from pyNN.connectors import FixedProbabilityConnector
from pyNN.network import Network
from pyNN.random import NumpyRNG, RandomDistribution
from pyNN.recording import get_io
from pyNN.space import Space

from portable_cortex.backend import Progress

from . import _simulator
from ._cells import (
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_exp,
    SpikeSourceArray,
    SpikeSourcePoisson,
    StaticSynapse,
)
from ._currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from ._population import Assembly, Population, PopulationView
from ._projection import Projection
from ._simulator import state

_CONNECTORS = [name for name in vars(connectors) if name.endswith("Connector")]
globals().update({name: getattr(connectors, name) for name in _CONNECTORS})

__all__ = [
    "ACSource",
    "Assembly",
    "DCSource",
    "IF_cond_alpha",
    "IF_cond_exp",
    "IF_curr_alpha",
    "IF_curr_exp",
    "Network",
    "NoisyCurrentSource",
    "NumpyRNG",
    "Population",
    "PopulationView",
    "Projection",
    "RandomDistribution",
    "Space",
    "SpikeSourceArray",
    "SpikeSourcePoisson",
    "StaticSynapse",
    "StepCurrentSource",
    "errors",
    "random",
    "space",
    *_CONNECTORS,
]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"the brian2 backend has no {name!r}. Cell types: {', '.join(list_standard_models())}; "
        "current sources: DCSource, StepCurrentSource, ACSource, NoisyCurrentSource; synapses: StaticSynapse (there is no plasticity)"
    )


def setup(
    timestep: float = DEFAULT_TIMESTEP, min_delay: Any = DEFAULT_MIN_DELAY, **extra: Any
) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``rng_seed`` seeds connections and Poisson spikes; ``max_delay`` (ms).

    Returns
    -------
    int
        Rank of this process, 0.
    """
    common.setup(timestep, min_delay, **extra)
    state.clear()
    state.dt, state.least_delay = timestep, None if min_delay == "auto" else min_delay
    state.max_delay = extra.get("max_delay", DEFAULT_MAX_DELAY)
    state.seed = int(extra.get("rng_seed", 1))
    return 0


def end(compatible_output: bool = True) -> None:
    """Write what is to be written, and stop the program."""
    for population, variables, filename in state.write_on_end:
        population.write_data(get_io(filename), variables)
    state.write_on_end = []
    state.clear()


def compile_seconds() -> float:
    """Time spent on compiling this network, s."""
    return state.compile_seconds


def advance(duration: float, progress: Progress) -> None:
    """Run for `duration` ms, reporting progress."""
    state.run(duration, progress)


run, run_until = common.build_run(_simulator)
run_for = run
reset = common.build_reset(_simulator)
initialize = common.initialize
(
    get_current_time,
    get_time_step,
    get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(_simulator)
create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
record = common.build_record(_simulator)
set = common.set  # noqa: A001  # PyNN's name


def list_standard_models() -> list[str]:
    """Names of the standard cell types."""
    from . import Brian2Backend

    return list(Brian2Backend.capabilities.cell_types)

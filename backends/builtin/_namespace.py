"""The PyNN namespace of the ``builtin`` backend."""

from __future__ import annotations

import logging
from typing import Any

from pyNN import common, connectors, errors, random, recording, space
from pyNN.core import IndexBasedExpression
from pyNN.network import Network
from pyNN.random import GSLRNG, NumpyRNG, RandomDistribution
from pyNN.space import Space

from portable_cortex.errors import InvalidValueError

from . import _simulator as simulator
from ._cells import CELL_TYPES
from ._currents import ACSource, DCSource, NoisyCurrentSource, StepCurrentSource
from ._population import Assembly, Population, PopulationView
from ._projection import Projection
from ._synapse_types import StaticSynapse

_CONNECTORS = [name for name in vars(connectors) if name.endswith("Connector")]
globals().update({name: getattr(connectors, name) for name in _CONNECTORS})

__all__ = [
    "GSLRNG", "ACSource", "Assembly", "DCSource", "IndexBasedExpression", "Network",
    "NoisyCurrentSource", "NumpyRNG", "Population", "PopulationView", "Projection",
    "RandomDistribution", "Space", "StaticSynapse", "StepCurrentSource", "errors", "random",
    "recording", "space",
    *_CONNECTORS, *CELL_TYPES,
]  # fmt: skip

default_threads = 1
state = simulator.state
globals().update(CELL_TYPES)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(
        f"the builtin simulator has no {name!r}. Cell types: {', '.join(CELL_TYPES)}; current "
        "sources: DCSource, StepCurrentSource, ACSource, NoisyCurrentSource; synapses: "
        "StaticSynapse (there is no plasticity)"
    )


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``max_delay`` (ms); ``threads``; ``rng_seed``, an integer from 0, which decides everything
        random but initial values and parameters that are drawn by a ``NumpyRNG``.

    Returns
    -------
    int
        0, the rank of the only process.

    Raises
    ------
    InvalidValueError
        For a seed or a number of threads that cannot be.
    """
    common.setup(timestep, min_delay, **extra)
    threads, seed = extra.get("threads", default_threads), extra.get("rng_seed", 1)
    if not isinstance(threads, int) or not 1 <= threads <= 255:
        raise InvalidValueError(f"threads must be a whole number from 1 to 255, not {threads!r}")
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise InvalidValueError(f"rng_seed must be a whole number from 0, not {seed!r}")
    state.touch()
    state.clear(timestep, min_delay, extra.get("max_delay", "auto"), seed, threads)
    return 0


def draw_shared(seed: int) -> None:
    """Draw connections with this seed: they are those of the core's `shared` realisation."""
    state.shared_seed = seed


def end(compatible_output: bool = True) -> None:
    """Write what was to be written to files, and forget the network."""
    for population, variables, filename in state.write_on_end:
        population.write_data(recording.get_io(filename), variables)
    state.write_on_end = []
    state.touch(structure=True)  # gives the memory back; what was recorded stays


def list_standard_models() -> list[str]:
    """Names of the cell types."""
    return list(CELL_TYPES)


run, run_until = common.build_run(simulator)
run_for = run
reset = common.build_reset(simulator)
initialize = common.initialize
create = common.build_create(Population)
connect = common.build_connect(Projection, connectors.FixedProbabilityConnector, StaticSynapse)
record = common.build_record(simulator)
(
    get_current_time,
    get_time_step,
    get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(simulator)
logging.getLogger("PyNN").setLevel(logging.WARNING)


def record_v(source: Any, filename: str) -> None:
    """Record the membrane potential; see PyNN's ``record``."""
    record(["v"], source, filename)


def record_gsyn(source: Any, filename: str) -> None:
    """Record the synaptic conductances; see PyNN's ``record``."""
    record(["gsyn_exc", "gsyn_inh"], source, filename)


set = common.set  # noqa: A001  # PyNN's name

"""The PyNN namespace of the ``neuron`` backend: pyNN.neuron, with networks built in bulk.

Everything that is not defined here is pyNN.neuron's own. What is, and what it does differently:

* PyNN's standard neurons are advanced on the time grid: ``IF_curr_exp`` by a mechanism of this
  backend, the others by mechanisms that are written for models of the catalogue, and compiled when
  they are first used. A ``PointNeuron`` is PyNN's, with NEURON's fixed step (implicit Euler).
* ``SpikeSourcePoisson`` fires on the time grid, each source from a random stream of its own;
  sources that are connected one to one to ``IF_curr_exp`` are part of the neurons they drive.
* Connections, weights and delays of static synapses are the core's draws, seeded by
  ``setup(rng_seed=...)``; the seed of a ``NumpyRNG`` given to them has no effect.
"""

from __future__ import annotations

from typing import Any

from pyNN.space import Space as Space  # pyNN.neuron has forgotten it

from portable_cortex.pynn.namespace import check_setup, functions, missing
from portable_cortex.pynn.plasticity import StatedDelay, check_fraction
from portable_cortex.support import refusal

from . import _state
from ._cells import GridIFCurrExp as GridIFCurrExp
from ._cells import IF_curr_exp as IF_curr_exp
from ._cells import SpikeSourceArray as SpikeSourceArray
from ._cells import SpikeSourcePoisson as SpikeSourcePoisson
from ._currents import CURRENT_SOURCES
from ._generated import STANDARD_TYPES
from ._generated import nestml_cell_type as nestml_cell_type
from ._plasticity import PAIR_RULES
from ._population import Assembly as Assembly
from ._population import Population
from ._population import PopulationView as PopulationView
from ._projection import Projection
from ._pynn import pynn_neuron
from ._renewal import SpikeSourceGamma as SpikeSourceGamma
from ._renewal import SpikeSourcePoissonRefractory as SpikeSourcePoissonRefractory
from ._state import state

default_weights = "full"
globals().update(functions(_state, Population, Projection))
globals().update(CURRENT_SOURCES)
globals().update(STANDARD_TYPES)
globals().update(PAIR_RULES)


def __getattr__(name: str) -> Any:
    return getattr(pynn_neuron, name) if hasattr(pynn_neuron, name) else missing("neuron")(name)


class STDPMechanism(StatedDelay, pynn_neuron.STDPMechanism):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_neuron.STDPMechanism.__doc__

    def __init__(self, *args: Any, **parameters: Any) -> None:
        check_fraction(parameters.get("dendritic_delay_fraction", 1.0))
        try:
            super().__init__(*args, **parameters)
        except NotImplementedError:
            raise refusal(
                "neuron",
                "mpirun: STDPMechanism with more than half of the delay in the dendrite",
                "have a larger dendritic_delay_fraction than 0.5 (without one it is 1)",
                "Set it to 0.5 or less, or use one process",
            ) from None


def list_standard_models() -> list[str]:
    """Names of the cell types."""
    return sorted({*pynn_neuron.list_standard_models(), *STANDARD_TYPES})


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``rng_seed``, ``max_delay``, ``weights`` ("full" or "bfloat16") and what else pyNN.neuron
        takes.

    Returns
    -------
    int
        Rank of this process.
    """
    check_setup("neuron", timestep, min_delay, extra)
    if extra.get("use_cvode", False):
        raise refusal(
            "neuron",
            "run-length: use_cvode",
            "have use_cvode",
            "Leave it out, or import pyNN.neuron itself",
        )
    seed, weights = extra.pop("rng_seed", 1), extra.pop("weights", default_weights)
    state.begin(timestep, min_delay, extra.get("max_delay", "auto"), seed, weights=weights)
    extra = {"native_rng_baseseed": seed, **extra}
    return int(pynn_neuron.setup(timestep, min_delay, **extra))

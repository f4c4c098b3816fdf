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

from copy import deepcopy
from typing import Any

import numpy as np
from pyNN import connectors
from pyNN.standardmodels import build_translations, synapses

from portable_cortex.errors import InvalidValueError
from portable_cortex.host import parallel
from portable_cortex.host.quiet import quiet
from portable_cortex.pynn import currents, namespace
from portable_cortex.pynn.plasticity import EXPONENTS, StatedDelay
from portable_cortex.pynn.values import is_number, number
from portable_cortex.support import refusal

from . import _modules
from . import _simulator as simulator
from ._cells import nestml_cell_type as nestml_cell_type
from ._population import Assembly as Assembly
from ._population import Population
from ._population import PopulationView as PopulationView
from ._projection import Projection
from ._projection import StaticSynapse as StaticSynapse
from ._pynn import nest, pynn_nest
from ._sources import SpikeSourceArray as SpikeSourceArray
from ._sources import SpikeSourceGamma as SpikeSourceGamma
from ._sources import SpikeSourcePoisson as SpikeSourcePoisson
from ._sources import SpikeSourcePoissonRefractory as SpikeSourcePoissonRefractory

default_threads = 1
default_weights = "full"


def __getattr__(name: str) -> Any:
    return getattr(pynn_nest, name) if hasattr(pynn_nest, name) else namespace.missing("nest")(name)


def _bounded(base: Any) -> type:
    """A weight dependence of PyNN's for NEST, with a sentence for the lower bound that it lacks."""

    def begin(self: Any, w_min: Any = 0.0, w_max: Any = 1.0, **exponents: Any) -> None:
        if w_min != 0:
            raise refusal(
                "nest",
                "STDPMechanism: lower bounds",
                f"have {base.__name__}(w_min={w_min!r})",
                "Leave it out, or use builtin, brian2 or neuron",
            )
        standard = getattr(synapses, base.__name__)  # PyNN's for NEST forgets the exponents
        standard.__init__(self, w_min, w_max, **exponents)

    return type(base.__name__, (base,), {"__doc__": base.__doc__, "__init__": begin})


for _name in (*EXPONENTS, "GutigWeightDependence"):
    globals()[_name] = _bounded(getattr(pynn_nest, _name))


TINY = 1e-20
"""NEST's lambda where ``A_plus`` is 0: its depression is a multiple of that."""


def _potentiation(**rule: Any) -> Any:
    found = deepcopy(rule["A_plus"])
    found.apply(lambda values: np.where(np.asarray(values) == 0, TINY, values)[()])
    return found


class SpikePairRule(pynn_nest.SpikePairRule):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = pynn_nest.SpikePairRule.__doc__
    # PyNN's have no depression where A_plus is 0, and no values of each synapse
    translations = build_translations(
        ("tau_plus", "tau_plus"),
        ("tau_minus", "tau_minus"),
        (
            "A_plus",
            "lambda",
            _potentiation,
            lambda **native: np.where(native["lambda"] <= TINY, 0.0, native["lambda"]),
        ),
        (
            "A_minus",
            "alpha",
            lambda **rule: rule["A_minus"] / _potentiation(**rule),
            lambda **native: native["alpha"] * native["lambda"],
        ),
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
        ``threads``, ``rng_seed``, ``spike_precision``, ``max_delay``, ``weights`` ("full" or
        "bfloat16") and what else pyNN.nest takes.

    Returns
    -------
    int
        Rank of this process.
    """
    if parallel.processes() > 1 and nest.GetKernelStatus("network_size"):
        raise refusal(
            "nest",
            "second-setup: under mpirun",
            f"setup() a second network in {parallel.processes()} processes",
            "Start mpirun once for each",
        )
    namespace.check_setup("nest", timestep, min_delay, {**extra, "spike_precision": "on_grid"})
    extra = {"threads": default_threads, "spike_precision": "on_grid", **extra}
    if not 0 < extra.get("rng_seed", 1) < 2**32 - 1:
        raise InvalidValueError(
            f"rng_seed must be from 1 to 2**32 - 2 on nest, not {extra['rng_seed']!r}"
        )
    max_delay, weights = extra.pop("max_delay", "auto"), extra.pop("weights", default_weights)
    limits = {}  # NEST finds its own
    if max_delay != "auto":  # they hold for what comes after a run, too
        least = timestep if min_delay == "auto" else min_delay
        limits = {"min_delay": least, "max_delay": max_delay}

    def clear() -> None:
        with quiet():
            pynn_nest.setup(timestep, **limits, **extra)
            nest.verbosity = nest.VerbosityLevel.ERROR
            _modules.install_again()

    clear()
    simulator.state.begin(timestep, min_delay, max_delay, clear=clear, weights=weights)
    return int(simulator.state.mpi_rank)


def prepare() -> None:
    """Do now what would be part of the first step: attach devices, sort connections."""
    simulator.state.run(0.0)
    nest.Prepare()
    nest.Cleanup()


globals().update(namespace.functions(simulator, Population, Projection))
globals().update(currents.classes(simulator.state))
CSAConnector = connectors.CSAConnector
# their smallest delay is NEST's in pyNN.nest, not that of setup()
for _name in (
    "STDPMechanism",
    "TsodyksMarkramSynapse",
    "SimpleStochasticSynapse",
    "StochasticTsodyksMarkramSynapse",
    "MultiQuantalSynapse",
):
    _base = getattr(pynn_nest, _name)
    _own = {
        "_get_minimum_delay": lambda self: simulator.state.least_delay,
        "__doc__": _base.__doc__,
    }
    globals()[_name] = type(_name, (_base,), _own)


class STDPMechanism(StatedDelay, globals()["STDPMechanism"]):  # type: ignore[misc]  # made above
    __doc__ = pynn_nest.STDPMechanism.__doc__

    def check_fraction(self, fraction: Any) -> None:
        if np.any(fraction != 1):
            raise refusal(
                "nest",
                "STDPMechanism: parts of the delay in the axon",
                f"have dendritic_delay_fraction={fraction!r}",
                "Leave it out, or use builtin, brian2 or neuron",
            )

    def _get_nest_synapse_model(self) -> str:
        # NEST wants both of one sign, also those that a new synapse has before its own are known
        bound = self.weight_dependence.parameter_space["w_max"]
        first = number(bound) if is_number(bound) else np.ravel(bound.base_value)[0]
        sign = float(np.sign(first)) if isinstance(first, int | float) else 1.0
        models = self.possible_models
        for model in {models} if isinstance(models, str) else models:
            nest.SetDefaults(f"{model}_lbl", {"weight": sign, "Wmax": sign})
        return str(super()._get_nest_synapse_model())

    def _set_tau_minus(self, cells: Any) -> None:
        # PyNN's fails where weights or delays are arrays
        tau_minus = self.timing_dependence.parameter_space["tau_minus"]
        if not tau_minus.is_homogeneous:
            raise refusal(
                "nest",
                "STDPMechanism: several tau_minus of a target",
                "have a tau_minus for each synapse",
                "Take one number, or use builtin, brian2 or neuron",
            )
        tau_minus.shape = (1,)
        nest.SetStatus(cells, {"tau_minus": tau_minus.evaluate(simplify=True)})

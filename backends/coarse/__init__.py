"""Rates without spikes: populations whose tabulated responses are solved to equilibrium."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from portable_cortex.backend import Backend, Capabilities, Progress, Rate
from portable_cortex.host.provenance import cores
from portable_cortex.options import BackendOptions, option
from portable_cortex.registry import load_backend
from portable_cortex.support import CELL_TYPES_BEYOND_MODELS

_STATIONARY = "what is computed is a stationary state, which input that varies in time has not"
_PLASTIC = "a stationary state is computed, and weights that depend on spikes are not in it"


@dataclass(frozen=True)
class CoarseOptions(BackendOptions):
    """Options of the ``coarse`` backend."""

    library: Literal["simulated", "columns", "neurons", "theory"] = option(
        "simulated",
        "what responds: simulated neurons, whole columns (populations with the same @name in their "
        "label; without, all of them), both in tables that are made when they are needed and kept, "
        "neurons that are simulated anew in each update (for some hundred populations at most), "
        "or mean-field theory (leaky integrate-and-fire neurons with currents)",
    )
    threads: int = option(
        cores, "processes that simulate neurons for tables; one on each core unless given",
        least=1, most=255,
    )  # fmt: skip
    spacing: float = option(
        0.3,
        "distance of a table's points, in units of what the input fluctuates by in 10 ms",
        least=0.05,
        most=2.0,
    )
    point_seconds: float = option(
        400.0,
        "model time of all neurons that are simulated at a point of a table, together, s; for "
        "library=neurons, of a population in an update",
        least=10.0,
        most=1e5,
    )
    column_seconds: float = option(
        10.0,
        "model time of each column that is simulated for a table of columns, s",
        least=1.0,
        most=1e4,
    )


class CoarseBackend(Backend):
    """Mean rates of populations in equilibrium, from tabulated responses of their neurons."""

    name = "coarse"
    summary = (
        "no spikes: stationary rates, from tabulated responses of neurons, solved to equilibrium"
    )
    module = "numba"
    distributions = ("numba", "llvmlite")
    Options = CoarseOptions
    capabilities = Capabilities(
        arithmetic="float64",
        timesteps=(0.001, 10.0),
        delays=(1, 1e6),
        weights="float64",
        cell_types=(
            "IF_curr_exp",
            "IF_curr_alpha",
            "IF_curr_delta",
            "IF_cond_exp",
            "IF_cond_alpha",
            "IF_cond_exp_gsfa_grr",
            "IF_facets_hardware1",
            "EIF_cond_exp_isfa_ista",
            "EIF_cond_alpha_isfa_ista",
            "HH_cond_exp",
            "Izhikevich",
            "GIF_cond_exp",
            "SpikeSourcePoisson",
        ),
        current_sources=(),
        synapse_types=("StaticSynapse", "SimpleStochasticSynapse"),
        realisations=("native",),
        dynamics=False,
    )
    spiking = False
    cannot: ClassVar[Mapping[str, str]] = {
        **CELL_TYPES_BEYOND_MODELS,
        "dynamics": "coarse has no equations in time: stationary rates are what it computes",
        "trials": "a stationary state is the same in all of them",
        "spikes": "coarse has rates, and no spikes and no time",
        "last_sample": "coarse has no time, and so no samples",
        "off-grid": "coarse has no spikes",
        **dict.fromkeys(
            ("SpikeSourceArray", "SpikeSourcePoissonRefractory", "SpikeSourceGamma",
             "SpikeSourceInhGamma", "DCSource", "StepCurrentSource", "ACSource",
             "NoisyCurrentSource"),
            _STATIONARY,
        ),
        **dict.fromkeys(
            ("TsodyksMarkramSynapse", "STDPMechanism", "StochasticTsodyksMarkramSynapse",
             "MultiQuantalSynapse"),
            _PLASTIC,
        ),
    }  # fmt: skip

    takes_neurons = True

    def neuron_code(self, celltype: Any) -> str:
        """The built-in engine's, which simulates the neurons of tables."""
        return load_backend("builtin").neuron_code(celltype)

    def simulator(self, options: CoarseOptions) -> Any:
        """A namespace of its own."""
        from ._namespace import namespace_with

        names = ("library", "threads", "spacing", "point_seconds", "column_seconds")
        return namespace_with({name: getattr(options, name) for name in names})

    def prepare(self, sim: Any, progress: Progress) -> None:
        """Look at the network that was built."""
        sim.state.prepare()

    def simulate(self, sim: Any, duration: float, progress: Progress) -> None:
        """Find the stationary state; it is there for any duration."""
        began = time.perf_counter()
        self._found = sim.state.solve(progress)
        tables = self._found.circuit.seconds
        self._phases = {"tables": tables, "simulate": time.perf_counter() - began - tables}
        progress(1.0)

    def phases(self) -> Mapping[str, float]:
        """Simulating neurons for tables, apart from the rest of ``simulate``."""
        return self._phases

    def rate(self, population: Any) -> Rate:
        """Of the stationary state; of sources, what they were given."""
        found = population._simulator.state.found
        if not population.injectable:
            return Rate(float(np.mean(population.parameters["rate"])), 0.0)
        own = found.inputs.places[population.number]
        return Rate(float(found.solution.rates[own]), float(found.solution.errors[own]))

    def details(self) -> Mapping[str, Any]:
        """Of tables, and of the way to the solution."""
        found = self._found
        return {
            **found.circuit.details(),
            "updates": len(found.solution.history),
            "step": found.solution.step,
            "history": [float(f"{size:.3g}") for size in found.solution.history],
            "from_other_states": [None if other != other else other for other in found.again],
        }

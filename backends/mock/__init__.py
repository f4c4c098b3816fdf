"""A backend without a simulator: real networks, made-up spikes. For tests and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from portable_cortex.backend import Backend, Capabilities
from portable_cortex.options import WEIGHT_FORMATS, BackendOptions
from portable_cortex.recording import Spikes


class MockBackend(Backend):
    """Draws the network as any other; spikes are a Poisson process of 5 spikes/s."""

    name = "mock"
    summary = "no simulator: real connectivity, made-up spikes, for trying things out"
    capabilities = Capabilities(
        arithmetic="none",
        timesteps=(1e-3, 1e3),
        delays=(1, 1e6),
        weights="float64",
        weight_formats=WEIGHT_FORMATS,
        cell_types=(
            "IF_curr_exp",
            "IF_curr_alpha",
            "IF_cond_exp",
            "IF_cond_alpha",
            "EIF_cond_exp_isfa_ista",
            "EIF_cond_alpha_isfa_ista",
            "HH_cond_exp",
            "Izhikevich",
            "SpikeSourcePoisson",
            "SpikeSourceArray",
        ),
        synapse_types=("StaticSynapse", "TsodyksMarkramSynapse", "STDPMechanism"),
        dynamics=False,
    )
    cannot: ClassVar[Mapping[str, str]] = {
        "dynamics": "mock has no membrane equations: its spikes are made up",
        "set_synapses": "pyNN.mock has no Projection.set",
        "distances": "mock draws what the core draws: no probabilities by distance",
    }

    def simulator(self, options: BackendOptions) -> Any:
        """`_namespace`."""
        from . import _namespace

        _namespace.default_weights = options.weights
        return _namespace

    repeats = True

    def begin_trial(self, sim: Any, number: int) -> None:
        """Other made-up spikes."""
        sim.begin_trial(number)

    def spikes(self, population: Any) -> Spikes:
        """Without a Python object a neuron."""
        from ._namespace import made_up_spikes

        return made_up_spikes(population)

    def doubts(self) -> tuple[str, ...]:
        """Nobody shall take them for a simulator's."""
        return ("made-up spikes, no simulation",)

"""NEURON, through pyNN.neuron: the same API, networks built in bulk, on one or many processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from portable_cortex.backend import Backend, Capabilities
from portable_cortex.host import parallel
from portable_cortex.options import BackendOptions
from portable_cortex.recording import Signal, Spikes, by_time


class NeuronBackend(Backend):
    """NEURON in one process, or in as many as mpirun starts."""

    name = "neuron"
    summary = "NEURON, exact integration of IF_curr_exp on a grid, distributed by MPI"
    module = "neuron"
    distributions = ("neuron", "mpi4py")
    requirement = "portable-cortex[neuron]"
    capabilities = Capabilities(
        arithmetic="float64",
        timesteps=(0.001, 10.0),
        delays=(1, 1e6),
        weights="float64",
        cell_types=(
            "IF_curr_exp",
            "IF_curr_alpha",
            "IF_cond_exp",
            "IF_cond_alpha",
            "EIF_cond_exp_isfa_ista",
            "EIF_cond_alpha_isfa_ista",
            "IF_cond_exp_gsfa_grr",
            "IF_facets_hardware1",
            "HH_cond_exp",
            "Izhikevich",
            "GIF_cond_exp",
            "PointNeuron",
            "SpikeSourcePoisson",
            "SpikeSourceArray",
            "SpikeSourcePoissonRefractory",
            "SpikeSourceGamma",
        ),
        synapse_types=(
            "StaticSynapse",
            "TsodyksMarkramSynapse",
            "STDPMechanism",
            "SimpleStochasticSynapse",
            "StochasticTsodyksMarkramSynapse",
            "MultiQuantalSynapse",
        ),
    )
    cannot: ClassVar[Mapping[str, str]] = {"off-grid": "spikes lie on the time grid"}

    def simulator(self, options: BackendOptions) -> Any:
        """`_namespace`; compiles NEURON's mechanisms where this has not been done."""
        from . import _namespace

        return _namespace

    def check_processes(self) -> None:
        """NEURON takes part in any MPI that mpi4py has."""
        parallel.communicator()

    def spikes(self, population: Any) -> Spikes:
        """Of all processes, without a Python object a neuron."""
        steps, neurons = population.recorder.recorded_spikes()
        times = np.round(parallel.joined(steps) * population.recorder.timestep, 9)
        return by_time(times, parallel.joined(neurons))

    def signal(self, population: Any, variable: str) -> Signal:
        """Samples from the recorded neurons of all processes."""
        found: Signal = population.recorder.signal(variable)
        neurons = parallel.joined(found.neurons)
        order = np.argsort(neurons, kind="stable")
        return found._replace(
            values=parallel.joined(found.values, axis=1)[:, order], neurons=neurons[order]
        )

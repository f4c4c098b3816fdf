"""NEURON, through pyNN.neuron: the same API, networks built in bulk, on one or many processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from portable_cortex.backend import Backend, Capabilities
from portable_cortex.host import parallel
from portable_cortex.options import WEIGHT_FORMATS, BackendOptions
from portable_cortex.recording import Signal, Spikes


class NeuronBackend(Backend):
    """NEURON in one process, or in as many as mpirun starts."""

    name = "neuron"
    summary = "NEURON, PyNN's neurons advanced on the time grid, distributed by MPI"
    module = "neuron"
    distributions = ("neuron", "mpi4py")
    requirement = "portable-cortex[neuron]"
    capabilities = Capabilities(
        arithmetic="float64",
        timesteps=(0.001, 10.0),
        delays=(1, 1e6),
        weights="float64",
        weight_formats=WEIGHT_FORMATS,
        cell_types=(
            "IF_curr_exp",
            "IF_curr_alpha",
            "IF_curr_delta",
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
    cannot: ClassVar[Mapping[str, str]] = {
        "off-grid": "spikes lie on the time grid",
        "run-length: use_cvode": "spikes lie on the time grid, and steps of variable length do not",
        "poisson-shared: other uses after a run": "sources that had one target each are part of "
        "it, and have no spikes of their own",
        "refractory-rounding: 0 in a PointNeuron": "NEURON finds its spikes where the potential "
        "crosses the threshold, and without refractory time it need not be below it between two",
        "initialize-view: synapses of PyNN's own cells": "PyNN sets their variables to 0",
        "sample-times: synapses of a PointNeuron, after a run": "PyNN hands them to NEURON when it "
        "initialises itself, in the first run and no more",
        "parameters-between-runs: more cells of PointNeuron": "NEURON initialises them in the "
        "first run and no more",
        "delays-between-runs: of spikes on their way": "NEURON sends the spikes of a source with "
        "one delay for all its targets together",
        "nestml: currents": "the model has no continuous input",
        "STDPMechanism: parts of the delay between steps": "it brings spikes to what changes the "
        "weight in steps",
        "STDPMechanism: dendritic delays below two steps": "neurons other than IF_curr_exp take a "
        "spike as a step ends, and NEURON's synapse would learn of it after that",
        "mpirun: plastic synapses with less than two steps in the axon": "processes exchange "
        "spikes once in a step, and what changes the weight hears of them a little sooner",
        "mpirun: STDPMechanism with more than half of the delay in the dendrite": "PyNN has not "
        "provided for it",
        "TsodyksMarkramSynapse: onto cells without tau_syn_E and tau_syn_I": "it has the time "
        "constant of the target's synapses",
    }

    takes_neurons = True
    repeats = True

    def neuron_code(self, celltype: Any) -> str:
        """The mechanism in NMODL."""
        from . import _writing

        return _writing.mechanism(celltype.neuron, celltype.recordable).text

    def simulator(self, options: BackendOptions) -> Any:
        """`_namespace`; compiles NEURON's mechanisms where this has not been done."""
        from . import _namespace

        _namespace.default_weights = options.weights
        return _namespace

    def check_processes(self) -> None:
        """NEURON takes part in any MPI that mpi4py has."""
        parallel.communicator()

    def spikes(self, population: Any) -> Spikes:
        """Of all processes, without a Python object a neuron."""
        from portable_cortex.pynn.recorder import spikes_of

        return spikes_of(population)

    def signal(self, population: Any, variable: str) -> Signal:
        """Samples from the recorded neurons of all processes."""
        from portable_cortex.pynn.recorder import signal_of

        return signal_of(population, variable)

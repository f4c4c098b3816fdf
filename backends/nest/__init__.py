"""NEST, through pyNN.nest: the same API, networks built by NEST's own connection rules."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from portable_cortex.backend import Backend, Capabilities, Progress
from portable_cortex.errors import UnsupportedError
from portable_cortex.host import parallel
from portable_cortex.host.provenance import cores
from portable_cortex.options import WEIGHT_FORMATS, BackendOptions, option
from portable_cortex.recording import Signal, Spikes


def _threads() -> int:
    return max(1, cores() // parallel.processes_here())


@dataclass(frozen=True)
class NestOptions(BackendOptions):
    """Options of the ``nest`` backend."""

    threads: int = option(
        _threads, "threads of each process; one on each core unless given", least=1
    )


class NestBackend(Backend):
    """NEST on the threads of this computer, or of the processes that mpirun starts."""

    name = "nest"
    summary = "NEST, exact integration on a grid, multi-threaded, distributed by MPI if built so"
    module = "nest"
    distributions = ("nest-simulator", "mpi4py")
    requirement = "portable-cortex[nest]"
    Options = NestOptions
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
            "MultiQuantalSynapse",
        ),
    )
    cannot: ClassVar[Mapping[str, str]] = {
        "spike-at-zero": "NEST sends nothing before its first step has ended",
        "delays-between-runs": "NEST keeps the limits of delays that its first run had",
        "poisson-shared: other uses after a run": "sources of one rate that had one target each "
        "are one generator, whose past spikes are not told apart",
        "initialize-view: some variables": "NEST does not let them be set",
        "STDPMechanism: lower bounds": "its synapses are bounded by 0",
        "STDPMechanism: parts of the delay in the axon": "all of it is in the dendrite there",
        "STDPMechanism: several tau_minus of a target": "it is a parameter of the neuron there",
        "trials": "to go back, NEST has to make the network again",
        "reset: plastic synapses": "NEST cannot take back what they have become",
        "reset: under mpirun": "NEST was seen to crash in the second network of the same processes",
        "second-setup: under mpirun": "NEST was seen to crash in the second network of the same "
        "processes",
        "nestml: plastic synapses": "PyNN gives the weights and their bounds other units in NEST",
        "mpirun: plastic synapses": "PyNN makes those of a process apart, NEST all at once",
        "mpirun: projections after a run, or after synapses were read": "NEST would deliver spikes "
        "to the wrong synapses",
    }

    takes_neurons = True

    def neuron_code(self, celltype: Any) -> str:
        """The part in C++ that is the model's own, of a module of NEST."""
        from . import _writing

        recorded = _writing.recordable(celltype)
        return _writing.written(celltype.neuron, celltype.neuron.name, recorded)

    def simulator(self, options: NestOptions) -> Any:
        """`_namespace`, with the number of threads set."""
        from . import _namespace

        _namespace.default_threads = parallel.of_first(options.threads)  # all need the same
        _namespace.default_weights = options.weights
        return _namespace

    def check_processes(self) -> None:
        """NEST takes part in MPI if it was built with it; the wheel on PyPI was not."""
        if not _has_mpi():
            raise UnsupportedError(
                "this NEST was built without MPI (as the wheels on PyPI are), and mpirun started "
                f"{parallel.processes()} processes, each of which would simulate the same network: "
                "start it without mpirun, on more threads (--option threads=N), or build NEST with "
                "MPI (docs/backends.md, the nest backend, has the command)"
            )
        parallel.communicator()

    def prepare(self, sim: Any, progress: Progress) -> None:
        """What NEST would otherwise do in its first step."""
        sim.prepare()

    def interval(self, sim: Any) -> int:
        """Threads meet after the smallest delay; a cut between changes who draws when."""
        from ._pynn import nest

        return max(1, round(float(nest.min_delay) / float(nest.resolution)))

    def spikes(self, population: Any) -> Spikes:
        """Straight from NEST's recorder, without a Python object a neuron."""
        from portable_cortex.pynn.recorder import spikes_of

        return spikes_of(population)

    def signal(self, population: Any, variable: str) -> Signal:
        """Samples from the recorded neurons of all processes."""
        from portable_cortex.pynn.recorder import signal_of

        return signal_of(population, variable)


def _has_mpi() -> bool:
    """Whether NEST was built with MPI, asked in a process that mpirun does not know of.

    Without MPI, NEST ends a process in which it finds the traces of mpirun.
    """
    launcher = ("OMPI_", "PMI", "MPI_", "SLURM_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    code = "import nest; print('MPI', nest.build_info['have_mpi'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return "MPI True" in done.stdout

"""Brian2: the network is described in PyNN and lowered to a few Brian2 objects at the first run."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from portable_cortex.backend import Backend, Capabilities, Progress
from portable_cortex.host.provenance import cores
from portable_cortex.options import WEIGHT_FORMATS, BackendOptions, option
from portable_cortex.recording import Spikes
from portable_cortex.support import CELL_TYPES_BEYOND_MODELS


@dataclass(frozen=True)
class Brian2Options(BackendOptions):
    """Options of the ``brian2`` backend."""

    mode: Literal["runtime", "cpp_standalone", "cuda_standalone"] = option(
        "cpp_standalone",
        "how Brian2 runs: in Python, or as a program it generates and compiles, for CPU or GPU",
    )
    threads: int = option(
        cores, "OpenMP threads of the compiled program; one on each core unless given", least=1
    )
    target: Literal["auto", "cython", "numpy"] = option(
        "auto",
        "what runtime mode generates: Cython, which it compiles, or NumPy, which needs no compiler",
    )


class Brian2Backend(Backend):
    """Brian2, at run time or as a compiled program."""

    name = "brian2"
    summary = "Brian2, exact integration on a grid; compiled C++ with OpenMP, or runtime"
    module = "brian2"
    distributions = ("brian2",)
    requirement = "portable-cortex[brian2]"
    Options = Brian2Options
    capabilities = Capabilities(
        arithmetic="float64",
        timesteps=(0.001, 10.0),
        delays=(1, 1e4),
        weights="float32 where drawn at random, float64 elsewhere",
        weight_formats=WEIGHT_FORMATS,
        largest_weight=float(np.finfo(np.float32).max),
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
            "SpikeSourceArray",
        ),
        synapse_types=(
            "StaticSynapse",
            "TsodyksMarkramSynapse",
            "STDPMechanism",
            "SimpleStochasticSynapse",
        ),
    )
    cannot: ClassVar[Mapping[str, str]] = {
        "off-grid": "spikes lie on the time grid",
        "spikes-in-one-step": "a Brian2 neuron spikes once a step at most",
        "parameters-between-runs": "in its compiled modes the network is a program of its own, "
        "which is not changed while time goes on",
        "current source: in mode cuda_standalone": "Brian2CUDA has no part that injects them",
        "nestml: in mode cuda_standalone": "functions that their code needs are written "
        "for the other modes; it is the same for cell types beside IF_curr_exp, IF_curr_alpha, "
        "IF_cond_exp and IF_cond_alpha",
        "STDPMechanism: in mode cuda_standalone": "functions that their code needs are written for "
        "the other modes",
        "STDPMechanism: changes between runs": "a new network would have to take over what the "
        "synapses know of the past, and spikes on their way whose weights are not known yet",
        "STDPMechanism: no delay in the dendrite": "spikes of models in NESTML, and of cell types "
        "beside IF_curr_exp, IF_curr_alpha, IF_cond_exp and IF_cond_alpha, are known after those "
        "of the step have arrived",
        "TsodyksMarkramSynapse: onto cells without tau_syn_E and tau_syn_I": "it has the time "
        "constant of the target's synapses",
        **CELL_TYPES_BEYOND_MODELS,
    }

    def __init__(self) -> None:
        self._phases: dict[str, float] = {}

    takes_neurons = True
    repeats = True

    def neuron_code(self, celltype: Any) -> str:
        """The step in abstract code, of a group whose equations are all parameters."""
        from . import _writing

        return _writing.written(celltype.neuron, True, ()).code

    def simulator(self, options: Brian2Options) -> Any:
        """`_namespace`; networks are run as the options say."""
        hook = sys.excepthook
        from . import _namespace, _program  # noqa: F401  # Brian2 itself, in the phase "import"

        sys.excepthook = hook  # Brian2's calls every mistake in a script a bug of Brian2
        _namespace.default_options = _namespace.state.options = options
        return _namespace

    def prepare(self, sim: Any, progress: Progress) -> None:
        """Lower the network to Brian2, compile it, and start the program."""
        began, before = time.perf_counter(), sim.compile_seconds()
        progress(None, "lowering and compiling the network")
        sim.run(0)
        compiling = sim.compile_seconds() - before
        self._phases = {
            "prepare": time.perf_counter() - began - compiling,
            "compile": compiling,
        }

    def simulate(self, sim: Any, duration: float, progress: Progress) -> None:
        """Advance in one piece; Brian2 itself reports how far it is."""
        sim.advance(duration, progress)

    def spikes(self, population: Any) -> Spikes:
        """Straight from Brian2's monitor, without a Python object a neuron."""
        from portable_cortex.pynn.recorder import spikes_of

        return spikes_of(population)

    def phases(self) -> Mapping[str, float]:
        """Compiling, apart from the rest of ``prepare``."""
        return self._phases

"""The built-in engine: exact integration on a grid, compiled by numba, on the cores it is given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from portable_cortex.backend import Backend, Capabilities, Progress
from portable_cortex.host.provenance import cores
from portable_cortex.options import WEIGHT_FORMATS, BackendOptions, option
from portable_cortex.recording import Spikes
from portable_cortex.support import CELL_TYPES_BEYOND_MODELS


@dataclass(frozen=True)
class BuiltinOptions(BackendOptions):
    """Options of the ``builtin`` backend."""

    threads: int = option(
        cores,
        "threads to build and simulate with; one on each core unless given; results do not depend "
        "on their number",
        least=1,
        most=255,
    )
    device: Literal["cpu", "cuda"] = option(
        "cpu",
        "what simulates: the threads, or a GPU of NVIDIA (`pip install portable-cortex[cuda]`)",
    )
    precision: Literal["double", "single"] = option(
        "double",
        "of the neurons' state; single is faster, and its spikes soon differ: compare statistics",
    )


class BuiltinBackend(Backend):
    """The built-in engine, on the threads of this computer or on its GPU."""

    name = "builtin"
    summary = "built-in engine, exact integration on a grid, multi-threaded or on a GPU"
    module = "numba"
    distributions = ("numba", "llvmlite")
    Options = BuiltinOptions
    interruptible = True
    resumable = True
    repeats = True
    capabilities = Capabilities(
        arithmetic="float64, or float32 (`precision=single`)",
        timesteps=(0.001, 10.0),
        delays=(1, 1e4),
        weights="float32 where drawn at random, float64 elsewhere",
        weight_formats=WEIGHT_FORMATS,
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
        "STDPMechanism: on a GPU": "the GPU's loop has static ones only",
        "STDPMechanism: populations between runs": (
            "what plastic synapses know of the past is kept by the network's layout"
        ),
        "STDPMechanism: projections between runs": (
            "what plastic synapses know of the past is kept by the network's layout"
        ),
        "STDPMechanism: parameters between runs": (
            "what plastic synapses know of the past was computed with those that they had"
        ),
        "STDPMechanism: weights of spikes on their way": (
            "these depend on spikes of the targets that are to come"
        ),
        "STDPMechanism: long time constants": "spikes are remembered for 40 of them",
        "STDPMechanism: dendritic delays below half a step": (
            "spikes of neurons whose threshold looks at what arrives are known after it has arrived"
        ),
        "TsodyksMarkramSynapse: onto cells without tau_syn_E and tau_syn_I": (
            "it has the time constant of the target's synapses"
        ),
        **CELL_TYPES_BEYOND_MODELS,
    }

    takes_neurons = True

    def neuron_code(self, celltype: Any) -> str:
        """The loop in Python that numba compiles."""
        from . import _generated

        return _generated.model(celltype.neuron).text

    def check_options(self, options: BuiltinOptions) -> None:
        """A GPU has to be there."""
        if options.device == "cuda":
            from ._simulator import require_gpu

            require_gpu()

    def simulator(self, options: BuiltinOptions) -> Any:
        """`_namespace`, with the options set."""
        from . import _namespace

        self._device = options.device
        _namespace.default_threads = options.threads
        _namespace.default_device = options.device
        _namespace.default_precision = options.precision
        _namespace.default_weights = options.weights
        return _namespace

    def prepare(self, sim: Any, progress: Progress) -> None:
        """Make the table of synapses, and compile what was not compiled before."""
        from ._compiling import compiling

        began = time.perf_counter()

        def begun(what: str, duration: str) -> None:
            progress(None, f"compiling {what}, once: {duration}")

        with compiling(begun) as compiled:
            sim.state.prepare(progress)
        self._phases = {
            "prepare": time.perf_counter() - began - compiled.seconds,
            "compile": compiled.seconds,
        }

    def details(self) -> Mapping[str, Any]:
        """Which GPU it was."""
        if self._device == "cpu":
            return {}
        from . import _gpu

        return {"gpu": _gpu.description()}

    def phases(self) -> Mapping[str, float]:
        """Compiling, apart from the rest of ``prepare``."""
        return self._phases

    def spikes(self, population: Any) -> Spikes:
        """Straight from the engine's arrays."""
        return Spikes(*population.recorder.recorded_spikes())

    def held(self, population: Any) -> int:
        """As the recorder says."""
        return int(population.recorder.held())

    def drop(self, population: Any) -> None:
        """Whatever was recorded."""
        population.recorder.drop()

    def state(self, sim: Any) -> Mapping[str, NDArray[Any]]:
        """Of the engine."""
        from ._checkpoint import capture

        return capture(sim.state.engine)

    def restore(self, sim: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """In the engine that `prepare` has made."""
        from ._checkpoint import restore

        restore(sim.state.engine, state)

"""SpiNNaker, through sPyNNaker: boards, an allocation service, or a machine that is not there."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from portable_cortex.backend import Backend, Capabilities, Energy, Progress
from portable_cortex.errors import (
    BackendUnavailableError,
    InvalidValueError,
    PortableCortexError,
    SimulationError,
    UnsupportedError,
)
from portable_cortex.options import BackendOptions, option
from portable_cortex.recording import Signal, Spikes, by_time

from ._target import FORMS, Target

EMULATOR = "portable_cortex.backends.spinnaker.board"


@dataclass(frozen=True)
class SpinnakerOptions(BackendOptions):
    """Options of the ``spinnaker`` backend."""

    target: str = option(
        "emulated", "where to run: virtual, emulated, board:HOST, spalloc:URL or portal"
    )
    version: Literal[3, 5] = option(5, "of the boards: 3 (4 chips) or 5 (48 chips)")
    boards: int | None = option(
        None, "number of boards; as many as the network needs unless given", least=1
    )
    time_scale_factor: int | None = option(
        None,
        "how much slower than real time it runs; unless given, 1 ms for each step (emulated: 1)",
        least=1,
    )
    neurons_per_core: int = option(
        64, "neurons (and Poisson sources) on a core, at most", least=1, most=256
    )
    synapse_cores: int | None = option(
        None,
        "cores that process the synapses of a neuron core; chosen by sPyNNaker unless given",
        least=0,
    )
    delay_extensions: bool = option(False, "whether cores are added for longer delays")
    spikes_per_second: float = option(
        30.0, "expected rate of a neuron, from which the scale of its weights is chosen", above=0
    )
    ring_buffer_sigma: float = option(
        5.0,
        "standard deviations of the input that the scale of the weights leaves room for",
        least=0,
    )
    incoming_spike_buffer: int = option(1024, "spikes that a core can hold back", least=1)
    drop_late_spikes: bool = option(
        False, "whether spikes that are too late for their step are dropped"
    )
    reinjection: bool = option(True, "whether dropped packets are sent again")
    overrun_seconds: int | None = option(
        None,
        "how long to wait for a board after the end of a run; sPyNNaker's 5 s unless given",
        least=1,
    )
    reports: str | None = option(
        None, "folder in which sPyNNaker's configuration, log, reports and databases are kept"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        Target.parse(self.target)
        if self.version == 3 and self.boards not in (None, 1):
            raise InvalidValueError(
                f"a board of version 3 stands alone: boards must be 1, not {self.boards}; several "
                "boards are of version 5"
            )


class SpinnakerBackend(Backend):
    """SpiNNaker boards as sPyNNaker drives them."""

    name = "spinnaker"
    summary = "SpiNNaker through sPyNNaker: boards, an allocation service, or mapping only"
    module = "spynnaker"
    distributions = ("sPyNNaker", "SpiNNFrontEndCommon")
    requirement = "portable-cortex[spinnaker]"
    Options = SpinnakerOptions
    capabilities = Capabilities(
        arithmetic="s16.15 fixed point",
        timesteps=(0.1, 10.0),
        delays=(1, 12.7),  # with 64 neurons a core at 0.1 ms, without extensions
        weights="16 bit, scaled for each population",
        cell_types=(
            "IF_curr_exp",
            "IF_curr_delta",
            "IF_cond_exp",
            "Izhikevich",
            "SpikeSourcePoisson",
            "SpikeSourceArray",
        ),
        current_sources=(
            "DCSource",
            "StepCurrentSource",
            "ACSource",
            "NoisyCurrentSource",
        ),
        synapse_types=("StaticSynapse", "STDPMechanism"),
    )
    cannot: ClassVar[Mapping[str, str]] = {
        "off-grid": "spikes lie on the time grid",
        "set_synapses": "sPyNNaker has no Projection.set: synapses are made when loaded",
        "trials": "what Poisson sources draw after a reset is not known before it",
        "assemblies": "sPyNNaker has no assemblies",
        "last_sample": "a core samples at the beginning of a step: there is none of the end",
        "spike-times-recorded: of sources, at the present": "they send at the beginning of a step",
        "poisson-times: later than start": "sources send at the beginning of a step, also of the "
        "first",
        "data-after-end": "sPyNNaker closes its database",
        "float64": "weights have 16 bits, membrane potentials s16.15",
        "weight-format": "boards draw weights, or scale them, on their own",
        "long_rows": "a source has at most 256 synapses onto a core",
        "parameters-between-runs: populations": "a board has the network that was loaded onto it",
        "parameters-between-runs: projections": "a board has the network that was loaded onto it",
        "sample-times: recording after a run": "a board has room for what it was told to record "
        "when it was loaded",
        "noise-shared": "each cell draws numbers of its own from a source of noise",
        "noise-interval": "noise is drawn anew in every step",
        "current-pieces: injected after a run": "a board has the sources that were loaded onto it",
        "current-pieces: more times": "a board has room for as many as were loaded onto it",
        "current-pieces: noise": "each run draws it anew, and nobody knows the numbers",
        "IF_curr_delta: delays of a step": "what a source sends moves the potential a step later",
        "refractory-rounding: v_reset of v_thresh or more": "neurons fire in every step of it",
        "IF_curr_alpha": "sPyNNaker's has currents of 1/(e tau_syn) of PyNN's, with tau_syn in ms, "
        "and those of spikes that follow each other do not add up",
    }

    def __init__(self) -> None:
        self._options = SpinnakerOptions()
        self._board: Any = None  # if it is emulated
        self._messages: list[str] | None = None
        self._simulated: list[float] = []  # ms, run by run
        self._ends = contextlib.ExitStack()

    @property
    def simulates(self) -> bool:
        """False for a virtual machine: the network is mapped and that is all."""
        return self._options.target != "virtual"

    def largest_delay(self) -> float:
        """Any: how long it can be depends on the options, and is looked at before mapping."""
        return math.inf

    def check_options(self, options: SpinnakerOptions) -> None:
        """Only a job can use the machine that the portal gives it."""
        if options.target == "portal":
            raise UnsupportedError(
                "target 'portal' is for jobs: send the network there with `portable-cortex submit`"
            )

    def simulator(self, options: SpinnakerOptions) -> Any:
        """`_namespace`, with a configuration of its own in a folder of its own."""
        self._options = options
        settings = asdict(options)
        if options.target == "emulated":
            _emulator()
            # it may be far slower than real time, and is not to be taken for stuck
            settings["overrun_seconds"] = options.overrun_seconds or 3600
            # where idle time has to be emulated too
            settings["time_scale_factor"] = options.time_scale_factor or 1
        if options.reports is None:
            folder = Path(tempfile.mkdtemp(prefix="portable-cortex-spinnaker-"))
            self._ends.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            folder = Path(options.reports).absolute()
            folder.mkdir(parents=True, exist_ok=True)
        emulate = self._emulate if options.target == "emulated" else None
        from . import _namespace

        _namespace.configure(settings, Target.parse(options.target), folder, emulate)
        return _namespace

    def _emulate(self, width: int, height: int) -> str:
        """Start the machine that the network needs; gives its address."""
        self._board = _emulated_machine(self._options.version, width, height)
        address: str = self._board.address
        return address

    def setup(self, sim: Any, *, timestep: float, seed: int) -> None:
        """Read the configuration; nothing is sent yet."""
        sim.setup(timestep=timestep, seed=seed)

    def prepare(self, sim: Any, progress: Progress) -> None:
        """Check the limits of the machine, then map, load and generate the network."""
        try:
            sim.prepare_once(progress)
        except PortableCortexError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Exception:
        """SPyNNaker's errors about size, with what to do."""
        kind, text = type(error).__name__, " ".join(str(error).split())
        if kind == "SynapseRowTooBigException":
            return UnsupportedError(f"{text} (option neurons_per_core)")
        if kind in ("PacmanPlaceException", "SpinnMachineException", "PacmanValueError"):
            return UnsupportedError(
                f"the network does not fit onto {self._options.boards or 'these'} boards of "
                f"version {self._options.version}: {text[:500]}; give more boards, or fewer "
                "neurons by a smaller scale"
            )
        return SimulationError(f"sPyNNaker gave up: {kind}: {text[:1000]}")

    def simulate(self, sim: Any, duration: float, progress: Progress) -> None:
        """In one piece: the machine runs by itself, and each stop costs a read-out."""
        if self.simulates:
            sim.run(duration, progress=progress)
        self._simulated.append(duration)
        progress(1.0)

    def spikes(self, population: Any) -> Spikes:
        """Straight from the database of the read-out."""
        from . import _namespace
        from ._recording import recorded_spikes

        with _namespace.logged():
            neurons, times = recorded_spikes(population)
        return by_time(times, neurons)

    def signal(self, population: Any, variable: str) -> Signal:
        """Samples from the beginning of each step; there is none of the end of the last."""
        from . import _namespace
        from ._recording import recorded_signal

        with _namespace.logged():
            values, neurons, interval, unit = recorded_signal(population, variable)
        return Signal(values, neurons, 0.0, interval, unit)

    def phases(self) -> Mapping[str, float]:
        """SPyNNaker's own: mapping, data generation, loading, run, extraction."""
        from . import _report

        return _report.phases()

    def energy(self) -> Energy | None:
        """SPyNNaker's model of it; none for a virtual machine."""
        if not self.simulates or not sum(self._simulated):
            return None
        from . import _namespace, _report

        with _namespace.logged():
            found = Energy(**_report.energy(self._simulated[-1] / sum(self._simulated)))
        if self._board is None:
            return found
        return replace(
            found,
            scope=f"{found.scope}, which is emulated",
            note=f"of no real machine, as the board is emulated; {found.note}",
        )

    def details(self) -> Mapping[str, Any]:
        """The mapping in numbers, what was rounded, and what sPyNNaker said."""
        from . import _mapping, _report
        from ._state import state

        load = {} if self._board is None else {"emulated_board": self._board.report()["load"]}
        return {
            "target": self._options.target,
            "mapping": {**_report.mapping(), **_report.compressed(_mapping.Mapper.compressed)},
            "rounding": state.rounding,
            "weight_steps": state.weight_steps,
            "messages": self._said(),
            **load,
        }

    def doubts(self) -> list[str]:
        """Other models of neurons, saturated weights, lost and late packets, overruns."""
        from . import _report
        from ._state import state

        doubts = [*state.differences, *_report.doubts(self._said())]
        if self._board is not None and (warning := self._board.report()["load"]["warning"]):
            doubts = [*doubts, warning]
        return doubts

    def _said(self) -> list[str]:
        """What sPyNNaker has to say about the run, one of each kind."""
        from . import _report

        if self._messages is None:
            self._messages = _report.messages() if self.simulates else []
        return self._messages

    def end(self, sim: Any) -> None:
        """Release the machine and the emulated board; remove what was not to be kept."""
        try:
            sim.end()
        finally:
            self._ends.close()


def _emulator() -> Any:
    """The package that emulates boards."""
    try:
        return importlib.import_module(EMULATOR)
    except ImportError as error:
        raise BackendUnavailableError(
            f"target 'emulated' needs {EMULATOR}, which cannot be imported ({error}): choose "
            f"another --option target=..., one of {', '.join(FORMS)}"
        ) from error


@functools.cache
def _emulated_machine(version: int, width: int, height: int) -> Any:
    """An emulated machine, which stays until this process ends, as real ones do."""
    machines = contextlib.ExitStack()
    board = _emulator().EmulatedBoard(version, width=width, height=height)
    machine = machines.enter_context(board)
    atexit.register(machines.close)
    return machine

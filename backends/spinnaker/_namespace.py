"""The PyNN namespace of the ``spinnaker`` backend: sPyNNaker's, nearer to PyNN's.

Everything that is not defined here is ``spynnaker.pyNN``'s own. What is different:

* The configuration is the run's own (`configure`); the home directory is neither read nor written.
* Each population is seeded by ``setup(seed=...)`` and its number, which on the board also seeds
  the synapses that it receives.
* `Projection` is a class that has ``size()`` and reads its synapses when asked; connectors and
  synapses have PyNN's attributes.
* Durations are rounded to the nearest step, where sPyNNaker rounds up what floats add.
* Spikes and delays have the times of the other simulators (`_recording`, `_projection`).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import common
from spinn_utilities.config_holder import add_default_cfg, clear_cfg_files, set_cfg_files
from spinn_utilities.data.utils_data_writer import UtilsDataWriter
from spinn_utilities.log import FormatAdapter
from spynnaker.pyNN.models.neuron import PopulationVertex

from portable_cortex.errors import ModelWarning
from portable_cortex.registry import load_backend
from portable_cortex.support import check_weight_format, refusal

from ._config import FILE, configuration
from ._connectors import (  # noqa: F401  # names of the namespace
    AllToAllConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromListConnector,
    StaticSynapse,
    STDPMechanism,
    unseeded,
)
from ._mapping import Mapper
from ._progress import Log
from ._projection import Projection
from ._recording import Recorder
from ._target import Target

if TYPE_CHECKING:  # a submitted job does not have it
    from portable_cortex.backend import Progress

LOG = "spynnaker.log"
IZHIKEVICH = (
    "Izhikevich is another model on spinnaker: a spike makes a current, which decays with "
    "tau_syn_E or tau_syn_I (5 ms), where elsewhere it moves the potential at once"
)


@dataclass
class State:
    """What a network is set up with.

    Attributes
    ----------
    settings : mapping
        The backend's options by name.
    target : Target
        Where the network goes.
    folder : Path
        For configuration, log, reports and databases.
    emulate : callable or None
        Starts an emulated machine (`Mapper`).
    differences : list of str
        What is not as elsewhere, a sentence each.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    target: Target = field(default_factory=lambda: Target("virtual"))
    folder: Path = field(default_factory=Path)
    emulate: Callable[[int, int], str] | None = None
    seed: int = 1
    created: int = 0
    drawn: int = 0
    prepared: bool = False
    differences: list[str] = field(default_factory=list)


state = State()


def __getattr__(name: str) -> Any:
    return getattr(spynnaker, name)


# It would say at exit again what was logged; that stands in the run's record.
atexit.unregister(FormatAdapter.atexit_handler)
for _name in ("pacman", "spinn_front_end_common", "spinn_machine", "spinn_utilities", "spinnman"):
    # warnings go to the provenance, which is read after the run
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False
logging.getLogger("spynnaker").addHandler(logging.NullHandler())
logging.getLogger("spynnaker").propagate = False


def configure(
    settings: Mapping[str, Any],
    target: Target,
    folder: Path,
    emulate: Callable[[int, int], str] | None = None,
) -> None:
    """Say where the next `setup` starts from."""
    state.settings, state.target, state.folder = settings, target, folder
    state.emulate = emulate


@contextlib.contextmanager
def logged(progress: Progress | None = None) -> Iterator[None]:
    """Write to the run's log what sPyNNaker would print, and tell how far it is."""
    path = state.folder / LOG
    with path.open("a", encoding="utf-8") as file, Log(file, progress) as log:  # closes before it
        Mapper.tell = log.phase
        with contextlib.redirect_stderr(log), contextlib.redirect_stdout(log):
            yield


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Take back what sPyNNaker does to interrupts, which it answers by leaving the process."""
    hook = sys.excepthook
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        sys.excepthook = hook
        if main:
            signal.signal(signal.SIGINT, handler)


def _configs() -> None:
    """In place of sPyNNaker's own: its defaults, then the file of the run."""
    from spinn_front_end_common.interface.config_setup import add_spinnaker_cfg

    clear_cfg_files(False)
    add_spinnaker_cfg()
    own = Path(spynnaker.__file__).with_name(FILE)
    set_cfg_files(config_file=None, default=str(own))
    add_default_cfg(str(state.folder / FILE))
    if state.target.kind == "portal":  # which describes its machine in these
        for path in (Path.home() / f".{FILE}", Path.cwd() / FILE):
            add_default_cfg(str(path))


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``seed``, and what else sPyNNaker takes.

    Returns
    -------
    int
        0.
    """
    check_weight_format(load_backend("spinnaker"), extra.pop("weights", "full"))
    settings = state.settings
    state.seed = int(extra.pop("seed", extra.pop("rng_seed", 1)))
    state.created, state.drawn, state.prepared = 0, 0, False
    state.differences.clear()
    text = configuration(settings, state.target, state.folder)
    (state.folder / FILE).write_text(text, encoding="utf-8")
    Mapper.emulate = state.emulate
    spynnaker.SpiNNaker = Mapper
    sys.modules["spynnaker.pyNN.spinnaker"].setup_configs = _configs  # type: ignore[attr-defined]
    # what cores have time for, where nothing else is said: 1 ms for each step
    slow = settings["time_scale_factor"] or max(1, math.ceil(round(1.0 / timestep, 6)))
    extra.setdefault("time_scale_factor", slow)
    extra.setdefault("n_boards_required", settings["boards"])
    with logged():
        if spynnaker.SpynnakerDataView.is_setup() and not spynnaker.SpynnakerDataView.is_shutdown():
            spynnaker.end()
        rank: int = spynnaker.setup(timestep, min_delay, **extra)
    _limit_cores(settings)
    return rank


def _limit_cores(settings: Mapping[str, Any]) -> None:
    n = settings["neurons_per_core"]
    for name in ("IF_curr_exp", "IF_cond_exp", "IF_curr_delta", "Izhikevich"):
        model = getattr(spynnaker, name)
        spynnaker.set_number_of_neurons_per_core(model, n)
        spynnaker.set_number_of_synapse_cores(model, settings["synapse_cores"])
        spynnaker.set_allow_delay_extensions(model, settings["delay_extensions"])
    spynnaker.set_number_of_neurons_per_core(spynnaker.SpikeSourcePoisson, n)


def _simulator() -> Any:
    """SPyNNaker's own object: PyNN's functions add up floats on the way to it."""
    return vars(spynnaker)["__simulator"]


def run(simtime: float, callbacks: Any = None, progress: Progress | None = None) -> float:
    """Advance by `simtime` ms, to the nearest step."""
    if callbacks:
        raise refusal("spinnaker", "run-length: callbacks", "call back", "Run in pieces")
    step = float(spynnaker.get_time_step())
    n = round(simtime / step)
    state.prepared = True
    duration = n * step
    while math.ceil(duration / step) > n:  # sPyNNaker rounds up
        duration = math.nextafter(duration, 0.0)
    with logged(progress), _own_signals():
        _simulator().run(duration)
    return float(spynnaker.get_current_time())


def run_until(time_point: float, callbacks: Any = None) -> float:
    """Advance until the time `time_point`, ms."""
    return run(time_point - float(spynnaker.get_current_time()), callbacks)


run_for = run


def prepare_once(progress: Progress | None = None) -> None:
    """Map, load and generate the network, unless that has been done."""
    if not state.prepared:
        run(0.0, progress=progress)


def reset(annotations: Any = None) -> None:
    """Back to time 0, for another segment."""
    with logged():
        spynnaker.reset(annotations or {})


def end(compatible_output: bool = True) -> None:
    """Release the machine."""
    with logged():
        spynnaker.end()
    # the folder that it would mark at exit as that of an error may be gone by then
    atexit.unregister(UtilsDataWriter.write_errored_file)


class _CellType:
    """A cell type that says, like PyNN's, what can be recorded from it."""

    def __init__(self, model: Any, recordable: list[str]) -> None:
        self._model, self.recordable = model, recordable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Population(spynnaker.Population):  # type: ignore[misc]  # sPyNNaker's types are its own
    __doc__ = spynnaker.Population.__doc__

    def __init__(
        self,
        size: int,
        cellclass: Any,
        cellparams: Any = None,
        structure: Any = None,
        initial_values: Any = None,
        label: str | None = None,
        **additional: Any,
    ) -> None:
        state.created += 1
        if "seed" in getattr(cellclass, "default_population_parameters", {}):
            key = np.random.SeedSequence([state.seed, state.created])
            additional.setdefault("seed", int(key.generate_state(1)[0] >> 1))
        super().__init__(
            size, cellclass, cellparams, structure, initial_values, label, **additional
        )
        self._Population__recorder = Recorder(population=self, vertex=self._vertex)
        if isinstance(super().celltype, spynnaker.Izhikevich):
            state.differences.append(f"population {self.label}: {IZHIKEVICH}")
            warnings.warn(state.differences[-1], ModelWarning, stacklevel=2)

    def initialize(self, **initial_values: Any) -> None:
        """Set initial values of state variables; see PyNN's ``initialize``."""
        super().initialize(**{name: unseeded(value) for name, value in initial_values.items()})

    def get(self, parameter_names: Any, gather: bool = True, simplify: bool = True) -> Any:
        """Values of parameters; one value where all neurons have the same and `simplify` is set."""
        names = [parameter_names] if isinstance(parameter_names, str) else list(parameter_names)
        found = []
        for name in names:
            values = np.asarray(list(super().get(name)), dtype=float)
            if values.ndim == 2 and values.shape[1] == 1:  # rates of Poisson sources
                values = values[:, 0]
            same = simplify and (values == values[0]).all()
            found.append(float(values[0]) if same else values)
        return found[0] if isinstance(parameter_names, str) else found

    @property
    def celltype(self) -> Any:
        """The cell type."""
        return _CellType(super().celltype, sorted(self._vertex.get_recordable_variables()))

    @property
    def injectable(self) -> bool:
        """Whether these are neurons, not spike sources."""
        return isinstance(self._vertex, PopulationVertex)


create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)

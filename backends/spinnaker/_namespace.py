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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import common
from spinn_utilities.config_holder import add_default_cfg, clear_cfg_files, set_cfg_files
from spinn_utilities.data.utils_data_writer import UtilsDataWriter
from spinn_utilities.log import FormatAdapter

from portable_cortex.errors import InvalidValueError
from portable_cortex.pynn.namespace import check_setup, running
from portable_cortex.support import refusal

from . import _currents, _limits, _report
from ._config import FILE, configuration
from ._connectors import (  # noqa: F401  # names of the namespace
    AllToAllConnector,
    ArrayConnector,
    CSAConnector,
    DistanceDependentProbabilityConnector,
    FixedNumberPostConnector,
    FixedNumberPreConnector,
    FixedProbabilityConnector,
    FixedTotalNumberConnector,
    FromFileConnector,
    FromListConnector,
    IndexBasedProbabilityConnector,
    SmallWorldConnector,
    StaticSynapse,
    STDPMechanism,
)
from ._mapping import Mapper
from ._population import Population, PopulationView  # noqa: F401
from ._progress import Log
from ._projection import Projection
from ._sources import SpikeSourceArray, SpikeSourcePoisson  # noqa: F401
from ._state import state
from ._target import Target

if TYPE_CHECKING:  # a submitted job does not have it
    from portable_cortex.backend import Progress

LOG = "spynnaker.log"


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


def setup(
    timestep: float = 0.1, min_delay: Any = "auto", max_delay: Any = "auto", **extra: Any
) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep, min_delay, max_delay : float
        ms.
    **extra
        ``seed``, and what else sPyNNaker takes.

    Returns
    -------
    int
        0.

    Raises
    ------
    InvalidValueError
        For a time step that is no whole number of microseconds.
    """
    check_setup("spinnaker", timestep, min_delay, {"max_delay": max_delay, **extra})
    weights = extra.pop("weights", "full")
    extra.pop("spike_precision", None)
    extra.pop("threads", None)
    if abs(timestep * 1000 - round(timestep * 1000)) > 1e-6:
        raise InvalidValueError(
            f"on spinnaker timestep must be a whole number of microseconds, not {timestep:g} ms"
        )
    settings = state.settings
    seed = int(extra.pop("seed", extra.pop("rng_seed", 1)))
    state.begin(timestep, min_delay, max_delay, seed, weights=weights)
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
        rank: int = spynnaker.setup(timestep, "auto", **extra)
    _limit_cores(settings)
    return rank


def _limit_cores(settings: Mapping[str, Any]) -> None:
    n = settings["neurons_per_core"]
    for name in ("IF_curr_exp", "IF_cond_exp", "IF_curr_delta", "Izhikevich"):
        model = getattr(spynnaker, name)
        spynnaker.set_number_of_neurons_per_core(model, n)
        spynnaker.set_number_of_synapse_cores(model, settings["synapse_cores"])
        spynnaker.set_allow_delay_extensions(model, settings["delay_extensions"])
    spynnaker.set_number_of_neurons_per_core(SpikeSourcePoisson, n)


def _simulator() -> Any:
    """SPyNNaker's own object: PyNN's functions add up floats on the way to it."""
    return vars(spynnaker)["__simulator"]


def advance(steps: int) -> None:
    """Run for a number of steps; before the first, look at the limits of the machine."""
    if not state.prepared:
        projections = list(spynnaker.SpynnakerDataView.iterate_projections())
        extensions = state.settings["delay_extensions"]
        state.rounding = _limits.check(projections, delay_extensions=extensions)
        state.weight_steps = _limits.weight_steps(projections)
    elif not steps:
        return
    _currents.write_again(state.current_sources, has_run=state.is_running)
    state.prepared = True
    step = float(spynnaker.get_time_step())
    duration = steps * step
    while math.ceil(duration / step) > steps:  # sPyNNaker rounds up
        duration = math.nextafter(duration, 0.0)
    with logged(state.progress), _own_signals():
        _simulator().run(duration)
    if state.progress is None:  # a script, of which there is no record
        for sentence in [*state.rounding, *(_report.doubts(_report.messages()) if steps else ())]:
            state.tell(sentence)
    for source in state.current_sources:
        source.take(source.waveform(state.step, state.step + steps))
    state.step += steps


state.machine = advance
_run, run_until = running(state)


def run(simtime: float, callbacks: Any = None, progress: Progress | None = None) -> float:
    """Advance by `simtime` ms, to the nearest step; see PyNN's ``run``."""
    state.progress = progress
    try:
        return _run(simtime, callbacks)
    finally:
        state.progress = None


run_for = run


def prepare_once(progress: Progress | None = None) -> None:
    """Map, load and generate the network, unless that has been done."""
    if not state.prepared:
        run(0.0, progress=progress)


def reset(annotations: Any = None) -> None:
    """Back to time 0, for another segment."""
    state.annotations = annotations or {}
    state.reset()


def end(compatible_output: bool = True) -> None:
    """Release the machine."""
    with logged():
        spynnaker.end()
    # the folder that it would mark at exit as that of an error may be gone by then
    atexit.unregister(UtilsDataWriter.write_errored_file)


def Assembly(*parts: Any, **options: Any) -> Any:  # noqa: N802  # PyNN's name
    """Not on SpiNNaker.

    Raises
    ------
    UnsupportedError
    """
    raise refusal("spinnaker", "assemblies", "assemble populations", "Connect them one by one")


DCSource, StepCurrentSource, ACSource, NoisyCurrentSource = _currents.classes(state).values()
create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)

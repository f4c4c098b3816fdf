"""The PyNN namespace of the ``builtin`` backend."""

from __future__ import annotations

from typing import Any

from portable_cortex.errors import InvalidValueError
from portable_cortex.pynn import currents, namespace

from . import _simulator as simulator
from ._cells import CELL_TYPES, nestml_cell_type
from ._population import Assembly, Population, PopulationView
from ._projection import PLASTIC, Projection, StaticSynapse

default_threads = 1
default_precision = "double"
default_weights = "full"
default_device = "cpu"
state = simulator.state
_NAMES = namespace.names(
    simulator,
    classes={
        "Assembly": Assembly,
        "Population": Population,
        "PopulationView": PopulationView,
        "Projection": Projection,
        "StaticSynapse": StaticSynapse,
        **PLASTIC,
        **CELL_TYPES,
        **currents.classes(state),
    },
)
globals().update(_NAMES)
__all__ = ["draw_shared", "nestml_cell_type", "setup", *_NAMES]
__getattr__ = namespace.missing("builtin")


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``max_delay`` (ms); ``device``, "cpu" or "cuda" (a GPU of NVIDIA); ``threads``;
        ``precision`` of the neurons' state, "double" or "single";
        ``weights``, "full" or "bfloat16"; ``rng_seed``, an integer from 0, which decides
        everything random but initial values and parameters that are drawn by a ``NumpyRNG``.

    Returns
    -------
    int
        0, the rank of the only process.

    Raises
    ------
    InvalidValueError
        For a seed, a device, a number of threads, a precision or a format of weights that cannot
        be.
    UnsupportedError
        For a device that is not there.
    """
    namespace.check_setup("builtin", timestep, min_delay, extra)
    threads = extra.get("threads", default_threads)
    if not isinstance(threads, int) or not 1 <= threads <= 255:
        raise InvalidValueError(f"threads must be a whole number from 1 to 255, not {threads!r}")
    precision = extra.get("precision", default_precision)
    if precision not in simulator.PRECISIONS:
        raise InvalidValueError(f"precision must be 'double' or 'single', not {precision!r}")
    device = extra.get("device", default_device)
    if device not in simulator.DEVICES:
        raise InvalidValueError(f"device must be 'cpu' or 'cuda', not {device!r}")
    if device == "cuda":
        simulator.require_gpu()
    state.touch("the network")
    delays = min_delay, extra.get("max_delay", "auto")
    seed = extra.get("rng_seed", 1)
    weights = extra.get("weights", default_weights)
    state.begin(
        timestep, *delays, seed, threads=threads, precision=precision, weights=weights,
        device=device,
    )  # fmt: skip
    return 0


def draw_shared(seed: int) -> None:
    """Draw connections with this seed: they are those of the core's `shared` realisation."""
    state.shared_seed = seed

"""The PyNN namespace of the ``brian2`` backend.

Populations and projections only describe; at the first run `_lowering` makes the fewest Brian2
objects that hold them, and `_program` runs these: nothing is done once a synapse in Python.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from portable_cortex.backend import Progress
from portable_cortex.pynn import currents, namespace
from portable_cortex.pynn.grid import nearest_steps

from . import Brian2Options, _simulator
from ._cells import CELL_TYPES, StaticSynapse
from ._generated import nestml_cell_type
from ._population import Assembly, Population, PopulationView
from ._projection import PLASTIC, Projection

state = _simulator.state
default_options = Brian2Options()
_NAMES = namespace.names(
    _simulator,
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
__all__ = ["advance", "compile_seconds", "draw_shared", "nestml_cell_type", "setup", *_NAMES]
__getattr__ = namespace.missing("brian2")


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``.

    Parameters
    ----------
    timestep : float
        ms.
    min_delay : float or "auto"
        ms.
    **extra
        ``rng_seed``, an integer from 0, seeds connections, noise and Poisson spikes;
        ``max_delay`` (ms); ``weights``, "full" or "bfloat16", and the backend's other options:
        ``mode``, ``threads``, ``target``.

    Returns
    -------
    int
        Rank of this process, 0.

    Raises
    ------
    InvalidValueError
        For values that an option does not take.
    """
    namespace.check_setup("brian2", timestep, min_delay, extra)
    max_delay, seed = extra.get("max_delay", "auto"), extra.get("rng_seed", 1)
    given = {f.name: extra[f.name] for f in fields(default_options) if f.name in extra}
    state.options = replace(default_options, **given)
    state.begin(timestep, min_delay, max_delay, seed, weights=state.options.weights)
    return 0


def draw_shared(seed: int) -> None:
    """Draw connections with this seed: they are those of the core's `shared` realisation."""
    state.shared_seed = seed


def compile_seconds() -> float:
    """Time spent on compiling this network, s."""
    return state.compile_seconds


def advance(duration: float, progress: Progress) -> None:
    """Run for `duration` ms, reporting progress."""
    state.running = True
    state.advance(int(nearest_steps(duration, state.dt)), progress)

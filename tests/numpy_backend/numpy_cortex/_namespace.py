"""The PyNN namespace of the ``numpy`` backend."""

from __future__ import annotations

from typing import Any

from portable_cortex.pynn import currents, namespace

from . import _network, _simulator
from ._simulator import state

_CLASSES = "Assembly Population PopulationView Projection StaticSynapse".split()
_NAMES = namespace.names(
    _simulator,
    classes={
        **{name: getattr(_network, name) for name in _CLASSES},
        **{cell.__name__: cell for cell in _network.CELL_TYPES},
        **currents.classes(state),
    },
)
globals().update(_NAMES)
__getattr__ = namespace.missing("numpy")


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network."""
    namespace.check_setup("numpy", timestep, min_delay, extra)
    state.begin(timestep, min_delay, extra.get("max_delay", "auto"), extra.get("rng_seed", 1))
    return 0


def draw_shared(seed: int) -> None:
    """Draw connections with this seed."""
    state.shared_seed = seed

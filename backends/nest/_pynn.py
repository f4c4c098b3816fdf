"""pyNN.nest and NEST, imported without what they would print or try to compile."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from typing import Any

from portable_cortex.host.quiet import quiet


def _import_pynn_nest() -> Any:
    """Import ``pyNN.nest`` and ``nest``.

    On import, pyNN.nest compiles NEST extensions with CMake if it finds ``nest-config``. The
    standard cells do not need them, so it is kept from looking; extensions that were compiled
    before are still loaded.
    """
    import pyNN.core

    find = pyNN.core.find
    os.environ.setdefault("PYNEST_QUIET", "1")
    try:
        pyNN.core.find = lambda command: None
        with quiet():
            import pyNN.nest
    finally:
        pyNN.core.find = find
    logging.getLogger("PyNN").setLevel(logging.WARNING)
    return pyNN.nest


pynn_nest: Any = _import_pynn_nest()

# pyNN.nest still uses them, and NEST would tell every user.
warnings.filterwarnings("ignore", r"\s*(Get|Set)Status\(\) is deprecated", UserWarning)

nest: Any = importlib.import_module("nest")
pynn_simulator: Any = importlib.import_module("pyNN.nest.simulator")
pynn_populations: Any = importlib.import_module("pyNN.nest.populations")

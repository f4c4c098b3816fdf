"""pyNN.nest and NEST, imported without what they would print or try to compile."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what Python and C++ write to the terminal, unless an exception ends the block."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        try:
            os.dup2(hidden.fileno(), 1)
            os.dup2(hidden.fileno(), 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except BaseException:
            sys.stdout.flush()
            sys.stderr.flush()
            hidden.seek(0)
            os.write(kept[1], hidden.read())
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


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
simulator: Any = importlib.import_module("pyNN.nest.simulator")
pynn_populations: Any = importlib.import_module("pyNN.nest.populations")
# not an attribute of pyNN.nest, where another module has this name
pynn_recording: Any = importlib.import_module("pyNN.nest.recording")

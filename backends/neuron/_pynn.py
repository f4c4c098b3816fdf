"""pyNN.neuron and NEURON, imported with mechanisms of our cache and without what they print."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from portable_cortex.host import parallel
from portable_cortex.host.quiet import quiet

from ._mechanisms import compiled


def _import_pynn_neuron() -> Any:
    """Import ``pyNN.neuron`` and ``neuron``.

    On import, pyNN.neuron loads its mechanisms from the folder in which it is installed, or
    compiles them there. Ours are loaded in their place. It also starts MPI if mpi4py is installed:
    here only where this process has been started as one of several.
    """
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui -nobanner")
    folder = str(compiled())
    with quiet():
        if parallel.processes() > 1:
            parallel.communicator()  # NEURON joins the MPI that it finds started
            library = parallel.library()
            if library is not None:  # which need not be where NEURON looks for one
                os.environ.setdefault("MPI_LIB_NRN_PATH", str(library))
        import neuron

        load = neuron.load_mechanisms
        if not hasattr(neuron.h, "GridIFCurrExp"):
            load(folder)
        keep_mpi_out = parallel.processes() == 1 and "mpi4py" not in sys.modules
        try:
            neuron.load_mechanisms = lambda *args, **kwargs: True
            if keep_mpi_out:
                sys.modules["mpi4py"] = None  # type: ignore[assignment]
            import pyNN.neuron
        finally:
            neuron.load_mechanisms = load
            if keep_mpi_out:
                del sys.modules["mpi4py"]
    logging.getLogger("PyNN").setLevel(logging.WARNING)
    return pyNN.neuron


def load_mechanisms(folder: Path) -> None:
    """Let NEURON have compiled mechanisms."""
    with quiet():
        importlib.import_module("neuron").load_mechanisms(str(folder))


pynn_neuron: Any = _import_pynn_neuron()
h: Any = importlib.import_module("neuron").h
simulator: Any = importlib.import_module("pyNN.neuron.simulator")
pynn_electrodes: Any = importlib.import_module("pyNN.neuron.standardmodels.electrodes")
# not an attribute of pyNN.neuron, where another module has this name
pynn_recording: Any = importlib.import_module("pyNN.neuron.recording")

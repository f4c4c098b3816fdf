"""Write a spiking network once, in PyNN, and run it on any simulator or neuromorphic machine.

Importing the package imports no simulator, and what its names stand for only when they are used:
the command must be able to answer Ctrl-C before numpy and the like are there.
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from typing import Any

    from .backend import Availability, Backend, Capabilities, Energy
    from .errors import PortableCortexError
    from .experiment import Experiment, RecordRequest, run, simulator
    from .model_loader import ModelWarning
    from .options import BackendOptions, option
    from .recording import Recording
    from .registry import backend_names, load_backend
    from .spikes import Signal, Spikes

    __version__: str

__all__ = [
    "Availability",
    "Backend",
    "BackendOptions",
    "Capabilities",
    "Energy",
    "Experiment",
    "ModelWarning",
    "PortableCortexError",
    "RecordRequest",
    "Recording",
    "Signal",
    "Spikes",
    "backend_names",
    "load_backend",
    "option",
    "run",
    "simulator",
]

_MODULES = {
    "backend": "Availability Backend Capabilities Energy",
    "errors": "PortableCortexError",
    "experiment": "Experiment RecordRequest run simulator",
    "model_loader": "ModelWarning",
    "options": "BackendOptions option",
    "recording": "Recording",
    "registry": "backend_names load_backend",
    "spikes": "Signal Spikes",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> "Any":
        """What `name` stands for, imported at its first use."""
        import importlib

        if name == "__version__":
            from importlib.metadata import version

            value = version("portable-cortex")
        elif name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        else:
            homes = [module for module, names in _MODULES.items() if name in names.split()]
            if not homes:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            value = getattr(importlib.import_module(f".{homes[0]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_MODULES, "__version__"})

"""Write a spiking network once, in PyNN, and run it on any simulator or neuromorphic machine.

Importing the package imports no simulator, and what its names stand for only when they are used:
the command must be able to answer Ctrl-C before numpy and the like are there.
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from typing import Any

    from .backend import Availability, Backend, Capabilities, Energy
    from .errors import ModelWarning, PortableCortexError
    from .experiment import Experiment, RecordRequest, run, simulator
    from .options import BackendOptions, option
    from .recording import Recording, Signal, Spikes
    from .registry import backend_names, load_backend

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

if not TYPE_CHECKING:
    from . import _moved
    from ._lazy import lazy

    _moved.install()
    _named, _names = lazy(
        __name__,
        {
            "backend": "Availability Backend Capabilities Energy",
            "errors": "ModelWarning PortableCortexError",
            "experiment": "Experiment RecordRequest run simulator",
            "options": "BackendOptions option",
            "recording": "Recording Signal Spikes",
            "registry": "backend_names load_backend",
        },
    )

    def __getattr__(name: str) -> "Any":
        """What `name` stands for, imported at its first use."""
        if name in _moved.ATTRIBUTES:
            from importlib import import_module

            return import_module(f"{__name__}.{name}")
        if name != "__version__":
            return _named(name)
        from importlib.metadata import version

        globals()[name] = version("portable-cortex")
        return globals()[name]

    def __dir__() -> list[str]:
        return [*_names(), "__version__"]

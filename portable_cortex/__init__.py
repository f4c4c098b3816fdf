"""Write a spiking network once, in PyNN, and run it on any simulator or neuromorphic machine.

Importing the package imports no simulator.
"""

from importlib.metadata import version as _version

from .backend import Availability, Backend, BackendOptions, Capabilities, Energy
from .cache import find_matplotlib_a_folder
from .errors import PortableCortexError
from .experiment import Experiment, RecordRequest, run, simulator
from .model_loader import ModelWarning
from .recording import Recording
from .registry import backend_names, load_backend
from .sonata import Signal, Spikes

find_matplotlib_a_folder()  # before a simulator imports it

__version__ = _version("portable-cortex")

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
    "run",
    "simulator",
]

"""Every error that the package raises on purpose, and the warning of a model.

::

    PortableCortexError
    ├── UnknownNameError         no backend, model, machine, population ... of that name
    ├── InvalidValueError        a parameter or option whose value cannot be used
    ├── MachineFileError         a machine file that cannot be read or does not fit its schema
    ├── ModelError               a model file that cannot be loaded or builds no network
    ├── BackendUnavailableError  the simulator behind a backend is not installed
    ├── PowerMeterError          a power meter that cannot be used, or gives no figure
    ├── UnsupportedError         the backend lacks something that the model needs
    ├── SimulationError          the simulator itself gave up
    └── OutputError              results that cannot be written or read
        └── OutputExistsError    a folder that already holds a run

Each message says what was required, what was received and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PortableCortexError(Exception):
    """Base class: catch this to catch every error of the package."""


class UnknownNameError(PortableCortexError):
    """A name that is not in the list it was looked up in.

    Parameters
    ----------
    kind : str
        What was looked up, e.g. ``"backend"``, or ``"parameter of model 'pd14'"``.
    name : str
        The name as received.
    valid : iterable of str
        The names that would have been accepted.
    hint : str, optional
        One more sentence for the reader.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.valid = kind, name, tuple(valid)
        what, of, whole = kind.partition(" of ")
        message = (
            f"unknown {what} {name!r}{of}{whole}: valid are {', '.join(self.valid) or '(none)'}"
        )
        close = difflib.get_close_matches(name, self.valid, n=1)
        if close:
            message += f" (did you mean {close[0]!r}?)"
        super().__init__(f"{message}. {hint}" if hint else message)


class InvalidValueError(PortableCortexError, ValueError):
    """A value outside what its parameter or option allows."""


class MachineFileError(PortableCortexError):
    """A machine file that cannot be read, or does not fit its schema."""


class ModelError(PortableCortexError):
    """A model file that cannot be loaded, or that builds no network."""


class BackendUnavailableError(PortableCortexError, ImportError):
    """The simulator behind a backend is missing; the message has the command that installs it."""


class PowerMeterError(PortableCortexError, RuntimeError):
    """A power meter that cannot be used here, or that gives no figure for a run."""


class UnsupportedError(PortableCortexError, NotImplementedError):
    """The backend lacks something that the model needs."""


class SimulationError(PortableCortexError, RuntimeError):
    """The simulator gave up while building or running the network."""


class OutputError(PortableCortexError, OSError):
    """Results that cannot be written or read."""


class OutputExistsError(OutputError):
    """A folder that already holds a run, and was not to be overwritten."""


class ModelWarning(UserWarning):
    """What a model's author would want its user to know before believing the result."""

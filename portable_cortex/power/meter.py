"""What the ``[power]`` tables of all power meters have in common."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from .metering import PowerMeter


def _as_path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("must be a path, in quotes")
    return Path(value)


FilePath = Annotated[Path, BeforeValidator(_as_path)]


class PowerSettings(BaseModel):
    """A ``[power]`` table; each meter has a subclass with its own keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @abstractmethod
    def open(self) -> PowerMeter:
        """The meter, ready to start.

        Raises
        ------
        PowerMeterError
            If it cannot be used here; the message says what to do.
        """

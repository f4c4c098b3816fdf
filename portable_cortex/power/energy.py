"""An energy, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidValueError

ENERGY_KINDS = ("measured", "modelled", "assumed")


@dataclass(frozen=True)
class Energy:
    """Energy of the simulate phase, as a power meter or the machine itself reports it.

    Attributes
    ----------
    joules : float
    kind : {"measured", "modelled", "assumed"}
    scope : str
        What it covers, e.g. ``"package"``, ``"boards"``, ``"outlet"``.
    source : str
        The meter; for a backend's own figure the backend, if left empty.
    note : str
        What else its reader must know.

    Raises
    ------
    InvalidValueError
        For another kind.

    Examples
    --------
    >>> Energy(12.5, "measured", "outlet").kind
    'measured'
    """

    joules: float
    kind: str
    scope: str
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ENERGY_KINDS:
            raise InvalidValueError(
                f"kind of an energy must be one of {', '.join(ENERGY_KINDS)}, not {self.kind!r}"
            )

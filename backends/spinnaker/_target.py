"""Where a network goes: which machine, board, service or none."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portable_cortex.errors import InvalidValueError

FORMS = {
    "virtual": "map the network onto a machine that is not there",
    "emulated": "a board emulated on this computer",
    "board:HOST": "a board by host name or IP address",
    "spalloc:URL": "boards from an allocation service, by http(s) URL or host name",
    "portal": "the machine that the job portal gives a job (portable-cortex submit)",
}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_SERVICE = re.compile(r"https?://[^\s/]+(/\S*)?|[A-Za-z0-9.-]+")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Target:
    """A target, and its address where it has one.

    Attributes
    ----------
    kind : {"virtual", "emulated", "board", "spalloc", "portal"}
    address : str
        Host or URL; empty for the others.
    """

    kind: str
    address: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a target as options and machine files write it.

        Raises
        ------
        InvalidValueError
            For anything else, with the forms; for a URL with a password, which would be recorded.

        Examples
        --------
        >>> Target.parse("board:192.168.240.1")
        Target(kind='board', address='192.168.240.1')
        >>> Target.parse("nowhere")
        Traceback (most recent call last):
            ...
        portable_cortex.errors.InvalidValueError: target must be one of virtual, emulated, \
board:HOST, spalloc:URL, portal, not 'nowhere'
        """
        if _SECRET.search(text):
            raise InvalidValueError(
                "target: a user and password do not belong into an option, which is recorded; set "
                f"SPALLOC_USER and SPALLOC_PASSWORD and use {_SECRET.sub('', text)!r}"
            )
        kind, colon, address = text.partition(":")
        addressed = {"board": _HOST, "spalloc": _SERVICE}
        pattern = addressed.get(kind)
        known = kind in FORMS if pattern is None else bool(pattern.fullmatch(address))
        if not known or (pattern is None and colon):
            raise InvalidValueError(f"target must be one of {', '.join(FORMS)}, not {text!r}")
        return cls(kind, address)

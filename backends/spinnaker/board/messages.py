"""SDP, SpiNNaker's datagrams, and SCP, the monitor's commands in them (AppNotes 4 and 5)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace

_SDP = struct.Struct("<8B")
_SCP = struct.Struct("<2H")
REPLY_EXPECTED, NO_REPLY = 0x87, 0x07
HOST_PORT = 0xFF  # destination port of what leaves through an IP tag
MAX_DATA = 256  # bytes a command can carry


class Command(enum.IntEnum):
    """Commands of the monitor that are known here."""

    VERSION = 0
    READ = 2
    WRITE = 3
    FILL = 5
    COUNT = 15
    LINK_READ = 17
    LINK_WRITE = 18
    APP_START = 19
    NEAREST_NEIGHBOUR = 20
    APP_COPY_RUN = 21
    SIGNAL = 22
    FLOOD_FILL_DATA = 23
    LED = 25
    IP_TAG = 26
    ALLOCATE = 28
    ROUTER = 29
    INFO = 31
    SYNC = 32


class Result(enum.IntEnum):
    """Result codes of replies."""

    OK = 0x80
    LENGTH = 0x81
    CHECKSUM = 0x82
    COMMAND = 0x83
    ARGUMENT = 0x84
    PORT = 0x85
    ROUTE = 0x87
    CPU = 0x88
    DEAD = 0x89
    BUFFER = 0x8A


@dataclass(frozen=True, slots=True)
class Datagram:
    """An SDP message, without the two bytes of padding that stand before it on the network."""

    flags: int
    tag: int
    to_port: int
    from_port: int
    to_place: tuple[int, int]
    from_place: tuple[int, int]
    data: bytes

    @classmethod
    def parse(cls, wire: bytes) -> Datagram | None:
        """Read a message; None if it is too short to be one."""
        if len(wire) < _SDP.size:
            return None
        flags, tag, to, source, dy, dx, sy, sx = _SDP.unpack_from(wire)
        return cls(flags, tag, to, source, (dx, dy), (sx, sy), wire[_SDP.size :])

    def pack(self) -> bytes:
        """Write the message."""
        (dx, dy), (sx, sy) = self.to_place, self.from_place
        header = _SDP.pack(self.flags, self.tag, self.to_port, self.from_port, dy, dx, sy, sx)
        return header + self.data

    @property
    def core(self) -> int:
        """Core it is for."""
        return self.to_port & 31

    @property
    def port(self) -> int:
        """Port of that core."""
        return self.to_port >> 5

    def reply(self, place: tuple[int, int], data: bytes) -> Datagram:
        """The answer, from the chip at `place` to where this came from."""
        return replace(
            self,
            flags=NO_REPLY,
            to_port=self.from_port,
            from_port=self.to_port,
            to_place=self.from_place,
            from_place=place,
            data=data,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A command to a monitor."""

    command: int
    sequence: int
    arguments: tuple[int, int, int]
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> Request | None:
        """Read a command; None if it is too short. Arguments left out are 0."""
        if len(data) < _SCP.size:
            return None
        command, sequence = _SCP.unpack_from(data)
        a, b, c = struct.unpack("<3I", data[4:16].ljust(12, b"\0"))
        return cls(command, sequence, (a, b, c), data[16:])


def words(*values: int) -> bytes:
    """Little-endian words."""
    return struct.pack(f"<{len(values)}I", *(v & 0xFFFFFFFF for v in values))


def response(result: Result, sequence: int, data: bytes = b"") -> bytes:
    """The data of a reply."""
    return _SCP.pack(result, sequence) + data

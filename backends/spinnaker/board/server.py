"""The board on the network: UDP sockets, IP tags, and the loop that lets virtual time pass."""

from __future__ import annotations

import errno
import ipaddress
import logging
import selectors
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from portable_cortex.errors import InvalidValueError

from .geometry import Geometry
from .messages import NO_REPLY, Datagram
from .monitor import Monitor
from .native import ATTENTION, CYCLES_PER_MS, IDLE, INTERRUPTED

SCP_PORT, BOOT_PORT = 17893, 54321
_PAD = b"\0\0"  # before each SDP message
_TRANSIENT_TAGS = range(8, 32)  # for answers to messages that carry no tag
_NO_TAG = 0xFF
_LARGEST = 2048  # bytes of a datagram
_MOST_BOARDS = 253  # addresses of the loopback network that differ in the last number
_BURST = 64  # datagrams handled before the cores run again
_SLICE_S = 0.004  # wall-clock time for which the cores run at least
_REST_S = 0.02  # the same while they only wait
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tag:
    address: tuple[str, int]
    strip: bool


@dataclass(frozen=True, slots=True)
class _ReverseTag:
    socket: socket.socket
    port: int
    to_port: int
    place: tuple[int, int]


class Server:
    """Emulated boards on addresses of the loopback network.

    Parameters
    ----------
    geometry : Geometry
        Chips and boards.
    version : int
        Version of the boards.
    address : str, optional
        Address of the first board; others follow it. The first that are free unless given.
    threads : int
        Threads of the host that run the cores.
    real_time : bool
        Let virtual time pass no faster than the clock on the wall at all; it does so in any case
        from when the host lets programs run (SYNC0, SYNC1) until they rest.

    Raises
    ------
    InvalidValueError
        If the address is not one of the loopback network, or not free.
    """

    def __init__(
        self,
        geometry: Geometry,
        version: int,
        *,
        address: str | None = None,
        threads: int = 1,
        real_time: bool = False,
    ) -> None:
        self._boards, self._boots = _bind(len(geometry.boards), address)
        self.addresses = [found.getsockname()[0] for found in self._boards]
        self._selector = selectors.DefaultSelector()  # epoll, kqueue: its own file can be watched
        for i, found in enumerate(self._boards):
            self._selector.register(found, selectors.EVENT_READ, self._reader(i))
        for found in self._boots:
            self._selector.register(found, selectors.EVENT_READ, _discard)
        self._tags: dict[tuple[int, int], _Tag] = {}
        self._reverse: dict[tuple[int, int], _ReverseTag] = {}
        self._transient: OrderedDict[tuple[int, tuple[str, int]], int] = OrderedDict()
        self._real_time = real_time
        self._stopping = False
        self.monitor = Monitor(geometry, version, self.addresses, self, threads)

    def close(self) -> None:
        """Give back addresses and memory."""
        for found in (*self._boards, *self._boots, *(r.socket for r in self._reverse.values())):
            found.close()
        self._selector.close()
        self.monitor.machine.close()

    def watch(self, file: int, called: Callable[[], None]) -> None:
        """Call a function when a file can be read."""
        self._selector.register(file, selectors.EVENT_READ, lambda _: called())

    def stop(self) -> None:
        """Let `serve` return."""
        self._stopping = True

    def serve(self) -> None:
        """Answer the network and let virtual time pass, until `stop` is called."""
        machine, watched = self.monitor.machine, self._selector.fileno()
        target, stride = 0, CYCLES_PER_MS
        origin: tuple[int, float] | None = None  # since when virtual time follows the clock
        released = 0
        while not self._stopping:
            self.monitor.look()
            busy = machine.busy
            if not busy:
                origin = None
            elif self.monitor.released != released or (self._real_time and origin is None):
                released = self.monitor.released
                origin = (machine.now, time.perf_counter())
            if not busy:
                # only timers that nobody waits for tick on, slowly
                active = self._poll(_REST_S)
                if machine.busy:
                    continue
                if not active:
                    target = max(target, machine.now) + CYCLES_PER_MS
                    if machine.run(target, _REST_S, watched) == ATTENTION:
                        self.monitor.collect()
                continue
            target = max(target, machine.now) + stride
            started = time.perf_counter()
            if origin is not None:
                passed = int((started - origin[1]) * 1000 * CYCLES_PER_MS)
                target = min(target, origin[0] + passed)
            result = machine.run(target, 10 * _SLICE_S, watched)
            took = time.perf_counter() - started
            if result == ATTENTION:
                self.monitor.collect()
            elif took < _SLICE_S / 2 and result != INTERRUPTED:
                stride = min(2 * stride, 1000 * CYCLES_PER_MS)
            elif took > _SLICE_S:
                stride = max(stride // 2, CYCLES_PER_MS // 10)
            self._poll(_REST_S if result == IDLE else 0.0 if origin is None else 0.001)

    # receiving

    def _poll(self, timeout: float) -> bool:
        """Handle what has arrived; whether there was anything."""
        events = self._selector.select(timeout)
        for key, _ in events:
            key.data(key.fileobj)
        return bool(events)

    def _reader(self, board: int) -> Callable[[socket.socket], None]:
        def read(found: socket.socket) -> None:
            for _ in range(_BURST):
                try:
                    wire, sender = found.recvfrom(_LARGEST)
                except OSError:  # nothing left, or a client that has gone
                    return
                self._receive(board, wire, sender)

        return read

    def _receive(self, board: int, wire: bytes, sender: tuple[str, int]) -> None:
        message = Datagram.parse(wire[len(_PAD) :])
        if message is None:
            return
        if message.core and message.tag == _NO_TAG:
            message = replace(message, tag=self._transient_tag(board, sender))
        answer = self.monitor.receive(message, sender, board)
        if answer is not None:
            self._send(board, _PAD + answer, sender)

    def _transient_tag(self, board: int, sender: tuple[str, int]) -> int:
        key = (board, sender)
        if key not in self._transient:
            used = {tag for (b, _), tag in self._transient.items() if b == board}
            free = [tag for tag in _TRANSIENT_TAGS if tag not in used]
            if free:
                self._transient[key] = free[0]
            else:
                oldest = next(k for k in self._transient if k[0] == board)
                self._transient[key] = self._transient.pop(oldest)
        self._transient.move_to_end(key)
        return self._transient[key]

    def _reverse_reader(self, board: int, tag: int) -> Callable[[socket.socket], None]:
        def read(found: socket.socket) -> None:
            for _ in range(_BURST):
                try:
                    data = found.recv(_LARGEST)
                except OSError:
                    return
                known = self._reverse[board, tag]
                root = (0xFF, 0xFF)
                message = Datagram(NO_REPLY, tag, known.to_port, 0xFF, known.place, root, data)
                self.monitor.receive(message, None, board)

        return read

    # sending: Network

    def _send(self, board: int, data: bytes, address: tuple[str, int]) -> None:
        try:
            self._boards[board].sendto(data, address)
        except OSError as error:  # nobody there any more, or not on this host
            _log.warning("could not send to %s:%d: %s", *address, error)

    def send(self, board: int, message: Datagram) -> None:
        """Send a core's message to the address of its tag."""
        known = self._tags.get((board, message.tag))
        if known is not None:
            data = message.data if known.strip else _PAD + message.pack()
            self._send(board, data, known.address)
            return
        for (found, sender), tag in self._transient.items():
            if found == board and tag == message.tag:
                self._send(board, _PAD + message.pack(), sender)
                return

    def set_tag(self, board: int, tag: int, address: tuple[str, int], strip: bool) -> None:
        """Send what carries this tag to an address."""
        self.clear_tag(board, tag)
        self._tags[board, tag] = _Tag(address, strip)

    def set_reverse_tag(
        self, board: int, tag: int, port: int, to_port: int, place: tuple[int, int]
    ) -> bool:
        """Turn datagrams to this port into messages to a core; False if the port is in use."""
        self.clear_tag(board, tag)
        found = _bound(self.addresses[board], port)
        if found is None:
            return False
        self._reverse[board, tag] = _ReverseTag(found, found.getsockname()[1], to_port, place)
        self._selector.register(found, selectors.EVENT_READ, self._reverse_reader(board, tag))
        return True

    def clear_tag(self, board: int, tag: int) -> None:
        """Forget a tag."""
        self._tags.pop((board, tag), None)
        reverse = self._reverse.pop((board, tag), None)
        if reverse is not None:
            self._selector.unregister(reverse.socket)
            reverse.socket.close()

    def tag_info(self, board: int, tag: int) -> bytes:
        """What a tag is set to, as in the machine's reply."""
        ip, port, flags, rx_port, to_port, (x, y) = "0.0.0.0", 0, 0, 0, 0, (0, 0)
        if (board, tag) in self._tags:
            known = self._tags[board, tag]
            (ip, port), flags = known.address, 0x8000 | (0x0100 if known.strip else 0)
        elif (board, tag) in self._reverse:
            reverse = self._reverse[board, tag]
            flags, rx_port = 0x8200, reverse.port
            to_port, (x, y) = reverse.to_port, reverse.place
        address = socket.inet_aton(ip)
        return struct.pack("<4s6s3HIH3B", address, b"", port, 0, flags, 0, rx_port, y, x, to_port)


def _discard(found: socket.socket) -> None:
    """Boot images: the machine has booted."""
    try:
        for _ in range(_BURST):
            found.recv(_LARGEST)
    except OSError:
        pass


def _bound(address: str, port: int) -> socket.socket | None:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    found.setblocking(False)
    try:
        found.bind((address, port))
    except OSError:
        found.close()
        return None
    return found


def _consecutive(first: str, n_boards: int) -> list[str]:
    """Addresses of as many boards; none if the last number would be too large."""
    head, last = first.rsplit(".", 1)
    if int(last) + n_boards > 255:
        return []
    return [f"{head}.{int(last) + i}" for i in range(n_boards)]


def _exists(address: str) -> bool:
    """Whether this computer has an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def check_address(address: str) -> None:
    """Refuse an address on which no board can listen.

    Raises
    ------
    InvalidValueError
        If it is not one of the loopback network, or the one that the host software reserves.
    """
    try:
        loopback = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidValueError(
            f"an emulated board listens on the loopback network only (127.0.0.2, say), "
            f"not on {address!r}"
        )
    if address == "127.0.0.1":
        raise InvalidValueError(
            "SpiNNaker's host software takes 127.0.0.1 for a virtual machine: use 127.0.0.2"
        )


def _bind(n_boards: int, address: str | None) -> tuple[list[socket.socket], list[socket.socket]]:
    """Sockets for commands and for booting on consecutive loopback addresses."""
    if n_boards > _MOST_BOARDS:
        raise InvalidValueError(
            f"an emulated machine has at most {_MOST_BOARDS} boards, each with a loopback address, "
            f"not {n_boards}"
        )
    if address is None:
        firsts = [f"127.0.{i}.{j}" for i in range(8) for j in range(2, 255)]
    else:
        firsts = [address]
    for first in firsts:
        names = _consecutive(first, n_boards)
        if not names:
            continue
        wanted = [(name, port) for port in (SCP_PORT, BOOT_PORT) for name in names]
        found = [_bound(*pair) for pair in wanted]
        if all(found):
            bound = [s for s in found if s is not None]
            return bound[:n_boards], bound[n_boards:]
        for one in found:
            if one is not None:
                one.close()
    for name in _consecutive(firsts[0], n_boards):
        if not _exists(name):
            raise InvalidValueError(
                f"this computer has no address {name} (macOS has 127.0.0.1 only, unless others are "
                f"added, one for each emulated board): sudo ifconfig lo0 alias {name} up"
            )
    raise InvalidValueError(
        f"UDP ports {SCP_PORT} and {BOOT_PORT} of {address or 'the loopback addresses'} are in "
        "use: is another emulated board running there? Give another address, or none"
    )

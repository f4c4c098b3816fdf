"""The monitor system (SCAMP 4) at the level of its commands: SpiNNaker AppNote 5 and SARK's source.

It is emulated, not run: the monitor's core holds no program. What the programs on the other cores
see of it, in memory and in their mailboxes, is in `chip`.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from .aplx import read_program
from .chip import APLX_BUFFER, SYNC0, SYNC1, Chip
from .geometry import Geometry
from .load import load
from .messages import (
    HOST_PORT,
    MAX_DATA,
    NO_REPLY,
    Command,
    Datagram,
    Request,
    Result,
    response,
    words,
)
from .native import CYCLES_PER_MS, N_CORES, Machine
from .watchdog import Watchdog

N_TAGS, _N_STATIC_TAGS = 32, 8
_APP_MASK_ALL = 0xFF
_LARGEST_PROGRAM = 0x18000
_REPORTED = (
    "state", "cycles", "interrupts", "transfers", "packets_sent", "packets_lost", "overruns",
    "busiest", "period",
)  # fmt: skip
_CORES = (1 << N_CORES) - 2  # bits of the cores that can run programs


class Network(Protocol):
    """The host's side: IP tags, and where messages that leave through them go."""

    def set_tag(self, board: int, tag: int, address: tuple[str, int], strip: bool) -> None:
        """Send what carries this tag to an address."""

    def set_reverse_tag(
        self, board: int, tag: int, port: int, to_port: int, place: tuple[int, int]
    ) -> bool:
        """Turn datagrams to this port into messages to a core; False if the port cannot be had."""

    def clear_tag(self, board: int, tag: int) -> None:
        """Forget a tag."""

    def tag_info(self, board: int, tag: int) -> bytes:
        """What a tag is set to, as in the reply of the machine."""

    def send(self, board: int, message: Datagram) -> None:
        """Send a message through its tag."""


class Refusal(Exception):  # noqa: N818
    """A command that is answered with a result other than OK."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.name)
        self.result = result


class Monitor:
    """The monitors of all chips.

    Parameters
    ----------
    geometry : Geometry
        Chips and boards.
    version : int
        Version of the boards.
    addresses : list of str
        IP address of each board.
    network : Network
        Takes messages to the host.
    threads : int
        Threads of the host that run the cores.
    """

    def __init__(
        self,
        geometry: Geometry,
        version: int,
        addresses: list[str],
        network: Network,
        threads: int = 1,
    ) -> None:
        self.machine = Machine(geometry.neighbours, threads)
        self.geometry, self._network = geometry, network
        of_board = dict(zip(geometry.boards, addresses, strict=True))
        now = int(time.time())
        self.chips = {
            place: Chip(
                self.machine,
                i,
                place,
                (geometry.width, geometry.height),
                geometry.ethernet[place],
                [link for link in range(6) if geometry.neighbours[i, link] >= 0],
                of_board.get(place, ""),
                version,
                now,
            )
            for i, place in enumerate(geometry.places)
        }
        self._watchdog = Watchdog(self.chips.values())
        for i in range(self.machine.n_chips):
            self.machine.p2p[i][:] = geometry.p2p_table(i)
        self._board = {place: i for i, place in enumerate(geometry.boards)}
        self._commands: dict[int, Callable[[Chip, Request], bytes]] = {
            Command.VERSION: self._version,
            Command.READ: self._read,
            Command.WRITE: self._write,
            Command.FILL: self._fill,
            Command.COUNT: self._count,
            Command.LINK_READ: self._link_read,
            Command.LINK_WRITE: self._link_write,
            Command.APP_START: self._app_start,
            Command.NEAREST_NEIGHBOUR: self._nearest_neighbour,
            Command.APP_COPY_RUN: self._app_copy_run,
            Command.SIGNAL: self._signal,
            Command.FLOOD_FILL_DATA: self._flood_fill_data,
            Command.LED: self._nothing,
            Command.ALLOCATE: self._allocate,
            Command.ROUTER: self._router,
            Command.INFO: self._info,
            Command.SYNC: self._nothing,
        }
        self._flood_address = APLX_BUFFER
        self.released = 0  # how often the host has let programs run

    # messages

    def receive(
        self, message: Datagram, sender: tuple[str, int] | None, board: int
    ) -> bytes | None:
        """Take a message in; gives the answer to its sender, if there is one now."""
        root = self.geometry.boards[board]
        place = root if message.to_place == (255, 255) else message.to_place
        request = Request.parse(message.data)
        chip = self.chips.get(place)
        if message.core or message.port:
            if chip is None or not 0 < message.core < N_CORES or not chip.alive(message.core):
                if request is None or not message.flags & 0x80:
                    return None
                result = Result.ROUTE if chip is None else Result.DEAD
                if chip is not None and message.core >= N_CORES:
                    result = Result.CPU
                return message.reply(root, response(result, request.sequence)).pack()
            chip.send(message.core, message.pack())
            self._watchdog.told(chip, message.core, message.port, request)
            return None
        if request is None:
            return None
        if chip is None:
            result, data = Result.ROUTE, b""
        else:
            result, data = self._execute(chip, request, sender)
        if not message.flags & 0x80:
            return None
        return message.reply(place, response(result, request.sequence, data)).pack()

    def collect(self) -> None:
        """Carry what cores have sent to where it should go."""
        called = self.machine.called()
        for chip in self.chips.values():
            for wire in chip.collect() if chip.index in called else ():
                message = Datagram.parse(wire)
                if message is None:
                    continue
                if message.to_port == HOST_PORT:
                    self._network.send(self._board[chip.ethernet], message)
                else:
                    self.receive(message, None, self._board[chip.ethernet])
            if chip.waiting:
                chip.post()

    def look(self) -> None:
        """Switch off cores whose programs do not end."""
        self._watchdog.look(self.machine.now)

    def report(self) -> dict[str, object]:
        """What the cores have done since they were last started."""
        cores: list[dict[str, Any]] = []
        for chip in self.chips.values():
            for p in range(1, N_CORES):
                found = self.machine.report(chip.index, p)
                if found.cycles:
                    cores.append(
                        {"x": chip.place[0], "y": chip.place[1], "core": p, "pc": found.pc}
                        | {name: getattr(found, name) for name in _REPORTED}
                        | {"program": chip.name(p)}
                    )
        return {"time_ms": self.machine.now / CYCLES_PER_MS, "load": load(cores), "cores": cores}

    def _execute(
        self, chip: Chip, request: Request, sender: tuple[str, int] | None
    ) -> tuple[Result, bytes]:
        try:
            if request.command == Command.IP_TAG:
                return Result.OK, self._ip_tag(chip, request, sender)
            handler = self._commands.get(request.command)
            if handler is None:
                raise Refusal(Result.COMMAND)
            return Result.OK, handler(chip, request)
        except Refusal as refusal:
            return refusal.result, b""

    # commands: memory

    def _version(self, chip: Chip, request: Request) -> bytes:
        x, y = chip.place
        head = struct.pack("<4B2HI", 0, 0, y, x, MAX_DATA, 0xFFFF, int(time.time()))
        return head + b"SC&MP/SpiNNaker\0" + b"4.0.0\0"

    def _nothing(self, chip: Chip, request: Request) -> bytes:
        return b""

    def _read(self, chip: Chip, request: Request) -> bytes:
        address, size, _ = request.arguments
        if size > MAX_DATA:
            raise Refusal(Result.ARGUMENT)
        data = chip.read(address, size)
        if data is None:
            raise Refusal(Result.ARGUMENT)
        return data

    def _write(self, chip: Chip, request: Request) -> bytes:
        address, size, _ = request.arguments
        if size > MAX_DATA or size > len(request.data):
            raise Refusal(Result.LENGTH)
        if not chip.write(address, request.data[:size]):
            raise Refusal(Result.ARGUMENT)
        return b""

    def _fill(self, chip: Chip, request: Request) -> bytes:
        address, value, size = request.arguments
        end = address + size
        if (
            address & 3
            or size & 3
            or size > 1 << 27
            or not chip.write(address, b"")
            or (size and not chip.write(end - 4, words(value)))
        ):
            raise Refusal(Result.ARGUMENT)
        chip.write(address, words(value) * (size // 4))
        return b""

    def _behind(self, chip: Chip, link: int) -> Chip:
        place = self.geometry.neighbour(chip.place, link) if link < 6 else None
        if place is None:
            raise Refusal(Result.ROUTE)
        return self.chips[place]

    def _link_read(self, chip: Chip, request: Request) -> bytes:
        return self._read(self._behind(chip, request.arguments[2]), request)

    def _link_write(self, chip: Chip, request: Request) -> bytes:
        return self._write(self._behind(chip, request.arguments[2]), request)

    # commands: programs

    def _start(self, chip: Chip, operation: int) -> None:
        program = read_program(chip.read, APLX_BUFFER)
        if program is None:
            raise Refusal(Result.ARGUMENT)
        cores = [p for p in range(1, N_CORES) if operation >> p & 1]
        chip.start(program, cores, operation >> 24, operation >> 18 & 63)

    def _app_start(self, chip: Chip, request: Request) -> bytes:
        self._start(chip, request.arguments[0])
        return b""

    def _app_copy_run(self, chip: Chip, request: Request) -> bytes:
        link, size, operation = request.arguments
        link, checksum = link & 7, link >> 3
        source = self._behind(chip, link)
        data = source.read(APLX_BUFFER, size) if size <= _LARGEST_PROGRAM else None
        if data is None or size & 3:
            raise Refusal(Result.ARGUMENT)
        if checksum and sum(struct.unpack(f"<{size // 4}I", data)) & 0x1FFFFFFF != checksum:
            raise Refusal(Result.CHECKSUM)
        chip.write(APLX_BUFFER, data)
        if operation & _CORES:
            self._start(chip, operation)
        return b""

    def _signal(self, chip: Chip, request: Request) -> bytes:
        data = request.arguments[1]
        self._signal_all(data >> 16 & 15, data & 255, data >> 8 & 255)
        return b""

    def _signal_all(self, signal: int, app: int, mask: int) -> None:
        self.released += signal in (SYNC0, SYNC1)
        for chip in self.chips.values():
            chip.signal(signal, app, mask)
            if signal in (SYNC0, SYNC1):
                self._watchdog.begin(chip, chip.cores(app, mask), self.machine.arrival)

    def _count(self, chip: Chip, request: Request) -> bytes:
        """Cores of an application in a state, on the board that was asked: the host adds up."""
        app, state, _ = request.arguments
        counted = 0
        for found in self.chips.values():
            if found.ethernet == chip.ethernet:
                counted += sum(found.state(p) == (state, app) for p in range(1, N_CORES))
        return words(counted)

    def _nearest_neighbour(self, chip: Chip, request: Request) -> bytes:
        """Flood fill, and the stopping of applications, which go from chip to chip."""
        operation, data, _ = request.arguments
        kind = operation >> 24
        if kind == 6:  # flood fill begins: blocks to come
            self._flood_address = APLX_BUFFER
        elif kind == 15:  # and ends: start the program everywhere
            for found in self.chips.values():
                if data & _CORES:
                    self._start(found, data)
        elif data >> 28 == 5:
            self._signal_all(data >> 16 & 15, data & 255, data >> 8 & 255)
        return b""

    def _flood_fill_data(self, chip: Chip, request: Request) -> bytes:
        block, address = request.arguments[1], request.arguments[2]
        size = min(((block >> 8 & 255) + 1) * 4, len(request.data))
        for found in self.chips.values():
            if not found.write(address, request.data[:size]):
                raise Refusal(Result.ARGUMENT)
        return b""

    # commands: allocation, router

    def _allocate(self, chip: Chip, request: Request) -> bytes:
        first, a, b = request.arguments
        operation, app, flags = first & 255, first >> 8 & 255, first >> 16 & 255
        heap = chip.sdram_heap
        if operation == 0:
            return words(heap.allocate(a, app, b & 255, reuse=bool(flags & 4)))
        if operation == 1:
            heap.free(a)
            return b""
        if operation == 2:
            return words(heap.free_app(app))
        if operation == 3:
            return words(chip.router.allocate(a, app))
        if operation == 4:
            chip.router.free(a, clear=bool(b))
            return b""
        if operation == 5:
            return words(chip.router.free_app(app, clear=bool(a)))
        if operation == 6:
            return words(heap.free_bytes, heap.largest())
        if operation == 7:
            return words(heap.tagged(app, a & 255))
        raise Refusal(Result.ARGUMENT)

    def _router(self, chip: Chip, request: Request) -> bytes:
        first, a, b = request.arguments
        operation, app, count = first & 255, first >> 8 & 255, first >> 16
        if operation == 0:
            chip.router.clear()
        elif operation == 1:
            chip.router.empty(a, count)
        elif operation == 2:
            for i in range(count):
                entry = chip.read(a + 16 * i, 16)
                if entry is None or b + i >= 1024:
                    raise Refusal(Result.ARGUMENT)
                at, _, route, key, mask = struct.unpack("<2H3I", entry)
                if at + b >= 1024:
                    raise Refusal(Result.ARGUMENT)
                chip.router.put(at + b, (app << 24) | (route & 0xFFFFFF), key, mask)
        elif operation == 3:
            if a >> 31:
                return words(self.machine.load_router(chip.index, 0x84))
            self.machine.store_router(chip.index, 0x84, a)
        else:
            raise Refusal(Result.ARGUMENT)
        return b""

    def _info(self, chip: Chip, request: Request) -> bytes:
        x, y = chip.ethernet
        first = (
            N_CORES
            | sum(1 << link for link in chip.links) << 8
            | chip.router.largest() << 14
            | (chip.place == chip.ethernet) << 25
        )
        states = bytes(chip.state(p)[0] for p in range(N_CORES))
        address = socket.inet_aton(chip.address) if chip.address else bytes(4)
        sizes = words(first, chip.sdram_heap.largest(), chip.sysram_heap.largest())
        parent = int(self.geometry.next_hops[chip.index, 0])
        return sizes + states + bytes((y, x)) + address + struct.pack("<H", parent)

    # commands: IP tags

    def _ip_tag(self, chip: Chip, request: Request, sender: tuple[str, int] | None) -> bytes:
        first, ports, ip = request.arguments
        operation, tag, board = first >> 16 & 255, first & 255, self._board.get(chip.place)
        if board is None or (operation < 4 and tag >= N_TAGS):
            raise Refusal(Result.ARGUMENT)
        if operation in (0, 1):
            port = ports & 0xFFFF
            if first >> 29 & 1:  # reverse: from a port of the board to a core
                place = (ports >> 24, ports >> 16 & 255)
                if not self._network.set_reverse_tag(board, tag, port, first >> 8 & 255, place):
                    raise Refusal(Result.ARGUMENT)
            else:
                address = (socket.inet_ntoa(struct.pack("<I", ip)), port)
                if first >> 30 & 1 and sender is not None:
                    address = sender
                self._network.set_tag(board, tag, address, bool(first >> 28 & 1))
            return words(tag)
        if operation == 2:
            return self._network.tag_info(board, tag)
        if operation == 3:
            self._network.clear_tag(board, tag)
            return b""
        if operation == 4:  # transient tags' time-out, and how many tags there are
            return bytes((9, 10, _N_STATIC_TAGS, N_TAGS - _N_STATIC_TAGS))
        raise Refusal(Result.ARGUMENT)


__all__ = ["NO_REPLY", "Monitor", "Network"]

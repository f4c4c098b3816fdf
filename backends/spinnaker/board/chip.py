"""One chip as its monitor sees it: memory, system variables, heaps, router, mailboxes of the cores.

Addresses of the system variables (``sv``) and of the block of each core (``vcpu``) are SARK's,
because the programs on the cores read and write them.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from .heap import Heap
from .native import N_CORES, OFF, SDRAM_SIZE, SYSRAM_SIZE, Machine, Program
from .tables import RouterTable

SDRAM, SYSRAM, ROUTER, SYSTEM = 0x60000000, 0xE5000000, 0xE1000000, 0xE2000000
APLX_BUFFER = 0x67800000  # where programs are sent to before they start
_SYSRAM_HEAP, _SYSRAM_HEAP_END = SYSRAM + 0x100, SYSRAM + 0x7000
_VCPU, _VCPU_SIZE = 0x7000, 128
_SV = 0x7F00
_SARK_VERSION = 0x040000
_IOBUF_SIZE = 16384
_SYSTEM_BUFFER = 0x20000  # of each core, before the heap: leaves what spinn_machine expects
_N_MESSAGES, _MESSAGE_SIZE = 14, 292

# fields of a core's block
_V_R0, _V_PHYSICAL, _V_STATE, _V_APP = 0, 45, 46, 47
_V_TO_CORE, _V_TO_MONITOR, _V_TO_CORE_COMMAND, _V_TO_MONITOR_COMMAND = 48, 52, 56, 57
_V_IOBUF = 88
# what a mailbox holds
_M_IDLE, _M_MESSAGE, _M_SIGNAL = 0, 1, 3

# states of a core in its block
DEAD, RUN_TIME_ERROR, WATCHDOG, INITIALISING, ENTERED, RUNNING = 0, 2, 3, 4, 6, 7
SYNCHRONISING, SYNCHRONISING_1, PAUSED, IDLE = 8, 9, 10, 15

Signal = int
STOP, SYNC0, SYNC1 = 2, 4, 5


class Chip:
    """A chip of a machine.

    Parameters
    ----------
    machine : Machine
        The cores.
    index : int
        Number of the chip in it.
    place, size : (int, int)
        Its x and y, and the machine's width and height.
    ethernet : (int, int)
        The Ethernet chip of its board.
    links : list of int
        Links behind which there is a chip.
    address : str
        IP address of the board, if this is its Ethernet chip, else ``""``.
    """

    def __init__(
        self,
        machine: Machine,
        index: int,
        place: tuple[int, int],
        size: tuple[int, int],
        ethernet: tuple[int, int],
        links: list[int],
        address: str,
        version: int,
        unix_time: int,
    ) -> None:
        self.machine, self.index, self.place, self.links = machine, index, place, links
        self.ethernet, self.address = ethernet, address
        self._sdram, self._sysram = machine.sdram[index], machine.sysram[index]
        self._waiting: list[deque[bytes]] = [deque() for _ in range(N_CORES)]
        self.waiting = False  # whether messages wait for a mailbox
        self.apps = [0] * N_CORES
        self.started = [0] * N_CORES  # when the program on each core was started, cycles
        self._lay_out(size, version, unix_time)

    # memory

    def _window(self, address: int, size: int) -> npt.NDArray[np.uint8] | None:
        """The memory at an address, if all of it is there."""
        if address >> 29 == 3:
            start = address & (SDRAM_SIZE - 1)
            return self._sdram[start : start + size] if start + size <= SDRAM_SIZE else None
        if address >> 24 & 0xEF == 0xE5:
            start = address & 0xFFFFFF
            return self._sysram[start : start + size] if start + size <= SYSRAM_SIZE else None
        return None

    def read(self, address: int, size: int) -> bytes | None:
        """Read memory or registers; None where there is nothing to read."""
        window = self._window(address, size)
        if window is not None:
            return window.tobytes()
        load = self._register(address, size, self.machine.load_router, self.machine.load_system)
        if load is None:
            return None
        function, offset = load
        first, last = offset & ~3, offset + size
        found = (function(self.index, at) for at in range(first, last, 4))
        data = b"".join(value.to_bytes(4, "little") for value in found)
        return data[offset - first : last - first]

    def write(self, address: int, data: bytes) -> bool:
        """Write memory or registers; False where there is nothing to write."""
        window = self._window(address, len(data))
        if window is not None:
            window[:] = np.frombuffer(data, np.uint8)
            return True
        store = self._register(
            address, len(data), self.machine.store_router, self.machine.store_system
        )
        if store is None or address & 3 or len(data) & 3:
            return False
        function, offset = store
        for i, (value,) in enumerate(struct.iter_unpack("<I", data)):
            function(self.index, offset + 4 * i, value)
        return True

    @staticmethod
    def _register(address: int, size: int, router: Any, system: Any) -> tuple[Any, int] | None:
        block = address >> 24 & 0xEF
        if block == ROUTER >> 24 and (address & 0xFFFFFF) + size <= 0x20000:
            return router, address & 0x1FFFF
        if block == SYSTEM >> 24 and (address & 0xFFFFFF) + size <= 0x1000:
            return system, address & 0xFFF
        return None

    def word(self, address: int) -> int:
        """Read a word of memory; 0 where there is none."""
        window = self._window(address, 4)
        return 0 if window is None else int.from_bytes(window.tobytes(), "little")

    def set_word(self, address: int, value: int) -> None:
        """Write a word of memory; nothing where there is none."""
        window = self._window(address, 4)
        if window is not None:
            window[:] = np.frombuffer((value & 0xFFFFFFFF).to_bytes(4, "little"), np.uint8)

    def _get(self, offset: int, code: str = "I") -> int:
        """Read a system variable."""
        found: int = struct.unpack_from("<" + code, self._sysram.data, _SV + offset)[0]
        return found

    def _set(self, offset: int, code: str, *values: int) -> None:
        """Write system variables."""
        struct.pack_into("<" + code, self._sysram.data, _SV + offset, *values)

    # the state at the start

    def _lay_out(self, size: tuple[int, int], version: int, unix_time: int) -> None:
        """Write the system variables and tables as SCAMP leaves them after booting."""
        (x, y), (width, height) = self.place, size
        is_ethernet = self.place == self.ethernet
        self._set(0x00, "2B", y, x)  # p2p_addr
        self._set(0x02, "2B", height, width)  # p2p_dims
        self._set(0x06, "B", 1)  # p2p_up
        self._set(0x08, "4B", self.ethernet[1], self.ethernet[0], version, is_ethernet)
        self._set(0x1C, "I", unix_time)
        self._set(0x24, "2H", 200, 130)  # clocks, MHz
        self._set(0x40, "2B", self.place == (0, 0), 7)  # root chip, buffers
        self._set(0x50, "I", _IOBUF_SIZE)
        self._set(0x54, "I", SDRAM)  # sdram_bufs
        self._set(0x58, "I", _SYSTEM_BUFFER // 4)  # sysbuf_size
        self._set(0x65, "B", sum(1 << link for link in self.links))
        for i in range(20):
            core = i if i < N_CORES else 255
            self._set(0x94 + i, "B", core)  # virtual to physical, and back
            self._set(0xA8 + i, "B", core)
        self._set(0xBC, "2B", N_CORES, N_CORES)
        user = SDRAM + N_CORES * _SYSTEM_BUFFER
        system = APLX_BUFFER
        system_heap = system + 0x40000
        self._set(0xC0, "I", user)
        self._set(0xC8, "I", system)
        self._set(0x4C, "I", user)
        self._set(0xD0, "I", system_heap)
        heap = Heap.create(self, system_heap, SDRAM + SDRAM_SIZE)
        tags = heap.allocate(65536 * 4)
        copy = heap.allocate((1024 + 1) * 16)
        self._set(0xD8, "I", tags)  # p2p table's place in older versions
        self._set(0xD4, "I", copy)
        tags = heap.allocate(65536 * 4)
        self._set(0xDC, "I", tags)
        self._apps = heap.allocate(256 * 8)
        self._set(0xE4, "I", self._apps)
        self.system_heap = Heap(self, system_heap, tags)
        self.sdram_heap = Heap.create(self, user, system, tags)
        self.sysram_heap = Heap.create(self, _SYSRAM_HEAP, _SYSRAM_HEAP_END, tags)
        self._set(0x48, "I", _SYSRAM_HEAP)
        self._set(0xC4, "I", _SYSRAM_HEAP)
        self._set(0xCC, "I", _SYSRAM_HEAP_END)
        messages = self.sysram_heap.allocate(_N_MESSAGES * _MESSAGE_SIZE)
        self._set(0xE8, "I", messages)
        self._set(0x68, "I", messages)
        for i in range(_N_MESSAGES):
            after = messages + (i + 1) * _MESSAGE_SIZE
            self.set_word(messages + i * _MESSAGE_SIZE, after if i + 1 < _N_MESSAGES else 0)
        if self.address:
            self._set(0xF0, "4B", *(int(part) for part in self.address.split(".")))
        self._set(0xFC, "I", _SARK_VERSION)
        self.router = RouterTable(self, copy, SYSRAM + _SV + 0xE0)
        self.router.clear()
        for p in range(N_CORES):
            self._block(p)[_V_PHYSICAL] = p
            self.set_state(p, RUNNING if p == 0 else IDLE, 0)

    # cores

    def _block(self, core: int) -> npt.NDArray[np.uint8]:
        start = _VCPU + core * _VCPU_SIZE
        return self._sysram[start : start + _VCPU_SIZE]

    def state(self, core: int) -> tuple[int, int]:
        """State of a core as its program says, and its application."""
        block = self._block(core)
        return int(block[_V_STATE]), int(block[_V_APP])

    def name(self, core: int) -> str:
        """Name of the program on a core, as it says itself."""
        text = self._block(core)[72:88].tobytes()
        return text.partition(b"\0")[0].decode("ascii", "replace")

    def set_state(self, core: int, state: int, app: int) -> None:
        """Write a core's state and application."""
        block = self._block(core)
        block[_V_STATE], block[_V_APP] = state, app

    def start(self, program: Program, cores: list[int], app: int, flags: int) -> None:
        """Start a program on cores that are switched on."""
        entry = self._apps + 8 * app
        count, clean, semaphore, lead = (self.word(entry) >> 8 * i & 255 for i in range(4))
        mask = self.word(entry + 4)
        if count == 0:
            clean = semaphore = mask = 0
            lead = min(cores, default=0)
        mask |= sum(1 << p for p in cores)
        self.set_word(entry, (count + len(cores)) & 255 | clean << 8 | semaphore << 16 | lead << 24)
        self.set_word(entry + 4, mask)
        self.machine.store_system(self.index, 0x58, sum(1 << p for p in cores))
        for p in cores:
            self.set_state(p, INITIALISING, app)
            block = self._block(p)
            block[_V_TO_CORE_COMMAND] = block[_V_TO_MONITOR_COMMAND] = _M_IDLE
            self._waiting[p].clear()
            self.apps[p], self.started[p] = app, self.machine.arrival
            self.machine.start(self.index, p, program, app | flags << 8)

    def cores(self, app: int, app_mask: int) -> list[int]:
        """The cores of applications."""
        return [p for p in range(1, N_CORES) if self.apps[p] and self.apps[p] & app_mask == app]

    def signal(self, signal: Signal, app: int, app_mask: int) -> None:
        """Send a signal to the cores of applications."""
        cores = self.cores(app, app_mask)
        mask = sum(1 << p for p in cores)
        if signal == STOP:
            self._stop(cores)
            for found in range(1, 256):
                if found & app_mask == app:
                    self._forget(found)
        elif signal in (SYNC0, SYNC1):
            self.machine.store_system(self.index, 0x5C if signal == SYNC0 else 0x58, mask)
            self.machine.interrupt(self.index, mask)
        elif mask:
            for p in cores:
                block = self._block(p)
                struct.pack_into("<I", block.data, _V_TO_CORE, signal)
                block[_V_TO_CORE_COMMAND] = _M_SIGNAL
            self.machine.interrupt(self.index, mask)

    def _stop(self, cores: list[int]) -> None:
        for p in cores:
            self.machine.stop(self.index, p)
            self.apps[p] = 0
            self._waiting[p].clear()
            self.set_state(p, IDLE, 0)
            struct.pack_into("<I", self._block(p).data, _V_IOBUF, 0)

    def lose(self, core: int) -> None:
        """Switch a core off as the monitor's watchdog does; what its program left stays."""
        self.machine.stop(self.index, core)
        self._block(core)[_V_STATE] = WATCHDOG

    def _forget(self, app: int) -> None:
        """Free what an application had."""
        for heap in (self.sdram_heap, self.sysram_heap, self.system_heap):
            heap.free_app(app)
        self.router.free_app(app, clear=True)
        self.set_word(self._apps + 8 * app, self.word(self._apps + 8 * app) & 0xFFFF0000)

    def alive(self, core: int) -> bool:
        """Whether a core runs a program."""
        return self.machine.report(self.index, core).state != OFF

    # mailboxes

    def send(self, core: int, message: bytes) -> None:
        """Put an SDP message before a core; it waits while the mailbox is in use."""
        self.waiting = True
        self._waiting[core].append(message)
        self._post(core)

    def _post(self, core: int) -> None:
        block, waiting = self._block(core), self._waiting[core]
        if not waiting or block[_V_TO_CORE_COMMAND] != _M_IDLE:
            return
        buffer = self._get(0x68)
        if not buffer:
            return
        message = waiting.popleft()
        self._set(0x68, "I", self.word(buffer))
        self.write(buffer + 4, struct.pack("<2H", len(message), 0) + message)
        struct.pack_into("<I", block.data, _V_TO_CORE, buffer)
        block[_V_TO_CORE_COMMAND] = _M_MESSAGE
        self.machine.interrupt(self.index, 1 << core)

    def collect(self) -> list[bytes]:
        """SDP messages from the cores."""
        found = []
        calling = self._get(0xEC)
        self._set(0xEC, "I", 0)
        for p in range(1, N_CORES):
            if calling >> p & 1:
                message = self._take(p)
                if message is not None:
                    found.append(message)
        return found

    def post(self) -> None:
        """Put messages that have waited into mailboxes that are free now."""
        for p in range(1, N_CORES):
            if self._waiting[p]:
                self._post(p)
        self.waiting = any(self._waiting)

    def _take(self, core: int) -> bytes | None:
        block = self._block(core)
        command = block[_V_TO_MONITOR_COMMAND]
        (buffer,) = struct.unpack_from("<I", block.data, _V_TO_MONITOR)
        block[_V_TO_MONITOR_COMMAND] = _M_IDLE
        size = self.word(buffer + 4) & 0xFFFF
        message = self.read(buffer + 8, size) if size <= _MESSAGE_SIZE - 8 else None
        if command != _M_MESSAGE or message is None:
            return None  # a program that went wrong
        self.set_word(buffer, self._get(0x68))
        self._set(0x68, "I", buffer)
        return message

"""The compiled half of the package (``native/``), through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portable_cortex.errors import BackendUnavailableError

N_CORES = 18
SDRAM_SIZE = 1 << 27
SYSRAM_SIZE = 1 << 15
ITCM_SIZE, DTCM_SIZE = 1 << 15, 1 << 16
CYCLES_PER_MS = 200_000

# why Machine.run returned
IDLE, ATTENTION, USED_UP, INTERRUPTED = range(4)
OFF = 0  # state of a core

_POINTER, _U32, _U64, _INT = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
_SIGNATURES = {
    "machine_new": (_POINTER, (_U32, _POINTER, _U32)),
    "machine_free": (None, (_POINTER,)),
    "machine_run": (_INT, (_POINTER, _U64, ctypes.c_double, _INT)),
    "machine_now": (_U64, (_POINTER,)),
    "machine_busy": (_INT, (_POINTER,)),
    "machine_called": (_INT, (_POINTER,)),
    "chip_sdram": (_POINTER, (_POINTER, _U32)),
    "chip_sysram": (_POINTER, (_POINTER, _U32)),
    "chip_p2p": (_POINTER, (_POINTER, _U32)),
    "chip_interrupt": (None, (_POINTER, _U32, _U32, _U64)),
    "chip_load": (_U32, (_POINTER, _U32, _INT, _U32)),
    "chip_store": (None, (_POINTER, _U32, _INT, _U32, _U32, _U64)),
    "core_prepare": (_POINTER, (_POINTER, _U32, _U32)),
    "core_memory": (_POINTER, (_POINTER, _U32, _U32)),
    "core_start": (None, (_POINTER, _U32, _U32, _U32, _U32, _U64)),
    "core_stop": (None, (_POINTER, _U32, _U32)),
    "core_step": (None, (_POINTER, _U32, _U32, _U64)),
    "core_registers": (None, (_POINTER, _U32, _U32, _POINTER, _INT)),
    "core_report": (None, (_POINTER, _U32, _U32, _POINTER)),
}


class CoreReport(ctypes.Structure):
    """Counts of one core since it was started."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "state", "time", "pc", "cycles", "interrupts", "transfers", "packets_sent",
            "packets_lost", "overruns", "busiest", "period",
        )
    ]  # fmt: skip

    state: int
    time: int
    pc: int
    cycles: int
    interrupts: int
    transfers: int
    packets_sent: int
    packets_lost: int
    overruns: int
    busiest: int
    period: int


@cache
def library() -> ctypes.CDLL:
    """The compiled library, which the wheel carries.

    Raises
    ------
    BackendUnavailableError
        If it was not built: the package was installed from source without a C compiler.
    """
    path = Path(__file__).with_name("_native.so")
    if not path.exists():
        raise BackendUnavailableError(
            "the emulated SpiNNaker board needs its compiled part, which is not installed: it is "
            "in the wheel; from source, install a C compiler (apt-get install gcc) and then "
            "`pip install --force-reinstall --no-cache-dir portable-cortex` again"
        )
    found = ctypes.CDLL(str(path))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


def _array(address: int, size: int) -> npt.NDArray[np.uint8]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


@dataclass(frozen=True, slots=True)
class Program:
    """What `Machine.start` puts into a core: pieces of memory, and where to begin."""

    pieces: tuple[tuple[int, bytes], ...]
    entry: int


class Machine:
    """Chips, cores and packets under way, in virtual time.

    Parameters
    ----------
    neighbours : (n_chips, 6) array of int
        The chip behind each link (east, north-east, north, west, south-west, south), or -1.
    threads : int
        Threads of the host among which the chips are shared. Results do not depend on it.
    """

    def __init__(self, neighbours: npt.ArrayLike, threads: int = 1) -> None:
        table = np.ascontiguousarray(neighbours, np.int32)
        self._library = library()
        self._arrival: int | None = None
        self.n_chips = len(table)
        threads = max(1, min(threads, self.n_chips, 64))
        self._handle = self._library.machine_new(self.n_chips, table.ctypes.data, threads)
        if not self._handle:
            raise MemoryError(f"no address space for {self.n_chips} chips of 128 MiB")
        lib, handle, chips = self._library, self._handle, range(self.n_chips)
        self.sdram = [_array(lib.chip_sdram(handle, i), SDRAM_SIZE) for i in chips]
        self.sysram = [_array(lib.chip_sysram(handle, i), SYSRAM_SIZE) for i in chips]
        self.p2p = [_array(lib.chip_p2p(handle, i), 4 * 0x2000).view(np.uint32) for i in chips]

    def close(self) -> None:
        """Free the memory; nothing of the machine may be used afterwards."""
        if self._handle:
            self.sdram, self.sysram, self.p2p = [], [], []
            self._library.machine_free(self._handle)
            self._handle = None

    @property
    def now(self) -> int:
        """Virtual time, cycles."""
        return int(self._library.machine_now(self._handle))

    @property
    def busy(self) -> bool:
        """Whether anything but waiting goes on."""
        return bool(self._library.machine_busy(self._handle))

    @property
    def arrival(self) -> int:
        """When something that the host does now takes effect, cycles.

        While the machine waits, that is at the next millisecond, so that what follows does not
        depend on how long it waited. It is the same time for all that the host does at once, on
        whichever chips.
        """
        if self._arrival is None:
            now = self.now
            self._arrival = now if self.busy else (now // CYCLES_PER_MS + 1) * CYCLES_PER_MS
        return self._arrival

    def run(self, until: int, seconds: float = 3600.0, watched: int = -1) -> int:
        """Advance to `until` (cycles), for so many seconds on the wall at most.

        Or until a file that is watched can be read.
        Gives IDLE, ATTENTION, USED_UP or INTERRUPTED, as in ``machine.c``.
        """
        self._arrival = None
        return int(self._library.machine_run(self._handle, until, seconds, watched))

    def start(self, chip: int, core: int, program: Program, r0: int) -> None:
        """Load a program into a core and let it run."""
        memory = self._library.core_prepare(self._handle, chip, core)
        if not memory:
            raise MemoryError("no memory for another core")
        tcm = _array(memory, ITCM_SIZE + DTCM_SIZE)
        for address, data in program.pieces:
            if address < ITCM_SIZE:
                at, end = address, ITCM_SIZE
            elif 0 <= address - 0x400000 < DTCM_SIZE:
                at, end = address - 0x400000 + ITCM_SIZE, ITCM_SIZE + DTCM_SIZE
            else:
                continue
            fitting = data[: end - at]
            tcm[at : at + len(fitting)] = np.frombuffer(fitting, np.uint8)
        self._library.core_start(self._handle, chip, core, program.entry, r0, self.arrival)

    def stop(self, chip: int, core: int) -> None:
        """Switch a core off."""
        self._library.core_stop(self._handle, chip, core)

    def report(self, chip: int, core: int) -> CoreReport:
        """Counts of a core."""
        found = CoreReport()
        self._library.core_report(self._handle, chip, core, ctypes.addressof(found))
        return found

    def step(self, chip: int, core: int, cycles: int = 1) -> None:
        """Run one core alone."""
        self._library.core_step(self._handle, chip, core, cycles)

    def registers(self, chip: int, core: int) -> list[int]:
        """r0 to r14, address of the next instruction, program status."""
        found = (_U32 * 17)()
        self._library.core_registers(self._handle, chip, core, found, 0)
        return list(found)

    def set_registers(self, chip: int, core: int, values: Sequence[int]) -> None:
        """Set what `registers` gives; the mode must stay."""
        self._library.core_registers(self._handle, chip, core, (_U32 * 17)(*values), 1)

    def tcm(self, chip: int, core: int) -> npt.NDArray[np.uint8]:
        """A core's instruction memory, and its data memory behind it.

        Ask for it again to write to it after the core has run.
        """
        address = self._library.core_memory(self._handle, chip, core)
        return _array(address, ITCM_SIZE + DTCM_SIZE)

    def interrupt(self, chip: int, cores: int) -> None:
        """Raise the CPU interrupt of the cores whose bits are set."""
        self._library.chip_interrupt(self._handle, chip, cores, self.arrival)

    def called(self) -> set[int]:
        """Chips of which a core has called the monitor since this was last asked."""
        found: set[int] = set()
        while (chip := self._library.machine_called(self._handle)) >= 0:
            found.add(chip)
        return found

    def load_system(self, chip: int, offset: int) -> int:
        """Read a register of the system controller."""
        return int(self._library.chip_load(self._handle, chip, 0, offset))

    def store_system(self, chip: int, offset: int, value: int) -> None:
        """Write a register of the system controller."""
        self._library.chip_store(self._handle, chip, 0, offset, value, self.arrival)

    def load_router(self, chip: int, offset: int) -> int:
        """Read a register or table entry of the router."""
        return int(self._library.chip_load(self._handle, chip, 1, offset))

    def store_router(self, chip: int, offset: int, value: int) -> None:
        """Write a register or table entry of the router."""
        self._library.chip_store(self._handle, chip, 1, offset, value, self.arrival)


__all__: Sequence[str] = [
    "ATTENTION", "IDLE", "INTERRUPTED", "USED_UP", "CoreReport", "Machine", "Program",
]  # fmt: skip

"""The emulated SpiNNaker board: processor, peripherals, monitor, network."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from portable_cortex.backends.spinnaker_board import EmulatedBoard, aplx, geometry, native
from portable_cortex.backends.spinnaker_board.heap import Heap
from portable_cortex.backends.spinnaker_board.messages import Command, Datagram, Result, words
from portable_cortex.backends.spinnaker_board.monitor import Monitor
from portable_cortex.errors import BackendUnavailableError, InvalidValueError, SimulationError

try:
    native.library()
except BackendUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

DTCM, SDRAM, SYSRAM = 0x400000, 0x60000000, 0xE5000000
VIC, TIMER, DMA, CC, SYSTEM = 0x1F000000, 0x11000000, 0x30000000, 0x10000000, 0xE2000000
US, MS = 200, 200_000  # cycles
ALONE = [[-1] * 6]

# a few ARM instructions
WAIT_FOR_INTERRUPT, HERE = 0xEE070F90, 0xEAFFFFFE


def li(register, value):
    """Load a constant that stands in the code."""
    return [0xE59F0000 | register << 12, 0xEA000000, value & 0xFFFFFFFF]


def poke(address, value):
    return [*li(0, address), *li(1, value), 0xE5801000]


def peek(address, slot):
    """Copy a word to a slot at the start of the data memory."""
    return [*li(0, address), 0xE5901000, *li(2, DTCM + 4 * slot), 0xE5821000]


def load(machine, code, chip=0, core=1, vectors=()):
    """Put code at 0x100 of a core and let it run; `vectors` are (address, instruction)."""
    pieces = [(0x100, struct.pack(f"<{len(code)}I", *code))]
    pieces += [(at, struct.pack("<I", word)) for at, word in vectors]
    machine.start(chip, core, native.Program(tuple(pieces), 0x100), 0)


def slots(machine, n, chip=0, core=1):
    memory = machine.tcm(chip, core)[native.ITCM_SIZE :]
    return memory[: 4 * n].view(np.uint32).tolist()


@pytest.fixture
def machine():
    found = native.Machine(ALONE)
    yield found
    found.close()


# processor


def branch_to(target, here):
    return 0xEA000000 | (target - here - 8 >> 2 & 0xFFFFFF)


DATA_PROCESSING = st.builds(
    lambda op, s, rn, rd, shifter: 0xE0000000 | op << 21 | s << 20 | rn << 16 | rd << 12 | shifter,
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]),
    st.booleans(),
    st.integers(0, 12),
    st.integers(0, 12),
    st.one_of(
        st.integers(0, 0xFFF).map(lambda x: 1 << 25 | x),
        st.builds(lambda n, t, r: n << 7 | t << 5 | r, *map(st.integers, (0, 0, 0), (31, 3, 12))),
        st.builds(
            lambda s, t, r: s << 8 | t << 5 | 1 << 4 | r, *map(st.integers, (0, 0, 0), (12, 3, 12))
        ),
    ),
)
COMPARE = st.builds(
    lambda op, rn, rm: 0xE0100000 | op << 21 | rn << 16 | rm,
    st.integers(8, 11), st.integers(0, 12), st.integers(0, 12),
)  # fmt: skip
MULTIPLY = st.builds(
    lambda a, s, d, n, m: 0xE0000090 | a << 21 | s << 20 | d << 16 | n << 12 | (n + 1) << 8 | m,
    st.sampled_from([0, 1, 4, 5, 6, 7]), st.booleans(), st.integers(0, 4), st.integers(5, 8),
    st.integers(9, 12),
)  # fmt: skip
SIGNAL = st.builds(  # SMLAxy, SMLAW, SMULW, SMLAL, SMUL; QADD and relatives; CLZ
    lambda base, d, n, s, m: base | d << 16 | n << 12 | s << 8 | m,
    st.sampled_from(
        [0xE1000080 | op << 21 | xy << 5 for op in range(4) for xy in range(4)]
    ),
    st.integers(0, 4), st.integers(5, 8), st.integers(0, 12), st.integers(9, 12),
)  # fmt: skip
SATURATING = st.builds(
    lambda op, n, d, m: 0xE1000050 | op << 21 | n << 16 | d << 12 | m,
    st.integers(0, 3), *[st.integers(0, 12)] * 3,
)  # fmt: skip
CLZ = st.builds(lambda d, m: 0xE16F0F10 | d << 12 | m, *[st.integers(0, 12)] * 2)
STATUS = st.one_of(
    st.integers(0, 12).map(lambda d: 0xE10F0000 | d << 12),  # MRS
    st.integers(0, 12).map(lambda m: 0xE128F000 | m),  # MSR, flags
)
# r13 points into the data memory
LOADS = st.builds(
    lambda base, up, pre, write, rd, offset: base | up << 23 | pre << 24
    | (write and pre) << 21 | 13 << 16 | rd << 12 | offset,
    st.sampled_from([0xE4000000, 0xE4100000, 0xE4400000, 0xE4500000]),
    st.booleans(), st.booleans(), st.booleans(), st.integers(0, 12), st.integers(0, 255),
)  # fmt: skip
HALVES = st.builds(
    lambda base, up, pre, rd, offset: base | up << 23 | pre << 24 | 13 << 16 | rd << 12
    | (offset & 0xE0) << 4 | (offset & 14),
    st.sampled_from([0xE04000B0, 0xE05000B0, 0xE05000D0, 0xE05000F0]),
    st.booleans(), st.booleans(), st.integers(0, 12), st.integers(0, 255),
)  # fmt: skip
BLOCKS = st.builds(
    lambda load, up, pre, write, which: 0xE8000000 | load << 20 | up << 23 | pre << 24 | write << 21
    | 13 << 16 | which,
    *[st.booleans()] * 4, st.integers(1, 0x1FFF),
)  # fmt: skip
CONDITIONAL = st.builds(lambda word, c: word & 0x0FFFFFFF | c << 28, DATA_PROCESSING, st.integers(0, 13))
ARM = st.one_of(
    DATA_PROCESSING, COMPARE, MULTIPLY, SIGNAL, SATURATING, CLZ, STATUS, LOADS, HALVES, BLOCKS,
    CONDITIONAL,
)  # fmt: skip
THUMB = st.one_of(
    st.integers(0x0000, 0x43FF),  # shifts, sums, immediate values, register operations
    st.integers(0x4400, 0x46FF).filter(lambda t: (t >> 4 & 8 | t & 7) < 13),  # high registers
    st.integers(0x4800, 0x4FFF),  # literals
    st.integers(0x9000, 0x9FFF),  # relative to r13
    st.integers(0xA000, 0xAFFF),  # addresses
    st.sampled_from([0xB001, 0xB081, 0xB41F, 0xBC1F]),  # r13, push, pop
)
VALUES = st.one_of(
    st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 32, 33])
)


class Reference:
    """QEMU's ARM946 with the same memory."""

    def __init__(self):
        unicorn = pytest.importorskip("unicorn", reason="pip install unicorn to test the processor")
        from unicorn import arm_const

        self._error = unicorn.UcError
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
        self._uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_946)
        self._uc.mem_map(0, native.ITCM_SIZE)
        self._uc.mem_map(DTCM, native.DTCM_SIZE)
        names = [f"R{i}" for i in range(13)] + ["SP", "LR", "PC", "CPSR"]
        self._ids = [getattr(arm_const, f"UC_ARM_REG_{name}") for name in names]

    def run(self, code, registers, n, size, thumb):
        self._uc.mem_write(0x100, code)
        self._uc.mem_write(DTCM, bytes(range(256)) * 16)
        self._uc.ctl_remove_cache(0, native.ITCM_SIZE)
        self._uc.reg_write(self._ids[16], registers[16])
        for which, value in zip(self._ids[:15], registers, strict=False):
            self._uc.reg_write(which, value)
        try:
            self._uc.emu_start(0x100 | thumb, 0x100 + size * n, count=n)
        except self._error:
            assume(False)  # an instruction with bits that should be zero
        return [self._uc.reg_read(i) & 0xFFFFFFFF for i in self._ids], bytes(
            self._uc.mem_read(DTCM, 4096)
        )


@pytest.fixture(scope="module")
def reference():
    return Reference()


@pytest.fixture(scope="module")
def processor():
    machine = native.Machine(ALONE)
    machine.start(0, 1, native.Program((), 0x100), 0)
    yield machine
    machine.close()


def compare(reference, processor, code, values, flags, size, thumb):
    wire = struct.pack(f"<{len(code)}{'I' if size == 4 else 'H'}", *code)
    registers = [*values, DTCM + 2048, 0, 0x100, 0xD3 | (0x20 if thumb else 0) | flags << 28]
    expected, memory = reference.run(wire, registers, len(code), size, thumb)
    tcm = processor.tcm(0, 1)
    tcm[0x100 : 0x100 + len(wire)] = np.frombuffer(wire, np.uint8)
    tcm[native.ITCM_SIZE : native.ITCM_SIZE + 4096] = np.frombuffer(bytes(range(256)) * 16, np.uint8)
    processor.set_registers(0, 1, registers)
    processor.step(0, 1, len(code))
    assert [hex(x) for x in processor.registers(0, 1)] == [hex(x) for x in expected]
    assert tcm[native.ITCM_SIZE : native.ITCM_SIZE + 4096].tobytes() == memory


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=ARM, values=st.lists(VALUES, min_size=13, max_size=13), flags=st.integers(0, 15))
def test_arm_instructions_do_what_qemus_do(reference, processor, word, values, flags):
    compare(reference, processor, [word], values, flags, 4, False)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=THUMB, values=st.lists(VALUES, min_size=13, max_size=13), flags=st.integers(0, 15))
def test_thumb_instructions_do_what_qemus_do(reference, processor, word, values, flags):
    compare(reference, processor, [word], values, flags, 2, True)

"""The emulated SpiNNaker board: processor, peripherals, monitor, network."""

import errno
import os
import random
import signal
import socket
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portable_cortex.backends.spinnaker.board import (
    EmulatedBoard,
    aplx,
    geometry,
    native,
    server,
    watchdog,
)
from portable_cortex.backends.spinnaker.board.chip import (
    INITIALISING,
    PAUSED,
    RUNNING,
    SYNC0,
    SYNCHRONISING,
    WATCHDOG,
)
from portable_cortex.backends.spinnaker.board.heap import Heap
from portable_cortex.backends.spinnaker.board.messages import Command, Datagram, Result, words
from portable_cortex.backends.spinnaker.board.monitor import Monitor
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
# r13 points into the data memory; words are aligned: what is not, QEMU does not do as ARMv5 does
LOADS = st.builds(
    lambda base, up, pre, write, rd, offset: base | up << 23 | pre << 24
    | (write and pre) << 21 | 13 << 16 | rd << 12 | (offset if base & 0x400000 else offset & 0xFC),
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
LITERALS = st.builds(  # LDR, LDRB, ADD relative to the program counter
    lambda base, rd, offset: base | rd << 12 | offset & 0xFC,
    st.sampled_from([0xE59F0000, 0xE5DF0000, 0xE28F0F00]), st.integers(0, 12), st.integers(0, 255),
)  # fmt: skip
BRANCHES = st.integers(-10, 10).map(lambda n: 0xEA000000 | n & 0xFFFFFF)
PLAIN = st.one_of(
    DATA_PROCESSING, COMPARE, MULTIPLY, SIGNAL, SATURATING, CLZ, STATUS, LOADS, HALVES, BLOCKS,
    LITERALS, BRANCHES,
)  # fmt: skip
ARM = st.one_of(
    PLAIN, st.builds(lambda word, c: word & 0x0FFFFFFF | c << 28, PLAIN, st.integers(0, 13))
)
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
    tcm[native.ITCM_SIZE : native.ITCM_SIZE + 4096] = np.frombuffer(
        bytes(range(256)) * 16, np.uint8
    )
    processor.set_registers(0, 1, registers)
    processor.step(0, 1, len(code))
    assert [hex(x) for x in processor.registers(0, 1)] == [hex(x) for x in expected]
    assert tcm[native.ITCM_SIZE : native.ITCM_SIZE + 4096].tobytes() == memory


@settings(max_examples=400)
@given(word=ARM, values=st.lists(VALUES, min_size=13, max_size=13), flags=st.integers(0, 15))
def test_arm_instructions_do_what_qemus_do(reference, processor, word, values, flags):
    compare(reference, processor, [word], values, flags, 4, False)


@settings(max_examples=300)
@given(word=THUMB, values=st.lists(VALUES, min_size=13, max_size=13), flags=st.integers(0, 15))
def test_thumb_instructions_do_what_qemus_do(reference, processor, word, values, flags):
    compare(reference, processor, [word], values, flags, 2, True)


# peripherals, by programs


def test_a_timer_interrupts_at_its_period_and_wakes_the_core(machine):
    handler = [
        *li(0, TIMER), *li(1, 1), 0xE580100C,  # clear the interrupt
        *li(2, DTCM), 0xE5923000, 0xE2833001, 0xE5823000,  # count
        *li(0, VIC), 0xE5801030,  # end of interrupt
        0xE25EF004,  # subs pc, lr, #4
    ]  # fmt: skip
    code = [
        *poke(VIC + 0x100, 0x800), *poke(VIC + 0x200, 0x20 | 4), *poke(VIC + 0x10, 1 << 4),
        *poke(TIMER, 100 * US), *poke(TIMER + 8, 0xE2), *li(2, DTCM),
        0xE321F053,  # supervisor mode, interrupts on
        WAIT_FOR_INTERRUPT, 0xEAFFFFFD,
    ]  # fmt: skip
    pieces = [(0x100, struct.pack(f"<{len(code)}I", *code))]
    pieces += [(0x800, struct.pack(f"<{len(handler)}I", *handler))]
    pieces += [(0x18, struct.pack("<I", 0xE51FFFF0))]  # ldr pc, [pc, #-0xff0]
    machine.start(0, 1, native.Program(tuple(pieces), 0x100), 0)
    machine.run(machine.now + 3 * MS)
    count = slots(machine, 1)[0]
    report = machine.report(0, 1)
    assert 15 <= count <= 20  # a start at the next millisecond, then 10 in each
    assert report.interrupts == count
    assert report.cycles < 100 * count  # it slept in between
    assert report.overruns == 0


def test_dma_copies_both_ways_and_says_when_it_is_done(machine):
    machine.sdram[0][:8] = range(1, 9)
    code = [
        *poke(DMA + 0x18, 0x400), *poke(DMA + 4, SDRAM), *poke(DMA + 8, DTCM), *poke(DMA + 12, 8),
        *peek(DMA + 0x14, 4),
        *poke(DMA + 0x10, 8), *peek(DMA + 0x14, 5),
        *poke(DMA + 4, SDRAM + 64), *poke(DMA + 12, 1 << 19 | 8), HERE,
    ]  # fmt: skip
    load(machine, code)
    machine.run(machine.now + 2 * MS)
    assert slots(machine, 2) == [0x04030201, 0x08070605]
    assert slots(machine, 6)[4:] == [1 << 24 | 0x400, 1 << 24]
    assert machine.sdram[0][64:72].tolist() == list(range(1, 9))


def test_dma_to_nowhere_is_a_data_abort(machine):
    code = [*poke(DMA + 4, 0x50000000), *poke(DMA + 8, DTCM), *poke(DMA + 12, 8), HERE]
    load(machine, code, vectors=[(0x10, HERE)])
    machine.run(machine.now + 2 * MS)
    assert machine.registers(0, 1)[15] == 0x10


def test_a_lock_is_taken_once_and_given_back(machine):
    lock, release = SYSTEM + 0x104, SYSTEM + 0x184
    load(machine, [*peek(lock, 0), *peek(lock, 1), *peek(release, 2), *peek(lock, 3), HERE])
    machine.run(machine.now + 2 * MS)
    assert slots(machine, 4) == [0, 0x80000000, 0x80000000, 0]


def receive(n):
    """Code that waits for n packets and keeps their keys and payloads."""
    code = []
    for i in range(n):
        code += [*li(0, CC), 0xE590100C, 0xE3510000, 0x0AFFFFFC, 0xE5903010, 0xE5901014]
        code += [*li(2, DTCM + 8 * i), 0xE5821000, 0xE5823004]
    return [*code, HERE]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_packets_follow_routes_through_chips_whatever_the_threads(threads):
    links = [[1, -1, -1, -1, -1, -1], [2, -1, -1, 0, -1, -1], [-1, -1, -1, 1, -1, -1]]
    machine = native.Machine(links, threads)
    for chip, route in ((0, 1 | 1 << 8), (2, 1 << 7)):  # east and core 2; the middle one by default
        for offset, value in ((0x4000, route), (0x8000, 0xAB00), (0xC000, 0xFF00)):
            machine.store_router(chip, offset, value)
    send = [*poke(CC + 4, 0x1234), *poke(CC + 8, 0xAB01), *poke(CC + 8, 0xAB02), HERE]
    load(machine, send, chip=0, core=1)
    load(machine, receive(2), chip=0, core=2)
    load(machine, receive(2), chip=2, core=1)
    machine.run(machine.now + 2 * MS)
    assert slots(machine, 3, 0, 2) == [0xAB01, 0x1234, 0xAB02]
    assert slots(machine, 3, 2, 1) == [0xAB01, 0x1234, 0xAB02]
    assert machine.load_router(0, 0x300) == 2
    machine.close()


def gossip(threads):
    """Hashes of what cores of four chips hear from each other, in the order in which they do."""
    machine = native.Machine(geometry.geometry(3).neighbours, threads)
    for chip in range(4):
        for i, source in enumerate(range(4)):  # to the neighbours, and to cores 1 to 3
            route = (0b111111 if source == chip else 0) | 0b1110 << 6
            for table, value in ((0x4000, route), (0x8000, source << 24), (0xC000, 0xFF << 24)):
                machine.store_router(chip, table + 4 * i, value)
        for core in (1, 2, 3):
            code = [
                *li(0, CC), *li(6, chip << 24 | core << 16), *li(7, DTCM), 0xE3A04000, 0xE3A05000,
                0xE590100C, 0xE3510000, 0x0A000002,  # nothing there
                0xE5902014, 0xE08243E4, 0xE5874000,  # hash = key + (hash rotated by 7)
                0xE2855001, 0xE315003F, 0x01863C24, 0x05803008,  # each 64th time: send of it
                0xEAFFFFF4,
            ]  # fmt: skip
            load(machine, code, chip, core)
    machine.run(machine.now + 4 * MS)
    heard = [slots(machine, 1, chip, core)[0] for chip in range(4) for core in (1, 2, 3)]
    machine.close()
    return heard


@pytest.fixture(scope="module")
def gossip_of_one_thread():
    return gossip(1)


@pytest.mark.parametrize("threads", [2, 4])
def test_results_do_not_depend_on_the_number_of_threads(threads, gossip_of_one_thread):
    assert len(set(gossip_of_one_thread)) == 4  # cores of a chip hear the same
    assert gossip(threads) == gossip_of_one_thread


def test_results_do_not_depend_on_the_load_of_the_host(gossip_of_one_thread):
    idle = "while True: pass"
    others = [subprocess.Popen([sys.executable, "-c", idle]) for _ in range(2 * os.cpu_count())]
    try:
        assert gossip(4) == gossip_of_one_thread
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_loop_of_routes_ends(threads):
    links = [[1, -1, -1, -1, -1, -1], [2, -1, -1, 0, -1, -1], [0, -1, -1, 1, -1, -1]]
    machine = native.Machine(links, threads)
    for chip in range(3):  # round and round, and to core 2 of each
        for table, value in ((0x4000, 1 | 1 << 8), (0x8000, 5), (0xC000, 0xFFFFFFFF)):
            machine.store_router(chip, table, value)
        load(machine, receive(3), chip, 2)
    load(machine, [*poke(CC + 8, 5), HERE])
    machine.run(machine.now + 2 * MS)
    assert [slots(machine, 3, chip, 2) for chip in range(3)] == [[5, 0, 5], [5, 0, 0], [5, 0, 0]]
    assert machine.report(0, 1).packets_lost == 1
    machine.close()


def test_packets_wait_for_a_core_that_takes_them_late(machine):
    """Memories are read faster than they are sent to the host; hardware holds the sender back."""
    for table, value in ((0x4000, 1 << 8), (0x8000, 0), (0xC000, 0)):
        machine.store_router(0, table, value)
    load(machine, [*li(0, CC), 0xE5801008, 0xEAFFFFFD])
    load(machine, [HERE], core=2)
    machine.run(machine.now + 2 * MS)
    assert machine.report(0, 1).packets_sent > 90_000
    assert machine.report(0, 1).packets_lost == machine.report(0, 2).packets_lost == 0


@pytest.mark.parametrize("word", [0xE1C000D0, 0xE1C000F0], ids=["load", "store"])
@pytest.mark.parametrize("end", [DTCM + native.DTCM_SIZE, SDRAM + native.SDRAM_SIZE])
def test_a_pair_of_words_across_the_end_of_a_memory_is_a_data_abort(machine, word, end):
    load(machine, [*li(0, end - 4), word | 2 << 12, HERE], vectors=[(0x10, HERE)])
    machine.run(machine.now + 2 * MS)
    assert machine.registers(0, 1)[15] == 0x10


def test_a_packet_without_a_route_is_dropped_and_counted(machine):
    load(machine, [*poke(CC + 8, 5), HERE])
    machine.run(machine.now + 2 * MS)
    assert machine.load_router(0, 0x300 + 4 * 8) == 1


def test_a_tick_that_takes_too_long_is_reported(machine):
    handler = [*li(0, TIMER), 0xE580100C, *li(3, 30_000), 0xE2533001, 0x1AFFFFFD,
               *li(0, VIC), 0xE5801030, 0xE25EF004]  # fmt: skip
    code = [
        *poke(VIC + 0x100, 0x800), *poke(VIC + 0x200, 0x20 | 4), *poke(VIC + 0x10, 1 << 4),
        *poke(TIMER, 100 * US), *poke(TIMER + 8, 0xE2), 0xE321F053, WAIT_FOR_INTERRUPT, 0xEAFFFFFD,
    ]  # fmt: skip
    pieces = [(0x100, struct.pack(f"<{len(code)}I", *code)), (0x18, struct.pack("<I", 0xE51FFFF0))]
    pieces += [(0x800, struct.pack(f"<{len(handler)}I", *handler))]
    machine.start(0, 1, native.Program(tuple(pieces), 0x100), 0)
    machine.run(machine.now + 5 * MS)
    assert machine.report(0, 1).overruns > 3


def test_a_core_that_works_for_whole_ticks_is_reported_and_one_that_rests_is_not(machine):
    """With the interrupt cleared at once, and the work done outside of the handler."""
    handler = [
        *li(0, TIMER), 0xE580100C, *li(2, DTCM), 0xE3A03001, 0xE5823000,  # a tick to do
        *li(0, VIC), 0xE5801030, 0xE25EF004,
    ]  # fmt: skip
    for core, work in ((1, 15_000), (2, 5_000)):  # 2 cycles each, of 20,000 in a tick
        code = [
            *poke(VIC + 0x100, 0x800), *poke(VIC + 0x200, 0x20 | 4), *poke(VIC + 0x10, 1 << 4),
            *li(3, 100_000), 0xE2533001, 0x1AFFFFFD,  # what comes before the timer does not count
            *poke(TIMER, 100 * US), *poke(TIMER + 8, 0xE2), 0xE321F053, *li(5, DTCM),
            WAIT_FOR_INTERRUPT, 0xE5954000, 0xE3540000, 0x0AFFFFFB,
            0xE3A04000, 0xE5854000, *li(6, work), 0xE2566001, 0x1AFFFFFD, 0xEAFFFFF3,
        ]  # fmt: skip
        pieces = [(0x100, struct.pack(f"<{len(code)}I", *code))]
        pieces += [(0x800, struct.pack(f"<{len(handler)}I", *handler))]
        pieces += [(0x18, struct.pack("<I", 0xE51FFFF0))]
        machine.start(0, core, native.Program(tuple(pieces), 0x100), 0)
    machine.run(machine.now + 10 * MS)
    busy, resting = machine.report(0, 1), machine.report(0, 2)
    assert busy.period == resting.period == 100 * US
    assert busy.overruns > 30
    assert busy.busiest == pytest.approx(busy.period, rel=0.01)
    assert resting.overruns == 0
    assert resting.busiest == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize("elapsed", [0, 7 * 10 * US, 99 * 10 * US])
def test_what_the_host_does_at_once_arrives_on_all_chips_at_once(elapsed):
    machine = native.Machine([[1, *[-1] * 5], [*[-1] * 3, 0, -1, -1]])
    for chip in (0, 1):
        load(machine, [*poke(VIC + 0x10, 1 << 18), WAIT_FOR_INTERRUPT, HERE], chip=chip)
    load(machine, [*poke(TIMER, elapsed or 1), *poke(TIMER + 8, 0xE2), WAIT_FOR_INTERRUPT], core=2)
    machine.run(machine.now + 3 * MS + elapsed)
    assert not machine.busy
    machine.interrupt(0, 1 << 1)
    machine.interrupt(1, 1 << 1)
    assert machine.busy
    assert machine.report(0, 1).time == machine.report(1, 1).time
    assert machine.report(0, 1).time % MS == 0
    machine.close()


# geometry, heaps, programs


@pytest.mark.parametrize(
    ("settings", "chips", "boards"),
    [((3,), 4, 1), ((5,), 48, 1), ((5, 1, 1), 1, 1), ((5, 12, 12), 144, 3), ((5, 16, 16), 144, 3)],
)
def test_machines_have_the_chips_of_their_boards(settings, chips, boards):
    found = geometry.geometry(*settings)
    assert (len(found.places), len(found.boards)) == (chips, boards)
    for i, row in enumerate(found.neighbours):
        for link, behind in enumerate(row):
            assert behind < 0 or found.neighbours[behind, (link + 3) % 6] == i
    assert geometry.NOWHERE not in found.next_hops


@pytest.mark.parametrize("settings", [(4,), (5, 9, 8), (3, 8, 8), (5, 0, 0), (5, 12, 16)])
def test_a_machine_that_does_not_exist_is_refused(settings):
    with pytest.raises(InvalidValueError, match="not"):
        geometry.geometry(*settings)


class Words(dict):
    def word(self, address):
        return self.get(address, 0)

    def set_word(self, address, value):
        self[address] = value


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300), st.integers(0, 9)), max_size=40))
def test_a_heap_gives_out_blocks_that_do_not_overlap_and_takes_all_back(actions):
    heap = Heap.create(Words(), 0x1000, 0x2000)
    whole = heap.free_bytes
    held = {}
    for take, size, which in actions:
        if take:
            address = heap.allocate(size, app=3)
            if address:
                assert all(address + size <= a or a + s <= address for a, s in held.items())
                held[address] = size
        elif held:
            address = sorted(held)[which % len(held)]
            assert heap.free(address)
            assert not heap.free(address)
            del held[address]
    assert heap.free_app(3) == len(held)
    assert heap.free_bytes == heap.largest() == whole


def test_a_heap_that_a_program_has_spoilt_does_not_hang_the_monitor():
    memory = Words()
    heap = Heap.create(memory, 0x1000, 0x2000)
    first, second = heap.allocate(8), heap.allocate(8)
    heap.free(first)
    memory.set_word(first - 4, first - 8)  # the free block points to itself
    assert heap.allocate(4000) == 0
    assert heap.free(second)
    memory.set_word(second - 8, first - 8)  # blocks in a circle
    assert heap.free_app(0) == 0


def test_what_is_no_program_is_not_taken_for_one():
    assert aplx.read_program(lambda at, n: b"\xff" * n, 0) is None
    assert aplx.read_program(lambda at, n: None, 0) is None
    assert aplx.read_program(lambda at, n: struct.pack("<4I", 3, 0, 1 << 31, 0)[:n], 0) is None


# monitor


class Nowhere:
    """A network that takes messages, and has no ports to give."""

    def __init__(self):
        self.sent = []

    def set_tag(self, board, tag, address, strip):
        pass

    def set_reverse_tag(self, board, tag, port, to_port, place):
        return False

    def clear_tag(self, board, tag):
        pass

    def tag_info(self, board, tag):
        return bytes(25)

    def send(self, board, message):
        self.sent.append(message)


@pytest.fixture(scope="module")
def monitor():
    found = Monitor(geometry.geometry(3), 3, ["127.0.0.9"], Nowhere())
    yield found
    found.machine.close()


def ask(monitor, command, *arguments, data=b"", place=(0, 0), core=0):
    body = struct.pack("<2H", command, 7) + words(*arguments, *[0] * (3 - len(arguments))) + data
    message = Datagram(0x87, 0xFF, core, 0xFF, place, (0, 0), body)
    answer = Datagram.parse(monitor.receive(message, ("127.0.0.1", 5), 0))
    result, sequence = struct.unpack_from("<2H", answer.data)
    assert sequence == 7
    return result, answer.data[4:]


def test_memory_is_written_and_read(monitor):
    assert ask(monitor, Command.WRITE, SDRAM + 5, 3, data=b"abc", place=(1, 1)) == (Result.OK, b"")
    assert ask(monitor, Command.READ, SDRAM + 4, 5, place=(1, 1))[1] == b"\0abc\0"
    assert ask(monitor, Command.LINK_READ, SDRAM + 4, 5, 1)[1] == b"\0abc\0"
    assert ask(monitor, Command.FILL, SDRAM + 8, 0x01010101, 8)[0] == Result.OK
    assert ask(monitor, Command.READ, SDRAM + 8, 9)[1] == b"\1" * 8 + b"\0"


@pytest.mark.parametrize(
    ("command", "arguments", "where", "result"),
    [
        (99, (), {}, Result.COMMAND),
        (Command.READ, (SDRAM, 4), {"place": (7, 7)}, Result.ROUTE),
        (Command.READ, (SDRAM, 4), {"core": 5}, Result.DEAD),
        (Command.READ, (0x50000000, 4), {}, Result.ARGUMENT),
        (Command.READ, (SDRAM + (1 << 27) - 2, 4), {}, Result.ARGUMENT),
        (Command.READ, (SDRAM, 257), {}, Result.ARGUMENT),
        (Command.WRITE, (SDRAM, 100), {"data": b"x"}, Result.LENGTH),
        (Command.LINK_READ, (SDRAM, 4, 4), {}, Result.ROUTE),
        (Command.APP_START, (1 << 24 | 2,), {"place": (0, 1)}, Result.ARGUMENT),
        (Command.IP_TAG, (0x10000 | 200,), {}, Result.ARGUMENT),
    ],
)
def test_what_cannot_be_done_is_answered_as_the_machine_does(
    monitor, command, arguments, where, result
):
    assert ask(monitor, command, *arguments, **where) == (result, b"")


def test_memory_is_allocated_by_application_until_there_is_none(monitor):
    allocate, app = Command.ALLOCATE, 30
    first = struct.unpack("<I", ask(monitor, allocate, app << 8, 1000, 9)[1])[0]
    assert SDRAM < first < SDRAM + (1 << 27)
    assert ask(monitor, allocate, app << 8, 1000, 9)[1] == words(0)  # the tag is in use
    assert ask(monitor, allocate, app << 8 | 7, 9)[1] == words(first)
    assert ask(monitor, allocate, app << 8, 1 << 28)[1] == words(0)
    assert ask(monitor, allocate, app << 8 | 2)[1] == words(1)


def test_router_entries_are_allocated_loaded_and_cleared(monitor):
    (entry,) = struct.unpack("<I", ask(monitor, Command.ALLOCATE, 40 << 8 | 3, 5)[1])
    assert entry >= 1
    table = struct.pack("<2H3I", 0, 0, 0x81, 0xAB, 0xFF)
    ask(monitor, Command.WRITE, SDRAM + 0x10000, 16, data=table)
    ask(monitor, Command.ROUTER, 1 << 16 | 40 << 8 | 2, SDRAM + 0x10000, entry)
    assert monitor.machine.load_router(0, 0x4000 + 4 * entry) == 40 << 24 | 0x81
    assert ask(monitor, Command.ALLOCATE, 40 << 8 | 5, 1)[1] == words(1)
    assert monitor.machine.load_router(0, 0x4000 + 4 * entry) == 0xFF000000


@pytest.mark.parametrize("code", [[HERE], poke(0x50000000, 1)], ids=["loop", "abort"])
def test_a_program_that_never_reports_can_be_looked_at_and_stopped(monitor, code):
    app, core = 50, 3
    table = struct.pack("<8I", 2, 0x100, 32, 32, 4, 0x100, 0, 0) + struct.pack(
        "<8I", *code, *[HERE] * (8 - len(code))
    )
    ask(monitor, Command.WRITE, 0x67800000, len(table), data=table)
    assert ask(monitor, Command.APP_START, app << 24 | 1 << core)[0] == Result.OK
    monitor.machine.run(monitor.machine.now + 2 * MS)
    assert ask(monitor, Command.COUNT, app, 4)[1] == words(1)  # initialising, for ever
    assert monitor.machine.report(0, core).cycles >= MS
    ask(monitor, Command.SIGNAL, 0, 2 << 16 | 0xFF << 8 | app)
    assert monitor.chips[0, 0].state(core)[0] == 15
    assert not monitor.machine.busy


def test_each_board_counts_its_own_cores():
    """As spinnman asks all boards and adds up: programs may be stopped before they have ended."""
    boards = geometry.geometry(5, 12, 12)
    found = Monitor(boards, 5, ["127.0.0.9", "127.0.0.10", "127.0.0.11"], Nowhere())
    app, table = 50, struct.pack("<8I", 2, 0x100, 32, 32, 4, 0x100, 0, 0) + words(*[HERE] * 8)
    places = [(0, 0), (1, 1), (4, 8)]
    for place in places:
        ask(found, Command.WRITE, 0x67800000, len(table), data=table, place=place)
        ask(found, Command.APP_START, app << 24 | 0b110, place=place)
    counts = {
        root: ask(found, Command.COUNT, app, INITIALISING, place=root)[1] for root in boards.boards
    }
    assert counts == {(0, 0): words(4), (4, 8): words(2), (8, 4): words(0)}
    found.machine.close()


def pass_time(monitor, ms):
    start = monitor.machine.now
    for i in range(ms):
        monitor.machine.run(start + (i + 1) * MS)
        monitor.look()


@pytest.mark.parametrize(
    ("steps", "endless", "state", "lost"),
    [
        (10, False, RUNNING, True),
        (10, False, SYNCHRONISING, True),  # it does not even begin
        (200, False, RUNNING, False),  # slow, but not yet so slow
        (10, True, RUNNING, False),
        (10, False, PAUSED, False),
    ],
)
def test_a_core_that_runs_far_too_long_is_switched_off(
    steps, endless, state, lost, monitor, monkeypatch
):
    monkeypatch.setattr(watchdog, "_LATE", 20 * MS)
    monkeypatch.setattr(watchdog, "_INTERVAL", MS)
    app, core = 51, 4
    load(monitor.machine, [*poke(TIMER, MS), *poke(TIMER + 8, 0xC2), HERE], core=core)
    chip = monitor.chips[0, 0]
    chip.apps[core] = app
    chip.set_state(core, SYNCHRONISING, app)
    body = struct.pack("<2H4I", 7, 0, 100 + steps, endless, 100, 0)
    message = Datagram(0x87, 0xFF, 3 << 5 | core, 0xFF, (0, 0), (0, 0), body)
    assert monitor.receive(message, None, 0) is None
    ask(monitor, Command.SIGNAL, 0, SYNC0 << 16 | 0xFF << 8 | app)
    chip.set_state(core, state, app)
    pass_time(monitor, 75)  # allowed are 5 times 10 ms, and 20
    assert chip.state(core) == (WATCHDOG if lost else state, app)
    assert chip.alive(core) is not lost
    ask(monitor, Command.SIGNAL, 0, 2 << 16 | 0xFF << 8 | app)


def test_a_core_that_is_never_ready_to_run_is_switched_off(monitor, monkeypatch):
    monkeypatch.setattr(watchdog, "_LOADING", 20 * MS)
    monkeypatch.setattr(watchdog, "_INTERVAL", MS)
    app, core, chip = 52, 5, monitor.chips[0, 1]
    chip.start(native.Program(((0x100, struct.pack("<I", HERE)),), 0x100), [core], app, 0)
    for ms, state in ((15, INITIALISING), (15, WATCHDOG)):
        pass_time(monitor, ms)
        assert chip.state(core) == (state, app)
    ask(monitor, Command.SIGNAL, 0, 2 << 16 | 0xFF << 8 | app)


@settings(max_examples=400)
@given(wire=st.binary(max_size=300))
def test_random_datagrams_never_upset_the_monitor(monitor, wire):
    message = Datagram.parse(wire)
    if message is not None:
        monitor.receive(message, ("127.0.0.1", 5), 0)


@settings(max_examples=600)
@given(
    command=st.sampled_from(sorted(Command)),
    arguments=st.lists(
        st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 40),
                  st.integers(-20, 20).map(lambda x: (SYSRAM + 0x7F00 + x) & 0xFFFFFFFF)),
        min_size=3, max_size=3,
    ),
    data=st.binary(max_size=64),
    place=st.sampled_from([(0, 0), (1, 1), (255, 255), (9, 9)]),
    core=st.sampled_from([0, 0, 0, 1, 17, 18, 31, 32]),
)  # fmt: skip
def test_random_commands_are_answered_and_leave_the_machine_running(
    command, arguments, data, place, core, fuzzed
):
    ask(fuzzed, command, *arguments, data=data, place=place, core=core)
    fuzzed.machine.run(fuzzed.machine.now + 10 * US)
    fuzzed.collect()


@pytest.fixture(scope="module")
def fuzzed():
    found = Monitor(geometry.geometry(3), 3, ["127.0.0.9"], Nowhere())
    yield found
    found.machine.close()


# network


@pytest.fixture(scope="module")
def board():
    with EmulatedBoard(version=3, threads=1) as found:
        yield found


def test_the_board_answers_spinnmans_own_client(board):
    pytest.importorskip("spinnman", reason="pip install spynnaker")
    from spinnman.connections.udp_packet_connections import SCAMPConnection
    from spinnman.messages.scp.impl import GetChipInfo, GetVersion, ReadMemory, WriteMemory

    def exchange(request):
        connection.send(connection.get_scp_data(request, 0, 0))
        _result, _, data, offset = connection.receive_scp_response()
        response = request.get_scp_response()
        response.read_bytestring(data, offset)
        return response

    connection = SCAMPConnection(0, 0, remote_host=board.address)
    version = exchange(GetVersion(0, 0, 0)).version_info
    assert version.name == "SC&MP"
    info = exchange(GetChipInfo(1, 1)).chip_info
    assert (info.n_cores, info.nearest_ethernet_x, info.nearest_ethernet_y) == (18, 0, 0)
    assert info.largest_free_sdram_block == 123_469_792  # or the host says that it expected it
    exchange(WriteMemory((0, 1, 0), SDRAM, b"12345678"))
    read = exchange(ReadMemory((0, 1, 0), SDRAM, 8))
    assert bytes(read.data[read.offset : read.offset + read.length]) == b"12345678"
    connection.close()


def test_rubbish_and_clients_that_disappear_do_not_stop_the_server(board):
    rubbish = [b"", b"\0", b"\0" * 9, b"\xff" * 400, b"\0\0\x87\xff\0\xff\0\0\0\0\2\0\1\0"]
    draw = random.Random(1)
    rubbish += [draw.randbytes(draw.randrange(300)) for _ in range(300)]
    for wire in rubbish:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(wire, (board.address, 17893))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10.0)
        request = Datagram(
            0x87, 0xFF, 0, 0xFF, (0, 0), (0, 0), struct.pack("<2H", 0, 3) + bytes(12)
        )
        client.sendto(b"\0\0" + request.pack(), (board.address, 17893))
        assert b"SC&MP" in client.recv(2048)


def test_each_client_gets_its_own_answers(board):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for sequence in (1, 2, 3, 3, 3):  # and one that asks again
            for client in (one, other):
                client.settimeout(10.0)
                body = struct.pack("<2H", 0, sequence + 100 * (client is other)) + bytes(12)
                request = Datagram(0x87, 0xFF, 0, 0xFF, (0, 0), (0, 0), body)
                client.sendto(b"\0\0" + request.pack(), (board.address, 17893))
        for client in (one, other):
            found = [struct.unpack_from("<H", client.recv(2048), 12)[0] for _ in range(5)]
            assert found == [n + 100 * (client is other) for n in (1, 2, 3, 3, 3)]


def test_a_folder_of_the_same_name_is_not_in_the_way(tmp_path, monkeypatch):
    """As in a checkout of this project, for somebody who installed the wheel."""
    (tmp_path / "portable_cortex").mkdir()
    (tmp_path / "portable_cortex" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    with EmulatedBoard(version=3) as found:
        assert found.n_chips == 4


def test_a_process_that_is_gone_is_said():
    with EmulatedBoard(version=3) as gone:
        os.kill(gone.pid, signal.SIGKILL)
        with pytest.raises(SimulationError, match="ended"):
            gone.report()


def test_an_address_in_use_is_refused_and_another_found(board):
    with pytest.raises(InvalidValueError, match="in use"), EmulatedBoard(3, address=board.address):
        pass
    with EmulatedBoard(version=3) as second:
        assert second.address != board.address


def test_an_address_that_the_computer_has_not_is_said(monkeypatch):
    """macOS has 127.0.0.1 only."""

    class Socket(socket.socket):
        def bind(self, address):
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")

    monkeypatch.setattr(server.socket, "socket", Socket)
    with pytest.raises(InvalidValueError, match=r"lo0 alias 127\.0\.0\.2 up"):
        server.Server(geometry.geometry(3), 3)


@pytest.mark.parametrize("address", ["10.0.0.1", "0.0.0.0", "127.0.0.1", "nonsense"])
def test_only_the_loopback_network_is_served(address):
    with pytest.raises(InvalidValueError, match=r"127\.0\.0\.2"):
        EmulatedBoard(3, address=address)


def test_a_board_that_does_not_run_has_no_address():
    with pytest.raises(SimulationError, match="with statement"):
        _ = EmulatedBoard(version=3).address

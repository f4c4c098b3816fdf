"""The emulated SpiNNaker board under commands, programs and tables that make no sense."""

import struct

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from portable_cortex.backends.spinnaker.board import geometry, native
from portable_cortex.backends.spinnaker.board.messages import Command, Datagram, Result, words
from portable_cortex.backends.spinnaker.board.monitor import Monitor
from portable_cortex.errors import BackendUnavailableError

try:
    native.library()
except BackendUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

ITCM, DTCM, SDRAM, SYSRAM = 0, 0x400000, 0x60000000, 0xE5000000
CC, TIMER, VIC, DMA = 0x10000000, 0x11000000, 0x1F000000, 0x30000000
ROUTER, SYSTEM = 0xE1000000, 0xE2000000
APLX = 0x67800000  # where programs are put before they start
US = 200  # cycles

WORD = st.one_of(
    st.integers(0, 0xFFFFFFFF), st.integers(0, 64), st.sampled_from([1 << 31, 0xFFFFFFFF])
)
# first bytes, last bytes and tables of all that has an address
EDGES = (
    ITCM, native.ITCM_SIZE, DTCM, DTCM + native.DTCM_SIZE, SDRAM, SDRAM + native.SDRAM_SIZE,
    0x80000000, SYSRAM, SYSRAM + native.SYSRAM_SIZE, SYSRAM + 0x100, SYSRAM + 0x7000,
    SYSRAM + 0x7080, SYSRAM + 0x7F48, SYSRAM + 0x7FE0, SDRAM + 18 * 4096, APLX, APLX + 0x40000,
    CC, CC + 8, TIMER, TIMER + 0x20, VIC, VIC + 0x200, 0xFFFFF000, DMA, DMA + 0xC, DMA + 0x18,
    ROUTER, ROUTER + 0x84, ROUTER + 0x300, ROUTER + 0x4000, ROUTER + 0x8000, ROUTER + 0x10000,
    ROUTER + 0x20000, SYSTEM, SYSTEM + 0x100, SYSTEM + 0x180, 1 << 32,
)  # fmt: skip
ADDRESS = st.one_of(
    st.builds(lambda edge, by: (edge + by) & 0xFFFFFFFF, st.sampled_from(EDGES),
              st.integers(-12, 12)),
    st.builds(lambda edge, by: (edge + 4 * by) & 0xFFFFFFFF, st.sampled_from(EDGES),
              st.integers(-300, 300)),
    WORD,
)  # fmt: skip
PLACE = st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1), (255, 255), (9, 9)])

# instructions; r0 to r7 hold addresses and numbers
TRANSFER = st.builds(
    lambda word, rd, rn, offset: word | rd << 12 | rn << 16 | offset,
    st.sampled_from([
        0xE5800000, 0xE5900000, 0xE5C00000, 0xE5D00000,  # words and bytes
        0xE1C000B0, 0xE1D000B0, 0xE1C000D0, 0xE1C000F0,  # halves and pairs
        0xE8800000, 0xE8900000, 0xE9000000, 0xE9100000,  # blocks
        0xE1000090, 0xE1400090,  # swaps
    ]),
    st.integers(0, 14), st.integers(0, 7), st.integers(0, 15),
)  # fmt: skip
INSTRUCTION = st.one_of(
    TRANSFER,
    TRANSFER,
    st.integers(-12, 4).map(lambda by: 0xEA000000 | by & 0xFFFFFF),
    st.integers(0, 15).map(lambda register: 0xE12FFF10 | register),  # to ARM or Thumb code
    st.sampled_from([0xEE070F90, 0xE321F053, 0xE321F01F, 0xEF000000]),  # sleep, modes, call
    st.integers(0, 0xFFFFFFFF),
)
PROGRAM = st.builds(
    lambda values, code: [
        *(w for i, value in enumerate(values) for w in (0xE59F0000 | i << 12, 0xEA000000, value)),
        *code,
        0xEA000000 | (-len(code) - 2) & 0xFFFFFF,  # again
    ],
    st.lists(ADDRESS, min_size=8, max_size=8),
    st.lists(INSTRUCTION, min_size=1, max_size=12),
)  # fmt: skip
CORES = st.integers(0, (1 << 18) - 1)
APP = st.integers(0, 255)


def image(code):
    """A program as it is sent."""
    data = words(*code).ljust(-(-4 * len(code) // 32) * 32, b"\0")
    return words(2, 0x100, 32, len(data), 4, 0x100, 0, 0) + data


def writes(address, data):
    """Commands that write, in pieces that a command can carry."""
    return [
        (Command.WRITE, (address + at, len(data[at : at + 256]), 0), data[at : at + 256])
        for at in range(0, len(data), 256)
    ]


COMMAND = st.builds(
    lambda command, a, b, c, data: [(command, (a, b, c), data)],
    st.one_of(st.sampled_from(sorted(Command)), st.integers(0, 0xFFFF)),
    ADDRESS, ADDRESS, st.one_of(ADDRESS, st.integers(0, 300)), st.binary(max_size=280),
)  # fmt: skip
WRITE = st.builds(
    lambda address, values: writes(address, words(*values)),
    ADDRESS, st.lists(ADDRESS, min_size=1, max_size=16),
)  # fmt: skip
START = st.builds(
    lambda code, app, cores: [
        *writes(APLX, image(code)), (Command.APP_START, (app << 24 | cores, 0, 0), b"")
    ],
    PROGRAM, APP, CORES,
)  # fmt: skip
COPY_AND_RUN = st.builds(
    lambda code, cut, link, app, cores: [
        *writes(APLX, image(code)[:cut]),
        (Command.APP_COPY_RUN, (link, cut & ~3, app << 24 | cores), b""),
    ],
    PROGRAM, st.integers(1, 512), st.integers(0, 40), APP, CORES,
)  # fmt: skip
RUBBISH_IMAGE = st.builds(
    lambda entries, app, cores: [
        *writes(APLX, words(*entries)), (Command.APP_START, (app << 24 | cores, 0, 0), b"")
    ],
    st.lists(st.one_of(st.integers(0, 5), ADDRESS), min_size=4, max_size=32), APP, CORES,
)  # fmt: skip
ROUTES = st.builds(
    lambda entries, at, app: [
        *writes(SDRAM + 0x100000, b"".join(struct.pack("<2H3I", *entry) for entry in entries)),
        (Command.ROUTER, (len(entries) << 16 | app << 8 | 2, SDRAM + 0x100000, at), b""),
    ],
    st.lists(
        st.tuples(st.integers(0, 1100), st.integers(0, 9), WORD, st.integers(0, 3),
                  st.sampled_from([0, 1, 0xFFFFFFFF])),
        min_size=1, max_size=16,
    ),
    st.integers(0, 1100), APP,
)  # fmt: skip
STOP = st.builds(
    lambda signal, app, mask: [(Command.SIGNAL, (0, signal << 16 | mask << 8 | app, 0), b"")],
    st.integers(0, 15), APP, st.sampled_from([0, 0xFF, 0x10]),
)  # fmt: skip
HEAPS = st.builds(
    lambda operation, app, a, b: [(Command.ALLOCATE, (app << 8 | operation, a, b), b"")],
    st.integers(0, 9), APP, ADDRESS, st.integers(0, 300),
)  # fmt: skip
STEP = st.tuples(
    st.one_of(
        COMMAND, WRITE, WRITE, START, START, COPY_AND_RUN, RUBBISH_IMAGE, ROUTES, STOP, HEAPS
    ),
    PLACE,
    st.sampled_from([0, 0, 0, 0, 0, 1, 5, 17, 18, 31, 0x21, 0xFF]),  # core and port
    st.sampled_from([0, 0, 10 * US, 1000 * US]),  # how long it runs then
    st.integers(1, 2),  # duplicates
)


class Nowhere:
    """A network that takes messages, and has no ports to give."""

    def set_tag(self, board, tag, address, strip):
        pass

    def set_reverse_tag(self, board, tag, port, to_port, place):
        return False

    def clear_tag(self, board, tag):
        pass

    def tag_info(self, board, tag):
        return bytes(25)

    def send(self, board, message):
        pass


def torment(steps, threads):
    monitor = Monitor(geometry.geometry(3), 3, ["127.0.0.9"], Nowhere(), threads)
    for chip in monitor.chips.values():
        chip.set_word(SYSRAM + 0x7F1C, 0)  # the host's time
    for commands, place, to, cycles, copies in steps:
        for command, arguments, data in commands:
            body = struct.pack("<2H", command, 7) + words(*arguments) + data
            message = Datagram(0x87, 0xFF, to, 0xFF, place, (0, 0), body)
            for _ in range(copies):
                wire = monitor.receive(message, ("127.0.0.1", 5), 0)
                if wire is not None:
                    result, sequence = struct.unpack_from("<2H", Datagram.parse(wire).data)
                    assert (Result(result), sequence) == (Result(result), 7)
        end = monitor.machine.now + cycles
        while cycles and monitor.machine.run(end, 60.0) == native.ATTENTION:
            monitor.collect()
    found = monitor.report()["cores"]
    memory = [m[::4099].tobytes() for m in monitor.machine.sdram + monitor.machine.sysram]
    monitor.machine.close()
    return found, memory


def fuzz(max_examples):
    return settings(
        max_examples=max_examples, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )  # fmt: skip


STEPS = st.lists(STEP, min_size=1, max_size=12)


@fuzz(60)
@given(steps=STEPS)
def test_no_sequence_of_commands_and_programs_upsets_the_board(steps):
    torment(steps, 1)


@pytest.mark.slow
@fuzz(3000)
@given(steps=STEPS)
def test_no_long_run_of_commands_and_programs_upsets_the_board(steps):
    torment(steps, 1)


@pytest.mark.slow
@fuzz(500)
@given(steps=STEPS)
def test_rubbish_has_the_same_effects_whatever_the_threads(steps):
    assert torment(steps, 1) == torment(steps, 3)

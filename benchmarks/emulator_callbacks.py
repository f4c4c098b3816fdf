"""A translator with callbacks in C, one with callbacks compiled by numba, and the interpreter.

    python benchmarks/emulator_callbacks.py --interrupts 200000 --repeats 3

The same ARM program on each, as SpiNNaker's are: a core sleeps until a timer interrupts, and a
handler of some fifty instructions makes five accesses to peripherals. The translator is unicorn
(QEMU); around it stand a hook for each block of code, callbacks for accesses, and a loop that
enters interrupts, all in C (needs a C compiler) or all in numba, which calls the functions of
unicorn by their addresses. Printed: interrupts and ARM instructions a second, medians of processes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import struct
import subprocess
import tempfile
from pathlib import Path

import clock

CC = "cc"
DTCM, TIMER, VIC, DMA = 0x400000, 0x11000000, 0x1F000000, 0x30000000
PERIOD = 1000  # cycles


def li(register: int, value: int) -> list[int]:
    """Load a constant that stands in the code."""
    return [0xE59F0000 | register << 12, 0xEA000000, value]


def poke(address: int, value: int) -> list[int]:
    return [*li(0, address), *li(1, value), 0xE5801000]


MAIN = [
    *poke(VIC + 0x100, 0x800), *poke(VIC + 0x200, 0x24), *poke(VIC + 0x10, 1 << 4),
    *poke(TIMER, PERIOD), *poke(TIMER + 8, 0xE2), 0xE321F053, 0xEE070F90, 0xEAFFFFFD,
]  # fmt: skip
HANDLER = [
    *li(0, TIMER), *li(1, 1), 0xE580100C,  # clear the interrupt
    *li(0, DMA), 0xE5801004, 0xE5801008, 0xE5902014,
    0xE3A0300A, 0xE2533001, 0x1AFFFFFD,  # ten times round
    *li(0, VIC), 0xE5801030, 0xE25EF004,  # end of the interrupt
]  # fmt: skip
CODE = ((0x100, MAIN), (0x800, HANDLER), (0x18, [0xE51FFFF0]))

# The state of the core, in words: time, interrupts, instructions, accesses, pending, enabled,
# vector, next tick, period, control of the timer, whether it has raised its line, address of the
# next instruction, whether an interrupt is being served, number of interrupts after which to end.
(TIME, IRQS, INSTRUCTIONS, ACCESSES, PENDING, ENABLED, VECTOR, NEXT, LOAD, CONTROL, RAISED, PC,
 SERVED, ENOUGH, WORD, SIZE) = range(16)  # fmt: skip

SOURCE = r"""
#include <stdint.h>
typedef struct uc_engine uc_engine;
int uc_emu_start(uc_engine *, uint64_t, uint64_t, uint64_t, uint64_t);
int uc_emu_stop(uc_engine *);
int uc_reg_read(uc_engine *, int, void *);
int uc_reg_write(uc_engine *, int, const void *);
enum { TIME, IRQS, INSTRUCTIONS, ACCESSES, PENDING, ENABLED, VECTOR, NEXT, LOAD, CONTROL, RAISED,
       PC, SERVED, ENOUGH, WORD, SIZE };
static void update(uint64_t *s)
{
    if (s[CONTROL] & 0x80 && s[NEXT] <= s[TIME]) {
        s[RAISED] = 1;
        s[NEXT] += s[LOAD];
    }
    s[PENDING] = (s[RAISED] << 4) & s[ENABLED];
}
void block(uc_engine *uc, uint64_t address, uint32_t size, uint64_t *s)
{
    s[INSTRUCTIONS] += size >> 2;
    s[TIME] += size >> 2;
    if (s[PENDING] && !s[SERVED]) {
        uc_reg_read(uc, R_CPSR, &s[WORD]);
        if (!(s[WORD] & 0x80)) uc_emu_stop(uc);
    }
}
uint64_t load(uc_engine *uc, uint64_t offset, unsigned size, uint64_t *s)
{
    s[ACCESSES]++;
    return offset;
}
void store_vic(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, uint64_t *s)
{
    s[ACCESSES]++;
    if (offset == 0x10) s[ENABLED] |= value;
    else if (offset == 0x30) s[SERVED] = 0;
    else if (offset == 0x100) s[VECTOR] = value;
    update(s);
}
void store_timer(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, uint64_t *s)
{
    s[ACCESSES]++;
    if (offset == 0) s[LOAD] = value;
    else if (offset == 8) {
        s[CONTROL] = value;
        s[NEXT] = s[TIME] + s[LOAD];
    } else if (offset == 12) s[RAISED] = 0;
    update(s);
}
void store_dma(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, uint64_t *s)
{
    s[ACCESSES]++;
    update(s);
}
int run(uc_engine *uc, uint64_t *s)
{
    while (s[IRQS] < s[ENOUGH]) {
        update(s);
        if (s[PENDING] && !s[SERVED]) {
            uint64_t link = s[PC] + 4, status;
            uc_reg_read(uc, R_CPSR, &s[WORD]);
            status = s[WORD];
            s[WORD] = (status & ~0x3full) | 0x92;
            uc_reg_write(uc, R_CPSR, &s[WORD]);
            s[WORD] = link;
            uc_reg_write(uc, R_LR, &s[WORD]);
            s[WORD] = status;
            uc_reg_write(uc, R_SPSR, &s[WORD]);
            s[PC] = s[VECTOR];
            s[SERVED] = 1;
            s[IRQS]++;
        }
        int error = uc_emu_start(uc, s[PC], 0xfffffff0, 0, 0);
        if (error) return error;
        s[WORD] = 0;
        uc_reg_read(uc, R_PC, &s[WORD]);
        s[PC] = s[WORD];
        update(s);
        if (!s[PENDING] && s[NEXT] > s[TIME]) s[TIME] = s[NEXT]; /* asleep until then */
    }
    return 0;
}
"""


def in_c(library: str) -> dict[str, object]:
    """The callbacks and the loop, by name: compiled from `SOURCE`."""
    from unicorn import arm_const

    folder = Path(tempfile.mkdtemp())
    names = {f"R_{name}": getattr(arm_const, f"UC_ARM_REG_{name}") for name in REGISTERS}
    (folder / "callbacks.c").write_text(SOURCE)
    subprocess.run(
        [CC, "-O2", "-shared", "-fPIC", *(f"-D{k}={v}" for k, v in names.items()),
         "callbacks.c", "-o", "callbacks.so", library, f"-Wl,-rpath,{Path(library).parent}"],
        cwd=folder, check=True,
    )  # fmt: skip
    found = ctypes.CDLL(str(folder / "callbacks.so"))
    found.run.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    names = ("block", "load", "store_vic", "store_timer", "store_dma")
    addresses = {name: ctypes.cast(getattr(found, name), ctypes.c_void_p).value for name in names}
    return {**addresses, "run": found.run}


REGISTERS = ("CPSR", "LR", "SPSR", "PC")


def in_numba(library: str) -> dict[str, object]:
    """The same, compiled by numba."""
    from numba import carray, cfunc, njit, types
    from unicorn import arm_const

    unicorn = ctypes.CDLL(library)
    word, number = ctypes.c_uint64, ctypes.c_int

    def function(name: str, *arguments: object) -> object:
        found = ctypes.CFUNCTYPE(number, *arguments)(
            ctypes.cast(getattr(unicorn, name), ctypes.c_void_p).value
        )
        return found

    start = function("uc_emu_start", word, word, word, word, word)
    stop = function("uc_emu_stop", word)
    read = function("uc_reg_read", word, number, word)
    write = function("uc_reg_write", word, number, word)
    cpsr, lr, spsr, pc = (getattr(arm_const, f"UC_ARM_REG_{name}") for name in REGISTERS)
    state = types.CPointer(types.uint64)
    u64, u32 = types.uint64, types.uint32
    store = types.void(u64, u64, u32, u64, state)
    scratch = 8 * WORD

    @njit
    def update(s):
        if s[CONTROL] & 0x80 and s[NEXT] <= s[TIME]:
            s[RAISED] = 1
            s[NEXT] += s[LOAD]
        s[PENDING] = (s[RAISED] << 4) & s[ENABLED]

    @cfunc(types.void(u64, u64, u32, state))
    def block(uc, address, size, pointer):
        s = carray(pointer, SIZE)
        s[INSTRUCTIONS] += size >> 2
        s[TIME] += size >> 2
        if s[PENDING] and not s[SERVED]:
            read(uc, cpsr, s.ctypes.data + scratch)
            if not s[WORD] & 0x80:
                stop(uc)

    @cfunc(u64(u64, u64, u32, state))
    def load(uc, offset, size, pointer):
        s = carray(pointer, SIZE)
        s[ACCESSES] += 1
        return offset

    @cfunc(store)
    def store_vic(uc, offset, size, value, pointer):
        s = carray(pointer, SIZE)
        s[ACCESSES] += 1
        if offset == 0x10:
            s[ENABLED] |= value
        elif offset == 0x30:
            s[SERVED] = 0
        elif offset == 0x100:
            s[VECTOR] = value
        update(s)

    @cfunc(store)
    def store_timer(uc, offset, size, value, pointer):
        s = carray(pointer, SIZE)
        s[ACCESSES] += 1
        if offset == 0:
            s[LOAD] = value
        elif offset == 8:
            s[CONTROL] = value
            s[NEXT] = s[TIME] + s[LOAD]
        elif offset == 12:
            s[RAISED] = 0
        update(s)

    @cfunc(store)
    def store_dma(uc, offset, size, value, pointer):
        s = carray(pointer, SIZE)
        s[ACCESSES] += 1
        update(s)

    @cfunc(types.int32(u64, state))
    def run(uc, pointer):
        s = carray(pointer, SIZE)
        at = s.ctypes.data + scratch
        while s[IRQS] < s[ENOUGH]:
            update(s)
            if s[PENDING] and not s[SERVED]:
                link = s[PC] + 4
                read(uc, cpsr, at)
                status = s[WORD]
                s[WORD] = (status & 0xFFFFFFC0) | 0x92
                write(uc, cpsr, at)
                s[WORD] = link
                write(uc, lr, at)
                s[WORD] = status
                write(uc, spsr, at)
                s[PC] = s[VECTOR]
                s[SERVED] = 1
                s[IRQS] += 1
            error = start(uc, s[PC], 0xFFFFFFF0, 0, 0)
            if error:
                return error
            s[WORD] = 0
            read(uc, pc, at)
            s[PC] = s[WORD]
            update(s)
            if not s[PENDING] and s[NEXT] > s[TIME]:
                s[TIME] = s[NEXT]
        return 0

    names = {"block": block, "load": load, "store_vic": store_vic, "store_timer": store_timer,
             "store_dma": store_dma}  # fmt: skip
    return {**{name: f.address for name, f in names.items()}, "run": run.ctypes, "keep": names}


def translated(kind: str, interrupts: int) -> dict[str, float]:
    """Time on unicorn."""
    import unicorn
    from unicorn import arm_const
    from unicorn import unicorn_const as const

    library = next(str(p) for p in Path(unicorn.__file__).parent.rglob("libunicorn.so*"))
    callbacks = {"c": in_c, "numba": in_numba}[kind](library)
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_946)
    uc.mem_map(0, 1 << 15)
    uc.mem_map(DTCM, 1 << 16)
    for address, words in CODE:
        uc.mem_write(address, struct.pack(f"<{len(words)}I", *words))
    uc.reg_write(arm_const.UC_ARM_REG_CPSR, 0xD3)
    state = (ctypes.c_uint64 * SIZE)()
    state[PC], state[ENOUGH] = 0x100, interrupts
    pointer = ctypes.c_void_p(ctypes.addressof(state))
    raw, handle = ctypes.CDLL(library), ctypes.c_void_p(uc._uch.value)
    word = ctypes.c_uint64
    for base, name in ((VIC, "store_vic"), (TIMER, "store_timer"), (DMA, "store_dma")):
        status = raw.uc_mmio_map(
            handle, word(base), word(0x1000), ctypes.c_void_p(callbacks["load"]), pointer,
            ctypes.c_void_p(callbacks[name]), pointer,
        )  # fmt: skip
        assert status == 0
    hook = ctypes.c_void_p()
    status = raw.uc_hook_add(
        handle, ctypes.byref(hook), const.UC_HOOK_BLOCK, ctypes.c_void_p(callbacks["block"]),
        pointer, word(1), word(0),
    )  # fmt: skip
    assert status == 0
    run = callbacks["run"]
    with clock.Stopwatch() as watch:
        error = run(
            handle.value, ctypes.cast(pointer, ctypes.POINTER(word)) if kind == "numba" else pointer
        )
    assert error == 0
    assert state[ACCESSES] >= 5 * (interrupts - 1)
    return speeds(watch, interrupts, state[INSTRUCTIONS])


def interpreted(interrupts: int) -> dict[str, float]:
    """Time on this package's interpreter."""
    from portable_cortex.backends.spinnaker.board import native

    machine = native.Machine([[-1] * 6])
    pieces = tuple((at, struct.pack(f"<{len(words)}I", *words)) for at, words in CODE)
    machine.start(0, 1, native.Program(pieces, 0x100), 0)
    with clock.Stopwatch() as watch:
        machine.run(machine.now + native.CYCLES_PER_MS + interrupts * PERIOD)
    found = machine.report(0, 1)
    machine.close()
    return speeds(watch, found.interrupts, found.cycles)


def speeds(watch: clock.Stopwatch, interrupts: int, instructions: int) -> dict[str, float]:
    """In a second by the clock, and in a second of processor time."""
    return {
        f"{what} a second{of}": number / seconds
        for what, number in (("interrupts", interrupts), ("instructions", instructions))
        for of, seconds in (("", watch.wall), (f" of {clock.PROCESSOR}", watch.cpu))
    }


def measure(kind: str, interrupts: int) -> dict[str, float]:
    return interpreted(interrupts) if kind == "own" else translated(kind, interrupts)


TITLES = {
    "c": "unicorn, callbacks in C", "numba": "unicorn, callbacks by numba", "own": "interpreter",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interrupts", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=TITLES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind:
        print(json.dumps(measure(arguments.kind, arguments.interrupts)))
        return
    with clock.session():
        compare(arguments.interrupts, arguments.repeats)


def compare(interrupts: int, repeats: int) -> None:
    """Let the contestants take turns, and print medians."""
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in TITLES}
    for _ in range(repeats):
        for kind in runs:
            command = (__file__, "--kind", kind, "--interrupts", str(interrupts))
            runs[kind].append(clock.child(kind, *command))
    rows = [row for row in runs["own"][0] if row not in ("waits", clock.PROCESSOR)]
    print(f"| | {' | '.join(rows)} |")
    print("|---" * (len(rows) + 1) + "|")
    for kind, own in runs.items():
        medians = [statistics.median(run[row] for run in own) for row in rows]
        mark = clock.mark(run["waits"] for run in own)
        print(f"| {TITLES[kind]}{mark} | {' | '.join(f'{median:.3g}' for median in medians)} |")


if __name__ == "__main__":
    main()

"""Draw programs, run them on the backends, and print each difference, shrunk.

``python -m differential -n 1000 --seed 3 --backend nest`` in ``tests/``.
"""

from __future__ import annotations

import argparse
import re
import time
import traceback
from collections import Counter
from textwrap import indent

from .compare import UnclearError, check
from .draw import numbered
from .program import Program
from .script import script
from .worker import Worker

BACKENDS = ("builtin", "nest", "neuron", "brian2")


def kind_of(text: str) -> str:
    """A difference without its numbers: what is the same fault, most likely."""
    return re.sub(r"-?\d*\d+(\.\d+)?(e-?\d+)?|\[.*?\]|'\w*'", "#", text)[:90]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="programs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", action="append", help="one of them; all unless given")
    parser.add_argument("--minutes", type=float, default=1e9, help="to stop after")
    options = parser.parse_args()
    workers = {name: Worker(name) for name in options.backend or BACKENDS}
    counts: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    began = time.perf_counter()
    for number in range(options.n):
        if time.perf_counter() - began > 60 * options.minutes:
            break
        program = numbered(options.seed * 1_000_000 + number)
        counts["programs"] += 1
        for backend, worker in workers.items():
            refused = worker.refusals
            try:
                text = check(worker, program)
            except UnclearError as why:
                counts[f"unclear: {why}"] += 1
                continue
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                text = f"the interpreter: {error!r} ({last.name}:{last.lineno})"
            finally:
                counts["refused on " + backend] += worker.refusals > refused
            if text is None:
                continue
            counts["different on " + backend] += 1
            kind = kind_of(text)
            kinds[backend, kind] += 1
            if kinds[backend, kind] == 1:
                print(f"\n{backend}, program {number} of seed {options.seed}:")
                print(show(*shrunk(worker, kind, program, text)), flush=True)
        if number % 50 == 49:
            print(f"... {time.perf_counter() - began:.0f} s", dict(counts), flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s", dict(counts))
    for (backend, kind), times in sorted(kinds.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{times:4} x {backend}: {kind}")
    for worker in workers.values():
        worker.stop()


def shrunk(worker: Worker, kind: str, program: Program, text: str) -> tuple[Program, str]:
    """The smallest program of the same kind: statements are left out, one by one."""
    smaller = True
    while smaller:
        smaller = False
        for k in reversed(range(1, len(program))):
            less = program[:k] + program[k + 1 :]
            try:
                new = check(worker, less)
            except Exception:  # a name that is gone, or nothing to compare
                continue
            if new and kind_of(new) == kind:
                program, text, smaller = less, new, True
    return program, text


def show(program: Program, text: str) -> str:
    """A program, as data and as a script, and its difference."""
    return indent(f"{script(program)}\n# {text}\n{program}", "    ")


if __name__ == "__main__":
    main()

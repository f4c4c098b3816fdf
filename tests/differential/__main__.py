"""Draw programs, run them on the backends, and print each difference, shrunk.

``python -m differential -n 1000 --seed 3 --backend nest`` in ``tests/``.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from textwrap import indent

from hypothesis import HealthCheck, Phase, given, seed, settings

from .compare import Unclear, difference
from .draw import programs
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
    parser.add_argument("--shrink", type=int, default=1, help="kinds of each backend to shrink")
    options = parser.parse_args()
    backends = tuple(options.backend or BACKENDS)
    workers = {name: Worker(name) for name in backends}
    counts: Counter[str] = Counter()
    differences: dict[str, dict[str, list[tuple[Program, str]]]] = {b: {} for b in backends}
    spent: Counter[str] = Counter()

    @seed(options.seed)
    @settings(
        max_examples=options.n, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(programs())
    def every(program: Program) -> None:
        counts["programs"] += 1
        for backend, worker in workers.items():
            began = time.perf_counter()
            outcome = worker.run(program)
            spent[backend] += time.perf_counter() - began
            counts["refused on " + backend] += outcome.refused is not None
            try:
                text = difference(backend, program, outcome)
            except Unclear as why:
                counts[f"unclear: {why}"] += 1
                continue
            if text:
                differences[backend].setdefault(kind_of(text), []).append((program, text))

    began = time.perf_counter()
    every()
    print(f"{time.perf_counter() - began:.0f} s", dict(counts), {b: f"{s:.1f} s" for b, s in spent.items()})
    for backend, kinds in differences.items():
        print(f"\n{backend}: {sum(map(len, kinds.values()))} differences of {len(kinds)} kinds")
        for number, (kind, cases) in enumerate(sorted(kinds.items(), key=lambda k: -len(k[1]))):
            program, text = min(cases, key=lambda case: len(repr(case[0])))
            print(f"  {len(cases)} x {text}")
            if number < options.shrink:
                print(show(*shrunk(workers[backend], backend, kind, program, text)))
    for worker in workers.values():
        worker.stop()


def shrunk(worker: Worker, backend: str, kind: str, program: Program, text: str) -> tuple[Program, str]:
    """The smallest program with the same kind of difference: statements are left out, one by one."""
    smaller = True
    while smaller:
        smaller = False
        for k in reversed(range(1, len(program))):
            less = program[:k] + program[k + 1 :]
            try:
                new = difference(backend, less, worker.run(less))
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

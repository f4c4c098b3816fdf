"""The built-in engine beside programs that keep cores busy, and beside none.

Contestants are those of ``builtin_slices.py``: each holds one network, and they take turns, a slice
of model time each; before every turn as many endless loops are started as --busy says, and ended
after it. A fair share of the cores would make threads + busy programs share them evenly.

    python benchmarks/busy_machine.py --scale 1 before=BEFORE/bin/python now=python
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import clock
from builtin_slices import Contestant, add_network

# ends by itself if this script is killed
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"
START = 1.0  # s, until the loops run and the scheduler has placed them


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep so many programs running within the ``with`` block."""
    programs = [subprocess.Popen([sys.executable, "-S", "-c", LOOP]) for _ in range(number)]
    try:
        if programs:
            time.sleep(START)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_network(parser)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2], help="busy programs")
    arguments = parser.parse_args()
    contestants = [Contestant(text, arguments) for text in arguments.contestants]
    slices: dict[tuple[str, int], list[clock.Stopwatch]] = {}
    for _ in range(arguments.slices):
        for number in arguments.busy:
            with busy(number):
                for one in contestants:
                    slices.setdefault((one.name, number), []).append(one.simulate(arguments.ms))
    for one in contestants:
        one.end()
    cores, threads = clock.cores(), arguments.threads
    print(
        f"{clock.machine()}; scale {arguments.scale:g}, {arguments.drive}, {threads} threads, "
        f"{arguments.slices} slices of {arguments.ms:g} ms in turn\n"
    )
    print("| | busy programs | real-time factor, median [min, max] | of a thread's processor time "
          "| time / time beside none | fair share | time / that of the first |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    walls = {key: statistics.median(s.wall for s in times) for key, times in slices.items()}
    for (name, number), times in slices.items():
        cpu = statistics.median(s.cpu for s in times) / threads
        fair = max(1.0, (threads + number) / cores)
        alone = walls[name, min(arguments.busy)]
        first = walls[contestants[0].name, number]
        wall = walls[name, number]
        print(
            f"| {name} | {number} | {clock.cell([s.wall for s in times])} | {cpu:.2f} "
            f"| {wall / alone:.2f} | {fair:.2f} | {wall / first:.2f} |"
        )
    idle = [s.waits for (_, number), times in slices.items() if number == 0 for s in times]
    if idle:
        print(f"\nBeside none: {clock.remark(idle)}")
    print(f"Load at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()

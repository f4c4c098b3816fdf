"""The built-in engine beside programs that keep cores busy, and beside none.

Contestants are those of ``builtin_slices.py``: each holds one network, and they take turns, a slice
of model time each; before every turn as many endless loops are started as --busy says, and ended
after it. A fair share of the cores would make threads + busy programs share them evenly.

    python benchmarks/busy_machine.py --scale 1 before=BEFORE/bin/python now=python
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import clock
from builtin_slices import CONTESTANT, Contestant, add_network

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
    if not arguments.contestants:
        parser.error(f"name the contestants: {CONTESTANT} ...")
    with clock.session():
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Let the contestants take turns, with so many busy programs beside them."""
    contestants = [Contestant(text, arguments) for text in arguments.contestants]
    slices: dict[tuple[str, int], list[clock.Stopwatch]] = {}
    for _ in range(arguments.slices):
        for number in arguments.busy:
            with busy(number):
                for one in contestants:
                    slices.setdefault((one.name, number), []).append(one.simulate(arguments.ms))
    for one in contestants:
        one.end()
    threads, least = arguments.threads, min(arguments.busy)
    print(
        f"scale {arguments.scale:g}, {arguments.drive}, {threads} threads, "
        f"{arguments.slices} slices of {arguments.ms:g} ms in turn\n\n"
        "| | busy programs | real-time factor, median [min, max] | a thread's processor time, s/s "
        f"| / time beside {least} | fair share | / time of {contestants[0].name} |\n"
        "|---|---|---|---|---|---|---|"
    )
    walls = {key: statistics.median(s.wall for s in times) for key, times in slices.items()}
    for (name, number), times in slices.items():
        wall, cpu = walls[name, number], statistics.median(s.cpu for s in times) / threads
        # the loops make it wait; none should where there are none
        waits = [] if number else [s.waits for s in times]
        fair = max(1.0, (threads + number) / clock.cores())
        print(
            f"| {name} | {number} | {clock.cell([s.wall for s in times], waits=waits)} | {cpu:.2f} "
            f"| {wall / walls[name, least]:.2f} | {fair:.2f} "
            f"| {wall / walls[contestants[0].name, number]:.2f} |"
        )


if __name__ == "__main__":
    main()

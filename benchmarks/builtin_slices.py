"""Versions and options of the built-in engine beside each other, in slices of one network each.

Every contestant is a process of its own, which builds the microcircuit once; then they take turns,
a slice of model time each, so that what else the machine does slows all of them. Beside the wall
clock stands the processor time of a thread: where they differ, the cores were not free.

    python benchmarks/builtin_slices.py --scale 1 double=python single=python:precision=single
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time


def serve(scale: float, drive: str, threads: int, options: list[str]) -> None:
    """Build, then simulate as many ms as each line of the standard input says."""
    import portable_cortex
    from portable_cortex.models import pd14

    settings = {"threads": str(threads), **dict(option.split("=") for option in options)}
    sim = portable_cortex.simulator("builtin", options=settings)
    sim.setup(timestep=0.1, rng_seed=1)
    pd14.build(sim, scale=scale, drive=drive, seed=1)
    sim.run(100.0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, flush=True)
    for line in sys.stdin:
        before, began = time.process_time(), time.perf_counter()
        sim.run(float(line))
        wall, cpu = time.perf_counter() - began, time.process_time() - before
        print(wall, cpu / threads, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contestants", nargs="*", help="NAME=PYTHON[:OPTION=VALUE...]")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--drive", default="poisson")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--ms", type=float, default=300.0, help="model time of a slice")
    parser.add_argument("--serve", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.scale, arguments.drive, arguments.threads, arguments.serve)
        return
    processes, memory = {}, {}
    for contestant in arguments.contestants:
        name, _, rest = contestant.partition("=")
        python, *options = rest.split(":")
        command = [python, __file__, "--scale", str(arguments.scale), "--drive", arguments.drive]
        command += ["--threads", str(arguments.threads), "--serve", *options]
        pipe = subprocess.PIPE
        processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        memory[name] = float(processes[name].stdout.readline())
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in processes}
    for _ in range(arguments.slices):
        for name, process in processes.items():
            process.stdin.write(f"{arguments.ms}\n")
            process.stdin.flush()
            seconds = map(float, process.stdout.readline().split())
            times[name].append(tuple(1e3 * s / arguments.ms for s in seconds))
    print(
        f"scale {arguments.scale:g}, {arguments.drive}, {arguments.threads} threads, "
        f"{arguments.slices} slices of {arguments.ms:g} ms in turn, "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print("| | real-time factor, median [min] | of a thread's CPU time | ratio | memory |")
    print("|---|---|---|---|---|")
    first = 0.0
    for name, rows in times.items():
        (wall, least), (cpu, _) = ((statistics.median(c), min(c)) for c in zip(*rows, strict=True))
        first = first or cpu
        print(
            f"| {name} | {wall:.2f} [{least:.2f}] | {cpu:.2f} | {cpu / first:.2f} | "
            f"{memory[name]:.2f} GB |"
        )
    for process in processes.values():
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()

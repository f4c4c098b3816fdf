"""Versions and options of the built-in engine beside each other, in slices of one network each.

Every contestant is a process of its own, which builds the microcircuit; then they take turns, a
slice of model time each, so that what else the machine does slows all of them. With ``--builds 5``
there are as many processes one after the other, in turn too, and the last one simulates. Beside the
wall clock stands the processor time of a thread: where they differ, the cores were not free.

    python benchmarks/builtin_slices.py --scale 1 double=python single=python:precision=single
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys

import clock

CONTESTANT = "NAME=PYTHON[:OPTION=VALUE...]"


class Contestant:
    """A process that holds one network, and simulates it slice by slice.

    Parameters
    ----------
    text : str
        ``NAME=PYTHON[:OPTION=VALUE...]``, the Python of an environment with some version.
    network : argparse.Namespace
        Has ``scale``, ``drive`` and ``threads``.

    Attributes
    ----------
    memory : float
        GB, once it is built.
    built : clock.Stopwatch
        Creating, connecting and the first step.
    """

    def __init__(self, text: str, network: argparse.Namespace) -> None:
        self.name, _, rest = text.partition("=")
        python, *options = rest.split(":")
        if not python or not all("=" in option for option in options):
            sys.exit(f"a contestant is {CONTESTANT}, not {text!r}")
        command = [python, __file__, "--scale", str(network.scale), "--drive", network.drive]
        command += ["--threads", str(network.threads), "--serve", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        answer = self._answer()
        self.memory = answer.pop("memory")
        self.built = clock.Stopwatch(**answer)

    def simulate(self, milliseconds: float) -> clock.Stopwatch:
        """Time of a slice, divided by its model time."""
        assert self._process.stdin is not None
        print(milliseconds, file=self._process.stdin, flush=True)
        times, seconds = clock.Stopwatch(**self._answer()), milliseconds * 1e-3
        return clock.Stopwatch(times.wall / seconds, times.cpu / seconds, times.waits)

    def end(self) -> None:
        """Let the process go."""
        self._process.communicate()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} has failed, with exit status {self._process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer


def add_network(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what is simulated, and how long."""
    parser.add_argument("contestants", nargs="*", help=CONTESTANT)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--drive", default="poisson")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--ms", type=float, default=300.0, help="model time of a slice")


def serve(network: argparse.Namespace, options: list[str]) -> None:
    """Build, then simulate as many ms as each line of the standard input says."""
    import portable_cortex
    from portable_cortex.models import pd14

    settings = {"threads": str(network.threads), **dict(option.split("=") for option in options)}
    sim = portable_cortex.simulator("builtin", options=settings)
    sim.setup(timestep=0.1, rng_seed=1)
    with clock.Stopwatch() as watch:
        pd14.build(sim, scale=network.scale, drive=network.drive, seed=1)
        sim.run(0.1)
    sim.run(100.0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"memory": memory, **_said(watch)}), flush=True)
    for line in sys.stdin:
        with clock.Stopwatch() as watch:
            sim.run(float(line))
        print(json.dumps(_said(watch)), flush=True)


def _said(watch: clock.Stopwatch) -> dict[str, float]:
    return {"wall": watch.wall, "cpu": watch.cpu, "waits": watch.waits}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_network(parser)
    parser.add_argument("--builds", type=int, default=1, help="times that each is built")
    parser.add_argument("--serve", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments, arguments.serve)
        return
    if not arguments.contestants:
        parser.error(f"name the contestants: {CONTESTANT} ...")
    with clock.session():
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Let the contestants take turns."""
    built: dict[str, list[clock.Stopwatch]] = {}
    for number in range(arguments.builds):
        contestants = []
        for text in arguments.contestants:
            one = Contestant(text, arguments)
            built.setdefault(one.name, []).append(one.built)
            if number == arguments.builds - 1:
                contestants.append(one)
            else:
                one.end()
    slices: dict[str, list[clock.Stopwatch]] = {one.name: [] for one in contestants}
    for _ in range(arguments.slices):
        for one in contestants:
            slices[one.name].append(one.simulate(arguments.ms))
    threads = arguments.threads
    print(
        f"scale {arguments.scale:g}, {arguments.drive}, {threads} threads, "
        f"{arguments.slices} slices of {arguments.ms:g} ms in turn\n\n"
        "| | real-time factor, median [min, max] | a thread's processor time, s/s | ratio "
        "| memory | build, s | its processor time, s | ratio |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    first_build = statistics.median(b.cpu for b in built[contestants[0].name])
    first = statistics.median(s.cpu for s in slices[contestants[0].name])
    for one in contestants:
        times = slices[one.name]
        wall = clock.cell([s.wall for s in times], waits=[s.waits for s in times])
        cpu = statistics.median(s.cpu for s in times)
        builds = built[one.name]
        build = clock.cell([b.wall for b in builds], waits=[b.waits for b in builds])
        build_cpu = statistics.median(b.cpu for b in builds)
        print(
            f"| {one.name} | {wall} | {cpu / threads:.2f} | {cpu / first:.2f} "
            f"| {one.memory:.2f} GB | {build} | {build_cpu:.2f} | {build_cpu / first_build:.2f} |"
        )
        one.end()


if __name__ == "__main__":
    main()

"""The microcircuit on NEURON: this package beside plain pyNN.neuron, build and simulate.

    python benchmarks/neuron_build_and_simulate.py --scale 0.01 --repeats 3

Plain pyNN.neuron is what its user would write: the same description (`portable_cortex.model.build`)
in the namespace ``pyNN.neuron``. It compiles its mechanisms into the folder in which PyNN is
installed; here it is given those of this package. Each run is a process of its own, the two take
turns, and the result is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

MINE, PLAIN = "portable-cortex", "pyNN.neuron"


def measure(which: str, scale: float, duration: float, timestep: float) -> dict[str, float]:
    """One run in this process."""
    from portable_cortex import model, simulator

    portable = simulator("neuron")
    if which == PLAIN:
        import pyNN.neuron as sim
    else:
        sim = portable
    start = time.perf_counter()
    if which == PLAIN:
        sim.setup(timestep=timestep, native_rng_baseseed=1)
    else:
        sim.setup(timestep=timestep, rng_seed=1)
    populations = model.build(sim, scale=scale)
    sim.run(0)
    built = time.perf_counter()
    sim.run(duration)
    end = time.perf_counter()
    return {
        "build_s": built - start,
        "simulate_s": end - built,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "neurons": sum(p.size for p in populations.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--duration", type=float, default=500.0, help="ms")
    parser.add_argument("--timestep", type=float, default=0.1, help="ms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=(MINE, PLAIN), help="one of them, without the other")
    parser.add_argument("--one", choices=(MINE, PLAIN), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.scale, given.duration, given.timestep)))
        return
    which = (given.only,) if given.only else (MINE, PLAIN)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in which}
    for _ in range(given.repeats):
        for name in which:
            command = [sys.executable, __file__, "--one", name, "--scale", str(given.scale)]
            command += ["--duration", str(given.duration), "--timestep", str(given.timestep)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, found[name][-1], flush=True)
    for key in ("build_s", "simulate_s", "memory_mb"):
        medians = {name: statistics.median(run[key] for run in found[name]) for name in which}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in medians.items())
        ratio = "" if given.only else f"  ratio {medians[MINE] / medians[PLAIN]:.3f}"
        print(f"{key:11} {shown}{ratio}")


if __name__ == "__main__":
    main()

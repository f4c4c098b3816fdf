"""The microcircuit on NEURON: this package beside plain pyNN.neuron, build and simulate.

    python benchmarks/neuron_build_and_simulate.py --scale 0.01 --repeats 3
    python benchmarks/neuron_build_and_simulate.py --synapses 500000 --repeats 3

Plain pyNN.neuron is what its user would write: the same description (`build` of `models.pd14`)
in the namespace ``pyNN.neuron``. It compiles its mechanisms into the folder in which PyNN is
installed; here it is given those of this package. With ``--synapses``, one projection of that many
synapses is made, beside a Python loop over NEURON's ``gid_connect`` with all numbers at hand. Each
run is a process of its own, the two take turns, and the result is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

MINE, PLAIN, LOOP = "portable-cortex", "pyNN.neuron", "loop"


def measure(which: str, scale: float, duration: float, timestep: float) -> dict[str, float]:
    """Build and simulate the microcircuit in this process."""
    from portable_cortex import simulator
    from portable_cortex.models import pd14 as model

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


def measure_connecting(which: str, synapses: int) -> dict[str, float]:
    """Connect a thousand neurons with each other, with random weights and delays."""
    import numpy as np

    from portable_cortex import simulator

    sim = simulator("neuron")
    sim.setup(timestep=0.1, rng_seed=1)
    cells = sim.Population(1000, sim.IF_curr_exp())
    rng = np.random.default_rng(1)
    sources, targets = rng.integers(cells.size, size=(2, synapses)).tolist()
    weights = rng.normal(0.0878, 0.00878, synapses).tolist()
    delays = (0.1 * np.maximum(np.round(rng.normal(15, 7.5, synapses)), 1)).tolist()
    memory, start = _memory(), time.perf_counter()
    if which == MINE:
        weight = sim.RandomDistribution("normal_clipped", mu=0.0878, sigma=0.00878, low=0, high=1)
        delay = sim.RandomDistribution("normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=10)
        synapse = sim.StaticSynapse(weight=weight, delay=delay)
        kept = sim.Projection(cells, cells, sim.FixedTotalNumberConnector(synapses), synapse)
    else:
        from neuron import h

        context, kept = h.ParallelContext(), []
        numbers = [int(cell) for cell in cells]
        receptors = [cell._cell.source for cell in cells]
        for source, target, weight, delay in zip(sources, targets, weights, delays, strict=True):
            connection = context.gid_connect(numbers[source], receptors[target])
            connection.weight[0] = weight
            connection.delay = delay
            kept.append(connection)
    assert len(kept) == synapses
    return {
        "us_per_synapse": (time.perf_counter() - start) / synapses * 1e6,
        "bytes_per_synapse": (_memory() - memory) / synapses,
    }


def _memory() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--duration", type=float, default=500.0, help="ms")
    parser.add_argument("--timestep", type=float, default=0.1, help="ms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--synapses", type=int, help="measure what one synapse costs to make")
    parser.add_argument("--only", choices=(MINE, PLAIN, LOOP), help="one, without the other")
    parser.add_argument("--one", choices=(MINE, PLAIN, LOOP), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        if given.synapses:
            found_here = measure_connecting(given.one, given.synapses)
        else:
            found_here = measure(given.one, given.scale, given.duration, given.timestep)
        print(json.dumps(found_here))
        return
    peer = LOOP if given.synapses else PLAIN
    which = (given.only,) if given.only else (MINE, peer)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in which}
    for _ in range(given.repeats):
        for name in which:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(name, found[name][-1], flush=True)
    for key in found[which[0]][0]:
        medians = {name: statistics.median(run[key] for run in found[name]) for name in which}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in medians.items())
        ratio = "" if given.only else f"  ratio {medians[MINE] / medians[peer]:.3f}"
        print(f"{key:17} {shown}{ratio}")


if __name__ == "__main__":
    main()

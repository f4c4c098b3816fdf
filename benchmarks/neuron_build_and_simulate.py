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
import sys
from pathlib import Path

import clock

MINE, PLAIN, LOOP = "portable-cortex", "pyNN.neuron", "loop"
UNITS = {
    "build": " s",
    "build, processor time": " s",
    "simulate": " s",
    "simulate, processor time": " s",
    "memory": " MB",
    "time of a synapse": " µs",
    "time of a synapse, processor time": " µs",
    "memory of a synapse": " bytes",
}


def measure(which: str, scale: float, duration: float, timestep: float) -> dict[str, float]:
    """Build and simulate the microcircuit in this process."""
    from portable_cortex import simulator
    from portable_cortex.models import pd14 as model

    portable = simulator("neuron")
    if which == PLAIN:
        import pyNN.neuron as sim
    else:
        sim = portable
    with clock.Stopwatch() as build:
        if which == PLAIN:
            sim.setup(timestep=timestep, native_rng_baseseed=1)
        else:
            sim.setup(timestep=timestep, rng_seed=1)
        populations = model.build(sim, scale=scale)
        sim.run(0)
    with clock.Stopwatch() as simulate:
        sim.run(duration)
    return {
        **build.times("build"),
        **simulate.times("simulate"),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
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
    memory = _memory()
    with clock.Stopwatch() as watch:
        if which == MINE:
            weight = sim.RandomDistribution(
                "normal_clipped", mu=0.0878, sigma=0.00878, low=0, high=1
            )
            delay = sim.RandomDistribution("normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=10)
            synapse = sim.StaticSynapse(weight=weight, delay=delay)
            kept = sim.Projection(cells, cells, sim.FixedTotalNumberConnector(synapses), synapse)
        else:
            from neuron import h

            context, kept = h.ParallelContext(), []
            numbers = [int(cell) for cell in cells]
            receptors = [cell._cell.source for cell in cells]
            for source, target, weight, delay in zip(
                sources, targets, weights, delays, strict=True
            ):
                connection = context.gid_connect(numbers[source], receptors[target])
                connection.weight[0] = weight
                connection.delay = delay
                kept.append(connection)
    assert len(kept) == synapses
    times = {name: s / synapses * 1e6 for name, s in watch.times("time of a synapse").items()}
    return {**times, "memory of a synapse": (_memory() - memory) / synapses}


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
    arguments = parser.parse_args()
    if arguments.one:
        if arguments.synapses:
            result = measure_connecting(arguments.one, arguments.synapses)
        else:
            result = measure(arguments.one, arguments.scale, arguments.duration, arguments.timestep)
        print(json.dumps(result))
        return
    peer = LOOP if arguments.synapses else PLAIN
    with clock.session():
        compare((arguments.only,) if arguments.only else (MINE, peer), arguments.repeats)


def compare(names: tuple[str, ...], repeats: int) -> None:
    """Let the contestants take turns, and print medians and their ratio."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            runs[name].append(clock.child(name, __file__, *sys.argv[1:], "--one", name))
            print(f"  {name} {runs[name][-1]}", file=sys.stderr, flush=True)
    ratio = "" if len(names) == 1 else " ratio of medians |"
    print(f"| | {' | '.join(names)} |{ratio}")
    print("|---" * (len(names) + 1 + bool(ratio)) + "|")
    for row, unit in UNITS.items():
        if row not in runs[names[0]][0]:
            continue
        columns = [[run[row] for run in runs[name]] for name in names]
        wall = unit in (" s", " µs") and clock.PROCESSOR not in row
        cells = [
            clock.cell(values, unit, [run["waits"] for run in runs[name]] if wall else [])
            for name, values in zip(names, columns, strict=True)
        ]
        if ratio:
            first, second = map(statistics.median, columns)
            cells.append(f"{first / second:.2f}")
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

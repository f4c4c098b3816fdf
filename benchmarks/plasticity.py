"""What a synaptic event costs at plastic synapses, beside a static one.

Neurons driven by Poisson input, so that they fire as much whatever arrives, with recurrent synapses
that are static, Tsodyks and Markram's, or have a pair rule. Processor time beyond that of the same
network without recurrent synapses, by their events. `--beside nest brian2` adds these.

    python benchmarks/plasticity.py --beside nest
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import clock

STEP = 0.1  # ms
KINDS = "none static short_term additive multiplicative guetig"


def synapse(sim: Any, kind: str, delay: Any) -> Any:
    """Weights are so small that they do not matter, and hardly change."""
    weight = 1e-4
    if kind == "static":
        return sim.StaticSynapse(weight=weight, delay=delay)
    if kind == "short_term":
        return sim.TsodyksMarkramSynapse(
            weight=weight, delay=delay, U=0.5, tau_rec=100.0, tau_facil=50.0
        )
    dependence = {
        "additive": lambda: sim.AdditiveWeightDependence(w_min=0.0, w_max=2 * weight),
        "multiplicative": lambda: sim.MultiplicativeWeightDependence(w_min=0.0, w_max=2 * weight),
        "guetig": lambda: sim.GutigWeightDependence(
            w_min=0.0, w_max=2 * weight, mu_plus=0.4, mu_minus=0.4
        ),
    }[kind]()
    return sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=20.0, tau_minus=20.0, A_plus=1e-3, A_minus=1e-3
        ),
        weight_dependence=dependence,
        weight=weight,
        delay=delay,
    )


def one(backend: str, kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measured in this process."""
    import portable_cortex

    n = arguments.cells
    threads = {"threads": str(arguments.threads)}
    sim = portable_cortex.simulator(backend, options=threads)
    sim.setup(timestep=STEP, rng_seed=1, min_delay=STEP, max_delay=10.0)
    cells = sim.Population(n, sim.IF_curr_exp(tau_syn_E=0.5, tau_syn_I=0.5, tau_m=10.0, cm=0.25))
    source = sim.Population(n, sim.SpikeSourcePoisson(rate=arguments.drive))
    sim.Projection(
        source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.35, delay=STEP)
    )
    delay: Any = 1.5
    if arguments.delays == "drawn":
        delay = sim.RandomDistribution(
            "normal_clipped", mu=1.5, sigma=0.75, low=0.1, high=8.0, rng=sim.NumpyRNG(seed=1)
        )
    with clock.Stopwatch() as built:
        if kind != "none":
            connector = sim.FixedNumberPreConnector(arguments.in_degree, rng=sim.NumpyRNG(seed=2))
            sim.Projection(
                cells, cells, connector, synapse(sim, kind, delay), receptor_type="excitatory"
            )
        cells.record("spikes")
        sim.run(0.0)
    sim.run(200.0)
    times = []
    for _ in range(arguments.slices):
        before = of_living()
        with clock.Stopwatch() as watch:
            sim.run(arguments.ms)
        times.append((watch.wall, watch.cpu + of_living() - before, watch.waits))
    seconds = 0.2 + arguments.slices * arguments.ms * 1e-3
    spikes = sum(map(len, cells.get_data().segments[0].spiketrains))
    return {"built": built.cpu, "times": times, "rate": spikes / n / seconds}


def of_living() -> float:
    """Processor time of programs that this one has started and that run (Brian2's), s; Linux."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        return 0.0
    of_each = (
        Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[11:13]
        for pid in children.read_text("ascii").split()
    )
    return sum(sum(map(int, ticks)) for ticks in of_each) / os.sysconf("SC_CLK_TCK")


def measured(backend: str, kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measured in a process of its own."""
    command = [sys.executable, __file__, "--one", backend, kind]
    for name in ("cells", "slices", "ms", "drive", "in_degree", "delays", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{backend}, {kind}: ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(arguments: argparse.Namespace) -> None:
    """Print a row for each kind of synapses."""
    print(
        f"{arguments.cells} neurons, {arguments.in_degree} synapses each, delays "
        f"{arguments.delays}; processor time, median of {arguments.slices} slices"
    )
    for backend in ("builtin", *arguments.beside):
        alone = static = None
        for kind in arguments.kinds:
            found = measured(backend, kind, arguments)
            cpu = statistics.median(t[1] for t in found["times"])
            busy = any(waits > clock.SHARED for _, _, waits in found["times"])
            events = arguments.cells * arguments.in_degree * found["rate"] * arguments.ms * 1e-3
            if alone is None:
                alone = cpu
                print(f"{backend:8} {kind:15} {cpu:8.3f} s  {found['rate']:.2f} spikes/s")
                continue
            each = (cpu - alone) / events * 1e9
            static = static or each
            print(
                f"{backend:8} {kind:15} {cpu:8.3f} s  {found['rate']:.2f} spikes/s  "
                f"{each:7.2f} ns an event  {each / static:5.2f} of static  "
                f"built in {found['built']:.1f} s{'  (busy)' if busy else ''}",
                flush=True,
            )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=8000)
    parser.add_argument("--in-degree", type=int, default=1000)
    parser.add_argument("--drive", type=float, default=2500.0, help="spikes/s (%(default)s)")
    parser.add_argument("--delays", choices=("equal", "drawn"), default="drawn")
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--ms", type=float, default=500.0, help="of a slice (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", nargs="*", default=(), choices=("nest", "brian2"))
    parser.add_argument("--kinds", nargs="*", default=KINDS.split())
    parser.add_argument("--one", nargs=2, metavar=("BACKEND", "KIND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one, arguments)))
        return
    with clock.session():
        compare(arguments)


if __name__ == "__main__":
    main()

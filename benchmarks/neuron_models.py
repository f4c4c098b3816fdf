"""What a step of a neuron costs, for the models of the catalogue.

A population of each, with Poisson input to its receptors, on one thread: processor time by neurons
and steps, with all that a step has. `--beside nest` adds NEST, with the same cells and input.
The first run of a model on a backend compiles it, which is not counted.

    python benchmarks/neuron_models.py --beside nest
    python benchmarks/neuron_models.py adex_curr_exp mat2_curr_exp precision=single
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

import clock

STEP = 0.1  # ms
RATE = 800.0  # spikes/s at each receptor
# largest weights of excitation and inhibition by what is in a model's name: nA, uS, mV
WEIGHTS = {
    "_curr_delta": (1.0, -1.0),
    "_curr_": (0.4, -0.4),
    "_cond_": (0.01, 0.02),
    "": (3.0, -2.0),
}
OWN = {  # where the others would be silent or too much
    "hh_squid_curr_alpha": (0.0005, -0.0003),
    "izhikevich_2007": (0.8, -0.6),
    "mat2_curr_exp": (1.2, -0.6),
    "amat2_curr_exp": (1.2, -0.6),
}


def weights(model: str) -> tuple[float, float]:
    """Of a model's receptors."""
    return OWN.get(model) or next(pair for part, pair in WEIGHTS.items() if part in model)


def one(backend: str, model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measured in this process."""
    import portable_cortex

    options = (
        dict(option.split("=") for option in arguments.options) if backend == "builtin" else {}
    )
    sim = portable_cortex.simulator(backend, options={"threads": "1", **options})
    sim.setup(timestep=STEP, rng_seed=1)
    kind = sim.nestml_cell_type("Cells", model)
    cells = sim.Population(arguments.cells, kind())
    for receptor, weight in zip(cells.celltype.receptor_types, weights(model), strict=False):
        source = sim.Population(arguments.cells, sim.SpikeSourcePoisson(rate=RATE))
        sim.Projection(
            source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight, delay=STEP),
            receptor_type=receptor,
        )  # fmt: skip
    cells.record("spikes")
    with clock.Stopwatch() as first:
        sim.run(100.0)
    times = []
    for _ in range(arguments.slices):
        with clock.Stopwatch() as watch:
            sim.run(arguments.ms)
        times.append((watch.wall, watch.cpu, watch.waits))
    seconds = (100.0 + arguments.slices * arguments.ms) * 1e-3
    spikes = sum(map(len, cells.get_data().segments[0].spiketrains))
    return {"first": first.cpu, "times": times, "rate": spikes / arguments.cells / seconds}


def measured(backend: str, model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measured in a process of its own."""
    command = [sys.executable, __file__, model, *arguments.options, "--one", backend]
    for name in ("cells", "slices", "ms"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {}
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def nanoseconds(said: dict[str, Any], arguments: argparse.Namespace) -> float:
    """Of processor time for a neuron and step."""
    steps = arguments.ms / STEP * arguments.cells
    return 1e9 * statistics.median(cpu for _, cpu, _ in said["times"]) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help="all of them, if none is named; and OPTION=VALUE")
    parser.add_argument("--beside", choices=("nest",))
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--ms", type=float, default=200.0, help="model time of a slice")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.options = [name for name in arguments.models if "=" in name]
    models = [name for name in arguments.models if "=" not in name]
    if arguments.one:
        print(json.dumps(one(arguments.one, models[0], arguments)))
        return
    from portable_cortex.neurons.library import catalogue

    with clock.session():
        table(models or list(catalogue()), arguments)


def table(models: list[str], arguments: argparse.Namespace) -> None:
    """Print it, line by line."""
    backends = ["builtin", *([arguments.beside] if arguments.beside else [])]
    print(
        f"{arguments.cells} neurons, {RATE:g} spikes/s at each receptor, one thread, median of "
        f"{arguments.slices} slices of {arguments.ms:g} ms; {' '.join(arguments.options)}\n"
    )
    heads = ["", "spikes/s", *(f"{backend}, ns" for backend in backends)]
    heads += ["wall clock, builtin, ns"] + ["ratio"] * (len(backends) - 1)
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for model in models:
        said = {backend: measured(backend, model, arguments) for backend in backends}
        cells = [model, "/".join(f"{s['rate']:.1f}" if s else "-" for s in said.values())]
        times = [nanoseconds(s, arguments) if s else None for s in said.values()]
        cells += ["-" if t is None else f"{t:.1f}" for t in times]
        steps = arguments.ms / STEP * arguments.cells
        walls = [(1e9 * wall / steps, waits) for wall, _, waits in said["builtin"].get("times", [])]
        shared = [waits for _, waits in walls]
        cells.append(clock.cell([wall for wall, _ in walls], waits=shared) if walls else "-")
        if len(times) > 1:
            own, other = times
            cells.append("-" if own is None or other is None else f"{other / own:.1f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

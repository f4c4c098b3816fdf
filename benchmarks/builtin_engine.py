"""The built-in engine beside NEST and Brian2, and how its cost grows with the work.

Every measurement is a process of its own; the contestants take turns, so that a machine whose speed
drifts slows both. Same network and Poisson drive, two threads, no recording. Ratios are ratios of
medians.

    python benchmarks/builtin_engine.py                         # beside them at scale 0.1
    python benchmarks/builtin_engine.py --full --duration 300   # full scale, with one run of NEST
    python benchmarks/builtin_engine.py --growth                # cost per event, scales 0.05 to 1
    python benchmarks/builtin_engine.py --start                 # second start of a small network
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from brian2_build_and_simulate import measure as measure_brian2
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
GROWTH = Path(__file__).with_name("builtin_growth.png")

WARMUP = 100.0  # ms
UNITS = {"build": " s", "real-time factor": "", "memory": " GB"}
STEPS_PER_SECOND = 10_000


def run(
    backend: str, scale: float, duration: float, threads: int, record: bool
) -> dict[str, float]:
    """One run of the microcircuit."""
    import portable_cortex

    began = time.perf_counter()
    recording = portable_cortex.run(
        backend=backend,
        scale=scale,
        warmup=WARMUP,
        duration=duration,
        record_spikes=record,
        options={"threads": str(threads)},
    )
    about = recording.metadata
    phases = about["phases_s"]
    return {
        "build": sum(phases[name] for name in ("create", "connect", "prepare")),
        "simulate": phases["simulate"],
        "real-time factor": about["real_time_factor"],
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "neurons": about["n_neurons"],
        "synapses": about["n_synapses"],
        "events": about["synaptic_events"] or 0,
        "total": time.perf_counter() - began,
    }


def measure(*settings: object) -> dict[str, float]:
    """`run` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(settings)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{settings} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {settings} {result}", file=sys.stderr)
    return result


def summary(runs: list[dict[str, float]], what: str, unit: str) -> tuple[float, str]:
    """Median, and the text with the range."""
    values = [run[what] for run in runs]
    median = statistics.median(values)
    return median, f"{median:.2f}{unit} [{min(values):.2f}, {max(values):.2f}]"


def compare(scale: float, duration: float, threads: int, repeats: int) -> None:
    """Let the engine, NEST and a script in Brian2's own terms take turns."""
    names = ("builtin", "nest", "Brian2 by hand")
    measure("builtin", scale, 1.0, threads, False)  # compiles, where that was not done before
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name in names[:2]:
                runs[name].append(measure(name, scale, duration, threads, False))
            other = measure_brian2("by hand", scale, duration, threads, folder)
            other["real-time factor"] = other["simulate"] / (duration * 1e-3)
            print(f"  {names[2]} {other}", file=sys.stderr)
            runs[names[2]].append(other)
    print(f"\nscale {scale:g}, {duration:g} ms, {threads} threads, "
          f"median of {repeats} [min, max]\n")  # fmt: skip
    print(
        f"| | {' | '.join(names)} | NEST / builtin | Brian2 / builtin |\n|---|---|---|---|---|---|"
    )
    for what, unit in UNITS.items():
        medians, cells = zip(*(summary(runs[name], what, unit) for name in names), strict=True)
        ratios = [f"{median / medians[0]:.2f}" for median in medians[1:]]
        print(f"| {' | '.join([what, *cells, *ratios])} |")


def full(duration: float, threads: int, repeats: int) -> None:
    """The whole network: `repeats` runs of this engine, and one of NEST, which takes minutes."""
    runs = [measure("builtin", 1.0, duration, threads, False) for _ in range(repeats)]
    nest = measure("nest", 1.0, duration, threads, False)
    print(f"\nscale 1, {runs[0]['synapses']:,} synapses, {duration:g} ms after {WARMUP:g} ms, "
          f"{threads} threads, builtin: median of {repeats} [min, max]\n")  # fmt: skip
    print("| | builtin | nest | NEST / builtin |\n|---|---|---|---|")
    for what, unit in UNITS.items():
        median, cell = summary(runs, what, unit)
        print(f"| {what} | {cell} | {nest[what]:.2f}{unit} | {nest[what] / median:.1f} |")


def growth(scales: list[float], duration: float, threads: int) -> None:
    """Time against steps, neuron updates and recurrent events; their costs by least squares."""
    seconds, updates, events = [], [], []
    print("\n| scale | neurons | synapses | events/s | real-time factor | ns per event |")
    print("|---|---|---|---|---|---|")
    for scale in scales:
        result = measure("builtin", scale, duration, threads, True)
        per_second = 1e3 / duration
        seconds.append(result["real-time factor"])
        updates.append(result["neurons"] * STEPS_PER_SECOND)
        events.append(result["events"] * per_second)
        print(
            f"| {scale:g} | {result['neurons']:,} | {result['synapses']:,} | {events[-1]:.3g} "
            f"| {seconds[-1]:.2f} | {1e9 * seconds[-1] / events[-1]:.1f} |",
            flush=True,
        )
    work = np.column_stack([np.full(len(scales), STEPS_PER_SECOND), updates, events])
    relative = work / np.array(seconds)[:, np.newaxis]  # equal weight for every scale
    costs, _ = nnls(relative, np.ones(len(seconds)))
    per_step, per_update, per_event = costs
    print(f"\nleast squares: {1e6 * per_step:.1f} µs a step, {1e9 * per_update:.2f} ns an update "
          f"(Poisson input included), {1e9 * per_event:.2f} ns an event; {threads} threads "
          "together")  # fmt: skip
    plot(scales, np.array(seconds), work, costs)


def plot(scales: list[float], seconds: Array, work: Array, costs: Array) -> None:
    """Wall-clock time over the work there is, and what takes it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.loglog(work[:, 2], work @ costs, color="0.6", label="least squares")
    left.loglog(work[:, 2], seconds, "o", label="measured")
    left.set_xlabel("recurrent events in a second of model time")
    left.set_ylabel("real-time factor")
    left.legend(frameon=False)
    places, bottom = np.arange(len(scales)), np.zeros(len(scales))
    for what, part in zip(("steps", "neuron updates", "recurrent events"), work.T, strict=True):
        cost = costs[len(right.containers)] * part / (work @ costs)
        right.bar(places, cost, bottom=bottom, label=what)
        bottom += cost
    right.set_xticks(places, [f"{scale:g}" for scale in scales])
    right.set_xlabel("scale")
    right.set_ylabel("share of the time")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(GROWTH, dpi=120)
    print(GROWTH)


def start(threads: int) -> None:
    """Second start: from a new interpreter to the end of the first step."""
    script = (
        "import time, portable_cortex as pc; sim = pc.simulator('builtin');"
        f"sim.setup(timestep=0.1, threads={threads}); p = sim.Population(100, sim.IF_curr_exp());"
        "sim.Projection(p, p, sim.FixedProbabilityConnector(0.1), sim.StaticSynapse(weight=0.1,"
        "delay=1.0)); p.record('spikes'); sim.run(0.1); print(time.time())"
    )
    seconds = []
    for _ in range(6):
        began = time.time()
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        seconds.append(float(done.stdout) - began)
    seconds = seconds[1:]  # the first may have compiled
    print(
        f"start: median {statistics.median(seconds):.2f} s [{min(seconds):.2f}, {max(seconds):.2f}]"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--scales", type=float, nargs="*", default=[0.05, 0.1, 0.2, 0.5, 1.0])
    parser.add_argument("--duration", type=float, default=1000.0, help="ms of model time")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(*json.loads(arguments.one))))
    elif arguments.full:
        full(arguments.duration, arguments.threads, arguments.repeats)
    elif arguments.growth:
        growth(arguments.scales, arguments.duration, arguments.threads)
    elif arguments.start:
        start(arguments.threads)
    else:
        compare(arguments.scale, arguments.duration, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()

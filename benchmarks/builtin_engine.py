"""The built-in engine beside NEST and Brian2, and how its cost grows with the work.

Every measurement is a process of its own; the contestants take turns, so that a machine whose speed
drifts slows both. Same network and Poisson drive, two threads, no recording. Ratios are ratios of
medians.

    python benchmarks/builtin_engine.py                         # beside them at scale 0.1
    python benchmarks/builtin_engine.py --full --duration 300   # full scale, with one run of NEST
    python benchmarks/builtin_engine.py --growth                # what a step, neuron, event cost
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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import clock
import matplotlib.pyplot as plt
import numpy as np
from brian2_build_and_simulate import measure as measure_brian2
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
GROWTH = Path(__file__).with_name("builtin_growth.png")

WARMUP = 100.0  # ms
UNITS = {
    "build": " s",
    "build, processor time": " s",
    "real-time factor": "",
    "core-seconds per s of model time": "",
    "memory": " GB",
}
ON_THE_WALL = ("build", "real-time factor")  # and not in processor time
STEPS_PER_SECOND = 10_000


def run(
    backend: str, scale: float, duration: float, threads: int, record: bool, drive: str = "poisson"
) -> dict[str, float]:
    """One run of the microcircuit."""
    import portable_cortex

    recording = portable_cortex.run(
        backend=backend,
        scale=scale,
        drive=drive,
        warmup=WARMUP,
        duration=duration,
        record_spikes=record,
        options={"threads": str(threads)},
    )
    about = recording.metadata
    times = clock.of_run(about, build=("create", "connect", "prepare"), simulate=("simulate",))
    return {
        **times,
        "real-time factor": about["real_time_factor"],
        "core-seconds per s of model time": about["cpu_s"]["simulate"] / (duration * 1e-3),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "neurons": about["n_neurons"],
        "synapses": about["n_synapses"],
        "spikes": about["n_spikes"] or 0,
        "events": about["synaptic_events"] or 0,
    }


def measure(*settings: object) -> dict[str, float]:
    """`run` in a process of its own."""
    result = clock.child(str(settings), __file__, "--one", json.dumps(settings))
    print(f"  {settings} {result}", file=sys.stderr)
    return result


def cell(runs: Sequence[Mapping[str, float]], what: str, unit: str) -> str:
    """Median and range of one quantity; nothing where a contestant does not tell it."""
    if what not in runs[0]:
        return ""
    waits = [run["waits"] for run in runs] if what in ON_THE_WALL else []
    return clock.cell([run[what] for run in runs], unit, waits)


def ratio(
    runs: Sequence[Mapping[str, float]], first: Sequence[Mapping[str, float]], what: str
) -> str:
    """Of medians; nothing where a contestant does not tell it."""
    return f"{median(runs, what) / median(first, what):.2f}" if what in runs[0] else ""


def median(runs: Iterable[Mapping[str, float]], what: str) -> float:
    return statistics.median(run[what] for run in runs)


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
            seconds = duration * 1e-3
            other["real-time factor"] = other["simulate"] / seconds
            other["core-seconds per s of model time"] = other["simulate, processor time"] / seconds
            print(f"  {names[2]} {other}", file=sys.stderr)
            runs[names[2]].append(other)
    print(f"\nscale {scale:g}, {duration:g} ms, {threads} threads, "
          f"median of {repeats} [min, max]\n")  # fmt: skip
    print(
        f"| | {' | '.join(names)} | NEST / builtin | Brian2 / builtin |\n|---|---|---|---|---|---|"
    )
    for what, unit in UNITS.items():
        cells = [cell(runs[name], what, unit) for name in names]
        ratios = [ratio(runs[name], runs[names[0]], what) for name in names[1:]]
        print(f"| {' | '.join([what, *cells, *ratios])} |")


def full(duration: float, threads: int, repeats: int) -> None:
    """The whole network: `repeats` runs of this engine, and one of NEST, which takes minutes."""
    runs = [measure("builtin", 1.0, duration, threads, False) for _ in range(repeats)]
    nest = measure("nest", 1.0, duration, threads, False)
    print(f"\nscale 1, {runs[0]['synapses']:,} synapses, {duration:g} ms after {WARMUP:g} ms, "
          f"{threads} threads, builtin: median of {repeats} [min, max], NEST once\n")  # fmt: skip
    print("| | builtin | nest | NEST / builtin |\n|---|---|---|---|")
    for what, unit in UNITS.items():
        cells = [cell(runs, what, unit), cell([nest], what, unit), ratio([nest], runs, what)]
        print(f"| {' | '.join([what, *cells])} |")


# --- growth ---

PARTS = ("step", "other thread", "neuron", "its Poisson input", "spike", "event")
"""What a thread spends its time on; every thread looks up every spike."""

MORE_THREADS = (1, 2, 8, 64)


@dataclass(frozen=True)
class Work:
    """The network of a run, and what happened in a step of it on average."""

    drive: str
    neurons: float
    spikes: float
    events: float

    def of_thread(self, threads: int) -> Array:
        """How often a thread does each of `PARTS` in a step."""
        neurons, events = self.neurons / threads, self.events / threads
        poisson = neurons if self.drive == "poisson" else 0.0
        return np.array([1.0, threads - 1.0, neurons, poisson, self.spikes, events])


def growth(
    scales: list[float],
    drives: list[str],
    duration: float,
    threads: int,
    repeats: int,
    path: Path,
) -> None:
    """Processor time of a thread against its work; what each part costs by least squares."""
    runs: dict[tuple[float, str, int], list[dict[str, float]]] = {}
    cases = [(scale, drive, n) for scale in scales for drive in drives
             for n in range(1, threads + 1)]  # fmt: skip
    for _ in range(repeats):
        for scale, drive, n in cases:
            result = measure("builtin", scale, duration, n, True, drive)
            runs.setdefault((scale, drive, n), []).append(result)
    steps = duration * 1e-3 * STEPS_PER_SECOND
    work, seconds = [], []
    for (_, drive, n), results in runs.items():
        first = results[0]
        work.append(Work(drive, first["neurons"], first["spikes"] / steps, first["events"] / steps))
        seconds.append(median(results, "simulate, processor time") / n / steps)
    amounts = np.array([w.of_thread(n) for w, (*_, n) in zip(work, runs, strict=True)])
    measured = np.array(seconds)
    costs = fitted(amounts, measured)
    print(
        f"\n{duration:g} ms after {WARMUP:g} ms, spikes recorded, median of {repeats}; of a thread "
        "and step; model: least squares, below\n\n"
        "| scale | drive | threads | spikes | events, all threads | processor time, µs | model, µs "
        "| real-time factor |\n|---|---|---|---|---|---|---|---|"
    )
    for (scale, drive, n), w, own, result in zip(runs, work, amounts, measured, strict=True):
        wall = cell(runs[scale, drive, n], "real-time factor", "")
        print(
            f"| {scale:g} | {drive} | {n} | {w.spikes:.2f} | {w.events:,.0f} | {1e6 * result:.1f} "
            f"| {1e6 * (own @ costs):.1f} | {wall} |"
        )
    print("\n| once costs a thread | ns |\n|---|---|")
    for part, cost in zip(PARTS, costs, strict=True):
        print(f"| {part} | {1e9 * cost:.2f} |")
    largest = max(scales)
    networks = [w for w, (scale, _, n) in zip(work, runs, strict=True)
                if scale == largest and n == 1]  # fmt: skip
    print(
        f"\nscale {largest:g}, what the model says of more threads, each on a core of its own; µs "
        f"of a thread and step\n\n| drive | threads | {' | '.join(PARTS)} | all | real-time factor "
        "| without meetings | core-seconds per s |\n" + "|---" * (len(PARTS) + 6) + "|"
    )
    for network in networks:
        for n in MORE_THREADS:
            parts = 1e6 * network.of_thread(n) * costs
            meetings = parts[PARTS.index("other thread")]
            factor, least = (
                1e-6 * STEPS_PER_SECOND * np.array([parts.sum(), parts.sum() - meetings])
            )
            cells = [network.drive, str(n), *(f"{part:.1f}" for part in parts)]
            cells += [f"{parts.sum():.1f}", f"{factor:.2f}", f"{least:.2f}", f"{n * factor:.1f}"]
            print(f"| {' | '.join(cells)} |")
    plot(path, list(runs), np.array([w.events for w in work]), measured, amounts @ costs,
         [networks[0].of_thread(n) * costs for n in MORE_THREADS])  # fmt: skip


def fitted(amounts: Array, measured: Array) -> Array:
    """Cost of each of `PARTS`, none below 0; every run has equal weight."""
    relative = amounts / measured[:, np.newaxis]
    largest = np.where(relative.any(axis=0), relative.max(axis=0), 1.0)
    costs: Array = nnls(relative / largest, np.ones(len(measured)))[0] / largest
    return costs


def plot(
    path: Path,
    cases: Sequence[tuple[float, str, int]],
    events: Array,
    measured: Array,
    model: Array,
    parts: Sequence[Array],
) -> None:
    """Processor time of a thread over the events, and what takes it with more threads."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    for number, (drive, n) in enumerate(dict.fromkeys(case[1:] for case in cases)):
        chosen = np.array([case[1:] == (drive, n) for case in cases]) & (events > 0)
        label = f"{drive}, {n} thread{'s' if n > 1 else ''}"
        left.loglog(events[chosen], 1e6 * measured[chosen], "o", color=f"C{number}", label=label)
        left.loglog(events[chosen], 1e6 * model[chosen], color=f"C{number}", linewidth=0.8)
    left.set_xlabel("recurrent events in a step")
    left.set_ylabel("processor time of a thread\nin a step (µs); line: model")
    left.legend(frameon=False)
    places, bottom = np.arange(len(parts)), np.zeros(len(parts))
    for part, costs in zip(PARTS, 1e6 * np.transpose(parts), strict=True):
        right.bar(places, costs, bottom=bottom, label=part)
        bottom += costs
    right.set_xticks(places, [f"{n}" for n in MORE_THREADS])
    right.set_xlabel("threads (8 and 64: model)")
    right.set_ylabel("µs of a thread in a step")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    print(f"\n{path}")


def start(threads: int) -> None:
    """Second start: from a new interpreter to the end of the first step."""
    script = (
        "import time, portable_cortex as pc; sim = pc.simulator('builtin');"
        f"sim.setup(timestep=0.1, threads={threads}); p = sim.Population(100, sim.IF_curr_exp());"
        "sim.Projection(p, p, sim.FixedProbabilityConnector(0.1), sim.StaticSynapse(weight=0.1,"
        "delay=1.0)); p.record('spikes'); sim.run(0.1); print(time.time())"
    )
    walls, watches = [], []
    for _ in range(6):
        began = time.time()
        with clock.Stopwatch() as watch:
            done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        walls.append(float(done.stdout) - began)
        watches.append(watch)
    del walls[0], watches[0]  # the first may have compiled
    print(
        f"start: median {clock.cell(walls, ' s', [watch.waits for watch in watches])}; processor "
        f"time of the whole process {clock.cell([watch.cpu for watch in watches], ' s')}"
    )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="--growth: from 1 to this")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    )
    parser.add_argument("--drives", nargs="+", default=["poisson", "dc"], help="of --growth")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms of model time")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--plot", type=Path, default=GROWTH, help="picture of --growth")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(*json.loads(arguments.one))))
        return
    threads, repeats = arguments.threads, arguments.repeats
    with clock.session():
        if arguments.full:
            full(arguments.duration, threads, repeats)
        elif arguments.growth:
            growth(
                arguments.scales, arguments.drives, arguments.duration, threads, repeats,
                arguments.plot,
            )  # fmt: skip
        elif arguments.start:
            start(threads)
        else:
            compare(arguments.scale, arguments.duration, threads, repeats)


if __name__ == "__main__":
    main()

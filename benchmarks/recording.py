"""Save and load ten seconds of the full network's activity: time and memory.

python benchmarks/recording.py
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
from pathlib import Path

import clock


def make(seconds: float) -> object:
    """A recording with the published rates of all 77,169 neurons."""
    import numpy as np

    from portable_cortex import Recording
    from portable_cortex.models.parameters import PD14
    from portable_cortex.recording import by_time

    rng = np.random.default_rng(1)
    trains = {}
    for label, size, rate in zip(PD14.populations, PD14.sizes, PD14.full_rates, strict=True):
        n = rng.poisson(rate * size * seconds)
        steps = rng.integers(1, round(seconds * 1e4) + 1, n)
        trains[label] = by_time(500.0 + steps * 0.1, rng.integers(0, size, n))
    sizes = dict(zip(PD14.populations, PD14.sizes, strict=True))
    metadata = {"populations": sizes, "warmup_ms": 500.0, "duration_ms": seconds * 1e3}
    return Recording(sizes, trains, metadata)


def one(action: str, folder: Path, seconds: float) -> dict[str, float]:
    """Save or load in this process."""
    from portable_cortex import Recording

    recording = make(seconds) if action == "save" else None
    with clock.Stopwatch() as watch:
        if isinstance(recording, Recording):
            recording.save(folder, overwrite=True)
        else:
            recording = Recording.load(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    spikes = sum(s.times.size for s in recording.spike_trains.values())
    return {**watch.times("time"), "memory": peak, "spikes": spikes}


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of model time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.folder, arguments.seconds)))
        return
    with clock.session(), tempfile.TemporaryDirectory() as folder:
        print("| | time | processor time | peak memory of the process | spikes |")
        print("|---|---|---|---|---|")
        for action in ("save", "load"):
            command = [__file__, "--one", action, "--folder", folder]
            command += ["--seconds", str(arguments.seconds)]
            runs = [clock.child(action, *command) for _ in range(arguments.repeats)]
            wall = clock.cell([run["time"] for run in runs], " s", [run["waits"] for run in runs])
            cpu = clock.cell([run["time, processor time"] for run in runs], " s")
            memory = statistics.median(run["memory"] for run in runs)
            print(f"| {action} | {wall} | {cpu} | {memory:.0f} MB | {runs[0]['spikes']:,} |")
        size = (Path(folder) / "spikes.h5").stat().st_size / 1e6
        print(f"\nspikes.h5: {size:.1f} MB")


if __name__ == "__main__":
    main()

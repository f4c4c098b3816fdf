"""Save and load ten seconds of the full network's activity: time and memory.

python benchmarks/recording.py
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

SECONDS = 10.0


def make() -> object:
    """A recording with the published rates of all 77,169 neurons."""
    import numpy as np

    from portable_cortex import Recording
    from portable_cortex.models.parameters import PD14
    from portable_cortex.recording import by_time

    rng = np.random.default_rng(1)
    trains = {}
    for label, size, rate in zip(PD14.populations, PD14.sizes, PD14.full_rates, strict=True):
        n = rng.poisson(rate * size * SECONDS)
        steps = rng.integers(1, round(SECONDS * 1e4) + 1, n)
        trains[label] = by_time(500.0 + steps * 0.1, rng.integers(0, size, n))
    sizes = dict(zip(PD14.populations, PD14.sizes, strict=True))
    metadata = {"populations": sizes, "warmup_ms": 500.0, "duration_ms": SECONDS * 1e3}
    return Recording(sizes, trains, metadata)


def one(action: str, folder: Path) -> dict[str, float]:
    """Save or load in this process."""
    from portable_cortex import Recording

    recording = make() if action == "save" else None
    start = time.perf_counter()
    if isinstance(recording, Recording):
        recording.save(folder, overwrite=True)
    else:
        recording = Recording.load(folder)
    elapsed = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    spikes = sum(s.times.size for s in recording.spike_trains.values())
    return {"seconds": elapsed, "memory": peak, "spikes": spikes}


def main() -> None:
    """Print a table of medians of three."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.folder)))
        return
    print("| | time | peak memory of the process | spikes |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for action in ("save", "load"):
            runs = []
            for _ in range(3):
                command = [sys.executable, __file__, "--one", action, "--folder", folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs.append(json.loads(done.stdout))
            seconds = statistics.median(run["seconds"] for run in runs)
            memory = statistics.median(run["memory"] for run in runs)
            print(f"| {action} | {seconds:.2f} s | {memory:.0f} MB | {runs[0]['spikes']:,} |")
        size = (Path(folder) / "spikes.h5").stat().st_size / 1e6
    print(f"\nspikes.h5: {size:.1f} MB")


if __name__ == "__main__":
    main()

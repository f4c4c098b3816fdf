"""Time and memory of the statistics of ten seconds: ours at full scale, Elephant's beside it.

    python benchmarks/validation.py

The spikes are made up (Poisson, with the published rates); what they are does not matter here.
Elephant works on one Neo object a neuron, and is given the neurons of a tenth of the scale.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clock
import elephant.conversion
import elephant.spectral
import elephant.spike_train_correlation
import elephant.statistics
import neo
import numpy as np
import quantities as pq

from portable_cortex import Recording
from portable_cortex.host.provenance import peak_memory_bytes
from portable_cortex.models.parameters import PD14
from portable_cortex.recording import by_time
from portable_cortex.validation.activity import measure
from portable_cortex.validation.activity.statistics import CORRELATION_NEURONS
from portable_cortex.validation.pages import write_report
from portable_cortex.validation.verdict import Reference, examine

RATES = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)  # spikes/s
START, DURATION, STEP = 500.0, 10_000.0, 0.1  # ms


def made_up(scale: float, seed: int) -> Recording:
    """A recording of Poisson spikes on the grid."""
    rng = np.random.default_rng(seed)
    sizes, trains = {}, {}
    first, last = round(START / STEP) + 1, round((START + DURATION) / STEP)
    for label, full, rate in zip(PD14.populations, PD14.sizes, RATES, strict=True):
        n = sizes[label] = int(full * scale)
        number = rng.poisson(n * rate * DURATION * 1e-3)
        keys = np.unique(rng.integers(first, last + 1, number) * n + rng.integers(0, n, number))
        trains[label] = by_time(np.round(keys // n * STEP, 9), keys % n)
    about = {
        "model": "pd14",
        "parameters": {"n_scale": scale, "k_scale": scale, "drive": "poisson"},
        "warmup_ms": START,
        "duration_ms": DURATION,
        "seed": seed,
    }
    return Recording(sizes, trains, about)


def elephants(recording: Recording) -> None:
    """The same statistics, by Elephant."""
    trains: dict[str, list[Any]] = {}
    for train in recording.to_neo().segments[0].spiketrains:
        trains.setdefault(train.annotations["source_population"], []).append(train)
    for own in trains.values():
        for train in own:
            elephant.statistics.mean_firing_rate(train)
        for train in own:
            if len(train) > 2:
                intervals = elephant.statistics.isi(train)
                elephant.statistics.cv(intervals)
                elephant.statistics.lv(intervals)
        active = [train for train in own if len(train)][:CORRELATION_NEURONS]
        binned = elephant.conversion.BinnedSpikeTrain(active, bin_size=2 * pq.ms)
        elephant.spike_train_correlation.correlation_coefficient(binned)
        elephant.statistics.time_histogram(own, bin_size=3 * pq.ms)
        elephant.statistics.Complexity(own, bin_size=1 * pq.ms).pdf()
        counts = elephant.statistics.time_histogram(own, bin_size=1 * pq.ms).magnitude
        rate = neo.AnalogSignal(counts, units="dimensionless", sampling_period=1 * pq.ms)
        elephant.spectral.welch_psd(rate, len_segment=512, overlap=0.5)


def timed(call: Callable[[], Any], repeats: int) -> str:
    """Wall-clock and processor time, for a table."""
    watches = []
    for _ in range(repeats):
        with clock.Stopwatch() as watch:
            call()
        watches.append(watch)
    wall = clock.cell([w.wall for w in watches], " s", [w.waits for w in watches], digits=3)
    return f"{wall} | {clock.cell([w.cpu for w in watches], ' s', digits=3)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with clock.session():
        compare(repeats)


def compare(repeats: int) -> None:
    """Print what each part takes."""
    full = made_up(1.0, 1)
    print(f"median of {repeats} [min, max]; Elephant once\n")
    print("| | time | processor time |\n|---|---|---|")
    print(f"| statistics, full scale, 10 s | {timed(lambda: measure(full), repeats)} |", flush=True)
    memory = peak_memory_bytes() / 1e9
    with tempfile.TemporaryDirectory() as folder:
        about = {"conditions": {}}
        runs = {DURATION: [measure(made_up(1.0, seed)) for seed in range(2, 8)]}
        Reference.of("made-up", about, runs).save(Path(folder, "reference.h5"))
        full.save(Path(folder, "run"))

        def validate() -> None:
            found = examine(Path(folder, "run"), Path(folder, "reference.h5"))
            write_report(found, Path(folder, "report.html"))

        print(f"| validation with its page | {timed(validate, repeats)} |", flush=True)
    small = made_up(0.1, 1)
    print(f"| a tenth of the scale | {timed(lambda: measure(small), repeats)} |")
    print(f"| the same, Elephant | {timed(lambda: elephants(small), 1)} |")
    print(f"\npeak memory of the statistics: {memory:.2f} GB")


if __name__ == "__main__":
    main()

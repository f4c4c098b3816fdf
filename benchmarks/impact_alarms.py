"""How often `impact` tells honest ensembles of one network apart by measures of its own.

    python benchmarks/impact_alarms.py --runs 240 --pairs 1500

Honest runs of the built-in engine are made, each a second time with thalamic pulses, and their
numbers are kept in --work, so that an interrupted call goes on where it was. Two ensembles that
share no run are then drawn again and again, and one is judged by the other as a change is by the
unchanged model. The two runs of a seed (2 s, and 1 s, a tenth of the scale) take about two seconds
on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import clock
import numpy as np

import portable_cortex
from portable_cortex.validation.activity import power_spectrum
from portable_cortex.validation.impact import EVERY, MEASURES, Plan, Variant, measures
from portable_cortex.validation.verdict import ALPHA, TAIL, adjusted, between_groups

FIRST_SEED = 700_001
SIZES = (5, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=240)
    parser.add_argument("--pairs", type=int, default=1500, help="of ensembles, of each size")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--duration", type=float, default=2000.0, help="ms")
    parser.add_argument("--work", type=Path, default=Path("results/impact_alarms"))
    arguments = parser.parse_args()
    plan = Plan(
        (Variant("none", {"k_scale": arguments.scale}),),
        parameters={"scale": arguments.scale},
        duration=arguments.duration,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + arguments.runs)),
    )
    folder = arguments.work / f"{arguments.scale:g}-{arguments.duration:g}"
    folder.mkdir(parents=True, exist_ok=True)
    with clock.session():
        numbers = made(plan, folder)
        print("| seeds | ensembles that differ in a measure |\n|---|---|")
        for n in (size for size in SIZES if 2 * size <= len(numbers)):
            rng = np.random.default_rng(3)
            alarms = 0
            for _ in range(arguments.pairs):
                order = rng.permutation(len(numbers))
                first, second = order[:n], order[n : 2 * n]
                alarms += differ(plan, [numbers[i] for i in first], [numbers[i] for i in second])
            print(f"| {n} | {100 * alarms / arguments.pairs:.2f} % |", flush=True)


def made(plan: Plan, folder: Path) -> list[dict[str, float]]:
    """The numbers of each seed, by population and measure."""
    unchanged = plan.all[0]
    found = []
    for still, pulsed in zip(plan.stationary(unchanged), plan.transient(unchanged), strict=True):
        path = folder / f"{still.seed}.json"
        if not path.exists():
            print(f"{path} ...", flush=True)
            path.write_text(json.dumps(numbers_of(still, pulsed)))
        found.append(json.loads(path.read_text()))
    return found


def numbers_of(
    still: portable_cortex.Experiment, pulsed: portable_cortex.Experiment
) -> dict[str, float]:
    """What `impact` takes of the two runs of a seed."""
    found: dict[str, float] = {}
    recording = still.run()
    start, stop = recording.t_start, recording.t_stop
    for label, n in recording.n_neurons.items():
        spikes = measures.whole(recording, label)
        values = measures.of_spectrum(power_spectrum(spikes, n, start, stop))
        if spikes.times.size:
            values["coincidence"] = measures.coincidence(spikes, start, stop, still.seed)
        found |= {f"{label} {name}": value for name, value in values.items()}
    recording = pulsed.run()
    for label, n in recording.n_neurons.items():
        times = measures.whole(recording, label).times
        rate = measures.around_pulses(times, n, recording.t_start, recording.t_stop)
        values = measures.of_response(rate)
        found |= {f"{label} {name}": value for name, value in values.items()}
    return found


def differ(plan: Plan, some: list[dict[str, float]], others: list[dict[str, float]]) -> bool:
    """Whether one ensemble is told apart from another, as `impact` does it."""
    p = []
    for key in {**some[0], **others[0]}:
        measure = MEASURES[key.split()[-1]]
        both = [np.array([run.get(key, np.nan) for run in group]) for group in (some, others)]
        values, expected = (numbers[np.isfinite(numbers)] for numbers in both)
        duration = plan.pulses * EVERY if measure.is_of_response else plan.duration
        tail = TAIL * values.size * duration * 1e-3
        test = between_groups(values, expected, scale=measure.scale, grain=measure.grain, tail=tail)
        if test is not None:
            p.append(test.two_sided)
    return bool(p) and bool(adjusted(np.array(p)).min() < ALPHA)


if __name__ == "__main__":
    main()

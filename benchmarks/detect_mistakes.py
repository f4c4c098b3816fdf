"""What the validation sees: deliberate mistakes against the number and the length of the runs.

    python benchmarks/detect_mistakes.py --backend builtin --seeds 10

Every mistake of ``mistakes.py`` runs for ten seconds with several seeds. Each run is compared with
the reference alone, over each of its durations, and in groups of five and of ten. The honest
networks among them give the false-alarm rate. Runs are kept in --work, so that an interrupted call
goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import clock
from mistakes import MISTAKES

import portable_cortex
from portable_cortex import Recording
from portable_cortex.validation.activity import Activity, measure
from portable_cortex.validation.verdict import Comparison, Verdict, compare, load_reference

MODEL = Path(__file__).parent / "mistakes.py"
FIRST_SEED = 301
TOGETHER = (5, 10)  # runs that are judged together, over the longest duration


def main() -> None:
    """Run what is missing, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="builtin")
    parser.add_argument("--reference", default="pd14-0.1-poisson")
    parser.add_argument("--seeds", type=int, default=10, help="of each mistake")
    parser.add_argument("--honest-seeds", type=int, default=30)
    parser.add_argument("--work", type=Path, default=Path("results/mistakes"))
    arguments = parser.parse_args()
    with clock.session():
        tabulate(arguments)


def tabulate(arguments: argparse.Namespace) -> None:
    """Make the runs that are missing, compare all, and print the table."""
    reference = load_reference(arguments.reference)
    longest = reference.durations[-1]
    groups = [n for n in TOGETHER if n <= arguments.seeds]
    heads = [f"1 x {d / 1e3:g} s" for d in reference.durations]
    heads += [f"{n} x {longest / 1e3:g} s" for n in groups]
    print(f"| mistake | {' | '.join(heads)} | clearest |")
    print("|---" * (len(heads) + 2) + "|")
    for mistake, about in MISTAKES.items():
        seeds = arguments.honest_seeds if mistake == "none" else arguments.seeds
        runs: dict[float, list[Activity]] = {d: [] for d in reference.durations}
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            recording = run(arguments, mistake, seed, longest)
            for duration, activities in runs.items():
                activities.append(measure(recording, duration))
        outcomes = [[compare([a], reference) for a in runs[d]] for d in reference.durations]
        for n in groups:
            every = range(0, seeds - n + 1, n)
            outcomes.append([compare(runs[longest][i : i + n], reference) for i in every])
        cells = [
            f"{sum(o.verdict is Verdict.DIFFERS for o in column)}/{len(column)}"
            for column in outcomes
        ]
        found = [o for column in outcomes for o in column if o.verdict is Verdict.DIFFERS]
        print(
            f"| {about} | {' | '.join(cells)} | {where(found[-1]) if found else 'nothing'} |",
            flush=True,
        )


def run(arguments: argparse.Namespace, mistake: str, seed: int, duration: float) -> Recording:
    """Load a run, or make it."""
    folder = arguments.work / arguments.backend / f"{mistake}-{seed}"
    if not (folder / "run.json").exists():
        portable_cortex.run(
            model=MODEL,
            backend=arguments.backend,
            mistake=mistake,
            seed=seed,
            warmup=500.0,
            duration=duration,
        ).save(folder)
    return Recording.load(folder)


def where(result: Comparison) -> str:
    """The three clearest tests, in words."""
    return ", ".join(f"{t.population} {t.statistic} ({t.kind})" for t in result.different[:2])


if __name__ == "__main__":
    main()

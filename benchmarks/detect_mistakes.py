"""What the validation sees: deliberate mistakes against the duration at which each is found.

    python benchmarks/detect_mistakes.py --backend nest --work results/mistakes

Every mistake of ``mistakes.py`` runs for ten seconds with one seed or more, and is compared with
the reference at each of its durations. The honest networks among them give the false-alarm rate.
Runs are kept in --work, so that an interrupted call goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mistakes import MISTAKES

import portable_cortex
from portable_cortex import Recording
from portable_cortex.validation.activity import measure
from portable_cortex.validation.comparison import Comparison, Verdict, compare
from portable_cortex.validation.reference import load_reference

MODEL = Path(__file__).parent / "mistakes.py"


def main() -> None:
    """Run what is missing, compare, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="nest")
    parser.add_argument("--reference", default="pd14-0.1-poisson")
    parser.add_argument("--seeds", type=int, default=1, help="of each mistake")
    parser.add_argument("--honest-seeds", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("results/mistakes"))
    arguments = parser.parse_args()
    reference = load_reference(arguments.reference)
    durations = reference.durations
    print(f"| mistake | {' | '.join(f'{d / 1e3:g} s' for d in durations)} | first seen in |")
    print("|---" * (len(durations) + 2) + "|")
    for mistake, about in MISTAKES.items():
        seeds = arguments.honest_seeds if mistake == "none" else arguments.seeds
        outcomes = [
            [compare(measure(recording, d), reference) for d in durations]
            for recording in (
                run(arguments, mistake, seed, max(durations)) for seed in range(301, 301 + seeds)
            )
        ]
        cells = []
        for number in range(len(durations)):
            found = sum(o[number].verdict is Verdict.DIFFERS for o in outcomes)
            cells.append(f"{found}/{seeds}")
        last = [o[-1] for o in outcomes if o[-1].verdict is Verdict.DIFFERS]
        print(
            f"| {about} | {' | '.join(cells)} | {where(last[0]) if last else 'nothing'} |",
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
    return ", ".join(f"{t.population} {t.statistic} ({t.kind})" for t in result.different[:3])


if __name__ == "__main__":
    main()

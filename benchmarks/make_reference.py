r"""Make the reference ensembles that come with the package: seeds that differ in nothing else.

    python benchmarks/make_reference.py pd14-0.1-poisson --param scale=0.1
    python benchmarks/make_reference.py pd14-0.1-0.3-dc --drive dc --param n_scale=0.1 \
        --param k_scale=0.3
    python benchmarks/make_reference.py pd14-1.0-poisson --backend builtin --param scale=1 \
        --seeds 15 --long 10 --durations 2000 5000 10000 100000

Thirty seeds of NEST at a tenth of the scale take about half an hour on two cores. Runs are kept in
--work, so that an interrupted call goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import clock

import portable_cortex
from portable_cortex import Recording
from portable_cortex.validation.activity import measure
from portable_cortex.validation.verdict import Reference, conditions

FOLDER = Path(__file__).parent.parent / "validation" / "verdict" / "references"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--backend", default="nest")
    parser.add_argument("--drive", default="poisson")
    parser.add_argument("--param", action="append", default=[], help="NAME=NUMBER; repeatable")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=101)
    parser.add_argument(
        "--long", type=int, help="seeds of the longest duration; the others have the second longest"
    )
    parser.add_argument("--durations", type=float, nargs="*", default=[2e3, 5e3, 10e3])
    parser.add_argument("--work", type=Path, default=Path("results/reference"))
    arguments = parser.parse_args()
    with clock.session():
        make(arguments)


def make(arguments: argparse.Namespace) -> None:
    """Run the seeds that are missing, then summarise all of them."""
    parameters = {k: float(v) for k, v in (text.split("=") for text in arguments.param)}
    parameters["drive"] = arguments.drive
    recordings = []
    *_, second, longest = sorted([min(arguments.durations), *arguments.durations])
    for number in range(arguments.seeds):
        seed = arguments.first_seed + number
        is_long = arguments.long is None or number < arguments.long
        folder = arguments.work / arguments.name / f"seed{seed}"
        if not (folder / "run.json").exists():
            print(f"{folder} ...", flush=True)
            portable_cortex.run(
                backend=arguments.backend,
                warmup=500.0,
                duration=longest if is_long else second,
                seed=seed,
                output=folder,
                overwrite=True,
                **parameters,
            )
        recordings.append(Recording.load(folder))
    runs = {
        d: [measure(r, d) for r in recordings if r.metadata["duration_ms"] >= d]
        for d in arguments.durations
    }
    about = recordings[0].metadata
    provenance = {
        "conditions": conditions(about),
        "backend": about["backend"],
        "warmup_ms": about["warmup_ms"],
        "timestep_ms": about["timestep_ms"],
        "seeds": [r.metadata["seed"] for r in recordings],
        "versions": about["versions"],
        "computer": about["computer"],
        "made": about["started"],
        "script": "benchmarks/make_reference.py",
    }
    path = FOLDER / f"{arguments.name}.h5"
    Reference.of(arguments.name, provenance, runs).save(path)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

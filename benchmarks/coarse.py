"""The coarse backend beside simulated networks: errors population by population, and cost.

    python benchmarks/coarse.py column                # full scale, beside ten runs of 100 s
    python benchmarks/coarse.py ring --seeds 5        # four columns at a tenth, beside builtin
    python benchmarks/coarse.py cost --columns 16     # a solution beside a simulation
    python benchmarks/coarse.py column ring cost --write docs/coarse.md

Tables of neurons are made where they are missing, which takes minutes; PORTABLE_CORTEX_CACHE says
where they are kept.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import clock
import numpy as np

import portable_cortex
from portable_cortex.models.cortical_sheet import orientations, selectivity
from portable_cortex.validation.verdict import load_reference

REFERENCE = "pd14-1.0-poisson"


def column(arguments: argparse.Namespace) -> str:
    """The microcircuit at full scale."""
    reference = load_reference(REFERENCE)
    longest = reference.durations[-1]
    lines = [
        "| | runs | SD of seeds | `library=simulated` | its error | | `library=theory` | |",
        "|---" * 8 + "|",
    ]
    runs = {
        library: portable_cortex.run(
            backend="coarse", options={"library": library}, scale=1.0, duration=10.0
        )
        for library in ("simulated", "theory")
    }
    errors = runs["simulated"].metadata["rate_errors"]
    for label in runs["simulated"].populations:
        means = reference.ensembles[longest, label, "rate"].means
        expected = float(means.mean())
        cells = [f"{expected:.3f}", f"{100 * means.std(ddof=1) / expected:.1f} %"]
        for library, run in runs.items():
            rate = run.rates()[label]
            cells.append(f"{rate:.3f}")
            if library == "simulated":
                cells.append(f"{errors[label]:.3f}")
            cells.append(f"{100 * (rate / expected - 1):+.1f} %")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(_said(name, run) for name, run in runs.items())])


def _said(library: str, run: Any) -> str:
    about = run.metadata
    report, phases = about["machine_report"], about["phases_s"]
    text = f"`{library}`: {report['updates']} updates, {phases['simulate']:.1f} s"
    if library == "simulated":
        points = sum(t["points"] for t in report["tables"])
        if report["parts_made"]:
            text += f", and {phases['tables']:.0f} s for tables"
        text += (
            f"; {points} points, between which rates are off by "
            f"{100 * report['interpolation_error']:.1f} % beyond chance, in "
            f"{report['checked_at']} places"
        )
    return text + "."


RING: dict[str, Any] = {"model": "cortical_sheet", "columns": 4, "scale": 0.1}


def ring(arguments: argparse.Namespace) -> str:
    """Four columns, simulated and coarse, at the same scale."""
    coarse = portable_cortex.run(backend="coarse", duration=10.0, **RING)
    simulated = [
        portable_cortex.run(backend="builtin", duration=arguments.ms, seed=seed, **RING).rates()
        for seed in range(1, arguments.seeds + 1)
    ]
    labels = list(simulated[0])
    rates = np.array([[run[label] for label in labels] for run in simulated])
    mean, sd = rates.mean(axis=0), rates.std(axis=0, ddof=1)
    own = np.array([coarse.rates()[label] for label in labels])
    within = np.abs(own - mean) <= np.maximum(0.05 * mean, 3 * sd)
    angles = orientations(RING["columns"])
    lines = [
        "| | " + " | ".join(f"{angle:g}°" for angle in angles) + " | selectivity |",
        "|---" * (len(angles) + 2) + "|",
    ]
    tuned = [selectivity(dict(zip(labels, r, strict=True)), angles) for r in (own, mean)]
    for i, layer in enumerate(tuned[0]):
        cells = [
            f"{own[k]:.2f} / {mean[k]:.2f} ({100 * (own[k] / mean[k] - 1):+.0f} %)"
            + ("" if within[k] else " *")
            for k in range(i, len(labels), len(tuned[0]))
        ]
        cells.append(f"{tuned[0][layer]:.3f} / {tuned[1][layer]:.3f}")
        lines.append(f"| {layer} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"coarse / mean of {arguments.seeds} seeds of {arguments.ms / 1e3:g} s on `builtin`; "
        f"{within.sum()} of {within.size} rates are within 5 % or three standard deviations of "
        "the seeds (* is not).",
        _said("simulated", coarse),
    ]
    return "\n".join(lines)


def cost(arguments: argparse.Namespace) -> str:
    """A solution, with tables ready, and simulated seconds that know rates as well."""
    from portable_cortex.backends.coarse._solver import solved

    given = {**RING, "columns": arguments.columns}
    model = given.pop("model")
    build = portable_cortex.models.loader.load_model(model).build
    sim = portable_cortex.simulator("coarse")
    sim.setup()
    build(sim, **given)
    found = sim.state.solve(lambda fraction, detail: None)
    times = []
    for _ in range(5):
        with clock.Stopwatch() as watch:
            solved(found.inputs, found.responses, found.solution.rates * 1.1)
        times.append((watch.wall, watch.cpu))
    wall, cpu = (float(np.median(column)) for column in zip(*times, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = portable_cortex.run(
            model=model, duration=arguments.ms, output=Path(folder) / "run", **given
        )
        whole = time.perf_counter() - began
    simulated, used = run.metadata["phases_s"]["simulate"], run.metadata["cpu_s"]["simulate"]
    return (
        f"{arguments.columns} columns at scale {given['scale']:g}: a solution takes {wall:.2f} s "
        f"({cpu:.2f} s of processor time; median of 5, from rates that are a tenth too high); "
        f"{arguments.ms / 1e3:g} s of `builtin` take {simulated:.0f} s ({used:.0f} s of processor "
        f"time), {whole:.0f} s with building: {used / cpu:.0f} times the processor time."
    )


PARTS = {"column": column, "ring": ring, "cost": cost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ms", type=float, default=10_000.0, help="model time of a simulation")
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--write", type=Path, help="a page with <!-- NAME --> ... <!-- end -->")
    arguments = parser.parse_args()
    with clock.session():
        for name in arguments.parts:
            text = PARTS[name](arguments)
            print(f"\n{text}\n", flush=True)
            if arguments.write:
                page = arguments.write.read_text("utf-8")
                before, _, rest = page.partition(f"<!-- {name} -->\n")
                _, _, after = rest.partition("<!-- end -->")
                arguments.write.write_text(
                    f"{before}<!-- {name} -->\n\n{text}\n\n<!-- end -->{after}", "utf-8"
                )


if __name__ == "__main__":
    main()

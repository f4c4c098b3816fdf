"""The coarse backend beside simulated networks: errors population by population, and cost.

    python benchmarks/coarse.py column                # full scale, beside ten runs of 100 s
    python benchmarks/coarse.py ring --seeds 5        # four columns at a tenth, beside builtin
    python benchmarks/coarse.py cost --columns 16     # a solution beside a simulation
    python benchmarks/coarse.py sheet --picture docs/sheet.png
    python benchmarks/coarse.py layer4c --coarse      # layer 4Calpha of primary visual cortex
    python benchmarks/coarse.py column ring cost sheet --write docs/coarse.md

Tables are made where they are missing, which takes minutes; PORTABLE_CORTEX_CACHE says
where they are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import clock
import numpy as np

import portable_cortex
from portable_cortex.models import v1_layer4c
from portable_cortex.models.cortical_sheet import orientations, selectivity
from portable_cortex.validation.verdict import load_reference

REFERENCE = "pd14-1.0-poisson"


LIBRARIES = ("columns", "simulated", "theory")


def column(arguments: argparse.Namespace) -> str:
    """The microcircuit at full scale."""
    reference = load_reference(REFERENCE)
    longest = reference.durations[-1]
    heads = ["runs", "SD of seeds"]
    runs = {}
    for library in LIBRARIES:
        runs[library] = portable_cortex.run(
            backend="coarse", options={"library": library}, scale=1.0, duration=10.0
        )
        heads += [f"`{library}`", *([""] if library == "theory" else ["its error", ""])]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for label in runs["theory"].populations:
        means = reference.ensembles[longest, label, "rate"].means
        expected = float(means.mean())
        cells = [f"{expected:.3f}", f"{100 * means.std(ddof=1) / expected:.1f} %"]
        for library, run in runs.items():
            rate = run.rates()[label]
            cells.append(f"{rate:.3f}")
            if library != "theory":
                cells.append(f"{run.metadata['rate_errors'][label]:.3f}")
            cells.append(f"{100 * (rate / expected - 1):+.1f} %")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(_said(name, run) for name, run in runs.items())])


def _said(library: str, run: Any) -> str:
    about = run.metadata
    report, phases = about["machine_report"], about["phases_s"]
    text = f"`{library}`: {report['updates']} updates, {phases['simulate']:.1f} s"
    if report["library"] == "neurons":
        text += f", and {phases['tables']:.0f} s for simulating neurons"
    elif report["library"] != "theory":
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
    coarse = {
        library: portable_cortex.run(
            backend="coarse", options={"library": library}, duration=10.0, **RING
        )
        for library in ("columns", "simulated")
    }
    simulated = [
        portable_cortex.run(backend="builtin", duration=arguments.ms, seed=seed, **RING).rates()
        for seed in range(1, arguments.seeds + 1)
    ]
    labels = list(simulated[0])
    rates = np.array([[run[label] for label in labels] for run in simulated])
    mean, sd = rates.mean(axis=0), rates.std(axis=0, ddof=1)
    angles = orientations(RING["columns"])
    heads = [f"{angle:g}°" for angle in angles]
    lines = [f"| | | {' | '.join(heads)} | selectivity |", "|---" * (len(heads) + 3) + "|"]
    own = {name: np.array([run.rates()[n] for n in labels]) for name, run in coarse.items()}
    within = {
        name: np.abs(values - mean) <= np.maximum(0.05 * mean, 3 * sd)
        for name, values in own.items()
    }
    tuned = {
        name: selectivity(dict(zip(labels, values, strict=True)), angles)
        for name, values in {"runs": mean, **own}.items()
    }
    layers = list(tuned["runs"])
    for i, layer in enumerate(layers):
        places = range(i, len(labels), len(layers))
        cells = [f"{mean[k]:.2f}" for k in places]
        lines.append(f"| {layer} | runs | {' | '.join(cells)} | {tuned['runs'][layer]:.3f} |")
        for name, values in own.items():
            cells = [
                f"{values[k]:.2f} ({100 * (values[k] / mean[k] - 1):+.0f} %)"
                + ("" if within[name][k] else " *")
                for k in places
            ]
            lines.append(f"| | `{name}` | {' | '.join(cells)} | {tuned[name][layer]:.3f} |")
    counted = " and ".join(f"{w.sum()} of {w.size} (`{name}`)" for name, w in within.items())
    lines += [
        "",
        f"Runs: mean of {arguments.seeds} seeds of {arguments.ms / 1e3:g} s on `builtin`. "
        f"{counted} rates are within 5 % or three standard deviations of the seeds (* is not).",
        *(_said(name, run) for name, run in coarse.items()),
    ]
    return "\n".join(lines)


def cost(arguments: argparse.Namespace) -> str:
    """A solution, with tables ready, and simulated seconds that know rates as well."""
    from portable_cortex.backends.coarse._solver import solved

    given = {**RING, "columns": arguments.columns}
    model = given.pop("model")
    build = portable_cortex.models.loader.load_model(model).build
    solving = {}
    for library in ("columns", "simulated"):
        sim = portable_cortex.simulator("coarse", options={"library": library})
        sim.setup()
        build(sim, **given)
        found = sim.state.solve(lambda fraction, detail: None)
        times = []
        for _ in range(5):
            with clock.Stopwatch() as watch:
                solved(found.circuit, found.solution.rates * 1.1)
            times.append((watch.wall, watch.cpu))
        solving[library] = [float(np.median(column)) for column in zip(*times, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = portable_cortex.run(
            model=model, duration=arguments.ms, output=Path(folder) / "run", **given
        )
        whole = time.perf_counter() - began
    simulated, used = run.metadata["phases_s"]["simulate"], run.metadata["cpu_s"]["simulate"]
    lines = [
        f"| {arguments.columns} columns at scale {given['scale']:g} | wall clock | processor time "
        "| simulation / solution, processor time |",
        "|---|---|---|---|",
        f"| {arguments.ms / 1e3:g} s on `builtin` ({whole:.0f} s with building) | "
        f"{simulated:.0f} s | {used:.0f} s | |",
    ]
    for library, (wall, cpu) in solving.items():
        lines.append(
            f"| a solution, `{library}` | {wall:.3f} s | {cpu:.3f} s | {used / cpu:,.0f} |"
        )
    return "\n".join([*lines, "", "Medians of 5 solutions, from rates that are a tenth too high."])


def sheet(arguments: argparse.Namespace) -> str:
    """A sheet of very many columns, with tables of columns ready."""
    from portable_cortex.recording.sheet_figure import draw

    given: dict[str, Any] = {"model": "cortical_sheet", "layout": "sheet", "scale": 0.1}
    code = (
        "import json, resource, sys, portable_cortex\n"
        "run = portable_cortex.run(backend='coarse', options={'library': 'columns'}, columns="
        f"{arguments.sheet}, duration=10.0, output=sys.argv[1], **{given!r})\n"
        "print(json.dumps([run.metadata['n_neurons'], run.metadata['n_synapses'],\n"
        "                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2):  # the first makes tables, if they are missing
            run = f"{folder}/{number}"
            with clock.Stopwatch() as watch:
                done = subprocess.run(
                    [sys.executable, "-c", code, run], check=True, capture_output=True, text=True
                )
            recording = portable_cortex.Recording.load(run)
            if not recording.metadata["machine_report"]["parts_made"]:
                break
        if arguments.picture:
            draw(recording, arguments.picture)
    neurons, synapses, memory = json.loads(done.stdout.splitlines()[-1])
    phases = recording.metadata["phases_s"]
    describing = phases["create"] + phases["connect"]
    return (
        f"{arguments.sheet} columns on a sheet at scale {given['scale']:g} ({neurons:.3g} neurons, "
        f"{synapses:.3g} synapses): {watch.wall:.0f} s ({watch.cpu:.0f} s of processor time) and "
        f"{memory:.1f} GB from the start of Python to the written run. Describing the "
        f"populations and projections in PyNN takes {describing:.0f} s of these, reading the "
        f"description {phases['prepare']:.0f} s, the solution {phases['simulate']:.0f} s."
    )


CYCLES = 12  # of a grating that drifts, 250 ms each


def layer4c(arguments: argparse.Namespace) -> str:
    """Published rates of the layer, and those of simulations, and coarse ones."""
    ways: dict[str, dict[str, dict[str, Any]]] = {
        "background": {"builtin": {}},
        "grating": {
            "builtin, drifts": {"cycles": CYCLES, "duration": 250.0 * (CYCLES - 2)},
            "builtin, stands": {},
        },
    }
    if arguments.coarse:
        for named in ways.values():
            named["coarse, stands"] = {"backend": "coarse", "options": {"library": "neurons"}}
    lines = ["| | | published | mean of 160 | " + " | ".join(ways["grating"]) + " |"]
    lines.append("|---" * (len(ways["grating"]) + 4) + "|")
    said = []
    for stimulus, named in ways.items():
        found = {}
        for name, given in named.items():
            seeds = (1,) if "backend" in given else range(1, arguments.seeds + 1)
            runs = [
                portable_cortex.run(
                    model="v1_layer4c",
                    stimulus=stimulus,
                    seed=seed,
                    hypercolumns=arguments.hypercolumns,
                    **{"warmup": 500.0, "duration": arguments.ms, **given},
                )
                for seed in seeds
            ]
            found[name] = [_of_kinds(run.rates()) for run in runs]
            if "backend" in given:
                said.append(_said(f"coarse, {stimulus}", runs[0]))
        states = {"background": None} if stimulus == "background" else ANGLES
        for state, angle in states.items():
            for k, kind in enumerate("SCI"):
                cells = [f"{v1_layer4c.RATES[state][k]:.1f}", f"{v1_layer4c.MEAN_RATES[state][k]}"]
                for name in ways["grating"]:
                    own = found.get(name, found.get("builtin") if "builtin, d" in name else None)
                    cells.append(_mean_and_sd([_chosen(r, kind, angle) for r in own or ()]))
                lines.append(f"| {state} | {kind} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *([""] if said else []), *said])


ANGLES = {"preferred": 0, "orthogonal": 90}


def _of_kinds(rates: dict[str, float]) -> dict[tuple[str, int, bool], list[float]]:
    """By kind, orientation, and whether they are well inside a domain: of all its populations."""
    found: dict[tuple[str, int, bool], list[float]] = {}
    for label, rate in rates.items():
        name, _, angle = label.partition("@")
        found.setdefault((name[0], int(angle), "edge" not in name), []).append(rate)
    return found


def _chosen(rates: dict[tuple[str, int, bool], list[float]], kind: str, angle: int | None) -> float:
    return float(
        np.mean(
            [
                np.mean(values)
                for (own, at, is_inside), values in rates.items()
                if own == kind and (angle is None or (at == angle and is_inside))
            ]
        )
    )


def _mean_and_sd(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else ""
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


PARTS = {"column": column, "ring": ring, "cost": cost, "sheet": sheet, "layer4c": layer4c}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ms", type=float, default=10_000.0, help="model time of a simulation")
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--sheet", type=int, default=1600, help="columns of the sheet")
    parser.add_argument("--coarse", action="store_true", help="layer4c: with the coarse backend")
    parser.add_argument("--hypercolumns", type=int, default=1, help="of layer4c, along a side")
    parser.add_argument("--picture", type=Path, help="of the sheet, a .png")
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

"""What SpiNNaker's arithmetic does to the microcircuit: the emulated board beside NEST.

    python benchmarks/spinnaker_arithmetic.py --out runs --plot docs/spinnaker_arithmetic.png

A fiftieth of the neurons, a fifth of their inputs: with fewer all would stay below threshold
without noise. The same network (realisation ``shared``: every synapse, weight, delay and initial
potential is given) with constant drive, so that nothing random is left, and with each simulator's
own Poisson input. The built-in engine, another program in double precision, shows how far apart two
simulators are whose arithmetic is the same. Recordings are kept in the folder; what is there is not
run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import portable_cortex
from portable_cortex import Recording
from portable_cortex.validation.activity import measure
from portable_cortex.validation.pairwise import pair

BOARD = {"target": "emulated", "neurons_per_core": "32"}
VAN_ALBADA = "spinnaker-van-albada-2018"


@dataclass(frozen=True)
class Case:
    """A simulator with its settings; compared with `reference`."""

    title: str
    backend: str
    reference: str
    timestep: float = 0.1
    machine: str = "local"
    options: dict[str, str] = field(default_factory=dict)


CASES = {
    "nest": Case("NEST, 0.1 ms", "nest", "nest"),
    "builtin": Case("built-in engine, 0.1 ms", "builtin", "nest"),
    "board": Case("SpiNNaker, 0.1 ms", "spinnaker", "nest", 0.1, VAN_ALBADA, BOARD),
    "coarse": Case(
        "SpiNNaker, 0.1 ms, coarse weights", "spinnaker", "nest", 0.1, VAN_ALBADA,
        {**BOARD, "spikes_per_second": "30000"},
    ),
    "nest1": Case("NEST, 1 ms", "nest", "nest1", 1.0),
    "board1": Case("SpiNNaker, 1 ms", "spinnaker", "nest1", 1.0, VAN_ALBADA, BOARD),
}  # fmt: skip


def recordings(arguments: argparse.Namespace) -> Iterator[tuple[str, str, Recording]]:
    """Drive, case and recording; what is in the folder is read, the rest is run."""
    for drive in arguments.drives:
        for name in arguments.cases:
            case = CASES[name]
            folder = arguments.out / f"{drive}-{name}"
            if not folder.exists():
                portable_cortex.run(
                    backend=case.backend, machine=case.machine, options=case.options,
                    timestep=case.timestep, n_scale=arguments.n_scale, k_scale=arguments.k_scale,
                    drive=drive, seed=arguments.seed, warmup=arguments.warmup,
                    duration=arguments.duration, realisation="shared",
                ).save(folder)  # fmt: skip
            yield drive, name, Recording.load(folder)


def pooled(recording: Recording, statistic: str) -> np.ndarray:
    """Means of the populations."""
    samples = measure(recording).samples
    return np.array([samples[p, statistic].mean() for p in recording.populations])


def row(recording: Recording, reference: Recording) -> list[str]:
    """Rates and CV beside those of the reference, and the same neuron by neuron."""
    rates, cvs = pooled(recording, "rate"), pooled(recording, "cv")
    cells = [
        f"{np.mean(rates):.2f}",
        f"{np.abs(rates - pooled(reference, 'rate')).max():.2f}",
        f"{np.nanmean(cvs):.3f}",
        f"{np.nanmax(np.abs(cvs - pooled(reference, 'cv'))):.3f}",
    ]
    found = pair(recording, reference)
    if found is None:
        return [*cells, "", ""]
    correlation = np.mean([r.correlation for r in found.rates])
    if not found.deterministic:
        return [*cells, f"{correlation:.3f}", ""]
    first = found.first_difference
    return [*cells, f"{correlation:.3f}", "none" if first is None else f"{first:.1f} ms"]


def steps(recording: Recording) -> str:
    """Weight resolution of a run on a board, over its populations, pA."""
    found = recording.metadata["machine_report"].get("weight_steps", {})
    values = 1000 * np.array([x for population in found.values() for x in population])
    return f"{values.min():.2g} to {values.max():.2g}" if values.size else ""


def draw(found: dict[tuple[str, str], Recording], path: Path) -> None:
    """Rates, CVs, and the rates of single neurons beside NEST's."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
    for line, drive in zip(axes, ("dc", "poisson"), strict=True):
        shown = [name for name in CASES if (drive, name) in found]
        for which, name in enumerate(shown):
            recording = found[drive, name]
            at = np.arange(len(recording.populations)) + 0.8 * (which + 0.5) / len(shown) - 0.4
            for axis, statistic in zip(line, ("rate", "cv"), strict=False):
                values = pooled(recording, statistic)
                axis.bar(at, values, 0.8 / len(shown), label=CASES[name].title, color=f"C{which}")
        for axis, title in zip(line, ("firing rate (spikes/s)", "CV of ISI"), strict=False):
            axis.set_xticks(np.arange(len(recording.populations)), recording.populations)
            axis.set_ylabel(title)
            axis.set_title({"dc": "constant drive", "poisson": "Poisson drive"}[drive])
        reference = found[drive, "nest"]
        samples = measure(reference).samples
        for name in ("builtin", "board"):
            if (drive, name) not in found:
                continue
            others = measure(found[drive, name]).samples
            x, y = (
                np.concatenate([s[p, "rate"] for p in reference.populations])
                for s in (samples, others)
            )
            color = f"C{shown.index(name)}"
            line[2].plot(x, y, ".", markersize=3, color=color, label=CASES[name].title, alpha=0.6)
        line[2].axline((0, 0), slope=1, color="grey", linewidth=0.8)
        line[2].set(xlabel="NEST: rate of a neuron (spikes/s)", ylabel="rate of the same neuron")
        line[2].set_title({"dc": "constant drive", "poisson": "Poisson drive"}[drive])
    handles, titles = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower center", ncols=len(titles))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n-scale", type=float, default=0.02)
    parser.add_argument("--k-scale", type=float, default=0.2)
    parser.add_argument("--duration", type=float, default=2000.0, help="ms")
    parser.add_argument("--warmup", type=float, default=0.0, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drives", nargs="+", default=["dc", "poisson"])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--plot", type=Path, help="figure to draw")
    arguments = parser.parse_args()
    found = {(drive, name): made for drive, name, made in recordings(arguments)}
    print(
        "| drive | simulator, time step | rate | largest difference | CV | largest difference "
        "| rate correlation | first difference | weight step (pA) | simulate (s) |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (drive, name), recording in found.items():
        reference = found.get((drive, CASES[name].reference))
        if reference is None:
            continue
        cells = row(recording, reference)
        seconds = recording.metadata["phases_s"]["simulate"]
        cells = [drive, CASES[name].title, *cells, steps(recording), f"{seconds:.1f}"]
        print("|", " | ".join(cells), "|")
    if arguments.plot:
        draw(found, arguments.plot)


if __name__ == "__main__":
    main()

"""What SpiNNaker's arithmetic does to the microcircuit: the emulated board beside NEST.

    python benchmarks/spinnaker_arithmetic.py --out runs --plot docs/spinnaker_arithmetic.png

A fiftieth of the neurons, a fifth of their inputs: with fewer all would stay below threshold
without noise. The same networks (realisation ``shared``: every synapse, weight, delay and initial
potential is given), one a seed, with constant drive, so that nothing random is left, and with each
simulator's own Poisson input. The built-in engine, another program in double precision, shows how
far apart two simulators are whose arithmetic is the same. Recordings are kept in the folder; what
is there is not run again.

Then each part of the arithmetic alone, with constant drive (``spinnaker_update.py``), from initial
potentials that are moved a little: these runs show what chaos does by itself.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import clock
import numpy as np
import spinnaker_update as update

import portable_cortex
from portable_cortex import Recording
from portable_cortex.errors import ModelWarning
from portable_cortex.validation.activity import measure
from portable_cortex.validation.verdict import pair

BOARD = {"target": "emulated", "neurons_per_core": "32", "time_scale_factor": "5"}
VAN_ALBADA = "spinnaker-van-albada-2018"
DRIVES = {"dc": "constant", "poisson": "Poisson"}
MOVED = 0.05  # SD of what the initial potentials are moved by to see chaos, mV


@dataclass(frozen=True)
class Case:
    """A simulator with its settings; compared with `reference`."""

    title: str
    backend: str
    reference: str
    timestep: float = 0.1
    machine: str = "local"
    options: dict[str, str] = field(default_factory=dict)
    drives: tuple[str, ...] = ("dc", "poisson")


CASES = {
    "nest": Case("NEST, 0.1 ms", "nest", "nest"),
    "builtin": Case("built-in engine, 0.1 ms", "builtin", "nest"),
    "board": Case("SpiNNaker, 0.1 ms", "spinnaker", "nest", 0.1, VAN_ALBADA, BOARD),
    "coarse": Case(
        "SpiNNaker, 0.1 ms, coarse weights", "spinnaker", "nest", 0.1, VAN_ALBADA,
        {**BOARD, "spikes_per_second": "30000"}, ("dc",),
    ),
    "nest1": Case("NEST, 1 ms", "nest", "nest1", 1.0),
    "board1": Case("SpiNNaker, 1 ms", "spinnaker", "nest1", 1.0, VAN_ALBADA, BOARD),
}  # fmt: skip


Found = dict[tuple[str, str, int], Recording]  # drive, case, seed


def recordings(arguments: argparse.Namespace) -> Iterator[tuple[tuple[str, str, int], Recording]]:
    """Drive, case, seed and recording; what is in the folder is read, the rest is run."""
    for seed in range(1, arguments.seeds + 1):
        for drive in arguments.drives:
            for name in (name for name in arguments.cases if drive in CASES[name].drives):
                case = CASES[name]
                folder = arguments.out / f"{drive}-{name}-{seed}"
                if not folder.exists():
                    portable_cortex.run(
                        backend=case.backend, machine=case.machine, options=case.options,
                        timestep=case.timestep, n_scale=arguments.n_scale,
                        k_scale=arguments.k_scale, drive=drive, seed=seed, warmup=0.0,
                        duration=arguments.duration, realisation="shared",
                    ).save(folder)  # fmt: skip
                yield (drive, name, seed), Recording.load(folder)


def pooled(recording: Recording, statistic: str) -> np.ndarray:
    """Means of the populations."""
    samples = measure(recording).samples
    return np.array([samples[p, statistic].mean() for p in recording.populations])


def spread(values: Collection[float], digits: int) -> str:
    """Mean and standard deviation."""
    if len(values) < 2:
        return f"{np.mean(list(values)):.{digits}f}"
    return f"{np.mean(list(values)):.{digits}f} ± {np.std(list(values), ddof=1):.{digits}f}"


def differences(ours: Sequence[Recording], theirs: Sequence[Recording], statistic: str) -> str:
    """Of the means, network by network, and of the population where that is largest in the mean."""
    both = zip(ours, theirs, strict=True)
    found = np.array([pooled(a, statistic) - pooled(b, statistic) for a, b in both])
    digits = 2 if statistic == "rate" else 3
    largest = int(np.abs(found.mean(axis=0)).argmax())
    return (
        f"{spread(found.mean(axis=1), digits)} "
        f"({ours[0].populations[largest]} {spread(found[:, largest], digits)})"
    )


def row(ours: Sequence[Recording], theirs: Sequence[Recording]) -> list[str]:
    """Rates and CV beside those of the reference, and the same neuron by neuron."""
    cells = []
    for statistic, digits in (("rate", 2), ("cv", 3)):
        cells += [spread([pooled(r, statistic).mean() for r in ours], digits)]
        cells += ["" if ours is theirs else differences(ours, theirs, statistic)]
    if ours is theirs:
        return [*cells, "", ""]
    pairs = [pair(a, b) for a, b in zip(ours, theirs, strict=True)]
    cells += [spread([np.mean([r.correlation for r in p.rates]) for p in pairs], 3)]
    if not pairs[0].deterministic:
        return [*cells, ""]
    firsts = [p.first_difference for p in pairs if p.first_difference is not None]
    return [*cells, f"{min(firsts):.1f} to {max(firsts):.1f} ms" if firsts else "none"]


def weight_steps(recording: Recording) -> np.ndarray:
    """Of what weights onto each population are multiples on a board: a value a receptor, nA."""
    found = recording.metadata["machine_report"].get("weight_steps", {})
    return np.array([found[p] for p in recording.populations] if found else [])


def steps(recording: Recording) -> str:
    """The same as a range, pA."""
    values = 1000 * weight_steps(recording)
    return f"{values.min():.2g} to {values.max():.2g}" if values.size else ""


def comparison(found: Found, n_seeds: int) -> Iterator[str]:
    """The table of simulators: mean ± SD over the networks."""
    yield (
        "| drive | simulator, time step | rate | difference | CV | difference "
        "| rate correlation | first differing spike | weight step (pA) |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for drive, name in dict.fromkeys(key[:2] for key in found):
        ours = [found[drive, name, seed + 1] for seed in range(n_seeds)]
        reference = CASES[name].reference
        if (drive, reference, 1) in found:
            theirs = [found[drive, reference, seed + 1] for seed in range(n_seeds)]
            cells = row(ours, ours if name == reference else theirs)
            cells = [DRIVES[drive], CASES[name].title, *cells, steps(ours[0])]
            yield f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Variant:
    """Parts of SpiNNaker's arithmetic, at the weight steps of a case."""

    title: str
    case: str
    parts: Collection[str]


VARIANTS = [
    Variant("NEST, 0.1 ms", "board", ()),
    *(Variant(title, "board", (part,)) for part, title in update.PARTS.items()),
    Variant("SpiNNaker, 0.1 ms", "board", update.PARTS),
    Variant("SpiNNaker, 0.1 ms, coarse weights", "coarse", update.PARTS),
    Variant("NEST, 1 ms", "board1", ()),
    Variant(update.PARTS["saturation"], "board1", ("saturation",)),
    Variant(update.PARTS["held"], "board1", ("held",)),
    Variant("SpiNNaker, 1 ms", "board1", update.PARTS),
]


def reproduced(found: Found, arguments: argparse.Namespace) -> str:
    """Whether the loop makes the spikes that NEST and the board made."""
    exact = []
    for (drive, name, seed), recording in found.items():
        case = CASES[name]
        if drive == "dc" and case.backend in ("nest", "spinnaker"):
            board = {"nest": "board", "nest1": "board1"}.get(name, name)
            spikes = update.simulate(
                update.draw(seed, case.timestep, arguments.n_scale, arguments.k_scale),
                arguments.duration,
                case.timestep,
                update.PARTS if case.backend == "spinnaker" else (),
                weight_steps(found[drive, board, seed]),
            )
            exact.append(update.first_difference(spikes, update.recorded(recording)) is None)
    return f"The loop makes every spike of {sum(exact)} of {len(exact)} recordings."


def trials(variant: Variant, found: Found, arguments: argparse.Namespace) -> tuple[str, np.ndarray]:
    """First spike unlike NEST's (range, ms), and mean rates: a row a network."""
    timestep, firsts, rates = CASES[variant.case].timestep, [], []
    for seed in range(1, arguments.seeds + 1):
        network = update.draw(seed, timestep, arguments.n_scale, arguments.k_scale)
        resolution = weight_steps(found["dc", variant.case, seed])
        both = (
            update.simulate(network, arguments.duration, timestep, parts, resolution)
            for parts in (variant.parts, ())
        )
        if (first := update.first_difference(*both)) is not None:
            firsts.append((first + 1) * timestep)
        for repeat in range(arguments.repeats):
            moves = np.random.default_rng([seed, repeat]).normal(0.0, MOVED, network.drive.size)
            spikes = update.simulate(
                network._replace(potential=network.potential + moves),
                arguments.long, timestep, variant.parts, resolution,
            )  # fmt: skip
            rates.append(update.mean_rate(network, spikes, arguments.long))
    when = f"{min(firsts):.1f} to {max(firsts):.1f}" if firsts else ""
    return when, np.reshape(rates, (arguments.seeds, arguments.repeats))


def parts(found: Found, arguments: argparse.Namespace) -> Iterator[str]:
    """The table of parts: mean ± SD of the runs of one network, differences ± standard error."""
    yield "| arithmetic | first differing spike (ms) | rate | difference |"
    yield "|---|---|---|---|"
    for variant in VARIANTS:
        when, rates = trials(variant, found, arguments)
        variances = rates.var(axis=1, ddof=1)
        if not variant.parts:
            nest, nest_variances = rates, variances
        error = np.sqrt((variances + nest_variances).sum() / arguments.repeats) / arguments.seeds
        change = f"{rates.mean() - nest.mean():+.2f} ± {error:.2f}" if variant.parts else ""
        rate = f"{rates.mean():.2f} ± {np.sqrt(variances.mean()):.2f}"
        yield f"| {variant.title} | {when} | {rate} | {change} |"


def draw(found: Found, n_seeds: int, path: Path) -> None:
    """Rates and CVs, mean and SD over the networks; rates of single neurons beside NEST's."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
    titles = {drive: f"{title} drive" for drive, title in DRIVES.items()}
    colors = {name: f"C{i}" for i, name in enumerate(CASES)}
    for line, drive in zip(axes, titles, strict=True):
        shown = [name for name in CASES if (drive, name, 1) in found]
        for which, name in enumerate(shown):
            runs = [found[drive, name, seed + 1] for seed in range(n_seeds)]
            at = np.arange(len(runs[0].populations)) + 0.8 * (which + 0.5) / len(shown) - 0.4
            for axis, statistic in zip(line, ("rate", "cv"), strict=False):
                values = np.array([pooled(run, statistic) for run in runs])
                deviation = values.std(axis=0, ddof=1) if n_seeds > 1 else None
                axis.bar(
                    at, values.mean(axis=0), 0.8 / len(shown), yerr=deviation,
                    error_kw={"linewidth": 0.8}, label=CASES[name].title, color=colors[name],
                )  # fmt: skip
        for axis, title in zip(line, ("firing rate (spikes/s)", "CV of ISI"), strict=False):
            axis.set_xticks(np.arange(len(runs[0].populations)), runs[0].populations)
            axis.set_ylabel(title)
        line[0].set_yscale("log")
        reference = found[drive, "nest", 1]
        samples = measure(reference).samples
        for name in ("board", "builtin"):
            if (drive, name, 1) not in found:
                continue
            others = measure(found[drive, name, 1]).samples
            x, y = (
                np.concatenate([s[p, "rate"] for p in reference.populations])
                for s in (samples, others)
            )
            line[2].plot(x, y, ".", markersize=3, color=colors[name], alpha=0.6)
        line[2].axline((0, 0), slope=1, color="grey", linewidth=0.8)
        line[2].set(xlabel="NEST: rate of a neuron (spikes/s)", ylabel="rate of the same neuron")
        for axis, what in zip(line, ("", "", ", network 1"), strict=True):
            axis.set_title(titles[drive] + what)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n-scale", type=float, default=0.02)
    parser.add_argument("--k-scale", type=float, default=0.2)
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--seeds", type=int, default=3, help="number of networks")
    parser.add_argument("--drives", nargs="+", default=["dc", "poisson"])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--repeats", type=int, default=4, help="of each part; 0 for none")
    parser.add_argument("--long", type=float, default=5000.0, help="ms, of each part")
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--plot", type=Path, help="figure to draw")
    arguments = parser.parse_args()
    with clock.session():
        tabulate(arguments)


def tabulate(arguments: argparse.Namespace) -> None:
    """Make the recordings that are missing, and print the tables."""
    warnings.simplefilter("ignore", ModelWarning)  # of populations that may fall silent
    found = dict(recordings(arguments))
    print(*comparison(found, arguments.seeds), sep="\n")
    if arguments.plot:
        draw(found, arguments.seeds, arguments.plot)
    if arguments.repeats and "dc" in arguments.drives and set(arguments.cases) == set(CASES):
        print("", reproduced(found, arguments), "", sep="\n", flush=True)
        for line in parts(found, arguments):
            print(line, flush=True)


if __name__ == "__main__":
    main()

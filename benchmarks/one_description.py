"""The picture of the README: one description, six machines, one verdict, from real runs.

    python benchmarks/one_description.py --runs runs --plot docs/one_description.png

Every backend runs the microcircuit at a tenth of its size for two seconds and is judged against the
reference that comes with the package. SpiNNaker is an emulated board: there the network has a
fiftieth of the neurons and a fifth of the inputs of each, and the reference is made of ten seeds of
the built-in engine. Runs are kept in the folder; what is there is not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clock
import matplotlib
import numpy as np

import portable_cortex
from portable_cortex import Recording
from portable_cortex.recording.figure import raster_rows, row_colour
from portable_cortex.validation.verdict import (
    HEADLINES,
    Validation,
    Verdict,
    change,
    examine,
    power,
)

DURATION, SHOWN = 2000.0, 150.0  # ms: of runs, of a raster
SMALL = {"n_scale": 0.02, "k_scale": 0.2}
SEEDS = range(11, 21)  # of the reference of the small network
BOARD = {"target": "emulated", "neurons_per_core": "32", "time_scale_factor": "5"}

DESCRIPTION = """\
def build(sim, scale=0.1):
  for label, n in sizes:
    cells[label] = sim.Population(
      n, sim.IF_curr_exp(…))

  for target, source in pairs:
    sim.Projection(
      cells[source], cells[target],
      sim.FixedTotalNumberConnector(k),
      sim.StaticSynapse(w, delay))

  return cells"""

INK, PALE = "#24292f", "#656d76"
COLOURS = {Verdict.AGREES: "#1a7f37", Verdict.DIFFERS: "#cf222e", Verdict.UNDECIDED: "#9a6700"}


@dataclass(frozen=True)
class Machine:
    """A backend, what it is, and its settings."""

    backend: str
    title: str
    machine: str = "local"
    realisation: str = "native"
    options: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=lambda: {"scale": 0.1})


MACHINES = (
    Machine("builtin", "own engine"),
    Machine("nest", "NEST"),
    Machine("brian2", "Brian2"),
    Machine("neuron", "NEURON"),
    Machine("spinnaker", "emulated board*", "spinnaker-van-albada-2018", "shared", BOARD, SMALL),
    Machine("coarse", "rates, no spikes"),
)


def run(folder: Path, machine: Machine, seed: int = 1) -> Path:
    """Run a machine, unless its run is in the folder."""
    if not (folder / "run.json").exists():
        print(f"{folder.name} ...", flush=True)
        portable_cortex.run(
            backend=machine.backend,
            machine=machine.machine,
            options=machine.options,
            realisation=machine.realisation,
            seed=seed,
            duration=DURATION,
            output=folder,
            **machine.parameters,
        )
    return folder


def judged(folder: Path, machine: Machine) -> Validation:
    """A machine's run, with its verdict."""
    if machine.parameters is not SMALL:
        return examine(run(folder / machine.backend, machine))
    seeds = folder / "small"
    for seed in SEEDS:
        small = Machine("builtin", "", realisation=machine.realisation, parameters=SMALL)
        run(seeds / str(seed), small, seed)
    return examine(run(folder / machine.backend, machine), against=seeds)


def draw(rows: Sequence[tuple[Machine, Validation]], path: Path) -> None:
    """Description, machines with their rasters, verdicts; on white, whatever the page's colour."""
    style: Any = {
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": "#d0d7de",
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.9), facecolor="white")
        for x, heading in (
            (0.02, "One description"),
            (0.37, "six machines"),
            (0.715, "one verdict"),
        ):
            figure.text(x, 0.945, heading, fontsize=14, weight="bold")
        figure.text(0.03, 0.86, DESCRIPTION, family="monospace", fontsize=7.5, va="top",
                    linespacing=1.5,
                    bbox={"facecolor": "#f6f8fa", "edgecolor": "#d0d7de", "pad": 6})  # fmt: skip
        facts = (
            "The cortical microcircuit in PyNN:\n8 populations, 77,169 neurons,\n"
            "299 million synapses.\nThe simulator is an argument."
        )
        figure.text(0.025, 0.4, facts, va="top", linespacing=1.5)
        height = 0.84 / len(rows)
        for number, (machine, validation) in enumerate(rows):
            bottom = 0.90 - (number + 1) * height
            axes = figure.add_axes((0.50, bottom + 0.018, 0.20, height - 0.03))
            _activity(axes, validation.recording)
            middle = bottom + height / 2
            figure.text(0.37, middle + 0.005, machine.backend, family="monospace", weight="bold",
                        fontsize=9.5)  # fmt: skip
            figure.text(0.37, middle - 0.028, machine.title, color=PALE, fontsize=7)
            comparison = validation.comparison
            figure.text(0.715, middle + 0.022, HEADLINES[comparison.verdict], weight="bold",
                        color=COLOURS[comparison.verdict], fontsize=10.5)  # fmt: skip
            figure.text(0.715, middle + 0.004, "\n".join(_numbers(validation)), color=PALE,
                        fontsize=7, va="top", linespacing=1.4)  # fmt: skip
        figure.text(0.02, 0.015, _footnote(), color=PALE, fontsize=6.6, linespacing=1.4)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200, pil_kwargs={"optimize": True})


def _activity(axes: Any, recording: Recording | None) -> None:
    """Spikes of the last 150 ms, or bars of rates where there are no spikes."""
    axes.set_xticks([])
    axes.set_yticks([])
    if recording is None:
        return
    if recording.has_rates_only:
        rates = recording.rates()
        colours = [row_colour(label) for label in rates]
        axes.bar(range(len(rates)), list(rates.values()), color=colours, width=0.7)
        axes.spines[["top", "right", "left"]].set_visible(False)
        return
    start = recording.t_stop - SHOWN
    for row in raster_rows(recording)[1]:
        late = row.times > start
        axes.plot(row.times[late], row.rows[late], ".", color=row_colour(row.label),
                  markersize=1.3, markeredgewidth=0)  # fmt: skip
    axes.set_xlim(start, recording.t_stop)
    axes.margins(y=0.02)


def _numbers(validation: Validation) -> tuple[str, str]:
    """How many tests differ, and what change of the rates they would have seen or saw."""
    comparison = validation.comparison
    tested = [test for test in comparison.tests if np.isfinite(test.p)]
    seen = power(comparison).get("rate")
    if seen is None:
        return comparison.reason[:48], ""
    different = len(comparison.different)
    text = (
        f"{different or 'none'} of {len(tested)} tests {'differ' if different > 1 else 'differs'}"
    )
    if comparison.verdict is Verdict.DIFFERS:
        off = max(abs(change(test) or 0.0) for test in tested if test.statistic == "rate")
        return text, f"mean rates up to {100 * off:.0f} % off: an approximation"
    return text, f"rates {100 * seen:.0f} % off would have been seen"


def _footnote() -> str:
    return (
        "Two seconds at a tenth of the size, each against 30 seeds of NEST; rasters: the last "
        "150 ms. *A fiftieth of the neurons, a fifth of their inputs,\n"
        "the real ARM programs on an emulated board, against ten seeds of the built-in engine. "
        "Made by benchmarks/one_description.py."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--plot", type=Path, default=Path("one_description.png"))
    arguments = parser.parse_args()
    with clock.session():
        rows = [(machine, judged(arguments.runs, machine)) for machine in MACHINES]
        for machine, validation in rows:
            print(
                f"{machine.backend:10s} {validation.comparison.reason}; {_numbers(validation)[1]}"
            )
        draw(rows, arguments.plot)


if __name__ == "__main__":
    main()

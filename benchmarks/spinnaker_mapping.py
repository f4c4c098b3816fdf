"""Mapping the microcircuit onto SpiNNaker without a machine: size of the machine, time, memory.

Two settings of this project's backend, both 64 neurons a core and 20 times slower than real time:
neurons and synapses on the same core (van Albada 2018), or synapse cores as sPyNNaker chooses
them. The peer is plain sPyNNaker with a virtual board and the same description, which generates
all synapses on the host. Every measurement is a process of its own; the table is Markdown.

    python benchmarks/spinnaker_mapping.py --scales 0.1 1 --repeats 3
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import clock

MACHINES = {"same core": "spinnaker-van-albada-2018", "synapse cores": "spinnaker-portal"}
PEER = "plain sPyNNaker"
FIRST_STEP = "all before the first step (s)"
ON_THE_WALL = ("mapping (s)", "data generation (s)", FIRST_STEP)


def portable(settings: str, scale: float) -> dict[str, float]:
    """Map with this project's backend."""
    import portable_cortex

    recording = portable_cortex.run(
        backend="spinnaker",
        machine=MACHINES[settings],
        options={"target": "virtual"},
        scale=scale,
        warmup=0.0,
        duration=100.0,
    )
    about = recording.metadata
    phases, mapping = about["phases_s"], about["machine_report"]["mapping"]
    return {
        "synapses": about["n_synapses"],
        "boards": mapping["boards"],
        "chips": mapping["chips"],
        "cores of the network": mapping["cores"],
        "memory on the machine, without recordings (GB)": mapping["sdram_bytes"] * 1e-9,
        "routing entries": mapping["routing_entries"],
        "most routing entries on a chip (of 1,023)": mapping["routing_entries_largest"],
        "data to be loaded (MB)": mapping["generated_bytes"] * 1e-6,
        "mapping (s)": phases["spinnaker_mapping"],
        "data generation (s)": phases["spinnaker_data_generation"],
        **_first_step(clock.of_run(about, prepare=("prepare",))),
    }


def _without_rng(what: Any, *given: Any, rng: Any = None, **named: Any) -> Any:
    return what(*given, **named)


def plain(scale: float) -> dict[str, float]:
    """Map with plain sPyNNaker."""
    folder = Path(tempfile.mkdtemp())
    os.environ["HOME"] = str(folder)
    os.chdir(folder)
    (folder / ".spynnaker.cfg").write_text(
        "[Machine]\nvirtual_board = True\nversion = 5\n[Mode]\nmode = Production\n"
        "[Simulation]\nerror_on_non_spynnaker_pynn = False\n[Logging]\ninstantiate = False\n"
    )
    import spynnaker.pyNN as sim  # noqa: N813

    from portable_cortex.models import pd14 as model

    # it takes no generators, not even PyNN's
    for name in ("RandomDistribution", "FixedTotalNumberConnector"):
        setattr(sim, name, partial(_without_rng, getattr(sim, name)))
    sim.setup(0.1, time_scale_factor=20)
    sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 64)
    sim.set_number_of_synapse_cores(sim.IF_curr_exp, 0)
    populations = model.build(sim, scale=scale)
    for population in populations.values():
        population.record("spikes")
    with clock.Stopwatch() as watch:
        sim.run(100.0)
    return _first_step(watch.times("prepare"))


def _first_step(times: dict[str, float]) -> dict[str, float]:
    wall, cpu = times.values()
    return {FIRST_STEP: wall, "processor time of it (s)": cpu}


def child(what: str, scale: float) -> dict[str, float]:
    """What a process of its own measures."""
    found = plain(scale) if what == PEER else portable(what, scale)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        **found,
        "processor time of the process (s)": used.ru_utime + used.ru_stime,
        "memory on the host (GB)": used.ru_maxrss * 1024e-9,
    }


def shown(values: list[float], waits: list[float]) -> str:
    """The median, and the range where there is one; a mark where programs waited for a core."""
    middle, low, high = statistics.median(values), min(values), max(values)
    if all(float(value).is_integer() for value in values):
        return f"{middle:,.0f}"
    ends = f"{low:.3g}", f"{high:.3g}"
    ranged = f" [{', '.join(ends)}]" if ends[0] != ends[1] else ""
    return f"{middle:.3g}{ranged}{clock.mark(waits)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=[*MACHINES, PEER], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments.scales[0])))
        return
    with clock.session():
        compare(arguments.scales, arguments.repeats)


def compare(scales: list[float], repeats: int) -> None:
    """Let the contestants take turns, and print a column for each."""
    columns: dict[str, list[dict[str, float]]] = {}
    failures: dict[str, str] = {}
    for scale in scales:
        for _ in range(repeats):
            for what in (*MACHINES, PEER):
                name = f"scale {scale:g}, {what}"
                if name in failures:
                    continue
                try:
                    run = clock.child(name, __file__, "--child", what, "--scales", str(scale))
                except SystemExit as failure:
                    columns.pop(name, None)
                    failures[name] = str(failure).strip().splitlines()[-1]
                else:
                    columns.setdefault(name, []).append(run)
    for name, reason in failures.items():
        print(f"{name}: fails with {reason}\n", flush=True)
    rows = dict.fromkeys(row for runs in columns.values() for row in runs[0])
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for row in rows:
        if row in ("waits", clock.PROCESSOR):
            continue
        cells = []
        for runs in columns.values():
            waits = [run["waits"] for run in runs] if row in ON_THE_WALL else []
            cells.append(shown([run[row] for run in runs if row in run] or [0], waits))
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

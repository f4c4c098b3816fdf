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
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

MACHINES = {"same core": "spinnaker-van-albada-2018", "synapse cores": "spinnaker-portal"}
PEER = "plain sPyNNaker"


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
        "all before the first step (s)": phases["prepare"],
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
    began = time.perf_counter()
    sim.run(100.0)
    return {"all before the first step (s)": time.perf_counter() - began}


def child(what: str, scale: float) -> dict[str, float]:
    """What a process of its own measures."""
    found = plain(scale) if what == PEER else portable(what, scale)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        **found,
        "processor time of the process (s)": used.ru_utime + used.ru_stime,
        "memory on the host (GB)": used.ru_maxrss * 1024e-9,
    }


def measure(what: str, scale: float) -> dict[str, float]:
    """One measurement; its error where it fails."""
    command = [sys.executable, __file__, "--child", what, "--scales", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def shown(values: list[float]) -> str:
    """The median, and the range where there is one."""
    middle, low, high = statistics.median(values), min(values), max(values)
    if all(float(value).is_integer() for value in values):
        return f"{middle:,.0f}"
    ends = f"{low:.3g}", f"{high:.3g}"
    return f"{middle:.3g}" + (f" [{', '.join(ends)}]" if ends[0] != ends[1] else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=[*MACHINES, PEER], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child, given.scales[0])))
        return
    columns: dict[str, list[dict[str, float]]] = {}
    for scale in given.scales:
        for what in (*MACHINES, PEER):
            name = f"scale {scale:g}, {what}"
            try:
                columns[name] = [measure(what, scale) for _ in range(given.repeats)]
            except RuntimeError as error:
                print(f"{name}: fails with {error}\n", flush=True)
    rows = dict.fromkeys(row for runs in columns.values() for row in runs[0])
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for row in rows:
        cells = [
            shown([run[row] for run in runs if row in run] or [0]) for runs in columns.values()
        ]
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

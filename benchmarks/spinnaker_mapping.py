"""Mapping the microcircuit onto SpiNNaker without a machine: size of the machine, time, memory.

The peer is plain sPyNNaker with a virtual board and the same description: it generates all
synapses on the host. Every measurement is a process of its own.

    python benchmarks/spinnaker_mapping.py --scales 0.1 1
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MACHINE = "spinnaker-van-albada-2018"
SHOWN = (
    "boards chips cores sdram_bytes routing_entries routing_entries_largest generated_bytes".split()
)


def portable(scale: float) -> dict[str, float]:
    """Map with this project's backend."""
    import portable_cortex

    recording = portable_cortex.run(
        backend="spinnaker", machine=MACHINE, scale=scale, warmup=0.0, duration=100.0
    )
    about = recording.metadata
    phases = about["phases_s"]
    found = {name: about["machine_report"]["mapping"][name] for name in SHOWN}
    return {
        **found,
        "mapping (s)": phases["spinnaker_mapping"],
        "data generation (s)": phases["spinnaker_data_generation"],
        "all of prepare (s)": phases["prepare"],
    }


def peer(scale: float) -> dict[str, float]:
    """Map with plain sPyNNaker."""
    import os

    folder = Path(tempfile.mkdtemp())
    os.environ["HOME"] = str(folder)
    os.chdir(folder)
    (folder / ".spynnaker.cfg").write_text(
        "[Machine]\nvirtual_board = True\nversion = 5\n[Mode]\nmode = Production\n"
        "[Simulation]\nerror_on_non_spynnaker_pynn = False\n[Logging]\ninstantiate = False\n"
    )
    import spynnaker.pyNN as sim  # noqa: N813

    from portable_cortex import model

    sim.setup(0.1, time_scale_factor=20)
    sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 64)
    sim.set_number_of_synapse_cores(sim.IF_curr_exp, 0)
    populations = model.build(sim, scale=scale)
    for population in populations.values():
        population.record("spikes")
    began = time.perf_counter()
    sim.run(100.0)
    return {"all of prepare (s)": time.perf_counter() - began}


def measure(what: str, scale: float) -> dict[str, float]:
    """One measurement in a process of its own; its error where it fails."""
    command = [sys.executable, __file__, "--child", what, "--scales", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=["portable", "peer"])
    given = parser.parse_args()
    if given.child:
        found = {"portable": portable, "peer": peer}[given.child](given.scales[0])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-9
        print(json.dumps({**found, "memory (GB)": memory}))
        return
    for scale in given.scales:
        for what in ("portable", "peer"):
            try:
                runs = [measure(what, scale) for _ in range(given.repeats)]
            except RuntimeError as error:
                print(f"scale {scale:g}, {what}: fails with {error}")
                continue
            for name in runs[0]:
                value = statistics.median(run[name] for run in runs)
                print(f"scale {scale:g}, {what}: {name} {value:.6g}")


if __name__ == "__main__":
    main()

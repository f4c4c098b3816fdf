"""Time of the same sPyNNaker script on the emulated board, and on another emulator.

    python benchmarks/emulated_board.py --repeats 3
    python benchmarks/emulated_board.py --peer 'COMMAND' --peer-address 127.0.0.2
    python benchmarks/emulated_board.py --microcircuit --duration 200

200 neurons and 200 Poisson sources on 20 cores of a 4-chip board, 1 s of model time. COMMAND starts
the other emulator, which must listen at the address. Reported: wall-clock time of ``sim.run()``
(mapping, loading, running), processor time of the emulator, its start left out, and of the script.
The contestants take turns. With ``--microcircuit`` it is a fiftieth of that, in steps of 0.1 ms, on
a board of 48 chips, and the time is sPyNNaker's of the run alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import clock

from portable_cortex.backends.spinnaker.board import EmulatedBoard

SCRIPT = """
import json, sys, time
import spynnaker.pyNN as sim
rate, duration = float(sys.argv[1]), float(sys.argv[2])
sim.setup(timestep=1.0)
sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 20)
sim.set_number_of_neurons_per_core(sim.SpikeSourcePoisson, 20)
cells, sources = {}, {}
for i, (name, n) in enumerate((("E", 160), ("I", 40))):
    cells[name] = sim.Population(
        n, sim.IF_curr_exp(tau_refrac=2.0), additional_parameters={"seed": i + 1}
    )
    source = sim.Population(
        n, sim.SpikeSourcePoisson(rate=rate), additional_parameters={"seed": i + 3}
    )
    sim.Projection(
        source, cells[name], sim.OneToOneConnector(), sim.StaticSynapse(weight=0.8, delay=1.0)
    )
    cells[name].record("spikes")
for a in "EI":
    for b in "EI":
        sim.Projection(
            cells[a], cells[b], sim.FixedProbabilityConnector(0.1),
            sim.StaticSynapse(weight=0.15 if a == "E" else -0.8, delay=2.0),
            receptor_type="excitatory" if a == "E" else "inhibitory",
        )
started = time.perf_counter()
sim.run(duration)
took = time.perf_counter() - started
spikes = sum(p.get_spike_counts()[i] for p in cells.values() for i in p.get_spike_counts())
sim.end()
with open("out.json", "w") as file:
    json.dump({"run_s": took, "rate": spikes / 200 / duration * 1000}, file)
"""

MICROCIRCUIT = """
import json, sys
import portable_cortex
_, duration, address = sys.argv[1:]
options = {"target": "board:" + address, "time_scale_factor": 1, "overrun_seconds": 3600}
found = portable_cortex.run(
    backend="spinnaker", machine="spinnaker-van-albada-2018", options=options, n_scale=0.02,
    k_scale=0.02, seed=1, warmup=0.0, duration=float(duration), realisation="shared",
)
spikes = sum(found.spikes(name)[0].size for name in found.populations)
cells = sum(found.n_neurons.values())
with open("out.json", "w") as file:
    took = found.metadata["phases_s"]["spinnaker_run"]
    json.dump({"run_s": took, "rate": spikes / cells / float(duration) * 1000}, file)
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(address: str, pid: int, rate: float | None, duration: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = (
            f"[Machine]\nmachine_name = {address}\nversion = 3\n"
            "post_simulation_overrun_before_error = 3600\n[Mode]\nmode = Production\n"
        )
        Path(folder, "spynnaker.cfg").write_text(config)
        Path(folder, ".spynnaker.cfg").write_text("")
        before = cpu_seconds(pid)
        with clock.Stopwatch() as watch:
            subprocess.run(
                [sys.executable, "-c", MICROCIRCUIT if rate is None else SCRIPT, str(rate),
                 str(duration), address],
                cwd=folder, env=os.environ | {"HOME": folder}, check=True, capture_output=True,
            )  # fmt: skip
        found = json.loads(Path(folder, "out.json").read_text())
        emulator = cpu_seconds(pid) - before
        return found | {"emulator": emulator, "sPyNNaker": watch.cpu, "waits": watch.waits}


def ours(threads: int, rate: float | None, duration: float) -> dict[str, float]:
    with EmulatedBoard(5 if rate is None else 3, threads=threads) as board:
        assert board.pid is not None
        return run(board.address, board.pid, rate, duration)


def peer(command: str, address: str, rate: float | None, duration: float) -> dict[str, float]:
    process = subprocess.Popen(shlex.split(command), stderr=subprocess.DEVNULL)
    try:
        time.sleep(3)
        return run(address, process.pid, rate, duration)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1000.0, help="of the sources, spikes/s")
    parser.add_argument("--microcircuit", action="store_true", help="another network")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms")
    parser.add_argument("--peer", help="command that starts another emulator")
    parser.add_argument("--peer-address", default="127.0.0.2")
    arguments = parser.parse_args()
    what = (None if arguments.microcircuit else arguments.rate, arguments.duration)
    kinds = {"1 thread": lambda: ours(1, *what), "2 threads": lambda: ours(2, *what)}
    if arguments.peer:
        kinds["peer"] = lambda: peer(arguments.peer, arguments.peer_address, *what)
    with clock.session():
        compare(kinds, arguments.repeats)


def compare(kinds: dict[str, Callable[[], dict[str, float]]], repeats: int) -> None:
    """Let the contestants take turns, and print medians; ratios are to the last."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(repeats):
        for name, measure in kinds.items():
            runs[name].append(measure())
    last = [*runs.values()][-1]
    print("| | run | ratio | processor time of the emulator | ratio | of sPyNNaker | spikes/s |")
    print("|---|---|---|---|---|---|---|")
    for name, own in runs.items():
        cells = [name]
        for key in ("run_s", "emulator"):
            waits = [run["waits"] for run in own] if key == "run_s" else []
            ratio = median(own, key) / median(last, key) if median(last, key) else 0.0
            cells += [clock.cell([run[key] for run in own], " s", waits), f"{ratio:.2f}"]
        cells += [clock.cell([run["sPyNNaker"] for run in own], " s"), f"{median(own, 'rate'):.0f}"]
        print(f"| {' | '.join(cells)} |")


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


if __name__ == "__main__":
    main()

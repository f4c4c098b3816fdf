"""The Brian2 backend beside what a Brian2 user would write: build time, run time, memory.

Peers: a script in Brian2's own terms (below), compiled to C++ with OpenMP; and plain pyNN.brian2,
which runs in Python (NumPy, nothing compiled), beside this backend in the same mode.
Every measurement is a process of its own; the contestants take turns. ``cold`` compiles everything;
``warm`` has compiled the same before. Nothing is recorded. Ratios are ratios of medians. The
processor time of "simulate" is that of the C++ program, by hand with its start; that of
"everything" has imports and compilers, too.

    python benchmarks/brian2_build_and_simulate.py                   # scale 0.1
    python benchmarks/brian2_build_and_simulate.py --pynn            # pyNN.brian2, scale 0.005
    python benchmarks/brian2_build_and_simulate.py --only portable-cortex --scale 0.5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import clock

COMPILERS = {"cc1plus", "as", "ld", "collect2", "g++", "make", "sh"}
ALL = f"everything, {clock.PROCESSOR}"
ON_THE_WALL = ("build", "compile", "simulate", "build + simulate")
ROWS = (*ON_THE_WALL, "simulate, processor time", ALL, "memory")


def portable(scale: float, duration: float, threads: int, mode: str) -> dict[str, float]:
    """Run this project's Brian2 backend."""
    import portable_cortex

    start = time.perf_counter()
    recording = portable_cortex.run(
        backend="brian2",
        scale=scale,
        warmup=0.0,
        duration=duration,
        record_spikes=False,
        options={"threads": str(threads), "mode": mode, "target": "numpy"},
    )
    total = time.perf_counter() - start
    phases = recording.metadata["phases_s"]
    return {
        "build": total - phases["simulate"] - phases["compile"] - phases["import"],
        "compile": phases["compile"],
        "simulate": phases["simulate"],
        "simulate, processor time": recording.metadata["cpu_s"]["simulate"],
        "synapses": recording.metadata["n_synapses"],
    }


def by_hand(scale: float, duration: float, threads: int, folder: str) -> dict[str, float]:
    """Run the same network, written for Brian2: one neuron group, arrays, ``PoissonInput``."""
    import brian2 as b
    import numpy as np

    from portable_cortex.models.parameters import PD14
    from portable_cortex.models.scaling import scale as scaled_circuit

    start = time.perf_counter()
    b.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b.prefs.devices.cpp_standalone.openmp_threads = threads
    b.seed(1)
    circuit, neuron = scaled_circuit(PD14, scale, scale, "poisson"), PD14.neuron
    rng, step = np.random.default_rng(1), 0.1
    constants = {
        "E_L": neuron.v_rest * b.mV,
        "V_reset": neuron.v_reset * b.mV,
        "V_th": neuron.v_thresh * b.mV,
        "C": neuron.cm * b.nF,
        "tau_m": neuron.tau_m * b.ms,
        "tau_s": neuron.tau_syn * b.ms,
    }
    equations = """
    dV/dt = (E_L - V)/tau_m + (I + I_dc)/C : volt (unless refractory)
    dI/dt = -I/tau_s : amp
    I_dc : amp (constant)
    """
    cells = b.NeuronGroup(
        sum(circuit.sizes),
        equations,
        threshold="V >= V_th",
        reset="V = V_reset",
        refractory=neuron.tau_refrac * b.ms,
        method="exact",
        dt=step * b.ms,
        namespace=constants,
    )
    starts = np.concatenate([[0], np.cumsum(circuit.sizes)])
    means = np.repeat(PD14.v0_optimized_mean, circuit.sizes)
    cells.V = rng.normal(means, np.repeat(PD14.v0_optimized_sd, circuit.sizes)) * b.mV
    cells.I_dc = np.repeat(circuit.dc, circuit.sizes) * b.nA
    pieces: list[Any] = []
    for target in range(8):
        for source in range(8):
            n = int(circuit.synapses[target, source])
            weight = float(circuit.weights[target, source])
            delay = PD14.delay_exc if source % 2 == 0 else PD14.delay_inh
            weights = rng.normal(weight, abs(weight) * PD14.weight_rel_sd, n)
            delays = rng.normal(delay, delay * PD14.delay_rel_sd, n)
            pieces.append(
                (
                    rng.integers(starts[source], starts[source + 1], n, dtype=np.int32),
                    rng.integers(starts[target], starts[target + 1], n, dtype=np.int32),
                    np.maximum(weights, 0) if weight > 0 else np.minimum(weights, 0),
                    np.maximum(np.round(delays / step), 1) * step,
                )
            )
    sources, targets, weights, delays = map(np.concatenate, zip(*pieces, strict=True))
    del pieces
    synapses = b.Synapses(cells, cells, "w : amp (constant)", on_pre="I_post += w")
    synapses.connect(i=sources, j=targets)
    synapses.w = weights * b.nA
    synapses.delay = delays * b.ms
    inputs = [
        b.PoissonInput(
            cells[starts[i] : starts[i + 1]],
            "I",
            N=round(circuit.k_ext[i]),
            rate=PD14.rate_ext * b.Hz,
            weight=circuit.weight_ext * b.nA,
        )
        for i in range(8)
    ]
    network = b.Network(cells, synapses, inputs)
    n = len(sources)
    network.run(duration * b.ms)
    before = time.perf_counter()
    b.device.build(directory=folder, compile=False, run=False)
    written = time.perf_counter()
    b.device.compile_source(folder, "unix", False, False)
    compiled = time.perf_counter()
    with clock.Stopwatch() as watch:
        b.device.run(folder, "results", with_output=False)
    end = time.perf_counter()
    simulate = b.device._last_run_time
    return {
        "build": end - start - (compiled - written) - simulate,
        "compile": compiled - written,
        "simulate": simulate,
        "simulate, processor time": watch.cpu,
        "write": written - before,
        "synapses": n,
    }


def pynn(scale: float, duration: float, threads: int, folder: str) -> dict[str, float]:
    """Run the same description on pyNN.brian2 as it comes."""
    import brian2
    import pyNN.brian2 as sim

    from portable_cortex.host.clock import Clock
    from portable_cortex.models import pd14 as model
    from portable_cortex.models.loader import Model
    from portable_cortex.pynn.watching import build_network

    brian2.prefs.codegen.target = "numpy"  # it would compile for many minutes
    sim.setup(timestep=0.1)
    phases = Clock()
    network = build_network(
        Model("pd14", model.build),
        {"scale": scale},
        sim,
        backend_name="pyNN.brian2",
        clock=phases,
        shared_seed=None,
        on_progress=lambda label: None,
    )
    synapses = network.n_synapses
    start = time.perf_counter()
    sim.run(0.1)
    compiled = time.perf_counter()
    with clock.Stopwatch() as watch:
        sim.run(duration)
    return {
        "build": phases.seconds["create"] + phases.seconds["connect"],
        "compile": compiled - start,
        **watch.times("simulate"),
        "synapses": synapses,
    }


def resident_bytes(pid: int) -> int:
    """Memory of a process and those it started (shared pages once), without compilers."""
    total = 0
    try:
        process = Path(f"/proc/{pid}")
        if (process / "comm").read_text().strip() not in COMPILERS:
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        for task in (process / "task").iterdir():
            for child in (task / "children").read_text().split():
                total += resident_bytes(int(child))
    except OSError:
        pass  # it has ended
    return total


def measure(name: str, scale: float, duration: float, threads: int, cache: str) -> dict[str, float]:
    """One run in a process of its own, with the peak memory of all its processes."""
    settings = json.dumps([name, scale, duration, threads, cache])
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    process = subprocess.Popen(
        [sys.executable, __file__, "--one", settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    peak = 0

    def watch_memory() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            time.sleep(0.05)

    watcher = threading.Thread(target=watch_memory)
    with clock.Stopwatch() as watch:
        watcher.start()
        out, errors = process.communicate()
    watcher.join()
    if process.returncode:
        sys.exit(f"{name} at scale {scale} failed:\n{errors[-2000:]}")
    result: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return {**result, "waits": watch.waits, "memory": peak / 1e9}


def one(name: str, scale: float, duration: float, threads: int, cache: str) -> dict[str, float]:
    """The measurement itself."""
    if name == "by hand":
        return by_hand(scale, duration, threads, f"{cache}/by_hand")
    if name == "pyNN.brian2":
        return pynn(scale, duration, threads, cache)
    # pyNN.brian2 runs in Python: compare like with like, neither compiled
    mode = "runtime" if name.endswith("runtime") else "cpp_standalone"
    return portable(scale, duration, threads, mode)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, help="0.1 unless given; with --pynn 0.005")
    parser.add_argument("--duration", type=float, default=1000.0, help="ms of model time")
    parser.add_argument("--pynn", action="store_true", help="pyNN.brian2, at run time")
    parser.add_argument("--only", help="one contestant, once")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        result = one(*json.loads(arguments.one))
        print(json.dumps({**result, ALL: clock.processor_time()}))
        return
    names = ["portable-cortex", "by hand"]
    if arguments.pynn:
        names = ["portable-cortex, runtime", "pyNN.brian2"]
    if arguments.scale is None:
        arguments.scale = 0.005 if arguments.pynn else 0.1
    if arguments.only:
        names, arguments.repeats = [arguments.only], 0
    with clock.session():
        compare(names, arguments.scale, arguments.duration, arguments.threads, arguments.repeats)


def compare(names: list[str], scale: float, duration: float, threads: int, repeats: int) -> None:
    """Let the contestants take turns, and print medians and ratios."""
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for repeat in range(repeats + 1):
            for name in names:
                state = "warm" if repeat else "cold"
                result = measure(name, scale, duration, threads, cache)
                runs.setdefault((state, name), []).append(result)
                result["build + simulate"] = result["build"] + result["simulate"]
                print(f"  {state} {name:24} {result}", file=sys.stderr, flush=True)
    print(f"scale {scale:g}, {duration:g} ms, {threads} threads, "
          f"cold once, warm median of {repeats} [min, max]\n")  # fmt: skip
    if len(names) < 2:
        for row in ROWS:
            print(f"{row}: {runs['cold', names[0]][0][row]:.2f}")
        return
    print(f"| | phase | {names[0]} | {names[1]} | ratio |\n|---|---|---|---|---|")
    for state in dict.fromkeys(state for state, _ in runs):
        for row in ROWS:
            medians, cells = [], []
            for name in names:
                values = [run[row] for run in runs[state, name]]
                waits = [run["waits"] for run in runs[state, name]] if row in ON_THE_WALL else []
                medians.append(statistics.median(values))
                cells.append(clock.cell(values, " GB" if row == "memory" else " s", waits))
            ratio = f"{medians[0] / medians[1]:.2f}"
            print(f"| {state} | {row} | {cells[0]} | {cells[1]} | {ratio} |")


if __name__ == "__main__":
    main()

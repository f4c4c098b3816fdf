"""The built-in engine on a GPU: real-time factor, what a step consists of, energy, growth.

    python benchmarks/gpu_engine.py                      # full scale: drives and precisions
    python benchmarks/gpu_engine.py --energy 60          # with NVML's energy of so many seconds
    python benchmarks/gpu_engine.py --growth             # by the numbers of neurons and synapses

All spikes are recorded. Times are wall-clock times; the figure that the kernel counts itself, in
cycles of a multiprocessor's clock, says what a step consists of.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import clock
import numpy as np
from numba import cuda

import portable_cortex
from portable_cortex.backends.builtin import _gpu, _gpu_kernel
from portable_cortex.errors import PowerMeterError
from portable_cortex.models import pd14
from portable_cortex.power import NvmlSettings


class Network:
    """The microcircuit, built and prepared, with all spikes recorded.

    Attributes
    ----------
    build, prepare : float
        s; the second with the table of synapses, the way to the GPU, and compiling.
    """

    def __init__(self, precision: str, **parameters: Any) -> None:
        self.sim = portable_cortex.simulator("builtin")
        self.sim.setup(timestep=0.1, rng_seed=1, device="cuda", precision=precision)
        began = time.perf_counter()
        pd14.build(self.sim, seed=1, **parameters)
        self.populations = [p for p in self.sim.state.populations if not p.is_source]
        for population in self.populations:
            population.record("spikes")
        self.build = time.perf_counter() - began
        self.prepare = self._prepared()

    def _prepared(self) -> float:
        began = time.perf_counter()
        self.sim.state.prepare(lambda fraction, detail="": None)
        return time.perf_counter() - began

    @property
    def n_neurons(self) -> int:
        """Of all populations."""
        return sum(p.size for p in self.populations)

    @property
    def n_synapses(self) -> int:
        """In the table."""
        return int(self.sim.state.synapses.targets.size)

    def run(self, seconds: float) -> float:
        """Wall-clock time of so many seconds of model time."""
        began = time.perf_counter()
        self.sim.run(1000.0 * seconds)
        return time.perf_counter() - began

    def take_spikes(self) -> tuple[int, int]:
        """Spikes and synaptic events since the last call."""
        table = self.sim.state.synapses
        offsets = table.offsets.astype(np.int64)
        spikes = events = 0
        for population in self.populations:
            _, cells = population.recorder.spikes()
            rows = table.rows[:, int(population.first_id) + cells]
            spikes += cells.size
            events += int((offsets[rows, -1] - offsets[rows, 0])[rows >= 0].sum())
            population.recorder.drop()
        return spikes, events

    def cycles(self, seconds: float) -> list[float]:
        """Cycles of each of `PHASES` in a step, the mean over multiprocessors."""
        _gpu.TIMED = True
        self.sim.state.touch("the kernel")
        self._prepared()
        self.run(seconds)
        counted = self.sim.state.engine.cycles.copy_to_host().mean(axis=0)
        _gpu.TIMED = False
        self.sim.state.touch("the kernel")
        self._prepared()
        return [float(c / (seconds * 1e4)) for c in counted]


def row(*cells: Any) -> None:
    """One of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def full(arguments: argparse.Namespace) -> None:
    """Drives and precisions."""
    phases = _gpu_kernel.PHASES
    row("drive", "precision", "build, s", "prepare, s", "real-time factor, median [min, max]",
        "us a step", "spikes a step", "synaptic events a step",
        *(f"{p}, cycles" for p in phases))  # fmt: skip
    row(*["---"] * (8 + len(phases)))
    for drive in arguments.drive:
        for precision in arguments.precision:
            network = Network(precision, scale=arguments.scale, drive=drive)
            network.run(0.5)
            network.take_spikes()
            times = [network.run(arguments.seconds) for _ in range(arguments.repeats)]
            spikes, events = network.take_spikes()
            steps = arguments.seconds * arguments.repeats * 1e4
            factors = [t / arguments.seconds for t in times]
            median = statistics.median(factors)
            cycles = network.cycles(min(arguments.seconds, 1.0))
            row(drive, precision, f"{network.build:.1f}", f"{network.prepare:.1f}",
                f"{median:.4f} [{min(factors):.4f}, {max(factors):.4f}]", f"{median * 100:.2f}",
                f"{spikes / steps:.1f}", f"{events / steps:.0f}",
                *(f"{c:.0f}" for c in cycles))  # fmt: skip
            if arguments.energy:
                energy(network, arguments.energy)
            network.sim.end()


def energy(network: Network, seconds: float) -> None:
    """What the GPU's board takes while it simulates, and doing nothing."""
    try:
        meter = NvmlSettings(meter="nvml").open()
    except PowerMeterError as error:
        print(f"no energy: {error}")
        return
    network.take_spikes()
    meter.start()
    time.sleep(2.0)
    idle = meter.stop().joules / 2.0
    meter.start()
    wall = network.run(seconds)
    joules = meter.stop().joules
    _, events = network.take_spikes()
    print(
        f"{seconds:g} s of model time in {wall:.2f} s: {joules:.0f} J (NVML, GPU board), "
        f"{joules / wall:.0f} W ({idle:.0f} W when nothing runs), {events:.4g} synaptic events, "
        f"{1e9 * joules / events:.1f} nJ an event",
        flush=True,
    )


def growth(arguments: argparse.Namespace) -> None:
    """By neurons, with their in-degrees, and by in-degrees."""
    row("neurons", "in-degrees", "neurons", "synapses", "prepare, s", "us a step", "spikes a step",
        "synaptic events a step")  # fmt: skip
    row(*["---"] * 8)
    sizes = [(n, 1.0) for n in arguments.scales] + [(1.0, k) for k in arguments.scales if k < 1]
    for n_scale, k_scale in sizes:
        network = Network("single", n_scale=n_scale, k_scale=k_scale)
        network.run(0.5)
        network.take_spikes()
        times = [network.run(1.0) for _ in range(arguments.repeats)]
        spikes, events = network.take_spikes()
        steps = 1e4 * arguments.repeats
        row(f"{n_scale:g}", f"{k_scale:g}", f"{network.n_neurons:,}", f"{network.n_synapses:,}",
            f"{network.prepare:.1f}", f"{statistics.median(times) * 100:.2f}",
            f"{spikes / steps:.1f}", f"{events / steps:.0f}")  # fmt: skip
        network.sim.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--drive", nargs="+", default=["poisson", "dc"])
    parser.add_argument("--precision", nargs="+", default=["single", "double"])
    parser.add_argument("--seconds", type=float, default=2.0, help="model time of a slice")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--energy", type=float, help="s of model time that energy is measured in")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--scales", type=float, nargs="+", default=[0.1, 0.25, 0.5, 1.0])
    arguments = parser.parse_args()
    if not cuda.is_available():
        parser.error("an NVIDIA GPU is needed, and none was found")
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    with clock.session():
        print(f"{name}, {device.MULTIPROCESSOR_COUNT} multiprocessors\n", flush=True)
        (growth if arguments.growth else full)(arguments)


if __name__ == "__main__":
    main()

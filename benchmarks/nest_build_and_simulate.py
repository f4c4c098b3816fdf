"""The NEST backend beside the peers a NEST user would pick: build time, run time, memory.

Peers: ``microcircuit`` (bare PyNEST, by the model's authors; pip install microcircuit) and plain
pyNN.nest. Every measurement is a process of its own; the contestants take turns, so that a machine
whose speed drifts slows both. Nothing is recorded. Ratios are ratios of medians.

    python benchmarks/nest_build_and_simulate.py                # scales 0.1 and 0.3, pyNN at 0.02
    python benchmarks/nest_build_and_simulate.py --full         # full scale, 100 ms, this backend
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile

import clock

WARMUP = 100.0  # ms
PHASES = ("create", "connect", "simulate")
ROWS = {
    **{row: " s" for phase in PHASES for row in (phase, f"{phase}, {clock.PROCESSOR}")},
    "memory": " GB",
}


def portable(scale: float, duration: float, threads: int, seed: int) -> dict[str, float]:
    """Run this project's NEST backend."""
    import portable_cortex

    recording = portable_cortex.run(
        backend="nest",
        scale=scale,
        warmup=WARMUP,
        duration=duration,
        seed=seed,
        record_spikes=False,
        options={"threads": str(threads)},
    )
    # the peer counts NEST's preparation as part of connecting
    times = clock.of_run(
        recording.metadata,
        create=("create",),
        connect=("connect", "prepare"),
        simulate=("simulate",),
    )
    return {**times, "synapses": recording.metadata["n_synapses"]}


def microcircuit(scale: float, duration: float, threads: int, seed: int) -> dict[str, float]:
    """Run the model authors' own PyNEST implementation."""
    import nest
    from microcircuit.network import Network
    from microcircuit.network_params import default_net_dict as network
    from microcircuit.sim_params import default_sim_dict as simulation
    from microcircuit.stimulus_params import default_stim_dict as stimulus

    nest.verbosity = nest.VerbosityLevel.ERROR
    network.update(N_scaling=scale, K_scaling=scale, bg_input_type="poisson")
    simulation.update(
        rec_dev=[],
        data_path=tempfile.mkdtemp() + "/",
        local_num_threads=threads,
        print_time=False,
        rng_seed=seed,
    )
    circuit = Network(simulation, network, stimulus)
    times: dict[str, float] = {}
    for phase, action in (
        ("create", circuit.create),
        ("connect", circuit.connect),
        ("warmup", lambda: circuit.simulate(WARMUP)),
        ("simulate", lambda: circuit.simulate(duration)),
    ):
        with clock.Stopwatch() as watch:
            action()
        times.update(watch.times(phase))
    times["synapses"] = int(circuit.num_synapses.sum())
    return times


def pynn(scale: float, duration: float, threads: int, seed: int) -> dict[str, float]:
    """Run the same description on pyNN.nest as it comes."""
    import pyNN.nest as sim

    from portable_cortex.host.clock import Clock
    from portable_cortex.models import pd14 as model
    from portable_cortex.models.loader import Model
    from portable_cortex.pynn.watching import build_network

    sim.setup(timestep=0.1, threads=threads, rng_seed=seed, spike_precision="on_grid")
    phases = Clock()
    network = build_network(
        Model("pd14", model.build),
        {"scale": scale, "seed": seed},
        sim,
        backend_name="pyNN.nest",
        clock=phases,
        shared_seed=None,
        on_progress=lambda label: None,
    )
    synapses = network.n_synapses
    sim.run(WARMUP)
    with phases("simulate"):
        sim.run(duration)
    about = {"phases_s": phases.seconds, "cpu_s": phases.cpu_seconds}
    times = clock.of_run(about, **{phase: (phase,) for phase in PHASES})
    return {**times, "synapses": synapses}


CONTESTANTS = {"portable-cortex": portable, "microcircuit": microcircuit, "pyNN.nest": pynn}


def measure(name: str, scale: float, duration: float, threads: int, seed: int) -> dict[str, float]:
    """One run in a process of its own, with its peak memory."""
    settings = json.dumps([name, scale, duration, threads, seed])
    return clock.child(f"{name} at scale {scale}", __file__, "--one", settings)


def compare(
    first: str, second: str, scale: float, duration: float, threads: int, repeats: int
) -> None:
    """Let two contestants take turns, and print medians and ratios."""
    runs: dict[str, list[dict[str, float]]] = {first: [], second: []}
    for repeat in range(repeats):
        for name in (first, second):
            runs[name].append(measure(name, scale, duration, threads, seed=repeat + 1))
            print(f"  {name:16} {runs[name][-1]}", file=sys.stderr)
    print(f"\nscale {scale:g}, {duration:g} ms after {WARMUP:g} ms, {threads} threads, "
          f"median of {repeats} [min, max]\n")  # fmt: skip
    print(f"| phase | {first} | {second} | ratio of medians |")
    print("|---|---|---|---|")
    for phase, unit in ROWS.items():
        medians, cells = [], []
        for name in (first, second):
            values = [run[phase] for run in runs[name]]
            waits = [run["waits"] for run in runs[name]] if phase in PHASES else []
            medians.append(statistics.median(values))
            cells.append(clock.cell(values, unit, waits))
        print(f"| {phase} | {cells[0]} | {cells[1]} | {medians[0] / medians[1]:.2f} |")
    print(flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scales", type=float, nargs="*", default=[0.1, 0.3])
    parser.add_argument("--duration", type=float, default=2000.0, help="ms of model time")
    parser.add_argument("--full", action="store_true", help="only full scale, 100 ms")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, *settings = json.loads(arguments.one)
        result = CONTESTANTS[name](*settings)
        result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(result))
        return
    with clock.session():
        if arguments.full:
            full(arguments.threads)
            return
        compare("portable-cortex", "pyNN.nest", 0.02, 500.0, arguments.threads, arguments.repeats)
        for scale in arguments.scales:
            compare(
                "portable-cortex",
                "microcircuit",
                scale,
                arguments.duration,
                arguments.threads,
                arguments.repeats,
            )


def full(threads: int) -> None:
    """The whole network, once."""
    result = measure("portable-cortex", 1.0, 100.0, threads, seed=1)
    print("| full scale, 100 ms after 100 ms | |\n|---|---|")
    for row, unit in ROWS.items():
        waits = [result["waits"]] if row in PHASES else []
        print(f"| {row} | {clock.cell([result[row]], unit, waits, digits=1)} |")
    print(f"| synapses | {result['synapses']:,} |")


if __name__ == "__main__":
    main()

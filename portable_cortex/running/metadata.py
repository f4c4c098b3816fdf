"""The contents of ``run.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from ..host import parallel, provenance
from ..host.clock import Clock
from ..power.metering import Metering
from ..pynn.watching import Network
from ..recording import Spikes
from ..recording.stored import neuron_counts, pieces_of
from .notes import Notes
from .resolved import Resolved


def describe_run(
    resolved: Resolved,
    network: Network,
    spikes: Mapping[str, Spikes],
    clock: Clock,
    metering: Metering,
    notes: Notes,
) -> dict[str, Any]:
    """The contents of ``run.json``."""
    sizes = {label: int(p.size) for label, p in network.populations.items()}
    counts = {label: neuron_counts(pieces_of(spikes, label), sizes[label]) for label in spikes}
    seconds = resolved.experiment.duration * 1e-3
    backend, tried = resolved.backend, notes.tried
    nothing: dict[str, Any] = {}
    none: list[dict[str, Any]] = []
    energies = list(metering.energies)
    of_machine = tried("the backend's own energy", backend.energy, None)
    if of_machine is not None:
        energies.append(replace(of_machine, source=of_machine.source or backend.name))
    doubts = tried("what the machine reports of its faults", lambda: [*backend.doubts()], None)
    rates = {p: float(c.sum()) / (c.size * seconds) for p, c in counts.items()}
    errors: dict[str, float] = {}
    if not backend.spiking:
        found = {label: backend.rate(p) for label, p in network.populations.items()}
        rates = {label: rate.value for label, rate in found.items()}
        errors = {label: rate.error for label, rate in found.items()}
    return {
        **resolved.settings(),
        "experiment": resolved.experiment.to_dict(),
        "populations": sizes,
        "n_neurons": network.n_neurons,
        "n_synapses": tried("the number of synapses", lambda: network.n_synapses, None),
        "n_spikes": sum(int(c.sum()) for c in counts.values()) if spikes else None,
        "synaptic_events": tried(
            "the number of synaptic events", lambda: network.synaptic_events(counts), None
        )
        if spikes
        else None,
        "rates": rates,
        **({"rate_errors": errors} if errors else {}),
        "phases_s": {
            **clock.seconds,
            **tried("the backend's phases", lambda: {**backend.phases()}, nothing),
        },
        "cpu_s": {phase: parallel.total(s) for phase, s in clock.cpu_seconds.items()},
        "real_time_factor": clock.seconds["simulate"] / seconds
        if backend.simulates and backend.spiking
        else None,
        "processes": parallel.processes(),
        "peak_memory_bytes": parallel.total(provenance.peak_memory_bytes()),
        "energy": tried("the energy", lambda: [asdict(energy) for energy in energies], none),
        "warnings": [notes[-1]] if doubts is None else doubts,
        "machine_report": tried("the machine's report", lambda: {**backend.details()}, nothing),
        "simulate_interval_unix": list(metering.interval_unix),
        "versions": provenance.versions(backend.distributions),
        "computer": tried("what computer this is", provenance.computer, nothing),
    }

"""What runs at the portal: build, run, and write one archive. Part of every submitted script.

Beside the standard library it needs PyNN, numpy and the simulator only, and scipy for the `shared`
realisation, whatever the rest of the package needs.
"""

from __future__ import annotations

import datetime
import importlib
import io
import json
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from portable_cortex.host import provenance
from portable_cortex.host.clock import Clock
from portable_cortex.models.loader import load_model
from portable_cortex.pynn.watching import Network, build_network

SYSTEMS = ("spiNNaker", "nest")
"""What a job can be started on, as it is called there."""


MISSING = {
    "pyNN": "PyNN (pip install pynn)",
    "nest": "NEST (pip install nest-simulator)",
    "spynnaker": "sPyNNaker (pip install spynnaker)",
}
"""What the user has to install, by the module that cannot be imported."""


class Session(Protocol):
    """What runs a job: the class ``Session`` in the module ``session`` of a backend.

    That module, and what it imports, is all of the backend that a job takes along.

    Attributes
    ----------
    name : str
    distributions : tuple of str
        Whose versions belong into ``run.json``.
    sim : PyNN namespace
    """

    name: str
    distributions: tuple[str, ...]
    sim: Any

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        """Start from the backend's options, with a folder for whatever is written."""

    def setup(self, timestep: float, seed: int) -> None:
        """Make the simulator ready for one network."""

    def prepare(self) -> None:
        """Do what is left before the first step."""

    def spikes(self, population: Any) -> tuple[Any, Any]:
        """Neurons and times (ms) of all spikes."""

    def report(self, share: float) -> dict[str, Any]:
        """Parts of ``run.json``: ``phases``, ``energy``, ``warnings``, ``machine_report``.

        Energy is that of a share of the time since the start.
        """


def main(job: Mapping[str, Any], system: str) -> int:
    """Run the job on a system by name, and write the archive into the current folder.

    Returns
    -------
    int
        Exit status; the archive of a failed job holds the error.
    """
    name = system.lower()
    if name not in map(str.lower, SYSTEMS):
        print(f"unknown system {system!r}: valid are {', '.join(SYSTEMS)}", file=sys.stderr)
        return 2
    archive = Path(f"{job['archive']}.zip")
    folder = Path(tempfile.mkdtemp(prefix="portable-cortex-job-"))
    try:
        try:
            files, status = _run(job, name, folder), 0
        except (Exception, SystemExit) as error:
            text = traceback.format_exc()
            if isinstance(error, ModuleNotFoundError) and error.name in MISSING:
                print(f"{MISSING[error.name]} is not installed here: {error}", file=sys.stderr)
            else:
                print(text, file=sys.stderr)
            files, status = {"error.txt": text.encode("utf-8", "backslashreplace")}, 1
        _write(archive, files, folder)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{archive} could not be written: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if status == 0:
        _report(files["run.json"], archive)
    return status


def _report(run: bytes, archive: Path) -> None:
    """Rates, and what to do with the archive, for whoever runs the script by hand."""
    for label, rate in json.loads(run)["rates"].items():
        print(ascii(label)[1:-1].ljust(16), f"{rate:.3f} spikes/s")
    print("written to".ljust(16), archive)
    print("Where portable-cortex is installed, go on with one of")
    print(f"  portable-cortex validate {archive}")
    print(f"  portable-cortex jobs fetch {archive} --out FOLDER")


def _write(path: Path, files: Mapping[str, bytes], folder: Path) -> None:
    """One archive, under its final name only when it is whole."""
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name in ("spynnaker.cfg", "spynnaker.log"):
            if (folder / name).exists():
                archive.write(folder / name, name)
    partial.replace(path)


def _run(job: Mapping[str, Any], name: str, folder: Path) -> dict[str, bytes]:
    experiment = job["experiment"]
    clock, started = Clock(), datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017  # 3.10
    model = load_model(job["model_file"] or experiment["model"])
    parameters = dict(experiment["parameters"])
    if "seed" in model.parameters:
        parameters["seed"] = experiment["seed"]
    published, note = model.expected_rates(parameters)
    with clock("import"):
        backend = importlib.import_module(f"portable_cortex.backends.{name}.session")
        system: Session = backend.Session(job["options"], folder)
    with clock("setup"):
        system.setup(experiment["timestep"], experiment["seed"])
    network = build_network(
        model,
        parameters,
        system.sim,
        backend_name=system.name,
        clock=clock,
        shared_seed=experiment["seed"] if experiment["realisation"] == "shared" else None,
        on_progress=lambda label: None,
    )
    if experiment["record_spikes"]:
        for population in network.populations.values():
            population.record("spikes")
    with clock("prepare"):
        system.prepare()
    interval = [0.0, 0.0]
    for phase in ("warmup", "simulate"):
        duration = experiment["warmup" if phase == "warmup" else "duration"]
        if duration:
            print(f"{phase}: {duration:g} ms", flush=True)
            interval[0] = time.time()
            with clock(phase):
                system.sim.run(duration)
            interval[1] = time.time()
    with clock("readout"):
        spikes = {
            label: _after_warmup(system.spikes(population), experiment)
            for label, population in network.populations.items()
            if experiment["record_spikes"]
        }
    about = _metadata(experiment, job, model, parameters, system, network, spikes, clock)
    about["published_rates"], about["notes"] = published, [note] if note else []
    about["simulate_interval_unix"] = interval
    about["started"] = started.isoformat(timespec="seconds")
    system.sim.end()
    columns = {}
    for number, (neurons, times) in enumerate(spikes.values()):
        columns[f"neurons_{number}"], columns[f"times_{number}"] = neurons, times
    packed = io.BytesIO()
    np.savez(packed, **columns)
    text = json.dumps(about, indent=2, allow_nan=False, default=_plain)
    return {"run.json": text.encode(), "spikes.npz": packed.getvalue()}


def _after_warmup(spikes: tuple[Any, Any], experiment: Mapping[str, Any]) -> tuple[Any, Any]:
    """Spikes in (warmup, warmup + duration], sorted by time and neuron."""
    neurons, times = spikes
    half = 0.5 * experiment["timestep"]
    low, high = experiment["warmup"], experiment["warmup"] + experiment["duration"]
    keep = (times > low + half) & (times < high + half)
    neurons, times = neurons[keep], times[keep]
    order = np.lexsort((neurons, times))
    return neurons[order], times[order]


def _metadata(
    experiment: Mapping[str, Any],
    job: Mapping[str, Any],
    model: Any,
    parameters: Mapping[str, Any],
    system: Session,
    network: Network,
    spikes: Mapping[str, tuple[Any, Any]],
    clock: Clock,
) -> dict[str, Any]:
    """The contents of ``run.json``, as `portable_cortex.Experiment` has them."""
    sizes = {label: int(p.size) for label, p in network.populations.items()}
    counts = {p: np.bincount(n, minlength=sizes[p]) for p, (n, _) in spikes.items()}
    seconds = experiment["duration"] * 1e-3
    report = system.report(experiment["duration"] / (experiment["warmup"] + experiment["duration"]))
    return {
        "archive": job["archive"],
        "backend": system.name,
        "machine": "portal",
        "options": dict(job["options"]) if system.name == "spinnaker" else {},
        "model": experiment["model"],
        "model_sha256": model.sha256,
        "parameters": {**model.parameters, **parameters},
        "realisation": experiment["realisation"],
        "seed": experiment["seed"],
        "timestep_ms": experiment["timestep"],
        "warmup_ms": experiment["warmup"],
        "duration_ms": experiment["duration"],
        "record": [],
        "record_spikes": experiment["record_spikes"],
        "populations": sizes,
        "n_neurons": network.n_neurons,
        "n_synapses": network.n_synapses,
        "n_spikes": sum(int(c.sum()) for c in counts.values()) if spikes else None,
        "synaptic_events": network.synaptic_events(counts) if spikes else None,
        "rates": {p: float(c.sum()) / (c.size * seconds) for p, c in counts.items()},
        "phases_s": {**clock.seconds, **report["phases"]},
        "real_time_factor": clock.seconds["simulate"] / seconds,
        "processes": 1,
        "peak_memory_bytes": provenance.peak_memory_bytes(),
        "energy": report["energy"],
        "warnings": report["warnings"],
        "machine_report": report["machine_report"],
        "versions": {
            **provenance.versions(system.distributions),
            "portable-cortex": job["version"],
        },
        "computer": provenance.computer(),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)

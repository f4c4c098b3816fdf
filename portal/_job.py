"""A submitted job: an experiment that is run as everywhere, and one archive that is written.

Part of every submitted script; see `portable_cortex.running` for what it needs.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex.experiment import Experiment
from portable_cortex.recording import to_json
from portable_cortex.registry import load_backend
from portable_cortex.running import execute

SYSTEMS = ("spiNNaker", "nest")
"""What a job can be started on, as it is called there."""


MISSING = {
    "pyNN": "PyNN (pip install pynn)",
    "nest": "NEST (pip install nest-simulator)",
    "spynnaker": "sPyNNaker (pip install spynnaker)",
}
"""What the user has to install, by the module that cannot be imported."""


class _Lines:
    """Tells the log of a job which phase has begun; see `portable_cortex.running.Reporter`.

    Parameters
    ----------
    durations : mapping of str to float
        Model time of the phases that have one, ms.
    """

    def __init__(self, durations: Mapping[str, float]) -> None:
        self._phase, self._durations = "", durations

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        if name != self._phase:  # not from within it: a simulator may listen to what is printed
            self._phase = name
            ms = self._durations.get(name)
            print(name if ms is None else f"{name}: {ms:g} ms", flush=True)


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
            cause = error.__cause__ or error
            if isinstance(cause, ModuleNotFoundError) and cause.name in MISSING:
                print(f"{MISSING[cause.name]} is not installed here: {cause}", file=sys.stderr)
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
    """The files of the archive."""
    options = job["options"][name]
    submitted = replace(Experiment.from_dict(job["experiment"]), backend=name)
    backend = load_backend(name)
    # its reports are read, and some of them kept
    extra = {"reports": str(folder)} if name == "spinnaker" else {}
    resolved = replace(submitted, model=job["model_file"] or submitted.model).resolve_with(
        backend, backend.Options.of({**options, **extra})
    )
    lines = _Lines({"warmup": submitted.warmup, "simulate": submitted.duration})
    recording = execute(replace(resolved, experiment=submitted), lines)
    known = {
        **recording.metadata,
        "archive": job["archive"],
        "options": options,
        "versions": {**recording.metadata["versions"], "portable-cortex": job["version"]},
    }
    columns: dict[str, Any] = {}
    for number, (times, neurons) in enumerate(recording.spike_trains.values()):
        columns[f"neurons_{number}"], columns[f"times_{number}"] = neurons, times
    packed = io.BytesIO()
    np.savez(packed, **columns)
    return {"run.json": to_json(known).encode(), "spikes.npz": packed.getvalue()}

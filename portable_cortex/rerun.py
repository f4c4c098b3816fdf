"""Repeat a run from its folder, and compare the spikes; or go on with one that is not over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OutputError, PortableCortexError, UnsupportedError
from .experiment import Experiment, check_here
from .host import parallel, provenance
from .host.untrusted import printable
from .models.loader import MODELS, load_model
from .recording import MODEL, RUN, UNFINISHED, Recording, Spikes
from .recording.unfinished import Journal, Unfinished
from .registry import load_backend
from .running import Reporter, Resolved, execute, run_into


@dataclass(frozen=True)
class Rerun:
    """A run that was repeated.

    Attributes
    ----------
    recording : Recording
        Of the repetition.
    differences : tuple of str
        A sentence for each population whose spikes are others; empty where all are the same.
    versions : tuple of str
        What has another version now.
    """

    recording: Recording
    differences: tuple[str, ...]
    versions: tuple[str, ...]


def rerun(folder: str | Path, reporter: Reporter) -> Rerun:
    """Do again what a folder holds, with the same options, whatever the machine's are now.

    The user's own model is read from where it was, or from its copy in the folder where that file
    is another now.

    Raises
    ------
    OutputError
        If the folder holds no run, or one that does not say how it was made.
    PortableCortexError
        For whatever keeps it from running.
    """
    folder = Path(folder)
    recorded = Recording.load(folder)
    if not recorded.spike_trains:
        raise OutputError(
            f"{folder} holds no spikes: there is nothing to compare a repetition with"
        )
    repeated = execute(_resolved(recorded.metadata, folder), reporter)
    return Rerun(
        repeated,
        tuple(_differences(recorded, repeated)),
        tuple(_other_versions(recorded.metadata.get("versions"), repeated.metadata["versions"])),
    )


def resume(folder: str | Path, reporter: Reporter) -> Recording:
    """Go on with a run that was ended before it was over, with the settings that it has.

    Its spikes are those that it would have without the interruption. A run is known to go on in
    the same way with the same versions of everything only.

    Parameters
    ----------
    folder : str or Path
    reporter : Reporter

    Raises
    ------
    OutputError
        If the folder holds no run that can go on, or if its results cannot be written.
    PortableCortexError
        For whatever keeps it from running.

    Examples
    --------
    >>> resume("nowhere", reporter=None)
    Traceback (most recent call last):
        ...
    portable_cortex.errors.OutputError: nowhere holds no run: there is nothing to go on with
    """
    folder = Path(folder)
    unfinished = Unfinished.find(folder)
    if unfinished is None or not unfinished.resumable:
        raise OutputError(_not_resumable(folder))
    if unfinished.base is not None and unfinished.base >= unfinished.planned:
        raise OutputError(f"{folder} holds a run that is over: there is nothing to go on with")
    resolved = _resolved(unfinished.settings, folder)
    backend = resolved.backend
    if not backend.resumable:
        raise UnsupportedError(f"backend {backend.name!r} cannot go on with a run: run it again")
    versions = _other_versions(
        unfinished.settings.get("versions"), provenance.versions(backend.distributions)
    )
    if versions:
        raise UnsupportedError(
            f"{folder} holds a run of other versions ({'; '.join(versions)}), which may go on in "
            "another way: go on with those, or run it again"
        )
    return run_into(resolved, reporter, Journal.reopened(unfinished), overwrite=True)


def _not_resumable(folder: Path) -> str:
    """Why there is nothing to go on with."""
    if not (folder / RUN).exists():
        return f"{folder} holds no run: there is nothing to go on with"
    metadata = Recording.load(folder).metadata
    if "planned_duration_ms" not in metadata:
        return f"{folder} holds a run that is over: there is nothing to go on with"
    return f"{folder} has no state from which the run can go on: run it again"


def _resolved(metadata: Mapping[str, Any], folder: Path) -> Resolved:
    """What a folder's run was, with the same options, whatever the machine's are now."""
    if "experiment" not in metadata:
        raise OutputError(
            f"{folder / RUN} does not say what was run ('experiment'): an older version wrote it"
        )
    try:
        experiment = Experiment.from_dict(metadata["experiment"])
        backend = load_backend(experiment.backend)
        options = backend.Options.of(_mapping(metadata.get("options")))
    except PortableCortexError as error:
        raise OutputError(f"{folder / RUN}: {printable(error)}") from error
    check_here(backend, options)
    if metadata.get("processes") != parallel.processes():
        raise UnsupportedError(
            f"{folder} holds a run of {printable(metadata.get('processes'))} processes, and here "
            f"are {parallel.processes()}: start it with mpirun -n and their number"
        )
    model = _model(experiment.model, metadata.get("model_sha256"), folder)
    resolved = replace(experiment, model=model).resolve_with(backend, options)
    return replace(resolved, experiment=experiment)


def _model(name: str | Path, sha256: Any, folder: Path) -> str | Path:
    """A model by name; or a file with this content: the user's, else its copy."""
    if str(name) in MODELS:
        return name
    is_network = Path(name).suffix == ".json" and Path(name).is_file()
    if is_network and load_model(name).sha256 == sha256:  # its files are not copied
        return name
    for path in (Path(name), folder / MODEL, folder / UNFINISHED / MODEL):
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return path
        except (OSError, ValueError):
            continue
    raise OutputError(
        f"neither {printable(name)} nor the copy in {folder} is the model that was run (SHA-256 "
        f"{printable(sha256)}): put it back"
    )


def _differences(recorded: Recording, repeated: Recording) -> list[str]:
    found = []
    for label, before in recorded.spike_trains.items():
        now = repeated.spike_trains.get(label)
        if now is None:
            found.append(f"{printable(label)}: not there now")
        elif not _equal(before, now):
            n = min(before.times.size, now.times.size)
            other = (before.times[:n] != now.times[:n]) | (before.neurons[:n] != now.neurons[:n])
            first = int(np.argmax(other)) if other.any() else n
            after = min(t.times[first] for t in (before, now) if t.times.size > first)
            found.append(
                f"{printable(label)}: {before.times.size} spikes then and {now.times.size} now, "
                f"others from {after:g} ms on"
            )
    return found


def _equal(one: Spikes, other: Spikes) -> bool:
    return all(map(np.array_equal, one, other))


def _other_versions(before: Any, now: Mapping[str, str]) -> list[str]:
    then = _mapping(before)
    return [
        f"{printable(name)} {printable(then.get(name, 'none'))} then, {now.get(name, 'none')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

"""Find the runs that a name stands for, and load them, in whatever layout they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording, Spikes
from portable_cortex.errors import OutputError
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import time_step
from portable_cortex.recording.archive import is_archive

from . import neo_block
from .layouts import format_of

MOST_NEURONS = 3 * 10**7  # of all populations: what the statistics need memory for
MISSED = 100  # spikes that a silent end would have had: fewer may be chance


def is_run(path: Path) -> bool:
    """Whether a folder, or a file, is a run itself."""
    return format_of(path) is not None


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """The runs in some folders: a folder is a run, or holds runs.

    A folder that is neither stands for itself, so that loading it says what is wrong.

    Examples
    --------
    >>> [str(path) for path in find_runs(["nowhere"])]
    ['nowhere']
    """
    runs: list[Path] = []
    for folder in map(Path, folders):
        layout = format_of(folder)
        inside = []
        # a folder of runs may have files of other Neo blocks or pickles beside them
        if folder.is_dir() and (layout is None or layout.load is neo_block.load):
            runs_beside = (path for path in folder.iterdir() if path.is_dir() or is_archive(path))
            inside = sorted(path for path in runs_beside if is_run(path))
        runs += inside or [folder]
    return runs


def load_sound(folder: str | Path) -> Recording:
    """Load a recording, and look whether it can be what it says.

    Raises
    ------
    OutputError
        If there is none, or its files do not fit each other.

    Examples
    --------
    >>> load_sound("nowhere")
    Traceback (most recent call last):
        ...
    portable_cortex.errors.OutputError: nowhere holds no run: there is no run.json in it
    """
    folder = Path(folder)
    layout = format_of(folder)
    if layout is None and folder.is_file():
        raise OutputError(
            f"{folder} is no recording: expected a folder with run.json, recording.toml or "
            "nodes.json, or a file of Neo blocks (.pkl, .nix)"
        )
    recording = layout.load(folder) if layout else Recording.load(folder)
    trouble = _damage(recording)
    if trouble:
        raise OutputError(f"{folder} is damaged: {printable(trouble)}")
    return recording


def _damage(recording: Recording) -> str:
    """Why a recording cannot be what it says; empty if it can."""
    t_start, t_stop = recording.t_start, recording.t_stop
    if not (np.isfinite([t_start, t_stop]).all() and t_stop > t_start >= 0):
        return f"it lasts from {t_start:g} to {t_stop:g} ms"
    for label, n in recording.n_neurons.items():
        if n < 1:
            return f"{label} has {n} neurons"
    total = sum(recording.n_neurons.values())
    if total > MOST_NEURONS:
        return f"it has {total} neurons: expected {MOST_NEURONS} or fewer"
    for label, spikes in recording.spike_trains.items():
        if trouble := _damage_of_spikes(recording, label, spikes):
            return trouble
    for (label, variable), signal in recording.signals.items():
        if signal.neurons.size and signal.neurons.max() >= recording.n_neurons[label]:
            return f"{variable} was recorded from neurons that {label} does not have"
    return _contradiction(recording)


def _damage_of_spikes(recording: Recording, label: str, spikes: Spikes) -> str:
    times, neurons = spikes
    if times.ndim != 1 or times.shape != neurons.shape:
        return f"{label} has {times.size} spike times of {neurons.size} neurons"
    if times.size == 0:
        return ""
    if (
        not np.isfinite(times).all()
        or times[0] <= recording.t_start - 1e-6
        or times[-1] > recording.t_stop + 1e-6
    ):
        return (
            f"{label} has spikes outside of the recording: from {times[0]:g} to {times[-1]:g} ms, "
            f"expected {recording.t_start:g} to {recording.t_stop:g} ms"
        )
    if neurons.min() < 0 or neurons.max() >= recording.n_neurons[label]:
        return (
            f"{label} has spikes of neurons that it does not have: {neurons.min()} to "
            f"{neurons.max()}, expected 0 to {recording.n_neurons[label] - 1}"
        )
    if _has_sources(recording):
        return ""
    step, points = time_step(recording.metadata), times
    if step is not None and step > 1e-6:
        steps = np.rint(times / step)
        if np.abs(times / step - steps).max() < 0.1:  # the times are on the grid that is stated
            points = steps
    order = np.lexsort((points, neurons))
    twice = (np.diff(points[order]) == 0) & (np.diff(neurons[order]) == 0)
    if twice.any():
        first = order[np.flatnonzero(twice)[0]]
        return (
            f"neuron {neurons[first]} of {label} has two spikes at {times[first]:g} ms, in one "
            f"time step; so have {twice.sum()} spikes in all"
        )
    return ""


def _has_sources(recording: Recording) -> bool:
    """Whether spike sources were recorded, too, which may fire twice in a step."""
    n = recording.metadata.get("n_neurons")  # without sources
    return isinstance(n, int) and 0 <= n < sum(recording.n_neurons.values())


def _contradiction(recording: Recording) -> str:
    """What the metadata say otherwise than the spikes; empty if nothing."""
    metadata = recording.metadata
    texts = metadata.get("warnings", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return f"'warnings' is {printable(repr(texts), 60)}: expected a list of texts"
    n = sum(spikes.times.size for spikes in recording.spike_trains.values())
    stated = metadata.get("n_spikes")
    if stated is None and (trouble := _silent_end(recording, n)):
        return trouble
    if stated is not None and (isinstance(stated, bool) or stated != n):
        return f"'n_spikes' is {printable(repr(stated), 60)}, and there are {n}"
    rates = metadata.get("rates")
    if rates is None:
        return ""
    if not isinstance(rates, dict):
        return f"'rates' is {printable(repr(rates), 60)}: expected one of each population"
    for label, rate in recording.rates().items():
        if label in rates and not _is_close(rates[label], rate):
            return (
                f"the rate of {label} is stated as {printable(repr(rates[label]), 60)}, and its "
                f"spikes give {rate:g} spikes/s"
            )
    return ""


def _silent_end(recording: Recording, n: int) -> str:
    """Whether a part at the beginning or the end is missing, where nothing says how many spikes."""
    trains = [spikes.times for spikes in recording.spike_trains.values() if spikes.times.size]
    if not trains:
        return ""
    first, last = min(times[0] for times in trains), max(times[-1] for times in trains)
    silent = max(first - recording.t_start, recording.t_stop - last)
    few = n < MISSED or silent * n <= MISSED * (last - first)
    if few or silent <= 0.1 * (last - first):
        return ""
    return (
        f"all {n} spikes are from {first:g} to {last:g} ms, and it lasts from "
        f"{recording.t_start:g} to {recording.t_stop:g} ms: expected spikes in all of it"
    )


def _is_close(stated: Any, value: float) -> bool:
    number = isinstance(stated, int | float) and not isinstance(stated, bool)
    return number and abs(stated - value) <= 1e-6 * max(1.0, abs(value))

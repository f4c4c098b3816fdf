"""Find the runs that a name stands for, and load them, in whatever layout they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording
from portable_cortex.errors import OutputError
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import time_step
from portable_cortex.recording.archive import is_archive
from portable_cortex.recording.stored import LastValues, stored_signal

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
    for label in recording.spike_trains:
        if trouble := _damage_of_spikes(recording, label):
            return trouble
    for label, variable in recording.signals:
        signal = stored_signal(recording.signals, (label, variable)).head
        if signal.neurons.size and signal.neurons.max() >= recording.n_neurons[label]:
            return f"{variable} was recorded from neurons that {label} does not have"
    return _contradiction(recording)


def _damage_of_spikes(recording: Recording, label: str) -> str:
    step, n = time_step(recording.metadata), recording.n_neurons[label]
    begin, end, lowest, highest, off = np.inf, -np.inf, np.inf, -1, 0.0
    for times, neurons in recording.pieces(label):
        if times.ndim != 1 or times.shape != neurons.shape:
            return f"{label} has {times.size} spike times of {neurons.size} neurons"
        if times.size == 0:
            continue
        if not np.isfinite(times).all():
            return f"{label} has spikes at times that are no finite numbers"
        begin, end = min(begin, times[0]), max(end, times[-1])
        lowest, highest = min(lowest, neurons.min()), max(highest, neurons.max())
        if step is not None and step > 1e-6:
            off = max(off, np.abs(times / step - np.rint(times / step)).max())
    if begin > end:
        return ""
    if begin <= recording.t_start - 1e-6 or end > recording.t_stop + 1e-6:
        return (
            f"{label} has spikes outside of the recording: from {begin:g} to {end:g} ms, "
            f"expected {recording.t_start:g} to {recording.t_stop:g} ms"
        )
    if lowest < 0 or highest >= n:
        return (
            f"{label} has spikes of neurons that it does not have: {lowest} to "
            f"{highest}, expected 0 to {n - 1}"
        )
    if _has_sources(recording):
        return ""
    on_grid = step is not None and step > 1e-6 and off < 0.1
    return _twice(recording, label, step if on_grid else None)


def _twice(recording: Recording, label: str, step: float | None) -> str:
    """Which neuron has two spikes at one time, or in one time step (ms); empty if none has."""
    last = LastValues(recording.n_neurons[label])
    found: list[tuple[int, float]] = []
    total = 0
    for times, neurons in recording.pieces(label):
        points = times if step is None else np.rint(times / step)
        order = np.argsort(neurons, kind="stable")
        again = np.flatnonzero(points[order] == last.before(points[order], neurons[order]))
        if again.size:
            total += again.size
            first = order[again[0]]
            found.append((int(neurons[first]), float(times[first])))
    if not found:
        return ""
    neuron, time = min(found)
    return (
        f"neuron {neuron} of {label} has two spikes at {time:g} ms, in one time step; so have "
        f"{total} spikes in all"
    )


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
    n = sum(map(recording.count, recording.spike_trains))
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
    if not n:
        return ""
    pieces = (piece for label in recording.spike_trains for piece in recording.pieces(label))
    ends = [(piece.times[0], piece.times[-1]) for piece in pieces if piece.times.size]
    first, last = min(begin for begin, _ in ends), max(end for _, end in ends)
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

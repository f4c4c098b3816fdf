"""Find the runs that a name stands for, and load them: ours, and those of the INM-6 package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from portable_cortex import Recording
from portable_cortex.archive import is_archive
from portable_cortex.errors import OutputError
from portable_cortex.recording import RUN

from .inm6 import is_inm6, load_inm6

MOST_NEURONS = 10**8  # of one population


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run itself, or is the archive of a job."""
    return (folder / RUN).is_file() or is_archive(folder) or is_inm6(folder)


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """The runs in some folders: a folder is a run, or holds runs.

    A folder that is neither stands for itself, so that loading it says what is wrong.

    Examples
    --------
    >>> [str(path) for path in find_runs(["nowhere"])]
    ['nowhere']
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        inside = []
        if folder.is_dir() and not is_run(folder):
            inside = sorted(path for path in folder.iterdir() if is_run(path))
        found += inside or [folder]
    return found


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
    recording = load_inm6(folder) if is_inm6(folder) else Recording.load(folder)
    trouble = _damage(recording)
    if trouble:
        raise OutputError(f"{folder} is damaged: {trouble}")
    return recording


def _damage(recording: Recording) -> str | None:
    t_start, t_stop = recording.t_start, recording.t_stop
    if not (np.isfinite([t_start, t_stop]).all() and t_stop > t_start):
        return f"it lasts from {t_start:g} to {t_stop:g} ms"
    for label, n in recording.n_neurons.items():
        if not 1 <= n <= MOST_NEURONS:
            return f"{label} has {n} neurons"
    for label, (times, neurons) in recording.spike_trains.items():
        if times.ndim != 1 or times.shape != neurons.shape:
            return f"{label} has {times.size} spike times of {neurons.size} neurons"
        if times.size == 0:
            continue
        if not np.isfinite(times).all() or times[0] <= t_start - 1e-6 or times[-1] > t_stop + 1e-6:
            return f"{label} has spikes outside of the recording"
        if neurons.min() < 0 or neurons.max() >= recording.n_neurons[label]:
            return f"{label} has spikes of neurons that it does not have"
    return None

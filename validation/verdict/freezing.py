"""Runs as a reference: read, measured over one duration or more, and frozen into a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from portable_cortex import Recording
from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.host.untrusted import printable

from ..activity import Activity, measure
from ..formats import find_runs, load_sound
from .comparison import MIN_SEEDS
from .reference import Reference, conditions
from .settings import Runs, not_one_network, of_other_lengths, sound_metadata

SHORTEST = 100.0  # ms: of less, no statistic is shown
LONGEST_REFERENCE = 1e6  # ms: of runs in a folder
DURATIONS = (2e3, 5e3, 10e3, 100e3)  # ms: over which references are measured, as far as runs last

Progress = Callable[[str], None]
"""Told what is being done."""


def freeze(
    folders: str | Path | Sequence[str | Path],
    durations: Sequence[float] = (),
    progress: Progress = lambda text: None,
) -> Reference:
    """Runs of one network that differ in their seeds as a reference, without their spikes.

    Parameters
    ----------
    folders : str or Path, or a sequence of them
        Of runs, or folders of runs: five or more in all.
    durations : sequence of float
        ms, over which statistics are taken: a run is compared over the longest that it covers.
        Unless given, 2, 5, 10 and 100 s as far as the runs last, and how long they last.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    Reference
        `Reference.save` writes it.

    Raises
    ------
    OutputError
        For runs that cannot be read, are not of one network, are too few, or too short.
    InvalidValueError
        For durations that are none.

    Examples
    --------
    >>> import tempfile, portable_cortex
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for seed in range(1, 6):
    ...         _ = portable_cortex.run(backend="mock", scale=0.02, duration=500.0, seed=seed,
    ...                                 output=f"{folder}/{seed}")
    ...     freeze(folder).durations
    (500.0,)
    """
    wrong = [d for d in durations if not 0 < d < math.inf]
    if wrong:
        raise InvalidValueError(f"durations are numbers above 0 (ms), not {wrong[0]!r}")
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    name = given[0] if len(given) == 1 else f"{len(given)} folders"
    runs = _runs(given, progress)
    if not durations and (cut := of_other_lengths(runs)):
        raise OutputError(
            f"{printable(name)}: runs of other lengths, {cut}; --duration {runs.length:g} takes "
            "what all of them have"
        )
    wanted = sorted(set(durations or [*(d for d in DURATIONS if d <= runs.length), runs.length]))
    if wanted[-1] > runs.length + 1e-6:
        raise OutputError(
            f"{printable(name)} is no reference over {wanted[-1]:g} ms: its shortest run lasts "
            f"{runs.length:g} ms"
        )
    if len(runs.folders) < MIN_SEEDS:
        raise OutputError(
            f"a reference needs {MIN_SEEDS} runs or more, better 10, each with another seed, and "
            f"{printable(name)} has {len(runs.folders)}: portable-cortex sweep --seeds 1-10 makes "
            "them"
        )
    return _reference(str(name), runs, wanted, progress)


def ensemble_of(folders: Sequence[str | Path], length: float, progress: Progress) -> Reference:
    """Runs as a reference over as much as they and `length` (ms) cover, however few they are."""
    runs = _runs(folders, progress)
    duration = min(length, runs.length, LONGEST_REFERENCE)
    return _reference(str(folders[0]), runs, [duration], progress)


def _runs(folders: Sequence[str | Path], progress: Progress) -> Runs:
    paths = tuple(map(str, find_runs(folders)))
    return Runs(paths, tuple(loaded(path, progress) for path in paths))


def _reference(name: str, runs: Runs, durations: Sequence[float], progress: Progress) -> Reference:
    obstacle = not_one_network(runs) or unmeasurable(runs, durations[0]) or _unlike(runs)
    if obstacle:
        raise OutputError(f"{printable(name)} is no reference: {obstacle}")
    metadata = runs.first.metadata
    provenance = {
        "conditions": conditions(sound_metadata(runs.first)),
        "warmup_ms": metadata.get("warmup_ms"),
        "timestep_ms": metadata.get("timestep_ms"),
        "seeds": [recording.metadata.get("seed") for recording in runs.recordings],
        "backend": metadata.get("backend"),
        "versions": metadata.get("versions"),
        **({"remarks": [f"in the reference {cut}"]} if (cut := of_other_lengths(runs)) else {}),
    }
    return Reference.of(name, provenance, {d: measured(runs, d, progress) for d in durations})


def _unlike(runs: Runs) -> str:
    """Which runs recorded other populations; empty if none did."""
    first = runs.first.spike_trains.keys()
    for folder, recording in zip(runs.folders, runs.recordings, strict=True):
        if odd := first ^ recording.spike_trains.keys():
            return (
                f"only one of {runs.folders[0]} and {folder} has spikes of "
                f"{printable(', '.join(sorted(odd)))}: record the same populations in all"
            )
    return ""


def loaded(folder: str, progress: Progress) -> Recording:
    """A run that can be read."""
    progress(f"reading {printable(folder)}")
    return load_sound(folder)


def unrecorded(runs: Runs) -> str:
    """Which runs have no spikes to look at; empty if all have."""
    silent = [f for f, r in zip(runs.folders, runs.recordings, strict=True) if not r.spike_trains]
    if not silent:
        return ""
    if any(recording.has_rates_only for recording in runs.recordings):
        return (
            f"{printable(silent[0])} has rates that were computed, and no spikes: it can be "
            "validated, and others cannot against it"
        )
    more = f" (and of {len(silent) - 1} more)" if len(silent) > 1 else ""
    return (
        f"the spikes of {printable(silent[0])}{more} were not recorded: run it again, recording "
        "them (without --no-record)"
    )


def unmeasurable(runs: Runs, duration: float) -> str:
    """Why runs have no statistics over a duration (ms); empty if they have."""
    short = f"{duration:g} ms are too short for any statistic: {SHORTEST:g} ms or more are needed"
    return unrecorded(runs) or (short if duration < SHORTEST else "")


def measured(runs: Runs, duration: float, progress: Progress) -> list[Activity]:
    """The activity of each run; empty if there is nothing to measure."""
    if unmeasurable(runs, duration):
        return []
    activities = []
    for folder, recording in zip(runs.folders, runs.recordings, strict=True):
        progress(f"measuring {printable(folder)}")
        # the duration as the reference has it, whatever the rounding of start plus length
        activities.append(replace(measure(recording, duration), duration=duration))
    return activities

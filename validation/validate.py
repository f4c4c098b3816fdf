"""Validate a recording: load it, find what to compare it with, compare.

Whatever keeps a recording from being judged (it is missing, damaged, too short, of another size) is
a verdict too: `Verdict.UNDECIDED`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording
from portable_cortex.errors import OutputError

from .activity import Activity, measure
from .comparison import Comparison, Verdict, compare
from .pairwise import Pairing, compare_recordings, pair
from .reference import Reference, conditions, fitting_reference, load_reference, reference_names

SHORTEST = 100.0  # ms: of less, no statistic is shown
LONGEST = 100_000.0  # ms: of more, where no reference says how much to look at
MOST_NEURONS = 10**8  # of one population


@dataclass(frozen=True)
class Validation:
    """A comparison, and what it was made from.

    Attributes
    ----------
    folder : str
        Where the recording is.
    comparison : Comparison
    recording, activity : Recording, Activity or None
        None if it could not be read, or is too short for any statistic.
    reference : Reference or None
        Whose seeds calibrate the tests.
    other, other_activity : Recording, Activity or None
        The second recording, if it was not the reference that the first was compared with.
    pairing : Pairing or None
        The two neuron by neuron, if they are of the same network.
    notes : tuple of str
        What a reader has to know to read the verdict right.
    """

    folder: str
    comparison: Comparison
    recording: Recording | None = None
    activity: Activity | None = None
    reference: Reference | None = None
    other: Recording | None = None
    other_activity: Activity | None = None
    pairing: Pairing | None = None
    notes: tuple[str, ...] = ()


def validate(folder: str | Path, against: str | Path | None = None) -> Comparison:
    """The verdict on the recording in a folder; see `examine`.

    Examples
    --------
    >>> validate("nowhere").reason
    'nowhere holds no run: there is no run.json in it'
    """
    return examine(folder, against).comparison


def examine(folder: str | Path, against: str | Path | None = None) -> Validation:
    """Validate the recording in a folder, and keep what a report shows.

    Parameters
    ----------
    folder : str or Path
        That ``portable-cortex run``, or `Recording.save`, wrote.
    against : str or Path, optional
        Name of a reference, its ``.h5`` file, or the folder of another recording. Unless given, the
        reference that was made under the conditions of the recording.

    Returns
    -------
    Validation

    Raises
    ------
    UnknownNameError, OutputError
        If `against` is none of these, or a reference that cannot be read.

    Examples
    --------
    >>> examine("nowhere").comparison.verdict
    <Verdict.UNDECIDED: 2>
    """
    try:
        recording = load_sound(folder)
    except OutputError as error:
        return Validation(str(folder), _undecided(str(error), str(against or "")))
    named = str(against) if against is not None else None
    if named is not None and named not in reference_names() and Path(named).is_dir():
        return _doubted(_against_recording(folder, recording, named))
    reference = load_reference(named) if named is not None else _fitting(recording)
    return _doubted(_against_reference(folder, recording, reference))


def _doubted(validation: Validation) -> Validation:
    """Undecided if a machine said that it did not run the network as described."""
    recordings = [r for r in (validation.recording, validation.other) if r is not None]
    found = [r.metadata.get("warnings") for r in recordings]
    doubts = [str(text) for texts in found if isinstance(texts, list) for text in texts]
    if not doubts:
        return validation
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    reason = f"the machine did not run the network as described: {doubts[0]}{more}"
    comparison = replace(validation.comparison, verdict=Verdict.UNDECIDED, reason=reason)
    return replace(validation, comparison=comparison)


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
    recording = Recording.load(folder)
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


def _against_reference(
    folder: str | Path, recording: Recording, reference: Reference | None
) -> Validation:
    length = recording.t_stop - recording.t_start
    covered = None if reference is None else reference.duration_for(length)
    activity = _measure(recording, covered or min(length, LONGEST))

    def end(comparison: Comparison, notes: tuple[str, ...] = ()) -> Validation:
        return Validation(str(folder), comparison, recording, activity, reference, notes=notes)

    if not recording.spike_trains:
        return end(_undecided("spikes were not recorded", _name(reference), length))
    if reference is None:
        return end(_undecided(_no_reference(recording), "", length))
    if covered is None:
        reason = (
            f"too short: {length:g} ms were recorded, and the reference {reference.name} "
            f"needs {reference.durations[0]:g} ms or more"
        )
        return end(_undecided(reason, reference.name, length))
    missing = [p for p in reference.n_neurons if p not in recording.spike_trains]
    if missing or activity is None:
        reason = f"spikes of {', '.join(missing)} were not recorded"
        return end(_undecided(reason, reference.name, length))
    notes = _notes(recording, reference, covered)
    return end(compare(activity, reference), notes)


def _against_recording(folder: str | Path, recording: Recording, named: str) -> Validation:
    try:
        other = load_sound(named)
    except OutputError as error:
        return Validation(str(folder), _undecided(str(error), named), recording)
    lengths = [r.t_stop - r.t_start for r in (recording, other)]
    reference = _fitting(recording) or _fitting(other)
    covered = None if reference is None else reference.duration_for(min(lengths))
    duration = covered or min(*lengths, LONGEST)
    activity, other_activity = _measure(recording, duration), _measure(other, duration)
    notes = _differences(recording, other)
    if activity is None or other_activity is None:
        what = "too short for any statistic" if duration < SHORTEST else "spikes were not recorded"
        comparison = _undecided(what, named, duration)
    else:
        if reference is not None and covered is not None and covered < max(lengths):
            notes += (f"the first {covered:g} ms of each were compared",)
        comparison = compare_recordings(activity, other_activity, reference, named)
    return Validation(
        str(folder),
        comparison,
        recording,
        activity,
        reference,
        other,
        other_activity,
        pair(recording, other),
        notes,
    )


def _measure(recording: Recording, duration: float) -> Activity | None:
    if duration < SHORTEST or not recording.spike_trains:
        return None
    # the duration as the reference has it, whatever the rounding of start plus length
    return replace(measure(recording, duration), duration=duration)


def _fitting(recording: Recording) -> Reference | None:
    return fitting_reference(_sound_metadata(recording))


def _sound_metadata(recording: Recording) -> dict[str, Any]:
    """Metadata whose parameters are a mapping, whatever a file says."""
    return {**recording.metadata, "parameters": _parameters(recording.metadata)}


def _parameters(about: Mapping[str, Any]) -> dict[str, Any]:
    found = about.get("parameters")
    return found if isinstance(found, dict) else {}


def _undecided(reason: str, against: str, duration: float = 0.0) -> Comparison:
    return Comparison(Verdict.UNDECIDED, reason, (), against, duration)


def _name(reference: Reference | None) -> str:
    return "" if reference is None else reference.name


def _no_reference(recording: Recording) -> str:
    about = recording.metadata
    shown = [f"{k} {v}" for k, v in _parameters(about).items() if k in ("scale", "drive")]
    known = ", ".join(reference_names()) or "none"
    return (
        f"no reference fits {about.get('model')} ({', '.join(shown) or 'no parameters'}): "
        f"there are {known}; --against takes the .h5 file of another, or a second recording"
    )


def _notes(recording: Recording, reference: Reference, covered: float) -> tuple[str, ...]:
    notes = []
    wanted = reference.provenance.get("conditions")
    if isinstance(wanted, dict):
        found = conditions(_sound_metadata(recording))
        notes += [
            f"{name} is {found.get(name)}, and {wanted.get(name)} in the reference"
            for name in {**wanted, **found}
            if found.get(name) != wanted.get(name)
        ]
    warmup = reference.provenance.get("warmup_ms")
    if warmup is not None and recording.t_start != warmup:
        notes.append(f"the warm-up was {recording.t_start:g} ms, and {warmup} in the reference")
    if covered < recording.t_stop - recording.t_start - 1e-6:
        notes.append(f"the first {covered:g} ms were compared: the longest that the reference has")
    return tuple(notes)


def _differences(a: Recording, b: Recording) -> tuple[str, ...]:
    """Parameters in which two recordings differ."""
    first, second = _parameters(a.metadata), _parameters(b.metadata)
    names = [n for n in {**first, **second} if n != "seed" and first.get(n) != second.get(n)]
    return tuple(f"{n} is {first.get(n)}, and {second.get(n)} in the other" for n in names)

"""Validate runs: load them, find what to compare them with, compare.

Whatever keeps runs from being judged (one is missing, damaged, too short, of another size) is a
verdict too: `Verdict.UNDECIDED`, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording
from portable_cortex.errors import OutputError, PortableCortexError
from portable_cortex.host.untrusted import printable

from ..activity import Activity, Beside, beside, has_statistics, measure
from ..formats import find_runs, is_run, load_sound
from .comparison import Comparison, SelfCheck, Verdict, compare, self_check
from .pairwise import Pairing, compare_recordings, identical, pair
from .reference import (
    MAKE_ONE,
    Reference,
    conditions,
    fitting_reference,
    load_reference,
    reference_names,
)

SHORTEST = 100.0  # ms: of less, no statistic is shown
LONGEST = 100_000.0  # ms: of more, where no reference says how much to look at
LONGEST_REFERENCE = 1e6  # ms: of runs in a folder
SHOWN = 60  # characters of a parameter in a sentence

Progress = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Validation:
    """A comparison, and what it was made from.

    Attributes
    ----------
    folders : tuple of str
        Where the runs are.
    comparison : Comparison
    recording : Recording or None
        The first run; None if one could not be read.
    activity : Activity or None
        Of all runs together. None if they could not be read, or are too short for any statistic.
    reference : Reference or None
        Whose seeds calibrate the tests.
    self_check : SelfCheck or None
        The reference against itself, if the runs were compared with it.
    other, other_activity : Recording, Activity or None
        The second recording, if it was not the reference that the first was compared with.
    pairing : Pairing or None
        The two neuron by neuron, if they are of the same network.
    notes : tuple of str
        What a reader has to know to read the verdict right.
    beside : tuple of Beside
        Statistics that the INM-6 package took of its own recordings; they decide nothing.
    """

    folders: tuple[str, ...]
    comparison: Comparison
    recording: Recording | None = None
    activity: Activity | None = None
    reference: Reference | None = None
    self_check: SelfCheck | None = None
    other: Recording | None = None
    other_activity: Activity | None = None
    pairing: Pairing | None = None
    notes: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()

    @property
    def name(self) -> str:
        """The folder, or how many there are."""
        if len(self.folders) == 1:
            return self.folders[0]
        return f"{len(self.folders)} runs, {self.folders[0]} to {self.folders[-1]}"


@dataclass(frozen=True)
class _Runs:
    """Runs that are to be judged together: one network, several seeds."""

    folders: tuple[str, ...]
    recordings: tuple[Recording, ...]

    @property
    def first(self) -> Recording:
        return self.recordings[0]

    @property
    def length(self) -> float:
        """What all of them cover, ms."""
        return min(recording.t_stop - recording.t_start for recording in self.recordings)


def validate(
    folders: str | Path | Sequence[str | Path], against: str | Path | None = None
) -> Comparison:
    """The verdict on the runs in some folders; see `examine`.

    Examples
    --------
    >>> validate("nowhere").reason
    'nowhere holds no run: there is no run.json in it'
    """
    return examine(folders, against).comparison


def examine(
    folders: str | Path | Sequence[str | Path],
    against: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> Validation:
    """Validate one run, or several of one network with different seeds; keep what a report shows.

    Several runs are judged together: that sees smaller changes than any of them alone.

    Parameters
    ----------
    folders : str or Path, or a sequence of them
        Each a run that ``portable-cortex run``, or `Recording.save`, wrote, or a recording of
        another program (see `formats`), or a folder of such runs.
    against : str or Path, optional
        Name of a reference, its ``.h5`` file, a folder of five runs or more, which become the
        reference, or one other run. Unless given, the reference that was made under the conditions
        of the runs.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    Validation
        Whatever the folders hold: what cannot be judged is undecided, with the reason.

    Raises
    ------
    UnknownNameError, OutputError
        If `against` is none of these, or a reference that cannot be read.

    Examples
    --------
    >>> examine("nowhere").comparison.verdict
    <Verdict.UNDECIDED: 2>
    """
    paths = [folders] if isinstance(folders, str | Path) else list(folders)
    named = str(against) if against is not None else None
    try:
        # odd but legal data, such as a population without spikes, have statistics that are no
        # numbers: they are left out, and numpy need not tell
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return _with_remarks(_examine(paths, named, progress))
    except PortableCortexError:
        raise
    except Exception as error:  # damage that no reader knows must not read as a difference
        what = "the memory does not suffice" if isinstance(error, MemoryError) else repr(error)
        names = tuple(map(str, paths))
        shown = ", ".join(names)
        return Validation(
            names,
            _undecided(f"{printable(shown)} could not be judged: {printable(what)}", named or ""),
        )


def _examine(folders: Sequence[str | Path], named: str | None, progress: Progress) -> Validation:
    names = tuple(str(path) for path in find_runs(folders))
    try:
        runs = _Runs(names, tuple(_loaded(name, progress) for name in names))
    except OutputError as error:
        return Validation(names, _undecided(str(error), named or ""))
    trouble = _not_one_network(runs)
    if trouble:
        return Validation(names, _undecided(trouble, named or "", runs.length), runs.first)
    if named is None or named in reference_names() or not _holds_runs(Path(named)):
        reference = load_reference(named) if named is not None else _fitting(runs.first)
        validation = _against_reference(runs, reference, progress)
    elif is_run(Path(named)):
        validation = _against_recording(runs, named, progress)
    elif has_statistics(Path(named)) and find_runs([named]) == [Path(named)]:
        validation = _against_statistics(runs, named, progress)
    else:
        try:
            reference = _reference_of(named, runs.length, progress)
        except OutputError as error:
            return Validation(names, _undecided(str(error), named, runs.length), runs.first)
        validation = _against_reference(runs, reference, progress)
    return _beside(_doubted(validation, runs), named)


def _holds_runs(path: Path) -> bool:
    return path.is_dir() or is_run(path)


def _beside(validation: Validation, named: str | None) -> Validation:
    """With the statistics of the INM-6 package in the folder compared with, or in that of a run."""
    folder = Path(named if named is not None else validation.folders[0])
    if validation.activity is None or not has_statistics(folder):
        return validation
    try:
        rows = beside(folder, validation.activity)
    except OutputError as error:
        return replace(validation, notes=(*validation.notes, str(error)))
    note = (
        f"the statistics of the INM-6 package in {folder} do not say over which time they were "
        "taken: they are shown, and decide nothing"
    )
    return replace(validation, beside=rows, notes=(*validation.notes, note))


def _with_remarks(validation: Validation) -> Validation:
    """With what the readers of files have to say."""
    notes = list(validation.notes)
    for recording in (validation.recording, validation.other):
        remarks = recording.metadata.get("remarks") if recording else None
        if isinstance(remarks, list):
            notes += [str(remark) for remark in remarks if str(remark) not in notes]
    return replace(validation, notes=tuple(notes))


def _doubted(validation: Validation, runs: _Runs) -> Validation:
    """Undecided if a machine said that it did not run the network as described."""
    recordings = [*runs.recordings, *([validation.other] if validation.other else [])]
    doubts = [text for recording in recordings for text in recording.metadata.get("warnings", [])]
    if not doubts:
        return validation
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    reason = f"the machine did not run the network as described: {doubts[0]}{more}"
    comparison = replace(validation.comparison, verdict=Verdict.UNDECIDED, reason=reason)
    return replace(validation, comparison=comparison)


def _loaded(folder: str, progress: Progress) -> Recording:
    progress(f"reading {printable(folder)}")
    return load_sound(folder)


def _not_one_network(runs: _Runs) -> str:
    """Why runs cannot be judged together; empty if they can."""
    settings = [conditions(_sound_metadata(recording)) for recording in runs.recordings]
    seeds: dict[Any, str] = {}
    for folder, recording, found in zip(runs.folders, runs.recordings, settings, strict=True):
        about = recording.metadata
        if found != settings[0] or recording.n_neurons != runs.first.n_neurons:
            names = [n for n in {**settings[0], **found} if found.get(n) != settings[0].get(n)]
            return (
                f"{runs.folders[0]} and {folder} are no runs of the same network: "
                f"{', '.join(names) or 'the numbers of neurons'} differ"
            )
        seed = str((about.get("backend"), about.get("seed"), about.get("realisation")))
        if seed in seeds and about.get("seed") is not None:
            return (
                f"{seeds[seed]} and {folder} are runs of the same seed on the same backend: runs "
                "that are judged together must be of different seeds"
            )
        seeds[seed] = folder
    return ""


def _reference_of(folder: str, length: float, progress: Progress) -> Reference:
    """Runs in a folder as a reference, over as much as they and `length` (ms) cover."""
    paths = find_runs([folder])
    found = _Runs(tuple(map(str, paths)), tuple(_loaded(str(path), progress) for path in paths))
    trouble = _not_one_network(found)
    duration = min(length, found.length, LONGEST_REFERENCE)
    if not trouble and duration < SHORTEST:
        trouble = f"{duration:g} ms are too short for any statistic"
    if not trouble and not all(recording.spike_trains for recording in found.recordings):
        trouble = "spikes were not recorded"
    if trouble:
        raise OutputError(f"{folder} is no reference: {trouble}")
    activities = _measure(found, duration, progress)
    about = found.first.metadata
    provenance = {
        "conditions": conditions(_sound_metadata(found.first)),
        "warmup_ms": about.get("warmup_ms"),
        "timestep_ms": about.get("timestep_ms"),
        "seeds": [recording.metadata.get("seed") for recording in found.recordings],
        "backend": about.get("backend"),
        "versions": about.get("versions"),
    }
    return Reference.of(folder, provenance, {duration: activities})


def _against_reference(runs: _Runs, reference: Reference | None, progress: Progress) -> Validation:
    length = runs.length
    covered = None if reference is None else reference.duration_for(length)
    activities = _measure(runs, covered or min(length, LONGEST), progress)
    activity = Activity.pooled(activities) if activities else None

    def end(comparison: Comparison, notes: tuple[str, ...] = ()) -> Validation:
        return Validation(runs.folders, comparison, runs.first, activity, reference, notes=notes)

    if not all(recording.spike_trains for recording in runs.recordings):
        return end(_undecided("spikes were not recorded", _name(reference), length))
    if reference is None:
        return end(_undecided(_no_reference(runs.first), "", length))
    if covered is None:
        reason = (
            f"too short: {length:g} ms were recorded, and the reference {reference.name} "
            f"needs {reference.durations[0]:g} ms or more"
        )
        return end(_undecided(reason, reference.name, length))
    missing = [
        p for p in reference.n_neurons if any(p not in r.spike_trains for r in runs.recordings)
    ]
    if missing or activity is None:
        reason = f"spikes of {', '.join(missing)} were not recorded"
        return end(_undecided(reason, reference.name, length))
    comparison = compare(activities, reference)
    validation = end(comparison, _notes(runs, reference, covered))
    if comparison.verdict is Verdict.UNDECIDED:
        return validation
    progress(f"comparing {reference.name} with itself")
    return replace(validation, self_check=self_check(reference, covered))


def _against_recording(runs: _Runs, named: str, progress: Progress) -> Validation:
    recording = runs.first
    if len(runs.folders) > 1:
        reason = (
            f"{len(runs.folders)} runs can be compared with a reference, or with a folder of five "
            f"runs or more; {named} is one run"
        )
        return Validation(runs.folders, _undecided(reason, named, runs.length), recording)
    try:
        other = _loaded(named, progress)
    except OutputError as error:
        return Validation(runs.folders, _undecided(str(error), named), recording)
    lengths = [r.t_stop - r.t_start for r in (recording, other)]
    reference = _fitting(recording) or _fitting(other)
    covered = None if reference is None else reference.duration_for(min(lengths))
    duration = covered or min(*lengths, LONGEST)
    both = [
        _measure(_Runs((n,), (r,)), duration, progress)
        for n, r in ((runs.folders[0], recording), (named, other))
    ]
    activity, other_activity = (found[0] if found else None for found in both)
    notes = _differences(recording, other)
    if activity is None or other_activity is None:
        what = "too short for any statistic" if duration < SHORTEST else "spikes were not recorded"
        comparison = _undecided(what, named, duration)
    else:
        if reference is not None and covered is not None and covered < max(lengths):
            notes += (f"the first {covered:g} ms of each were compared",)
        comparison = compare_recordings(activity, other_activity, reference, named)
        if identical(recording, other, duration):
            reason = f"the spikes are identical to those of {named} over {duration:g} ms"
            comparison = replace(comparison, verdict=Verdict.AGREES, reason=reason)
    return Validation(
        runs.folders,
        comparison,
        recording,
        activity,
        reference,
        other=other,
        other_activity=other_activity,
        pairing=pair(recording, other),
        notes=notes,
    )


def _against_statistics(runs: _Runs, named: str, progress: Progress) -> Validation:
    """Beside the statistics of the INM-6 package, without its recordings."""
    activities = _measure(runs, min(runs.length, LONGEST), progress)
    activity = Activity.pooled(activities) if activities else None
    reason = (
        f"{named} holds statistics of the INM-6 package and no recordings: they cannot be "
        "calibrated; a reference, or recordings of five seeds, can"
    )
    return Validation(runs.folders, _undecided(reason, named, runs.length), runs.first, activity)


def _measure(runs: _Runs, duration: float, progress: Progress) -> list[Activity]:
    """The activity of each run; empty if there is nothing to measure."""
    if duration < SHORTEST or not all(r.spike_trains for r in runs.recordings):
        return []
    found = []
    for folder, recording in zip(runs.folders, runs.recordings, strict=True):
        progress(f"measuring {printable(folder)}")
        # the duration as the reference has it, whatever the rounding of start plus length
        found.append(replace(measure(recording, duration), duration=duration))
    return found


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
    about = _sound_metadata(recording)
    shown = [f"{k} {v}" for k, v in about["parameters"].items() if k in ("scale", "drive")]
    known = ", ".join(reference_names()) or "none"
    if about.get("model") is None:
        return (
            "no reference fits, since it is not stated of which model this is: --against takes "
            f"one of {known}, the .h5 file of another, or a second recording"
        )
    return (
        f"no reference fits {printable(about.get('model'), SHOWN)} "
        f"({printable(', '.join(shown), SHOWN) or 'no parameters'}){_nearest(about)}: "
        f"there are {known}; --against takes the .h5 file of another, a second recording, or a "
        f"folder of runs ({MAKE_ONE})"
    )


def _nearest(metadata: Mapping[str, Any]) -> str:
    """What keeps the reference that fits best from fitting; empty if none is of that model."""
    stated = conditions(metadata)
    differences = []
    for name in reference_names():
        wanted = load_reference(name).provenance["conditions"]
        if wanted.get("model") == stated.get("model"):
            names = [n for n in {**wanted, **stated} if wanted.get(n) != stated.get(n)]
            differences.append((len(names), name, _unlike(names, stated, wanted)))
    if not differences:
        return ""
    _, name, texts = min(differences)
    return f", in {name} {'; '.join(texts)}"


def _unlike(
    names: Sequence[str], stated: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[str]:
    """Conditions that differ, as they are and as a reference has them."""
    return [f"{n} is {_shown(stated, n)}, and {_shown(wanted, n)} in the reference" for n in names]


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return printable(settings[name], SHOWN) if name in settings else "not stated"


def _notes(runs: _Runs, reference: Reference, covered: float) -> tuple[str, ...]:
    recording, notes = runs.first, []
    wanted = reference.provenance.get("conditions")
    if isinstance(wanted, dict):
        found = conditions(_sound_metadata(recording))
        names = [n for n in {**wanted, **found} if found.get(n) != wanted.get(n)]
        if found["model"] is None:
            notes.append("it is not stated of which model, and with which parameters, this is")
        else:
            notes += _unlike(names, found, wanted)
    warmup = reference.provenance.get("warmup_ms")
    if warmup is not None and recording.t_start != warmup:
        notes.append(f"the warm-up was {recording.t_start:g} ms, and {warmup} in the reference")
    step, usual = recording.metadata.get("timestep_ms"), reference.provenance.get("timestep_ms")
    if step is not None and usual is not None and step != usual:
        notes.append(f"the time step was {printable(step, SHOWN)} ms, and {usual} in the reference")
    if covered < runs.length - 1e-6:
        notes.append(f"the first {covered:g} ms were compared: the longest that the reference has")
    return tuple(notes)


def _differences(a: Recording, b: Recording) -> tuple[str, ...]:
    """Parameters in which two recordings differ."""
    first, second = _parameters(a.metadata), _parameters(b.metadata)
    names = [n for n in {**first, **second} if n != "seed" and first.get(n) != second.get(n)]
    return tuple(f"{n} is {_shown(first, n)}, and {_shown(second, n)} in the other" for n in names)

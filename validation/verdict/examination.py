"""Validate runs: load them, find what to compare them with, compare.

Whatever keeps runs from being judged (one is missing, damaged, too short, of another size) is a
verdict too: `Verdict.UNDECIDED`, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from portable_cortex import Recording
from portable_cortex.errors import InvalidValueError, OutputError, PortableCortexError
from portable_cortex.host.untrusted import printable
from portable_cortex.theory import Prediction

from ..activity import Activity, Beside, beside, has_statistics, of_rates
from ..formats import find_runs, is_run
from .comparison import Comparison, SelfCheck, Verdict, compare, self_check, untested
from .freezing import (
    LONGEST_REFERENCE,
    SHORTEST,
    Progress,
    ensemble_of,
    loaded,
    measured,
    unmeasurable,
    unrecorded,
)
from .pairwise import Pairing, compare_recordings, identical, pair
from .prediction import predicted
from .reference import Reference, fitting_reference, load_reference, reference_names
from .rich_display import to_html
from .settings import (
    Runs,
    differences_from_reference,
    differences_of_conditions,
    differences_of_recordings,
    no_reference,
    not_one_network,
    sound_metadata,
)
from .words import clean, headline

LONGEST = 100_000.0  # ms: of more, where no reference says how much to look at
PLANNED = "planned_duration_ms"  # of a run that was ended before it was over


@dataclass(frozen=True, repr=False)
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
    theory : Prediction or None
        What mean-field theory says of the network; it decides nothing.

    Examples
    --------
    >>> examine("nowhere")
    Validation(nowhere: Could not tell: nowhere holds no run: there is no run.json in it.)
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
    theory: Prediction | None = None

    @property
    def name(self) -> str:
        """The folder, or how many there are."""
        if len(self.folders) == 1:
            return self.folders[0]
        return f"{len(self.folders)} runs, {self.folders[0]} to {self.folders[-1]}"

    def __repr__(self) -> str:
        """The verdict in a line."""
        return f"Validation({clean(self.name)}: {headline(self.comparison)})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return to_html(self)


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
    InvalidValueError
        Without any folder.

    Examples
    --------
    >>> examine("nowhere").comparison.verdict
    <Verdict.UNDECIDED: 2>
    """
    paths = [folders] if isinstance(folders, str | Path) else list(folders)
    if not paths:
        raise InvalidValueError("validate needs the folders of one run or more, and got none")
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
        runs = Runs(names, tuple(loaded(name, progress) for name in names))
    except OutputError as error:
        return Validation(names, _undecided(str(error), named or ""))
    obstacle = not_one_network(runs)
    if obstacle:
        return Validation(names, _undecided(obstacle, named or "", runs.length), runs.first)
    if any(recording.has_rates_only for recording in runs.recordings):
        return _of_rates(runs, named, progress)
    if named is None or named in reference_names() or not _holds_runs(Path(named)):
        reference = load_reference(named) if named is not None else _fitting(runs.first)
        validation = _against_reference(runs, reference, progress)
    elif is_run(Path(named)):
        validation = _against_recording(runs, named, progress)
    elif has_statistics(Path(named)) and find_runs([named]) == [Path(named)]:
        validation = _against_statistics(runs, named, progress)
    else:
        try:
            reference = ensemble_of([named], runs.length, progress)
        except OutputError as error:
            return Validation(names, _undecided(str(error), named, runs.length), runs.first)
        validation = _against_reference(runs, reference, progress)
    return _qualified(validation, runs, named)


def _of_rates(runs: Runs, named: str | None, progress: Progress) -> Validation:
    """A run that computed rates, without spikes, beside those of a reference's seeds."""

    def undecided(reason: str) -> Validation:
        return Validation(runs.folders, _undecided(reason, named or ""), runs.first)

    if len(runs.folders) > 1:
        return undecided(
            "rates that were computed are the same for any seed: validate such a run alone"
        )
    if named is None or named in reference_names() or not _holds_runs(Path(named)):
        reference = load_reference(named) if named is not None else _fitting(runs.first)
    elif is_run(Path(named)):
        return undecided(
            f"rates that were computed are compared with how much seeds differ, and {named} is one "
            "run: name a reference, or a folder of five runs or more"
        )
    else:
        try:
            reference = ensemble_of([named], LONGEST_REFERENCE, progress)
        except OutputError as error:
            return undecided(str(error))
    if reference is None:
        return undecided(no_reference(runs.first))
    activity = of_rates(runs.first, reference.durations[-1])
    comparison = compare([activity], reference)
    if comparison.verdict is not Verdict.UNDECIDED:
        reason = f"{comparison.reason}; other statistics could not be told, without spikes"
        comparison = replace(comparison, reason=reason)
    return Validation(
        runs.folders,
        _doubted(comparison, runs.recordings),
        runs.first,
        activity,
        reference,
        notes=differences_of_conditions(runs, reference),
        theory=predicted(runs.first),
    )


def require_reference(named: str) -> None:
    """Raise an error for what runs cannot be compared with, before there are any.

    Raises
    ------
    UnknownNameError, OutputError
        If it is no reference, and no folder or run.

    Examples
    --------
    >>> require_reference("pd14-0.1-poisson")
    """
    if named in reference_names() or not _holds_runs(Path(named)):
        load_reference(named)


def _holds_runs(path: Path) -> bool:
    return path.is_dir() or is_run(path)


def _qualified(validation: Validation, runs: Runs, named: str | None) -> Validation:
    """With what machines, and the INM-6 package, say themselves of the network that they ran."""
    folder = Path(named if named is not None else runs.folders[0])
    rows, note = _package_statistics(folder, validation.activity)
    recordings = [*runs.recordings, *([validation.other] if validation.other else [])]
    folders = [*runs.folders, *([str(named)] if validation.other else [])]
    return replace(
        validation,
        comparison=_doubted(validation.comparison, recordings),
        notes=(*_incomplete(folders, recordings), *validation.notes, *note),
        beside=rows,
        theory=predicted(runs.first) if validation.activity is not None else None,
    )


def _package_statistics(
    folder: Path, activity: Activity | None
) -> tuple[tuple[Beside, ...], tuple[str, ...]]:
    """Statistics of the INM-6 package in a folder beside those of an activity, and a note."""
    if activity is None or not has_statistics(folder):
        return (), ()
    try:
        rows = beside(folder, activity)
    except OutputError as error:
        return (), (str(error),)
    note = (
        f"the statistics of the INM-6 package in {folder} do not say over which time they were "
        "taken: they are shown, and decide nothing"
    )
    return rows, (note,)


def _with_remarks(validation: Validation) -> Validation:
    """With what the readers of files have to say."""
    notes = list(validation.notes)
    for recording in (validation.recording, validation.other):
        remarks = recording.metadata.get("remarks") if recording else None
        if isinstance(remarks, list):
            notes += [str(remark) for remark in remarks if str(remark) not in notes]
    return replace(validation, notes=tuple(notes))


def _incomplete(folders: Sequence[str], recordings: Sequence[Recording]) -> tuple[str, ...]:
    """What a reader has to know of runs that were ended before they were over."""
    return tuple(
        f"{printable(folder)} is incomplete: it ran for {recording.t_stop - recording.t_start:g} "
        f"of {_plain(recording.metadata[PLANNED])} ms, and the statistics are of these"
        for folder, recording in zip(folders, recordings, strict=True)
        if PLANNED in recording.metadata
    )


def _plain(value: object) -> str:
    """A number as it is shown elsewhere."""
    return f"{value:g}" if isinstance(value, int | float) else printable(value)


def _doubted(comparison: Comparison, recordings: Sequence[Recording]) -> Comparison:
    """Undecided if a machine said that it did not run the network as described."""
    doubts = [text for recording in recordings for text in recording.metadata.get("warnings", [])]
    if not doubts:
        return comparison
    more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
    reason = f"the machine did not run the network as described: {doubts[0]}{more}"
    return replace(comparison, verdict=Verdict.UNDECIDED, reason=reason)


def _incomparable(runs: Runs, reference: Reference | None) -> str:
    """Why runs cannot be compared with a reference; empty if they can."""
    if obstacle := unrecorded(runs):
        return obstacle
    if reference is None:
        return no_reference(runs.first)
    covered = reference.duration_for(runs.length)
    if covered is None:
        return (
            f"too short: {runs.length:g} ms were recorded, and the reference {reference.name} "
            f"needs {reference.durations[0]:g} ms or more"
        )
    if covered < SHORTEST:
        return (
            f"the reference {reference.name} has {covered:g} ms for runs of {runs.length:g} ms, "
            f"too short for any statistic: take one of {SHORTEST:g} ms or more"
        )
    for folder, recording in zip(runs.folders, runs.recordings, strict=True):
        missing = [label for label in reference.n_neurons if label not in recording.spike_trains]
        if missing:
            return (
                f"{printable(folder)} has no spikes of {', '.join(map(printable, missing))}, which "
                f"the reference {reference.name} has: record all populations"
            )
    return ""


def _against_reference(runs: Runs, reference: Reference | None, progress: Progress) -> Validation:
    covered = None if reference is None else reference.duration_for(runs.length)
    activities = measured(runs, covered or min(runs.length, LONGEST), progress)
    activity = Activity.pooled(activities) if activities else None
    obstacle = _incomparable(runs, reference)
    if obstacle or reference is None or covered is None:
        name = "" if reference is None else reference.name
        comparison = _undecided(obstacle, name, runs.length)
        return Validation(runs.folders, comparison, runs.first, activity, reference)
    others, notes = _without_own(runs.folders, activities, reference)
    comparison = compare(activities, others)
    check = None
    if comparison.verdict is not Verdict.UNDECIDED:
        progress(f"comparing {reference.name} with itself")
        check = self_check(reference, covered)
        notes += differences_from_reference(runs, reference, covered)
        notes += untested(comparison, reference.n_neurons)
    return Validation(runs.folders, comparison, runs.first, activity, reference, check, notes=notes)


def _without_own(
    folders: Sequence[str], activities: Sequence[Activity], reference: Reference
) -> tuple[Reference, tuple[str, ...]]:
    """A reference without the runs that are judged: what is judged by itself agrees with itself."""
    members = {folder: reference.index_of(a) for folder, a in zip(folders, activities, strict=True)}
    inside = {folder: index for folder, index in members.items() if index is not None}
    if not inside:
        return reference, ()
    notes = tuple(
        f"{printable(folder)} is one of the runs that {reference.name} was made of: it was "
        "compared with the others"
        for folder in inside
    )
    return reference.without(inside.values()), notes


def _against_recording(runs: Runs, named: str, progress: Progress) -> Validation:
    recording = runs.first
    if len(runs.folders) > 1:
        reason = (
            f"{len(runs.folders)} runs can be compared with a reference, or with a folder of five "
            f"runs or more; {named} is one run"
        )
        return Validation(runs.folders, _undecided(reason, named, runs.length), recording)
    try:
        other = loaded(named, progress)
    except OutputError as error:
        return Validation(runs.folders, _undecided(str(error), named), recording)
    both = Runs((*runs.folders, named), (recording, other))
    reference = _fitting(recording) or _fitting(other)
    covered = None if reference is None else reference.duration_for(both.length)
    duration = covered or min(both.length, LONGEST)
    activity, other_activity = (
        next(iter(measured(single, duration, progress)), None)
        for single in (runs, Runs((named,), (other,)))
    )
    notes = differences_of_recordings(recording, other)
    if activity is None or other_activity is None:
        comparison = _undecided(unmeasurable(both, duration), named, duration)
    else:
        longest = max(r.t_stop - r.t_start for r in both.recordings)
        if covered is not None and covered < longest:
            notes += (f"the first {covered:g} ms of each were compared",)
        comparison = compare_recordings(activity, other_activity, reference, named)
        if comparison.verdict is not Verdict.UNDECIDED:
            notes += untested(comparison, activity.n_neurons)
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


def _against_statistics(runs: Runs, named: str, progress: Progress) -> Validation:
    """Beside the statistics of the INM-6 package, without its recordings."""
    activities = measured(runs, min(runs.length, LONGEST), progress)
    activity = Activity.pooled(activities) if activities else None
    reason = (
        f"{named} holds statistics of the INM-6 package and no recordings: they cannot be "
        "calibrated; a reference, or recordings of five seeds, can"
    )
    return Validation(runs.folders, _undecided(reason, named, runs.length), runs.first, activity)


def _fitting(recording: Recording) -> Reference | None:
    return fitting_reference(sound_metadata(recording))


def _undecided(reason: str, against: str, duration: float = 0.0) -> Comparison:
    return Comparison(Verdict.UNDECIDED, reason, (), against, duration)

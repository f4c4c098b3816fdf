"""Do what is missing of the runs, judge each backend's, and set all of them beside one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portable_cortex import Recording, backend_names, load_backend
from portable_cortex.errors import OutputError
from portable_cortex.host.provenance import versions
from portable_cortex.host.untrusted import parse_json, printable
from portable_cortex.recording import RUN
from portable_cortex.sweep import (
    FAILED,
    FINISHED,
    LocalPool,
    Report,
    Sweep,
    SweepRun,
    sweep,
)
from portable_cortex.sweep.runs import LOG

from ..formats import find_runs, load_sound
from ..verdict import Pairing, Validation, Verdict, examine, identical, pair
from .plan import Absent, Plan
from .spending import Spending, spending

Progress = Callable[[str], None]
"""Told what is being done."""

UNNAMED = "unknown backend"
OURS = "portable-cortex"  # the distribution of backends without a simulator of their own


@dataclass(frozen=True)
class Contestant:
    """The runs of one backend.

    Attributes
    ----------
    name : str
    judged : tuple of Path
        Runs that are compared with the reference.
    shared : tuple of Path
        Runs of the network that is the same for all backends.
    failures : tuple of str
        Why other runs are missing.
    remarks : tuple of str
        What else a reader has to know of the runs.
    """

    name: str
    judged: tuple[Path, ...]
    shared: tuple[Path, ...] = ()
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """One backend beside another on the same network.

    Attributes
    ----------
    beside : str
        The other backend.
    pairing : Pairing
        Neuron by neuron.
    is_identical : bool
        Whether all spikes are equal.
    duration : float
        Over which they were compared, ms.
    """

    beside: str
    pairing: Pairing
    is_identical: bool
    duration: float


@dataclass(frozen=True)
class Row:
    """One backend.

    Attributes
    ----------
    name, version : str
        The version is that of the runs; empty if they do not say it.
    validation : Validation
    spending : Spending
    agreement : Agreement or None
        None for the backend that the others are compared with, and without a shared network.
    failures : tuple of str
        Why some of its runs are missing.
    remarks : tuple of str
        What else a reader has to know.
    """

    name: str
    version: str
    validation: Validation
    spending: Spending
    agreement: Agreement | None = None
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What was found of the runs that there are."""
        return self.validation.comparison.verdict


@dataclass(frozen=True)
class Scoreboard:
    """All backends.

    Attributes
    ----------
    rows : tuple of Row
        Those that were judged.
    absent : tuple of Absent
        Those that were not.
    """

    rows: tuple[Row, ...]
    absent: tuple[Absent, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """That one differs, if one does; that all agree, if all that should have been judged do."""
        verdicts = {row.verdict for row in self.rows}
        if Verdict.DIFFERS in verdicts:
            return Verdict.DIFFERS
        incomplete = any(row.failures for row in self.rows) or any(a.is_fault for a in self.absent)
        return Verdict.UNDECIDED if incomplete or verdicts != {Verdict.AGREES} else Verdict.AGREES

    @property
    def first(self) -> Mapping[str, Any]:
        """``run.json`` of the first run that was read; empty if none was."""
        recordings = (row.validation.recording for row in self.rows)
        return next((r.metadata for r in recordings if r is not None), {})


def perform(
    plan: Plan,
    folder: str | Path,
    *,
    jobs: int = 1,
    threads: int | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Sweep:
    """Do what is missing of a plan's runs; see `portable_cortex.sweep.sweep`.

    One at a time unless `jobs` says more: what runs beside a run changes what it costs.
    """
    return sweep(
        plan.experiments,
        folder,
        pool=LocalPool(jobs),
        threads=threads,
        overwrite=overwrite,
        report=report,
    )


def contestants(done: Sweep) -> tuple[tuple[Contestant, ...], tuple[Absent, ...]]:
    """The backends of a sweep by its runs, and those all of whose runs failed.

    Examples
    --------
    >>> contestants(Sweep(Path(), ()))
    ((), ())
    """
    with_runs, without = [], []
    for name in dict.fromkeys(run.experiment.backend for run in done.runs):
        runs = [run for run in done.runs if run.experiment.backend == name]
        finished = [run for run in runs if run.state == FINISHED]
        failed = [run for run in runs if run.state == FAILED]
        failures = tuple(
            f"{run.experiment.realisation}, seed {run.experiment.seed}: {_said(run)}"
            for run in failed
        )
        native, shared = (
            tuple(run.folder for run in finished if run.experiment.realisation == realisation)
            for realisation in ("native", "shared")
        )
        outdated = tuple(filter(None, map(_outdated, finished)))
        if native:
            with_runs.append(Contestant(name, native, shared, failures, outdated))
        else:
            without.append(Absent(name, FAILED, _said(failed[0]), True))
    return tuple(with_runs), tuple(without)


def _said(run: SweepRun) -> str:
    """Why a run failed, and where there is more."""
    return f"{run.error} (all that it said is in {run.name}/{LOG})"


def gathered(folders: Sequence[str | Path]) -> tuple[Contestant, ...]:
    """Runs that exist, by the backend that they state.

    Those of the ``shared`` realisation are compared neuron by neuron; they are judged where a
    backend has no others.

    Examples
    --------
    >>> [one.name for one in gathered(["nowhere"])]
    ['unknown backend']
    """
    by: dict[str, dict[bool, list[Path]]] = {}
    for folder in find_runs(folders):
        metadata = _metadata(folder)
        name = str(metadata.get("backend") or UNNAMED)
        is_shared = metadata.get("realisation") == "shared"
        by.setdefault(name, {True: [], False: []})[is_shared].append(folder)
    known = [name for name in backend_names() if name in by]
    return tuple(
        Contestant(name, tuple(by[name][False] or by[name][True]), tuple(by[name][True]))
        for name in dict.fromkeys([*known, *by])
    )


def judge(
    contestants: Sequence[Contestant],
    absent: Sequence[Absent] = (),
    against: str | Path | None = None,
    progress: Progress = lambda text: None,
) -> Scoreboard:
    """Read the runs of every backend, compare them with the reference and with each other.

    Parameters
    ----------
    contestants : sequence of Contestant
    absent : sequence of Absent
        Backends that have no runs.
    against : str or Path, optional
        See `portable_cortex.validation.verdict.examine`.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    UnknownNameError, OutputError
        If `against` cannot be compared with.
    """
    agreements, troubles = _agreements(contestants, progress)
    rows = []
    for one in contestants:
        progress(f"judging {printable(one.name)}")
        rows.append(
            score(
                replace(one, failures=(*one.failures, *troubles.get(one.name, ()))),
                [_metadata(folder) for folder in one.judged],
                examine(one.judged, against, progress),
                agreements.get(one.name),
            )
        )
    return Scoreboard(tuple(rows), tuple(absent))


def score(
    runs: Contestant,
    about: Sequence[Mapping[str, Any]],
    validation: Validation,
    agreement: Agreement | None = None,
) -> Row:
    """The row of one backend.

    Parameters
    ----------
    runs : Contestant
    about : sequence of mapping
        Contents of the ``run.json`` of each run that was judged.
    validation : Validation
        Of these runs.
    agreement : Agreement, optional
    """
    stated = [m["versions"] for m in about if isinstance(m.get("versions"), Mapping)]
    return Row(
        runs.name,
        _version(runs.name, stated),
        validation,
        spending(about),
        agreement,
        runs.failures,
        runs.remarks,
    )


def _version(name: str, versions: Sequence[Mapping[str, Any]]) -> str:
    """Of the simulator, as the runs state it; several if they differ."""
    if name not in backend_names():
        return ""
    backend = load_backend(name)
    is_ours = backend.requirement == OURS or not backend.distributions
    key = OURS if is_ours else backend.distributions[0]
    return ", ".join(dict.fromkeys(str(v[key]) for v in versions if key in v))


def _outdated(run: SweepRun) -> str:
    """That a run which was there already is of other versions than are installed."""
    stated = run.metadata.get("versions")
    if not isinstance(stated, Mapping):
        return ""
    now = versions(load_backend(run.experiment.backend).distributions)
    other = [
        f"{k} {stated[k]}, and {v} is installed" for k, v in now.items() if stated.get(k, v) != v
    ]
    return f"{run.name} was run with {'; '.join(other)}: --overwrite runs it again" if other else ""


def _metadata(folder: Path) -> Mapping[str, Any]:
    """``run.json`` of a run; empty where there is none, which `examine` says."""
    try:
        content = parse_json((folder / RUN).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _agreements(
    contestants: Sequence[Contestant], progress: Progress
) -> tuple[dict[str, Agreement], dict[str, tuple[str, ...]]]:
    """Each backend beside the first one that ran the shared network, and what cannot be read."""
    recordings: dict[str, list[Recording]] = {}
    troubles: dict[str, tuple[str, ...]] = {}
    for one in contestants:
        for folder in one.shared:
            progress(f"reading {printable(folder)}")
            try:
                recordings.setdefault(one.name, []).append(load_sound(folder))
            except OutputError as error:
                troubles[one.name] = (*troubles.get(one.name, ()), str(error))
    if len(recordings) < 2:
        return {}, troubles
    beside, *others = recordings
    yardstick = recordings[beside][0]
    agreements = {}
    for name in others:
        for recording in recordings[name]:
            pairing = pair(recording, yardstick)
            if pairing is not None:
                duration = min(r.t_stop - r.t_start for r in (recording, yardstick))
                same = identical(recording, yardstick, duration)
                agreements[name] = Agreement(beside, pairing, same, duration)
                break
    return agreements, troubles

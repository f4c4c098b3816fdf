"""Many runs, seeds x backends x scales or whatever is to be varied, each in a process of its own.

A sweep is a folder with one recording a run. A run is finished when its folder holds a recording
with its settings, however it got there; so a sweep that was killed goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InvalidValueError, OutputError, OutputExistsError
from ..experiment import Experiment, RecordRequest
from ..host.output import whole
from ..host.provenance import cores
from ..machine import load_machine, machine_names
from ..models.loader import MODELS, load_model
from ..recording import RUN, UNFINISHED, RecordingWarning, check_output, files_of, to_json
from ..registry import load_backend
from .pool import Job, LocalPool, Pool
from .table import to_csv

RESULT, TABLE, PICTURE, LOG = "sweep.json", "sweep.csv", "sweep.png", "log.txt"
MOST_SEEDS = 100_000
WAITING, FINISHED, FAILED = "waiting", "finished", "failed"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes
    ----------
    folder : Path
        Where its recording is, or will be; ``log.txt`` in it has what the run printed.
    experiment : Experiment
    settings : dict
        Of the experiment (see `Experiment.settings`).
    words : tuple of str
        What its name is made of besides the seed: its repetitions have the same.
    varied : dict of str to object
        What is not the same in all runs of the sweep, besides the seed: its values here.
    state : {"waiting", "finished", "failed"}
    error : str
        Why it failed.
    metadata : dict
        Contents of its ``run.json``; empty unless finished.
    """

    folder: Path
    experiment: Experiment
    settings: Mapping[str, Any]
    words: tuple[str, ...]
    varied: Mapping[str, Any] = field(default_factory=dict)
    state: str = WAITING
    error: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name


@dataclass(frozen=True)
class Sweep:
    """All runs of a sweep, and how far they are.

    Attributes
    ----------
    folder : Path
    runs : tuple of SweepRun
    """

    folder: Path
    runs: tuple[SweepRun, ...]

    def of(self, state: str) -> tuple[SweepRun, ...]:
        """Runs that are ``"waiting"``, ``"finished"`` or ``"failed"``."""
        return tuple(run for run in self.runs if run.state == state)

    def groups(self) -> dict[str, list[SweepRun]]:
        """Finished runs by what tells them apart besides the seed."""
        found: dict[str, list[SweepRun]] = {}
        for run in self.of(FINISHED):
            found.setdefault(describe_varied(run.varied) or " ".join(run.words), []).append(run)
        return found

    @property
    def shared(self) -> tuple[str, ...]:
        """Words that all runs have in their names, where there are others that tell them apart."""
        if not any(run.varied for run in self.runs):
            return ()
        first, *others = (run.words for run in self.runs)
        return tuple(word for word in first if all(word in words for words in others))

    def save(self) -> None:
        """Write ``sweep.json``, and ``sweep.csv`` with a line for each run.

        Raises
        ------
        OutputError
            If that is not possible.
        """
        shown = ("rates", "phases_s", "cpu_s", "real_time_factor", "peak_memory_bytes", "energy")
        content = {
            "runs": [
                {
                    "folder": run.name,
                    "state": run.state,
                    "error": run.error,
                    "settings": run.settings,
                    **{key: run.metadata[key] for key in shown if key in run.metadata},
                }
                for run in self.runs
            ]
        }
        try:
            for name, text in ((RESULT, to_json(content) + "\n"), (TABLE, to_csv(self.runs))):
                with whole(self.folder / name) as part:
                    part.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self.folder / RESULT} cannot be written: {error}") from error

    def draw(self) -> None:
        """Draw ``sweep.png``, if there are rates; a picture that fails is a `RecordingWarning`."""
        try:
            from .figure import draw_sweep

            if any(run.metadata.get("rates") for run in self.runs):
                with whole(self.folder / PICTURE) as part:
                    draw_sweep(self, part)
        except Exception as error:  # matplotlib's, a font's, the disk's
            warnings.warn(f"there is no picture: {error!r}", RecordingWarning, stacklevel=3)


Report = Callable[[Sweep, SweepRun | None], None]
"""Told how far a sweep is: at its start, and with each run that has ended."""


def parse_seeds(text: str) -> list[int]:
    """Seeds as a user writes them: numbers and ranges, ends included, separated by commas.

    Raises
    ------
    InvalidValueError
        For anything else.

    Examples
    --------
    >>> parse_seeds("1-3,10")
    [1, 2, 3, 10]
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if last < first:
            raise InvalidValueError(f"seeds are written like 1-10 or 1,2,5-8, not {text!r}")
        if last - first >= MOST_SEEDS:
            raise InvalidValueError(f"at most {MOST_SEEDS:,} seeds in one sweep, not {text!r}")
        seeds += range(first, last + 1)
    return seeds


def combinations(over: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values, the last name's varying fastest.

    Examples
    --------
    >>> combinations({"g": [4, 5], "eta": [2]})
    [{'g': 4, 'eta': 2}, {'g': 5, 'eta': 2}]
    """
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]


def grid(over: Mapping[str, Iterable[Any]], **fixed: Any) -> tuple[Experiment, ...]:
    """Experiments for every combination of some settings.

    Parameters
    ----------
    over : dict of str to iterable
        What varies: settings of `Experiment` or parameters of the model, with their values.
    **fixed
        What does not: the same names.

    Raises
    ------
    InvalidValueError, UnknownNameError
        For a value that an `Experiment` does not take.

    Examples
    --------
    >>> runs = grid({"backend": ["nest", "mock"], "seed": range(1, 11)}, scale=0.1, duration=500.0)
    >>> len(runs), runs[-1].backend, runs[-1].seed, runs[-1].parameters
    (20, 'mock', 10, {'scale': 0.1})
    """
    return tuple(_experiment({**fixed, **varied}) for varied in combinations(over))


def _experiment(given: Mapping[str, Any]) -> Experiment:
    own = {f.name for f in fields(Experiment)}
    settings = {name: value for name, value in given.items() if name in own}
    others = {name: value for name, value in given.items() if name not in own}
    settings["parameters"] = {**settings.get("parameters", {}), **others}
    record = settings.get("record", ())
    settings["record"] = tuple(RecordRequest.parse(r) if isinstance(r, str) else r for r in record)
    return Experiment(**settings)


def sweep(
    experiments: Iterable[Experiment],
    folder: str | Path,
    *,
    pool: Pool | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Sweep:
    """Do all runs that `folder` does not hold yet.

    A run that fails is noted, and the others go on; it is tried again when the sweep is.

    Parameters
    ----------
    experiments : iterable of Experiment
        For example from `grid`.
    folder : str or Path
        Gets ``sweep.json``, ``sweep.csv``, ``sweep.png`` (the rates by what varies) and, for every
        run, a folder with its recording and ``log.txt``.
    pool : LocalPool or DaskPool
        As many processes on this computer as its cores allow, unless given.
    threads : int
        Of each run, where its backend has an option ``threads`` that the experiment leaves open.
        What the machine file says unless given, or else 1: runs side by side use the cores better
        than threads do.
    overwrite : bool
        Do finished runs again.
    report : callable
        Called with the sweep and the run that has ended; at the start with None for the run.

    Returns
    -------
    Sweep

    Raises
    ------
    PortableCortexError
        Before anything runs, for what keeps an experiment from running as far as that can be told.
    OutputExistsError
        If the folder holds runs of the same names with other settings.
    OutputError
        If the folder cannot be used, or another sweep is using it.

    Examples
    --------
    >>> import tempfile
    >>> runs = grid({"seed": [1, 2]}, backend="mock", model="brunel2000", scale=0.01, duration=10.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = sweep(runs, folder)
    >>> [run.state for run in found.runs]
    ['finished', 'finished']
    """
    folder = check_output(Path(folder).resolve(), overwrite=True)
    runs = _planned(tuple(experiments), threads, folder)
    if not runs:
        raise InvalidValueError("a sweep needs at least one run")
    _check_distinct(runs)
    pool = pool or LocalPool(max(1, cores() // max(map(_threads, runs))))
    with alone(folder):
        if overwrite:
            for run in runs:
                (run.folder / RUN).unlink(missing_ok=True)
        current = Sweep(folder, tuple(map(as_found, runs)))
        current.save()
        tell: Report = report or (lambda sweep, run: None)
        tell(current, None)
        waiting = {_job(run): n for n, run in enumerate(current.runs) if run.state == WAITING}
        _prepare(waiting)
        with closing(pool.run(tuple(waiting))) as ended:
            for job, error in ended:
                n = waiting[job]
                run = as_found(runs[n])
                if run.state != FINISHED:
                    run = replace(run, state=FAILED, error=error or f"it wrote no {RUN}")
                current = replace(current, runs=(*current.runs[:n], run, *current.runs[n + 1 :]))
                current.save()
                tell(current, run)
        current.draw()
    return current


def _placed(experiment: Experiment, threads: int | None) -> Experiment:
    """The experiment as another process sees it: its files by full path, its threads said."""
    model, machine = str(experiment.model), str(experiment.machine)
    known = load_machine(machine).options.get(experiment.backend, {})
    options = dict(experiment.options)
    if "threads" in {f.name for f in fields(load_backend(experiment.backend).Options)}:
        if threads is not None:
            options.setdefault("threads", str(threads))
        elif "threads" not in known:
            options.setdefault("threads", "1")
    return replace(
        experiment,
        model=model if model in MODELS else str(Path(model).resolve()),
        machine=machine if machine in machine_names() else str(Path(machine).resolve()),
        options=options,
    )


def _planned(
    experiments: Sequence[Experiment], threads: int | None, folder: Path
) -> list[SweepRun]:
    """Runs, each called by what differs from the defaults, or between them."""
    for experiment in experiments:
        experiment.settings()  # what is wrong with it is said in its user's words
    placed = [_placed(experiment, threads) for experiment in experiments]
    settings = [one.settings() for one in placed]
    parts = [_parts(e, s) for e, s in zip(experiments, settings, strict=True)]
    names = dict.fromkeys(name for one in parts for name in one)
    varied = {name for name in names if len({_key(one.get(name)) for one in parts}) > 1}
    runs = []
    for experiment, one, known, part in zip(experiments, placed, settings, parts, strict=True):
        usual = _usual(experiment)
        told = {
            name: value
            for name, value in part.items()
            if name in ("model", "backend", *varied) or value != usual.get(name)
        }
        words = tuple(_word(name, value) for name, value in told.items())
        place = folder / f"{_file_name(told)}-seed={experiment.seed}"
        own = {name: value for name, value in part.items() if name in varied}
        runs.append(SweepRun(place, one, known, words, own))
    if all((run.folder / RUN).exists() for run in runs):
        return runs
    there = _recorded_in(folder)  # of a sweep in which something else varied
    return [
        run
        if (run.folder / RUN).exists()
        else replace(run, folder=there.get(_key(run.settings), run.folder))
        for run in runs
    ]


def _parts(experiment: Experiment, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, besides the seed, in the order in which they are shown."""
    parameters = sorted(settings["parameters"].items())
    return {
        "model": Path(experiment.model).stem,
        "backend": experiment.backend,
        **{name: value for name, value in parameters if name != "seed"},
        **{name: getattr(experiment, name) for name in _SHOWN},
        "machine": Path(experiment.machine).stem,
        "record": "+".join(settings["record"]),
        **experiment.options,
    }


_SHOWN = ("timestep", "warmup", "duration", "realisation", "record_spikes")


def _usual(experiment: Experiment) -> dict[str, Any]:
    """What the same are unless given; options of a backend are always shown."""
    usual = Experiment()
    return {
        **_defaults(experiment),
        **{name: getattr(usual, name) for name in _SHOWN},
        "machine": usual.machine,
        "record": "",
    }


def _word(name: str, value: Any) -> str:
    return str(value) if name in ("model", "backend") else f"{name}={_short(value)}"


def describe_varied(varied: Mapping[str, Any]) -> str:
    """What a run has that others have not, in a few words.

    Examples
    --------
    >>> describe_varied({"backend": "nest", "g": 4.0})
    'nest g=4'
    """
    return " ".join(_word(name, value) for name, value in varied.items())


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _recorded_in(folder: Path) -> dict[str, Path]:
    """Folders that hold runs, by their settings."""
    there = {}
    names = Experiment(backend="mock").settings()
    for path in folder.glob(f"*/{RUN}"):
        try:
            metadata = json.loads(path.read_text("utf-8"))
            there[_key({name: metadata.get(name) for name in names})] = path.parent
        except (OSError, ValueError, AttributeError):
            continue  # another's
    return there


def _defaults(experiment: Experiment) -> dict[str, Any]:
    """Of the model's parameters, as ``run.json`` has them."""
    found: dict[str, Any] = json.loads(to_json(load_model(experiment.model).parameters))
    return found


def _file_name(told: Mapping[str, Any]) -> str:
    """All that is told of a run, or where no file can be called so, most of it and a digest."""
    text = "-".join(_word(name, value) for name, value in told.items())
    short = "-".join(_word(name, _ends(value)) for name, value in told.items() if _says(value))
    plain = re.sub(r"[^\w.=+-]", "_", short)
    if plain == text and len(plain) <= 120:
        return plain
    return f"{plain[:100]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _says(value: Any) -> bool:
    return value is not None and value != [] and value != {}


def _ends(value: Any) -> Any:
    """The first and the last of many."""
    return (
        f"{_short(value[0])}..{_short(value[-1])}"
        if isinstance(value, list) and len(value) > 3
        else value
    )


def _short(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _check_distinct(runs: Sequence[SweepRun]) -> None:
    seen: dict[Path, SweepRun] = {}
    for run in runs:
        other = seen.setdefault(run.folder, run)
        if other is run:
            continue
        if other.settings == run.settings:
            raise InvalidValueError(f"the run {run.name} is asked for twice")
        raise InvalidValueError(
            f"two runs would be called {run.name}: {_difference(other.settings, run.settings)}"
        )


def _threads(run: SweepRun) -> int:
    return int(run.settings["options"].get("threads") or 1)


def as_found(run: SweepRun) -> SweepRun:
    """The run, finished if its folder holds its recording.

    Raises
    ------
    OutputExistsError
        If the folder holds a run with other settings.
    """
    path = run.folder / RUN
    try:
        metadata = json.loads(path.read_text("utf-8"))
        found = {key: metadata.get(key) for key in run.settings}
    except FileNotFoundError:
        return run
    except (OSError, ValueError, AttributeError) as error:
        raise OutputExistsError(f"{path} is damaged: {error!r}; --overwrite runs again") from None
    if isinstance(found["parameters"], dict):
        found["parameters"] = _later(run, found["parameters"]) | found["parameters"]
    if found != run.settings:
        raise OutputExistsError(
            f"{run.folder} holds a run with other settings, which was kept "
            f"({_difference(found, run.settings)}): choose another folder, or ask to run "
            "everything again (--overwrite)"
        )
    if (files := files_of(metadata)) and files != _files_now(run):
        raise OutputExistsError(
            f"{run.folder} holds a run of files that have been changed since, which was kept: "
            "choose another folder, or ask to run everything again (--overwrite)"
        )
    return replace(run, state=FINISHED, metadata=metadata)


def _files_now(run: SweepRun) -> tuple[str, ...]:
    """Digests of the files that the parameters of a run name."""
    statements = load_model(run.experiment.model).said(run.settings["parameters"])
    return files_of({"statements": statements})


def _later(run: SweepRun, found: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that the model got after a run: at their defaults they change nothing."""
    if str(run.experiment.model) not in MODELS:
        return {}
    usual = _defaults(run.experiment)
    asked = run.settings["parameters"]
    return {k: v for k, v in asked.items() if k not in found and k in usual and v == usual[k]}


def _difference(found: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    parts = []
    for key in asked:
        before, now = found.get(key), asked[key]
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            names = {**now, **before}
            parts.append(_difference(before, {name: now.get(name) for name in names}))
        elif before != now:
            parts.append(f"{key} {before!r}, not {now!r}")
    return "; ".join(filter(None, parts))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second sweep from doing the same runs at the same time."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another command is at work in {folder}: wait for it, or choose another folder"
            ) from None
        yield


def _job(run: SweepRun) -> Job:
    """The command line of a run."""
    text = json.dumps(run.experiment.to_dict())
    return Job(("run-experiment", text, "--out", str(run.folder)), run.folder / LOG)


def _prepare(jobs: Iterable[Job]) -> None:
    """Make folders, without what a killed run left half-written in them."""
    for job in jobs:
        try:
            job.log.parent.mkdir(exist_ok=True)
            for rest in (*job.log.parent.glob(".partial-*"), job.log.parent / UNFINISHED):
                shutil.rmtree(rest, ignore_errors=True)
        except OSError as error:
            raise OutputError(f"{job.log.parent} cannot be written: {error}") from error

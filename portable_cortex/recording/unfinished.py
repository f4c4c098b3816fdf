"""A run that is written while it goes on, in a folder within that of its results.

::

    unfinished/settings.json            what is run, as run.json will have it
               run_model.py             the user's own model
               signals-0000025000.h5    what was recorded until time step 25000,
               spikes-0000025000.h5     from the end of the part before
               state.npz                of the simulator, in the step in which a part ends

A part is there as a whole or not at all, and so is a state, which comes last: whatever ends the
run, the parts can be read, and the run can go on from the state. When the run is over the results
take the place of the parts; of a run that Ctrl-C ended, the results and the state stay.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from ..host.interruption import shielded, tell
from ..host.output import whole
from ..host.untrusted import parse_json, printable
from . import sonata
from .recording import (
    FIGURE,
    MODEL,
    RUN,
    SIGNALS,
    SPIKES,
    STATE,
    UNFINISHED,
    checked_sizes,
    time_step,
    to_json,
)
from .spikes import Signal, Spikes

SETTINGS = "settings.json"
ABOUT = "about"  # in a state, what the run itself has to remember

Trains = Mapping[str, Spikes]
Signals = Mapping[tuple[str, str], Signal]


def trouble(error: OSError) -> str:
    """What is wrong with the disk."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "the disk is full" if full else str(error)


@dataclass(frozen=True)
class Checkpoint:
    """From where a run can go on.

    Attributes
    ----------
    step : int
        Time step.
    state : mapping of str to array
        Of the simulator.
    about : mapping
        What the run has to remember.
    """

    step: int
    state: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Unfinished:
    """What a folder has of a run that is not over.

    Attributes
    ----------
    folder : Path
        That of the results.
    settings : mapping
        What is run.
    base : int or None
        Step in which the results in the folder end, where they are of this run: Ctrl-C ended it.
    parts : tuple of (int, int)
        Steps in which the parts begin and end that are not in the results.
    """

    folder: Path
    settings: Mapping[str, Any]
    base: int | None
    parts: tuple[tuple[int, int], ...]

    @classmethod
    def find(cls, folder: Path) -> Unfinished | None:
        """What is there; None if there is nothing.

        Raises
        ------
        OutputError
            If it is damaged.
        """
        path = folder / UNFINISHED / SETTINGS
        settings = _metadata(path)
        if settings is None:
            return None
        if time_step(settings) is None:
            raise OutputError(f"{path} is damaged: 'timestep_ms' is not above 0")
        unfinished = cls(folder, settings, None, ())
        results = _metadata(folder / RUN) if (folder / SPIKES).is_file() else None
        if results is not None and results.get("started") == settings.get("started"):
            unfinished = replace(unfinished, base=unfinished._step(results["duration_ms"]))
        names = (
            re.fullmatch(r"spikes-(\d{1,18})-(\d{1,18})\.h5", p.name) for p in path.parent.iterdir()
        )
        parts = sorted((int(name[1]), int(name[2])) for name in names if name)
        new = tuple(part for part in parts if part[1] > (unfinished.base or 0))
        begin = unfinished.first
        for part in new:
            if part[0] != begin:
                raise OutputError(
                    f"{path.parent} is damaged: the part from time step {begin} to {part[0]} "
                    "is missing"
                )
            begin = part[1]
        return replace(unfinished, parts=new)

    @property
    def timestep(self) -> float:
        """Time step, ms."""
        return float(self.settings["timestep_ms"])

    @property
    def end(self) -> int | None:
        """The step until which there are spikes; None if there are none."""
        return self.parts[-1][1] if self.parts else self.base

    @property
    def first(self) -> int:
        """The step after which there are spikes."""
        return self._step(0.0)

    @property
    def planned(self) -> int:
        """The step in which the run is over."""
        return self._step(self.settings["duration_ms"])

    @property
    def resumable(self) -> bool:
        """Whether there is a state."""
        return (self.folder / UNFINISHED / STATE).is_file()

    def _step(self, duration: float) -> int:
        return round((float(self.settings["warmup_ms"]) + float(duration)) / self.timestep)

    def metadata(self) -> dict[str, Any]:
        """Of the run until now."""
        ran = round((self.end or 0) * self.timestep - float(self.settings["warmup_ms"]), 9)
        metadata = {**self.settings, "duration_ms": ran}
        if isinstance(metadata.get("experiment"), dict):
            metadata["experiment"] = {**metadata["experiment"], "duration": ran}
        if ran < self.settings["duration_ms"]:
            metadata["planned_duration_ms"] = self.settings["duration_ms"]
        return metadata

    def _paths(self, kind: str) -> list[Path]:
        return [self.folder / UNFINISHED / _name(kind, *part) for part in self.parts]

    def spikes(self, most: int | None = None) -> Trains:
        """Of all parts; at most so many in memory."""
        return sonata.read_parts(self._paths("spikes"), self.timestep, most)

    def signals(self, most: int | None = None) -> Signals:
        """Of all parts; at most so many samples in memory."""
        paths = (path for path in self._paths("signals") if path.exists())
        return sonata.read_signals(*paths, most=most)

    @cached_property
    def source(self) -> bytes | None:
        """The user's own model."""
        path = self.folder / UNFINISHED / MODEL
        return path.read_bytes() if path.is_file() else None

    def checkpoint(self) -> Checkpoint:
        """From where it can go on.

        Raises
        ------
        OutputError
            If that is missing, damaged, or not where the parts end.
        """
        path = self.folder / UNFINISHED / STATE
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file.items())
            about = parse_json(str(arrays.pop(ABOUT)))
            step = int(about["step"])
        except FileNotFoundError:
            raise OutputError(
                f"{self.folder} has no state from which the run can go on: run it again"
            ) from None
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, *_DAMAGE) as error:
            raise OutputError(f"{path} is damaged: {printable(error)}") from error
        if step not in (self.base, *(end for _, end in self.parts)):
            raise OutputError(
                f"{path} is of time step {step}, in which no part of the spikes in {path.parent} "
                "ends: run it again"
            )
        return Checkpoint(step, arrays, about)


_DAMAGE = (KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)


def _metadata(path: Path) -> dict[str, Any] | None:
    """Checked metadata; None if there are none."""
    try:
        metadata = parse_json(path.read_text("utf-8"))
        checked_sizes(metadata)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, *_DAMAGE) as error:
        raise OutputError(f"{path} is damaged: {printable(error)}") from error
    found: dict[str, Any] = metadata
    return found


def _name(kind: str, begin: int, end: int) -> str:
    return f"{kind}-{begin:010}-{end:010}.h5"


class Journal:
    """Writes a run into the folder of its results while it goes on.

    Parameters
    ----------
    folder : Path
    about : mapping
        What only the caller knows of the run, for ``run.json``.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self.folder, self.about = folder, dict(about or {})
        self.checkpoint: Checkpoint | None = None  # that the run goes on from
        self.end: int | None = None  # step of the last part
        self._settings: dict[str, Any] = {}
        self._source: bytes | None = None
        self._lock: int | None = None
        self._unfinished: Unfinished | None = None

    @classmethod
    def reopened(cls, unfinished: Unfinished) -> Journal:
        """To go on with a run; nothing is changed before `begin`.

        Raises
        ------
        OutputError
            If another process writes it, or there is nothing from which it can go on.
        """
        about = {k: v for k, v in unfinished.settings.items() if k == "command"}
        journal = cls(unfinished.folder, about)
        journal.checkpoint = unfinished.checkpoint()
        journal._lock = _locked(journal._inside)
        journal._settings = dict(unfinished.settings)
        journal._unfinished = unfinished
        return journal

    def _go_on(self, unfinished: Unfinished, step: int) -> None:
        """Make the results that Ctrl-C left a part, and forget what is after the state."""
        with self._telling(), shielded():
            self.end = step
            if unfinished.base is not None:
                for kind, name in (("signals", SIGNALS), ("spikes", SPIKES)):
                    if (self.folder / name).exists():
                        path = self._inside / _name(kind, unfinished.first, unfinished.base)
                        (self.folder / name).replace(path)
                for name in (RUN, FIGURE, MODEL):
                    (self.folder / name).unlink(missing_ok=True)
            for rest in self._inside.glob(".partial-*"):
                rest.unlink()
            for part in unfinished.parts:
                if part[1] > step:
                    for kind in ("spikes", "signals"):
                        (self._inside / _name(kind, *part)).unlink(missing_ok=True)

    @property
    def _inside(self) -> Path:
        return self.folder / UNFINISHED

    @property
    def opened(self) -> bool:
        """Whether there is something on the disk."""
        return self.end is not None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is run."""
        return self._settings

    @property
    def first(self) -> int:
        """The step after which there are spikes."""
        return round(float(self._settings["warmup_ms"]) / float(self._settings["timestep_ms"]))

    def begin(self, settings: Mapping[str, Any], source: bytes | None) -> None:
        """Say what is run; of a new run nothing is written before the first part."""
        if self._unfinished is not None and self.checkpoint is not None:
            self._go_on(self._unfinished, self.checkpoint.step)
        else:
            self._settings, self._source = {**settings, **self.about}, source

    def add(
        self,
        step: int,
        spikes: Trains,
        signals: Signals,
        state: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
    ) -> None:
        """Write what was recorded since the last part, and the state in this step.

        Raises
        ------
        OutputError
            If the disk does not take it; all that was there before still is.
        """
        begin = self.first if self.end is None else self.end
        with self._telling():
            if not self.opened:
                self._open()
            for path in self._inside.glob(f"*-{begin:010}-*.h5"):  # of an interrupted write
                path.unlink()
            if signals:
                with whole(self._inside / _name("signals", begin, step)) as path:
                    sonata.write_signals(path, signals, packed=False)
            with whole(self._inside / _name("spikes", begin, step)) as path:
                sonata.write_part(path, spikes, float(self._settings["timestep_ms"]))
            with whole(self._inside / STATE) as path, path.open("wb") as file:
                text = json.dumps({**about, "step": step})
                np.savez(file, allow_pickle=False, **{**state, ABOUT: np.array(text)})
                file.flush()
                os.fsync(file.fileno())
            if not self.opened:  # the run that it takes the place of
                for name in (RUN, SPIKES, SIGNALS, FIGURE, MODEL):
                    (self.folder / name).unlink(missing_ok=True)
            self.end = step
            tell(self._kept)

    def _open(self) -> None:
        discard(self.folder)
        self._inside.mkdir(parents=True)
        self._lock = _locked(self._inside)
        with whole(self._inside / SETTINGS) as path:
            path.write_text(to_json(self._settings) + "\n", "utf-8", errors="backslashreplace")
        if self._source is not None:
            (self._inside / MODEL).write_bytes(self._source)

    def recorded(self) -> tuple[Trains, Signals]:
        """All that was written; it stays on the disk."""
        unfinished = Unfinished.find(self.folder)
        assert unfinished is not None
        return unfinished.spikes(0), unfinished.signals(0)

    def close(self, *, over: bool) -> None:
        """The results have been written: the parts are not needed any more.

        Parameters
        ----------
        over : bool
            Whether the run is; else its state stays.
        """
        if self.opened:
            with shielded():
                if over:
                    discard(self.folder)
                else:
                    for path in self._inside.glob("*.h5"):
                        path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kept(self) -> str:
        """A sentence that says what is there, and how to go on with it."""
        if self.end is None:
            return "Nothing of it was written"
        ms = self.end * float(self._settings["timestep_ms"]) - float(self._settings["warmup_ms"])
        return (
            f"What was simulated until then, {ms:g} ms, is in {self.folder}; go on with "
            f"portable-cortex run --resume {self.folder}"
        )

    def _kept(self) -> str:
        return f"{self.kept()}."

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            if not self.opened:
                with suppress(OSError):
                    discard(self.folder)
                    self.folder.rmdir()
            raise OutputError(
                f"the run could not be written to {self.folder}: {trouble(error)}. {self.kept()}"
            ) from error


def is_of_run(folder: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether the unfinished run that a folder has is the one with these metadata."""
    with suppress(OutputError):
        unfinished = Unfinished.find(folder)
        return unfinished is not None and unfinished.settings.get("started") == metadata.get(
            "started"
        )
    return False


def discard(folder: Path) -> None:
    """Remove the unfinished run that a folder has, if it has one."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def check_unused(folder: Path) -> None:
    """Raise `OutputError` if another process writes a run into a folder."""
    inside = folder / UNFINISHED
    if inside.is_dir():
        os.close(_locked(inside))


def _locked(inside: Path) -> int:
    """A descriptor that keeps other processes from writing this run."""
    try:
        lock = os.open(inside, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{inside} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            os.close(lock)
            raise OutputError(
                f"another process writes its run into {inside.parent}: wait until it has ended, or "
                "choose another folder"
            ) from None
    return lock  # a file system may know no locks

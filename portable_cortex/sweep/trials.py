"""Trials: many runs of one network, which is built once; each has a random drive of its own.

A sweep over seeds draws a network for each of its runs. In trials the synapses and the initial
values stay what they are, and so do stimuli: what differs is Poisson spikes and noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from ..errors import InvalidValueError, UnsupportedError
from ..experiment import Experiment
from ..host import parallel
from ..recording import RUN, Recording, check_output
from ..running import Change, Reporter, execute_trials
from .runs import FINISHED, SweepRun, alone, as_found


def run_trials(
    experiment: Experiment,
    n: int,
    folder: str | Path | None = None,
    *,
    reporter: Reporter | None = None,
    overwrite: bool = False,
    change: Change | None = None,
) -> Iterator[Recording]:
    """Run trials 1 to `n` of an experiment, one after the other in one network.

    Each begins at time 0 with the network's initial values, and has the warm-up and the duration
    of the experiment. Its drive depends on the seed and the number of the trial: trial 1 is the
    experiment itself, and any of them can be run alone (`Experiment.trial`).

    Parameters
    ----------
    experiment : Experiment
    n : int
    folder : str or Path, optional
        Gets a folder with a recording for each trial (``trial-0001``). Those that are there already
        are not run again.
    reporter : Reporter, optional
    overwrite : bool
        Run all of them again.
    change : callable, optional
        ``change(number, populations)`` before each trial, to set spike times of sources, for
        example. What it changes stays changed until it changes it again.

    Yields
    ------
    Recording
        In the order of their numbers.

    Raises
    ------
    UnsupportedError
        On a backend that cannot go back to the beginning; under mpirun.
    OutputExistsError
        If the folder holds trials with other settings.
    PortableCortexError
        For whatever keeps it from running; see `portable_cortex.errors`.

    Examples
    --------
    >>> experiment = Experiment(backend="mock", parameters={"scale": 0.02}, duration=100.0)
    >>> [len(trial.spike_trains["L4E"].times) for trial in run_trials(experiment, 3)]
    [221, 196, 216]
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InvalidValueError(f"the number of trials must be a whole number from 1, not {n!r}")
    if parallel.processes() > 1:
        raise UnsupportedError(
            f"trials run in one process, and mpirun started {parallel.processes()}: start it "
            "without mpirun"
        )
    resolved = experiment.resolved()
    waiting, runs = [*range(1, n + 1)], {}
    if folder is not None:
        folder = check_output(Path(folder), overwrite=overwrite)
        runs = {k: _trial(experiment, k, folder / f"trial-{k:04}") for k in waiting}
    with alone(folder) if folder is not None else nullcontext():
        if overwrite:
            for run in runs.values():
                (run.folder / RUN).unlink(missing_ok=True)
        done = {k for k, run in runs.items() if as_found(run).state == FINISHED}
        waiting = [k for k in waiting if k not in done]
        progress = OfTrials(reporter, len(waiting))
        with closing(execute_trials(resolved, waiting, progress, change)) as trials:
            for k in range(1, n + 1):
                if k in done:
                    yield Recording.load(runs[k].folder)
                    continue
                recording = next(trials)
                if runs:
                    recording.save(runs[k].folder, overwrite=True)
                progress.ended()
                yield recording


def _trial(experiment: Experiment, number: int, folder: Path) -> SweepRun:
    this = replace(experiment, trial=number)
    return SweepRun(folder, this, this.settings(), ())


class OfTrials:
    """Tells how far trials are, after the network has been built.

    Parameters
    ----------
    reporter : Reporter or None
    n : int
        Trials that are to come.
    """

    def __init__(self, reporter: Reporter | None, n: int) -> None:
        self._reporter, self._n, self._ended = reporter, n, 0

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """See `Reporter`."""
        if self._reporter is None:
            return
        if name in ("import", "setup", "build") or (name == "prepare" and not self._ended):
            self._reporter.phase(name, detail, fraction)
        else:
            self._tell()

    def ended(self) -> None:
        """A trial is over."""
        self._ended += 1
        self._tell()

    def _tell(self) -> None:
        if self._reporter is not None:
            done = self._ended / max(self._n, 1)
            self._reporter.phase("trials", f"{self._ended} of {self._n}", done)

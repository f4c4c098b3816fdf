"""Which pattern was it? Classification and memory of spike templates, after Haeusler & Maass 2007.

Two streams of jittered spike templates enter the network, segment after segment
(`inputs.Streams`). At the end of a trial a linear readout of one population says which template
the last segment of a stream had, which one an earlier segment had, and whether both streams had
the same one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError, OutputError, OutputExistsError
from portable_cortex.experiment import Reporter, execute_trials
from portable_cortex.host.output import whole
from portable_cortex.sweep.trials import OfTrials

from ._trials import adapted
from .inputs import Streams, of_trial, templates, with_streams
from .readout import filtered, kappa, require

F64 = NDArray[np.float64]

READOUTS = ("L23E", "L5E")
NEURONS = 1000  # of a readout, at most
TAU = 15.0  # ms, of the filter
MEMORY = 5  # segments back, at most
TRAINING = 5 / 6  # of the trials
LEAST = 24  # trials
KEEP_S = 20.0  # seconds of work that an interruption may cost


@dataclass(frozen=True)
class Templates:
    """How well readouts tell templates apart.

    Attributes
    ----------
    kappa : dict of str to dict of str to float
        Cohen's kappa by readout (a population) and question.
    trials, training : int
        All trials, and those that readouts were fitted to.
    streams : Streams
    settings : dict
        Of the experiment.
    """

    kappa: Mapping[str, Mapping[str, float]]
    trials: int
    training: int
    streams: Streams = field(default_factory=Streams)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def classify_templates(
    experiment: Experiment,
    n: int = 1800,
    *,
    streams: Streams | None = None,
    file: Path | None = None,
    reporter: Reporter | None = None,
) -> Templates:
    """Run trials and fit readouts.

    Parameters
    ----------
    experiment : Experiment
        Its duration is that of the streams; its warm-up comes before each trial.
    n : int
        Trials; the last sixth tests what was fitted to the others.
    streams : Streams, optional
    file : Path, optional
        ``.npz``: keeps what readouts see of the trials that are over; they are not run again.
    reporter : Reporter, optional

    Raises
    ------
    InvalidValueError
        For fewer than 24 trials.
    UnsupportedError
        For a network without the populations, and a backend without trials.
    OutputExistsError
        If the file is of another experiment.

    Examples
    --------
    >>> quick = Experiment(parameters={"scale": 0.02}, warmup=20.0)
    >>> found = classify_templates(quick, 30, streams=Streams(segments=2))
    >>> sorted(found.kappa), found.training
    (['L23E', 'L5E'], 25)
    """
    require()
    streams = streams or Streams()
    if isinstance(n, bool) or not isinstance(n, int) or n < LEAST:
        raise InvalidValueError(f"templates need {LEAST} trials or more, not {n!r}")
    experiment, resolved = adapted(
        experiment, streams.duration, lambda model: with_streams(model, streams)
    )
    key = json.dumps({"settings": resolved.settings(), "streams": asdict(streams)}, sort_keys=True)
    kept = _read(file, key)
    known, step = templates(streams, experiment.seed), experiment.timestep
    choices = np.random.default_rng([experiment.seed, 0xC4]).integers(
        0, 2, (n, len(known), streams.segments)
    )

    def change(number: int, populations: Mapping[str, Any]) -> None:
        rng = np.random.default_rng([experiment.seed, 0x71, number])
        trains = of_trial(streams, known, choices[number - 1], rng, experiment.warmup, step)
        for k, of_stream in enumerate(trains, start=1):
            populations[f"stream {k}"].set(spike_times=[list(times) for times in of_stream])

    done = len(next(iter(kept.values()), ()))
    seen: dict[str, list[F64]] = {label: list(rows[:n]) for label, rows in kept.items()}
    progress, saved = OfTrials(reporter, n - done), time.monotonic()
    try:
        for trial in execute_trials(resolved, range(done + 1, n + 1), progress, change):
            for label, row in _features(trial, experiment.seed).items():
                seen.setdefault(label, []).append(row)
            progress.ended()
            if time.monotonic() - saved > KEEP_S:
                _write(file, key, seen)
                saved = time.monotonic()
    finally:
        _write(file, key, seen)
    training = round(TRAINING * n)
    asked = questions(choices)
    return Templates(
        {
            label: {q: kappa(np.array(rows), right, training) for q, right in asked.items()}
            for label, rows in seen.items()
        },
        n,
        training,
        streams,
        resolved.settings(),
    )


def questions(choices: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """The right answer of each trial, by question.

    Parameters
    ----------
    choices : array of 0 and 1, shape (trials, streams, segments)

    Examples
    --------
    >>> found = questions(np.array([[[0, 1], [1, 1]], [[1, 0], [0, 1]]]))
    >>> list(found)
    ['stream 1', 'stream 2', 'both alike', 'stream 1, 1 before', 'stream 2, 1 before']
    >>> found["both alike"].tolist(), found["stream 1, 1 before"].tolist()
    ([True, False], [False, True])
    """
    last = choices[:, :, -1] == 1
    found = {f"stream {k + 1}": last[:, k] for k in range(choices.shape[1])}
    found["both alike"] = last[:, 0] == last[:, 1]
    for back in range(1, min(MEMORY, choices.shape[2] - 1) + 1):
        for k in range(choices.shape[1]):
            found[f"stream {k + 1}, {back} before"] = choices[:, k, -1 - back] == 1
    return found


def _features(trial: Recording, seed: int) -> dict[str, F64]:
    found = {}
    for label in READOUTS:
        if label in trial.spike_trains:
            n = trial.n_neurons[label]
            row = filtered(trial.spikes(label), n, trial.t_stop, TAU)
            some = np.random.default_rng([seed, 0x5A]).permutation(n)[:NEURONS]
            found[label] = row[some]
    return found


def _read(file: Path | None, key: str) -> dict[str, Any]:
    if file is None or not file.exists():
        return {}
    try:
        with np.load(file, allow_pickle=False) as content:
            kept = {name: content[name] for name in content.files}
        made_for = str(kept.pop("key"))
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{file} cannot be read: {error}") from error
    if made_for != key:
        raise OutputExistsError(
            f"{file} is of another experiment, and was kept: choose another folder, or replace it "
            "(--overwrite)"
        )
    return kept


def _write(file: Path | None, key: str, seen: Mapping[str, list[F64]]) -> None:
    if file is None or not seen:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as part, part.open("wb") as stream:
            arrays: dict[str, Any] = {label: np.array(rows) for label, rows in seen.items()}
            np.savez_compressed(stream, key=np.array(key), **arrays)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error}") from error

"""When are two inputs told apart best? Distances within and between classes, after Keup et al.

Two spike templates, each jittered from trial to trial, enter the same network under the same
background. Chaos moves trials of different templates apart, and after them those of the same one:
in between there is a time at which classes are far from each other and still narrow [1]_.

References
----------
.. [1] Keup C, Kühn T, Dahmen D, Helias M (2021). Transient chaotic dimensionality expansion by
   recurrent networks. Phys Rev X 11:021064. doi:10.1103/PhysRevX.11.021064
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError
from portable_cortex.experiment import Reporter, execute_trials
from portable_cortex.sweep.trials import OfTrials

from ._trials import adapted
from .inputs import Streams, of_trial, templates, with_streams

F64 = NDArray[np.float64]

BIN = 5.0  # ms
LEAST = 4  # trials of a class
FIRST_OF_OTHERS = 2  # number of the first trial with a background of its own


@dataclass(frozen=True)
class Separation:
    """How far classes are from each other, by time.

    Attributes
    ----------
    times : tuple of float
        Ends of bins after the input began, ms.
    within, between : tuple of float
        Mean squared distance of two trials of the same class, and of different ones, in units of
        that of trials with another background.
    separability : tuple of float
        (between - within) / (between + within).
    accuracy : tuple of float
        Part of the trials that are nearer to the mean of their own class, which they are not in.
    best : float
        When separability is largest, ms.
    trials : int
        Of each class.
    settings : dict
        Of the experiment.
    """

    times: tuple[float, ...]
    within: tuple[float, ...]
    between: tuple[float, ...]
    separability: tuple[float, ...]
    accuracy: tuple[float, ...]
    best: float
    trials: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def separate_inputs(
    experiment: Experiment,
    n: int = 20,
    *,
    duration: float = 150.0,
    streams: Streams | None = None,
    reporter: Reporter | None = None,
) -> Separation:
    """Run trials of two classes under one background, and some under others.

    Parameters
    ----------
    experiment : Experiment
    n : int
        Trials of each class.
    duration : float
        From the beginning of the input, which has one segment, ms.
    streams : Streams, optional
    reporter : Reporter, optional

    Raises
    ------
    InvalidValueError
        For fewer than four trials of a class.
    UnsupportedError
        As `classify_templates`.

    Examples
    --------
    >>> quick = Experiment(parameters={"scale": 0.02}, warmup=20.0)
    >>> found = separate_inputs(quick, 4, duration=50.0)
    >>> len(found.times), found.trials
    (10, 4)
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < LEAST:
        raise InvalidValueError(f"separation needs {LEAST} trials of a class or more, not {n!r}")
    streams = streams or Streams(segments=1)
    experiment, resolved = adapted(experiment, duration, lambda model: with_streams(model, streams))
    known = templates(streams, experiment.seed)
    # the background of trial 1 for both classes; others, with the first template, for comparison
    numbers = [1] * (2 * n) + list(range(FIRST_OF_OTHERS, FIRST_OF_OTHERS + n))
    begun = 0

    def change(_number: int, populations: Mapping[str, Any]) -> None:
        nonlocal begun
        choices = np.full((len(known), streams.segments), int(n <= begun < 2 * n))
        rng = np.random.default_rng([experiment.seed, 0x5E, begun])
        trains = of_trial(streams, known, choices, rng, experiment.warmup, experiment.timestep)
        for k, of_stream in enumerate(trains, start=1):
            populations[f"stream {k}"].set(spike_times=[list(times) for times in of_stream])
        begun += 1

    progress, seen = OfTrials(reporter, len(numbers)), []
    for trial in execute_trials(resolved, numbers, progress, change):
        seen.append(_counts(trial, duration))
        progress.ended()
    counts = np.array(seen)  # trials, bins, neurons
    times = BIN * np.arange(1, counts.shape[1] + 1)
    curves = np.array([_of_bin(counts[:, k], n) for k in range(len(times))])
    within, between, separability, accuracy = curves.T
    return Separation(
        tuple(times.tolist()),
        tuple(within.tolist()),
        tuple(between.tolist()),
        tuple(separability.tolist()),
        tuple(accuracy.tolist()),
        float(times[int(np.nanargmax(separability))]),
        n,
        resolved.settings(),
    )


def _counts(trial: Recording, duration: float) -> NDArray[np.float32]:
    """Spikes of all neurons but those of the streams, by bin, shape (bins, neurons)."""
    n_bins = round(duration / BIN)
    parts = []
    for label in trial.populations:
        if not label.startswith("stream "):
            spikes, size = trial.spikes(label), trial.n_neurons[label]
            bins = ((spikes.times - trial.t_start - 1e-6) / BIN).astype(np.int64)
            flat = np.bincount(bins * size + spikes.neurons, minlength=n_bins * size)
            parts.append(flat[: n_bins * size].reshape(n_bins, size).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _of_bin(counts: NDArray[np.float32], n: int) -> tuple[float, float, float, float]:
    """Distances within and between classes, separability and accuracy in one bin."""
    products = counts @ counts.T
    squares = np.diag(products)
    apart = squares[:, np.newaxis] + squares - 2 * products
    pairs = np.triu_indices(n, 1)
    within = float(
        np.mean([apart[:n, :n][pairs].mean(), apart[n : 2 * n, n : 2 * n][pairs].mean()])
    )
    between = float(apart[:n, n : 2 * n].mean())
    usual = float(apart[2 * n :, 2 * n :][pairs].mean())
    total = within + between
    separability = (between - within) / total if total else 0.0
    scale = usual or float("nan")
    return within / scale, between / scale, separability, _accuracy(products[: 2 * n, : 2 * n], n)


def _accuracy(products: NDArray[np.float32], n: int) -> float:
    """By the nearer mean of a class, without the trial itself; 1/2 for a tie."""
    right = 0.0
    labels = np.repeat([0, 1], n)
    for k in range(2 * n):
        distances = []
        for label in (0, 1):
            members = np.flatnonzero((labels == label) & (np.arange(2 * n) != k))
            mean = products[np.ix_(members, members)].mean()
            distances.append(mean - 2 * products[k, members].mean())
        own, other = distances[labels[k]], distances[1 - labels[k]]
        right += 0.5 if np.isclose(own, other) else float(own < other)
    return right / (2 * n)

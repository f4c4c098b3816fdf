"""What the validation knows of a recording: samples of each statistic of each population."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording, Spikes

from . import statistics as stats

FloatArray = NDArray[np.float64]

SMALLEST = 1e-6  # of which there is a logarithm
MIN_VALUES = 20  # a distribution of fewer is not tested


class Scale(NamedTuple):
    """A monotone scale on which the means of a statistic vary normally from seed to seed.

    Attributes
    ----------
    forward, inverse : callable
    """

    forward: Callable[[FloatArray], FloatArray]
    inverse: Callable[[FloatArray], FloatArray]

    def around(self, centre: float, step: float) -> float:
        """Half the width of centre ± step (both on the scale), in the units of the statistic.

        Examples
        --------
        >>> LINEAR.around(3.0, 0.5), round(LOGARITHM.around(np.log(2.0), 0.01), 4)
        (0.5, 0.02)
        """
        low, high = self.inverse(np.array([centre - step, centre + step]))
        return float(high - low) / 2


LINEAR = Scale(lambda x: x, lambda y: y)
LOGARITHM = Scale(lambda x: np.log(np.maximum(x, SMALLEST)), np.exp)  # a variance's
# A mean correlation is a variance too, over N: linear near zero, logarithmic where N ρ is large
CORRELATION = Scale(
    lambda x: np.arcsinh(stats.CORRELATION_NEURONS * x),
    lambda y: np.sinh(y) / stats.CORRELATION_NEURONS,
)


@dataclass(frozen=True)
class Statistic:
    """One statistic of spiking activity.

    Attributes
    ----------
    name : str
    title : str
        For tables and axes.
    units : str
        Empty for a pure number.
    sample : callable
        ``sample(spikes, n_neurons, t_start, t_stop) -> array``: one value a neuron, pair or bin.
    kinds : tuple of str
        What is tested of it: ``"mean"``, ``"distribution"`` or both. A statistic of one value a
        recording has no distribution.
    scale : Scale
        On which its means are compared.
    least : int
        Values that a sample needs for its mean to be compared: many, where which neurons have a
        value is left to chance.
    """

    name: str
    title: str
    units: str
    sample: Callable[[stats.Train, int, float, float], FloatArray]
    kinds: tuple[str, ...] = ("mean", "distribution")
    scale: Scale = LINEAR
    least: int = MIN_VALUES


STATISTICS: Mapping[str, Statistic] = {
    s.name: s
    for s in (
        Statistic("rate", "firing rate", "spikes/s", stats.firing_rates, least=1),
        Statistic("cv", "CV of ISI", "", lambda s, n, a, b: stats.cv_isi(s, n)),
        Statistic("lv", "local variation", "", lambda s, n, a, b: stats.local_variation(s, n)),
        Statistic("cc", "correlation", "", stats.correlations, scale=CORRELATION),
        Statistic(
            "synchrony",
            "synchrony",
            "",
            lambda s, n, a, b: np.array([stats.synchrony(s, a, b)]),
            ("mean",),
            LOGARITHM,
            least=1,
        ),
        Statistic(
            "complexity",
            "active neurons per ms",
            "",
            lambda s, n, a, b: stats.active_neurons(s, a, b).astype(float),
            ("distribution",),  # its mean is the mean rate
        ),
        Statistic(
            "centroid",
            "spectral centroid",
            "Hz",
            lambda s, n, a, b: np.array([stats.spectral_centroid(s, n, a, b)]),
            ("mean",),
            least=1,
        ),
    )
}


@dataclass(frozen=True)
class Until:
    """Spikes until a time (ms), some at a time."""

    pieces: Iterable[Spikes]
    t_stop: float

    def __iter__(self) -> Iterator[Spikes]:
        for times, neurons in self.pieces:
            last = int(np.searchsorted(times, self.t_stop + 1e-6, side="right"))
            yield Spikes(times[:last], neurons[:last])
            if last < times.size:
                return


@dataclass(frozen=True)
class Activity:
    """Samples by population and statistic, with what must be equal for a comparison.

    Attributes
    ----------
    samples : dict of (population, statistic) to array
    n_neurons : dict of str to int
    duration : float
        ms.
    has_means_only : bool
        Whether a sample is one value, the mean, and nothing is known of its distribution.
    """

    samples: Mapping[tuple[str, str], FloatArray]
    n_neurons: Mapping[str, int]
    duration: float
    has_means_only: bool = False

    @classmethod
    def pooled(cls, activities: Sequence[Activity]) -> Activity:
        """The samples of several runs of the same populations and duration together."""
        first = activities[0]
        samples = {
            key: np.concatenate([activity.samples[key] for activity in activities])
            for key in first.samples
            if all(key in activity.samples for activity in activities)
        }
        return cls(samples, first.n_neurons, first.duration)


def measure(recording: Recording, duration: float | None = None) -> Activity:
    """All statistics of all recorded populations.

    Parameters
    ----------
    recording : Recording
    duration : float, optional
        ms from the beginning of the recording to look at; all of it unless given.

    Examples
    --------
    >>> from portable_cortex import run
    >>> activity = measure(run(backend="mock", scale=0.02, duration=1000.0))
    >>> activity.samples["L4E", "rate"].shape
    (438,)
    """
    t_start = recording.t_start
    t_stop = recording.t_stop if duration is None else t_start + duration
    samples = {}
    for label in recording.spike_trains:
        spikes = Until(recording.pieces(label), t_stop)
        n = recording.n_neurons[label]
        for statistic in STATISTICS.values():
            sample = statistic.sample(spikes, n, t_start, t_stop)
            # Values that are equal but for rounding must tie, also with those of a reference,
            # which keeps float32.
            tied = sample[np.isfinite(sample)].astype(np.float32).astype(np.float64)
            samples[label, statistic.name] = tied
    return Activity(samples, dict(recording.n_neurons), t_stop - t_start)


def of_rates(recording: Recording, duration: float) -> Activity:
    """What is known of a run that computed rates and has no spikes.

    Parameters
    ----------
    recording : Recording
    duration : float
        ms, of the activity that it is compared with: rates are there for any.
    """
    samples = {(label, "rate"): np.array([rate]) for label, rate in recording.rates().items()}
    return Activity(samples, dict(recording.n_neurons), duration, has_means_only=True)

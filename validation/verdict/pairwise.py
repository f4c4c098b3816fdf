r"""Two recordings with each other, judged by how much the seeds of a reference differ.

The tests are those of `comparison`, with the spread of a difference of two in place of that of one:

* ``mean``: :math:`t = (a - b) / (\sqrt{2} s)` for the means a and b of the two and the standard
  deviation s over the n seeds of the reference; Student, n - 1 degrees of freedom less what heavy
  tails cost.
* ``distribution``: the KS distance of the two against the distances between pairs of seeds.
  Student's t for log d, one-sided. The n (n - 1) / 2 pairs share n seeds: n - 1 degrees of freedom,
  and :math:`\sqrt{1 + 2/n}` for the error of their mean, its largest value for pairs that share
  seeds.
* ``joint``: as ``mean``, for all populations together.

Two recordings of the same `shared` network are also compared neuron by neuron (`pair`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording, Spikes
from portable_cortex.recording import model_of
from portable_cortex.recording.stored import joined, neuron_counts

from ..activity import STATISTICS, Activity, Until
from .comparison import (
    NAN,
    Comparison,
    Limits,
    Verdict,
    Yardstick,
    all_tests,
    judge,
    testable,
)
from .reference import MAKE_ONE, Ensemble, Reference

FloatArray = NDArray[np.float64]

FINEST = 0.001  # ms: times that differ by less are equal
FEW = 20  # spikes of a population


def compare_recordings(
    a: Activity, b: Activity, reference: Reference | None, against: str = "the other recording"
) -> Comparison:
    """Compare the activity of two recordings.

    Parameters
    ----------
    a, b : Activity
        Measured over the same duration.
    reference : Reference or None
        Whose seeds say how much two honest recordings differ. Without one, or with one that does
        not fit, distances are given and no verdict.
    against : str
        What `b` is called in the sentences.

    Returns
    -------
    Comparison
        In its tests, ``value`` belongs to `a` and ``expected``, for the means, to `b`.

    Examples
    --------
    >>> from portable_cortex import run
    >>> from portable_cortex.validation.activity import measure
    >>> a, b = (measure(run(backend="mock", scale=0.02, duration=200.0, seed=s)) for s in (1, 2))
    >>> compare_recordings(a, b, None).verdict
    <Verdict.UNDECIDED: 2>
    """
    trouble = _trouble(a, b, reference)
    calibrated = reference if not trouble else None
    known = testable(calibrated, a.duration) if calibrated else None
    yardsticks = {}
    for population in a.n_neurons:
        for statistic in STATISTICS:
            key = population, statistic
            if key in a.samples and key in b.samples and (known is None or key in known):
                seeds = known[key] if known else None
                yardsticks[key] = _yardstick(b.samples[key], statistic, seeds)
    tests = all_tests([a], yardsticks)
    if calibrated:
        return judge(tests, against, a.duration)
    return Comparison(Verdict.UNDECIDED, trouble, tests, against, a.duration)


def _trouble(a: Activity, b: Activity, reference: Reference | None) -> str:
    """What keeps two recordings from being judged; empty if nothing does."""
    if dict(a.n_neurons) != dict(b.n_neurons):
        sizes = sum(a.n_neurons.values()), sum(b.n_neurons.values())
        return f"the two have other populations: {sizes[0]} and {sizes[1]} neurons"
    if a.duration != b.duration:
        return f"the two have other durations: {a.duration:g} and {b.duration:g} ms"
    if reference is None:
        return (
            f"no reference fits that would say how much seeds differ: distances only ({MAKE_ONE})"
        )
    if dict(a.n_neurons) != dict(reference.n_neurons):
        return f"other numbers of neurons than the reference {reference.name}: distances only"
    if a.duration not in reference.durations:
        return f"the reference {reference.name} does not have {a.duration:g} ms: distances only"
    return ""


def _yardstick(
    sample: FloatArray, statistic: str, seeds: tuple[Ensemble, Limits] | None
) -> Yardstick:
    """The second recording as what the first is compared with, and how much seeds differ."""
    mean, none = np.array([sample.mean() if sample.size else NAN]), np.empty(0)
    if seeds is None:
        return Yardstick(sample, mean, 1.0, none, none, 1.0, Limits.of(statistic))
    ensemble, limits = seeds
    weight = 2 / ensemble.means.size  # of the mean distance: its largest value
    distances = limits.usable(ensemble.pairs)
    return Yardstick(sample, mean, 1.0, ensemble.means, distances, weight, limits)


@dataclass(frozen=True)
class PairedRates:
    """Firing rates of the same neurons in two recordings.

    Attributes
    ----------
    population : str
    correlation : float
        Pearson's, over neurons; not a number where all rates are equal.
    bias : float
        Mean rate of the first recording minus that of the second, spikes/s.
    bias_error : float
        Standard error of the bias, spikes/s.
    """

    population: str
    correlation: float
    bias: float
    bias_error: float


@dataclass(frozen=True)
class Pairing:
    """Two recordings of the same network, neuron by neuron.

    Attributes
    ----------
    rates : tuple of PairedRates
    deterministic : bool
        Whether nothing random was left, so that the spikes themselves can be compared.
    first_difference : float or None
        Time of the first spike that only one of the two has, ms. None if all are equal, or if the
        input was random.
    """

    rates: tuple[PairedRates, ...]
    deterministic: bool
    first_difference: float | None


def pair(a: Recording, b: Recording) -> Pairing | None:
    """Compare two recordings neuron by neuron, if they are of the same `shared` network.

    They are if both are of the ``shared`` realisation with the same model, parameters, format of
    weights, seed, time step and warm-up; over the time that both cover.

    Returns
    -------
    Pairing or None
        None for recordings of different networks.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", scale=0.02, duration=100.0, realisation="shared", seed=3)
    >>> pairing = pair(recording, recording)
    >>> pairing.rates[0].bias, pairing.first_difference
    (0.0, None)
    """
    keys = ("realisation", "parameters", "seed", "trial", "timestep_ms", "warmup_ms")
    if a.metadata.get("realisation") != "shared" or dict(a.n_neurons) != dict(b.n_neurons):
        return None
    if any(a.metadata.get(key) != b.metadata.get(key) for key in keys):
        return None
    if any(of(a.metadata) != of(b.metadata) for of in (model_of, weight_format)):
        return None
    labels = [p for p in a.populations if p in a.spike_trains and p in b.spike_trains]
    t_stop = min(a.t_stop, b.t_stop)
    seconds = (t_stop - a.t_start) * 1e-3
    trains = {p: (Until(a.pieces(p), t_stop), Until(b.pieces(p), t_stop)) for p in labels}
    rates = tuple(_paired_rates(p, *trains[p], a.n_neurons[p], seconds) for p in labels)
    parameters = a.metadata.get("parameters")
    deterministic = (
        isinstance(parameters, dict)
        and parameters.get("drive") == "dc"
        and not parameters.get("thalamic_pulses")
    )
    if not deterministic:
        return Pairing(rates, False, None)
    timestep = float(a.metadata["timestep_ms"])
    firsts = [_first_difference(*trains[p], timestep) for p in labels]
    return Pairing(rates, True, min((t for t in firsts if t is not None), default=None))


def weight_format(metadata: Mapping[str, Any]) -> Any:
    """To what a run rounded its weights, as its metadata say."""
    options = metadata.get("options")
    return options.get("weights", "full") if isinstance(options, dict) else "full"


def first_spikes(recording: Recording) -> bytes:
    """A digest of the first spikes of each population: runs with another one are not identical."""
    digest = hashlib.sha256()
    for p in recording.spike_trains:
        piece = next(iter(recording.pieces(p)), joined([]))
        digest.update(np.rint(piece.times[:FEW] / FINEST).astype(np.int64).tobytes() + b";")
    return digest.digest()


def identical(a: Recording, b: Recording, duration: float) -> bool:
    """Whether two recordings have the same spikes, and some, in their first `duration` ms.

    Times are equal if they are in microseconds.

    Examples
    --------
    >>> from portable_cortex import run
    >>> a, b = (run(backend="mock", scale=0.02, duration=200.0, seed=s) for s in (1, 2))
    >>> identical(a, a, 200.0), identical(a, b, 200.0)
    (True, False)
    """
    if dict(a.n_neurons) != dict(b.n_neurons) or a.t_start != b.t_start:
        return False
    if a.spike_trains.keys() != b.spike_trains.keys():
        return False
    t_stop = a.t_start + duration
    some = False
    for p in a.spike_trains:
        trains = (Until(a.pieces(p), t_stop), Until(b.pieces(p), t_stop))
        for first, second in _together(*trains, FINEST):
            some |= first.times.size > 0
            if first.times.size != second.times.size:
                return False
            if first_difference(first, second, FINEST) is not None:
                return False
    return some


def first_difference(a: Spikes, b: Spikes, timestep: float) -> float | None:
    """Time of the first spike that only one of the two has, ms; None if they are equal.

    Times are compared on the grid of `timestep` ms.

    Examples
    --------
    >>> a = Spikes(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]))
    >>> b = Spikes(np.array([1.0, 2.1, 3.0]), np.array([0, 1, 0]))
    >>> first_difference(a, b, 0.1)
    2.0
    """
    stride = int(max(a.neurons.max(initial=0), b.neurons.max(initial=0))) + 1
    first, second = (
        np.rint(s.times / timestep).astype(np.int64) * stride + s.neurons for s in (a, b)
    )
    only = np.setxor1d(first, second)
    return round(float(only[0] // stride) * timestep, 9) if only.size else None


def _first_difference(a: Iterable[Spikes], b: Iterable[Spikes], timestep: float) -> float | None:
    """See `first_difference`."""
    found = (first_difference(*both, timestep) for both in _together(a, b, timestep))
    return next((time for time in found if time is not None), None)


def _together(
    a: Iterable[Spikes], b: Iterable[Spikes], timestep: float
) -> Iterator[tuple[Spikes, Spikes]]:
    """Spikes of two trains in the same parts of time, which end between two points of the grid."""
    sources, rest, open_ = (iter(a), iter(b)), [joined([]), joined([])], [True, True]
    while any(open_) or any(spikes.times.size for spikes in rest):
        steps = [np.rint(spikes.times / timestep) for spikes in rest]
        # more may come in the last step of what is there
        ends = [steps[k][-1] if steps[k].size else -np.inf for k in (0, 1) if open_[k]]
        end = min(ends, default=np.inf)
        n = [int(np.searchsorted(steps[k], end)) for k in (0, 1)]
        if any(n):
            yield _slice(rest[0], 0, n[0]), _slice(rest[1], 0, n[1])
        for k in (0, 1):
            rest[k] = _slice(rest[k], n[k], None)
            if open_[k] and (not steps[k].size or steps[k][-1] == end):
                more = next(sources[k], None)
                open_[k] = more is not None
                rest[k] = joined([rest[k], *([] if more is None else [more])])


def _slice(spikes: Spikes, begin: int, end: int | None) -> Spikes:
    return Spikes(spikes.times[begin:end], spikes.neurons[begin:end])


def _paired_rates(
    population: str, a: Iterable[Spikes], b: Iterable[Spikes], n: int, seconds: float
) -> PairedRates:
    rates_a, rates_b = neuron_counts(a, n) / seconds, neuron_counts(b, n) / seconds
    difference = rates_a - rates_b
    varies = rates_a.std() > 0 and rates_b.std() > 0
    return PairedRates(
        population,
        float(np.corrcoef(rates_a, rates_b)[0, 1]) if varies else NAN,
        float(difference.mean()),
        float(difference.std(ddof=1) / np.sqrt(n)) if n > 1 else NAN,
    )

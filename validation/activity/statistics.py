"""Statistics of the spiking activity of one population: small pure functions of flat arrays.

Each takes `Spikes` (times in ms, neuron indices, sorted by time), the number of neurons and the
interval of the recording. In the place of the spikes there may be an iterable of pieces that follow
each other and can be gone through again: then they need not be in memory together, and all numbers
are the same, bit by bit. They agree with Elephant's functions of the same name, which work on one
Neo object a neuron, and with these arrays take seconds instead of minutes at 77,169 neurons;
``tests/test_statistics.py`` holds the two against each other.

Examples
--------
>>> import numpy as np
>>> from portable_cortex import Spikes
>>> spikes = Spikes(np.array([10.0, 20.0, 20.0, 40.0]), np.array([0, 0, 1, 0]))
>>> firing_rates(spikes, 3, 0.0, 100.0)
array([30., 10.,  0.])
>>> cv_isi(spikes, 3)
array([0.33333333])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from portable_cortex.recording import Spikes
from portable_cortex.recording.stored import LastValues, neuron_counts

FloatArray = NDArray[np.float64]
Train = Spikes | Iterable[Spikes]

CORRELATION_BIN = 2.0  # ms
CORRELATION_NEURONS = 250
SYNCHRONY_BIN = 3.0  # ms
SPECTRUM_BIN = 1.0  # ms
LOWEST_FREQUENCY = 2.0  # Hz: below, a spectrum of half-second windows says little
COMPLEXITY_BIN = 1.0  # ms
BLOCK = 2**14  # bins of which correlations are taken at once
# The edges of bins lie between the points of the time grid, half a step of 0.1 ms below them, so
# that rounding cannot move a spike into another bin; where the grid is finer, rounding of the
# times is allowed for.
OFFSET = 0.05 - 1e-6
_STRIDE = 2**31  # more than any number of neurons


def _pieces(spikes: Train) -> Iterable[Spikes]:
    return [spikes] if isinstance(spikes, Spikes) else spikes


def firing_rates(spikes: Train, n_neurons: int, t_start: float, t_stop: float) -> FloatArray:
    """Mean firing rate of each neuron, spikes/s, shape (n_neurons,).

    As ``elephant.statistics.mean_firing_rate``.
    """
    return neuron_counts(_pieces(spikes), n_neurons) / ((t_stop - t_start) * 1e-3)


def _intervals(spikes: Train, n_neurons: int) -> Iterator[tuple[FloatArray, NDArray[np.int64]]]:
    """Interspike intervals, piece by piece, by neuron and time, and the neuron of each."""
    times = LastValues(n_neurons)
    for piece in _pieces(spikes):
        order = np.argsort(piece.neurons, kind="stable")
        neurons = piece.neurons[order]
        intervals = piece.times[order] - times.before(piece.times[order], neurons)
        known = ~np.isnan(intervals)
        yield intervals[known], neurons[known]


def cv_isi(spikes: Train, n_neurons: int) -> FloatArray:
    """Coefficient of variation of the interspike intervals of each neuron with two or more.

    Standard deviation (of the sample itself) over mean, as ``elephant.statistics.cv``. It depends
    on the length of the recording: compare equal lengths only.

    Returns
    -------
    array, shape (neurons with three spikes or more,)
    """
    n, total, squares = np.zeros(n_neurons, np.int64), np.zeros(n_neurons), np.zeros(n_neurons)
    for intervals, neurons in _intervals(spikes, n_neurons):
        n += np.bincount(neurons, minlength=n_neurons)
        np.add.at(total, neurons, intervals)  # one after the other: the sum of all pieces at once
    some = n >= 2
    mean = np.divide(total, n, out=np.zeros(n_neurons), where=n > 0)
    for intervals, neurons in _intervals(spikes, n_neurons):
        np.add.at(squares, neurons, (intervals - mean[neurons]) ** 2)
    deviation = np.sqrt(squares[some] / n[some])
    # of spikes at one and the same time there is no such number
    result: FloatArray = np.full(deviation.shape, np.nan)
    np.divide(deviation, mean[some], out=result, where=mean[some] > 0)
    return result


def local_variation(spikes: Train, n_neurons: int) -> FloatArray:
    r"""Local variation of the interspike intervals of each neuron with two or more.

    :math:`3/(n-1) \sum ((I_i - I_{i+1})/(I_i + I_{i+1}))^2` (Shinomoto et al. 2003,
    doi:10.1162/089976603322518759), as ``elephant.statistics.lv``.

    Returns
    -------
    array, shape (neurons with three spikes or more,)
    """
    n, total, last = np.zeros(n_neurons, np.int64), np.zeros(n_neurons), LastValues(n_neurons)
    for intervals, neurons in _intervals(spikes, n_neurons):
        before = last.before(intervals, neurons)
        pair = ~np.isnan(before)
        first, second = before[pair], intervals[pair]
        both = first + second
        terms = np.divide(first - second, both, out=np.zeros(both.size), where=both > 0) ** 2
        n += np.bincount(neurons[pair], minlength=n_neurons)
        np.add.at(total, neurons[pair], terms)
    result: FloatArray = 3.0 * total[n > 0] / n[n > 0]
    return result


def _bins(
    times: FloatArray, t_start: float, t_stop: float, width: float
) -> tuple[NDArray[np.int64], int]:
    """Bin of each spike in (t_start, t_stop], whole bins only, and their number."""
    bins = ((times - t_start - OFFSET) / width).astype(np.int64)
    return bins, _n_bins(t_start, t_stop, width)


def _n_bins(t_start: float, t_stop: float, width: float) -> int:
    return int((t_stop - t_start) / width + 1e-9)


def correlations(
    spikes: Train,
    n_neurons: int,
    t_start: float,
    t_stop: float,
    *,
    n_sample: int = CORRELATION_NEURONS,
    bin_width: float = CORRELATION_BIN,
) -> FloatArray:
    """Pearson correlation of the spike counts of all pairs of a sample of active neurons.

    As ``elephant.spike_train_correlation.correlation_coefficient``. The sample are the first
    neurons that fired: neurons of a population are exchangeable.

    Returns
    -------
    array, shape (m (m - 1) / 2,)
        For m sampled neurons, at most `n_sample`.
    """
    active = np.flatnonzero(neuron_counts(_pieces(spikes), n_neurons))[:n_sample]
    column = np.full(n_neurons, -1)
    column[active] = np.arange(active.size)
    n_bins = _n_bins(t_start, t_stop, bin_width)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for piece in _pieces(spikes):
        bins, _ = _bins(piece.times, t_start, t_stop, bin_width)
        keep = (column[piece.neurons] >= 0) & (bins < n_bins)
        found.append((column[piece.neurons[keep]], bins[keep]))
    rows, bins = (np.concatenate(part) for part in zip(*found, strict=True))
    total = np.zeros(active.size, np.int64)
    products = np.zeros((active.size, active.size))
    for begin in range(0, n_bins, BLOCK):
        width = min(BLOCK, n_bins - begin)
        own = slice(*np.searchsorted(bins, (begin, begin + width)))
        cells = rows[own] * width + bins[own] - begin
        counts = np.bincount(cells, minlength=active.size * width).reshape(-1, width)
        total += counts.sum(axis=1)
        whole = counts.astype(np.float32)  # whole numbers: their products add up without rounding
        products += whole @ whole.T
    mean = total / n_bins
    covariance = products / n_bins - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    use = deviation > 0
    matrix = covariance[np.ix_(use, use)] / np.outer(deviation[use], deviation[use])
    result: FloatArray = matrix[np.triu_indices(int(use.sum()), k=1)]
    return result


def population_counts(
    spikes: Train, t_start: float, t_stop: float, bin_width: float
) -> NDArray[np.int64]:
    """Spikes of the population in each bin, as ``elephant.statistics.time_histogram``."""
    counts = np.zeros(_n_bins(t_start, t_stop, bin_width), np.int64)
    for piece in _pieces(spikes):
        bins, n_bins = _bins(piece.times, t_start, t_stop, bin_width)
        counts += np.bincount(bins[bins < n_bins], minlength=n_bins)
    return counts


def synchrony(spikes: Train, t_start: float, t_stop: float) -> float:
    """Variance over mean of the population's spike counts in bins of 3 ms.

    It grows with the number of neurons: compare equal numbers only. Not a number without spikes.
    """
    counts = population_counts(spikes, t_start, t_stop, SYNCHRONY_BIN)
    mean = counts.mean()
    return float(counts.var() / mean) if mean > 0 else float("nan")


class Spectrum(NamedTuple):
    """Power spectral density of a population's rate.

    Attributes
    ----------
    frequencies : array, Hz
    power : array, (spikes/s)^2 / Hz
    """

    frequencies: FloatArray
    power: FloatArray

    def peaks(self, n: int = 3) -> list[tuple[float, float]]:
        """The `n` most prominent peaks above 2 Hz: frequency (Hz) and power, largest first."""
        from scipy.signal import find_peaks

        indices, properties = find_peaks(np.log(np.maximum(self.power, 1e-300)), prominence=0.5)
        order = np.argsort(-properties["prominences"])
        peaks = [(float(self.frequencies[i]), float(self.power[i])) for i in indices[order]]
        return [peak for peak in peaks if peak[0] > LOWEST_FREQUENCY][:n]


def power_spectrum(spikes: Train, n_neurons: int, t_start: float, t_stop: float) -> Spectrum:
    """Power spectrum of the population's mean rate, by Welch's method.

    Bins of 1 ms, Hann windows of 512 ms that overlap by half, as ``elephant.spectral.welch_psd``.
    """
    from scipy.signal import welch

    counts = population_counts(spikes, t_start, t_stop, SPECTRUM_BIN)
    rate = counts / (n_neurons * SPECTRUM_BIN * 1e-3)
    length = min(512, rate.size)
    frequencies, power = welch(rate, fs=1e3 / SPECTRUM_BIN, nperseg=length)
    return Spectrum(frequencies, power)


def spectral_centroid(spikes: Train, n_neurons: int, t_start: float, t_stop: float) -> float:
    r"""Centre of mass of the power spectrum above 2 Hz, Hz: :math:`\sum f S(f) / \sum S(f)`.

    It moves with the frequencies of the population's oscillations, which synaptic delays set, and
    with their share of the power. Not a number without spikes.
    """
    if not any(piece.times.size for piece in _pieces(spikes)):
        return float("nan")
    spectrum = power_spectrum(spikes, n_neurons, t_start, t_stop)
    seen = spectrum.frequencies > LOWEST_FREQUENCY
    power = spectrum.power[seen]
    total = float(power.sum())
    return float(spectrum.frequencies[seen] @ power) / total if total > 0 else float("nan")


def active_neurons(spikes: Train, t_start: float, t_stop: float) -> NDArray[np.int64]:
    """Number of neurons that fire in each bin of 1 ms, shape (bins,)."""
    active = np.zeros(_n_bins(t_start, t_stop, COMPLEXITY_BIN), np.int64)
    last, seen = -1, np.empty(0, np.int64)  # the last bin until now, and who is active in it
    for piece in _pieces(spikes):
        bins, n_bins = _bins(piece.times, t_start, t_stop, COMPLEXITY_BIN)
        keep = bins < n_bins
        once = np.unique(bins[keep] * _STRIDE + piece.neurons[keep])  # a neuron counts once a bin
        if not once.size:
            continue
        n = np.searchsorted(once, (last + 1) * _STRIDE)
        new = np.append(np.setdiff1d(once[:n], seen), once[n:])
        active += np.bincount(new // _STRIDE, minlength=n_bins)
        seen = np.append(seen if n == once.size else [], new).astype(np.int64)
        last = int(once[-1] // _STRIDE)
        seen = seen[seen >= last * _STRIDE]
    return active


def complexity(spikes: Train, t_start: float, t_stop: float) -> FloatArray:
    """Distribution of the number of neurons that are active in the same bin of 1 ms.

    Gruen et al. 2008 (doi:10.1007/978-0-387-71078-5_3), as ``elephant.statistics.Complexity.pdf``.

    Returns
    -------
    array, shape (largest number + 1,)
        Probability of each number.
    """
    active = active_neurons(spikes, t_start, t_stop)
    return np.bincount(active) / active.size

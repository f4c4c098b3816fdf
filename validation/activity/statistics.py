"""Statistics of the spiking activity of one population: small pure functions of flat arrays.

Each takes `Spikes` (times in ms, neuron indices, sorted by time), the number of neurons and the
interval of the recording. They agree with Elephant's functions of the same name, which work on one
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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from portable_cortex.recording import Spikes

FloatArray = NDArray[np.float64]

CORRELATION_BIN = 2.0  # ms
CORRELATION_NEURONS = 250
SYNCHRONY_BIN = 3.0  # ms
SPECTRUM_BIN = 1.0  # ms
LOWEST_FREQUENCY = 2.0  # Hz: below, a spectrum of half-second windows says little
COMPLEXITY_BIN = 1.0  # ms
# The edges of bins lie between the points of the time grid, half a step of 0.1 ms below them, so
# that rounding cannot move a spike into another bin.
_OFFSET = 0.05


def firing_rates(spikes: Spikes, n_neurons: int, t_start: float, t_stop: float) -> FloatArray:
    """Mean firing rate of each neuron, spikes/s, shape (n_neurons,).

    As ``elephant.statistics.mean_firing_rate``.
    """
    counts = np.bincount(spikes.neurons, minlength=n_neurons)
    return counts / ((t_stop - t_start) * 1e-3)


def _intervals(spikes: Spikes, n_neurons: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Interspike intervals, ordered by neuron and time, and the neuron of each."""
    order = np.argsort(spikes.neurons, kind="stable")
    times, neurons = spikes.times[order], spikes.neurons[order]
    same = neurons[1:] == neurons[:-1]
    return np.diff(times)[same], neurons[1:][same]


def cv_isi(spikes: Spikes, n_neurons: int) -> FloatArray:
    """Coefficient of variation of the interspike intervals of each neuron with two or more.

    Standard deviation (of the sample itself) over mean, as ``elephant.statistics.cv``. It depends
    on the length of the recording: compare equal lengths only.

    Returns
    -------
    array, shape (neurons with three spikes or more,)
    """
    intervals, neurons = _intervals(spikes, n_neurons)
    n = np.bincount(neurons, minlength=n_neurons)
    some = n >= 2
    total = np.bincount(neurons, weights=intervals, minlength=n_neurons)
    mean = np.divide(total, n, out=np.zeros(n_neurons), where=n > 0)
    squares = np.bincount(neurons, weights=(intervals - mean[neurons]) ** 2, minlength=n_neurons)
    deviation = np.sqrt(squares[some] / n[some])
    # of spikes at one and the same time there is no such number
    result: FloatArray = np.full(deviation.shape, np.nan)
    np.divide(deviation, mean[some], out=result, where=mean[some] > 0)
    return result


def local_variation(spikes: Spikes, n_neurons: int) -> FloatArray:
    r"""Local variation of the interspike intervals of each neuron with two or more.

    :math:`3/(n-1) \sum ((I_i - I_{i+1})/(I_i + I_{i+1}))^2` (Shinomoto et al. 2003,
    doi:10.1162/089976603322518759), as ``elephant.statistics.lv``.

    Returns
    -------
    array, shape (neurons with three spikes or more,)
    """
    intervals, neurons = _intervals(spikes, n_neurons)
    pair = neurons[1:] == neurons[:-1]
    first, second = intervals[:-1][pair], intervals[1:][pair]
    both = first + second
    terms = np.divide(first - second, both, out=np.zeros(both.size), where=both > 0) ** 2
    n = np.bincount(neurons[1:][pair], minlength=n_neurons)
    total = np.bincount(neurons[1:][pair], weights=terms, minlength=n_neurons)
    result: FloatArray = 3.0 * total[n > 0] / n[n > 0]
    return result


def _bins(
    times: FloatArray, t_start: float, t_stop: float, width: float
) -> tuple[NDArray[np.int64], int]:
    """Bin of each spike in (t_start, t_stop], whole bins only, and their number."""
    n_bins = int((t_stop - t_start) / width + 1e-9)
    return ((times - t_start - _OFFSET) / width).astype(np.int64), n_bins


def correlations(
    spikes: Spikes,
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
    active = np.unique(spikes.neurons)[:n_sample]
    column = np.full(n_neurons, -1)
    column[active] = np.arange(active.size)
    bins, n_bins = _bins(spikes.times, t_start, t_stop, bin_width)
    keep = (column[spikes.neurons] >= 0) & (bins < n_bins)
    cells = column[spikes.neurons[keep]] * n_bins + bins[keep]
    counts = np.bincount(cells, minlength=active.size * n_bins).reshape(-1, n_bins)
    mean = counts.mean(axis=1)
    whole = counts.astype(np.float32)  # whole numbers: their products add up without rounding
    covariance = (whole @ whole.T).astype(np.float64) / n_bins - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    use = deviation > 0
    matrix = covariance[np.ix_(use, use)] / np.outer(deviation[use], deviation[use])
    result: FloatArray = matrix[np.triu_indices(int(use.sum()), k=1)]
    return result


def population_counts(
    spikes: Spikes, t_start: float, t_stop: float, bin_width: float
) -> NDArray[np.int64]:
    """Spikes of the population in each bin, as ``elephant.statistics.time_histogram``."""
    bins, n_bins = _bins(spikes.times, t_start, t_stop, bin_width)
    return np.bincount(bins[bins < n_bins], minlength=n_bins)


def synchrony(spikes: Spikes, t_start: float, t_stop: float) -> float:
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


def power_spectrum(spikes: Spikes, n_neurons: int, t_start: float, t_stop: float) -> Spectrum:
    """Power spectrum of the population's mean rate, by Welch's method.

    Bins of 1 ms, Hann windows of 512 ms that overlap by half, as ``elephant.spectral.welch_psd``.
    """
    from scipy.signal import welch

    counts = population_counts(spikes, t_start, t_stop, SPECTRUM_BIN)
    rate = counts / (n_neurons * SPECTRUM_BIN * 1e-3)
    length = min(512, rate.size)
    frequencies, power = welch(rate, fs=1e3 / SPECTRUM_BIN, nperseg=length)
    return Spectrum(frequencies, power)


def spectral_centroid(spikes: Spikes, n_neurons: int, t_start: float, t_stop: float) -> float:
    r"""Centre of mass of the power spectrum above 2 Hz, Hz: :math:`\sum f S(f) / \sum S(f)`.

    It moves with the frequencies of the population's oscillations, which synaptic delays set, and
    with their share of the power. Not a number without spikes.
    """
    if spikes.times.size == 0:
        return float("nan")
    spectrum = power_spectrum(spikes, n_neurons, t_start, t_stop)
    seen = spectrum.frequencies > LOWEST_FREQUENCY
    power = spectrum.power[seen]
    total = float(power.sum())
    return float(spectrum.frequencies[seen] @ power) / total if total > 0 else float("nan")


def active_neurons(spikes: Spikes, t_start: float, t_stop: float) -> NDArray[np.int64]:
    """Number of neurons that fire in each bin of 1 ms, shape (bins,)."""
    bins, n_bins = _bins(spikes.times, t_start, t_stop, COMPLEXITY_BIN)
    keep = bins < n_bins
    size = int(spikes.neurons.max(initial=0)) + 1
    once = np.unique(bins[keep] * size + spikes.neurons[keep])  # a neuron counts once a bin
    return np.bincount(once // size, minlength=n_bins)


def complexity(spikes: Spikes, t_start: float, t_stop: float) -> FloatArray:
    """Distribution of the number of neurons that are active in the same bin of 1 ms.

    Gruen et al. 2008 (doi:10.1007/978-0-387-71078-5_3), as ``elephant.statistics.Complexity.pdf``.

    Returns
    -------
    array, shape (largest number + 1,)
        Probability of each number.
    """
    active = active_neurons(spikes, t_start, t_stop)
    return np.bincount(active) / active.size

"""Statistics: against Elephant, one Neo object a neuron, and against processes of known answer."""

from __future__ import annotations

import elephant.spike_train_correlation
import elephant.statistics
import neo
import numpy as np
import pytest
import quantities as pq
from elephant.conversion import BinnedSpikeTrain
from hypothesis import given, settings
from hypothesis import strategies as st

from portable_cortex.recording import Spikes, by_time
from portable_cortex.validation.activity import statistics

T_START, T_STOP, N = 500.0, 3500.0, 30


def poisson(rate=10.0, seed=1, n=N, t_start=T_START, t_stop=T_STOP):
    """Poisson spikes on a grid of 0.1 ms."""
    rng = np.random.default_rng(seed)
    steps = round((t_stop - t_start) / 0.1)
    number = rng.poisson(rate * n * (t_stop - t_start) * 1e-3)
    keys = np.unique(rng.integers(1, steps + 1, number) * n + rng.integers(0, n, number))
    return by_time(np.round(t_start + (keys // n) * 0.1, 9), keys % n)


def trains(spikes, shift=0.0):
    """The same as Neo objects; `shift` takes spikes from the edges of bins."""
    return [
        neo.SpikeTrain(
            (spikes.times[spikes.neurons == i] - shift) * pq.ms,
            t_start=T_START * pq.ms,
            t_stop=T_STOP * pq.ms,
        )
        for i in range(N)
    ]


@pytest.fixture(scope="module", params=[0.5, 10.0, 40.0], ids=lambda rate: f"{rate}/s")
def spikes(request):
    return poisson(request.param)


def test_rates_are_elephants(spikes):
    theirs = [
        float(elephant.statistics.mean_firing_rate(t).rescale("1/s").magnitude)
        for t in trains(spikes)
    ]
    np.testing.assert_allclose(statistics.firing_rates(spikes, N, T_START, T_STOP), theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (statistics.cv_isi, elephant.statistics.cv),
        (statistics.local_variation, elephant.statistics.lv),
    ],
)
def test_interval_statistics_are_elephants(spikes, ours, theirs):
    intervals = [elephant.statistics.isi(t).magnitude for t in trains(spikes)]
    expected = [theirs(i) for i in intervals if len(i) >= 2]
    np.testing.assert_allclose(ours(spikes, N), expected, rtol=1e-9)


def test_correlations_are_elephants(spikes):
    fired = [t for t in trains(spikes, shift=0.05) if len(t)]
    binned = BinnedSpikeTrain(
        fired, bin_size=2.0 * pq.ms, t_start=T_START * pq.ms, t_stop=T_STOP * pq.ms
    )
    matrix = elephant.spike_train_correlation.correlation_coefficient(binned)
    expected = matrix[np.triu_indices(len(fired), k=1)]
    ours = statistics.correlations(spikes, N, T_START, T_STOP)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_histogram_and_complexity_are_elephants(spikes):
    shifted = trains(spikes, shift=0.05)
    histogram = elephant.statistics.time_histogram(
        shifted, bin_size=3.0 * pq.ms, t_start=T_START * pq.ms, t_stop=T_STOP * pq.ms
    )
    counts = statistics.population_counts(spikes, T_START, T_STOP, 3.0)
    np.testing.assert_array_equal(counts, histogram.magnitude.ravel())
    pdf = elephant.statistics.Complexity(shifted, bin_size=1.0 * pq.ms).pdf().magnitude.ravel()
    ours = statistics.complexity(spikes, T_START, T_STOP)
    np.testing.assert_allclose(ours, pdf[: ours.size], atol=1e-9)
    assert pdf[ours.size :].sum() == pytest.approx(0, abs=1e-9)


def test_spectrum_is_elephants(spikes):
    from elephant.spectral import welch_psd

    counts = statistics.population_counts(spikes, T_START, T_STOP, 1.0)
    rate = neo.AnalogSignal(counts / (N * 1e-3), units="dimensionless", sampling_period=1.0 * pq.ms)
    frequencies, power = welch_psd(rate, len_segment=512, overlap=0.5)
    ours = statistics.power_spectrum(spikes, N, T_START, T_STOP)
    np.testing.assert_allclose(ours.frequencies, frequencies.rescale("Hz").magnitude)
    theirs = np.asarray(power.magnitude).ravel()
    np.testing.assert_allclose(ours.power, theirs, rtol=1e-6, atol=1e-12)


def test_poisson_has_the_statistics_of_a_poisson_process():
    spikes = poisson(rate=30.0, n=200, t_stop=20_500.0)
    settings_ = (200, 500.0, 20_500.0)
    assert statistics.firing_rates(spikes, *settings_).mean() == pytest.approx(30, rel=0.02)
    assert statistics.cv_isi(spikes, 200).mean() == pytest.approx(1, abs=0.02)
    assert statistics.local_variation(spikes, 200).mean() == pytest.approx(1, abs=0.03)
    assert statistics.correlations(spikes, *settings_).mean() == pytest.approx(0, abs=1e-3)
    assert statistics.synchrony(spikes, *settings_[1:]) == pytest.approx(1, abs=0.05)


def test_a_common_rhythm_is_seen():
    rng = np.random.default_rng(2)
    times = np.arange(500.0, 10_500.0, 0.1)
    rate = 5.0 * (1 + np.sin(2 * np.pi * 40.0 * times * 1e-3))
    counts = rng.poisson(rate * 1e-4 * 200)
    moments = np.repeat(times + 0.1, counts)
    spikes = by_time(np.round(moments, 9), rng.integers(0, 200, moments.size))
    ((frequency, _), *_) = statistics.power_spectrum(spikes, 200, 500.0, 10_500.0).peaks()
    assert frequency == pytest.approx(40, abs=2)
    assert statistics.synchrony(spikes, 500.0, 10_500.0) > 1.1
    flat = poisson(rate=5.0, n=200, t_stop=10_500.0)
    centroid, of_flat = (
        statistics.spectral_centroid(s, 200, 500.0, 10_500.0) for s in (spikes, flat)
    )
    assert of_flat == pytest.approx(251, abs=5)  # white noise: the middle of 2 to 500 Hz
    assert 40 < centroid < of_flat - 10  # the rhythm draws it down
    assert statistics.correlations(spikes, 200, 500.0, 10_500.0).mean() > 1e-3


def test_regular_spikes_do_not_vary():
    spikes = by_time(np.arange(510.0, 3500.0, 10.0), np.zeros(299, dtype=int))
    np.testing.assert_allclose(statistics.cv_isi(spikes, 5), [0.0], atol=1e-9)
    np.testing.assert_allclose(statistics.local_variation(spikes, 5), [0.0], atol=1e-9)


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 8), st.integers(0, 2**31))
def test_any_few_spikes_are_taken(n_spikes, n, seed):
    rng = np.random.default_rng(seed)
    keys = np.unique(rng.integers(1, 300, n_spikes) * n + rng.integers(0, n, n_spikes))
    spikes = by_time((keys // n) * 0.1, keys % n)
    assert statistics.firing_rates(spikes, n, 0.0, 30.0).size == n
    eligible = (np.bincount(spikes.neurons, minlength=n) >= 3).sum()
    assert statistics.cv_isi(spikes, n).size == eligible
    assert statistics.local_variation(spikes, n).size == eligible
    cc = statistics.correlations(spikes, n, 0.0, 30.0)
    assert np.all(np.abs(cc) <= 1 + 1e-6)
    assert statistics.complexity(spikes, 0.0, 30.0).sum() == pytest.approx(1)
    assert statistics.population_counts(spikes, 0.0, 30.0, 3.0).sum() == spikes.times.size


def test_nothing_at_all():
    none = Spikes(np.empty(0), np.empty(0, dtype=np.int64))
    assert statistics.firing_rates(none, 3, 0.0, 100.0).tolist() == [0, 0, 0]
    assert statistics.cv_isi(none, 3).size == 0
    assert statistics.correlations(none, 3, 0.0, 100.0).size == 0
    assert np.isnan(statistics.synchrony(none, 0.0, 100.0))
    assert np.isnan(statistics.spectral_centroid(none, 3, 0.0, 100.0))


@pytest.mark.parametrize("step", [0.0125, 0.025, 0.05, 0.1, 1.0])
def test_bins_do_not_depend_on_how_times_are_rounded(step):
    """The same spikes after another warm-up are in the same bins."""
    rng = np.random.default_rng(1)
    steps = np.unique(rng.integers(1, round(2000.0 / step) + 1, 2000))
    neurons = rng.integers(0, 40, steps.size)
    first, *others = (
        statistics.active_neurons(
            Spikes(np.round(start + steps * step, 9), neurons), start, start + 2000.0
        )
        for start in (0.0, 500.0, 333.0)
    )
    for other in others:
        np.testing.assert_array_equal(first, other)

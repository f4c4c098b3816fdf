"""The isolated area V1: its numbers, what theory says of it, and that it fires so."""

import numpy as np
import pytest

import portable_cortex
from portable_cortex.models.loader import load_model
from portable_cortex.models.parameters import PD14, V1
from portable_cortex.models.scaling import mean_weights, scale
from portable_cortex.pynn.description import describe
from portable_cortex.theory import predict
from portable_cortex.validation.activity.statistics import power_spectrum

# mean-field rates by NNMT's functions, spikes/s, from external input alone
MEAN_FIELD = [0.231, 1.772, 2.478, 2.888, 2.850, 4.317, 2.078, 4.232]


def test_numbers_of_the_area():
    found = describe(load_model("v1_isolated"), {"scale": 1.0})
    cells = [c for c in found.populations if not c.is_source]
    assert sum(c.size for c in cells) == sum(V1.sizes) == 197_937  # 197,936 before rounding
    local = [s for s in found.synapses if not found.populations[s.source].is_source]
    total = sum(s.in_degree.mean * found.populations[s.target].size for s in local)
    assert total == pytest.approx(3.81e8, rel=2e-3)
    place = {k: i for i, k in enumerate(found.neurons)}
    for s in local:
        i, j = place[s.target], place[s.source]
        assert s.in_degree.mean == pytest.approx(V1.in_degrees[i][j], abs=1e-3)
    weights = mean_weights(V1)
    assert weights[0, 1] == pytest.approx(-11 * weights[0, 0])
    assert weights[0, 2] == pytest.approx(2 * weights[0, 0])
    assert weights[0, 0] == pytest.approx(mean_weights(PD14)[0, 0])


def test_a_part_of_it_has_the_mean_input_of_the_whole():
    whole, part = scale(V1), scale(V1, 0.1, 0.1)
    rates = np.array(V1.full_rates)

    def mean(scaled):
        in_degrees = scaled.synapses / np.array(scaled.sizes)[:, np.newaxis]
        spikes = (scaled.weights * in_degrees) @ rates
        spikes = spikes + scaled.weight_ext * np.array(scaled.k_ext) * V1.rate_ext
        return 1e-3 * V1.neuron.tau_syn * spikes + scaled.dc

    np.testing.assert_allclose(mean(part), mean(whole), rtol=0.02, atol=2e-3)


@pytest.fixture(scope="module")
def theory():
    return predict("v1_isolated", scale=1.0)


def test_theory_has_its_rates_and_not_the_microcircuits_oscillation(theory):
    np.testing.assert_allclose(list(theory.rates.values()), MEAN_FIELD, rtol=0.12)
    near = {peak.frequency: peak.distance for peak in theory.spectra.peaks()}
    assert min(near.values()) == pytest.approx(0.213, abs=0.03)
    assert all(f > 200 for f, distance in near.items() if distance < 0.5)
    of_microcircuit = predict("pd14", scale=1.0).spectra.peaks()
    assert any(60 < peak.frequency < 90 and peak.distance < 0.15 for peak in of_microcircuit)


def test_it_fires_as_theory_says(theory):
    """Four tenths, with what they lost replaced, on the built-in engine; less fire less."""
    run = portable_cortex.run(model="v1_isolated", scale=0.4, warmup=300.0, duration=500.0)
    for label, expected in theory.rates.items():
        assert run.rates()[label] == pytest.approx(expected, rel=0.35, abs=0.25)
    assert "at scale 0.4 fire less" in run.metadata["statements"][0]
    assert load_model("v1_isolated").statements(scale=1.0) == ()


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_scales_that_cannot_be(value):
    with pytest.raises(portable_cortex.errors.InvalidValueError, match="scale must be above 0"):
        portable_cortex.run(model="v1_isolated", backend="mock", scale=value, duration=10.0)


@pytest.mark.slow
def test_the_microcircuits_oscillation_is_gone():
    """At full scale: power of layer 4's rate between 60 and 90 Hz beside that further up."""

    def height(model):
        run = portable_cortex.run(model=model, scale=1.0, duration=2000.0)
        train = run.spike_trains["L4E"]
        found = power_spectrum(train, run.n_neurons["L4E"], run.t_start, run.t_stop)
        peak = (found.frequencies >= 60) & (found.frequencies <= 90)
        above = (found.frequencies >= 150) & (found.frequencies <= 200)
        return found.power[peak].max() / found.power[above].mean()

    assert height("v1_isolated") < 5
    assert height("pd14") > 30

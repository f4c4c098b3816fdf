"""Numbers of the microcircuit at full scale, and what down-scaling must preserve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from portable_cortex.errors import InvalidValueError
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import psc_over_psp, scale, synapse_numbers

NEURON = PD14.neuron
SIZES = np.array(PD14.sizes, dtype=float)
RATES = np.array(PD14.full_rates)


def mean_and_variance(scaled):
    """Mean input current (nA) and the sum that its variance is proportional to, by population."""
    in_degrees = scaled.synapses / np.array(scaled.sizes)[:, np.newaxis]
    k_ext = np.array(scaled.k_ext)
    per_ms = 1e-3 * NEURON.tau_syn
    mean = scaled.dc + per_ms * (
        (in_degrees * scaled.weights) @ RATES + k_ext * scaled.weight_ext * PD14.rate_ext
    )
    variance = (in_degrees * scaled.weights**2) @ RATES + (
        k_ext * scaled.weight_ext**2 * PD14.rate_ext
    )
    return mean, variance


def test_published_numbers_of_neurons_and_synapses():
    full = scale(PD14)
    assert full.sizes == PD14.sizes
    assert sum(full.sizes) == 77_169
    assert int(full.synapses.sum()) == 298_880_968


def test_full_scale_adds_no_current():
    assert np.all(scale(PD14).dc == 0)
    assert scale(PD14).k_ext == PD14.k_ext


def test_shortcut_formula_misses_the_multapses():
    probabilities = np.array(PD14.probabilities)
    exact = synapse_numbers(probabilities, SIZES, SIZES).sum()
    shortcut = (probabilities * np.outer(SIZES, SIZES)).sum()
    assert 1 - shortcut / exact == pytest.approx(0.047, abs=0.0005)


def test_synapse_numbers_give_the_connection_probability_back():
    # K synapses on N pairs leave a pair without one with probability (1 - 1/N)^K
    probabilities = np.array(PD14.probabilities)
    pairs = np.outer(SIZES, SIZES)
    numbers = synapse_numbers(probabilities, SIZES, SIZES)
    assert 1 - (1 - 1 / pairs) ** numbers == pytest.approx(probabilities, rel=1e-6)


def test_synapses_only_where_there_is_a_connection_probability():
    assert np.array_equal(scale(PD14).synapses > 0, np.array(PD14.probabilities) > 0)


def test_weight_of_the_reference_synapse():
    weight = PD14.psp * psc_over_psp(NEURON)
    assert 1e3 * weight == pytest.approx(87.8, abs=0.05)

    # the membrane equation, integrated: nA / nF is mV / ms
    def slope(t, v):
        return -v / NEURON.tau_m + weight * math.exp(-t / NEURON.tau_syn) / NEURON.cm

    solved = solve_ivp(slope, (0, 10), [0.0], max_step=0.01, rtol=1e-10, atol=1e-12)
    assert solved.y.max() == pytest.approx(0.15, rel=1e-5)


def test_signs_and_exceptional_weight():
    weights = scale(PD14).weights
    w = weights[0, 0]
    assert np.all(weights[:, 1::2] == -4 * w)
    excitatory = weights[:, ::2].copy()
    assert excitatory[0, 1] == 2 * w  # L4E -> L23E
    excitatory[0, 1] = w
    assert np.all(excitatory == w)


@pytest.mark.parametrize("k_scale", [0.5, 0.1, 0.02])
def test_mean_and_variance_survive_fewer_synapses(k_scale):
    mean, variance = mean_and_variance(scale(PD14))
    scaled_mean, scaled_variance = mean_and_variance(scale(PD14, k_scale=k_scale))
    # what is left is the rounding of the number of synapses
    assert scaled_mean == pytest.approx(mean, abs=1e-4)
    assert scaled_variance == pytest.approx(variance, rel=1e-4)


def test_mean_and_variance_survive_scaling_of_everything():
    mean, variance = mean_and_variance(scale(PD14))
    scaled_mean, scaled_variance = mean_and_variance(scale(PD14, 0.1, 0.1))
    # 106.5 neurons of L5I become 106: in-degrees are off by up to 0.5 %
    assert scaled_mean == pytest.approx(mean, abs=5e-3)
    assert scaled_variance == pytest.approx(variance, rel=6e-3)


def test_without_compensation_the_mean_would_be_lost():
    # shows that the tests above can see the difference
    mean, _ = mean_and_variance(scale(PD14))
    small = scale(PD14, k_scale=0.1)
    assert np.all(np.abs(mean_and_variance(small)[0] - small.dc - mean) > 0.02)


def test_n_scale_alone_keeps_in_degrees_and_weights():
    full, half = scale(PD14), scale(PD14, n_scale=0.5)
    assert np.array(half.sizes) == pytest.approx(SIZES / 2, abs=0.5)
    assert half.synapses == pytest.approx(full.synapses / 2, abs=1)
    assert np.array_equal(half.weights, full.weights)
    assert np.all(half.dc == 0)
    assert half.k_ext == full.k_ext


def test_k_scale_alone_keeps_sizes():
    full, half = scale(PD14), scale(PD14, k_scale=0.25)
    assert half.sizes == full.sizes
    assert half.synapses == pytest.approx(full.synapses / 4, abs=1)
    assert half.weights == pytest.approx(full.weights * 2)
    assert half.weight_ext == pytest.approx(full.weight_ext * 2)
    assert half.k_ext == tuple(k // 4 for k in full.k_ext)


def test_dc_drive_has_the_mean_of_the_poisson_drive():
    poisson, dc = scale(PD14, drive="poisson"), scale(PD14, drive="dc")
    background = 1e-3 * NEURON.tau_syn * np.array(poisson.k_ext) * poisson.weight_ext * 8.0
    assert dc.dc == pytest.approx(background)
    assert not any(dc.k_ext)
    assert np.array_equal(dc.synapses, poisson.synapses)


@pytest.mark.parametrize("k_scale", [0.5, 0.1])
def test_both_drives_have_the_same_mean_at_any_scale(k_scale):
    poisson = mean_and_variance(scale(PD14, k_scale=k_scale, drive="poisson"))[0]
    dc = mean_and_variance(scale(PD14, k_scale=k_scale, drive="dc"))[0]
    assert dc == pytest.approx(poisson, abs=1e-9)


def test_thalamus_projects_to_layers_4_and_6():
    full, half = scale(PD14), scale(PD14, n_scale=0.5, k_scale=0.5)
    targets = [p for p, n in zip(PD14.populations, full.thalamic_synapses, strict=True) if n]
    assert targets == ["L4E", "L4I", "L6E", "L6I"]
    assert half.thalamic_synapses == pytest.approx(full.thalamic_synapses / 4, abs=1)
    assert half.thalamic_weight == pytest.approx(full.thalamic_weight * math.sqrt(2))


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["n_scale", "k_scale"])
def test_scale_must_be_a_positive_number(name, value):
    with pytest.raises(InvalidValueError, match=name):
        scale(PD14, **{name: value})


def test_scale_must_leave_a_neuron_in_every_population():
    with pytest.raises(InvalidValueError, match=r"L5I.*use at least 0\.00047"):
        scale(PD14, n_scale=1e-4)
    # what the message proposes works
    assert min(scale(PD14, n_scale=0.00047).sizes) == 1


def test_unknown_drive_lists_the_drives():
    with pytest.raises(InvalidValueError, match=r"poisson, dc.*'ac'"):
        scale(PD14, drive="ac")


@pytest.mark.parametrize("k_scale", [1.0, 0.5, 0.1, 0.05])
def test_silent_populations_are_those_that_rest_below_threshold(k_scale):
    scaled = scale(PD14, k_scale=k_scale, drive="dc")
    resting = NEURON.v_rest + scaled.dc * NEURON.tau_m / NEURON.cm
    silent = tuple(np.flatnonzero(resting < NEURON.v_thresh))
    assert scaled.silent_populations(NEURON) == silent
    assert bool(silent) == (k_scale < 0.5)


def test_no_population_is_silent_with_poisson_drive():
    assert scale(PD14, 0.1, 0.1).silent_populations(NEURON) == ()

"""The microcircuit with weights of a few levels, and with fixed in-degrees."""

from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portable_cortex
from portable_cortex import theory
from portable_cortex.errors import InvalidValueError
from portable_cortex.host.clock import Clock
from portable_cortex.models import pd14
from portable_cortex.models.discretisation import MOST, equal_bins, optimal_width, parse
from portable_cortex.models.loader import Model, load_model
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import scale
from portable_cortex.pynn.description import describe
from portable_cortex.pynn.watching import build_network

SCALE = 0.02
SCALED = scale(PD14, SCALE, SCALE)
EVERY = {"random": SCALED.synapses, "fixed": np.round(SCALED.synapses.T / SCALED.sizes).T}
"""Synapses between populations, or those of each target neuron."""


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "width", "naive_sd"),
    [
        (2, 2.000, 1.500),
        (3, 1.471, 1.127),
        (4, 1.162, 1.079),
        (5, 0.967, 1.049),
        (7, 0.731, 1.023),
        (11, 0.500, 1.007),
        (15, 0.385, 1.002),
    ],
)
def test_widths_and_naive_deviations_are_those_that_were_computed_elsewhere(n, width, naive_sd):
    assert optimal_width(n) == pytest.approx(width, abs=1e-3)
    assert parse(f"naive:{n}").sd == pytest.approx(naive_sd, abs=1e-3)
    assert np.diff(parse(f"naive:{n}").values) == pytest.approx(6 / n)


@given(st.integers(1, MOST), st.sampled_from(["discrete", "naive"]))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_levels_keep_the_mean_and_those_of_optimal_width_the_variance(n, kind):
    levels = parse(f"{kind}:{n}")
    assert len(levels.values) == len(levels.probabilities) == n
    assert sum(levels.probabilities) == pytest.approx(1, abs=1e-12)
    assert np.dot(levels.values, levels.probabilities) == pytest.approx(0, abs=1e-12)
    assert min(levels.probabilities) > 0
    if kind == "discrete" and n > 1:
        assert levels.sd == pytest.approx(1, abs=1e-12)
        narrower = np.array([0.1, 0.5, 0.9, 0.999]) * optimal_width(n)
        assert all(equal_bins(n, width).sd < 1 for width in narrower)  # it is the smallest


def test_probabilities_are_those_of_normal_numbers_in_bins():
    levels = parse("naive:4")
    drawn = np.random.default_rng(1).normal(size=400_000)
    nearest = np.abs(drawn[:, np.newaxis] - levels.values).argmin(axis=1)
    counts = np.bincount(nearest, minlength=4) / drawn.size
    assert counts == pytest.approx(levels.probabilities, abs=4 * 0.5 / np.sqrt(drawn.size))


def test_one_level_is_the_mean():
    assert parse("discrete:1") == parse("mean")
    assert parse("naive:1") == parse("mean")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "Normal",
        "discrete",
        "discrete:0",
        "discrete:-3",
        "discrete:2.5",
        "naive:257",
        "naive:",
        3,
    ],
)
def test_other_weights_are_refused(wrong):
    with pytest.raises(InvalidValueError, match=r"normal, mean, discrete:N.*1 to 256") as caught:
        parse(wrong)
    assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"weights": "discrete:many"}, r"discrete:N.*'discrete:many'"),
        ({"in_degrees": "equal"}, r"random, fixed.*'equal'"),
    ],
)
def test_the_model_refuses_what_it_does_not_have(parameters, said):
    with pytest.raises(InvalidValueError, match=said):
        portable_cortex.run(backend="mock", scale=SCALE, **parameters)


# --- networks -------------------------------------------------------------------------------------


def built(backend="builtin", seed=1, duration=0.0, **parameters):
    """Sources, targets and weights between each two populations of a network."""
    sim = portable_cortex.simulator(backend)
    sim.setup(timestep=0.1)
    network = build_network(
        Model("pd14", pd14.build),
        {"scale": SCALE, "seed": seed, **parameters},
        sim,
        backend_name=backend,
        clock=Clock(),
        shared_seed=None,
        on_progress=lambda label: None,
    )
    if duration:
        sim.run(duration)
    found = defaultdict(list)
    for projection in network.projections:
        source, target = projection.pre.label, projection.post.label
        if not source.startswith("background"):
            rows = projection.get("weight", "list")
            found[source, target].append(np.array(rows, dtype=float).reshape(-1, 3))
    sim.end()
    return {pair: np.concatenate(rows) for pair, rows in found.items()}


def pairs(numbers):
    """Labels of two populations with what is between them: number and mean weight."""
    for i, j in np.argwhere(numbers > 0):
        pair = PD14.populations[j], PD14.populations[i]
        yield pair, SCALED.sizes[i], int(numbers[i, j]), float(SCALED.weights[i, j])


def assert_levels(weights, mean, text):
    """Weights are of these levels only, with their probabilities."""
    levels = parse(text)
    allowed = np.array(levels.weights(mean, 0.1 * abs(mean)))
    nearest = np.abs(weights[:, np.newaxis] - allowed).argmin(axis=1)
    np.testing.assert_allclose(weights, allowed[nearest], rtol=1e-6)
    expected = np.array(levels.probabilities) * weights.size
    counts = np.bincount(nearest, minlength=allowed.size)
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected) + 1)


@pytest.mark.parametrize("weights", ["mean", "naive:2", "discrete:3"])
def test_total_numbers_are_as_published_and_weights_take_the_levels_only(weights):
    network = built(weights=weights)
    assert len(network) == np.count_nonzero(EVERY["random"])
    for pair, _, number, mean in pairs(EVERY["random"]):
        assert len(network[pair]) == number
        assert_levels(network[pair][:, 2], mean, weights)


@pytest.mark.parametrize("weights", ["normal", "mean", "discrete:2", "naive:5"])
def test_fixed_in_degrees_are_equal_and_sources_any(weights):
    network = built(weights=weights, in_degrees="fixed")
    assert len(network) == np.count_nonzero(EVERY["fixed"])
    for pair, size, own, mean in pairs(EVERY["fixed"]):
        sources, targets, values = network[pair].T
        assert np.bincount(targets.astype(int), minlength=size).tolist() == [own] * size
        if weights == "normal":
            error = 0.1 * abs(mean) / np.sqrt(values.size)
            assert abs(values.mean() - mean) < 5 * error
            assert np.unique(values).size > 0.9 * values.size
        else:
            assert_levels(values, mean, weights)
    sources, targets, _ = network["L4E", "L23E"].T
    assert np.unique(sources).size > 0.99 * SCALED.sizes[2]
    assert len({*zip(sources, targets, strict=True)}) < sources.size  # multapses, as published


def test_synapses_of_one_target_have_levels_of_their_own():
    sources, targets, weights = built(weights="discrete:2", in_degrees="fixed")["L4I", "L4E"].T
    strong = np.bincount(targets.astype(int), weights=weights < weights.mean())
    own = sources.size / SCALED.sizes[2]
    assert strong.var() == pytest.approx(own / 4, rel=0.3)  # of a binomial number


def test_the_seed_draws_the_levels():
    def rows(seed):
        network = built("mock", seed=seed, weights="discrete:2", in_degrees="fixed")
        return network["L4E", "L4I"].tolist()

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


@pytest.mark.parametrize("in_degrees", ["random", "fixed"])
def test_thalamic_synapses_are_of_the_same_kind(in_degrees):
    network = built("mock", weights="discrete:3", in_degrees=in_degrees, thalamic_pulses=[50.0])
    for i, label in enumerate(PD14.populations):
        number = SCALED.thalamic_synapses[i]
        if in_degrees == "fixed":
            number = round(number / SCALED.sizes[i]) * SCALED.sizes[i]
        if number:
            assert len(network["TC", label]) == number
            assert_levels(network["TC", label][:, 2], SCALED.thalamic_weight, "discrete:3")


@pytest.mark.parametrize("in_degrees", ["random", "fixed"])
def test_weights_after_a_run_of_nest_are_of_the_levels(in_degrees):
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = built("nest", duration=5.0, weights="discrete:3", in_degrees=in_degrees)
    for pair, size, number, mean in pairs(EVERY[in_degrees]):
        rows = network[pair]
        assert len(rows) == (number if in_degrees == "random" else number * size)
        assert_levels(rows[:, 2], mean, "discrete:3")


@pytest.mark.parametrize("realisation", ["native", "shared"])
@pytest.mark.parametrize("in_degrees", ["random", "fixed"])
def test_it_runs_and_has_no_published_rates(realisation, in_degrees):
    given = {"weights": "discrete:3", "in_degrees": in_degrees}
    about = portable_cortex.run(
        scale=SCALE, warmup=0.0, duration=50.0, realisation=realisation, **given
    ).metadata
    expected = EVERY[in_degrees]
    if in_degrees == "fixed":
        expected = expected.T * SCALED.sizes
    assert about["n_synapses"] == expected.sum()
    assert about["n_spikes"] > 0
    assert "published_rates" not in about or not about["published_rates"]


# --- in expected numbers --------------------------------------------------------------------------


def inputs(**parameters):
    """Number, and mean and variance of weights, of synapses by the labels of their populations."""
    network = describe(load_model("pd14"), {"scale": SCALE, **parameters})
    found = defaultdict(list)
    for synapses in network.synapses:
        source, target = (network.populations[k].label for k in (synapses.source, synapses.target))
        found[source, target].append((synapses.in_degree, synapses.weights))
    return {pair: parts for pair, parts in found.items() if not pair[0].startswith("background")}


@pytest.mark.parametrize("in_degrees", ["random", "fixed"])
@pytest.mark.parametrize("weights", ["mean", "naive:2", "discrete:3"])
def test_descriptions_have_the_same_numbers(weights, in_degrees):
    described = inputs(weights=weights, in_degrees=in_degrees)
    assert len(described) == np.count_nonzero(EVERY[in_degrees])
    for pair, size, number, mean in pairs(EVERY[in_degrees]):
        parts = described[pair]
        expected = number if in_degrees == "fixed" else number / size
        assert sum(degree.mean for degree, _ in parts) == pytest.approx(expected)
        variance = sum(degree.variance for degree, _ in parts)
        binomial = expected * (1 - 1 / size)
        assert variance == pytest.approx(0 if in_degrees == "fixed" else binomial)
        values = np.concatenate([drawn.values for _, drawn in parts])
        share = np.concatenate([degree.mean * drawn.probabilities for degree, drawn in parts])
        average = np.average(values, weights=share)
        error = 5 * 0.15 * abs(mean) / np.sqrt(expected * size)
        assert average == pytest.approx(mean, abs=error)
        allowed = parse(weights).weights(mean, 0.1 * abs(mean))
        assert set(values) <= {*allowed}


def test_theory_predicts_what_it_should_of_equal_in_degrees():
    found = {
        name: theory.predict("pd14", scale=0.1, **given).rates
        for name, given in {
            "published": {},
            "levels": {"weights": "discrete:3"},
            "equal": {"weights": "mean", "in_degrees": "fixed"},
        }.items()
    }
    for label in PD14.populations:
        assert found["levels"][label] == pytest.approx(found["published"][label], rel=0.01)
    assert found["equal"]["L23E"] < 0.95 * found["published"]["L23E"]

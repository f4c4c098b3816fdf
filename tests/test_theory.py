"""Mean-field theory: against published numbers, other ways to compute it, and simulations."""

from __future__ import annotations

import json
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import portable_cortex
from portable_cortex import theory
from portable_cortex.errors import (
    InvalidValueError,
    ModelWarning,
    PortableCortexError,
    UnsupportedError,
)
from portable_cortex.models.loader import Model, load_model
from portable_cortex.pynn.description import describe
from portable_cortex.pynn.expected import cumulants_of, standard, typical
from portable_cortex.theory import Cells, Distribution, Input, Spectra, working_point
from portable_cortex.validation.pages import render, to_json
from portable_cortex.validation.verdict import examine

# NNMT 1.3.0 for the network of Potjans & Diesmann (2014), neurons of a population being equal
RATES = {
    "shift": (0.754, 2.794, 4.440, 5.823, 7.154, 8.470, 1.160, 7.756),
    "taylor": (0.709, 2.748, 4.562, 5.788, 7.278, 8.468, 1.064, 7.658),
}
MEAN = (2.581, 6.695, 6.996, 6.941, 7.570, 9.046, 2.841, 9.043)  # mV
DEVIATION = (6.207, 5.138, 5.511, 5.979, 5.903, 5.087, 6.445, 4.920)  # mV
CV = (0.990, 0.946, 0.922, 0.908, 0.887, 0.847, 0.985, 0.854)
RESPONSE = (0.472, 1.624, 2.129, 2.383, 2.754, 3.458, 0.653, 3.378)  # at 0.1 Hz, spikes/s per mV
SENSITIVITY = {  # target, source: of the eigenvalue's amplitude at 82 Hz
    ("L4I", "L4I"): -0.62, ("L4E", "L4I"): 0.58, ("L23E", "L4E"): 0.46, ("L23I", "L23I"): -0.31,
    ("L4I", "L23E"): 0.25, ("L23E", "L23I"): 0.22,
}  # fmt: skip
LIF = Cells(*np.array([[10.0], [15.0], [0.0], [2.0]]))


def inputs(mean, deviation, tau_syn=0.5):
    return Input(np.array([float(mean)]), np.array([float(deviation)]), np.array([tau_syn]))


def described(build, **parameters):
    return describe(Model("own", build), parameters)


def read(build):
    return theory.read(described(build))


@pytest.fixture(scope="module")
def published():
    """The published network as NNMT has it: weights without variance, delays from 0 on."""
    network = theory.read(describe(load_model("pd14"), {"scale": 1.0, "weights": "mean"}))
    nodes, weights = np.polynomial.legendre.leggauss(400)

    def delay(mean):
        low = norm.cdf(-2)  # the standard deviation is half of the mean
        u = low + (nodes + 1) / 2 * (1 - low)
        return Distribution(mean * (1 + norm.ppf(u) / 2), weights / 2)

    delays = {True: delay(1.5), False: delay(0.75)}
    connections = tuple(replace(c, delay=delays[c.source % 2 == 0]) for c in network.connections)
    return replace(network, connections=connections)


# --- the microcircuit -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", theory.METHODS)
def test_rates_of_the_microcircuit_are_the_published_ones(published, method):
    found = working_point(published, method=method, equal=True)
    assert found.rates == pytest.approx(RATES[method], rel=1e-3)


def test_input_and_irregularity_of_the_microcircuit_are_the_published_ones(published):
    found = working_point(published, equal=True)
    assert found.input.mean == pytest.approx(MEAN, rel=1e-3)
    assert found.input.deviation == pytest.approx(DEVIATION, rel=1e-3)
    assert found.cv == pytest.approx(CV, rel=1e-3)


def test_the_response_is_the_published_one_but_for_the_refractory_period(published):
    state = working_point(published, equal=True)
    response = np.abs(theory.transfer(published.cells, state.input, np.array([0.1]))[0])
    lacking = 1 - state.rates * published.cells.tau_refrac * 1e-3  # see `neuron.transfer`
    assert response / lacking == pytest.approx(RESPONSE, rel=1e-3)


def test_the_microcircuit_oscillates_where_it_is_known_to(published):
    spectra = Spectra(working_point(published, equal=True), np.arange(1.0, 501.0))
    peaks = spectra.peaks()
    assert sorted(p.frequency for p in peaks[:3]) == [81.0, 322.0, 322.0]
    assert all(0.05 <= p.distance <= 0.08 for p in peaks[:3])
    for low, high in ((60, 120), (250, 400)):  # and all populations with it
        at = low + np.argmax(spectra.power[low - 1 : high], axis=0)
        assert np.ptp(at) <= 5
        assert at.mean() == pytest.approx(81.5 if low == 60 else 321.5, abs=1.0)
    assert spectra.power[19, 4] == pytest.approx(9.2e-3, rel=0.01)  # L5E at 20 Hz


def test_what_makes_80_hz_is_in_layers_4_and_23(published):
    spectra = Spectra(working_point(published, equal=True), np.array([81.8, 82.0, 82.2]))
    nearest = np.argmin(np.abs(1 - spectra.eigenvalues[1]))
    peak = spectra._peak(1, nearest)
    names = published.populations
    for (target, source), value in SENSITIVITY.items():
        own = peak.amplitude[names.index(target), names.index(source)]
        assert own == pytest.approx(value, abs=0.05), (target, source)
    assert set(peak.strongest(3)) <= {(names.index(t), names.index(s)) for t, s in SENSITIVITY}


def test_neurons_that_differ_fire_more_than_equal_ones(published):
    """Where the rate is convex in the input: in the populations that fire least."""
    equal, different = (working_point(published, equal=e) for e in (True, False))
    assert (different.spread > 1.0).all()
    assert (different.spread < 2.0).all()
    assert different.rates[0] > equal.rates[0]
    assert different.rates[6] > equal.rates[6]
    assert different.rates == pytest.approx(equal.rates, rel=0.1)


def test_the_state_is_the_same_from_wherever_it_is_looked_for(published):
    low, high = (working_point(published, start=s) for s in (0.0, 300.0))
    assert high.rates == pytest.approx(low.rates, rel=1e-6)


# --- one neuron -----------------------------------------------------------------------------------


def test_rates_are_those_of_the_integral():
    for mean, deviation in ((2.6, 6.2), (9.0, 4.9), (14.0, 1.0), (25.0, 3.0), (-20.0, 8.0)):
        shift = 2.0652531522312172 / 2 * np.sqrt(0.05)
        low, high = ((v - mean) / deviation + shift for v in (0.0, 15.0))
        integral = mpmath.quad(
            lambda s: mpmath.exp(s**2) * mpmath.erfc(-s), mpmath.linspace(low, high, 9)
        )
        expected = 1e3 / (2.0 + 10.0 * mpmath.sqrt(mpmath.pi) * integral)
        assert theory.rate(LIF, inputs(mean, deviation))[0] == pytest.approx(float(expected), 1e-9)


@settings(deadline=None)
@given(st.floats(-300, 300), st.floats(1e-3, 50), st.floats(0, 0.99))
def test_rates_rise_with_the_input_and_stay_below_what_refractoriness_allows(mean, sigma, tau):
    for method in theory.METHODS:
        rate = theory.rate(LIF, inputs(mean, sigma, tau), method)
        assert np.isfinite(rate).all()
        assert 0 <= rate[0] <= 500
    more = theory.rate(LIF, inputs(mean + 0.1, sigma, tau))
    assert more[0] >= theory.rate(LIF, inputs(mean, sigma, tau))[0]
    assert 0 <= theory.cv(LIF, inputs(mean, sigma, tau))[0] <= 3


def test_without_fluctuation_the_rate_is_that_of_constant_current():
    expected = 1e3 / (2 + 10 * np.log(20 / 5))
    assert theory.rate(LIF, inputs(20, 1e-3, 0.0))[0] == pytest.approx(expected, rel=1e-4)
    assert theory.cv(LIF, inputs(20, 0.05, 0.0))[0] < 0.02


@pytest.mark.parametrize(("mean", "deviation"), [(2.6, 6.2), (9.0, 4.9), (20.0, 3.0), (-10.0, 4.0)])
def test_transfer_functions_are_those_of_parabolic_cylinder_functions(mean, deviation):
    frequencies = np.array([0.1, 5.0, 82.0, 320.0, 1000.0])
    found = theory.transfer(LIF, inputs(mean, deviation), frequencies)[:, 0]
    rate = theory.rate(LIF, inputs(mean, deviation))[0]
    shift = 2.0652531522312172 / 2 * np.sqrt(0.05)
    low, high = (np.sqrt(2) * ((v - mean) / deviation + shift) for v in (0.0, 15.0))
    with mpmath.workdps(30):
        for frequency, own in zip(frequencies, found, strict=True):
            omega = 2e-3 * mpmath.pi * frequency
            z = mpmath.mpc(-0.5, omega * 10)

            def psi(x, z=z):
                return mpmath.exp(x**2 / 4) * mpmath.pcfu(z, -x)

            def slope(x, z=z):
                return (0.5 + z) * mpmath.exp(x**2 / 4) * mpmath.pcfu(z + 1, -x)

            late = mpmath.exp(-1j * omega * 2)
            ratio = (slope(high) - slope(low)) / (psi(high) - late * psi(low))
            expected = complex(mpmath.sqrt(2) / deviation * rate / (1 + 1j * omega * 10) * ratio)
            assert abs(own - expected) < 1e-6 * abs(expected)


@settings(deadline=None)
@given(st.floats(-10, 30), st.floats(0.5, 10))
def test_slow_responses_follow_the_slope_of_the_rate(mean, deviation):
    found = theory.transfer(LIF, inputs(mean, deviation), np.array([1e-3]))[0, 0]
    slope = theory.gains(LIF, inputs(mean, deviation))[0][0]
    assert abs(found - slope) <= 1e-3 * abs(slope) + 1e-9


def test_theory_is_what_neurons_do():
    """On the built-in engine, with synapses so fast and weak that theory holds."""
    sim = portable_cortex.simulator("builtin")
    sim.setup(timestep=0.1, rng_seed=5)
    n, weight, tau_syn, rates = 400, 0.02, 0.2, {"excitatory": 24e3, "inhibitory": 6e3}
    cells = sim.IF_curr_exp(
        cm=0.25, tau_m=10.0, v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_refrac=2.0,
        tau_syn_E=tau_syn, tau_syn_I=tau_syn, i_offset=0.1,
    )  # fmt: skip
    neurons = sim.Population(n, cells)
    jumps = {"excitatory": 20 * weight, "inhibitory": -60 * weight}
    for receptor, rate in rates.items():
        sources = sim.Population(n, sim.SpikeSourcePoisson(rate=rate))
        synapse = sim.StaticSynapse(weight=jumps[receptor], delay=0.1)
        sim.Projection(sources, neurons, sim.OneToOneConnector(), synapse, receptor_type=receptor)
    neurons.record("spikes")
    sim.run(5000.0)
    trains = [np.asarray(t.magnitude) for t in neurons.get_data().segments[0].spiketrains]
    sim.end()
    in_mv = {k: j * tau_syn / 0.25 for k, j in jumps.items()}
    mean = 4.0 + 1e-2 * sum(rates[k] * in_mv[k] for k in rates)
    deviation = np.sqrt(1e-2 * sum(rates[k] * in_mv[k] ** 2 for k in rates))
    given = inputs(mean, deviation, tau_syn)
    measured = np.mean([t.size for t in trains]) / 5
    intervals = [np.diff(t) for t in trains]
    cv = np.mean([i.std() / i.mean() for i in intervals])
    assert theory.rate(LIF, given)[0] == pytest.approx(measured, rel=0.1)
    assert theory.cv(LIF, given)[0] == pytest.approx(cv, rel=0.1)


# --- descriptions ---------------------------------------------------------------------------------


CONNECTORS = {
    "AllToAll": {},
    "OneToOne": {},
    "FixedProbability": {"p_connect": 0.3},
    "FixedNumberPre": {"n": 7},
    "FixedNumberPre, replaced": {"n": 7, "with_replacement": True},
    "FixedNumberPost": {"n": 7},
    "FixedNumberPost, replaced": {"n": 7, "with_replacement": True},
    "FixedTotalNumber": {"n": 300, "with_replacement": True},
    "FixedTotalNumber, different": {"n": 300, "with_replacement": False},
    "FixedProbability, no autapses": {"p_connect": 0.3, "allow_self_connections": False},
    "AllToAll, no autapses": {"allow_self_connections": False},
    "FromList": {"conn_list": [(0, 1, 0.5, 1.0), (2, 1, 0.25, 2.0), (3, 0, 0.5, 1.0)]},
    "SmallWorld": {"degree": 3, "rewiring": 0.1},
}


@pytest.mark.parametrize("name", CONNECTORS)
def test_in_degrees_are_those_of_networks_that_are_drawn(name):
    arguments = CONNECTORS[name]
    kind = name.split(",")[0]
    sizes = (30, 30) if "autapses" in name or kind in ("OneToOne", "SmallWorld") else (40, 30)

    def build(sim):
        populations = [sim.Population(n, sim.IF_curr_exp()) for n in sizes]
        if "autapses" in name:
            populations[1] = populations[0]
        connector = getattr(sim, f"{kind}Connector")(**arguments)
        found.append(sim.Projection(*populations, connector, sim.StaticSynapse(weight=0.5)))
        return {"a": populations[0]}

    found = []
    (synapses,) = described(build).synapses
    numbers = []
    for seed in range(1, 151):
        sim = portable_cortex.simulator("builtin")
        sim.setup(rng_seed=seed)
        build(sim)
        targets = found[-1].columns(["postsynaptic_index"])["postsynaptic_index"]
        numbers.append(np.bincount(np.asarray(targets, int), minlength=sizes[1]))
    drawn = np.array(numbers)
    assert synapses.in_degree.mean == pytest.approx(drawn.mean(), rel=0.02, abs=1e-9)
    one = kind == "SmallWorld"  # of which a single network is drawn and counted
    assert synapses.in_degree.variance == pytest.approx(
        drawn.var(), rel=0.5 if one else 0.1, abs=1e-9
    )


def test_in_degrees_that_go_together_are_taken_together():
    """Each neuron has 40 synapses, some excitatory, the others inhibitory or of Poisson sources."""
    n_first = np.random.default_rng(3).binomial(40, 0.4, 100)

    def build(sim, poisson=False):
        target, first, second = (sim.Population(100, sim.IF_curr_exp()) for _ in range(3))
        if poisson:
            second = sim.Population(100, sim.SpikeSourcePoisson(rate=10.0))
        for source, numbers, sign in ((first, n_first, 1), (second, 40 - n_first, -1)):
            rows = [(i, j, 0.1 * sign, 1.0) for j, n in enumerate(numbers) for i in range(n)]
            sim.Projection(
                source,
                target,
                sim.FromListConnector(rows),
                sim.StaticSynapse(),
                receptor_type="excitatory" if sign > 0 else "inhibitory",
            )
        return {"target": target, "first": first} | ({} if poisson else {"second": second})

    for poisson in (False, True):
        network = theory.read(described(build, poisson=poisson))
        rates = np.array([0.0, 5.0, 10.0])[: network.n]
        to_mv = 0.02 * 0.1 * 5.0 / 1.0  # s nA ms/nF
        of_each = to_mv * (5.0 * n_first - 10.0 * (40 - n_first))
        assert network.input(rates).mean[0] + 65 == pytest.approx(of_each.mean() + 65)
        assert network.spread(rates, rates**2)[0] == pytest.approx(of_each.std(), rel=1e-9)


N = 200
RATES_OF_SOURCES = np.where(np.arange(N) < N // 2, 2.0, 30.0)


def by_rate(sim):
    """A list in which those that fire more have larger weights."""
    rng = np.random.default_rng(0)
    rows = [
        (int(i), j, 0.2 if i >= N // 2 else 0.05, 1.0) for j in range(N) for i in rng.choice(N, 20)
    ]
    return sim.FromListConnector(rows), sim.StaticSynapse()


ARRIVING = {
    "all": lambda sim: (sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1)),
    "half": lambda sim: (sim.FixedProbabilityConnector(0.5), sim.StaticSynapse(weight=0.1)),
    "pre": lambda sim: (sim.FixedNumberPreConnector(100), sim.StaticSynapse(weight=0.1)),
    "total": lambda sim: (
        sim.FixedTotalNumberConnector(N * 60, with_replacement=False),
        sim.StaticSynapse(weight=sim.RandomDistribution("uniform", low=0.0, high=0.2)),
    ),
    "by target": lambda sim: (
        sim.AllToAllConnector(),
        sim.StaticSynapse(weight=np.tile(np.linspace(0.05, 0.15, N), (N, 1))),
    ),
    "by rate": by_rate,
    "by chance": lambda sim: (
        sim.FixedProbabilityConnector(0.5),
        sim.SimpleStochasticSynapse(weight=0.1, p=0.3),
    ),
}


@pytest.mark.parametrize("is_poisson", [True, False])
@pytest.mark.parametrize("name", ARRIVING)
def test_what_arrives_is_what_drawn_synapses_give(name, is_poisson):
    """Of the second half of sources that differ: mean, square, and how neurons differ."""

    def build(sim):
        if is_poisson:
            rates = np.concatenate([np.full(N, 1000.0), RATES_OF_SOURCES])
            sources = sim.Population(2 * N, sim.SpikeSourcePoisson(rate=rates))
        else:
            sources = sim.Population(2 * N, sim.IF_curr_exp())
        cells = sim.Population(N, sim.IF_curr_exp())
        made.append(sim.Projection(sources[N:], cells, *ARRIVING[name](sim)))
        return {"cells": cells}

    made = []
    (found,) = described(build).synapses
    arriving = found.arriving
    sim = portable_cortex.simulator("builtin")
    sim.setup(rng_seed=3)
    build(sim)
    edges, share = made[-1].stored(), 0.3 if name == "by chance" else 1.0
    each = share * edges.weights * RATES_OF_SOURCES[edges.sources]
    sums = np.bincount(edges.targets, each, N)
    mean, square, variance = arriving.mean, arriving.square, arriving.cumulants[0]
    if not is_poisson:
        nu, differing = RATES_OF_SOURCES.mean(), RATES_OF_SOURCES.var()
        variance = variance * nu**2 + arriving.of_rates * differing
        if name == "by rate":
            return  # what they fire at is not known beforehand
        mean, square = mean * nu, square * nu
    assert mean == pytest.approx(sums.mean(), rel=0.03)
    assert square == pytest.approx((each * edges.weights).sum() / N, rel=0.03)
    assert np.sqrt(variance) / mean == pytest.approx(sums.std() / sums.mean(), rel=0.15, abs=1e-6)


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        (lambda rng: rng.choice([-1.0, 3.0], 2000, p=[0.8, 0.2]), 2),
        (lambda rng: rng.uniform(0.0, 1.0, 2000), 3),
        (lambda rng: rng.gamma(2.0, 1.0, 2000), 5),
        (lambda rng: rng.poisson(3.0, 2000), 5),
    ],
)
def test_typical_places_have_the_moments_of_what_they_stand_for(draw, n):
    values = np.asarray(draw(np.random.default_rng(4)), float)
    second, third, fourth = cumulants_of(values)
    places, weights = typical(*standard(np.array([[second], [third], [fourth]])), 5)
    assert (weights > 1e-6).sum() <= max(n, 4)
    scaled = (values - values.mean()) / values.std()
    for power in range(5):
        assert (weights * places**power).sum() == pytest.approx((scaled**power).mean(), abs=1e-6)


def test_neurons_of_two_kinds_fire_as_each_of_them_does():
    def build(sim, rates):
        cells = sim.Population(100, sim.IF_curr_exp(tau_syn_E=0.5))
        source = sim.Population(100, sim.SpikeSourcePoisson(rate=np.repeat(rates, 50)))
        sim.Projection(source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.2))
        return {"cells": cells}

    low, high, both = (
        working_point(theory.read(described(build, rates=rates))).rates[0]
        for rates in ([5000.0] * 2, [20000.0] * 2, [5000.0, 20000.0])
    )
    assert high > low + 20
    # a neuron's input fluctuates by as much as those of the other kind
    assert both == pytest.approx((low + high) / 2, rel=0.03)


def test_spikes_that_are_not_small_are_told():
    for scale, is_told in ((0.1, True), (1.0, False)):
        notes = theory.predict("pd14", scale=scale, highest=20.0).notes
        assert any("a spike moves" in note for note in notes) == is_told


def test_values_have_the_moments_of_their_distributions():
    def build(sim):
        cells = sim.Population(20, sim.IF_curr_exp())
        draw = sim.RandomDistribution
        for weight in (
            draw("normal", mu=0.5, sigma=0.1),
            draw("uniform", low=0.2, high=0.4),
            draw("lognormal", mu=-1.0, sigma=0.3),
            draw("exponential", beta=0.2),
            draw("gamma", k=2.0, theta=0.1),
        ):
            synapse = sim.StaticSynapse(weight=weight, delay=draw("normal_clipped", mu=1.5,
                                        sigma=0.75, low=0.1, high=np.inf))  # fmt: skip
            sim.Projection(cells, cells, sim.AllToAllConnector(), synapse)
        return {"a": cells}

    found = [Distribution(*s.weights) for s in described(build).synapses]
    means = [0.5, 0.3, np.exp(-1 + 0.045), 0.2, 0.2]
    variances = [0.01, 0.04 / 12, (np.exp(0.09) - 1) * np.exp(-2 + 0.09), 0.04, 0.02]
    assert [d.mean for d in found] == pytest.approx(means, rel=1e-3)
    assert [d.variance for d in found] == pytest.approx(variances, rel=1e-2)


def test_assemblies_are_connected_population_by_population():
    def build(sim):
        a, b = (sim.Population(n, sim.IF_curr_exp(i_offset=0.4)) for n in (30, 10))
        both = sim.Assembly(a, b)
        sim.Projection(both, both, sim.FixedNumberPreConnector(n=8), sim.StaticSynapse(weight=0.01))
        return {"a": a, "b": b}

    found = described(build).synapses
    assert [(s.source, s.target, s.in_degree.mean) for s in found] == [
        (0, 0, 6.0), (0, 1, 6.0), (1, 0, 2.0), (1, 1, 2.0)
    ]  # fmt: skip


def test_assemblies_are_connected_neuron_by_neuron_where_that_is_asked_for():
    def build(sim):
        a, b = (sim.Population(n, sim.IF_curr_exp(i_offset=0.4)) for n in (30, 10))
        one, other = sim.Assembly(a, b), sim.Assembly(b, a)
        sim.Projection(one, other, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.01))
        return {"a": a, "b": b}

    found = described(build).synapses  # a's first 10 to b, a's other 20 and b's 10 to a
    assert [(s.source, s.target, round(s.in_degree.mean, 3)) for s in found] == [
        (0, 1, 1.0), (0, 0, 0.667), (1, 0, 0.333)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "weight",
    [
        lambda sim: -0.1,
        lambda sim: sim.RandomDistribution("normal", mu=-0.1, sigma=0.01),
        lambda sim: np.full((10, 10), -0.1),
    ],
    ids=["number", "drawn", "array"],
)
def test_weights_of_the_wrong_sign_are_refused_as_where_synapses_are_made(weight):
    def build(sim):
        cells = cells_of(sim)
        synapse = sim.StaticSynapse(weight=weight(sim))
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type="excitatory")
        return {"own": cells}

    with pytest.raises(PortableCortexError, match="must be 0 or more"):
        read(build)


def cells_of(sim, **parameters):
    return sim.Population(10, sim.IF_curr_exp(**parameters), label="own")


def heterogeneous(sim):
    return {"own": cells_of(sim, tau_m=np.linspace(5.5, 9.5, 10))}


def other_neurons(sim):
    return {"own": sim.Population(5, sim.IF_cond_exp())}


def plastic(sim):
    cells = cells_of(sim)
    rule = sim.STDPMechanism()
    sim.Projection(cells, cells, sim.AllToAllConnector(), rule)
    return {"own": cells}


def part_of_a_population(sim):
    cells = cells_of(sim)
    sim.Projection(cells, cells[:3], sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1))
    return {"own": cells}


def given_spikes(sim):
    cells = cells_of(sim)
    source = sim.Population(10, sim.SpikeSourceArray(spike_times=[1.0]), label="given")
    sim.Projection(source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1))
    return {"own": cells}


def passing_input(sim):
    cells = cells_of(sim)
    source = sim.Population(10, sim.SpikeSourcePoisson(rate=5.0, start=100.0), label="late")
    sim.Projection(source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1))
    return {"own": cells}


def injected(sim):
    cells = cells_of(sim)
    cells.inject(sim.DCSource(amplitude=0.1))
    return {"own": cells}


def sources_only(sim):
    return {"own": sim.Population(5, sim.SpikeSourcePoisson(rate=5.0))}


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (heterogeneous, r"tau_m of own is from 5\.5 to 9\.5"),
        (other_neurons, "population own has IF_cond_exp neurons"),
        (plastic, "with STDPMechanism"),
        (part_of_a_population, "goes to a part of own"),
        (given_spikes, "given has spikes at given times"),
        (passing_input, "late fires from 100 ms"),
        (injected, "DCSource is injected"),
        (sources_only, "needs a population of neurons"),
    ],
)
def test_what_theory_does_not_know_is_refused(build, what):
    with pytest.raises(UnsupportedError, match=what):
        read(build)


def test_constant_currents_differ_from_neuron_to_neuron():
    def build(sim):
        return {"own": cells_of(sim, i_offset=np.linspace(0.3, 0.5, 10), v_rest=-65.0)}

    network = read(build)
    offsets = np.linspace(0.3, 0.5, 10) * 20.0 / 1.0  # tau_m / cm, PyNN's defaults
    assert network.current[0] == pytest.approx(offsets.mean())
    assert network.spread(np.zeros(1), np.zeros(1))[0] == pytest.approx(offsets.std())


# --- models ---------------------------------------------------------------------------------------


def test_brunels_network_has_his_rate_and_two_states_are_told():
    """Fig. 8B of Brunel (2000): 55.8 spikes/s in theory; excitation alone keeps itself up."""
    found = theory.predict("brunel2000", scale=1.0, g=6.0, eta=4.0)
    assert found.rates["E"] == pytest.approx(55.8, rel=0.02)
    assert found.rates["E"] == pytest.approx(found.rates["I"])
    assert any("grow" in note for note in found.notes)
    two = theory.predict("brunel2000", scale=1.0, g=3.0, eta=0.8)
    assert two.rates["E"] < 1
    assert any("another stationary state" in note for note in two.notes)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"method": "exact"}, "method must be one of shift, taylor"),
        ({"highest": 0.0}, "highest frequency must be from"),
        ({"scale": "large"}, "'scale' must be a finite number"),
        ({"neuron": "mat2_curr_exp", "scale": 0.1}, "population L23E has mat2_curr_exp_neuron"),
        ({"thalamic_pulses": [100.0]}, "TC has spikes at given times"),
    ],
)
def test_predictions_that_cannot_be_are_refused(arguments, what):
    with pytest.raises(PortableCortexError, match=what):
        theory.predict("pd14", **arguments)


def test_the_command_prints_draws_and_writes(call, tmp_path):
    picture, numbers = tmp_path / "p.png", tmp_path / "p.json"
    status, told, _ = call("predict", "--scale", "1", "--to", picture, "--json", numbers)
    assert status == 0
    assert "L23E" in told
    assert "peak at 81 Hz" in told
    assert picture.read_bytes()[:4] == b"\x89PNG"
    written = json.loads(numbers.read_text())
    assert written["populations"]["L4E"]["rate"] == pytest.approx(4.39, abs=0.02)
    assert written["peaks"][0]["frequency_Hz"] == 322.0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--to", "no/such/folder/p.png"), "could not be written to no/such/folder/p.png"),
        (("--to", "p.bmp2"), "could not be written to p.bmp2"),
        (("--json", "no/such/folder/p.json"), "no/such/folder/p.json could not be written"),
    ],
)
def test_files_that_cannot_be_written_are_a_sentence(call, arguments, what):
    """Of a network without a peak, whose picture has no map of connections."""
    status, told, error = call("predict", "--scale", "0.1", *arguments)
    assert status == 2
    assert "no oscillation stands out" in told
    assert what in error


def test_validation_shows_theory_beside_and_decides_nothing_by_it(tmp_path, capsys):
    folder = tmp_path / "run"
    portable_cortex.run(backend="mock", scale=0.1, duration=2000.0, output=folder)
    found = examine(folder)
    assert found.theory.rates["L4E"] == pytest.approx(4.39, abs=0.05)
    page = render(found)
    assert "Mean-field theory" in page
    assert 'class="theory"' in page
    assert json.loads(to_json(found))["theory"]["populations"]["L4E"]["rate"] > 4
    decided = examine(folder).comparison
    assert decided == found.comparison


def test_validation_without_theory_says_nothing_of_it(tmp_path):
    folder = tmp_path / "run"
    portable_cortex.run(
        backend="mock", scale=0.02, duration=500.0, output=folder, thalamic_pulses=[600.0]
    )
    found = examine(folder)
    assert found.theory is None
    assert "Mean-field theory" not in render(found)
    about = json.loads((folder / "run.json").read_text())
    about["parameters"]["scale"] = 1e9  # a damaged file must not fill the memory
    (folder / "run.json").write_text(json.dumps(about))
    assert examine(folder).theory is None


def test_a_network_without_noise_is_told_without_a_warning():
    with pytest.warns(ModelWarning, match="may fall silent"):
        found = theory.predict("pd14", scale=0.02, drive="dc")
    assert np.isfinite(found.spectra.power).all()
    quiet = theory.transfer(LIF, inputs(20.0, 0.0), np.array([10.0, 100.0]))
    assert (quiet == 0).all()


def test_an_unknown_model_is_a_sentence():
    with pytest.raises(InvalidValueError, match="method"):
        theory.predict("pd14", method="")

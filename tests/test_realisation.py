"""The shared realisation: reproducible draws, and the connections that each connector means."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import portable_cortex
from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.pynn import draws as realisation
from portable_cortex.pynn.draws import (
    DELAY,
    SOURCE,
    TARGET,
    WEIGHT,
    Stream,
    draw_edges,
    quantile_function,
)

STEP = 0.1
reproducible = settings(derandomize=True, max_examples=60)


@pytest.fixture(scope="module")
def sim():
    namespace = portable_cortex.simulator("mock")
    namespace.setup(timestep=STEP)
    return namespace


@pytest.fixture(scope="module")
def cells(sim):
    return sim.Population(20, sim.IF_curr_exp(), label="cells")


@pytest.fixture(scope="module")
def others(sim):
    return sim.Population(30, sim.IF_curr_exp(), label="others")


@pytest.fixture(scope="module")
def draw(sim):
    def draw(connector, pre, post, synapse=None, seed=1, item=1):
        synapse = synapse or sim.StaticSynapse(weight=0.5, delay=1.0)
        return draw_edges(connector, synapse, pre, post, seed=seed, item=item, timestep=STEP)

    return draw


def random_synapse(sim):
    return sim.StaticSynapse(
        weight=sim.RandomDistribution("normal", mu=0.1, sigma=0.01),
        delay=sim.RandomDistribution("normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=np.inf),
    )


def pairs(edges):
    return list(zip(edges.sources.tolist(), edges.targets.tolist(), strict=True))


# --- streams ---


@reproducible
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 2**32 - 1), st.integers(0, 1000))
def test_random_access_equals_sequential(start, n, seed, item):
    stream = Stream(seed, item, WEIGHT)
    assert np.array_equal(stream.uniform(n, start), stream.uniform(start + n)[start:])


def test_draws_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    stream = Stream(3, 5, TARGET)
    integers, values = stream.integers(1000, 77), stream.values(1000, np.sqrt)
    monkeypatch.setattr(realisation, "CHUNK", 13)
    assert np.array_equal(stream.integers(1000, 77), integers)
    assert np.array_equal(stream.values(1000, np.sqrt), values)


def test_same_key_same_draws():
    assert np.array_equal(Stream(4, 2, DELAY).uniform(100), Stream(4, 2, DELAY).uniform(100))


@reproducible
@given(st.data())
def test_different_keys_different_draws(data):
    key = st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 10_000), st.integers(0, 4))
    one, other = data.draw(st.lists(key, min_size=2, max_size=2, unique=True))
    assert not np.array_equal(Stream(*one).uniform(4), Stream(*other).uniform(4))


def test_neighbouring_keys_are_independent():
    n = 20_000
    draws = [Stream(*key).uniform(n) for key in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1))]
    correlations = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(n)


def test_uniform_draws_are_uniform():
    uniform = Stream(1, 1, SOURCE).uniform(50_000)
    assert 0 < uniform.min() < uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 0.01


@reproducible
@given(st.integers(1, 50), st.integers(1, 2**32 - 1))
def test_integers_are_in_range(high, seed):
    drawn = Stream(seed, 1, TARGET).integers(200, high)
    assert drawn.min() >= 0
    assert drawn.max() < high


def test_generator_is_the_documented_one():
    # A change here means that results of earlier versions cannot be reproduced.
    raw = Stream(1, 3, WEIGHT).uniform(64, start=5).astype("<f8").tobytes()
    assert (
        hashlib.sha256(raw).hexdigest()
        == "1e79a32baff75933a67c1412242ac3d13af4640979a26a8afdfa52b13404eb26"
    )


def test_network_of_a_seed_stays_the_same_between_versions(sim, cells, draw):
    edges = draw(sim.FixedTotalNumberConnector(50), cells, cells, random_synapse(sim), 123, 7)
    raw = b"".join(
        [
            edges.sources.astype("<i8").tobytes(),
            edges.targets.astype("<i8").tobytes(),
            edges.weights.astype("<f4").tobytes(),
            np.round(edges.delays / STEP).astype("<i8").tobytes(),
        ]
    )
    assert (
        hashlib.sha256(raw).hexdigest()
        == "33339329c1db4b30764362dcac9e93c3221e8f22181dc40cadfad41e6870f291"
    )


# --- distributions ---

CONTINUOUS = {
    "normal": ({"mu": 3.0, "sigma": 2.0}, stats.norm(3, 2)),
    "normal_clipped": (
        {"mu": 1.5, "sigma": 0.75, "low": 0.05, "high": 3.0},
        stats.truncnorm((0.05 - 1.5) / 0.75, 2.0, loc=1.5, scale=0.75),
    ),
    "lognormal": ({"mu": 0.5, "sigma": 0.4}, stats.lognorm(0.4, scale=np.exp(0.5))),
    "uniform": ({"low": -2.0, "high": 5.0}, stats.uniform(-2, 7)),
    "exponential": ({"beta": 2.5}, stats.expon(scale=2.5)),
    "gamma": ({"k": 2.0, "theta": 1.5}, stats.gamma(2.0, scale=1.5)),
}
DISCRETE = {
    "uniform_int": ({"low": 2, "high": 9}, stats.randint(2, 9)),
    "poisson": ({"lambda_": 3.5}, stats.poisson(3.5)),
    "binomial": ({"n": 12, "p": 0.3}, stats.binom(12, 0.3)),
}
PARAMETERS = {
    **{name: parameters for name, (parameters, _) in {**CONTINUOUS, **DISCRETE}.items()},
    "normal_clipped_to_boundary": {"mu": 0.0, "sigma": 1.0, "low": -1.0, "high": 0.5},
}


def values(sim, name, parameters, n=20_000):
    distribution = sim.RandomDistribution(name, **parameters)
    return Stream(11, 1, WEIGHT).values(n, quantile_function(distribution))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(sim, name):
    parameters, expected = CONTINUOUS[name]
    assert stats.kstest(values(sim, name, parameters), expected.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(sim, name):
    parameters, expected = DISCRETE[name]
    drawn = values(sim, name, parameters)
    support = np.arange(int(drawn.min()), int(drawn.max()) + 1)
    common = support[expected.pmf(support) * drawn.size > 5]
    observed = np.array([(drawn == k).sum() for k in common])
    probability = expected.pmf(common)
    rest = drawn.size - observed.sum()
    assert np.array_equal(drawn, np.round(drawn))
    assert stats.chisquare(
        [*observed, rest + 1e-9], drawn.size * np.array([*probability, 1 - probability.sum()]),
        sum_check=False,
    ).pvalue > 0.01  # fmt: skip


def test_clipping_to_the_boundary_puts_the_tails_there(sim):
    drawn = values(sim, "normal_clipped_to_boundary", PARAMETERS["normal_clipped_to_boundary"])
    assert (drawn == -1.0).mean() == pytest.approx(stats.norm.cdf(-1.0), abs=0.01)
    assert (drawn == 0.5).mean() == pytest.approx(stats.norm.sf(0.5), abs=0.01)
    inside = drawn[(drawn > -1) & (drawn < 0.5)]
    assert stats.kstest(inside, stats.truncnorm(-1, 0.5).cdf).pvalue > 0.01


@pytest.mark.parametrize("name", PARAMETERS)
def test_distributions_are_those_of_pynn(sim, name):
    parameters = PARAMETERS[name]
    rng = sim.NumpyRNG(seed=5)
    theirs = sim.RandomDistribution(name, rng=rng, **parameters).next(20_000)
    assert stats.ks_2samp(values(sim, name, parameters), theirs).pvalue > 0.01


@pytest.mark.parametrize("sigma", [0.0, 1e-6])
def test_clipped_normal_without_spread(sim, sigma):
    drawn = values(sim, "normal_clipped", {"mu": 2.0, "sigma": sigma, "low": 0.0, "high": 9.0}, 10)
    assert drawn == pytest.approx(np.full(10, 2.0), abs=1e-5)


def test_unknown_distribution_lists_those_that_can_be_drawn():
    class Cauchy:
        name, parameters = "cauchy", {}

    with pytest.raises(UnsupportedError, match=r"'cauchy'.*normal_clipped.*binomial"):
        quantile_function(Cauchy())


# --- connectors ---


def connectors(sim):
    """Every connector that can be drawn between 20 and 30 neurons, with its number of synapses."""
    return {
        "total": (sim.FixedTotalNumberConnector(170), 170),
        "pre": (sim.FixedNumberPreConnector(7), 210),
        "pre, multapses": (sim.FixedNumberPreConnector(7, with_replacement=True), 210),
        "post": (sim.FixedNumberPostConnector(7), 140),
        "post, multapses": (sim.FixedNumberPostConnector(7, with_replacement=True), 140),
        "all": (sim.AllToAllConnector(), 600),
        "one to one": (sim.OneToOneConnector(), 20),
        "list": (
            sim.FromListConnector([(9, 2, 0.3, 1.0), (0, 29, 0.1, 0.4), (9, 2, 0.2, 2.0)]),
            3,
        ),
    }


KINDS = (
    "total", "pre", "pre, multapses", "post", "post, multapses", "all", "one to one", "list"
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:OneToOneConnector")
@pytest.mark.parametrize("kind", KINDS)
def test_every_connector_keeps_the_promises_of_edges(sim, cells, others, draw, kind):
    connector, n = connectors(sim)[kind]
    edges = draw(connector, cells, others, random_synapse(sim))
    assert [column.size for column in edges] == [n] * 4
    assert np.all(np.diff(edges.sources) >= 0)
    assert edges.sources.min() >= 0
    assert edges.sources.max() < 20
    assert edges.targets.min() >= 0
    assert edges.targets.max() < 30
    assert np.array_equal(edges.weights, edges.weights.astype(np.float32))
    steps = edges.delays / STEP
    assert steps == pytest.approx(np.round(steps), abs=1e-6)
    assert edges.delays.min() >= STEP


@pytest.mark.filterwarnings("ignore:OneToOneConnector")
@pytest.mark.parametrize("kind", KINDS)
def test_every_connector_repeats_itself(sim, cells, others, draw, kind):
    connector, _ = connectors(sim)[kind]
    first = draw(connector, cells, others, random_synapse(sim), seed=3, item=4)
    again = draw(connector, cells, others, random_synapse(sim), seed=3, item=4)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("key", [{"seed": 2}, {"item": 2}])
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("all", "one to one", "list")])
def test_another_seed_or_projection_is_another_network(sim, cells, others, draw, kind, key):
    connector, _ = connectors(sim)[kind]
    one = draw(connector, cells, others, random_synapse(sim))
    other = draw(connector, cells, others, random_synapse(sim), **key)
    assert pairs(one) != pairs(other)
    assert not np.array_equal(one.weights, other.weights)


def test_weights_do_not_depend_on_delays(sim, cells, others, draw):
    connector = sim.FixedTotalNumberConnector(100)
    weight = sim.RandomDistribution("normal", mu=1.0, sigma=0.1)
    fixed = draw(connector, cells, others, sim.StaticSynapse(weight=weight, delay=1.0))
    both = draw(connector, cells, others, random_synapse(sim))
    assert pairs(fixed) == pairs(both)
    assert (fixed.weights - 1.0) / 0.1 == pytest.approx((both.weights - 0.1) / 0.01, abs=1e-4)


@pytest.mark.parametrize("replacement", [False, True])
def test_fixed_number_pre(sim, cells, others, draw, replacement):
    connector = sim.FixedNumberPreConnector(7, with_replacement=replacement)
    edges = draw(connector, cells, others)
    assert np.all(np.bincount(edges.targets, minlength=30) == 7)
    assert (len(set(pairs(edges))) == 210) is not replacement


@pytest.mark.parametrize("replacement", [False, True])
def test_fixed_number_post(sim, cells, others, draw, replacement):
    connector = sim.FixedNumberPostConnector(7, with_replacement=replacement)
    edges = draw(connector, cells, others)
    assert np.all(np.bincount(edges.sources, minlength=20) == 7)
    assert (len(set(pairs(edges))) == 140) is not replacement


def test_choice_without_replacement_can_take_everybody(sim, cells, draw):
    everybody = draw(sim.FixedNumberPreConnector(19, allow_self_connections=False), cells, cells)
    assert set(pairs(everybody)) == {(i, j) for i in range(20) for j in range(20) if i != j}


@pytest.mark.parametrize("kind", ["FixedNumberPreConnector", "FixedNumberPostConnector"])
def test_choice_without_replacement_of_too_many(sim, cells, draw, kind):
    connector = getattr(sim, kind)(20, allow_self_connections=False)
    with pytest.raises(InvalidValueError, match="20 different neurons cannot be chosen of 19"):
        draw(connector, cells, cells)


def self_connecting(sim, allowed):
    common = {"allow_self_connections": allowed}
    return {
        "total": sim.FixedTotalNumberConnector(4000, **common),
        "pre": sim.FixedNumberPreConnector(12, **common),
        "pre, multapses": sim.FixedNumberPreConnector(60, with_replacement=True, **common),
        "post": sim.FixedNumberPostConnector(12, **common),
        "post, multapses": sim.FixedNumberPostConnector(60, with_replacement=True, **common),
        "probability": sim.FixedProbabilityConnector(0.5, **common),
        "all": sim.AllToAllConnector(**common),
    }


@pytest.mark.parametrize(
    "kind",
    ["total", "pre", "pre, multapses", "post", "post, multapses", "probability", "all"],
)
def test_self_connections_only_where_they_are_allowed(sim, cells, draw, kind):
    allowed = draw(self_connecting(sim, True)[kind], cells, cells)
    forbidden = draw(self_connecting(sim, False)[kind], cells, cells)
    assert np.any(allowed.sources == allowed.targets)
    assert not np.any(forbidden.sources == forbidden.targets)
    # every other pair can still occur, the last neuron included
    assert {0, 19} <= set(forbidden.targets) & set(forbidden.sources)


def test_without_self_connections_all_other_pairs_are_equally_likely(sim, cells, draw):
    edges = draw(sim.FixedTotalNumberConnector(40_000, allow_self_connections=False), cells, cells)
    counts = np.bincount(edges.sources * 20 + edges.targets, minlength=400).reshape(20, 20)
    others = counts[~np.eye(20, dtype=bool)]
    assert others.sum() == 40_000
    assert stats.chisquare(others).pvalue > 0.01


def test_self_connections_between_equal_parts_of_a_population(sim, cells, draw):
    connector = sim.AllToAllConnector(allow_self_connections=False)
    edges = draw(connector, cells[:5], cells[:5])
    assert set(pairs(edges)) == {(i, j) for i in range(5) for j in range(5) if i != j}


def test_self_connections_between_parts_that_share_neurons(sim, cells, draw):
    connector = sim.AllToAllConnector(allow_self_connections=False)
    edges = draw(connector, cells[:4], cells[2:7])
    assert set(pairs(edges)) == {(i, j) for i in range(4) for j in range(5)} - {(2, 0), (3, 1)}
    itself = {(2, 0), (3, 1)}
    for kind, n in (("Pre", 3), ("Post", 4)):  # as many as the neurons that have fewest partners
        make = getattr(sim, f"FixedNumber{kind}Connector")
        for replacement in (False, True):
            connector = make(n, allow_self_connections=False, with_replacement=replacement)
            edges = draw(connector, cells[:4], cells[2:7])
            assert not itself & set(pairs(edges))
            degrees = np.bincount(edges.targets if kind == "Pre" else edges.sources)
            assert np.all(degrees == n)
            assert replacement or len(set(pairs(edges))) == edges.sources.size
    connector = sim.FixedTotalNumberConnector(500, allow_self_connections=False)
    total = draw(connector, cells[:4], cells[2:7])
    assert total.sources.size == 500
    assert set(pairs(total)) == {(i, j) for i in range(4) for j in range(5)} - itself


def test_a_single_neuron_has_no_partner_but_itself(sim, draw):
    # There is no such network; targets beyond the population would be the worst of answers.
    single = sim.Population(1, sim.IF_curr_exp())
    for connector in (
        sim.FixedTotalNumberConnector(5, allow_self_connections=False),
        sim.FixedNumberPostConnector(5, allow_self_connections=False, with_replacement=True),
        sim.FixedNumberPreConnector(5, allow_self_connections=False, with_replacement=True),
    ):
        with pytest.raises(InvalidValueError, match="no other"):
            draw(connector, single, single)


def test_fixed_total_number_is_multinomial(sim, cells, others, draw):
    edges = draw(sim.FixedTotalNumberConnector(30_000), cells, others)
    assert stats.chisquare(np.bincount(edges.sources, minlength=20)).pvalue > 0.01
    assert stats.chisquare(np.bincount(edges.targets, minlength=30)).pvalue > 0.01


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_fixed_probability(sim, draw, p):
    pre, post = sim.Population(100, sim.IF_curr_exp()), sim.Population(120, sim.IF_curr_exp())
    edges = draw(sim.FixedProbabilityConnector(p), pre, post)
    assert len(set(pairs(edges))) == edges.sources.size
    assert abs(edges.sources.size - 12_000 * p) <= 4 * np.sqrt(12_000 * p * (1 - p))
    assert np.all(np.diff(edges.sources) >= 0)


@pytest.mark.filterwarnings("ignore:OneToOneConnector")
def test_all_to_all_and_one_to_one(sim, cells, others, draw):
    everything = draw(sim.AllToAllConnector(), cells, others)
    assert pairs(everything) == [(i, j) for i in range(20) for j in range(30)]
    assert pairs(draw(sim.OneToOneConnector(), cells, others)) == [(i, i) for i in range(20)]


def test_list_is_taken_as_it_is(sim, cells, others, draw):
    connector = sim.FromListConnector([(9, 2, 0.25, 1.0), (0, 29, 0.5, 0.44), (9, 2, 0.75, 0.05)])
    edges = draw(connector, cells, others)
    rows = sorted(zip(*(column.tolist() for column in edges), strict=True))
    # 0.44 ms is not on the grid of 0.1 ms, and a half goes up
    assert rows == [(0, 29, 0.5, 0.4), (9, 2, 0.25, 1.0), (9, 2, 0.75, 0.1)]


def test_list_without_weights_takes_those_of_the_synapse(sim, cells, others, draw):
    edges = draw(sim.FromListConnector([(3, 4), (5, 6)]), cells, others)
    assert edges.weights.tolist() == [0.5, 0.5]
    assert edges.delays.tolist() == [1.0, 1.0]


def test_list_from_a_file(sim, cells, others, draw, tmp_path):
    np.savetxt(tmp_path / "list.txt", [[0, 29, 0.5, 0.4], [9, 2, 0.25, 1.0]])
    edges = draw(sim.FromFileConnector(str(tmp_path / "list.txt")), cells, others)
    assert pairs(edges) == [(0, 29), (9, 2)]


def test_empty_projections(sim, cells, others, draw):
    for connector in (
        sim.FixedTotalNumberConnector(0),
        sim.FixedNumberPreConnector(0),
        sim.FixedNumberPostConnector(0),
        sim.FixedProbabilityConnector(0.0),
        sim.FromListConnector([]),
    ):
        assert pairs(draw(connector, cells, others, random_synapse(sim))) == []


def test_weights_as_a_matrix(sim, cells, others, draw):
    matrix = np.arange(600.0).reshape(20, 30)
    synapse = sim.StaticSynapse(weight=matrix, delay=1.0)
    edges = draw(sim.FixedNumberPostConnector(3), cells, others, synapse)
    assert np.array_equal(edges.weights, matrix[edges.sources, edges.targets])


def test_a_synapse_type_can_be_used_for_several_projections(sim, cells, others):
    synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
    for pre, post in ((cells, others), (others, cells), (cells[:5], others)):
        projection = sim.Projection(pre, post, sim.AllToAllConnector(), synapse)
        assert len(projection) == pre.size * post.size


def test_delays_shorter_than_a_step_are_refused(sim, cells, draw):
    delay = sim.RandomDistribution("normal", mu=0.0, sigma=0.5)
    with pytest.raises(sim.errors.ConnectionError, match="one time step"):
        draw(sim.AllToAllConnector(), cells, cells, sim.StaticSynapse(weight=1.0, delay=delay))


def test_a_mask_is_taken_as_it_is(sim, cells, others, draw):
    mask = np.zeros((20, 30), bool)
    mask[[3, 3, 7], [2, 29, 0]] = True
    assert pairs(draw(sim.ArrayConnector(mask), cells, others)) == [(3, 2), (3, 29), (7, 0)]
    with pytest.raises(InvalidValueError, match="shape"):
        draw(sim.ArrayConnector(mask.T), cells, others)


def test_small_world(sim, cells, draw):
    def near(connector):
        edges = draw(connector, cells, cells)
        assert len(set(pairs(edges))) == edges.sources.size
        return edges

    ring = near(sim.SmallWorldConnector(2.5, 0.0, allow_self_connections=False))
    expected = {(i, j) for i in range(20) for j in range(20) if 0 < abs(i - j) <= 2}
    assert set(pairs(ring)) == expected
    some = near(sim.SmallWorldConnector(3.5, 0.0, n_connections=3))
    assert np.all(np.bincount(some.sources) == 3)
    assert np.all(abs(some.sources - some.targets) <= 3)
    for rewiring in (0.3, 1.0):
        rewired = near(sim.SmallWorldConnector(2.5, rewiring, allow_self_connections=False))
        assert np.all(np.bincount(rewired.sources) == np.bincount(ring.sources))
        assert np.all(rewired.sources != rewired.targets)
        kept = len(expected & set(pairs(rewired))) / len(expected)
        # those that leave may come back to a place that another has left
        assert abs(kept - (1 - rewiring)) < 0.2


def test_weights_that_are_functions(sim, cells, others, draw):
    synapse = sim.StaticSynapse(weight="0.25 * d", delay=1.0)
    edges = draw(sim.FixedProbabilityConnector(0.3), cells, others, synapse)
    distance = abs(edges.sources - edges.targets)  # both are lines
    np.testing.assert_array_equal(edges.weights, 0.25 * distance)


def test_different_pairs_are_equally_likely():
    from portable_cortex.pynn.draws import _first_different

    counts = np.zeros(20)
    for item in range(4000):
        chosen = _first_different(Stream(1, item, SOURCE), 5, 20)
        assert len(set(chosen.tolist())) == 5
        counts[chosen] += 1
    # each of 20 is chosen by a fourth
    assert abs(counts / 4000 - 0.25).max() < 4 * (0.25 * 0.75 / 4000) ** 0.5


# --- what it cannot draw ---


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda sim: sim.DistanceDependentProbabilityConnector("d < 3"), "DistanceDependent"),
        (
            lambda sim: sim.FixedTotalNumberConnector(5, allow_self_connections="NoMutual"),
            "NoMutual",
        ),
        (
            lambda sim: sim.FixedNumberPreConnector(
                sim.RandomDistribution("uniform_int", low=1, high=3)
            ),
            "random number",
        ),
    ],
)
def test_connectors_that_cannot_be_drawn(sim, cells, draw, make, named):
    with pytest.raises(UnsupportedError, match=named):
        draw(make(sim), cells, cells)

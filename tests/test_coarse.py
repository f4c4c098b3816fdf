"""The coarse backend: inputs, tables, the solver, and rates beside those of simulated networks."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portable_cortex
from portable_cortex import Recording
from portable_cortex.backends.coarse import _columns, _library, _neurons, _solver, _table
from portable_cortex.backends.coarse._inputs import inputs_of
from portable_cortex.backends.coarse._library import Populations
from portable_cortex.backends.coarse._simulated import Group, Kind, Trial, counts_of
from portable_cortex.errors import InvalidValueError, SimulationError, UnsupportedError
from portable_cortex.models.cortical_sheet import orientations, selectivity, shares
from portable_cortex.models.loader import load_model
from portable_cortex.pynn.description import describe
from portable_cortex.recording import sheet_figure
from portable_cortex.theory import predict
from portable_cortex.validation.verdict import examine

LIF = {"v_rest": -65.0, "cm": 0.25, "tau_m": 10.0, "tau_refrac": 2.0, "tau_syn_E": 0.5,
       "tau_syn_I": 0.5, "i_offset": 0.0, "v_reset": -65.0, "v_thresh": -50.0}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Tables of its own, beside the code that is compiled for all."""
    for module in (_library, _columns):
        monkeypatch.setattr(module, "writable_cache", lambda name: tmp_path / name)


def solve(build, **options):
    sim = portable_cortex.simulator("coarse", options=options)
    sim.setup(timestep=0.1)
    populations = build(sim)
    sim.run(1.0)
    return sim, populations


# --- inputs ---------------------------------------------------------------------------------------


def test_inputs_are_those_of_theory():
    """Mean, fluctuation and spread over neurons, in millivolts, of the full microcircuit."""
    network = predict("pd14", scale=1.0).network
    inputs = inputs_of(describe(load_model("pd14"), {"scale": 1.0}))
    rates = np.array([1.0, 3.0, 4.0, 6.0, 7.0, 8.0, 1.0, 7.0])
    found = inputs.received(rates, 2 * rates**2)
    to_mv = 0.5 / 0.25 * np.array([1.0, -1.0])  # of a weight
    expected = network.input(rates)
    np.testing.assert_allclose(0.01 * found.mean @ to_mv, expected.mean, rtol=1e-9)
    square = 0.01 * (found.mean * found.weight) @ to_mv**2
    np.testing.assert_allclose(np.sqrt(square), expected.deviation, rtol=1e-9)
    spread = 0.01 * np.sqrt(found.spread**2 @ to_mv**2)
    np.testing.assert_allclose(spread, network.spread(rates, 2 * rates**2), rtol=1e-9)


def test_in_degrees_that_go_together_are_taken_together():
    """Each neuron has 40 synapses, some from one population and the others from a second."""
    sim = portable_cortex.simulator("coarse")
    sim.setup(timestep=0.1)
    first, second, target = (
        sim.Population(100, sim.IF_curr_exp(), label=name) for name in ("first", "second", "target")
    )
    n_first = np.random.default_rng(3).binomial(40, 0.4, target.size)
    for source, numbers in ((first, n_first), (second, 40 - n_first)):
        rows = [(i, j, 0.1, 1.0) for j, n in enumerate(numbers) for i in range(n)]
        sim.Projection(source, target, sim.FromListConnector(rows), sim.StaticSynapse())
    sim.state.prepare()
    for rates in ([5.0, 5.0, 0.0], [5.0, 10.0, 0.0]):
        of_each = 0.1 * (rates[0] * n_first + rates[1] * (40 - n_first))
        found = sim.state.inputs.received(np.array(rates), np.array(rates) ** 2)
        assert found.mean[2, 0] == pytest.approx(of_each.mean())
        assert found.spread[2, 0] == pytest.approx(of_each.std(), abs=1e-6)


def test_a_network_of_millions_takes_no_array_of_its_neurons():
    def build(sim):
        cells = sim.Population(50_000_000, sim.IF_curr_exp(), label="many")
        source = sim.Population(50_000_000, sim.SpikeSourcePoisson(rate=8000.0))
        synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
        return cells

    sim, cells = solve(build, library="theory")
    assert cells.size == len(cells.all_cells) == 50_000_000
    assert int(cells[49_999_999]) == 49_999_999
    assert sim.rates()["many"] > 1


# --- solver ---------------------------------------------------------------------------------------


def test_theory_gives_the_working_point():
    """The same fixed point as Newton's method of the theory, up to how neurons are averaged."""
    expected = predict("pd14", scale=1.0).rates
    recording = portable_cortex.run(
        backend="coarse", options={"library": "theory"}, scale=1.0, duration=10.0
    )
    assert recording.rates() == pytest.approx(expected, rel=0.03)
    report = recording.metadata["machine_report"]
    assert max(report["from_other_states"]) < 1e-3
    assert report["history"][-1] < _solver.TOLERANCE < report["history"][0]


def test_one_solution_starts_the_next():
    """Of a network with two states, the one that it came from stays."""

    def build(sim):
        cells = sim.Population(1000, sim.IF_curr_exp(**LIF), label="cells")
        source = sim.Population(1000, sim.SpikeSourcePoisson(rate=2000.0), label="source")
        synapse = sim.StaticSynapse(weight=0.2, delay=1.0)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
        synapse = sim.StaticSynapse(weight=0.15, delay=1.0)
        sim.Projection(cells, cells, sim.FixedNumberPreConnector(130), synapse)
        return source

    sim, source = solve(build, library="theory")
    rates = [sim.rates()["cells"]]
    for rate in (3500.0, 2000.0):
        source.set(rate=rate)
        sim.run(1.0)
        rates.append(sim.rates()["cells"])
    low, high, again = rates
    assert low < 1
    assert high > again > 200  # from below it stays low, from above high


class Linear:
    """Responses that are a matrix: the solution is known."""

    seconds = 0.0

    def __init__(self, gain):
        self.gain = gain

    def rates(self, populations, means, weights):
        return self.gain * (means[:, 0] - means[:, 1]), np.full(len(means), 0.01)

    def kinds(self, n):
        return np.arange(n)

    def interpolation_errors(self, n):
        return np.zeros(n)


def linear_network(matrix, drive):
    def build(sim):
        cells = [sim.Population(100, sim.IF_curr_exp(), label=f"P{i}") for i in range(len(drive))]
        for i, rate in enumerate(drive):
            source = sim.Population(100, sim.SpikeSourcePoisson(rate=rate))
            synapse = sim.StaticSynapse(weight=1.0, delay=1.0)
            sim.Projection(source, cells[i], sim.OneToOneConnector(), synapse)
            for j, weight in enumerate(matrix[i]):
                if weight:
                    synapse = sim.StaticSynapse(weight=weight, delay=1.0)
                    kind = "excitatory" if weight > 0 else "inhibitory"
                    connector = sim.FixedNumberPreConnector(1)
                    sim.Projection(cells[j], cells[i], connector, synapse, receptor_type=kind)
        return {p.label: p for p in cells}

    from portable_cortex.models.loader import Model

    return inputs_of(describe(Model("linear", build), {}))


@given(
    st.lists(st.floats(-0.9, 0.9), min_size=9, max_size=9),
    st.lists(st.floats(5.0, 50.0), min_size=3, max_size=3),
    st.floats(0.0, 3.0),
)
@settings(max_examples=40, deadline=None)
def test_a_linear_network_is_solved(entries, drive, start):
    """Against the inverse of the matrix, from any start, with the errors that follow from it."""
    matrix = np.round(np.reshape(entries, (3, 3)), 2) / 2
    matrix[np.abs(matrix) < 0.05] = 0.0
    expected = np.linalg.solve(np.eye(3) - matrix, drive)
    if expected.min() < 1.0:  # where a rate would be negative, it is another problem
        return
    found = _solver.solved(
        Populations(linear_network(matrix, drive), Linear(1.0)), start * expected, tolerance=1e-9
    )
    np.testing.assert_allclose(found.rates, expected, rtol=1e-5)
    errors = np.sqrt(np.linalg.inv(np.eye(3) - matrix) ** 2 @ (0.01 * expected) ** 2)
    np.testing.assert_allclose(found.errors, errors, rtol=0.05)


def test_without_a_stationary_state_it_says_so():
    network = Populations(linear_network(np.array([[1.5]]), [10.0]), Linear(1.0))
    with pytest.raises(portable_cortex.errors.SimulationError, match="no stationary state"):
        _solver.solved(network, np.array([1.0]))


# --- tables ---------------------------------------------------------------------------------------


def table(tmp_path, steps, weights, rate, seconds=400.0):
    """A table whose tiles are counts of a formula, without chance."""
    kind = Kind("IF_curr_exp", None, LIF, ("excitatory", "inhibitory")[: len(steps)],
                (1, -1)[: len(steps)], 0.1)  # fmt: skip
    made = _table.Table(_table.Settings(kind, steps, weights, seconds), tmp_path / "table")

    def fill(means):
        for place in made.missing(means):
            points = made.trial(place).groups
            spikes = []
            for point in points:
                inputs = np.array(point.rates) * np.array(point.weights)
                expected = rate(inputs, np.array(point.weights))
                spikes.append(round(expected * seconds * point.neurons / _table.NEURONS))
            made.add(place, spikes)

    return made, fill


def smooth(inputs, weights):
    """A rate that is no quadratic function."""
    net = inputs[0] - (inputs[1] if len(inputs) > 1 else 0.0)
    return 200 / (1 + np.exp(-0.3 * (net - 10) - 2 * (weights[0] - 0.1)))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("weights", [((0.1,), (0.3,)), ((0.08, 0.12, 0.18), (0.3,))])
def test_between_points_a_table_is_exact(tmp_path, n, weights):
    made, fill = table(tmp_path, (1.0, 1.0)[:n], weights[:n], smooth)
    rng = np.random.default_rng(2)
    means = np.zeros((200, 2))
    means[:, :n] = rng.uniform(2.0, 20.0, (200, n))
    own = np.ones((200, 2))
    own[:, 0] = rng.uniform(weights[0][0], weights[0][-1], 200)
    fill(means)
    assert made.missing(means) == []
    rates, errors = made.rates(means, own)
    expected = [smooth(m[:n], w) for m, w in zip(means, own, strict=True)]
    busy = np.array(expected) > 5
    assert busy.sum() > 20
    np.testing.assert_allclose(rates[busy], np.array(expected)[busy], rtol=0.01)
    assert np.all((errors[busy] > 0) & (errors[busy] < 0.02))
    elsewhere = np.zeros((300, 2))
    elsewhere[:, :n] = rng.uniform(0.0, 40.0, (300, n))
    known = [made.missing(place[np.newaxis]) for place in elsewhere]
    made._fits = None  # which is only a shorter way to the same
    assert known == [made.missing(place[np.newaxis]) for place in elsewhere]
    assert [] in known
    assert any(known)
    squares = made.checked()
    assert squares.size > 0
    assert np.sqrt(max(squares.mean(), 0)) < 0.01


def test_half_the_distance_between_points_changes_nothing(tmp_path):
    """Less than 1 %, where there are spikes enough to tell."""
    rng = np.random.default_rng(4)
    means, one = rng.uniform(4.0, 20.0, (200, 2)), np.full((200, 2), [0.1, 0.3])
    found = []
    for step in (1.0, 0.5):
        made, fill = table(tmp_path / str(step), (step, step), ((0.1,), (0.3,)), smooth)
        fill(means)
        found.append(made.rates(means, one)[0])
    busy = found[0] > 5
    assert busy.sum() > 20
    np.testing.assert_allclose(found[0][busy], found[1][busy], rtol=0.01)


def test_a_table_is_there_again_whoever_asks_first(tmp_path):
    """What a tile holds does not depend on the others; a damaged file is made anew."""
    made, fill = table(tmp_path, (1.0, 1.0), ((0.1,), (0.3,)), smooth)
    means = np.array([[10.0, 5.0], [3.0, 4.0]])
    fill(means)
    again = _table.Table(made.settings, made.folder)
    assert again.read(again.missing(means)) == []
    one = np.full((2, 2), [0.1, 0.3])
    np.testing.assert_array_equal(again.rates(means, one)[0], made.rates(means, one)[0])
    place = next(iter(made.tiles))
    assert made.trial(place) == again.trial(place)
    damaged = made.folder / f"{place[0]}_{place[1]}.json"
    damaged.write_text("{")
    third = _table.Table(made.settings, made.folder)
    assert third.read(third.missing(means)) == [place]


def test_tables_are_told_apart_by_all_that_they_depend_on():
    kind = Kind("IF_curr_exp", None, LIF, ("excitatory",), (1,), 0.1)
    first = _table.Settings(kind, (1.0,), ((0.1,),), 400.0)
    other = Kind("IF_curr_exp", None, {**LIF, "tau_m": 11.0}, ("excitatory",), (1,), 0.1)
    others = [
        _table.Settings(other, (1.0,), ((0.1,),), 400.0),
        _table.Settings(kind, (2.0,), ((0.1,),), 400.0),
        _table.Settings(kind, (1.0,), ((0.2,),), 400.0),
        _table.Settings(kind, (1.0,), ((0.1,),), 200.0),
    ]
    assert len({s.key for s in (first, *others)}) == 5


# --- simulated neurons ----------------------------------------------------------------------------


def small(sim, cells=None, weight=0.3):
    cells = cells or sim.IF_curr_exp(**LIF)
    population = sim.Population(200, cells, label="cells")
    source = sim.Population(200, sim.SpikeSourcePoisson(rate=2600.0))
    sim.Projection(
        source, population, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight, delay=0.1)
    )
    sim.Projection(
        population, population, sim.FixedNumberPreConnector(40),
        sim.StaticSynapse(weight=-0.3, delay=1.0), receptor_type="inhibitory",
    )  # fmt: skip
    return population


def test_a_small_network_fires_as_simulated():
    """Tables of simulated neurons against the network itself, on the built-in engine."""
    sim, _ = solve(small, point_seconds="40", spacing="0.5", threads="2")
    found = sim.state.found
    builtin = portable_cortex.simulator("builtin", options={"threads": "2"})
    builtin.setup(timestep=0.1, rng_seed=5)
    population = small(builtin)
    population.record("spikes")
    builtin.run(10_000.0)
    expected = population.mean_spike_count() / 10.0
    assert sim.rates()["cells"] == pytest.approx(expected, rel=0.08)
    assert 0 < found.solution.errors[0] < 0.1 * expected
    assert max(found.again) < 1e-3
    # the second time tables are there
    again, _ = solve(small, point_seconds="40", spacing="0.5", threads="2")
    assert again.rates() == sim.rates()
    assert again.state.found.circuit.details()["parts_made"] == 0


def test_neurons_without_a_table_fire_as_those_with_one(monkeypatch):
    """Within the errors that both state, and as fast from another state as well."""
    settings = {"point_seconds": "40", "threads": "2"}
    monkeypatch.setattr(_neurons, "UPDATES", 14)
    monkeypatch.setattr(_neurons, "FIRST", 4)
    tables, _ = solve(small, spacing="0.5", **settings)
    sim, _ = solve(small, library="neurons", **settings)
    found, expected = sim.state.found, tables.state.found.solution
    (error,) = np.hypot(found.solution.errors, expected.errors)
    assert 0 < found.solution.errors[0] < 0.05 * expected.rates[0]
    assert abs(sim.rates()["cells"] - expected.rates[0]) < 4 * error
    assert max(found.again) * (1 + expected.rates[0]) < 8 * found.solution.errors[0]
    assert found.circuit.details() == {"library": "neurons", "neuron_seconds": 40.0}
    assert found.circuit.seconds > 0


def test_neurons_that_run_away_have_no_stationary_state(monkeypatch):
    """Where updates do not come to rest, no rate is stated."""

    def away(self, state, seed):
        self.counts = np.zeros((1, 3))
        return 1 + 1.5 * state

    sim, _ = solve(small, library="theory")
    neurons = _neurons.Neurons(sim.state.inputs, 0.1, 10.0, 2, lambda *said: None)
    monkeypatch.setattr(_neurons.Simulated, "gains", lambda self, state, seed: np.zeros((1, 1)))
    monkeypatch.setattr(_neurons.Simulated, "caused", away)
    with pytest.raises(SimulationError, match="no stationary state was found in 30 updates: cells"):
        neurons.settled(np.array([5.0]))


def test_populations_with_other_input_have_tables_of_their_own():
    """Equal neurons, of which some get few large spikes: the others' points lie close as before."""
    sim = portable_cortex.simulator("coarse", options={"point_seconds": "10", "spacing": "0.5"})
    sim.setup(timestep=0.1)
    many, few = (sim.Population(100, sim.IF_curr_exp(**LIF), label=n) for n in ("many", "few"))
    for cells, rate, weight in ((many, 9500.0, 0.0878), (few, 40.0, 10.0)):
        source = sim.Population(100, sim.SpikeSourcePoisson(rate=rate))
        synapse = sim.StaticSynapse(weight=weight, delay=0.1)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
    sim.run(1.0)
    assert sim.rates()["many"] == pytest.approx(40.04, rel=0.06)  # of a simulation


def test_neurons_that_adapt_slowly_are_told_from_stationary_ones():
    counts = []
    for tau in (5.0, 5000.0):
        parameters = {"q_sfa": 0.5, "tau_sfa": tau, "q_rr": 0.0, "i_offset": 1.0}
        kind = Kind("IF_cond_exp_gsfa_grr", None, parameters, (), (), 0.5)
        counts.append(counts_of(Trial([kind], [Group(0, 50, (), ())], [], 1, 1000.0)))
    _library.check_stationary(kind, 1000.0, 50.0, counts[0])
    with pytest.raises(SimulationError, match="no stationary rate in the 1 s that"):
        _library.check_stationary(kind, 1000.0, 50.0, counts[1])


def test_few_large_weights_among_many_small_ones_are_refused():
    """These cells fire at 2.5 spikes/s; with one train of the same two moments at 1.6."""

    def build(sim):
        cells = sim.Population(100, sim.IF_curr_exp(**LIF), label="cells")
        for rate, weight in ((6500.0, 0.0878), (5.0, 2.0)):
            source = sim.Population(100, sim.SpikeSourcePoisson(rate=rate))
            synapse = sim.StaticSynapse(weight=weight, delay=0.1)
            sim.Projection(source, cells, sim.OneToOneConnector(), synapse)

    with pytest.raises(UnsupportedError, match="weights at receptor excitatory of cells differ"):
        solve(build, library="theory")


def test_inputs_that_go_together_at_both_receptors():
    """More excitation comes with more inhibition, neuron by neuron: neurons hardly differ."""

    def build(sim, flipped):
        cells = sim.Population(200, sim.IF_curr_exp(**LIF), label="cells")
        numbers = 60 + np.arange(200) % 81
        source = sim.Population(200, sim.SpikeSourcePoisson(rate=100.0))
        for receptor, weight in (("excitatory", 0.15), ("inhibitory", -0.1)):
            own = numbers[::-1] if flipped and weight < 0 else numbers
            rows = [(i, j, weight, 1.0) for j, n in enumerate(own) for i in range(n)]
            connector = sim.FromListConnector(rows)
            sim.Projection(source, cells, connector, sim.StaticSynapse(), receptor_type=receptor)

    together, apart = (
        solve(lambda sim, f=f: build(sim, f), library="theory")[0] for f in (False, True)
    )
    received = together.state.inputs.received(np.zeros(1), np.zeros(1))
    assert received.correlation[0] == pytest.approx(1.0)
    assert apart.state.inputs.received(np.zeros(1), np.zeros(1)).correlation[0] < 0.5
    assert apart.rates()["cells"] != pytest.approx(together.rates()["cells"], rel=0.02)


def test_any_neuron_of_the_catalogue_has_a_table():
    def build(sim):
        return small(sim, sim.nestml_cell_type("Adapting", "mat2_curr_exp")(), weight=0.5)

    sim, _ = solve(build, point_seconds="10", spacing="1.0", threads="2")
    assert 1 < sim.rates()["cells"] < 200


def test_a_network_that_can_run_away_is_looked_for_from_silence():
    """From five spikes a second its excitation would drive it on, to hundreds of them."""

    def build(sim):
        cells = sim.nestml_cell_type("Adapting", "mat2_curr_exp")()
        population = sim.Population(200, cells, label="cells")
        source = sim.Population(200, sim.SpikeSourcePoisson(rate=150.0))
        outer, inner = (sim.StaticSynapse(weight=w, delay=1.0) for w in (0.5, 0.3))
        sim.Projection(source, population, sim.OneToOneConnector(), outer)
        sim.Projection(population, population, sim.FixedNumberPreConnector(100), inner)

    sim, _ = solve(build, point_seconds="10", spacing="1.0", threads="2")
    assert sim.rates()["cells"] < 1


def test_rates_go_by_population_whatever_they_are_called(tmp_path):
    """A model's names, sources, weights of 0, and a neuron that nothing comes to."""
    model = tmp_path / "mine.py"
    model.write_text("""
def build(sim):
    neuron = sim.IF_curr_exp(cm=0.25, tau_m=10.0, tau_syn_E=0.5, tau_syn_I=0.5)
    first, second = (sim.Population(50, neuron, label="same") for _ in range(2))
    alone = sim.Population(50, sim.IF_curr_exp(i_offset=0.2, cm=0.25, tau_m=10.0), label="alone")
    source = sim.Population(50, sim.SpikeSourcePoisson(rate=11000.0), label="source")
    for cells, weight in ((first, 0.1), (second, 0.11)):
        sim.Projection(source, cells, sim.OneToOneConnector(),
                       sim.StaticSynapse(weight=weight, delay=1.0))
    sim.Projection(first, second, sim.AllToAllConnector(),
                   sim.StaticSynapse(weight=0.0, delay=1.0), receptor_type="inhibitory")
    return {"one": first, "two": second, "three": alone, "input": source}
""")
    found = portable_cortex.run(
        backend="coarse", model=model, options={"library": "theory"}, duration=10.0
    )
    rates = found.rates()
    assert rates["input"] == 11000.0
    assert 0 < rates["one"] < rates["two"]
    # 8 mV above rest: below threshold, and without noise it never gets there
    assert rates["three"] == 0.0
    sim = portable_cortex.simulator("coarse", options={"library": "theory"})
    sim.setup()
    for _ in range(2):
        sim.Population(5, sim.IF_curr_exp(i_offset=1.0), label="same")
    sim.run(1.0)
    with pytest.raises(portable_cortex.errors.ModelError, match="several populations are called"):
        sim.rates()


@pytest.mark.parametrize("celltype", ["IF_curr_exp", "IF_cond_exp"])  # theory knows the first
def test_a_neuron_that_nothing_comes_to_fires_by_its_current(celltype):
    def build(sim):
        cells = getattr(sim, celltype)(**{**LIF, "i_offset": 0.5})
        return sim.Population(10, cells, label="cells")

    sim, _ = solve(build, point_seconds="100", threads="1")
    interval = 2.0 + 10.0 * np.log(20.0 / 5.0)  # 20 mV above rest, threshold at 15 mV
    assert sim.rates()["cells"] == pytest.approx(1e3 / interval, rel=0.02)


# --- whole columns --------------------------------------------------------------------------------


def box(axes, seed=3):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (20, axes)) @ rng.uniform(-1, 1, (axes, 12)) + 5.0
    return _columns.Box.around(corners, np.full(12, 2.0), 0.0), corners


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_a_box_holds_what_it_is_around(axes):
    found, corners = box(axes)
    assert len(found.axes) == axes
    assert found.holds(corners)
    np.testing.assert_allclose(found.drives(found.places(corners)), corners, atol=2e-3)
    aside = corners.copy()
    aside[0, 0] += 0.1
    assert not found.holds(aside)
    if axes:
        assert not found.holds(3 * (corners - corners.mean(axis=0)) + corners.mean(axis=0))


def test_columns_that_differ_in_too_many_ways_are_refused():
    with pytest.raises(UnsupportedError, match="differs in 6 ways"):
        box(6)


@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_a_surface_is_the_function_that_it_is_fitted_to(axes):
    """Of counts of a known function: rates, gains, and errors that chance explains."""
    found, corners = box(axes)
    rng = np.random.default_rng(1)
    sizes, seconds = np.array([1000.0, 200.0]), 50.0

    def expected(places):
        linear, square = np.array([[0.3, -0.2]] * axes), np.array([[0.1, 0.05]] * axes)
        base = np.array([1.0, 2.0])
        return np.exp(base + places @ linear.reshape(-1, 2) + places**2 @ square.reshape(-1, 2))

    mean = expected(_columns.points(axes))[:, np.newaxis] * sizes * seconds / 2
    halves = rng.poisson(mean, (2, len(mean), _columns.TWICE, 2))
    product = halves[0] * halves[1] / sizes * 1.25  # rates differ from neuron to neuron
    counts = np.stack([*halves, product], axis=-1).astype(np.int64)
    surface = _columns.Surface.fitted(found, counts, sizes, seconds)
    rates, squares, errors = surface.rates(corners)
    np.testing.assert_allclose(rates, expected(found.places(corners)), rtol=0.03)
    np.testing.assert_allclose(squares, 1.25 * rates**2, rtol=0.03)
    assert 0 < errors.max() < 0.03
    assert abs(surface.excess.mean()) < 1e-3
    moved = corners + 1e-4 * rng.standard_normal(corners.shape) @ found.axes.T @ found.axes
    change = np.einsum("ipd,id->ip", surface.gains(corners), moved - corners)
    inside = np.all(np.abs(found.places(corners)) < 0.99, axis=1)
    np.testing.assert_allclose(
        change[inside], (surface.rates(moved)[0] - rates)[inside], rtol=1e-2, atol=1e-7
    )


def pair(sim, drives=(2300.0, 3100.0), coupled=20):
    """Two columns of two populations, which send each other spikes."""
    made = []
    for k, drive in enumerate(drives):
        e, i = (sim.Population(n, sim.IF_curr_exp(**LIF), label=f"{name}@{k}")
                for name, n in (("E", 200), ("I", 50)))  # fmt: skip
        source = sim.Population(200, sim.SpikeSourcePoisson(rate=drive))
        to_i = sim.Population(50, sim.SpikeSourcePoisson(rate=2500.0))
        strong = sim.StaticSynapse(weight=0.3, delay=0.1)
        sim.Projection(source, e, sim.OneToOneConnector(), strong)
        sim.Projection(to_i, i, sim.OneToOneConnector(), strong)
        weights = sim.RandomDistribution("normal_clipped", mu=0.2, sigma=0.02, low=0.0, high=1.0)
        sim.Projection(e, i, sim.FixedProbabilityConnector(0.1),
                       sim.StaticSynapse(weight=weights, delay=1.0))  # fmt: skip
        sim.Projection(i, e, sim.FixedTotalNumberConnector(4000),
                       sim.StaticSynapse(weight=-0.3, delay=1.0),
                       receptor_type="inhibitory")  # fmt: skip
        made += [e, i]
    for here, there in ((0, 2), (2, 0)):
        if coupled:
            sim.Projection(made[here], made[there], sim.FixedNumberPreConnector(coupled),
                           sim.StaticSynapse(weight=0.1, delay=1.0))  # fmt: skip
    return made


COLUMNS = {"library": "columns", "column_seconds": "10", "threads": "2"}


def test_columns_fire_as_they_do_side_by_side():
    sim, _ = solve(pair, **COLUMNS)
    report = sim.state.found.circuit.details()
    assert [t["columns"] for t in report["tables"]] == [2]  # one kind of column, for both
    builtin = portable_cortex.simulator("builtin", options={"threads": "2"})
    builtin.setup(timestep=0.1, rng_seed=5)
    populations = pair(builtin)
    for population in populations:
        population.record("spikes")
    builtin.run(20_000.0)
    expected = {p.label: p.mean_spike_count() / 20.0 for p in populations}
    assert expected["E@1"] > 1.5 * expected["E@0"] > 3.0
    assert sim.rates() == pytest.approx(expected, rel=0.04)
    errors = sim.state.found.solution.errors
    assert np.all((errors > 0) & (errors < 0.05 * np.array(list(expected.values()))))
    assert max(sim.state.found.again) < 1e-3
    again, _ = solve(pair, **COLUMNS)
    assert again.rates() == sim.rates()
    assert again.state.found.circuit.made == 0


def test_columns_lose_the_spikes_that_do_not_arrive():
    def build(sim):
        cells = sim.Population(200, sim.IF_curr_exp(**LIF), label="cells")
        source = sim.Population(200, sim.SpikeSourcePoisson(rate=3100.0))
        strong = sim.StaticSynapse(weight=0.3, delay=0.1)
        sim.Projection(source, cells, sim.OneToOneConnector(), strong)
        synapse = sim.SimpleStochasticSynapse(weight=-0.3, delay=1.0, p=0.25)
        sim.Projection(cells, cells, sim.FixedNumberPreConnector(40), synapse,
                       receptor_type="inhibitory")  # fmt: skip
        return cells

    found = solve(build, **{**COLUMNS, "column_seconds": "2"})[0].rates()["cells"]
    builtin = portable_cortex.simulator("builtin", options={"threads": "2"})
    builtin.setup(timestep=0.1, rng_seed=5)
    population = build(builtin)
    population.record("spikes")
    builtin.run(2000.0)
    assert found == pytest.approx(population.mean_spike_count() / 2.0, rel=0.05)
    builtin.end()


def test_columns_by_themselves_do_not_know_of_each_other():
    together, _ = solve(lambda sim: pair(sim, coupled=0), **COLUMNS)
    swapped, _ = solve(lambda sim: pair(sim, drives=(3100.0, 2300.0), coupled=0), **COLUMNS)
    assert swapped.state.found.circuit.made == 0
    first, second = together.rates(), swapped.rates()
    assert first["E@0"] == pytest.approx(second["E@1"], rel=1e-6)
    assert first["E@1"] == pytest.approx(second["E@0"], rel=1e-6)


def test_what_cannot_be_drawn_again_is_no_column():
    def listed(sim):
        cells = sim.Population(10, sim.IF_curr_exp(), label="cells")
        connector = sim.FromListConnector([(0, 1)], column_names=[])
        sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=0.1, delay=1.0))

    def computed(sim):
        cells = sim.Population(10, sim.IF_curr_exp(), label="cells")
        synapse = sim.StaticSynapse(weight=lambda d: 0.1 + 0.0 * d, delay=1.0)
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse)

    def joined(sim):
        one, two = (sim.Population(5, sim.IF_curr_exp(), label=f"cells{k}") for k in range(2))
        both = sim.Assembly(one, two)
        synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
        sim.Projection(both, both, sim.FixedProbabilityConnector(0.5), synapse)

    for build, said in (
        (listed, "FromListConnector, which cannot be drawn again: give it one of AllToAll"),
        (computed, "must be numbers or distributions to be drawn again"),
        (joined, "joins assemblies or parts of populations"),
    ):
        with pytest.raises(UnsupportedError, match=said):
            solve(build, **COLUMNS)


# --- refusals -------------------------------------------------------------------------------------


def plastic(sim, cells):
    sim.Projection(cells, cells, sim.AllToAllConnector(),
                   sim.TsodyksMarkramSynapse(weight=0.1, delay=1.0))  # fmt: skip


REFUSED = {
    "varying input": (
        lambda sim, cells: sim.SpikeSourceArray(spike_times=[1.0]), "stationary state"),
    "a pulse": (
        lambda sim, cells: sim.Projection(
            sim.Population(10, sim.SpikeSourcePoisson(rate=5.0, start=10.0, duration=5.0)), cells,
            sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=1.0)),
        "input has to be stationary"),
    "an injected current": (
        lambda sim, cells: cells.inject(sim.DCSource(amplitude=0.1)), "stationary state"),
    "plasticity": (plastic, "depend on spikes"),
    "neurons that differ": (
        lambda sim, cells: cells.set(tau_m=np.linspace(9.0, 11.0, 10)), "are taken as equal"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_stationary_rate_is_refused(what, tmp_path):
    change, said = REFUSED[what]
    from portable_cortex.support import Namespace

    backend = portable_cortex.load_backend("coarse")
    sim = Namespace(portable_cortex.simulator("coarse", options={"library": "theory"}), backend)
    sim.setup()
    cells = sim.Population(10, sim.IF_curr_exp(), label="cells")

    def refused():
        change(sim, cells)
        sim.run(1.0)

    with pytest.raises(portable_cortex.errors.PortableCortexError, match=said):
        refused()


def test_theory_is_refused_for_other_neurons():
    def build(sim):
        return small(sim, sim.nestml_cell_type("Other", "eif_curr_exp")())

    with pytest.raises(UnsupportedError, match="library=theory is for IF_curr_exp"):
        solve(build, library="theory")


def test_there_are_no_spikes_to_record():
    sim = portable_cortex.simulator("coarse")
    sim.setup()
    cells = sim.Population(10, sim.IF_curr_exp(), label="cells")
    with pytest.raises(UnsupportedError, match="record spikes of cells: coarse has rates"):
        cells.record("spikes")
    with pytest.raises(UnsupportedError, match="there is no v to record"):
        portable_cortex.run(backend="coarse", scale=0.02, duration=10.0, record=["v:L4E:5"])


def test_a_sheet_is_drawn_from_any_run(tmp_path):
    """Tuning curves and maps: of computed rates, and of spikes; of another model it says so."""
    theory = portable_cortex.run(
        backend="coarse", options={"library": "theory"}, model="cortical_sheet", columns=64,
        layout="sheet", duration=10.0,
    )  # fmt: skip
    found = sheet_figure.draw(theory, tmp_path / "sheet.png")
    assert set(found) == {"L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I"}
    assert found["L4E"] > 0.05
    assert (tmp_path / "sheet.png").stat().st_size > 50_000
    spikes = portable_cortex.run(
        backend="builtin", model="cortical_sheet", columns=2, scale=0.02, duration=300.0
    )
    assert sheet_figure.draw(spikes, tmp_path / "ring.svg")["L4E"] > 0.05
    assert (tmp_path / "ring.svg").read_text().startswith("<?xml")
    other = portable_cortex.run(backend="mock", scale=0.02, duration=10.0)
    with pytest.raises(portable_cortex.errors.ModelError, match="runs of cortical_sheet"):
        sheet_figure.draw(other, tmp_path / "none.png")
    with pytest.raises(portable_cortex.errors.OutputError, match="could not be written"):
        sheet_figure.draw(spikes, tmp_path / "ring.docx")


# --- runs and verdicts ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_full_scale(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coarse") / "run"
    portable_cortex.run(
        backend="coarse", options={"library": "theory"}, scale=1.0, duration=100.0, output=folder
    )
    return folder


def test_a_run_has_rates_errors_and_a_picture(of_full_scale):
    recording = Recording.load(of_full_scale)
    about = json.loads((of_full_scale / "run.json").read_text())
    assert recording.has_rates_only
    assert recording.rates() == about["rates"]
    assert set(about["rate_errors"]) == set(recording.populations)
    assert about["n_synapses"] == 298_880_968
    assert about["n_spikes"] is about["real_time_factor"] is None
    assert (of_full_scale / "activity.png").stat().st_size > 10_000


def test_validate_judges_rates_and_says_what_it_could_not_tell(of_full_scale, tmp_path):
    found = examine(of_full_scale)
    comparison = found.comparison
    assert found.reference.name == "pd14-1.0-poisson"
    assert {(t.statistic, t.kind) for t in comparison.tests} <= {
        ("rate", "mean"),
        ("rate", "joint"),
    }
    assert "other statistics could not be told, without spikes" in comparison.reason
    assert comparison.verdict.name == "DIFFERS"  # by what theory is known to be off
    assert {t.population for t in comparison.different} >= {"L23E", "L23I"}
    assert "L4E" not in {t.population for t in comparison.different}


def test_a_page_draws_no_distribution_of_one_value(of_full_scale):
    from portable_cortex.validation.pages.panels import distributions

    panels = [row[0] for row in distributions(examine(of_full_scale))]
    assert all(panel.mean is not None and not panel.run for panel in panels)
    assert all(panel.other for panel in panels)


def test_validate_agrees_with_the_reference_s_own_rates(of_full_scale, tmp_path):
    """A run whose rates are those of the seeds' mean; and one that is off in one population."""
    recording = Recording.load(of_full_scale)
    reference = examine(of_full_scale).reference
    longest = reference.durations[-1]
    rates = {
        p: float(reference.ensembles[longest, p, "rate"].means.mean())
        for p in recording.populations
    }
    for name, factor, verdict in (("equal", 1.0, "AGREES"), ("off", 1.03, "DIFFERS")):
        changed = {**rates, "L4I": factor * rates["L4I"]}
        metadata = {**recording.metadata, "rates": changed}
        Recording(recording.n_neurons, {}, metadata).save(tmp_path / name)
        assert examine(tmp_path / name).comparison.verdict.name == verdict


def test_rates_alone_are_compared_with_seeds_only(of_full_scale, tmp_path):
    spiking = tmp_path / "spiking"
    portable_cortex.run(backend="mock", scale=0.02, duration=200.0, output=spiking)
    for first, second in ((of_full_scale, spiking), (spiking, of_full_scale)):
        found = examine(first, second)
        assert found.comparison.verdict.name == "UNDECIDED"
    assert "rates that were computed" in examine(of_full_scale, spiking).comparison.reason
    both = examine([of_full_scale, of_full_scale])
    assert both.comparison.verdict.name == "UNDECIDED"


def test_sweeps_and_impact_know_that_there_is_no_model_time(tmp_path):
    from portable_cortex.cli.sweep_console import tables
    from portable_cortex.validation.impact import Plan, Variant, perform

    options = {"library": "theory"}
    runs = [
        portable_cortex.Experiment(
            model="brunel2000", parameters={"g": g}, backend="coarse", options=options
        )
        for g in (4.5, 6.0)
    ]
    found = portable_cortex.sweep.sweep(runs, tmp_path / "sweep")
    (table,) = tables(found)
    assert [*table.columns[1].cells][-2] == "none"
    plan = Plan((Variant("g", {"g": 6.0}),), model="brunel2000", backend="coarse", seeds=(1, 2))
    with pytest.raises(UnsupportedError, match="impact looks at spikes"):
        perform(plan, tmp_path / "impact")


# --- columns --------------------------------------------------------------------------------------


def ring(**parameters):
    return portable_cortex.run(
        backend="coarse", model="cortical_sheet", options={"library": "theory"},
        duration=10.0, **{"columns": 4, "scale": 1.0, **parameters},
    ).rates()  # fmt: skip


def test_turning_the_stimulus_turns_the_answer():
    first, turned = ring(orientation=0.0), ring(orientation=45.0)
    for label, column in itertools.product(("L23E", "L4E", "L6I"), range(4)):
        expected = first[f"{label}@{column}"]
        assert turned[f"{label}@{(column + 1) % 4}"] == pytest.approx(expected, rel=1e-3)
    assert selectivity(first, orientations(4))["L4E"] > 0.02


def test_without_lateral_synapses_columns_are_independent():
    """Each is as alone with its own input; and equal input makes equal columns."""
    apart = ring(lateral=0.0, modulation=0.0)
    alone = ring(columns=1, modulation=0.0)
    together = ring(lateral=0.5, modulation=0.0)
    for label, column in itertools.product(("L23E", "L4E", "L6I"), range(4)):
        assert apart[f"{label}@{column}"] == pytest.approx(alone[f"{label}@0"], rel=1e-3)
        assert together[f"{label}@{column}"] == pytest.approx(alone[f"{label}@0"], rel=0.02)


def test_a_sheet_has_hypercolumns_that_are_mirrored():
    angles = orientations(64, "sheet").reshape(8, 8)
    assert np.unique(np.round(angles, 3)).size >= 8
    np.testing.assert_allclose(angles, angles[::-1])
    np.testing.assert_allclose(angles, angles[:, ::-1])
    found = shares(64, "sheet", 30.0, 2.0)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert np.all(found >= 0)


def test_a_ring_runs_spiking_too():
    recording = portable_cortex.run(
        model="cortical_sheet", columns=2, scale=0.02, duration=200.0, machine="single-thread"
    )
    assert recording.n_neurons["L4E@1"] == recording.n_neurons["L4E@0"] == 438
    assert recording.rates()["L4E@0"] > recording.rates()["L4E@1"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"columns": 0}, "columns must be a whole number"),
        ({"layout": "torus"}, "layout must be one of ring, sheet"),
        ({"layout": "sheet", "columns": 16}, "multiple of 8"),
        ({"lateral": 1.5}, "lateral must be from 0 to 1"),
        ({"width": 0.0}, "width must be a number above 0"),
        ({"rate": -1.0}, "rate must be a number from 0"),
    ],
)
def test_a_wrong_sheet_is_a_sentence(parameters, said):
    with pytest.raises(InvalidValueError, match=said):
        ring(**parameters)


@pytest.mark.slow
def test_the_microcircuit_at_full_scale_is_as_far_off_as_stated():
    """docs/coarse.md: against ten runs of 100 s."""
    recording = portable_cortex.run(backend="coarse", scale=1.0, duration=10.0)
    reference = portable_cortex.validation.verdict.load_reference("pd14-1.0-poisson")
    longest = reference.durations[-1]
    for label, rate in recording.rates().items():
        expected = float(reference.ensembles[longest, label, "rate"].means.mean())
        least = {"L23E": 0.2, "L23I": 0.08, "L5E": 0.08, "L6E": 0.14}.get(label, 0.025)
        assert rate == pytest.approx(expected, rel=least), label

"""Layer 4Calpha of primary visual cortex: its numbers, its drive, and that it fires as stated."""

import layer4c_by_steps
import numpy as np
import pytest

import portable_cortex
from portable_cortex.backends.coarse._inputs import inputs_of
from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.models import hypercolumns, v1_layer4c
from portable_cortex.models.loader import load_model
from portable_cortex.pynn.description import describe


def kind_of(label):
    return label.split("@")[0].split()[0]


@pytest.fixture(scope="module")
def standing():
    return describe(load_model("v1_layer4c"), {"stimulus": "grating"})


def rates_of(description, name, target):
    """Of the sources that a population has under a name."""
    (found,) = (p for p in description.populations if p.label == f"{name} {target}")
    return found.parameters["rate"]


def weight_of(description, name, target):
    """Of the synapses of these sources."""
    labels = [p.label for p in description.populations]
    (found,) = (s for s in description.synapses if labels[s.source] == f"{name} {target}")
    return found.weights.mean


def test_the_numbers_of_the_layer(standing):
    neurons = standing.neurons
    sizes = dict.fromkeys("SCI", 0)
    for k, label in neurons.items():
        sizes[kind_of(label)] += standing.populations[k].size
    assert sizes == {"S": 2025, "C": 900, "I": 961}
    degrees, weights, delays, arriving = {}, {}, {}, {}
    for s in standing.synapses:
        if s.source not in neurons:
            continue
        pair = kind_of(neurons[s.source]), kind_of(neurons[s.target])
        total = s.in_degree.mean * standing.populations[s.target].size
        degrees[pair] = degrees.get(pair, 0.0) + total / sizes[pair[1]]
        weights[pair], delays[pair] = s.weights, s.delays.mean
        arriving[pair] = s.arriving.mean / s.in_degree.mean, s.arriving.square / s.in_degree.mean
    for target, by_source in v1_layer4c.IN_DEGREES.items():
        for source, n in by_source.items():
            assert degrees[source, target] == pytest.approx(n)
    # the authors' strengths: potentials of 15 mV, a capacitance of 0.2 nF, the peak of the kernel
    peaks = {"E": 0.2330 * 0.2, "I": 0.1548 * 0.2}
    assert weights["I", "S"].mean == pytest.approx(2.14979 * 0.024 * peaks["I"], rel=1e-3)
    assert weights["S", "I"].mean == pytest.approx(0.1113851 * 0.12 * peaks["E"], rel=1e-3)
    # a fifth of the spikes between excitatory cells does not arrive
    mean, square = arriving["S", "C"]
    assert mean == pytest.approx(0.8 * 0.024 * peaks["E"], rel=1e-3)
    assert square == pytest.approx(0.8 * (0.024 * peaks["E"]) ** 2, rel=2e-3)
    assert delays["S", "S"] == delays["S", "C"] == 1.0
    assert delays["S", "I"] == delays["I", "I"] == 0.1


def test_a_grating_that_stands(standing):
    lgn = {"S on@0": 2.0, "S on@45": 1.5, "S off@45": 0.5, "S on@90": 1.0, "S off@90": 1.0}
    strongest = 2 * 0.048 * 0.2330 * 0.2
    for label, factor in lgn.items():
        assert np.unique(rates_of(standing, "LGN", label)) == pytest.approx(4.75 * 45.0)
        assert weight_of(standing, "LGN", label) == pytest.approx(factor / 2 * strongest, rel=1e-3)
    assert "LGN S off@0" not in {p.label for p in standing.populations}
    assert np.unique(rates_of(standing, "LGN", "C@0")) == pytest.approx(1.5 * 45.0)
    best, worst = (rates_of(standing, "L6", f"C@{a}") / 55 for a in (0, 90))
    assert best.max() == pytest.approx(50.0, rel=0.01)
    assert worst.min() == pytest.approx(10.0, rel=0.02)
    assert best.min() > 45.0
    assert worst.max() < 16.0
    assert "stands" in v1_layer4c.statements(stimulus="grating")[0]


def test_a_grating_that_drifts():
    """Each simple cell is on for half of each cycle, in a phase of its own."""
    phases = np.random.default_rng(1).uniform(size=200)
    sources = v1_layer4c._seen("S@0", 0.5, phases, 2)
    assert len(sources) == 6
    strength = np.array([[factor] for factor, _ in sources])
    own = [parameters for _, parameters in sources]
    rate, start, last = (np.stack([s[n] for s in own]) for n in ("rate", "start", "duration"))
    for at in (3.0, 140.0, 499.0):  # ms
        here = (strength * rate * ((start <= at) & (at < start + last))).sum(axis=0)
        assert set(np.round(here, 6)) == {22.5, 67.5}
        assert 0.3 < (here > 45).mean() < 0.7
    within = np.clip(np.minimum(start + last, 500.0) - start, 0.0, None)
    assert (strength * rate * within).sum(axis=0) == pytest.approx(500.0 * 45.0)
    assert len(v1_layer4c._seen("S@0", 1.0, phases, 2)) == 3  # what is off sends nothing


def test_partners_are_near_and_others():
    rng = np.random.default_rng(1)
    at = hypercolumns.lattice(31, 1)
    pairs = hypercolumns.partners(rng, at, 31, 1, 84, sd=0.177, reach=0.72, alike=True)
    sources, targets = (np.concatenate(c) for c in zip(*pairs, strict=True))
    assert np.bincount(targets).tolist() == [84] * len(at)
    assert not np.any(sources == targets)
    middle = np.abs(at[targets] - 0.5).max(axis=1) < 0.05  # with few partners beyond the border
    apart = (at[sources] - at[targets])[middle]
    assert apart.std(axis=0) == pytest.approx([0.177, 0.177], rel=0.1)
    corner = (at[targets] < 0.1).all(axis=1)
    assert (at[sources] - at[targets])[corner].mean() > 0.05


def test_neighbours_are_mirror_images():
    at = 2 * np.random.default_rng(1).random((500, 2))
    found = hypercolumns.domains(at)
    np.testing.assert_array_equal(found, hypercolumns.domains(np.array([2.0, 0.0]) - at * [1, -1]))
    np.testing.assert_array_equal(found, hypercolumns.domains(np.array([0.0, 2.0]) - at * [-1, 1]))
    shares = hypercolumns.blurred(at, 0.125)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"hypercolumns": 0}, "hypercolumns must be a whole number from 1"),
        ({"stimulus": "bars"}, "stimulus must be background or grating, not 'bars'"),
        ({"cycles": 2}, "cycles are of a grating"),
        ({"failures": "none"}, "failures must be drawn or mean"),
    ],
)
def test_a_wrong_layer_is_a_sentence(parameters, said):
    with pytest.raises(InvalidValueError, match=said):
        portable_cortex.run(model="v1_layer4c", backend="mock", duration=10.0, **parameters)


def test_published_rates_are_of_populations_that_there_are(standing):
    grating = v1_layer4c.published_rates(stimulus="grating", orientation=45.0)
    assert grating == {"C@45": 56.42, "I@45": 73.46, "C@135": 17.28, "I@135": 35.46}
    assert set(grating) < set(standing.neurons.values())
    assert len(v1_layer4c.published_rates()) == 12


@pytest.mark.slow
def test_rates_are_those_of_the_authors_program():
    """As far as it is public: its steps and inputs. Of C, they vary by a tenth from run to run."""
    durations = {"duration": 2000.0, "warmup": 500.0}
    own = [portable_cortex.run(model="v1_layer4c", seed=s, **durations) for s in (1, 2, 3)]
    expected = np.mean([layer4c_by_steps.rates(seed=s, **durations) for s in (1, 2, 3)], axis=0)
    for kind, rate, error in zip("SCI", expected, (0.06, 0.25, 0.1), strict=True):
        of_kind = [
            np.average(
                [rate for label, rate in run.rates().items() if kind_of(label) == kind],
                weights=[n for label, n in run.n_neurons.items() if kind_of(label) == kind],
            )
            for run in own
        ]
        assert np.mean(of_kind) == pytest.approx(rate, rel=error)


# --- coarse ---------------------------------------------------------------------------------------


def test_input_that_does_not_depend_on_rates_is_no_axis_of_a_table(standing):
    inputs = inputs_of(standing)
    own = {p.label: p for p in inputs.populations}
    assert {p.receptors for p in own.values()} == {("glutamate", "gaba")}
    trains = {t.rate: t.weight for t in own["S on@0"].trains}
    assert set(trains) == {4.75 * 45.0, 600.0}
    assert trains[4.75 * 45.0] == pytest.approx(2 * 0.048 * 0.2330 * 0.2, rel=1e-3)
    assert trains[600.0] == pytest.approx(0.01 * 0.2330 * 0.2, rel=1e-3)


def test_three_receptors_that_depend_on_rates_are_refused():
    sim = portable_cortex.simulator("coarse")
    sim.setup()
    cells = sim.Population(10, sim.nestml_cell_type("Cells", "lif_cond_ampa_nmda_gaba")())
    for receptor in ("ampa", "glutamate", "gaba"):
        synapse = sim.StaticSynapse(weight=1e-3, delay=1.0)
        sim.Projection(cells, cells, sim.AllToAllConnector(), synapse, receptor_type=receptor)
    with pytest.raises(UnsupportedError, match="all but 2 receptors can get spikes of Poisson"):
        sim.run(1.0)


def test_a_drift_is_refused_by_the_coarse_backend():
    with pytest.raises(UnsupportedError, match="input has to be stationary"):
        portable_cortex.run(
            model="v1_layer4c", backend="coarse", stimulus="grating", cycles=1, duration=10.0
        )

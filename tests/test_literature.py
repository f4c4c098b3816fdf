"""Models of the literature: their published numbers, and that they fire as they should."""

import numpy as np
import pytest
from conftest import missing

import portable_cortex
from portable_cortex.cli.run_console import expected_of
from portable_cortex.errors import InvalidValueError
from portable_cortex.models import interneurons, schwalger2017
from portable_cortex.models.loader import load_model
from portable_cortex.models.parameters import PD14
from portable_cortex.pynn.description import describe


def built(backend, model, **parameters):
    """Populations, and projections by label, with what they are made of."""
    sim = portable_cortex.simulator(backend)
    sim.setup(timestep=0.1, rng_seed=1)
    made = []

    class Watched:
        def __getattr__(self, name):
            return getattr(sim, name)

        def Projection(self, *args, **named):  # noqa: N802  # as PyNN calls it
            projection = sim.Projection(*args, **named)
            made.append(projection)
            return projection

    populations = load_model(model).build(Watched(), seed=1, **parameters)
    return sim, populations, {p.label: p for p in made}


@pytest.fixture(scope="module")
def barrel():
    """Sizes of the populations; weight, U, tau_facil and tau_rec of synapses, by projection."""
    sim, populations, projections = built("builtin", "interneurons")
    plastic = ["weight", "U", "tau_facil", "tau_rec"]
    columns = {}
    for label, projection in projections.items():
        names = plastic if "U" in projection.synapse_type.default_parameters else plastic[:1]
        rows = np.array(projection.get(names, format="list"), dtype=float)
        columns[label] = rows.reshape(-1, len(names) + 2)
    sizes = {label: p.size for label, p in populations.items()}
    sim.end()
    return sizes, {label: table[:, 2:] for label, table in columns.items()}


def test_the_numbers_of_the_barrel_column(barrel):
    sizes, projections = barrel
    assert sum(sizes.values()) == 6450
    assert len(sizes) == len(interneurons.PROBABILITIES) == 13
    for i, target in enumerate(sizes):
        for j, source in enumerate(sizes):
            p = interneurons.PROBABILITIES[i][j]
            pairs = sizes[source] * sizes[target]
            found = len(projections[f"{source}→{target}"]) if p else 0
            assert found == pytest.approx(p * pairs, abs=5 * np.sqrt(p * pairs) + 1e-9)
            assert bool(p) == (f"{source}→{target}" in projections)


@pytest.mark.parametrize(
    ("source", "target", "u", "facil", "rec"),
    [("L4E", "L23E", 0.4, 220, 920), ("L5E", "L4PV", 0.2, 0, 120), ("L6SOM", "L6E", 1, 300, 20)],
)
def test_short_term_plasticity_is_by_population_or_type(barrel, source, target, u, facil, rec):
    _, projections = barrel
    assert {tuple(row[1:]) for row in projections[f"{source}→{target}"]} == {(u, facil, rec)}


def test_a_first_spike_acts_as_a_static_one_would(barrel):
    """A potential of 0.75 mV on average, or of -6 mV."""
    _, plastic = barrel
    sim, _, static = built("builtin", "interneurons", synapses="static")
    for label, sign in (("L4E→L4E", 1), ("L23PV→L23E", -1)):
        weights, u = plastic[label][:, 0], plastic[label][0, 1]
        both = [weights, np.array(static[label].get("weight", format="list"))[:, 2]]
        assert (np.sign(np.concatenate(both)) == sign).all()
        logs = [np.log(np.abs(values)) for values in (weights * u, both[1])]
        assert logs[0].mean() == pytest.approx(logs[1].mean(), abs=0.03)
        assert logs[0].std() == pytest.approx(np.sqrt(np.log(1 + 1.2704**2)), rel=0.03)
    sim.end()
    # exponential currents of 4 ms: the potential that one leaves
    cell = interneurons.NEURONS[interneurons.UPPER, "E"]
    t = np.arange(0, 50, 0.01)
    tau_m, cm, tau = cell[0], cell[1], interneurons.TAU_SYN_I
    shape = tau_m * tau / (cm * (tau_m - tau)) * (np.exp(-t / tau_m) - np.exp(-t / tau))
    assert both[1].mean() * shape.max() == pytest.approx(-8 * 0.7543, rel=0.05)


@pytest.mark.parametrize("synapses", ["plastic", "static"])
def test_it_fires_as_on_nest(synapses):
    """Rates of 2 s on NEST with short-term plasticity, of Brian2 without, spikes/s."""
    expected = {
        "plastic": {"L23E": 0.43, "L23PV": 5.45, "L23VIP": 11.4, "L4E": 0.31, "L4PV": 3.9,
                    "L5E": 1.13, "L5PV": 10.2, "L6E": 2.04, "L6PV": 32.7},
        "static": {"L23E": 1.31, "L23PV": 8.1, "L23VIP": 18.6, "L4E": 1.09, "L4PV": 6.5,
                   "L5E": 1.09, "L5PV": 7.9, "L6E": 2.04, "L6PV": 17.5},
    }[synapses]  # fmt: skip
    run = portable_cortex.run(model="interneurons", synapses=synapses, duration=2000.0)
    for label, rate in expected.items():
        assert run.rates()[label] == pytest.approx(rate, rel=0.25, abs=0.05), label
    assert all(run.rates()[f"{layer}SOM"] < 0.2 for layer in ("L23", "L4", "L5", "L6"))
    assert "somatostatin neurons are all but silent" in run.metadata["statements"][0]


def test_the_thalamus_excites_layer_4_first():
    pulses = [600.0, 700.0, 800.0]
    run = portable_cortex.run(model="interneurons", thalamic_pulses=pulses, duration=400.0)
    assert run.n_neurons["TC"] == 200
    times = run.spikes("L4E").times
    after = sum(((times > t) & (times <= t + 20)).sum() for t in pulses)
    before = sum(((times > t - 20) & (times <= t)).sum() for t in pulses)
    assert after > 10 * (before + 1)


def test_other_synapses_are_refused():
    with pytest.raises(InvalidValueError, match="synapses must be plastic or static, not 'stp'"):
        portable_cortex.run(model="interneurons", backend="mock", synapses="stp", duration=10.0)


def test_the_numbers_of_schwalgers_microcircuit():
    found = describe(load_model("schwalger2017"), {"scale": 1.0})
    assert sum(p.size for p in found.populations) == sum(PD14.sizes) == 77_169
    total = sum(s.in_degree.mean * found.populations[s.target].size for s in found.synapses)
    expected = np.array(PD14.probabilities) * np.outer(PD14.sizes, PD14.sizes)
    assert total == pytest.approx(expected.sum(), rel=1e-6)
    assert {s.delays.mean for s in found.synapses} == {1.5}


@pytest.mark.parametrize("backend", ["builtin", "nest", "neuron", "brian2"])
def test_schwalgers_neurons_have_their_constants_everywhere(backend):
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    sim, populations, _ = built(backend, "schwalger2017", scale=0.01)
    for label, drive in zip(PD14.populations, schwalger2017.DRIVE, strict=True):
        cells = populations[label]
        assert cells.get("v_t_star") - cells.get("v_rest") == pytest.approx(15.0)
        assert cells.get("i_offset") * cells.get("tau_m") / cells.get("cm") == pytest.approx(drive)
        assert (cells.get("lambda0"), cells.get("delta_v")) == (10.0, 5.0)
    sim.end()


def test_schwalgers_rates():
    """Those of the reference's seeds, with which NEST and NEURON agree."""
    run = portable_cortex.run(model="schwalger2017", seed=3)
    expected = expected_of(run)
    assert expected is not None
    for label, (mean, sd) in expected.rates.items():
        assert abs(run.rates()[label] - mean) < 5 * sd, label
    assert "weights that are 10 times as large" in run.metadata["statements"][0]


@pytest.mark.slow
def test_schwalgers_rates_at_full_scale():
    run = portable_cortex.run(model="schwalger2017", scale=1.0, duration=2000.0)
    for label, expected in zip(PD14.populations, schwalger2017.RATES, strict=True):
        assert run.rates()[label] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-4, float("nan")])
def test_scales_that_leave_no_neuron_are_refused(value):
    with pytest.raises(InvalidValueError, match=r"scale.* must be"):
        portable_cortex.run(model="schwalger2017", scale=value, duration=10.0)

"""Weights in bfloat16: what they are, and where they are the same."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portable_cortex
from portable_cortex import rerun
from portable_cortex.errors import InvalidValueError, PortableCortexError, UnsupportedError
from portable_cortex.experiment import Experiment
from portable_cortex.pynn.draws import draw_edges
from portable_cortex.pynn.weights import in_format

BFLOAT16 = {"weights": "bfloat16"}
LARGEST = float(np.uint32(0x7F7F0000).view(np.float32))  # of bfloat16
reproducible = settings(derandomize=True, max_examples=200)


def microcircuit(backend="builtin", weights="bfloat16", threads="2", **changes):
    usual = {"scale": 0.02, "duration": 100.0, "warmup": 0.0, "seed": 3}
    options = {"weights": weights, "threads": threads}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with constant drive it may fall silent
        return portable_cortex.run(backend=backend, options=options, **(usual | changes))


def assert_same_spikes(first, second):
    assert first.metadata["n_spikes"] > 50
    for label in first.populations:
        for one, other in zip(first.spikes(label), second.spikes(label), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6, err_msg=label)


# --- what they are --------------------------------------------------------------------------------


def nearest(value: float) -> float:
    """The number of bfloat16 next to a float32, of two the one with an even last digit; exactly."""
    if value == 0:
        return value
    exact = Fraction(value)
    exponent = max(int(np.frexp(value)[1]) - 8, -126 - 7)
    number = round(exact / Fraction(2) ** exponent)  # of two as near, the even one
    return float(number * Fraction(2) ** exponent)


float32s = st.floats(width=32, min_value=-LARGEST, max_value=LARGEST)


@reproducible
@given(float32s)
def test_weights_are_rounded_to_the_nearest(value):
    rounded = float(in_format(value, "bfloat16"))
    assert rounded == nearest(value)
    assert float(in_format(rounded, "bfloat16")) == rounded
    assert np.uint32(np.float32(rounded).view(np.uint32)) & 0xFFFF == 0


@reproducible
@given(st.floats(min_value=1e-30, max_value=1e30))
def test_weights_of_more_digits_are_rounded_to_float32_first(value):
    assert float(in_format(value, "bfloat16")) == nearest(float(np.float32(value)))


@reproducible
@given(st.integers(0, 2**16 - 1).filter(lambda upper: upper & 0x7F80 != 0x7F80), st.booleans())
def test_of_two_as_near_it_is_the_even_one(upper, next_to):
    lower, tie, higher = (
        float(np.uint32(bits).view(np.float32))
        for bits in (upper << 16, (upper << 16) + 0x8000, (upper + 1) << 16)
    )
    if not np.isfinite(higher):
        with pytest.raises(InvalidValueError, match="rounded to bfloat16"):
            in_format(tie, "bfloat16")
    else:
        assert float(in_format(tie, "bfloat16")) == (higher if upper & 1 else lower)


def test_compiled_code_rounds_alike():
    from portable_cortex.backends.builtin._edges import _bfloat16

    bits = np.random.default_rng(1).integers(0, 0x7F7F0000, 20_000).astype(np.uint32)
    bits = np.concatenate([bits, bits | 0x80000000, (bits & 0xFFFF0000) | 0x8000])
    numbers = bits.view(np.float32)
    compiled = [float(_bfloat16(number)) for number in numbers]
    np.testing.assert_array_equal(compiled, in_format(numbers, "bfloat16"))


@pytest.mark.parametrize("wrong", [3.4e38, -1e39, np.inf, np.nan])
def test_what_bfloat16_does_not_hold_is_refused(wrong):
    with pytest.raises(InvalidValueError, match="weights must be from"):
        in_format([0.1, wrong], "bfloat16")


# --- where they are the same ----------------------------------------------------------------------


def test_rounded_weights_give_the_spikes_of_nest():
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    shared = {"n_scale": 0.02, "k_scale": 0.3, "drive": "dc", "realisation": "shared"}
    nest, builtin = (microcircuit(backend, **shared) for backend in ("nest", "builtin"))
    assert_same_spikes(nest, builtin)
    full = microcircuit(weights="full", **shared)
    assert full.metadata["n_spikes"] != nest.metadata["n_spikes"]  # they do make a difference


def test_native_draws_of_the_engine_are_those_of_shared():
    sim = portable_cortex.simulator("builtin", options=BFLOAT16)
    sim.setup(timestep=0.1, rng_seed=6)
    cells = sim.Population(30, sim.IF_curr_exp())
    connector = sim.FixedTotalNumberConnector(5000)
    synapse = sim.StaticSynapse(weight=sim.RandomDistribution("normal", mu=1.0, sigma=0.1))
    projection = sim.Projection(cells, cells, connector, synapse, receptor_type="excitatory")
    drawn = draw_edges(connector, synapse, cells, cells, seed=6, item=1, timestep=0.1)
    order = np.lexsort((drawn.targets, drawn.sources))
    weights = projection.get("weight", "list", with_address=False)
    np.testing.assert_array_equal(weights, in_format(drawn.weights[order], "bfloat16"))


def network(threads, weight_format, n=400):
    """Spikes of a network of the engine, with delays, inhibition and changes between runs."""
    sim = portable_cortex.simulator("builtin", options={"threads": str(threads)})
    sim.setup(timestep=0.1, rng_seed=4, weights=weight_format)
    cells = sim.Population(n, sim.IF_curr_exp(i_offset=np.linspace(0.9, 1.3, n)))
    cells.record("spikes")
    rng = np.random.default_rng(2)
    count = 40 * 400
    pairs = rng.integers(0, n, (count, 2))
    weights = in_format(rng.normal(0.1, 0.02, count), "bfloat16")
    delays = np.round(rng.uniform(0.1, 4.0, count), 1)
    excitatory = pairs[:, 0] < 0.8 * n
    projections = {}
    for receptor, sign, own in (
        ("excitatory", 1.0, excitatory),
        ("inhibitory", -4.0, ~excitatory),
    ):
        columns = np.column_stack([pairs[own], sign * weights[own], delays[own]])
        connector = sim.FromListConnector(columns, column_names=["weight", "delay"])
        projections[receptor] = sim.Projection(
            cells, cells, connector, sim.StaticSynapse(), receptor_type=receptor
        )
    sim.run(60.0)
    projections["excitatory"].set(weight=0.125)  # while spikes are on their way
    sim.run(40.0)
    trains = cells.get_data("spikes").segments[0].spiketrains
    return [train.magnitude.tolist() for train in trains]


def test_one_word_a_synapse_gives_the_spikes_of_two_arrays():
    """The table of rounded weights beside the one that holds any: the same bit by bit."""
    ordinary = network(2, "full")
    assert sum(map(len, ordinary)) > 1000
    assert len({tuple(train) for train in ordinary}) > 200
    for threads in (1, 2, 3):
        assert network(threads, "bfloat16") == ordinary


def test_tables_are_of_words_where_targets_fit():
    from portable_cortex.backends.builtin import _simulator

    for threads, weight_format, word in ((2, "bfloat16", 4), (2, "full", 2)):
        network(threads, weight_format, n=50)
        table = _simulator.state.synapses
        assert table.targets.itemsize == word
        assert (table.weights is None) == (weight_format == "bfloat16")


@pytest.mark.slow  # a table of another kind is compiled first
def test_more_neurons_than_fit_into_a_word():
    one, two = (network(threads, "bfloat16", n=66_000) for threads in (1, 2))
    assert one == two
    assert sum(map(len, one)) > 1000


# --- how they are asked for -----------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["builtin", "nest", "brian2", "neuron", "mock"])
def test_every_backend_of_its_own_realisation(backend):
    experiment = Experiment(backend=backend, options=BFLOAT16)
    experiment.check()
    assert experiment.backend == backend


def test_what_a_backend_cannot_round_is_refused_without_the_shared_realisation():
    settings = {"backend": "spinnaker", "options": {"target": "virtual", **BFLOAT16}}
    with pytest.raises(UnsupportedError, match=r"on their own.*--realisation shared"):
        Experiment(**settings).check()
    Experiment(**settings, realisation="shared").check()


def test_scripts_of_a_backend_that_cannot_round_are_refused():
    pytest.importorskip("spynnaker", reason="sPyNNaker is not installed")
    with pytest.raises(UnsupportedError, match="does not round weights to bfloat16"):
        portable_cortex.simulator("spinnaker", options={"target": "virtual", **BFLOAT16})


def test_other_formats_are_refused():
    with pytest.raises(PortableCortexError, match="'weights' must be one of full, bfloat16"):
        Experiment(options={"weights": "half"}).check()


def test_scripts_ask_by_option_or_in_setup():
    for options, extra in ((BFLOAT16, {}), ({}, BFLOAT16)):
        sim = portable_cortex.simulator("mock", options=options)
        sim.setup(timestep=0.1, **extra)
        cells = sim.Population(2, sim.IF_curr_exp())
        projection = sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=1.0)
        )
        assert projection.get("weight", "list", with_address=False) == [0.10009765625] * 4
    portable_cortex.simulator("mock").setup(timestep=0.1)


def test_a_run_says_so_and_is_repeated_so(tmp_path):
    run = microcircuit(duration=50.0)
    assert run.metadata["options"]["weights"] == "bfloat16"
    run.save(tmp_path / "run")

    class Silent:
        def phase(self, *_: object, **__: object) -> None:
            pass

    repeated = rerun.rerun(tmp_path / "run", Silent())
    assert repeated.differences == ()
    assert repeated.recording.metadata["options"]["weights"] == "bfloat16"


def test_plastic_synapses_begin_from_rounded_weights():
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    sim = portable_cortex.simulator("nest", options={"threads": "1", **BFLOAT16})
    sim.setup(timestep=0.1)
    cells = sim.Population(3, sim.IF_curr_exp())
    synapse = sim.TsodyksMarkramSynapse(weight=0.3, delay=1.0, U=0.5, tau_rec=100.0, tau_facil=0.0)
    projection = sim.Projection(cells, cells, sim.AllToAllConnector(), synapse)
    weights = projection.get("weight", "list", with_address=False)
    np.testing.assert_allclose(weights, 0.30078125, rtol=1e-12)
    sim.end()


def test_rounded_runs_are_judged(tmp_path):
    from portable_cortex.validation.verdict import examine

    run = microcircuit(drive="dc", v0="original", realisation="shared", duration=600.0)
    run.save(tmp_path / "a")
    run.save(tmp_path / "b")
    validation = examine([tmp_path / "a"], str(tmp_path / "b"))
    assert validation.recording.metadata["options"]["weights"] == "bfloat16"
    assert validation.pairing is not None
    assert validation.pairing.first_difference is None

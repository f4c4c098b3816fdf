"""What only the built-in engine promises: the core's draws, NEST's spikes, any threads."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portable_cortex
from portable_cortex.errors import InvalidValueError, SimulationError, UnsupportedError
from portable_cortex.neurons import library
from portable_cortex.neurons.reference import Reference

STEP = 0.1


def namespace(threads=2, seed=5, **settings):
    sim = portable_cortex.simulator("builtin", options={"threads": str(threads)})
    sim.setup(timestep=STEP, rng_seed=seed, **settings)
    return sim


@pytest.fixture
def sim():
    found = namespace()
    yield found
    found.end()


def spike_times(population):
    trains = population.get_data("spikes").segments[-1].spiketrains
    return [np.asarray(train.rescale("ms").magnitude) for train in trains]


def test_an_exponential_neuron_without_slope_fires_at_its_threshold(sim):
    same = {"cm": 0.5, "tau_m": 12.0, "v_reset": -62.0, "tau_refrac": 2.0, "v_rest": -65.0}
    same |= {"v_thresh": -52.0, "i_offset": np.array([0.3, 0.7, 1.1])}
    sharp = sim.Population(3, sim.EIF_cond_exp_isfa_ista(delta_T=0.0, a=0.0, b=0.0, **same))
    plain = sim.Population(3, sim.IF_cond_exp(**same))
    for population in (sharp, plain):
        population.initialize(v=-65.0)
        population.record("spikes")
    sim.run(100.0)
    trains = spike_times(sharp), spike_times(plain)
    assert [len(train) for train in trains[0]] == [len(train) for train in trains[1]]
    assert [bool(len(train)) for train in trains[0]] == [False, True, True]
    for one, other in zip(*trains, strict=True):
        np.testing.assert_allclose(one, other, atol=STEP * max(1, len(one)))


def microcircuit(**changes):
    settings = {"scale": 0.02, "duration": 100.0, "warmup": 0.0, "seed": 3} | changes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with constant drive it may fall silent
        return portable_cortex.run(**settings)


def assert_same_spikes(first, second):
    assert first.metadata["n_spikes"] > 50
    for label in first.populations:
        a, b = first.spikes(label), second.spikes(label)
        np.testing.assert_allclose(a.times, b.times, atol=1e-6, err_msg=label)
        np.testing.assert_array_equal(a.neurons, b.neurons, err_msg=label)


# --- random numbers -------------------------------------------------------------------------------


def test_threefry_gives_the_known_answer():
    """Of Random123's test vectors: counter and key zero."""
    from portable_cortex.backends.builtin._threefry import threefry

    zero = np.uint64(0)
    known = "09218ebde6c85537", "55941f5266d86105", "4bd25e16282434dc", "ee29ec846bd2e40b"
    assert threefry(zero, zero, zero, zero, zero) == tuple(int(word, 16) for word in known)


def events(first, size, step, keys, tables, table, space):
    """What the engine finds for neurons of a piece."""
    from portable_cortex.backends.builtin import _poisson

    _poisson.events(first, size, step, *keys, tables, table, space)
    begin = first % _poisson.PIECE
    return space[2][begin : begin + size] >> 1


def poisson_counts(means, table, neurons, steps, key=(11, 35)):
    """Numbers of events, shape (steps, neurons), as the engine draws them."""
    from portable_cortex.backends.builtin import _poisson

    tables, space = _poisson.tables(np.array(means)), _poisson.space()
    keys = tuple(np.uint64(k) for k in key)
    pieces = range(0, neurons, _poisson.PIECE)
    sizes = [min(_poisson.PIECE, neurons - first) for first in pieces]
    return np.array(
        [
            np.concatenate(
                [
                    events(first, size, step, keys, tables, table, space)
                    for first, size in zip(pieces, sizes, strict=True)
                ]
            )
            for step in range(1, steps + 1)
        ]
    )


def chi_square(observed, expected):
    """P value, classes of fewer than ten expected put together."""
    from scipy import stats

    order = np.argsort(expected)[::-1]
    n_common = int((expected >= 10).sum())
    groups = np.minimum(np.arange(expected.size), n_common)
    o, e = (np.bincount(groups, values[order]) for values in (observed, expected))
    keep = e > 5
    return stats.chisquare(o[keep], e[keep] * o[keep].sum() / e[keep].sum()).pvalue


@pytest.mark.parametrize("mean", [0.01, 0.3, 1.2, 2.32, 10.0, 48.0, 150.0])
def test_poisson_counts_have_the_distribution(mean):
    from scipy import stats

    counts = poisson_counts([0.5, mean], 1, 2048, 200)
    n = np.arange(int(mean + 15 * np.sqrt(mean) + 40))
    observed = np.bincount(counts.ravel(), minlength=n.size)
    assert chi_square(observed, stats.poisson.pmf(n, mean) * counts.size) > 1e-3
    assert counts.mean() == pytest.approx(mean, abs=4.5 * np.sqrt(mean / counts.size))


@pytest.mark.parametrize("mean", [0.3, 2.32, 48.0])
def test_poisson_counts_are_independent(mean):
    """Of steps, of neighbours, of the draws of one counter value, and of populations."""
    from scipy import stats

    counts = poisson_counts([mean], 0, 1024, 200)
    edges = np.unique(stats.poisson.ppf([0.25, 0.5, 0.75], mean))
    classes = np.searchsorted(edges, counts, side="left")
    other = np.searchsorted(edges, poisson_counts([mean], 0, 1024, 200, (11, 51)), side="left")
    pairs = {
        "steps": (classes[1:], classes[:-1]),
        "neighbours": (classes[:, 1:], classes[:, :-1]),
        "words": (classes[:, 32:], classes[:, :-32]),
        "populations": (classes, other),
    }
    for name, (a, b) in pairs.items():
        n = edges.size + 1
        table = np.bincount((a * n + b).ravel(), minlength=n * n).reshape(n, n)
        assert stats.chi2_contingency(table).pvalue > 1e-3, name


def test_poisson_counts_do_not_depend_on_how_a_population_is_cut():
    from portable_cortex.backends.builtin import _poisson

    tables, space = _poisson.tables(np.array([0.02, 2.3, 48.0])), _poisson.space()
    keys = np.uint64(3), np.uint64(17)
    for table in range(3):
        whole = events(0, 1024, 9, keys, tables, table, space)
        draws = space[1].copy()
        single = [_poisson.events_of_one(i, 9, draws[i], *keys, tables, table) for i in range(1024)]
        np.testing.assert_array_equal(whole, single)
        for first, size in ((0, 16), (16, 1), (100, 300), (1008, 16)):
            part = events(first, size, 9, keys, tables, table, space)
            np.testing.assert_array_equal(part, whole[first : first + size])


def test_background_has_the_rate_and_the_variance_of_a_poisson_process(sim):
    """On a membrane that forgets within a step, v is the input of the last one."""
    n, rate, weight, steps = 64, 12_800.0, 0.01, 4000
    cells = sim.Population(n, sim.IF_curr_exp(tau_m=1e4, tau_syn_E=0.004, v_thresh=1e9, cm=1.0))
    source = sim.Population(n, sim.SpikeSourcePoisson(rate=rate))
    sim.Projection(
        source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=weight, delay=0.1)
    )
    cells.record("isyn_exc")
    sim.run(steps * STEP)
    (signal,) = cells.get_data("isyn_exc").segments[0].analogsignals
    counts = np.rint(signal.magnitude[2:] / weight)
    mean = rate * STEP * 1e-3
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / counts.size))
    assert counts.var() == pytest.approx(mean, rel=0.03)
    assert abs(np.corrcoef(counts[:, 0], counts[:, 1])[0, 1]) < 5 / np.sqrt(steps)
    assert abs(np.corrcoef(counts[1:, 0], counts[:-1, 0])[0, 1]) < 5 / np.sqrt(steps)


def test_sources_that_are_recorded_send_what_they_would_have_sent():
    def run(record):
        sim = namespace()
        source = sim.Population(40, sim.SpikeSourcePoisson(rate=8000.0))
        cells = sim.Population(40, sim.IF_curr_exp())
        sim.Projection(
            source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=0.5)
        )
        cells.record("v")
        if record:
            source.record("spikes")
        sim.run(50.0)
        return cells.get_data("v").segments[0].analogsignals[0].magnitude

    np.testing.assert_allclose(run(record=False), run(record=True), atol=1e-9)


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "differing"),
    [
        ("IF_curr_exp", "tau_m"),
        ("IF_cond_exp", "tau_m"),
        ("EIF_cond_exp_isfa_ista", "tau_m"),
        ("Izhikevich", "d"),
    ],
)
def test_equal_neurons_get_their_poisson_spikes_as_different_ones_do(name, differing):
    """Loops of equal neurons add them on the way: in the refractory time, too."""
    spikes = []
    for is_equal in (True, False):
        sim = portable_cortex.simulator("builtin", options={"threads": "1"})
        sim.setup(timestep=0.1, rng_seed=3)
        cells = getattr(sim, name)(i_offset=10.0 if name == "Izhikevich" else 1.0)
        population = sim.Population(20, cells)
        if not is_equal:
            value = population.get(differing)
            population.set(**{differing: np.append(np.full(19, value), 1.001 * value)})
        source = sim.Population(20, sim.SpikeSourcePoisson(rate=3000.0))
        synapse = sim.StaticSynapse(weight=0.02, delay=0.1)
        sim.Projection(source, population, sim.OneToOneConnector(), synapse)
        population.record("spikes")
        sim.run(200.0)
        trains = population.get_data().segments[0].spiketrains[:19]
        spikes.append([np.asarray(train).tolist() for train in trains])
        sim.end()
    assert sum(map(len, spikes[0])) > 50
    assert spikes[0] == spikes[1]


def test_conductances_that_are_like_currents_make_the_same_spikes():
    """With reversal potentials that are far away."""
    spikes = []
    for is_cond in (False, True):
        sim = portable_cortex.simulator("builtin", options={"threads": "1"})
        sim.setup(timestep=0.1, rng_seed=3)
        parameters = {"cm": 0.25, "tau_m": 10.0, "tau_refrac": 2.0, "tau_syn_E": 0.5}
        if is_cond:
            cells = sim.IF_cond_exp(**parameters, e_rev_E=58e6)
        else:
            cells = sim.IF_curr_exp(**parameters)
        population = sim.Population(50, cells)
        source = sim.Population(50, sim.SpikeSourcePoisson(rate=9500.0))
        synapse = sim.StaticSynapse(weight=0.0878 / (58e6 if is_cond else 1.0), delay=0.1)
        sim.Projection(source, population, sim.OneToOneConnector(), synapse)
        population.record("spikes")
        sim.run(500.0)
        trains = population.get_data().segments[0].spiketrains
        spikes.append([np.asarray(train).tolist() for train in trains])
        sim.end()
    assert sum(map(len, spikes[0])) > 500
    assert spikes[0] == spikes[1]


def test_results_do_not_depend_on_the_number_of_threads():
    one = microcircuit(backend="builtin", options={"threads": "1"}, record=["v:L4E:20"])
    for threads in ("2", "3"):
        other = microcircuit(backend="builtin", options={"threads": threads}, record=["v:L4E:20"])
        assert_same_spikes(one, other)
        np.testing.assert_array_equal(
            one.signal("L4E", "v").values, other.signal("L4E", "v").values
        )


def mixed_network(threads):
    """All that was recorded of several cell types, sources and currents, in two pieces."""
    sim = namespace(threads=threads)
    plain = sim.Population(203, sim.IF_curr_exp())
    kinds = {
        "plain": plain,
        "alpha": sim.Population(77, sim.IF_curr_alpha()),
        "conductance": sim.Population(130, sim.IF_cond_exp()),
        "jumping": sim.Population(61, sim.Izhikevich(i_offset=0.008)),
    }
    poisson = sim.Population(150, sim.SpikeSourcePoisson(rate=300.0))
    array = sim.Population(9, sim.SpikeSourceArray(spike_times=[2.0, 7.3, 21.0]))
    delay = sim.RandomDistribution("uniform", low=0.1, high=3.0)
    for label, cells in kinds.items():
        weight = 0.02 if label == "conductance" else 1.5
        for source in (plain, poisson, array):
            sim.Projection(
                source, cells, sim.FixedProbabilityConnector(0.1),
                sim.StaticSynapse(weight=weight, delay=delay), receptor_type="excitatory",
            )  # fmt: skip
        background = sim.Population(cells.size, sim.SpikeSourcePoisson(rate=2000.0))
        synapse = sim.StaticSynapse(weight=0.1 * weight, delay=0.1)
        sim.Projection(background, cells, sim.OneToOneConnector(), synapse)
        cells.record("spikes")
        cells[3::7].record("v")
    poisson.record("spikes")
    plain[5:40].record("isyn_exc")
    plain[10:20].inject(sim.StepCurrentSource(times=[3.0, 20.0], amplitudes=[0.7, 0.0]))
    kinds["alpha"].inject(sim.NoisyCurrentSource(mean=0.4, stdev=0.3, start=5.0, stop=25.0))
    sim.run(13.7)
    sim.run(16.3)
    recorded = {}
    for label, cells in {**kinds, "poisson": poisson}.items():
        segment = cells.get_data().segments[0]
        recorded[label] = [np.asarray(train) for train in segment.spiketrains]
        recorded[label] += [np.asarray(signal) for signal in segment.analogsignals]
        assert sum(len(train) for train in segment.spiketrains) > 50, label
    sim.end()
    return recorded


def test_one_to_eight_threads_make_the_same_of_a_mixed_network():
    one = mixed_network(1)
    for threads in range(2, 9):
        for label, arrays in mixed_network(threads).items():
            for ours, theirs in zip(arrays, one[label], strict=True):
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{threads} threads, {label}")


def test_segments_that_find_no_room_in_the_lists_are_looked_up(monkeypatch):
    from portable_cortex.backends.builtin import _kernel

    one = microcircuit(backend="builtin", options={"threads": "2"})
    monkeypatch.setattr(_kernel, "LISTED", 500)  # of some thousand that are on their way
    assert_same_spikes(one, microcircuit(backend="builtin", options={"threads": "2"}))


def test_a_run_leaves_denormal_numbers_as_they_were(sim):
    cells = sim.Population(10, sim.IF_curr_exp(i_offset=1.0))
    cells.record("v")
    sim.run(20.0)
    smallest = np.finfo(float).tiny
    assert np.array([smallest])[0] * 0.5 > 0.0


@settings(max_examples=50)
@given(
    steps_left=st.lists(st.sampled_from([0, 0, 0, 1, 2, 200]), min_size=1, max_size=200),
    begin=st.integers(0, 199),
    kind=st.sampled_from([np.uint8, np.int32]),
)
def test_refractory_neurons_are_found_counted_down_and_set_back(steps_left, begin, kind):
    loop = loop_of_lif()
    refractory, n = np.array(steps_left, kind), len(steps_left)
    begin = min(begin, n - 1)
    v = np.arange(n, dtype=float)
    numbers, values = np.zeros(n, np.int32), np.zeros((1, n))
    n_held = loop.hold(v, refractory, begin, n, numbers, values)
    expected = np.array(steps_left)
    expected[begin:] = np.maximum(expected[begin:] - 1, 0)
    assert refractory.tolist() == expected.tolist()
    assert numbers[:n_held].tolist() == [i for i in range(begin, n) if steps_left[i]]
    v[begin:] = -1.0
    still = np.array(steps_left) > 0
    constants = np.full((20, 1), 100.0)  # the threshold is one of them
    reached = loop.again(v, v, v, refractory, v, constants, numbers, values, n_held)
    over = still & (expected == 0) & (np.arange(n) >= 100)  # that may fire again
    assert reached == over[begin:].any()
    assert v[begin:].tolist() == np.where(still, np.arange(n), -1.0)[begin:].tolist()


def loop_of_lif():
    """The module that advances IF_curr_exp."""
    from portable_cortex.backends.builtin import _cells, _generated

    model = _cells.CELL_TYPES["IF_curr_exp"].model
    return _generated._module(model.text, model.neuron.name)


INSTRUCTIONS = {"nehalem": "sse4.2", "haswell": "avx2", "skylake-avx512": "avx512f"}
KERNELS = """
import hashlib
import sys
import numpy as np
from portable_cortex.backends.builtin import _cells, _generated, _kernel, _poisson

model = _cells.CELL_TYPES["IF_curr_exp"].model
loop = _generated._module(model.text, model.neuron.name)
tables, space = _poisson.tables(np.array([0.02, 2.3, 48.0])), _poisson.space()
digest = hashlib.sha256()
n, log = 1000, np.zeros(1000, np.int32)
v, exc, inh = np.full(n, -60.0), np.zeros(n), np.zeros(n)
left, drive = np.zeros(n, np.uint8), np.zeros(n)
numbers, values = np.zeros(n, np.int32), np.zeros((1, n))
standard = _cells.cells.IF_curr_exp.default_parameters
kind = {name: np.array([value]) for name, value in standard.items()}
equal = np.array(model.constants(kind, 0.1))
for columns in (equal, np.repeat(equal, n, axis=1)):
    for step in range(200):
        _poisson.events(24, n, step, np.uint64(1), np.uint64(2), tables, 1, space)
        codes = space[2][24 : 24 + n]
        n_held = loop.hold(v, left, 0, n, numbers, values)
        if columns is equal:
            reached = loop.rest_of_equal(exc, inh, v, 0, n, codes, 5.0, columns)
        else:
            reached = loop.rest_of_different(exc, inh, v, drive, 0, n, columns)
            exc += 5.0 * (codes >> 1)
        reached |= loop.again(exc, inh, v, left, drive, columns, numbers, values, n_held)
        n_fired = loop.fire(exc, inh, v, left, drive, columns, 0, n, log, 0) if reached else 0
        for array in (v, exc, left, log[:n_fired]):
            digest.update(array.tobytes())
code = loop.rest_of_equal.inspect_asm(loop.rest_of_equal.signatures[0])
assert ("ymm" in code) == (sys.argv[1] != "nehalem"), "not the instructions that were asked for"
print(n_fired, digest.hexdigest())
"""
NETWORK = """
import hashlib
import portable_cortex

for precision in ("double", "single"):
    options = {"threads": "2", "precision": precision}
    run = portable_cortex.run(backend="builtin", options=options, scale=0.05, duration=200.0)
    digest = hashlib.sha256()
    for label in run.populations:
        for array in run.spikes(label):
            digest.update(array.tobytes())
    print(run.metadata["n_spikes"], digest.hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instruction sets of x86-64")
@pytest.mark.parametrize(
    "program", [KERNELS, pytest.param(NETWORK, marks=pytest.mark.slow)], ids=["kernels", "network"]
)
def test_results_do_not_depend_on_the_instruction_set(program, tmp_path):
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    said = {}
    for processor, needed in INSTRUCTIONS.items():
        if features.get(needed):
            said[processor] = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", program, processor],
                env=os.environ
                | {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
                | {"NUMBA_CACHE_DIR": str(tmp_path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    assert len(said) > 1, "only one instruction set to compare"
    assert len(set(said.values())) == 1, said


@pytest.mark.parametrize(("kind", "most"), [("float64", 5e-11), ("float32", 3e-7)])
def test_powers_in_solvers_are_as_exact_as_they_say(kind, most):
    from numba import njit

    from portable_cortex.backends.builtin._functions import near_exp2

    @njit
    def fill(exponents, powers):
        for i in range(exponents.size):
            powers[i] = near_exp2(exponents[i])

    exponents = np.linspace(-125.0, 125.0, 100_001).astype(kind)
    powers = np.empty_like(exponents)
    fill(exponents, powers)
    expected = np.exp2(exponents.astype(np.float64))
    assert np.abs(powers / expected - 1.0).max() < most
    fill(np.array([0.0, 1e9, -1e9], kind), powers)
    assert powers[:3].tolist() == [
        1.0,
        *(2.0**k for k in ((1020, -1020), (125, -125))[kind == "float32"]),
    ]


SHORT_RUNS = """
import sys
import numpy as np
import portable_cortex

sim = portable_cortex.simulator("builtin", options={"threads": sys.argv[1]})
sim.setup(timestep=0.1, rng_seed=3)
cells = sim.Population(300, sim.IF_curr_exp(i_offset=np.linspace(0.9, 1.3, 300)))
synapse = sim.StaticSynapse(weight=0.05, delay=0.3)
sim.Projection(cells, cells, sim.FixedProbabilityConnector(0.1), synapse)
cells.record("spikes")
for _ in range(3000):
    sim.run(0.2)
print([train.magnitude.tolist() for train in cells.get_data().segments[0].spiketrains])
"""


@pytest.mark.slow
def test_many_short_runs_beside_busy_programs():
    """Threads come and go while others use what is theirs."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        said = [
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", SHORT_RUNS, threads],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for threads in ("1", "2", "3")
        ]
    finally:
        for program in busy:
            program.kill()
            program.wait()
    assert len(said[0]) > 1000
    assert len(set(said)) == 1


@pytest.mark.slow  # another precision is compiled first
@pytest.mark.parametrize("celltype", ["IF_curr_exp", "IF_cond_alpha", "Izhikevich"])
def test_single_precision_is_near_double(celltype):
    signals = []
    for precision in ("double", "single"):
        sim = namespace(precision=precision)
        cells = sim.Population(20, getattr(sim, celltype)(i_offset=0.005))
        source = sim.Population(20, sim.SpikeSourcePoisson(rate=500.0))
        synapse = sim.StaticSynapse(weight=0.001, delay=1.0)
        sim.Projection(source, cells, sim.OneToOneConnector(), synapse)
        cells.record("v")
        sim.run(50.0)
        signals.append(cells.get_data("v").segments[0].analogsignals[0].magnitude)
    early = slice(100)  # a spike would make much of little
    assert 0 < np.abs(signals[1] - signals[0])[early].max() < 5e-3


@pytest.mark.slow
def test_single_precision_has_the_rates_of_double():
    one, other, again = (
        microcircuit(scale=0.1, duration=2000.0, warmup=200.0, backend="builtin", options=options)
        for options in (
            {"precision": "double"},
            {"precision": "single"},
            {"precision": "single", "threads": "1"},
        )
    )
    assert_same_spikes(other, again)
    assert one.metadata["n_spikes"] == pytest.approx(other.metadata["n_spikes"], rel=0.05)
    assert other.metadata["options"]["precision"] == "single"


def test_native_and_shared_connections_are_the_same():
    networks = []
    for realisation in ("native", "shared"):
        run = microcircuit(backend="builtin", realisation=realisation, duration=1.0)
        networks.append(run.metadata["n_synapses"])
    assert networks[0] == networks[1]


# --- NEST -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duration",
    [100.0, pytest.param(1000.0, marks=pytest.mark.slow)],
)
def test_spikes_are_those_of_nest(duration):
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    settings = {
        "n_scale": 0.02,
        "k_scale": 0.3,
        "drive": "dc",
        "realisation": "shared",
        "duration": duration,
        "record": ["v:L4E:20", "v:L5I:5"],
        "machine": "single-thread",
    }
    nest, builtin = (microcircuit(backend=b, **settings) for b in ("nest", "builtin"))
    assert_same_spikes(nest, builtin)
    for label in ("L4E", "L5I"):
        difference = nest.signal(label, "v").values - builtin.signal(label, "v").values
        assert np.abs(difference).max() < 1e-9


# --- PyNN -----------------------------------------------------------------------------------------


def test_runs_may_be_cut_in_pieces():
    def run(pieces, change=False):
        sim = namespace()
        cells = sim.Population(50, sim.IF_curr_exp(i_offset=0.9))
        cells.initialize(v=np.linspace(-70.0, -55.0, 50))
        connector = sim.FixedNumberPreConnector(10)
        sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=0.3, delay=2.7))
        cells.record("spikes")
        for piece in pieces:
            sim.run(piece)
            if change:
                cells.record("v")  # makes a new engine, with spikes on their way
        return np.concatenate(spike_times(cells))

    whole = run([60.0])
    assert whole.size > 50
    np.testing.assert_array_equal(whole, run([20.0, 0.1, 39.9]))
    np.testing.assert_array_equal(whole, run([20.0, 0.1, 39.9], change=True))


def test_reset_starts_again_and_keeps_the_segments(sim):
    cells = sim.Population(3, sim.IF_curr_exp(i_offset=0.8))
    cells.initialize(v=-60.0)
    cells.record(["v", "spikes"])
    sim.run(20.0)
    sim.reset()
    assert sim.get_current_time() == 0
    cells.set(i_offset=1.2)
    sim.run(10.0)
    first, second = cells.get_data().segments
    assert first.analogsignals[0].shape == (201, 3)
    assert second.analogsignals[0].shape == (101, 3)
    assert float(second.analogsignals[0][0, 0]) == -60.0
    assert float(second.analogsignals[0][50, 0]) > float(first.analogsignals[0][50, 0])


def test_sampling_interval_and_views(sim):
    cells = sim.Population(10, sim.IF_curr_exp(i_offset=np.linspace(0, 1, 10)))
    cells[2:5].record("v", sampling_interval=0.5)
    sim.run(10.0)
    (signal,) = cells.get_data("v").segments[0].analogsignals
    assert signal.shape == (21, 3)
    assert signal.array_annotations["channel_index"].tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="multiple of the time step"):
        sim.Population(2, sim.IF_curr_exp()).record("v", sampling_interval=0.25)


def test_clearing_keeps_time_going(sim):
    cells = sim.Population(2, sim.IF_curr_exp(i_offset=0.8))
    cells.record(["v", "spikes"])
    sim.run(10.0)
    cells.get_data(clear=True)
    sim.run(5.0)
    (signal,) = cells.get_data("v").segments[0].analogsignals
    assert signal.shape == (51, 2)
    assert float(signal.t_start) == pytest.approx(10.0)


def test_callbacks_may_change_parameters(sim):
    cells = sim.Population(1, sim.IF_curr_exp(i_offset=0.0))
    cells.record("spikes")

    def switch(time):
        cells.set(i_offset=4.0 if 19.9 < time < 39.9 else 0.0)
        return time + 20.0

    sim.run(60.0, callbacks=[switch])
    (times,) = spike_times(cells)
    assert times.size > 2
    assert times.min() > 20.0
    assert times.max() <= 40.1


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda sim: sim.DCSource(amplitude=0.5, start=10.0, stop=20.0), [0, 0.5, 0]),
        (
            lambda sim: sim.StepCurrentSource(times=[10.0, 20.0], amplitudes=[0.5, -0.25]),
            [0, 0.5, -0.25],
        ),
        (
            lambda sim: sim.ACSource(
                amplitude=0.0, offset=0.5, frequency=10.0, start=10.0, stop=20.0
            ),
            [0, 0.5, 0],
        ),
        (
            lambda sim: sim.NoisyCurrentSource(mean=0.5, stdev=0.0, start=10.0, stop=20.0),
            [0, 0.5, 0],
        ),
    ],
)  # fmt: skip
def test_current_sources(sim, make, expected):
    """A membrane with hardly a leak integrates the current: its slope is the amplitude."""
    cells = sim.Population(20, sim.IF_curr_exp(tau_m=1e7, cm=1.0, v_thresh=1e9))
    cells[3:5].inject(make(sim))
    cells.record("v")
    sim.run(30.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude
    np.testing.assert_allclose(v[-1, [0, 5, 19]], -65.0, atol=1e-3)
    for third, amplitude in enumerate(expected):
        rise = v[100 * (third + 1), 3:5] - v[100 * third, 3:5]
        np.testing.assert_allclose(rise, 10.0 * amplitude, atol=1e-4)


def test_currents_can_be_read_and_recorded(sim):
    cell = sim.Population(1, sim.IF_curr_exp())
    source = sim.StepCurrentSource(times=[1.0, 2.0], amplitudes=[0.5, 0.25])
    cell.inject(source)
    source.record()
    sim.run(3.0)
    assert source.times[1] == 2.0
    current = source.get_data().magnitude[:, 0]
    np.testing.assert_allclose(current, [0.0] * 10 + [0.5] * 10 + [0.25] * 11)
    with pytest.raises(ValueError, match="ascend"):
        sim.StepCurrentSource(times=[2.0, 1.0], amplitudes=[0.5, 0.25])


def test_steps_of_a_current_are_on_the_grid(sim):
    source = sim.StepCurrentSource(times=[0.41, 0.42, 0.86], amplitudes=[0.5, -0.5, 0.25])
    np.testing.assert_allclose(source.times, [0.4, 0.9])
    np.testing.assert_allclose(source.amplitudes, [-0.5, 0.25])


def test_constant_weights_are_kept_as_they_were_given(sim):
    cells = sim.Population(20, sim.IF_curr_exp())
    synapse = sim.StaticSynapse(weight=0.05, delay=1.0)
    for connector in (sim.FixedProbabilityConnector(0.5), sim.FixedNumberPreConnector(5)):
        projection = sim.Projection(cells, cells, connector, synapse)
        assert set(projection.get("weight", format="list", with_address=False)) == {0.05}


def test_noise_is_normal_and_the_same_for_any_slices(sim):
    cells = sim.Population(1, sim.IF_curr_exp(tau_m=1e7, cm=1.0, v_thresh=1e9))
    cells.inject(sim.NoisyCurrentSource(mean=0.0, stdev=1.0, dt=0.1))
    cells.record("v")
    sim.run(100.0)
    sim.run(300.0)
    v = cells.get_data("v").segments[0].analogsignals[0].magnitude[:, 0]
    noise = np.diff(v) / STEP
    assert noise.std() == pytest.approx(1.0, rel=0.05)
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)


def test_synapses_can_be_changed_between_runs(sim):
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, 21.0]))
    cell = sim.Population(1, sim.IF_curr_exp(v_thresh=1e9, tau_syn_E=0.5))
    synapse = sim.StaticSynapse(weight=0.5, delay=1.0)
    projection = sim.Projection(source, cell, sim.OneToOneConnector(), synapse)
    cell.record("v")
    sim.run(20.0)
    projection.set(weight=1.0)
    sim.run(20.0)
    v = cell.get_data("v").segments[0].analogsignals[0].magnitude[:, 0] + 65.0
    first, second = v[:210].max(), (v[210:] - v[210] * np.exp(-np.arange(191) / 200.0)).max()
    assert second == pytest.approx(2 * first, rel=1e-6)
    assert projection.get("weight", format="list") == [(0, 0, 1.0)]


def test_views_that_overlap_leave_out_the_cells_themselves(sim):
    cells = sim.Population(6, sim.IF_curr_exp())
    connector = sim.AllToAllConnector(allow_self_connections=False)
    projection = sim.Projection(cells[:4], cells[2:], connector, sim.StaticSynapse(weight=0.1))
    pairs = {(i, j) for i, j, _ in projection.get("weight", format="list")}
    assert pairs == {(i, j) for i in range(4) for j in range(4)} - {(2, 0), (3, 1)}


def test_files_of_connections_can_be_saved_and_read(sim, tmp_path):
    cells = sim.Population(10, sim.IF_curr_exp())
    connector = sim.FixedProbabilityConnector(0.4)
    synapse = sim.StaticSynapse(weight=0.25, delay=1.5)
    saved = sim.Projection(cells, cells, connector, synapse)
    saved.save("all", str(tmp_path / "connections.txt"))
    read = sim.Projection(
        cells, cells, sim.FromFileConnector(str(tmp_path / "connections.txt")), sim.StaticSynapse()
    )
    assert read.get(["weight", "delay"], "list") == saved.get(["weight", "delay"], "list")


def test_an_interruption_leaves_what_was_run(call, monkeypatch, tmp_path):
    """Ctrl-C after the third report of progress."""
    from portable_cortex import Recording
    from portable_cortex.backends.builtin import BuiltinBackend

    simulate = BuiltinBackend.simulate

    def interrupted(self, sim, duration, progress):
        def report(fraction):
            progress(fraction)
            if sim.get_current_time() > 60.0:
                raise KeyboardInterrupt

        simulate(self, sim, duration, report)

    monkeypatch.setattr(BuiltinBackend, "simulate", interrupted)
    status, _, err = call(
        "run", "--backend", "builtin", "--scale", 0.02, "--warmup", 50, "--duration", 1e5,
        "--out", "results/cut",
    )  # fmt: skip
    assert status == 130
    assert "this much was written" in err
    recording = Recording.load(tmp_path / "results/cut")
    duration = recording.metadata["duration_ms"]
    assert 10.0 < duration < 1e5 == recording.metadata["planned_duration_ms"]
    assert recording.metadata["n_spikes"] > 0
    assert all(recording.spikes(p).times.max(initial=0) <= 50.0 + duration for p in ("L4E", "L4I"))


# --- mistakes -------------------------------------------------------------------------------------


def test_other_synapses_are_refused(sim):
    with pytest.raises(AttributeError, match=r"MultiQuantalSynapse.*it is on nest"):
        sim.MultiQuantalSynapse  # noqa: B018
    from pyNN.standardmodels.synapses import MultiQuantalSynapse, SimpleStochasticSynapse

    cells = sim.Population(2, sim.IF_curr_exp())
    for kind, said in (
        (MultiQuantalSynapse, "no synapse type"),
        (SimpleStochasticSynapse, "not that of backend 'builtin'"),
    ):
        with pytest.raises(UnsupportedError, match=said):
            sim.Projection(cells, cells, sim.AllToAllConnector(), kind(delay=1.0))


def test_unknown_cell_types_are_refused_with_the_backends_that_have_them(sim):
    from pyNN.standardmodels import cells

    from portable_cortex.pynn.population import cell_type

    with pytest.raises(UnsupportedError, match=r"no cell type .SpikeSourceGamma.*it is on nest"):
        sim.Population(2, cell_type(cells.SpikeSourceGamma)())
    with pytest.raises(AttributeError, match=r"SpikeSourceGamma.*it is on nest"):
        sim.SpikeSourceGamma  # noqa: B018


def test_impossible_parameters_are_refused(sim):
    with pytest.raises(sim.errors.InvalidParameterValueError, match="tau_m"):
        sim.Population(2, sim.IF_curr_exp(tau_m=0.0))
    cells = sim.Population(2, sim.IF_curr_exp())
    with pytest.raises(sim.errors.ConnectionError, match="delay"):
        sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=0.1, delay=0.01)
        )
    with pytest.raises(sim.errors.InvalidParameterValueError, match="ascending"):
        sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0, 1.0]))
    with pytest.raises(sim.errors.ConnectionError, match="index out of range"):
        sim.Projection(cells, cells, sim.FromListConnector([(0, 5, 0.1, 1.0)]))


def test_wrong_settings_are_refused():
    with pytest.raises(InvalidValueError, match="threads"):
        namespace(threads=0)
    with pytest.raises(InvalidValueError, match="'double' or 'single'"):
        namespace(precision="half")
    with pytest.raises(InvalidValueError, match="rng_seed"):
        namespace(seed=-1)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says it there")
def test_arrays_that_are_hardly_used_take_hardly_any_memory():
    from portable_cortex.backends.builtin import _memory

    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    history = _memory.sparse((2, 80, 200_000), np.int32)  # 128 MB
    history[:, :, 0] = 1
    assert 160 <= pages() - before < 1000
    assert history[:, :, :2].sum() == 160


def test_too_large_networks_are_refused_before_they_are_built(monkeypatch):
    from portable_cortex.backends.builtin import _memory

    monkeypatch.setattr(_memory, "free_bytes", lambda: 200_000)
    with pytest.raises(SimulationError, match=r"synapses need .* GB, .* GB free"):
        microcircuit(backend="builtin", duration=1.0)


INTERNALS = """
model internals_neuron:
    state:
        v mV = -70 mV
        i pA = 0 pA
        is_high boolean = false
        n real = 0

    equations:
        i' = -i / tau
        v' = (-70 mV - v + 2 mV * exp((v + 50 mV) / (2 mV)) * (1 - exp(-tau / (3 ms)))) / (10 ms) + i / (250 pF)

    parameters:
        tau ms = 2 ms

    internals:
        unit pA = e / tau * 1 ms * 1 pA

    input:
        spikes <- spike

    output:
        spike

    update:
        integrate_odes()
        if is_high or i > 5000 pA:
            n += 1
        is_high = v > -69 mV

    onReceive(spikes):
        i += spikes * unit * 1 s

    onCondition(v >= -30 mV):
        v = -70 mV
        emit_spike()
"""  # noqa: E501


def test_inputs_and_slopes_of_a_model_may_be_of_its_internals(sim):
    """A factor of an input, a constant exponential function before a solver, a truth value."""
    cells = sim.Population(1, sim.nestml_cell_type("Internals", INTERNALS)())
    cells.record(["v", "i", "n"])
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[2.0]))
    sim.Projection(
        source, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=500.0, delay=1.0),
        receptor_type="spikes",
    )  # fmt: skip
    sim.run(20.0)
    data = cells.get_data().segments[0]
    v, i, n = (data.filter(name=name)[0].magnitude[:, 0] for name in ("v", "i", "n"))
    reference = Reference(library.load(INTERNALS), 0.1)
    arrivals = np.zeros(200)
    arrivals[29] = 500.0
    course = reference.run(200, {"spikes": arrivals}, record=["v", "i", "n"])
    np.testing.assert_allclose(i[1:], course.variables["i"][:, 0], rtol=1e-12)
    np.testing.assert_allclose(v[1:], course.variables["v"][:, 0], atol=1e-5)
    np.testing.assert_array_equal(n[1:], course.variables["n"][:, 0])
    assert n[-1] > 0

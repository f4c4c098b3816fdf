"""The built-in engine's compiled draws are the core's, bit by bit, wherever they are made."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import weakref

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

import portable_cortex
from portable_cortex.backends.builtin import _normal
from portable_cortex.backends.builtin._philox import UNIT, two_uniforms, uniform
from portable_cortex.pynn.draws import DELAY, WEIGHT, Stream

STEP = 0.1


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [0, 1, 1_000_001])
@pytest.mark.parametrize("units", [1, 5])
def test_compiled_generator_is_the_core_s(block, units):
    seed, item, n = 7, 3, 4 * UNIT * units
    key, weights, delays = (
        np.uint64(seed),
        np.uint64(16 * item + WEIGHT),
        np.uint64(16 * item + DELAY),
    )
    a, b, c = np.empty(n), np.empty(n), np.empty(n)
    two_uniforms(key, weights, block, a, delays, block + 5, b)
    uniform(key, weights, block, c)
    np.testing.assert_array_equal(a, Stream(seed, item, WEIGHT).uniform(n, 4 * block))
    np.testing.assert_array_equal(b, Stream(seed, item, DELAY).uniform(n, 4 * block + 20))
    np.testing.assert_array_equal(c, a)


@pytest.fixture(scope="module")
def numbers():
    """Everywhere in (0, 1), and at its ends."""
    u = np.concatenate([Stream(1, 1, 1).uniform(300_000), 2.0 ** -np.arange(1, 53)])
    u = np.concatenate([u, np.linspace(2.0**-11, 2.0**-9, 10_000)])
    u = np.unique(np.concatenate([u, np.nextafter(u, 0), 1 - u]))
    return u[(u > 0) & (u < 1)]


def test_normal_quantiles_are_scipy_s(numbers):
    found = np.array([_normal.inverse_normal(u) for u in numbers])
    np.testing.assert_array_equal(found, ndtri(numbers))


def test_estimates_of_normal_quantiles_are_as_near_as_is_relied_on(numbers):
    u = numbers[numbers < 0.5]
    segment, found = np.empty(u.size, np.uint64), np.empty(u.size)
    _normal._locate(u, 0.0, 1.0, segment, found)
    _normal._estimate(segment, found, _normal.segments())
    near = np.isfinite(found)
    assert np.abs(found - ndtri(u))[near].max() < _normal.ERROR / 2
    assert u[~near].max() < 2.0**-_normal.OCTAVES


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high"),
    [
        (0.0878, 0.00878, 0.0, np.inf),
        (-0.3512, 0.03512, -np.inf, 0.0),
        (0.0, 1.0, -np.inf, np.inf),
        (1.0, 1e-9, -np.inf, np.inf),
        (0.1, 0.2, 0.05, 0.12),
        (3.0, 2.0, 4.0, 5.0),
        (0.0, 1e-42, -np.inf, np.inf),  # denormal numbers
        (1e30, 1e38, -np.inf, np.inf),  # some are beyond float32
    ],
)
def test_normal_weights_are_the_core_s(numbers, mean, sd, low, high):
    below, above = ndtr((low - mean) / sd), ndtr((high - mean) / sd)
    with np.errstate(over="ignore"):
        quantiles = mean + sd * ndtri(below + numbers * (above - below))
        expected = np.clip(quantiles, low, high).astype(np.float32)
    weights = np.empty(numbers.size)
    parameters = mean, sd, below, above - below, low, high
    _normal.normal_weights(numbers.copy(), parameters, _normal.segments(), weights)
    np.testing.assert_array_equal(weights, expected)


# --- tables ---------------------------------------------------------------------------------------

CLIPPED = {"mu": 0.5, "sigma": 0.2, "low": 0.3, "high": 0.8}
WEIGHTS = {
    "fixed": None,
    "normal": {"mu": 0.5, "sigma": 0.05},
    "normal_clipped": CLIPPED,
    "normal_clipped_to_boundary": CLIPPED,
    "uniform": {"low": 0.3, "high": 0.8},
    "lognormal": {"mu": 0.2, "sigma": 0.3},
    "exponential": {"beta": 0.5},
    "gamma": {"k": 2.0, "theta": 0.3},
}


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("threads", [1, 3])
def test_synapses_are_the_core_s(weight, threads):
    sim = portable_cortex.simulator("builtin", options={"threads": str(threads)})
    sim.setup(timestep=STEP, rng_seed=5)
    cells, others = (sim.Population(n, sim.IF_curr_exp()) for n in (300, 200))
    assembly = others + cells
    parameters = WEIGHTS[weight]
    synapse = sim.StaticSynapse(
        weight=sim.RandomDistribution(weight, **parameters) if parameters else 0.5,
        delay=sim.RandomDistribution("normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=np.inf),
    )
    expected = []
    for pre, post, n, selves in [
        (cells, cells, 5000, False),
        (cells, others, 70_000, True),
        (others[50:], assembly, 900, True),
        (others[:10], cells, 0, True),
    ]:
        connector = sim.FixedTotalNumberConnector(n, allow_self_connections=selves)
        projection = sim.Projection(pre, post, connector, synapse)
        drawn = projection.draw(connector)
        sources, targets = (
            np.array(side.all_cells, int)[indices]
            for side, indices in ((pre, drawn.sources), (post, drawn.targets))
        )
        expected.append([sources, targets, np.rint(drawn.delays / STEP), drawn.weights])
    sim.run(STEP)
    np.testing.assert_array_equal(table(500), in_order(np.concatenate(expected, axis=1)))
    sim.end()


def table(n_cells):
    """Source, target, delay and weight of all synapses that the engine reads."""
    from portable_cortex.backends.builtin._simulator import state

    apart = 1000  # each cell sends a spike, so many steps after the one before
    history = [(apart * cell, np.array([cell])) for cell in range(n_cells)]
    found = state.synapses.arrivals(history, -1)
    source, delay = np.divmod(found.steps, apart)
    return in_order(np.array([source, found.cells, delay, found.weights]))


def in_order(columns):
    return columns[:, np.lexsort(columns)]


SCRIPT = """
import hashlib
import numpy as np
import portable_cortex
sim = portable_cortex.simulator("builtin")
sim.setup(timestep=0.1, rng_seed=5)
cells = sim.Population(3000, sim.IF_curr_exp())
drawn = [sim.RandomDistribution("normal_clipped", mu=m, sigma=m / 2, low=0.05, high=np.inf)
         for m in (0.2, 1.5)]
synapse = sim.StaticSynapse(weight=drawn[0], delay=drawn[1])
connector = sim.FixedTotalNumberConnector(1_000_000)
projection = sim.Projection(cells, cells, connector, synapse)
print(hashlib.sha256(b"".join(column.tobytes() for column in projection.stored())).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="for processors of one kind")
def test_draws_do_not_depend_on_the_instructions_of_the_processor(tmp_path):
    found = []
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    for settings in ({}, old):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | settings,
            check=True,
            capture_output=True,
            text=True,
        )
        found.append(done.stdout)
    assert found[0] == found[1]


def test_rows_of_a_list_are_not_kept_beside_the_synapses():
    sim = portable_cortex.simulator("builtin")
    sim.setup()
    cells = sim.Population(2, sim.IF_curr_exp())
    connector = sim.FromListConnector([(0, 1, 0.5, 1.0), (1, 0, 0.25, 2.0)])
    listed = weakref.ref(connector)
    projection = sim.Projection(cells, cells, connector, sim.StaticSynapse())
    del connector
    gc.collect()
    assert listed() is None
    assert projection.get("weight", "list") == [(0, 1, 0.5), (1, 0, 0.25)]
    assert "2 synapses" in projection.describe()

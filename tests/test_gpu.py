"""The built-in engine on a GPU; without one, its kernel in numba's simulator of one.

The simulator has two or three "multiprocessors", runs a step at a time, and takes a second for a
few steps: networks are small, and run in a process of their own, which asks for it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from portable_cortex.errors import UnsupportedError

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install portable-cortex[cuda]")


def no_gpu() -> str | None:
    """Why there is no GPU, if there is none."""
    from numba import cuda

    return None if cuda.is_available() else "needs an NVIDIA GPU"


needs_gpu = pytest.mark.skipif(no_gpu() is not None, reason=str(no_gpu()))

NETWORK = """
import sys
import numpy as np
import portable_cortex
from pyNN.random import RandomDistribution

def recorded(device, precision, cell, changes):
    sim = portable_cortex.simulator("builtin")
    sim.setup(timestep=0.1, rng_seed=5, threads=1, device=device, precision=precision)
    lif = dict(tau_refrac=0.5, tau_m=10.0, cm=0.25, i_offset=2.0)
    one = sim.Population(30, sim.IF_curr_exp(**lif), initial_values={"v": -49.9})
    other = sim.Population(20, cell(sim), initial_values={"v": RandomDistribution(
        "uniform", low=-51.0, high=-49.0, rng=sim.NumpyRNG(3))})
    for pre, weight in ((one, 0.3), (other, -1.0)):
        for post in (one, other):
            synapse = sim.StaticSynapse(
                weight=RandomDistribution("normal", mu=weight, sigma=0.02),
                delay=RandomDistribution("uniform", low=0.1, high=0.8))
            connector = sim.FixedTotalNumberConnector(pre.size * 6, with_replacement=True)
            sign = "excitatory" if weight > 0 else "inhibitory"
            last = sim.Projection(pre, post, connector, synapse, receptor_type=sign)
    for population, delay in ((one, 0.1), (other, 0.3)):
        drive = sim.Population(population.size, sim.SpikeSourcePoisson(rate=12000.0, start=0.2))
        sim.Projection(drive, population, sim.OneToOneConnector(),
                       sim.StaticSynapse(weight=0.0878, delay=delay))
    sources = [sim.Population(4, sim.SpikeSourcePoisson(rate=900.0)),
               sim.Population(2, sim.SpikeSourceArray(spike_times=[0.0, 0.4, 1.1]))]
    for source in sources:
        sim.Projection(source, one, sim.AllToAllConnector(),
                       sim.StaticSynapse(weight=0.2, delay=0.3))
    for population in (one, other, *sources):
        population.record("spikes")
    other[3:9].record("v", sampling_interval=0.2)
    current = sim.DCSource(amplitude=0.4, start=0.3, stop=1.0)
    current.inject_into(other[2:7])
    sim.run(0.7)
    if changes:  # spikes are on their way
        sim.Projection(one, other, sim.AllToAllConnector(),
                       sim.StaticSynapse(weight=0.01, delay=0.5))
        last.set(weight=-0.02)
    sim.run(0.6)
    found = []
    for population in (one, other, *sources):
        segment = population.get_data().segments[0]
        found += [np.rint(train.magnitude / 0.1).astype(int).tolist()
                  for train in segment.spiketrains]
    return found, other.get_data("v").segments[0].analogsignals[0].magnitude
"""

COMPARISON = """
cells = {
    "lif": lambda sim: sim.IF_curr_exp(tau_refrac=0.3, i_offset=2.0, cm=[0.2, 0.3] * 10),
    "delta": lambda sim: sim.IF_curr_delta(v_thresh=-50.0, i_offset=1.0),
}
precision, cell, changes = sys.argv[1], cells[sys.argv[2]], sys.argv[3] == "changes"
from portable_cortex.backends.builtin import _gpu_kernel
_gpu_kernel.TAKEN_TOGETHER = 4  # fewer than spikes in many steps
spikes, v = recorded("cpu", precision, cell, changes)
found, found_v = recorded("cuda", precision, cell, changes)
n_spikes = sum(map(len, spikes[:50]))
assert n_spikes > 30, n_spikes
assert found == spikes, [k for k, (a, b) in enumerate(zip(found, spikes)) if a != b]
assert v.shape == found_v.shape
most = abs(v - found_v).max()
assert most <= (1e-12 if precision == "double" else 1e-4), most
"""


@pytest.mark.parametrize(
    "case",
    ["double lif changes", "single delta as-it-is"],
    ids=lambda case: case.replace(" ", "-"),
)
def test_in_the_simulator_spikes_are_those_of_the_threads(case):
    """Poisson input, sources, injected currents, samples, many spikes in a step, a change."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-c", NETWORK + COMPARISON, *case.split()]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr[-3000:]


RESUMED = """
import numpy as np
import portable_cortex
from portable_cortex.backends.builtin import _checkpoint

sim = portable_cortex.simulator("builtin")

def built():
    sim.setup(timestep=0.1, rng_seed=5, threads=1, device="cuda")
    cells = sim.Population(40, sim.IF_curr_exp(tau_refrac=0.3, i_offset=2.0, v_reset=-50.5),
                           initial_values={"v": np.linspace(-52.0, -49.0, 40)})
    connector = sim.FixedProbabilityConnector(0.3, rng=sim.NumpyRNG(3))
    sim.Projection(cells, cells, connector, sim.StaticSynapse(weight=0.3, delay=0.4))
    cells.record("spikes")
    return cells

def trains(cells):
    return [t.magnitude.tolist() for t in cells.get_data().segments[0].spiketrains]

cells = built()
sim.run(0.7)
state = _checkpoint.capture(sim.state.engine)
sim.run(0.8)
whole = trains(cells)
cells = built()
sim.state.prepare(lambda fraction, detail="": None)
_checkpoint.restore(sim.state.engine, state)
sim.run(0.8)
backend = portable_cortex.load_backend("builtin")
backend.simulator(backend.Options(device="cuda"))
assert backend.details()["gpu"]["multiprocessors"] == 3
assert sum(map(len, whole)) > 60
assert trains(cells) == [[t for t in train if t > 0.75] for train in whole]
"""


def test_in_the_simulator_a_state_is_gone_on_from():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-c", RESUMED]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_without_a_gpu_it_says_so():
    import portable_cortex

    if no_gpu() is None:
        pytest.skip("there is a GPU")
    wanted = r"device=cuda needs an NVIDIA GPU.*device=cpu"
    with pytest.raises(UnsupportedError, match=wanted):
        portable_cortex.simulator("builtin").setup(timestep=0.1, device="cuda")
    with pytest.raises(UnsupportedError, match=wanted):  # before anything is built
        portable_cortex.run(scale=0.01, duration=1.0, options={"device": "cuda"})


def test_units_hold_all_weights_of_a_neuron_at_once():
    from portable_cortex.backends.builtin._gpu_table import unit

    for largest in (1e-9, 0.4, 1.0, 342.0, 1e6):
        for bits in (32, 64):
            one = unit(largest, bits)
            assert np.log2(one) == np.rint(np.log2(one))
            assert 2.0 ** (bits - 3) < largest / one <= 2.0 ** (bits - 2)


@needs_gpu
@pytest.mark.parametrize("precision", ["double", "single"])
def test_on_the_gpu_spikes_are_those_of_the_threads(precision):
    space: dict[str, object] = {}
    exec(NETWORK, space)
    recorded = space["recorded"]

    def cell(sim):
        return sim.IF_curr_exp(tau_refrac=0.3, i_offset=2.0, cm=[0.2, 0.3] * 10)

    assert recorded("cuda", precision, cell, True)[0] == recorded("cpu", precision, cell, True)[0]


@needs_gpu
def test_on_the_gpu_the_microcircuit_fires_as_on_threads():
    """Constant drive, the `shared` realisation, double precision: all spikes are the same."""
    from portable_cortex import simulator
    from portable_cortex.models import pd14

    trains = {}
    for device in ("cpu", "cuda"):
        sim = simulator("builtin")
        sim.setup(timestep=0.1, rng_seed=1, device=device)
        sim.draw_shared(1)
        pd14.build(sim, n_scale=0.1, k_scale=1.0, drive="dc", seed=1)
        populations = [p for p in sim.state.populations if not p.is_source]
        for population in populations:
            population.record("spikes")
        sim.run(100.0)
        trains[device] = [
            sorted(zip(*(column.tolist() for column in p.recorder.spikes()), strict=True))
            for p in populations
        ]
    assert sum(map(len, trains["cpu"])) > 1000
    assert trains["cuda"] == trains["cpu"]

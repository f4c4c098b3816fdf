"""A PyNN script of your own on an accelerated backend: change one line.

    python examples/own_script.py [nest | builtin | brian2 | neuron | mock]

Ten thousand neurons and two million synapses; plain pyNN.nest needs minutes to connect them.
"""

from __future__ import annotations

import sys

from portable_cortex import simulator

sim = simulator(sys.argv[1] if len(sys.argv) > 1 else "nest")  # was: import pyNN.nest as sim

sim.setup(timestep=0.1, rng_seed=1)
rng = sim.NumpyRNG(seed=1)
cells = sim.IF_curr_exp(tau_m=20.0, tau_refrac=2.0, v_thresh=-50.0, v_reset=-60.0)
excitatory = sim.Population(8000, cells, label="excitatory")
inhibitory = sim.Population(2000, cells, label="inhibitory")
for population in (excitatory, inhibitory):
    population.initialize(v=sim.RandomDistribution("uniform", low=-65.0, high=-50.0, rng=rng))
    noise = sim.Population(population.size, sim.SpikeSourcePoisson(rate=2000.0))
    sim.Projection(
        noise, population, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1, delay=1.0)
    )
    sim.Projection(
        excitatory,
        population,
        sim.FixedNumberPreConnector(160, rng=rng),
        sim.StaticSynapse(weight=0.02, delay=1.5),
        receptor_type="excitatory",
    )
    sim.Projection(
        inhibitory,
        population,
        sim.FixedNumberPreConnector(40, rng=rng),
        sim.StaticSynapse(weight=-0.12, delay=1.5),
        receptor_type="inhibitory",
    )
    population[:200].record("spikes")

sim.run(200.0)
for population in (excitatory, inhibitory):
    trains = population.get_data("spikes").segments[0].spiketrains
    rate = sum(len(train) for train in trains) / len(trains) / 0.2
    print(f"{population.label}: {rate:.1f} spikes/s")
sim.end()

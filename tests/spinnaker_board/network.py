"""An sPyNNaker script that a test runs: prints spikes, potentials, weights as JSON."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813

sim.setup(timestep=1.0)
sources = sim.Population(3, sim.SpikeSourceArray([[5.0, 25.0], [6.0], [7.0]]))
cells = sim.Population(3, sim.IF_curr_exp())
projection = sim.Projection(
    sources, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=5.0, delay=2.0)
)
driven = sim.Population(1, sim.IF_curr_exp(i_offset=0.5))
poisson = sim.Population(100, sim.SpikeSourcePoisson(rate=50.0), additional_parameters={"seed": 3})
pre = sim.Population(1, sim.SpikeSourceArray([[10.0, 100.0]]))
driver = sim.Population(1, sim.SpikeSourceArray([[20.0]]))
post = sim.Population(1, sim.IF_curr_exp())
sim.Projection(driver, post, sim.OneToOneConnector(), sim.StaticSynapse(weight=20.0, delay=1.0))
plastic = sim.Projection(
    pre,
    post,
    sim.OneToOneConnector(),
    sim.STDPMechanism(
        timing_dependence=sim.SpikePairRule(
            tau_plus=20.0, tau_minus=20.0, A_plus=0.1, A_minus=0.12
        ),
        weight_dependence=sim.AdditiveWeightDependence(w_min=0.0, w_max=2.0),
        weight=1.0,
        delay=1.0,
    ),
)
cells.record(["spikes", "v"])
driven.record("v")
poisson.record("spikes")
post.record("spikes")
sim.run(200.0)


def spikes(population):
    return [list(map(float, train)) for train in population.get_data().segments[0].spiketrains]


def potentials(population):
    return population.get_data("v").segments[0].filter(name="v")[0].magnitude.T.tolist()


result = {
    "spikes": spikes(cells),
    "v": potentials(cells),
    "driven": potentials(driven)[0],
    "weights": [list(map(float, w)) for w in projection.get(["weight", "delay"], "list")],
    "poisson": spikes(poisson),
    "post": spikes(post)[0],
    "plastic": float(plastic.get("weight", "list", with_address=False)[0]),
}
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

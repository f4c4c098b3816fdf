"""An sPyNNaker script that a test runs: a network on the cores of several chips, drawn there."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813

sim.setup(timestep=1.0)
sim.set_number_of_neurons_per_core(sim.IF_curr_exp, 10)
sim.set_number_of_neurons_per_core(sim.SpikeSourcePoisson, 10)
cells = sim.Population(150, sim.IF_curr_exp(), additional_parameters={"seed": 1})
source = sim.Population(150, sim.SpikeSourcePoisson(rate=1000.0), additional_parameters={"seed": 2})
sim.Projection(source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.8, delay=1.0))
recurrent = sim.Projection(
    cells, cells, sim.FixedProbabilityConnector(0.1), sim.StaticSynapse(weight=0.1, delay=2.0)
)
cells.record("spikes")
sim.run(60.0)
trains = cells.get_data("spikes").segments[0].spiketrains
result = {
    "spikes": [list(map(float, train)) for train in trains],
    "synapses": sorted(list(map(float, row)) for row in recurrent.get(["weight", "delay"], "list")),
}
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

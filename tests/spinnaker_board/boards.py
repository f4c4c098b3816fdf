"""An sPyNNaker script that a test runs: a chain of neurons on the chips of several boards."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813
from spinnman.model.enums import CPUState
from spynnaker.pyNN.data import SpynnakerDataView

sim.setup(timestep=1.0, n_boards_required=3)
source = sim.Population(1, sim.SpikeSourceArray([[5.0]]))
before, chain = source, []
for x, y in ((0, 0), (8, 4), (4, 8), (9, 9)):  # the last wraps around to the first
    cell = sim.Population(1, sim.IF_curr_exp())
    cell.add_placement_constraint(x, y)
    sim.Projection(before, cell, sim.OneToOneConnector(), sim.StaticSynapse(weight=20.0, delay=2.0))
    cell.record("spikes")
    chain.append(cell)
    before = cell
sim.run(100.0)
machine = SpynnakerDataView.get_machine()
transceiver, app = SpynnakerDataView.get_transceiver(), SpynnakerDataView.get_app_id()
result = {
    "boards": len(machine.ethernet_connected_chips),
    "chips": machine.n_chips,
    "used": sorted(
        {
            (
                machine[place.x, place.y].nearest_ethernet_x,
                machine[place.x, place.y].nearest_ethernet_y,
            )
            for cell in chain
            for place in (
                SpynnakerDataView.get_placement_of_vertex(v) for v in cell._vertex.machine_vertices
            )
        }
    ),
    "cores": sum(len(cell._vertex.machine_vertices) for cell in (source, *chain)),
    "counted": sum(transceiver.get_core_state_count(app, state) for state in CPUState),
    "spikes": [list(map(float, c.get_data().segments[0].spiketrains[0])) for c in chain],
}
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

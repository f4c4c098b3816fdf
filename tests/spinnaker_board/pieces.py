"""An sPyNNaker script that a test runs: a recording, however many pieces the run is cut into."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813
from spynnaker.pyNN.data import SpynnakerDataView

sim.setup(timestep=1.0)
cells = sim.Population(500, sim.IF_curr_exp(i_offset=0.5))
firing = sim.Population(10, sim.IF_curr_exp(i_offset=1.0))
cells.record(["v", "gsyn_exc", "gsyn_inh"])
firing.record("spikes")
sim.run(500.0)
sim.run(100.0)
longest = SpynnakerDataView.get_max_run_time_steps()
found = cells.get_data("v").segments[0].filter(name="v")[0].magnitude.T
trains = firing.get_data("spikes").segments[0].spiketrains
result = {
    "longest": longest,  # steps of a piece for which there is room
    "v": found[0].tolist(),
    "same": bool((found == found[0]).all()),
    "spikes": [list(map(float, train)) for train in trains],
}
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

"""An sPyNNaker script that a test runs: a core whose program the test lets loop for ever."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813

result = {}
sim.setup(timestep=1.0)
cells = sim.Population(3, sim.IF_curr_exp())
sim.Population(3, sim.SpikeSourcePoisson(rate=10.0))
try:
    sim.run(20.0)
except Exception as error:
    result["error"] = type(error).__name__
    result["message"] = str(error)
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

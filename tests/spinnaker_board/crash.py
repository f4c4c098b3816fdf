"""An sPyNNaker script that a test runs: a program that is sent where there is no memory."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813
from spinn_machine import CoreSubsets
from spinnman.model.enums import UserRegister
from spinnman.transceiver.base_transceiver import BaseTransceiver
from spynnaker.pyNN.data import SpynnakerDataView


def core():
    return SpynnakerDataView.get_placement_of_vertex(next(iter(cells._vertex.machine_vertices)))


def write_user(self, x, y, p, user, value):
    """The address of a program's data, which it is given in a register."""
    if user == UserRegister.USER_0 and (x, y, p) == core().location:
        value = 0x50000000
    write(self, x, y, p, user, value)


def stop_application(self, app_id):
    """What the core says before it is stopped, which sPyNNaker does at an error."""
    cores = CoreSubsets()
    cores.add_processor(*core().location)
    info = self.get_cpu_infos(cores).get_cpu_info(*core().location)
    result["states"].append([info.state.name, info.run_time_error.name])
    stop(self, app_id)


result = {"states": []}
sim.setup(timestep=1.0)
cells = sim.Population(3, sim.IF_curr_exp())
write, BaseTransceiver.write_user = BaseTransceiver.write_user, write_user
stop, BaseTransceiver.stop_application = BaseTransceiver.stop_application, stop_application
try:
    sim.run(10.0)
except Exception as error:
    result["error"] = type(error).__name__
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

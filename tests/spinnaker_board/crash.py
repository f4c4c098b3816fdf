"""An sPyNNaker script that a test runs: a core whose program crashes, or never gets anywhere."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813
from spinn_front_end_common.interface.interface_functions import load_data_specification
from spinnman.model.enums import UserRegister
from spinnman.transceiver.base_transceiver import BaseTransceiver

BAD = {"crash": 0x50000000, "loop": 0x60000000}  # where there is no memory; zeros
original = BaseTransceiver.write_user


def write_user(self, x, y, p, user, value):
    """The address of a program's data, which it takes before it does anything."""
    if user == UserRegister.USER_0:
        value = BAD[sys.argv[2]]
    original(self, x, y, p, user, value)


sim.setup(timestep=1.0)
cells = sim.Population(3, sim.IF_curr_exp())
BaseTransceiver.write_user = write_user
try:
    sim.run(10.0)
    error = ""
except Exception as found:
    error = f"{type(found).__name__}: {found}"
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump({"error": error}, file)

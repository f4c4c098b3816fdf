"""An sPyNNaker script that a test runs: spikes sent and received while the board runs."""

import json
import sys
import time

import spynnaker.pyNN as sim  # noqa: N813
from spynnaker.pyNN import external_devices as live

sim.setup(timestep=1.0)
connection = live.SpynnakerLiveSpikesConnection(
    receive_labels=["cells"], send_labels=["injector"], local_port=None
)
port = connection.local_port
injector = sim.Population(3, live.SpikeInjector(database_notify_port_num=port), label="injector")
cells = sim.Population(3, sim.IF_curr_exp(), label="cells")
sim.Projection(injector, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=20.0, delay=1.0))
live.activate_live_output_for(cells, database_notify_port_num=port)
injector.record("spikes")
cells.record("spikes")
received = []


def send(label, sender):
    for i in (2, 0, 1):
        time.sleep(0.1)
        sender.send_spike(label, i)


connection.add_start_resume_callback("injector", send)
connection.add_receive_callback(
    "cells", lambda label, step, ids: received.extend([float(step), int(i)] for i in ids)
)
sim.run(1500.0)


def spikes(population):
    return [list(map(float, t)) for t in population.get_data("spikes").segments[0].spiketrains]


result = {"received": received, "sent": spikes(injector), "spikes": spikes(cells)}
connection.close()
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)

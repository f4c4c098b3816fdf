"""sPyNNaker's configuration file, written for one run.

sPyNNaker reads a file in the home directory and one in the current folder, and refuses to start
without the first. Here it reads its own defaults and the file of the run, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._target import Target

FILE = "spynnaker.cfg"


def configuration(settings: Mapping[str, Any], target: Target, folder: Path) -> str:
    """Text of the configuration file.

    Parameters
    ----------
    settings : mapping
        The backend's options by name.
    target : Target
        An emulated machine gets its name when its size is known.
    folder : Path
        Where sPyNNaker puts its reports and databases.
    """
    machine: dict[str, Any] = {}
    if target.kind != "portal":  # which describes its machine in the job's own file
        machine["version"] = settings["version"]
    if target.kind == "virtual":
        machine["virtual_board"] = True
    elif target.kind == "board":
        machine["machine_name"] = target.address
    elif target.kind == "spalloc":
        machine["spalloc_server"] = target.address
    machine["enable_reinjection"] = settings["reinjection"]
    if settings["overrun_seconds"] is not None:
        machine["post_simulation_overrun_before_error"] = settings["overrun_seconds"]
    sections: dict[str, dict[str, Any]] = {
        "Mode": {"mode": "Production"},
        "Logging": {"instantiate": False},
        "Machine": machine,
        "Simulation": {
            "spikes_per_second": settings["spikes_per_second"],
            "ring_buffer_sigma": settings["ring_buffer_sigma"],
            "incoming_spike_buffer_size": settings["incoming_spike_buffer"],
            "drop_late_spikes": settings["drop_late_spikes"],
            # generators of random numbers that a script gives: the board has its own
            "error_on_non_spynnaker_pynn": False,
        },
        "Reports": {
            "default_report_file_path": folder,
            "read_router_provenance_data": True,
            "read_graph_provenance_data": True,
            "read_placements_provenance_data": True,
            "keep_dataspec_database": True,  # for the size of the generated data
            "keep_data_database": True,  # recordings and provenance
            "keep_stack_trace": True,
            "display_algorithm_timings": False,
        },
    }
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for section, keys in sections.items()
    )

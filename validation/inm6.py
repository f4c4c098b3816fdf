"""Recordings of the PyNEST microcircuit package (INM-6), read as recordings of ours.

Its folders hold ``nodes.json`` (which neurons each population and recorder has), one
``spike_recorder-<recorder>-<thread>.dat`` a recorder and thread (NEST's ASCII format: sender and
time in ms), and ``sim_dict.json`` and ``net_dict.json`` (what was simulated).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from portable_cortex import Recording, Spikes
from portable_cortex.errors import OutputError
from portable_cortex.sonata import by_time

NODES, SIMULATION, NETWORK = "nodes.json", "sim_dict.json", "net_dict.json"
RECORDER = "spike_recorder"


def is_inm6(folder: Path) -> bool:
    """Whether a folder has the layout of that package."""
    return (folder / NODES).is_file()


def load_inm6(folder: Path) -> Recording:
    """Read such a folder.

    Raises
    ------
    OutputError
        If files are missing or damaged.
    """
    try:
        nodes = json.loads((folder / NODES).read_text("utf-8"))
        simulation = json.loads((folder / SIMULATION).read_text("utf-8"))
        network = json.loads((folder / NETWORK).read_text("utf-8"))
        warmup, duration = float(simulation["t_presim"]), float(simulation["t_sim"])
        labels = [str(label) for label in network["populations"]]
        trains = {
            label: _spikes(folder, nodes[f"{RECORDER}_{label}"], nodes[label], warmup)
            for label in labels
        }
        metadata = {
            "backend": "nest",
            "warmup_ms": warmup,
            "duration_ms": duration,
            "timestep_ms": float(simulation["sim_resolution"]),
            "seed": int(simulation["rng_seed"]),
            "realisation": "native",
            "source": "files of the INM-6 PyNEST package",
            **_model(network),
        }
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder} has {NODES}, but not {Path(error.filename).name}: a recording of the PyNEST "
            f"package has {NODES}, {SIMULATION}, {NETWORK} and {RECORDER}-*.dat"
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise OutputError(f"{folder} is damaged: {error!r}") from error
    return Recording({label: len(nodes[label]) for label in labels}, trains, metadata)


def _model(network: dict[str, Any]) -> dict[str, Any]:
    """The model and its parameters in our words."""
    drive = network.get("bg_input_type")
    if drive is None:  # before version 1.0
        drive = "poisson" if network["poisson_input"] else "dc"
    parameters = {
        "n_scale": float(network["N_scaling"]),
        "k_scale": float(network["K_scaling"]),
        "drive": drive,
        "v0": network.get("V0_type", "optimized"),
        "thalamic_pulses": [],
        "dc_transients": [],
    }
    return {"model": "pd14", "parameters": parameters}


def _spikes(folder: Path, recorder: list[int], neurons: list[int], warmup: float) -> Spikes:
    (number,) = recorder
    paths = sorted(folder.glob(f"{RECORDER}-{number}-*.dat"))
    if not paths:
        raise FileNotFoundError(2, "missing", f"{RECORDER}-{number}-*.dat")
    rows = np.concatenate([_rows(path) for path in paths])
    ids = np.asarray(neurons, np.int64)
    sender, times = rows[:, 0].astype(np.int64), rows[:, 1]
    kept = times > warmup + 1e-6
    order = np.argsort(ids)
    position = np.searchsorted(ids, sender[kept], sorter=order)
    index = order[np.minimum(position, ids.size - 1)]
    if (ids[index] != sender[kept]).any():
        raise ValueError(f"recorder {number} has spikes of neurons of another population")
    return by_time(times[kept], index)


def _rows(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Senders and times of one file; NEST's header has two comments and the columns' names."""
    text = path.read_text("ascii", "replace").splitlines()
    data = [line for line in text if line and line[0].isdigit()]
    return np.array([line.split()[:2] for line in data], float).reshape(-1, 2)

"""Recordings of the PyNEST microcircuit package (INM-6).

Its folders hold ``nodes.json`` (which neurons each population and recorder has), one
``spike_recorder-<recorder>-<thread>.dat`` a recorder and thread, and ``sim_dict.json``,
``net_dict.json`` and ``stim_dict.json`` (what was simulated). What the three say otherwise than
the published model is a condition of the recording: it fits no reference of the published one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording, Spikes
from portable_cortex.errors import OutputError
from portable_cortex.hdf5 import DAMAGE
from portable_cortex.host.untrusted import parse_json, printable
from portable_cortex.models.parameters import PD14

from .nest_text import Recorded, read_spikes

NODES, SIMULATION, NETWORK = "nodes.json", "sim_dict.json", "net_dict.json"
STIMULUS = "stim_dict.json"
RANGES = "population_nodeids.dat"
RECORDER = "spike_recorder"


def holds(folder: Path) -> bool:
    """Whether a folder has the layout of that package."""
    return (folder / NODES).is_file()


def load(folder: Path) -> Recording:
    """Read such a folder.

    Raises
    ------
    OutputError
        If files are missing or damaged, or do not fit each other.
    """
    try:
        nodes, simulation, network = (
            _mapping(folder / name) for name in (NODES, SIMULATION, NETWORK)
        )
        stimulus = _mapping(folder / STIMULUS) if (folder / STIMULUS).exists() else None
        warmup, duration, resolution = (
            _number(simulation, name, SIMULATION)
            for name in ("t_presim", "t_sim", "sim_resolution")
        )
        if not (warmup >= 0 and duration > 0 and resolution > 0):
            raise ValueError(f"{SIMULATION} has times and a resolution that cannot be")
        labels = _labels(network)
        recorded = _recorded(folder, nodes, labels)
        _check_sizes(folder, network, recorded)
        spikes = read_spikes(recorded, resolution, warmup + duration)
        spikes = {label: _after(spikes[label], warmup) for label in labels}
        metadata = {
            "backend": "nest",
            "warmup_ms": warmup,
            "duration_ms": duration,
            "timestep_ms": resolution,
            "seed": simulation.get("rng_seed"),
            "realisation": "native",
            "source": "files of the INM-6 PyNEST package",
            "model": "pd14",
            "parameters": {
                "n_scale": _number(network, "N_scaling", NETWORK),
                "k_scale": _number(network, "K_scaling", NETWORK),
                "drive": _drive(network),
                "v0": network.get("V0_type", "optimized"),
                **_stimuli(stimulus or {}, network, labels, warmup + duration),
                **_changes(network),
            },
        }
        if stimulus is None:
            metadata["remarks"] = [f"there is no {STIMULUS}: a stimulus would not be known"]
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder} has {NODES}, but not {Path(error.filename).name}: a recording of the PyNEST "
            f"package has {NODES}, {SIMULATION}, {NETWORK} and {RECORDER}-*.dat"
        ) from None
    except OutputError:
        raise
    except DAMAGE as error:
        raise OutputError(f"{folder} is damaged: {printable(error)}") from error
    sizes = {label: recorded[label].ids.size for label in labels}
    return Recording(sizes, spikes, metadata)


def _after(spikes: Spikes, warmup: float) -> Spikes:
    if spikes.times.size and not spikes.times[0] > 0:
        raise ValueError(f"there is a spike at {spikes.times[0]:g} ms: expected times above 0")
    first = int(np.searchsorted(spikes.times, warmup + 1e-6, side="right"))
    return Spikes(spikes.times[first:], spikes.neurons[first:])


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds {type(content).__name__}: expected a mapping")
    return content


def _number(content: Mapping[str, Any], name: str, file: str) -> float:
    if name not in content:
        raise ValueError(f"{file} does not have {name!r}")
    value = content[name]
    number = float("nan")
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            number = float(value)  # numpy's integers are written as text
    if not isfinite(number):
        raise ValueError(f"{name!r} in {file} is {value!r}: expected a number")
    return number


def _labels(network: Mapping[str, Any]) -> list[str]:
    labels = network.get("populations")
    if not isinstance(labels, list) or not labels or not all(isinstance(p, str) for p in labels):
        raise ValueError(f"'populations' in {NETWORK} is {labels!r}: expected a list of labels")
    if len(set(labels)) < len(labels):
        raise ValueError(f"'populations' in {NETWORK} has a label twice")
    return labels


def _recorded(folder: Path, nodes: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Recorded]:
    """Neurons and files of each population; every number and every file belongs to one."""
    recorded, owners, numbers = {}, {}, {}
    for label in labels:
        ids = _ids(nodes, label)
        name = f"{RECORDER}_{label}"
        recorder = _ids(nodes, name)
        if recorder.size != 1:
            raise ValueError(f"{NODES} has {recorder.size} recorders {name}: expected one")
        owners[label], owners[name] = ids, recorder
        numbers[int(recorder[0])] = label
        paths = tuple(sorted(folder.glob(f"{RECORDER}-{recorder[0]}-*.dat")))
        if not paths:
            raise FileNotFoundError(2, "missing", f"{RECORDER}-{recorder[0]}-*.dat")
        recorded[label] = Recorded(ids, paths)
    together = np.concatenate(list(owners.values()))
    values, counts = np.unique(together, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1][0]
        names = ", ".join(name for name, ids in owners.items() if twice in ids)
        raise ValueError(f"{NODES} has the node {twice} more than once: {names}")
    claimed = {path for _, paths in recorded.values() for path in paths}
    for path in sorted(folder.glob(f"{RECORDER}-*.dat")):
        if path not in claimed:
            raise ValueError(
                f"{path.name} is of no recorder in {NODES} ({', '.join(map(str, numbers))}): it "
                "may be left over from another run"
            )
    return recorded


def _ids(nodes: Mapping[str, Any], name: str) -> NDArray[np.int64]:
    if name not in nodes:
        raise ValueError(f"{NODES} does not have {name!r}")
    ids = nodes[name]
    if not isinstance(ids, list) or not ids:
        raise ValueError(f"{name!r} in {NODES} has no nodes: expected a list of their numbers")
    if not all(isinstance(i, int) and not isinstance(i, bool) and 0 < i < 2**62 for i in ids):
        raise ValueError(f"{name!r} in {NODES} is no list of whole numbers above 0")
    numbers = np.asarray(ids, np.int64)
    if (np.diff(numbers) < 0).any():
        raise ValueError(f"{name!r} in {NODES} is not in order: expected NEST's, ascending")
    return numbers


def _check_sizes(
    folder: Path, network: Mapping[str, Any], recorded: Mapping[str, Recorded]
) -> None:
    """Whether the nodes are those of this network: ``nodes.json`` may be of an older run."""
    full = network.get("full_num_neurons")
    if full is not None:
        sizes = np.round(_matrix(full, "full_num_neurons") * _number(network, "N_scaling", NETWORK))
        for label, size in zip(recorded, sizes.tolist(), strict=True):
            if recorded[label].ids.size != size:
                raise ValueError(
                    f"{NODES} has {recorded[label].ids.size} neurons of {label}, and {NETWORK} "
                    f"{size:g}"
                )
    path = folder / RANGES
    if path.exists():
        lines = path.read_text("ascii").split("\n")
        ranges = [f"{recorded[label].ids.min()} {recorded[label].ids.max()}" for label in recorded]
        if [" ".join(line.split()) for line in lines if line.strip()] != ranges:
            raise ValueError(f"{RANGES} has other numbers of neurons than {NODES}")


def _drive(network: Mapping[str, Any]) -> Any:
    if "bg_input_type" in network:
        return network["bg_input_type"]
    if "poisson_input" not in network:
        raise ValueError(f"{NETWORK} does not have 'bg_input_type'")
    return "poisson" if network["poisson_input"] else "dc"  # before version 1.0


def _matrix(value: Any, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name!r} is {printable(value, 60)}: expected numbers") from None


# --- what was simulated, as far as it is not the published model -------------------------------

_PSPS = np.tile([PD14.psp, PD14.psp * PD14.g], (8, 4))
_PSPS[0, 2] *= PD14.l4e_l23e
PUBLISHED: Mapping[str, Any] = {
    "neuron_model": "iaf_psc_exp",
    "full_num_neurons": PD14.sizes,
    "full_mean_rates": PD14.full_rates,
    "conn_probs": PD14.probabilities,
    "PSP_exc_mean": PD14.psp,
    "PSP_matrix_mean": _PSPS,
    "weight_rel_std": PD14.weight_rel_sd,
    "g": PD14.g,
    "delay_exc_mean": PD14.delay_exc,
    "delay_inh_mean": PD14.delay_inh,
    "delay_matrix_mean": np.tile([PD14.delay_exc, PD14.delay_inh], (8, 4)),
    "delay_rel_std": PD14.delay_rel_sd,
    "K_ext": PD14.k_ext,
    "bg_rate": PD14.rate_ext,
    "delay_poisson": PD14.delay_ext,
}
PUBLISHED_NEURON: Mapping[str, Any] = {
    "E_L": PD14.neuron.v_rest,
    "V_th": PD14.neuron.v_thresh,
    "V_reset": PD14.neuron.v_reset,
    "C_m": PD14.neuron.cm * 1e3,
    "tau_m": PD14.neuron.tau_m,
    "tau_syn": PD14.neuron.tau_syn,
    "t_ref": PD14.neuron.tau_refrac,
    "V0_mean": {"optimized": PD14.v0_optimized_mean, "original": PD14.v0_original_mean},
    "V0_std": {"optimized": PD14.v0_optimized_sd, "original": PD14.v0_original_sd},
}
PUBLISHED_STIMULUS: Mapping[str, Any] = {
    "th_duration": PD14.thalamus.pulse_duration,
    "th_rate": PD14.thalamus.rate,
    "num_th_neurons": PD14.thalamus.size,
    "conn_probs_th": PD14.thalamus.probabilities,
    "PSP_th": PD14.psp,
    "delay_th_mean": PD14.delay_exc,
    "delay_th_rel_std": PD14.delay_rel_sd,
}
SETTINGS = ("populations", "N_scaling", "K_scaling", "bg_input_type", "poisson_input", "V0_type")
# the names of version 1.0, and those before
CURRENTS = (
    ("dc_transient", "dc_transient_start", "dc_transient_dur", "dc_transient_amp"),
    ("dc_input", "dc_start", "dc_dur", "dc_amp"),
)
STIMULI = {"thalamic_input", "th_start", *(name for names in CURRENTS for name in names)}


def _changes(network: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the published network, and what nobody knows here, by name."""
    changes = {}
    for name, value in network.items():
        if name in SETTINGS or (name == "full_mean_rates" and network["K_scaling"] == 1):
            continue  # said elsewhere, or without an effect
        if name != "neuron_params":
            if not _equal(value, PUBLISHED.get(name)):
                changes[f"net_dict {name}"] = value
            continue
        if not isinstance(value, dict):
            raise ValueError(f"'neuron_params' in {NETWORK} is no mapping")
        kind = network.get("V0_type", "optimized")
        for key, number in value.items():
            published = PUBLISHED_NEURON.get(key)
            if isinstance(published, dict) and isinstance(number, dict):
                number, published = number.get(kind), published.get(kind)
            if not _equal(number, published):
                changes[f"net_dict neuron_params {key}"] = number
    if network["populations"] != list(PD14.populations):
        changes["net_dict populations"] = network["populations"]
    return changes


def _stimuli(
    stimulus: Mapping[str, Any], network: Mapping[str, Any], labels: Sequence[str], t_stop: float
) -> dict[str, Any]:
    """Thalamic pulses and currents that begin before the end, in the words of our model."""
    changes = {
        f"stim_dict {name}": value
        for name, value in stimulus.items()
        if name not in STIMULI and name not in PUBLISHED_STIMULUS
    }
    pulses = []
    if _is_on(stimulus, "thalamic_input"):
        onset = _number(stimulus, "th_start", STIMULUS)
        if onset < t_stop:
            pulses.append(onset)
            changes |= {
                f"stim_dict {name}": stimulus[name]
                for name, published in PUBLISHED_STIMULUS.items()
                if name in stimulus and not _equal(stimulus[name], published)
            }
    transients: list[list[Any]] = []
    for switch, start, length, amplitude in CURRENTS:
        if not _is_on(stimulus, switch):
            continue
        onset, duration = (_number(stimulus, name, STIMULUS) for name in (start, length))
        degrees = _matrix(network.get("K_ext", PD14.k_ext), "K_ext")
        currents = _matrix(stimulus.get(amplitude), amplitude) * degrees * 1e-3  # nA
        if currents.shape != (len(labels),) or not np.isfinite(currents).all():
            raise ValueError(f"{amplitude!r} in {STIMULUS} is no current of each population, pA")
        if onset < t_stop:
            transients += [
                [p, onset, duration, round(i, 9)]
                for p, i in zip(labels, currents.tolist(), strict=True)
            ]
    return {"thalamic_pulses": pulses, "dc_transients": transients, **changes}


def _is_on(stimulus: Mapping[str, Any], name: str) -> bool:
    value = stimulus.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name!r} in {STIMULUS} is {value!r}: expected true or false")
    return value


def _equal(value: Any, published: Any) -> bool:
    """Whether a value is the published one, but for rounding."""
    if isinstance(published, str) or published is None:
        return bool(value == published)
    try:
        stated, wanted = np.asarray(value, np.float64), np.asarray(published, np.float64)
    except (TypeError, ValueError):
        return False
    return stated.shape == wanted.shape and bool(np.allclose(stated, wanted, rtol=1e-9, atol=0))

"""The configuration of a SONATA network: JSON files, and the paths that they name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...host.untrusted import parse_json, printable

LARGEST = 2**26  # bytes of a file of text


@dataclass(frozen=True)
class Tables:
    """A file of nodes or edges, and the table of their types.

    Attributes
    ----------
    data, types : Path
    """

    data: Path
    types: Path


@dataclass(frozen=True)
class Configuration:
    """What a configuration says of a network.

    Attributes
    ----------
    file : Path
    nodes, edges : tuple of Tables
    neurons, synapses : Path
        Folders of parameters in JSON.
    spikes : dict of str to Path
        Files of spike trains, by the population of nodes that they are of.
    timestep, end : float or None
        Of the simulation that it describes, ms.
    unused : tuple of str
        Sentences about what is stated and means nothing here.
    """

    file: Path
    nodes: tuple[Tables, ...]
    edges: tuple[Tables, ...]
    neurons: Path
    synapses: Path
    spikes: Mapping[str, Path]
    timestep: float | None
    end: float | None
    unused: tuple[str, ...]

    def different(self, warmup: float, duration: float) -> str | None:
        """What a run with given spikes leaves out of the simulation that the file describes.

        Parameters
        ----------
        warmup, duration : float
            ms.
        """
        late = self.end is not None and warmup + duration > self.end
        if not self.spikes or not (warmup > 0 or late):
            return None
        end = "" if self.end is None else f" to {self.end:g}"
        asked = duration if self.end is None else self.end
        return (
            f"{self.file} describes a simulation from 0{end} ms with given spikes, and this run "
            f"records from {warmup:g} to {warmup + duration:g} ms: --warmup 0 --duration {asked:g} "
            "makes them equal"
        )

    def sha256(self) -> str:
        """Of all files that decide what the network is."""
        files = [self.file, *self.spikes.values()]
        files += [path for t in (*self.nodes, *self.edges) for path in (t.data, t.types)]
        for folder in (self.neurons, self.synapses):
            for kind in ("*.json", "*.nestml"):
                files += sorted(folder.glob(kind)) if folder.is_dir() else []
        digest = hashlib.sha256()
        for path in dict.fromkeys(files):
            try:
                state = path.stat()
                digest.update(_of_file(path, state.st_size, state.st_mtime_ns))
            except OSError as error:
                raise ModelError(f"{path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()


@lru_cache(1024)
def _of_file(path: Path, size: int, changed: int) -> bytes:
    """Once for each state of a file: they can be large."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def read_configuration(path: Path) -> Configuration:
    """Read a configuration of a circuit, of a simulation, or of both in one file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ModelError
        For a file that cannot be read, and for what has no meaning on all backends: the file and
        the field.
    """
    content = _merged(path)
    simulator = content.get("target_simulator", "NEST")
    if simulator != "NEST":
        raise ModelError(
            f"{path}: target_simulator is {printable(simulator)!r}: networks are read whose cells "
            "are NEST's point neurons"
        )
    networks = _mapping(content, "networks", path)
    components = _mapping(content, "components", path)
    if more := [name for name in networks if name not in ("nodes", "edges") and networks[name]]:
        raise ModelError(
            f"{path}: networks.{printable(more[0])} is not understood: expected nodes and edges, "
            "which are static synapses"
        )
    run = _mapping(content, "run", path)
    timestep, end = (_above_zero(run, names, path) for names in (("dt",), ("duration", "tstop")))
    if run.get("tstart") not in (None, 0) or run.get("n_runs") not in (None, 1):
        raise ModelError(
            f"{path}: a simulation is one from 0 ms: expected neither run.tstart nor run.n_runs"
        )
    folder = path.parent

    def component(name: str) -> Path:
        return folder / str(components.get(name, "."))

    nodes = tuple(_tables(networks, "nodes", folder, path))
    if not nodes:
        raise ModelError(f"{path}: networks.nodes names no file of nodes")
    return Configuration(
        path,
        nodes,
        tuple(_tables(networks, "edges", folder, path)),
        component("point_neuron_models_dir"),
        component("synaptic_models_dir"),
        _spikes(content, folder, path),
        timestep,
        end,
        tuple(_unused(content, path)),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A mapping in JSON.

    Raises
    ------
    ModelError
        For a file that is none.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} is too large for a file of parameters")
        found = parse_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {printable(error)}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} must hold a mapping, {{...}}, not {printable(found, 60)}")
    return found


def _unused(content: dict[str, Any], path: Path) -> Iterator[str]:
    """What is stated and means nothing here."""
    if conditions := _mapping(content, "conditions", path):
        yield (
            f"not used here: {', '.join(f'conditions.{printable(name)}' for name in conditions)}; "
            "point neurons have their parameters, V_m among them, in their types"
        )
    reports = [
        printable(name)
        for name, report in _mapping(content, "reports", path).items()
        if not (isinstance(report, dict) and report.get("enabled", True) is False)
    ]
    if reports:
        yield (
            f"not made here: {', '.join(f'reports.{name}' for name in reports)}; ask for "
            "potentials with --record v:POPULATION:COUNT"
        )


def _above_zero(run: dict[str, Any], names: tuple[str, ...], path: Path) -> float | None:
    """The first of these that is stated, ms."""
    for name in names:
        value = run.get(name)
        if value is not None and not (_is_number(value) and value > 0):
            raise ModelError(f"{path}: run.{name} must be a number above 0 (ms), not {value!r}")
        if value is not None:
            return float(value)
    return None


def _merged(path: Path) -> dict[str, Any]:
    """With the configurations of the circuit and of the simulation that it names."""
    content = _expanded(read_json(path), path)
    for name in ("network", "simulation"):
        other = content.pop(name, None)
        if other is None:
            continue
        if not isinstance(other, str):
            raise ModelError(f"{path}: {name} must be the name of a file, not {printable(other)}")
        file = path.parent / other
        inner = _expanded(read_json(file), file)
        inner.pop("network", None)
        content = {**_anchored(inner, file.parent), **content}
    return content


def _anchored(content: Any, folder: Path, name: str = "") -> Any:
    """Names of files and folders relative to this folder."""
    if isinstance(content, dict):
        return {name: _anchored(value, folder, name) for name, value in content.items()}
    if isinstance(content, list):
        return [_anchored(value, folder, name) for value in content]
    if isinstance(content, str) and name.endswith(("_file", "_dir")):
        return str((folder / content).absolute())
    return content


def _expanded(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """With the variables of the manifest in their places."""
    manifest = _mapping(content, "manifest", path)
    variables = {"configdir": ".", "BASE_DIR": "."}
    for name, value in manifest.items():
        if not isinstance(value, str):
            raise ModelError(f"{path}: manifest.{name} must be text, not {printable(value)}")
        variables[name.removeprefix("$").strip("{}")] = value

    def put(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise ModelError(f"{path}: the manifest has no ${printable(name)}")
        return variables[name]

    def substituted(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: substituted(child) for key, child in value.items()}
        if isinstance(value, list):
            return [substituted(child) for child in value]
        if not isinstance(value, str):
            return value
        for _ in range(1 + len(variables)):  # variables may name others
            changed = re.sub(r"\$(?:\{(\w+)\}|(\w+))", put, value)
            if changed == value:
                return value
            value = changed
        raise ModelError(f"{path}: variables of the manifest name each other in a circle")

    others = ("manifest", "portable_cortex")  # ours has names of files as they are
    return {key: substituted(value) for key, value in content.items() if key not in others}


def _tables(networks: dict[str, Any], kind: str, folder: Path, path: Path) -> list[Tables]:
    entries = networks.get(kind) or []
    if not isinstance(entries, list):
        raise ModelError(f"{path}: networks.{kind} must be a list, not {printable(entries)}")
    singular = kind.removesuffix("s")
    found = []
    for number, entry in enumerate(entries):
        where = f"{path}: networks.{kind}[{number}]"
        if not isinstance(entry, dict):
            raise ModelError(f"{where} must be a mapping, not {printable(entry)}")
        if entry.get("enabled", True) is False:
            continue
        files = []
        for name in (f"{kind}_file", f"{singular}_types_file"):
            if not isinstance(entry.get(name), str):
                raise ModelError(f"{where} has no {name}")
            files.append(folder / entry[name])
            if not files[-1].is_file():
                raise ModelError(f"{where}.{name}: there is no file {printable(files[-1])}")
        found.append(Tables(*files))
    return found


def _spikes(content: dict[str, Any], folder: Path, path: Path) -> dict[str, Path]:
    """Files of spike trains by population."""
    found: dict[str, Path] = {}
    for name, entry in _mapping(content, "inputs", path).items():
        where = f"{path}: inputs.{printable(name)}"
        if not isinstance(entry, dict):
            raise ModelError(f"{where} must be a mapping, not {printable(entry)}")
        if entry.get("enabled", True) is False:
            continue
        kind, module = entry.get("input_type"), entry.get("module")
        if kind != "spikes" or module not in ("sonata", "h5", "hdf5"):
            raise ModelError(
                f"{where} is {printable(kind)} by {printable(module)}: expected spikes from a file "
                "(module sonata or h5); give constant currents to neurons as I_e"
            )
        file, nodes = entry.get("input_file"), entry.get("node_set")
        if not isinstance(file, str) or not (folder / file).is_file():
            raise ModelError(f"{where}.input_file: there is no file {printable(file)}")
        if isinstance(nodes, dict) and set(nodes) == {"population"}:
            nodes = nodes["population"]
        elif isinstance(nodes, str):
            nodes = _population_of(nodes, content, folder)
        if not isinstance(nodes, str):
            raise ModelError(
                f"{where}.node_set is {printable(nodes)}: expected the whole of a population"
            )
        if nodes in found:
            raise ModelError(f"{where}: spikes of {printable(nodes)} are from two files")
        found[nodes] = folder / file
    return found


def _population_of(name: str, content: dict[str, Any], folder: Path) -> Any:
    """What a node set stands for; a name that is none is a population's."""
    file = content.get("node_sets_file")
    sets = read_json(folder / file) if isinstance(file, str) else content.get("node_sets")
    chosen = sets.get(name) if isinstance(sets, dict) else None
    if chosen is None:
        return name
    if isinstance(chosen, dict) and set(chosen) == {"population"}:
        return chosen["population"]
    return chosen


def _mapping(content: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise ModelError(f"{path}: {name} must be a mapping, not {printable(found)}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

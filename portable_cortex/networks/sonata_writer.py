"""A network as files in the SONATA format: what NEST's own reader, BMTK and others build again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import UnsupportedError
from ..experiment import Experiment, plain
from ..host.clock import Clock
from ..models.loader import Model, load_model
from ..models.sonata.templates import GENERATOR, LABEL, SYNAPSE
from ..pynn.recorder import recorded_beside_spikes
from ..pynn.watching import build_network
from ..recording import Spikes, to_json
from ..recording.sonata import packing_of, write_spikes, written
from .namespace import Piece, State, namespace_of, template_of
from .staging import CONFIGURATION, PARTS, staged

F64 = NDArray[np.float64]

FIRST_TYPE = 100  # as other writers count
FOREVER = 1e9  # ms: a Poisson source that fires so long does not stop
MOST_TYPES = 1000  # of the nodes of a population
Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes
    ----------
    file : Path
        The configuration, which names all other files.
    n_neurons, n_sources, n_synapses : int
    notes : tuple of str
        What a reader of the files has to know.
    """

    file: Path
    n_neurons: int
    n_sources: int
    n_synapses: int
    notes: tuple[str, ...]


@dataclass
class _Files:
    """Populations by what kind of nodes they are, with the types that were given out."""

    folder: Path
    names: dict[int, str]
    labels: dict[int, str]
    types: int = FIRST_TYPE
    differ: list[str] = field(default_factory=list)
    at_zero: list[str] = field(default_factory=list)
    rows: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)


def export(
    model: str | Path,
    folder: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 1,
    timestep: float = 0.1,
    duration: float = 1000.0,
    overwrite: bool = False,
    progress: Progress = lambda phase, detail: None,
) -> Export:
    """Write the network that a model builds, drawn by the core (realisation `shared`).

    Parameters
    ----------
    model : str or Path
        Name of a model, or a file of one.
    folder : str or Path
        Gets ``network.json`` and the folders ``network``, ``components`` and ``inputs``.
    parameters : mapping, optional
        Of the model.
    seed : int
    timestep, duration : float
        ms; of the simulation that the configuration describes.
    overwrite : bool
        Whether to take the place of a network that the folder holds.
    progress : callable
        Told a phase and what it has come to.

    Returns
    -------
    Export

    Raises
    ------
    UnsupportedError
        For what has no meaning in the format that all its readers agree on.
    OutputError
        For a folder that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = export("brunel2000", folder, parameters={"scale": 0.01})
    ...     written.file.name, written.n_neurons
    ('network.json', 125)
    """
    chosen = plain(parameters or {})
    Experiment(model, chosen, seed=seed, timestep=timestep, duration=duration, warmup=0.0)
    loaded = load_model(model)
    loaded.check(chosen)
    if "seed" in loaded.parameters:
        chosen["seed"] = int(seed)
    with staged(Path(folder), overwrite) as staging:
        return _written(loaded, chosen, staging, Path(folder), seed, timestep, duration, progress)


def _written(
    model: Model,
    parameters: dict[str, Any],
    staging: Path,
    folder: Path,
    seed: int,
    timestep: float,
    duration: float,
    progress: Progress,
) -> Export:
    for part in PARTS:
        (staging / part).mkdir()
    with written(staging / "network" / "edges.h5") as (file, check):
        state = State(file.create_group("edges"), check)
        network = build_network(
            model,
            parameters,
            namespace_of(state, timestep, seed),
            backend_name="sonata",
            clock=Clock(),
            shared_seed=seed,
            on_progress=lambda label: progress("build", label),
        )
        progress("write", str(folder))
        _check_currents(state)
        labels = _labels(state.populations, network.populations)
        names = _names(state.populations, labels)
        files = _Files(staging, names, labels)
        pieces = [piece for made in state.projections for piece in made.pieces]
        _check_generators(pieces, file["edges"])
        edge_rows = _name_edges(file["edges"], pieces, names)
        check()
    neurons = [p for p in state.populations if p.injectable]
    models = _write_models(staging / "components", neurons)
    trains = [p for p in state.populations if "spike_times" in p.parameters]
    generators = [p for p in state.populations if "rate" in p.parameters]
    for kind, populations, describe in (
        ("neurons", neurons, _neuron),
        ("sources", trains, _virtual),
        ("generators", generators, _generator),
    ):
        if populations:
            _write_nodes(files, kind, populations, describe)
    if trains:
        spikes = {names[id(p)]: _spikes(p, timestep) for p in trains}
        files.at_zero = [n for n, s in spikes.items() if s.times.size and s.times[0] == 0]
        write_spikes(staging / "inputs" / "spikes.h5", spikes)
    if edge_rows:
        header = ("edge_type_id", "population", "model_template", "dynamics_params")
        _write_table(staging / "network" / "edge_types.csv", header, edge_rows)
        for name, values in map(_synapse, pieces):
            (staging / "components" / f"{name}.json").write_text(json.dumps(values) + "\n")
    else:
        (staging / "network" / "edges.h5").unlink()
    about = {
        "version": __version__,
        "model": str(model.file or model.name),
        "parameters": {**model.parameters, **parameters},
        "seed": seed,
    }
    sources = {names[id(p)] for p in trains}
    content = _configuration(files, bool(edge_rows), sources, timestep, duration, about)
    (staging / CONFIGURATION).write_text(to_json(content) + "\n", "utf-8")
    return Export(
        folder / CONFIGURATION,
        sum(p.size for p in neurons),
        sum(p.size for p in (*trains, *generators)),
        sum(piece.size for piece in pieces),
        tuple(_notes(files, bool(generators), models, state.populations)),
    )


def _write_models(folder: Path, neurons: list[Any]) -> list[str]:
    """Write the models in NESTML, and give their names."""
    texts: dict[str, str] = {}
    for population in neurons:
        template = template_of(population)
        if template.cell:
            continue
        text = population.celltype.nestml
        if texts.setdefault(template.model, text) != text:
            raise UnsupportedError(
                f"two models in NESTML are called {template.model}: give one another name"
            )
        (folder / f"{template.model}.nestml").write_text(text, "utf-8")
    return sorted(texts)


def _notes(
    files: _Files, has_generators: bool, models: list[str], populations: list[Any]
) -> Iterator[str]:
    if models:
        yield (
            f"nest:{', nest:'.join(models)}: models in NESTML, beside the parameters; "
            "portable-cortex reads them, others need a module of NEST with models of these names "
            "and receptors"
        )
    if files.differ:
        yield (
            f"{', '.join(files.differ)} differ from neuron to neuron: they are in "
            "nodes/POPULATION/0/dynamics_params, as the format says, for there are too many for "
            "types of nodes; portable-cortex reads them, NEST's own reader and BMTK do not: set "
            "them there after the nodes are made"
        )
    if files.at_zero:
        yield (
            f"sources {', '.join(files.at_zero)} have spikes at 0 ms, which NEST's own reader and "
            "BMTK refuse"
        )
    if has_generators:
        yield (
            "Poisson sources are nodes of NEST's poisson_generator, each of which gives its target "
            "a train of its own: equal in statistics, not spike for spike"
        )
    recorded = [
        f"{variable} of {files.labels[id(population)]}"
        for population in populations
        for variable in recorded_beside_spikes(population)
    ]
    if recorded:
        yield f"the model records {', '.join(recorded)}: no report of it is in the configuration"


def _check_currents(state: State) -> None:
    kinds = sorted({type(source).__name__ for source in state.current_sources if source.cells})
    if kinds:
        raise UnsupportedError(
            f"{', '.join(kinds)} cannot be written in the SONATA format: readers of point neurons "
            "know constant currents only; give neurons an i_offset"
        )


def _check_generators(pieces: list[Piece], edges: h5py.Group) -> None:
    """Raise an error for a Poisson source with several synapses: NEST gives each its own train."""
    counts: dict[int, Any] = {}
    for piece in pieces:
        if "rate" not in piece.source.parameters:
            continue
        found = np.bincount(edges[piece.group]["source_node_id"][...], minlength=piece.source.size)
        counts[id(piece.source)] = counts.get(id(piece.source), 0) + found
        if counts[id(piece.source)].max() > 1:
            raise UnsupportedError(
                f"Poisson sources of {piece.source.label} have several synapses, which get the "
                "same spikes: NEST's poisson_generator, which they would be in the SONATA format, "
                "gives each its own; make a source for each neuron, or take SpikeSourceArray"
            )


def _names(populations: list[Any], labels: Mapping[int, str]) -> dict[int, str]:
    """What the nodes of each population are called: letters that every reader takes."""
    names: dict[int, str] = {}
    for number, cells in enumerate(populations):
        name = base = re.sub(r"[^A-Za-z0-9_]", "_", labels[id(cells)]) or "_"
        while name in names.values():
            name = f"{base}_{number}"
            base = name
        names[id(cells)] = name
    return names


def _labels(populations: list[Any], labelled: Mapping[str, Any]) -> dict[int, str]:
    """What each population is called: as the model calls it, or by its own label."""
    labels = {id(cells): label for label, cells in labelled.items()}
    for number, cells in enumerate(populations):
        label = str(cells.label)
        if label in labels.values():
            label = f"{label} ({number})"
        labels.setdefault(id(cells), label)
    return labels


def _name_edges(
    edges: h5py.Group, pieces: list[Piece], names: Mapping[int, str]
) -> list[tuple[str, ...]]:
    """Give groups of edges their names, ends and types; rows of the table of types."""
    rows: list[tuple[str, ...]] = []
    for number, piece in enumerate(pieces):
        source, target = names[id(piece.source)], names[id(piece.target)]
        name = f"{source}_to_{target}"
        if name in edges:
            name = f"{name}_{number}"
        edges.move(piece.group, name)
        group = edges[name]
        for end, population in (("source_node_id", source), ("target_node_id", target)):
            group[end].attrs["node_population"] = population
        kinds = np.full(piece.size, FIRST_TYPE + number, np.uint32)
        group.create_dataset("edge_type_id", data=kinds, **packing_of(piece.size))
        rows.append((str(FIRST_TYPE + number), name, SYNAPSE, f"{_synapse(piece)[0]}.json"))
    return rows


def _synapse(piece: Piece) -> tuple[str, dict[str, int]]:
    """Parameters of synapses beside weight and delay, which BMTK asks for, and their name."""
    if template_of(piece.target).cell:
        return SYNAPSE, {}
    number = 1 + list(piece.target.celltype.receptor_types).index(piece.receptor)
    return f"{SYNAPSE}_{number}", {"receptor_type": number}


def _neuron(population: Any) -> tuple[str, str, dict[str, F64]]:
    template = template_of(population)
    if not template.cell:
        return (
            "point_neuron",
            f"nest:{template.model}",
            {
                **population.parameters,
                **population.initial,
            },
        )
    defaults = population.celltype.default_initial_values
    for name, values in population.initial.items():
        if name != "v" and np.any(values != defaults.get(name, 0.0)):
            raise UnsupportedError(
                f"{population.label} begins with {name} = {values[0]:g}, which cannot be written "
                "in the SONATA format: neurons begin with a potential, and nothing else"
            )
    native = template.to_nest(population.parameters)
    return "point_neuron", f"nest:{template.model}", {**native, "V_m": population.initial["v"]}


def _virtual(population: Any) -> tuple[str, str, dict[str, F64]]:
    return "virtual", "", {}


def _generator(population: Any) -> tuple[str, str, dict[str, F64]]:
    p = population.parameters
    native = {"rate": p["rate"], "start": p["start"]}
    if np.any(p["duration"] < FOREVER):
        native["stop"] = p["start"] + p["duration"]
    return "point_process", f"nest:{GENERATOR}", native


def _write_nodes(
    files: _Files,
    kind: str,
    populations: list[Any],
    describe: Callable[[Any], tuple[str, str, dict[str, F64]]],
) -> None:
    """A file of nodes, with the table of their types and the parameters that these share."""
    rows = files.rows.setdefault(kind, [])
    header = ["node_type_id", "population", "model_type", LABEL]
    with written(files.folder / "network" / f"{kind}.h5") as (file, check):
        for population in populations:
            name, size = files.names[id(population)], int(population.size)
            label = files.labels[id(population)]
            model_type, template, native = describe(population)
            shared, own, which = _types(native, size)
            for parameter in own:
                files.differ.append(f"{parameter} of {label}")
            group = file.create_group(f"nodes/{name}")
            packing = packing_of(size)
            for column, values in (
                ("node_id", np.arange(size)),
                ("node_type_id", files.types + which),
                ("node_group_id", np.zeros(size)),
                ("node_group_index", np.arange(size)),
            ):
                group.create_dataset(column, data=values.astype(np.uint32), **packing)
            attributes = group.create_group("0")
            for parameter, values in own.items():
                attributes.create_dataset(f"dynamics_params/{parameter}", data=values, **packing)
            for of_type in shared:
                row = [str(files.types), name, model_type, quote(label, safe="") or "%"]
                if template:
                    parameters = f"{files.types}_{name[:40]}.json"
                    path = files.folder / "components" / parameters
                    path.write_text(json.dumps(of_type, indent=1) + "\n")
                    row += [template, parameters]
                    header[4:] = ["model_template", "dynamics_params"]
                rows.append(tuple(row))
                files.types += 1
            check()
    _write_table(files.folder / "network" / f"{kind}_types.csv", tuple(header), rows)


def _types(
    native: Mapping[str, F64], size: int
) -> tuple[list[dict[str, float]], dict[str, F64], NDArray[np.int64]]:
    """Parameters of each type of nodes, those that nodes have of their own, and types of nodes.

    Where nodes differ, each set of values is a type, as far as there are not too many: readers take
    parameters of types, and few take those of nodes.
    """
    common = {name: float(v[0]) for name, v in native.items() if np.all(v == v[0])}
    differ = {name: values for name, values in native.items() if name not in common}
    nothing = np.zeros(size, np.int64)
    if not differ:
        return [common], {}, nothing
    table, which = np.unique(np.column_stack([*differ.values()]), axis=0, return_inverse=True)
    if len(table) > MOST_TYPES:
        return [common], differ, nothing
    sets = [{**common, **dict(zip(differ, row, strict=True))} for row in table.tolist()]
    return sets, {}, np.asarray(which, np.int64).ravel()


def _spikes(population: Any, timestep: float) -> Spikes:
    """Of given spikes, at the steps at which they are here."""
    steps, neurons = population.scheduled()
    order = np.argsort(steps, kind="stable")
    return Spikes(np.round(steps[order] * timestep, 9), neurons[order])


def _write_table(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    path.write_text("".join(f"{' '.join(row)}\n" for row in (header, *rows)), "ascii")


def _configuration(
    files: _Files,
    has_edges: bool,
    sources: set[str],
    timestep: float,
    duration: float,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """One file for the circuit and the simulation, as SONATA has them."""
    base = "$BASE_DIR"
    nodes = [
        {
            "nodes_file": f"{base}/network/{kind}.h5",
            "node_types_file": f"{base}/network/{kind}_types.csv",
        }
        for kind in files.rows
    ]
    edges = {
        "edges_file": f"{base}/network/edges.h5",
        "edge_types_file": f"{base}/network/edge_types.csv",
    }
    return {
        "manifest": {base: "."},
        "target_simulator": "NEST",
        "target_simulator_version": ">=3",
        "run": {"tstop": duration, "dt": timestep},
        "components": {
            "point_neuron_models_dir": f"{base}/components",
            "synaptic_models_dir": f"{base}/components",
        },
        "networks": {"nodes": nodes, "edges": [edges] if has_edges else []},
        "inputs": {
            f"spikes_{number}": {
                "input_type": "spikes",
                "module": "sonata",
                "input_file": f"{base}/inputs/spikes.h5",
                "node_set": name,
            }
            for number, name in enumerate(sorted(sources))
        },
        "output": {
            "output_dir": f"{base}/output",
            "log_file": "log.txt",
            "spikes_file": "spikes.h5",
            "spikes_sort_order": "time",
        },
        "portable_cortex": dict(about),
    }

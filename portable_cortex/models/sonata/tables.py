"""The tables of a SONATA network: nodes, edges and spike trains in HDF5, types in CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...hdf5 import DAMAGE, dataset_of, group_of, numbers_of, text_of
from ...host.untrusted import printable
from .configuration import LARGEST, Configuration, Tables, read_json
from .templates import LABEL, SYNAPSE, SYNAPSE_DELAY, TEMPLATES

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Row = dict[str, str]

ALL = slice(None)
NOTHING = ("", "NULL", "None", "nan", "{}")  # what stands for no value
MILLISECONDS = (None, "ms", "milliseconds", "millisecond")
NODE_COLUMNS = ("model_type", "model_template", "model_processing", "morphology", "dynamics_params")
"""Columns that change what a node is: of its type only, not of itself."""

EDGE_TYPE_COLUMNS = (
    "weight_function", "weight_sigma", "distance_range", "target_sections", "weight",
)  # fmt: skip
"""Columns that change what an edge is, beside its weight, delay and receptor."""

EDGE_COLUMNS = (
    *EDGE_TYPE_COLUMNS, "receptor_type", "dynamics_params", "model_template", "afferent_section_id",
    "afferent_section_pos", "efferent_section_id", "efferent_section_pos",
)  # fmt: skip
"""The same, of columns of the edges themselves."""

NSYNS = (
    ", which readers take differently, as a factor of the weight (BMTK) or as nothing (NEST): "
    "write an edge for each synapse, or the product as its syn_weight"
)


@dataclass(frozen=True)
class Kind:
    """Nodes of one model in a population.

    Attributes
    ----------
    model_type, model : str
        ``point_neuron``, ``point_process`` or ``virtual``; NEST's model, empty for virtual nodes.
    nodes : array of int64
        Their ids.
    parameters : dict of str to float or array
        NEST's, one for each node where it is an array.
    """

    model_type: str
    model: str
    nodes: I64
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Nodes:
    """A population of nodes.

    Attributes
    ----------
    name, label : str
        The label is the name unless the table of types has a better one.
    size : int
    file : Path
    kinds : tuple of Kind
    """

    name: str
    label: str
    size: int
    file: Path
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class Edges:
    """Edges from one population of nodes to another.

    Attributes
    ----------
    name, source, target : str
    size : int
    file, types : Path
    configuration : Configuration
    """

    name: str
    source: str
    target: str
    size: int
    file: Path
    types: Path
    configuration: Configuration

    def read(
        self, n_sources: int, n_targets: int, part: slice = ALL
    ) -> tuple[I64, I64, F64, F64, I64]:
        """Ids of sources and targets, weights (NEST's units), delays (ms) and receptors.

        Receptors are NEST's numbers, 0 where there is but one.

        Parameters
        ----------
        n_sources, n_targets : int
            Nodes of the two populations.
        part : slice, optional
            Which edges.

        Raises
        ------
        ModelError
            For what cannot be read, and for edges that are no static synapses.
        """
        with opened(self.file) as file:
            group = group_of(group_of(file, "edges"), self.name)
            ends = []
            for name, size in (("source_node_id", n_sources), ("target_node_id", n_targets)):
                ids = _whole(group, name, part)
                if ids.size and not (ids.min() >= 0 and ids.max() < size):
                    raise ValueError(
                        f"{group.name}/{name} has ids from {ids.min()} to {ids.max()}: the "
                        f"population has {size} nodes"
                    )
                ends.append(ids)
            sources, targets = ends
            kinds = _whole(group, "edge_type_id", part)
            if not sources.size == targets.size == kinds.size:
                raise ValueError(f"the columns of {group.name} have different lengths")
            shared = self._of_types(kinds)
            columns = _edge_columns(group, sources.size, part)
        weights, delays = (_filled(columns.get(n), shared[n]) for n in ("syn_weight", "delay"))
        if np.isnan(weights).any():
            raise ModelError(
                f"{self.file}: edges of {printable(self.name)} have no syn_weight, neither of "
                f"their own nor in {self.types}"
            )
        delays = np.where(np.isnan(delays), SYNAPSE_DELAY, delays)
        return sources, targets, weights, delays, shared["receptor_type"].astype(np.int64)

    def _of_types(self, kinds: I64) -> dict[str, F64]:
        """What edges have from their types, not-a-number where there is nothing."""
        rows = read_types(self.types, "edge_type_id", self.name)
        present, which = np.unique(kinds, return_inverse=True)
        shared = {
            "syn_weight": np.full(present.size, np.nan),
            "delay": np.full(present.size, np.nan),
            "receptor_type": np.zeros(present.size),
        }
        for place, kind in enumerate(present.tolist()):
            if kind not in rows:
                raise ModelError(f"{self.types} has no edge_type_id {kind}, which {self.file} has")
            where = f"{self.types}: edge_type_id {kind}"
            row = self._checked(rows[kind], where)
            for name, column in shared.items():
                if name in row:
                    column[place] = _number(row[name], f"{where}: {name}")
        return {name: column[which] for name, column in shared.items()}

    def _checked(self, row: Row, where: str) -> Row:
        """What edges of a type have, with the receptor that is in a file of parameters."""
        model = row.get("model_template", SYNAPSE)
        if model != SYNAPSE:
            raise ModelError(
                f"{where}: model_template is {printable(model)}: expected {SYNAPSE}, the only "
                "synapse with one meaning on all backends"
            )
        if "dynamics_params" in row:
            path = self.configuration.synapses / row["dynamics_params"]
            parameters = read_json(path)
            if "receptor_type" in parameters:
                row = {**row, "receptor_type": str(parameters.pop("receptor_type"))}
            if more := [*parameters]:
                raise ModelError(
                    f"{path}: {printable(', '.join(more))} of a {SYNAPSE} cannot be set here: "
                    "weights and delays are columns of the edges"
                )
        for name in EDGE_TYPE_COLUMNS:
            if name in row:
                raise ModelError(f"{where}: {name} changes what edges are, and is not understood")
        if "nsyns" in row and _number(row["nsyns"], f"{where}: nsyns") != 1:
            raise ModelError(f"{where}: nsyns is {row['nsyns']}{NSYNS}")
        receptor = _number(row.get("receptor_type", "0"), f"{where}: receptor_type")
        if receptor < 0 or receptor != int(receptor):
            raise ModelError(f"{where}: receptor_type must be a whole number, not {receptor:g}")
        return row


def read_nodes(tables: Tables, configuration: Configuration) -> Iterator[Nodes]:
    """The populations of a file of nodes.

    Raises
    ------
    ModelError
        For what cannot be read, and for nodes without one meaning on all backends.
    """
    with opened(tables.data) as file:
        parent = group_of(file, "nodes")
        for name in _in_order(parent, "node_type_id"):
            rows = read_types(tables.types, "node_type_id", name)
            yield _nodes(group_of(parent, name), name, tables, rows, configuration)


def read_edges(tables: Tables, configuration: Configuration) -> list[Edges]:
    """The populations of a file of edges, which are not read yet.

    Raises
    ------
    ModelError
    """
    found = []
    with opened(tables.data) as file:
        parent = group_of(file, "edges")
        for name in _in_order(parent, "edge_type_id"):
            group = group_of(parent, name)
            ends = []
            for column in ("source_node_id", "target_node_id"):
                population = text_of(dataset_of(group, column), "node_population")
                if population is None:
                    raise ValueError(f"{group.name}/{column} has no attribute node_population")
                ends.append(population)
            source, target = ends
            size = dataset_of(group, "source_node_id").size
            found.append(
                Edges(name, source, target, size, tables.data, tables.types, configuration)
            )
    return found


def read_trains(path: Path, population: str, size: int) -> list[F64]:
    """Spike times of each node of a population, ms.

    Raises
    ------
    ModelError
    """
    with opened(path) as file:
        group = group_of(file, "spikes")
        if population in group:
            group = group_of(group, population)
        elif "timestamps" not in group:
            raise ValueError(f"it has no spikes of {printable(population)}")
        times = numbers_of(group, "timestamps").astype(float)
        units = text_of(group["timestamps"], "units")
        if units not in MILLISECONDS:
            raise ValueError(f"{group.name}/timestamps is in {printable(units)}: expected ms")
        ids = _whole(group, "node_ids" if "node_ids" in group else "gids")
    if times.size != ids.size or not np.isfinite(times).all() or np.any(times < 0):
        raise ModelError(f"{path}: spikes must be pairs of a node and a time from 0")
    if ids.size and not (ids.min() >= 0 and ids.max() < size):
        raise ModelError(
            f"{path}: spikes of nodes {ids.min()} to {ids.max()}, and {printable(population)} has "
            f"{size} nodes"
        )
    order = np.lexsort((times, ids))
    ends = np.bincount(ids, minlength=size).cumsum()[:-1]
    return np.split(times[order], ends)


def read_types(path: Path, key: str, population: str) -> dict[int, Row]:
    """The rows of a table of types that are of a population, by their id, without empty fields.

    Raises
    ------
    ModelError
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} is too large for a table of types")
        lines = path.read_text("utf-8").replace("\t", " ").splitlines()
        table = list(csv.reader(map(str.strip, lines), delimiter=" ", skipinitialspace=True))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise ModelError(f"{path} is no table of types: {printable(error)}") from error
    names, *rows = [row for row in table if row] or [[]]
    if key not in names:
        raise ModelError(f"{path} has no column {key}")
    found: dict[int, Row] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ModelError(
                f"{path}: row {number} has {len(row)} fields, and the table {len(names)} columns"
            )
        fields = {n: v for n, v in zip(names, row, strict=True) if v not in NOTHING}
        if fields.pop("population", population) != population:
            continue
        try:
            kind = int(fields.get(key, ""))
        except ValueError:
            raise ModelError(f"{path}: row {number}: {key} is no whole number") from None
        if kind in found:
            raise ModelError(f"{path}: {key} {kind} stands there twice")
        found[kind] = fields
    return found


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file that is read; whatever is wrong with it is a `ModelError`."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ModelError:
        raise
    except DAMAGE as error:
        why = "it is too large for the memory" if isinstance(error, MemoryError) else str(error)
        raise ModelError(f"{path} cannot be read: {printable(why)}") from error


def _in_order(parent: h5py.Group, column: str) -> list[str]:
    """Populations in the order of their first types, which is that in which they were written."""

    def first(name: str) -> tuple[int, str]:
        types = dataset_of(group_of(parent, name), column)
        return (int(types[0]) if types.size else 0), name

    return sorted(parent, key=first)


def _nodes(
    group: h5py.Group,
    name: str,
    tables: Tables,
    rows: dict[int, Row],
    configuration: Configuration,
) -> Nodes:
    types = _whole(group, "node_type_id")
    size = types.size
    if not size:
        raise ValueError(f"{group.name} has no nodes")
    if "node_id" in group and not np.array_equal(_whole(group, "node_id"), np.arange(size)):
        raise ValueError(f"{group.name}/node_id is not 0, 1, 2 ... in this order")
    own = _own_parameters(group, size)
    members: dict[tuple[str, str], list[int]] = {}
    for kind in np.unique(types).tolist():
        if kind not in rows:
            raise ModelError(f"{tables.types} has no node_type_id {kind}, which {tables.data} has")
        row, where = rows[kind], f"{tables.types}: node_type_id {kind}"
        for column in ("model_processing", "morphology"):
            if column in row:
                raise ModelError(f"{where}: {column} changes what nodes are; it is not understood")
        members.setdefault(_model(row, where), []).append(kind)
    kinds = []
    for (model_type, model), ids in members.items():
        nodes = np.flatnonzero(np.isin(types, ids))
        table = {k: _shared(rows[k], configuration, tables.types) for k in ids}
        parameters = _joined(table, types[nodes], model)
        for column, values in own.items():
            if not np.isnan(values[nodes]).all():
                base = np.broadcast_to(parameters.get(column, _default(model, column)), nodes.size)
                parameters[column] = np.where(np.isnan(values[nodes]), base, values[nodes])
        kinds.append(Kind(model_type, model, nodes, parameters))
    labels = {rows[k].get(LABEL, "") for k in np.unique(types).tolist()}
    label = unquote(labels.pop()) if len(labels) == 1 else ""
    return Nodes(name, label or name, size, tables.data, tuple(kinds))


def _model(row: Row, where: str) -> tuple[str, str]:
    model_type = row.get("model_type", "")
    if model_type == "virtual":
        return model_type, ""
    if model_type not in ("point_neuron", "point_process"):
        raise ModelError(
            f"{where}: model_type is {printable(model_type) or 'missing'}: expected point_neuron, "
            "point_process or virtual, as networks of NEST have"
        )
    template = row.get("model_template", "")
    prefix, _, model = template.rpartition(":")
    if prefix not in ("", "nest") or not model:
        raise ModelError(
            f"{where}: model_template is {printable(template) or 'missing'}: expected nest:MODEL"
        )
    return model_type, model


def _shared(row: Row, configuration: Configuration, types: Path) -> dict[str, float]:
    """Parameters that the nodes of a type have in common."""
    if "dynamics_params" not in row:
        return {}
    path = configuration.neurons / row["dynamics_params"]
    found = {}
    for name, value in read_json(path).items():
        if isinstance(value, str) or not isinstance(value, int | float):
            raise ModelError(f"{path}: {printable(name)} must be a number, not {printable(value)}")
        found[name] = float(value)
    return found


def _joined(table: dict[int, dict[str, float]], types: I64, model: str) -> dict[str, Any]:
    """Parameters of the types of one model: a number, or an array where types differ."""
    ids, which = np.unique(types, return_inverse=True)
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for values in table.values() for name in values):
        values = np.array([table[k].get(name, _default(model, name)) for k in ids.tolist()], float)
        found[name] = float(values[0]) if np.all(values == values[0]) else values[which]
    return found


def _default(model: str, name: str) -> float:
    template = TEMPLATES.get(model)
    return float("nan") if template is None else template.defaults.get(name, float("nan"))


def _own_parameters(group: h5py.Group, size: int) -> dict[str, F64]:
    """Parameters that nodes have of their own; not-a-number where one has none."""
    found: dict[str, F64] = {}
    for number, nodes, index, columns in _groups(group, "node", size):
        for name in columns:
            if name in NODE_COLUMNS and name != "dynamics_params":
                raise ValueError(
                    f"{columns.name}/{name} changes what nodes are: expected in the table of types"
                )
        if "dynamics_params" not in columns:
            continue
        own = group_of(columns, "dynamics_params")
        for name in own:
            values = numbers_of(own, name).astype(float)
            if index.size and index.max() >= values.size:
                raise ValueError(f"{own.name}/{name} has no value {index.max()} (group {number})")
            if np.isnan(values).any():
                raise ValueError(f"{own.name}/{name} has values that are no numbers")
            found.setdefault(name, np.full(size, np.nan))[nodes] = values[index]
    return found


def _edge_columns(group: h5py.Group, size: int, part: slice) -> dict[str, F64]:
    """Weights and delays that edges have of their own; not-a-number where one has none."""
    found: dict[str, F64] = {}
    for number, edges, index, columns in _groups(group, "edge", size, part):
        for name in columns:
            if name in EDGE_COLUMNS:
                raise ValueError(
                    f"{columns.name}/{name} changes what edges are, and is not understood"
                )
            if name == "nsyns" and np.any(numbers_of(columns, name) != 1):
                raise ModelError(f"{group.file.filename}: {columns.name}/nsyns is not 1{NSYNS}")
            if name not in ("syn_weight", "delay"):
                continue
            data, first, last = dataset_of(columns, name), int(index.min()), int(index.max())
            if last >= data.size:
                raise ValueError(f"{columns.name}/{name} has no value {last} (group {number})")
            values = data[first : last + 1].astype(float)
            if not np.isfinite(values).all():
                raise ValueError(f"{columns.name}/{name} has values that are no finite numbers")
            found.setdefault(name, np.full(size, np.nan))[edges] = values[index - first]
    return found


def _groups(
    group: h5py.Group, kind: str, size: int, part: slice = ALL
) -> Iterator[tuple[str, I64, I64, h5py.Group]]:
    """Groups of attributes: number, which nodes or edges are in it, and where each is there."""
    numbers = [name for name in group if name.isdecimal()]
    if not numbers:
        return
    which, index = (_whole(group, f"{kind}_group_{name}", part) for name in ("id", "index"))
    if not which.size == index.size == size:
        raise ValueError(f"{group.name}/{kind}_group_id and _index must have {size} values")
    if index.size and index.min() < 0:
        raise ValueError(f"{group.name}/{kind}_group_index must be 0 or more")
    for number in numbers:
        members = np.flatnonzero(which == int(number))
        if members.size:
            yield number, members, index[members], group_of(group, number)


def _filled(own: F64 | None, shared: F64) -> F64:
    """Values of edges, and those of their types where edges have none."""
    return shared if own is None else np.where(np.isnan(own), shared, own)


def _whole(group: h5py.Group, name: str, part: slice = ALL) -> I64:
    """Whole numbers of a column."""
    data = dataset_of(group, name)
    if data.dtype.kind not in "iu":
        raise ValueError(f"{group.name}/{name} must hold whole numbers")
    values: I64 = data[part].astype(np.int64)
    return values


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ModelError(f"{where} must be a number, not {printable(text)}")
    return value

"""Nodes of a SONATA network: neurons and sources, with their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np

from ...errors import ModelError
from ...hdf5 import group_of, numbers_of
from ...host.untrusted import printable
from .configuration import Configuration, Tables, read_json
from .tables import F64, I64, Row, groups, in_order, opened, read_types, whole
from .templates import LABEL, TEMPLATES

NODE_COLUMNS = ("model_type", "model_template", "model_processing", "morphology", "dynamics_params")
"""Columns that change what a node is: of its type only, not of itself."""


@dataclass(frozen=True)
class Kind:
    """Nodes of one model in a population.

    Attributes
    ----------
    model_type, model : str
        ``point_neuron`` or ``virtual``; NEST's model, empty for virtual nodes.
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
    unused : tuple of str
        Columns that are called as parameters are and are none: those are in ``dynamics_params``.
    """

    name: str
    label: str
    size: int
    file: Path
    kinds: tuple[Kind, ...]
    unused: tuple[str, ...]


def read_nodes(tables: Tables, configuration: Configuration) -> Iterator[Nodes]:
    """The populations of a file of nodes.

    Raises
    ------
    ModelError
        For what cannot be read, and for nodes without one meaning on all backends.
    """
    with opened(tables.data) as file:
        parent = group_of(file, "nodes")
        for name in in_order(parent, "node_type_id"):
            rows = read_types(tables.types, "node_type_id", name)
            yield _nodes(group_of(parent, name), name, tables, rows, configuration)


def _nodes(
    group: h5py.Group,
    name: str,
    tables: Tables,
    rows: dict[int, Row],
    configuration: Configuration,
) -> Nodes:
    types = whole(group, "node_type_id")
    size = types.size
    if not size:
        raise ValueError(f"{group.name} has no nodes")
    if "node_id" in group and not np.array_equal(whole(group, "node_id"), np.arange(size)):
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
    columns: set[str] = {c for number in group if number.isdecimal() for c in group[number]}
    columns.update(*(rows[k] for k in np.unique(types).tolist()))
    native = {n for kind in kinds if (t := TEMPLATES.get(kind.model)) for n in t.defaults}
    unused = tuple(sorted(columns & native))
    return Nodes(name, label or name, size, tables.data, tuple(kinds), unused)


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
    return "point_neuron", model  # NEST's reader and BMTK call it a point_process, too


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
    for group_id, nodes, index, columns in groups(group, "node", size):
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
                raise ValueError(f"{own.name}/{name} has no value {index.max()} (group {group_id})")
            if np.isnan(values).any():
                raise ValueError(f"{own.name}/{name} has values that are no numbers")
            found.setdefault(name, np.full(size, np.nan))[nodes] = values[index]
    return found

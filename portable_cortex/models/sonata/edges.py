"""Edges of a SONATA network: static synapses, with their weights and delays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ...errors import ModelError
from ...hdf5 import dataset_of, group_of, numbers_of, text_of
from ...host.untrusted import printable
from .configuration import Configuration, Tables, read_json
from .tables import ALL, F64, I64, Row, groups, in_order, number, opened, read_types, whole
from .templates import SYNAPSE, SYNAPSE_DELAY

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
                ids = whole(group, name, part)
                if ids.size and not (ids.min() >= 0 and ids.max() < size):
                    raise ValueError(
                        f"{group.name}/{name} has ids from {ids.min()} to {ids.max()}: the "
                        f"population has {size} nodes"
                    )
                ends.append(ids)
            sources, targets = ends
            kinds = whole(group, "edge_type_id", part)
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
                    column[place] = number(row[name], f"{where}: {name}")
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
        if row.get("is_gap_junction", "False").lower() not in ("false", "0"):
            raise ModelError(f"{where}: is_gap_junction: gap junctions are not understood")
        if "nsyns" in row and number(row["nsyns"], f"{where}: nsyns") != 1:
            raise ModelError(f"{where}: nsyns is {row['nsyns']}{NSYNS}")
        receptor = number(row.get("receptor_type", "0"), f"{where}: receptor_type")
        if receptor < 0 or receptor != int(receptor):
            raise ModelError(f"{where}: receptor_type must be a whole number, not {receptor:g}")
        return row


def read_edges(tables: Tables, configuration: Configuration) -> list[Edges]:
    """The populations of a file of edges, which are not read yet.

    Raises
    ------
    ModelError
    """
    found = []
    with opened(tables.data) as file:
        parent = group_of(file, "edges")
        for name in in_order(parent, "edge_type_id"):
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


def _edge_columns(group: h5py.Group, size: int, part: slice) -> dict[str, F64]:
    """Weights and delays that edges have of their own; not-a-number where one has none."""
    found: dict[str, F64] = {}
    for group_id, edges, index, columns in groups(group, "edge", size, part):
        for name in columns:
            if name in EDGE_COLUMNS:
                raise ValueError(
                    f"{columns.name}/{name} changes what edges are, and is not understood"
                )
            if name == "nsyns" and np.any(numbers_of(columns, name) != 1):
                raise ModelError(f"{group.file.filename}: {columns.name}/nsyns is not 1{NSYNS}")
            if name == "is_gap_junction" and np.any(numbers_of(columns, name) != 0):
                raise ValueError(f"{columns.name}/{name}: gap junctions are not understood")
            if name not in ("syn_weight", "delay"):
                continue
            data, first, last = dataset_of(columns, name), int(index.min()), int(index.max())
            if last >= data.size:
                raise ValueError(f"{columns.name}/{name} has no value {last} (group {group_id})")
            values = data[first : last + 1].astype(float)
            if not np.isfinite(values).all():
                raise ValueError(f"{columns.name}/{name} has values that are no finite numbers")
            found.setdefault(name, np.full(size, np.nan))[edges] = values[index - first]
    return found


def _filled(own: F64 | None, shared: F64) -> F64:
    """Values of edges, and those of their types where edges have none."""
    return shared if own is None else np.where(np.isnan(own), shared, own)

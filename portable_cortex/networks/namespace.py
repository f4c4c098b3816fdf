"""A PyNN namespace in which a model builds for a file: nothing runs, synapses go to the disk.

Networks are those of the core's realisation `shared`. A projection is written when it is made, in
the form in which the file shall have it, so that the memory holds one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import cells as standard

from ..errors import ModelError, UnsupportedError
from ..models.sonata.templates import CELLS, Template, modelled, recovered
from ..neurons import library
from ..neurons.celltype import cell_type
from ..pynn import currents, namespace, population, projection, recorder, state
from ..pynn.draws import Edges
from ..pynn.population import is_modelled
from ..pynn.values import members
from ..recording.sonata import packing_of

I64 = NDArray[np.int64]
SOURCES = (standard.SpikeSourcePoisson, standard.SpikeSourceArray)
CELL_TYPES = (*(getattr(standard, name) for name in CELLS), *SOURCES)


@dataclass(frozen=True)
class Piece:
    """Synapses of a projection between two populations, as a group of the file.

    Attributes
    ----------
    group : str
        Its name for now.
    size : int
    source, target : Population
    pre, post : array of int64
        Cells of the two populations, in the order in which the projection counts them.
    first_pre, first_post : int
        What it counts the first of them as.
    receptor : str
    """

    group: str
    size: int
    source: Any
    target: Any
    pre: I64
    post: I64
    first_pre: int
    first_post: int
    receptor: str


class State(state.State):
    """Of a network that is written.

    Attributes
    ----------
    edges : h5py.Group
        Where synapses go.
    check : callable
        Raises the error of the disk, if there was one.
    """

    backend = "sonata"

    def __init__(self, edges: h5py.Group, check: Any) -> None:
        super().__init__()
        self.edges, self.check = edges, check

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Nothing runs."""

    def advance(self, steps: int) -> None:
        """Nothing does."""
        raise ModelError("a network that is exported cannot be run")

    def release(self) -> None:
        """Nothing is held."""


def namespace_of(own_state: State, timestep: float, seed: int) -> Any:
    """A namespace whose projections are written as they are made.

    Parameters
    ----------
    own_state : State
    timestep : float
        ms.
    seed : int
        Of all that is drawn.
    """
    simulator: Any = SimpleNamespace(state=own_state, name=own_state.backend)
    own_state.begin(timestep, seed=seed)
    classes = {
        **namespace.bound(simulator, _Population, _Projection, recorder.Recorder),
        **{kind.__name__: population.cell_type(kind) for kind in CELL_TYPES},
        **currents.classes(own_state),
    }

    def nestml_cell_type(name: str, nestml_description: Any) -> Any:
        """A cell type for a neuron model in NESTML, whose text goes with the network."""
        text = library.source(nestml_description)
        return cell_type(name, library.load(nestml_description, name), nestml=text)

    def draw_shared(shared_seed: int) -> None:
        """Draw connections with this seed."""
        own_state.shared_seed = shared_seed

    more = {"draw_shared": draw_shared, "nestml_cell_type": nestml_cell_type}
    return _Names(**namespace.names(simulator, classes=classes), **more)


class _Names(SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"a network with {name} cannot be written in the SONATA format: it has NEST's models "
            f"for {', '.join(kind.__name__ for kind in CELL_TYPES)}, models in NESTML and static "
            "synapses, and no others with one meaning everywhere"
        )


class _Population(population.Population):
    def can_have(self, celltype: Any) -> bool:
        if isinstance(celltype, CELL_TYPES) or hasattr(celltype, "nestml"):
            return True
        raise UnsupportedError(
            f"cells of type {type(celltype).__name__} cannot be written in the SONATA format: "
            f"valid are {', '.join(kind.__name__ for kind in CELL_TYPES)}"
        )


class _Projection(projection.Projection):
    """A projection whose synapses lie on the disk."""

    pieces: tuple[Piece, ...] = ()
    _size = 0
    _least: float | None = None

    def can_have(self, synapse_type: Any) -> bool:
        if isinstance(synapse_type, self._static_synapse_class):
            return True
        raise UnsupportedError(
            f"{type(synapse_type).__name__} cannot be written in the SONATA format, which has "
            "weights and delays of synapses, and no rule with one meaning everywhere for how "
            "weights change: take StaticSynapse"
        )

    def __len__(self) -> int:
        return self._size

    def smallest_delay(self) -> float | None:
        return self._least

    def store(self, edges: Edges) -> None:
        """Write them, in the place of those that were there."""
        state = self._simulator.state
        for piece in self.pieces:
            del state.edges[piece.group]
        self._size = int(edges.sources.size)
        self._least = float(edges.delays.min()) if self._size else None
        pieces: list[Piece] = []
        first_pre = 0
        parts = members(self.pre), members(self.post)
        whole = len(parts[0]) == len(parts[1]) == 1
        for source, pre in parts[0]:
            first_post = 0
            for target, post in parts[1]:
                name = f"{self._number}-{len(pieces)}"
                ends = source, target, pre, post, first_pre, first_post
                piece = Piece(name, 0, *ends, str(self.receptor_type))
                pieces.append(self._written(piece, edges, whole))
                first_post += post.size
            first_pre += pre.size
        self.pieces = tuple(piece for piece in pieces if piece.size)
        state.check()

    def _written(self, piece: Piece, edges: Edges, whole: bool) -> Piece:
        sources, targets = edges.sources - piece.first_pre, edges.targets - piece.first_post
        weights, delays = edges.weights, edges.delays
        if not whole:
            inside = (sources >= 0) & (sources < piece.pre.size)
            inside &= (targets >= 0) & (targets < piece.post.size)
            kept = np.flatnonzero(inside)
            sources, targets = sources[kept], targets[kept]
            weights, delays = weights[kept], delays[kept]
        size = int(sources.size)
        if not size:
            return piece
        template = template_of(piece.target)
        group = self._simulator.state.edges.create_group(piece.group)
        packing = packing_of(size)
        for name, values in (
            ("source_node_id", piece.pre[sources].astype(np.uint32)),
            ("target_node_id", piece.post[targets].astype(np.uint32)),
            ("edge_group_id", np.zeros(size, np.uint32)),
            ("edge_group_index", np.arange(size, dtype=np.uint32)),
        ):
            group.create_dataset(name, data=values, **packing)
        own = group.create_group("0")
        sign = -1.0 if self._is_magnitude(template.magnitudes) else 1.0
        own.create_dataset("syn_weight", data=weights * (sign * template.weight_scale), **packing)
        own.create_dataset("delay", data=delays, **packing)
        return replace(piece, size=size)

    def _is_magnitude(self, are_magnitudes: bool) -> bool:
        """Whether weights are negative in NEST and not here."""
        return are_magnitudes and self.receptor_type == "inhibitory"

    def stored(self) -> Edges:
        """All synapses, by source, read again."""
        columns: list[tuple[Any, ...]] = []
        for piece in self.pieces:
            group, template = self._simulator.state.edges[piece.group], template_of(piece.target)
            sign = -1.0 if self._is_magnitude(template.magnitudes) else 1.0
            columns.append(
                (
                    _places(piece.pre, piece.source.size)[group["source_node_id"][...]]
                    + piece.first_pre,
                    _places(piece.post, piece.target.size)[group["target_node_id"][...]]
                    + piece.first_post,
                    recovered(group["0/syn_weight"][...] * sign, template.weight_scale),
                    group["0/delay"][...],
                )
            )
        if not columns:
            return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))
        joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
        order = np.argsort(joined[0], kind="stable")
        return Edges(*(column[order] for column in joined))


def template_of(cells: Any) -> Template:
    """What neurons are in the file."""
    if is_modelled(cells.celltype):
        return modelled(cells.celltype.neuron.name)
    return CELLS[type(cells.celltype).__name__]


def _places(cells: I64, size: int) -> I64:
    """Where each cell of a population stands among these."""
    found = np.full(size, -1)
    found[cells] = np.arange(cells.size)
    return found

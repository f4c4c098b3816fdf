"""Poisson sources that are nothing but the background of their targets.

A population of them that has one projection, one to one, and is not recorded, needs no spikes of
its own: backends may draw the numbers of spikes where they arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyNN.connectors import OneToOneConnector
from pyNN.standardmodels.cells import SpikeSourcePoisson

from .recorder import SPIKES
from .values import members


def has_poisson_sources(cells: Any) -> bool:
    """Whether these are a whole population of Poisson sources."""
    return isinstance(getattr(cells, "celltype", None), SpikeSourcePoisson) and is_whole(cells)


def is_whole(cells: Any) -> bool:
    """Whether these are a population, no view and no assembly."""
    return not any(hasattr(cells, name) for name in ("populations", "parent"))


def is_one_to_one(connector: Any, pre: Any, post: Any) -> bool:
    """Whether each of a whole population of Poisson sources has a neuron of its own as target.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
    pre, post : PyNN Population, PopulationView or Assembly
    """
    return (
        isinstance(connector, OneToOneConnector)
        and has_poisson_sources(pre)
        and pre.size == post.size
    )


def is_sole(projection: Any, projections: Iterable[Any]) -> bool:
    """Whether a projection is all that a whole population of Poisson sources is needed for.

    Parameters
    ----------
    projection : Projection
    projections : iterable of Projection
        All of the network.
    """
    pre = projection.pre
    return (
        has_poisson_sources(pre)
        and not pre.recorder.indices(SPIKES).size
        and sum(pre is cells for p in projections for cells, _ in members(p.pre)) == 1
    )

"""Poisson sources that are nothing but the background of their targets.

A population of them that has one projection, one to one, and is not recorded, needs no spikes of
its own: backends may draw the numbers of spikes where they arrive.
"""

from __future__ import annotations

from typing import Any

from pyNN.connectors import OneToOneConnector
from pyNN.standardmodels.cells import SpikeSourcePoisson


def is_one_to_one(connector: Any, pre: Any, post: Any) -> bool:
    """Whether each of a whole population of Poisson sources has a neuron of its own as target.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
    pre, post : PyNN Population, PopulationView or Assembly
    """
    return (
        isinstance(connector, OneToOneConnector)
        and not any(hasattr(cells, n) for cells in (pre, post) for n in ("populations", "parent"))
        and isinstance(getattr(pre, "celltype", None), SpikeSourcePoisson)
        and pre.size == post.size
    )

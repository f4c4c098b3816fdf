"""PyNN's cell types and sources in the engine's terms."""

from __future__ import annotations

import functools
from typing import Any

from pyNN.standardmodels import cells

from portable_cortex.neurons.celltype import cell_type, from_nestml
from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.standard import STANDARD, standard_type
from portable_cortex.pynn.population import Trains, same_names

from . import _generated


class Written:
    """The loop of a cell type, which is written when it is wanted."""

    def __get__(self, instance: Any, celltype: Any) -> _generated.Model:
        return _model(celltype)


@functools.cache
def _model(celltype: Any) -> _generated.Model:
    return _generated.model(celltype.neuron)


class SpikeSourcePoisson(cells.SpikeSourcePoisson):  # type: ignore[misc]
    __doc__ = cells.SpikeSourcePoisson.__doc__
    translations = same_names(cells.SpikeSourcePoisson)


class SpikeSourceArray(Trains, cells.SpikeSourceArray):  # type: ignore[misc]
    __doc__ = cells.SpikeSourceArray.__doc__
    translations = same_names(cells.SpikeSourceArray)


CELL_TYPES = {
    **{n: standard_type(getattr(cells, n), model=Written()) for n in STANDARD},
    **{kind.__name__: kind for kind in (SpikeSourcePoisson, SpikeSourceArray)},
}


@from_nestml
def nestml_cell_type(name: str, neuron: Neuron) -> Any:
    made = cell_type(name, neuron)
    made.model = _generated.model(made.neuron)
    return made

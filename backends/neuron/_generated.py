"""Cell types that are models of neurons: each has a mechanism of its own, kept in the cache.

They are models in NESTML, and PyNN's standard cell types as models of the catalogue.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pyNN import errors
from pyNN.standardmodels import cells

from portable_cortex.neurons import celltype
from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.standard import STANDARD, standard_type

from ._cells import GridCell
from ._mechanisms import compiled
from ._pynn import h, load_mechanisms, simulator
from ._writing import Mechanism, local, mechanism

F64 = NDArray[np.float64]


class GeneratedCell(GridCell):
    """A neuron of a model; each model has a class of its own.

    Attributes
    ----------
    mechanism : Mechanism
    ports : tuple of str
        Receptor types, in the order of their numbers.
    factors : dict of str to float
        A variable in the model's unit times this is that of the mechanism.
    takes_current : bool
    type : class
        The cell type, under the name by which PyNN's plastic synapses ask for it.
    """

    mechanism: ClassVar[Mechanism]
    ports: ClassVar[tuple[str, ...]]
    factors: ClassVar[Mapping[str, float]]
    takes_current: ClassVar[bool]
    type: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__(getattr(h, self.mechanism.name))
        self.initial_values: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        """What takes the spikes of a receptor, as PyNN's plastic synapses ask for it."""
        if name in self.ports:
            return self.source
        raise AttributeError(name)

    def memb_init(self) -> None:
        """Called by pyNN.neuron before the first step."""
        for variable, value in self.initial_values.items():
            setattr(self.source, f"i_{variable}", value * self.factors[variable])

    def set_state(self, variable: str, value: float) -> None:
        """Set a state variable, now."""
        setattr(self.source, local(variable), value * self.factors[variable])
        self.source.observe()

    def reference(self, variable: str) -> Any:
        """Where NEURON has a variable."""
        if variable in {q.name for q in self.mechanism.neuron.inlines}:
            self.source.observed = 1
            self.source.observe()
        return getattr(self.source, f"_ref_{local(variable)}")


def set_parameters(neurons: list[GeneratedCell], parameters: Mapping[str, F64]) -> None:
    """Set what the mechanisms of some cells of a model get from parameters (in its units).

    Raises
    ------
    pyNN.errors.InvalidParameterValueError
        Where its equations have no solution with these parameters, or a guard forbids them.
    """
    if not neurons:
        return
    own, step = neurons[0].mechanism, simulator.state.dt
    try:
        values = own.values(parameters, step)
    except ValueError as error:
        raise errors.InvalidParameterValueError(str(error)) from error
    for name, column in values.items():
        each = np.broadcast_to(column, len(neurons)).tolist()
        for cell, value in zip(neurons, each, strict=True):
            setattr(cell.source, name, value)
    for cell in neurons:
        cell.source.observe()


@celltype.from_nestml
def nestml_cell_type(name: str, neuron: Neuron) -> Any:
    made = celltype.cell_type(name, neuron)
    made.model = _model(made)
    return made


class Compiled:
    """The cells of a type, whose mechanism is compiled when they are wanted."""

    def __get__(self, instance: Any, kind: Any) -> Any:
        return _model(kind)


@functools.cache
def _model(kind: Any) -> Any:
    """The class of the cells of a type; its mechanism is compiled if it has not been."""
    neuron = kind.neuron
    written = mechanism(neuron, kind.recordable)
    if not hasattr(h, written.name):
        files = {f"{written.name}.mod": written.text.encode()}
        load_mechanisms(compiled(files, f"the neuron model {neuron.name.removesuffix('_neuron')}"))
    own = {
        "__doc__": kind.__doc__,
        "mechanism": written,
        "ports": kind.receptor_types,
        "factors": {q.name: float(q.factor) for q in (*neuron.state, *neuron.inlines)},
        "takes_current": bool(neuron.currents),
        "type": kind,
    }
    return type(kind.__name__, (GeneratedCell,), own)


STANDARD_TYPES = {
    name: standard_type(getattr(cells, name), model=Compiled())
    for name in STANDARD
    if name != "IF_curr_exp"  # it has a mechanism that is compiled with the backend's own
}

"""Cell types of PyNN from neuron models: names, units and defaults are those of the model's file.

A spike port is a receptor type. It gets the weight of a synapse as a number: what a weight of 1
does, the model says. Ports for spikes of one sign are called ``excitatory`` and ``inhibitory``
where there is one of each; an inhibitory one gets the magnitude.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import StandardCellType, build_translations

from ..errors import UnsupportedError
from .expressions import Expression, Name, Unary, names, replaced
from .form import CLOCK, Neuron, Quantity
from .library import load
from .lowering import changed
from .numbers import in_form
from .reference import evaluate, resolved

F64 = NDArray[np.float64]
SIGNED = {1: "excitatory", -1: "inhibitory"}
USUAL_STEP = 0.1  # ms, for defaults that depend on it


class NeuronType(StandardCellType):  # type: ignore[misc]  # PyNN is untyped
    """A cell type that stands for a neuron model.

    Attributes
    ----------
    neuron : Neuron
        Its ports get weights as synapses have them.
    is_standard : bool
        Whether it is one of PyNN's standard cell types (`standard`).
    """

    neuron: Neuron
    is_standard = False

    @classmethod
    def initial_values(cls, parameters: Mapping[str, F64], step: float) -> dict[str, F64]:
        """Of the state variables, in the model's units, where parameters have these values."""
        values = resolved(cls.neuron, step, in_form(cls.neuron, parameters))
        visible = state_names(cls.neuron)
        return {
            q.name: np.asarray(values[q.name], float) / float(q.factor)
            for q in cls.neuron.state
            if q.name in visible
        }

    @classmethod
    def check(cls, parameters: Mapping[str, F64], step: float) -> None:
        """Raise an `InvalidValueError` for values that a guard of the model forbids."""
        neuron = cls.neuron
        if any(q.guard is not None for q in (*neuron.parameters, *neuron.internals, *neuron.state)):
            resolved(neuron, step, in_form(neuron, parameters))

    @classmethod
    def sources(cls, variable: str) -> tuple[str, ...]:
        """State variables that a recordable variable is computed from: itself, or an inline's."""
        if variable in {q.name for q in cls.neuron.state}:
            return (variable,)
        value = _inlines(cls.neuron)[variable].value
        assert value is not None
        used = names(value)
        return tuple(q.name for q in cls.neuron.state if q.name in used)

    @classmethod
    def computed(
        cls, variable: str, parameters: Mapping[str, F64], step: float, state: Mapping[str, F64]
    ) -> F64:
        """A recordable variable, from its `sources`; all in the model's units."""
        if variable in state:
            return state[variable]
        values = resolved(cls.neuron, step, in_form(cls.neuron, parameters))
        factors = {q.name: float(q.factor) for q in cls.neuron.state}
        values |= {name: value * factors[name] for name, value in state.items()}
        inline = _inlines(cls.neuron)[variable]
        assert inline.value is not None
        found: F64 = np.asarray(evaluate(inline.value, values), float)
        return found / float(inline.factor)


def cell_type(name: str, neuron: Neuron, **attributes: Any) -> Any:
    """The cell type of a model.

    Parameters
    ----------
    name : str
        Of the class.
    neuron : Neuron
    **attributes
        What a backend wants it to have.

    Raises
    ------
    UnsupportedError
        For a model with several continuous inputs, or with a name that PyNN cannot take.
    """
    if len(neuron.currents) > 1:
        raise UnsupportedError(
            f"{neuron.name} has several continuous inputs, "
            f"{', '.join(q.name for q in neuron.currents)}: PyNN's current sources know one; make "
            "the others parameters"
        )
    if "self" in (q.name for q in (*neuron.parameters, *neuron.state)):
        raise UnsupportedError(
            f"{neuron.name} has something called self, which PyNN's functions have, too; give it "
            "another name"
        )
    is_conductance_based = any("S" in q.unit for q in (*neuron.state, *neuron.inlines))
    values = resolved(neuron, USUAL_STEP, {})
    defaults = {q.name: float(values[q.name] / float(q.factor)) for q in neuron.parameters}
    state = [q for q in neuron.state if q.name in state_names(neuron)]
    recordable = [*state, *_inlines(neuron).values()]
    own = {
        "__doc__": f"The neuron model {neuron.name}.",
        "neuron": neuron if is_conductance_based else with_magnitudes(neuron),
        "as_read": neuron,  # of which another backend makes the same type
        "default_parameters": defaults,
        "default_initial_values": {q.name: float(values[q.name] / float(q.factor)) for q in state},
        "translations": build_translations(*map(_translation, defaults)),
        "recordable": ["spikes", *(q.name for q in recordable)],
        "units": {q.name: q.unit or "dimensionless" for q in recordable},
        "receptor_types": receptors(neuron),
        "conductance_based": is_conductance_based,
        "injectable": True,
        **attributes,
    }
    return type(name, (NeuronType,), own)


def _translation(name: str) -> tuple[Any, ...]:
    """A parameter that keeps its name; PyNN takes names as Python, of which some are words."""
    if not keyword.iskeyword(name):
        return name, name
    return name, name, lambda **own: own[name], lambda **own: own[name]


def from_nestml(make: Callable[[str, Neuron], Any]) -> Callable[[str, Any], Any]:
    """The ``nestml_cell_type`` of a backend, from what makes a cell type of a neuron."""

    def nestml_cell_type(name: str, nestml_description: Any) -> Any:
        """A cell type for a neuron model in NESTML, which is compiled if it has not been.

        Parameters
        ----------
        name : str
            Of the class; and of the model, where a description has several.
        nestml_description : str or Path
            A file, a text in NESTML, or a name of the catalogue.

        Raises
        ------
        InvalidValueError, UnsupportedError
            For a mistake in the model: its line and column; for what the backend cannot do.
        BackendUnavailableError
            Where a compiler is needed and there is none, or it fails.

        Examples
        --------
        >>> import portable_cortex
        >>> sim = portable_cortex.simulator("builtin")
        >>> sim.nestml_cell_type("MAT2", "mat2_curr_exp").default_parameters["omega"]
        -51.0
        """
        return make(name, load(nestml_description, name))

    return nestml_cell_type


def receptors(neuron: Neuron) -> tuple[str, ...]:
    """What PyNN calls the ports, in their order.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> receptors(load("lif_curr_exp"))
    ('excitatory', 'inhibitory')
    """
    signs = [port.sign for port in neuron.ports]
    return tuple(
        SIGNED[port.sign] if port.sign and signs.count(port.sign) == 1 else port.name
        for port in neuron.ports
    )


def state_names(neuron: Neuron) -> tuple[str, ...]:
    """State variables that can be initialised and recorded: all but timers and convolutions."""
    hidden = neuron.timers | neuron.convolved | {CLOCK}
    return tuple(q.name for q in neuron.state if q.name not in hidden)


def _inlines(neuron: Neuron) -> dict[str, Quantity]:
    """Inlines that can be recorded: of parameters, internals and variables that are no timers."""
    known = {q.name for q in (*neuron.parameters, *neuron.internals, *neuron.state)}
    known -= neuron.timers
    return {q.name: q for q in neuron.inlines if q.value is not None and names(q.value) <= known}


def with_magnitudes(neuron: Neuron) -> Neuron:
    """The same model for weights that are negative where a port is inhibitory."""
    by: dict[str, Expression] = {
        port.name: Unary("-", Name(port.name)) for port in neuron.ports if port.sign < 0
    }

    def jumps(found: tuple[tuple[str, Expression], ...]) -> tuple[tuple[str, Expression], ...]:
        return tuple((port, Unary("-", jump) if port in by else jump) for port, jump in found)

    neuron = changed(neuron, lambda value: replaced(value, by))
    return replace(
        neuron,
        equations=tuple(replace(e, jumps=jumps(e.jumps)) for e in neuron.equations),
        convolutions=tuple(
            replace(c, jumps=tuple((n, Unary("-", jump)) for n, jump in c.jumps))
            if c.port in by
            else c
            for c in neuron.convolutions
        ),
    )

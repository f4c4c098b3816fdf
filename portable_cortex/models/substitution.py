"""Another neuron model in the place of a network's leaky integrate-and-fire neurons.

All else stays as it is. Parameters of a leaky membrane and of synapses get the network's values
where the other model has them, too. Synaptic time constants are set such that a spike acts, on
average, as late as before (an alpha function's is half of an exponential's), weights such that it
moves the potential as far, and constant currents such that they move it as fast
(`neurons.strength`).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, UnknownNameError, UnsupportedError
from ..neurons import strength
from ..neurons.form import Neuron, Quantity
from ..neurons.library import load
from ..neurons.numbers import in_form

F64 = NDArray[np.float64]
Values = Mapping[str, Any]
"""Numbers by name; or one for each population, as a tuple."""

LIF = "IF_curr_exp"
RECEPTORS = ("excitatory", "inhibitory")
POTENTIALS = ("v", "V_m")
OFFSETS = ("i_offset", "I_e")
SYNAPSES = {
    "tau_syn_E": ("tau_syn_E", "tau_syn_exc"),
    "tau_syn_I": ("tau_syn_I", "tau_syn_inh"),
}
MEMBRANE = {
    "cm": ("cm", "C_m"),
    "tau_m": ("tau_m",),
    "v_rest": ("v_rest", "E_L"),
    "v_reset": ("v_reset", "V_reset"),
    "v_thresh": ("v_thresh", "V_th", "omega", "v_t_star"),
    "tau_refrac": ("tau_refrac", "refr_T"),
}
"""Parameters of `LIF`, and what they are called in the catalogue and in NESTML's own files."""
LEAKY = ("cm", "tau_m", "v_rest")
"""What a membrane has to have to get the values of `MEMBRANE`; else they are not its own terms."""


@dataclass(frozen=True)
class Substitute:
    """A neuron model for a network that was described with `LIF`.

    Attributes
    ----------
    name : str
        `LIF`, a name of the catalogue, or a file in NESTML.
    parameters : dict of str to float, or array
        Those that differ from the model's defaults, in its units; an array has one a population.
    potential, offset : str
        Names of the membrane potential, and of the parameter for a constant current if it has one.
    weights : dict of str to array
        For each receptor, by population: a weight of the network (nA) times this is one of the
        model's.
    currents : array
        The same for an injected current, nA.
    offsets : array
        The same for the parameter `offset`, whose unit may be another.
    statement : str
        What was put in the place of what.
    """

    name: str
    parameters: Values
    potential: str
    offset: str
    weights: Mapping[str, F64]
    currents: F64
    offsets: F64
    statement: str

    def cells(self, sim: Any, index: int, current: float) -> Any:
        """Cells of population `index` with a constant current, nA.

        Raises
        ------
        UnsupportedError
            For a current that the model has no parameter for.
        """
        offset = current * float(self.offsets[index])
        if offset and not self.offset:
            raise UnsupportedError(
                f"{self.name} has no parameter {' or '.join(OFFSETS)}, for the constant current "
                "that the network has at this scale and with this drive"
            )
        own = {n: v[index] if np.ndim(v) else v for n, v in self.parameters.items()}
        given = {**own, **({self.offset: offset} if self.offset else {})}
        if self.name == LIF:
            return sim.IF_curr_exp(**given)
        return sim.nestml_cell_type("Substitute", self.name)(**given)

    def weight(self, weight: float, index: int, receptor: str) -> float:
        """A weight of the network (nA) onto population `index`, as the model takes it."""
        return weight * float(self.weights[receptor][index])


def substitute(
    name: str,
    lif: Values,
    held: Sequence[float],
    given: Values | None = None,
    usual: Values | None = None,
) -> Substitute:
    """A model in the place of `LIF`.

    Parameters
    ----------
    name : str
        A name of the catalogue, a standard neuron of PyNN's that is in it, or a file in NESTML.
    lif : dict of str to float, or tuple
        Parameters of the network's neurons under PyNN's names, in PyNN's units: those of `LIF`, and
        of what it does not have, such as ``e_rev_I``; a tuple has one for each population.
    held : sequence of float
        For each population, the potential at which spikes are compared, mV.
    given : dict of str to float, optional
        Parameters that have precedence, in the model's units.
    usual : dict of str to float, optional
        The same for what the network itself has for this model.

    Raises
    ------
    InvalidValueError, UnknownNameError, UnsupportedError
        For what is no such model, for parameters that it does not have, and for a model whose
        potential spikes of an excitatory and an inhibitory receptor do not move.

    Examples
    --------
    >>> from portable_cortex.models.parameters import PD14
    >>> made = substitute("lif_curr_delta", PD14.neuron.as_pynn(), [-60.0])
    >>> made.weight(0.0878, 0, "excitatory").__round__(4)  # mV: 87.8 pA, 0.5 ms, 250 pF
    0.1756
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InvalidValueError(
            f"neuron_parameters must be numbers by name, such as {{'tau_m': 12}}, not {given!r}"
        )
    for parameter, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidValueError(f"{parameter} of {name} must be a number, not {value!r}")
    neuron = None
    if name != LIF:
        from ..neurons.standard import STANDARD  # which imports PyNN

        name = STANDARD[name].model if name in STANDARD else name
        neuron = load(name)  # now: a file may change
    return _substitute(
        name, neuron, tuple(lif.items()), tuple(held), (*{**(usual or {}), **given}.items(),)
    )


@functools.cache
def _substitute(
    name: str,
    neuron: Neuron | None,
    lif_items: tuple[tuple[str, Any], ...],
    held: tuple[float, ...],
    given_items: tuple[tuple[str, float], ...],
) -> Substitute:
    lif, given = dict(lif_items), dict(given_items)
    own = {n: value for n, value in lif.items() if n in SYNAPSES or n in MEMBRANE}
    if neuron is None:
        _check(name, given, own)
        ones = np.ones(len(held))
        factors = dict.fromkeys(RECEPTORS, ones)
        said = f"{LIF} with {', '.join(f'{n} {v:g}' for n, v in given.items())}" if given else ""
        return Substitute(LIF, {**own, **given}, "v", "i_offset", factors, ones, ones, said)
    from ..neurons.celltype import cell_type

    made, base = cell_type("Substitute", neuron), cell_type("LIF", load("lif_curr_exp"))
    _check(name, given, made.default_parameters)
    potential = next((v for v in POTENTIALS if v in made.default_initial_values), None)
    if potential is None or made.units[potential] != "mV":
        raise UnsupportedError(
            f"{name} has no membrane potential in mV that is called {' or '.join(POTENTIALS)}, so "
            "that it cannot be said how far a spike moves it"
        )
    missing = {*RECEPTORS} - {*made.receptor_types}
    if missing:
        raise UnsupportedError(
            f"the network has {' and '.join(sorted(missing))} synapses; {name} has receptors "
            f"{', '.join(made.receptor_types)} only"
        )
    parameters = {**_shared(made.neuron, lif), **given}
    wanted = _movements(base, "v", own, held)
    found = _movements(made, potential, parameters, held)
    times = {
        name: parameters[name] * float((wanted[receptor].centre / found[receptor].centre)[0])
        for receptor, standard in zip(RECEPTORS, SYNAPSES, strict=True)
        for name in SYNAPSES[standard]
        if name in parameters and name not in given
    }
    if any(abs(value / parameters[name] - 1) > 1e-3 for name, value in times.items()):
        parameters |= {name: float(f"{value:.4g}") for name, value in times.items()}
        found = _movements(made, potential, parameters, held)
    for receptor, moved in found.items():
        sign = -1 if receptor == "inhibitory" and made.conductance_based else 1
        if not (sign * moved.far > 0).all():
            raise UnsupportedError(
                f"with these parameters a spike at the {receptor} receptor of {name} does not move "
                f"{potential} as it should, so that no weight does what the network's do: is a "
                "reversal potential on the wrong side?"
            )
    offset = next((q for q in made.neuron.parameters if q.name in OFFSETS), None)
    injected = next(iter(made.neuron.currents), None)  # PyNN knows one

    def factor(current: Quantity | None) -> F64:
        """Of a current; 1 where there is none, which is refused when it is wanted."""
        if current is None:
            return np.ones(len(held))
        speed = strength.of_current(
            made.neuron, potential, current.name, _values(made, parameters), held
        )
        return lif_speed / speed

    lif_speed = strength.of_current(base.neuron, "v", "i_offset", _values(base, own), held)
    weights = {receptor: wanted[receptor].far / moved.far for receptor, moved in found.items()}
    return Substitute(
        name,
        parameters,
        potential,
        offset.name if offset else "",
        weights,
        factor(injected),
        factor(offset) * (1e3 / float(offset.factor) if offset else 1.0),
        _statement(name, made.neuron, parameters, weights, factor(injected or offset)),
    )


def _statement(
    name: str, neuron: Neuron, parameters: Values, weights: Mapping[str, F64], currents: F64
) -> str:
    units = {q.name: q.unit for q in neuron.parameters}
    if Path(name).is_file():  # which may be another one tomorrow
        name += f" (SHA-256 {hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]})"
    values = ", ".join(
        f"{n} {_range(np.atleast_1d(value))} {units[n]}".strip() for n, value in parameters.items()
    )
    return (
        f"{name} instead of {LIF}"
        + (f", with {values}" if values else "")
        + "; excitatory weights (nA) times {excitatory}, inhibitory ones times {inhibitory}".format(
            **{receptor: _range(by) for receptor, by in weights.items()}
        )
        + f", constant currents times {_range(currents)}, which moves the potential as {LIF}'s"
    )


def _check(name: str, given: Values, known: Values) -> None:
    for parameter in given:
        if parameter not in known:
            raise UnknownNameError(f"parameter of {name}", parameter, known)


def _shared(neuron: Neuron, lif: Values) -> dict[str, Any]:
    """Values of the network for parameters of the model, in the model's units."""
    quantities = {q.name: q for q in neuron.parameters}
    names = {**SYNAPSES, **MEMBRANE} if _is_leaky(set(quantities)) else SYNAPSES
    units = {"cm": 1e3}  # nF; the others are in the units of `form`
    shared = {}
    for standard, value in lif.items():
        for name in names.get(standard, (standard,) if standard not in MEMBRANE else ()):
            if name in quantities:
                factor = units.get(standard, 1.0) / float(quantities[name].factor)
                shared[name] = factor * (np.array(value) if isinstance(value, tuple) else value)
    return shared


def _is_leaky(names: set[str]) -> bool:
    return all(names & {*MEMBRANE[standard]} for standard in LEAKY)


def _movements(
    made: Any, potential: str, parameters: Values, held: Sequence[float]
) -> dict[str, strength.Movement]:
    """What spikes of weight 1 do, by receptor."""
    ports = dict(zip(made.receptor_types, made.neuron.ports, strict=True))
    return {
        receptor: strength.of_spike(
            made.neuron, potential, ports[receptor].name, _values(made, parameters), held
        )
        for receptor in RECEPTORS
    }


def _values(made: Any, parameters: Values) -> dict[str, Any]:
    own: dict[str, Any] = {**made.default_parameters, **parameters}
    return in_form(made.neuron, own)


def _range(values: F64) -> str:
    said = [f"{value:.4g}" for value in (values.min(), values.max())]
    return " to ".join(dict.fromkeys(said))

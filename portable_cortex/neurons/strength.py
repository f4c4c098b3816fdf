"""How far a spike, or a current, moves the membrane potential of a model.

The potential is held, and what would have moved it is summed: the integral of the change of dV/dt
that a spike of weight 1 makes. So currents count by their charge over the capacitance, whatever
their shape, conductances at their driving force, and a potential that jumps by its jump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedError
from .expressions import names
from .form import Integrate, Neuron
from .reference import Reference, function

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Movement:
    """What a spike of weight 1 does to a potential that is held.

    Attributes
    ----------
    far : array
        How far it would have moved it, mV.
    centre : array
        The mean time of the movement after the spike, ms: the time constant of an exponential.
    """

    far: F64
    centre: F64


STEP = 0.01  # ms, of the integral
LONGEST = 5000.0  # ms
SMALL = 1e-7  # of the sum: where it has ended


def of_spike(
    neuron: Neuron, potential: str, port: str, parameters: Mapping[str, Any], held: Sequence[float]
) -> Movement:
    """What a spike of weight 1 does to a potential that is held.

    Parameters
    ----------
    neuron : Neuron
    potential, port : str
        Names of the membrane potential and of the port of spikes.
    parameters : dict
        In the units of `form`.
    held : sequence of float
        Potentials, mV.

    Returns
    -------
    Movement
        For each of them.

    Raises
    ------
    UnsupportedError
        If the sum does not end, or if it is not told by an equation how the potential moves.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> lif = {"tau_syn_E": 0.5, "cm": 250.0}  # ms, pF
    >>> moved = of_spike(load("lif_curr_exp"), "v", "exc_spikes", lif, [-60.0])
    >>> round(float(moved.far[0]), 5), round(float(moved.centre[0]), 4)
    (2.0, 0.5)
    """
    still, hit = (_cells(neuron, potential, parameters, held) for _ in range(2))
    still.run(1)
    hit.run(1, {port: np.ones(1)})
    far = hit.values[potential] - still.values[potential]
    moved = {
        q.name
        for q in neuron.state
        if q.name != potential and (hit.values[q.name] != still.values[q.name]).any()
    }
    moved = _followers(neuron, moved, potential)
    if not moved:
        return Movement(far, np.zeros(len(held)))
    if potential not in {e.variable for e in neuron.equations}:
        raise UnsupportedError(
            f"{neuron.name} has no equation for {potential}, so that it cannot be said how far a "
            "spike moves it"
        )
    slope = function(neuron.equation(potential).derivative)
    going = replace(neuron, update=(Integrate(_integrated(neuron, moved)),), receive=())
    pair = [_cells(going, potential, parameters, held) for _ in range(2)]
    for cells, before in zip(pair, (still, hit), strict=True):
        cells.values |= before.values | {port: np.zeros(len(held))}
        cells.values[potential] = np.array(held, float)

    def change() -> F64:
        first, second = (slope(cells.values, None)[0] for cells in pair)
        return np.asarray(second - first, float)

    changes = [change()]
    total = changes[0]
    for _ in range(round(LONGEST / STEP) // 2):
        for _ in range(2):  # Simpson's rule takes them by two
            for cells in pair:
                cells.run(1)
            changes.append(change())
            total = total + changes[-1]
        old, new = np.abs(changes[-2]), np.abs(changes[-1])
        # an alpha function begins with 0
        if (new <= old).all() and (new < SMALL * np.abs(far + STEP * total)).all():
            weights = np.full(len(changes), 2 * STEP / 3)
            weights[1::2] = 4 * STEP / 3
            weights[[0, -1]] = STEP / 3
            table = np.array(changes)
            far = far + weights @ table
            return Movement(far, (weights * STEP * np.arange(len(changes))) @ table / far)
    raise UnsupportedError(
        f"a spike at {port} moves {potential} of {neuron.name} for longer than {LONGEST:g} ms, so "
        "that it cannot be said how far"
    )


def of_current(
    neuron: Neuron, potential: str, current: str, parameters: Mapping[str, Any],
    held: Sequence[float],
) -> F64:  # fmt: skip
    """How fast a current of 1 nA moves the potential, mV/ms.

    `current` is the name of a continuous input, or of a parameter. Other parameters are those of
    `of_spike`.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> lif = load("lif_curr_exp")
    >>> float(of_current(lif, "v", "i_offset", {"cm": 250.0, "i_offset": 0.0}, [-60.0])[0])
    4.0
    """
    more = {current: parameters[current] + 1e3} if current in parameters else {}  # pA
    pair = [_cells(neuron, potential, {**parameters, **added}, held) for added in ({}, more)]
    if not more:
        pair[1].values[current] = np.full(len(held), 1e3)
    if potential in {e.variable for e in neuron.equations}:
        slope = function(neuron.equation(potential).derivative)
        first, second = (slope(cells.values, None)[0] for cells in pair)
        return np.asarray(second - first, float) * np.ones(len(held))
    for cells in pair:
        cells.run(1)
    return np.asarray((pair[1].values[potential] - pair[0].values[potential]) / STEP)


def _cells(
    neuron: Neuron, potential: str, parameters: Mapping[str, Any], held: Sequence[float]
) -> Reference:
    """A cell that never fires for each of the potentials."""
    cells = Reference(replace(neuron, conditions=()), STEP, len(held), parameters)
    cells.values[potential] = np.array(held, float)
    cells.values["t"] = np.zeros(len(held))
    return cells


def _followers(neuron: Neuron, moved: set[str], potential: str) -> set[str]:
    """Variables that change with these, as far as the potential is held."""
    while True:
        more = moved | {
            e.variable
            for e in neuron.equations
            if e.variable != potential and names(e.derivative) & moved
        }
        if more == moved:
            return moved
        moved = more


def _integrated(neuron: Neuron, moved: set[str]) -> tuple[str, ...]:
    """Those that have equations and do not move by themselves, as convolutions do."""
    return tuple(
        e.variable
        for e in neuron.equations
        if e.variable in moved and e.variable not in neuron.convolved
    )

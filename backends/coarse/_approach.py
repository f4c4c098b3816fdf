"""Where to begin: neurons are simulated with what they get, which their rates change in turn.

It comes near to a stationary state for any neuron before there is a table. Each update is one short
simulation, always with the same random numbers, so that chance hardly moves from one to the next.
Of several states it finds the one to which a network comes from silence, as what arrives from
outside rises slowly to all of it: excitation that runs ahead of inhibition would lead to others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portable_cortex.pynn.expected import ORDERS

from ._inputs import Inputs
from ._library import Told
from ._neurons import Simulated, possible
from ._solver import mixed
from ._workers import Workers

F64 = NDArray[np.float64]

DURATION = 1000.0  # ms
SILENCE = 0.1  # spikes/s: inputs are not 0, whose fluctuation is not known
RISING, UPDATES = 30, 50  # while what comes from outside rises to all of it, and then at most
NEAR = 0.05  # difference of the two sides at which chance is most of it
STEP, WORSE = 0.3, 1.5  # of the first update; it is halved where differences grow by so much
STRAIGHT, DEPTH = 0.4, 3  # difference from which on so many updates back are looked at


def approached(inputs: Inputs, *, timestep: float, workers: int, told: Told) -> F64:
    """Rates near to a stationary state.

    Parameters
    ----------
    inputs : Inputs
    timestep : float
        ms.
    workers : int
        Processes that simulate.
    told : callable

    Returns
    -------
    array, shape (n,)
        spikes/s; of all that were tried, those at which the two sides differ least.

    Raises
    ------
    SimulationError
        If neurons could not be simulated.
    """
    n = len(inputs.populations)
    state = np.repeat([SILENCE, SILENCE**2], n)
    nearest, least, before, step = state, np.inf, np.inf, STEP
    states: list[F64] = []
    changes: list[F64] = []

    def caused(what: Inputs, state: F64) -> F64:
        return Simulated(what, timestep, DURATION, own).caused(state, 1)

    with Workers(workers) as own:
        for number in range(1, RISING):
            driven = _driven(inputs, number / RISING)
            told(None, f"simulating neurons with {number / RISING:.0%} of what comes from outside")
            state = possible(state + STEP * (caused(driven, state) - state), SILENCE)
        for number in range(UPDATES):
            change = caused(inputs, state) - state
            size = float(np.max(np.abs(change[:n]) / (1.0 + state[:n])))
            told(None, f"simulating neurons, update {number}: the two sides differ by {size:.1g}")
            if size < least:
                nearest, least = state, size
            if size < NEAR:
                break
            if size > WORSE * before:
                step /= 2
            if size > min(STRAIGHT, WORSE * before):
                states, changes = [], []
            before = size
            states, changes = [*states[-DEPTH:], state], [*changes[-DEPTH:], change]
            state = possible(mixed(states, changes, step), SILENCE)
    return nearest[:n]


def _driven(inputs: Inputs, share: float) -> Inputs:
    """With this share of the spikes that come from outside."""
    powers = 1, 1, 1, *ORDERS
    populations = tuple(
        replace(p, trains=tuple(replace(t, rate=share * t.rate) for t in p.trains))
        for p in inputs.populations
    )
    outside = np.stack([share**k * own for k, own in zip(powers, inputs.outside, strict=True)])
    return replace(inputs, populations=populations, outside=outside)

r"""Rates that are those that they cause: :math:`\nu = F(\nu)`.

What populations send to each other is updated in turn with how each responds, until nothing
changes any more: :math:`\nu\leftarrow(1-h)\nu+hF(\nu)`. The step h is chosen so that every mode of
the linearised network decays; Anderson's method takes the rest of the way from the last few updates
([1]_).

References
----------
.. [1] Walker HF, Ni P (2011). SIAM J Numer Anal 49:1715-1735. doi:10.1137/10078356X
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from portable_cortex.errors import SimulationError

F64 = NDArray[np.float64]

TOLERANCE = 1e-4  # relative to 1 spike/s and the rate
UPDATES = 1000
DEPTH = 5  # updates that Anderson's method looks back
NEAR = 0.2  # difference from which on Anderson's method is used
WORSE = 1.5  # ratio of differences at which it begins anew
RENEWED = 20  # updates after which the step is chosen anew
SAFE = 0.5  # of the step at which the slowest mode would no longer decay
LARGEST, LEAST_STEP = 0.5, 0.01


class Circuit(Protocol):
    """Populations that cause each other's rates."""

    @property
    def labels(self) -> Sequence[str]:
        """Of the populations."""

    def caused(self, rates: F64, squares: F64) -> tuple[F64, F64, F64]:
        """What the right-hand side gives.

        Parameters
        ----------
        rates, squares : array, shape (n,)
            Mean over neurons of rates, spikes/s, and of their squares.

        Returns
        -------
        tuple of array
            Both again, and relative standard errors of the rates.
        """

    def gains(self, rates: F64, squares: F64) -> sparse.csr_array:
        """How the rates of the right-hand side change with those of the left one."""

    def other_errors(self, rates: F64, squares: F64) -> F64:
        """Relative errors of what is caused, beyond those of chance: shape (n,)."""


@dataclass(frozen=True)
class Solution:
    r"""A stationary state.

    Attributes
    ----------
    rates : array, shape (n,)
        spikes/s.
    errors : array, shape (n,)
        Standard errors of the rates, from what is known of the responses' errors.
    step : float
        Of an update.
    history : tuple of float
        The largest difference of :math:`F(\nu)` and :math:`\nu`, update by update.
    """

    rates: F64
    errors: F64
    step: float
    history: tuple[float, ...]


def solved(
    circuit: Circuit,
    start: F64,
    *,
    tolerance: float = TOLERANCE,
    told: Callable[[int, float], None] = lambda n, size: None,
) -> Solution:
    """The stationary state to which rates go from `start`.

    Parameters
    ----------
    circuit : Circuit
    start : array, shape (n,)
        spikes/s.
    tolerance : float
        Of rates, relative to 1 spike/s and the rate.
    told : callable
        Given the number of updates, and how far apart the two sides are.

    Raises
    ------
    SimulationError
        If there is none within `UPDATES` updates.
    """
    rates = np.asarray(start, float)
    _, squares, _ = circuit.caused(rates, rates**2)
    step = _step(circuit.gains(rates, squares))
    states: list[F64] = []
    changes: list[F64] = []
    history: list[float] = []
    for number in range(UPDATES):
        caused, caused_squares, errors = circuit.caused(rates, squares)
        state = np.concatenate([rates, squares])
        change = np.concatenate([caused, caused_squares]) - state
        size = float(np.max(np.abs(caused - rates) / (1.0 + rates)))
        history.append(size)
        told(number, size)
        if not np.isfinite(size):
            break
        if size < tolerance:
            own = np.hypot(errors, circuit.other_errors(rates, squares)) * caused
            own = _propagated(circuit.gains(rates, squares), own)
            return Solution(rates, own, step, tuple(history))
        worse = len(history) > 1 and size > WORSE * history[-2]
        if worse or number % RENEWED == RENEWED - 1:
            step = _step(circuit.gains(rates, squares))
        if worse or size > NEAR:  # what is far from linear is taken step by step
            states, changes = [], []
        states, changes = [*states[-DEPTH:], state], [*changes[-DEPTH:], change]
        state = mixed(states, changes, step)
        n = rates.size
        rates = np.maximum(state[:n], 0.0)
        squares = np.maximum(state[n:], rates**2)
    shown = ", ".join(
        f"{label} {rate:.3g}" for label, rate in zip(circuit.labels[:8], rates, strict=False)
    )
    raise SimulationError(
        f"no stationary state was found in {len(history)} updates: the two sides differ by "
        f"{history[-1]:.2g}, at {shown}{' ...' if len(rates) > 8 else ''} spikes/s"
    )


def mixed(states: list[F64], changes: list[F64], step: float) -> F64:
    """The next state, by Anderson's method; a damped update as long as there is one state."""
    state, change = states[-1], changes[-1]
    if len(states) < 2:
        return state + step * change
    scale = 1.0 / (1.0 + np.abs(state))
    of_states = np.diff(np.array(states), axis=0).T
    of_changes = np.diff(np.array(changes), axis=0).T
    weights = np.linalg.lstsq(of_changes * scale[:, np.newaxis], change * scale, rcond=1e-6)[0]
    mixed: F64 = state + step * change - (of_states + step * of_changes) @ weights
    # no further than ten updates would go
    most = 10 * step * float(np.linalg.norm(change * scale))
    length = float(np.linalg.norm((mixed - state) * scale))
    return mixed if length <= most else state + (mixed - state) * (most / length)


DENSE = 64  # populations whose modes are all computed


def _step(gains: sparse.csr_array) -> float:
    """The step with which all modes decay, with something to spare."""
    is_small = gains.shape[0] <= DENSE
    modes = np.linalg.eigvals(gains.toarray()) if is_small else _largest(gains)
    away = 1.0 - modes
    decaying = away[away.real > 0]
    limits = 2 * decaying.real / np.abs(decaying) ** 2
    return float(np.clip(SAFE * limits.min(initial=2.0), LEAST_STEP, LARGEST))


def _largest(gains: sparse.csr_array) -> NDArray[np.complex128]:
    """The modes that are furthest from 0, as far as they are found."""
    first = np.ones(gains.shape[0])  # always the same, so that rates are
    try:
        found = sparse.linalg.eigs(
            gains, k=12, which="LM", return_eigenvectors=False, tol=1e-2, v0=first
        )
    except sparse.linalg.ArpackNoConvergence as error:
        found = error.eigenvalues
    return np.asarray(found, complex)


def _propagated(gains: sparse.csr_array, errors: F64) -> F64:
    r"""Errors of the solution: :math:`(1-J)^{-1}` of those of the responses, each on its own."""
    n = errors.size
    if n > 50 * DENSE:
        return errors
    system = sparse.csc_array(sparse.eye_array(n) - gains)
    if n <= DENSE:
        return np.asarray(np.sqrt(np.linalg.inv(system.toarray()) ** 2 @ errors**2))
    rng = np.random.default_rng(1)  # 64 draws tell them to a tenth
    factors = sparse.linalg.splu(system)
    draws = factors.solve(rng.standard_normal((n, 64)) * errors[:, np.newaxis])
    return np.asarray(draws.std(axis=1))

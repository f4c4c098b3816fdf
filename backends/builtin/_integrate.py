"""One step of each cell type, in NEST's order: membrane, currents, arrivals, threshold.

All functions have the same arguments: ``state[variable, neuron]``, steps of refractoriness left,
injected current (nA), what arrived at the excitatory and inhibitory receptor in this step (read
and set to zero), constants (one column, or one for each neuron) and the numbers of those that
fired. They return how many did.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding
from numba import njit

# The loops read and write several arrays; LLVM must be allowed to check at run time, in more than
# its default of eight comparisons, that they do not overlap. Otherwise it does not vectorise.
binding.set_option("portable-cortex", "-runtime-memory-check-threshold=200")


IF_CURR_EXP = 0


@njit(cache=True, nogil=True, error_model="numpy")
def if_curr_exp(
    v: Any, exc: Any, inh: Any, refractory: Any, drive: Any, arrived_exc: Any, arrived_inh: Any,
    constants: Any, out: Any,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, exponential currents, exact integration.

    Rotter S, Diesmann M (1999) Biol Cybern 81:381. v is relative to rest.
    """
    n = v.size
    if constants.shape[1] == 1:
        leak, by_exc, by_inh, keep_exc, keep_inh, constant = constants[:6, 0]
        threshold, reset, n_steps = constants[7, 0], constants[8, 0], np.int32(constants[9, 0])
        most = -np.inf
        for i in range(n):
            moved = v[i] * leak + exc[i] * by_exc + inh[i] * by_inh + constant
            r = refractory[i]
            x = moved if r == 0 else v[i]
            v[i] = x
            refractory[i] = r - 1 if r > 0 else 0
            # what has decayed to nothing is set to zero: denormal numbers are slow
            e = exc[i] * keep_exc
            j = inh[i] * keep_inh
            exc[i] = (e if abs(e) > 1e-200 else 0.0) + arrived_exc[i]
            inh[i] = (j if abs(j) > 1e-200 else 0.0) + arrived_inh[i]
            arrived_exc[i] = 0.0
            arrived_inh[i] = 0.0
        k = 0
        for i in range(n):
            if v[i] >= threshold:
                v[i] = reset
                refractory[i] = n_steps
                out[k] = i
                k += 1
        return k
    k = 0
    for i in range(n):
        if refractory[i] == 0:
            v[i] = (
                v[i] * constants[0, i] + exc[i] * constants[1, i] + inh[i] * constants[2, i]
                + constants[5, i] + drive[i] * constants[6, i]
            )  # fmt: skip
        else:
            refractory[i] -= 1
        e = exc[i] * constants[3, i]
        j = inh[i] * constants[4, i]
        exc[i] = (e if abs(e) > 1e-200 else 0.0) + arrived_exc[i]
        inh[i] = (j if abs(j) > 1e-200 else 0.0) + arrived_inh[i]
        arrived_exc[i] = 0.0
        arrived_inh[i] = 0.0
        if v[i] >= constants[7, i]:
            v[i] = constants[8, i]
            refractory[i] = np.int32(constants[9, i])
            out[k] = i
            k += 1
    return k


@njit(cache=True, nogil=True)
def advance(mine: Any, group: int, log: Any, total: int) -> int:
    """Advance one group of cells, and append those that fired to the log."""
    model, n, cell, first, variable, constant, columns, rows = mine.groups[group]
    end = constant + rows * columns
    constants = mine.constants[constant:end].reshape(rows, columns)
    refractory = mine.refractory[first : first + n]
    drive = mine.drive[first : first + n]
    exc, inh = mine.arrived[0, first : first + n], mine.arrived[1, first : first + n]
    out = log[total:]
    k = 0
    if model == IF_CURR_EXP:
        s = mine.state[variable : variable + 3 * n].reshape(3, n)
        k = if_curr_exp(s[0], s[1], s[2], refractory, drive, exc, inh, constants, out)
    for i in range(k):
        out[i] += np.int32(cell)
    return total + k

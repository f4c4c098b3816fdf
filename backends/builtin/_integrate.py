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

from ._models import eif_cond_exp, if_cond_alpha, if_cond_exp, if_curr_alpha, izhikevich

# The loops read and write several arrays; LLVM must be allowed to check at run time, in more than
# its default of eight comparisons, that they do not overlap. Otherwise it does not vectorise.
binding.set_option("portable-cortex", "-runtime-memory-check-threshold=200")


PIECE = 512  # neurons whose state the first-level cache holds
IF_CURR_EXP, IF_CURR_ALPHA, IF_COND_EXP, IF_COND_ALPHA, EIF_COND_EXP, IZHIKEVICH = range(6)


@njit(cache=True, nogil=True, error_model="numpy")
def _equal_neurons(
    v: Any, exc: Any, inh: Any, refractory: Any, arrived_exc: Any, arrived_inh: Any,
    leak: float, by_exc: float, by_inh: float, keep_exc: float, keep_inh: float, constant: float,
) -> None:  # fmt: skip
    """`if_curr_exp` up to the threshold, in a form that becomes vector instructions."""
    for i in range(v.size):
        moved = v[i] * leak + exc[i] * by_exc + inh[i] * by_inh + constant
        r = refractory[i]
        v[i] = moved if r == 0 else v[i]
        refractory[i] = r - 1 if r > 0 else 0
        # what has decayed to nothing is set to zero: denormal numbers are slow
        e = exc[i] * keep_exc
        j = inh[i] * keep_inh
        exc[i] = (e if abs(e) > 1e-200 else 0.0) + arrived_exc[i]
        inh[i] = (j if abs(j) > 1e-200 else 0.0) + arrived_inh[i]
        arrived_exc[i] = 0.0
        arrived_inh[i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def if_curr_exp(
    v: Any, exc: Any, inh: Any, refractory: Any, drive: Any, arrived_exc: Any, arrived_inh: Any,
    constants: Any, out: Any,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, exponential currents, exact integration.

    Rotter S, Diesmann M (1999) Biol Cybern 81:381. v is relative to rest.
    """
    n = v.size
    if constants.shape[1] == 1 and n > 1:
        leak, by_exc, by_inh, keep_exc, keep_inh, constant = constants[:6, 0]
        threshold, reset, n_steps = constants[7, 0], constants[8, 0], np.int32(constants[9, 0])
        k = 0
        for begin in range(0, n, PIECE):
            end = min(begin + PIECE, n)
            _equal_neurons(
                v[begin:end], exc[begin:end], inh[begin:end], refractory[begin:end],
                arrived_exc[begin:end], arrived_inh[begin:end],
                leak, by_exc, by_inh, keep_exc, keep_inh, constant,
            )  # fmt: skip
            for i in range(end - begin):
                at = np.uint64(begin + i)
                if v[at] >= threshold:
                    v[at] = reset
                    refractory[at] = n_steps
                    out[k] = at
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
def advance(mine: Any, group: int, step: float, log: Any, total: int) -> int:
    """Advance one group of cells, and append those that fired to the log."""
    g = mine.groups[group]
    neurons = slice(g.neuron, g.neuron + g.size)
    c = mine.constants[g.constants : g.constants + g.rows * g.columns].reshape(g.rows, g.columns)
    s = mine.state[g.state : g.state + g.variables * g.size].reshape(g.variables, g.size)
    refractory, drive = mine.refractory[neurons], mine.drive[neurons]
    exc, inh = mine.arrived[0, neurons], mine.arrived[1, neurons]
    out = log[total:]
    model = g.model
    k = 0
    if model == IF_CURR_EXP:
        k = if_curr_exp(s[0], s[1], s[2], refractory, drive, exc, inh, c, out)
    elif model == IF_CURR_ALPHA:
        k = if_curr_alpha(s, refractory, drive, exc, inh, c, out)
    elif model == IF_COND_EXP:
        k = if_cond_exp(s, refractory, drive, exc, inh, c, step, out)
    elif model == IF_COND_ALPHA:
        k = if_cond_alpha(s, refractory, drive, exc, inh, c, step, out)
    elif model == EIF_COND_EXP:
        k = eif_cond_exp(s, refractory, drive, exc, inh, c, step, out)
    elif model == IZHIKEVICH:
        k = izhikevich(s, refractory, drive, exc, inh, c, step, out)
    for i in range(k):
        out[i] += np.int32(g.cell)
    return total + k

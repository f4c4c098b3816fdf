"""One step of each cell type, in NEST's order: membrane, synaptic variables, threshold.

All functions have the same arguments: ``s[variable, neuron]``, the synaptic variables of the
excitatory and inhibitory receptor (see `_cells.Model`), steps of refractoriness left, injected
current (nA), constants (one column, or one for each neuron), the neurons to advance (from `begin`
to `end`), and a log of the numbers of those that fired, of which the first `total` are taken. They
return how many are taken then. Inputs are added to the synaptic variables elsewhere, after this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding

from ._llvm import call, common, compiled, signs, word

# The loops read and write several arrays; LLVM must be allowed to check at run time, in more than
# its default of eight comparisons, that they do not overlap. Otherwise it does not vectorise.
binding.set_option("portable-cortex", "-runtime-memory-check-threshold=200")


PART = 64  # neurons that are searched together for spikes
IF_CURR_EXP = 0

U16, U64, I32 = np.uint16, np.uint64, np.int32


@compiled
def add(into: Any, begin: int, codes: Any, weight: float) -> None:
    """Add the weight of Poisson events to synaptic variables, from neuron `begin` on."""
    own = into.dtype.type(weight)
    for i in range(codes.size):
        count = I32(codes[U64(i)] >> U16(1))
        into[U64(begin + i)] += own * into.dtype.type(count)


@compiled
def _hold(v: Any, refractory: Any, begin: int, end: int, held: Any) -> Any:
    """Note which neurons are refractory and their potentials, and count down; how many they are.

    They are few: to advance all as if none were, and to set these back, is faster than to choose.
    """
    numbers, values = held[0], held[1][0]
    n: Any = np.int64(0)
    own = 8 // refractory.itemsize  # in a word of memory
    first = begin
    while first < end:
        last = first + 4 * own
        if last <= end:
            some = word(refractory, first) | word(refractory, first + own)
            some |= word(refractory, first + 2 * own) | word(refractory, first + 3 * own)
            if some == U64(0):
                first = last
                continue
        for number in range(first, min(last, end)):
            i = U64(number)
            left = refractory[i]
            if left:
                refractory[i] = refractory.dtype.type(left - refractory.dtype.type(1))
                numbers[n] = number
                values[n] = v[i]
                n += 1
        first = last
    return n


@compiled
def _set_back(v: Any, held: Any, n: int, thresholds: Any) -> Any:
    """Give these neurons their potentials back; whether one is at its threshold, as no reset is."""
    numbers, values = held[0], held[1][0]
    reached = False
    for k in range(n):
        i = U64(numbers[k])
        v[i] = values[k]
        reached |= values[k] >= thresholds[i if thresholds.size > 1 else U64(0)]
    return reached


@compiled
def _equal_neurons(
    v: Any, exc: Any, inh: Any, begin: int, end: int, leak: Any, by_exc: Any, by_inh: Any,
    keep_exc: Any, keep_inh: Any, constant: Any, threshold: Any, codes: Any, weight: Any,
) -> Any:  # fmt: skip
    """`if_curr_exp` up to the threshold, as vector instructions; whether a neuron has reached it.

    The signs of the distances tell: a boolean would need a conversion for each vector.
    """
    below = signs(v.dtype.type(-1))
    for number in range(begin, end):
        i = U64(number)
        e, j = exc[i], inh[i]
        new = v[i] * leak + e * by_exc + j * by_inh + constant
        below = common(below, signs(new - threshold))
        v[i] = new
        if codes is None:
            exc[i] = e * keep_exc
        else:
            count = I32(codes[U64(number - begin)] >> U16(1))
            exc[i] = e * keep_exc + weight * v.dtype.type(count)
        inh[i] = j * keep_inh
    return below >= 0


@compiled
def _different_neurons(v: Any, exc: Any, inh: Any, drive: Any, begin: int, end: int, c: Any) -> Any:
    """The same for neurons of different constants, or with injected currents."""
    leak, by_exc, by_inh, keep_exc, keep_inh = c[0], c[1], c[2], c[3], c[4]
    constant, by_drive, threshold = c[5], c[6], c[7]
    below = signs(v.dtype.type(-1))
    for number in range(begin, end):
        i = U64(number)
        e, j = exc[i], inh[i]
        moved = v[i] * leak[i] + e * by_exc[i] + j * by_inh[i] + constant[i]
        new = moved + drive[i] * by_drive[i]
        below = common(below, signs(new - threshold[i]))
        v[i] = new
        exc[i] = e * keep_exc[i]
        inh[i] = j * keep_inh[i]
    return below >= 0


@compiled
def _n_above(v: Any, begin: int, end: int, threshold: Any) -> Any:
    n = I32(0)
    for number in range(begin, end):
        n = I32(n + (I32(1) if v[U64(number)] >= threshold else I32(0)))
    return n


@compiled
def if_curr_exp(
    s: Any, exc: Any, inh: Any, refractory: Any, drive: Any, c: Any, begin: int, end: int,
    codes: Any, weight: float, held: Any, log: Any, total: int,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, exponential currents, exact integration.

    Rotter S, Diesmann M (1999) Biol Cybern 81:381. v is relative to rest. Excitatory Poisson input
    is added in the same pass through the neurons.
    """
    v = s[0]
    n_held = _hold(v, refractory, begin, end, held)
    if c.shape[1] == 1 and v.size > 1:
        leak, by_exc, by_inh, keep_exc, keep_inh, constant = (
            c[0, 0], c[1, 0], c[2, 0], c[3, 0], c[4, 0], c[5, 0],
        )  # fmt: skip
        threshold, reset, n_steps = c[7, 0], c[8, 0], refractory.dtype.type(c[9, 0])
        if codes.size:
            reached = _equal_neurons(
                v, exc, inh, begin, end, leak, by_exc, by_inh, keep_exc, keep_inh, constant,
                threshold, codes, v.dtype.type(weight),
            )  # fmt: skip
        else:
            reached = _equal_neurons(
                v, exc, inh, begin, end, leak, by_exc, by_inh, keep_exc, keep_inh, constant,
                threshold, None, None,
            )  # fmt: skip
        reached |= _set_back(v, held, n_held, c[7])
        if not reached:
            return total
        for first in range(begin, end, PART):
            last = min(first + PART, end)
            if _n_above(v, first, last, threshold):
                for i in range(first, last):
                    if v[i] >= threshold:
                        v[i] = reset
                        refractory[i] = n_steps
                        log[total] = i
                        total += 1
        return total
    reached = _different_neurons(v, exc, inh, drive, begin, end, c)
    reached |= _set_back(v, held, n_held, c[7])
    add(exc, begin, codes, weight)
    if reached:
        for i in range(begin, end):
            if v[i] >= c[7, i]:
                v[i] = c[8, i]
                refractory[i] = refractory.dtype.type(c[9, i])
                log[total] = i
                total += 1
    return total


@compiled
def advance(
    g: Any, loop: int, neurons: Any, begin: int, end: int, now: int, step: float, poisson: Any,
    log: Any, total: int,
) -> int:  # fmt: skip
    """Advance cells of a group, add Poisson input, and append those that fired to the log.

    `loop` is the address of a loop that was written for the model (`_generated`), or 0.
    `neurons` are groups, arrivals, page, refractory, drive, constants, held and loops of
    `_kernel.Mine`;
    `poisson` are codes of events, a receptor and a weight.
    """
    codes, receptor, weight = poisson
    _, arrivals, page, all_refractory, all_drive, constants, held, _ = neurons
    own = slice(g.neuron, g.neuron + g.size)
    c = constants[g.constants : g.constants + g.rows * g.columns].reshape(g.rows, g.columns)
    s = page[g.state : g.state + g.variables * g.size].reshape(g.variables, g.size)
    refractory, drive = all_refractory[own], all_drive[own]
    exc, inh = arrivals[0, own], arrivals[1, own]
    before = total
    if loop != 0:
        n = codes.size if receptor == 0 and not g.late and g.columns == 1 and g.size > 1 else 0
        total = call(
            loop,
            (
                exc, arrivals.shape[1], s, g.size, refractory, drive, c, g.rows, g.columns, begin,
                end, codes, n, weight, held[0], held[1], log, total, g.index, now, g.key0, g.key1,
            ),
        )  # fmt: skip
        codes = codes[n:]
    else:
        n = codes.size if receptor == 0 else 0
        total = if_curr_exp(
            s, exc, inh, refractory, drive, c, begin, end, codes[:n], weight, held, log, total,
        )  # fmt: skip
        codes = codes[n:]
    add(arrivals[receptor, own], begin, codes, weight)
    for i in range(before, total):
        log[i] += np.int32(g.cell)
    return total

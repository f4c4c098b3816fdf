"""One step of the cells of a group: their loop was written for their model (`_generated`).

Inputs are added to the variables that they move after the step, excitatory Poisson input in the
same pass through the neurons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding

from ._llvm import call, compiled

# The loops read and write several arrays; LLVM must be allowed to check at run time, in more than
# its default of eight comparisons, that they do not overlap. Otherwise it does not vectorise.
binding.set_option("portable-cortex", "-runtime-memory-check-threshold=200")

U16, U64, I32 = np.uint16, np.uint64, np.int32


@compiled
def add(into: Any, begin: int, codes: Any, weight: float) -> None:
    """Add the weight of Poisson events to synaptic variables, from neuron `begin` on."""
    own = into.dtype.type(weight)
    for i in range(codes.size):
        count = I32(codes[U64(i)] >> U16(1))
        into[U64(begin + i)] += own * into.dtype.type(count)


@compiled
def advance(
    g: Any, loop: int, neurons: Any, begin: int, end: int, now: int, poisson: Any, log: Any,
    total: int,
) -> int:  # fmt: skip
    """Advance cells of a group, add Poisson input, and append those that fired to the log.

    `loop` is the address of the model's loop. `neurons` are groups, arrivals, page, refractory,
    drive, constants, held and loops of `_kernel.Mine`; `poisson` are codes of events, a receptor
    and a weight. Of the log the first `total` entries are taken; what is returned is how many are
    taken then.
    """
    codes, receptor, weight = poisson
    _, arrivals, page, all_refractory, all_drive, constants, held, _ = neurons
    own = slice(g.neuron, g.neuron + g.size)
    c = constants[g.constants : g.constants + g.rows * g.columns].reshape(g.rows, g.columns)
    s = page[g.state : g.state + g.variables * g.size].reshape(g.variables, g.size)
    refractory, drive = all_refractory[own], all_drive[own]
    before = total
    n = codes.size if receptor == 0 and not g.late and g.columns == 1 and g.size > 1 else 0
    total = call(
        loop,
        (
            arrivals[0, own], arrivals.shape[1], s, g.size, refractory, drive, c, g.rows,
            g.columns, begin, end, codes, n, weight, held[0], held[1], log, total, g.index, now,
            g.key0, g.key1,
        ),
    )  # fmt: skip
    add(arrivals[receptor, own], begin, codes[n:], weight)
    for i in range(before, total):
        log[i] += np.int32(g.cell)
    return total

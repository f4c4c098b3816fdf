"""The layer of `v1_layer4c` without a stimulus, step by step as its authors' program does it.

Written from what that program computes (Euler's steps, strengths as kicks of two variables a
receptor, at most one spike a step from each external input), with nothing of this package but the
numbers and partners of the model: what else its rates depend on can be told from it.
"""

import numpy as np
from numba import njit

from portable_cortex.models import v1_layer4c as model
from portable_cortex.models.hypercolumns import lattice, partners

KINDS = tuple(model.SIDES)
STEP = 0.1  # ms
RISE, DECAY = np.array([0.5, 2.0, 0.5]), np.array([3.0, 80.0, 5.0])  # AMPA, NMDA, GABA, ms
LEAK, NMDA = np.array([1 / 20, 1 / 20, 1 / 15]), np.array([0.2, 0.2, 0.33])  # of S, C, I
TO_E, TO_I = 14 / 3, -2 / 3  # reversal potentials
REFRACTORY = 20  # steps


def wired(seed):
    """Targets of each cell, one after the other, and where they begin; the kind of each cell."""
    rng = np.random.default_rng(seed)
    places = {kind: lattice(side, 1) for kind, side in model.SIDES.items()}
    first = dict(zip(KINDS, np.cumsum([0, *(len(p) for p in places.values())]), strict=False))
    columns = []
    for target, by_source in model.IN_DEGREES.items():
        for source, n in by_source.items():
            drawn = partners(
                rng, places[target], model.SIDES[source], 1, n,
                sd=model.SD[source] / model.HYPERCOLUMN, reach=model.REACH / model.HYPERCOLUMN,
                alike=source == target,
            )  # fmt: skip
            pre, post = (np.concatenate(column) for column in zip(*drawn, strict=True))
            columns.append((pre + first[source], post + first[target]))
    pre, post = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(pre, kind="stable")
    kinds = np.repeat(np.arange(3), [len(p) for p in places.values()])
    begins = np.searchsorted(pre[order], np.arange(kinds.size + 1))
    return begins, post[order], kinds


def rates(*, seed, duration, warmup=500.0, delay=model.DELAY_EE):
    """Mean rates of S, C and I, spikes/s; `delay` is that between excitatory cells, ms."""
    begins, targets, kinds = wired(seed)
    external = np.array([[*model.LGN[k], *model.L6[k], *model.AMBIENT[k]] for k in KINDS])
    external[:, 1] *= model.BACKGROUND["LGN"]
    external[:, 3] *= model.BACKGROUND["L6"]
    own = [model.STRENGTHS[pair] for pair in (("E", "E"), ("E", "I"), ("I", "E"), ("I", "I"))]
    steps, silent, late = (round(time / STEP) for time in (warmup + duration, warmup, delay))
    spikes = _simulated(seed, steps, silent, late, begins, targets, kinds, external, np.array(own))
    return spikes / np.bincount(kinds) / (1e-3 * duration)


@njit
def _simulated(seed, steps, silent, late, begins, targets, kinds, external, strengths):
    np.random.seed(seed)  # noqa: NPY002  # Numba's own
    n = kinds.size
    v, resting = np.random.random(n), np.zeros(n, np.int64)  # noqa: NPY002
    rising, falling = np.zeros((3, n)), np.zeros((3, n))
    pending, kicks, spikes = np.zeros((late + 1, n)), np.zeros((2, n)), np.zeros(3)
    fired = np.zeros(n, np.int64)
    for step in range(steps):
        n_fired = 0
        for i in range(n):
            kind, g = kinds[i], (falling[:, i] - rising[:, i]) / (DECAY - RISE)
            if resting[i] > 0:
                resting[i] -= 1
                v[i] = 0.0
            if resting[i] == 0:
                by_e, by_i = (g[0] + g[1]) * (v[i] - TO_E), g[2] * (v[i] - TO_I)
                v[i] -= STEP * (LEAK[kind] * v[i] + by_e + by_i)
                if v[i] >= 1.0:
                    resting[i], fired[n_fired] = REFRACTORY, i
                    n_fired += 1
                    spikes[kind] += step >= silent
            arrived = np.zeros(3)
            for source in range(3):
                strength, rate = external[kind, 2 * source], external[kind, 2 * source + 1]
                if np.random.random() <= 1e-3 * rate * STEP:  # noqa: NPY002
                    part = NMDA[kind] if source == 1 else 0.0
                    arrived[0] += (1 - part) * strength
                    arrived[1] += part * strength
            excited = kicks[0, i]
            for _ in range(int(pending[step % (late + 1), i])):
                if np.random.random() < model.ARRIVES:  # noqa: NPY002
                    excited += strengths[0]
            pending[step % (late + 1), i] = 0.0
            arrived[0] += (1 - NMDA[kind]) * excited
            arrived[1] += NMDA[kind] * excited
            arrived[2] = kicks[1, i]
            kicks[0, i] = kicks[1, i] = 0.0
            rising[:, i] = (rising[:, i] + arrived) * np.exp(-STEP / RISE)
            falling[:, i] = (falling[:, i] + arrived) * np.exp(-STEP / DECAY)
        for i in fired[:n_fired]:
            for target in targets[begins[i] : begins[i + 1]]:
                if kinds[i] == 2:
                    kicks[1, target] += strengths[3 if kinds[target] == 2 else 2]
                elif kinds[target] == 2:
                    kicks[0, target] += strengths[1]
                else:
                    pending[(step + late) % (late + 1), target] += 1.0
    return spikes

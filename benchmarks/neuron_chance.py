"""Neurons that fire by chance: intervals between spikes, and what the model's formulas say of them.

A constant current flows. From rest, or from the reset potential, the potential has a course that
formulas give, and so has the chance of a spike in each step; what spikes leave begins with the
first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from neuron_runs import CHANCE
from numpy.typing import NDArray
from scipy import stats

F64 = NDArray[np.float64]

N = 4000  # neurons
DURATION, LONGEST = 600.0, 250.0  # ms; a second interval is at most LONGEST, or counts as longer
BINS = 20
SIZE = 1e-3  # of a test
GIF = {
    "i_offset": 1.0, "lambda0": 10.0, "delta_v": 2.0,
    "a_eta_1": 0.2, "a_eta_2": 0.1, "a_eta_3": 0.05,
    "a_gamma_1": 5.0, "a_gamma_2": 2.0, "a_gamma_3": 1.0,
}  # fmt: skip
PARAMETERS: dict[str, dict[str, float]] = {
    "gif_cond_exp": GIF,
    "gif_curr_exp": GIF,
    "lif_escape_curr_exp": {"i_offset": 0.56},
}


def intervals(sim: Any, kind: Any, model: str, step: float) -> list[float]:
    """Significance of first and second intervals, each in a chi-square test."""
    sim.setup(timestep=step, rng_seed=12)
    population = sim.Population(N, kind(**PARAMETERS[model]))
    population.record("spikes")
    sim.run(DURATION)
    trains = population.get_data().segments[0].spiketrains
    sim.end()
    steps = [np.rint(np.asarray(t.magnitude) / step).astype(int) for t in trains]
    p = {**kind.default_parameters, **PARAMETERS[model]}
    n, longest = round(DURATION / step), round(LONGEST / step)
    first = np.array([t[0] if t.size else n + 1 for t in steps])
    second = np.array([
        (t[1] - t[0] if t.size > 1 else longest + 1) for t in steps
        if t.size and t[0] <= n - longest
    ])  # fmt: skip
    rest = round(p["tau_refrac"] / step)
    chances = [
        chance(model, p, step * np.arange(1, n + 1), step, after_spike=False),
        np.concatenate([
            np.zeros(rest - 1),
            chance(model, p, step * np.arange(longest - rest + 1), step, after_spike=True),
        ]),
    ]  # fmt: skip
    return [significance(*pair) for pair in zip((first, second), chances, strict=True)]


def chance(model: str, p: dict[str, float], t: F64, step: float, after_spike: bool) -> F64:
    """Of a spike in the step that ends at t, the neuron having moved freely since 0."""
    rate, softness, threshold = (p[name] for name in CHANCE[model])
    decay = np.exp(-t / p["tau_m"])
    start = p["v_reset"] if after_spike else p["v_rest"]
    v = p["v_rest"] + (start - p["v_rest"]) * decay
    v = v + p["i_offset"] * p["tau_m"] / p["cm"] * (1 - decay)
    if after_spike and "a_eta_1" in p:
        for k in (1, 2, 3):
            tau, left = p[f"tau_eta_{k}"], np.exp(-p["tau_refrac"] / p[f"tau_eta_{k}"])
            course = (np.exp(-t / tau) - decay) / (1 / p["tau_m"] - 1 / tau)
            v = v - p[f"a_eta_{k}"] * left / p["cm"] * course
            since = p["tau_refrac"] + t
            threshold = threshold + p[f"a_gamma_{k}"] * np.exp(-since / p[f"tau_gamma_{k}"])
    expected = rate * np.exp((v - threshold) / softness) * step * 1e-3
    return expected if model == "lif_escape_curr_exp" else 1 - np.exp(-expected)


def significance(found: NDArray[np.int64], chances: F64) -> float:
    """Of times in steps, from 1; those that are longer than the chances count together."""
    surviving = np.concatenate([[1.0], np.cumprod(1 - np.minimum(chances, 1.0))])
    below = 1 - surviving  # after so many steps
    edges = np.unique(np.searchsorted(below, np.linspace(0, below[-1], BINS + 1)[1:-1]))
    cut = np.concatenate([[0], edges, [chances.size, np.iinfo(np.int64).max]])
    shares = np.diff(np.concatenate([below[cut[:-1]], [1.0]]))
    counts = np.histogram(found, np.concatenate([cut[:-1] + 0.5, [np.inf]]))[0]
    likely = shares * found.size > 5
    counts = np.append(counts[likely], counts[~likely].sum())
    shares = np.append(shares[likely], shares[~likely].sum())
    if shares[-1] == 0:
        counts, shares = counts[:-1], shares[:-1]
    return float(stats.chisquare(counts, shares * found.size).pvalue)

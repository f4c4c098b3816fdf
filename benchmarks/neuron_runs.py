"""Frozen input to a neuron model: what a backend makes of it, and what the reference does.

Neurons differ in the strength of their input and in their refractory time. Spikes arrive at all
receptors; a current pushes, and later pulls. Times are the same whatever the time step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.neurons import celltype, library
from portable_cortex.neurons.form import Neuron
from portable_cortex.neurons.reference import PART, Reference

F64 = NDArray[np.float64]

GRID = 0.1  # ms; spikes come on it, whatever the time step
DELAY = 1.0  # ms
RATE = 400.0  # spikes in a second, at each receptor
SEED = 7
STRENGTHS = (1.0, 0.5, 0.75, 0.875, 0.625)  # of the input, by neuron
N = len(STRENGTHS)
REFRACTORY = (None, 0.0, 1.0, 2.03, None)  # ms, by neuron; None is the model's own
TIMERS = ("tau_refrac", "refr_T")  # what parameters are called that set a refractory time
STEPS = (0.3, 0.6, 0.75, 0.85)  # when the current changes, in parts of the duration
AMPLITUDES = (1.0, 0.0, -0.5, 0.0)  # of it then


@dataclass(frozen=True)
class Input:
    """How strong the input is.

    Attributes
    ----------
    weights : tuple of float
        The largest, of each receptor, as synapses have it.
    current : float
        nA.
    parameters : dict
        Beside the defaults.
    """

    weights: tuple[float, ...]
    current: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)


HH = {"tau_refrac": (2.0, 1.0, 3.0, 2.03, 2.0)}  # without one it notes a spike in several steps
INPUTS = {
    "adex_cond_alpha": Input((0.0022, 0.0011), 1.0),
    "adex_cond_exp": Input((0.01, 0.005), 1.0),
    "adex_curr_exp": Input((0.46, -0.23), 1.0),
    "amat2_curr_exp": Input((0.46, -0.23), 0.3, {"alpha_2": 5.0, "beta": 0.1}),
    # no spike so near to the end of a step that a solver's microsecond decides in which it is
    "eif_curr_exp": Input((2.2, -1.1), 0.45),
    "gif_cond_exp": Input((0.01, 0.005), 1.0, {"lambda0": 0.0}),
    "gif_curr_exp": Input((1.0, -0.5), 1.0, {"lambda0": 0.0}),
    "glif1_curr_alpha": Input((0.1, -0.05), 0.46),
    "glif2_curr_alpha": Input((0.1, -0.05), 0.46),
    "glif3_curr_alpha": Input((0.1, -0.05), 0.46),
    "glif4_curr_alpha": Input((0.1, -0.05), 0.46),
    "glif5_curr_alpha": Input((0.22, -0.11), 0.46),
    "hh_squid_curr_alpha": Input((0.46, -0.23), 1.0, HH),
    "hh_traub_cond_exp": Input((0.046, 0.023), 0.5, HH),
    "izhikevich_2003": Input((10.0, -5.0), 0.0046),
    "izhikevich_2007": Input((0.46, -0.23), 0.1),
    "lif_cond_alpha": Input((0.046, 0.023), 1.0),
    "lif_cond_ampa_nmda_gaba": Input((0.002, 0.001, 0.002), 0.2),
    "lif_cond_exp": Input((0.01, 0.005), 1.0),
    "lif_cond_exp_sfa_rr": Input((0.01, 0.005), 1.0),
    "lif_curr_alpha": Input((2.2, -1.1), 1.0),
    "lif_curr_delta": Input((2.2, -1.1), 1.0),
    "lif_curr_exp": Input((1.0, -0.5), 1.0),
    "lif_escape_curr_exp": Input((4.6, -2.3), 0.46, {"rate_0": 0.0}),
    "mat2_curr_exp": Input((1.0, -0.5), 0.46),
}
"""Of the catalogue. `CHANCE` says what fires by chance, which here does not fire."""

CHANCE = {
    "gif_cond_exp": ("lambda0", "delta_v", "v_t_star"),
    "gif_curr_exp": ("lambda0", "delta_v", "v_t_star"),
    "lif_escape_curr_exp": ("rate_0", "delta_v", "v_thresh"),
}
"""The parameters of the chance: rate, softness, and where the rate is had."""


@dataclass(frozen=True)
class Response:
    """What neurons did.

    Attributes
    ----------
    spikes : list of array
        Of each neuron, in time steps.
    variables : dict of str to array, shape (steps, neurons)
        After each step, in the model's units.
    """

    spikes: list[NDArray[np.int64]]
    variables: dict[str, F64]


def trains(n: int, duration: float) -> list[F64]:
    """Times of spikes, one train for each of n receptors, ms."""
    rng = np.random.default_rng(SEED)
    size = round(duration / GRID)
    draws = [rng.random(size) for _ in range(n)]
    return [GRID * (np.flatnonzero(draw < RATE * GRID * 1e-3) + 1.0) for draw in draws]


def parameters(kind: Any, given: Input) -> dict[str, Any]:
    """Of the neurons: refractory times of different length, where the model has one."""
    timers = {
        name: [kind.default_parameters[name] if own is None else own for own in REFRACTORY]
        for name in TIMERS
        if name in kind.default_parameters
    }
    return timers | given.parameters


def on_backend(
    sim: Any, kind: Any, given: Input, duration: float, step: float, record: Sequence[str]
) -> Response:
    """Let a backend, of which the time step is set, simulate."""
    population = sim.Population(N, kind(**parameters(kind, given)))
    population.record(["spikes", *record])
    receptors = population.celltype.receptor_types
    for train, receptor, largest in zip(
        trains(len(receptors), duration), receptors, given.weights, strict=True
    ):
        source = sim.Population(1, sim.SpikeSourceArray(spike_times=train))
        synapses = [(0, i, largest * strength, DELAY) for i, strength in enumerate(STRENGTHS)]
        sim.Projection(
            source, population, sim.FromListConnector(synapses), sim.StaticSynapse(),
            receptor_type=receptor,
        )  # fmt: skip
    if given.current:
        times = [part * duration for part in STEPS]
        amplitudes = [given.current * part for part in AMPLITUDES]
        population.inject(sim.StepCurrentSource(times=times, amplitudes=amplitudes))
    sim.run(duration)
    segment = population.get_data().segments[0]
    return Response(
        [np.rint(np.asarray(t.magnitude) / step).astype(int) for t in segment.spiketrains],
        {s.name: np.asarray(s.magnitude)[1:] for s in segment.analogsignals},
    )


def in_reference(
    model: str | Path | Neuron, given: Input, duration: float, step: float, record: Sequence[str]
) -> Response:
    """The same by the reference."""
    kind = celltype.cell_type("Model", library.load(model))
    own = parameters(kind, given)
    currents = np.outer(wave(duration, step) * given.current, np.ones(N))
    return run_reference(kind, own, given.weights, STRENGTHS, currents, step, record)


def wave(duration: float, step: float) -> F64:
    """The current in each step, of 1 nA."""
    values = np.zeros(round(duration / step))
    for part, amplitude in zip(STEPS, AMPLITUDES, strict=True):
        values[round(part * values.size) :] = amplitude
    return values


def run_reference(
    kind: Any,
    own: dict[str, Any],
    weights: Sequence[float],
    strengths: Sequence[float],
    currents: F64,
    step: float,
    record: Sequence[str],
    part: float = PART,
) -> Response:
    """Neurons whose weights differ by a factor, with currents in nA, shape (steps, neurons)."""
    neuron = kind.neuron
    n_steps, n = currents.shape
    values = celltype.in_form(neuron, {**kind.default_parameters, **own})
    arrivals = {}
    for train, port, largest in zip(
        trains(len(neuron.ports), n_steps * step), neuron.ports, weights, strict=True
    ):
        steps = np.rint((train + DELAY) / step).astype(int) - 1
        weight = np.zeros((n_steps, n))
        weight[steps[steps < n_steps]] = largest * np.asarray(strengths)
        arrivals[port.name] = weight
    injected = {quantity.name: currents * 1e3 for quantity in neuron.currents}
    course = Reference(neuron, step, n, values, part=part).run(n_steps, arrivals, injected, record)
    units = {q.name: float(q.factor) for q in (*neuron.state, *neuron.inlines)}
    return Response(
        [np.flatnonzero(column) + 1 for column in course.spikes.T],
        {name: found / units[name] for name, found in course.variables.items()},
    )


# --- how strong the input has to be ---------------------------------------------------------------

LADDER = np.geomspace(1e-3, 1e5, 25)  # weights, and currents in pA, that are tried
WANTED = 20.0  # spikes in a second
TRIAL, ROUGH = 200.0, 0.0125  # ms; how long, and parts of a step


def fitted(model: str | Path | Neuron) -> Input:
    """Input with which the reference fires about `WANTED` spikes a second.

    Currents and weights are tried one by one, with both signs: a port of which the model does not
    say the sign may be of either.
    """
    kind = celltype.cell_type("Model", library.load(model))
    neuron = kind.neuron
    signs = [
        -1.0 if receptor == "inhibitory" and not kind.conductance_based else 1.0
        for receptor in kind.receptor_types
    ]
    weights = [sign * (1.0 if k == 0 else 0.5) for k, sign in enumerate(signs)]
    tried = np.concatenate([LADDER, -LADDER])
    strengths = np.concatenate([tried, np.zeros(tried.size)])
    if any(port.sign for port in neuron.ports) or kind.conductance_based:
        strengths = np.maximum(strengths, 0.0)
    currents = np.outer(
        np.ones(round(TRIAL / GRID)), np.concatenate([np.zeros(tried.size), 1e-3 * tried])
    )
    record = [celltype.state_names(neuron)[0]]
    with np.errstate(all="ignore"):
        found = run_reference(kind, {}, weights, strengths, currents, GRID, record, ROUGH)
    rates = np.array([train.size for train in found.spikes]) / (TRIAL * 1e-3)
    rates[~np.isfinite(found.variables[record[0]]).all(axis=0)] = 0.0
    by_weight, by_current = np.split(rates, 2)
    strength = strengths[_nearest(by_weight)] if by_weight.any() else 1.0
    current = 1e-3 * tried[_nearest(by_current)] if by_current.any() and neuron.currents else 0.0
    return Input(tuple(_rounded(strength * w) for w in weights), _rounded(current))


def _nearest(rates: F64) -> int:
    with np.errstate(divide="ignore"):
        return int(np.argmin(np.abs(np.log(rates / WANTED))))


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")

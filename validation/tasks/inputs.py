r"""Streams of spikes into a network: templates, jittered from trial to trial, and their synapses.

References
----------
.. [1] Haeusler S, Maass W (2007). A statistical analysis of information-processing properties of
   lamina-specific cortical microcircuit models. Cereb Cortex 17:149-162. doi:10.1093/cercor/bhj132
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import UnsupportedError
from portable_cortex.models.loader import Model

F64 = NDArray[np.float64]
Template = tuple[F64, NDArray[np.int64]]
"""Times within a segment, ms, and trains of the spikes of a template."""

TARGETS: tuple[Mapping[str, float], ...] = (
    {"L23E": 0.2, "L4E": 0.8, "L4I": 0.5, "L4PV": 0.5, "L5E": 0.1},
    {"L23E": 0.2},
)
"""Of each stream: populations, where a network has them, and probabilities of a synapse ([1]_)."""


@dataclass(frozen=True)
class Streams:
    """Input in segments; in each every stream has one of two templates (Haeusler & Maass 2007).

    Attributes
    ----------
    segments : int
        Of a trial.
    segment : float
        Length, ms.
    trains : int
        Of each stream.
    rate : float
        Of each train, spikes/s.
    jitter : float
        Standard deviation of the time of a spike from trial to trial, ms.
    potential : float
        Mean depolarisation by a stream, mV.
    """

    segments: int = 15
    segment: float = 30.0
    trains: int = 40
    rate: float = 20.0
    jitter: float = 1.0
    potential: float = 1.0

    @property
    def duration(self) -> float:
        """Of a trial, ms."""
        return self.segments * self.segment


def templates(streams: Streams, seed: int) -> list[list[tuple[Template, Template]]]:
    """Two templates for each segment of each stream, Poisson at the streams' rate.

    Examples
    --------
    >>> found = templates(Streams(segments=2), seed=1)
    >>> len(found), len(found[0]), len(found[0][0])
    (2, 2, 2)
    """
    rng = np.random.default_rng([seed, 0x7E])

    def one() -> Template:
        n = rng.poisson(streams.rate * 1e-3 * streams.segment, streams.trains)
        times = rng.uniform(0.0, streams.segment, n.sum())
        return times, np.repeat(np.arange(streams.trains), n)

    return [[(one(), one()) for _ in range(streams.segments)] for _ in TARGETS]


def of_trial(
    streams: Streams,
    known: Sequence[Sequence[tuple[Template, Template]]],
    choices: NDArray[np.int64],
    rng: np.random.Generator,
    start: float,
    step: float,
) -> list[list[F64]]:
    """Spike times of each train of each stream in a trial.

    Parameters
    ----------
    streams : Streams
    known : list
        As `templates` gives it.
    choices : array of 0 and 1, shape (streams, segments)
        Which template it is.
    rng : numpy.random.Generator
        Of the jitter, which leaves spikes in their segment.
    start, step : float
        When the first segment begins, and the time step, ms.

    Returns
    -------
    list of list of array
        On the time grid; a train has one spike in a step at most.
    """
    found = []
    for of_stream, chosen in zip(known, choices, strict=True):
        times, trains = [np.empty(0)], [np.empty(0, np.int64)]
        for number, (pair, choice) in enumerate(zip(of_stream, chosen, strict=True)):
            exact, places = pair[int(choice)]
            moved = exact + rng.normal(0.0, streams.jitter, exact.size)
            moved = np.clip(moved, 0.0, streams.segment - step)
            times.append(start + number * streams.segment + moved)
            trains.append(places)
        steps = np.maximum(np.rint(np.concatenate(times) / step), 1)
        place = np.concatenate(trains)
        found.append(
            [np.round(np.unique(steps[place == k]) * step, 9) for k in range(streams.trains)]
        )
    return found


def with_streams(model: Model, streams: Streams) -> Model:
    """A model with populations ``stream 1`` and ``stream 2`` that project to those it has.

    Raises
    ------
    UnsupportedError
        When it is built, for a network without any of the targets, and for neurons that have no
        exponential currents.
    """

    def build(sim: Any, **parameters: Any) -> dict[str, Any]:
        populations = dict(model.build(sim, **parameters))
        rng = sim.NumpyRNG(seed=int(parameters.get("seed", 1)))
        for number, targets in enumerate(TARGETS, start=1):
            here = {label: p for label, p in targets.items() if label in populations}
            if not here:
                raise UnsupportedError(
                    f"stream {number} goes to {', '.join(targets)}, and the network has "
                    f"{', '.join(populations)}: it has to have one of them"
                )
            label = f"stream {number}"
            source = sim.Population(streams.trains, sim.SpikeSourceArray(), label=label)
            for target, p in here.items():
                weight = strength(populations[target], streams, p)
                sim.Projection(
                    source,
                    populations[target],
                    sim.FixedProbabilityConnector(p, rng=rng),
                    sim.StaticSynapse(weight=weight, delay=1.5),
                    receptor_type="excitatory",
                    label=f"{label}→{target}",
                )
            populations[label] = source
        return populations

    return replace(model, build=build)


def strength(target: Any, streams: Streams, p: float) -> float:
    """Weight (nA) with which a stream depolarises the neurons of a population as it says."""
    needed = ("cm", "tau_m", "tau_syn_E")
    if type(target.celltype).__name__ != "IF_curr_exp":
        raise UnsupportedError(
            f"streams are for IF_curr_exp neurons, and those of {target.label} are "
            f"{type(target.celltype).__name__}"
        )
    cm, tau_m, tau_syn = (float(np.mean(target.get(name))) for name in needed)
    spikes = p * streams.trains * streams.rate * 1e-3  # of a neuron in a ms
    return streams.potential * cm / (tau_m * tau_syn * spikes)

"""Small networks with Poisson input, on the built-in engine: what libraries are made of.

``python -m portable_cortex.backends.coarse._simulated`` is a process that reads a trial a line and
writes its answer: the engine has one network at a time in a process, and the user's own stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from portable_cortex.experiment import simulator
from portable_cortex.neurons.storage import restored
from portable_cortex.registry import load_backend

WARMUP = 500.0  # ms, at least; and
PART = 1 / 8  # of the duration
DRIFT = 0.03  # relative change from the first half of the time to the second, and
SURE = 5.0  # standard errors of it, where neurons are not stationary


@dataclass(frozen=True)
class Kind:
    """A neuron, and the receptors at which it gets spikes.

    Attributes
    ----------
    celltype : str
        A standard cell type of PyNN; or a name for `form`.
    form : dict or None
        A model in NESTML, as `portable_cortex.neurons.storage` keeps it.
    parameters : dict of str to float
    receptors : tuple of str
    signs : tuple of int
        Of the weights at them.
    timestep : float
        ms.
    trains : tuple of (str, float, float)
        Poisson spikes that they always get: receptor, weight, and spikes/s.
    """

    celltype: str
    form: Mapping[str, Any] | None
    parameters: Mapping[str, float]
    receptors: tuple[str, ...]
    signs: tuple[int, ...]
    timestep: float
    trains: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Group:
    """Some neurons with the same input.

    Attributes
    ----------
    kind : int
        Of those of the trial.
    neurons : int
    rates : tuple of float or of list
        By receptor, spikes/s: of all neurons, or of each.
    weights : tuple of float
        By receptor: the magnitude of a weight.
    spreads : tuple of float
        By receptor: standard deviation of the rates over the neurons, spikes/s.
    """

    kind: int
    neurons: int
    rates: tuple[Any, ...]
    weights: tuple[float, ...]
    spreads: tuple[float, ...] = ()

    @classmethod
    def receiving(
        cls, kind: int, neurons: int, mean: Sequence[float], weight: Any, spread: Any
    ) -> Group:
        """Neurons that get these inputs: see `_inputs.Received`, of their receptors only."""
        each = [
            (m / w, w, s / w) if m > 0 and w > 0 else (0.0, 1.0, 0.0)
            for m, w, s in zip(mean, weight, spread, strict=True)
        ]
        # of no receptor, too
        rates, weights, spreads = map(tuple, np.reshape(np.array(each, float), (-1, 3)).T.tolist())
        return cls(kind, neurons, rates, weights, spreads)

    @classmethod
    def of_neurons(cls, kind: int, means: Any, weights: Any) -> Group:
        """Neurons, one by one: mean inputs, shape (neurons, receptors), and effective weights."""
        used = np.where(weights > 0, weights, 1.0)
        return cls(kind, len(means), tuple((means / used).T.tolist()), tuple(used.tolist()))


@dataclass(frozen=True)
class Link:
    """A projection from one group to another.

    Attributes
    ----------
    source, target : int
    receptor : str
    connector : str
        PyNN's class.
    arguments : dict
        Of it.
    weight, delay : float or dict
        A number, or a distribution's ``name`` and ``parameters``.
    arrives : float
        The share of spikes that do.
    """

    source: int
    target: int
    receptor: str
    connector: str
    arguments: Mapping[str, Any]
    weight: Any
    delay: Any
    arrives: float


@dataclass(frozen=True)
class Trial:
    """A network.

    Attributes
    ----------
    kinds : sequence of Kind
    groups : sequence of Group
    links : sequence of Link
    seed : int
    duration : float
        ms, after a warm-up.
    """

    kinds: Sequence[Kind]
    groups: Sequence[Group]
    links: Sequence[Link]
    seed: int
    duration: float

    def to_json(self) -> str:
        """In one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """What `to_json` wrote."""
        values = json.loads(line)
        return cls(
            [Kind(**kind) for kind in values["kinds"]],
            [Group(**group) for group in values["groups"]],
            [Link(**link) for link in values["links"]],
            values["seed"],
            values["duration"],
        )


Counts = list[int]
"""Spikes of a group in the first and the second half; and the sum over neurons of the product."""


def counts_of(trial: Trial) -> list[Counts]:
    """Spikes after the warm-up, by group."""
    builtin = load_backend("builtin")
    sim = simulator("builtin", options={"threads": "1"})
    sim.setup(timestep=trial.kinds[0].timestep, rng_seed=trial.seed)
    rng = np.random.default_rng(trial.seed)
    made = []
    for group in trial.groups:
        kind = trial.kinds[group.kind]
        population = sim.Population(group.neurons, _cells(sim, kind))
        spreads = group.spreads or (0.0,) * len(kind.receptors)
        inputs = zip(kind.receptors, kind.signs, group.rates, group.weights, spreads, strict=True)
        for receptor, sign, rate, weight, spread in inputs:
            if not np.any(rate):
                continue
            own: Any = rate if np.isscalar(rate) else np.array(rate)
            if spread:
                own = np.maximum(rng.normal(rate, spread, group.neurons), 0.0)
            _excite(sim, population, receptor, sign * weight, own, kind.timestep)
        for receptor, weight, rate in kind.trains:
            _excite(sim, population, receptor, weight, rate, kind.timestep)
        population.record("spikes")
        made.append(population)
    if trial.links:
        _part(sim, trial, made)
    for link in trial.links:
        sim.Projection(
            made[link.source],
            made[link.target],
            getattr(sim, link.connector)(**link.arguments),
            _synapse(sim, link),
            receptor_type=link.receptor,
        )
    warmup = max(WARMUP, PART * trial.duration)
    sim.run(warmup + trial.duration)
    counts = [_counted(builtin.spikes(p), p.size, warmup, trial.duration) for p in made]
    sim.end()
    return counts


def _excite(
    sim: Any, population: Any, receptor: str, weight: float, rate: Any, delay: float
) -> None:
    sources = sim.Population(population.size, sim.SpikeSourcePoisson(rate=rate))
    synapse = sim.StaticSynapse(weight=weight, delay=delay)
    sim.Projection(sources, population, sim.OneToOneConnector(), synapse, receptor_type=receptor)


def _cells(sim: Any, kind: Kind) -> Any:
    if kind.form is None:
        return getattr(sim, kind.celltype)(**kind.parameters)
    return sim.nestml_cell_type("Simulated", restored(dict(kind.form)))(**kind.parameters)


def _part(sim: Any, trial: Trial, made: Sequence[Any]) -> None:
    """Let neurons that are connected begin apart: together, they would fire together for long."""
    for group, population in zip(trial.groups, made, strict=True):
        values = trial.kinds[group.kind].parameters
        if {"v_reset", "v_thresh"} <= values.keys():
            between = sim.RandomDistribution(
                "uniform",
                low=values["v_reset"],
                high=values["v_thresh"],
                rng=sim.NumpyRNG(seed=trial.seed),
            )
            population.initialize(v=between)


def _synapse(sim: Any, link: Link) -> Any:
    given = {"weight": _drawn(sim, link.weight), "delay": _drawn(sim, link.delay)}
    if link.arrives == 1:
        return sim.StaticSynapse(**given)
    return sim.SimpleStochasticSynapse(**given, p=link.arrives)


def _drawn(sim: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return sim.RandomDistribution(value["name"], **value["parameters"])
    return value


def drift(counts: Sequence[Counts]) -> float:
    """Relative change of the number of spikes in time; 0 unless it is more than chance.

    Examples
    --------
    >>> drift([[10_000, 9_990, 0]]), drift([[10_000, 8_000, 0]])
    (0.0, -0.2222222222222222)
    """
    first, second, _ = np.array(counts).sum(axis=0).tolist()
    change = second - first
    mean = (first + second) / 2
    is_sure = abs(change) > max(DRIFT * mean, SURE * np.sqrt(2 * mean))
    return change / mean if is_sure else 0.0


def _counted(spikes: Any, n_neurons: int, warmup: float, duration: float) -> Counts:
    halves = []
    for k in range(2):
        begin = warmup + k * duration / 2
        own = (spikes.times > begin) & (spikes.times <= begin + duration / 2)
        halves.append(np.bincount(spikes.neurons[own], minlength=n_neurons))
    first, second = halves
    return [int(first.sum()), int(second.sum()), int(first @ second)]


def main() -> None:
    """Answer trials until there are no more."""
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"counts": counts_of(Trial.from_json(line))}
        except Exception as error:
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

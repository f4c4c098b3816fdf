"""Isolated neurons with Poisson input, on the built-in engine: what tables are made of.

``python -m portable_cortex.backends.coarse._isolated`` is a process that reads a trial a line and
writes its answer: the engine has one network at a time in a process, and the user's own stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from portable_cortex.experiment import simulator
from portable_cortex.neurons.storage import restored
from portable_cortex.registry import load_backend

WARMUP = 500.0  # ms


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
    """

    celltype: str
    form: Mapping[str, Any] | None
    parameters: Mapping[str, float]
    receptors: tuple[str, ...]
    signs: tuple[int, ...]
    timestep: float


@dataclass(frozen=True)
class Point:
    """Some neurons with the same input.

    Attributes
    ----------
    neurons : int
    rates, weights : tuple of float
        By receptor: spikes/s, and the magnitude of a weight.
    """

    neurons: int
    rates: tuple[float, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Trial:
    """Points that are simulated in one network.

    Attributes
    ----------
    kind : Kind
    points : sequence of Point
    seed : int
    duration : float
        ms, after a warm-up.
    """

    kind: Kind
    points: Sequence[Point]
    seed: int
    duration: float

    def to_json(self) -> str:
        """In one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """What `to_json` wrote."""
        values = json.loads(line)
        points = [Point(**point) for point in values["points"]]
        return cls(Kind(**values["kind"]), points, values["seed"], values["duration"])


def spikes_of(trial: Trial) -> list[int]:
    """Spikes after the warm-up, by point, of all its neurons together."""
    kind, builtin = trial.kind, load_backend("builtin")
    sim = simulator("builtin", options={"threads": "1"})
    sim.setup(timestep=kind.timestep, rng_seed=trial.seed)
    if kind.form is None:
        cells = getattr(sim, kind.celltype)(**kind.parameters)
    else:
        cells = sim.nestml_cell_type("Isolated", restored(dict(kind.form)))(**kind.parameters)
    made = []
    for point in trial.points:
        population = sim.Population(point.neurons, cells)
        inputs = zip(kind.receptors, kind.signs, point.rates, point.weights, strict=True)
        for receptor, sign, rate, weight in inputs:
            if rate == 0:
                continue
            sources = sim.Population(point.neurons, sim.SpikeSourcePoisson(rate=rate))
            synapse = sim.StaticSynapse(weight=sign * weight, delay=kind.timestep)
            sim.Projection(
                sources, population, sim.OneToOneConnector(), synapse, receptor_type=receptor
            )
        population.record("spikes")
        made.append(population)
    sim.run(WARMUP + trial.duration)
    counts = [int((builtin.spikes(population).times > WARMUP).sum()) for population in made]
    sim.end()
    return counts


def main() -> None:
    """Answer trials until there are no more."""
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"spikes": spikes_of(Trial.from_json(line))}
        except Exception as error:
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""The PyNN namespace of the ``mock`` backend: pyNN.mock with real synapses and seeded spikes.

Synapses are the core's `shared` draws; spikes are a function of the seed alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyNN.mock
from pyNN import common
from pyNN.mock.recording import Recorder as _PynnRecorder
from pyNN.space import Space

from portable_cortex.pynn.draws import Edges, draw_edges
from portable_cortex.pynn.weights import in_format
from portable_cortex.recording import Spikes
from portable_cortex.registry import load_backend
from portable_cortex.support import check_weight_format

RATE = 5.0  # spikes/s of every neuron
BLOCK = 1000  # time steps that are drawn together
_state = pyNN.mock.simulator.state
default_weights = "full"
_seed, _weight_format = 1, "full"
_trial = 1
_created = 0  # populations and projections since setup(): the key of their random numbers


def __getattr__(name: str) -> Any:
    return getattr(pyNN.mock, name)


def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
    """Start a new network; see PyNN's ``setup``. ``rng_seed`` seeds connections and spikes."""
    global _seed, _weight_format, _created, _trial
    check_weight_format(load_backend("mock"), extra.get("weights", "full"))
    _seed, _created, _trial = extra.pop("rng_seed", 1), 0, 1
    _weight_format = extra.pop("weights", default_weights)
    if min_delay == "auto":
        min_delay = timestep
    rank: int = pyNN.mock.setup(timestep, min_delay, **extra)
    return rank


def begin_trial(number: int) -> None:
    """Back to time 0, with the spikes of a trial."""
    global _trial
    _trial = number
    _state.reset()


def _next_key() -> int:
    global _created
    _created += 1
    return _created


def made_up_spikes(population: Any) -> Spikes:
    """Poisson spikes on the time grid until now, by seed, trial, population and time."""
    n_steps = round(_state.t / _state.dt)
    keys = [np.empty(0, dtype=np.int64)]
    for number, start in enumerate(range(0, n_steps, BLOCK)):  # what was, stays when time goes on
        key = [_seed, (int(population.first_id) << 32) + number + ((_trial - 1) << 16)]
        rng = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
        n = rng.poisson(RATE * population.size * BLOCK * _state.dt * 1e-3)
        steps = start + 1 + rng.integers(0, BLOCK, n)
        keys.append(steps * population.size + rng.integers(0, population.size, n))
    steps, neurons = np.divmod(np.unique(np.concatenate(keys)), population.size)
    past = steps <= n_steps
    return Spikes(np.round(steps[past] * _state.dt, 9), neurons[past])


class _Recorder(_PynnRecorder):  # type: ignore[misc]  # PyNN is untyped
    """Made-up spikes; signals that stay where they started."""

    def _get_spiketimes(self, ids: Any, clear: bool = False) -> Any:
        times, neurons = made_up_spikes(self.population)
        cells = neurons + int(self.population.first_id)
        recorded = np.isin(cells, np.array(ids, dtype=np.int64))
        return cells[recorded], times[recorded]

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        steps = round(_state.t / self.sampling_interval) + 1
        start = self.population.initial_values[variable.name]
        start.shape = (self.population.size,)
        index = [self.population.id_to_index(cell) for cell in ids]
        return np.tile(np.asarray(start.evaluate(), dtype=float)[index], (steps, 1)), None


class Population(pyNN.mock.Population):  # type: ignore[misc]
    __doc__ = pyNN.mock.Population.__doc__
    _recorder_class = _Recorder


class Projection(pyNN.mock.Projection):  # type: ignore[misc]
    __doc__ = pyNN.mock.Projection.__doc__

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        common.Projection.__init__(
            self,
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse_type or pyNN.mock.StaticSynapse(),
            source,
            receptor_type,
            space or Space(),
            label,
        )
        edges = draw_edges(
            connector,
            self.synapse_type,
            self.pre,
            self.post,
            seed=_seed,
            item=_next_key(),
            timestep=_state.dt,
        )
        self._edges: Edges = edges._replace(weights=in_format(edges.weights, _weight_format))

    def __len__(self) -> int:
        return int(self._edges.sources.size)

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        columns = {
            "presynaptic_index": self._edges.sources,
            "postsynaptic_index": self._edges.targets,
            "weight": self._edges.weights,
            "delay": self._edges.delays,
        }
        return list(zip(*(columns[name.lower()].tolist() for name in names), strict=True))

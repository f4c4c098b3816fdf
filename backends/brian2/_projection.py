"""Projections: the synapses are drawn at once, as arrays, and kept until the network is lowered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portable_cortex.errors import UnsupportedError
from portable_cortex.neurons.celltype import NeuronType
from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.plastic_arrays import PlasticArrays
from portable_cortex.pynn.plasticity import plastic_types
from portable_cortex.pynn.values import is_random, members
from portable_cortex.support import refusal

from . import _simulator
from ._cells import StaticSynapse

state = _simulator.state
PLASTIC = plastic_types(state)


class Projection(PlasticArrays, floor.Projection):
    """A projection as arrays of 12 bytes a synapse, 16 where weights are listed.

    Attributes
    ----------
    sources, targets, delay_steps : arrays of int32
    weights : array of float32 or float64
        float32 where they are drawn. Of plastic synapses those that were stated, float64.
    """

    _simulator = _simulator
    _static_synapse_class = StaticSynapse
    _format: Any = np.float64

    def make(self, connector: Any) -> None:
        """Draw the synapses and store them."""
        listed = "weight" in getattr(connector, "column_names", ())
        drawn = is_random(self.synapse_type.parameter_space["weight"]) and not listed
        self._format = np.float32 if drawn else np.float64
        super().make(connector)
        self._format = np.float64

    def store(self, edges: Edges) -> None:
        """Keep the synapses in as few bytes as hold them."""
        steps = np.rint(edges.delays / state.dt).astype(np.int32)
        if not self.is_static:
            self._check_late(steps)
        self.sources = edges.sources.astype(np.int32)
        self.targets = edges.targets.astype(np.int32)
        self.weights = edges.weights.astype(self._format)
        self.delay_steps = steps

    def stored(self) -> Edges:
        """All synapses, by source."""
        delays = np.round(self.delay_steps * state.dt, 9)
        pairs = self.sources.astype(np.int64), self.targets.astype(np.int64)
        return Edges(*pairs, self.weights.astype(float), delays)

    def columns(self, names: list[str]) -> floor.Columns:
        """Only those that are asked for are made."""
        if not self.is_static:
            return super().columns(names)
        state.check_alive(self.pre, self.post)
        columns: dict[str, Callable[[], Any]] = {
            "presynaptic_index": lambda: self.sources,
            "postsynaptic_index": lambda: self.targets,
            "weight": lambda: self.weights.astype(float),
            "delay": lambda: np.round(self.delay_steps * state.dt, 9),
        }
        return {name: columns[name]() for name in names}

    def __len__(self) -> int:
        return int(self.sources.size)

    def smallest_delay(self) -> float | None:
        """Of all synapses, ms."""
        return round(int(self.delay_steps.min()) * state.dt, 9) if len(self) else None

    # --- plastic synapses -------------------------------------------------------------------------

    def make_plastic(self, connector: Any) -> None:
        """See `PlasticArrays`."""
        if state.options.mode == "cuda_standalone":
            raise refusal(
                "brian2",
                "STDPMechanism: in mode cuda_standalone",
                f"make {type(self.synapse_type).__name__} in mode cuda_standalone",
                "Take mode cpp_standalone",
            )
        super().make_plastic(connector)

    def _check_late(self, steps: Any) -> None:
        """Look whether spikes of targets are known when those of sources arrive."""
        late = [p for p, _ in members(self.post) if isinstance(p.celltype, NeuronType)]
        if not self.has_pairs or not late or not steps.size:
            return
        from ._plastic import returns  # Brian2 itself

        back, _ = returns(self.parameters["dendritic_delay_fraction"], steps, state.dt)
        if back.min() < 1:
            raise refusal(
                "brian2",
                "STDPMechanism: no delay in the dendrite",
                f"have an STDPMechanism onto {type(late[0].celltype).__name__} with nothing of "
                f"the delay in the dendrite (projection {self.label})",
                "Give the dendrite a part of the delay (dendritic_delay_fraction)",
            )

    def present_weights(self) -> Any:
        """See `PlasticArrays`."""
        stated = np.array(self.weights, float)
        return state.learned(self, stated) if self.has_pairs else stated

    def write_plastic(self, changed: floor.Columns) -> None:
        """See `PlasticArrays`; there is no network that runs."""
        edges, before = self.stored(), self.parameters
        weights, delays = changed.get("weight", edges.weights), changed.get("delay", edges.delays)
        self.parameters = {n: changed.get(n, value) for n, value in before.items()}
        try:
            self.store(Edges(edges.sources, edges.targets, weights, delays))
        except UnsupportedError:
            self.parameters = before
            raise
        if "weight" in changed:
            state.learn(self, np.array(weights, float))

"""Projections: the synapses are drawn at once, as arrays, and kept until the network is lowered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.values import is_random

from . import _simulator
from ._cells import StaticSynapse

state = _simulator.state


class Projection(floor.Projection):
    """A projection as arrays of 12 bytes a synapse, 16 where weights are listed.

    Attributes
    ----------
    sources, targets, delay_steps : arrays of int32
    weights : array of float32 or float64
        float32 where they are drawn.
    """

    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    def make(self, connector: Any) -> None:
        """Draw the synapses and store them."""
        listed = "weight" in getattr(connector, "column_names", ())
        drawn = is_random(self.synapse_type.parameter_space["weight"]) and not listed
        self._format = np.float32 if drawn else np.float64
        super().make(connector)
        self._format = np.float64

    def store(self, edges: Edges) -> None:
        """Keep the synapses in as few bytes as hold them."""
        self.sources = edges.sources.astype(np.int32)
        self.targets = edges.targets.astype(np.int32)
        self.weights = edges.weights.astype(self._format)
        self.delay_steps = np.rint(edges.delays / state.dt).astype(np.int32)

    def stored(self) -> Edges:
        """All synapses, by source."""
        delays = np.round(self.delay_steps * state.dt, 9)
        pairs = self.sources.astype(np.int64), self.targets.astype(np.int64)
        return Edges(*pairs, self.weights.astype(float), delays)

    def columns(self, names: list[str]) -> floor.Columns:
        """Only those that are asked for are made."""
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

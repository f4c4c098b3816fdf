"""Projections: a recipe or arrays of synapses, never an object for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import common

from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.drive import is_one_to_one, is_sole, is_whole
from portable_cortex.pynn.synapses import required_sign, static_synapse
from portable_cortex.pynn.values import is_number, members

from . import _simulator
from ._edges import Drawn, Listed, drawn

StaticSynapse = static_synapse(_simulator.state)
UNLIKELY = 1e-6  # weights of the wrong sign: so few that none will ever be seen


class Projection(floor.Projection):
    __doc__ = common.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    edges: Drawn | Listed

    def make(self, connector: Any) -> None:
        """By compiled code, or by the core."""
        first_type = members(self.post)[0][0].celltype.receptor_types
        self.receptor = list(first_type).index(self.receptor_type)
        state, parameters = _simulator.state, self.synapse_type.parameter_space
        recipe = drawn(
            connector,
            parameters,
            self.pre,
            self.post,
            **self.key,
            timestep=state.dt,
            workers=state.threads,
            rounded=state.shared_seed is not None,
            weight_format=state.weight_format,
        )
        if recipe is None or not self._is_right(recipe):
            super().make(connector)  # and refused, where something is wrong
        else:
            self.edges = recipe

    def _is_right(self, recipe: Drawn) -> bool:
        """Whether nothing that may be drawn is to be refused."""
        sign = required_sign(self)
        if recipe.shortest < 1 or (sign and recipe.expected_of_sign(-sign) > UNLIKELY):
            return False
        delays = recipe.possible_steps() * _simulator.state.dt
        _simulator.state.check_delays(delays.min(), delays.max())
        return True

    def store(self, edges: Edges) -> None:
        """Keep them by source."""
        self.edges = Listed.of(self.pre.size, *edges, _simulator.state.dt)

    def stored(self) -> Edges:
        """All synapses."""
        return self.edges.edges(_simulator.state.dt)

    def __len__(self) -> int:
        return self.edges.size

    def smallest_delay(self) -> float | None:
        """Of the delays that may occur, ms."""
        if not self.edges.size:
            return None
        return round(int(self.edges.possible_steps().min()) * _simulator.state.dt, 9)

    # --- background input -------------------------------------------------------------------------

    @property
    def is_background(self) -> bool:
        """Whether this is all that a population of equal Poisson sources does."""
        pre, post, edges = self.pre, self.post, self.edges
        return (
            is_one_to_one(self._connector, pre, post)
            and is_whole(post)
            and is_sole(self, _simulator.state.projections)
            and all(is_number(p) for _, p in self.synapse_type.parameter_space.items())
            and all(np.ptp(pre.parameters[n]) == 0 for n in ("rate", "start", "duration"))
            and isinstance(edges, Listed)
            and np.ptp(edges.weights) == 0
            and np.ptp(edges.steps) == 0
        )

    def constant_values(self) -> tuple[float, int]:
        """Weight, and delay in steps, of a background projection."""
        assert isinstance(self.edges, Listed)
        return float(self.edges.weights[0]), int(self.edges.steps[0])

"""Projections: a recipe or arrays of synapses, never an object for each of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from pyNN import common

from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.draws import Edges
from portable_cortex.pynn.drive import is_one_to_one, is_sole, is_whole
from portable_cortex.pynn.plastic_arrays import PlasticArrays
from portable_cortex.pynn.plasticity import plastic_types
from portable_cortex.pynn.synapses import required_sign, static_synapse
from portable_cortex.pynn.values import is_number, members
from portable_cortex.support import refusal

from . import _simulator
from ._edges import Drawn, Listed, drawn
from ._plastic import FORGOTTEN, LONGEST_SILENCE
from ._plastic_kernel import PAIRS, SHORT_TERM, STOCHASTIC

StaticSynapse = static_synapse(_simulator.state)
PLASTIC = plastic_types(_simulator.state)
UNLIKELY = 1e-6  # weights of the wrong sign: so few that none will ever be seen


class Projection(PlasticArrays, floor.Projection):
    __doc__ = common.Projection.__doc__
    _simulator = _simulator
    _static_synapse_class = StaticSynapse

    edges: Drawn | Listed

    @cached_property
    def receptor(self) -> int:
        """Number of the targets' receptor."""
        first_type = members(self.post)[0][0].celltype.receptor_types
        return list(first_type).index(self.receptor_type)

    def make(self, connector: Any) -> None:
        """By compiled code, or by the core."""
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

    # --- plastic synapses -------------------------------------------------------------------------

    def make_plastic(self, connector: Any) -> None:
        """See `PlasticArrays`."""
        state = _simulator.state
        if state.device != "cpu":
            raise refusal(
                "builtin",
                "STDPMechanism: on a GPU",
                f"make {type(self.synapse_type).__name__} on a GPU",
                "Use device=cpu",
            )
        if state.step > 0:
            raise refusal(
                "builtin",
                "STDPMechanism: projections between runs",
                f"make plastic synapses (projection {self.label}) at {state.t:g} ms",
                "Make them before the first run, or after reset()",
            )
        super().make_plastic(connector)
        if self.has_pairs:
            self._check_taus()
            self._check_late()

    @property
    def rule_kind(self) -> int:
        """What the engine does with spikes."""
        if self.has_pairs:
            return PAIRS
        return SHORT_TERM if self.is_short_term else STOCHASTIC

    def _check_taus(self) -> None:
        """Look whether spikes can be remembered for as long as their pairs count."""
        longest = LONGEST_SILENCE / FORGOTTEN * _simulator.state.dt
        for name in ("tau_plus", "tau_minus"):
            largest = np.max(self.parameters[name], initial=0.0)
            if largest > longest:
                raise refusal(
                    "builtin",
                    "STDPMechanism: long time constants",
                    f"have {name}={largest:g} ms in projection {self.label}, only up to "
                    f"{longest:g} ms",
                    "Use a longer time step, or another backend",
                )

    def _check_late(self) -> None:
        """Look whether spikes of targets are known when those of sources arrive."""
        late = [p for p, _ in members(self.post) if not p.celltype.model.inputs]
        if not late or not len(self):
            return
        fractions = np.asarray(self.parameters["dendritic_delay_fraction"])
        assert isinstance(self.edges, Listed)
        if np.any(2.0 * fractions * self.edges.steps < 1.0 - 1e-6):
            raise refusal(
                "builtin",
                "STDPMechanism: dendritic delays below half a step",
                f"have an STDPMechanism onto {type(late[0].celltype).__name__} with less than half "
                "a step of the delay in the dendrite",
                "Give the dendrite a larger part of the delay (dendritic_delay_fraction)",
            )

    def present_weights(self) -> Any:
        """See `PlasticArrays`."""
        state = _simulator.state
        if state.plastic is None or not len(self):
            return np.array(self.stored().weights)
        return state.plastic.weights(state.plastic_projections.index(self))

    def write_plastic(self, changed: floor.Columns) -> None:
        """See `PlasticArrays`."""
        state, edges = _simulator.state, self.stored()
        if state.step > 0 and set(changed) != {"weight"}:
            raise refusal(
                "builtin",
                "STDPMechanism: parameters between runs",
                f"set {', '.join(sorted(set(changed) - {'weight'}))} of projection {self.label} at "
                f"{state.t:g} ms",
                "Set it before the first run, or after reset()",
            )
        if state.plastic is not None and len(self):
            state.take_off(f"weights of projection {self.label}")
            number = state.plastic_projections.index(self)
            state.plastic.write(number, np.broadcast_to(changed["weight"], len(self)))
        weights, delays = changed.get("weight", edges.weights), changed.get("delay", edges.delays)
        self.store(Edges(edges.sources, edges.targets, weights, delays))
        self.parameters = {n: changed.get(n, value) for n, value in self.parameters.items()}

    # --- background input -------------------------------------------------------------------------

    @property
    def is_background(self) -> bool:
        """Whether this is all that a population of equal Poisson sources does."""
        pre, post, edges = self.pre, self.post, self.edges
        return (
            self.is_static
            and is_one_to_one(self._connector, pre, post)
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

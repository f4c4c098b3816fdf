"""Plastic synapses as arrays, for backends that have none of PyNN's own making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN.standardmodels import synapses

from ..errors import InvalidValueError
from ..support import refusal
from .draws import Edges
from .plasticity import check_bounds, check_fraction, check_parameters, exponents
from .projection import ADDRESS, Columns
from .values import members

TIME_CONSTANTS = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}
EDGE = {"weight": "weights", "delay": "delays"}


class PlasticArrays:
    """Mix it into a backend's `Projection`, before the floor's.

    The backend keeps the edges (`store`, `stored`), with the weights that were stated; it has the
    weights as they are now (`present_weights`), and takes others (`write_plastic`).

    Attributes
    ----------
    parameters : dict of str to float or array
        What the synapses have beside weight and delay, exponents included: a number for all, or one
        for each in the order of `stored`.
    """

    keeps_plastic = True
    parameters: Mapping[str, Any]

    is_static: bool  # the floor's, as all that follow
    synapse_type: Any
    receptor_type: Any
    label: Any
    post: Any
    _simulator: Any
    _static_synapse_class: Any

    def can_have(self, synapse_type: Any) -> bool:
        """Static ones, Tsodyks and Markram's, stochastic ones, and those with pair rules."""
        plastic = (
            synapses.TsodyksMarkramSynapse,
            synapses.SimpleStochasticSynapse,
            synapses.STDPMechanism,
        )
        translations = getattr(synapse_type, "translations", {})
        is_own = bool(translations) and all(
            t["translated_name"] == name for name, t in translations.items()
        )
        return isinstance(synapse_type, self._static_synapse_class) or (
            isinstance(synapse_type, plastic) and is_own
        )

    @property
    def is_short_term(self) -> bool:
        """Whether the synapses are Tsodyks and Markram's."""
        return isinstance(self.synapse_type, synapses.TsodyksMarkramSynapse)

    @property
    def has_pairs(self) -> bool:
        """Whether weights change through pairs of spikes."""
        return isinstance(self.synapse_type, synapses.STDPMechanism)

    def make_plastic(self: Any, connector: Any) -> None:
        """Draw the synapses and what they have, and store them.

        Raises
        ------
        UnsupportedError
            For Tsodyks and Markram's synapses onto cells without a synaptic time constant.
        InvalidValueError, pyNN.errors.ConnectionError
            For parameters and weights that cannot be.
        """
        if self.is_short_term:
            self.time_constants(np.empty(0, np.int64))
        edges, parameters = self.draw_plastic(connector)
        self.parameters = self._with_exponents(parameters)
        self._check(edges.weights, self.parameters)
        self.store(self.checked(edges))

    def _with_exponents(self: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        if not self.has_pairs:
            return parameters
        return {
            **exponents(self.synapse_type),
            **parameters,  # of Guetig's, drawn
        }

    def _check(self: Any, weights: Any, parameters: Mapping[str, Any]) -> None:
        check_parameters(type(self.synapse_type).__name__, self.label, parameters)
        check_bounds(self.label, weights, parameters)
        fractions = np.unique(parameters.get("dendritic_delay_fraction", 1.0))
        if fractions.size > 1:
            raise InvalidValueError(
                f"all synapses of projection {self.label} have one dendritic_delay_fraction, not "
                f"{fractions[0]:g} and {fractions[1]:g}"
            )
        check_fraction(float(fractions[0]))

    def time_constants(self: Any, targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """That of the synaptic current of each of some targets, ms."""
        name = TIME_CONSTANTS.get(self.receptor_type)
        of_post = []
        for part, index in members(self.post):
            if name not in part.celltype.default_parameters:
                raise refusal(
                    self._simulator.state.backend,
                    "TsodyksMarkramSynapse: onto cells without tau_syn_E and tau_syn_I",
                    f"have a TsodyksMarkramSynapse onto {type(part.celltype).__name__}",
                    "Use a StaticSynapse, or another cell type",
                )
            of_post.append(np.broadcast_to(part.parameters[name], part.size)[index])
        return np.asarray(np.concatenate(of_post)[targets], float)

    # --- reading and changing ---------------------------------------------------------------------

    def present_weights(self) -> NDArray[np.float64]:
        """Weights as they are now, nA or uS, in the order of `stored`."""
        raise NotImplementedError

    def write_plastic(self, changed: Columns) -> None:
        """Give synapses other weights, delays or parameters, in the order of `stored`."""
        raise NotImplementedError

    def plastic_columns(self: Any, names: list[str]) -> Columns:
        """See the floor."""
        edges = self.stored()
        known = dict(zip((*ADDRESS, *EDGE), edges, strict=True))
        found = {}
        for name in names:
            if name == "weight":
                found[name] = self.present_weights()
            elif name in known:
                found[name] = known[name]
            else:
                found[name] = np.array(np.broadcast_to(self.parameters[name], edges.sources.size))
        return found

    def _replace(self: Any, edges: Edges, changed: Columns) -> None:
        if self.is_static:
            super()._replace(edges, changed)  # type: ignore[misc]
            return
        changed = self.checked_values(changed)
        parameters = {**self.parameters, **{n: v for n, v in changed.items() if n not in EDGE}}
        self._check(changed.get("weight", edges.weights), parameters)
        self._simulator.state.touch("synapses", structure=True)
        self.write_plastic(changed)

"""Projections: the delays and signs of the other simulators, and synapses that can be read.

A neuron that crosses its threshold in a step sends its spike within that step, and a delay of d
steps brings it into the step d later; on NEST's grid the spike leaves at the end of its step. So a
delay between neurons is one step longer on the machine. Spike sources send at the beginning of
their step, as in NEST, and their delays stay.

The board's generators cut delays off to whole steps where PyNN's simulators round them to the
nearest (0.3 ms becomes 0.2 ms at steps of 0.1 ms, the mean of random delays is half a step short).
Half a step more makes up for it.

The board has no signs of weights and no delay of less than a step: it takes the amount of the one
and makes the other longer. So what is drawn on the board is what cannot be wrong there; the core
draws the rest, looks at it, and gives the board a list.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from pyNN import errors
from pyNN.parameters import LazyArray
from pyNN.space import Space
from spynnaker.pyNN import IF_curr_delta
from spynnaker.pyNN.models.neuron import PopulationVertex

from portable_cortex.errors import UnsupportedError
from portable_cortex.pynn import projection as floor
from portable_cortex.pynn.bounds import TOLERATED, expected_outside
from portable_cortex.pynn.draws import (
    TARGET,
    Edges,
    Stream,
    draw_edges,
    item_of_projection,
    itself,
)
from portable_cortex.pynn.grid import delay_steps
from portable_cortex.pynn.lists import listed_synapses
from portable_cortex.pynn.plasticity import check_bounds
from portable_cortex.pynn.projection import ADDRESS
from portable_cortex.pynn.synapses import (
    check_columns,
    check_signs,
    default_receptor,
    required_sign,
)
from portable_cortex.pynn.values import distances, is_number, is_random, number
from portable_cortex.registry import load_backend
from portable_cortex.support import missing_type, refusal

from ._connectors import (
    SHIFTED,
    ArrayConnector,
    DistanceDependentProbabilityConnector,
    IndexBasedProbabilityConnector,
    StaticSynapse,
    STDPMechanism,
    n_synapses,
    table_of,
)
from ._population import indices
from ._state import state

ON_BOARD = (
    "AllToAllConnector",
    "OneToOneConnector",
    "FixedProbabilityConnector",
    "FixedNumberPreConnector",
    "FixedNumberPostConnector",
    "FixedTotalNumberConnector",
)
"""Connectors whose synapses the board draws as PyNN's do."""

PLASTIC = (
    "on spinnaker the time from a spike of a {} to one of the target is a step {} than elsewhere, "
    "and weights change by whole multiples of what the machine can hold"
)


@dataclass
class Asked:
    """What a projection is to be, before there is one."""

    pre: Any
    post: Any
    connector: Any
    synapse_type: Any
    space: Any
    label: str
    receptor_type: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of sources and targets."""
        return self.pre.size, self.post.size

    @property
    def later(self) -> float:
        """What delays are longer by on the board, ms."""
        step: float = state.dt
        later = step if isinstance(self.pre._vertex, PopulationVertex) else 0.0
        # what moves the potential at once does so at the end of the step that it arrives in
        return later - step if isinstance(self.post.celltype._model, IF_curr_delta) else later

    @property
    def shortest(self) -> float:
        """The shortest delay that the board can give, ms."""
        return max(float(state.least_delay), state.dt - self.later)

    def is_drawn_on_board(self) -> bool:
        """Whether the board's generators give what was asked for, in all synapses.

        Raises
        ------
        pyNN.errors.ConnectionError
            For a weight or delay of all synapses that cannot be.
        """
        connector, kind = self.connector, type(self.connector).__name__
        parts = indices(self.pre), indices(self.post)
        if kind not in ON_BOARD or any(np.any(np.diff(part) != 1) for part in parts):
            return False
        if not isinstance(self.synapse_type, StaticSynapse):
            return False  # it rounds no delays of others
        if not getattr(connector, "allow_self_connections", True) and (
            self.pre is not self.post or hasattr(self.pre, "grandparent")
        ):
            return False  # it takes no notice of views
        if not getattr(connector, "with_replacement", True):
            return False  # it makes fewer where there are not as many
        n = n_synapses(connector, self.pre, self.post)
        n = self.shape[0] * self.shape[1] if n is None else n
        is_safe = {name: self._is_safe(name, n) for name in ("weight", "delay")}  # look at both
        return all(is_safe.values())

    def _is_safe(self, name: str, n: int) -> bool:
        value = self.synapse_type.parameter_space[name]
        if is_number(value):
            self.check(name, np.array([number(value)]))
            return True
        if not is_random(value) or value.operations or value.base_value.name not in SHIFTED:
            return False
        low, high = self.shortest - 0.5 * state.dt, state.max_delay + 0.5 * state.dt
        if name == "weight":
            sign = required_sign(self)
            low, high = (0.0 if sign > 0 else -np.inf), (0.0 if sign < 0 else np.inf)
        return expected_outside(value.base_value, n, low, high) < TOLERATED

    def check(self, name: str, values: Any) -> None:
        """Raise PyNN's ``ConnectionError`` for weights or delays that cannot be."""
        if not np.size(values):
            return
        if name == "weight":
            check_signs(values, self)
        else:
            steps = delay_steps(values, state.dt) * state.dt
            state.check_delays(float(np.min(steps)), float(np.max(steps)))
            if np.min(steps) < self.shortest - 0.5 * state.dt:
                raise refusal(
                    "spinnaker",
                    "IF_curr_delta: delays of a step",
                    f"bring spikes of {self.pre.label} to {self.post.label} after "
                    f"{float(np.min(steps)):g} ms",
                    f"Use delays of {self.shortest:g} ms or more",
                )

    def drawn(self, number_: int) -> Edges:
        """The synapses, drawn by the core, and looked at.

        Raises
        ------
        UnsupportedError
            For a connector that the core cannot draw.
        """
        if hasattr(self.connector, "conn_list") or hasattr(self.connector, "file"):
            check_columns(listed_synapses(self.connector)[1], self.synapse_type)
        edges = draw_edges(
            _decided(self, number_), self.synapse_type, self.pre, self.post,
            seed=state.seed, item=item_of_projection(number_), timestep=state.dt,
            space=self.space, rounded=False,
        )  # fmt: skip
        self.check("weight", edges.weights)
        self.check("delay", edges.delays)
        if isinstance(self.synapse_type, STDPMechanism):
            check_bounds(self.label, edges.weights, self.synapse_type.bounds)
        return edges


def _decided(asked: Asked, number_: int) -> Any:
    """The connector; in place of probabilities for each pair, which of them there are."""
    connector, shape = asked.connector, asked.shape
    if isinstance(connector, DistanceDependentProbabilityConnector):
        p = connector.distance_function(distances(asked))
    elif isinstance(connector, IndexBasedProbabilityConnector):
        expression = copy(connector.index_expression)
        expression.projection = asked
        p = LazyArray(expression, shape=shape)
    else:
        return connector
    stream = Stream(state.seed, item_of_projection(number_), TARGET)
    p = np.broadcast_to(p.evaluate() if isinstance(p, LazyArray) else p, shape)
    mask = stream.uniform(shape[0] * shape[1]).reshape(shape) < p
    same = itself(connector, asked.pre, asked.post)
    if same is not None:
        sources = np.flatnonzero(same >= 0)
        mask[sources, same[sources]] = False
    return ArrayConnector(mask)


class Projection(floor.Readable, spynnaker.SpiNNakerProjection):  # type: ignore[misc]  # untyped
    __doc__ = spynnaker.SpiNNakerProjection.__doc__

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: str | None = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        pre, post = presynaptic_population, postsynaptic_population
        synapse = synapse_type or StaticSynapse()
        if not isinstance(synapse, StaticSynapse | STDPMechanism):
            kind = type(synapse).__name__
            raise UnsupportedError(missing_type(load_backend("spinnaker"), "synapse type", kind))
        state.check_alive(pre, post)
        state.changes("parameters-between-runs: projections")
        if not isinstance(post._vertex, PopulationVertex):
            raise errors.ConnectionError("a spike source cannot be the target of a projection")
        self.connector, self.synapse_type = connector, synapse
        self._between = pre, post
        self.shape = pre.size, post.size
        self._places = indices(pre), indices(post)  # of views; sPyNNaker counts in populations
        name = label or f"projection {pre.label}→{post.label}"
        asked = Asked(pre, post, connector, synapse, space or Space(), name)
        asked.receptor_type = receptor_type or default_receptor(asked)
        if asked.receptor_type not in post.receptor_types:
            raise errors.ConnectionError(
                f"{name}: {post.label} has no receptor {asked.receptor_type!r}: it has "
                f"{', '.join(post.receptor_types)}"
            )
        number_ = len(state.projections)
        step = state.dt
        self._later = asked.later
        self._size: int | None = None
        if isinstance(synapse, STDPMechanism):
            words = ("neuron", "longer") if asked.later > 0 else ("source", "shorter")
            state.differs(f"STDPMechanism: {PLASTIC.format(*words)}")
        if asked.is_drawn_on_board():
            synapse = synapse.delayed(self._later + 0.5 * step)
        else:
            try:
                edges = asked.drawn(number_)
            except UnsupportedError:
                synapse = self._left_to_spynnaker(asked)
            else:
                connector = table_of(edges, self._later, *self._places)
                self._size = edges.sources.size
                pre, post = (getattr(cells, "grandparent", cells) for cells in (pre, post))
        super().__init__(pre, post, connector, synapse, source, asked.receptor_type, space, label)
        state.projections.append(self)

    def _left_to_spynnaker(self, asked: Asked) -> Any:
        """The synapse type for a connector of sPyNNaker's own, whose synapses nobody looks at.

        Raises
        ------
        UnsupportedError
            For weights and delays that may be wrong.
        """
        n = self.shape[0] * self.shape[1]
        is_known = asked._is_safe("weight", n) and asked._is_safe("delay", n)
        if not is_known or not isinstance(asked.synapse_type, StaticSynapse):
            kind = type(asked.connector).__name__
            raise UnsupportedError(
                f"{asked.label}: {kind} is sPyNNaker's own here, with static synapses whose "
                "weights and delays are numbers or bounded distributions; for others draw the "
                "synapses yourself, and give a FromListConnector"
            )
        return asked.synapse_type.delayed(self._later)

    @property
    def pre(self) -> Any:
        """The population or view that the synapses come from."""
        return self._between[0]

    @property
    def post(self) -> Any:
        """The population or view that they go to."""
        return self._between[1]

    @property
    def receptor_type(self) -> str:
        """Which of the target's receptors the synapses act on."""
        return str(self._synapse_information.receptor_type)

    def size(self, gather: bool = True) -> int:
        """Number of synapses; where chance decides, those that the machine has drawn."""
        if self._size is None:
            self._size = n_synapses(self.connector, self.pre, self.post)
        if self._size is None:
            self._size = len(self.get("weight", format="list"))
        return self._size

    def __len__(self) -> int:
        return self.size()

    def columns(self, names: list[str]) -> floor.Columns:
        """See the floor. Weights are what the machine holds: rounded to 16 bits."""
        asked = [name for name in names if name not in ADDRESS] or ["weight"]
        table = np.array([tuple(row) for row in self._from_machine(asked)], dtype=float)
        table = table.reshape(-1, 2 + len(asked))
        found: floor.Columns = {
            address: _positions(places, table[:, column])
            for column, (address, places) in enumerate(zip(ADDRESS, self._places, strict=True))
        }
        for column, name in enumerate(asked, start=2):
            values = table[:, column]
            if name == "weight" and required_sign(self) < 0:
                values = -values
            elif name == "delay":
                values = np.round(values - self._later, 6)
            found[name] = values
        return found

    def _from_machine(self, names: list[str]) -> Any:
        from . import _namespace

        state.check_alive(self.pre, self.post)
        _namespace.prepare_once()
        with _namespace.logged():
            return spynnaker.SpiNNakerProjection.get(
                self, names, format="list", multiple_synapses="last"
            )

    def set(self, **attributes: Any) -> None:
        """Not on SpiNNaker: synapses are drawn when the network is loaded."""
        raise refusal(
            "spinnaker",
            "set_synapses",
            "set weights or delays",
            "Give them to the synapse type",
        )


def _positions(places: Any, numbers: Any) -> Any:
    """Where cells, given by their number in the population, are in a view."""
    order = np.argsort(places)
    return order[np.searchsorted(places, numbers, sorter=order)]

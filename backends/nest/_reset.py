"""Back to time 0: the network is made again, as it is.

NEST cannot take back what is on its way, nor the state of all neurons. Its kernel is reset, nodes
and synapses are made again with the parameters that they have, and under the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from portable_cortex.host import parallel
from portable_cortex.support import refusal

from ._pynn import nest


@dataclass(frozen=True)
class Nodes:
    """Nodes of consecutive numbers, as they must be made again.

    Attributes
    ----------
    first : int
        Number of the first.
    model : str
        NEST's.
    parameters : list of dict
        One for each node.
    take : callable
        Told the new nodes.
    """

    first: int
    model: str
    parameters: list[dict[str, Any]]
    take: Callable[[Any], None]

    @classmethod
    def of(cls, nodes: Any, names: list[str], take: Callable[[Any], None]) -> Nodes:
        """With the present values of the parameters of these names."""
        model = nodes[0].get("model")
        values = nodes.get(names) if names else {}
        n = len(nodes)
        columns = {name: value if n > 1 else [value] for name, value in values.items()}
        rows = [{name: column[i] for name, column in columns.items()} for i in range(n)]
        return cls(nodes[0].global_id, str(model), rows, take)

    def make(self) -> None:
        """Make them, in the order of all."""
        gap = self.first - 1 - nest.network_size
        if gap:  # there were devices
            nest.Create("parrot_neuron", gap)
        n, first = len(self.parameters), self.parameters[0]
        same = all(np.array_equal(row[k], first[k]) for row in self.parameters[1:] for k in row)
        self.take(nest.Create(self.model, n, params=first if same else self.parameters))


def check_reset(projections: list[Any]) -> None:
    """Raise `UnsupportedError` for a network that cannot be made again."""
    if parallel.processes() > 1:
        raise refusal(
            "nest",
            "reset: under mpirun",
            f"reset() in {parallel.processes()} processes",
            "Start mpirun once for each run",
        )
    for projection in projections:
        if not projection.is_static:
            raise refusal(
                "nest",
                "reset: plastic synapses",
                f"reset() plastic synapses (projection {projection.label})",
                "Call setup() and make the network anew",
            )


def make_again(state: Any) -> None:
    """Make the network of this state again."""
    nodes = [part for population in state.populations for part in population.nodes()]
    synapses = [(projection, projection.synapses()) for projection in state.projections]
    kept = {name: value for name, value in state.__dict__.items() if name != "tempdirs"}
    state.clear_kernel()
    state.__dict__.update(kept)
    state.forget_connections()
    for part in sorted(nodes, key=lambda part: part.first):
        part.make()
    for population in state.populations:
        population.reconnect()
    for projection, edges in synapses:
        projection.make_again(edges)

"""Projections: the delays and signs of the other simulators, and synapses that can be read.

A neuron that crosses its threshold in a step sends its spike within that step, and a delay of d
steps brings it into the step d later; on NEST's grid the spike leaves at the end of its step. So a
delay between neurons is one step longer on the machine. Spike sources send at the beginning of
their step, as in NEST, and their delays stay.

The board's generators cut delays off to whole steps where PyNN's simulators round them to the
nearest (0.3 ms becomes 0.2 ms at steps of 0.1 ms, the mean of random delays is half a step short).
Half a step more makes up for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from spynnaker.pyNN.models.common.param_generator_data import is_param_generatable
from spynnaker.pyNN.models.neural_projections.connectors import (
    AbstractGenerateConnectorOnMachine,
    MultapseConnector,
)
from spynnaker.pyNN.models.neuron import PopulationVertex

from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.pynn.draws import SOURCE, Stream, different_pairs, is_without_replacement
from portable_cortex.pynn.synapses import as_matrix
from portable_cortex.support import refusal

from ._connectors import FromListConnector, StaticSynapse, delayed_list, n_synapses

DISTRIBUTIONS = "uniform, normal, normal_clipped, normal_clipped_to_boundary"


def is_generated_on_machine(connector: Any, synapse: Any) -> bool:
    """Whether the board draws the synapses; if not, the host does, and loads them."""
    return isinstance(connector, AbstractGenerateConnectorOnMachine) and all(
        is_param_generatable(value) for value in (synapse.weight, synapse.delay)
    )


def _listed(connector: Any, pre: Any, post: Any) -> FromListConnector:
    """Different pairs of neurons, drawn by the core: sPyNNaker would make autapses of them."""
    from ._namespace import state

    state.drawn += 1
    stream = Stream(state.seed, 2 * state.drawn + 1, SOURCE)
    return FromListConnector(np.column_stack(different_pairs(stream, connector, pre, post)), ())


class Projection(spynnaker.SpiNNakerProjection):  # type: ignore[misc]  # untyped
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
        if is_without_replacement(connector):
            connector = _listed(connector, presynaptic_population, postsynaptic_population)
        self.connector = connector
        synapse = synapse_type or StaticSynapse()
        step = float(spynnaker.get_time_step())
        from_neurons = isinstance(presynaptic_population._vertex, PopulationVertex)
        self._later = step if from_neurons and isinstance(synapse, StaticSynapse) else 0.0
        self._between = presynaptic_population, postsynaptic_population
        # of views; sPyNNaker counts in their populations
        self._first = [population._view_range[0] for population in self._between]
        what = label or (
            f"projection {presynaptic_population.label}→{postsynaptic_population.label}"
        )
        if isinstance(connector, spynnaker.FromListConnector):
            _check_indices(what, connector, *self._between)
            connector = delayed_list(connector, self._later, *self._first)
            presynaptic_population, postsynaptic_population = (
                getattr(population, "grandparent", population) for population in self._between
            )
        if isinstance(synapse, StaticSynapse):
            on_machine = is_generated_on_machine(connector, synapse)
            if isinstance(connector, MultapseConnector) and not on_machine:
                raise UnsupportedError(
                    f"{what}: the board draws FixedTotalNumberConnector with weights and delays "
                    f"that are constant or {DISTRIBUTIONS}; for others use realisation 'shared'"
                )
            try:
                synapse = synapse.delayed(self._later + (0.5 * step if on_machine else 0.0))
            except KeyError:
                raise UnsupportedError(
                    f"{what}: delays can be constant or {DISTRIBUTIONS}, not "
                    f"{synapse.delay.name}; use realisation 'shared'"
                ) from None
        super().__init__(
            presynaptic_population,
            postsynaptic_population,
            connector,
            synapse,
            source,
            receptor_type or "excitatory",
            space,
            label,
        )

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
        known = n_synapses(self.connector, self.pre, self.post)
        return len(self.get("weight", format="list")) if known is None else known

    def __len__(self) -> int:
        return self.size()

    def get(
        self,
        attribute_names: Any,
        format: str,  # noqa: A002  # PyNN's name
        gather: bool = True,
        with_address: bool = True,
        multiple_synapses: str = "sum",
    ) -> Any:
        """Values of all synapses, read from the machine; see PyNN's ``Projection.get``.

        Weights are what the machine holds: rounded to 16 bits.
        """
        names = [attribute_names] if isinstance(attribute_names, str) else list(attribute_names)
        table = np.array(
            [tuple(row) for row in self._from_machine([n for n in names if n != "source"])],
            dtype=float,
        ).reshape(-1, 2 + len(names))
        table[:, :2] -= self._first
        for column, name in enumerate(names, start=2):
            if name == "weight" and self.receptor_type == "inhibitory":
                if not self.post.conductance_based:
                    table[:, column] *= -1.0
            elif name == "delay":
                table[:, column] = np.round(table[:, column] - self._later, 6)
        if format == "list":
            return (
                [(int(i), int(j), *rest) for i, j, *rest in table.tolist()]
                if with_address
                else (table[:, 2:].tolist())
            )
        if format != "array":
            raise InvalidValueError(f"format must be 'list' or 'array', not {format!r}")
        sources, targets = table[:, 0].astype(int), table[:, 1].astype(int)
        shape = self.pre.size, self.post.size
        arrays = [
            as_matrix(sources, targets, table[:, column], shape, multiple_synapses)
            for column in range(2, table.shape[1])
        ]
        return arrays[0] if isinstance(attribute_names, str) else arrays

    def _from_machine(self, names: list[str]) -> Any:
        from . import _namespace

        _namespace.prepare_once()
        with _namespace.logged():
            return super().get(names, format="list", multiple_synapses="last")

    def set(self, **attributes: Any) -> None:
        """Not on SpiNNaker: synapses are drawn when the network is loaded."""
        raise refusal(
            "spinnaker",
            "set_synapses",
            "set weights or delays",
            "Give them to the synapse type",
        )


def _check_indices(what: str, connector: Any, pre: Any, post: Any) -> None:
    """Neurons that do not exist: sPyNNaker would leave their synapses out."""
    for column, population in enumerate((pre, post)):
        index = connector.conn_list[:, column]
        if index.size and not 0 <= index.min() <= index.max() < population.size:
            raise InvalidValueError(
                f"{what}: the list has neurons {index.min():g} to {index.max():g} of "
                f"{population.label}, which has {population.size}: valid are 0 to "
                f"{population.size - 1}"
            )

"""What mean-field theory asks of a network, from its description in PyNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import UnsupportedError
from ..pynn.description import Cells as Described
from ..pynn.description import Description, Synapses
from ..pynn.expected import Values, cumulants_of, in_common
from ..pynn.population import is_modelled
from .network import Common, Connection, Distribution, Drive, Network
from .neuron import F64, Cells


def read(description: Description) -> Network:
    """Take a network of leaky integrate-and-fire neurons from its description.

    Populations are those of neurons; Poisson sources become drives.

    Raises
    ------
    UnsupportedError
        For other neurons, for neurons of a population that differ in more than a constant current,
        and for whatever is not stationary.

    Examples
    --------
    >>> from portable_cortex.models.loader import load_model
    >>> from portable_cortex.pynn.description import describe
    >>> network = read(describe(load_model("pd14"), {"scale": 1.0}))
    >>> network.populations[:3], network.means()[0].round(2)[:2].tolist()
    (('L23E', 'L23I', 'L4E'), [3.86, -7.58])
    """
    neurons = description.neurons
    places = {k: place for place, k in enumerate(neurons)}
    if not neurons:
        raise UnsupportedError("mean-field theory needs a population of neurons, and there is none")
    description.check_stationary()
    populations = [description.populations[k] for k in neurons]
    labels = [*neurons.values()]
    tables = [_numbers(c, label) for c, label in zip(populations, labels, strict=True)]
    rest = _column(tables, "v_rest")
    cells = Cells(
        _column(tables, "tau_m"),
        _column(tables, "v_thresh") - rest,
        _column(tables, "v_reset") - rest,
        _column(tables, "tau_refrac"),
    )
    resistance = cells.tau_m / _column(tables, "cm")
    offsets = [np.asarray(p.parameters["i_offset"], float) for p in populations]
    connections: list[Connection] = []
    drives: list[Drive] = []
    counted: dict[int, list[tuple[Connection | Drive, F64]]] = {}
    delays: dict[Values, Distribution] = {}  # one object for those that are one
    for synapses in description.synapses:
        target = places[synapses.target]
        charge, tau_syn = _charge(synapses, populations[target], tables[target])
        arriving = synapses.arriving.scaled(charge)
        one: Connection | Drive
        if synapses.source in places:
            delay = delays.setdefault(synapses.delays, Distribution(*synapses.delays))
            one = Connection(places[synapses.source], target, arriving, delay, tau_syn)
            connections.append(one)
        else:
            one = Drive(target, arriving, tau_syn)
            drives.append(one)
        if arriving.sums is not None:
            counted.setdefault(target, []).append((one, arriving.sums))
    return Network(
        tuple(labels),
        np.array([c.size for c in populations], float),
        cells,
        tuple(connections),
        tuple(drives),
        resistance * np.array([o.mean() for o in offsets]),
        np.stack([cumulants_of(r * o) for r, o in zip(resistance, offsets, strict=True)], axis=-1),
        tuple(_common(target, own) for target, own in counted.items() if len(own) > 1),
    )


def _common(target: int, inputs: Sequence[tuple[Connection | Drive, F64]]) -> Common:
    """Of synapses that are known."""
    return Common(target, tuple(one for one, _ in inputs), in_common([sums for _, sums in inputs]))


def _numbers(cells: Described, label: str) -> dict[str, float]:
    """Parameters that the neurons of a population have in common."""
    kind = type(cells.celltype).__name__
    if kind not in TIME_CONSTANTS:
        if is_modelled(cells.celltype):
            kind = cells.celltype.neuron.name
        raise UnsupportedError(
            f"mean-field theory is for {' and '.join(TIME_CONSTANTS)}, and population {label} has "
            f"{kind} neurons"
        )
    found = {}
    for name, values in cells.parameters.items():
        numbers = np.asarray(values, float)
        if name != "i_offset" and numbers.min() != numbers.max():
            raise UnsupportedError(
                f"mean-field theory takes the neurons of a population as equal but for their "
                f"i_offset: {name} of {label} is from {numbers.min():g} to {numbers.max():g}"
            )
        found[name] = float(numbers[0])
    return found


def _column(tables: list[dict[str, float]], name: str) -> F64:
    return np.array([table[name] for table in tables])


TIME_CONSTANTS: Mapping[str, Mapping[str, str]] = {
    "IF_curr_exp": {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"},
    "IF_curr_delta": {"excitatory": "", "inhibitory": ""},
}
"""Cell types, and the time constant of each receptor; none where a spike moves the potential."""


def _charge(
    synapses: Synapses, target: Described, numbers: Mapping[str, float]
) -> tuple[float, float]:
    """What a weight of 1 moves the potential by, mV, and the time constant of its current, ms."""
    name = TIME_CONSTANTS[type(target.celltype).__name__][synapses.receptor]
    if not name:
        return 1.0, 0.0
    return numbers[name] / numbers["cm"], numbers[name]

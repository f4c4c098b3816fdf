"""Brunel's sparse random network of excitatory and inhibitory neurons, described once, in PyNN.

Brunel N (2000). Dynamics of sparsely connected networks of excitatory and inhibitory spiking
neurons. J Comput Neurosci 8:183-208. doi:10.1023/A:1008925309027
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidValueError
from .substitution import LIF, Substitute, substitute
from .wiring import background, project

# The paper's "model A" (section 2), PyNN's units
N_EXC, N_INH = 10_000, 2_500  # neurons
EPSILON = 0.1  # connection probability: in-degrees C_E = 1000, C_I = 250
J = 0.1  # postsynaptic potential, mV
TAU = 20.0  # membrane time constant, ms
THETA, V_RESET = 20.0, 10.0  # threshold and reset above rest, mV
TAU_REFRAC = 2.0  # ms
DELAY = 1.5  # ms
CM = 0.25  # nF: any value gives the same network, since weights are set by the potential
TAU_SYN = 0.1  # ms, of the currents that stand for delta-shaped ones


def build(
    sim: Any,
    *,
    scale: float = 0.1,
    g: float = 5.0,
    eta: float = 2.0,
    neuron: str = LIF,
    neuron_parameters: Mapping[str, float] | None = None,
    seed: int = 1,
) -> dict[str, Any]:
    """Build the network in the PyNN namespace `sim`.

    Each neuron receives fixed numbers of connections from both populations, drawn with
    multapses, and Poisson input of its own at `eta` times the rate that brings it to threshold.
    The delta-shaped currents of the paper are replaced by exponential ones of the same charge and
    a time constant of 0.1 ms.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    scale : float
        Fraction of the neurons and of the in-degrees, weights divided by its root; 1 is the
        paper's network of 12,500 neurons.
    g : float
        Strength of inhibition relative to excitation.
    eta : float
        External rate relative to the one that brings the mean potential to threshold.
    neuron : str
        Neuron model, if it is another: of the catalogue, of PyNN, or a file in NESTML. Its synapses
        move a potential that is half-way to the threshold as those of the paper do
        (`substitution`).
    neuron_parameters : dict of str to float, optional
        Parameters of the neuron model that are others, in its units.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population
        ``"E"`` and ``"I"``.

    Raises
    ------
    InvalidValueError
        For a scale that leaves no neuron or connection.

    Examples
    --------
    >>> from portable_cortex import run
    >>> run(backend="mock", model="brunel2000", scale=0.01, duration=10.0).n_neurons
    {'E': 100, 'I': 25}
    """
    if not scale > 0 or round(scale * EPSILON * N_INH) < 1:
        raise InvalidValueError(
            f"scale must be at least {1 / (EPSILON * N_INH):g}, so that every neuron has a "
            f"connection, not {scale!r}"
        )
    sizes = {"E": round(scale * N_EXC), "I": round(scale * N_INH)}
    in_degree = {"E": round(scale * EPSILON * N_EXC), "I": round(scale * EPSILON * N_INH)}
    psp = J / scale**0.5  # mV
    weight = psp * CM / TAU_SYN  # nA: the charge that shifts the potential by `psp`
    rng = sim.NumpyRNG(seed=seed)

    cell = _cell(neuron, neuron_parameters)
    cells = cell.cells(sim, 0, 0.0)
    populations = {label: sim.Population(n, cells, label=label) for label, n in sizes.items()}
    for population in populations.values():
        population.initialize(
            **{cell.potential: sim.RandomDistribution("uniform", low=0.0, high=THETA, rng=rng)}
        )
    # rate that holds the mean potential at threshold, and `eta` times it
    rate_ext = eta * 1e3 * THETA / (psp * TAU)
    for target in populations.values():
        for source, sign, receptor in (("E", 1.0, "excitatory"), ("I", -g, "inhibitory")):
            connector = sim.FixedNumberPreConnector(
                in_degree[source], with_replacement=True, rng=rng
            )
            synapse = sim.StaticSynapse(weight=cell.weight(sign * weight, 0, receptor), delay=DELAY)
            project(sim, populations[source], target, connector, synapse, receptor)
        background(sim, target, rate_ext, cell.weight(weight, 0, "excitatory"), DELAY)
    return populations


def _cell(neuron: str, given: Mapping[str, float] | None) -> Substitute:
    lif = {
        "cm": CM, "tau_m": TAU, "v_rest": 0.0, "v_reset": V_RESET, "v_thresh": THETA,
        "tau_refrac": TAU_REFRAC, "tau_syn_E": TAU_SYN, "tau_syn_I": TAU_SYN,
    }  # fmt: skip
    return substitute(neuron, lif, [THETA / 2], given)


def statements(
    *,
    neuron: str = LIF,
    neuron_parameters: Mapping[str, float] | None = None,
    **_others: Any,
) -> Sequence[str]:
    """What is to be said of the network with these parameters."""
    said = _cell(neuron, neuron_parameters).statement
    return (said,) if said else ()

"""The numbers of the cortical microcircuit model of Potjans & Diesmann (PD14), and of V1.

All values are those of the published model [1]_ in its revised, widely used form
(Poisson or constant background of equal mean, population-specific initial potentials [2]_).
Units are PyNN's: ms, mV, nA, nF; rates in spikes/s. The order of the populations is the same
everywhere: layer 2/3, 4, 5, 6, excitatory before inhibitory.

References
----------
.. [1] Potjans TC, Diesmann M (2014). The cell-type specific cortical microcircuit: relating
   structure and activity in a full-scale spiking network model. Cerebral Cortex 24:785-806.
   doi:10.1093/cercor/bhs358
.. [2] Rhodes O et al. (2019). Real-time cortical simulation on neuromorphic hardware.
   Phil. Trans. R. Soc. A 378:20190160. doi:10.1098/rsta.2019.0160
.. [3] Schmidt M, Bakker R, Hilgetag CC, Diesmann M, van Albada SJ (2018). Multi-scale account of
   the network structure of macaque visual cortex. Brain Struct Funct 223:1409-1435.
   doi:10.1007/s00429-017-1554-4
.. [4] Schmidt M, Bakker R, Shen K, Bezgin G, Diesmann M, van Albada SJ (2018). A multi-scale
   layer-resolved spiking network model of resting-state dynamics in macaque visual cortical areas.
   PLoS Comput Biol 14:e1006359. doi:10.1371/journal.pcbi.1006359

Examples
--------
>>> from portable_cortex.models.parameters import PD14
>>> sum(PD14.sizes)
77169
>>> PD14.sizes[PD14.index("L4E")]
21915
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UnknownNameError

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Neuron:
    """Leaky integrate-and-fire neuron with exponential synaptic currents ([1]_, table 5)."""

    cm: float = 0.250  # membrane capacitance, nF
    tau_m: float = 10.0  # membrane time constant, ms
    v_rest: float = -65.0  # leak potential, mV
    v_reset: float = -65.0  # potential after a spike, mV
    v_thresh: float = -50.0  # spike threshold, mV
    tau_refrac: float = 2.0  # absolute refractory period, ms
    tau_syn: float = 0.5  # time constant of excitatory and inhibitory currents, ms

    @property
    def rheobase(self) -> float:
        """Smallest constant current that makes the neuron fire, nA."""
        return self.cm * (self.v_thresh - self.v_rest) / self.tau_m

    def as_pynn(self) -> dict[str, float]:
        """Parameters under PyNN's names for ``IF_curr_exp``."""
        return {
            "cm": self.cm,
            "tau_m": self.tau_m,
            "v_rest": self.v_rest,
            "v_reset": self.v_reset,
            "v_thresh": self.v_thresh,
            "tau_refrac": self.tau_refrac,
            "tau_syn_E": self.tau_syn,
            "tau_syn_I": self.tau_syn,
        }


@dataclass(frozen=True)
class Thalamus:
    """Thalamic relay cells that project to layers 4 and 6 ([1]_, table 5 and p. 791)."""

    size: int = 902  # neurons; not scaled with the cortex
    rate: float = 120.0  # spikes/s during a pulse
    pulse_duration: float = 10.0  # ms
    # connection probability onto each cortical population
    probabilities: tuple[float, ...] = (0.0, 0.0, 0.0983, 0.0619, 0.0, 0.0, 0.0512, 0.0196)


@dataclass(frozen=True)
class Microcircuit:
    """The published network at full scale. Matrices are indexed ``[target][source]``."""

    populations: tuple[str, ...] = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
    sizes: tuple[int, ...] = (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948)
    # probability that a pair of neurons is connected by at least one synapse
    probabilities: Matrix = (
        (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
        (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
        (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0),
        (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
        (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
        (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0),
        (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
        (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443),
    )
    # numbers of synapses of a neuron, where these are what is given
    in_degrees: Matrix | None = None
    neuron: Neuron = Neuron()

    psp: float = 0.15  # peak of an excitatory postsynaptic potential, mV
    g: float = -4.0  # inhibitory weight relative to the excitatory one
    # weight of L4E -> L23E relative to the other excitatory weights
    l4e_l23e: float = 2.0
    weight_rel_sd: float = 0.1  # standard deviation of a weight relative to its mean

    delay_exc: float = 1.5  # mean delay of excitatory synapses, ms
    delay_inh: float = 0.75  # mean delay of inhibitory synapses, ms
    delay_rel_sd: float = 0.5  # standard deviation of a delay relative to its mean

    # background inputs to each neuron, and the rate of each of them (spikes/s)
    k_ext: tuple[int, ...] = (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100)
    rate_ext: float = 8.0
    delay_ext: float = 1.5  # ms

    # initial membrane potential, mV: mean and standard deviation
    v0_optimized_mean: tuple[float, ...] = (
        -68.28,
        -63.16,
        -63.33,
        -63.45,
        -63.11,
        -61.66,
        -66.72,
        -61.43,
    )
    v0_optimized_sd: tuple[float, ...] = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)
    v0_original_mean: float = -58.0
    v0_original_sd: float = 10.0

    thalamus: Thalamus = Thalamus()

    # Stationary mean rates at full scale with Poisson drive, spikes/s (INM-6's PyNEST package,
    # `microcircuit` 1.0, one run). The down-scaling needs them to restore the mean input.
    full_rates: tuple[float, ...] = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
    full_rates_source: str = "INM-6 PyNEST microcircuit 1.0"

    def index(self, population: str) -> int:
        """Position of a population; raises `UnknownNameError` for one that does not exist."""
        try:
            return self.populations.index(population)
        except ValueError:
            raise UnknownNameError("population", population, self.populations) from None

    def is_excitatory(self, index: int) -> bool:
        """Whether the population at `index` is excitatory."""
        return index % 2 == 0


PD14 = Microcircuit()

V1 = Microcircuit(
    sizes=(47387, 13366, 70388, 17598, 20741, 4554, 19840, 4063),
    in_degrees=(
        (1066.6, 516.9, 482.0, 227.8, 77.2, 0.0, 56.8, 0.0),
        (1444.4, 413.8, 349.0, 142.8, 183.9, 0.0, 28.4, 0.0),
        (81.6, 17.3, 548.9, 382.6, 16.7, 0.2, 323.9, 0.0),
        (720.0, 8.6, 876.7, 457.9, 7.2, 0.0, 780.6, 0.0),
        (1055.7, 182.0, 560.1, 16.2, 204.1, 227.2, 142.7, 0.0),
        (570.9, 78.3, 283.0, 5.4, 146.3, 187.6, 63.9, 0.0),
        (163.7, 20.1, 228.1, 46.1, 138.8, 10.6, 287.4, 355.7),
        (371.1, 2.9, 32.4, 2.7, 67.5, 4.2, 478.8, 220.4),
    ),
    g=-11.0,
    k_ext=(1246, 1246, 1246, 1246, 1402, 1246, 1765, 1246),
    rate_ext=10.0,
    v0_optimized_mean=(-150.0,) * 8,
    v0_optimized_sd=(50.0,) * 8,
    thalamus=Thalamus(probabilities=(0.0,) * 8),
    full_rates=(0.130, 1.622, 2.269, 2.759, 2.811, 4.142, 2.178, 4.092),
    full_rates_source="this model at full scale on the built-in engine",
)
"""A square millimetre of macaque primary visual cortex, without the other areas ([3]_, [4]_)."""

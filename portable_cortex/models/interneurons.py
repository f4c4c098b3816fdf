"""A barrel column with three types of interneurons and short-term plasticity, in PyNN.

Jiang H-J, Qi G, Duarte R, Feldmeyer D, van Albada SJ (2024). A layered microcircuit model of
somatosensory cortex with three interneuron types and cell-type-specific short-term plasticity.
Cereb Cortex 34:bhae378. doi:10.1093/cercor/bhae378

Numbers are those of the authors' public code (HanjiaJiang/microcircuit, January 2021: connectivity
"0715", neurons "neske-lyr", short-term plasticity "02"); the paper's may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InvalidValueError
from .parameters import Neuron, Thalamus
from .scaling import psc_over_psp
from .thalamus import pulses
from .wiring import background, clipped, lognormal, project

# numbers of neurons
POPULATIONS = {
    "L23E": 1691, "L23PV": 88, "L23SOM": 72, "L23VIP": 90,
    "L4E": 1656, "L4PV": 85, "L4SOM": 48,
    "L5E": 1095, "L5PV": 109, "L5SOM": 105,
    "L6E": 1288, "L6PV": 56, "L6SOM": 67,
}  # fmt: skip
# tau_m (ms), cm (nF), v_rest and v_reset, v_thresh (mV), by upper (2/3, 4) or deep layers and type
UPPER, DEEP = ("L23", "L4"), ("L5", "L6")
NEURONS = {
    (UPPER, "E"): (10.5, 0.2298, -67.4, -41.5), (DEEP, "E"): (12.1, 0.2692, -63.2, -45.2),
    (UPPER, "PV"): (3.1, 0.0939, -66.4, -41.6), (DEEP, "PV"): (4.01, 0.0810, -67.1, -42.3),
    (UPPER, "SOM"): (11.8, 0.1233, -59.9, -41.8), (DEEP, "SOM"): (11.7, 0.1468, -63.2, -48.1),
    (UPPER, "VIP"): (10.9, 0.0865, -65.7, -43.7),
}  # fmt: skip
TAU_REFRAC, TAU_SYN_E, TAU_SYN_I = 2.0, 2.0, 4.0  # ms
V0_MEAN, V0_SD = -62.0, 5.0  # initial potential, mV
# probability that a pair is connected, rows targets, columns sources, as `POPULATIONS`; those of
# VIP onto SOM are the same in all layers
PROBABILITIES = (
    (.0839, .4474, .4438, .0367, .1039, .0192, .0429, .0232, .0014, .0141, 0, 0, 0),
    (.3629, .2744, .1378, .0474, .0042, .0155, .0298, .0005, .0013, .0134, .0001, .0001, .0054),
    (.2167, .2768, 0, .2710, .0038, .0111, .0417, .0004, .0014, .0199, 0, 0, 0),
    (.1268, .1775, .3994, .0539, .0024, .0097, .0162, .0002, .0009, .0056, 0, .0001, .0050),
    (.0126, .0333, .0562, .0663, .1668, .4327, .2383, .0058, .0264, .0491, 0, .0021, .0232),
    (.0378, .0152, .0216, .0503, .3510, .3297, .3716, .0090, .0262, .0446, .0013, .0026, .0175),
    (.0379, .0172, .0227, .2710, .1462, .4190, .0264, .0100, .0303, .0441, .0017, .0021, .0217),
    (.0832, .0402, .0900, .0589, .0826, .0658, .0714, .0910, .4485, .3459, .0093, .0167, .0477),
    (.0176, .0045, .0102, .0186, .0362, .0288, .0216, .3638, .3084, .2617, .0047, .0122, .0243),
    (.0164, .0040, .0098, .2710, .0394, .0285, .0240, .1843, .3559, .0137, .0061, .0140, .0299),
    (0, .0018, .0031, .0075, .0291, .0145, .0094, .0374, .0184, .0157, .0199, .4448, .3430),
    (.0028, .0001, .0002, .0020, .0052, .0022, .0005, .0171, 0, .0032, .3608, .3058, .2595),
    (.0022, 0, .0002, .2710, .0047, .0019, .0003, .0161, 0, .0021, .1828, .3529, .0136),
)  # fmt: skip
PSP, PSP_REL_SD, G = 0.7543, 1.2704, -8.0  # mV; its relative standard deviation; inhibition
DELAY_E, DELAY_I, DELAY_REL_SD = 1.2, 0.7, 0.5  # ms
# U, tau_facil, tau_rec (ms), by types of source and target, or by populations; others are static
RESOURCES = {
    ("E", "PV"): (.2, 0, 120), ("E", "SOM"): (.3, 200, .01),
    ("PV", "E"): (.55, 40, 200), ("PV", "PV"): (.6, 340, 180),
    ("PV", "SOM"): (.55, 100, 180), ("PV", "VIP"): (.1, 1000, 100),
    ("SOM", "E"): (1, 300, 20), ("SOM", "PV"): (1, 300, 20), ("SOM", "VIP"): (.05, 760, 40),
    ("VIP", "SOM"): (.05, 1000, .01), ("VIP", "VIP"): (.25, 320, 20),
    ("L23E", "L23E"): (.55, 560, 140), ("L23E", "L4E"): (.9, 980, .01),
    ("L23E", "L5E"): (.35, 700, 320), ("L4E", "L23E"): (.4, 220, 920),
    ("L4E", "L4E"): (.55, 560, 140), ("L4E", "L5E"): (.45, 280, 680),
    ("L4E", "L6E"): (.4, 360, 240), ("L5E", "L23E"): (.3, 20, 840),
    ("L5E", "L4E"): (.75, 20, 580), ("L5E", "L5E"): (.4, 20, 820), ("L5E", "L6E"): (.3, 80, 840),
    ("L6E", "L5E"): (.05, 1000, .01), ("L6E", "L6E"): (.4, 420, 120),
}  # fmt: skip
# background inputs of each neuron by type, their rate (spikes/s), potential (mV) and delay (ms)
K_EXT = {
    "plastic": {"E": 750, "PV": 1500, "SOM": 500, "VIP": 1000},
    "static": {"E": 1000, "PV": 1500, "SOM": 750, "VIP": 1000},
}
RATE_EXT, PSP_EXT, DELAY_EXT = 4.0, 0.49, 1.5
THALAMUS = Thalamus(
    size=200,
    rate=100.0,
    probabilities=(.062, .062, 0, 0, .4, .4, 0, .259, .259, 0, .09, .09, 0),
)  # fmt: skip
PSP_THALAMUS_REL_SD, DELAY_THALAMUS, DELAY_THALAMUS_SD = 0.27, 1.5, 0.75


def build(
    sim: Any, *, synapses: str = "plastic", thalamic_pulses: Sequence[float] = (), seed: int = 1
) -> dict[str, Any]:
    """Build the column in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    synapses : {"plastic", "static"}
        With short-term plasticity, weights divided by `U` so that a first spike acts as a static
        one would; or without, and with the background that the authors use then.
    thalamic_pulses : sequence of float
        Onsets (ms) of 10 ms pulses of 200 thalamic neurons, 100 spikes/s.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population

    Raises
    ------
    InvalidValueError
        For other `synapses`.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", model="interneurons", duration=10.0)
    >>> sum(recording.n_neurons.values()), recording.n_neurons["L23VIP"]
    (6450, 90)
    """
    if synapses not in K_EXT:
        raise InvalidValueError(f"synapses must be {' or '.join(K_EXT)}, not {synapses!r}")
    rng = sim.NumpyRNG(seed=seed)
    populations = {}
    for label, size in POPULATIONS.items():
        cells = sim.IF_curr_exp(**_neuron(label).as_pynn() | {"tau_syn_I": TAU_SYN_I})
        populations[label] = sim.Population(size, cells, label=label)
        start = sim.RandomDistribution("normal", mu=V0_MEAN, sigma=V0_SD, rng=rng)
        populations[label].initialize(v=start)
        rate = RATE_EXT * K_EXT[synapses][_type(label)]
        weight = PSP_EXT * psc_over_psp(_neuron(label))
        background(sim, populations[label], rate, weight, DELAY_EXT)
    step = sim.get_time_step()
    for target, row in zip(POPULATIONS, PROBABILITIES, strict=True):
        for source, p in zip(POPULATIONS, row, strict=True):
            if not p:
                continue
            resources = _resources(source, target) if synapses == "plastic" else {}
            excitatory = _type(source) == "E"
            psp, tau_syn = (PSP, TAU_SYN_E) if excitatory else (G * PSP, TAU_SYN_I)
            weight = psp * psc_over_psp(_neuron(target, tau_syn)) / resources.get("U", 1.0)
            mean = DELAY_E if excitatory else DELAY_I
            make = sim.TsodyksMarkramSynapse if resources else sim.StaticSynapse
            synapse = make(
                weight=lognormal(sim, rng, weight, PSP_REL_SD),
                delay=clipped(sim, rng, mean, DELAY_REL_SD * mean, step),
                **resources,
            )
            connector = sim.FixedProbabilityConnector(p, rng=rng)
            receptor = "excitatory" if excitatory else "inhibitory"
            project(sim, populations[source], populations[target], connector, synapse, receptor)
    if len(thalamic_pulses):
        times = pulses(sim, THALAMUS, thalamic_pulses, seed)
        cells = sim.SpikeSourceArray(spike_times=times)
        thalamus = sim.Population(THALAMUS.size, cells, label="TC")
        for label, p in zip(POPULATIONS, THALAMUS.probabilities, strict=True):
            if not p:
                continue
            mean = PSP_EXT * psc_over_psp(_neuron(label))
            synapse = sim.StaticSynapse(
                weight=clipped(sim, rng, mean, PSP_THALAMUS_REL_SD * mean),
                delay=clipped(sim, rng, DELAY_THALAMUS, DELAY_THALAMUS_SD, step),
            )
            connector = sim.FixedProbabilityConnector(p, rng=rng)
            project(sim, thalamus, populations[label], connector, synapse, "excitatory")
        populations["TC"] = thalamus
    return populations


def statements(**_others: Any) -> Sequence[str]:
    """What is to be said of the column."""
    return (
        "with these numbers somatostatin neurons are all but silent; the paper's column, whose "
        "rates are fitted to those in vivo, has other ones",
    )


def _type(label: str) -> str:
    return label.lstrip("L0123456789")


def _neuron(label: str, tau_syn: float = TAU_SYN_E) -> Neuron:
    layers = UPPER if label.startswith(UPPER) else DEEP
    tau_m, cm, v_rest, v_thresh = NEURONS[layers, _type(label)]
    return Neuron(cm, tau_m, v_rest, v_rest, v_thresh, TAU_REFRAC, tau_syn)


def _resources(source: str, target: str) -> dict[str, float]:
    """Parameters of short-term plasticity; none of a static synapse."""
    by_type = RESOURCES.get((_type(source), _type(target)))
    values = RESOURCES.get((source, target), by_type)
    return dict(zip(("U", "tau_facil", "tau_rec"), values, strict=True)) if values else {}

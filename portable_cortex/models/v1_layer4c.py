r"""Layer 4Calpha of the macaque's primary visual cortex, with simple and complex cells, in PyNN.

Xiao Z-C, Lin KK, Young L-S (2024). Efficient models of cortical activity via local dynamic
equilibria and coarse-grained interactions. PNAS 121:e2320454121. doi:10.1073/pnas.2320454121

Numbers are those of the authors' public code (Texense/NYU-EffiModel, "V4D2"). Their potential is 0
at rest and 1 at the threshold; here that is -70 and -55 mV, which puts their reversal potentials of
14/3 and -2/3 at 0 and -80 mV. A synapse of their strength S moves it by :math:`S\kappa(t)(V_E-V)`
per ms, with a kernel :math:`\kappa` whose integral is 1: its conductance is :math:`C S \kappa`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from .hypercolumns import DOMAINS, blurred, domains, lattice, partners
from .wiring import project

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SIDES = {"S": 45, "C": 30, "I": 31}  # simple, complex, inhibitory cells along a hypercolumn
HYPERCOLUMN = 0.5  # mm
CM, TAU_M = 0.2, {"S": 20.0, "C": 20.0, "I": 15.0}  # nF (any would do), ms
V_REST, V_THRESH = -70.0, -55.0  # mV; others are those of the cell type
NMDA = {"S": 0.2, "C": 0.2, "I": 0.33}  # part of recurrent and layer 6's synapses
RISE_DECAY = {"ampa": (0.5, 3.0), "gaba": (0.5, 5.0)}  # ms
# strengths, E for both S and C: of the 160 pairs of S_IE/S_II and S_EI/S_EE in the authors' table
# the one with rates nearest to the means over all
S_EE, S_II = 0.024, 0.120
S_IE, S_EI = 0.1113851 * S_II, 2.14979079 * S_EE
STRENGTHS = {("E", "E"): S_EE, ("E", "I"): S_IE, ("I", "E"): S_EI, ("I", "I"): S_II}
IN_DEGREES = {  # of a target, by source
    "S": {"S": 132, "C": 58, "I": 85}, "C": {"S": 177, "C": 78, "I": 85},
    "I": {"S": 584, "C": 260, "I": 84},
}  # fmt: skip
# mm, of the distance of cells, by source
SD, REACH = {"S": 0.2 / 2**0.5, "C": 0.2 / 2**0.5, "I": 0.125 / 2**0.5}, 0.36
ARRIVES = 0.8  # of spikes between excitatory cells
DELAY, DELAY_EE = 0.1, 1.0  # ms; the second between excitatory cells
# what comes from outside: strength, inputs a cell; ambient spikes/s a cell
LGN = {"S": (2 * S_EE, 4.75), "C": (2 * S_EE, 1.5), "I": (4 * S_EE, 4.5)}
L6 = {"S": (S_EE / 3, 45), "C": (S_EE / 3, 55), "I": (S_IE / 3, 150)}
AMBIENT = {"S": (0.01, 600.0), "C": (0.01, 750.0), "I": (0.01, 435.0)}
BACKGROUND = {"LGN": 20.0, "L6": 7.0}  # spikes/s of each input
LGN_RATE, L6_LEAST, L6_MOST = 45.0, 10.0, 50.0  # with a grating
STIMULI = ("background", "grating")
FREQUENCY = 4.0  # Hz, of the grating
BLUR = 0.125  # hypercolumns: sd of layer 6's input
INSIDE = 0.8  # share of its domain's input from which on a cell is inside
# spikes/s of S, C, I: of these strengths, and means over the authors' 160
RATES = {"background": (2.63, 8.36, 15.37), "preferred": (14.37, 56.42, 73.46),
         "orthogonal": (4.25, 17.28, 35.46)}  # fmt: skip
MEAN_RATES = {"background": (2.6, 8.8, 15.8), "preferred": (14.2, 52.2, 72.4),
              "orthogonal": (4.1, 16.3, 34.9)}  # fmt: skip


def build(
    sim: Any,
    *,
    hypercolumns: int = 1,
    stimulus: str = "background",
    orientation: float = 0.0,
    cycles: int = 0,
    failures: str = "drawn",
    seed: int = 1,
) -> dict[str, Any]:
    """Build the layer in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    hypercolumns : int
        Along a side. Beyond the border the layer goes on as its mirror image, as orientations do
        from hypercolumn to hypercolumn.
    stimulus : {"background", "grating"}
    orientation : float
        Of the grating, degrees.
    cycles : int
        Of 250 ms that the grating drifts for: each simple cell's LGN input is on and off in turn,
        in a phase of its own. 0 is a grating that stands, in which half of the simple cells are on
        and half are off; it has no end.
    failures : {"drawn", "mean"}
        Of a fifth of the spikes between excitatory cells: each is drawn, or weights are a fifth
        less, for backends that do not have the first.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population
        By type of cell and preferred orientation: ``"S@45"`` are the simple cells well inside the
        domain of 45 degrees, ``"S edge@45"`` the others. Simple cells of a grating that stands are
        ``"S on@45"``, ``"S off@45"``, ``"S edge on@45"`` and ``"S edge off@45"``.

    Raises
    ------
    InvalidValueError
        For values that cannot be.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(model="v1_layer4c", duration=10.0)
    >>> sum(recording.n_neurons.values()), recording.populations[:3]
    (3886, ('S@0', 'S edge@0', 'S@45'))
    """
    _check(hypercolumns, stimulus, cycles, failures)
    rng = np.random.default_rng([seed, 0x4C])
    places = {kind: lattice(side, hypercolumns) for kind, side in SIDES.items()}
    parts = _parts(rng, places, stimulus == "grating" and not cycles)
    cells = sim.nestml_cell_type("AmpaNmdaGaba", "lif_cond_ampa_nmda_gaba")
    drawn = sim.NumpyRNG(seed=seed)
    populations = {}
    for label, (kind, members) in parts.items():
        own = cells(cm=CM, tau_m=TAU_M[kind], nmda=NMDA[kind])
        populations[label] = sim.Population(members.size, own, label=label)
        v0 = sim.RandomDistribution("uniform", low=V_REST, high=V_THRESH, rng=drawn)
        populations[label].initialize(v=v0)
    for target, by_source in IN_DEGREES.items():
        for source, n in by_source.items():
            pairs = partners(
                rng,
                places[target],
                SIDES[source],
                hypercolumns,
                n,
                sd=SD[source] / HYPERCOLUMN,
                reach=REACH / HYPERCOLUMN,
                alike=source == target,
            )
            _connect(sim, populations, parts, source, target, pairs, failures == "drawn")
    phases = rng.uniform(0.0, 1.0, len(places["S"]))
    for label, (kind, members) in parts.items():
        at = places[kind][members]
        if stimulus == "background":
            lgn = [(1.0, {"rate": np.full(members.size, BACKGROUND["LGN"])})]
            l6 = np.full(members.size, BACKGROUND["L6"])
        else:
            match = (1 + np.cos(2 * np.radians(orientation - np.array(DOMAINS)))) / 2
            l6 = L6_LEAST + (L6_MOST - L6_LEAST) * blurred(at, BLUR) @ match
            is_own = domains(at)[:, np.newaxis] == DOMAINS
            size = float((is_own @ match)[0]) if kind == "S" else 0.0  # of all of a domain
            own = phases[members] if kind == "S" else np.zeros(members.size)
            lgn = _seen(label, size, own, cycles if kind == "S" else 0)
        (s_lgn, n_lgn), (s_l6, n_l6), (s_ambient, ambient) = LGN[kind], L6[kind], AMBIENT[kind]
        for number, (factor, one) in enumerate(lgn):
            own = {**one, "rate": n_lgn * one["rate"]}
            name = f"LGN {number}" if len(lgn) > 1 else "LGN"
            _excite(sim, populations[label], name, "ampa", factor * s_lgn, own)
        _excite(sim, populations[label], "L6", "glutamate", s_l6, {"rate": n_l6 * l6})
        _excite(sim, populations[label], "ambient", "ampa", s_ambient, {"rate": ambient})
    return populations


def _parts(
    rng: np.random.Generator, places: Mapping[str, F64], is_standing: bool
) -> dict[str, tuple[str, I64]]:
    """Populations: the kind of their cells, and which of these they are."""
    parts: dict[str, tuple[str, I64]] = {}
    for kind, at in places.items():
        own = domains(at)
        is_own = own[:, np.newaxis] == DOMAINS
        is_inside = blurred(at, BLUR)[is_own] > INSIDE
        for angle in DOMAINS:
            for name, chosen in ((kind, is_inside), (f"{kind} edge", ~is_inside)):
                members = np.flatnonzero(chosen & (own == angle))
                if kind == "S" and is_standing:
                    halves = np.array_split(rng.permutation(members), 2)
                    for phase, half in zip(("on", "off"), halves, strict=True):
                        parts[f"{name} {phase}@{angle}"] = kind, np.sort(half)
                else:
                    parts[f"{name}@{angle}"] = kind, members
    return parts


def _seen(label: str, size: float, phases: F64, cycles: int) -> list[tuple[float, dict[str, F64]]]:
    """Sources that stand for an input from the LGN while there is a grating, and their strengths.

    Of a cell that is twice as active spikes are twice as strong: so it is in the authors' program.
    `size` is that of changes, in parts of the mean; `phases`, of each cell, are in cycles.
    """
    high, low = 1 + size, 1 - size
    rate = np.full(phases.size, LGN_RATE)
    sources = []
    if not cycles:
        sources.append((low if " off@" in label else high, {"rate": rate}))
    period = 1e3 / FREQUENCY
    for half in range(2 * cycles + 2 if cycles else 0):
        begin = (half / 2 - phases) * period
        end = begin + period / 2
        own = np.where(end > 0, rate, 0.0)
        begin = np.where(end > 0, np.maximum(begin, 0.0), 0.0)
        duration = np.where(end > 0, end - begin, period)
        strength = high if half % 2 == 0 else low
        sources.append((strength, {"rate": own, "start": begin, "duration": duration}))
    return [source for source in sources if source[0] > 0]


def _excite(
    sim: Any, target: Any, name: str, receptor: str, strength: float, parameters: Mapping[str, Any]
) -> None:
    """Give each cell Poisson spikes of its own."""
    cells = sim.SpikeSourcePoisson(**parameters)
    source = sim.Population(target.size, cells, label=f"{name} {target.label}")
    synapse = sim.StaticSynapse(weight=_weight(strength, receptor), delay=DELAY)
    project(sim, source, target, sim.OneToOneConnector(), synapse, receptor)


def _weight(strength: float, receptor: str) -> float:
    """The peak of a conductance, uS, of the authors' strength."""
    rise, decay = RISE_DECAY["gaba" if receptor == "gaba" else "ampa"]
    peak = (rise / decay) ** (rise / (decay - rise)) / decay  # of the kernel, 1/ms
    return float(CM * strength * peak)


def _connect(
    sim: Any,
    populations: Mapping[str, Any],
    parts: Mapping[str, tuple[str, I64]],
    source: str,
    target: str,
    pairs: Iterator[tuple[I64, I64]],
    has_failures: bool,
) -> None:
    pre, post = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
    receptor = "gaba" if source == "I" else "glutamate"
    weight = _weight(STRENGTHS[_sign(source), _sign(target)], receptor)
    if "I" in (source, target):
        synapse = sim.StaticSynapse(weight=weight, delay=DELAY)
    elif has_failures:
        synapse = sim.SimpleStochasticSynapse(p=ARRIVES, weight=weight, delay=DELAY_EE)
    else:
        synapse = sim.StaticSynapse(weight=ARRIVES * weight, delay=DELAY_EE)
    sources, targets = (
        {label: members for label, (of, members) in parts.items() if of == kind}
        for kind in (source, target)
    )
    (part, number), (to_part, to_number) = map(_numbered, (sources, targets))
    pair = part[pre] * len(targets) + to_part[post]
    order = np.argsort(pair, kind="stable")
    ends = np.searchsorted(pair[order], np.arange(len(sources) * len(targets) + 1))
    for k, (label, to) in enumerate(product(sources, targets)):
        some = order[ends[k] : ends[k + 1]]
        if some.size:
            both = np.stack([number[pre[some]], to_number[post[some]]], axis=1)
            connector = sim.FromListConnector(both, column_names=[])
            project(sim, populations[label], populations[to], connector, synapse, receptor)


def _sign(kind: str) -> str:
    return "I" if kind == "I" else "E"


def _numbered(parts: Mapping[str, I64]) -> tuple[I64, I64]:
    """Of each cell of a kind, the part that it is in, and its number there."""
    members = np.concatenate(list(parts.values()))
    part, number = np.empty_like(members), np.empty_like(members)
    part[members] = np.repeat(np.arange(len(parts)), [len(m) for m in parts.values()])
    number[members] = np.concatenate([np.arange(len(m)) for m in parts.values()])
    return part, number


def _check(hypercolumns: int, stimulus: str, cycles: int, failures: str) -> None:
    for name, value, least in (("hypercolumns", hypercolumns, 1), ("cycles", cycles, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidValueError(f"{name} must be a whole number from {least}, not {value!r}")
    for name, text, known in (
        ("stimulus", stimulus, STIMULI), ("failures", failures, ("drawn", "mean")),
    ):  # fmt: skip
        if text not in known:
            raise InvalidValueError(f"{name} must be {' or '.join(known)}, not {text!r}")
    if cycles and stimulus == "background":
        raise InvalidValueError("cycles are of a grating: give stimulus=grating, too")


def published_rates(
    *, stimulus: str = "background", orientation: float = 0.0, cycles: int = 0, **_others: Any
) -> Mapping[str, float]:
    """Of the authors' network with these strengths, by their public table, spikes/s."""
    names: dict[int, str] = {}
    for angle in DOMAINS:
        away = (orientation - angle) % 180
        if stimulus == "background":
            names[angle] = "background"
        elif away in (0, 90):
            names[angle] = "preferred" if away == 0 else "orthogonal"
    kinds = tuple(SIDES) if stimulus == "background" or cycles else ("C", "I")
    return {
        f"{kind}@{angle}": rate
        for angle, name in names.items()
        for kind, rate in zip(SIDES, RATES[name], strict=True)
        if kind in kinds
    }


def statements(*, stimulus: str = "background", cycles: int = 0, **_others: Any) -> Sequence[str]:
    """What is to be said of the layer with these parameters."""
    if stimulus == "background":
        return ()
    if cycles:
        return (
            f"the grating drifts for {cycles * 1e3 / FREQUENCY:g} ms; then simple cells get no "
            "more from the LGN",
        )
    return (
        "the grating stands: the LGN's input is on for half of the simple cells and off for the "
        "others, where it would change 4 times a second for each",
    )

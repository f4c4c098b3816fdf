r"""Columns of the microcircuit side by side, with lateral synapses and a tuned thalamic input.

Each column is the microcircuit of Potjans & Diesmann (2014); a part of the synapses from L23E to
L23E and L23I comes from other columns instead, in-degrees stay as they are. A column prefers an
orientation. On a ring orientations follow each other; on a sheet they turn around the centres of
hypercolumns, which are mirrored in their neighbours. Layers 4 and 6 get Poisson spikes from the
thalamus, :math:`r(1+m\cos 2(\theta-\theta_p))` from each of its cells, with the thalamic in-degrees
of the microcircuit.

That lateral synapses join like orientations is a choice of ours, as are their numbers: the
microcircuit says nothing of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from .parameters import PD14
from .pd14 import Draws
from .scaling import scale as scale_circuit

F64 = NDArray[np.float64]

LAYOUTS = ("ring", "sheet")
SIDE = 4  # columns along a hypercolumn
LATERAL = {("L23E", "L23E"), ("L23I", "L23E")}  # (target, source)
NEGLIGIBLE = 5e-3  # share of lateral synapses below which a column sends none


def orientations(columns: int, layout: str = "ring") -> F64:
    """What columns prefer, degrees from 0 to 180; of a sheet, row by row.

    Examples
    --------
    >>> orientations(4).tolist()
    [0.0, 45.0, 90.0, 135.0]
    """
    if layout == "ring":
        return 180.0 * np.arange(columns) / columns
    row, column = np.divmod(np.arange(columns), _side(columns))
    sides = []
    for place in (row, column):
        number, inside = np.divmod(place, SIDE)
        from_centre = inside - (SIDE - 1) / 2
        sides.append(np.where(number % 2, -from_centre, from_centre))
    return np.asarray(np.degrees(np.arctan2(*sides)) / 2 % 180.0)


def shares(columns: int, layout: str, width: float, distance: float) -> F64:
    """Shares of a column's (row's) lateral synapses that come from each column; they add up to 1.

    Parameters
    ----------
    columns : int
    layout : {"ring", "sheet"}
    width : float
        Standard deviation over orientations, degrees.
    distance : float
        Standard deviation over a sheet, columns.
    """
    angles = orientations(columns, layout)
    apart = np.abs(angles[:, np.newaxis] - angles)
    apart = np.minimum(apart, 180.0 - apart)
    found = np.exp(-((apart / width) ** 2) / 2)
    if layout == "sheet":
        side = _side(columns)
        places = np.stack(np.divmod(np.arange(columns), side))
        steps = np.abs(places[:, :, np.newaxis] - places[:, np.newaxis])
        steps = np.minimum(steps, side - steps)  # its ends meet
        found *= np.exp(-(steps**2).sum(axis=0) / (2 * distance**2))
    found /= found.sum(axis=1, keepdims=True)
    found[found < NEGLIGIBLE] = 0.0
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _side(columns: int) -> int:
    side = math.isqrt(columns)
    if side**2 != columns or side % (2 * SIDE):
        raise InvalidValueError(
            f"a sheet is a square with a multiple of {2 * SIDE} columns along a side, such as "
            f"{(2 * SIDE) ** 2} or {(4 * SIDE) ** 2} in all, not {columns}"
        )
    return side


def build(
    sim: Any,
    *,
    columns: int = 16,
    layout: str = "ring",
    scale: float = 0.1,
    lateral: float = 0.3,
    width: float = 30.0,
    distance: float = 2.0,
    rate: float = 15.0,
    modulation: float = 0.5,
    orientation: float = 0.0,
    seed: int = 1,
) -> dict[str, Any]:
    """Build the columns in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    columns : int
    layout : {"ring", "sheet"}
    scale : float
        Of numbers of neurons and in-degrees, see `pd14`; the thalamic input is not scaled.
    lateral : float
        Part of the synapses from L23E to L23E and L23I that is spread over columns, 0 to 1.
    width, distance : float
        How far they are spread: standard deviations over orientations (degrees), and over a sheet
        (columns).
    rate : float
        Mean rate of a thalamic cell, spikes/s.
    modulation : float
        Of that by the orientation of the stimulus, 0 to 1.
    orientation : float
        Of the stimulus, degrees.
    seed : int
        Of the random numbers that are drawn here.

    Returns
    -------
    dict of str to Population
        By label, such as ``"L4E@7"`` for layer 4's excitatory neurons of column 7.

    Raises
    ------
    InvalidValueError
        For values that cannot be.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", model="cortical_sheet", columns=2, scale=0.02)
    >>> recording.populations[8:10]
    ('L23E@1', 'L23I@1')
    """
    _check(columns, layout, lateral=lateral, modulation=modulation)
    for name, value in (("width", width), ("distance", distance)):
        if not 0 < value < np.inf:
            raise InvalidValueError(f"{name} must be a number above 0, not {value!r}")
    if not 0 <= rate < np.inf:
        raise InvalidValueError(f"rate must be a number from 0 (spikes/s), not {rate!r}")
    circuit, labels = PD14, PD14.populations
    scaled, full = scale_circuit(circuit, scale, scale), scale_circuit(circuit)
    spread = shares(columns, layout, width, distance)
    rng = sim.NumpyRNG(seed=seed)
    draws = Draws(sim, rng, np.random.default_rng([seed, 0x1E]), None, False)
    made: dict[str, Any] = {}
    neuron = circuit.neuron.as_pynn()
    cells = [sim.IF_curr_exp(**neuron, i_offset=float(current)) for current in scaled.dc]
    v0 = zip(circuit.v0_optimized_mean, circuit.v0_optimized_sd, strict=True)
    initial = [sim.RandomDistribution("normal", mu=m, sigma=sd, rng=rng) for m, sd in v0]
    for p in range(columns):
        for i, label in enumerate(labels):
            population = sim.Population(scaled.sizes[i], cells[i], label=f"{label}@{p}")
            population.initialize(v=initial[i])
            made[population.label] = population

    def connect(source: str, target: str, i: int, j: int, n: float) -> None:
        excitatory = circuit.is_excitatory(j)
        if round(n):
            draws.connect(
                made[source],
                made[target],
                round(n),
                weight=float(scaled.weights[i, j]),
                delay=circuit.delay_exc if excitatory else circuit.delay_inh,
                receptor="excitatory" if excitatory else "inhibitory",
            )

    for p in range(columns):
        for i, target in enumerate(labels):
            for j, source in enumerate(labels):
                n = float(scaled.synapses[i, j])
                far = lateral if (target, source) in LATERAL else 0.0
                own = 1 - far + far * spread[p, p]
                connect(f"{source}@{p}", f"{target}@{p}", i, j, own * n)
                for q in np.flatnonzero(spread[p]).tolist() if far else ():
                    if q != p:
                        connect(f"{source}@{q}", f"{target}@{p}", i, j, far * spread[p, q] * n)

    angles = np.radians(orientations(columns, layout) - orientation)
    thalamic = rate * (1 + modulation * np.cos(2 * angles))
    in_degrees = full.thalamic_synapses / np.array(full.sizes)
    to_each = sim.OneToOneConnector()
    synapses = {
        name: sim.StaticSynapse(weight=weight, delay=circuit.delay_ext)
        for name, weight in (("background", scaled.weight_ext), ("thalamus", full.thalamic_weight))
    }
    background = [sim.SpikeSourcePoisson(rate=circuit.rate_ext * k) for k in scaled.k_ext]
    for p in range(columns):
        for i, label in enumerate(labels):
            sources = {"background": background[i]}
            own_rate = float(thalamic[p] * in_degrees[i])
            if own_rate:
                sources["thalamus"] = sim.SpikeSourcePoisson(rate=own_rate)
            target = made[f"{label}@{p}"]
            for name, cells_of in sources.items():
                source = sim.Population(target.size, cells_of, label=f"{name} {target.label}")
                sim.Projection(
                    source,
                    target,
                    to_each,
                    synapses[name],
                    receptor_type="excitatory",
                    label=f"{name}→{target.label}",
                )
    return made


def _check(columns: int, layout: str, **parts: float) -> None:
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise InvalidValueError(f"columns must be a whole number from 1, not {columns!r}")
    if layout not in LAYOUTS:
        raise InvalidValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    for name, value in parts.items():
        if not 0 <= value <= 1:
            raise InvalidValueError(f"{name} must be from 0 to 1, not {value!r}")


def selectivity(rates: Mapping[str, float], angles: Iterable[float]) -> dict[str, float]:
    r"""Orientation selectivity of populations over the columns of a ring.

    :math:`|\sum r e^{2i\theta}|/\sum r` over columns; a column's orientation is that of the
    stimulus that it prefers, so that one stimulus shows the tuning curve of all.

    Parameters
    ----------
    rates : dict of str to float
        By label, as `build` returns them.
    angles : iterable of float
        Orientations of the columns, degrees.

    Examples
    --------
    >>> selectivity({"L4E@0": 3.0, "L4E@1": 1.0}, [0.0, 90.0])
    {'L4E': 0.5}
    """
    turns = np.exp(2j * np.radians(np.asarray(list(angles))))
    by_layer: dict[str, F64] = {}
    for label, rate in rates.items():
        layer, _, column = label.partition("@")
        by_layer.setdefault(layer, np.zeros(turns.size))[int(column)] = rate
    return {
        layer: float(abs(values @ turns) / values.sum()) if values.sum() else float("nan")
        for layer, values in by_layer.items()
    }

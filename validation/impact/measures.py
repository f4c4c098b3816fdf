"""Numbers of a run that validation has no reference for: oscillations, coincidences, responses.

Responses are to thalamic pulses, `EVERY` ms apart: the population's rate around all of them
together, in bins of `BIN` ms. They begin where it is above what it is before by three standard
deviations, twice in a row, and are over where it is not for 2 ms, after the peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Recording, Spikes

from ..activity import LINEAR, LOGARITHM, OFFSET, Scale, Spectrum, active_neurons

FloatArray = NDArray[np.float64]

EVERY, FIRST, BIN = 100.0, 20.0, 0.5  # ms
EARLY = 20.0  # ms after a pulse in which spikes are counted
CALM = 4  # bins
DITHER = 15.0  # ms
WIDTH = 1e3 / 512  # Hz, of a bin of a spectrum
BANDS = {"low": (40.0, 150.0), "high": (200.0, 450.0)}  # Hz
"""Where the microcircuit has its two peaks, at about 80 and 320 Hz."""


@dataclass(frozen=True)
class Measure:
    """One number of a population and a run.

    Attributes
    ----------
    name, title, units : str
    scale : Scale
        On which it is compared.
    grain : float
        How exactly it is known, in its units: of times and frequencies, the width of a bin.
    is_of_response : bool
        Whether it is of the runs with pulses.
    """

    name: str
    title: str
    units: str
    scale: Scale = LINEAR
    grain: float = 0.0
    is_of_response: bool = False


MEASURES: Mapping[str, Measure] = {
    m.name: m
    for m in (
        Measure("low_frequency", "peak of 40 to 150 Hz, at", "Hz", grain=WIDTH),
        Measure("low_power", "peak of 40 to 150 Hz, power", "(spikes/s)²/Hz", LOGARITHM),
        Measure("high_frequency", "peak of 200 to 450 Hz, at", "Hz", grain=WIDTH),
        Measure("high_power", "peak of 200 to 450 Hz, power", "(spikes/s)²/Hz", LOGARITHM),
        Measure("coincidence", "active neurons per ms, distance from dithered spikes", ""),
        Measure("onset", "response begins after", "ms", grain=BIN, is_of_response=True),
        Measure("peak", "response, highest rate", "spikes/s", LOGARITHM, is_of_response=True),
        Measure("peak_time", "response is highest after", "ms", grain=BIN, is_of_response=True),
        Measure("spikes", "response, spikes of a neuron in 20 ms", "", is_of_response=True),
        Measure("recovery", "response is over after", "ms", grain=BIN, is_of_response=True),
    )
}


def of_spectrum(spectrum: Spectrum) -> dict[str, float]:
    """The highest power in each of the `BANDS`, and where it is.

    Examples
    --------
    >>> spectrum = Spectrum(np.arange(500.0), np.where(np.arange(500) == 80, 2.0, 1.0))
    >>> found = of_spectrum(spectrum)
    >>> found["low_frequency"], found["low_power"]
    (80.0, 2.0)
    """
    found = {}
    for name, (low, high) in BANDS.items():
        inside = np.flatnonzero((spectrum.frequencies >= low) & (spectrum.frequencies <= high))
        if inside.size and spectrum.power[inside].any():
            best = inside[np.argmax(spectrum.power[inside])]
            found[f"{name}_frequency"] = float(spectrum.frequencies[best])
            found[f"{name}_power"] = float(spectrum.power[best])
    return found


def coincidence(spikes: Spikes, t_start: float, t_stop: float, seed: int) -> float:
    """How far numbers of active neurons are from those of dithered spikes: total variation.

    Every spike is moved by up to 15 ms, at random: rates stay, coincidences go (Gruen et al. 2008,
    doi:10.1007/978-0-387-71078-5_3).

    Examples
    --------
    >>> together = Spikes(np.repeat(np.arange(10.0, 900.0, 50.0), 20), np.tile(np.arange(20), 18))
    >>> coincidence(together, 0.0, 1000.0, seed=1) > 0.2
    True
    """
    rng = np.random.default_rng([seed, 0xD1])
    times = spikes.times + rng.uniform(-DITHER, DITHER, spikes.times.size)
    order = np.argsort(times, kind="stable")
    inside = order[(times[order] > t_start + 0.1) & (times[order] < t_stop)]
    moved = Spikes(times[inside], spikes.neurons[inside])
    counts = [
        np.bincount(active_neurons(s, t_start, t_stop)).astype(float) for s in (spikes, moved)
    ]
    longest = max(c.size for c in counts)
    first, second = (np.pad(c, (0, longest - c.size)) / c.sum() for c in counts)
    return float(np.abs(first - second).sum() / 2)


def whole(recording: Recording, population: str) -> Spikes:
    """All spikes of a population."""
    pieces = list(recording.pieces(population))
    return Spikes(
        np.concatenate([p.times for p in pieces] or [np.empty(0)]),
        np.concatenate([p.neurons for p in pieces] or [np.empty(0, np.int64)]),
    )


def around_pulses(times: FloatArray, n_neurons: int, t_start: float, t_stop: float) -> FloatArray:
    """The rate of a population around pulses, spikes/s, from `FIRST` ms before them.

    Parameters
    ----------
    times : array
        Spikes of the population, ms.
    n_neurons : int
    t_start, t_stop : float
        ms: so many times `EVERY` apart as there were pulses, the first at t_start + `FIRST`.

    Returns
    -------
    array, shape (EVERY / BIN,)
    """
    bins = round(EVERY / BIN)
    # edges lie between the points of the time grid, as those of other statistics
    place = (((times - t_start - OFFSET) % EVERY) / BIN).astype(int)
    inside = (times > t_start) & (times <= t_stop)
    counts = np.bincount(place[inside], minlength=bins)[:bins]
    pulses = (t_stop - t_start) / EVERY
    rate: FloatArray = counts / (pulses * n_neurons * BIN * 1e-3)
    return rate


def of_response(rate: FloatArray) -> dict[str, float]:
    """When a response begins, how high it is and when, its spikes, and when it is over.

    Parameters
    ----------
    rate : array
        As `around_pulses` gives it.

    Returns
    -------
    dict of str to float
        Times are not numbers where nothing responds.

    Examples
    --------
    >>> rate = np.full(200, 5.0) + 0.1 * (np.arange(200) % 2)
    >>> rate[46:56] = 50.0
    >>> found = of_response(rate)
    >>> found["onset"], found["peak"], found["recovery"], round(found["spikes"], 3)
    (3.0, 50.0, 8.0, 0.225)
    """
    start = round(FIRST / BIN)
    before, after = rate[:start], rate[start:]
    base = float(before.mean())
    above = after > base + 3 * max(float(before.std(ddof=1)), 1e-9)
    twice = np.flatnonzero(above[:-1] & above[1:])
    early = after[: round(EARLY / BIN)]
    highest = int(np.argmax(after))
    found = {
        "onset": np.nan,
        "peak": float(after[highest]),
        "peak_time": highest * BIN,
        "spikes": float((early - base).sum() * BIN * 1e-3),
        "recovery": np.nan,
    }
    if twice.size:
        found["onset"] = float(twice[0] * BIN)
        calm = np.convolve(above[highest:], np.ones(CALM), "valid") == 0
        if calm.any():
            found["recovery"] = float((highest + np.argmax(calm)) * BIN)
    return found

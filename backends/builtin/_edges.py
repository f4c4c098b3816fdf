"""The synapses of one projection: drawn again whenever they are needed, or listed.

The microcircuit's 3e8 synapses are never held as a list of edges. A projection whose connector
and parameters can be drawn by compiled code (`Drawn`) keeps the recipe and each source's
out-degree; the draws are those of `portable_cortex.pynn.draws.draw_edges`, bit by bit. All
others are `Listed` as arrays.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from portable_cortex.pynn.draws import (
    DELAY,
    SOURCE,
    TARGET,
    WEIGHT,
    Edges,
    itself,
    quantile_function,
)
from portable_cortex.pynn.grid import delay_steps, nearest_steps
from portable_cortex.pynn.values import is_number, is_random, number
from portable_cortex.pynn.weights import in_format

from ._llvm import bits_of, float_of
from ._normal import normal_weights, segments
from ._philox import UNIT, two_uniforms, uniform
from ._workers import in_parallel

NORMAL = {"normal", "normal_clipped", "normal_clipped_to_boundary"}
GUIDE = 4096  # equal parts of (0, 1), each with the first delay that it may mean
NO_SEGMENTS = np.empty(0)


@dataclass(frozen=True)
class Listed:
    """Synapses as arrays, ordered by source.

    Attributes
    ----------
    starts : array of int64, shape (n_pre + 1,)
        Where the synapses of each source begin.
    targets, steps : arrays of int32
        Index of the target; delay in time steps.
    weights : array of float64
        nA or uS.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.float64]
    steps: NDArray[np.int32]

    @classmethod
    def of(
        cls, n_pre: int, sources: Any, targets: Any, weights: Any, delays: Any, timestep: float
    ) -> Listed:
        """From columns in any order; delays in ms."""
        sources = np.asarray(sources, np.int64)
        order = np.argsort(sources, kind="stable")
        starts = np.zeros(n_pre + 1, np.int64)
        np.cumsum(np.bincount(sources, minlength=n_pre), out=starts[1:])
        steps = delay_steps(delays, timestep)
        return cls(
            starts,
            np.asarray(targets, np.int32)[order],
            np.asarray(weights, np.float64)[order],
            steps[order],
        )

    @property
    def size(self) -> int:
        """Number of synapses."""
        return int(self.targets.size)

    @property
    def single(self) -> bool:
        """Whether float32 holds all weights exactly."""
        return bool(np.all(self.weights.astype(np.float32) == self.weights))

    def possible_steps(self) -> NDArray[np.int64]:
        """Delays that occur, in time steps."""
        return np.unique(self.steps).astype(np.int64)

    def edges(self, timestep: float) -> Edges:
        """All synapses as `draw_edges` gives them."""
        sources = np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))
        delays = np.round(self.steps * timestep, 9)
        return Edges(sources, self.targets.astype(np.int64), self.weights, delays)

    @property
    def out_degrees(self) -> NDArray[np.int64]:
        """Synapses of each source."""
        return np.diff(self.starts)

    def append(self, sources: Any, rows: Any, ends: Any, where: Any, buffer: Any) -> None:
        """Write the synapses of some sources into a buffer of `_synapses`, at the rows' ends."""
        columns = (self.starts, self.targets, self.weights, self.steps)
        _append_listed(sources, rows, ends, *columns, *where, *buffer)


@dataclass(frozen=True)
class Drawn:
    """A fixed total number of synapses with normally distributed or constant parameters.

    Attributes
    ----------
    starts : array of int64, shape (n_pre + 1,)
        Number of each source's first synapse.
    integers : tuple
        Keys of target, weight and delay, number of possible targets, whether a source skips itself.
    weight : tuple of float
        Mean, SD, probability below the lower bound, probability between the bounds, the bounds;
        significant bits that are drawn, 24 or 8. Where the SD is 0 all weights are the mean.
    limits : array of float64
        Uniform numbers below ``limits[i]`` mean a delay of ``shortest + i`` steps or less.
    guide : array of int32
        First candidate in `limits` for each part of (0, 1).
    shortest : int
        Smallest delay, time steps.
    """

    starts: NDArray[np.int64]
    integers: tuple[Any, ...]
    weight: tuple[float, ...]
    limits: NDArray[np.float64]
    guide: NDArray[np.int32]
    shortest: int

    @property
    def size(self) -> int:
        """Number of synapses."""
        return int(self.starts[-1])

    @property
    def single(self) -> bool:
        """Whether float32 holds all weights exactly: those that are drawn are rounded to it."""
        mean, sd = self.weight[:2]
        return sd > 0 or float(np.float32(mean)) == mean

    def expected_of_sign(self, sign: int) -> float:
        """How many weights are expected to be below 0 (`sign` -1) or above 0 (1)."""
        from scipy.special import ndtr

        mean, sd, below, between, low, high, _ = self.weight
        if sd == 0:
            return float(self.size) if mean * sign > 0 else 0.0
        if (low >= 0 and sign < 0) or (high <= 0 and sign > 0):
            return 0.0
        up_to_zero = float(ndtr(-mean / sd)) - below
        share = up_to_zero if sign < 0 else between - up_to_zero
        return self.size * share / between

    def possible_steps(self) -> NDArray[np.int64]:
        """Delays that may occur, in time steps."""
        return self.shortest + np.arange(self.limits.size)

    def edges(self, timestep: float) -> Edges:
        """All synapses as `draw_edges` gives them."""
        targets, steps = (np.empty(self.size, np.int32) for _ in range(2))
        weights = np.empty(self.size)
        _draw_all(self._recipe(), targets, steps, weights)
        if self.integers[5]:
            targets += targets >= np.repeat(np.arange(self.starts.size - 1), self.out_degrees)
        return Listed(self.starts, targets, weights, steps + self.shortest).edges(timestep)

    @property
    def out_degrees(self) -> NDArray[np.int64]:
        """Synapses of each source."""
        return np.diff(self.starts)

    def append(self, sources: Any, rows: Any, ends: Any, where: Any, buffer: Any) -> None:
        """Write the synapses of some sources into a buffer of `_synapses`, at the rows' ends."""
        _append_drawn(sources, rows, ends, self._recipe(), self.shortest, *where, *buffer)

    def _recipe(self) -> tuple[Any, ...]:
        normal = segments() if self.weight[1] else NO_SEGMENTS
        return self.starts, self.integers, self.weight, normal, self.limits, self.guide


def drawn(
    connector: Any,
    parameters: Any,
    pre: Any,
    post: Any,
    *,
    seed: int,
    item: int,
    timestep: float,
    workers: int,
    rounded: bool,
    weight_format: str,
) -> Drawn | None:
    """The recipe of a projection, or None where compiled code cannot draw it.

    A weight that is one for all is rounded to float32 if this is asked for; those that are drawn
    are. All are in the format that is asked for.
    """
    if type(connector).__name__ != "FixedTotalNumberConnector" or not connector.with_replacement:
        return None
    if connector.allow_self_connections not in (True, False) or connector.location_selector:
        return None
    if not isinstance(connector.n, int | np.integer):
        return None
    weight, delay = (_normal(parameters[name]) for name in ("weight", "delay"))
    own = itself(connector, pre, post)
    not_self = own is not None and np.array_equal(own, np.arange(post.size))
    n_post = post.size - not_self
    if own is not None and not not_self:
        return None  # some, but not all, sources are targets
    if weight is None or delay is None or (connector.n and not n_post):
        return None
    key0 = np.uint64(seed)
    key = {q: np.uint64(item * 16 + q) for q in (SOURCE, TARGET, WEIGHT, DELAY)}
    counts = in_parallel(workers, _out_degrees, workers, key0, key[SOURCE], connector.n, pre.size)
    starts = np.zeros(pre.size + 1, np.int64)
    np.cumsum(np.sum(counts, axis=0, dtype=np.int64), out=starts[1:])
    mean, sd, *others = weight
    if sd == 0:
        mean = float(in_format(float(np.float32(mean)) if rounded else mean, weight_format))
    value = parameters["delay"]
    if is_random(value):
        distribution = value.base_value
        known = tuple((name, float(p)) for name, p in distribution.parameters.items())
        shortest, limits = _delay_limits(distribution.name, known, timestep)
    else:
        shortest, limits = int(nearest_steps(number(value), timestep)), np.array([np.inf])
    guide = np.searchsorted(limits, np.arange(GUIDE) / GUIDE, side="right").astype(np.int32)
    integers = (key0, key[TARGET], key[WEIGHT], key[DELAY], np.int64(n_post), bool(not_self))
    bits = 24.0 if weight_format == "full" else 8.0
    return Drawn(starts, integers, (mean, sd, *others, bits), limits, guide, shortest)


def _normal(value: Any) -> tuple[float, ...] | None:
    """Constant and normal parameters in one form; None for others."""
    if value.operations and is_random(value):
        return None
    if is_random(value):
        distribution = value.base_value
        if distribution.name not in NORMAL:
            return None
        from scipy.special import ndtr

        p = distribution.parameters
        mean, sd = float(p["mu"]), float(p["sigma"])
        low, high = float(p.get("low", -np.inf)), float(p.get("high", np.inf))
        below, above = 0.0, 1.0
        if distribution.name == "normal_clipped":
            if sd == 0:
                low, high = -np.inf, np.inf
            else:
                below, above = float(ndtr((low - mean) / sd)), float(ndtr((high - mean) / sd))
        return mean, sd, below, above - below, low, high
    if not is_number(value):
        return None
    return number(value), 0.0, 0.0, 1.0, -np.inf, np.inf


@functools.lru_cache(maxsize=16)  # many projections have the same delays
def _delay_limits(
    name: str, parameters: tuple[tuple[str, float], ...], timestep: float
) -> tuple[int, NDArray[np.float64]]:
    """The smallest delay, and where in (0, 1) each delay ends, by bisection."""
    quantiles = quantile_function(SimpleNamespace(name=name, parameters=dict(parameters)))

    def steps(u: NDArray[Any]) -> NDArray[np.float64]:
        return nearest_steps(quantiles(u), timestep)

    ends = np.array([0, 2**52 - 1], np.int64)
    shortest, longest = steps(ends * 2.0**-52 + 2.0**-53)
    wanted = np.arange(shortest, longest)
    low = np.full(wanted.size, -1)  # the largest number known to mean no longer delay
    high = np.full(wanted.size, 2**52 - 1)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        within = steps(middle * 2.0**-52 + 2.0**-53) <= wanted
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return int(shortest), np.append(high * 2.0**-52 + 2.0**-53, np.inf)


# --- compiled -------------------------------------------------------------------------------------

BATCH = 1024  # draws made at a time
U64 = np.uint64


@njit(inline="always")
def _index(u: float, size: float) -> Any:
    """Which of `size` equal parts of (0, 1) a number is in."""
    return U64(np.int64(u * size))


@njit(cache=True, nogil=True)
def _out_degrees(worker: int, workers: int, key0: Any, key1: Any, n: int, n_pre: int) -> Any:
    # of 4 bytes: more of them are in the cache, and a source has fewer than 2^31 synapses
    counts, u, sources = np.zeros(n_pre, np.int32), np.empty(BATCH), np.empty(BATCH, np.int32)
    for begin in range(worker * BATCH, n, workers * BATCH):
        uniform(key0, key1, begin >> 2, u)
        _to_indices(u, n_pre, sources)
        for i in range(min(BATCH, n - begin)):
            counts[U64(sources[U64(i)])] += np.int32(1)
    return counts


@njit(cache=True, nogil=True)
def _to_indices(u: Any, n: int, indices: Any) -> None:
    """Uniform numbers become indices below `n`."""
    for k in range(u.size):
        i = U64(k)
        indices[i] = np.int32(u[i] * np.float64(n))


@njit(cache=True, nogil=True)
def _to_delays(u: Any, limits: Any, guide: Any, delays: Any) -> None:
    """Uniform numbers become delays beyond the shortest, time steps."""
    for k in range(u.size):
        i = U64(k)
        delay = U64(guide[_index(u[i], GUIDE)])
        while u[i] >= limits[delay]:
            delay += U64(1)
        delays[i] = delay


@njit(cache=True, nogil=True)
def _bfloat16(weight: Any) -> Any:
    """What `in_format` makes of a float32."""
    bits = bits_of(weight)
    last = (bits >> np.uint32(16)) & np.uint32(1)
    return float_of(np.uint32(bits + np.uint32(0x7FFF) + last) & np.uint32(0xFFFF0000))


@njit(cache=True, nogil=True)
def _space() -> Any:
    """Where synapses are drawn: numbers, targets, delays, weights."""
    numbers = np.empty((2, BATCH))
    return numbers[0], numbers[1], np.empty(BATCH, np.int32), np.empty(BATCH, np.int32)


@njit(cache=True, nogil=True)
def _draw(begin: int, end: int, recipe: Any, space: Any) -> Any:
    """Draw synapses of a projection from a multiple of four on, a batch at most.

    Returns
    -------
    targets, delays, weights : arrays
        Parts of `space`; targets as if a source might choose itself, delays beyond the shortest.
    """
    _, (key0, of_target, of_weight, of_delay, n, _), weight, table, limits, guide = recipe
    size, block = -(-(end - begin) // (4 * UNIT)) * (4 * UNIT), begin >> 2
    a, b, targets, delays = space[0][:size], space[1][:size], space[2][:size], space[3][:size]
    two_uniforms(key0, of_target, block, a, of_delay, block, b)
    _to_indices(a, n, targets)
    _to_delays(b, limits, guide, delays)
    if weight[1] == 0.0:
        b[:] = weight[0]
    else:
        uniform(key0, of_weight, block, a)
        normal_weights(a, weight[:6], table, b)
        if weight[6] == 8.0:
            for k in range(b.size):
                b[U64(k)] = np.float64(_bfloat16(np.float32(b[U64(k)])))
    return targets, delays, b


@njit(cache=True, nogil=True)
def _draw_all(recipe: Any, targets: Any, delays: Any, weights: Any) -> None:
    space = _space()
    for begin in range(0, targets.size, BATCH):
        size = min(BATCH, targets.size - begin)
        drawn = _draw(begin, begin + size, recipe, space)
        for i in range(size):
            targets[begin + i] = drawn[0][i]
            delays[begin + i] = drawn[1][i]
            weights[begin + i] = drawn[2][i]


@njit(cache=True, nogil=True)
def _write(
    targets: Any, delays: Any, drawn: Any, itself: int, shortest: int, owner: Any, place: Any,
    columns: Any, shifts: Any, n_columns: int, keys: Any, places: Any, weights: Any,
) -> None:  # fmt: skip
    """Write synapses of one source, not on to itself."""
    for k in range(targets.size):
        i = U64(k)
        target = targets[i] + np.int32(targets[i] >= itself)
        delay = U64(shortest + delays[i])
        keys[i] = np.int32(owner[U64(target)]) * np.int32(n_columns) + columns[delay]
        places[i] = place[U64(target)] + shifts[delay]
        weights[i] = drawn[i]


@njit(cache=True, nogil=True)
def _append_drawn(
    sources: Any, rows: Any, ends: Any, recipe: Any, shortest: int,
    owner: Any, place: Any, columns: Any, shifts: Any, n_columns: int,
    keys: Any, places: Any, weights: Any,
) -> None:  # fmt: skip
    starts, not_self, space = recipe[0], recipe[1][5], _space()
    first = last = 0  # what is drawn: mostly of the sources that follow, too
    drawn = _draw(first, last, recipe, space)
    for k in range(sources.size):
        source = sources[k]
        begin, end, at = starts[source], starts[source + 1], ends[rows[k]]
        while begin < end:
            if not first <= begin < last:
                first = begin & ~3
                last = min(first + BATCH, max(end, starts[sources[-1] + 1]))
                drawn = _draw(first, last, recipe, space)
            n = min(end, last) - begin
            part, own = slice(begin - first, begin - first + n), slice(at, at + n)
            _write(
                drawn[0][part], drawn[1][part], drawn[2][part],
                source if not_self else 2**31 - 1, shortest, owner, place, columns, shifts,
                n_columns, keys[own], places[own], weights[own],
            )  # fmt: skip
            begin += n
            at += n
        ends[rows[k]] = at


@njit(cache=True, nogil=True)
def _append_listed(
    sources: Any, rows: Any, ends: Any,
    starts: Any, targets: Any, all_weights: Any, steps: Any,
    owner: Any, place: Any, columns: Any, shifts: Any, n_columns: int,
    keys: Any, places: Any, weights: Any,
) -> None:  # fmt: skip
    for k in range(sources.size):
        source, at = sources[k], ends[rows[k]]
        for i in range(starts[source], starts[source + 1]):
            keys[at] = np.int64(owner[targets[i]]) * n_columns + columns[steps[i]]
            places[at] = place[targets[i]] + shifts[steps[i]]
            weights[at] = all_weights[i]
            at += 1
        ends[rows[k]] = at

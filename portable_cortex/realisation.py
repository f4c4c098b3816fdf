"""The `shared` realisation: one random network, identical for every backend.

A counter-based generator (Philox 4x64) is keyed by (seed, object, quantity), where the object is
the n-th projection or population of the model. Draw number i of a key is a pure function of key
and i, so any part of the network can be drawn by anybody, in any order, on any number of threads.
Numbers become values by inverse distribution functions, one draw a value.

Synapses of a projection are ordered by source. Their weights are rounded to float32, their
delays to the time grid, so that backends of different precision can hold exactly the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValueError, UnsupportedError
from .model_checks import check_edges

FloatArray = NDArray[np.float64]

CHUNK = 1 << 18
"""Draws made at a time: few enough that intermediate results stay in the cache."""

# The quantities that are drawn for one object.
SOURCE, TARGET, WEIGHT, DELAY, STATE = range(5)


class Edges(NamedTuple):
    """Synapses of one projection, ordered by source.

    Attributes
    ----------
    sources, targets : arrays of int64
        Indices within the pre- and postsynaptic population.
    weights : array of float64
        Values representable in float32, nA or uS.
    delays : array of float64
        Multiples of the time step, ms.
    """

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: FloatArray
    delays: FloatArray


class Stream:
    """Draws of one key, addressed by their number.

    Examples
    --------
    >>> stream = Stream(seed=1, item=3, quantity=WEIGHT)
    >>> bool((stream.uniform(10)[5:] == stream.uniform(5, start=5)).all())
    True
    """

    def __init__(self, seed: int, item: int, quantity: int) -> None:
        self._key = np.array([seed, item * 16 + quantity], dtype=np.uint64)

    def uniform(self, n: int, start: int = 0) -> FloatArray:
        """Draws number `start` to `start + n`, uniform in the open interval (0, 1)."""
        generator = np.random.Philox(key=self._key)
        generator.advance(start // 4)  # four draws a counter value
        raw = generator.random_raw(n + start % 4)[start % 4 :]
        # the upper 52 bits, at the middle of their interval
        return (raw >> np.uint64(12)).astype(np.float64) * 2.0**-52 + 2.0**-53

    def chunks(self, n: int) -> Iterator[tuple[slice, FloatArray]]:
        """All draws up to `n`, a chunk at a time."""
        for start in range(0, n, CHUNK):
            stop = min(start + CHUNK, n)
            yield slice(start, stop), self.uniform(stop - start, start)

    def integers(self, n: int, high: int) -> NDArray[np.int64]:
        """`n` integers from 0 to ``high - 1``."""
        drawn = np.empty(n, dtype=np.int64)
        for part, uniform in self.chunks(n):
            drawn[part] = uniform * high
        return drawn

    def values(self, n: int, quantile: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """`n` values of the distribution with this quantile function."""
        drawn = np.empty(n)
        for part, uniform in self.chunks(n):
            drawn[part] = quantile(uniform)
        return drawn


def quantile_function(distribution: Any) -> Callable[[FloatArray], FloatArray]:
    """Inverse distribution function of a PyNN ``RandomDistribution``.

    Raises
    ------
    UnsupportedError
        For a distribution that PyNN does not have either.
    """
    from scipy import special  # slow to import, and not everywhere that a job runs

    name, p = distribution.name, distribution.parameters

    def from_stats(u: FloatArray, family: str, *shape: float, scale: float = 1.0) -> FloatArray:
        from scipy import stats  # slower still

        return np.asarray(getattr(stats, family)(*shape).ppf(u)) * scale

    def normal(u: FloatArray) -> FloatArray:
        return np.asarray(p["mu"] + p["sigma"] * special.ndtri(u))

    def normal_clipped(u: FloatArray) -> FloatArray:
        if p["sigma"] == 0:
            return np.full_like(u, p["mu"])
        low, high = (special.ndtr((p[bound] - p["mu"]) / p["sigma"]) for bound in ("low", "high"))
        return np.clip(normal(low + u * (high - low)), p["low"], p["high"])

    functions: dict[str, Callable[[FloatArray], FloatArray]] = {
        "normal": normal,
        "normal_clipped": normal_clipped,
        "normal_clipped_to_boundary": lambda u: np.clip(normal(u), p["low"], p["high"]),
        "lognormal": lambda u: np.exp(normal(u)),
        "uniform": lambda u: p["low"] + u * (p["high"] - p["low"]),
        "uniform_int": lambda u: np.floor(p["low"] + u * (p["high"] - p["low"])),
        "exponential": lambda u: -p["beta"] * np.log(u),
        "gamma": lambda u: from_stats(u, "gamma", p["k"], scale=p["theta"]),
        "poisson": lambda u: from_stats(u, "poisson", p["lambda_"]),
        "binomial": lambda u: from_stats(u, "binom", p["n"], p["p"]),
    }
    try:
        return functions[name]
    except KeyError:
        raise UnsupportedError(
            f"distribution {name!r} cannot be drawn: valid are {', '.join(functions)}"
        ) from None


def is_random(value: Any) -> bool:
    """Whether a PyNN parameter (a ``LazyArray``) is drawn from a ``RandomDistribution``."""
    return hasattr(value.base_value, "lazily_evaluate") and hasattr(value.base_value, "rng")


def draw_edges(
    connector: Any, synapse: Any, pre: Any, post: Any, *, seed: int, item: int, timestep: float
) -> Edges:
    """Draw the synapses of one projection.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
        All-to-all, one-to-one, fixed probability, fixed number (pre, post, total) or a list.
    synapse : pyNN synapse type
        Its weight and delay may be constants, random distributions or arrays.
    pre, post : PyNN Population, PopulationView or Assembly
    seed, item : int
        Key of the draws: the realisation's seed and the projection's number.
    timestep : float
        Grid for the delays, ms.

    Raises
    ------
    UnsupportedError
        For a connector or a parameter that is not in the list above.
    """
    given: dict[str, FloatArray] = {}
    from pyNN.connectors import FromListConnector  # slow to import: whoever draws has it already

    if isinstance(connector, FromListConnector):
        rows, columns = listed_synapses(connector)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        sources, targets = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        given = {name: rows[:, 2 + i] for i, name in enumerate(columns)}
    else:
        sources, targets = _pairs(connector, pre, post, seed, item)

    def parameter(name: str, quantity: int) -> FloatArray:
        if name in given:
            return given[name]
        value = synapse.parameter_space[name]
        shape = (pre.size, post.size)
        return evaluate(
            value,
            sources.size,
            Stream(seed, item, quantity),
            lambda: _dense(value, name, (sources, targets), shape),
        )

    weights, delays = parameter("weight", WEIGHT), parameter("delay", DELAY)
    check_edges(weight=weights, delay=delays)
    steps = np.maximum(np.round(delays / timestep), 1.0)
    return Edges(
        sources,
        targets,
        weights.astype(np.float32).astype(np.float64),
        np.round(steps * timestep, 9),
    )


_BY_PAIR = ("AllToAllConnector", "FixedProbabilityConnector")  # decide for each pair of neurons


def _pairs(
    connector: Any, pre: Any, post: Any, seed: int, item: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kind = type(connector).__name__
    allow_self = getattr(connector, "allow_self_connections", True)
    if allow_self not in (True, False):
        raise UnsupportedError(
            f"the shared realisation cannot draw {kind} with allow_self_connections={allow_self!r}"
        )
    if getattr(connector, "location_selector", None) is not None:
        raise UnsupportedError("the shared realisation knows no locations on a cell")
    # Where a neuron may not choose itself there is one partner less, and the partners from the
    # neuron itself on are counted one further.
    own = itself(connector, pre, post)
    not_self = own is not None and np.array_equal(own, np.arange(post.size))
    different = is_without_replacement(connector)
    if own is not None and not not_self and kind not in _BY_PAIR and not different:
        raise UnsupportedError(
            f"the shared realisation cannot draw {kind} with allow_self_connections=False between "
            "populations that have some of their neurons in common"
        )
    n_pre, n_post = pre.size - not_self, post.size - not_self
    source_draws = Stream(seed, item, SOURCE)
    target_draws = Stream(seed, item, TARGET)

    def skip_self(own: Any, other: NDArray[np.int64]) -> NDArray[np.int64]:
        return other + (other >= own) if not_self else other

    if kind == "OneToOneConnector":
        index = np.arange(min(pre.size, post.size))
        return index, index
    if kind == "FixedTotalNumberConnector" and connector.with_replacement:
        degrees = np.zeros(pre.size, dtype=np.int64)
        for _, uniform in source_draws.chunks(_number(connector, n_post)):
            degrees += np.bincount((uniform * pre.size).astype(np.int64), minlength=pre.size)
        sources = np.repeat(np.arange(pre.size), degrees)
        return sources, skip_self(sources, target_draws.integers(sources.size, n_post))
    if different:
        return different_pairs(source_draws, connector, pre, post)
    if kind == "FixedNumberPostConnector":
        n = _number(connector, n_post)
        sources = np.repeat(np.arange(pre.size), n)
        chosen = _choose(target_draws, pre.size, n, n_post, connector.with_replacement)
        return sources, skip_self(sources, chosen)
    if kind == "FixedNumberPreConnector":
        n = _number(connector, n_pre)
        targets = np.repeat(np.arange(post.size), n)
        chosen = _choose(source_draws, post.size, n, n_pre, connector.with_replacement)
        return _by_source(skip_self(targets, chosen), targets)
    if kind in _BY_PAIR:
        probability = getattr(connector, "p_connect", 1.0)
        hits: list[NDArray[np.intp]] = []
        for source in range(pre.size):
            hit = target_draws.uniform(post.size, source * post.size) < probability
            if own is not None and own[source] >= 0:
                hit[own[source]] = False
            hits.append(np.flatnonzero(hit))
        return np.repeat(np.arange(pre.size), [h.size for h in hits]), np.concatenate(hits)
    raise UnsupportedError(
        f"the shared realisation cannot draw {kind}: it draws AllToAll, OneToOne, "
        "FixedProbability, FixedNumberPre, FixedNumberPost, FixedTotalNumber, "
        "FromList and FromFile connectors; use realisation 'native'"
    )


def is_without_replacement(connector: Any) -> bool:
    """Whether a connector is to make a total number of synapses, each of another pair."""
    kind = type(connector).__name__
    return kind == "FixedTotalNumberConnector" and not connector.with_replacement


def different_pairs(
    stream: Stream, connector: Any, pre: Any, post: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many different pairs of neurons as `connector` asks for, ordered by source.

    All sets of pairs are equally likely. PyNN's own connector ignores that they are to differ.

    Parameters
    ----------
    stream : Stream
    connector : FixedTotalNumberConnector
        One that `is_without_replacement`.
    pre, post : PyNN Population, PopulationView or Assembly

    Raises
    ------
    InvalidValueError
        If there are not so many.
    """
    n = int(connector.n if isinstance(connector.n, int | np.integer) else connector.n.next())
    own = itself(connector, pre, post)
    places = np.full(pre.size, -1) if own is None else own
    starts = np.concatenate([[0], np.cumsum(post.size - (places >= 0))])
    possible = int(starts[-1])
    if n > possible:
        raise InvalidValueError(
            f"FixedTotalNumberConnector without replacement: {n} synapses were asked for, and "
            f"there are {possible} different pairs of neurons"
        )
    if 2 * n > possible:  # choose those that are left out
        left = np.ones(possible, dtype=bool)
        left[_first_different(stream, possible - n, possible)] = False
        chosen = np.flatnonzero(left)
    else:
        chosen = np.sort(_first_different(stream, n, possible))
    sources = np.searchsorted(starts, chosen, side="right") - 1
    targets = chosen - starts[sources]
    skipped = (places[sources] >= 0) & (targets >= places[sources])
    return sources, targets + skipped


def _first_different(stream: Stream, n: int, high: int) -> NDArray[np.int64]:
    """The first `n` different ones of a sequence of random numbers below `high`."""
    drawn = n
    while n:
        numbers, first = np.unique(stream.integers(drawn, high), return_index=True)
        if numbers.size >= n:
            return numbers[np.argsort(first)[:n]]
        drawn *= 2
    return np.empty(0, dtype=np.int64)


def itself(connector: Any, pre: Any, post: Any) -> NDArray[np.int64] | None:
    """Index of each source among the targets, -1 for those that are not there.

    None where that does not matter: self-connections are allowed, or no source is a target.
    """
    if getattr(connector, "allow_self_connections", True):
        return None
    if pre == post:
        return np.arange(post.size)
    places = {int(cell): index for index, cell in enumerate(post.all_cells)}
    found = np.array([places.get(int(cell), -1) for cell in pre.all_cells], np.int64)
    return found if np.any(found >= 0) else None


def _number(connector: Any, n_partners: int) -> int:
    kind = type(connector).__name__
    if not isinstance(connector.n, int | np.integer):
        raise UnsupportedError(
            f"the shared realisation cannot draw {kind} with a random number of connections: "
            f"n must be an integer, not {connector.n}"
        )
    if connector.n and not n_partners:
        raise UnsupportedError(f"{kind}: a single neuron has no other to connect to")
    return int(connector.n)


def listed_synapses(connector: Any) -> tuple[FloatArray, tuple[str, ...]]:
    """Rows of a FromList or FromFile connector, and the names of their columns after two indices.

    Parameters
    ----------
    connector : pyNN.connectors.FromListConnector

    Returns
    -------
    array, shape (synapses, 2 + columns)
    tuple of str
    """
    if hasattr(connector, "file"):
        columns = connector.file.get_metadata().get("columns", ("weight", "delay"))
        columns, rows = tuple(c for c in columns if c not in ("i", "j")), connector.file.read()
    else:
        columns, rows = tuple(connector.column_names), connector.conn_list
    return np.asarray(rows, dtype=float).reshape(-1, 2 + len(columns)), columns


def _choose(
    stream: Stream, n_rows: int, n: int, size: int, with_replacement: bool
) -> NDArray[np.int64]:
    """For each row `n` out of `size`, concatenated."""
    if with_replacement:
        return stream.integers(n_rows * n, size)
    if n > size:
        raise UnsupportedError(
            f"the shared realisation cannot choose {n} of {size} neurons without replacement"
        )
    # the n smallest of `size` random numbers are a random choice
    chosen = np.empty((n_rows, n), dtype=np.int64)
    for row in range(n_rows if n else 0):
        chosen[row] = np.sort(np.argpartition(stream.uniform(size, row * size), n - 1)[:n])
    return chosen.ravel()


def _by_source(
    sources: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(sources, kind="stable")
    return sources[order], targets[order]


def _dense(value: Any, name: str, pairs: Any, shape: tuple[int, int]) -> FloatArray:
    if callable(value.base_value):
        raise UnsupportedError(
            f"the shared realisation cannot draw a {name} that is a function of distance or index; "
            "use realisation 'native'"
        )
    dense = np.broadcast_to(_shaped(value, shape).evaluate(), shape)
    return np.asarray(dense[pairs], dtype=float)


def evaluate(value: Any, n: int, stream: Stream, otherwise: Callable[[], FloatArray]) -> FloatArray:
    """`n` values of a PyNN parameter: drawn, constant, or what `otherwise` gives."""
    if is_random(value):
        drawn = stream.values(n, quantile_function(value.base_value))
        for function, argument in value.operations:
            drawn = function(drawn) if argument is None else function(drawn, argument)
        return drawn
    if value.is_homogeneous:
        return np.full(n, float(_shaped(value, (1,)).evaluate(simplify=True)))
    return otherwise()


def _shaped(value: Any, shape: tuple[int, ...]) -> Any:
    """A copy of a PyNN parameter with this shape: the user's own stays as it is."""
    shaped = copy(value)
    shaped._shape = None  # it may have got another one
    shaped.shape = shape
    return shaped

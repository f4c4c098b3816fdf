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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri

from .errors import UnsupportedError

FloatArray = NDArray[np.float64]

CHUNK = 1 << 20
"""Draws made at a time, to bound the memory of intermediate results."""

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
        # the upper 53 bits, at the middle of their interval
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54

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
    name, p = distribution.name, distribution.parameters

    def normal(u: FloatArray) -> FloatArray:
        return np.asarray(p["mu"] + p["sigma"] * ndtri(u))

    def normal_clipped(u: FloatArray) -> FloatArray:
        if p["sigma"] == 0:
            return np.full_like(u, p["mu"])
        low, high = (ndtr((p[bound] - p["mu"]) / p["sigma"]) for bound in ("low", "high"))
        return np.clip(normal(low + u * (high - low)), p["low"], p["high"])

    functions: dict[str, Callable[[FloatArray], FloatArray]] = {
        "normal": normal,
        "normal_clipped": normal_clipped,
        "normal_clipped_to_boundary": lambda u: np.clip(normal(u), p["low"], p["high"]),
        "lognormal": lambda u: np.exp(normal(u)),
        "uniform": lambda u: p["low"] + u * (p["high"] - p["low"]),
        "uniform_int": lambda u: np.floor(p["low"] + u * (p["high"] - p["low"])),
        "exponential": lambda u: -p["beta"] * np.log(u),
        "gamma": lambda u: stats.gamma.ppf(u, p["k"], scale=p["theta"]),
        "poisson": lambda u: stats.poisson.ppf(u, p["lambda_"]),
        "binomial": lambda u: stats.binom.ppf(u, p["n"], p["p"]),
        "vonmises": lambda u: stats.vonmises.ppf(u, p["kappa"], loc=p["mu"]),
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
    sources, targets = _pairs(connector, pre, post, seed, item)
    weights, delays = (
        _parameter(
            connector,
            synapse,
            name,
            (sources, targets),
            (pre.size, post.size),
            Stream(seed, item, q),
        )
        for name, q in (("weight", WEIGHT), ("delay", DELAY))
    )
    steps = np.maximum(np.round(delays / timestep), 1.0)
    return Edges(
        sources,
        targets,
        weights.astype(np.float32).astype(np.float64),
        np.round(steps * timestep, 9),
    )


def _pairs(
    connector: Any, pre: Any, post: Any, seed: int, item: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    kind = type(connector).__name__
    allow_self = getattr(connector, "allow_self_connections", True)
    if allow_self not in (True, False):
        raise UnsupportedError(
            f"the shared realisation cannot draw {kind} with allow_self_connections={allow_self!r}"
        )
    # Without self-connections there is one partner less to choose from, and the partners from the
    # neuron itself on are counted one further.
    loops = not allow_self and pre == post
    source_draws = Stream(seed, item, SOURCE)
    target_draws = Stream(seed, item, TARGET)

    def skip_self(own: Any, other: NDArray[np.int64]) -> NDArray[np.int64]:
        return other + (other >= own) if loops else other

    if hasattr(connector, "conn_list"):
        pairs = np.asarray(connector.conn_list)[:, :2].astype(np.int64)
        return pairs[:, 0], pairs[:, 1]
    if kind == "OneToOneConnector":
        index = np.arange(min(pre.size, post.size))
        return index, index
    if kind == "FixedTotalNumberConnector" and connector.with_replacement:
        degrees = np.zeros(pre.size, dtype=np.int64)
        for _, uniform in source_draws.chunks(_number(connector)):
            degrees += np.bincount((uniform * pre.size).astype(np.int64), minlength=pre.size)
        sources = np.repeat(np.arange(pre.size), degrees)
        return sources, skip_self(sources, target_draws.integers(sources.size, post.size - loops))
    if kind == "FixedNumberPostConnector":
        n, size = _number(connector), post.size - loops
        sources = np.repeat(np.arange(pre.size), n)
        chosen = _choose(target_draws, pre.size, n, size, connector.with_replacement)
        return sources, skip_self(sources, chosen)
    if kind == "FixedNumberPreConnector":
        n, size = _number(connector), pre.size - loops
        targets = np.repeat(np.arange(post.size), n)
        chosen = _choose(source_draws, post.size, n, size, connector.with_replacement)
        return _by_source(skip_self(targets, chosen), targets)
    if kind in ("AllToAllConnector", "FixedProbabilityConnector"):
        probability = getattr(connector, "p_connect", 1.0)
        hits: list[NDArray[np.intp]] = []
        for source in range(pre.size):
            hit = target_draws.uniform(post.size, source * post.size) < probability
            if loops:
                hit[source] = False
            hits.append(np.flatnonzero(hit))
        return np.repeat(np.arange(pre.size), [h.size for h in hits]), np.concatenate(hits)
    raise UnsupportedError(
        f"the shared realisation cannot draw {kind}: it draws AllToAll, OneToOne, "
        "FixedProbability, FixedNumberPre, FixedNumberPost, FixedTotalNumber (with replacement), "
        "FromList and FromFile connectors; use realisation 'native'"
    )


def _number(connector: Any) -> int:
    if not isinstance(connector.n, int | np.integer):
        raise UnsupportedError(
            f"the shared realisation cannot draw {type(connector).__name__} with a random number "
            f"of connections: n must be an integer, not {connector.n}"
        )
    return int(connector.n)


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


def _parameter(
    connector: Any,
    synapse: Any,
    name: str,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    shape: tuple[int, int],
    stream: Stream,
) -> FloatArray:
    n = pairs[0].size
    columns = getattr(connector, "column_names", ())
    if name in columns:
        listed: FloatArray = np.asarray(connector.conn_list)[:, 2 + columns.index(name)]
        return listed.astype(float)
    value = synapse.parameter_space[name]
    return evaluate(value, n, stream, lambda: _dense(value, name, pairs, shape))


def _dense(value: Any, name: str, pairs: Any, shape: tuple[int, int]) -> FloatArray:
    if callable(value.base_value):
        raise UnsupportedError(
            f"the shared realisation cannot draw a {name} that is a function of distance or index; "
            "use realisation 'native'"
        )
    value.shape = shape
    return np.asarray(np.broadcast_to(value.evaluate(), shape)[pairs], dtype=float)


def evaluate(value: Any, n: int, stream: Stream, otherwise: Callable[[], FloatArray]) -> FloatArray:
    """`n` values of a PyNN parameter: drawn, constant, or what `otherwise` gives."""
    if is_random(value):
        drawn = stream.values(n, quantile_function(value.base_value))
        for function, argument in value.operations:
            drawn = function(drawn) if argument is None else function(drawn, argument)
        return drawn
    if value.is_homogeneous:
        value.shape = value.shape or (1,)
        return np.full(n, float(value.evaluate(simplify=True)))
    return otherwise()

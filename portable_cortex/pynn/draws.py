"""The `shared` realisation: one random network, identical for every backend.

A counter-based generator (Philox 4x64) is keyed by (seed, object, quantity), where the object is
the n-th projection or population of the model. Draw number i of a key is a pure function of key
and i, so any part of the network can be drawn by anybody, in any order, on any number of threads.
Numbers become values by inverse distribution functions, one draw a value.

Synapses of a projection are ordered by source. Their weights are rounded to float32, their
delays to the time grid, so that backends of different precision can hold exactly the same ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError, ModelWarning, UnsupportedError
from ..host import parallel
from .checks import check_edges, check_indices
from .grid import delay_steps
from .lists import listed_synapses
from .values import at_pairs, computed, distances, is_number, is_random, number, resolved

FloatArray = NDArray[np.float64]

CHUNK = 1 << 18
"""Draws made at a time: few enough that intermediate results stay in the cache."""

# The quantities that are drawn for one object.
SOURCE, TARGET, WEIGHT, DELAY, STATE = range(5)


def item_of_projection(number: int) -> int:
    """Which object the n-th projection is, in the key of its draws: they are counted apart."""
    return 2 * number + 1


def item_of_population(number: int) -> int:
    """Which object the n-th population is, in the key of its draws."""
    return 2 * number


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

    def integers(self, n: int, high: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """`n` integers from 0 to ``high - 1``; `high` may be another one for each."""
        drawn, highs = np.empty(n, dtype=np.int64), np.broadcast_to(high, n)
        for part, uniform in self.chunks(n):
            drawn[part] = uniform * highs[part]
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


@dataclass(frozen=True)
class Between:
    """What a projection is drawn between: it stands in where there is no ``Projection`` yet.

    Attributes
    ----------
    pre, post : PyNN Population, PopulationView or Assembly
    space : pyNN.space.Space
        How distances are measured.
    """

    pre: Any
    post: Any
    space: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of sources and targets."""
        return self.pre.size, self.post.size


def draw_edges(
    connector: Any,
    synapse: Any,
    pre: Any,
    post: Any,
    *,
    seed: int,
    item: int,
    timestep: float,
    space: Any = None,
    rounded: bool = True,
) -> Edges:
    """Draw the synapses of one projection.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
        All-to-all, one-to-one, fixed probability, fixed number (pre, post, total), small world,
        a connection set (CSA), a mask or a list.
    synapse : pyNN synapse type
        Its weight and delay may be constants, random distributions, arrays or functions.
    pre, post : PyNN Population, PopulationView or Assembly
    seed, item : int
        Key of the draws: the realisation's seed and the projection's number.
    timestep : float
        Grid for the delays, ms.
    space : pyNN.space.Space, optional
        For functions of distance.
    rounded : bool
        Whether all weights are rounded to float32, or only those that are drawn.

    Raises
    ------
    UnsupportedError
        For a connector or a parameter that is not in the list above.
    InvalidValueError
        For numbers of synapses that there cannot be, and values that are not finite.
    pyNN.errors.ConnectionError
        For a delay of less than half a step, or an index without a neuron.
    """
    listed: dict[str, FloatArray] = {}
    from pyNN.connectors import FromListConnector  # slow to import: whoever draws has it already
    from pyNN.space import Space

    between = Between(pre, post, space or Space())
    if isinstance(connector, FromListConnector):
        rows, columns = listed_synapses(connector)
        check_indices(rows[:, 0], rows[:, 1], between.shape)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        sources, targets = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        listed = {name: rows[:, 2 + i] for i, name in enumerate(columns)}
    elif type(connector).__name__ == "CSAConnector":
        sources, targets, listed = _connection_set(connector, between)
    else:
        sources, targets = draw_pairs(connector, between, seed, item)

    def parameter(name: str, quantity: int) -> FloatArray:
        if name in listed:
            return listed[name]
        stream = Stream(seed, item, quantity)
        return evaluate(synapse.parameter_space[name], sources, targets, between, stream)

    weights, delays = parameter("weight", WEIGHT), parameter("delay", DELAY)
    check_edges(weight=weights, delay=delays)
    if rounded or ("weight" not in listed and is_random(synapse.parameter_space["weight"])):
        weights = weights.astype(np.float32).astype(np.float64)
    steps = delay_steps(delays, timestep)
    return Edges(sources, targets, weights, np.round(steps * timestep, 9))


_BY_PAIR = ("AllToAllConnector", "FixedProbabilityConnector")  # decide for each pair of neurons


def draw_pairs(
    connector: Any, between: Any, seed: int, item: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the sources and targets of a connector that has no list of them, by source.

    Parameters
    ----------
    connector : pyNN.connectors.Connector
    between : Between or Projection
    seed, item : int
        See `draw_edges`.

    Raises
    ------
    UnsupportedError
        For a connector that the core cannot draw.
    """
    kind, (pre, post) = type(connector).__name__, (between.pre, between.post)
    if getattr(connector, "allow_self_connections", True) not in (True, False):
        raise UnsupportedError(
            f"the core cannot draw {kind} with "
            f"allow_self_connections={connector.allow_self_connections!r}; use realisation 'native'"
        )
    if getattr(connector, "location_selector", None) is not None:
        raise UnsupportedError("the core's realisation knows no locations on a cell")
    # Where a neuron may not choose itself there is one partner less, and the partners from the
    # neuron itself on are counted one further.
    same = itself(connector, pre, post)
    source_draws = Stream(seed, item, SOURCE)
    target_draws = Stream(seed, item, TARGET)

    if kind == "OneToOneConnector":
        if pre.size != post.size:
            warnings.warn(
                f"OneToOneConnector between {pre.size} cells of {pre.label!r} and {post.size} of "
                f"{post.label!r}: only the first {min(pre.size, post.size)} of each are connected",
                ModelWarning,
                stacklevel=2,
            )
        index = np.arange(min(pre.size, post.size))
        return index, index
    if kind == "ArrayConnector":
        sources, targets = np.nonzero(_mask(connector.array, between.shape))
        return sources, targets
    if kind == "FixedTotalNumberConnector" and connector.with_replacement:
        partners = _Partners(same, pre.size, post.size)
        able = np.flatnonzero(partners.available)  # sources that have a partner
        degrees = np.zeros(able.size, dtype=np.int64)
        for _, uniform in source_draws.chunks(_number(connector, able.size)):
            drawn = (uniform * able.size).astype(np.int64)
            degrees += np.bincount(drawn, minlength=able.size)
        sources = np.repeat(able, degrees)
        return sources, partners.choose_each(sources, target_draws)
    if is_without_replacement(connector):
        return different_pairs(source_draws, connector, pre, post)
    if kind == "FixedNumberPostConnector":
        partners = _Partners(same, pre.size, post.size)
        n = _number(connector, partners.fewest)
        sources = np.repeat(np.arange(pre.size), n)
        return sources, partners.choose(n, target_draws, connector.with_replacement)
    if kind == "FixedNumberPreConnector":
        partners = _Partners(_inverse(same, post.size), post.size, pre.size)
        n = _number(connector, partners.fewest)
        targets = np.repeat(np.arange(post.size), n)
        chosen = partners.choose(n, source_draws, connector.with_replacement)
        return _by_source(chosen, targets)
    if kind == "SmallWorldConnector":
        return _small_world(connector, between, same, source_draws, target_draws)
    if kind in _BY_PAIR:
        probability = getattr(connector, "p_connect", 1.0)
        hits: list[NDArray[np.intp]] = []
        for source in range(pre.size):
            hit = target_draws.uniform(post.size, source * post.size) < probability
            if same is not None and same[source] >= 0:
                hit[same[source]] = False
            hits.append(np.flatnonzero(hit))
        return np.repeat(np.arange(pre.size), [h.size for h in hits]), np.concatenate(hits)
    raise UnsupportedError(
        f"the core's realisation cannot draw {kind}: it draws AllToAll, OneToOne, "
        "FixedProbability, FixedNumberPre, FixedNumberPost, FixedTotalNumber, SmallWorld, CSA, "
        "Array, FromList and FromFile connectors; use realisation 'native'"
    )


class _Partners:
    """Neurons that each of some others may choose: all, but for itself where that is so said.

    Parameters
    ----------
    same : array of int64 or None
        Index of each neuron among its partners, -1 where it is not there; None if it may choose
        itself.
    n : int
        Neurons that choose.
    n_partners : int
    """

    def __init__(self, same: NDArray[np.int64] | None, n: int, n_partners: int) -> None:
        self.excludes = same is not None
        self.same = np.full(n, -1) if same is None else same
        self.n_partners = n_partners
        self.available = n_partners - (self.same >= 0)

    @property
    def fewest(self) -> int:
        """The smallest number of partners that a neuron has."""
        return int(self.available.min(initial=self.n_partners))

    def choose_each(self, chooser: NDArray[np.int64], stream: Stream) -> NDArray[np.int64]:
        """A partner for each element of `chooser`."""
        if not self.excludes:
            return stream.integers(chooser.size, self.n_partners)
        drawn = stream.integers(chooser.size, self.available[chooser])
        same = self.same[chooser]
        return drawn + ((same >= 0) & (drawn >= same))

    def choose(self, n: int, stream: Stream, with_replacement: bool) -> NDArray[np.int64]:
        """`n` partners for each neuron, concatenated."""
        chooser = np.repeat(np.arange(self.same.size), n)
        if with_replacement:
            return self.choose_each(chooser, stream)
        if n > self.fewest:
            raise InvalidValueError(
                f"{n} different neurons cannot be chosen of {self.fewest}: ask for fewer, or set "
                "with_replacement=True"
            )
        # the n smallest of as many random numbers as there are partners are a random choice
        drawn, start = np.empty((self.same.size, n), dtype=np.int64), 0
        for row, size in enumerate(self.available.tolist() if n else []):
            drawn[row] = np.sort(np.argpartition(stream.uniform(size, start), n - 1)[:n])
            start += size
        same = self.same[chooser]
        flat = drawn.ravel()
        return flat + ((same >= 0) & (flat >= same))


def _inverse(same: NDArray[np.int64] | None, n: int) -> NDArray[np.int64] | None:
    """The sources' indices of the targets, from the targets' indices of the sources."""
    if same is None:
        return None
    inverse = np.full(n, -1)
    present = np.flatnonzero(same >= 0)
    inverse[same[present]] = present
    return inverse


def _mask(array: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.asarray(array, dtype=bool)
    if mask.shape != shape:
        raise InvalidValueError(
            f"the array of an ArrayConnector must have the shape {shape} (sources, targets), not "
            f"{mask.shape}"
        )
    return mask


def _small_world(
    connector: Any,
    between: Any,
    same: NDArray[np.int64] | None,
    rewired: Stream,
    partners: Stream,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each source to its neighbours; some of the synapses to any other neuron instead.

    Watts & Strogatz (1998), doi:10.1038/30918, with PyNN's parameters: neighbours are nearer than
    ``degree``, or as many of them as ``n_connections``, chosen at random.
    """
    distance = distances(between)
    near = distance.__class__(connector.d_expression, shape=between.shape)(distance)
    n_pre, n_post = between.shape
    targets_of: list[NDArray[np.int64]] = []
    for source in range(n_pre):
        is_near = np.asarray(near[source : source + 1, :], dtype=bool).ravel()
        excluded = -1 if same is None else int(same[source])
        if excluded >= 0:
            is_near[excluded] = False
        targets = np.flatnonzero(is_near)
        first = source * n_post
        uniform = partners.uniform(2 * n_post, 2 * first)
        if connector.n_connections is not None:
            if connector.n_connections > targets.size:
                raise InvalidValueError(
                    f"SmallWorldConnector: {connector.n_connections} synapses were asked for, and "
                    f"neuron {source} has {targets.size} neighbours"
                )
            order = np.argsort(uniform[n_post : n_post + targets.size])
            targets = np.sort(targets[order[: connector.n_connections]])
        moved = rewired.uniform(n_post, first)[: targets.size] < connector.rewiring
        free = np.ones(n_post, dtype=bool)  # a synapse that moves makes no second one to a neuron
        free[targets] = False
        if excluded >= 0:
            free[excluded] = False
        for k in np.flatnonzero(moved).tolist():
            candidates = np.flatnonzero(free)
            if candidates.size:
                chosen = candidates[int(uniform[k] * candidates.size)]
                free[chosen], free[targets[k]] = False, targets[k] != excluded
                targets[k] = chosen
        targets_of.append(np.sort(targets))
    sources = np.repeat(np.arange(n_pre), [targets.size for targets in targets_of])
    return sources, np.concatenate([*targets_of, np.empty(0, np.int64)])


def _connection_set(
    connector: Any, between: Between
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, FloatArray]]:
    """Sources, targets and values of a connection set (CSA; Djurfeldt 2012)."""
    import csa

    n_pre, n_post = between.shape
    finite = csa.cross((0, n_pre - 1), (0, n_post - 1)) * connector.cset
    rows = np.array([tuple(row) for row in finite], dtype=float)
    rows = rows.reshape(-1, 2 + csa.arity(connector.cset))
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    values = {"weight": rows[:, 2], "delay": rows[:, 3]} if rows.shape[1] == 4 else {}
    return rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), values


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
    n = _total_number(connector)
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
    if kind == "FixedTotalNumberConnector":
        n = _total_number(connector)
    elif not isinstance(connector.n, int | np.integer):
        raise UnsupportedError(
            f"the core cannot draw {kind} with a random number of connections: "
            f"n must be an integer, not {connector.n}"
        )
    else:
        n = int(connector.n)
    if n and not n_partners:
        raise InvalidValueError(f"{kind}: a single neuron has no other to connect to")
    return n


def _total_number(connector: Any) -> int:
    """The number of synapses in all, which may be drawn, once."""
    n = connector.n
    return int(n if isinstance(n, int | np.integer) else parallel.of_first(int(n.next())))


def _by_source(
    sources: NDArray[np.int64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(sources, kind="stable")
    return sources[order], targets[order]


def evaluate(
    value: Any,
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    between: Any,
    stream: Stream,
) -> FloatArray:
    """A value of a PyNN parameter for each synapse: drawn, constant, or looked up.

    Parameters
    ----------
    value : pyNN.parameters.LazyArray
    sources, targets : arrays of int64
        Indices of each synapse's neurons.
    between : Between or Projection
    stream : Stream
        Draw number i is for synapse i.
    """
    if is_random(value):
        drawn = stream.values(sources.size, quantile_function(value.base_value))
        return computed(value, drawn) if value.operations else drawn
    if is_number(value):
        return np.full(sources.size, number(value))
    return at_pairs(resolved(value, between), sources, targets, between.shape)

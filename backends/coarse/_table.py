r"""The rate of a neuron as a function of its input: a table of simulated points.

Points lie on a lattice of mean inputs, one axis a receptor, and on a few effective weights of each.
They are simulated in tiles, whenever a tile is looked at for the first time, and kept: what a tile
holds follows from the table's settings alone, whoever asks for it. At each point of the lattice a
quadratic function is fitted to the logarithms of rates around it, each with the weight that its
spikes give it ([1]_): so the noise of single points averages out. Between points, those of the four
corners are mixed ([2]_).

References
----------
.. [1] Cleveland WS, Devlin SJ (1988). J Am Stat Assoc 83:596-610. doi:10.2307/2289282
.. [2] Renka RJ (1988). ACM Trans Math Softw 14:139-148. doi:10.1145/45054.45055
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portable_cortex.host.output import whole

from ._simulated import Group, Kind, Trial

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Place = tuple[int, int]  # of a tile

VERSION = 2  # of what is simulated: with another, tables are made anew
NEURONS = 100  # of a point
TILE = 4  # points along a side of a tile
REACH = 2  # points to each side of a place that are looked at
WIDTH = REACH + 0.75  # distance in points at which one no longer counts
LEAST_SPIKES = 100  # where a table is checked
CHECKED = 4  # times the neurons of a point: of the one in a tile by which it is checked


@dataclass(frozen=True)
class Settings:
    """All that a table depends on.

    Attributes
    ----------
    kind : Kind
    steps : tuple of float
        Distance of points in the mean input of each receptor, (spikes/s) nA, uS or mV.
    weights : tuple of tuple of float
        Effective weights of the points, by receptor, ascending.
    point_seconds : float
        Model time that all neurons of a point are simulated, s.
    """

    kind: Kind
    steps: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    point_seconds: float

    @property
    def key(self) -> str:
        """Tells tables apart."""
        text = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def duration(self) -> float:
        """Of a point, ms."""
        return 1e3 * self.point_seconds / NEURONS


@dataclass(frozen=True)
class _Fits:
    """Quadratic functions at the points of a lattice.

    Attributes
    ----------
    origin : array
        Index of the first point.
    terms : array, shape (points of axis 1, of axis 2, terms)
        Their coefficients.
    errors : array, shape (points of axis 1, of axis 2)
        Standard errors of the logarithm at the point.
    is_whole : array of bool, shape (points of axis 1, of axis 2)
        Whether all is there that a place between a point and the next ones asks for.
    """

    origin: I64
    terms: F64
    errors: F64
    is_whole: NDArray[np.bool_]


@dataclass
class Table:
    """Spikes at the points of the tiles that there are.

    Attributes
    ----------
    settings : Settings
    folder : Path
        Where tiles are kept.
    tiles : dict of (int, int) to array
        Spikes of points, shape (points of axis 1, of axis 2, weights of 1, of 2).
    checks : dict of (int, int) to (array, array, int)
        By tile: mean inputs and weights between points, and spikes there.
    """

    settings: Settings
    folder: Path
    tiles: dict[Place, F64] = field(default_factory=dict)
    checks: dict[Place, tuple[F64, F64, int]] = field(default_factory=dict)
    _fits: _Fits | None = None

    @property
    def axes(self) -> int:
        """Receptors that get spikes."""
        return len(self.settings.steps)

    @property
    def _sides(self) -> tuple[int, int]:
        return (TILE if self.axes > 0 else 1), (TILE if self.axes > 1 else 1)

    @property
    def _nodes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Effective weights of both axes."""
        first, second = (*self.settings.weights, (1.0,), (1.0,))[:2]
        return first, second

    def _places(self, means: F64) -> F64:
        """Mean inputs in points."""
        places = np.zeros((len(means), 2))
        for k, step in enumerate(self.settings.steps):
            places[:, k] = means[:, k] / step
        return places

    def _between(self, weights: F64) -> F64:
        """Effective weights in points."""
        found = np.zeros((len(weights), 2))
        for k, nodes in enumerate(self._nodes):
            if len(nodes) > 1:
                ratio = np.log(nodes[-1] / nodes[0]) / (len(nodes) - 1)
                given = np.clip(weights[:, k], nodes[0], nodes[-1])
                found[:, k] = np.log(given / nodes[0]) / ratio
        return found

    # --- tiles ------------------------------------------------------------------------------------

    def missing(self, means: F64) -> list[Place]:
        """Tiles that have to be there to look these mean inputs up, and are not."""
        sides = np.array(self._sides)
        corner = np.floor(self._places(means)).astype(np.int64)
        if self._fits is not None:
            at = corner - self._fits.origin
            shape = np.array(self._fits.is_whole.shape)
            if np.all((at >= 0) & (at < shape)) and self._fits.is_whole[tuple(at.T)].all():
                return []
        is_used = np.arange(2) < self.axes
        # the points around each corner of a cell lie in up to four tiles
        low = np.maximum(corner - REACH * is_used, 0) // sides
        high = (corner + (REACH + 1) * is_used) // sides
        pairs = np.unique(np.concatenate([low, high], axis=1), axis=0)
        wanted = {
            (i, j)
            for a, b, c, d in pairs.tolist()
            for i in range(a, c + 1)
            for j in range(b, d + 1)
        }
        return sorted(wanted - self.tiles.keys())

    def read(self, places: Iterable[Place]) -> list[Place]:
        """Take tiles from the folder; gives those that are not there."""
        absent = []
        for place in places:
            try:
                kept = json.loads(self._file(place).read_text("utf-8"))["spikes"]
                self._take(place, [int(n) for n in kept])
            except (OSError, ValueError, KeyError, TypeError):  # none, or a damaged one
                absent.append(place)
        return absent

    def add(self, place: Place, spikes: Sequence[int]) -> None:
        """Take a tile in, and keep it."""
        self._take(place, spikes)
        self.folder.mkdir(parents=True, exist_ok=True)
        about = self.folder / "table.json"
        if not about.exists():
            about.write_text(json.dumps(asdict(self.settings), indent=1), "utf-8")
        with whole(self._file(place)) as part:
            part.write_text(json.dumps({"spikes": list(spikes)}), "utf-8")

    def _file(self, place: Place) -> Path:
        return self.folder / f"{place[0]}_{place[1]}.json"

    def _take(self, place: Place, spikes: Sequence[int]) -> None:
        *points, check = spikes
        shape = (*self._sides, *map(len, self._nodes))
        self.tiles[place] = np.reshape(np.array(points, float), shape)
        self._fits = None
        self.checks[place] = (*self._check(place), check)

    def _check(self, place: Place) -> tuple[F64, F64]:
        """Mean inputs and weights of a place between the points of a tile."""
        rng = np.random.default_rng(self._seed(place))
        inside = rng.uniform(0.0, 1.0, 4)
        means, weights = np.zeros(2), np.ones(2)
        for k, step in enumerate(self.settings.steps):
            means[k] = (place[k] * TILE + inside[k] * (TILE - 1)) * step
            nodes = self._nodes[k]
            weights[k] = nodes[0] * (nodes[-1] / nodes[0]) ** inside[2 + k]
        return means, weights

    def _seed(self, place: Place) -> int:
        text = f"{self.settings.key} {place[0]} {place[1]}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

    def trial(self, place: Place) -> Trial:
        """What is simulated for a tile."""
        sides, n = self._sides, self.axes
        points = []
        for i, j, first, second in itertools.product(*map(range, sides), *self._nodes_numbers()):
            index = (place[0] * sides[0] + i, place[1] * sides[1] + j)
            weights = self._nodes[0][first], self._nodes[1][second]
            means = [index[k] * self.settings.steps[k] for k in range(n)]
            points.append(self._point(NEURONS, means, weights[:n]))
        means_between, weights_between = self._check(place)
        points.append(
            self._point(CHECKED * NEURONS, means_between[:n].tolist(), weights_between[:n].tolist())
        )
        kind, seed = self.settings.kind, self._seed(place)
        return Trial([kind], points, [], seed, self.settings.duration)

    def _nodes_numbers(self) -> tuple[range, range]:
        first, second = self._nodes
        return range(len(first)), range(len(second))

    @staticmethod
    def _point(neurons: int, means: Sequence[float], weights: Sequence[float]) -> Group:
        rates = tuple(m / w for m, w in zip(means, weights, strict=True))
        return Group(0, neurons, rates, tuple(weights))

    # --- looking up -------------------------------------------------------------------------------

    def rates(self, means: F64, weights: F64) -> tuple[F64, F64]:
        """Rates, spikes/s, and their relative standard errors.

        Parameters
        ----------
        means, weights : array, shape (n, 2)
            Within the tiles that are there (`missing`); weights beyond the points' are taken as
            the next.
        """
        if self._fits is None:
            self._fits = self._fitted()
        fits, places, between = self._fits, self._places(means), self._between(weights)
        corner = np.floor(places).astype(np.int64)
        inside = places - corner
        logarithm, error = np.zeros(len(means)), np.zeros(len(means))
        for i, j in itertools.product(
            range(2 if self.axes > 0 else 1), range(2 if self.axes > 1 else 1)
        ):
            share = np.ones(len(means))
            for k, side in enumerate((i, j)):
                if k < self.axes:
                    share *= inside[:, k] if side else 1 - inside[:, k]
            point = corner + np.array([i, j])
            at = tuple((point - fits.origin).T)
            terms = self._terms([*(places - point).T, *between.T])
            logarithm += share * np.einsum("nk,kn->n", fits.terms[at], np.array(terms))
            error += share * fits.errors[at]
        return np.exp(logarithm), error

    def _together(self) -> tuple[I64, F64]:
        """Index of the first point, and all counts in one array; not-a-number where none is."""
        sides = np.array(self._sides)
        places = np.array(sorted(self.tiles))
        first, last = places.min(axis=0), places.max(axis=0) + 1
        counts = np.full((*((last - first) * sides), *map(len, self._nodes)), np.nan)
        for place, tile in self.tiles.items():
            i, j = (np.array(place) - first) * sides
            counts[i : i + sides[0], j : j + sides[1]] = tile
        return first * sides, counts

    def _fitted(self) -> _Fits:
        """Fits at all points, as far as others are around them."""
        origin, counts = self._together()
        reach = [REACH if k < self.axes else 0 for k in range(2)]
        around = np.pad(counts, [(r, r) for r in reach] + [(0, 0)] * 2, constant_values=np.nan)
        window = (2 * reach[0] + 1, 2 * reach[1] + 1)
        windows: F64 = np.lib.stride_tricks.sliding_window_view(  # points, weights, those around
            around,
            window,
            axis=(0, 1),  # type: ignore[call-overload]
        )
        found = windows.reshape(*counts.shape[:2], -1)
        steps = [np.arange(n) for n in counts.shape[2:]] + [np.arange(-r, r + 1) for r in reach]
        first, second, x, y = (
            g.ravel() for g in np.meshgrid(*map(np.asarray, steps), indexing="ij")
        )
        near = np.maximum(1 - (np.hypot(x, y) / WIDTH) ** 3, 0.0) ** 3
        size = np.nan_to_num(found) + 0.5
        trust = np.where(np.isnan(found), 0.0, near * size)
        terms = np.stack(self._terms([v.astype(float) for v in (x, y, first, second)]), axis=-1)
        weighted = trust[..., np.newaxis] * terms
        system = np.swapaxes(weighted, -1, -2) @ terms
        n = terms.shape[1]
        trace = np.trace(system, axis1=-2, axis2=-1)[..., np.newaxis, np.newaxis]
        inverse = np.linalg.pinv(system + 1e-9 * np.where(trace > 0, trace, 1.0) * np.eye(n))
        value = np.log(size / self.settings.point_seconds)
        fit = inverse @ (np.swapaxes(weighted, -1, -2) @ value[..., np.newaxis])
        middle = np.array(
            self._terms(
                [np.zeros(1), np.zeros(1), *(np.full(1, (m - 1) / 2) for m in counts.shape[2:])]
            )
        )[:, 0]
        row = weighted @ (inverse @ middle)[..., np.newaxis]  # what each point adds in the middle
        errors = np.sqrt((row[..., 0] ** 2 / size).sum(axis=-1))
        return _Fits(origin, fit[..., 0], errors, self._whole(origin, counts))

    def _whole(self, origin: I64, counts: F64) -> NDArray[np.bool_]:
        """Where nothing is missing (`missing`); there is nothing below an input of 0."""
        known = ~np.isnan(counts[..., 0, 0])
        for k in range(self.axes):
            below, above = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
            below[k], above[k] = (REACH, 0), (0, REACH + 1)
            known = np.pad(known, below, constant_values=bool(origin[k] == 0))
            known = np.pad(known, above, constant_values=False)
            window = np.lib.stride_tricks.sliding_window_view(known, 2 * REACH + 2, axis=k)
            known = np.asarray(window.all(axis=-1))
        return known

    def _terms(self, distances: Sequence[F64]) -> list[F64]:
        """Of the quadratic function: of two weights, a linear one."""
        lengths = (self.axes > 0, self.axes > 1, *(len(nodes) for nodes in self._nodes))
        varied = [k for k, n in enumerate(lengths) if n > (0 if k < 2 else 1)]
        terms = [np.ones_like(distances[0]), *(distances[k] for k in varied)]
        terms += [distances[k] ** 2 for k in varied if k < 2 or lengths[k] > 2]
        terms += [distances[k] * distances[m] for k, m in itertools.combinations(varied, 2)]
        return terms

    def checked(self) -> F64:
        """Squares of relative errors of what is looked up between points, less those of chance.

        At a place in each tile that was simulated for that, where there are spikes enough.
        """
        inside = (c for c in self.checks.values() if not self.missing(c[0][np.newaxis]))
        busy = [c for c in inside if c[2] >= LEAST_SPIKES]
        if not busy:
            return np.empty(0)
        means, weights = (np.array([c[k] for c in busy]) for k in (0, 1))
        spikes = np.array([c[2] for c in busy], float)
        rates, errors = self.rates(means, weights)
        difference = np.log(spikes / (CHECKED * self.settings.point_seconds)) - np.log(rates)
        return np.asarray(difference**2 - errors**2 - 1 / spikes)


def spaced(
    kind: Kind, ranges: Sequence[tuple[float, float]], steps: Sequence[float], point_seconds: float
) -> Settings:
    """A table's settings.

    Parameters
    ----------
    kind : Kind
    ranges : sequence of (float, float)
        Of effective weights, by receptor.
    steps : sequence of float
        Distances of points that are wanted; they are rounded, so that networks share tables.
    point_seconds : float
    """
    nodes = tuple(map(_nodes, ranges))
    rounded = tuple(float(2.0 ** (round(2 * np.log2(step)) / 2)) for step in steps)
    return Settings(kind, rounded, nodes, point_seconds)


SAME = 1.02  # ratio of effective weights that are taken as one
RATIO = 1.5  # of neighbouring ones, at most


def _nodes(limits: tuple[float, float]) -> tuple[float, ...]:
    low, high = limits
    if high <= SAME * low:
        return (float(f"{np.sqrt(low * high):.6g}"),)
    n = 1 + int(np.ceil(np.log(high / low) / np.log(RATIO)))
    return tuple(float(f"{w:.6g}") for w in np.geomspace(low, high, n))

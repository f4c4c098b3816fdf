r"""The rates of whole columns as functions of what they get from outside: response surfaces.

A column is a group of populations. What reaches each of them from sources and from other columns
are a few numbers, and columns that are alike differ in them along a few directions only. In the box
that these span columns are simulated whole, with their synapses, at points that suit polynomials,
and a quadratic function is fitted to the logarithms of their rates ([1]_). So what neurons of a
column do together is in it; columns know of each other by their mean rates.

References
----------
.. [1] Box GEP, Draper NR (1987). Empirical Model-Building and Response Surfaces. Wiley.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import qmc

from portable_cortex.errors import SimulationError, UnsupportedError
from portable_cortex.host.cache import writable_cache
from portable_cortex.host.output import whole
from portable_cortex.pynn.values import members

from ._inputs import RECEPTORS, TAU, Inputs, Received
from ._library import Told, kind_of
from ._simulated import Counts, Group, Kind, Link, Trial
from ._workers import answers

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

VERSION = 2  # of what is simulated: with another, surfaces are made anew
MOMENTS = 3  # of what comes from outside: mean, square, variance over neurons
FINEST = 0.001  # of what the input fluctuates by in TAU: a difference that counts
NARROW = 1e-3  # of the variance in TAU: one over neurons that is left out, as it takes long
UNLIKE = 1.0  # skewness, or excess, of inputs that are not nearly normal over neurons
MOST_AXES = 4
A_TERM = 2  # places for each term of a function
TWICE = 2  # simulations of each place, each with a network of its own
AWAY = 1.5  # times as high or as low as they are expected: rates of columns a box has room for
ROOM = 0.1  # of a box that is widened, to each side
MOST_BOXES = 10  # of a kind of columns


@dataclass(frozen=True)
class Column:
    """Populations and their synapses, without what comes from outside.

    Attributes
    ----------
    kinds : tuple of Kind
        By population.
    sizes : tuple of int
    links : tuple of Link
    """

    kinds: tuple[Kind, ...]
    sizes: tuple[int, ...]
    links: tuple[Link, ...]

    @cached_property
    def key(self) -> str:
        """Tells columns apart."""
        text = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def trial(self, drive: F64, number: int, duration: float) -> Trial:
        """The column with some input.

        Parameters
        ----------
        drive : array, shape (populations, receptors, moments)
        number : int
            Of the point: its random numbers are its own.
        duration : float
            ms.
        """
        groups = []
        for k, (kind, size) in enumerate(zip(self.kinds, self.sizes, strict=True)):
            mean, square, variance = drive[k, : len(kind.receptors)].T.clip(min=0.0)
            # a corner of a box may be where nothing arrives
            weight = np.divide(square, mean, out=np.zeros_like(mean), where=mean > 0)
            groups.append(Group.receiving(k, size, mean, weight, np.sqrt(variance)))
        return Trial(self.kinds, groups, self.links, 1 + number, duration)


@dataclass(frozen=True)
class Box:
    """Where drives of columns lie.

    Drives are given in units in which a difference of 1 is what the input fluctuates by.

    Attributes
    ----------
    units : array, shape (drives,)
    centre : array, shape (drives,)
        In those units, as the axes.
    axes : array, shape (axes, drives)
    sides : array, shape (axes,)
        Half of the lengths.
    """

    units: F64
    centre: F64
    axes: F64
    sides: F64

    @classmethod
    def around(cls, drives: F64, units: F64, room: float = 0.0) -> Box:
        """The box of some drives.

        Parameters
        ----------
        drives : array, shape (n, drives)
        units : array, shape (drives,)
        room : float
            Of its sides, that is added.

        Raises
        ------
        UnsupportedError
            If it has more axes than can be filled with points.
        """
        scaled = drives / units
        middle = scaled.mean(axis=0)
        _, _, turned = np.linalg.svd(scaled - middle, full_matrices=False)
        extent = np.ptp((scaled - middle) @ turned.T, axis=0) / 2
        turned = turned[extent > FINEST]
        if len(turned) > MOST_AXES:
            raise UnsupportedError(
                f"what columns get from outside differs in {len(turned)} ways, and tables of whole "
                f"columns have {MOST_AXES} axes: use library=simulated"
            )
        # rounded, and of one sign: networks that differ by chance share points
        signs = np.sign(turned[np.arange(len(turned)), np.abs(turned).argmax(axis=1)])
        axes = np.round(turned * signs[:, np.newaxis], 4)
        places = (scaled - middle) @ axes.T
        low, high = places.min(axis=0), places.max(axis=0)
        centre = np.round(middle + (low + high) / 2 @ axes, 4)
        sides = [_rounded((1 + room) * float(side)) for side in (high - low) / 2]
        return cls(units, centre, axes, np.array(sides))

    def places(self, drives: F64) -> F64:
        """Of drives, in sides of the box: shape (n, axes)."""
        return (drives / self.units - self.centre) @ self.axes.T / self.sides

    def drives(self, places: F64) -> F64:
        """At places."""
        return (self.centre + (places * self.sides) @ self.axes) * self.units

    def holds(self, drives: F64) -> bool:
        """Whether all drives lie in it, as far as differences count."""
        places = self.places(drives)
        within = np.clip(places, -1.0, 1.0)
        away = (drives - self.drives(within)) / self.units
        return bool(np.sqrt((away**2).sum(axis=1)).max(initial=0.0) <= 2 * FINEST)


def _rounded(value: float) -> float:
    """Up, to two digits: so that networks share points."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / step) * step:.3g}")


def terms(places: F64) -> F64:
    """Of a quadratic function.

    Parameters
    ----------
    places : array, shape (n, axes)

    Examples
    --------
    >>> terms(np.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0, 4.0, 9.0, 6.0]]
    """
    columns = [np.ones(len(places)), *places.T, *places.T**2]
    pairs = itertools.combinations(range(places.shape[1]), 2)
    columns += [places[:, j] * places[:, k] for j, k in pairs]
    return np.stack(columns, axis=1)


def _slopes(places: F64) -> F64:
    """Of `terms`, by each axis: shape (n, axes, terms)."""
    n, d = places.shape
    found = [np.zeros((n, d))]
    for k in range(d):
        found.append(np.tile(np.eye(d)[k], (n, 1)))
    for k in range(d):
        found.append(2 * places[:, k : k + 1] * np.eye(d)[k])
    for j, k in itertools.combinations(range(d), 2):
        found.append(places[:, k : k + 1] * np.eye(d)[j] + places[:, j : j + 1] * np.eye(d)[k])
    return np.stack(found, axis=-1)


def points(axes: int) -> F64:
    """Places in the box -1 to 1 that suit polynomials, denser near its walls."""
    n = A_TERM * terms(np.zeros((1, axes))).shape[1]
    if not axes:
        return np.zeros((n, 0))
    return np.asarray(-np.cos(np.pi * qmc.Halton(axes, scramble=False).random(n + 1)[1:]))


@dataclass(frozen=True)
class Surface:
    """The rates of columns of one kind.

    Attributes
    ----------
    box : Box
    logarithms, ratios : array, shape (terms, populations)
        Coefficients of logarithms of rates, and of mean squares of rates over squares of means.
    inverse : array, shape (terms, terms)
        Of the normal equations.
    deviations : array, shape (populations,)
        Of the logarithm of a rate at a point, by chance: standard deviation.
    excess : array, shape (points, populations)
        Squares of what each point is off by a function that is fitted to the others, less those
        of chance.
    """

    box: Box
    logarithms: F64
    ratios: F64
    inverse: F64
    deviations: F64
    excess: F64

    @classmethod
    def fitted(cls, box: Box, counts: NDArray[np.int64], sizes: F64, seconds: float) -> Surface:
        """From simulated points.

        Parameters
        ----------
        box : Box
        counts : array, shape (points, TWICE, populations, 3)
            See `_simulated.Counts`.
        sizes : array, shape (populations,)
        seconds : float
            Of a point.
        """
        first, second, product = (counts[..., k].astype(float) for k in range(3))
        spikes = first + second
        value = np.log((spikes + 0.5) / (sizes * seconds))
        square = 4 * product  # the halves of a neuron's spikes do not know of each other
        ratio = sizes * np.divide(square, spikes**2, out=1 / sizes + 0 * spikes, where=spikes > 0)
        chance: F64 = value.var(axis=1, ddof=1).mean(axis=0) / TWICE  # of a mean
        design = terms(points(len(box.axes)))
        inverse: F64 = np.asarray(np.linalg.inv(design.T @ design), float)
        value, ratio = value.mean(axis=1), ratio.mean(axis=1)
        logarithms, ratios = inverse @ design.T @ value, inverse @ design.T @ ratio
        free = 1 - np.einsum("it,ts,is->i", design, inverse, design)[:, np.newaxis]
        off = (value - design @ logarithms) / free
        excess: F64 = off**2 - chance / free
        deviations = np.asarray(np.sqrt(chance), float)
        return cls(box, logarithms, ratios, inverse, deviations, excess)

    def rates(self, drives: F64) -> tuple[F64, F64, F64]:
        """Rates, their mean squares, and relative errors of the first: shape (n, populations)."""
        own = terms(np.clip(self.box.places(drives), -1.0, 1.0))
        rates = np.exp(own @ self.logarithms)
        leverage = np.einsum("it,ts,is->i", own, self.inverse, own)
        squares = rates**2 * np.maximum(own @ self.ratios, 1.0)
        return rates, squares, np.sqrt(leverage)[:, np.newaxis] * self.deviations

    def gains(self, drives: F64) -> F64:
        """Derivatives of rates by drives: shape (n, populations, drives)."""
        places = np.clip(self.box.places(drives), -1.0, 1.0)
        rates = np.exp(terms(places) @ self.logarithms)
        by_place = np.einsum("iat,tp->ipa", _slopes(places), self.logarithms)
        to_place = self.box.axes / self.box.sides[:, np.newaxis] / self.box.units
        return np.asarray(rates[:, :, np.newaxis] * (by_place @ to_place))


@dataclass
class Columns:
    """A network of columns: a `_solver.Circuit`.

    Attributes
    ----------
    inputs : Inputs
        From outside of columns.
    kinds : list of Column
    members : list of array, shape (columns, populations)
        Of each kind.
    duration : float
        Model time of a point, ms.
    workers : int
    told : callable
    surfaces : dict of int to Surface
        By kind.
    made : int
        Columns that were simulated.
    seconds : float
        What that took.
    """

    inputs: Inputs
    kinds: list[Column]
    members: list[I64]
    duration: float
    workers: int
    told: Told
    folder: Path = field(default_factory=lambda: writable_cache("coarse"))
    surfaces: dict[int, Surface] = field(default_factory=dict)
    boxes: int = 0
    made: int = 0
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        projections: Sequence[Any],
        rates: F64,
        *,
        timestep: float,
        duration: float,
        workers: int,
        told: Told,
    ) -> Columns:
        """The columns of a network; those of one kind are simulated around some rates.

        Parameters
        ----------
        inputs : Inputs
        projections : sequence of Projection
            With their ``recipe``.
        rates : array, shape (n,)
            spikes/s.
        timestep : float
            ms.
        duration : float
            Model time of a point, ms.
        workers : int
        told : callable

        Raises
        ------
        UnsupportedError
            For synapses that cannot be drawn again, and columns that get too many things.
        """
        groups = columns_of(inputs.labels)
        outside = inputs.between(groups)
        found = _kinds(inputs, groups, projections, timestep)
        kinds, members = [kind for kind, _ in found], [own for _, own in found]
        self = cls(outside, kinds, members, duration, workers, told)
        _check_normal(outside, rates)
        everything = inputs.received(rates, rates**2)
        power = everything.mean * everything.weight
        near = [_drives(outside.received(r, r**2)) for r in (rates / AWAY, rates, rates * AWAY)]
        for k, own in enumerate(self.members):
            units = _units(power[own].mean(axis=0))
            self._fill(k, Box.around(np.concatenate([_flat(d, own) for d in near]), units))
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the populations."""
        return self.inputs.labels

    def caused(self, rates: F64, squares: F64) -> tuple[F64, F64, F64]:
        """See `_solver.Circuit`; columns are simulated where none has been."""
        found = np.zeros((3, rates.size))
        drives = _drives(self.inputs.received(rates, squares))
        for k, own in enumerate(self.members):
            flat, box = _flat(drives, own), self.surfaces[k].box
            if not box.holds(flat):
                corners = itertools.product((-1.0, 1.0), repeat=len(box.axes))
                known = box.drives(np.array(list(corners)).reshape(-1, len(box.axes)))
                self._fill(k, Box.around(np.concatenate([known, flat]), box.units, ROOM))
            for values, of in zip(found, self.surfaces[k].rates(flat), strict=True):
                values[own] = of
        return found[0], found[1], found[2]

    def gains(self, rates: F64, squares: F64) -> sparse.csr_array:
        """See `_solver.Circuit`."""
        n = rates.size
        drives = _drives(self.inputs.received(rates, squares))
        by_drive = [[sparse.csr_array((n, n)) for _ in range(2)] for _ in range(RECEPTORS)]
        for k, own in enumerate(self.members):
            m = own.shape[1]
            found = self.surfaces[k].gains(_flat(drives, own))
            found = found.reshape(len(own), m, m, RECEPTORS, MOMENTS)
            rows, columns = np.repeat(own, m, axis=1).ravel(), np.tile(own, m).ravel()
            for receptor, moment in itertools.product(range(RECEPTORS), range(2)):
                values = found[..., receptor, moment].ravel()
                by_drive[receptor][moment] += sparse.coo_array((values, (rows, columns)), (n, n))
        total = sparse.csr_array((n, n))
        for receptor in range(RECEPTORS):
            total = total + by_drive[receptor][0] @ self.inputs.means[receptor]
            total = total + by_drive[receptor][1] @ self.inputs.squares[receptor]
        return sparse.csr_array(total)

    def other_errors(self, rates: F64, squares: F64) -> F64:
        """See `_solver.Circuit`."""
        return np.full(len(self.labels), self._interpolation_error())

    def _interpolation_error(self) -> float:
        excess = np.concatenate([s.excess.ravel() for s in self.surfaces.values()])
        return float(np.sqrt(max(excess.mean(), 0.0)))

    def details(self) -> Mapping[str, Any]:
        """Numbers of points, and of what is known of errors, for ``run.json``."""
        return {
            "library": "columns",
            "tables": [
                {
                    "key": kind.key,
                    "columns": len(own),
                    "populations": len(kind.sizes),
                    "axes": len(self.surfaces[k].box.axes),
                    "points": TWICE * len(self.surfaces[k].excess),
                    "seconds_a_point": self.duration / 1e3,
                }
                for k, (kind, own) in enumerate(zip(self.kinds, self.members, strict=True))
            ],
            "interpolation_error": self._interpolation_error(),
            "checked_at": sum(len(s.excess) for s in self.surfaces.values()),
            "parts_made": self.made,
        }

    def _fill(self, number: int, box: Box) -> None:
        """Simulate columns of a kind in a box, as far as they have not been."""
        self.boxes += 1
        if self.boxes > MOST_BOXES * len(self.kinds):
            raise SimulationError(
                f"what columns get from outside was looked for in {self.boxes - 1} ranges, each "
                "wider than the one before: the network has no stationary state near to where it "
                "was looked for"
            )
        kind = self.kinds[number]
        drives = np.repeat(box.drives(points(len(box.axes))), TWICE, axis=0)
        over_neurons = drives[:, MOMENTS - 1 :: MOMENTS]
        over_neurons[over_neurons < NARROW * box.units[MOMENTS - 1 :: MOMENTS]] = 0.0
        counts: list[list[Counts] | None] = [self._read(kind, d, i) for i, d in enumerate(drives)]
        absent = [i for i, found in enumerate(counts) if found is None]
        if absent:
            began = time.perf_counter()
            shape = (len(kind.sizes), RECEPTORS, MOMENTS)
            trials = [kind.trial(drives[i].reshape(shape), i, self.duration) for i in absent]
            self.told(None, f"simulating {len(trials)} columns")
            for done, (k, found) in enumerate(answers(trials, self.workers), 1):
                counts[absent[k]] = found
                self._keep(kind, drives[absent[k]], absent[k], found)
                self.told(None, f"simulating columns: {done} of {len(trials)}")
            self.made += len(absent)
            self.seconds += time.perf_counter() - began
        sizes = np.array(kind.sizes, float)
        by_place = np.array(counts).reshape(-1, TWICE, len(sizes), 3)
        self.surfaces[number] = Surface.fitted(box, by_place, sizes, self.duration / 1e3)

    def _file(self, kind: Column, drive: F64, number: int) -> Path:
        text = json.dumps([number, self.duration, [f"{value:.6g}" for value in drive]])
        return self.folder / kind.key / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def _read(self, kind: Column, drive: F64, number: int) -> list[Counts] | None:
        try:
            kept = json.loads(self._file(kind, drive, number).read_text("utf-8"))["counts"]
            found = np.array(kept, np.int64)
        except (OSError, ValueError, KeyError, TypeError):  # none, or a damaged one
            return None
        return found.tolist() if found.shape == (len(kind.sizes), 3) else None

    def _keep(self, kind: Column, drive: F64, number: int, counts: list[Counts]) -> None:
        file = self._file(kind, drive, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as part:
            part.write_text(json.dumps({"counts": counts}), "utf-8")


def _check_normal(outside: Inputs, rates: F64) -> None:
    """Raise an error where what neurons get from outside is far from normally distributed."""
    received = outside.received(rates, rates**2)
    unlike = np.maximum(np.abs(received.skewness), np.abs(received.excess)) > UNLIKE
    power = received.mean * received.weight / (TAU * 1e-3)
    for i in np.flatnonzero((unlike & (received.spread**2 > NARROW * power)).any(axis=1))[:1]:
        raise UnsupportedError(
            f"what the neurons of {outside.populations[i].label} get from outside differs from "
            "neuron to neuron, and not as a normal distribution does, which library=columns takes "
            "it for: use library=simulated"
        )


def columns_of(labels: Sequence[str]) -> I64:
    """The number of each population's column: by what follows the last @ of its label.

    Examples
    --------
    >>> columns_of(["L4E@0", "L4I@0", "L4E@1", "L4I@1"]).tolist()
    [0, 0, 1, 1]
    """
    names = [label.rpartition("@")[2] if "@" in label else "" for label in labels]
    numbers = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def _kinds(
    inputs: Inputs, groups: I64, projections: Sequence[Any], timestep: float
) -> list[tuple[Column, I64]]:
    """Columns that are alike: one of them, and the populations of each, shape (columns, n)."""
    place = inputs.places
    inside: list[list[tuple[int, int, Any]]] = [[] for _ in range(int(groups.max()) + 1)]
    for projection in projections:
        pairs = list(itertools.product(members(projection.pre), members(projection.post)))
        for (pre, some), (post, _) in pairs:
            source, target = place.get(pre.number), place[post.number]
            if source is None or groups[source] != groups[target]:
                continue  # of what comes from outside, moments count
            if len(pairs) > 1 or some.size < pre.size:
                raise UnsupportedError(
                    f"projection {projection.label} joins assemblies or parts of populations, and "
                    "a column is drawn again projection by projection: connect its populations"
                )
            inside[groups[target]].append((source, target, projection))
    found: dict[str, tuple[Column, list[I64]]] = {}
    for number, own in enumerate(inside):
        of_column = np.flatnonzero(groups == number)
        column = _column(inputs, of_column, own, timestep)
        found.setdefault(repr(column), (column, []))[1].append(of_column)
    return [(column, np.array(all_of)) for column, all_of in found.values()]


def _column(
    inputs: Inputs, of_column: I64, inside: Sequence[tuple[int, int, Any]], timestep: float
) -> Column:
    places = {k: i for i, k in enumerate(of_column.tolist())}
    populations = [inputs.populations[k] for k in places]
    links = [
        Link(places[source], places[target], str(made.receptor_type), *made.recipe())
        for source, target, made in inside
    ]
    return Column(
        tuple(kind_of(p, timestep) for p in populations),
        tuple(p.cells.size for p in populations),
        tuple(links),
    )


def _units(power: F64) -> F64:
    """What the input fluctuates by, for each moment of it: shape (populations of a column * 6,).

    Parameters
    ----------
    power : array, shape (populations, receptors)
        Sums of rates and squares of weights.
    """
    least = np.where(power > 0, power, 1.0)
    variance = least / (TAU * 1e-3)
    return np.stack([np.sqrt(variance), least, variance], axis=-1).ravel()


def _drives(received: Received) -> F64:
    """Moments of inputs, by population and receptor: shape (n, 2, 3)."""
    return np.stack([received.mean, received.mean * received.weight, received.spread**2], axis=-1)


def _flat(drives: F64, of_columns: I64) -> F64:
    """Of columns: shape (columns, drives)."""
    return drives[of_columns].reshape(len(of_columns), -1)

"""The responses of the populations of a network, from tables of isolated neurons or from theory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pyNN.parameters import ArrayParameter
from scipy import sparse

from portable_cortex.errors import SimulationError, UnsupportedError
from portable_cortex.host.cache import writable_cache
from portable_cortex.neurons.storage import stored
from portable_cortex.pynn.expected import typical
from portable_cortex.pynn.population import is_modelled
from portable_cortex.theory.neuron import Cells, Input, rate
from portable_cortex.theory.reading import TIME_CONSTANTS

from ._inputs import RECEPTORS, TAU, Inputs, Population, Received
from ._simulated import Counts, Kind, drift
from ._table import Place, Table, spaced
from ._workers import answers

F64 = NDArray[np.float64]
A_MEAN = 1.0  # units of a table's spacing that a mean input has, at least
APART = 2.0  # distances of points that one table has room for
MOST_TILES = 2000  # of a network
NODES = 5  # of the average over the neurons of a population, for each receptor
CLOSE = 1e-3  # what is left of an input where another one tells it
SLOPE = 0.01  # relative change of input by which gains are measured

Told = Callable[[float | None, str], None]
"""Told how far something is, from 0 to 1, and what it is."""


class Responses(Protocol):
    """The rates of neurons as functions of their input.

    Attributes
    ----------
    seconds : float
        That it took to simulate neurons.
    """

    @property
    def seconds(self) -> float: ...

    def rates(self, populations: NDArray[np.int64], means: F64, weights: F64) -> tuple[F64, F64]:
        """Of neurons of some populations: spikes/s, and relative standard errors.

        Parameters
        ----------
        populations : array, shape (n,)
        means, weights : array, shape (n, 2)
            See `_inputs.Received`.
        """

    def kinds(self, n: int) -> NDArray[np.int64]:
        """The same number for populations of equal neurons, of `n` populations."""

    def interpolation_errors(self, n: int) -> F64:
        """Relative errors of rates beyond those given, of `n` populations."""

    def details(self) -> Mapping[str, Any]:
        """What there is to know about them, for ``run.json``."""


# --- tables ---------------------------------------------------------------------------------------


@dataclass
class Tables:
    """Responses of simulated neurons; populations of equal neurons share a table.

    Attributes
    ----------
    tables : list of Table
    of_population : array of int
        The table of each.
    workers : int
    told : callable
    made : int
        Tiles that were simulated.
    seconds : float
        What that took.
    """

    tables: list[Table]
    of_population: NDArray[np.int64]
    workers: int
    told: Told
    made: int = 0
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        typical: Received,
        *,
        timestep: float,
        spacing: float,
        point_seconds: float,
        workers: int,
        told: Told,
    ) -> Tables:
        """Tables for a network; nothing is simulated yet.

        Parameters
        ----------
        inputs : Inputs
        typical : Received
            By whose fluctuation points are spaced.
        timestep : float
            ms.
        spacing : float
            Of the points, in units of that fluctuation.
        point_seconds : float
            See `_table.Settings`.
        workers : int
            Processes that simulate.
        told : callable
        """
        kinds = [kind_of(p, timestep) for p in inputs.populations]
        wanted = spacing * _scales(inputs, typical)
        folder = writable_cache("coarse")
        tables, of_population = [], np.zeros(len(kinds), np.int64)
        for number, members in enumerate(_alike(kinds, wanted)):
            kind = kinds[members[0]]
            n = len(kind.receptors)
            ranges = [
                (
                    min(inputs.populations[i].weights[k][0] for i in members),
                    max(inputs.populations[i].weights[k][1] for i in members),
                )
                for k in range(n)
            ]
            steps = np.sqrt((wanted[members] ** 2).mean(axis=0))[:n].tolist()
            settings = spaced(kind, ranges, steps, point_seconds)
            tables.append(Table(settings, folder / settings.key))
            of_population[members] = number
        return cls(tables, of_population, workers, told)

    def rates(self, populations: NDArray[np.int64], means: F64, weights: F64) -> tuple[F64, F64]:
        """See `Responses`; what is looked at for the first time is simulated."""
        which = self.of_population[populations]
        self._fill({k: means[which == k] for k in np.unique(which).tolist()})
        rates, errors = np.zeros(len(means)), np.zeros(len(means))
        for k in np.unique(which).tolist():
            own = which == k
            rates[own], errors[own] = self.tables[k].rates(means[own], weights[own])
        return rates, errors

    def kinds(self, n: int) -> NDArray[np.int64]:
        """See `Responses`."""
        return self.of_population

    def _fill(self, means: Mapping[int, F64]) -> None:
        wanted: list[tuple[Table, Place]] = []
        for k, own in means.items():
            table = self.tables[k]
            wanted += [(table, place) for place in table.read(table.missing(own))]
        if not wanted:
            return
        self.made += len(wanted)
        if sum(len(t.tiles) for t in self.tables) + len(wanted) > MOST_TILES:
            raise SimulationError(
                f"the rates that were tried need more than {MOST_TILES} parts of tables: the "
                "network has no stationary state near to where it was looked for, or its input "
                "fluctuates little for its mean; widen the option spacing"
            )
        began = time.perf_counter()
        trials = [table.trial(place) for table, place in wanted]
        self.told(None, f"simulating isolated neurons for {len(trials)} parts of tables")
        for done, (number, counts) in enumerate(answers(trials, self.workers), 1):
            table, place = wanted[number]
            settings = table.settings
            check_stationary(settings.kind, settings.duration, settings.point_seconds, counts)
            table.add(place, [first + second for first, second, _ in counts])
            self.told(None, f"simulating isolated neurons: {done} of {len(trials)} parts of tables")
        self.seconds += time.perf_counter() - began

    def interpolation_errors(self, n: int) -> F64:
        """Of what lies between points; where a table says nothing of it, what the others say."""
        squares = [table.checked() for table in self.tables]
        of_all = np.concatenate(squares)
        of_table = np.array([_root(own if own.size else of_all) for own in squares])
        return np.asarray(of_table[self.of_population])

    def details(self) -> Mapping[str, Any]:
        """Numbers of points and of what is known of errors."""
        squares = np.concatenate([table.checked() for table in self.tables])
        return {
            "library": "simulated",
            "tables": [
                {
                    "neuron": table.settings.kind.celltype,
                    "key": table.settings.key,
                    "steps": list(table.settings.steps),
                    "weights": [list(w) for w in table.settings.weights],
                    "points": int(sum(tile.size for tile in table.tiles.values())),
                    "neuron_seconds_a_point": table.settings.point_seconds,
                }
                for table in self.tables
            ],
            "interpolation_error": _root(squares),
            "checked_at": squares.size,
            "parts_made": self.made,
        }


def check_stationary(
    kind: Kind, duration: float, point_seconds: float, counts: Sequence[Counts]
) -> None:
    """Raise an error where neurons were still changing when they were simulated."""
    change = drift(counts)
    if change:
        raise SimulationError(
            f"isolated {kind.celltype} neurons have no stationary rate in the "
            f"{duration / 1e3:g} s that they are simulated for: it changes by {change:.0%} from "
            "the first half to the second. If they adapt slowly, make the option point_seconds "
            f"larger than {point_seconds:g}"
        )


def _root(squares: F64) -> float:
    """Of the mean of squares from which chance was taken; 0 where there is none."""
    return float(np.sqrt(max(squares.mean(), 0.0))) if squares.size else 0.0


def _scales(inputs: Inputs, typical: Received) -> F64:
    """What the mean input has to change by to make a difference: shape (n, 2)."""
    # at least the fluctuation of one spike/s, where next to nothing arrives
    least = np.ones_like(typical.mean)
    for i, population in enumerate(inputs.populations):
        for k, (low, _) in enumerate(population.weights):
            least[i, k] = low**2
    power = np.maximum(typical.mean * typical.weight, least)
    fluctuation = np.sqrt(2 * power / (TAU * 1e-3))  # as TAU averages it
    # where few spikes arrive, it is as large as the mean
    few = np.where(typical.mean > 0, typical.mean, np.inf) / A_MEAN
    return np.asarray(np.clip(few, np.sqrt(2 * least / (TAU * 1e-3)), fluctuation))


def _alike(kinds: Sequence[Kind], wanted: F64) -> list[list[int]]:
    """Populations that share a table: equal neurons, and points of about the same distance."""
    groups: dict[str, list[list[int]]] = {}
    for i in np.argsort(wanted[:, 0], kind="stable").tolist():
        for own in groups.setdefault(repr(kinds[i]), []):
            ratio = wanted[i] / wanted[own[0]]
            if np.all((ratio <= APART) & (ratio >= 1 / APART)):
                own.append(i)
                break
        else:
            groups[repr(kinds[i])].append([i])
    return [sorted(own) for of_kind in groups.values() for own in of_kind]


def kind_of(population: Population, timestep: float) -> Kind:
    """The neurons of a population."""
    celltype = population.cells.celltype
    is_model = is_modelled(celltype) and not celltype.is_standard
    form = stored(celltype.as_read) if is_model else None
    parameters = {n: _plain(values[0]) for n, values in population.cells.parameters.items()}
    name = celltype.neuron.name if is_model else type(celltype).__name__
    trains = tuple((t.receptor, t.weight, t.rate) for t in population.trains if t.rate)
    own = population.receptors, population.signs
    return Kind(name, form, parameters, *own, timestep, trains)


def _plain(value: Any) -> Any:
    if isinstance(value, ArrayParameter):
        return np.asarray(value.value, float).tolist()
    return float(value)


# --- theory ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Theory:
    """Responses of leaky integrate-and-fire neurons with currents, from mean-field theory.

    Attributes
    ----------
    cells : Cells
    charge : array, shape (n, 2)
        What a weight of 1 moves the potential by, mV.
    tau_syn : array, shape (n, 2)
        ms.
    current : array, shape (n,)
        What a constant current shifts the mean by, mV.
    """

    cells: Cells
    charge: F64
    tau_syn: F64
    current: F64
    seconds: ClassVar[float] = 0.0

    @classmethod
    def of(cls, inputs: Inputs) -> Theory:
        """For the populations of a network.

        Raises
        ------
        UnsupportedError
            For other neurons.
        """
        n = len(inputs.populations)
        columns: dict[str, F64] = {}
        charge, tau_syn = np.zeros((n, RECEPTORS)), np.zeros((n, RECEPTORS))
        for i, population in enumerate(inputs.populations):
            kind = type(population.cells.celltype).__name__
            if kind not in TIME_CONSTANTS:
                raise UnsupportedError(
                    f"library=theory is for {' and '.join(TIME_CONSTANTS)}, and {population.label} "
                    "has other neurons: leave the option out, and tables are made by simulation"
                )
            values = {name: float(v[0]) for name, v in population.cells.parameters.items()}
            for name, value in values.items():
                columns.setdefault(name, np.zeros(n))[i] = value
            for k, (receptor, sign) in enumerate(
                zip(population.receptors, population.signs, strict=True)
            ):
                name = TIME_CONSTANTS[kind][receptor]
                tau = values[name] if name else 0.0
                tau_syn[i, k] = tau
                charge[i, k] = sign * (tau / values["cm"] if tau else 1.0)
        rest = columns["v_rest"]
        cells = Cells(
            columns["tau_m"],
            columns["v_thresh"] - rest,
            columns["v_reset"] - rest,
            columns["tau_refrac"],
        )
        shift = columns["tau_m"] / columns["cm"] * columns["i_offset"]
        return cls(cells, charge, tau_syn, shift)

    def rates(self, populations: NDArray[np.int64], means: F64, weights: F64) -> tuple[F64, F64]:
        """See `Responses`."""
        own = Cells(*(getattr(self.cells, name)[populations] for name in _CELLS))
        charge, tau_syn = self.charge[populations], self.tau_syn[populations]
        tau = own.tau_m * 1e-3
        mean = self.current[populations] + tau * (means * charge).sum(axis=1)
        each = tau[:, np.newaxis] * means * weights * charge**2
        square = each.sum(axis=1)
        root = (each * np.sqrt(tau_syn)).sum(axis=1) / np.where(square > 0, square, 1.0)
        found = rate(own, Input(mean, np.sqrt(square), root**2))
        return found, np.zeros(len(means))

    def kinds(self, n: int) -> NDArray[np.int64]:
        """See `Responses`."""
        numbers = [getattr(self.cells, name) for name in _CELLS]
        own = np.column_stack([*numbers, self.charge, self.tau_syn, self.current])
        return np.asarray(np.unique(own, axis=0, return_inverse=True)[1].ravel())

    def interpolation_errors(self, n: int) -> F64:
        """See `Responses`: a formula has none."""
        return np.zeros(n)

    def details(self) -> Mapping[str, Any]:
        """That it is theory."""
        return {"library": "theory"}


_CELLS = ("tau_m", "threshold", "reset", "tau_refrac")


# --- populations ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Populations:
    """A network of populations, each of which responds on its own: a `_solver.Circuit`.

    Attributes
    ----------
    inputs : Inputs
    responses : Responses
    nodes : int
        Of the average over the neurons of a population, for each receptor.
    """

    inputs: Inputs
    responses: Responses
    nodes: int = NODES

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the populations."""
        return self.inputs.labels

    @property
    def seconds(self) -> float:
        """That it took to simulate neurons."""
        return self.responses.seconds

    def caused(self, rates: F64, squares: F64) -> tuple[F64, F64, F64]:
        """See `_solver.Circuit`."""
        return self._responded(self.inputs.received(rates, squares))

    def other_errors(self, rates: F64, squares: F64) -> F64:
        """See `_solver.Circuit`: of interpolation, and of what typical neurons leave out.

        Of the distribution over neurons four moments are known. What the third and the fourth
        change tells roughly what those beyond would: half as much is taken.
        """
        between = self.responses.interpolation_errors(len(self.labels))
        received = self.inputs.received(rates, squares)
        if not (received.skewness.any() or received.excess.any()):
            return between
        none = np.zeros_like(received.skewness)
        here, normal = (
            self._responded(one)[0]
            for one in (received, replace(received, skewness=none, excess=none))
        )
        change = np.abs(normal - here)
        shape = np.divide(change, 2 * here, out=np.zeros_like(here), where=here > 0)
        return np.asarray(np.hypot(between, shape))

    def gains(self, rates: F64, squares: F64) -> sparse.csr_array:
        """See `_solver.Circuit`."""
        received = self.inputs.received(rates, squares)
        n = rates.size
        total = sparse.csr_array((n, n))
        here = self._responded(received)[0]
        for k in range(RECEPTORS):
            mean = received.mean.copy()
            mean[:, k] *= 1 + SLOPE
            moved = self._responded(replace(received, mean=mean))[0]
            width = SLOPE * received.mean[:, k]
            slope = np.divide(moved - here, width, out=np.zeros(n), where=width > 0)
            total = total + sparse.diags_array(slope) @ self.inputs.means[k]
        return sparse.csr_array(total)

    def details(self) -> Mapping[str, Any]:
        """What there is to know about the responses, for ``run.json``."""
        return self.responses.details()

    def _responded(self, received: Received) -> tuple[F64, F64, F64]:
        """Mean rates, mean squares of rates, and relative standard errors of the first.

        Over the neurons of a population, whose mean inputs differ: Gauss's nodes for each receptor.
        Of equal populations with equal input, as a sheet of columns has many, one is looked up.
        """
        columns = [self._kinds, *vars(received).values()]
        rows = np.column_stack(columns)
        _, one, each = np.unique(_rounded(rows), axis=0, return_index=True, return_inverse=True)
        some = Received(*(values[one] for values in vars(received).values()))
        rates, squares, errors = self._averaged(one, some)
        return rates[each], squares[each], errors[each]

    @cached_property
    def _kinds(self) -> F64:
        """The number of each population's kind of neurons."""
        return self.responses.kinds(len(self.labels)).astype(float)

    def _averaged(self, populations: NDArray[np.int64], received: Received) -> tuple[F64, F64, F64]:
        n = len(populations)
        places, shares = typical_neurons(received, self.nodes)
        means = received.mean[:, np.newaxis] + places * received.spread[:, np.newaxis]
        means = np.maximum(means, 0.0)
        rates, errors = self.responses.rates(
            np.repeat(populations, shares.shape[1]),
            means.reshape(-1, 2),
            np.repeat(received.weight, shares.shape[1], axis=0),
        )
        each, error = rates.reshape(n, -1), errors.reshape(n, -1)
        mean = (each * shares).sum(axis=1)
        # neighbours share points: their errors go together
        relative = (each * error * shares).sum(axis=1) / np.where(mean > 0, mean, 1.0)
        return mean, (each**2 * shares).sum(axis=1), relative


def typical_neurons(received: Received, nodes: int = NODES) -> tuple[F64, F64]:
    """Neurons that stand for a population: mean inputs in units of their spread, and shares.

    Shapes (n, m, receptors) and (n, m). Where the inputs at both receptors go together, the second
    is a part of the first and a rest.
    """
    rho = received.correlation
    rest = np.sqrt(1 - rho**2)
    scale = np.where(rest > CLOSE, rest, 1.0)
    shape = []
    for of_both, power in ((received.skewness, 3), (received.excess, 4)):
        first, second = of_both.T
        shape.append((first, (second - rho**power * first) / scale**power))
    (first, own), (second, other) = (typical(a, b, nodes) for a, b in zip(*shape, strict=True))
    pairs = itertools.product(range(nodes), repeat=2)
    at = np.array([*pairs]).T
    one = first[:, at[0]]
    two = rho[:, np.newaxis] * one + rest[:, np.newaxis] * second[:, at[1]]
    return np.stack([one, two], axis=-1), own[:, at[0]] * other[:, at[1]]


def _rounded(values: F64, digits: int = 10) -> F64:
    """To significant digits: sums that differ by their order become equal."""
    scale = 10.0 ** (digits - np.floor(np.log10(np.maximum(np.abs(values), 1e-30))))
    return np.asarray(np.round(values * scale) / scale)

"""The responses of the populations of a network, from tables of isolated neurons or from theory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
from portable_cortex.pynn.population import is_modelled
from portable_cortex.theory.neuron import Cells, Input, rate
from portable_cortex.theory.reading import TIME_CONSTANTS

from ._inputs import RECEPTORS, Inputs, Population, Received
from ._simulated import Kind
from ._table import Place, Table, spaced
from ._workers import answers

F64 = NDArray[np.float64]
TAU = 10.0  # ms: over which the fluctuation of input counts that points are spaced by
MOST_TILES = 2000  # of a network
NODES = 5  # of the average over the neurons of a population, for each receptor
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

    def interpolation_error(self) -> tuple[float, int]:
        """Relative error of rates beyond those given, and in how many places it was measured."""

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
        groups: dict[str, list[int]] = {}
        kinds = [kind_of(p, timestep) for p in inputs.populations]
        for i, kind in enumerate(kinds):
            groups.setdefault(repr(kind), []).append(i)
        folder = writable_cache("coarse")
        tables, of_population = [], np.zeros(len(kinds), np.int64)
        for number, members in enumerate(groups.values()):
            kind = kinds[members[0]]
            n = len(kind.receptors)
            ranges = [
                (
                    min(inputs.populations[i].weights[k][0] for i in members),
                    max(inputs.populations[i].weights[k][1] for i in members),
                )
                for k in range(n)
            ]
            # variance that a receptor adds to the input, as TAU averages it
            power = (typical.mean * typical.weight)[members] / (TAU * 1e-3)
            # at least that of one spike/s, where next to nothing arrives
            least = [low**2 / (TAU * 1e-3) for low, _ in ranges]
            wanted = [
                spacing * float(np.sqrt(2 * max(power[:, k].mean(), least[k]))) for k in range(n)
            ]
            settings = spaced(kind, ranges, wanted, point_seconds)
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
            table.add(place, [first + second for first, second, _ in counts])
            self.told(None, f"simulating isolated neurons: {done} of {len(trials)} parts of tables")
        self.seconds += time.perf_counter() - began

    def interpolation_error(self) -> tuple[float, int]:
        """Relative, of what lies between points, beyond that of chance; and in how many places."""
        squares = np.concatenate([table.checked() for table in self.tables])
        error = float(np.sqrt(max(squares.mean(), 0.0))) if squares.size else 0.0
        return error, squares.size

    def details(self) -> Mapping[str, Any]:
        """Numbers of points and of what is known of errors."""
        error, places = self.interpolation_error()
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
            "interpolation_error": error,
            "checked_at": places,
            "parts_made": self.made,
        }


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

    def interpolation_error(self) -> tuple[float, int]:
        """See `Responses`: a formula has none."""
        return 0.0, 0

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

    def interpolation_error(self) -> float:
        """See `_solver.Circuit`."""
        return self.responses.interpolation_error()[0]

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
        rows = np.concatenate(
            [self._kinds[:, np.newaxis], received.mean, received.weight, received.spread], axis=1
        )
        _, one, each = np.unique(_rounded(rows), axis=0, return_index=True, return_inverse=True)
        some = Received(received.mean[one], received.weight[one], received.spread[one])
        rates, squares, errors = self._averaged(one, some)
        return rates[each], squares[each], errors[each]

    @cached_property
    def _kinds(self) -> F64:
        """The number of each population's kind of neurons."""
        return self.responses.kinds(len(self.labels)).astype(float)

    def _averaged(self, populations: NDArray[np.int64], received: Received) -> tuple[F64, F64, F64]:
        n = len(populations)
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.nodes)
        weights = weights / weights.sum()
        first, second = (grid.ravel() for grid in np.meshgrid(nodes, nodes, indexing="ij"))
        shares = np.outer(weights, weights).ravel()
        shift = np.stack([first, second], axis=-1)
        means = np.maximum(received.mean[:, np.newaxis] + shift * received.spread[:, np.newaxis], 0)
        rates, errors = self.responses.rates(
            np.repeat(populations, shares.size),
            means.reshape(-1, 2),
            np.repeat(received.weight, shares.size, axis=0),
        )
        each, error = rates.reshape(n, -1), errors.reshape(n, -1)
        mean = each @ shares
        # neighbours share points: their errors go together
        relative = (each * error) @ shares / np.where(mean > 0, mean, 1.0)
        return mean, each**2 @ shares, relative


def _rounded(values: F64, digits: int = 10) -> F64:
    """To significant digits: sums that differ by their order become equal."""
    scale = 10.0 ** (digits - np.floor(np.log10(np.maximum(np.abs(values), 1e-30))))
    return np.asarray(np.round(values * scale) / scale)

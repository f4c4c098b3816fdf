"""What a program means, by the rules of docs/semantics.md: plain loops, one cell after the other.

IF_curr_exp is integrated exactly from one point of the grid to the next, other neurons in many
small parts of a step; everything else is bookkeeping. What is drawn at random (`draws`, `trains` of
Poisson sources) is taken from a backend, after a look at whether it may be what was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from portable_cortex.pynn import plasticity

from . import program as p

FUZZ = 1e-6  # of a step: what floats add to a point of the grid
FAR = 1e12

DEFAULTS: dict[str, dict[str, Any]] = {
    "IF_curr_exp": {
        "v_rest": -65.0, "cm": 1.0, "tau_m": 20.0, "tau_refrac": 0.1, "tau_syn_E": 5.0,
        "tau_syn_I": 5.0, "i_offset": 0.0, "v_reset": -65.0, "v_thresh": -50.0,
    },
    "IF_cond_exp": {
        "v_rest": -65.0, "cm": 1.0, "tau_m": 20.0, "tau_refrac": 0.1, "tau_syn_E": 5.0,
        "tau_syn_I": 5.0, "e_rev_E": 0.0, "e_rev_I": -70.0, "v_thresh": -50.0, "v_reset": -65.0,
        "i_offset": 0.0,
    },
    "SpikeSourceArray": {"spike_times": ()},
    "SpikeSourcePoisson": {"rate": 1.0, "start": 0.0, "duration": 1e10},
}  # fmt: skip
for _alias, _of in (("IF_curr_alpha", "IF_curr_exp"), ("IF_cond_alpha", "IF_cond_exp")):
    DEFAULTS[_alias] = dict(DEFAULTS[_of])
DEFAULTS["IF_curr_alpha"].update(tau_syn_E=0.5, tau_syn_I=0.5)
DEFAULTS["IF_cond_alpha"].update(tau_syn_E=0.3, tau_syn_I=0.5)
CURRENTS: dict[str, dict[str, Any]] = {
    "DCSource": {"amplitude": 1.0, "start": 0.0, "stop": FAR},
    "StepCurrentSource": {"times": (), "amplitudes": ()},
    "ACSource": {
        "amplitude": 1.0, "offset": 0.0, "frequency": 10.0, "phase": 0.0, "start": 0.0,
        "stop": FAR,
    },
    "NoisyCurrentSource": {"mean": 0.0, "stdev": 1.0, "start": 0.0, "stop": FAR, "dt": 0.1},
}  # fmt: skip
UNITS = {"v": "mV", "isyn_exc": "nA", "isyn_inh": "nA", "gsyn_exc": "uS", "gsyn_inh": "uS"}
RECEPTORS = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}
SYNAPTIC = {"exc": "excitatory", "inh": "inhibitory"}
PARTS = 40  # of a step
DEPENDENT = (p.Data, p.SpikeCounts)  # what depends on spikes


class RefusedError(Exception):
    """The program asks for what the rules refuse."""


class UnclearError(Exception):
    """The rules do not say, or too little lies between two answers: nothing to compare."""


class ImpossibleError(Exception):
    """What a backend drew cannot be what was asked for."""


class NotDrawnError(Exception):
    """A backend did not draw what it should have."""


def nearest(time: float, step: float) -> int:
    """Steps: to the nearest point of the grid, a half up."""
    return math.floor(time / step + 0.5 + FUZZ)


def up(time: float, step: float) -> int:
    """Steps: up to the next point of the grid."""
    return math.ceil(time / step - FUZZ)


@dataclass(eq=False)
class Cell:
    """One cell of a population."""

    population: Population
    index: int
    parameters: dict[str, Any]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    v: float = -65.0
    v_initial: float = -65.0
    # of the synapses, in nA or uS, by receptor; and what alpha functions grow by
    current: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RECEPTORS, 0.0))
    slope: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RECEPTORS, 0.0))
    refractory: int = 0  # steps that are left
    pending: list[int] = field(default_factory=list)  # steps in which a source is to fire
    fired: list[int] = field(default_factory=list)  # steps
    # of a Poisson source: from which step, rate, start, duration
    rates: list[tuple[int, float, float, float]] = field(default_factory=list)

    @property
    def is_source(self) -> bool:
        return self.population.cell.startswith("SpikeSource")

    @property
    def is_poisson(self) -> bool:
        return self.population.cell == "SpikeSourcePoisson"

    @property
    def conducts(self) -> bool:
        """Whether its synapses are conductances."""
        return "cond" in self.population.cell

    @property
    def address(self) -> tuple[str, int]:
        """Its population's name, and its index there."""
        return self.population.name, self.index

    def recorded(self, variable: str) -> float:
        """The present value of a variable."""
        return self.v if variable == "v" else self.current[SYNAPTIC[variable[-3:]]]


@dataclass(eq=False)
class Population:
    """Cells of one type, and what is recorded of them."""

    name: str
    cell: str
    cells: list[Cell] = field(default_factory=list)
    # variable -> cell -> the step from which it is recorded
    records: dict[str, dict[int, int]] = field(default_factory=dict)
    interval: int = 1  # steps
    start: int = 0  # of the data that were not cleared
    phase: int = 0  # a step in which samples are taken
    spikes: list[tuple[int, int]] = field(default_factory=list)  # step, cell
    # (variable, step, cell)
    samples: dict[tuple[str, int, int], float] = field(default_factory=dict)
    segments: dict[int, Any] = field(default_factory=dict)  # by their number
    cleared: int | None = None  # step of the last clearing
    annotations: dict[str, Any] = field(default_factory=dict)

    @property
    def sampled(self) -> list[str]:
        """Variables of which there are samples."""
        return [name for name, cells in self.records.items() if cells and name != "spikes"]

    def is_due(self, step: int) -> bool:
        """Whether samples are taken in this step."""
        return step >= self.phase and (step - self.phase) % self.interval == 0


@dataclass(eq=False)
class View:
    """Some cells of a population."""

    cells: list[Cell]

    @property
    def parts(self) -> list[list[Cell]]:
        return [self.cells]


@dataclass(eq=False)
class Assembly:
    """Populations and views."""

    parts: list[list[Cell]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for part in self.parts for cell in part]


@dataclass(eq=False)
class Synapse:
    """One synapse; i and j count within the projection."""

    i: int
    j: int
    weight: float
    delay: int  # steps
    # of a plastic one: when it was sent spikes (steps), how many arrived, the weight of the last
    sent: list[int] = field(default_factory=list)
    n_arrived: int = 0
    present: float | None = None


@dataclass(eq=False)
class Projection:
    """Synapses in the order in which they were created."""

    pre: list[Cell]
    post: list[Cell]
    receptor: str
    conductance_based: bool
    synapses: list[Synapse]
    pre_name: str = ""
    post_name: str = ""
    space: p.Pairs = ()
    synapse: str = "StaticSynapse"
    rule: dict[str, Any] = field(default_factory=dict)

    @property
    def is_static(self) -> bool:
        """Whether weights are what they are set to."""
        return self.synapse == "StaticSynapse"

    @property
    def has_pairs(self) -> bool:
        """Whether weights change through pairs of spikes."""
        return self.synapse == "STDPMechanism"

    def ordered(self) -> list[Synapse]:
        """By source, then target, then as created."""
        return sorted(self.synapses, key=lambda s: (s.i, s.j))


class Interpreter:
    """Runs a program.

    Parameters
    ----------
    program : Program
    draws : dict
        What each statement drew, as a backend has it.
    trains : dict, optional
        Spike times of Poisson populations, by segment and cell, as a backend has them.
    solver : float
        mV that v must keep from the threshold where a solver is not exact.
    keeps : bool
        Whether spikes on their way keep their weight and delay when those are set.
    repeats : bool
        Whether the spikes of Poisson sources are those of a generator, the smallest delay later.
    """

    def __init__(
        self,
        program: p.Program,
        draws: dict[int, Any] | None = None,
        trains: dict[str, list[dict[int, list[float]]]] | None = None,
        solver: float = 1e-6,
        keeps: bool = True,
        repeats: bool = False,
    ) -> None:
        self.program, self.draws, self.trains = program, draws or {}, trains or {}
        self.is_known = True  # whether there are the spikes of all Poisson sources
        self.names_of_old: set[str] = set()
        self.objects: dict[str, Any] = {}
        self.number = 0  # of the statement
        self.margin = 1e-6  # mV, that v must keep from the threshold
        self.solver = solver  # mV, the same where solvers differ
        self.keeps, self.repeats = keeps, repeats
        self.begin(p.Setup())

    def begin(self, setup: p.Setup) -> None:
        """A new network."""
        self.setup = setup
        self.dt = setup.timestep
        self.now = 0  # steps
        self.started = False  # since the beginning or the last reset
        self.number_of_segment = 0
        self.names_of_old |= set(self.objects)
        self.objects = {}
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.injected: list[tuple[dict[str, Any], str, list[Cell]]] = []
        # what arrives, and through which projection: step -> (cell, projection, weight); plastic
        # synapses are in the place of a weight that is not known yet
        self.arrivals: dict[int, list[tuple[Cell, Projection, float | Synapse]]] = {}

    def outcome(self) -> p.Outcome:
        """What the program gives."""
        self.outputs: dict[int, Any] = {}
        for number, statement in enumerate(self.program):
            self.number = number
            try:
                output = getattr(self, f"_{type(statement).__name__.lower()}")(statement)
            except RefusedError as refusal:
                return p.Outcome(self.outputs, refused=(self.number, str(refusal)))
            if output is not None and (self.is_known or not isinstance(statement, DEPENDENT)):
                self.outputs[self.number] = output
        return p.Outcome(self.outputs)

    # --- building -----------------------------------------------------------------------------

    def _setup(self, s: p.Setup) -> None:
        self.begin(s)

    def object(self, name: str) -> Any:
        """What has this name in the present network."""
        if name not in self.objects and name in self.names_of_old:
            raise RefusedError("an object of a network that setup() has ended")
        return self.objects[name]

    def cells(self, name: str) -> list[Cell]:
        """Cells of a population, view or assembly, in order."""
        cells: list[Cell] = self.object(name).cells
        return cells

    def parts(self, name: str) -> list[list[Cell]]:
        """The same, for each population or view of an assembly."""
        value = self.object(name)
        return [value.cells] if isinstance(value, Population) else list(value.parts)

    def _create(self, s: p.Create) -> None:
        if s.cell not in ("IF_curr_exp", "SpikeSourceArray", "SpikeSourcePoisson"):
            self.margin = self.solver
        population = Population(s.name, s.cell)
        for index in range(s.size):
            place = position(s.structure, index)
            population.cells.append(Cell(population, index, dict(DEFAULTS[s.cell]), place))
        self.objects[s.name] = population
        self.populations.append(population)
        self.set_parameters(population.cells, s.parameters)
        for name, value in s.initial:
            self.initialize(population.cells, name, value)
        if s.cell == "SpikeSourcePoisson":
            self.take_trains(population)

    def _view(self, s: p.View) -> None:
        kind, *rest = s.selector
        old = self.object(s.of)
        n = len(old.cells)
        if kind == "slice":
            chosen = list(range(n))[slice(*rest)]
        elif kind == "mask":
            chosen = [k for k, wanted in enumerate(rest) if wanted]
        else:
            chosen = sorted(rest)  # as PyNN
        if not isinstance(old, Assembly):
            self.objects[s.name] = View([old.cells[k] for k in chosen])
            return
        parts, first = [], 0
        for part in old.parts:
            own = [part[k - first] for k in chosen if first <= k < first + len(part)]
            parts += [own] if own else []
            first += len(part)
        self.objects[s.name] = Assembly(parts)

    def _sample(self, s: p.Sample) -> None:
        cells = self.cells(s.of)
        addresses = [cell.address for cell in cells]
        drawn = self.draws.get(self.number)
        if drawn is None:
            raise NotDrawnError
        if len(drawn) != min(s.n, len(cells)) or len(set(drawn)) != len(drawn):
            raise ImpossibleError(f"{drawn} as {s.n} different cells of {len(cells)}")
        if not set(drawn) <= set(addresses):
            raise ImpossibleError(f"{drawn} of {addresses}")
        self.objects[s.name] = View([cells[addresses.index(address)] for address in drawn])

    def _join(self, s: p.Join) -> None:
        parts = [part for name in s.parts for part in self.parts(name)]
        self.objects[s.name] = Assembly(parts)

    def _look(self, s: p.Look) -> Any:
        cells = self.cells(s.cells)
        indices = list(range(len(cells)))
        seen: dict[str, Any] = {
            "size": (len(cells),) * 3,
            "cells": [cell.address for cell in cells],
            "last": [cells[-1].address],
            "indices": indices,
            "array": indices,
            "positions": np.array([cell.position for cell in cells]),
        }
        if not isinstance(self.object(s.cells), Assembly):
            away = [math.dist(cell.position, s.near) for cell in cells]
            if sorted(away)[1:2] and sorted(away)[1] - min(away) < 1e-9:
                raise UnclearError("two cells that are equally near")
            seen["nearest"] = [cells[away.index(min(away))].address]
        return seen

    def _annotate(self, s: p.Annotate) -> None:
        value = self.object(s.cells)
        if isinstance(value, Population):  # data have the annotations of whole populations
            value.annotations.update(s.values)

    # --- parameters and state -----------------------------------------------------------------

    def set_parameters(self, cells: list[Cell], values: p.Pairs) -> None:
        """New values, from the present on."""
        for name, value in values:
            if any(name not in DEFAULTS[cell.population.cell] for cell in cells):
                raise RefusedError(f"no parameter {name}")
            if name == "spike_times":
                several = bool(value) and isinstance(value[0], tuple)
                for k, cell in enumerate(cells):
                    self.set_times(cell, value[k] if several else value)
                continue
            for cell, number in zip(cells, self.each(name, value, cells), strict=True):
                if name == "v_reset":
                    self.check_refractory(cell)
                cell.parameters[name] = number

    def check_refractory(self, cell: Cell) -> None:
        """Of cells with a solver, v is what each simulator makes of it while they are silent."""
        if cell.refractory and cell.population.cell != "IF_curr_exp":
            raise UnclearError("v of a refractory cell with a solver")

    def each(self, name: str, value: Any, cells: list[Cell]) -> list[float]:
        """A value for each cell."""
        if isinstance(value, p.Random):
            drawn = self.draws.get(self.number)
            if drawn is None:
                raise NotDrawnError
            numbers = [float(x) for x in drawn[name]]
            numbers = numbers * len(cells) if len(numbers) == 1 else numbers
            self.check_values(value, numbers, False)
            if len(numbers) > 2 and len(set(numbers)) == 1:
                raise ImpossibleError("one draw for all cells")
            return numbers
        if isinstance(value, p.Function):
            return [float(eval(value.expression, {}, {"i": k})) for k in range(len(cells))]
        return list(value) if isinstance(value, tuple) else [value] * len(cells)

    def set_times(self, cell: Cell, times: tuple[float, ...]) -> None:
        """Other spike times of a source."""
        self.check_times(times)
        cell.parameters["spike_times"] = tuple(times)
        steps = [up(time, self.dt) for time in times]
        # those up to the present are past
        cell.pending = [n for n in steps if n > self.now or not self.started]

    def check_times(self, times: tuple[float, ...]) -> None:
        """Spike times must be in order, from 0, and finite."""
        if any(not math.isfinite(t) or t < 0 for t in times):
            raise RefusedError("spike times that are negative or not finite")
        if any(b < a for a, b in pairwise(times)):
            raise RefusedError("spike times that are not in order")

    def _setparameters(self, s: p.SetParameters) -> None:
        is_short_term = any(q.synapse == "TsodyksMarkramSynapse" for q in self.projections)
        if is_short_term and any(name.startswith("tau_syn") for name, _ in s.values):
            raise UnclearError("time constants of short-term plasticity that are set")
        for part in self.parts(s.cells):
            self.set_parameters(part, s.values)
            if part[0].is_poisson:
                self.note_rates(part)

    def _getparameters(self, s: p.GetParameters) -> Any:
        cells = self.cells(s.cells)
        results = []
        for name in s.parameter if isinstance(s.parameter, tuple) else (s.parameter,):
            if any(name not in cell.parameters for cell in cells):
                raise RefusedError(f"no parameter {name}")
            values = [cell.parameters[name] for cell in cells]
            same = all(value == values[0] for value in values)
            results.append(values[0] if s.simplify and same else values)
        return results

    def initialize(self, cells: list[Cell], name: str, value: Any) -> None:
        """The value holds at once, and is the one of a reset."""
        if name != "v":
            raise UnclearError(name)
        for cell, number in zip(cells, self.each(name, value, cells), strict=True):
            self.check_refractory(cell)
            cell.v = cell.v_initial = float(number)

    def _initialize(self, s: p.Initialize) -> None:
        for part in self.parts(s.cells):
            for name, value in s.values:
                self.initialize(part, name, value)

    # --- Poisson sources ----------------------------------------------------------------------

    def take_trains(self, population: Population) -> None:
        """The spikes of this segment, as the backend has them."""
        self.note_rates(population.cells)
        segments = self.trains.get(population.name)
        if segments is None:
            self.is_known = False
            return
        number = len(population.segments)
        for cell in population.cells:
            times = segments[number].get(cell.index, []) if number < len(segments) else []
            cell.pending = [nearest(time, self.dt) for time in times]

    def note_rates(self, cells: list[Cell]) -> None:
        """Keep what holds from the present on."""
        for cell in cells:
            q = cell.parameters
            cell.rates.append((self.now, q["rate"], q["start"], q["duration"]))

    def lag(self) -> int:
        """Steps that another rate takes to hold."""
        if not self.repeats:
            return 0
        delays = [synapse.delay for q in self.projections for synapse in q.synapses]
        if self.setup.min_delay is not None:
            delays = [nearest(self.setup.min_delay, self.dt)]
        return min(delays, default=1)

    def check_trains(self, population: Population) -> None:
        """Whether the spikes of a Poisson population can be what was asked for."""
        trains = [[step for step, i in population.spikes if i == c.index] for c in population.cells]
        for cell, train in zip(population.cells, trains, strict=True):
            ends = [begin for begin, *_ in cell.rates[1:]] + [self.now]
            mean, allowed = 0.0, set()
            for (begin, rate, start, duration), end in zip(cell.rates, ends, strict=True):
                if not rate:
                    continue
                first = max(begin, math.floor(start / self.dt - FUZZ))
                last = min(end + self.lag(), math.ceil((start + duration) / self.dt + FUZZ))
                mean += max(0, last - first) * self.dt * rate / 1000
                allowed |= set(range(first, last + 1))
            if not set(train) <= allowed:
                raise ImpossibleError(f"spikes of a Poisson source in steps {train}: {cell.rates}")
            if abs(len(train) - mean) > 6 * math.sqrt(mean) + 6:
                raise ImpossibleError(f"{len(train)} spikes of a Poisson source, not {mean:g}")
        long = [tuple(train) for train in trains if len(train) > 4]
        if len(set(long)) < len(long):
            raise ImpossibleError("two Poisson sources that fire at the same times")

    # --- synapses -----------------------------------------------------------------------------

    def _connect(self, s: p.Connect) -> None:
        pre, post = self.cells(s.pre), self.cells(s.post)
        if any(cell.is_source for cell in post):
            raise RefusedError("a spike source as target")
        if len({cell.conducts for cell in post}) > 1:
            raise RefusedError("an assembly of both kinds of synapses")
        self.space = s.space
        arguments = dict(s.arguments)
        if s.connector == "CloneConnector":
            reference = self.object(arguments["reference"])
            if (reference.pre_name, reference.post_name) != (s.pre, s.post):
                raise RefusedError("a clone between other populations")
        given: list[dict[str, float]] = []
        if p.draws_synapses(s):
            rows = self.draws.get(self.number)
            self.check_number(s, pre, post)
            if rows is None:
                self.check_undrawn(s, pre, post)
            self.check_draw(s, rows, pre, post)
            pairs = [(i, j) for i, j, _, _ in rows]
            given = [{"weight": w, "delay": d} for _, _, w, d in rows]
        else:
            pairs, given = self.pairs(s.connector, arguments, pre, post)
        weights, delays = [], []
        for (i, j), values in zip(pairs, given, strict=True):
            least = self.dt if self.setup.min_delay is None else self.setup.min_delay
            weight = 0.0 if s.weight is None else s.weight
            delay = least if s.delay is None else s.delay
            weights.append(
                values["weight"] if "weight" in values else self.value(weight, i, j, pre, post)
            )
            delays.append(
                values["delay"] if "delay" in values else self.value(delay, i, j, pre, post)
            )
        conductance_based = post[0].conducts
        receptor = s.receptor
        if receptor is None:
            receptor = self.default_receptor(s.weight, pre, post)
        elif receptor not in ("excitatory", "inhibitory"):
            raise RefusedError("no such receptor")
        self.check_weights(weights, receptor, conductance_based)
        rule = dict(s.rule)
        self.check_rule(weights, rule)
        steps = [self.delay(delay) for delay in delays]
        synapses = [Synapse(i, j, w, d) for (i, j), w, d in zip(pairs, weights, steps, strict=True)]
        projection = Projection(
            pre,
            post,
            receptor,
            conductance_based,
            synapses,
            s.pre,
            s.post,
            s.space,
            s.synapse,
            rule,
        )
        self.objects[s.name] = projection
        self.projections.append(projection)

    def default_receptor(self, weight: Any, pre: list[Cell], post: list[Cell]) -> str:
        """By the signs of the synapse type's weights; those of a list do not count."""
        if weight is None:
            return "excitatory"
        if isinstance(weight, p.Random):
            values = list(dict(weight.parameters).values())
        elif isinstance(weight, tuple):
            values = [value for row in weight for value in row if not math.isnan(value)]
        else:
            pairs = [(i, j) for i in range(len(pre)) for j in range(len(post))]
            values = [self.value(weight, i, j, pre, post) for i, j in pairs]
        negative = all(value <= 0 for value in values) and any(value < 0 for value in values)
        return "inhibitory" if negative else "excitatory"

    def pairs(
        self, connector: str, arguments: dict[str, Any], pre: list[Cell], post: list[Cell]
    ) -> tuple[list[tuple[int, int]], list[dict[str, float]]]:
        """Which cells are connected, in order, and values that the connector itself has."""
        every = [(i, j) for i in range(len(pre)) for j in range(len(post))]
        if not arguments.get("allow_self_connections", True):
            every = [(i, j) for i, j in every if pre[i] is not post[j]]
        if connector in ("FromListConnector", "FromFileConnector"):
            rows = arguments["conn_list"]
            names = arguments.get("column_names", ("weight", "delay"))
            if connector == "FromListConnector" and "column_names" not in arguments:
                names = ("weight", "delay") if rows and len(rows[0]) == 4 else ()
            if connector == "FromListConnector" and not rows:
                names = ()  # PyNN does not look at them
            if set(names) - {"weight", "delay"}:
                raise RefusedError("a column that does not exist")
            for row in rows:
                if not (0 <= row[0] < len(pre) and 0 <= row[1] < len(post)):
                    raise RefusedError("an index that does not exist")
            return (
                [(int(row[0]), int(row[1])) for row in rows],
                [dict(zip(names, row[2:], strict=True)) for row in rows],
            )
        if connector == "CSAConnector":
            kind, *values = arguments["cset"]
            masks = {"full": lambda i, j: True, "oneToOne": lambda i, j: i == j}
            masks["others"] = lambda i, j: i != j
            pairs = [pair for pair in every if masks[kind](*pair)]
            return pairs, [dict(zip(("weight", "delay"), values, strict=False)) for _ in pairs]
        if connector == "CloneConnector":
            old = self.objects[arguments["reference"]]
            chosen = {(s.i, s.j) for s in old.synapses}
            pairs = [pair for pair in every if pair in chosen]
        elif connector == "AllToAllConnector":
            pairs = every
        elif connector == "OneToOneConnector":
            pairs = [(i, j) for i, j in every if i == j]
        elif connector == "ArrayConnector":
            pairs = [(i, j) for i, j in every if arguments["array"][i][j]]
        elif connector == "FixedProbabilityConnector":
            pairs = every if arguments["p_connect"] == 1 else []
        elif connector == "DistanceDependentProbabilityConnector":
            text = arguments["d_expression"]
            pairs = [(i, j) for i, j in every if self.formula(text, i, j, pre, post) >= 1]
        elif connector == "IndexBasedProbabilityConnector":
            text = arguments["expression"]
            pairs = [(i, j) for i, j in every if eval(text, {}, {"i": i, "j": j})]
        elif connector == "SmallWorldConnector":
            pairs = self.neighbours(arguments, every, pre, post)
        else:
            raise UnclearError(connector)
        return pairs, [{} for _ in pairs]

    def neighbours(
        self, arguments: dict[str, Any], pairs: Any, pre: list[Cell], post: list[Cell]
    ) -> list[tuple[int, int]]:
        """Pairs that are closer than ``degree``."""
        return [(i, j) for i, j in pairs if self.distance(pre[i], post[j]) < arguments["degree"]]

    def distance(self, a: Cell, b: Cell) -> float:
        """Between two cells, in the space of the projection."""
        space = {"axes": "xyz", "scale_factor": 1.0, "offset": 0.0, **dict(self.space)}
        squares = 0.0
        for axis in space["axes"]:
            k = "xyz".index(axis)
            apart = abs(a.position[k] - space["scale_factor"] * (b.position[k] + space["offset"]))
            bounds = (space.get("periodic_boundaries") or (None,) * 3)[k]
            if bounds is not None:
                apart = min(apart, bounds[1] - bounds[0] - apart)
            squares += apart**2
        return math.sqrt(squares)

    def formula(self, text: str, i: int, j: int, pre: list[Cell], post: list[Cell]) -> float:
        """A string of d."""
        return float(eval(text, {"exp": math.exp}, {"d": self.distance(pre[i], post[j])}))

    def value(self, value: Any, i: int, j: int, pre: list[Cell], post: list[Cell]) -> float:
        """The value of a synapse."""
        if isinstance(value, str):
            return self.formula(value, i, j, pre, post)
        if isinstance(value, tuple):
            number = float(value[i][j])
            if math.isnan(number):
                raise RefusedError("not-a-number where there is a synapse")
            return number
        return float(value)

    def delay(self, delay: float) -> int:
        """A delay in steps."""
        if not delay / self.dt >= 0.5 - FUZZ:
            raise RefusedError("a delay of less than half a step")
        steps = nearest(delay, self.dt)
        for limit, sign in ((self.setup.min_delay, 1), (self.setup.max_delay, -1)):
            if limit is not None and sign * (steps - limit / self.dt) < -FUZZ:
                raise RefusedError("a delay outside the limits of setup()")
        return steps

    def check_weights(self, weights: list[float], receptor: str, conductance_based: bool) -> None:
        """Signs must fit the receptor."""
        if any(not math.isfinite(w) for w in weights):
            raise RefusedError("a weight that is no number")
        wanted = -1 if receptor == "inhibitory" and not conductance_based else 1
        if any(wanted * w < 0 for w in weights):
            raise RefusedError("a weight of the wrong sign")

    def check_rule(self, weights: list[float], rule: dict[str, Any]) -> None:
        """Weights must be within the bounds of a pair rule."""
        low, high = sorted((rule.get("w_min", -math.inf), rule.get("w_max", math.inf)))
        if any(not low <= w <= high for w in weights):
            raise RefusedError("a weight outside the bounds of its rule")

    def groups(self, s: p.Connect, pre: list[Cell], post: list[Cell]) -> list[tuple[Any, Any]]:
        """Which pairs a connector chooses from, and which pairs of a list are of that choice."""
        apart = not dict(s.arguments).get("allow_self_connections", True)
        allowed = [
            (i, j) for i in range(len(pre)) for j in range(len(post))
            if not apart or pre[i] is not post[j]
        ]  # fmt: skip
        if s.connector == "FixedTotalNumberConnector":
            return [(allowed, lambda pair: True)]
        if s.connector == "FixedNumberPreConnector":
            of, axis = len(post), 1
        elif s.connector in ("FixedNumberPostConnector", "SmallWorldConnector"):
            of, axis = len(pre), 0
        else:
            return []
        return [
            ([pair for pair in allowed if pair[axis] == k], lambda pair, k=k: pair[axis] == k)
            for k in range(of)
        ]

    def check_number(self, s: p.Connect, pre: list[Cell], post: list[Cell]) -> None:
        """More different pairs than there are is refused."""
        arguments = dict(s.arguments)
        replacing = arguments.get("with_replacement", s.connector == "FixedTotalNumberConnector")
        if s.connector == "SmallWorldConnector":
            self.numbers(s, pre, post)
            return
        for possible, _ in self.groups(s, pre, post):
            if arguments["n"] > (0 if replacing and not possible else len(possible)) and (
                not replacing or not possible
            ):
                raise RefusedError("more different pairs than there are")

    def numbers(self, s: p.Connect, pre: list[Cell], post: list[Cell]) -> list[int]:
        """How many synapses each group of a connector has."""
        arguments = dict(s.arguments)
        groups = self.groups(s, pre, post)
        if s.connector != "SmallWorldConnector":
            return [arguments["n"]] * len(groups) if groups else []
        near = [self.neighbours(arguments, possible, pre, post) for possible, _ in groups]
        wanted = arguments.get("n_connections")
        if wanted is not None and any(len(pairs) < wanted for pairs in near):
            raise RefusedError("more neighbours than there are")
        return [len(pairs) if wanted is None else wanted for pairs in near]

    def check_undrawn(self, s: p.Connect, pre: list[Cell], post: list[Cell]) -> None:
        """What can be refused without knowing what is drawn."""
        arguments = dict(s.arguments)
        known = not p.draws_pairs(s.connector, arguments)
        pairs, given = [(i, j) for i in range(len(pre)) for j in range(len(post))], []
        if known:
            pairs, given = self.pairs(s.connector, arguments, pre, post)
        conductance_based = any("cond" in cell.population.cell for cell in post)
        if isinstance(s.weight, p.Random) and pairs and not (given and "weight" in given[0]):
            receptor = s.receptor or self.default_receptor(s.weight, pre, post)
            self.check_bounds(s.weight, receptor, conductance_based)
            self.check_rule(list(dict(s.weight.parameters).values()), dict(s.rule))
        for name in ("weight", "delay"):
            column = []
            for k, (i, j) in enumerate(pairs):
                value = getattr(s, name)
                if given and name in given[k]:
                    column.append(given[k][name])
                elif value is not None and not isinstance(value, p.Random):
                    column.append(self.value(value, i, j, pre, post))
            # where pairs are not known, these values may have been used
            if name == "delay":
                for value in column:
                    self.delay(value)
            else:
                receptor = s.receptor or self.default_receptor(s.weight, pre, post)
                self.check_weights(column, receptor, conductance_based)
                self.check_rule(column, dict(s.rule))
        raise NotDrawnError

    def check_bounds(self, random: p.Random, receptor: str, conductance_based: bool) -> None:
        """Whether all numbers of a distribution can be weights."""
        bounds = list(dict(random.parameters).values())
        self.check_weights(bounds, receptor, conductance_based)

    def check_draw(self, s: p.Connect, rows: Any, pre: list[Cell], post: list[Cell]) -> None:
        """Whether a backend's synapses can be what a connector was asked for."""
        arguments = dict(s.arguments)
        pairs = [(i, j) for i, j, _, _ in rows]
        groups = self.groups(s, pre, post)
        fixed: set[str] = set()  # values that the connector itself has
        for (possible, belongs), n in zip(groups, self.numbers(s, pre, post), strict=True):
            chosen = [pair for pair in pairs if belongs(pair)]
            if not set(chosen) <= set(possible):
                raise ImpossibleError("an autapse, or an index outside")
            replacing = arguments.get(
                "with_replacement", s.connector == "FixedTotalNumberConnector"
            )
            if not replacing and len(set(chosen)) != len(chosen):
                raise ImpossibleError("a pair that was chosen twice")
            if len(chosen) != n:
                raise ImpossibleError(f"{len(chosen)} synapses instead of {n}")
            near = set(possible)
            if s.connector == "SmallWorldConnector":
                near = set(self.neighbours(arguments, possible, pre, post))
            if arguments.get("rewiring") == 0 and not set(chosen) <= near:
                raise ImpossibleError("a synapse with a cell that is no neighbour")
        if p.draws_pairs(s.connector, arguments) and not groups:
            apart = not arguments.get("allow_self_connections", True)
            if len(set(pairs)) != len(pairs):
                raise ImpossibleError("several synapses of one pair")
            if apart and any(pre[i] is post[j] for i, j in pairs):
                raise ImpossibleError("an autapse")
        elif not groups:
            expected, values = self.pairs(s.connector, arguments, pre, post)
            if sorted(pairs) != sorted(expected):
                raise ImpossibleError(f"pairs {pairs} instead of {expected}")
            fixed = set().union(*values) if values else set()
            order = sorted(range(len(expected)), key=lambda k: expected[k])
            for row, k in zip(rows, order, strict=True):
                for name, value in values[k].items():
                    want = self.delay(value) * self.dt if name == "delay" else value
                    if abs(row[2 if name == "weight" else 3] - want) > 1e-6:
                        raise ImpossibleError(f"{name} {row} instead of {want}")
        for name, column in (("weight", 2), ("delay", 3)):
            value = getattr(s, name)
            if name in fixed:
                continue
            if isinstance(value, p.Random):
                self.check_values(value, [row[column] for row in rows], name == "delay")
            elif value is not None:
                for row in rows:
                    want = self.value(value, row[0], row[1], pre, post)
                    want = self.delay(want) * self.dt if name == "delay" else want
                    if abs(want - row[column]) > 1e-6 * max(1, abs(want)):
                        raise ImpossibleError(f"a {name} of {row[column]} instead of {want}")

    def check_values(self, random: p.Random, values: list[float], rounded: bool) -> None:
        """Whether values can have been drawn from a uniform distribution."""
        bounds = dict(random.parameters)
        room = self.dt if rounded else 1e-6
        if any(not bounds["low"] - room <= x <= bounds["high"] + room for x in values):
            raise ImpossibleError(f"values {values} outside of {bounds}")
        if len(values) > 8 and len(set(values)) == 1 and not rounded:
            raise ImpossibleError("one draw for all synapses")

    def _get(self, s: p.Get) -> Any:
        projection = self.object(s.projection)
        names = s.attributes if isinstance(s.attributes, tuple) else (s.attributes,)
        is_coming = [x.n_arrived < len(x.sent) for x in projection.synapses]
        if projection.has_pairs and any(is_coming) and s.format == "array":
            raise UnclearError("weights while spikes are on their way")

        def weight(synapse: Synapse) -> float:
            if projection.has_pairs and synapse.n_arrived < len(synapse.sent):
                return math.nan  # that of the last spike, or of one on its way
            return synapse.weight if synapse.present is None else synapse.present

        columns = {"weight": weight, "delay": lambda x: x.delay * self.dt}
        if s.format == "list":
            rows = []
            for synapse in projection.ordered():
                values = tuple(columns[name](synapse) for name in names)
                address = (float(synapse.i), float(synapse.j)) if s.with_address else ()
                single = not s.with_address and isinstance(s.attributes, str)
                rows.append(values[0] if single else address + values)
            return rows
        combine = {
            "sum": sum, "min": min, "max": max, "first": lambda x: x[0], "last": lambda x: x[-1]
        }[s.multiple]  # fmt: skip
        matrices = []
        for name in names:
            matrix = np.full((len(projection.pre), len(projection.post)), np.nan)
            for i in range(matrix.shape[0]):
                for j in range(matrix.shape[1]):
                    values = [columns[name](x) for x in projection.synapses if (x.i, x.j) == (i, j)]
                    if values:
                        matrix[i, j] = combine(values)
            matrices.append(matrix)
        return matrices

    def _setsynapses(self, s: p.SetSynapses) -> None:
        projection = self.object(s.projection)
        self.space = projection.space
        if not projection.is_static and self.started:
            raise UnclearError("plastic synapses that are set between runs")
        coming = (arrival[1] for arrivals in self.arrivals.values() for arrival in arrivals)
        if not self.keeps and projection in coming:
            raise UnclearError("synapses that change while spikes are on their way")
        for _, value in s.values:
            is_list = isinstance(value, tuple) and not (value and isinstance(value[0], tuple))
            if is_list and len(value) != len(projection.synapses):
                raise RefusedError("a list without a value for each synapse")
        random = {name for name, value in s.values if isinstance(value, p.Random)}
        if random:
            rows = self.draws.get(self.number)
            if rows is None:
                for name, value in s.values:
                    if name not in random:
                        self.check_set(projection, name, value)
                    if name == "weight" and isinstance(value, p.Random) and projection.synapses:
                        receptor = projection.receptor
                        self.check_bounds(value, receptor, projection.conductance_based)
                        self.check_rule(list(dict(value.parameters).values()), projection.rule)
                raise NotDrawnError
            ordered = projection.ordered()
            if [(x.i, x.j) for x in ordered] != [(row[0], row[1]) for row in rows]:
                raise ImpossibleError("set() changed the order of the synapses")
        new = []
        for k, synapse in enumerate(projection.ordered()):
            values = {"weight": synapse.weight, "delay": synapse.delay * self.dt}
            for name, value in s.values:
                if isinstance(value, tuple) and value and not isinstance(value[0], tuple):
                    values[name] = value[k]
                elif name in random:
                    values[name] = rows[k][2 if name == "weight" else 3]
                else:
                    values[name] = self.value(
                        value, synapse.i, synapse.j, projection.pre, projection.post
                    )
            new.append((values["weight"], self.delay(values["delay"])))
        for name, value in s.values:
            if name in random:
                column = [w if name == "weight" else d * self.dt for w, d in new]
                self.check_values(value, column, name == "delay")
        self.check_weights([w for w, _ in new], projection.receptor, projection.conductance_based)
        self.check_rule([w for w, _ in new], projection.rule)
        for synapse, (weight, delay) in zip(projection.ordered(), new, strict=True):
            synapse.weight, synapse.delay = weight, delay

    def check_set(self, projection: Projection, name: str, value: Any) -> None:
        """Whether synapses can have these values."""
        pre, post = projection.pre, projection.post
        is_list = isinstance(value, tuple) and not (value and isinstance(value[0], tuple))
        for k, synapse in enumerate(projection.ordered()):
            number = value[k] if is_list else self.value(value, synapse.i, synapse.j, pre, post)
            if name == "delay":
                self.delay(number)
            else:
                receptor = projection.receptor
                self.check_weights([number], receptor, projection.conductance_based)
                self.check_rule([number], projection.rule)

    def _initializesynapses(self, s: p.InitializeSynapses) -> None:
        self.object(s.projection)
        raise RefusedError("synapses have no state that can be set")

    # --- currents -----------------------------------------------------------------------------

    def _inject(self, s: p.Inject) -> None:
        cells = self.cells(s.cells)
        if any(cell.is_source for cell in cells):
            raise RefusedError("a current into a spike source")
        values = {**CURRENTS[s.kind], **dict(s.parameters)}
        self.check_current(s.kind, values)
        self.objects[s.name] = values
        self.injected.append((values, s.kind, list(cells)))

    def _injectagain(self, s: p.InjectAgain) -> None:
        cells = self.cells(s.cells)
        values = self.object(s.name)
        if any(cell.is_source for cell in cells):
            raise RefusedError("a current into a spike source")
        for others, _, injected in self.injected:
            if others is values:  # a cell has the current of a source once
                injected += [cell for cell in cells if cell not in injected]

    def _setcurrent(self, s: p.SetCurrent) -> None:
        values = self.object(s.name)
        kinds = [kind for others, kind, _ in self.injected if others is values]
        values.update(s.values)
        self.check_current(kinds[0], values)

    def check_current(self, kind: str, values: dict[str, Any]) -> None:
        """Parameters that cannot be."""
        if kind == "StepCurrentSource":
            times = values["times"]
            if len(times) != len(values["amplitudes"]):
                raise RefusedError("not as many amplitudes as times")
            if any(t < 0 for t in times) or list(times) != sorted(times):
                raise RefusedError("times that do not ascend from 0")

    def amplitude(self, kind: str, values: dict[str, Any], step: int) -> float:
        """The current (nA) in the step that begins at a point of the grid."""
        if kind == "StepCurrentSource":
            level = 0.0
            for time, amplitude in zip(values["times"], values["amplitudes"], strict=True):
                if nearest(time, self.dt) <= step:
                    level = amplitude
            return level
        start, stop = nearest(values["start"], self.dt), nearest(values["stop"], self.dt)
        if not start <= step < stop:
            return 0.0
        if kind == "DCSource":
            return float(values["amplitude"])
        if kind == "NoisyCurrentSource":
            if values["stdev"]:
                raise UnclearError("noise")
            return float(values["mean"])
        time = (step - start) * self.dt / 1000
        angle = 2 * math.pi * values["frequency"] * time + math.radians(values["phase"])
        return float(values["offset"] + values["amplitude"] * math.sin(angle))

    # --- running ------------------------------------------------------------------------------

    def _run(self, s: p.Run) -> Any:
        begin = self.now
        end = nearest(s.time, self.dt) if s.until else self.now + nearest(s.time, self.dt)
        if end < self.now:
            raise RefusedError("a time in the past")
        times = []
        if s.every is not None:
            step = nearest(s.every, self.dt)
            if abs(step * self.dt - s.every) > 1e-9 or step < 1:
                raise UnclearError("callbacks off the grid")
            # first before the run; then every so many steps, and at the end
            calls = list(range(begin, end, step))
            times = [round(n * self.dt, 6) for n in [*calls, end] if n == begin or end > begin]
            if end == begin:
                times = times[:1]
        if not self.started:
            self.started = True
            self.sample()
            self.fire_sources()
        while self.now < end:
            self.advance()
        time = round(self.now * self.dt, 6)
        return time, time, tuple(times)

    def advance(self) -> None:
        """One step: membranes, currents, arrivals, thresholds, sources."""
        flowing: dict[int, float] = {}
        for values, kind, cells in self.injected:
            amplitude = self.amplitude(kind, values, self.now)
            for cell in cells:
                flowing[id(cell)] = flowing.get(id(cell), 0.0) + amplitude
        self.now += 1
        arrivals = self.arrivals.pop(self.now, [])
        neurons = [c for q in self.populations for c in q.cells if not c.is_source]
        for cell in neurons:
            if cell.refractory:
                cell.refractory -= 1
            else:
                injected = flowing.get(id(cell), 0.0)
                simple = cell.population.cell == "IF_curr_exp"
                cell.v = (self.membrane if simple else self.integrate)(cell, injected)
            for receptor in RECEPTORS:
                cell.current[receptor], cell.slope[receptor] = course(cell, receptor, self.dt)
        for cell in neurons:
            self.threshold(cell)
        for cell, projection, coming in arrivals:
            receptor = projection.receptor
            is_known = isinstance(coming, float)
            weight = coming if is_known else self.transmitted(cell, projection, coming)
            if "alpha" in cell.population.cell:  # the weight is the peak
                tau = cell.parameters[RECEPTORS[receptor]]
                cell.slope[receptor] += weight * math.e / tau
            else:
                cell.current[receptor] += weight
        self.fire_sources()
        self.sample()

    def transmitted(self, cell: Cell, projection: Projection, synapse: Synapse) -> float:
        """The weight of the next spike that arrives through a plastic synapse."""
        synapse.n_arrived += 1
        sent = self.dt * np.array(synapse.sent[: synapse.n_arrived], float)
        rule = projection.rule
        if not projection.has_pairs:
            tau_syn = cell.parameters[RECEPTORS[projection.receptor]]
            values = rule["U"], rule["tau_rec"], rule["tau_facil"], tau_syn
            return float(plasticity.short_term(synapse.weight, *values, sent)[-1])
        powers = plasticity.EXPONENTS.get(rule["weight_dependence"], (None, None))
        rule = dict(zip(("mu_plus", "mu_minus"), powers, strict=True)) | rule
        delay, fired = synapse.delay * self.dt, self.dt * np.array(cell.fired, float)
        synapse.present = float(plasticity.paired(rule, synapse.weight, delay, sent, fired)[-1])
        return synapse.present

    def integrate(self, cell: Cell, injected: float) -> float:
        """v one step later, by the classical Runge-Kutta method in small parts."""
        q, part = cell.parameters, self.dt / PARTS

        def rate(v: float, time: float) -> float:
            current = q["i_offset"] + injected
            for receptor, reversal in (("excitatory", "e_rev_E"), ("inhibitory", "e_rev_I")):
                value, _ = course(cell, receptor, time)
                current += value * (q[reversal] - v) if cell.conducts else value
            return float((q["v_rest"] - v) / q["tau_m"] + current / q["cm"])

        v = cell.v
        for k in range(PARTS):
            time = k * part
            a = rate(v, time)
            b = rate(v + part / 2 * a, time + part / 2)
            c = rate(v + part / 2 * b, time + part / 2)
            d = rate(v + part * c, time + part)
            v += part / 6 * (a + 2 * b + 2 * c + d)
        return v

    def membrane(self, cell: Cell, injected: float) -> float:
        """v one step later, exactly."""
        q, h = cell.parameters, self.dt
        keep = math.exp(-h / q["tau_m"])
        v = q["v_rest"] + (cell.v - q["v_rest"]) * keep
        v += (q["i_offset"] + injected) * q["tau_m"] / q["cm"] * (1 - keep)
        for receptor, name in (("excitatory", "tau_syn_E"), ("inhibitory", "tau_syn_I")):
            tau = q[name]
            if tau == q["tau_m"]:
                response = h * keep
            else:
                response = (math.exp(-h / tau) - keep) / (1 / q["tau_m"] - 1 / tau)
            v += cell.current[receptor] * response / q["cm"]
        return float(v)

    def threshold(self, cell: Cell) -> None:
        """Fire or not."""
        if cell.refractory:
            return
        above = cell.v - cell.parameters["v_thresh"]
        if abs(above) < self.margin:
            raise UnclearError("v touches the threshold")
        if above >= 0:
            cell.v = cell.parameters["v_reset"]
            cell.refractory = up(cell.parameters["tau_refrac"], self.dt)
            self.fire(cell)

    def fire_sources(self) -> None:
        """What array sources send at the present."""
        for population in self.populations:
            for cell in population.cells:
                for _ in range(cell.pending.count(self.now)):
                    self.fire(cell)
                cell.pending = [step for step in cell.pending if step > self.now]

    def fire(self, cell: Cell) -> None:
        """Record a spike and send it off."""
        population = cell.population
        cell.fired.append(self.now)
        recorded = population.records.get("spikes", {})
        if cell.index in recorded:
            start = max(recorded[cell.index], population.start)
            if self.now > start or self.now == 0:
                population.spikes.append((self.now, cell.index))
        for projection in self.projections:
            for synapse in projection.synapses:
                if projection.pre[synapse.i] is cell:
                    coming: float | Synapse = float(synapse.weight)
                    if not projection.is_static:
                        synapse.sent.append(self.now)
                        coming = synapse
                    arrival = projection.post[synapse.j], projection, coming
                    self.arrivals.setdefault(self.now + synapse.delay, []).append(arrival)

    # --- recording ----------------------------------------------------------------------------

    def _record(self, s: p.Record) -> None:
        for part in self.parts(s.cells):
            population = part[0].population
            for variable in s.variables:
                kind = {"i": "curr", "g": "cond"}.get(variable[0], "IF")
                if variable != "spikes" and kind not in population.cell:
                    raise RefusedError(f"{variable} cannot be recorded")
                self.record(population, part, variable, s.interval)

    def record(
        self, population: Population, cells: list[Cell], variable: str, interval: float | None
    ) -> None:
        """Record a variable of some cells of one population."""
        steps = 1
        if interval is not None:
            steps = nearest(interval, self.dt)
            if steps < 1 or abs(interval / self.dt - steps) > FUZZ:
                raise RefusedError("an interval that is no multiple of the step")
        if population.sampled and interval is not None and steps != population.interval:
            raise RefusedError("another interval than the one in use")
        if variable != "spikes" and not population.sampled:
            population.interval, population.phase = steps, self.now
        recorded = population.records.setdefault(variable, {})
        for cell in cells:
            if cell.index not in recorded:
                recorded[cell.index] = self.now
                if variable != "spikes" and self.started and population.is_due(self.now):
                    sample = cell.recorded(variable)
                    population.samples[variable, self.now, cell.index] = sample

    def sample(self) -> None:
        """Take samples of what is recorded."""
        for population in self.populations:
            if population.is_due(self.now):
                self.sample_population(population)

    def sample_population(self, population: Population) -> None:
        """The present values of all that is recorded."""
        for variable in population.sampled:
            for index in population.records[variable]:
                sample = population.cells[index].recorded(variable)
                population.samples[variable, self.now, index] = sample

    def segment(self, population: Population) -> dict[str, Any]:
        """The data since the beginning, the last clearing or reset."""
        ms = lambda steps: round(steps * self.dt, 6)  # noqa: E731
        spikes, signals = {}, {}
        recorded = population.records.get("spikes", {})
        start = max(min(recorded.values(), default=0), population.start)
        for index in sorted(recorded):
            spikes[index] = {
                "times": [ms(n) for n, cell in population.spikes if cell == index],
                "t_start": ms(start),
                "t_stop": ms(self.now),
            }
        for variable in population.sampled:
            begins = population.records[variable]
            earliest = max(min(begins.values()), population.phase)
            first = earliest + (population.phase - earliest) % population.interval
            steps = range(first, self.now + 1, population.interval)
            if not steps:
                continue
            index = sorted(begins)
            values = [
                [population.samples.get((variable, n, cell), math.nan) for cell in index]
                for n in steps
            ]
            signals[variable] = {
                "index": index,
                "t_start": ms(first),
                "interval": ms(population.interval),
                "units": UNITS[variable],
                "values": np.array(values),
            }
        return {"spikes": spikes, "signals": signals}

    def segments(self, population: Population) -> dict[int, Any]:
        """All data of a population, by the number of the segment."""
        segments = dict(population.segments)
        if self.started:
            if population.cell == "SpikeSourcePoisson" and self.is_known:
                self.check_trains(population)
            segments[self.number_of_segment] = self.segment(population)
        if not segments:
            raise RefusedError("data before a run")
        return segments

    def _data(self, s: p.Data) -> Any:
        value = self.object(s.cells)
        parts = self.parts(s.cells)
        pieces: dict[int, list[Any]] = {}
        for part in parts:
            for number, segment in self.segments(part[0].population).items():
                wanted = pick(segment, [cell.index for cell in part], s.variables)
                pieces.setdefault(number, []).append((part, wanted))
        if s.clear:
            populations = {id(part[0].population): part[0].population for part in parts}
            for population in populations.values():
                self.clear(population)
        if isinstance(value, Assembly):
            positions = {cell.address: k for k, cell in enumerate(value.cells)}
            return {"segments": [joint(pieces[n], positions) for n in sorted(pieces)]}
        population = parts[0][0].population
        annotations = {
            "size": len(population.cells), "first_index": 0, "last_index": len(population.cells),
            "label": population.name, "dt": self.dt, **population.annotations,
        }  # fmt: skip
        segments = [pieces[n][0][1] for n in sorted(pieces)]
        return {"annotations": annotations, "segments": segments}

    def clear(self, population: Population) -> None:
        """Begin new data at the present."""
        population.segments, population.spikes, population.samples = {}, [], {}
        population.start = population.phase = population.cleared = self.now
        if self.started:
            self.sample_population(population)

    def _spikecounts(self, s: p.SpikeCounts) -> Any:
        counts = {}
        for cell in self.cells(s.cells):
            if cell.index in cell.population.records.get("spikes", {}):
                counts[cell.address] = [i for _, i in cell.population.spikes].count(cell.index)
        return counts, sum(counts.values()) / max(1, len(counts))

    def _reset(self, s: p.Reset) -> None:
        for population in self.populations:
            # there is no segment of no time
            if self.now > 0 and population.cleared != self.now:
                if population.cell == "SpikeSourcePoisson" and self.is_known:
                    self.check_trains(population)
                population.segments[self.number_of_segment] = self.segment(population)
            population.start, population.phase, population.cleared = 0, 0, None
            population.spikes, population.samples = [], {}
            for cells in population.records.values():
                cells.update(dict.fromkeys(cells, 0))
            for cell in population.cells:
                cell.v, cell.refractory = cell.v_initial, 0
                cell.current = dict.fromkeys(RECEPTORS, 0.0)
                cell.slope = dict.fromkeys(RECEPTORS, 0.0)
                cell.pending = [up(t, self.dt) for t in cell.parameters.get("spike_times", ())]
                cell.rates = []
                cell.fired = []
        for synapse in (x for projection in self.projections for x in projection.synapses):
            synapse.sent, synapse.n_arrived, synapse.present = [], 0, None
        self.arrivals, self.now, self.started = {}, 0, False
        self.number_of_segment += 1
        for population in self.populations:
            if population.cell == "SpikeSourcePoisson":
                self.take_trains(population)

    def _end(self, s: p.End) -> None:
        pass


def course(cell: Cell, receptor: str, time: float) -> tuple[float, float]:
    """Synaptic current or conductance of a receptor, and its slope, some time (ms) later."""
    keep = math.exp(-time / cell.parameters[RECEPTORS[receptor]])
    return (cell.current[receptor] + cell.slope[receptor] * time) * keep, cell.slope[
        receptor
    ] * keep


def position(structure: Any, index: int) -> tuple[float, float, float]:
    """Where a cell is; cells without a structure stand in a line, 1 apart."""
    kind, pairs = structure or ("Line", ())
    q = {"dx": 1.0, "dy": 1.0, "x0": 0.0, "y0": 0.0, "y": 0.0, "z": 0.0, **dict(pairs)}
    if kind == "Line":
        return q["x0"] + q["dx"] * index, q["y"], q["z"]
    row, column = divmod(index, 2)  # a grid of two times two
    return q["x0"] + q["dx"] * row, q["y0"] + q["dy"] * column, q["z"]


def pick(segment: dict[str, Any], wanted: list[int], variables: Any) -> dict[str, Any]:
    """The part of a segment that some cells have, of some variables."""
    spikes = {index: train for index, train in segment["spikes"].items() if index in wanted}
    signals = {}
    for name, signal in segment["signals"].items():
        columns = [k for k, index in enumerate(signal["index"]) if index in wanted]
        if columns and (variables == "all" or name in variables):
            index = [signal["index"][k] for k in columns]
            signals[name] = {**signal, "index": index, "values": signal["values"][:, columns]}
    if variables != "all" and "spikes" not in variables:
        spikes = {}
    return {"spikes": spikes, "signals": signals}


def joint(pieces: list[Any], positions: dict[tuple[str, int], int]) -> dict[str, Any]:
    """A segment of an assembly, cell by cell, from those of its populations and views."""
    spikes, signals = {}, {}
    for part, segment in pieces:
        name = part[0].population.name
        spikes.update({(name, index): train for index, train in segment["spikes"].items()})
        for variable, signal in segment["signals"].items():
            for index, column in zip(signal["index"], signal["values"].T, strict=True):
                place = positions[name, index]
                signals[variable, name, index] = {**signal, "index": place, "values": column}
    return {"spikes": spikes, "signals": signals}

"""What a program means, by the rules of docs/semantics.md: plain loops, one cell after the other.

IF_curr_exp is integrated exactly from one point of the grid to the next, other neurons in many
small parts of a step; everything else is bookkeeping. What is drawn at random (`draws`) is taken
from a backend, after a look at whether it may be what was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

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
UNITS = {"v": "mV"}
RECEPTORS = {"excitatory": "tau_syn_E", "inhibitory": "tau_syn_I"}
PARTS = 40  # of a step


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
    v: float = -65.0
    v_initial: float = -65.0
    # of the synapses, in nA or uS, by receptor; and what alpha functions grow by
    current: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RECEPTORS, 0.0))
    slope: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RECEPTORS, 0.0))
    refractory: int = 0  # steps that are left
    pending: list[int] = field(default_factory=list)  # steps in which a source is to fire

    @property
    def is_source(self) -> bool:
        return self.population.cell.startswith("SpikeSource")

    @property
    def conducts(self) -> bool:
        """Whether its synapses are conductances."""
        return "cond" in self.population.cell


@dataclass(eq=False)
class Population:
    """Cells of one type, and what is recorded of them."""

    name: str
    cell: str
    cells: list[Cell] = field(default_factory=list)
    records_spikes: dict[int, int] = field(default_factory=dict)  # cell, from which step
    records_v: dict[int, int] = field(default_factory=dict)
    interval: int | None = None  # steps
    start: int = 0  # of the data that were not cleared
    first: bool = True  # a spike at `start` is in the data
    spikes: list[tuple[int, int]] = field(default_factory=list)  # step, cell
    samples: dict[tuple[int, int], float] = field(default_factory=dict)  # (step, cell)
    segments: list[Any] = field(default_factory=list)
    cleared: bool = False


@dataclass(eq=False)
class Synapse:
    """One synapse; i and j count within the projection."""

    i: int
    j: int
    weight: float
    delay: int  # steps


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

    def ordered(self) -> list[Synapse]:
        """By source, then target, then as created."""
        return sorted(self.synapses, key=lambda s: (s.i, s.j))


class Interpreter:
    """Runs a program.

    Parameters
    ----------
    program : Program
    draws : dict
        Synapses after each statement that draws, as a backend has them.
    solver : float
        mV that v must keep from the threshold where a solver is not exact.
    euler : bool
        Whether cells other than IF_curr_exp are integrated by the implicit Euler method.
    """

    def __init__(
        self,
        program: p.Program,
        draws: dict[int, Any] | None = None,
        solver: float = 1e-6,
        euler: bool = False,
    ) -> None:
        self.program, self.draws = program, draws or {}
        self.number = 0  # of the statement
        self.margin = 1e-6  # mV, that v must keep from the threshold
        self.solver = solver  # mV, the same where solvers differ
        self.euler = euler
        self.begin(p.Setup())

    def begin(self, setup: p.Setup) -> None:
        """A new network."""
        self.setup = setup
        self.dt = setup.timestep
        self.now = 0  # steps
        self.started = False  # since the beginning or the last reset
        self.objects: dict[str, Any] = {}
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.injected: list[tuple[dict[str, Any], str, list[Cell]]] = []
        # what arrives: step -> (cell, receptor, weight)
        self.arrivals: dict[int, list[tuple[Cell, str, float]]] = {}

    def outcome(self) -> p.Outcome:
        """What the program gives."""
        outcome = p.Outcome()
        for number, statement in enumerate(self.program):
            self.number = number
            try:
                output = getattr(self, f"_{type(statement).__name__.lower()}")(statement)
            except RefusedError as refusal:
                outcome.refused = self.number, str(refusal)
                return outcome
            if output is not None:
                outcome.outputs[self.number] = output
        return outcome

    # --- building -----------------------------------------------------------------------------

    def _setup(self, s: p.Setup) -> None:
        self.begin(s)

    def cells(self, name: str) -> list[Cell]:
        """Cells of a population, view or assembly, in order."""
        value = self.objects[name]
        return value.cells if isinstance(value, Population) else value

    def _create(self, s: p.Create) -> None:
        if s.cell not in ("IF_curr_exp", "SpikeSourceArray", "SpikeSourcePoisson"):
            self.margin = self.solver
        population = Population(s.name, s.cell)
        for index in range(s.size):
            population.cells.append(Cell(population, index, dict(DEFAULTS[s.cell])))
        self.objects[s.name] = population
        self.populations.append(population)
        self.set_parameters(population.cells, s.parameters)
        for name, value in s.initial:
            self.initialize(population.cells, name, value)

    def _view(self, s: p.View) -> None:
        cells = self.cells(s.of)
        kind, *rest = s.selector
        if kind == "slice":
            chosen = cells[slice(*rest)]
        elif kind == "mask":
            chosen = [cell for cell, wanted in zip(cells, rest, strict=True) if wanted]
        else:
            chosen = [cells[index] for index in sorted(rest)]  # as PyNN
        self.objects[s.name] = chosen

    def _join(self, s: p.Join) -> None:
        self.objects[s.name] = [cell for part in s.parts for cell in self.cells(part)]

    # --- parameters and state -----------------------------------------------------------------

    def set_parameters(self, cells: list[Cell], values: p.Pairs) -> None:
        """New values, from the present on."""
        for name, value in values:
            for k, cell in enumerate(cells):
                if name not in DEFAULTS[cell.population.cell]:
                    raise RefusedError(f"no parameter {name}")
                if name == "spike_times":
                    several = bool(value) and isinstance(value[0], tuple)
                    times = value[k] if several else value
                    self.check_times(times)
                    cell.parameters[name] = tuple(times)
                    steps = [up(time, self.dt) for time in times]
                    # those up to the present are past
                    cell.pending = [n for n in steps if n > self.now or not self.started]
                else:
                    cell.parameters[name] = value[k] if isinstance(value, tuple) else value

    def check_times(self, times: tuple[float, ...]) -> None:
        """Spike times must be in order, from 0, and finite."""
        if any(not math.isfinite(t) or t < 0 for t in times):
            raise RefusedError("spike times that are negative or not finite")
        if any(b < a for a, b in pairwise(times)):
            raise RefusedError("spike times that are not in order")

    def _setparameters(self, s: p.SetParameters) -> None:
        self.set_parameters(self.cells(s.cells), s.values)

    def _getparameters(self, s: p.GetParameters) -> Any:
        values = [cell.parameters[s.parameter] for cell in self.cells(s.cells)]
        return values if s.parameter == "spike_times" else np.array(values, float)

    def initialize(self, cells: list[Cell], name: str, value: Any) -> None:
        """The value holds at once, and is the one of a reset."""
        if name != "v":
            raise UnclearError(name)
        for k, cell in enumerate(cells):
            cell.v = cell.v_initial = value[k] if isinstance(value, tuple) else float(value)
            if self.started and (cell.refractory or cell.v >= cell.parameters["v_thresh"]):
                raise UnclearError("v of a refractory cell, or above the threshold")

    def _initialize(self, s: p.Initialize) -> None:
        for name, value in s.values:
            self.initialize(self.cells(s.cells), name, value)

    # --- synapses -----------------------------------------------------------------------------

    def _connect(self, s: p.Connect) -> None:
        pre, post = self.cells(s.pre), self.cells(s.post)
        if any(cell.is_source for cell in post):
            raise RefusedError("a spike source as target")
        arguments = dict(s.arguments)
        if s.connector == "CloneConnector":
            reference = self.objects[arguments["reference"]]
            if (reference.pre_name, reference.post_name) != (s.pre, s.post):
                raise RefusedError("a clone between other populations")
        given: list[dict[str, float]] = []
        if p.is_random(s):
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
        types = {cell.population.cell for cell in post}
        conductance_based = any("cond" in cell for cell in types)
        if len({"cond" in cell for cell in types}) > 1:
            raise UnclearError("an assembly of both kinds of synapses")
        receptor = s.receptor
        if receptor is None:
            receptor = self.default_receptor(s.weight, pre, post)
        elif receptor not in ("excitatory", "inhibitory"):
            raise RefusedError("no such receptor")
        self.check_weights(weights, receptor, conductance_based)
        steps = [self.delay(delay) for delay in delays]
        synapses = [Synapse(i, j, w, d) for (i, j), w, d in zip(pairs, weights, steps, strict=True)]
        projection = Projection(pre, post, receptor, conductance_based, synapses, s.pre, s.post)
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
            pairs = every if kind == "full" else [(i, j) for i, j in every if i == j]
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
        else:
            raise UnclearError(connector)
        return pairs, [{} for _ in pairs]

    def formula(self, text: str, i: int, j: int, pre: list[Cell], post: list[Cell]) -> float:
        """A string of d: cells of a population stand in a line, 1 apart."""
        d = float(abs(pre[i].index - post[j].index))
        return float(eval(text, {"exp": math.exp}, {"d": d}))

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
            if limit is not None:
                outside = [sign * (x - limit / self.dt) < -FUZZ for x in (steps, delay / self.dt)]
                if all(outside):
                    raise RefusedError("a delay outside the limits of setup()")
                if any(outside):
                    raise UnclearError("a limit that rounding crosses")
        return steps

    def check_weights(self, weights: list[float], receptor: str, conductance_based: bool) -> None:
        """Signs must fit the receptor."""
        if any(not math.isfinite(w) for w in weights):
            raise RefusedError("a weight that is no number")
        wanted = -1 if receptor == "inhibitory" and not conductance_based else 1
        if any(wanted * w < 0 for w in weights):
            raise RefusedError("a weight of the wrong sign")

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
        elif s.connector == "FixedNumberPostConnector":
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
        for possible, _ in self.groups(s, pre, post):
            if arguments["n"] > (0 if replacing and not possible else len(possible)) and (
                not replacing or not possible
            ):
                raise RefusedError("more different pairs than there are")

    def check_undrawn(self, s: p.Connect, pre: list[Cell], post: list[Cell]) -> None:
        """What can be refused without knowing what is drawn."""
        arguments = dict(s.arguments)
        known = not self.groups(s, pre, post) and not 0 < arguments.get("p_connect", 0) < 1
        pairs, given = [(i, j) for i in range(len(pre)) for j in range(len(post))], []
        if known:
            pairs, given = self.pairs(s.connector, arguments, pre, post)
        conductance_based = any("cond" in cell.population.cell for cell in post)
        if isinstance(s.weight, p.Random) and pairs and not (given and "weight" in given[0]):
            receptor = s.receptor or self.default_receptor(s.weight, pre, post)
            self.check_bounds(s.weight, receptor, conductance_based)
        for name in ("weight", "delay"):
            column = []
            for k, (i, j) in enumerate(pairs):
                value = getattr(s, name)
                if given and name in given[k]:
                    column.append(given[k][name])
                elif value is not None and not isinstance(value, p.Random):
                    column.append(self.value(value, i, j, pre, post))
            try:
                if name == "delay":
                    for value in column:
                        self.delay(value)
                else:
                    receptor = s.receptor or self.default_receptor(s.weight, pre, post)
                    self.check_weights(column, receptor, conductance_based)
            except RefusedError:
                if not known:
                    raise UnclearError("values that may or may not be used") from None
                raise
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
        for possible, belongs in groups:
            chosen = [pair for pair in pairs if belongs(pair)]
            if not set(chosen) <= set(possible):
                raise ImpossibleError("an autapse, or an index outside")
            replacing = arguments.get(
                "with_replacement", s.connector == "FixedTotalNumberConnector"
            )
            if not replacing and len(set(chosen)) != len(chosen):
                raise ImpossibleError("a pair that was chosen twice")
            if len(chosen) != arguments["n"]:
                raise ImpossibleError(f"{len(chosen)} synapses instead of {arguments['n']}")
        if s.connector == "FixedProbabilityConnector" and 0 < arguments["p_connect"] < 1:
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
        projection = self.objects[s.projection]
        names = s.attributes if isinstance(s.attributes, tuple) else (s.attributes,)
        columns = {"weight": lambda x: x.weight, "delay": lambda x: x.delay * self.dt}
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
        projection = self.objects[s.projection]
        if self.started and any(self.arrivals.get(n) for n in self.arrivals if n > self.now):
            raise UnclearError("synapses that change while spikes are on their way")
        random = {name for name, value in s.values if isinstance(value, p.Random)}
        if random:
            rows = self.draws.get(self.number)
            if rows is None:
                for name, value in s.values:
                    if name == "weight" and isinstance(value, p.Random) and projection.synapses:
                        receptor = projection.receptor
                        self.check_bounds(value, receptor, projection.conductance_based)
                raise NotDrawnError
            ordered = projection.ordered()
            if [(x.i, x.j) for x in ordered] != [(row[0], row[1]) for row in rows]:
                raise ImpossibleError("set() changed the order of the synapses")
        new = []
        for k, synapse in enumerate(projection.ordered()):
            values = {"weight": synapse.weight, "delay": synapse.delay * self.dt}
            for name, value in s.values:
                if name in random:
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
        for synapse, (weight, delay) in zip(projection.ordered(), new, strict=True):
            synapse.weight, synapse.delay = weight, delay

    # --- currents -----------------------------------------------------------------------------

    def _inject(self, s: p.Inject) -> None:
        cells = self.cells(s.cells)
        if any(cell.is_source for cell in cells):
            raise RefusedError("a current into a spike source")
        values = {**CURRENTS[s.kind], **dict(s.parameters)}
        self.check_current(s.kind, values)
        self.objects[s.name] = values
        self.injected.append((values, s.kind, cells))

    def _setcurrent(self, s: p.SetCurrent) -> None:
        kinds = [kind for values, kind, _ in self.injected if values is self.objects[s.name]]
        self.objects[s.name].update(s.values)
        self.check_current(kinds[0], self.objects[s.name])

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
                solve = self.implicit if self.euler else self.integrate
                cell.v = (self.membrane if simple else solve)(cell, injected)
            for receptor in RECEPTORS:
                cell.current[receptor], cell.slope[receptor] = course(cell, receptor, self.dt)
        for cell, receptor, weight in arrivals:
            if "alpha" in cell.population.cell:  # the weight is the peak
                tau = cell.parameters[RECEPTORS[receptor]]
                cell.slope[receptor] += weight * math.e / tau
            else:
                cell.current[receptor] += weight
        for cell in neurons:
            self.threshold(cell)
        self.fire_sources()
        self.sample()

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

    def implicit(self, cell: Cell, injected: float) -> float:
        """v one step later, as NEURON has it: one step of the implicit Euler method.

        Exponential synapses are those of its beginning, alpha functions those of its middle.
        """
        q, h = cell.parameters, self.dt
        at = h / 2 if "alpha" in cell.population.cell else 0.0
        inflow, leak = q["v_rest"] / q["tau_m"], 1 / q["tau_m"]
        inflow += (q["i_offset"] + injected) / q["cm"]
        for receptor, reversal in (("excitatory", "e_rev_E"), ("inhibitory", "e_rev_I")):
            value = course(cell, receptor, at)[0] / q["cm"]
            inflow += value * q[reversal] if cell.conducts else value
            leak += value if cell.conducts else 0.0
        return float((cell.v + h * inflow) / (1 + h * leak))

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
        if cell.index in population.records_spikes:
            start = max(population.records_spikes[cell.index], population.start)
            if self.now > start or self.now == 0:
                population.spikes.append((self.now, cell.index))
        for projection in self.projections:
            for synapse in projection.synapses:
                if projection.pre[synapse.i] is cell:
                    arrival = projection.post[synapse.j], projection.receptor, synapse.weight
                    self.arrivals.setdefault(self.now + synapse.delay, []).append(arrival)

    # --- recording ----------------------------------------------------------------------------

    def _record(self, s: p.Record) -> None:
        for cell in self.cells(s.cells):
            population = cell.population
            for variable in s.variables:
                if variable == "spikes":
                    population.records_spikes.setdefault(cell.index, self.now)
                    continue
                if cell.is_source or variable not in UNITS:
                    raise RefusedError(f"{variable} cannot be recorded")
                interval = 1
                if s.interval is not None:
                    interval = nearest(s.interval, self.dt)
                    if interval < 1 or abs(s.interval / self.dt - interval) > FUZZ:
                        raise RefusedError("an interval that is no multiple of the step")
                if (
                    population.records_v
                    and s.interval is not None
                    and interval != population.interval
                ):
                    raise RefusedError("another interval than the one in use")
                if not population.records_v:
                    population.interval = interval
                if cell.index not in population.records_v:
                    population.records_v[cell.index] = self.now
                    if len(set(population.records_v.values())) > 1:
                        raise UnclearError("recording of one variable that starts at several times")
                    if self.started:
                        population.samples[self.now, cell.index] = cell.v

    def sample(self) -> None:
        """Take samples of what is recorded."""
        for population in self.populations:
            for index, begin in population.records_v.items():
                start = max(begin, population.start)
                if (self.now - start) % population.interval == 0:
                    population.samples[self.now, index] = population.cells[index].v

    def segment(self, population: Population, wanted: list[int]) -> dict[str, Any]:
        """The data since the beginning, the last clearing or reset."""
        ms = lambda steps: round(steps * self.dt, 6)  # noqa: E731
        spikes, signals = {}, {}
        for index in sorted(set(population.records_spikes) & set(wanted)):
            start = max(population.records_spikes[index], population.start)
            spikes[index] = {
                "times": [ms(n) for n, cell in population.spikes if cell == index],
                "t_start": ms(start),
                "t_stop": ms(self.now),
            }
        recorded = sorted(set(population.records_v) & set(wanted))
        if recorded:
            start = max(population.records_v[recorded[0]], population.start)
            steps = range(start, self.now + 1, population.interval or 1)
            signals["v"] = {
                "index": recorded,
                "t_start": ms(start),
                "interval": ms(population.interval or 1),
                "units": UNITS["v"],
                "values": np.array([[population.samples[n, c] for c in recorded] for n in steps]),
            }
        return {"spikes": spikes, "signals": signals}

    def _data(self, s: p.Data) -> Any:
        population = self.cells(s.cells)[0].population
        if any(cell.population is not population for cell in self.cells(s.cells)):
            raise UnclearError("data of an assembly")
        if not self.started:
            raise UnclearError("data before a run")
        wanted = [cell.index for cell in self.cells(s.cells)]
        segments = [
            *(pick(part, wanted) for part in population.segments),
            self.segment(population, wanted),
        ]
        if s.clear:
            population.segments, population.spikes = [], []
            population.start = self.now
            population.samples = {
                (self.now, index): population.cells[index].v for index in population.records_v
            }
        return segments

    def _reset(self, s: p.Reset) -> None:
        if not self.started or self.now == 0:
            raise UnclearError("a reset before a run")
        for population in self.populations:
            if population.start == self.now:
                raise UnclearError("a reset right after clearing")
            everything = list(range(len(population.cells)))
            population.segments.append(self.segment(population, everything))
            population.start, population.spikes, population.samples = 0, [], {}
            population.records_spikes = dict.fromkeys(population.records_spikes, 0)
            population.records_v = dict.fromkeys(population.records_v, 0)
            for cell in population.cells:
                cell.v, cell.refractory = cell.v_initial, 0
                cell.current = dict.fromkeys(RECEPTORS, 0.0)
                cell.slope = dict.fromkeys(RECEPTORS, 0.0)
                cell.pending = [up(t, self.dt) for t in cell.parameters.get("spike_times", ())]
        self.arrivals, self.now, self.started = {}, 0, False

    def _end(self, s: p.End) -> None:
        pass


def course(cell: Cell, receptor: str, time: float) -> tuple[float, float]:
    """Synaptic current or conductance of a receptor, and its slope, some time (ms) later."""
    keep = math.exp(-time / cell.parameters[RECEPTORS[receptor]])
    return (cell.current[receptor] + cell.slope[receptor] * time) * keep, cell.slope[
        receptor
    ] * keep


def pick(segment: dict[str, Any], wanted: list[int]) -> dict[str, Any]:
    """The part of a segment that some cells have."""
    spikes = {index: train for index, train in segment["spikes"].items() if index in wanted}
    signals = {}
    for name, signal in segment["signals"].items():
        columns = [k for k, index in enumerate(signal["index"]) if index in wanted]
        if columns:
            index = [signal["index"][k] for k in columns]
            signals[name] = {**signal, "index": index, "values": signal["values"][:, columns]}
    return {"spikes": spikes, "signals": signals}

"""Programs that are drawn: by hypothesis, or by the numbers of a seed.

Every choice is a whole number from a range, of which the lowest is the simplest.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from random import Random
from typing import Any

from hypothesis import strategies as st

from portable_cortex.pynn import plasticity

from . import program as p

Chooser = Callable[[int, int], int]  # a whole number from low to high, both included

# values that are exact with 32 bits, and of which v seldom touches the threshold
CELL: dict[str, tuple[float, ...]] = {
    "cm": (1.0, 0.5, 0.25),
    "tau_m": (20.0, 10.0, 5.0),
    "tau_syn_E": (5.0, 0.5, 2.0, 20.0),
    "tau_syn_I": (5.0, 0.5, 2.0, 10.0),
    "tau_refrac": (0.1, 0.0, 1.0, 1.35, 2.0, 2.4),
    "v_reset": (-65.0, -70.0, -62.5),
    "v_thresh": (-50.0, -55.0),
    "v_rest": (-65.0, -60.0),
    "i_offset": (0.0, 0.4, 0.9, 1.3),
}
INITIAL = (-65.0, -60.0, -58.25, -72.0, -52.0)
SOLVED = ("IF_curr_alpha", "IF_cond_exp", "IF_cond_alpha")
NOWHERE = (
    (0.25, 0.0, 0.0),
    (2.3, 0.1, 0.0),
    (-1.0, 0.7, 0.2),
)  # near to one cell of a line or grid


class Drawing:
    """A program that is being drawn."""

    def __init__(self, choose: Chooser) -> None:
        self.integer = choose
        self.statements: list[p.Statement] = []
        self.numbers: dict[str, int] = {}  # of the next name
        self.begin()

    def begin(self) -> None:
        """A network without anything in it."""
        # populations, views, assemblies: for each part of them, population and index of the cells
        self.members: dict[str, list[list[tuple[str, int]]]] = {}
        self.neurons: list[str] = []
        self.sources: list[str] = []
        self.populations: list[str] = []
        self.types: dict[str, str] = {}
        self.projections: dict[str, p.Connect] = {}
        self.currents: dict[str, str] = {}
        self.recorded: list[str] = []  # populations
        self.intervals: dict[str, float | None] = {}

    def name(self, kind: str) -> str:
        """A new name."""
        number = self.numbers.get(kind, 0)
        self.numbers[kind] = number + 1
        return f"{kind}{number}"

    def size(self, name: str) -> int:
        return sum(map(len, self.members[name]))

    def roots(self, name: str) -> list[str]:
        """Populations that have the cells."""
        return list(dict.fromkeys(cell[0] for part in self.members[name] for cell in part))

    def type_of(self, name: str) -> str:
        """The first cell type."""
        return self.types[self.roots(name)[0]]

    def is_poisson(self, name: str) -> bool:
        return self.type_of(name) == "SpikeSourcePoisson"

    def take(self, name: str, parts: list[list[tuple[str, int]]]) -> None:
        """Note new cells."""
        self.members[name] = parts
        is_source = self.type_of(name).startswith("SpikeSource")
        (self.sources if is_source else self.neurons).append(name)

    def add(self, statement: p.Statement) -> None:
        self.statements.append(statement)

    def one(self, *values: Any) -> Any:
        return values[self.integer(0, len(values) - 1)]

    def some(self, values: Any, least: int, most: int) -> list[Any]:
        """Different ones of some values, in any order."""
        left, chosen = list(values), []
        for _ in range(self.integer(least, min(most, len(left)))):
            chosen.append(left.pop(self.integer(0, len(left) - 1)))
        return chosen

    def half(self) -> bool:
        return self.integer(0, 1) == 1

    def sometimes(self) -> bool:
        return self.integer(0, 3) == 3

    def rarely(self) -> bool:
        return self.integer(0, 31) == 31

    def time(self, most: int, quarters: bool = True) -> float:
        """Up to so many steps, on the grid or between its points."""
        if quarters and self.sometimes():
            return round(self.integer(0, 4 * most) * self.dt / 4, 6)
        return round(self.integer(0, most) * self.dt, 6)

    # --- building -----------------------------------------------------------------------------

    def setup(self) -> None:
        self.dt = self.one(0.1, 0.5, 1.0)
        self.cells: tuple[str, ...] = ("IF_curr_exp",)
        if self.sometimes():
            self.cells = (self.one(*SOLVED), self.one("IF_curr_exp", *SOLVED))
            self.dt = 0.1  # longer steps are too coarse for their synapses
        low = self.one(None, None, None, 1, 2, 5)
        high = self.one(None, None, 10, 12)
        self.least, self.most = low or 1, high or 12
        self.add(
            p.Setup(
                self.dt,
                None if low is None else round(low * self.dt, 6),
                None if high is None else round(high * self.dt, 6),
                self.one(1, 1, 2),
            )
        )

    def parameters(self, size: int, names: Any = tuple(CELL)) -> p.Pairs:
        chosen = self.some(names, 0, 4)
        return tuple((n, self.values(size, CELL[n])) for n in chosen)

    def values(self, size: int, among: tuple[float, ...], random: bool = True) -> Any:
        """A number for all cells, or one for each of them."""
        if not self.sometimes():
            return self.one(*among)
        kind = self.one("array", "array", "function", *(["random"] if random else []))
        base = self.one(*among)
        if kind == "function":
            return p.Function(f"{base} + 0.25*i")
        if kind == "random":
            return p.Random("uniform", (("low", base), ("high", base + 1)))
        return tuple(self.one(*among) for _ in range(size))

    def spike_times(self, size: int) -> Any:
        early = self.integer(0, 9) == 9  # nest refuses spikes before its smallest delay

        def train() -> tuple[float, ...]:
            first = 0 if early else (self.least + 1) * self.dt
            times = [round(first + self.time(60), 6) for _ in range(self.integer(0, 4))]
            if self.rarely():
                times.append(-1.0)
                return tuple(times)
            if not self.rarely():
                times = sorted(set(times))
            return tuple(times)

        if self.sometimes():
            return tuple(train() for _ in range(size))
        return train()

    def population(self, kind: str) -> None:
        name = self.name("p")
        size = self.integer(1, 5)
        structure: Any = None
        if self.rarely() or self.rarely():
            structure = ("Line", (("dx", self.one(0.5, 2.0)), ("y", self.one(0.0, 1.0))))
            if self.half():
                size, structure = 4, ("Grid2D", (("dx", self.one(1.0, 0.5)), ("x0", 0.5)))
        self.populations.append(name)
        cell, initial, pairs = self.one(*self.cells), (), ()
        if kind == "source":
            cell, pairs = "SpikeSourceArray", (("spike_times", self.spike_times(size)),)
        elif kind == "poisson":
            cell, pairs = "SpikeSourcePoisson", self.rates(size)
        else:
            pairs = self.parameters(size)
            if self.sometimes():
                initial = (("v", self.values(size, INITIAL, random=False)),)
        self.types[name] = cell
        self.take(name, [[(name, k) for k in range(size)]])
        self.add(p.Create(name, size, cell, pairs, initial, structure))
        if kind == "poisson":  # without its spikes nothing could be told
            self.recorded.append(name)
            self.add(p.Record(name, ("spikes",)))

    def rates(self, size: int) -> p.Pairs:
        """Parameters of Poisson sources."""
        pairs: list[tuple[str, Any]] = [("rate", self.one(200.0, 1000.0, 0.0, 50.0))]
        if self.sometimes():
            pairs = [("rate", tuple(self.one(0.0, 200.0, 1000.0) for _ in range(size)))]
        if self.sometimes():
            pairs.append(("start", self.time(20)))
        if self.sometimes():
            pairs.append(("duration", self.time(40)))
        return tuple(pairs)

    def view(self) -> None:
        of = self.one(*self.members)
        size = self.size(of)
        kind = self.one("slice", "list", "mask", "sample")
        if kind == "sample" and of.startswith("a"):
            kind = "slice"
        if kind == "sample":
            self.sample(of)
            return
        if kind == "slice":
            start = self.integer(0, size - 1)
            stop = self.integer(start + 1, size)
            selector: tuple[Any, ...] = ("slice", start, stop, self.one(None, 2))
            chosen = list(range(size))[slice(*selector[1:])]
        elif kind == "list":
            chosen = self.some(range(size), 1, size)
            selector, chosen = ("list", *chosen), sorted(chosen)
        else:
            mask = [self.half() for _ in range(size)]
            if not any(mask):
                mask[0] = True
            selector, chosen = ("mask", *mask), [k for k in range(size) if mask[k]]
        name = self.name("a" if of.startswith("a") else "v")
        self.add(p.View(name, of, selector))
        parts, first = [], 0
        for part in self.members[of]:
            own = [part[k - first] for k in chosen if first <= k < first + len(part)]
            parts += [own] if own else []
            first += len(part)
        self.take(name, parts)

    def sample(self, of: str) -> None:
        name = self.name("s")  # no matrices for it: its cells are not known
        n = self.integer(1, self.size(of))
        self.add(p.Sample(name, of, n, self.integer(1, 3)))
        self.take(name, [self.members[of][0][:n]])

    def join(self) -> None:
        among = self.sources if self.sources and self.sometimes() else self.neurons
        among = [name for name in among if not name.startswith("s")]
        if not among:
            return
        parts = tuple(self.some(among, 1, 3))
        cells = [cell for name in parts for part in self.members[name] for cell in part]
        names = [name for name in parts if name.startswith("a")]
        if len(set(cells)) < len(cells) or names:  # a cell that is in it twice
            return
        name = self.name("a")
        self.add(p.Join(name, parts))
        self.take(name, [part for other in parts for part in self.members[other]])

    # --- synapses -----------------------------------------------------------------------------

    def weight(self, sign: int) -> float:
        if self.rarely():
            return 0.0
        return sign * self.integer(0, 64) / (1024 if self.conducts else 16)

    def delay_value(self) -> float:
        if self.rarely():
            return self.one(0.0, 0.25 * self.dt, -self.dt, 40 * self.dt)
        steps = self.integer(self.least, self.most)
        return round((steps + self.one(0, 0, 0, 0.25, -0.25, 0.5)) * self.dt, 6)

    def matrix(self, shape: tuple[int, int], value: Any) -> Any:
        return tuple(tuple(value() for _ in range(shape[1])) for _ in range(shape[0]))

    def weights(self, shape: tuple[int, int], sign: int) -> Any:
        kind = self.one("number", "number", "number", "matrix", "d", "random", "none")
        if self.rarely():
            sign = -sign
        if kind == "matrix":
            return self.matrix(shape, lambda: self.weight(sign))
        if kind == "d" and self.conducts:
            return self.one("0.008*d", "0.03 - 0.002*d") if sign > 0 else "-0.004*d"
        if kind == "d":
            return self.one("0.5*d", "2.0 - 0.125*d", "1.0/(1.0 + d)") if sign > 0 else "-0.25*d"
        if kind == "random":
            scale = sign / 64 if self.conducts else sign
            low, high = sorted((0.125 * scale, 2.0 * scale))
            return p.Random("uniform", (("low", low), ("high", high)))
        return None if kind == "none" else self.weight(sign)

    def delays(self, shape: tuple[int, int]) -> Any:
        kind = self.one("number", "number", "number", "matrix", "d", "random", "none")
        if kind == "matrix":
            return self.matrix(shape, self.delay_value)
        if kind == "d":
            return f"{self.least * self.dt} + {0.5 * self.dt}*d"
        if kind == "random":
            bounds = (("low", self.least * self.dt), ("high", self.most * self.dt))
            return p.Random("uniform", bounds)
        return None if kind == "none" else self.delay_value()

    def connect(self) -> None:
        pre = self.one(*self.sources, *self.neurons)
        post = self.one(*self.neurons)
        if self.rarely() and self.sources:
            post = self.one(*self.sources)
        if self.projections and self.sometimes():
            old = self.one(*self.projections.values())
            pre, post = old.pre, old.post
        shape = self.size(pre), self.size(post)
        self.conducts = "cond" in self.type_of(post)
        sign = self.one(1, 1, -1)
        receptor = self.one(None, "excitatory" if sign > 0 else "inhibitory")
        if self.conducts:
            sign, receptor = 1, self.one(None, "excitatory", "inhibitory")
        connector, arguments = self.connector(pre, post, shape, sign)
        name = self.name("c")
        weights, delays = self.weights(shape, sign), self.delays(shape)
        if weights is None and connector not in ("FromListConnector", "FromFileConnector"):
            weights = self.weight(sign)
        statement = p.Connect(
            name, pre, post, connector, arguments, weights, delays, receptor, self.space(),
            *self.synapse(pre, sign),
        )  # fmt: skip
        self.add(statement)
        self.projections[name] = statement

    def synapse(self, pre: str, sign: int) -> tuple[str, p.Pairs]:
        """Type and parameters; the spikes of sources that draw them are not known in time."""
        if not self.half() or any(self.is_poisson(root) for root in self.roots(pre)):
            return "StaticSynapse", ()
        if self.half():
            values = {"U": (0.5, 0.1, 1.0), "tau_rec": (100.0, 5.0), "tau_facil": (0.0, 20.0)}
            return "TsodyksMarkramSynapse", tuple((n, self.one(*v)) for n, v in values.items())
        dependence = self.one(*plasticity.EXPONENTS, "GutigWeightDependence")
        rule = {
            "dendritic_delay_fraction": self.one(1.0, 0.5, 0.0),
            "weight_dependence": dependence,
            "tau_plus": self.one(20.0, 4.0),
            "tau_minus": self.one(20.0, 7.0),
            "A_plus": self.one(0.1, 0.02),
            "A_minus": self.one(0.1, 0.03),
            "w_min": 0.0,
            "w_max": sign * (0.0625 if self.conducts else 4.0),
        }
        if dependence.startswith("Gutig"):
            rule |= {"mu_plus": self.one(0.5, 0.0, 1.0), "mu_minus": self.one(0.5, 0.25)}
        return "STDPMechanism", tuple(rule.items())

    def space(self) -> p.Pairs:
        if not self.sometimes():
            return ()
        kind = self.one("periodic", "axes", "scale")
        if kind == "periodic":
            return (("periodic_boundaries", ((0.0, self.one(10.0, 12.0)), None, None)),)
        if kind == "axes":
            return (("axes", self.one("x", "xy", "y")),)
        return ("scale_factor", self.one(1.0, 2.0)), ("offset", self.one(0.0, 0.5))

    def connector(
        self, pre: str, post: str, shape: tuple[int, int], sign: int
    ) -> tuple[str, p.Pairs]:
        kind = self.one(
            "AllToAll", "OneToOne", "FromList", "FromFile", "Array", "FixedProbability",
            "FixedNumberPre", "FixedNumberPost", "FixedTotalNumber",
            "DistanceDependentProbability", "IndexBasedProbability", "Clone", "CSA", "SmallWorld",
        )  # fmt: skip
        alone: p.Pairs = (("allow_self_connections", False),) if self.sometimes() else ()
        if kind == "FromList" or kind == "FromFile":
            return f"{kind}Connector", self.listed(shape, sign)
        if kind == "Array":
            return "ArrayConnector", (("array", self.matrix(shape, lambda: self.half())),)
        if kind == "FixedProbability":
            return "FixedProbabilityConnector", (("p_connect", self.one(1.0, 0.0, 0.5)), *alone)
        if kind in ("FixedNumberPre", "FixedNumberPost"):
            n = self.integer(1, shape[0 if kind.endswith("Pre") else 1])
            n += self.rarely()
            return f"{kind}Connector", (("n", n), ("with_replacement", self.half()), *alone)
        if kind == "FixedTotalNumber":
            n = self.integer(0, shape[0] * shape[1])
            return f"{kind}Connector", (("n", n), ("with_replacement", self.half()), *alone)
        if kind == "DistanceDependentProbability":
            return f"{kind}Connector", (
                ("d_expression", self.one("d < 2", "d > 0", "d < 1.5", "exp(-d)", "0.5 + 0*d")),
                *alone,
            )
        if kind == "SmallWorld":
            more: p.Pairs = (("n_connections", self.one(1, 2)),) if self.sometimes() else ()
            rewiring = ("rewiring", self.one(0.0, 0.5, 1.0))
            return f"{kind}Connector", (("degree", self.one(1.5, 3.0)), rewiring, *alone, *more)
        if kind == "IndexBasedProbability":
            text = self.one("i < j", "(i + j) % 2 == 0", "i * 0 + j * 0 == 0")
            return f"{kind}Connector", (("expression", text), *alone)
        if kind == "Clone":
            same = [c.name for c in self.projections.values() if (c.pre, c.post) == (pre, post)]
            if same:
                return "CloneConnector", (("reference", self.one(*same)),)
            return "AllToAllConnector", alone
        if kind == "CSA":
            values = (self.weight(sign), self.delay_value()) if self.half() else ()
            return "CSAConnector", (("cset", (self.one("oneToOne", "full", "others"), *values)),)
        return f"{kind}Connector", alone if kind == "AllToAll" else ()

    def listed(self, shape: tuple[int, int], sign: int) -> p.Pairs:
        names = self.one(("weight", "delay"), ("delay", "weight"), ("weight",), ("delay",), ())
        if self.rarely():
            names = ("weight", "strength")
        rows = []
        for _ in range(self.integer(0, 6)):
            i = self.integer(0, shape[0] - 1) + (shape[0] if self.rarely() else 0)
            j = self.integer(0, shape[1] - 1) + (shape[1] if self.rarely() else 0)
            values = [
                self.delay_value()
                if name == "delay"
                else self.weight(-sign if self.rarely() else sign)
                for name in names
            ]
            rows.append((i, j, *values))
        return ("conn_list", tuple(rows)), ("column_names", names)

    def get(self) -> None:
        if not self.projections:
            return
        attributes = self.one(("weight", "delay"), "weight", "delay", ("delay", "weight"))
        form = self.one("list", "array")
        multiple = self.one("sum", "min", "max", "first", "last")
        self.add(
            p.Get(self.one(*self.projections), attributes, form, multiple, not self.sometimes())
        )

    def set_synapses(self) -> None:
        if not self.projections:
            return
        c = self.one(*self.projections.values())
        shape = self.size(c.pre), self.size(c.post)
        self.conducts = "cond" in self.type_of(c.post)
        sign = 1 if c.receptor == "excitatory" or self.conducts else -1
        if c.receptor is None and not self.conducts:
            sign = self.one(1, -1)
        values: list[tuple[str, Any]] = []
        n = min(shape) if c.connector == "OneToOneConnector" else shape[0] * shape[1]
        known = c.connector == "OneToOneConnector" or (c.connector, c.arguments) == (
            "AllToAllConnector", ()
        )  # fmt: skip
        known = known or self.rarely()
        if self.half():
            weights = self.weights(shape, sign)
            if known and self.half():  # a list
                weights = tuple(self.weight(sign) for _ in range(n))
            values.append(("weight", weights))
        if self.half() or not values:
            delays = self.delays(shape)
            if known and self.half():
                delays = tuple(self.delay_value() for _ in range(n))
            values.append(("delay", delays))
        if all(value is not None for _, value in values):
            self.add(p.SetSynapses(c.name, tuple(values)))
        if self.rarely():
            self.add(p.InitializeSynapses(c.name, (("x", 0.5),)))

    # --- the rest -----------------------------------------------------------------------------

    def record(self) -> None:
        name = self.one(*self.members)
        sampled = ["v"]
        conducts = name in self.neurons and "cond" in self.type_of(name)
        if conducts or (name in self.neurons and self.rarely()):
            letter = "g" if conducts else "i"
            sampled += [f"{letter}syn_exc", f"{letter}syn_inh"]
        variables: tuple[str, ...] = ("spikes",)
        if name in self.neurons:
            variables = self.one(("spikes", "v"), ("spikes",), ("v",), tuple(sampled))
            if self.sometimes():
                variables = (self.one(*sampled),)
        elif self.rarely():
            variables = ("v",)
        interval = None
        if variables != ("spikes",):
            if self.sometimes():
                interval = round(self.one(2, 5, 10, 1) * self.dt, 6)
                if self.rarely():
                    interval = round(1.5 * self.dt, 6)
            roots = self.roots(name)
            if roots[0] in self.intervals and not self.rarely():
                interval = self.one(None, self.intervals[roots[0]])
            for root in roots:
                self.intervals.setdefault(root, interval)
        self.recorded += [root for root in self.roots(name) if root not in self.recorded]
        self.add(p.Record(name, variables, interval))

    def inject(self) -> None:
        kind = self.one("DCSource", "StepCurrentSource", "ACSource", "NoisyCurrentSource")
        values: list[tuple[str, Any]] = []
        start = self.time(30, quarters=kind != "ACSource")
        if kind == "StepCurrentSource":
            n = self.integer(1, 3)
            times = sorted({self.time(60) for _ in range(n)})
            values = [
                ("times", tuple(times)),
                ("amplitudes", tuple(self.one(0.0, 0.5, 1.25, -0.5) for _ in times)),
            ]
        else:
            stop = round(start + self.time(40, quarters=kind != "ACSource"), 6)
            values = [("start", start), ("stop", stop)] if self.half() else []
            if kind == "DCSource":
                values.append(("amplitude", self.one(0.5, 1.25, -0.5)))
            elif kind == "ACSource":
                values += [("amplitude", self.one(1.0, 0.4)), ("frequency", self.one(50.0, 20.0))]
                values += [("phase", self.one(0.0, 90.0, 30.0)), ("offset", self.one(0.0, 0.5))]
            else:
                values += [("mean", self.one(0.5, 1.25)), ("stdev", 0.0)]
                values += [("dt", round(self.one(1, 5) * self.dt, 6))]
        name = self.name("i")
        self.currents[name] = kind
        cells = self.one(*self.neurons)
        if self.rarely() and self.sources:
            cells = self.one(*self.sources)
        self.add(p.Inject(name, kind, tuple(values), cells))
        if self.sometimes():
            self.add(p.InjectAgain(name, self.one(*self.neurons)))

    def set_current(self) -> None:
        if not self.currents:
            return
        name = self.one(*self.currents)
        if self.currents[name] in ("DCSource", "ACSource"):
            self.add(p.SetCurrent(name, (("amplitude", self.one(0.0, 0.75, 1.5)),)))
        elif self.currents[name] == "NoisyCurrentSource":
            self.add(p.SetCurrent(name, (("mean", self.one(0.0, 0.75, 1.5)),)))
        else:
            times = tuple(sorted({self.time(80) for _ in range(2)}))
            levels = tuple(self.one(0.0, 0.75, 1.5) for _ in times)
            self.add(p.SetCurrent(name, (("times", times), ("amplitudes", levels))))

    def set_parameters(self) -> None:
        cells = self.one(*self.members)
        size = self.size(cells)
        if self.is_poisson(cells):
            values: p.Pairs = (("rate", self.one(0.0, 1000.0, 100.0)),)
        elif cells in self.sources:
            values = (("spike_times", self.spike_times(size)),)
        else:
            values = self.parameters(size)
        if cells.startswith("a"):  # for assemblies, one value
            values = tuple((n, v) for n, v in values if not isinstance(v, tuple | p.Random))
            values = tuple((n, v) for n, v in values if n != "spike_times" or v)
        if values:
            self.add(p.SetParameters(cells, values))

    def get_parameters(self) -> None:
        cells = self.one(*self.members)
        if self.is_poisson(cells):
            name: Any = "rate"
        elif cells in self.sources:
            name = "spike_times"
        else:
            name = tuple(self.some(CELL, 1, 3)) if self.sometimes() else self.one(*CELL)
        self.add(p.GetParameters(cells, name, self.half(), self.sometimes()))

    def look(self) -> None:
        self.add(p.Look(self.one(*self.members), self.one(*NOWHERE)))

    def annotate(self) -> None:
        values = (("layer", self.one("L4", "L5")), ("number", self.integer(0, 3)))
        cells = self.one(*[name for name in self.members if not name.startswith("a")])
        self.add(p.Annotate(cells, values[: self.integer(1, 2)]))

    def initialize(self) -> None:
        cells = self.one(*self.neurons)
        values = self.values(self.size(cells), INITIAL, random=False)
        if cells.startswith("a") and isinstance(values, tuple):
            values = values[0]
        self.add(p.Initialize(cells, (("v", values),)))

    def counts(self) -> None:
        self.add(p.SpikeCounts(self.one(*self.members)))

    def run(self) -> None:
        every = round(self.one(2, 5, 10) * self.dt, 6) if self.rarely() else None
        if self.rarely():
            self.add(p.Run(self.time(80), until=True, every=every))
        else:
            steps = self.integer(1, 50)
            off = self.one(0, 0.25, 0.5) if self.rarely() else 0
            self.add(p.Run(round((steps + off) * self.dt, 6), every=every))

    def data(self) -> None:
        among = [n for n in self.members if set(self.roots(n)) & set(self.recorded)]
        if not among:
            return
        name = self.one(*among)
        poisson = any(self.types[root] == "SpikeSourcePoisson" for root in self.roots(name))
        clear = self.sometimes() and not poisson
        variables: Any = self.one(("v",), ("spikes",)) if self.sometimes() else "all"
        self.add(p.Data(name, clear, variables))

    def old(self, other: Drawing) -> None:
        """Something with an object of a network that has ended."""
        neurons, names = other.one(*other.neurons), other.members
        uses: list[Any] = [
            p.Data(other.one(*names)), p.SpikeCounts(neurons), p.GetParameters(neurons, "tau_m"),
            p.SetParameters(neurons, (("tau_m", 10.0),)), p.Initialize(neurons, (("v", -60.0),)),
            p.Record(neurons, ("v",)), p.InjectAgain(other.one(*other.currents), neurons)
            if other.currents else p.Inject(self.name("i"), "DCSource", (), neurons),
            p.Connect(self.name("c"), self.one(*self.members), neurons, "AllToAllConnector"),
            p.Connect(self.name("c"), neurons, self.one(*self.neurons), "AllToAllConnector"),
        ]  # fmt: skip
        for name in other.projections:
            uses += [p.Get(name), p.SetSynapses(name, (("weight", 0.0),))]
        if other.currents:
            uses.append(p.InjectAgain(other.one(*other.currents), self.one(*self.neurons)))
        self.add(self.one(*uses))


@st.composite
def programs(draw: Any) -> p.Program:
    """A program, as hypothesis draws it."""
    return drawn(lambda low, high: int(draw(st.integers(low, high))))


def numbered(seed: int) -> p.Program:
    """A program, by its number."""
    return drawn(Random(seed).randint)


def drawn(choose: Chooser) -> p.Program:
    """A program: a network, what is done with it, all data; and now and then another network."""
    d = Drawing(choose)
    network(d)
    if d.rarely() or d.rarely():
        first = copy(d)
        d.begin()
        network(d)
        if d.half() and p.End() not in d.statements:
            d.old(first)
    return tuple(d.statements)


def network(d: Drawing) -> None:
    """A network, what is done with it, and all its data."""
    choose = d.integer
    d.setup()
    d.population("neuron")
    for _ in range(choose(0, 2)):
        d.population(d.one("source", "neuron", "source", "neuron", "poisson"))
    for _ in range(choose(0, 2)):
        d.view()
    if d.sometimes():
        d.join()
        if d.sometimes():
            d.view()
    for _ in range(choose(0, 2)):
        d.connect()
    for _ in range(choose(0, 2)):
        d.one(
            d.get, d.set_synapses, d.set_parameters, d.get_parameters, d.initialize, d.look,
            d.annotate, d.set_parameters, d.initialize, d.data,
        )()  # fmt: skip
    for _ in range(choose(1, 2)):
        d.record()
    for _ in range(choose(0, 2)):
        d.inject()
    if d.rarely():
        d.add(p.Reset())
    d.run()
    for _ in range(choose(0, 6)):
        d.one(
            d.run, d.run, d.run, d.data, d.data, d.get, d.set_synapses, d.set_parameters,
            d.set_current, d.initialize, d.inject, d.record, d.get_parameters, d.counts,
            lambda: reset(d),
        )()  # fmt: skip
    if not isinstance(d.statements[-1], p.Run):
        d.run()
    ended = d.rarely()
    if ended:
        d.add(p.End())
    for name in d.recorded:
        d.add(p.Data(name))
    if not ended:
        for name in d.projections:
            d.add(p.Get(name))


def reset(d: Drawing) -> None:
    """A reset, and most often a run."""
    d.add(p.Reset())
    if not d.rarely():
        d.run()

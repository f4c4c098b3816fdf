"""Programs that are drawn: by hypothesis, or by the numbers of a seed.

Every choice is a whole number from a range, of which the lowest is the simplest.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

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
INITIAL = (-65.0, -60.0, -58.25, -72.0)


class Drawing:
    """A program that is being drawn."""

    def __init__(self, choose: Chooser) -> None:
        self.integer = choose
        self.statements: list[p.Statement] = []
        self.sizes: dict[str, int] = {}  # populations, views, assemblies
        self.neurons: list[str] = []
        self.sources: list[str] = []
        self.projections: dict[str, p.Connect] = {}
        self.currents: dict[str, str] = {}
        self.recorded: list[str] = []
        self.populations: list[str] = []
        self.parent: dict[str, str] = {}

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
        return self.integer(0, 24) == 24

    def time(self, most: int, quarters: bool = True) -> float:
        """Up to so many steps, on the grid or between its points."""
        if quarters and self.sometimes():
            return round(self.integer(0, 4 * most) * self.dt / 4, 6)
        return round(self.integer(0, most) * self.dt, 6)

    # --- building -----------------------------------------------------------------------------

    def setup(self) -> None:
        self.dt = self.one(0.1, 0.5, 1.0)
        self.cell = (
            self.one("IF_curr_alpha", "IF_cond_exp", "IF_cond_alpha")
            if self.sometimes()
            else "IF_curr_exp"
        )
        self.conducts = "cond" in self.cell
        if self.cell != "IF_curr_exp":
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
        pairs = []
        for name in chosen:
            if name == "spike_times":
                pairs.append((name, self.spike_times(size)))
            elif self.sometimes():
                pairs.append((name, tuple(self.one(*CELL[name]) for _ in range(size))))
            else:
                pairs.append((name, self.one(*CELL[name])))
        return tuple(pairs)

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
        name = f"p{len(self.populations)}"
        size = self.integer(1, 5)
        self.populations.append(name)
        self.sizes[name] = size
        self.parent[name] = name
        if kind == "source":
            self.add(
                p.Create(name, size, "SpikeSourceArray", (("spike_times", self.spike_times(size)),))
            )
            self.sources.append(name)
            return
        initial: p.Pairs = ()
        if self.sometimes():
            initial = (("v", self.potential(size)),)
        self.add(p.Create(name, size, self.cell, self.parameters(size), initial))
        self.neurons.append(name)

    def potential(self, size: int) -> Any:
        if self.sometimes():
            return tuple(self.one(*INITIAL) for _ in range(size))
        return self.one(*INITIAL)

    def view(self) -> None:
        of = self.one(*self.populations, *[n for n in self.sizes if n.startswith("v")])
        size = self.sizes[of]
        kind = self.one("slice", "list", "mask")
        if kind == "slice":
            start = self.integer(0, size - 1)
            stop = self.integer(start + 1, size)
            selector: tuple[Any, ...] = ("slice", start, stop, self.one(None, 2))
            count = len(range(size)[slice(*selector[1:])])
        elif kind == "list":
            indices = self.some(range(size), 1, size)
            selector, count = ("list", *indices), len(indices)
        else:
            mask = [self.half() for _ in range(size)]
            if not any(mask):
                mask[0] = True
            selector, count = ("mask", *mask), sum(mask)
        name = f"v{len(self.sizes)}"
        self.add(p.View(name, of, selector))
        self.sizes[name] = count
        self.parent[name] = self.parent[of]
        (self.sources if self.parent[name] in self.sources else self.neurons).append(name)

    def join(self) -> None:
        among = self.sources if self.sources and self.sometimes() else self.neurons
        parts = tuple(self.some(among, 1, 3))
        roots = [self.parent[part] for part in parts]
        if len(set(roots)) < len(roots):  # a cell that is in it twice
            return
        name = f"a{len(self.sizes)}"
        self.add(p.Join(name, parts))
        self.sizes[name] = sum(self.sizes[part] for part in parts)
        among.append(name)

    # --- synapses -----------------------------------------------------------------------------

    def weight(self, sign: int) -> float:
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
        pre = self.one(*self.sources, *self.neurons) if self.sources or self.neurons else None
        post = self.one(*self.neurons)
        if self.rarely() and self.sources:
            post = self.one(*self.sources)
        if self.projections and self.sometimes():
            old = self.one(*self.projections.values())
            pre, post = old.pre, old.post
        shape = self.sizes[pre], self.sizes[post]
        sign = self.one(1, 1, -1)
        receptor = self.one(None, "excitatory" if sign > 0 else "inhibitory")
        if self.conducts:
            sign, receptor = 1, self.one(None, "excitatory", "inhibitory")
        connector, arguments = self.connector(pre, post, shape, sign)
        name = f"c{len(self.projections)}"
        statement = p.Connect(
            name,
            pre,
            post,
            connector,
            arguments,
            self.weights(shape, sign),
            self.delays(shape),
            receptor,
        )
        if statement.weight is None and connector not in ("FromListConnector", "FromFileConnector"):
            statement = p.Connect(
                name, pre, post, connector, arguments, self.weight(sign), statement.delay, receptor
            )
        self.add(statement)
        self.projections[name] = statement

    def connector(
        self, pre: str, post: str, shape: tuple[int, int], sign: int
    ) -> tuple[str, p.Pairs]:
        kind = self.one(
            "AllToAll", "OneToOne", "FromList", "FromFile", "Array", "FixedProbability",
            "FixedNumberPre", "FixedNumberPost", "FixedTotalNumber",
            "DistanceDependentProbability", "IndexBasedProbability", "Clone", "CSA",
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
                ("d_expression", self.one("d < 2", "d > 0", "d < 1.5")),
                *alone,
            )
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
            return "CSAConnector", (("cset", (self.one("oneToOne", "full"), *values)),)
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
        shape = self.sizes[c.pre], self.sizes[c.post]
        sign = 1 if c.receptor == "excitatory" or self.conducts else -1
        if c.receptor is None and not self.conducts:
            sign = self.one(1, -1)
        values: list[tuple[str, Any]] = []
        if self.half():
            values.append(("weight", self.weights(shape, sign)))
        else:
            values.append(("delay", self.delays(shape)))
        if values[0][1] is not None:
            self.add(p.SetSynapses(c.name, tuple(values)))

    # --- the rest -----------------------------------------------------------------------------

    def record(self) -> None:
        name = self.one(*[n for n in self.sizes if not n.startswith("a")])
        if self.parent.get(name, name) in self.recorded:
            return
        self.recorded.append(self.parent[name])
        source = name in self.sources
        variables = ("spikes",) if source else self.one(("spikes", "v"), ("spikes",), ("v",))
        if source and self.rarely():
            variables = ("v",)
        interval = None
        if "v" in variables and self.sometimes():
            interval = round(self.one(2, 5, 10, 1) * self.dt, 6)
            if self.rarely():
                interval = round(1.5 * self.dt, 6)
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
        name = f"i{len(self.currents)}"
        self.currents[name] = kind
        cells = self.one(*self.neurons)
        if self.rarely() and self.sources:
            cells = self.one(*self.sources)
        self.add(p.Inject(name, kind, tuple(values), cells))

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
        cells = self.one(*self.sizes)
        names = ("spike_times",) if cells in self.sources else tuple(CELL)
        values = self.parameters(self.sizes[cells], names)
        if cells.startswith("a"):  # of assemblies, one value
            values = tuple((n, v) for n, v in values if not isinstance(v, tuple))
        if values:
            self.add(p.SetParameters(cells, values))

    def get_parameters(self) -> None:
        cells = self.one(*[n for n in self.sizes if not n.startswith("a")])
        name = "spike_times" if cells in self.sources else self.one(*CELL)
        self.add(p.GetParameters(cells, name))

    def initialize(self) -> None:
        cells = self.one(*[n for n in self.neurons if not n.startswith("a")])
        self.add(p.Initialize(cells, (("v", self.potential(self.sizes[cells])),)))

    def run(self) -> None:
        every = round(self.one(2, 5, 10) * self.dt, 6) if self.rarely() else None
        if self.rarely():
            self.add(p.Run(self.time(80), until=True, every=every))
        else:
            steps = self.integer(1, 50)
            off = self.one(0, 0.25, 0.5) if self.rarely() else 0
            self.add(p.Run(round((steps + off) * self.dt, 6), every=every))

    def data(self) -> None:
        if self.recorded:
            self.add(p.Data(self.one(*self.recorded), clear=self.sometimes()))


@st.composite
def programs(draw: Any) -> p.Program:
    """A program, as hypothesis draws it."""
    return drawn(lambda low, high: int(draw(st.integers(low, high))))


def numbered(seed: int) -> p.Program:
    """A program, by its number."""
    return drawn(Random(seed).randint)


def drawn(choose: Chooser) -> p.Program:
    """A program: a network, what is done with it, and all data at the end."""
    d = Drawing(choose)
    d.setup()
    d.population("neuron")
    for _ in range(choose(0, 2)):
        d.population(d.one("source", "neuron"))
    for _ in range(choose(0, 2)):
        d.view()
    if d.sometimes():
        d.join()
    for _ in range(choose(0, 2)):
        d.connect()
    for _ in range(choose(0, 2)):
        d.one(d.get, d.set_synapses, d.set_parameters, d.get_parameters, d.initialize)()
    for _ in range(choose(1, 2)):
        d.record()
    for _ in range(choose(0, 2)):
        d.inject()
    d.run()
    for _ in range(choose(0, 6)):
        d.one(
            d.run, d.run, d.data, d.get, d.set_synapses, d.set_parameters, d.set_current,
            d.initialize, d.inject, d.record, d.get_parameters, lambda: reset(d),
        )()  # fmt: skip
    if not isinstance(d.statements[-1], p.Run):
        d.run()
    if d.rarely():
        d.add(p.End())
    for name in d.recorded:
        d.add(p.Data(name))
    if not isinstance(d.statements[-1], p.End) and p.End() not in d.statements:
        for name in d.projections:
            d.add(p.Get(name))
    return tuple(d.statements)


def reset(d: Drawing) -> None:
    """A reset, and a run."""
    d.add(p.Reset())
    d.run()

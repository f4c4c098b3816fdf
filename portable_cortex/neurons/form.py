"""A neuron as all backends take it: what its numbers are, how they move, what a step does.

Numbers are in ms, mV, pA, pF, nS and what these make (`units`). A step goes like this:

1. the weights of the spikes that arrive at the end of the step are summed by port;
2. convolutions advance, by their exact solution, and are not seen to have advanced until 5;
3. ``update`` is carried out; `Integrate` advances variables by a step, exactly or with a solver, in
   which convolutions move, too;
4. ``receive`` of each port that spikes have come to;
5. convolutions take their new values, and what arrived is added to them;
6. ``conditions``, one after the other, as each of them finds the variables;
7. variables can be read.

`CLOCK` is a variable that moves with the time, and is set to it before equations that need it.

A timer is a variable whose derivative is -1. It is 0 where it comes within a millionth of a step
of 0, lest rounding add a step to a refractory time: 1 ms is ten steps of 0.1 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from .expressions import ONE, Binary, Call, Expression, Name, Number, Unary, text

STEP = "__h"  # length of a time step, ms
PRIME = "__d"  # stands for a derivative in the name of a variable
ALMOST = 1e-6  # of a step: where a timer has ended
CLOCK = "__now"  # a variable: the time within a step, for equations that have it


@dataclass(frozen=True)
class Quantity:
    """A parameter, a variable, or what is computed from such.

    Attributes
    ----------
    name : str
    unit : str
        As the model's author wrote it; empty for a plain number.
    factor : Fraction
        A number in that unit times this is in the units of `form`.
    value : Expression or None
        Default, initial value, or definition.
    comment : str
    guard : Expression or None
        What holds where the value is possible.
    """

    name: str
    unit: str
    factor: Fraction
    value: Expression | None
    comment: str = ""
    guard: Expression | None = None


@dataclass(frozen=True)
class Port:
    """Where spikes arrive; ``sign`` is +1 or -1 where only weights of that sign do, else 0."""

    name: str
    sign: int


@dataclass(frozen=True)
class Convolution:
    """A kernel with the spikes of a port, and what each spike adds to its variables."""

    port: str
    variables: tuple[str, ...]
    jumps: tuple[tuple[str, Expression], ...]  # variables, what a weight of 1 adds to each


@dataclass(frozen=True)
class Assign:
    """Give a variable another value."""

    name: str
    value: Expression

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


@dataclass(frozen=True)
class Branch:
    """Carry out some statements or others."""

    condition: Expression
    yes: tuple[Statement, ...]
    no: tuple[Statement, ...]


@dataclass(frozen=True)
class Integrate:
    """Advance these variables by a step, and let what arrived make them jump."""

    variables: tuple[str, ...]

    def __str__(self) -> str:
        return f"integrate {', '.join(self.variables)}"


@dataclass(frozen=True)
class Spike:
    """Send a spike."""

    def __str__(self) -> str:
        return "spike"


Statement: TypeAlias = Assign | Branch | Integrate | Spike


@dataclass(frozen=True)
class Equation:
    """How a variable moves.

    Attributes
    ----------
    variable : str
    derivative : Expression
        In time, 1/ms.
    is_linear : bool
        Whether it has an exact solution (`propagation`), and needs no solver.
    jumps : tuple
        Ports whose spikes make it jump when it is integrated, and what a weight of 1 adds.
    """

    variable: str
    derivative: Expression
    is_linear: bool
    jumps: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True)
class Neuron:
    """A neuron model.

    Attributes
    ----------
    name : str
    parameters, internals, state, inlines : tuple of Quantity
        Internals are computed once from parameters and ``h``; inlines can be recorded.
    ports : tuple of Port
    currents : tuple of Quantity
        Inputs that are continuous; their value in a step is that at its beginning.
    convolutions : tuple of Convolution
    equations : tuple of Equation
    update : tuple of Statement
    receive : tuple of (port, statements)
    conditions : tuple of (condition, statements)
    """

    name: str
    parameters: tuple[Quantity, ...]
    internals: tuple[Quantity, ...]
    state: tuple[Quantity, ...]
    inlines: tuple[Quantity, ...]
    ports: tuple[Port, ...]
    currents: tuple[Quantity, ...]
    convolutions: tuple[Convolution, ...]
    equations: tuple[Equation, ...]
    update: tuple[Statement, ...]
    receive: tuple[tuple[str, tuple[Statement, ...]], ...]
    conditions: tuple[tuple[Expression, tuple[Statement, ...]], ...]

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    @property
    def convolved(self) -> frozenset[str]:
        """Variables of convolutions."""
        return frozenset(name for c in self.convolutions for name in c.variables)

    @property
    def timers(self) -> frozenset[str]:
        """Variables that count time down."""
        down = {Unary("-", ONE), Number(Fraction(-1))}
        return frozenset(e.variable for e in self.equations if e.derivative in down)

    @property
    def is_exact(self) -> bool:
        """Whether no equation needs a solver."""
        return all(equation.is_linear for equation in self.equations)

    @property
    def solution(self) -> str:
        """How it is advanced: "exact", by a "solver", or "as written" where it has no equations."""
        moving = [e for e in self.equations if e.variable not in self.timers]
        if not moving:
            return "as written"
        return "exact" if self.is_exact else "solver"

    def equation(self, variable: str) -> Equation:
        """How a variable moves.

        Raises
        ------
        KeyError
            For a variable that has no equation.
        """
        for equation in self.equations:
            if equation.variable == variable:
                return equation
        raise KeyError(variable)


def n_steps(duration: Expression) -> Expression:
    """How many steps a time takes; what rounding adds to a multiple begins no other."""
    steps = Binary("/", duration, Name(STEP))
    return Call("ceil", (Binary("-", steps, Number(Fraction(1, 1_000_000))),))


def _lines(neuron: Neuron) -> list[str]:
    lines = [f"neuron {neuron.name}"]
    for title, quantities in (
        ("parameters", neuron.parameters),
        ("state", neuron.state),
        ("internals", neuron.internals),
        ("inlines", neuron.inlines),
        ("currents", neuron.currents),
    ):
        if quantities:
            lines += [f"  {title}", *(f"    {_said(quantity)}" for quantity in quantities)]
    if neuron.ports:
        signs = {1: " (weights above 0)", -1: " (weights below 0)", 0: ""}
        lines += ["  ports", *(f"    {port.name}{signs[port.sign]}" for port in neuron.ports)]
    if neuron.equations:
        lines.append("  equations")
    for equation in neuron.equations:
        exactly = " (exact)" if equation.is_linear else ""
        lines.append(f"    d{equation.variable}/dt = {equation.derivative}{exactly}")
        for port, factor in equation.jumps:
            lines.append(f"      + ({factor}) * {port}, when integrated")
    for convolution in neuron.convolutions:
        for name, factor in convolution.jumps:
            lines.append(f"  {name} += ({factor}) * {convolution.port}")
    lines += ["  update", *_block(neuron.update, 4)]
    for port, statements in neuron.receive:
        lines += [f"  on {port}", *_block(statements, 4)]
    for condition, statements in neuron.conditions:
        lines += [f"  if {condition}", *_block(statements, 4)]
    return lines


def _said(quantity: Quantity) -> str:
    value = "" if quantity.value is None else f" = {text(quantity.value)}"
    unit = f" ({quantity.unit})" if quantity.unit else ""
    return f"{quantity.name}{unit}{value}"


def _block(statements: tuple[Statement, ...], indent: int) -> list[str]:
    lines: list[str] = []
    for statement in statements:
        if isinstance(statement, Branch):
            lines += [f"{' ' * indent}if {statement.condition}"]
            lines += _block(statement.yes, indent + 2)
            if statement.no:
                lines += [f"{' ' * indent}else", *_block(statement.no, indent + 2)]
        else:
            lines.append(f"{' ' * indent}{statement}")
    return lines

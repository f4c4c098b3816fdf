"""Writes the mechanism of a neuron model in NMODL.

What is written advances a neuron by one step, as `portable_cortex.neurons.form` says, at the end of
a step of NEURON's. Weights are summed by port as they arrive; NEURON delivers what arrives at the
end of a step as it begins (see `_projection`). What does not change in a step is computed by
`Mechanism.values`, and set in each instance.

Names of a model begin with ``m_`` in what is written, and so collide with none of NEURON's: ``m_v``
is the variable v, ``i_v`` its initial value, ``n_v`` its value a step later. ``c_1`` is a constant,
``t_1`` a temporary, ``f_exp`` a function. All numbers are in the units of `form`.
"""

from __future__ import annotations

import hashlib
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portable_cortex.neurons import lowering
from portable_cortex.neurons.celltype import state_names
from portable_cortex.neurons.expressions import (
    RANDOM,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
)
from portable_cortex.neurons.form import (
    ALMOST,
    STEP,
    Assign,
    Branch,
    Integrate,
    Neuron,
    Spike,
    Statement,
)
from portable_cortex.neurons.lowering import CONSTANT, ERROR, PARTS, TEMPORARY, Straight
from portable_cortex.neurons.numbers import numbers
from portable_cortex.neurons.reference import evaluate

F64 = NDArray[np.float64]
STIMULUS = "i_stim"  # of electrodes, for one step, nA
TOLERANCE = 1e-3  # of `ERROR`; above it a neuron is advanced in parts of a step
PICOAMPERES = 1e3  # in a nA

FUNCTIONS = {
    "abs": ("x", "fabs(_lx)"),
    "choice": ("x, y, z", "_lx != 0. ? _ly : _lz"),
    "floor_divide": ("x, y", "floor(_lx / _ly)"),
    "max": ("x, y", "_lx > _ly ? _lx : _ly"),
    "min": ("x, y", "_lx < _ly ? _lx : _ly"),
    "mod": ("x, y", "fmod(_lx, _ly)"),
    "pow": ("x, y", "pow(_lx, _ly)"),
    "round": ("x", "round(_lx)"),
}
"""What is not written as C++ has it: arguments and value. Others are C++'s, of one argument."""
LINE = 100
OPERATORS = {"and": "&&", "or": "||"}
CALLED = {"//": "floor_divide", "%": "mod", "**": "pow"}

TEXT = """TITLE The neuron {model}, written by portable-cortex

NEURON {{
    POINT_PROCESS {name}
{ranges}
    RANDOM stream
}}

PARAMETER {{
{parameters}
}}

ASSIGNED {{
{assigned}
}}

VERBATIM
#undef exp  // NEURON's own is less exact
ENDVERBATIM

INITIAL {{
    begin()
}}

BREAKPOINT {{
    SOLVE advance METHOD after_cvode
}}

PROCEDURE begin() {{
{begin}
    observe()
}}

PROCEDURE advance() {{
{advance}
VERBATIM
        // what net_event(t) means in NET_RECEIVE, the only block in which NMODL has it
        net_event(_ppvar[1].get<Point_process*>(), t);
ENDVERBATIM
    }}
}}

PROCEDURE observe() {{        : what is computed from the state, where it is recorded
{observe}
}}

NET_RECEIVE (w, port) {{
    INITIAL {{}}
    if (flag == 0) {{
{receive}
    }} else {{
        net_event(t)          : never comes; tells NEURON that this mechanism sends spikes
    }}
}}
{functions}"""


@dataclass(frozen=True)
class Mechanism:
    """A mechanism for a neuron model.

    Attributes
    ----------
    neuron : Neuron
    name : str
        What NEURON calls it: another text has another name.
    text : str
    constants : dict of str to Expression
        Of parameters, internals and factors, and initial values of timers and convolutions, by the
        names under which they are set.
    """

    neuron: Neuron
    name: str
    text: str
    constants: Mapping[str, Expression]

    def values(self, parameters: Mapping[str, F64], step: float) -> dict[str, F64]:
        """The constants, one for each neuron or one for all, from parameters in the model's units.

        Raises
        ------
        ValueError
            Where the equations have no solution with these parameters.
        """
        known = numbers(self.neuron, parameters, step)
        return {
            name: np.atleast_1d(np.asarray(evaluate(value, known), float))
            for name, value in self.constants.items()
        }


def mechanism(neuron: Neuron, observed: Sequence[str] = ()) -> Mechanism:
    """The mechanism of a model.

    Parameters
    ----------
    neuron : Neuron
        As its cell type has it.
    observed : sequence of str
        Inlines that can be recorded.
    """
    writer = _Writer(lowering.numbered(neuron), observed)
    text = writer.text()
    name = f"Nestml{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return Mechanism(
        neuron, name, text.replace("{name}", name), writer.constants() | writer.initial()
    )


def local(name: str) -> str:
    """What a name of a model, a constant or a temporary is called."""
    for prefix in (CONSTANT, TEMPORARY):
        if name.startswith(prefix) and name[len(prefix) :].isdigit():
            return f"{prefix[2:]}_{name[len(prefix) :]}"
    return f"m_{name}"


def _indented(lines: Iterable[str], depth: int = 1) -> str:
    """Lines, broken where they are long: NMODL takes only so many characters."""
    return "\n".join(broken for line in lines for broken in _broken(line, "    " * depth))


def _broken(line: str, indent: str) -> list[str]:
    own = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.strip(), LINE, initial_indent=indent + own, subsequent_indent=indent + own + "  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


class _Writer:
    """Writes one mechanism."""

    def __init__(self, neuron: Neuron, observed: Sequence[str]) -> None:
        self.neuron = neuron
        self.observed = {q.name: q.value for q in neuron.inlines if q.name in observed}
        self._constants = lowering.Constants(lowering.constant_names(neuron))
        self._locals: dict[str, None] = {}
        self._functions: set[str] = set()

    def constants(self) -> dict[str, Expression]:
        """Those that are no numbers, which are written where they are used."""
        return {
            local(name): value
            for value, name in self._constants.values.items()
            if not _is_literal(value)
        }

    def initial(self) -> dict[str, Expression]:
        """Of variables that PyNN does not know, such as timers."""
        visible = state_names(self.neuron)
        return {f"i_{q.name}": Name(q.name) for q in self.neuron.state if q.name not in visible}

    def text(self) -> str:
        """The text, but for the name of the mechanism."""
        neuron = self.neuron
        advance, observe = self._advance(), self._observe()
        state = [local(q.name) for q in neuron.state]
        inputs = [local(port.name) for port in neuron.ports]
        inputs += [local(current.name) for current in neuron.currents]
        inlines = [local(name) for name in self.observed]
        initial = [f"i_{quantity.name}" for quantity in neuron.state]
        fields = [*state, *inputs, *inlines, STIMULUS]
        set_ = [*initial, "observed", *self.constants()]
        locals_ = f"LOCAL {', '.join(['fired', *self._locals])}"
        ranges = f"RANGE {', '.join([*fields, *set_, 'tau'])}"
        receive = [
            f"if (port == {k}) {{ {local(p.name)} = {local(p.name)} + w }}"
            for k, p in enumerate(neuron.ports)
        ]
        return TEXT.format(
            model=neuron.name,
            name="{name}",
            ranges=_indented([ranges]),
            parameters=_indented(f"{name} = 0" for name in set_),
            assigned=_indented([*fields, "tau  : of a synapse, which PyNN's plastic ones ask for"]),
            begin=_indented(
                [
                    *(f"{local(q.name)} = i_{q.name}" for q in neuron.state),
                    *(f"{name} = 0" for name in [*inputs, STIMULUS]),
                ]
            ),
            advance=_indented([locals_, *advance]),
            observe=_indented(observe),
            receive=_indented(receive, 2),
            functions="".join(map(_function, sorted(self._functions))),
        )

    # --- expressions ------------------------------------------------------------------------------

    def code(self, expression: Expression) -> str:
        """An expression; both sides of choices are computed."""
        return self._code(self._constants.taken(expression))

    def _code(self, expression: Expression) -> str:
        code = self._code
        match expression:
            case Number(value):
                return f"({float(value)!r})" if value < 0 else repr(float(value))
            case Name(name):
                known = {n: v for v, n in self._constants.values.items()}.get(name)
                return local(name) if known is None or not _is_literal(known) else code(known)
            case Call(function, (first, second, _)) if function in RANDOM:
                return f"({code(first)} + {code(second)} * {function}(stream))"
            case Call(function, arguments):
                return self._call(function, *arguments)
            case Unary("-", operand):
                return f"(-{code(operand)})"
            case Unary(_, operand):
                return f"(!({code(operand)}))"
            case Binary(operator, left, right) if operator in CALLED:
                return self._call(CALLED[operator], left, right)
            case Binary(operator, left, right):
                return f"({code(left)} {OPERATORS.get(operator, operator)} {code(right)})"
            case Choice(condition, yes, no):
                return self._call("choice", condition, yes, no)

    def _call(self, function: str, *arguments: Expression) -> str:
        self._functions.add(function)
        return f"f_{function}({', '.join(map(self._code, arguments))})"

    def _local(self, name: str) -> str:
        """A variable of the procedure."""
        self._locals[name] = None
        return name

    # --- blocks -----------------------------------------------------------------------------------

    def _advance(self) -> list[str]:
        neuron = self.neuron
        lines = ["fired = 0"]
        step = self.code(Name(STEP))
        lines.append(f"{self._local(local('t'))} = floor(t / {step} + 0.5) * {step}")
        lines += [f"{local(q.name)} = {PICOAMPERES} * {STIMULUS}" for q in neuron.currents]
        convolved = sorted(neuron.convolved)
        for name in convolved:
            lines.append(f"{self._local(f'a_{name}')} = {self.code(self._total(name))}")
        lines += self._block(neuron.update)
        for port, statements in neuron.receive:
            lines += [f"if ({local(port)} != 0) {{", *self._inner(statements), "}"]
        lines += [f"{local(name)} = a_{name}" for name in convolved]
        for convolution in neuron.convolutions:
            for name, jump in convolution.jumps:
                moved = Binary("+", Name(name), Binary("*", jump, Name(convolution.port)))
                lines.append(f"{local(name)} = {self.code(moved)}")
        for condition, statements in neuron.conditions:
            lines += [f"if ({self.code(condition)}) {{", *self._inner(statements), "}"]
        cleared = [*(local(port.name) for port in neuron.ports), STIMULUS]
        lines += [f"{name} = 0" for name in cleared]
        return [*lines, "observe()", "if (fired) {"]

    def _observe(self) -> list[str]:
        given = [
            f"{local(name)} = {self.code(value)}"
            for name, value in self.observed.items()
            if value is not None
        ]
        return ["if (observed) {", *("    " + line for line in given), "}"] if given else []

    def _inner(self, statements: Sequence[Statement]) -> list[str]:
        return ["    " + line for line in self._block(statements)]

    def _block(self, statements: Sequence[Statement]) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            match statement:
                case Assign(name, value):
                    lines.append(f"{self._variable(name)} = {self.code(value)}")
                case Spike():
                    lines.append("fired = 1")
                case Branch(condition, yes, no):
                    lines += [f"if ({self.code(condition)}) {{", *self._inner(yes)]
                    lines += ["} else {", *self._inner(no), "}"] if no else ["}"]
                case Integrate(variables):
                    lines += self._integrated(variables)
        return lines

    def _variable(self, name: str) -> str:
        """A variable of the model; those that are declared in a block are local."""
        known = {q.name for q in self.neuron.state}
        return local(name) if name in known else self._local(local(name))

    def _total(self, name: str) -> Expression:
        return lowering.total(self.neuron, name, {})

    def _integrated(self, variables: Sequence[str]) -> list[str]:
        """Advance variables: all see the others as they were before."""
        neuron, lines = self.neuron, []
        exact = [name for name in variables if neuron.equation(name).is_linear]
        moved = []
        for name in exact:
            lines.append(f"{self._local(f'n_{name}')} = {self.code(self._total(name))}")
            if name in neuron.timers:
                almost = f"{ALMOST!r} * {self.code(Name(STEP))}"
                lines.append(f"if (fabs(n_{name}) < {almost}) {{ n_{name} = 0 }}")
        for name in variables:
            for number, (port, factor) in enumerate(neuron.equation(name).jumps):
                jump = self._local(f"j_{number}_{name}")
                lines.append(f"{jump} = {self.code(Binary('*', factor, Name(port)))}")
                moved.append(f"{local(name)} = {local(name)} + {jump}")
        if len(exact) < len(variables):
            lines += self._solved(variables)
        lines += [f"{local(name)} = n_{name}" for name in exact]
        return lines + moved

    def _solved(self, variables: Sequence[str]) -> list[str]:
        """Advance variables by a step, in parts of it where that would be rough.

        Convolutions move, too, and are put back.
        """
        whole = lowering.part(self.neuron, variables, 1, tells_error=True)
        part = lowering.part(self.neuron, variables)
        convolved = sorted(self.neuron.convolved)
        number = self._local("number")
        return [
            *(f"{self._local(f'k_{name}')} = {local(name)}" for name in convolved),
            *self._temporaries(whole),
            f"if ({self.code(whole.results[ERROR])} < {TOLERANCE!r}) {{",
            *("    " + line for line in self._results(whole)),
            "} else {",
            f"    {number} = 0",
            f"    while ({number} < {PARTS}) {{",
            *("        " + line for line in (*self._temporaries(part), *self._results(part))),
            f"        {number} = {number} + 1",
            "    }",
            "}",
            *(f"{local(name)} = k_{name}" for name in convolved),
        ]

    def _temporaries(self, run: Straight) -> list[str]:
        return [f"{self._local(local(n))} = {self.code(value)}" for n, value in run.temporaries]

    def _results(self, run: Straight) -> list[str]:
        return [f"{local(n)} = {self.code(v)}" for n, v in run.results.items() if n != ERROR]


def _is_literal(value: Expression) -> bool:
    return isinstance(value, Number) and math.isfinite(value.value)


def _function(name: str) -> str:
    arguments, value = FUNCTIONS.get(name, ("x", f"{name}(_lx)"))
    return f"""
FUNCTION f_{name}({arguments}) {{
VERBATIM
    _lf_{name} = {value};
ENDVERBATIM
}}
"""

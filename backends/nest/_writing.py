"""Writes neuron models in C++, for ``cpp/neuron.h``, which has what they share.

Names of a model have ``m_`` before them, lest they be words of C++, or of NEST: so they are NEST's
parameters and recordables, too. All numbers are in the units of `portable_cortex.neurons.form`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from portable_cortex.neurons import lowering
from portable_cortex.neurons.celltype import USUAL_STEP, NeuronType, state_names
from portable_cortex.neurons.expressions import (
    RANDOM,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
    calls,
    names,
    replaced,
)
from portable_cortex.neurons.form import (
    ALMOST,
    STEP,
    Assign,
    Branch,
    Integrate,
    Neuron,
    Quantity,
    Spike,
    Statement,
)
from portable_cortex.neurons.lowering import CONSTANT, ERROR, PARTS, TEMPORARY, Straight
from portable_cortex.neurons.propagation import factor_name
from portable_cortex.neurons.reference import resolved

TOLERANCE = 1e-3  # of `ERROR`; above it a neuron is advanced in parts of a step
TIME = "t"  # NESTML's name of the time
INCLUDE = "neuron.h"


def native(name: str) -> str:
    """What a parameter or variable is called in C++ and in NEST."""
    return f"m_{name}"


def recordable(celltype: type[NeuronType]) -> tuple[Quantity, ...]:
    """What can be recorded: variables that can be set, then inlines that draw no random numbers."""
    neuron, all_names = celltype.neuron, celltype.recordable
    state = {q.name: q for q in neuron.state}
    return (
        *(state[name] for name in state_names(neuron)),
        *(q for q in neuron.inlines if q.name in all_names and not _draws(q)),
    )


def _draws(quantity: Quantity) -> bool:
    return quantity.value is not None and bool(calls(quantity.value) & set(RANDOM))


def written(neuron: Neuron, name: str, recorded: Sequence[Quantity]) -> str:
    """The file of a model; NEST knows it under `name`."""
    return "\n".join(_Writer(lowering.numbered(neuron), name, recorded).lines()) + "\n"


# --- expressions ----------------------------------------------------------------------------------


def code(expression: Expression) -> str:
    """An expression in C++; what is true is 1."""
    match expression:
        case Number(value):
            return _number(float(value))
        case Name(name):
            return _local(name)
        case Call("random_uniform" | "random_normal" as function, (first, second, _)):
            draw = function.removeprefix("random_")
            return f"({code(first)} + {code(second)} * draw.{draw}())"
        case Call("min" | "max" as function, arguments):
            return f"std::{function}< double >({', '.join(map(code, arguments))})"
        case Call(function, arguments):
            return f"std::{function}( double({', '.join(map(code, arguments))}) )"
        case Unary("-", operand):
            return f"(-{code(operand)})"
        case Unary(_, operand):
            return f"(not {code(operand)})"
        case Binary("**", left, Number(value)) if float(value).is_integer() and 1 < value < 5:
            return "(" + " * ".join([code(left)] * int(value)) + ")"
        case Binary("**", left, right):
            return f"std::pow( double({code(left)}), double({code(right)}) )"
        case Binary("//", left, right):
            return f"std::floor( double({code(left)}) / {code(right)} )"
        case Binary("%", left, right):
            return f"std::fmod( double({code(left)}), double({code(right)}) )"
        case Binary("/", left, right):
            return f"(double({code(left)}) / {code(right)})"
        case Binary(operator, left, right):
            return f"({code(left)} {operator} {code(right)})"
        case Choice(condition, yes, no):
            return f"({code(condition)} ? double({code(yes)}) : double({code(no)}))"


def _number(value: float) -> str:
    if math.isinf(value):
        return f"({'-' if value < 0 else ''}std::numeric_limits< double >::infinity())"
    return repr(value) if value >= 0 else f"({value!r})"


def _local(name: str) -> str:
    if name.startswith(CONSTANT):
        return f"c[ {name.removeprefix(CONSTANT)} ]"
    if name.startswith(TEMPORARY):
        return f"t{name.removeprefix(TEMPORARY)}"
    return native(name)


def _texts(values: Iterable[str]) -> str:
    return "{ " + ", ".join(f'"{value}"' for value in values) + " }"


# --- a model --------------------------------------------------------------------------------------


class _Writer:
    """Writes one model."""

    def __init__(self, neuron: Neuron, name: str, recorded: Sequence[Quantity]) -> None:
        self.neuron, self.name, self.recorded = neuron, name, recorded
        self.constants = lowering.Constants(lowering.constant_names(neuron))
        inputs = [*(port.name for port in neuron.ports), *(q.name for q in neuron.currents)]
        own = [q.name for q in neuron.state]
        self.places = {name: k for k, name in enumerate((*own, *inputs, TIME))}

    def lines(self) -> Iterator[str]:
        """All of them."""
        step, recorded = list(self.step()), list(self.recorded_otherwise())
        constants = list(self.constant_values())  # of what those use
        n, visible = self.neuron, state_names(self.neuron)
        yield f"// The neuron {n.name} for NEST, written by portable-cortex."
        yield f'#include "{INCLUDE}"'
        yield f"struct {self.name}"
        yield "{"
        yield f'static constexpr const char* name = "{self.name}";'
        for what, number in (
            ("parameters", len(n.parameters)),
            ("state", len(n.state)),
            ("visible", len(visible)),
            ("recorded", len(self.recorded)),
            ("ports", len(n.ports)),
            ("currents", len(n.currents)),
            ("constants", len(self.constants.values)),
        ):
            yield f"static constexpr int n_{what} = {number};"
        has_time = native(TIME) in _words((*step, *recorded))
        yield f"static constexpr bool has_time = {str(has_time).lower()};"
        names = [native(q.name) for q in n.parameters]
        yield from _table("const char*", "parameter_names", f"{_texts(names)}", len(names))
        names = [native(q.name) for q in self.recorded]
        yield from _table("const char*", "recorded_names", f"{_texts(names)}", len(names))
        own = ", ".join(str(self.places[name]) for name in visible)
        yield from _table("int", "places", f"{{ {own} }}", len(visible))
        yield from self.defaults()
        yield from self.initial()
        yield from constants
        yield from step
        yield from recorded
        yield "};"
        yield f"portable_cortex::Module< {self.name} > module;"

    # --- parameters and constants -----------------------------------------------------------------

    def defaults(self) -> Iterator[str]:
        """Of parameters."""
        values = resolved(self.neuron, USUAL_STEP, {})
        own = [_number(float(values[q.name])) for q in self.neuron.parameters]
        yield from _table("double", "defaults", f"{{ {', '.join(own)} }}", len(own))

    def known(self, wanted: Iterable[Quantity]) -> Iterator[str]:
        """Parameters and what is computed from them, by name, in an order that is possible."""
        n = self.neuron
        for k, q in enumerate(n.parameters):
            yield f"[[maybe_unused]] const double {native(q.name)} = p[ {k} ];"
        yield f"[[maybe_unused]] const double {native(STEP)} = step;"
        others = {q.name: q for q in (*n.inlines, *n.internals, *n.state)}
        order: dict[str, None] = {}

        def need(name: str) -> None:
            if name in order or name not in others:
                return
            value = others[name].value
            for other in sorted(names(value)) if value is not None else ():
                need(other)
            order[name] = None

        for q in wanted:
            need(q.name)
        for name in order:
            value = others[name].value
            said = "0.0" if value is None else code(value)
            yield f"[[maybe_unused]] const double {native(name)} = {said};"

    def initial(self) -> Iterator[str]:
        """The state as it begins."""
        yield "static void initial( const double* p, const double step, double* s )"
        yield "{"
        yield from self.known(self.neuron.state)
        for k, q in enumerate(self.neuron.state):
            yield f"s[ {k} ] = {native(q.name)};"
        yield "}"

    def constant_values(self) -> Iterator[str]:
        """Constants from parameters."""
        yield "static bool constants( const double* p, const double step, double* c )"
        yield "{"
        yield from self.known(self.neuron.internals)
        used = {name for value in self.constants.values for name in names(value)}
        yield from self.factors("", "step", used)
        for parts in (1, PARTS):
            yield from self.factors(lowering.half(parts), f"0.5 * step / {parts}", used)
        for value, name in self.constants.values.items():
            yield f"{_local(name)} = {code(value)};"
        yield "return true;"
        yield "}"

    def factors(self, prefix: str, length: str, used: set[str]) -> Iterator[str]:
        """Factors of exact solutions; where there are none that are finite, it ends there."""
        linear = [e for e in self.neuron.equations if e.is_linear]
        moving = {e.variable for e in self.neuron.equations}
        still = [q.name for q in (*self.neuron.currents, *self.neuron.state)]
        inputs = [name for name in still if name not in moving]
        columns = [*(e.variable for e in linear), *inputs]
        wanted = {
            prefix + factor_name(equation.variable, source): (row, column)
            for row, equation in enumerate(linear)
            for column, source in enumerate((*columns, ""))
        }
        if not wanted.keys() & used:
            return
        yield f"const auto slope{prefix} = [ & ]( const int row, const double* x ) -> double"
        yield "{"
        for k, name in enumerate(columns):
            yield f"[[maybe_unused]] const double {native(name)} = x[ {k} ];"
        yield "switch ( row )"
        yield "{"
        for row, equation in enumerate(linear):
            yield f"case {row}: return {code(equation.derivative)};"
        yield "}"
        yield "return 0.0;"
        yield "};"
        n, size = len(linear), len(columns) + 1
        yield (
            f"const auto f{prefix} = portable_cortex::factors< {n}, {len(inputs)} >"
            f"( slope{prefix}, {length} );"
        )
        for name, (row, column) in wanted.items():
            if name in used:
                yield f"const double {native(name)} = f{prefix}[ {row * size + column} ];"
                yield f"if ( not std::isfinite( {native(name)} ) ) return false;"

    def taken(self, expression: Expression) -> str:
        """An expression in a step: what is constant is looked up."""
        taken = self.constants.taken(expression)
        return code(_without_numbers(taken, self.constants))

    # --- a step -----------------------------------------------------------------------------------

    def step(self) -> Iterator[str]:
        """What happens in a step."""
        n = self.neuron
        body = [*self.body()]
        said = _words(body)
        yield (
            "static bool step( double* __restrict s, const double* __restrict c, "
            "[[maybe_unused]] portable_cortex::Draw& draw )"
        )
        yield "{"
        yield "bool fired = false;"
        used = [name for name in self.places if native(name) in said]
        for name in used:
            yield f"[[maybe_unused]] double {native(name)} = s[ {self.places[name]} ];"
        statements = [*n.update]
        for _, received in (*n.receive, *n.conditions):
            statements += received
        for name in sorted(lowering.assigned(statements) - self.places.keys()):
            yield f"[[maybe_unused]] double {native(name)} = 0.0;"
        yield from body
        changed = lowering.assigned(statements) | n.convolved
        for name in used:
            if name in changed:
                yield f"s[ {self.places[name]} ] = {native(name)};"
        yield "return fired;"
        yield "}"

    def body(self) -> Iterator[str]:
        """The order of `portable_cortex.neurons.form`."""
        n = self.neuron
        for name in sorted(n.convolved):
            yield f"const double later_{name} = {self.later(name)};"
        yield from self.block(n.update)
        for port, statements in n.receive:
            yield f"if ( {native(port)} != 0.0 )"
            yield from self.block(statements)
        for name in sorted(n.convolved):
            yield f"{native(name)} = later_{name};"
        for convolution in n.convolutions:
            for name, jump in convolution.jumps:
                yield f"{native(name)} += {self.taken(Binary('*', jump, Name(convolution.port)))};"
        for condition, statements in n.conditions:
            yield f"if ( {self.taken(condition)} )"
            yield from self.block(statements)

    def block(self, statements: Sequence[Statement]) -> Iterator[str]:
        """Statements in brackets."""
        yield "{"
        for statement in statements:
            match statement:
                case Assign(name, value):
                    yield f"{native(name)} = {self.taken(value)};"
                case Spike():
                    yield "fired = true;"
                case Integrate(variables):
                    yield from self.integrated(variables)
                case Branch(condition, yes, no):
                    yield f"if ( {self.taken(condition)} )"
                    yield from self.block(yes)
                    if no:
                        yield "else"
                        yield from self.block(no)
        yield "}"

    def later(self, name: str) -> str:
        """A variable a step later, by its exact solution."""
        return self.taken(lowering.total(self.neuron, name, {}))

    def integrated(self, variables: Sequence[str]) -> Iterator[str]:
        """Variables a step later, together."""
        n = self.neuron
        solved = [name for name in variables if not n.equation(name).is_linear]
        yield "{"
        for name in variables:
            start = native(name) if name in solved else self.later(name)
            yield f"double next_{name} = {start};"
            if name in n.timers:
                yield f"if ( std::abs( next_{name} ) < {ALMOST!r} * {self.taken(Name(STEP))} )"
                yield f"next_{name} = 0.0;"
        if solved:
            yield from self.solved(variables, solved)
        for name in variables:
            for port, factor in n.equation(name).jumps:
                yield f"next_{name} += {self.taken(Binary('*', factor, Name(port)))};"
        for name in variables:
            yield f"{native(name)} = next_{name};"
        yield "}"

    def solved(self, variables: Sequence[str], solved: Sequence[str]) -> Iterator[str]:
        """The same of those that need a solver; others move with them.

        By a whole step where that is exact enough, else in parts.
        """
        whole = lowering.part(self.neuron, variables, 1, tells_error=True)
        part = lowering.part(self.neuron, variables)
        yield "{"
        for name in part.results:  # under the same names
            yield f"double start_{name} = {native(name)};"
        yield "bool is_rough = true;"
        yield "{"
        yield from self.temporaries(whole)
        yield f"is_rough = not ( {self.taken(whole.results[ERROR])} < {TOLERANCE!r} );"
        yield "if ( not is_rough )"
        yield "{"
        yield from self.results(whole)
        yield "}"
        yield "}"
        yield f"for ( int part = 0; is_rough and part < {PARTS}; ++part )"
        yield "{"
        for name in part.results:
            yield f"const double {native(name)} = start_{name};"
        yield from self.temporaries(part)
        yield from self.results(part)
        yield "}"
        for name in solved:
            yield f"next_{name} = start_{name};"
        yield "}"

    def temporaries(self, run: Straight) -> Iterator[str]:
        """What is computed on the way."""
        for name, value in run.temporaries:
            yield f"const double {_local(name)} = {self.taken(value)};"

    def results(self, run: Straight) -> Iterator[str]:
        """What comes out."""
        for name, value in run.results.items():
            if name != ERROR:
                yield f"start_{name} = {self.taken(value)};"

    # --- what is recorded -------------------------------------------------------------------------

    def recorded_otherwise(self) -> Iterator[str]:
        """Inlines, from the state as it is."""
        first = len(state_names(self.neuron))
        cases = []
        for k, q in enumerate(self.recorded[first:], first):
            assert q.value is not None
            cases += [f"case {k}: return {self.taken(q.value)};"]
        said = _words(cases)
        yield (
            "static double recorded( const int k, [[maybe_unused]] const double* s, "
            "[[maybe_unused]] const double* c )"
        )
        yield "{"
        for name, place in self.places.items():
            if native(name) in said:
                yield f"[[maybe_unused]] const double {native(name)} = s[ {place} ];"
        yield "switch ( k )"
        yield "{"
        yield from cases
        yield "}"
        yield "return 0.0;"
        yield "}"


def _words(lines: Iterable[str]) -> set[str]:
    return {word for line in lines for word in re.findall(r"\w+", line)}


def _table(kind: str, name: str, values: str, n: int) -> Iterator[str]:
    yield f"static constexpr std::array< {kind}, {n} > {name} = {values if n else '{}'};"


def _without_numbers(expression: Expression, constants: lowering.Constants) -> Expression:
    """An expression with numbers as they are, instead of constants."""
    numbers: Mapping[str, Expression] = {
        name: value for value, name in constants.values.items() if isinstance(value, Number)
    }
    return replaced(expression, numbers)

"""Reads NESTML with pynestml, and splits equations with ODE-toolbox."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import InvalidValueError, UnsupportedError
from .expressions import (
    ONE,
    ZERO,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
    folded,
    replaced,
)
from .form import (
    PRIME,
    STEP,
    Assign,
    Branch,
    Integrate,
    Neuron,
    Port,
    Quantity,
    Spike,
    Statement,
)
from .lowering import changed
from .splitting import Given, Kernel, bare, convolved, split_equations
from .units import factor

UNREAD = (
    "pynestml cannot read this ({}: {}); often it has to convert a unit where it cannot: write "
    "both sides in the same one, such as 0.1 mV for 100 uV"
)
FUNCTIONS = {"ln": "log", "pow": "**", "exp": "exp"} | {
    name: name
    for name in (
        "expm1", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "abs", "ceil",
        "floor", "round", "min", "max", "random_uniform", "random_normal",
    )
}  # fmt: skip


def read(path: str | Path, name: str | None = None, origin: str = "") -> Neuron:
    """Read a neuron model.

    Parameters
    ----------
    path : str or Path
        A file of NESTML.
    name : str, optional
        Of the model, where the file has several.
    origin : str, optional
        What errors call the file.

    Raises
    ------
    InvalidValueError
        For a mistake in the file: its line and column, and what pynestml says.
    UnsupportedError
        For what has no neutral form: its line and column, and what helps.
    """
    origin = origin or str(path)
    models = {model.get_name(): model for model in _parse(Path(path), origin)}
    if name is None and len(models) == 1:
        (name,) = models
    if name not in models:
        wanted = "" if name is None else f", and none of them is {name!r}"
        raise InvalidValueError(f"{origin} has the models {', '.join(models)}{wanted}")
    return _Reader(origin, models[name]).neuron()


def _parse(path: Path, origin: str) -> list[Any]:
    from pynestml.cocos.co_cos_manager import CoCosManager
    from pynestml.frontend.pynestml_frontend import init_predefined
    from pynestml.utils.logger import Logger, LoggingLevel
    from pynestml.utils.model_parser import ModelParser

    if not path.is_file():
        raise InvalidValueError(f"there is no file {path}: a model in NESTML is needed")
    Logger.init_logger(LoggingLevel.NO)
    init_predefined()
    said = io.StringIO()
    models: list[Any] = []
    fault: tuple[Any, str] = None, "it has no model"
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            unit = ModelParser.parse_file(str(path))
            models = list(unit.get_model_list()) if unit else []
            for model in models:
                CoCosManager.check_cocos(model)
        except Exception as error:  # whatever pynestml did not think of
            models, fault = [], (_last_position(error), UNREAD.format(type(error).__name__, error))
    errors = [entry[4:] for entry in Logger.get_log().values() if entry[2] == LoggingLevel.ERROR]
    if errors or not models:
        position, message = errors[0] if errors else fault
        raise InvalidValueError(f"{origin}{_place(position)}: {message}")
    return models


def _last_position(error: Exception) -> Any:
    """Where in a file pynestml was when an exception of its own came."""
    nodes: list[Any] = [
        frame.f_locals.get("node") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    places = [node.get_source_position() for node in nodes if hasattr(node, "get_source_position")]
    return next((place for place in reversed(places) if place.get_start_line() > 0), None)


def _place(position: Any) -> str:
    if position is None:
        return ""
    return f", line {position.get_start_line()}, column {position.get_start_column()}"


@dataclass(frozen=True)
class _Function:
    """A function of the model, as one expression."""

    parameters: tuple[str, ...]
    value: Expression


class _Reader:
    """Makes the neutral form of one parsed model."""

    def __init__(self, path: str, model: Any) -> None:
        self._path, self._model = path, model
        self._ports = {
            port.get_name(): port
            for block in model.get_input_blocks()
            for port in block.get_input_ports()
        }
        self._convolutions: dict[tuple[str, str], None] = {}  # kernels and ports, in order
        self._functions: dict[str, _Function] = {}
        self._declared = {function.get_name(): function for function in model.get_functions()}

    def neuron(self) -> Neuron:
        """The whole model."""
        model = self._model
        if not any(port.is_spike() for port in self._ports.values()):
            raise UnsupportedError(
                f"{self._path}: {model.get_name()} has no input port of spikes: a neuron of a "
                "network needs one (input: spikes <- spike)"
            )
        inlines = self._inlines()
        blocks = {
            kind: tuple(self._quantities(getattr(model, f"get_{kind}_blocks")()))
            for kind in ("parameters", "internals", "state")
        }
        kernels = self._kernels()
        spikes = [name for name, port in self._ports.items() if port.is_spike()]
        known = {q.name: q.value for q in inlines if q.value is not None}
        given = self._derivatives(known)
        split = split_equations(blocks["state"], given, tuple(self._convolutions), kernels, spikes)
        neuron = Neuron(
            name=model.get_name(),
            parameters=blocks["parameters"],
            internals=blocks["internals"],
            state=split.state,
            inlines=inlines,
            ports=tuple(
                sorted(
                    (self._port(port) for port in self._ports.values() if port.is_spike()),
                    key=lambda port: -port.sign,
                )
            ),
            currents=tuple(
                self._input(port) for port in self._ports.values() if port.is_continuous()
            ),
            convolutions=split.convolutions,
            equations=split.equations,
            update=tuple(
                statement
                for block in model.get_update_blocks()
                for statement in self._statements(block.get_stmts_body(), split.integrated)
            ),
            receive=tuple(
                (block.get_port_name(), self._statements(block.get_stmts_body(), split.integrated))
                for block in model.get_on_receive_blocks()
            ),
            conditions=tuple(
                (
                    self._expression(block.get_cond_expr()),
                    self._statements(block.get_stmts_body(), split.integrated),
                )
                for block in model.get_on_condition_blocks()
            ),
        )
        return changed(neuron, lambda value: replaced(value, known))

    def _refuse(self, node: Any, what: str, remedy: str) -> UnsupportedError:
        place = _place(node.get_source_position())
        return UnsupportedError(f"{self._path}{place}: {what}; {remedy}")

    # --- declarations -----------------------------------------------------------------------------

    def _quantities(self, blocks: list[Any]) -> Iterator[Quantity]:
        for block in blocks:
            for declaration in block.get_declarations():
                value = declaration.get_expression()
                for variable in declaration.get_variables():
                    self._check(variable)
                    yield Quantity(
                        _name(variable),
                        _unit(declaration.get_data_type()),
                        self._factor(variable),
                        None if value is None else self._expression(value),
                        _comment(declaration),
                    )

    def _factor(self, node: Any) -> Fraction:
        symbol = node.get_scope().resolve_to_symbol(_complete(node), _variable_kind())
        return _factor_of(symbol.type_symbol)

    def _check(self, variable: Any) -> None:
        if variable.has_vector_parameter():
            raise self._refuse(
                variable,
                f"{variable.get_name()} is an array of variables",
                "give each of them a name of its own",
            )
        if variable.is_delay_variable() or variable.get_delay_parameter():
            raise self._refuse(
                variable,
                f"{variable.get_name()} is read with a delay",
                "no backend but NEST keeps the past of a variable",
            )

    def _port(self, port: Any) -> Port:
        if port.has_size_parameter():
            raise self._refuse(
                port, f"{port.get_name()} is an array of ports", "give each port a name of its own"
            )
        only = port.is_excitatory() - port.is_inhibitory()
        return Port(port.get_name(), int(only))

    def _input(self, port: Any) -> Quantity:
        symbol = port.get_scope().resolve_to_symbol(port.get_name(), _variable_kind())
        unit = _unit(port.get_datatype())
        return Quantity(port.get_name(), unit, _factor_of(symbol.type_symbol), None)

    def _inlines(self) -> tuple[Quantity, ...]:
        found: dict[str, Quantity] = {}
        for block in self._model.get_equations_blocks():
            for inline in block.get_inline_expressions():
                value = replaced(
                    self._expression(inline.get_expression()),
                    {name: q.value for name, q in found.items() if q.value is not None},
                )
                name = inline.get_variable_name()
                kind = inline.get_data_type()
                found[name] = Quantity(
                    name, _unit(kind), _factor_of(kind.get_type_symbol()), value, _comment(inline)
                )
        return tuple(found.values())

    def _kernels(self) -> dict[str, Kernel]:
        """All kernels: functions of time, or equations."""
        found: dict[str, Kernel] = {}
        for block in self._model.get_equations_blocks():
            for kernel in block.get_kernels():
                variables = kernel.get_variables()
                own = Kernel(
                    tuple(
                        Given(_plain(v), v.get_differential_order(), self._expression(e))
                        for v, e in zip(variables, kernel.get_expressions(), strict=True)
                    )
                )
                found |= {_plain(variable): own for variable in variables}
        return found

    def _derivatives(self, inlines: Mapping[str, Expression]) -> list[Given]:
        return [
            Given(
                _plain(equation.get_lhs()),
                equation.get_lhs().get_differential_order(),
                replaced(self._expression(equation.get_rhs()), inlines),
            )
            for block in self._model.get_equations_blocks()
            for equation in block.get_ode_equations()
        ]

    def _function(self, name: str) -> _Function:
        """A function becomes one expression: its variables are put into what it returns."""
        if name not in self._functions:
            function = self._declared[name]
            value = self._returned(function, function.get_stmts_body().get_stmts(), {})
            parameters = tuple(p.get_name() for p in function.get_parameters())
            self._functions[name] = _Function(parameters, value)
        return self._functions[name]

    def _returned(
        self, function: Any, statements: list[Any], known: Mapping[str, Expression]
    ) -> Expression:
        known = dict(known)
        for number, statement in enumerate(statements):
            small, compound = statement.small_stmt, statement.compound_stmt
            if compound is not None and compound.is_if_stmt():
                rest = statements[number + 1 :]
                branch = compound.get_if_stmt()
                clauses = [branch.get_if_clause(), *branch.get_elif_clauses()]
                last = branch.get_else_clause()
                no = [] if last is None else last.get_stmts_body().get_stmts()
                value = self._returned(function, no + rest, known)
                for clause in reversed(clauses):
                    condition = replaced(self._expression(clause.get_condition()), known)
                    yes = clause.get_stmts_body().get_stmts() + rest
                    value = Choice(condition, self._returned(function, yes, known), value)
                return value
            if small is not None and small.is_return_stmt():
                return replaced(self._expression(small.get_return_stmt().get_expression()), known)
            if small is not None and small.is_declaration():
                declaration = small.get_declaration()
                value = replaced(self._expression(declaration.get_expression()), known)
                known |= {v.get_name(): value for v in declaration.get_variables()}
            elif small is not None and small.is_assignment():
                assignment = small.get_assignment()
                known[assignment.get_variable().get_name()] = replaced(
                    self._assigned(assignment), known
                )
            else:
                raise self._refuse(
                    statement, f"function {function.get_name()} has a loop or a call",
                    "write it as expressions",
                )  # fmt: skip
        raise self._refuse(
            function, f"function {function.get_name()} may end without a value", "let it return one"
        )

    # --- statements -------------------------------------------------------------------------------

    def _statements(self, body: Any, integrated: tuple[str, ...]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        local: dict[str, Expression] = {}
        for statement in body.get_stmts():
            small, compound = statement.small_stmt, statement.compound_stmt
            if small is not None:
                found += self._small(small, integrated, local)
            elif compound.is_if_stmt():
                found.append(self._branch(compound.get_if_stmt(), integrated))
            else:
                raise self._refuse(statement, "a loop in a step", "write the statements out")
        return tuple(found)

    def _branch(self, statement: Any, integrated: tuple[str, ...]) -> Branch:
        clauses = [statement.get_if_clause(), *statement.get_elif_clauses()]
        last = statement.get_else_clause()
        no = () if last is None else self._statements(last.get_stmts_body(), integrated)
        for clause in reversed(clauses):
            condition = self._expression(clause.get_condition())
            yes = self._statements(clause.get_stmts_body(), integrated)
            branch = Branch(condition, yes, no)
            no = (branch,)
        return branch

    def _small(
        self, statement: Any, integrated: tuple[str, ...], local: dict[str, Expression]
    ) -> list[Statement]:
        if statement.is_assignment():
            assignment = statement.get_assignment()
            self._check(assignment.get_variable())
            return [Assign(_name(assignment.get_variable()), self._assigned(assignment))]
        if statement.is_declaration():
            declaration = statement.get_declaration()
            value = declaration.get_expression()
            return [
                Assign(_name(variable), ZERO if value is None else self._expression(value))
                for variable in declaration.get_variables()
            ]
        call = statement.get_function_call() if statement.is_function_call() else None
        name = None if call is None else call.get_name()
        if call is not None and name == "integrate_odes":
            arguments = [_name(a.get_variable()) for a in call.get_args()]
            chosen = [v for v in integrated if not arguments or bare(v) in map(bare, arguments)]
            return [Integrate(tuple(chosen))]
        if name == "emit_spike":
            return [Spike()]
        if name in ("print", "println", "info", "warning"):
            return []
        raise self._refuse(statement, f"{name or 'return'} in a step", "leave it out")

    def _assigned(self, assignment: Any) -> Expression:
        value = self._expression(assignment.get_expression())
        old = Name(_name(assignment.get_variable()))
        for flag, operator in (
            ("sum", "+"), ("minus", "-"), ("product", "*"), ("quotient", "/"),
        ):  # fmt: skip
            if getattr(assignment, f"is_compound_{flag}"):
                return folded(Binary(operator, old, value))
        return value

    # --- expressions ------------------------------------------------------------------------------

    def _expression(self, node: Any) -> Expression:
        return folded(self._raw(node))

    def _raw(self, node: Any) -> Expression:
        from pynestml.meta_model.ast_simple_expression import ASTSimpleExpression

        if isinstance(node, ASTSimpleExpression):
            return self._simple(node)
        if node.is_logical_not:
            return Unary("not", self._raw(node.get_expression()))
        if node.get_unary_operator() is not None:
            operator = node.get_unary_operator()
            value = self._raw(node.get_expression())
            if operator.is_unary_plus:
                return value
            if operator.is_unary_minus:
                return Unary("-", value)
            raise self._refuse(node, "an operation on bits", "use arithmetic")
        if node.is_encapsulated:
            return self._raw(node.get_expression())
        if node.get_condition() is not None:
            return Choice(
                self._raw(node.get_condition()), self._raw(node.if_true), self._raw(node.if_not)
            )
        operator = str(node.get_binary_operator()).strip()
        operator = {"<>": "!="}.get(operator, operator)
        return Binary(operator, self._raw(node.get_lhs()), self._raw(node.get_rhs()))

    def _simple(self, node: Any) -> Expression:
        if node.is_function_call():
            return self._call(node.get_function_call())
        if node.is_numeric_literal():
            number = Fraction(str(node.get_numeric_literal()))
            if node.is_numeric_literal_with_unit():
                number *= _factor_of(node.unitType.type_symbol)
            return Number(number)
        if node.is_boolean_true or node.is_boolean_false:
            return ONE if node.is_boolean_true else ZERO
        if node.is_inf_literal:
            return Number(float("inf"))
        if node.is_variable():
            return self._variable(node.get_variable())
        raise self._refuse(node, "a text", "use numbers")

    def _variable(self, variable: Any) -> Expression:
        self._check(variable)
        name = variable.get_name()
        if name != "t" and not self._is_declared(variable) and variable.is_unit_variable():
            return Number(self._unit_factor(variable))
        if name == "e":
            return Call("exp", (ONE,))
        if name == "pi":
            return Number(3.141592653589793)
        port = self._ports.get(name)
        if port is not None and port.is_spike():
            # a spike is a pulse of 1/s times weight
            return Binary("*", Number(1 / factor(_second())), Name(name))
        return Name(_name(variable))

    def _is_declared(self, variable: Any) -> bool:
        """Whether a name is one of the model's: h may be a variable, or hours."""
        scope = variable.get_scope()
        return scope.resolve_to_symbol(_complete(variable), _variable_kind()) is not None

    def _unit_factor(self, variable: Any) -> Fraction:
        from pynestml.symbols.predefined_units import PredefinedUnits

        return factor(PredefinedUnits.get_unit(variable.get_complete_name()).get_unit())

    def _call(self, call: Any) -> Expression:
        name = call.get_name()
        if name in ("resolution", "timestep"):
            return Name(STEP)
        if name == "convolve":
            kernel, port = (a.get_variable() for a in call.get_args())
            self._convolutions[_plain(kernel), port.get_name()] = None
            variable = convolved(_plain(kernel), port.get_name())
            return Name(variable + PRIME * kernel.get_differential_order())
        arguments = tuple(self._raw(argument) for argument in call.get_args())
        if name in self._declared:
            own = self._function(name)
            return replaced(own.value, dict(zip(own.parameters, arguments, strict=True)))
        if name == "steps":
            return Call("round", (Binary("/", arguments[0], Name(STEP)),))
        if name == "clip":
            x, low, high = arguments
            return Call("min", (Call("max", (x, low)), high))
        if name == "pow":
            return Binary("**", *arguments)
        if name == "delta":
            return Call("delta", arguments)
        if name not in FUNCTIONS:
            raise self._refuse(call, f"the function {name}", "use another")
        return Call(FUNCTIONS[name], arguments)


def _plain(variable: Any) -> str:
    return str(variable.get_name()).replace("$", "__S")  # a dollar is no letter elsewhere


def _name(variable: Any) -> str:
    return _plain(variable) + PRIME * int(variable.get_differential_order())


def _complete(variable: Any) -> str:
    return str(variable.get_complete_name())


def _variable_kind() -> Any:
    from pynestml.symbols.symbol import SymbolKind

    return SymbolKind.VARIABLE


def _factor_of(kind: Any) -> Fraction:
    """Of a type of pynestml."""
    return factor(kind.unit.get_unit()) if hasattr(kind, "unit") else Fraction(1)


def _unit(data_type: Any) -> str:
    return str(data_type).strip() if data_type.is_unit_type() else ""


def _comment(node: Any) -> str:
    """The comment behind a declaration, or before it."""
    lines = [*getattr(node, "pre_comments", ()), getattr(node, "in_comment", None)]
    return " ".join(line.strip() for line in lines[-1:] if line)


def _second() -> Any:
    from astropy import units

    return units.s

"""Expressions of a model that pynestml has parsed, and the functions that it declares.

NESTML says of some things less than its programs for NEST do, whose sense is kept: ``and`` binds
stronger than ``or``, integers are divided without a rest, a variable that is an integer loses what
is behind the point, a number beside what has a unit has that unit, and `steps` rounds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
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
from .form import PRIME, STEP, n_steps
from .splitting import convolved
from .units import factor

FUNCTIONS = {"ln": "log", "pow": "**", "exp": "exp"} | {
    name: name
    for name in (
        "expm1", "log10", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "abs", "ceil",
        "floor", "round", "min", "max", "random_uniform", "random_normal",
    )
}  # fmt: skip
HINTS = {
    "random_poisson": "draw in the update block: it is 1 where random_uniform(0, 1) < rate, if the "
    "rate is far below 1",
}
DOLLAR = "__S"  # what stands for a dollar, which is no letter elsewhere
OF_SAME_TYPE = ("min", "max", "abs", "clip")  # functions whose value has their arguments' type


@dataclass(frozen=True)
class Function:
    """A function of the model, as one expression."""

    parameters: tuple[str, ...]
    types: tuple[Any, ...]
    value: Expression


class Terms:
    """Reads the expressions of one model.

    Parameters
    ----------
    path : str
        What errors call the file.
    model : ASTModel
    ports : dict of str to ASTInputPort

    Attributes
    ----------
    convolutions : dict
        Kernels and ports that have been met, in order, and where.
    """

    def __init__(self, path: str, model: Any, ports: Mapping[str, Any]) -> None:
        self._path, self._ports = path, ports
        self.convolutions: dict[tuple[str, str], Any] = {}
        self._functions: dict[str, Function | None] = {}  # None while one is read
        self._declared = {function.get_name(): function for function in model.get_functions()}

    def refusal(self, node: Any, what: str, remedy: str) -> UnsupportedError:
        """An error that says where."""
        place_ = place(node.get_source_position())
        return UnsupportedError(f"{self._path}{place_}: {what}; {remedy}")

    def check(self, variable: Any) -> None:
        """Refuse variables that are no plain ones."""
        self.check_name(variable, variable.get_name())
        if variable.has_vector_parameter():
            raise self.refusal(
                variable,
                f"{variable.get_name()} is an array of variables",
                "give each of them a name of its own",
            )
        if variable.is_delay_variable() or variable.get_delay_parameter():
            raise self._delayed(variable, variable.get_name())

    def _delayed(self, node: Any, name: str) -> UnsupportedError:
        return self.refusal(
            node,
            f"{name} is read with a delay",
            "no backend but NEST keeps the past of a variable",
        )

    def check_name(self, node: Any, name: str) -> None:
        """Refuse names that others are made of."""
        if name.startswith("__") or name.endswith(PRIME):
            raise self.refusal(
                node, f"{name} begins with two underscores or ends with {PRIME}",
                "give it another name",
            )  # fmt: skip

    def expression(self, node: Any) -> Expression:
        """An expression, with its numbers put together."""
        return folded(self._raw(node))

    def given(self, node: Any, is_whole: bool) -> Expression:
        """What a variable is given, which may be an integer."""
        return self._fitting(self.expression(node), node, is_whole)

    def assigned(self, assignment: Any) -> Expression:
        """What an assignment gives its variable."""
        node, variable = assignment.get_expression(), assignment.get_variable()
        value, old = self.expression(node), Name(name_of(variable))
        is_whole = _is_integer(type_of(variable))
        for flag, operator in (
            ("sum", "+"), ("minus", "-"), ("product", "*"), ("quotient", "/"),
        ):  # fmt: skip
            if getattr(assignment, f"is_compound_{flag}"):
                value = folded(Binary(operator, old, value))
                if is_whole and operator == "/":
                    return Call("trunc", (value,))
        return self._fitting(value, node, is_whole)

    def _fitting(self, value: Expression, node: Any, is_whole: bool) -> Expression:
        return Call("trunc", (value,)) if is_whole and not self._is_whole(node) else value

    def _is_whole(self, node: Any) -> bool:
        """Whether an expression is an integer in a program for NEST."""
        if _is_simple(node):
            if node.is_function_call():
                call = node.get_function_call()
                name, arguments = call.get_name(), call.get_args()
                if name in OF_SAME_TYPE:
                    return all(map(self._is_whole, arguments))
                if name in self._declared:
                    return _returns_integer(self._declared[name])
                return bool(name == "steps")
            if node.is_numeric_literal():
                return isinstance(node.get_numeric_literal(), int) and not (
                    node.is_numeric_literal_with_unit()
                )
            return bool(node.is_variable()) and _is_integer(type_of(node.get_variable()))
        if node.is_encapsulated or node.get_unary_operator() is not None:
            return self._is_whole(node.get_expression())
        if node.get_condition() is not None:
            return self._is_whole(node.if_true) and self._is_whole(node.if_not)
        if node.is_logical_not or str(node.get_binary_operator()).strip() == "**":
            return False
        return self._is_whole(node.get_lhs()) and self._is_whole(node.get_rhs())

    # --- parts ------------------------------------------------------------------------------------

    def _raw(self, node: Any) -> Expression:
        if _is_simple(node):
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
            raise self._of_bits(node)
        if node.is_encapsulated:
            return self._raw(node.get_expression())
        if node.get_condition() is not None:
            return Choice(
                self._raw(node.get_condition()), *self._alike(node, node.if_true, node.if_not)
            )
        return self._binary(node)

    def _binary(self, node: Any) -> Expression:
        from pynestml.meta_model.ast_bit_operator import ASTBitOperator

        if isinstance(node.get_binary_operator(), ASTBitOperator):
            raise self._of_bits(node)
        if _is_logical(node):
            return self._logical(node)
        operator = str(node.get_binary_operator()).strip()
        operator = {"<>": "!="}.get(operator, operator)
        sides = node.get_lhs(), node.get_rhs()
        if operator in ("*", "/", "%", "**"):
            value = Binary(operator, *map(self._raw, sides))
            return Call("trunc", (value,)) if operator == "/" and self._is_whole(node) else value
        return Binary(operator, *self._alike(node, *sides))

    def _alike(self, node: Any, *nodes: Any) -> tuple[Expression, ...]:
        """Expressions that are added, compared or chosen from: numbers have the unit of the rest.

        That is what numbers mean in a program for NEST, where all have the unit of the file.
        """
        kinds = [n.type for n in nodes]
        units = [kind for kind in kinds if _has_unit(kind)]
        values = tuple(map(self._raw, nodes))
        if not units:
            return values
        for kind in units[1:]:
            if not kind.unit.get_unit().is_equivalent(units[0].unit.get_unit()):
                raise InvalidValueError(
                    f"{self._path}{place(node.get_source_position())}: one is in "
                    f"{units[0].print_symbol()}, the other in {kind.print_symbol()}"
                )
        return tuple(
            value if _has_unit(kind) else _times(value, factor_of(units[0]))
            for value, kind in zip(values, kinds, strict=True)
        )

    def _pure(self, node: Any) -> Expression:
        """An expression as a number: what has a unit, as many of that unit."""
        value = self._raw(node)
        return _times(value, 1 / factor_of(node.type)) if _has_unit(node.type) else value

    def _logical(self, node: Any) -> Expression:
        """A chain of ``and`` and ``or``, of which NESTML's grammar only knows the order."""
        chain: list[Any] = []
        while _is_logical(node):
            chain[:0] = [node.get_binary_operator().is_logical_or, self._raw(node.get_rhs())]
            node = node.get_lhs()
        alternatives = [self._raw(node)]
        for is_or, operand in zip(chain[::2], chain[1::2], strict=True):
            if is_or:
                alternatives.append(operand)
            else:
                alternatives[-1] = Binary("and", alternatives[-1], operand)
        value, *others = alternatives
        for other in others:
            value = Binary("or", value, other)
        return value

    def _of_bits(self, node: Any) -> UnsupportedError:
        return self.refusal(node, "an operation on bits", "use arithmetic")

    def _simple(self, node: Any) -> Expression:
        if node.is_function_call():
            return self._call(node.get_function_call())
        if node.is_numeric_literal():
            number = Fraction(str(node.get_numeric_literal()))
            if node.is_numeric_literal_with_unit():
                number *= factor_of(node.unitType.type_symbol)
            return Number(number)
        if node.is_boolean_true or node.is_boolean_false:
            return ONE if node.is_boolean_true else ZERO
        if node.is_inf_literal:
            return Number(float("inf"))
        if node.is_variable():
            return self._variable(node.get_variable())
        raise self.refusal(node, "a text", "use numbers")

    def _variable(self, variable: Any) -> Expression:
        self.check(variable)
        name = variable.get_name()
        symbol = _symbol(variable)
        if name != "t" and symbol is None and variable.is_unit_variable():
            return Number(_unit_factor(variable))
        if symbol is not None and symbol.is_predefined:
            if name == "e":
                return Call("exp", (ONE,))
            if name == "pi":
                return Number(3.141592653589793)
        port = self._ports.get(name)
        if port is not None and port.is_spike():
            # a spike is a pulse of 1/s times weight
            return Binary("*", Number(1 / factor(_second())), Name(name))
        return Name(name_of(variable))

    def _call(self, call: Any) -> Expression:
        name = call.get_name()
        if name in ("resolution", "timestep"):
            return Name(STEP)
        if name == "convolve":
            kernel, port = (a.get_variable() for a in call.get_args())
            self._check_port(port)
            self.convolutions.setdefault((plain(kernel), port.get_name()), call)
            variable = convolved(plain(kernel), port.get_name())
            return Name(variable + PRIME * kernel.get_differential_order())
        if name in self._declared:
            own = self._function(call, name)
            arguments = tuple(map(self._argument, call.get_args(), own.types))
            return replaced(own.value, dict(zip(own.parameters, arguments, strict=True)))
        if name == "steps":
            return n_steps(self._raw(call.get_args()[0]))
        if name in OF_SAME_TYPE:
            arguments = self._alike(call, *call.get_args())
        else:
            arguments = tuple(map(self._pure, call.get_args()))
        if name == "clip":
            x, low, high = arguments
            return Call("min", (Call("max", (x, low)), high))
        if name == "pow":
            return Binary("**", *arguments)
        if name == "delta":
            return Call("delta", arguments)
        if name not in FUNCTIONS:
            if _names_variable(call):
                raise self._delayed(call, name)
            raise self.refusal(call, f"the function {name}", HINTS.get(name, "use another"))
        return Call(FUNCTIONS[name], arguments)

    def _argument(self, node: Any, data_type: Any) -> Expression:
        """What a function of the model is given."""
        kind = data_type.get_type_symbol()
        if not _has_unit(kind):
            return self._fitting(self._pure(node), node, data_type.is_integer)
        value = self._raw(node)
        return value if _has_unit(node.type) else _times(value, factor_of(kind))

    def _check_port(self, port: Any) -> None:
        if port.has_vector_parameter():
            raise self.refusal(
                port, f"{port.get_name()} is an array of ports", "give each port a name of its own"
            )

    # --- functions --------------------------------------------------------------------------------

    def _function(self, call: Any, name: str) -> Function:
        """A function becomes one expression: its variables are put into what it returns."""
        if name not in self._functions:
            function = self._declared[name]
            parameters = function.get_parameters()
            self._functions[name] = None
            value = self._returned(function, function.get_stmts_body().get_stmts(), {})
            self._functions[name] = Function(
                tuple(p.get_name() for p in parameters),
                tuple(p.get_data_type() for p in parameters),
                value,
            )
        own = self._functions[name]
        if own is None:
            raise self.refusal(
                call, f"function {name} calls itself", "write what it comes to as an expression"
            )
        return own

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
                    condition = replaced(self.expression(clause.get_condition()), known)
                    yes = clause.get_stmts_body().get_stmts() + rest
                    value = Choice(condition, self._returned(function, yes, known), value)
                return value
            if small is not None and small.is_return_stmt():
                node = small.get_return_stmt().get_expression()
                if node is None:
                    break
                return replaced(self.given(node, _returns_integer(function)), known)
            if small is not None and small.is_declaration():
                known |= {
                    name: replaced(value, known)
                    for name, value in self.declared(small.get_declaration())
                }
            elif small is not None and small.is_assignment():
                assignment = small.get_assignment()
                known[name_of(assignment.get_variable())] = replaced(
                    self.assigned(assignment), known
                )
            else:
                raise self.refusal(
                    statement, f"function {function.get_name()} has a loop or a call",
                    "write it as expressions",
                )  # fmt: skip
        raise self.refusal(
            function, f"function {function.get_name()} may end without a value", "let it return one"
        )

    def declared(self, declaration: Any) -> list[tuple[str, Expression]]:
        """Local variables and their values; 0, where a declaration has none."""
        node, is_whole = declaration.get_expression(), declaration.get_data_type().is_integer
        value = ZERO if node is None else self.given(node, is_whole)
        for variable in declaration.get_variables():
            self.check(variable)
        return [(name_of(variable), value) for variable in declaration.get_variables()]


# --- pynestml -------------------------------------------------------------------------------------


def place(position: Any) -> str:
    """Where in a file something is."""
    if position is None:
        return ""
    return f", line {position.get_start_line()}, column {position.get_start_column()}"


def plain(variable: Any) -> str:
    """The name of a variable without its derivatives."""
    return str(variable.get_name()).replace("$", DOLLAR)


def name_of(variable: Any) -> str:
    """The name of a variable."""
    return plain(variable) + PRIME * int(variable.get_differential_order())


def factor_of(kind: Any) -> Fraction:
    """Of a type of pynestml."""
    return factor(kind.unit.get_unit()) if hasattr(kind, "unit") else Fraction(1)


def type_of(variable: Any) -> Any:
    """The type of a variable in pynestml's terms."""
    symbol = _symbol(variable)
    return None if symbol is None else symbol.type_symbol


def _symbol(variable: Any) -> Any:
    """What a name stands for in the model, if it does: h may be a variable, or hours."""
    from pynestml.symbols.symbol import SymbolKind

    scope = variable.get_scope()
    return scope.resolve_to_symbol(str(variable.get_complete_name()), SymbolKind.VARIABLE)


def _names_variable(call: Any) -> bool:
    from pynestml.symbols.symbol import SymbolKind

    return call.get_scope().resolve_to_symbol(call.get_name(), SymbolKind.VARIABLE) is not None


def _has_unit(kind: Any) -> bool:
    """Whether a type is of something that has a unit, which 1000 ms/s has not."""
    return hasattr(kind, "unit") and not kind.unit.get_unit().is_equivalent("")


def _times(value: Expression, number: Fraction) -> Expression:
    return value if number == 1 else folded(Binary("*", value, Number(number)))


def _is_simple(node: Any) -> bool:
    from pynestml.meta_model.ast_simple_expression import ASTSimpleExpression

    return isinstance(node, ASTSimpleExpression)


def _is_logical(node: Any) -> bool:
    from pynestml.meta_model.ast_logical_operator import ASTLogicalOperator

    return not _is_simple(node) and isinstance(node.get_binary_operator(), ASTLogicalOperator)


def _is_integer(kind: Any) -> bool:
    from pynestml.symbols.integer_type_symbol import IntegerTypeSymbol

    return isinstance(kind, IntegerTypeSymbol)


def _returns_integer(function: Any) -> bool:
    returned = function.get_return_type()
    return returned is not None and bool(returned.is_integer)


def _unit_factor(variable: Any) -> Fraction:
    from pynestml.symbols.predefined_units import PredefinedUnits

    return factor(PredefinedUnits.get_unit(variable.get_complete_name()).get_unit())


def _second() -> Any:
    from astropy import units

    return units.s

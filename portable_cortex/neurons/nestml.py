"""Reads NESTML with pynestml, and splits equations with ODE-toolbox."""

from __future__ import annotations

import contextlib
import functools
import io
import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import InvalidValueError, UnsupportedError
from .expressions import (
    ONE,
    ZERO,
    Binary,
    Expression,
    Name,
    Number,
    names,
    replaced,
)
from .form import (
    CLOCK,
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
from .lowering import changed, statements_values
from .mistakes import with_remedy, wrong_indentation
from .splitting import Given, Kernel, bare, split_equations
from .terms import DOLLAR, Terms, factor_of, name_of, place, plain, type_of

UNREAD = "pynestml cannot read this ({}: {})"
MOST = 1000  # statements that a loop may come to


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
    if len(models) == 1:
        (name,) = models
    if name not in models:
        raise InvalidValueError(
            f"{origin} has the models {', '.join(models)}: call the cell type like one of them, or "
            "give each a file of its own"
        )
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
        where = wrong_indentation(path.read_text("utf-8"))
        if where is not None and "parsing" in message:
            raise InvalidValueError(
                f"{origin}, {where}; lines of a block begin at the same place, below a line that "
                "ends with a colon"
            )
        raise InvalidValueError(f"{origin}{place(position)}: {with_remedy(message)}")
    return models


def _last_position(error: Exception) -> Any:
    """Where in a file pynestml was when an exception of its own came."""
    nodes: list[Any] = [
        frame.f_locals.get("node") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    places = [node.get_source_position() for node in nodes if hasattr(node, "get_source_position")]
    return next((place for place in reversed(places) if place.get_start_line() > 0), None)


class _Reader:
    """Makes the neutral form of one parsed model."""

    def __init__(self, path: str, model: Any) -> None:
        self._path, self._model = path, model
        self._ports = {
            port.get_name(): port
            for block in model.get_input_blocks()
            for port in block.get_input_ports()
        }
        self._terms = Terms(path, model, self._ports)

    def neuron(self) -> Neuron:
        """The whole model."""
        model = self._model
        if not any(port.is_spike() for port in self._ports.values()):
            raise UnsupportedError(
                f"{self._path}: {model.get_name()} has no input port of spikes: a neuron of a "
                "network needs one (input: spikes <- spike)"
            )
        inlines = self._inlines()
        parameters, internals, state = (
            tuple(self._quantities(getattr(model, f"get_{kind}_blocks")()))
            for kind in ("parameters", "internals", "state")
        )
        known = {q.name: q.value for q in inlines if q.value is not None}
        kernels = self._kernels(known)
        spikes = [name for name, port in self._ports.items() if port.is_spike()]
        given = self._derivatives(known)
        if any("t" in names(g.value) for g in given):
            now = {"t": Name(CLOCK)}
            given = [replace(g, value=replaced(g.value, now)) for g in given]
            given.append(Given(CLOCK, 1, ONE, given[0].refuse))
            state = (*state, Quantity(CLOCK, "ms", Fraction(1), ZERO))
        self._integrated = tuple(g.variable + PRIME * n for g in given for n in range(g.order))
        self._timed = {g.variable + PRIME * (g.order - 1) for g in given if CLOCK in names(g.value)}
        update = tuple(
            statement
            for block in model.get_update_blocks()
            for statement in self._statements(block.get_stmts_body())
        )
        receive = tuple(
            (block.get_port_name(), self._statements(block.get_stmts_body()))
            for block in self._on_receive()
        )
        conditions = tuple(
            (
                self._terms.expression(block.get_cond_expr()),
                self._statements(block.get_stmts_body()),
            )
            for block in self._on_condition()
        )
        # all convolutions have been met
        split = split_equations(state, given, self._terms.convolutions, kernels, spikes)
        of_step = _of_step(parameters)
        neuron = Neuron(
            name=model.get_name(),
            parameters=tuple(q for q in parameters if q.name not in of_step),
            internals=(*(q for q in parameters if q.name in of_step), *internals),
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
            update=update,
            receive=receive,
            conditions=conditions,
        )
        neuron = changed(neuron, lambda value: replaced(value, known))
        self._check_pulses(neuron, split.pulses)
        return neuron

    def _on_receive(self) -> list[Any]:
        """Blocks in their order: high priorities first."""
        blocks = [b for b in self._model.get_body().get_body_elements() if _is_on_receive(b)]
        priorities: dict[int, Any] = {}
        for block in blocks:
            priority = block.get_const_parameters().get("priority")
            if priority is not None and priorities.setdefault(int(priority), block) is not block:
                raise self._terms.refusal(
                    block, f"a second block has priority {priority}", "give each one of its own"
                )
        first = [priorities[k] for k in sorted(priorities, reverse=True)]
        return [*first, *(block for block in blocks if block not in first)]

    def _on_condition(self) -> list[Any]:
        """Blocks in their order, which is that of the file."""
        blocks = list(self._model.get_on_condition_blocks())
        for block in blocks:
            if block.get_const_parameters():
                raise self._terms.refusal(
                    block, "an onCondition block has a priority",
                    "leave it out: they are carried out in the order of the file",
                )  # fmt: skip
        return blocks

    def _check_pulses(self, neuron: Neuron, pulses: Mapping[str, Any]) -> None:
        """Refuse pulses where they would have to be numbers."""
        for value in statements_values(neuron):
            for name in sorted(names(value) & set(pulses)):
                raise self._terms.refusal(
                    pulses[name],
                    "a convolution with a delta function is no number, outside of an equation",
                    "use the port in an onReceive block",
                )

    # --- declarations -----------------------------------------------------------------------------

    def _quantities(self, blocks: list[Any]) -> Iterator[Quantity]:
        for block in blocks:
            for declaration in block.get_declarations():
                value, guard = declaration.get_expression(), declaration.get_invariant()
                kind = declaration.get_data_type()
                for variable in declaration.get_variables():
                    self._terms.check(variable)
                    yield Quantity(
                        name_of(variable),
                        _unit(kind),
                        factor_of(type_of(variable)),
                        None if value is None else self._terms.given(value, kind.is_integer),
                        _comment(declaration),
                        None if guard is None else self._terms.expression(guard),
                    )

    def _port(self, port: Any) -> Port:
        if port.has_size_parameter():
            raise self._terms.refusal(
                port, f"{port.get_name()} is an array of ports", "give each port a name of its own"
            )
        self._terms.check_name(port, port.get_name())
        return Port(port.get_name(), int(port.is_excitatory() - port.is_inhibitory()))

    def _input(self, port: Any) -> Quantity:
        self._terms.check_name(port, port.get_name())
        kind = port.get_datatype()
        return Quantity(port.get_name(), _unit(kind), factor_of(kind.get_type_symbol()), None)

    def _inlines(self) -> tuple[Quantity, ...]:
        found: dict[str, Quantity] = {}
        for block in self._model.get_equations_blocks():
            for inline in block.get_inline_expressions():
                value = replaced(
                    self._terms.expression(inline.get_expression()),
                    {name: q.value for name, q in found.items() if q.value is not None},
                )
                name = inline.get_variable_name()
                self._terms.check_name(inline, name)
                kind = inline.get_data_type()
                found[name] = Quantity(
                    name, _unit(kind), factor_of(kind.get_type_symbol()), value, _comment(inline)
                )
        return tuple(found.values())

    def _kernels(self, inlines: Mapping[str, Expression]) -> dict[str, Kernel]:
        """All kernels: functions of time, or equations."""
        found: dict[str, Kernel] = {}
        for block in self._model.get_equations_blocks():
            for kernel in block.get_kernels():
                variables = kernel.get_variables()
                for variable in variables:
                    self._terms.check(variable)
                own = Kernel(tuple(self._given(v, e, inlines) for v, e in zip(
                    variables, kernel.get_expressions(), strict=True
                )))  # fmt: skip
                found |= {plain(variable): own for variable in variables}
        return found

    def _derivatives(self, inlines: Mapping[str, Expression]) -> list[Given]:
        return [
            self._given(equation.get_lhs(), equation.get_rhs(), inlines)
            for block in self._model.get_equations_blocks()
            for equation in block.get_ode_equations()
        ]

    def _given(self, variable: Any, value: Any, inlines: Mapping[str, Expression]) -> Given:
        return Given(
            plain(variable),
            variable.get_differential_order(),
            replaced(self._terms.expression(value), inlines),
            functools.partial(self._terms.refusal, value),
        )

    # --- statements -------------------------------------------------------------------------------

    def _statements(self, body: Any) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for statement in body.get_stmts():
            small, compound = statement.small_stmt, statement.compound_stmt
            if small is not None:
                found += self._small(small)
            elif compound.is_if_stmt():
                found.append(self._branch(compound.get_if_stmt()))
            elif compound.is_for_stmt():
                found += self._repeated(compound.get_for_stmt())
            else:
                raise self._terms.refusal(
                    statement, "a while loop in a step", "write the statements out, or use for"
                )
        return tuple(found)

    def _repeated(self, loop: Any) -> list[Statement]:
        """A loop, written out."""
        variable = str(loop.get_variable()).replace("$", DOLLAR)
        bounds = map(self._terms.expression, (loop.get_start_from(), loop.get_end_at()))
        first, end = (b.value if isinstance(b, Number) else None for b in bounds)
        step = Fraction(str(loop.get_step()))
        body = self._statements(loop.get_stmts_body())
        if not (isinstance(first, Fraction) and isinstance(end, Fraction) and step > 0):
            raise self._terms.refusal(
                loop, "a loop whose length is not known beforehand",
                "let it go from a number to a larger one, in steps above 0",
            )  # fmt: skip
        n = max(math.ceil((end - first) / step), 0)
        if n * len(body) > MOST:
            raise self._terms.refusal(
                loop, f"a loop of {n} times {len(body)} statements", f"{MOST} in all are the most"
            )
        found: list[Statement] = []
        for k in range(n):
            found += [Assign(variable, Number(first + k * step)), *body]
        return [*found, Assign(variable, Number(first + n * step))]

    def _branch(self, statement: Any) -> Branch:
        clauses = [statement.get_if_clause(), *statement.get_elif_clauses()]
        last = statement.get_else_clause()
        no = () if last is None else self._statements(last.get_stmts_body())
        for clause in reversed(clauses):
            condition = self._terms.expression(clause.get_condition())
            yes = self._statements(clause.get_stmts_body())
            branch = Branch(condition, yes, no)
            no = (branch,)
        return branch

    def _small(self, statement: Any) -> list[Statement]:
        if statement.is_assignment():
            assignment = statement.get_assignment()
            self._terms.check(assignment.get_variable())
            return [Assign(name_of(assignment.get_variable()), self._terms.assigned(assignment))]
        if statement.is_declaration():
            declared = self._terms.declared(statement.get_declaration())
            return [Assign(name, value) for name, value in declared]
        call = statement.get_function_call() if statement.is_function_call() else None
        name = None if call is None else call.get_name()
        if call is not None and name == "integrate_odes":
            return self._advanced([name_of(a.get_variable()) for a in call.get_args()])
        if call is not None and name == "emit_spike":
            if call.get_args():
                raise self._terms.refusal(
                    statement, "a spike with a weight of its own",
                    "write emit_spike(): synapses have weights",
                )  # fmt: skip
            return [Spike()]
        if name in ("print", "println", "info", "warning"):
            return []
        raise self._terms.refusal(statement, f"{name or 'return'} in a step", "leave it out")

    def _advanced(self, arguments: list[str]) -> list[Statement]:
        """Integrate the variables named, or all; the time of equations is that within the step."""
        wanted = set(map(bare, arguments))
        chosen = [v for v in self._integrated if v != CLOCK and (not wanted or bare(v) in wanted)]
        if not self._timed & set(chosen):
            return [Integrate(tuple(chosen))]
        begin = Binary("-", Name("t"), Name(STEP))
        return [Assign(CLOCK, begin), Integrate((*chosen, CLOCK))]


def _of_step(parameters: Sequence[Quantity]) -> frozenset[str]:
    """Parameters whose defaults come from the length of a step, which a cell type has not yet."""
    found = {STEP}
    while True:
        more = {q.name for q in parameters if q.value is not None and names(q.value) & found}
        if more <= found:
            return frozenset(found)
        found |= more


def _is_on_receive(block: Any) -> bool:
    from pynestml.meta_model.ast_on_receive_block import ASTOnReceiveBlock

    return isinstance(block, ASTOnReceiveBlock)


def _unit(data_type: Any) -> str:
    return str(data_type).strip() if data_type.is_unit_type() else ""


def _comment(node: Any) -> str:
    """The comment behind a declaration, or before it."""
    lines = [*getattr(node, "pre_comments", ()), getattr(node, "in_comment", None)]
    return " ".join(line.strip() for line in lines[-1:] if line)

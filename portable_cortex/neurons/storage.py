"""Forms of models as text that can be kept: what pynestml took seconds to read is there at once.

Expressions and statements are written as `expressions.text` writes them, so that the file can be
read, and compared with the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from .expressions import Expression, Number, Unary, mapped, parsed, text
from .form import (
    Assign,
    Branch,
    Convolution,
    Equation,
    Integrate,
    Neuron,
    Port,
    Quantity,
    Spike,
    Statement,
)

INTEGRATE, SPIKE = "integrate ", "spike"


def stored(neuron: Neuron) -> dict[str, Any]:
    """A form as lists and text, for JSON.

    Examples
    --------
    >>> from portable_cortex.neurons.library import load
    >>> stored(load("lif_curr_exp"))["conditions"][0][0]
    'refractory <= 0 and v >= v_thresh'
    """
    quantities = {
        kind: [
            [
                q.name,
                q.unit,
                str(q.factor),
                None if q.value is None else text(q.value),
                q.comment,
                *([] if q.guard is None else [text(q.guard)]),
            ]
            for q in getattr(neuron, kind)
        ]
        for kind in QUANTITIES
    }
    return {
        "name": neuron.name,
        **quantities,
        "ports": [[port.name, port.sign] for port in neuron.ports],
        "convolutions": [[c.port, list(c.variables), _jumps(c.jumps)] for c in neuron.convolutions],
        "equations": [
            [e.variable, text(e.derivative), e.is_linear, _jumps(e.jumps)] for e in neuron.equations
        ],
        "update": _block(neuron.update),
        "receive": [[port, _block(statements)] for port, statements in neuron.receive],
        "conditions": [[text(c), _block(statements)] for c, statements in neuron.conditions],
    }


QUANTITIES = ("parameters", "internals", "state", "inlines", "currents")


def _jumps(jumps: Sequence[tuple[str, Expression]]) -> list[list[str]]:
    return [[name, text(value)] for name, value in jumps]


def _block(statements: Sequence[Statement]) -> list[Any]:
    lines: list[Any] = []
    for statement in statements:
        match statement:
            case Branch(condition, yes, no):
                lines.append([text(condition), _block(yes), _block(no)])
            case Integrate(variables):
                lines.append(f"{INTEGRATE}{', '.join(variables)}")
            case _:
                lines.append(str(statement))
    return lines


def restored(data: dict[str, Any]) -> Neuron:
    """The form of what `stored` has made."""
    quantities = {
        kind: tuple(
            Quantity(
                name,
                unit,
                Fraction(factor),
                None if value is None else _parsed(value),
                comment,
                *map(_parsed, guard),
            )
            for name, unit, factor, value, comment, *guard in data[kind]
        )
        for kind in QUANTITIES
    }
    return Neuron(
        name=data["name"],
        **quantities,
        ports=tuple(Port(name, sign) for name, sign in data["ports"]),
        convolutions=tuple(
            Convolution(port, tuple(variables), _pairs(jumps))
            for port, variables, jumps in data["convolutions"]
        ),
        equations=tuple(
            Equation(variable, _parsed(derivative), is_linear, _pairs(jumps))
            for variable, derivative, is_linear, jumps in data["equations"]
        ),
        update=_statements(data["update"]),
        receive=tuple((port, _statements(block)) for port, block in data["receive"]),
        conditions=tuple((_parsed(c), _statements(block)) for c, block in data["conditions"]),
    )


def _parsed(said: str) -> Expression:
    """Numbers below 0 are numbers."""
    return mapped(parsed(said), _with_sign)


def _with_sign(part: Expression) -> Expression:
    match part:
        case Unary("-", Number(value)):
            return Number(-value)
    return part


def _pairs(jumps: Sequence[Sequence[str]]) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, _parsed(value)) for name, value in jumps)


def _statements(lines: Sequence[Any]) -> tuple[Statement, ...]:
    return tuple(map(_statement, lines))


def _statement(line: Any) -> Statement:
    if not isinstance(line, str):
        condition, yes, no = line
        return Branch(_parsed(condition), _statements(yes), _statements(no))
    if line == SPIKE:
        return Spike()
    if line.startswith(INTEGRATE) and " = " not in line:
        return Integrate(tuple(filter(None, line.removeprefix(INTEGRATE).split(", "))))
    name, _, value = line.partition(" = ")
    return Assign(name, _parsed(value))

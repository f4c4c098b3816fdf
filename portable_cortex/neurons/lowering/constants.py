"""What does not change from step to step, and is computed before them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from ..expressions import (
    ONE,
    RANDOM,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Number,
    Unary,
    walk,
)
from ..form import STEP, Neuron
from ..propagation import factor_name, rows
from .systems import PARTS, half, parted, prefix, solved

CONSTANT = "__c"  # what names of constants begin with


@dataclass
class Constants:
    """Parts of expressions that do not change, which are computed before the first step.

    Attributes
    ----------
    known : set of str
        Names that stand for such.
    values : dict of Expression to str
        Each of them and what it is called.
    """

    known: Set[str]
    values: dict[Expression, str] = field(default_factory=dict)

    def taken(self, expression: Expression) -> Expression:
        """The expression with its constant parts as names."""
        if self._is_constant(expression):
            name = self.values.setdefault(expression, f"{CONSTANT}{len(self.values)}")
            return Name(name)
        match expression:
            case Call(function, (*arguments, number)) if function in RANDOM:
                return Call(function, (*map(self.taken, arguments), number))
            case Call(function, arguments):
                return Call(function, tuple(map(self.taken, arguments)))
            case Unary(operator, operand):
                return Unary(operator, self.taken(operand))
            case Binary("**", left, Number() as power):
                return Binary("**", self.taken(left), power)
            case Binary("/", left, right) if self._is_constant(right):
                return Binary("*", self.taken(left), self.taken(Binary("/", ONE, right)))
            case Binary(operator, left, right):
                return Binary(operator, self.taken(left), self.taken(right))
            case Choice(condition, yes, no):
                return Choice(self.taken(condition), self.taken(yes), self.taken(no))
        return expression

    def _is_constant(self, expression: Expression) -> bool:
        return all(
            part.name in self.known
            if isinstance(part, Name)
            else not (isinstance(part, Call) and part.function in RANDOM)
            for part in walk(expression)
        )


def constant_names(neuron: Neuron) -> frozenset[str]:
    """Names of what does not change in a step: parameters, internals, factors, the step."""
    own = [q.name for q in (*neuron.parameters, *neuron.internals)]
    factors = [
        start + factor_name(row.variable, source)
        for row in rows(neuron)
        for source in ("", *row.sources, *row.inputs)
        for start in ("", half(1), half(PARTS))
    ]
    for variables in solved(neuron):
        linear = rows(parted(neuron, variables).linear)
        for start in (prefix(neuron, variables, parts) for parts in (1, 2)):
            factors += [
                start + factor_name(row.variable, source)
                for row in linear
                for source in ("", *row.sources, *row.inputs)
            ]
    return frozenset((STEP, *own, *factors))

"""The statements of a step as one run of expressions, without branches.

Backends that advance many neurons at once choose between two values where a model branches: vector
instructions cannot do one thing for some neurons and another for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .expressions import Binary, Choice, Expression, Name, Number, replaced
from .form import Assign, Branch, Integrate, Neuron, Statement
from .propagation import Row, factor_name, rows


@dataclass(frozen=True)
class Straight:
    """A run of expressions.

    Attributes
    ----------
    temporaries : tuple of (name, Expression)
        In order; each is of names that stand before it, of variables as they were, and constants.
    results : dict
        Variables that change: the names of their new values.
    """

    temporaries: tuple[tuple[str, Expression], ...]
    results: dict[str, Expression]


@dataclass
class _Run:
    """Gathers temporaries; what is written alike is computed once."""

    temporaries: list[tuple[str, Expression]] = field(default_factory=list)
    known: dict[Expression, Name] = field(default_factory=dict)

    def named(self, value: Expression) -> Expression:
        """A name or number for a value."""
        if isinstance(value, Name | Number):
            return value
        if value not in self.known:
            name = f"t{len(self.temporaries)}"
            self.temporaries.append((name, value))
            self.known[value] = Name(name)
        return self.known[value]


def straightened(neuron: Neuron) -> Straight:
    """What `update` does, and how convolutions advance.

    Raises
    ------
    NotImplementedError
        For equations that need a solver.
    """
    run, sums = _Run(), {row.variable: row for row in rows(neuron)}
    after = _carried_out(neuron.update, {}, neuron, sums, run)
    for name in sorted(neuron.convolved):
        after[name] = run.named(_sum(sums[name], {}))
    return Straight(tuple(run.temporaries), after)


def _carried_out(
    statements: Sequence[Statement],
    before: Mapping[str, Expression],
    neuron: Neuron,
    sums: Mapping[str, Row],
    run: _Run,
) -> dict[str, Expression]:
    """New values of variables, given those that have some."""
    now = dict(before)
    for statement in statements:
        match statement:
            case Assign(name, value):
                now[name] = run.named(replaced(value, now))
            case Integrate(variables):
                now |= _integrated(variables, now, neuron, sums, run)
            case Branch(condition, yes, no):
                holds = run.named(replaced(condition, now))
                one = _carried_out(yes, now, neuron, sums, run)
                other = _carried_out(no, now, neuron, sums, run)
                for name in [*one, *(n for n in other if n not in one)]:
                    first, second = one.get(name, Name(name)), other.get(name, Name(name))
                    same = first == second
                    now[name] = first if same else run.named(Choice(holds, first, second))
            case _:
                raise NotImplementedError(f"{statement} in update")
    return now


def _integrated(
    variables: Sequence[str],
    now: Mapping[str, Expression],
    neuron: Neuron,
    sums: Mapping[str, Row],
    run: _Run,
) -> dict[str, Expression]:
    new = {}
    for name in variables:
        equation = neuron.equation(name)
        if not equation.is_linear:
            raise NotImplementedError(f"{name} needs a solver")
        value = _sum(sums[name], now)
        for port, factor in equation.jumps:
            value = Binary("+", value, Binary("*", replaced(factor, now), Name(port)))
        new[name] = run.named(value)
    return new


def _sum(row: Row, now: Mapping[str, Expression]) -> Expression:
    """A variable a step later."""
    terms: list[Expression] = [
        Binary("*", now.get(source, Name(source)), Name(factor_name(row.variable, source)))
        for source in (row.variable, *(s for s in row.sources if s != row.variable), *row.inputs)
    ]
    if row.is_shifted:
        terms.append(Name(factor_name(row.variable)))
    total, *others = terms
    for term in others:
        total = Binary("+", total, term)
    return total

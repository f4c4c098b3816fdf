"""Statements without branches: one run of expressions, each neuron choosing between values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from ..expressions import (
    ONE,
    RANDOM,
    ZERO,
    Binary,
    Choice,
    Expression,
    Name,
    Number,
    calls,
    names,
    replaced,
)
from ..form import Assign, Branch, Integrate, Neuron, Spike, Statement
from ..propagation import factor_name, rows
from .statements import FIRED

TEMPORARY = "__t"  # what names of temporaries begin with


@dataclass(frozen=True)
class Straight:
    """A run of expressions.

    Attributes
    ----------
    temporaries : tuple of (name, Expression)
        In order; each is of names that stand before it, of variables as they were, and constants.
    results : dict
        Variables that change: their new values, names or numbers.
    """

    temporaries: tuple[tuple[str, Expression], ...]
    results: Mapping[str, Expression]

    def of(self, variables: Set[str]) -> Straight:
        """What some of the variables need."""
        results = {name: value for name, value in self.results.items() if name in variables}
        needed = {n for value in results.values() for n in names(value)}
        kept = []
        for name, value in reversed(self.temporaries):
            if name in needed:
                kept.append((name, value))
                needed |= names(value)
        return Straight(tuple(reversed(kept)), results)

    @property
    def read(self) -> frozenset[str]:
        """Names that are not temporaries of it."""
        own = {name for name, _ in self.temporaries}
        values = [value for _, value in self.temporaries] + list(self.results.values())
        return frozenset(n for value in values for n in names(value)) - own


@dataclass
class Run:
    """Gathers temporaries; what is written alike is computed once."""

    temporaries: list[tuple[str, Expression]] = field(default_factory=list)
    known: dict[Expression, Name] = field(default_factory=dict)

    def named(self, value: Expression) -> Expression:
        """A name or number for a value."""
        if isinstance(value, Name | Number):
            return value
        if value in self.known and not calls(value) & set(RANDOM):  # what is drawn is drawn anew
            return self.known[value]
        name = Name(f"{TEMPORARY}{len(self.temporaries)}")
        self.temporaries.append((name.name, value))
        self.known[value] = name
        return name


def straightened(neuron: Neuron, statements: Sequence[Statement], advances: bool) -> Straight:
    """Statements as a run of expressions.

    Parameters
    ----------
    neuron : Neuron
    statements : sequence of Statement
    advances : bool
        Whether convolutions advance, too.
    """
    run = Run()
    after = _carried_out(statements, {}, neuron, run)
    if advances:
        for name in sorted(neuron.convolved):
            after[name] = run.named(total(neuron, name, {}))
    return Straight(tuple(run.temporaries), after)


def _carried_out(
    statements: Sequence[Statement], before: Mapping[str, Expression], neuron: Neuron, run: Run
) -> dict[str, Expression]:
    """New values of variables, given those that have some."""
    now = dict(before)
    for statement in statements:
        match statement:
            case Assign(name, value):
                now[name] = run.named(replaced(value, now))
            case Integrate(variables):
                new = {}
                for name in variables:
                    value = total(neuron, name, now)
                    for port, factor in neuron.equation(name).jumps:
                        value = Binary("+", value, Binary("*", replaced(factor, now), Name(port)))
                    new[name] = run.named(value)
                now |= new
            case Spike():
                now[FIRED] = ONE
            case Branch(condition, yes, no):
                holds = run.named(replaced(condition, now))
                one, other = (_carried_out(branch, now, neuron, run) for branch in (yes, no))
                for name in [*one, *(n for n in other if n not in one)]:
                    absent = ZERO if name == FIRED else Name(name)
                    first, second = one.get(name, absent), other.get(name, absent)
                    same = first == second
                    now[name] = first if same else run.named(Choice(holds, first, second))
    return now


def total(neuron: Neuron, name: str, now: Mapping[str, Expression], prefix: str = "") -> Expression:
    """A variable a step later: the sum that is its exact solution.

    Parameters
    ----------
    neuron : Neuron
    name : str
        Its equation is linear.
    now : dict
        Variables that have other values than their names say.
    prefix : str, optional
        Of the names of factors: see `half`.
    """
    (row,) = (row for row in rows(neuron) if row.variable == name)
    terms: list[Expression] = [
        Binary("*", now.get(source, Name(source)), Name(prefix + factor_name(name, source)))
        for source in (name, *(s for s in row.sources if s != name), *row.inputs)
    ]
    if row.is_shifted:
        terms.append(Name(prefix + factor_name(name)))
    value, *others = terms
    for term in others:
        value = Binary("+", value, term)
    return value

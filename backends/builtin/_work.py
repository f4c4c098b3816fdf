"""What the loops of a neuron model have to do: a step in straight lines, before it is written.

Neurons that are refractory are few: all are advanced as if none were, and these once more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from portable_cortex.errors import UnsupportedError
from portable_cortex.neurons import lowering
from portable_cortex.neurons.expressions import (
    ZERO,
    Binary,
    Call,
    Choice,
    Expression,
    Name,
    Unary,
    mapped,
    names,
    replaced,
)
from portable_cortex.neurons.form import Branch, Integrate, Statement
from portable_cortex.neurons.lowering import CONSTANT, ERROR, TEMPORARY, Straight

from ._plan import Plan
from ._text import RUNNING, numbered

KEPT = 16  # variables of refractory neurons that are kept, at most
LOG2E = Fraction(1.0 / math.log(2.0))
NEAR_EXP2 = "near_exp2"  # what stands for exponential functions in solvers


class Work:
    """A step of a model.

    Attributes
    ----------
    plan : Plan
    neuron : Neuron
    constants : lowering.Constants
        Of parameters, internals and factors, as far as they have been asked for.
    currents : list of str
    draws : str
        What functions are given for random numbers and the time, where the model has some.
    timer : str or None
        Of refractoriness.
    rows : str
        The rows of memory, as functions are given them.
    over, running : dict of str to Straight
        By part: a step of neurons that are not refractory, and of those that are.
    own : set of str
        Parts that differ between the two.
    conditions : list of Expression
    changed : frozenset of str
        Variables that refractory neurons change otherwise.
    kept : tuple of str
        Those that are to be kept for that.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.neuron = plan, plan.neuron
        self.constants = lowering.Constants(lowering.constant_names(plan.neuron))
        self.currents = [q.name for q in plan.neuron.currents]
        needs = lowering.is_random(self.neuron) or lowering.is_timed(self.neuron)
        self.draws = ", index, now, key0, key1" if needs else ""
        self.timer = plan.refractoriness.timer if plan.refractoriness else None
        self.rows = "".join(f"r_{name}, " for name in plan.rows)
        self.over, self.running = self._course(False), self._course(True)
        self.own = {k for k, run in self.running.items() if run != self.over.get(k)}
        self.conditions = [
            self.taken(self.with_timer(condition)) for condition, _ in self.neuron.conditions
        ]
        self.changed, self.kept = self._held()
        if max(len(self.kept), len(plan.rows) if "part" in self.over else 0) > KEPT:
            raise UnsupportedError(
                f"{self.neuron.name}: it has {len(plan.rows)} variables, and the built-in engine's "
                f"loops keep up to {KEPT} of a neuron; run it on another backend"
            )

    def refusal(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"{self.neuron.name}: {what}, which the built-in engine has no loop for; call "
            "integrate_odes once in the update block, or under an if that asks for a refractory "
            "timer"
        )

    def taken(self, expression: Expression) -> Expression:
        return self.constants.taken(expression)

    def with_timer(self, expression: Expression) -> Expression:
        return lowering.compared(expression, self.timer, RUNNING) if self.timer else expression

    def _course(self, is_running: bool) -> dict[str, Straight]:
        """A step: the parts that a solver takes, if there are some, and the rest."""
        statements = self.plan.update(is_running)
        if any(isinstance(s, Branch) and self._solves((*s.yes, *s.no)) for s in statements):
            raise self.refusal("equations that need a solver are integrated under a condition")
        solved = [s for s in statements if isinstance(s, Integrate) and not self._is_exact(s)]
        if not solved:
            rest = lowering.straightened(self.neuron, statements, advances=True)
            return {"rest": self._as_held(self._arrived(rest))}
        if len(solved) > 1:
            raise self.refusal("equations that need a solver are integrated twice in a step")
        at = statements.index(solved[0])
        before = lowering.straightened(self.neuron, statements[:at], advances=False)
        rest = lowering.straightened(self.neuron, statements[at + 1 :], advances=False)
        return {
            **({"before": self._as_held(before)} if at else {}),
            "whole": self._as_held(self._near(lowering.whole(self.neuron, solved[0].variables))),
            "part": self._as_held(self._near(lowering.part(self.neuron, solved[0].variables))),
            "rest": self._as_held(self._arrived(rest)),
        }

    def _near(self, run: Straight) -> Straight:
        """With exponential functions that are as exact as solvers need."""

        def near(part: Expression) -> Expression:
            match part:
                case Call("exp", (argument,)) if not names(argument) <= self.constants.known:
                    return Call(
                        NEAR_EXP2, (lowering.scaled(argument, LOG2E, self.constants.known),)
                    )
            return part

        temporaries = tuple((name, mapped(value, near)) for name, value in run.temporaries)
        return Straight(temporaries, {n: mapped(value, near) for n, value in run.results.items()})

    def _is_exact(self, statement: Integrate) -> bool:
        return all(self.neuron.equation(name).is_linear for name in statement.variables)

    def _solves(self, statements: Sequence[Statement]) -> bool:
        """Whether equations that need a solver are integrated somewhere in statements."""
        return any(
            self._solves((*s.yes, *s.no))
            if isinstance(s, Branch)
            else isinstance(s, Integrate) and not self._is_exact(s)
            for s in statements
        )

    def _arrived(self, run: Straight) -> Straight:
        """Convolutions get what arrived, and sums of weights begin anew, where these are there."""
        if self.plan.is_early:
            return run
        results = dict(run.results)
        temporaries = list(run.temporaries)
        for convolution in self.neuron.convolutions:
            for name, jump in convolution.jumps:
                moved = Binary("*", jump, Name(convolution.port))
                sum_ = Binary("+", results.get(name, Name(name)), moved)
                temporary = f"{TEMPORARY}{len(temporaries)}"
                temporaries.append((temporary, sum_))
                results[name] = Name(temporary)
        return Straight(tuple(temporaries), {**results, **dict.fromkeys(self.plan.inputs, ZERO)})

    def _as_held(self, run: Straight) -> Straight:
        """The run with constants, and what is not a variable in memory dropped."""
        results = {n: v for n, v in run.results.items() if n in (*self.plan.rows, ERROR)}
        run = Straight(run.temporaries, results).of(set(results))
        temporaries = tuple((name, self.taken(value)) for name, value in run.temporaries)
        return Straight(temporaries, {n: self.taken(v) for n, v in run.results.items()})

    def _held(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Variables that refractory neurons change otherwise, and those to be kept for that."""
        if not self.timer:
            return frozenset(), ()
        if "part" in self.over or "part" in self.running:
            runs = (*self.over.values(), *self.running.values())
            changed = frozenset(n for run in runs for n in run.results if n != ERROR)
            read = {n for run in self.running.values() for n in run.read}
            return changed, tuple(n for n in self.plan.rows if n in changed | read)
        running, over = (
            {n: _formula(course["rest"], v) for n, v in course["rest"].results.items()}
            for course in (self.running, self.over)
        )
        changed = frozenset(
            n for n in self.plan.rows if running.get(n, Name(n)) != over.get(n, Name(n))
        )
        read = {*self.running["rest"].of(changed).read, *(changed - set(running))}
        return changed, tuple(n for n in self.plan.rows if n in read)

    def constants_of(self, *runs: Straight, also: Iterable[Expression] = ()) -> list[str]:
        values = [v for run in runs for _, v in run.temporaries]
        values += [v for run in runs for v in run.results.values()] + list(also)
        return numbered(n for v in values for n in names(v) if n.startswith(CONSTANT))

    def body(self, kind: str, each: bool) -> tuple[Straight, list[Expression]]:
        """What a loop computes, and conditions that it looks at; equal neurons get no current."""
        run = self.over[kind]
        conditions = [replaced(c, run.results) for c in self._not_running()]
        if not each:
            absent = set(self.currents)
            run = Straight(tuple((n, _dropped(v, absent)) for n, v in run.temporaries), run.results)
            conditions = [_dropped(c, absent) for c in conditions]
        return run, conditions if kind == "rest" else []

    def _not_running(self) -> list[Expression]:
        """Conditions where the refractory time is over."""
        found = []
        for condition, _ in self.neuron.conditions:
            known = lowering.compared(condition, self.timer, False) if self.timer else condition
            found.append(self.taken(known))
        return found

    def results(self, run: Straight) -> list[str]:
        """What such a function returns."""
        return [n for n in (*self.plan.rows, ERROR) if n in run.results]

    def called(self, kind: str, is_running: bool = False) -> str:
        """Such a function, called with what it needs, under the same names."""
        run = (self.running if is_running else self.over)[kind]
        read = run.read
        given = [f"m_{n}" for n in (*self.plan.rows, *self.currents) if n in read]
        given += [*self.constants_of(run), *(["i" + self.draws] if self.draws else [])]
        which = "_refractory" if is_running and kind in self.own else ""
        return f"{kind}_of_one{which}({', '.join(given)})"


def _formula(run: Straight, value: Expression) -> Expression:
    """A result written out."""
    known: dict[str, Expression] = {}
    for name, formula in run.temporaries:
        known[name] = replaced(formula, known)
    return replaced(value, known)


def _dropped(value: Expression, absent: set[str]) -> Expression:
    """An expression where some names are 0, without the terms that vanish."""
    match value:
        case Name(name) if name in absent:
            return ZERO
        case Binary("+", left, right):
            left, right = _dropped(left, absent), _dropped(right, absent)
            return right if left == ZERO else left if right == ZERO else Binary("+", left, right)
        case Binary("*", left, right):
            left, right = _dropped(left, absent), _dropped(right, absent)
            return ZERO if ZERO in (left, right) else Binary("*", left, right)
        case Binary(operator, left, right):
            return Binary(operator, _dropped(left, absent), _dropped(right, absent))
        case Unary(operator, operand):
            return Unary(operator, _dropped(operand, absent))
        case Call(function, arguments):
            return Call(function, tuple(_dropped(a, absent) for a in arguments))
        case Choice(condition, yes, no):
            return Choice(*(_dropped(part, absent) for part in (condition, yes, no)))
    return value

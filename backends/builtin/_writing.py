"""Writes the loop of a neuron model: Python that numba compiles to vector instructions.

What is written advances the neurons of a piece as `portable_cortex.neurons.form` says. Neurons that
are refractory are few: all are advanced as if none were, and these once more. Inputs are added,
after the step, to the variables that they move (`lowering.landings`); where a condition looks at
those, inputs are there as sums of weights before the step.

Names of a model have a letter and a line before them in what is written: ``m_v`` is the variable v,
``r_v`` its row of memory; ``t1`` and ``c1`` are temporaries and constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    Number,
    Unary,
    calls,
    mapped,
    names,
    parts,
    replaced,
)
from portable_cortex.neurons.form import (
    STEP,
    Assign,
    Branch,
    Integrate,
    Spike,
    Statement,
)
from portable_cortex.neurons.lowering import CONSTANT, ERROR, PARTS, TEMPORARY, Straight

from ._plan import Plan
from ._text import RUNNING, block, code, firsts, local, numbered, rows, sign

PIECE = 1024  # neurons that are advanced together
KEPT = 16  # variables of refractory neurons that are kept, at most
CHUNK = 256  # neurons whose numbers stay in the nearest cache while a solver advances them
SPACE = 2 * KEPT + 1  # rows of pieces: those, what tells where a solver is rough, its numbers
NUMBERS = 16  # of a neuron that go from one loop of a solver to the next, at most: 32 kB
WIDEST = 16  # neurons in a vector, at most
LONG = 18  # operations that wait for each other in a loop of a solver, about
TOLERANCE = 1e-3  # of `ERROR`; above it a neuron is advanced again, in parts of a step
LOG2E = Fraction(1.0 / math.log(2.0))
NEAR_EXP2 = "near_exp2"  # what stands for exponential functions in solvers

HEADER = '''"""The neuron {name} for the built-in engine, written by portable-cortex."""

import math

import numpy as np
from numba import carray, cfunc

from portable_cortex.backends.builtin._functions import exp, near_exp2, normal, uniform
from portable_cortex.backends.builtin._generated import SIGNATURES
from portable_cortex.backends.builtin._llvm import common, compiled, inlined, signs, word

U16, U64, I32 = np.uint16, np.uint64, np.int32
PART = 64  # neurons that are searched together


'''


@dataclass(frozen=True)
class Written:
    """A module.

    Attributes
    ----------
    text : str
    constants : tuple of Expression
        Of parameters, internals and factors; in the order of rows.
    """

    text: str
    constants: tuple[Expression, ...]


def written(plan: Plan) -> Written:
    """The module that advances a model's neurons."""
    writer = Writer(plan)
    return Written(writer.module(), tuple(writer.constants.values))


# --- functions ------------------------------------------------------------------------------------


class Writer:
    """Writes one module."""

    left, zero = "left[i]", "0.0"  # steps of refractoriness of a neuron; 0

    def __init__(self, plan: Plan) -> None:
        self.plan, self.neuron = plan, plan.neuron
        self.constants = lowering.Constants(lowering.constant_names(plan.neuron))
        self.currents = [q.name for q in plan.neuron.currents]
        self.draws = ", index, now, key0, key1" if lowering.is_random(self.neuron) else ""
        self.timer = plan.refractoriness.timer if plan.refractoriness else None
        self.rows = "".join(f"r_{name}, " for name in plan.rows)
        self.over, self.running = self._course(False), self._course(True)
        self.own = {k for k, run in self.running.items() if run != self.over.get(k)}
        self.conditions = [
            self._taken(self._with_timer(condition)) for condition, _ in self.neuron.conditions
        ]
        self.changed, self.kept = self._held()
        if max(len(self.kept), len(plan.rows) if "part" in self.over else 0) > KEPT:
            raise UnsupportedError(
                f"{self.neuron.name}: it has {len(plan.rows)} variables, and the built-in engine's "
                f"loops keep up to {KEPT} of a neuron; run it on another backend"
            )

    def _refusal(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"{self.neuron.name}: {what}, which the built-in engine has no loop for; call "
            "integrate_odes once in the update block, or under an if that asks for a refractory "
            "timer"
        )

    def module(self) -> str:
        """The text."""
        functions = [
            *(
                self._loop(kind, each)
                for kind in self.over
                if kind in ("before", "rest")
                for each in (False, True)
            ),
            *(self._of_one(kind, False) for kind in ("whole", "part") if kind in self.over),
            *(self._of_one(kind, True) for kind in ("whole", "part") if kind in self.own),
            *(self._solver() if "part" in self.over else []),
            *([self._hold(), self._again()] if self.timer else []),
            self._fire(),
            self._step(),
        ]
        return HEADER.format(name=self.neuron.name) + "\n\n\n".join(functions)

    # --- what is to be done -----------------------------------------------------------------------

    def _taken(self, expression: Expression) -> Expression:
        return self.constants.taken(expression)

    def _with_timer(self, expression: Expression) -> Expression:
        return lowering.compared(expression, self.timer, RUNNING) if self.timer else expression

    def _course(self, is_running: bool) -> dict[str, Straight]:
        """A step: the parts that a solver takes, if there are some, and the rest."""
        statements = self.plan.update(is_running)
        if any(isinstance(s, Branch) and self._solves((*s.yes, *s.no)) for s in statements):
            raise self._refusal("equations that need a solver are integrated under a condition")
        solved = [s for s in statements if isinstance(s, Integrate) and not self._is_exact(s)]
        if not solved:
            rest = lowering.straightened(self.neuron, statements, advances=True)
            return {"rest": self._as_held(self._arrived(rest))}
        if len(solved) > 1:
            raise self._refusal("equations that need a solver are integrated twice in a step")
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
        temporaries = tuple((name, self._taken(value)) for name, value in run.temporaries)
        return Straight(temporaries, {n: self._taken(v) for n, v in run.results.items()})

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

    # --- functions --------------------------------------------------------------------------------

    def _constants(self, *runs: Straight, also: Iterable[Expression] = ()) -> list[str]:
        values = [v for run in runs for _, v in run.temporaries]
        values += [v for run in runs for v in run.results.values()] + list(also)
        return numbered(n for v in values for n in names(v) if n.startswith(CONSTANT))

    def _loop(self, kind: str, each: bool) -> str:
        """Neurons a step further, or a part of it, as if none were refractory."""
        run, conditions = self._body(kind, each)
        adds = kind == "rest" and self.plan.is_early and not each
        one = f"r_{self.plan.rows[0]}.dtype.type(1)"
        read = run.read | {n for c in conditions for n in names(c)}
        read |= {self.plan.inputs[0]} if adds else set()
        used = self._constants(run, also=conditions)
        body = ["i = U64(number)", *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read)]
        if each:
            body += [f"{name} = a_{name}[i]" for name in used]
            body += [
                f"m_{name} = drive[i] * drive.dtype.type(1e3)"
                for name in self.currents
                if name in read
            ]  # nA
        body += [f"{local(name)} = {code(value)}" for name, value in run.temporaries]
        for name in self.plan.rows:
            value = run.results.get(name)
            if adds and name == self.plan.inputs[0]:
                body += [
                    f"new = {code(Name(name) if value is None else value)}",
                    "if codes is not None:",
                    "    count = I32(codes[U64(number - begin)] >> U16(1))",
                    f"    new += weight * r_{name}.dtype.type(count)",
                    f"r_{name}[i] = new",
                ]
            elif value is not None:
                body.append(f"r_{name}[i] = {code(value)}")
        real = one.removesuffix("(1)")  # what is drawn is in double precision
        body += [f"below = common(below, signs({real}({sign(c, one)})))" for c in conditions]
        lines = [f"below = signs(-{one})"]
        lines += rows(used) if each else firsts(used)
        lines += ["for number in range(begin, end):", *("    " + line for line in body)]
        lines.append("return below >= 0")
        given = ["drive", "begin", "end", "c"] if each else ["begin", "end", "codes", "weight", "c"]
        name = f"{kind}_of_{'different' if each else 'equal'}"
        return (
            f"@compiled\ndef {name}({self.rows}{', '.join(given)}{self.draws}):\n{block(lines, 1)}"
        )

    def _body(self, kind: str, each: bool) -> tuple[Straight, list[Expression]]:
        """What a loop computes, and conditions that it looks at; equal neurons get no current."""
        run = self.over[kind]
        conditions = [replaced(c, run.results) for c in self._not_running()]
        if not each:
            absent = set(self.currents)
            run = Straight(tuple((n, _dropped(v, absent)) for n, v in run.temporaries), run.results)
        return run, conditions if kind == "rest" else []

    def _not_running(self) -> list[Expression]:
        """Conditions where the refractory time is over."""
        found = []
        for condition, _ in self.neuron.conditions:
            known = lowering.compared(condition, self.timer, False) if self.timer else condition
            found.append(self._taken(known))
        return found

    # --- solver -----------------------------------------------------------------------------------

    def _solver(self) -> list[str]:
        """Functions that advance variables which need a solver."""
        n = len(self._stages(self.over["whole"])[0])
        return [
            *([self._alone(each=False)] if n == 1 else map(self._stage, range(n))),
            self._alone(each=True),
            self._whole(),
            self._parts(),
            self._refine(),
            self._each_in_parts(),
        ]

    def _of_one(self, kind: str, is_running: bool) -> str:
        """A solver's step of one neuron, or a part of it: compiled once, inlined into loops."""
        run = (self.running if is_running else self.over)[kind]
        body = [f"{local(name)} = {code(value)}" for name, value in run.temporaries]
        results = ", ".join(code(run.results[name]) for name in self._results(run))
        return f"""@inlined
def {self._called(kind, is_running)}:
{block([*body, f"return ({results},)"], 1)}"""

    def _called(self, kind: str, is_running: bool = False) -> str:
        """Such a function, called with what it needs, under the same names."""
        run = (self.running if is_running else self.over)[kind]
        read = run.read
        given = [f"m_{n}" for n in (*self.plan.rows, *self.currents) if n in read]
        given += [*self._constants(run), *(["i" + self.draws] if self.draws else [])]
        which = "_refractory" if is_running and kind in self.own else ""
        return f"{kind}_of_one{which}({', '.join(given)})"

    def _results(self, run: Straight) -> list[str]:
        """What such a function returns."""
        return [n for n in (*self.plan.rows, ERROR) if n in run.results]

    def _stages(self, run: Straight) -> tuple[list[list[str]], list[str]]:
        """Temporaries by the loop that computes them, and those that outlive it.

        A processor has many operations under way, but not those that wait for each other: so each
        loop has a part of the longest way through them, and neurons that do not wait.
        """
        values = dict(run.temporaries)
        ready: dict[str, int] = {}  # operations until then
        first = set()
        for name, value in values.items():
            before = [ready[n] for n in names(value) if n in ready]
            ready[name] = max(before, default=0) + _length(value)
            if not before and not calls(value):
                first.add(name)
        last = max(ready.values(), default=0) // LONG
        stage: dict[str, int] = {}
        used: dict[str, int] = {n: last for v in run.results.values() for n in names(v)}
        for name in reversed(values):
            stage[name] = used[name] if name in first else ready[name] // LONG
            for n in names(values[name]):
                used[n] = min(used.get(n, last), stage[name])
        stages = [[n for n in values if stage[n] == k] for k in range(last + 1)]
        outlive = {
            n for name, value in values.items() for n in names(value) & stage.keys()
            if stage[n] < stage[name]
        }  # fmt: skip
        ends = {n for v in run.results.values() for n in names(v) & stage.keys() if stage[n] < last}
        if len(outlive | ends) > NUMBERS:
            return [[*values]], []
        return stages, [n for n in values if n in outlive | ends]

    def _stage(self, number: int) -> str:
        """One of the loops of a whole step of equal neurons."""
        run, _ = self._body("whole", each=False)
        stages, outlive = self._stages(run)
        is_last = number == len(stages) - 1
        values, own = dict(run.temporaries), stages[number]
        part = Straight(tuple((n, values[n]) for n in own), run.results if is_last else {})
        read = part.read
        at = {name: f"scratch[at + U64({k * CHUNK})]" for k, name in enumerate(outlive)}
        body = [f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read or n in part.results]
        body += [f"{local(n)} = {at[n]}" for n in outlive if n in read]
        body += [f"{local(name)} = {code(values[name])}" for name in own]
        body += [f"{at[n]} = {local(n)}" for n in own if n in at]
        results = {n: code(value) for n, value in part.results.items()}
        return self._judged(
            f"whole_{number}", "scratch", firsts(self._constants(part)), body, results
        )

    def _alone(self, each: bool) -> str:
        """A whole step in one loop."""
        run = self.over["whole"]
        used, read, results = self._constants(run), run.read, self._results(run)
        currents = [name for name in self.currents if name in read]
        body = [f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read or n in run.results]
        if each:
            lines = rows(used)
            body += [f"{name} = a_{name}[i]" for name in used]
            body += [f"m_{name} = drive[i] * drive.dtype.type(1e3)" for name in currents]  # nA
        else:
            lines = [*firsts(used), *(f"m_{name} = scratch.dtype.type(0)" for name in currents)]
        body.append(f"{''.join(f'n_{n}, ' for n in results)} = {self._called('whole')}")
        name, space = ("whole_of_different", "drive") if each else ("whole_0", "scratch")
        return self._judged(name, space, lines, body, {n: f"n_{n}" for n in results})

    def _judged(
        self, name: str, space: str, lines: list[str], body: list[str], results: Mapping[str, str]
    ) -> str:
        """A loop; its results, if it has some, are kept of neurons that a step is not rough for."""
        lines, body = [*lines], ["i, at = U64(number), U64(number - begin)", *body]
        if results:
            kind = f"r_{self.plan.rows[0]}.dtype.type"
            lines += [f"one, most = {kind}(1), {kind}({TOLERANCE})", "below = signs(-one)"]
            body += [
                f"rough = not ({results[ERROR]} < most)",
                "is_rough[at] = one if rough else -one",
                "below = common(below, signs(one if rough else -one))",
                *(
                    f"r_{n}[i] = m_{n} if rough else {results[n]}"
                    for n in self.plan.rows
                    if n in results
                ),
            ]
        lines += ["for number in range(begin, end):", *("    " + line for line in body)]
        lines += ["return below >= 0"] if results else []
        return f"""@compiled
def {name}({self.rows}{space}, begin, end, is_rough, c{self.draws}):
{block(lines, 1)}"""

    def _whole(self) -> str:
        """A whole step of equal neurons, chunk by chunk."""
        run, _ = self._body("whole", each=False)
        last = len(self._stages(run)[0]) - 1
        given = f"{self.rows}scratch, first, last, own, c{self.draws}"
        lines = [f"{'is_any |= ' * (k == last)}whole_{k}({given})" for k in range(last + 1)]
        return f"""@compiled
def whole_of_equal({self.rows}scratch, begin, end, is_rough, c{self.draws}):
    is_any = False
    for first in range(begin, end, {CHUNK}):
        last = min(first + {CHUNK}, end)
        own = is_rough[first - begin : last - begin]
{block(lines, 2)}
    return is_any"""

    def _parts(self) -> str:
        """Some equal neurons a step further in parts of it, side by side in scratch memory."""
        run = self.over["part"]
        read = run.read
        moved = [n for n in self.plan.rows if n in run.results or n in read]
        at = {n: f"scratch[at + U64({k * CHUNK})]" for k, n in enumerate(moved, 1)}
        used = self._constants(run)
        body = ["at = U64(k)", *(f"m_{n} = {at[n]}" for n in moved)]
        if self.draws:
            body.append("i = U64(scratch[at])")
        found = self._results(run)
        body.append(f"{''.join(f'{at[n]}, ' for n in found)} = {self._called('part')}")
        constants = firsts(used)
        constants += [f"m_{n} = scratch.dtype.type(0)" for n in self.currents if n in read]
        fill = [f"{at[n]} = r_{n}[i]" for n in moved]
        back = [f"r_{n}[i] = {at[n]}" for n in moved if n in run.results]
        return f"""@compiled
def parts_of_equal({self.rows}n, scratch, c{self.draws}):
{block(constants, 1)}
    full = (n + {WIDEST - 1}) // {WIDEST} * {WIDEST}
    for k in range(n, full):
        scratch[U64(k)] = scratch[U64(0)]
    for k in range(full):
        at = U64(k)
        i = U64(scratch[at])
{block(fill, 2)}
    for _ in range({PARTS}):
        for k in range(full):
{block(body, 3)}
    for k in range(n):
        at = U64(k)
        i = U64(scratch[at])
{block(back, 2)}"""

    def _refine(self) -> str:
        """Neurons that a whole step is too rough for, in parts of a step."""
        call = f"parts_of_equal({self.rows}n, scratch, c{self.draws})"
        return f"""@compiled
def refine({self.rows}drive, begin, end, is_rough, scratch, c, each{self.draws}):
    n = np.int64(0)
    for first in range(begin, end, PART):
        last = min(first + PART, end)
        some = I32(0)
        for number in range(first, last):
            some = I32(some + (I32(1) if is_rough[U64(number - begin)] > 0.0 else I32(0)))
        if some:
            for number in range(first, last):
                if is_rough[U64(number - begin)] > 0.0:
                    if each:
                        parts_of_one({self.rows}drive, number, c{self.draws})
                    else:
                        scratch[n] = number
                        n += 1
                        if n == {CHUNK}:
                            {call}
                            n = 0
    if n:
        {call}"""

    def _each_in_parts(self) -> str:
        """One neuron a step further in parts of it."""
        run = self.over["part"]
        needed = run.read
        read = [n for n in self.plan.rows if n in needed or n in run.results]
        lines = ["i = U64(number)", "p = i if c.shape[1] > 1 else U64(0)"]
        lines += [f"m_{n} = r_{n}[i]" for n in read]
        lines += [
            f"m_{name} = drive[i] * drive.dtype.type(1e3)"
            for name in self.currents
            if name in needed
        ]
        lines += [f"{name} = c[{name[1:]}, p]" for name in self._constants(run)]
        new = "".join(f"m_{n}, " for n in self._results(run))
        lines += [f"for _ in range({PARTS}):", f"    {new} = {self._called('part')}"]
        lines += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in run.results]
        return f"""@compiled
def parts_of_one({self.rows}drive, number, c{self.draws}):
{block(lines, 1)}"""

    def _hold(self) -> str:
        """Note refractory neurons, and some of their variables, and count down."""
        kept = "".join(f"r_{name}, " for name in self.kept)
        keep = [f"values[{k}, n] = r_{name}[i]" for k, name in enumerate(self.kept)]
        return f"""@compiled
def hold({kept}left, begin, end, numbers, values):
    n = np.int64(0)
    own = 8 // left.itemsize
    first = begin
    while first < end:
        last = first + 4 * own
        if last <= end:
            some = word(left, first) | word(left, first + own)
            some |= word(left, first + 2 * own) | word(left, first + 3 * own)
            if some == U64(0):
                first = last
                continue
        for number in range(first, min(last, end)):
            i = U64(number)
            if left[i]:
                left[i] = left.dtype.type(left[i] - left.dtype.type(1))
                numbers[n] = number
{block(keep, 4)}
                n += 1
        first = last
    return n"""

    def _again(self) -> str:
        """Refractory neurons a step further, from the variables that were kept."""
        course = self.running
        if "part" in course:
            runs = {k: course[k] for k in ("before", "whole", "part", "rest") if k in course}
        else:
            runs = {"rest": course["rest"].of(self.changed)}
        used = self._constants(*runs.values(), also=self.conditions)
        still = [n for n in self.changed if not any(n in run.results for run in runs.values())]
        lines = ["i = U64(numbers[k])", "p = i if c.shape[1] > 1 else U64(0)"]
        lines += [f"m_{name} = values[{k}, k]" for k, name in enumerate(self.kept)]
        read = {n for run in runs.values() for n in run.read}
        lines += [
            f"m_{name} = drive[i] * drive.dtype.type(1e3)" for name in self.currents if name in read
        ]
        lines += [f"{name} = c[{name[1:]}, p]" for name in used]
        for kind, run in runs.items():
            found = self._results(run)
            if kind == "part":
                new = "".join(f"m_{n}, " for n in found)
                lines += [
                    f"if not (n_{ERROR} < {TOLERANCE}):",
                    f"    for _ in range({PARTS}):",
                    f"        {new} = {self._called(kind, True)}",
                    "else:",
                    *(f"    m_{n} = n_{n}" for n in found),
                ]
            elif kind == "whole":
                new = "".join(f"n_{n}, " for n in found)
                lines.append(f"{new} = {self._called(kind, True)}")
            else:
                lines += [f"{local(name)} = {code(value)}" for name, value in run.temporaries]
                lines += [f"m_{name} = {code(value)}" for name, value in run.results.items()]
        lines += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in self.changed or n in still]
        watched = {n for c in self.conditions for n in names(c)}
        lines += [f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in watched]
        lines.append("running = left[i] != 0")
        lines += [f"reached |= {code(condition)}" for condition in self.conditions]
        return f"""@compiled
def again({self.rows}left, drive, c, numbers, values, n{self.draws}):
    reached = False
    for k in range(n):
{block(lines, 2)}
    return reached"""

    def _fire(self) -> str:
        """Carry out what follows where a condition holds."""
        blocks = [self._in_steps(statements) for _, statements in self.neuron.conditions]
        values = [
            self._taken(self._with_timer(value))
            for statements in blocks
            for value in lowering.values_of(statements)
        ]
        changed = {n for statements in blocks for n in lowering.assigned(statements)}
        watched = {n for c in self.conditions for n in names(c)}
        read = {n for v in values for n in names(v)} | watched | changed
        head = ["i = U64(number)", "p = i if each else U64(0)"]
        running = ["running = left[i] != 0"] if RUNNING.name in read else []
        holds = " | ".join(code(c) for c in self.conditions) or "False"
        count = [
            *head, *(f"{n} = c[{n[1:]}, p]" for n in self._constants(also=self.conditions)),
            *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in watched), *running,
            f"n = I32(n + (I32(1) if {holds} else I32(0)))",
        ]  # fmt: skip
        body = [
            *head,
            *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read), *running,
        ]  # fmt: skip
        carried: list[str] = []
        for condition, statements in zip(self.conditions, blocks, strict=True):
            carried += [f"if {code(condition)}:", *("    " + s for s in self._block(statements))]
        used = self._constants(also=[*self.conditions, *values])
        body += [f"{n} = c[{n[1:]}, p]" for n in used]
        body += ["fired = False", *carried]
        body += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in changed]
        body += ["if fired:", "    log[total] = i", "    total += 1"]
        return f"""@compiled
def fire({self.rows}left, c, begin, end, log, total{self.draws}):
    each = c.shape[1] > 1
    for first in range(begin, end, PART):
        last = min(first + PART, end)
        n = I32(0)
        for number in range(first, last):
{block(count, 3)}
        if n:
            for number in range(first, last):
{block(body, 4)}
    return total"""

    def _in_steps(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        """The same, but for the timer, which is given a number of steps."""

        def changed(statement: Statement) -> Statement:
            match statement:
                case Assign(name, value) if name == self.timer:
                    return Assign(name, _steps(value))
                case Branch(condition, yes, no):
                    return Branch(condition, self._in_steps(yes), self._in_steps(no))
            return statement

        return tuple(map(changed, statements))

    def _block(self, statements: Sequence[Statement]) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            match statement:
                case Assign(name, value):
                    new = code(self._taken(self._with_timer(value)))
                    if name == self.timer:
                        lines.append(f"{self.left} = left.dtype.type(max({new}, {self.zero}))")
                        lines.append(f"running = {self.left} != 0")
                    else:
                        lines.append(f"m_{name} = {new}")
                case Spike():
                    lines.append("fired = True")
                case Branch(condition, yes, no):
                    lines.append(f"if {code(self._taken(self._with_timer(condition)))}:")
                    lines += ["    " + line for line in self._block(yes)]
                    if no:
                        lines += ["else:", *("    " + line for line in self._block(no))]
                case Integrate():
                    raise self._refusal("equations are integrated in an onCondition block")
        return lines or ["pass"]

    def _step(self) -> str:
        lines = [
            f"arrivals = carray(p_arrivals, {max(len(self.plan.inputs) - 1, 0)} * n_local + size)",
            f"state = carray(p_state, {max(len(self.plan.others), 1)} * size)",
            "left, drive = carray(p_left, size), carray(p_drive, size)",
            "c = carray(p_constants, (n_constants, columns))",
            f"numbers, space = carray(p_numbers, {PIECE}), carray(p_values, ({SPACE}, {PIECE}))",
            f"values, is_rough = space[:{KEPT}], space[{KEPT}, : end - begin]",
            f"scratch = space[{KEPT + 1}:].reshape({KEPT * PIECE})",
            "log, codes = carray(p_log, total + size), carray(p_codes, n_codes)",
            "each = columns > 1 or size == 1",
        ]
        lines += [
            f"r_{n} = arrivals[{k} * n_local : {k} * n_local + size]"
            for k, n in enumerate(self.plan.inputs)
        ]
        lines += [
            f"r_{n} = state[{k} * size : {k + 1} * size]" for k, n in enumerate(self.plan.others)
        ]
        kept = "".join(f"r_{name}, " for name in self.kept)
        if self.timer:
            lines.append(f"n = hold({kept}left, begin, end, numbers, values)")
        if "before" in self.over:
            lines += [
                "if each:",
                f"    before_of_different({self.rows}drive, begin, end, c{self.draws})",
                "else:",
                f"    before_of_equal({self.rows}begin, end, None, None, c{self.draws})",
            ]
        if "whole" in self.over:
            where = "begin, end, is_rough"
            lines += [
                "if each:",
                f"    rough = whole_of_different({self.rows}drive, {where}, c{self.draws})",
                "else:",
                f"    rough = whole_of_equal({self.rows}scratch, {where}, c{self.draws})",
                "if rough:",
                f"    refine({self.rows}drive, {where}, scratch, c, each{self.draws})",
            ]
        first = self.plan.rows[0]
        lines += [
            "if each:",
            f"    reached = rest_of_different({self.rows}drive, begin, end, c{self.draws})",
            "elif n_codes:",
            f"    own = r_{first}.dtype.type(weight)",
            f"    reached = rest_of_equal({self.rows}begin, end, codes, own, c{self.draws})",
            "else:",
            f"    reached = rest_of_equal({self.rows}begin, end, None, None, c{self.draws})",
        ]
        if self.timer:
            lines.append(
                f"reached |= again({self.rows}left, drive, c, numbers, values, n{self.draws})"
            )
        lines += [
            "if reached:",
            f"    total = fire({self.rows}left, c, begin, end, log, total{self.draws})",
            "return total",
        ]
        return f"""def step(
    p_arrivals, n_local, p_state, size, p_left, p_drive, p_constants, n_constants, columns, begin,
    end, p_codes, n_codes, weight, p_numbers, p_values, p_log, total, index, now, key0, key1,
):
{block(lines, 1)}


def compiled_step(kind):
    \"\"\"The address of the step for some types of numbers.\"\"\"
    return cfunc(SIGNATURES[kind], cache=True, nopython=True, error_model="numpy")(step)
"""


def _steps(duration: Expression) -> Expression:
    """How many steps a time takes; what rounding adds to a multiple begins no other."""
    steps = Binary("/", duration, Name(STEP))
    return Call("ceil", (Binary("-", steps, Number(Fraction(1, 1_000_000))),))


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


def _length(value: Expression) -> int:
    """Operations that wait for each other, about."""
    own = {"min": 1, "max": 1, "abs": 1, NEAR_EXP2: 10}
    longest = max(map(_length, parts(value)), default=0)
    match value:
        case Call(function):
            return longest + own.get(function, 20)
        case Name() | Number():
            return 0
    return longest + 1

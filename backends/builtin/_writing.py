"""Writes the loop of a neuron model: Python that numba compiles to vector instructions.

What is written advances the neurons of a piece as `portable_cortex.neurons.form` says. Inputs are
added, after the step, to the variables that they move (`lowering.landings`); where a condition
looks at those, inputs are there as sums of weights before the step.

Names of a model have a letter and a line before them in what is written: ``m_v`` is the variable v,
``r_v`` its row of memory; ``t1`` and ``c1`` are temporaries and constants.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from portable_cortex.neurons import lowering
from portable_cortex.neurons.expressions import Expression, Name, names
from portable_cortex.neurons.form import Assign, Branch, Integrate, Spike, Statement, n_steps
from portable_cortex.neurons.lowering import ERROR, PARTS

from . import _solver_loops
from ._plan import Plan
from ._solver_loops import TOLERANCE
from ._text import RUNNING, block, code, firsts, local, rows, sign
from ._work import KEPT, Work

PIECE = 1024  # neurons that are advanced together
SPACE = 2 * KEPT + 1  # rows of pieces: those, what tells where a solver is rough, its numbers

HEADER = '''"""The neuron {name} for the built-in engine, written by portable-cortex."""

import math

import numpy as np
from numba import carray, cfunc

from portable_cortex.backends.builtin._functions import exp, near_exp2, nearest, normal, uniform
from portable_cortex.backends.builtin._generated import SIGNATURES
from portable_cortex.backends.builtin._llvm import common, compiled, inlined, signs, wide, word

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


class Writer(Work):
    """Writes one module."""

    left, zero = "left[i]", "0.0"  # steps of refractoriness of a neuron; 0

    def module(self) -> str:
        """The text."""
        functions = [
            *(
                self._loop(kind, each)
                for kind in self.over
                if kind in ("before", "rest")
                for each in (False, True)
            ),
            *_solver_loops.written(self),
            *([self._hold(), self._again()] if self.timer else []),
            self._fire(),
            self._step(),
        ]
        return HEADER.format(name=self.neuron.name) + "\n\n\n".join(functions)

    def _loop(self, kind: str, each: bool) -> str:
        """Neurons a step further, or a part of it, as if none were refractory."""
        run, conditions = self.body(kind, each)
        adds = kind == "rest" and self.plan.is_early and not each
        one = f"r_{self.plan.rows[0]}.dtype.type(1)"
        read = run.read | {n for c in conditions for n in names(c)}
        read |= {self.plan.inputs[0]} if adds else set()
        used = self.constants_of(run, also=conditions)
        body = ["i = U64(number)", *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read)]
        if each:
            body += [f"{name} = a_{name}[i]" for name in used]
            body += self._currents(read)
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
        lines = ["wide()", f"below = signs(-{one})"]
        lines += rows(used) if each else firsts(used)
        lines += ["for number in range(begin, end):", *("    " + line for line in body)]
        lines.append("return below >= 0")
        given = ["drive", "begin", "end", "c"] if each else ["begin", "end", "codes", "weight", "c"]
        name = f"{kind}_of_{'different' if each else 'equal'}"
        return (
            f"@compiled\ndef {name}({self.rows}{', '.join(given)}{self.draws}):\n{block(lines, 1)}"
        )

    def _currents(self, read: Set[str]) -> list[str]:
        """Currents among what is read; they come in nA."""
        return [
            f"m_{name} = drive[i] * drive.dtype.type(1e3)" for name in self.currents if name in read
        ]

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

    @property
    def _adds_again(self) -> bool:
        """Whether what `_loop` adds to the first input is lost where `_again` writes that."""
        return self.plan.is_early and self.plan.rows[0] in self.changed

    @property
    def _codes(self) -> str:
        return "begin, codes, n_codes, weight, " if self._adds_again else ""

    def _again(self) -> str:
        """Refractory neurons a step further, from the variables that were kept."""
        course = self.running
        if "part" in course:
            runs = {k: course[k] for k in ("before", "whole", "part", "rest") if k in course}
        else:
            runs = {"rest": course["rest"].of(self.changed)}
        used = self.constants_of(*runs.values(), also=self.conditions)
        still = [n for n in self.changed if not any(n in run.results for run in runs.values())]
        lines = ["i = U64(numbers[k])", "p = i if c.shape[1] > 1 else U64(0)"]
        lines += [f"m_{name} = values[{k}, k]" for k, name in enumerate(self.kept)]
        watched = {n for c in self.conditions for n in names(c)}
        lines += self._currents({n for run in runs.values() for n in run.read} | watched)
        lines += [f"{name} = c[{name[1:]}, p]" for name in used]
        for kind, run in runs.items():
            found = self.results(run)
            if kind == "part":
                new = "".join(f"m_{n}, " for n in found)
                lines += [
                    f"if not (n_{ERROR} < {TOLERANCE}):",
                    f"    for _ in range({PARTS}):",
                    f"        {new} = {self.called(kind, True)}",
                    "else:",
                    *(f"    m_{n} = n_{n}" for n in found),
                ]
            elif kind == "whole":
                new = "".join(f"n_{n}, " for n in found)
                lines.append(f"{new} = {self.called(kind, True)}")
            else:
                lines += [f"{local(name)} = {code(value)}" for name, value in run.temporaries]
                lines += [f"m_{name} = {code(value)}" for name, value in run.results.items()]
        lines += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in self.changed or n in still]
        first = self.plan.rows[0]
        if self._adds_again:
            lines += [
                "if n_codes:",
                "    count = I32(codes[U64(numbers[k] - begin)] >> U16(1))",
                f"    r_{first}[i] += r_{first}.dtype.type(weight) * r_{first}.dtype.type(count)",
            ]
        lines += [f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in watched]
        lines.append("running = left[i] != 0")
        lines += [f"reached |= {code(condition)}" for condition in self.conditions]
        return f"""@compiled
def again({self.rows}left, drive, {self._codes}c, numbers, values, n{self.draws}):
    reached = False
    for k in range(n):
{block(lines, 2)}
    return reached"""

    def _fire(self) -> str:
        """Carry out what follows where a condition holds."""
        blocks = [self._in_steps(statements) for _, statements in self.neuron.conditions]
        values = [
            self.taken(self.with_timer(value))
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
            *head, *(f"{n} = c[{n[1:]}, p]" for n in self.constants_of(also=self.conditions)),
            *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in watched), *running,
            *self._currents(watched),
            f"n = I32(n + (I32(1) if {holds} else I32(0)))",
        ]  # fmt: skip
        body = [
            *head,
            *(f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in read), *running,
            *self._currents(read),
        ]  # fmt: skip
        carried: list[str] = []
        for condition, statements in zip(self.conditions, blocks, strict=True):
            carried += [f"if {code(condition)}:", *("    " + s for s in self._block(statements))]
        used = self.constants_of(also=[*self.conditions, *values])
        body += [f"{n} = c[{n[1:]}, p]" for n in used]
        body += ["fired = False", *carried]
        body += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in changed]
        body += ["if fired:", "    log[total] = i", "    total += 1"]
        return f"""@compiled
def fire({self.rows}left, drive, c, begin, end, log, total{self.draws}):
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
                    return Assign(name, n_steps(value))
                case Branch(condition, yes, no):
                    return Branch(condition, self._in_steps(yes), self._in_steps(no))
            return statement

        return tuple(map(changed, statements))

    def _block(self, statements: Sequence[Statement]) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            match statement:
                case Assign(name, value):
                    new = code(self.taken(self.with_timer(value)))
                    if name == self.timer:
                        lines.append(f"{self.left} = left.dtype.type(max({new}, {self.zero}))")
                        lines.append(f"running = {self.left} != 0")
                    else:
                        lines.append(f"m_{name} = {new}")
                case Spike():
                    lines.append("fired = True")
                case Branch(condition, yes, no):
                    lines.append(f"if {code(self.taken(self.with_timer(condition)))}:")
                    lines += ["    " + line for line in self._block(yes)]
                    if no:
                        lines += ["else:", *("    " + line for line in self._block(no))]
                case Integrate():
                    raise self.refusal("equations are integrated in an onCondition block")
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
            given = f"{self.rows}left, drive, {self._codes}c, numbers, values, n{self.draws}"
            lines.append(f"reached |= again({given})")
        lines += [
            "if reached:",
            f"    total = fire({self.rows}left, drive, c, begin, end, log, total{self.draws})",
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

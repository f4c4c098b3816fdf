"""Writes the loop of a neuron model: Python that numba compiles to vector instructions.

What is written advances the neurons of a piece as `portable_cortex.neurons.form` says. Neurons that
are refractory are few: all are advanced as if none were, and these once more. Inputs are added,
after the step, to the variables that they move (`lowering.landings`); where a condition looks at
those, inputs are there as sums of weights before the step.

Names of a model have a letter and a line before them in what is written: ``m_v`` is the variable v,
``r_v`` its row of memory; ``t1`` and ``c1`` are temporaries and constants.
"""

from __future__ import annotations

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
    names,
    replaced,
)
from portable_cortex.neurons.form import (
    STEP,
    Assign,
    Branch,
    Integrate,
    Neuron,
    Spike,
    Statement,
)
from portable_cortex.neurons.lowering import CONSTANT, ERROR, PARTS, TEMPORARY, Straight

PIECE = 1024  # neurons that are advanced together
KEPT = 16  # variables that are kept, at most: of refractory neurons, and of all before a solver
SPACE = 2 * KEPT + 1  # rows for those, and for errors of the solver
TOLERANCE = 1e-3  # of `ERROR`; above it a neuron is advanced again, in parts of a step
RUNNING = Name("__running")  # whether the refractory time is
VECTORS = {"exp"}  # functions of `_functions`

HEADER = '''"""The neuron {name} for the built-in engine, written by portable-cortex."""

import math

import numpy as np
from numba import carray, cfunc

from portable_cortex.backends.builtin._functions import exp, normal, uniform
from portable_cortex.backends.builtin._generated import SIGNATURES
from portable_cortex.backends.builtin._llvm import common, compiled, signs, word

U16, U64, I32 = np.uint16, np.uint64, np.int32
PART = 64  # neurons that are searched together


'''


@dataclass(frozen=True)
class Plan:
    """How a model is held in memory and advanced.

    Attributes
    ----------
    neuron : Neuron
        With the variables that inputs are added to in the unit of weights.
    inputs : tuple of str
        For each port the variable that its inputs are added to, or the port itself.
    others : tuple of str
        The other variables, without a timer that is counted in steps.
    factors : dict of str to Expression
        A variable of the model is that in memory times this, if it is named here.
    is_early : bool
        Whether inputs are added after the step.
    refractoriness : Refractoriness or None
    """

    neuron: Neuron
    inputs: tuple[str, ...]
    others: tuple[str, ...]
    factors: Mapping[str, Expression]
    is_early: bool
    refractoriness: lowering.Refractoriness | None

    @property
    def rows(self) -> tuple[str, ...]:
        """All rows of memory, those of inputs first."""
        return (*self.inputs, *self.others)

    def update(self, is_running: bool) -> tuple[Statement, ...]:
        """What a step does, while the refractory time is running or not, until the conditions."""
        r = self.refractoriness
        statements = self.neuron.update if r is None else r.running if is_running else r.over
        if self.is_early:
            return statements
        received = tuple(
            Branch(Binary("!=", Name(port), ZERO), received, ())
            for port, received in self.neuron.receive
        )
        return (*statements, *received)


def plan(neuron: Neuron) -> Plan:
    """Decide how a model is held in memory."""
    neuron = lowering.numbered(neuron)
    landings = lowering.landings(neuron)
    factors: dict[str, Expression] = {}
    inputs = tuple(port.name for port in neuron.ports)
    if landings is not None:
        factors = dict(landings.values())
        inputs = tuple(landings[port][0] for port in inputs)
        neuron = lowering.rescaled(neuron, factors)
    refractoriness = lowering.refractoriness(neuron)
    timer = refractoriness.timer if refractoriness else None
    others = [q.name for q in neuron.state if q.name not in (*inputs, timer)]
    if not neuron.is_exact:  # what statements note before a solver is needed behind it
        own = lowering.assigned(neuron.update)
        others += sorted(own - {*inputs, *others} - {timer})
    return Plan(neuron, inputs, tuple(others), factors, landings is not None, refractoriness)


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
    writer = _Writer(plan)
    return Written(writer.module(), tuple(writer.constants.values))


# --- expressions ----------------------------------------------------------------------------------


def code(expression: Expression) -> str:
    """An expression in the Python that numba takes; both sides of conditions are computed."""
    match expression:
        case Number(value):
            return repr(float(value))
        case Name(name):
            return _local(name)
        case Call("random_uniform" | "random_normal" as function, (first, second, Number(number))):
            draw = f"{function[7:]}(index + i, now, {int(number)}, key0, key1)"
            return f"({code(first)} + {code(second)} * {draw})"
        case Call("max" | "min" | "abs" | "exp" as function, arguments):
            return f"{function}({', '.join(map(code, arguments))})"
        case Call(function, arguments):
            return f"math.{function}({', '.join(map(code, arguments))})"
        case Unary("-", operand):
            return f"(-{code(operand)})"
        case Unary(_, operand):
            return f"(not {code(operand)})"
        case Binary("and" | "or" as operator, left, right):
            return f"({code(left)} {'&' if operator == 'and' else '|'} {code(right)})"
        case Binary("**", left, Number(value)) if float(value).is_integer() and 1 < value < 5:
            return "(" + " * ".join([code(left)] * int(value)) + ")"
        case Binary(operator, left, right):
            return f"({code(left)} {operator} {code(right)})"
        case Choice(condition, yes, no):
            return f"({code(yes)} if {code(condition)} else {code(no)})"


def _local(name: str) -> str:
    if name.startswith((TEMPORARY, CONSTANT)) or name == RUNNING.name:
        return name[2:]
    return f"m_{name}"


def _lines(lines: Iterable[str], depth: int) -> str:
    return "\n".join("    " * depth + line for line in lines)


def _numbered(found: Iterable[str]) -> list[str]:
    """Constants in the order of their numbers, as they are written."""
    return [f"c{k}" for k in sorted({int(n[len(CONSTANT) :]) for n in found})]


# --- functions ------------------------------------------------------------------------------------


class _Writer:
    """Writes one module."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.neuron = plan, plan.neuron
        self.constants = lowering.Constants(lowering.constant_names(plan.neuron))
        self.currents = [q.name for q in plan.neuron.currents]
        self.draws = ", index, now, key0, key1" if lowering.is_random(self.neuron) else ""
        self.timer = plan.refractoriness.timer if plan.refractoriness else None
        self.rows = "".join(f"r_{name}, " for name in plan.rows)
        self.over, self.running = self._course(False), self._course(True)
        self.conditions = [
            self._taken(self._with_timer(condition)) for condition, _ in self.neuron.conditions
        ]
        self.changed, self.kept = self._held()

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
                if kind != "part"
                for each in (False, True)
            ),
            *([self._refine()] if "part" in self.over else []),
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
            "whole": self._as_held(lowering.part(self.neuron, solved[0].variables, 1, True)),
            "part": self._as_held(lowering.part(self.neuron, solved[0].variables)),
            "rest": self._as_held(self._arrived(rest)),
        }

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
        return _numbered(n for v in values for n in names(v) if n.startswith(CONSTANT))

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
            body += [f"m_{name} = drive[i] * 1e3" for name in self.currents if name in read]  # nA
        body += [f"{_local(name)} = {code(value)}" for name, value in run.temporaries]
        if kind == "whole":
            before = [n for n in self.plan.rows if n in run.results]
            body += [f"old[{k}, U64(number - begin)] = m_{n}" for k, n in enumerate(before)]
            error = code(run.results[ERROR])
            body += [
                f"rough = {one} if not ({error} < {TOLERANCE}) else -{one}",
                f"old[{KEPT}, U64(number - begin)] = rough",
                "below = common(below, signs(rough))",
            ]
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
        body += [f"below = common(below, signs({_sign(c, one)}))" for c in conditions]
        lines = [f"below = signs(-{one})"]
        lines += [f"a_{name} = c[{name[1:]}]" for name in used] if each else []
        lines += ["for number in range(begin, end):", *("    " + line for line in body)]
        lines.append("return below >= 0")
        extra = ["old"] if kind == "whole" else [] if each else ["codes", "weight"]
        drive, constants = (["drive"], ["c"]) if each else ([], used)
        rest = [*drive, "begin", "end", *extra, *constants]
        name = f"{kind}_of_{'different' if each else 'equal'}"
        return (
            f"@compiled\ndef {name}({self.rows}{', '.join(rest)}{self.draws}):\n{_lines(lines, 1)}"
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

    def _refine(self) -> str:
        """Neurons that a whole step is too rough for, in parts of a step."""
        run = self.over["part"]
        before = [n for n in self.plan.rows if n in self.over["whole"].results]
        others = [n for n in self.plan.rows if n in run.read and n not in before]
        lines = ["i = U64(number)", "p = i if c.shape[1] > 1 else U64(0)"]
        lines += [f"m_{n} = old[{k}, U64(number - begin)]" for k, n in enumerate(before)]
        lines += [f"m_{n} = r_{n}[i]" for n in others]
        lines += [f"m_{name} = drive[i] * 1e3" for name in self.currents if name in run.read]
        lines += [f"{name} = c[{name[1:]}, p]" for name in self._constants(run)]
        body = [f"{_local(name)} = {code(value)}" for name, value in run.temporaries]
        body += [f"m_{name} = {code(value)}" for name, value in run.results.items()]
        lines += [f"for _ in range({PARTS}):", *("    " + line for line in body)]
        lines += [f"r_{n}[i] = m_{n}" for n in before]
        return f"""@compiled
def refine({self.rows}drive, begin, end, old, c{self.draws}):
    for first in range(begin, end, PART):
        last = min(first + PART, end)
        n = I32(0)
        for number in range(first, last):
            n = I32(n + (I32(1) if old[{KEPT}, U64(number - begin)] > 0.0 else I32(0)))
        if n:
            for number in range(first, last):
                if old[{KEPT}, U64(number - begin)] > 0.0:
{_lines(lines, 5)}"""

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
{_lines(keep, 4)}
                n += 1
        first = last
    return n"""

    def _again(self) -> str:
        """Refractory neurons a step further, from the variables that were kept."""
        course = self.running
        if "part" in course:
            runs = {kind: course[kind] for kind in ("before", "part", "rest") if kind in course}
        else:
            runs = {"rest": course["rest"].of(self.changed)}
        used = self._constants(*runs.values(), also=self.conditions)
        still = [n for n in self.changed if not any(n in run.results for run in runs.values())]
        lines = ["i = U64(numbers[k])", "p = i if c.shape[1] > 1 else U64(0)"]
        lines += [f"m_{name} = values[{k}, k]" for k, name in enumerate(self.kept)]
        read = {n for run in runs.values() for n in run.read}
        lines += [f"m_{name} = drive[i] * 1e3" for name in self.currents if name in read]
        lines += [f"{name} = c[{name[1:]}, p]" for name in used]
        for kind, run in runs.items():
            body = [f"{_local(name)} = {code(value)}" for name, value in run.temporaries]
            body += [f"m_{name} = {code(value)}" for name, value in run.results.items()]
            if kind == "part":
                lines += [f"for _ in range({PARTS}):", *("    " + line for line in body)]
            else:
                lines += body
        lines += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in self.changed or n in still]
        watched = {n for c in self.conditions for n in names(c)}
        lines += [f"m_{n} = r_{n}[i]" for n in self.plan.rows if n in watched]
        lines.append("running = left[i] != 0")
        lines += [f"reached |= {code(condition)}" for condition in self.conditions]
        return f"""@compiled
def again({self.rows}left, drive, c, numbers, values, n{self.draws}):
    reached = False
    for k in range(n):
{_lines(lines, 2)}
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
        block: list[str] = []
        for condition, statements in zip(self.conditions, blocks, strict=True):
            block += [f"if {code(condition)}:", *("    " + s for s in self._block(statements))]
        used = self._constants(also=[*self.conditions, *values])
        body += [f"{n} = c[{n[1:]}, p]" for n in used]
        body += ["fired = False", *block]
        body += [f"r_{n}[i] = m_{n}" for n in self.plan.rows if n in changed]
        body += ["if fired:", "    log[total] = i", "    total += 1"]
        return f"""@compiled
def fire({self.rows}left, c, begin, end, log, total{self.draws}):
    each = c.shape[1] > 1
    for first in range(begin, end, PART):
        last = min(first + PART, end)
        n = I32(0)
        for number in range(first, last):
{_lines(count, 3)}
        if n:
            for number in range(first, last):
{_lines(body, 4)}
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
                        lines.append(f"left[i] = left.dtype.type(max({new}, 0.0))")
                        lines.append("running = left[i] != 0")
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
            f"values, old = space[:{KEPT}], space[{KEPT}:]",
            "log, codes = carray(p_log, total + size), carray(p_codes, n_codes)",
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
        equal = {}
        for kind in (k for k in self.over if k != "part"):
            run, conditions = self._body(kind, each=False)
            used = self._constants(run, also=conditions)
            equal[kind] = "".join(f", c[{name[1:]}, 0]" for name in used) + self.draws
        if "before" in self.over:
            lines += [
                "if columns > 1 or size == 1:",
                f"    before_of_different({self.rows}drive, begin, end, c{self.draws})",
                "else:",
                f"    before_of_equal({self.rows}begin, end, None, None{equal['before']})",
            ]
        if "whole" in self.over:
            lines += [
                "if columns > 1 or size == 1:",
                f"    rough = whole_of_different({self.rows}drive, begin, end, old, c{self.draws})",
                "else:",
                f"    rough = whole_of_equal({self.rows}begin, end, old{equal['whole']})",
                "if rough:",
                f"    refine({self.rows}drive, begin, end, old, c{self.draws})",
            ]
        first = self.plan.rows[0]
        lines += [
            "if columns > 1 or size == 1:",
            f"    reached = rest_of_different({self.rows}drive, begin, end, c{self.draws})",
            "elif n_codes:",
            f"    own = r_{first}.dtype.type(weight)",
            f"    reached = rest_of_equal({self.rows}begin, end, codes, own{equal['rest']})",
            "else:",
            f"    reached = rest_of_equal({self.rows}begin, end, None, None{equal['rest']})",
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
{_lines(lines, 1)}


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


def _sign(condition: Expression, one: str) -> str:
    """A number that is negative where a condition does not hold."""
    match condition:
        case Binary(">=" | ">", left, right):
            return f"{code(left)} - {code(right)}"
        case Binary("<=" | "<", left, right):
            return f"{code(right)} - {code(left)}"
    return f"{one} if {code(condition)} else -{one}"

"""Writes the functions that advance variables whose equations need a solver.

Equal neurons are advanced in several loops, each with a part of the longest way through a step;
those that a whole step is too rough for are advanced once more, in parts of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from portable_cortex.neurons.expressions import Call, Expression, Name, Number, calls, names, parts
from portable_cortex.neurons.lowering import ERROR, PARTS, Straight

from ._text import block, code, firsts, local, rows
from ._work import NEAR_EXP2, Work

STEPS = ("whole", "part")  # parts of a `Work` that are a solver's
CHUNK = 256  # neurons whose numbers stay in the nearest cache while a solver advances them
NUMBERS = 16  # of a neuron that go from one loop of a solver to the next, at most: 32 kB
WIDEST = 16  # neurons in a vector, at most
LONG = 18  # operations that wait for each other in a loop of a solver, about
TOLERANCE = 1e-3  # of `ERROR`; above it a neuron is advanced again, in parts of a step


def written(work: Work) -> list[str]:
    """Functions that advance variables which need a solver, if there are some."""
    functions = [_of_one(work, kind, False) for kind in STEPS if kind in work.over]
    functions += [_of_one(work, kind, True) for kind in STEPS if kind in work.own]
    if "part" not in work.over:
        return functions
    n = len(_stages(work.over["whole"])[0])
    return [
        *functions,
        *([_alone(work, each=False)] if n == 1 else (_stage(work, k) for k in range(n))),
        _alone(work, each=True),
        _whole(work),
        _parts(work),
        _refine(work),
        _each_in_parts(work),
    ]


def _of_one(work: Work, kind: str, is_running: bool) -> str:
    """A solver's step of one neuron, or a part of it: compiled once, inlined into loops."""
    run = (work.running if is_running else work.over)[kind]
    body = [f"{local(name)} = {code(value)}" for name, value in run.temporaries]
    results = ", ".join(code(run.results[name]) for name in work.results(run))
    return f"""@inlined
def {work.called(kind, is_running)}:
{block([*body, f"return ({results},)"], 1)}"""


def _stages(run: Straight) -> tuple[list[list[str]], list[str]]:
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


def _stage(work: Work, number: int) -> str:
    """One of the loops of a whole step of equal neurons."""
    run, _ = work.body("whole", each=False)
    stages, outlive = _stages(run)
    is_last = number == len(stages) - 1
    values, own = dict(run.temporaries), stages[number]
    part = Straight(tuple((n, values[n]) for n in own), run.results if is_last else {})
    read = part.read
    at = {name: f"scratch[at + U64({k * CHUNK})]" for k, name in enumerate(outlive)}
    body = [f"m_{n} = r_{n}[i]" for n in work.plan.rows if n in read or n in part.results]
    body += [f"{local(n)} = {at[n]}" for n in outlive if n in read]
    body += [f"{local(name)} = {code(values[name])}" for name in own]
    body += [f"{at[n]} = {local(n)}" for n in own if n in at]
    results = {n: code(value) for n, value in part.results.items()}
    return _judged(
        work, f"whole_{number}", "scratch", firsts(work.constants_of(part)), body, results
    )


def _alone(work: Work, each: bool) -> str:
    """A whole step in one loop."""
    run = work.over["whole"]
    used, read, results = work.constants_of(run), run.read, work.results(run)
    currents = [name for name in work.currents if name in read]
    body = [f"m_{n} = r_{n}[i]" for n in work.plan.rows if n in read or n in run.results]
    if each:
        lines = rows(used)
        body += [f"{name} = a_{name}[i]" for name in used]
        body += [f"m_{name} = drive[i] * drive.dtype.type(1e3)" for name in currents]  # nA
    else:
        lines = [*firsts(used), *(f"m_{name} = scratch.dtype.type(0)" for name in currents)]
    body.append(f"{''.join(f'n_{n}, ' for n in results)} = {work.called('whole')}")
    name, space = ("whole_of_different", "drive") if each else ("whole_0", "scratch")
    return _judged(work, name, space, lines, body, {n: f"n_{n}" for n in results})


def _judged(
    work: Work, name: str, space: str, lines: list[str], body: list[str], results: Mapping[str, str]
) -> str:
    """A loop; its results, if it has some, are kept of neurons that a step is not rough for."""
    lines, body = [*lines], ["i, at = U64(number), U64(number - begin)", *body]
    if results:
        kind = f"r_{work.plan.rows[0]}.dtype.type"
        lines += [f"one, most = {kind}(1), {kind}({TOLERANCE})", "below = signs(-one)"]
        body += [
            f"rough = not ({results[ERROR]} < most)",
            "is_rough[at] = one if rough else -one",
            "below = common(below, signs(one if rough else -one))",
            *(
                f"r_{n}[i] = m_{n} if rough else {results[n]}"
                for n in work.plan.rows
                if n in results
            ),
        ]
    lines += ["for number in range(begin, end):", *("    " + line for line in body)]
    lines = ["wide()", *lines, *(["return below >= 0"] if results else [])]
    return f"""@compiled
def {name}({work.rows}{space}, begin, end, is_rough, c{work.draws}):
{block(lines, 1)}"""


def _whole(work: Work) -> str:
    """A whole step of equal neurons, chunk by chunk."""
    run, _ = work.body("whole", each=False)
    last = len(_stages(run)[0]) - 1
    given = f"{work.rows}scratch, first, last, own, c{work.draws}"
    lines = [f"{'is_any |= ' * (k == last)}whole_{k}({given})" for k in range(last + 1)]
    return f"""@compiled
def whole_of_equal({work.rows}scratch, begin, end, is_rough, c{work.draws}):
    is_any = False
    for first in range(begin, end, {CHUNK}):
        last = min(first + {CHUNK}, end)
        own = is_rough[first - begin : last - begin]
{block(lines, 2)}
    return is_any"""


def _parts(work: Work) -> str:
    """Some equal neurons a step further in parts of it, side by side in scratch memory."""
    run = work.over["part"]
    read = run.read
    moved = [n for n in work.plan.rows if n in run.results or n in read]
    at = {n: f"scratch[at + U64({k * CHUNK})]" for k, n in enumerate(moved, 1)}
    used = work.constants_of(run)
    body = ["at = U64(k)", *(f"m_{n} = {at[n]}" for n in moved)]
    if work.draws:
        body.append("i = U64(scratch[at])")
    found = work.results(run)
    body.append(f"{''.join(f'{at[n]}, ' for n in found)} = {work.called('part')}")
    constants = ["wide()", *firsts(used)]
    constants += [f"m_{n} = scratch.dtype.type(0)" for n in work.currents if n in read]
    fill = [f"{at[n]} = r_{n}[i]" for n in moved]
    back = [f"r_{n}[i] = {at[n]}" for n in moved if n in run.results]
    return f"""@compiled
def parts_of_equal({work.rows}n, scratch, c{work.draws}):
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


def _refine(work: Work) -> str:
    """Neurons that a whole step is too rough for, in parts of a step."""
    call = f"parts_of_equal({work.rows}n, scratch, c{work.draws})"
    return f"""@compiled
def refine({work.rows}drive, begin, end, is_rough, scratch, c, each{work.draws}):
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
                        parts_of_one({work.rows}drive, number, c{work.draws})
                    else:
                        scratch[n] = number
                        n += 1
                        if n == {CHUNK}:
                            {call}
                            n = 0
    if n:
        {call}"""


def _each_in_parts(work: Work) -> str:
    """One neuron a step further in parts of it."""
    run = work.over["part"]
    needed = run.read
    read = [n for n in work.plan.rows if n in needed or n in run.results]
    lines = ["i = U64(number)", "p = i if c.shape[1] > 1 else U64(0)"]
    lines += [f"m_{n} = r_{n}[i]" for n in read]
    lines += [
        f"m_{name} = drive[i] * drive.dtype.type(1e3)" for name in work.currents if name in needed
    ]
    lines += [f"{name} = c[{name[1:]}, p]" for name in work.constants_of(run)]
    new = "".join(f"m_{n}, " for n in work.results(run))
    lines += [f"for _ in range({PARTS}):", f"    {new} = {work.called('part')}"]
    lines += [f"r_{n}[i] = m_{n}" for n in work.plan.rows if n in run.results]
    return f"""@compiled
def parts_of_one({work.rows}drive, number, c{work.draws}):
{block(lines, 1)}"""


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

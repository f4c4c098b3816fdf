"""Differences between two outcomes of a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from .interpreter import ImpossibleError, Interpreter, NotDrawnError, UnclearError
from .program import Create, Get, Outcome, Program

# What a backend says that it cannot do, by words of its refusal, with the row of the semantics:
# there, and only there, it may refuse what the interpreter runs.
EXACT = ("IF_curr_exp", "SpikeSourceArray", "SpikeSourcePoisson")
# mV, what v may be off in other cells, relative to their distance from 0; on neuron, of what its
# method, implicit Euler, gives
SOLVER = {"builtin": 1e-3, "nest": 1e-3, "neuron": 1e-6, "brian2": 1e-3}
CANNOT: dict[str, dict[str, str]] = {
    "builtin": {},
    "nest": {
        "a SpikeSourceArray that is told at": "spike-at-zero",
        "delays that are set after a run": "delays-between-runs",
    },
    "neuron": {},
    "brian2": {"fires at most once a step": "spikes-in-one-step"},
}


def difference(backend: str, program: Program, outcome: Outcome, exact: float = 1e-9) -> str | None:
    """What is wrong about a backend's outcome; None if nothing is.

    Raises
    ------
    UnclearError
        Where the rules have no answer.
    """
    simple = all(s.cell in EXACT for s in program if isinstance(s, Create))
    exact = exact if simple else SOLVER[backend]
    interpreter = Interpreter(program, outcome.draws, 5 * SOLVER[backend], backend == "neuron")
    try:
        expected = interpreter.outcome()
    except ImpossibleError as wrong:
        return f"statement {interpreter.number}: {wrong}"
    except NotDrawnError:
        expected = Outcome()
    if outcome.fault:
        return f"statement {outcome.fault[0]}: no refusal but {outcome.fault[1]}"
    if outcome.refused:
        text = outcome.refused[1]
        if expected.refused is None and not any(words in text for words in CANNOT[backend]):
            return f"statement {outcome.refused[0]}: refused: {text}"
    elif expected.refused:
        number, why = expected.refused
        return f"statement {number}: not refused: {why}"
    return compare(program, expected.outputs, outcome.outputs, exact)


def compare(program: Program, expected: Any, outputs: Any, exact: float) -> str | None:
    """The first output that differs."""
    for number in sorted(set(expected) & set(outputs)):
        tolerance = 1e-6 if isinstance(program[number], Get) else exact
        text = unequal(expected[number], outputs[number], tolerance)
        if text:
            return f"statement {number}: {text}"
    return None


def unequal(want: Any, have: Any, exact: float, where: str = "") -> str | None:
    """Where two outputs differ, if they do."""
    if isinstance(want, dict):
        if set(want) != set(have):
            return f"{where}: {sorted(want)} expected, got {sorted(have)}"
        pairs = [(f"{where}.{key}", want[key], have[key]) for key in want]
    elif isinstance(want, np.ndarray):
        return _arrays(want, np.asarray(have), exact, where)
    elif isinstance(want, list | tuple):
        if len(want) != len(have):
            return f"{where}: {want} expected, got {have}"
        pairs = [(f"{where}[{k}]", a, b) for k, (a, b) in enumerate(zip(want, have, strict=True))]
    elif isinstance(want, float):
        # weights and delays: some backends keep 32 bits
        same = want == have or abs(want - have) <= 1e-6 * max(abs(want), 1e-3)
        return None if same else f"{where}: {want} expected, got {have}"
    else:
        return None if want == have else f"{where}: {want} expected, got {have}"
    return next((text for w, a, b in pairs if (text := unequal(a, b, exact, w))), None)


def _arrays(want: Any, have: Any, exact: float, where: str) -> str | None:
    if want.shape != have.shape:
        return f"{where}: shape {want.shape} expected, got {have.shape}"
    if not np.array_equal(np.isnan(want), np.isnan(have)):
        return (
            f"{where}: not-a-number in other places: {want.tolist()} expected, got {have.tolist()}"
        )
    off = np.abs(want - have) > exact * np.maximum(np.abs(want), 1)
    if off.any():
        first = tuple(int(k[0]) for k in np.nonzero(off))
        return f"{where}{list(first)}: {want[first]} expected, got {have[first]}"
    return None


__all__ = ["CANNOT", "UnclearError", "difference"]

"""Differences between two outcomes of a program."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from portable_cortex.registry import load_backend

from .interpreter import ImpossibleError, Interpreter, NotDrawnError, UnclearError
from .program import Create, Data, Get, Outcome, Program, Run, Setup

EXACT = ("IF_curr_exp", "SpikeSourceArray", "SpikeSourcePoisson")
# mV, what v may be off in other cells, relative to their distance from 0
SOLVER = 1e-3
# Where some spikes on their way take a weight that is set
WITH_NEW_WEIGHTS = ("nest",)
# Where numbers of other threads are other random numbers
BY_THREAD = ("nest",)


def check(worker: Any, program: Program) -> str | None:
    """What is wrong about a program's outcome on the backend of a worker; None if nothing is.

    A program with Poisson sources is run twice: it must give the same again, on other threads too.

    Raises
    ------
    UnclearError
        Where floating-point numbers decide.
    """
    outcome = worker.run(program)
    text = difference(worker.backend, program, outcome)
    is_random = any(isinstance(s, Create) and s.cell == "SpikeSourcePoisson" for s in program)
    if text is None and is_random and not outcome.refused:
        again = worker.run(program if worker.backend in BY_THREAD else on_other_threads(program))
        text = unequal(outcome.outputs, again.outputs, 0.0, "run again")
    return text


def on_other_threads(program: Program) -> Program:
    """The same with one thread where there were two, and the other way round."""
    return tuple(replace(s, threads=3 - s.threads) if isinstance(s, Setup) else s for s in program)


def trains_of(program: Program, outputs: dict[int, Any]) -> dict[str, Any]:
    """Spike times of Poisson populations by segment and cell, as they are in the last data."""
    trains: dict[str, Any] = {}
    names: set[str] = set()  # in the present network
    for number, statement in enumerate(program):
        if isinstance(statement, Setup):
            names = set()
        elif isinstance(statement, Create) and statement.cell == "SpikeSourcePoisson":
            names.add(statement.name)
        elif number not in outputs:
            continue
        elif isinstance(statement, Run):
            trains = {name: train for name, train in trains.items() if name not in names}
        elif (
            isinstance(statement, Data)
            and statement.cells in names
            and statement.variables == "all"
            and any(segment["spikes"] for segment in outputs[number]["segments"])
        ):
            trains[statement.cells] = [
                {index: train["times"] for index, train in segment["spikes"].items()}
                for segment in outputs[number]["segments"]
            ]
    return trains


def is_reasoned(text: str, backend: str) -> bool:
    """Whether a refusal gives a reason that the backend has written in its `cannot`."""
    if text.startswith("RecordingError") and "isyn_" in text:
        return True  # currents of synapses: more than PyNN's cell types have
    return any(reason in text for reason in load_backend(backend).cannot.values())


def difference(backend: str, program: Program, outcome: Outcome, exact: float = 1e-9) -> str | None:
    """What is wrong about a backend's outcome; None if nothing is.

    Raises
    ------
    UnclearError
        Where the rules have no answer.
    """
    simple = all(s.cell in EXACT for s in program if isinstance(s, Create))
    exact = exact if simple else SOLVER
    trains = trains_of(program, outcome.outputs)
    interpreter = Interpreter(
        program,
        outcome.draws,
        trains,
        5 * SOLVER,
        keeps=backend not in WITH_NEW_WEIGHTS,
        repeats=backend == "nest",
    )
    try:
        expected = interpreter.outcome()
    except ImpossibleError as wrong:
        return f"statement {interpreter.number}: {wrong}"
    except NotDrawnError:
        expected = Outcome(interpreter.outputs)
    if outcome.fault:
        return f"statement {outcome.fault[0]}: no refusal but {outcome.fault[1]}"
    if outcome.refused:
        text = outcome.refused[1]
        if expected.refused is None and not is_reasoned(text, backend):
            return f"statement {outcome.refused[0]}: refused: {text}"
    elif expected.refused:
        number, why = expected.refused
        return f"statement {number}: not refused: {why}"
    outputs = outcome.outputs, expected.outputs
    if backend == "neuron":
        # NEURON samples conductances before what arrives in the step, and alpha functions in the
        # middle of it
        outputs = tuple(without_conductances(part) for part in outputs)
    have, want = outputs
    return compare(program, want, have, exact)


def without_conductances(output: Any) -> Any:
    """An output without the samples of conductances."""
    if isinstance(output, dict):
        kept = {k: v for k, v in output.items() if "gsyn" not in str(k)}
        return {key: without_conductances(value) for key, value in kept.items()}
    return [without_conductances(part) for part in output] if isinstance(output, list) else output


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
        # weights and delays: some backends keep 32 bits; what is not known is not a number
        same = math.isnan(want) or want == have or abs(want - have) <= 1e-6 * max(abs(want), 1e-3)
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
    least = 0.01 if "syn_" in where else 1  # nA, uS, mV
    off = np.abs(want - have) > exact * np.maximum(np.abs(want), least)
    if off.any():
        first = tuple(int(k[0]) for k in np.nonzero(off))
        return f"{where}{list(first)}: {want[first]} expected, got {have[first]}"
    return None


__all__ = ["UnclearError", "check", "difference"]

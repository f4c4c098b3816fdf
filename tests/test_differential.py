"""Programs that are drawn mean the same on every backend, and what docs/semantics.md says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import missing
from differential.compare import UnclearError, check
from differential.draw import programs
from differential.kept import KEPT
from differential.program import Program
from differential.worker import Worker
from hypothesis import HealthCheck, given, settings

BACKENDS = ("builtin", "nest", "neuron", "brian2")

# Brian2 generates code for every network, which takes a second.
FEWER = {"brian2": 10}


@pytest.fixture(scope="module", params=BACKENDS)
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    if reason := missing(request.param):
        pytest.skip(reason)
    worker = Worker(request.param)
    yield worker
    worker.stop()


@pytest.mark.parametrize("name", KEPT)
def test_kept(worker: Worker, name: str) -> None:
    assert check(worker, KEPT[name]) is None


def compare(worker: Worker, program: Program) -> None:
    try:
        text = check(worker, program)
    except UnclearError:
        return
    assert text is None, text


CHECKS = {
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


def test_drawn(worker: Worker) -> None:
    @settings(max_examples=200 // FEWER.get(worker.backend, 1), derandomize=True, **CHECKS)
    @given(programs())
    def every(program: Program) -> None:
        compare(worker, program)

    every()


@pytest.mark.slow
def test_many(worker: Worker) -> None:
    @settings(max_examples=3000 // FEWER.get(worker.backend, 1), **CHECKS)
    @given(programs())
    def every(program: Program) -> None:
        compare(worker, program)

    every()

"""A pytest plugin: one contract suite runs on every backend through its fixtures.

A ``conftest.py`` may override the fixture `obstacle`, for what a backend needs on this computer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from portable_cortex import Backend, backend_names, load_backend
from portable_cortex.errors import BackendUnavailableError, PortableCortexError
from portable_cortex.machine import load_machine

pytest.register_assert_rewrite("portable_cortex.testing.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--backend NAME``, ``--option NAME=VALUE``."""
    parser.addoption(
        "--backend", action="append", default=[], help="run the contract suite on this backend only"
    )
    parser.addoption(
        "--option", action="append", default=[], help="NAME=VALUE, an option of that backend"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker ``needs``."""
    config.addinivalue_line(
        "markers",
        "needs(*what): contract tests that some backends cannot pass, see their `cannot`",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each backend in turn."""
    if "backend_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or _registered()
        metafunc.parametrize("backend_name", names, scope="session")


@functools.cache
def _registered() -> tuple[str, ...]:
    return backend_names()


def missing(name: str) -> str | None:
    """What has to be installed for the tests of a backend, if anything."""
    try:
        availability = load_backend(name).availability()
    except PortableCortexError as error:
        return str(error)
    if not availability.available:
        return f"{name} is not installed here: {availability.install}"
    return None


@pytest.fixture
def obstacle(backend_name: str) -> str | None:
    """Why the tests of a backend cannot run on this computer, if they cannot."""
    return missing(backend_name)


@pytest.fixture
def backend(backend_name: str, obstacle: str | None, request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn; skips, with the reason, what it cannot do."""
    if obstacle:
        pytest.skip(obstacle)
    backend = load_backend(backend_name)
    for marker in request.node.iter_markers("needs"):
        for what in marker.args:
            if reason := backend.cannot.get(what):
                pytest.skip(reason)
    return backend


@pytest.fixture
def sim(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The backend's namespace, set up with a step of 0.1 ms."""
    own = dict(text.split("=", 1) for text in request.config.getoption("--option"))
    try:
        namespace = backend.simulator(load_machine("single-thread").options_for(backend, own))
    except BackendUnavailableError as error:  # of the target, e.g. no board
        pytest.skip(str(error))
    backend.setup(namespace, timestep=0.1, seed=7)
    yield namespace
    backend.end(namespace)

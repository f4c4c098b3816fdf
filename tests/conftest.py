"""Options, and the `backend` fixture through which one contract suite runs on every backend."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from portable_cortex.backends.spinnaker.board import native
from portable_cortex.cli import commands as cli
from portable_cortex.errors import BackendUnavailableError

# Threads that wait for each other by spinning starve each other on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads always do

# How long anything takes says nothing on a busy machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["portable_cortex.testing.plugin"]

CHECKOUT = Path(__file__).resolve().parent.parent

# Backends whose contract tests take minutes, with the reason.
SLOW = {"spinnaker": "it maps, loads and reads out an emulated board in each test"}


# Backends that compile C++
COMPILED = ("brian2", "neuron")
COMPILER = all(map(shutil.which, (os.environ.get("CXX", "g++").split()[0], "make")))
NO_COMPILER = None if COMPILER else "needs a C++ compiler and make: apt-get install g++ make"


# Files that are begun first: long ones, so that workers end at the same time;
# of the first two one compiles the builtin engine and the other does not need it.
FIRST = (
    "test_contract", "test_sweep", "test_semantics", "test_differential", "test_docs",
    "test_brian2", "test_spinnaker_board_scripts", "test_portal", "test_spinnaker", "test_mistakes",
)  # fmt: skip

FROZEN = pytest.StashKey[int]()  # number of modules that garbage collection leaves out


def no_board() -> str | None:
    """Why there is no emulated SpiNNaker board, if there is none."""
    try:
        native.library()
    except BackendUnavailableError as error:
        return str(error)
    return None


def missing(name: str) -> str | None:
    """What has to be installed for the tests of a backend, if anything."""
    from portable_cortex.testing import plugin  # pytest loads it first

    if reason := plugin.missing(name):
        return reason
    if name in COMPILED:
        return NO_COMPILER
    return no_board() if name == "spinnaker" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run tests that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    for name in os.environ.get("REQUIRED_BACKENDS", "").split():
        if reason := missing(name):
            raise pytest.UsageError(f"REQUIRED_BACKENDS names {name}, which cannot run: {reason}")
    config.addinivalue_line("markers", "compiler: needs a C++ compiler and make")
    config.addinivalue_line("markers", "board: needs an emulated SpiNNaker board")
    # one figure, one progress bar width, whatever the terminal
    os.environ.setdefault("COLUMNS", "120")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(FIRST)))
    reasons = {"compiler": NO_COMPILER, "board": no_board()}
    if not config.getoption("--slow"):
        reasons["slow"] = "takes minutes: run with --slow"
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Brian2 collects garbage in every run: what was imported is left out."""
    stash, modules = item.config.stash, len(sys.modules)
    if modules > stash.get(FROZEN, 0) + 100:
        gc.collect()
        gc.freeze()
        stash[FROZEN] = modules


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The source tree, for tests of what is not in the wheel."""
    return CHECKOUT


@pytest.fixture
def obstacle(backend_name: str, request: pytest.FixtureRequest) -> str | None:
    """Why the tests of a backend cannot run here, or not without being asked for."""
    asked = request.config.getoption("--slow") or request.config.getoption("--backend")
    if backend_name in SLOW and not asked:
        return f"{SLOW[backend_name]}: run with --slow or --backend {backend_name}"
    return missing(backend_name)


@pytest.fixture(scope="session")
def mock_reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference of twelve seeds of the mock backend, 1 and 2 s, as a file."""
    from recordings import as_simulated

    from portable_cortex.validation.activity import measure
    from portable_cortex.validation.verdict import Reference, conditions

    runs = [
        as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=seed) for seed in range(11, 23)
    ]
    about = {
        "conditions": conditions(runs[0].metadata),
        "warmup_ms": 0.0,
        "made": "by the tests",
    }
    activities = {d: [measure(recording, d) for recording in runs] for d in (1000.0, 2000.0)}
    path = tmp_path_factory.mktemp("reference") / "mock.h5"
    Reference.of("mock-0.02", about, activities).save(path)
    return path


@pytest.fixture(scope="session")
def mock_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the mock backend that agrees with `mock_reference`."""
    from recordings import as_simulated

    recording = as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=3)
    return recording.save(tmp_path_factory.mktemp("runs") / "honest")


# of runs, benchmarks and sweeps
PROGRESS = r"^([a-z][^\n]* \.\.\.|\d+ runs?(, \d+ of them[^\n]*)?|\S+-seed=\d+: [^\n]*)\n"


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; gives status, stdout, and stderr without progress."""
    monkeypatch.chdir(tmp_path)
    # main() shows warnings in its own way: not so after the test
    monkeypatch.setattr("warnings.showwarning", lambda *args, **kwargs: None)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["portable-cortex", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as stopped:
            status = stopped.code or 0
        out, err = capsys.readouterr()
        return status, out, re.sub(PROGRESS, "", err, flags=re.MULTILINE)

    return call

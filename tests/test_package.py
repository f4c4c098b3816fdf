"""What importing costs, who may import whom, and what is installed."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import portable_cortex
import portable_cortex.backends
import portable_cortex.hardware_configs
import portable_cortex.validation
from portable_cortex import backend_names

CORE = Path(portable_cortex.__file__).parent
BACKENDS = Path(portable_cortex.backends.__file__).parent
MACHINES = Path(portable_cortex.hardware_configs.__file__).parent
NAMES = sorted(p.name for p in BACKENDS.iterdir() if (p / "__init__.py").exists())
# where the backends lie inside the core's folder they are not the core
OTHERS = ("backends", "hardware_configs", "portal", "validation")
CORE_FILES = sorted(p for p in CORE.rglob("*.py") if p.relative_to(CORE).parts[0] not in OTHERS)
BACKEND_FILES = sorted(BACKENDS.rglob("*.py"))
VALIDATION = Path(portable_cortex.validation.__file__).parent
VALIDATION_FILES = sorted(VALIDATION.rglob("*.py"))
SIMULATORS = ("nest", "brian2", "neuron", "spynnaker", "pyNN.nest", "pyNN.neuron", "pyNN.brian2")


def imports(path):
    """(level, module) of every import statement of a file, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.append((node.level, module))
            # `from package import module`
            found += [(node.level, f"{module}.{a.name}".lstrip(".")) for a in node.names]
    return found


def test_importing_imports_no_simulator():
    modules = [
        "portable_cortex",
        *(
            ".".join(("portable_cortex", *p.relative_to(CORE).with_suffix("").parts))
            for p in CORE_FILES
            if p.stem != "__init__"
        ),
        *(f"portable_cortex.backends.{name}" for name in NAMES),
    ]
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "import portable_cortex\n"
        "for name in portable_cortex.backend_names():\n"
        "    portable_cortex.load_backend(name).availability()\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    loaded = json.loads(done.stdout)  # also: importing prints nothing
    assert set(modules) <= set(loaded)
    assert [m for m in loaded if m in SIMULATORS] == []
    assert done.stderr == ""


def test_the_rules_below_see_all_files():
    assert {"mock", "nest"} <= set(NAMES) <= set(backend_names())
    assert {"experiment.py", "pd14.py", "commands.py"} <= {p.name for p in CORE_FILES}
    assert {"_namespace.py", "board.py"} <= {p.name for p in BACKEND_FILES}


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_siblings_relatively_and_no_backend(path):
    for level, module in imports(path):
        parts = module.split(".")
        assert level or parts[0] != "portable_cortex", f"{module} by its full name"
        depth = len(path.relative_to(CORE).parts)
        assert level <= depth, f"{module} from above the package"
        assert not (level and "backends" in parts), f"{module} is a backend"
        assert level or parts[0] not in SIMULATORS, f"{module} is a simulator"
        assert module not in SIMULATORS


@pytest.mark.parametrize("path", BACKEND_FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_backends_import_the_core_and_themselves_only(path):
    for level, module in imports(path):
        parts = module.split(".")
        # their own files relatively, never those of a neighbour or of the core
        assert level <= 1, f"{module} from above the backend"
        assert parts[:2] != ["portable_cortex", "backends"], f"{module} by its full name"
        if level == 0:
            others = set(NAMES) - {path.relative_to(BACKENDS).parts[0]}
            assert parts[0] not in ("backends", *others), module


def test_typing_marker_and_machine_files_are_installed():
    assert (CORE / "py.typed").is_file()
    assert {"local.toml", "single-thread.toml"} <= {p.name for p in MACHINES.glob("*.toml")}


def test_one_wheel_serves_every_python():
    about = importlib.metadata.distribution("portable-cortex").read_text("WHEEL")
    if about is None:
        pytest.skip("run from a checkout, which is no wheel: make test runs from outside")
    assert "Tag: py3-none-linux" in about
    libraries = [path.name for path in BACKENDS.rglob("*.so")]
    assert libraries in (["_native.so"], [])  # none: there was no C compiler


def test_public_names_exist():
    assert portable_cortex.__version__[0].isdigit()
    for name in portable_cortex.__all__:
        assert hasattr(portable_cortex, name)


@pytest.mark.parametrize("path", VALIDATION_FILES, ids=lambda p: str(p.relative_to(VALIDATION)))
def test_validation_imports_the_core_and_itself_only(path):
    depth = len(path.relative_to(VALIDATION).parts)
    for level, module in imports(path):
        parts = module.split(".")
        assert level <= depth, f"{module} from above the package"
        assert parts[:2] not in (["portable_cortex", "backends"], ["portable_cortex", "validation"])
        assert level or parts[0] not in SIMULATORS, f"{module} is a simulator"


ROOMS = sorted(p.parent.name for p in VALIDATION.glob("*/__init__.py"))


def test_rooms_of_the_validation_use_of_each_other_what_is_listed():
    """And a room that another stands on does not use it in turn."""
    used = {room: set() for room in ROOMS}
    for path in VALIDATION.glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                room = importlib.import_module(f"portable_cortex.validation.{node.module}")
                assert node.module in ROOMS, f"{path}: from ..{node.module}"
                assert {alias.name for alias in node.names} <= set(room.__all__), path
                used[path.parent.name].add(node.module)
    assert tuple(graphlib.TopologicalSorter(used).static_order())[-1] == "pages"


@pytest.mark.parametrize("name", ["neuron", "elsewhere"])
def test_a_backend_that_is_required_and_not_there_is_a_failure(checkout, tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", checkout / "pyproject.toml", "--co", "-q",
         "-p", "no:cacheprovider", checkout / "tests" / "test_registry.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "REQUIRED_BACKENDS": f"mock {name}", "CXX": "no-such-compiler"},
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"REQUIRED_BACKENDS names {name}, which cannot run: " in done.stderr


def test_what_must_pass_has_one_entry(checkout):
    assert ".ci/run $(PYTHON)" in (checkout / "Makefile").read_text()
    assert "run: .ci/run python" in (checkout / ".github/workflows/tests.yml").read_text()

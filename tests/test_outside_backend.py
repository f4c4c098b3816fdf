"""A backend of another distribution, and the contract suite that it takes from the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MOST_LINES = 300  # what a newcomer has to write
# Tests that run whole models, which NumPy does slowly: with --slow.
LONG = "same_seed or signals_are_recorded or other_models_run or microcircuit_runs"


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the distribution is installed."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for file in (checkout / "tests" / "numpy_backend").rglob("*"):
        if file.suffix in (".py", ".toml"):
            copy = source / file.relative_to(checkout / "tests" / "numpy_backend")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    target = ["--no-build-isolation", "--target", str(folder), str(source)]
    subprocess.run([*pip, *target], check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "100"}


def test_it_is_a_backend_like_the_others(installed):
    code = "import portable_cortex; print(portable_cortex.backend_names()[-1])"
    said = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True
    )
    assert said.stdout.strip() == "numpy", said.stderr


@pytest.mark.parametrize(
    "which", [f"not ({LONG})", pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_it_passes_the_contract_suite(installed, tmp_path, which):
    suite = ["-p", "portable_cortex.testing.plugin", "--pyargs", "portable_cortex.testing.contract"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--backend",
            "numpy",
            "--rootdir",
            str(tmp_path),
            *suite,
        ],
        env=installed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > (3 if which == LONG else 60)
    assert "skipped" not in done.stdout  # it has no reason to


def test_it_is_short(checkout):
    files = (checkout / "tests" / "numpy_backend").rglob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) < MOST_LINES

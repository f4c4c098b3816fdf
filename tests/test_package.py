"""What importing costs, what is installed, and names that have moved."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import portable_cortex
import portable_cortex.backends
import portable_cortex.hardware_configs
from portable_cortex._moved import MOVED

CORE = Path(portable_cortex.__file__).parent
BACKENDS = Path(portable_cortex.backends.__file__).parent
MACHINES = Path(portable_cortex.hardware_configs.__file__).parent
NAMES = sorted(p.name for p in BACKENDS.iterdir() if (p / "__init__.py").exists())
# where the backends lie inside the core's folder they are not the core
OTHERS = ("backends", "hardware_configs", "portal", "validation")
CORE_FILES = sorted(p for p in CORE.rglob("*.py") if p.relative_to(CORE).parts[0] not in OTHERS)
SIMULATORS = ("nest", "brian2", "neuron", "spynnaker", "pyNN.nest", "pyNN.neuron", "pyNN.brian2")


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


def test_typing_marker_and_machine_files_are_installed():
    assert (CORE / "py.typed").is_file()
    assert {"local.toml", "single-thread.toml"} <= {p.name for p in MACHINES.glob("*.toml")}


def test_one_wheel_serves_every_python():
    about = importlib.metadata.distribution("portable-cortex").read_text("WHEEL")
    if about is None:
        pytest.skip("run from a checkout, which is no wheel: make test runs from outside")
    assert re.search(r"^Tag: py3-none-(linux|manylinux|macosx)", about, flags=re.MULTILINE)
    libraries = [path.name for path in BACKENDS.rglob("*.so")]
    assert libraries in (["_native.so"], [])  # none: there was no C compiler


@pytest.mark.parametrize("old", MOVED)
def test_old_names_of_modules_work_and_say_the_new_ones(old, monkeypatch):
    monkeypatch.delitem(sys.modules, f"portable_cortex.{old}", raising=False)
    new = f"portable_cortex.{MOVED[old]}"
    with pytest.warns(DeprecationWarning, match=rf"^portable_cortex.{old} is now {new}: import"):
        module = importlib.import_module(f"portable_cortex.{old}")
    assert module is importlib.import_module(new)
    assert module.__name__ == module.__spec__.name == new


def test_old_names_work_in_every_way_of_importing():
    code = (
        "import portable_cortex, portable_cortex.sonata\n"
        "from portable_cortex import model, parallel\n"
        "from portable_cortex.sonata import Spikes\n"
        "from portable_cortex.backends.spinnaker_board.heap import Heap\n"
        "import portable_cortex.backends.spinnaker.board.heap as heap\n"
        "assert portable_cortex.sonata.Spikes is Spikes is portable_cortex.Spikes\n"
        "assert model.build and parallel.rank() == 0\n"
        "assert heap.Heap is Heap\n"
        "assert portable_cortex.model_loader.ModelWarning is portable_cortex.ModelWarning\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning:__main__", "-c", code],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "<string>:1: DeprecationWarning: portable_cortex.sonata is now" in done.stderr
    assert done.stderr.count("portable_cortex.sonata is now") == 1


def test_public_names_exist():
    assert portable_cortex.__version__[0].isdigit()
    for name in portable_cortex.__all__:
        assert hasattr(portable_cortex, name)


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


def test_one_version_is_named_everywhere(checkout):
    """That of the newest section of the changelog; the citation has fields of its format's 1.2."""
    changes = (checkout / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+) - (unreleased|\d{4}-\d\d-\d\d)$", changes, flags=re.MULTILINE)
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["setuptools_scm"]["fallback_version"] == f"{newest[1]}.dev0"
    cited = yaml.safe_load((checkout / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == newest[1]
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert all({"type", "title", "authors"} <= set(one) for one in cited["references"])
    recipe = yaml.safe_load((checkout / "recipe" / "recipe.yaml").read_text("utf-8"))
    assert recipe["context"]["version"] == newest[1]


def test_the_conda_recipe_asks_for_what_the_package_does(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
    recipe = yaml.safe_load((checkout / "recipe" / "recipe.yaml").read_text("utf-8"))
    other = {"neo": "python-neo", "matplotlib": "matplotlib-base"}
    wanted = {
        re.sub(r"^\w+", lambda name: other.get(name[0], name[0]), text)
        for text in project["dependencies"]
    }
    assert {text.replace(" ", "") for text in recipe["requirements"]["run"]} == {"python", *wanted}


def test_actions_are_pinned(checkout):
    """A tag can be moved, a commit not."""
    files = [*(checkout / ".github" / "workflows").glob("*.yml"), checkout / "action.yml"]
    used = [line for f in files for line in f.read_text("utf-8").splitlines() if "uses: " in line]
    assert len(used) > 10
    for line in used:
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40}  # v[\d.]+$", line), line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "\n", "not committed"),
        (lambda text: "## Unreleased\n" + text, "not '## Unreleased'"),
        (lambda text: "## 9.9.9 - 2026-11-28\n" + text, "CITATION.cff has another version"),
    ],
)
def test_a_release_is_refused_with_the_reason(checkout, tmp_path, change, said):
    if shutil.which("git") is None:
        pytest.skip("needs git: apt-get install git")
    for name in (".ci/release", "CHANGELOG.md", "CITATION.cff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(checkout / name, tmp_path / name)
    log, committed = tmp_path / "CHANGELOG.md", "not committed" not in said
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    text = log.read_text("utf-8")
    if committed:
        log.write_text(change(text), "utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    if not committed:
        log.write_text(change(text), "utf-8")
    done = subprocess.run([tmp_path / ".ci" / "release"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("make release: ")
    assert said in done.stderr


def test_templates_of_issues_can_be_read(checkout):
    templates = sorted((checkout / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert templates
    for path in templates:
        content = yaml.safe_load(path.read_text("utf-8"))
        assert content["name"]
        assert all(part["attributes"]["label"] for part in content["body"])

"""Whatever the documentation shows, works."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import portable_cortex
from portable_cortex.support import table

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
SCRIPTS = Path(sys.executable).parent


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)


def needs(text: str) -> list[pytest.MarkDecorator]:
    """What an example needs beside Python."""
    compiler = re.search(r"backend[=\s\"(]+(brian2|neuron)\b", text)
    board = re.search(r"emulated|EmulatedBoard|spinnaker\.board", text)
    return [pytest.mark.compiler] * bool(compiler) + [pytest.mark.board] * bool(board)


EXAMPLES = [
    pytest.param(code, marks=needs(code), id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(blocks(page, "python"))
]
COMMANDS = [
    pytest.param(line, marks=needs(line), id=f"{page.name}-{line[:40]}")
    for page in PAGES
    for block in blocks(page, "console")
    for line in block.splitlines()
    if line.startswith("portable-cortex")
]
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(portable_cortex.__path__, "portable_cortex.")
    # these need their simulators, and are not public
    if not re.search(r"\.backends\.(brian2|nest|neuron|spinnaker(\.board)?)\._", info.name)
)


@pytest.mark.parametrize("code", EXAMPLES)
def test_python_examples(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line, tmp_path):
    command, *arguments = shlex.split(line)
    done = subprocess.run(
        [SCRIPTS / command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] != "run":
        assert done.stdout
        return
    folder = tmp_path / arguments[arguments.index("--out") + 1]
    assert {p.name for p in folder.iterdir()} >= {"spikes.h5", "run.json", "activity.png"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in MODULES])
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_is_something_to_test():
    assert len(EXAMPLES) >= 5
    assert len(COMMANDS) >= 3
    assert len(MODULES) >= 19


@pytest.mark.parametrize("backend", ["nest", "mock"])
def test_example_script(backend, tmp_path):
    script = CHECKOUT / "examples" / "own_script.py"
    done = subprocess.run(
        [sys.executable, script, backend], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("spikes/s") == 2


def test_make_targets_that_are_named_exist():
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    for page in (*PAGES, CHECKOUT / "CONTRIBUTING.md"):
        for target in re.findall(r"^make (\w+)", page.read_text("utf-8"), flags=re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


def test_links_lead_somewhere():
    for page in (*PAGES, CHECKOUT / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_support_table_is_that_of_the_backends():
    """Made anew by ``python -m portable_cortex.support``."""
    assert table() in (CHECKOUT / "docs" / "backends.md").read_text("utf-8")


def test_the_workflow_for_a_model_of_ones_own(tmp_path):
    """The commands of docs/ci.md, with fewer seeds, and the engine for NEST."""
    page = CHECKOUT / "docs" / "ci.md"
    (tmp_path / "balanced.py").write_text(blocks(page, "python")[0], "utf-8")
    text = "".join(blocks(page, "sh") + blocks(page, "yaml")).replace("\\\n", " ")
    commands = re.findall(r"portable-cortex (?:sweep|reference|run|validate) .*", text)
    assert len(commands) == 4
    summary = tmp_path / "summary.md"
    for command in commands:
        command = command.replace("--backend nest --seeds 1-10", "--backend builtin --seeds 1-5")
        command = command.replace("$GITHUB_STEP_SUMMARY", str(summary))
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [SCRIPTS / name, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "agrees" in summary.read_text("utf-8").splitlines()[0]
    made = {"results/page.html", "results/junit.xml", "balanced.h5"}
    assert all((tmp_path / name).stat().st_size > 500 for name in made)
    changed = (tmp_path / "balanced.py").read_text("utf-8").replace("g=6.0", "g=5.0")
    (tmp_path / "balanced.py").write_text(changed, "utf-8")
    run, validate = (shlex.split(c.replace("results/run", "results/other")) for c in commands[2:])
    for (name, *arguments), status in ((run, 0), (validate[:5], 1)):
        done = subprocess.run([SCRIPTS / name, *arguments], cwd=tmp_path, capture_output=True)
        assert done.returncode == status

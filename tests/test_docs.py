"""Whatever the documentation shows, works."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


def test_errors_that_troubleshooting_names_are_said_somewhere():
    texts = []
    for folder in ("portable_cortex", "backends", "validation", "portal"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            # a sentence may be written in several pieces, and names stand for what differs
            text = re.sub(r"\"\s*\n\s*f?\"", "", path.read_text("utf-8"))
            texts.append(re.sub(r"\{[^{}]*\}", "…", text))
    source = "\n".join(texts)
    source = source.replace("'…'", "…").replace("there is no … in it", "there is no run.json in it")
    named = 0
    page = (CHECKOUT / "docs" / "troubleshooting.md").read_text("utf-8")
    for heading in re.findall(r"^### (.*)$", page, flags=re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", heading) if heading.startswith("`") else ():
            for piece in filter(None, (p.strip(" '") for p in message.split("…"))):
                assert piece in source, message
                named += 1
    assert named > 25


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


@pytest.fixture(scope="module")
def own_model(tmp_path_factory):
    """The model of docs/ci.md and its reference, with fewer seeds, and the engine for NEST."""
    page, folder = CHECKOUT / "docs" / "ci.md", tmp_path_factory.mktemp("own_model")
    (folder / "balanced.py").write_text(blocks(page, "python")[0], "utf-8")
    for command in blocks(page, "sh")[0].splitlines():
        command = command.replace("--backend nest --seeds 1-10", "--backend builtin --seeds 1-5")
        execute(command, folder)
    return folder


def execute(command, folder, status=0):
    name, *arguments = shlex.split(command)
    done = subprocess.run(
        [SCRIPTS / name, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stdout + done.stderr


def test_the_workflow_for_a_model_of_ones_own(own_model, tmp_path):
    """The commands of docs/ci.md."""
    shutil.copytree(own_model, tmp_path, dirs_exist_ok=True)
    text = blocks(CHECKOUT / "docs" / "ci.md", "yaml")[0].replace("\\\n", " ")
    run, validate = re.findall(r"portable-cortex (?:run|validate) .*", text)
    summary = tmp_path / "summary.md"
    for command in (run, validate):
        execute(command.replace("$GITHUB_STEP_SUMMARY", str(summary)), tmp_path)
    assert "agrees" in summary.read_text("utf-8").splitlines()[0]
    made = {"results/page.html", "results/junit.xml", "balanced.h5"}
    assert all((tmp_path / name).stat().st_size > 500 for name in made)
    changed = (tmp_path / "balanced.py").read_text("utf-8").replace("g=6.0", "g=5.0")
    (tmp_path / "balanced.py").write_text(changed, "utf-8")
    execute(run.replace("results/run", "results/other"), tmp_path)
    execute("portable-cortex validate results/other --against balanced.h5", tmp_path, status=1)


def test_the_action_for_models_of_others(own_model, tmp_path):
    """The shell steps of action.yml as docs/ci.md calls it, in a clean folder."""
    action = yaml.safe_load((CHECKOUT / "action.yml").read_text("utf-8"))
    workflow = yaml.safe_load(blocks(CHECKOUT / "docs" / "ci.md", "yaml")[1])
    given = workflow["jobs"]["compare"]["steps"][-1]["with"]
    assert set(given) <= set(action["inputs"])
    assert all(name in given for name, entry in action["inputs"].items() if entry.get("required"))
    given = {**given, "backends": "builtin, nest", "params": "g=6.0\n"}  # neuron compiles C++
    inputs = {
        name: given.get(name, entry.get("default")) for name, entry in action["inputs"].items()
    }
    folder, tools = tmp_path / "clean", tmp_path / "tools"
    shutil.copytree(own_model, folder, ignore=shutil.ignore_patterns("results"))
    tools.mkdir()
    (tools / "pip").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tools}/arguments\n', "utf-8")
    (tools / "pip").chmod(0o755)
    place = {
        "PATH": f"{tools}:{SCRIPTS}:{os.environ['PATH']}",
        "GITHUB_ACTION_PATH": str(CHECKOUT),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }

    def filled(text):
        return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)

    steps = [step for step in action["runs"]["steps"] if "run" in step]
    assert [step["shell"] for step in steps] == ["bash", "bash"]
    for step in steps:
        assert "${{" not in step["run"]  # what others write is never part of a script
        env = {**os.environ, **place, **{k: filled(v) for k, v in step["env"].items()}}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder, env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tools / "arguments").read_text().split()[-1] == f"{CHECKOUT}[builtin,nest]"
    assert (tmp_path / "summary.md").read_text("utf-8").startswith("### All 2 agree")
    kept = filled(action["runs"]["steps"][-1]["with"]["path"]).split()
    assert len(kept) == 3
    assert all((folder / name).stat().st_size > 500 for name in kept)

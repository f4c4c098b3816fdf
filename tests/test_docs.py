"""Whatever the documentation shows, works."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import missing

import portable_cortex
from portable_cortex.support import table

CHECKOUT = Path(__file__).resolve().parent.parent
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]
SCRIPTS = Path(sys.executable).parent
SHELL = ("sh", "console")
PARSERS = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}
PROSE = ("text", "{eval-rst}")
SLOW = [pytest.mark.slow, pytest.mark.timeout(3100)]
NAMES = ("not-run", "slow", "file", "status")
"""What may follow the language of a block, with text in quotes: why it is not run, or only with
``--slow``; the file that it is; the exit status with which it ends."""


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    notes: dict[str, str]
    code: str
    has_other_notes: bool

    def __str__(self):
        return f"{self.page.name}-{self.line}"

    @property
    def parameter(self):
        """The block for a test, with what it needs."""
        marks = [*needs(self.code), *(SLOW if "slow" in self.notes else [])]
        return pytest.param(self, marks=marks, id=str(self))


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page; of some languages only, if any are named."""
    text = page.read_text("utf-8")
    fences = re.finditer(r"^( *)```(\S*)([^\n]*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    found = []
    for fence in fences:
        notes = dict(re.findall(r'([\w-]+)="([^"]+)"', fence[3]))
        rest = re.sub(r'[\w-]+="[^"]+"', "", fence[3]).strip()
        code = textwrap.dedent(fence[4])
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[2], notes, code, bool(rest)))
    return [block for block in found if not languages or block.language in languages]


def needs(text: str) -> list[pytest.MarkDecorator]:
    """What an example needs beside Python."""
    compiler = re.search(r"backend[=\s\"(]+(brian2|neuron)\b", text)
    board = re.search(r"emulated|EmulatedBoard|spinnaker\.board|--backend spinnaker", text)
    return [pytest.mark.compiler] * bool(compiler) + [pytest.mark.board] * bool(board)


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [b for b in BLOCKS if b.language in ("python", *SHELL) and "not-run" not in b.notes]
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(portable_cortex.__path__, "portable_cortex.")
    # these need their simulators, and are not public
    if not re.search(r"\.backends\.(brian2|nest|neuron|spinnaker(\.board)?)\._", info.name)
)


def test_every_block_says_what_it_is():
    """What a block without a known language is, nobody can tell; nor why it is not run."""
    for block in BLOCKS:
        where = f"{block.page.name}, line {block.line}"
        languages = ("python", *SHELL, *PARSERS, *PROSE)
        assert block.language in languages, f"{where}: say one of {languages} after the fence"
        assert set(block.notes) <= set(NAMES), f"{where}: only {NAMES} can follow the language"
        assert not block.has_other_notes, f'{where}: write {NAMES[0]}="the reason", in quotes'


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each page: its blocks go on, in order, with the files of those before them."""
    made = {page: tmp_path_factory.mktemp(page.stem) for page in PAGES}
    for block in BLOCKS:
        if name := block.notes.get("file"):
            (made[block.page] / name).write_text(block.code, "utf-8")
    return made


@pytest.mark.parametrize("block", [block.parameter for block in RUN])
def test_blocks_run(block, folders, monkeypatch):
    monkeypatch.chdir(folders[block.page])
    for backend in re.findall(r"--backend (\w+)", block.code):
        if obstacle := missing(backend):
            pytest.skip(obstacle)
    if block.language in SHELL:
        limit = 3000 if "slow" in block.notes else 500
        run_in_shell(block.code, int(block.notes.get("status", 0)), limit)
    else:
        exec(compile(block.code, str(block), "exec"), {"__name__": "example"})


def run_in_shell(code, status, limit):
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", code],
        env={**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=limit, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "block", [pytest.param(b, id=str(b)) for b in BLOCKS if b.language in PARSERS]
)
def test_blocks_can_be_read(block):
    assert PARSERS[block.language](block.code)


def test_what_the_documentation_imports_is_public():
    """Listed in docs/api.md, and so described on the site."""
    page = (CHECKOUT / "docs" / "api.md").read_text("utf-8")
    public = set(re.findall(r"^   (portable_cortex[\w.]*)$", page, flags=re.MULTILINE))
    named = 0
    for block in BLOCKS:
        for node in ast.walk(ast.parse(block.code)) if block.language == "python" else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("portable_cortex"):
                modules = {f"{node.module}.{alias.name}" for alias in node.names}
                listed = node.module in public or modules <= public
                assert listed, f"{block}: {node.module} is shown, and docs/api.md does not list it"
                named += 1
    assert named > 10


def test_every_page_is_in_the_index():
    index = (CHECKOUT / "docs" / "index.md").read_text("utf-8")
    for page in (CHECKOUT / "docs").glob("*.md"):
        assert page.stem == "index" or f"]({page.name})" in index, f"docs/index.md: {page.name}"


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in MODULES])
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_is_something_to_test():
    assert sum(block.language == "python" for block in RUN) >= 20
    assert sum(block.language in SHELL for block in RUN) >= 15
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
    for page in PAGES:
        for target in re.findall(r"^make (\w+)", page.read_text("utf-8"), flags=re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_support_table_is_that_of_the_backends():
    """Made anew by ``python -m portable_cortex.support``."""
    assert table() in (CHECKOUT / "docs" / "backends.md").read_text("utf-8")


def test_the_page_of_options_is_that_of_the_commands():
    """Made anew by ``python docs/site/options.py > docs/options.md``."""
    script = CHECKOUT / "docs" / "site" / "options.py"
    page = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert page.stdout == (CHECKOUT / "docs" / "options.md").read_text("utf-8")


@pytest.fixture(scope="module")
def own_model(tmp_path_factory):
    """The model of docs/ci.md and its reference, with fewer seeds, and the engine for NEST."""
    page, folder = CHECKOUT / "docs" / "ci.md", tmp_path_factory.mktemp("own_model")
    (folder / "balanced.py").write_text(blocks(page, "python")[0].code, "utf-8")
    for command in blocks(page, "sh")[0].code.splitlines():
        command = command.replace("--backend nest --seeds 1-10", "--backend builtin --seeds 11-15")
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
    text = blocks(CHECKOUT / "docs" / "ci.md", "yaml")[0].code.replace("\\\n", " ")
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
    workflow = yaml.safe_load(blocks(CHECKOUT / "docs" / "ci.md", "yaml")[1].code)
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

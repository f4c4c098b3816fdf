"""The notebooks of docs/notebooks run, and hold what they show."""

from __future__ import annotations

import os
import re
import sys
from itertools import groupby
from pathlib import Path

import nbformat
import pytest
from conftest import missing
from nbclient import NotebookClient

CHECKOUT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((CHECKOUT / "docs" / "notebooks").glob("*.ipynb"))
MOST = 1_500_000  # bytes, of all of them
SCRIPTS = Path(sys.executable).parent

# what they need beside Python
NEEDS = {
    "own_model": ("nest", "brian2", "neuron"),
    "own_neuron": ("nest", "brian2"),
    "spinnaker": ("spinnaker",),
}
MARKS = {"own_model": "compiler", "own_neuron": "compiler", "spinnaker": "board"}


def marked(path):
    mark = MARKS.get(path.stem)
    return pytest.param(path, marks=[getattr(pytest.mark, mark)] if mark else [], id=path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell shows: text, or the types of what is displayed."""
    shown = [sorted(o.get("data", {"text": ""})) for o in cell.outputs if not is_noise(o)]
    return [kind for kind, _ in groupby(shown)]  # text may arrive in pieces


def is_noise(output):
    """Whether it says what is compiled, which is once on a computer."""
    return output.output_type == "stream" and output.name == "stderr"


@pytest.mark.parametrize("path", [marked(path) for path in NOTEBOOKS])
def test_notebooks_run_and_show_what_they_hold(path, tmp_path, monkeypatch):
    """In an empty folder, as in Jupyter; whatever is displayed is of the kind that is saved."""
    for backend in NEEDS.get(path.stem, ()):
        if reason := missing(backend):
            pytest.skip(reason)
    monkeypatch.setenv("PATH", f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}")
    saved = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(fresh, timeout=500, kernel_name="python3", resources=folder).execute()
    for before, after in zip(code_cells(saved), code_cells(fresh), strict=True):
        assert kinds(after) == kinds(before), f"make notebooks: {before.source}"
    assert verdicts(fresh) == verdicts(saved)


def verdicts(notebook):
    """Of each validation that is shown."""
    texts = [
        output.data["text/plain"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/plain" in output.get("data", {})
    ]
    return [
        word
        for text in texts
        for word in ("Agrees", "Differs", "Could not tell")
        if text.startswith("Validation(") and word in text
    ]


def test_notebooks_are_saved_with_what_they_show():
    assert len(NOTEBOOKS) == 4
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MOST
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        cells = code_cells(notebook)
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), path.name
        for cell in cells:
            assert not any(o.output_type == "error" or is_noise(o) for o in cell.outputs), cell
            if "print(" in cell.source or "plot(" in cell.source:
                assert cell.outputs, f"{path.name}: {cell.source}"
        for output in (output for cell in cells for output in cell.outputs):
            output.get("data", {}).pop("image/png", None)  # whose letters may spell anything
        text = nbformat.writes(notebook)
        assert "/home/" not in text
        assert "/tmp" not in text


def test_notebooks_link_to_what_exists():
    for path in NOTEBOOKS:
        for target in re.findall(r"\]\(([^)#]+?)\)", path.read_text("utf-8")):
            assert target.startswith("http") or (path.parent / target).exists(), target

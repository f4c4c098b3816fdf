"""The notebooks of docs/notebooks run anew, with what they show; ``make notebooks`` calls it.

python docs/site/notebooks.py [NAME ...]

Each runs in a folder that is empty but for it. What is not to be kept is left out: when a cell
ran, the version of Python, and what is said on stderr (what is compiled, the first time). A cell
that shows what it showed before, but for the time that it took, stays as it is.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
TIMED = r"real-time factor [\d.]+"


def run_anew(path: Path) -> None:
    """Run a notebook, and write it where it was."""
    before, after = (nbformat.read(path, as_version=4) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            after, timeout=None, kernel_name="python3", resources=resources,
            record_timing=False, coalesce_streams=True,
        ).execute()  # fmt: skip
    after.metadata = before.metadata
    for was, cell in zip(before.cells, after.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            if _without_time(was.outputs) == _without_time(cell.outputs):
                cell.outputs = was.outputs
    nbformat.write(after, path)


def _without_time(outputs: list[Any]) -> str:
    return re.sub(TIMED, "", json.dumps(outputs, sort_keys=True))


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.stem in (sys.argv[1:] or [path.stem]):
            begin = time.monotonic()
            print(f"{path.name} ...", end=" ", file=sys.stderr, flush=True)
            run_anew(path)
            print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)

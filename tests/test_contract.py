"""The contract suite on every backend that is installed."""

from __future__ import annotations

import inspect
import re

from portable_cortex.support import CELL_TYPES, CURRENT_SOURCES, KINDS, SYNAPSE_TYPES
from portable_cortex.testing import contract
from portable_cortex.testing.contract import *  # noqa: F403  # so it is run by others, too


def test_what_it_cannot_do_is_something_that_is_asked_for(backend, checkout):
    """A row of docs/semantics.md, a type of PyNN's, what contract tests need; or a part of it."""
    rows = re.findall(
        r"^\| ([a-z-]+) \|", (checkout / "docs" / "semantics.md").read_text(), re.MULTILINE
    )
    marks = re.findall(r"mark\.needs\((.*)\)", inspect.getsource(contract))
    needs = re.findall(r'"(\w+)"', " ".join(marks))
    types = {*KINDS, *CELL_TYPES, *CURRENT_SOURCES, *SYNAPSE_TYPES}
    assert {what.partition(":")[0] for what in backend.cannot} <= {
        *rows,
        *needs,
        *types,
        "mpirun",
        "nestml",
    }
    assert all(backend.cannot.values())

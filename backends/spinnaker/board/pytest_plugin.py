"""A pytest fixture for tests of sPyNNaker scripts, without hardware.

In ``conftest.py``::

    pytest_plugins = ["portable_cortex.backends.spinnaker.board.pytest_plugin"]
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .board import EmulatedBoard


@pytest.fixture(scope="session")
def emulated_board() -> Iterator[EmulatedBoard]:
    """A board of 4 chips, running: its ``address`` and ``configuration``."""
    with EmulatedBoard(version=3) as board:
        yield board

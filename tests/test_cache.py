"""Where compiled code is kept, also where nothing can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portable_cortex.errors import OutputError
from portable_cortex.host.cache import VARIABLE, cache_folder, writable_cache


@pytest.fixture
def no_home(tmp_path, monkeypatch):
    """A home directory that nobody can write, root neither."""
    monkeypatch.setenv(VARIABLE, "")  # as if it was not set; what the test sets is taken back
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", os.devnull)


def test_a_cache_that_can_be_written_is_the_users(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert writable_cache("neuron") == cache_folder("neuron")
    assert writable_cache("neuron") == tmp_path / "portable-cortex" / "neuron"


SCRIPT = """
import os, subprocess, sys
from portable_cortex.host.cache import writable_cache

first, again = writable_cache("one"), writable_cache("two")
assert first.parent == again.parent
code = "from portable_cortex.host.cache import writable_cache; print(writable_cache('one'))"
assert subprocess.check_output([sys.executable, "-c", code], text=True) == f"{first}\\n"
if os.fork() == 0:
    sys.exit()
os.wait()
(first / "kept").touch()
print(first)
"""


def test_one_that_cannot_is_replaced_for_this_process_and_its_children(no_home):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is compiled in each run. Set PORTABLE_CORTEX_CACHE") == 1
    assert not Path(done.stdout.strip()).exists()


def test_no_home_directory_at_all(no_home, tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    monkeypatch.setattr("portable_cortex.host.cache._temporary", lambda: str(tmp_path))
    with pytest.warns(UserWarning, match="no home directory"):
        assert writable_cache("neuron") == tmp_path / "neuron"


def test_one_that_was_named_is_not_replaced(monkeypatch):
    monkeypatch.setenv(VARIABLE, os.devnull)
    with pytest.raises(OutputError, match=r"cannot be written.*Set PORTABLE_CORTEX_CACHE"):
        writable_cache("neuron")


def test_a_figure_is_drawn_without_a_home_directory(no_home, tmp_path):
    code = (
        "import portable_cortex as p; from portable_cortex.recording.figure import draw_activity;"
        "draw_activity(p.run(backend='mock', scale=0.01, duration=10.0), 'activity.png')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "activity.png").exists()
    assert "atplotlib" not in done.stderr

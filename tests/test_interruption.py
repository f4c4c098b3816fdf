"""Signals at random moments: whatever the command does, it ends as it should.

And whatever else ends a command: a fault, a reader that leaves, a terminal with few letters.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from recordings import as_simulated

from portable_cortex import Recording
from portable_cortex.cli.entry import status_of
from portable_cortex.errors import OutputError
from portable_cortex.host import interruption
from portable_cortex.host.output import whole

COMMAND = (sys.executable, "-m", "portable_cortex")
SMALL = ("--backend", "mock", "--scale", "0.02", "--warmup", "0")
BRUNEL = ("--model", "brunel2000", "--scale", "0.01", "--warmup", "0", "--duration", "20")
SUBMIT = ("submit", "--collab", "my-collab", "--scale", "0.02")

# arguments, and about how long it takes, s
COMMANDS = {
    "help": (("--help",), 1.5),
    "models": (("models",), 2.0),
    "hardware": (("hardware",), 2.0),
    "backends": (("backends",), 2.0),
    "run": (("run", *SMALL, "--duration", "200", "--out", "runs/here"), 4.0),
    "overwrite": (("run", *SMALL, "--duration", "200", "--out", "old", "--overwrite"), 4.0),
    "builtin": (("run", "--scale", "0.02", "--duration", "5000", "--out", "here"), 8.0),
    "validate": (
        ("validate", "old", "--against", "other", "--report", "a/report.html",
         "--junit", "a/junit.xml", "--json", "a/result.json"), 6.0,
    ),
    "benchmark": (("benchmark", "--backends", "mock", "--repeats", "2", "--scale", "0.01",
                   "--duration", "50", "--warmup", "0", "--out", "here"), 8.0),
    "sweep": (("sweep", "--seeds", "1-4", "--backend", "mock", *BRUNEL, "--jobs", "2",
               "--out", "here"), 9.0),
    "script": ((*SUBMIT, "--script", "job.py"), 3.0),
    "submit": (SUBMIT, 3.0),
    "submit and wait": ((*SUBMIT, "--wait"), 4.0),
    "list": (("jobs", "list"), 2.5),
    "show": (("jobs", "show", "101"), 2.5),
    "log": (("jobs", "log", "101"), 2.5),
    "cancel": (("jobs", "cancel", "102"), 2.5),
    "fetch": (("jobs", "fetch", "101", "--out", "runs/there"), 5.0),
    "fetch and wait": (("jobs", "fetch", "102", "--wait", "--out", "runs/there"), 4.0),
    "emulate": (("emulate", "--version", "3"), 3.5),
}  # fmt: skip


def draws(seed, n, names=tuple(COMMANDS)):
    """Commands in turn, each with a moment that may be any of its time."""
    generator = random.Random(seed)
    turns = itertools.islice(itertools.cycle(names), n)
    return [(name, round(COMMANDS[name][1] * generator.random(), 3)) for name in turns]


@pytest.fixture(scope="module")
def server():
    path = Path(__file__).with_name("portal_server.py")
    spec = importlib.util.spec_from_file_location("portal_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def portal(server):
    """A portal with a finished job, 101, and one that waits, 102."""
    about = {
        "backend": "spinnaker", "model": "pd14", "populations": {"a": 3}, "warmup_ms": 10.0,
        "duration_ms": 90.0, "timestep_ms": 0.1, "n_spikes": 2, "published_rates": {},
        "rates": {"a": 7.4}, "warnings": [],
    }  # fmt: skip
    spikes, archive = io.BytesIO(), io.BytesIO()
    np.savez(spikes, neurons_0=np.array([2, 0]), times_0=np.array([20.0, 30.0]))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("run.json", json.dumps(about))
        file.writestr("spikes.npz", spikes.getvalue())
    with server.Portal() as running:
        url = running.serve(f"portable-cortex-{uuid.uuid4().hex}.zip", archive.getvalue())
        outputs = {"repository": "r", "files": [{"url": url}]}
        running.add(status="finished", output_data=outputs)
        running.add()
        yield running


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    recording = as_simulated(scale=0.02, warmup=0.0, duration=200.0)
    return recording.save(tmp_path_factory.mktemp("recorded"), figure=True)


@pytest.fixture
def folder(tmp_path, recorded):
    """Where the command works: in it two runs."""
    for name in ("old", "other"):
        shutil.copytree(recorded, tmp_path / "work" / name)
    (tmp_path / "temporary").mkdir()
    return tmp_path / "work"


@contextlib.contextmanager
def started(arguments, folder, **environment):
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        # as in a terminal, also where the tests themselves run under nohup
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "EBRAINS_TOKEN": "a-token", **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(process):
    """Whether it has come to the first line of its `main`: Python itself knows no SIGTERM."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
        return bool(caught >> (signal.SIGHUP - 1) & 1)
    return True


def left(mark):
    """Processes that have a variable in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes():
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" "))
    return found


def check_interrupted(folder, portal, name, delay, numbers):
    arguments, _ = COMMANDS[name]
    mark, temporary = f"MARK_{uuid.uuid4().hex}", folder.parent / "temporary"
    with started(
        arguments, folder, EBRAINS_PORTAL_URL=portal.url, TMPDIR=str(temporary), **{mark: "1"}
    ) as process:
        while not answers(process) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delay)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.3 * (len(numbers) > 1))
        out, err = process.communicate(timeout=60)
    said = f"{process.returncode}\n{out}\n{err}"
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    kind = interruption.KINDS[numbers[0]]
    if process.returncode == 128 + numbers[0]:
        assert re.search(rf"(^|\n){kind}: [^\n]+\n$", err), said
    else:
        assert process.returncode == 0, said
        assert kind not in err, said
    check_whole(folder, said)
    deadline = time.monotonic() + 10
    while left(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(mark) == [], said
    assert list(temporary.iterdir()) == [], said
    for number in range(103, 101 + len(portal.jobs)):  # its user is told of a job
        (tag,) = portal.jobs[number]["tags"]
        assert f"job {number}" in said or tag in said
    return process.returncode, err


def check_whole(folder, said):
    """Everything in a folder can be read, and nothing in it was to be there for a while only."""
    for path in folder.rglob("*"):
        assert "partial" not in path.name, said
        if path.is_dir():
            names = {p.name for p in path.iterdir()}
            assert names or "seed=" in path.name, f"{path} is empty: {said}"  # in a sweep
            if names & {"run.json", "spikes.h5", "activity.png"}:  # the figure is drawn last
                assert {"run.json", "spikes.h5"} <= names, said
                Recording.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".xml":
            ElementTree.parse(path)
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>"), said
        elif path.suffix == ".png":
            assert path.read_bytes()[-8:-4] == b"IEND", said
        elif path.suffix == ".py":
            compile(path.read_text(), path, "exec")


FEW = ("run", "sweep", "submit and wait", "validate")


@pytest.mark.parametrize(("name", "delay"), draws(665, 4, FEW))
def test_ctrl_c_at_any_moment(folder, portal, name, delay):
    check_interrupted(folder, portal, name, delay, [signal.SIGINT])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "delay"), draws(2, 120))
def test_ctrl_c_at_many_moments(folder, portal, name, delay):
    check_interrupted(folder, portal, name, delay, [signal.SIGINT])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "delay"), draws(3, 60))
def test_sigterm_at_many_moments(folder, portal, name, delay):
    check_interrupted(folder, portal, name, delay, [signal.SIGTERM])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "delay"), draws(4, 40))
def test_whoever_is_impatient(folder, portal, name, delay):
    check_interrupted(folder, portal, name, delay, 5 * [signal.SIGINT])


def test_where_python_takes_it_for_unhandled(tmp_path):
    """Python's exit status is another after it has passed through the `exec` of a text."""
    (tmp_path / "model.py").write_text(
        "def build(sim):\n    exec('import os; os.kill(os.getpid(), 2)')\n"
    )
    command = ("run", "--quiet", "--backend", "mock", "--model", "model.py")
    with started(command, tmp_path) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "Interrupted: nothing was written.\n")


def test_before_anything_is_imported(folder, portal):
    status, err = check_interrupted(folder, portal, "models", 0.0, [signal.SIGHUP])
    assert (status, err) == (129, "Hung up: nothing was begun.\n")


# --- what nobody foresaw ---


FAULTS = [
    (ValueError("a bug"), "a fault of portable-cortex (ValueError: a bug)"),
    (RecursionError("too deep"), "a fault of portable-cortex"),
    (AssertionError(), "a fault of portable-cortex (AssertionError)"),
    (SystemExit(0), "a fault of portable-cortex (SystemExit: 0)"),
    (SystemExit("no"), "a fault of portable-cortex (SystemExit: no)"),
    (GeneratorExit(), "a fault of portable-cortex (GeneratorExit)"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "a fault of portable-cortex"),
    (EOFError("no answer"), "a fault of portable-cortex (EOFError: no answer)"),
    (ImportError("no numpy"), "cannot be imported (ImportError: no numpy)"),
    (MemoryError(), "not enough memory"),
    (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    (ValueError("\x1b]0;title\x07"), r"ValueError: \x1b]0;title\x07"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [(("models",), *fault) for fault in FAULTS] + [(("validate", "x"), *f) for f in FAULTS[-4:]],
    ids=repr,
)
def test_an_unforeseen_exception_is_a_sentence(call, monkeypatch, arguments, error, said):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("portable_cortex.cli.listing_commands.Table", fail)
    monkeypatch.setattr("portable_cortex.validation.verdict.examine", fail)
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert said in err
    assert "--traceback" in err
    for traced in (("--traceback", *arguments), (*arguments, "--traceback")):
        status, _, err = call(*traced)
        assert status == 2
        assert err.startswith("Traceback")
        assert "in fail" in err
        assert said in err.splitlines()[-1]


def test_a_broken_installation_is_a_sentence(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('broken')\n")
    with started(("models",), tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("Error: something that portable-cortex needs")
    assert len(err.splitlines()) == 1


def test_traceback_of_a_mistake_has_its_cause(call, monkeypatch):
    def fail(*args, **kwargs):
        raise OutputError("a sentence") from KeyError("the cause")

    monkeypatch.setattr("portable_cortex.cli.listing_commands.Table", fail)
    assert call("models") == (2, "", "Error: a sentence\n")
    status, _, err = call("models", "--traceback")
    assert status == 2
    assert "KeyError: 'the cause'" in err
    assert err.endswith("Error: a sentence\n")


def test_traceback_is_in_the_help(call):
    assert "--traceback" in call("--help")[1]


def test_an_argument_may_be_called_so():
    asked = []
    assert (
        status_of(lambda arguments: asked.extend(arguments) or 0, ["a", "--", "--traceback"]) == 0
    )
    assert asked == ["a", "--", "--traceback"]


def test_what_follows_from_a_signal_is_an_interruption(monkeypatch, capsys):
    """Simulators answer it by errors, or by leaving the process."""
    monkeypatch.setattr(interruption._state, "number", signal.SIGTERM)
    for error in (SystemExit(1), SystemExit(0), OutputError("broken"), ValueError("a bug")):

        def command(arguments, error=error):
            interruption.tell("this is left.")
            raise error

        assert status_of(command, []) == 143
        assert capsys.readouterr().err == "Terminated: this is left.\n"
    interruption.tell("this is left.")
    assert status_of(lambda arguments: 0, []) == 143  # it was dropped on the way


def test_what_follows_from_an_exception_of_another_handler(capsys):
    def command(arguments):
        interruption.tell("this is left.")
        try:
            raise KeyboardInterrupt
        finally:
            raise OutputError("it is closed already")

    assert status_of(command, []) == 130
    assert capsys.readouterr().err == "Interrupted: this is left.\n"


# --- readers that leave, and small terminals ---


@pytest.mark.parametrize(("arguments", "status"), [(("models",), 0), (("validate", "none"), 2)])
def test_a_reader_that_leaves_changes_no_status(tmp_path, arguments, status):
    with started(arguments, tmp_path) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == status


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output(unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "models"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip
        both = subprocess.run([*COMMAND, "models"], stdout=full, stderr=full, env=environment)
    assert done.returncode == both.returncode == 2
    assert done.stderr.startswith("Error: the disk is full")
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_of_few_letters(tmp_path):
    with started(("models",), tmp_path, PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "brunel2000" in out


# --- files ---


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with contextlib.suppress(KeyboardInterrupt), whole(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]
    (tmp_path / "link").symlink_to(path)
    with whole(tmp_path / "link") as part:
        part.write_text("after")
    assert path.read_text() == "after"
    assert (tmp_path / "link").is_symlink()
    with whole(Path("/dev/null")) as part:
        part.write_text("nothing")
    assert Path("/dev/null").is_char_device()


def test_a_save_that_fails_leaves_no_folder(recorded, tmp_path, monkeypatch):
    recording = Recording.load(recorded)

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("portable_cortex.recording.sonata.write_spikes", fail)
    with pytest.raises(KeyboardInterrupt):
        recording.save(tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []

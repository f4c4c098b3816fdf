"""The job as one Python file that carries the part of this package that it needs."""

from __future__ import annotations

import ast
import base64
import bz2
import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

from portable_cortex import Experiment, __version__, load_backend
from portable_cortex.errors import UnknownNameError, UnsupportedError
from portable_cortex.machine import load_machine
from portable_cortex.models.loader import MODELS, warn_model
from portable_cortex.recording import to_json
from portable_cortex.registry import BUILTIN

BACKENDS = ("spinnaker",)
"""Backends that can be submitted."""

# Modules and folders of the core that a job needs; none of them needs more than PyNN and numpy to
# be imported.
_CORE = (
    "_lazy backend errors experiment options power/energy power/metering recording/__init__ "
    "recording/recording recording/spikes recording/stored registry support"
).split()
_ROOMS = ("host", "models", "neurons", "neurons/lowering", "pynn", "running")
# What reads NESTML, which no job does.
_READERS = tuple(f"neurons/{name}.py" for name in ("mistakes", "nestml", "terms"))
# Backends that a job takes along.
_BACKENDS = ("nest", "spinnaker")
# The name of a user's own model among the files; the user's name for it may be anything.
MODEL = "model.py"

_SCRIPT = '''\
"""A network of portable-cortex {version}, and the part of portable-cortex that runs it.

  python {{name}} spiNNaker      run it on SpiNNaker, as the EBRAINS job portal does
  python {{name}} nest           run it where PyNN and NEST are installed
  python {{name}} --unpack DIR   write the files that it carries into DIR, and run nothing
  python {{name}} --help         show this text

A run writes {archive}.zip,
which `portable-cortex validate` and `portable-cortex jobs fetch` read.

It carries these files (SHA-256, bytes, name):

{listing}
"""

import base64
import bz2
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile

JOB = json.loads(r"""
{job}
""")
PAYLOAD = """
{payload}
"""


def packed():
    return bz2.decompress(base64.b85decode("".join(PAYLOAD.split())))


def carried():
    with zipfile.ZipFile(io.BytesIO(packed())) as archive:
        files = {{name: archive.read(name) for name in archive.namelist()}}
    if JOB["model_source"] is not None:
        files["{model}"] = JOB["model_source"].encode()
    return files


def unpack(folder):
    if os.path.exists(folder) and os.listdir(folder):
        raise OSError("it is not empty")
    for name, content in carried().items():
        path = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        print(hashlib.sha256(content).hexdigest(), str(len(content)).rjust(7), name)


def run(system):
    if sys.version_info < (3, 10):
        sys.exit("this job needs Python 3.10 or newer, not " + sys.version.split()[0])
    folder = tempfile.mkdtemp(prefix="portable-cortex-")
    try:
        archive = os.path.join(folder, "portable_cortex.zip")
        with open(archive, "wb") as file:
            file.write(packed())
        sys.path.insert(0, archive)
        if JOB["model_source"] is not None:
            JOB["model_file"] = os.path.join(folder, "{model}")
            with open(JOB["model_file"], "wb") as file:
                file.write(JOB["model_source"].encode())
        from portable_cortex.portal._job import main

        return main(JOB, system)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments):
    name = os.path.basename(sys.argv[0])
    if arguments in (["--help"], ["-h"]):
        print(__doc__.replace("{{name}}", name).strip())
        return 0
    if len(arguments) == 2 and arguments[0] == "--unpack":
        try:
            unpack(arguments[1])
        except OSError as error:
            print("%s cannot unpack into %s: %s" % (name, arguments[1], error), file=sys.stderr)
            return 2
        return 0
    if len(arguments) > 1 or any(word.startswith("-") for word in arguments):
        print("%s cannot do %r: see python %s --help" % (name, " ".join(arguments), name),
              file=sys.stderr)
        return 2
    return run(arguments[0] if arguments else "spiNNaker")


if __name__ == "__main__":
    try:
        STATUS = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # who reads it has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        STATUS = 1
    sys.exit(STATUS)
'''


@dataclass(frozen=True)
class Script:
    """A job's code, and the name of the archive that it writes.

    Attributes
    ----------
    code : str
        Contents of ``run.py``.
    archive : str
        Name without ``.zip``; no other job has it.
    """

    code: str
    archive: str


def make_script(experiment: Experiment) -> Script:
    """Write an experiment as a self-contained script.

    Parameters
    ----------
    experiment : Experiment
        Its backend must be one that can be submitted.

    Raises
    ------
    UnknownNameError, InvalidValueError, UnsupportedError
        For what the script could not run: another backend, parameters that the model does not
        take, signals to be recorded.

    Examples
    --------
    >>> script = make_script(Experiment(backend="spinnaker", machine="spinnaker-portal"))
    >>> _ = compile(script.code, "run.py", "exec")
    >>> script.archive.startswith("portable-cortex-")
    True
    """
    if experiment.backend not in BACKENDS:
        raise UnknownNameError("backend to submit", experiment.backend, BACKENDS)
    if experiment.record:
        raise UnsupportedError(
            "a submitted job records spikes only: leave out "
            f"{', '.join(f'{r.variable}:{r.population}' for r in experiment.record)}"
        )
    experiment.check()
    backend = load_backend(experiment.backend)
    options = load_machine(experiment.machine).options_for(backend, experiment.options)
    path = Path(str(experiment.model))
    built_in = str(experiment.model) in MODELS
    if not built_in and path.suffix != ".py":
        raise UnsupportedError(
            f"a submitted job carries a model in Python, and no files of a network: {path}"
        )
    source = b"" if built_in else _source(path)
    for left in _left_behind(path, source):
        warn_model(f"{path} {left}, which stays here: a job carries the model's own file only")
    named = experiment if built_in else replace(experiment, model=path.name)
    archive = f"portable-cortex-{uuid.uuid4().hex}"
    job = {
        "version": __version__,
        "archive": archive,
        "options": {
            "spinnaker": {**asdict(options), "target": "portal", "reports": None},
            "nest": {"threads": 1},
        },
        "experiment": named.to_dict(),
        "model_file": None,
        "model_source": None if built_in else source.decode(),
    }
    # plain ASCII; three quotes in a row cannot be, since JSON escapes those within texts
    text = json.dumps(json.loads(to_json(job)), indent=1)
    files = _files()
    listed = files if built_in else {MODEL: source, **files}
    code = _SCRIPT.format(
        version=__version__,
        archive=archive,
        job=text,
        payload=_packed(files),
        model=MODEL,
        listing="\n".join(
            f"{hashlib.sha256(content).hexdigest()} {len(content):7} {name}"
            for name, content in listed.items()
        ),
    )
    return Script(code, archive)


def _source(path: Path) -> bytes:
    """A user's own model, whose text can be put into the script."""
    source = path.read_bytes()
    try:
        source.decode()
    except UnicodeDecodeError:
        raise UnsupportedError(
            f"a submitted model is a file in UTF-8: save {path} in that encoding"
        ) from None
    return source


def _left_behind(path: Path, source: bytes) -> Iterator[str]:
    """What a model seems to take from beside its own file."""
    tree = ast.parse(source)  # it has been imported
    names = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    for name in dict.fromkeys(name.partition(".")[0] for name in names):
        if name and any((path.parent / file).exists() for file in (f"{name}.py", name)):
            yield f"imports {name} from beside it"
    if any(isinstance(n, ast.Name) and n.id == "__file__" for n in ast.walk(tree)):
        yield "has __file__ and so may read a file beside it"


def _files() -> dict[str, bytes]:
    """The modules that a job needs, by their place in the package."""
    core, portal = resources.files("portable_cortex"), resources.files("portable_cortex.portal")
    files = {"portable_cortex/__init__.py": f'__version__ = "{__version__}"\n'.encode()}
    for module in _CORE:
        files[f"portable_cortex/{module}.py"] = core.joinpath(f"{module}.py").read_bytes()
    for room in _ROOMS:
        for file in sorted(core.joinpath(room).iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py") and f"{room}/{file.name}" not in _READERS:
                files[f"portable_cortex/{room}/{file.name}"] = file.read_bytes()
    for package in ("backends", "portal", "power"):
        # not the package's own, which is what the command line needs
        files[f"portable_cortex/{package}/__init__.py"] = b""
    files["portable_cortex/portal/_job.py"] = portal.joinpath("_job.py").read_bytes()
    for backend in _BACKENDS:
        folder = resources.files(BUILTIN[backend].partition(":")[0])
        for file in sorted(folder.iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py") and file.name != "__main__.py":
                files[f"portable_cortex/backends/{backend}/{file.name}"] = file.read_bytes()
    return files


def _packed(files: Mapping[str, bytes]) -> str:
    """Files as a zip, packed as a whole, in base 85; equal files give an equal text."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # no date of today
            archive.writestr(info, content)
    # without quotes and backslashes
    text = base64.b85encode(bz2.compress(packed.getvalue())).decode()
    return "\n".join(text[i : i + 100] for i in range(0, len(text), 100))

"""The job as one Python file that carries the part of this package that it needs."""

from __future__ import annotations

import base64
import io
import json
import textwrap
import uuid
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from portable_cortex import Experiment, __version__, load_backend
from portable_cortex.errors import UnknownNameError, UnsupportedError
from portable_cortex.machine import load_machine
from portable_cortex.model_loader import MODELS
from portable_cortex.recording import to_json

BACKENDS = ("spinnaker",)
"""Backends that can be submitted."""

# Modules of the core that a job needs; none of them needs more than PyNN and numpy to be imported.
_CORE = (
    "brunel2000 clock errors model model_checks model_loader network parallel parameters "
    "provenance quiet realisation scaling synapses untrusted user_code"
).split()
# Backends whose sessions a job takes along.
_SESSIONS = ("nest", "spinnaker")

_SCRIPT = '''\
"""A network of portable-cortex {version}, and the part of portable-cortex that runs it.

Run it with `python run.py spiNNaker` at the EBRAINS portal, or with `python run.py nest` where
PyNN and NEST are installed. It writes {archive}.zip.
"""

import base64
import json
import os
import shutil
import sys
import tempfile

JOB = json.loads(r"""
{job}
""")
PAYLOAD = """
{payload}
"""


def main():
    if sys.version_info < (3, 10):
        sys.exit("this job needs Python 3.10 or newer, not " + sys.version.split()[0])
    folder = tempfile.mkdtemp(prefix="portable-cortex-")
    try:
        archive = os.path.join(folder, "portable_cortex.zip")
        with open(archive, "wb") as file:
            file.write(base64.b64decode(PAYLOAD))
        sys.path.insert(0, archive)
        if JOB["model_source"] is not None:
            JOB["model_file"] = os.path.join(folder, "model.py")
            with open(JOB["model_file"], "w", encoding="utf-8") as file:
                file.write(JOB["model_source"])
        from portable_cortex.portal._job import main as run

        return run(JOB, sys.argv[1] if len(sys.argv) > 1 else "spiNNaker")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
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
    archive = f"portable-cortex-{uuid.uuid4().hex}"
    job = {
        "version": __version__,
        "archive": archive,
        "options": {**options.model_dump(), "target": "portal", "reports": None},
        "experiment": {
            "model": str(experiment.model) if built_in else path.name,
            "parameters": dict(experiment.parameters),
            "seed": int(experiment.seed),
            "timestep": float(experiment.timestep),
            "warmup": float(experiment.warmup),
            "duration": float(experiment.duration),
            "realisation": experiment.realisation,
            "record_spikes": experiment.record_spikes,
        },
        "model_file": None,
        "model_source": None if built_in else path.read_text(encoding="utf-8"),
    }
    # plain ASCII; three quotes in a row cannot be, since JSON escapes those within texts
    text = json.dumps(json.loads(to_json(job)), indent=1)
    code = _SCRIPT.format(version=__version__, archive=archive, job=text, payload=_payload())
    return Script(code, archive)


def _payload() -> str:
    """The modules, zipped, in base64."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, text: str) -> None:
            # the same bytes each time: no date of today
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text,
                             zipfile.ZIP_DEFLATED)  # fmt: skip

        core = resources.files("portable_cortex")
        add("portable_cortex/__init__.py", f'__version__ = "{__version__}"\n')
        for module in _CORE:
            add(f"portable_cortex/{module}.py", core.joinpath(f"{module}.py").read_text("utf-8"))
        for package in ("portal", "backends"):
            add(f"portable_cortex/{package}/__init__.py", "")
        job = resources.files("portable_cortex.portal").joinpath("_job.py")
        add("portable_cortex/portal/_job.py", job.read_text("utf-8"))
        for backend in _SESSIONS:
            add(f"portable_cortex/backends/{backend}/__init__.py", "")
            # not the backend's __init__, which is what the command line needs
            files = resources.files(f"portable_cortex.backends.{backend}").iterdir()
            for file in sorted(files, key=lambda f: f.name):
                if file.name.endswith(".py") and file.name not in ("__init__.py", "__main__.py"):
                    name = f"portable_cortex/backends/{backend}/{file.name}"
                    add(name, file.read_text("utf-8"))
    return "\n".join(textwrap.wrap(base64.b64encode(packed.getvalue()).decode(), 100))

"""NEURON's mechanisms, compiled once for each NEURON and each set of sources, in a cache of ours.

The cache is the user's (``~/.cache/portable-cortex`` on Linux), or ``$PORTABLE_CORTEX_CACHE``.
Nothing is written where NEURON or PyNN is installed, nor into the working folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from portable_cortex.errors import BackendUnavailableError, OutputError
from portable_cortex.host.cache import cache_folder, writable_cache
from portable_cortex.host.children import run_program
from portable_cortex.host.compiling import say
from portable_cortex.host.provenance import cores

OWN = Path(__file__).parent / "mod"


def sources() -> list[Path]:
    """The mechanisms of PyNN and of this backend."""
    found = importlib.util.find_spec("pyNN")
    assert found is not None
    assert found.origin is not None
    pynn = Path(found.origin).parent / "neuron" / "nmodl"
    return sorted(pynn.glob("*.mod")) + sorted(OWN.glob("*.mod"))


def compiled(
    texts: Mapping[str, bytes] | None = None, what: str = "the library of mechanisms"
) -> Path:
    """The folder that holds compiled mechanisms, after compiling them if they are not there.

    Of several processes one compiles and the others wait. It does so in a folder of its own, which
    gets the name under which all look for it when it is complete.

    Parameters
    ----------
    texts : dict of str to bytes, optional
        By name of file; `sources` if left out.
    what : str, optional
        What they are, for the user.

    Raises
    ------
    BackendUnavailableError
        Where there is no compiler, or it fails.
    OutputError
        Where the cache cannot be written.
    """
    files = {file.name: file.read_bytes() for file in sources()} if texts is None else texts
    target = cache_folder("neuron") / _key(files)
    if target.is_dir():
        return target
    _require_compiler()
    target = writable_cache("neuron") / target.name
    try:
        with (target.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                say(f"{what} for NEURON", "a minute" if texts is None else "about ten seconds")
                with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as work:
                    _compile(files, Path(work)).rename(target)
    except OSError as error:
        raise OutputError(
            f"the cache for NEURON's mechanisms, {target.parent}, cannot be written: {error}. Set "
            "PORTABLE_CORTEX_CACHE to a folder that can"
        ) from error
    return target


def _key(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, text in files.items():
        digest.update(f"{name} {len(text)}\n".encode() + text)
    version = importlib.metadata.version("neuron")
    return f"{version}-{platform.system()}-{platform.machine()}-{digest.hexdigest()[:16]}"


def _require_compiler() -> None:
    compilers = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++", "c++"]
    missing = [] if any(shutil.which(c.split()[0]) for c in compilers) else [" or ".join(compilers)]
    missing += [] if shutil.which("make") else ["make"]
    if missing:
        raise BackendUnavailableError(
            "backend 'neuron' compiles its mechanisms once and needs a C++ compiler and make; not "
            f"found: {', '.join(missing)}. Install them (Debian and Ubuntu: apt install g++ make)"
        )


def _compile(files: Mapping[str, bytes], work: Path) -> Path:
    """Run nrnivmodl in `work`; gives a folder with the library alone, as NEURON looks for it."""
    (work / "mod").mkdir()
    for name, text in files.items():
        (work / "mod" / name).write_bytes(text)
    done = run_program(
        [_nrnivmodl(), "mod"],
        cwd=work,
        env={**os.environ, "MAKEFLAGS": f"-j{cores()}"},
        errors=subprocess.STDOUT,
    )
    libraries = list(work.glob("*/libnrnmech.*"))
    if done.returncode or not libraries:
        lines = done.stdout.splitlines()
        errors = [line for line in lines if "rror:" in line] or lines
        raise BackendUnavailableError(
            "NEURON's mechanisms could not be compiled: nrnivmodl ended with status "
            f"{done.returncode}: {' | '.join(errors[-3:])}"
        )
    (library,) = libraries
    kept = work / "library" / library.parent.name
    kept.mkdir(parents=True)
    library.rename(kept / library.name)
    return kept.parent


def _nrnivmodl() -> str:
    """The program that came with this NEURON, wherever the shell would find another."""
    neuron = importlib.metadata.distribution("neuron")
    for file in neuron.files or ():
        if file.name == "nrnivmodl" and file.parent.name == "bin" and ".data" not in file.parts:
            return str(Path(str(neuron.locate_file(file))).resolve())
    beside = Path(sysconfig.get_path("scripts")) / "nrnivmodl"
    found = str(beside) if beside.exists() else shutil.which("nrnivmodl")
    if found is None:
        raise BackendUnavailableError(
            f"the NEURON of {sys.executable} has no nrnivmodl: run pip install --force-reinstall "
            "'portable-cortex[neuron]'"
        )
    return found

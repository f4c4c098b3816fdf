"""Compile what Brian2 generated, keeping every object file for the next time.

A file is compiled again only if it, a header, the compiler or its options changed. Networks that
differ in their parameters share all but the main file; seeds and synapses are not in the source.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brian2
from brian2.codegen.cpp_prefs import get_compiler_and_args

from portable_cortex.errors import BackendUnavailableError, SimulationError
from portable_cortex.host.cache import writable_cache
from portable_cortex.host.provenance import cores

KEPT_DAYS = 30


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "g++"))


def require_compiler() -> None:
    """Raise unless there is a C++ compiler.

    Raises
    ------
    BackendUnavailableError
        With what to install, and what works without.
    """
    if shutil.which(_compiler()[0]) is None:
        raise BackendUnavailableError(
            f"mode cpp_standalone of the brian2 backend needs the C++ compiler {_compiler()[0]!r} "
            "($CXX, or g++), which is not installed: install it (apt install g++), or run without "
            "one, more slowly: --option mode=runtime --option target=numpy"
        )


def compile_program(folder: Path, sources: Iterable[str], openmp: bool) -> None:
    """Compile and link ``folder/main`` from its `sources`.

    Raises
    ------
    SimulationError
        If the compiler does not accept them; with what it said.
    """
    _, flags = get_compiler_and_args()
    flags = [*flags, "-Wno-write-strings", *(["-fopenmp"] if openmp else [])]
    includes = [f"-I{path}" for path in brian2.prefs["codegen.cpp.include_dirs"]]
    cache = writable_cache("brian2")
    _forget_old(cache)
    # the compiler's version, and the processor behind -march=native
    macros = _run([*_compiler(), *flags, "-dM", "-E", "-x", "c++", os.devnull])
    if b"__clang__" not in macros:
        flags += ["--param=vect-max-version-for-alias-checks=200"]  # a step has many arrays
    common = hashlib.sha256(" ".join([*_compiler(), *flags, *includes]).encode())
    common.update(macros)
    for header in sorted(folder.rglob("*.h")):
        common.update(header.read_bytes())

    def compiled(source: str) -> Path:
        key = common.copy()
        key.update((folder / source).read_bytes())
        kept = cache / f"{key.hexdigest()}.o"
        try:
            os.utime(kept)
        except FileNotFoundError:
            descriptor, new = tempfile.mkstemp(dir=cache, suffix=".new")
            os.close(descriptor)
            try:
                _run([*_compiler(), *flags, *includes, "-I.", "-c", source, "-o", new], folder)
                Path(new).replace(kept)  # at once: others may be compiling the same
            finally:
                Path(new).unlink(missing_ok=True)
        return kept

    with ThreadPoolExecutor(cores()) as pool:
        try:
            objects = list(pool.map(compiled, sorted(set(sources))))
        except BaseException:  # an error in one file, or Ctrl-C: begin no other
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    # flags again: -ffast-math makes the program flush denormal numbers, which are slow
    _run([*_compiler(), *map(str, objects), "-o", "main", *flags], folder)


def _run(command: list[str], folder: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise SimulationError(
            f"{shlex.join(command[:1])} cannot compile the network: {said[:1000]}"
        )
    return done.stdout


def _forget_old(cache: Path) -> None:
    limit = time.time() - KEPT_DAYS * 86400
    for file in cache.iterdir():
        try:
            if file.stat().st_mtime < limit:
                file.unlink()
        except FileNotFoundError:
            pass  # another process was faster

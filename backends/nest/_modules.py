"""Modules of NEST: compiled once for each NEST and each text, and kept in a cache of ours."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from portable_cortex.errors import BackendUnavailableError, ModelError, OutputError
from portable_cortex.host.cache import writable_cache
from portable_cortex.host.children import run_program
from portable_cortex.host.compiling import say
from portable_cortex.host.quiet import quiet

from ._pynn import nest

OWN = Path(__file__).parent / "cpp"
COMPILERS = ("g++", "clang++", "c++")
FLAGS = ("-std=c++20", "-O2", "-fPIC", "-shared", "-fopenmp", "-ffp-contract=off")

_installed: dict[str, Path] = {}
"""NEST's models in modules of this process, and the modules."""


def install(model: str, text: str) -> None:
    """Have a model in NEST's kernel, and again whenever the kernel is reset.

    Parameters
    ----------
    model : str
        NEST's name of it.
    text : str
        C++.

    Raises
    ------
    BackendUnavailableError
        Where there is no compiler or no header of NEST, or the compiler fails.
    OutputError
        Where the cache cannot be written.
    """
    _installed[model] = _compiled(model, text)
    install_again()


def install_again() -> None:
    """Have the models in the kernel that a reset removed."""
    known = set(nest.node_models) if _installed else set()
    for model, module in _installed.items():
        if model not in known:
            try:
                with quiet():
                    nest.Install(str(module.with_suffix("")))
            except nest.NESTError as error:
                if nest.network_size:
                    raise ModelError(
                        f"NEST takes the neuron model {model} before there are cells only: call "
                        "nestml_cell_type() above the first Population and current source"
                    ) from error
                raise BackendUnavailableError(
                    f"NEST does not load the neuron model {module}: {error}. Delete this file, so "
                    "that it is compiled again"
                ) from error


def _compiled(model: str, text: str) -> Path:
    """The module of a text, after compiling it if it is not there."""
    folder = writable_cache("nest")
    target = folder / f"{model}_{_version(text)}.so"
    if target.exists():
        return target
    command = _compiler()
    headers = _headers()
    try:
        with (folder / f".{target.stem}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                neuron = model.rpartition("_")[0].removesuffix("_neuron")
                say(f"the neuron model {neuron} for NEST", "about ten seconds")
                with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as work:
                    _compile(command, headers, text, Path(work) / target.name).replace(target)
    except OSError as error:
        raise OutputError(
            f"the cache for NEST's modules, {folder}, cannot be written: {error}. Set "
            "PORTABLE_CORTEX_CACHE to a folder that can"
        ) from error
    return target


def _version(text: str) -> str:
    """Of a text and of all that it is compiled with."""
    kernel = _kernel()
    size = kernel.stat().st_size
    parts = [text, nest.__version__, str(kernel), str(size), *FLAGS]
    parts += [file.read_text() for file in sorted(OWN.iterdir())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _kernel() -> Path:
    """NEST's library."""
    return next(Path(nest.__file__).parent.glob("nestkernel_api*.so"))


def _headers() -> Path:
    """The folder of NEST's headers, in the wheel or where NEST was installed."""
    package = Path(nest.__file__).parent
    for root in (package, *package.parents[:4]):
        folder = root / "include" / "nest"
        if (folder / "nest_extension_interface.h").exists():
            return folder
    raise BackendUnavailableError(
        f"a neuron model is compiled for NEST with NEST's headers, include/nest, which this NEST, "
        f"{package}, does not have: install nest-simulator from PyPI, or NEST from its sources"
    )


def _compiler() -> list[str]:
    own = shlex.split(os.environ.get("CXX", ""))
    found = own or [c for c in COMPILERS if shutil.which(c)][:1]
    if not found or not shutil.which(found[0]):
        raise BackendUnavailableError(
            "a neuron model is compiled once for NEST and needs a C++ compiler; not found: "
            f"{own[0] if own else ' or '.join(COMPILERS)}. Install one (Debian and Ubuntu: apt "
            "install g++), or use the backend builtin"
        )
    return found


def _compile(command: list[str], headers: Path, text: str, target: Path) -> Path:
    """Compile a text."""
    source = target.with_suffix(".cpp")
    source.write_text(text)
    # the wheels of NEST have strings and lists as they were before C++11
    is_new = b"_ZNK4nest4Node8get_nameB5cxx11Ev" in _kernel().read_bytes()
    done = run_program(
        [
            *command, *FLAGS, f"-D_GLIBCXX_USE_CXX11_ABI={int(is_new)}", "-I", str(OWN),
            "-isystem", str(headers), str(source), "-o", str(target),
        ],
        errors=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "rror:" in line]
        raise BackendUnavailableError(
            f"the neuron model could not be compiled for NEST: {command[0]} ended with status "
            f"{done.returncode}: {' | '.join(errors[:3]) or done.stdout[-300:]}. It takes C++20 "
            "(g++ 10 or later)"
        )
    return target

"""What Brian2CUDA writes, made into a program that waits for orders, and compiled.

Of Brian2CUDA 1.0b1 some things are put right in the text:

* The loop of orders is where the network is run, not after it: then its random numbers and spikes
  on their way pass from one order to the next.
* Only what is asked for is copied from the device and written; it would write all synapses.
* A recorded variable has room for what an order to run brings, not for the first one's only.
* The clock of a projection with one delay is ours, not one of the name ``defaultclock``.
* C++ 17, which CUDA 13 wants.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path

from portable_cortex.errors import BackendUnavailableError, SimulationError
from portable_cortex.host.provenance import cores

RUN = "network.run(0.0, NULL, 10.0);"
_ONCE = "static bool first_run = true;"
_EACH_ORDER = (
    "static int prepared = -1; bool first_run = prepared != num_iterations; "
    "prepared = num_iterations;"
)
_WRITTEN = re.compile(
    r"^ {4}(?:(?P<name>\w+) = dev(?P=name);\n {4})?ofstream outfile_(?!last_run|profiling)\w+;\n"
    r".*?results_dir \+ \"(?P<file>\w+)\".*?endl;\n {4}\}\n",
    re.DOTALL | re.MULTILINE,
)


def require_cuda() -> None:
    """Raise unless Brian2CUDA and CUDA's compiler are there.

    Raises
    ------
    BackendUnavailableError
        With what to install.
    """
    wanted = "mode cuda_standalone of the brian2 backend needs brian2cuda and CUDA's compiler: "
    try:
        import brian2cuda  # noqa: F401
    except ImportError as error:
        raise BackendUnavailableError(
            f"{wanted}run pip install --pre brian2cuda on a machine with an NVIDIA GPU ({error})"
        ) from None
    for program, there in (("nvcc", "CUDA's toolkit"), ("nvidia-smi", "the driver of NVIDIA")):
        if shutil.which(program) is None:
            raise BackendUnavailableError(
                f"{wanted}{program} was not found: install {there}, put it on $PATH, or take mode "
                "cpp_standalone"
            )


def complete(folder: Path, orders: str, wanted: Collection[str]) -> None:
    """Put the loop of `orders` into what Brian2CUDA has written, and the rest right.

    Parameters
    ----------
    wanted : collection of str
        Names of the files that an order to write is about.

    Raises
    ------
    BackendUnavailableError
        If it is not what is known here: another version of Brian2CUDA may have written it.
    """

    def kept(match: re.Match[str]) -> str:
        return match[0] if match["file"] in wanted else ""

    def mended(text: str) -> str:
        if "addresses_monitor_" in text:
            text = _replaced(text, _ONCE, _EACH_ORDER)
        return text.replace("defaultclock.timestep", "step.timestep")

    _edit(folder / "main.cu", lambda text: _replaced(text, RUN, orders))
    _edit(folder / "objects.cu", lambda text: _WRITTEN.sub(kept, text))
    for file in (folder / "code_objects").glob("*.cu"):
        _edit(file, mended)
    _edit(folder / "makefile", lambda text: text.replace("-std=c++11", "-std=c++17"))


def compile_cuda(folder: Path) -> None:
    """Compile ``folder/main`` with nvcc, as the makefile says.

    Raises
    ------
    SimulationError
        If it cannot; with what it said.
    """
    done = subprocess.run(
        ["make", f"-j{cores()}"], cwd=folder, capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise SimulationError(f"nvcc cannot compile the network: {done.stderr.strip()[:1000]}")


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise BackendUnavailableError(
            f"Brian2CUDA {version('brian2cuda')} writes other programs than 1.0b1, which mode "
            f"cuda_standalone was made for ({old!r} was not found): pip install brian2cuda==1.0b1"
        )
    return text.replace(old, new)


def _edit(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))

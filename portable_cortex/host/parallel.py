"""Several processes that simulate one network together, started by MPI's ``mpirun``.

Every process runs the same program. Process 0 speaks: it shows progress and writes results. MPI
itself is started (through mpi4py) only where the environment says that there are several
processes, so that nobody else needs it. To import this module makes an mpi4py that cannot be
loaded harmless, see `_ImportsOfMPI`.
"""

from __future__ import annotations

import importlib.abc
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendUnavailableError

T = TypeVar("T")
N = TypeVar("N", int, float)

# What the launchers tell each process: number of processes, its own, and those on its computer.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),  # Open MPI
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"),  # MPICH, Intel MPI, srun --mpi=pmi2
    ("SLURM_STEP_NUM_TASKS", "PMIX_RANK", "SLURM_STEP_TASKS_PER_NODE"),  # srun --mpi=pmix
)


def _launched() -> tuple[int, int, int]:
    for size, rank, local in LAUNCHERS:
        if os.environ.get(size, "").isdecimal() and os.environ.get(rank, "").isdecimal():
            n = int(os.environ[size])
            here = os.environ.get(local, "").partition("(")[0]  # e.g. "8(x2)": 8 on each of two
            return n, int(os.environ[rank]), int(here) if here.isdecimal() else n
    return 1, 0, 1


def processes() -> int:
    """Number of processes that were started together; 1 without mpirun.

    Examples
    --------
    >>> processes()
    1
    """
    return _launched()[0]


def rank() -> int:
    """Number of this process, from 0.

    Examples
    --------
    >>> rank()
    0
    """
    return _launched()[1]


def processes_here() -> int:
    """How many of the processes share this computer."""
    return _launched()[2]


def communicator() -> Any:
    """MPI's communicator of all processes, which starts MPI at the first call.

    Raises
    ------
    BackendUnavailableError
        If mpi4py is missing or cannot be loaded, or belongs to another MPI than the mpirun that
        started this process.
    """
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise BackendUnavailableError(
            f"started as one of {processes()} processes, which needs mpi4py and an MPI library "
            f"({str(error).partition(chr(10))[0]}): run pip install 'portable-cortex[mpi]' and "
            "install the MPI whose mpirun this is"
        ) from error
    if MPI.COMM_WORLD.size != processes():
        raise BackendUnavailableError(
            f"mpirun started {processes()} processes, mpi4py sees {MPI.COMM_WORLD.size}: it uses "
            f"another MPI ({MPI.Get_library_version().splitlines()[0]}). Start with the mpirun "
            "of that one, or install mpi4py for this one"
        )
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _end_all
    return MPI.COMM_WORLD


def library() -> Path | None:
    """The MPI library that this process has loaded; None if there is none, or nobody can say."""
    try:
        maps = Path("/proc/self/maps").read_text("utf-8", errors="surrogateescape")
    except OSError:
        return None
    paths = (Path(line.split(maxsplit=5)[-1]) for line in maps.splitlines())
    return next((path for path in paths if path.name.startswith("libmpi.so")), None)


def _end_all(*error: Any) -> None:
    """Show an error that nobody caught, and end all processes, which may wait for this one."""
    sys.__excepthook__(*error)
    sys.stderr.flush()
    abort()


def of_first(value: T) -> T:
    """The value that process 0 has; every process must call it."""
    if processes() == 1:
        return value
    return communicator().bcast(value, root=0)  # type: ignore[no-any-return]


def total(value: N) -> N:
    """Sum over all processes; every process must call it."""
    return value if processes() == 1 else type(value)(communicator().allreduce(value))


def joined(array: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """Arrays of all processes behind one another; every process must call it.

    Examples
    --------
    >>> joined(np.arange(3))
    array([0, 1, 2])
    """
    if processes() == 1:
        return array
    return np.concatenate(communicator().allgather(array), axis=axis)


def share(n: int) -> tuple[int, slice]:
    """How many elements all processes have, of which this one has `n`, and where among them.

    Every process must call it.

    Examples
    --------
    >>> share(3)
    (3, slice(0, 3, None))
    """
    counts = joined(np.array([n]))
    first = int(counts[: rank()].sum())
    return int(counts.sum()), slice(first, first + n)


def has_started() -> bool:
    """Whether the processes are connected already."""
    return processes() > 1 and "mpi4py.MPI" in sys.modules


def let_first_speak() -> None:
    """Wait to be ended by mpirun, as happens when process 0 fails for the same reason.

    Whoever fails first ends the others, and process 0 must have said why. Returns after a while if
    it has not failed: where the processes are connected, it may wait for this one.
    """
    if rank() > 0:
        time.sleep(10.0 if has_started() else 60.0)


def abort() -> None:
    """End all processes if they are connected: others may wait for this one."""
    if has_started():
        communicator().Abort(2)


# --- what others import -----------------------------------------------------------------------


class _ImportsOfMPI(importlib.abc.MetaPathFinder):
    """Lets PyNN, Elephant and others do without MPI where there is none, and where none is needed.

    They try ``from mpi4py import MPI`` and do without if that is an ImportError. mpi4py raises
    something else if it has no MPI library or another one than it was built for: here every error
    becomes an ImportError. PyNN's random numbers ask for the rank in every process, which would
    load and start MPI there: the launcher's answer is given in its place.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders give, loaded with care."""
        if name not in ("mpi4py", "mpi4py.MPI", "pyNN.random"):
            return None
        spec = _or_import_error(_of_other_finders)(name, path, target)
        loader: Any = spec and spec.loader
        if loader is None:
            return spec
        if name == "pyNN.random":
            loader.exec_module = _and_tell_pynn(loader.exec_module)
        else:
            loader.create_module = _or_import_error(loader.create_module)
            loader.exec_module = _or_import_error(loader.exec_module)
        return spec


def _of_other_finders(
    name: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    others = (finder for finder in sys.meta_path if not isinstance(finder, _ImportsOfMPI))
    specs = (finder.find_spec(name, path, target) for finder in others)
    return next((spec for spec in specs if spec is not None), None)


def _or_import_error(step: Callable[..., T]) -> Callable[..., T]:
    def guarded(*arguments: Any) -> T:
        try:
            return step(*arguments)
        except ImportError:
            raise
        except Exception as error:
            raise ImportError(str(error) or type(error).__name__) from error

    return guarded


def _and_tell_pynn(load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def loaded(module: ModuleType) -> None:
        load(module)
        _tell_pynn(module)

    return loaded


def _tell_pynn(module: Any) -> None:
    module.get_mpi_config = lambda: (rank(), processes())


if not any(isinstance(finder, _ImportsOfMPI) for finder in sys.meta_path):
    sys.meta_path.insert(0, _ImportsOfMPI())
if "pyNN.random" in sys.modules:
    _tell_pynn(sys.modules["pyNN.random"])

"""Several processes that simulate one network together, started by MPI's ``mpirun``.

Every process runs the same program. Process 0 speaks: it shows progress and writes results. MPI
itself is started (through mpi4py) only where the environment says that there are several
processes, so that nobody else needs it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import BackendUnavailableError

T = TypeVar("T")

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
        If mpi4py is missing, or belongs to another MPI than the mpirun that started this process.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: no MPI library
        raise BackendUnavailableError(
            f"started as one of {processes()} processes, which needs mpi4py and an MPI library "
            f"({error}): run pip install 'portable-cortex[mpi]' and install the MPI whose mpirun "
            "this is"
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


def total(value: int) -> int:
    """Sum over all processes; every process must call it."""
    return value if processes() == 1 else int(communicator().allreduce(value))


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

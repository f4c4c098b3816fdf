"""Where the runs of a sweep are done: on this computer, or by the workers of a Dask cluster.

A pool is told what to run and says what has ended. Each run is a process of its own: the global
state of a simulator cannot be shared, and a run that crashes must not take the others with it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import BackendUnavailableError, InvalidValueError, SimulationError
from ..host.interruption import shielded

INSTALL = "pip install 'portable-cortex[cluster]'"
_GRACE = 5.0  # seconds between asking a process to end and ending it


@dataclass(frozen=True)
class Job:
    """One process: what ``portable-cortex`` is called with, and the file that gets its output."""

    arguments: tuple[str, ...]
    log: Path


Ended = Generator[tuple[Job, str], None, None]


class Pool(Protocol):
    """Does jobs, several at once."""

    def run(self, jobs: Sequence[Job]) -> Ended:
        """Each job as it ends, with why it failed, or "" where it did not.

        When the generator is closed before its end, the jobs that still run are stopped.
        """


@dataclass(frozen=True)
class LocalPool:
    """Processes on this computer.

    Parameters
    ----------
    jobs : int
        How many at once.

    Raises
    ------
    InvalidValueError
        For less than one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     job = Job(("--version",), Path(folder, "log.txt"))
    ...     [error for job, error in LocalPool(jobs=1).run([job])]
    ['']
    """

    jobs: int

    def __post_init__(self) -> None:
        _at_least_one_job(self.jobs)

    def run(self, jobs: Sequence[Job]) -> Ended:
        """See `Pool`."""
        waiting = deque(jobs)
        running: dict[Job, subprocess.Popen[bytes]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    with shielded():  # none is started that would not be stopped
                        job = waiting.popleft()
                        running[job] = _start(job)
                ended = [job for job, process in running.items() if process.poll() is not None]
                for job in ended:
                    yield job, _why(job, running.pop(job).returncode)
                if not ended:
                    time.sleep(0.05)
        finally:
            _stop(running.values())


@dataclass(frozen=True)
class DaskPool:
    """The workers of a Dask cluster; they share the file system of this computer.

    A worker does as many jobs at once as it has threads.

    Parameters
    ----------
    where : str or distributed.Client
        ``"slurm"`` for SLURM jobs of this sweep's own, the address of a Dask scheduler that runs
        already, e.g. ``"tcp://node1:8786"``, or a client of any cluster.
    jobs, threads : int
        With ``"slurm"``: how many SLURM jobs, each for one run at a time, and the cores of each.
    options : dict
        With ``"slurm"``: what `dask_jobqueue.SLURMCluster` takes, e.g. ``queue``, ``walltime``,
        ``memory``. What is not given comes from dask-jobqueue's own configuration.

    Raises
    ------
    BackendUnavailableError
        If Dask is not installed.
    InvalidValueError
        For another `where`, and for options where it takes none.

    Examples
    --------
    ::

        from distributed import Client
        from dask_jobqueue import PBSCluster

        cluster = PBSCluster(cores=1, memory="8GB", walltime="01:00:00")
        cluster.scale(jobs=20)
        sweep(runs, "results/sweep", pool=DaskPool(Client(cluster)))
    """

    where: Any
    jobs: int = 1
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _at_least_one_job(self.jobs)
        for module in ("distributed", "dask_jobqueue")[: 1 + (self.where == "slurm")]:
            if importlib.util.find_spec(module) is None:
                raise BackendUnavailableError(
                    f"running on a cluster needs {module}, which is not installed: run {INSTALL}"
                )
        if isinstance(self.where, str) and self.where != "slurm":
            if "://" not in self.where:
                raise InvalidValueError(
                    "a cluster is slurm, or the address of a Dask scheduler such as "
                    f"tcp://node1:8786, not {self.where!r}"
                )
            if self.options:
                raise InvalidValueError(
                    f"options of a cluster ({', '.join(self.options)}) are for slurm: the workers "
                    f"of {self.where} have theirs already"
                )

    def run(self, jobs: Sequence[Job]) -> Ended:
        """See `Pool`.

        Raises
        ------
        SimulationError
            If the cluster cannot be reached, or takes no jobs.
        InvalidValueError
            For options that SLURM's cluster does not take.
        """
        if jobs:
            with contextlib.ExitStack() as stack:
                yield from _submit(self._client(stack, len(jobs)), jobs)

    def _client(self, stack: contextlib.ExitStack, needed: int) -> Any:
        from distributed import Client

        target = self.where
        if isinstance(target, Client):
            return target
        if target == "slurm":
            target = stack.enter_context(self._slurm(min(self.jobs, needed)))
        try:
            return stack.enter_context(Client(target, timeout=10, set_as_default=False))
        except (OSError, ValueError) as error:
            raise SimulationError(f"no Dask scheduler answers at {self.where}: {error}") from error

    def _slurm(self, jobs: int) -> Any:
        given = {
            "cores": 1,  # one thread of Dask, which waits for one run; the run has the cores
            "processes": 1,
            "job_cpu": self.threads,
            "scheduler_options": {"dashboard_address": ":0"},
            **self.options,
        }
        try:
            cluster = slurm_cluster()(**given)
        except (TypeError, ValueError) as error:
            raise InvalidValueError(
                f"SLURM cluster: {str(error).splitlines()[0]} (options are those of "
                "dask_jobqueue.SLURMCluster, e.g. queue=short, walltime=02:00:00, memory=16GB)"
            ) from None
        try:
            _check_slurm(cluster.job_script())
        except SimulationError:
            cluster.close()
            raise
        cluster.scale(jobs=jobs)
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # replaces jobs whose time is up
        return cluster


def slurm_cluster() -> Any:
    """Import ``dask_jobqueue.SLURMCluster``, and let Ctrl-C do what it did before.

    The import alone would let it end the process, silently and with status 0.
    """
    before = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    signal.signal(signal.SIGINT, before)
    return SLURMCluster


def _check_slurm(script: str) -> None:
    """Ask SLURM whether it would take a job: when it takes none, Dask waits for ever."""
    try:
        done = subprocess.run(
            ["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SimulationError("SLURM's command sbatch is not on this computer") from None
    if done.returncode:
        raise SimulationError(f"SLURM takes no jobs: {done.stderr.strip()}")


def _submit(client: Any, jobs: Sequence[Job]) -> Ended:
    from distributed import Event, as_completed

    stop = Event(f"portable-cortex-stop-{uuid.uuid4()}", client=client)
    # pure=False: a job of the same name is not taken for done
    futures = {client.submit(_work, job, stop.name, pure=False): job for job in jobs}
    try:
        for future in as_completed(list(futures), loop=client.loop):
            job, failure = futures.pop(future), future.exception()
            yield job, f"{type(failure).__name__}: {failure}" if failure else future.result()
    finally:
        if futures:
            with contextlib.suppress(Exception):  # the cluster itself may be gone
                stop.set()
                client.cancel(list(futures))


def _work(job: Job, stop: str) -> str:
    """One job, on a worker; "" or why it failed."""
    from distributed import Event

    asked = Event(stop)
    process = _start(job)
    try:
        while process.poll() is None:
            if asked.wait(timeout=1.0):
                return "stopped"
        return _why(job, process.returncode)
    finally:
        _stop([process])


def _at_least_one_job(jobs: int) -> None:
    if jobs < 1:
        raise InvalidValueError(f"jobs at once must be 1 or more, not {jobs!r}")


def _start(job: Job) -> subprocess.Popen[bytes]:
    with job.log.open("wb") as log:
        log.write(f"$ portable-cortex {shlex.join(job.arguments)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "portable_cortex.cli.job", *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the sweep, which stops its runs
        )


def _stop(started: Iterable[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, and end those that do not."""
    processes = [process for process in started if process.poll() is None]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _why(job: Job, returncode: int) -> str:
    """Why a process failed, as its exit status and its last words say; "" for one that did not."""
    if returncode == 0:
        return ""
    number = -returncode if returncode < 0 else returncode - 128
    if number > 0:
        hint = " (was there enough memory? fewer jobs at once need less)" * (number == 9)
        return f"its process was ended by signal {number}{hint}"
    with contextlib.suppress(OSError):
        lines = job.log.read_text("utf-8", errors="replace").strip().splitlines()[1:]
        errors = [line for line in lines if line.startswith("Error: ")]
        return (errors or lines or ["it said nothing"])[-1].removeprefix("Error: ")
    return f"it ended with status {returncode}"

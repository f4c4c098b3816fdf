"""Several backends in turn on the same network: what each costs, side by side.

Every run is a process of its own, without recording, in the order A B A B ..., so that a busy
spell of the computer, its heat or a full cache meets all backends alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from portable_cortex import Experiment, load_backend
from portable_cortex.errors import (
    BackendUnavailableError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
    SimulationError,
)
from portable_cortex.experiment import Reporter
from portable_cortex.host import interruption
from portable_cortex.host.children import run_program
from portable_cortex.host.output import whole
from portable_cortex.machine import load_machine
from portable_cortex.models.loader import load_model
from portable_cortex.recording import RUN, check_output, to_json
from portable_cortex.registry import check_backend

from .accounting import Cost, Run, as_dict, cost_of, metadata_of, require_events
from .literature import user_run
from .picture import draw_literature

RESULT, PLOT = "benchmark.json", "benchmark.png"
PHASES = ("create", "connect", "prepare", "simulate")
# -P: not what lies in this folder
COMMAND = (sys.executable, "-P", "-m", "portable_cortex.cli.job")


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes
    ----------
    backends : tuple of str
        The first is what the others are compared with.
    repeats : int
        Runs of each.
    model, machine : str
    parameters : dict
        Of the model, e.g. ``scale`` and ``drive``.
    warmup, duration : float
        ms.
    seed : int
        Of the first run of each; every repeat takes the next one.

    Raises
    ------
    InvalidValueError, UnknownNameError, MachineFileError
        For what can be told to be impossible before anything runs.

    Examples
    --------
    >>> Plan(("mock",), repeats=2).order()
    (('mock', 0), ('mock', 1))
    """

    backends: tuple[str, ...]
    repeats: int = 3
    model: str = "pd14"
    machine: str = "local"
    parameters: Mapping[str, Any] | None = None
    warmup: float = 500.0
    duration: float = 10_000.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise InvalidValueError(f"repeats must be 1 or more, not {self.repeats!r}")
        if not self.backends or len(set(self.backends)) < len(self.backends):
            raise InvalidValueError(
                "backends must be different names, separated by commas, not "
                f"{','.join(self.backends)!r}"
            )
        for name in self.backends:
            check_backend(name)
        load_model(self.model).check(dict(self.parameters or {}))
        load_machine(self.machine)
        for seed in (self.seed, self.seed + self.repeats - 1):
            Experiment(seed=seed, warmup=self.warmup, duration=self.duration)

    def order(self) -> tuple[tuple[str, int], ...]:
        """Backend and number of every run, in turn: A B A B ..."""
        return tuple((backend, n) for n in range(self.repeats) for backend in self.backends)

    def command(self, backend: str, repeat: int, folder: Path) -> list[str]:
        """The command line of one run."""
        arguments: list[Any] = [
            *COMMAND, "run", "--quiet", "--no-record", "--backend", backend, "--model", self.model,
            "--machine", self.machine, "--warmup", self.warmup, "--duration", self.duration,
            "--seed", self.seed + repeat, "--out", folder,
        ]  # fmt: skip
        for name, value in (self.parameters or {}).items():
            arguments += ["--param", f"{name}={json.dumps(value)}"]
        return [str(part) for part in arguments]


@dataclass(frozen=True)
class Result:
    """One run that went well.

    Attributes
    ----------
    backend : str
    repeat : int
        From 0.
    metadata : dict
        Contents of its ``run.json``.
    cost : Cost
    messages : tuple of str
        Its warnings.
    """

    backend: str
    repeat: int
    metadata: Mapping[str, Any]
    cost: Cost
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One run that did not, and why, in one sentence; its repeats are left out."""

    backend: str
    repeat: int
    reason: str


@dataclass(frozen=True)
class Summary:
    """One quantity of one backend over its runs.

    Attributes
    ----------
    median, low, high : float
    ratio : float or None
        Of the medians, to the first backend; None where that has none or 0.
    n : int
        Number of runs.
    """

    median: float
    low: float
    high: float
    ratio: float | None
    n: int


@dataclass(frozen=True)
class Benchmark:
    """All runs of a plan.

    Attributes
    ----------
    plan : Plan
    results : tuple of Result
    failures : tuple of Failure
    """

    plan: Plan
    results: tuple[Result, ...]
    failures: tuple[Failure, ...]

    def summary(self) -> dict[str, dict[str, Summary]]:
        """By quantity (with its unit and, for energy, its label) and backend."""
        values: dict[str, dict[str, list[float]]] = {}
        for result in self.results:
            for quantity, value in quantities(result).items():
                values.setdefault(quantity, {}).setdefault(result.backend, []).append(value)
        return {quantity: self._summaries(by) for quantity, by in values.items()}

    def _summaries(self, values: Mapping[str, Sequence[float]]) -> dict[str, Summary]:
        first = statistics.median(values.get(self.plan.backends[0], [0.0]))
        return {
            backend: Summary(
                statistics.median(values[backend]),
                min(values[backend]),
                max(values[backend]),
                statistics.median(values[backend]) / first if first else None,
                len(values[backend]),
            )
            for backend in self.plan.backends
            if backend in values
        }

    def save(self, folder: Path) -> None:
        """Write ``benchmark.json`` and, for the microcircuit, ``benchmark.png``.

        Raises
        ------
        OutputError
            If that is not possible.
        """
        content = {
            "plan": asdict(self.plan),
            "summary": {
                quantity: {backend: asdict(summary) for backend, summary in by.items()}
                for quantity, by in self.summary().items()
            },
            "failures": [asdict(failure) for failure in self.failures],
            "runs": [
                {
                    "backend": result.backend,
                    "repeat": result.repeat,
                    "cost": as_dict(result.cost),
                    "messages": result.messages,
                    "run": dict(result.metadata),
                }
                for result in self.results
            ],
        }
        text = to_json(content) + "\n"
        try:
            with interruption.shielded():
                folder.mkdir(parents=True, exist_ok=True)
                with whole(folder / RESULT) as part:
                    part.write_text(text, encoding="utf-8")
                interruption.tell(f"the runs that were finished are in {folder}.")
            if self.plan.model == "pd14" and self.results:
                with whole(folder / PLOT) as part:
                    draw_literature(part, [user_run(r.metadata, r.cost) for r in self._typical])
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error}") from error

    @property
    def _typical(self) -> list[Result]:
        """Of each backend the run whose real-time factor is the median (the lower of two)."""
        typical = []
        for backend in self.plan.backends:
            of_backend = [result for result in self.results if result.backend == backend]
            of_backend.sort(key=lambda result: result.cost.real_time_factor)
            typical += of_backend[(len(of_backend) - 1) // 2 :][:1]
        return typical


def table(outcome: Benchmark) -> Table:
    """One row a quantity, one column a backend: median and ratio, lowest and highest.

    Examples
    --------
    >>> table(Benchmark(Plan(("mock",)), (), ())).row_count
    0
    """
    plan = outcome.plan
    runs = f"{plan.repeats} runs" if plan.repeats > 1 else "1 run"
    shown = Table(
        title=f"median of {runs}, × that of {plan.backends[0]}; lowest – highest", show_lines=True
    )
    shown.add_column("")
    for backend in plan.backends:
        shown.add_column(backend, justify="right")
    for quantity, by in outcome.summary().items():
        cells = [_cell(by[backend]) if backend in by else "" for backend in plan.backends]
        shown.add_row(escape(quantity), *cells)
    return shown


def _cell(summary: Summary) -> str:
    ratio = "" if summary.ratio is None else f"  ×{summary.ratio:.3g}"
    return f"{summary.median:.3g}{ratio}\n{summary.low:.3g} – {summary.high:.3g}"


def quantities(result: Result) -> dict[str, float]:
    """What is compared, by name and unit; an energy's name holds its kind, scope and source."""
    values = {
        f"{phase} (s)": result.metadata["phases_s"][phase]
        for phase in PHASES
        if phase in result.metadata["phases_s"]
    }
    values["real-time factor"] = result.cost.real_time_factor
    if result.cost.core_seconds is not None:
        values["core-seconds per s of model time"] = result.cost.core_seconds
    values["peak memory (GB)"] = result.cost.peak_memory_bytes * 1e-9
    for energy in result.cost.energies:
        label = f"{energy.kind}, {energy.scope}, {energy.source}"
        values[f"energy (J; {label})"] = energy.joules
        per_event = result.cost.energy_per_event(energy)
        if per_event is not None:
            values[f"energy per synaptic event (µJ; {label})"] = per_event
    return values


def benchmark(
    plan: Plan,
    folder: str | Path,
    *,
    reporter: Reporter | None = None,
    events_from: Run | None = None,
    overwrite: bool = False,
) -> Benchmark:
    """Run a plan, and write its results.

    A backend that is not installed or that fails is noted, and the others go on.

    Parameters
    ----------
    plan : Plan
    folder : str or Path
        Gets ``benchmark.json`` and, for the microcircuit, ``benchmark.png``.
    reporter : Reporter, optional
        Told what is being run.
    events_from : Recording or dict, optional
        A recorded run of the same settings, for the number of synaptic events (see `cost_of`).
    overwrite : bool
        Replace what the folder holds.

    Raises
    ------
    OutputExistsError, OutputError
        Before anything runs, if the folder cannot be used.
    InvalidValueError
        If `events_from` has other settings.
    PowerMeterError
        If the machine's power meter cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     outcome = benchmark(
    ...         Plan(("mock",), repeats=1, parameters={"scale": 0.01}, duration=10.0), folder
    ...     )
    >>> outcome.summary()["real-time factor"]["mock"].n
    1
    """
    folder = check_output(folder, overwrite=overwrite)
    if (folder / RESULT).exists() and not overwrite:
        raise OutputExistsError(
            f"{folder} already holds a benchmark, which was kept: "
            "choose another folder or ask to overwrite it (--overwrite)"
        )
    if events_from is not None:
        planned = json.loads(
            to_json(
                {
                    "model": plan.model,
                    "parameters": {**load_model(plan.model).parameters, **(plan.parameters or {})},
                    "warmup_ms": plan.warmup,
                    "duration_ms": plan.duration,
                }
            )
        )
        require_events(planned, metadata_of(events_from), planned)
    power = load_machine(plan.machine).power
    if power is not None:
        power.open()  # say now what would fail in every run
    tell: Callable[..., None] = reporter.phase if reporter else lambda *args: None
    results: list[Result] = []
    failures: list[Failure] = []
    order = plan.order()
    try:
        for number, (backend, repeat) in enumerate(order, start=1):
            if any(failure.backend == backend for failure in failures):
                continue
            tell(f"run {number} of {len(order)}: {backend}")
            try:
                load_backend(backend).require()
                metadata, messages = _run(plan, backend, repeat)
            except (BackendUnavailableError, SimulationError) as error:
                failures.append(Failure(backend, repeat, str(error)))
                tell(f"run {number} of {len(order)}: {backend}", "failed")
                continue
            cost = cost_of(metadata, events_from=events_from)
            results.append(Result(backend, repeat, metadata, cost, messages))
            tell(
                f"run {number} of {len(order)}: {backend}",
                f"real-time factor {cost.real_time_factor:.3g}",
            )
    except KeyboardInterrupt:
        if results:  # what is finished is kept
            Benchmark(plan, tuple(results), tuple(failures)).save(folder)
        raise
    outcome = Benchmark(plan, tuple(results), tuple(failures))
    outcome.save(folder)
    return outcome


def _run(plan: Plan, backend: str, repeat: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Contents of the ``run.json`` of one run in a process of its own, and its warnings."""
    with tempfile.TemporaryDirectory(prefix="portable-cortex-") as scratch:
        folder = Path(scratch, "run")
        done = run_program(plan.command(backend, repeat, folder))
        if done.returncode < 0:
            raise SimulationError(
                f"its process was ended by signal {-done.returncode}"
                + (" (was there enough memory?)" if done.returncode == -9 else "")
            )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise SimulationError(last.removeprefix("Error: "))
        return json.loads((folder / RUN).read_text("utf-8")), tuple(done.stderr.splitlines())

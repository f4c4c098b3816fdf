"""Several backends in turn on the same network, or numbers of threads: what each costs.

Every run is a process of its own, without recording, in the order A B A B ..., so that a busy
spell of the computer, its heat or a full cache meets all backends alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

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
from .scaling import draw_scaling

RESULT, PLOT, SCALING = "benchmark.json", "benchmark.png", "scaling.png"
PHASES = ("create", "connect", "prepare", "simulate")
# -P: not what lies in this folder
COMMAND = (sys.executable, "-P", "-m", "portable_cortex.cli.job")


class Entry(NamedTuple):
    """What is compared: a backend, and how many threads it has, if that varies.

    Examples
    --------
    >>> Entry("nest", None).label, Entry("nest", 1).label, Entry("nest", 4).label
    ('nest', 'nest, 1 thread', 'nest, 4 threads')
    """

    backend: str
    threads: int | None

    @property
    def label(self) -> str:
        """In words."""
        if self.threads is None:
            return self.backend
        return f"{self.backend}, {self.threads} thread{'s' if self.threads > 1 else ''}"


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
    threads : tuple of int
        Each backend runs with each of these numbers; as the machine has it if there are none.
    options : dict of str to str
        Of every backend, in place of those of the machine file.

    Raises
    ------
    InvalidValueError, UnknownNameError, MachineFileError
        For what can be told to be impossible before anything runs.

    Examples
    --------
    >>> [(entry.label, n) for entry, n in Plan(("mock",), repeats=2).order()]
    [('mock', 0), ('mock', 1)]
    """

    backends: tuple[str, ...]
    repeats: int = 3
    model: str = "pd14"
    machine: str = "local"
    parameters: Mapping[str, Any] | None = None
    warmup: float = 500.0
    duration: float = 10_000.0
    seed: int = 1
    threads: tuple[int, ...] = ()
    options: Mapping[str, str] | None = None

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
        self._check_threads()
        load_model(self.model).check(dict(self.parameters or {}))
        machine = load_machine(self.machine)
        for name in self.backends if self.options else ():
            machine.options_for(load_backend(name), self.options)
        for seed in (self.seed, self.seed + self.repeats - 1):
            Experiment(seed=seed, warmup=self.warmup, duration=self.duration)

    def _check_threads(self) -> None:
        if self.threads and "threads" in (self.options or {}):
            raise InvalidValueError(
                "numbers of threads are given twice: leave out --threads or the option threads"
            )
        if len(set(self.threads)) < len(self.threads) or any(n < 1 for n in self.threads):
            raise InvalidValueError(
                f"threads must be different numbers, 1 or more, not {list(self.threads)}"
            )
        for name in self.backends if self.threads else ():
            if "threads" not in {f.name for f in fields(load_backend(name).Options)}:
                raise InvalidValueError(
                    f"backend {name!r} has no option threads: benchmark it without --threads"
                )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is compared; the first is the yardstick."""
        return tuple(Entry(b, n) for b in self.backends for n in self.threads or (None,))

    def order(self) -> tuple[tuple[Entry, int], ...]:
        """Entry and number of every run, in turn: A B A B ..."""
        return tuple((entry, n) for n in range(self.repeats) for entry in self.entries)

    def command(self, entry: Entry, repeat: int, folder: Path) -> list[str]:
        """The command line of one run."""
        arguments: list[Any] = [
            *COMMAND, "run", "--quiet", "--no-record",
            "--backend", entry.backend, "--model", self.model, "--machine", self.machine,
            "--warmup", self.warmup, "--duration", self.duration,
            "--seed", self.seed + repeat, "--out", folder,
        ]  # fmt: skip
        for name, value in (self.parameters or {}).items():
            arguments += ["--param", f"{name}={json.dumps(value)}"]
        for name, text in (self.options or {}).items():
            arguments += ["--option", f"{name}={text}"]
        if entry.threads is not None:
            arguments += ["--option", f"threads={entry.threads}"]
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
    threads : int or None
        How many it had, if that varies.
    """

    backend: str
    repeat: int
    metadata: Mapping[str, Any]
    cost: Cost
    messages: tuple[str, ...] = ()
    threads: int | None = None

    @property
    def label(self) -> str:
        """What it is a run of."""
        return Entry(self.backend, self.threads).label


@dataclass(frozen=True)
class Failure:
    """One run that did not, and why, in one sentence; its repeats are left out."""

    backend: str
    repeat: int
    reason: str
    threads: int | None = None

    @property
    def label(self) -> str:
        """What it was a run of."""
        return Entry(self.backend, self.threads).label


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
        """By quantity (with its unit and, for energy, its label) and entry, by its label."""
        values: dict[str, dict[str, list[float]]] = {}
        for result in self.results:
            for quantity, value in quantities(result).items():
                values.setdefault(quantity, {}).setdefault(result.label, []).append(value)
        return {quantity: self._summaries(by) for quantity, by in values.items()}

    def _summaries(self, values: Mapping[str, Sequence[float]]) -> dict[str, Summary]:
        labels = [entry.label for entry in self.plan.entries]
        first = statistics.median(values.get(labels[0], [0.0]))
        return {
            label: Summary(
                statistics.median(values[label]),
                min(values[label]),
                max(values[label]),
                statistics.median(values[label]) / first if first else None,
                len(values[label]),
            )
            for label in labels
            if label in values
        }

    def save(self, folder: Path) -> None:
        """Write ``benchmark.json``, and pictures.

        ``benchmark.png`` of the microcircuit, ``scaling.png`` of several numbers of threads.

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
                    "threads": result.threads,
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
            if len(self.plan.threads) > 1 and self.results:
                with whole(folder / SCALING) as part:
                    draw_scaling(part, self)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error}") from error

    @property
    def _typical(self) -> list[Result]:
        """Of each backend the run whose real-time factor is the median (the lower of two).

        Where the number of threads varies: with the one that is fastest.
        """
        typical: dict[str, Result] = {}
        for entry in self.plan.entries:
            ours = [result for result in self.results if result.label == entry.label]
            ours.sort(key=lambda result: result.cost.real_time_factor)
            for middle in ours[(len(ours) - 1) // 2 :][:1]:
                best = typical.setdefault(entry.backend, middle)
                if middle.cost.real_time_factor < best.cost.real_time_factor:
                    typical[entry.backend] = middle
        return [*typical.values()]


def table(outcome: Benchmark) -> Table:
    """One row a quantity, one column an entry: median and ratio, lowest and highest.

    Examples
    --------
    >>> table(Benchmark(Plan(("mock",)), (), ())).row_count
    0
    """
    plan = outcome.plan
    runs = f"{plan.repeats} runs" if plan.repeats > 1 else "1 run"
    labels = [entry.label for entry in plan.entries]
    shown = Table(
        title=f"median of {runs}, × that of {labels[0]}; lowest – highest", show_lines=True
    )
    shown.add_column("")
    for label in labels:
        shown.add_column(label, justify="right")
    for quantity, by in outcome.summary().items():
        cells = [_cell(by[label]) if label in by else "" for label in labels]
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
        Gets ``benchmark.json``, ``benchmark.png`` for the microcircuit, and ``scaling.png`` for
        several numbers of threads.
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
        for number, (entry, repeat) in enumerate(order, start=1):
            if any(failure.label == entry.label for failure in failures):
                continue
            name = f"run {number} of {len(order)}: {entry.label}"
            tell(name)
            try:
                load_backend(entry.backend).require()
                metadata, messages = _run(plan, entry, repeat)
            except (BackendUnavailableError, SimulationError) as error:
                failures.append(Failure(entry.backend, repeat, str(error), entry.threads))
                tell(name, "failed")
                continue
            cost = cost_of(metadata, events_from=events_from)
            results.append(Result(entry.backend, repeat, metadata, cost, messages, entry.threads))
            tell(name, f"real-time factor {cost.real_time_factor:.3g}")
    except KeyboardInterrupt:
        if results:  # what is finished is kept
            Benchmark(plan, tuple(results), tuple(failures)).save(folder)
        raise
    outcome = Benchmark(plan, tuple(results), tuple(failures))
    outcome.save(folder)
    return outcome


def _run(plan: Plan, entry: Entry, repeat: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Contents of the ``run.json`` of one run in a process of its own, and its warnings."""
    with tempfile.TemporaryDirectory(prefix="portable-cortex-") as scratch:
        folder = Path(scratch, "run")
        done = run_program(plan.command(entry, repeat, folder))
        if done.returncode < 0:
            raise SimulationError(
                f"its process was ended by signal {-done.returncode}"
                + (" (was there enough memory?)" if done.returncode == -9 else "")
            )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise SimulationError(last.removeprefix("Error: "))
        return json.loads((folder / RUN).read_text("utf-8")), tuple(done.stderr.splitlines())

"""``portable-cortex task``: what a network does with its input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..errors import OutputError, UnknownNameError
from ..experiment import Experiment
from ..host import interruption
from ..host.output import whole
from ..host.untrusted import printable
from . import writing
from .options import (
    Drive,
    MachineName,
    ModelName,
    Option,
    Overwrite,
    Param,
    Scale,
    Timestep,
    model_parameters,
    pairs,
)
from .progress import ConsoleReporter

out, err = Console(), Console(stderr=True)

USUAL = {"pulses": 100, "templates": 1800, "separation": 20, "twins": 20}  # trials
FIGURE, NUMBERS, VERDICT = "task.png", "task.json", "verdict.json"
ALL_ROWS = 12  # of a verdict; of more, those that differ


def task(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="pulses: responses to thalamic pulses; templates: which spike pattern it was "
            "(Haeusler & Maass 2007); separation: when two patterns are told apart best; twins: "
            "how a difference of one spike grows (Keup et al. 2021).",
        ),
    ],
    model: ModelName = "pd14",
    backend: Annotated[str, typer.Option(help="Simulator of all trials.")] = "builtin",
    machine: MachineName = "local",
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    option: Option = None,
    seeds: Annotated[
        str,
        typer.Option(
            help="Seeds, e.g. 1-3: each is a network with all trials; the spread is shown."
        ),
    ] = "1",
    trials: Annotated[
        int | None,
        typer.Option(
            help="Of each seed: pulses (100 unless given), trials with templates (1800), trials of "
            "each pattern (20), or pairs of twins (20)."
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(help="Model time before each trial, ms. 500 for pulses, 100 unless given."),
    ] = None,
    timestep: Timestep = 0.1,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Results of the same task, of another backend, say: five seeds or more are judged "
            "against five or more. Exit status 0 agrees, 1 differs, 2 could not tell.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for the results. results/TASK-MODEL-BACKEND unless given."
        ),
    ] = None,
) -> None:
    """Run many trials in one network, and say what it does with its input.

    Writes numbers as JSON and a picture. What was interrupted goes on with the same command.
    """
    from ..sweep import parse_seeds
    from .task_drawing import draw

    if name not in USUAL:
        raise UnknownNameError("task", name, USUAL)
    place = folder or Path("results") / f"{name}-{Path(model).stem}-{backend}"
    others = None if against is None else _kept(name, against)  # before hours of runs
    results: list[dict[str, Any]] = []
    numbers = parse_seeds(seeds)
    for seed in numbers:
        experiment = Experiment(
            model=model,
            parameters=model_parameters(param, scale=scale, drive=drive),
            backend=backend,
            machine=machine,
            options=pairs(option, "--option"),
            seed=seed,
            timestep=timestep,
            warmup=(500.0 if name == "pulses" else 100.0) if warmup is None else warmup,
        )
        interruption.tell(
            lambda: (
                f"{len(results)} of {len(numbers)} seeds are in {place}; the same command goes "
                "on from there."
            )
        )
        results.append(_one(name, experiment, trials, place / f"seed-{seed}", overwrite))
    tables: Mapping[str, Callable[[list[dict[str, Any]]], Table]] = {
        "pulses": _of_pulses,
        "templates": _of_templates,
        "separation": _of_separation,
        "twins": _of_twins,
    }
    out.print(tables[name](results))
    draw(name, results, place / FIGURE)
    for what, path in (("numbers", place / "seed-*" / NUMBERS), ("figure", place / FIGURE)):
        out.print(f"{what:17}{path}", soft_wrap=True, markup=False, highlight=False)
    if others is not None:
        raise typer.Exit(_judged(name, results, others, place / VERDICT))


def _one(
    name: str, experiment: Experiment, trials: int | None, folder: Path, overwrite: bool
) -> dict[str, Any]:
    """Result of a seed, from its file if it is there."""
    from ..validation.tasks import (
        classify_templates,
        compare_twins,
        respond_to_pulses,
        separate_inputs,
    )

    path, kept = folder / NUMBERS, folder / "trials.npz"
    n = USUAL[name] if trials is None else trials
    asked = {"task": name, "asked": n, "experiment": experiment.to_dict()}
    if overwrite:
        kept.unlink(missing_ok=True)
    elif path.exists():
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            same = {key: found[key] for key in asked} == asked
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path} is damaged: {error!r}; --overwrite runs again") from None
        if not same:
            raise OutputError(
                f"{path} is of another experiment, and was kept: choose another folder, or replace "
                "it (--overwrite)"
            )
        return found
    with ConsoleReporter(err) as reporter:
        if name == "templates":
            result: Any = classify_templates(experiment, n, file=kept, reporter=reporter)
        elif name == "separation":
            result = separate_inputs(experiment, n, reporter=reporter)
        elif name == "twins":
            result = compare_twins(experiment, n, reporter=reporter)
        else:
            result = respond_to_pulses(experiment, n, reporter=reporter)
    content = {**asked, **_strict(result.to_dict())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
    kept.unlink(missing_ok=True)
    return content


def _kept(name: str, folder: Path) -> list[dict[str, Any]]:
    """Results of a task that are in a folder."""
    found = []
    for path in sorted(folder.glob(f"seed-*/{NUMBERS}")):
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
            task = content["task"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path} is damaged: {error!r}") from None
        if task != name:
            raise OutputError(f"{path} is of the task {printable(task)}, not {name}")
        found.append(content)
    if not found:
        raise OutputError(
            f"--against takes a folder that this command wrote: no seed-1/{NUMBERS} or the like is "
            f"in {folder}"
        )
    return found


def _judged(
    name: str, results: list[dict[str, Any]], others: list[dict[str, Any]], path: Path
) -> int:
    """Print and write the verdict; exit status."""
    from ..validation.tasks import judge
    from ..validation.verdict import HEADLINES, number, probability

    found = judge(name, results, others)
    content = {
        "verdict": HEADLINES[found.verdict],
        "reason": found.reason,
        "untested": found.untested,
        "numbers": [_strict(asdict(contrast)) for contrast in found.contrasts],
    }
    writing.write(((path, lambda: json.dumps(content, indent=1) + "\n", "verdict"),))
    tested = [c for c in found.contrasts if isfinite(c.p_adjusted)]
    shown = [c for c in found.contrasts if len(found.contrasts) <= ALL_ROWS or c.differs]
    if shown:
        table = Table(title=f"{len(results)} seeds beside {len(others)}")
        for head in ("", "here", "there", "seeds' SD", "test"):
            table.add_column(head, justify="right" if head else "left")
        for c in shown:
            values = map(number, (c.value, c.expected, c.spread))
            test = probability(c.p_adjusted) + (", differs" if c.differs else "")
            table.add_row(printable(c.name), *values, test)
        out.print(table)
    for key in sorted({k for r in (results[0], others[0]) for k in r["experiment"]} - {"seed"}):
        here, there = results[0]["experiment"].get(key), others[0]["experiment"].get(key)
        if here != there:
            out.print(printable(f"{key}: {here} here, {there} there"), markup=False)
    if found.untested:
        names = printable("; ".join(found.untested))
        out.print(f"Not compared, since too few seeds have it: {names}", markup=False)
    n = sum(c.differs for c in found.contrasts)
    verb = "differ" if n > 1 else "differs"
    why = found.reason or f"{n or 'none'} of {len(tested)} numbers {verb}"
    out.print(f"{HEADLINES[found.verdict]}: {why}", markup=False, highlight=False)
    return found.verdict.value


def _strict(value: Any) -> Any:
    """With null for what is not a number, which JSON does not have.

    Examples
    --------
    >>> _strict({"onset": float("nan"), "rates": (1.0, 2.0)})
    {'onset': None, 'rates': [1.0, 2.0]}
    """
    if isinstance(value, dict):
        return {name: _strict(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _spread(values: list[float | None], digits: int = 2) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return "none"
    text = f"{np.mean(known):.{digits}f}"
    return f"{text} ± {np.std(known, ddof=1):.{digits}f}" if len(known) > 1 else text


def _of_pulses(results: list[dict[str, Any]]) -> Table:
    table = Table(
        title=f"responses to {results[0]['pulses']} thalamic pulses",
        caption="onset, peak, end: ms after the pulse; spikes: of a neuron in 20 ms, above the "
        "baseline; undershoot: lowest rate after the peak, of the baseline",
    )
    names = ("onset", "peak_time", "recovery", "peak", "baseline", "spikes", "undershoot")
    heads = ("onset", "peak", "end", "spikes/s", "before", "spikes", "undershoot")
    table.add_column("population")
    for head in heads:
        table.add_column(head, justify="right")
    for label in results[0]["responses"]:
        values = ([r["responses"][label][name] for r in results] for name in names)
        table.add_row(printable(label), *(_spread(v) for v in values))
    return table


def _of_templates(results: list[dict[str, Any]]) -> Table:
    first = results[0]
    table = Table(
        title=f"Cohen's kappa of linear readouts ({first['trials'] - first['training']} trials "
        f"after {first['training']} for fitting)",
        caption="which template the last segment had, the one before ...; 0 is guessing, 1 no "
        "mistake",
    )
    table.add_column("question")
    for readout in first["kappa"]:
        table.add_column(f"read from {printable(readout)}", justify="right")
    for question in next(iter(first["kappa"].values())):
        values = ([r["kappa"][readout][question] for r in results] for readout in first["kappa"])
        table.add_row(question, *map(_spread, values))
    return table


def _of_separation(results: list[dict[str, Any]]) -> Table:
    first = results[0]
    table = Table(title=f"two patterns, {first['trials']} trials each, one background")
    table.add_column("")
    table.add_column("", justify="right")
    _add_quantities(table, "separation", results)
    return table


def _add_quantities(table: Table, name: str, results: list[dict[str, Any]]) -> None:
    from ..validation.tasks import quantities

    for of_seeds in zip(*(quantities(name, result) for result in results), strict=True):
        values = [_strict(quantity.value) for quantity in of_seeds]
        table.add_row(of_seeds[0].name, _spread(values, 1 if "(ms)" in of_seeds[0].name else 2))


def _of_twins(results: list[dict[str, Any]]) -> Table:
    first = results[0]
    table = Table(title=f"{first['pairs']} pairs of networks that differ in one spike")
    table.add_column("")
    table.add_column("", justify="right")
    _add_quantities(table, "twins", results)
    same = " ".join(str(result["same_again"]) for result in results)
    table.add_row("pairs that were the same again", same)
    return table

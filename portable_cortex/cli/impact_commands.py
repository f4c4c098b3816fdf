"""``portable-cortex impact``: what a change of the model does to the network."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import InvalidValueError, UnsupportedError
from ..host import interruption
from ..host.untrusted import printable
from ..models.loader import load_model
from ..pynn.description import describe
from .fitting import fitted_currents
from .options import (
    SEEDS_HELP,
    Drive,
    MachineName,
    ModelName,
    Option,
    Overwrite,
    Param,
    Scale,
    Warmup,
    how_many_or_which,
    json_or_text,
    model_parameters,
    pairs,
)

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..validation.impact import Impact

PAGE, NUMBERS, TEXT = "impact.html", "impact.json", "impact.md"


def impact(
    neurons: Annotated[
        str | None,
        typer.Option(help="Neuron models, separated by commas: of the catalogue, or NESTML files."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Another change: NAME=VALUE (JSON) of a parameter, or several that belong "
            "together, separated by spaces; repeatable."
        ),
    ] = None,
    model: ModelName = "pd14",
    scale: Scale = None,
    drive: Drive = None,
    param: Param = None,
    backend: Annotated[str, typer.Option(help="Simulator of all runs.")] = "builtin",
    machine: MachineName = "local",
    option: Option = None,
    seeds: Annotated[str, typer.Option(help=SEEDS_HELP)] = "10",
    duration: Annotated[float, typer.Option(help="Model time of each run, ms.")] = 10_000.0,
    warmup: Warmup = 500.0,
    pulses: Annotated[
        int, typer.Option(help="Thalamic pulses of a second run of each seed; 0: no such run.")
    ] = 10,
    uncalibrated: Annotated[
        bool,
        typer.Option("--uncalibrated", help="Neurons without currents that fit their rates."),
    ] = False,
    matched: Annotated[
        bool,
        typer.Option(
            "--matched", help="Neurons with currents that fit the rates of the network as it runs."
        ),
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Runs at once.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each run.")] = None,
    overwrite: Overwrite = False,
    folder: Annotated[Path, typer.Option("--out", help="Folder for runs and results.")] = Path(
        "results/impact"
    ),
) -> None:
    """Run a model as it is and with one change at a time, many seeds each, and judge the changes.

    Writes a page, all numbers as JSON, and the tables in Markdown. What was stopped goes on with
    the same command; more changes or seeds into the same folder do what is new.
    """
    from ..validation.impact import Plan, Variant, judge, perform
    from ..validation.pages import write_text
    from ..validation.pages.impact_page import render
    from ..validation.pages.impact_words import markdown, to_dict
    from .sweep_console import SweepReporter

    out, err = Console(), Console(stderr=True)
    if matched and uncalibrated:
        raise InvalidValueError(
            "--matched fits currents, and --uncalibrated none: take one of them"
        )
    parameters = model_parameters(param, scale=scale, drive=drive)
    names = [name.strip() for name in (neurons or "").split(",") if name.strip()]
    changes = [Variant(name, {"neuron": name}) for name in names]
    changes += [Variant(text, _parameters(text)) for text in vary or []]
    plan = Plan(
        tuple(changes),
        model=model,
        parameters=parameters,
        backend=backend,
        machine=machine,
        options=pairs(option, "--option"),
        seeds=tuple(how_many_or_which(seeds)),
        warmup=warmup,
        duration=duration,
        pulses=pulses,
    )
    for variant in plan.all:  # mistakes, before anything is fitted
        _check(plan.stationary(variant)[0])
    if not uncalibrated:
        with err.status("calibrating") as status:
            fitted = tuple(
                fitted_currents(
                    variant, plan, folder, matched, lambda text: status.update(escape(text))
                )
                for variant in plan.variants
            )
        plan = replace(plan, variants=fitted)
    reporter = SweepReporter(err)
    interruption.tell(lambda: reporter.state)
    with reporter:
        done = perform(
            plan, folder, jobs=jobs, threads=threads, overwrite=overwrite, report=reporter
        )
    with err.status("measuring") as status:
        found = judge(plan, done, lambda text: status.update(escape(printable(text))))
    write_text(folder / PAGE, render(found), "page")
    write_text(folder / NUMBERS, json.dumps(to_dict(found), indent=1) + "\n", "JSON file")
    write_text(folder / TEXT, markdown(found), "text")
    show(found, out)
    for what, name in (("page", PAGE), ("numbers", NUMBERS), ("tables", TEXT)):
        out.print(f"{what:17}{folder / name}", soft_wrap=True, markup=False, highlight=False)


def _check(run: Experiment) -> None:
    """Raise an error for parameters that the model does not take, also where only building tells.

    Raises
    ------
    PortableCortexError
        See `portable_cortex.errors`.
    """
    run.check()
    with suppress(UnsupportedError):  # not every model can be described without a simulator
        describe(load_model(run.model), run.parameters)


def _parameters(text: str) -> dict[str, Any]:
    """What is changed together.

    Examples
    --------
    >>> _parameters("neuron=lif_cond_exp conductance=0.5")
    {'neuron': 'lif_cond_exp', 'conductance': 0.5}
    """
    parts = re.split(r"\s+(?=\w+=)", text.strip())
    return {name: json_or_text(value) for name, value in pairs(parts, "--vary").items()}


def show(found: Impact, console: Console) -> None:
    """Print the matrix of changes and statistics, and the verdicts."""
    from ..validation.activity import STATISTICS
    from ..validation.pages.impact_words import ABBREVIATIONS, sentences, summary

    n = len(found.populations)
    table = Table(
        title="what changes",
        caption=f"populations (of {n}) that differ, and the largest change of a mean in standard "
        "deviations between seeds",
    )
    table.add_column("", overflow="fold")
    for name in STATISTICS:
        table.add_column(ABBREVIATIONS[name], justify="right")
    for outcome in found.outcomes:
        cells = (summary(found, outcome, name) for name in STATISTICS)
        table.add_row(escape(printable(outcome.variant.name)), *cells)
    console.print(table)
    for outcome in found.outcomes:
        console.print(
            printable(" ".join(sentences(found, outcome))),
            soft_wrap=True,
            markup=False,
            highlight=False,
        )

"""``portable-cortex calibrate``: currents that give another neuron the network's rates."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..calibration import EXACT, SCALES, Calibration
from ..calibration import calibrate as calibrated
from ..errors import InvalidValueError, OutputError
from ..host.output import whole
from ..host.untrusted import printable
from ..matching import DURATION, Match, check, match
from .options import ModelName, Param, Seed, model_parameters

out, err = Console(), Console(stderr=True)


def calibrate(
    neuron: Annotated[
        str, typer.Option(help="Neuron model: a name of the catalogue, or a file in NESTML.")
    ],
    model: ModelName = "pd14",
    param: Param = None,
    seed: Seed = 1,
    threads: Annotated[int, typer.Option(help="Threads of the built-in engine.")] = 2,
    matched: Annotated[
        bool,
        typer.Option(
            "--matched",
            help="Then in the network itself: until it fires as with its own neurons.",
        ),
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(
            help=f"Model time of a run of the network, ms (--matched); {DURATION:g} unless given."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--json", help="The result; NEURON-calibration.json unless given."),
    ] = None,
) -> None:
    """Fit a constant current for each population, until another neuron fires as the network's own.

    At the input that a neuron has in the full network, isolated, on the built-in engine: some
    minutes. With --matched then in the network, at the scale that --param says.
    """
    given = model_parameters(param)
    if duration is not None and not matched:
        raise InvalidValueError("--duration is of the runs of --matched: give that, too")
    if "neuron" in given:
        raise InvalidValueError("--neuron says which neuron it is: leave --param neuron out")
    path = to or Path(f"{Path(neuron).stem}-calibration.json")
    if not path.parent.is_dir():  # before minutes are spent
        raise OutputError(f"{path} could not be written: there is no folder {path.parent}")
    duration = DURATION if duration is None else duration
    if matched:  # and before minutes are spent in vain
        check(model, seed=seed, duration=duration, **given)
    of_isolated = {k: v for k, v in given.items() if not (matched and k in SCALES)}
    with err.status("reading") as status:

        def progress(what: str) -> None:
            status.update(escape(printable(what)))

        found = calibrated(
            neuron, model, seed=seed, threads=threads, on_progress=progress, **of_isolated
        )
        contents, currents, network = found.to_dict(), found.currents, None
        if matched:
            network = match(
                found,
                seed=seed,
                duration=duration,
                threads=threads,
                on_progress=progress,
                **given,
            )
            contents, currents = {**network.to_dict(), "isolated": contents}, network.currents
    show(found, out)
    if network:
        show_match(network, out)
    try:
        with whole(path) as part:
            part.write_text(json.dumps(contents, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error}") from error
    told = shlex.join(
        text
        for name, value in {**given, "neuron": neuron, "currents": currents}.items()
        for text in ("--param", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    )
    out.print(
        f"portable-cortex run --model {model} {told}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    out.print(f"{'written to':17}{path}", soft_wrap=True, markup=False, highlight=False)


def show(found: Calibration, console: Console) -> None:
    """Print currents, and what they lead to beside the network's own neurons."""
    title = f"{printable(Path(found.neuron).stem)} in {printable(Path(found.model).stem)}"
    caption = "rates in spikes/s, gains in spikes/s per nA; ← the network's own neurons"
    table = Table(title=escape(title), caption=caption)
    for name in ("population", "current (pA)", "rate", "←", "gain", "←", "CV", "←"):
        table.add_column(name, justify="left" if name == "population" else "right")
    for label, fit in found.populations.items():
        table.add_row(
            escape(printable(label)),
            f"{1e3 * fit.current:.1f}",
            f"{fit.rate:.2f}",
            f"{fit.wanted:.2f}",
            f"{fit.gain:.0f}",
            f"{fit.wanted_gain:.0f}",
            f"{fit.cv:.2f}",
            f"{fit.wanted_cv:.2f}",
        )
    console.print(table)
    for label, fit in found.populations.items():
        if abs(fit.error) > EXACT:
            console.print(
                f"[yellow]Note[/]: the rate of {escape(printable(label))} is off by "
                f"{100 * fit.error:+.0f} %.",
                highlight=False,
            )


def show_match(found: Match, console: Console) -> None:
    """Print currents, and the rates of both networks in a run of their own."""
    table = Table(
        title="in the network",
        caption=f"rates in spikes/s in {1e-3 * found.duration:g} s, round {found.rounds}; "
        "← with the network's own neurons",
    )
    for name in ("population", "current (pA)", "rate", "←"):
        table.add_column(name, justify="left" if name == "population" else "right")
    for label, own in found.populations.items():
        current = f"{1e3 * own.current:.1f}"
        table.add_row(escape(printable(label)), current, f"{own.rate:.3g}", f"{own.wanted:.3g}")
    console.print(table)

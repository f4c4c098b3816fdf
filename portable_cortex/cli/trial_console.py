"""Trials in the terminal: what they had in common, and how they differed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..host.untrusted import printable
from ..sweep import building


def show(trials: Sequence[Mapping[str, Any]], folder: Path, console: Console) -> None:
    """Rates with their spread, and the time of a trial beside that of building.

    Parameters
    ----------
    trials : sequence of dict
        Contents of their ``run.json``.
    folder : Path
    console : rich.console.Console
    """
    table = Table(title=f"mean firing rates of {len(trials)} trials (spikes/s)")
    table.add_column("population")
    table.add_column("neurons", justify="right")
    table.add_column("mean", justify="right")
    table.add_column("SD between trials", justify="right")
    for label in trials[0]["rates"]:
        rates = [trial["rates"][label] for trial in trials]
        spread = f"{statistics.stdev(rates):.3f}" if len(rates) > 1 else ""
        size = str(trials[0]["populations"][label])
        table.add_row(escape(printable(label)), size, f"{statistics.mean(rates):.3f}", spread)
    console.print(table)
    of_trial = [sum(trial["phases_s"].values()) for trial in trials[1:] or trials]
    for what, value in (
        ("building", f"{building(trials[0]):.2f} s, once"),
        ("a trial", f"{statistics.median(of_trial):.3f} s (median)"),
        ("written to", str(folder)),
    ):
        line = f"{what:17}{printable(value)}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)

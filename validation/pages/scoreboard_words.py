"""A scoreboard in words: for the terminal, the page, and continuous integration."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..cost import published_runs
from ..scoreboard import Absent, Agreement, Row, Scoreboard
from ..verdict import HEADLINES, Verdict, clean, describe, number, percent, power
from .cost_section import is_full_scale
from .export import as_dict, dumped, escaped, suite, xml
from .terminal import COLOURS, MARK

NONE = "–"
SHOWN = 3  # differences of a backend in the terminal and in a summary


@dataclass(frozen=True)
class Column:
    """What is told of each backend.

    Attributes
    ----------
    title, unit : str
    text : callable
        Gets a `Row`.
    """

    title: str
    unit: str
    text: Callable[[Row], str]


COLUMNS = (
    Column("verdict", "", lambda row: HEADLINES[row.verdict]),
    Column("rate", "± seen", lambda row: percent(power(row.validation.comparison).get("rate"))),
    Column("same net", "", lambda row: same_network(row.agreement)),
    Column("build", "s", lambda row: _number(row.spending.build)),
    Column("time", "× real", lambda row: _number(row.spending.real_time_factor)),
    Column("CPU", "s/s", lambda row: _number(row.spending.core_seconds)),
    Column("memory", "GB", lambda row: _number(row.spending.memory, 1e-9)),
    Column("energy", "µJ/event", lambda row: energy(row)),
)
LEGEND = (
    "rate: a change of mean rates from this size on would have been seen; same net: correlation of "
    "the same neurons' rates with those of the first backend, on one network for all, or equal "
    "spikes; build: without compiling; time: wall-clock for model time; CPU: core-seconds for a "
    "second of model time; energy: of a synaptic event"
)


def _number(value: float | None, factor: float = 1.0) -> str:
    return NONE if value is None else number(value * factor, 2)


def same_network(agreement: Agreement | None) -> str:
    """How far two backends agree on the same network, in a word.

    Examples
    --------
    >>> same_network(None)
    '–'
    """
    if agreement is None:
        return NONE
    pairing = agreement.pairing
    if agreement.is_identical:
        return "identical"
    if pairing.deterministic and pairing.first_difference is not None:
        return f"to {pairing.first_difference:.6g} ms"
    correlation = _correlation(agreement)
    return f"r {correlation:.3f}" if math.isfinite(correlation) else "undefined"


def _correlation(agreement: Agreement) -> float:
    """Median over populations of the correlation of the same neurons' rates."""
    known = [r.correlation for r in agreement.pairing.rates if math.isfinite(r.correlation)]
    return statistics.median(known) if known else math.nan


def energy(row: Row) -> str:
    """Energy of a synaptic event, or of the run where events are not known, with its label."""
    spent = row.spending
    if spent.energy is None:
        return NONE
    if spent.energy_per_event is None:
        return f"{number(spent.energy.joules)} J in all, {spent.energy.kind}"
    return f"{number(spent.energy_per_event)} {spent.energy.kind}"


def place(row: Row) -> str:
    """Where a run stands among the published machines; empty for other networks than theirs."""
    if row.spending.star is None:
        return ""
    metadata, cost = row.spending.star
    if metadata.get("model") != "pd14" or not is_full_scale(metadata.get("parameters")):
        return ""
    factors = [run.rtf for run in published_runs()]
    slower = sum(factor > cost.real_time_factor for factor in factors)
    return f"faster than {slower} of {len(factors)} published runs"


def headline(board: Scoreboard) -> str:
    """The verdict on all backends, in a few words.

    Examples
    --------
    >>> headline(Scoreboard(()))
    'Could not tell'
    """
    n = len(board.rows)
    if board.verdict is Verdict.AGREES:
        return "It agrees" if n == 1 else f"All {n} agree"
    if board.verdict is Verdict.DIFFERS:
        different = sum(row.verdict is Verdict.DIFFERS for row in board.rows)
        return f"{different} of {n} differ{'s' if different == 1 else ''}"
    return HEADLINES[Verdict.UNDECIDED]


def reason(board: Scoreboard) -> str:
    """Which backends agree, differ, could not be judged, or failed, in a sentence.

    Examples
    --------
    >>> reason(Scoreboard((), (Absent("nest", "failed", "no licence", True),)))
    'nest failed'
    """
    against = ", ".join(dict.fromkeys(_against(row) for row in board.rows if _against(row)))
    parts = []
    for verdict, one, many, to in (
        (Verdict.DIFFERS, "differs", "differ", f" from {against}"),
        (Verdict.UNDECIDED, "could not be judged", "could not be judged", ""),
        (Verdict.AGREES, "agrees", "agree", f" with {against}"),
    ):
        names = [row.name for row in board.rows if row.verdict is verdict]
        if names:
            parts.append(f"{_listed(names)} {one if len(names) == 1 else many}{to}")
    partly = [row.name for row in board.rows if row.failures]
    if partly:
        parts.append(f"runs of {_listed(partly)} failed")
    parts += [f"{absent.name} {_state(absent)}" for absent in board.absent if absent.is_fault]
    return "; ".join(parts) or "no backend was judged"


def _state(absent: Absent) -> str:
    return absent.state if absent.state == "failed" else f"is {absent.state}"


def _against(row: Row) -> str:
    return row.validation.comparison.reference


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def notes(board: Scoreboard) -> tuple[tuple[str, str], ...]:
    """What a reader has to know: names of backends, and a sentence of these."""
    by: dict[str, list[str]] = {}
    for row in board.rows:
        for failure in row.failures:
            by.setdefault(f"a run failed ({failure})", []).append(row.name)
        if row.verdict is Verdict.UNDECIDED:
            by.setdefault(row.validation.comparison.reason, []).append(row.name)
        for remark in (*row.remarks, *row.validation.notes, *_doubts(row)):
            by.setdefault(remark, []).append(row.name)
    return tuple((_listed(names), text) for text, names in by.items())


def _doubts(row: Row) -> tuple[str, ...]:
    """That wall-clock times say little."""
    if not row.spending.doubts:
        return ()
    return (
        "the computer was busy, or threads waited: wall-clock times say little, core-seconds hold",
    )


def differences(row: Row) -> tuple[str, ...]:
    """The tests of a backend that differs, each in a sentence, most certain first."""
    if row.verdict is not Verdict.DIFFERS:
        return ()
    return tuple(map(describe, row.validation.comparison.different))


def _foremost(row: Row) -> tuple[str, ...]:
    different = differences(row)
    more = len(different) - SHOWN
    return (*different[:SHOWN], *([f"{more} more differ"] if more > 0 else []))


def show(board: Scoreboard, console: Console) -> None:
    """Print the verdict, a table of the backends, what differs, and who is missing.

    Examples
    --------
    >>> absent = Absent("nest", "not installed", "pip install nest", True)
    >>> show(Scoreboard((), (absent,)), Console())
    Could not tell: nest is not installed.
    not installed    nest: pip install nest
    """
    style = f"bold {COLOURS[board.verdict]}"
    _line(console, (headline(board), style), f": {reason(board)}.")
    if board.rows:
        console.print(_table(board))
    for row in board.rows:
        for text in _foremost(row):
            _line(console, (f"{MARK} {row.name}", "red"), f": {text}")
    for names, text in notes(board):
        _line(console, ("Note", "yellow"), f" on {names}: {text}.")
    for row in board.rows:
        if place(row):
            _line(console, f"{row.name}: {place(row)}")
    for absent in board.absent:
        state = (f"{absent.state:17}", "red" if absent.is_fault else "yellow")
        _line(console, state, f"{absent.name}: {absent.reason}")


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    text = [clean(p) if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts]
    console.print(Text.assemble(*text), soft_wrap=True, highlight=False)


def _table(board: Scoreboard) -> Table:
    """Within 80 columns."""
    table = Table(
        box=box.SIMPLE, show_edge=False, padding=0, caption=LEGEND, caption_justify="left"
    )
    table.add_column("backend", overflow="fold", vertical="bottom")
    for column in COLUMNS:
        is_verdict = column.title == "verdict"
        table.add_column(
            "\n".join([*column.title.split(), column.unit]).rstrip(),
            justify="left" if is_verdict else "right",
            no_wrap=is_verdict,
            overflow="fold",
        )
    for row in board.rows:
        cells = [Text(column.text(row)) for column in COLUMNS]
        cells[0].stylize(COLOURS[row.verdict])
        table.add_row(Text(clean(row.name)), *cells)
    return table


def to_markdown(board: Scoreboard) -> str:
    """The verdict and the table, for the summary of a job of continuous integration.

    Examples
    --------
    >>> print(to_markdown(Scoreboard(())))
    ### Could not tell: no backend was judged
    <BLANKLINE>
    """
    lines = [f"### {headline(board)}: {escaped(reason(board))}", ""]
    if board.rows:
        titles = [f"{c.title} ({c.unit})" if c.unit else c.title for c in COLUMNS]
        lines += [f"| backend | {' | '.join(titles)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in board.rows:
        name = f"{row.name} {row.version}".strip()
        cells = (name, *(column.text(row) for column in COLUMNS))
        lines.append(f"| {' | '.join(map(escaped, cells))} |")
    if board.rows:
        lines += ["", f"{LEGEND[0].upper()}{LEGEND[1:]}.", ""]
    for row in board.rows:
        lines += [f"* **{escaped(row.name)}** {escaped(text)}" for text in _foremost(row)]
    lines += [f"* {escaped(names)}: {escaped(text)}" for names, text in notes(board)]
    lines += [f"* {escaped(row.name)}: {place(row)}" for row in board.rows if place(row)]
    lines += [f"* {escaped(a.name)}: {a.state}, {escaped(a.reason)}" for a in board.absent]
    return "\n".join(lines).rstrip() + "\n"


def to_junit(board: Scoreboard) -> str:
    """A suite for each backend, with a case for each test; who is missing is skipped, or an error.

    Examples
    --------
    >>> absent = Absent("nest", "failed", "no licence", True)
    >>> ElementTree.fromstring(to_junit(Scoreboard((), (absent,)))).find("*/*/error").get("message")
    'failed: no licence'
    """
    root = ElementTree.Element("testsuites", name="portable-cortex compare")
    for row in board.rows:
        element = suite(row.validation, row.name)
        for failure in row.failures:
            case = ElementTree.SubElement(element, "testcase", classname="compare", name="runs")
            ElementTree.SubElement(case, "error", message=clean(failure))
        element.set("errors", str(len(element.findall("*/error"))))
        element.set("tests", str(len(element)))
        root.append(element)
    for absent in board.absent:
        kind, count = ("error", "errors") if absent.is_fault else ("skipped", "skipped")
        element = ElementTree.SubElement(
            root, "testsuite", {"name": clean(absent.name), "tests": "1"}
        )
        element.set(count, "1")
        case = ElementTree.SubElement(element, "testcase", classname="compare", name="runs")
        message = f"{absent.state}: {absent.reason}"
        ElementTree.SubElement(case, kind, message=clean(message))
    return xml(root)


def to_json(board: Scoreboard) -> str:
    """Everything, as strict JSON: of each backend what ``validate --json`` writes, and its cost.

    Examples
    --------
    >>> import json
    >>> json.loads(to_json(Scoreboard(())))["exit_status"]
    2
    """
    content = {
        "verdict": board.verdict.name.lower(),
        "exit_status": board.verdict.value,
        "sentence": f"{headline(board)}: {reason(board)}.",
        "backends": [_entry(row) for row in board.rows],
        "absent": [asdict(absent) for absent in board.absent],
    }
    return dumped(content)


def _entry(row: Row) -> dict[str, Any]:
    spent = row.spending
    return {
        "name": row.name,
        "version": row.version,
        "verdict": row.verdict.name.lower(),
        "failures": row.failures,
        "remarks": row.remarks,
        "cost": {
            "build_s": spent.build,
            "compile_s": spent.compile,
            "real_time_factor": spent.real_time_factor,
            "core_seconds_per_s": spent.core_seconds,
            "peak_memory_bytes": spent.memory,
            "energy": asdict(spent.energy) if spent.energy else None,
            "energy_per_synaptic_event_uJ": spent.energy_per_event,
            "among_published": place(row) or None,
            "doubts": spent.doubts,
            "trouble": spent.trouble or None,
        },
        "same_network": asdict(row.agreement) if row.agreement else None,
        "validation": as_dict(row.validation),
    }

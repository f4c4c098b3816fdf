"""A recording in a notebook: a small table, without files or scripts, in the notebook's colours."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.untrusted import printable

if TYPE_CHECKING:
    from .recording import Recording

MOST_ROWS = 30
_BAR = (
    "display:inline-block;height:0.7em;width:{:.1f}em;background:currentColor;opacity:0.35;"
    "margin-left:0.5em"
)
_WIDEST = 5.0  # of a bar, em


def to_html(recording: Recording) -> str:
    """A heading, the mean rates with bars, and what else there is.

    Examples
    --------
    >>> from portable_cortex import run
    >>> html = to_html(run(backend="mock", scale=0.02, duration=100.0))
    >>> "L4E" in html, "made-up spikes" in html, len(html) < 8000
    (True, True, True)
    """
    metadata = recording.metadata
    rates, published = recording.rates(), _mapping(metadata.get("published_rates"))
    largest = max((rate for rate in rates.values() if rate == rate), default=0.0)
    rows = []
    for label in recording.populations[:MOST_ROWS]:
        cells = [_text(label), f"{recording.n_neurons[label]:,}"]
        rate = rates.get(label)
        bar = ""
        if rate is not None and rate == rate and largest > 0:
            bar = f'<span style="{_BAR.format(_WIDEST * rate / largest)}"></span>'
        cells.append("" if rate is None else f"{rate:.3f}")
        if published:
            known = published.get(label)
            cells.append(f"{known:.3f}" if isinstance(known, int | float) else "")
        rows.append(_row(cells) + f'<td style="text-align:left">{bar}</td></tr>')
    if len(recording.populations) > MOST_ROWS:
        rows.append(f"<tr><td>… {len(recording.populations) - MOST_ROWS} more</td></tr>")
    heads = ["population", "neurons", "spikes/s", *(["published"] if published else []), ""]
    head = "".join(f'<th style="text-align:right">{name}</th>' for name in heads)
    return (
        f"<div><p><b>{_text(_heading(metadata))}</b><br>{_text(_span(recording))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{''.join(f'<p>{_text(line)}</p>' for line in _lines(recording))}</div>"
    )


def summary(recording: Recording) -> str:
    """Model, backend, sizes and duration in a line.

    Examples
    --------
    >>> from portable_cortex import run
    >>> summary(run(backend="mock", scale=0.02, duration=100.0))
    'pd14 on mock: 8 populations, 1,544 neurons, 100 ms'
    """
    sizes = recording.n_neurons
    return (
        f"{printable(_heading(recording.metadata), 100)}: {len(sizes)} populations, "
        f"{sum(sizes.values()):,} neurons, {recording.t_stop - recording.t_start:g} ms"
    )


def _heading(metadata: Mapping[str, Any]) -> str:
    model = Path(str(metadata.get("model", "recording"))).stem
    return f"{model} on {metadata.get('backend', 'an unknown backend')}"


def _span(recording: Recording) -> str:
    metadata = recording.metadata
    parts = [f"{recording.t_stop - recording.t_start:g} ms after {recording.t_start:g} ms warm-up"]
    parts += [f"seed {metadata['seed']}"] if "seed" in metadata else []
    parameters = _mapping(metadata.get("parameters"))
    parts += [f"{k} {parameters[k]}" for k in ("scale", "drive") if parameters.get(k) is not None]
    return ", ".join(parts)


def _lines(recording: Recording) -> list[str]:
    """Signals, cost and warnings."""
    metadata = recording.metadata
    lines = []
    if recording.signals:
        names = ", ".join(f"{variable} of {label}" for label, variable in recording.signals)
        lines.append(f"recorded: {names}")
    factor = metadata.get("real_time_factor")
    if isinstance(factor, int | float):
        lines.append(f"real-time factor {factor:.3g}")
    warnings = metadata.get("warnings")
    lines += [f"Warning: {text}" for text in (warnings if isinstance(warnings, list) else [])]
    return lines


def _row(cells: list[str]) -> str:
    return "<tr>" + "".join(f'<td style="text-align:right">{cell}</td>' for cell in cells)


def _text(value: Any) -> str:
    return escape(printable(value, 200))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

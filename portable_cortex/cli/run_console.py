"""A run in the terminal: what it was, its rates beside what is expected, and what it cost."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..host.untrusted import printable
from ..models.loader import MODELS, load_model
from ..recording import FIGURE, SIGNALS, Recording, to_json
from ..recording.stored import stored_signal

LONGEST = 200  # characters of a value that is shown


class Expected(NamedTuple):
    """Rates of an ensemble of runs with the settings of a run.

    Attributes
    ----------
    rates : dict of str to tuple of float
        Mean and standard deviation over seeds by population, spikes/s.
    note : str
        What they are of.
    shortest : float
        How long a run has to be that is to be validated, ms.
    """

    rates: Mapping[str, tuple[float, float]]
    note: str
    shortest: float


def expected_of(recording: Recording) -> Expected | None:
    """What the reference that fits a run expects of one as long, if there is one.

    Examples
    --------
    >>> from portable_cortex import run
    >>> expected_of(run(backend="mock", model="brunel2000", scale=0.01, duration=10.0))
    """
    metadata = recording.metadata
    if not _is_known(metadata) or not _mapping(metadata.get("parameters")):
        return None
    from ..validation.verdict import fitting_reference

    reference = fitting_reference(metadata)
    if reference is None:
        return None
    length = recording.t_stop - recording.t_start
    duration = reference.duration_for(length) or reference.durations[0]
    means = {
        population: ensemble.means
        for (ms, population, statistic), ensemble in reference.ensembles.items()
        if (ms, statistic) == (duration, "rate")
    }
    name = str(reference.provenance.get("backend", "reference"))
    backend = {"nest": "NEST", "builtin": "the built-in engine"}.get(name, name)
    seeds = len(reference.provenance["seeds"])
    return Expected(
        {label: (float(m.mean()), float(m.std(ddof=1))) for label, m in means.items()},
        f"expected: {backend} with these settings, mean ± SD over {seeds} seeds of {duration:g} ms",
        reference.durations[0],
    )


def show_settings(recording: Recording, console: Console) -> None:
    """What was run."""
    for name, value in _settings(recording):
        _line(console, name, value)


def show(
    recording: Recording, folder: Path, console: Console, expected: Expected | None = None
) -> None:
    """Rates beside the expected and the published ones, and what the run cost."""
    metadata = recording.metadata
    rates = recording.rates()
    errors = _mapping(metadata.get("rate_errors"))
    if rates:
        published = _numbers(metadata.get("published_rates"))
        console.print(_rates(recording, rates, published, errors, expected))
        if errors:
            console.print(
                "[dim]±: of the responses that were simulated; other errors are not in it"
            )
        if expected is not None:
            console.print(Text(expected.note, "dim"))
        if published:
            note = "published: of the network at full scale (docs/models.md)"
            if _is_smaller(metadata):
                note += "; a smaller one has other rates"
            console.print(Text(note, "dim"))
    for name, value in _cost(recording, folder):
        _line(console, name, value)


def next_step(recording: Recording, folder: Path, expected: Expected | None) -> str:
    """What can be done with a run that has just been written.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", model="brunel2000", scale=0.01, duration=10.0)
    >>> next_step(recording, Path("results/mine"), None)
    'next: portable-cortex plot results/mine draws it again; show results/mine prints it again'
    """
    command, name = "portable-cortex", shlex.quote(str(folder))
    if expected is None or not recording.spike_trains:
        again = f"next: {command} show {name} prints it again"
        if recording.spike_trains or recording.signals:
            again = f"next: {command} plot {name} draws it again; show {name} prints it again"
        return again
    if recording.t_stop - recording.t_start < expected.shortest:
        return f"next: --duration {expected.shortest:g} or more, and {command} validate {name}"
    return f"next: {command} validate {name} says whether this is the network's activity"


def _line(console: Console, name: str, value: Any) -> None:
    text = printable(value, 10_000)
    console.print(f"{name:17}{text}", soft_wrap=True, markup=False, highlight=False)


def _rates(
    recording: Recording,
    rates: Mapping[str, float],
    published: Mapping[str, float],
    errors: Mapping[str, Any],
    expected: Expected | None,
) -> Table:
    table = Table(title="mean firing rates (spikes/s)")
    table.add_column("population", overflow="fold")
    for name in ("neurons", "this run", *(["expected"] if expected else [])):
        table.add_column(name, justify="right", overflow="fold")
    if published:
        table.add_column("published", justify="right", overflow="fold")
    for label, rate in rates.items():
        error = f" ± {errors[label]:.3f}" if isinstance(errors.get(label), int | float) else ""
        row = [escape(printable(label)), str(recording.n_neurons[label]), f"{rate:.3f}{error}"]
        if expected is not None:
            known = expected.rates.get(label)
            row.append(f"{known[0]:.3f} ± {known[1]:.3f}" if known else "")
        if published:
            row.append(f"{published[label]:.3f}" if label in published else "")
        table.add_row(*row)
    return table


def _settings(recording: Recording) -> list[tuple[str, str]]:
    metadata = recording.metadata
    model = metadata.get("model", "an unknown model")
    times = f"{recording.t_stop - recording.t_start:g} ms after a warm-up of {recording.t_start:g}"
    planned = metadata.get("planned_duration_ms")
    step = metadata.get("timestep_ms")
    steps = f", in steps of {step} ms" if step is not None else ""
    cut = f" (of {planned:g} that were asked for)" if isinstance(planned, int | float) else ""
    options = _mapping(metadata.get("options"))
    processor = _mapping(metadata.get("computer")).get("processor", "an unknown processor")
    lines = [
        ("model", f"{model} ({_parameters(metadata)})"),
        ("backend", f"{metadata.get('backend', 'unknown')} on machine {metadata.get('machine')}"),
        ("options", ", ".join(f"{k}={v}" for k, v in options.items() if v is not None)),
        ("model time", times + cut + steps),
        ("seed", f"{metadata.get('seed')}, realisation {metadata.get('realisation')}"),
        (
            "started",
            f"{metadata.get('started', 'unknown')} on {processor}",
        ),
        ("command", str(metadata.get("command", ""))),
    ]
    return [(name, printable(value, 4 * LONGEST)) for name, value in lines if value]


def _parameters(metadata: Mapping[str, Any]) -> str:
    """Those that are not at the model's defaults, and always the two that everybody asks for."""
    usual: Mapping[str, Any] = {}
    if _is_known(metadata):
        usual = json.loads(to_json(load_model(str(metadata["model"])).parameters))
    shown = {
        name: value
        for name, value in _mapping(metadata.get("parameters")).items()
        if name in ("scale", "drive") or (name != "seed" and value != usual.get(name, ...))
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items()) or "no parameters"


def _cost(recording: Recording, folder: Path) -> list[tuple[str, Any]]:
    metadata = recording.metadata
    report = _mapping(metadata.get("machine_report"))
    phases = _numbers(metadata.get("phases_s"))
    memory = metadata.get("peak_memory_bytes")
    statements = metadata.get("statements")
    lines: list[tuple[str, Any]] = [
        ("network", f"{_count(metadata.get('n_neurons'))} neurons, "
                    f"{_count(metadata.get('n_synapses'))} synapses"),
        *_mapping_lines(_mapping(report.get("mapping"))),
        *(("model", text) for text in (statements if isinstance(statements, list) else ())),
        ("wall-clock (s)", ", ".join(f"{name} {s:.2f}" for name, s in phases.items())),
        ("real-time factor", _speed(metadata)),
    ]  # fmt: skip
    if isinstance(memory, int | float):
        lines.append(("peak memory", f"{memory / 1e9:.2f} GB ({_processes(metadata)})"))
    lines += _energies(metadata.get("energy"))
    if recording.signals:
        lines.append(("recorded", f"{_recorded(recording)}: {folder / SIGNALS}"))
    lines.append(("written to", folder))
    if (folder / FIGURE).exists():
        lines.append(("figure", folder / FIGURE))
    return lines


def _recorded(recording: Recording) -> str:
    sizes = {key: stored_signal(recording.signals, key).head for key in recording.signals}
    return ", ".join(
        f"{variable} of {label} ({np.size(head.neurons)})"
        for (label, variable), head in sizes.items()
    )


def _energies(entries: Any) -> list[tuple[str, Any]]:
    lines = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("joules"), int | float):
            labels = ", ".join(str(entry.get(key)) for key in ("kind", "scope", "source"))
            lines.append(("energy", f"{entry['joules']:.4g} J ({labels})"))
    return lines


def _speed(metadata: Mapping[str, Any]) -> str:
    """Real-time factor, and what it took of the cores; a fetched run may not know that."""
    factor = metadata.get("real_time_factor")
    cpu = _numbers(metadata.get("cpu_s")).get("simulate")
    if not isinstance(factor, int | float):
        if "rate_errors" in metadata:
            return "none: stationary rates were computed, without time"
        return "none: nothing was simulated"
    seconds = metadata["duration_ms"] * 1e-3
    used = "" if cpu is None else f"; {cpu / seconds:.2f} core-seconds per s of model time"
    return f"{factor:.2f} (simulate phase{used})"


def _count(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else "an unknown number of"


def _mapping_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A machine's mapping, a line for each figure."""
    lines = [_fit(report)] if "boards" in report else []
    lines += [
        f"{printable(name).replace('_', ' ')} "
        + (f"{value:,.10g}" if isinstance(value, int | float) else printable(value))
        for name, value in report.items()
    ]
    return [("mapping" if i == 0 else "", line) for i, line in enumerate(lines)]


def _fit(report: Mapping[str, Any]) -> str:
    """A sentence: what the network takes of the machine.

    Examples
    --------
    >>> _fit({"boards": 6, "chips": 233, "cores": 3630, "sdram_bytes": 8.3e9})
    'it fits: on 6 boards, 233 chips, 3,630 cores, 8.3 GB of memory'
    """
    numbers = _numbers(report)
    parts = [f"{numbers[k]:,.0f} {k}" for k in ("boards", "chips", "cores") if k in numbers]
    if "sdram_bytes" in numbers:
        parts.append(f"{numbers['sdram_bytes'] / 1e9:.1f} GB of memory")
    return f"it fits: on {', '.join(parts)}"


def _processes(metadata: Mapping[str, Any]) -> str:
    n = metadata.get("processes")
    return "this process" if n == 1 else f"{n} processes"


def _is_smaller(metadata: Mapping[str, Any]) -> bool:
    """Than the network of which rates were published."""
    parameters = _numbers(metadata.get("parameters"))
    return any(parameters.get(name, 1.0) < 1 for name in ("scale", "n_scale", "k_scale"))


def _is_known(metadata: Mapping[str, Any]) -> bool:
    """Whether the model is one of the package's, whatever a file says."""
    model = metadata.get("model")
    return isinstance(model, str) and model in MODELS


def _numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a mapping, whatever a file has there."""
    return {
        str(name): float(number)
        for name, number in _mapping(value).items()
        if isinstance(number, int | float) and isfinite(number)
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

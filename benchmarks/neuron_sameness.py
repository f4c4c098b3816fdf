r"""Whether a neuron model does the same on every backend: the tables of docs/neurons.md.

    python benchmarks/neuron_sameness.py                            # the catalogue
    python benchmarks/neuron_sameness.py --files FOLDER             # files in NESTML
    python benchmarks/neuron_sameness.py --write docs/neurons.md    # renew the tables there

Every model gets a second of frozen input (neuron_runs.py), with which it fires, and is compared
with the reference interpreter: spikes, step by step, and all variables that can be recorded, up to
the first spike that differs. Models that fire by chance are compared without chance, and the
intervals of their spikes with what their formulas say (neuron_chance.py). Input for files is made
to fit (`neuron_runs.fitted`).

Each model runs in a process of its own. What is known of it is kept in --work: an interrupted call
goes on where it was. Remove a file there to have its model run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import clock
import numpy as np
from neuron_chance import SIZE, intervals
from neuron_runs import CHANCE, INPUTS, Input, Response, fitted, in_reference, on_backend

import portable_cortex
from portable_cortex.errors import PortableCortexError
from portable_cortex.neurons import celltype, library

BACKENDS = ("builtin", "nest", "brian2", "neuron")
STEPS = (0.1, 0.025)  # ms
DURATION = 1000.0  # ms
LIMIT = 1800  # s, for a model
UNENDED = "the process ended"
Known = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help="of the catalogue; all unless given")
    parser.add_argument("--files", type=Path, help="folder of files in NESTML, instead")
    parser.add_argument("--steps", type=float, nargs="+", default=STEPS, help="ms")
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--work", type=Path, default=Path("results/sameness"))
    parser.add_argument("--write", type=Path, help="file with a table between marks, to renew")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        compare(arguments.one, arguments.work, arguments.steps, arguments.backends)
        return
    with clock.session():
        tabulate(arguments)


def tabulate(arguments: argparse.Namespace) -> None:
    """Run what is missing, and print the tables."""
    if arguments.files:
        models = sorted(map(str, arguments.files.rglob("*.nestml")))
    else:
        models = arguments.models or list(library.catalogue())
    for number, model in enumerate(models, 1):
        if any(missing(model, arguments.work, arguments.steps, arguments.backends)):
            print(f"{number} of {len(models)}: {Path(model).stem}", flush=True)
            command = [sys.executable, __file__, "--one", model, "--work", str(arguments.work)]
            command += ["--steps", *map(str, arguments.steps), "--backends", *arguments.backends]
            try:
                subprocess.run(command, check=False, timeout=LIMIT, stderr=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                print(f"more than {LIMIT} s", flush=True)
    known = {Path(model).stem: load(model, arguments.work) for model in models}
    title = "files" if arguments.files else "catalogue"
    tables = "\n\n".join(table(known, step, arguments.backends) for step in arguments.steps)
    tables += "\n\n" + counts(known, arguments.steps, arguments.backends)
    print(f"\n{tables}")
    if arguments.write:
        renew(arguments.write, title, tables)


# --- runs -----------------------------------------------------------------------------------------


def missing(
    model: str, work: Path, steps: list[float], backends: list[str]
) -> Iterator[tuple[float, str]]:
    """Steps and backends of which nothing is known."""
    known = load(model, work)
    for step in steps:
        found = known.get("steps", {}).get(str(step), {}).get("backends", {})
        yield from ((step, backend) for backend in backends if backend not in found)


def place(model: str, work: Path) -> Path:
    """Where it is kept what is known of a model: of its text and of its input."""
    file = Path(library.__file__).parent / "catalogue" / f"{model}{library.SUFFIX}"
    text = (Path(model) if Path(model).is_file() else file).read_text()
    given = repr(INPUTS.get(model))
    version = hashlib.sha256(f"{text}{given}{DURATION}".encode()).hexdigest()[:8]
    return work / f"{Path(model).stem}-{version}.json"


def load(model: str, work: Path) -> Known:
    """What is known."""
    path = place(model, work)
    return json.loads(path.read_text()) if path.exists() else {}


def compare(model: str, work: Path, steps: list[float], backends: list[str]) -> None:
    """Run a model where it has not run, and keep what is found, one by one."""
    path, known = place(model, work), load(model, work)

    def keep() -> None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(known, indent=1))
        part.replace(path)

    try:
        neuron = library.load(model)
        kind = celltype.cell_type("Model", neuron)
        known["how"] = neuron.solution + (", draws" if "random_" in str(neuron) else "")
        if "input" not in known:
            known["input"] = asdict(INPUTS.get(model) or fitted(model))
    except PortableCortexError as error:
        known["refused"] = said(error, model)
        print(f"  {known['refused']}", flush=True)
        none = {"error": known["refused"]}
        known["steps"] = {str(step): {"backends": dict.fromkeys(backends, none)} for step in steps}
        keep()
        return
    given = Input(**known["input"])
    record = list(celltype.state_names(kind.neuron))
    expected: tuple[float, Response] | None = None
    for step, backend in list(missing(model, work, steps, backends)):
        here = known.setdefault("steps", {}).setdefault(str(step), {"backends": {}})
        here["backends"][backend] = {"error": UNENDED}
        keep()
        if expected is None or expected[0] != step:
            given, response = calm(model, given, step, record)
            known["input"], expected = asdict(given), (step, response)
        here["spikes"] = sum(map(len, expected[1].spikes))
        here["backends"][backend] = run(model, backend, given, step, expected[1])
        keep()
        print(f"  {step} ms, {backend}: {cell(here, backend)}", flush=True)


def calm(model: str, given: Input, step: float, record: list[str]) -> tuple[Input, Response]:
    """What the reference does; if its equations run away, with half of the input or less."""
    for _ in range(10):
        with np.errstate(all="ignore"):
            response = in_reference(model, given, DURATION, step, record)
        if all(np.isfinite(values).all() for values in response.variables.values()):
            break
        halves = tuple(weight / 2 for weight in given.weights)
        given = replace(given, weights=halves, current=given.current / 2)
    return given, response


def run(model: str, backend: str, given: Input, step: float, expected: Response) -> Known:
    """What a backend does differently."""
    began = time.process_time()
    try:
        sim = portable_cortex.simulator(backend, options=options(backend, model))
        sim.setup(timestep=step)
        kind = sim.nestml_cell_type("Cells", model)
        own = on_backend(sim, kind, given, DURATION, step, list(expected.variables))
        sim.end()
        found = differences(own, expected, step)
        if model in CHANCE:
            found["p"] = intervals(sim, kind, model, step)
    except Exception as error:  # whatever it is, it stands in the table
        return {"error": said(error, model)}
    return {**found, "cpu_s": time.process_time() - began}


def options(backend: str, model: str) -> dict[str, str]:
    """Brian2 compiles what needs a solver; the others run before they would be compiled."""
    if backend == "brian2" and library.load(model).solution != "solver":
        return {"mode": "runtime", "target": "numpy"}
    return {}


def said(error: Exception, model: str) -> str:
    """An error in a line."""
    text = str(error).replace(str(model), Path(model).name).replace("|", "/")
    text = " ".join(text.split())
    return text if isinstance(error, PortableCortexError) else f"{type(error).__name__}: {text}"


def differences(own: Response, expected: Response, step: float) -> Known:
    """Spikes that are equal, and variables: each relative to the range that it has."""
    pairs = list(zip(own.spikes, expected.spikes, strict=True))
    first = [first_difference(*pair) for pair in pairs]
    parts = {}
    for name, values in expected.variables.items():
        ranges = np.ptp(values)
        largest = 0.0
        for j, end in enumerate(first):
            difference = np.abs(own.variables[name][:end, j] - values[:end, j])
            largest = max(largest, float(difference.max(initial=0.0)))
        parts[name] = largest / ranges if ranges else (np.inf if largest else 0.0)
    same = all(a.size == b.size for a, b in pairs)
    return {
        "own": sum(map(len, own.spikes)),
        "equal": sum(np.intersect1d(*pair).size for pair in pairs),
        "shift": max(int(np.abs(a - b).max(initial=0)) for a, b in pairs) if same else None,
        "first_ms": None if all(e is None for e in first) else step * min(e for e in first if e),
        "variables": parts,
    }


def first_difference(own: Any, expected: Any) -> int | None:
    """The step before that of the first spike that only one of two neurons has."""
    other = np.setxor1d(own, expected)
    return int(other[0]) - 1 if other.size else None


# --- tables ---------------------------------------------------------------------------------------


def cell(here: Known, backend: str) -> str:
    """What the table says of a backend."""
    found = here["backends"].get(backend)
    if found is None:
        return ""
    if "error" in found:
        return f"no: {found['error']}"
    name, largest = max(found["variables"].items(), key=lambda pair: pair[1])
    difference = f"{largest:.0e} ({name})" if largest else "0"
    chance = f"; p {' '.join(f'{p:.2g}' for p in found['p'])}" if "p" in found else ""
    if is_equal(here, found):
        return f"equal; {difference}{chance}"
    if found["shift"] is not None:
        rest = f"the others within {found['shift']} step{'s' * (found['shift'] > 1)}"
    else:
        rest = f"{found['own']} in all, first at {found['first_ms']:.1f} ms"
    return f"{found['equal']} equal, {rest}; {difference}{chance}"


def is_equal(here: Known, found: Known) -> bool:
    return "error" not in found and found["equal"] == found["own"] == here["spikes"]


def table(known: dict[str, Known], step: float, backends: list[str]) -> str:
    """Of one time step."""
    lines = [
        f"Steps of {step:g} ms:",
        "",
        f"| model | advanced | spikes | {' | '.join(backends)} |",
        "|---" * (3 + len(backends)) + "|",
    ]
    for name, found in known.items():
        here = found.get("steps", {}).get(str(step))
        if here is None:
            continue
        if "refused" in found:
            lines.append(f"| {name} | refused: {found['refused']} |{' |' * (1 + len(backends))}")
            continue
        cells = [cell(here, backend) for backend in backends]
        spikes = here.get("spikes", "")
        lines.append(f"| {name} | {found.get('how', '')} | {spikes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def counts(known: dict[str, Known], steps: list[float], backends: list[str]) -> str:
    """How many of how many are equal."""
    lines = []
    for step in steps:
        of = [found["steps"][str(step)] for found in known.values() if "steps" in found]
        parts = []
        for backend in backends:
            ran = [h for h in of if "error" not in h["backends"].get(backend, {"error": ""})]
            equal = sum(is_equal(h, h["backends"][backend]) for h in ran)
            parts.append(f"{backend} {equal} of {len(ran)}")
        lines.append(f"Equal spikes at {step:g} ms, of {len(of)} models: {', '.join(parts)}.")
    lines.append(f"p: of chi-square tests of size {SIZE:g} on first and second intervals.")
    return "\n".join(lines)


def renew(path: Path, title: str, text: str) -> None:
    """Write a text between the marks of a file."""
    begin, end = f"<!-- sameness of {title} -->", f"<!-- end of {title} -->"
    before, _, rest = path.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{path} has no lines {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


if __name__ == "__main__":
    main()

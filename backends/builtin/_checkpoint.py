"""The state of an engine as arrays, from which another one of the same network goes on.

Poisson input and noise are functions of seed, source and step: beside the neurons' state there is
nothing but the spikes on their way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import UnsupportedError

Arrays = Mapping[str, NDArray[Any]]

CHANGING = (  # in the time loop
    "page", "arrivals", "refractory", "drive", "waves", "samples", "history", "history_sizes",
    "cursors", "listed", "begins", "ends", "scratch", "held", "loops", "plastic",
)  # fmt: skip
SAMPLE = 65536  # values of an array that are looked at, about


def capture(engine: Any) -> dict[str, NDArray[Any]]:
    """The state of an engine between two slices."""
    state: dict[str, NDArray[Any]] = {"step": np.array(engine.step)}
    for population, cells, variables, refractory in engine.blocks():
        for number, values in enumerate(variables):
            name = f"variable_{population.number}_{number}"
            _whole(state, name, population, values)[cells] = values
        _whole(state, f"refractory_{population.number}", population, refractory)[cells] = refractory
    sent = engine.on_their_way()
    sizes = [cells.size for _, cells in sent]
    state["sent_steps"] = np.repeat(np.array([step for step, _ in sent], np.int64), sizes)
    state["sent_cells"] = np.concatenate([np.empty(0, np.int64), *(cells for _, cells in sent)])
    if engine.plastic is not None:
        state |= engine.plastic.capture()
    state["engine"], state["network"] = np.array(_engine()), np.array(engine.digest)
    return state


def _whole(state: dict[str, NDArray[Any]], name: str, population: Any, part: Any) -> Any:
    return state.setdefault(name, np.zeros(population.size, part.dtype))


def restore(engine: Any, state: Arrays) -> None:
    """Put an engine that has not run yet into a state.

    Raises
    ------
    UnsupportedError
        If it is that of another network, or of another version of the engine.
    """
    if str(state.get("engine")) != _engine():
        raise UnsupportedError(
            "the run was made with another version of the built-in engine: go on with that one, or "
            "run it again"
        )
    if str(state.get("network")) != engine.digest:
        raise UnsupportedError(
            "the network that was built is another than that of the run: expected the same numbers "
            "from build() each time, drawn with its seed; run it again"
        )
    for population, cells, variables, refractory in engine.blocks():
        for number, values in enumerate(variables):
            values[:] = state[f"variable_{population.number}_{number}"][cells]
        refractory[:] = state[f"refractory_{population.number}"][cells]
    if engine.plastic is not None:
        engine.plastic.restore(state)
    steps, ends = np.unique(state["sent_steps"], return_index=True)
    sent = zip(steps.tolist(), np.split(state["sent_cells"], ends[1:]), strict=True)
    engine.jump(int(state["step"]), list(sent) if steps.size else [])


@cache
def _engine() -> str:
    """A digest of the engine's code."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def network(
    threads: Iterable[Any], table: Any, current_sources: Iterable[Any], others: Iterable[Any]
) -> str:
    """A digest of a network as an engine has it; of many synapses only some are looked at.

    Parameters
    ----------
    threads : iterable of Mine
    table : Synapses
    current_sources : iterable of CurrentSource
    others : iterable of array
    """
    arrays = [v for mine in threads for name, v in mine._asdict().items() if name not in CHANGING]
    for field in fields(table):
        value = getattr(table, field.name)
        arrays += value if isinstance(value, tuple) else [value]
    arrays += [source.waveform(0, SAMPLE) for source in current_sources]
    arrays += others
    digest = hashlib.sha256()
    for values in (np.asarray(array) for array in arrays if array is not None):
        some = values.reshape(-1)[:: max(1, values.size // SAMPLE)]
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(some).tobytes())
    return digest.hexdigest()

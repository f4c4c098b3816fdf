"""The runs of a sweep as a table for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runs import SweepRun

NO_BUILDING = ("import", "warmup", "simulate", "readout")  # phases of a run


def building(metadata: Mapping[str, Any]) -> float:
    """How long building the network of a run took, s, by its ``run.json``.

    Examples
    --------
    >>> building({"phases_s": {"import": 1.0, "create": 2.0, "connect": 3.0, "simulate": 4.0}})
    5.0
    """
    phases = metadata["phases_s"].items()
    return float(sum(seconds for phase, seconds in phases if phase not in NO_BUILDING))


def warnings_of(metadata: Mapping[str, Any]) -> list[str]:
    """What the machine of a run did not do as described, a sentence each."""
    texts = metadata.get("warnings")
    return [str(text) for text in texts] if isinstance(texts, list) else []


def to_csv(runs: Sequence[SweepRun]) -> str:
    r"""One line a run: what varies, its times (s), memory (bytes) and rates (spikes/s).

    Examples
    --------
    >>> to_csv([])
    'folder,state,model,backend,seed,build_s,simulate_s,real_time_factor,peak_memory_bytes\n'
    """
    varied = dict.fromkeys(name for run in runs for name in run.varied)
    known = dict.fromkeys(["model", "backend", *varied, "seed"])
    labels = dict.fromkeys(label for run in runs for label in run.metadata.get("rates", {}))
    costs = ("build_s", "simulate_s", "real_time_factor", "peak_memory_bytes")
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["folder", "state", *known, *costs, *(f"rate_{label}" for label in labels)])
    for run in runs:
        shown = {
            "model": run.words[0], "backend": run.experiment.backend,
            "seed": run.experiment.seed, **run.varied,
        }  # fmt: skip
        metadata = run.metadata
        values = [_plain(shown.get(name)) for name in known]
        table.writerow([run.name, run.state, *values, *_costs(metadata), *(
            metadata.get("rates", {}).get(label, "") for label in labels
        )])  # fmt: skip
    return buffer.getvalue()


def _costs(metadata: Mapping[str, Any]) -> list[Any]:
    if not metadata:
        return [""] * 4
    return [
        building(metadata),
        metadata["phases_s"].get("simulate", ""),
        "" if metadata["real_time_factor"] is None else metadata["real_time_factor"],
        metadata["peak_memory_bytes"],
    ]


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value

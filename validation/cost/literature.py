"""Published time and energy of the full-scale microcircuit, and one's own runs beside them."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from .accounting import Cost, Run, cost_of, metadata_of

FAMILIES: Mapping[str, tuple[str, str]] = {  # marker and colour
    "CPU": ("o", "#1f4e9c"),
    "GPU": ("s", "#3a8f3a"),
    "FPGA": ("D", "#7b3fa0"),
    "SpiNNaker": ("^", "#d9820f"),
}


@dataclass(frozen=True)
class PublishedRun:
    """One published measurement of the full-scale network.

    Attributes
    ----------
    key, authors : str
    year : int
    doi : str
    system, architecture : str
        Processor or board, and what ran on it, e.g. ``"NEST CPU"``.
    nodes : int
    cores : int or None
        Of the CPUs of all nodes; None where something else does the work.
    process_nm : int
    drive : str
        ``"DC"`` or ``"Poisson"``.
    rtf : float
        Real-time factor of the simulate phase.
    energy_per_synaptic_event_uj : float or None
        uJ.
    note : str
    label : str
        Authors, year and, where that is not unique, what tells it from the others.
    """

    key: str
    authors: str
    year: int
    doi: str
    system: str
    architecture: str
    nodes: int
    cores: int | None
    process_nm: int
    drive: str
    rtf: float
    energy_per_synaptic_event_uj: float | None
    note: str
    label: str

    @property
    def family(self) -> str:
        """One of `FAMILIES`."""
        return self.architecture.split()[-1]

    @property
    def core_seconds(self) -> float | None:
        """Core-seconds that were held for a second of model time; None without CPUs.

        Examples
        --------
        >>> [round(r.core_seconds) for r in published_runs() if r.key == "Kur22-1"]
        [86]
        """
        return None if self.cores is None else self.cores * self.rtf


@dataclass(frozen=True)
class UserRun:
    """One's own run, as a star in the picture.

    Attributes
    ----------
    label : str
    rtf : float
        Real-time factor of the simulate phase.
    energy_per_synaptic_event_uj : float or None
        uJ; None leaves it out of the energy panel.
    year : int
    energy_label : str
        Kind and scope of the energy, e.g. ``"measured, outlet"``.
    """

    label: str
    rtf: float
    energy_per_synaptic_event_uj: float | None
    year: int
    energy_label: str = ""


def published_runs() -> tuple[PublishedRun, ...]:
    """All published measurements that the package knows, oldest first.

    Examples
    --------
    >>> min(published_runs(), key=lambda run: run.rtf).label
    'Kauth et al. 2023'
    """
    source = resources.files(__package__) / "data" / "published_performance.csv"
    with source.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    together = defaultdict(list)
    for row in rows:
        together[row["authors"], row["year"]].append(row)
    return tuple(
        PublishedRun(
            key=row["key"],
            authors=row["authors"],
            year=int(row["year"]),
            doi=row["doi"],
            system=row["system"],
            architecture=row["architecture"],
            nodes=int(row["nodes"]),
            cores=int(row["cores"]) if row["cores"] else None,
            process_nm=int(row["process_nm"]),
            drive=row["drive"],
            rtf=float(row["rtf"]),
            energy_per_synaptic_event_uj=_optional(row["energy_per_synaptic_event_uJ"]),
            note=row["note"],
            label=_label(row, together[row["authors"], row["year"]]),
        )
        for row in rows
    )


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _label(row: Mapping[str, str], like: Sequence[Mapping[str, str]]) -> str:
    """Authors and year, and the first column that tells it from others of the same."""
    name = f"{row['authors']} {row['year']}"
    if len(like) == 1:
        return name
    for column, text in (
        ("architecture", row["architecture"]),
        ("drive", row["drive"]),
        ("nodes", f"{row['nodes']} node" + "s" * (row["nodes"] != "1")),
    ):
        if len({other[column] for other in like}) == len(like):
            return f"{name}, {text}"
    return f"{name}, {row['key']}"


def user_run(run: Run, cost: Cost | None = None, label: str | None = None) -> UserRun:
    """The star of a run.

    Parameters
    ----------
    run : Recording or dict
        The run, or the contents of its ``run.json``.
    cost : Cost, optional
        Its cost, if more is known than `cost_of` finds in it. The last energy is drawn.
    label : str, optional
        In place of backend and scale.

    Examples
    --------
    >>> from portable_cortex import run
    >>> user_run(run(backend="mock", scale=0.02, duration=10.0)).label
    'mock, scale 0.02'
    """
    metadata = metadata_of(run)
    cost = cost or cost_of(metadata)
    energy = cost.energies[-1] if cost.energies else None
    return UserRun(
        label or f"{metadata['backend']}{_scale(metadata)}",
        cost.real_time_factor,
        cost.energy_per_event(energy) if energy else None,
        datetime.fromisoformat(metadata["started"]).year,
        f"{energy.kind}, {energy.scope}" if energy else "",
    )


def _scale(metadata: Mapping[str, Any]) -> str:
    parameters = metadata["parameters"]
    return "".join(
        f", {name.replace('_', ' ')} {parameters[name]:g}"
        for name in ("scale", "n_scale", "k_scale")
        if parameters.get(name) is not None
    )
